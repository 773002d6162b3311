//! What fires, what is over, and what is a person told?
//!
//! [`Engine::look`] takes the newest samples: a table is looked at once for each of its samples, and its rows become alerts
//! by the rules about it. A table whose source does not answer changes nothing; one that is not there has no rows. Between
//! samples [`Engine::look`] lets time pass, so that an alert fires to the moment.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::dispatch::Firing;
use super::events::{Event, Events};
use super::instance::{Instance, Known, Step};
use super::message::{Change, Notification};
use super::rule::Rule;
use super::run::Rules;
use super::silence::Silences;
use super::watched::{Happened, Look, Watched};
use crate::collect::alert::{EventRow, What};
use crate::model::{Demand, Level, Mono, Mute, Snapshot, State, Text, Timestamp};
use crate::store::level::Thresholds;
use crate::store::rate::{Mode, View};

/// Evaluates rules.
#[derive(Debug)]
pub struct Engine {
    pub(super) watched: Vec<Watched>,
    configured: Thresholds,
    round: u64,
    pub(super) events: Events,
    pub(super) silences: Silences,
    /// Alerts whose words were written anew in this look.
    rewrites: usize,
}

/// The moment of a look.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Wall clock.
    pub time: Timestamp,
    /// Monotonic clock.
    pub mono: Mono,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { time: Timestamp::now(), mono: Mono::now() }
    }
}

/// What has happened in a look.
#[derive(Debug, Default)]
pub struct Looked {
    /// What people may be told.
    pub notifications: Vec<Notification>,
    /// Of each of them whether nobody is told.
    pub muted: Vec<bool>,
    /// Whether anything is worth writing down.
    pub changed: bool,
}

impl Engine {
    /// Nothing is known yet.
    pub fn new(rules: Rules) -> Self {
        let Rules { rules, thresholds: configured, silences } = rules;
        let facts = |rule: &Rule| {
            let own = rule.inhibited_by.iter().flat_map(|(_, equal)| equal.iter().map(|(own, _)| *own));
            let of_others = rules.iter().flat_map(|other| &other.inhibited_by).filter(|(name, _)| *name == rule.name);
            let theirs =
                of_others.flat_map(|(_, equal)| equal.iter().filter_map(|(_, name)| rule.table.position(name)));
            let mut facts: Vec<usize> = own.chain(theirs).collect();
            facts.sort_unstable();
            facts.dedup();
            facts
        };
        let facts: Vec<Vec<usize>> = rules.iter().map(facts).collect();
        let watch = |(rule, facts)| Watched::new(rule, facts);
        Self {
            watched: rules.into_iter().zip(facts).map(watch).collect(),
            configured,
            round: 0,
            events: Events::default(),
            silences,
            rewrites: 0,
        }
    }

    /// Takes other rules; alerts of those whose name and table stay go on, if the same tells them apart.
    pub fn adopt(&mut self, new: Rules) {
        let said = std::mem::take(&mut self.silences.said);
        let old = std::mem::take(&mut self.watched);
        let (events, round) = (std::mem::take(&mut self.events), self.round);
        *self = Self::new(new);
        // alerts that stay know in which look they were seen
        self.round = round;
        self.silences.said = said;
        self.events = events;
        for old in old {
            let is_same = |watched: &&mut Watched| {
                let (new, old) = (&watched.rule, &old.rule);
                new.name == old.name && new.table.name == old.table.name && new.by == old.by
            };
            if let Some(watched) = self.watched.iter_mut().find(is_same) {
                watched.take_up(old);
            }
        }
    }

    /// Which rules want to know who is at the top now: where it changes, other things must be collected.
    pub(super) fn tops(&self) -> Vec<bool> {
        self.watched.iter().map(Watched::wants_top).collect()
    }

    /// What must be collected now.
    pub(super) fn demands(&self) -> Vec<Demand> {
        self.watched.iter().flat_map(Watched::demands).collect()
    }

