//! What did one number do over time?
//!
//! A graph is drawn in braille, two points a cell and four steps a line, and each line has the color of the level that its
//! height stands for. Panels draw lines of it ([`strip`]), and the graph of one cell fills the screen with an axis, the
//! range and the value under the cursor; where a point stands for several samples, a veil above their mean reaches up to
//! their most.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::App;
use super::overlay::{framed_popup, plain};
use super::paint::{clear, glyph, put, tint};
use super::stretch::Stretch;
use super::text::{fit, width};
use super::theme::Theme;
use crate::model::{Column, Key, Kind, Level, Point, Table, unit};
use crate::panel::{Graph, Item, Line, Role, Span, Views as _};
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
    strip_with(buffer, area, graph, &[], line, theme);
}

/// Draws one line of a graph, and as a veil above each point how far `most` goes.
fn strip_with(buffer: &mut Buffer, area: Rect, graph: &Graph, most: &[f64], line: u16, theme: &Theme) {
    let lines = graph.lines.max(1);
    let below = lines.saturating_sub(1 + line);
    let slots = usize::from(area.width) * 2;
    let shown = graph.points.get(graph.points.len().saturating_sub(slots)..).unwrap_or(&graph.points);
    let most = most.get(most.len().saturating_sub(slots)..).unwrap_or(most);
    let reach = |values: &[f64], slot: usize| -> usize {
        let at = (slot + values.len()).checked_sub(slots);
        let value = at.and_then(|at| values.get(at)).copied().filter(|value| value.is_finite());
        value.map_or(0, |value| height(value / graph.top, lines))
    };
    let base = usize::from(below) * 4;
    let dots = |slot: usize| reach(shown, slot).saturating_sub(base).min(4);
    let veil = |slot: usize| {
        let (from, to) = (reach(shown, slot), reach(most, slot));
        // every second dot, and the one at the top
        let is_set = |dot: usize| (from..to).contains(&dot) && (dot + 1 == to || (dot + slot).is_multiple_of(2));
        (0..4).filter(|dot| is_set(base + dot)).fold(0, |bits, dot| bits | one(slot, dot))
    };
    let middle = (f64::from(below) + 0.5) / f64::from(lines) * graph.top;
    let level = graph.marks.iter().filter(|(from, _)| *from <= middle).map(|(_, level)| *level).max();
    let role = level.filter(|level| *level > Level::Ok).map_or(graph.role, Role::Level);
    let threshold = threshold(graph, below);
    for i in 0..usize::from(area.width) {
        let (left, right) = (dots(i * 2), dots(i * 2 + 1));
        let bits = LEFT.get(left).copied().unwrap_or(0) | RIGHT.get(right).copied().unwrap_or(0);
        let veiled = if most.is_empty() { 0 } else { veil(i * 2) | veil(i * 2 + 1) };
        let Some(cell) = buffer.cell_mut((area.x + i as u16, area.y)) else { continue };
        if bits | veiled > 0
            && let Some(ch) = char::from_u32(0x2800 + (bits | veiled))
        {
            let weak = bits == 0 && role == graph.role;
            cell.set_char(ch).set_style(if weak { theme.role(Role::Label) } else { theme.bar(role) });
        } else if threshold {
            cell.set_symbol("┈").set_style(theme.frame());
        }
    }
}

/// The dot of a slot at a height within a cell.
fn one(slot: usize, dot: usize) -> u32 {
    let column = if slot.is_multiple_of(2) { LEFT } else { RIGHT };
    let upto = |dots: usize| column.get(dots).copied().unwrap_or(0);
    upto(dot + 1) ^ upto(dot)
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
    stretch: Stretch,
    low: f64,
    high: f64,
    marks: Vec<(f64, Level)>,
}

