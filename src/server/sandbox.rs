//! What can somebody who has taken over a part of the agent still do?
//!
//! In the front: answer those who are connected, and nothing else. Landlock takes away every file, every TCP port, and
//! signals and abstract sockets of others. Seccomp leaves [`CALLS`]. What is not among them fails with `EPERM`: libraries
//! ask for this and that when they start or run short of memory, and live with a refusal. What only an intruder asks for
//! ([`INTRUSIONS`]) ends the process at once, so that it is seen: the supervisor says by which signal it ended. Both hold
//! for threads that are started later, so it is called before there are any.
//!
//! In the courier: the same, and send datagrams to other hosts. Where daemons of this host are asked at their terminals, or
//! somebody is told of alerts, it may connect to their ports, and to no other as far as the kernel's Landlock knows ports (version
//! 4); addresses it does not know, so that it is the configuration that takes loopback addresses only. Where the log of this host
//! is told it sends datagrams to sockets of this host, too. It makes no other socket, listens nowhere, and begins no connection by
//! sending (`MSG_FASTOPEN`), which Landlock does not see.
//!
//! In the runner: where programs are run everything that they may do, which is what its user may. Where none is it reads files
//! and asks name servers.
//!
//! In the sampler: read, which is its work, and signal where that is configured. It can start no program, make, empty or write
//! no file but at the end of the one it was given for that, and wait for nobody's connection ([`CHANGES`]). Only where the driver of a graphics processor is asked it can open
//! what is there to read and write it, as its devices are. Landlock is not for it: whoever is enclosed by that reads no
//! process of others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// What serving takes: sockets that are there already, memory, threads, time, randomness.
const CALLS: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // answered with ENOSYS, see `calls`
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Older names of the same, which libraries still use where they exist.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[i64] = &[libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_gettimeofday, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[i64] = &[libc::SYS_gettimeofday];

/// What is allowed with some arguments only: position and value of one, of which all bits of a mask are compared.
const SOME: &[(i64, u8, u64, u64)] = &[
    // threads and no processes
    (libc::SYS_clone, 0, libc::CLONE_THREAD as u64, libc::CLONE_THREAD as u64),
    // sockets are made non-blocking
    (libc::SYS_ioctl, 1, u64::MAX, libc::FIONBIO),
    // what is sent goes where the socket is connected to, by `connect`, at which Landlock looks
    (libc::SYS_sendto, 3, libc::MSG_FASTOPEN as u64, 0),
    (libc::SYS_sendmsg, 2, libc::MSG_FASTOPEN as u64, 0),
    // threads are named
    (libc::SYS_prctl, 0, u64::MAX, libc::PR_SET_NAME as u64),
];

/// What the courier may do beside that: datagrams over both families.
const OUTBOUND: &[(i64, &[Argument])] = &[
    (libc::SYS_socket, &[(0, u64::MAX, libc::AF_INET as u64), (1, 0xf, libc::SOCK_DGRAM as u64)]),
    (libc::SYS_socket, &[(0, u64::MAX, libc::AF_INET6 as u64), (1, 0xf, libc::SOCK_DGRAM as u64)]),
    (libc::SYS_bind, &[]),
    (libc::SYS_connect, &[]),
];

/// And where it asks daemons at their terminals: connections over both families, of TCP alone, because Landlock knows no ports
/// of MPTCP.
const STREAMS: &[(i64, &[Argument])] = &[
    (libc::SYS_socket, &[(0, u64::MAX, libc::AF_INET as u64), (1, 0xf, libc::SOCK_STREAM as u64), (2, u64::MAX, 0)]),
    (libc::SYS_socket, &[(0, u64::MAX, libc::AF_INET6 as u64), (1, 0xf, libc::SOCK_STREAM as u64), (2, u64::MAX, 0)]),
];

/// And where the log of this host is told.
const LOCAL: &[(i64, &[Argument])] =
    &[(libc::SYS_socket, &[(0, u64::MAX, libc::AF_UNIX as u64), (1, 0xf, libc::SOCK_DGRAM as u64)])];

/// Port of name servers.
const NAMES: u16 = 53;

/// What nothing but an intruder does in the front.
const INTRUSIONS: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_keyctl,
];