    /// The rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.watched.iter().map(|watched| &watched.rule)
    }

    /// What has happened, the oldest first.
    pub(super) fn happened(&self) -> Vec<EventRow> {
        let rules = || self.watched.iter().map(|watched| &watched.rule);
        let tables: HashMap<&str, Text> =
            rules().map(|rule| (rule.name.as_str(), Text::from(&*rule.table.name))).collect();
        self.events.rows(&|rule| tables.get(rule).cloned())
    }

    /// Whether alerts of a rule are about moments.
    pub(super) fn is_moment(&self, rule: &str) -> bool {
        self.watched.iter().any(|watched| watched.rule.name.as_str() == rule && watched.rule.is_moment())
    }

    /// Whether nothing fires or waits to.
    pub(super) fn is_calm(&self) -> bool {
        let mut all = self.watched.iter().flat_map(|watched| watched.instances.values());
        all.all(|one| one.level == Level::Ok && one.held[0].is_none())
    }

    /// Alerts that fire: rules and instances.
    pub(super) fn firing(&self) -> HashSet<(&str, &str)> {
        let all = self.watched.iter().flat_map(|watched| watched.instances.values().map(move |one| (watched, one)));
        let firing = all.filter(|(_, one)| one.level > Level::Ok);
        firing.map(|(watched, one)| (watched.rule.name.as_str(), one.name.as_str())).collect()
    }

    /// Alerts that fire and go on, with what is told of them: that something has happened is told when it does.
    pub(super) fn all_firing(&self, moment: Moment) -> Vec<Firing<'_>> {
        let mut all = Vec::new();
        for watched in self.watched.iter().filter(|watched| !watched.rule.is_moment()) {
            let firing = watched.instances.values().filter(|one| one.level >= watched.rule.tell.max(Level::Careful));
            all.extend(firing.map(|one| Firing {
                rule: watched.rule.name.as_str(),
                instance: one.name.as_str(),
                severity: one.level,
                told: Box::new(move || watched.notification(one, Change::Fired, moment.time)),
            }));
        }
        all
    }

    /// Alerts of which nobody is told now: rules and instances.
    pub(super) fn muted(&self, moment: Moment) -> HashSet<(&str, &str)> {
        let all = self.watched.iter().flat_map(|watched| watched.instances.values().map(move |one| (watched, one)));
        let is_muted = |(watched, one): &(&Watched, &Instance)| {
            let is_silent = || self.silences.of(&watched.rule.name, &one.name, moment.time).is_some();
            one.level > Level::Ok && (one.known.is_some() || one.is_inhibited || is_silent())
        };
        all.filter(is_muted).map(|(watched, one)| (watched.rule.name.as_str(), one.name.as_str())).collect()
    }

    /// Whether nobody is told of some changes.
    fn which_muted(&self, notifications: &[Notification], moment: Moment) -> Vec<bool> {
        let muted = self.muted(moment);
        notifications.iter().map(|one| muted.contains(&(one.rule.as_str(), one.instance.as_str()))).collect()
    }

    /// Looks at what is new since the last look.
    pub fn look(&mut self, snapshot: &Snapshot, moment: Moment) -> Looked {
        self.round += 1;
        self.rewrites = 0;
        let (mut looked, mut happened) = (Looked::default(), Vec::new());
        let mut views: BTreeMap<&'static str, View> = BTreeMap::new();
        for at in 0..self.watched.len() {
            let Some(watched) = self.watched.get_mut(at) else { continue };
            let name = watched.rule.table.name.as_ref();
            let Some(state) = snapshot.get(name) else { continue };
            let name: &'static str = match &watched.rule.table.name {
                std::borrow::Cow::Borrowed(name) => name,
                std::borrow::Cow::Owned(_) => continue,
            };
            let now = state.now.as_ref().filter(|now| state.status.state == State::Ok && !watched.has_seen(now.mono));
            let view =
                now.map(|now| &*views.entry(name).or_insert_with(|| View::new(now, state.before.as_ref(), Mode::Rate)));
            let mut changes = Vec::new();
            let mut look = Look {
                configured: &self.configured,
                round: self.round,
                moment,
                rewrites: &mut self.rewrites,
                changes: &mut changes,
            };
            match view {
                Some(view) => watched.rows(view, &mut look),
                None if state.status.state == State::Absent => watched.nothing(&mut look),
                None => {}
            }
            watched.settle(view, &mut look);
            for change in changes {
                looked.changed = true;
                let notification = watched.told(&change, snapshot, moment);
                happened.push(event(&notification, &change, moment));
                looked.notifications.push(notification);
            }
        }
        self.inhibit();
        if !happened.is_empty() {
            looked.muted = self.which_muted(&looked.notifications, moment);
            for ((event, one), is_muted) in happened.into_iter().zip(&looked.notifications).zip(&looked.muted) {
                let told = one.severity >= one.tell && !is_muted;
                self.events.note(Event { told: Some(told), ..event });
            }
        }
        self.silences.forget(moment.time);
        looked
    }

    /// When something happens by itself.
    pub fn due(&self) -> Option<Mono> {
        self.watched.iter().filter_map(Watched::due).min()
    }

    /// Marks alerts that others make needless.
    fn inhibit(&mut self) {
        let needless: Vec<Vec<bool>> = self.watched.iter().map(|watched| watched.needless(&self.watched)).collect();
        for (watched, needless) in self.watched.iter_mut().zip(needless) {
            for (one, is_needless) in watched.instances.values_mut().zip(needless) {
                one.is_inhibited = is_needless;
            }
        }
    }

    /// Heeds what somebody has said of an alert; whether there is one.
    pub fn mute(&mut self, user: &Text, mute: &Mute, moment: Moment) -> bool {
        let mut of_rule = self.watched.iter_mut().filter(|watched| watched.rule.name == mute.rule);
        // what was said of a rule that is gone can be taken back
        let watched = match of_rule.next() {
            None if !mute.lift => return false,
            watched => watched,
        };
        let one = watched.and_then(|watched| watched.named(&mute.instance)).filter(|one| one.level > Level::Ok);
        let level = one.as_ref().map_or(Level::Ok, |one| one.level);
        let what = match (mute.lift, mute.until) {
            (true, _) => {
                let lifted = one.is_some_and(|one| one.known.take().is_some());
                let spoken = self.silences.lift(&mute.rule, &mute.instance);
                if !(lifted || spoken) {
                    return false;
                }
                What::Unmuted
            }
            (false, Some(_)) => {
                self.silences.add(user, mute);
                What::Silenced
            }
            (false, None) => {
                let Some(one) = one else { return false };
                one.known = Some(Known { user: user.clone(), comment: mute.comment.clone() });
                What::Acknowledged
            }
        };
        let said = mute.comment.as_ref().map_or(String::new(), |comment| format!(": {comment}"));
        self.events.note(Event {
            time: moment.time,
            what,
            severity: level,
            rule: mute.rule.clone(),
            instance: mute.instance.clone(),
            value: None,
            duration: None,
            told: None,
            text: Text::from(format!("{user}{said}")),
        });
        true
    }
}

fn event(notification: &Notification, change: &Happened, moment: Moment) -> Event {
    Event {
        time: moment.time,
        what: match notification.change {
            Change::Fired | Change::Still => What::Fired,
            Change::Worse => What::Worse,
            Change::Better => What::Better,
            Change::Cleared => What::Cleared,
        },
        severity: notification.severity,
        rule: notification.rule.as_str().into(),
        instance: notification.instance.as_str().into(),
        value: notification.value.as_deref().map(Text::from),
        told: None,
        duration: (change.step == Step::Cleared).then(|| moment.time.seconds() - notification.begin),
        text: notification.text.as_str().into(),
    }
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "what `table!` declares is public")]
mod tests;
