//! Which rows of a table are alerts of a rule?

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::engine::Moment;
use super::instance::{Instance, Pace, Step};
use super::look::{self, Found, How};
use super::names;
use super::past::Past;
use super::rule::{Rule, Test};
use super::told::write;
use crate::model::{Demand, Key, Level, Mono, Text, Timestamp};
use crate::store::expr::Filter;
use crate::store::level::Thresholds;
use crate::store::rate::View;

/// Alerts of one rule at most, with those that are watched for what they were.
pub(super) const MOST: usize = 16_384;

/// How long an alert that is over is shown.
pub(super) const SHOWN: Duration = Duration::from_mins(10);

/// How long after a start a table or a row that is not there may be one that is not there yet.
const START: Duration = Duration::from_mins(1);

/// How long nothing may be known before time counts no more: where the interval of its table is not known yet, and at least.
const UNKNOWN: Duration = Duration::from_mins(1);
const LEAST: Duration = Duration::from_secs(10);

/// How often the words of an alert that goes on are written anew, and where a rule has many.
const REWRITE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Words that are written anew in one look at most: transitions always are.
const REWRITES: usize = 256;

/// A rule and its alerts.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) rule: Rule,
    pub(super) instances: HashMap<Key, Instance>,
    /// Whose each name is: people and recipients tell alerts apart by them.
    pub(super) names: HashMap<Text, Key>,
    /// What rows have been, for rules that look at that.
    pub(super) pasts: HashMap<Key, Past>,
    /// Number of the newest entry of a log that was seen.
    pub(super) newest: Option<u64>,
    /// Columns that tell which alerts make which others needless.
    pub(super) facts: Vec<usize>,
    /// How many alerts there was no room for at the last look.
    pub(super) left_out: u64,
    /// How many alerts the last look has met.
    met: usize,
    /// When alerts of before a restart were taken up.
    pub(super) kept: Option<Mono>,
    /// When its table was sampled last, and how long before that it was.
    pub(super) sampled: Option<(Mono, Option<Duration>)>,
}

/// One look at one rule.
pub(super) struct Look<'a> {
    pub(super) configured: &'a Thresholds,
    pub(super) round: u64,
    pub(super) moment: Moment,
    pub(super) rewrites: &'a mut usize,
    pub(super) changes: &'a mut Vec<Happened>,
}

/// What has happened to an alert.
#[derive(Debug)]
pub(super) struct Happened {
    pub(super) key: Key,
    pub(super) step: Step,
}

/// What the rows of a group say together.
pub(super) struct Together {
    pub(super) row: usize,
    pub(super) count: u64,
    pub(super) found: Found,
}

impl Together {
    /// Takes another row: the worst of them speaks for all.
    fn add(&mut self, row: usize, found: Found) {
        self.count += 1;
        let (level, known) = (found.level, self.found.level);
        if level > known || (level == known && worse(&found, &self.found)) {
            (self.row, self.found) = (row, found);
        }
    }
}

impl Watched {
    /// A rule of which nothing is known yet.
    pub(super) fn new(rule: Rule, facts: Vec<usize>) -> Self {
        let (instances, names, pasts) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { rule, instances, names, pasts, newest: None, facts, left_out: 0, met: 0, kept: None, sampled: None }
    }

    /// Takes up what was known of the same rule before it was written anew.
    pub(super) fn take_up(&mut self, old: Self) {
        if self.rule.written == old.rule.written {
            self.pasts = old.pasts;
        }
        (self.instances, self.names, self.newest) = (old.instances, old.names, old.newest);
        self.kept = old.kept;
        // another rule looks at what is there anew
        self.sampled = old.sampled.filter(|_| self.rule.written == old.rule.written);
        for one in self.instances.values_mut() {
            // what no rule says any more no look takes back
            (one.is_inhibited, one.written) = (false, None);
            if self.facts != old.facts {
                one.facts.clear();
            }
        }
    }

