//! Who is told what, when, and how often?
//!
//! For each recipient and each alert it is known what was told last. What is so now and was not told is told: nothing is
//! queued, so that whatever comes and goes while nothing can be delivered becomes one message, and nobody is told twice of one
//! thing. An alert that was over before it could be told is told all the same, once. Of one alert a recipient hears at most
//! once in its window, also when the agent was killed between an attempt and its outcome: then that is tried again after the
//! window. What is due together goes together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::action::{Action, Way};
use super::{Change, Failure, Message, Moment, Notification, Order, Outbox, Outcome};
use crate::collect::alert::AlertActionRow;
use crate::model::{Level, Mono, Text, Timestamp};
use crate::store::expr::regex;

/// What is due is told together with what is due so much later.
const GATHER: Duration = Duration::from_millis(300);

/// Shortest time between two messages to one recipient.
const PACE: Duration = Duration::from_secs(2);

/// Shortest and longest wait after a failure.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// An order whose outcome nobody tells for so long is one of which nobody knows.
const SILENCE: Duration = Duration::from_mins(5);

/// Alerts that wait for one recipient at most.
const MOST: usize = 1024;

/// Changes in one message at most.
const TOGETHER: usize = 50;

/// Who is told, as far as that decides what and when.
#[derive(Debug)]
pub struct Recipient {
    /// Name of the action.
    pub name: Text,
    /// What it does, in a word.
    pub kind: &'static str,
    /// Severities that are told.
    pub levels: Vec<Level>,
    /// Whether it is told that an alert is over.
    pub recovery: bool,
    /// Rules that are told; all if there are none.
    pub rules: Vec<Regex>,
    /// The same alert is not told twice within it.
    pub window: Duration,
    /// What goes on is told again after it.
    pub repeat: Option<Duration>,
}

impl Recipient {
    /// Those of a configuration; a pattern that is none fits nothing.
    pub fn of(action: &Action) -> Self {
        let patterns = action.rules.iter().filter_map(|pattern| regex(pattern).ok());
        let repeat = match action.way() {
            // it forgets what it is not told again
            Some(Way::Alertmanager(manager)) => Some(manager.resend.0),
            _ => action.repeat.map(|repeat| repeat.0),
        };
        let kind = match action.way() {
            Some(Way::Command(_)) => "command",
            Some(Way::Webhook(_)) => "webhook",
            Some(Way::Mail(_)) => "mail",
            Some(Way::Syslog(_)) => "syslog",
            Some(Way::Journald) => "journald",
            Some(Way::Alertmanager(_)) => "alertmanager",
            None => "none",
        };
        Self {
            name: action.name.as_str().into(),
            kind,
            levels: Level::ALL.into_iter().filter(|level| action.tells(*level, Change::Fired)).collect(),
            recovery: action.tells(Level::Ok, Change::Cleared),
            rules: patterns.collect(),
            window: action.window.0,
            repeat,
        }
    }

    fn wants(&self, notification: &Notification) -> bool {
        let severity = notification.severity;
        severity >= notification.tell && self.levels.contains(&severity) && self.is_about(&notification.rule)
    }

    fn is_about(&self, rule: &str) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|pattern| pattern.is_match(rule))
    }
}

/// Tells recipients.
#[derive(Debug)]
pub struct Dispatch {
    recipients: Vec<(Recipient, State)>,
    outbox: Arc<Outbox>,
    host: String,
    seq: u64,
}

/// What a recipient was told.
#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    flight: Option<Flight>,
    /// When it may be told something.
    ready: Option<Mono>,
    fails: u32,
    sent: u64,
    failed: u64,
    dropped: u64,
    last: Option<Timestamp>,
    /// When it is tried again after a failure.
    again: Option<Timestamp>,
    error: Option<Text>,
}

/// A message that is under way.
#[derive(Debug)]
struct Flight {
    seq: u64,
    begin: Mono,
    /// The alerts, and what they are told of.
    told: Vec<(String, Told)>,
}

/// What somebody knows of an alert: that it goes on with this severity, or nothing.
type Told = Option<Word>;

