//! What may a person change about collecting?
//!
//! `[collect.NAME]` of the configuration: whether a collector runs, how often, and how much of a core it may cost.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::unit;

/// `[collect]`: settings by collector name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Settings {
    /// By collector name.
    pub collectors: BTreeMap<String, CollectorSettings>,
}

/// `[collect.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CollectorSettings {
    /// Whether it runs at all.
    pub enabled: bool,
    /// How often it runs; its own interval if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Share of one core that it may cost; above that it runs less often. Zero means that it may cost anything.
    #[serde(deserialize_with = "budget")]
    pub budget: f64,
}

/// Share of one core that a collector may cost if the configuration does not say.
pub const BUDGET: f64 = 0.05;

impl Default for CollectorSettings {
    fn default() -> Self {
        Self { enabled: true, interval: None, budget: BUDGET }
    }
}

fn budget<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let budget = f64::deserialize(deserializer)?;
    if budget.is_finite() && budget >= 0.0 {
        return Ok(budget);
    }
    Err(serde::de::Error::custom(format!("budget `{budget}` is not a share of a core")))
}

/// A span between samples, written like `500ms`, `2s` or `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(pub Duration);

/// Shortest and longest interval that makes sense.
const LIMITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_hours(24));

/// A text that is no interval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// It is no duration.
    #[error("interval `{text}`: {cause}")]
    Duration {
        /// As written.
        text: String,
        /// What is wrong with it.
        #[source]
        cause: unit::QuantityError,
    },
    /// It is too short or too long.
    #[error("interval `{0}` is not between 100ms and 1d")]
    Limits(String),
}

impl std::str::FromStr for Interval {
    type Err = IntervalError;
    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let duration =
            unit::parse_duration(text).map_err(|cause| IntervalError::Duration { text: text.to_owned(), cause })?;
        if duration < LIMITS.0 || duration > LIMITS.1 {
            return Err(IntervalError::Limits(text.to_owned()));
        }
        Ok(Self(duration))
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&unit::duration(self.0))
    }
}

impl schemars::JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["500ms", "2s", "1m 30s"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_share_and_not_less_than_nothing() {
        let read = |text: &str| toml::from_str::<CollectorSettings>(text);
        assert_eq!(read("budget = 0.5").map(|settings| settings.budget), Ok(0.5));
        assert_eq!(read("budget = 1").map(|settings| settings.budget), Ok(1.0));
        for bad in ["-0.1", "nan", "inf"] {
            assert!(read(&format!("budget = {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals_outside_their_limits_are_refused() {
        assert_eq!("2s".parse(), Ok(Interval(Duration::from_secs(2))));
        for bad in ["10ms", "2d", "x", "5GiB", ""] {
            assert!(bad.parse::<Interval>().is_err(), "{bad}");
        }
    }
}
