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

/// Points in one piece of a track. Pieces are never moved or grown: hundreds of tracks that grow side by side would leave
/// holes between them that nothing fits.
pub(super) const PIECE: usize = 16;

/// Values of one row, one of each column for each point.
#[derive(Default)]
pub(super) struct Track {
    /// Sequence number of the oldest point.
    start: u64,
    /// Points, those at the front of the first piece included that were dropped.
    pieces: VecDeque<Box<[f32]>>,
    /// Values at the front of the first piece that were dropped.
    dropped: usize,
    /// Values in all that are left.
    count: usize,
}

impl Track {
    /// Sequence number of the oldest point, `None` when there is none.
    pub(super) fn first(&self) -> Option<u64> {
        (self.count > 0).then_some(self.start)
    }

    /// Values in all.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Makes ready for the values of point `seq`; points that the row missed become gaps.
    pub(super) fn open(&mut self, seq: u64, first: u64, width: usize) {
        let points = self.count.checked_div(width).unwrap_or(0);
        let next = self.start + points as u64;
        if self.count == 0 || next < first || next > seq {
            *self = Self { start: seq, ..Self::default() };
            return;
        }
        for _ in 0..usize::try_from(seq - next).unwrap_or(0) * width {
            self.put(f64::NAN, width);
        }
    }

    /// Adds the next value of the newest point.
    pub(super) fn put(&mut self, value: f64, width: usize) {
        let size = PIECE * width.max(1);
        let at = self.dropped + self.count;
        if at >= self.pieces.len() * size {
            self.pieces.push_back(vec![f32::NAN; size].into());
        }
        if let Some(slot) = self.pieces.get_mut(at / size).and_then(|piece| piece.get_mut(at % size)) {
            *slot = value as f32;
            self.count += 1;
        }
    }

    /// Value of a column at a point, not a number where there is none.
    pub(super) fn get(&self, seq: u64, width: usize, column: usize) -> f64 {
        let size = PIECE * width.max(1);
        let point = seq.checked_sub(self.start).and_then(|point| usize::try_from(point).ok());
        let at = point.map(|point| point * width + column).filter(|at| *at < self.count);
        let value = at.and_then(|at| self.pieces.get((self.dropped + at) / size)?.get((self.dropped + at) % size));
        value.map_or(f64::NAN, |value| f64::from(*value))
    }

    /// Drops points before `first`.
    pub(super) fn trim(&mut self, first: u64, width: usize) {
        let Some(old) = first.checked_sub(self.start).and_then(|old| usize::try_from(old).ok()) else {
            return;
        };
        let gone = old.saturating_mul(width).min(self.count);
        let size = PIECE * width.max(1);
        self.count -= gone;
        self.dropped += gone;
        self.pieces.drain(..(self.dropped / size).min(self.pieces.len()));
        self.dropped %= size;
        self.start = first;
    }

    pub(super) fn bytes(&self) -> usize {
        let places = self.pieces.capacity() * size_of::<Box<[f32]>>();
        places + self.pieces.iter().map(|piece| size_of_val(&**piece)).sum::<usize>()
    }
}
