//! Does the dashboard behave in a real terminal, from its first frame to the state it leaves behind?
//!
//! Starts the program in a pseudo-terminal, feeds what it writes to a terminal emulator, sends keys and signals, and
//! reads the screen. Every wait ends with a condition or with a bound; nothing sleeps.

#![cfg(test)]

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, MasterPty, PtySize, SlavePty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::termios::{Termios, tcgetattr};

/// Longest wait for something on the screen, for a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
/// Longest way out.
const LEAVE: Duration = Duration::from_secs(3);

/// The program in its terminal.
struct Session {
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    pidfd: OwnedFd,
    /// Kept open, so that the terminal can be asked for its modes after the end.
    _slave: Box<dyn SlavePty + Send>,
    tty: std::path::PathBuf,
    before: Termios,
    emulator: vt100::Parser,
    raw: Vec<u8>,
    _home: tempfile::TempDir,
}

fn pty_size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn emulator(columns: u16, rows: u16) -> vt100::Parser {
    vt100::Parser::new(rows.max(1).try_into().unwrap(), columns.max(1).try_into().unwrap(), 0)
}

fn modes(tty: &Path) -> Termios {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    tcgetattr(rustix::fs::open(tty, flags, rustix::fs::Mode::empty()).unwrap()).unwrap()
}

fn readable(fd: BorrowedFd<'_>, wait: Duration) -> bool {
    let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).is_ok_and(|count| count > 0)
}

impl Session {
    fn start(columns: u16, rows: u16, args: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let pair = portable_pty::native_pty_system().openpty(pty_size(columns, rows)).unwrap();
        let tty = pair.master.tty_name().unwrap();
        let before = modes(&tty);
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_netglance"));
        command.env_clear();
        command.args(args);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("HOME", home.path());
        command.env("XDG_CONFIG_HOME", home.path());
        let child = pair.slave.spawn_command(command).unwrap();
        let pid = Pid::from_raw(child.process_id().unwrap() as i32).unwrap();
        Self {
            keys: Some(pair.master.take_writer().unwrap()),
            pidfd: pidfd_open(pid, PidfdFlags::empty()).unwrap(),
            master: Some(pair.master),
            child,
            _slave: pair.slave,
            tty,
            before,
            emulator: emulator(columns, rows),
            raw: Vec::new(),
            _home: home,
        }
    }

    /// A session that has drawn its first full frame.
    fn ready(columns: u16, rows: u16, args: &[&str]) -> Self {
        let mut session = Self::start(columns, rows, args);
        session.wait_for("the name of this host", |screen| screen.contains(&hostname()));
        session
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap()
    }

    /// Takes what the program has written, waiting for it at most so long.
    fn pump(&mut self, wait: Duration) {
        let fd = self.master.as_ref().unwrap().as_raw_fd().unwrap();
        // SAFETY: the master outlives this call.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let mut buffer = [0; 1 << 13];
        if readable(fd, wait)
            && let Ok(count) = rustix::io::read(fd, &mut buffer)
        {
            self.raw.extend_from_slice(&buffer[..count]);
            self.emulator.process(&buffer[..count]);
        }
    }

    /// Sends Esc alone: right before a character it would be the Alt key to every terminal program.
    fn escape(&mut self) {
        self.send("\x1b");
        let end = Instant::now() + Duration::from_millis(300);
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.pump(left);
        }
    }

    fn screen(&self) -> String {
        self.emulator.screen().contents()
    }

    fn wait_for(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let end = Instant::now() + PATIENT;
        while !condition(&self.screen()) {
            let gone = readable(self.pidfd.as_fd(), Duration::ZERO);
            assert!(!gone, "the program ended before the screen showed {what}:\n{}", self.screen());
            assert!(Instant::now() < end, "no {what} on the screen:\n{}", self.screen());
            self.pump(Duration::from_millis(50));
        }
    }

    fn send(&mut self, keys: &str) {
        let writer = self.keys.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.master.as_ref().unwrap().resize(pty_size(columns, rows)).unwrap();
        self.emulator.screen_mut().set_size(rows.max(1).try_into().unwrap(), columns.max(1).try_into().unwrap());
    }

    /// Waits for the end while the terminal takes everything, and gives the exit code.
    fn end(&mut self) -> u32 {
        let end = Instant::now() + LEAVE;
        while !readable(self.pidfd.as_fd(), Duration::ZERO) {
            assert!(Instant::now() < end, "still there after {LEAVE:?}:\n{}", self.screen());
            self.pump(Duration::from_millis(20));
        }
        // what it wrote last may still be in the terminal's buffer
        let mut seen = usize::MAX;
        while seen != self.raw.len() {
            seen = self.raw.len();
            self.pump(Duration::from_millis(100));
        }
        self.child.wait().unwrap().exit_code()
    }

    fn assert_terminal_is_given_back(&self, how: &str) {
        let screen = self.emulator.screen();
        assert!(!screen.alternate_screen(), "{how}: still on the alternate screen");
        assert!(!screen.hide_cursor(), "{how}: the cursor is hidden");
        assert!(!screen.bracketed_paste(), "{how}: bracketed paste is on");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "{how}: the mouse is taken");
        self.assert_modes_are_back(how);
    }

    fn assert_modes_are_back(&self, how: &str) {
        let after = modes(&self.tty);
        assert_eq!(format!("{after:?}"), format!("{:?}", self.before), "{how}: terminal modes");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().chars().take(12).collect()
}

