//! In which areas is this router, and what does it know of them?

use std::collections::HashMap;
use std::net::IpAddr;

use super::{instance, stale, told};
use crate::collect::address::steady;
use crate::model::{Text, Timestamp};
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::lsa::LsaType;
use crate::source::routing::ospf::{Area, AreaKind};
use crate::table;

table! {
    /// One area of OSPF that a routing daemon is in. What a daemon does not tell is missing: FRR's `ospf6d` does not say which role
    /// the router has, and LSAs of BIRD, which does not count them by area, are counted while somebody looks.
    ///
    /// Source: `show ip ospf json` and `show ipv6 ospf6 json` of FRR, `show ospf` and `show ospf lsadb` of BIRD;
    /// RFC 2328, section 12, RFC 5340, section 4.4.
    pub struct OspfAreaRow = "ospf_area" { title: Some("OSPF areas") } {
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
        /// Its number.
        Id(None) area: Text { label: true },
        /// Which routes of others are told in it.
        Text(None) kind: Option<AreaKind>,
        /// This router, as others in it know it.
        Text(None) router_id: Option<IpAddr>,
        /// Whether this router joins it to others.
        Text(None) abr: Option<bool> { title: Some("ABR") },
        /// Whether this router brings routes of other protocols.
        Text(None) asbr: Option<bool> { title: Some("ASBR") },
        /// Interfaces of this router in it.
        Gauge(None) interfaces: Option<u64>,
        /// Neighbors in it whose database is the same.
        Gauge(None) adjacent: Option<u64>,
        /// LSAs of the area.
        Gauge(None) lsas: Option<u64> { title: Some("LSAs") },
        /// LSAs of routers.
        Gauge(None) router_lsas: Option<u64> { title: Some("router") },
        /// LSAs of networks that have a DR.
        Gauge(None) network_lsas: Option<u64> { title: Some("network") },
        /// Summaries of networks in other areas; in version 3 LSAs of prefixes there.
        Gauge(None) summary_lsas: Option<u64> { title: Some("summary") },
        /// Summaries of routers to other protocols; in version 3 LSAs of routers in other areas.
        Gauge(None) asbr_summary_lsas: Option<u64> { wide: true },
        /// LSAs of routes from other protocols, which all areas share.
        Gauge(None) external_lsas: Option<u64> { title: Some("external") },
        /// The same of this area alone, where it is an NSSA.
        Gauge(None) nssa_lsas: Option<u64> { wide: true },
        /// LSAs whose content is not for OSPF itself.
        Gauge(None) opaque_lsas: Option<u64> { wide: true },
        /// LSAs of prefixes in it, in version 3.
        Gauge(None) prefix_lsas: Option<u64> { wide: true },
        /// How often shortest paths were looked for.
        Counter(Events) spf_runs: Option<u64> { title: Some("SPF"), total: true },
        /// When they were looked for last.
        Gauge(None) last_spf: Option<Timestamp>,
        /// Since when its daemon has told nothing more.
        Gauge(None) stale: Option<Timestamp> { wide: true },
    }
}

/// Which types of LSAs are counted together.
const SUMMARY: [LsaType; 2] = [LsaType::Summary, LsaType::InterAreaPrefix];
const ASBR_SUMMARY: [LsaType; 2] = [LsaType::AsbrSummary, LsaType::InterAreaRouter];

/// An area by what people tell it from others.
type Key = (Option<Text>, Source, Text, Option<Text>, u32, Text);

/// When paths were looked for in each area, as it was published.
#[derive(Default)]
pub(super) struct Runs(HashMap<Key, Timestamp>);

impl Runs {
    /// All areas of all daemons.
    pub(super) fn rows(&mut self, daemons: &[&Daemon]) -> Vec<OspfAreaRow> {
        let mut rows: Vec<_> =
            told(daemons, |told| &told.areas).map(|(daemon, at, area)| row(daemon, at, area)).collect();
        for row in &mut rows {
            row.last_spf = steady(self.0.get(&key(row)).copied(), row.last_spf);
        }
        self.0 = rows.iter().filter_map(|row| Some((key(row), row.last_spf?))).collect();
        rows
    }
}

fn key(row: &OspfAreaRow) -> Key {
    (row.netns.clone(), row.source, row.instance.clone(), row.vrf.clone(), row.version, row.area.clone())
}

fn row(daemon: &Daemon, at: Timestamp, area: &Area) -> OspfAreaRow {
    let counts = daemon.database.counts.iter().find(|counts| counts.area == area.id && counts.place == area.place);
    let row = told_of(daemon, at, area);
    let Some(counts) = counts else { return row };
    let of = |kinds: &[LsaType]| Some(counts.of(kinds));
    let is_three = area.place.version == 3;
    OspfAreaRow {
        asbr: row.router_id.map(|_| counts.is_asbr),
        lsas: Some(counts.all),
        router_lsas: of(&[LsaType::Router]),
        network_lsas: of(&[LsaType::Network]),
        summary_lsas: of(&SUMMARY),
        asbr_summary_lsas: of(&ASBR_SUMMARY),
        external_lsas: of(&[LsaType::External]),
        nssa_lsas: of(&[LsaType::Nssa]),
        opaque_lsas: of(&[LsaType::OpaqueArea]).filter(|_| !is_three),
        prefix_lsas: of(&[LsaType::IntraAreaPrefix]).filter(|_| is_three),
        ..row
    }
}

fn told_of(daemon: &Daemon, at: Timestamp, area: &Area) -> OspfAreaRow {
    OspfAreaRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        instance: instance(daemon, &area.place),
        vrf: area.place.vrf.clone(),
        version: area.place.version,
        area: area.id.clone(),
        kind: area.kind,
        router_id: area.router,
        abr: area.abr,
        asbr: area.asbr,
        interfaces: area.interfaces,
        adjacent: area.adjacent,
        lsas: area.lsas,
        router_lsas: area.router_lsas,
        network_lsas: area.network_lsas,
        summary_lsas: area.summary_lsas,
        asbr_summary_lsas: area.asbr_summary_lsas,
        external_lsas: area.external_lsas,
        nssa_lsas: area.nssa_lsas,
        opaque_lsas: area.opaque_lsas,
        prefix_lsas: area.prefix_lsas,
        spf_runs: area.spf_runs,
        last_spf: area.spf_age.map(|age| at.before(age)),
        stale: stale(daemon),
    }
}
