//! Which elements does a set of `ipset` have?
//!
//! What an element is made of follows from the type of its set: `hash:ip,port` has an address and a port. It is written as
//! `ipset save` writes it.
//!
//! Source: `include/uapi/linux/netfilter/ipset/ip_set.h`; `ipset(8)`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::{LIST, address, flags, request};
use crate::model::{IpText, Text};
use crate::source::Error;
use crate::source::netfilter::registered_protocol;
use crate::source::netlink::attr::push;
use crate::source::netlink::nfnetlink::{self, Subsystem};
use crate::source::netlink::{Attribute, Malformed, Message, Part, Patience, Socket};

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// As `ipset save` writes it.
    pub text: Text,
    /// Packets that fitted it.
    pub packets: Option<u64>,
    /// Bytes of those.
    pub bytes: Option<u64>,
    /// Seconds until it goes; 0 is for ever.
    pub timeout: Option<u32>,
    /// What was written beside it.
    pub comment: Option<Text>,
    /// Whether what fits it is not in the set.
    pub is_not: bool,
    /// Whether its interface is any whose name begins so.
    pub is_wildcard: bool,
    /// Mark that it gives to packets, and the bits that it sets.
    pub mark: Option<(u32, u32)>,
    /// Class for the scheduler of packets that it gives them, major and minor.
    pub class: Option<(u16, u16)>,
    /// Queue of the network card that it gives them.
    pub queue: Option<u16>,
}

/// Gives every element of the set of this name to `visit`; `None` means start over.
///
/// # Errors
/// As [`Socket::dump`]; absent when there is no such set.
pub fn elements(socket: &mut Socket, set: &[u8], mut visit: impl FnMut(Option<Element>)) -> Result<(), Error> {
    // a hundred thousand elements take their time, and the kernel never says that a set changed meanwhile
    const PATIENCE: Patience = Patience { attempts: 1, time: Duration::from_mins(1) };
    let mut request = request("elements of a set");
    push(&mut request.body, 2, &[set, &[0]].concat());
    let mut kind = Vec::new();
    socket.dump_within(PATIENCE, &request, |part| {
        match part {
            Part::Start => visit(None),
            Part::Message(message) => each(message, &mut kind, |element| visit(Some(element)))?,
        }
        Ok(())
    })
}

