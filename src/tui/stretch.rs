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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::disk::DiskRow;
    use crate::collect::load::LoadRow;
    use crate::tui::app::{Config, Page};
    use crate::tui::testing::{Fake, Made, app, press, screen};
    use std::sync::Arc;

    /// The graph of a load whose last of 60 samples was taken at second 59.
    fn graph() -> (Arc<Fake>, App) {
        let (host, mut app) = app(Config::default());
        host.publish(Made::new(LoadRow::TABLE, 1, "x"), 59);
        app.samples();
        app.go(Page::Table("load"));
        press(&mut app, &["down", "g"]);
        (host, app)
    }

    #[test]
    fn zooming_ends_at_a_day_and_at_every_sample() {
        let (_, mut app) = graph();
        assert!(screen(&mut app).contains("now 59 ") && !screen(&mut app).contains("maxima"));
        press(&mut app, &["-"]);
        assert!(screen(&mut app).contains("last 5 min, means and maxima of "), "{}", screen(&mut app));
        press(&mut app, &["-"; 20]);
        assert!(screen(&mut app).contains("last 24 h, means and maxima of "), "{}", screen(&mut app));
        press(&mut app, &["+"]);
        assert!(screen(&mut app).contains("last 12 h"), "{}", screen(&mut app));
        press(&mut app, &["+"; 20]);
        assert!(!screen(&mut app).contains("maxima"));
        // the cursor stops at the oldest point, and comes back from there at once
        press(&mut app, &["left"; 300]);
        let oldest = screen(&mut app);
        press(&mut app, &["right"]);
        assert_ne!(screen(&mut app), oldest);
    }

    #[test]
    fn the_graph_of_a_source_that_stopped_answering_ends_in_a_gap() {
        let (host, mut app) = graph();
        assert!(!screen(&mut app).contains("nothing was measured"));
        host.publish(Made::new(DiskRow::TABLE, 1, "x"), 89);
        host.fail(LoadRow::TABLE, State::Stale, "made", 30.0);
        app.samples();
        let gap = screen(&mut app);
        assert!(gap.contains("nothing was measured") && gap.contains("now 59 "), "{gap}");
        // marks of times at which the host was not up tell their own time
        let clock = |ago: f64| crate::panel::clock(Timestamp::from_seconds(1.8e9 + 89.0 - ago));
        assert!(
            gap.contains(&format!("-2m {}", clock(120.0))) && gap.contains(&format!("-1m {}", clock(60.0))),
            "{gap}"
        );
        press(&mut app, &["left"; 30]);
        assert!(!screen(&mut app).contains("nothing was measured"), "{}", screen(&mut app));
    }

    #[test]
    fn a_longer_slot_says_what_it_stands_for() {
        let at = |second: u64| Some(Mono(second * 1_000_000_000));
        let series = Series { oldest: at(100), fine: at(5000), ..Series::default() };
        let told = |since: u64, step, interval| thinned(&series, at(since).unwrap(), (step, interval));
        assert_eq!(told(5000, 1.0, 1.0), None);
        assert_eq!(told(5000, 5.0, 1.0).as_deref(), Some("5.00s"));
        assert_eq!(told(4000, 1.0, 1.0).as_deref(), Some("a minute"));
        assert_eq!(told(200, 455.0, 1.0).as_deref(), Some("7m35s"));
        // a row that is younger than the ten minutes of samples has no minutes
        let young = Series { oldest: at(5000), ..series.clone() };
        assert_eq!(thinned(&young, Mono(0), (1.0, 1.0)), None);
    }
}
