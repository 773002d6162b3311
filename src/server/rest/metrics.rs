//! What does Prometheus get?
//!
//! Every table whose rows last, as [`export::families`] writes it, one family of series for each number. A table is encoded
//! once for each of its samples, however many scrape. Of more series than the limit, columns that people see only when they
//! ask for them are left out first, then the largest families; how many were left out is a metric of its own. Alerts come and
//! go: there is a series for each while it is not over, for the worst of them if there are very many.

use std::collections::HashMap;
use std::sync::Mutex;

use super::answer::Answer;
use crate::collect::COLLECTORS;
use crate::export::{self, Family, Selection};
use crate::model::{Mono, Snapshot, State, TableState, Timestamp, lock};
use crate::server::alerts;
use crate::server::sampled::Sampled;
use crate::store::rate::{Mode, View};
use crate::wire::schema;

/// Text exposition format.
pub(super) const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What replaces it.
pub(super) const OPEN_MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Alerts that are told at most, and the share of all series that they take at most.
const ALERTS: (usize, usize) = (128, 2);

/// What has been encoded.
pub(super) struct Metrics {
    limit: usize,
    encoded: Mutex<HashMap<&'static str, (Mono, Vec<Family>)>>,
}

impl Metrics {
    /// Nothing yet; scrapes get `limit` series at most.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, encoded: Mutex::default() }
    }

    /// All metrics in a form.
    pub(super) fn answer(&self, sampled: &Sampled, media: &'static str) -> Answer {
        let snapshot = sampled.latest();
        let mut own = own(&snapshot, sampled.started());
        let (alerts, more) = alerts(&snapshot, ALERTS.0.min(self.limit / ALERTS.1));
        own.extend(alerts);
        let mut encoded = lock(&self.encoded);
        let mut families = Vec::new();
        for table in schema::own().tables.iter().filter(|table| export::refusal(table).is_none()) {
            let state = snapshot.get(&table.name).filter(|state| state.status.state == State::Ok);
            let Some((state, now)) = state.and_then(|state| Some((state, state.now.as_ref()?.mono))) else { continue };
            let known = encoded.entry(&table.name).or_insert_with(|| (now, encode(state)));
            if known.0 != now {
                *known = (now, encode(state));
            }
        }
        for table in schema::own().tables {
            let live = snapshot.get(&table.name).is_some_and(|state| state.status.state == State::Ok);
            if let Some((_, known)) = encoded.get(&*table.name).filter(|_| live) {
                families.extend(known.iter());
            }
        }
        // what the agent says of itself is always told, and counts
        let own_series: usize = own.iter().map(|family| family.series).sum();
        let (kept, left_out) = chosen(&families, self.limit.saturating_sub(own_series + 1));
        let open = media == OPEN_MEDIA;
        let mut text = String::new();
        for family in own.iter().chain(kept) {
            family.write_to(&mut text, open);
        }
        let about = "Series that the limit metrics_series has left out of this scrape.";
        let mut cut = Family::new("netglance_metrics_left_out", "gauge", about);
        cut.push(&[], left_out + more);
        cut.write_to(&mut text, open);
        if open {
            text.push_str("# EOF\n");
        }
        Answer::new(media, text)
    }
}

fn encode(state: &TableState) -> Vec<Family> {
    let Some(now) = &state.now else { return Vec::new() };
    let view = View::new(now, None, Mode::Total);
    let (columns, rows): (Vec<usize>, Vec<usize>) =
        ((0..state.table.columns.len()).collect(), (0..view.len()).collect());
    let cell = |row, column| view.cell(row, column);
    let unknown = |row, column| view.unknown(row, column);
    let (table, time) = (state.table, now.time);
    export::families(&Selection {
        table,
        columns: &columns,
        rows: &rows,
        cell: &cell,
        unknown: &unknown,
        rate: false,
        time,
    })
}

/// The families that fit into a limit, in their order, and how many series do not.
fn chosen<'a>(families: &[&'a Family], limit: usize) -> (Vec<&'a Family>, usize) {
    let mut order: Vec<usize> = (0..families.len()).collect();
    let rank = |at: &usize| families.get(*at).map(|family| (family.wide, family.series));
    order.sort_by_key(rank);
    let (mut room, mut left_out) = (limit, 0);
    let mut kept = Vec::new();
    for at in order {
        let Some(family) = families.get(at) else { continue };
        if family.series <= room {
            room -= family.series;
            kept.push(at);
        } else {
            left_out += family.series;
        }
    }
    kept.sort_unstable();
    (kept.into_iter().filter_map(|at| families.get(at).copied()).collect(), left_out)
}

/// What the agent says of itself.
fn own(snapshot: &Snapshot, started: i64) -> Vec<Family> {
    let mut build = Family::new("netglance_build_info", "gauge", "Version of the agent.");
    build.push(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let about = "Whether the sources of a collector can be read; sources that this host does not have are left out.";
    let mut up = Family::new("netglance_collector_up", "gauge", about);
    for entry in COLLECTORS {
        let states =
            || entry.tables.iter().filter_map(|table| snapshot.get(&table.name)).map(|state| state.status.state);
        if states().any(|state| state != State::Absent) {
            let is_up = !states().any(|state| matches!(state, State::Denied | State::Failed | State::Stale));
            up.push(&[("collector", entry.name)], u8::from(is_up));
        }
    }
    let mut since = Family::new("netglance_start_timestamp_seconds", "gauge", "When the sampler was started.");
    if started != 0 {
        since.push(&[], Timestamp(started).0 as f64 / 1e9);
    }
    [build, up, since].into_iter().filter(|family| family.series > 0).collect()
}

/// The worst alerts, and how many more there are.
fn alerts(snapshot: &Snapshot, most: usize) -> (Option<Family>, usize) {
    let alerts = alerts::now(snapshot).map(alerts::worst_first).unwrap_or_default();
    let about = "Always 1: an alert that is not over, with its severity and whether people are told of it.";
    let mut family = Family::new("netglance_alert_state", "gauge", about);
    for alert in alerts.iter().take(most) {
        let (severity, state) = (alert.severity.name(), alert.state.name());
        let labels = [("rule", &*alert.rule), ("instance", &*alert.instance), ("severity", severity), ("state", state)];
        family.push(&labels, 1);
    }
    (Some(family).filter(|family| family.series > 0), alerts.len().saturating_sub(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(name: &str, wide: bool, series: usize) -> Family {
        Family { wide, series, ..Family::new(name, "gauge", "made") }
    }

    #[test]
    fn wide_columns_are_left_out_first_and_then_the_largest_families() {
        let made = [family("a", true, 2), family("b", false, 5), family("c", false, 3), family("d", false, 1)];
        let families: Vec<&Family> = made.iter().collect();
        let names = |limit| {
            let (kept, left_out) = chosen(&families, limit);
            (kept.iter().map(|family| family.name.as_str()).collect::<String>(), left_out)
        };
        assert_eq!(names(100), ("abcd".to_owned(), 0));
        assert_eq!(names(9), ("bcd".to_owned(), 2));
        assert_eq!(names(4), ("cd".to_owned(), 7));
        assert_eq!(names(0), (String::new(), 11));
    }
}
