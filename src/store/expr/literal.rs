//! How is a written value read as a value of its column?

use std::net::IpAddr;

use super::check::{Checker, Measures};
use super::error::ExprError;
use super::eval::{Net, Number, Test};
use super::lex::Span;
use super::parse::{Ast, Syntax};
use crate::model::unit::{self, Dimension};
use crate::model::{Mac, Type};

/// A text as it is written in an expression, whatever is in it.
pub fn quoted(text: &str) -> String {
    let escaped = |ch: char| if matches!(ch, '"' | '\\') { ['\\', ch].iter().collect() } else { ch.to_string() };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// A regular expression for a text as it is, without anything that ends the quotes around it.
pub fn literal(text: &str) -> String {
    let plain = |ch: char| ch.is_alphanumeric() || matches!(ch, '-' | '_' | '=' | ' ' | ':' | '/');
    text.chars().map(|ch| if plain(ch) { ch.to_string() } else { format!("\\x{{{:x}}}", u32::from(ch)) }).collect()
}

/// Memory that one compiled regex may take, in bytes.
const REGEX_LIMIT: usize = 1 << 20;

/// Compiles a regex with bounded memory.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn regex(pattern: &str) -> Result<regex::Regex, String> {
    let built = regex::RegexBuilder::new(pattern).size_limit(REGEX_LIMIT).dfa_size_limit(REGEX_LIMIT).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "this pattern needs too much memory".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            format!("bad pattern: {}", last.strip_prefix("error: ").unwrap_or(last))
        }
    })
}

/// Reads a quantity such as `5`, `0x7f`, `2Gi` or `50%`.
pub(super) fn quantity(checker: &Checker<'_>, span: Span) -> Result<(Number, Measures), ExprError> {
    let text = checker.slice(span);
    if let Ok(whole) = text.parse::<i128>() {
        return Ok((Number::Int(whole), Measures::ANY));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        let whole =
            i128::from_str_radix(digits, 16).map_err(|_| checker.error(span, format!("`{text}` is not a number")));
        return Ok((Number::Int(whole?), Measures::ANY));
    }
    let (value, dimension) = unit::parse(text).map_err(|cause| checker.error(span, cause.to_string()))?;
    let number = Number::real(value).ok_or_else(|| checker.error(span, format!("`{text}` is too large")))?;
    let measures = if dimension == Dimension::Number { Measures::ANY } else { Measures::of(dimension) };
    Ok((number, measures))
}

/// Reads a number of a list, with its sign.
pub(super) fn number(checker: &Checker<'_>, ast: &Ast) -> Result<(Number, Measures), ExprError> {
    match &ast.node {
        Syntax::Quantity => quantity(checker, ast.span),
        Syntax::Negate(inner) => {
            let (number, measures) = number(checker, inner)?;
            let negated = match number {
                Number::Int(v) => Number::Int(v.saturating_neg()),
                Number::Real(v) => Number::Real(-v),
            };
            Ok((negated, measures))
        }
        _ => Err(checker.error(ast.span, "a number is expected")),
    }
}

/// Reads the values that a column without numbers is compared with.
pub(super) fn one_of(checker: &Checker<'_>, column: usize, list: &[Ast], nets: bool) -> Result<Test, ExprError> {
    match checker.column(column).map(|c| c.ty) {
        Some(Type::Ip) => {
            let nets: Result<_, _> = list.iter().map(|ast| net(checker, ast, nets)).collect();
            Ok(Test::NetIn(column, nets?))
        }
        Some(Type::Mac) => {
            let list: Result<_, _> = list.iter().map(|ast| mac(checker, ast)).collect();
            Ok(Test::MacIn(column, list?))
        }
        Some(Type::Text | Type::Label) => {
            let words: Result<_, _> = list.iter().map(|ast| word(checker, column, ast)).collect();
            Ok(Test::WordIn(column, words?))
        }
        _ => {
            let span = list.first().map_or(Span { at: 0, end: 0 }, |ast| ast.span);
            Err(checker.error(span, "this column cannot be looked up in a list"))
        }
    }
}

/// Reads text in quotes, or a word of a label column that may go without.
pub(super) fn word(checker: &Checker<'_>, column: usize, ast: &Ast) -> Result<Box<str>, ExprError> {
    let raw = checker.bare(ast.span);
    let labels = checker.column(column).map(|c| c.labels.as_ref()).unwrap_or_default();
    let known = |word: &str| labels.iter().any(|label| label.name == word);
    if let Syntax::Quoted(text) = &ast.node {
        return if labels.is_empty() || known(text) {
            Ok(text.as_str().into())
        } else {
            Err(unknown_label(checker, column, ast.span, text))
        };
    }
    // the whole text of the side, so that `time-wait` is a word and not a subtraction
    if known(raw) {
        return Ok(raw.into());
    }
    if labels.is_empty() {
        let error = checker.error(ast.span, format!("`{raw}` is not text"));
        let quoted = raw.replace('"', "\\\"");
        return Err(error.hint(format!("text is written in quotes: \"{quoted}\"")));
    }
    Err(unknown_label(checker, column, ast.span, raw))
}

fn unknown_label(checker: &Checker<'_>, column: usize, span: Span, word: &str) -> ExprError {
    let Some(column) = checker.column(column) else {
        return checker.error(span, "no such column");
    };
    let names = || column.labels.iter().map(|label| label.name);
    let error = checker.error(span, format!("`{}` is never `{word}`", column.name));
    if super::near::nearest(word, names()).is_some() {
        return error.near(word, names());
    }
    error.hint(format!("it is one of {}", names().collect::<Vec<_>>().join(", ")))
}

fn net(checker: &Checker<'_>, ast: &Ast, nets: bool) -> Result<Net, ExprError> {
    let text = match &ast.node {
        Syntax::Quoted(text) => text,
        _ => checker.slice(ast.span),
    };
    let wrong = || checker.error(ast.span, format!("`{text}` is not an address"));
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => full,
        Some(_) if !nets => {
            return Err(checker.error(ast.span, format!("`{text}` is a network")).hint(format!("write `in {text}`")));
        }
        Some(bits) => bits
            .parse()
            .ok()
            .filter(|bits| *bits <= full)
            .ok_or_else(|| checker.error(ast.span, format!("a prefix has 0 to {full} bits")))?,
    };
    Ok(Net { address, bits })
}

fn mac(checker: &Checker<'_>, ast: &Ast) -> Result<Mac, ExprError> {
    let text = match &ast.node {
        Syntax::Quoted(text) => text,
        _ => checker.slice(ast.span),
    };
    text.parse().map_err(|()| {
        checker.error(ast.span, format!("`{text}` is not an Ethernet address")).hint("write 52:54:00:12:34:56")
    })
}
