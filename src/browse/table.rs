//! What is known of one host among many?
//!
//! [`FleetRow`] is what every host has. Behind its columns stand those that summarize the host: one for each column of any
//! table that has a `summary` in the schema. Rows are shared between samples until they change.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use crate::collect::schedule;
use crate::model::{
    Attrs, Cell, Column, Fold, History, Kind, Level, Row, Rows, Table, TableAttrs, Text, Timestamp, Type, Unit,
};
use crate::{label, table};

label! {
    /// How a host is reached.
    pub enum Link {
        Connecting = "connecting",
        Live = "live",
        Stale = "stale" => Careful,
        Unreachable = "unreachable" => Warning,
        Protected = "protected" => Warning,
        KeyChanged = "key-changed" => Critical,
        Version = "version" => Warning,
        Duplicate = "duplicate" => Careful,
        Wrong = "wrong" => Warning,
    }
}

table! {
    /// One host of a list, whatever its state.
    ///
    /// Cells that summarize a host are missing until it has told them, and stay as they were when it is lost. A host that
    /// stands in the list twice is watched once.
    ///
    /// Source: `netglance serve` on that host.
    pub struct FleetRow = "fleet" { title: Some("Fleet"), history: History::Whole } {
        /// Name in the list of hosts.
        Id(None) host: Text { label: true },
        /// How the host is reached.
        Text(None) state: Link,
        /// Values of this row that are critical.
        Gauge(None) critical: u64 { title: Some("crit") },
        /// Values of this row that are a warning.
        Gauge(None) warning: u64 { title: Some("warn") },
        /// Values of this row that deserve a look.
        Gauge(None) careful: u64 { title: Some("care"), wide: true },
        /// When the state began.
        Gauge(None) since: Timestamp { wide: true },
        /// When the host was last heard of.
        Gauge(None) seen: Option<Timestamp>,
        /// When it is tried again.
        Gauge(None) retry: Option<Timestamp> { wide: true },
        /// When the host was started.
        Gauge(None) boot: Option<Timestamp> { title: Some("up"), wide: true },
        /// How far the clock of the host is ahead of the own one.
        Gauge(Seconds) skew: Option<f64> { wide: true },
        /// Version of the agent.
        Text(None) version: Option<Text> { wide: true },
        /// What the host calls itself.
        Text(None) name: Option<Text> { wide: true },
        /// Groups that the list puts it in.
        Text(None) groups: Text { wide: true },
        /// Where its agent is.
        Text(None) address: Text { wide: true },
        /// Why it is not live.
        Text(None) reason: Option<Text> { last: true },
    }
}

/// A column that summarizes hosts.
pub(super) struct Summary {
    /// Table that it is made of.
    pub(super) table: &'static Table,
    /// Its column there.
    pub(super) column: usize,
    /// How rows become one.
    pub(super) fold: Fold,
    /// Whether it is watched even if nobody looks.
    pub(super) always: bool,
}

/// The columns that summarize hosts, in the order of the table.
pub(super) fn summaries() -> &'static [Summary] {
    static ALL: LazyLock<Vec<Summary>> = LazyLock::new(|| {
        let columns = |table: &'static Table| {
            let columns = table.columns.iter().enumerate();
            columns.filter_map(move |(at, column)| {
                let fold = column.attrs.summary?;
                Some(Summary { table, column: at, fold, always: column.attrs.glance })
            })
        };
        schedule::tables().iter().copied().flat_map(columns).collect()
    });
    &ALL
}

/// The table `fleet` with all its columns.
pub(super) fn fleet() -> &'static Table {
    static FLEET: LazyLock<&'static Table> = LazyLock::new(|| {
        let mut columns = FleetRow::TABLE.columns.to_vec();
        columns.extend(summaries().iter().filter_map(described));
        let attrs = TableAttrs { history: History::Whole, ..FleetRow::TABLE.attrs };
        let Table { name, help, .. } = FleetRow::TABLE.clone();
        Box::leak(Box::new(Table { name, help, columns: Cow::Owned(columns), attrs }))
    });
    *FLEET
}

/// Everything that a fleet can show.
pub fn tables() -> &'static [&'static Table] {
    static TABLES: LazyLock<Vec<&'static Table>> = LazyLock::new(|| {
        let merged = super::merged::pairs().iter().map(|pair| pair.table);
        std::iter::once(fleet()).chain(super::group::tables().iter().copied()).chain(merged).collect()
    });
    &TABLES
}

