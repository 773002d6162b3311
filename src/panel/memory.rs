//! Is there memory left, and does the host swap?

use super::gauge::{self, LABEL, Name, Named, gauge};
use super::number::{self, Number, Top};
use super::{Block, Cx, Line, PanelDef, Role, Space, line, pick};
use crate::col;
use crate::collect::memory::MemoryRow;
use crate::model::{Demand, Level, Unit, unit};
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "memory", title: "Memory", key: None, demands, build };

/// Kinds of memory, the most telling first.
const KINDS: &[(Name, usize)] = &[
    (("avail", "available"), col!(MemoryRow, available)),
    (("cache", "cached"), col!(MemoryRow, cached)),
    (("free", "free"), col!(MemoryRow, free)),
    (("anon", "programs"), col!(MemoryRow, anon)),
    (("slab", "kernel"), col!(MemoryRow, slab)),
    (("dirty", "dirty"), col!(MemoryRow, dirty)),
    (("shmem", "shared"), col!(MemoryRow, shmem)),
    (("buf", "buffers"), col!(MemoryRow, buffers)),
];

/// Shown only where they are in use.
const SOME: &[(Name, usize)] = &[
    (("huge", "hugepages"), col!(MemoryRow, hugepage_total)),
    (("ARC", "ZFS ARC"), col!(MemoryRow, arc)),
    (("KSM", "KSM saved"), col!(MemoryRow, ksm_saved)),
    (("zram", "zram"), col!(MemoryRow, zram)),
    (("zswap", "zswap"), col!(MemoryRow, zswap)),
];

/// Shown only where there is swap.
const SWAP: &[(Name, usize)] =
    &[(("swpin", "swapin/s"), col!(MemoryRow, swap_in)), (("swout", "swapout/s"), col!(MemoryRow, swap_out))];

fn demands() -> Vec<Demand> {
    vec![Demand::table(&MemoryRow::TABLE.name)]
}

/// Bars of memory and swap, for quick look.
pub(super) fn bars(cx: &Cx<'_>, view: &View, label: u16, width: u16) -> Vec<Line> {
    let mut out = vec![gauge(cx, view, col!(MemoryRow, used), ("MEM", label), width)];
    out.extend(swap(cx, view, ("SWAP", label), width));
    out
}

/// Bar of swap; `None` on a host that has none, where there is nothing to fill.
fn swap(cx: &Cx<'_>, view: &View, name: (&'static str, u16), width: u16) -> Option<Line> {
    let total = view.cell(0, col!(MemoryRow, swap_total)).number()?;
    (total > 0.0).then(|| gauge(cx, view, col!(MemoryRow, swap_used), name, width))
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
    let mut note = vec![number::number(cx, &view, 0, col!(MemoryRow, used)).text()];
    if let Some(total) = view.cell(0, col!(MemoryRow, total)).number().filter(|_| space.width >= 30) {
        note.push(line::text(format!(" of {}", unit::quantity(total, Unit::Bytes, number::style(cx))), Role::Muted));
    }
    let number = |column: usize| number::number(cx, &view, 0, column);
    let mut named = vec![Named::new(("used", "used"), used(cx, &view))];
    let add = |named: &mut Vec<Named>, columns: &[(Name, usize)]| {
        named.extend(columns.iter().map(|(name, column)| Named::new(*name, number(*column))));
    };
    add(&mut named, KINDS.get(..3).unwrap_or(KINDS));
    let swap = swap(cx, &view, ("swap", LABEL), space.width);
    if swap.is_some() {
        add(&mut named, SWAP);
    }
    let in_use = SOME.iter().filter(|(_, column)| view.cell(0, *column).number().is_some_and(|value| value > 0.0));
    add(&mut named, &in_use.copied().collect::<Vec<_>>());
    add(&mut named, KINDS.get(3..).unwrap_or_default());
    let grid = gauge::grid(named, space.width);
    let mut lines = vec![gauge(cx, &view, col!(MemoryRow, used), ("mem", LABEL), space.width)];
    lines.extend(swap);
    let taken = (lines.len() + grid.len(), 4);
    lines.extend(gauge::past(cx, &view, (0, col!(MemoryRow, used)), space, taken, Top::At(1.0)));
    lines.extend(grid);
    gauge::block(cx, space, "Memory", (MemoryRow::TABLE, note), lines)
}
