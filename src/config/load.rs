//! How do defaults, file and environment become one configuration?
//!
//! Each source is read alone first, so that a mistake is reported at its own place; then they are laid over each other.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::mistake::Mistake;
use super::problem::{Problem, Problems, place};
use super::{Config, DEFAULTS, Refusal, environment, file};

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
    if let Some((path, text)) = file {
        check_text(path, text)?;
        let own: Table = toml::from_str(text).map_err(|error| refused(crate::model::Text::from(path), error.into()))?;
        overlay(&mut table, own);
    }
    for variable in environment::variables(environment)? {
        overlay(&mut table, check_variable(variable)?);
    }
    Ok(Config::from_table(&table).map_err(|refusal| refused("configuration", refusal))?)
}

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
    let at = |span| place(path, text, span);
    let refused = |refusal: Refusal| Problem::refused(at(refusal.span.clone()), refusal);
    let root = DeTable::parse(text).map_err(|error| refused(error.into()))?;
    let tree = DeValue::Table(root.get_ref().clone());
    let config = Config::from_spanned(root).map_err(refused)?;
    let locate = |mistake: Mistake| {
        let keys: Vec<&str> = mistake.path.iter().map(String::as_str).collect();
        Problem::new(at(span_of(&tree, &keys)), mistake.message, mistake.hint)
    };
    let problems: Vec<Problem> = config.mistakes().into_iter().map(locate).collect();
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
                    mistakes.map(|mistake| Problem::new(&variable.name, mistake.message, mistake.hint)).collect();
                return if problems.is_empty() { Ok(reading) } else { Err(Problems(problems)) };
            }
            Err(error) => refused = refused.or(Some(Problem::refused(&variable.name, error))),
        }
    }
    let key = variable.path.join(".");
    Err(refused.unwrap_or_else(|| Problem::new(&variable.name, format!("`{key}` cannot be set"), "")).into())
}

/// Where a key or an element of an array stands; the nearest thing above it that exists if it does not.
fn span_of(tree: &DeValue<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (span, inner) = match tree {
        DeValue::Table(table) => {
            let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
            // a value says more than its key, but a section has no place of its own
            let span = if rest.is_empty() && !value.get_ref().is_table() { value.span() } else { key.span() };
            (span, value.get_ref())
        }
        DeValue::Array(array) => {
            let value = array.get(first.parse::<usize>().ok()?)?;
            (value.span(), value.get_ref())
        }
        _ => return None,
    };
    Some(span_of(inner, rest).unwrap_or(span))
}

/// Lays `above` over `below`: tables key by key, lists of tables in front of what was there, anything else replaced.
pub(super) fn overlay(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => overlay(old, new),
            // rules are tried in order, so those of the user come first and the defaults stay
            (Some(Value::Array(old)), Value::Array(new)) if new.iter().all(Value::is_table) => {
                old.splice(0..0, new);
            }
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
