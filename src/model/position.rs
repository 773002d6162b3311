//! Where in a table is a column that code names?
//!
//! [`col!`](crate::col!) asks at compile time, so that a name that no table has does not compile.

use std::borrow::Cow;

use super::table::Table;

/// Names a column of a table so that the compiler's tests know the name exists: `col!(ProcessRow, rss)` is the position.
/// Only `panel/` and the collectors themselves use it.
#[macro_export]
macro_rules! col {
    ($row:ty, $name:ident) => {{
        const POSITION: usize = $crate::model::position_of(<$row as $crate::model::Row>::TABLE, stringify!($name));
        POSITION
    }};
}

/// Position of a column, checked at compile time through [`col!`](crate::col!).
///
/// # Panics
/// When the table has no such column: at compile time, because `col!` evaluates it in a constant.
#[expect(clippy::panic, reason = "evaluated by the compiler only; a wrong name must not compile")]
pub const fn position_of(table: &'static Table, name: &str) -> usize {
    let Cow::Borrowed(columns) = table.columns else { panic!("only declared tables have col!") };
    let mut i = 0;
    while i < columns.len() {
        if let Cow::Borrowed(known) = columns[i].name
            && same(known.as_bytes(), name.as_bytes())
        {
            return i;
        }
        i += 1;
    }
    panic!("no such column")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
