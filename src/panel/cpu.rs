//! How busy are the CPUs, and with what?

use super::gauge::{self, LABEL};
use super::number::{self, NUMBER, Number};
use super::{Block, Cx, Item, Line, PanelDef, Role, Space, cores, line, pick, toggle};
use crate::col;
use crate::collect::cpu::CpuRow;
use crate::model::Demand;
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "cpu", title: "CPU", key: None, demands, build };

/// Kinds of CPU time as shares, the most telling first, with what they look like in the bar.
const KINDS: &[(&str, usize, Role)] = &[
    ("user", col!(CpuRow, user_share), Role::Value),
    ("sys", col!(CpuRow, system_share), Role::Accent),
    ("wait", col!(CpuRow, iowait_share), Role::Muted),
    ("steal", col!(CpuRow, steal_share), Role::Title),
    ("guest", col!(CpuRow, guest_share), Role::Label),
    ("soft", col!(CpuRow, softirq_share), Role::Accent),
    ("irq", col!(CpuRow, irq_share), Role::Accent),
    ("nice", col!(CpuRow, nice_share), Role::Value),
];

/// What cannot be seen in a bar of busy time.
const IDLE: usize = col!(CpuRow, iowait_share);

fn demands() -> Vec<Demand> {
    vec![Demand::table(&CpuRow::TABLE.name)]
}

/// Row of all CPUs together.
pub(super) fn all(view: &View) -> Option<usize> {
    (0..view.len()).find(|row| view.cell(*row, col!(CpuRow, cpu)).text() == Some("all"))
}

/// Use of all CPUs together.
pub(super) fn used(cx: &Cx<'_>, view: &View) -> Number {
    all(view).map_or(Number::MISSING, |row| number::number(cx, view, row, col!(CpuRow, used)))
}

/// Stacked bar of a row's kinds of time.
pub(super) fn bar(cx: &Cx<'_>, view: &View, row: usize, width: u16) -> Item {
    let parts = KINDS.iter().filter(|(_, column, _)| *column != IDLE).filter_map(|(_, column, role)| {
        gauge::part(view.cell(row, *column).number(), cx.levels.level(view, row, *column), *role)
    });
    gauge::stacked(parts, number::marks(cx, view, col!(CpuRow, used)), width)
}

/// Bar of all CPUs with its number, for quick look.
pub(super) fn line(cx: &Cx<'_>, view: &View, width: u16) -> Line {
    let Some(row) = all(view) else { return Line::new() };
    let mut out = vec![line::left("CPU", Role::Label, LABEL), bar(cx, view, row, 0), used(cx, view).cell(NUMBER)];
    if width >= 44 {
        out.push(line::gap());
        out.push(number::spark(cx, view, row, col!(CpuRow, used), width / 4, Some(1.0)));
    }
    out
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, CpuRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty("CPU", body),
    };
    let note = vec![used(cx, &view).text()];
    let Some(row) = all(&view) else { return gauge::block(cx, space, "CPU", (CpuRow::TABLE, note), Vec::new()) };
    if cx.on(toggle::PER_CPU) {
        return cores::grid(cx, &view, space).block("CPU", note, pick::stale(cx, CpuRow::TABLE));
    }
    let mut lines = vec![vec![bar(cx, &view, row, 0), used(cx, &view).cell(NUMBER)]];
    let shares = KINDS.iter().map(|(name, column, _)| (*name, number::number(cx, &view, row, *column)));
    let mut pairs: Vec<(&'static str, Number)> = shares.collect();
    pairs.push(("freq", number::number(cx, &view, row, col!(CpuRow, frequency))));
    let grid = gauge::grid(pairs, space.width);
    // the past has a line of its own as soon as the four kinds that matter most have theirs
    let important = 4 * grid.len() / KINDS.len().max(1) + 1;
    let spare = usize::from(space.height) > important + 1 && !cx.on(toggle::NO_SPARKLINES);
    if spare {
        lines.push(gauge::past(cx, &view, row, col!(CpuRow, used), space.width, Some(1.0)));
    }
    lines.extend(grid);
    gauge::block(cx, space, "CPU", (CpuRow::TABLE, note), lines)
}
