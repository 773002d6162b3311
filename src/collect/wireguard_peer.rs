//! With whom do tunnels of WireGuard speak, and since when have they not?
//!
//! Asked for while somebody looks, and only where there is such a tunnel: the question alone would load a module.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::netlink::generic::Generic;
use crate::source::netlink::route::{self, Link, LinkNews};
use crate::source::netlink::wireguard::{self, Peer};
use crate::source::netlink::{Family, Part, Socket};
use crate::table;

table! {
    /// One peer of a tunnel of WireGuard. Its address is missing until it has spoken, the handshake until there was one.
    ///
    /// Source: genetlink family `wireguard`, `include/uapi/linux/wireguard.h`.
    pub struct WireguardPeerRow = "wireguard_peer" { title: Some("Peers of WireGuard"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Public key of the peer.
        Id(None) key: Text { label: true },
        /// Name of the interface.
        Text(None) interface: Text,
        /// Address from which it spoke last.
        Text(None) address: Option<IpAddr>,
        /// UDP port from which it spoke last.
        Gauge(None) port: Option<u32> { exact: true },
        /// When keys were agreed upon last; after three minutes without that nothing is sent.
        Gauge(None) handshake: Option<Timestamp>,
        /// Data received.
        Counter(Bytes) rx_bytes: u64 { title: Some("rx"), traffic: true, top: true },
        /// Data sent.
        Counter(Bytes) tx_bytes: u64 { title: Some("tx"), traffic: true },
        /// How long it is between two packets that keep the way open.
        Gauge(Seconds) keepalive: Option<f64> { wide: true },
        /// Networks behind it, at most 256.
        Text(None) networks: Option<Text> { last: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "wireguard_peer",
    tables: &[WireguardPeerRow::TABLE],
    interval: EVERY_SECOND,
    // as for links: the lock of the network configuration may be held for seconds
    blocks: true,
    needs: Capabilities::NET_ADMIN,
    make: || Box::<WireguardPeerCollector>::default(),
};

/// Peers that become rows.
const MAX_PEERS: usize = 1 << 14;
/// Tunnels that are asked.
const MAX_TUNNELS: usize = 1 << 10;

/// What a network namespace is asked over.
struct Room {
    links: Socket,
    /// From the first tunnel on.
    tunnels: Option<Generic>,
}

fn open() -> Result<Room, Error> {
    Ok(Room { links: Socket::open(Family::Route)?, tunnels: None })
}

#[derive(Default)]
struct WireguardPeerCollector {
    rooms: Everywhere<Room>,
}

impl Collect for WireguardPeerCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("tunnels are asked for over netlink, which a recorded tree has not"));
        }
        let mut portion = Portion::of(cx, MAX_PEERS);
        if portion.is_none() {
            return Ok(());
        }
        let troubles = self.rooms.read(cx, open, |netns, room| Portion::add(&mut portion, || peers(netns, room)))?;
        tell(portion, cx, out, &troubles, "the kernel is built without WireGuard")
    }
}

/// The peers of a namespace, and how many have no room.
fn peers(netns: &Text, room: &mut Room) -> Result<(Vec<WireguardPeerRow>, usize), Error> {
    let tunnels = tunnels(&mut room.links)?;
    let (mut rows, mut left_out) = (Vec::new(), 0);
    for tunnel in &tunnels {
        let generic = match &mut room.tunnels {
            Some(generic) => generic,
            none => none.insert(Generic::open(wireguard::FAMILY)?),
        };
        let found = wireguard::peers(generic, tunnel.index, MAX_PEERS.saturating_sub(rows.len()))?;
        left_out += found.left_out();
        rows.extend(found.kept().iter().map(|peer| row(netns, tunnel, peer)));
    }
    Ok((rows, left_out))
}

fn tunnels(links: &mut Socket) -> Result<Vec<Link>, Error> {
    let mut found = Vec::new();
    links.dump(&route::links(), |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => {
                if let Some(LinkNews::Is(link)) = route::link_news(message)?
                    && link.kind.as_deref() == Some(wireguard::FAMILY)
                    && found.len() < MAX_TUNNELS
                {
                    found.push(link);
                }
            }
        }
        Ok(())
    })?;
    Ok(found)
}

fn row(netns: &Text, tunnel: &Link, peer: &Peer) -> WireguardPeerRow {
    let networks = peer.networks.iter().map(|(address, prefix)| format!("{address}/{prefix}"));
    let networks = networks.collect::<Vec<_>>().join(", ");
    WireguardPeerRow {
        netns: netns.clone(),
        index: tunnel.index.0,
        key: Text::from(STANDARD.encode(peer.key)),
        interface: tunnel.name.clone(),
        address: peer.endpoint.map(|(address, _)| address),
        port: peer.endpoint.map(|(_, port)| u32::from(port)),
        handshake: peer.handshake.map(Timestamp),
        rx_bytes: peer.rx_bytes,
        tx_bytes: peer.tx_bytes,
        keepalive: peer.keepalive.map(f64::from),
        networks: (!networks.is_empty()).then(|| Text::from(networks)),
    }
}
