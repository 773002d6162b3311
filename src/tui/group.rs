//! How do rows that share a name become one line?
//!
//! A line stands for its rows: numbers that add up are summed, words are shown where all rows agree, and the rest is missing.
//! The first of the rows lends its identity to the line, so that a selection stays.

use std::collections::HashMap;

use super::table_view::TableView;
use crate::model::Cell;
use crate::panel::Grouping;
use crate::store::query::{self, Order};
use crate::store::rate::View;

/// Rows behind each line that stands for several.
pub type Members = HashMap<usize, Vec<usize>>;

impl TableView {
    /// Makes lines of rows that share a name, ordered by what the lines show.
    pub(super) fn group(&mut self, view: &View, grouping: Grouping) {
        let place: HashMap<usize, usize> = self.rows.iter().enumerate().map(|(at, row)| (*row, at)).collect();
        let groups = query::group(view, &self.rows, grouping.by, &[]);
        self.members.clear();
        let mut lines = Vec::with_capacity(groups.len());
        for group in groups {
            let Some(first) = group.rows.iter().min().copied() else { continue };
            lines.push((group.rows.iter().filter_map(|row| place.get(row)).min().copied(), first));
            self.members.insert(first, group.rows);
        }
        // the best placed row of a line places it, unless its sum does
        lines.sort_unstable();
        let sorted = self.sort.first().filter(|(column, _)| grouping.sums.contains(column)).copied();
        if let Some((column, order)) = sorted {
            lines.sort_by(|(_, a), (_, b)| {
                let sum = |row: &usize| self.cell(view, *row, column).number();
                match (sum(a), sum(b)) {
                    (Some(a), Some(b)) if order == Order::Descending => b.total_cmp(&a),
                    (Some(a), Some(b)) => a.total_cmp(&b),
                    (a, b) => a.is_none().cmp(&b.is_none()),
                }
            });
        }
        self.rows = lines.into_iter().map(|(_, row)| row).collect();
    }

    /// How many rows a line stands for.
    pub fn count(&self, row: usize) -> usize {
        self.members.get(&row).map_or(1, Vec::len)
    }

    /// Whether a line stands for several rows.
    pub fn is_many(&self, row: usize) -> bool {
        self.count(row) > 1
    }

    /// What a line shows of a column.
    pub fn cell<'a>(&self, view: &'a View, row: usize, column: usize) -> Cell<'a> {
        let Some((rows, grouping)) = self.members.get(&row).filter(|rows| rows.len() > 1).zip(self.grouping) else {
            return view.cell(row, column);
        };
        if grouping.sums.contains(&column) {
            return query::fold(view, rows, column, crate::model::Fold::Sum).map_or(Cell::Missing, Cell::F64);
        }
        let first = view.cell(row, column);
        // a number that happens to be the same is no number of all
        let tells =
            column == grouping.by || matches!(first, Cell::Text(_) | Cell::Label(_) | Cell::Ip(_) | Cell::Mac(_));
        let same = tells && rows.iter().all(|other| view.cell(*other, column) == first);
        if same { first } else { Cell::Missing }
    }
}
