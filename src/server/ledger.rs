//! Who opens the file of changes that the sampler may write to, but not open?
//!
//! The supervisor does, at the start, after a hangup and when it is full, and hands it to the sampler. It writes nothing
//! itself, so that a disk that hangs holds up the thread of the sampler that writes, and nothing else.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::pass::{self, Word};
use super::{Level, Log};
use crate::model::unit;
use crate::source::Error;
use crate::source::trail::{self, AGAIN, Settings};

/// The file, as far as it can be had.
pub(super) struct Ledger {
    settings: Settings,
    file: Option<File>,
    /// When it is tried again.
    due: Option<Instant>,
    told: String,
}

impl Ledger {
    /// Opens what is configured.
    pub(super) fn open(settings: &Settings, log: &Log) -> Self {
        let mut ledger = Self { settings: Settings::default(), file: None, due: None, told: String::new() };
        ledger.reopen(settings, log);
        ledger
    }

    /// Opens what is configured now, anew even if it is the same: somebody may have moved it away.
    pub(super) fn reopen(&mut self, settings: &Settings, log: &Log) {
        self.settings.clone_from(settings);
        (self.due, self.told) = (None, String::new());
        if let Some(file) = self.file.take() {
            // the sampler writes it until it has the next one
            trail::release(&file);
        }
        if self.is_on() {
            self.adopt(trail::open(&self.settings.file), log);
        }
    }

    fn is_on(&self) -> bool {
        !self.settings.file.as_os_str().is_empty()
    }

    fn adopt(&mut self, opened: Result<File, Error>, log: &Log) {
        let (path, again) = (self.settings.file.display(), unit::duration(AGAIN));
        let (level, told) = match &opened {
            Ok(_) => (Level::Notice, format!("changes of the packet filter are written to {path}")),
            Err(error) => (Level::Error, format!("no changes are written down: {error}; tried again every {again}")),
        };
        self.due = opened.is_err().then(|| Instant::now() + AGAIN);
        self.file = opened.ok();
        if self.told != told {
            log.say(level, &told);
        }
        self.told = told;
    }

    /// Tries again what could not be opened; whether there is something to hand over.
    pub(super) fn look(&mut self, log: &Log) -> bool {
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.adopt(trail::open(&self.settings.file), log);
            return self.file.is_some();
        }
        false
    }

    /// How long to wait before it is looked at unasked.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Opens another file, because the sampler has no room in this one. One that has much room left stays, whatever the sampler
    /// says.
    pub(super) fn turn(&mut self, log: &Log) {
        let full = self.file.as_ref().and_then(|file| file.metadata().ok());
        if let Some(full) = full.filter(|meta| trail::is_full(meta, self.settings.size)) {
            self.adopt(trail::turn(&self.settings.file, &full), log);
        }
    }

    /// Gives the file to a sampler, or says that there is none.
    ///
    /// # Errors
    /// It does not listen.
    pub(super) fn hand(&self, control: impl AsFd) -> io::Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        pass::send(control, Word::Trail, self.file.as_ref().map(File::as_fd))
    }
}
