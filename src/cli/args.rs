//! What may be written after `netglance`?
//!
//! One tree: the parser, `--help`, the manual page and the completions are all made from it.

use std::path::PathBuf;

use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::client::Target;
use crate::collect::settings::Interval;
use crate::export::Format;
use crate::server::{Part, Role};
use crate::source::netns::{ALL, Pattern, PatternError};

/// See hosts, guests, firewalls and routers on one screen.
///
/// Without a command: the dashboard of this host.
#[derive(Debug, Parser)]
#[command(name = "netglance", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Read this configuration instead of searching for one.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Flags of the dashboard.
    #[command(flatten)]
    pub dashboard: Dashboard,
    /// What to do instead of showing the dashboard.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 the source is absent, denied or failed; 2 usage or configuration; \
                          3 the peer.\nWithout --config the file is $XDG_CONFIG_HOME/netglance/netglance.toml, else \
                          /etc/netglance/netglance.toml.\nNETGLANCE__COLLECT__PROCESS__INTERVAL=5s sets collect.process.interval.";

/// Flags of the dashboard. They win over the configuration.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct Dashboard {
    /// Time between samples, such as 500ms or 2s.
    #[arg(long, value_name = "SPAN")]
    pub interval: Option<Interval>,
    /// View to start with.
    #[arg(long, value_name = "NAME")]
    pub view: Option<String>,
    /// Theme to start with.
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// Filter for the processes to start with.
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Network namespaces to read beside the own one: a name, in which `*` stands for any letters, or `all`; may be given
    /// several times.
    #[arg(long, value_name = "NAME", value_parser = others)]
    pub netns: Vec<Pattern>,
    /// Offer nothing that changes the host, signals included.
    #[arg(long, conflicts_with = "allow_actions")]
    pub read_only: bool,
    /// Offer everything that changes the host: to delete connections from the kernel's table, too.
    #[arg(long)]
    pub allow_actions: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sample, remember and serve this host: the agent.
    Serve(Serve),
    /// Show the dashboard of another host through its agent.
    Connect(Connect),
    /// Make, list and revoke the tokens by which other hosts may look at this one.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show many hosts through their agents, one row for each.
    ///
    /// Without a HOST: those of hosts.toml and of hosts.d/*.toml beside the configuration. Enter opens a host, Esc comes
    /// back, j groups the hosts by group, state and version. The name of a table after a colon, such as :process, shows
    /// the rows of all hosts together; Enter opens the host of a row at that row.
    Browse(Browse),
    /// Print the rows of a table.
    Show(Show),
    /// Print what tables and columns there are.
    ///
    /// Of each column: name, kind, type, unit, and what it is. A counter only grows: `show --rate` prints its change per
    /// second. What is derived is computed from other columns, as written behind `=`; words in brackets are all that a cell
    /// may say.
    Schema(Schema),
    /// Run every collector and say how it fares, what it costs and what to do about it.
    ///
    /// TIME is how long the last of two runs took, CPU and READ are what a run costs on average. Absent is what this host
    /// does not have, denied what this user may not read; only what failed is a reason for exit code 1.
    Doctor(Doctor),
    /// Check a configuration.
    ///
    /// A named file is checked alone. Without one it is what the dashboard would start with: the file that it would find and
    /// the variables NETGLANCE__SECTION__KEY of the environment. A theme is checked with the configuration that names it.
    Check(Check),
    /// Check the rules of alerts, or try them on this host.
    #[command(subcommand)]
    Alerts(Alerts),
    /// Print a completion script for a shell.
    ///
    /// For bash: netglance completions bash > /etc/bash_completion.d/netglance. For zsh: netglance completions zsh >
    /// /usr/local/share/zsh/site-functions/_netglance. For fish: netglance completions fish >
    /// ~/.config/fish/completions/netglance.fish. A new shell knows it.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page in roff.
    ///
    /// To read it: netglance man | man -l -
    Man,
    /// Bring back a terminal that a killed dashboard has left behind.
    Reset,
}

/// Arguments of `serve`. They win over the configuration.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Address and port to listen on; may be given several times.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<String>,
    /// Unix socket to listen on, for clients of this host.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Serve other hosts in plain text, and let everybody look.
    #[arg(long)]
    pub insecure: bool,
    /// Run one part of the agent; the agent starts its parts itself.
    #[arg(long, value_enum, hide = true)]
    pub part: Option<Part>,
}

