//! Which fields of which header are the bytes that a rule looks at?

use super::Context;
use super::bits::run_end;
use crate::source::nftables::Family;
use crate::source::nftables::text::header::{ETH_P_8021Q, Field, Layer, Protocol};
use crate::source::nftables::text::kind::{Kind, Order, Value};
use crate::source::nftables::text::statement::{Relation, Statement};
use crate::source::nftables::text::term::{Node, Operator, Place, Term};

/// Headers of VLANs that stand on one another.
const MAX_STACKED: usize = 4;

/// The type of a message by which its fields are known: the answer to an echo has those of the question.
fn message(protocol: Protocol, number: u128) -> Option<u8> {
    u8::try_from(match (protocol, number) {
        (Protocol::Icmp, 0) => 8,
        (Protocol::Icmp6, 129) => 128,
        (_, number) => number,
    })
    .ok()
}

impl Context<'_> {
    /// A comparison with bytes of the packet.
    pub(super) fn payload_matched(&mut self, relation: Relation, mut left: Term, mut right: Term) {
        if matches!(relation, Relation::Equal | Relation::NotEqual) && matches!(right.node, Node::Value(_)) {
            self.before = None;
            self.expand(relation, &left, &right);
            return;
        }
        if let (Node::Set(name, shift), true) = (&right.node, matches!(relation, Relation::Equal | Relation::NotEqual))
        {
            let first = self.scene.set(name).filter(|set| set.is_anonymous()).and_then(|set| set.elements.first());
            let key = first.and_then(|element| Value::new(&element.key));
            if let Some(key) = key {
                self.icmp_from_set(&mut left, Value { raw: key.raw >> shift, bits: key.bits });
            }
        }
        self.complete(&mut left);
        right.means(left.kind, left.order);
        self.implies(&left);
        let index = self.push_match(relation, left, right);
        self.merge(index);
    }

    /// A set of ICMP types begins with the one that fields of the message belong to.
    pub(super) fn icmp_from_set(&mut self, left: &mut Term, key: Value) {
        let Node::Payload(place) = &mut left.node else { return };
        if place.layer != Layer::Transport
            || left.bits != 8
            || key.bits != 8
            || place.offset != 0
            || self.icmp.is_some()
        {
            return;
        }
        if let Some(protocol @ (Protocol::Icmp | Protocol::Icmp6)) = self.protocol(Layer::Transport) {
            self.icmp = message(protocol, key.raw);
        }
    }

    /// One comparison of bytes that lie side by side becomes one for each field.
    pub(super) fn expand(&mut self, relation: Relation, left: &Term, right: &Term) {
        let Node::Payload(place) = left.node else { return };
        let Node::Value(value) = right.node else { return };
        let base = place.layer as usize;
        let (mut rest, mut rest_bits) = (value.raw, value.bits.min(128));
        for part in self.fields(place, left.bits) {
            let bits = part.bits.min(rest_bits);
            rest_bits -= bits;
            let number = (rest >> rest_bits) & Value::ones(bits);
            rest &= Value::ones(rest_bits);
            let whole = match &part.node {
                Node::Payload(Place { field: Some((_, field)), .. }) => field.bits,
                _ => bits,
            };
            let value = |raw, bits| Term::new(Node::Value(Value { raw, bits }), part.kind, part.order, bits);
            let right = if bits < whole {
                let shifted = value(number << (whole - bits).min(127), whole);
                Term::new(Node::Prefix(Box::new(shifted), bits), part.kind, part.order, whole)
            } else {
                value(number, bits)
            };
            if relation == Relation::Equal && bits == whole {
                self.payload_tells(&part, number);
            }
            let stacked = self.stacks(base, &part, relation, number);
            self.implies(&part);
            let tells = relation == Relation::Equal && part.tells_protocol();
            let index = self.push_match(relation, part, right);
            if tells && !self.is_icmp_echo(index) {
                // one more header of the link layer does not tell the network layer's protocol
                let above = if stacked { base } else { base + 1 };
                if let Some(slot) = self.told.get_mut(above) {
                    *slot = Some(index);
                }
            }
        }
    }

    /// Whether a comparison tells one more header of the same layer.
    pub(super) fn stacks(&self, base: usize, part: &Term, relation: Relation, number: u128) -> bool {
        let current = self.protocols.get(base).copied().flatten();
        relation == Relation::Equal
            && part.tells_protocol()
            && current.and_then(|protocol| protocol.above(number)).is_some_and(|above| above.layer() as usize == base)
    }

    /// Remembers the ICMP type that a comparison tells; whether it is one of the pair for echo, of which both have a field.
    pub(super) fn is_icmp_echo(&mut self, index: usize) -> bool {
        let Some(Some(Statement::Match { left, right, .. })) = self.done.get(index) else { return false };
        let Node::Payload(Place { field: Some((protocol, _)), .. }) = &left.node else { return false };
        let number = right.number().and_then(|number| u8::try_from(number).ok());
        let (told, echo) = match (protocol, number) {
            (Protocol::Icmp, Some(number)) => (if number == 0 { 8 } else { number }, matches!(number, 0 | 8)),
            (Protocol::Icmp6, Some(number)) => (number, matches!(number, 128 | 129)),
            _ => return false,
        };
        self.told_icmp = Some(told);
        echo
    }

    /// What a field's value says of the protocol above.
    pub(super) fn payload_tells(&mut self, part: &Term, number: u128) {
        let Node::Payload(Place { field: Some((protocol, field)), .. }) = &part.node else { return };
        if !field.above {
            return;
        }
        match protocol {
            Protocol::Icmp | Protocol::Icmp6 => self.icmp = message(*protocol, number),
            _ => {
                let Some(above) = protocol.above(number) else { return };
                if above.layer() == protocol.layer() && above.layer() == Layer::Link && self.stacked.len() < MAX_STACKED
                {
                    self.stacked.push(*protocol);
                }
                self.protocols[above.layer() as usize] = Some(above);
            }
        }
    }

    /// The header that an offset lies in, and where that begins.
    pub(super) fn header(&self, place: Place) -> Option<(Protocol, u32)> {
        let top = self.protocol(place.layer)?;
        if place.layer != Layer::Link || place.offset < top.bits() {
            return Some((top, 0));
        }
        let mut begin = 0;
        for stacked in &self.stacked {
            if place.offset - begin < stacked.bits() {
                return Some((*stacked, begin));
            }
            begin += stacked.bits();
            if place.offset < begin {
                break;
            }
        }
        Some((top, begin))
    }

    /// Whether the message has a field that not all types of ICMP have.
    pub(super) fn has(&self, field: &Field) -> bool {
        field.only.is_none_or(|only| self.icmp.is_none_or(|icmp| icmp == only))
    }

    /// The fields that lie in some bits; what does not fit stays raw.
    pub(super) fn fields(&self, place: Place, bits: u32) -> Vec<Term> {
        let (mut parts, mut left, mut at) = (Vec::new(), bits, place.offset);
        let raw = |offset, bits| {
            let ports = Protocol::Ports.fields().iter().find(|field| (field.offset, field.bits) == (offset, bits));
            let field = ports.filter(|_| place.layer == Layer::Transport).map(|field| (Protocol::Ports, *field));
            let kind = field.map_or(Kind::Raw, |(_, field)| field.kind);
            Term::new(Node::Payload(Place { layer: place.layer, offset, field }), kind, Order::Network, bits)
        };
        let known = self.header(place).filter(|(protocol, _)| *protocol != Protocol::Unknown);
        if let Some((protocol, begin)) = known {
            for field in protocol.fields() {
                if field.offset + begin != at || !self.has(field) {
                    continue;
                }
                let taken = field.bits.min(left);
                let node = Node::Payload(Place { layer: place.layer, offset: at, field: Some((protocol, *field)) });
                parts.push(Term::new(node, field.kind, Order::Network, taken));
                (left, at) = (left - taken, at + taken);
                if left == 0 {
                    return parts;
                }
            }
        }
        parts.push(raw(at, left));
        parts
    }

    /// Names the field that some bytes are, if there is one.
    pub(super) fn complete(&self, term: &mut Term) {
        let Node::Payload(place) = &mut term.node else { return };
        let Some((protocol, begin)) = self.header(*place) else { return };
        let bits = term.bits;
        let fits = |field: &&Field| field.offset + begin == place.offset && field.bits == bits && self.has(field);
        if let Some(field) = protocol.fields().iter().find(fits) {
            place.field = Some((protocol, *field));
            term.kind = field.kind;
        }
    }

    /// Finds the shorter field that a mask leaves of some bytes; returns how far its value is shifted.
    pub(super) fn trim(&self, term: &mut Term, mask: Value) -> Option<u32> {
        let Node::Payload(place) = &mut term.node else { return None };
        let (protocol, begin) = self.header(*place)?;
        let (low, high) = (mask.raw.trailing_zeros().min(mask.bits), run_end(mask.raw));
        let skipped = mask.bits.next_multiple_of(8).checked_sub(high)?;
        let (mut at, mut length, mut room) = (place.offset.checked_sub(begin)? + skipped, 0, term.bits);
        for field in protocol.fields() {
            if field.offset != at {
                continue;
            }
            if field.bits > room {
                return None;
            }
            (room, at, length) = (room - field.bits, at + field.bits, length + field.bits);
            if room == 0 {
                return None;
            }
            if low + length == high {
                place.offset += skipped;
                term.bits = length;
                return Some(low);
            }
        }
        None
    }

    /// Drops what the use of a field implies.
    pub(super) fn implies(&mut self, term: &Term) {
        let Node::Payload(Place { layer, field: Some((protocol, field)), .. }) = &term.node else { return };
        let base = *layer as usize;
        let Some((left, right, relation)) = self.teller(base) else { return };
        let mixed = matches!(self.family, Family::Bridge | Family::Netdev | Family::Inet);
        if let (true, Node::Payload(told)) = (mixed, &left.node) {
            let by_network =
                told.layer == Layer::Network && matches!(told.field, Some((Protocol::Ip | Protocol::Ip6, _)));
            if by_network && *layer == Layer::Transport {
                return;
            }
            if relation == Relation::Equal && told.layer == *layer {
                if field.above {
                    return;
                }
                if *layer == Layer::Link {
                    // `vlan id` implies `ether type 8021q`, and nothing implies `vlan type`
                    let by = told.field.map(|(protocol, _)| protocol);
                    let vlan = by == Some(Protocol::Ether) && right.number() == Some(ETH_P_8021Q);
                    if by == Some(Protocol::Vlan) || (by == Some(Protocol::Ether) && !vlan) {
                        return;
                    }
                }
            }
        }
        if let (Layer::Transport, Node::Payload(Place { layer: Layer::Transport, field: Some((told, _)), .. })) =
            (layer, &left.node)
            && matches!(told, Protocol::Icmp | Protocol::Icmp6)
            && !(field.only.is_some() && told == protocol && self.told_icmp == field.only)
        {
            return;
        }
        self.drop_told(base);
    }

    /// Writes to a header: a field that is no whole number of bytes is written with the bits around it.
    pub(super) fn header_set(&mut self, what: &mut Term, value: &mut Term) {
        self.complete(what);
        let raw = matches!(&what.node, Node::Payload(Place { field: None, .. }));
        if raw && let Some((field, new)) = self.field_set(what, value) {
            (*what, *value) = (field, new);
        }
        self.term(what);
        value.means(what.kind, what.order);
        self.term(value);
    }

    /// The field that `(bytes & mask) | value` changes, and what it is set to.
    pub(super) fn field_set(&self, what: &Term, value: &Term) -> Option<(Term, Term)> {
        let Node::Binary(operator, left, right) = &value.node else { return None };
        let ones = Value::ones(what.bits);
        let (of, mask, new) = match (operator, &left.node, &right.node) {
            (Operator::Or, Node::Binary(Operator::And, of, mask), Node::Value(new)) => {
                let Node::Value(mask) = mask.node else { return None };
                (of, ones ^ mask.raw ^ new.raw | new.raw, new.raw)
            }
            (Operator::And, Node::Payload(_), Node::Value(mask)) => (left, ones ^ mask.raw, 0),
            (Operator::Or, Node::Payload(_), Node::Value(new)) => (left, new.raw, new.raw),
            _ => return None,
        };
        if of.node != what.node {
            return None;
        }
        let mut field = what.clone();
        let shift = self.trim(&mut field, Value { raw: mask, bits: what.bits })?;
        self.complete(&mut field);
        if matches!(&field.node, Node::Payload(Place { field: None, .. })) {
            return None;
        }
        let bits = field.bits;
        let raw = (new >> shift.min(127)) & Value::ones(bits);
        let new = Term::new(Node::Value(Value { raw, bits }), field.kind, field.order, bits);
        Some((field, new))
    }
}
