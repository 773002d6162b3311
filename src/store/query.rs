//! Which rows are shown, and in which order?
//!
//! Filter, then sort, then limit. Missing and unknown come last in both directions; ties are ordered by key, so that rows
//! do not jump between samples.

use std::cmp::Ordering;

use super::expr::Filter;
use super::order;
use super::rate::View;
use crate::model::{Cell, Column, Fold, Kind, Table, Type, Value};

/// Direction of a sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

impl Order {
    /// The other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// A selection of rows. The default is all of them in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What is kept; `None` keeps everything.
    pub filter: Option<Filter>,
    /// Columns with their directions, most significant first; then comes the key.
    pub sort: Vec<(usize, Order)>,
    /// At most so many rows.
    pub limit: Option<usize>,
}

/// How a table is ordered when nobody asks for another order: by its `top` column, largest first, or else by key.
pub fn default_sort(table: &Table) -> Vec<(usize, Order)> {
    table.columns.iter().position(|column| column.attrs.top).map(|top| (top, Order::Descending)).into_iter().collect()
}

/// Rows of a view that a query selects, in order.
pub fn run(view: &View, query: &Query) -> Vec<usize> {
    let keeps = |row: &usize| query.filter.as_ref().is_none_or(|filter| filter.keeps(&view.scope(*row)));
    let kept: Vec<usize> = (0..view.len()).filter(keeps).collect();
    let limit = query.limit.unwrap_or(usize::MAX);
    // most collectors give their rows in the order of their keys, and most rows are idle: ties are the usual case
    let ordered = kept.is_sorted_by(|a, b| order::rows(view.raw(), *a, *b).is_lt());
    let by_key = |a: usize, b: usize| if ordered { a.cmp(&b) } else { order::rows(view.raw(), a, b) };
    let Some((first, rest)) = query.sort.split_first() else {
        return take(kept, limit, |a, b| by_key(*a, *b));
    };
    let ties = |a: usize, b: usize| by_columns(view, rest, a, b).then_with(|| by_key(a, b));
    // rates and Derived cells cost, so each row's most significant one is computed once
    let is_number = view.table().columns.get(first.0).is_some_and(is_float);
    if is_number {
        let sign = if first.1 == Order::Descending { -1.0 } else { 1.0 };
        let place = |row: usize| view.cell(row, first.0).number().filter(|number| number.is_finite());
        // the missing come last in both directions
        let cells =
            kept.into_iter().map(|row| (place(row).map_or(f64::INFINITY, |number| sign * number), row)).collect();
        let sorted = take(cells, limit, |a: &(f64, usize), b: &(f64, usize)| {
            a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal).then_with(|| ties(a.1, b.1))
        });
        return sorted.into_iter().map(|(_, row)| row).collect();
    }
    let cells = kept.into_iter().map(|row| (view.cell(row, first.0), row)).collect();
    let sorted = take(cells, limit, |a: &(Cell<'_>, usize), b: &(Cell<'_>, usize)| {
        directed(view.table(), *first, &a.0, &b.0).then_with(|| ties(a.1, b.1))
    });
    sorted.into_iter().map(|(_, row)| row).collect()
}

/// Whether a column's cells are floating numbers as a reader of rates sees them.
fn is_float(column: &Column) -> bool {
    column.kind == Kind::Derived || matches!(column.ty, Type::F64 | Type::Duration)
}

/// The first `limit` items in order, without sorting those that are cut.
fn take<T>(mut items: Vec<T>, limit: usize, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    if limit == 0 {
        return Vec::new();
    }
    if limit < items.len() {
        items.select_nth_unstable_by(limit - 1, &compare);
        items.truncate(limit);
    }
    items.sort_unstable_by(compare);
    items
}

fn by_columns(view: &View, sort: &[(usize, Order)], a: usize, b: usize) -> Ordering {
    sort.iter()
        .map(|by| directed(view.table(), *by, &view.cell(a, by.0), &view.cell(b, by.0)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Compares two cells of a column in a direction; those without a place in it come last in both.
pub fn directed(table: &Table, (column, direction): (usize, Order), a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    let (placed_a, placed_b) = (order::has_place(a), order::has_place(b));
    if !(placed_a && placed_b) {
        return placed_b.cmp(&placed_a);
    }
    let is_id = table.columns.get(column).is_some_and(|column| column.kind == Kind::Id);
    let order = if is_id { order::ids(a, b) } else { order::cells(a, b) };
    if direction == Order::Descending { order.reverse() } else { order }
}

/// Rows that share a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The shared value.
    pub value: Value,
    /// The rows, in the order given.
    pub rows: Vec<usize>,
    /// One number for each fold asked for; `None` when no row has one.
    pub folds: Vec<Option<f64>>,
}

/// Groups rows by a column and folds others; ordered by the shared value, missing last. The count is `rows.len()`.
pub fn group(view: &View, rows: &[usize], by: usize, folds: &[(usize, Fold)]) -> Vec<Group> {
    let mut cells: Vec<(Cell<'_>, usize, usize)> =
        rows.iter().enumerate().map(|(position, row)| (view.cell(*row, by), position, *row)).collect();
    let compare = |a: &Cell<'_>, b: &Cell<'_>| directed(view.table(), (by, Order::Ascending), a, b);
    cells.sort_unstable_by(|a, b| compare(&a.0, &b.0).then(a.1.cmp(&b.1)));
    let same = |a: &(Cell<'_>, usize, usize), b: &(Cell<'_>, usize, usize)| compare(&a.0, &b.0).is_eq();
    let make = |part: &[(Cell<'_>, usize, usize)]| {
        let rows: Vec<usize> = part.iter().map(|(.., row)| *row).collect();
        let folds = folds.iter().map(|(column, how)| fold(view, &rows, *column, *how)).collect();
        let value = part.first().map_or(Value::Missing, |(cell, ..)| cell.to_value());
        Group { value, rows, folds }
    };
    cells.chunk_by(same).map(make).collect()
}

/// Folds a column over rows into one number; missing and unknown cells are left out.
pub fn fold(view: &View, rows: &[usize], column: usize, how: Fold) -> Option<f64> {
    let all = |row: &&usize| view.raw().cell(**row, view.table().label_column()).text() == Some("all");
    let meant = rows.iter().filter(|row| how != Fold::All || all(row));
    let numbers = meant.filter_map(|row| view.cell(*row, column).number());
    numbers.reduce(|a, b| match how {
        Fold::Sum => a + b,
        Fold::Max => a.max(b),
        Fold::Min => a.min(b),
        Fold::All => a,
    })
}

#[cfg(test)]
mod tests;
