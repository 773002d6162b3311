//! Which table does the kernel look into for which packets?
//!
//! Source: `include/uapi/linux/fib_rules.h`, `net/core/fib_rules.c`.

use std::net::IpAddr;

use super::attr::{Malformed, u16_at, u32_at};
use super::route::ip;
use super::{Message, Part, Patience, Request, Socket};
use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;

const NEW_RULE: u16 = 32;
const GET_RULE: u16 = 34;
/// `sizeof(struct fib_rule_hdr)`
const HEADER: usize = 12;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `AF_*`
    pub family: u8,
    /// Its place: the least is asked first.
    pub priority: u32,
    /// For packets from there, and how many bits of that count.
    pub source: Option<(IpAddr, u8)>,
    /// For packets to there, and how many bits of that count.
    pub destination: Option<(IpAddr, u8)>,
    /// Type of service.
    pub tos: u8,
    /// Interface over which packets come.
    pub input: Option<Text>,
    /// Interface to which a socket is bound.
    pub output: Option<Text>,
    /// Mark of packets.
    pub mark: Option<u32>,
    /// Bits of the mark that count.
    pub mask: Option<u32>,
    /// `FR_ACT_*`
    pub action: u8,
    /// Number of the table that is looked into.
    pub table: u32,
    /// Priority of the rule that is asked next.
    pub goto: Option<u32>,
    /// A route with so many bits of its destination, or less, is not taken.
    pub suppress_prefix: Option<u32>,
    /// A route over an interface of this group is not taken.
    pub suppress_group: Option<u32>,
    /// Whether the table is that of the routing domain of the interface.
    pub l3mdev: bool,
    /// `RTPROT_*`: who has made it.
    pub protocol: Option<u8>,
    /// Users whose sockets it is for.
    pub users: Option<(u32, u32)>,
    /// `IPPROTO_*`
    pub ip_protocol: Option<u8>,
    /// Ports from which packets come.
    pub source_ports: Option<(u16, u16)>,
    /// Ports to which they go.
    pub destination_ports: Option<(u16, u16)>,
    /// `FIB_RULE_*`
    pub flags: u32,
}

/// Reads all rules, at most so many.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn rules(socket: &mut Socket, most: usize) -> Result<Bounded<Rule>, Error> {
    let mut found = Bounded::new(most);
    let request = Request { kind: GET_RULE, body: vec![0; HEADER], what: "rules" };
    socket.dump_within(Patience::FEW, &request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => found.extend(rule(message)?),
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads one rule; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn rule(message: Message<'_>) -> Result<Option<Rule>, Malformed> {
    if message.kind != NEW_RULE {
        return Ok(None);
    }
    let byte = |at: usize| message.body.get(at).copied().ok_or(Malformed);
    let (to, from) = (byte(1)?, byte(2)?);
    let mut rule = Rule {
        family: byte(0)?,
        priority: 0,
        source: None,
        destination: None,
        tos: byte(3)?,
        input: None,
        output: None,
        mark: None,
        mask: None,
        action: byte(7)?,
        table: u32::from(byte(4)?),
        goto: None,
        suppress_prefix: None,
        suppress_group: None,
        l3mdev: false,
        protocol: None,
        users: None,
        ip_protocol: None,
        source_ports: None,
        destination_ports: None,
        flags: u32_at(message.body, 8)?,
    };
    let number = |bytes: &[u8]| u32_at(bytes, 0);
    // all bits are set where nothing is suppressed
    let suppressed = |bytes: &[u8]| Ok::<_, Malformed>(Some(u32_at(bytes, 0)?).filter(|number| *number != u32::MAX));
    let ports = |bytes: &[u8]| Ok::<_, Malformed>(Some((u16_at(bytes, 0)?, u16_at(bytes, 2)?)));
    for attribute in message.attributes(HEADER)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => rule.destination = ip(attribute.bytes).map(|address| (address, to)),
            2 => rule.source = ip(attribute.bytes).map(|address| (address, from)),
            3 => rule.input = Some(Text::new(attribute.string())),
            4 => rule.goto = Some(number(attribute.bytes)?),
            6 => rule.priority = number(attribute.bytes)?,
            10 => rule.mark = Some(number(attribute.bytes)?),
            13 => rule.suppress_group = suppressed(attribute.bytes)?,
            14 => rule.suppress_prefix = suppressed(attribute.bytes)?,
            15 => rule.table = number(attribute.bytes)?,
            16 => rule.mask = Some(number(attribute.bytes)?),
            17 => rule.output = Some(Text::new(attribute.string())),
            19 => rule.l3mdev = attribute.u8()? != 0,
            20 => rule.users = Some((u32_at(attribute.bytes, 0)?, u32_at(attribute.bytes, 4)?)),
            21 => rule.protocol = Some(attribute.u8()?),
            22 => rule.ip_protocol = Some(attribute.u8()?),
            23 => rule.source_ports = ports(attribute.bytes)?,
            24 => rule.destination_ports = ports(attribute.bytes)?,
            _ => {}
        }
    }
    Ok(Some(rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = rule(Message { kind: NEW_RULE, flags: 0, body: &body });
        }
    }
}