    /// Takes an alert that was written down.
    pub(super) fn restore(&mut self, key: Key, mut one: Instance, now: Mono) {
        self.kept = Some(now);
        if one.facts.len() != self.facts.len() {
            one.facts.clear();
        }
        if self.instances.len() < MOST {
            self.names.insert(one.name.clone(), key.clone());
            self.instances.insert(key, one);
        }
    }

    /// The alert of a name.
    pub(super) fn named(&mut self, name: &Text) -> Option<&mut Instance> {
        self.instances.get_mut(self.names.get(name)?)
    }

    /// For each alert whether one of another rule makes it needless; nothing where no rule does.
    pub(super) fn needless(&self, all: &[Self]) -> Vec<bool> {
        if self.instances.is_empty() {
            return Vec::new();
        }
        let mut causes = Vec::new();
        for (name, equal) in &self.rule.inhibited_by {
            for other in all.iter().filter(|other| other.rule.name == *name) {
                let own = equal.iter().map(|(own, _)| self.fact(*own));
                let theirs = equal.iter().map(|(_, theirs)| other.fact(other.rule.table.position(theirs)?));
                let (Some(own), Some(theirs)) =
                    (own.collect::<Option<Vec<usize>>>(), theirs.collect::<Option<Vec<usize>>>())
                else {
                    continue;
                };
                let firing = other.instances.values().filter(|one| one.level > Level::Ok);
                let found: HashSet<Vec<&str>> = firing.filter_map(|one| one.facts(&theirs)).collect();
                causes.push((own, found));
            }
        }
        let is_needless = |one: &Instance| {
            causes.iter().any(|(own, found)| one.facts(own).is_some_and(|facts| found.contains(&facts)))
        };
        if causes.is_empty() { Vec::new() } else { self.instances.values().map(is_needless).collect() }
    }

    /// Where a column stands among the facts of an alert.
    fn fact(&self, column: usize) -> Option<usize> {
        self.facts.binary_search(&column).ok()
    }

    fn pace(&self) -> Pace {
        let interval = self.sampled.and_then(|(_, interval)| interval);
        let patience = interval.map_or(UNKNOWN, |interval| interval.saturating_mul(3).max(LEAST));
        Pace { lasts: self.rule.lasts, of: self.rule.of, calm: self.rule.calm, patience }
    }

    /// Whether it has looked at the sample of a moment.
    pub(super) fn has_seen(&self, mono: Mono) -> bool {
        self.sampled.is_some_and(|(last, _)| last == mono)
    }

    /// Takes that its table was sampled. One that was late does not make the next one late, too, and one that was early not early.
    fn sampled(&mut self, mono: Mono) {
        let interval = self.sampled.map(|(last, before)| {
            let now = Duration::from_secs_f64(mono.since(last).max(0.0));
            before.map_or(now, |before| now.clamp(before / 2, before.saturating_mul(2)))
        });
        self.sampled = Some((mono, interval));
    }

    /// Whether alerts of before a restart may be about what is not there yet.
    fn is_fresh(&self, mono: Mono) -> bool {
        self.kept.is_some_and(|kept| mono.since(kept) < START.as_secs_f64())
    }

    /// What must be collected for it now: who is at the top only while that may be told.
    pub(super) fn demands(&self) -> impl Iterator<Item = Demand> {
        let top = self.wants_top().then(|| self.rule.of_top());
        self.rule.demands().iter().cloned().chain(top.into_iter().flatten())
    }

    /// Whether it may soon be told who is at the top.
    pub(super) fn wants_top(&self) -> bool {
        let is_active = || self.instances.values().any(|one| one.level > Level::Ok || one.held[0].is_some());
        !self.rule.top.is_empty() && is_active()
    }

    /// The key of a row's alert.
    fn key(&self, view: &View, row: usize) -> Key {
        match &self.rule.by {
            None => view.key(row),
            Some(by) => Key::from_cells(by.iter().map(|column| view.raw().cell(row, *column))),
        }
    }

    /// Whether an alert is of rows that are there.
    fn is_of_rows(&self) -> bool {
        matches!(self.rule.test, Test::Value(_) | Test::When { .. } | Test::Changes { .. })
    }

