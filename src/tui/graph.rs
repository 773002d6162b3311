//! What did one number do over time?
//!
//! A graph is drawn in braille, two points a cell and four steps a line, and each line has the color of the level that its
//! height stands for. Panels draw lines of it ([`strip`]), and the graph of one cell fills the screen with an axis, the
//! range and the value under the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::App;
use super::overlay::{framed_popup, plain};
use super::paint::{clear, glyph, put, tint};
use super::text::{fit, width};
use super::theme::Theme;
use crate::model::{Column, HistoryAsk, Key, Kind, Level, Mono, Table, unit};
use crate::panel::{Graph, Item, Role, Views as _};
use crate::store::rate::Mode;

/// Dots of the left and right column of a braille cell, by height from below.
const LEFT: [u32; 5] = [0, 0x40, 0x44, 0x46, 0x47];
const RIGHT: [u32; 5] = [0, 0x80, 0xa0, 0xb0, 0xb8];
/// Cells of the axis with its numbers.
const AXIS: u16 = 8;
/// Lines from which every threshold has a line of its own; below that only the first has.
const TALL: u16 = 8;

/// Draws one line of a graph.
pub(super) fn strip(buffer: &mut Buffer, area: Rect, graph: &Graph, line: u16, theme: &Theme) {
    let lines = graph.lines.max(1);
    let below = lines.saturating_sub(1 + line);
    let slots = usize::from(area.width) * 2;
    let shown = graph.points.get(graph.points.len().saturating_sub(slots)..).unwrap_or(&graph.points);
    let dots = |slot: usize| -> usize {
        let at = (slot + shown.len()).checked_sub(slots);
        let value = at.and_then(|at| shown.get(at)).copied().filter(|value| value.is_finite());
        let height = value.map_or(0, |value| height(value / graph.top, lines));
        height.saturating_sub(usize::from(below) * 4).min(4)
    };
    let middle = (f64::from(below) + 0.5) / f64::from(lines) * graph.top;
    let level = graph.marks.iter().filter(|(from, _)| *from <= middle).map(|(_, level)| *level).max();
    let role = level.filter(|level| *level > Level::Ok).map_or(graph.role, Role::Level);
    let threshold = threshold(graph, below);
    for i in 0..usize::from(area.width) {
        let (left, right) = (dots(i * 2), dots(i * 2 + 1));
        let bits = LEFT.get(left).copied().unwrap_or(0) | RIGHT.get(right).copied().unwrap_or(0);
        let Some(cell) = buffer.cell_mut((area.x + i as u16, area.y)) else { continue };
        if bits > 0
            && let Some(ch) = char::from_u32(0x2800 + bits)
        {
            cell.set_char(ch).set_style(theme.bar(role));
        } else if threshold {
            cell.set_symbol("┈").set_style(theme.frame());
        }
    }
}

/// Dots of a share of the whole height; what was measured has one at least.
fn height(share: f64, lines: u16) -> usize {
    let all = f64::from(lines) * 4.0;
    ((share.clamp(0.0, 1.0) * all).round() as usize).max(1)
}

/// Whether a threshold lies at the height of a line.
fn threshold(graph: &Graph, below: u16) -> bool {
    let at = |mark: f64| (mark / graph.top * f64::from(graph.lines)).floor() as i64;
    let shown = if graph.lines >= TALL { graph.marks.len() } else { usize::from(graph.lines > 2) };
    graph.marks.iter().take(shown).any(|(mark, _)| at(*mark) == i64::from(below))
}

/// Columns whose past is kept and says something.
fn columns(schema: &Table) -> impl Iterator<Item = usize> + '_ {
    // a parent is a number that counts nothing
    let kept = |column: &Column| {
        column.is_numeric() && column.kind != Kind::Id && !column.attrs.demand && !column.attrs.parent
    };
    schema.columns.iter().enumerate().filter(move |(_, column)| kept(column)).map(|(at, _)| at)
}

/// The column with a past that stands `by` places beside one; the first if that has none.
pub(super) fn beside(schema: &Table, column: usize, by: isize) -> usize {
    let columns: Vec<usize> = columns(schema).collect();
    let Some(at) = columns.iter().position(|one| *one == column) else {
        return columns.first().copied().unwrap_or(column);
    };
    let next = (at as isize + by).rem_euclid(columns.len() as isize);
    columns.get(next as usize).copied().unwrap_or(column)
}

