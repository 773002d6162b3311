//! What did the user configure?
//!
//! Defaults, then the file, then the environment, then flags: what comes later wins. Every part of the program declares its
//! own settings; here they become one [`Config`], are checked against what exists, and get a place in an error message.

mod environment;
mod file;
mod load;
mod problem;
mod watch;

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::collect::{COLLECTORS, settings};

pub use crate::store::expr::nearest;
pub use file::candidates;
pub use load::{Loaded, load};
pub use problem::{Problem, Problems};
pub use watch::{Watch, watch};

/// The configuration that packages install: every key with its default.
pub const DEFAULTS: &str = include_str!("../../config/netglance.toml");

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether and how often each collector runs.
    pub collect: settings::Settings,
}

/// A setting that parses and still cannot be meant.
struct Mistake {
    /// Keys from the top; elements of lists by their number.
    path: Vec<String>,
    message: String,
    hint: String,
}

impl Mistake {
    fn unknown<'a>(path: &[&str], what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            message: format!("there is no {what} `{name}`"),
            hint: nearest(name, known).map(|near| format!("did you mean `{near}`?")).unwrap_or_default(),
        }
    }
}

impl Config {
    fn from_table(table: toml::Table) -> Result<Self, toml::de::Error> {
        table.try_into()
    }

    fn from_spanned(root: toml::Spanned<DeTable<'_>>) -> Result<Self, toml::de::Error> {
        Self::deserialize(toml::Deserializer::from(root))
    }

    /// The JSON schema of the file.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }

    /// What names something that does not exist.
    fn mistakes(&self) -> Vec<Mistake> {
        let known = || COLLECTORS.iter().map(|entry| entry.name);
        let unknown = self.collect.collectors.keys().filter(|name| !known().any(|entry| entry == *name));
        unknown.map(|name| Mistake::unknown(&["collect", name], "collector", name, known())).collect()
    }
}

/// Checks one file as if it were the configuration, without the environment.
///
/// # Errors
/// Every mistake with file, line and column.
pub fn check(path: &std::path::Path) -> Result<(), Problems> {
    let text = file::read(path)?;
    load::compose(Some((path, &text)), []).map(|_| ())
}

#[cfg(test)]
mod tests;
