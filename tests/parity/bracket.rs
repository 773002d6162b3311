//! When do a table and its second source agree?
//!
//! The second source is read before and after the collector. A counter only rises, so it must lie between the two in every
//! round. A gauge may go up and come back in between, so it must lie between the two in one of [`ROUNDS`]; a text must be
//! the same three times in one of them. A wrong column, unit or row does so in none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use netglance::collect::{Batch, COLLECTORS, Cx, Entry, Skip, Wants};
use netglance::model::{
    Cell, Column, Demand, IpText, Kind, Mono, Owners, Rows, Sample, State, Status, Table, Timestamp, Value,
};
use netglance::source::file::Roots;
use netglance::source::routing::settings::Settings;
use netglance::store::expr::Filter;
use netglance::store::rate::{Mode, View};
use netglance::store::wanted;

const ROUNDS: usize = 40;

/// Rounds after which a fact that never held is wrong: rows that come and go may be seen too seldom to tell.
const ENOUGH: usize = 20;

/// What a second source says of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// A number between two bounds; a source that does not round has them equal.
    Number(f64, f64),
    Text(String),
    Missing,
}

/// What a second source says, by row and column.
#[derive(Debug, Default)]
pub(crate) struct Facts(BTreeMap<(String, String), Fact>);

impl Facts {
    pub(crate) fn number(&mut self, row: &str, column: &str, value: f64) {
        self.between(row, column, value, value);
    }

    pub(crate) fn between(&mut self, row: &str, column: &str, low: f64, high: f64) {
        self.put(row, column, Fact::Number(low, high));
    }

    pub(crate) fn text(&mut self, row: &str, column: &str, value: &str) {
        self.put(row, column, Fact::Text(value.to_owned()));
    }

    pub(crate) fn missing(&mut self, row: &str, column: &str) {
        self.put(row, column, Fact::Missing);
    }

    /// How many rows it says something about.
    pub(crate) fn rows(&self) -> usize {
        self.0.keys().map(|(row, _)| row).collect::<BTreeSet<_>>().len()
    }

    fn put(&mut self, row: &str, column: &str, fact: Fact) {
        self.0.insert((row.to_owned(), column.to_owned()), fact);
    }
}

/// Text of a cell that is no number.
fn words(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Text(text) | Cell::Label(text) => (*text).to_owned(),
        Cell::Ip(address) => IpText(*address).to_string(),
        Cell::Mac(address) => address.to_string(),
        Cell::Bool(yes) => yes.to_string(),
        other => format!("{other:?}"),
    }
}

/// Whether a cell lies between what was said before and after.
fn holds(before: &Fact, cell: &Cell<'_>, after: &Fact) -> bool {
    match (before, after) {
        (Fact::Missing, Fact::Missing) => cell.is_missing(),
        (Fact::Number(low, high), Fact::Number(low2, high2)) => {
            // a tick of rounding in the last digit of a float is no difference
            let slack = 1e-9 * high.abs().max(high2.abs());
            cell.number().is_some_and(|now| now >= low.min(*low2) - slack && now <= high.max(*high2) + slack)
        }
        (Fact::Text(text), Fact::Text(text2)) => text == text2 && words(cell) == *text,
        _ => false,
    }
}

/// One table with the comparisons that it has passed.
pub(crate) struct Parity {
    entry: &'static Entry,
    table: &'static Table,
    key: Vec<usize>,
    wants: Wants,
    routing: Settings,
    asks: bool,
    compared: BTreeSet<String>,
}

#[derive(Default)]
struct Record {
    seen: usize,
    held: bool,
    last: String,
}

/// What those say whom a collector asks.
fn asked(entry: &Entry, by: &[&str]) -> Owners {
    let asks = if by.contains(&entry.name) { &[] } else { (entry.make)().asks() };
    let (mut owners, by) = (Owners::default(), [by, &[entry.name]].concat());
    let is_asked = |name: &&str| asks.contains(name);
    for other in COLLECTORS.iter().filter(|other| is_asked(&other.name)) {
        let (roots, wants, known, mut batch) = (Roots::live(), Wants::default(), asked(other, &by), Batch::default());
        let cx = Cx { roots: &roots, wants: &wants, owners: &known, time: Timestamp::now(), mono: Mono::now() };
        drop((other.make)().collect(&cx, &mut batch));
        batch.take_owned().into_iter().for_each(|owned| owners.take(owned));
    }
    owners
}

impl Parity {
    /// Compares rows of `table` that are told apart by the columns `key`, joined with a blank.
    pub(crate) fn of(table: &str, key: &[&str]) -> Self {
        let has = |entry: &&&Entry| entry.tables.iter().any(|known| known.name == table);
        let entry = COLLECTORS.iter().find(has).unwrap();
        let table = entry.tables.iter().find(|known| known.name == table).unwrap();
        let key = key.iter().map(|column| table.position(column).unwrap()).collect();
        Self {
            entry,
            table,
            key,
            wants: Wants::default(),
            routing: Settings::default(),
            asks: false,
            compared: BTreeSet::new(),
        }
    }

    /// Demands columns that are collected only on demand, and names the rows of a table that is.
    pub(crate) fn wanting(mut self, columns: &[&str], ids: &[Value]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        self.wants = Wants::union(&[Demand { columns, ids: ids.to_vec(), ..Demand::table(&self.table.name) }]);
        self
    }

    /// Has other collectors say who has what: those that it asks, and whom they ask.
    pub(crate) fn asking(mut self) -> Self {
        self.asks = true;
        self
    }

    /// Has section `[routing]` of the configuration say something.
    pub(crate) fn routing(mut self, section: &str) -> Self {
        self.routing = toml::from_str(section).unwrap();
        self
    }

