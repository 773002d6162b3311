//! Is this configuration right?

use std::io::Write;
use std::path::Path;

use super::{Failure, args};
use crate::config::{self, Config};
use crate::model::Text;

pub(super) fn run(args: &args::Check, named: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    if args.defaults {
        return Ok(out.write_all(config::DEFAULTS.as_bytes())?);
    }
    if args.schema {
        let schema = serde_json::to_string_pretty(&Config::schema()).map_err(std::io::Error::from)?;
        return Ok(writeln!(out, "{schema}")?);
    }
    if let (Some(file), Some(named)) = (&args.file, named) {
        let message = format!("two files to check: {} and, behind --config, {}", file.display(), named.display());
        return Err(Failure::usage(message, "name one"));
    }
    let file = match &args.file {
        Some(file) if config::is_list(file) => {
            config::check_hosts(file)?;
            Some(file.clone())
        }
        Some(file) if config::is_alerts(file) => {
            config::check_alerts(file)?;
            Some(file.clone())
        }
        Some(file) => {
            config::check(file)?;
            Some(file.clone())
        }
        // as a program would start: the environment counts too
        None => {
            let file = config::load(named)?.file;
            config::alerts(named)?;
            let hosts = config::hosts(named, None)?.hosts.len();
            if hosts > 0 {
                writeln!(out, "{hosts} hosts to browse: ok")?;
            }
            file
        }
    };
    if let Some(file) = file {
        return Ok(writeln!(out, "{}: ok", Text::from(file.as_path()))?);
    }
    let places: Vec<String> = config::candidates().iter().map(|path| Text::from(path.as_path()).to_string()).collect();
    Ok(writeln!(out, "no configuration file: there is no {}; the defaults are used", places.join(" and no "))?)
}
