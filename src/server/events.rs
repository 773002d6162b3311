//! What changes, as it changes?
//!
//! First what is now ([`Event::Alert`], [`Event::State`], then [`Event::Begin`]), then each change of a cell's level and of a
//! table's source. Changes are looked for only while somebody listens, once for all, and at most once a second. A reader
//! that does not keep up is told how many events it has missed, and then anew what is now.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::alerts::{self, Alert, Place};
use super::caller::Caller;
use super::sampled::Sampled;
use super::share::{Limits, Seat, Seats};
use crate::collect::collector_of;
use crate::model::{Level, Snapshot, State, Status, Value, lock};
use crate::store::level::Thresholds;

/// Readers at once.
const READERS: Limits = Limits { all: 64, each: 16, strangers: 32 };

/// Why somebody is no reader.
pub(super) const CROWDED: &str = "too many readers follow the events already";

/// Looks for changes whose events wait for a reader, however many each has found.
const BEHIND: usize = 16;

/// Changes are looked for at most so often.
const EVERY: Duration = Duration::from_secs(1);

/// Something that a reader is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// A cell has another level; ok is one that is over.
    Alert(Alert),
    /// A table's source fares otherwise.
    State(Source),
    /// What follows are changes.
    Begin,
    /// So many events are lost, because the reader was too slow. What is now follows, as at the start: what is not in it is
    /// over.
    Missed(u64),
}

/// How the source of a table fares.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    /// The table.
    pub(super) table: &'static str,
    /// What collects it.
    pub(super) collector: Option<&'static str>,
    /// How it fares.
    pub(super) status: Status,
}

/// What one look for changes has found.
struct Batch {
    /// Events that were told before these.
    before: u64,
    events: Vec<Arc<Event>>,
}

/// Where events come from and go to.
pub(super) struct Events {
    sampled: Arc<Sampled>,
    thresholds: Thresholds,
    sender: broadcast::Sender<Arc<Batch>>,
    /// What all readers have been told; `None` while there are none.
    known: Mutex<Option<Known>>,
    readers: Seats,
    woken: tokio::sync::Notify,
    /// Whether somebody looks for changes already.
    followed: AtomicBool,
}

impl Events {
    /// Nobody listens yet.
    pub(super) fn new(sampled: &Arc<Sampled>, thresholds: Thresholds) -> Arc<Self> {
        Arc::new(Self {
            sampled: Arc::clone(sampled),
            thresholds,
            sender: broadcast::Sender::new(BEHIND),
            known: Mutex::default(),
            readers: Seats::new(READERS),
            woken: tokio::sync::Notify::new(),
            followed: AtomicBool::new(false),
        })
    }

    /// What deserves attention now, worst first; `None` when that is not known.
    pub(super) fn alerts(&self) -> Option<Vec<Alert>> {
        if !self.sampled.is_live() {
            return None;
        }
        let mut alerts: Vec<Alert> = alerts::above(&self.sampled.latest(), &self.thresholds).into_values().collect();
        // the order of tables and rows stays among the equally bad
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.level));
        Some(alerts)
    }

    /// A reader that is told what is now, and then what changes; `None` when there are too many. Needs a runtime.
    pub(super) fn read(self: &Arc<Self>, caller: Caller) -> Option<Reader> {
        let seat = self.readers.take(caller)?;
        let (first, told, changes) = self.whole();
        let reader = Reader { first: first.into_iter(), told, changes, events: Arc::clone(self), _seat: seat };
        self.woken.notify_one();
        if !self.followed.swap(true, Ordering::Relaxed) {
            tokio::spawn(follow(Arc::clone(self)));
        }
        Some(reader)
    }

    /// What is now, how many events were told until now, and those that follow.
    fn whole(&self) -> (Vec<Arc<Event>>, u64, broadcast::Receiver<Arc<Batch>>) {
        // held until the reader listens: no change gets lost between
        let known = self.advance();
        let now = known.as_ref().map_or_else(Vec::new, |now| now.events(&Known::default()));
        let first = now.into_iter().chain([Event::Begin]).map(Arc::new).collect();
        (first, known.as_ref().map_or(0, |now| now.told), self.sender.subscribe())
    }

    /// Tells all readers what has changed since they were told last.
    fn advance(&self) -> MutexGuard<'_, Option<Known>> {
        let mut now = Known::of(&self.sampled.latest(), &self.thresholds);
        let mut known = lock(&self.known);
        if let Some(before) = &*known {
            let events: Vec<Arc<Event>> = now.events(before).into_iter().map(Arc::new).collect();
            now.told = before.told + events.len() as u64;
            if !events.is_empty() {
                // nobody may listen
                let _ = self.sender.send(Arc::new(Batch { before: before.told, events }));
            }
        }
        *known = Some(now);
        known
    }

    /// Nobody has been told anything.
    fn rest(&self) {
        *lock(&self.known) = None;
    }
}

