//! How do rows from a peer become rows like any other?
//!
//! [`Remote`] is one sample of one table, column by column; a column that did not change is shared with the sample before.
//! A change is checked before it is believed: places lie inside the table, lists are as long as they must be, and the size
//! is bounded, because a peer may be hostile. What it says in words is sanitized here, where it enters the process.

use std::net::IpAddr;
use std::sync::Arc;

use super::encode::{Class, scaled, unscaled};
use super::schema::Layout;
use super::{WireError, proto};
use crate::model::{Cell, Mac, Rows, Table, Text, Timestamp, Type};

/// Rows of one table at most: more processes than the kernel can have are 4 million; no table of a peer has more than these.
pub const MAX_ROWS: usize = 1 << 20;

/// Cells of one table at most, and of all tables of a host.
pub const MAX_CELLS: usize = 1 << 25;

/// Most decimal places that a number may have.
const MAX_DECIMALS: u32 = 18;

/// Values of one column.
#[derive(Clone, Debug)]
enum Cells {
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Words(Vec<Text>),
    Addresses(Vec<IpAddr>),
    Macs(Vec<Mac>),
}

#[derive(Clone, Debug)]
struct Column {
    cells: Cells,
    present: Vec<bool>,
}

/// One sample of a table of a peer.
#[derive(Clone, Debug)]
pub struct Remote {
    layout: Arc<Layout>,
    len: usize,
    /// By the columns of the peer; `None` for one that never had a value.
    columns: Vec<Option<Arc<Column>>>,
}

impl Rows for Remote {
    fn table(&self) -> &Table {
        self.layout.table
    }

    fn len(&self) -> usize {
        self.len
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let Some(position) = self.layout.from.get(column).copied().flatten() else { return Cell::Missing };
        let Some(column) = self.columns.get(position).and_then(Option::as_ref) else { return Cell::Missing };
        match self.layout.types.get(position) {
            Some(ty) if column.present.get(row) == Some(&true) => column.cells.get(row, *ty).unwrap_or(Cell::Missing),
            _ => Cell::Missing,
        }
    }

    fn bytes(&self) -> usize {
        self.columns.iter().flatten().map(|column| column.cells.bytes() + column.present.capacity()).sum()
    }
}

impl Remote {
    /// No rows.
    pub fn new(layout: Arc<Layout>) -> Self {
        let columns = vec![None; layout.types.len()];
        Self { layout, len: 0, columns }
    }

    /// The sample that follows from this one.
    ///
    /// # Errors
    /// The change does not fit this table or exceeds a bound.
    pub fn apply(&self, change: &proto::Change) -> Result<Self, WireError> {
        let base = if change.full { Self::new(Arc::clone(&self.layout)) } else { self.clone() };
        let gone = positions(&change.removed, base.len)?;
        let len = (base.len - gone.len())
            .checked_add(change.added as usize)
            .filter(|len| *len <= MAX_ROWS)
            .ok_or(WireError::Bound("rows"))?;
        // an added row has Ids, so that some column names it: a few bytes cannot stand for a million rows
        let named = change.columns.iter().map(named).max().unwrap_or(0);
        if change.added as usize > named.saturating_add(1) {
            return Err(WireError::Damaged("rows without a value"));
        }
        if len.saturating_mul(self.layout.types.len()) > MAX_CELLS {
            return Err(WireError::Bound("cells"));
        }
        let mut next = base;
        if !gone.is_empty() || change.added > 0 {
            for column in next.columns.iter_mut().flatten() {
                *column = Arc::new(column.moved(&gone, len));
            }
        }
        next.len = len;
        for change in &change.columns {
            next.column(change)?;
        }
        Ok(next)
    }

    /// Cells that there may be, with or without a value.
    pub fn cells(&self) -> usize {
        self.len.saturating_mul(self.layout.types.len())
    }

    fn column(&mut self, change: &proto::ColumnChange) -> Result<(), WireError> {
        let len = self.len;
        let position = change.column as usize;
        let (Some(ty), Some(slot)) = (self.layout.types.get(position), self.columns.get_mut(position)) else {
            return Err(WireError::Damaged("a column that the schema lacks"));
        };
        let column = slot.get_or_insert_with(|| Arc::new(Column::missing(*ty, len)));
        match Arc::make_mut(column).apply(change, *ty, len) {
            // what a newer peer sends in a way of its own is missing
            Err(WireError::Damaged(_)) if self.layout.foreign.contains(&position) => {
                *slot = None;
                Ok(())
            }
            applied => applied,
        }
    }
}

