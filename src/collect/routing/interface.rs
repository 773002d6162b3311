//! On which interfaces does OSPF run?

use std::net::IpAddr;
use std::time::Duration;

use super::{instance, stale, told};
use crate::model::{Text, Timestamp};
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::ospf::{Interface, InterfaceState, NetworkType};
use crate::table;

table! {
    /// One interface, or one address of it, on which a routing daemon runs OSPF. What a daemon does not tell is missing:
    /// FRR's `ospf6d` no wait time, BIRD no address of its own.
    ///
    /// Source: `show ip ospf interface json` and `show ipv6 ospf6 interface json` of FRR, `show ospf interface` of BIRD;
    /// RFC 2328, section 9.
    pub struct OspfInterfaceRow = "ospf_interface" { title: Some("OSPF interfaces") } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is known from.
        Id(None) source: Source { wide: true },
        /// The daemon, or its protocol.
        Id(None) instance: Text,
        /// Version of OSPF.
        Id(None) version: u32 { exact: true, title: Some("v") },
        /// Its name.
        Id(None) interface: Text { label: true },
        /// Own address.
        Id(None) address: Option<IpAddr>,
        /// Virtual router (VRF) that it belongs to.
        Text(None) vrf: Option<Text> { wide: true },
        /// Bits of the address that name the network.
        Gauge(None) prefix: Option<u64> { exact: true, wide: true },
        /// Area that it is in.
        Text(None) area: Option<Text>,
        /// Its state.
        Text(None) state: InterfaceState,
        /// Kind of its network.
        Text(None) network: Option<NetworkType>,
        /// Whether it sends no hello, so that it has no neighbors.
        Text(None) passive: Option<bool> { wide: true },
        /// What it costs to send over it.
        Gauge(None) cost: Option<u64> { exact: true },
        /// How much this router wants to be DR there.
        Gauge(None) priority: Option<u64> { exact: true, wide: true },
        /// Time between hellos.
        Gauge(Seconds) hello: Option<Duration>,
        /// Time without hello after which a neighbor is given up.
        Gauge(Seconds) dead: Option<Duration>,
        /// Time for which it listens before it takes part in an election.
        Gauge(Seconds) wait: Option<Duration> { wide: true },
        /// Time after which what was not acknowledged is sent again.
        Gauge(Seconds) retransmit: Option<Duration> { wide: true },
        /// Router id of the designated router.
        Text(None) dr: Option<IpAddr> { title: Some("DR") },
        /// Router id of who takes its place.
        Text(None) backup: Option<IpAddr> { title: Some("BDR") },
        /// Neighbors that it hears.
        Gauge(None) neighbors: Option<u64>,
        /// Neighbors whose database is the same.
        Gauge(None) adjacent: Option<u64>,
        /// Since when its daemon has told nothing more.
        Gauge(None) stale: Option<Timestamp> { wide: true },
    }
}

/// All interfaces of all daemons.
pub(super) fn rows(daemons: &[&Daemon]) -> Vec<OspfInterfaceRow> {
    told(daemons, |told| &told.interfaces).map(|(daemon, _, interface)| row(daemon, interface)).collect()
}

fn row(daemon: &Daemon, interface: &Interface) -> OspfInterfaceRow {
    OspfInterfaceRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        instance: instance(daemon, &interface.place),
        version: interface.place.version,
        interface: interface.name.clone(),
        address: interface.address,
        vrf: interface.place.vrf.clone(),
        prefix: interface.prefix,
        area: interface.area.clone(),
        state: interface.state,
        network: interface.network,
        passive: interface.passive,
        cost: interface.cost,
        priority: interface.priority,
        hello: interface.hello,
        dead: interface.dead,
        wait: interface.wait,
        retransmit: interface.retransmit,
        dr: interface.dr,
        backup: interface.backup,
        neighbors: interface.neighbors,
        adjacent: interface.adjacent,
        stale: stale(daemon),
    }
}