    /// Whether a row must be known while it is there.
    fn misses(&self) -> bool {
        matches!(self.rule.test, Test::Gone { .. })
    }

    /// Looks at all rows of a table.
    pub(super) fn rows(&mut self, view: &View, look: &mut Look<'_>) {
        (self.left_out, self.met) = (0, 0);
        self.sampled(view.sample().mono);
        if let Test::Happens { when, .. } = &self.rule.test {
            let when = when.clone();
            return self.log(view, when.as_ref(), look);
        }
        let keeps = |row: &usize| self.rule.rows.as_ref().is_none_or(|filter| filter.keeps(&view.scope(*row)));
        let rows: Vec<usize> = (0..view.len()).filter(keeps).collect();
        if let Test::Count { .. } = self.rule.test {
            return self.count(view, &rows, look);
        }
        let (is_grouped, misses, pace) = (self.rule.by.is_some(), self.misses(), self.pace());
        let (mut groups, mut new): (HashMap<Key, Together>, Vec<(Key, Together)>) = Default::default();
        for row in rows {
            let is_well = |found: &Found| found.level.is_none_or(|level| level == Level::Ok);
            if self.instances.is_empty() && !(is_grouped || misses || self.rule.recalls()) {
                // most rows of most rules are well
                let found = self.found(None, view, row, look);
                if is_well(&found) {
                    continue;
                }
            }
            let key = self.key(view, row);
            let one = self.instances.get_mut(&key).map(|one| {
                one.resume(pace, look.moment.mono);
                one.level.max(one.now())
            });
            let found = self.found(one, view, row, look);
            if !is_grouped {
                let together = Together { row, count: 1, found };
                if one.is_some() {
                    self.take(&key, true, view, &together, look);
                } else if misses || !is_well(&together.found) {
                    new.push((key, together));
                }
                continue;
            }
            match groups.get_mut(&key) {
                Some(known) => known.add(row, found),
                None => drop(groups.insert(key, Together { row, count: 1, found })),
            }
        }
        for (key, together) in groups {
            if self.instances.contains_key(&key) {
                self.take(&key, true, view, &together, look);
            } else {
                new.push((key, together));
            }
        }
        // last, when it is known which of the others are there
        for (key, together) in new {
            self.take(&key, false, view, &together, look);
        }
        self.pasts.retain(|_, past| past.round == look.round);
        self.others(look, None);
    }

    /// Looks at one row; how bad its alert is until now, if it has one.
    fn found(&mut self, current: Option<Level>, view: &View, row: usize, look: &Look<'_>) -> Found {
        let current = current.unwrap_or_default();
        let mut how = How { configured: look.configured, current, past: None, mono: look.moment.mono };
        if self.rule.recalls() {
            let (own, pace) = (view.key(row), self.pace());
            if self.pasts.len() >= MOST && !self.pasts.contains_key(&own) {
                self.left_out += 1;
                return Found::default();
            }
            let past = self.pasts.entry(own).or_default();
            if std::mem::replace(&mut past.round, look.round) == look.round {
                // of two rows of one key nobody can tell which of them it was
                return Found::default();
            }
            past.resume(pace.patience, look.moment.mono);
            how.past = Some(past);
        }
        look::row(&self.rule, view, row, how)
    }

    /// Looks at how many rows there are.
    fn count(&mut self, view: &View, rows: &[usize], look: &mut Look<'_>) {
        let mut groups: HashMap<Key, Together> = HashMap::new();
        // a table without a row has too few of them, too
        let is_whole = self.rule.by.as_ref().is_none_or(Vec::is_empty);
        if is_whole {
            groups.insert(Key::default(), Together { row: usize::MAX, count: 0, found: Found::default() });
        }
        for row in rows {
            let key = if is_whole { Key::default() } else { self.key(view, *row) };
            let one = groups.entry(key).or_insert_with(|| Together { row: *row, count: 0, found: Found::default() });
            one.count += 1;
        }
        for (key, mut together) in groups {
            together.found = self.counted(together.count);
            self.take(&key, self.instances.contains_key(&key), view, &together, look);
        }
        let none = self.counted(0);
        self.others(look, Some(&none));
    }

