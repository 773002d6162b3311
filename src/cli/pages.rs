//! How do a shell and `man` learn what may be written?
//!
//! Both are made from the parser's own tree. Completions add what only the registry knows: tables, columns, views, themes.

use std::io::Write;

use clap::CommandFactory as _;
use clap::builder::PossibleValuesParser;

use super::{Failure, args::Cli};
use crate::collect::schedule;
use crate::tui::theme;

pub(super) fn completions(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut named(Cli::command()), "netglance", &mut script);
    if shell == clap_complete::Shell::Fish {
        // clap's generator for fish leaves out positional arguments
        let names = tables().join(" ");
        writeln!(script, "complete -c netglance -n \"__fish_seen_subcommand_from show schema\" -f -a \"{names}\"")?;
    }
    Ok(out.write_all(&script)?)
}

pub(super) fn manual(out: &mut dyn Write) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let man = clap_mangen::Man::new(sub.clone());
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part)?;
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        writeln!(page, ".SH \"NETGLANCE {}\"", sub.get_name().to_uppercase())?;
        // the parts of a command are subsections of its own
        page.extend_from_slice(String::from_utf8_lossy(&part).replace(".SH ", ".SS ").as_bytes());
    }
    Ok(out.write_all(&page)?)
}

fn tables() -> Vec<String> {
    schedule::tables().iter().map(|table| table.name.to_string()).collect()
}

/// The tree with every name that the registry knows as a possible value.
fn named(command: clap::Command) -> clap::Command {
    let mut columns: Vec<String> =
        schedule::tables().iter().flat_map(|table| table.columns.iter()).map(|c| c.name.to_string()).collect();
    columns.sort();
    columns.dedup();
    let falling = columns.iter().map(|name| format!("-{name}"));
    let sorts: Vec<String> = columns.iter().cloned().chain(falling).collect();
    let values = |names: Vec<String>| PossibleValuesParser::new(names);
    let views = crate::config::views().map(str::to_owned).collect();
    command
        .mut_arg("view", |arg| arg.value_parser(values(views)))
        .mut_arg("theme", |arg| arg.value_parser(values(theme::names(crate::config::themes().as_deref()))))
        .mut_subcommand("show", |show| {
            show.mut_arg("table", |arg| arg.value_parser(values(tables())))
                .mut_arg("columns", |arg| arg.value_parser(values(columns)))
                .mut_arg("sort", |arg| arg.value_parser(values(sorts)))
        })
        .mut_subcommand("schema", |schema| schema.mut_arg("table", |arg| arg.value_parser(values(tables()))))
}
