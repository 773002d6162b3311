//! Which connections are tracked?
//!
//! A dump of ctnetlink, decoded where it lies: a [`Flow`] is a plain value without memory of its own, so that a pass over a
//! million of them allocates only what the caller keeps. Names become text when a row is made of a flow.
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink_conntrack.h`, `nf_conntrack_common.h`.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use crate::source::Error;
use crate::source::netlink::attr::{Attributes, attributes, push, push_nested};
use crate::source::netlink::nfnetlink::{self, Header, Subsystem};
use crate::source::netlink::route::ip;
use crate::source::netlink::{Attribute, Malformed, Message, Part, Patience, Request, Socket};

/// `IPCTNL_MSG_CT_NEW`: also what each row of a dump is.
const NEW: u8 = 0;
/// `IPCTNL_MSG_CT_GET`
const GET: u8 = 1;

/// `IPS_*`: bits of [`Flow::status`].
pub mod status {
    /// Packets were seen in both directions.
    pub const SEEN_REPLY: u32 = 1 << 1;
    /// It is not thrown away before its time when the table is full.
    pub const ASSURED: u32 = 1 << 2;
    /// Its source address is translated.
    pub const SOURCE_NAT: u32 = 1 << 4;
    /// Its destination address is translated.
    pub const DESTINATION_NAT: u32 = 1 << 5;
    /// A flow table forwards it.
    pub const OFFLOAD: u32 = 1 << 14;
    /// A network card forwards it.
    pub const HARDWARE_OFFLOAD: u32 = 1 << 15;
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// Sender's address.
    pub source: IpAddr,
    /// Receiver's address.
    pub destination: IpAddr,
    /// `IPPROTO_*`
    pub protocol: u8,
    /// Ports of sender and receiver, or keys of GRE.
    pub ports: Option<(u16, u16)>,
    /// What tells the questions of ICMP apart.
    pub icmp: Option<Icmp>,
    /// Zone of this direction alone.
    pub zone: Option<u16>,
}

impl Tuple {
    /// Tells what has this number and these addresses from all others: of a million connections two have the same number
    /// more often than not, and numbers are used again.
    pub fn identity(&self, id: u32, hasher: &RandomState) -> u64 {
        hasher.hash_one((id, self.source, self.destination, self.ports))
    }
}

/// What tells the questions of ICMP apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Identifier.
    pub id: u16,
}

/// What one direction has carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// State of a connection, by the protocol that knows one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `TCP_CONNTRACK_*`
    Tcp(u8),
    /// `SCTP_CONNTRACK_*`
    Sctp(u8),
}

/// Bytes of a short name, behind which stands nothing but NULs.
pub type Name = [u8; 16];

/// A tracked connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The kernel's number for it.
    pub id: u32,
    /// As the first packet had it.
    pub original: Tuple,
    /// As answers have it.
    pub reply: Tuple,
    /// `IPS_*`, see [`status`].
    pub status: u32,
    /// State, if the protocol has any.
    pub phase: Option<Phase>,
    /// Mark.
    pub mark: Option<u32>,
    /// Zone of both directions.
    pub zone: Option<u16>,
    /// Seconds until it is forgotten; one that is offloaded has none.
    pub timeout: Option<u32>,
    /// Bits of its labels, lowest first.
    pub labels: Option<[u8; 16]>,
    /// Name of the helper that watches it.
    pub helper: Option<Name>,
    /// What the original direction has carried.
    pub carried: Option<Carried>,
    /// What answers have carried.
    pub answered: Option<Carried>,
    /// When it began, in nanoseconds since 1970.
    pub start: Option<u64>,
}

/// What connections are to have. A kernel that cannot tell gives all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Mark.
    pub mark: Option<u32>,
    /// Zone of one direction or of both.
    pub zone: Option<u16>,
    /// `IPS_*`, and which bits of it count.
    pub status: Option<(u32, u32)>,
    /// Sender's address in the original direction.
    pub source: Option<IpAddr>,
    /// Receiver's address in the original direction.
    pub destination: Option<IpAddr>,
    /// `IPPROTO_*`
    pub protocol: Option<u8>,
    /// Sender's port in the original direction; counts with a protocol.
    pub source_port: Option<u16>,
    /// Receiver's port in the original direction; counts with a protocol.
    pub destination_port: Option<u16>,
}

/// What is read of a connection at first: what it is known by and what it has carried. The rest is read when somebody wants it.
#[derive(Clone, Debug)]
pub struct Glimpse<'a> {
    /// The kernel's number for it.
    pub id: u32,
    /// What the original direction has carried.
    pub carried: Option<Carried>,
    /// What answers have carried.
    pub answered: Option<Carried>,
    /// `CTA_TUPLE_ORIG` as the kernel writes it.
    original: &'a [u8],
    all: Attributes<'a>,
}

/// Gives every tracked connection that is asked for to `visit`.
///
/// # Errors
/// As [`Socket::dump`]; denied without CAP_NET_ADMIN.
pub fn flows(
    socket: &mut Socket,
    request: &Request,
    mut visit: impl FnMut(&Glimpse<'_>) -> Result<(), Malformed>,
) -> Result<(), Error> {
    // a million connections take the kernel seconds, and it never says that the table changed meanwhile
    const PATIENCE: Patience = Patience { attempts: 1, time: Duration::from_mins(1) };
    socket.dump_within(PATIENCE, request, |part| match part {
        Part::Message(message) => glimpse(message)?.map_or(Ok(()), |glimpse| visit(&glimpse)),
        Part::Start => Ok(()),
    })
}

/// Asks for the connections of all families that have this.
pub fn request(only: &Only) -> Request {
    // the kernel compares tuples of one family
    let family = match only.source.or(only.destination) {
        None => libc::AF_UNSPEC,
        Some(IpAddr::V4(_)) => libc::AF_INET,
        Some(IpAddr::V6(_)) => libc::AF_INET6,
    };
    let mut request = Subsystem::Conntrack.request(GET, Header { family: family as u8, resource: 0 }, "connections");
    let body = &mut request.body;
    if let Some(mark) = only.mark {
        push(body, 8, &mark.to_be_bytes());
        push(body, 21, &u32::MAX.to_be_bytes());
    }
    if let Some(zone) = only.zone {
        push(body, 18, &zone.to_be_bytes());
    }
    if let Some((bits, mask)) = only.status {
        push(body, 3, &bits.to_be_bytes());
        push(body, 26, &mask.to_be_bytes());
    }
    // of IPv6 kernels give those that have another address, and leave out those that have this one
    if family == libc::AF_INET {
        only.push_tuple(body);
    }
    request
}

impl Only {
    /// `CTA_TUPLE_ORIG`, and in `CTA_FILTER` what of it counts.
    fn push_tuple(&self, body: &mut Vec<u8>) {
        // `CTA_FILTER_FLAG`
        const SOURCE: u32 = 1;
        const DESTINATION: u32 = 1 << 1;
        const PROTOCOL: u32 = 1 << 3;
        const SOURCE_PORT: u32 = 1 << 4;
        const DESTINATION_PORT: u32 = 1 << 5;
        let mut flags = 0;
        push_nested(body, 1, |tuple| {
            push_nested(tuple, 1, |ip| {
                for (address, kind, flag) in [(self.source, 1, SOURCE), (self.destination, 2, DESTINATION)] {
                    if let Some(IpAddr::V4(address)) = address {
                        push(ip, kind, &address.octets());
                        flags |= flag;
                    }
                }
            });
            let Some(protocol) = self.protocol else { return };
            flags |= PROTOCOL;
            let has_ports = [libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_SCTP].contains(&protocol.into());
            push_nested(tuple, 2, |proto| {
                push(proto, 1, &[protocol]);
                let ports = [(self.source_port, 2, SOURCE_PORT), (self.destination_port, 3, DESTINATION_PORT)];
                for (port, kind, flag) in ports.into_iter().filter(|_| has_ports) {
                    let Some(port) = port else { continue };
                    push(proto, kind, &port.to_be_bytes());
                    flags |= flag;
                }
            });
        });
        push_nested(body, 25, |filter| push(filter, 1, &flags.to_ne_bytes()));
    }
}

/// Looks at one connection; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn glimpse(message: Message<'_>) -> Result<Option<Glimpse<'_>>, Malformed> {
    if Subsystem::Conntrack.number(message) != Some(NEW) {
        return Ok(None);
    }
    let (_, all) = nfnetlink::split(message)?;
    let (mut id, mut original, mut sent, mut answered) = (None, None, None, None);
    for attribute in all.clone() {
        let attribute = attribute?;
        match attribute.kind {
            1 => original = Some(attribute.bytes),
            9 => sent = carried(attribute)?,
            10 => answered = carried(attribute)?,
            12 => id = Some(attribute.be32()?),
            _ => {}
        }
    }
    let Some(original) = original else { return Ok(None) };
    Ok(Some(Glimpse { id: id.ok_or(Malformed)?, carried: sent, answered, original, all }))
}

impl Glimpse<'_> {
    /// Tells this connection from all others: of a million two have the same number more often than not, and numbers are
    /// used again.
    pub fn identity(&self, hasher: &RandomState) -> u64 {
        hasher.hash_one((self.id, self.original))
    }

    /// Reads the direction of the first packet alone; `None` for families that are not IP.
    ///
    /// # Errors
    /// It is malformed.
    pub fn original(&self) -> Result<Option<Tuple>, Malformed> {
        ends(attributes(self.original))
    }

    /// Reads the direction of the answers alone; `None` for families that are not IP.
    ///
    /// # Errors
    /// It is malformed.
    pub fn reply(&self) -> Result<Option<Tuple>, Malformed> {
        self.find(2)?.map_or(Ok(None), tuple)
    }

    /// Reads the state alone.
    ///
    /// # Errors
    /// It is malformed.
    pub fn phase(&self) -> Result<Option<Phase>, Malformed> {
        self.find(4)?.map_or(Ok(None), phase)
    }

    /// Reads the mark alone.
    ///
    /// # Errors
    /// It is malformed.
    pub fn mark(&self) -> Result<Option<u32>, Malformed> {
        self.find(8)?.map(|mark| mark.be32()).transpose()
    }

    /// Reads the zone of both directions alone.
    ///
    /// # Errors
    /// It is malformed.
    pub fn zone(&self) -> Result<Option<u16>, Malformed> {
        self.find(18)?.map(|zone| zone.be16()).transpose()
    }

    /// The attribute of this type.
    fn find(&self, kind: u16) -> Result<Option<Attribute<'_>>, Malformed> {
        for attribute in self.all.clone() {
            let attribute = attribute?;
            if attribute.kind == kind {
                return Ok(Some(attribute));
            }
        }
        Ok(None)
    }

    /// Reads all of it; `None` for families that are not IP.
    ///
    /// # Errors
    /// The message is malformed.
    pub fn flow(&self) -> Result<Option<Flow>, Malformed> {
        let (mut original, mut reply, mut bits) = (None, None, None);
        let mut rest = Rest::default();
        for attribute in self.all.clone() {
            let attribute = attribute?;
            match attribute.kind {
                1 => original = tuple(attribute)?,
                2 => reply = tuple(attribute)?,
                3 => bits = Some(attribute.be32()?),
                _ => rest.read(attribute)?,
            }
        }
        let Some((original, reply)) = original.zip(reply) else { return Ok(None) };
        let status = bits.ok_or(Malformed)?;
        let Self { id, carried, answered, .. } = *self;
        let Rest { phase, mark, zone, timeout, labels, helper, start } = rest;
        let flow =
            Flow { id, original, reply, status, phase, mark, zone, timeout, labels, helper, carried, answered, start };
        Ok(Some(flow))
    }
}

/// What a connection need not have.
#[derive(Default)]
struct Rest {
    phase: Option<Phase>,
    mark: Option<u32>,
    zone: Option<u16>,
    timeout: Option<u32>,
    labels: Option<[u8; 16]>,
    helper: Option<Name>,
    start: Option<u64>,
}

impl Rest {
    fn read(&mut self, attribute: Attribute<'_>) -> Result<(), Malformed> {
        match attribute.kind {
            4 => self.phase = phase(attribute)?,
            5 => self.helper = inner(attribute, 1)?.map(name).transpose()?,
            7 => self.timeout = Some(attribute.be32()?),
            8 => self.mark = Some(attribute.be32()?),
            18 => self.zone = Some(attribute.be16()?),
            20 => self.start = inner(attribute, 1)?.map(|start| start.be64()).transpose()?,
            22 => self.labels = Some(padded(attribute.bytes)?),
            _ => {}
        }
        Ok(())
    }
}

/// The attribute of this type inside another.
fn inner(nest: Attribute<'_>, kind: u16) -> Result<Option<Attribute<'_>>, Malformed> {
    for attribute in nest.nested() {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(Some(attribute));
        }
    }
    Ok(None)
}

/// `CTA_TUPLE_*`; `None` where the addresses are not IP.
pub(super) fn tuple(nest: Attribute<'_>) -> Result<Option<Tuple>, Malformed> {
    ends(nest.nested())
}

fn ends(parts: Attributes<'_>) -> Result<Option<Tuple>, Malformed> {
    let (mut source, mut destination, mut protocol, mut zone) = (None, None, None, None);
    let (mut ports, mut icmp) = ((None, None), None::<Icmp>);
    for attribute in parts {
        let attribute = attribute?;
        match attribute.kind {
            1 => {
                for address in attribute.nested() {
                    let address = address?;
                    match address.kind {
                        1 | 3 => source = ip(address.bytes),
                        2 | 4 => destination = ip(address.bytes),
                        _ => {}
                    }
                }
            }
            2 => {
                for part in attribute.nested() {
                    let part = part?;
                    match part.kind {
                        1 => protocol = Some(part.u8()?),
                        2 => ports.0 = Some(part.be16()?),
                        3 => ports.1 = Some(part.be16()?),
                        4 | 7 => icmp.get_or_insert_default().id = part.be16()?,
                        5 | 8 => icmp.get_or_insert_default().kind = part.u8()?,
                        6 | 9 => icmp.get_or_insert_default().code = part.u8()?,
                        _ => {}
                    }
                }
            }
            3 => zone = Some(attribute.be16()?),
            _ => {}
        }
    }
    let Some((source, destination)) = source.zip(destination) else { return Ok(None) };
    let protocol = protocol.ok_or(Malformed)?;
    Ok(Some(Tuple { source, destination, protocol, ports: ports.0.zip(ports.1), icmp, zone }))
}

/// `CTA_PROTOINFO`
fn phase(nest: Attribute<'_>) -> Result<Option<Phase>, Malformed> {
    for attribute in nest.nested() {
        let attribute = attribute?;
        let phase = match attribute.kind {
            1 => Phase::Tcp,
            3 => Phase::Sctp,
            _ => continue,
        };
        return Ok(inner(attribute, 1)?.map(|state| state.u8()).transpose()?.map(phase));
    }
    Ok(None)
}

/// `CTA_COUNTERS_*`
fn carried(nest: Attribute<'_>) -> Result<Option<Carried>, Malformed> {
    let number = |kind| inner(nest, kind)?.map(|number| number.be64()).transpose();
    Ok(number(1)?.zip(number(2)?).map(|(packets, bytes)| Carried { packets, bytes }))
}

fn name(attribute: Attribute<'_>) -> Result<Name, Malformed> {
    padded(attribute.string())
}

/// Bytes with NULs behind them.
fn padded(bytes: &[u8]) -> Result<[u8; 16], Malformed> {
    let mut all = [0; 16];
    all.get_mut(..bytes.len()).ok_or(Malformed)?.copy_from_slice(bytes);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flow(message: Message<'_>) -> Result<Option<Flow>, Malformed> {
        glimpse(message)?.map_or(Ok(None), |glimpse| glimpse.flow())
    }

    fn push_tuple(body: &mut Vec<u8>, kind: u16, ends: [[u8; 16]; 2], ports: [u16; 2], zone: u16) {
        push_nested(body, kind, |tuple| {
            push_nested(tuple, 1, |ip| {
                push(ip, 3, &ends[0]);
                push(ip, 4, &ends[1]);
            });
            push_nested(tuple, 2, |proto| {
                push(proto, 1, &[6]);
                push(proto, 2, &ports[0].to_be_bytes());
                push(proto, 3, &ports[1].to_be_bytes());
            });
            push(tuple, 3, &zone.to_be_bytes());
        });
    }

    fn push_carried(body: &mut Vec<u8>, kind: u16, carried: Carried) {
        push_nested(body, kind, |counters| {
            push(counters, 1, &carried.packets.to_be_bytes());
            push(counters, 2, &carried.bytes.to_be_bytes());
        });
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = flow(Message { kind: Subsystem::Conntrack.kind(NEW), flags: 0, body: &body });
        }

        #[test]
        fn a_flow_is_read_back(
            ends in any::<[[u8; 16]; 2]>(), ports in any::<[u16; 2]>(), zone in any::<u16>(), id in any::<u32>(),
            words in any::<[u32; 3]>(), counts in any::<[u64; 5]>(), state in any::<u8>(), labels in any::<[u8; 16]>(),
        ) {
            let mut body = vec![10, 0, 0, 0];
            let [bits, timeout, mark] = words;
            let [packets, bytes, packets2, bytes2, start] = counts;
            let (sent, back) = (Carried { packets, bytes }, Carried { packets: packets2, bytes: bytes2 });
            push_tuple(&mut body, 1, ends, ports, zone);
            push_tuple(&mut body, 2, [ends[1], ends[0]], [ports[1], ports[0]], zone);
            push(&mut body, 3, &bits.to_be_bytes());
            push_nested(&mut body, 4, |info| push_nested(info, 1, |tcp| push(tcp, 1, &[state])));
            push_nested(&mut body, 5, |help| push(help, 1, b"ftp\0"));
            push(&mut body, 7, &timeout.to_be_bytes());
            push(&mut body, 8, &mark.to_be_bytes());
            push_carried(&mut body, 9, sent);
            push_carried(&mut body, 10, back);
            push(&mut body, 12, &id.to_be_bytes());
            push_nested(&mut body, 20, |stamp| push(stamp, 1, &start.to_be_bytes()));
            push(&mut body, 22, &labels);
            let message = Message { kind: Subsystem::Conntrack.kind(NEW), flags: 0, body: &body };
            let read = flow(message).unwrap().unwrap();
            let original = Tuple {
                source: ip(&ends[0]).unwrap(), destination: ip(&ends[1]).unwrap(), protocol: 6,
                ports: Some((ports[0], ports[1])), icmp: None, zone: Some(zone),
            };
            let reply = Tuple {
                source: original.destination, destination: original.source, ports: Some((ports[1], ports[0])), ..original
            };
            prop_assert_eq!(read, Flow {
                id, original, reply, status: bits, phase: Some(Phase::Tcp(state)), mark: Some(mark), zone: None,
                timeout: Some(timeout), labels: Some(labels), helper: Some(*b"ftp\0\0\0\0\0\0\0\0\0\0\0\0\0"),
                carried: Some(sent), answered: Some(back), start: Some(start),
            });
            let cut = Message { kind: message.kind, flags: 0, body: &body[..body.len() - 17] };
            prop_assert_eq!(flow(cut), Err(Malformed));
        }
    }

    #[test]
    fn a_flow_without_a_number_is_malformed_and_one_that_is_not_ip_is_passed_over() {
        let kind = Subsystem::Conntrack.kind(NEW);
        let mut body = vec![10, 0, 0, 0];
        push_tuple(&mut body, 1, [[1; 16]; 2], [1, 2], 0);
        push_tuple(&mut body, 2, [[1; 16]; 2], [2, 1], 0);
        push(&mut body, 3, &[0; 4]);
        assert_eq!(flow(Message { kind, flags: 0, body: &body }), Err(Malformed));
        push(&mut body, 12, &[0; 4]);
        assert!(flow(Message { kind, flags: 0, body: &body }).unwrap().is_some());
        push_nested(&mut body, 1, |tuple| push_nested(tuple, 2, |proto| push(proto, 1, &[6])));
        assert_eq!(flow(Message { kind, flags: 0, body: &body }), Ok(None));
    }
}
