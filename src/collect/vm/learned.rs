//! Which addresses do guests have?
//!
//! The forwarding table of a bridge says which Ethernet addresses are behind a tap, and the neighbors of the host, in each network
//! namespace that is read, which addresses of IP those have. Who is behind a tap that is no port of a bridge is a neighbor on
//! that tap itself. A guest may say what it likes: what two of them seem to have is neither's, and each has so many at most.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::collect::Cx;
use crate::collect::conntrack_flow::ConntrackFlowRow;
use crate::collect::conntrack_flow::group::ConntrackGroupRow;
use crate::collect::everywhere::Everywhere;
use crate::collect::vm::nic::VmNicRow;
use crate::model::{Guests, Mac, Text};
use crate::source::Error;
use crate::source::netlink::Family;
use crate::source::netlink::common::Common;
use crate::source::netlink::neighbor::{self, Neighbor};
use crate::source::netlink::route::IfIndex;
use crate::source::netns;

/// Addresses of each sort that are kept of a tap.
const MAX_EACH: usize = 64;

/// Samples until it is looked again, while somebody looks at what is learned, and otherwise.
const TURNS: [u32; 2] = [2, 8];

/// `NUD_PERMANENT`: an address of the port itself.
const PERMANENT: u16 = 0x80;

/// `NUD_INCOMPLETE`, `NUD_FAILED` and `NUD_NOARP`: nobody has answered there.
const NOBODY: u16 = 0x01 | 0x20 | 0x40;

/// Whose a tap is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pid: u32,
    pub(super) name: Text,
}

/// What is behind a tap.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// With the VLAN that each is in.
    macs: BTreeMap<Mac, Option<u16>>,
    pub(super) addresses: BTreeSet<IpAddr>,
}

impl Behind {
    pub(super) fn mac(&self) -> Option<Mac> {
        self.macs.keys().next().copied()
    }

    pub(super) fn vlan(&self) -> Option<u32> {
        self.macs.values().next().copied().flatten().map(u32::from)
    }

    fn meet(&mut self, mac: Mac, vlan: Option<u16>) {
        if self.macs.len() < MAX_EACH {
            self.macs.entry(mac).or_insert(vlan);
        }
    }
}

/// What was learned last.
#[derive(Default)]
pub(super) struct Learned {
    bridges: Option<Common>,
    neighbors: Everywhere<Common>,
    taps: BTreeMap<IfIndex, Owner>,
    behind: BTreeMap<IfIndex, Behind>,
    guests: Arc<Guests>,
    /// Samples since it was learned.
    age: u32,
}

impl Learned {
    /// Learns what is behind these taps, if it is time to or they are others than before.
    ///
    /// # Errors
    /// The kernel did not answer.
    pub(super) fn learn(&mut self, cx: &Cx<'_>, taps: BTreeMap<IfIndex, Owner>) -> Result<(), Error> {
        if taps.is_empty() {
            *self = Self::default();
            return Ok(());
        }
        let wanted = [ConntrackFlowRow::TABLE, ConntrackGroupRow::TABLE, VmNicRow::TABLE];
        let turns = TURNS.map(|turns| self.age.saturating_add(1) >= turns);
        let is_due = if wanted.iter().any(|table| cx.wants.table(table).is_some()) { turns[0] } else { turns[1] };
        if !is_due && taps == self.taps {
            self.age += 1;
            return Ok(());
        }
        let mut seen = Seen::new(&taps);
        let bridges = self.bridges.take().map_or_else(open, Ok)?;
        bridges.with(|socket| neighbor::each(socket, libc::AF_BRIDGE, |entry| seen.forwarded(entry.as_ref())))?;
        self.bridges = Some(bridges);
        let whose = seen.whose();
        let here = netns::host();
        // who cannot be entered is told by those whose tables have rows of each namespace
        let _troubles = self.neighbors.follow(cx, open, |netns, common| {
            let is_here = *netns == here;
            common.with(|socket| {
                neighbor::each(socket, libc::AF_UNSPEC, |entry| seen.neighbor(netns, is_here, &whose, entry.as_ref()))
            })
        })?;
        let (behind, guests) = seen.finish(&whose);
        (self.taps, self.behind, self.guests, self.age) = (taps, behind, Arc::new(guests), 0);
        Ok(())
    }

