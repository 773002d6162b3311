//! What does a recipient know of an alert, and what is it to be told?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AGAIN, Recipient};
use crate::alert::told::digest;
use crate::alert::{Change, Failure, Fate, Notification};
use crate::model::{Level, Mono};

/// One change of a message.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) alert: String,
    pub(super) id: String,
    pub(super) change: Change,
    /// What is known when it was told.
    pub(super) told: Told,
}

/// What somebody knows of an alert: that it goes on with this severity, or nothing.
pub(super) type Told = Option<Word>;

/// What a recipient knows of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::alert) struct Entry {
    /// How it is now.
    pub(super) now: Notification,
    /// What was told last.
    pub(super) told: Told,
    /// Whether it should have been told and was not.
    pub(super) owed: bool,
    /// Whether it is about a moment.
    pub(super) is_moment: bool,
    /// How often it was told that it goes on.
    #[serde(default)]
    pub(super) repeats: u64,
    /// Whether it was refused as it is.
    #[serde(default)]
    pub(super) is_refused: bool,
    /// When it was tried last, in nanoseconds of the monotonic clock: below zero before the machine began.
    #[serde(skip)]
    pub(super) tried: Option<i64>,
    /// What was refused is not tried before.
    #[serde(skip)]
    pub(super) aside: Option<i64>,
    /// Whether nobody is told now.
    #[serde(skip)]
    pub(super) is_muted: bool,
}

pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn at(mono: Mono) -> i64 {
    i64::try_from(mono.0).unwrap_or(i64::MAX)
}

/// A severity that can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    Careful,
    Warning,
    Critical,
}

impl Word {
    pub(super) fn of(level: Level) -> Self {
        match level {
            Level::Ok | Level::Careful => Self::Careful,
            Level::Warning => Self::Warning,
            Level::Critical => Self::Critical,
        }
    }

    pub(super) fn level(self) -> Level {
        match self {
            Self::Careful => Level::Careful,
            Self::Warning => Level::Warning,
            Self::Critical => Level::Critical,
        }
    }
}

impl Entry {
    pub(super) fn new(now: Notification, is_moment: bool) -> Self {
        Self {
            now,
            told: None,
            owed: false,
            is_moment,
            repeats: 0,
            is_refused: false,
            tried: None,
            aside: None,
            is_muted: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.now.change == Change::Cleared
    }

    /// Whether nobody took it as it was, and it is over.
    pub(super) fn is_given_up(&self) -> bool {
        self.is_over() && self.told.is_none() && self.is_refused
    }

    /// What is to be told now, if anything.
    pub(super) fn due(&self, recipient: &Recipient, now: Mono) -> Option<Change> {
        let severity = Word::of(self.now.severity);
        if self.is_over() {
            return match self.told {
                Some(_) => (recipient.recovery && !self.is_moment).then_some(Change::Cleared),
                None if self.is_refused => None,
                None if self.owed && self.is_moment => Some(Change::Fired),
                None => self.owed.then_some(Change::Cleared),
            };
        }
        let still = || {
            let repeat = recipient.repeat.filter(|_| !self.is_moment)?;
            let next = self.tried.map_or(i64::MIN, |tried| tried.saturating_add(nanos(repeat)));
            (next <= at(now)).then_some(Change::Still)
        };
        match self.told {
            // that nobody is told is no news to who would take it for over
            Some(_) if self.is_muted && recipient.forgets => still(),
            _ if self.is_muted => None,
            None => recipient.wants(&self.now).then_some(Change::Fired),
            Some(told) if severity > told => Some(Change::Worse),
            Some(told) if severity < told => Some(Change::Better),
            Some(_) => still(),
        }
    }

    /// When it may be told again.
    pub(super) fn free(&self, recipient: &Recipient) -> i64 {
        let tried = self.tried.map_or(i64::MIN, |tried| tried.saturating_add(nanos(recipient.window)));
        self.aside.map_or(tried, |aside| aside.max(tried))
    }

    /// What is told of a change: the same however often it is tried, and another one for each change.
    pub(super) fn notification(&self, change: Change) -> Notification {
        let mut one = Notification { change, ..self.now.clone() };
        if change == Change::Still {
            one.id = digest(&[&self.now.id, change.name(), &self.repeats.to_string()]);
            // it is what is known that goes on
            one.severity = self.told.map_or(one.severity, Word::level);
        }
        one
    }

    /// Takes what came of telling it.
    pub(super) fn ended(&mut self, sent: &Sent, failure: Option<&Failure>, mono: Mono) -> bool {
        let failure = failure.filter(|failure| !failure.told.contains(&sent.id));
        match failure.map(|failure| failure.fate) {
            None => {
                (self.told, self.owed, self.is_refused, self.aside) = (sent.told, false, false, None);
                self.repeats += u64::from(sent.change == Change::Still);
            }
            // it was not told: the window begins with what is
            Some(Fate::Unsent) => self.tried = None,
            Some(Fate::Refused) => {
                (self.tried, self.is_refused) = (None, true);
                self.aside = Some(at(mono).saturating_add(nanos(AGAIN.1)));
            }
            Some(Fate::Unknown) => {}
        }
        failure.is_none()
    }

    /// Takes what was known before of the same alert.
    pub(super) fn merge(&mut self, old: &Self) {
        if self.told.is_none() {
            (self.told, self.repeats, self.is_refused) = (old.told, old.repeats, old.is_refused);
            self.owed |= old.owed;
        }
        self.tried = self.tried.max(old.tried);
    }
}
