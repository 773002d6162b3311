//! What do bonds, VLANs and tunnels consist of?
//!
//! One dump of all interfaces for all of these tables, while somebody looks at one of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Mac, Text};
use crate::source::Error;
use crate::source::netlink::route::{IfIndex, LinkNames};
use crate::source::netlink::tunnel::Tunnel;
use crate::source::netlink::virtual_link::{self, Bond, BondPort, Kind, Member, VirtualLink, Vlan};
use crate::source::netlink::{Family, Socket, words};
use crate::{label, table};

label! {
    /// Which member of a bond sends what.
    pub enum BondMode {
        BalanceRr = "balance-rr",
        ActiveBackup = "active-backup",
        BalanceXor = "balance-xor",
        Broadcast = "broadcast",
        Lacp = "802.3ad",
        BalanceTlb = "balance-tlb",
        BalanceAlb = "balance-alb",
        Other = "other",
    }
}

label! {
    /// By what a bond chooses the member that sends a packet.
    pub enum HashPolicy {
        Layer2 = "layer2",
        Layer34 = "layer3+4",
        Layer23 = "layer2+3",
        Encap23 = "encap2+3",
        Encap34 = "encap3+4",
        VlanSourceMac = "vlan+srcmac",
        Other = "other",
    }
}

label! {
    /// Whether a member of a bond is used.
    pub enum BondPortState {
        Active = "active",
        Backup = "backup",
    }
}

label! {
    /// Whether a member of a bond has a carrier.
    pub enum BondPortLink {
        Up = "up",
        GoingDown = "going_down" => Careful,
        Down = "down" => Warning,
        GoingBack = "going_back" => Careful,
        Other = "other",
    }
}

