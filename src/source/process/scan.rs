//! How are thousands of processes read every second for little?
//!
//! One descriptor on `/proc` lists them; the files that are read on every tick stay open, up to half of the descriptors
//! that this process may have, and are read at offset 0 into one buffer. A kept descriptor never shows another process: after the
//! end of its own the kernel answers `ESRCH`, even if the number is used again.

use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;
use rustix::process::Resource;

use super::parse::{self, Stat};
use crate::model::{Timestamp, text::MAX_TEXT};
use crate::source::file::{Root, Roots};
use crate::source::{Error, meter};

/// Descriptors that are kept at most, however many this process may have.
const MAX_KEPT: usize = 1 << 16;

/// Descriptors that are left to everybody else, however few there are.
const RESERVE: usize = 128;

/// Processes that are listed at most: the kernel's own bound on pids.
const MAX_PROCESSES: usize = 1 << 22;

/// A file of a process that is read on every tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// Identity, state, times, sizes.
    Stat,
    /// Storage traffic; only the owner and root may read it.
    Io,
    /// Time spent waiting for a CPU.
    Schedstat,
    /// Sizes of memory in pages.
    Statm,
    /// What it waits in; only the owner and root may read it.
    Syscall,
}

impl File {
    fn name(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Io => "io",
            Self::Schedstat => "schedstat",
            Self::Statm => "statm",
            Self::Syscall => "syscall",
        }
    }
}

/// One process, or one thread, with the descriptors that are kept on it.
#[derive(Debug)]
pub struct Handle {
    pid: u32,
    /// Process that it is a thread of.
    of: Option<u32>,
    kept: [Option<OwnedFd>; 5],
}

impl Handle {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { pid, of: None, kept: [const { None }; 5] }
    }

    /// A thread of a process: its files tell of nothing but the thread.
    #[must_use]
    pub fn thread(of: u32, thread: u32) -> Self {
        Self { of: Some(of), ..Self::new(thread) }
    }

    /// Number of the process or the thread.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Closes a file that nobody wants any more.
    pub fn close(&mut self, file: File) {
        *self.slot(file) = None;
    }

    fn slot(&mut self, file: File) -> &mut Option<OwnedFd> {
        let [stat, io, schedstat, statm, syscall] = &mut self.kept;
        match file {
            File::Stat => stat,
            File::Io => io,
            File::Schedstat => schedstat,
            File::Statm => statm,
            File::Syscall => syscall,
        }
    }
}

/// Reads the processes below one root.
pub struct Scanner {
    root: PathBuf,
    dir: OwnedFd,
    names: Box<[MaybeUninit<u8>]>,
    buffer: Vec<u8>,
    path: String,
    budget: usize,
    kept: usize,
    /// Why some file could not be opened though its process may well be there.
    exhausted: Option<Errno>,
    /// Whether a process was listed whose `stat` may not be read.
    refused: bool,
    live: bool,
}

