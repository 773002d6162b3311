//! Who is told what, when, and how often?
//!
//! For each recipient and each alert it is known what was told last. What is so now and was not told is told: nothing is
//! queued, so that whatever comes and goes while nothing can be delivered becomes one message, and nobody is told twice of one
//! thing. An alert that was over before it could be told is told all the same, once. Of one alert a recipient hears at most
//! once in its window, also when nobody knows what came of an attempt, or the agent was killed meanwhile: then that is tried
//! again after the window. What is refused as it is holds up nothing else and is tried seldom, by itself, until it is over. What
//! is due together goes together, as far as the recipient has room.

use std::collections::{BTreeMap, HashMap, HashSet, btree_map};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::words;
use super::told::digest;
use super::{Change, Failure, Fate, Message, Moment, Notification, Order, Outbox, Outcome};
use crate::collect::alert::AlertActionRow;
use crate::model::{Level, Mono, Text, Timestamp};

mod entry;
mod recipient;

use entry::{Entry, Sent, Word, at, nanos};
pub use recipient::Recipient;

/// What is due is told together with what is due so much later.
const GATHER: Duration = Duration::from_millis(300);

/// Shortest time between two messages to one recipient, and the longest to which it grows for a person who is told something
/// within that time again and again; what is critical does not wait for it.
const PACE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// For so long whoever is told may want to be left alone.
const LEFT_ALONE: Duration = Duration::from_mins(15);

/// Shortest and longest wait after a failure.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// An order whose outcome nobody tells for so long after its time is one of which nobody knows.
const SILENCE: Duration = Duration::from_mins(5);

/// When those who are told have learned what is configured now.
const SETTLED: Duration = Duration::from_secs(5);

/// Alerts that wait for one recipient at most.
const MOST: usize = 1024;

/// Changes in one message at most.
const TOGETHER: usize = 50;

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
    /// The one before, if nobody knew what came of it: that may be told late.
    lost: Option<Flight>,
    /// When it may be told something, and when something that is not critical.
    ready: Option<Mono>,
    slow: Option<Mono>,
    /// The time between its last messages, and when it was told the last one.
    pace: Duration,
    paced: Option<Mono>,
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
    /// Whether there was more than it had room for.
    has_more: bool,
    sent: Vec<Sent>,
}

/// What is written down of a recipient.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    name: String,
    entries: Vec<KeptEntry>,
}

/// An entry with a time that means something after the machine was started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptEntry {
    #[serde(flatten)]
    entry: Entry,
    /// When it was tried last, in nanoseconds since the Unix epoch.
    tried: Option<i64>,
}

/// An alert that fires.
pub(super) struct Firing<'a> {
    /// Name of the rule.
    pub(super) rule: &'a str,
    /// What it is about.
    pub(super) instance: &'a str,
    /// How bad it is.
    pub(super) severity: Level,
    /// What is told of it.
    pub(super) told: Box<dyn Fn() -> Notification + 'a>,
}

impl Dispatch {
    /// Nobody was told anything yet.
    pub fn new(recipients: Vec<Recipient>, outbox: Arc<Outbox>, host: String) -> Self {
        let recipients = recipients.into_iter().map(|recipient| (recipient, State::default())).collect();
        Self { recipients, outbox, host, seq: 0 }
    }

    /// Takes other recipients; what those that stay were told is known. What failed or was refused is tried again soon: what
    /// was in its way may have been mended.
    pub fn adopt(&mut self, new: Vec<Recipient>, moment: Moment) {
        let mut old: HashMap<Text, State> =
            self.recipients.drain(..).map(|(recipient, state)| (recipient.name, state)).collect();
        let with = |recipient: Recipient| {
            let mut state = old.remove(&recipient.name).unwrap_or_default();
            state.hope(moment);
            (recipient, state)
        };
        self.recipients = new.into_iter().map(with).collect();
    }

    /// Takes what has happened; `is_moment` says whether alerts of a rule are about moments.
    pub fn take(&mut self, notifications: &[Notification], is_moment: &dyn Fn(&str) -> bool) {
        for notification in notifications {
            let moment = is_moment(&notification.rule);
            for (recipient, state) in &mut self.recipients {
                let has_room = state.entries.len() < MOST;
                if let Some(entry) = state.entries.get_mut(&notification.alert) {
                    entry.now.clone_from(notification);
                    // it is not what was refused
                    entry.aside = None;
                } else if !recipient.wants(notification) {
                    // nobody misses it
                } else if notification.change == Change::Cleared || (moment && !has_room) {
                    // without room it was never told; what goes on is told when there is room
                    state.dropped += u64::from(!has_room);
                } else if has_room {
                    state.entries.insert(notification.alert.clone(), Entry::new(notification.clone(), moment));
                }
            }
        }
    }

