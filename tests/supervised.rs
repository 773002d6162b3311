//! Does an agent do what those who keep it running expect: systemd, supervisord, a shell?
//!
//! A real `netglance serve` with what such a keeper gives it: sockets, a place for notices, a pipe that nobody reads, signals.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use support::process::{as_nobody, usage};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

struct Agent {
    child: Child,
    said: Receiver<String>,
}

/// A file with a configuration, and a socket beside it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(config: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.configure(config);
        place
    }

    fn configure(&self, config: &str) {
        let socket = self.socket();
        let text = format!("[serve]\nlisten = []\nsocket = \"{}\"\n{config}", socket.display());
        std::fs::write(self.config(), text).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("netglance.toml")
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
        command.arg("--config").arg(self.config()).arg("serve").stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

impl Agent {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, said) = channel();
        if let Some(err) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(err).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self { child, said }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The next message with these words.
    fn says(&self, words: &str) -> String {
        let start = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let line = self.said.recv_timeout(left).unwrap_or_else(|_| panic!("nothing was said of `{words}`"));
            if line.contains(words) {
                return line;
            }
        }
    }

    fn part(&self, name: &str) -> Option<i32> {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().map(|pid| pid.parse().unwrap()).find(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.ends_with(format!("{name}\0").as_bytes())
        })
    }

    fn signal(&self, signal: i32) {
        send(self.pid(), signal);
    }

    /// Ends it as keepers do, and says how long that took.
    fn stop(mut self) -> Duration {
        let asked = Instant::now();
        self.signal(libc::SIGTERM);
        assert!(self.child.wait().unwrap().success());
        asked.elapsed()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(pid: i32, signal: i32) {
    // SAFETY: the agent, or a child of it, which this test has started
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Waits for a condition that another process brings about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// First line of the answer to a request.
fn get(stream: impl std::io::Read + std::io::Write, path: &str) -> Option<String> {
    Some(answer(stream, path)?.lines().next()?.to_owned())
}

/// The answer to a request.
fn answer(mut stream: impl std::io::Read + std::io::Write, path: &str) -> Option<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn is_ready(socket: &Path) -> bool {
    let answer = UnixStream::connect(socket).ok().and_then(|stream| get(stream, "/readyz"));
    answer.is_some_and(|line| line.contains(" 200 "))
}

#[test]
fn systemd_is_told_when_it_is_ready_alive_reloading_and_stopping() {
    let place = Place::new("");
    let path = place.dir.path().join("notify");
    let notices = UnixDatagram::bind(&path).unwrap();
    notices.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut text = [0; 256];
        let length = notices.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let until_told = |wanted: &str| {
        loop {
            let notice = next();
            if notice.starts_with(wanted) {
                return notice;
            }
            assert_eq!(notice, "WATCHDOG=1", "before {wanted}");
        }
    };
    let mut command = place.command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
    let agent = Agent::start(command);
    until_told("READY=1");
    assert!(is_ready(&place.socket()));
    // again and again
    assert_eq!([next(), next()], ["WATCHDOG=1", "WATCHDOG=1"]);
    agent.signal(libc::SIGHUP);
    assert!(until_told("RELOADING=1").contains("\nMONOTONIC_USEC="));
    until_told("READY=1");
    // a sampler that hangs feeds no watchdog
    let sampler = agent.part("sampler").unwrap();
    send(sampler, libc::SIGSTOP);
    notices.set_nonblocking(true).unwrap();
    while notices.recv(&mut [0; 256]).is_ok() {}
    notices.set_nonblocking(false).unwrap();
    notices.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    assert!(notices.recv(&mut [0; 256]).is_err());
    send(sampler, libc::SIGCONT);
    notices.set_read_timeout(Some(PATIENCE)).unwrap();
    agent.signal(libc::SIGTERM);
    until_told("STOPPING=1");
}

#[test]
fn sockets_of_systemd_are_served_and_those_of_the_configuration_are_not() {
    let place = Place::new("");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = Command::new("sh");
    let hand_over = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=tcp; exec \"$0\" \"$@\" 3<&0 </dev/null";
    command.args(["-c", hand_over]).arg(place.command().get_program()).args(place.command().get_args());
    command.stdin(OwnedFd::from(listener)).stderr(Stdio::piped());
    let agent = Agent::start(command);
    agent.says(&format!("listening on {address}"));
    until("an answer", || {
        TcpStream::connect(address)
            .ok()
            .and_then(|stream| get(stream, "/readyz"))
            .is_some_and(|line| line.contains("200"))
    });
    assert!(!place.socket().exists());
    assert!(agent.stop() < Duration::from_secs(2));
}

#[test]
fn a_hangup_reads_the_configuration_again_and_a_wrong_one_changes_nothing() {
    let place = Place::new("");
    let agent = Agent::start(place.command());
    until("samples", || is_ready(&place.socket()));
    let parts = || [agent.part("sampler").unwrap(), agent.part("front").unwrap()];
    let before = parts();
    std::fs::write(place.config(), "[serve]\nlisten = 7\n").unwrap();
    agent.signal(libc::SIGHUP);
    let told = agent.says("the old configuration stays in force");
    assert!(told.contains("netglance.toml:2:") && told.contains("a list of them"), "{told}");
    place.configure("[collect.load]\nenabled = false\n");
    agent.signal(libc::SIGHUP);
    agent.says("the configuration was read again");
    place.configure("socket_mode = \"0600\"\n");
    agent.signal(libc::SIGHUP);
    let told = agent.says("where the agent listens changes when it is restarted");
    assert!(told.contains(&format!("still listening on unix:{}", place.socket().display())), "{told}");
    assert_eq!(parts(), before);
    assert!(is_ready(&place.socket()));
    // what the front alone does
    place.configure("socket_mode = \"0600\"\nmetrics_series = 0\n");
    agent.signal(libc::SIGHUP);
    agent.says("the front is started again for it");
    until("another front", || agent.part("front").is_some_and(|front| front != before[1]));
    until("samples", || is_ready(&place.socket()));
    assert_eq!(agent.part("sampler"), Some(before[0]));
    let metrics = || UnixStream::connect(place.socket()).ok().and_then(|stream| answer(stream, "/metrics"));
    until("the new limit", || metrics().is_some_and(|metrics| !metrics.contains("netglance_load_one")));
    // what the sampler does with it
    let threshold = "[[threshold]]\ntable = \"load\"\ncolumn = \"one\"\nwarning = 0\n";
    place.configure(&format!("socket_mode = \"0600\"\nmetrics_series = 0\n{threshold}"));
    let rule = "defaults = false\n[[alert]]\nname = 'any'\ntable = 'load'\nvalue = 'one'\n";
    std::fs::write(place.config().with_file_name("alerts.toml"), rule).unwrap();
    agent.signal(libc::SIGHUP);
    agent.says("the configuration was read again");
    let alerts = || UnixStream::connect(place.socket()).ok().and_then(|stream| answer(stream, "/api/v1/alerts"));
    until("the new threshold", || alerts().is_some_and(|alerts| alerts.contains("\"load\"")));
}

#[test]
fn a_part_that_crashes_is_started_with_what_was_accepted_last() {
    let place = Place::new("");
    let agent = Agent::start(place.command());
    until("samples", || is_ready(&place.socket()));
    std::fs::write(place.config(), "[serve\n").unwrap();
    for part in ["sampler", "front"] {
        let before = agent.part(part).unwrap();
        send(before, libc::SIGKILL);
        until("another one", || agent.part(part).is_some_and(|other| other != before));
        agent.says(&format!("the {part} has ended"));
    }
    until("samples", || is_ready(&place.socket()));
    assert!(agent.said.try_iter().all(|line| !line.contains("has ended")));
}

#[test]
fn a_sampler_that_hangs_is_reported_by_the_front_and_then_started_again() {
    let place = Place::new("silence = \"9s\"\n");
    let agent = Agent::start(place.command());
    until("samples", || is_ready(&place.socket()));
    let (sampler, front) = (agent.part("sampler").unwrap(), agent.part("front").unwrap());
    send(sampler, libc::SIGSTOP);
    until("the report", || {
        UnixStream::connect(place.socket())
            .ok()
            .and_then(|stream| get(stream, "/readyz"))
            .is_some_and(|line| line.contains("503"))
    });
    assert_eq!(agent.part("sampler"), Some(sampler));
    agent.says("the sampler has said nothing for");
    until("another sampler", || agent.part("sampler").is_some_and(|other| other != sampler));
    until("samples", || is_ready(&place.socket()));
    assert_eq!(agent.part("front"), Some(front));
}

#[test]
fn a_front_that_hangs_is_started_again_and_the_past_stays() {
    let place = Place::new("silence = \"4s\"\n");
    let agent = Agent::start(place.command());
    until("samples", || is_ready(&place.socket()));
    let (sampler, front) = (agent.part("sampler").unwrap(), agent.part("front").unwrap());
    send(front, libc::SIGSTOP);
    agent.says("the front has said nothing for");
    until("another front", || agent.part("front").is_some_and(|other| other != front));
    until("samples", || is_ready(&place.socket()));
    assert_eq!(agent.part("sampler"), Some(sampler));
}

/// The end of the control socket that a part has, as somebody has it who has taken that part over; `None` if this user may not.
fn taken_over(part: i32) -> Option<UnixStream> {
    // SAFETY: numbers only; what is returned is open and nobody else's
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, part, 0) as i32;
        if process < 0 {
            return None;
        }
        let process = OwnedFd::from_raw_fd(process);
        let control = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), 3, 0) as i32;
        (control >= 0).then(|| OwnedFd::from_raw_fd(control).into())
    }
}

