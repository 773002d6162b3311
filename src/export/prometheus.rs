//! How does a scraper read a sample?
//!
//! Text exposition format 0.0.4. The Ids and the label column of a table become labels, numbers become metrics with their
//! base unit in the name, a column of labels becomes one 0/1 metric for each of its words. Derived columns are left to the
//! scraper. Only tables whose rows are few and lasting are exported (those with whole history): a table of processes or
//! flows would make a new series for each of them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::{Selection, json::unix};
use crate::model::{Cell, Column, History, IpText, Kind, Shape, Table, Type, Unit};

/// The Id of the row that sums up the others; a scraper adds them up itself.
pub(super) const TOTAL_ROW: &str = "all";

/// Ends of names that a scraper takes for parts of histograms.
const RESERVED: [&str; 3] = ["_count", "_sum", "_bucket"];

/// Why a table is not for scrapers, `None` if it is.
pub fn refusal(table: &Table) -> Option<&'static str> {
    if table.attrs.shape == Shape::Log {
        Some("it is a log, not a set of measurements")
    } else if table.attrs.demand || table.columns.iter().any(|column| column.attrs.required) {
        Some("it is collected on demand only")
    } else if table.attrs.history != History::Whole {
        Some("its rows come and go, each would be a new time series")
    } else {
        None
    }
}

/// All series of one column: what a scraper knows under one name.
#[derive(Clone, Debug)]
pub struct Family {
    /// Name, with `_total` of a counter.
    pub name: String,
    /// What a scraper may do with it.
    pub kind: &'static str,
    /// Help on one line, escaped.
    pub help: String,
    /// Whether people see its column only when they ask for it.
    pub wide: bool,
    /// How many series there are.
    pub series: usize,
    /// A line for each of them.
    pub text: String,
}

impl Family {
    /// A family of netglance itself, without any series yet.
    pub fn new(name: &str, kind: &'static str, about: &str) -> Self {
        let (name, help) = (name.to_owned(), help(about));
        Self { name, kind, help, wide: false, series: 0, text: String::new() }
    }

    /// Adds a series with these labels, in the order given.
    pub fn push(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.text, "{}{} {value}", self.name, braced(&labels.join(",")));
        self.series += 1;
    }

    /// Appends it to an exposition; OpenMetrics announces a counter without the end of its name.
    pub fn write_to(&self, out: &mut String, open_metrics: bool) {
        let Self { name, kind, help, text, .. } = self;
        let family = if open_metrics { name.strip_suffix("_total").unwrap_or(name) } else { name };
        let _ = write!(out, "# HELP {family} {help}\n# TYPE {family} {kind}\n{text}");
    }
}

/// The families of the chosen columns. One without any value is left out.
pub fn families(what: &Selection<'_>) -> Vec<Family> {
    let mut known = HashSet::new();
    let rows: Vec<(usize, String)> =
        what.rows.iter().filter(|&&row| !sums_up(what, row)).map(|&row| (row, labels(what, row))).collect();
    // one series twice makes a scraper refuse everything; which of the rows is meant nobody knows
    let twice: HashSet<&str> =
        rows.iter().map(|(_, labels)| labels.as_str()).filter(|labels| !known.insert(*labels)).collect();
    let rows: Vec<&(usize, String)> = rows.iter().filter(|(_, labels)| !twice.contains(labels.as_str())).collect();
    let family = |(i, column): (usize, &Column)| {
        let kind = if column.kind == Kind::Counter { "counter" } else { "gauge" };
        let mut family = Family::new(&metric_name(&what.table.name, column), kind, &column.help);
        family.wide = column.attrs.wide;
        for (row, labels) in rows.iter().copied() {
            family.series += sample(&mut family.text, &family.name, column, labels, &(what.cell)(*row, i));
        }
        family
    };
    what.named().filter(|(_, column)| is_metric(column)).map(family).filter(|family| family.series > 0).collect()
}