    /// Takes what fires and was not told, because nobody was there to be told or there was no room.
    pub(super) fn find(&mut self, firing: &[Firing<'_>]) {
        for (recipient, state) in &mut self.recipients {
            let known: HashSet<(&str, &str)> =
                state.entries.values().map(|entry| (entry.now.rule.as_str(), entry.now.instance.as_str())).collect();
            let wants = |one: &&Firing<'_>| recipient.wants_rule(one.severity, one.rule);
            let is_new = |one: &&Firing<'_>| !known.contains(&(one.rule, one.instance));
            let room = MOST.saturating_sub(known.len());
            let new: Vec<Notification> =
                firing.iter().filter(wants).filter(is_new).take(room).map(|one| (one.told)()).collect();
            for one in new {
                state.entries.entry(one.alert.clone()).or_insert_with(|| Entry::new(one, false));
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

    /// Whether anybody is told anything.
    pub fn has_recipients(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// Whether anybody waits for anything.
    pub fn is_idle(&self) -> bool {
        self.recipients.iter().all(|(_, state)| state.entries.is_empty() && state.flight.is_none())
    }

    /// Hears what came of orders: whether anything did, and what has failed in words.
    pub fn hear(&mut self, moment: Moment) -> (bool, Vec<(Text, String)>) {
        let (mut heard, mut failed) = (false, Vec::new());
        for Outcome { seq, result } in self.outbox.outcomes() {
            let is = |flight: &Option<Flight>| flight.as_ref().is_some_and(|one| one.seq == seq);
            let is_own = |(_, state): &&mut (Recipient, State)| is(&state.flight) || is(&state.lost);
            let Some((recipient, state)) = self.recipients.iter_mut().find(is_own) else { continue };
            heard = true;
            if is(&state.lost) {
                state.late(result.err().as_ref(), moment);
            } else if let Some(cause) = state.outcome(recipient, result, moment) {
                failed.push((recipient.name.clone(), cause));
            }
        }
        for (recipient, state) in &mut self.recipients {
            let patience = recipient.timeout.saturating_add(SILENCE).as_secs_f64();
            let silent = state.flight.as_ref().filter(|one| moment.mono.since(one.begin) > patience);
            if let Some(seq) = silent.map(|one| one.seq) {
                heard = true;
                let failure = if self.outbox.withdraw(seq) {
                    Failure::unsent("nobody takes orders".to_owned())
                } else {
                    Failure::unknown("nobody says what came of it".to_owned())
                };
                let lost = state.outcome(recipient, Err(failure), moment);
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
            state.forget(recipient, moment.mono);
            let mut due: Vec<(String, Change)> = Vec::new();
            for (alert, entry) in &mut state.entries {
                let Some(change) = entry.due(recipient, moment.mono) else { continue };
                entry.owed = true;
                if entry.free(recipient) <= at(moment.mono) {
                    due.push((alert.clone(), change));
                }
            }
            if state.flight.is_some() {
                continue;
            }
            state.part(&mut due);
            due.retain(|(alert, _)| {
                state.entries.get(alert).is_some_and(|entry| state.slow_for(entry) <= at(moment.mono))
            });
            if due.is_empty() {
                state.ready = state.ready.filter(|ready| *ready > moment.mono);
                continue;
            }
            let gathered = Mono(moment.mono.0 + GATHER.as_nanos() as u64);
            if *state.ready.get_or_insert(gathered) > moment.mono {
                continue;
            }
            self.seq += 1;
            orders.push(state.message(recipient, due, self.seq, &self.host, moment));
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
        if let Some((recipient, state)) = self.recipients.iter_mut().find(is_own) {
            let unsent = Failure::unsent("nobody takes orders".to_owned());
            let _ = state.outcome(recipient, Err(unsent), moment);
        }
    }

    /// When something happens by itself.
    pub fn due(&self, moment: Moment) -> Option<Mono> {
        let of = |(recipient, state): &(Recipient, State)| {
            let waits = state.entries.values().filter(|entry| entry.due(recipient, moment.mono).is_some());
            let free = waits.map(|entry| entry.free(recipient).max(state.slow_for(entry))).min()?;
            let free = Mono(u64::try_from(free).unwrap_or(0));
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
            waiting: state.entries.values().filter(|entry| entry.due(recipient, moment.mono).is_some()).count() as u64,
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
    pub(super) fn kept(&self, moment: Moment) -> Vec<Kept> {
        let offset = moment.time.0.saturating_sub(at(moment.mono));
        let wall = |tried: i64| tried.saturating_add(offset);
        let entry = |entry: &Entry| KeptEntry { entry: entry.clone(), tried: entry.tried.map(wall) };
        let keep = |(recipient, state): &(Recipient, State)| Kept {
            name: recipient.name.to_string(),
            entries: state.entries.values().map(entry).collect(),
        };
        self.recipients.iter().map(keep).collect()
    }

    /// Takes what was written down before. What fires already is taken for what was told then.
    pub(super) fn restore(&mut self, kept: Vec<Kept>, moment: Moment) {
        // what was tried at a time that is to come was tried before a clock was put back
        let mono = |wall: i64| at(moment.mono).saturating_sub(moment.time.0.saturating_sub(wall).max(0));
        for one in kept {
            let is_own = |(recipient, _): &&mut (Recipient, State)| recipient.name.as_str() == one.name;
            let Some((_, state)) = self.recipients.iter_mut().find(is_own) else { continue };
            for KeptEntry { entry, tried } in one.entries.into_iter().take(MOST) {
                let old = Entry { tried: tried.map(mono), ..entry };
                match state.entries.entry(old.now.alert.clone()) {
                    btree_map::Entry::Vacant(place) => drop(place.insert(old)),
                    btree_map::Entry::Occupied(mut known) => known.get_mut().merge(&old),
                }
            }
        }
    }

    /// Takes it that alerts are over that do not fire any more, because their rule is gone.
    pub(super) fn orphan(&mut self, firing: &HashSet<(&str, &str)>, moment: Moment) {
        for entry in self.recipients.iter_mut().flat_map(|(_, state)| state.entries.values_mut()) {
            let now = &mut entry.now;
            if now.change != Change::Cleared && !firing.contains(&(now.rule.as_str(), now.instance.as_str())) {
                (now.change, now.end) = (Change::Cleared, Some(moment.time.seconds()));
                now.id = digest(&[&now.id, now.change.name()]);
            }
        }
    }
}

impl State {
    /// When somebody who is told much may be told of an alert.
    fn slow_for(&self, entry: &Entry) -> i64 {
        let is_critical = entry.now.severity == Level::Critical && !entry.is_over();
        self.slow.filter(|_| !is_critical).map_or(i64::MIN, at)
    }

    /// What was refused goes by itself, so that it is refused alone.
    fn part(&self, due: &mut Vec<(String, Change)>) {
        let is_refused = |alert: &String| self.entries.get(alert).is_some_and(|entry| entry.is_refused);
        if due.iter().any(|(alert, _)| !is_refused(alert)) {
            due.retain(|(alert, _)| !is_refused(alert));
        } else {
            due.truncate(1);
        }
    }

    fn message(
        &mut self,
        recipient: &Recipient,
        mut due: Vec<(String, Change)>,
        seq: u64,
        host: &str,
        moment: Moment,
    ) -> Order {
        let severity = |alert: &String| self.entries.get(alert).map(|entry| entry.now.severity);
        due.sort_by_cached_key(|(alert, _)| std::cmp::Reverse(severity(alert)));
        let mut message = Message { host: host.to_owned(), notifications: Vec::new(), more: due.len() as u64 };
        let (mut sent, mut room) = (Vec::new(), recipient.room);
        for (alert, change) in due.into_iter().take(TOGETHER) {
            let Some(entry) = self.entries.get_mut(&alert) else { continue };
            let one = words::short(entry.notification(change));
            // what has no room is told next
            let weight = words::weight(&one);
            if weight > room && !sent.is_empty() {
                break;
            }
            (room, message.more) = (room.saturating_sub(weight), message.more.saturating_sub(1));
            entry.tried = Some(at(moment.mono));
            let told = (!entry.is_over()).then(|| Word::of(one.severity));
            sent.push(Sent { alert, id: one.id.clone(), change, told });
            message.notifications.push(one);
        }
        self.flight = Some(Flight { seq, begin: moment.mono, has_more: message.more > 0, sent });
        Order { seq, action: recipient.name.to_string(), message }
    }

    /// Takes what came of the message that is under way; why it failed.
    fn outcome(&mut self, recipient: &Recipient, result: Result<(), Failure>, moment: Moment) -> Option<String> {
        let flight = self.flight.take()?;
        let wait = |wait: Duration| Some(Mono(moment.mono.0.saturating_add(wait.as_nanos() as u64)));
        let failure = result.err();
        let (told, all) = self.settle(&flight, failure.as_ref(), moment.mono);
        if told > 0 {
            self.last = Some(moment.time);
        }
        let longer = AGAIN.0.saturating_mul(1 << self.fails.min(16)).min(recipient.longest());
        let asked = failure.as_ref().and_then(|failure| failure.after).unwrap_or_default();
        let longer = longer.max(asked.min(LEFT_ALONE));
        let fate = failure.as_ref().filter(|_| told < all).map(|failure| failure.fate);
        let again = fate.map(|fate| match fate {
            Fate::Unsent => longer,
            Fate::Unknown => longer.max(recipient.window),
            Fate::Refused => AGAIN.1,
        });
        self.again = again.map(|again| Timestamp(moment.time.0.saturating_add(nanos(again))));
        match fate {
            None => {
                (self.fails, self.sent, self.ready) = (0, self.sent + 1, wait(PACE.0));
                let is_busy = self.paced.is_some_and(|last| moment.mono.since(last) < PACE.1.as_secs_f64());
                // what had no room comes at once
                let grows = recipient.is_person && is_busy && !flight.has_more;
                self.pace = if grows { self.pace.saturating_mul(2).min(PACE.1) } else { PACE.0 };
                (self.paced, self.slow) = (Some(moment.mono), wait(self.pace));
            }
            // what is refused as it is says nothing about the next one
            Some(Fate::Refused) => (self.failed, self.ready) = (self.failed + 1, wait(PACE.0)),
            Some(_) => (self.failed, self.fails, self.ready) = (self.failed + 1, self.fails + 1, wait(longer)),
        }
        let is_unknown = failure.as_ref().is_some_and(|failure| failure.fate == Fate::Unknown);
        self.lost = Some(flight).filter(|_| is_unknown);
        let cause = failure.map(|failure| failure.cause);
        let is_new = self.error.as_deref() != cause.as_deref();
        self.error = cause.as_deref().map(Text::from);
        cause.filter(|_| is_new)
    }

    /// Takes what came of the message before, of which nobody knew.
    fn late(&mut self, failure: Option<&Failure>, moment: Moment) {
        if let Some(flight) = self.lost.take() {
            let (told, all) = self.settle(&flight, failure, moment.mono);
            self.sent += u64::from(told == all);
        }
    }

    /// Notes what came of each change; how many were told, and of how many.
    fn settle(&mut self, flight: &Flight, failure: Option<&Failure>, mono: Mono) -> (usize, usize) {
        let mut told = 0;
        for one in &flight.sent {
            let is_told = match self.entries.get_mut(&one.alert) {
                Some(entry) => entry.ended(one, failure, mono),
                None => failure.is_none(),
            };
            told += usize::from(is_told);
        }
        (told, flight.sent.len())
    }

    /// Tries again soon what failed.
    fn hope(&mut self, moment: Moment) {
        let soon = Mono(moment.mono.0.saturating_add(SETTLED.as_nanos() as u64));
        if self.fails > 0 {
            (self.fails, self.ready) = (0, Some(soon));
        }
        let wall = Timestamp(moment.time.0.saturating_add(nanos(SETTLED)));
        self.again = self.again.map(|again| again.min(wall));
        for entry in self.entries.values_mut().filter(|entry| entry.aside.is_some()) {
            entry.aside = Some(at(soon));
        }
    }

    /// Forgets what is over and told, when its window is, and what is over and was refused.
    fn forget(&mut self, recipient: &Recipient, now: Mono) {
        let flight = &self.flight;
        let mut given_up = 0;
        self.entries.retain(|alert, entry| {
            let is_flying = flight.as_ref().is_some_and(|flight| flight.sent.iter().any(|one| one.alert == *alert));
            let waits = entry.due(recipient, now).is_some();
            let stays =
                is_flying || waits || !entry.is_over() || (entry.free(recipient) > at(now) && !entry.is_given_up());
            given_up += u64::from(!stays && entry.is_given_up());
            stays
        });
        self.dropped += given_up;
    }
}

#[cfg(test)]
mod tests;
