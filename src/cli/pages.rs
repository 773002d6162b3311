//! How do a shell and `man` learn what may be written?
//!
//! Both are made from the parser's own tree. Completions add what only the registry knows: tables.

use std::io::Write;

use clap::CommandFactory as _;
use clap::builder::PossibleValuesParser;

use super::{Failure, args::Cli};
use crate::collect::schedule;

pub(super) fn completions(shell: clap_complete::Shell, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut named(Cli::command()), "netglance", &mut script);
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

/// The tree with every name that the registry knows as a possible value.
fn named(command: clap::Command) -> clap::Command {
    let tables = || schedule::tables().iter().map(|table| table.name.to_string()).collect::<Vec<_>>();
    let values = |names: Vec<String>| PossibleValuesParser::new(names);
    command.mut_subcommand("schema", |schema| schema.mut_arg("table", |arg| arg.value_parser(values(tables()))))
}
