//! Which alerts does Prometheus raise at the thresholds that people see?
//!
//! Each threshold of a column that scrapers get becomes one rule for each of its levels warning and critical, and so does each
//! word of a label column that has such a level. As on the screen the first threshold whose `row` fits decides: those behind
//! it leave its rows out.

use std::fmt::Write as _;

use super::prometheus::TOTAL_ROW;
use super::promql::{is_share, labels, number, quoted, words};
use crate::model::{Column, Kind, Level, Table, Type, Unit};
use crate::store::expr::regex;
use crate::store::level::{Begins, Found, Thresholds};

/// Over which time rates are taken; four scrapes of the usual interval and more.
const WINDOW: &str = "5m";

/// The levels that somebody is told of, and for how long they must last.
const TOLD: [(Level, &str, usize, &str); 2] =
    [(Level::Warning, "warning", 1, "5m"), (Level::Critical, "critical", 2, "1m")];

/// A file of alerting rules in YAML.
pub fn rules(tables: &[&Table], thresholds: &Thresholds) -> String {
    let mut out = String::from(
        "# Alerting rules for Prometheus, made by `netglance schema --rules` from the thresholds of the configuration.\n\
         groups:\n  - name: netglance\n    rules:\n",
    );
    let source = "{{ $labels.instance }}: collector {{ $labels.collector }} cannot read its source";
    rule(&mut out, "NetglanceCollectorDown", "netglance_collector_up == 0", "warning", "5m", source);
    for table in tables {
        for column in table.columns.iter() {
            of_column(&mut out, table, column, thresholds);
        }
    }
    out
}

fn of_column(out: &mut String, table: &Table, column: &Column, thresholds: &Thresholds) {
    let name = format!("Netglance{}{}", camel(&table.name), camel(&column.name));
    let row = table.columns.get(table.label_column()).map_or("", |column| &*column.name);
    let mut earlier = String::new();
    let mut decided = false;
    for Found { row: wanted, begins } in thresholds.rules(table, &column.name) {
        let fits = wanted.map(|pattern| quoted(&format!(".*(?:{pattern}).*")));
        let own = fits.as_ref().map(|pattern| format!("{row}=~{pattern},")).unwrap_or_default();
        // the row that sums up the others is not scraped
        let summed = (sums_up(table) && wanted.is_some_and(is_total)).then_some(row);
        let selector = if summed.is_some() { String::new() } else { selector(&format!("{own}{earlier}")) };
        for (level, severity, at, lasts) in TOLD {
            let (expr, says) = match begins {
                Begins::Numbers { values, low_is_bad } => {
                    let Some((limit, series)) = values[at].zip(number(table, column, &selector, WINDOW, summed)) else {
                        continue;
                    };
                    // a higher level is an alert of its own
                    let sign = if low_is_bad { "<=" } else { ">=" };
                    (format!("{series} {sign} {limit}"), says(column))
                }
                Begins::Words(listed) => {
                    let listed = listed.iter().filter(|(_, of)| *of == level).map(|(word, _)| word.as_str());
                    let Some(expr) = in_words(table, column, &format!("{own}{earlier}"), listed) else { continue };
                    (expr, word(column))
                }
            };
            rule(out, &name, &expr, severity, lasts, &format!("{}{says}", head(table, summed.is_none())));
        }
        match fits {
            None => {
                decided = true;
                break;
            }
            Some(pattern) => {
                let _ = write!(earlier, "{row}!~{pattern},");
            }
        }
    }
    if decided {
        return;
    }
    for (level, severity, _, lasts) in TOLD {
        let listed = column.labels.iter().filter(|label| label.level == level).map(|label| label.name);
        if let Some(expr) = in_words(table, column, &earlier, listed) {
            rule(out, &name, &expr, severity, lasts, &format!("{}{}", head(table, true), word(column)));
        }
    }
}

fn selector(matchers: &str) -> String {
    let matchers = matchers.trim_end_matches(',');
    if matchers.is_empty() { String::new() } else { format!("{{{matchers}}}") }
}

/// Whether a column of words is one of these.
fn in_words<'a>(
    table: &Table,
    column: &Column,
    matchers: &str,
    listed: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let listed: Vec<String> = listed.map(escaped).collect();
    if listed.is_empty() {
        return None;
    }
    let listed = quoted(&listed.join("|"));
    words(table, column, &selector(&format!("{matchers}{}=~{listed}", column.name)))
        .map(|series| format!("{series} == 1"))
}

/// A word as a regex that means it.
fn escaped(word: &str) -> String {
    let plain = |ch: char| ch.is_alphanumeric() || matches!(ch, '_' | '-' | ' ');
    word.chars().flat_map(|ch| (!plain(ch)).then_some('\\').into_iter().chain([ch])).collect()
}

fn rule(out: &mut String, name: &str, expr: &str, severity: &str, lasts: &str, summary: &str) {
    let _ = write!(
        out,
        "      - alert: {name}\n        expr: {}\n        for: {lasts}\n        labels:\n          severity: {severity}\n        \
         annotations:\n          summary: {}\n",
        quoted(expr),
        quoted(summary)
    );
}

/// Whether the row of a table that sums up the others would be found by its only name.
fn sums_up(table: &Table) -> bool {
    let mut ids = table.columns.iter().filter(|column| column.kind == Kind::Id);
    matches!((ids.next(), ids.next()), (Some(id), None) if id.ty == Type::Text)
}

/// Whether a regex on the names of rows is meant for the row that sums up the others.
fn is_total(pattern: &str) -> bool {
    regex(pattern).is_ok_and(|pattern| pattern.is_match(TOTAL_ROW))
}

/// Host, table and row, if it is about one.
fn head(table: &Table, of_row: bool) -> String {
    let labels = if of_row { labels(table) } else { Vec::new() };
    let rows: Vec<String> = labels.iter().map(|label| format!("{{{{ $labels.{label} }}}}")).collect();
    let rows = if rows.is_empty() { String::new() } else { format!(" {}", rows.join(" ")) };
    format!("{{{{ $labels.instance }}}}: {}{rows}: ", table.title())
}

/// What a number is, as people read it.
fn says(column: &Column) -> String {
    let form = match column.unit {
        _ if is_share(column) => "humanizePercentage",
        Unit::Bytes | Unit::BytesPerSecond => "humanize1024",
        Unit::Seconds => "humanizeDuration",
        _ => "humanize",
    };
    format!("{} is {{{{ $value | {form} }}}}", column.title())
}

fn word(column: &Column) -> String {
    format!("{} is {{{{ $labels.{} }}}}", column.title(), column.name)
}

fn camel(name: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    name.split('_').map(capital).collect()
}
