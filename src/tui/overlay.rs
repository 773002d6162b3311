//! What can lie over the screen: help, prompts, details, and the question before a signal?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_input::Input;

use super::app::App;
use super::cell::{Reader, write};
use super::paint::{clear, frame, line, put, tint};
use super::text::wrap;
use crate::model::{Demand, Key, Level, Table, Value};
use crate::panel::{Item, Line, Role, Target, Views as _};

/// What lies over the screen.
#[derive(Debug, Default)]
pub(super) enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// Keys and tables, from a line on.
    Help(usize),
    /// The filter as it is typed, with what is wrong with it.
    Filter(Input, Option<String>),
    /// A command as it is typed, and the chosen completion.
    Palette(Input, usize, String),
    /// Columns of the focused table.
    Columns(usize),
    /// One row: section and first line.
    Detail { table: &'static str, key: Key, section: usize, top: usize },
    /// The past of one column of one row.
    Graph { table: &'static str, key: Key, column: usize, cursor: usize },
    /// Which signal, and the chosen one of the list.
    Signal(Target, usize),
}

/// Signals that are offered, the mildest first.
pub(super) const SIGNALS: &[(i32, &str)] = &[
    (libc::SIGTERM, "TERM  end, please"),
    (libc::SIGINT, "INT   interrupt, as Ctrl-C"),
    (libc::SIGHUP, "HUP   hang up, often: read the configuration again"),
    (libc::SIGQUIT, "QUIT  end with a core dump"),
    (libc::SIGSTOP, "STOP  stop, cannot be refused"),
    (libc::SIGCONT, "CONT  go on"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGKILL, "KILL  end at once, cannot be refused"),
];

impl Overlay {
    /// What it needs beside what the screen needs.
    pub(super) fn demand(&self, app: &App) -> Vec<Demand> {
        let Self::Detail { table, key, section, .. } = self else { return Vec::new() };
        let Some(at) = section.checked_sub(1) else { return Vec::new() };
        let Some(view) = app.cache.get(table) else { return Vec::new() };
        let Some(row) = view.find(key) else { return Vec::new() };
        let about = about(app, view.table());
        let Some(wanted) = about.get(at) else { return Vec::new() };
        let ids = required(wanted).filter_map(|name| view.table().position(name));
        let ids: Vec<Value> = ids.map(|column| view.cell(row, column).to_value()).collect();
        vec![Demand { ids, ..Demand::table(&wanted.name) }]
    }
}

fn required(table: &Table) -> impl Iterator<Item = &str> {
    table.columns.iter().filter(|column| column.attrs.required).map(|column| &*column.name)
}

/// On-demand tables whose required Ids are Ids of `table`: they say more about one of its rows.
pub(super) fn about(app: &App, table: &Table) -> Vec<&'static Table> {
    let fits = |other: &Table| {
        let mut names = required(other).peekable();
        names.peek().is_some()
            && names.all(|name| table.ids().any(|id| table.columns.get(id).is_some_and(|c| c.name == name)))
    };
    app.host.schema().iter().copied().filter(|other| fits(other)).collect()
}

