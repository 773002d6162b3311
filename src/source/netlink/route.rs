//! How does the kernel describe its interfaces and their addresses?
//!
//! Requests and decoders of rtnetlink. Each decoder reads one message into a plain struct; what a message leaves out is `None`.
//!
//! Source: `include/uapi/linux/if_link.h`, `include/uapi/linux/if_addr.h`, `include/uapi/linux/rtnetlink.h`,
//! `include/uapi/linux/net_namespace.h`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use super::attr::{self, Malformed, attributes, u32_at, u64_at};
use super::{Message, Part, Request, Socket};
use crate::model::{Mac, Text};
use crate::source::Error;
use crate::source::bounded::Bounded;

/// `RTM_NEWLINK`
pub const NEW_LINK: u16 = 16;
/// `RTM_DELLINK`
pub const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
/// `RTM_NEWADDR`
pub const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_NSID: u16 = 88;
const GET_NSID: u16 = 90;
const NEW_STATS: u16 = 92;
const GET_STATS: u16 = 94;

/// `RTNLGRP_LINK`
pub const GROUP_LINK: u32 = 1;
/// `RTNLGRP_IPV4_IFADDR`
pub const GROUP_ADDRESS4: u32 = 5;
/// `RTNLGRP_IPV6_IFADDR`
pub const GROUP_ADDRESS6: u32 = 9;

/// `IFF_UP`: switched on by the administrator.
pub const FLAG_UP: u32 = 0x1;

/// Number of an interface in its network namespace, never reused while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

/// Asks for all interfaces without their counters and virtual functions.
pub fn links() -> Request {
    const IFLA_EXT_MASK: u16 = 29;
    const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
    let mut body = vec![0; LINK_HEADER];
    attr::push(&mut body, IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    Request { kind: GET_LINK, body, what: "links" }
}

/// Asks for the 64-bit counters of all interfaces.
fn link_stats() -> Request {
    let mut body = vec![0; STATS_HEADER];
    // filter_mask: one bit for each attribute, counted from one
    if let Some(mask) = body.get_mut(8..12) {
        mask.copy_from_slice(&(1_u32 << (IFLA_STATS_LINK_64 - 1)).to_ne_bytes());
    }
    Request { kind: GET_STATS, body, what: "link statistics" }
}

/// Asks for all addresses of all families.
pub fn addresses() -> Request {
    Request { kind: GET_ADDRESS, body: vec![0; ADDRESS_HEADER], what: "addresses" }
}

/// `sizeof(struct ifinfomsg)`
const LINK_HEADER: usize = 16;
/// `sizeof(struct rtgenmsg)`, aligned
const RTGEN_HEADER: usize = 4;
/// `sizeof(struct if_stats_msg)`
const STATS_HEADER: usize = 12;
/// `sizeof(struct ifaddrmsg)`
const ADDRESS_HEADER: usize = 8;
const IFLA_STATS_LINK_64: u16 = 1;

/// What changes rarely about an interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its number.
    pub index: IfIndex,
    /// Name.
    pub name: Text,
    /// Alias given by the administrator.
    pub alias: Option<Text>,
    /// Driver's kind (`veth`, `bridge`, ...); `None` for a device that is not made by software.
    pub kind: Option<Text>,
    /// Hardware type, `ARPHRD_*`.
    pub hardware: u16,
    /// Bridge, bond or VRF that it belongs to.
    pub master: Option<IfIndex>,
    /// Largest packet.
    pub mtu: u32,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// `IFF_*`, [`FLAG_UP`] among them.
    pub flags: u32,
    /// Operational state of RFC 2863, `IF_OPER_*`.
    pub operstate: u8,
    /// Changes of the carrier since it was made.
    pub carrier_changes: Option<u32>,
    /// What it is made upon, or its other end.
    pub lower: Option<Lower>,
}

/// Another interface that one names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lower {
    /// Its number where it is.
    pub index: IfIndex,
    /// What the network namespace of the one calls that of the other; `None` when they are the same.
    pub netns: Option<i32>,
}

/// News about one interface.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkNews {
    /// It is like this now.
    Is(Link),
    /// It is gone.
    Gone(IfIndex),
}

