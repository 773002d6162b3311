//! How do a thousand readers cost as much as one?
//!
//! Readers who watch the same tables at the same interval share a [`Bundle`]: one task looks whether there is anything new
//! for those who wait, what changed is encoded once, and only then they are woken and handed the bytes. A reader who has seen
//! the frame before gets what changed since; one who is new, or slower than others, gets the whole. Nothing is queued for
//! anybody, and nothing is made while nobody waits.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::caller::Caller;
use super::sampled::Sampled;
use super::share::{Limits, Seat, Seats};
use super::waited;
use crate::model::{Demand, Table, Text, lock};
use crate::store::expr::Filter;
use crate::store::query::{Order, Query};
use crate::wire::frame::{Frames, Selection};
use crate::wire::{proto, redact, schema};

/// Different bundles at once at most. Each costs as much as one for a thousand readers.
const BUNDLES: Limits = Limits { all: 1024, each: 64, strangers: 64 };

/// Nanoseconds of a second.
const NANOS: u64 = 1_000_000_000;

/// Selections of one request at most.
const MAX_SELECTIONS: usize = 64;

/// Samples come on a grid; one that is this much early is still due.
const SLACK: Duration = Duration::from_millis(100);

/// Collectors keep to one grid: what they say within a moment is one frame, and wakes every reader once.
const GATHER: Duration = Duration::from_millis(50);

/// All bundles that somebody watches.
pub(super) struct Bundles {
    open: Mutex<HashMap<Key, Weak<Bundle>>>,
    seats: Seats,
}

/// What is watched, and whether secrets are told.
type Key = (Vec<u8>, bool);

/// What several readers watch together.
pub(super) struct Bundle {
    state: Mutex<State>,
    interval: Duration,
    /// Whether columns marked secret are told.
    clear: bool,
    /// Number of the newest frame.
    sequence: watch::Sender<u64>,
    /// Readers who wait for the next one.
    waiting: AtomicUsize,
    /// What makes it for them; it ends with the last reader.
    driver: OnceLock<AbortHandle>,
    /// Of the one who asked for it first.
    _seat: Seat,
}

struct State {
    frames: Frames,
    generation: u64,
    advanced: Option<Instant>,
    change: Bytes,
    whole: Option<Bytes>,
}

type Bytes = prost::bytes::Bytes;

/// Why a request cannot be watched: what a person reads.
pub(super) type Refusal = String;

impl Default for Bundles {
    fn default() -> Self {
        Self { open: Mutex::default(), seats: Seats::new(BUNDLES) }
    }
}

impl Bundles {
    /// The bundle of a request, an existing one if somebody watches the same.
    ///
    /// # Errors
    /// The request names what is not there, or there are too many bundles.
    pub(super) fn open(
        &self,
        sampled: &Arc<Sampled>,
        request: &proto::WatchRequest,
        caller: Caller,
    ) -> Result<Arc<Bundle>, Refusal> {
        let interval = whole_seconds(request.interval);
        let alike = proto::WatchRequest { hash: Vec::new(), demands: Vec::new(), interval, ..request.clone() };
        let key = (alike.encode_to_vec(), caller.is_clear());
        let mut bundles = lock(&self.open);
        if let Some(bundle) = bundles.get(&key).and_then(Weak::upgrade) {
            return Ok(bundle);
        }
        bundles.retain(|_, bundle| bundle.strong_count() > 0);
        let seat = self.seats.take(caller).ok_or("too many different selections are watched already")?;
        let bundle = Arc::new(Bundle::new(&alike, caller.is_clear(), seat)?);
        bundle.begin(sampled);
        bundles.insert(key, Arc::downgrade(&bundle));
        Ok(bundle)
    }
}

