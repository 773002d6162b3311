//! Where does the host send packets, and who keeps changing that?
//!
//! Changes are heard from the kernel and read on every sample. All routes are dumped only after a change, so seldom that it
//! takes a twentieth of the time, and kept while somebody looks at them. Of routes that go with their interface the kernel
//! tells nothing for IPv4: that they are missing is seen at the dump that follows.

mod heard;
mod rows;
mod rule;

use std::sync::Arc;

use self::heard::{Log, Post, Wanted};
pub use self::rule::RuleRow;
use super::address::AddressScope;
use super::everywhere::{Everywhere, Portion, tell};
use super::neighbor::InetFamily;
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Reason, Skip};
use crate::model::{Cell, Row as _, Rows, Table, Text, Timestamp};
use crate::source::netns::Troubles;
use crate::{label, table};
use std::net::IpAddr;

label! {
    /// What becomes of packets on a route.
    pub enum RouteKind {
        Unspec = "unspec",
        Unicast = "unicast",
        Local = "local",
        Broadcast = "broadcast",
        Anycast = "anycast",
        Multicast = "multicast",
        Blackhole = "blackhole",
        Unreachable = "unreachable",
        Prohibit = "prohibit",
        Throw = "throw",
        Nat = "nat",
        Xresolve = "xresolve",
    }
}

label! {
    /// How much a router is preferred to others.
    pub enum RouterPreference {
        Low = "low",
        Medium = "medium",
        High = "high",
        Invalid = "invalid",
    }
}

label! {
    /// What became of a route.
    pub enum RouteChange {
        Added = "added",
        Deleted = "deleted",
        Replaced = "replaced",
        /// The kernel did not tell: it went with its interface or an address.
        Flushed = "flushed" => Careful,
        /// The kernel could not tell what was changed.
        Lost = "lost" => Warning,
    }
}

table! {
    /// One route. Of more than 131072 the others are left out. Interface and router are missing for a route with several next
    /// hops, which has them in one text, and for one that refuses packets.
    ///
    /// Source: rtnetlink `RTM_GETROUTE` and `RTM_GETNEXTHOP`, `include/uapi/linux/rtnetlink.h`.
    pub struct RouteRow = "route" { title: Some("Routes"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Table that it is in.
        Id(None) table: Text,
        /// Where it leads.
        Id(None) destination: IpAddr { label: true },
        /// Bits of the destination that count.
        Id(None) prefix: u32,
        /// For packets from there only.
        Id(None) source: Option<IpAddr> { wide: true },
        /// Bits of the source that count.
        Id(None) source_prefix: Option<u32> { wide: true },
        /// Type of service that it is for only; zero is any.
        Id(None) tos: u32 { wide: true },
        /// Which of several is taken: that with the least.
        Id(None) metric: Option<u32> { exact: true },
        /// Number of its interface.
        Id(None) index: Option<u32> { wide: true },
        /// Protocol family.
        Text(None) family: InetFamily { wide: true },
        /// What becomes of packets.
        Text(None) kind: RouteKind,
        /// Who has made it.
        Text(None) protocol: Text,
        /// How far the destination is.
        Text(None) scope: AddressScope { wide: true },
        /// Router that packets go to next.
        Text(None) gateway: Option<IpAddr>,
        /// Name of the interface.
        Text(None) interface: Option<Text>,
        /// How many next hops there are.
        Gauge(None) hops: u32,
        /// The next hops of a route that has several, each with its weight.
        Text(None) next_hops: Option<Text> { last: true },
        /// Address that the host sends from.
        Text(None) preferred_source: Option<IpAddr> { title: Some("prefsrc") },
        /// What else is said of it, such as `onlink` and `linkdown`.
        Text(None) flags: Option<Text>,
        /// Number of the object that its next hop is, where it is one.
        Gauge(None) nexthop: Option<u32> { exact: true, title: Some("nhid"), wide: true },
        /// How much its router is preferred to others, IPv6 only.
        Text(None) preference: Option<RouterPreference> { title: Some("pref"), wide: true },
        /// When it goes unless it is renewed.
        Gauge(None) expires: Option<Timestamp> { until: true },
    }
}

table! {
    /// One change of a route. Of those that the kernel did not tell there is one row for all of a protocol, with how many they
    /// are; of those that were lost one without a number.
    ///
    /// Source: rtnetlink groups `RTNLGRP_IPV4_ROUTE` and `RTNLGRP_IPV6_ROUTE`, `include/uapi/linux/rtnetlink.h`.
    pub struct RouteChangeRow = "route_change" { title: Some("Route changes"), shape: Shape::Log } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the change since this program listens.
        Id(None) seq: u64 { top: true, wide: true },
        /// When it was heard.
        Gauge(None) time: Timestamp,
        /// What became of it.
        Text(None) action: RouteChange,
        /// Table that it is in.
        Text(None) table: Option<Text>,
        /// Where it leads.
        Text(None) destination: Option<IpAddr> { label: true },
        /// Bits of the destination that count.
        Gauge(None) prefix: Option<u32>,
        /// Which of several is taken: that with the least.
        Gauge(None) metric: Option<u32> { exact: true },
        /// Protocol family.
        Text(None) family: Option<InetFamily> { wide: true },
        /// What becomes of packets.
        Text(None) kind: Option<RouteKind>,
        /// Who has made it.
        Text(None) protocol: Option<Text>,
        /// Router that packets go to next.
        Text(None) gateway: Option<IpAddr>,
        /// Name of the interface.
        Text(None) interface: Option<Text>,
        /// The next hops of a route that has several, each with its weight.
        Text(None) next_hops: Option<Text> { last: true },
        /// How many routes it was.
        Gauge(None) routes: Option<u64>,
    }
}

