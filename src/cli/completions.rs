//! How does a shell learn what may be written?
//!
//! The scripts are made from the parser's own tree, and what only the registry knows is added: tables, columns, views,
//! themes. What the generators cannot do is added behind them: columns of the table that the line names, lists with commas
//! and falling orders for bash, values of the dashboard's flags and positional arguments for fish.

use std::io::Write;

use clap::CommandFactory as _;
use clap::ValueEnum as _;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use super::{Failure, args::Cli};
use crate::collect::schedule;
use crate::config;
use crate::tui::theme;

pub(super) fn run(shell: Shell, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut named(Cli::command()), "netglance", &mut script);
    match shell {
        Shell::Zsh => zsh(&mut script),
        Shell::Bash => bash(&mut script)?,
        Shell::Fish => fish(&mut script)?,
        _ => {}
    }
    Ok(out.write_all(&script)?)
}

/// Names of the columns of each table.
fn columns_by_table() -> impl Iterator<Item = (String, String)> {
    schedule::tables().iter().map(|table| {
        let columns: Vec<&str> = table.columns.iter().map(|column| &*column.name).collect();
        (table.name.to_string(), columns.join(" "))
    })
}

const BASH_COLUMNS: &str = r#"
# The columns of the table that the line names, else all there are.
_netglance_columns() {
    local word before=""
    for word in "${COMP_WORDS[@]}"; do
        case "$before" in
            --columns|--sort|--where|--filter|--format|--limit|--every|--count|--netns|--config|=) ;;
            *)
                case "$word" in
"#;

const BASH_WRAPPER: &str = r#"                esac
                ;;
        esac
        before=$word
    done
    echo "$all"
}

_netglance_named() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} head=""
    # a word such as --sort=cpu comes in three parts
    if [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    elif [[ $cur == "=" ]]; then
        cur=""
    fi
    case "$prev" in
        --columns)
            [[ $cur == *,* ]] && head="${cur%,*},"
            COMPREPLY=($(compgen -P "$head" -W "$(_netglance_columns)" -- "${cur##*,}"))
            compopt -o nospace 2>/dev/null
            ;;
        --sort)
            [[ $cur == -* ]] && head="-"
            COMPREPLY=($(compgen -P "$head" -W "$(_netglance_columns)" -- "${cur#-}"))
            ;;
        --netns) COMPREPLY=($(compgen -W "all host $(command ls /run/netns 2>/dev/null)" -- "$cur")) ;;
        *) _netglance "$@" ;;
    esac
}

complete -F _netglance_named -o bashdefault -o default netglance
"#;

fn bash(script: &mut Vec<u8>) -> Result<(), Failure> {
    script.extend_from_slice(BASH_COLUMNS.as_bytes());
    for (table, columns) in columns_by_table() {
        writeln!(script, "                    {table}) echo \"{columns}\"; return ;;")?;
    }
    let all = columns().join(" ");
    script.extend_from_slice(BASH_WRAPPER.replace("$all", &all).as_bytes());
    Ok(())
}

/// A list with commas is a sequence to zsh, and what there is now it finds out itself.
fn zsh(script: &mut Vec<u8>) {
    let all = columns().join(" ");
    let text = String::from_utf8_lossy(script);
    let text = text.replace(&format!(":A,B:({all})"), &format!(":A,B:_sequence compadd - {all}"));
    let names = "or \\`host\\`]:NAME:{compadd - all host $(command ls /run/netns 2>/dev/null)}";
    *script = text.replace("or \\`host\\`]:NAME:_default", names).into_bytes();
}

/// Clap's generator leaves out positional arguments, and values of flags that stand before a command.
fn fish(script: &mut Vec<u8>) -> Result<(), Failure> {
    let shells: Vec<String> = Shell::value_variants().iter().map(ToString::to_string).collect();
    for (commands, names) in [("show schema", tables()), ("completions", shells)] {
        let names = names.join(" ");
        writeln!(script, "complete -c netglance -n \"__fish_seen_subcommand_from {commands}\" -f -a \"{names}\"")?;
    }
    for (flag, names) in [("view", views()), ("theme", themes())] {
        let names = names.join(" ");
        writeln!(
            script,
            "complete -c netglance -n \"not __fish_seen_subcommand_from show\" -l {flag} -x -a \"{names}\""
        )?;
    }
    let condition = "__fish_seen_subcommand_from show";
    writeln!(script, "function __netglance_columns\n    switch (string join ' ' -- (commandline -opc))")?;
    for (table, columns) in columns_by_table() {
        // the name of a table may begin that of another
        writeln!(script, "        case '* {table}' '* {table} *'\n            string split ' ' '{columns}'")?;
    }
    writeln!(script, "    end\nend")?;
    let list = "(__fish_complete_list , __netglance_columns)";
    writeln!(script, "complete -c netglance -n \"{condition}\" -l columns -x -a \"{list}\"")?;
    writeln!(script, "complete -c netglance -n \"{condition}\" -l sort -x -a \"(__netglance_columns)\"")?;
    let names = "all host (command ls /run/netns 2>/dev/null)";
    Ok(writeln!(script, "complete -c netglance -n \"{condition}\" -l netns -x -a \"{names}\"")?)
}

fn views() -> Vec<String> {
    config::views().map(str::to_owned).collect()
}

fn themes() -> Vec<String> {
    theme::names(config::themes().as_deref())
}

fn columns() -> Vec<String> {
    let all = schedule::tables().iter().flat_map(|table| table.columns.iter());
    let mut columns: Vec<String> = all.map(|column| column.name.to_string()).collect();
    columns.sort();
    columns.dedup();
    columns
}

fn tables() -> Vec<String> {
    schedule::tables().iter().map(|table| table.name.to_string()).collect()
}

/// The tree with every name that the registry knows as a possible value.
fn named(command: clap::Command) -> clap::Command {
    let columns = columns();
    let falling = columns.iter().map(|name| format!("-{name}"));
    let sorts: Vec<String> = columns.iter().cloned().chain(falling).collect();
    let values = |names: Vec<String>| PossibleValuesParser::new(names);
    command
        .mut_arg("view", |arg| arg.value_parser(values(views())))
        .mut_arg("theme", |arg| arg.value_parser(values(themes())))
        .mut_subcommand("show", |show| {
            show.mut_arg("table", |arg| arg.value_parser(values(tables())))
                .mut_arg("columns", |arg| arg.value_parser(values(columns)))
                .mut_arg("sort", |arg| arg.value_parser(values(sorts)))
        })
        .mut_subcommand("schema", |schema| schema.mut_arg("table", |arg| arg.value_parser(values(tables()))))
}
