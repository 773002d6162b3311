//! Which of a million connections carry the most?
//!
//! One pass over all of them keeps at most twice as many as are wanted; whatever carries less than the least of those is
//! dropped at sight. While there are more than are wanted, what each had carried is remembered in sixteen bytes, so that the
//! next pass knows what moved since and not only what was ever carried.

use std::collections::HashMap;
use std::hash::RandomState;

use crate::source::bounded::Largest;
use crate::source::conntrack::flow::Flow;

/// What is remembered is counted in units of so many bytes, so that even the fastest connection does not wrap between passes.
const UNIT_BITS: u32 = 6;
/// Connections that are remembered: what fits a hash table of 36 MB.
const MAX_KNOWN: usize = 1 << 20;

/// The connections that carry the most.
pub(super) struct Busiest {
    most: usize,
    /// With the places of their network namespaces.
    kept: Largest<Score, (usize, Flow)>,
    seen: usize,
    round: u32,
    /// Whether the last pass saw more than are wanted.
    crowded: bool,
    known: HashMap<u64, Known>,
    hasher: RandomState,
}

/// Carried since the last pass, and ever.
type Score = (u64, u64);

struct Known {
    round: u32,
    carried: u32,
}

impl Default for Busiest {
    fn default() -> Self {
        Self::new(super::MAX_ROWS)
    }
}

impl Busiest {
    fn new(most: usize) -> Self {
        let (kept, known, hasher) = (Largest::new(most), HashMap::new(), RandomState::new());
        Self { most, kept, seen: 0, round: 0, crowded: false, known, hasher }
    }

    /// Takes the connections of a network namespace as `pass` gives them; none of them if it fails.
    ///
    /// # Errors
    /// That of `pass`.
    pub(super) fn add<E>(
        &mut self,
        netns: usize,
        pass: impl FnOnce(&mut dyn FnMut(Flow)) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut seen = 0;
        let passed = pass(&mut |flow| {
            seen += 1;
            self.offer(netns, flow);
        });
        match passed {
            Ok(()) => self.seen += seen,
            Err(_) => self.kept.retain(|(place, _)| *place != netns),
        }
        passed
    }

    fn offer(&mut self, netns: usize, flow: Flow) {
        let score = self.score(&flow);
        self.kept.offer(score, (netns, flow));
    }

    fn score(&mut self, flow: &Flow) -> Score {
        let bytes = [flow.carried, flow.answered].into_iter().flatten().map(|carried| carried.bytes);
        let total = bytes.fold(0_u64, u64::saturating_add) >> UNIT_BITS;
        if !self.crowded {
            return (total, total);
        }
        #[expect(clippy::cast_possible_truncation, reason = "differences are right although what is remembered wraps")]
        let now = Known { round: self.round, carried: total as u32 };
        let key = flow.original.identity(flow.id, &self.hasher);
        let has_room = self.known.len() < MAX_KNOWN;
        let Some(known) = self.known.get_mut(&key) else {
            if !has_room {
                // all that it ever carried is nothing that moved
                return (0, total);
            }
            self.known.insert(key, now);
            return (total, total);
        };
        let moved = now.carried.wrapping_sub(known.carried);
        *known = now;
        (u64::from(moved), total)
    }

    /// Ends the pass: the connections with the places of their network namespaces, and how many have no room.
    pub(super) fn finish(&mut self) -> (Vec<(usize, Flow)>, usize) {
        let left_out = self.seen.saturating_sub(self.most);
        let mut kept = self.kept.take();
        // a connection that moves within the kernel's table meanwhile is met twice
        kept.sort_by_key(|(netns, flow)| (*netns, flow.id));
        kept.dedup_by(|a, b| (a.0, a.1.id, a.1.original) == (b.0, b.1.id, b.1.original));
        self.crowded = left_out > 0;
        if self.crowded {
            let round = self.round;
            self.known.retain(|_, known| known.round == round);
        } else {
            self.kept.shrink();
            self.known = HashMap::new();
        }
        (self.seen, self.round) = (0, self.round.wrapping_add(1));
        (kept, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::conntrack::flow::{Carried, Tuple};

    fn flow(id: u32, bytes: u64) -> Flow {
        let here = std::net::IpAddr::from([127, 0, 0, 1]);
        let tuple = Tuple { source: here, destination: here, protocol: 17, ports: None, icmp: None, zone: None };
        Flow {
            id,
            original: tuple,
            reply: tuple,
            status: 0,
            phase: None,
            mark: None,
            zone: None,
            timeout: None,
            labels: None,
            helper: None,
            carried: Some(Carried { packets: 1, bytes: bytes * 64 }),
            answered: None,
            start: None,
        }
    }

    fn pass(busiest: &mut Busiest, flows: impl IntoIterator<Item = Flow>) -> (Vec<u32>, usize) {
        let taken: Result<(), ()> = busiest.add(0, |give| {
            flows.into_iter().for_each(give);
            Ok(())
        });
        taken.unwrap();
        let (kept, left_out) = busiest.finish();
        (kept.into_iter().map(|(_, flow)| flow.id).collect(), left_out)
    }

    #[test]
    fn what_moved_lately_goes_before_what_was_carried_long_ago() {
        let mut busiest = Busiest::new(2);
        let old = |id| flow(id, 1_000_000 - u64::from(id));
        for _ in 0..2 {
            assert_eq!(pass(&mut busiest, (0..100).map(old)).0, [0, 1]);
        }
        let moved = (0..100).map(|id| if id >= 98 { flow(id, 1_000_000) } else { old(id) });
        assert_eq!(pass(&mut busiest, moved), (vec![98, 99], 98));
    }

    #[test]
    fn what_is_gone_is_forgotten_and_so_is_all_when_there_is_room() {
        let mut busiest = Busiest::new(2);
        for _ in 0..2 {
            pass(&mut busiest, (0..100).map(|id| flow(id, 1)));
        }
        assert_eq!(busiest.known.len(), 100);
        pass(&mut busiest, (0..50).map(|id| flow(id, 1)));
        assert_eq!(busiest.known.len(), 50);
        assert_eq!(pass(&mut busiest, (0..2).map(|id| flow(id, 1))), (vec![0, 1], 0));
        assert_eq!(busiest.known.capacity(), 0);
    }

    #[test]
    fn two_of_one_number_are_told_apart_by_their_addresses() {
        let mut busiest = Busiest::new(1);
        let elsewhere = |bytes: u64| {
            let mut flow = flow(7, bytes);
            flow.original.source = [192, 0, 2, 1].into();
            flow
        };
        for _ in 0..2 {
            pass(&mut busiest, [flow(1, 5), flow(7, 1), elsewhere(1000)]);
        }
        for bytes in 6..9 {
            let flows = [flow(1, bytes), flow(7, 1), elsewhere(1000)];
            assert_eq!(pass(&mut busiest, flows).0, [1], "only this one moves");
        }
    }

    #[test]
    fn of_a_pass_that_failed_nothing_is_kept() {
        let mut busiest = Busiest::new(10);
        let failed = busiest.add(1, |give| {
            give(flow(1, 9));
            Err("cut")
        });
        assert_eq!(failed, Err("cut"));
        assert_eq!(pass(&mut busiest, [flow(2, 1)]), (vec![2], 0));
    }

    #[test]
    fn a_connection_that_is_met_twice_is_one() {
        assert_eq!(pass(&mut Busiest::new(10), [flow(7, 1), flow(8, 1), flow(7, 2)]), (vec![7, 8], 0));
    }
}
