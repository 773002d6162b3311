//! Where do the points of many rows share their times?
//!
//! A point has a sequence number; [`Times`] says when each was, a [`Track`] holds one row's values from its first on.

use std::collections::VecDeque;

/// Times of points, oldest first.
#[derive(Default)]
pub(super) struct Times {
    /// Sequence number of the oldest.
    first: u64,
    times: VecDeque<u64>,
}

impl Times {
    /// Adds a point and returns its sequence number.
    pub(super) fn push(&mut self, time: u64) -> u64 {
        self.times.push_back(time);
        self.first + self.times.len() as u64 - 1
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.times.back().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Time of a point.
    pub(super) fn at(&self, seq: u64) -> Option<u64> {
        self.times.get(usize::try_from(seq.checked_sub(self.first)?).ok()?).copied()
    }

    /// Points from a sequence number on; none without one.
    pub(super) fn since(&self, seq: Option<u64>) -> impl Iterator<Item = (u64, u64)> + '_ {
        let all = self.times.iter().enumerate().map(|(i, time)| (self.first + i as u64, *time));
        all.filter(move |(point, _)| seq.is_some_and(|seq| *point >= seq))
    }

    /// Drops points that are not newer than `oldest`, and those that are too many.
    pub(super) fn keep(&mut self, oldest: u64, max: usize) {
        while self.times.len() > max || self.times.front().is_some_and(|time| *time < oldest) {
            self.drop_oldest(1);
        }
    }

    pub(super) fn drop_oldest(&mut self, count: usize) {
        let count = count.min(self.times.len());
        self.times.drain(..count);
        self.first += count as u64;
    }

    pub(super) fn bytes(&self) -> usize {
        self.times.capacity() * size_of::<u64>()
    }
}

/// A track grows by one part of so many, and by so many points at least.
const GROWTH: usize = 8;
const GROWTH_LEAST: usize = 4;

/// Values of one row, one of each column for each point.
#[derive(Default)]
pub(super) struct Track {
    start: u64,
    values: VecDeque<f32>,
}

impl Track {
    /// Sequence number of the oldest point, `None` when there is none.
    pub(super) fn first(&self) -> Option<u64> {
        (!self.values.is_empty()).then_some(self.start)
    }

    /// Values in all.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Makes ready for the values of point `seq`; points that the row missed become gaps.
    pub(super) fn open(&mut self, seq: u64, first: u64, width: usize) {
        if self.values.capacity() - self.values.len() < width {
            // doubling, as it does by itself, would leave half of the memory that is allowed without a use
            self.values.reserve_exact(width * GROWTH_LEAST.max(self.values.len() / width.max(1) / GROWTH));
        }
        let points = self.values.len().checked_div(width).unwrap_or(0);
        let next = self.start + points as u64;
        if self.values.is_empty() || next < first || next > seq {
            self.values.clear();
            self.start = seq;
            return;
        }
        let gap = usize::try_from(seq - next).unwrap_or(0) * width;
        self.values.extend(std::iter::repeat_n(f32::NAN, gap));
    }

    pub(super) fn put(&mut self, value: f64) {
        self.values.push_back(value as f32);
    }

    /// Value of a column at a point, not a number where there is none.
    pub(super) fn get(&self, seq: u64, width: usize, column: usize) -> f64 {
        let point = seq.checked_sub(self.start).and_then(|point| usize::try_from(point).ok());
        let value = point.and_then(|point| self.values.get(point * width + column));
        value.map_or(f64::NAN, |value| f64::from(*value))
    }

    /// Drops points before `first`.
    pub(super) fn trim(&mut self, first: u64, width: usize) {
        let Some(old) = first.checked_sub(self.start).and_then(|old| usize::try_from(old).ok()) else {
            return;
        };
        self.values.drain(..old.saturating_mul(width).min(self.values.len()));
        self.start = first;
    }

    pub(super) fn shrink(&mut self) {
        self.values.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f32>()
    }
}
