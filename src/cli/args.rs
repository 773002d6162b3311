//! What may be written after `netglance`?
//!
//! One tree: the parser, `--help`, the manual page and the completions are all made from it.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::export::Format;

/// See hosts, guests, firewalls and routers on one screen.
#[derive(Debug, Parser)]
#[command(name = "netglance", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do instead of showing the dashboard.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 the source is absent, denied or failed; 2 usage or configuration; \
                          3 the peer.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what tables and columns there are.
    Schema(Schema),
    /// Run every collector and say how it fares, what it costs and what to do about it.
    Doctor(Doctor),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page in roff.
    Man,
}

/// Arguments of `schema`.
#[derive(Args, Debug)]
pub struct Schema {
    /// Only this table.
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
    /// Print lines `table.column`.
    #[arg(long, group = "form")]
    pub names: bool,
    /// Print everything as JSON.
    #[arg(long, group = "form")]
    pub json: bool,
    /// Print the collectors with their tables.
    #[arg(long, group = "form")]
    pub collectors: bool,
}

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// How to write the answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }
    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}
