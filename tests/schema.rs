//! Does the whole registry keep the rules that generic readers rely on?
//!
//! Loops over every table of every collector; no table is named here. The golden `tests/fixtures/schema.txt` keeps
//! published columns as they are: `NETGLANCE_BLESS=1 cargo test --test schema` rewrites it, and the diff is reviewed.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use netglance::collect::COLLECTORS;
use netglance::model::{Column, Kind, Shape, Table, Type, Unit};

/// Words of scale, time or ratio. What they say belongs into the unit; a counted noun (`rx_bytes`) is a name.
const UNIT_WORDS: &[&str] = &[
    "second",
    "seconds",
    "sec",
    "secs",
    "msec",
    "usec",
    "nsec",
    "ms",
    "us",
    "ns",
    "jiffies",
    "ticks",
    "minute",
    "minutes",
    "hour",
    "hours",
    "day",
    "days",
    "kb",
    "mb",
    "gb",
    "tb",
    "kib",
    "mib",
    "gib",
    "tib",
    "kbit",
    "mbit",
    "kilobytes",
    "megabytes",
    "percent",
    "pct",
    "percentage",
    "ratio",
    "permille",
    "hz",
    "khz",
    "mhz",
    "ghz",
    "celsius",
    "millivolts",
    "volts",
    "watts",
    "amperes",
    "rpm",
    "mbps",
    "bps",
];

/// Singular nouns that end in `s`.
const SINGULAR: &[&str] = &["address", "process", "status", "class", "bus", "access", "bss", "rss", "pss", "loss"];

const GOLDEN: &str = "tests/fixtures/schema.txt";

fn tables() -> impl Iterator<Item = &'static Table> {
    netglance::collect::schedule::tables().iter().copied()
}

fn columns() -> impl Iterator<Item = (&'static Table, &'static Column)> {
    tables().flat_map(|table| table.columns.iter().map(move |column| (table, column)))
}

/// Names of everything that breaks a rule.
fn columns_where(broken: impl Fn(&Table, &Column) -> bool) -> Vec<String> {
    columns().filter(|(t, c)| broken(t, c)).map(|(t, c)| format!("{}.{}", t.name, c.name)).collect()
}

fn tables_where(broken: impl Fn(&Table) -> bool) -> Vec<String> {
    tables().filter(|table| broken(table)).map(|table| table.name.to_string()).collect()
}

fn is_snake_case(name: &str) -> bool {
    name.split('_')
        .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
        && name.starts_with(|ch: char| ch.is_ascii_lowercase())
}

fn is_a_sentence(text: &str) -> bool {
    text.ends_with('.') && text.starts_with(|ch: char| !ch.is_lowercase())
}

#[test]
fn there_are_tables() {
    assert!(tables().count() >= COLLECTORS.len(), "a collector without tables");
    assert!(COLLECTORS.iter().all(|entry| !entry.tables.is_empty() && !entry.interval.is_zero()));
}

#[test]
fn collectors_tables_and_columns_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for entry in COLLECTORS {
        assert!(is_snake_case(entry.name), "collector {}", entry.name);
        assert!(seen.insert(format!("collector {}", entry.name)), "two collectors are {}", entry.name);
        let file = format!("src/collect/{}", entry.name);
        let exists = Path::new(&format!("{file}.rs")).exists() || Path::new(&format!("{file}/mod.rs")).exists();
        assert!(exists, "collector {} has another name than its file", entry.name);
    }
    for table in tables() {
        assert!(seen.insert(table.name.to_string()), "two tables are {}", table.name);
    }
    for (table, column) in columns() {
        assert!(
            seen.insert(format!("{}.{}", table.name, column.name)),
            "{} has two columns {}",
            table.name,
            column.name
        );
    }
}

#[test]
fn names_are_snake_case_and_tables_singular() {
    assert_eq!(columns_where(|_, column| !is_snake_case(&column.name)), [""; 0]);
    assert_eq!(tables_where(|table| !is_snake_case(&table.name)), [""; 0]);
    let plural = |name: &str| {
        let last = name.rsplit('_').next().unwrap_or(name);
        last.ends_with('s') && !SINGULAR.contains(&last)
    };
    assert_eq!(tables_where(|table| plural(&table.name)), [""; 0]);
}

#[test]
fn no_name_has_a_unit_in_it() {
    assert_eq!(columns_where(|_, column| column.name.split('_').any(|word| UNIT_WORDS.contains(&word))), [""; 0]);
    // bytes and packets may be counted, at the end
    let in_front =
        |name: &str| name.rsplit_once('_').is_some_and(|(front, _)| front.split('_').any(|word| word == "bytes"));
    assert_eq!(columns_where(|_, column| in_front(&column.name)), [""; 0]);
}

#[test]
fn every_row_has_an_identity() {
    assert_eq!(tables_where(|table| table.attrs.shape != Shape::Single && table.ids().next().is_none()), [""; 0]);
    assert_eq!(tables_where(|table| table.attrs.shape == Shape::Single && table.ids().next().is_some()), [""; 0]);
    let log =
        |table: &Table| table.column("seq").is_none_or(|(_, c)| c.kind != Kind::Id) || table.column("time").is_none();
    assert_eq!(tables_where(|table| table.attrs.shape == Shape::Log && log(table)), [""; 0]);
}

