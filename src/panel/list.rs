//! How does a table become a list that fits into any room?
//!
//! A [`List`] names columns in the order shown with a rank; those of the highest rank go first when room is short. What does
//! not fit below is counted, and the list scrolls.

use std::borrow::Cow;

use super::line::{self, gap};
use super::number::{self, NUMBER, Number, Top};
use super::pick::{self, Pick, Picked};
use super::{Block, Body, Cx, Item, Line, Role, Space, arrange, toggle};
use crate::model::{Level, Table};
use crate::store::rate::View;

/// Fewest lines with which a list has headings.
const HEADED: u16 = 2;
/// Cells between columns.
const GAP: u16 = 1;

/// What a column of a list shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Show {
    /// A rate or value.
    Of(usize),
    /// A number that should be zero: it stands out when it is not.
    Bad(usize),
    /// A counter's total.
    Total(usize),
    /// Two columns of one unit as one number; totals if said so.
    Sum(usize, usize, bool),
    /// A bar of a share; grows into the room that is left.
    Bar(usize),
    /// The past of a number, up to a top if there is one; grows into the room that is left.
    Spark(usize, Option<f64>),
    /// The first of several that was measured.
    First(&'static [usize]),
    /// Words.
    Words(usize),
    /// Words, but for one that says that there is nothing to say.
    Unless(usize, &'static str),
}

/// One column of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    /// Heading.
    pub(super) title: Cow<'static, str>,
    /// Cells.
    pub(super) width: u16,
    /// The highest goes first when room is short; 0 stays.
    pub(super) rank: u8,
    /// Content.
    pub(super) show: Show,
}

impl Column {
    /// A number.
    pub(super) fn number(title: &'static str, rank: u8, show: Show) -> Self {
        Self { title: title.into(), width: NUMBER, rank, show }
    }

    /// A bar, a sparkline or words of at least `width` cells.
    pub(super) fn wide(title: &'static str, width: u16, rank: u8, show: Show) -> Self {
        Self { title: title.into(), width, rank, show }
    }

    fn grows(&self) -> bool {
        matches!(self.show, Show::Bar(_) | Show::Spark(..))
    }
}

/// A list of a table's rows.
pub(super) struct List {
    /// Heading of the panel.
    pub(super) title: &'static str,
    /// Heading of the names.
    pub(super) names: &'static str,
    /// The rows' table.
    pub(super) table: &'static Table,
    /// Least cells of a name.
    pub(super) name: u16,
    /// Columns whose sum says how busy a row is.
    pub(super) busy: Vec<usize>,
    /// In the order shown.
    pub(super) columns: Vec<Column>,
    /// What graphs below the list show of the busiest rows where there is room, side by side.
    pub(super) graphs: &'static [(&'static str, usize)],
}

/// The part of a panel that fits its room.
pub(super) struct Shown {
    pub(super) lines: Vec<Line>,
    /// Items that did not fit.
    pub(super) hidden: usize,
    /// First item shown.
    pub(super) scrolled: usize,
}

impl Shown {
    /// As a block.
    pub(super) fn block(self, title: &'static str, note: Line, stale: Option<f64>) -> Block {
        let Self { lines, hidden, scrolled } = self;
        Block { title: title.into(), note, hidden, scrolled, stale, body: Body::Lines(lines) }
    }
}

/// The block of a list.
pub(super) fn block(cx: &Cx<'_>, space: Space, list: List) -> Block {
    match pick::pick(cx, list.table, &list.busy) {
        Ok(picked) => filled(cx, space, list, &picked),
        Err(body) => pick::empty(list.title, body),
    }
}

/// The block of a list whose rows are already picked.
pub(super) fn filled(cx: &Cx<'_>, space: Space, mut list: List, picked: &Pick) -> Block {
    let table = list.table;
    list.columns.retain(|column| match column.show {
        Show::Words(at) if table.several().any(|one| one == at) => picked.tells(at),
        _ => column.rank == 0 || picked.rows.iter().any(|row| says(&picked.view, row.row, column)),
    });
    let longest = picked.rows.iter().map(|row| line::cells(&row.name)).max().unwrap_or(0);
    let longest = longest.max(line::cells(list.names));
    let name = fit(&mut list, space.width, longest);
    let mut lines = Vec::new();
    // numbers without names say less than one row more
    if space.height >= HEADED {
        lines.push(line::clip(heading(&list, name), space.width));
    }
    let room = usize::from(space.height).saturating_sub(lines.len());
    let shown = window(picked.rows.len(), room, space.scroll);
    for row in picked.rows.get(shown.clone()).unwrap_or_default() {
        lines.push(line::clip(one(cx, &list, picked, row, name), space.width));
    }
    if shown.len() == picked.rows.len() {
        let left = usize::from(space.height).saturating_sub(lines.len());
        lines.extend(graphs(cx, &list, picked, space.width, left as u16));
    }
    let note = vec![line::text(picked.rows.len().to_string(), Role::Muted)];
    let shown = Shown { lines, hidden: picked.rows.len() - shown.len(), scrolled: shown.start };
    shown.block(list.title, note, pick::stale(cx, list.table))
}

