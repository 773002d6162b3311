//! What do readers see of alerts?

use std::cmp::Reverse;

use super::engine::{Engine, Moment};
use super::instance::Instance;
use super::watched::{SHOWN, Watched};
use super::words;
use crate::collect::alert::{AlertRow, AlertState, Severity};
use crate::model::{Level, Text};

/// Alerts that readers are shown at most, the worst ones.
const MOST: usize = 1024;

impl Engine {
    /// What is known of alerts now, the worst first: those that fire, those that will unless it changes, and those that were
    /// over a short time ago.
    pub fn rows(&self, moment: Moment) -> Vec<AlertRow> {
        let mut found: Vec<(&Watched, &Instance, AlertState)> = Vec::new();
        for watched in &self.watched {
            for one in watched.instances.values() {
                if let Some(state) = self.state(watched, one, moment) {
                    found.push((watched, one, state));
                }
            }
        }
        let rank = |a: &(&Watched, &Instance, AlertState), b: &(&Watched, &Instance, AlertState)| {
            let standing = |(_, one, state): &(&Watched, &Instance, AlertState)| {
                (one.level == Level::Ok, *state as u8, Reverse(one.last), Reverse(one.since))
            };
            let names = || (&a.0.rule.name, &a.1.name).cmp(&(&b.0.rule.name, &b.1.name));
            standing(a).cmp(&standing(b)).then_with(names)
        };
        if found.len() > MOST {
            found.select_nth_unstable_by(MOST, rank);
            found.truncate(MOST);
        }
        found.sort_unstable_by(rank);
        found.into_iter().map(|(watched, one, state)| self.row(watched, one, state, moment)).collect()
    }

    /// How an alert fares; `None` of what is not shown.
    pub(super) fn state(&self, watched: &Watched, one: &Instance, moment: Moment) -> Option<AlertState> {
        if one.level == Level::Ok {
            let is_shown = |end: crate::model::Timestamp| moment.time.seconds() - end.seconds() < SHOWN.as_secs_f64();
            return match one.end {
                _ if one.is_pending() => Some(AlertState::Pending),
                Some(end) if is_shown(end) => Some(AlertState::Over),
                _ => None,
            };
        }
        let state = if one.known.is_some() {
            AlertState::Acknowledged
        } else if self.silences.of(&watched.rule.name, &one.name, moment.time).is_some() {
            AlertState::Silenced
        } else if one.is_inhibited {
            AlertState::Inhibited
        } else {
            AlertState::Firing
        };
        Some(state)
    }

    fn row(&self, watched: &Watched, one: &Instance, state: AlertState, moment: Moment) -> AlertRow {
        let rule = &watched.rule;
        let unit = rule.unit();
        let number = |value: f64| Text::from(words::number(value, rule.table, unit));
        let silence = self.silences.of(&rule.name, &one.name, moment.time).filter(|_| one.level > Level::Ok);
        let known = one.known.as_ref();
        let said = silence.as_ref();
        // one that waits has no severity that was told
        let level = if one.level == Level::Ok && one.is_pending() { one.now() } else { one.last };
        AlertRow {
            rule: rule.name.clone(),
            instance: one.name.clone(),
            severity: Severity::of(level),
            state,
            since: one.since,
            fired: one.fired,
            end: one.end,
            value: one.value.map(number),
            peak: one.peak.map(number),
            number: one.value,
            flaps: u64::from(one.flaps),
            table: Text::from(&*rule.table.name),
            top: (!one.top.is_empty()).then(|| Text::from(one.top.join(", "))),
            user: known.map(|known| known.user.clone()).or_else(|| said.and_then(|said| said.user.clone())),
            until: said.map(|said| said.until),
            comment: known
                .and_then(|known| known.comment.clone())
                .or_else(|| said.and_then(|said| said.comment.clone())),
            text: one.text.clone(),
        }
    }
}