#[test]
fn every_table_says_what_a_row_is_and_where_it_comes_from() {
    assert_eq!(tables_where(|table| !is_a_sentence(table.summary())), [""; 0]);
    assert_eq!(tables_where(|table| !is_a_sentence(&table.help) || table.source().len() < 5), [""; 0]);
}

#[test]
fn every_column_has_help_of_one_sentence() {
    assert_eq!(columns_where(|_, column| !is_a_sentence(&column.help)), [""; 0]);
    let repeats =
        |column: &Column| column.help.trim_end_matches('.').eq_ignore_ascii_case(&column.name.replace('_', " "));
    assert_eq!(columns_where(|_, column| repeats(column)), [""; 0]);
}

#[test]
fn counters_count_something() {
    let countable = |column: &Column| matches!(column.ty, Type::U64 | Type::F64);
    assert_eq!(columns_where(|_, column| column.kind == Kind::Counter && !countable(column)), [""; 0]);
    assert_eq!(
        columns_where(|_, c| c.kind == Kind::Counter && matches!(c.unit, Unit::Ratio | Unit::BytesPerSecond)),
        [""; 0]
    );
}

#[test]
fn units_stand_on_numbers_only() {
    // an instant is no number of seconds: readers print its age
    let bare = |column: &Column| !column.ty.is_numeric() && column.unit != Unit::None;
    assert_eq!(columns_where(|_, column| bare(column)), [""; 0]);
    let words = |column: &Column| {
        column.kind == Kind::Text && !matches!(column.ty, Type::Text | Type::Label | Type::Bool | Type::Ip | Type::Mac)
    };
    assert_eq!(columns_where(|_, column| words(column)), [""; 0]);
}

#[test]
fn labels_have_words_and_others_have_none() {
    assert_eq!(columns_where(|_, column| (column.ty == Type::Label) == column.labels.is_empty()), [""; 0]);
    for (table, column) in columns() {
        let words: BTreeSet<_> = column.labels.iter().map(|label| label.name).collect();
        assert_eq!(words.len(), column.labels.len(), "{}.{} has a word twice", table.name, column.name);
    }
}

#[test]
fn only_on_demand_things_have_demand_attributes() {
    // what is collected only on request is missing otherwise
    assert_eq!(columns_where(|_, column| column.attrs.demand && !column.optional), [""; 0]);
    assert_eq!(
        columns_where(|table, column| column.attrs.required && !(table.attrs.demand && column.kind == Kind::Id)),
        [""; 0]
    );
}

#[test]
fn at_most_one_column_names_and_one_orders_the_rows() {
    assert_eq!(tables_where(|table| table.columns.iter().filter(|column| column.attrs.label).count() > 1), [""; 0]);
    assert_eq!(tables_where(|table| table.columns.iter().filter(|column| column.attrs.top).count() > 1), [""; 0]);
    let has_order = |column: &Column| column.is_numeric() || column.ty == Type::Timestamp;
    assert_eq!(columns_where(|_, column| column.attrs.top && !has_order(column)), [""; 0]);
    assert_eq!(
        columns_where(|_, column| column.attrs.cpu && column.unit != Unit::Seconds && column.unit != Unit::Ratio),
        [""; 0]
    );
}

#[test]
fn derived_columns_name_columns_of_their_row() {
    let keywords = ["and", "or", "not", "in", "missing", "rate", "total"];
    for (table, column) in columns().filter(|(_, column)| column.kind == Kind::Derived) {
        let expr = column.expr.as_deref().unwrap_or_default();
        let names = expr.split(|ch: char| !ch.is_ascii_alphanumeric() && ch != '_');
        let mut count = 0;
        for name in
            names.filter(|name| name.starts_with(|ch: char| ch.is_ascii_alphabetic()) && !keywords.contains(name))
        {
            assert!(table.column(name).is_some(), "{}.{} names {name}", table.name, column.name);
            assert_ne!(name, column.name, "{}.{} names itself", table.name, column.name);
            count += 1;
        }
        assert!(count > 0, "{}.{} is the same for every row", table.name, column.name);
    }
    assert_eq!(columns_where(|_, column| (column.kind == Kind::Derived) != column.expr.is_some()), [""; 0]);
}

#[test]
fn published_columns_stay_as_they_are() {
    let mut text = String::new();
    for (table, column) in columns() {
        let optional = if column.optional { " optional" } else { "" };
        let (kind, unit, ty) = (column.kind.name(), column.unit.name(), column.ty.name());
        writeln!(text, "{}.{} {kind} {unit} {ty}{optional}", table.name, column.name).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os("NETGLANCE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (golden.lines().collect(), text.lines().collect());
    let gone: Vec<_> = old.difference(&new).collect();
    let fresh: Vec<_> = new.difference(&old).collect();
    assert!(
        gone.is_empty() && fresh.is_empty(),
        "gone: {gone:#?}\nnew: {fresh:#?}\nmeant? NETGLANCE_BLESS=1 cargo test --test schema"
    );
}
