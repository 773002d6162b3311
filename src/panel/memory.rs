//! Is there memory left, and does the host swap?

use super::gauge::{self, gauge};
use super::number::{self, Number};
use super::{Block, Cx, Line, PanelDef, Space, pick, toggle};
use crate::col;
use crate::collect::memory::MemoryRow;
use crate::model::{Demand, Level, Unit, unit};
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "memory", title: "Memory", key: None, demands, build };

/// Kinds of memory, the most telling first.
const KINDS: &[(&str, usize)] = &[
    ("avail", col!(MemoryRow, available)),
    ("cache", col!(MemoryRow, cached)),
    ("free", col!(MemoryRow, free)),
    ("anon", col!(MemoryRow, anon)),
    ("slab", col!(MemoryRow, slab)),
    ("dirty", col!(MemoryRow, dirty)),
    ("in/s", col!(MemoryRow, swap_in)),
    ("out/s", col!(MemoryRow, swap_out)),
    ("shmem", col!(MemoryRow, shmem)),
    ("buf", col!(MemoryRow, buffers)),
];

/// Shown only where they are in use.
const SOME: &[(&str, usize)] = &[
    ("huge", col!(MemoryRow, hugepage_total)),
    ("ARC", col!(MemoryRow, arc)),
    ("KSM", col!(MemoryRow, ksm_saved)),
    ("zram", col!(MemoryRow, zram)),
    ("zswap", col!(MemoryRow, zswap)),
];

fn demands() -> Vec<Demand> {
    vec![Demand::table(&MemoryRow::TABLE.name)]
}

/// Bars of memory and swap, for quick look.
pub(super) fn bars(cx: &Cx<'_>, view: &View, width: u16) -> Vec<Line> {
    let mut out = vec![gauge(cx, view, col!(MemoryRow, used), "MEM", width)];
    out.extend(swap(cx, view, width));
    out
}

/// Bar of swap; `None` on a host that has none, where there is nothing to fill.
fn swap(cx: &Cx<'_>, view: &View, width: u16) -> Option<Line> {
    let total = view.cell(0, col!(MemoryRow, swap_total)).number()?;
    (total > 0.0).then(|| gauge(cx, view, col!(MemoryRow, swap_used), "swap", width))
}

fn used(cx: &Cx<'_>, view: &View) -> Number {
    let cell = |column| view.cell(0, column).number();
    match (cell(col!(MemoryRow, total)), cell(col!(MemoryRow, available))) {
        (Some(total), Some(available)) => {
            let used = total - available;
            Number::new(unit::quantity(used, Unit::Bytes, number::style(cx)), used, Level::Ok)
        }
        _ => Number::MISSING,
    }
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, MemoryRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty("Memory", body),
    };
    let note = vec![number::number(cx, &view, 0, col!(MemoryRow, used)).text()];
    let mut pairs = vec![("used", used(cx, &view))];
    let number = |column: usize| number::number(cx, &view, 0, column);
    pairs.extend(KINDS.iter().map(|(name, column)| (*name, number(*column))));
    let in_use = SOME.iter().filter(|(_, column)| view.cell(0, *column).number().is_some_and(|value| value > 0.0));
    pairs.extend(in_use.map(|(name, column)| (*name, number(*column))));
    let mut grid = gauge::grid(pairs, space.width).into_iter();
    let mut lines = vec![gauge(cx, &view, col!(MemoryRow, used), "mem", space.width)];
    lines.extend(grid.next());
    lines.extend(swap(cx, &view, space.width));
    if space.height > 5 && !cx.on(toggle::NO_SPARKLINES) {
        lines.push(gauge::past(cx, &view, 0, col!(MemoryRow, used), space.width, Some(1.0)));
    }
    lines.extend(grid);
    gauge::block(cx, space, "Memory", (MemoryRow::TABLE, note), lines)
}