    fn counted(&self, count: u64) -> Found {
        let Test::Count { min, max, severity } = self.rule.test else { return Found::default() };
        let level = if (min..=max).contains(&count) { Level::Ok } else { severity };
        Found { level: Some(level), value: Some(count as f64), low_is_bad: count < min, ..Found::default() }
    }

    /// Looks at what is new in a log.
    fn log(&mut self, view: &View, when: Option<&Filter>, look: &mut Look<'_>) {
        let seq = |row: usize| view.raw().cell(row, view.table().ids().next().unwrap_or(0)).count();
        let newest = (0..view.len()).filter_map(seq).max();
        let Some(seen) = self.newest else {
            // what happened before anybody watched is the past
            self.newest = Some(newest.unwrap_or(0));
            return;
        };
        // a log that was begun anew counts from the start
        let seen = if newest.is_some_and(|newest| newest < seen) { 0 } else { seen };
        self.newest = newest.or(self.newest);
        let rows = self.rule.rows.clone();
        for row in (0..view.len()).filter(|row| seq(*row).is_some_and(|seq| seq > seen)) {
            let scope = view.scope(row);
            if ![rows.as_ref(), when].into_iter().flatten().all(|filter| filter.keeps(&scope)) {
                continue;
            }
            let found = self.found(None, view, row, look);
            let key = if self.rule.by.is_none() { Key::default() } else { self.key(view, row) };
            self.take(&key, self.instances.contains_key(&key), view, &Together { row, count: 1, found }, look);
        }
        self.others(look, None);
    }

    /// Of a table that is not there.
    pub(super) fn nothing(&mut self, look: &mut Look<'_>) {
        // right after a start nobody knows
        if self.is_fresh(look.moment.mono) {
            return;
        }
        let none = matches!(self.rule.test, Test::Count { .. }).then(|| self.counted(0));
        self.met = 0;
        self.others(look, none.as_ref());
    }

    /// Takes what the row of an alert says, which may be known already.
    fn take(&mut self, key: &Key, is_known: bool, view: &View, together: &Together, look: &mut Look<'_>) {
        let found = &together.found;
        let is_bad = found.level.is_some_and(|level| level > Level::Ok);
        if !is_known && (is_bad || self.misses()) {
            self.open(key, view, together.row, look);
        }
        let pace = self.pace();
        let rewrite = if self.instances.len() <= REWRITES { REWRITE.0 } else { REWRITE.1 };
        let Some(one) = self.instances.get_mut(key) else { return };
        self.met += usize::from(one.round != look.round);
        (one.round, one.seen) = (look.round, Some(look.moment.mono));
        one.limit = found.limit.or(one.limit);
        one.sample(found.level, pace, look.moment.mono, look.moment.time);
        one.measure(found.value, found.low_is_bad);
        let was_down = one.down.is_some();
        let step = one.settle(pace, look.moment.mono, look.moment.time);
        // what happened in a moment is told as it was then
        let is_moment = self.rule.is_moment();
        // one that comes back is told with what it came back to, whenever it is over
        let turns = was_down != one.down.is_some() && !is_moment;
        let is_old = one.written.is_none_or(|written| look.moment.mono.since(written) >= rewrite.as_secs_f64());
        let goes_on = is_old && !is_moment && *look.rewrites < REWRITES;
        // of one that is gone nobody can say more than was said before
        let matters = one.level > Level::Ok || one.held[0].is_some() || matches!(self.rule.test, Test::Gone { .. });
        if step != Step::Same || turns || (matters && goes_on) || (is_bad && is_moment) {
            *look.rewrites += 1;
            write(&self.rule, &self.facts, one, view, together, look.moment.mono);
        }
        if step != Step::Same {
            look.changes.push(Happened { key: key.clone(), step });
        }
    }

