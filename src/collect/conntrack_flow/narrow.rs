//! Which connections does nobody want to see?
//!
//! Readers that filter by what a connection is (`source == 10.0.0.1`) or whose say so with their demand. What no reader keeps is not
//! given out by the kernel where it can tell (mark, zone, status, addresses, protocol and ports of the original direction), and
//! never takes the room of what somebody keeps. Readers filter all the same: more than they want is no harm.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use super::{protocol, words, zone};
use crate::model::{Guests, Text, Value};
use crate::source::conntrack::flow::{self, Flow, Only, Tuple, status};
use crate::source::netlink::Request;

/// Values outside which nobody keeps a connection; none where all are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Narrow {
    sources: Option<Vec<IpAddr>>,
    destinations: Option<Vec<IpAddr>>,
    source_ports: Option<Vec<u64>>,
    destination_ports: Option<Vec<u64>>,
    protocols: Option<Vec<u8>>,
    marks: Option<Vec<u64>>,
    zones: Option<Vec<u64>>,
    statuses: Option<Vec<Text>>,
    /// Addresses of guests: more than those that a guest has in the network namespace of a connection.
    guests: Option<HashSet<IpAddr>>,
}

impl Narrow {
    pub(super) fn of(only: &BTreeMap<String, Vec<Value>>, guests: &Guests) -> Self {
        let values = |column: &str| only.get(column).map(Vec::as_slice);
        let numbers = |column: &str| values(column)?.iter().map(number).collect::<Option<Vec<_>>>();
        let addresses = |column: &str| values(column)?.iter().map(address).collect::<Option<Vec<_>>>();
        let texts = |column: &str| values(column)?.iter().map(text).collect::<Option<Vec<_>>>();
        let protocols = texts("protocol")
            .map(|names| (0..=u8::MAX).filter(|number| names.contains(&protocol(*number))).collect::<Vec<_>>());
        let names = texts("vm").or_else(|| texts("reply_vm"));
        let of = |names: Vec<Text>| {
            let known = guests.addresses.values().flatten();
            known.filter(|(_, name)| names.contains(name)).map(|(address, _)| *address).collect()
        };
        Self {
            sources: addresses("source"),
            destinations: addresses("destination"),
            source_ports: numbers("source_port"),
            destination_ports: numbers("destination_port"),
            protocols,
            marks: numbers("mark"),
            zones: numbers("zone"),
            statuses: texts("status"),
            guests: names.map(of),
        }
    }

    /// Whether anybody may keep it.
    pub(super) fn keeps(&self, flow: &Flow) -> bool {
        let Tuple { source, destination, protocol, ports, .. } = flow.original;
        let port = |end: fn((u16, u16)) -> u16| ports.map(|ports| u64::from(end(ports)));
        has(self.sources.as_ref(), Some(source))
            && has(self.destinations.as_ref(), Some(destination))
            && has(self.protocols.as_ref(), Some(protocol))
            && has(self.source_ports.as_ref(), port(|ports| ports.0))
            && has(self.destination_ports.as_ref(), port(|ports| ports.1))
            && has(self.marks.as_ref(), flow.mark.map(u64::from))
            && has(self.zones.as_ref(), Some(u64::from(zone(flow.zone, flow.original.zone))))
            && self.guests.as_ref().is_none_or(|guests| guests.contains(&source) || guests.contains(&flow.reply.source))
            && (self.statuses.is_none() || has(self.statuses.as_ref(), Some(words(flow.status))))
    }

    /// Asks the kernel for those that may be kept, as far as it can tell.
    pub(super) fn request(&self) -> Request {
        let mark = one(self.marks.as_ref()).and_then(|mark| u32::try_from(mark).ok());
        // every connection has the zone 0 that has no other, which the kernel may see in another way
        let zone = one(self.zones.as_ref()).and_then(|zone| u16::try_from(zone).ok()).filter(|zone| *zone != 0);
        let port = |ports: Option<&Vec<u64>>| one(ports).and_then(|port| u16::try_from(port).ok());
        let only = Only {
            mark,
            zone,
            status: self.statuses.as_deref().and_then(bits),
            source: one(self.sources.as_ref()),
            destination: one(self.destinations.as_ref()),
            protocol: one(self.protocols.as_ref()),
            source_port: port(self.source_ports.as_ref()),
            destination_port: port(self.destination_ports.as_ref()),
        };
        flow::request(&only)
    }
}

/// Bits of a status and which of them count, if one text is wanted that they make.
fn bits(texts: &[Text]) -> Option<(u32, u32)> {
    const SHOWN: [u32; 4] = [status::SEEN_REPLY, status::ASSURED, status::OFFLOAD, status::HARDWARE_OFFLOAD];
    let [text] = texts else { return None };
    let set = |place: u32| {
        let bits = SHOWN.iter().enumerate().filter(|(bit, _)| place >> bit & 1 == 1);
        bits.fold(0, |all, (_, bit)| all | bit)
    };
    let found = (0..16).map(set).find(|bits| words(*bits) == *text)?;
    // what a card forwards is not told to be forwarded by software, too
    let all = SHOWN.iter().fold(0, |all, bit| all | bit);
    Some((found, if found & status::HARDWARE_OFFLOAD == 0 { all } else { all & !status::OFFLOAD }))
}

fn has<T: PartialEq>(values: Option<&Vec<T>>, value: Option<T>) -> bool {
    values.is_none_or(|values| value.is_some_and(|value| values.contains(&value)))
}

fn one<T: Copy>(values: Option<&Vec<T>>) -> Option<T> {
    match values.map(Vec::as_slice) {
        Some([value]) => Some(*value),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    if let Value::U64(number) = value { Some(*number) } else { None }
}

fn address(value: &Value) -> Option<IpAddr> {
    if let Value::Ip(address) = value { Some(*address) } else { None }
}

fn text(value: &Value) -> Option<Text> {
    if let Value::Text(text) | Value::Label(text) = value { Some(text.clone()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_for_the_bits_that_make_a_text() {
        let of = |text: &str| bits(&[Text::from(text)]);
        let all = status::SEEN_REPLY | status::ASSURED | status::OFFLOAD | status::HARDWARE_OFFLOAD;
        assert_eq!(of(""), Some((status::SEEN_REPLY, all)));
        assert_eq!(of("[UNREPLIED]"), Some((0, all)));
        let assured = status::SEEN_REPLY | status::ASSURED;
        assert_eq!(of("[ASSURED]"), Some((assured, all)));
        let card = assured | status::HARDWARE_OFFLOAD;
        assert_eq!(of("[ASSURED] [HW_OFFLOAD]"), Some((card, all & !status::OFFLOAD)));
        assert_eq!((of("nothing"), bits(&[Text::from(""), Text::from("[ASSURED]")])), (None, None));
    }

    #[test]
    fn what_is_no_value_of_a_column_narrows_nothing() {
        let only = [("source", Value::U64(1)), ("mark", Value::F64(1.5))];
        let only = only.map(|(column, value)| (column.to_owned(), vec![value])).into();
        assert_eq!(Narrow::of(&only, &Guests::default()), Narrow::default());
    }
}
