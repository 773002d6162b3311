//! How is one number drawn so that one glance is enough? As a bar with its thresholds, or beside others in a grid.

use std::sync::Arc;

use super::line::{self, gap};
use super::number::{self, NUMBER, Number};
use super::{Block, Body, Cx, Item, Line, Role, Space, list, pick};
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
    cx.views.get(&table.name).filter(|view| !view.is_empty()).ok_or_else(|| pick::why(cx, table))
}

/// Label, bar, number, and the past where there is room.
pub(super) fn gauge(cx: &Cx<'_>, view: &View, column: usize, name: &'static str, width: u16) -> Line {
    let mut out = vec![
        line::left(name, Role::Label, LABEL),
        number::bar(cx, view, 0, column, 0),
        number::number(cx, view, 0, column).cell(NUMBER),
    ];
    if width >= WITH_PAST {
        out.push(gap());
        out.push(number::spark(cx, view, 0, column, width / 4, Some(1.0)));
    }
    out
}

/// The past of a number over the whole width.
pub(super) fn past(cx: &Cx<'_>, view: &View, row: usize, column: usize, width: u16, top: Option<f64>) -> Line {
    vec![number::spark(cx, view, row, column, width, top)]
}

/// Labels with numbers in as many columns as fit.
pub(super) fn grid(pairs: Vec<(&'static str, Number)>, width: u16) -> Vec<Line> {
    let each = LABEL + NUMBER + 1;
    let across = ((width + 1) / each).clamp(1, 4);
    // what is left goes between label and number, so that columns of all lines stand one below the other
    let name = LABEL + ((width + 1) / across).saturating_sub(each).min(6);
    let mut lines: Vec<Line> = Vec::new();
    for (i, (label, number)) in pairs.into_iter().enumerate() {
        if i % usize::from(across) == 0 {
            lines.push(number::pair(label, name, number));
        } else if let Some(last) = lines.last_mut() {
            last.push(gap());
            last.extend(number::pair(label, name, number));
        }
    }
    lines
}

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
