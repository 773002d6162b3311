//! What is known of one row, and what is asked for only because somebody looks at it?
//!
//! The first section is the row itself with every column, those on demand included. The others are the on-demand tables
//! whose required Ids are Ids of the row's table: of a process its open files, threads, limits and environment. Each is
//! asked for only while it is shown. So are those of a guest, of which the panels know which rows are about it.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::app::App;
use super::cell::{Reader, heading, is_right, unit_words, write};
use super::overlay::{Overlay, centered, framed_popup, plain, window};
use super::paint::{clear, line, tint};
use super::text::{width, wrap};
use crate::model::{Column, Demand, Key, Kind, Level, Table, Timestamp, Type, Value};
use crate::panel::{Body, Item, Line, Names, Role, Views as _, related_rows};
use crate::store::query::{Query, default_sort, run};
use crate::store::rate::{Mode, View};

/// Cells of names in front of values.
const NAME: u16 = 18;
/// Cells of a value that has its help beside it.
const VALUE: u16 = 20;
/// Widest column of words that has another one behind it.
const WORDS: usize = 28;
/// What a section of its own says of a row that is gone.
const GONE: &str = "gone, and nothing more can be asked: the first section is what is known";
/// Most rows of a section that are written.
const ROWS: usize = 10_000;

/// The row whose details are shown, as it was known last: a process that has ended is still asked about.
pub(super) struct Last {
    view: Arc<View>,
    /// When it was missing first.
    gone: Option<Timestamp>,
}

/// Remembers the row whose details have just been opened; of one that is gone what the past still has.
pub(super) fn begin(app: &mut App) {
    app.last = None;
    follow(app);
    if let (Overlay::Detail { table, key, .. }, None) = (&app.overlay, &app.last)
        && let Some((snapshot, gone)) = app.past.last(table, key)
        && let Some(state) = snapshot.get(table)
        && let Some(now) = &state.now
    {
        let view = Arc::new(View::new(now, state.before.as_ref(), Mode::Rate));
        app.last = Some(Last { view, gone: gone.or_else(|| Some(app.now())) });
    }
}

/// Remembers the row whose details are shown as it is now, or since when it is gone.
pub(super) fn follow(app: &mut App) {
    let Overlay::Detail { table, key, .. } = &app.overlay else {
        app.last = None;
        return;
    };
    let taken = app.cache.snapshot().get(table).and_then(|state| Some(state.now.as_ref()?.time));
    let now = taken.unwrap_or_else(|| app.now());
    match (app.cache.get(table).filter(|view| view.find(key).is_some()), &mut app.last) {
        (Some(view), _) => app.last = Some(Last { view, gone: None }),
        (None, Some(last)) => _ = last.gone.get_or_insert(now),
        (None, None) => {}
    }
}

fn required(table: &Table) -> impl Iterator<Item = &str> {
    table.columns.iter().filter(|column| column.attrs.required).map(|column| &*column.name)
}

/// On-demand tables of the same family of names whose required Ids are Ids of `table`: they say more about one of its rows.
fn about(app: &App, table: &Table) -> Vec<&'static Table> {
    // a set of nf_tables is none of ipset's
    fn family(table: &Table) -> Option<&str> {
        table.name.split('_').next()
    }
    let fits = |other: &Table| {
        let mut names = required(other).peekable();
        names.peek().is_some()
            && family(other) == family(table)
            && names.all(|name| table.ids().any(|id| table.columns.get(id).is_some_and(|c| c.name == name)))
    };
    let asked = app.host.schema().iter().copied().filter(|other| fits(other));
    let related = crate::panel::related(&table.name).iter().filter_map(|other| app.table(&other.name));
    asked.chain(related).collect()
}

/// Places of the Ids of `table` that rows of `other` have, too, in both.
fn shared<'a>(table: &'a Table, other: &'a Table) -> impl Iterator<Item = (usize, usize)> + 'a {
    let name = |table: &'a Table, at: usize| table.columns.get(at).map(|column| &column.name);
    table
        .ids()
        .filter_map(move |here| Some((here, other.ids().find(|there| name(other, *there) == name(table, here))?)))
}