pub(super) fn write(out: &mut dyn Write, what: &Selection<'_>) -> io::Result<()> {
    let mut text = String::new();
    for family in families(what) {
        family.write_to(&mut text, false);
    }
    out.write_all(text.as_bytes())
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

pub(super) fn is_metric(column: &Column) -> bool {
    matches!(column.kind, Kind::Counter | Kind::Gauge | Kind::Text)
        && !matches!(column.ty, Type::Text | Type::Ip | Type::Mac)
}

/// Whether the only Id of a row is the text that stands for all rows.
fn sums_up(what: &Selection<'_>, row: usize) -> bool {
    let mut ids = what.table.ids();
    matches!((ids.next(), ids.next()), (Some(id), None) if (what.cell)(row, id) == Cell::Text(TOTAL_ROW))
}

/// Whether a column is a label of every series of its table. Words are a metric of their own, which has them as a label.
pub(super) fn is_label(column: &Column) -> bool {
    column.kind == Kind::Id || (column.attrs.label && column.ty != Type::Label)
}

fn labels(what: &Selection<'_>, row: usize) -> String {
    let named = what.table.columns.iter().enumerate().filter(|(_, column)| is_label(column));
    let mut text = String::new();
    for (i, column) in named {
        let cell = (what.cell)(row, i);
        let value = match cell {
            Cell::Missing => continue,
            Cell::Text(v) | Cell::Label(v) => escaped(v),
            Cell::Ip(v) => IpText(v).to_string(),
            Cell::Mac(v) => v.to_string(),
            Cell::U64(v) => v.to_string(),
            Cell::I64(v) => v.to_string(),
            Cell::Bool(v) => v.to_string(),
            Cell::F64(v) | Cell::Duration(v) => v.to_string(),
            Cell::Timestamp(v) => unix(v),
        };
        let _ = write!(text, "{}{}=\"{value}\"", if text.is_empty() { "" } else { "," }, column.name);
    }
    text
}

/// Writes the series of a cell, and says how many.
fn sample(text: &mut String, name: &str, column: &Column, labels: &str, cell: &Cell<'_>) -> usize {
    let value = match cell {
        Cell::Missing => return 0,
        Cell::Label(word) => {
            let comma = if labels.is_empty() { "" } else { "," };
            for label in column.labels.iter() {
                let is = u8::from(label.name == *word);
                let _ = writeln!(text, "{name}{{{labels}{comma}{}=\"{}\"}} {is}", column.name, escaped(label.name));
            }
            return column.labels.len();
        }
        Cell::U64(v) => v.to_string(),
        Cell::I64(v) => v.to_string(),
        Cell::Timestamp(v) => unix(*v),
        _ => match cell.number() {
            Some(v) => v.to_string(),
            None => return 0,
        },
    };
    let _ = writeln!(text, "{name}{} {value}", braced(labels));
    1
}

/// `netglance_disk_read_bytes_total`: prefix, table, column, base unit unless the column ends with it, `_total`.
pub(super) fn metric_name(table: &str, column: &Column) -> String {
    let unit = match (column.ty, column.unit) {
        (Type::Timestamp, _) => "timestamp_seconds",
        (Type::Duration, _) => "seconds",
        (_, Unit::None | Unit::Operations | Unit::Events) => "",
        (_, unit) => unit.name(),
    };
    let mut name = format!("netglance_{table}_{}", column.name);
    if !unit.is_empty() && column.name != unit && !column.name.ends_with(&format!("_{unit}")) {
        let _ = write!(name, "_{unit}");
    }
    if column.kind == Kind::Counter {
        name.push_str("_total");
    } else if RESERVED.iter().any(|end| name.ends_with(end)) {
        name.push_str("_now");
    }
    name
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn help(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").replace('\\', "\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{Format, fixture::PortRow, fixture::written};

    #[test]
    fn metrics_carry_units_kinds_and_labels() {
        let text = written(Format::Prometheus, &["a\\\"b", "c"]);
        for line in [
            "# HELP netglance_port_rx_bytes_total Data received.",
            "# TYPE netglance_port_rx_bytes_total counter",
            r#"netglance_port_rx_bytes_total{index="1",name="a\\\"b"} 18446744073709551615"#,
            r#"netglance_port_busy_seconds_total{index="2",name="c"} 1.1"#,
            r#"netglance_port_carrier{index="2",name="c",carrier="up"} 0"#,
            r#"netglance_port_carrier{index="2",name="c",carrier="down"} 1"#,
            r#"netglance_port_since_timestamp_seconds{index="1",name="a\\\"b"} 1700000000.25"#,
            r#"# HELP netglance_port_limit_seconds Time limit with "quotes" and a \\ backslash."#,
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(!text.contains("load"), "a metric without any value is not announced");
        assert!(!text.contains("address"), "words are not metrics");
    }

    fn exported(table: &Table, rows: &[PortRow]) -> String {
        let (columns, numbers): (Vec<usize>, Vec<usize>) =
            ((0..table.columns.len()).collect(), (0..rows.len()).collect());
        let what = Selection {
            table,
            columns: &columns,
            rows: &numbers,
            cell: &|row, column| crate::model::Row::cell(&rows[row], column),
            unknown: &|_, _| false,
            rate: false,
            time: crate::model::Timestamp(0),
        };
        let mut out = Vec::new();
        write(&mut out, &what).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_with_the_same_labels_are_left_out_because_a_scraper_would_refuse_all() {
        let rows = crate::export::fixture::rows(&["a", "b", "b", "c"]);
        let rows: Vec<_> = rows.into_iter().map(|row| PortRow { index: row.name.len() as u32, ..row }).collect();
        let text = exported(PortRow::TABLE, &rows);
        let series: Vec<&str> = text.lines().filter(|line| line.starts_with("netglance_port_busy")).collect();
        assert_eq!(series.len(), 2, "{text}");
        assert!(series.iter().all(|line| !line.contains("name=\"b\"")));
    }

    #[test]
    fn a_column_of_words_that_names_the_rows_is_one_label_and_not_two() {
        let mut table = PortRow::TABLE.clone();
        for column in table.columns.to_mut() {
            column.attrs.label = column.name == "carrier";
        }
        let text = exported(&table, &crate::export::fixture::rows(&["a"]));
        assert!(text.contains("netglance_port_carrier{index=\"1\",carrier=\"up\"} 1"), "{text}");
    }

    #[test]
    fn no_number_is_taken_for_a_part_of_a_histogram() {
        let mut table = PortRow::TABLE.clone();
        for column in table.columns.to_mut().iter_mut().filter(|column| column.name == "carrier") {
            column.name = "count".into();
        }
        let text = exported(&table, &crate::export::fixture::rows(&["a"]));
        assert!(text.contains("# TYPE netglance_port_count_now gauge"), "{text}");
    }

    #[test]
    fn tables_whose_rows_come_and_go_are_refused() {
        let mut table = PortRow::TABLE.clone();
        assert_eq!(refusal(&table), None);
        table.attrs.history = History::Top;
        assert!(refusal(&table).is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_name_stays_inside_its_quotes(name in ".*") {
            let text = written(Format::Prometheus, &[&name]);
            let line = text.lines().find(|line| line.starts_with("netglance_port_busy")).unwrap();
            let value = line.split_once("name=\"").unwrap().1.rsplit_once("\"} ").unwrap().0;
            let mut back = String::new();
            let mut chars = value.chars();
            while let Some(ch) = chars.next() {
                assert_ne!(ch, '"', "{line}");
                back.push(if ch == '\\' { chars.next().unwrap() } else { ch });
            }
            assert_eq!(back, crate::model::Text::from(name.as_str()).as_str());
        }
    }
}
