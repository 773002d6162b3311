//! What may each process of the agent do to this machine?
//!
//! As little as its work takes, and that within the process, so that it is the same under systemd, supervisord and a shell.
//! All of it is per thread: it is called before a process starts its second one.

use std::ffi::CStr;
use std::io;

use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::source::file::Root;

/// Users of packages, in the order in which they are looked for.
const USERS: [&str; 2] = ["netglance", "_netglance"];

/// User and group of front and courier when there is no such user: a number that neither distributions nor systemd hand out.
const NOBODY_ELSE: u32 = 61_108;

/// Groups of the control sockets of routing daemons and Open vSwitch.
const DAEMONS: [&str; 4] = ["frrvty", "quaggavty", "bird", "openvswitch"];

/// What the front may hold open: its connections and a few of its own.
const FRONT_FILES: u64 = 8192;

/// Writable memory of the front at most: a host that runs guests must not pay for a leak here.
const FRONT_DATA: u64 = 1 << 30;

/// Gives this process a name of its own; at most 15 bytes are kept.
pub(super) fn name(name: &CStr) -> io::Result<()> {
    Ok(rustix::thread::set_name(name)?)
}

/// From now on no program that is started may do more than this process.
pub(super) fn no_more() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Capabilities of the supervisor: to end children of another user, to start them as one, and all that collectors may need.
pub(super) fn of_supervisor(sampler: CapabilitySet) -> CapabilitySet {
    sampler | CapabilitySet::KILL | CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETPCAP
}

/// Keeps some of the capabilities that this process has, for itself and for what it starts.
///
/// # Errors
/// The kernel refuses, which it does not for what one has.
pub(super) fn keep(wanted: CapabilitySet) -> io::Result<()> {
    never_more_than(wanted)?;
    let now = rustix::thread::capabilities(None)?;
    let kept = now.permitted & wanted;
    for capability in CapabilitySet::all() - kept {
        let _ = rustix::thread::configure_capability_in_ambient_set(capability, false);
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: now.inheritable & kept };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Takes from the bounding set what is not wanted. Without the capability for that it stays as it is; nothing can be gained
/// from it either after [`no_more`].
fn never_more_than(wanted: CapabilitySet) -> io::Result<()> {
    if rustix::thread::capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all() - wanted {
            // one that this kernel does not know cannot be given either
            let _ = rustix::thread::remove_capability_from_bounding_set(capability);
        }
    }
    Ok(())
}

/// Becomes a member of the groups that may ask daemons, beside those that this process is in: without capabilities
/// root is nobody to them. Who may not do that stays in the groups that whoever started the agent has chosen.
///
/// # Errors
/// The kernel refuses what this process may do.
pub(super) fn join_daemons(root: &Root) -> io::Result<()> {
    if !rustix::thread::capabilities(None)?.effective.contains(CapabilitySet::SETGID) {
        return Ok(());
    }
    let mut groups: Vec<_> = rustix::process::getgroups()?.iter().map(|group| group.as_raw()).collect();
    let before = groups.len();
    groups.extend(numbers(&root.read("etc/group").unwrap_or_default(), &DAEMONS));
    if groups.len() == before {
        return Ok(());
    }
    // SAFETY: the list has as many numbers as are told, and is only read
    if unsafe { libc::setgroups(groups.len(), groups.as_ptr()) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // a user namespace may forbid it even to those who have the capability
        cause if cause.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        cause => Err(cause),
    }
}

/// Numbers of groups by their names; never root's.
fn numbers<'a>(group: &'a [u8], names: &'a [&str]) -> impl Iterator<Item = u32> + 'a {
    let lines = group.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse::<u32>().ok()?;
        names.iter().any(|wanted| wanted.as_bytes() == name).then_some(number).filter(|number| *number != 0)
    })
}

