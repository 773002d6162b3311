//! When did a state begin?

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::collect::address::steady;
use crate::model::Timestamp;

/// Longest day, when clocks are put back.
const DAY: Duration = Duration::from_hours(25);

/// What is known of a thing: its state, when that began as it was published, and in which look it was seen last.
struct Known<S> {
    state: Option<S>,
    since: Option<Timestamp>,
    seen: u64,
}

/// States of things by their keys.
pub(super) struct Begun<K, S> {
    known: HashMap<K, Known<S>>,
    look: u64,
}

impl<K, S> Default for Begun<K, S> {
    fn default() -> Self {
        Self { known: HashMap::new(), look: 0 }
    }
}

impl<K: Eq + Hash, S: Copy + PartialEq> Begun<K, S> {
    /// Begins to look at all of them, and forgets those that were not there the last time.
    pub(super) fn look(&mut self) {
        let last = self.look;
        self.known.retain(|_, known| known.seen == last);
        self.look = last.wrapping_add(1);
    }

    /// When a state began: as it was told, or else when it was seen for the first time after another one. What is told of a day
    /// only (`true`) is that of before, if that was in this day.
    pub(super) fn since(
        &mut self,
        key: K,
        state: Option<S>,
        (told, is_day): (Option<Timestamp>, bool),
        at: Timestamp,
    ) -> Option<Timestamp> {
        let in_day = |since: Timestamp| told.is_some_and(|told| (told..told.after(DAY)).contains(&since));
        let since = match self.known.get(&key) {
            Some(Known { since: Some(since), .. }) if is_day && in_day(*since) => Some(*since),
            Some(known) if known.state == state => steady(known.since, told.or(known.since)),
            Some(_) => told.or(Some(at)),
            None => told,
        };
        self.known.insert(key, Known { state, since, seen: self.look });
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_begins_when_it_is_told_or_seen_after_another() {
        let at = |seconds: f64| Some(Timestamp::from_seconds(seconds));
        let now = |seconds: f64| Timestamp::from_seconds(seconds);
        let mut begun = Begun::default();
        let mut seen = |state: u8, told, time| {
            begun.look();
            begun.since("one", Some(state), (told, false), now(time))
        };
        assert_eq!(seen(1, None, 100.0), None);
        assert_eq!(seen(1, None, 101.0), None);
        assert_eq!(seen(2, None, 102.0), at(102.0));
        assert_eq!(seen(2, None, 103.0), at(102.0));
        assert_eq!(seen(3, at(103.5), 104.0), at(103.5));
        assert_eq!(seen(3, at(104.0), 105.0), at(103.5), "whole seconds are rounded");
        begun.look();
        begun.look();
        assert_eq!(begun.since("one", Some(4), (None, false), now(110.0)), None, "it was not there meanwhile");
    }

    #[test]
    fn of_a_day_that_is_told_the_time_of_before_stays() {
        let at = |hours: u64| Timestamp::from_seconds(0.0).after(Duration::from_hours(hours));
        let mut begun = Begun::default();
        let mut seen = |state: u8, told, is_day, time| {
            begun.look();
            begun.since("one", Some(state), (Some(told), is_day), time)
        };
        assert_eq!(seen(1, at(240), true, at(270)), Some(at(240)));
        assert_eq!(seen(2, at(271), false, at(272)), Some(at(271)));
        assert_eq!(seen(2, at(264), true, at(292)), Some(at(271)));
        assert_eq!(seen(3, at(264), true, at(293)), Some(at(271)), "who tries in vain changes its state in turns");
        assert_eq!(seen(3, at(288), true, at(314)), Some(at(288)));
    }
}
