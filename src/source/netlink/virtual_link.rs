//! What are interfaces that software makes, and of what are they part?
//!
//! One dump of all links, of which the part that their drivers fill is decoded: bridges, bonds and their members, VLANs and
//! tunnels.
//!
//! Source: `include/uapi/linux/if_link.h`, `include/uapi/linux/if_bonding.h`, `include/uapi/linux/if_vlan.h`.

use std::net::IpAddr;

use super::attr::{Attribute, Malformed, attributes, u16_at, u32_at};
use super::bridge::{Bridge, Port};
use super::route::{IfIndex, LinkNames, NEW_LINK, ip};
use super::tunnel::Tunnel;
use super::{Message, Part, Patience, Request, Socket, route};
use crate::model::{Mac, Text};
use crate::source::Error;
use crate::source::bounded::Bounded;

/// `sizeof(struct ifinfomsg)`
const HEADER: usize = 16;

/// An interface with what its driver says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualLink {
    /// Number.
    pub index: IfIndex,
    /// Name.
    pub name: Text,
    /// Bridge, bond or routing domain that it belongs to.
    pub master: Option<IfIndex>,
    /// Interface below it, in its own network namespace or another.
    pub lower: Option<IfIndex>,
    /// Whether the interface below it is in another network namespace.
    pub is_lower_elsewhere: bool,
    /// What it is.
    pub kind: Kind,
    /// What it is part of.
    pub member: Member,
}

/// What an interface is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A bridge.
    Bridge(Bridge),
    /// Several interfaces as one.
    Bond(Bond),
    /// A VLAN on another interface.
    Vlan(Vlan),
    /// A tunnel.
    Tunnel(Box<Tunnel>),
    /// Anything else.
    Other,
}

/// What an interface is part of.
#[derive(Clone, Debug, PartialEq)]
pub enum Member {
    /// Of a bridge.
    Bridge(Box<Port>),
    /// Of a bond.
    Bond(BondPort),
    /// Of something else, or of nothing.
    Other,
}

/// Several interfaces as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bond {
    /// `BOND_MODE_*`
    pub mode: Option<u8>,
    /// The one that is used, where it is one.
    pub active: Option<IfIndex>,
    /// The one that is used when it can be.
    pub primary: Option<IfIndex>,
    /// Milliseconds between two looks at the carriers.
    pub miimon: Option<u32>,
    /// Milliseconds between two requests of ARP.
    pub arp_interval: Option<u32>,
    /// `BOND_XMIT_POLICY_*`
    pub hash_policy: Option<u8>,
    /// Members without which it has no carrier.
    pub min_links: Option<u32>,
    /// Whether the partner is to speak every second.
    pub is_fast: Option<bool>,
    /// Number of the aggregator that is used.
    pub aggregator: Option<u16>,
    /// Members of that.
    pub ports: Option<u16>,
    /// Ethernet address of the partner.
    pub partner: Option<Mac>,
}

/// A member of a bond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BondPort {
    /// `BOND_STATE_*`: whether it is used.
    pub state: Option<u8>,
    /// `BOND_LINK_*`: whether its carrier is there.
    pub link: Option<u8>,
    /// How often its carrier went.
    pub failures: Option<u32>,
    /// Ethernet address that it has of its own.
    pub mac: Option<Mac>,
    /// Number of the queue.
    pub queue: Option<u16>,
    /// Number of the aggregator that it is in.
    pub aggregator: Option<u16>,
    /// `LACP_STATE_*` of this end.
    pub actor: Option<u8>,
    /// The same of the other end.
    pub partner: Option<u16>,
}

/// A VLAN on another interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vlan {
    /// Its number.
    pub id: Option<u16>,
    /// `VLAN_FLAG_*`
    pub flags: u32,
    /// `ETH_P_8021Q` or `ETH_P_8021AD`
    pub protocol: Option<u16>,
}

/// Reads all interfaces, at most so many.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn links(socket: &mut Socket, most: usize) -> Result<Bounded<VirtualLink>, Error> {
    let mut found = Bounded::new(most);
    let request: Request = route::links();
    socket.dump_within(Patience::default(), &request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => found.extend(link(message)?),
        }
        Ok(())
    })?;
    Ok(found)
}

/// The names of interfaces.
pub fn names(links: &[VirtualLink]) -> LinkNames {
    links.iter().map(|link| (link.index, link.name.clone())).collect()
}

/// Reads one interface; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn link(message: Message<'_>) -> Result<Option<VirtualLink>, Malformed> {
    if message.kind != NEW_LINK || message.body.first() != Some(&(libc::AF_UNSPEC as u8)) {
        return Ok(None);
    }
    let mut link = VirtualLink {
        index: IfIndex(u32_at(message.body, 4)?),
        name: Text::default(),
        master: None,
        lower: None,
        is_lower_elsewhere: false,
        kind: Kind::Other,
        member: Member::Other,
    };
    let (mut has_name, mut mac) = (false, None);
    for attribute in message.attributes(HEADER)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => mac = attribute.bytes.try_into().ok().map(Mac),
            3 => (link.name, has_name) = (Text::new(attribute.string()), true),
            5 => link.lower = Some(IfIndex(attribute.u32()?)).filter(|lower| lower.0 != 0 && *lower != link.index),
            10 => link.master = Some(IfIndex(attribute.u32()?)),
            18 => (link.kind, link.member) = info(attribute.bytes)?,
            37 => link.is_lower_elsewhere = true,
            _ => {}
        }
    }
    if let Kind::Bridge(bridge) = &mut link.kind {
        bridge.mac = mac;
    }
    Ok(has_name.then_some(link))
}

