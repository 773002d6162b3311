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

    /// Where a point begins: where the one before it was, unless that is much longer ago than its neighbors are apart; then
    /// it is no longer than the shorter of these. A single point between two pauses of like length cannot be told from a
    /// table that is sampled seldom.
    pub(super) fn begin(&self, seq: u64) -> Option<u64> {
        let time = self.at(seq)?;
        let before = seq.checked_sub(1).and_then(|seq| self.at(seq));
        let earlier = seq.checked_sub(2).and_then(|seq| self.at(seq));
        let (last, next) = (before.zip(earlier).map(|(a, b)| a - b), self.at(seq + 1).map(|next| next - time));
        let shorter = last.zip(next).map(|(last, next)| last.min(next)).or(last).or(next);
        let span = match (before.map(|before| time - before), last.max(next)) {
            (Some(span), Some(usual)) if span / 3 <= usual / 2 => span,
            (span, _) => shorter.or(span).unwrap_or(0),
        };
        Some(time.saturating_sub(span))
    }

    /// Sequence number of the oldest point that is newer than a time.
    pub(super) fn after(&self, time: u64) -> u64 {
        self.first + self.times.partition_point(|one| *one <= time) as u64
    }

    /// Points from a sequence number on; none without one.
    pub(super) fn since(&self, seq: Option<u64>) -> impl Iterator<Item = (u64, u64)> + '_ {
        let from = seq.map_or(u64::MAX, |seq| seq.saturating_sub(self.first));
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.times.len());
        self.times.range(from..).enumerate().map(move |(i, time)| (self.first + (from + i) as u64, *time))
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
        give_back(&mut self.times);
    }

    pub(super) fn bytes(&self) -> usize {
        self.times.capacity() * size_of::<u64>()
    }
}

/// Gives memory back of which most is empty: it counts against the bound, and would cost others their past.
fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > queue.len() * 2 + 8 {
        queue.shrink_to(queue.len() + 1);
    }
}

/// Values of the columns for `POINTS` points, of each column `LANES`.
struct Piece<const LANES: usize, const POINTS: usize> {
    /// Point by point while it is filled; afterwards the first value of each column, then all values of those that vary.
    values: Box<[f32]>,
    /// Set of the columns that vary, once it is full. Most rows of most hosts are idle, so most columns do not.
    varying: Option<u64>,
}

impl<const LANES: usize, const POINTS: usize> Piece<LANES, POINTS> {
    fn new(width: usize) -> Self {
        Self { values: vec![f32::NAN; POINTS * width * LANES].into(), varying: None }
    }

    fn get(&self, point: usize, column: usize, width: usize) -> Option<[f32; LANES]> {
        let (at, step) = match self.varying {
            None => ((point * width + column) * LANES, 1),
            Some(varying) if varying >> column & 1 == 0 => (column, 0),
            Some(varying) => {
                let before = (varying & ((1 << column) - 1)).count_ones() as usize;
                (width + before * POINTS * LANES + point, POINTS)
            }
        };
        let mut found = [f32::NAN; LANES];
        for (lane, value) in found.iter_mut().enumerate() {
            *value = *self.values.get(at + lane * step)?;
        }
        Some(found)
    }

    /// Keeps one value of each column that has not changed.
    fn seal(&mut self, width: usize) {
        // one bit for each column
        if width > 64 {
            return;
        }
        let of =
            |column: usize, lane: usize| self.values.iter().skip(column * LANES + lane).step_by(width * LANES).copied();
        let varies = |column: &usize| {
            let first = of(*column, 0).next().map(f32::to_bits);
            (0..LANES).any(|lane| of(*column, lane).any(|value| Some(value.to_bits()) != first))
        };
        let columns: Vec<usize> = (0..width).filter(varies).collect();
        let mut values = Vec::with_capacity(width + columns.len() * POINTS * LANES);
        values.extend((0..width).filter_map(|column| of(column, 0).next()));
        values.extend(columns.iter().flat_map(|column| (0..LANES).flat_map(move |lane| of(*column, lane))));
        self.varying = Some(columns.iter().fold(0, |set, column| set | 1 << column));
        self.values = values.into();
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.values)
    }
}

/// Points of one row: `LANES` values of each column. They lie in pieces of `POINTS` that are never moved or grown: hundreds
/// of tracks that grow side by side would leave holes between them that nothing fits.
#[derive(Default)]
pub(super) struct Track<const LANES: usize, const POINTS: usize> {
    /// Sequence number of the oldest point.
    start: u64,
    pieces: VecDeque<Piece<LANES, POINTS>>,
    /// Points at the front of the first piece that were dropped.
    dropped: usize,
    /// Points that are left.
    count: usize,
    /// Memory of the pieces, kept up to date: to walk them for every sample costs more than to record it.
    bytes: usize,
}

impl<const LANES: usize, const POINTS: usize> Track<LANES, POINTS> {
    /// Sequence number of the oldest point, `None` when there is none.
    pub(super) fn first(&self) -> Option<u64> {
        (self.count > 0).then_some(self.start)
    }