table! {
    /// One bond. Members of an aggregator and the partner are missing but for 802.3ad.
    ///
    /// Source: rtnetlink `RTM_GETLINK`, `IFLA_BOND_*` of `include/uapi/linux/if_link.h`;
    /// `Documentation/networking/bonding.rst`.
    pub struct BondRow = "bond" { title: Some("Bonds"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Name of the interface.
        Text(None) interface: Text { label: true },
        /// Which member sends what.
        Text(None) mode: Option<BondMode>,
        /// Members that it has.
        Gauge(None) members: u32,
        /// Members with a carrier.
        Gauge(None) up: u32,
        /// Members without which it has no carrier.
        Gauge(None) min_links: Option<u32> { wide: true },
        /// Member that is used, where it is one.
        Text(None) active: Option<Text>,
        /// Member that is used whenever it can be.
        Text(None) primary: Option<Text> { wide: true },
        /// How long it is between two looks at the carriers; zero is never.
        Gauge(Seconds) miimon: Option<f64> { wide: true },
        /// How long it is between two requests of ARP; zero is never.
        Gauge(Seconds) arp_interval: Option<f64> { wide: true },
        /// By what the member that sends a packet is chosen.
        Text(None) hash_policy: Option<HashPolicy> { title: Some("hash") },
        /// Whether the partner is asked to speak every second.
        Text(None) fast: Option<bool> { wide: true },
        /// Number of the aggregator that is used.
        Gauge(None) aggregator: Option<u32> { exact: true, wide: true },
        /// Members of that aggregator.
        Gauge(None) ports: Option<u32>,
        /// Ethernet address of the partner.
        Text(None) partner: Option<Mac>,
    }
}

table! {
    /// One member of a bond. States of LACP are missing but for 802.3ad.
    ///
    /// Source: rtnetlink `RTM_GETLINK`, `IFLA_BOND_SLAVE_*` of `include/uapi/linux/if_link.h`;
    /// `Documentation/networking/bonding.rst`.
    pub struct BondPortRow = "bond_port" { title: Some("Members of bonds"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Name of the interface.
        Text(None) interface: Text { label: true },
        /// Bond that it is a member of.
        Text(None) bond: Option<Text>,
        /// Whether it is used.
        Text(None) state: Option<BondPortState>,
        /// Whether it has a carrier; one that comes or goes waits.
        Text(None) link: Option<BondPortLink>,
        /// How often its carrier went.
        Counter(Events) failures: Option<u64>,
        /// Ethernet address that it has of its own.
        Text(None) mac: Option<Mac> { wide: true },
        /// Number of its queue.
        Gauge(None) queue: Option<u32> { exact: true, wide: true },
        /// Number of the aggregator that it is in.
        Gauge(None) aggregator: Option<u32> { exact: true },
        /// What this end says by LACP, such as `in_sync` and `collecting`.
        Text(None) actor: Option<Text> { wide: true },
        /// What the other end says by LACP.
        Text(None) partner: Option<Text> { wide: true },
    }
}

table! {
    /// One VLAN on another interface.
    ///
    /// Source: rtnetlink `RTM_GETLINK`, `IFLA_VLAN_*` of `include/uapi/linux/if_link.h`.
    pub struct VlanRow = "vlan" { title: Some("VLANs"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Name of the interface.
        Text(None) interface: Text { label: true },
        /// Number of the VLAN.
        Gauge(None) vlan: Option<u32> { exact: true },
        /// Interface that it is on; missing where that is in another network namespace.
        Text(None) lower: Option<Text>,
        /// Protocol of its tags.
        Text(None) protocol: Option<Text>,
        /// What is switched on, such as `reorder_hdr` and `gvrp`.
        Text(None) flags: Option<Text> { wide: true },
    }
}

table! {
    /// One tunnel. An address is missing where any is meant, a key where there is none, the time to live where it is that of
    /// what is inside.
    ///
    /// Source: rtnetlink `RTM_GETLINK`, `include/uapi/linux/if_tunnel.h`, `include/uapi/linux/if_link.h`.
    pub struct TunnelRow = "tunnel" { title: Some("Tunnels"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Name of the interface.
        Text(None) interface: Text { label: true },
        /// Driver, such as `gre` and `vxlan`.
        Text(None) kind: Text,
        /// Address of this end.
        Text(None) local: Option<IpAddr>,
        /// Address of the other end, or the group of all of them.
        Text(None) remote: Option<IpAddr>,
        /// Interface that it goes over; missing where that is in another network namespace.
        Text(None) lower: Option<Text>,
        /// Key of packets that come.
        Gauge(None) input_key: Option<u32> { exact: true, title: Some("ikey") },
        /// Key of packets that go.
        Gauge(None) output_key: Option<u32> { exact: true, title: Some("okey") },
        /// Number of the network.
        Gauge(None) vni: Option<u32> { exact: true },
        /// UDP port of the other end.
        Gauge(None) port: Option<u32> { exact: true },
        /// Time to live of packets that go.
        Gauge(None) ttl: Option<u32>,
        /// Type of service of packets that go; that of what is inside for 1.
        Gauge(None) tos: Option<u32> { wide: true },
        /// Whether it learns behind which end an address is.
        Text(None) learning: Option<bool> { wide: true },
        /// Whether the way is asked how large packets may be.
        Text(None) pmtudisc: Option<bool> { wide: true },
        /// Whether each packet says where it goes.
        Text(None) external: bool { wide: true },
        /// Mark of packets that go.
        Gauge(None) mark: Option<u32> { exact: true, title: Some("fwmark"), wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "virtual_link",
    tables: &[BondRow::TABLE, BondPortRow::TABLE, VlanRow::TABLE, TunnelRow::TABLE],
    interval: EVERY_SECOND,
    // as for links: the lock of the network configuration may be held for seconds
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<VirtualLinkCollector>::default(),
};

/// Interfaces that are read.
const MAX_LINKS: usize = 1 << 16;

/// Words for `VLAN_FLAG_*`.
const VLAN_FLAGS: [(u32, &str); 5] =
    [(1, "reorder_hdr"), (2, "gvrp"), (4, "loose_binding"), (8, "mvrp"), (16, "bridge_binding")];

/// Words of `ip` for `LACP_STATE_*`.
const LACP: [(u32, &str); 8] = [
    (1, "active"),
    (2, "short_timeout"),
    (4, "aggregating"),
    (8, "in_sync"),
    (16, "collecting"),
    (32, "distributing"),
    (64, "defaulted"),
    (128, "expired"),
];

#[derive(Default)]
struct VirtualLinkCollector {
    sockets: Everywhere<Socket>,
}

/// The tables that somebody looks at.
struct Look {
    bonds: Option<Portion<BondRow>>,
    bond_ports: Option<Portion<BondPortRow>>,
    vlans: Option<Portion<VlanRow>>,
    tunnels: Option<Portion<TunnelRow>>,
}

impl Look {
    fn take(&mut self, netns: &Text, socket: &mut Socket) -> Result<(), Error> {
        let found = virtual_link::links(socket, MAX_LINKS)?;
        let (links, left_out) = (found.kept(), found.left_out());
        let here = Here { netns, links, names: &virtual_link::names(links), bonded: &bonded(links) };
        Portion::add(&mut self.bonds, || Ok((here.rows(Here::bond), left_out)))?;
        Portion::add(&mut self.bond_ports, || Ok((here.rows(Here::bond_port), left_out)))?;
        Portion::add(&mut self.vlans, || Ok((here.rows(Here::vlan), left_out)))?;
        Portion::add(&mut self.tunnels, || Ok((here.rows(Here::tunnel), left_out)))
    }
}

impl Collect for VirtualLinkCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("interfaces are asked for over netlink, which a recorded tree has not"));
        }
        if ENTRY.tables.iter().all(|table| cx.wants.table(table).is_none()) {
            return Ok(());
        }
        let mut look = Look {
            bonds: Portion::of(cx, MAX_LINKS),
            bond_ports: Portion::of(cx, MAX_LINKS),
            vlans: Portion::of(cx, MAX_LINKS),
            tunnels: Portion::of(cx, MAX_LINKS),
        };
        let open = || Socket::open(Family::Route);
        let troubles = self.sockets.read(cx, open, |netns, socket| look.take(netns, socket))?;
        let lack = "the kernel tells nothing of interfaces";
        tell(look.bonds, cx, out, &troubles, lack)?;
        tell(look.bond_ports, cx, out, &troubles, lack)?;
        tell(look.vlans, cx, out, &troubles, lack)?;
        tell(look.tunnels, cx, out, &troubles, lack)
    }
}

/// The interfaces of one network namespace.
struct Here<'a> {
    netns: &'a Text,
    links: &'a [VirtualLink],
    names: &'a LinkNames,
    bonded: &'a Bonded,
}

/// How many members each bond has, and how many of them have a carrier.
type Bonded = BTreeMap<IfIndex, (u32, u32)>;

fn bonded(links: &[VirtualLink]) -> Bonded {
    let mut bonded = Bonded::new();
    for link in links {
        if let (Some(master), Member::Bond(port)) = (link.master, &link.member) {
            let (members, up) = bonded.entry(master).or_default();
            *members += 1;
            *up += u32::from(port.link == Some(0));
        }
    }
    bonded
}

impl Here<'_> {
    fn rows<R>(&self, row: impl Fn(&Self, &VirtualLink) -> Option<R>) -> Vec<R> {
        self.links.iter().filter_map(|link| row(self, link)).collect()
    }

    fn name(&self, index: Option<IfIndex>) -> Option<Text> {
        self.names.get(&index?).cloned()
    }

    /// Name of the interface below one, if it is here.
    fn lower(&self, link: &VirtualLink, index: Option<IfIndex>) -> Option<Text> {
        self.name(index.or(link.lower).filter(|_| !link.is_lower_elsewhere))
    }

    fn bond(&self, link: &VirtualLink) -> Option<BondRow> {
        let Kind::Bond(bond) = &link.kind else { return None };
        let seconds = |milliseconds: u32| f64::from(milliseconds) / 1e3;
        let (members, up) = self.bonded.get(&link.index).copied().unwrap_or((0, 0));
        let Bond { mode, active, primary, miimon, arp_interval, hash_policy, .. } = bond;
        Some(BondRow {
            netns: self.netns.clone(),
            index: link.index.0,
            interface: link.name.clone(),
            mode: mode.map(bond_mode),
            members,
            up,
            min_links: bond.min_links,
            active: self.name(*active),
            primary: self.name(*primary),
            miimon: miimon.map(seconds),
            arp_interval: arp_interval.map(seconds),
            hash_policy: hash_policy.map(bond_hash),
            fast: bond.is_fast,
            aggregator: bond.aggregator.map(u32::from),
            ports: bond.ports.map(u32::from),
            partner: bond.partner,
        })
    }

    fn bond_port(&self, link: &VirtualLink) -> Option<BondPortRow> {
        let Member::Bond(port) = &link.member else { return None };
        let BondPort { state, link: carrier, failures, mac, queue, aggregator, actor, partner } = port;
        Some(BondPortRow {
            netns: self.netns.clone(),
            index: link.index.0,
            interface: link.name.clone(),
            bond: self.name(link.master),
            state: state.map(|state| if state == 0 { BondPortState::Active } else { BondPortState::Backup }),
            link: carrier.map(bond_link),
            failures: failures.map(u64::from),
            mac: *mac,
            queue: queue.map(u32::from),
            aggregator: aggregator.map(u32::from),
            actor: actor.and_then(|state| words::flags(&LACP, state.into())),
            partner: partner.and_then(|state| words::flags(&LACP, state.into())),
        })
    }

    fn vlan(&self, link: &VirtualLink) -> Option<VlanRow> {
        let Kind::Vlan(Vlan { id, flags, protocol }) = &link.kind else { return None };
        Some(VlanRow {
            netns: self.netns.clone(),
            index: link.index.0,
            interface: link.name.clone(),
            vlan: id.map(u32::from),
            lower: self.lower(link, None),
            protocol: protocol.map(tag_protocol),
            flags: words::flags(&VLAN_FLAGS, *flags),
        })
    }

    fn tunnel(&self, link: &VirtualLink) -> Option<TunnelRow> {
        let Kind::Tunnel(tunnel) = &link.kind else { return None };
        let Tunnel { kind, local, remote, lower, input_key, output_key, vni, .. } = &**tunnel;
        Some(TunnelRow {
            netns: self.netns.clone(),
            index: link.index.0,
            interface: link.name.clone(),
            kind: kind.clone(),
            local: *local,
            remote: *remote,
            lower: self.lower(link, *lower),
            input_key: *input_key,
            output_key: *output_key,
            vni: *vni,
            port: tunnel.port.map(u32::from),
            ttl: tunnel.ttl.map(u32::from),
            tos: tunnel.tos.map(u32::from),
            learning: tunnel.learns,
            pmtudisc: tunnel.is_whole,
            external: tunnel.is_external,
            mark: tunnel.mark,
        })
    }
}

