//! Which rows do tests make up for a table whose row type they do not name? For tests only.

use super::{Cell, Rows, Table, Value};

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