    /// What is behind a tap.
    pub(super) fn behind(&self, tap: IfIndex) -> Option<&Behind> {
        self.behind.get(&tap)
    }

    /// What guests have.
    pub(super) fn guests(&self) -> Arc<Guests> {
        Arc::clone(&self.guests)
    }
}

fn open() -> Result<Common, Error> {
    Common::open(Family::Route)
}

/// The tap behind which an Ethernet address is; `None` where two guests have it.
type Whose = HashMap<Mac, Option<IfIndex>>;

/// What is seen in one look.
struct Seen<'a> {
    taps: &'a BTreeMap<IfIndex, Owner>,
    behind: BTreeMap<IfIndex, Behind>,
    /// By network namespace; `None` where two guests have it.
    addresses: HashMap<Text, BTreeMap<IpAddr, Option<&'a Owner>>>,
}

impl<'a> Seen<'a> {
    fn new(taps: &'a BTreeMap<IfIndex, Owner>) -> Self {
        let behind = taps.keys().map(|tap| (*tap, Behind::default())).collect();
        Self { taps, behind, addresses: HashMap::new() }
    }

    /// Takes an entry of a forwarding table.
    fn forwarded(&mut self, entry: Option<&Neighbor>) {
        let Some(entry) = entry.filter(|entry| entry.master.is_some() && entry.state & PERMANENT == 0) else { return };
        if let (Some(behind), Some(mac)) = (self.behind.get_mut(&entry.index), entry.mac) {
            behind.meet(mac, entry.vlan);
        }
    }

    fn whose(&self) -> Whose {
        let mut whose = Whose::new();
        for (tap, behind) in &self.behind {
            for mac in behind.macs.keys() {
                let known = whose.entry(*mac).or_insert(Some(*tap));
                let owner = |tap: IfIndex| self.taps.get(&tap).map(|owner| owner.pid);
                *known = known.filter(|known| owner(*known) == owner(*tap));
            }
        }
        whose
    }

    /// Takes a neighbor of the host in a network namespace.
    fn neighbor(&mut self, netns: &Text, is_here: bool, whose: &Whose, entry: Option<&Neighbor>) {
        let Some(entry) = entry.filter(|entry| entry.state & NOBODY == 0) else { return };
        let (Some(address), Some(mac)) = (entry.address, entry.mac) else { return };
        if address.is_multicast() || address.is_unspecified() {
            return;
        }
        let routed = Some(entry.index).filter(|index| is_here && self.taps.contains_key(index));
        let Some(tap) = routed.or_else(|| whose.get(&mac).copied().flatten()) else { return };
        let (Some(owner), Some(behind)) = (self.taps.get(&tap), self.behind.get_mut(&tap)) else { return };
        if routed.is_some() {
            behind.meet(mac, None);
        }
        if behind.addresses.len() >= MAX_EACH && !behind.addresses.contains(&address) {
            return;
        }
        behind.addresses.insert(address);
        match self.addresses.entry(netns.clone()).or_default().entry(address) {
            Entry::Vacant(entry) => drop(entry.insert(Some(owner))),
            Entry::Occupied(mut entry) if entry.get().is_some_and(|known| known.pid != owner.pid) => {
                entry.insert(None);
            }
            Entry::Occupied(_) => {}
        }
    }

