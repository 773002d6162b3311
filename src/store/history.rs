//! What was a value a minute ago, and this morning?
//!
//! Numbers as readers print them (rates for counters): ten minutes at full resolution and a day as means of a minute, for
//! tables that ask for it. All rows of a table share one ring of times; a row holds only its values as `f32`, which is
//! finer than any graph. Memory is bounded in bytes: the largest table loses its oldest points first, and what is lost is
//! counted. A row that is asked for is pinned for two minutes, so that it is recorded even if it is not among the busiest.

mod ring;

use std::collections::{HashMap, VecDeque};

use super::query::{self, Query, default_sort};
use super::rate::View;
use crate::model::{Column, History as Keep, HistoryAsk, Key, Kind, Mono, Series, Shape, Table};
use ring::{PIECE, Times, Track};

/// Memory for the past of one host, in bytes, if nothing else is said.
pub const DEFAULT_LIMIT: usize = 4 << 20;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// Full resolution goes back so far.
const FINE_SPAN: u64 = 10 * MINUTE;
/// Ten minutes at the shortest interval there is, ten samples a second.
const FINE_POINTS: usize = 6000;
/// Means of a minute go back so far.
const COARSE_SPAN: u64 = 24 * 60 * MINUTE;
const COARSE_POINTS: usize = 1440;
/// A row that was not recorded for so long is forgotten.
const FORGET: u64 = FINE_SPAN;
/// Rows of a table of which only the busiest are kept.
const TOP_ROWS: usize = 50;
/// Rows that are remembered of any table, those included that are gone.
const MAX_ROWS: usize = 1024;
/// Rows that are remembered of a table of which only the busiest are kept.
const MAX_TOP_ROWS: usize = 4 * TOP_ROWS;
/// Rows of a table that are pinned at once, and for how long after somebody asked.
const MAX_PINS: usize = 16;
const PIN: u64 = 2 * MINUTE;
/// What a row costs beside its values, about: its key, its place in the map, its counters.
const ROW_COST: usize = 256;

/// The bounded past of one host.
pub struct History {
    tables: HashMap<String, Past>,
    limit: usize,
    evicted: u64,
}

/// One table's past.
struct Past {
    /// Positions and names of the columns that are kept.
    columns: Vec<(usize, String)>,
    fine: Times,
    coarse: Times,
    /// The minute that is being averaged.
    minute: u64,
    rows: HashMap<Key, RowPast>,
    /// Rows that somebody asked for, and when.
    pins: VecDeque<(Key, u64)>,
    evicted: u64,
}

struct RowPast {
    fine: Track,
    coarse: Track,
    /// Sum and number of the values of this minute, by column.
    sums: Box<[(f64, u32)]>,
    seen: u64,
}

impl Default for History {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl History {
    /// An empty past that will take at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { tables: HashMap::new(), limit, evicted: 0 }
    }

    /// Remembers a sample, unless it is one that is remembered already. Returns points that the memory bound pushed out.
    pub fn record(&mut self, view: &View) -> u64 {
        let table = view.table();
        if table.attrs.history == Keep::Off || table.attrs.shape == Shape::Log {
            return 0;
        }
        let columns = kept_columns(table);
        let known = self.tables.get(&*table.name).is_some_and(|past| past.columns == columns);
        if !known {
            // a peer came back with another schema: its old columns mean nothing now
            self.tables.insert(table.name.to_string(), Past::new(columns));
        }
        let Some(past) = self.tables.get_mut(&*table.name) else {
            return 0;
        };
        past.record(view);
        let lost = self.shrink();
        self.evicted += lost;
        lost
    }

    /// The past of one cell, oldest first, and pins its row. `None` when nothing is kept of it.
    pub fn series(&mut self, ask: &HistoryAsk) -> Option<Series> {
        let past = self.tables.get_mut(&ask.table)?;
        let column = past.columns.iter().position(|(_, name)| *name == ask.column)?;
        past.pin(&ask.key);
        let row = past.rows.get(&ask.key)?;
        let width = past.columns.len();
        let since = ask.since.map_or(0, |since| since.0);
        let mut points = Vec::new();
        let first_fine = row.fine.first().and_then(|seq| past.fine.at(seq)).unwrap_or(u64::MAX);
        for (seq, time) in past.coarse.since(row.coarse.first()) {
            // a minute that full resolution covers is not told twice
            if time > since && time.saturating_add(MINUTE) <= first_fine {
                points.push((Mono(time), row.coarse.get(seq, width, column)));
            }
        }
        for (seq, time) in past.fine.since(row.fine.first()) {
            if time > since {
                points.push((Mono(time), row.fine.get(seq, width, column)));
            }
        }
        Some(Series { points, evicted: past.evicted })
    }

