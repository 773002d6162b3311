//! Which rows does a table have now?
//!
//! Filter, then sort, then limit. The collector of the table runs alone, once or once for each print; nothing is written to
//! standard output for a table that is not there.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write};
use std::time::{Duration, Instant};

use super::probe::{self, Missed, Source};
use super::remote::Remote;
use super::{Failure, args, column, table};
use crate::collect::{EVERY_SECOND, Wants, schedule};
use crate::config::Config;
use crate::export::{self, Format, Selection};
use crate::model::{Demand, Kind, Shape, State, Table, Text, Timestamp, tell};
use crate::source::file::Roots;
use crate::source::netns;
use crate::store::expr::{ExprError, Filter};
use crate::store::query::{self, Order, Query};
use crate::store::rate::{Mode, View};
use crate::store::wanted::{self, WantedError};

pub(super) fn run(args: &args::Show, config: &Config, out: &mut dyn Write) -> Result<(), Failure> {
    let remote = args.host.as_ref().map(|host| Remote::connect(host, &args.access)).transpose()?;
    let table = table(remote.as_ref().map_or(schedule::tables(), Remote::tables), &args.table)?;
    check_format(args, table)?;
    let columns = columns(args, table)?;
    let query = Query { filter: filter(args, table)?, sort: sort(args, table)?, limit: args.limit };
    let demands = demands(args, table, &columns, &query)?;
    let source = if let Some(remote) = remote {
        remote.demand(table, demands)?;
        Source::Agent(remote)
    } else {
        let (wants, netns) = (Wants::union(&demands), netns(args, table, config)?);
        Source::start(table, &wants, config, netns).map_err(|error| Failure::thread(&error))?
    };
    series(&Ask { args, table, columns, query }, &source, &|message, hint| super::warn(message, hint), out)
}

/// What is said of a log that begins with the command, and what else to do.
const FROM_NOW: &str = "only what comes from now on is heard";
const WAIT: &str = "wait with --every 1s, or ask an agent with --host what it has heard";

/// What is to be shown.
struct Ask<'a> {
    args: &'a args::Show,
    table: &'static Table,
    columns: Vec<usize>,
    query: Query,
}

/// Says what does not keep the command from its answer, and what to do about it.
type Tell<'a> = &'a dyn Fn(&str, &str);

/// Prints as often as was asked for. A sample that does not come in time, or that fails once there was one, is
/// told, and the next one is waited for.
fn series(ask: &Ask<'_>, source: &Source, tell: Tell<'_>, out: &mut dyn Write) -> Result<(), Failure> {
    let (args, table) = (ask.args, ask.table);
    let every = args.every.map_or(EVERY_SECOND, |interval| interval.0);
    let mut grid = Grid { next: Instant::now(), every };
    let mut before = None;
    if args.rate {
        before = Some(source.take(table).map_err(|missed| missed.failure(table))?.0);
        grid.wait();
    }
    let prints = match (args.count, args.every) {
        (Some(count), _) => count,
        (None, Some(_)) => u64::MAX,
        (None, None) => 1,
    };
    for n in 0..prints {
        if n > 0 {
            grid.wait();
        }
        let (now, part) = match source.take(table) {
            Ok(taken) => taken,
            Err(Missed::Source(status)) if n > 0 && n + 1 < prints && passes(status.state) => {
                tell(&format!("{}: {}: {}", table.name, status.state.name(), status.reason), &status.hint);
                continue;
            }
            Err(missed) => return Err(missed.failure(table)),
        };
        if let Some((reason, hint)) = part.filter(|_| n == 0) {
            tell(&format!("{}: {reason}", table.name), &hint);
        }
        let view = View::new(&now, before.as_ref(), mode(args));
        print(ask, &view, now.time, n == 0, out)?;
        if n == 0 && before.is_none() {
            warn_unknown(&view, &ask.query);
        }
        if n == 0 && view.is_empty() && table.attrs.shape == Shape::Log && !matches!(source, Source::Agent(_)) {
            tell(&format!("{}: {FROM_NOW}", table.name), WAIT);
        }
        before = Some(now);
    }
    Ok(())
}

/// Whether what keeps a table from being read may be over by the next time.
fn passes(state: State) -> bool {
    matches!(state, State::Stale | State::Failed)
}

