//! Which rows tell of somebody who has gone, until that is acknowledged?
//!
//! `tui/` names no column, so what its key needs of one is said here.

use crate::col;
use crate::collect::routing::{BfdPeerRow, BgpPeerRow, IsisAdjacencyRow, OspfNeighborRow};
use crate::model::{Cell, Departed, Table, Text};
use crate::store::rate::View;

/// Tables with the columns that tell whether somebody has gone, and since when.
const TABLES: [(&Table, usize, usize); 4] = [
    (OspfNeighborRow::TABLE, col!(OspfNeighborRow, state), col!(OspfNeighborRow, since)),
    (BgpPeerRow::TABLE, col!(BgpPeerRow, state), col!(BgpPeerRow, since)),
    (BfdPeerRow::TABLE, col!(BfdPeerRow, state), col!(BfdPeerRow, since)),
    (IsisAdjacencyRow::TABLE, col!(IsisAdjacencyRow, state), col!(IsisAdjacencyRow, since)),
];

/// Whether rows of a table may tell of somebody who has gone.
pub fn departs(table: &str) -> bool {
    TABLES.iter().any(|(known, ..)| known.name == table)
}

/// Who has gone, if the row tells that. One that is expected is missed until it is there.
pub fn departed(view: &View, row: usize) -> Option<Departed> {
    let (table, state, since) = TABLES.iter().find(|(known, ..)| known.name == view.table().name)?;
    let raw = view.raw();
    let is_expected =
        table.name == OspfNeighborRow::TABLE.name && raw.cell(row, col!(OspfNeighborRow, expected)) == Cell::Bool(true);
    if is_expected || raw.cell(row, *state).text() != Some("Deleted") {
        return None;
    }
    let Cell::Timestamp(since) = raw.cell(row, *since) else { return None };
    let ids = table.ids().map(|column| raw.cell(row, column).to_value()).collect();
    Some(Departed { table: Text::from(&*table.name), ids, since })
}