impl Cells {
    fn missing(ty: Type, len: usize) -> Self {
        match (Class::of(ty), ty) {
            (Class::Integer, _) => Self::Integers(vec![0; len]),
            (Class::Float, _) => Self::Floats(vec![0.0; len]),
            (_, Type::Ip) => Self::Addresses(vec![IpAddr::from([0; 4]); len]),
            (_, Type::Mac) => Self::Macs(vec![Mac([0; 6]); len]),
            _ => Self::Words(vec![Text::default(); len]),
        }
    }

    fn get(&self, row: usize, ty: Type) -> Option<Cell<'_>> {
        Some(match self {
            Self::Integers(values) => {
                let value = *values.get(row)?;
                match ty {
                    Type::I64 => Cell::I64(value),
                    Type::Bool => Cell::Bool(value != 0),
                    Type::Timestamp => Cell::Timestamp(Timestamp(value)),
                    _ => Cell::U64(value as u64),
                }
            }
            Self::Floats(values) if ty == Type::Duration => Cell::Duration(*values.get(row)?),
            Self::Floats(values) => Cell::F64(*values.get(row)?),
            Self::Words(values) if ty == Type::Label => Cell::Label(values.get(row)?),
            Self::Words(values) => Cell::Text(values.get(row)?),
            Self::Addresses(values) => Cell::Ip(*values.get(row)?),
            Self::Macs(values) => Cell::Mac(*values.get(row)?),
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Integers(values) => values.capacity() * 8,
            Self::Floats(values) => values.capacity() * 8,
            Self::Words(values) => values.capacity() * size_of::<Text>(),
            Self::Addresses(values) => values.capacity() * size_of::<IpAddr>(),
            Self::Macs(values) => values.capacity() * size_of::<Mac>(),
        }
    }

    fn moved(&self, gone: &[usize], len: usize) -> Self {
        match self {
            Self::Integers(values) => Self::Integers(moved(values, gone, len, 0)),
            Self::Floats(values) => Self::Floats(moved(values, gone, len, 0.0)),
            Self::Words(values) => Self::Words(moved(values, gone, len, Text::default())),
            Self::Addresses(values) => Self::Addresses(moved(values, gone, len, IpAddr::from([0; 4]))),
            Self::Macs(values) => Self::Macs(moved(values, gone, len, Mac([0; 6]))),
        }
    }
}

/// Rows that a change of a column tells something of.
fn named(change: &proto::ColumnChange) -> usize {
    change.integers.len() + change.doubles.len() + change.picks.len() + change.missing.len()
}

/// Those that stay, then `fill` up to `len`.
fn moved<T: Clone>(values: &[T], gone: &[usize], len: usize, fill: T) -> Vec<T> {
    let mut out = Vec::with_capacity(len);
    let mut from = 0;
    for position in gone {
        out.extend_from_slice(values.get(from..*position).unwrap_or_default());
        from = position + 1;
    }
    out.extend_from_slice(values.get(from..).unwrap_or_default());
    out.resize(len, fill);
    out
}

impl Column {
    fn missing(ty: Type, len: usize) -> Self {
        Self { cells: Cells::missing(ty, len), present: vec![false; len] }
    }

    fn moved(&self, gone: &[usize], len: usize) -> Self {
        Self { cells: self.cells.moved(gone, len), present: moved(&self.present, gone, len, false) }
    }

    fn apply(&mut self, change: &proto::ColumnChange, ty: Type, len: usize) -> Result<(), WireError> {
        let rows: Vec<usize> = if change.rows.is_empty() { (0..len).collect() } else { positions(&change.rows, len)? };
        let missing = positions(&change.missing, rows.len())?;
        for row in missing.iter().filter_map(|place| rows.get(*place)) {
            if let Some(present) = self.present.get_mut(*row) {
                *present = false;
            }
        }
        let rows = if missing.is_empty() { rows } else { without(&rows, &missing) };
        self.set(&rows, change, ty)?;
        for row in rows {
            if let Some(present) = self.present.get_mut(row) {
                *present = true;
            }
        }
        Ok(())
    }

