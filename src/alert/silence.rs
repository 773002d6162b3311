//! When is nobody told?
//!
//! Silences stand in the configuration with a begin and an end, or somebody has said that an alert, or all of a rule, may be
//! silent until then. One that is over is forgotten.

use regex::Regex;

use super::rule::Mistake;
use super::settings;
use crate::model::{Mute, Text, Timestamp};
use crate::store::expr::regex;

/// Silences that people have asked for at most; beyond these the oldest goes.
const MOST: usize = 256;

/// What is silent.
#[derive(Debug, Default)]
pub struct Silences {
    configured: Vec<Configured>,
    pub(super) said: Vec<Said>,
}

#[derive(Debug)]
struct Configured {
    rule: Option<Regex>,
    instance: Option<Regex>,
    begin: Option<Timestamp>,
    end: Timestamp,
    comment: Option<Text>,
}

/// A silence that somebody has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) user: Text,
    pub(super) mute: Mute,
}

/// Why and until when an alert is silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) until: Timestamp,
    pub(super) user: Option<Text>,
    pub(super) comment: Option<Text>,
}

impl Silences {
    /// Those of a configuration.
    ///
    /// # Errors
    /// The number of the first that makes no sense, and why.
    pub fn new(settings: &[settings::Silence]) -> Result<Self, (usize, Mistake)> {
        let configured = settings.iter().enumerate().map(|(at, one)| configured(one).map_err(|mistake| (at, mistake)));
        Ok(Self { configured: configured.collect::<Result<_, _>>()?, said: Vec::new() })
    }

    /// What makes an alert silent now.
    pub(super) fn of(&self, rule: &str, instance: &str, now: Timestamp) -> Option<Silence> {
        let said = self.said.iter().filter_map(|said| {
            let mute = &said.mute;
            let until = mute.until.filter(|until| *until > now)?;
            let fits = mute.rule.as_str() == rule && (mute.instance.is_empty() || mute.instance.as_str() == instance);
            fits.then(|| Silence { until, user: Some(said.user.clone()), comment: mute.comment.clone() })
        });
        let fits = |pattern: &Option<Regex>, word| pattern.as_ref().is_none_or(|pattern| pattern.is_match(word));
        let configured = self.configured.iter().filter(|one| {
            let is_on = one.begin.is_none_or(|begin| begin <= now) && now < one.end;
            is_on && fits(&one.rule, rule) && fits(&one.instance, instance)
        });
        let configured = configured.map(|one| Silence { until: one.end, user: None, comment: one.comment.clone() });
        said.chain(configured).max_by_key(|silence| silence.until)
    }

    /// Numbers and patterns of those of the configuration that are not over and that no rule of these fits.
    pub(super) fn unfit<'a>(&'a self, rules: &[&str], now: Timestamp) -> Vec<(usize, &'a str)> {
        let numbered = self.configured.iter().enumerate().filter(|(_, one)| now < one.end);
        let patterns = numbered.filter_map(|(number, one)| Some((number, one.rule.as_ref()?)));
        let unfit = patterns.filter(|(_, pattern)| !rules.iter().any(|rule| pattern.is_match(rule)));
        unfit.map(|(number, pattern)| (number, pattern.as_str())).collect()
    }

    /// Adds one that somebody has asked for, in the place of one for the same.
    pub(super) fn add(&mut self, user: &Text, mute: &Mute) {
        self.lift(&mute.rule, &mute.instance);
        if self.said.len() >= MOST {
            self.said.remove(0);
        }
        self.said.push(Said { user: user.clone(), mute: mute.clone() });
    }

    /// Takes back one that somebody has asked for; whether there was one.
    pub(super) fn lift(&mut self, rule: &Text, instance: &Text) -> bool {
        let before = self.said.len();
        self.said.retain(|said| said.mute.rule != *rule || said.mute.instance != *instance);
        self.said.len() < before
    }

    /// Forgets those that are over.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.said.retain(|said| said.mute.until.is_some_and(|until| until > now));
    }
}

