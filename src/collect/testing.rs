//! What does a collector make of a tree of files? For unit tests only.

use std::path::Path;

use super::{Batch, Collect, Cx, Entry, Skip, Wants};
use crate::model::{Cell, Mono, Owners, Rows, Status, Table, Timestamp};
use crate::source::file::Roots;

/// A directory with `proc`, `sys` and `host` that goes away with the test.
pub(super) struct Tree(tempfile::TempDir);

impl Tree {
    /// Writes the files.
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, content) in files {
            tree.write(path, content);
        }
        tree
    }

    /// Writes one more file.
    pub(super) fn write(&self, path: &str, content: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs a collector once.
    pub(super) fn collect(&self, entry: &Entry) -> Result<Batch, Skip> {
        run(&mut *(entry.make)(), &Roots::recorded(self.path()))
    }

    /// The verdict of a collector that has nothing.
    pub(super) fn status(&self, entry: &Entry) -> Status {
        self.collect(entry).map(|_| "rows").expect_err("no rows are expected").status()
    }

    /// One table as text: a line for each row, `column=value` for each cell that is not missing.
    pub(super) fn table(&self, entry: &Entry, table: &Table) -> String {
        let batch = self.collect(entry).unwrap();
        render(&**batch.rows(table).unwrap())
    }
}

/// Takes one sample.
pub(super) fn run(collector: &mut dyn Collect, roots: &Roots) -> Result<Batch, Skip> {
    let (wants, owners) = (Wants::default(), Owners::default());
    let cx = Cx { roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
    let mut batch = Batch::default();
    collector.collect(&cx, &mut batch)?;
    Ok(batch)
}

/// Rows as text.
pub(super) fn render(rows: &dyn Rows) -> String {
    let mut out = String::new();
    for row in 0..rows.len() {
        let cells = rows.table().columns.iter().enumerate().filter_map(|(column, about)| {
            let cell = rows.cell(row, column);
            let value = match cell {
                Cell::Missing => return None,
                Cell::Text(text) | Cell::Label(text) => text.to_owned(),
                Cell::Bool(yes) => yes.to_string(),
                Cell::U64(number) => number.to_string(),
                Cell::I64(number) => number.to_string(),
                other => format!("{}", other.number()?),
            };
            Some(format!("{}={value}", about.name))
        });
        out.push_str(&cells.collect::<Vec<_>>().join(" "));
        out.push('\n');
    }
    out
}

/// The number in a cell of the only row, or of the row whose first cell is `key`.
pub(super) fn number(rows: &dyn Rows, key: Option<&str>, column: &str) -> Option<f64> {
    let row = match key {
        None => 0,
        Some(key) => (0..rows.len()).find(|row| rows.cell(*row, 0).text() == Some(key))?,
    };
    rows.cell(row, rows.table().position(column).unwrap()).number()
}
