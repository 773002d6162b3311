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

/// Values of the columns for [`PIECE`] points.
struct Piece {
    /// Point by point while it is filled; afterwards the first value of each column, then all values of those that vary.
    values: Box<[f32]>,
    /// Set of the columns that vary, once it is full. Most rows of most hosts are idle, so most columns do not.
    varying: Option<u64>,
}

impl Piece {
    fn new(width: usize) -> Self {
        Self { values: vec![f32::NAN; PIECE * width].into(), varying: None }
    }

    fn get(&self, point: usize, column: usize, width: usize) -> Option<f32> {
        let at = match self.varying {
            None => point * width + column,
            Some(varying) if varying >> column & 1 == 0 => column,
            Some(varying) => {
                let before = (varying & ((1 << column) - 1)).count_ones() as usize;
                width + before * PIECE + point
            }
        };
        self.values.get(at).copied()
    }

    /// Keeps one value of each column that has not changed.
    fn seal(&mut self, width: usize) {
        // one bit for each column
        if width > 64 {
            return;
        }
        let of = |column: usize| self.values.iter().skip(column).step_by(width).copied();
        let varies = |column: &usize| {
            let first = of(*column).next().map(f32::to_bits);
            of(*column).any(|value| Some(value.to_bits()) != first)
        };
        let columns: Vec<usize> = (0..width).filter(varies).collect();
        let mut values: Vec<f32> = self.values.iter().take(width).copied().collect();
        values.reserve_exact(columns.len() * PIECE);
        values.extend(columns.iter().flat_map(|column| of(*column)));
        self.varying = Some(columns.iter().fold(0, |set, column| set | 1 << column));
        self.values = values.into();
    }
}

/// Values of one row, one of each column for each point.
#[derive(Default)]
pub(super) struct Track {
    /// Sequence number of the oldest point.
    start: u64,
    pieces: VecDeque<Piece>,
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
            self.pieces.push_back(Piece::new(width));
        }
        let Some(piece) = self.pieces.get_mut(at / size) else { return };
        if let Some(slot) = piece.values.get_mut(at % size) {
            *slot = value as f32;
            self.count += 1;
        }
        if at % size + 1 == size {
            piece.seal(width);
        }
    }

    /// Value of a column at a point, not a number where there is none.
    pub(super) fn get(&self, seq: u64, width: usize, column: usize) -> f64 {
        let size = PIECE * width.max(1);
        let point = seq.checked_sub(self.start).and_then(|point| usize::try_from(point).ok());
        let at = point.map(|point| point * width + column).filter(|at| *at < self.count);
        let value = at.and_then(|at| {
            let at = self.dropped + at;
            self.pieces.get(at / size)?.get(at % size / width.max(1), column, width)
        });
        value.map_or(f64::NAN, f64::from)
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
        let places = self.pieces.capacity() * size_of::<Piece>();
        places + self.pieces.iter().map(|piece| size_of_val(&*piece.values)).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_track_gives_back_what_it_took(
            width in 1_usize..70,
            points in prop::collection::vec(prop::collection::vec(0_u8..3, 70), 1..80),
            dropped in 0_u64..90,
        ) {
            // most columns stand still
            let value = |point: usize, column: usize| match points[point][column] {
                _ if !column.is_multiple_of(3) => column as f64,
                0 => f64::NAN,
                other => f64::from(other) + point as f64,
            };
            let mut track = Track::default();
            for seq in 0..points.len() {
                track.open(seq as u64, 0, width);
                (0..width).for_each(|column| track.put(value(seq, column), width));
            }
            track.trim(dropped, width);
            for seq in 0..points.len() {
                for column in 0..width {
                    let got = track.get(seq as u64, width, column);
                    let want = if (seq as u64) < dropped { f64::NAN } else { value(seq, column) };
                    // not a number is told by its bits
                    prop_assert_eq!(got.to_bits(), want.to_bits(), "{} {}: {} {}", seq, column, got, want);
                }
            }
        }
    }

    #[test]
    fn columns_that_stand_still_take_one_value_of_a_piece() {
        let bytes = |vary: bool| {
            let mut track = Track::default();
            for seq in 0..600_u64 {
                track.open(seq, 0, 10);
                (0..10).for_each(|_| track.put(if vary { seq as f64 } else { 7.0 }, 10));
            }
            track.bytes()
        };
        assert!(bytes(false) * 4 < bytes(true), "{} {}", bytes(false), bytes(true));
    }
}
