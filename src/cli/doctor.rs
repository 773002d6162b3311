//! Which collectors work here, what do they cost, and what is to be done about the others?

use std::io::Write;
use std::time::Instant;

use super::probe::{self, Probe};
use super::remote::Remote;
use super::{Failure, args, table};
use crate::collect::run::CollectorRow;
use crate::collect::{COLLECTORS, schedule};
use crate::config::Config;
use crate::export::{self, Format, Selection};
use crate::model::{Cell, Kind, Row as _, State, Status, Style, Timestamp, Unit, unit};

/// What is known of a collector.
struct Finding {
    row: CollectorRow,
    /// Its tables that have no rows.
    without: Vec<(String, Status)>,
}

pub(super) fn run(args: &args::Doctor, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let findings = match &args.host {
        Some(target) => ask(&Remote::connect(target, &args.access)?)?,
        None => examine(config)?,
    };
    match args.format {
        Format::Text => people(out, &findings)?,
        format => rows(out, format, &findings)?,
    }
    let failed: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.row.state == State::Failed)
        .map(|finding| finding.row.name.as_str())
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Exit { code: 1, message: format!("failed: {}", failed.join(", ")), hint: String::new() })
}

/// Runs every collector twice, because many keep sockets and caches after their first run. One that is switched off is
/// named and left alone.
fn examine(config: &Config) -> Result<Vec<Finding>, Failure> {
    let start = Instant::now();
    let probes = Probe::all(config).map_err(|error| Failure::thread(&error))?;
    for probe in &probes {
        // what it says is said again by the second run
        drop(probe.take());
    }
    probe::wait(schedule::SECOND_SAMPLE.saturating_sub(start.elapsed()));
    let second = |probe: Probe| {
        let (row, filled) = probe.examine();
        let without = filled.into_iter().filter_map(|(table, rows)| Some((table.name.to_string(), rows.err()?)));
        Finding { row, without: without.collect() }
    };
    Ok(probes.into_iter().map(second).collect())
}

/// What an agent knows of its collectors.
fn ask(remote: &Remote) -> Result<Vec<Finding>, Failure> {
    let table = table(remote.tables(), &CollectorRow::TABLE.name)?;
    let snapshot = remote.snapshot(table).map_err(|missed| missed.failure(table))?;
    let Some(now) = snapshot.get(&table.name).and_then(|state| state.now.as_ref()) else { return Ok(Vec::new()) };
    let finding = |row| {
        let row = CollectorRow::of(&*now.rows, row)?;
        let entry = COLLECTORS.iter().find(|entry| entry.name == row.name.as_str());
        let tables = entry.map_or(&[][..], |entry| entry.tables);
        let states = tables.iter().filter_map(|table| snapshot.get(&table.name));
        let without = states.filter(|state| state.status.state != State::Ok);
        let without = without.map(|state| (state.table.name.to_string(), state.status.clone())).collect();
        Some(Finding { row, without })
    };
    Ok((0..now.rows.len()).filter_map(finding).collect())
}

/// The findings as rows of the table that a dashboard shows.
fn rows(out: &mut dyn Write, format: Format, findings: &[Finding]) -> Result<(), Failure> {
    let columns: Vec<usize> = (0..CollectorRow::TABLE.columns.len()).collect();
    let numbers: Vec<usize> = (0..findings.len()).collect();
    let what = Selection {
        table: CollectorRow::TABLE,
        columns: &columns,
        rows: &numbers,
        cell: &|row, column| findings.get(row).map_or(Cell::Missing, |finding| finding.row.cell(column)),
        unknown: &|_, column| CollectorRow::TABLE.columns.get(column).is_some_and(|one| one.kind == Kind::Derived),
        rate: false,
        time: Timestamp::now(),
    };
    Ok(export::write(out, format, &what, true)?)
}

fn people(out: &mut dyn Write, findings: &[Finding]) -> Result<(), Failure> {
    let head = ["COLLECTOR", "STATE", "TIME", "CPU", "ROWS", "READ", "WHY"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for finding in findings {
        let row = &finding.row;
        let runs = row.runs as f64;
        lines.push(vec![
            row.name.to_string(),
            row.state.name().to_owned(),
            row.run_time.map_or_else(|| "?".to_owned(), unit::span),
            if row.runs == 0 { "?".to_owned() } else { unit::span(row.cpu_time / runs) },
            row.rows.to_string(),
            if row.runs == 0 {
                "?".to_owned()
            } else {
                unit::quantity(row.read_bytes as f64 / runs, Unit::Bytes, Style::default())
            },
            if row.reason.is_empty() && on_demand(&row.name) {
                "read only for what somebody asks for".to_owned()
            } else {
                row.reason.to_string()
            },
        ]);
        lines.extend(fix(&row.hint));
        for (table, status) in finding.without.iter().filter(|(_, status)| status.reason != row.reason) {
            let mut line = vec![format!("  {table}"), status.state.name().to_owned()];
            line.extend([const { String::new() }; 4]);
            line.push(status.reason.to_string());
            lines.push(line);
            lines.extend(fix(&status.hint));
        }
    }
    Ok(export::write_aligned(out, &[false, false, true, true, true, true, false], &lines)?)
}

/// Whether a collector fills nothing by itself.
fn on_demand(name: &str) -> bool {
    let entry = COLLECTORS.iter().find(|entry| entry.name == name);
    entry.is_some_and(|entry| entry.tables.iter().all(|table| table.attrs.demand))
}

/// A line of its own that says what to do.
fn fix(hint: &str) -> Option<Vec<String>> {
    let line = || [const { String::new() }; 6].into_iter().chain([format!("fix: {hint}")]).collect();
    (!hint.is_empty()).then(line)
}
