//! How busy are the disks, and how full are the file systems?

use super::list::{self, Column, List, Show};
use super::{Block, Cx, PanelDef, Space, toggle};
use crate::col;
use crate::collect::disk::DiskRow;
use crate::collect::mount::MountRow;
use crate::model::Demand;

/// Disks.
pub(super) const DISKS: PanelDef = PanelDef {
    name: "disks",
    title: "Disks",
    key: Some('d'),
    demands: || vec![Demand::table(&DiskRow::TABLE.name)],
    build: disks,
};

/// Mounted file systems.
pub(super) const MOUNTS: PanelDef = PanelDef {
    name: "mounts",
    title: "File systems",
    key: Some('f'),
    demands: || vec![Demand::table(&MountRow::TABLE.name)],
    build: mounts,
};

/// Below a short list.
const GRAPHS: &[(&str, usize)] = &[("R/s", col!(DiskRow, read_bytes)), ("W/s", col!(DiskRow, write_bytes))];

fn disks(cx: &Cx<'_>, space: Space) -> Block {
    let bytes = [("R/s", Show::Of(col!(DiskRow, read_bytes))), ("W/s", Show::Of(col!(DiskRow, write_bytes)))];
    let operations = [("Rop/s", Show::Of(col!(DiskRow, reads))), ("Wop/s", Show::Of(col!(DiskRow, writes)))];
    let latency = [("R lat", Show::Of(col!(DiskRow, read_latency))), ("W lat", Show::Of(col!(DiskRow, write_latency)))];
    // the switch decides what stays in little room; where there is room all of it is shown
    let order = if cx.on(toggle::OPERATIONS) {
        [operations, bytes, latency]
    } else if cx.on(toggle::LATENCY) {
        [latency, bytes, operations]
    } else {
        [bytes, operations, latency]
    };
    let mut columns = Vec::new();
    for (i, group) in order.into_iter().enumerate() {
        let rank = [0, 4, 3].get(i).copied().unwrap_or(4);
        columns.extend(group.map(|(title, show)| Column::number(title, rank, show)));
    }
    columns.extend([
        Column::number("busy", 2, Show::Of(col!(DiskRow, utilization))),
        Column::wide("past", 6, 5, Show::Spark(col!(DiskRow, utilization), Some(1.0))),
        Column::number("queue", 6, Show::Of(col!(DiskRow, queue))),
        Column::number("size", 7, Show::Of(col!(DiskRow, size))),
        Column::wide("model", 16, 8, Show::Words(col!(DiskRow, model))),
    ]);
    let busy = vec![col!(DiskRow, read_bytes), col!(DiskRow, write_bytes)];
    list::block(
        cx,
        space,
        List { title: "Disks", names: "disk", table: DiskRow::TABLE, name: 8, busy, columns, graphs: GRAPHS },
    )
}

fn mounts(cx: &Cx<'_>, space: Space) -> Block {
    let (used, free) = (col!(MountRow, used), col!(MountRow, available));
    let room = if cx.on(toggle::FREE) {
        Column::number("free", 2, Show::Of(free))
    } else {
        Column::number("used", 2, Show::Of(used))
    };
    let columns = vec![
        Column::wide("", 6, 4, Show::Bar(col!(MountRow, used_share))),
        Column::number("full", 0, Show::Of(col!(MountRow, used_share))),
        room,
        Column::number("size", 5, Show::Of(col!(MountRow, size))),
        Column::wide("state", 8, 6, Show::Words(col!(MountRow, state))),
        Column::wide("type", 7, 7, Show::Words(col!(MountRow, kind))),
        Column::number("inodes", 8, Show::Of(col!(MountRow, inodes_share))),
        Column::wide("source", 18, 8, Show::Words(col!(MountRow, source))),
    ];
    let busy = vec![col!(MountRow, used_share)];
    // paths are long, and their ends tell them apart
    let name = if space.width >= 60 { 20 } else { 10 };
    let list =
        List { title: "File systems", names: "mounted at", table: MountRow::TABLE, name, busy, columns, graphs: &[] };
    list::block(cx, space, list)
}
