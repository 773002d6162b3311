//! Which rows do tests make up for a table whose row type they do not name? For tests only.

use super::{Cell, HistoryAsk, Mono, Point, Rows, Series, Table, Value};

/// Rows of any table.
#[derive(Clone)]
pub(crate) struct Made {
    /// Schema.
    pub(crate) table: &'static Table,
    /// Values by row and column; what is not there is missing.
    pub(crate) cells: Vec<Vec<Value>>,
}

impl Rows for Made {
    fn table(&self) -> &Table {
        self.table
    }
    fn len(&self) -> usize {
        self.cells.len()
    }
    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        self.cells.get(row).and_then(|row| row.get(column)).map_or(Cell::Missing, Value::as_cell)
    }
}

/// What a host that kept these values, a second apart, answers a question.
pub(crate) fn sampled(first: u64, values: impl IntoIterator<Item = f64>, ask: &HistoryAsk) -> Series {
    let at = |second: u64| Mono(second.saturating_mul(1_000_000_000));
    let second = |(i, value): (u64, f64)| Point::sample(at((first + i).saturating_sub(1)), at(first + i), value);
    let points: Vec<Point> = (0..).zip(values).map(second).collect();
    let from = points.first().map(|point| point.from);
    Series { points, oldest: from, fine: from, ..Series::default() }.answer(ask)
}
