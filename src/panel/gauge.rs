//! How is one number drawn so that one glance is enough? As a bar with its thresholds, or beside others in a grid.

use std::sync::Arc;

use super::line::{self, gap};
use super::number::{self, NUMBER, Number, Top};
use super::{Block, Body, Cx, Item, Line, Role, Space, list, pick, toggle};
use crate::model::{Level, Table};
use crate::store::rate::View;

/// Cells of a label in a grid or before a bar.
pub(super) const LABEL: u16 = 5;
/// Cells of width from which a bar has its past beside it.
const WITH_PAST: u16 = 44;

/// The view of a table of a single row.
///
/// # Errors
/// The body that says why there is none.
pub(super) fn single(cx: &Cx<'_>, table: &Table) -> Result<Arc<View>, Body> {
    cx.views.get(&table.name).filter(|view| !view.is_empty()).ok_or_else(|| pick::why(cx, table, pick::NONE))
}

/// Label, bar, number, and the past where there is room.
pub(super) fn gauge(cx: &Cx<'_>, view: &View, column: usize, name: (&'static str, u16), width: u16) -> Line {
    with_past(cx, view, (0, column), (name, number::bar(cx, view, 0, column, 0)), width)
}

/// The same for any row and bar.
pub(super) fn with_past(
    cx: &Cx<'_>,
    view: &View,
    (row, column): (usize, usize),
    ((name, label), bar): ((&'static str, u16), Item),
    width: u16,
) -> Line {
    let number = number::number(cx, view, row, column).cell(NUMBER);
    let mut out = vec![line::left(name, Role::Label, label), bar, number];
    if width >= WITH_PAST && !cx.on(toggle::NO_SPARKLINES) {
        out.push(gap());
        out.push(number::spark(cx, view, row, column, width / 3, Some(1.0)));
    }
    out
}

/// A graph of a number in the lines that are left: `taken` are those of the rest and those of it that matter more.
pub(super) fn past(
    cx: &Cx<'_>,
    view: &View,
    (row, column): (usize, usize),
    space: Space,
    (taken, needed): (usize, usize),
    top: Top,
) -> Vec<Line> {
    let left = |taken: usize| usize::from(space.height).saturating_sub(taken);
    let lines = left(taken).max(left(taken.min(needed)).min(1)) as u16;
    if cx.on(toggle::NO_SPARKLINES) {
        return Vec::new();
    }
    number::graph(cx, view, (row, column), (space.width, lines), top, Role::Value)
}

/// One number of a grid.
pub(super) struct Named {
    /// What it is of, in at most five cells.
    pub(super) short: &'static str,
    /// The same where there is room.
    pub(super) long: &'static str,
    /// The number.
    pub(super) number: Number,
    /// What its part of a bar looks like.
    pub(super) part: Option<Role>,
}

impl Named {
    /// A number without a bar.
    pub(super) fn new((short, long): Name, number: Number) -> Self {
        Self { short, long, number, part: None }
    }
}

/// A short and a long name.
pub(super) type Name = (&'static str, &'static str);

/// Cells of a number in a grid: those of the number alone.
const CELLS: u16 = NUMBER - 1;
/// Most cells between what a number is of and the number.
const STRETCH: u16 = 6;
/// Most numbers in a line: more are read no faster.
const ACROSS: u16 = 6;
/// Cells of width from which numbers have the color of their part of a bar beside them.
const KEYED: u16 = 30;

/// Labels with numbers in as many columns as fit, with long names where these cost no line.
pub(super) fn grid(named: Vec<Named>, width: u16) -> Vec<Line> {
    let key = u16::from(width >= KEYED && named.iter().any(|one| one.part.is_some()));
    // a long name keeps a cell between itself and its number, and two behind that
    let longest = named.iter().map(|one| line::cells(one.long)).max().unwrap_or(0).max(LABEL) + 2;
    let across = |label: u16, most: u16| ((width + 1) / (key + label + CELLS + 1)).clamp(1, most);
    let count = named.len().max(1);
    let rows = |across: u16| count.div_ceil(usize::from(across));
    // a number touches its name only where room is short
    let touch = key > 0 || (width < KEYED && across(LABEL + 1, 4) < across(LABEL, 4));
    let short = if touch { LABEL } else { LABEL + 1 };
    let long = rows(across(longest, ACROSS)) <= rows(across(short, 4));
    let (least, most) = if long { (longest, ACROSS) } else { (short, 4) };
    // as few columns as the lines allow; what is left goes between label and number
    let across = count.div_ceil(rows(across(least, most))) as u16;
    let label = least - u16::from(long);
    let label = label + ((width + 1) / across).saturating_sub(key + least + CELLS + 1).min(STRETCH);
    let mut lines: Vec<Line> = Vec::new();
    for (i, one) in named.into_iter().enumerate() {
        if i % usize::from(across) == 0 {
            lines.push(Line::new());
        }
        let Some(last) = lines.last_mut() else { continue };
        if !last.is_empty() {
            last.push(gap());
            if long {
                last.push(gap());
            }
        }
        if key > 0 {
            last.push(match one.part {
                Some(role) => Item::Bar { parts: vec![(KEY, role)], marks: Vec::new(), width: key },
                None => gap(),
            });
        }
        last.push(line::left(if long { one.long } else { one.short }, Role::Label, label));
        last.push(one.number.cell(CELLS));
    }
    lines
}

/// Share of a cell that shows the color of a part.
const KEY: f64 = 0.5;

/// A block of lines with what stands beside its heading.
pub(super) fn block(cx: &Cx<'_>, space: Space, title: &'static str, about: (&Table, Line), all: Vec<Line>) -> Block {
    list::lines(all, space).block(title, about.1, pick::stale(cx, about.0))
}

/// The role of a share in a stacked bar.
pub(super) fn part(share: Option<f64>, level: Level, ordinary: Role) -> Option<(f64, Role)> {
    let role = if level > Level::Ok { Role::Level(level) } else { ordinary };
    share.filter(|share| *share > 0.0).map(|share| (share.min(1.0), role))
}

/// Cuts stacked parts where they reach the end of the bar.
pub(super) fn stacked(parts: impl Iterator<Item = (f64, Role)>, marks: Vec<f64>, width: u16) -> Item {
    let mut left = 1.0_f64;
    let parts = parts.map(|(share, role)| {
        let share = share.min(left);
        left -= share;
        (share, role)
    });
    Item::Bar { parts: parts.filter(|(share, _)| *share > 0.0).collect(), marks, width }
}