#[test]
fn a_front_that_never_stops_talking_does_not_keep_signals_away() {
    let place = Place::new("");
    let mut agent = Agent::start(place.command());
    until("the agent", || is_ready(&place.socket()));
    let Some(mut control) = taken_over(agent.part("front").unwrap()) else {
        eprintln!("left out: this user may not take descriptors of another process");
        return;
    };
    let talk = std::thread::spawn(move || {
        loop {
            match control.write(&[b'A'; 4096]) {
                Err(cause) if cause.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(_) => return,
                Ok(_) => {}
            }
        }
    });
    std::thread::park_timeout(Duration::from_millis(500));
    agent.signal(libc::SIGTERM);
    until("its end", || agent.child.try_wait().unwrap().is_some());
    talk.join().unwrap();
}

#[test]
fn a_front_that_asks_for_links_all_the_time_gets_one_after_another() {
    let place = Place::new("");
    let agent = Agent::start(place.command());
    until("the agent", || is_ready(&place.socket()));
    let (sampler, front) = (agent.part("sampler").unwrap(), agent.part("front").unwrap());
    let Some(mut control) = taken_over(front) else {
        eprintln!("left out: this user may not take descriptors of another process");
        return;
    };
    let threads = || usage(sampler as u32).unwrap().threads;
    let (before, mut most, begin) = (threads(), 0, Instant::now());
    while begin.elapsed() < Duration::from_secs(4) {
        // as much as the supervisor takes
        let _ = control.write(&[b'L'; 4096]);
        most = most.max(threads());
    }
    assert!(most <= before + 4, "{before} threads, then {most}");
    drop(control);
    until("samples", || is_ready(&place.socket()));
    assert_eq!((agent.part("sampler"), agent.part("front")), (Some(sampler), Some(front)));
}