impl ValueEnum for Part {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Sampler, Self::Front, Self::Courier, Self::Runner]
    }
    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

/// What happens to a token.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it; it is not shown again.
    Add {
        /// Name by which it is listed and revoked.
        name: String,
        /// What its bearer may do: look, or act too if the configuration lets anybody (signals, nice values, tracked connections).
        #[arg(long, value_enum, default_value_t = Role::View)]
        role: Role,
        /// How long it is good, such as 90d; for good if not given.
        #[arg(long, value_name = "SPAN", value_parser = lifetime)]
        expires: Option<std::time::Duration>,
    },
    /// List the tokens: name, role and end.
    List,
    /// Make a token worthless; whoever uses it is disconnected.
    Revoke {
        /// Its name.
        name: String,
    },
}

impl ValueEnum for Role {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }
    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

/// Arguments of `connect`.
#[derive(Args, Debug)]
#[command(mut_arg("netns", |arg| arg.hide(true)))]
pub struct Connect {
    /// The agent: HOST, HOST:PORT, [ADDRESS]:PORT or unix:PATH.
    #[arg(value_name = "HOST")]
    pub target: Target,
    /// How the agent is spoken with.
    #[command(flatten)]
    pub access: Speak,
    /// Flags of the dashboard.
    #[command(flatten)]
    pub dashboard: Dashboard,
}

/// How an agent is spoken with.
#[derive(Args, Debug)]
pub struct Speak {
    /// File that holds the token; else that of NETGLANCE_TOKEN_FILE, else NETGLANCE_TOKEN itself.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub token_file: Option<PathBuf>,
    /// File with the certificate that agents with an authority for clients want, in PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cert: Option<PathBuf>,
    /// File with the key of the certificate; its own file if not given.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub cert_key: Option<PathBuf>,
    /// Take the key of an agent that was never seen for right; a changed one is refused all the same.
    #[arg(long)]
    pub accept_new: bool,
    /// Speak TLS on loopback too.
    #[arg(long)]
    pub tls: bool,
    /// Speak plain text with another host; no token is sent, nor that of the environment.
    #[arg(long, conflicts_with = "tls")]
    pub insecure: bool,
}

/// Arguments of `browse`.
#[derive(Args, Debug)]
#[command(
    mut_arg("interval", |arg| arg.help("Time between two looks at a host whose entry in the list has none of its own")),
    mut_arg("view", |arg| arg.help("Table to start with: fleet, fleet_by_group, or one of all hosts such as process; or explore")),
    mut_arg("netns", |arg| arg.hide(true)),
    mut_arg("filter", |arg| arg.help("Filter for the table to start with: the hosts if --view does not say otherwise"))
)]
pub struct Browse {
    /// The agents: HOST, HOST:PORT, [ADDRESS]:PORT or unix:PATH.
    #[arg(value_name = "HOST")]
    pub hosts: Vec<Target>,
    /// How agents are spoken with of which the list says nothing else.
    #[command(flatten)]
    pub access: Speak,
    /// Flags of the dashboard; what they are for many hosts is said above.
    #[command(flatten)]
    pub dashboard: Dashboard,
}

/// Arguments of `show`.
#[derive(Args, Debug)]
pub struct Show {
    /// The table; `netglance schema` lists them.
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// How to write the rows.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Only rows for which this is true, such as 'cpu > 50% and name =~ "qemu"'. An instant compared with a duration means its
    /// age, which is below zero while it is to come: 'expires > -10s' ends within ten seconds.
    #[arg(long = "where", visible_alias = "filter", value_name = "EXPR", allow_hyphen_values = true)]
    pub filter: Option<String>,
    /// Column to sort by; with - in front the largest first.
    #[arg(long, value_name = "[-]COLUMN", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Print at most this many rows.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = not_negative)]
    pub limit: Option<usize>,
    /// Columns to print, in this order.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Sample twice and print counters as change per second.
    #[arg(long)]
    pub rate: bool,
    /// Print again after every span.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true, value_parser = span)]
    pub every: Option<Interval>,
    /// Print this many times, every second if --every does not say otherwise.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = positive)]
    pub count: Option<u64>,
    /// Network namespace: a name, in which `*` stands for any letters, `all` or `host`.
    #[arg(long, value_name = "NAME", conflicts_with = "host")]
    pub netns: Option<String>,
    /// Ask the agent of another host: HOST, HOST:PORT, [ADDRESS]:PORT or unix:PATH.
    #[arg(long, value_name = "HOST")]
    pub host: Option<Target>,
    /// How the agent is spoken to.
    #[command(flatten)]
    pub access: Speak,
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
    /// Print alerting rules for Prometheus, from the thresholds of the configuration.
    #[arg(long, group = "form")]
    pub rules: bool,
    /// Print a dashboard for Grafana, over what Prometheus scrapes.
    #[arg(long, group = "form")]
    pub grafana: bool,
}

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Ask the agent of another host: HOST, HOST:PORT, [ADDRESS]:PORT or unix:PATH.
    #[arg(long, value_name = "HOST")]
    pub host: Option<Target>,
    /// How the agent is spoken to.
    #[command(flatten)]
    pub access: Speak,
    /// How to write the answer.
    #[arg(long, value_parser = answers(), default_value_t = Format::Text)]
    pub format: Format,
}