    /// Makes room for an alert.
    fn open(&mut self, key: &Key, view: &View, row: usize, look: &Look<'_>) {
        if self.instances.contains_key(key) {
            return;
        }
        if self.instances.len() >= MOST {
            self.left_out += 1;
            return;
        }
        let mut name = names::name(&self.rule, view, row);
        if let Some(other) = self.names.get(&name).cloned() {
            // one of before a restart may come later
            let waits = self.is_fresh(look.moment.mono);
            let may_go = |one: &Instance| one.round != look.round && !(waits && one.round == 0);
            let is_gone = self.is_of_rows() && self.instances.get(&other).is_some_and(may_go);
            if let Some(old) = is_gone.then(|| self.instances.remove(&other)).flatten() {
                // what was started again is the same to people, and is told less and less
                self.names.insert(name, key.clone());
                self.instances.insert(key.clone(), old.again());
                return;
            }
            name = names::another(&self.rule, &name, key, (view, row), |name| self.names.contains_key(name));
        }
        self.names.insert(name.clone(), key.clone());
        self.instances.insert(key.clone(), Instance::new(name, look.moment.time));
    }

    /// Those whose rows were not there, who say this.
    fn others(&mut self, look: &mut Look<'_>, none: Option<&Found>) {
        if self.met == self.instances.len() {
            return;
        }
        let pace = self.pace();
        let moment = look.moment;
        // who was known before a restart may come later than others
        let waits = self.is_fresh(moment.mono);
        let absent = |one: &Instance| one.round != look.round && !(waits && one.round == 0);
        for (key, one) in self.instances.iter_mut().filter(|(_, one)| absent(one)) {
            let mut level = none.map_or(Level::Ok, |none| none.level.unwrap_or_default());
            if let Test::Gone { keep, severity } = &self.rule.test {
                let is_missed = one.seen.is_some_and(|seen| moment.mono.since(seen) <= keep.as_secs_f64());
                level = if is_missed { *severity } else { Level::Ok };
            }
            one.sample(Some(level), pace, moment.mono, moment.time);
            if let Some(none) = none {
                one.measure(none.value, none.low_is_bad);
            }
            let step = one.settle(pace, moment.mono, moment.time);
            if step != Step::Same {
                look.changes.push(Happened { key: key.clone(), step });
            }
        }
    }

    /// Lets time pass for those whose table was not sampled, and forgets those that are over.
    pub(super) fn settle(&mut self, view: Option<&View>, look: &mut Look<'_>) {
        let pace = self.pace();
        let moment = look.moment;
        if view.is_none() {
            for (key, one) in &mut self.instances {
                let step = one.settle(pace, moment.mono, moment.time);
                if step != Step::Same {
                    look.changes.push(Happened { key: key.clone(), step });
                }
            }
        }
        let misses = self.misses();
        let (round, seen) = (look.round, view.is_some());
        let names = &mut self.names;
        self.instances.retain(|_, one| {
            let is_active = one.level > Level::Ok || one.held[0].is_some() || one.counts(pace);
            // a clock that was put back makes nobody wait for longer
            let ended =
                |end: Timestamp| (-60.0..SHOWN.as_secs_f64()).contains(&(moment.time.seconds() - end.seconds()));
            let is_shown = one.end.is_some_and(ended);
            let is_there = misses && (one.round == round || !seen);
            let stays = is_active || is_shown || !one.fires.is_empty() || is_there;
            if !stays {
                names.remove(&one.name);
            }
            stays
        });
    }

    pub(super) fn due(&self) -> Option<Mono> {
        let pace = self.pace();
        self.instances.values().filter_map(|one| one.due(pace)).min()
    }
}

fn worse(a: &Found, b: &Found) -> bool {
    match (a.value, b.value) {
        (Some(a_value), Some(b_value)) if a.low_is_bad => a_value < b_value,
        (Some(a_value), Some(b_value)) => a_value > b_value,
        (a_value, b_value) => a_value.is_some() && b_value.is_none(),
    }
}