impl Bundle {
    fn new(request: &proto::WatchRequest, clear: bool, seat: Seat) -> Result<Self, Refusal> {
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
            let selections: Vec<_> = request.tables.iter().map(selection).collect::<Result<_, _>>()?;
            once(selections.iter().map(|selection| selection.position), "a table")?;
            Frames::new(schema, selections)
        };
        let state = State { frames, generation: 0, advanced: None, change: Bytes::new(), whole: None };
        let interval = Duration::from_nanos(request.interval);
        Ok(Self {
            state: Mutex::new(state),
            interval,
            clear,
            sequence: watch::Sender::default(),
            waiting: AtomicUsize::new(0),
            driver: OnceLock::new(),
            _seat: seat,
        })
    }

    /// Begins to make frames for those who wait.
    fn begin(self: &Arc<Self>, sampled: &Arc<Sampled>) {
        let (mut changes, sampled, bundle) = (sampled.changes(), Arc::clone(sampled), Arc::downgrade(self));
        let driver = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                tokio::time::sleep(GATHER).await;
                changes.mark_unchanged();
                let Some(bundle) = bundle.upgrade() else { return };
                if bundle.waiting.load(Ordering::Relaxed) > 0 {
                    bundle.advance(&sampled);
                }
            }
        });
        // a bundle begins once
        let _ = self.driver.set(driver.abort_handle());
    }

    /// Makes the next frame, if it is due and there is anything new.
    fn advance(&self, sampled: &Sampled) {
        let (mut state, generation) = (lock(&self.state), sampled.generation());
        let due = state.advanced.is_none_or(|before| before.elapsed() + SLACK >= self.interval);
        if generation <= state.generation || !due {
            return;
        }
        state.generation = generation;
        let snapshot = sampled.latest();
        let frame =
            if self.clear { state.frames.next(&snapshot) } else { state.frames.next(&redact::snapshot(&snapshot)) };
        if !frame.tables.is_empty() {
            state.advanced = Some(Instant::now());
            state.change = frame.encode_to_vec().into();
            state.whole = None;
            self.sequence.send_modify(|sequence| *sequence += 1);
        }
    }

    /// What a reader who has seen frame `seen` (0 for none) must be told next, and which frame that is; `None` when there is
    /// nothing new.
    fn next(&self, seen: u64) -> Option<(u64, Bytes)> {
        let mut state = lock(&self.state);
        let sequence = *self.sequence.borrow();
        if seen == sequence {
            return None;
        }
        if seen != 0 && seen + 1 == sequence {
            return Some((sequence, state.change.clone()));
        }
        let State { frames, whole, .. } = &mut *state;
        let whole = whole.get_or_insert_with(|| frames.whole().encode_to_vec().into());
        Some((sequence, whole.clone()))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.get() {
            driver.abort();
        }
    }
}

/// The selection that a request describes.
pub(super) fn selection(asked: &proto::Selection) -> Result<Selection, Refusal> {
    let schema = schema::own();
    let position = schema.position(&asked.table).ok_or_else(|| format!("there is no table `{}`", asked.table))?;
    let table = schema.layouts.get(position).map(|layout| layout.table).ok_or("a table without a place")?;
    let columns: Vec<usize> = asked.columns.iter().map(|name| column(table, name)).collect::<Result<_, _>>()?;
    once(columns.iter().copied(), "a column")?;
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
    let sort: Vec<(usize, Order)> = sort.collect::<Result<_, _>>()?;
    once(sort.iter().map(|(column, _)| *column), "a column to sort by")?;
    let limit = (asked.limit > 0).then_some(asked.limit as usize);
    Ok(Some(Query { filter, sort, limit }))
}

fn column(table: &Table, name: &str) -> Result<usize, Refusal> {
    table.position(name).ok_or_else(|| format!("table `{}` has no column `{name}`", table.name))
}

/// Each is asked for once: whoever names one a thousand times has it worked on as often.
fn once(positions: impl Iterator<Item = usize>, what: &str) -> Result<(), Refusal> {
    let mut known = HashSet::new();
    let mut positions = positions;
    if positions.all(|position| known.insert(position)) { Ok(()) } else { Err(format!("{what} is named twice")) }
}

/// An interval in nanoseconds without what is less than a second, so that much the same is the same.
fn whole_seconds(interval: u64) -> u64 {
    interval / NANOS * NANOS
}

/// A reader who waits, until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One reader of a bundle.
pub(super) struct Watcher {
    sampled: Arc<Sampled>,
    bundle: Arc<Bundle>,
    news: watch::Receiver<u64>,
    seen: u64,
    reader: u64,
    /// What the sampler has to be told before the first frame.
    first: Option<(u64, Vec<Demand>)>,
}

impl Watcher {
    /// Watches for a reader until it is dropped; what the reader demands is collected as long.
    ///
    /// # Errors
    /// All readers together demand too much.
    pub(super) fn new(sampled: Arc<Sampled>, bundle: Arc<Bundle>, demands: Vec<Demand>) -> Result<Self, Text> {
        let (reader, news) = (sampled.reader(), bundle.sequence.subscribe());
        let number = sampled.demand(reader, &demands)?;
        Ok(Self { sampled, bundle, news, seen: 0, reader, first: Some((number, demands)) })
    }

