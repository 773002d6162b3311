//! Which sets of addresses does the kernel keep for `ipset`?
//!
//! [`sets`] asks for the heads of all sets and for no element; [`element::elements`] for the elements of one. Sets may have
//! another width in a newer kernel, which is why what is not known is passed over.
//!
//! Source: `include/uapi/linux/netfilter/ipset/ip_set.h`, `net/netfilter/ipset/ip_set_core.c`.

pub mod element;

use std::net::IpAddr;

use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::netlink::attr::push;
use crate::source::netlink::nfnetlink::{self, Header, Subsystem};
use crate::source::netlink::route::ip;
use crate::source::netlink::{Attribute, Malformed, Message, Part, Request, Socket};

/// `IPSET_CMD_LIST`: the question, and each message of the answer.
const LIST: u8 = 7;
/// What every kernel speaks that is alive.
const PROTOCOL: u8 = 6;
/// `IPSET_FLAG_LIST_HEADER`
const HEADER_ONLY: u32 = 1 << 2;

/// `IPSET_FLAG_*`: bits of [`Set::flags`], and of elements.
pub mod flags {
    /// What fits it is not in the set.
    pub const NOT: u32 = 1 << 2;
    /// Of an element: the name of its interface is that of a port of a bridge.
    pub const BRIDGE_PORT: u32 = 1 << 1;
    /// Elements count packets and bytes.
    pub const COUNTERS: u32 = 1 << 3;
    /// Elements have comments.
    pub const COMMENT: u32 = 1 << 4;
    /// Elements that are added when it is full take the place of others.
    pub const FORCE_ADD: u32 = 1 << 5;
    /// Elements give packets a mark, a priority and a queue.
    pub const PACKET_INFO: u32 = 1 << 6;
    /// Of an element: its interface is any whose name begins so.
    pub const WILDCARD: u32 = 1 << 7;
}

/// The head of a set. Numbers that its type does not have are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: Text,
    /// The same as the kernel has it, to ask for it.
    pub raw_name: Vec<u8>,
    /// Its type, such as `hash:ip,port`.
    pub kind: Text,
    /// `NFPROTO_*`
    pub family: u8,
    /// `IPSET_FLAG_*`, see [`flags`].
    pub flags: u32,
    /// Elements in it.
    pub elements: Option<u32>,
    /// Most that it takes.
    pub max: Option<u32>,
    /// Places of the hash table.
    pub buckets: Option<u32>,
    /// Elements that fit one place.
    pub bucket_size: Option<u8>,
    /// How many bits of addresses count.
    pub mask: Option<u8>,
    /// Which bits of addresses count.
    pub bitmask: Option<IpAddr>,
    /// Which bits of marks count.
    pub mark_mask: Option<u32>,
    /// Seconds that elements stay unless they say otherwise; 0 is for ever.
    pub timeout: Option<u32>,
    /// First and last address.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// First and last port.
    pub ports: Option<(u16, u16)>,
    /// Rules and sets that use it.
    pub references: Option<u32>,
    /// Bytes of memory.
    pub memory: Option<u32>,
}

/// Reads the heads of the sets of the network namespace of the socket.
///
/// # Errors
/// As [`Socket::dump`]; denied without CAP_NET_ADMIN.
pub fn sets(socket: &mut Socket, most: usize) -> Result<Bounded<Set>, Error> {
    let mut found = Bounded::new(most);
    let mut request = request("sets");
    push(&mut request.body, 6, &HEADER_ONLY.to_be_bytes());
    socket.dump(&request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => found.extend(set(message)?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn request(what: &'static str) -> Request {
    let mut request = Subsystem::Ipset.request(LIST, Header { family: libc::AF_INET as u8, resource: 0 }, what);
    push(&mut request.body, 1, &[PROTOCOL]);
    request
}

/// Reads the head of a set; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn set(message: Message<'_>) -> Result<Option<Set>, Malformed> {
    if Subsystem::Ipset.number(message) != Some(LIST) {
        return Ok(None);
    }
    let (mut found, mut kind) = (Set::default(), None);
    for attribute in nfnetlink::split(message)?.1 {
        let attribute = attribute?;
        match attribute.kind {
            2 => {
                found.name = Text::new(attribute.string());
                attribute.string().clone_into(&mut found.raw_name);
            }
            3 => kind = Some(Text::new(attribute.string())),
            5 => found.family = attribute.u8()?,
            7 => found.read(attribute)?,
            _ => {}
        }
    }
    // the rest of one that did not fit a message has no head
    Ok(kind.map(|kind| Set { kind, ..found }))
}

impl Set {
    /// Reads what the set was made with, and what it is now.
    fn read(&mut self, data: Attribute<'_>) -> Result<(), Malformed> {
        let (mut addresses, mut ports) = ((None, None), (None, None));
        for attribute in data.nested() {
            let attribute = attribute?;
            match attribute.kind {
                1 => addresses.0 = address(attribute)?,
                2 => addresses.1 = address(attribute)?,
                4 => ports.0 = Some(attribute.be16()?),
                5 => ports.1 = Some(attribute.be16()?),
                6 => self.timeout = Some(attribute.be32()?),
                8 => self.flags = attribute.be32()?,
                11 => self.mark_mask = Some(attribute.be32()?),
                12 => self.bitmask = address(attribute)?,
                18 => self.buckets = Some(attribute.be32()?),
                // a list has a size instead
                19 | 23 => self.max = Some(attribute.be32()?),
                20 => self.mask = Some(attribute.u8()?),
                21 => self.bucket_size = Some(attribute.u8()?),
                24 => self.elements = Some(attribute.be32()?),
                25 => self.references = Some(attribute.be32()?),
                26 => self.memory = Some(attribute.be32()?),
                _ => {}
            }
        }
        (self.addresses, self.ports) = (addresses.0.zip(addresses.1), ports.0.zip(ports.1));
        Ok(())
    }
}

/// `IPSET_ATTR_IPADDR_*`
fn address(nest: Attribute<'_>) -> Result<Option<IpAddr>, Malformed> {
    match nest.nested().next() {
        Some(address) => Ok(ip(address?.bytes)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::attr::push_nested;
    use proptest::prelude::*;

    #[test]
    fn a_head_is_read_and_the_rest_of_a_set_without_one_is_passed_over() {
        let mut body = vec![2, 0, 0, 0];
        push(&mut body, 1, &[7]);
        push(&mut body, 2, b"blue\0");
        let kind = Subsystem::Ipset.kind(LIST);
        assert_eq!(set(Message { kind, flags: 0, body: &body }), Ok(None));
        push(&mut body, 3, b"hash:ip\0");
        push(&mut body, 5, &[2]);
        push_nested(&mut body, 7, |data| {
            push(data, 18, &1024_u32.to_be_bytes());
            push(data, 19, &65536_u32.to_be_bytes());
            push(data, 24, &3_u32.to_be_bytes());
            push(data, 11, &0xff_u32.to_be_bytes());
            push_nested(data, 12, |address| push(address, 1, &[255, 255, 0, 255]));
        });
        let read = set(Message { kind, flags: 0, body: &body }).unwrap().unwrap();
        assert_eq!((&*read.name, &*read.kind, read.buckets), ("blue", "hash:ip", Some(1024)));
        assert_eq!((read.max, read.elements, read.timeout), (Some(65536), Some(3), None));
        assert_eq!((read.mark_mask, read.bitmask), (Some(0xff), Some([255, 255, 0, 255].into())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = set(Message { kind: Subsystem::Ipset.kind(LIST), flags: 0, body: &body });
        }
    }
}