/// Prints one sample.
fn print(ask: &Ask<'_>, view: &View, time: Timestamp, first: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let args = ask.args;
    let rows = query::run(view, &ask.query);
    let columns = if args.columns.is_empty() && !args.format.is_complete() {
        told_apart(view, &rows, &ask.columns)
    } else {
        ask.columns.clone()
    };
    let what = Selection {
        table: ask.table,
        columns: &columns,
        rows: &rows,
        cell: &|row, column| view.cell(row, column),
        unknown: &|row, column| view.unknown(row, column),
        rate: args.rate,
        time,
    };
    match room(args.format) {
        Some(room) => export::write_fitting(out, &what, first, room, !args.columns.is_empty())?,
        None => export::write(out, args.format, &what, first)?,
    }
    Ok(out.flush()?)
}

/// The columns, with the Ids that matter only where they tell something.
fn told_apart(view: &View, rows: &[usize], columns: &[usize]) -> Vec<usize> {
    let tells = |column: &usize| tell(rows.iter().map(|row| view.raw().cell(*row, *column)));
    view.table().several().filter(tells).chain(columns.iter().copied()).collect()
}

/// Cells of a line when the output is a terminal, on which wrapped rows would be unreadable.
fn room(format: Format) -> Option<usize> {
    let stdout = std::io::stdout();
    if format != Format::Text || !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Says that an order or a filter had nothing to go by, because what it names is known from the second sample on.
fn warn_unknown(view: &View, query: &Query) {
    let sorted = query.sort.iter().map(|(column, _)| *column);
    let filtered = query.filter.as_ref().map_or(&[][..], Filter::columns).iter().copied();
    for column in sorted.chain(filtered).collect::<BTreeSet<_>>() {
        let known = (0..view.len()).any(|row| !view.cell(row, column).is_missing());
        if let Some(column) = view.table().columns.get(column)
            && !known
            && column.kind == Kind::Derived
        {
            super::warn(&format!("`{}` is unknown in a single sample", column.name), "add --rate");
        }
    }
}

/// Moments that do not drift, however long a sample takes.
struct Grid {
    next: Instant,
    every: Duration,
}

impl Grid {
    fn wait(&mut self) {
        self.next += self.every;
        // what was missed stays out: samples in a burst would say nothing
        let late = Instant::now().saturating_duration_since(self.next);
        let missed = late.as_nanos() / self.every.as_nanos().max(1);
        self.next += self.every.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX));
        probe::wait(self.next.saturating_duration_since(Instant::now()));
    }
}

/// What does not go together with the Prometheus format.
fn check_format(args: &args::Show, table: &Table) -> Result<(), Failure> {
    if args.format != Format::Prometheus {
        return Ok(());
    }
    let hint = "use --format json";
    if let Some(why) = export::refusal(table) {
        return Err(Failure::usage(format!("table {} is not for Prometheus: {why}", table.name), hint));
    }
    if args.rate || args.every.is_some() || args.count.is_some() {
        return Err(Failure::usage("a scraper wants totals once: no --rate, --every or --count", hint));
    }
    Ok(())
}

/// The columns that were named, else all that the format carries.
fn columns(args: &args::Show, table: &Table) -> Result<Vec<usize>, Failure> {
    if !args.columns.is_empty() {
        let named: Vec<&str> = args.columns.iter().map(|name| name.trim()).collect();
        if named.contains(&"") {
            return Err(Failure::usage(
                "--columns has a name that is empty",
                "write names with one comma between them",
            ));
        }
        let twice = named.iter().enumerate().find(|(at, name)| named.iter().take(*at).any(|n| n == *name));
        if let Some((_, name)) = twice {
            return Err(Failure::usage(format!("column `{name}` is named twice"), "name it once"));
        }
        return named.iter().map(|name| column(table, name)).collect();
    }
    Ok(if args.format.is_complete() { (0..table.columns.len()).collect() } else { table.usual() })
}

fn sort(args: &args::Show, table: &Table) -> Result<Vec<(usize, Order)>, Failure> {
    let Some(text) = &args.sort else { return Ok(Vec::new()) };
    let (name, order) = text.strip_prefix('-').map_or((text.as_str(), Order::Ascending), |n| (n, Order::Descending));
    Ok(vec![(column(table, name)?, order)])
}

