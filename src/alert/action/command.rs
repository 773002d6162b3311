//! How is a program told?
//!
//! Its path and arguments are those of the configuration and nothing else: what was observed stands in its environment and, as
//! JSON, on its standard input. It has a session and a process group of its own, and all of that is killed when it ends or its
//! time is over. It inherits no descriptor, and no environment but a fixed `PATH`.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::settings::Command;
use super::{webhook, words};
use crate::alert::{Failure, Message};
use crate::model::{Text, lock};

/// What a program finds its own programs by.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes of what it says that are kept, from the end.
const KEPT: usize = 4 << 10;

/// Bytes that are read at once.
const PIECE: usize = 4 << 10;

/// Pieces that a pipe holds at most.
const HELD: usize = (64 << 10) / PIECE;

/// Tasks that it may make beside those that its user has already.
const TASKS: u64 = 64;

/// Process groups of programs that run.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    groups: BTreeSet<i32>,
    /// Whether nothing is to run any more.
    is_over: bool,
}

impl Groups {
    /// Kills all of them, and those that still come.
    pub(super) fn end(&self) {
        let mut known = lock(&self.0);
        known.is_over = true;
        for group in &known.groups {
            kill(*group);
        }
    }

    fn add(&self, group: i32) {
        let mut known = lock(&self.0);
        known.groups.insert(group);
        if known.is_over {
            kill(group);
        }
    }

    /// Kills one whose first process was not waited for: until then nobody else gets its number.
    fn remove(&self, group: i32) {
        let mut known = lock(&self.0);
        known.groups.remove(&group);
        kill(group);
    }
}

fn kill(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
}

/// Runs it until it ends.
///
/// # Errors
/// It cannot be started, fails, or takes too long.
pub(super) fn run(
    command: &Command,
    groups: &Groups,
    message: &Message,
    until: Instant,
    hear: &super::Hear,
) -> Result<(), Failure> {
    let [program, arguments @ ..] = command.argv.as_slice() else {
        return Err(Failure::refused("run a program: there is none".to_owned()));
    };
    let failed = |cause: io::Error| Failure::unsent(format!("run {program}: {cause}"));
    let broken = |cause: io::Error| Failure::unknown(format!("run {program}: {cause}"));
    let (said, theirs) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|cause| failed(cause.into()))?;
    let mut started = std::process::Command::new(program);
    started.args(arguments).env_clear().env("PATH", PATH).envs(variables(message)).current_dir("/");
    started.stdin(Stdio::piped()).stderr(theirs.try_clone().map_err(failed)?).stdout(theirs);
    let tasks = tasks() + TASKS;
    // SAFETY: only system calls that may be made between fork and exec
    unsafe { started.pre_exec(move || alone(tasks)) };
    let child = started.spawn();
    // its own ends of the pipe are to be the last ones
    drop(started);
    let child = child.map_err(failed)?;
    let group = child.id() as i32;
    groups.add(group);
    let mut running = Running { child, input: input(message), said: Vec::new() };
    let heard = running.hear(said, until);
    groups.remove(group);
    let status = running.child.wait().map_err(broken)?;
    let ended = if heard.map_err(broken)? { Ended::So(status) } else { Ended::Late };
    let judged = ended.judged(program);
    let words: Vec<u8> =
        running.said.trim_ascii().iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    match judged {
        Err(failure) if !words.is_empty() => {
            hear(&format!("{failure}; it said: {}", words::end(&Text::long(&words), KEPT)));
            Err(Failure { cause: format!("{failure}; the log has what it said"), ..failure })
        }
        judged => judged,
    }
}

/// What a program reads.
fn input(message: &Message) -> Vec<u8> {
    webhook::plain(message).to_string().into_bytes()
}

/// What came of a program.
enum Ended {
    /// By itself or by a signal.
    So(std::process::ExitStatus),
    /// It was killed.
    Late,
}

impl Ended {
    fn judged(&self, program: &str) -> Result<(), Failure> {
        let how = match self {
            Self::So(status) if status.success() => return Ok(()),
            Self::So(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with {code}"),
                (None, signal) => format!("signal {} ended it", signal.unwrap_or_default()),
            },
            Self::Late => "it took too long, and was killed".to_owned(),
        };
        // what it did before that nobody knows
        Err(Failure::unknown(format!("run {program}: {how}")))
    }
}

