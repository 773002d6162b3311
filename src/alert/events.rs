//! What has happened to alerts lately?

use std::collections::VecDeque;

use crate::collect::alert::{EventRow, Severity, What};
use crate::model::{Level, Text, Timestamp};

/// Changes that are kept.
pub(super) const MOST: usize = 1024;

/// Among so many newest changes a failure is noted once.
const AGAIN: usize = 16;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) time: Timestamp,
    pub(super) what: What,
    pub(super) severity: Level,
    pub(super) rule: Text,
    pub(super) instance: Text,
    pub(super) value: Option<Text>,
    pub(super) duration: Option<f64>,
    /// Whether people are told; `None` of what is no change of an alert.
    pub(super) told: Option<bool>,
    pub(super) text: Text,
}

/// The newest changes with their numbers.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Number of the newest.
    pub(super) seq: u64,
    pub(super) kept: VecDeque<(u64, Event)>,
}

impl Events {
    pub(super) fn note(&mut self, event: Event) {
        self.seq += 1;
        if self.kept.len() >= MOST {
            self.kept.pop_front();
        }
        self.kept.push_back((self.seq, event));
    }

    /// Notes that something about telling people has failed; the same again only when something else has happened since.
    pub(super) fn fail(&mut self, name: &str, cause: &str, time: Timestamp) {
        let text = Text::from(cause);
        let is_same = |(_, event): &(u64, Event)| event.what == What::Failed && event.text == text;
        if self.kept.iter().rev().take(AGAIN).any(is_same) {
            return;
        }
        self.note(Event {
            time,
            what: What::Failed,
            severity: Level::Warning,
            rule: name.into(),
            instance: Text::default(),
            value: None,
            duration: None,
            told: None,
            text,
        });
    }

    /// Their rows; `table` says which one a rule is about.
    pub(super) fn rows(&self, table: &dyn Fn(&str) -> Option<Text>) -> Vec<EventRow> {
        let row = |(seq, event): &(u64, Event)| EventRow {
            seq: *seq,
            time: event.time,
            what: event.what,
            severity: Severity::of(event.severity),
            rule: event.rule.clone(),
            instance: event.instance.clone(),
            value: event.value.clone(),
            duration: event.duration,
            table: table(&event.rule),
            told: event.told,
            text: event.text.clone(),
        };
        self.kept.iter().map(row).collect()
    }
}
