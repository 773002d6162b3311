//! How full is a file system, if it answers at all?
//!
//! `statfs` on a dead server or a hung FUSE daemon never returns, and nothing can end it. So it runs on threads: one at
//! first, another one only while all are stuck and something waits, [`MAX_WORKERS`] at most. The asker never waits longer
//! than it says. Nobody joins a stuck thread: it ends with the process, or alone once its call returns.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::lock;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Threads at most; what waits behind that many stuck ones gets no answer.
pub const MAX_WORKERS: usize = 8;

/// Time without any answer after which the running threads count as stuck.
const STUCK: Duration = Duration::from_millis(8);

/// Time without work after which a surplus thread ends.
const SURPLUS: Duration = Duration::from_secs(10);

/// `AUTOFS_SUPER_MAGIC` of `include/uapi/linux/magic.h`.
const AUTOFS: u64 = 0x0187;

/// Space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that users other than root can still fill.
    pub available: u64,
    /// Files it can hold; `None` where they are made as needed.
    pub inodes: Option<u64>,
    /// Files it holds.
    pub inodes_used: Option<u64>,
}

/// Number of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// Later than every question.
    pub const NONE: Self = Self(u64::MAX);
}

/// An answer: the space, or why it is not known.
pub type Answer = (Ticket, Result<Space, Errno>);

#[derive(Default)]
struct State {
    queue: VecDeque<(Ticket, Vec<u8>)>,
    waiting: BTreeSet<Ticket>,
    answers: Vec<Answer>,
    workers: usize,
    /// Threads that are in a call.
    asking: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
    ask: Ask,
}

/// The call that may hang, replaced in tests.
struct Ask(fn(&[u8]) -> Result<Space, Errno>);