/// Draws what lies over the screen.
pub(super) fn draw(app: &App, buffer: &mut Buffer, area: Rect) {
    match &app.overlay {
        Overlay::None => {}
        Overlay::Help(top) => {
            let lines = help(app, usize::from(area.width.saturating_sub(6)));
            popup(app, buffer, area, "Help", &lines, *top, None);
        }
        Overlay::Filter(input, error) => prompt(app, buffer, area, "/", input, error.as_deref()),
        Overlay::Palette(input, chosen, _) => {
            let lines: Vec<Line> =
                super::palette::matches(app, input.value()).into_iter().map(|text| plain(text, Role::Plain)).collect();
            let height = (lines.len() as u16 + 2).min(area.height.saturating_sub(1)).min(16);
            let list = Rect { y: area.bottom().saturating_sub(height + 1), height, ..area };
            popup(
                app,
                buffer,
                list,
                "Palette",
                &lines,
                chosen.saturating_sub(usize::from(height).saturating_sub(3)),
                Some(*chosen),
            );
            prompt(app, buffer, area, ":", input, None);
        }
        Overlay::Columns(chosen) => {
            let Some(spot) = app.spots.first() else { return };
            let (Some(table), Some(state)) = (app.table(spot.table), app.tables.get(&spot.key)) else { return };
            let mark = |i: usize| if state.columns.contains(&i) { "[x] " } else { "[ ] " };
            let text = |(i, column): (usize, &crate::model::Column)| {
                format!("{}{:<18} {}", mark(i), column.title(), column.help)
            };
            let lines: Vec<Line> = table.columns.iter().enumerate().map(|one| plain(text(one), Role::Plain)).collect();
            let page = usize::from(area.height).saturating_sub(4);
            popup(
                app,
                buffer,
                area,
                "Columns: space shows or hides",
                &lines,
                (chosen + 1).saturating_sub(page),
                Some(*chosen),
            );
        }
        Overlay::Detail { table, key, section, top } => detail(app, buffer, area, (table, key), *section, *top),
        Overlay::Graph { table, key, column, cursor } => {
            super::graph::draw(app, buffer, centered(area), (table, key), *column, *cursor);
        }
        Overlay::Signal(target, chosen) => {
            let mut lines = vec![plain(format!("{} (pid {})", target.name, target.pid), Role::Title), Vec::new()];
            lines.extend(SIGNALS.iter().map(|(_, text)| plain((*text).to_owned(), Role::Plain)));
            lines.push(Vec::new());
            lines.push(plain("enter sends it, esc does nothing".to_owned(), Role::Muted));
            popup(app, buffer, area, "Send a signal to", &lines, 0, Some(chosen + 2));
        }
    }
}

pub(super) fn plain(text: String, role: Role) -> Line {
    vec![Item::Text(text.into(), role)]
}

fn centered(area: Rect) -> Rect {
    let (x, y) = (area.width / 16, area.height / 12);
    Rect::new(area.x + x, area.y + y, area.width - 2 * x, area.height - 2 * y)
}

fn popup(app: &App, buffer: &mut Buffer, area: Rect, title: &str, lines: &[Line], top: usize, chosen: Option<usize>) {
    let area = centered(area);
    clear(buffer, area, app.theme.base());
    let page = usize::from(area.height.saturating_sub(2));
    let top = top.min(lines.len().saturating_sub(page.max(1)));
    let hidden = lines.len().saturating_sub(top + page);
    let right = if hidden > 0 { format!("+{hidden}") } else { String::new() };
    let inner = frame(buffer, area, &plain(title.to_owned(), Role::Title), &right, &app.theme);
    for (i, (y, items)) in (inner.top()..inner.bottom()).zip(lines.iter().skip(top)).enumerate() {
        let row = Rect { y, height: 1, ..inner };
        line(buffer, row, items, &app.theme);
        if chosen == Some(top + i) {
            tint(buffer, row, app.theme.selected());
        }
    }
}

fn prompt(app: &App, buffer: &mut Buffer, area: Rect, mark: &str, input: &Input, error: Option<&str>) {
    let y = area.bottom().saturating_sub(1);
    let row = Rect { y, height: 1, ..area };
    clear(buffer, row, app.theme.base());
    let x = area.x + put(buffer, area.x, y, area.width, mark, app.theme.role(Role::Accent));
    let skip = input.visual_scroll(usize::from(area.width.saturating_sub(2)));
    let text = super::text::from_cell(input.value(), skip);
    put(buffer, x, y, area.width, text, app.theme.role(Role::Value));
    let cursor = input.visual_cursor().saturating_sub(skip) as u16;
    tint(
        buffer,
        Rect::new(x + cursor, y, 1, 1),
        ratatui::style::Style::new().add_modifier(ratatui::style::Modifier::REVERSED),
    );
    if let Some(error) = error {
        let words = format!(" ✖ {error}");
        let row = Rect { y: y.saturating_sub(1), ..row };
        clear(buffer, row, app.theme.base());
        put(buffer, row.x, row.y, row.width, &words, app.theme.level(Level::Warning));
    }
}

