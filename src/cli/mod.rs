//! What does each command of the command line do?
//!
//! [`run`] parses, dispatches and turns the outcome into an exit code: 0 fine, 1 the source is absent, denied or failed,
//! 2 usage or configuration, 3 the peer. A reader that closes the pipe early is not an error.

mod access;
mod alerts;
pub mod args;
mod check;
mod completions;
mod dashboard;
mod doctor;
mod pages;
mod past;
mod probe;
mod remote;
mod reset;
mod schema;
mod serve;
mod show;
mod token;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser as _;

use crate::collect::OUT_OF_FILES;
use crate::config::{self, Problems};
use crate::model::text::sanitize_into;
use crate::model::{Status, Table};
use args::{Cli, Command};

/// Why a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// The output is gone or full.
    Output(io::Error),
    /// Everything else.
    Exit {
        /// Exit code.
        code: u8,
        /// What is wrong.
        message: String,
        /// What to do about it; empty when there is nothing.
        hint: String,
    },
    /// What is wrong was said already; the exit code.
    Told(u8),
}

impl Failure {
    /// Wrong use or a wrong configuration.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Exit { code: 2, message: message.into(), hint: hint.into() }
    }

    /// A table that could not be read.
    pub fn source(table: &str, status: &Status) -> Self {
        let message = format!("{table}: {}: {}", status.state.name(), status.reason);
        Self::Exit { code: 1, message, hint: status.hint.to_string() }
    }

    /// A thread, or what it needs, cannot be had.
    pub fn thread(error: &io::Error) -> Self {
        let message = format!("cannot start a thread: {error}");
        Self::Exit { code: 1, message, hint: limit(error).to_owned() }
    }

    /// Says what is wrong on standard error and gives the exit code.
    fn report(&self) -> ExitCode {
        let (code, message, hint) = match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Output(error) => (1, format!("write the output: {error}"), ""),
            Self::Exit { code, message, hint } => (*code, message.clone(), hint.as_str()),
            Self::Told(code) => return ExitCode::from(*code),
        };
        // nobody is left to tell when standard error is gone too
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "netglance: {}", visible(&message));
        if !hint.is_empty() {
            let _ = writeln!(err, "hint: {}", visible(hint));
        }
        ExitCode::from(code)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Output(error) => error.fmt(f),
            Self::Exit { message, .. } => f.write_str(message),
            Self::Told(code) => write!(f, "exit code {code}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::usage(problems.to_string(), "")
    }
}

/// The limit that is to be raised after an error.
fn limit(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => "raise the limit of processes (ulimit -u)",
        Some(libc::EMFILE | libc::ENFILE) => OUT_OF_FILES,
        _ => "",
    }
}

/// A message of several lines in which nothing is hidden and nothing moves the cursor.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        sanitize_into(line.trim_end_matches('\n').as_bytes(), &mut out);
        out.extend(line.ends_with('\n').then_some('\n'));
    }
    out
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    crate::source::memory::keep_little();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            return match error.print() {
                _ if error.use_stderr() => ExitCode::from(2),
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => Failure::Output(error).report(),
            };
        }
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let outcome = dispatch(&cli, &mut out).and_then(|()| out.flush().map_err(Failure::from));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = out.flush();
            failure.report()
        }
    }
}

fn dispatch(cli: &Cli, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(command) = &cli.command else {
        return dashboard::run(&cli.dashboard, cli.config.clone());
    };
    if cli.dashboard != args::Dashboard::default() {
        let message = "--interval, --view, --theme, --filter, --netns, --read-only and --allow-actions before a command are for \
                       the dashboard, which no command shows";
        return Err(Failure::usage(message, "write flags of a command behind it"));
    }
    let named = cli.config.as_deref();
    match command {
        Command::Serve(args) => serve::run(args, cli.config.as_deref()),
        Command::Connect(args) => dashboard::connect(args, cli.config.clone()),
        Command::Token(command) => token::run(command, named, out),
        Command::Browse(args) => dashboard::browse(args, cli.config.clone()),
        Command::Show(args) => show::run(args, &config::load(named)?.config, out),
        Command::Check(args) => check::run(args, named, out),
        Command::Alerts(args) => alerts::run(args, named, out),
        Command::Schema(args) => schema::run(args, named, out),
        Command::Doctor(args) => doctor::run(args, &config::load(named)?.config, out),
        Command::Completions { shell } => completions::run(*shell, out),
        Command::Man => pages::manual(out),
        Command::Reset => reset::run(out),
    }
}

/// Says on standard error what does not keep a command from its answer.
fn warn(message: &str, hint: &str) {
    let mut err = io::stderr().lock();
    // nobody is left to tell when standard error is gone
    let _ = writeln!(err, "netglance: warning: {}", visible(message));
    if !hint.is_empty() {
        let _ = writeln!(err, "hint: {hint}");
    }
}

/// Position of a column of a table.
fn column(table: &Table, name: &str) -> Result<usize, Failure> {
    table.position(name).ok_or_else(|| {
        let known = table.columns.iter().map(|column| &*column.name);
        let otherwise = format!("`netglance schema {}` lists them", table.name);
        Failure::usage(format!("table {} has no column `{name}`", table.name), did_you_mean(name, known, &otherwise))
    })
}

/// The table of a name.
fn table(tables: &'static [&'static Table], name: &str) -> Result<&'static Table, Failure> {
    tables.iter().copied().find(|table| table.name == name).ok_or_else(|| {
        let known = tables.iter().map(|table| &*table.name);
        Failure::usage(
            format!("there is no table `{name}`"),
            did_you_mean(name, known, "`netglance schema` lists them"),
        )
    })
}

fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>, otherwise: &str) -> String {
    config::nearest(name, known).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}
