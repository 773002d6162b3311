//! Which tables and columns are there?

use std::io::Write;
use std::path::Path;

use super::{Failure, args, table};
use crate::collect::{COLLECTORS, schedule};
use crate::config;
use crate::export::{self, write_aligned};
use crate::model::{Column, Table, unit};

pub(super) fn run(args: &args::Schema, named: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let tables: Vec<&Table> = match &args.table {
        Some(name) => vec![table(schedule::tables(), name)?],
        None => schedule::tables().to_vec(),
    };
    if args.names {
        for table in tables {
            for column in table.columns.iter() {
                writeln!(out, "{}.{}", table.name, column.name)?;
            }
        }
    } else if args.json {
        writeln!(out, "{}", export::schema(&tables))?;
    } else if args.collectors {
        collectors(out, &tables)?;
    } else if args.rules || args.grafana {
        let thresholds = super::dashboard::levels(&config::load(named)?.config.threshold, schedule::tables())?;
        if args.rules {
            write!(out, "{}", export::rules(&tables, &thresholds))?;
        } else {
            writeln!(out, "{:#}", export::dashboard(&tables, &thresholds))?;
        }
    } else {
        people(out, &tables)?;
    }
    Ok(())
}

fn collectors(out: &mut dyn Write, tables: &[&Table]) -> Result<(), Failure> {
    let mut lines = vec![["COLLECTOR", "EVERY", "TABLES"].map(str::to_owned).to_vec()];
    for entry in COLLECTORS {
        let names: Vec<&str> = entry.tables.iter().map(|table| &*table.name).collect();
        if tables.iter().any(|table| names.contains(&&*table.name)) {
            lines.push(vec![entry.name.to_owned(), unit::duration(entry.interval), names.join(" ")]);
        }
    }
    Ok(write_aligned(out, &[false, true, false], &lines)?)
}

fn people(out: &mut dyn Write, tables: &[&Table]) -> Result<(), Failure> {
    for (n, table) in tables.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}: {}", table.name, one_line(table.summary()))?;
        if !table.source().is_empty() {
            writeln!(out, "  Source: {}", one_line(table.source()))?;
        }
        let lines: Vec<Vec<String>> = table.columns.iter().map(column_line).collect();
        write_aligned(out, &[false; 5], &lines)?;
    }
    Ok(())
}

fn column_line(column: &Column) -> Vec<String> {
    let mut help = one_line(&column.help);
    if let Some(expr) = &column.expr {
        help = format!("{help} = {expr}");
    }
    if !column.labels.is_empty() {
        let labels: Vec<&str> = column.labels.iter().map(|label| label.name).collect();
        help = format!("{help} [{}]", labels.join(" "));
    }
    let (kind, unit, ty) = (column.kind.name(), column.unit.name(), column.ty.name());
    vec![format!("  {}", column.name), kind.to_owned(), ty.to_owned(), unit.to_owned(), help]
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
