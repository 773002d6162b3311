//! How is a rule written?
//!
//! `[[alert]]` and `[[silence]]` of `alerts.toml`. What is written is checked against the tables by [`super::rule`].

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::unit;
use crate::store::level::Limit;

/// A length of time, such as `30s`, up to a year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// The longest one.
const LONGEST: Duration = Duration::from_hours(366 * 24);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = unit::parse_duration(&text).map_err(serde::de::Error::custom)?;
        let fits = span <= LONGEST;
        fits.then_some(Self(span)).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is more than a year")))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&unit::duration(self.0))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["30s", "5m", "4h"] })
    }
}

/// What is written of alerts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `[[alert]]`
    pub alert: Vec<Alert>,
    /// `[[silence]]`
    pub silence: Vec<Silence>,
}

/// One rule. It says which rows it is about, what must be so, for how long, and how bad that is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alert {
    /// Its name: small letters, digits and `-`. Of two rules of one name that of the user counts.
    pub name: String,
    /// Name of the table.
    pub table: String,
    /// Whether it is evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The rows that it is about, as an expression; all rows if it is not given.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    /// A column or an expression that gives a number, or a column of words. Without limits of its own it is judged by
    /// `[[threshold]]` of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where each severity begins; low is bad where careful is above critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub careful: Option<Limit>,
    /// See `careful`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<Limit>,
    /// See `careful`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<Limit>,
    /// Whether low values are bad, which one limit alone does not say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub low_is_bad: bool,
    /// What it means when there is no value: `keep`, that nothing is known and all stays as it is, which is the default, or
    /// `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What the value must come back to until it is over. With `when` and `changes`: the expression that must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<Limit>,
    /// A condition: what must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A column: that it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<String>,
    /// With `changes`: only from one of these words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// With `changes`: only to one of these words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// That there are fewer rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// That there are more rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// That a row that was there is gone, until it is back or for as long as `keep` says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    /// How long one that is gone is missed; a day if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Span>,
    /// How bad it is, where there are no limits: careful, warning or critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// What is milder is no alert: warning if it is not given and the limits are those of the configuration, else careful.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<String>,
    /// From which severity on people are told: what is milder is shown only. Careful if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tell: Option<String>,
    /// The value is by how much it has grown in so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<Span>,
    /// The value is what it will be after so long if it goes on as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Span>,
    /// How long it must be so before anybody is told.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
    /// In how many of the last samples it must be so: `"3/5"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// How long it must be otherwise before it is over; longer for one that comes and goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<Span>,
    /// Columns that tell one alert from another: rows that have the same in them are one. Those that identify a row if it is
    /// not given; none is one alert for the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Vec<String>>,
    /// What people read, with columns in braces, and `{value}`, `{limit}`, `{count}`, `{was}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who was at the top is told with it: `table.column` of processes or guests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<String>,
    /// Nobody is told while an alert of one of these rules fires.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inhibited_by: Vec<Inhibit>,
}

/// What makes an alert needless to tell.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inhibit {
    /// Name of the other rule.
    pub rule: String,
    /// Columns of this table and those of the other rule's table that must have the same in them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub equal: BTreeMap<String, String>,
}

/// A time in which nobody is told.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Regex on names of rules; all if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Regex on instances; all if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// When it begins, such as `2026-11-30T22:00:00+01:00`; at once if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<String>,
    /// When it ends, likewise.
    pub end: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
