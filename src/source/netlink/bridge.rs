//! What do bridges say of their ports, VLANs and groups?
//!
//! Source: `include/uapi/linux/if_bridge.h`, `IFLA_BR_*` and `IFLA_BRPORT_*` of `include/uapi/linux/if_link.h`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::attr::{self, Attribute, Malformed, attributes, u16_at, u32_at};
use super::route::{IfIndex, NEW_LINK, ip};
use super::{Message, Part, Patience, Request, Socket};
use crate::model::Mac;
use crate::source::Error;
use crate::source::bounded::Bounded;

const GET_LINK: u16 = 18;
const NEW_GROUP: u16 = 84;
const GET_GROUP: u16 = 86;
/// `sizeof(struct ifinfomsg)`
const LINK_HEADER: usize = 16;
/// `sizeof(struct br_port_msg)`
const PORT_HEADER: usize = 8;
/// `sizeof(struct br_mdb_entry)`
const GROUP_ENTRY: usize = 28;
/// VLANs there can be at one port.
const MAX_VLANS: usize = 4096;

/// A bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bridge {
    /// Its address.
    pub mac: Option<Mac>,
    /// Whether it speaks the spanning tree protocol.
    pub stp: Option<bool>,
    /// Whether it heeds VLANs.
    pub vlan_filtering: Option<bool>,
}

/// `struct ifla_bridge_id`: how a bridge is called in the spanning tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeId {
    /// The least is the root.
    pub priority: u16,
    /// Its address.
    pub mac: Mac,
}

/// A port of a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// `BR_STATE_*`
    pub state: Option<u8>,
    /// Which of several is taken: that with the least.
    pub priority: Option<u16>,
    /// What it costs to go over it.
    pub cost: Option<u32>,
    /// Bits of [`PORT_FLAGS`].
    pub flags: u32,
    /// The root of the tree.
    pub root: Option<BridgeId>,
    /// The bridge that forwards from this segment towards the root.
    pub designated: Option<BridgeId>,
    /// What it costs that bridge to get to the root.
    pub designated_cost: Option<u16>,
    /// Number of the port of that bridge.
    pub designated_port: Option<u16>,
    /// Its own number.
    pub number: Option<u16>,
    /// `MDB_RTR_TYPE_*`
    pub multicast_router: Option<u8>,
    /// Port that takes its traffic while it is down.
    pub backup: Option<IfIndex>,
    /// Groups that it has.
    pub groups: Option<u32>,
    /// Groups that it may have.
    pub max_groups: Option<u32>,
}

/// Attributes `IFLA_BRPORT_*` that are yes or no, in the words of `ip`.
pub const PORT_FLAGS: [(u16, &str); 17] = [
    (4, "hairpin"),
    (5, "guard"),
    (6, "root_block"),
    (7, "fastleave"),
    (8, "learning"),
    (9, "flood"),
    (10, "proxy_arp"),
    (12, "proxy_arp_wifi"),
    (27, "mcast_flood"),
    (28, "mcast_to_unicast"),
    (29, "vlan_tunnel"),
    (30, "bcast_flood"),
    (32, "neigh_suppress"),
    (33, "isolated"),
    (39, "locked"),
    (40, "mab"),
    (43, "neigh_vlan_suppress"),
];

impl Port {
    /// Whether one of [`PORT_FLAGS`] is set.
    pub fn has(&self, word: &str) -> bool {
        PORT_FLAGS.iter().position(|(_, known)| *known == word).is_some_and(|bit| self.flags >> bit & 1 == 1)
    }