    fn finish(self, whose: &Whose) -> (BTreeMap<IfIndex, Behind>, Guests) {
        let name = |tap: &IfIndex| self.taps.get(tap).map(|owner| owner.name.clone());
        let of = |known: BTreeMap<IpAddr, Option<&Owner>>| {
            known.into_iter().filter_map(|(address, owner)| Some((address, owner?.name.clone()))).collect()
        };
        let guests = Guests {
            macs: whose.iter().filter_map(|(mac, tap)| Some((*mac, name(tap.as_ref()?)?))).collect(),
            links: self.taps.iter().map(|(tap, owner)| (tap.0, owner.name.clone())).collect(),
            addresses: self.addresses.into_iter().map(|(netns, known)| (netns, of(known))).collect(),
        };
        (self.behind, guests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(end: u8) -> Mac {
        Mac([0x52, 0x54, 0, 0, 0, end])
    }

    fn entry(tap: u32, end: u8, address: Option<&str>) -> Neighbor {
        Neighbor {
            family: 0,
            index: IfIndex(tap),
            state: 0x02,
            flags: 0,
            address: address.map(|address| address.parse().unwrap()),
            mac: Some(mac(end)),
            times: None,
            probes: None,
            protocol: None,
            vlan: None,
            port: None,
            vni: None,
            source_vni: None,
            via: None,
            master: address.is_none().then_some(IfIndex(1)),
        }
    }

    fn taps(pids: &[(u32, u32)]) -> BTreeMap<IfIndex, Owner> {
        let owner = |pid: u32| Owner { pid, name: Text::from(format!("guest{pid}")) };
        pids.iter().map(|(tap, pid)| (IfIndex(*tap), owner(*pid))).collect()
    }

    /// What guests have in the own namespace of these entries of a forwarding table and these neighbors.
    fn learned(
        taps: &BTreeMap<IfIndex, Owner>,
        fdb: &[Neighbor],
        all: &[Neighbor],
    ) -> (Vec<usize>, Vec<(String, String)>) {
        let mut seen = Seen::new(taps);
        for entry in fdb {
            seen.forwarded(Some(entry));
        }
        let whose = seen.whose();
        for entry in all {
            seen.neighbor(&netns::host(), true, &whose, Some(entry));
        }
        let (behind, guests) = seen.finish(&whose);
        let known = guests.addresses.get(&netns::host()).into_iter().flatten();
        let mut known: Vec<_> = known.map(|(address, name)| (address.to_string(), name.to_string())).collect();
        known.sort();
        (behind.values().map(|behind| behind.addresses.len()).collect(), known)
    }

    fn told(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter().map(|(address, name)| ((*address).to_owned(), (*name).to_owned())).collect()
    }

    #[test]
    fn an_address_is_that_of_the_guest_behind_whose_tap_its_card_is() {
        let taps = taps(&[(3, 30), (4, 40), (5, 50)]);
        let own = Neighbor { state: PERMANENT, ..entry(3, 9, None) };
        let fdb = [entry(3, 1, None), entry(4, 2, None), own];
        let gone = Neighbor { state: 0x20, ..entry(9, 1, Some("10.0.0.8")) };
        let all = [
            entry(9, 1, Some("10.0.0.1")),
            entry(9, 1, Some("fe80::1")),
            entry(9, 2, Some("10.0.0.2")),
            entry(9, 7, Some("10.0.0.7")),
            entry(9, 9, Some("10.0.0.9")),
            entry(5, 7, Some("10.0.1.7")),
            entry(5, 7, Some("224.0.0.22")),
            gone,
        ];
        let names = [("10.0.0.1", "guest30"), ("10.0.0.2", "guest40"), ("10.0.1.7", "guest50"), ("fe80::1", "guest30")];
        assert_eq!(learned(&taps, &fdb, &all), (vec![2, 1, 1], told(&names)));
    }

    #[test]
    fn what_two_guests_have_is_neithers() {
        let taps = taps(&[(3, 30), (4, 40), (5, 30)]);
        let fdb = [entry(3, 1, None), entry(5, 1, None), entry(3, 2, None), entry(4, 2, None), entry(4, 3, None)];
        let all = [
            entry(9, 1, Some("10.0.0.1")),
            entry(9, 2, Some("10.0.0.2")),
            entry(8, 1, Some("10.0.0.3")),
            entry(9, 3, Some("10.0.0.3")),
        ];
        assert_eq!(learned(&taps, &fdb, &all).1, told(&[("10.0.0.1", "guest30")]));
    }

    #[test]
    fn a_guest_that_claims_very_many_addresses_has_some_of_them_and_others_keep_theirs() {
        let taps = taps(&[(3, 30), (4, 40)]);
        let address = |number: u32| IpAddr::V4((0x0a00_0000 + number).into()).to_string();
        let fdb: Vec<_> = (0..=255).map(|end| entry(3, end, None)).collect();
        let all: Vec<_> = (0..1000).map(|number| entry(3, 1, Some(&address(number)))).collect();
        let (counts, _) = learned(&taps, &fdb, &[all, vec![entry(4, 7, Some("10.9.9.9"))]].concat());
        assert_eq!(counts, [MAX_EACH, 1]);
    }
}
