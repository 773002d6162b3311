//! Who gives the terminal back when the program crashes?
//!
//! A fault or an abort runs no destructor and no panic hook. The handler of these signals makes only calls that are safe at
//! any moment, then lets the signal do what it would have done, so that the exit status and the core dump stay the truth.
//! Without memory the standard library aborts after a message on the screen that is about to go, so the [`Allocator`]
//! remembers that there was none, and the handler says so where it stays.

use std::alloc::{GlobalAlloc, Layout, System};
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

/// Said when there was no memory.
const OUT_OF_MEMORY: &[u8] = b"netglance: out of memory: the system, or a limit (ulimit, a cgroup), gives no more\n";

/// Whether memory was refused.
static REFUSED: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// The system's allocator, which remembers when it had nothing to give.
struct Allocator;

impl Allocator {
    fn given(memory: *mut u8) -> *mut u8 {
        if memory.is_null() {
            REFUSED.store(true, Ordering::Relaxed);
        }
        memory
    }
}

// SAFETY: all that is asked for is asked of the system's allocator, and what it gives is given.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        Self::given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        Self::given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is the same.
        Self::given(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(memory, layout) }
    }
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
            if signal == libc::SIGABRT && REFUSED.load(Ordering::Relaxed) {
                libc::write(libc::STDERR_FILENO, OUT_OF_MEMORY.as_ptr().cast(), OUT_OF_MEMORY.len());
            }
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
