//! Is this host fine? The bars that answer it, in one panel.

use super::{Block, Cx, Line, PanelDef, Space, cores, cpu, gauge, load, memory, pick};
use crate::collect::cpu::CpuRow;
use crate::collect::load::LoadRow;
use crate::collect::memory::MemoryRow;
use crate::collect::pressure::PressureRow;
use crate::model::Demand;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "quick", title: "Quick look", key: None, demands, build };

fn demands() -> Vec<Demand> {
    let tables = [CpuRow::TABLE, MemoryRow::TABLE, LoadRow::TABLE, PressureRow::TABLE];
    tables.map(|table| Demand::table(&table.name)).to_vec()
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let mut lines: Vec<Line> = Vec::new();
    // all bars begin at one place
    let label = load::PRESSURE;
    let cpu = gauge::single(cx, CpuRow::TABLE);
    if let Ok(view) = &cpu {
        lines.push(cpu::line(cx, view, label, space.width));
    }
    if let Ok(view) = gauge::single(cx, MemoryRow::TABLE) {
        lines.extend(memory::bars(cx, &view, label, space.width));
    }
    if let Ok(view) = gauge::single(cx, LoadRow::TABLE) {
        lines.push(load::bar(cx, &view, label, space.width));
    }
    if let Ok(view) = gauge::single(cx, PressureRow::TABLE) {
        lines.extend(load::pressures(cx, &view, space.width));
    }
    // every CPU where there is room for all of them
    let left = space.height.saturating_sub(lines.len() as u16);
    if let Ok(view) = &cpu
        && left > 1
    {
        let cores = cores::grid(cx, view, Space { height: left, scroll: 0, ..space });
        if cores.hidden == 0 {
            lines.extend(cores.lines);
        }
    }
    match cpu {
        Err(body) if lines.is_empty() => pick::empty("Quick look", body),
        _ => gauge::block(cx, space, "Quick look", (CpuRow::TABLE, Line::new()), lines),
    }
}
