//! What did the screen show a moment ago?
//!
//! While the screen follows the host, about every second a snapshot is kept, bounded in number and in bytes; the rows in it
//! are the host's own, shared. Freezing the screen keeps all of them as they are, and then one may step through them. What is
//! asked for only then (the files of a selected process) still comes from the host.

use std::collections::VecDeque;
use std::sync::Arc;

use super::app::App;
use crate::model::{
    Action, ActionError, Connection, Demand, Done, HistoryAsk, Host, Key, Level, Mono, Series, Snapshot, Table, Text,
    Timestamp,
};

/// Most snapshots that are kept.
const MOST: usize = 60;
/// Most memory of the rows in them, in bytes, about.
const MOST_BYTES: usize = 1 << 20;
/// So many are kept of a host with many rows while they take no more than this; the newest in any case.
const FEW: usize = 10;
const FEW_BYTES: usize = 8 << 20;
/// Least time between two of them.
const STEP: f64 = 0.9;

/// The kept snapshots.
#[derive(Default)]
pub(super) struct Past {
    kept: VecDeque<Kept>,
    bytes: usize,
    /// How many steps back the frozen screen is; `None` while it follows the host.
    back: Option<usize>,
}

struct Kept {
    snapshot: Arc<Snapshot>,
    /// When it was begun: what comes right after belongs to the same step.
    begun: Mono,
    time: Mono,
    /// Of the rows that the one before does not have.
    bytes: usize,
}

impl Past {
    /// Whether the screen stands still.
    pub(super) fn is_frozen(&self) -> bool {
        self.back.is_some()
    }

    /// Whether the newest is shown.
    pub(super) fn is_newest(&self) -> bool {
        self.back.is_none_or(|back| back == 0)
    }

    /// Seconds between what is shown and what was newest when the screen was frozen; `None` while it follows the host.
    pub(super) fn age(&self) -> Option<f64> {
        let shown = self.at(self.back?)?;
        Some(self.kept.back()?.time.since(shown.time))
    }

    /// The snapshot that a frozen screen shows, and when it was taken.
    pub(super) fn shown(&self) -> Option<(&Arc<Snapshot>, Mono)> {
        self.at(self.back?).map(|kept| (&kept.snapshot, kept.time))
    }

    /// The newest snapshot that has a row, and the wall clock of the one behind it, which has not.
    pub(super) fn last(&self, table: &str, key: &Key) -> Option<(&Arc<Snapshot>, Option<Timestamp>)> {
        let has = |kept: &Kept| {
            let rows = kept.snapshot.get(table).and_then(|state| Some(&state.now.as_ref()?.rows));
            rows.is_some_and(|rows| (0..rows.len()).any(|row| key.matches(rows.as_ref(), row)))
        };
        let at = self.kept.iter().rposition(has)?;
        let gone = self.kept.get(at + 1).and_then(|kept| taken(&kept.snapshot));
        Some((&self.kept.get(at)?.snapshot, gone))
    }

    /// Keeps a snapshot unless the screen is frozen.
    pub(super) fn keep(&mut self, snapshot: &Arc<Snapshot>) {
        let samples = snapshot.tables.values().filter_map(|state| state.now.as_ref());
        let Some(time) = samples.map(|sample| sample.mono).max().filter(|_| !self.is_frozen()) else { return };
        let mut begun = time;
        if let Some(last) = self.kept.pop_back_if(|last| time.since(last.begun) < STEP) {
            begun = last.begun;
            self.bytes -= last.bytes;
        }
        let bytes = added(self.kept.back().map(|kept| &*kept.snapshot), snapshot);
        self.bytes += bytes;
        self.kept.push_back(Kept { snapshot: Arc::clone(snapshot), begun, time, bytes });
        while self.is_too_much() {
            self.bytes -= self.kept.pop_front().map_or(0, |oldest| oldest.bytes);
        }
    }

    /// Freezes the screen at the newest snapshot, or lets it go on.
    pub(super) fn freeze(&mut self) {
        self.back = if self.back.is_some() || self.kept.is_empty() { None } else { Some(0) };
    }

