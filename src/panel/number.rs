//! How is one cell written in a panel?
//!
//! Missing is `–`, an unknown rate `?`, zero is muted, and a level is that of the thresholds. What has no unit of time in a
//! counter is a rate, unless totals are asked for.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Cx, Graph, Item, Line, Role, line};
use crate::model::{Cell, Column, Detail, HistoryAsk, Key, Kind, Level, Style, Writing, unit};
use crate::store::rate::View;

/// Cells of a number with its suffix.
pub(super) const NUMBER: u16 = 6;

/// A written number and what it means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    /// As written.
    pub(super) words: Cow<'static, str>,
    /// Meaning.
    pub(super) role: Role,
}

impl Number {
    /// Nothing was measured.
    pub(super) const MISSING: Self = Self { words: Cow::Borrowed("–"), role: Role::Muted };
    /// A rate that the next sample will know.
    pub(super) const UNKNOWN: Self = Self { words: Cow::Borrowed("?"), role: Role::Muted };

    /// A number at a level; zero is muted.
    pub(super) fn new(words: String, value: f64, level: Level) -> Self {
        let role = match level {
            Level::Ok if value == 0.0 => Role::Muted,
            Level::Ok => Role::Value,
            level => Role::Level(level),
        };
        Self { words: Cow::Owned(words), role }
    }

    /// In a column of `width`, at the right.
    pub(super) fn cell(self, width: u16) -> Item {
        line::right(self.words, self.role, width)
    }

    /// As it is.
    pub(super) fn text(self) -> Item {
        line::text(self.words, self.role)
    }
}

/// The user's style with the switches applied.
pub(super) fn style(cx: &Cx<'_>) -> Style {
    Style { bits: cx.style.bits || cx.on(super::toggle::BITS), ..cx.style }
}

/// The cell as the view has it: a counter's rate, any other's value.
pub(super) fn number(cx: &Cx<'_>, view: &View, row: usize, column: usize) -> Number {
    match view.cell(row, column).number() {
        Some(value) => {
            let Some(about) = view.table().columns.get(column) else { return Number::MISSING };
            Number::new(about.number(value, true, style(cx)), value, cx.levels.level(view, row, column))
        }
        None if view.unknown(row, column) => Number::UNKNOWN,
        None => Number::MISSING,
    }
}

/// The cell as it was measured: a counter's total.
pub(super) fn total(cx: &Cx<'_>, view: &View, row: usize, column: usize) -> Number {
    let Some(value) = view.raw().cell(row, column).number() else { return Number::MISSING };
    let Some(about) = view.table().columns.get(column) else { return Number::MISSING };
    Number::new(amount(cx, value, about), value, Level::Ok)
}

/// A total: traffic in powers of ten and in bits if asked for.
fn amount(cx: &Cx<'_>, value: f64, column: &Column) -> String {
    let bits = style(cx).bits && column.attrs.traffic;
    let style = Style { binary: cx.style.binary && !column.attrs.traffic, bits };
    let words = unit::quantity(if bits { value * 8.0 } else { value }, column.unit, style);
    if bits { words + "b" } else { words }
}

/// Sum of two columns of one unit, in the place of one number.
pub(super) fn sum(cx: &Cx<'_>, view: &View, row: usize, columns: (usize, usize), totals: bool) -> Number {
    let value = |column| if totals { view.raw().cell(row, column).number() } else { view.cell(row, column).number() };
    let (Some(a), Some(b)) = (value(columns.0), value(columns.1)) else {
        let unknown = !totals && view.unknown(row, columns.0);
        return if unknown { Number::UNKNOWN } else { Number::MISSING };
    };
    let Some(about) = view.table().columns.get(columns.0) else { return Number::MISSING };
    if totals {
        return Number::new(amount(cx, a + b, about), a + b, Level::Ok);
    }
    let level = cx.levels.level(view, row, columns.0).max(cx.levels.level(view, row, columns.1));
    Number::new(about.number(a + b, true, style(cx)), a + b, level)
}