/// What no collector does: the sampler reads.
const CHANGES: &[i64] = &[
    libc::SYS_openat2,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    // may write elsewhere than at the end of what is open to be appended to
    libc::SYS_pwritev2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_unlinkat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_open_by_handle_at,
    // descriptors of others, which may be open for writing
    libc::SYS_pidfd_getfd,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_delete_module,
    libc::SYS_kexec_file_load,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
];

/// Newer ones, which not every C library names; their numbers are the same on all machines: `fchmodat2`, `setxattrat`,
/// `removexattrat`, `file_setattr`.
const NEW_CHANGES: &[i64] = &[452, 463, 466, 469];

/// Older names of the same.
#[cfg(target_arch = "x86_64")]
const OLD_CHANGES: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_iopl,
    libc::SYS_ioperm,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CHANGES: &[i64] = &[libc::SYS_renameat];

/// A condition on one argument of a call: its position, which bits of it, and their value.
type Argument = (u8, u64, u64);

/// `FS_IOC_RESVSP`, and after it `FS_IOC_UNRESVSP` and both for 64 bits: `fallocate(2)` by another door.
const RESERVE: u64 = 0x4030_5828;
/// `FS_IOC_ZERO_RANGE`, the same.
const ZERO_RANGE: u64 = 0x4030_5839;

/// What no collector does with such arguments.
const SOME_CHANGES: &[(i64, &[Argument])] = &[
    // processes: what is started is a thread
    (libc::SYS_clone, &[(0, libc::CLONE_THREAD as u64, 0)]),
    // connections to other hosts
    (libc::SYS_socket, &[(0, u64::MAX, libc::AF_INET as u64), (1, 0xf, libc::SOCK_STREAM as u64)]),
    (libc::SYS_socket, &[(0, u64::MAX, libc::AF_INET6 as u64), (1, 0xf, libc::SOCK_STREAM as u64)]),
    // what is open to be appended to is written nowhere else
    (libc::SYS_fcntl, &[(1, u64::MAX, libc::F_SETFL as u64), (2, libc::O_APPEND as u64, 0)]),
    (libc::SYS_ioctl, &[(1, u64::MAX, RESERVE)]),
    (libc::SYS_ioctl, &[(1, u64::MAX, RESERVE + 1)]),
    (libc::SYS_ioctl, &[(1, u64::MAX, RESERVE + 2)]),
    (libc::SYS_ioctl, &[(1, u64::MAX, RESERVE + 3)]),
    (libc::SYS_ioctl, &[(1, u64::MAX, ZERO_RANGE)]),
];

/// Calls that open files, with the position of their flags.
const OPENS: &[(i64, u8)] = &[
    (libc::SYS_openat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
];

/// Which flags no collector opens files with: bits of them, and their value.
const FLAGS: &[(i32, i32)] = &[
    (libc::O_ACCMODE, libc::O_WRONLY),
    // neither to read nor to write, and yet to speak with devices
    (libc::O_ACCMODE, libc::O_ACCMODE),
    // these empty and make files that are opened to be read, too
    (libc::O_TRUNC, libc::O_TRUNC),
    (libc::O_CREAT, libc::O_CREAT),
    (TMPFILE, TMPFILE),
];

/// `O_TMPFILE` without the flag for directories that is part of it.
const TMPFILE: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;

/// What only the library of a graphics driver opens files with, which speaks with devices.
const DEVICES: (i32, i32) = (libc::O_ACCMODE, libc::O_RDWR);

/// What the sampler may do beside reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    /// Enter network namespaces.
    pub(super) namespaces: bool,
    /// Open devices to speak with them.
    pub(super) devices: bool,
}

