//! What changed between two samples, and how fast?
//!
//! The only place where counters become rates. Rows are paired by their Ids; time is the sampler's monotonic clock; a first
//! sample, a counter that went down, a row that comes back, a duplicate key and a clock that stands give *unknown*, never a
//! negative and never a spike.

use std::sync::{Arc, OnceLock};

use super::expr::{Expr, Scope};
use super::pair::{Pairs, same_schema};
use crate::model::{Cell, Key, Kind, Rows, Sample, Table, Timestamp};

/// How a reader prints a bare counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As change per second.
    Rate,
    /// As the raw total.
    Total,
}

/// Derived columns may name each other this deep.
const MAX_DEPTH: u8 = 8;

/// One table as a reader sees it: the newest sample against the one before. Cheap to make; rows are paired on first use.
pub struct View {
    now: Sample,
    before: Option<Sample>,
    mode: Mode,
    elapsed: Option<f64>,
    pairs: OnceLock<Pairs>,
    derived: Arc<super::derived::Derived>,
}

impl View {
    /// Joins two samples of one table. A `before` of another schema or not older than `now` counts for nothing.
    pub fn new(now: &Sample, before: Option<&Sample>, mode: Mode) -> Self {
        let before = before.filter(|before| same_schema(before.rows.table(), now.rows.table()));
        let elapsed = before.map(|before| now.mono.since(before.mono)).filter(|seconds| *seconds > 0.0);
        Self {
            derived: super::derived::of(now.rows.table()),
            now: now.clone(),
            before: before.cloned(),
            mode,
            elapsed,
            pairs: OnceLock::new(),
        }
    }

    /// Schema.
    pub fn table(&self) -> &Table {
        self.now.rows.table()
    }

    /// Row count.
    pub fn len(&self) -> usize {
        self.now.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest rows, raw.
    pub fn raw(&self) -> &dyn Rows {
        &*self.now.rows
    }

    /// The newest sample.
    pub fn sample(&self) -> &Sample {
        &self.now
    }

    /// How counters are printed.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Seconds between the two samples, `None` when there is only one.
    pub fn elapsed(&self) -> Option<f64> {
        self.elapsed
    }

    /// Identity of a row.
    pub fn key(&self, row: usize) -> Key {
        Key::of(self.raw(), row)
    }

    /// Row of a key.
    pub fn find(&self, key: &Key) -> Option<usize> {
        (0..self.len()).find(|row| key.matches(self.raw(), *row))
    }

    /// A row as expressions see it.
    pub fn scope(&self, row: usize) -> RowScope<'_> {
        RowScope { view: self, row }
    }

