//! Are names from strangers seen and not obeyed, wherever they come from and wherever they go?

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;
use serde_json::Value;

use crate::support::process::{Guard, Sleeper};
use crate::support::pty::{Session, netglance};
use crate::support::space::{ip, mount, within};
use crate::support::watchman::first_forbidden;

/// A clear screen, a title, a C1 control, a bidirectional override, an invisible character, bytes that are no UTF-8, a bell,
/// ends of lines and a full reset.
const STRANGE: &[u8] = b"ev\x1b[2Jil\x1b]0;owned\x07\xc2\x9b31m\xe2\x80\xae\xe2\x80\x8b\xff\xfe\r\n\x7f\x1bc<b>\"',;";

fn strange(length: usize) -> OsString {
    OsString::from_vec(STRANGE[..STRANGE.len().min(length)].to_vec())
}

/// Runs a command to its end, whatever it prints.
fn run(args: &[&str]) -> Output {
    let mut child = netglance(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut guard = Guard(child);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    out.read_to_end(&mut stdout).unwrap();
    err.read_to_end(&mut stderr).unwrap();
    Output { status: guard.0.wait().unwrap(), stdout, stderr }
}

/// Finds what plain text may not hold: anything that a terminal would obey.
fn obeyed(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.contains('\x1b').then(|| "an escape".to_owned()).or_else(|| first_forbidden(bytes))
}

/// What is strange on this host, for as long as this lives.
struct Strangers {
    sleeper: Sleeper,
    _listener: std::net::TcpListener,
}

impl Strangers {
    fn arrive(place: &Path) -> Self {
        // the kernel takes no line end in an alias and no more than 255 bytes
        let alias: Vec<u8> = STRANGE.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'"' | b'\'')).collect();
        ip("link set lo up\nlink add v0 type veth peer name v1\nlink set v0 up\n");
        std::fs::write("/sys/class/net/v0/ifalias", alias).unwrap();
        let target = place.join(strange(usize::MAX));
        std::fs::create_dir(&target).unwrap();
        mount("none", &target, "tmpfs", 0, "size=1m");
        // a name of 15 bytes is what the kernel keeps of a process, all else is in its arguments
        let sleeper = Sleeper::start(strange(15), strange(usize::MAX));
        Self { sleeper, _listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap() }
    }
}

fn in_strange_company(run: impl FnOnce(&Strangers) + Send) {
    within(UnshareFlags::NEWNET, || {
        mount("none", Path::new("/mnt"), "tmpfs", 0, "");
        run(&Strangers::arrive(Path::new("/mnt")));
    });
}

#[test]
fn root_hostile_names_are_seen_and_not_obeyed_in_every_format() {
    in_strange_company(|strangers| {
        let pid = strangers.sleeper.pid();
        let mine = format!("pid == {pid}");
        for (table, filter, columns) in [
            ("process", mine.as_str(), "name,command"),
            ("process_file", mine.as_str(), "target"),
            ("process_thread", mine.as_str(), "name"),
            ("link", "name == \"v0\"", "alias"),
            ("mount", "target =~ \"evil|ev.x1b\"", "target"),
        ] {
            for format in ["text", "json", "csv"] {
                let args = ["show", table, "--where", filter, "--columns", columns, "--format", format];
                let output = run(&args);
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
                assert_eq!(obeyed(&output.stdout), None, "{args:?}: {text}");
                let shown = text.replace("\\\\", "\\");
                assert!(table == "process_file" || shown.contains("ev\\x1b[2J"), "{args:?} does not show it: {text}");
                match format {
                    "json" => {
                        let rows: Value = serde_json::from_str(&text).unwrap();
                        assert!(!rows.as_array().unwrap().is_empty());
                    }
                    // a line end in a name would be another row
                    _ if table != "process_file" => assert_eq!(text.lines().count(), 2, "{args:?}: {text}"),
                    _ => {}
                }
            }
        }
        for args in [
            &["doctor"][..],
            &["show", "listener"],
            &["show", "collector"],
            &["show", "mount", "--format", "prometheus"],
        ] {
            let output = run(args);
            assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(obeyed(&output.stdout), None, "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        }
        // what the user types comes back in messages
        for args in [
            &["show", "\x1b[2Jtable"][..],
            &["show", "process", "--where", "name == \"\x1b[2J\" and \u{202e}"],
            &["show", "process", "--columns", "\u{9b}31m"],
            &["--theme", "\x1b]0;x\x07", "show", "load"],
            &["check", "/nonexistent/\x1b[2J"],
        ] {
            let output = run(args);
            assert_eq!(output.status.code(), Some(2), "{args:?}");
            assert_eq!(obeyed(&output.stderr), None, "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
    });
}

#[test]
fn root_hostile_names_are_seen_and_not_obeyed_on_every_page() {
    in_strange_company(|strangers| {
        let pid = strangers.sleeper.pid();
        for (table, seen) in [("link", "v0"), ("mount", "/mnt"), ("process", "ev\\x1b"), ("listener", "127.0.0.1")] {
            let mut session = Session::ready(220, 60, &["--view", table]);
            if table == "process" {
                session.send(format!("/pid == {pid}\r"));
            }
            session.wait_for(seen, |screen| screen.contains(seen));
            // choose a row, its details and their pages, long columns, then the views
            for keys in ["\x1b[B", "\r", "\t", "\t", "\t", "\t"] {
                session.send(keys);
                session.pump_for(Duration::from_millis(200));
            }
            session.escape();
            for _ in 0..6 {
                session.send("\t");
                session.pump_for(Duration::from_millis(200));
            }
            session.send("q");
            let begin = Instant::now();
            session.end();
            assert!(begin.elapsed() < Duration::from_secs(3));
            assert_eq!(first_forbidden(&session.raw), None, "{table}");
        }
    });
}
