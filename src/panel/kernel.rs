//! What does the kernel do beside running programs: interrupts, soft interrupts, pressure, NUMA?

use super::gauge::{self, Name, Named};
use super::list::{self, Column, List, Show};
use super::number::{self, Top};
use super::{Block, Cx, Line, PanelDef, Space, pick};
use crate::col;
use crate::collect::interrupt::InterruptRow;
use crate::collect::numa_node::NumaNodeRow;
use crate::collect::pressure::PressureRow;
use crate::collect::softirq::SoftirqRow;
use crate::model::Demand;

/// Totals of interrupts and switches.
pub(super) const INTERRUPTS: PanelDef = PanelDef {
    name: "interrupts",
    title: "Interrupts",
    key: Some('Q'),
    demands: || vec![Demand::table(&InterruptRow::TABLE.name)],
    build: interrupts,
};

/// Soft interrupts by CPU.
pub(super) const SOFTIRQS: PanelDef = PanelDef {
    name: "softirqs",
    title: "Soft interrupts",
    key: None,
    demands: || vec![Demand::table(&SoftirqRow::TABLE.name)],
    build: softirqs,
};

/// Pressure by resource.
pub(super) const PRESSURE: PanelDef = PanelDef {
    name: "pressure",
    title: "Pressure",
    key: None,
    demands: || vec![Demand::table(&PressureRow::TABLE.name)],
    build: pressure,
};

/// NUMA nodes.
pub(super) const NUMA: PanelDef = PanelDef {
    name: "numa",
    title: "NUMA nodes",
    key: None,
    demands: || vec![Demand::table(&NumaNodeRow::TABLE.name)],
    build: numa,
};

fn interrupts(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, InterruptRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty("Interrupts", body),
    };
    let all: [(Name, usize); 6] = [
        (("int/s", "interrupts/s"), col!(InterruptRow, interrupts)),
        (("sft/s", "soft/s"), col!(InterruptRow, softirqs)),
        (("ctx/s", "switches/s"), col!(InterruptRow, context_switches)),
        (("frk/s", "forks/s"), col!(InterruptRow, forks)),
        (("run", "running"), col!(InterruptRow, running)),
        (("block", "blocked"), col!(InterruptRow, blocked)),
    ];
    let named = all.map(|(name, column)| Named::new(name, number::number(cx, &view, 0, column)));
    let mut lines = gauge::grid(named.into(), space.width);
    let at = (0, col!(InterruptRow, context_switches));
    lines.extend(gauge::past(cx, &view, at, space, (lines.len(), usize::MAX), Top::Least(1.0)));
    gauge::block(cx, space, "Interrupts", (InterruptRow::TABLE, Line::new()), lines)
}

fn softirqs(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::number("rx/s", 1, Show::Of(col!(SoftirqRow, net_rx))),
        Column::number("tx/s", 3, Show::Of(col!(SoftirqRow, net_tx))),
        Column::number("blk/s", 5, Show::Of(col!(SoftirqRow, block))),
        Column::number("tmr/s", 6, Show::Of(col!(SoftirqRow, timer))),
        Column::number("pkt/s", 2, Show::Of(col!(SoftirqRow, processed))),
        Column::number("drop/s", 0, Show::Of(col!(SoftirqRow, dropped))),
        Column::number("sqz/s", 1, Show::Of(col!(SoftirqRow, time_squeeze))),
    ];
    let busy = vec![col!(SoftirqRow, net_rx), col!(SoftirqRow, net_tx)];
    let list =
        List { title: "Soft interrupts", names: "CPU", table: SoftirqRow::TABLE, name: 4, busy, columns, graphs: &[] };
    list::block(cx, space, list)
}

fn pressure(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::number("some", 0, Show::Of(col!(PressureRow, some_avg10))),
        Column::number("1m", 4, Show::Of(col!(PressureRow, some_avg60))),
        Column::number("5m", 5, Show::Of(col!(PressureRow, some_avg300))),
        Column::number("full", 1, Show::Of(col!(PressureRow, full_avg10))),
        Column::wide("past", 4, 3, Show::Spark(col!(PressureRow, some_avg10), Some(1.0))),
    ];
    let busy = vec![col!(PressureRow, some_avg10)];
    let list = List { title: "Pressure", names: "for", table: PressureRow::TABLE, name: 6, busy, columns, graphs: &[] };
    list::block(cx, space, list)
}

fn numa(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("CPUs", 10, 4, Show::Words(col!(NumaNodeRow, cpus))),
        Column::wide("", 6, 5, Show::Bar(col!(NumaNodeRow, used))),
        Column::number("used", 0, Show::Of(col!(NumaNodeRow, used))),
        Column::number("free", 1, Show::Of(col!(NumaNodeRow, free))),
        Column::number("total", 2, Show::Of(col!(NumaNodeRow, total))),
        Column::number("remote", 3, Show::Of(col!(NumaNodeRow, remote_share))),
    ];
    let busy = vec![col!(NumaNodeRow, used)];
    let list =
        List { title: "NUMA nodes", names: "node", table: NumaNodeRow::TABLE, name: 4, busy, columns, graphs: &[] };
    list::block(cx, space, list)
}