/// What is done with the rules of alerts.
#[derive(Subcommand, Debug)]
pub enum Alerts {
    /// Check the rules that belong to the configuration, and say how many are in force.
    Check,
    /// Try one rule on this host, or all that are in force, and say what would fire; or when it would have fired.
    ///
    /// Now nothing has to last. Nobody is told.
    Test(Test),
}

/// Arguments of `alerts test`.
#[derive(Args, Debug)]
pub struct Test {
    /// The rule; all that are in force if not given.
    pub rule: Option<String>,
    /// For how long it is tried: rates take two samples.
    #[arg(long = "for", value_name = "TIME", conflicts_with = "since")]
    pub during: Option<Interval>,
    /// Say when it would have fired and been over in so long until now, by the numbers that an agent remembers: every sample of
    /// ten minutes, and means of minutes for a day.
    #[arg(long, value_name = "TIME", requires = "rule")]
    pub since: Option<Interval>,
    /// With --since: the agent, HOST, HOST:PORT, [ADDRESS]:PORT or unix:PATH; that of this host, at the socket of the
    /// configuration, if not given.
    #[arg(long, value_name = "HOST", requires = "since")]
    pub host: Option<Target>,
    /// How the agent is spoken to.
    #[command(flatten)]
    pub access: Speak,
}

/// Arguments of `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// The file; the one that would be used if not given.
    #[arg(conflicts_with = "print")]
    pub file: Option<PathBuf>,
    /// Print the JSON schema of the file.
    #[arg(long, group = "print")]
    pub schema: bool,
    /// Print the file with every key at its default.
    #[arg(long, group = "print")]
    pub defaults: bool,
}

fn not_negative(text: &str) -> Result<usize, String> {
    let number: u64 = whole(text, "must be a whole number, 0 or more")?;
    usize::try_from(number).map_err(|_| TOO_LARGE.to_owned())
}

fn positive(text: &str) -> Result<u64, String> {
    let wanted = "must be a whole number, 1 or more";
    whole(text, wanted).and_then(|number| if number == 0 { Err(wanted.to_owned()) } else { Ok(number) })
}

const TOO_LARGE: &str = "is more than can be counted";

fn whole(text: &str, wanted: &str) -> Result<u64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        std::num::IntErrorKind::PosOverflow => TOO_LARGE.to_owned(),
        _ => wanted.to_owned(),
    })
}

/// How long a token is good.
fn lifetime(text: &str) -> Result<std::time::Duration, String> {
    let lifetime = crate::model::unit::parse_duration(text).map_err(|error| error.to_string())?;
    if lifetime.as_secs() == 0 { Err("must be a second at least".to_owned()) } else { Ok(lifetime) }
}

fn others(text: &str) -> Result<Pattern, PatternError> {
    if text == ALL { Ok(Pattern::any()) } else { text.parse() }
}

fn span(text: &str) -> Result<Interval, String> {
    if text.starts_with('-') {
        return Err("must be a positive span such as 2s".to_owned());
    }
    text.parse().map_err(|error: crate::collect::settings::IntervalError| error.to_string())
}

/// The formats of an answer that is no set of metrics.
fn answers() -> impl clap::builder::TypedValueParser<Value = Format> {
    let known = || Format::ALL.into_iter().filter(|format| *format != Format::Prometheus);
    clap::builder::PossibleValuesParser::new(known().map(Format::name))
        .map(move |name| known().find(|format| format.name() == name).unwrap_or(Format::Text))
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }
    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}
