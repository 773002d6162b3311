//! How do rows of any table leave the process as text?
//!
//! Every format is a loop over the columns of a [`Selection`]; none knows a table. JSON and CSV carry base units exactly,
//! text is for people, Prometheus is the exposition format of a scraper.

mod csv;
mod grafana;
mod json;
mod prometheus;
mod promql;
mod rules;
mod schema;
mod text;

use std::io::{self, Write};

use crate::model::{Cell, Table, Timestamp};

pub use grafana::dashboard;
pub use prometheus::{Family, families, refusal};
pub use rules::rules;
pub use schema::schema;

/// What to write: some columns of some rows of a table, in this order.
pub struct Selection<'a> {
    /// Schema.
    pub table: &'a Table,
    /// Positions of the columns.
    pub columns: &'a [usize],
    /// Row numbers.
    pub rows: &'a [usize],
    /// Reads a cell by row and column.
    pub cell: &'a dyn Fn(usize, usize) -> Cell<'a>,
    /// Whether a cell is missing only because there is no sample before, by row and column.
    pub unknown: &'a dyn Fn(usize, usize) -> bool,
    /// Whether counters are changes per second.
    pub rate: bool,
    /// Wall clock of the sample, for ages.
    pub time: Timestamp,
}

impl Selection<'_> {
    fn named(&self) -> impl Iterator<Item = (usize, &crate::model::Column)> {
        self.columns.iter().filter_map(|&i| Some((i, self.table.columns.get(i)?)))
    }
}

/// A way of writing rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people.
    Text,
    /// One array of objects, on one line.
    Json,
    /// RFC 4180 with one header.
    Csv,
    /// Prometheus text exposition.
    Prometheus,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Text, Self::Json, Self::Csv, Self::Prometheus];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Prometheus => "prometheus",
        }
    }

    /// Whether it carries every column unless told otherwise, the ones people find too wide included.
    pub fn is_complete(self) -> bool {
        self != Self::Text
    }
}

/// Writes a selection. `first` is false for the further samples of a series: then CSV has no second header.
///
/// # Errors
/// What `out` says.
pub fn write(out: &mut dyn Write, format: Format, what: &Selection<'_>, first: bool) -> io::Result<()> {
    match format {
        Format::Text => text::write(out, what, first),
        Format::Json => json::write(out, what),
        Format::Csv => csv::write(out, what, first),
        Format::Prometheus => prometheus::write(out, what),
    }
}

/// Writes a selection as text into a terminal of `room` cells: what does not fit is cut or left out, and named below.
/// Columns that somebody `chose` are never left out.
///
/// # Errors
/// What `out` says.
pub fn write_fitting(
    out: &mut dyn Write,
    what: &Selection<'_>,
    first: bool,
    room: usize,
    chosen: bool,
) -> io::Result<()> {
    text::fitting(out, what, first, room, chosen)
}

/// Writes cells with their names as one JSON object.
///
/// # Errors
/// What `out` says.
pub fn write_object<'a>(out: &mut dyn Write, cells: impl Iterator<Item = (&'a str, Cell<'a>)>) -> io::Result<()> {
    json::object(out, cells)
}

/// Writes columns of words so that they line up, right-aligned where `right` says so: for lists that are not tables.
///
/// # Errors
/// What `out` says.
pub fn write_aligned(out: &mut dyn Write, right: &[bool], lines: &[Vec<String>]) -> io::Result<()> {
    text::aligned(out, right, lines)
}

#[cfg(test)]
pub mod fixture {
    //! A table with every type of cell.
    use super::*;
    use crate::model::{Mac, Row as _, Rows, Text};
    use crate::table;

    crate::label! {
        /// Carrier of a port.
        pub enum Carrier { Up = "up", Down = "down" => Warning }
    }

    table! {
        /// A port.
        ///
        /// Source: made up.
        pub struct PortRow = "port" { history: History::Whole } {
            /// Number.
            Id(None) index: u32,
            /// Name.
            Text(None) name: Text { label: true },
            /// Data received.
            Counter(Bytes) rx_bytes: Option<u64>,
            /// Time busy.
            Counter(Seconds) busy: f64,
            /// Share of the line.
            Gauge(Ratio) load: Option<f64>,
            /// Carrier.
            Gauge(None) carrier: Carrier,
            /// Address.
            Text(None) address: std::net::IpAddr { wide: true },
            /// Hardware address.
            Text(None) mac: Option<Mac> { wide: true },
            /// Last change of the carrier.
            Gauge(Seconds) since: Option<Timestamp>,
            /// Time limit with "quotes" and a \ backslash.
            Gauge(Seconds) limit: std::time::Duration { wide: true },
        }
    }

    pub(super) fn rows(names: &[&str]) -> Vec<PortRow> {
        let row = |(i, name): (usize, &&str)| PortRow {
            index: i as u32 + 1,
            name: Text::from(*name),
            rx_bytes: (i == 0).then_some(u64::MAX),
            busy: 0.1 + i as f64,
            load: (i == 0).then_some(f64::NAN),
            carrier: if i == 0 { Carrier::Up } else { Carrier::Down },
            address: std::net::IpAddr::from([10, 0, 0, i as u8]),
            mac: (i == 0).then_some(Mac([2, 0, 0, 0, 0, 1])),
            since: (i == 0).then_some(Timestamp(1_700_000_000_250_000_000)),
            limit: std::time::Duration::from_millis(1500),
        };
        names.iter().enumerate().map(row).collect()
    }

    pub(super) fn written(format: Format, names: &[&str]) -> String {
        let rows = rows(names);
        let columns: Vec<usize> = (0..PortRow::TABLE.columns.len()).collect();
        let numbers: Vec<usize> = (0..rows.len()).collect();
        let what = Selection {
            table: PortRow::TABLE,
            columns: &columns,
            rows: &numbers,
            cell: &|row, column| rows.get(row).map_or(Cell::Missing, |row| row.cell(column)),
            unknown: &|_, column| PortRow::TABLE.columns[column].kind == crate::model::Kind::Derived,
            rate: false,
            time: Timestamp(1_700_000_100_250_000_000),
        };
        assert_eq!(Rows::len(&rows), names.len());
        let mut out = Vec::new();
        write(&mut out, format, &what, true).unwrap();
        String::from_utf8(out).unwrap()
    }
}
