//! What does the environment say about the configuration?
//!
//! `NETGLANCE__COLLECT__PROCESS__INTERVAL=5s` sets `collect.process.interval`: the rest of the name in lower case, `__`
//! between the keys. A value is what TOML makes of it, else text.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use toml::{Table, Value};

use super::problem::Problem;
use super::{names, nearest};

const PREFIX: &str = "NETGLANCE__";

/// Names that begin like ours and set no key: what actions of alerts are told, and what tests are told.
const OTHERS: [&str; 4] = ["NETGLANCE_ALERT_", "NETGLANCE_BLESS", "NETGLANCE_SOAK", "NETGLANCE_TEST_"];

/// The names by which a client is told a token.
const TOKENS: [&[u8]; 2] = [b"NETGLANCE_TOKEN", b"NETGLANCE_TOKEN_FILE"];

/// One variable: its name, and the readings of its value as a whole configuration, best first.
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) path: Vec<String>,
    pub(super) readings: Vec<Table>,
}

/// The variables that are meant for us, by name, and those among them that nobody can read.
pub(super) fn variables(all: impl IntoIterator<Item = (OsString, OsString)>) -> (Vec<Variable>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in all.into_iter().filter(|(name, _)| is_ours(name.as_bytes())) {
        let shown = crate::model::Text::from(name.as_os_str()).to_string();
        if !name.as_bytes().starts_with(PREFIX.as_bytes()) {
            let hint = meant(&shown).unwrap_or_else(|| "two underscores stand before each key".to_owned());
            problems.push(Problem::new(shown, "sets no key", hint));
            continue;
        }
        let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some((rest, value)) = rest.zip(value.to_str()) else {
            problems.push(Problem::new(shown, "is not UTF-8", ""));
            continue;
        };
        let path: Vec<String> = rest.to_lowercase().split("__").map(str::to_owned).collect();
        let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut t| t.remove("value"));
        let text = Value::String(value.to_owned());
        let readings = parsed.into_iter().chain([text]).map(|value| nest(&path, value)).collect();
        found.push(Variable { name: shown, path, readings });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    (found, problems)
}

fn is_ours(name: &[u8]) -> bool {
    name.starts_with(b"NETGLANCE_")
        && !TOKENS.contains(&name)
        && !OTHERS.iter().any(|other| name.starts_with(other.as_bytes()))
}

/// What a name with too few underscores was to be.
fn meant(name: &str) -> Option<String> {
    let keys = |path: &str| path.to_uppercase().replace('.', "__");
    let flat = |path: &str| path.to_uppercase().replace('.', "_");
    let written = name.strip_prefix("NETGLANCE_")?.replace("__", "_");
    let known: Vec<(String, String)> = names::keys().iter().map(|path| (flat(path), keys(path))).collect();
    let near = nearest(&written, known.iter().map(|(flat, _)| flat.as_str()))?;
    let (_, keys) = known.iter().find(|(flat, _)| flat == near)?;
    Some(format!("did you mean `{PREFIX}{keys}`?"))
}

/// `a.b.c = value` as a table.
fn nest(path: &[String], value: Value) -> Table {
    let mut table = Table::new();
    if let Some((last, above)) = path.split_last() {
        table.insert(last.clone(), value);
        for key in above.iter().rev() {
            let inner = std::mem::take(&mut table);
            table.insert(key.clone(), Value::Table(inner));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_a_path_and_a_value() {
        let all = [("NETGLANCE__COLLECT__A_B__INTERVAL", "5s"), ("NETGLANCE_ALERT_HOST", "x"), ("HOME", "/root")];
        let (found, _) = variables(all.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].readings, [toml::from_str::<Table>("collect.a_b.interval = '5s'").unwrap()]);
    }

    #[test]
    fn a_value_is_read_as_toml_before_it_is_text() {
        let (found, _) = variables([("NETGLANCE__THEME".into(), "5".into())]);
        let want = ["theme = 5", "theme = '5'"].map(|text| toml::from_str::<Table>(text).unwrap());
        assert_eq!(found[0].readings, want);
    }
}