/// A process that sleeps under a name of our choice, and ends with its owner.
struct Sleeper {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Sleeper {
    fn start(name: &str, argument: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(name);
        std::fs::copy("/bin/sleep", &program).unwrap();
        let child = Command::new(&program).arg0(argument).arg("600").spawn().unwrap();
        Self { child, _dir: dir }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds what must never reach a terminal: an escape sequence that is not one of ours, a control character, a
/// bidirectional control.
fn first_forbidden(raw: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(raw);
    let mut rest = text.as_ref();
    while let Some(ch) = rest.chars().next() {
        let len = if ch == '\x1b' { allowed_sequence(rest)? } else { ch.len_utf8() };
        let hostile = ch.is_control() && !matches!(ch, '\x1b' | '\r' | '\n');
        let bidi = matches!(ch, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if hostile || bidi || len == 0 {
            return Some(rest.chars().take(20).collect::<String>().escape_debug().to_string());
        }
        rest = &rest[len..];
    }
    None
}

/// Length of the sequence at the start of `rest`, 0 when it is not allowed, `None` when the output ends inside it.
fn allowed_sequence(rest: &str) -> Option<usize> {
    let Some(body) = rest.strip_prefix("\x1b[") else { return (rest.len() > 1).then_some(0) };
    let end = body.find(|ch: char| ('@'..='~').contains(&ch))?;
    let (parameters, last) = (&body[..end], body.as_bytes()[end]);
    let plain = parameters.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
    let number = parameters.trim_start_matches('?').trim_end_matches('$');
    let known = matches!(number, "25" | "1000" | "1002" | "1003" | "1004" | "1006" | "1015" | "1049" | "2004" | "2026");
    let ok = match last {
        b'm' | b'H' | b'J' | b'K' | b'A' | b'B' | b'C' | b'D' | b'G' | b'd' | b'X' => plain,
        b'h' | b'l' => parameters.starts_with('?') && known,
        b'p' => parameters.starts_with('?') && parameters.ends_with('$') && known,
        _ => false,
    };
    Some(if ok { 2 + end + 1 } else { 0 })
}

#[test]
fn the_watchman_finds_what_a_terminal_must_not_get() {
    for bad in ["\x1b]0;title\x07", "\x1b[6n", "a\u{9b}31m", "\u{202e}x", "\x1bc", "\x1b[?1h", "\x07", "\x1b[>c"] {
        assert!(first_forbidden(bad.as_bytes()).is_some(), "{bad:?}");
    }
    for good in ["\x1b[?1049h\x1b[2J\x1b[1;1Hx", "\x1b[38;2;1;2;3m│", "\x1b[?2026$p", "größe\r\n"] {
        assert_eq!(first_forbidden(good.as_bytes()), None, "{good:?}");
    }
}

#[test]
fn the_first_screen_shows_this_host_at_every_size() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let mut session = Session::ready(columns, rows, &[]);
        session.wait_for("CPU and memory", |screen| screen.contains("CPU") && screen.contains("Mem"));
        session.wait_for("three quarters of the lines in use", |screen| {
            screen.lines().filter(|line| !line.trim().is_empty()).count() * 4 > usize::from(rows) * 3
        });
        assert_eq!(first_forbidden(&session.raw), None);
        session.send("q");
        assert_eq!(session.end(), 0);
        session.assert_terminal_is_given_back("q");
    }
}

#[test]
fn every_signal_to_end_gives_the_terminal_back() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let mut session = Session::ready(80, 24, &[]);
        kill_process(session.pid(), signal).unwrap();
        session.end();
        session.assert_terminal_is_given_back(&format!("{signal:?}"));
    }
}

