//! Who gives the terminal back when the program crashes?
//!
//! A fault or an abort runs no destructor and no panic hook. The handler of these signals makes only calls that are safe at
//! any moment, then lets the signal do what it would have done, so that the exit status and the core dump stay the truth.

use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, c_void, siginfo_t};

use super::terminal::RESET;

/// Signals of a crash.
const CRASHES: [c_int; 7] =
    [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// Longest wait for a terminal that takes nothing, in milliseconds.
const PATIENCE: c_int = 100;

/// What a crash must put back.
struct Before {
    taken: &'static AtomicBool,
    modes: libc::termios,
    /// Rust's own handlers among them say that a stack overflowed.
    handlers: [Option<libc::sigaction>; CRASHES.len()],
}

static BEFORE: OnceLock<Before> = OnceLock::new();

/// Remembers the modes of the terminal as they are now, and puts them back in a crash while `taken` is true.
pub(super) fn guard(taken: &'static AtomicBool) {
    let mut modes = MaybeUninit::uninit();
    // SAFETY: the kernel fills `modes` or says that it did not.
    let modes = unsafe {
        if libc::tcgetattr(libc::STDOUT_FILENO, modes.as_mut_ptr()) != 0 {
            return;
        }
        modes.assume_init()
    };
    if BEFORE.set(Before { taken, modes, handlers: CRASHES.map(current) }).is_err() {
        return;
    }
    for signal in CRASHES {
        // SAFETY: plain data; the handler has the signature that `SA_SIGINFO` asks for and makes async-signal-safe calls only.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = crashed as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

fn current(signal: c_int) -> Option<libc::sigaction> {
    let mut action = MaybeUninit::uninit();
    // SAFETY: the kernel fills `action` or says that it did not.
    unsafe { (libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0).then(|| action.assume_init()) }
}

/// Runs at any moment, on any thread: no lock, no allocation, no formatting.
extern "C" fn crashed(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    // SAFETY: all calls are async-signal-safe, their arguments live in statics or on this stack; the kernel gave `info`.
    unsafe {
        if before.taken.swap(false, Ordering::SeqCst) {
            let mut ready = libc::pollfd { fd: libc::STDOUT_FILENO, events: libc::POLLOUT, revents: 0 };
            if libc::poll(&raw mut ready, 1, PATIENCE) > 0 {
                libc::write(libc::STDOUT_FILENO, RESET.as_ptr().cast(), RESET.len());
            }
            libc::tcsetattr(libc::STDOUT_FILENO, libc::TCSANOW, &raw const before.modes);
        }
        let fault = !info.is_null() && (*info).si_code > 0;
        let known = CRASHES.iter().position(|known| *known == signal);
        let handler = known.and_then(|at| before.handlers.get(at)).and_then(Option::as_ref);
        if let (true, Some(handler)) = (fault, handler) {
            // the instruction runs again and faults again, into the handler of before
            libc::sigaction(signal, handler, std::ptr::null_mut());
        } else {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}
