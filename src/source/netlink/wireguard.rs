//! With whom does a tunnel of WireGuard speak?
//!
//! The kernel tells keys, too. Of those only the public ones of the others are kept.
//!
//! Source: `include/uapi/linux/wireguard.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attr::{self, Malformed, attributes, u16_at, u64_at};
use super::generic::{self, Generic};
use super::route::{IfIndex, ip};
use super::{Message, Part, Patience};
use crate::source::Error;
use crate::source::bounded::Bounded;

/// Name of the family.
pub const FAMILY: &str = "wireguard";
/// `WG_CMD_GET_DEVICE`
const GET_DEVICE: u8 = 0;
/// Networks of a peer that are kept.
const MAX_NETWORKS: usize = 256;

/// The other end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its public key.
    pub key: [u8; 32],
    /// Address and port from which it spoke last.
    pub endpoint: Option<(IpAddr, u16)>,
    /// Seconds between two packets that keep the way open.
    pub keepalive: Option<u16>,
    /// When keys were agreed upon last, in nanoseconds since the epoch.
    pub handshake: Option<i64>,
    /// Bytes that came from it.
    pub rx_bytes: u64,
    /// Bytes that went to it.
    pub tx_bytes: u64,
    /// Networks behind it, as many as are kept.
    pub networks: Vec<(IpAddr, u8)>,
}

/// Reads the peers of an interface, at most so many.
///
/// # Errors
/// As [`super::Socket::dump_within`]; denied without CAP_NET_ADMIN.
pub fn peers(generic: &mut Generic, index: IfIndex, most: usize) -> Result<Bounded<Peer>, Error> {
    let (socket, mut request) = generic.request(GET_DEVICE, 1, "peers of WireGuard");
    attr::push(&mut request.body, 1, &index.0.to_ne_bytes());
    let mut found: Bounded<Peer> = Bounded::new(most);
    socket.dump_within(Patience::FEW, &request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => each_peer(message, |peer| match found.kept_mut().last_mut() {
                // one that did not fit into a message goes on in the next
                Some(last) if last.key == peer.key => {
                    let room = MAX_NETWORKS.saturating_sub(last.networks.len());
                    last.networks.extend(peer.networks.into_iter().take(room));
                }
                _ => found.push(peer),
            })?,
        }
        Ok(())
    })?;
    Ok(found)
}

/// Gives each peer of a message to `visit`.
///
/// # Errors
/// The message is malformed.
pub fn each_peer(message: Message<'_>, mut visit: impl FnMut(Peer)) -> Result<(), Malformed> {
    const WGDEVICE_A_PEERS: u16 = 8;
    for attribute in generic::attributes(message)? {
        let attribute = attribute?;
        if attribute.kind != WGDEVICE_A_PEERS {
            continue;
        }
        for peer in attribute.nested() {
            if let Some(peer) = peer_of(peer?.bytes)? {
                visit(peer);
            }
        }
    }
    Ok(())
}

fn peer_of(bytes: &[u8]) -> Result<Option<Peer>, Malformed> {
    let mut key = None;
    let mut peer = Peer {
        key: [0; 32],
        endpoint: None,
        keepalive: None,
        handshake: None,
        rx_bytes: 0,
        tx_bytes: 0,
        networks: Vec::new(),
    };
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            1 => key = attribute.bytes.try_into().ok(),
            4 => peer.endpoint = endpoint(attribute.bytes),
            5 => peer.keepalive = Some(u16_at(attribute.bytes, 0)?).filter(|seconds| *seconds != 0),
            6 => peer.handshake = handshake(attribute.bytes)?,
            7 => peer.rx_bytes = u64_at(attribute.bytes, 0)?,
            8 => peer.tx_bytes = u64_at(attribute.bytes, 0)?,
            9 => {
                for network in attribute.nested().take(MAX_NETWORKS) {
                    peer.networks.extend(network_of(network?.bytes)?);
                }
            }
            _ => {}
        }
    }
    Ok(key.map(|key| Peer { key, ..peer }))
}

/// `struct __kernel_timespec`; all zeros is never.
fn handshake(bytes: &[u8]) -> Result<Option<i64>, Malformed> {
    let at = |position: usize| u64_at(bytes, position).map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let (seconds, rest) = (at(0)?, at(8)?);
    Ok(Some(seconds.saturating_mul(1_000_000_000).saturating_add(rest)).filter(|time| *time != 0))
}

/// `struct sockaddr_in` or `struct sockaddr_in6`
fn endpoint(bytes: &[u8]) -> Option<(IpAddr, u16)> {
    let port = u16::from_be(u16_at(bytes, 2).ok()?);
    match i32::from(u16_at(bytes, 0).ok()?) {
        libc::AF_INET => Some((Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?).into(), port)),
        libc::AF_INET6 => Some((Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).into(), port)),
        _ => None,
    }
}

fn network_of(bytes: &[u8]) -> Result<Option<(IpAddr, u8)>, Malformed> {
    let (mut address, mut prefix) = (None, None);
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            2 => address = ip(attribute.bytes),
            3 => prefix = Some(attribute.u8()?),
            _ => {}
        }
    }
    Ok(address.zip(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::attr::{push, push_nested};
    use proptest::prelude::*;

    #[test]
    fn a_peer_is_read_with_where_it_is_and_what_is_behind_it() {
        let mut body = vec![0; 4];
        push_nested(&mut body, 8, |peers| {
            push_nested(peers, 0, |peer| {
                push(peer, 1, &[7; 32]);
                push(peer, 4, &[&2_u16.to_ne_bytes()[..], &51820_u16.to_be_bytes(), &[192, 0, 2, 1], &[0; 8]].concat());
                push(peer, 6, &[1_800_000_000_u64.to_ne_bytes(), 5_u64.to_ne_bytes()].concat());
                push(peer, 7, &11_u64.to_ne_bytes());
                push(peer, 8, &22_u64.to_ne_bytes());
                push_nested(peer, 9, |networks| {
                    push_nested(networks, 0, |network| {
                        push(network, 2, &[10, 0, 0, 0]);
                        push(network, 3, &[8]);
                    });
                });
            });
        });
        let mut peers = Vec::new();
        each_peer(Message { kind: 33, flags: 0, body: &body }, |peer| peers.push(peer)).unwrap();
        let want = Peer {
            key: [7; 32],
            endpoint: Some((Ipv4Addr::new(192, 0, 2, 1).into(), 51820)),
            keepalive: None,
            handshake: Some(1_800_000_000_000_000_005),
            rx_bytes: 11,
            tx_bytes: 22,
            networks: vec![(Ipv4Addr::new(10, 0, 0, 0).into(), 8)],
        };
        assert_eq!(peers, [want]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = each_peer(Message { kind: 33, flags: 0, body: &body }, |_| {});
            let _ = peer_of(&body);
        }
    }
}
