//! Which addresses does the host have?
//!
//! Addresses change rarely: everything is dumped once, and again only after a notification about an address or a link.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::address::recorded;
use crate::source::bounded::Bounded;
use crate::source::netlink::common::Common;
use crate::source::netlink::route::{self, Address, LinkNames};
use crate::source::netlink::{Drained, Family, Part, Socket};
use crate::source::netns::{self, Rooms};
use crate::{label, table};

label! {
    /// How far an address is valid.
    pub enum AddressScope {
        Global = "global",
        Site = "site",
        Link = "link",
        Host = "host",
        Nowhere = "nowhere",
        Other = "other",
    }
}

label! {
    /// Whether an address can be used.
    pub enum AddressState {
        Usable = "usable",
        Deprecated = "deprecated",
        Tentative = "tentative",
        Duplicate = "duplicate" => Critical,
    }
}

table! {
    /// One IP address of an interface. The peer is missing but for point-to-point links, the end of its life for
    /// addresses that nobody lent. A recorded host does not tell peers, ends, and the scope of IPv4 beyond the loopback's.
    ///
    /// Source: rtnetlink `RTM_GETADDR`, `include/uapi/linux/if_addr.h`; `/proc/net/if_inet6`, `fib_trie` and `route` of a
    /// recorded host.
    pub struct AddressRow = "address" { title: Some("Addresses") } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// The address.
        Id(None) address: IpAddr { label: true },
        /// Bits of the address that name the network.
        Id(None) prefix: u32,
        /// Name of the interface.
        Text(None) interface: Option<Text>,
        /// How far the address is valid.
        Text(None) scope: AddressScope,
        /// Whether the address can be used; a duplicate belongs to another host as well.
        Text(None) state: AddressState,
        /// Address of the other end.
        Text(None) peer: Option<IpAddr> { wide: true },
        /// When the address ends unless it is renewed.
        Gauge(None) expires: Option<Timestamp> { until: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "address",
    tables: &[AddressRow::TABLE],
    interval: EVERY_SECOND,
    // as for links: the lock of the network configuration may be held for seconds
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::new(AddressCollector::default()),
};

/// Addresses that are read; more would be an attack on memory.
const MAX_ADDRESSES: usize = 1 << 20;

#[derive(Default)]
struct AddressCollector {
    /// Dropped after an error, so that the next sample starts with fresh sockets.
    live: Option<Live>,
    others: Rooms<Live>,
}

impl Collect for AddressCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            let found = recorded(&cx.roots.proc, &cx.roots.sys)?;
            if !found.homeless.is_empty() {
                let count = found.homeless.len();
                let reason = format!("the files of a recorded host do not tell the interfaces of {count} addresses");
                out.partly(AddressRow::TABLE, &Skip::absent(reason));
            }
            let netns = netns::host();
            out.push(found.addresses.iter().map(|address| row(&netns, address, &found.names, cx.time)).collect());
            return Ok(());
        }
        let (mut rows, mut left_out) = (Vec::new(), 0);
        if cx.roots.netns.has_host() {
            let mut live = match self.live.take() {
                Some(live) => live,
                None => Live::open()?,
            };
            rows.extend_from_slice(live.refresh(&netns::host(), cx.time)?);
            left_out += live.left_out;
            self.live = Some(live);
        }
        let troubles = self.others.read(&cx.roots.netns, Live::open, |netns, live| {
            rows.extend_from_slice(live.refresh(netns, cx.time)?);
            left_out += live.left_out;
            Ok(())
        });
        out.left_out(AddressRow::TABLE, left_out, MAX_ADDRESSES, "addresses");
        out.push_netns(cx, rows, &troubles)
    }
}

struct Live {
    queries: Common,
    news: Socket,
    /// Something changed since the last dump, or there was none.
    stale: bool,
    rows: Vec<AddressRow>,
    /// Addresses that have no row.
    left_out: usize,
}

impl Live {
    fn open() -> Result<Self, Error> {
        let groups = [route::GROUP_LINK, route::GROUP_ADDRESS4, route::GROUP_ADDRESS6];
        let news = Socket::subscribe(Family::Route, &groups)?;
        Ok(Self { queries: Common::open(Family::Route)?, news, stale: true, rows: Vec::new(), left_out: 0 })
    }

    /// Rows of the namespace that this was opened in.
    fn refresh(&mut self, netns: &Text, now: Timestamp) -> Result<&[AddressRow], Error> {
        let mut changed = false;
        let drained = self.news.drain(|_| {
            changed = true;
            Ok(())
        })?;
        self.stale |= changed || drained == Drained::Lost;
        if self.stale {
            self.dump(netns, now)?;
            self.stale = false;
        }
        Ok(&self.rows)
    }

