//! How is a table drawn in its frame, and what is told of it there?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, Spot};
use super::cell::Reader;
use super::table_view::TableView;
use super::{paint, stale, table_paint};
use crate::model::{Level, State, Table};
use crate::panel::{Body, Item, Line, Role, TableSpec, Views as _};
use crate::store::query::Order;
use crate::store::rate::View;

/// What is said first of a table that was not the same while it was read.
const CHANGING: &str = "changing: ";
/// What stands in errors of the kernel.
const ERRNO: &str = "(os error ";

/// Draws a table with its frame, and remembers where it is.
pub(super) fn framed_table(
    app: &mut App,
    buffer: &mut Buffer,
    area: Rect,
    spec: &TableSpec,
    key: String,
    (title, note): (&str, &Line),
) {
    let Some(table) = app.table(spec.table) else {
        let line = vec![Item::Text(title.to_owned().into(), Role::Title)];
        let inner = paint::frame(buffer, area, &line, "", &app.theme);
        let body = Body::Empty { level: Level::Ok, why: crate::panel::unknown(spec.table) };
        paint::body(buffer, inner, &body, &app.theme);
        return;
    };
    let there = |columns: &[usize]| -> Vec<usize> {
        columns.iter().copied().filter(|column| !app.host.lacks(&table.name, *column)).collect()
    };
    let columns = there(&spec.columns);
    let mut state = app.tables.remove(&key).unwrap_or_else(|| first_state(app, table, spec));
    state.outlined = spec.outlined;
    // where there are headings these may say enough
    let view = app.cache.get(spec.table).filter(|view| spec.outlined || !view.is_empty());
    let mut columns = columns;
    if let Some(by) =
        state.grouping.map(|grouping| grouping.by).filter(|by| !columns.is_empty() && !columns.contains(by))
        && table.label_column() != by
    {
        columns.insert(0, by);
    }
    if !state.chosen && !columns.is_empty() && state.columns != columns {
        // another size has room for other columns
        state.columns = columns;
    }
    if let Some(view) = &view {
        state.refresh(view, &app.cx());
    }
    let line = heading(app, table, &state, view.as_deref(), (title, note));
    let page = usize::from(paint::inside(area).height.saturating_sub(1));
    let hidden = state.lines().saturating_sub(page);
    let mut right = paint::rest(state.top, hidden);
    let old = stale::old(app, [spec.table]).filter(|_| view.is_some());
    if let Some(old) = &old {
        right = format!("{} {right}", stale::age(old.age));
    }
    let mut inner = paint::frame(buffer, area, &line, right.trim(), &app.theme);
    let padded = paint::inside(area.intersection(buffer.area));
    // the first column has the row's glyph, the last keeps away from the frame
    inner.width = padded.right().saturating_sub(inner.x);
    let placed = if let Some(view) = view.filter(|view| !view.is_empty() || !state.heads.is_empty()) {
        rows(app, buffer, inner, &view, &mut state)
    } else {
        state.rows.clear();
        paint::body(buffer, padded, &crate::panel::why(&app.cx(), table, spec.none), &app.theme);
        Vec::new()
    };
    match &state.selected {
        Some(key) => _ = app.picked.insert(&table.name, key.clone()),
        None => _ = app.picked.remove(&*table.name),
    }
    if let Some(old) = old {
        old.mark(app, buffer, area);
    }
    app.tables.insert(key.clone(), state);
    app.spots.push(Spot { key, table: spec.table, area: inner, placed });
}

/// What is told of a table beside its rows: how many there are, what keeps and orders them, and what is missing.
fn heading(app: &App, table: &Table, state: &TableView, view: Option<&View>, (title, note): (&str, &Line)) -> Line {
    let mut line = vec![Item::Text(title.to_owned().into(), Role::Title)];
    if view.is_some() {
        line.push(Item::Text(format!(" {}", state.rows.len()).into(), Role::Value));
    }
    if let Some(filter) = &state.filter {
        let of = view.map_or(String::new(), |view| format!(" of {}", view.len()));
        line.push(Item::Text(format!("{of}, filter {}", filter.text()).into(), Role::Accent));
    }
    if let Some(words) = arrangement(app, table, state) {
        line.push(Item::Text(words.into(), Role::Accent));
    }
    if view.is_some() && !note.is_empty() {
        line.push(Item::Text("  ".into(), Role::Plain));
        line.extend(note.iter().cloned());
    }
    if let Some(words) = partly(app, &table.name) {
        line.push(Item::Text(words.into(), Role::Muted));
    }
    line
}

/// The rows of a table with what stands beside them.
fn rows(app: &App, buffer: &mut Buffer, area: Rect, view: &View, state: &mut TableView) -> Vec<table_paint::Placed> {
    let cx = app.cx();
    let sorted = state.sort.first().map(|(column, _)| *column);
    // a line that stands for several is no row that could be compared
    let alone = state.grouping.is_none();
    let beside = if alone { crate::panel::beside(&cx, view, sorted, area.width) } else { Vec::new() };
    state.past = beside.iter().map(|beside| (beside.column, beside.cells)).collect();
    table_paint::draw(buffer, area, view, state, &Reader { beside: &beside, ..app.writing() }, &app.theme)
}

/// What some cells of a table lack: why, as far as that is words, or what can be done about it rather than the errno.
pub(super) fn partly(app: &App, table: &str) -> Option<String> {
    let status = &app.cache.snapshot().get(table).filter(|one| one.status.state == State::Ok)?.status;
    let (what, why) = status.reason.split_once(": ")?;
    // the word for it is not cut off
    if why.starts_with(CHANGING) {
        return Some(format!("  {why}"));
    }
    let is_said = status.hint.is_empty() || !why.contains(ERRNO);
    Some(format!("  {what}: {}", if is_said { why } else { &status.hint }))
}

/// Why there is more than the rows of a table tell.
pub(super) fn lack<'a>(app: &'a App, table: &str) -> Option<&'a str> {
    app.cache.snapshot().get(table)?.status.reason.strip_prefix("partly failed: ")
}

/// How rows are arranged as far as headings do not tell it.
fn arrangement(app: &App, table: &Table, state: &TableView) -> Option<String> {
    // lines add up no more than the rows behind them
    let of = if lack(app, &table.name).is_some() { " of those shown" } else { "" };
    let programs = state.grouping.map(|grouping| format!(", {}{of}", grouping.name));
    let sort = state.sort.first().filter(|(at, _)| !state.columns.contains(at)).and_then(|(at, order)| {
        let mark = if *order == Order::Descending { '▼' } else { '▲' };
        Some(format!(", by {}{mark}", table.columns.get(*at)?.title()))
    });
    let held = state.is_held().then(|| ", order held".to_owned());
    let words: String = programs.into_iter().chain(sort).chain(held).collect();
    (!words.is_empty()).then_some(words)
}

/// A table that nobody has made anything of yet.
pub(super) fn first_state(app: &App, table: &Table, spec: &TableSpec) -> TableView {
    let mut columns = if spec.columns.is_empty() {
        crate::panel::columns(spec.table).unwrap_or_default()
    } else {
        spec.columns.clone()
    };
    if let Some(by) = crate::browse::by(table) {
        let rest = if columns.is_empty() { table.usual() } else { columns };
        columns = std::iter::once(by).chain(rest.into_iter().filter(|column| *column != by)).collect();
    }
    let filter = app.first.as_ref().filter(|(name, _)| *name == spec.table).map(|(_, filter)| filter.clone());
    let mut state = TableView { filter, ..TableView::new(table, columns, &spec.sort) };
    state.columns.retain(|column| !app.host.lacks(&table.name, *column));
    state
}