/// Leaves no memory image behind that others could read.
pub(super) fn no_core() -> io::Result<()> {
    Ok(rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// Gives up everything: the user, its groups, every capability, being looked into, and resources without bounds. `false`
/// when the user stays root's, because this process may not take another one that it could still be ended as.
///
/// # Errors
/// Something could not be given up; the process must not go on.
pub(super) fn give_up_all() -> io::Result<bool> {
    no_core()?;
    bound(Resource::Nofile, FRONT_FILES)?;
    bound(Resource::Data, FRONT_DATA)?;
    bound(Resource::Memlock, 0)?;
    bound(Resource::Msgqueue, 0)?;
    // another user may not do that any more
    never_more_than(CapabilitySet::empty())?;
    let mut own = true;
    if rustix::process::geteuid().is_root() {
        // the supervisor, which has the same, needs the last one to end somebody else
        let takes = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
        own = rustix::thread::capabilities(None)?.effective.contains(takes) && become_somebody_else(&Root::new("/"))?;
    }
    keep(CapabilitySet::empty())?;
    no_more()?;
    // SAFETY: takes numbers only
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(own)
}

/// How many descriptors this process may have.
pub(super) fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Sets a limit to `most`, or to what it may be at most.
fn bound(resource: Resource, most: u64) -> io::Result<()> {
    let limit = rustix::process::getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(rustix::process::setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}

/// Takes a user without rights, and no group but that user's; `false` where there is no such user, as in a container that
/// knows root only.
fn become_somebody_else(root: &Root) -> io::Result<bool> {
    let (user, group) = somebody(&root.read("etc/passwd").unwrap_or_default());
    // SAFETY: take numbers only, and no pointer that is not null
    let done = unsafe {
        // the groups go first: afterwards it is no longer allowed
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(group, group, group) == 0
            && libc::setresuid(user, user, user) == 0
    };
    if !done {
        let cause = io::Error::last_os_error();
        if let Some(libc::EINVAL | libc::EPERM) = cause.raw_os_error() {
            return Ok(false);
        }
        let told = format!("become user {user}: {cause}");
        return Err(io::Error::new(cause.kind(), told));
    }
    // another user means that the parent's death is no longer told
    super::child::end_with_parent()?;
    Ok(true)
}

/// Number of the user and of the group that the front gets.
fn somebody(passwd: &[u8]) -> (u32, u32) {
    let lines = || passwd.split(|byte| *byte == b'\n');
    let number = |field: Option<&[u8]>| std::str::from_utf8(field?).ok()?.parse::<u32>().ok();
    let entry = |wanted: &str| {
        lines().find_map(|line| {
            let mut fields = line.split(|byte| *byte == b':');
            let named = fields.next()? == wanted.as_bytes();
            let (user, group) = (number(fields.nth(1))?, number(fields.next())?);
            (named && user != 0 && group != 0).then_some((user, group))
        })
    };
    if let Some(known) = USERS.iter().find_map(|name| entry(name)) {
        return known;
    }
    let taken = |id: u32| {
        lines().any(|line| {
            let mut fields = line.split(|byte| *byte == b':').skip(2);
            number(fields.next()) == Some(id) || number(fields.next()) == Some(id)
        })
    };
    let free = (NOBODY_ELSE..NOBODY_ELSE + 64).find(|id| !taken(*id)).unwrap_or(NOBODY_ELSE);
    (free, free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_a_user_of_its_own_and_never_root() {
        assert_eq!(somebody(b"root:x:0:0::/:\nnetglance:x:997:995::/:\n"), (997, 995));
        assert_eq!(somebody(b"root:x:0:0::/:\n_netglance:x:130:131::/:\n"), (130, 131));
        assert_eq!(somebody(b"root:x:0:0::/:\n"), (61_108, 61_108));
        assert_eq!(somebody(b"taken:x:61108:5::/:\n"), (61_109, 61_109));
        assert_eq!(somebody(b"taken:x:5:61108::/:\n"), (61_109, 61_109));
        // a line that makes it root, and lines that are none
        assert_eq!(somebody(b"netglance:x:0:0::/:\n"), (61_108, 61_108));
        assert_eq!(somebody(b"netglance:x\nnetglance\n:::\n"), (61_108, 61_108));
    }

    #[test]
    fn groups_of_daemons_are_found_by_name_and_never_roots() {
        let of = |text: &str| numbers(text.as_bytes(), &DAEMONS).collect::<Vec<_>>();
        assert_eq!(of("root:x:0:\nfrrvty:x:106:frr\nbird:x:105:\nadm:x:4:\n"), [106, 105]);
        assert_eq!(of("frrvty:x:0:\nbird:x\nquaggavty:x:many:\nxbird:x:7:\n"), [0; 0]);
    }
}
