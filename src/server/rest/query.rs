//! What does a request ask for?
//!
//! The text after `?` and the `Accept` header are written by anybody: both are bounded, a parameter that the route does not
//! know or that is given twice is a mistake, and so are bytes that are no text.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::answer::Refusal;
use crate::store::expr::nearest;

/// Bytes of a query at most.
const MAX_QUERY: usize = 8 << 10;

/// Ranges of an `Accept` header that are looked at.
const MAX_RANGES: usize = 32;

/// Something that may be written after `?`.
pub(super) struct Parameter {
    /// Name.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) about: &'static str,
    /// JSON schema type.
    pub(super) ty: &'static str,
}

/// The parameters of a request, each at most once.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Reads what stands after `?`.
    ///
    /// # Errors
    /// It is too long, no text, or has a parameter twice or one that the route does not know.
    pub(super) fn parse(text: &str, known: &'static [Parameter]) -> Result<Self, Refusal> {
        if text.len() > MAX_QUERY {
            return Err(Refusal::bad(format!("the query is longer than {MAX_QUERY} bytes"), "ask for less"));
        }
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                return Err(unknown(&name, known));
            };
            if parameters.iter().any(|(given, _)| *given == parameter.name) {
                return Err(Refusal::bad(format!("`{name}` is given twice"), "give it once"));
            }
            parameters.push((parameter.name, value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// Value of a parameter; `None` if it is not given or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// Whether a switch is on: `name`, `name=true` or `name=1`.
    ///
    /// # Errors
    /// It says something else.
    pub(super) fn switch(&self, name: &str) -> Result<bool, Refusal> {
        match self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str()) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => Err(Refusal::bad(format!("`{name}` is neither true nor false: `{other}`"), "")),
        }
    }
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Refusal> {
    let spaced = text.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8().map(|text| Cow::Owned(text.into_owned()));
    text.map_err(|_| Refusal::bad("the query is no text in UTF-8", "write what is no letter as %XX of its UTF-8 bytes"))
}

fn unknown(name: &str, known: &[Parameter]) -> Refusal {
    let names: Vec<&str> = known.iter().map(|parameter| parameter.name).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "it takes none".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    };
    Refusal::bad(format!("there is no parameter `{name}`"), hint)
}

/// The offered media type that a reader wants most, the first of those it wants as much; `None` if it takes none.
pub(super) fn negotiate(accept: &str, offered: &'static [&'static str]) -> Option<&'static str> {
    if accept.trim().is_empty() {
        return offered.first().copied();
    }
    let ranges: Vec<(&str, f32)> = accept.split(',').take(MAX_RANGES).map(range).collect();
    let mut best = None::<(f32, &str)>;
    for media in offered {
        let weight = weight(&ranges, media);
        if weight > 0.0 && best.is_none_or(|(known, _)| weight > known) {
            best = Some((weight, media));
        }
    }
    best.map(|(_, media)| media)
}

/// A range of `Accept` without its parameters, and how much it is wanted.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
    (name, weight.unwrap_or(1.0))
}

/// How much a media type is wanted: what the most specific range says.
fn weight(ranges: &[(&str, f32)], media: &str) -> f32 {
    let name = media.split(';').next().unwrap_or_default();
    let group = name.split('/').next().unwrap_or_default();
    let told =
        |wanted: &dyn Fn(&str) -> bool| ranges.iter().find(|(range, _)| wanted(range)).map(|(_, weight)| *weight);
    told(&|range| range.eq_ignore_ascii_case(name))
        .or_else(|| told(&|range| range.strip_suffix("/*").is_some_and(|range| range.eq_ignore_ascii_case(group))))
        .or_else(|| told(&|range| range == "*/*"))
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Parameter] =
        &[Parameter { name: "where", about: "", ty: "string" }, Parameter { name: "rate", about: "", ty: "boolean" }];

    #[test]
    fn parameters_are_decoded_once() {
        let query = Query::parse("where=name%20%3D%3D+%22a%2526%22&rate", KNOWN).unwrap();
        assert_eq!(query.get("where"), Some("name == \"a%26\""));
        assert!(query.switch("rate").unwrap());
        assert_eq!(Query::parse("&&", KNOWN).unwrap(), Query::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["wher=1", "where=1&where=2", "where=%ff", "x"] {
            assert!(Query::parse(text, KNOWN).is_err(), "{text}");
        }
        assert!(Query::parse(&"a".repeat(MAX_QUERY + 1), KNOWN).is_err());
        assert!(Query::parse("rate=maybe", KNOWN).unwrap().switch("rate").is_err());
    }

    #[test]
    fn the_form_that_is_wanted_most_is_chosen() {
        const OFFERED: &[&str] = &["application/json", "text/csv"];
        for (accept, want) in [
            ("", Some("application/json")),
            ("*/*", Some("application/json")),
            ("text/csv", Some("text/csv")),
            ("text/*, application/json;q=0.5", Some("text/csv")),
            ("application/json;q=0, */*", Some("text/csv")),
            ("text/html", None),
            ("text/csv;q=0", None),
        ] {
            assert_eq!(negotiate(accept, OFFERED), want, "{accept}");
        }
        assert_eq!(negotiate("text/plain", &["text/plain; version=0.0.4"]), Some("text/plain; version=0.0.4"));
    }

    fn digit(number: u8) -> char {
        char::from_digit(number.into(), 16).unwrap()
    }

    /// Writes a parameter as a careful client does, apart from the code under test.
    fn encoded(text: &str) -> String {
        text.bytes().flat_map(|byte| ['%', digit(byte >> 4), digit(byte & 15)]).collect()
    }

    proptest::proptest! {
        #[test]
        fn any_text_reads_back_the_same(value in ".{0,200}") {
            let query = Query::parse(&format!("where={}", encoded(&value)), KNOWN).unwrap();
            assert_eq!(query.get("where").unwrap_or_default(), value);
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in "([a-z%=&+;0-9]|\\PC){0,300}", accept in "([a-z*/;=,.0-9 ]|\\PC){0,200}") {
            let _ = Query::parse(&text, KNOWN);
            let _ = negotiate(&accept, &["application/json"]);
        }
    }
}
