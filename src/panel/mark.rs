//! What can be selected in the lines of a panel, and where does it lead?

use crate::model::Key;

/// Something in lines that can be selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which one it is, whatever stands before it.
    pub id: u64,
    /// Line, of all that there are.
    pub line: usize,
    /// First cell.
    pub at: u16,
    /// Cells.
    pub cells: u16,
    /// What it stands for, where a table tells that.
    pub leads: Option<Leads>,
}

/// Where something leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leads {
    /// To a row of a table.
    Row(&'static str, Key),
    /// To those rows of a table that a filter keeps.
    Rows(&'static str, String),
}