/// A program that was started.
struct Running {
    child: Child,
    /// What it was not told yet.
    input: Vec<u8>,
    /// The end of what it has said.
    said: Vec<u8>,
}

impl Running {
    /// Tells it and hears it; whether it ended in time.
    fn hear(&mut self, said: OwnedFd, until: Instant) -> io::Result<bool> {
        let pid = Pid::from_raw(self.child.id() as i32).ok_or(rustix::io::Errno::SRCH)?;
        let end = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        rustix::io::ioctl_fionbio(&said, true)?;
        let mut said = Some(std::fs::File::from(said));
        let mut input = self.child.stdin.take();
        if let Some(input) = &input {
            rustix::io::ioctl_fionbio(input, true)?;
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let mut fds = vec![PollFd::new(&end, PollFlags::IN)];
            fds.extend(said.as_ref().map(|said| PollFd::new(said, PollFlags::IN)));
            fds.extend(input.as_ref().map(|input| PollFd::from_borrowed_fd(input.as_fd(), PollFlags::OUT)));
            match poll(&mut fds, Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(cause) => return Err(cause.into()),
            }
            let has_ended = fds.first().is_some_and(|end| !end.revents().is_empty());
            self.tell(&mut input);
            if said.as_mut().is_some_and(|said| !self.listen(said)) {
                said = None;
            }
            if has_ended {
                // what it said last may still be in the pipe
                let _ = said.is_some_and(|mut said| (0..HELD).all(|_| self.listen(&mut said)));
                return Ok(true);
            }
        }
    }

    /// Writes what has room; who takes nothing any more is told nothing.
    fn tell(&mut self, input: &mut Option<ChildStdin>) {
        let Some(open) = input else { return };
        match open.write(&self.input) {
            Ok(written) => drop(self.input.drain(..written)),
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            Err(_) => self.input.clear(),
        }
        if self.input.is_empty() {
            *input = None;
        }
    }

