//! What does QEMU say over QMP?
//!
//! A monitor serves one client at a time, so that this one asks all at once and leaves. Who listens must be the process of the
//! guest or its user, because anybody may make a socket of that name. What QEMU tells without being asked is passed over.
//!
//! Source: `docs/interop/qmp-spec.rst`, `qapi/block-core.json`, `qapi/machine.json`, `qapi/run-state.json` and `qapi/stats.json` of QEMU.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::exits::{self, Exits};
use super::said::{Block, Counts, Said};
use crate::model::Text;
use crate::source::Error;
use crate::source::control::json::{self, Json};
use crate::source::control::line::Line;
use crate::source::control::trust::refused;
use crate::source::file::Root;

/// Block devices that are listened to; a guest has some hundreds at most.
const MAX_BLOCKS: usize = 1024;

/// Longest path of a socket.
const MAX_PATH: usize = 107;

/// What is asked, in this order: commands with their arguments.
const COMMANDS: [[&str; 2]; 7] = [
    ["qmp_capabilities", "{}"],
    ["query-status", "{}"],
    ["query-name", "{}"],
    ["query-uuid", "{}"],
    ["query-balloon", "{}"],
    ["query-block", "{}"],
    ["query-blockstats", "{}"],
];

/// What is asked of exits.
const EXITS: [[&str; 2]; 3] = [
    ["qmp_capabilities", "{}"],
    ["query-cpus-fast", "{}"],
    ["query-stats", r#"{"target":"vcpu","providers":[{"provider":"kvm"}]}"#],
];

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

/// Where a socket is as its process has the path.
pub fn place(proc: &Path, pid: u32, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let own = Path::new(std::ffi::OsStr::from_bytes(path));
    let there = match own.strip_prefix("/") {
        Ok(rest) => proc.join(pid.to_string()).join("root").join(rest),
        Err(_) => proc.join(pid.to_string()).join("cwd").join(own),
    };
    if there.as_os_str().len() > MAX_PATH && own.is_absolute() { own.to_owned() } else { there }
}

/// Whether somebody has a connection to a monitor already, so that it does not hear others; `path` is as its process has it.
///
/// The kernel lists connections by the name on which they were accepted. One whose other end is still there has three
/// references, and one that waits to be accepted has another state.
pub fn is_taken(proc: &Root, pid: u32, path: &[u8]) -> bool {
    let Ok(sockets) = proc.read(format!("{pid}/net/unix")) else { return false };
    let is_it = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        // behind the number of the socket
        let references = std::str::from_utf8(words.nth(1)?).ok().and_then(|text| u64::from_str_radix(text, 16).ok())?;
        // behind protocol, flags and type
        let state = words.nth(3)?;
        // in front of a name, which may have blanks, there are seven words
        let words = line.strip_suffix(path)?.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).count();
        Some(state == b"03" && references > 2 && words == 7)
    };
    sockets.split(|byte| *byte == b'\n').any(|line| is_it(line) == Some(true))
}

/// That somebody has it.
pub fn taken(socket: &Path) -> Error {
    Error::new("ask", socket, std::io::Error::new(std::io::ErrorKind::ResourceBusy, "somebody else talks to it"))
}

/// Asks the process that listens on a socket.
///
/// # Errors
/// Nobody listens, somebody else does, or what is said is not understood or does not come in time.
pub fn ask(socket: &Path, process: Process, deadline: Instant) -> Result<Said, Error> {
    let [_, status, name, uuid, balloon, blocks, counts] = &talk(socket, process, &COMMANDS, deadline)?;
    // who was given none has one of zeros
    let is_own = |uuid: &Text| uuid.as_str().bytes().any(|digit| !matches!(digit, b'0' | b'-'));
    Ok(Said {
        status: status.as_ref().and_then(|status| status.text(&["status"])),
        name: name.as_ref().and_then(|name| name.text(&["name"])).filter(|name| !name.as_str().is_empty()),
        uuid: uuid.as_ref().and_then(|uuid| uuid.text(&["UUID"])).filter(is_own),
        balloon: balloon.as_ref().and_then(|balloon| balloon.count(&["actual"])),
        blocks: blocks.as_ref().map(|blocks| self::blocks(blocks, counts.as_ref())).unwrap_or_default(),
    })
}