    /// Goes `by` steps back, or forward when negative, and freezes the screen; false when there is nothing there.
    pub(super) fn step(&mut self, by: isize) -> bool {
        let to = self.back.unwrap_or(0).checked_add_signed(by).filter(|to| *to < self.kept.len());
        if let Some(to) = to {
            self.back = Some(to);
        }
        to.is_some()
    }

    /// Takes from the host what the frozen screen asked for later, into the newest snapshot; false when nothing is new.
    pub(super) fn join(&mut self, latest: &Snapshot, wanted: &[Demand], schema: &[&'static Table]) -> bool {
        if !self.is_newest() {
            return false;
        }
        let Some(kept) = self.kept.back_mut() else { return false };
        let mut joined: Option<Snapshot> = None;
        for table in wanted.iter().filter_map(|want| schema.iter().find(|table| table.name == *want.table)) {
            let special = table.columns.iter().any(|column| column.attrs.required);
            let there =
                |snapshot: &Snapshot| snapshot.get(&table.name).and_then(|state| Some(state.now.as_ref()?.mono));
            let old = there(&kept.snapshot);
            if (special || old.is_none())
                && old != there(latest)
                && let Some((name, state)) = latest.tables.get_key_value(&*table.name)
            {
                let joined = joined.get_or_insert_with(|| Snapshot::clone(&kept.snapshot));
                joined.tables.insert(name, state.clone());
                joined.generation = latest.generation;
            }
        }
        let Some(joined) = joined else { return false };
        kept.snapshot = Arc::new(joined);
        true
    }

    fn is_too_much(&self) -> bool {
        match self.kept.len() {
            0 | 1 => false,
            2..=FEW => self.bytes > FEW_BYTES,
            count => self.bytes > MOST_BYTES || count > MOST,
        }
    }

    fn at(&self, back: usize) -> Option<&Kept> {
        self.kept.get(self.kept.len().checked_sub(back + 1)?)
    }
}

/// Steps through the past.
pub(super) fn step(app: &mut App, by: isize, otherwise: &str) {
    if app.past.step(by) {
        app.rewind();
    } else {
        app.say(otherwise, Level::Ok);
    }
}

/// Memory of the rows in `snapshot` that `before` does not have.
fn added(before: Option<&Snapshot>, snapshot: &Snapshot) -> usize {
    let samples = snapshot.tables.iter().filter_map(|(name, state)| Some((name, state.now.as_ref()?)));
    let new = samples.filter(|(name, sample)| {
        let old = before.and_then(|before| before.get(name)?.now.as_ref());
        old.is_none_or(|old| !Arc::ptr_eq(&old.rows, &sample.rows))
    });
    new.map(|(_, sample)| sample.rows.bytes()).sum()
}

/// Wall clock of the newest rows of a snapshot.
pub(super) fn taken(snapshot: &Snapshot) -> Option<Timestamp> {
    snapshot.tables.values().filter_map(|state| Some(state.now.as_ref()?.time)).max()
}

/// The host as it was at a moment: its past ends there.
pub(super) struct Then {
    host: Arc<dyn Host>,
    until: Mono,
}

impl Then {
    /// The host until a moment.
    pub(super) fn new(host: Arc<dyn Host>, until: Mono) -> Self {
        Self { host, until }
    }
}

impl Host for Then {
    fn schema(&self) -> &'static [&'static Table] {
        self.host.schema()
    }
    fn demand(&self, reader: u64, wants: Vec<Demand>) {
        self.host.demand(reader, wants);
    }
    fn latest(&self) -> Arc<Snapshot> {
        self.host.latest()
    }
    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        let until = ask.until.map_or(self.until, |until| until.min(self.until));
        self.host.history(&HistoryAsk { until: Some(until), ..ask.clone() })
    }
    fn act(&self, action: &Action) -> Result<Done, ActionError> {
        self.host.act(action)
    }
    fn connection(&self) -> Connection {
        self.host.connection()
    }
    fn skew(&self) -> i64 {
        self.host.skew()
    }
    fn lacks(&self, table: &str, column: usize) -> bool {
        self.host.lacks(table, column)
    }
    fn refusal(&self) -> Option<Text> {
        self.host.refusal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::load::LoadRow;
    use crate::collect::process::ProcessRow;
    use crate::collect::process_detail::ProcessFileRow;
    use crate::tui::testing::{Fake, Made};

    /// A past of one table that was sampled each second.
    fn past(host: &Fake, seconds: std::ops::Range<u64>, table: &'static Table, rows: usize) -> Past {
        let mut past = Past::default();
        for second in seconds {
            host.publish(Made::new(table, rows, "x"), second);
            past.keep(&host.latest());
        }
        past
    }

    #[test]
    fn a_minute_can_be_stepped_through_and_no_further() {
        let mut past = past(&Fake::default(), 0..200, LoadRow::TABLE, 1);
        assert_eq!(past.age(), None);
        past.freeze();
        assert_eq!(past.age(), Some(0.0));
        assert!(!past.step(-1));
        let steps = (0..100).filter(|_| past.step(1)).count();
        assert_eq!((steps, past.age()), (MOST - 1, Some((MOST - 1) as f64)));
        assert_eq!(past.shown().unwrap().1, Mono((200 - MOST as u64) * 1_000_000_000));
        assert!(past.step(-1));
        assert_eq!(past.age(), Some((MOST - 2) as f64));
        past.freeze();
        assert!(!past.is_frozen());
    }

    #[test]
    fn what_comes_within_a_second_is_one_step() {
        let (host, mut past) = (Fake::default(), Past::default());
        for second in 0..10 {
            host.publish(Made::new(LoadRow::TABLE, 1, "x"), second);
            past.keep(&host.latest());
            host.publish(Made::new(ProcessRow::TABLE, 3, "x"), second);
            past.keep(&host.latest());
        }
        assert_eq!(past.kept.len(), 10);
        assert!(past.kept.iter().all(|kept| kept.snapshot.tables.len() == 2));
    }

    #[test]
    fn many_rows_leave_fewer_steps_and_never_more_than_the_bound() {
        for (rows, seconds, steps, most) in
            [(100, 80, FEW + 1..MOST, MOST_BYTES), (1000, 15, FEW..FEW + 1, FEW_BYTES), (9999, 4, 1..3, FEW_BYTES)]
        {
            let past = past(&Fake::default(), 0..seconds, ProcessRow::TABLE, rows);
            assert!(steps.contains(&past.kept.len()), "{rows} rows: {} steps", past.kept.len());
            let bytes = |kept: &Kept| kept.snapshot.get("process").unwrap().now.as_ref().unwrap().rows.bytes();
            assert!(past.kept.iter().map(bytes).sum::<usize>() <= most, "{rows} rows");
            assert_eq!(past.bytes, past.kept.iter().map(|kept| kept.bytes).sum::<usize>());
        }
    }

    #[test]
    fn a_frozen_screen_gets_what_it_asks_for_and_nothing_else() {
        let host = Fake::default();
        let mut past = past(&host, 0..3, ProcessRow::TABLE, 2);
        past.freeze();
        host.publish(Made::new(ProcessRow::TABLE, 9, "x"), 3);
        host.publish(Made::new(ProcessFileRow::TABLE, 4, "x"), 3);
        let wanted = [Demand::table("process"), Demand::table("process_file")];
        assert!(past.join(&host.latest(), &wanted, host.schema()));
        assert!(!past.join(&host.latest(), &wanted, host.schema()), "nothing is new");
        let rows = |past: &Past, table| past.shown().unwrap().0.get(table).map(|s| s.now.as_ref().unwrap().rows.len());
        assert_eq!((rows(&past, "process"), rows(&past, "process_file")), (Some(2), Some(4)));
        assert!(past.step(1) && !past.join(&host.latest(), &wanted, host.schema()));
        assert_eq!(rows(&past, "process_file"), None);
    }

    #[test]
    fn graphs_of_a_frozen_screen_end_where_it_stands() {
        let then = Then::new(Arc::new(Fake::default()), Mono(9_500_000_000));
        let ask = HistoryAsk::all("x", "y", Key::default());
        assert_eq!(then.history(&ask).unwrap().points.len(), 10);
        let ask = HistoryAsk { until: Some(Mono(5_000_000_000)), ..ask };
        assert_eq!(then.history(&ask).unwrap().points.len(), 6);
    }
}