/// `IFLA_LINKINFO`
fn info(bytes: &[u8]) -> Result<(Kind, Member), Malformed> {
    let (mut kind, mut data, mut member_kind, mut member_data) = (&[][..], &[][..], &[][..], &[][..]);
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            1 => kind = attribute.string(),
            2 => data = attribute.bytes,
            4 => member_kind = attribute.string(),
            5 => member_data = attribute.bytes,
            _ => {}
        }
    }
    let kind = match kind {
        b"bridge" => Kind::Bridge(Bridge::read(data)?),
        b"bond" => Kind::Bond(bond(data)?),
        b"vlan" => Kind::Vlan(vlan(data)?),
        kind => Tunnel::read(kind, data)?.map_or(Kind::Other, |tunnel| Kind::Tunnel(Box::new(tunnel))),
    };
    let member = match member_kind {
        b"bridge" => Member::Bridge(Box::new(Port::read(member_data)?)),
        b"bond" => Member::Bond(bond_port(member_data)?),
        _ => Member::Other,
    };
    Ok((kind, member))
}

fn mac(attribute: &Attribute<'_>) -> Option<Mac> {
    attribute.bytes.try_into().ok().map(Mac)
}

/// `IFLA_BOND_*`
fn bond(bytes: &[u8]) -> Result<Bond, Malformed> {
    let mut bond = Bond::default();
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            1 => bond.mode = Some(attribute.u8()?),
            2 => bond.active = Some(IfIndex(attribute.u32()?)),
            3 => bond.miimon = Some(attribute.u32()?),
            7 => bond.arp_interval = Some(attribute.u32()?),
            11 => bond.primary = Some(IfIndex(attribute.u32()?)),
            14 => bond.hash_policy = Some(attribute.u8()?),
            18 => bond.min_links = Some(attribute.u32()?),
            21 => bond.is_fast = Some(attribute.u8()? != 0),
            23 => aggregator(attribute.bytes, &mut bond)?,
            _ => {}
        }
    }
    Ok(bond)
}

/// `IFLA_BOND_AD_INFO_*`
fn aggregator(bytes: &[u8], bond: &mut Bond) -> Result<(), Malformed> {
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            1 => bond.aggregator = Some(u16_at(attribute.bytes, 0)?),
            2 => bond.ports = Some(u16_at(attribute.bytes, 0)?),
            5 => bond.partner = mac(&attribute),
            _ => {}
        }
    }
    Ok(())
}

/// `IFLA_BOND_SLAVE_*`
fn bond_port(bytes: &[u8]) -> Result<BondPort, Malformed> {
    let mut port = BondPort::default();
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            1 => port.state = Some(attribute.u8()?),
            2 => port.link = Some(attribute.u8()?),
            3 => port.failures = Some(attribute.u32()?),
            4 => port.mac = mac(&attribute),
            5 => port.queue = Some(u16_at(attribute.bytes, 0)?),
            6 => port.aggregator = Some(u16_at(attribute.bytes, 0)?),
            7 => port.actor = Some(attribute.u8()?),
            8 => port.partner = Some(u16_at(attribute.bytes, 0)?),
            _ => {}
        }
    }
    Ok(port)
}

/// `IFLA_VLAN_*`
fn vlan(bytes: &[u8]) -> Result<Vlan, Malformed> {
    let mut vlan = Vlan::default();
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            1 => vlan.id = Some(u16_at(attribute.bytes, 0)?),
            2 => vlan.flags = u32_at(attribute.bytes, 0)?,
            5 => vlan.protocol = Some(u16_at(attribute.bytes, 0).map(u16::from_be)?),
            _ => {}
        }
    }
    Ok(vlan)
}

/// An address that is not all zeros.
pub(super) fn some_ip(bytes: &[u8]) -> Option<IpAddr> {
    ip(bytes).filter(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::super::attr::{push, push_nested};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            kinds in prop::sample::select(vec![["bridge", "bond"], ["bond", "bridge"], ["vlan", ""], ["gre", ""], ["vxlan", ""],
                ["ip6tnl", ""], ["vti", ""], ["geneve", ""]]),
            data in proptest::collection::vec(any::<u8>(), 0..256),
        ) {
            let mut body = vec![0; HEADER];
            push(&mut body, 3, b"x0\0");
            push_nested(&mut body, 18, |inner| {
                push(inner, 1, kinds[0].as_bytes());
                push(inner, 2, &data);
                push(inner, 4, kinds[1].as_bytes());
                push(inner, 5, &data);
            });
            let _ = link(Message { kind: NEW_LINK, flags: 0, body: &body });
            let _ = link(Message { kind: NEW_LINK, flags: 0, body: &data });
        }
    }
}
