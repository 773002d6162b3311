//! Who writes to the terminal, so that a terminal that takes nothing stops nobody?
//!
//! One thread writes; at most one block of bytes waits beside the one being written. Whoever draws asks
//! [`Output::ready`] first and otherwise draws later, when the callback says that the terminal has caught up.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Error;
use crate::model::lock;

/// Called after each block, with the error that ended the output if there was one.
pub(super) type Written = Box<dyn Fn(Result<(), io::Error>) + Send>;

/// Most bytes in one write to a description that may block.
const PIECE: usize = 256;
/// Blocks that may wait: mode changes beside one frame.
const QUEUE: usize = 4;

/// Handle of the output thread.
pub(super) struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    fd: OwnedFd,
    /// Whether `fd` is a description of our own in non-blocking mode.
    own: bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Vec<u8>>,
    busy: bool,
    stopped: bool,
    /// Whether what is being written is to be left where it is.
    dropped: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Output {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Thread`] when no thread can be started.
    pub(super) fn start(fd: OwnedFd, own: bool, written: Written) -> Result<Self, Error> {
        let shared = Arc::new(Shared { fd, own, state: Mutex::default(), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || serve(&theirs, &written))
            .map_err(Error::Thread)?;
        Ok(Self { shared })
    }

    /// Whether nothing is queued or being written.
    pub(super) fn ready(&self) -> bool {
        let state = self.shared.lock();
        state.queue.is_empty() && !state.busy
    }

    /// Queues a block; dropped when the terminal is so far behind that the next full frame replaces it.
    pub(super) fn send(&self, bytes: Vec<u8>) {
        let mut state = self.shared.lock();
        if state.queue.len() < QUEUE {
            state.queue.push_back(bytes);
            self.shared.changed.notify_all();
        }
    }

    /// Waits until all is written, at most `patience`.
    pub(super) fn drain(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.shared.lock();
        while !state.stopped && (state.busy || !state.queue.is_empty()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.stopped
    }

    /// Forgets what is queued and being written, and waits until that has ended, at most `patience`.
    pub(super) fn discard(&self, patience: Duration) {
        let mut state = self.shared.lock();
        state.queue.clear();
        state.dropped = state.busy;
        drop(state);
        self.drain(patience);
    }

    /// Forgets what is queued and ends the thread at its next step.
    pub(super) fn stop(&self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        state.queue.clear();
        self.shared.changed.notify_all();
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.shared.fd.as_fd()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(shared: &Shared, written: &Written) {
    loop {
        let mut state = shared.lock();
        let bytes = loop {
            if state.stopped {
                return;
            }
            if let Some(bytes) = state.queue.pop_front() {
                break bytes;
            }
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.busy = true;
        drop(state);
        let result = write_all(shared, &bytes);
        let failed = result.is_err();
        let mut state = shared.lock();
        (state.busy, state.dropped) = (false, false);
        state.stopped |= failed;
        drop(state);
        shared.changed.notify_all();
        written(result);
    }
}

fn write_all(shared: &Shared, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let state = shared.lock();
        if state.stopped || state.dropped {
            return Ok(());
        }
        drop(state);
        if !writable(shared.fd.as_fd(), 100)? {
            continue;
        }
        let most = if shared.own { bytes.len() } else { bytes.len().min(PIECE) };
        match rustix::io::write(&shared.fd, bytes.get(..most).unwrap_or(bytes)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(cause) => return Err(cause.into()),
        }
    }
    Ok(())
}

fn writable(fd: BorrowedFd<'_>, millis: i64) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(cause) => Err(cause.into()),
    }
}

/// Writes what fits without waiting for a stalled terminal; for ways out where nothing more can be done.
pub(super) fn try_write(fd: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() && writable(fd.as_fd(), 100).unwrap_or(false) {
        match rustix::io::write(&fd, bytes.get(..bytes.len().min(PIECE)).unwrap_or(bytes)) {
            Ok(n) if n > 0 => bytes = bytes.get(n..).unwrap_or_default(),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::sync::mpsc;

    #[test]
    fn a_reader_that_takes_nothing_stops_neither_sending_nor_ending() {
        let (reader, writer) = io::pipe().unwrap();
        let output = Output::start(writer.into(), false, Box::new(|_| {})).unwrap();
        output.send(vec![b'x'; 1 << 20]);
        assert!(!output.drain(Duration::from_millis(50)));
        assert!(!output.ready());
        let before = Instant::now();
        drop(output);
        assert!(before.elapsed() < Duration::from_secs(1));
        drop(reader);
    }

    #[test]
    fn what_comes_after_a_stalled_terminal_was_given_up_is_written() {
        let (mut reader, writer) = io::pipe().unwrap();
        let output = Output::start(writer.into(), false, Box::new(|_| {})).unwrap();
        output.send(vec![b'x'; 1 << 20]);
        assert!(!output.drain(Duration::from_millis(50)));
        output.discard(Duration::from_secs(5));
        assert!(output.ready());
        output.send(b"again".to_vec());
        let mut all = Vec::new();
        while !all.ends_with(b"again") {
            let mut some = [0; 4096];
            let count = reader.read(&mut some).unwrap();
            all.extend_from_slice(&some[..count]);
        }
        assert!(all.len() < 1 << 20);
    }

    #[test]
    fn blocks_come_out_in_order() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (tx, rx) = mpsc::channel();
        let tx = Mutex::new(tx);
        let done = Box::new(move |result: io::Result<()>| {
            let _ = tx.lock().unwrap().send(result.is_ok());
        });
        let output = Output::start(writer.into(), false, done).unwrap();
        output.send(b"one ".to_vec());
        output.send(b"two".to_vec());
        assert!(rx.recv().unwrap() && rx.recv().unwrap());
        let mut text = [0; 7];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one two");
    }

    #[test]
    fn a_terminal_that_is_gone_is_reported() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (tx, rx) = mpsc::channel();
        let tx = Mutex::new(tx);
        let done = Box::new(move |result: io::Result<()>| {
            let _ = tx.lock().unwrap().send(result.is_err());
        });
        let output = Output::start(writer.into(), false, done).unwrap();
        output.send(b"x".to_vec());
        assert!(rx.recv().unwrap());
        assert!(!output.drain(Duration::from_secs(1)));
    }
}
