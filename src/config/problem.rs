//! What is wrong with a configuration, and where?

use std::fmt;
use std::ops::Range;
use std::path::Path;

use super::{Refusal, nearest};
use crate::model::Text;

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
    /// A mistake. What it quotes was written by a stranger as likely as by the user.
    pub fn new(place: impl Into<String>, message: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        let clean = |text: &str| text.lines().map(|line| Text::from(line).to_string()).collect::<Vec<_>>().join("\n");
        Self { place: place.into(), message: clean(message.as_ref()), hint: clean(hint.as_ref()) }
    }

    pub(super) fn refused(place: impl Into<String>, refusal: Refusal) -> Self {
        match refusal.elsewhere {
            None => Self::new(place, refusal.message, refusal.hint),
            Some(own) => Self::new(own, format!("{} (named by {})", refusal.message, place.into()), refusal.hint),
        }
    }
}

impl Refusal {
    /// Where it is in the text; the start when nobody knows.
    pub(super) fn start(&self) -> usize {
        self.span.as_ref().map_or(0, |span| span.start)
    }

    /// Says what a person sees where a value of a text should begin: nothing, or a word without quotes.
    pub(super) fn at_value(mut self, text: &str) -> Self {
        let behind = text.get(self.start()..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim_start();
        let before = text.get(..self.start()).unwrap_or_default().trim_end_matches([' ', '\t']);
        if !before.ends_with('=') {
            return self;
        }
        let word = behind.split(|c: char| c.is_whitespace() || c == '#').next().unwrap_or_default();
        if word.is_empty() {
            "a value is missing behind `=`".clone_into(&mut self.message);
        } else if word.starts_with(char::is_alphabetic) {
            self.message = format!("`{word}` is no value");
            "text is written in quotes; else it is a number, true, false or a list".clone_into(&mut self.hint);
        }
        self
    }

    /// Whether a key that must be there is not.
    pub(super) fn is_incomplete(&self) -> bool {
        self.message.starts_with("missing field")
    }
}

/// Serde's words for what a person writes.
fn plain(message: &str) -> String {
    if message.starts_with("data did not match any variant of untagged enum Limit") {
        return "a limit is a number, a quantity such as `80%`, or a list of words".to_owned();
    }
    let Some((before, wanted)) = message.split_once("expected ") else { return message.to_owned() };
    let wanted = match wanted {
        "a sequence" => "a list",
        "a map" => "a section",
        words if words.starts_with("struct ") => "a section",
        words => words,
    };
    format!("{before}expected {wanted}")
}

impl From<toml::de::Error> for Refusal {
    /// What the deserializer did not like. Serde names unknown and known fields only in its message.
    fn from(error: toml::de::Error) -> Self {
        let message = match error.message().trim() {
            "recursion limit" => "keys are nested too deeply".to_owned(),
            message => plain(&message.replace('\n', ": ")),
        };
        let mut quoted = message.split('`').skip(1).step_by(2);
        let unknown = (message.starts_with("unknown field") || message.starts_with("unknown variant"))
            .then(|| quoted.next())
            .flatten();
        let near = unknown.and_then(|name| nearest(name, quoted));
        let hint = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
        Self { span: error.span(), message, hint, elsewhere: None }
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

impl Problems {
    /// One line for a screen: the first mistake in the named file, and how many more there are.
    pub fn brief(&self) -> String {
        let Some((first, others)) = self.0.split_first() else { return String::new() };
        let name = first.place.rsplit('/').next().unwrap_or(&first.place);
        let first = Problem { place: name.to_owned(), ..first.clone() };
        let line = first.to_string().replace('\n', " ");
        if others.is_empty() { line } else { format!("{line} ({} more, see `netglance check`)", others.len()) }
    }
}

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
    let name = Text::from(file);
    let Some(before) = span.and_then(|span| text.get(..span.start.min(text.len()))) else {
        return name.to_string();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!("{name}:{line}:{column}")
}