/// What the courier may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ways {
    /// Ports that it connects to.
    pub(super) ports: BTreeSet<u16>,
    /// Whether it sends datagrams to sockets of this host.
    pub(super) sockets: bool,
}

/// What the kernel took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enclosure {
    /// Files, ports, signals.
    pub(super) landlock: bool,
    /// System calls.
    pub(super) seccomp: bool,
}

/// Encloses this thread and all that it starts.
///
/// # Errors
/// The kernel has the means and refuses them: then nothing may be served.
pub(super) fn enclose() -> io::Result<Enclosure> {
    Ok(Enclosure { landlock: files(&BTreeSet::new(), false)?, seccomp: calls(&[])? })
}

/// Encloses the courier, with all threads that it starts.
///
/// # Errors
/// The kernel has the means and refuses them: then nothing may go out.
pub(super) fn enclose_courier(ways: &Ways) -> io::Result<Enclosure> {
    let streams = if ways.ports.is_empty() { &[] } else { STREAMS };
    let local = if ways.sockets { LOCAL } else { &[] };
    let more = [OUTBOUND, streams, local].concat();
    Ok(Enclosure { landlock: files(&ways.ports, false)?, seccomp: calls(&more)? })
}

/// Encloses a runner that runs no program, with all threads that it starts.
///
/// # Errors
/// The kernel has the means and refuses them: then nothing may be looked up.
pub(super) fn enclose_runner() -> io::Result<Enclosure> {
    let landlock = files(&BTreeSet::from([NAMES]), true)?;
    if !threads_by_clone()? {
        return Ok(Enclosure { landlock, seccomp: false });
    }
    let fast = libc::MSG_FASTOPEN as u64;
    let sends = [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)];
    let sends = sends.into_iter().map(|(call, at)| Ok((call, vec![rule(&[(at, fast, fast)])?])));
    let sends = sends.collect::<Result<Rules, seccompiler::BackendError>>().map_err(io::Error::other)?;
    install(sends, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32)).map_err(io::Error::other)?;
    install(whole(INTRUSIONS), SeccompAction::Allow, SeccompAction::KillProcess).map_err(io::Error::other)?;
    Ok(Enclosure { landlock, seccomp: true })
}

/// Takes away every file, or all but to read them, every TCP port but those to connect to, and abstract sockets and signals of
/// others; `false` on a kernel without Landlock.
fn files(ports: &BTreeSet<u16>, reads: bool) -> io::Result<bool> {
    let newest = ABI::V7;
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let ruleset = ruleset.handle_access(AccessFs::from_all(newest)).map_err(io::Error::other)?;
    let ruleset = ruleset.handle_access(AccessNet::from_all(newest)).map_err(io::Error::other)?;
    let ruleset = ruleset.scope(Scope::from_all(newest)).map_err(io::Error::other)?;
    // no other rule is added: nothing else is left
    let rules = ports.iter().map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp)));
    let created = ruleset.create().and_then(|created| created.add_rules(rules));
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let roots = if reads { vec!["/"] } else { Vec::new() };
    let created = created.and_then(|created| created.add_rules(landlock::path_beneath_rules(roots, read)));
    let status = created.and_then(landlock::RulesetCreated::restrict_self).map_err(io::Error::other)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Leaves the calls that serving takes, and some more; `false` on a kernel without filters.
fn calls(more: &[(i64, &[Argument])]) -> io::Result<bool> {
    if !threads_by_clone()? {
        return Ok(false);
    }
    install(whole(INTRUSIONS), SeccompAction::Allow, SeccompAction::KillProcess).map_err(io::Error::other)?;
    // the last one, because it allows no other
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    install(allowed(more).map_err(io::Error::other)?, refused, SeccompAction::Allow).map_err(io::Error::other)?;
    Ok(true)
}

