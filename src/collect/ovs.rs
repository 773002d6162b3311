//! Which bridges does Open vSwitch have, what goes over their ports, and by which flows?
//!
//! Its database and its bridges are asked over their control sockets ([`crate::source::ovs`]). What the database told stays when
//! it says nothing any more; what a bridge counted does not.

use std::sync::Arc;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Owned, Port, Ports, Text, Timestamp};
use crate::source::Error;
use crate::source::control::standing::Standing;
use crate::source::netns;
use crate::source::ovs::database;
use crate::source::ovs::openflow::PortCounts;
use crate::source::ovs::switch::{Bridge, MOST, Switch, Switches};
use crate::{label, table};

label! {
    /// Whether something of a port is up.
    pub enum Upness { Up = "up", Down = "down" => Warning }
}

table! {
    /// One bridge of Open vSwitch. What it counts is missing while it does not answer, and its network namespace until it has
    /// answered once or where this user may not look at the process.
    ///
    /// Source: the database `Open_vSwitch` (`vswitch.ovsschema`, RFC 7047) and `OFPMP_TABLE` of OpenFlow.
    pub struct OvsBridgeRow = "ovs_bridge" { title: Some("Open vSwitch bridges") } {
        /// Network namespace of the process: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Socket of the database.
        Id(None) socket: Text { wide: true },
        /// Its name.
        Id(None) bridge: Text { label: true },
        /// How it is with it.
        Text(None) state: Standing,
        /// Since when that is so, as far as it was seen.
        Gauge(None) since: Timestamp { wide: true },
        /// What forwards packets: `system` for the kernel, `netdev` for a process.
        Text(None) datapath: Text,
        /// What becomes of it without a controller; missing for what is usual, `standalone`.
        Text(None) fail_mode: Option<Text>,
        /// Whether it speaks the spanning tree protocol.
        Text(None) stp: Option<bool> { title: Some("STP") },
        /// Whether it speaks the rapid spanning tree protocol.
        Text(None) rstp: Option<bool> { title: Some("RSTP") },
        /// Controllers that it should have.
        Gauge(None) controllers: u64,
        /// Those of them that it is connected to.
        Gauge(None) connected: u64,
        /// Interfaces of its ports.
        Gauge(None) ports: u64,
        /// Flows in all of its tables.
        Gauge(None) flows: Option<u64>,
        /// Packets that were looked up in its tables, once for each.
        Counter(Packets) lookups: Option<u64> { top: true },
        /// Packets for which a table had a flow.
        Counter(Packets) matched: Option<u64>,
        /// Versions of OpenFlow that it speaks; missing where none were chosen.
        Text(None) protocols: Option<Text> { wide: true },
        /// Its number for controllers.
        Text(None) datapath_id: Option<Text> { wide: true },
        /// Version of the program.
        Text(None) version: Option<Text>,
        /// Why it does not answer.
        Text(None) reason: Option<Text> { last: true },
    }
    derived {
        /// Share of packets for which a table had a flow.
        hit(Ratio) = "matched / lookups",
    }
}

