//! How does the kernel route?
//!
//! Requests and decoders for routes and for the objects that their next hops may be. There may be a million routes, so that a
//! decoded one takes no memory of its own unless it has several next hops.
//!
//! Source: `include/uapi/linux/rtnetlink.h`, `include/uapi/linux/nexthop.h`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attr::{Attributes, Malformed, attributes, i32_at, u16_at, u32_at};
use super::route::{IfIndex, ip};
use super::{Message, Part, Patience, Request, Socket};
use crate::source::Error;

/// `RTM_NEWROUTE`
pub const NEW_ROUTE: u16 = 24;
/// `RTM_DELROUTE`
pub const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_NEXTHOP: u16 = 104;
const GET_NEXTHOP: u16 = 106;

/// `RTNLGRP_IPV4_ROUTE`
pub const GROUP_ROUTE4: u32 = 7;
/// `RTNLGRP_IPV6_ROUTE`
pub const GROUP_ROUTE6: u32 = 11;

/// `NLM_F_REPLACE`: a route that is told took the place of another.
pub const REPLACES: u16 = 0x100;
/// `NLM_F_APPEND`: a route that is told became part of another.
pub const APPENDS: u16 = 0x800;

/// `RTM_F_CLONED`: what a route became for one destination.
const CLONED: u32 = 0x200;
/// `sizeof(struct rtmsg)`
const HEADER: usize = 12;
/// `sizeof(struct nhmsg)`
const NEXTHOP_HEADER: usize = 8;
/// Next hops of a route that are kept.
const MAX_HOPS: usize = 256;
/// Next hops that are objects of their own and kept.
const MAX_NEXTHOPS: usize = 1 << 16;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `AF_INET` or `AF_INET6`
    pub family: u8,
    /// Number of the table that it is in.
    pub table: u32,
    /// Where it leads.
    pub destination: IpAddr,
    /// Bits of the destination that count.
    pub prefix: u8,
    /// For whom it is, and how many bits of that count; IPv6 only.
    pub source: Option<(IpAddr, u8)>,
    /// Type of service for which it is.
    pub tos: u8,
    /// Which of several with the same destination is taken: the least.
    pub metric: Option<u32>,
    /// `RTPROT_*`: who has made it.
    pub protocol: u8,
    /// `RT_SCOPE_*`
    pub scope: u8,
    /// `RTN_*`
    pub kind: u8,
    /// `RTM_F_*` and `RTNH_F_*`
    pub flags: u32,
    /// Address that the host sends from.
    pub preferred_source: Option<IpAddr>,
    /// Where packets go next; nowhere for one that refuses them.
    pub hops: Hops,
    /// Number of the object that its next hop is.
    pub nexthop: Option<u32>,
    /// `ICMPV6_ROUTER_PREF_*`
    pub preference: Option<u8>,
    /// Hundredths of a second until it goes.
    pub expires: Option<u32>,
}

/// Where packets go next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// Address of the router.
    pub gateway: Option<IpAddr>,
    /// Interface.
    pub index: Option<IfIndex>,
    /// How much of the traffic it has, in relation to that of the others.
    pub weight: u16,
    /// `RTNH_F_*`
    pub flags: u8,
}

/// The next hops of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hops {
    /// The first one, which most routes have alone.
    pub first: Option<Hop>,
    /// All others.
    pub others: Vec<Hop>,
}

impl Hops {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Hop> {
        self.first.iter().chain(&self.others)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    /// Whether packets go nowhere.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn push(&mut self, hop: Hop) {
        match self.first {
            None => self.first = Some(hop),
            Some(_) if self.len() < MAX_HOPS => self.others.push(hop),
            Some(_) => {}
        }
    }
}

/// Asks for all routes of a family, in all tables.
pub fn routes(family: i32) -> Request {
    let mut body = vec![0; HEADER];
    if let (Some(slot), Ok(family)) = (body.first_mut(), u8::try_from(family)) {
        *slot = family;
    }
    Request { kind: GET_ROUTE, body, what: "routes" }
}