/// Encloses the sampler, with all threads that it starts; `false` on a kernel without filters.
///
/// # Errors
/// The kernel has filters and refuses them.
pub(super) fn enclose_sampler(reach: Reach) -> io::Result<bool> {
    if !threads_by_clone()? {
        return Ok(false);
    }
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    install(changes(reach.devices).map_err(io::Error::other)?, SeccompAction::Allow, refused)
        .map_err(io::Error::other)?;
    let mut intrusions = whole(INTRUSIONS);
    if reach.namespaces {
        intrusions.remove(&libc::SYS_setns);
    }
    install(intrusions, SeccompAction::Allow, SeccompAction::KillProcess).map_err(io::Error::other)?;
    Ok(true)
}

/// Makes the C library start threads by `clone`, whose arguments a filter sees; those of `clone3` lie in memory. `false` on a
/// kernel without filters.
fn threads_by_clone() -> io::Result<bool> {
    let answered = SeccompAction::Errno(libc::ENOSYS as u32);
    match install(whole(&[libc::SYS_clone3]), SeccompAction::Allow, answered) {
        Err(seccompiler::Error::Seccomp(cause)) if is_absent(&cause) => Ok(false),
        other => other.map(|()| true).map_err(io::Error::other),
    }
}

/// All of some conditions.
fn rule(arguments: &[Argument]) -> Result<SeccompRule, seccompiler::BackendError> {
    let fits = |(at, mask, value): &Argument| {
        SeccompCondition::new(*at, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(*mask), *value)
    };
    SeccompRule::new(arguments.iter().map(fits).collect::<Result<_, _>>()?)
}

