//! How do the rows of a table become small?
//!
//! Columns travel one by one: first everything, then only cells that differ from what the other end has. Numbers are
//! differences to the old value, floating point numbers are decimal fractions where that is exact (CPU seconds come in
//! hundredths), words are told once in a change. The other end keeps rows in the order of its own: rows that stay, then new
//! ones. A row whose Ids are not unique is sent as gone and new, because nobody can tell which of the old ones it was.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::proto;
use crate::model::{Cell, Kind, Rows, Sample, Table, Type};
use crate::store::derived;
use crate::store::pair::Pairs;

/// No row.
const NONE: u32 = u32::MAX;

/// Decimal places that are tried, fewest first.
const DECIMALS: [u32; 6] = [0, 1, 2, 3, 6, 9];

/// How cells of a type are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// As the difference of integers.
    Integer,
    /// As a decimal fraction or as it is.
    Float,
    /// As a word.
    Word,
}

impl Class {
    pub(super) fn of(ty: Type) -> Self {
        match ty {
            Type::U64 | Type::I64 | Type::Bool | Type::Timestamp => Self::Integer,
            Type::F64 | Type::Duration => Self::Float,
            Type::Text | Type::Label | Type::Ip | Type::Mac => Self::Word,
        }
    }
}

/// What the other end has of one table, and what it must be told next.
pub struct Encoder {
    table: &'static Table,
    columns: Vec<usize>,
    sent: Option<Sent>,
    /// What was told before that: one who comes later is told both, so that rates are known at once.
    earlier: Option<Sent>,
}

/// What was told once.
#[derive(Clone)]
struct Sent {
    sample: Sample,
    /// For each row of the other end its row in the sample.
    order: Vec<u32>,
}

/// A row of the other end: where it is now, and where it was.
#[derive(Clone, Copy)]
struct Place {
    now: u32,
    before: u32,
}

impl Encoder {
    /// Everything of a table but what readers compute themselves.
    pub fn new(table: &'static Table) -> Self {
        let all = (0..table.columns.len()).collect::<Vec<_>>();
        Self::of(table, &all)
    }

    /// Some columns of a table, with Ids and what Derived columns among them are made of.
    pub fn of(table: &'static Table, columns: &[usize]) -> Self {
        let inputs: BTreeSet<usize> = columns.iter().flat_map(|column| derived::inputs(table, *column)).collect();
        let columns = (0..table.columns.len())
            .filter(|position| match table.columns.get(*position).map(|column| column.kind) {
                Some(Kind::Id) => true,
                Some(Kind::Derived) | None => false,
                Some(_) => inputs.contains(position),
            })
            .collect();
        Self { table, columns, sent: None, earlier: None }
    }

    /// Sample that the other end has.
    pub fn sent(&self) -> Option<&Sample> {
        self.sent.as_ref().map(|sent| &sent.sample)
    }

    /// Forgets what the other end has, so that it is told everything next.
    pub fn forget(&mut self) {
        (self.sent, self.earlier) = (None, None);
    }

    /// What the other end must be told to have this sample of the table.
    pub fn change(&mut self, sample: &Sample) -> proto::Change {
        let (change, sent) = self.follow(self.sent.as_ref(), sample);
        self.earlier = self.sent.replace(sent);
        change
    }

    /// What one who comes later must be told to have what the others have: its rows are in the same order.
    pub fn whole(&self) -> Vec<proto::Change> {
        let Some(sent) = &self.sent else { return Vec::new() };
        let Some(earlier) = &self.earlier else { return vec![self.full(sent)] };
        vec![self.full(earlier), self.follow(Some(earlier), &sent.sample).0]
    }

    fn full(&self, sent: &Sent) -> proto::Change {
        let places: Vec<Place> = sent.order.iter().map(|now| Place { now: *now, before: NONE }).collect();
        self.tell(&sent.sample, None, Vec::new(), &places)
    }

    fn follow(&self, before: Option<&Sent>, sample: &Sample) -> (proto::Change, Sent) {
        let rows = &*sample.rows;
        let (removed, places) = match before {
            None => (Vec::new(), (0..rows.len()).map(|row| Place { now: row as u32, before: NONE }).collect()),
            Some(sent) => places(rows, sent),
        };
        let change = self.tell(sample, before, removed, &places);
        (change, Sent { sample: sample.clone(), order: places.iter().map(|place| place.now).collect() })
    }

    fn tell(&self, sample: &Sample, before: Option<&Sent>, removed: Vec<u32>, places: &[Place]) -> proto::Change {
        let old = before.map(|sent| &*sent.sample.rows);
        let column = |position: &usize| {
            let ty = self.table.columns.get(*position)?.ty;
            column(*position, ty, &*sample.rows, old, places)
        };
        proto::Change {
            full: before.is_none(),
            time: sample.time.0,
            mono: sample.mono.0,
            removed,
            added: places.iter().filter(|place| place.before == NONE).count() as u32,
            columns: self.columns.iter().filter_map(column).collect(),
        }
    }
}

