//! How is the terminal taken, and how is it given back on every way out?
//!
//! [`Terminal`] enters the alternate screen and raw mode and leaves them when it is dropped, when the program is stopped
//! and from the panic hook, which restores before it prints; [`crash`](super::crash) sees to faults. Bytes go through [`Output`], so a terminal that takes
//! none delays nothing here for longer than [`PATIENCE`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{QueueSelector, tcflush, tcgetwinsize, ttyname};

use super::Error;
use super::output::{Output, Written, try_write};
use crate::model::text::sanitize_into;

/// Leaves every mode that the dashboard enters, for `netglance reset` and for every way out.
pub const RESET: &str = concat!(
    "\x1b[?2026l",
    "\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l",
    "\x1b[?2004l\x1b[?1004l",
    "\x1b[0m\x1b[?25h\x1b[?1049l"
);
const ENTER: &str = "\x1b[?1049h\x1b[0m\x1b[2J\x1b[?25l\x1b[?2004h";
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";

/// How long a stalled terminal is waited for on the way out.
pub const PATIENCE: Duration = Duration::from_millis(400);

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The thread whose panic ends the dashboard.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// What panics of other threads said while the screen was ours.
static OTHERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The terminal, taken.
pub struct Terminal {
    output: Output,
    mouse: bool,
}

impl Terminal {
    /// Takes the terminal. `written` is called from the output thread after each frame.
    ///
    /// # Errors
    /// [`Error::Terminal`] when standard output cannot be opened again or raw mode is refused.
    pub fn take(mouse: bool, written: Written) -> Result<Self, Error> {
        let (fd, own) = open().map_err(|cause| Error::Terminal { op: "open", cause })?;
        let output = Output::start(fd, own, written)?;
        if let Ok(mut owner) = OWNER.lock() {
            *owner = Some(std::thread::current().id());
        }
        install_hook();
        super::crash::guard(&TAKEN);
        let mut terminal = Self { output, mouse };
        terminal.enter()?;
        Ok(terminal)
    }

    /// Enters raw mode and the alternate screen, at first and after a stop.
    ///
    /// # Errors
    /// [`Error::Terminal`] when raw mode is refused.
    pub fn enter(&mut self) -> Result<(), Error> {
        if TAKEN.load(Ordering::SeqCst) {
            // stopped without a chance to leave: the shell has set modes of its own meanwhile, and what is thought to be
            // raw is not set again
            let _ = crossterm::terminal::disable_raw_mode();
        }
        crossterm::terminal::enable_raw_mode().map_err(|cause| Error::Terminal { op: "set raw mode of", cause })?;
        TAKEN.store(true, Ordering::SeqCst);
        let mut bytes = ENTER.as_bytes().to_vec();
        if self.mouse {
            bytes.extend_from_slice(MOUSE_ON.as_bytes());
        }
        self.output.send(bytes);
        Ok(())
    }

    /// Gives the terminal back, after what is queued or without it when the terminal is stalled.
    pub fn leave(&mut self) {
        if !TAKEN.swap(false, Ordering::SeqCst) {
            return;
        }
        let flows = self.output.drain(PATIENCE);
        if flows {
            self.output.send(RESET.as_bytes().to_vec());
        }
        if !flows || !self.output.drain(PATIENCE) {
            self.output.discard(PATIENCE);
            // what the kernel still holds would come out after the reset
            let _ = tcflush(rustix::stdio::stdout(), QueueSelector::OFlush);
            try_write(self.output.fd(), RESET.as_bytes());
        }
        let _ = crossterm::terminal::disable_raw_mode();
    }

    /// Whether mouse events are asked for.
    pub fn mouse(&self) -> bool {
        self.mouse
    }

    /// Takes or frees the mouse.
    pub fn set_mouse(&mut self, on: bool) {
        self.mouse = on;
        self.output.send(if on { MOUSE_ON } else { MOUSE_OFF }.as_bytes().to_vec());
    }

