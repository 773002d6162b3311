//! What do bridges forward, and where to?
//!
//! Ports with their state in the spanning tree and their VLANs, addresses behind them, and groups that go to them, all of it
//! while somebody looks.

mod fdb;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub use self::fdb::{FdbRow, MdbRow};
use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::Error;
use crate::source::netlink::bridge::{self, BridgeId, PORT_FLAGS, Port, Vlans};
use crate::source::netlink::route::{self, IfIndex, LinkNames};
use crate::source::netlink::virtual_link::{self, Kind, Member, VirtualLink};
use crate::source::netlink::{Family, Socket};
use crate::{label, table};

label! {
    /// State of a port in the spanning tree.
    pub enum PortState {
        Disabled = "disabled",
        Listening = "listening",
        Learning = "learning",
        Forwarding = "forwarding",
        Blocking = "blocking",
        Other = "other",
    }
}

label! {
    /// Whether multicast routers are looked for behind a port.
    pub enum MulticastRouter {
        Disabled = "disabled",
        Query = "query",
        Permanent = "permanent",
        Temporary = "temporary",
        Other = "other",
    }
}

table! {
    /// One port of a bridge. VLANs are missing where the bridge does not heed them. What an older kernel does not tell is
    /// missing.
    ///
    /// Source: rtnetlink `RTM_GETLINK`, `IFLA_BRPORT_*` of `include/uapi/linux/if_link.h`, `include/uapi/linux/if_bridge.h`.
    pub struct BridgePortRow = "bridge_port" { title: Some("Bridge ports"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Name of the interface.
        Text(None) interface: Text { label: true },
        /// Bridge that it belongs to.
        Text(None) bridge: Option<Text>,
        /// What it does with packets.
        Text(None) state: Option<PortState>,
        /// Whether the bridge speaks the spanning tree protocol.
        Text(None) stp: Option<bool> { title: Some("STP") },
        /// What it costs to go over it.
        Gauge(None) cost: Option<u32> { exact: true },
        /// Which of several with the same cost is taken: that with the least.
        Gauge(None) priority: Option<u32> { exact: true, title: Some("prio") },
        /// What comes without a VLAN is in this one.
        Gauge(None) pvid: Option<u32> { exact: true },
        /// VLANs that it carries; a `u` stands behind those that leave it without one.
        Text(None) vlans: Option<Text>,
        /// Whether it learns which addresses are behind it.
        Text(None) learning: bool,
        /// Whether it is sent what is for addresses that nobody knows.
        Text(None) flood: bool,
        /// Whether other bridges that call on it are not heeded.
        Text(None) guard: bool,
        /// Whether it exchanges nothing with others that are isolated.
        Text(None) isolated: bool,
        /// What else is switched on, such as `hairpin` and `neigh_suppress`.
        Text(None) flags: Option<Text> { wide: true },
        /// Number of the port.
        Gauge(None) number: Option<u32> { exact: true, wide: true },
        /// Root of the spanning tree.
        Text(None) root: Option<Text> { wide: true },
        /// Bridge that forwards from here towards the root.
        Text(None) designated: Option<Text> { wide: true },
        /// What it costs that bridge to get to the root.
        Gauge(None) designated_cost: Option<u32> { exact: true, wide: true },
        /// Number of the port of that bridge, with its priority in front.
        Gauge(None) designated_port: Option<u32> { exact: true, wide: true },
        /// Whether multicast routers are looked for behind it.
        Text(None) multicast_router: Option<MulticastRouter> { wide: true },
        /// Port that takes its traffic while it has no carrier.
        Text(None) backup: Option<Text> { wide: true },
        /// Groups that it has.
        Gauge(None) groups: Option<u32> { wide: true },
        /// Groups that it may have.
        Gauge(None) max_groups: Option<u32> { wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "bridge",
    tables: &[BridgePortRow::TABLE, FdbRow::TABLE, MdbRow::TABLE],
    interval: EVERY_SECOND,
    // as for links: the lock of the network configuration may be held for seconds
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<BridgeCollector>::default(),
};

/// Ports that become rows.
const MAX_PORTS: usize = 1 << 16;
/// Addresses, and as many groups, that become rows.
const MAX_ADDRESSES: usize = 1 << 16;

/// Words that have columns of their own.
const OWN: [&str; 4] = ["learning", "flood", "guard", "isolated"];

#[derive(Default)]
struct BridgeCollector {
    sockets: Everywhere<Socket>,
    ages: fdb::Ages,
}

impl Collect for BridgeCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("bridges are asked for over netlink, which a recorded tree has not"));
        }
        let (mut ports, mut addresses) = (Portion::of(cx, MAX_PORTS), Portion::of(cx, MAX_ADDRESSES));
        let mut groups = Portion::of(cx, MAX_ADDRESSES);
        if ports.is_none() && addresses.is_none() && groups.is_none() {
            return Ok(());
        }
        let ages = &self.ages;
        let troubles = self.sockets.read(cx, open, |netns, socket| {
            Portion::add(&mut ports, || port_rows(netns, socket))?;
            if addresses.is_none() && groups.is_none() {
                return Ok(());
            }
            let names = route::link_names(socket)?;
            Portion::add(&mut addresses, || ages.addresses(netns, socket, &names, cx.time, MAX_ADDRESSES))?;
            Portion::add(&mut groups, || ages.groups(netns, socket, &names, cx.time, MAX_ADDRESSES))
        })?;
        self.ages = fdb::Ages::of(addresses.as_mut().map(Portion::rows_mut), groups.as_mut().map(Portion::rows_mut));
        let lack = "the kernel is built without bridges";
        tell(ports, cx, out, &troubles, lack)?;
        tell(addresses, cx, out, &troubles, lack)?;
        tell(groups, cx, out, &troubles, lack)
    }
}

