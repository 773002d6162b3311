//! How do rows that share a name become one line?
//!
//! A line stands for its rows: numbers that add up are summed, words are shown where all rows agree, and the rest is missing.
//! The first of the rows lends its identity to the line, so that a selection stays.

use std::collections::HashMap;

use super::app::{App, Page};
use super::table_view::TableView;
use crate::model::{Cell, Demand, Key, Table, Text, Value};
use crate::panel::{GROUPED, Grouping, PanelDef, VIEWS};
use crate::store::expr::Filter;
use crate::store::query::{self, Order};
use crate::store::rate::View;

/// Rows behind each line that stands for several.
pub type Members = HashMap<usize, Vec<usize>>;

/// The groups from which a table has come to the rows of one.
#[derive(Clone, Debug)]
pub struct From {
    /// The filter that it led to: who takes another one has gone on from there.
    to: String,
    filter: Option<Filter>,
    grouping: Grouping,
    selected: Option<Key>,
}

/// How the host groups what is shown: it knows more rows than it tells, but not the filter, so what that keeps is grouped
/// here.
pub(super) fn by_host(app: &App) -> Option<Grouping> {
    let Page::View(at) = app.page else { return None };
    VIEWS.get(at).filter(|view| view.name == GROUPED.view)?;
    let grouping = app.tables.get(GROUPED.rows.0).filter(|state| state.filter.is_none())?.grouping?;
    app.table(&GROUPED.groups.1.name)?;
    Some(grouping)
}

/// What a panel needs.
pub(super) fn demands(app: &App, panel: &PanelDef) -> Vec<Demand> {
    let ids = ids(app, panel.name);
    let groups = (!ids.is_empty()).then(|| Demand { ids, ..Demand::table(&GROUPED.groups.1.name) });
    (panel.demands)().into_iter().chain(groups).collect()
}

/// What the groups of a panel have in common.
pub(super) fn ids(app: &App, panel: &str) -> Vec<Value> {
    let grouping = by_host(app).filter(|_| panel == GROUPED.groups.0);
    grouping.and_then(Grouping::common).map(|common| Value::Text(Text::from(common))).into_iter().collect()
}

/// The table that a filter is for: behind groups that of the rows.
pub(super) fn filtered(app: &mut App) -> Option<(&'static Table, &mut TableView)> {
    if is_grouped(app) {
        return app.tables.get_mut(GROUPED.rows.0).map(|state| (GROUPED.rows.1, state));
    }
    app.focused_table()
}

/// Whether groups of the host have the keys.
pub(super) fn is_grouped(app: &App) -> bool {
    app.spots.first().is_some_and(|spot| spot.key == GROUPED.groups.0)
}

/// Goes on from groups of the host to the next way of grouping; false where there are none.
pub(super) fn turn(app: &mut App) -> bool {
    let grouped = is_grouped(app);
    let Some(state) = app.tables.get_mut(GROUPED.rows.0).filter(|_| grouped) else { return false };
    state.regroup(crate::panel::groupings(&GROUPED.rows.1.name));
    // the same place among others would be anywhere
    if let Some(groups) = app.tables.get_mut(GROUPED.groups.0) {
        (groups.selected, groups.restart) = (None, true);
    }
    true
}

/// Whether lines lead to the connections that they stand for.
pub(super) fn leads(app: &App) -> bool {
    let Some(spot) = app.spots.first().filter(|spot| crate::panel::is_tracked(spot.table)) else {
        return is_grouped(app);
    };
    app.tables.get(&spot.key).is_some_and(|state| state.grouping.is_some())
}

/// Shows the connections of the selected group; false where none is selected.
pub(super) fn open(app: &mut App) -> bool {
    let found = app.focus().and_then(|(_, view, state)| Some((state.row(&view)?, view)));
    let Some((row, view)) = found else { return false };
    let grouped = is_grouped(app);
    let Some((table, state)) = filtered(app) else { return false };
    let Some(grouping) = state.grouping.filter(|_| grouped || state.is_many(row)) else { return false };
    let Some(own) = crate::panel::members(&view, row, grouping) else { return false };
    let both = state.filter.as_ref().map(|filter| format!("({}) and {own}", filter.text()));
    let Ok(filter) = Filter::parse(&both.unwrap_or(own), table) else { return false };
    let (to, selected) = (filter.text().to_owned(), state.selected.take());
    state.from = Some(From { to, filter: state.filter.replace(filter), grouping, selected });
    (state.grouping, state.restart) = (None, true);
    state.widths.clear();
    true
}

/// Whether the next step back leads to groups.
pub(super) fn came(app: &App) -> bool {
    let state = app.spots.first().and_then(|spot| app.tables.get(&spot.key));
    state.is_some_and(TableView::has_come)
}

/// Goes back to the groups, and to the one that was opened; false where the table has not come from any.
pub(super) fn back(app: &mut App) -> bool {
    let Some((_, state)) = app.focused_table() else { return false };
    if !state.has_come() {
        return false;
    }
    let Some(from) = state.from.take() else { return false };
    (state.filter, state.grouping, state.selected) = (from.filter, Some(from.grouping), from.selected);
    state.reveal = true;
    state.widths.clear();
    true
}

impl TableView {
    /// Whether a step back leads to groups.
    fn has_come(&self) -> bool {
        let shown = self.filter.as_ref().map(Filter::text);
        self.selected.is_none() && self.from.as_ref().is_some_and(|from| shown == Some(&from.to))
    }

    /// Goes on to the next way of grouping rows, and from the last to none.
    pub(super) fn regroup(&mut self, ways: &[Grouping]) {
        let next = self.grouping.and_then(|now| ways.iter().position(|way| *way == now)).map_or(0, |at| at + 1);
        self.grouping = ways.get(next).copied();
        (self.tree, self.from) = (None, None);
        self.widths.clear();
    }

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

#[cfg(test)]
mod tests {
    use super::super::flows::grouped;
    use super::super::testing::{command, press, screen};
    use crate::tui::settings::Settings;

    #[test]
    fn a_step_back_leads_from_connections_to_the_group_that_was_opened() {
        let (_, mut app) = grouped(Settings::default());
        app.clock = || crate::model::Timestamp::from_seconds(1.8e9);
        app.samples();
        press(&mut app, &["j", "down", "down"]);
        let before = screen(&mut app);
        press(&mut app, &["enter"]);
        let shown = screen(&mut app);
        assert!(
            shown.contains("Connections 0 of 6, filter source == 198.51.100.8") && shown.contains("esc:groups"),
            "{shown}"
        );
        press(&mut app, &["esc"]);
        assert_eq!(screen(&mut app), before);
        // lines of rows that a filter keeps, in the same table
        press(&mut app, &["E", "j", "j"]);
        let _ = command(&mut app, "filter destination_port == 80");
        press(&mut app, &["down"]);
        let before = screen(&mut app);
        assert!(before.contains("by port"), "{before}");
        press(&mut app, &["enter", "down"]);
        let shown = screen(&mut app);
        assert!(
            shown.contains("(destination_port == 80) and destination_port == 80") && !shown.contains("esc:groups"),
            "{shown}"
        );
        press(&mut app, &["esc", "esc"]);
        assert_eq!(screen(&mut app), before);
        // who has gone on from there does not go back
        press(&mut app, &["enter"]);
        let _ = command(&mut app, "filter destination_port == 443");
        press(&mut app, &["esc"]);
        assert!(
            screen(&mut app).contains("Connections 2 of 6, filter destination_port == 443"),
            "{}",
            screen(&mut app)
        );
    }
}