    /// Reads one piece; whether there may be more.
    fn listen(&mut self, said: &mut std::fs::File) -> bool {
        let mut piece = [0; PIECE];
        match said.read(&mut piece) {
            Ok(0) => false,
            Ok(read) => {
                self.said.extend_from_slice(piece.get(..read).unwrap_or_default());
                let more = self.said.len().saturating_sub(KEPT);
                self.said.drain(..more);
                true
            }
            Err(cause) => matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
}

/// Between fork and exec: a session of its own that ends with this thread, no descriptors, few tasks, no memory image.
fn alone(tasks: u64) -> io::Result<()> {
    let limits = [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_NPROC, tasks)];
    // SAFETY: take numbers, and pointers to what lives long enough
    unsafe {
        if libc::setsid() < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        for (resource, most) in limits {
            let mut now: libc::rlimit = std::mem::zeroed();
            libc::getrlimit(resource, &raw mut now);
            now.rlim_max = now.rlim_max.min(most);
            now.rlim_cur = now.rlim_cur.min(now.rlim_max);
            if libc::setrlimit(resource, &raw const now) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Tasks of this user now: the kernel counts those of all its programs, also of those whose files are root's because they let
/// nobody look at their memory.
fn tasks() -> u64 {
    let own = rustix::process::getuid().as_raw();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let statuses = entries.filter(|entry| is_process(&entry.file_name()));
    let statuses = statuses.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
    statuses.filter_map(|status| threads(&status, own)).sum()
}

/// Threads of a process, by its `/proc/PID/status`; `None` if it is another user's.
fn threads(status: &str, user: u32) -> Option<u64> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next());
    let is_own = field("Uid:")?.parse::<u32>().is_ok_and(|uid| uid == user);
    is_own.then(|| field("Threads:").and_then(|count| count.parse().ok()).unwrap_or(1))
}

/// What a program finds in its environment: about the worst change, and how many there are.
fn variables(message: &Message) -> Vec<(&'static str, String)> {
    let count = message.notifications.len() as u64 + message.more;
    let mut all = vec![
        ("NETGLANCE_ALERT_HOST", message.host.clone()),
        ("NETGLANCE_ALERT_COUNT", count.to_string()),
        ("NETGLANCE_ALERT_SEVERITY", message.severity().name().to_owned()),
    ];
    if let Some(one) = message.notifications.first() {
        all.extend([
            ("NETGLANCE_ALERT_ID", one.id.clone()),
            ("NETGLANCE_ALERT_RULE", one.rule.clone()),
            ("NETGLANCE_ALERT_INSTANCE", one.instance.clone()),
            ("NETGLANCE_ALERT_TABLE", one.table.clone()),
            ("NETGLANCE_ALERT_CHANGE", one.change.name().to_owned()),
            ("NETGLANCE_ALERT_TEXT", one.text.clone()),
            ("NETGLANCE_ALERT_VALUE", one.value.clone().unwrap_or_default()),
            ("NETGLANCE_ALERT_PEAK", one.peak.clone().unwrap_or_default()),
            ("NETGLANCE_ALERT_BEGIN", one.begin.to_string()),
            ("NETGLANCE_ALERT_END", one.end.map(|end| end.to_string()).unwrap_or_default()),
        ]);
    }
    // whoever handed it over may have been taken over: no end of a string in it, and a bound
    all.into_iter().map(|(name, value)| (name, Text::from(value).as_str().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Fate;
    use std::time::Duration;

    fn command(script: &str) -> Command {
        Command { argv: ["/bin/sh", "-c", script].map(str::to_owned).into() }
    }

    fn told(script: &str, seconds: u64) -> Result<(), Failure> {
        heard(script, seconds).0
    }

    /// What came of a script, and what was heard of it.
    fn heard(script: &str, seconds: u64) -> (Result<(), Failure>, String) {
        let (told, hears) = std::sync::mpsc::channel();
        let hear: super::super::Hear = {
            let told = Mutex::new(told);
            Box::new(move |said| lock(&told).send(said.to_owned()).unwrap())
        };
        let until = Instant::now() + Duration::from_secs(seconds);
        let ended = run(&command(script), &Groups::default(), &words::message("a b"), until, &hear);
        (ended, hears.try_iter().collect())
    }

    fn nobody() -> super::super::Hear {
        Box::new(|_| {})
    }

    /// What a script writes to the file that its first line names.
    fn written(script: &str, message: &Message) -> String {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let script = format!("exec >{}\n{script}", out.display());
        let until = Instant::now() + Duration::from_secs(20);
        run(&command(&script), &Groups::default(), message, until, &nobody()).unwrap();
        std::fs::read_to_string(out).unwrap()
    }

    #[test]
    fn values_are_in_the_environment_and_on_standard_input_only() {
        let hostile = "$(touch x) `id`; -rf \"'\\ &&";
        let message = words::message(hostile);
        assert_eq!(written("printf %s \"$NETGLANCE_ALERT_TEXT\"", &message), hostile);
        assert_eq!(
            written("printf %s \"$NETGLANCE_ALERT_SEVERITY $NETGLANCE_ALERT_COUNT $#\"", &message),
            "critical 1 0"
        );
        let input: serde_json::Value = serde_json::from_str(&written("cat", &message)).unwrap();
        assert_eq!((&input["host"], &input["notifications"][0]["text"]), (&"hv1".into(), &hostile.into()));
        let names = written("env | sed 's/=.*//' | sort | tr '\\n' ' '", &words::message("x"));
        let own = "NETGLANCE_ALERT_BEGIN NETGLANCE_ALERT_CHANGE NETGLANCE_ALERT_COUNT NETGLANCE_ALERT_END \
                   NETGLANCE_ALERT_HOST NETGLANCE_ALERT_ID NETGLANCE_ALERT_INSTANCE NETGLANCE_ALERT_PEAK \
                   NETGLANCE_ALERT_RULE NETGLANCE_ALERT_SEVERITY NETGLANCE_ALERT_TABLE NETGLANCE_ALERT_TEXT \
                   NETGLANCE_ALERT_VALUE PATH PWD ";
        assert_eq!(names.replace("SHLVL ", "").replace("_ ", ""), own);
        let mut broken = words::message("x");
        broken.notifications[0].text = "a\0b".to_owned();
        assert_eq!(written("printf %s \"$NETGLANCE_ALERT_TEXT\"", &broken), "a\\x00b");
    }

    #[test]
    fn all_tasks_of_a_user_count() {
        let status = "Name:\tUid:\nUmask:\t0022\nUid:\t7\t8\t9\t10\nThreads:\t12\nSigQ:\t0/1\n";
        assert_eq!((threads(status, 7), threads(status, 8), threads("", 7)), (Some(12), None, None));
        let begin = tasks();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let more = std::thread::spawn(move || wait.recv());
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(threads(&own, rustix::process::getuid().as_raw()) > Some(1) && begin > 0);
        drop(end);
        let _ = more.join().unwrap();
    }

    #[test]
    fn it_is_alone() {
        let message = words::message("x");
        let open =
            "for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do [ -e /proc/$$/fd/$n ] && printf '%s ' $n; done; true";
        assert_eq!(written(open, &message).trim(), "0 1 2");
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        let own: i32 = own.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().parse().unwrap();
        let of = written("cut -d' ' -f1,5,6 /proc/$$/stat; pwd", &message);
        let (numbers, dir) = of.split_once('\n').unwrap();
        let numbers: Vec<i32> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(numbers[0] == numbers[1] && numbers[1] == numbers[2] && numbers[2] != own, "{numbers:?}");
        assert_eq!(dir.trim(), "/");
        assert_eq!(written("ulimit -c", &message).trim(), "0");
    }

    #[test]
    fn what_goes_wrong_is_told_and_the_end_of_what_it_said_is_for_the_log() {
        let (failed, said) = heard("yes x | head -c 100000; echo the last words >&2; exit 3", 20);
        let failed = failed.unwrap_err();
        // it may be secret, and the reason is in a table
        assert_eq!(failed, Failure::unknown("run /bin/sh: it ended with 3; the log has what it said".to_owned()));
        assert!(said.starts_with("run /bin/sh: it ended with 3; it said: "), "{said}");
        assert!(said.ends_with("the last words") && said.len() < 4096 + 100, "{}", said.len());
        assert_eq!(heard("echo fine", 20), (Ok(()), String::new()));
        let failed = told("kill -9 $$", 20).unwrap_err();
        assert_eq!(failed.cause, "run /bin/sh: signal 9 ended it");
        let (_, said) = heard("printf '\\033]0;x\\007'; exit 1", 20);
        assert!(said.ends_with("it said: \\x1b]0;x\\x07"), "{said}");
        let absent = Command { argv: vec!["/nonexistent/page".to_owned()] };
        let until = Instant::now() + Duration::from_secs(20);
        let failed = run(&absent, &Groups::default(), &words::message("x"), until, &nobody()).unwrap_err();
        assert!(
            failed.fate == Fate::Unsent && failed.cause.starts_with("run /nonexistent/page: No such file"),
            "{failed}"
        );
        // who reads nothing is told all the same
        let mut large = words::message("x");
        large.notifications[0].top = vec!["y".repeat(1000); 500];
        run(&command("true"), &Groups::default(), &large, until, &nobody()).unwrap();
    }

    #[test]
    fn all_of_it_is_killed_when_its_time_is_over_and_when_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let held = dir.path().join("held");
        let make =
            || rustix::fs::mknodat(rustix::fs::CWD, &held, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0);
        make().unwrap();
        for (script, is_late) in [("sleep 1000 & sleep 1000", true), ("sleep 1000 & true", false)] {
            // opened by both, so that the end of the last one that holds it is seen here
            let open = std::fs::OpenOptions::new().read(true).write(true).open(&held).unwrap();
            let script = format!("exec 9>{}\n{script}", held.display());
            let failed = told(&script, 1);
            assert_eq!(failed.is_err_and(|failed| failed.cause.contains("took too long")), is_late);
            let mut reader = std::fs::File::open(&held).unwrap();
            drop(open);
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    }
}