    /// Memory in use, in bytes.
    pub fn bytes(&self) -> usize {
        self.tables.values().map(Past::bytes).sum()
    }

    /// Points that the memory bound has pushed out.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Rows that are remembered.
    pub fn rows(&self) -> usize {
        self.tables.values().map(|past| past.rows.len()).sum()
    }

    /// Cuts the largest table until the bound holds.
    fn shrink(&mut self) -> u64 {
        let mut lost = 0;
        let mut total = self.bytes();
        while total > self.limit {
            let Some(largest) = self.tables.values_mut().max_by_key(|past| past.bytes()) else {
                break;
            };
            let before = largest.bytes();
            lost += largest.cut();
            let freed = before.saturating_sub(largest.bytes());
            if freed == 0 {
                break;
            }
            total -= freed;
        }
        lost
    }
}

/// Columns whose past is kept: numbers that are always collected.
fn kept_columns(table: &Table) -> Vec<(usize, String)> {
    let wanted = |column: &Column| column.is_numeric() && column.kind != Kind::Id && !column.attrs.demand;
    let columns = table.columns.iter().enumerate().filter(|(_, column)| wanted(column));
    columns.map(|(position, column)| (position, column.name.to_string())).collect()
}

impl Past {
    fn new(columns: Vec<(usize, String)>) -> Self {
        Self {
            columns,
            fine: Times::default(),
            coarse: Times::default(),
            minute: 0,
            rows: HashMap::new(),
            pins: VecDeque::new(),
            evicted: 0,
        }
    }

    fn pin(&mut self, key: &Key) {
        let now = self.fine.last().unwrap_or(0);
        self.pins.retain(|(pinned, asked)| pinned != key && asked.saturating_add(PIN) > now);
        self.pins.push_back((key.clone(), now));
        if self.pins.len() > MAX_PINS {
            self.pins.pop_front();
        }
    }

    fn record(&mut self, view: &View) {
        let now = view.sample().mono.0;
        if self.fine.last().is_some_and(|last| last >= now) {
            return;
        }
        let minute = now / MINUTE;
        if minute != self.minute {
            self.close_minute();
            self.minute = minute;
        }
        let seq = self.fine.push(now);
        let (first, width) = (self.fine.first(), self.columns.len());
        for row in self.selection(view) {
            let past = self.rows.entry(view.key(row)).or_insert_with(|| RowPast::new(width));
            // of two rows with one key the first is remembered
            if past.seen == now {
                continue;
            }
            past.seen = now;
            let values = self.columns.iter().map(|(column, _)| value(view, row, *column));
            past.put(seq, first, values);
        }
        self.forget(now, if view.table().attrs.history == Keep::Top { MAX_TOP_ROWS } else { MAX_ROWS });
    }