    /// Whether the terminal has taken what it was given, so that another frame may be made.
    pub fn ready(&self) -> bool {
        self.output.ready()
    }

    /// Queues bytes.
    pub fn send(&self, bytes: Vec<u8>) {
        self.output.send(bytes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
        self.output.stop();
        if let Ok(mut others) = OTHERS.lock() {
            for message in others.drain(..) {
                try_write(rustix::stdio::stderr(), message.as_bytes());
            }
        }
    }
}

/// Stops this process, or all of its `group` as the terminal itself would, until somebody continues it. In a session
/// without a shell that could, the kernel ignores this, unlike `SIGSTOP`.
pub(super) fn stop(group: bool) {
    // SAFETY: plain data and plain integers. The handler of before comes back before anybody can need it: a signal that a
    // thread sends to itself is taken before the call returns.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_IGN;
        if libc::sigaction(libc::SIGTSTP, &raw const action, &raw mut before) != 0 {
            return;
        }
        if group {
            libc::kill(0, libc::SIGTSTP);
        }
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(libc::SIGTSTP, &raw const action, std::ptr::null_mut());
        libc::raise(libc::SIGTSTP);
        libc::sigaction(libc::SIGTSTP, &raw const before, std::ptr::null_mut());
    }
}

/// Ends this process as a signal does that nobody handles, so that whoever waits for it learns why it ended.
pub fn end_by(signal: i32) {
    // SAFETY: plain integers; the process has nothing left to do.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Size of the terminal in cells; nothing when it cannot be asked.
pub fn size() -> (u16, u16) {
    tcgetwinsize(rustix::stdio::stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row))
}

/// Whether both ends are a terminal.
pub fn is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin()) && rustix::termios::isatty(rustix::stdio::stdout())
}

/// A description of our own, because `O_NONBLOCK` on the inherited one would be the shell's too.
fn open() -> io::Result<(OwnedFd, bool)> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let named =
        ttyname(rustix::stdio::stdout(), Vec::new()).and_then(|name| rustix::fs::open(name, flags, Mode::empty()));
    match named {
        Ok(fd) => Ok((fd, true)),
        // the terminal may belong to another user after su: share the description and write in small pieces
        Err(_) => Ok((rustix::stdio::stdout().as_fd().try_clone_to_owned()?, false)),
    }
}

/// Restores before the message; a panic of another thread is kept until the screen is gone.
fn install_hook() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = OWNER.try_lock().is_ok_and(|owner| *owner == Some(std::thread::current().id()));
            if !ours && TAKEN.load(Ordering::SeqCst) {
                if let Ok(mut others) = OTHERS.try_lock()
                    && others.len() < 16
                {
                    others.push(message(&info.to_string()));
                }
            } else if TAKEN.swap(false, Ordering::SeqCst) {
                try_write(rustix::stdio::stdout(), RESET.as_bytes());
                let _ = crossterm::terminal::disable_raw_mode();
                try_write(rustix::stdio::stderr(), message(&info.to_string()).as_bytes());
            } else {
                before(info);
            }
        }));
    });
}

fn message(text: &str) -> String {
    let mut out = String::from("netglance: ");
    for line in text.lines() {
        sanitize_into(line.as_bytes(), &mut out);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_message_cannot_move_the_cursor() {
        let text = message("boom \x1b[2J\nat \u{9b}31m");
        assert_eq!(text, "netglance: boom \\x1b[2J\nat \\x9b31m\n");
    }

    #[test]
    fn the_reset_leaves_every_mode_that_is_entered() {
        for entered in [ENTER, MOUSE_ON] {
            for mode in entered.split("\x1b[?").skip(1) {
                let number: String = mode.chars().take_while(char::is_ascii_digit).collect();
                let left = if mode.contains('h') { format!("?{number}l") } else { format!("?{number}h") };
                assert!(RESET.contains(&left), "{left}");
            }
        }
    }
}
