//! What is a person told of an alert?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Level, Text};

/// What has happened to an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It has begun.
    Fired,
    /// It has a higher severity than before.
    Worse,
    /// It has a lower severity than before, and goes on.
    Better,
    /// It goes on, and was told long ago.
    Still,
    /// It is over.
    Cleared,
}

impl Change {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Worse => "worse",
            Self::Better => "better",
            Self::Still => "still",
            Self::Cleared => "cleared",
        }
    }
}

/// One change of one alert. All words have been made safe to print; what is made of them (a page, a command, JSON) escapes
/// as that needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The same for the same change, however often and by whomever it is told.
    pub id: String,
    /// The same for all changes of the alert of one rule and one instance, also of later ones.
    pub alert: String,
    /// Name of the rule.
    pub rule: String,
    /// The row or the group of rows that it is about, as a person calls it; empty for a whole table.
    pub instance: String,
    /// Name of the table.
    pub table: String,
    /// How bad it is; of one that is over, how bad it was.
    #[serde(with = "severity")]
    pub severity: Level,
    /// What has happened.
    pub change: Change,
    /// A sentence for a person.
    pub text: String,
    /// The value that is compared, with its unit as people read it.
    pub value: Option<String>,
    /// The worst value since it began, likewise.
    pub peak: Option<String>,
    /// When it began, in seconds since the Unix epoch.
    pub begin: f64,
    /// When it ended, likewise; `None` while it goes on.
    pub end: Option<f64>,
    /// What tells the instance from others: names of columns and their values.
    pub labels: BTreeMap<String, String>,
    /// Who was at the top when it began: processes or guests, worst first.
    pub top: Vec<String>,
    /// How often it was over and came back since it began.
    pub flaps: u32,
    /// What somebody has said about it.
    pub comment: Option<String>,
    /// What is milder than this is shown, and nobody is told.
    #[serde(with = "severity", default)]
    pub tell: Level,
}

/// What is told at once: usually one change, several where many came together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The host, as it calls itself.
    pub host: String,
    /// The changes, worst first.
    pub notifications: Vec<Notification>,
    /// More of them, for which there was no room.
    pub more: u64,
}

impl Message {
    /// The worst severity of what it tells.
    pub fn severity(&self) -> Level {
        self.notifications.iter().map(|one| one.severity).max().unwrap_or_default()
    }

    /// The same with all words made safe to print, and bounded: of one that comes from elsewhere.
    #[must_use]
    pub fn safe(mut self) -> Self {
        let clean = |word: &mut String| Text::from(word.as_str()).as_str().clone_into(word);
        clean(&mut self.host);
        for one in &mut self.notifications {
            let words = [&mut one.id, &mut one.alert, &mut one.rule, &mut one.instance, &mut one.table, &mut one.text];
            let told = [&mut one.value, &mut one.peak, &mut one.comment];
            for word in words.into_iter().chain(told.into_iter().flatten()).chain(&mut one.top) {
                clean(word);
            }
            let safe = |word: &str| Text::from(word).as_str().to_owned();
            one.labels = one.labels.iter().map(|(name, value)| (safe(name), safe(value))).collect();
        }
        self
    }

    /// Whether all that it tells is over.
    pub fn is_over(&self) -> bool {
        self.notifications.iter().all(|one| one.change == Change::Cleared)
    }
}

/// The word of a severity in JSON.
mod severity {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Level;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(super) fn serialize<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(level.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
        let word = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let known = Level::ALL.into_iter().find(|level| level.name() == word);
        known.ok_or_else(|| serde::de::Error::custom("no severity"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_message_that_comes_from_elsewhere_is_believed() {
        let hostile = "a\u{1b}]0;b\r\n\u{202e}";
        let one = Notification {
            id: hostile.to_owned(),
            alert: hostile.to_owned(),
            rule: hostile.to_owned(),
            instance: hostile.to_owned(),
            table: hostile.to_owned(),
            severity: Level::Warning,
            change: Change::Fired,
            text: hostile.to_owned(),
            value: Some(hostile.to_owned()),
            peak: Some(hostile.to_owned()),
            begin: 1.0,
            end: None,
            labels: [(hostile.to_owned(), hostile.to_owned())].into(),
            top: vec![hostile.to_owned()],
            flaps: 0,
            comment: Some(hostile.to_owned()),
            tell: Level::Ok,
        };
        let safe = Message { host: hostile.to_owned(), notifications: vec![one], more: 0 }.safe();
        let written = serde_json::to_string(&safe).unwrap();
        assert!(!written.contains("\\u001b") && !written.contains("\\r") && !written.contains('\u{202e}'), "{written}");
        assert_eq!(written.matches("a\\\\x1b]0;b\\\\x0d").count(), 13, "{written}");
    }
}
