//! What does a rule compare, and how is that written?

use std::fmt::Write as _;

use super::header::{self, Layer, Protocol};
use super::kind::{self, Kind, Order, Value};
use super::{Scene, element, option};
use crate::source::nftables::instruction::Source;

/// What a register holds, or what it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    pub(super) node: Node,
    pub(super) kind: Kind,
    pub(super) order: Order,
    pub(super) bits: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Value(Value),
    Range(Box<Term>, Box<Term>),
    Prefix(Box<Term>, u32),
    /// Flags of which each counts.
    List(Vec<Term>),
    /// The set of a name; keys are to be shifted to the right by so many bits.
    Set(Vec<u8>, u32),
    Payload(Place),
    Option(option::Place),
    Load(Source),
    /// What a packet in a tunnel of this name has there.
    Inner(&'static str, Box<Term>),
    /// The number of the network that a tunnel's packet is of.
    Vni,
    Binary(Operator, Box<Term>, Box<Term>),
    /// The bytes of another in the other order.
    Swap(Box<Term>),
    Concat(Vec<Term>),
    /// What the set of a name maps it to; its keys are to be shifted, too.
    Map(Box<Term>, Vec<u8>, u32),
    Hash {
        of: Box<Term>,
        modulus: u32,
        seed: Option<u32>,
        offset: u32,
    },
}

/// Bits of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) layer: Layer,
    /// Bits from the beginning of the layer's first header.
    pub(super) offset: u32,
    /// The field that stands there, when that is known.
    pub(super) field: Option<(Protocol, header::Field)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

impl Operator {
    fn token(self) -> &'static str {
        match self {
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
        }
    }

    /// The less, the closer it binds.
    fn precedence(self) -> u8 {
        match self {
            Self::ShiftLeft | Self::ShiftRight => 1,
            Self::And => 2,
            Self::Xor => 3,
            Self::Or => 4,
        }
    }
}

impl Term {
    pub(super) fn new(node: Node, kind: Kind, order: Order, bits: u32) -> Self {
        Self { node, kind, order, bits }
    }

    /// A constant whose meaning is not known yet.
    pub(super) fn value(value: Value) -> Self {
        Self::new(Node::Value(value), Kind::Invalid, Order::Network, value.bits)
    }

    /// A constant with a meaning.
    pub(super) fn constant(number: u128, kind: Kind, order: Order, bits: u32) -> Self {
        Self::new(Node::Value(Value::of(number, bits, order)), kind, order, bits)
    }

    pub(super) fn binary(operator: Operator, left: Self, right: Self) -> Self {
        let (kind, order, bits) = (left.kind, left.order, left.bits);
        Self::new(Node::Binary(operator, Box::new(left), Box::new(right)), kind, order, bits)
    }

    /// The same of a packet in a tunnel.
    pub(super) fn inside(tunnel: &'static str, term: Self) -> Self {
        let (kind, order, bits) = (term.kind, term.order, term.bits);
        Self::new(Node::Inner(tunnel, Box::new(term)), kind, order, bits)
    }

    /// The constant, as a number.
    pub(super) fn number(&self) -> Option<u128> {
        match self.node {
            Node::Value(value) => Some(value.number(self.order)),
            _ => None,
        }
    }

    /// Gives it a meaning.
    pub(super) fn means(&mut self, kind: Kind, order: Order) {
        (self.kind, self.order) = (kind, order);
        match &mut self.node {
            Node::Range(from, to) => {
                from.means(kind, order);
                to.means(kind, order);
            }
            Node::Prefix(term, _) => term.means(kind, order),
            Node::List(terms) => terms.iter_mut().for_each(|term| term.means(kind, order)),
            _ => {}
        }
    }

    /// Whether it tells the protocol of a layer above.
    pub(super) fn tells_protocol(&self) -> bool {
        match &self.node {
            Node::Payload(Place { field: Some((_, field)), .. }) => field.above,
            // protocol, interface type, family and protocol of the transport layer
            Node::Load(Source::Meta(1 | 8 | 15 | 16) | Source::Ct { key: 7 | 10, .. }) => true,
            _ => false,
        }
    }

    /// The layer whose protocol is known before it, 0 if it has none.
    pub(super) fn base(&self) -> usize {
        match &self.node {
            Node::Payload(place) => place.layer as usize,
            Node::Load(Source::Meta(1 | 15)) => Layer::Link as usize,
            Node::Load(Source::Meta(16)) => Layer::Network as usize,
            Node::Load(Source::Ct { key, .. }) => match key {
                7 => Layer::Link as usize,
                8..=10 => Layer::Network as usize,
                11 | 12 => Layer::Transport as usize,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Writes it.
    pub(super) fn write(&self, out: &mut String, scene: &Scene<'_>) {
        match &self.node {
            Node::Value(value) => kind::write(out, self.kind, self.order, *value, scene.names),
            Node::Range(from, to) => {
                from.write(out, scene);
                out.push('-');
                to.write(out, scene);
            }
            Node::Prefix(term, length) => {
                term.write(out, scene);
                let _ = write!(out, "/{length}");
            }
            Node::List(terms) => each(out, terms, ",", scene),
            Node::Concat(terms) => each(out, terms, " . ", scene),
            Node::Set(name, shift) => match scene.set(name) {
                Some(set) if set.is_meter() => out.push_str(&String::from_utf8_lossy(name)),
                Some(set) if set.is_anonymous() => element::write(out, set, *shift, scene),
                _ => {
                    let _ = write!(out, "@{}", String::from_utf8_lossy(name));
                }
            },
            Node::Payload(place) => match place.field {
                Some((protocol, field)) => {
                    let _ = write!(out, "{} {}", protocol.name(), field.name);
                }
                None => {
                    let _ = write!(out, "@{},{},{}", place.layer.token(), place.offset, self.bits);
                }
            },
            Node::Option(place) => place.write(out),
            Node::Load(source) => super::load::write(out, source),
            Node::Inner(tunnel, term) => {
                let _ = write!(out, "{tunnel} ");
                term.write(out, scene);
            }
            Node::Vni => out.push_str("vni"),
            Node::Binary(operator, left, right) => {
                operand(out, *operator, left, scene);
                let _ = write!(out, " {} ", operator.token());
                operand(out, *operator, right, scene);
            }
            Node::Swap(term) => term.write(out, scene),
            Node::Map(term, name, shift) => {
                term.write(out, scene);
                let verdicts = scene.set(name).is_some_and(super::super::Set::maps_to_verdicts);
                out.push_str(if verdicts { " vmap " } else { " map " });
                let set = Self::new(Node::Set(name.clone(), *shift), Kind::Invalid, Order::Network, 0);
                set.write(out, scene);
            }
            Node::Hash { of, modulus, seed, offset } => {
                out.push_str("jhash ");
                of.write(out, scene);
                super::load::hash(out, *modulus, *seed, *offset);
            }
        }
    }
}

fn each(out: &mut String, terms: &[Term], between: &str, scene: &Scene<'_>) {
    for (index, term) in terms.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        term.write(out, scene);
    }
}

fn operand(out: &mut String, operator: Operator, term: &Term, scene: &Scene<'_>) {
    let looser = matches!(term.node, Node::Binary(inner, ..) if operator.precedence() < inner.precedence());
    if looser {
        out.push('(');
    }
    term.write(out, scene);
    if looser {
        out.push(')');
    }
}