table! {
    /// How the routes of one protocol change. What the kernel tells is counted from the first sample on; a route over several
    /// next hops may be told one hop at a time. Routes are missing until they were counted.
    ///
    /// Source: as of `route_change`.
    pub struct RouteChurnRow = "route_churn" { title: Some("Route churn"), history: History::Whole } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Protocol family.
        Id(None) family: InetFamily,
        /// Who makes these routes.
        Id(None) protocol: Text { label: true },
        /// Routes that there are.
        Gauge(None) routes: Option<u64> { top: true },
        /// Routes that were made.
        Counter(Events) added: u64,
        /// Routes that went, those included of which the kernel did not tell.
        Counter(Events) deleted: u64,
        /// Routes that took the place of others.
        Counter(Events) replaced: u64,
        /// Times that changes came faster than they were heard: then there were more. The same for all of a namespace.
        Counter(Events) overruns: u64 { wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "route",
    tables: &[RouteRow::TABLE, RuleRow::TABLE, RouteChurnRow::TABLE, RouteChangeRow::TABLE],
    interval: EVERY_SECOND,
    // there may be a million routes
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<RouteCollector>::default(),
};

/// Routes that become rows.
const MAX_ROUTES: usize = 1 << 17;
/// Rules that become rows.
const MAX_RULES: usize = 1 << 14;

#[derive(Default)]
struct RouteCollector {
    posts: Everywhere<Post>,
    log: Log,
    /// Changes of the last sample, and how many there had been.
    changes: Option<(u64, Arc<dyn Rows>)>,
}

impl Collect for RouteCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("routes are asked for over netlink, which a recorded tree has not"));
        }
        let wanted = cx.wants.table(RouteRow::TABLE).map(Wanted::of);
        let (mut routes, mut churn) = (Found::default(), Vec::new());
        let (mut rules, log) = (Portion::of(cx, MAX_RULES), &mut self.log);
        let troubles = self.posts.follow(cx, Post::open, |netns, post| {
            post.listen(netns, cx, log)?;
            let room = wanted.as_ref().map(|wanted| (wanted, MAX_ROUTES.saturating_sub(routes.len)));
            post.look(netns, cx, room, log)?;
            routes.add(post);
            churn.append(&mut post.churn(netns));
            Portion::add(&mut rules, || rule::rows(netns, post.asks(), MAX_RULES))
        })?;
        if wanted.is_some() {
            routes.tell(out, &troubles);
        }
        tell(rules, cx, out, &troubles, "the kernel is built without policy rules")?;
        out.push_netns(cx, churn, &troubles)?;
        let rows = match self.changes.take() {
            Some((count, rows)) if count == self.log.count() => rows,
            _ => Arc::new(self.log.rows()),
        };
        self.changes = Some((self.log.count(), Arc::clone(&rows)));
        out.push_again(RouteChangeRow::TABLE, rows);
        Ok(())
    }
}

