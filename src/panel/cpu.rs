//! How busy are the CPUs, and with what?

use super::gauge::{self, Name, Named};
use super::number::{self, Number, Top};
use super::{Block, Cx, Item, Line, PanelDef, Role, Space, cores, pick, toggle};
use crate::col;
use crate::collect::cpu::CpuRow;
use crate::model::{Demand, Level, unit};
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "cpu", title: "CPU", key: None, demands, build };

/// Kinds of CPU time as shares, the most telling first, with what they look like in the bar.
const KINDS: &[(Name, usize, Role)] = &[
    (("user", "user"), col!(CpuRow, user_share), Role::Value),
    (("sys", "system"), col!(CpuRow, system_share), Role::Accent),
    (("wait", "iowait"), col!(CpuRow, iowait_share), Role::Muted),
    (("steal", "steal"), col!(CpuRow, steal_share), Role::Stale),
    (("guest", "guest"), col!(CpuRow, guest_share), Role::Title),
    (("soft", "softirq"), col!(CpuRow, softirq_share), Role::Label),
    (("irq", "irq"), col!(CpuRow, irq_share), Role::Label),
    (("nice", "nice"), col!(CpuRow, nice_share), Role::Value),
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
pub(super) fn line(cx: &Cx<'_>, view: &View, label: u16, width: u16) -> Line {
    let Some(row) = all(view) else { return Line::new() };
    gauge::with_past(cx, view, (row, col!(CpuRow, used)), (("CPU", label), bar(cx, view, row, 0)), width)
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
    let grid = gauge::grid(numbers(cx, &view, row), space.width);
    let mut lines = vec![vec![bar(cx, &view, row, 0)]];
    lines.extend(gauge::past(cx, &view, (row, col!(CpuRow, used)), space, (1 + grid.len(), 3), Top::At(1.0)));
    lines.extend(grid);
    gauge::block(cx, space, "CPU", (CpuRow::TABLE, note), lines)
}

/// A share in four cells, so that it keeps off its name.
fn share(cx: &Cx<'_>, view: &View, row: usize, column: usize) -> Number {
    let number = number::number(cx, view, row, column);
    match view.cell(row, column).number() {
        Some(share) if share >= 0.099_95 => Number { words: format!("{:.0}%", share * 100.0).into(), ..number },
        _ => number,
    }
}

fn numbers(cx: &Cx<'_>, view: &View, row: usize) -> Vec<Named> {
    let one = |(name, column, role): &(Name, usize, Role)| Named {
        part: (*column != IDLE).then_some(*role),
        ..Named::new(*name, share(cx, view, row, *column))
    };
    let mut named: Vec<Named> = KINDS.iter().map(one).collect();
    if let Some(hertz) = view.cell(row, col!(CpuRow, frequency)).number() {
        // the unit stands in the name, the number keeps to its cells
        let number = Number::new(unit::scaled(hertz, 1000.0), hertz, Level::Ok);
        named.push(Named::new(("Hz", "hertz"), number));
    }
    named
}
