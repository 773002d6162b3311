//! What was a value a minute ago, and this morning?
//!
//! Numbers as readers print them (rates for counters): ten minutes at full resolution and a day as mean, least and most of
//! each minute, for tables that ask for it. All rows of a table share one ring of times; a row holds only its values as
//! `f32`, which is finer than any graph. Memory is bounded in bytes: the largest table loses its oldest points first, and
//! what is lost is counted. A row that is asked for is pinned for two minutes, so that it is recorded even if it is not
//! among the busiest.

mod past;
mod ring;
mod row;

use std::collections::HashMap;

use super::rate::View;
use crate::model::{History as Keep, HistoryAsk, Series, Shape};
use past::Past;

/// Memory for the past of one host, in bytes, if nothing else is said.
pub const DEFAULT_LIMIT: usize = 4 << 20;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// The bounded past of one host.
pub struct History {
    tables: HashMap<String, Past>,
    limit: usize,
    /// Memory of all tables, kept up to date.
    bytes: usize,
    evicted: u64,
}

impl Default for History {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl History {
    /// An empty past that will take at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { tables: HashMap::new(), limit, bytes: 0, evicted: 0 }
    }

    /// Remembers a sample, unless it is one that is remembered already. Returns points that the memory bound pushed out.
    pub fn record(&mut self, view: &View) -> u64 {
        let table = view.table();
        if table.attrs.history == Keep::Off || table.attrs.shape == Shape::Log {
            return 0;
        }
        if !self.tables.get(&*table.name).is_some_and(|past| past.fits(table)) {
            // a peer came back with another schema: its old columns mean nothing now
            let old = self.tables.insert(table.name.to_string(), Past::new(table));
            self.bytes -= old.map_or(0, |old| old.bytes());
        }
        let Some(past) = self.tables.get_mut(&*table.name) else {
            return 0;
        };
        let before = past.bytes();
        past.record(view);
        self.bytes = self.bytes - before + past.bytes();
        let lost = self.shrink();
        self.evicted += lost;
        lost
    }

    /// What of the past of one cell answers a question; pins its row. `None` when nothing is kept of it.
    pub fn series(&mut self, ask: &HistoryAsk) -> Option<Series> {
        self.tables.get_mut(&ask.table)?.series(ask)
    }

    /// Memory in use, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same, counted again.
    #[cfg(test)]
    fn walk(&self) -> usize {
        self.tables.values().map(Past::walk).sum()
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
        while self.bytes > self.limit {
            let Some(largest) = self.tables.values_mut().max_by_key(|past| past.bytes()) else {
                break;
            };
            let before = largest.bytes();
            lost += largest.cut();
            let freed = before.saturating_sub(largest.bytes());
            if freed == 0 {
                break;
            }
            self.bytes -= freed;
        }
        lost
    }
}

#[cfg(test)]
mod tests;