/// Reads a dumped link or a notification. `None` for messages about something else: a bridge reports its ports with the
/// same types, and wireless drivers send events that carry no link.
///
/// # Errors
/// The message is malformed.
pub fn link_news(message: Message<'_>) -> Result<Option<LinkNews>, Malformed> {
    if !matches!(message.kind, NEW_LINK | DEL_LINK) || message.body.first() != Some(&(libc::AF_UNSPEC as u8)) {
        return Ok(None);
    }
    let index = IfIndex(u32_at(message.body, 4)?);
    if message.kind == DEL_LINK {
        return Ok(Some(LinkNews::Gone(index)));
    }
    Ok(link(index, message)?.map(LinkNews::Is))
}

fn link(index: IfIndex, message: Message<'_>) -> Result<Option<Link>, Malformed> {
    let (mut name, mut mtu, mut lower, mut netns) = (None, None, None, None);
    let mut link = Link {
        index,
        name: Text::default(),
        alias: None,
        kind: None,
        hardware: attr::u16_at(message.body, 2)?,
        master: None,
        mtu: 0,
        mac: None,
        flags: u32_at(message.body, 8)?,
        operstate: 0,
        carrier_changes: None,
        lower: None,
    };
    for attribute in message.attributes(LINK_HEADER)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => link.mac = attribute.bytes.try_into().ok().map(Mac),
            3 => name = Some(Text::new(attribute.string())),
            4 => mtu = Some(attribute.u32()?),
            5 => lower = Some(IfIndex(attribute.u32()?)),
            10 => link.master = Some(IfIndex(attribute.u32()?)),
            16 => link.operstate = attribute.u8()?,
            18 => link.kind = link_kind(attribute.bytes)?,
            20 => link.alias = Some(Text::new(attribute.string())),
            35 => link.carrier_changes = Some(attribute.u32()?),
            37 => netns = Some(attribute.u32()?.cast_signed()),
            _ => {}
        }
    }
    link.lower = lower.map(|index| Lower { index, netns });
    Ok(name.zip(mtu).map(|(name, mtu)| Link { name, mtu, ..link }))
}

/// What the network namespace of a socket calls another one, which a descriptor stands for; `None` when it has no number
/// for that. Nothing is given one.
///
/// # Errors
/// As [`Socket::ask`].
pub fn number_of(socket: &mut Socket, netns: BorrowedFd<'_>) -> Result<Option<i32>, Error> {
    const NETNSA_NSID: u16 = 1;
    const NETNSA_FD: u16 = 3;
    let mut body = vec![0; RTGEN_HEADER];
    attr::push(&mut body, NETNSA_FD, &netns.as_raw_fd().to_ne_bytes());
    let mut number = None;
    socket.ask(&Request { kind: GET_NSID, body, what: "numbers of network namespaces" }, |message| {
        if message.kind == NEW_NSID {
            for attribute in message.attributes(RTGEN_HEADER)? {
                let attribute = attribute?;
                if attribute.kind == NETNSA_NSID {
                    number = Some(attribute.u32()?.cast_signed()).filter(|number| *number >= 0);
                }
            }
        }
        Ok(())
    })?;
    Ok(number)
}

/// Reads all interfaces; what is said of changes is that of [`Socket::dump_moving`].
///
/// # Errors
/// As [`Socket::dump_moving`].
pub fn read_links(socket: &mut Socket, found: &mut Bounded<Link>) -> Result<bool, Error> {
    socket.dump_moving(&links(), found, |message| {
        Ok(match link_news(message)? {
            Some(LinkNews::Is(link)) => Some(link),
            _ => None,
        })
    })
}

/// Reads the counters of all interfaces; what is said of changes is that of [`Socket::dump_moving`].
///
/// # Errors
/// As [`Socket::dump_moving`].
pub fn read_link_stats(socket: &mut Socket, found: &mut Bounded<(IfIndex, LinkStats)>) -> Result<bool, Error> {
    socket.dump_moving(&link_stats(), found, link_stats_of)
}

/// Names of interfaces by their numbers.
pub type LinkNames = BTreeMap<IfIndex, Text>;

/// Reads the names of all interfaces.
///
/// # Errors
/// As [`Socket::dump`].
pub fn link_names(socket: &mut Socket) -> Result<LinkNames, Error> {
    let mut names = LinkNames::new();
    socket.dump(&links(), |part| {
        match part {
            Part::Start => names.clear(),
            Part::Message(message) => {
                if let Some(LinkNews::Is(link)) = link_news(message)? {
                    names.insert(link.index, link.name);
                }
            }
        }
        Ok(())
    })?;
    Ok(names)
}