#[test]
fn a_moment_without_threads_ends_neither_the_sampler_nor_the_past() {
    let place = Place::new("");
    let mut command = place.command();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        // root may have as many as it likes
        std::os::unix::fs::chown(place.dir.path(), Some(65534), Some(65534)).unwrap();
        as_nobody(&mut command);
    }
    let agent = Agent::start(command);
    until("the agent", || is_ready(&place.socket()));
    let (sampler, front) = (agent.part("sampler").unwrap(), agent.part("front").unwrap());
    let limit = |threads: &str| {
        let mut command = Command::new("prlimit");
        if is_root {
            as_nobody(&mut command);
        }
        let ended = command.args(["--pid", &sampler.to_string(), &format!("--nproc={threads}:")]).status();
        assert!(ended.expect("util-linux is installed").success());
    };
    limit("1");
    send(front, libc::SIGKILL);
    agent.says("the sampler takes no link");
    limit("4096");
    until("the next link", || is_ready(&place.socket()));
    assert_eq!(agent.part("sampler"), Some(sampler));
}

#[test]
fn a_moment_without_descriptors_ends_neither_the_agent_nor_the_past() {
    let place = Place::new("");
    let agent = Agent::start(place.command());
    until("the agent", || is_ready(&place.socket()));
    let (sampler, front) = (agent.part("sampler").unwrap(), agent.part("front").unwrap());
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: valid pointers, and the agent that this test has started
    let set = |new: Option<&libc::rlimit>, old: Option<&mut libc::rlimit>| unsafe {
        let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
        let old = old.map_or(std::ptr::null_mut(), std::ptr::from_mut);
        assert_eq!(libc::prlimit(agent.pid(), libc::RLIMIT_NOFILE, new, old), 0);
    };
    set(None, Some(&mut limit));
    // enough to wait with, and not for another
    set(Some(&libc::rlimit { rlim_cur: 5, ..limit }), None);
    if let Some(mut control) = taken_over(front) {
        control.write_all(b"L").unwrap();
        agent.says("no link for the front");
    }
    send(front, libc::SIGKILL);
    agent.says("the front has ended");
    agent.says("the front cannot be started");
    assert_eq!(agent.part("sampler"), Some(sampler));
    set(Some(&limit), None);
    until("the next front", || is_ready(&place.socket()));
    assert_eq!(agent.part("sampler"), Some(sampler));
}

