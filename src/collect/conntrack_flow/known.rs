//! What had each of a million connections counted when they were last looked at?
//!
//! A connection has a place for as long as it is met in every pass, and places stand in the order in which the kernel tells
//! connections, as far as they come and go; so those that follow one another lie side by side in memory. What is found by its
//! hash is the place, which takes five bytes; what was counted lies in one list for each counter.

use hashbrown::HashTable;

/// Connections that are remembered at most.
const MAX_KNOWN: usize = 1 << 20;

/// A key that no connection has.
const FREE: u64 = 0;

/// The places of connections.
#[derive(Default)]
pub(super) struct Known {
    places: HashTable<u32>,
    /// By place: identity of the connection, which is a hash already.
    keys: Vec<u64>,
    /// By place: pass in which it was last met.
    rounds: Vec<u32>,
    /// Places that no connection has.
    free: Vec<u32>,
    round: u32,
    /// Behind the one that was found last.
    next: usize,
}

/// Where a connection is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Where it was met in the last pass.
    Old(usize),
    /// It was met before in this one.
    Again,
    /// Here from now on.
    New(usize),
    /// There is no room for it.
    Nowhere,
}

impl Known {
    /// Makes room for so many connections: a table that grows while it is filled takes half as much again.
    pub(super) fn make_room(&mut self, all: u64) {
        let more = usize::try_from(all).unwrap_or(MAX_KNOWN).min(MAX_KNOWN).saturating_sub(self.places.len());
        let Self { places, keys, rounds, free, .. } = self;
        places.reserve(more, |place| key_at(keys, *place));
        let more = more.saturating_sub(free.len());
        keys.reserve_exact(more);
        rounds.reserve_exact(more);
    }

    /// The place of the connection with this identity, which is met.
    pub(super) fn meet(&mut self, identity: u64) -> Place {
        let key = if identity == FREE { FREE + 1 } else { identity };
        let keys = &self.keys;
        // the kernel tells most of them in the order of the last pass
        let found = if keys.get(self.next) == Some(&key) {
            Some(self.next)
        } else {
            self.places.find(key, |place| key_at(keys, *place) == key).map(|place| *place as usize)
        };
        if let Some(place) = found
            && let Some(met) = self.rounds.get_mut(place)
        {
            self.next = place + 1;
            let before = std::mem::replace(met, self.round);
            return if before == self.round { Place::Again } else { Place::Old(place) };
        }
        if self.places.len() >= MAX_KNOWN { Place::Nowhere } else { Place::New(self.settle(key)) }
    }

    /// Gives a place to one that has none.
    fn settle(&mut self, key: u64) -> usize {
        let Self { places, keys, rounds, free, round, .. } = self;
        let place = free.pop().map_or(keys.len(), |place| place as usize);
        if let (Some(known), Some(met)) = (keys.get_mut(place), rounds.get_mut(place)) {
            (*known, *met) = (key, *round);
        } else {
            keys.push(key);
            rounds.push(*round);
        }
        #[expect(clippy::cast_possible_truncation, reason = "there are MAX_KNOWN places at most")]
        places.insert_unique(key, place as u32, |place| key_at(keys, *place));
        place
    }

    /// Ends a pass: those that were not met in it have no place any more.
    pub(super) fn end_pass(&mut self) {
        let Self { places, keys, rounds, free, round, .. } = self;
        places.retain(|place| {
            let is_met = rounds.get(*place as usize) == Some(round);
            if !is_met && let Some(key) = keys.get_mut(*place as usize) {
                *key = FREE;
                free.push(*place);
            }
            is_met
        });
        (self.round, self.next) = (round.wrapping_add(1), 0);
    }

    /// Forgets all and gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

fn key_at(keys: &[u64], place: u32) -> u64 {
    keys.get(place as usize).map_or(FREE, |key| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_met_has_its_place_until_it_is_not_met_any_more() {
        let mut known = Known::default();
        let pass = |known: &mut Known, keys: &[u64]| {
            let places = keys.iter().map(|key| known.meet(*key)).collect::<Vec<_>>();
            known.end_pass();
            places
        };
        assert_eq!(pass(&mut known, &[7, 0, 8]), [Place::New(0), Place::New(1), Place::New(2)]);
        assert_eq!(pass(&mut known, &[7, 0, 8]), [Place::Old(0), Place::Old(1), Place::Old(2)]);
        assert_eq!(pass(&mut known, &[8, 9, 7, 7]), [Place::Old(2), Place::New(3), Place::Old(0), Place::Again]);
        // the place that is free now goes to the next one, and what had it is new
        assert_eq!(pass(&mut known, &[0, 10, 9]), [Place::New(1), Place::New(4), Place::Old(3)]);
        assert_eq!((known.len(), known.free.len()), (3, 2));
    }

    #[test]
    fn of_very_many_connections_all_are_found_again_and_places_are_used_again() {
        let key = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut known = Known::default();
        for pass in 0..4_u64 {
            known.make_room(10_000);
            let old = (pass * 1000..pass * 1000 + 10_000).filter(|number| match known.meet(key(*number)) {
                Place::Old(_) => true,
                Place::New(_) => false,
                other => panic!("{other:?}"),
            });
            assert_eq!(old.count(), if pass == 0 { 0 } else { 9000 });
            known.end_pass();
        }
        assert!(known.keys.len() <= 11_000, "{}", known.keys.len());
    }
}
