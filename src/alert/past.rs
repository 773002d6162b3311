//! What was a row before?
//!
//! Some rules look at more than a sample: at how much a value has grown, at where it goes, at a word that changes. What they
//! remember belongs to a row and not to an alert, which may be of many rows.

use std::collections::VecDeque;
use std::time::Duration;

use super::instance::has_passed;
use crate::model::Mono;

/// Points that are kept.
const MOST_POINTS: usize = 64;

/// What a row has been.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The last look that has seen the row, and when that was.
    pub(super) round: u64,
    seen: Option<Mono>,
    points: VecDeque<(Mono, f64)>,
    /// What a column said that is watched for changes.
    pub(super) word: Option<Box<str>>,
    /// What it said before it changed.
    pub(super) was: Option<Box<str>>,
}

impl Past {
    /// Takes that the row is there; what it was is not what it has become in a time of which nothing is known.
    pub(super) fn resume(&mut self, patience: Duration, mono: Mono) {
        if self.seen.replace(mono).is_some_and(|seen| has_passed(seen, patience, mono)) {
            self.points.clear();
        }
    }

    /// Remembers a value, and by how much it has grown in so long; `None` until that is known.
    pub(super) fn delta(&mut self, value: f64, span: Duration, mono: Mono) -> Option<f64> {
        let old = self.points.iter().rev().find(|(then, _)| has_passed(*then, span, mono)).map(|(_, value)| *value);
        self.remember(value, span, mono);
        old.map(|old| value - old)
    }

    /// Remembers a value, and what it will be after so long if it goes on as it did for as long; `None` until a quarter of that
    /// is known. A line through all points by least squares.
    pub(super) fn forecast(&mut self, value: f64, span: Duration, mono: Mono) -> Option<f64> {
        self.remember(value, span, mono);
        let (first, _) = self.points.front()?;
        let known = mono.since(*first);
        if known < span.as_secs_f64() / 4.0 || self.points.len() < 4 {
            return None;
        }
        let count = self.points.len() as f64;
        let points = || self.points.iter().map(|(then, value)| (-mono.since(*then), *value));
        let (mean_x, mean_y) =
            (points().map(|(x, _)| x).sum::<f64>() / count, points().map(|(_, y)| y).sum::<f64>() / count);
        let rise: f64 = points().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let run: f64 = points().map(|(x, _)| (x - mean_x).powi(2)).sum();
        Some(value + rise / run * span.as_secs_f64()).filter(|forecast| forecast.is_finite())
    }

    fn remember(&mut self, value: f64, span: Duration, mono: Mono) {
        let apart = span / (MOST_POINTS as u32 / 2);
        if self.points.back().is_none_or(|(last, _)| has_passed(*last, apart, mono)) {
            self.points.push_back((mono, value));
        }
        // one that is old enough stays
        let is_old = |at: usize| self.points.get(at).is_some_and(|(then, _)| has_passed(*then, span, mono));
        let old = (1..self.points.len()).take_while(|at| is_old(*at)).count();
        self.points.drain(..old.max(self.points.len().saturating_sub(MOST_POINTS)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Mono {
        Mono((seconds * 1e9) as u64)
    }

    #[test]
    fn how_much_it_grew_and_what_it_will_be() {
        let mut one = Past::default();
        let minute = Duration::from_mins(1);
        let grown: Vec<Option<f64>> =
            (0..=90).map(|second| one.delta(f64::from(second) * 2.0, minute, at(f64::from(second)))).collect();
        assert_eq!((grown[59], grown[60]), (None, Some(120.0)));
        assert!((grown[90].unwrap() - 120.0).abs() <= 4.0, "{:?}", grown[90]);
        let mut two = Past::default();
        let mut last = None;
        for second in 0..600 {
            last = two.forecast(f64::from(second), minute, at(f64::from(second)));
            assert_eq!(last.is_some(), second >= 15, "{second}");
        }
        assert!((last.unwrap() - 659.0).abs() < 1.0, "{last:?}");
        assert!(two.points.len() <= MOST_POINTS);
    }
}
