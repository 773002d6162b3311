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
    let file = match &args.file {
        Some(file) => {
            config::check(file)?;
            Some(file.clone())
        }
        // as a program would start: the environment counts too
        None => config::load(named)?.file,
    };
    match file {
        Some(file) => writeln!(out, "{}: ok", Text::from(file.as_path()))?,
        None => writeln!(out, "no configuration file: the defaults are used")?,
    }
    Ok(())
}
