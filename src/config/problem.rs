//! What is wrong with a configuration, and where?

use std::fmt;
use std::ops::Range;
use std::path::Path;

use super::{Refusal, nearest};

/// One mistake: its place, what is wrong, and what was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `file:line:column`, the file, or the environment variable.
    pub place: String,
    /// What is wrong there.
    pub message: String,
    /// What to do about it; empty when there is nothing.
    pub hint: String,
}

impl Problem {
    /// A mistake.
    pub fn new(place: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into(), hint: hint.into() }
    }

    pub(super) fn refused(place: impl Into<String>, refusal: Refusal) -> Self {
        Self::new(place, refusal.message, refusal.hint)
    }
}

impl From<toml::de::Error> for Refusal {
    /// What the deserializer did not like. Serde names unknown and known fields only in its message.
    fn from(error: toml::de::Error) -> Self {
        let message = error.message().trim().replace('\n', ": ");
        let mut quoted = message.split('`').skip(1).step_by(2);
        let unknown = (message.starts_with("unknown field") || message.starts_with("unknown variant"))
            .then(|| quoted.next())
            .flatten();
        let near = unknown.and_then(|name| nearest(name, quoted));
        let hint = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
        Self { span: error.span(), message, hint }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; {}", self.hint) }
    }
}

/// Every mistake that was found; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// `file:line:column` of a part of its text, both counted from 1, columns in characters.
pub(super) fn place(file: &Path, text: &str, span: Option<Range<usize>>) -> String {
    let name = crate::model::Text::from(file);
    let Some(before) = span.and_then(|span| text.get(..span.start.min(text.len()))) else {
        return name.to_string();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!("{name}:{line}:{column}")
}