    /// Reads `IFLA_INFO_SLAVE_DATA`.
    ///
    /// # Errors
    /// It is malformed.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut port = Self::default();
        for attribute in attributes(bytes) {
            let attribute = attribute?;
            let short = || u16_at(attribute.bytes, 0);
            match attribute.kind {
                1 => port.state = Some(attribute.u8()?),
                2 => port.priority = Some(short()?),
                3 => port.cost = Some(attribute.u32()?),
                13 => port.root = bridge_id(&attribute),
                14 => port.designated = bridge_id(&attribute),
                15 => port.designated_port = Some(short()?),
                16 => port.designated_cost = Some(short()?),
                18 => port.number = Some(short()?),
                25 => port.multicast_router = Some(attribute.u8()?),
                34 => port.backup = Some(IfIndex(attribute.u32()?)).filter(|backup| backup.0 != 0),
                41 => port.groups = Some(attribute.u32()?),
                42 => port.max_groups = Some(attribute.u32()?).filter(|most| *most != 0),
                kind => {
                    let bit = PORT_FLAGS.iter().position(|(known, _)| *known == kind);
                    if let Some(bit) = bit.filter(|_| attribute.bytes.first().is_some_and(|byte| *byte != 0)) {
                        port.flags |= 1 << bit;
                    }
                }
            }
        }
        Ok(port)
    }
}

fn bridge_id(attribute: &Attribute<'_>) -> Option<BridgeId> {
    let (priority, mac) = attribute.bytes.split_first_chunk::<2>()?;
    Some(BridgeId { priority: u16::from_be_bytes(*priority), mac: Mac(mac.try_into().ok()?) })
}

impl Bridge {
    /// Reads `IFLA_INFO_DATA`.
    ///
    /// # Errors
    /// It is malformed.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut bridge = Self::default();
        for attribute in attributes(bytes) {
            let attribute = attribute?;
            match attribute.kind {
                5 => bridge.stp = Some(attribute.u32()? != 0),
                7 => bridge.vlan_filtering = Some(attribute.u8()? != 0),
                _ => {}
            }
        }
        Ok(bridge)
    }
}

/// VLANs at a port: from, to, and what they are there.
pub type Vlans = Vec<(u16, u16, VlanFlags)>;

/// What a VLAN is at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanFlags {
    /// What comes without a VLAN is in this one.
    pub is_native: bool,
    /// What goes in it goes without a VLAN.
    pub is_untagged: bool,
}

/// Reads the VLANs of all ports of all bridges, those of the bridges themselves included.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn vlans(socket: &mut Socket, most: usize) -> Result<BTreeMap<IfIndex, Vlans>, Error> {
    const IFLA_EXT_MASK: u16 = 29;
    const RTEXT_FILTER_BRVLAN_COMPRESSED: u32 = 1 << 2;
    let mut body = vec![0; LINK_HEADER];
    if let Some(slot) = body.first_mut() {
        *slot = libc::AF_BRIDGE as u8;
    }
    attr::push(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_BRVLAN_COMPRESSED.to_ne_bytes());
    let mut found = BTreeMap::new();
    socket.dump_within(Patience::FEW, &Request { kind: GET_LINK, body, what: "VLANs of bridges" }, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => {
                let one = vlans_of(message)?;
                found.extend(one.filter(|_| found.len() < most));
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads the VLANs of one port; `None` for another kind of message, and for one that tells of none.
///
/// # Errors
/// The message is malformed.
pub fn vlans_of(message: Message<'_>) -> Result<Option<(IfIndex, Vlans)>, Malformed> {
    const IFLA_AF_SPEC: u16 = 26;
    const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
    if message.kind != NEW_LINK || message.body.first() != Some(&(libc::AF_BRIDGE as u8)) {
        return Ok(None);
    }
    let mut vlans = Vlans::new();
    for attribute in message.attributes(LINK_HEADER)? {
        let attribute = attribute?;
        if attribute.kind != IFLA_AF_SPEC {
            continue;
        }
        let mut begin = None;
        for inner in attribute.nested() {
            let inner = inner?;
            if inner.kind != IFLA_BRIDGE_VLAN_INFO || vlans.len() >= MAX_VLANS {
                continue;
            }
            // `struct bridge_vlan_info`
            let (flags, id) = (u16_at(inner.bytes, 0)?, u16_at(inner.bytes, 2)?);
            let what = VlanFlags { is_native: flags & 2 != 0, is_untagged: flags & 4 != 0 };
            match (flags & 8 != 0, flags & 16 != 0) {
                (true, _) => begin = Some(id),
                (false, true) => vlans.push((begin.take().unwrap_or(id), id, what)),
                (false, false) => vlans.push((id, id, what)),
            }
        }
    }
    Ok((!vlans.is_empty()).then_some((IfIndex(u32_at(message.body, 4)?), vlans)))
}

/// A group that goes to a port of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The bridge.
    pub bridge: IfIndex,
    /// The port, or the bridge itself.
    pub port: IfIndex,
    /// `MDB_PERMANENT` or not
    pub state: u8,
    /// `MDB_FLAGS_*`
    pub flags: u8,
    /// VLAN in which it is; `None` for none.
    pub vlan: Option<u16>,
    /// Its address.
    pub address: GroupAddress,
    /// Who may send to it; `None` for anybody.
    pub source: Option<IpAddr>,
    /// `RTPROT_*`
    pub protocol: Option<u8>,
    /// Hundredths of a second until it goes.
    pub expires: Option<u32>,
}

/// Address of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupAddress {
    /// Of IP.
    Ip(IpAddr),
    /// Of Ethernet.
    Mac(Mac),
}

