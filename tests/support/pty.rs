//! How does the program look from the other end of its terminal?
//!
//! [`Session`] starts a command in a pseudo-terminal, feeds what it writes to a terminal emulator, sends keys, and waits for
//! conditions; nothing sleeps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use portable_pty::{MasterPty, PtySize, SlavePty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::termios::{Termios, tcgetattr};

/// Longest wait for something on the screen, for a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);
/// Longest way out.
pub(crate) const LEAVE: Duration = Duration::from_secs(5);

/// A command in its terminal.
pub(crate) struct Session {
    pub(crate) master: Option<Box<dyn MasterPty + Send>>,
    child: Child,
    pub(crate) pidfd: OwnedFd,
    /// Kept open, so that the terminal can be asked for its modes after the end.
    slave: Option<Box<dyn SlavePty + Send>>,
    pub(crate) tty: PathBuf,
    before: Termios,
    pub(crate) emulator: vt100::Parser,
    /// Everything that the command wrote.
    pub(crate) raw: Vec<u8>,
    home: Option<tempfile::TempDir>,
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

/// Whether a descriptor has something to say within `wait`.
pub(crate) fn readable(fd: BorrowedFd<'_>, wait: Duration) -> bool {
    let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).is_ok_and(|count| count > 0)
}

/// The program with an environment of its own.
pub(crate) fn netglance(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
    command.args(args);
    plain_environment(&mut command);
    command
}

/// No configuration and no terminal settings of the person who runs the tests, who is not to hear what fires meanwhile.
pub(crate) fn plain_environment(command: &mut Command) {
    command
        .env_clear()
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
    command.env("NETGLANCE__BELL", "false").env("NETGLANCE__NOTIFY", "false");
}

impl Session {
    /// Starts a command as the leader of a session whose controlling terminal is a new one.
    pub(crate) fn spawn(columns: u16, rows: u16, command: Command) -> Self {
        Self::spawn_in(columns, rows, command, true)
    }

