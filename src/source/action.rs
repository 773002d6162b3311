//! How is a process signaled or reniced, and a connection forgotten, without ever hitting another one?
//!
//! A pid is only a number that may belong to somebody else by now. So the process is pinned first (`pidfd_open`), then
//! its start is compared with the one the person saw, and the signal goes through the descriptor. There is no such call for
//! the nice value: the start is compared right before it is set, which leaves a window of microseconds.

use std::io::{Error as IoError, ErrorKind};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::alarm::{Board, Said};
use super::conntrack;
use super::file::{Root, Roots};
use super::netlink::{Family, Socket};
use super::netns::{self, Census};
use super::process::{detail, parse};
use crate::model::{Action, ActionError, Done, Mute, Text, Tracked};

/// Does something to the running kernel.
///
/// # Errors
/// [`ActionError::Gone`] when what it is for is gone or its number belongs to something else, [`ActionError::Kernel`] with
/// the errno otherwise.
pub fn act(action: &Action, user: &Text, roots: &Roots) -> Result<Done, ActionError> {
    match *action {
        Action::Mute { ref mute } => say(action, mute, user, &roots.alarm),
        Action::Acknowledge { ref gone } => {
            roots.routing.acknowledge(gone);
            Ok(Done::default())
        }
        Action::Forget { ref flows } => forget(action, flows, &roots.netns),
        Action::Signal { pid, start, signal } => {
            let signal = Signal::from_named_raw(signal).ok_or_else(|| refused("signal", pid, Errno::INVAL))?;
            let process = pin(pid, start, "signal")?;
            let sent = rustix::process::pidfd_send_signal(&process, signal);
            sent.map(|()| Done::default()).map_err(|cause| refused("signal", pid, cause))
        }
        Action::Renice { pid, start, nice } => {
            if !(-20..=19).contains(&nice) {
                return Err(refused("renice", pid, Errno::INVAL));
            }
            let _pinned = pin(pid, start, "renice")?;
            renice(pid, start, nice).map(|()| Done::default())
        }
    }
}

/// Tells who evaluates alerts what somebody says of one.
fn say(action: &Action, mute: &Mute, user: &Text, board: &Board) -> Result<Done, ActionError> {
    let refused = |kind, why: &str| Err(action.failed(IoError::new(kind, why.to_owned())));
    if !board.is_up() {
        return refused(ErrorKind::NotFound, "nobody evaluates alerts here");
    }
    // what was said of a rule that is gone can be taken back
    if !mute.lift && !board.watches(&mute.rule) {
        return refused(ErrorKind::NotFound, "there is no such rule");
    }
    if board.say(Said { user: user.clone(), mute: mute.clone() }) {
        Ok(Done::default())
    } else {
        refused(ErrorKind::ResourceBusy, "too much was said at once")
    }
}

/// Forgets connections. Of several those that have ended by themselves meanwhile are no failure, unless all have.
fn forget(action: &Action, flows: &[Tracked], census: &Census) -> Result<Done, ActionError> {
    let first = flows.first().ok_or_else(|| action.failed(Errno::INVAL.into()))?;
    if flows.len() > Action::MOST || flows.iter().any(|flow| flow.netns != first.netns) {
        return Err(action.failed(Errno::INVAL.into()));
    }
    let open = || Socket::open(Family::Netfilter);
    let own = first.netns == netns::host();
    let socket = if own { open() } else { netns::visit(census, &first.netns, open) };
    let mut socket = socket.map_err(|error| action.failed(error.cause))?;
    let mut gone = 0;
    for flow in flows {
        match conntrack::forget::forget(&mut socket, flow) {
            Err(error) if error.is_absent() => gone += 1,
            done => done.map_err(|error| action.failed(error.cause))?,
        }
    }
    if gone == flows.len() { Err(action.gone()) } else { Ok(Done { gone }) }
}