fn configured(one: &settings::Silence) -> Result<Configured, Mistake> {
    let pattern = |key: &'static str, text: &Option<String>| {
        let wrong = |cause| Mistake { key, message: cause, hint: None };
        text.as_deref().map(regex).transpose().map_err(wrong)
    };
    let end = instant("end", &one.end)?;
    let begin = one.begin.as_deref().map(|begin| instant("begin", begin)).transpose()?;
    if begin.is_some_and(|begin| begin >= end) {
        return Err(Mistake { key: "end", message: "comes before `begin`".to_owned(), hint: None });
    }
    Ok(Configured {
        rule: pattern("rule", &one.rule)?,
        instance: pattern("instance", &one.instance)?,
        begin,
        end,
        comment: one.comment.as_deref().map(Text::from),
    })
}

fn instant(key: &'static str, text: &str) -> Result<Timestamp, Mistake> {
    let instant = text.parse::<jiff::Timestamp>();
    let instant =
        instant.or_else(|cause| text.parse::<jiff::Zoned>().map(|zoned| zoned.timestamp()).map_err(|_| cause));
    let instant = instant.map_err(|_| Mistake {
        key,
        message: format!("`{}` is no instant", Text::from(text)),
        hint: Some("for example 2026-11-30T22:00:00+01:00".to_owned()),
    })?;
    Ok(Timestamp(i64::try_from(instant.as_nanosecond()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silences(text: &str) -> Result<Silences, String> {
        #[derive(serde::Deserialize)]
        struct File {
            silence: Vec<settings::Silence>,
        }
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        Silences::new(&file.silence).map_err(|(at, mistake)| format!("{at} {mistake}"))
    }

    fn mute(rule: &str, instance: &str, until: i64) -> Mute {
        Mute { rule: rule.into(), instance: instance.into(), until: Some(Timestamp(until)), comment: None, lift: false }
    }

    #[test]
    fn configured_ones_begin_and_end() {
        let text = "[[silence]]\nrule = '^disk'\ninstance = 'sda'\nbegin = '2026-11-30T22:00:00Z'\n\
            end = '2026-12-01T00:00:00+01:00[+01:00]'\ncomment = 'new disk'\n";
        let silences = silences(text).unwrap();
        let at = |clock: &str| Timestamp(clock.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64);
        let of = |rule, instance, clock| silences.of(rule, instance, at(clock)).map(|silence| silence.until);
        let end = Some(at("2026-11-30T23:00:00Z"));
        assert_eq!(of("disk-latency", "sda", "2026-11-30T22:00:00Z"), end);
        assert_eq!(of("disk-latency", "sda", "2026-11-30T21:59:59Z"), None);
        assert_eq!(of("disk-latency", "sda", "2026-11-30T23:00:00Z"), None);
        assert_eq!(of("disk-latency", "sdb", "2026-11-30T22:00:00Z"), None);
        assert_eq!(of("a-disk", "sda", "2026-11-30T22:00:00Z"), None);
    }

    #[test]
    fn what_people_ask_for_is_replaced_taken_back_and_bounded() {
        let mut silences = Silences::default();
        silences.add(&"me".into(), &mute("cpu", "one", 100));
        silences.add(&"me".into(), &mute("cpu", "one", 200));
        assert_eq!(silences.of("cpu", "one", Timestamp(150)).map(|one| one.until), Some(Timestamp(200)));
        assert_eq!(silences.of("cpu", "two", Timestamp(150)), None);
        silences.add(&"me".into(), &mute("cpu", "", 300));
        assert_eq!(silences.of("cpu", "two", Timestamp(150)).map(|one| one.until), Some(Timestamp(300)));
        assert!(silences.lift(&"cpu".into(), &"".into()) && !silences.lift(&"cpu".into(), &"".into()));
        silences.forget(Timestamp(200));
        assert!(silences.said.is_empty());
        for one in 0..2 * MOST {
            silences.add(&"me".into(), &mute("cpu", &one.to_string(), 300));
        }
        assert_eq!(silences.said.len(), MOST);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, told) in [
            ("end = 'tomorrow'", "0 end: `tomorrow` is no instant (for example"),
            ("begin = '2026-11-30T22:00:00Z'\nend = '2026-11-30T21:00:00Z'", "0 end: comes before `begin`"),
            ("rule = '('\nend = '2026-11-30T21:00:00Z'", "0 rule: "),
            ("rule = 'x'", "missing field `end`"),
        ] {
            let error = silences(&format!("[[silence]]\n{text}\n")).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
    }
}
