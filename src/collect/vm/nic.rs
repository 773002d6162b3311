//! What do the network cards of guests carry?
//!
//! A card of a guest is a tap of the host. What the tap sends is what the guest receives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Guest;
use super::learned::{Behind, Learned};
use crate::model::{IpText, Mac, Owners, Text};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::file::Roots;
use crate::source::guest::Tap;
use crate::source::netlink::Family;
use crate::source::netlink::common::Common;
use crate::source::netlink::route::{self, IfIndex, Link, LinkStats};
use crate::table;

table! {
    /// One network card of a guest. Received and sent are as the guest sees them. Counters are missing where its tap is in
    /// another network namespace than the guest's process was seen from.
    ///
    /// Addresses are those that the host has learned from what the guest sent: they are missing where it has heard nothing.
    ///
    /// Source: `/proc/PID/fdinfo` (`drivers/net/tun.c`); rtnetlink `RTM_GETSTATS`, `RTM_GETLINK` and `RTM_GETNEIGH`; the database
    /// of Open vSwitch.
    pub struct VmNicRow = "vm_nic" { title: Some("Guests' network cards"), history: History::Top } {
        /// Process that runs the guest.
        Id(None) pid: u64 { wide: true },
        /// Start of the process in clock ticks since boot.
        Id(None) start: u64 { wide: true },
        /// Interface of the host that is the other end of the card.
        Id(None) tap: Text,
        /// Guest that it belongs to.
        Text(None) guest: Text { label: true },
        /// Number of the interface.
        Gauge(None) index: Option<u64> { wide: true },
        /// Bridge that the interface is a port of.
        Text(None) bridge: Option<Text>,
        /// VLAN in which the bridge has what comes from the card.
        Gauge(None) vlan: Option<u32> { exact: true, wide: true },
        /// Ethernet address of the card; of several that the bridge has learned behind it the first.
        Text(None) mac: Option<Mac>,
        /// Addresses that neighbor tables of the host have for it.
        Text(None) addresses: Option<Text>,
        /// Data received.
        Counter(Bytes) rx_bytes: Option<u64> { title: Some("rx"), traffic: true, top: true },
        /// Data sent.
        Counter(Bytes) tx_bytes: Option<u64> { title: Some("tx"), traffic: true },
        /// Packets received.
        Counter(Packets) rx_packets: Option<u64> { title: Some("rx pkt") },
        /// Packets sent.
        Counter(Packets) tx_packets: Option<u64> { title: Some("tx pkt") },
        /// Packets for the guest that were thrown away because it did not take them.
        Counter(Packets) rx_dropped: Option<u64> { title: Some("rx drop") },
        /// Packets of the guest that the host threw away.
        Counter(Packets) tx_dropped: Option<u64> { title: Some("tx drop") },
    }
}

/// Interfaces that are looked at; more would be an attack on memory.
const MAX_LINKS: usize = 1 << 18;

/// Samples until all interfaces are listed again.
const LIST_TURNS: u32 = 8;

/// Interfaces and their counters.
#[derive(Default)]
pub(super) struct Nics {
    queries: Option<Common>,
    links: BTreeMap<IfIndex, Link>,
    names: BTreeMap<Text, IfIndex>,
    stats: BTreeMap<IfIndex, LinkStats>,
    /// Samples since all interfaces were listed: bridges get other ports without a word.
    age: u32,
    /// Taps that were not there when all interfaces were listed last, so that they are not listed for them again.
    strange: BTreeSet<Tap>,
}

