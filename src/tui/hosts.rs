//! What does the dashboard do with a host that is many?
//!
//! Its pages are its table and those that merge the rows of all hosts. A strip below tells more of one host, and a host
//! that is opened has a dashboard of its own until one comes back.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, Page};
use super::table_view::TableView;
use super::{Error, paint};
use crate::model::{Behind, Demand, Key, Table, Top};
use crate::panel::TableSpec;
use crate::store::expr::Filter;
use crate::store::query::Order;

/// Rows of each host are asked for in such steps, so that not every step of the selection asks anew, and how many at most.
const ROWS: usize = 50;
const MOST: usize = 500;

/// What there is to say of the selected host, or of the first one.
pub(super) fn strip(app: &mut App, buffer: &mut Buffer, area: Rect) {
    let found = app.focus().and_then(|(_, view, state)| {
        let row = state.row(&view).or_else(|| state.rows.first().copied())?;
        Some((view, row))
    });
    let size = (area.width, area.height);
    let lines = found.map(|(view, row)| crate::panel::fleet::detail(&app.cx(), &view, row, size));
    for (y, line) in (area.top()..area.bottom()).zip(lines.unwrap_or_default()) {
        paint::line(buffer, Rect { y, height: 1, ..area }, &line, &app.theme);
    }
}

/// Begins at a row of a table.
fn show(app: &mut App, table: &str, key: Key) {
    let Some(table) = app.table(table) else { return };
    let spec = TableSpec::of(&table.name);
    let state = super::framed::first_state(app, table, &spec);
    app.tables.insert(table.name.to_string(), TableView { selected: Some(key), reveal: true, ..state });
    app.go(Page::Table(&table.name));
    app.home = Some(app.page.clone());
}

/// The next way to look at hosts; `None` where rows are no hosts.
pub(super) fn grouped(app: &App) -> Option<&'static str> {
    let Page::Table(name) = app.page else { return None };
    let hosts = app.fleet == Some(name) || crate::browse::is_group(name);
    hosts.then(|| crate::browse::after(name))
}

/// Shows the hosts that a filter keeps.
pub(super) fn narrow(app: &mut App, fleet: &'static str, filter: &str) {
    let Some(table) = app.table(fleet) else { return };
    app.go(Page::Table(fleet));
    if let (Ok(filter), Some(state)) = (Filter::parse(filter, table), app.tables.get_mut(fleet)) {
        (state.filter, state.top, state.selected) = (Some(filter), 0, None);
    }
}

/// What is wanted of the rows of many hosts: no more than what is looked at, and a page more.
/// Where rows are hidden, nobody else knows how many are left.
pub(super) fn demand(table: &Table, state: &TableView, hides: bool) -> Demand {
    let name = |column: &usize| table.columns.get(*column).map(|column| column.name.to_string());
    let mut columns: BTreeSet<usize> = state.columns.iter().copied().collect();
    columns.extend(state.sort.iter().map(|(column, _)| *column));
    columns.extend(state.filter.iter().flat_map(Filter::columns));
    let sort = state.sort.iter().filter_map(|(at, order)| Some((name(at)?, *order == Order::Descending)));
    let rows = (((state.top + state.page) / ROWS + 1) * ROWS).min(MOST);
    let top = Top {
        filter: state.filter.as_ref().map(|filter| filter.text().to_owned()),
        sort: sort.collect(),
        rows,
        all: Some(rows).filter(|_| !hides),
    };
    Demand { columns: columns.iter().filter_map(name).collect(), top: Some(top), ..Demand::table(&table.name) }
}

/// Opens a host that was chosen, or goes back to where it was opened.
pub(super) fn turn(app: &mut App, below: &mut Option<App>) -> Result<(), Error> {
    if let Some(Behind { host, row }) = app.open.take() {
        let mut inner = app.inside(host)?;
        if let Some((table, key)) = row {
            show(&mut inner, table, key);
        }
        *below = Some(std::mem::replace(app, inner));
    } else if std::mem::take(&mut app.left)
        && let Some(fleet) = below.take()
    {
        let size = app.size;
        *app = fleet;
        app.size = size;
        app.samples();
    }
    Ok(())
}