fn open() -> Result<Socket, Error> {
    Socket::open(Family::Route)
}

/// The ports of a namespace, and how many have no room.
fn port_rows(netns: &Text, socket: &mut Socket) -> Result<(Vec<BridgePortRow>, usize), Error> {
    let found = virtual_link::links(socket, MAX_PORTS)?;
    let links = found.kept();
    let names = virtual_link::names(links);
    let heeds_vlans =
        |link: &VirtualLink| matches!(&link.kind, Kind::Bridge(bridge) if bridge.vlan_filtering == Some(true));
    let vlans = if links.iter().any(heeds_vlans) { bridge::vlans(socket, MAX_PORTS)? } else { BTreeMap::new() };
    let by_index: BTreeMap<IfIndex, &VirtualLink> = links.iter().map(|link| (link.index, link)).collect();
    let row = |link: &VirtualLink| {
        let Member::Bridge(port) = &link.member else { return None };
        let master = link.master.and_then(|master| by_index.get(&master).copied());
        let vlans = vlans.get(&link.index).filter(|_| master.is_some_and(heeds_vlans));
        Some(port_row(netns, link, port, (master, &names), vlans))
    };
    Ok((links.iter().filter_map(row).collect(), found.left_out()))
}

fn port_row(
    netns: &Text,
    link: &VirtualLink,
    port: &Port,
    (master, names): (Option<&VirtualLink>, &LinkNames),
    vlans: Option<&Vlans>,
) -> BridgePortRow {
    let words = PORT_FLAGS.iter().map(|(_, word)| *word).filter(|word| !OWN.contains(word) && port.has(word));
    let words = words.collect::<Vec<_>>().join(",");
    let bridge = master.and_then(|master| match &master.kind {
        Kind::Bridge(bridge) => Some(bridge),
        _ => None,
    });
    let native = vlans.and_then(|vlans| vlans.iter().find(|(_, _, flags)| flags.is_native));
    BridgePortRow {
        netns: netns.clone(),
        index: link.index.0,
        interface: link.name.clone(),
        bridge: master.map(|master| master.name.clone()),
        state: port.state.map(state),
        stp: bridge.and_then(|bridge| bridge.stp),
        cost: port.cost,
        priority: port.priority.map(u32::from),
        pvid: native.map(|(vlan, _, _)| u32::from(*vlan)),
        vlans: vlans.map(vlan_words),
        learning: port.has("learning"),
        flood: port.has("flood"),
        guard: port.has("guard"),
        isolated: port.has("isolated"),
        flags: (!words.is_empty()).then(|| Text::from(words)),
        number: port.number.map(u32::from),
        root: port.root.map(bridge_name),
        designated: port.designated.map(bridge_name),
        designated_cost: port.designated_cost.map(u32::from),
        designated_port: port.designated_port.map(u32::from),
        multicast_router: port.multicast_router.map(multicast_router),
        backup: port.backup.and_then(|backup| names.get(&backup)).cloned(),
        groups: port.groups,
        max_groups: port.max_groups,
    }
}

/// From `BR_STATE_*`
fn state(number: u8) -> PortState {
    match number {
        0 => PortState::Disabled,
        1 => PortState::Listening,
        2 => PortState::Learning,
        3 => PortState::Forwarding,
        4 => PortState::Blocking,
        _ => PortState::Other,
    }
}

/// From `MDB_RTR_TYPE_*`
fn multicast_router(number: u8) -> MulticastRouter {
    match number {
        0 => MulticastRouter::Disabled,
        1 => MulticastRouter::Query,
        2 => MulticastRouter::Permanent,
        3 => MulticastRouter::Temporary,
        _ => MulticastRouter::Other,
    }
}

/// As `ip` writes it: the priority in hexadecimal digits, and the address.
fn bridge_name(id: BridgeId) -> Text {
    Text::from(format!("{:x}.{}", id.priority, id.mac))
}

/// `1u,10-20`
fn vlan_words(vlans: &Vlans) -> Text {
    let mut words = String::new();
    for (first, last, flags) in vlans {
        let comma = if words.is_empty() { "" } else { "," };
        let _ = write!(words, "{comma}{first}");
        if last != first {
            let _ = write!(words, "-{last}");
        }
        words.push_str(if flags.is_untagged { "u" } else { "" });
    }
    Text::from(words)
}
