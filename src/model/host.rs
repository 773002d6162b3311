//! What does every reader have in common, whether the host is this machine or far away?
//!
//! [`Host`] is all that the dashboard, exports and alerts know. A [`Snapshot`] holds the latest two samples of each table,
//! so that a reader can pair counters without asking again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::action::{Action, ActionError, Done};
use super::cell::{Cell, Timestamp, Value};
use super::series::{HistoryAsk, Series};
use super::table::{Rows, Table};
use super::text::Text;

/// Nanoseconds on the monotonic clock of the sampling host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// Present of `CLOCK_MONOTONIC`.
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Self((now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64))
    }

    /// Seconds from `earlier` to `self`, zero if it is later.
    pub fn since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }
}

crate::label! {
    /// How a collector fares.
    pub enum State {
        Ok = "ok",
        Absent = "absent",
        Denied = "denied" => Careful,
        Failed = "failed" => Warning,
        Stale = "stale" => Warning,
    }
}

impl State {
    /// The state of a word; one that this version does not know is a failure.
    pub fn of(word: &str) -> Self {
        let states = [Self::Ok, Self::Absent, Self::Denied, Self::Failed, Self::Stale];
        states.into_iter().find(|state| state.name() == word).unwrap_or(Self::Failed)
    }
}

/// State of a table with the reason and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Verdict.
    pub state: State,
    /// Operation, object and cause; empty when ok.
    pub reason: Text,
    /// What a person can do; empty when there is nothing.
    pub hint: Text,
}

impl Status {
    /// All is well.
    pub fn ok() -> Self {
        Self { state: State::Ok, reason: Text::default(), hint: Text::default() }
    }
}

/// One table at one moment.
#[derive(Clone)]
pub struct Sample {
    /// The rows, raw.
    pub rows: Arc<dyn Rows>,
    /// Wall clock when it was taken.
    pub time: Timestamp,
    /// Monotonic clock when it was taken; rates use this one.
    pub mono: Mono,
}

/// What is known of one table.
#[derive(Clone)]
pub struct TableState {
    /// Schema.
    pub table: &'static Table,
    /// Newest sample; `None` until the first one and for a source that is not there.
    pub now: Option<Sample>,
    /// The one before it.
    pub before: Option<Sample>,
    /// State of its collector.
    pub status: Status,
}

/// The latest of every table of one host. Cheap to clone: samples are shared.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// By table name.
    pub tables: BTreeMap<&'static str, TableState>,
    /// Grows with every published change.
    pub generation: u64,
}

impl Snapshot {
    /// State of a table.
    pub fn get(&self, name: &str) -> Option<&TableState> {
        self.tables.get(name)
    }
}

/// What a reader wants now. The union over readers drives collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Table name.
    pub table: String,
    /// Wanted on-demand columns; empty means the ordinary ones.
    pub columns: Vec<String>,
    /// For on-demand tables: values of the required Id columns, in schema order.
    pub ids: Vec<Value>,
    /// How often, where the collector has no interval of its own; `None` means as often as the host samples anyway.
    pub interval: Option<Duration>,
    /// Which of its rows are enough. Who does not heed it tells more than is needed.
    pub top: Option<Top>,
    /// Values of columns outside which no row is kept, likewise.
    pub only: Vec<(String, Vec<Value>)>,
}

/// The rows of a table that are enough for a reader.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Top {
    /// What is kept, as a person has written it.
    pub filter: Option<String>,
    /// Names of columns, the most significant first, and whether the largest come first; `total(COLUMN)` is what a counter has
    /// counted.
    pub sort: Vec<(String, bool)>,
    /// How many rows of each host; 0 is all of one host, and some of many.
    pub rows: usize,
    /// How many of all hosts together, if that is enough.
    pub all: Option<usize>,
}

impl Demand {
    /// The ordinary columns of a table at its own interval.
    pub fn table(name: &str) -> Self {
        Self {
            table: name.to_owned(),
            columns: Vec::new(),
            ids: Vec::new(),
            interval: None,
            top: None,
            only: Vec::new(),
        }
    }
}

/// What each reader wants now.
#[derive(Debug, Default)]
pub struct Demands(BTreeMap<u64, Vec<Demand>>);

impl Demands {
    /// Replaces what a reader wants; nothing more if that is nothing. Whether it wanted something else before.
    pub fn replace(&mut self, reader: u64, wants: Vec<Demand>) -> bool {
        if self.0.get(&reader).map_or(&[][..], Vec::as_slice) == wants {
            return false;
        }
        if wants.is_empty() {
            self.0.remove(&reader);
        } else {
            self.0.insert(reader, wants);
        }
        true
    }

    /// What any of them wants.
    pub fn all(&self) -> impl Iterator<Item = &Demand> {
        self.0.values().flatten()
    }
}

/// How a host is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Connection {
    /// It is this machine.
    #[default]
    Local,
    /// Nothing has come yet.
    Connecting {
        /// The agent, as the user calls it.
        to: Text,
    },
    /// Through an agent that answers.
    Live {
        /// The agent, as the user calls it.
        to: Text,
        /// What the host calls itself.
        host: Text,
        /// Version of the agent.
        version: Text,
    },
    /// Through an agent that does not answer; what is known of the host is what was known then.
    Lost {
        /// The agent, as the user calls it.
        to: Text,
        /// For how long.
        ago: Duration,
        /// Why.
        reason: Text,
        /// When it is tried again; `None` while it is being tried.
        again: Option<Duration>,
    },
}