/// Which rows of the other end are gone, as gaps, and where its rows will be.
fn places(rows: &dyn Rows, sent: &Sent) -> (Vec<u32>, Vec<Place>) {
    let earlier = &*sent.sample.rows;
    let pairs = Pairs::of(rows, earlier);
    let mut later = vec![NONE; earlier.len()];
    for row in 0..rows.len() {
        if let Some(slot) = pairs.earlier(row).and_then(|before| later.get_mut(before)) {
            *slot = row as u32;
        }
    }
    let mut removed = Gaps::default();
    let mut places = Vec::with_capacity(rows.len());
    for (position, before) in sent.order.iter().enumerate() {
        match later.get(*before as usize) {
            Some(now) if *now != NONE => places.push(Place { now: *now, before: *before }),
            _ => removed.push(position as u32),
        }
    }
    let new = (0..rows.len()).filter(|row| pairs.earlier(*row).is_none());
    places.extend(new.map(|row| Place { now: row as u32, before: NONE }));
    (removed.0, places)
}

/// Rising numbers as distances.
#[derive(Default)]
struct Gaps(Vec<u32>, u32);

impl Gaps {
    fn push(&mut self, number: u32) {
        self.0.push(number - self.1);
        self.1 = number;
    }
}

/// One cell that changed.
struct Changed<'a> {
    now: Cell<'a>,
    before: Cell<'a>,
}

fn column(
    position: usize,
    ty: Type,
    rows: &dyn Rows,
    old: Option<&dyn Rows>,
    places: &[Place],
) -> Option<proto::ColumnChange> {
    let (mut at, mut missing) = (Gaps::default(), Gaps::default());
    let mut changed: Vec<Changed<'_>> = Vec::new();
    let mut count = 0;
    for (place, index) in places.iter().zip(0u32..) {
        let now = rows.cell(place.now as usize, position);
        let before = match old {
            Some(old) if place.before != NONE => old.cell(place.before as usize, position),
            _ => Cell::Missing,
        };
        if now == before {
            continue;
        }
        at.push(index);
        if now.is_missing() {
            missing.push(count);
        } else {
            changed.push(Changed { now, before });
        }
        count += 1;
    }
    if count == 0 {
        return None;
    }
    let rows = if count as usize == places.len() { Vec::new() } else { at.0 };
    let mut out = proto::ColumnChange { column: position as u32, rows, missing: missing.0, ..Default::default() };
    match Class::of(ty) {
        Class::Integer => integers(&changed, &mut out),
        Class::Float => floats(&changed, &mut out),
        Class::Word => words(&changed, &mut out),
    }
    Some(out)
}

fn integers(changed: &[Changed<'_>], out: &mut proto::ColumnChange) {
    let mut last = 0;
    for cell in changed {
        let now = integer(&cell.now);
        out.integers.push(now.wrapping_sub(if cell.before.is_missing() { last } else { integer(&cell.before) }));
        last = now;
    }
}

fn floats(changed: &[Changed<'_>], out: &mut proto::ColumnChange) {
    let Some(decimals) = decimals(changed) else {
        out.doubles = changed.iter().map(|cell| float(&cell.now)).collect();
        return;
    };
    out.decimals = decimals;
    let mut last = 0;
    for cell in changed {
        let now = scaled(float(&cell.now), decimals);
        out.integers.push(now.wrapping_sub(if cell.before.is_missing() {
            last
        } else {
            scaled(float(&cell.before), decimals)
        }));
        last = now;
    }
}

fn words(changed: &[Changed<'_>], out: &mut proto::ColumnChange) {
    let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
    for cell in changed {
        let word = word(&cell.now);
        let next = known.len() as u32;
        let pick = *known.entry(word).or_insert_with_key(|word| {
            out.words.push(word.clone());
            next
        });
        out.picks.push(pick);
    }
}

/// Decimal places with which every value is exact.
fn decimals(changed: &[Changed<'_>]) -> Option<u32> {
    let exact = |value: f64, decimals: u32| unscaled(scaled(value, decimals), decimals).to_bits() == value.to_bits();
    DECIMALS.into_iter().find(|decimals| changed.iter().all(|cell| exact(float(&cell.now), *decimals)))
}

/// A number times a power of ten, rounded; what is too large is the largest.
pub(super) fn scaled(value: f64, decimals: u32) -> i64 {
    (value * 10f64.powi(decimals as i32)).round() as i64
}

/// The number that [`scaled`] came from, if it was exact.
pub(super) fn unscaled(value: i64, decimals: u32) -> f64 {
    value as f64 / 10f64.powi(decimals as i32)
}

fn integer(cell: &Cell<'_>) -> i64 {
    match *cell {
        Cell::U64(v) => v as i64,
        Cell::I64(v) => v,
        Cell::Bool(v) => i64::from(v),
        Cell::Timestamp(v) => v.0,
        _ => 0,
    }
}

fn float(cell: &Cell<'_>) -> f64 {
    match *cell {
        Cell::F64(v) | Cell::Duration(v) => v,
        _ => f64::NAN,
    }
}

fn word(cell: &Cell<'_>) -> Vec<u8> {
    match cell {
        Cell::Text(v) | Cell::Label(v) => v.as_bytes().to_vec(),
        Cell::Ip(IpAddr::V4(v)) => v.octets().to_vec(),
        Cell::Ip(IpAddr::V6(v)) => v.octets().to_vec(),
        Cell::Mac(v) => v.0.to_vec(),
        _ => Vec::new(),
    }
}
