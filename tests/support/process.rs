//! Processes that tests start: strangers with names of our choice, storms, and what the kernel says of one.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A child that is killed and reaped however the test ends.
pub(crate) struct Guard(pub(crate) Child);

impl Guard {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // a test beside this one may have forked while the program was being copied, and holds it open until it executes
        loop {
            match command.spawn() {
                Err(busy) if busy.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                child => return Self(child.unwrap()),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long this thread and the first ones of these processes have been ready so far while no CPU was free.
pub(crate) fn waited(parts: &[u32]) -> Duration {
    let files =
        parts.iter().map(|part| format!("/proc/{part}/schedstat")).chain(["/proc/thread-self/schedstat".to_owned()]);
    let second = |text: String| text.split(' ').nth(1).and_then(|text| text.parse::<u64>().ok());
    Duration::from_nanos(files.filter_map(|file| second(std::fs::read_to_string(file).ok()?)).sum())
}

/// How long something takes that these processes do for this thread, without the time in which no CPU was free: what else the
/// machine does is not their fault.
pub(crate) fn timed(parts: &[u32], what: impl FnOnce()) -> Duration {
    let (before, begin) = (waited(parts), Instant::now());
    what();
    let taken = begin.elapsed();
    taken.saturating_sub(waited(parts).saturating_sub(before))
}

/// Sets it when it goes, so that nobody waits for a test that has failed.
pub(crate) struct Done<'a>(pub(crate) &'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A process that sleeps under a name of our choice, and ends with its owner.
pub(crate) struct Sleeper {
    pub(crate) guard: Guard,
    _dir: tempfile::TempDir,
}

impl Sleeper {
    pub(crate) fn start(name: impl AsRef<OsStr>, argument: impl AsRef<OsStr>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(name.as_ref());
        // a link, not a copy: what another thread's child still holds open for writing cannot be run
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let guard = Guard::start(Command::new(&program).arg0(argument).arg("600"));
        Self { guard, _dir: dir }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }
}

/// Children that come and go: at most `alive` of them are there at any time.
pub(crate) struct Storm {
    alive: usize,
    children: VecDeque<libc::pid_t>,
}

impl Storm {
    pub(crate) fn new(alive: usize) -> Self {
        Self { alive, children: VecDeque::new() }
    }

    /// Starts so many children; for each beyond the limit the oldest one ends.
    pub(crate) fn blow(&mut self, count: usize) {
        for _ in 0..count {
            // SAFETY: the child only calls `pause`, which is async-signal-safe, so that locks held by other threads at the
            // time of the fork do not matter.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                loop {
                    // SAFETY: has no arguments.
                    unsafe { libc::pause() };
                }
            }
            assert!(pid > 0, "{}", std::io::Error::last_os_error());
            self.children.push_back(pid);
            if self.children.len() > self.alive {
                self.end_oldest();
            }
        }
    }

    fn end_oldest(&mut self) {
        let Some(pid) = self.children.pop_front() else { return };
        // SAFETY: the child is ours and not reaped yet, so that its number is its own.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }

    /// Ends all that are left.
    pub(crate) fn calm(&mut self) {
        while !self.children.is_empty() {
            self.end_oldest();
        }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.calm();
    }
}

/// What the kernel counts for one process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    pub(crate) rss: u64,
    /// CPU seconds.
    pub(crate) cpu: f64,
}

/// What a process holds now; `None` when it is gone.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    usage_below(Path::new("/proc"), pid)
}

/// As [`usage`], with the `/proc` that knows the process by this number.
pub(crate) fn usage_below(proc: &Path, pid: u32) -> Option<Usage> {
    let process = proc.join(pid.to_string());
    let count = |what| Some(std::fs::read_dir(process.join(what)).ok()?.count());
    let text = std::fs::read_to_string(process.join("stat")).ok()?;
    let fields: Vec<u64> =
        text.rsplit_once(") ")?.1.split(' ').skip(1).map(|field| field.trim().parse().unwrap_or(0)).collect();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    Some(Usage {
        descriptors: count("fd")?,
        threads: count("task")?,
        rss: fields.get(20)? * rustix::param::page_size() as u64,
        cpu: (fields.get(10)? + fields.get(11)?) as f64 / ticks,
    })
}

/// Sockets that a process has open, each with a number of its own.
pub(crate) fn sockets(process: u32) -> BTreeSet<PathBuf> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let targets = open.filter_map(|one| std::fs::read_link(one.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).collect()
}

/// Takes every right from the process that a command starts, and makes it nobody.
pub(crate) fn as_nobody(command: &mut Command) {
    // the supplementary groups go with it; without root and without file capabilities none is left
    command.uid(65534).gid(65534);
}

/// Bounds the descriptors of the process that a command starts.
pub(crate) fn with_descriptors(command: &mut Command, most: u64) {
    with_limit(command, libc::RLIMIT_NOFILE, most);
}

/// Bounds the processes and threads of a command's user; root has no such bound.
pub(crate) fn with_threads(command: &mut Command, most: u64) {
    with_limit(command, libc::RLIMIT_NPROC, most);
}

fn with_limit(command: &mut Command, what: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: a plain system call with plain data.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(what, &raw const limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
}
