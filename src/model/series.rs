//! What was a number, and when?
//!
//! A reader asks for a time range in the detail that it can show. What it gets never hides a spike and never makes one up: a
//! point that stands for many samples tells their mean, their least and their most, and where nothing was measured there is
//! a gap, never zero.

use std::time::Duration;

use super::host::{Key, Mono};

/// Points that a question about steps is answered with at most; of a longer range the newest.
const MAX_STEPS: u64 = 4096;

/// A question about the past of one numeric column of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryAsk {
    /// Table name.
    pub table: String,
    /// Column name.
    pub column: String,
    /// The row.
    pub key: Key,
    /// Only points newer than this.
    pub since: Option<Mono>,
    /// Only points up to this.
    pub until: Option<Mono>,
    /// In which detail.
    pub detail: Detail,
}

impl HistoryAsk {
    /// All that is kept of a cell, as it is kept.
    pub fn all(table: &str, column: &str, key: Key) -> Self {
        let (table, column) = (table.to_owned(), column.to_owned());
        Self { table, column, key, since: None, until: None, detail: Detail::Kept }
    }
}

/// How many points a range is told with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// As they are kept.
    Kept,
    /// As they are kept, so many of the newest.
    Newest(usize),
    /// One for each step back from the end of the range.
    Step(Duration),
}

/// A stretch of time and what was measured in it, as readers print it (rate for counters). A gap is not a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where it begins.
    pub from: Mono,
    /// Where it ends: when it was measured, of a single sample.
    pub time: Mono,
    /// Mean of the samples.
    pub mean: f64,
    /// The least of them.
    pub least: f64,
    /// The most of them.
    pub most: f64,
}

impl Point {
    /// One sample.
    pub fn sample(from: Mono, time: Mono, value: f64) -> Self {
        Self { from, time, mean: value, least: value, most: value }
    }

    /// A stretch in which nothing was measured.
    pub fn gap(from: Mono, time: Mono) -> Self {
        Self::sample(from, time, f64::NAN)
    }

    /// Whether nothing was measured.
    pub fn is_gap(&self) -> bool {
        !self.mean.is_finite()
    }
}

/// The past of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Oldest first; no two of them overlap.
    pub points: Vec<Point>,
    /// Where the oldest point begins that is kept, in the range or not.
    pub oldest: Option<Mono>,
    /// From here on every sample is kept; before it minutes are.
    pub fine: Option<Mono>,
    /// What was before this the memory bound has pushed out; `None` if it took nothing of this row.
    pub cut: Option<Mono>,
    /// Values of the whole table that the memory bound has pushed out.
    pub evicted: u64,
}

impl Series {
    /// What of all that is kept answers a question.
    #[must_use]
    pub fn answer(mut self, ask: &HistoryAsk) -> Self {
        let inside = |point: &Point| {
            ask.since.is_none_or(|since| point.time > since) && ask.until.is_none_or(|until| point.time <= until)
        };
        match ask.detail {
            Detail::Kept | Detail::Newest(_) => {
                self.points.retain(inside);
                if let Detail::Newest(most) = ask.detail {
                    self.points.drain(..self.points.len().saturating_sub(most));
                }
            }
            Detail::Step(step) => {
                let last = self.points.last().map_or(Mono(0), |point| point.time);
                let first = self.points.first().map_or(last, |point| point.from);
                let range = (ask.since.unwrap_or(first), ask.until.unwrap_or(last));
                self.points = steps(&self.points, range, step);
            }
        }
        self
    }
}

/// One point for each step back from the end of a range. A step in which points end tells of these; one within a point that
/// ends later tells of that.
fn steps(points: &[Point], (since, until): (Mono, Mono), step: Duration) -> Vec<Point> {
    let step = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX).max(1);
    let count = until.0.saturating_sub(since.0).div_ceil(step).min(MAX_STEPS);
    let edge = |back: u64| Mono(until.0.saturating_sub(back.saturating_mul(step)));
    let mut rest = points.get(points.partition_point(|point| point.time <= edge(count))..).unwrap_or(&[]);
    let mut told = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for back in (0..count).rev() {
        let (from, time) = (edge(back + 1), edge(back));
        let (inside, later) = rest.split_at(rest.partition_point(|point| point.time <= time));
        rest = later;
        let covering = later.first().filter(|next| inside.is_empty() && next.from < time);
        told.push(joined(from, time, covering.map_or(inside, std::slice::from_ref)));
    }
    told
}