/// What a recipient knows of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// How it is now.
    now: Notification,
    /// What was told last.
    told: Told,
    /// Whether it should have been told and was not.
    owed: bool,
    /// Whether it is about a moment.
    is_moment: bool,
    /// When it was tried last, in nanoseconds since the Unix epoch.
    tried: Option<i64>,
    /// Whether nobody is told now.
    #[serde(skip)]
    is_muted: bool,
}

/// A severity that can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Careful,
    Warning,
    Critical,
}

impl Word {
    fn of(level: Level) -> Self {
        match level {
            Level::Ok | Level::Careful => Self::Careful,
            Level::Warning => Self::Warning,
            Level::Critical => Self::Critical,
        }
    }
}

impl Entry {
    fn is_over(&self) -> bool {
        self.now.change == Change::Cleared
    }

    /// What is to be told now, if anything.
    fn due(&self, recipient: &Recipient, time: Timestamp) -> Option<Change> {
        let severity = Word::of(self.now.severity);
        let since = |tried: i64| Duration::from_nanos(u64::try_from(time.0.saturating_sub(tried)).unwrap_or(0));
        if self.is_over() {
            return match self.told {
                Some(_) => (recipient.recovery && !self.is_moment).then_some(Change::Cleared),
                None if self.owed && self.is_moment => Some(Change::Fired),
                None => self.owed.then_some(Change::Cleared),
            };
        }
        if self.is_muted {
            return None;
        }
        match self.told {
            None => recipient.wants(&self.now).then_some(Change::Fired),
            Some(told) if severity > told => Some(Change::Worse),
            Some(told) if severity < told => Some(Change::Better),
            Some(_) => {
                let repeat = recipient.repeat.filter(|_| !self.is_moment)?;
                self.tried.is_none_or(|tried| since(tried) >= repeat).then_some(Change::Still)
            }
        }
    }

    /// When it may be told again.
    fn free(&self, recipient: &Recipient) -> i64 {
        let window = i64::try_from(recipient.window.as_nanos()).unwrap_or(i64::MAX);
        self.tried.map_or(i64::MIN, |tried| tried.saturating_add(window))
    }
}

/// What is written down of a recipient.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    name: String,
    entries: Vec<Entry>,
}

impl Dispatch {
    /// Nobody was told anything yet.
    pub fn new(recipients: Vec<Recipient>, outbox: Arc<Outbox>, host: String) -> Self {
        let recipients = recipients.into_iter().map(|recipient| (recipient, State::default())).collect();
        Self { recipients, outbox, host, seq: 0 }
    }

    /// Takes other recipients; what those that stay were told is known.
    pub fn adopt(&mut self, new: Vec<Recipient>) {
        let mut old: HashMap<Text, State> =
            self.recipients.drain(..).map(|(recipient, state)| (recipient.name, state)).collect();
        let with = |recipient: Recipient| {
            let state = old.remove(&recipient.name).unwrap_or_default();
            (recipient, state)
        };
        self.recipients = new.into_iter().map(with).collect();
    }

    /// Takes what has happened; `is_moment` says whether alerts of a rule are about moments.
    pub fn take(&mut self, notifications: &[Notification], is_moment: &dyn Fn(&str) -> bool) {
        for notification in notifications {
            let moment = is_moment(&notification.rule);
            for (recipient, state) in &mut self.recipients {
                if let Some(entry) = state.entries.get_mut(&notification.alert) {
                    entry.now.clone_from(notification);
                } else if !recipient.wants(notification) || notification.change == Change::Cleared {
                    // nobody misses it
                } else if state.entries.len() >= MOST {
                    state.dropped += 1;
                } else {
                    let now = notification.clone();
                    let entry = Entry { now, told: None, owed: false, is_moment: moment, tried: None, is_muted: false };
                    state.entries.insert(notification.alert.clone(), entry);
                }
            }
        }
    }

    /// Says which alerts nobody is told of now.
    pub fn mute(&mut self, is_muted: &dyn Fn(&Notification) -> bool) {
        for (_, state) in &mut self.recipients {
            for entry in state.entries.values_mut() {
                entry.is_muted = is_muted(&entry.now);
            }
        }
    }

    /// Whether anybody waits for anything.
    pub fn is_idle(&self) -> bool {
        self.recipients.iter().all(|(_, state)| state.entries.is_empty() && state.flight.is_none())
    }

