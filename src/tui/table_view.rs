//! Which rows and columns of a table are on the screen, and which one is selected?
//!
//! The selection is a row's key, so it stays on the row whatever the order does, and its line stays where it is. Only
//! visible rows are ever written.

use std::collections::{HashMap, HashSet};

use crate::model::{Key, Table};
use crate::store::expr::Filter;
use crate::store::query::{Order, Query, default_sort, run};
use crate::store::rate::View;

/// What a line of a table is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OnLine<'a> {
    /// A row, by its place among the rows.
    Row(usize),
    /// A heading.
    Head(&'a crate::panel::Head),
}

/// What a person has made of a table.
#[derive(Clone, Debug, Default)]
pub struct TableView {
    /// Columns shown, in order.
    pub columns: Vec<usize>,
    /// Whether the columns are a person's choice.
    pub chosen: bool,
    /// Order, most significant first.
    pub sort: Vec<(usize, Order)>,
    /// What is kept.
    pub filter: Option<Filter>,
    /// The selected row.
    pub selected: Option<Key>,
    /// Whether the selected row is to be scrolled to when it is there.
    pub reveal: bool,
    /// Whether the first line is to be scrolled to.
    pub restart: bool,
    /// First visible row.
    pub top: usize,
    /// Columns scrolled away at the left, after the first.
    pub left: usize,
    /// Parent and child columns while shown as a tree.
    pub tree: Option<(usize, usize)>,
    /// Columns with something before their numbers, and the cells of that.
    pub past: Vec<(usize, u16)>,
    /// How rows are grouped while they are.
    pub grouping: Option<crate::panel::Grouping>,
    /// The groups to which a step back leads.
    pub from: Option<super::group::From>,
    /// The order that rows keep while one of them is read.
    pub held: Option<super::held::Held>,
    /// Rows behind lines that stand for several.
    pub members: super::group::Members,
    /// Whether the last column is written from its start in full.
    pub long: bool,
    /// Widths so far; they only grow, so that columns do not dance.
    pub widths: HashMap<usize, usize>,
    /// Rows in order.
    pub rows: Vec<usize>,
    /// Depth of each in the tree.
    pub depth: Vec<usize>,
    /// Whether rows stand under headings, in the order that these give them.
    pub outlined: bool,
    /// Headings between rows.
    pub heads: Vec<crate::panel::Head>,
    /// Lines for rows when last drawn.
    pub page: usize,
}

impl TableView {
    /// The table as it is at first.
    pub fn new(table: &Table, columns: Vec<usize>, sort: &[(usize, bool)]) -> Self {
        let columns = if columns.is_empty() { table.usual() } else { columns };
        let order =
            |(column, largest): &(usize, bool)| (*column, if *largest { Order::Descending } else { Order::Ascending });
        let sort = if sort.is_empty() { default_sort(table) } else { sort.iter().map(order).collect() };
        Self { columns, sort, page: 1, ..Self::default() }
    }

    /// Selects and orders the rows of a view, without those that are hidden, and keeps the selected one on its line.
    pub fn refresh(&mut self, view: &View, cx: &crate::panel::Cx<'_>) {
        let line = self.position(view).and_then(|at| self.line(at).checked_sub(self.top));
        let query = Query { filter: self.filter.clone(), sort: self.sort.clone(), limit: None };
        self.rows = run(view, &query);
        if self.grouping.is_none() {
            self.hold(view);
        }
        self.tell_apart(view, cx);
        self.heads = crate::panel::arrange(cx, view, &mut self.rows, self.outlined, self.filter.is_none());
        self.depth.clear();
        self.members.clear();
        if let Some(grouping) = self.grouping {
            self.group(view, grouping);
            self.hold(view);
        } else if let Some((parent, child)) = self.tree {
            self.as_tree(view, parent, child);
        }
        match (self.position(view), line) {
            _ if std::mem::take(&mut self.restart) => self.top = 0,
            (Some(at), Some(line)) if line < self.page => self.top = self.line(at).saturating_sub(line),
            _ => {}
        }
        self.clamp();
        if let Some(at) = self.position(view).filter(|_| self.reveal) {
            self.reveal = false;
            self.select(view, at);
        }
    }

    /// Shows the Ids that matter only while they tell something, behind the name, as long as nobody has chosen the columns.
    /// The last column has all the room that is left: a name that stands there stays there.
    fn tell_apart(&mut self, view: &View, cx: &crate::panel::Cx<'_>) {
        if self.chosen {
            return;
        }
        let table = view.table();
        let above = self.outlined.then(|| crate::panel::told_above(cx, &table.name)).flatten();
        let label = self.columns.iter().position(|column| *column == table.label_column());
        let beside =
            label.map_or(0, |label| if label > 0 && label + 1 == self.columns.len() { label } else { label + 1 });
        for column in table.several() {
            let differ = view.raw().tells(column) && above != Some(column);
            match self.columns.iter().position(|one| *one == column) {
                None if differ => self.columns.insert(beside.min(self.columns.len()), column),
                Some(at) if !differ => {
                    self.columns.remove(at);
                }
                _ => {}
            }
        }
    }

    /// How many lines rows and headings have.
    pub fn lines(&self) -> usize {
        self.rows.len() + self.heads.len()
    }