#[test]
fn escape_closes_help_and_never_quits() {
    let mut session = Session::ready(120, 40, &[]);
    let before = session.screen().lines().next().unwrap_or_default().len();
    assert!(before > 0);
    session.send("?");
    session.wait_for("help", |screen| screen.to_lowercase().contains("reverse"));
    session.escape();
    session.wait_for("the overview again", |screen| !screen.to_lowercase().contains("reverse"));
    session.escape();
    session.send("?");
    session.wait_for("help again", |screen| screen.to_lowercase().contains("reverse"));
    session.escape();
    session.wait_for("the overview again", |screen| !screen.to_lowercase().contains("reverse"));
    session.send("q");
    assert_eq!(session.end(), 0);
}

#[test]
fn tab_walks_through_the_views_and_back() {
    let mut session = Session::ready(120, 40, &[]);
    session.wait_for("processes in the overview", |screen| screen.contains("pid user"));
    session.send("\t\t");
    session.wait_for("another view", |screen| !screen.contains("pid user"));
    session.send("\x1b[Z\x1b[Z");
    session.wait_for("the overview", |screen| screen.contains("pid user") && screen.contains("CPU"));
}

#[test]
fn a_filter_leaves_the_process_that_it_names() {
    let sleeper = Sleeper::start("ng-wanted", "ng-wanted-argument");
    let pid = sleeper.child.id().to_string();
    let mut session = Session::ready(120, 40, &["--view", "processes"]);
    session.send("/ng-wanted\r");
    session.wait_for("the wanted process", |screen| screen.contains(&pid) && screen.contains("ng-wanted"));
    let own = format!(" {} ", session.pid().as_raw_nonzero());
    session.wait_for("no other process", |screen| !screen.contains(&own));
}

#[test]
fn hostile_names_are_seen_and_not_obeyed() {
    let _sleeper = Sleeper::start("\x1b[2Jevil\u{9b}m", "evil\x1b]0;owned\x07\u{202e}\u{9b}31m\x1bc\n");
    let mut session = Session::ready(200, 60, &["--view", "processes"]);
    session.send("/evil\r");
    session.wait_for("the name, made visible", |screen| screen.contains("\\x1b"));
    for keys in ["\t", "\t", "\x1b[Z", "\x1b[Z", "\r"] {
        session.send(keys);
        session.pump(Duration::from_millis(200));
    }
    session.escape();
    session.send("q");
    session.end();
    assert_eq!(first_forbidden(&session.raw), None);
}

#[test]
fn a_thousand_resizes_leave_a_whole_screen() {
    let mut session = Session::ready(80, 24, &[]);
    let start = Instant::now();
    for step in 0..1000_u16 {
        session.resize(40 + step % 170, 5 + step % 60);
        session.pump(Duration::ZERO);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    session.resize(120, 40);
    let name = hostname();
    session.wait_for("a whole screen", |screen| screen.contains(&name) && screen.lines().count() > 30);
    session.send("q");
    assert_eq!(session.end(), 0);
    session.assert_terminal_is_given_back("resizes");
}

#[test]
fn a_terminal_without_room_is_waited_for() {
    for (columns, rows) in [(0, 0), (1, 1)] {
        let mut session = Session::start(columns, rows, &[]);
        session.pump(Duration::from_millis(500));
        session.resize(80, 24);
        session.wait_for("the name of this host", |screen| screen.contains(&hostname()));
        session.resize(columns, rows);
        kill_process(session.pid(), Signal::TERM).unwrap();
        session.end();
        session.assert_modes_are_back("no room");
    }
}

#[test]
fn a_terminal_that_takes_nothing_does_not_keep_the_program() {
    let mut session = Session::ready(200, 60, &[]);
    // nothing is read from here on; frames of changing size fill the terminal's buffer
    for step in 0..400 {
        session.resize(200 - step % 2, 60);
    }
    kill_process(session.pid(), Signal::TERM).unwrap();
    assert!(readable(session.pidfd.as_fd(), LEAVE), "still there after {LEAVE:?}");
    session.assert_modes_are_back("stalled");
}

#[test]
fn a_terminal_that_goes_away_ends_the_program() {
    let mut session = Session::ready(80, 24, &[]);
    session.keys = None;
    session.master = None;
    assert!(readable(session.pidfd.as_fd(), LEAVE), "still there after {LEAVE:?}");
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let output = Command::new(env!("CARGO_BIN_EXE_netglance")).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), out.as_ref()), (Some(2), ""), "{err}");
    assert!(err.contains("show"), "{err}");
}