impl Scanner {
    /// Opens `/proc` or a recorded tree. On the live kernel the limit of open files is raised as far as it goes.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn new(root: &Root, live: bool) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(root.path(), flags, Mode::empty())
            .map_err(|cause| Error::new("open", root.path(), cause))?;
        Ok(Self {
            root: root.path().to_owned(),
            dir,
            names: vec![MaybeUninit::uninit(); 32 << 10].into_boxed_slice(),
            // a byte more than a text may have, so that a longer command is marked as cut
            buffer: Vec::with_capacity(MAX_TEXT + 1),
            path: String::new(),
            budget: if live { descriptor_budget() } else { 0 },
            kept: 0,
            exhausted: None,
            refused: false,
            live,
        })
    }

    /// Lets it keep only one of so many descriptors that it might, for those who read beside it.
    #[must_use]
    pub fn with_part(mut self, parts: usize) -> Self {
        self.budget = self.budget.checked_div(parts).unwrap_or(0);
        self
    }

    /// Lists the processes, smallest number first, into `pids`, which is cleared.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn pids(&mut self, pids: &mut Vec<u32>) -> Result<(), Error> {
        pids.clear();
        self.kept = 0;
        let fail = |cause: Errno| Error::new("list", &self.root, cause);
        rustix::fs::seek(&self.dir, SeekFrom::Start(0)).map_err(fail)?;
        let mut entries = RawDir::new(&self.dir, &mut self.names);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(fail)?;
            let pid = parse::number(entry.file_name().to_bytes()).and_then(|pid| u32::try_from(pid).ok());
            if pids.len() == MAX_PROCESSES {
                return Err(fail(Errno::FBIG));
            }
            pids.extend(pid);
        }
        pids.sort_unstable();
        Ok(())
    }

    /// Reads and parses `stat`; `None` when the process is gone or hidden from this user.
    pub fn stat(&mut self, handle: &mut Handle) -> Option<Stat> {
        match self.every_tick(handle, File::Stat) {
            Ok(text) => parse::stat(text),
            Err(cause) => {
                self.refused |= matches!(cause, Errno::ACCESS | Errno::PERM);
                None
            }
        }
    }

    /// Reads a file that is wanted on every tick and keeps it open if there are descriptors left.
    ///
    /// # Errors
    /// `ENOENT` or `ESRCH` when the process is gone, `EACCES` or `EPERM` when it is another user's.
    pub fn every_tick(&mut self, handle: &mut Handle, file: File) -> Result<&[u8], Errno> {
        let (pid, of) = (handle.pid, handle.of);
        let slot = handle.slot(file);
        let fd = match slot.take() {
            Some(fd) => fd,
            None => self.open(of, pid, file.name())?,
        };
        self.buffer.clear();
        rustix::io::pread(&fd, rustix::buffer::spare_capacity(&mut self.buffer), 0)?;
        meter::add(self.buffer.len());
        if self.kept < self.budget {
            self.kept += 1;
            *slot = Some(fd);
        }
        Ok(&self.buffer)
    }

    /// Reads the first 4 KiB of a file of a process, and one byte more if there is more.
    ///
    /// # Errors
    /// As [`Self::every_tick`].
    pub fn once(&mut self, pid: u32, name: &str) -> Result<&[u8], Errno> {
        let fd = self.open(None, pid, name)?;
        self.buffer.clear();
        // seq files hand out at most a page at a time
        loop {
            let free = self.buffer.capacity() - self.buffer.len();
            if free == 0 || rustix::io::read(&fd, rustix::buffer::spare_capacity(&mut self.buffer))? == 0 {
                break;
            }
        }
        meter::add(self.buffer.len());
        Ok(&self.buffer)
    }

    /// Effective uid: the owner of the process's directory, which the kernel keeps even for processes that hide their files.
    pub fn owner(&mut self, pid: u32) -> Option<u32> {
        self.path.clear();
        let _ = write!(self.path, "{pid}");
        rustix::fs::statat(&self.dir, self.path.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| stat.st_uid)
    }

    fn open(&mut self, of: Option<u32>, pid: u32, name: &str) -> Result<OwnedFd, Errno> {
        self.path.clear();
        let _ = match of {
            None => write!(self.path, "{pid}/{name}"),
            Some(of) => write!(self.path, "{of}/task/{pid}/{name}"),
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = rustix::fs::openat(&self.dir, self.path.as_str(), flags, Mode::empty());
        if let Err(cause @ (Errno::MFILE | Errno::NFILE)) = opened {
            // somebody else needs descriptors: let half of ours go on the next tick
            self.budget = self.kept / 2;
            self.exhausted = Some(cause);
        }
        opened
    }

    /// Whether processes of other users were hidden from this one since the last call (`hidepid` of the mount): then not
    /// even the first process can be seen.
    pub fn hides(&mut self, pids: &[u32]) -> bool {
        std::mem::take(&mut self.refused) || (self.live && pids.first() != Some(&1))
    }

    /// Whether every process could be looked at since the last call.
    ///
    /// # Errors
    /// There were no descriptors left, so that processes that exist are missing.
    pub fn complete(&mut self) -> Result<(), Error> {
        let fail = |cause| Err(Error::new("open the files of processes below", &self.root, cause));
        self.exhausted.take().map_or(Ok(()), fail)
    }
}

/// Raises the soft limit of open files to the hard one and takes half of it, less when the others need it.
fn descriptor_budget() -> usize {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum && rustix::process::setrlimit(Resource::Nofile, raised).is_ok() {
        limit = raised;
    }
    let all = limit.current.map_or(MAX_KEPT, |all| usize::try_from(all).unwrap_or(MAX_KEPT));
    (all / 2).min(all.saturating_sub(RESERVE)).min(MAX_KEPT)
}

/// When the machine booted: from the clocks of the live kernel, from `/proc/stat` of a recorded one.
pub fn boot_time(roots: &Roots, now: Timestamp) -> Option<Timestamp> {
    if roots.live {
        let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let since = since.tv_sec.checked_mul(1_000_000_000)?.checked_add(since.tv_nsec)?;
        return Some(Timestamp(now.0.checked_sub(since)?));
    }
    let text = roots.proc.read("stat").ok()?;
    let seconds = parse::number(parse::field(&text, b"btime ")?)?;
    Some(Timestamp(i64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_listed_and_read() {
        let mut scanner = Scanner::new(&Root::new("/proc"), true).unwrap();
        let mut pids = Vec::new();
        scanner.pids(&mut pids).unwrap();
        let me = std::process::id();
        assert!(pids.is_sorted() && pids.contains(&me));
        let mut handle = Handle::new(me);
        let first = scanner.stat(&mut handle).unwrap();
        assert!(handle.kept[0].is_some());
        let again = scanner.stat(&mut handle).unwrap();
        assert_eq!((first.pid, first.start), (me, again.start));
        assert_eq!(scanner.owner(me), Some(rustix::process::geteuid().as_raw()));
    }

    #[test]
    fn without_descriptors_left_files_are_opened_anew() {
        let mut scanner = Scanner::new(&Root::new("/proc"), false).unwrap();
        let mut handle = Handle::new(std::process::id());
        assert!(scanner.stat(&mut handle).is_some() && scanner.stat(&mut handle).is_some());
        assert!(handle.kept.iter().all(Option::is_none));
    }

    #[test]
    fn a_process_that_is_not_there_is_none() {
        let mut scanner = Scanner::new(&Root::new("/proc"), true).unwrap();
        assert!(scanner.stat(&mut Handle::new(u32::MAX)).is_none());
        assert_eq!(scanner.owner(u32::MAX), None);
    }
}
