//! What deserves attention now?
//!
//! Every cell above level ok by the agent's thresholds, worst first, as long as the samples say so.

use std::collections::BTreeMap;

use super::answer::{Answer, Refusal};
use super::{Api, JSON, Outcome, tables};
use crate::export;
use crate::model::{Cell, Key, Kind, Level, Snapshot, State};
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
    /// What it is about, as JSON without the level.
    pub(super) about: String,
    /// What the cell says, as JSON.
    pub(super) value: String,
}

impl Alert {
    /// As one JSON object.
    pub(super) fn json(&self) -> String {
        format!("{{\"level\":\"{}\",{},\"value\":{}}}", self.level.name(), self.about, self.value)
    }
}

/// Every cell above level ok, of tables whose sources answer. All readers are told the same, so nothing in it is secret.
pub(super) fn above(snapshot: &Snapshot, thresholds: &Thresholds) -> BTreeMap<Place, Alert> {
    let mut alerts = BTreeMap::new();
    let snapshot = redact::snapshot(snapshot);
    let live = snapshot.tables.iter().filter(|(_, state)| state.status.state == State::Ok && !state.table.attrs.demand);
    for (name, state) in live {
        let Some(now) = &state.now else { continue };
        let view = View::new(now, state.before.as_ref(), Mode::Rate);
        for (row, column, level) in thresholds.above(&view).take(MAX_OF_TABLE) {
            if let Some(alert) = alert(&view, row, column, level) {
                alerts.insert((*name, Key::of(view.raw(), row), column), alert);
            }
        }
    }
    alerts
}

fn alert(view: &View, row: usize, column: usize, level: Level) -> Option<Alert> {
    let table = view.table();
    let mut ids = Vec::new();
    export::write_object(&mut ids, tables::ids(view, row)).ok()?;
    let named = |name: &'static str, cell: Cell<'_>| {
        let mut text = Vec::new();
        export::write_object(&mut text, std::iter::once((name, cell))).ok()?;
        // the members without the braces around them
        let text = String::from_utf8(text).ok()?;
        Some(text.strip_prefix('{')?.strip_suffix('}')?.to_owned())
    };
    let label = table.label_column();
    let is_name = table.columns.get(label).is_some_and(|column| column.kind == Kind::Id || column.attrs.label);
    // the row of a table that has but one is known by the table
    let name = if is_name { view.raw().cell(row, label) } else { Cell::Text(&table.name) };
    let about = [
        named("table", Cell::Text(&table.name))?,
        format!("\"row\":{}", String::from_utf8(ids).ok()?),
        named("name", name)?,
        named("column", Cell::Text(&table.columns.get(column)?.name))?,
    ];
    let value = named("value", view.cell(row, column))?;
    let value = value.strip_prefix("\"value\":")?.to_owned();
    Some(Alert { level, about: about.join(","), value })
}

/// What deserves attention, worst first.
pub(super) fn list(api: &Api) -> Outcome {
    if !api.sampled.is_live() {
        return Err(Refusal::unavailable("the sampler says nothing", "what is above ok now is not known"));
    }
    let alerts = above(&api.sampled.latest(), &api.thresholds);
    let mut alerts: Vec<&Alert> = alerts.values().collect();
    // the order of tables and rows stays among the equally bad
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.level));
    let alerts: Vec<String> = alerts.into_iter().map(Alert::json).collect();
    Ok(Answer::new(JSON, format!("[{}]\n", alerts.join(","))))
}