    fn dump(&mut self, netns: &Text, now: Timestamp) -> Result<(), Error> {
        let names = self.queries.with(route::link_names)?;
        let mut addresses = Bounded::new(MAX_ADDRESSES);
        self.queries.with(|socket| {
            socket.dump(&route::addresses(), |part| {
                match part {
                    Part::Start => addresses.clear(),
                    Part::Message(message) => addresses.extend(route::address(message)?),
                }
                Ok(())
            })
        })?;
        let before: BTreeMap<_, _> = self.rows.iter().map(|row| (key(row), row.expires)).collect();
        self.left_out = addresses.left_out();
        let mut rows: Vec<_> = addresses.kept().iter().map(|address| row(netns, address, &names, now)).collect();
        for row in &mut rows {
            row.expires = steady(before.get(&key(row)).copied().flatten(), row.expires);
        }
        self.rows = rows;
        Ok(())
    }
}

fn key(row: &AddressRow) -> (u32, IpAddr, u32) {
    (row.index, row.address, row.prefix)
}

/// The kernel counts down whole seconds: an end that moved by a second or less has not moved.
pub(super) fn steady(before: Option<Timestamp>, now: Option<Timestamp>) -> Option<Timestamp> {
    match (before, now) {
        (Some(before), Some(now)) if before.age(now).abs() <= 1.0 => Some(before),
        (_, now) => now,
    }
}

fn row(netns: &Text, address: &Address, names: &LinkNames, now: Timestamp) -> AddressRow {
    let lifetime = address.valid.map(|seconds| i64::from(seconds).saturating_mul(1_000_000_000));
    AddressRow {
        netns: netns.clone(),
        index: address.index.0,
        address: address.address,
        prefix: u32::from(address.prefix),
        interface: names.get(&address.index).cloned(),
        scope: scope(address.scope),
        state: state(address.flags),
        peer: address.peer,
        expires: lifetime.map(|lifetime| Timestamp(now.0.saturating_add(lifetime))),
    }
}

/// From `RT_SCOPE_*`
pub(super) fn scope(scope: u8) -> AddressScope {
    match scope {
        0 => AddressScope::Global,
        200 => AddressScope::Site,
        253 => AddressScope::Link,
        254 => AddressScope::Host,
        255 => AddressScope::Nowhere,
        _ => AddressScope::Other,
    }
}

/// From `IFA_F_*`
fn state(flags: u32) -> AddressState {
    const DUPLICATE: u32 = 0x08;
    const DEPRECATED: u32 = 0x20;
    const TENTATIVE: u32 = 0x40;
    match flags {
        flags if flags & DUPLICATE != 0 => AddressState::Duplicate,
        flags if flags & TENTATIVE != 0 => AddressState::Tentative,
        flags if flags & DEPRECATED != 0 => AddressState::Deprecated,
        _ => AddressState::Usable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::testing::{in_own_network, ip};

    #[test]
    fn root_addresses_follow_the_kernel_and_agree_with_ip() {
        in_own_network(|| {
            let mut live = Live::open().unwrap();
            live.refresh(&netns::host(), Timestamp(0)).unwrap();
            ip("link add wan type bridge");
            ip("addr add 192.0.2.1 peer 192.0.2.9/32 dev wan");
            ip("addr add 2001:db8::1/64 dev wan nodad valid_lft 600 preferred_lft 0");
            let now = Timestamp(1_000_000_000_000);
            live.refresh(&netns::host(), now).unwrap();
            let truth: serde_json::Value = serde_json::from_str(&ip("-j addr")).unwrap();
            let mut want: Vec<(String, String, u64)> = Vec::new();
            for link in truth.as_array().unwrap() {
                for address in link["addr_info"].as_array().unwrap() {
                    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                    let prefix = address["prefixlen"].as_u64().unwrap();
                    want.push((text(&link["ifname"]), text(&address["local"]), prefix));
                }
            }
            let as_text = |row: &AddressRow| {
                (row.interface.as_deref().unwrap().to_owned(), row.address.to_string(), u64::from(row.prefix))
            };
            let mut have: Vec<_> = live.rows.iter().map(as_text).collect();
            want.sort();
            have.sort();
            assert_eq!(have, want);
            let of = |address: &str| live.rows.iter().find(|row| row.address.to_string() == address).unwrap();
            assert_eq!(of("192.0.2.1").peer, "192.0.2.9".parse().ok());
            assert_eq!((of("192.0.2.1").expires, of("192.0.2.1").state), (None, AddressState::Usable));
            assert_eq!(of("127.0.0.1").scope, AddressScope::Host);
            assert_eq!(of("2001:db8::1").state, AddressState::Deprecated);
            let left = now.age(of("2001:db8::1").expires.unwrap());
            assert!((-600.0..=-598.0).contains(&-left.abs()), "{left}");
            ip("addr del 2001:db8::1/64 dev wan");
            live.refresh(&netns::host(), now).unwrap();
            assert!(!live.rows.iter().any(|row| row.address.to_string() == "2001:db8::1"));
        });
    }

    #[test]
    fn an_end_that_is_renewed_moves_and_one_that_is_rounded_does_not() {
        let at = |seconds: f64| Some(Timestamp::from_seconds(seconds));
        assert_eq!(steady(at(100.0), at(100.9)), at(100.0));
        assert_eq!(steady(at(100.0), at(160.0)), at(160.0));
        assert_eq!(steady(None, at(5.0)), at(5.0));
        assert_eq!(steady(at(100.0), None), None);
    }
}