fn help(app: &App, cells: usize) -> Vec<Line> {
    let mut lines = vec![plain("Keys".to_owned(), Role::Title)];
    for bound in &app.keymap.bound {
        let keys: Vec<String> = bound.keys.iter().map(ToString::to_string).collect();
        lines.push(vec![
            Item::Cell { text: keys.join(" ").into(), role: Role::Accent, width: 14, right: false },
            Item::Text(format!("  {}", bound.help).into(), Role::Plain),
        ]);
    }
    lines.push(Vec::new());
    lines.push(plain(
        "Signs:  • careful  ▲ warning  ✖ critical  – missing  ? rate not known yet".to_owned(),
        Role::Plain,
    ));
    for table in app.host.schema() {
        lines.push(Vec::new());
        lines.push(plain(format!("Table {}", table.name), Role::Title));
        lines.extend(wrap(table.summary(), cells).into_iter().map(|words| plain(words, Role::Label)));
    }
    lines
}

fn detail(app: &App, buffer: &mut Buffer, area: Rect, (table, key): (&str, &Key), section: usize, top: usize) {
    let Some(view) = app.cache.get(table) else { return };
    let about = about(app, view.table());
    let names: Vec<&str> =
        std::iter::once(view.table().title()).chain(about.iter().map(|table| table.title())).collect();
    let title = names.get(section).copied().unwrap_or_default();
    let title = if about.is_empty() { title.to_owned() } else { format!("{title}   tab: {}", names.join(" · ")) };
    let Some(row) = view.find(key) else {
        popup(app, buffer, area, &title, &[plain("this row is gone".to_owned(), Role::Stale)], 0, None);
        return;
    };
    let reader = app.writing();
    let lines = match section.checked_sub(1).and_then(|at| about.get(at)) {
        None => fields(&view, row, &reader, true, app),
        Some(other) => match app.cache.get(&other.name) {
            Some(rows) if !rows.is_empty() => rows_of(&rows, &reader, app),
            _ => {
                let status = app.cache.snapshot().get(&other.name).map(|state| state.status.clone());
                let words = status.map_or(String::new(), |status| format!("{} {}", status.reason, status.hint));
                let words = if words.trim().is_empty() { "nothing yet".to_owned() } else { words };
                vec![plain(words, Role::Muted)]
            }
        },
    };
    popup(app, buffer, area, &title, &lines, top, None);
}

fn rows_of(view: &crate::store::rate::View, reader: &Reader<'_>, app: &App) -> Vec<Line> {
    if view.len() == 1 {
        return fields(view, 0, reader, true, app);
    }
    let shown: Vec<usize> = (0..view.table().columns.len())
        .filter(|at| view.table().columns.get(*at).is_some_and(|column| !column.attrs.required))
        .collect();
    (0..view.len().min(10_000))
        .map(|row| {
            let words: Vec<String> = shown.iter().map(|column| write(view, row, *column, reader).text).collect();
            plain(words.join("  "), Role::Plain)
        })
        .collect()
}

fn fields(view: &crate::store::rate::View, row: usize, reader: &Reader<'_>, help: bool, app: &App) -> Vec<Line> {
    let mut lines = Vec::new();
    let cells = usize::from(app.size.0).saturating_sub(36).max(20);
    for (at, column) in view.table().columns.iter().enumerate() {
        let written = write(view, row, at, reader);
        let mut values = written.text.as_str();
        let mut first = true;
        // long text is shown whole, line by line
        while first || !values.is_empty() {
            let name = if first { super::cell::heading(column, view.mode()) } else { String::new() };
            let part = super::text::from_cell(values, 0);
            let end = part.char_indices().nth(cells).map_or(part.len(), |(at, _)| at);
            let (now, rest) = part.split_at(end);
            lines.push(vec![
                Item::Cell { text: name.into(), role: Role::Label, width: 18, right: false },
                Item::Text(now.to_owned().into(), written.role),
            ]);
            values = rest;
            first = false;
        }
        if help {
            let unit = if column.unit == crate::model::Unit::None {
                String::new()
            } else {
                format!(" [{}]", column.unit.name())
            };
            lines.push(plain(format!("                  {}{unit}", column.help.replace('\n', " ")), Role::Muted));
        }
    }
    lines
}