/// How many sections the rows of a table have.
pub(super) fn sections(app: &App, table: &str) -> usize {
    app.table(table).map_or(1, |table| about(app, table).len() + 1)
}

/// What a section needs beside what the screen needs.
pub(super) fn demand(app: &App, table: &str, key: &Key, section: usize) -> Option<Demand> {
    let view = app.cache.get(table)?;
    let row = view.find(key)?;
    let values = |columns: &mut dyn Iterator<Item = usize>| -> Vec<Value> {
        columns.map(|column| view.cell(row, column).to_value()).collect()
    };
    let Some(at) = section.checked_sub(1) else {
        let columns = view.table().columns.iter().filter(|column| column.attrs.demand);
        let columns: Vec<String> = columns.map(|column| column.name.to_string()).collect();
        let ids = values(&mut view.table().ids());
        return (!columns.is_empty()).then(|| Demand { columns, ids, ..Demand::table(&view.table().name) });
    };
    let about = about(app, view.table());
    let wanted = about.get(at)?;
    if is_related(view.table(), wanted) {
        return Some(crate::panel::related_demand(&view, row, wanted));
    }
    let ids = values(&mut required(wanted).filter_map(|name| view.table().position(name)));
    let only = shared(view.table(), wanted)
        .filter(|(_, there)| wanted.columns.get(*there).is_some_and(|column| !column.attrs.required))
        .filter_map(|(here, there)| {
            let name = wanted.columns.get(there)?.name.to_string();
            Some((name, vec![view.cell(row, here).to_value()]))
        });
    Some(Demand { ids, only: only.collect(), ..Demand::table(&wanted.name) })
}

/// Whether rows of another table are about some of this one without being asked for its Ids.
fn is_related(table: &Table, other: &Table) -> bool {
    crate::panel::related(&table.name).iter().any(|related| related.name == other.name)
}

/// Draws a section of a row's details.
pub(super) fn draw(app: &App, buffer: &mut Buffer, area: Rect, row: (&str, &Key), section: usize, top: usize) {
    let (table, key) = row;
    let area = centered(area);
    clear(buffer, area, app.theme.base());
    let last = app.last.as_ref();
    let Some(view) = last.map(|last| Arc::clone(&last.view)).or_else(|| app.cache.get(table)) else { return };
    let gone = last.and_then(|last| last.gone);
    let about = about(app, view.table());
    let found = view.find(key);
    let mut title = plain(view.table().title().to_owned(), Role::Label);
    if let Some(row) = found {
        let name = write(&view, row, view.table().label_column(), &app.writing());
        title.push(Item::Text(format!("  {}", name.text).into(), Role::Title));
    }
    if let Some(gone) = gone {
        let words = format!("  gone since {}, as it was last", crate::panel::clock(gone));
        title.push(Item::Text(words.into(), Role::Level(Level::Warning)));
    }
    let room = usize::from(area.width.saturating_sub(2));
    let lines = match (found, section.checked_sub(1).and_then(|at| about.get(at))) {
        (None, _) => vec![plain("this row is gone".to_owned(), Role::Stale)],
        (Some(row), None) => {
            let about = crate::panel::about(&app.cx(), &view, row, room as u16);
            let gap = (!about.is_empty()).then(Line::new);
            // what no column tells is not below the edge of a small screen
            about.into_iter().chain(gap).chain(fields(&view, row, &app.writing(), room)).collect()
        }
        (Some(_), Some(_)) if gone.is_some() => vec![plain(GONE.to_owned(), Role::Muted)],
        (Some(row), Some(other)) => more(app, &view, row, other, room),
    };
    let heads = 1 + usize::from(!about.is_empty());
    let page = usize::from(area.height).saturating_sub(1 + heads);
    let shown = window(lines.len(), page, top);
    app.reach.set(lines.len().saturating_sub(page.max(1)));
    let hidden = lines.len() - shown.len();
    let right = super::paint::rest(shown.start, hidden);
    let of = section.checked_sub(1).and_then(|at| about.get(at)).map_or(table, |other| &*other.name);
    let old = super::stale::old(app, [of]);
    let right = old.as_ref().map_or(right.clone(), |old| format!("{} {right}", super::stale::age(old.age)));
    let inner = framed_popup(buffer, area, &title, right.trim(), &app.theme);
    let mut y = inner.y;
    if !about.is_empty() {
        line(buffer, Rect { height: 1, ..inner }, &tabs(&about, section), &app.theme);
        y += 1;
    }
    for (y, items) in (y..inner.bottom()).zip(lines.get(shown).unwrap_or_default()) {
        line(buffer, Rect { y, height: 1, ..inner }, items, &app.theme);
    }
    if let Some(old) = old {
        old.mark(app, buffer, area);
    } else if gone.is_some() {
        tint(buffer, inner, app.theme.role(Role::Stale).add_modifier(Modifier::DIM));
    }
}