fn past(app: &App, schema: &Table, key: &Key, at: usize, (zoom, slots): (usize, usize)) -> Option<Past> {
    let column = schema.columns.get(at)?;
    let mut stretch = super::stretch::of(app, schema, key, &column.name, (zoom, slots))?;
    if let Some(factor) = app.writing().factor(&schema.name, at) {
        let values = stretch.points.iter_mut().flat_map(|point| [&mut point.mean, &mut point.least, &mut point.most]);
        values.chain([&mut stretch.newest]).for_each(|value| *value *= factor);
    }
    let measured = || stretch.points.iter().filter(|point| !point.is_gap());
    let low = measured().map(|point| point.least).fold(0.0, f64::min);
    let high = measured().map(|point| point.most).fold(0.0, f64::max);
    let high = if high > low { high } else { low + 1.0 };
    let levels = [Level::Careful, Level::Warning, Level::Critical];
    let marks = app.config.levels.marks(schema, at).map_or(Vec::new(), |marks| marks.into_iter().zip(levels).collect());
    Some(Past { stretch, low, high, marks })
}

/// Draws the history of a cell with its range, its span and the value under the cursor.
pub(super) fn draw(
    app: &App,
    buffer: &mut Buffer,
    area: Rect,
    (table, key): (&str, &Key),
    column: usize,
    (cursor, zoom): (usize, usize),
) {
    clear(buffer, area, app.theme.base());
    let Some(schema) = app.table(table) else { return };
    let Some(about) = schema.columns.get(column) else { return };
    let slots = usize::from(area.width.saturating_sub(AXIS + 3)) * 2;
    let past = Some((zoom, slots)).filter(|_| area.height >= 8 && area.width >= 24);
    let past = past.and_then(|view| self::past(app, schema, key, column, view));
    let mut title = title(app, schema, key, about);
    let Some(past) = past else {
        let inner = framed_popup(buffer, area, &title, "", &app.theme);
        let words = "no history of this column is kept, or there is none yet";
        put(buffer, inner.x, inner.y, inner.width, words, app.theme.role(Role::Muted));
        return;
    };
    let stretch = &past.stretch;
    app.reach.set(stretch.zooms);
    app.slots.set(stretch.points.len());
    title.push(Item::Text(format!("  last {}", stretch.span).into(), Role::Plain));
    if let Some(slot) = &stretch.thinned {
        title.push(Item::Text(format!(", means and maxima of {slot}").into(), Role::Plain));
    }
    let say = |value: f64| about.number(value, true, app.style());
    let taken: usize = title.iter().map(|item| if let Item::Text(text, _) = item { width(text) } else { 0 }).sum();
    let range = range(&past, say, usize::from(area.width).saturating_sub(taken + 8));
    let inner = framed_popup(buffer, area, &title, &range, &app.theme);
    let plot = Rect::new(inner.x + AXIS, inner.y, inner.width - AXIS - 1, inner.height - 3);
    let graph = Graph {
        points: stretch.points.iter().map(|point| point.mean - past.low).collect(),
        top: past.high - past.low,
        marks: past.marks.iter().map(|(mark, level)| (mark - past.low, *level)).collect(),
        role: Role::Value,
        lines: plot.height,
    };
    let most = stretch.points.iter().filter(|_| stretch.thinned.is_some()).map(|point| point.most - past.low);
    let most: Vec<f64> = most.collect();
    for line in 0..plot.height {
        strip_with(buffer, Rect { y: plot.y + line, height: 1, ..plot }, &graph, &most, line, &app.theme);
    }
    axis(app, buffer, plot, &past, about);
    super::timeline::draw(app, buffer, plot, stretch);
    let spans = spans(app, table, key);
    super::timeline::alerts(app, buffer, plot, stretch, &spans);
    super::timeline::oldest(app, buffer, area, stretch);
    let at = stretch.points.len().saturating_sub(1 + cursor);
    if let Some(point) = stretch.points.get(at) {
        let x = plot.x + usize::midpoint(slots.saturating_sub(stretch.points.len()), at) as u16;
        tint(buffer, Rect::new(x, plot.y, 1, plot.height), app.theme.selected());
        let line = Rect::new(inner.x, inner.bottom() - 1, inner.width, 1);
        let mut words = under_cursor(app, stretch, at, point, say);
        words.extend(super::timeline::alert_at(app, stretch, at, &spans));
        super::paint::line(buffer, line, &words, &app.theme);
    }
}