    /// The next frame; waits for it. `None` when the sampler is gone for good.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if let Some((number, demands)) = self.first.take() {
            waited::settled(&self.sampled, number, &demands).await;
        }
        loop {
            self.news.mark_unchanged();
            self.bundle.advance(&self.sampled);
            if let Some((sequence, bytes)) = self.bundle.next(self.seen) {
                self.seen = sequence;
                return Some(bytes);
            }
            let _waits = Waits::begin(&self.bundle.waiting);
            self.news.changed().await.ok()?;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // to want nothing is never too much
        let _ = self.sampled.demand(self.reader, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::load::LoadRow;
    use crate::model::{Mono, Sample, Snapshot, Status, TableState, Timestamp};
    use crate::server::caller::Peer;

    /// A host whose load is this.
    fn loaded(sampled: &Sampled, load: u8) {
        let row = LoadRow { one: load.into(), five: 1.0, fifteen: 1.0, runnable: 1, tasks: 1, cpus: Some(4) };
        let now = Sample { rows: Arc::new(vec![row]), time: Timestamp(0), mono: Mono(u64::from(load)) };
        let state = TableState { table: LoadRow::TABLE, now: Some(now), before: None, status: Status::ok() };
        sampled.show(&Snapshot { tables: [("load", state)].into(), generation: load.into() });
    }

    /// So many readers of everything.
    fn watchers(sampled: &Arc<Sampled>, count: usize) -> Vec<Watcher> {
        let bundles = Bundles::default();
        let watcher = |_| {
            let bundle = bundles.open(sampled, &proto::WatchRequest::default(), Caller::own()).unwrap();
            Watcher::new(Arc::clone(sampled), bundle, Vec::new()).unwrap()
        };
        (0..count).map(watcher).collect()
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn those_who_wait_are_handed_the_same_bytes_once_for_all_that_comes_within_a_moment() {
        wait(async {
            let sampled = Sampled::new();
            let mut watchers = watchers(&sampled, 50);
            loaded(&sampled, 1);
            for watcher in &mut watchers {
                assert!(watcher.next().await.is_some());
            }
            let told = futures_util::future::join_all(watchers.iter_mut().map(Watcher::next));
            let moves = async {
                // they all wait by now
                tokio::task::yield_now().await;
                (2..5).for_each(|load| loaded(&sampled, load));
            };
            let (told, ()) = tokio::join!(told, moves);
            let told: Vec<Bytes> = told.into_iter().map(Option::unwrap).collect();
            assert!(told.iter().all(|bytes| bytes.as_ptr() == told[0].as_ptr()));
            assert!(watchers.iter().all(|watcher| watcher.seen == 2));
        });
    }

    #[test]
    fn nobody_has_work_done_many_times_over_or_takes_every_place() {
        let load = |sort: &[&str], columns: &[&str]| proto::Selection {
            table: "load".to_owned(),
            sort: sort.iter().map(|name| (*name).to_owned()).collect(),
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            ..proto::Selection::default()
        };
        for (wrong, why) in [
            (load(&["one", "five", "-one"], &[]), "a column to sort by is named twice"),
            (load(&[], &["one", "one"]), "a column is named twice"),
        ] {
            assert_eq!(selection(&wrong).err().unwrap(), why);
        }
        assert!(selection(&load(&["one", "-five"], &["five", "one"])).is_ok());
        wait(async {
            let (sampled, bundles) = (Sampled::new(), Bundles::default());
            let open = |caller, interval: f64, tables: Vec<proto::Selection>| {
                let interval = (interval * 1e9) as u64;
                bundles.open(&sampled, &proto::WatchRequest { interval, tables, ..Default::default() }, caller)
            };
            let two = vec![load(&[], &["one"]), load(&[], &["five"])];
            assert_eq!(open(Caller::own(), 0.0, two).err().unwrap(), "a table is named twice");
            let (one, other) = (open(Caller::own(), 1.0, Vec::new()), open(Caller::own(), 1.9, Vec::new()));
            assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()), "much the same is the same");
            let stranger = Caller::from_peer(Peer::Tcp([127, 0, 0, 1].into()), 0, false, false);
            let held: Vec<_> =
                (0..BUNDLES.strangers).map(|at| open(stranger, at as f64, Vec::new()).unwrap()).collect();
            assert!(open(stranger, 7.0, Vec::new()).is_ok(), "what is there already costs nothing");
            assert!(open(stranger, 100_000.0, Vec::new()).is_err());
            assert!(open(Caller::own(), 100_000.0, Vec::new()).is_ok());
            drop(held);
            assert!(open(stranger, 100_000.0, Vec::new()).is_ok());
        });
    }

    #[test]
    fn nothing_is_made_while_nobody_waits_and_who_comes_late_is_told_what_changed() {
        wait(async {
            let sampled = Sampled::new();
            loaded(&sampled, 1);
            let mut watchers = watchers(&sampled, 1);
            let watcher = &mut watchers[0];
            assert!(watcher.next().await.is_some());
            let mut changes = sampled.changes();
            for load in 2..5 {
                loaded(&sampled, load);
                // whoever makes frames has had its turn
                changes.changed().await.unwrap();
                tokio::time::sleep(GATHER * 2).await;
            }
            let told = proto::Frame::decode(watcher.next().await.unwrap()).unwrap();
            assert_eq!(watcher.seen, 2);
            let changes: Vec<&proto::Change> = told.tables.iter().flat_map(|table| &table.changes).collect();
            assert!(changes.len() == 1 && !changes[0].full);
        });
    }
}