/// Place in the table `fleet` of what summarizes a column of another table.
pub fn position(table: &str, column: &str) -> Option<usize> {
    let found = summaries().iter().position(|one| {
        one.table.name == table && one.table.columns.get(one.column).is_some_and(|known| known.name == column)
    });
    found.map(|at| FleetRow::TABLE.columns.len() + at)
}

pub(super) fn described(summary: &Summary) -> Option<Column> {
    let of = summary.table.columns.get(summary.column)?;
    // what the host has told is a rate already
    let unit = match (of.kind, of.unit) {
        (Kind::Counter, Unit::Bytes) => Unit::BytesPerSecond,
        (Kind::Counter, Unit::Seconds) => Unit::Ratio,
        (_, unit) => unit,
    };
    let title: &'static str = heading(summary.table, of).leak();
    let wide = !summary.always;
    let attrs = Attrs { title: Some(title), wide, demand: wide, traffic: of.attrs.traffic, ..Attrs::NONE };
    let how = match summary.fold {
        Fold::Max => "the largest of all rows",
        Fold::Min => "the smallest of all rows",
        Fold::Sum => "the sum of all rows",
        Fold::All => "of all together",
    };
    let help = of.help.trim().trim_end_matches('.');
    Some(Column {
        name: Cow::Owned(format!("{}_{}", summary.table.name, of.name)),
        kind: Kind::Gauge,
        unit,
        ty: Type::F64,
        optional: true,
        help: Cow::Owned(format!("{help} ({}, {how}).", summary.table.name)),
        labels: Cow::Borrowed(&[]),
        expr: None,
        attrs,
    })
}

/// A heading that tells the table where the column's own one does not.
fn heading(table: &Table, column: &Column) -> String {
    let title = column.title();
    let same = |one: &&Summary| one.table.columns.get(one.column).is_some_and(|other| other.title() == title);
    match title.strip_prefix("used") {
        Some(rest) => format!("{}{rest}", table.name),
        None if summaries().iter().filter(same).count() < 2 => title.to_owned(),
        None => format!("{} {title}", table.name),
    }
}

/// One host.
#[derive(Clone, Debug)]
pub(super) struct HostRow {
    /// Its number, which nobody else ever has.
    pub(super) id: u64,
    /// What every host has.
    pub(super) own: FleetRow,
    /// What summarizes it, in the order of [`summaries`].
    pub(super) cells: Box<[Option<f64>]>,
}

/// All hosts at one moment.
#[derive(Clone)]
pub(super) struct FleetRows(pub(super) Vec<Arc<HostRow>>);

impl Rows for FleetRows {
    fn table(&self) -> &Table {
        fleet()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let Some(row) = self.0.get(row) else { return Cell::Missing };
        match column.checked_sub(FleetRow::TABLE.columns.len()) {
            None => row.own.cell(column),
            Some(at) => row.cells.get(at).copied().flatten().map_or(Cell::Missing, Cell::F64),
        }
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Arc<HostRow>>()
    }
}

impl FleetRow {
    /// Counts the values of a row by their levels.
    pub(super) fn count(&mut self, levels: impl Iterator<Item = Level>) {
        (self.careful, self.warning, self.critical) = (0, 0, 0);
        for level in levels {
            match level {
                Level::Ok => {}
                Level::Careful => self.careful += 1,
                Level::Warning => self.warning += 1,
                Level::Critical => self.critical += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_summary_has_a_column_of_its_own() {
        let columns = &fleet().columns;
        assert_eq!(columns.len(), FleetRow::TABLE.columns.len() + summaries().len());
        let names: BTreeSet<&str> = columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names.len(), columns.len());
        let titles: BTreeSet<&str> = columns.iter().map(Column::title).collect();
        assert_eq!(titles.len(), columns.len());
        for (at, summary) in summaries().iter().enumerate() {
            let name = &summary.table.columns[summary.column].name;
            assert_eq!(position(&summary.table.name, name), Some(FleetRow::TABLE.columns.len() + at));
        }
        assert_eq!(position("load", "nonsense"), None);
    }
}
