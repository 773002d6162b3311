//! How many routes has OSPF found?

use super::{instance, stale};
use crate::model::{Text, Timestamp};
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::ospf::RouteCount;
use crate::table;

table! {
    /// How many routes OSPF has found in one area, and, in a row without one, how many are of no area or not told apart by area.
    /// Routes of an NSSA are external ones, too. What a daemon does not tell is missing: BIRD and FRR's `ospf6d` no areas and no
    /// routers. BIRD counts those that it has brought into its tables. Asked while somebody looks, every five seconds, because a
    /// daemon does nothing else while it goes through its routes.
    ///
    /// Source: `show ip ospf vrf all route` and `show ipv6 ospf6 route summary` of FRR, `show route protocol` of BIRD; RFC 2328,
    /// section 11.
    pub struct OspfRouteRow = "ospf_route" { title: Some("OSPF routes"), demand: true } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is known from.
        Id(None) source: Source { wide: true },
        /// The daemon, or its protocol.
        Id(None) instance: Text { label: true },
        /// Virtual router (VRF) that it belongs to.
        Id(None) vrf: Option<Text> { several: true },
        /// Version of OSPF.
        Id(None) version: u32 { exact: true, title: Some("v") },
        /// The area.
        Id(None) area: Option<Text>,
        /// Networks in the area.
        Gauge(None) intra_area: Option<u64> { title: Some("intra") },
        /// Networks in other areas.
        Gauge(None) inter_area: Option<u64> { title: Some("inter") },
        /// Networks of other protocols whose cost counts together with that of the way there.
        Gauge(None) external_1: Option<u64> { title: Some("E1") },
        /// Networks of other protocols whose cost counts alone.
        Gauge(None) external_2: Option<u64> { title: Some("E2") },
        /// Routers that can be reached and join areas.
        Gauge(None) abrs: Option<u64> { title: Some("ABRs") },
        /// Routers that can be reached and bring networks of other protocols.
        Gauge(None) asbrs: Option<u64> { title: Some("ASBRs") },
        /// Since when its daemon has told nothing more.
        Gauge(None) stale: Option<Timestamp>,
    }
}

/// Of all daemons.
pub(super) fn rows(daemons: &[&Daemon]) -> Vec<OspfRouteRow> {
    let counts = daemons.iter().flat_map(|daemon| daemon.routes.kept().iter().map(|count| (*daemon, count)));
    counts.map(|(daemon, count)| row(daemon, count)).collect()
}

fn row(daemon: &Daemon, count: &RouteCount) -> OspfRouteRow {
    OspfRouteRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        instance: instance(daemon, &count.place),
        vrf: count.place.vrf.clone(),
        version: count.place.version,
        area: count.area.clone(),
        intra_area: count.intra_area,
        inter_area: count.inter_area,
        external_1: count.external_1,
        external_2: count.external_2,
        abrs: count.abrs,
        asbrs: count.asbrs,
        stale: stale(daemon),
    }
}