/// `IFLA_INFO_KIND` inside `IFLA_LINKINFO`
fn link_kind(bytes: &[u8]) -> Result<Option<Text>, Malformed> {
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        if attribute.kind == 1 {
            return Ok(Some(Text::new(attribute.string())));
        }
    }
    Ok(None)
}

/// Counters of an interface since it was made: the part of `struct rtnl_link_stats64` that every driver fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Bad packets received.
    pub rx_errors: u64,
    /// Failures to send.
    pub tx_errors: u64,
    /// Packets received and thrown away for lack of room or protocol.
    pub rx_dropped: u64,
    /// Packets thrown away on their way out.
    pub tx_dropped: u64,
    /// Multicast packets received.
    pub multicast: u64,
    /// Collisions.
    pub collisions: u64,
    /// Packets that the host was too slow to take from the device.
    pub rx_missed: u64,
}

/// Reads the counters of one interface; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn link_stats_of(message: Message<'_>) -> Result<Option<(IfIndex, LinkStats)>, Malformed> {
    if message.kind != NEW_STATS {
        return Ok(None);
    }
    let index = IfIndex(u32_at(message.body, 4)?);
    for attribute in message.attributes(STATS_HEADER)? {
        let attribute = attribute?;
        if attribute.kind == IFLA_STATS_LINK_64 {
            let at = |position: usize| u64_at(attribute.bytes, position * 8);
            let stats = LinkStats {
                rx_packets: at(0)?,
                tx_packets: at(1)?,
                rx_bytes: at(2)?,
                tx_bytes: at(3)?,
                rx_errors: at(4)?,
                tx_errors: at(5)?,
                rx_dropped: at(6)?,
                tx_dropped: at(7)?,
                multicast: at(8)?,
                collisions: at(9)?,
                rx_missed: at(15)?,
            };
            return Ok(Some((index, stats)));
        }
    }
    Ok(None)
}

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Interface.
    pub index: IfIndex,
    /// The host's own address.
    pub address: IpAddr,
    /// Bits of the network part.
    pub prefix: u8,
    /// Address of the other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// `RT_SCOPE_*`
    pub scope: u8,
    /// `IFA_F_*`
    pub flags: u32,
    /// Seconds that it stays valid; `None` for ever.
    pub valid: Option<u32>,
}

/// Reads one address; `None` for another kind of message and for families that are not IP.
///
/// # Errors
/// The message is malformed.
pub fn address(message: Message<'_>) -> Result<Option<Address>, Malformed> {
    if message.kind != NEW_ADDRESS {
        return Ok(None);
    }
    let byte = |at: usize| message.body.get(at).copied().ok_or(Malformed);
    let (mut remote, mut local, mut flags, mut valid) = (None, None, u32::from(byte(2)?), None);
    for attribute in message.attributes(ADDRESS_HEADER)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => remote = ip(attribute.bytes),
            2 => local = ip(attribute.bytes),
            6 => valid = Some(u32_at(attribute.bytes, 4)?).filter(|seconds| *seconds != u32::MAX),
            8 => flags = attribute.u32()?,
            _ => {}
        }
    }
    // IFA_LOCAL is there where the two ends differ, and always for IPv4
    let Some(address) = local.or(remote) else { return Ok(None) };
    Ok(Some(Address {
        index: IfIndex(u32_at(message.body, 4)?),
        address,
        prefix: byte(1)?,
        peer: remote.filter(|remote| *remote != address),
        scope: byte(3)?,
        flags,
        valid,
    }))
}

/// Four or sixteen bytes as an address.
pub fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| Ipv6Addr::from(sixteen).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            kind in prop::sample::select(vec![NEW_LINK, DEL_LINK, NEW_ADDRESS, NEW_STATS]),
            body in proptest::collection::vec(any::<u8>(), 0..256),
        ) {
            let message = Message { kind, flags: 0, body: &body };
            let _ = (link_news(message), link_stats_of(message), address(message));
        }
    }

    #[test]
    fn a_bridge_that_loses_a_port_does_not_delete_the_link() {
        let mut body = vec![0; LINK_HEADER];
        body[0] = libc::AF_BRIDGE as u8;
        body[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(link_news(Message { kind: DEL_LINK, flags: 0, body: &body }), Ok(None));
        body[0] = libc::AF_UNSPEC as u8;
        assert_eq!(link_news(Message { kind: DEL_LINK, flags: 0, body: &body }), Ok(Some(LinkNews::Gone(IfIndex(7)))));
    }
}
