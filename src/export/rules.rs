//! Which alerts does Prometheus raise at the thresholds that people see?
//!
//! Each threshold of a column that scrapers get becomes one rule for each of its levels warning and critical, and so does each
//! word of a label column that has such a level. As on the screen the first threshold whose `row` fits decides: those behind
//! it leave its rows out.

use std::fmt::Write as _;

use super::promql::{is_share, labels, number, quoted, words};
use crate::model::{Column, Level, Table, Unit};
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
        let selector = selector(&format!("{own}{earlier}"));
        for (level, severity, at, lasts) in TOLD {
            let (expr, says) = match begins {
                Begins::Numbers { values, low_is_bad } => {
                    let Some((limit, series)) = values[at].zip(number(table, column, &selector, WINDOW)) else {
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
            rule(out, &name, &expr, severity, lasts, &format!("{}{says}", head(table)));
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
            rule(out, &name, &expr, severity, lasts, &format!("{}{}", head(table), word(column)));
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
    let listed: Vec<&str> = listed.collect();
    if listed.is_empty() {
        return None;
    }
    let listed = quoted(&listed.join("|"));
    words(table, column, &selector(&format!("{matchers}{}=~{listed}", column.name)))
        .map(|series| format!("{series} == 1"))
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

/// Host, table and row.
fn head(table: &Table) -> String {
    let rows: Vec<String> = labels(table).iter().map(|label| format!("{{{{ $labels.{label} }}}}")).collect();
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
