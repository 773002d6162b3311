//! What happens to the alerts of another host?
//!
//! Its agent evaluates and delivers them. Whoever looks at it from here hears of what happens while that is looked at: from the
//! log of events that comes with the samples, as far as its people are told of it, too.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::mpsc::Receiver;

use super::run::Hear;
use super::told::digest;
use super::{Change, Notification};
use crate::col;
use crate::collect::alert::{EventRow, What};
use crate::model::{Host, Level, Snapshot, State};

/// Hears of what happens, at each sign that samples have come, for as long as there are signs and the host.
pub fn listen(host: &Weak<dyn Host>, samples: &Receiver<()>, mut hear: Hear) {
    let mut log = Log::default();
    while samples.recv().is_ok() {
        let Some(host) = host.upgrade() else { return };
        let news = log.news(&host.latest());
        if !news.is_empty() {
            hear(&news);
        }
    }
}

/// How far a log was read.
#[derive(Debug, Default)]
struct Log {
    /// Number of the newest event; `None` before anything was read.
    newest: Option<u64>,
}

impl Log {
    /// What has happened to alerts since the last time, the oldest first; at first nothing: that is the past.
    fn news(&mut self, snapshot: &Snapshot) -> Vec<Notification> {
        let state = snapshot.get(&EventRow::TABLE.name).filter(|state| state.status.state == State::Ok);
        let Some(now) = state.and_then(|state| state.now.as_ref()) else { return Vec::new() };
        let rows = now.rows.as_ref();
        let seq = |row: usize| rows.cell(row, col!(EventRow, seq)).count().unwrap_or(0);
        let newest = (0..rows.len()).map(seq).max().unwrap_or(0);
        let before = self.newest.replace(newest);
        // numbers of a log that was begun anew are lower: how far it was read is not known
        let Some(seen) = before.filter(|seen| *seen <= newest) else { return Vec::new() };
        // most samples bring nothing new
        let new = (0..rows.len()).filter(|row| seq(*row) > seen);
        let mut events: Vec<EventRow> = new.filter_map(|row| EventRow::of(rows, row)).collect();
        events.sort_unstable_by_key(|event| event.seq);
        events.iter().filter_map(notification).collect()
    }
}

/// What is told of an event, if it is one of an alert of which people are told.
fn notification(event: &EventRow) -> Option<Notification> {
    let change = match event.what {
        What::Fired => Change::Fired,
        What::Worse => Change::Worse,
        What::Better => Change::Better,
        What::Cleared => Change::Cleared,
        What::Acknowledged | What::Silenced | What::Unmuted | What::Told | What::Failed => return None,
    };
    // an agent that does not say it is an older one
    if event.told == Some(false) && change != Change::Cleared {
        return None;
    }
    let time = event.time.seconds();
    Some(Notification {
        id: digest(&[&event.rule, &event.instance, &event.seq.to_string()]),
        alert: digest(&[&event.rule, &event.instance]),
        rule: event.rule.to_string(),
        instance: event.instance.to_string(),
        table: event.table.as_ref().map_or_else(String::new, ToString::to_string),
        severity: event.severity.level(),
        change,
        text: event.text.to_string(),
        value: event.value.as_ref().map(ToString::to_string),
        peak: None,
        begin: time - event.duration.unwrap_or(0.0),
        end: (change == Change::Cleared).then_some(time),
        labels: BTreeMap::new(),
        top: Vec::new(),
        flaps: 0,
        comment: None,
        tell: Level::Ok,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collect::alert::Severity;
    use crate::model::{Mono, Sample, Status, TableState, Timestamp};

    fn event(seq: u64, what: What, told: Option<bool>) -> EventRow {
        EventRow {
            seq,
            time: Timestamp::from_seconds(100.0),
            what,
            severity: Severity::Critical,
            rule: "cpu".into(),
            instance: "web".into(),
            value: None,
            duration: Some(10.0),
            table: Some("vm".into()),
            told,
            text: "hot".into(),
        }
    }

    fn snapshot(events: Vec<EventRow>) -> Snapshot {
        let sample = Sample { rows: Arc::new(events), time: Timestamp(0), mono: Mono(0) };
        let state = TableState { table: EventRow::TABLE, now: Some(sample), before: None, status: Status::ok() };
        Snapshot { tables: [(&*EventRow::TABLE.name, state)].into_iter().collect(), ..Snapshot::default() }
    }

    fn changes(log: &mut Log, events: Vec<EventRow>) -> Vec<(Change, f64, Option<f64>)> {
        let news = log.news(&snapshot(events));
        news.iter().map(|one| (one.change, one.begin, one.end)).collect()
    }

    #[test]
    fn what_happens_while_somebody_looks_is_heard_once_and_what_was_before_is_not() {
        let mut log = Log::default();
        assert_eq!(log.news(&Snapshot::default()), []);
        let first = event(7, What::Fired, Some(true));
        assert_eq!(changes(&mut log, vec![first.clone()]), []);
        let over = event(8, What::Cleared, Some(false));
        let again = event(9, What::Fired, None);
        let all = vec![again, first, over, event(10, What::Told, None), event(11, What::Fired, Some(false))];
        let told = [(Change::Cleared, 90.0, Some(100.0)), (Change::Fired, 90.0, None)];
        assert_eq!(changes(&mut log, all.clone()), told);
        assert_eq!(changes(&mut log, all), []);
        // an agent that has forgotten everything
        assert_eq!(changes(&mut log, vec![event(2, What::Fired, Some(true))]), []);
        assert_eq!(changes(&mut log, vec![event(3, What::Worse, Some(true))]), [(Change::Worse, 90.0, None)]);
    }
}
