//! What has happened to alerts lately?

use std::collections::VecDeque;

use crate::collect::alert::{EventRow, Severity, What};
use crate::model::{Level, Text, Timestamp};

/// Changes that are kept.
pub(super) const MOST: usize = 1024;

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

    /// Their rows.
    pub(super) fn rows(&self) -> Vec<EventRow> {
        let row = |(seq, event): &(u64, Event)| EventRow {
            seq: *seq,
            time: event.time,
            what: event.what,
            severity: Severity::of(event.severity),
            rule: event.rule.clone(),
            instance: event.instance.clone(),
            value: event.value.clone(),
            duration: event.duration,
            text: event.text.clone(),
        };
        self.kept.iter().map(row).collect()
    }
}
