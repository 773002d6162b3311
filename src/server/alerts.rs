//! What deserves attention now?
//!
//! Every cell above level ok by the agent's thresholds, as long as the samples say so. REST and gRPC tell the same.

use std::collections::BTreeMap;

use crate::model::{Cell, Key, Kind, Level, Snapshot, State, Value};
use crate::store::level::Thresholds;
use crate::store::rate::{Mode, View};
use crate::wire::redact;

/// Alerts that are told at most, of each table.
const MAX_OF_TABLE: usize = 256;

/// Which cell an alert is about: table, row, column.
pub(super) type Place = (&'static str, Key, usize);

/// A cell above level ok.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alert {
    /// How bad it is.
    pub(super) level: Level,
    /// The table.
    pub(super) table: &'static str,
    /// Ids of the row with their names.
    pub(super) row: Vec<(String, Value)>,
    /// What people call the row.
    pub(super) name: Value,
    /// The column.
    pub(super) column: String,
    /// What the cell says.
    pub(super) value: Value,
}

/// Every cell above level ok, of tables whose sources answer. All readers are told the same, so nothing in it is secret.
pub(super) fn above(snapshot: &Snapshot, thresholds: &Thresholds) -> BTreeMap<Place, Alert> {
    let mut alerts = BTreeMap::new();
    let snapshot = redact::snapshot(snapshot);
    let live = snapshot
        .tables
        .iter()
        .filter(|(_, state)| state.status.state == State::Ok && !state.table.attrs.demand && state.table.alerts());
    for (name, state) in live {
        let Some(now) = &state.now else { continue };
        let view = View::new(now, state.before.as_ref(), Mode::Rate);
        for (row, column, level) in thresholds.above(&view).take(MAX_OF_TABLE) {
            if let Some(alert) = alert(name, &view, row, column, level) {
                alerts.insert((*name, Key::of(view.raw(), row), column), alert);
            }
        }
    }
    alerts
}

fn alert(name: &'static str, view: &View, row: usize, column: usize, level: Level) -> Option<Alert> {
    let table = view.table();
    let label = table.label_column();
    let is_name = table.columns.get(label).is_some_and(|column| column.kind == Kind::Id || column.attrs.label);
    // the row of a table that has but one is known by the table
    let known = if is_name { view.raw().cell(row, label) } else { Cell::Text(&table.name) };
    Some(Alert {
        level,
        table: name,
        row: ids(view, row).map(|(name, cell)| (name.to_owned(), cell.to_value())).collect(),
        name: known.to_value(),
        column: table.columns.get(column)?.name.to_string(),
        value: view.cell(row, column).to_value(),
    })
}

/// Cells of a row's Ids with their names.
pub(super) fn ids(view: &View, row: usize) -> impl Iterator<Item = (&str, Cell<'_>)> {
    let named = move |id: usize| Some((&*view.table().columns.get(id)?.name, view.raw().cell(row, id)));
    view.table().ids().filter_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::routing::{AdjacencyChangeRow, AdjacencyRow, OspfNeighborRow};
    use crate::model::testing::Made;
    use crate::model::{Mono, Sample, Status, Table, TableState, Timestamp};
    use std::sync::Arc;

    #[test]
    fn what_is_over_and_what_another_table_tells_are_no_alerts() {
        let mut snapshot = Snapshot::default();
        let mut put = |table: &'static Table, column: &str, word: &str| {
            let mut cells = vec![Value::Missing; table.columns.len()];
            cells[table.position(column).unwrap()] = Value::Label(word.to_owned().into());
            let rows = Arc::new(Made { table, cells: vec![cells] });
            let now = Some(Sample { rows, time: Timestamp(1), mono: Mono(1) });
            let state = TableState { table, now, before: None, status: Status::ok() };
            snapshot.tables.insert(&table.name, state);
        };
        put(OspfNeighborRow::TABLE, "state", "Deleted");
        put(AdjacencyRow::TABLE, "standing", "down");
        put(AdjacencyChangeRow::TABLE, "standing", "down");
        let found = above(&snapshot, &Thresholds::default());
        let tables: Vec<&str> = found.keys().map(|(table, ..)| *table).collect();
        assert_eq!(tables, ["ospf_neighbor"]);
    }
}
