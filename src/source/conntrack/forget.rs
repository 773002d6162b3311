//! How is exactly one tracked connection forgotten?
//!
//! The kernel finds it by the addresses and ports of its first packet and by its zone, and deletes it only if it has the
//! number that was seen, too: a later connection with the same ends has another one.
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink_conntrack.h`, `IPCTNL_MSG_CT_DELETE`.

use std::net::IpAddr;

use crate::model::Tracked;
use crate::source::Error;
use crate::source::netlink::attr::{push, push_nested};
use crate::source::netlink::nfnetlink::{Header, Subsystem};
use crate::source::netlink::{Request, Socket};

/// `IPCTNL_MSG_CT_DELETE`
const DELETE: u8 = 2;
/// `IPPROTO_ICMP`: its questions are told apart by attributes of their own.
const ICMP: u8 = 1;

/// Deletes a connection from the kernel's table.
///
/// # Errors
/// It is gone (`ENOENT`), or the kernel refused.
pub fn forget(socket: &mut Socket, flow: &Tracked) -> Result<(), Error> {
    socket.ask(&request(flow), |_| Ok(()))
}

fn request(flow: &Tracked) -> Request {
    let family = if flow.source.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let header = Header { family: family as u8, resource: 0 };
    let mut request = Subsystem::Conntrack.request(DELETE, header, "delete a connection");
    let body = &mut request.body;
    push_nested(body, 1, |tuple| {
        push_nested(tuple, 1, |ends| {
            address(ends, (1, 3), flow.source);
            address(ends, (2, 4), flow.destination);
        });
        push_nested(tuple, 2, |proto| {
            push(proto, 1, &[flow.protocol]);
            if let Some((source, destination)) = flow.ports {
                push(proto, 2, &source.to_be_bytes());
                push(proto, 3, &destination.to_be_bytes());
            }
            if let Some((kind, code, id)) = flow.icmp {
                let first = if flow.protocol == ICMP { 4 } else { 7 };
                push(proto, first, &id.to_be_bytes());
                push(proto, first + 1, &[kind]);
                push(proto, first + 2, &[code]);
            }
        });
    });
    push(body, 12, &flow.id.to_be_bytes());
    if flow.zone != 0 {
        push(body, 18, &flow.zone.to_be_bytes());
    }
    request
}

fn address(ends: &mut Vec<u8>, (v4, v6): (u16, u16), address: IpAddr) {
    match address {
        IpAddr::V4(address) => push(ends, v4, &address.octets()),
        IpAddr::V6(address) => push(ends, v6, &address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::flow::tuple;
    use super::*;
    use crate::source::netlink::Message;
    use crate::source::netlink::nfnetlink::split;

    /// What a request says, as it is read from the kernel's messages.
    fn said(flow: &Tracked) -> (super::super::flow::Tuple, Option<u32>, Option<u16>) {
        let request = request(flow);
        let (_, attributes) = split(Message { kind: request.kind, flags: 0, body: &request.body }).unwrap();
        let (mut original, mut id, mut zone) = (None, None, None);
        for attribute in attributes {
            let attribute = attribute.unwrap();
            match attribute.kind {
                1 => original = tuple(attribute).unwrap(),
                12 => id = Some(attribute.be32().unwrap()),
                18 => zone = Some(attribute.be16().unwrap()),
                other => panic!("{other}"),
            }
        }
        (original.unwrap(), id, zone)
    }

    #[test]
    fn a_connection_is_named_by_all_that_tells_it_from_others() {
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        let ends = [(IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])), (v6(1), v6(2))];
        let kinds = [(6, Some((40_000, 443)), None), (1, None, Some((8, 0, 77))), (58, None, Some((128, 0, 78)))];
        for ((source, destination), (protocol, ports, icmp), zone) in ends
            .into_iter()
            .flat_map(|end| kinds.map(|kind| (end, kind)))
            .flat_map(|(end, kind)| [0, 5].map(|z| (end, kind, z)))
        {
            let flow =
                Tracked { netns: "host".into(), id: 0xdead_beef, protocol, source, destination, ports, icmp, zone };
            let (original, id, said_zone) = said(&flow);
            assert_eq!((original.source, original.destination, original.protocol), (source, destination, protocol));
            assert_eq!(original.ports, ports);
            assert_eq!(original.icmp.map(|icmp| (icmp.kind, icmp.code, icmp.id)), icmp);
            assert_eq!((id, said_zone), (Some(0xdead_beef), Some(zone).filter(|zone| *zone != 0)));
        }
    }
}