/// The routes of all network namespaces, as each of them has them.
#[derive(Default)]
struct Found {
    /// Each behind the number of its first row.
    parts: Vec<(usize, Arc<Vec<RouteRow>>)>,
    len: usize,
    left_out: usize,
    is_changing: bool,
}

impl Found {
    fn add(&mut self, post: &Post) {
        let Some(kept) = post.kept() else { return };
        self.parts.push((self.len, Arc::clone(&kept.rows)));
        self.len += kept.rows.len();
        self.left_out += kept.left_out;
        self.is_changing |= kept.is_changing;
    }

    fn tell(self, out: &mut Batch, troubles: &Troubles) {
        if !troubles.is_empty() {
            out.partly(RouteRow::TABLE, &Skip::netns(troubles));
        }
        if self.is_changing {
            let error =
                "changing: they were others at every attempt, so that some may be missing or there twice".into();
            out.partly(RouteRow::TABLE, &Skip::Failed(Reason { error, hint: None }));
        }
        out.left_out(RouteRow::TABLE, self.left_out, MAX_ROUTES, "routes");
        out.push_again(RouteRow::TABLE, Arc::new(self));
    }
}

impl Rows for Found {
    fn table(&self) -> &Table {
        RouteRow::TABLE
    }

    fn len(&self) -> usize {
        self.len
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        // there may be a thousand namespaces
        let behind = self.parts.partition_point(|(first, _)| *first <= row);
        let part = behind.checked_sub(1).and_then(|at| self.parts.get(at));
        let found = part.and_then(|(first, rows)| rows.get(row - first));
        found.map_or(Cell::Missing, |found| found.cell(column))
    }

    fn bytes(&self) -> usize {
        self.parts.iter().map(|(_, rows)| rows.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::fib::{Hops, Route};

    fn row(table: u32) -> RouteRow {
        let route = Route {
            family: libc::AF_INET as u8,
            table,
            destination: IpAddr::from([10, 0, 0, 0]),
            prefix: 8,
            source: None,
            tos: 0,
            metric: None,
            protocol: 4,
            scope: 0,
            kind: 1,
            flags: 0,
            preferred_source: None,
            hops: Hops::default(),
            nexthop: None,
            preference: None,
            expires: None,
        };
        rows::row(&Text::from("host"), &route, &mut rows::Texts::default(), Timestamp(0)).unwrap()
    }

    #[test]
    fn rows_of_all_namespaces_stand_one_behind_the_other() {
        let mut found = Found::default();
        for tables in [&[1, 2][..], &[], &[3], &[]] {
            let rows: Vec<RouteRow> = tables.iter().map(|table| row(*table)).collect();
            found.parts.push((found.len, Arc::new(rows)));
            found.len += tables.len();
        }
        let column = RouteRow::TABLE.position("table").unwrap();
        let tables: Vec<_> = (0..5).map(|row| found.cell(row, column).text().map(str::to_owned)).collect();
        assert_eq!(tables, [Some("1".to_owned()), Some("2".to_owned()), Some("3".to_owned()), None, None]);
    }
}
