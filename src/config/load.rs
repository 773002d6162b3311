//! How do defaults, file and environment become one configuration?
//!
//! Each source is read alone first, so that a mistake is reported at its own place; then they are laid over each other.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::problem::{Problem, Problems, place};
use super::{Config, DEFAULTS, Refusal, environment, file, reading};

/// A configuration and the file that it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file, if there was one.
    pub file: Option<PathBuf>,
}

/// Reads the configuration of this process: defaults, then the file, then the environment.
///
/// # Errors
/// Every mistake that could be found, each with its place.
pub fn load(named: Option<&Path>) -> Result<Loaded, Problems> {
    let file = file::find(named);
    let text = file.as_deref().map(file::read).transpose()?;
    let source = file.as_deref().zip(text.as_deref());
    let config = compose(source, std::env::vars_os())?;
    Ok(Loaded { config, file })
}

/// Lays the sources over each other.
pub(super) fn compose(
    file: Option<(&Path, &str)>,
    environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> Result<Config, Problems> {
    let mut table = defaults()?;
    let mut problems = Vec::new();
    let mut lay = |result: Result<Table, Problems>| match result {
        Ok(above) => overlay(&mut table, above),
        Err(Problems(found)) => problems.extend(found),
    };
    if let Some((path, text)) = file {
        let parse =
            || toml::from_str(text).map_err(|error| refused(crate::model::Text::from(path), error.into()).into());
        lay(check_text(path, text).and_then(|()| parse()));
    }
    let (variables, unreadable) = environment::variables(environment);
    for variable in variables {
        lay(check_variable(variable));
    }
    problems.extend(unreadable);
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let config = Config::from_table(&table).map_err(|refusal| refused(TOGETHER, refusal))?;
    // each source is right by itself, but two of them may want the same key
    let mistakes = config.mistakes().into_iter();
    let problems: Vec<Problem> = mistakes.map(|one| Problem::refused(TOGETHER, one.refused(None))).collect();
    if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
}

/// Place of a mistake that no source makes alone.
const TOGETHER: &str = "file and environment together";

/// The defaults as a table.
pub(super) fn defaults() -> Result<Table, Problem> {
    toml::from_str(DEFAULTS).map_err(|error| refused("built-in defaults", error.into()))
}

fn refused(place: impl std::fmt::Display, refusal: Refusal) -> Problem {
    Problem::refused(place.to_string(), refusal)
}

/// Checks a file alone.
///
/// # Errors
/// Every mistake with its line and column.
pub(super) fn check_text(path: &Path, text: &str) -> Result<(), Problems> {
    let found = reading::refusals(text);
    let more = found.len() > reading::MAX_MISTAKES;
    let shown = found.into_iter().take(reading::MAX_MISTAKES);
    let mut problems: Vec<Problem> =
        shown.map(|refusal| Problem::refused(place(path, text, refusal.span.clone()), refusal)).collect();
    if more {
        problems.push(Problem::new(crate::model::Text::from(path).as_str(), "there are more mistakes", ""));
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// Checks a variable alone and gives the reading that fits.
fn check_variable(variable: environment::Variable) -> Result<Table, Problems> {
    let mut refused = None;
    for reading in variable.readings {
        match Config::from_table(&reading) {
            Ok(config) => {
                let mistakes = config.mistakes().into_iter();
                let problems: Vec<Problem> =
                    mistakes.map(|one| Problem::refused(&variable.name, one.refused(None))).collect();
                return if problems.is_empty() { Ok(reading) } else { Err(Problems(problems)) };
            }
            Err(error) => refused = refused.or(Some(Problem::refused(&variable.name, error))),
        }
    }
    let key = variable.path.join(".");
    Err(refused.unwrap_or_else(|| Problem::new(&variable.name, format!("`{key}` cannot be set"), "")).into())
}

/// Lays `above` over `below`: tables key by key, lists of tables in front of what was there unless there are none, anything
/// else replaced.
pub(super) fn overlay(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => overlay(old, new),
            // rules are tried in order, so those of the user come first and the defaults stay
            (Some(Value::Array(old)), Value::Array(new)) if !new.is_empty() && new.iter().all(Value::is_table) => {
                old.splice(0..0, new);
            }
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
