//! What changes, as it changes?
//!
//! A stream of server-sent events: first what is now (`alert`, `state`, then `begin`), then each change of a cell's level
//! (`alert`) and of a table's source (`state`). Changes are looked for only while somebody listens, once for all, and at
//! most once a second. A reader that does not keep up is told how many events it has missed (`missed`).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::{Body, Bytes};
use serde_json::json;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::alerts::{self, Alert, Place};
use super::answer::{Answer, Refusal};
use super::{Api, Outcome};
use crate::collect::collector_of;
use crate::model::{Level, Snapshot, State, Status, lock};
use crate::store::level::Thresholds;

/// Media type of the stream.
pub(super) const MEDIA: &str = "text/event-stream";

/// Readers at once.
const MAX_READERS: usize = 64;

/// Events that wait for a reader.
const BEHIND: usize = 256;

/// A reader hears something at least so often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Changes are looked for at most so often.
const EVERY: Duration = Duration::from_secs(1);

/// Where events come from and go to.
pub(super) struct Events {
    sender: broadcast::Sender<Bytes>,
    /// What all readers have been told; `None` while there are none.
    known: Mutex<Option<Known>>,
    readers: Arc<AtomicUsize>,
    woken: tokio::sync::Notify,
    /// Whether somebody looks for changes already.
    followed: AtomicBool,
}

impl Default for Events {
    fn default() -> Self {
        let (readers, woken) = (Arc::default(), tokio::sync::Notify::new());
        Self {
            sender: broadcast::Sender::new(BEHIND),
            known: Mutex::default(),
            readers,
            woken,
            followed: AtomicBool::new(false),
        }
    }
}

impl Events {
    /// Tells all readers what has changed since they were told last.
    fn advance(&self, api: &Api) -> MutexGuard<'_, Option<Known>> {
        let now = Known::of(&api.sampled.latest(), &api.thresholds);
        let mut known = lock(&self.known);
        if let Some(before) = &*known {
            for event in now.events(before) {
                // nobody may listen
                let _ = self.sender.send(event);
            }
        }
        *known = Some(now);
        known
    }

    /// A reader that is told what is now, and then what changes.
    fn join(&self, api: &Api) -> Option<Reader> {
        let seat = Seat::take(&self.readers)?;
        // held until the reader listens: no change gets lost between
        let known = self.advance(api);
        let mut first = known.as_ref().map_or_else(Vec::new, |now| now.events(&Known::default()));
        first.push(event("begin", "{}"));
        let reader = Reader { first: first.into_iter(), events: self.sender.subscribe(), _seat: seat };
        drop(known);
        self.woken.notify_one();
        Some(reader)
    }

    /// Nobody has been told anything.
    fn rest(&self) {
        *lock(&self.known) = None;
    }
}

/// One event as it is sent.
fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
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
    fn events(&self, before: &Self) -> Vec<Bytes> {
        let mut events = Vec::new();
        for (name, status) in &self.states {
            if before.states.get(name).map_or(State::Ok, |known| known.state) != status.state {
                events.push(state(name, status));
            }
        }
        for (place, alert) in &self.alerts {
            if before.alerts.get(place).map(|known| known.level) != Some(alert.level) {
                events.push(event("alert", &alert.json()));
            }
        }
        for (place, gone) in &before.alerts {
            if !self.alerts.contains_key(place) {
                let over = Alert { level: Level::Ok, value: "null".to_owned(), ..gone.clone() };
                events.push(event("alert", &over.json()));
            }
        }
        events
    }
}

fn state(table: &str, status: &Status) -> Bytes {
    let known = crate::wire::schema::own().tables.iter().find(|known| known.name == table);
    let data = json!({
        "table": table,
        "collector": known.and_then(|table| collector_of(table)),
        "state": status.state.name(),
        "reason": status.reason.as_str(),
        "hint": status.hint.as_str(),
    });
    event("state", &data.to_string())
}

/// Looks for changes while somebody listens.
async fn follow(api: Arc<Api>) {
    let mut changes = api.sampled.changes();
    loop {
        if api.events.sender.receiver_count() == 0 {
            api.events.rest();
            api.events.woken.notified().await;
        }
        drop(api.events.advance(&api));
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
struct Reader {
    first: std::vec::IntoIter<Bytes>,
    events: broadcast::Receiver<Bytes>,
    _seat: Seat,
}

impl Reader {
    /// The next piece; `None` when the agent ends.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(event) = self.first.next() {
            return Some(event);
        }
        match tokio::time::timeout(HEARTBEAT, self.events.recv()).await {
            Ok(Ok(event)) => Some(event),
            Ok(Err(RecvError::Lagged(count))) => Some(event("missed", &json!({ "events": count }).to_string())),
            Ok(Err(RecvError::Closed)) => None,
            // a comment, which readers pass over
            Err(_) => Some(Bytes::from_static(b":\n\n")),
        }
    }
}

/// Streams events until the reader goes.
pub(super) fn stream(api: &Arc<Api>) -> Outcome {
    let busy = || Refusal::busy(format!("{MAX_READERS} readers follow the events already"));
    let reader = api.events.join(api).ok_or_else(busy)?;
    if !api.events.followed.swap(true, Ordering::Relaxed) {
        tokio::spawn(follow(Arc::clone(api)));
    }
    let pieces = futures_util::stream::unfold(reader, |mut reader| async {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    Ok(Answer::stream(MEDIA, Body::from_stream(pieces)))
}