/// What readers know.
#[derive(Default)]
struct Known {
    alerts: BTreeMap<Place, Alert>,
    states: BTreeMap<&'static str, Status>,
    /// Events since there are readers.
    told: u64,
}

impl Known {
    fn of(snapshot: &Snapshot, thresholds: &Thresholds) -> Self {
        let states = snapshot.tables.iter().filter(|(_, state)| !state.table.attrs.demand);
        let states = states.map(|(name, state)| (*name, state.status.clone())).collect();
        Self { alerts: alerts::above(snapshot, thresholds), states, told: 0 }
    }

    /// What has changed since `before`.
    fn events(&self, before: &Self) -> Vec<Event> {
        let mut events = Vec::new();
        for (name, status) in &self.states {
            if before.states.get(name).map_or(State::Ok, |known| known.state) != status.state {
                events.push(Event::State(source(name, status)));
            }
        }
        for (place, alert) in &self.alerts {
            if before.alerts.get(place).map(|known| known.level) != Some(alert.level) {
                events.push(Event::Alert(alert.clone()));
            }
        }
        for (place, gone) in &before.alerts {
            if !self.alerts.contains_key(place) {
                events.push(Event::Alert(Alert { level: Level::Ok, value: Value::Missing, ..gone.clone() }));
            }
        }
        events
    }
}

fn source(table: &'static str, status: &Status) -> Source {
    let known = crate::wire::schema::own().tables.iter().find(|known| known.name == table);
    Source { table, collector: known.and_then(|table| collector_of(table)), status: status.clone() }
}

