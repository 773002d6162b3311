//! How does the agent say something without ever waiting for a reader?
//!
//! Standard error may be a pipe that nobody reads (a supervisor that was stopped). Messages go into a short queue; one thread
//! writes them and may wait as long as it takes. What finds the queue full is counted, and the number is told when it moves
//! again. In front stands the program's name, or what journald understands when standard error is its stream.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::model::Text;

/// Messages that wait for the reader at most.
const WAITING: usize = 256;

/// Longest wait at the end for messages to be written.
const FAREWELL: Duration = Duration::from_millis(100);

/// How much a message matters, as syslog has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something that was asked for is not done.
    Error = 3,
    /// Something that should not happen, and is dealt with.
    Warning = 4,
    /// What an operator wants to read of a day without events.
    Notice = 5,
}

/// Says things on standard error.
#[derive(Clone, Default)]
pub struct Log {
    queue: Arc<OnceLock<SyncSender<Item>>>,
    dropped: Arc<AtomicU64>,
}

enum Item {
    Line(Level, Text),
    /// Answered when everything before it is written.
    End(SyncSender<()>),
}

impl Log {
    /// Says something, now or never.
    pub fn say(&self, level: Level, message: &str) {
        let line = Item::Line(level, Text::from(message));
        if self.queue().is_none_or(|queue| queue.try_send(line).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits a moment for what was said to be read.
    pub fn end(&self) {
        let (sender, written) = sync_channel(1);
        if self.queue.get().is_some_and(|queue| queue.try_send(Item::End(sender)).is_ok()) {
            let _ = written.recv_timeout(FAREWELL);
        }
    }

    /// Says of a panic what is said of everything else, by a thread that is started now: then there may be none to be had.
    pub fn tell_panics(&self) {
        let _ = self.queue();
        let log = self.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            log.say(Level::Error, &format!("thread {}: {panic}", thread.name().unwrap_or("without a name")));
            log.end();
        }));
    }

    /// To the thread that writes, which is started if there is none yet; `None` as long as it cannot be.
    fn queue(&self) -> Option<&SyncSender<Item>> {
        if self.queue.get().is_none() {
            let (sender, receiver) = sync_channel(WAITING);
            let dropped = Arc::clone(&self.dropped);
            let journal = is_journal();
            let write = move || write(&receiver, &dropped, journal, &mut io::stderr());
            std::thread::Builder::new().name("log".to_owned()).spawn(write).ok()?;
            // of two that are started at once one ends with its queue
            let _ = self.queue.set(sender);
        }
        self.queue.get()
    }
}

fn write(items: &Receiver<Item>, dropped: &AtomicU64, journal: bool, to: &mut impl io::Write) {
    while let Ok(item) = items.recv() {
        match item {
            // nobody is left to tell when standard error is gone
            Item::Line(level, message) => drop(to.write_all(line(level, &message, journal).as_bytes())),
            Item::End(written) => drop(written.try_send(())),
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let message = format!("{lost} messages were dropped: nobody read standard error");
            let _ = to.write_all(line(Level::Warning, &message, journal).as_bytes());
        }
    }
}

/// One line: `<4>text` for journald, which knows who speaks.
fn line(level: Level, message: &str, journal: bool) -> String {
    if journal { format!("<{}>{message}\n", level as u8) } else { format!("netglance: {message}\n") }
}

/// Whether standard error is the stream that journald has made for this service.
fn is_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(own) = rustix::fs::fstat(io::stderr()) else { return false };
    stream == format!("{}:{}", own.st_dev, own.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::channel;

    /// Compiles only if a type has neither `Debug` nor `Display`: with one of them two implementations fit.
    macro_rules! unprintable {
        ($($secret:ty),+) => {
            $({
                trait Printed<How> { fn is() {} }
                impl<T: ?Sized> Printed<()> for T {}
                impl<T: ?Sized + std::fmt::Debug> Printed<u8> for T {}
                struct Displayed;
                impl<T: ?Sized + std::fmt::Display> Printed<Displayed> for T {}
                <$secret as Printed<_>>::is();
            })+
        };
    }

    #[test]
    fn no_panic_can_tell_a_secret_because_none_can_be_printed() {
        use crate::client::{Access, Certificate, Secret, session};
        use crate::server::{tls, token};
        unprintable!(Secret, Certificate, Access, session::Credential, token::Token, token::Tokens, tls::Identity);
    }

    #[test]
    fn journald_is_told_the_level_and_others_the_name() {
        assert_eq!(line(Level::Warning, "slow", true), "<4>slow\n");
        assert_eq!(line(Level::Error, "slow", false), "netglance: slow\n");
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_was_lost_is_counted() {
        let (to, from) = UnixStream::pair().unwrap();
        let (sender, receiver) = sync_channel(WAITING);
        let log = Log::default();
        assert!(log.queue.set(sender).is_ok());
        let dropped = Arc::clone(&log.dropped);
        let (ended, end) = channel();
        let mut to = to;
        std::thread::spawn(move || {
            write(&receiver, &dropped, false, &mut to);
            ended.send(()).unwrap();
        });
        // far more than the socket and the queue hold; it returns although nobody reads
        let message = "x".repeat(200);
        for _ in 0..100_000 {
            log.say(Level::Notice, &message);
        }
        let lost = log.dropped.load(Ordering::Relaxed);
        assert!(lost > 50_000, "{lost}");
        drop(log);
        let text = io::read_to_string(from).unwrap();
        end.recv().unwrap();
        let told =
            |line: &str| line.strip_prefix("netglance: ")?.split_once(" messages were dropped")?.0.parse::<u64>().ok();
        let dropped: u64 = text.lines().filter_map(told).sum();
        assert!(dropped >= lost);
        assert_eq!(text.lines().filter(|line| line.ends_with(&message)).count() as u64, 100_000 - dropped);
    }
}
