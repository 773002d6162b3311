//! What must readers of a snapshot be told next?
//!
//! [`Frames`] remembers what it told of each table. What did not change is not told again; one who comes later is told
//! everything ([`Frames::whole`]), with both samples, so that rates are known at once. A selection is evaluated here, where
//! the rows are: those that come into it bring their values of the sample before.

use std::sync::Arc;

use super::encode::Encoder;
use super::schema::Schema;
use super::{convert, proto};
use crate::model::{Cell, Rows, Sample, Snapshot, Status, Table, TableState};
use crate::store::pair::Pairs;
use crate::store::query::{self, Query};
use crate::store::rate::{Mode, View};

/// What is told of one table.
pub struct Selection {
    /// Place of the table in the schema.
    pub position: usize,
    /// Which rows; all if `None`.
    pub query: Option<Query>,
    /// Which columns; all if `None`.
    pub columns: Option<Vec<usize>>,
}

/// What the other end knows of a snapshot.
pub struct Frames {
    tables: Vec<Told>,
}

/// What was told of one table.
struct Told {
    table: &'static Table,
    selection: Selection,
    encoder: Encoder,
    sequence: u64,
    /// The last sample that was looked at, with all its rows.
    last: Option<Sample>,
    status: Option<Status>,
    empty: bool,
}

impl Frames {
    /// Everything of every table.
    pub fn all(schema: &Schema) -> Self {
        let everything = |position| Selection { position, query: None, columns: None };
        Self::new(schema, (0..schema.layouts.len()).map(everything).collect())
    }

    /// Some tables; a place that the schema lacks is left out.
    pub fn new(schema: &Schema, selections: Vec<Selection>) -> Self {
        let told = |selection: Selection| {
            let table = schema.layouts.get(selection.position)?.table;
            let encoder = match &selection.columns {
                None => Encoder::new(table),
                Some(columns) => Encoder::of(table, columns),
            };
            Some(Told { table, selection, encoder, sequence: 0, last: None, status: None, empty: true })
        };
        Self { tables: selections.into_iter().filter_map(told).collect() }
    }

    /// What changed since the last call.
    pub fn next(&mut self, snapshot: &Snapshot) -> proto::Frame {
        let told = self.tables.iter_mut();
        proto::Frame { tables: told.filter_map(|told| told.next(snapshot.get(&told.table.name))).collect() }
    }

    /// Everything that was told so far, for one who comes later and is told what follows like everybody else.
    pub fn whole(&self) -> proto::Frame {
        proto::Frame { tables: self.tables.iter().filter_map(Told::whole).collect() }
    }
}

impl Told {
    fn next(&mut self, state: Option<&TableState>) -> Option<proto::TableFrame> {
        let now = state.and_then(|state| state.now.as_ref());
        let newer = now.filter(|now| self.last.as_ref().map(|last| last.mono) != Some(now.mono));
        let gone = now.is_none() && !self.empty;
        let status = state.map(|state| &state.status).filter(|status| self.status.as_ref() != Some(*status));
        if newer.is_none() && !gone && status.is_none() {
            return None;
        }
        let mut changes = Vec::new();
        if let Some(now) = newer {
            let before = state.and_then(|state| state.before.as_ref());
            self.samples(now, before, &mut changes);
            self.last = Some(now.clone());
        }
        if gone {
            self.encoder.forget();
            self.last = None;
        }
        self.empty = now.is_none();
        self.sequence += 1;
        if let Some(status) = status {
            self.status = Some(status.clone());
        }
        let status = status.map(convert::from_status);
        Some(self.frame(status, changes))
    }

    fn whole(&self) -> Option<proto::TableFrame> {
        let status = convert::from_status(self.status.as_ref()?);
        Some(self.frame(Some(status), self.encoder.whole()))
    }

    fn frame(&self, status: Option<proto::Status>, changes: Vec<proto::Change>) -> proto::TableFrame {
        let table = self.selection.position as u32;
        proto::TableFrame { table, sequence: self.sequence, status, changes, empty: self.empty }
    }

    /// Tells of a new sample; of the one before it too where the other end needs it to know rates.
    fn samples(&mut self, now: &Sample, before: Option<&Sample>, changes: &mut Vec<proto::Change>) {
        // a reader's rate spans the reader's own interval
        let before = self.last.as_ref().or(before);
        let Some(query) = &self.selection.query else {
            let first = before.filter(|_| self.encoder.sent().is_none());
            changes.extend(first.map(|before| self.encoder.change(before)));
            changes.push(self.encoder.change(now));
            return;
        };
        let picked = query::run(&View::new(now, before, Mode::Rate), query);
        if let Some(before) = before {
            let pairs = Pairs::of(&*now.rows, &*before.rows);
            let rows = picked.iter().filter_map(|row| pairs.earlier(*row)).collect();
            changes.push(self.encoder.change(&Picked::sample(before, rows)));
        }
        changes.push(self.encoder.change(&Picked::sample(now, picked)));
    }
}

/// Some rows of a sample.
struct Picked {
    of: Arc<dyn Rows>,
    rows: Vec<usize>,
}

impl Picked {
    fn sample(of: &Sample, rows: Vec<usize>) -> Sample {
        Sample { rows: Arc::new(Self { of: Arc::clone(&of.rows), rows }), time: of.time, mono: of.mono }
    }
}

impl Rows for Picked {
    fn table(&self) -> &Table {
        self.of.table()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        self.rows.get(row).map_or(Cell::Missing, |row| self.of.cell(*row, column))
    }
}
