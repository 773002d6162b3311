//! Who is told, and what does that recipient want to hear?

use std::time::Duration;

use regex::Regex;

use super::AGAIN;
use crate::alert::action::{self, Action, Way};
use crate::alert::{Change, Notification};
use crate::model::{Level, Text};
use crate::store::expr::regex;

/// Who is told, as far as that decides what and when.
#[derive(Debug)]
pub struct Recipient {
    /// Name of the action.
    pub name: Text,
    /// What it does, in a word.
    pub kind: &'static str,
    /// Severities that are told.
    pub levels: Vec<Level>,
    /// Whether it is told that an alert is over.
    pub recovery: bool,
    /// Rules that are told; all if there are none.
    pub rules: Vec<Regex>,
    /// The same alert is not told twice within it.
    pub window: Duration,
    /// What goes on is told again after it.
    pub repeat: Option<Duration>,
    /// Whether it takes what it is not told again for over.
    pub forgets: bool,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// Whether somebody reads each message.
    pub is_person: bool,
    /// Bytes of changes that one message has room for.
    pub room: usize,
}

impl Recipient {
    /// Those of a configuration; a pattern that is none fits nothing.
    pub fn of(action: &Action) -> Self {
        let patterns = action.rules.iter().filter_map(|pattern| regex(pattern).ok());
        let resend = match action.way() {
            Some(Way::Alertmanager(manager)) => Some(manager.resend.0),
            _ => None,
        };
        let kind = match action.way() {
            Some(Way::Command(_)) => "command",
            Some(Way::Webhook(_)) => "webhook",
            Some(Way::Mail(_)) => "mail",
            Some(Way::Syslog(_)) => "syslog",
            Some(Way::Journald) => "journald",
            Some(Way::Alertmanager(_)) => "alertmanager",
            None => "none",
        };
        Self {
            name: action.name.as_str().into(),
            kind,
            levels: Level::ALL.into_iter().filter(|level| action.tells(*level, Change::Fired)).collect(),
            recovery: action.tells(Level::Ok, Change::Cleared),
            rules: patterns.collect(),
            // what would be over meanwhile does not wait
            window: resend.map_or(action.window.0, |resend| resend.min(action.window.0)),
            repeat: resend.or(action.repeat.map(|repeat| repeat.0)),
            forgets: resend.is_some(),
            timeout: action.timeout.0,
            is_person: action::is_read(action),
            room: action::room(action),
        }
    }

    pub(super) fn wants(&self, notification: &Notification) -> bool {
        notification.severity >= notification.tell && self.wants_rule(notification.severity, &notification.rule)
    }

    pub(super) fn wants_rule(&self, severity: Level, rule: &str) -> bool {
        self.levels.contains(&severity) && self.is_about(rule)
    }

    /// Longest wait after a failure.
    pub(super) fn longest(&self) -> Duration {
        self.repeat.filter(|_| self.forgets).map_or(AGAIN.1, |repeat| repeat.min(AGAIN.1))
    }

    fn is_about(&self, rule: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|pattern| pattern.is_match(rule))
    }
}