    /// Demands only rows that a filter keeps.
    pub(crate) fn only(mut self, filter: &str) -> Self {
        let only = wanted::only(self.table, Some(&Filter::parse(filter, self.table).unwrap()));
        assert!(!only.is_empty(), "{filter} says nothing that can be heeded");
        self.wants = Wants::union(&[Demand { only, ..Demand::table(&self.table.name) }]);
        self
    }

    /// Why some of it is missing.
    pub(crate) fn partly(&self) -> Vec<String> {
        let (mut batch, _) = self.collected().unwrap();
        batch.take_partly().iter().map(|(_, status)| status.reason.to_string()).collect()
    }

    fn try_sample(&self) -> Result<Sample, Status> {
        let (batch, (time, mono)) = self.collected().map_err(|skip| skip.status())?;
        let own = batch.into_tables().into_iter().find(|(table, _)| table.name == self.table.name);
        let (_, rows) = own.expect("the collector says nothing of the table");
        Ok(Sample { rows: rows?, time, mono })
    }

    fn collected(&self) -> Result<(Batch, (Timestamp, Mono)), Skip> {
        let owners = if self.asks { asked(self.entry, &[]) } else { Owners::default() };
        let roots = Roots::live();
        roots.routing.configure(self.routing.clone());
        let (time, mono) = (Timestamp::now(), Mono::now());
        let cx = Cx { roots: &roots, wants: &self.wants, owners: &owners, time, mono };
        let mut batch = Batch::default();
        (self.entry.make)().collect(&cx, &mut batch)?;
        Ok((batch, (time, mono)))
    }

    /// A fresh sample.
    pub(crate) fn sample(&self) -> Sample {
        self.try_sample().unwrap_or_else(|status| panic!("{}: {status:?}", self.table.name))
    }

    /// Rows of a fresh sample.
    pub(crate) fn rows(&self) -> Arc<dyn Rows> {
        self.sample().rows
    }

    /// Fails unless the table is absent here.
    pub(crate) fn absent(&self) {
        self.is_not(State::Absent);
    }

    /// Fails unless this has no rows, and this is why; returns what to do about it.
    pub(crate) fn is_not(&self, why: State) -> String {
        let status = self.try_sample().map(|sample| sample.rows.len());
        let status = status.expect_err("there are rows");
        assert_eq!(status.state, why, "{}", self.table.name);
        status.hint.to_string()
    }

    /// Keys of the rows of a sample.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        self.index(&*self.rows()).into_keys().collect()
    }

    fn index(&self, rows: &dyn Rows) -> BTreeMap<String, usize> {
        let name = |row: usize| {
            let part = |column: &usize| {
                let cell = rows.cell(row, *column);
                if let Cell::U64(number) = cell { number.to_string() } else { words(&cell) }
            };
            self.key.iter().map(part).collect::<Vec<_>>().join(" ")
        };
        (0..rows.len()).map(|row| (name(row), row)).collect()
    }

    /// Compares with a second source until all that it says has held, as the head of this file says.
    pub(crate) fn agrees(&mut self, mut theirs: impl FnMut() -> Facts) {
        let mut records: BTreeMap<(String, String), Record> = BTreeMap::new();
        for round in 0..ROUNDS {
            let before = theirs();
            let sample = self.sample();
            let after = theirs();
            assert!(round > 0 || !before.0.is_empty(), "the second source of {} says nothing", self.table.name);
            let index = self.index(&*sample.rows);
            // Derived columns are evaluated as readers do
            let view = View::new(&sample, None, Mode::Total);
            let mut open = false;
            for (key, first) in &before.0 {
                let Some(second) = after.0.get(key) else { continue };
                let (column, about) = self.table.column(&key.1).unwrap_or_else(|| panic!("no column {}", key.1));
                let cell = index.get(&key.0).map(|row| view.cell(*row, column));
                let held = cell.as_ref().is_some_and(|cell| holds(first, cell, second));
                let record = records.entry(key.clone()).or_default();
                record.seen += 1;
                record.held |= held;
                if !held {
                    record.last = format!("{first:?} <= {cell:?} <= {second:?}");
                    let rises = about.kind == Kind::Counter && cell.is_some();
                    assert!(!rises, "{} {key:?}: {}", self.table.name, record.last);
                }
                open |= !record.held;
                self.compared.insert(key.1.clone());
            }
            if !open {
                return;
            }
        }
        let never = records.iter().filter(|(_, record)| !record.held && record.seen >= ENOUGH);
        let wrong: Vec<_> = never.map(|(key, record)| format!("{key:?}: {}", record.last)).collect();
        assert!(wrong.is_empty(), "{}:\n{}", self.table.name, wrong.join("\n"));
    }

    /// Fails unless exactly these columns were not compared. Derived ones that take two samples are left to `rates`.
    pub(crate) fn left_out(&self, columns: &[&str]) {
        let sampled = |column: &&Column| column.expr.as_deref().is_none_or(|expr| !self.changes(expr));
        let left: BTreeSet<&str> = self.table.columns.iter().filter(sampled).map(|column| &*column.name).collect();
        let compared = self.compared.iter().map(String::as_str).collect();
        let left: Vec<_> = left.difference(&compared).copied().collect();
        let mut named = columns.to_vec();
        named.sort_unstable();
        assert_eq!(left, named, "columns of {} without a second source", self.table.name);
    }

    /// Whether an expression asks how much something has changed: it has a counter in it.
    fn changes(&self, expr: &str) -> bool {
        let words: Vec<&str> = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let counters = self.table.columns.iter().filter(|column| column.kind == Kind::Counter);
        counters.into_iter().any(|column| words.contains(&&*column.name))
    }
}
