//! Which row of the sample before is this row?
//!
//! Rows that are sorted by their Ids in both samples are joined by walking both once. Otherwise Ids are hashed, because
//! only so a duplicate is noticed; a duplicate is paired with nothing.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use crate::model::{Cell, Rows, Table};

/// No such row, or several.
const NONE: u32 = u32::MAX;

/// For each row of a sample its row in the sample before.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Vec<u32>);

impl Pairs {
    /// Row of the sample before, `None` for one that was not there or is not unique.
    pub(crate) fn earlier(&self, row: usize) -> Option<usize> {
        self.0.get(row).filter(|earlier| **earlier != NONE).map(|earlier| *earlier as usize)
    }

    /// Pairs the rows of two samples of the same schema.
    pub(crate) fn of(now: &dyn Rows, before: &dyn Rows) -> Self {
        let ids: Vec<usize> = now.table().ids().collect();
        if is_sorted(now, &ids) && is_sorted(before, &ids) {
            return Self::merge(now, before, &ids);
        }
        let state = RandomState::new();
        let later = unique(now, &ids, &state);
        let earlier = unique(before, &ids, &state);
        let mut pairs = vec![NONE; now.len()];
        for (hash, row) in later {
            let pair = earlier.get(&hash).copied().unwrap_or(NONE);
            if row != NONE
                && pair != NONE
                && compare(now, row as usize, before, pair as usize, &ids) == Ordering::Equal
                && let Some(slot) = pairs.get_mut(row as usize)
            {
                *slot = pair;
            }
        }
        Self(pairs)
    }

    fn merge(now: &dyn Rows, before: &dyn Rows, ids: &[usize]) -> Self {
        let mut earlier = 0;
        let mut pairs = Vec::with_capacity(now.len());
        for row in 0..now.len() {
            let mut pair = NONE;
            while earlier < before.len() {
                match compare(now, row, before, earlier, ids) {
                    Ordering::Less => break,
                    Ordering::Equal => {
                        pair = earlier as u32;
                        earlier += 1;
                        break;
                    }
                    Ordering::Greater => earlier += 1,
                }
            }
            pairs.push(pair);
        }
        Self(pairs)
    }
}

/// Whether rows of two samples can be compared at all.
pub(super) fn same_schema(a: &Table, b: &Table) -> bool {
    std::ptr::eq(a, b)
        || (a.name == b.name
            && a.columns.len() == b.columns.len()
            && a.columns
                .iter()
                .zip(b.columns.iter())
                .all(|(a, b)| a.name == b.name && a.kind == b.kind && a.ty == b.ty && a.unit == b.unit))
}

/// Whether each row's Ids are greater than those of the row before it: then none is there twice.
fn is_sorted(rows: &dyn Rows, ids: &[usize]) -> bool {
    (1..rows.len()).all(|row| compare(rows, row - 1, rows, row, ids) == Ordering::Less)
}

fn unique(rows: &dyn Rows, ids: &[usize], state: &RandomState) -> HashMap<u64, u32> {
    let mut map = HashMap::with_capacity(rows.len());
    for row in 0..rows.len() {
        let mut hash = state.build_hasher();
        for id in ids {
            feed(&rows.cell(row, *id), &mut hash);
        }
        match map.entry(hash.finish()) {
            Entry::Occupied(mut twice) => {
                twice.insert(NONE);
            }
            Entry::Vacant(free) => {
                free.insert(row as u32);
            }
        }
    }
    map
}

fn feed(cell: &Cell<'_>, hash: &mut impl Hasher) {
    match cell {
        Cell::Missing => hash.write_u8(0),
        Cell::U64(v) => hash.write_i128(i128::from(*v)),
        Cell::I64(v) => hash.write_i128(i128::from(*v)),
        Cell::F64(v) | Cell::Duration(v) => hash.write_u64(v.to_bits()),
        Cell::Bool(v) => hash.write_u8(u8::from(*v)),
        Cell::Text(v) | Cell::Label(v) => {
            hash.write_usize(v.len());
            hash.write(v.as_bytes());
        }
        Cell::Ip(IpAddr::V4(v)) => hash.write(&v.octets()),
        Cell::Ip(IpAddr::V6(v)) => hash.write(&v.octets()),
        Cell::Mac(v) => hash.write(&v.0),
        Cell::Timestamp(v) => hash.write_i64(v.0),
    }
}

fn compare(a: &dyn Rows, row_a: usize, b: &dyn Rows, row_b: usize, ids: &[usize]) -> Ordering {
    for id in ids {
        let order = order(&a.cell(row_a, *id), &b.cell(row_b, *id));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Some total order of cells; equal only if the keys are.
fn order(a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    match (a, b) {
        (Cell::U64(a), Cell::U64(b)) => a.cmp(b),
        (Cell::Text(a) | Cell::Label(a), Cell::Text(b) | Cell::Label(b)) => a.cmp(b),
        (Cell::Ip(a), Cell::Ip(b)) => a.cmp(b),
        (Cell::Mac(a), Cell::Mac(b)) => a.cmp(b),
        (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
        (Cell::Timestamp(a), Cell::Timestamp(b)) => a.cmp(b),
        (Cell::F64(a) | Cell::Duration(a), Cell::F64(b) | Cell::Duration(b)) => a.total_cmp(b),
        (a, b) => match (integer(a), integer(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => class(a).cmp(&class(b)),
        },
    }
}

fn integer(cell: &Cell<'_>) -> Option<i128> {
    match cell {
        Cell::U64(v) => Some(i128::from(*v)),
        Cell::I64(v) => Some(i128::from(*v)),
        _ => None,
    }
}

fn class(cell: &Cell<'_>) -> u8 {
    match cell {
        Cell::Missing => 0,
        Cell::U64(_) | Cell::I64(_) => 1,
        Cell::F64(_) | Cell::Duration(_) => 2,
        Cell::Bool(_) => 3,
        Cell::Text(_) | Cell::Label(_) => 4,
        Cell::Ip(_) => 5,
        Cell::Mac(_) => 6,
        Cell::Timestamp(_) => 7,
    }
}