/// What is drawn of a cell's past.
struct Past {
    points: Vec<(Mono, f64)>,
    low: f64,
    high: f64,
    marks: Vec<(f64, Level)>,
}

fn past(app: &App, schema: &Table, key: &Key, at: usize) -> Option<Past> {
    let column = schema.columns.get(at)?;
    let name = column.name.to_string();
    let ask = HistoryAsk { table: schema.name.to_string(), column: name, key: key.clone(), since: None };
    let mut points = app.reader().history(&ask)?.points;
    if let Some(factor) = app.writing().factor(&schema.name, at) {
        for (_, value) in &mut points {
            *value *= factor;
        }
    }
    let finite = || points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    finite().next()?;
    let (low, high) = finite().fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let high = if high > low { high } else { low + 1.0 };
    let levels = [Level::Careful, Level::Warning, Level::Critical];
    let marks = app.config.levels.marks(schema, at).map_or(Vec::new(), |marks| marks.into_iter().zip(levels).collect());
    Some(Past { points, low, high, marks })
}

/// Draws the history of a cell with its range, its span and the value under the cursor.
pub(super) fn draw(
    app: &App,
    buffer: &mut Buffer,
    area: Rect,
    (table, key): (&str, &Key),
    column: usize,
    cursor: usize,
) {
    clear(buffer, area, app.theme.base());
    let Some(schema) = app.table(table) else { return };
    let Some(about) = schema.columns.get(column) else { return };
    let name = app.cache.get(table).and_then(|view| {
        let row = view.find(key)?;
        view.cell(row, schema.label_column()).text().map(str::to_owned)
    });
    let mut title = plain(super::cell::heading(about, Mode::Rate), Role::Title);
    let whose = name.map_or_else(|| schema.title().to_owned(), |name| format!("{} {name}", schema.title()));
    title.insert(0, Item::Text(format!("{whose}  ").into(), Role::Label));
    let past = past(app, schema, key, column).filter(|_| area.height >= 8 && area.width >= 24);
    let Some(past) = past else {
        let inner = framed_popup(buffer, area, &title, "", &app.theme);
        let words = "no history of this column is kept, or there is none yet";
        put(buffer, inner.x, inner.y, inner.width, words, app.theme.role(Role::Muted));
        return;
    };
    let say = |value: f64| about.number(value, true, app.style());
    let range = range(&past, say);
    let inner = framed_popup(buffer, area, &title, &range, &app.theme);
    let plot = Rect::new(inner.x + AXIS, inner.y, inner.width - AXIS - 1, inner.height - 3);
    let slots = usize::from(plot.width) * 2;
    let shown = past.points.get(past.points.len().saturating_sub(slots)..).unwrap_or(&past.points);
    let graph = Graph {
        points: shown.iter().map(|(_, value)| value - past.low).collect(),
        top: past.high - past.low,
        marks: past.marks.iter().map(|(mark, level)| (mark - past.low, *level)).collect(),
        role: Role::Value,
        lines: plot.height,
    };
    for line in 0..plot.height {
        strip(buffer, Rect { y: plot.y + line, height: 1, ..plot }, &graph, line, &app.theme);
    }
    axis(app, buffer, plot, &past, about);
    times(app, buffer, plot, shown);
    let at = shown.len().saturating_sub(1 + cursor.min(shown.len().saturating_sub(1)));
    if let (Some((time, value)), Some((last, _))) = (shown.get(at), shown.last()) {
        let x = plot.x + usize::midpoint(slots - shown.len(), at) as u16;
        tint(buffer, Rect::new(x, plot.y, 1, plot.height), app.theme.selected());
        let value = if value.is_finite() { say(*value) } else { "–".to_owned() };
        let line = Rect::new(inner.x, inner.bottom() - 1, inner.width, 1);
        let mut words = plain(format!(" {value}"), Role::Title);
        words.push(Item::Text(format!("  {} ago", unit::span(last.since(*time))).into(), Role::Plain));
        super::paint::line(buffer, line, &words, &app.theme);
    }
}

/// Newest, smallest and largest of the points.
fn range(past: &Past, say: impl Fn(f64) -> String) -> String {
    let finite = || past.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    let (least, most) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let now = past.points.last().filter(|(_, value)| value.is_finite());
    let now = now.map_or_else(|| "–".to_owned(), |(_, value)| say(*value));
    format!("now {now}  least {}  most {}", say(least), say(most))
}

