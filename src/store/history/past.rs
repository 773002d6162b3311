//! What is remembered of one table?

use std::collections::VecDeque;

use super::ring::Times;
use super::row::{MINUTES, PIECE, RowPast, Rows};
use super::{MINUTE, SECOND};
use crate::model::{Column, Detail, History as Keep, HistoryAsk, Key, Kind, Mono, Point, Series, Table};
use crate::store::query::{self, Query, default_sort};
use crate::store::rate::View;

/// Full resolution goes back so far.
const FINE_SPAN: u64 = 10 * MINUTE;
/// Ten minutes at the shortest interval there is, ten samples a second.
const FINE_POINTS: usize = (FINE_SPAN / SECOND) as usize * 10;
/// Minutes go back so far.
const COARSE_SPAN: u64 = 24 * 60 * MINUTE;
const COARSE_POINTS: usize = (COARSE_SPAN / MINUTE) as usize;
/// A row that was not recorded for so long is forgotten.
const FORGET: u64 = FINE_SPAN;
/// Rows of a table of which only the busiest are kept.
pub(super) const TOP_ROWS: usize = 50;
/// Rows that are remembered of any table, those included that are gone.
const MAX_ROWS: usize = 1024;
/// Rows that are remembered of a table of which only the busiest are kept.
pub(super) const MAX_TOP_ROWS: usize = 4 * TOP_ROWS;
/// Rows of a table that are pinned at once, and for how long after somebody asked.
const MAX_PINS: usize = 16;
const PIN: u64 = 2 * MINUTE;

/// One table's past.
pub(super) struct Past {
    /// Positions and names of the columns that are kept.
    columns: Vec<(usize, String)>,
    pub(super) fine: Times,
    pub(super) coarse: Times,
    /// The minute that is being averaged.
    minute: u64,
    pub(super) rows: Rows,
    /// Rows that somebody asked for, and when.
    pins: VecDeque<(Key, u64)>,
    pub(super) evicted: u64,
}

/// Columns whose past is kept: numbers that are always collected.
fn kept(table: &Table) -> impl Iterator<Item = (usize, &str)> {
    let wanted = |column: &Column| column.is_numeric() && column.kind != Kind::Id && !column.attrs.demand;
    let columns = table.columns.iter().enumerate().filter(move |(_, column)| wanted(column));
    columns.map(|(position, column)| (position, &*column.name))
}

impl Past {
    /// An empty past of a table.
    pub(super) fn new(table: &Table) -> Self {
        Self {
            columns: kept(table).map(|(position, name)| (position, name.to_owned())).collect(),
            fine: Times::default(),
            coarse: Times::default(),
            minute: 0,
            rows: Rows::default(),
            pins: VecDeque::new(),
            evicted: 0,
        }
    }

    /// Whether it is that of a table with these columns.
    pub(super) fn fits(&self, table: &Table) -> bool {
        kept(table).eq(self.columns.iter().map(|(position, name)| (*position, name.as_str())))
    }

    /// What is kept of a cell, and pins its row. `None` when nothing is.
    pub(super) fn series(&mut self, ask: &HistoryAsk) -> Option<Series> {
        let column = self.columns.iter().position(|(_, name)| *name == ask.column)?;
        self.pin(&ask.key);
        let row = self.rows.get(&ask.key)?;
        let fine = row.fine.first();
        let border = fine.and_then(|seq| self.fine.begin(seq));
        let minute = row.coarse.first().and_then(|seq| self.coarse.at(seq));
        let oldest = minute.map(|start| row.measured(start)).into_iter().chain(border).min();
        let mut series = Series {
            points: Vec::new(),
            oldest: oldest.map(Mono),
            fine: border.map(Mono),
            cut: (row.cut > 0).then_some(Mono(row.cut)),
            evicted: self.evicted,
        };
        // sparklines ask often and for little
        let newest = if let Detail::Newest(count) = ask.detail { count } else { usize::MAX };
        let until = ask.until.map_or(u64::MAX, |until| until.0);
        let count = fine.map_or(0, |seq| self.fine.after(until).saturating_sub(seq)) as usize;
        let skip = count.saturating_sub(newest);
        if newest > count {
            self.minutes(row, column, border.unwrap_or(u64::MAX), &mut series.points);
        }
        for (seq, time) in self.fine.since(fine.map(|seq| seq + skip as u64)) {
            let [value] = row.fine.get(seq, self.columns.len(), column);
            let from = self.fine.begin(seq).unwrap_or(time);
            series.points.push(Point::sample(Mono(from), Mono(time), value));
        }
        Some(series.answer(ask))
    }

    /// The minutes of a row, as far as full resolution does not cover them.
    fn minutes(&self, row: &RowPast, column: usize, border: u64, points: &mut Vec<Point>) {
        for (seq, start) in self.coarse.since(row.coarse.first()) {
            // of a table that is sampled more seldom a point stands for more than a minute
            let from = row.measured(self.coarse.begin(seq).map_or(start, |from| (from + MINUTE).min(start)));
            let time = (start + MINUTE).min(border);
            if from < time {
                let [mean, least, most] = row.coarse.get(seq, self.columns.len(), column);
                points.push(Point { from: Mono(from), time: Mono(time), mean, least, most });
            }
        }
    }