/// Calls whatever their arguments.
fn whole(calls: &[i64]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// Everything that the sampler is refused.
fn changes(devices: bool) -> Result<Rules, seccompiler::BackendError> {
    let mut rules = whole(CHANGES);
    rules.extend(whole(NEW_CHANGES));
    rules.extend(whole(OLD_CHANGES));
    let mut refuse = |call: i64, arguments: &[Argument]| {
        rules.entry(call).or_default().push(rule(arguments)?);
        Ok::<_, seccompiler::BackendError>(())
    };
    for (call, arguments) in SOME_CHANGES {
        refuse(*call, arguments)?;
    }
    let speech = (!devices).then_some(&DEVICES);
    for (call, at) in OPENS {
        for (mask, value) in FLAGS.iter().chain(speech) {
            refuse(*call, &[(*at, *mask as u64, *value as u64)])?;
        }
    }
    Ok(rules)
}

/// Kernels that are built without filters do not know the call, or not this use of it.
fn is_absent(cause: &io::Error) -> bool {
    matches!(cause.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Everything that is allowed.
fn allowed(more: &[(i64, &[Argument])]) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = CALLS.iter().chain(OLD_CALLS).map(|call| (*call, Vec::new())).collect();
    for (call, arguments) in more {
        let known = rules.entry(*call).or_default();
        if !arguments.is_empty() {
            known.push(rule(arguments)?);
        }
    }
    for (call, at, mask, value) in SOME {
        let fits = SeccompCondition::new(*at, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(*mask), *value)?;
        rules.entry(*call).or_default().push(SeccompRule::new(vec![fits])?);
    }
    Ok(rules)
}

fn install(rules: Rules, otherwise: SeccompAction, then: SeccompAction) -> Result<(), seccompiler::Error> {
    let filter = SeccompFilter::new(rules, otherwise, then, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::{CStr, CString};

    /// How a child ended that was enclosed as the front is and then did something: its exit status, or the signal.
    fn enclosed(does: impl Fn() -> i32) -> Result<i32, i32> {
        child(|| super::super::rights::give_up_all().is_ok() && enclose().is_ok(), does)
    }

    /// As [`enclosed`], as the sampler is.
    fn sampling(other: bool, does: impl Fn() -> i32) -> Result<i32, i32> {
        let reach = Reach { namespaces: other, devices: other };
        child(|| super::super::rights::no_more().is_ok() && enclose_sampler(reach).is_ok(), does)
    }

    fn child(enclosed: impl Fn() -> bool, does: impl Fn() -> i32) -> Result<i32, i32> {
        // SAFETY: the child calls what works after a fork of a thread among others (the C library makes its allocator fit),
        // and ends without running anything of the parent's
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let status = if enclosed() { does() } else { 99 };
            // SAFETY: ends the child
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: waits for the child made above
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        if libc::WIFSIGNALED(status) { Err(libc::WTERMSIG(status)) } else { Ok(libc::WEXITSTATUS(status)) }
    }

    /// Error of a call that failed, zero if it did not.
    fn errno(result: i64) -> i32 {
        if result >= 0 { 0 } else { io::Error::last_os_error().raw_os_error().unwrap_or(-1) }
    }

    #[test]
    fn what_only_an_intruder_does_ends_the_front() {
        let program = CString::new("/bin/true").unwrap();
        let argv = [program.as_ptr(), std::ptr::null()];
        // SAFETY: valid pointers, or numbers only
        let tries: [&dyn Fn() -> i64; 6] = unsafe {
            [
                &|| i64::from(libc::execve(program.as_ptr(), argv.as_ptr(), argv[1..].as_ptr())),
                &|| libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0),
                &|| i64::from(libc::mount(program.as_ptr(), program.as_ptr(), program.as_ptr(), 0, std::ptr::null())),
                &|| libc::syscall(libc::SYS_bpf, 0, 0, 0),
                &|| i64::from(libc::unshare(libc::CLONE_NEWUSER)),
                &|| i64::from(libc::setns(0, 0)),
            ]
        };
        for (at, attempt) in tries.iter().enumerate() {
            assert_eq!(enclosed(|| errno(attempt())), Err(libc::SIGSYS), "attempt {at}");
        }
    }

    #[test]
    fn files_sockets_processes_and_signals_are_refused() {
        let open = |path: &str, flags: i32| {
            let path = CString::new(path).unwrap();
            // SAFETY: a valid string
            move || errno(i64::from(unsafe { libc::open(path.as_ptr(), flags) }))
        };
        assert_eq!(enclosed(open("/etc/shadow", libc::O_RDONLY)), Ok(libc::EPERM));
        assert_eq!(enclosed(open("/etc/hostname", libc::O_RDONLY)), Ok(libc::EPERM));
        assert_eq!(enclosed(open("/tmp/netglance-front", libc::O_WRONLY | libc::O_CREAT)), Ok(libc::EPERM));
        // SAFETY: numbers only
        unsafe {
            assert_eq!(
                enclosed(|| errno(i64::from(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)))),
                Ok(libc::EPERM)
            );
            assert_eq!(enclosed(|| errno(libc::syscall(libc::SYS_fork))), Ok(libc::EPERM));
            assert_eq!(enclosed(|| errno(i64::from(libc::kill(libc::getpid(), 0)))), Ok(libc::EPERM));
            assert_eq!(enclosed(|| errno(i64::from(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0)))), Ok(libc::EPERM));
            assert_eq!(enclosed(|| errno(i64::from(libc::setuid(0)))), Ok(libc::EPERM));
        }
    }

    #[test]
    fn the_sampler_reads_and_changes_nothing() {
        let open = |path: &'static CStr, flags: i32| {
            // SAFETY: a valid string
            move || errno(i64::from(unsafe { libc::open(path.as_ptr(), flags, 0o600) }))
        };
        assert_eq!(sampling(false, open(c"/proc/self/stat", libc::O_RDONLY)), Ok(0));
        assert_eq!(sampling(false, open(c"/dev/null", libc::O_WRONLY)), Ok(libc::EPERM));
        assert_eq!(sampling(false, open(c"/dev/null", libc::O_RDWR)), Ok(libc::EPERM));
        // with the driver of a graphics processor
        assert_eq!(sampling(true, open(c"/dev/null", libc::O_RDWR)), Ok(0));
        assert_eq!(sampling(true, open(c"/dev/null", libc::O_WRONLY)), Ok(libc::EPERM));
        let made = tempfile::tempdir().unwrap();
        let path = |name: &str| CString::new(made.path().join(name).into_os_string().into_encoded_bytes()).unwrap();
        let (there, new, dir) = (path("there"), path("new"), path(""));
        std::fs::write(made.path().join("there"), "kept").unwrap();
        for devices in [false, true] {
            for (path, flags) in [
                (&there, libc::O_RDONLY | libc::O_TRUNC),
                (&there, libc::O_ACCMODE),
                (&there, libc::O_RDWR | libc::O_TRUNC),
                (&new, libc::O_RDONLY | libc::O_CREAT),
                (&new, libc::O_RDWR | libc::O_CREAT),
                (&dir, libc::O_RDWR | libc::O_TMPFILE),
                (&dir, libc::O_WRONLY | libc::O_TMPFILE),
            ] {
                // SAFETY: valid strings
                let [with, at] = unsafe {
                    [
                        sampling(devices, || errno(i64::from(libc::open(path.as_ptr(), flags, 0o600)))),
                        sampling(devices, || {
                            errno(i64::from(libc::openat(libc::AT_FDCWD, path.as_ptr(), flags, 0o600)))
                        }),
                    ]
                };
                assert_eq!((with, at), (Ok(libc::EPERM), Ok(libc::EPERM)), "{path:?} {flags:o} {devices}");
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above
                let old =
                    sampling(devices, || unsafe { errno(libc::syscall(libc::SYS_open, path.as_ptr(), flags, 0o600)) });
                #[cfg(target_arch = "x86_64")]
                assert_eq!(old, Ok(libc::EPERM), "{path:?} {flags:o} {devices}");
            }
            // `O_TMPFILE` has the flag for directories in it
            // SAFETY: a valid string
            let list = sampling(devices, || unsafe { errno(i64::from(libc::open(dir.as_ptr(), libc::O_DIRECTORY))) });
            assert_eq!(list, Ok(0));
        }
        assert_eq!(std::fs::read(made.path().join("there")).unwrap(), b"kept");
        assert!(!made.path().join("new").exists());
        // arguments that no kernel accepts: who is let in is told something else
        for call in CHANGES.iter().chain(NEW_CHANGES).chain(OLD_CHANGES) {
            // SAFETY: descriptors and pointers that are none
            let asked = sampling(true, || unsafe { errno(libc::syscall(*call, -1, -1, -1, -1, -1, -1)) });
            assert_eq!(asked, Ok(libc::EPERM), "call {call}");
        }
    }

    #[test]
    fn the_sampler_reaches_the_kernel_and_nobody_else() {
        let socket = |family: i32, kind: i32| {
            // SAFETY: numbers only
            move || errno(i64::from(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) }))
        };
        assert_eq!(sampling(false, socket(libc::AF_INET, libc::SOCK_STREAM)), Ok(libc::EPERM));
        assert_eq!(sampling(false, socket(libc::AF_INET6, libc::SOCK_STREAM)), Ok(libc::EPERM));
        assert_eq!(sampling(false, socket(libc::AF_UNIX, libc::SOCK_STREAM)), Ok(0));
        assert_eq!(sampling(false, socket(libc::AF_NETLINK, libc::SOCK_RAW)), Ok(0));
        // SAFETY: valid strings, or numbers only
        unsafe {
            assert_eq!(sampling(false, || errno(libc::syscall(libc::SYS_fork))), Ok(libc::EPERM));
            assert_eq!(sampling(false, || errno(i64::from(libc::unlink(c"/nonexistent".as_ptr())))), Ok(libc::EPERM));
            assert_eq!(sampling(false, || errno(i64::from(libc::setuid(0)))), Ok(libc::EPERM));
            assert_eq!(sampling(false, || errno(i64::from(libc::setns(-1, 0)))), Err(libc::SIGSYS));
            assert_eq!(sampling(true, || errno(i64::from(libc::setns(-1, 0)))), Ok(libc::EBADF));
            let program = c"/bin/true";
            let argv = [program.as_ptr(), std::ptr::null()];
            let run = || errno(i64::from(libc::execv(program.as_ptr(), argv.as_ptr())));
            assert_eq!(sampling(true, run), Err(libc::SIGSYS));
        }
        assert_eq!(sampling(false, threads_work), Ok(0));
    }

    #[test]
    fn the_sampler_writes_at_the_end_of_what_it_was_given() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = std::fs::OpenOptions::new().append(true).open(file.path()).unwrap();
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: numbers only
        let flags = |flags: i32| move || errno(i64::from(unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags) }));
        assert_eq!(sampling(false, flags(0)), Ok(libc::EPERM));
        assert_eq!(sampling(false, flags(libc::O_NONBLOCK)), Ok(libc::EPERM));
        assert_eq!(sampling(false, flags(libc::O_APPEND | libc::O_NONBLOCK)), Ok(0));
    }

    /// Zero if there are threads, memory and randomness.
    fn threads_work() -> i32 {
        let sum = std::thread::Builder::new().name("worker".to_owned()).spawn(|| vec![1_u8; 1 << 20].len());
        let Ok(Ok(length)) = sum.map(std::thread::JoinHandle::join) else { return 1 };
        let mut bytes = [0_u8; 8];
        // SAFETY: as long as it says
        let random = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        i32::from(length != 1 << 20 || random != 8)
    }

    #[test]
    fn threads_memory_and_randomness_stay() {
        assert_eq!(enclosed(threads_work), Ok(0));
    }

    #[test]
    fn landlock_alone_leaves_no_file() {
        let child = || {
            if !files(&BTreeSet::new(), false).is_ok_and(|enforced| enforced) {
                return 98;
            }
            // SAFETY: a valid string
            errno(i64::from(unsafe { libc::open(c"/etc/passwd".as_ptr(), libc::O_RDONLY) }))
        };
        // SAFETY: as in `enclosed`
        let status = unsafe {
            match libc::fork() {
                0 => libc::_exit(child()),
                pid => {
                    let mut status = 0;
                    assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
                    libc::WEXITSTATUS(status)
                }
            }
        };
        assert_eq!(status, libc::EACCES);
    }

    #[test]
    fn the_courier_has_datagrams_and_no_connections() {
        let made = |family: i32, kind: i32| {
            let none = Ways::default();
            let enclosed = || super::super::rights::give_up_all().is_ok() && enclose_courier(&none).is_ok();
            // SAFETY: takes numbers only
            child(enclosed, || i32::from(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) } >= 0))
        };
        for family in [libc::AF_INET, libc::AF_INET6] {
            assert_eq!((made(family, libc::SOCK_DGRAM), made(family, libc::SOCK_STREAM)), (Ok(1), Ok(0)));
        }
        for (family, kind) in [(libc::AF_UNIX, libc::SOCK_STREAM), (libc::AF_NETLINK, libc::SOCK_RAW)] {
            assert_eq!(made(family, kind), Ok(0));
        }
    }

    #[test]
    fn the_courier_connects_to_the_ports_that_it_was_given_only() {
        use std::net::{Ipv4Addr, TcpListener, TcpStream};
        let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let [given, other] = listeners.each_ref().map(|listener| match listener.local_addr().unwrap() {
            std::net::SocketAddr::V4(place) => place,
            std::net::SocketAddr::V6(place) => panic!("{place}"),
        });
        let ways = Ways { ports: BTreeSet::from([given.port()]), sockets: false };
        let connects = |place| {
            let enclosed = || super::super::rights::give_up_all().is_ok() && enclose_courier(&ways).is_ok();
            child(enclosed, || match TcpStream::connect(place) {
                Ok(_) => 0,
                Err(error) => error.raw_os_error().unwrap_or(-1),
            })
        };
        assert_eq!((connects(given), connects(other)), (Ok(0), Ok(libc::EACCES)));
        for by_message in [false, true] {
            let enclosed = || super::super::rights::give_up_all().is_ok() && enclose_courier(&ways).is_ok();
            assert_eq!(child(enclosed, || opened_fast(other, by_message)), Ok(libc::EPERM), "by message: {by_message}");
        }
        let enclosed = || super::super::rights::give_up_all().is_ok() && enclose_courier(&ways).is_ok();
        // SAFETY: takes numbers only
        let unix = || i32::from(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) } >= 0);
        assert_eq!(child(enclosed, unix), Ok(0), "connections over the network only");
        let listens = || i32::from(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).is_ok());
        assert_eq!(child(enclosed, listens), Ok(0));
    }

    /// Error of a connection that is begun by the data that go over it (RFC 7413), without `connect`; zero if there is one.
    fn opened_fast(to: std::net::SocketAddrV4, by_message: bool) -> i32 {
        let mut data = *b"x";
        // SAFETY: numbers only, and an address and a message that are as long as they say, filled in as the system reads them
        unsafe {
            let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
            let mut address: libc::sockaddr_in = std::mem::zeroed();
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_port = to.port().to_be();
            address.sin_addr.s_addr = u32::from(*to.ip()).to_be();
            let length = size_of_val(&address) as libc::socklen_t;
            if !by_message {
                let place = (&raw const address).cast();
                return errno(libc::sendto(socket, data.as_ptr().cast(), 1, libc::MSG_FASTOPEN, place, length) as i64);
            }
            let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: 1 };
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_name = (&raw mut address).cast();
            message.msg_namelen = length;
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            errno(libc::sendmsg(socket, &raw const message, libc::MSG_FASTOPEN) as i64)
        }
    }

    #[test]
    fn the_courier_sends_to_sockets_of_this_host_where_its_log_is_told() {
        let made = |kind: i32| {
            let ways = Ways { ports: BTreeSet::new(), sockets: true };
            let enclosed = || super::super::rights::give_up_all().is_ok() && enclose_courier(&ways).is_ok();
            // SAFETY: takes numbers only
            child(enclosed, || i32::from(unsafe { libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0) } >= 0))
        };
        assert_eq!((made(libc::SOCK_DGRAM), made(libc::SOCK_STREAM)), (Ok(1), Ok(0)));
    }

    #[test]
    fn a_runner_without_programs_reads_and_asks_name_servers() {
        use std::net::{Ipv4Addr, TcpListener, TcpStream};
        let dir = tempfile::tempdir().unwrap();
        let (there, new) = (dir.path().join("there"), dir.path().join("new"));
        std::fs::write(&there, "kept").unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let std::net::SocketAddr::V4(place) = listener.local_addr().unwrap() else { panic!() };
        let code = |result: io::Result<()>| result.map_or_else(|cause| cause.raw_os_error().unwrap_or(-1), |()| 0);
        let enclosed = |does: &dyn Fn() -> i32| child(|| enclose_runner().is_ok(), does);
        assert_eq!(enclosed(&|| code(std::fs::read(&there).map(drop))), Ok(0));
        assert_eq!(enclosed(&|| code(std::fs::write(&there, "x"))), Ok(libc::EACCES));
        assert_eq!(enclosed(&|| code(std::fs::write(&new, "x"))), Ok(libc::EACCES));
        assert_eq!(enclosed(&|| code(TcpStream::connect(place).map(drop))), Ok(libc::EACCES));
        assert_eq!([false, true].map(|by_message| enclosed(&|| opened_fast(place, by_message))), [Ok(libc::EPERM); 2]);
        let program = c"/bin/true";
        let argv = [program.as_ptr(), std::ptr::null()];
        // SAFETY: valid strings
        let run = || errno(i64::from(unsafe { libc::execv(program.as_ptr(), argv.as_ptr()) }));
        assert_eq!(enclosed(&run), Err(libc::SIGSYS));
    }

    #[test]
    fn few_calls_are_allowed() {
        let rules = allowed(&[]).unwrap();
        assert!(rules.len() <= 80, "{}", rules.len());
        assert!(INTRUSIONS.iter().all(|call| !rules.contains_key(call)));
    }
}
