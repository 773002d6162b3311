//! How do a thousand readers cost as much as one?
//!
//! Readers who watch the same tables at the same interval share a [`Bundle`]: what changed is encoded once and the bytes are
//! handed to everybody. A reader who has seen the frame before gets what changed since; one who is new, or too slow, gets
//! the whole. Nothing is queued for anybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::sync::watch;

use super::sampled::Sampled;
use crate::model::{Snapshot, Table, Text, lock};
use crate::store::expr::Filter;
use crate::store::query::{Order, Query};
use crate::wire::frame::{Frames, Selection};
use crate::wire::{proto, redact, schema};

/// Different bundles at once at most.
const MAX_BUNDLES: usize = 1024;

/// Selections of one request at most.
const MAX_SELECTIONS: usize = 64;

/// Samples come on a grid; one that is this much early is still due.
const SLACK: Duration = Duration::from_millis(100);

/// Collectors keep to one grid: what they say within a moment is one frame, and wakes every reader once.
const GATHER: Duration = Duration::from_millis(50);

/// All bundles that somebody watches.
#[derive(Default)]
pub(super) struct Bundles(Mutex<HashMap<Key, Weak<Bundle>>>);

/// What is watched, and whether secrets are told.
type Key = (Vec<u8>, bool);

/// What several readers watch together.
pub(super) struct Bundle {
    state: Mutex<State>,
    interval: Duration,
    /// Whether columns marked secret are told.
    clear: bool,
}

struct State {
    frames: Frames,
    generation: u64,
    advanced: Option<Instant>,
    sequence: u64,
    change: Bytes,
    whole: Option<Bytes>,
}

type Bytes = prost::bytes::Bytes;

/// Why a request cannot be watched: what a person reads.
pub(super) type Refusal = String;

impl Bundles {
    /// The bundle of a request, an existing one if somebody watches the same.
    ///
    /// # Errors
    /// The request names what is not there, or there are too many bundles.
    pub(super) fn open(&self, request: &proto::WatchRequest, clear: bool) -> Result<Arc<Bundle>, Refusal> {
        let key = proto::WatchRequest { hash: Vec::new(), demands: Vec::new(), ..request.clone() }.encode_to_vec();
        let key = (key, clear);
        let mut bundles = lock(&self.0);
        if let Some(bundle) = bundles.get(&key).and_then(Weak::upgrade) {
            return Ok(bundle);
        }
        bundles.retain(|_, bundle| bundle.strong_count() > 0);
        if bundles.len() >= MAX_BUNDLES {
            return Err(format!("more than {MAX_BUNDLES} different selections are watched already"));
        }
        let bundle = Arc::new(Bundle::new(request, clear)?);
        bundles.insert(key, Arc::downgrade(&bundle));
        Ok(bundle)
    }
}

impl Bundle {
    fn new(request: &proto::WatchRequest, clear: bool) -> Result<Self, Refusal> {
        if request.tables.len() > MAX_SELECTIONS {
            return Err(format!("more than {MAX_SELECTIONS} tables in a request"));
        }
        let schema = schema::own();
        let frames = if request.silent {
            Frames::new(schema, Vec::new())
        } else if request.tables.is_empty() {
            let usual = |(position, table): (usize, &&Table)| (!table.attrs.demand).then_some(position);
            let positions = schema.tables.iter().map(|table| *table as &Table).collect::<Vec<_>>();
            let positions = positions.iter().enumerate().filter_map(usual);
            Frames::new(schema, positions.map(|position| Selection { position, query: None, columns: None }).collect())
        } else {
            Frames::new(schema, request.tables.iter().map(selection).collect::<Result<_, _>>()?)
        };
        let state = State { frames, generation: 0, advanced: None, sequence: 0, change: Bytes::new(), whole: None };
        Ok(Self { state: Mutex::new(state), interval: Duration::from_nanos(request.interval), clear })
    }