fn filter(args: &args::Show, table: &Table) -> Result<Option<Filter>, Failure> {
    args.filter.as_deref().map(|text| Filter::parse(text, table).map_err(|error| bad_expression(&error))).transpose()
}

/// The network namespaces whose rows are asked for.
fn netns(args: &args::Show, table: &Table, config: &Config) -> Result<netns::Selection, Failure> {
    let Some(word) = &args.netns else { return Ok(netns::Selection::host_and(config.netns.clone())) };
    if table.position(NETNS).is_none() {
        return Err(Failure::usage(format!("table {} knows no network namespaces", table.name), "leave out --netns"));
    }
    let parse = |word: &str| {
        netns::Selection::of(word).map_err(|error| Failure::usage(error.to_string(), "`ip netns` lists names"))
    };
    let selection = parse(word)?;
    let roots = Roots::live();
    let names = |selection: &netns::Selection| netns::names(selection, &roots.proc, &roots.host);
    if selection.has_host() || !names(&selection).is_empty() {
        return Ok(selection);
    }
    let known: Vec<Text> = [netns::host()].into_iter().chain(names(&parse(netns::ALL)?)).collect();
    let known: Vec<&str> = known.iter().map(Text::as_str).collect();
    Err(Failure::usage(format!("there is no network namespace `{word}`"), format!("there are: {}", known.join(", "))))
}

/// Name of the Id column of every table whose rows belong to a network namespace.
const NETNS: &str = "netns";

fn bad_expression(error: &ExprError) -> Failure {
    let message =
        format!("--where, column {}: {}\n  {}", error.column(), error.message, error.caret().replace('\n', "\n  "));
    Failure::usage(message, error.hint.clone().unwrap_or_default())
}

fn mode(args: &args::Show) -> Mode {
    if args.rate { Mode::Rate } else { Mode::Total }
}

/// What the collector must be asked for.
fn demands(args: &args::Show, table: &Table, columns: &[usize], query: &Query) -> Result<Vec<Demand>, Failure> {
    let named = if args.columns.is_empty() { &[] } else { columns };
    wanted::demands(table, named, query, mode(args)).map_err(|error| {
        let message = error.to_string().replace("the filter", "--where");
        let hint = match error {
            WantedError::Which { .. } => error.hint().replacen("write ", "write --where ", 1),
            WantedError::TooMany { .. } => "ask for them in several commands".to_owned(),
        };
        Failure::usage(message, hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::cli::probe::testing::{FALTERS, Gate, WAITS};
    use clap::Parser as _;

    /// What a series of four prints, as the numbers of the runs, and what is told beside it.
    fn told(entry: &'static crate::collect::Entry) -> (Vec<String>, Vec<String>) {
        // a second run that waits does so until it is told
        let _gate = Gate::closed_at(2);
        let cli =
            Cli::parse_from(["netglance", "show", "load", "--every", "100ms", "--count", "4", "--format", "json"]);
        let Some(Command::Show(args)) = cli.command else { panic!("show is a command") };
        let table = table(schedule::tables(), "load").unwrap();
        let query = Query { filter: None, sort: Vec::new(), limit: None };
        let ask = Ask { args: &args, table, columns: columns(&args, table).unwrap(), query };
        let source = Source::Collector(probe::testing::probe(entry, Duration::from_secs(2)));
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |message: &str, _: &str| {
            told.borrow_mut().push(message.to_owned());
            Gate::open();
        };
        let mut out = Vec::new();
        series(&ask, &source, &tell, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let runs = text.lines().map(|line| line.split([':', ',']).nth(1).unwrap().to_owned()).collect();
        (runs, told.into_inner())
    }

    #[test]
    fn a_sample_that_does_not_come_is_told_and_the_series_goes_on() {
        let (runs, told) = told(&WAITS);
        assert_eq!(runs, ["1.0", "3.0", "4.0"]);
        assert_eq!(told, ["load: stale: no answer within 2s"]);
    }

    #[test]
    fn a_sample_that_fails_is_told_and_the_series_goes_on() {
        let (runs, told) = told(&FALTERS);
        assert_eq!(runs, ["1.0", "3.0", "4.0"]);
        assert_eq!(told, ["load: failed: it was another"]);
    }
}