    /// As [`Self::spawn`], or with a terminal that controls nobody, so that no signal tells of its end.
    pub(crate) fn spawn_in(columns: u16, rows: u16, mut command: Command, controlling: bool) -> Self {
        let pair = portable_pty::native_pty_system().openpty(pty_size(columns, rows)).unwrap();
        let tty = pair.master.tty_name().unwrap();
        let before = modes(&tty);
        let open = || {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).custom_flags(libc::O_NOCTTY).open(&tty).unwrap()
        };
        command.stdin(open()).stdout(open()).stderr(open());
        // SAFETY: both calls are async-signal-safe system calls.
        unsafe {
            command.pre_exec(move || {
                rustix::process::setsid()?;
                if controlling {
                    rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                }
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        let session = Self {
            pidfd: pidfd_open(pid, PidfdFlags::empty()).unwrap(),
            master: Some(pair.master),
            child,
            slave: Some(pair.slave),
            tty,
            before,
            emulator: emulator(columns, rows),
            raw: Vec::new(),
            home: None,
        };
        rustix::fs::fcntl_setfl(session.master(), rustix::fs::OFlags::NONBLOCK).unwrap();
        session
    }

    /// Starts the dashboard.
    pub(crate) fn start(columns: u16, rows: u16, args: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = netglance(args);
        command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
        let mut session = Self::spawn(columns, rows, command);
        session.home = Some(home);
        session
    }

    /// A session that has drawn its first full frame.
    pub(crate) fn ready(columns: u16, rows: u16, args: &[&str]) -> Self {
        let mut session = Self::start(columns, rows, args);
        session.wait_for_host();
        session
    }

    /// Waits for the first frame.
    pub(crate) fn wait_for_host(&mut self) {
        self.wait_for("the name of this host", |screen| screen.contains(&hostname()));
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Takes what the program has written, waiting for it at most so long.
    pub(crate) fn pump(&mut self, wait: Duration) {
        let mut buffer = [0; 1 << 13];
        if readable(self.master(), wait)
            && let Ok(count) = rustix::io::read(self.master(), &mut buffer)
        {
            self.raw.extend_from_slice(&buffer[..count]);
            self.emulator.process(&buffer[..count]);
        }
    }

    /// Takes what the program writes for so long.
    pub(crate) fn pump_for(&mut self, span: Duration) {
        let end = Instant::now() + span;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.pump(left);
        }
    }

    /// Sends Esc alone: right before a character it would be the Alt key to every terminal program.
    pub(crate) fn escape(&mut self) {
        self.send("\x1b");
        self.pump_for(Duration::from_millis(300));
    }

    pub(crate) fn screen(&self) -> String {
        self.emulator.screen().contents()
    }

    /// Whether the command has ended.
    pub(crate) fn is_gone(&self) -> bool {
        readable(self.pidfd.as_fd(), Duration::ZERO)
    }

    /// Waits until the screen shows something, and until the frame that shows it is there as a whole.
    pub(crate) fn wait_for(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let end = Instant::now() + PATIENT;
        loop {
            let shown = condition(&self.screen());
            if shown && !self.takes_more() {
                return;
            }
            assert!(shown || !self.is_gone(), "the program ended before the screen showed {what}:\n{}", self.screen());
            assert!(Instant::now() < end, "no {what} on the screen:\n{}", self.screen());
            if !shown {
                self.pump(Duration::from_millis(50));
            }
        }
    }

    /// Takes the rest of a frame whose beginning was taken, and says whether there was any.
    fn takes_more(&mut self) -> bool {
        let before = self.raw.len();
        self.pump(Duration::from_millis(20));
        before != self.raw.len()
    }

    /// Sends input, and takes what comes back meanwhile, for longer than [`PATIENT`] only while some is taken.
    pub(crate) fn send(&mut self, keys: impl AsRef<[u8]>) {
        let mut keys = keys.as_ref();
        let mut end = Instant::now() + PATIENT;
        while !keys.is_empty() && !self.is_gone() {
            match rustix::io::write(self.master(), &keys[..keys.len().min(4096)]) {
                Ok(count) => {
                    keys = &keys[count..];
                    end = Instant::now() + PATIENT;
                }
                Err(Errno::AGAIN) => {
                    assert!(Instant::now() < end, "nobody takes the input any more:\n{}", self.screen());
                    self.pump(Duration::from_millis(2));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn master(&self) -> BorrowedFd<'_> {
        let fd = self.master.as_ref().unwrap().as_raw_fd().unwrap();
        // SAFETY: the master outlives what is borrowed from this.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.master.as_ref().unwrap().resize(pty_size(columns, rows)).unwrap();
        self.emulator.screen_mut().set_size(rows.max(1).try_into().unwrap(), columns.max(1).try_into().unwrap());
    }

    /// Takes the terminal away.
    pub(crate) fn hang_up(&mut self) {
        self.slave = None;
        self.master = None;
    }

    /// Waits for the end while the terminal takes everything, and says how it ended and how long that took.
    pub(crate) fn ended(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let begin = Instant::now();
        while !self.is_gone() {
            assert!(begin.elapsed() < within, "still there after {within:?}:\n{}", self.screen());
            self.pump(Duration::from_millis(20));
        }
        let took = begin.elapsed();
        // what it wrote last may still be in the terminal's buffer
        let mut seen = usize::MAX;
        while seen != self.raw.len() {
            seen = self.raw.len();
            self.pump(Duration::from_millis(100));
        }
        (self.child.wait().unwrap(), took)
    }

    /// Waits for the end while the terminal takes everything, and gives the exit code, or the signal as a negative.
    pub(crate) fn end(&mut self) -> i32 {
        let status = self.ended(LEAVE).0;
        status.code().or(status.signal().map(|signal| -signal)).unwrap()
    }

    pub(crate) fn assert_terminal_is_given_back(&self, how: &str) {
        let screen = self.emulator.screen();
        assert!(!screen.alternate_screen(), "{how}: still on the alternate screen");
        assert!(!screen.hide_cursor(), "{how}: the cursor is hidden");
        assert!(!screen.bracketed_paste(), "{how}: bracketed paste is on");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "{how}: the mouse is taken");
        self.assert_modes_are_back(how);
    }

    pub(crate) fn assert_modes_are_back(&self, how: &str) {
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

/// What the header shows of the name of this host.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().chars().take(12).collect()
}
