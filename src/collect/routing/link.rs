//! Which routers and networks of an area are linked, as the routers of it say?

use super::instance;
use crate::model::{Text, Timestamp};
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::database::{Link, LinkKind, Looked};
use crate::table;

table! {
    /// One link in the database of an area of OSPF, in the direction in which its router tells it; a network that routers share
    /// tells who is attached to it. Two that are linked both ways have two rows. It is read every five seconds while somebody looks.
    /// `ospf6d` of FRR does not tell it before version 8.0, and in 8.0 networks have no number.
    ///
    /// Source: `show ip ospf database json` and `show ipv6 ospf6 database json` of FRR, `show ospf state all` of BIRD,
    /// `ospfLsdbAdvertisement` (RFC 4750) and `ospfv3AreaLsdbAdvertisement` (RFC 5643) over SNMP; RFC 2328, section 12.4, RFC 5340,
    /// section 4.4.3.
    pub struct OspfLinkRow = "ospf_link" { title: Some("OSPF links"), demand: true } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is known from.
        Id(None) source: Source { wide: true },
        /// The daemon, or its protocol.
        Id(None) instance: Text,
        /// Virtual router (VRF) that it belongs to.
        Id(None) vrf: Option<Text> { several: true },
        /// Version of OSPF.
        Id(None) version: u32 { exact: true, title: Some("v") },
        /// Area whose database it is in.
        Id(None) area: Text,
        /// Router or network that it leads from: number of a router, prefix of a network, in version 3 router and interface of its DR.
        Id(None) from: Text { label: true },
        /// What it leads to.
        Id(None) kind: LinkKind,
        /// Router or network that it leads to.
        Id(None) to: Text,
        /// Which one it is of several between the same two.
        Id(None) number: u64 { exact: true, wide: true },
        /// What it costs; from a network it costs nothing.
        Gauge(None) metric: Option<u64> { exact: true },
        /// What it costs to get from this router to where it leads from; FRR does not tell it.
        Gauge(None) distance: Option<u64> { exact: true, wide: true },
        /// Whether the router that it leads from joins areas, as its LSA says; BIRD does not tell it.
        Text(None) abr: Option<bool> { title: Some("ABR"), wide: true },
        /// Whether the router that it leads from may bring routes of other protocols, as its LSA says; BIRD does not tell it.
        Text(None) asbr: Option<bool> { title: Some("ASBR"), wide: true },
        /// When it was told, where the daemon does not tell it any more.
        Gauge(None) stale: Option<Timestamp>,
    }
}

/// Of all daemons.
pub(super) fn rows(daemons: &[&Daemon]) -> Vec<OspfLinkRow> {
    daemons.iter().flat_map(|daemon| daemon.database.links.all.kept().iter().map(|link| row(daemon, link))).collect()
}

/// When links were told that may have changed since: they are asked for by themselves, and that may fail by itself.
fn stale(daemon: &Daemon) -> Option<Timestamp> {
    let Looked { at, fault, .. } = &daemon.database.links;
    (fault.is_some() || !daemon.state.is_up()).then_some(*at)
}

fn row(daemon: &Daemon, link: &Link) -> OspfLinkRow {
    OspfLinkRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        instance: instance(daemon, &link.place),
        vrf: link.place.vrf.clone(),
        version: link.place.version,
        area: link.area.clone(),
        from: link.from.clone(),
        kind: link.kind,
        to: link.to.clone(),
        number: link.number,
        metric: link.metric,
        distance: link.distance,
        abr: link.roles.map(|roles| roles.abr),
        asbr: link.roles.map(|roles| roles.asbr),
        stale: stale(daemon),
    }
}