#[test]
fn root_that_may_not_become_another_user_serves_all_the_same_and_says_so() {
    const SETUID: u64 = 7;
    let place = Place::new("");
    let mut command = place.command();
    // SAFETY: only a system call that may be made between fork and exec
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, SETUID, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let agent = Agent::start(command);
    agent.says("the front stays root, without capabilities");
    until("samples", || is_ready(&place.socket()));
    let front = agent.part("front").unwrap();
    let status = std::fs::read_to_string(format!("/proc/{front}/status")).unwrap();
    for line in ["CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(&format!("\n{line}\n")), "{line}: {status}");
    }
    assert!(agent.stop() < Duration::from_secs(2));
}

#[test]
fn a_part_that_keeps_crashing_is_started_ever_later() {
    let place = Place::new("");
    let agent = Agent::start(place.command());
    let mut waits = Vec::new();
    for _ in 0..4 {
        until("a front", || agent.part("front").is_some());
        send(agent.part("front").unwrap(), libc::SIGKILL);
        let told = agent.says("the front has ended");
        waits.push(told.rsplit(' ').next().unwrap().to_owned());
    }
    assert_eq!(waits, ["200ms", "400ms", "800ms", "1600ms"]);
    until("samples", || is_ready(&place.socket()));
}

#[test]
fn nothing_waits_for_a_reader_of_standard_error() {
    let place = Place::new("");
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: takes numbers, of a pipe of our own
    unsafe {
        libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096);
        libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
    }
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    while (&writer).write(b"x").is_ok() {}
    // SAFETY: as above
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, 0) };
    let mut command = place.command();
    command.stderr(writer);
    let agent = Agent::start(command);
    until("samples", || is_ready(&place.socket()));
    // what happens now is told, to nobody
    let front = agent.part("front").unwrap();
    send(front, libc::SIGKILL);
    until("another front", || agent.part("front").is_some_and(|other| other != front));
    until("samples", || is_ready(&place.socket()));
    assert!(agent.stop() < Duration::from_secs(2));
    // and it is only the full pipe that kept it from us
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("xxx"));
}

#[test]
fn the_socket_has_its_mode_and_goes_with_the_agent() {
    let place = Place::new("socket_mode = \"0600\"\n");
    let agent = Agent::start(place.command());
    until("samples", || is_ready(&place.socket()));
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(place.socket()).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let second = place.command().output().unwrap();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(1) && told.contains("another agent listens there"), "{told}");
    assert!(is_ready(&place.socket()));
    assert!(agent.stop() < Duration::from_secs(2));
    assert!(!place.socket().exists());
}

#[test]
fn several_addresses_of_both_families_are_served() {
    let place = Place::new("");
    let mut command = place.command();
    command.args(["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    let agent = Agent::start(command);
    for family in ["127.0.0.1:", "[::1]:"] {
        let told = agent.says(&format!("listening on {family}"));
        let address = told.rsplit(' ').next().unwrap().to_owned();
        until("an answer", || {
            TcpStream::connect(&address)
                .ok()
                .and_then(|stream| get(stream, "/healthz"))
                .is_some_and(|line| line.contains("200"))
        });
    }
}