/// When alerts about a row fired.
fn spans(app: &App, table: &str, key: &Key) -> Vec<Span> {
    let found = app.cache.get(table).and_then(|view| Some((view.find(key)?, view)));
    found.map_or_else(Vec::new, |(row, view)| crate::panel::spans(&app.cache, &view, row))
}

/// Whose column it is.
fn title(app: &App, schema: &Table, key: &Key, about: &Column) -> Line {
    let name = app.cache.get(&schema.name).and_then(|view| {
        let row = view.find(key)?;
        view.cell(row, schema.label_column()).text().map(str::to_owned)
    });
    let whose = name.map_or_else(|| schema.title().to_owned(), |name| format!("{} {name}", schema.title()));
    let mut title = plain(super::cell::heading(about, Mode::Rate), Role::Title);
    title.insert(0, Item::Text(format!("{whose}  ").into(), Role::Label));
    title
}

/// Value and time of a point.
fn under_cursor(app: &App, stretch: &Stretch, at: usize, point: &Point, say: impl Fn(f64) -> String) -> Line {
    let ago = stretch.ago(at);
    let clock = super::timeline::clock(app, stretch, ago, stretch.step);
    let when = Item::Text(format!("  {} ago  {clock}", unit::span(ago)).into(), Role::Plain);
    if point.is_gap() {
        return vec![Item::Text(" –  nothing was measured".into(), Role::Muted), when];
    }
    if stretch.thinned.is_none() {
        return vec![Item::Text(format!(" {}", say(point.mean)).into(), Role::Title), when];
    }
    let mut words = Vec::new();
    for (name, value) in [("mean", point.mean), ("least", point.least), ("most", point.most)] {
        words.push(Item::Text(format!(" {name} ").into(), Role::Label));
        words.push(Item::Text(format!("{} ", say(value)).into(), Role::Title));
    }
    words.push(when);
    words
}

/// Newest, smallest and largest of what is shown, as far as there is room.
fn range(past: &Past, say: impl Fn(f64) -> String, room: usize) -> String {
    let measured = || past.stretch.points.iter().filter(|point| !point.is_gap());
    let least = measured().map(|point| point.least).fold(f64::NAN, f64::min);
    let most = measured().map(|point| point.most).fold(f64::NAN, f64::max);
    let say = |value: f64| if value.is_finite() { say(value) } else { "–".to_owned() };
    let words = [("now", past.stretch.newest), ("most", most), ("least", least)];
    let words: Vec<String> = words.into_iter().map(|(name, value)| format!("{name} {}", say(value))).collect();
    let fits = (0..=words.len()).rev().map(|count| words.iter().take(count).cloned().collect::<Vec<_>>().join("  "));
    fits.into_iter().find(|words| width(words) <= room).unwrap_or_default()
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
    fn a_veil_reaches_from_the_mean_to_the_most_and_a_gap_has_none() {
        let theme = Theme::named("default", None, Ability { depth: Depth::True, ascii: false }).unwrap();
        let points = vec![0.25, 0.25, f64::NAN, 0.5];
        let graph = Graph { points, top: 1.0, marks: Vec::new(), role: Role::Value, lines: 2 };
        let mut buffer = Buffer::empty(Rect::new(0, 0, 2, 2));
        let most = [1.0, 0.25, f64::NAN, 0.5];
        (0..2).for_each(|line| strip_with(&mut buffer, Rect::new(0, line, 2, 1), &graph, &most, line, &theme));
        let screen: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        // up to a quarter everything, then every second dot and the one at the top
        assert_eq!(screen, "⡃ ⣦⢸");
        let style = |x, y| buffer.cell((x, y)).unwrap().style().fg;
        assert_ne!(style(0, 0), style(0, 1), "a veil alone is weaker");
    }

    #[test]
    fn a_threshold_is_a_line_where_nothing_is_drawn_above_it() {
        let marks = vec![(0.5, Level::Careful), (0.9, Level::Critical)];
        let graph = Graph { points: vec![0.1; 2], top: 1.0, marks, role: Role::Value, lines: 4 };
        assert_eq!(drawn(&graph, 2), ["  ", "┈┈", "  ", " ⣤"].map(str::to_owned));
    }
}
