//! How does one who asks Prometheus write a column?
//!
//! A scraper gets counters and gauges; what readers print, the rate of a counter and what is derived from other columns, is
//! written out in PromQL.

use super::prometheus::{is_label, is_metric, metric_name, refusal};
use crate::model::{Column, Kind, Table, Unit};
use crate::store::expr::{Expr, Sense};

/// A column as readers print it, of the series that `selector` chooses, over `window`, each row for itself or summed up over
/// a label. `None` for what a scraper does not get.
pub(super) fn number(
    table: &Table,
    column: &Column,
    selector: &str,
    window: &str,
    summed: Option<&str>,
) -> Option<String> {
    if refusal(table).is_some() || !column.ty.is_numeric() {
        return None;
    }
    let total = |column: &Column| is_metric(column).then(|| format!("{}{selector}", metric_name(&table.name, column)));
    let sum = |series: String| match summed {
        Some(label) => format!("sum without ({label}) ({series})"),
        None => series,
    };
    let printed = |column: &Column| match column.kind {
        Kind::Counter => total(column).map(|series| sum(format!("rate({series}[{window}])"))),
        _ => total(column).map(sum),
    };
    match &column.expr {
        None => printed(column),
        Some(text) => Expr::numeric(text, table).ok()?.written(&|at, sense| {
            let column = table.columns.get(at)?;
            if sense == Sense::Total { total(column) } else { printed(column) }
        }),
    }
}

/// The metric of a column of words, which is 1 for the word that it is.
pub(super) fn words(table: &Table, column: &Column, selector: &str) -> Option<String> {
    let told = refusal(table).is_none() && is_metric(column) && !column.labels.is_empty();
    told.then(|| format!("{}{selector}", metric_name(&table.name, column)))
}

/// Names of the labels that tell the rows of a table apart.
pub(super) fn labels(table: &Table) -> Vec<&str> {
    table.columns.iter().filter(|column| is_label(column)).map(|column| &*column.name).collect()
}

/// The unit of a column as readers print it: per second of a counter.
pub(super) fn is_share(column: &Column) -> bool {
    column.unit == Unit::Ratio || (column.kind == Kind::Counter && column.unit == Unit::Seconds)
}

/// A text in double quotes, as PromQL, YAML and JSON read it alike.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
