//! When did a state begin?

use std::collections::HashMap;
use std::hash::Hash;

use crate::collect::address::steady;
use crate::model::Timestamp;

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

    /// When a state began: as it was told, or else when it was seen for the first time after another one.
    pub(super) fn since(
        &mut self,
        key: K,
        state: Option<S>,
        told: Option<Timestamp>,
        at: Timestamp,
    ) -> Option<Timestamp> {
        let since = match self.known.get(&key) {
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
            begun.since("one", Some(state), told, now(time))
        };
        assert_eq!(seen(1, None, 100.0), None);
        assert_eq!(seen(1, None, 101.0), None);
        assert_eq!(seen(2, None, 102.0), at(102.0));
        assert_eq!(seen(2, None, 103.0), at(102.0));
        assert_eq!(seen(3, at(103.5), 104.0), at(103.5));
        assert_eq!(seen(3, at(104.0), 105.0), at(103.5), "whole seconds are rounded");
        begun.look();
        begun.look();
        assert_eq!(begun.since("one", Some(4), None, now(110.0)), None, "it was not there meanwhile");
    }
}