    fn set(&mut self, rows: &[usize], change: &proto::ColumnChange, ty: Type) -> Result<(), WireError> {
        let Self { cells, present } = self;
        let had = |row: usize| present.get(row) == Some(&true);
        match cells {
            Cells::Integers(values) => add(values, rows, &change.integers, had, |v| v, |v| v),
            Cells::Floats(values) if change.doubles.is_empty() => {
                let decimals = change.decimals;
                if decimals > MAX_DECIMALS {
                    return Err(WireError::Bound("decimal places"));
                }
                add(values, rows, &change.integers, had, |v| scaled(v, decimals), |v| unscaled(v, decimals))
            }
            Cells::Floats(values) => put(values, rows, &change.doubles),
            Cells::Words(values) => {
                let words: Vec<Text> = change.words.iter().map(|word| Text::long(word)).collect();
                pick(values, rows, &words, &change.picks)
            }
            Cells::Addresses(values) => pick(values, rows, &parsed(&change.words, address)?, &change.picks),
            Cells::Macs(values) => pick(values, rows, &parsed(&change.words, mac)?, &change.picks),
        }
        .map_err(|()| WireError::Damaged(ty.name()))
    }
}

/// What is left of `rows` when those in the `missing` places are taken out.
fn without(rows: &[usize], missing: &[usize]) -> Vec<usize> {
    let mut missing = missing.iter().copied().peekable();
    rows.iter().enumerate().filter(|(place, _)| missing.next_if_eq(place).is_none()).map(|(_, row)| *row).collect()
}

/// Adds differences to old values, or to the value before in the list where there is none.
fn add<T: Copy>(
    values: &mut [T],
    rows: &[usize],
    differences: &[i64],
    had: impl Fn(usize) -> bool,
    number: impl Fn(T) -> i64,
    value: impl Fn(i64) -> T,
) -> Result<(), ()> {
    if rows.len() != differences.len() {
        return Err(());
    }
    let mut last = 0i64;
    for (row, difference) in rows.iter().zip(differences) {
        let slot = values.get_mut(*row).ok_or(())?;
        last = if had(*row) { number(*slot) } else { last }.wrapping_add(*difference);
        *slot = value(last);
    }
    Ok(())
}

fn put<T: Copy>(values: &mut [T], rows: &[usize], new: &[T]) -> Result<(), ()> {
    if rows.len() != new.len() {
        return Err(());
    }
    for (row, new) in rows.iter().zip(new) {
        *values.get_mut(*row).ok_or(())? = *new;
    }
    Ok(())
}

fn pick<T: Clone>(values: &mut [T], rows: &[usize], words: &[T], picks: &[u32]) -> Result<(), ()> {
    if rows.len() != picks.len() {
        return Err(());
    }
    for (row, pick) in rows.iter().zip(picks) {
        values.get_mut(*row).ok_or(())?.clone_from(words.get(*pick as usize).ok_or(())?);
    }
    Ok(())
}

fn parsed<T>(words: &[Vec<u8>], parse: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, WireError> {
    words.iter().map(|word| parse(word).ok_or(WireError::Damaged("an address"))).collect()
}

/// An IPv4 or IPv6 address in network order.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// An Ethernet address.
pub(super) fn mac(bytes: &[u8]) -> Option<Mac> {
    <[u8; 6]>::try_from(bytes).ok().map(Mac)
}

/// Rising numbers below `bound` from the distances between them.
fn positions(gaps: &[u32], bound: usize) -> Result<Vec<usize>, WireError> {
    if gaps.len() > bound {
        return Err(WireError::Damaged("more places than rows"));
    }
    let mut at = 0usize;
    let mut out = Vec::with_capacity(gaps.len());
    for (index, gap) in gaps.iter().enumerate() {
        if index > 0 && *gap == 0 {
            return Err(WireError::Damaged("a place twice"));
        }
        at += *gap as usize;
        if at >= bound {
            return Err(WireError::Damaged("a place outside the table"));
        }
        out.push(at);
    }
    Ok(out)
}