/// From `BOND_MODE_*`
fn bond_mode(number: u8) -> BondMode {
    match number {
        0 => BondMode::BalanceRr,
        1 => BondMode::ActiveBackup,
        2 => BondMode::BalanceXor,
        3 => BondMode::Broadcast,
        4 => BondMode::Lacp,
        5 => BondMode::BalanceTlb,
        6 => BondMode::BalanceAlb,
        _ => BondMode::Other,
    }
}

/// From `BOND_XMIT_POLICY_*`
fn bond_hash(number: u8) -> HashPolicy {
    match number {
        0 => HashPolicy::Layer2,
        1 => HashPolicy::Layer34,
        2 => HashPolicy::Layer23,
        3 => HashPolicy::Encap23,
        4 => HashPolicy::Encap34,
        5 => HashPolicy::VlanSourceMac,
        _ => HashPolicy::Other,
    }
}

/// From `BOND_LINK_*`
fn bond_link(number: u8) -> BondPortLink {
    match number {
        0 => BondPortLink::Up,
        1 => BondPortLink::GoingDown,
        2 => BondPortLink::Down,
        3 => BondPortLink::GoingBack,
        _ => BondPortLink::Other,
    }
}

/// From `ETH_P_*`
fn tag_protocol(number: u16) -> Text {
    match number {
        0x8100 => Text::from("802.1Q"),
        0x88a8 => Text::from("802.1ad"),
        number => Text::from(format!("{number:#06x}")),
    }
}