/// Sections, the shown one marked.
fn tabs(about: &[&'static Table], section: usize) -> Line {
    let names = std::iter::once("All").chain(about.iter().map(|other| other.title()));
    let mut line = Line::new();
    for (at, name) in names.enumerate() {
        if at > 0 {
            line.push(Item::Text(" · ".into(), Role::Muted));
        }
        let role = if at == section { Role::Title } else { Role::Label };
        let mark = if at == section { "▸" } else { "" };
        line.push(Item::Text(format!("{mark}{name}").into(), role));
    }
    line
}

/// Rows of another table that are about this row, or why there are none.
fn more(app: &App, view: &View, row: usize, other: &'static Table, room: usize) -> Vec<Line> {
    let rows = app.cache.get(&other.name).map(|rows| {
        let same = |one: &usize| {
            shared(view.table(), other).all(|(here, there)| view.cell(row, here) == rows.cell(*one, there))
        };
        // what came for another row is not about this one
        let busiest = Query { filter: None, sort: default_sort(rows.table()), limit: None };
        let related = is_related(view.table(), other).then(|| related_rows(&app.cache, view, row, &rows));
        let is_own = |one: &usize| related.as_ref().map_or_else(|| same(one), |own| own.binary_search(one).is_ok());
        let own: Vec<usize> = run(&rows, &busiest).into_iter().filter(is_own).take(ROWS).collect();
        (rows, own)
    });
    match rows {
        Some((rows, own)) if !own.is_empty() => {
            let told = told(view, row, &rows, &own);
            listed(&rows, (&own, &told), &app.writing(), room)
        }
        Some(_) if is_related(view.table(), other) => vec![plain("none of them is its own".to_owned(), Role::Muted)],
        Some((rows, _)) if !rows.is_empty() => vec![plain("waiting for the host".to_owned(), Role::Muted)],
        _ => match crate::panel::why(&app.cx(), other, crate::panel::NONE) {
            Body::Empty { why, .. } => wrap(&why, room).into_iter().map(|words| plain(words, Role::Muted)).collect(),
            _ => Vec::new(),
        },
    }
}

/// Columns of words that say of all these rows what the row says that they are about.
fn told(view: &View, row: usize, rows: &View, own: &[usize]) -> Vec<usize> {
    let is_said = |at: usize, column: &Column| {
        // how bad each was, and the sentence at the end, say more than that they are the same
        let is_name = column.kind == Kind::Text && column.ty == Type::Text && !column.attrs.last;
        let Some(here) = view.table().position(&column.name).filter(|_| is_name) else { return false };
        own.iter().all(|one| rows.cell(*one, at) == view.cell(row, here))
    };
    let columns = rows.table().columns.iter().enumerate();
    columns.filter(|(at, column)| is_said(*at, column)).map(|(at, _)| at).collect()
}

/// Rows in columns under headings, without those that are told.
fn listed(view: &View, (rows, told): (&[usize], &[usize]), reader: &Reader<'_>, room: usize) -> Vec<Line> {
    let columns = view.table().columns.iter().enumerate();
    // what none of them has takes the room of what tells them apart
    let has = |at: usize| rows.iter().any(|row| !view.cell(*row, at).is_missing() || view.unknown(*row, at));
    let shown: Vec<usize> = columns
        .filter(|(at, column)| !column.attrs.required && has(*at) && !told.contains(at))
        .map(|(at, _)| at)
        .collect();
    // words that may be long come last
    let (long, mut shown): (Vec<usize>, Vec<usize>) =
        shown.into_iter().partition(|at| *at == view.table().label_column() && rows.len() > 1);
    shown.extend(long);
    let written: Vec<Vec<super::cell::Written>> =
        rows.iter().map(|row| shown.iter().map(|at| write(view, *row, *at, reader)).collect()).collect();
    let last = shown.len().saturating_sub(1);
    let mut left = room;
    let mut widths = Vec::with_capacity(shown.len());
    for (i, at) in shown.iter().enumerate() {
        let Some(column) = view.table().columns.get(*at) else { continue };
        let cells = written.iter().filter_map(|row| row.get(i)).map(|cell| width(&cell.text)).max().unwrap_or(0);
        let cells = cells.max(width(&heading(column, view.mode())));
        let cells = if i == last { left } else { cells.min(WORDS) };
        left = left.saturating_sub(cells + 1);
        widths.push((cells.max(1) as u16, is_right(column) && i != last));
    }
    let cell = |text: String, role, (width, right)| Item::Cell { text: text.into(), role, width, right };
    let spaced = |items: Vec<Item>| -> Line {
        items.into_iter().flat_map(|item| [item, Item::Text(" ".into(), Role::Plain)]).collect()
    };
    let heads = shown.iter().filter_map(|at| view.table().columns.get(*at)).zip(&widths);
    let heads = heads.map(|(column, size)| cell(heading(column, view.mode()), Role::Label, *size)).collect();
    let body = written.into_iter().map(|row| {
        spaced(row.into_iter().zip(&widths).map(|(written, size)| cell(written.text, written.role, *size)).collect())
    });
    std::iter::once(spaced(heads)).chain(body).collect()
}

/// Every column of one row with its help; long text is shown whole, line by line.
fn fields(view: &View, row: usize, reader: &Reader<'_>, room: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let cells = room.saturating_sub(usize::from(NAME) + 1).max(8);
    for (at, column) in view.table().columns.iter().enumerate() {
        let mut written = write(view, row, at, &Reader { names: Names::default(), ..*reader });
        // beside what it is the name of
        if let Some(name) = reader.names.of(view, row, at) {
            written.text.extend([" ", &name]);
        }
        let name = |text: String| Item::Cell { text: text.into(), role: Role::Label, width: NAME, right: false };
        let unit = unit_words(column, view.mode(), reader.style);
        let unit = if unit.is_empty() { unit } else { format!(" [{unit}]") };
        let help = format!("{}{unit}", column.help.replace('\n', " "));
        let title = heading(column, view.mode());
        let value = |text: String| Item::Cell { text: text.into(), role: written.role, width: VALUE, right: false };
        let is_short = width(&written.text) < usize::from(VALUE);
        // beside the value, in as many lines as it takes
        let before = usize::from(NAME) + if is_short { usize::from(VALUE) } else { 0 };
        for (at, words) in wrap(&help, room.saturating_sub(before).max(12)).into_iter().enumerate() {
            let mut line = vec![name(if at == 0 { title.clone() } else { String::new() })];
            line.extend(is_short.then(|| value(if at == 0 { written.text.clone() } else { String::new() })));
            line.push(Item::Text(words.into(), Role::Muted));
            lines.push(line);
        }
        if is_short {
            continue;
        }
        let mut rest = written.text.as_str();
        while !rest.is_empty() {
            let end = rest.char_indices().nth(cells).map_or(rest.len(), |(at, _)| at);
            let (now, after) = rest.split_at(end);
            lines.push(vec![name(String::new()), Item::Text(now.to_owned().into(), written.role)]);
            rest = after;
        }
    }
    lines
}