    /// Hears what came of orders: whether anything did, and what has failed in words.
    pub fn hear(&mut self, moment: Moment) -> (bool, Vec<(Text, String)>) {
        let (mut heard, mut failed) = (false, Vec::new());
        for Outcome { seq, result } in self.outbox.outcomes() {
            let is_own = |(_, state): &&mut (Recipient, State)| state.flight.as_ref().is_some_and(|one| one.seq == seq);
            let Some((recipient, state)) = self.recipients.iter_mut().find(is_own) else { continue };
            heard = true;
            if let Some(cause) = state.outcome(result, moment) {
                failed.push((recipient.name.clone(), cause));
            }
        }
        for (recipient, state) in &mut self.recipients {
            let is_lost = |one: &Flight| moment.mono.since(one.begin) > SILENCE.as_secs_f64();
            if state.flight.as_ref().is_some_and(is_lost) {
                heard = true;
                let cause = "nobody says what came of it".to_owned();
                let lost = state.outcome(Err(Failure { cause, again: true }), moment);
                failed.extend(lost.map(|cause| (recipient.name.clone(), cause)));
            }
        }
        (heard, failed)
    }

    /// Prepares what is due: what is returned has been noted as tried, and is to be given out by [`Self::send`] when that is
    /// written down.
    pub fn prepare(&mut self, moment: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        for (recipient, state) in &mut self.recipients {
            state.forget(recipient, moment.time);
            if state.flight.is_some() {
                continue;
            }
            let mut due: Vec<(String, Change)> = Vec::new();
            for (alert, entry) in &mut state.entries {
                let Some(change) = entry.due(recipient, moment.time) else { continue };
                entry.owed = true;
                if entry.free(recipient) <= moment.time.0 {
                    due.push((alert.clone(), change));
                }
            }
            if due.is_empty() {
                state.ready = state.ready.filter(|ready| *ready > moment.mono);
                continue;
            }
            let gathered = Mono(moment.mono.0 + GATHER.as_nanos() as u64);
            if *state.ready.get_or_insert(gathered) > moment.mono {
                continue;
            }
            self.seq += 1;
            orders.push(state.message(&recipient.name, due, self.seq, &self.host, moment));
        }
        orders
    }

    /// Gives an order out; one for which there is no room has failed.
    pub fn send(&mut self, order: Order, moment: Moment) {
        let seq = order.seq;
        if self.outbox.order(order) {
            return;
        }
        let is_own = |(_, state): &&mut (Recipient, State)| state.flight.as_ref().is_some_and(|one| one.seq == seq);
        if let Some((_, state)) = self.recipients.iter_mut().find(is_own) {
            let cause = "nobody takes orders".to_owned();
            let _ = state.outcome(Err(Failure { cause, again: true }), moment);
        }
    }

    /// When something happens by itself.
    pub fn due(&self, moment: Moment) -> Option<Mono> {
        let of = |(recipient, state): &(Recipient, State)| {
            let waits = state.entries.values().filter(|entry| entry.due(recipient, moment.time).is_some());
            let free = waits.map(|entry| entry.free(recipient)).min()?;
            let left = u64::try_from(free.saturating_sub(moment.time.0)).unwrap_or(0);
            let free = Mono(moment.mono.0.saturating_add(left));
            Some(state.ready.map_or(free, |ready| free.max(ready)))
        };
        let asleep = self.recipients.iter().filter(|(_, state)| state.flight.is_none());
        asleep.filter_map(of).min()
    }

    /// How each recipient fares.
    pub fn rows(&self, moment: Moment) -> Vec<AlertActionRow> {
        let row = |(recipient, state): &(Recipient, State)| AlertActionRow {
            name: recipient.name.clone(),
            kind: recipient.kind.into(),
            waiting: state.entries.values().filter(|entry| entry.due(recipient, moment.time).is_some()).count() as u64,
            sent: state.sent,
            failed: state.failed,
            dropped: state.dropped,
            last: state.last,
            again: state.again,
            error: state.error.clone(),
        };
        self.recipients.iter().map(row).collect()
    }