/// Points as one; the longer one stands, the more it counts.
fn joined(from: Mono, time: Mono, points: &[Point]) -> Point {
    let (mut sum, mut weights, mut all) = (0.0, 0.0, Point::gap(from, time));
    for point in points.iter().filter(|point| !point.is_gap()) {
        let weight = point.time.since(point.from).max(1e-9);
        sum += point.mean * weight;
        weights += weight;
        (all.least, all.most) = (all.least.min(point.least), all.most.max(point.most));
    }
    if weights > 0.0 {
        // rounding must not put a mean beyond what was measured
        all.mean = (sum / weights).clamp(all.least, all.most);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// Seconds from 0 on; what is missing is a gap.
    fn seconds(values: &[Option<f64>]) -> Series {
        let at = |second: usize| Mono(second as u64 * SECOND);
        let point = |(i, value): (usize, &Option<f64>)| Point::sample(at(i), at(i + 1), value.unwrap_or(f64::NAN));
        Series { points: values.iter().enumerate().map(point).collect(), ..Series::default() }
    }

    fn ask(since: u64, until: u64, step: f64) -> HistoryAsk {
        let (since, until) = (Some(Mono(since * SECOND)), Some(Mono(until * SECOND)));
        let detail = Detail::Step(Duration::from_secs_f64(step));
        HistoryAsk { since, until, detail, ..HistoryAsk::all("t", "c", Key::default()) }
    }

    fn told(series: &Series) -> Vec<Option<(f64, f64, f64)>> {
        series.points.iter().map(|point| (!point.is_gap()).then_some((point.mean, point.least, point.most))).collect()
    }

    #[test]
    fn a_step_tells_mean_least_and_most_and_a_gap_stays_one() {
        let series = seconds(&[Some(1.0), Some(9.0), Some(2.0), Some(4.0), None, None, Some(0.0), None]);
        let told = told(&series.answer(&ask(0, 8, 2.0)));
        assert_eq!(told, [Some((5.0, 1.0, 9.0)), Some((3.0, 2.0, 4.0)), None, Some((0.0, 0.0, 0.0))]);
    }

    #[test]
    fn a_step_within_a_point_tells_that_point_and_what_was_not_measured_is_a_gap() {
        let series = seconds(&[Some(1.0), None, Some(2.0)]);
        let told = told(&series.answer(&ask(0, 5, 0.5)));
        let (one, two) = (Some((1.0, 1.0, 1.0)), Some((2.0, 2.0, 2.0)));
        assert_eq!(told, [one, one, None, None, two, two, None, None, None, None]);
    }

    #[test]
    fn a_range_without_end_or_with_too_many_steps_is_bounded() {
        let series = seconds(&[Some(1.0); 4]);
        let open = HistoryAsk { since: None, until: None, ..ask(0, 0, 1.0) };
        assert_eq!(series.clone().answer(&open).points, series.points);
        let tiny = HistoryAsk { detail: Detail::Step(Duration::ZERO), ..open.clone() };
        assert_eq!(series.clone().answer(&tiny).points.len(), MAX_STEPS as usize);
        let huge = HistoryAsk { detail: Detail::Step(Duration::MAX), ..open };
        assert_eq!(told(&series.answer(&huge)), [Some((1.0, 1.0, 1.0))]);
        assert_eq!(Series::default().answer(&ask(5, 2, 1.0)).points, []);
    }

    #[test]
    fn the_newest_points_are_those_before_the_end() {
        let series = seconds(&[Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
        let ask = HistoryAsk { detail: Detail::Newest(2), since: None, ..ask(0, 3, 1.0) };
        assert_eq!(series.answer(&ask).points.iter().map(|point| point.mean).collect::<Vec<_>>(), [2.0, 3.0]);
    }

    proptest! {
        #[test]
        fn no_step_hides_a_spike_or_makes_one_up(
            values in prop::collection::vec(prop::option::weighted(0.8, 0.0_f64..100.0), 1..200),
            since in 0_u64..250, length in 0_u64..250, step in 0.1_f64..90.0,
        ) {
            let (series, until) = (seconds(&values), since + length);
            let answer = series.clone().answer(&ask(since, until, step));
            let first = answer.points.first().map_or(Mono(until * SECOND), |point| point.from);
            let inside = |point: &&Point| !point.is_gap() && point.time > first && point.time.0 <= until * SECOND;
            let most = |points: &[Point]| points.iter().map(|point| point.most).fold(f64::NAN, f64::max);
            let kept: Vec<Point> = series.points.iter().filter(inside).copied().collect();
            if kept.is_empty() {
                // what is left is one point that the range ends in
                prop_assert!(answer.points.iter().filter(|point| !point.is_gap()).count() as f64 * step <= 1.0 + step);
            } else {
                prop_assert!(most(&answer.points) >= most(&kept));
            }
            for point in answer.points.iter().filter(|point| !point.is_gap()) {
                prop_assert!(point.least <= point.mean && point.mean <= point.most);
                let (a, b) = (point.from.0 / SECOND, point.time.0.div_ceil(SECOND));
                let near = values.iter().skip(a as usize).take((b - a) as usize).flatten();
                prop_assert!(near.clone().any(|value| value.to_bits() == point.most.to_bits()));
                prop_assert!(near.clone().any(|value| value.to_bits() == point.least.to_bits()));
            }
        }
    }
}
