//! Which stretch of the past does a graph show, and in which detail?
//!
//! Not zoomed out, one slot of the graph is one sample. Every step out shows a longer time up to a day; a slot then stands for
//! several samples and tells their mean and their most.

use std::time::Duration;

use super::app::App;
use crate::model::{Detail, HistoryAsk, Key, Mono, Point, Series, State, Table, Timestamp, unit};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
/// What can be shown beside the newest samples.
const SPANS: [(f64, &str); 8] = [
    (5.0 * MINUTE, "5 min"),
    (10.0 * MINUTE, "10 min"),
    (30.0 * MINUTE, "30 min"),
    (HOUR, "1 h"),
    (3.0 * HOUR, "3 h"),
    (6.0 * HOUR, "6 h"),
    (12.0 * HOUR, "12 h"),
    (24.0 * HOUR, "24 h"),
];
/// Samples that tell how far apart they are.
const NEWEST: usize = 31;

/// A stretch of the past of one cell.
pub(super) struct Stretch {
    /// One for each slot; fewer if the host is not up for so long.
    pub(super) points: Vec<Point>,
    /// Seconds of a slot.
    pub(super) step: f64,
    /// Newest sample, or now if its source stopped answering.
    pub(super) end: Mono,
    /// Value of the newest sample.
    pub(super) newest: f64,
    /// How far back it goes, in words.
    pub(super) span: String,
    /// What a slot stands for, in words; `None` when it is one sample.
    pub(super) thinned: Option<String>,
    /// Where the oldest point begins that is kept, and whether older ones were pushed out.
    pub(super) oldest: Option<(Mono, bool)>,
    /// How often can be zoomed out.
    pub(super) zooms: usize,
}

/// What a graph of `slots` points shows of a cell; `None` when nothing is kept.
pub(super) fn of(app: &App, schema: &Table, key: &Key, column: &str, (zoom, slots): (usize, usize)) -> Option<Stretch> {
    let host = app.reader();
    let all = HistoryAsk::all(&schema.name, column, key.clone());
    let newest = host.history(&HistoryAsk { detail: Detail::Newest(NEWEST), ..all.clone() })?.points;
    let last = *newest.last()?;
    let mut apart: Vec<f64> = newest.iter().map(|point| point.time.since(point.from)).collect();
    apart.sort_by(f64::total_cmp);
    let interval = apart.get(apart.len() / 2).copied().filter(|apart| *apart >= 1e-3).unwrap_or(1.0);
    let end = end(app, schema, last.time);
    let whole = interval * slots as f64;
    let spans = SPANS.iter().filter(|(span, _)| *span > whole * 1.25);
    let zooms = spans.clone().count();
    let chosen = zoom.min(zooms).checked_sub(1).and_then(|zoom| spans.clone().nth(zoom));
    let step = chosen.map_or(interval, |(span, _)| span / slots as f64);
    let nanos = ((step * 1e9) as u64).max(1);
    // a sample lies in the middle of its slot; a longer slot begins at a multiple of its length, so that what is in it stays
    let until = chosen.map_or(end.0 + nanos / 2, |_| end.0.div_ceil(nanos) * nanos);
    let since = until.saturating_sub(nanos * slots as u64);
    let detail = Detail::Step(Duration::from_nanos(nanos));
    let series = host.history(&HistoryAsk { since: Some(Mono(since)), until: Some(Mono(until)), detail, ..all })?;
    let begins = |oldest: Mono| (oldest, series.cut.is_some());
    Some(Stretch {
        step,
        end,
        newest: last.mean,
        span: chosen.map_or_else(|| unit::span(whole), |(_, words)| (*words).to_owned()),
        thinned: thinned(&series, Mono(since), (step, interval)),
        oldest: series.oldest.map(begins),
        zooms,
        points: series.points,
    })
}

/// Where the graph ends: at the newest sample, or now when no further one comes.
fn end(app: &App, schema: &Table, last: Mono) -> Mono {
    let snapshot = app.cache.snapshot();
    let is_old = snapshot.get(&schema.name).is_none_or(|state| state.status.state != State::Ok);
    let newest = snapshot.tables.values().filter_map(|state| Some(state.now.as_ref()?.mono)).max();
    newest.filter(|_| is_old).map_or(last, |newest| newest.max(last))
}

/// What a slot stands for, in words.
fn thinned(series: &Series, since: Mono, (step, interval): (f64, f64)) -> Option<String> {
    let minutes = series.fine > series.oldest && series.fine.is_some_and(|fine| fine > since) || series.fine.is_none();
    if minutes && step <= MINUTE {
        Some("a minute".to_owned())
    } else {
        (minutes || step > interval * 1.25).then(|| unit::span(step))
    }
}

impl Stretch {
    /// How long ago a point was.
    pub(super) fn ago(&self, at: usize) -> f64 {
        self.points.len().saturating_sub(at + 1) as f64 * self.step
    }
}

/// The wall clock at a moment, as the newest sample of anything has both clocks.
pub(super) fn wall(app: &App, moment: Mono) -> Option<Timestamp> {
    let samples = app.cache.snapshot().tables.values().filter_map(|state| state.now.as_ref());
    let newest = samples.max_by_key(|sample| sample.mono)?;
    let ago = newest.mono.since(moment) - moment.since(newest.mono);
    Some(Timestamp(newest.time.0 - (ago * 1e9) as i64))
}
