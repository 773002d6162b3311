//! What is remembered of the rows of one table, and what memory does it take?
//!
//! Every change of a row goes through [`Rows`], which keeps the sum of their bytes.

use std::collections::HashMap;

use super::ring::Track;
use crate::model::Key;

/// What a row costs beside its values, about: its key, its place in the map, its counters.
const ROW_COST: usize = 256;
/// Points in a piece of a track.
pub(super) const PIECE: usize = 16;

/// One row's past.
pub(super) struct RowPast {
    pub(super) fine: Track<1, PIECE>,
    pub(super) coarse: Track<1, PIECE>,
    /// Sum and number of the values of this minute, by column.
    sums: Box<[(f64, u32)]>,
    pub(super) seen: u64,
}

impl RowPast {
    fn new(width: usize) -> Self {
        Self { fine: Track::default(), coarse: Track::default(), sums: vec![(0.0, 0); width].into(), seen: 0 }
    }

    /// Adds point `seq` at full resolution.
    pub(super) fn put(&mut self, seq: u64, first: u64, values: impl Iterator<Item = f64>) {
        let (width, sums) = (self.sums.len(), &mut self.sums);
        let summed = values.zip(sums).map(|(value, (sum, count))| {
            if value.is_finite() {
                *sum += value;
                *count += 1;
            }
            [value]
        });
        self.fine.push(seq, first, width, summed);
    }

    /// Turns what was summed up into point `seq` of the minutes.
    pub(super) fn close_minute(&mut self, seq: u64, first: u64) {
        if self.sums.iter().all(|(_, count)| *count == 0) {
            return;
        }
        let (width, sums) = (self.sums.len(), &mut self.sums);
        let means = sums.iter_mut().map(|sum| {
            let (sum, count) = std::mem::replace(sum, (0.0, 0));
            [if count == 0 { f64::NAN } else { sum / f64::from(count) }]
        });
        self.coarse.push(seq, first, width, means);
    }

    /// Drops points that the times do not have any more.
    pub(super) fn trim(&mut self, fine: u64, coarse: u64) {
        self.fine.trim(fine);
        self.coarse.trim(coarse);
    }

    /// Values in all.
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

    /// Drops the row that was not seen for longest.
    pub(super) fn drop_oldest(&mut self) {
        let oldest = self.rows.iter().min_by_key(|(_, row)| row.seen).map(|(key, _)| key.clone());
        if let Some((key, row)) = oldest.and_then(|key| self.rows.remove_entry(&key)) {
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
