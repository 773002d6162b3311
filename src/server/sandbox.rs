//! What can somebody who has taken over the front still do?
//!
//! Answer those who are connected, and nothing else. Landlock takes away every file, every TCP port, and signals and abstract
//! sockets of others. Seccomp leaves [`CALLS`]. What is not among them fails with `EPERM`: libraries ask for this and that
//! when they start or run short of memory, and live with a refusal. What only an intruder asks for ([`INTRUSIONS`]) ends the
//! process at once, so that it is seen: the supervisor says by which signal it ended. Both hold for threads that are started
//! later, so it is called before there are any.

use std::collections::BTreeMap;
use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetStatus,
    Scope,
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
    libc::SYS_sendto,
    libc::SYS_sendmsg,
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
    // threads are named
    (libc::SYS_prctl, 0, u64::MAX, libc::PR_SET_NAME as u64),
];

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
    Ok(Enclosure { landlock: files()?, seccomp: calls()? })
}

/// Takes away every file, every TCP port, and abstract sockets and signals of others; `false` on a kernel without Landlock.
fn files() -> io::Result<bool> {
    let newest = ABI::V7;
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let ruleset = ruleset.handle_access(AccessFs::from_all(newest)).map_err(io::Error::other)?;
    let ruleset = ruleset.handle_access(AccessNet::from_all(newest)).map_err(io::Error::other)?;
    let ruleset = ruleset.scope(Scope::from_all(newest)).map_err(io::Error::other)?;
    // no rule is added: nothing is left
    let status = ruleset.create().and_then(landlock::RulesetCreated::restrict_self).map_err(io::Error::other)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Leaves the calls that serving takes; `false` on a kernel without filters.
fn calls() -> io::Result<bool> {
    let whole = |calls: &[i64]| calls.iter().map(|call| (*call, Vec::new())).collect::<Rules>();
    // arguments of clone3 lie in memory, where no filter looks; the C library falls back to clone
    let answered = SeccompAction::Errno(libc::ENOSYS as u32);
    match install(whole(&[libc::SYS_clone3]), SeccompAction::Allow, answered) {
        Err(seccompiler::Error::Seccomp(cause)) if is_absent(&cause) => return Ok(false),
        other => other.map_err(io::Error::other)?,
    }
    install(whole(INTRUSIONS), SeccompAction::Allow, SeccompAction::KillProcess).map_err(io::Error::other)?;
    // the last one, because it allows no other
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    install(allowed().map_err(io::Error::other)?, refused, SeccompAction::Allow).map_err(io::Error::other)?;
    Ok(true)
}

/// Kernels that are built without filters do not know the call, or not this use of it.
fn is_absent(cause: &io::Error) -> bool {
    matches!(cause.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Everything that is allowed.
fn allowed() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = CALLS.iter().chain(OLD_CALLS).map(|call| (*call, Vec::new())).collect();
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
    use std::ffi::CString;

    /// How a child ended that was enclosed and then did something: its exit status, or the signal.
    fn enclosed(does: impl Fn() -> i32) -> Result<i32, i32> {
        // SAFETY: the child calls what works after a fork of a thread among others (the C library makes its allocator fit),
        // and ends without running anything of the parent's
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let status = if super::super::rights::give_up_all().is_err() || enclose().is_err() { 99 } else { does() };
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
    fn threads_memory_and_randomness_stay() {
        let works = || {
            let sum = std::thread::Builder::new().name("worker".to_owned()).spawn(|| vec![1_u8; 1 << 20].len());
            let Ok(Ok(length)) = sum.map(std::thread::JoinHandle::join) else { return 1 };
            let mut bytes = [0_u8; 8];
            // SAFETY: as long as it says
            let random = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
            i32::from(length != 1 << 20 || random != 8)
        };
        assert_eq!(enclosed(works), Ok(0));
    }

    #[test]
    fn landlock_alone_leaves_no_file() {
        let child = || {
            if !files().is_ok_and(|enforced| enforced) {
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
    fn few_calls_are_allowed() {
        let rules = allowed().unwrap();
        assert!(rules.len() <= 80, "{}", rules.len());
        assert!(INTRUSIONS.iter().all(|call| !rules.contains_key(call)));
    }
}