impl Nics {
    /// Reads the counters; nothing is asked while no guest has a tap.
    ///
    /// # Errors
    /// The kernel did not answer.
    pub(super) fn read<'a>(&mut self, roots: &Roots, taps: impl Iterator<Item = &'a Tap>) -> Result<(), Error> {
        let taps: BTreeSet<&Tap> = taps.collect();
        self.stats.clear();
        if !roots.live || taps.is_empty() {
            return Ok(());
        }
        let queries = match self.queries.take() {
            Some(queries) => queries,
            None => Common::open(Family::Route)?,
        };
        let mut all = Bounded::new(MAX_LINKS);
        queries.with(|socket| route::read_link_stats(socket, &mut all))?;
        self.stats.extend(all.into_kept());
        self.strange.retain(|tap| taps.contains(tap));
        self.age += 1;
        let is_unknown = |tap: &&Tap| !self.strange.contains(*tap) && self.of(tap).is_none();
        if self.age > LIST_TURNS || taps.iter().any(is_unknown) {
            self.list(&queries)?;
            self.strange = taps.iter().filter(|tap| self.of(tap).is_none()).map(|tap| (*tap).clone()).collect();
        }
        self.queries = Some(queries);
        Ok(())
    }

    fn list(&mut self, queries: &Common) -> Result<(), Error> {
        let mut all = Bounded::new(MAX_LINKS);
        let is_changing = queries.with(|socket| route::read_links(socket, &mut all))?;
        // what may be missing is looked for again by the next sample
        self.age = if is_changing { LIST_TURNS } else { 0 };
        self.links = all.into_kept().into_iter().map(|link| (link.index, link)).collect();
        self.names = self.links.values().map(|link| (link.name.clone(), link.index)).collect();
        Ok(())
    }

    /// The interface of a tap and its counters.
    fn of(&self, tap: &Tap) -> Option<(&Link, &LinkStats)> {
        let index = match tap {
            Tap::Name(name) => *self.names.get(&Text::new(name))?,
            Tap::Index(index) => IfIndex(*index),
        };
        Some((self.links.get(&index)?, self.stats.get(&index)?))
    }

    /// The interface of a tap of a guest.
    pub(super) fn index(&self, guest: &Guest, tap: &Tap) -> Option<IfIndex> {
        self.of(tap).filter(|_| guest.here).map(|(link, _)| link.index)
    }

    /// The network cards of a guest.
    pub(super) fn rows(&self, guest: &Guest, pid: u32, learned: &Learned, owners: &Owners) -> Vec<VmNicRow> {
        let row = |tap: &Tap| {
            let known = self.of(tap).filter(|_| guest.here);
            let (link, stats) = known.unzip();
            // to the kernel all ports of Open vSwitch belong to one device
            let port = link.and_then(|link| owners.ports.get(&link.name));
            let master = || self.links.get(&link?.master?).map(|bridge| bridge.name.clone());
            let behind = link.and_then(|link| learned.behind(link.index));
            let own = match tap {
                Tap::Name(name) => Text::new(name),
                Tap::Index(index) => link.map_or_else(|| Text::from(format!("tap{index}")), |link| link.name.clone()),
            };
            VmNicRow {
                pid: u64::from(pid),
                start: guest.start,
                tap: own,
                guest: guest.name.clone(),
                index: link.map(|link| u64::from(link.index.0)),
                bridge: port.map(|port| port.bridge.clone()).or_else(master),
                vlan: port.map_or_else(|| behind?.vlan(), |port| port.vlan),
                mac: behind.and_then(Behind::mac),
                addresses: behind.and_then(|behind| words(&behind.addresses)),
                rx_bytes: stats.map(|stats| stats.tx_bytes),
                tx_bytes: stats.map(|stats| stats.rx_bytes),
                rx_packets: stats.map(|stats| stats.tx_packets),
                tx_packets: stats.map(|stats| stats.rx_packets),
                rx_dropped: stats.map(|stats| stats.tx_dropped),
                tx_dropped: stats.map(|stats| stats.rx_dropped),
            }
        };
        guest.held.taps.iter().map(row).collect()
    }
}

fn words(addresses: &BTreeSet<IpAddr>) -> Option<Text> {
    let all: Vec<String> = addresses.iter().map(|address| IpText(*address).to_string()).collect();
    (!all.is_empty()).then(|| Text::from(all.join(", ")))
}