table! {
    /// One interface of a port of an Open vSwitch bridge. Counts are missing while the bridge does not answer, and where it
    /// could not make the port.
    ///
    /// Source: the database `Open_vSwitch` (`vswitch.ovsschema`, RFC 7047) and `OFPMP_PORT_STATS` of OpenFlow.
    pub struct OvsPortRow = "ovs_port" { title: Some("Open vSwitch ports") } {
        /// Network namespace of the process: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Socket of the database.
        Id(None) socket: Text { wide: true },
        /// Bridge that it belongs to.
        Id(None) bridge: Text,
        /// Name of the port; the interfaces of a bond share one.
        Id(None) port: Text,
        /// Name of the interface.
        Id(None) interface: Text { label: true },
        /// Number of the interface in OpenFlow; missing when it could not be made.
        Gauge(None) number: Option<u32> { exact: true, title: Some("ofport") },
        /// Number of the interface in the kernel.
        Gauge(None) index: Option<u32> { exact: true, wide: true },
        /// What it is, such as `system`, `internal`, `patch` or `vxlan`.
        Text(None) kind: Text { title: Some("type") },
        /// VLAN of what comes without one.
        Gauge(None) tag: Option<u32> { exact: true },
        /// VLANs that it carries; missing where that is not restricted.
        Text(None) trunks: Option<Text>,
        /// What it does with VLANs, where that does not follow from the others.
        Text(None) vlan_mode: Option<Text> { wide: true },
        /// How a bond shares packets out.
        Text(None) bond_mode: Option<Text> { wide: true },
        /// Whether it speaks the protocol of link aggregation.
        Text(None) lacp: Option<Text> { title: Some("LACP"), wide: true },
        /// Address of the interface that a bond sends by.
        Text(None) active: Option<Text> { wide: true },
        /// Whether it is switched on.
        Text(None) admin: Option<Upness>,
        /// Whether it has a carrier.
        Text(None) link: Option<Upness>,
        /// Its address.
        Text(None) mac: Option<Text> { wide: true },
        /// Longest packet.
        Gauge(Bytes) mtu: Option<u64> { title: Some("MTU"), wide: true },
        /// Where a tunnel leads, or the port that a patch leads to.
        Text(None) remote: Option<Text>,
        /// Key of a tunnel.
        Text(None) key: Option<Text> { wide: true },
        /// Data received.
        Counter(Bytes) rx_bytes: Option<u64> { title: Some("rx"), traffic: true, top: true },
        /// Data sent.
        Counter(Bytes) tx_bytes: Option<u64> { title: Some("tx"), traffic: true },
        /// Packets received.
        Counter(Packets) rx_packets: Option<u64> { title: Some("rx pkt") },
        /// Packets sent.
        Counter(Packets) tx_packets: Option<u64> { title: Some("tx pkt") },
        /// Packets thrown away after they arrived.
        Counter(Packets) rx_dropped: Option<u64> { title: Some("rx drop") },
        /// Packets thrown away before they were sent.
        Counter(Packets) tx_dropped: Option<u64> { title: Some("tx drop") },
        /// Packets that arrived damaged.
        Counter(Packets) rx_errors: Option<u64> { title: Some("rx err"), wide: true },
        /// Packets that could not be sent.
        Counter(Packets) tx_errors: Option<u64> { title: Some("tx err"), wide: true },
        /// Why it could not be made.
        Text(None) error: Option<Text> { last: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "ovs",
    tables: &[OvsBridgeRow::TABLE, OvsPortRow::TABLE],
    interval: EVERY_SECOND,
    // a process may be stopped
    blocks: true,
    // in which network namespace it is
    needs: super::OTHERS_PROCESSES,
    make: || Box::<OvsCollector>::default(),
};

#[derive(Default)]
struct OvsCollector {
    switches: Switches,
}

impl Collect for OvsCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("a recorded host has no Open vSwitch to ask"));
        }
        self.switches.round(cx.roots, &cx.roots.routing.now(), cx.time);
        let known = self.switches.known();
        if known.is_empty() {
            return Err(Skip::absent("find openvswitch/db.sock below /run: no Open vSwitch is here"));
        }
        let faults: Vec<&Error> = known.iter().filter_map(|switch| switch.state.fault.as_ref()).collect();
        let has_bridges = known.iter().any(|switch| !switch.bridges.is_empty());
        if let Some(error) = faults.first().filter(|_| !has_bridges && faults.len() == known.len()) {
            return Err(told(error));
        }
        for error in faults {
            out.partly(OvsBridgeRow::TABLE, &told(error));
        }
        out.left_out(OvsBridgeRow::TABLE, self.switches.left_out(), MOST, "databases");
        let bridges = known.iter().map(|switch| switch.left_out).sum();
        out.left_out(OvsBridgeRow::TABLE, bridges, database::MOST_BRIDGES, "bridges of a database");
        let ports = known.iter().flat_map(|switch| &switch.bridges).map(|bridge| bridge.said.left_out).sum();
        out.left_out(OvsPortRow::TABLE, ports, database::MOST_PORTS, "ports of a database");
        let (mut bridges, mut ports) = (Vec::new(), Vec::new());
        for switch in known {
            let socket = Text::from(switch.socket.as_path());
            for bridge in switch.bridges.iter().filter(|bridge| cx.roots.netns.shows(bridge.netns.as_deref())) {
                bridges.push(bridge_row(switch, &socket, bridge));
                ports.extend(bridge.said.ports.iter().map(|port| port_row(&socket, bridge, port)));
            }
        }
        out.own(Owned::Ports(Arc::new(owned(known))));
        out.push(bridges);
        out.push(ports);
        Ok(())
    }

    fn is_cheap_to_find(&self) -> bool {
        true
    }
}

