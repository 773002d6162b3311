//! Which addresses and groups are behind which port?

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::collect::address::steady;
use crate::model::{Mac, Text, Timestamp};
use crate::source::Error;
use crate::source::netlink::bridge::{self, Group, GroupAddress};
use crate::source::netlink::neighbor::{self, FLAG_ROUTER, Neighbor};
use crate::source::netlink::route::{IfIndex, LinkNames};
use crate::source::netlink::{Socket, words};
use crate::{label, table};

label! {
    /// How long an entry of a forwarding table stays.
    pub enum FdbState {
        Learned = "learned",
        Stale = "stale",
        Static = "static",
        Permanent = "permanent",
        Other = "other",
    }
}

label! {
    /// How long a group stays.
    pub enum MdbState {
        Temp = "temp",
        Permanent = "permanent",
    }
}

table! {
    /// One address in the forwarding table of a bridge, a tunnel or a device. Where a tunnel leads is missing for others.
    ///
    /// Source: rtnetlink `RTM_GETNEIGH` for `AF_BRIDGE`, `include/uapi/linux/neighbour.h`.
    pub struct FdbRow = "fdb" { title: Some("Forwarding tables"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Ethernet address.
        Id(None) mac: Mac { label: true },
        /// VLAN in which it is; missing for all.
        Id(None) vlan: Option<u32> { exact: true },
        /// Bridge whose table it is in; missing for that of the interface itself.
        Id(None) bridge: Option<Text>,
        /// Address where the tunnel leads.
        Id(None) destination: Option<IpAddr> { title: Some("dst") },
        /// Number of the network from which the tunnel leads there.
        Id(None) source_vni: Option<u32> { exact: true, wide: true },
        /// Which of several ways to that address it is: what is another one than usual of `vni`, `port` and `via`.
        Id(None) path: Option<Text> { wide: true },
        /// Name of the interface behind which it is.
        Text(None) interface: Option<Text>,
        /// How long it stays.
        Text(None) state: FdbState,
        /// What else is said of it, such as `extern_learn` and `sticky`.
        Text(None) flags: Option<Text>,
        /// Number of the network where the tunnel leads.
        Gauge(None) vni: Option<u32> { exact: true, wide: true },
        /// UDP port where the tunnel leads.
        Gauge(None) port: Option<u32> { exact: true, wide: true },
        /// Interface over which the tunnel leads there.
        Text(None) via: Option<Text> { wide: true },
        /// When something came from it last.
        Gauge(None) used: Option<Timestamp>,
        /// When it was learned, or came to another port.
        Gauge(None) updated: Option<Timestamp>,
    }
}

table! {
    /// One group that a bridge sends to one of its ports.
    ///
    /// Source: rtnetlink `RTM_GETMDB`, `include/uapi/linux/if_bridge.h`.
    pub struct MdbRow = "mdb" { title: Some("Multicast groups of bridges"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the bridge.
        Id(None) bridge_index: u32 { wide: true },
        /// Number of the port.
        Id(None) index: u32 { wide: true },
        /// Address of the group.
        Id(None) group: Text { label: true },
        /// VLAN in which it is; missing for all.
        Id(None) vlan: Option<u32> { exact: true },
        /// Who sends to it; missing for anybody.
        Id(None) source: Option<IpAddr>,
        /// Name of the bridge.
        Text(None) bridge: Option<Text>,
        /// Port that it is sent to.
        Text(None) interface: Option<Text>,
        /// How long it stays.
        Text(None) state: MdbState,
        /// What else is said of it, such as `fast_leave` and `blocked`.
        Text(None) flags: Option<Text>,
        /// Who has made it.
        Text(None) protocol: Option<Text> { wide: true },
        /// When it goes unless somebody asks for it again.
        Gauge(None) expires: Option<Timestamp> { until: true },
    }
}

/// Words of `bridge` for `NTF_*` and, from bit 16 on, `NTF_EXT_*`.
const FLAGS: [(u32, &str); 7] = [
    (1 << 1, "self"),
    (1 << 2, "master"),
    (1 << 4, "extern_learn"),
    (1 << 5, "offload"),
    (1 << 6, "sticky"),
    (FLAG_ROUTER, "router"),
    (1 << 17, "locked"),
];

/// Words of `bridge` for `MDB_FLAGS_*`
const GROUP_FLAGS: [(u32, &str); 5] =
    [(1, "offload"), (2, "fast_leave"), (4, "added_by_star_ex"), (8, "blocked"), (16, "offload_failed")];

/// `NTF_SELF` and `NTF_MASTER`, which say in whose table an entry is.
const WHOSE: u32 = 1 << 1 | 1 << 2;

/// What an address is known by.
type Key = (Text, u32, Mac, Option<u32>, Option<Text>, Option<IpAddr>, Option<u32>, Option<Text>);
/// What a group is known by.
type GroupKey = (Text, u32, u32, Text, Option<u32>, Option<IpAddr>);

/// Times of the last sample: the kernel tells ages, which are other numbers each time.
#[derive(Default)]
pub(super) struct Ages {
    addresses: BTreeMap<Key, [Option<Timestamp>; 2]>,
    groups: BTreeMap<GroupKey, Timestamp>,
}

impl Ages {
    /// Those of a sample.
    pub(super) fn of(addresses: Option<&mut [FdbRow]>, groups: Option<&mut [MdbRow]>) -> Self {
        let addresses = addresses.into_iter().flatten().map(|row| (key(row), [row.used, row.updated]));
        let groups = groups.into_iter().flatten().filter_map(|row| Some((group_key(row), row.expires?)));
        Self { addresses: addresses.collect(), groups: groups.collect() }
    }

    /// The addresses of a namespace, and how many have no room.
    pub(super) fn addresses(
        &self,
        netns: &Text,
        socket: &mut Socket,
        names: &LinkNames,
        now: Timestamp,
        most: usize,
    ) -> Result<(Vec<FdbRow>, usize), Error> {
        let found = neighbor::neighbors(socket, libc::AF_BRIDGE, most)?;
        let row = |neighbor: &Neighbor| {
            let mut row = row(netns, neighbor, names, now)?;
            if let Some([used, updated]) = self.addresses.get(&key(&row)) {
                row.used = steady(*used, row.used);
                row.updated = steady(*updated, row.updated);
            }
            Some(row)
        };
        Ok((found.kept().iter().filter_map(row).collect(), found.left_out()))
    }

    /// The groups of a namespace, and how many have no room.
    pub(super) fn groups(
        &self,
        netns: &Text,
        socket: &mut Socket,
        names: &LinkNames,
        now: Timestamp,
        most: usize,
    ) -> Result<(Vec<MdbRow>, usize), Error> {
        let found = bridge::groups(socket, most)?;
        let row = |group: &Group| {
            let mut row = group_row(netns, group, names, now);
            row.expires = steady(self.groups.get(&group_key(&row)).copied(), row.expires);
            row
        };
        Ok((found.kept().iter().map(row).collect(), found.left_out()))
    }
}

fn key(row: &FdbRow) -> Key {
    let (netns, bridge, path) = (row.netns.clone(), row.bridge.clone(), row.path.clone());
    (netns, row.index, row.mac, row.vlan, bridge, row.destination, row.source_vni, path)
}

fn group_key(row: &MdbRow) -> GroupKey {
    (row.netns.clone(), row.bridge_index, row.index, row.group.clone(), row.vlan, row.source)
}

fn row(netns: &Text, entry: &Neighbor, names: &LinkNames, now: Timestamp) -> Option<FdbRow> {
    let name = |index: IfIndex| names.get(&index).cloned();
    let number = |index: IfIndex| Text::from(index.0.to_string());
    let ago = |hundredths: u32| Timestamp(now.0.saturating_sub(i64::from(hundredths) * 10_000_000));
    Some(FdbRow {
        netns: netns.clone(),
        index: entry.index.0,
        mac: entry.mac?,
        vlan: entry.vlan.map(u32::from),
        bridge: entry.master.map(|master| name(master).unwrap_or_else(|| number(master))),
        destination: entry.address,
        source_vni: entry.source_vni,
        path: path(entry, entry.via.map(|via| name(via).unwrap_or_else(|| number(via)))),
        interface: name(entry.index),
        state: state(entry.state),
        flags: words::flags(&FLAGS, if entry.master.is_some() { entry.flags & !WHOSE } else { entry.flags }),
        vni: entry.vni,
        port: entry.port.map(u32::from),
        via: entry.via.and_then(name),
        used: entry.times.map(|times| ago(times.used)),
        updated: entry.times.map(|times| ago(times.updated)),
    })
}

/// Where a tunnel leads beside the address, of which the kernel tells what is not usual for it.
fn path(entry: &Neighbor, via: Option<Text>) -> Option<Text> {
    let vni = entry.vni.map(|vni| format!("vni {vni}"));
    let port = entry.port.map(|port| format!("port {port}"));
    let parts: Vec<String> = [vni, port, via.map(|via| format!("via {via}"))].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| Text::from(parts.join(" ")))
}

/// From `NUD_*`, of which tunnels set several.
fn state(state: u16) -> FdbState {
    match state {
        state if state & 0x80 != 0 => FdbState::Permanent,
        state if state & 0x40 != 0 => FdbState::Static,
        state if state & 0x04 != 0 => FdbState::Stale,
        state if state & 0x02 != 0 => FdbState::Learned,
        _ => FdbState::Other,
    }
}

fn group_row(netns: &Text, group: &Group, names: &LinkNames, now: Timestamp) -> MdbRow {
    let left = |hundredths: u32| Timestamp(now.0.saturating_add(i64::from(hundredths) * 10_000_000));
    let address = match group.address {
        GroupAddress::Ip(address) => address.to_string(),
        GroupAddress::Mac(mac) => mac.to_string(),
    };
    MdbRow {
        netns: netns.clone(),
        bridge_index: group.bridge.0,
        index: group.port.0,
        group: Text::from(address),
        vlan: group.vlan.map(u32::from),
        source: group.source,
        bridge: names.get(&group.bridge).cloned(),
        interface: names.get(&group.port).cloned(),
        state: if group.state == 0 { MdbState::Temp } else { MdbState::Permanent },
        flags: words::flags(&GROUP_FLAGS, group.flags.into()),
        protocol: group.protocol.filter(|protocol| *protocol != 0).map(words::protocol),
        expires: group.expires.map(left),
    }
}