    /// What is worth writing down.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let keep = |(recipient, state): &(Recipient, State)| Kept {
            name: recipient.name.to_string(),
            entries: state.entries.values().cloned().collect(),
        };
        self.recipients.iter().map(keep).collect()
    }

    /// Takes what was written down before.
    pub(super) fn restore(&mut self, kept: Vec<Kept>) {
        for one in kept {
            let is_own = |(recipient, _): &&mut (Recipient, State)| recipient.name.as_str() == one.name;
            let Some((_, state)) = self.recipients.iter_mut().find(is_own) else { continue };
            for entry in one.entries.into_iter().take(MOST) {
                state.entries.entry(entry.now.alert.clone()).or_insert(entry);
            }
        }
    }

    /// Takes it that alerts are over that do not fire any more, because their rule is gone.
    pub(super) fn orphan(&mut self, firing: &HashSet<(&str, &str)>, moment: Moment) {
        for entry in self.recipients.iter_mut().flat_map(|(_, state)| state.entries.values_mut()) {
            let now = &mut entry.now;
            if now.change != Change::Cleared && !firing.contains(&(now.rule.as_str(), now.instance.as_str())) {
                (now.change, now.end) = (Change::Cleared, Some(moment.time.seconds()));
            }
        }
    }
}

impl State {
    fn message(&mut self, name: &Text, mut due: Vec<(String, Change)>, seq: u64, host: &str, moment: Moment) -> Order {
        let severity = |alert: &String| self.entries.get(alert).map(|entry| entry.now.severity);
        due.sort_by_cached_key(|(alert, _)| std::cmp::Reverse(severity(alert)));
        let more = due.len().saturating_sub(TOGETHER) as u64;
        due.truncate(TOGETHER);
        let mut message = Message { host: host.to_owned(), notifications: Vec::new(), more };
        let mut told = Vec::new();
        for (alert, change) in due {
            let Some(entry) = self.entries.get_mut(&alert) else { continue };
            entry.tried = Some(moment.time.0);
            message.notifications.push(Notification { change, ..entry.now.clone() });
            let is_over = entry.is_over();
            told.push((alert, (!is_over).then(|| Word::of(entry.now.severity))));
        }
        self.flight = Some(Flight { seq, begin: moment.mono, told });
        Order { seq, action: name.to_string(), message }
    }

    /// Takes what came of the message that is under way; why it failed.
    fn outcome(&mut self, result: Result<(), Failure>, moment: Moment) -> Option<String> {
        let flight = self.flight.take()?;
        let wait = |wait: Duration| Some(Mono(moment.mono.0 + wait.as_nanos() as u64));
        let failure = result.err();
        let is_told = failure.as_ref().is_none_or(|failure| !failure.again);
        for (alert, told) in flight.told {
            let Some(entry) = self.entries.get_mut(&alert) else { continue };
            if is_told {
                (entry.told, entry.owed) = (told, false);
            } else {
                // it was not told: the window begins with what is
                entry.tried = None;
            }
            self.dropped += u64::from(failure.is_some() && is_told);
        }
        match failure {
            None => {
                (self.fails, self.error, self.last, self.again) = (0, None, Some(moment.time), None);
                self.sent += 1;
                self.ready = wait(PACE);
                None
            }
            Some(Failure { cause, .. }) => {
                let again = AGAIN.0.saturating_mul(1 << self.fails.min(16)).min(AGAIN.1);
                self.fails += 1;
                self.failed += 1;
                let is_new = self.error.as_deref() != Some(cause.as_str());
                self.error = Some(Text::from(cause.as_str()));
                self.ready = wait(again);
                self.again = Some(Timestamp(moment.time.0.saturating_add(again.as_nanos() as i64)));
                is_new.then_some(cause)
            }
        }
    }

    /// Forgets what is over and told, when its window is.
    fn forget(&mut self, recipient: &Recipient, time: Timestamp) {
        let flight = &self.flight;
        self.entries.retain(|alert, entry| {
            let is_flying = flight.as_ref().is_some_and(|flight| flight.told.iter().any(|(one, _)| one == alert));
            let waits = entry.due(recipient, time).is_some();
            is_flying || waits || !entry.is_over() || entry.free(recipient) > time.0
        });
    }
}

#[cfg(test)]
mod tests;