    /// The line of a row, by its place among the rows.
    pub fn line(&self, at: usize) -> usize {
        at + self.heads.partition_point(|head| head.before <= at)
    }

    /// What stands on a line.
    pub fn on_line(&self, line: usize) -> OnLine<'_> {
        let above = self.heads.partition_point(|head| head.at < line);
        let head = self.heads.get(above).filter(|head| head.at == line);
        head.map_or(OnLine::Row(line - above), OnLine::Head)
    }

    /// The place of the first row on a line or below it.
    fn row_from(&self, line: usize) -> usize {
        match self.on_line(line) {
            OnLine::Row(at) => at,
            OnLine::Head(head) => head.before,
        }
    }

    /// Place of the selected row among all rows.
    pub fn position(&self, view: &View) -> Option<usize> {
        let row = view.find(self.selected.as_ref()?)?;
        self.rows.iter().position(|one| *one == row)
    }

    /// The selected row of the view.
    pub fn row(&self, view: &View) -> Option<usize> {
        view.find(self.selected.as_ref()?)
    }

    /// Moves the selection; at first onto a visible row.
    pub fn step(&mut self, view: &View, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        let at = match self.position(view) {
            Some(at) => at.saturating_add_signed(by).min(last),
            None if by.unsigned_abs() <= 1 => self.row_from(self.top).min(last),
            None => self.row_from(self.top.saturating_add_signed(by)).min(last),
        };
        self.select(view, at);
    }

    /// Selects a row by its place among all rows and scrolls to it, and to the headings above it.
    pub fn select(&mut self, view: &View, at: usize) {
        let Some(row) = self.rows.get(at) else { return };
        self.selected = Some(view.key(*row));
        let line = self.line(at);
        let under = self.heads.iter().filter(|head| head.before == at).count();
        let first = line - under.min(self.page.saturating_sub(1));
        if first < self.top {
            self.top = first;
        } else if line >= self.top + self.page {
            self.top = (line + 1).saturating_sub(self.page);
        }
    }

    /// Scrolls without selecting.
    pub fn scroll(&mut self, by: isize) {
        self.top = self.top.saturating_add_signed(by);
        self.clamp();
    }

    /// Keeps the last page full.
    pub fn clamp(&mut self) {
        self.top = self.top.min(self.lines().saturating_sub(self.page.max(1)));
    }

    /// Sorts by a column; by the same one again turns the order round.
    pub fn sort_by(&mut self, table: &Table, column: usize) {
        match self.sort.first_mut() {
            Some((now, order)) if *now == column => *order = order.reversed(),
            _ => {
                let numeric = table.columns.get(column).is_some_and(crate::model::Column::is_numeric);
                self.sort = vec![(column, if numeric { Order::Descending } else { Order::Ascending })];
            }
        }
    }

    /// Sorts by the column that stands `by` places beside the sorted one.
    pub fn sort_beside(&mut self, table: &Table, by: isize) {
        let now = self.sort.first().and_then(|(column, _)| self.columns.iter().position(|one| one == column));
        let count = self.columns.len() as isize;
        if count == 0 {
            return;
        }
        let next = now.map_or(0, |at| (at as isize + by).rem_euclid(count));
        if let Some(column) = self.columns.get(next as usize).copied() {
            self.sort.clear();
            self.sort_by(table, column);
        }
    }

    /// Turns the order round.
    pub fn reverse(&mut self) {
        for (_, order) in &mut self.sort {
            *order = order.reversed();
        }
    }

    /// Shows or hides a column, at its place in the schema.
    pub fn toggle_column(&mut self, column: usize) {
        self.chosen = true;
        if let Some(at) = self.columns.iter().position(|one| *one == column) {
            if self.columns.len() > 1 {
                self.columns.remove(at);
            }
        } else {
            // one that stands first out of its order keeps its place
            let fixed = usize::from(self.columns.get(1).is_some_and(|second| self.columns.first() > Some(second)));
            let at = self.columns.iter().skip(fixed).position(|one| *one > column);
            let at = at.map_or(self.columns.len(), |at| at + fixed);
            self.columns.insert(at, column);
        }
        self.widths.clear();
    }

    /// Children under their parents, siblings in the order of the rows. A loop among parents ends at the row it began with.
    fn as_tree(&mut self, view: &View, parent: usize, child: usize) {
        let id = |row: usize, column: usize| Key::from_cells([view.cell(row, column)]);
        let present: HashMap<Key, usize> = self.rows.iter().map(|row| (id(*row, child), *row)).collect();
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut roots = Vec::new();
        for row in &self.rows {
            match present.get(&id(*row, parent)).filter(|above| *above != row) {
                Some(above) => children.entry(*above).or_default().push(*row),
                None => roots.push(*row),
            }
        }
        // behind the roots stand all rows, for those in a loop, to which no root leads
        let mut stack: Vec<(usize, usize)> = roots.iter().chain(&self.rows).rev().map(|row| (*row, 0)).collect();
        let mut placed = HashSet::with_capacity(self.rows.len());
        let mut order = Vec::with_capacity(self.rows.len());
        while let Some((row, depth)) = stack.pop() {
            if !placed.insert(row) {
                continue;
            }
            order.push(row);
            self.depth.push(depth);
            for below in children.remove(&row).unwrap_or_default().into_iter().rev() {
                stack.push((below, depth + 1));
            }
        }
        self.rows = order;
    }
}