/// The host behind a row.
pub struct Behind {
    /// The host.
    pub host: Arc<dyn Host>,
    /// The table and the key of the row there, unless the row is the host.
    pub row: Option<(&'static str, Key)>,
}

/// All that a reader knows of a host.
pub trait Host: Send + Sync {
    /// Every table it may have.
    fn schema(&self) -> &'static [&'static Table];
    /// Replaces what reader `reader` wants.
    fn demand(&self, reader: u64, wants: Vec<Demand>);
    /// The newest samples.
    fn latest(&self) -> Arc<Snapshot>;
    /// The past of one cell.
    fn history(&self, ask: &HistoryAsk) -> Option<Series>;
    /// Does something to the host.
    ///
    /// # Errors
    /// [`ActionError`].
    fn act(&self, action: &Action) -> Result<Done, ActionError>;
    /// How it is reached.
    fn connection(&self) -> Connection {
        Connection::Local
    }
    /// Nanoseconds that its wall clock is ahead of this machine's.
    fn skew(&self) -> i64 {
        0
    }
    /// Whether it knows nothing of a column that this program has, because it runs another version.
    fn lacks(&self, _table: &str, _column: usize) -> bool {
        false
    }
    /// Why it does nothing that it is asked to; `None` when it may.
    fn refusal(&self) -> Option<Text> {
        None
    }
    /// The host that a row of a table stands for or comes from, if it is another one.
    fn behind(&self, table: &str, key: &Key) -> Option<Behind> {
        let _ = (table, key);
        None
    }
}

/// Identity of a row: the encoded cells of its Id columns. Equal keys mean the same row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(smallvec::SmallVec<[u8; 24]>);

impl Key {
    /// Key of a row.
    pub fn of(rows: &dyn Rows, row: usize) -> Self {
        let mut key = smallvec::SmallVec::new();
        for column in rows.table().ids() {
            encode(&rows.cell(row, column), &mut key);
        }
        Self(key)
    }

    /// Key from values of the Id columns in schema order.
    pub fn from_cells<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> Self {
        let mut key = smallvec::SmallVec::new();
        for cell in cells {
            encode(&cell, &mut key);
        }
        Self(key)
    }

    /// Whether a row has this key.
    pub fn matches(&self, rows: &dyn Rows, row: usize) -> bool {
        *self == Self::of(rows, row)
    }

    /// Key from its encoded bytes: a wrong one is the key of no row.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(smallvec::SmallVec::from_slice(bytes))
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn encode(cell: &Cell<'_>, key: &mut smallvec::SmallVec<[u8; 24]>) {
    match cell {
        Cell::Missing => key.push(0),
        // signed and unsigned integers of the same value are the same key
        Cell::U64(v) => tagged(key, 1, &v.to_be_bytes()),
        Cell::I64(v) => tagged(key, if *v >= 0 { 1 } else { 2 }, &v.to_be_bytes()),
        Cell::F64(v) | Cell::Duration(v) => tagged(key, 3, &v.to_be_bytes()),
        Cell::Bool(v) => tagged(key, 4, &[u8::from(*v)]),
        Cell::Text(v) | Cell::Label(v) => {
            key.push(5);
            key.extend_from_slice(&(v.len() as u32).to_be_bytes());
            key.extend_from_slice(v.as_bytes());
        }
        Cell::Ip(IpAddr::V4(v)) => tagged(key, 6, &v.octets()),
        Cell::Ip(IpAddr::V6(v)) => tagged(key, 7, &v.octets()),
        Cell::Mac(v) => tagged(key, 8, &v.0),
        Cell::Timestamp(v) => tagged(key, 9, &v.0.to_be_bytes()),
    }
}

fn tagged(key: &mut smallvec::SmallVec<[u8; 24]>, tag: u8, bytes: &[u8]) {
    key.push(tag);
    key.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_cells_never_meet() {
        let cells = [
            Cell::Missing,
            Cell::U64(0),
            Cell::U64(1),
            Cell::I64(-1),
            Cell::Text(""),
            Cell::Text("a"),
            Cell::Bool(false),
            Cell::F64(0.0),
        ];
        for (i, a) in cells.iter().enumerate() {
            for b in &cells[i + 1..] {
                assert_ne!(Key::from_cells([*a]), Key::from_cells([*b]));
            }
        }
        let split = Key::from_cells([Cell::Text("ab"), Cell::Text("c")]);
        assert_ne!(split, Key::from_cells([Cell::Text("a"), Cell::Text("bc")]));
    }

    #[test]
    fn readers_want_what_they_said_last_and_saying_it_again_changes_nothing() {
        let mut demands = Demands::default();
        let (load, cpu) = (Demand::table("load"), Demand::table("cpu"));
        assert!(!demands.replace(1, Vec::new()));
        assert!(demands.replace(1, vec![load.clone()]));
        assert!(!demands.replace(1, vec![load.clone()]));
        assert!(demands.replace(2, vec![load.clone()]));
        assert!(demands.replace(1, vec![cpu.clone()]));
        assert_eq!(demands.all().collect::<Vec<_>>(), [&cpu, &load]);
        assert!(demands.replace(2, Vec::new()));
        assert_eq!(demands.all().collect::<Vec<_>>(), [&cpu]);
    }
}
