//! Which rows does the user want to see, and under which name?
//!
//! `[show.TABLE]` holds two regular expressions and other names; they are matched against the column that people know a row
//! by ([`Table::label_column`]), so that every table has them without knowing. Expressions are compiled once for each
//! loaded configuration, and a wrong one is an error of [`Settings::check`], never a panic.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

use super::{Settings, ShowSettings};
use crate::model::{Cell, IpText};
use crate::store::rate::View;

/// Bytes that a compiled expression may take.
const MAX_SIZE: usize = 1 << 20;

/// The compiled form of [`Settings`], kept beside them and made when first asked for.
#[derive(Default)]
pub struct Compiled(OnceLock<BTreeMap<String, Patterns>>);

#[derive(Default)]
struct Patterns {
    hide: Option<Regex>,
    show: Option<Regex>,
}

// a copy compiles again, and what is compiled follows from the text, so it never makes two settings differ
impl Clone for Compiled {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Compiled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiled")
    }
}

/// A mistake in `[show]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShowError {
    /// No such table.
    #[error("show.{table}: there is no such table")]
    Table {
        /// As written.
        table: String,
    },
    /// The expression does not compile.
    #[error("show.{table}.{key}: {cause}")]
    Pattern {
        /// Table.
        table: String,
        /// `hide` or `show`.
        key: &'static str,
        /// What the expression's parser says.
        cause: String,
    },
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_SIZE).dfa_size_limit(MAX_SIZE).build()
}

impl Settings {
    /// Every mistake, in the order of tables; `known` says whether a table exists.
    pub fn check(&self, known: impl Fn(&str) -> bool) -> Vec<ShowError> {
        let mut errors = Vec::new();
        for (table, show) in &self.tables {
            if !known(table) {
                errors.push(ShowError::Table { table: table.clone() });
            }
            for (key, pattern) in [("hide", &show.hide), ("show", &show.show)] {
                if let Some(Err(cause)) = pattern.as_deref().map(compile) {
                    errors.push(ShowError::Pattern { table: table.clone(), key, cause: reason(&cause) });
                }
            }
        }
        errors
    }

    /// The name under which a row is shown, `None` when it is hidden. `name` is the row's own.
    pub fn name<'a>(&'a self, table: &str, name: &'a str) -> Option<Cow<'a, str>> {
        let Some(show) = self.tables.get(table) else { return Some(Cow::Borrowed(name)) };
        let compiled = self.compiled.0.get_or_init(|| self.compile());
        if let Some(patterns) = compiled.get(table) {
            let hidden = patterns.hide.as_ref().is_some_and(|hide| hide.is_match(name));
            let wanted = patterns.show.as_ref().is_none_or(|show| show.is_match(name));
            if hidden || !wanted {
                return None;
            }
        }
        Some(show.alias.get(name).map_or(Cow::Borrowed(name), |alias| clean(alias)))
    }

    /// Whether anything is said about a table.
    pub fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether a row of a view is left out.
    pub fn hides(&self, view: &View, row: usize) -> bool {
        self.name(&view.table().name, &own_name(view, row)).is_none()
    }

    /// The other name that a row of a view was given.
    pub fn alias(&self, view: &View, row: usize) -> Option<Cow<'_, str>> {
        self.tables.get(&*view.table().name)?.alias.get(&own_name(view, row)).map(|alias| clean(alias))
    }

    fn compile(&self) -> BTreeMap<String, Patterns> {
        let one = |pattern: &Option<String>| pattern.as_deref().and_then(|pattern| compile(pattern).ok());
        let both = |show: &ShowSettings| Patterns { hide: one(&show.hide), show: one(&show.show) };
        self.tables.iter().map(|(table, show)| (table.clone(), both(show))).collect()
    }
}

/// What people know a row by.
fn own_name(view: &View, row: usize) -> String {
    match view.raw().cell(row, view.table().label_column()) {
        Cell::Text(name) | Cell::Label(name) => name.to_owned(),
        Cell::U64(number) => number.to_string(),
        Cell::I64(number) => number.to_string(),
        Cell::Ip(address) => IpText(address).to_string(),
        Cell::Mac(address) => address.to_string(),
        _ => String::new(),
    }
}

/// An alias comes from a file and is as hostile as any name.
pub(super) fn clean(alias: &str) -> Cow<'_, str> {
    let text = crate::model::Text::from(alias);
    if text.as_str() == alias { Cow::Borrowed(alias) } else { Cow::Owned(text.as_str().to_owned()) }
}

/// The last line of a regex error; those before it draw the pattern, which a one-line message cannot.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or("wrong");
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(hide: Option<&str>, show: Option<&str>) -> Settings {
        let mut settings = Settings::default();
        let alias = BTreeMap::from([("eno1".to_owned(), "uplink\u{1b}[31m".to_owned())]);
        let show = ShowSettings { hide: hide.map(str::to_owned), show: show.map(str::to_owned), alias };
        settings.tables.insert("link".to_owned(), show);
        settings
    }

    #[test]
    fn hide_and_show_filter_by_name_and_others_stay() {
        let settings = settings(Some("^veth"), Some("^(eno|veth)"));
        assert_eq!(settings.name("link", "veth12"), None);
        assert_eq!(settings.name("link", "lo"), None);
        assert_eq!(settings.name("link", "eno2").as_deref(), Some("eno2"));
        assert_eq!(settings.name("disk", "lo").as_deref(), Some("lo"));
    }

    #[test]
    fn an_alias_replaces_the_name_and_cannot_carry_an_escape() {
        let name = settings(None, None);
        let name = name.name("link", "eno1");
        assert_eq!(name.as_deref(), Some("uplink\\x1b[31m"));
    }

    #[test]
    fn a_wrong_expression_is_reported_and_filters_nothing() {
        let settings = settings(Some("a("), Some("a{999999999}"));
        let errors = settings.check(|table| table == "link");
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].to_string().starts_with("show.link.hide: "), "{errors:?}");
        assert_eq!(errors[0].to_string().lines().count(), 1);
        assert_eq!(settings.name("link", "lo").as_deref(), Some("lo"));
        assert_eq!(settings.check(|_| false).len(), 3);
    }

    #[test]
    fn settings_are_only_tables_in_a_file() {
        let text = "{\"link\":{\"hide\":\"lo\"}}";
        let settings: Settings = serde_json::from_str(text).unwrap();
        assert_eq!(settings.name("link", "lo"), None);
        assert!(serde_json::to_string(&settings).unwrap().starts_with("{\"link\":{\"hide\":\"lo\""));
        assert!(serde_json::from_str::<Settings>("{\"link\":{\"hid\":\"lo\"}}").is_err());
    }
}
