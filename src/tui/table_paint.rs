//! How is the visible part of a table drawn?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::cell::{Reader, Written, heading, is_right, least_width, write_line};
use super::paint::{glyph, put, tint};
use super::table_view::{OnLine, TableView};
use super::text::{cut, fit, from_cell, width};
use super::theme::Theme;
use crate::model::Level;
use crate::panel::{Line, Role};
use crate::store::query::Order;
use crate::store::rate::View;

/// Widest a column of words gets while there is another behind it.
const WORDS: usize = 24;

/// Fewest cells of words that are cut.
const LETTERS: u16 = 6;

/// Where a column is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Column of the table.
    pub column: usize,
    /// First cell.
    pub x: u16,
    /// Cells.
    pub width: u16,
}

/// Draws headings and rows; returns where the columns are, for the mouse.
pub fn draw(
    buffer: &mut Buffer,
    area: Rect,
    view: &View,
    state: &mut TableView,
    reader: &Reader<'_>,
    theme: &Theme,
) -> Vec<Placed> {
    let area = area.intersection(buffer.area);
    if area.width == 0 || area.height == 0 {
        return Vec::new();
    }
    let selected = state.position(view);
    let page = usize::from(area.height.saturating_sub(1)).max(1);
    // a message below takes a line, and not that of the selected row
    let seen = state.top..state.top.saturating_add(state.page);
    if let Some(line) = selected.map(|at| state.line(at)).filter(|line| seen.contains(line)) {
        state.top = state.top.max((line + 1).saturating_sub(page));
    }
    state.page = page;
    state.clamp();
    let bottom = (state.top + state.page).min(state.lines());
    let visible: Vec<Shown> = (state.top..bottom).filter_map(|line| shown(view, state, line, reader)).collect();
    measure(view, state, &visible);
    let mut placed = place(area, view, state);
    if let Some(words) = hidden(state, &placed) {
        // what tells how many columns have no room does not lie over one that has
        let room = area.width.saturating_sub(width(&words) as u16);
        placed = place(Rect { width: room, ..area }, view, state);
    }
    headings(buffer, area, view, state, &placed, theme);
    for (y, one) in (area.y + 1..area.bottom()).zip(&visible) {
        let line = Rect::new(area.x, y, area.width, 1);
        match one {
            Shown::Head(items) => {
                super::paint::line(buffer, Rect { x: area.x + 1, width: area.width - 1, ..line }, items, theme);
            }
            Shown::Row { at, row, cells } => {
                draw_row(buffer, line, view, (*at, *row, cells), (&placed, state), reader, theme);
                if selected == Some(*at) {
                    tint(buffer, line, theme.selected());
                }
            }
        }
    }
    placed
}

/// What stands on a line.
enum Shown {
    /// A row by its place, with its cells.
    Row { at: usize, row: usize, cells: Vec<Written> },
    /// A heading.
    Head(Line),
}

fn shown(view: &View, state: &TableView, line: usize, reader: &Reader<'_>) -> Option<Shown> {
    let at = match state.on_line(line) {
        OnLine::Row(at) => at,
        OnLine::Head(head) => return Some(Shown::Head(head.line.clone())),
    };
    let row = *state.rows.get(at)?;
    let mut cells: Vec<Written> =
        state.columns.iter().map(|column| write_line(view, state, row, *column, reader)).collect();
    rename(view, state, row, &mut cells, reader);
    Some(Shown::Row { at, row, cells })
}

fn draw_row(
    buffer: &mut Buffer,
    line: Rect,
    view: &View,
    (at, row, cells): (usize, usize, &[Written]),
    (placed, state): (&[Placed], &TableView),
    reader: &Reader<'_>,
    theme: &Theme,
) {
    let level = reader.levels.row_level(view, row);
    if level != Level::Ok && !crate::panel::is_over(view, row) {
        put(buffer, line.x, line.y, 1, glyph(level), theme.level(level));
    }
    let depth = state.depth.get(at).copied().unwrap_or(0);
    for one in placed {
        let Some(cell) = state.columns.iter().position(|c| *c == one.column).and_then(|at| cells.get(at)) else {
            continue;
        };
        draw_cell(buffer, line.y, view, *one, cell, (state, depth), theme);
        if let Some(beside) = reader.beside.iter().find(|beside| beside.column == one.column) {
            let room = Rect::new(one.x, line.y, beside.cells.min(one.width), 1);
            super::paint::line(buffer, room, &vec![(beside.item)(row)], theme);
        }
    }
}

