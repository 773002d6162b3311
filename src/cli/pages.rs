//! How does `man` learn what may be written?
//!
//! Names, help and options come from the parser's own tree; a section for each command, in one page. What holds for all of
//! them (exit status, files, environment) is text of this file.

use std::io::Write;

use clap::{Command, CommandFactory as _};

use super::{Failure, args::Cli};

/// Sections behind the commands, in roff.
const SECTIONS: &str = r#".SH "EXIT STATUS"
.TP
.B 0
Fine. Rows that this user may see in part only come with a warning on
standard error.
.TP
.B 1
The source is absent, denied, failed or stale; nothing is on standard output. A
series goes on when its source fails or is stale after the first sample. Of
.BR doctor :
a collector failed.
.TP
.B 2
Wrong use, an unknown table or column, a bad expression or a bad configuration.
.TP
.B 3
The peer.
.TP
.B 128+N
Signal N ended the dashboard, which gave the terminal back first: 143 after
TERM, 129 after HUP, 130 after INT. Ctrl-C typed in it is a key that quits, with 0.
.SH FILES
.TP
.I $XDG_CONFIG_HOME/netglance/netglance.toml
The configuration, unless
.B \-\-config
names one.
.B "netglance check \-\-defaults"
prints it with every key at its default.
.TP
.I /etc/netglance/netglance.toml
The configuration if the user has none.
.TP
.I $XDG_CONFIG_HOME/netglance/themes/NAME.toml
Themes of the user.
.TP
.I tokens
Beside the configuration: the tokens of the agent, as hashes.
.TP
.I /var/lib/netglance/identity.pem
The agent's own key; ~/.local/state/netglance for other users than root.
.TP
.I ~/.local/state/netglance/known_hosts
The keys of agents that somebody has accepted, for
.BR connect " and " browse .
.TP
.I alerts.toml
Beside the configuration: rules of alerts, silences, and the actions by which an agent tells people. It is laid over the rules
that come with the program;
.B netglance alerts check
says what is in force,
.B netglance alerts test
what would fire now, and with
.B \-\-since
when it would have fired, by what an agent remembers.
.TP
.I /var/lib/netglance/alerts.state
What an agent knows of alerts, when it is started again.
.TP
.IR hosts.toml ", " hosts.d/*.toml
Beside the configuration: the hosts that
.B browse
shows, and how each is spoken with.
.SH ENVIRONMENT
.TP
.BR NETGLANCE_TOKEN_FILE ", " NETGLANCE_TOKEN
A file with the token for agents, or the token itself. It is sent over TLS to an agent whose key is known, and over a unix
socket; never in plain text, not on loopback either.
.TP
.B NETGLANCE__SECTION__KEY
Sets a key of the configuration and wins over the file:
NETGLANCE__COLLECT__PROCESS__INTERVAL=5s sets collect.process.interval.
One that names no key is an error.
.TP
.B NETGLANCE_ALERT_*
Set for the program of an action that tells of an alert: RULE, INSTANCE, SEVERITY, CHANGE, TEXT, VALUE, PEAK, BEGIN, END (both in
seconds since 1970), HOST, ID, TABLE and COUNT. All that is known is on its standard input as JSON. No shell sees any of it.
.TP
.B NO_COLOR
No colors.
.SH EXAMPLES
.TP
.B "netglance show process \-\-sort \-cpu \-\-rate \-\-limit 5"
The five busiest processes.
.TP
.B "netglance show disk \-\-where 'read_latency > 10ms' \-\-every 2s"
Slow disks, every two seconds.
.TP
.B "netglance show load \-\-format json"
The load as one line of JSON.
.SH SEE ALSO
.BR ps (1),
.BR ip (8),
.BR proc (5)
"#;

pub(super) fn manual(out: &mut dyn Write) -> Result<(), Failure> {
    let command = Cli::command();
    let mut page = Vec::new();
    let version = command.get_version().unwrap_or_default();
    writeln!(page, ".TH NETGLANCE 1 \"\" \"netglance {version}\" \"User Commands\"")?;
    clap_mangen::Man::new(command.clone()).render_name_section(&mut page)?;
    writeln!(page, ".SH SYNOPSIS\n.B netglance\n.RI [ OPTIONS ]\n.br\n.B netglance\n.I COMMAND\n.RI [ OPTIONS ]")?;
    writeln!(page, ".SH DESCRIPTION")?;
    description(&command, &mut page)?;
    writeln!(page, ".SH OPTIONS OF THE DASHBOARD")?;
    options(&command, &mut page)?;
    writeln!(page, ".SH COMMANDS")?;
    for sub in command.get_subcommands() {
        let name = format!("netglance {}", sub.get_name());
        let usage = sub.clone().bin_name(&name).render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        writeln!(page, ".SS {}", quoted(usage))?;
        description(sub, &mut page)?;
        options(sub, &mut page)?;
    }
    page.extend_from_slice(SECTIONS.as_bytes());
    Ok(out.write_all(&page)?)
}

/// What a command does, paragraph by paragraph.
fn description(command: &Command, page: &mut Vec<u8>) -> Result<(), Failure> {
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    for (n, paragraph) in about.split("\n\n").enumerate() {
        let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let begin = if n == 0 { "" } else { ".PP\n" };
        let end = if paragraph.ends_with('.') { "" } else { "." };
        writeln!(page, "{begin}{}{end}", escaped(&paragraph))?;
    }
    Ok(())
}

/// The options of a command without their heading.
fn options(command: &Command, page: &mut Vec<u8>) -> Result<(), Failure> {
    let mut part = Vec::new();
    clap_mangen::Man::new(command.clone()).render_options_section(&mut part)?;
    let text = String::from_utf8_lossy(&part);
    // the generator leaves blanks at line ends, and breaks beside spaces that break by themselves
    let lines = text.lines().map(str::trim_end).filter(|line| !line.starts_with(".SH") && *line != ".br");
    for line in lines {
        writeln!(page, "{line}")?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// One argument of a macro.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\(dq"))
}