/// Asks how often its virtual CPUs left the guest; `None` where QEMU does not tell, before version 7.1.
///
/// # Errors
/// As [`ask`].
pub fn exits(socket: &Path, process: Process, deadline: Instant) -> Result<Option<Exits>, Error> {
    let [_, vcpus, stats] = &talk(socket, process, &EXITS, deadline)?;
    Ok(vcpus.as_ref().zip(stats.as_ref()).and_then(|(vcpus, stats)| exits::of_qemu(stats, vcpus)))
}

/// Answers to all of these commands; one that is refused has none.
fn talk<const N: usize>(
    socket: &Path,
    process: Process,
    commands: &[[&str; 2]; N],
    deadline: Instant,
) -> Result<[Option<Json>; N], Error> {
    let mut line = Line::to(socket)?;
    let (pid, uid) = line.peer()?;
    if pid != process.pid && uid != process.uid {
        return Err(refused(socket, format!("user {uid} listens there")));
    }
    let line = &mut line;
    let greeting = hear(line, deadline)?;
    if greeting.get(&["QMP"]).is_none() {
        return Err(line.broken("it does not begin with a greeting of QMP"));
    }
    let mut questions = String::new();
    for (id, [command, arguments]) in commands.iter().enumerate() {
        let id = id.to_string();
        questions.extend(["{\"execute\":\"", command, "\",\"arguments\":", arguments, ",\"id\":", &id, "}\n"]);
    }
    line.send(questions.as_bytes(), deadline)?;
    let mut answers = [const { None }; N];
    loop {
        let mut said = hear(line, deadline)?;
        // an event answers nothing
        let id = said.count(&["id"]).filter(|_| said.get(&["return", "error"]).is_some());
        let Some(at) = id.and_then(|id| usize::try_from(id).ok()) else { continue };
        // one that is refused is missing: a guest may have no balloon
        if let Some(slot) = answers.get_mut(at) {
            *slot = said.take("return");
        }
        if at + 1 == N {
            return Ok(answers);
        }
    }
}

/// Hears one line.
fn hear(line: &mut Line, deadline: Instant) -> Result<Json, Error> {
    let end = |said: &[u8], looked: usize| {
        said.iter().skip(looked).position(|byte| *byte == b'\n').map(|more| looked + more + 1)
    };
    let said = json::documents(line.part(end, deadline)?);
    match said.ok().and_then(|said| said.into_iter().next()) {
        Some(said) => Ok(said),
        None => Err(line.broken("it says something that is no JSON")),
    }
}

fn blocks(blocks: &Json, counts: Option<&Json>) -> Vec<Block> {
    let counts = counts.map(Json::items).unwrap_or_default();
    let counts: BTreeMap<_, _> = counts.iter().filter_map(|one| Some((name(one)?, one.get(&["stats"])?))).collect();
    let block = |one: &Json| {
        let inserted = one.get(&["inserted"])?;
        let image = inserted.get(&["image"]);
        let path = image.and_then(|image| image.str(&["filename"])).or_else(|| inserted.str(&["file"]));
        Some(Block {
            target: name(one).map(target),
            path: path.filter(|path| !path.is_empty()).map(Box::from),
            format: inserted.text(&["drv"]),
            size: image.and_then(|image| image.count(&["virtual-size"])),
            is_writable: inserted.flag(&["ro"]).map(|only| !only),
            counts: name(one).and_then(|name| counts.get(name)).map(|stats| self::counts(stats)),
        })
    };
    blocks.items().iter().filter_map(block).take(MAX_BLOCKS).collect()
}