/// Writes the other name that a row was given: in place of its own, or before the words at the end when that is not shown.
fn rename(view: &View, state: &TableView, row: usize, cells: &mut [Written], reader: &Reader<'_>) {
    let table = view.table();
    let Some(alias) = reader.show.has(&table.name).then(|| reader.show.alias(view, row)).flatten() else { return };
    let label = state.columns.iter().position(|column| *column == table.label_column());
    if let Some(cell) = label.and_then(|at| cells.get_mut(at)) {
        cell.text = alias.into_owned();
    } else if state.columns.last().and_then(|column| table.columns.get(*column)).is_some_and(|c| c.attrs.last)
        && let Some(cell) = cells.last_mut()
    {
        cell.text = format!("{alias}: {}", cell.text);
    }
}

fn draw_cell(
    buffer: &mut Buffer,
    y: u16,
    view: &View,
    placed: Placed,
    cell: &Written,
    (state, depth): (&TableView, usize),
    theme: &Theme,
) {
    let Some(column) = view.table().columns.get(placed.column) else { return };
    let mut text = std::borrow::Cow::Borrowed(cell.text.as_str());
    if column.attrs.program && !state.long {
        text = program(&text).to_owned().into();
    }
    if depth > 0 && trunk(view, state) == Some(placed.column) {
        text = format!("{}└ {text}", "  ".repeat((depth - 1).min(12))).into();
    }
    if state.long && state.columns.last() == Some(&placed.column) {
        text = from_cell(&text, state.left * 16).to_owned().into();
    }
    let text = fit(&text, usize::from(placed.width), is_right(column));
    put(buffer, placed.x, y, placed.width, &text, theme.role(cell.role));
    if let Role::Level(level) = cell.role
        && is_right(column)
    {
        super::paint::sign(buffer, placed.x + placed.width, y, level, theme);
    }
}

/// The column that shows the tree: the name of the row, or the words at the end while that is not shown.
fn trunk(view: &View, state: &TableView) -> Option<usize> {
    state.tree?;
    let label = view.table().label_column();
    let shown = state.columns.contains(&label).then_some(label);
    shown.or_else(|| {
        state.columns.last().copied().filter(|at| view.table().columns.get(*at).is_some_and(|c| c.attrs.last))
    })
}

/// A command line without the directory of its program.
fn program(command: &str) -> &str {
    let end = command.find(' ').unwrap_or(command.len());
    match command.get(..end).filter(|first| first.starts_with('/')).and_then(|first| first.rfind('/')) {
        Some(slash) if slash + 1 < end => command.get(slash + 1..).unwrap_or(command),
        _ => command,
    }
}

fn measure(view: &View, state: &mut TableView, visible: &[Shown]) {
    let table = view.table();
    let written = || {
        visible.iter().filter_map(|one| match one {
            Shown::Row { cells, .. } => Some(cells),
            Shown::Head(_) => None,
        })
    };
    for (at, position) in state.columns.iter().enumerate() {
        let Some(column) = table.columns.get(*position) else { continue };
        // the sort indicator takes a cell
        let least = least_width(column).max(width(&heading(column, view.mode())) + 1);
        let widest = written().filter_map(|row| row.get(at)).map(|cell| width(&cell.text)).max().unwrap_or(0);
        let cap = if is_right(column) { 12 } else { WORDS };
        let tree = if trunk(view, state) == Some(*position) { WORDS } else { 0 };
        let now = state.widths.entry(*position).or_insert(0);
        *now = (*now).max(least).max(widest.min(cap)).max(tree);
    }
}