    /// Has a row recorded from now on, busy or not.
    fn pin(&mut self, key: &Key) {
        let now = self.fine.last().unwrap_or(0);
        self.pins.retain(|(pinned, asked)| pinned != key && asked.saturating_add(PIN) > now);
        self.pins.push_back((key.clone(), now));
        if self.pins.len() > MAX_PINS {
            self.pins.pop_front();
        }
    }

    /// Remembers a sample that is newer than the newest.
    pub(super) fn record(&mut self, view: &View) {
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
        let (first, columns) = (self.fine.first(), &self.columns);
        for row in selection(view, &self.pins) {
            self.rows.change(view.key(row), columns.len(), |past| {
                // of two rows with one key the first is remembered
                if past.seen != now {
                    past.seen = now;
                    past.since.get_or_insert(now);
                    past.put(seq, first, columns.iter().map(|(column, _)| value(view, row, *column)));
                }
            });
        }
        self.forget(now, if view.table().attrs.history == Keep::Top { MAX_TOP_ROWS } else { MAX_ROWS });
    }

    /// Turns what was measured since the last minute began into one point of each row.
    fn close_minute(&mut self) {
        if self.fine.last().is_none() {
            return;
        }
        let seq = self.coarse.push(self.minute.saturating_mul(MINUTE));
        let first = self.coarse.first();
        self.rows.change_all(|row| row.close_minute(seq, first));
    }

    /// Drops what is too old, and the rows of which nothing is left or that are too many.
    fn forget(&mut self, now: u64, max_rows: usize) {
        self.fine.keep(now.saturating_sub(FINE_SPAN), FINE_POINTS);
        self.coarse.keep(now.saturating_sub(COARSE_SPAN), COARSE_POINTS);
        self.trim(false);
        self.rows.retain(|row| row.seen.saturating_add(FORGET) > now);
        let too_many = self.rows.len().saturating_sub(max_rows);
        if too_many > 0 {
            let mut seen: Vec<u64> = self.rows.iter().map(|row| row.seen).collect();
            seen.sort_unstable();
            let oldest = seen.get(too_many - 1).copied().unwrap_or(0);
            let mut left = too_many;
            self.rows.retain(|row| {
                let drop = left > 0 && row.seen <= oldest;
                left -= usize::from(drop);
                !drop
            });
        }
    }

    /// Drops the values of points that the times do not have any more.
    fn trim(&mut self, is_cut: bool) {
        let (fine, coarse) = (&self.fine, &self.coarse);
        self.rows.change_all(|row| {
            let before = row.coarse.len();
            row.fine.trim(fine.first());
            row.coarse.trim(coarse.first());
            // samples whose minute is kept are not lost
            if is_cut && (row.coarse.len() < before || before == 0) {
                let minute = row.coarse.first().and_then(|seq| coarse.at(seq));
                let sample = row.fine.first().and_then(|seq| fine.begin(seq));
                row.cut = minute.into_iter().chain(sample).min().unwrap_or(row.seen);
            }
        });
    }

    /// Memory in use.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes() + self.fine.bytes() + self.coarse.bytes()
    }

    /// The same, counted again.
    #[cfg(test)]
    pub(super) fn walk(&self) -> usize {
        self.rows.walk() + self.fine.bytes() + self.coarse.bytes()
    }

    /// Gives up the oldest quarter of what takes most, or a row where no points are left to give. Returns lost values.
    pub(super) fn cut(&mut self) -> u64 {
        let (before, all) = (self.rows.values(), self.bytes());
        let fine: usize = self.rows.iter().map(|row| row.fine.bytes()).sum();
        let coarse: usize = self.rows.iter().map(|row| row.coarse.bytes()).sum();
        for is_fine in [fine >= coarse, fine < coarse] {
            let (times, piece) = if is_fine { (&mut self.fine, PIECE) } else { (&mut self.coarse, MINUTES) };
            // less than a piece of a track frees nothing
            if times.len() > piece {
                times.drop_oldest(times.len().div_ceil(4).max(piece));
                self.trim(true);
            }
            if self.bytes() < all {
                break;
            }
        }
        if self.bytes() == all {
            self.rows.drop_oldest(|key| self.pins.iter().any(|(pinned, _)| pinned == key));
        }
        let lost = (before - self.rows.values().min(before)) as u64;
        self.evicted += lost;
        lost
    }
}

/// Rows of a view whose values are kept.
fn selection(view: &View, pins: &VecDeque<(Key, u64)>) -> Vec<usize> {
    let table = view.table();
    let limit = if table.attrs.history == Keep::Top { TOP_ROWS } else { MAX_ROWS };
    if view.len() <= limit {
        return (0..view.len()).collect();
    }
    let query = Query { filter: None, sort: default_sort(table), limit: Some(limit) };
    let mut rows = query::run(view, &query);
    for (key, _) in pins {
        rows.extend(view.find(key));
    }
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// A cell as readers print it; a counter is a rate whatever the view's mode. Not a number where it is missing.
fn value(view: &View, row: usize, column: usize) -> f64 {
    let is_counter = view.table().columns.get(column).is_some_and(|column| column.kind == Kind::Counter);
    let value = if is_counter { view.rate(row, column) } else { view.cell(row, column).number() };
    value.unwrap_or(f64::NAN)
}