/// Whether a column tells anything of a row.
fn says(view: &View, row: usize, column: &Column) -> bool {
    let there = |at: usize| !view.cell(row, at).is_missing() || view.unknown(row, at);
    match column.show {
        Show::Of(at) | Show::Bad(at) | Show::Bar(at) | Show::Spark(at, _) | Show::Words(at) => there(at),
        Show::Total(at) => !view.raw().cell(row, at).is_missing(),
        Show::Unless(at, none) => view.raw().cell(row, at).text().is_some_and(|words| words != none),
        Show::Sum(a, b, _) => there(a) || there(b) || !view.raw().cell(row, a).is_missing(),
        Show::First(several) => several.iter().any(|at| there(*at)),
    }
}

/// Fewest lines of a graph with its heading and the line above.
const GRAPH: u16 = 6;
/// Fewest cells of it.
const NARROWEST: u16 = 16;
/// Most lines of it.
const TALLEST: u16 = 24;

/// Graphs of the busiest rows in the lines that a short list leaves.
fn graphs(cx: &Cx<'_>, list: &List, picked: &Pick, width: u16, left: u16) -> Vec<Line> {
    let mut busiest: Vec<&Picked> = picked.rows.iter().filter(|row| row.busy.is_some_and(|busy| busy > 0.0)).collect();
    busiest.sort_by(|a, b| b.step().cmp(&a.step()).then_with(|| pick::natural(&a.name, &b.name)));
    let count = usize::from(left / GRAPH).min(busiest.len().max(1));
    let across = list.graphs.len() as u16;
    if count == 0 || across == 0 || cx.on(toggle::NO_SPARKLINES) {
        return Vec::new();
    }
    let half = (width.saturating_add(2) / across).saturating_sub(2);
    if half < NARROWEST {
        return Vec::new();
    }
    let first = picked.rows.first().filter(|_| busiest.is_empty());
    let each = (left / count as u16).min(TALLEST).saturating_sub(2);
    let mut lines = Vec::new();
    for row in busiest.into_iter().chain(first).take(count) {
        let mut block = vec![Line::new(); usize::from(each) + 1];
        for (i, (title, column)) in list.graphs.iter().enumerate() {
            let number = number::number(cx, &picked.view, row.row, *column);
            let name = line::cut(&row.name, half.saturating_sub(NUMBER + line::cells(title) + 2)).into_owned();
            let heading = vec![
                line::text(name.clone(), Role::Title),
                line::text(format!(" {title} "), Role::Label),
                number.clone().text(),
            ];
            let taken = line::width(&heading);
            let role = if i == 0 { Role::Value } else { Role::Accent };
            let graph = number::graph(cx, &picked.view, (row.row, *column), (half, each), Top::Least(0.0), role);
            let pad = line::text(" ".repeat(usize::from(half.saturating_sub(taken))), Role::Plain);
            let parts = std::iter::once(heading.into_iter().chain([pad]).collect()).chain(graph);
            for (line, part) in block.iter_mut().zip(parts) {
                if i > 0 {
                    line.push(line::text("  ", Role::Plain));
                }
                line.extend::<Line>(part);
            }
        }
        lines.push(Line::new());
        lines.extend(block.into_iter().map(|one| line::clip(one, width)));
    }
    lines
}

/// Which of `count` items are shown in `room` lines when scrolled; never empty space while something is hidden above.
pub(super) fn window(count: usize, room: usize, scroll: usize) -> std::ops::Range<usize> {
    let first = scroll.min(count.saturating_sub(room));
    first..first.saturating_add(room).min(count)
}

