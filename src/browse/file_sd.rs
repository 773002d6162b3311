//! Which hosts does a `file_sd` file of Prometheus name?
//!
//! A list of `targets` with `labels`, in JSON or YAML. Labels become groups `label=value`; those that begin with `__` are for
//! Prometheus itself. Of YAML only what such a file can be is understood: no aliases, one document.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, Span};
use serde::Deserialize;

use super::list::{Entry, Mistake, Usual};
use crate::model::Text;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Language {
    /// By the name of the file, as Prometheus does.
    pub fn of(path: &std::path::Path) -> Self {
        let yaml = path.extension().is_some_and(|end| end == "yml" || end == "yaml");
        if yaml { Self::Yaml } else { Self::Json }
    }
}

/// One entry of a file.
#[derive(Default, Deserialize)]
struct Targets {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// What a file must be.
const FORM: &str = "a list of entries with `targets` and `labels`";

/// Reads a file.
///
/// # Errors
/// It is none.
pub fn read(text: &str, language: Language, usual: &Usual) -> Result<Vec<Entry>, Mistake> {
    let found = match language {
        Language::Json => json(text)?,
        Language::Yaml => Yaml::new(text).entries()?,
    };
    let entries = found.into_iter().flat_map(|one| {
        let labels = one.labels.iter().filter(|(name, _)| !name.starts_with("__"));
        let groups: Vec<Text> = labels.map(|(name, value)| group(name, value)).collect();
        one.targets.into_iter().map(move |target| Entry::written(&target, groups.clone(), usual))
    });
    Ok(entries.collect())
}

/// The group of a label. What stands between groups is in none of them, so what follows a comma there follows at once.
fn group(name: &str, value: &str) -> Text {
    let value: Vec<&str> =
        value.split(',').enumerate().map(|(at, one)| if at > 0 { one.trim_start() } else { one }).collect();
    Text::from(format!("{name}={}", value.join(",")))
}

fn json(text: &str) -> Result<Vec<Targets>, Mistake> {
    serde_json::from_str(text).map_err(|error| {
        let before = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        let at = before + error.column().saturating_sub(1);
        // serde says where; that is told once
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Mistake { span: Some(at..at), message, hint: format!("{FORM}, in JSON") }
    })
}

/// A text in YAML and how much of it was read.
struct Yaml<'a> {
    text: &'a str,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Yaml<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, parser: Parser::new_from_str(text) }
    }

    /// The place that a number of characters is in bytes.
    fn place(&self, characters: usize) -> usize {
        self.text.char_indices().nth(characters).map_or(self.text.len(), |(at, _)| at)
    }

    fn mistake(&self, at: Range<usize>, message: impl Into<String>) -> Mistake {
        let span = Some(self.place(at.start)..self.place(at.end));
        Mistake { span, message: message.into(), hint: format!("{FORM}, in YAML") }
    }

    /// What comes next in the document.
    fn next(&mut self) -> Result<(Event<'a>, Range<usize>), Mistake> {
        loop {
            match self.parser.next() {
                Some(Ok((Event::Nothing | Event::StreamStart | Event::DocumentStart(_), _))) => {}
                Some(Ok((event, Span { start, end, .. }))) => return Ok((event, start.index()..end.index())),
                Some(Err(error)) => {
                    let at = error.marker().index();
                    return Err(self.mistake(at..at, error.info()));
                }
                None => return Ok((Event::StreamEnd, self.text.len()..self.text.len())),
            }
        }
    }

    /// All entries of the only document.
    fn entries(mut self) -> Result<Vec<Targets>, Mistake> {
        let mut entries = Vec::new();
        match self.next()? {
            (Event::StreamEnd, _) => return Ok(entries),
            // an empty document
            (Event::Scalar(text, ..), _) if is_null(&text) => {}
            (Event::SequenceStart(..), _) => loop {
                match self.next()? {
                    (Event::SequenceEnd, _) => break,
                    (Event::MappingStart(..), at) => entries.push(self.entry(at)?),
                    (_, at) => return Err(self.mistake(at, "an entry with `targets` belongs here")),
                }
            },
            (_, at) => return Err(self.mistake(at, "a list of entries belongs here")),
        }
        match self.next()? {
            (Event::DocumentEnd | Event::StreamEnd, _) => {}
            (_, at) => return Err(self.mistake(at, "nothing may follow the list")),
        }
        match self.next()? {
            (Event::StreamEnd, _) => Ok(entries),
            (_, at) => Err(self.mistake(at, "there is a second document")),
        }
    }

    /// The rest of an entry that has begun.
    fn entry(&mut self, begun: Range<usize>) -> Result<Targets, Mistake> {
        let (mut entry, mut has_targets) = (Targets::default(), false);
        loop {
            match self.next()? {
                (Event::MappingEnd, _) if has_targets => return Ok(entry),
                (Event::MappingEnd, _) => return Err(self.mistake(begun, "an entry without `targets`")),
                (Event::Scalar(key, ..), _) if key == "targets" => {
                    has_targets = true;
                    entry.targets = self.targets()?;
                }
                (Event::Scalar(key, ..), _) if key == "labels" => entry.labels = self.labels()?,
                (Event::Scalar(key, ..), at) => return Err(self.mistake(at, format!("unknown key `{key}`"))),
                (_, at) => return Err(self.mistake(at, "a key belongs here: `targets` or `labels`")),
            }
        }
    }

    fn targets(&mut self) -> Result<Vec<String>, Mistake> {
        let mut targets = Vec::new();
        match self.next()? {
            (Event::Scalar(text, ..), _) if is_null(&text) => return Ok(targets),
            (Event::SequenceStart(..), _) => {}
            (_, at) => return Err(self.mistake(at, "a list of targets belongs here")),
        }
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(targets),
                (Event::Scalar(target, ..), _) => targets.push(target.into_owned()),
                (_, at) => return Err(self.mistake(at, "a target is one word: HOST:PORT")),
            }
        }
    }

    fn labels(&mut self) -> Result<BTreeMap<String, String>, Mistake> {
        let mut labels = BTreeMap::new();
        match self.next()? {
            (Event::Scalar(text, ..), _) if is_null(&text) => return Ok(labels),
            (Event::MappingStart(..), _) => {}
            (_, at) => return Err(self.mistake(at, "labels and their values belong here")),
        }
        loop {
            let name = match self.next()? {
                (Event::MappingEnd, _) => return Ok(labels),
                (Event::Scalar(name, ..), _) => name.into_owned(),
                (_, at) => return Err(self.mistake(at, "a label is one word")),
            };
            match self.next()? {
                (Event::Scalar(value, ..), _) => labels.insert(name, value.into_owned()),
                (_, at) => return Err(self.mistake(at, "the value of a label is one text")),
            };
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::{Link, Speak};

    fn found(text: &str, language: Language) -> Result<Vec<Entry>, Mistake> {
        read(text, language, &Usual::default())
    }

    #[test]
    fn targets_become_hosts_and_labels_groups_in_both_languages() {
        let json = r#"[{"targets": ["hv-1:61208", "b a d"], "labels": {"env": "prod", "__scheme__": "https"}}, {"targets": ["hv-2:7000"]}]"#;
        let yaml = "# made by hand\n- targets:\n    - hv-1:61208\n    - 'b a d'\n  labels:\n    env: prod\n    __scheme__: https\n\
                    - {targets: [hv-2:7000]}\n";
        let entries = found(json, Language::Json).unwrap();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["hv-1", "b a d", "hv-2:7000"]);
        assert_eq!(entries[0].groups, [Text::from("env=prod")]);
        assert_eq!(entries[1].flaw.as_ref().map(|(link, _)| *link), Some(Link::Wrong));
        assert_eq!(found(yaml, Language::Yaml).unwrap(), entries);
        assert_eq!(found(json, Language::Yaml).unwrap(), entries, "JSON is YAML");
    }

    #[test]
    fn what_the_list_says_of_all_hosts_holds_for_those_of_a_file() {
        let speak = Speak { token_file: Some("t".into()), ..Speak::default() };
        let usual = Usual { speak: speak.clone(), ..Usual::default() };
        assert_eq!(read(r#"[{"targets": ["x"]}]"#, Language::Json, &usual).unwrap()[0].speak, speak);
    }

    #[test]
    fn a_label_is_one_group_whatever_is_in_it() {
        let text = r#"[{"targets": ["x"], "labels": {"team": "net,  core, x"}}]"#;
        assert_eq!(found(text, Language::Json).unwrap()[0].groups, [Text::from("team=net,core,x")]);
    }

    #[test]
    fn a_file_without_hosts_is_right() {
        for text in ["", "[]", "# nothing yet\n", "---\n", "~\n", "- targets: []\n", "- targets:\n  labels:\n"] {
            assert_eq!(found(text, Language::Yaml), Ok(Vec::new()), "{text:?}");
        }
        assert_eq!(found("[]", Language::Json), Ok(Vec::new()));
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, at) in [
            ("hosts: [a]\n", "hosts"),
            ("- a\n", "a"),
            ("- targets: a\n", "a"),
            ("- targets: [[a]]\n", "[a]]\n"),
            ("- label: {}\n", "label"),
            ("- targets: [ä]\n  labels: b\n", "b"),
            ("- targets: &x [a]\n- targets: *x\n", "*x"),
            ("- targets: [a]\n---\n- targets: [b]\n", "- targets: [b]"),
            ("- targets: [a\n", ""),
            ("- labels: {}\n", ""),
        ] {
            let mistake = found(text, Language::Yaml).unwrap_err();
            let span = mistake.span.unwrap();
            assert!(at.starts_with(&text[span.clone()]) || text[span.start..].starts_with(at), "{text:?} {span:?}");
        }
        let mistake = found("[\n  {\"targets\": 1}]", Language::Json).unwrap_err();
        assert!(mistake.span.is_some() && !mistake.message.contains("line"), "{mistake:?}");
    }

    #[test]
    fn deep_and_endless_texts_are_mistakes() {
        for text in ["[".repeat(100_000), "{a: ".repeat(20_000), "- ".repeat(50_000), "? ".repeat(50_000)] {
            assert!(found(&text, Language::Yaml).is_err());
        }
    }
}
