//! Connections that tests make up.

use std::net::IpAddr;

use crate::source::conntrack::flow::{self, Flow, Glimpse, Tuple};
use crate::source::netlink::attr::{push, push_nested};
use crate::source::netlink::nfnetlink::Subsystem;
use crate::source::netlink::{Malformed, Message};

/// One with these ends that nothing else is known of.
pub(super) fn flow(id: u32, original: Tuple, reply: Tuple) -> Flow {
    Flow {
        id,
        original,
        reply,
        status: 0,
        phase: None,
        mark: None,
        zone: None,
        timeout: None,
        labels: None,
        helper: None,
        carried: None,
        answered: None,
        start: None,
    }
}

/// Writes one as the kernel does, as far as tests make up more than [`flow`], and has it looked at.
pub(super) fn glimpse<T>(flow: &Flow, look: impl FnOnce(&Glimpse<'_>) -> Result<T, Malformed>) -> Result<T, Malformed> {
    let mut body = vec![0; 4];
    for (kind, ends) in [(1, &flow.original), (2, &flow.reply)] {
        push_nested(&mut body, kind, |nest| push_tuple(nest, ends));
    }
    push(&mut body, 3, &flow.status.to_be_bytes());
    for (kind, carried) in [(9, flow.carried), (10, flow.answered)] {
        let Some(carried) = carried else { continue };
        push_nested(&mut body, kind, |counters| {
            push(counters, 1, &carried.packets.to_be_bytes());
            push(counters, 2, &carried.bytes.to_be_bytes());
        });
    }
    for (kind, number) in [(8, flow.mark), (12, Some(flow.id))] {
        if let Some(number) = number {
            push(&mut body, kind, &number.to_be_bytes());
        }
    }
    let message = Message { kind: Subsystem::Conntrack.kind(0), flags: 0, body: &body };
    look(&flow::glimpse(message)?.ok_or(Malformed)?)
}

fn push_tuple(nest: &mut Vec<u8>, tuple: &Tuple) {
    push_nested(nest, 1, |ip| {
        for (kind, address) in [(1, tuple.source), (2, tuple.destination)] {
            match address {
                IpAddr::V4(address) => push(ip, kind, &address.octets()),
                IpAddr::V6(address) => push(ip, kind + 2, &address.octets()),
            }
        }
    });
    push_nested(nest, 2, |protocol| {
        push(protocol, 1, &[tuple.protocol]);
        for (kind, port) in tuple.ports.into_iter().flat_map(|(source, destination)| [(2, source), (3, destination)]) {
            push(protocol, kind, &port.to_be_bytes());
        }
    });
    if let Some(zone) = tuple.zone {
        push(nest, 3, &zone.to_be_bytes());
    }
}
