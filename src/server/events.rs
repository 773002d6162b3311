//! What changes, as it changes?
//!
//! First what is now ([`Event::Alert`], [`Event::State`], then [`Event::Begin`]), then each change of a cell's level and of a
//! table's source. Changes are looked for only while somebody listens, once for all, and at most once a second. A reader
//! that does not keep up is told how many events it has missed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::alerts::{self, Alert, Place};
use super::sampled::Sampled;
use crate::collect::collector_of;
use crate::model::{Level, Snapshot, State, Status, Value, lock};
use crate::store::level::Thresholds;

/// Readers at once.
pub(super) const MAX_READERS: usize = 64;

/// Events that wait for a reader.
const BEHIND: usize = 256;

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
    /// So many events are lost, because the reader was too slow.
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

/// Where events come from and go to.
pub(super) struct Events {
    sampled: Arc<Sampled>,
    thresholds: Thresholds,
    sender: broadcast::Sender<Arc<Event>>,
    /// What all readers have been told; `None` while there are none.
    known: Mutex<Option<Known>>,
    readers: Arc<AtomicUsize>,
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
            readers: Arc::default(),
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
    pub(super) fn read(self: &Arc<Self>) -> Option<Reader> {
        let seat = Seat::take(&self.readers)?;
        // held until the reader listens: no change gets lost between
        let known = self.advance();
        let mut first = known.as_ref().map_or_else(Vec::new, |now| now.events(&Known::default()));
        first.push(Event::Begin);
        let reader = Reader { first: first.into_iter(), events: self.sender.subscribe(), _seat: seat };
        drop(known);
        self.woken.notify_one();
        if !self.followed.swap(true, Ordering::Relaxed) {
            tokio::spawn(follow(Arc::clone(self)));
        }
        Some(reader)
    }

    /// Tells all readers what has changed since they were told last.
    fn advance(&self) -> MutexGuard<'_, Option<Known>> {
        let now = Known::of(&self.sampled.latest(), &self.thresholds);
        let mut known = lock(&self.known);
        if let Some(before) = &*known {
            for event in now.events(before) {
                // nobody may listen
                let _ = self.sender.send(Arc::new(event));
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
}

impl Known {
    fn of(snapshot: &Snapshot, thresholds: &Thresholds) -> Self {
        let states = snapshot.tables.iter().filter(|(_, state)| !state.table.attrs.demand);
        let states = states.map(|(name, state)| (*name, state.status.clone())).collect();
        Self { alerts: alerts::above(snapshot, thresholds), states }
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

/// A place among the readers.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(readers: &Arc<AtomicUsize>) -> Option<Self> {
        let more = |count| (count < MAX_READERS).then_some(count + 1);
        readers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Arc::clone(readers)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One reader.
pub(super) struct Reader {
    first: std::vec::IntoIter<Event>,
    events: broadcast::Receiver<Arc<Event>>,
    _seat: Seat,
}

impl Reader {
    /// The next event; `None` when the agent ends. Nothing is lost when this is given up before it is there.
    pub(super) async fn next(&mut self) -> Option<Arc<Event>> {
        if let Some(event) = self.first.next() {
            return Some(Arc::new(event));
        }
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(Arc::new(Event::Missed(count))),
            Err(RecvError::Closed) => None,
        }
    }
}