/// Reads a dumped route or a notification; `None` for another kind of message, for other families, and for what a route became
/// for one destination.
///
/// # Errors
/// The message is malformed.
pub fn route(message: Message<'_>) -> Result<Option<Route>, Malformed> {
    if !matches!(message.kind, NEW_ROUTE | DEL_ROUTE) {
        return Ok(None);
    }
    let byte = |at: usize| message.body.get(at).copied().ok_or(Malformed);
    let family = byte(0)?;
    let none: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return Ok(None),
    };
    let flags = u32_at(message.body, 8)?;
    if flags & CLONED != 0 {
        return Ok(None);
    }
    let mut route = Route {
        family,
        table: u32::from(byte(4)?),
        destination: none,
        prefix: byte(1)?,
        source: None,
        tos: byte(3)?,
        metric: None,
        protocol: byte(5)?,
        scope: byte(6)?,
        kind: byte(7)?,
        flags,
        preferred_source: None,
        hops: Hops::default(),
        nexthop: None,
        preference: None,
        expires: None,
    };
    let source_prefix = byte(2)?;
    let mut only = Hop { weight: 1, ..Hop::default() };
    for attribute in message.attributes(HEADER)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => route.destination = ip(attribute.bytes).ok_or(Malformed)?,
            2 => route.source = ip(attribute.bytes).map(|source| (source, source_prefix)),
            4 => only.index = Some(IfIndex(attribute.u32()?)),
            5 => only.gateway = ip(attribute.bytes),
            6 => route.metric = Some(attribute.u32()?),
            7 => route.preferred_source = ip(attribute.bytes),
            9 => several(attribute.bytes, &mut route.hops)?,
            // `rta_expires` of `struct rta_cacheinfo`; what has ended a moment ago has less than none left
            12 => route.expires = u32::try_from(i32_at(attribute.bytes, 8)?).ok().filter(|left| *left != 0),
            15 => route.table = attribute.u32()?,
            18 => only.gateway = via(attribute.bytes),
            20 => route.preference = Some(attribute.u8()?),
            30 => route.nexthop = Some(attribute.u32()?),
            _ => {}
        }
    }
    if route.hops.is_empty() && (only.index.is_some() || only.gateway.is_some()) {
        route.hops.push(only);
    }
    Ok(Some(route))
}

/// `RTA_MULTIPATH`: a `struct rtnexthop` with attributes for each.
fn several(mut bytes: &[u8], hops: &mut Hops) -> Result<(), Malformed> {
    const FIXED: usize = 8;
    while !bytes.is_empty() {
        let length = usize::from(u16_at(bytes, 0)?);
        let inner = bytes.get(FIXED..length).ok_or(Malformed)?;
        let byte = |at: usize| bytes.get(at).copied().ok_or(Malformed);
        let index = Some(IfIndex(u32_at(bytes, 4)?)).filter(|index| index.0 != 0);
        hops.push(Hop {
            gateway: gateway(attributes(inner))?,
            index,
            weight: u16::from(byte(3)?) + 1,
            flags: byte(2)?,
        });
        bytes = bytes.get(super::attr::align(length)..).unwrap_or(&[]);
    }
    Ok(())
}

fn gateway(attributes: Attributes<'_>) -> Result<Option<IpAddr>, Malformed> {
    let mut gateway = None;
    for attribute in attributes {
        let attribute = attribute?;
        match attribute.kind {
            5 => gateway = ip(attribute.bytes),
            18 => gateway = via(attribute.bytes),
            _ => {}
        }
    }
    Ok(gateway)
}

/// `struct rtvia`: a router of another family.
fn via(bytes: &[u8]) -> Option<IpAddr> {
    ip(bytes.get(2..)?)
}

/// Next hops that are objects of their own, by their numbers.
#[derive(Debug, Default)]
pub struct Nexthops(HashMap<u32, Nexthop>);

#[derive(Debug, Default)]
struct Nexthop {
    hop: Hop,
    /// Members of a group with their weights.
    group: Vec<(u32, u16)>,
}

