//! What deserves attention now, and what has happened to it?
//!
//! Rows of the tables of alerts and of their changes, as the sampler told them last. REST and gRPC tell the same.

use std::collections::BTreeMap;

use crate::collect::alert::{AlertRow, AlertState, EventRow};
use crate::model::{Cell, Key, Row, Rows, Snapshot, State};

/// Alerts by what tells them apart.
pub(super) type Alerts = BTreeMap<Key, AlertRow>;

/// Every alert that there is, those that were over a short time ago too; `None` while their source does not answer.
pub(super) fn now(snapshot: &Snapshot) -> Option<Alerts> {
    let state = snapshot.get(&AlertRow::TABLE.name)?;
    match (state.status.state, &state.now) {
        (State::Ok, Some(now)) => {
            let rows: &dyn Rows = now.rows.as_ref();
            Some((0..rows.len()).filter_map(|row| Some((Key::of(rows, row), AlertRow::of(rows, row)?))).collect())
        }
        // nobody evaluates any
        (State::Absent, _) => Some(Alerts::new()),
        _ => None,
    }
}

/// Those that are not over, the worst first.
pub(super) fn worst_first(alerts: Alerts) -> Vec<AlertRow> {
    let mut alerts: Vec<AlertRow> = alerts.into_values().filter(|alert| alert.state != AlertState::Over).collect();
    // those of which people are told come before those of which they are not
    alerts.sort_by_key(|alert| (alert.state as u8, std::cmp::Reverse((alert.level(), alert.since))));
    alerts
}

/// Changes of alerts that are known, the oldest first.
pub(super) fn changes(snapshot: &Snapshot) -> Vec<EventRow> {
    let now = snapshot.get(&EventRow::TABLE.name).and_then(|state| state.now.as_ref());
    let rows = now.map(|now| now.rows.as_ref());
    let mut changes: Vec<EventRow> =
        rows.into_iter().flat_map(|rows| (0..rows.len()).filter_map(|row| EventRow::of(rows, row))).collect();
    changes.sort_unstable_by_key(|change| change.seq);
    changes
}

/// Cells of a row with the names of their columns.
pub(super) fn cells<R: Row>(row: &R) -> impl Iterator<Item = (&str, Cell<'_>)> {
    let columns = R::TABLE.columns.iter().enumerate();
    columns.map(|(at, column)| (&*column.name, row.cell(at)))
}