/// Reads the groups of all bridges, at most so many.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn groups(socket: &mut Socket, most: usize) -> Result<Bounded<Group>, Error> {
    let mut body = vec![0; PORT_HEADER];
    if let Some(slot) = body.first_mut() {
        *slot = libc::AF_BRIDGE as u8;
    }
    let mut found = Bounded::new(most);
    socket.dump_within(Patience::FEW, &Request { kind: GET_GROUP, body, what: "groups of bridges" }, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => each_group(message, |group| found.push(group))?,
        }
        Ok(())
    })?;
    Ok(found)
}

/// Gives each group of a message to `visit`; none are in another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn each_group(message: Message<'_>, mut visit: impl FnMut(Group)) -> Result<(), Malformed> {
    const MDBA_MDB: u16 = 1;
    // a dump is told with the type of the question
    if !matches!(message.kind, NEW_GROUP | GET_GROUP) {
        return Ok(());
    }
    let bridge = IfIndex(u32_at(message.body, 4)?);
    for attribute in message.attributes(PORT_HEADER)? {
        let attribute = attribute?;
        if attribute.kind != MDBA_MDB {
            continue;
        }
        for entry in attribute.nested() {
            for info in entry?.nested() {
                if let Some(group) = group(bridge, info?.bytes)? {
                    visit(group);
                }
            }
        }
    }
    Ok(())
}

/// `struct br_mdb_entry` with attributes behind it; `None` for an address of another kind.
fn group(bridge: IfIndex, bytes: &[u8]) -> Result<Option<Group>, Malformed> {
    let byte = |at: usize| bytes.get(at).copied().ok_or(Malformed);
    let part = |length: usize| bytes.get(8..8 + length).ok_or(Malformed);
    let address = match i32::from(u16_at(bytes, 24).map(u16::from_be)?) {
        libc::ETH_P_IP => ip(part(4)?).map(GroupAddress::Ip),
        libc::ETH_P_IPV6 => ip(part(16)?).map(GroupAddress::Ip),
        0 => part(6)?.try_into().ok().map(|bytes| GroupAddress::Mac(Mac(bytes))),
        _ => None,
    };
    let Some(address) = address else { return Ok(None) };
    let mut group = Group {
        bridge,
        port: IfIndex(u32_at(bytes, 0)?),
        state: byte(4)?,
        flags: byte(5)?,
        vlan: Some(u16_at(bytes, 6)?).filter(|vlan| *vlan != 0),
        address,
        source: None,
        protocol: None,
        expires: None,
    };
    for attribute in attributes(bytes.get(GROUP_ENTRY..).unwrap_or(&[])) {
        let attribute = attribute?;
        match attribute.kind {
            1 => group.expires = Some(attribute.u32()?).filter(|left| *left != 0),
            4 => group.source = ip(attribute.bytes),
            5 => group.protocol = Some(attribute.u8()?),
            _ => {}
        }
    }
    Ok(Some(group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let body = [&[libc::AF_BRIDGE as u8], &body[..]].concat();
            let _ = vlans_of(Message { kind: NEW_LINK, flags: 0, body: &body });
            let _ = each_group(Message { kind: NEW_GROUP, flags: 0, body: &body }, |_| {});
            let _ = (Port::read(&body), Bridge::read(&body), group(IfIndex(1), &body));
        }
    }
}