/// Lines of a panel that is not a list, scrolled; what does not fit is counted.
pub(super) fn lines(all: Vec<Line>, space: Space) -> Shown {
    let count = all.len();
    let shown = window(count, usize::from(space.height), space.scroll);
    let hidden = count - shown.len();
    let lines = all.into_iter().skip(shown.start).take(shown.len()).map(|one| line::clip(one, space.width));
    Shown { lines: lines.collect(), hidden, scrolled: shown.start }
}

/// Drops columns until the rest fits and hands out what is left; returns the width of names.
fn fit(list: &mut List, room: u16, longest: u16) -> u16 {
    let least = longest.min(list.name);
    let taken = |columns: &[Column]| columns.iter().fold(0_u16, |sum, one| sum.saturating_add(one.width + GAP));
    while least.saturating_add(taken(&list.columns)) > room {
        let worst = list.columns.iter().enumerate().filter(|(_, one)| one.rank > 0).max_by_key(|(_, one)| one.rank);
        let Some(worst) = worst.map(|(at, _)| at) else { break };
        list.columns.remove(worst);
    }
    let mut left = room.saturating_sub(least).saturating_sub(taken(&list.columns));
    let name = least + left.min(longest.saturating_sub(least));
    left -= name - least;
    let growing = list.columns.iter().filter(|one| one.grows()).count() as u16;
    if growing == 0 {
        return name.saturating_add(left);
    }
    for one in list.columns.iter_mut().filter(|one| one.grows()) {
        one.width += left / growing;
    }
    name.saturating_add(left % growing)
}

fn heading(list: &List, name: u16) -> Line {
    let mut out = vec![line::left(list.names, Role::Label, name)];
    for column in &list.columns {
        out.push(gap());
        out.push(match column.show {
            Show::Words(_) | Show::Unless(..) | Show::Bar(_) | Show::Spark(..) => {
                line::left(column.title.clone(), Role::Label, column.width)
            }
            _ => line::right(column.title.clone(), Role::Label, column.width),
        });
    }
    out
}

fn one(cx: &Cx<'_>, list: &List, picked: &Pick, row: &Picked, name: u16) -> Line {
    let mut out = vec![line::left(line::cut_path(&row.name, name).into_owned(), row.role(), name)];
    let view = &picked.view;
    for column in &list.columns {
        out.push(gap());
        out.push(match column.show {
            Show::Of(at) => number::number(cx, view, row.row, at).cell(column.width),
            Show::Bad(at) => {
                let number = number::number(cx, view, row.row, at);
                let bad = number.role == Role::Value;
                Number { role: if bad { Role::Level(Level::Warning) } else { number.role }, ..number }
                    .cell(column.width)
            }
            Show::Total(at) => number::total(cx, view, row.row, at).cell(column.width),
            Show::Sum(a, b, totals) => number::sum(cx, view, row.row, (a, b), totals).cell(column.width),
            Show::First(several) => {
                let there = several.iter().copied().find(|at| !view.raw().cell(row.row, *at).is_missing());
                there.map_or(Number::MISSING, |at| number::number(cx, view, row.row, at)).cell(column.width)
            }
            Show::Bar(at) => number::bar(cx, view, row.row, at, column.width),
            Show::Spark(at, top) => number::spark(cx, view, row.row, at, column.width, top),
            Show::Words(at) => {
                let words = number::words(cx, view, row.row, at);
                line::left(words.words, words.role, column.width)
            }
            Show::Unless(at, none) => {
                let words = number::words(cx, view, row.row, at);
                let said = if words.words == none { "".into() } else { words.words };
                line::left(said, words.role, column.width)
            }
        });
    }
    if arrange::is_stale(view, row.row) {
        for item in &mut out {
            fade(item);
        }
    }
    out
}

/// Makes old what is on a line; how bad it was stays to be seen.
fn fade(item: &mut Item) {
    let (Item::Text(_, role) | Item::Cell { role, .. } | Item::Spark { role, .. }) = item else { return };
    if !matches!(role, Role::Level(_)) {
        *role = Role::Stale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_never_leaves_room_while_something_is_hidden() {
        assert_eq!(window(10, 4, 0), 0..4);
        assert_eq!(window(10, 4, 8), 6..10);
        assert_eq!(window(3, 4, 2), 0..3);
        assert_eq!(window(10, 0, 5), 5..5);
        assert_eq!(window(0, 4, 5), 0..0);
    }
}
