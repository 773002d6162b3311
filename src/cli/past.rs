//! When would a rule of alerts have fired, by what an agent remembers?

use std::io::Write;
use std::time::Duration;

use super::remote::Remote;
use super::{Failure, args};
use crate::alert::replay::{self, Cells};
use crate::alert::run::Rules;
use crate::alert::settings::Alert;
use crate::alert::silence::Silences;
use crate::alert::{Change, Rule};
use crate::client::Target;
use crate::config::Config;
use crate::model::{HistoryAsk, Key, Mono, Sample, Table, Text, Timestamp, unit};
use crate::store::level::Thresholds;

/// Tries a rule on the past of an agent.
pub(super) fn test(
    args: &args::Test,
    config: &Config,
    alert: &Alert,
    since: Duration,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let target = args.host.clone().unwrap_or_else(|| Target::Unix(config.serve.socket.clone()));
    let remote = Remote::connect(&target, &args.access)?;
    let (rule, table) = rule(alert, remote.tables())?;
    let refused = |why| Failure::usage(format!("alert {}: {why}", alert.name), "of the past only numbers are known");
    let columns = replay::columns(&rule).map_err(refused)?;
    let (now, _) = remote.take(table).map_err(|missed| missed.failure(table))?;
    let begin = Mono(now.mono.0.saturating_sub(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)));
    let cells = cells(&remote, table, &now, &columns, begin)?;
    let thresholds = Thresholds::new(&config.threshold, [table]).unwrap_or_default();
    let rules = Rules { rules: vec![rule], thresholds, silences: Silences::default() };
    let told = replay::play(rules, table, &now, &cells);
    let mut fired = 0;
    for (time, one) in told {
        fired += u64::from(one.change == Change::Fired);
        let lasted = one
            .end
            .map(|end| format!(" (after {})", unit::duration(Duration::from_secs_f64((end - one.begin).max(0.0)))));
        let (change, severity) = (one.change.name(), one.severity.name());
        writeln!(out, "{} {change} {severity}: {}{}", clock(time), one.text, lasted.unwrap_or_default())?;
    }
    let known = cells.iter().filter_map(|(_, _, series)| Some(series.points.first()?.from)).min();
    let known = known.map_or(0.0, |known| now.mono.since(known));
    let known = unit::duration(Duration::from_secs_f64(known.round()));
    writeln!(out, "it would have fired {fired} times in {known} that {} rows are remembered", rows(&cells))?;
    Ok(())
}

/// The rule as it can be asked of the past, with the table as that has it.
fn rule(alert: &Alert, tables: &[&'static Table]) -> Result<(Rule, &'static Table), Failure> {
    let name = Text::from(alert.table.as_str());
    let unknown = || Failure::usage(format!("the agent has no table `{name}`"), "it may be an older one");
    let table = tables.iter().find(|table| table.name == alert.table).copied().ok_or_else(unknown)?;
    let nothing = || Failure::usage(format!("alert {}: of table `{name}` nothing is remembered", alert.name), "");
    let table = replay::remembered(table).ok_or_else(nothing)?;
    // who was at the top then is not known
    let alert = Alert { top: Vec::new(), ..alert.clone() };
    let rule = Rule::new(&alert, &[table]);
    let wrong =
        |mistake| Failure::usage(format!("alert {}: {mistake}", alert.name), "of the past only numbers are known");
    Ok((rule.map_err(wrong)?, table))
}

/// What is remembered of each row that there is now.
fn cells(
    remote: &Remote,
    table: &'static Table,
    now: &Sample,
    columns: &[usize],
    begin: Mono,
) -> Result<Vec<Cells>, Failure> {
    let mut cells = Vec::new();
    for row in 0..now.rows.len() {
        for column in columns {
            let Some(about) = table.columns.get(*column) else { continue };
            let key = Key::of(now.rows.as_ref(), row);
            let ask = HistoryAsk { since: Some(begin), ..HistoryAsk::all(&table.name, &about.name, key) };
            if let Some(series) = remote.past(ask)? {
                cells.push((row, *column, series));
            }
        }
    }
    Ok(cells)
}

fn rows(cells: &[Cells]) -> usize {
    cells.chunk_by(|(one, ..), (other, ..)| one == other).count()
}

/// Date and time of this host's zone.
fn clock(time: Timestamp) -> String {
    let zoned =
        jiff::Timestamp::from_nanosecond(i128::from(time.0)).map(|time| time.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or_else(|_| "?".to_owned(), |zoned| zoned.strftime("%F %T").to_string())
}