/// By what a block device is known in all answers: its own name, or that of the device of the machine.
fn name(block: &Json) -> Option<&str> {
    block.str(&["device"]).filter(|name| !name.is_empty()).or_else(|| block.str(&["qdev"]))
}

/// What people call it: `/machine/peripheral/virtio-disk0/virtio-backend` is `virtio-disk0`.
fn target(name: &str) -> Text {
    let short = name.strip_prefix("/machine/peripheral/").and_then(|rest| rest.split('/').next());
    Text::from(short.unwrap_or(name))
}

fn counts(stats: &Json) -> [Counts; 3] {
    let nanoseconds = |name: &str| stats.count(&[name]).map(Duration::from_nanos);
    let one = |operations: &str, bytes: &str, time: &str| Counts {
        operations: stats.count(&[operations]),
        bytes: stats.count(&[bytes]),
        time: nanoseconds(time),
    };
    [
        one("rd_operations", "rd_bytes", "rd_total_time_ns"),
        one("wr_operations", "wr_bytes", "wr_total_time_ns"),
        one("flush_operations", "", "flush_total_time_ns"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread::JoinHandle;

    const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}"#;

    fn own() -> Process {
        Process { pid: std::process::id(), uid: u32::MAX }
    }

    /// A monitor for one client in a directory.
    fn monitor(dir: &Path, does: impl FnOnce(UnixStream) + Send + 'static) -> (PathBuf, JoinHandle<()>) {
        let path = dir.join("qmp");
        let listener = UnixListener::bind(&path).unwrap();
        (path, std::thread::spawn(move || does(listener.accept().unwrap().0)))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(200)
    }

    /// What becomes of a monitor that says these lines.
    fn heard(said: &'static str) -> Result<Said, Error> {
        let dir = tempfile::tempdir().unwrap();
        let (path, monitor) = monitor(dir.path(), move |mut stream| {
            let _ = stream.write_all(said.as_bytes());
            let _ = BufReader::new(stream).lines().map_while(Result::ok).count();
        });
        let heard = ask(&path, own(), soon());
        monitor.join().unwrap();
        heard
    }

    #[test]
    fn a_monitor_is_asked_all_at_once_and_what_it_refuses_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, monitor) = monitor(dir.path(), |stream| {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            writeln!(&stream, "{GREETING}").unwrap();
            let asked: Vec<String> = (0..7).map(|_| lines.next().unwrap().unwrap()).collect();
            assert!(asked[0].contains("qmp_capabilities") && asked[6].contains("query-blockstats"), "{asked:?}");
            for line in [
                r#"{"return": {}, "id": 0}"#,
                r#"{"timestamp": {"seconds": 1}, "event": "RESUME", "id": 6}"#,
                r#"{"return": {"status": "io-error", "running": false}, "id": 1}"#,
                r#"{"return": {"name": "db"}, "id": 2}"#,
                r#"{"return": {"UUID": "00000000-0000-0000-0000-000000000000"}, "id": 3}"#,
                r#"{"error": {"class": "DeviceNotActive", "desc": "no"}, "id": 4}"#,
                r#"{"return": [{"device": "", "qdev": "/machine/peripheral/disk0/virtio-backend", "inserted":
                    {"file": "a", "drv": "qcow2", "ro": false, "image": {"filename": "/a", "virtual-size": 9}}},
                    {"device": "cd0"}], "id": 5}"#,
                r#"{"return": [{"device": "cd0", "stats": {"rd_bytes": 5}}, {"device": "", "qdev":
                    "/machine/peripheral/disk0/virtio-backend", "stats": {"rd_bytes": 1, "rd_operations": 2,
                    "rd_total_time_ns": 3, "flush_operations": 4}}], "id": 6}"#,
            ] {
                writeln!(&stream, "{}\r", line.replace('\n', "")).unwrap();
            }
            assert!(lines.next().is_none(), "it leaves");
        });
        let said = ask(&path, own(), Instant::now() + Duration::from_secs(20));
        monitor.join().unwrap();
        let said = said.unwrap();
        assert_eq!((said.status.as_deref(), said.balloon, said.blocks.len()), (Some("io-error"), None, 1));
        assert_eq!((said.name.as_deref(), said.uuid), (Some("db"), None));
        let block = &said.blocks[0];
        assert_eq!((block.target.as_deref(), block.path.as_deref()), (Some("disk0"), Some("/a")));
        assert_eq!((block.format.as_deref(), block.size, block.is_writable), (Some("qcow2"), Some(9), Some(true)));
        let [read, write, flush] = block.counts.unwrap();
        let time = Some(Duration::from_nanos(3));
        assert_eq!(read, Counts { operations: Some(2), bytes: Some(1), time });
        assert_eq!((write, flush.operations), (Counts::default(), Some(4)));
    }

    #[test]
    fn a_monitor_that_hangs_lies_or_never_ends_costs_no_more_than_its_time() {
        let begin = Instant::now();
        for (said, kind) in [
            ("", ErrorKind::TimedOut),
            ("{\"QMP\": {}}\n", ErrorKind::TimedOut),
            (
                "{\"QMP\": {}}\n{\"event\": \"A\"}\n{\"return\": [], \"id\": 99999999999999999999}\n",
                ErrorKind::TimedOut,
            ),
            ("SSH-2.0-OpenSSH\r\n", ErrorKind::InvalidData),
            ("[]\n", ErrorKind::InvalidData),
            ("{\"QMP\": {}}\n\u{0}\n", ErrorKind::InvalidData),
        ] {
            let error = heard(said).unwrap_err();
            assert_eq!(error.cause.kind(), kind, "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let (path, monitor) = monitor(dir.path(), |mut stream| {
            while stream.write_all("{\"QMP\": {}, \"event\": 1}\n".repeat(1000).as_bytes()).is_ok() {}
        });
        assert_eq!(ask(&path, own(), soon()).unwrap_err().cause.kind(), ErrorKind::TimedOut);
        monitor.join().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_monitor_is_taken_while_somebody_is_there_whom_it_has_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let (path, proc) = (dir.path().join("a b"), Root::new("/proc"));
        let listener = UnixListener::bind(&path).unwrap();
        let own = path.as_os_str().as_encoded_bytes();
        let is_taken = |path: &[u8]| is_taken(&proc, std::process::id(), path);
        assert!(!is_taken(own));
        let client = UnixStream::connect(&path).unwrap();
        assert!(!is_taken(own), "it was not accepted");
        let accepted = listener.accept().unwrap();
        assert!(is_taken(own) && !is_taken(b"b") && !is_taken(&[own, b"c"].concat()));
        drop(client);
        assert!(!is_taken(own), "nobody is at the other end");
        drop(accepted);
    }

    #[test]
    fn who_is_neither_the_process_nor_its_user_is_asked_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, monitor) = monitor(dir.path(), |stream| {
            let lines = BufReader::new(stream).lines().map_while(Result::ok);
            assert_eq!(lines.count(), 0);
        });
        let error = ask(&path, Process { pid: 1, uid: u32::MAX }, soon()).unwrap_err();
        assert!(error.is_denied(), "{error}");
        monitor.join().unwrap();
    }

    #[test]
    fn a_socket_is_where_its_process_has_it() {
        let of = |path: &[u8]| place(Path::new("/proc"), 7, path).into_os_string().into_string().unwrap();
        assert_eq!((of(b"/run/a"), of(b"a")), ("/proc/7/root/run/a".to_owned(), "/proc/7/cwd/a".to_owned()));
        let long = format!("/{}", "a".repeat(100));
        assert_eq!(of(long.as_bytes()), long);
    }
}
