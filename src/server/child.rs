//! How is a part of the agent started, and what ends it?
//!
//! Each is this program once more, with a control socket in place of all descriptors but the usual ones, and ends with the
//! process that has started it (`PR_SET_PDEATHSIG`).

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use super::notify;
use super::supervisor::Part;

/// Descriptor on which a child finds its control socket.
pub(super) const CONTROL: i32 = 3;

/// Ends this process with its parent, however that ends. A change of the user takes that back.
///
/// # Errors
/// The parent has ended.
pub(super) fn end_with_parent() -> io::Result<()> {
    end_with(rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get()))
}

/// Lets this process see that its parent has ended, and end by itself.
///
/// # Errors
/// The kernel refuses.
pub(super) fn outlive_parent() -> io::Result<()> {
    // SAFETY: takes numbers only
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Only system calls that may be made between fork and exec.
fn end_with(parent: i32) -> io::Result<()> {
    // SAFETY: takes numbers only
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // the parent may have ended before the line above
    // SAFETY: takes nothing
    if unsafe { libc::getppid() } != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

/// Starts this program again as one part of itself.
///
/// # Errors
/// The kernel refuses.
pub(super) fn spawn(part: Part, arguments: &[std::ffi::OsString], control: OwnedFd) -> io::Result<Child> {
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("netglance").args(arguments).arg("--part").arg(part.name());
    for variable in notify::VARIABLES {
        command.env_remove(variable);
    }
    let descriptor = control.as_raw_fd();
    let prepare = move || {
        end_with(parent)?;
        // SAFETY: only system calls that may be made between fork and exec; the descriptor is open in the child
        unsafe {
            let moved = if descriptor == CONTROL {
                libc::fcntl(descriptor, libc::F_SETFD, 0)
            } else {
                libc::dup2(descriptor, CONTROL)
            };
            if moved < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        }
    };
    // SAFETY: see inside
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn()?;
    drop(control);
    Ok(child)
}