/// Opens a descriptor of exactly this process.
fn pin(pid: u32, start: u64, op: &'static str) -> Result<OwnedFd, ActionError> {
    // 0 and 1 and what is negative as a signed number mean groups, everybody or init to some calls
    let raw = i32::try_from(pid).ok().filter(|raw| *raw > 1).ok_or_else(|| refused(op, pid, Errno::INVAL))?;
    let number = Pid::from_raw(raw).ok_or_else(|| refused(op, pid, Errno::INVAL))?;
    let process = rustix::process::pidfd_open(number, PidfdFlags::empty()).map_err(|cause| refused(op, pid, cause))?;
    if started(pid) == Some(start) { Ok(process) } else { Err(gone(pid)) }
}

/// Start of the process or thread that has a number now.
fn started(pid: u32) -> Option<u64> {
    let text = Root::new("/proc").read(format!("{pid}/stat")).ok()?;
    parse::stat(&text).map(|stat| stat.start)
}

/// The nice value belongs to threads: a process is reniced when all of its threads are.
fn renice(pid: u32, start: u64, nice: i32) -> Result<(), ActionError> {
    let threads = detail::threads(&Root::new("/proc"), pid).map_err(|_| gone(pid))?;
    if !threads.iter().any(|thread| thread.pid == pid && thread.start == start) {
        return Err(gone(pid));
    }
    for thread in threads {
        let Some(number) = i32::try_from(thread.pid).ok().and_then(Pid::from_raw) else { continue };
        match rustix::process::setpriority_process(Some(number), nice) {
            Ok(()) => {}
            // a thread that has ended meanwhile needs no new value
            Err(Errno::SRCH) if thread.pid != pid => {}
            Err(cause) => return Err(refused("renice", pid, cause)),
        }
    }
    Ok(())
}

fn refused(op: &'static str, pid: u32, cause: Errno) -> ActionError {
    if cause == Errno::SRCH {
        gone(pid)
    } else {
        ActionError::Kernel { op, what: Text::from(format!("process {pid}")), cause: IoError::from(cause) }
    }
}

fn gone(pid: u32) -> ActionError {
    ActionError::Gone { what: Text::from(format!("process {pid}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(action: &Action) -> Result<Done, ActionError> {
        super::act(action, &"me".into(), &Roots::live())
    }

    fn errno(result: Result<Done, ActionError>) -> Option<i32> {
        match result {
            Err(ActionError::Kernel { cause, .. }) => cause.raw_os_error(),
            _ => None,
        }
    }

    #[test]
    fn numbers_that_mean_many_processes_are_refused() {
        for pid in [0, 1, u32::MAX, i32::MIN as u32] {
            let start = started(pid).unwrap_or(0);
            assert_eq!(errno(act(&Action::Signal { pid, start, signal: libc::SIGCONT })), Some(libc::EINVAL), "{pid}");
            assert_eq!(errno(act(&Action::Renice { pid, start, nice: 1 })), Some(libc::EINVAL), "{pid}");
        }
    }

    #[test]
    fn signals_and_nice_values_that_do_not_exist_are_refused() {
        let pid = std::process::id();
        let start = started(pid).unwrap();
        for signal in [0, -1, 999] {
            assert_eq!(errno(act(&Action::Signal { pid, start, signal })), Some(libc::EINVAL), "{signal}");
        }
        assert_eq!(errno(act(&Action::Renice { pid, start, nice: 20 })), Some(libc::EINVAL));
    }

    #[test]
    fn a_process_with_another_start_is_gone() {
        let pid = std::process::id();
        let start = started(pid).unwrap() + 1;
        // SIGKILL: this test does not survive a mistake
        let got = act(&Action::Signal { pid, start, signal: libc::SIGKILL });
        assert!(matches!(got, Err(ActionError::Gone { .. })));
        assert!(matches!(act(&Action::Renice { pid, start, nice: 19 }), Err(ActionError::Gone { .. })));
    }

    #[test]
    fn a_process_that_does_not_exist_is_gone() {
        let pid = 0x3fff_fff0;
        assert!(matches!(act(&Action::Signal { pid, start: 1, signal: libc::SIGTERM }), Err(ActionError::Gone { .. })));
    }
}