/// Numbers at the left: the ends, the middle where there is room, and thresholds with their glyphs.
fn axis(app: &App, buffer: &mut Buffer, plot: Rect, past: &Past, about: &Column) {
    let say = |value: f64| about.number(value, true, app.style());
    let left = plot.x - AXIS;
    let lines = f64::from(plot.height);
    let mut write = |line: u16, words: &str, style| {
        let words = fit(words, usize::from(AXIS) - 2, true);
        put(buffer, left, plot.y + line, AXIS - 2, &words, style);
        put(buffer, plot.x - 1, plot.y + line, 1, "┤", app.theme.frame());
    };
    let span = past.high - past.low;
    let steps: u16 = if plot.height >= 16 { 4 } else { 2 };
    for step in 0..=steps {
        let value = past.low + span * f64::from(step) / f64::from(steps);
        let line = (lines - 1.0) * (1.0 - f64::from(step) / f64::from(steps));
        write(line.round() as u16, &say(value), app.theme.role(Role::Label));
    }
    for (mark, level) in past.marks.iter().filter(|(mark, _)| (past.low..=past.high).contains(mark)) {
        let below = ((mark - past.low) / span * lines).floor().min(lines - 1.0);
        let line = plot.height - 1 - below as u16;
        write(line, &format!("{}{}", say(*mark), glyph(*level)), app.theme.level(*level));
    }
    for line in 0..plot.height {
        if buffer.cell((plot.x - 1, plot.y + line)).is_some_and(|cell| cell.symbol() == " ") {
            put(buffer, plot.x - 1, plot.y + line, 1, "│", app.theme.frame());
        }
    }
}

/// The axis below: how long ago.
fn times(app: &App, buffer: &mut Buffer, plot: Rect, shown: &[(Mono, f64)]) {
    let y = plot.bottom();
    let base = format!("└{}", "─".repeat(usize::from(plot.width)));
    put(buffer, plot.x - 1, y, plot.width + 1, &base, app.theme.frame());
    put(buffer, plot.right().saturating_sub(3), y + 1, 3, "now", app.theme.role(Role::Label));
    let Some((last, _)) = shown.last() else { return };
    let slots = usize::from(plot.width) * 2;
    // about every twenty cells, as far as there are points
    for cells in (20..plot.width).step_by(20) {
        let slot = slots - usize::from(cells) * 2;
        let Some((time, _)) = (slot + shown.len()).checked_sub(slots).and_then(|at| shown.get(at)) else { break };
        let words = unit::span(last.since(*time));
        let x = plot.right() - cells;
        put(buffer, x, y, 1, "┴", app.theme.frame());
        let start = x.saturating_sub(width(&words) as u16 / 2).max(plot.x);
        put(buffer, start, y + 1, plot.right().saturating_sub(start), &words, app.theme.role(Role::Label));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{Ability, Depth};

    fn drawn(graph: &Graph, width: u16) -> Vec<String> {
        let theme = Theme::named("default", None, Ability { depth: Depth::True, ascii: false }).unwrap();
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, graph.lines));
        for line in 0..graph.lines {
            strip(&mut buffer, Rect::new(0, line, width, 1), graph, line, &theme);
        }
        let rows = buffer.content.chunks(usize::from(width));
        rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
    }

    #[test]
    fn a_graph_grows_over_its_lines_and_gaps_stay_blank() {
        let points = vec![0.0, 0.5, f64::NAN, 1.0, 2.0];
        let graph = Graph { points, top: 1.0, marks: Vec::new(), role: Role::Value, lines: 2 };
        assert_eq!(drawn(&graph, 3), ["  ⣿", "⢀⡇⣿"].map(str::to_owned));
    }

    #[test]
    fn a_threshold_is_a_line_where_nothing_is_drawn_above_it() {
        let marks = vec![(0.5, Level::Careful), (0.9, Level::Critical)];
        let graph = Graph { points: vec![0.1; 2], top: 1.0, marks, role: Role::Value, lines: 4 };
        assert_eq!(drawn(&graph, 2), ["  ", "┈┈", "  ", " ⣤"].map(str::to_owned));
    }
}
