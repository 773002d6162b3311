//! What has a daemon told at once?

use std::collections::HashMap;

use super::ospf::{Area, Interface, MOST, Neighbor, NeighborState, Place};
use super::peer::{BfdPeer, BgpPeer, IsisAdjacency};
use crate::model::{Text, Timestamp};
use crate::source::bounded::Bounded;

/// All that a daemon has told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Why it tells of nobody, if it says so.
    pub excuse: Option<Text>,
    /// Protocols of BIRD that are not asked about.
    pub unasked: usize,
    /// Neighbors.
    pub neighbors: Bounded<Neighbor>,
    /// Interfaces.
    pub interfaces: Bounded<Interface>,
    /// Areas.
    pub areas: Bounded<Area>,
    /// Sessions of BGP.
    pub bgp: Bounded<BgpPeer>,
    /// Sessions of bidirectional forwarding detection.
    pub bfd: Bounded<BfdPeer>,
    /// Adjacencies of IS-IS.
    pub isis: Bounded<IsisAdjacency>,
}

impl Told {
    /// Nothing yet.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self {
            at,
            excuse: None,
            unasked: 0,
            neighbors: Bounded::new(MOST),
            interfaces: Bounded::new(MOST),
            areas: Bounded::new(MOST),
            bgp: Bounded::new(MOST),
            bfd: Bounded::new(MOST),
            isis: Bounded::new(MOST),
        }
    }

    /// How many neighbors, peers and sessions there are.
    pub fn neighbors(&self) -> u64 {
        let counts =
            [self.neighbors.kept().len(), self.bgp.kept().len(), self.bfd.kept().len(), self.isis.kept().len()];
        counts.iter().sum::<usize>() as u64
    }

    /// Counts the neighbors of interfaces where the daemon leaves that to others.
    pub(super) fn count_neighbors(&mut self) {
        let mut counts: HashMap<(&Place, &Text), (u64, u64)> = HashMap::new();
        for neighbor in self.neighbors.kept() {
            let (seen, adjacent) = counts.entry((&neighbor.place, &neighbor.interface)).or_default();
            *seen += 1;
            *adjacent += u64::from(neighbor.state == NeighborState::Full);
        }
        for interface in self.interfaces.kept_mut() {
            let (seen, adjacent) = counts.get(&(&interface.place, &interface.name)).copied().unwrap_or_default();
            interface.neighbors.get_or_insert(seen);
            interface.adjacent.get_or_insert(adjacent);
        }
    }
}