    /// Points that are left.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds point `seq`; points since `first` that the row missed become gaps.
    pub(super) fn push(&mut self, seq: u64, first: u64, width: usize, values: impl Iterator<Item = [f64; LANES]>) {
        let next = self.start + self.count as u64;
        if self.count == 0 || next < first || next > seq {
            *self = Self { start: seq, ..Self::default() };
        } else {
            (next..seq).for_each(|_| self.add(width, std::iter::empty()));
        }
        self.add(width, values);
    }

    /// Adds the next point; columns without values are gaps.
    fn add(&mut self, width: usize, values: impl Iterator<Item = [f64; LANES]>) {
        let at = self.dropped + self.count;
        if at >= self.pieces.len() * POINTS {
            let (places, piece) = (self.pieces.capacity(), Piece::new(width));
            self.bytes += piece.bytes();
            self.pieces.push_back(piece);
            self.bytes += (self.pieces.capacity() - places) * size_of::<Piece<LANES, POINTS>>();
        }
        let Some(piece) = self.pieces.get_mut(at / POINTS) else { return };
        let slots = piece.values.chunks_exact_mut(LANES).skip(at % POINTS * width).take(width);
        for (slot, value) in slots.zip(values) {
            slot.iter_mut().zip(value).for_each(|(slot, value)| *slot = value as f32);
        }
        self.count += 1;
        if at % POINTS + 1 == POINTS {
            self.bytes -= piece.bytes();
            piece.seal(width);
            self.bytes += piece.bytes();
        }
    }

    /// Values of a column at a point, not numbers where there are none.
    pub(super) fn get(&self, seq: u64, width: usize, column: usize) -> [f64; LANES] {
        let point = seq.checked_sub(self.start).and_then(|point| usize::try_from(point).ok());
        let value = point.filter(|point| *point < self.count).and_then(|point| {
            let at = self.dropped + point;
            self.pieces.get(at / POINTS)?.get(at % POINTS, column, width)
        });
        value.map_or([f64::NAN; LANES], |value| value.map(f64::from))
    }

    /// Drops points before `first`.
    pub(super) fn trim(&mut self, first: u64) {
        let Some(old) = first.checked_sub(self.start).and_then(|old| usize::try_from(old).ok()) else {
            return;
        };
        let gone = old.min(self.count);
        self.count -= gone;
        self.dropped += gone;
        let pieces = (self.dropped / POINTS).min(self.pieces.len());
        self.bytes -= self.pieces.drain(..pieces).map(|piece| piece.bytes()).sum::<usize>();
        let places = self.pieces.capacity();
        give_back(&mut self.pieces);
        self.bytes -= (places - self.pieces.capacity()) * size_of::<Piece<LANES, POINTS>>();
        self.dropped %= POINTS;
        self.start = first;
    }

    /// Memory in use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same, counted again.
    #[cfg(test)]
    pub(super) fn walk(&self) -> usize {
        let places = self.pieces.capacity() * size_of::<Piece<LANES, POINTS>>();
        places + self.pieces.iter().map(Piece::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is told of a column: most stand still.
    fn value(points: &[Vec<u8>], point: usize, column: usize, lane: usize) -> f64 {
        match points[point][column] {
            _ if !column.is_multiple_of(3) => column as f64,
            0 => f64::NAN,
            1 => column as f64,
            other => f64::from(other) + (point + lane * 100) as f64,
        }
    }

    fn gives_back<const LANES: usize, const POINTS: usize>(width: usize, points: &[Vec<u8>], missed: usize, gone: u64) {
        let mut track = Track::<LANES, POINTS>::default();
        let of = |seq: usize, column: usize| std::array::from_fn(|lane| value(points, seq, column, lane));
        for seq in (0..points.len()).filter(|seq| *seq != missed) {
            track.push(seq as u64, 0, width, (0..width).map(|column| of(seq, column)));
            assert_eq!(track.bytes(), track.walk());
        }
        track.trim(gone);
        assert_eq!(track.bytes(), track.walk());
        for seq in 0..points.len() {
            for column in 0..width {
                let got: [f64; LANES] = track.get(seq as u64, width, column);
                let is_gap = (seq as u64) < gone || seq == missed;
                let want = if is_gap { [f64::NAN; LANES] } else { of(seq, column) };
                // not a number is told by its bits
                assert_eq!(got.map(f64::to_bits), want.map(f64::to_bits), "{seq} {column}: {got:?} {want:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_track_gives_back_what_it_took(
            width in 1_usize..70,
            points in prop::collection::vec(prop::collection::vec(0_u8..3, 70), 2..80),
            missed in 0_usize..90,
            gone in 0_u64..90,
        ) {
            gives_back::<1, 16>(width, &points, missed, gone);
            gives_back::<3, 8>(width, &points, missed, gone);
        }
    }

    #[test]
    fn columns_that_stand_still_take_one_value_of_a_piece() {
        let bytes = |vary: bool| {
            let mut track = Track::<1, 16>::default();
            for seq in 0..600_u64 {
                track.push(seq, 0, 10, (0..10).map(|_| [if vary { seq as f64 } else { 7.0 }]));
            }
            track.bytes()
        };
        assert!(bytes(false) * 4 < bytes(true), "{} {}", bytes(false), bytes(true));
    }
}