/// Reads the elements in one message. The type of the set stands in the first of its messages only.
///
/// # Errors
/// The message is malformed.
pub fn each(message: Message<'_>, kind: &mut Vec<u8>, mut visit: impl FnMut(Element)) -> Result<(), Malformed> {
    if Subsystem::Ipset.number(message) != Some(LIST) {
        return Ok(());
    }
    for attribute in nfnetlink::split(message)?.1 {
        let attribute = attribute?;
        match attribute.kind {
            3 => attribute.string().clone_into(kind),
            8 => {
                for data in attribute.nested() {
                    let data = data?;
                    if data.kind == 7 {
                        visit(element(kind, data)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What an element may be made of.
#[derive(Default)]
struct Parts<'a> {
    address: Option<IpAddr>,
    last_address: Option<IpAddr>,
    prefix: Option<u8>,
    port: Option<u16>,
    protocol: Option<u8>,
    mark: Option<u32>,
    ether: Option<&'a [u8]>,
    name: Option<&'a [u8]>,
    second: Option<IpAddr>,
    second_prefix: Option<u8>,
    interface: Option<&'a [u8]>,
    flags: u32,
}

/// Reads one element of a set of this type.
fn element(kind: &[u8], data: Attribute<'_>) -> Result<Element, Malformed> {
    let (mut parts, mut found) = (Parts::default(), Element::default());
    for attribute in data.nested() {
        let attribute = attribute?;
        match attribute.kind {
            6 => found.timeout = Some(attribute.be32()?),
            24 => found.bytes = Some(attribute.be64()?),
            25 => found.packets = Some(attribute.be64()?),
            26 => found.comment = Some(Text::new(attribute.string())),
            27 => found.mark = Some(attribute.be64().map(|both| ((both >> 32) as u32, both as u32))?),
            28 => found.class = Some(attribute.be32().map(|both| ((both >> 16) as u16, both as u16))?),
            29 => found.queue = Some(attribute.be16()?),
            _ => parts.read(attribute)?,
        }
    }
    found.is_not = parts.flags & flags::NOT != 0;
    found.is_wildcard = parts.flags & flags::WILDCARD != 0;
    found.text = Text::from(parts.text(kind));
    Ok(found)
}

impl<'a> Parts<'a> {
    fn read(&mut self, attribute: Attribute<'a>) -> Result<(), Malformed> {
        match attribute.kind {
            1 => self.address = address(attribute)?,
            2 => self.last_address = address(attribute)?,
            3 => self.prefix = Some(attribute.u8()?),
            4 => self.port = Some(attribute.be16()?),
            7 => self.protocol = Some(attribute.u8()?),
            8 => self.flags = attribute.be32()?,
            10 => self.mark = Some(attribute.be32()?),
            17 => self.ether = Some(attribute.bytes),
            18 => self.name = Some(attribute.string()),
            20 => self.second = address(attribute)?,
            21 => self.second_prefix = Some(attribute.u8()?),
            23 => self.interface = Some(attribute.string()),
            _ => {}
        }
        Ok(())
    }

    /// Writes it as the type of its set says: `hash:net,port,net` has three parts.
    fn text(&self, kind: &[u8]) -> String {
        let kind = String::from_utf8_lossy(kind);
        let mut text = String::new();
        let mut has_address = false;
        for part in kind.split_once(':').map_or("", |(_, parts)| parts).split(',') {
            let before = text.len();
            if before > 0 {
                text.push(',');
            }
            let start = text.len();
            match part {
                "ip" | "net" if !has_address => {
                    has_address = true;
                    network(&mut text, self.address, self.prefix);
                    if let Some(last) = self.last_address {
                        write_to(&mut text, format_args!("-{}", IpText(last)));
                    }
                }
                "ip" | "net" => network(&mut text, self.second, self.second_prefix),
                "port" => self.port(&mut text),
                "mark" => {
                    if let Some(mark) = self.mark {
                        write_to(&mut text, format_args!("{mark:#010x}"));
                    }
                }
                "mac" => {
                    for (place, byte) in self.ether.unwrap_or_default().iter().enumerate() {
                        write_to(&mut text, format_args!("{}{byte:02X}", if place == 0 { "" } else { ":" }));
                    }
                }
                "iface" => {
                    let prefix = if self.flags & flags::BRIDGE_PORT != 0 { "physdev:" } else { "" };
                    let name = String::from_utf8_lossy(self.interface.unwrap_or_default());
                    write_to(&mut text, format_args!("{prefix}{name}"));
                }
                "set" => text.push_str(&String::from_utf8_lossy(self.name.unwrap_or_default())),
                _ => {}
            }
            // an address may stand without the card that it was not seen with yet
            if text.len() == start {
                text.truncate(before);
            }
        }
        text
    }

    fn port(&self, text: &mut String) {
        let Some(port) = self.port else { return };
        let Some(protocol) = self.protocol else {
            write_to(text, format_args!("{port}"));
            return;
        };
        let [kind, code] = port.to_be_bytes();
        let name = |known: &[(u8, u8, &'static str)]| {
            known.iter().find(|(a, b, _)| (*a, *b) == (kind, code)).map(|(_, _, name)| *name)
        };
        match protocol {
            1 | 58 => {
                let (word, known) = if protocol == 1 { ("icmp", ICMP) } else { ("ipv6-icmp", ICMPV6) };
                match name(known) {
                    Some(name) => write_to(text, format_args!("{word}:{name}")),
                    None => write_to(text, format_args!("{word}:{kind}/{code}")),
                }
            }
            other => write_to(text, format_args!("{}:{port}", registered_protocol(other))),
        }
    }
}

fn write_to(text: &mut String, words: std::fmt::Arguments<'_>) {
    // a text takes all that is written to it
    let _ = text.write_fmt(words);
}

/// An address, with its prefix unless that is all of it.
fn network(text: &mut String, address: Option<IpAddr>, prefix: Option<u8>) {
    let Some(address) = address else { return };
    write_to(text, format_args!("{}", IpText(address)));
    let width = if address.is_ipv4() { 32 } else { 128 };
    if let Some(prefix) = prefix.filter(|prefix| *prefix != width) {
        write_to(text, format_args!("/{prefix}"));
    }
}

/// Type, code and the word that `ipset` has for it.
const ICMP: &[(u8, u8, &str)] = &[
    (0, 0, "echo-reply"),
    (3, 0, "network-unreachable"),
    (3, 1, "host-unreachable"),
    (3, 2, "protocol-unreachable"),
    (3, 3, "port-unreachable"),
    (3, 4, "fragmentation-needed"),
    (3, 5, "source-route-failed"),
    (3, 6, "network-unknown"),
    (3, 7, "host-unknown"),
    (3, 9, "network-prohibited"),
    (3, 10, "host-prohibited"),
    (3, 11, "TOS-network-unreachable"),
    (3, 12, "TOS-host-unreachable"),
    (3, 13, "communication-prohibited"),
    (3, 14, "host-precedence-violation"),
    (3, 15, "precedence-cutoff"),
    (4, 0, "source-quench"),
    (5, 0, "network-redirect"),
    (5, 1, "host-redirect"),
    (5, 2, "TOS-network-redirect"),
    (5, 3, "TOS-host-redirect"),
    (8, 0, "echo-request"),
    (9, 0, "router-advertisement"),
    (10, 0, "router-solicitation"),
    (11, 0, "ttl-zero-during-transit"),
    (11, 1, "ttl-zero-during-reassembly"),
    (12, 0, "ip-header-bad"),
    (12, 1, "required-option-missing"),
    (13, 0, "timestamp-request"),
    (14, 0, "timestamp-reply"),
    (17, 0, "address-mask-request"),
    (18, 0, "address-mask-reply"),
];

/// The same for ICMP of IPv6.
const ICMPV6: &[(u8, u8, &str)] = &[
    (1, 0, "no-route"),
    (1, 1, "communication-prohibited"),
    (1, 3, "address-unreachable"),
    (1, 4, "port-unreachable"),
    (2, 0, "packet-too-big"),
    (3, 0, "ttl-zero-during-transit"),
    (3, 1, "ttl-zero-during-reassembly"),
    (4, 0, "bad-header"),
    (4, 1, "unknown-header-type"),
    (4, 2, "unknown-option"),
    (128, 0, "echo-request"),
    (129, 0, "echo-reply"),
    (133, 0, "router-solicitation"),
    (134, 0, "router-advertisement"),
    (135, 0, "neighbour-solicitation"),
    (136, 0, "neighbour-advertisement"),
    (137, 0, "redirect"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_element_is_written_as_the_type_of_its_set_says() {
        let parts = Parts {
            address: Some([10, 1, 0, 0].into()),
            prefix: Some(16),
            port: Some(80),
            protocol: Some(6),
            second: Some([192, 0, 2, 1].into()),
            second_prefix: Some(32),
            ether: Some(&[2, 0, 0, 0, 0, 0xab]),
            interface: Some(b"eth0"),
            flags: flags::BRIDGE_PORT,
            mark: Some(0x63),
            name: Some(b"other"),
            ..Parts::default()
        };
        for (kind, text) in [
            ("hash:ip", "10.1.0.0/16"),
            ("hash:net,port,net", "10.1.0.0/16,tcp:80,192.0.2.1"),
            ("hash:net,iface", "10.1.0.0/16,physdev:eth0"),
            ("hash:ip,mark", "10.1.0.0/16,0x00000063"),
            ("bitmap:ip,mac", "10.1.0.0/16,02:00:00:00:00:AB"),
            ("list:set", "other"),
            ("hash:new", ""),
            ("", ""),
        ] {
            assert_eq!(parts.text(kind.as_bytes()), text, "{kind}");
        }
        let bare = Parts { address: parts.address, ..Parts::default() };
        assert_eq!(bare.text(b"bitmap:ip,mac"), "10.1.0.0");
        assert_eq!(Parts { port: Some(9), ..Parts::default() }.text(b"bitmap:port"), "9");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(kind in "hash:[a-z,]{0,12}", body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut kind = kind.into_bytes();
            let _ = each(Message { kind: Subsystem::Ipset.kind(LIST), flags: 0, body: &body }, &mut kind, drop);
        }
    }
}
