//! What is remembered of the rows of one table, and what memory does it take?
//!
//! Every change of a row goes through [`Rows`], which keeps the sum of their bytes.

use std::collections::HashMap;

use super::ring::Track;
use crate::model::Key;

/// What a row costs beside its values, about: its key, its place in the map, its counters.
const ROW_COST: usize = 256;
/// Points in a piece of a track at full resolution, and of minutes.
pub(super) const PIECE: usize = 16;
pub(super) const MINUTES: usize = 8;

/// One row's past.
pub(super) struct RowPast {
    pub(super) fine: Track<1, PIECE>,
    /// Mean, least and most of a minute.
    pub(super) coarse: Track<3, MINUTES>,
    /// What this minute has so far, by column.
    sums: Box<[Sum]>,
    pub(super) seen: u64,
    /// When it was seen first.
    pub(super) since: Option<u64>,
    /// Where the points begin that the memory bound has left, 0 if it took none.
    pub(super) cut: u64,
}

/// The values of a column in one minute.
#[derive(Clone, Copy)]
struct Sum {
    total: f64,
    count: u32,
    least: f32,
    most: f32,
}

impl Sum {
    const NONE: Self = Self { total: 0.0, count: 0, least: f32::INFINITY, most: f32::NEG_INFINITY };

    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.total += value;
            self.count += 1;
            (self.least, self.most) = (self.least.min(value as f32), self.most.max(value as f32));
        }
    }

    /// Mean, least and most; not numbers when there was no value.
    fn told(self) -> [f64; 3] {
        if self.count == 0 {
            return [f64::NAN; 3];
        }
        let (least, most) = (f64::from(self.least), f64::from(self.most));
        // rounding must not put the mean of equal values beside them
        [(self.total / f64::from(self.count)).clamp(least, most), least, most]
    }
}

impl RowPast {
    fn new(width: usize) -> Self {
        Self {
            fine: Track::default(),
            coarse: Track::default(),
            sums: vec![Sum::NONE; width].into(),
            seen: 0,
            since: None,
            cut: 0,
        }
    }

    /// Adds point `seq` at full resolution.
    pub(super) fn put(&mut self, seq: u64, first: u64, values: impl Iterator<Item = f64>) {
        let (width, sums) = (self.sums.len(), &mut self.sums);
        let summed = values.zip(sums).map(|(value, sum)| {
            sum.add(value);
            [value]
        });
        self.fine.push(seq, first, width, summed);
    }

    /// Turns what was summed up into point `seq` of the minutes.
    pub(super) fn close_minute(&mut self, seq: u64, first: u64) {
        if self.sums.iter().all(|sum| sum.count == 0) {
            return;
        }
        let (width, sums) = (self.sums.len(), &mut self.sums);
        let told = sums.iter_mut().map(|sum| std::mem::replace(sum, Sum::NONE).told());
        self.coarse.push(seq, first, width, told);
    }

    /// A time, or when the row was seen first: nothing of its first minute was measured before that.
    pub(super) fn measured(&self, from: u64) -> u64 {
        from.max(self.since.unwrap_or(from))
    }

    /// Values in all: a minute counts as one.
    fn values(&self) -> usize {
        (self.fine.len() + self.coarse.len()) * self.sums.len()
    }

    fn bytes(&self) -> usize {
        self.fine.bytes() + self.coarse.bytes() + size_of_val(&*self.sums) + ROW_COST
    }
}

/// The rows of one table.
#[derive(Default)]
pub(super) struct Rows {
    rows: HashMap<Key, RowPast>,
    bytes: usize,
}

/// What a row takes with its key: a name may be long, and a key keeps it outside of the map.
fn cost(key: &Key, row: &RowPast) -> usize {
    row.bytes() + key.as_bytes().len()
}

impl Rows {
    /// Changes one row, which is made if it is not there.
    pub(super) fn change(&mut self, key: Key, width: usize, change: impl FnOnce(&mut RowPast)) {
        let long = key.as_bytes().len();
        let bytes = &mut self.bytes;
        let row = self.rows.entry(key).or_insert_with(|| {
            let row = RowPast::new(width);
            *bytes += row.bytes() + long;
            row
        });
        let before = row.bytes();
        change(row);
        *bytes = *bytes - before + row.bytes();
    }

    /// Changes all rows.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(&mut RowPast)) {
        for row in self.rows.values_mut() {
            let before = row.bytes();
            change(row);
            self.bytes = self.bytes - before + row.bytes();
        }
    }

    /// Keeps the rows that are wanted.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&RowPast) -> bool) {
        self.rows.retain(|key, row| {
            let stays = wanted(row);
            self.bytes -= if stays { 0 } else { cost(key, row) };
            stays
        });
        if self.rows.len() * 4 < self.rows.capacity() {
            self.rows.shrink_to_fit();
        }
    }

    /// Drops a row, one that nobody watches if there is any: the one that was not seen for longest, and of several the one
    /// with the least past. So it is the same one again and again, and the others keep theirs.
    pub(super) fn drop_oldest(&mut self, watched: impl Fn(&Key) -> bool) {
        let worth = |&(key, row): &(&Key, &RowPast)| (watched(key), row.seen, row.values());
        let least = self.rows.iter().min_by(|a, b| worth(a).cmp(&worth(b)).then_with(|| b.0.cmp(a.0)));
        let least = least.map(|(key, _)| key.clone());
        if let Some((key, row)) = least.and_then(|key| self.rows.remove_entry(&key)) {
            self.bytes -= cost(&key, &row);
        }
    }

    /// A row.
    pub(super) fn get(&self, key: &Key) -> Option<&RowPast> {
        self.rows.get(key)
    }

    /// Rows in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RowPast> {
        self.rows.values()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Values of all rows.
    pub(super) fn values(&self) -> usize {
        self.iter().map(RowPast::values).sum()
    }

    /// Memory of all rows.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same, counted again.
    #[cfg(test)]
    pub(super) fn walk(&self) -> usize {
        let row = |row: &RowPast| row.fine.walk() + row.coarse.walk() + size_of_val(&*row.sums) + ROW_COST;
        self.rows.iter().map(|(key, past)| row(past) + key.as_bytes().len()).sum()
    }
}