/// Looks for changes while somebody listens.
async fn follow(events: Arc<Events>) {
    let mut changes = events.sampled.changes();
    loop {
        if events.sender.receiver_count() == 0 {
            events.rest();
            events.woken.notified().await;
        }
        drop(events.advance());
        tokio::time::sleep(EVERY).await;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// One reader.
pub(super) struct Reader {
    /// What is told before anything else.
    first: std::vec::IntoIter<Arc<Event>>,
    /// Changes that were told before those that are waited for.
    told: u64,
    changes: broadcast::Receiver<Arc<Batch>>,
    events: Arc<Events>,
    _seat: Seat,
}

impl Reader {
    /// The next event; `None` when the agent ends. Nothing is lost when this is given up before it is there.
    pub(super) async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.first.next() {
                return Some(event);
            }
            match self.changes.recv().await {
                Ok(batch) => {
                    self.told = batch.before + batch.events.len() as u64;
                    self.first = batch.events.clone().into_iter();
                }
                Err(RecvError::Lagged(_)) => return Some(self.again()),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Starts over with what is now.
    fn again(&mut self) -> Arc<Event> {
        let (first, told, changes) = self.events.whole();
        let missed = told.saturating_sub(self.told);
        (self.first, self.told, self.changes) = (first.into_iter(), told, changes);
        Arc::new(Event::Missed(missed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::schedule;
    use crate::model::testing::Made;
    use crate::model::{Mono, Sample, TableState, Timestamp};
    use crate::store::level::{Limit, Threshold};

    /// Events of processes that have threads.
    fn events() -> (Arc<Sampled>, Arc<Events>) {
        let careful = Some(Limit::Number(1.0));
        let threshold =
            Threshold { table: "process".into(), column: "threads".into(), careful, ..Threshold::default() };
        let thresholds = Thresholds::new(&[threshold], schedule::tables().iter().copied()).unwrap();
        let sampled = Sampled::new();
        let events = Events::new(&sampled, thresholds);
        (sampled, events)
    }

    /// Lets these processes and no others be there, and looks for changes.
    fn run(sampled: &Sampled, events: &Events, second: u64, pids: impl IntoIterator<Item = u64>) {
        let table = *schedule::tables().iter().find(|table| table.name == "process").unwrap();
        let row = |pid: u64| {
            let cell = |name: &str| match name {
                "pid" => Value::U64(pid),
                "start" | "threads" => Value::U64(1),
                _ => Value::Missing,
            };
            table.columns.iter().map(|column| cell(&column.name)).collect()
        };
        let rows = Arc::new(Made { table, cells: pids.into_iter().map(row).collect() });
        let now = Some(Sample { rows, time: Timestamp(second as i64), mono: Mono(second) });
        let state = TableState { table, now, before: None, status: Status::ok() };
        sampled.show(&Snapshot { tables: [("process", state)].into(), generation: second });
        drop(events.advance());
    }

    /// Reads everything that is there: what is believed of every process, and how many events were missed.
    async fn read(reader: &mut Reader, pids: &mut Vec<u64>) -> (usize, Vec<u64>) {
        let (mut count, mut missed) = (0, Vec::new());
        let soon = Duration::from_millis(20);
        while let Ok(event) = tokio::time::timeout(soon, reader.next()).await {
            match &*event.unwrap() {
                Event::Missed(events) => {
                    missed.push(*events);
                    pids.clear();
                }
                Event::Alert(alert) => {
                    let [(_, Value::U64(pid)), _] = &alert.row[..] else { panic!("{alert:?}") };
                    pids.retain(|known| known != pid);
                    pids.extend((alert.level != Level::Ok).then_some(*pid));
                    count += 1;
                }
                Event::Begin | Event::State(_) => {}
            }
        }
        pids.sort_unstable();
        (count, missed)
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn however_much_changes_at_once_nobody_who_reads_misses_any_of_it() {
        wait(async {
            let (sampled, events) = events();
            run(&sampled, &events, 1, 0..200);
            let (mut reader, mut pids) = (events.read(Caller::own()).unwrap(), Vec::new());
            assert_eq!(read(&mut reader, &mut pids).await, (200, vec![]));
            for round in 1..=BEHIND as u64 {
                // all of them are over, and as many begin
                run(&sampled, &events, 1 + round, 1000 * round..1000 * round + 200);
            }
            assert_eq!(read(&mut reader, &mut pids).await, (400 * BEHIND, vec![]));
            assert_eq!(pids, (1000 * BEHIND as u64..1000 * BEHIND as u64 + 200).collect::<Vec<_>>());
        });
    }

    #[test]
    fn who_does_not_read_for_long_is_told_how_much_is_missed_and_anew_what_is_now() {
        wait(async {
            let (sampled, events) = events();
            run(&sampled, &events, 1, [7]);
            let (mut fast, mut slow) = (events.read(Caller::own()).unwrap(), events.read(Caller::own()).unwrap());
            let (mut here, mut there) = (Vec::new(), Vec::new());
            assert_eq!(read(&mut slow, &mut there).await, (1, vec![]));
            assert_eq!(read(&mut fast, &mut here).await, (1, vec![]));
            let mut told = 0;
            for round in 0..3 * BEHIND as u64 {
                run(&sampled, &events, 2 + round, [8 + round, 9 + round]);
                told += read(&mut fast, &mut here).await.0 as u64;
            }
            let (count, missed) = read(&mut slow, &mut there).await;
            assert_eq!((count, missed), (2, vec![told]), "what is now, and as much is missed as others were told");
            assert_eq!(there, here);
            // and it goes on with what changes
            run(&sampled, &events, 1000, [1, 2, 3]);
            assert_eq!(read(&mut slow, &mut there).await, (5, vec![]));
            assert_eq!(there, [1, 2, 3]);
        });
    }

    #[test]
    fn who_was_told_part_of_a_look_misses_only_what_follows() {
        wait(async {
            let (sampled, events) = events();
            run(&sampled, &events, 1, []);
            let mut reader = events.read(Caller::own()).unwrap();
            assert_eq!(*reader.next().await.unwrap(), Event::Begin);
            run(&sampled, &events, 2, 0..10);
            assert!(matches!(&*reader.next().await.unwrap(), Event::Alert(_)));
            for round in 0..=BEHIND as u64 {
                run(&sampled, &events, 3 + round, [100 + round]);
            }
            // the rest of what it has begun with comes first
            for _ in 0..9 {
                assert!(matches!(&*reader.next().await.unwrap(), Event::Alert(_)));
            }
            let missed = 11 + 2 * BEHIND as u64;
            assert_eq!(*reader.next().await.unwrap(), Event::Missed(missed));
        });
    }
}
