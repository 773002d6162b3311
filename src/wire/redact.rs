//! What may a reader without a name see?
//!
//! Columns marked `secret` are hidden: the samples are wrapped before anything is asked of them, so that a filter or an
//! order cannot find out either what they hold. A command line keeps its program.

use std::sync::Arc;

use crate::model::{Cell, Column, Rows, Sample, Snapshot, Table};

/// A snapshot without what is secret.
pub fn snapshot(of: &Snapshot) -> Snapshot {
    let mut hidden = of.clone();
    for state in hidden.tables.values_mut() {
        if state.table.columns.iter().any(|column| column.attrs.secret) {
            for sample in [&mut state.now, &mut state.before].into_iter().flatten() {
                *sample = Redacted::sample(sample);
            }
        }
    }
    hidden
}

/// Rows of which secret cells are hidden.
struct Redacted(Arc<dyn Rows>);

impl Redacted {
    fn sample(of: &Sample) -> Sample {
        Sample { rows: Arc::new(Self(Arc::clone(&of.rows))), time: of.time, mono: of.mono }
    }
}

impl Rows for Redacted {
    fn table(&self) -> &Table {
        self.0.table()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let cell = self.0.cell(row, column);
        self.0.table().columns.get(column).map_or(cell, |column| shown(column, cell))
    }
}

/// What is left of a cell, if its column is secret.
pub fn shown<'a>(column: &Column, cell: Cell<'a>) -> Cell<'a> {
    match cell {
        cell if !column.attrs.secret => cell,
        Cell::Text(command) if column.attrs.program => {
            // arguments are joined by spaces, and a program may hide some in its own name
            Cell::Text(command.split_once(char::is_whitespace).map_or(command, |(program, _)| program))
        }
        _ => Cell::Missing,
    }
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "what `table!` declares is public")]
mod tests {
    use super::*;
    use crate::collect::schedule;
    use crate::model::{Kind, Mono, Status, TableState, Text, Timestamp};
    use crate::store::expr::Filter;
    use crate::store::query::{self, Query};
    use crate::store::rate::{Mode, View};

    crate::table! {
        /// A made process.
        pub struct MadeRow = "made" {
            /// Number.
            Id(None) pid: u64,
            /// Command.
            Text(None) command: Text { program: true, secret: true },
            /// Value.
            Text(None) value: Text { secret: true },
            /// Name.
            Text(None) name: Text,
        }
    }

    fn made() -> Snapshot {
        let row = MadeRow {
            pid: 1,
            command: "mysql -u root --password=hunter2".into(),
            value: "hunter2".into(),
            name: "mysql".into(),
        };
        let sample = Sample { rows: Arc::new(vec![row]), time: Timestamp(0), mono: Mono(1) };
        let state =
            TableState { table: MadeRow::TABLE, now: Some(sample.clone()), before: Some(sample), status: Status::ok() };
        let mut snapshot = Snapshot::default();
        snapshot.tables.insert("made", state);
        snapshot
    }

    #[test]
    fn secrets_are_hidden_in_both_samples_and_the_program_stays() {
        let hidden = snapshot(&made());
        let state = hidden.get("made").unwrap();
        for sample in [&state.now, &state.before] {
            let rows = &sample.as_ref().unwrap().rows;
            let cells: Vec<Cell<'_>> = (0..4).map(|column| rows.cell(0, column)).collect();
            assert_eq!(cells, [Cell::U64(1), Cell::Text("mysql"), Cell::Missing, Cell::Text("mysql")]);
        }
    }

    #[test]
    fn a_filter_cannot_guess_what_is_hidden() {
        let found = |snapshot: &Snapshot| {
            let now = snapshot.get("made").unwrap().now.clone().unwrap();
            let filter = Filter::parse("command =~ \"hunter\" or value =~ \"hunter\"", MadeRow::TABLE).unwrap();
            let query = Query { filter: Some(filter), sort: Vec::new(), limit: None };
            query::run(&View::new(&now, None, Mode::Total), &query) == [0]
        };
        assert!(found(&made()));
        assert!(!found(&snapshot(&made())));
    }

    #[test]
    fn what_is_secret_is_text_and_names_no_row() {
        let secret = |table: &&'static Table| {
            table.columns.iter().filter(|column| column.attrs.secret).map(|column| column.kind).collect::<Vec<_>>()
        };
        let kinds: Vec<Kind> = schedule::tables().iter().flat_map(secret).collect();
        // numbers have a past, which is asked for in another way
        assert!(kinds.len() >= 3 && kinds.iter().all(|kind| *kind == Kind::Text), "{kinds:?}");
    }
}