fn place(area: Rect, view: &View, state: &TableView) -> Vec<Placed> {
    let mut placed = Vec::new();
    // a cell for the row's glyph
    let mut x = area.x + 1;
    let last = state.columns.len().saturating_sub(1);
    let scrolled = if state.long { 0 } else { state.left.min(last) };
    for (at, column) in state.columns.iter().enumerate() {
        // the first column stays, so that a row can be told
        if at > 0 && at <= scrolled {
            continue;
        }
        let room = area.right().saturating_sub(x);
        if room == 0 {
            break;
        }
        let past = state.past.iter().find(|past| past.0 == *column).map_or(0, |(_, cells)| cells + 1);
        let wanted = state.widths.get(column).copied().unwrap_or(1) as u16 + past;
        let words = view.table().columns.get(*column).is_some_and(|column| !is_right(column));
        // half a number is worse than none, and so are a few letters of words
        if wanted > room && at > 0 && (!words || room < LETTERS) {
            break;
        }
        let width = if at == last && words { room } else { wanted.min(room) };
        placed.push(Placed { column: *column, x, width });
        x = x.saturating_add(width).saturating_add(1);
    }
    placed
}

/// How many columns behind those that are placed have no room.
fn hidden(state: &TableView, placed: &[Placed]) -> Option<String> {
    let shown = placed.len() + if state.long { 0 } else { state.left };
    let hidden = state.columns.len().saturating_sub(shown);
    (hidden > 0).then(|| format!(" +{hidden}▸"))
}

fn headings(buffer: &mut Buffer, area: Rect, view: &View, state: &TableView, placed: &[Placed], theme: &Theme) {
    let sorted = state.sort.first().filter(|_| !state.outlined);
    for one in placed {
        let Some(column) = view.table().columns.get(one.column) else { continue };
        let mut text = heading(column, view.mode());
        let mut style = theme.role(Role::Label);
        if let Some((_, order)) = sorted.filter(|(column, _)| *column == one.column) {
            text = cut(&text, usize::from(one.width).saturating_sub(1)).into_owned();
            text.push(if *order == Order::Descending { '▼' } else { '▲' });
            style = theme.role(Role::Accent).add_modifier(Modifier::BOLD);
        }
        let text = fit(&text, usize::from(one.width), is_right(column));
        put(buffer, one.x, area.y, one.width, &text, style);
    }
    if let Some(text) = hidden(state, placed) {
        let cells = width(&text) as u16;
        if cells < area.width {
            put(buffer, area.right() - cells, area.y, cells, &text, theme.role(Role::Muted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::program;
    use crate::collect::disk::DiskRow;
    use crate::collect::process::ProcessRow;
    use crate::tui::app::Config;
    use crate::tui::settings::Settings;
    use crate::tui::testing::{Made, app, screen};

    #[test]
    fn time_of_processes_is_a_total_beside_rates() {
        let settings = Settings { view: Some("processes".to_owned()), ..Settings::default() };
        let (host, mut app) = app(Config { settings, ..Config::default() });
        for second in 1..3 {
            host.publish(Made::new(ProcessRow::TABLE, 80, "proc"), second);
        }
        app.samples();
        app.size = (160, 100);
        let screen = screen(&mut app);
        assert!(screen.contains("time+ ") && screen.contains(" 1:15.00 "), "{screen}");
    }

    #[test]
    fn the_count_of_columns_without_room_lies_over_no_heading() {
        let settings = Settings { view: Some("disk".to_owned()), ..Settings::default() };
        let (host, mut app) = app(Config { settings, ..Config::default() });
        host.publish(Made::new(DiskRow::TABLE, 2, "sd"), 1);
        app.samples();
        for cells in 30..140 {
            app.size = (cells, 20);
            let screen = screen(&mut app);
            let Some(heads) = screen.lines().find(|line| line.contains('▸')) else { continue };
            let count = heads.chars().position(|ch| ch == '+').unwrap();
            let last = app.spots.first().and_then(|spot| spot.placed.last()).unwrap();
            assert!(usize::from(last.x + last.width) < count, "{cells}: {screen}");
        }
    }

    #[test]
    fn a_program_is_known_without_its_directory() {
        assert_eq!(program("/usr/bin/qemu-system-x86_64 -name db/1"), "qemu-system-x86_64 -name db/1");
        assert_eq!(program("[kworker/0:1]"), "[kworker/0:1]");
        assert_eq!(program("sh /etc/init.d/x"), "sh /etc/init.d/x");
        assert_eq!((program("/"), program("/bin/ x"), program("")), ("/", "/bin/ x", ""));
    }
}
