//! What are the words of an expression, and where does each start?
//!
//! Quantities and addresses are one token each (`8Mbit/s`, `10.0.0.0/8`), so that the parser sees a division only where one
//! is meant. A quantity's unit is judged by the checker, which knows the column it is compared with.

use super::error::ExprError;

/// Longest expression in bytes.
pub(super) const MAX_LEN: usize = 4096;
/// Most tokens; bounds the depth of chains such as `1+1+1`.
const MAX_TOKENS: usize = 1024;

/// Where something stands in the expression, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Span {
    /// The smallest span that covers both.
    pub(super) fn to(self, other: Self) -> Self {
        Self { at: self.at, end: other.end }
    }
}

/// One word of the language.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Column, function, keyword or label.
    Word,
    /// A number with its suffix.
    Quantity,
    /// An IP address, network or Ethernet address.
    Address,
    /// Quoted text without its quotes.
    Quoted(String),
    /// Operator or bracket.
    Mark(&'static str),
}

/// Longest first, so that `<=` is not read as `<`.
const MARKS: &[&str] =
    &["==", "!=", "<=", ">=", "=~", "!~", "&&", "||", "<", ">", "=", "!", "(", ")", ",", "+", "-", "*", "/"];

/// Splits an expression into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Span)>, ExprError> {
    if text.len() > MAX_LEN {
        let message = format!("the expression is longer than {MAX_LEN} bytes");
        return Err(ExprError::new(text, Span { at: 0, end: 0 }, message));
    }
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(ch) = text.get(at..).and_then(|rest| rest.chars().next()) {
        if ch.is_whitespace() {
            at += ch.len_utf8();
            continue;
        }
        let (token, end) = next(text, at, ch)?;
        let span = Span { at, end };
        if out.len() == MAX_TOKENS {
            return Err(ExprError::new(text, span, format!("the expression has more than {MAX_TOKENS} words")));
        }
        out.push((token, span));
        at = end;
    }
    Ok(out)
}

fn next(text: &str, at: usize, ch: char) -> Result<(Token, usize), ExprError> {
    let rest = text.get(at..).unwrap_or_default();
    if ch == '"' || ch == '\'' {
        return quoted(text, at, ch);
    }
    if let Some(len) = address(rest) {
        return Ok((Token::Address, at + len));
    }
    if let Some(len) = quantity(rest) {
        return Ok((Token::Quantity, at + len));
    }
    if ch.is_alphabetic() || ch == '_' {
        return Ok((Token::Word, at + word(rest)));
    }
    if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
        return Ok((Token::Mark(mark), at + mark.len()));
    }
    let span = Span { at, end: at + ch.len_utf8() };
    Err(ExprError::new(text, span, format!("`{}` means nothing here", ch.escape_debug()))
        .hint("text is written in quotes"))
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

/// Reads quoted text. A backslash takes the quote or a backslash literally; before anything else it stays, for regexes.
fn quoted(text: &str, at: usize, quote: char) -> Result<(Token, usize), ExprError> {
    let mut out = String::new();
    let mut chars = text.get(at + 1..).unwrap_or_default().char_indices().peekable();
    while let Some((i, ch)) = chars.next() {
        if ch == quote {
            return Ok((Token::Quoted(out), at + 1 + i + 1));
        }
        if ch == '\\'
            && let Some((_, escaped)) = chars.next_if(|(_, next)| *next == quote || *next == '\\')
        {
            out.push(escaped);
        } else {
            out.push(ch);
        }
    }
    Err(ExprError::new(text, Span { at, end: text.len() }, "this quote is never closed"))
}

/// Length of an address or network at the front.
fn address(rest: &str) -> Option<usize> {
    let len = rest.find(|c: char| !(c.is_ascii_hexdigit() || c == ':' || c == '.')).unwrap_or(rest.len());
    let head = rest.get(..len)?;
    if !head.contains(':') && head.matches('.').count() != 3 {
        return None;
    }
    let is_ip = head.parse::<std::net::IpAddr>().is_ok();
    if !is_ip && head.parse::<crate::model::Mac>().is_err() {
        return None;
    }
    let tail = rest.get(len..)?;
    if tail.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let digits = tail
        .strip_prefix('/')
        .filter(|_| is_ip)
        .map_or(0, |bits| bits.find(|c: char| !c.is_ascii_digit()).unwrap_or(bits.len()));
    Some(if digits > 0 { len + 1 + digits } else { len })
}

/// Length of a number with its suffix at the front.
fn quantity(rest: &str) -> Option<usize> {
    let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    if !rest.get(..number)?.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let tail = rest.get(number..)?;
    if tail.starts_with('%') {
        return Some(number + 1);
    }
    let end = number + word(tail);
    // `8Mbit/s` is one quantity, `8/s` divides by a column named s
    let per_second = end + 2;
    let speed = rest.get(end..per_second) == Some("/s")
        && !rest.get(per_second..)?.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && crate::model::unit::parse(rest.get(..per_second)?).is_ok();
    Some(if speed { per_second } else { end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).unwrap().iter().map(|(_, span)| &text[span.at..span.end]).collect()
    }

    #[test]
    fn quantities_and_addresses_are_one_word_each() {
        for (text, want) in [
            ("a<=5%", vec!["a", "<=", "5%"]),
            ("rx>8Mbit/s and b", vec!["rx", ">", "8Mbit/s", "and", "b"]),
            ("8/s", vec!["8", "/", "s"]),
            ("8k/second", vec!["8k", "/", "second"]),
            ("ip in (10.0.0.0/8,fe80::1)", vec!["ip", "in", "(", "10.0.0.0/8", ",", "fe80::1", ")"]),
            ("mac==52:54:00:00:00:01", vec!["mac", "==", "52:54:00:00:00:01"]),
            ("::/0", vec!["::/0"]),
            ("fade-1.5", vec!["fade", "-", "1.5"]),
            ("'a b'!~\"c\\\"d\"", vec!["'a b'", "!~", "\"c\\\"d\""]),
        ] {
            assert_eq!(words(text), want, "{text}");
        }
    }

    #[test]
    fn a_backslash_takes_the_quote_or_a_backslash_and_stays_before_all_else() {
        for (text, wanted) in
            [(r#""\d+\"""#, "\\d+\""), (r"'a\\'", "a\\"), (r"'\\\'\\d'", r"\'\d"), (r#"'\"'"#, "\\\"")]
        {
            assert_eq!(tokens(text).unwrap()[0].0, Token::Quoted(wanted.to_owned()), "{text}");
        }
        assert!(tokens(r"'a\'").is_err());
    }

    #[test]
    fn too_much_is_refused() {
        assert!(tokens(&"a".repeat(MAX_LEN + 1)).is_err());
        assert!(tokens(&"1+".repeat(MAX_TOKENS)).is_err());
    }
}
