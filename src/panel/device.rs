//! How do sensors, graphics processors and arrays fare?

use super::list::{self, Column, List, Show};
use super::{Block, Cx, PanelDef, Space};
use crate::col;
use crate::collect::gpu::GpuRow;
use crate::collect::raid::RaidRow;
use crate::collect::sensor::SensorRow;
use crate::model::Demand;

/// Temperatures, fans, power, batteries.
pub(super) const SENSORS: PanelDef = PanelDef {
    name: "sensors",
    title: "Sensors",
    key: Some('s'),
    demands: || vec![Demand::table(&SensorRow::TABLE.name)],
    build: sensors,
};

/// Graphics processors.
pub(super) const GPU: PanelDef = PanelDef {
    name: "gpu",
    title: "GPUs",
    key: Some('G'),
    demands: || vec![Demand::table(&GpuRow::TABLE.name)],
    build: gpu,
};

/// Software RAID.
pub(super) const RAID: PanelDef = PanelDef {
    name: "raid",
    title: "RAID",
    key: Some('R'),
    demands: || vec![Demand::table(&RaidRow::TABLE.name)],
    build: raid,
};

fn sensors(cx: &Cx<'_>, space: Space) -> Block {
    // of the quantities a reading has one, so that the others of its row are blank rather than dashes
    let columns = vec![
        Column::number("", 0, Show::First(READINGS)),
        Column::number("crit", 2, Show::Of(col!(SensorRow, critical))),
        Column::wide("past", 6, 3, Show::Spark(col!(SensorRow, temperature), None)),
        Column::wide("chip", 10, 4, Show::Words(col!(SensorRow, chip))),
    ];
    let busy = vec![col!(SensorRow, heat)];
    let list =
        List { title: "Sensors", names: "sensor", table: SensorRow::TABLE, name: 10, busy, columns, graphs: &[] };
    list::block(cx, space, list)
}

/// Quantities of a reading, of which it has one as a rule.
const READINGS: &[usize] = &[
    col!(SensorRow, temperature),
    col!(SensorRow, rotation),
    col!(SensorRow, charge),
    col!(SensorRow, power),
    col!(SensorRow, tension),
    col!(SensorRow, current),
];

fn gpu(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("state", 6, 1, Show::Words(col!(GpuRow, state))),
        Column::wide("", 6, 6, Show::Bar(col!(GpuRow, used))),
        Column::number("used", 0, Show::Of(col!(GpuRow, used))),
        Column::number("mem", 0, Show::Of(col!(GpuRow, memory_used))),
        Column::number("temp", 1, Show::Of(col!(GpuRow, temperature))),
        Column::number("power", 2, Show::Of(col!(GpuRow, power))),
        Column::number("fan", 3, Show::Of(col!(GpuRow, fan))),
        Column::number("procs", 4, Show::Of(col!(GpuRow, processes))),
    ];
    let busy = vec![col!(GpuRow, used)];
    list::block(
        cx,
        space,
        List { title: "GPUs", names: "model", table: GpuRow::TABLE, name: 8, busy, columns, graphs: &[] },
    )
}

fn raid(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("state", 8, 0, Show::Words(col!(RaidRow, state))),
        Column::wide("level", 7, 3, Show::Words(col!(RaidRow, level))),
        Column::number("works", 1, Show::Of(col!(RaidRow, working))),
        Column::number("of", 1, Show::Of(col!(RaidRow, members))),
        Column::number("failed", 2, Show::Of(col!(RaidRow, failed))),
        Column::number("size", 5, Show::Of(col!(RaidRow, size))),
        Column::wide("action", 8, 4, Show::Words(col!(RaidRow, action))),
        Column::number("done", 4, Show::Of(col!(RaidRow, progress))),
    ];
    list::block(
        cx,
        space,
        List { title: "RAID", names: "array", table: RaidRow::TABLE, name: 6, busy: Vec::new(), columns, graphs: &[] },
    )
}