    /// Rows of a view whose values are kept.
    fn selection(&self, view: &View) -> Vec<usize> {
        let table = view.table();
        let limit = if table.attrs.history == Keep::Top { TOP_ROWS } else { MAX_ROWS };
        if view.len() <= limit {
            return (0..view.len()).collect();
        }
        let query = Query { filter: None, sort: default_sort(table), limit: Some(limit) };
        let mut rows = query::run(view, &query);
        for (key, _) in &self.pins {
            rows.extend(view.find(key));
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Turns what was summed up since the last minute began into one point of each row.
    fn close_minute(&mut self) {
        if self.fine.last().is_none() {
            return;
        }
        let seq = self.coarse.push(self.minute.saturating_mul(MINUTE));
        let first = self.coarse.first();
        for row in self.rows.values_mut() {
            row.close_minute(seq, first);
        }
    }

    /// Drops what is too old, and the rows of which nothing is left or that are too many.
    fn forget(&mut self, now: u64, max_rows: usize) {
        self.fine.keep(now.saturating_sub(FINE_SPAN), FINE_POINTS);
        self.coarse.keep(now.saturating_sub(COARSE_SPAN), COARSE_POINTS);
        self.trim();
        self.rows.retain(|_, row| row.seen.saturating_add(FORGET) > now);
        let too_many = self.rows.len().saturating_sub(max_rows);
        if too_many > 0 {
            let mut seen: Vec<u64> = self.rows.values().map(|row| row.seen).collect();
            seen.sort_unstable();
            let oldest = seen.get(too_many - 1).copied().unwrap_or(0);
            let mut left = too_many;
            self.rows.retain(|_, row| {
                let drop = left > 0 && row.seen <= oldest;
                left -= usize::from(drop);
                !drop
            });
        }
        if self.rows.len() * 4 < self.rows.capacity() {
            self.rows.shrink_to_fit();
        }
    }

    fn trim(&mut self) {
        let (fine, coarse, width) = (self.fine.first(), self.coarse.first(), self.columns.len());
        for row in self.rows.values_mut() {
            row.fine.trim(fine, width);
            row.coarse.trim(coarse, width);
        }
    }

    fn bytes(&self) -> usize {
        // a name may be long, and a key keeps it outside of the map
        let rows = self.rows.iter().map(|(key, row)| row.bytes() + key.as_bytes().len()).sum::<usize>();
        rows + self.fine.bytes() + self.coarse.bytes()
    }

    /// Gives up the oldest quarter of what takes most, or a row where no points are left to give. Returns lost points.
    fn cut(&mut self) -> u64 {
        let points = |past: &Self| past.rows.values().map(|row| row.fine.len() + row.coarse.len()).sum::<usize>();
        let before = points(self);
        let fine: usize = self.rows.values().map(|row| row.fine.bytes()).sum();
        let coarse: usize = self.rows.values().map(|row| row.coarse.bytes()).sum();
        let all = self.bytes();
        for is_fine in [fine >= coarse, fine < coarse] {
            let times = if is_fine { &mut self.fine } else { &mut self.coarse };
            // less than a piece of a track frees nothing
            if times.len() > PIECE {
                times.drop_oldest(times.len().div_ceil(4).max(PIECE));
                self.trim();
            }
            if self.bytes() < all {
                break;
            }
        }
        if self.bytes() == all
            && let Some(key) = self.rows.iter().min_by_key(|(_, row)| row.seen).map(|(key, _)| key.clone())
        {
            self.rows.remove(&key);
        }
        let lost = (before - points(self).min(before)) as u64;
        self.evicted += lost;
        lost
    }
}

/// A cell as readers print it; a counter is a rate whatever the view's mode. Not a number where it is missing.
fn value(view: &View, row: usize, column: usize) -> f64 {
    let is_counter = view.table().columns.get(column).is_some_and(|column| column.kind == Kind::Counter);
    let value = if is_counter { view.rate(row, column) } else { view.cell(row, column).number() };
    value.unwrap_or(f64::NAN)
}

impl RowPast {
    fn new(width: usize) -> Self {
        Self { fine: Track::default(), coarse: Track::default(), sums: vec![(0.0, 0); width].into(), seen: 0 }
    }

    fn put(&mut self, seq: u64, first: u64, values: impl Iterator<Item = f64>) {
        let width = self.sums.len();
        self.fine.open(seq, first, width);
        for (value, (sum, count)) in values.zip(&mut self.sums) {
            self.fine.put(value, width);
            if value.is_finite() {
                *sum += value;
                *count += 1;
            }
        }
    }

    fn close_minute(&mut self, seq: u64, first: u64) {
        if self.sums.iter().all(|(_, count)| *count == 0) {
            return;
        }
        let width = self.sums.len();
        self.coarse.open(seq, first, width);
        for (sum, count) in &mut self.sums {
            self.coarse.put(if *count == 0 { f64::NAN } else { *sum / f64::from(*count) }, width);
            (*sum, *count) = (0.0, 0);
        }
    }

    fn bytes(&self) -> usize {
        self.fine.bytes() + self.coarse.bytes() + size_of_val(&*self.sums) + ROW_COST
    }
}

#[cfg(test)]
mod tests;