/// Ports of the own network namespace.
fn owned(known: &[Switch]) -> Ports {
    let host = netns::host();
    let bridges = known.iter().flat_map(|switch| &switch.bridges).filter(|bridge| bridge.netns.as_ref() == Some(&host));
    let ports = bridges.flat_map(|bridge| bridge.said.ports.iter().map(|port| (&bridge.said.name, port)));
    let port = |(bridge, port): (&Text, &database::Port)| {
        (port.interface.clone(), Port { bridge: bridge.clone(), vlan: port.tag })
    };
    ports.map(port).collect()
}

/// Why there is nothing, and what to do about it.
pub(super) fn told(error: &Error) -> Skip {
    let skip = Skip::from(error.again());
    if error.is_denied() { skip.hint("run as root, or make this user a member of the group openvswitch") } else { skip }
}

fn bridge_row(switch: &Switch, socket: &Text, bridge: &Bridge) -> OvsBridgeRow {
    let said = &bridge.said;
    // nobody knows what became of a bridge while the database is silent, but it tells itself
    let state = if switch.state.fault.is_some() { &switch.state } else { &bridge.state };
    OvsBridgeRow {
        netns: bridge.netns.clone(),
        socket: socket.clone(),
        bridge: said.name.clone(),
        state: state.standing,
        since: state.since,
        datapath: said.datapath.clone(),
        fail_mode: said.fail_mode.clone(),
        stp: said.stp,
        rstp: said.rstp,
        controllers: said.controllers,
        connected: said.connected,
        ports: said.ports.len() as u64,
        flows: bridge.tables.map(|tables| tables.flows),
        lookups: bridge.tables.map(|tables| tables.lookups),
        matched: bridge.tables.map(|tables| tables.matched),
        protocols: said.protocols.clone(),
        datapath_id: said.datapath_id.clone(),
        version: switch.version.clone(),
        reason: state.fault.as_ref().map(|error| Text::from(error.to_string())),
    }
}

fn port_row(socket: &Text, bridge: &Bridge, port: &database::Port) -> OvsPortRow {
    let counts = port.number.and_then(|number| bridge.ports.get(&number));
    // a port that tells nothing has counted nothing that is known
    let PortCounts { packets, bytes, dropped, errors } = counts.map_or_else(PortCounts::default, |counts| *counts);
    OvsPortRow {
        netns: bridge.netns.clone(),
        socket: socket.clone(),
        bridge: bridge.said.name.clone(),
        port: port.name.clone(),
        interface: port.interface.clone(),
        number: port.number,
        index: port.index,
        kind: port.kind.clone(),
        tag: port.tag,
        trunks: port.trunks.clone(),
        vlan_mode: port.vlan_mode.clone(),
        bond_mode: port.bond_mode.clone(),
        lacp: port.lacp.clone(),
        active: port.active.clone(),
        admin: upness(port.admin.as_deref()),
        link: upness(port.link.as_deref()),
        mac: port.mac.clone(),
        mtu: port.mtu,
        remote: port.remote.clone(),
        key: port.key.clone(),
        rx_bytes: bytes[0],
        tx_bytes: bytes[1],
        rx_packets: packets[0],
        tx_packets: packets[1],
        rx_dropped: dropped[0],
        tx_dropped: dropped[1],
        rx_errors: errors[0],
        tx_errors: errors[1],
        error: port.error.clone(),
    }
}

fn upness(word: Option<&str>) -> Option<Upness> {
    match word {
        Some("up") => Some(Upness::Up),
        Some("down") => Some(Upness::Down),
        _ => None,
    }
}
