//! What is wrong with an expression, and where?

use unicode_width::UnicodeWidthStr;

use super::lex::{MAX_LEN, Span};
use crate::model::Text;

/// Bytes of a long expression that are shown on each side of a mistake.
const AROUND: usize = 100;

/// A message without the middle of the long word that it is about.
fn bounded(message: String) -> String {
    if message.len() <= AROUND * 4 {
        return message;
    }
    let (start, end) = (message.floor_char_boundary(AROUND * 2), message.ceil_char_boundary(message.len() - AROUND));
    let part = |range: std::ops::Range<usize>| message.get(range).unwrap_or_default();
    format!("{}...{}", part(0..start), part(end..message.len()))
}

/// A mistake in an expression with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// What is wrong.
    pub message: String,
    /// Byte offset of the mistake, on a character boundary.
    pub at: usize,
    /// Bytes that the mistake covers; zero at the end of the expression.
    pub len: usize,
    /// What to write instead.
    pub hint: Option<String>,
    text: Box<str>,
}

impl ExprError {
    pub(super) fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        let mut cut = text.len().min(MAX_LEN);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let at = span.at.min(cut);
        let len = span.end.min(cut).saturating_sub(at);
        let text = text.get(..cut).unwrap_or_default().into();
        Self { message: bounded(message.into()), at, len, hint: None, text }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(bounded(hint.into()));
        self
    }

    /// Adds `did you mean` when a known name is close to what was written.
    #[must_use]
    pub(super) fn near<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match super::near::nearest(word, known) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// Column of the mistake in characters, from 1.
    pub fn column(&self) -> usize {
        self.text.get(..self.at).map_or(1, |before| before.chars().count() + 1)
    }

    /// Two lines: the expression, and marks under the mistake. Of a long expression only what is around the mistake.
    pub fn caret(&self) -> String {
        let shown = |from: usize, to: usize| Text::from(self.text.get(from..to).unwrap_or_default());
        let boundary = |at: usize| (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at));
        let edge = |at: usize| boundary(at).unwrap_or_default();
        let from = if self.text.len() > AROUND * 2 { edge(self.at.saturating_sub(AROUND)) } else { 0 };
        let to = edge(from + AROUND * 2);
        let cut = |is: bool| if is { "..." } else { "" };
        let (before, after) = (cut(from > 0), cut(to < self.text.len()));
        let marked = shown(self.at, to.min(self.at + self.len)).width().max(1);
        let space = " ".repeat(before.len() + shown(from, self.at).width());
        format!("{before}{}{after}\n{space}{}", shown(from, to), "^".repeat(marked))
    }
}

impl std::fmt::Display for ExprError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "column {}: {}", self.column(), self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for ExprError {}
