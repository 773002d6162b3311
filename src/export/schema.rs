//! How are tables described to programs?
//!
//! One object for all tables: what `schema --json` prints and an agent answers.

use serde_json::{Value, json};

use crate::collect::collector_of;
use crate::model::{Column, Table};

/// Describes tables.
pub fn schema(tables: &[&Table]) -> Value {
    let tables: Vec<Value> = tables.iter().map(|table| of_table(table)).collect();
    json!({ "tables": tables })
}

fn of_table(table: &Table) -> Value {
    let columns: Vec<Value> = table.columns.iter().map(of_column).collect();
    json!({
        "name": table.name,
        "help": table.summary(),
        "source": table.source(),
        "collector": collector_of(table),
        "shape": table.attrs.shape.name(),
        "columns": columns,
    })
}

fn of_column(column: &Column) -> Value {
    let labels: Vec<&str> = column.labels.iter().map(|label| label.name).collect();
    json!({
        "name": column.name,
        "kind": column.kind.name(),
        "unit": column.unit.name(),
        "type": column.ty.name(),
        "help": column.help,
        "labels": labels,
        "expr": column.expr,
    })
}