    /// The cell as this reader prints it: counters per second in [`Mode::Rate`] unless they are read as totals, raw in
    /// [`Mode::Total`]; Derived columns evaluated; Missing where it is missing or unknown.
    pub fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        match self.kind(column) {
            Some(Kind::Counter) if self.is_rate(column) => float(self.rate(row, column)),
            Some(Kind::Derived) => float(self.derive(row, column, 0)),
            _ => self.raw().cell(row, column),
        }
    }

    /// Whether the value exists but cannot be told yet: the rate of a counter, or a Derived column that needs one, without
    /// a usable sample before.
    pub fn unknown(&self, row: usize, column: usize) -> bool {
        match self.kind(column) {
            Some(Kind::Counter) => {
                self.is_rate(column) && !self.raw().cell(row, column).is_missing() && self.rate(row, column).is_none()
            }
            Some(Kind::Derived) => self.derive(row, column, 0).is_none() && self.waits(row, column),
            _ => false,
        }
    }

    /// Change of a counter since the sample before, in its base unit; never negative.
    pub fn delta(&self, row: usize, column: usize) -> Option<f64> {
        if self.kind(column) != Some(Kind::Counter) {
            return None;
        }
        self.since(row)?;
        let (before, earlier) = self.earlier(row)?;
        grown(&self.raw().cell(row, column), &before.rows.cell(earlier, column))
    }

    /// A row in the sample before.
    fn earlier(&self, row: usize) -> Option<(&Sample, usize)> {
        let before = self.before.as_ref()?;
        let pairs = self.pairs.get_or_init(|| Pairs::of(self.raw(), &*before.rows));
        Some((before, pairs.earlier(row)?))
    }

    /// The same row in the sample before.
    pub fn before(&self, row: usize) -> Option<usize> {
        Some(self.earlier(row)?.1)
    }

    /// Seconds since a row was taken before: those between the samples, unless the row has times of its own.
    fn since(&self, row: usize) -> Option<f64> {
        self.elapsed?;
        let Some(now) = self.raw().taken(row) else { return self.elapsed };
        let (before, earlier) = self.earlier(row)?;
        Some(now.since(before.rows.taken(earlier)?)).filter(|seconds| *seconds > 0.0)
    }

    /// Change of a counter per second, also of one that is read as a total.
    pub fn rate(&self, row: usize, column: usize) -> Option<f64> {
        Some(self.delta(row, column)? / self.since(row)?).filter(|rate| rate.is_finite())
    }

    /// Whether a counter is printed as a rate.
    fn is_rate(&self, column: usize) -> bool {
        self.mode == Mode::Rate && self.table().columns.get(column).is_some_and(|column| !column.attrs.total)
    }

    fn kind(&self, column: usize) -> Option<Kind> {
        self.table().columns.get(column).map(|column| column.kind)
    }

    fn derive(&self, row: usize, column: usize, depth: u8) -> Option<f64> {
        self.derived.expr(column)?.value(&DerivedScope { view: self, row, depth })
    }

    /// Whether a Derived column has all its inputs, but a counter among them has no delta.
    fn waits(&self, row: usize, column: usize) -> bool {
        let Some(expr) = self.derived.expr(column) else {
            return false;
        };
        let mut waits = false;
        let complete = self.inputs(expr, 0).iter().all(|input| {
            let missing = self.raw().cell(row, *input).is_missing();
            waits |= self.kind(*input) == Some(Kind::Counter) && !missing && self.delta(row, *input).is_none();
            !missing
        });
        complete && waits
    }

    /// Collected columns that an expression needs, through other Derived columns.
    fn inputs(&self, expr: &Expr, depth: u8) -> Vec<usize> {
        let mut inputs = Vec::new();
        for column in expr.columns() {
            match self.derived.expr(*column) {
                Some(inner) if depth < MAX_DEPTH => inputs.extend(self.inputs(inner, depth + 1)),
                Some(_) => {}
                None => inputs.push(*column),
            }
        }
        inputs
    }
}

fn float(value: Option<f64>) -> Cell<'static> {
    value.map_or(Cell::Missing, Cell::F64)
}

/// Growth from `before` to `now`, in integers where they are: large counters keep their last digits.
fn grown(now: &Cell<'_>, before: &Cell<'_>) -> Option<f64> {
    match (now, before) {
        (Cell::U64(now), Cell::U64(before)) => now.checked_sub(*before).map(|grown| grown as f64),
        (Cell::I64(now), Cell::I64(before)) => {
            u64::try_from(i128::from(*now) - i128::from(*before)).ok().map(|grown| grown as f64)
        }
        (now, before) => Some(now.number()? - before.number()?).filter(|grown| grown.is_finite() && *grown >= 0.0),
    }
}

/// One row of a view for an expression: a bare counter is what the view prints.
#[derive(Clone, Copy)]
pub struct RowScope<'a> {
    view: &'a View,
    row: usize,
}

impl Scope for RowScope<'_> {
    fn cell(&self, column: usize) -> Cell<'_> {
        self.view.cell(self.row, column)
    }
    fn rate(&self, column: usize) -> Option<f64> {
        self.view.rate(self.row, column)
    }
    fn raw(&self, column: usize) -> Cell<'_> {
        raw_or_derived(self.view, self.row, column)
    }
    fn now(&self) -> Timestamp {
        self.view.now.time
    }
}

/// `missing(c)` of a Derived column asks for its value, of any other for what was collected.
fn raw_or_derived(view: &View, row: usize, column: usize) -> Cell<'_> {
    if view.kind(column) == Some(Kind::Derived) { view.cell(row, column) } else { view.raw().cell(row, column) }
}

/// One row for a Derived column: a bare counter is its change over the interval.
struct DerivedScope<'a> {
    view: &'a View,
    row: usize,
    depth: u8,
}

impl Scope for DerivedScope<'_> {
    fn cell(&self, column: usize) -> Cell<'_> {
        match self.view.kind(column) {
            Some(Kind::Counter) => float(self.view.delta(self.row, column)),
            Some(Kind::Derived) if self.depth < MAX_DEPTH => float(self.view.derive(self.row, column, self.depth + 1)),
            _ => self.view.raw().cell(self.row, column),
        }
    }
    fn rate(&self, column: usize) -> Option<f64> {
        self.view.rate(self.row, column)
    }
    fn raw(&self, column: usize) -> Cell<'_> {
        self.view.raw().cell(self.row, column)
    }
    fn now(&self) -> Timestamp {
        self.view.now.time
    }
}

#[cfg(test)]
mod tests;