impl Nexthops {
    /// Reads all of them.
    ///
    /// # Errors
    /// As [`Socket::dump_within`].
    pub fn read(socket: &mut Socket) -> Result<Self, Error> {
        let mut found = Self::default();
        let request = Request { kind: GET_NEXTHOP, body: vec![0; NEXTHOP_HEADER], what: "next hops" };
        socket.dump_within(Patience::FEW, &request, |part| {
            match part {
                Part::Start => found.0.clear(),
                Part::Message(message) => found.add(message)?,
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Takes one message.
    ///
    /// # Errors
    /// It is malformed.
    pub fn add(&mut self, message: Message<'_>) -> Result<(), Malformed> {
        if message.kind != NEW_NEXTHOP || self.0.len() >= MAX_NEXTHOPS {
            return Ok(());
        }
        let flags = (u32_at(message.body, 4)? & 0xff) as u8;
        let (mut number, mut nexthop) = (None, Nexthop::default());
        nexthop.hop = Hop { weight: 1, flags, ..Hop::default() };
        for attribute in message.attributes(NEXTHOP_HEADER)? {
            let attribute = attribute?;
            match attribute.kind {
                1 => number = Some(attribute.u32()?),
                2 => nexthop.group = group(attribute.bytes)?,
                5 => nexthop.hop.index = Some(IfIndex(attribute.u32()?)),
                6 => nexthop.hop.gateway = ip(attribute.bytes),
                _ => {}
            }
        }
        self.0.extend(number.map(|number| (number, nexthop)));
        Ok(())
    }

    /// Gives a route the next hops that it names and that were not told with it.
    pub fn complete(&self, route: &mut Route) {
        let Some(nexthop) = route.nexthop.filter(|_| route.hops.is_empty()).and_then(|number| self.0.get(&number))
        else {
            return;
        };
        if nexthop.group.is_empty() {
            route.hops.first = Some(nexthop.hop).filter(|hop| hop.index.is_some() || hop.gateway.is_some());
            return;
        }
        // a group has no groups in it
        for (number, weight) in &nexthop.group {
            if let Some(member) = self.0.get(number) {
                route.hops.push(Hop { weight: *weight, ..member.hop });
            }
        }
    }
}

/// `struct nexthop_grp`: a number and a weight of two bytes that are apart.
fn group(bytes: &[u8]) -> Result<Vec<(u32, u16)>, Malformed> {
    let member = |bytes: &[u8]| {
        let byte = |at: usize| bytes.get(at).copied().ok_or(Malformed);
        Ok((u32_at(bytes, 0)?, u16::from_le_bytes([byte(4)?, byte(5)?]).saturating_add(1)))
    };
    bytes.chunks_exact(8).take(MAX_HOPS).map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::super::attr::push;
    use super::*;
    use proptest::prelude::*;

    fn message(body: &[u8]) -> Message<'_> {
        Message { kind: NEW_ROUTE, flags: 0, body }
    }

    /// `struct rtmsg` of a route to 10.0.0.0/8 in table 254.
    fn header() -> Vec<u8> {
        vec![libc::AF_INET as u8, 8, 0, 0, 254, 186, 0, 1, 0, 0, 0, 0]
    }

    #[test]
    fn a_router_of_another_family_is_the_next_hop() {
        let mut body = header();
        push(&mut body, 1, &[10, 0, 0, 0]);
        let router: Ipv6Addr = "2001:db8::1".parse().unwrap();
        push(&mut body, 18, &[&10_u16.to_ne_bytes(), &router.octets()[..]].concat());
        push(&mut body, 4, &7_u32.to_ne_bytes());
        let route = route(message(&body)).unwrap().unwrap();
        assert_eq!((route.destination.to_string(), route.table, route.protocol), ("10.0.0.0".to_owned(), 254, 186));
        let hop = Hop { gateway: Some(router.into()), index: Some(IfIndex(7)), weight: 1, flags: 0 };
        assert_eq!((route.hops.first, route.hops.len()), (Some(hop), 1));
    }

    #[test]
    fn a_route_over_an_object_goes_where_that_leads() {
        let (mut nexthops, mut body) = (Nexthops::default(), vec![0; NEXTHOP_HEADER]);
        push(&mut body, 1, &5_u32.to_ne_bytes());
        push(&mut body, 5, &3_u32.to_ne_bytes());
        push(&mut body, 6, &[192, 0, 2, 1]);
        nexthops.add(Message { kind: NEW_NEXTHOP, flags: 0, body: &body }).unwrap();
        let mut body = vec![0; NEXTHOP_HEADER];
        push(&mut body, 1, &9_u32.to_ne_bytes());
        push(&mut body, 2, &[[5, 0, 0, 0, 2, 0, 0, 0], [6, 0, 0, 0, 0, 1, 0, 0]].concat());
        nexthops.add(Message { kind: NEW_NEXTHOP, flags: 0, body: &body }).unwrap();
        let completed = |number: u32| {
            let mut body = header();
            push(&mut body, 30, &number.to_ne_bytes());
            let mut route = route(message(&body)).unwrap().unwrap();
            nexthops.complete(&mut route);
            route.hops.iter().copied().collect::<Vec<_>>()
        };
        let hop = Hop { gateway: "192.0.2.1".parse().ok(), index: Some(IfIndex(3)), weight: 1, flags: 0 };
        assert_eq!(completed(5), [hop]);
        assert_eq!(completed(9), [Hop { weight: 3, ..hop }], "a member that is not there leads nowhere");
        assert_eq!(completed(77), []);
    }

    #[test]
    fn what_a_route_became_for_one_destination_is_no_route() {
        let mut body = header();
        body[9] = 2;
        assert_eq!(route(message(&body)), Ok(None));
        body[9] = 0;
        body[0] = libc::AF_BRIDGE as u8;
        assert_eq!(route(message(&body)), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            kind in prop::sample::select(vec![NEW_ROUTE, DEL_ROUTE, NEW_NEXTHOP]),
            family in prop::sample::select(vec![2_u8, 10]),
            body in proptest::collection::vec(any::<u8>(), 0..256),
        ) {
            let body = [vec![family], body].concat();
            let message = Message { kind, flags: 0, body: &body };
            let mut nexthops = Nexthops::default();
            let _ = nexthops.add(message);
            if let Ok(Some(mut route)) = route(message) {
                nexthops.complete(&mut route);
            }
        }
    }
}