    /// What a reader who has seen frame `seen` (0 for none) must be told next, and which frame that is; `None` when there is
    /// nothing new.
    fn next(&self, seen: u64, generation: u64, snapshot: &Snapshot) -> Option<(u64, Bytes)> {
        let mut state = lock(&self.state);
        state.advance(self, generation, snapshot);
        let State { frames, sequence, change, whole, .. } = &mut *state;
        if seen == *sequence {
            return None;
        }
        if seen != 0 && seen + 1 == *sequence {
            return Some((*sequence, change.clone()));
        }
        let whole = whole.get_or_insert_with(|| frames.whole().encode_to_vec().into());
        Some((*sequence, whole.clone()))
    }
}

impl State {
    fn advance(&mut self, bundle: &Bundle, generation: u64, snapshot: &Snapshot) {
        let due = self.advanced.is_none_or(|before| before.elapsed() + SLACK >= bundle.interval);
        if generation <= self.generation || !due {
            return;
        }
        self.generation = generation;
        let frame =
            if bundle.clear { self.frames.next(snapshot) } else { self.frames.next(&redact::snapshot(snapshot)) };
        if !frame.tables.is_empty() {
            self.advanced = Some(Instant::now());
            self.sequence += 1;
            self.change = frame.encode_to_vec().into();
            self.whole = None;
        }
    }
}

/// The selection that a request describes.
pub(super) fn selection(asked: &proto::Selection) -> Result<Selection, Refusal> {
    let schema = schema::own();
    let position = schema.position(&asked.table).ok_or_else(|| format!("there is no table `{}`", asked.table))?;
    let table = schema.layouts.get(position).map(|layout| layout.table).ok_or("a table without a place")?;
    let columns: Vec<usize> = asked.columns.iter().map(|name| column(table, name)).collect::<Result<_, _>>()?;
    let query = query(table, asked)?;
    Ok(Selection { position, query, columns: (!columns.is_empty()).then_some(columns) })
}

fn query(table: &Table, asked: &proto::Selection) -> Result<Option<Query>, Refusal> {
    if asked.r#where.is_empty() && asked.sort.is_empty() && asked.limit == 0 {
        return Ok(None);
    }
    let filter = match asked.r#where.as_str() {
        "" => None,
        text => Some(Filter::parse(text, table).map_err(|error| error.to_string())?),
    };
    let sort = asked.sort.iter().map(|name| match name.strip_prefix('-') {
        Some(name) => column(table, name).map(|column| (column, Order::Descending)),
        None => column(table, name).map(|column| (column, Order::Ascending)),
    });
    let limit = (asked.limit > 0).then_some(asked.limit as usize);
    Ok(Some(Query { filter, sort: sort.collect::<Result<_, _>>()?, limit }))
}

fn column(table: &Table, name: &str) -> Result<usize, Refusal> {
    table.position(name).ok_or_else(|| format!("table `{}` has no column `{name}`", table.name))
}

/// One reader of a bundle.
pub(super) struct Watcher {
    sampled: Arc<Sampled>,
    bundle: Arc<Bundle>,
    changes: watch::Receiver<u64>,
    seen: u64,
    reader: u64,
}

impl Watcher {
    /// Watches for a reader until it is dropped; what the reader demands is collected as long.
    ///
    /// # Errors
    /// All readers together demand too much.
    pub(super) fn new(
        sampled: Arc<Sampled>,
        bundle: Arc<Bundle>,
        demands: &[crate::model::Demand],
    ) -> Result<Self, Text> {
        let (reader, changes) = (sampled.reader(), sampled.changes());
        sampled.demand(reader, demands)?;
        Ok(Self { sampled, bundle, changes, seen: 0, reader })
    }

    /// The next frame; waits for it. `None` when the sampler is gone for good.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let generation = *self.changes.borrow_and_update();
            if let Some((sequence, bytes)) = self.bundle.next(self.seen, generation, &self.sampled.latest()) {
                self.seen = sequence;
                return Some(bytes);
            }
            self.changes.changed().await.ok()?;
            tokio::time::sleep(GATHER).await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // to want nothing is never too much
        let _ = self.sampled.demand(self.reader, &[]);
    }
}