impl Default for Ask {
    fn default() -> Self {
        Self(space)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The threads that ask.
#[derive(Default)]
pub struct Pool {
    shared: Arc<Shared>,
    next: u64,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Pool {
    /// Puts a question.
    pub fn ask(&mut self, path: Vec<u8>) -> Ticket {
        let ticket = Ticket(self.next);
        self.next = self.next.wrapping_add(1);
        let mut state = self.shared.lock();
        state.waiting.insert(ticket);
        state.queue.push_back((ticket, path));
        drop(state);
        self.shared.work.notify_one();
        ticket
    }

    /// Takes a question back; a thread that is stuck with it stays stuck.
    pub fn forget(&mut self, ticket: Ticket) {
        let mut state = self.shared.lock();
        state.waiting.remove(&ticket);
        state.queue.retain(|(queued, _)| *queued != ticket);
    }

    /// Waits until the questions from `first` on are answered, at most for `limit`, and takes all answers there are.
    ///
    /// # Errors
    /// Not a single thread could be started.
    pub fn answers(&mut self, first: Ticket, limit: Duration) -> Result<Vec<Answer>, std::io::Error> {
        let end = Instant::now() + limit;
        let mut state = self.shared.lock();
        if state.workers == 0 && !state.queue.is_empty() {
            self.grow(&mut state)?;
        }
        // a thread that has not begun to run yet is not stuck
        let may_grow =
            |state: &State| !state.queue.is_empty() && state.asking == state.workers && state.workers < MAX_WORKERS;
        while state.waiting.range(first..).next().is_some() || may_grow(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let before = state.waiting.len();
            let (guard, wait) =
                self.shared.done.wait_timeout(state, left.min(STUCK)).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            let stuck = wait.timed_out() && state.waiting.len() == before;
            if stuck && may_grow(&state) && self.grow(&mut state).is_err() {
                break;
            }
        }
        Ok(std::mem::take(&mut state.answers))
    }

    fn grow(&self, state: &mut State) -> Result<(), std::io::Error> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name("statfs".to_owned()).stack_size(128 << 10).spawn(move || work(&shared))?;
        state.workers += 1;
        Ok(())
    }
}

fn work(shared: &Shared) {
    let mut state = shared.lock();
    while !state.closed {
        if let Some((ticket, path)) = state.queue.pop_front() {
            state.asking += 1;
            drop(state);
            let answer = (shared.ask.0)(&path);
            state = shared.lock();
            state.asking -= 1;
            // the asker may have given up on it
            if state.waiting.remove(&ticket) {
                state.answers.push((ticket, answer));
            }
            shared.done.notify_all();
            continue;
        }
        let (guard, wait) = shared.work.wait_timeout(state, SURPLUS).unwrap_or_else(PoisonError::into_inner);
        state = guard;
        if wait.timed_out() && state.queue.is_empty() && state.workers > 1 {
            break;
        }
    }
    state.workers -= 1;
}

/// Asks one file system. An automount point is not triggered.
fn space(path: &[u8]) -> Result<Space, Errno> {
    // a path descriptor does not mount what is not mounted, unlike `statfs` by name
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(OsStr::from_bytes(path), flags, Mode::empty())?;
    let stat = rustix::fs::fstatfs(&file)?;
    if stat.f_type as u64 == AUTOFS {
        return Err(Errno::AGAIN);
    }
    let block = if stat.f_frsize > 0 { stat.f_frsize } else { stat.f_bsize } as u64;
    let bytes = |blocks: u64| blocks.saturating_mul(block);
    let inodes = Some(stat.f_files).filter(|count| *count > 0);
    Ok(Space {
        size: bytes(stat.f_blocks),
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        available: bytes(stat.f_bavail),
        inodes,
        inodes_used: inodes.and_then(|count| count.checked_sub(stat.f_ffree)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Paths that start with `hang` never answer.
    fn sometimes(path: &[u8]) -> Result<Space, Errno> {
        while path.starts_with(b"hang") {
            std::thread::park();
        }
        Err(Errno::NOENT)
    }

    fn pool() -> Pool {
        Pool { shared: Arc::new(Shared { ask: Ask(sometimes), ..Shared::default() }), next: 0 }
    }

    #[test]
    fn statvfs_agrees_about_the_root() {
        let mut pool = Pool::default();
        let ticket = pool.ask(b"/".to_vec());
        let answers = pool.answers(ticket, LONG).unwrap();
        let space = answers[0].1.unwrap();
        let want = rustix::fs::statvfs("/").unwrap();
        assert_eq!(space.size, want.f_blocks * want.f_frsize);
        assert!(space.used <= space.size && space.available <= space.size && space.size > 0);
    }

    #[test]
    fn one_hung_mount_delays_no_other() {
        let mut pool = pool();
        let first = pool.ask(b"hang".to_vec());
        let second = pool.ask(b"fine".to_vec());
        let answers = pool.answers(second, LONG).unwrap();
        assert_eq!(answers, [(second, Err(Errno::NOENT))]);
        assert!(pool.answers(first, Duration::from_millis(20)).unwrap().is_empty());
        assert_eq!(pool.shared.lock().workers, 2);
    }

    #[test]
    fn threads_are_bounded_and_the_asker_is_not_held() {
        let mut pool = pool();
        let tickets: Vec<_> = (0..20).map(|n| pool.ask(format!("hang{n}").into_bytes())).collect();
        let begin = Instant::now();
        while pool.shared.lock().asking < MAX_WORKERS {
            assert!(pool.answers(tickets[0], Duration::from_millis(50)).unwrap().is_empty());
            assert!(begin.elapsed() < LONG);
        }
        assert!(pool.answers(tickets[0], Duration::from_millis(50)).unwrap().is_empty());
        let state = pool.shared.lock();
        assert_eq!((state.workers, state.queue.len()), (MAX_WORKERS, 20 - MAX_WORKERS));
        drop(state);
        for ticket in tickets {
            pool.forget(ticket);
        }
        assert!(pool.shared.lock().queue.is_empty());
    }

    #[test]
    fn one_thread_is_enough_while_all_answer() {
        let mut pool = pool();
        for _ in 0..50 {
            let ticket = pool.ask(b"fine".to_vec());
            assert_eq!(pool.answers(ticket, LONG).unwrap().len(), 1);
        }
        assert_eq!(pool.shared.lock().workers, 1);
    }
}
