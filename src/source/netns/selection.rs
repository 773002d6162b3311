//! Which network namespaces does somebody want?

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{ALL, HOST};

/// Name of a network namespace; `*` stands for any letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// A text that no network namespace can be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing.
    #[error("the name of a network namespace is empty")]
    Empty,
    /// Names are those of files.
    #[error("`{0}` is no name of a network namespace: it has a `/` in it")]
    Path(String),
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        match text.as_str() {
            "" => Err(PatternError::Empty),
            path if path.contains('/') => Err(PatternError::Path(text)),
            _ => Ok(Self(text)),
        }
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl schemars::JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Netns".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[^/]+$" })
    }
}

impl Pattern {
    /// That of every name.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// Whether it fits a name.
    pub fn fits(&self, name: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut left) = name.strip_prefix(start) else { return false };
        let mut parts = rest.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return left.ends_with(part);
            }
            let Some(at) = left.find(part) else { return false };
            left = left.get(at + part.len()..).unwrap_or_default();
        }
        true
    }

    /// Whether it may fit the kernel's own name of a namespace, such as `net:[4026532281]`.
    fn may_fit_a_number(&self) -> bool {
        let fixed = self.0.split('*').next().unwrap_or_default();
        "net:[".starts_with(fixed) || fixed.starts_with("net:[")
    }
}

/// The network namespaces that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    host: bool,
    others: Vec<Pattern>,
    /// Whether rows of others that are known without being read are not wanted either.
    only: bool,
}

impl Default for Selection {
    /// Only the one that netglance runs in.
    fn default() -> Self {
        Self::host_and(Vec::new())
    }
}

impl Selection {
    /// The own one and those that fit any of the patterns.
    pub fn host_and(others: Vec<Pattern>) -> Self {
        Self { host: true, others, only: false }
    }

    /// What one word means: `all`, `host`, or a pattern.
    ///
    /// # Errors
    /// No namespace can be named so.
    pub fn of(word: &str) -> Result<Self, PatternError> {
        match word {
            HOST => Ok(Self { only: true, ..Self::default() }),
            ALL => Ok(Self::host_and(vec![Pattern::any()])),
            _ => word.parse().map(|pattern: Pattern| Self {
                host: pattern.fits(HOST),
                others: vec![pattern],
                only: true,
            }),
        }
    }

    /// Whether the own one is among them.
    pub fn has_host(&self) -> bool {
        self.host
    }

    /// Whether there can be others.
    pub fn is_host_only(&self) -> bool {
        self.others.is_empty()
    }

    /// Whether rows of one of this name are wanted, wherever they come from. Who has named none takes all that there are.
    pub(super) fn shows(&self, name: Option<&str>) -> bool {
        !self.only || name.is_some_and(|name| if name == HOST { self.host } else { self.takes(name) })
    }

    /// Whether another one of this name is among them.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.others.iter().any(|pattern| pattern.fits(name))
    }

    /// Whether one without a name may be among them.
    pub(super) fn may_take_a_number(&self) -> bool {
        self.others.iter().any(Pattern::may_fit_a_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().fits(name)
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name) in [
            ("blue", "blue"),
            ("*", ""),
            ("*", "net:[1]"),
            ("qr-*", "qr-"),
            ("qr-*", "qr-7"),
            ("*-7", "qr-7"),
            ("a*b*c", "a1b2c"),
            ("a*b*c", "abbcc"),
            ("a**c", "ac"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("blue", "blu"), ("qr-*", "xqr-7"), ("*-7", "qr-77"), ("a*b*c", "acb"), ("a*a", "a"), ("a*b*b", "ab")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        assert_eq!("".parse::<Pattern>(), Err(PatternError::Empty));
        assert!(matches!("../x".parse::<Pattern>(), Err(PatternError::Path(_))));
    }

    #[test]
    fn processes_are_looked_at_only_where_a_number_may_fit() {
        let may = |pattern: &str| pattern.parse::<Pattern>().unwrap().may_fit_a_number();
        assert!(may("*") && may("n*") && may("net:*") && may("net:[40*") && may("net:[4026531840]") && may("*7]"));
        assert!(!may("blue") && !may("blue*") && !may("nets*"));
    }

    #[test]
    fn rows_of_others_are_shown_unless_somebody_names_one() {
        let shows =
            |selection: &Selection| [Some(HOST), Some("blue"), Some("red"), None].map(|name| selection.shows(name));
        assert_eq!(shows(&Selection::default()), [true; 4]);
        assert_eq!(shows(&Selection::of(ALL).unwrap()), [true; 4]);
        assert_eq!(shows(&Selection::of(HOST).unwrap()), [true, false, false, false]);
        assert_eq!(shows(&Selection::of("b*").unwrap()), [false, true, false, false]);
    }

    #[test]
    fn a_word_means_all_the_own_one_or_those_of_its_name() {
        let of = |word| Selection::of(word).unwrap();
        assert!(of("host").has_host() && of("host").is_host_only());
        assert!(of("all").has_host() && of("all").takes("blue"));
        assert!(!of("blue").has_host() && of("blue").takes("blue") && !of("blue").takes("red"));
        assert!(of("*").has_host() && of("h*").has_host());
    }

    proptest::proptest! {
        #[test]
        fn any_name_fits_itself_and_its_ends(name in "[a-c]{1,9}", at in 0..9_usize) {
            let (start, end) = name.split_at(at.min(name.len()));
            for pattern in [name.clone(), format!("{start}*"), format!("*{end}"), format!("{start}*{end}")] {
                proptest::prop_assert!(fits(&pattern, &name));
            }
        }
    }
}
