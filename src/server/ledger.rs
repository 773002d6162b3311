//! Who opens the file of changes that the sampler may write to, but not open?
//!
//! The supervisor does, at the start, after a hangup and when it is full, and hands it to the sampler. It writes nothing
//! itself, so that a disk that hangs holds up the thread of the sampler that writes, and nothing else. It opens none where
//! nothing can be written, so that it keeps nobody from it who could.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::pass::{self, Word};
use super::{Level, Log};
use crate::collect::Capabilities;
use crate::model::unit;
use crate::source::Error;
use crate::source::trail::{self, AGAIN, Settings};

/// The file, as far as it can be had.
pub(super) struct Ledger {
    settings: Settings,
    state: State,
    /// When it is tried again.
    due: Option<Instant>,
    told: String,
}

enum State {
    /// None is wanted, or it cannot be opened.
    Closed,
    /// Another netglance writes it.
    Taken,
    /// It can be written.
    Open(File),
    /// It is full, and nothing can take its place.
    Stuck(File),
}

impl Ledger {
    /// Opens what is configured.
    pub(super) fn open(settings: &Settings, log: &Log) -> Self {
        let state = State::Closed;
        let mut ledger = Self { settings: Settings::default(), state, due: None, told: String::new() };
        ledger.reopen(settings, log);
        ledger
    }

    /// Opens what is configured now, unless it is the same: somebody may have moved it away.
    pub(super) fn reopen(&mut self, settings: &Settings, log: &Log) {
        self.settings.clone_from(settings);
        (self.due, self.told) = (None, String::new());
        let held = match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(file) | State::Stuck(file) => Some(file),
            State::Closed | State::Taken => None,
        };
        if !self.is_on() {
            return;
        }
        let own = rustix::thread::capabilities(None).map(|own| own.effective);
        if own.is_ok_and(|own| own.contains(Capabilities::NET_ADMIN)) {
            self.adopt(trail::open(&self.settings.file, held.as_ref()), log);
        } else {
            let told = "no changes are written down: changes of the packet filter are heard with CAP_NET_ADMIN only";
            log.say(Level::Error, told);
        }
    }

    fn is_on(&self) -> bool {
        !self.settings.file.as_os_str().is_empty()
    }

    fn adopt(&mut self, opened: Result<File, Error>, log: &Log) {
        let path = self.settings.file.display();
        match opened {
            Ok(file) => {
                let told = format!("changes of the packet filter that are heard are written to {path}");
                (self.state, self.due) = (State::Open(file), None);
                self.tell(Level::Notice, told, log);
            }
            Err(error) if trail::is_taken(&error) => {
                let told = format!("another netglance writes changes of the packet filter to {path}");
                self.state = State::Taken;
                self.retry(Level::Notice, &told, log);
            }
            Err(error) => {
                self.state = State::Closed;
                self.retry(Level::Error, &format!("no changes are written down: {error}"), log);
            }
        }
    }

    /// Tries again in a moment what went otherwise than `told` wants it.
    fn retry(&mut self, level: Level, told: &str, log: &Log) {
        self.due = Some(Instant::now() + AGAIN);
        self.tell(level, format!("{told}; tried again every {}", unit::duration(AGAIN)), log);
    }

    /// Says something that was not said last.
    fn tell(&mut self, level: Level, told: String, log: &Log) {
        if self.told != told {
            log.say(level, &told);
        }
        self.told = told;
    }

    /// Tries again what could not be done; whether there is something to hand over.
    pub(super) fn look(&mut self, log: &Log) -> bool {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return false;
        }
        let word = self.word();
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Stuck(file) => self.turn_now(file, log),
            State::Open(_) | State::Closed | State::Taken => self.adopt(trail::open(&self.settings.file, None), log),
        }
        word != self.word() || matches!(self.state, State::Open(_))
    }

    /// How long to wait before it is looked at unasked.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Opens another file, because the sampler has no room in this one, or has none. One that has much room left stays,
    /// whatever the sampler says.
    pub(super) fn turn(&mut self, log: &Log) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(file) if file.metadata().is_ok_and(|meta| trail::is_full(&meta, self.settings.size)) => {
                self.turn_now(file, log);
            }
            State::Taken => self.adopt(trail::open(&self.settings.file, None), log),
            state => self.state = state,
        }
    }

    fn turn_now(&mut self, full: File, log: &Log) {
        match trail::turn(&self.settings.file, &full) {
            // others are kept out while it waits
            Err(error) if !trail::is_taken(&error) => {
                self.state = State::Stuck(full);
                self.retry(Level::Error, &format!("no changes are written down: {error}"), log);
            }
            turned => self.adopt(turned, log),
        }
    }

    /// What the sampler is told.
    fn word(&self) -> Word {
        if let State::Taken = self.state { Word::Taken } else { Word::Trail }
    }

    /// Gives the file to a sampler, or says why there is none.
    ///
    /// # Errors
    /// It does not listen.
    pub(super) fn hand(&self, control: impl AsFd) -> io::Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        let file = if let State::Open(file) = &self.state { Some(file.as_fd()) } else { None };
        pass::send(control, self.word(), file)
    }
}