/// Any cell as words: names, labels with their level, addresses, instants as ages, numbers as [`number`] has them.
pub(super) fn words(cx: &Cx<'_>, view: &View, row: usize, column: usize) -> Number {
    let level = || cx.levels.level(view, row, column);
    let plain = |words: String, level: Level| {
        let role = if level > Level::Ok { Role::Level(level) } else { Role::Plain };
        Number { words: Cow::Owned(words), role }
    };
    let Some(about) = view.table().columns.get(column) else { return Number::MISSING };
    let cell = view.cell(row, column);
    let number = matches!(cell, Cell::U64(_) | Cell::I64(_) | Cell::F64(_) | Cell::Duration(_) | Cell::Missing);
    // an identity stays exact, and so does what people know by heart
    if number && about.kind != Kind::Id && !about.attrs.exact {
        return self::number(cx, view, row, column);
    }
    let own = if let Cell::Label(word) = cell { about.label_level(word) } else { Level::Ok };
    let writing = Writing { rate: true, style: style(cx), now: cx.now, exact: 0 };
    about.words(&cell, writing).map_or(Number::MISSING, |words| plain(words, own.max(level())))
}

/// Newest points of a column of a row, at most `count`; empty when nothing is remembered.
pub(super) fn points(cx: &Cx<'_>, view: &View, key: Key, column: usize, count: u16) -> Vec<f64> {
    let Some(about) = view.table().columns.get(column) else { return Vec::new() };
    if cx.on(super::toggle::NO_SPARKLINES) {
        return Vec::new();
    }
    let detail = Detail::Newest(usize::from(count));
    let ask = HistoryAsk { detail, ..HistoryAsk::all(&view.table().name, &about.name, key) };
    cx.host.history(&ask).unwrap_or_default().points.iter().map(|point| point.mean).collect()
}

/// A sparkline with `width` cells, two points a cell, or blanks while nothing is remembered.
pub(super) fn spark(cx: &Cx<'_>, view: &View, row: usize, column: usize, width: u16, top: Option<f64>) -> Item {
    let points = points(cx, view, view.key(row), column, width.saturating_mul(2));
    Item::Spark { points, top, role: Role::Accent, width }
}

/// Where the scale of a graph ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Top {
    /// Always there.
    At(f64),
    /// At the largest point, and not below this.
    Least(f64),
}

/// Cells of the numbers beside a graph.
const AXIS: u16 = 6;

/// A graph of a number's past over `lines` lines with the ends of its scale where there is room for them.
pub(super) fn graph(
    cx: &Cx<'_>,
    view: &View,
    (row, column): (usize, usize),
    (width, lines): (u16, u16),
    top: Top,
    role: Role,
) -> Vec<Line> {
    let axis = if width >= 5 * AXIS && lines > 1 { AXIS } else { 0 };
    let points = points(cx, view, view.key(row), column, width.saturating_sub(axis).saturating_mul(2));
    let most = points.iter().copied().filter(|point| point.is_finite()).fold(0.0, f64::max);
    let top = match top {
        Top::At(top) => top,
        Top::Least(least) => most.max(least),
    };
    let top = if top > 0.0 { top } else { 1.0 };
    let levels = [Level::Careful, Level::Warning, Level::Critical];
    let marks = cx.levels.marks(view.table(), column).into_iter().flat_map(|marks| marks.into_iter().zip(levels));
    let graph = Arc::new(Graph { points, top, marks: marks.collect(), role, lines });
    let about = view.table().columns.get(column);
    let end = |line: u16| match about.filter(|_| axis > 0) {
        Some(about) if line == 0 => about.number(top, true, style(cx)),
        Some(about) if line + 1 == lines => about.number(0.0, true, style(cx)),
        _ => String::new(),
    };
    let one = |line: u16| {
        let mut out = Line::new();
        if axis > 0 {
            out.extend([line::right(end(line), Role::Muted, axis - 1), line::gap()]);
        }
        out.push(Item::Graph { graph: Arc::clone(&graph), line, width: width.saturating_sub(axis) });
        out
    };
    (0..lines).map(one).collect()
}

/// A bar of a share with its thresholds marked.
pub(super) fn bar(cx: &Cx<'_>, view: &View, row: usize, column: usize, width: u16) -> Item {
    let share = view.cell(row, column).number();
    let level = cx.levels.level(view, row, column);
    let role = if level > Level::Ok { Role::Level(level) } else { Role::Value };
    let parts = share.map(|share| (share.clamp(0.0, 1.0), role)).into_iter().collect();
    Item::Bar { parts, marks: marks(cx, view, column), width }
}

/// Thresholds of a column that lie on a bar from 0 to 1.
pub(super) fn marks(cx: &Cx<'_>, view: &View, column: usize) -> Vec<f64> {
    let marks = cx.levels.marks(view.table(), column);
    marks.into_iter().flatten().filter(|mark| (0.0..1.0).contains(mark)).collect()
}
