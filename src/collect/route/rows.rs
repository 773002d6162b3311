//! How does a route become a row?

use std::collections::HashMap;

use super::{RouteChange, RouteChangeRow, RouteKind, RouteRow, RouterPreference};
use crate::collect::address::scope;
use crate::collect::neighbor::InetFamily;
use crate::model::{Text, Timestamp};
use crate::source::netlink::fib::{Hop, Hops, Route};
use crate::source::netlink::route::{IfIndex, LinkNames};
use crate::source::netlink::words;

/// Words of `ip` for `RTNH_F_*` and `RTM_F_*`, where they say something of a route that is there.
const FLAGS: [(u32, &str); 9] = [
    (1, "dead"),
    (1 << 1, "pervasive"),
    (1 << 2, "onlink"),
    (1 << 3, "offload"),
    (1 << 4, "linkdown"),
    (1 << 5, "unresolved"),
    (1 << 6, "trap"),
    (1 << 14, "rt_offload"),
    (1 << 15, "rt_trap"),
];

/// Texts that many routes share.
#[derive(Default)]
pub(super) struct Texts {
    protocols: HashMap<u8, Text>,
    tables: HashMap<u32, Text>,
    flags: HashMap<u32, Option<Text>>,
    pub(super) names: LinkNames,
}

impl Texts {
    pub(super) fn with(names: LinkNames) -> Self {
        Self { names, ..Self::default() }
    }

    fn protocol(&mut self, number: u8) -> Text {
        self.protocols.entry(number).or_insert_with(|| words::protocol(number)).clone()
    }

    fn table(&mut self, number: u32) -> Text {
        self.tables.entry(number).or_insert_with(|| words::table(number)).clone()
    }

    fn flags(&mut self, flags: u32) -> Option<Text> {
        let known = FLAGS.iter().fold(0, |known, (bit, _)| known | bit) & flags;
        self.flags.entry(known).or_insert_with(|| words::flags(&FLAGS, known)).clone()
    }

    fn name(&self, index: Option<IfIndex>) -> Option<Text> {
        self.names.get(&index?).cloned()
    }

    /// All next hops, if there are several.
    fn several(&self, hops: &Hops) -> Option<Text> {
        let one = |hop: &Hop| {
            let via = hop.gateway.map(|gateway| format!("via {gateway}"));
            let device =
                hop.index.map(|index| self.name(Some(index)).map_or_else(|| index.0.to_string(), |n| n.to_string()));
            let flags = words::flags(&FLAGS, hop.flags.into()).map(|flags| flags.replace(',', " "));
            let parts = [via, device.map(|name| format!("dev {name}")), Some(format!("weight {}", hop.weight)), flags];
            parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
        };
        (hops.len() > 1).then(|| Text::from(hops.iter().map(one).collect::<Vec<_>>().join(", ")))
    }
}

/// The next hop of a route that has no other.
fn only(hops: &Hops) -> Option<&Hop> {
    hops.first.as_ref().filter(|_| hops.others.is_empty())
}

/// A row of a route; `None` for another family than those of IP.
pub(super) fn row(netns: &Text, route: &Route, texts: &mut Texts, now: Timestamp) -> Option<RouteRow> {
    let hop = only(&route.hops);
    let left = |hundredths: u32| Timestamp(now.0.saturating_add(i64::from(hundredths) * 10_000_000));
    Some(RouteRow {
        netns: netns.clone(),
        table: texts.table(route.table),
        destination: route.destination,
        prefix: u32::from(route.prefix),
        source: route.source.map(|(source, _)| source),
        source_prefix: route.source.map(|(_, prefix)| u32::from(prefix)),
        tos: u32::from(route.tos),
        metric: route.metric,
        index: hop.and_then(|hop| hop.index).map(|index| index.0),
        family: InetFamily::of(route.family)?,
        kind: kind(route.kind),
        protocol: texts.protocol(route.protocol),
        scope: scope(route.scope),
        gateway: hop.and_then(|hop| hop.gateway),
        interface: texts.name(hop.and_then(|hop| hop.index)),
        hops: u32::try_from(route.hops.len()).unwrap_or(u32::MAX),
        next_hops: texts.several(&route.hops),
        preferred_source: route.preferred_source,
        flags: texts.flags(route.flags),
        nexthop: route.nexthop,
        preference: route.preference.map(preference),
        expires: route.expires.map(left),
    })
}

/// The row of a change of which nothing is known.
pub(super) fn change(netns: &Text, action: RouteChange, now: Timestamp) -> RouteChangeRow {
    RouteChangeRow {
        netns: netns.clone(),
        seq: 0,
        time: now,
        action,
        table: None,
        destination: None,
        prefix: None,
        metric: None,
        family: None,
        kind: None,
        protocol: None,
        gateway: None,
        interface: None,
        next_hops: None,
        routes: None,
    }
}

/// The row of a change that the kernel has told.
pub(super) fn told(
    netns: &Text,
    action: RouteChange,
    route: &Route,
    texts: &mut Texts,
    now: Timestamp,
) -> RouteChangeRow {
    let hop = only(&route.hops);
    RouteChangeRow {
        table: Some(texts.table(route.table)),
        destination: Some(route.destination),
        prefix: Some(u32::from(route.prefix)),
        metric: route.metric,
        family: InetFamily::of(route.family),
        kind: Some(kind(route.kind)),
        protocol: Some(texts.protocol(route.protocol)),
        gateway: hop.and_then(|hop| hop.gateway),
        interface: texts.name(hop.and_then(|hop| hop.index)),
        next_hops: texts.several(&route.hops),
        routes: Some(1),
        ..change(netns, action, now)
    }
}

/// From `RTN_*`
fn kind(number: u8) -> RouteKind {
    match number {
        1 => RouteKind::Unicast,
        2 => RouteKind::Local,
        3 => RouteKind::Broadcast,
        4 => RouteKind::Anycast,
        5 => RouteKind::Multicast,
        6 => RouteKind::Blackhole,
        7 => RouteKind::Unreachable,
        8 => RouteKind::Prohibit,
        9 => RouteKind::Throw,
        10 => RouteKind::Nat,
        11 => RouteKind::Xresolve,
        _ => RouteKind::Unspec,
    }
}

/// From `ICMPV6_ROUTER_PREF_*`
fn preference(number: u8) -> RouterPreference {
    match number {
        0 => RouterPreference::Medium,
        1 => RouterPreference::High,
        3 => RouterPreference::Low,
        _ => RouterPreference::Invalid,
    }
}
