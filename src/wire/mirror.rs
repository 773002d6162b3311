//! What does a peer's host look like right now?
//!
//! A [`Mirror`] takes frames and keeps the newest two samples of each table, as a host of this machine does. A frame that
//! does not follow the one before is an error, after which the stream must begin anew.

use std::sync::Arc;

use super::decode::{MAX_CELLS, Remote};
use super::schema::Schema;
use super::{WireError, convert, proto};
use crate::model::{Mono, Sample, Snapshot, TableState, Timestamp};

/// Samples in one frame of a table at most.
const MAX_CHANGES: usize = 8;

/// What is known of a peer's tables.
pub struct Mirror {
    schema: Arc<Schema>,
    tables: Vec<Known>,
    snapshot: Arc<Snapshot>,
}

/// What is known of one table.
#[derive(Clone, Default)]
struct Known {
    sequence: u64,
    rows: Option<Arc<Remote>>,
}

impl Mirror {
    /// Nothing is known but the schema.
    pub fn new(schema: Arc<Schema>) -> Self {
        let tables = vec![Known::default(); schema.layouts.len()];
        Self { schema, tables, snapshot: Arc::default() }
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The newest samples.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// It does not follow what is known; tables before the wrong one are taken.
    pub fn apply(&mut self, frame: &proto::Frame) -> Result<(), WireError> {
        let mut snapshot = Snapshot::clone(&self.snapshot);
        snapshot.generation += 1;
        let taken = frame.tables.iter().try_for_each(|table| self.table(table, &mut snapshot));
        self.snapshot = Arc::new(snapshot);
        taken
    }

    /// Expects a stream that begins anew; what is known stays until it says otherwise.
    pub fn resume(&mut self) {
        self.tables.fill(Known::default());
    }

    /// Forgets tables that are not watched any more.
    pub fn retain(&mut self, watched: impl Fn(&str) -> bool) {
        let mut snapshot = Snapshot::clone(&self.snapshot);
        snapshot.tables.retain(|name, _| watched(name));
        snapshot.generation += 1;
        self.snapshot = Arc::new(snapshot);
        for (known, layout) in self.tables.iter_mut().zip(&self.schema.layouts) {
            if !watched(&layout.table.name) {
                *known = Known::default();
            }
        }
    }

    fn table(&mut self, frame: &proto::TableFrame, snapshot: &mut Snapshot) -> Result<(), WireError> {
        let position = frame.table as usize;
        let others = self.tables.iter().enumerate().filter(|(other, _)| *other != position);
        let others: usize = others.filter_map(|(_, known)| Some(known.rows.as_ref()?.cells())).sum();
        let (Some(layout), Some(known)) = (self.schema.layouts.get(position), self.tables.get_mut(position)) else {
            return Err(WireError::Damaged("a table that the schema lacks"));
        };
        let full = frame.changes.first().is_none_or(|change| change.full);
        if !full && frame.sequence != known.sequence.wrapping_add(1) {
            return Err(WireError::Damaged("a frame out of order"));
        }
        if frame.changes.len() > MAX_CHANGES {
            return Err(WireError::Bound("samples in a frame"));
        }
        let table = layout.table;
        let name = static_name(table)?;
        let state = snapshot.tables.entry(name).or_insert_with(|| TableState {
            table,
            now: None,
            before: None,
            status: crate::model::Status::ok(),
        });
        for change in &frame.changes {
            let base = known.rows.take().unwrap_or_else(|| Arc::new(Remote::new(Arc::clone(layout))));
            let rows = Arc::new(base.apply(change)?);
            if rows.cells().saturating_add(others) > MAX_CELLS {
                return Err(WireError::Bound("cells of all tables"));
            }
            known.rows = Some(Arc::clone(&rows));
            let sample = Sample { rows, time: Timestamp(change.time), mono: Mono(change.mono) };
            // a stream that begins anew has nothing to do with the samples of the old one
            state.before = state.now.replace(sample).filter(|_| !change.full);
        }
        if frame.empty {
            *known = Known::default();
            (state.now, state.before) = (None, None);
        }
        known.sequence = frame.sequence;
        if let Some(status) = &frame.status {
            state.status = convert::status(status);
        }
        Ok(())
    }
}

fn static_name(table: &'static crate::model::Table) -> Result<&'static str, WireError> {
    match &table.name {
        std::borrow::Cow::Borrowed(name) => Ok(name),
        std::borrow::Cow::Owned(_) => Err(WireError::Damaged("a table that nobody keeps")),
    }
}
