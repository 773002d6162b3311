//! What would a person have written?
//!
//! Whoever writes `tcp dport 22` gets a rule that asks first whether the packet is TCP, and then for two bytes of its
//! transport header. This pass walks over the statements in their order with what is known of the packet so far
//! ([`Context`]): bytes become fields of the protocol that stands there, questions that a field implies are dropped, masks
//! become prefixes, flags or shorter fields, and two comparisons with a range's ends become one.

mod bits;
mod payload;

use self::bits::flags_listed;
pub(super) use self::bits::{as_prefix, flags};
use super::action::Translation;
use super::header::{Layer, Protocol};
use super::kind::Kind;
use super::statement::{Named, Relation, Statement};
use super::term::{Node, Operator, Term};
use super::{Scene, option};
use crate::source::nftables::instruction::Source;
use crate::source::nftables::{Family, NFPROTO_IPV4, NFPROTO_IPV6};

/// Layers, from 1 on.
const LAYERS: usize = 5;

/// What is known of the packet.
struct Context<'a> {
    scene: &'a Scene<'a>,
    /// Family of the packet, which in a tunnel is not that of the table.
    family: Family,
    /// What is known of the packet in a tunnel of this name.
    inside: Option<(&'static str, Box<Self>)>,
    /// The protocol of each layer.
    protocols: [Option<Protocol>; LAYERS],
    /// Headers of the link layer below the topmost.
    stacked: Vec<Protocol>,
    /// The type of its ICMP message.
    icmp: Option<u8>,
    /// For each layer, the statement that has told its protocol: whatever asks for a field of it implies that.
    told: [Option<usize>; LAYERS],
    /// The type of ICMP message that was told, for fields that only that has.
    told_icmp: Option<u8>,
    /// The last comparison, if nothing else was between.
    before: Option<usize>,
    done: Vec<Option<Statement>>,
    /// Whether terms stand in a concatenation or a key, where a mask belongs to the field.
    in_key: bool,
}

/// Settles the statements of a rule.
pub(super) fn settle(statements: Vec<Statement>, scene: &Scene<'_>) -> Vec<Statement> {
    let mut context = Context::new(scene, scene.family);
    for statement in statements {
        context.enter(statement);
    }
    context.leave();
    context.done.into_iter().flatten().collect()
}

impl<'a> Context<'a> {
    fn new(scene: &'a Scene<'a>, family: Family) -> Self {
        let mut protocols = [None; LAYERS];
        let first = match family {
            Family::Ip => Some(Protocol::Ip),
            Family::Ip6 => Some(Protocol::Ip6),
            Family::Inet => Some(Protocol::Inet),
            Family::Arp => Some(Protocol::Arp),
            Family::Bridge => Some(Protocol::Ether),
            Family::Netdev => Some(Protocol::Netdev),
            Family::Other(_) => None,
        };
        if let Some(protocol) = first {
            protocols[protocol.layer() as usize] = Some(protocol);
        }
        Self {
            scene,
            family,
            inside: None,
            protocols,
            stacked: Vec::new(),
            icmp: None,
            told: [None; LAYERS],
            told_icmp: None,
            before: None,
            done: Vec::new(),
            in_key: false,
        }
    }

    fn protocol(&self, layer: Layer) -> Option<Protocol> {
        self.protocols.get(layer as usize).copied().flatten()
    }

    /// Takes a statement, or has what it says of a packet in a tunnel taken by what is known of that.
    fn enter(&mut self, statement: Statement) {
        let (tunnel, relation, left, right) = match statement {
            Statement::Match { relation, left: Term { node: Node::Inner(tunnel, left), .. }, right } => {
                (tunnel, relation, *left, right)
            }
            other => {
                self.leave();
                self.take(other);
                return;
            }
        };
        if self.inside.as_ref().is_none_or(|(known, _)| *known != tunnel) {
            self.leave();
            // that of GRE has no header of a link layer
            let family = if tunnel == "gre" { Family::Netdev } else { Family::Bridge };
            self.inside = Some((tunnel, Box::new(Self::new(self.scene, family))));
        }
        if let Some((_, inside)) = &mut self.inside {
            inside.take(Statement::Match { relation, left, right });
        }
    }

    /// Writes down what was asked of the packet in a tunnel; what is known of it stays.
    fn leave(&mut self) {
        let Some((tunnel, inside)) = &mut self.inside else { return };
        let (tunnel, done) = (*tunnel, std::mem::take(&mut inside.done));
        inside.forget();
        for statement in done.into_iter().flatten() {
            self.before = None;
            self.done.push(Some(match statement {
                Statement::Match { relation, left, right } => {
                    Statement::Match { relation, left: Term::inside(tunnel, left), right }
                }
                other => other,
            }));
        }
    }

    fn take(&mut self, mut statement: Statement) {
        let only_looks = statement.is_match();
        match &mut statement {
            Statement::Match { .. } => {
                self.matched(statement);
                return;
            }
            Statement::Vmap(term) => self.term(term),
            Statement::SetHeader { what, value } => self.header_set(what, value),
            Statement::SetMeta { value, .. } => self.term(value),
            Statement::SetCt { value, what } => {
                self.term(value);
                if matches!(what.node, Node::Load(Source::Ct { key: 18, .. })) {
                    *value = flags_listed(value.clone());
                }
            }
            Statement::Nat(Translation { address, ports, .. }) => {
                self.each(address);
                if let Some(ports) = ports {
                    self.forget();
                    self.term(ports);
                }
            }
            Statement::Tproxy { address, port, .. } => {
                self.each(address);
                if let Some(port) = port {
                    self.forget();
                    self.term(port);
                }
            }
            Statement::Dup { to, device } => self.each(to.iter_mut().chain(device)),
            Statement::Fwd { device, address, .. } => {
                self.term(device);
                self.each(address);
            }
            Statement::Update { key, data, .. } => {
                self.key(key);
                self.each(data);
            }
            Statement::Meter { key, .. } => self.key(key),
            Statement::Object { which: Named::By(map), .. } => self.term(map),
            Statement::Queue { to, .. } if !matches!(to.node, Node::Value(_) | Node::Range(..)) => self.term(to),
            Statement::Reject { kind, family, verbose, .. } => {
                let (said, long) = self.rejected(*kind);
                (*family, *verbose) = (said, long);
            }
            _ => {}
        }
        self.done.push(Some(statement));
        self.before = Some(self.done.len() - 1);
        if !only_looks {
            // what was asked before a statement that does something is not implied by what is asked after it
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.told = [None; LAYERS];
        self.told_icmp = None;
        self.before = None;
    }

    /// Drops the statement that has told a layer's protocol.
    fn drop_told(&mut self, layer: usize) {
        let layer = match self.told.get(layer).copied().flatten() {
            None if layer == Layer::Transport as usize => Layer::Inside as usize,
            _ => layer,
        };
        if let Some(index) = self.told.get_mut(layer).and_then(Option::take) {
            if let Some(slot) = self.done.get_mut(index) {
                *slot = None;
            }
            if self.before == Some(index) {
                self.before = None;
            }
        }
    }

    /// The statement that has told a layer's protocol.
    fn teller(&self, layer: usize) -> Option<(&Term, &Term, Relation)> {
        let index = self.told.get(layer).copied().flatten().or_else(|| {
            let inside = self.told[Layer::Inside as usize];
            inside.filter(|_| layer == Layer::Transport as usize)
        })?;
        match self.done.get(index)? {
            Some(Statement::Match { relation, left, right }) => Some((left, right, *relation)),
            _ => None,
        }
    }

    fn push_match(&mut self, relation: Relation, left: Term, right: Term) -> usize {
        self.done.push(Some(Statement::Match { relation, left, right }));
        self.done.len() - 1
    }

    fn matched(&mut self, statement: Statement) {
        let Statement::Match { relation, mut left, mut right } = statement else { return };
        if matches!(left.node, Node::Payload(_)) {
            self.payload_matched(relation, left, right);
            return;
        }
        self.term(&mut left);
        if let (Node::Concat(terms), Node::Concat(values)) = (&left.node, &mut right.node) {
            for (term, value) in terms.iter().zip(values) {
                value.means(term.kind, term.order);
                self.term(value);
            }
        } else {
            right.means(left.kind, left.order);
            self.term(&mut right);
        }
        match &left.node {
            Node::Load(Source::Meta(_) | Source::Ct { .. }) => {
                let index = self.push_match(relation, left, right);
                self.learn(index);
                self.merge(index);
            }
            Node::Binary(..) => self.bits_matched(relation, left, right),
            _ => {
                let index = self.push_match(relation, left, right);
                self.merge(index);
            }
        }
    }

    /// What a comparison with something beside the packet's bytes says of its protocols.
    fn learn(&mut self, index: usize) {
        let Some(Some(Statement::Match { relation: Relation::Equal, left, right })) = self.done.get(index) else {
            return;
        };
        if matches!(right.node, Node::Range(..) | Node::Set(..)) {
            return;
        }
        let (left, right, base) = (left.clone(), right.clone(), left.base());
        if let Some(number) = right.number().filter(|_| left.tells_protocol()) {
            self.meta_tells(&left, number);
        }
        if base >= Layer::Transport as usize {
            return;
        }
        if self.told.get(base).copied().flatten().is_some() && self.implied_by_meta(base, &left, &right) {
            self.drop_told(base);
        }
        if left.tells_protocol() {
            self.told[base + 1] = Some(index);
        }
    }

    fn meta_tells(&mut self, left: &Term, number: u128) {
        let family = self.family;
        match &left.node {
            Node::Load(Source::Meta(8)) if family != Family::Bridge => {
                // ARPHRD_ETHER
                let protocol = if number == 1 { Protocol::Ether } else { Protocol::Unknown };
                self.protocols[Layer::Link as usize] = Some(protocol);
            }
            Node::Load(Source::Meta(15)) => {
                let protocol = match family {
                    Family::Inet => Protocol::Inet.above(number),
                    Family::Ip if number == u128::from(NFPROTO_IPV4) => Some(Protocol::Ip),
                    Family::Ip6 if number == u128::from(NFPROTO_IPV6) => Some(Protocol::Ip6),
                    _ => None,
                };
                self.protocols[Layer::Network as usize] = Some(protocol.unwrap_or(Protocol::Unknown));
            }
            Node::Load(Source::Meta(16)) => {
                let protocol = Protocol::transport(number).unwrap_or(Protocol::Unknown);
                self.protocols[Layer::Transport as usize] = Some(protocol);
            }
            Node::Load(Source::Meta(1)) if matches!(family, Family::Bridge | Family::Netdev) => {
                let protocol = Protocol::Ether.above(number).unwrap_or(Protocol::Unknown);
                self.protocols[Layer::Network as usize] = Some(protocol);
            }
            Node::Load(Source::Ct { .. }) => {
                let base = left.base();
                let above = self.protocols.get(base).copied().flatten().and_then(|protocol| protocol.above(number));
                if let Some(above) = above {
                    self.protocols[base + 1] = Some(above);
                }
            }
            _ => {}
        }
    }

    /// Whether a comparison of `meta` or `ct` implies what was asked of the layer below. It does not where the family has
    /// several protocols on the network layer, but for ICMP, which only one of them has.
    fn implied_by_meta(&self, base: usize, left: &Term, right: &Term) -> bool {
        let Some((dependency, value, _)) = self.teller(base).filter(|_| base == Layer::Network as usize) else {
            return true;
        };
        let number = value.number().unwrap_or(0);
        let network = match &dependency.node {
            Node::Load(Source::Meta(15)) => number,
            Node::Load(Source::Meta(1)) => ether_family(number),
            Node::Payload(place) if place.layer == Layer::Link && dependency.kind == Kind::EtherType => {
                ether_family(number)
            }
            _ => return true,
        };
        match self.family {
            Family::Inet | Family::Netdev | Family::Bridge => {}
            Family::Ip => return network == u128::from(NFPROTO_IPV4),
            Family::Ip6 => return network == u128::from(NFPROTO_IPV6),
            _ => return true,
        }
        if !matches!(left.node, Node::Load(Source::Meta(16))) {
            return true;
        }
        match right.number() {
            Some(1) => network != u128::from(NFPROTO_IPV6),
            Some(58) => network != u128::from(NFPROTO_IPV4),
            _ => false,
        }
    }

    fn each<'t>(&mut self, terms: impl IntoIterator<Item = &'t mut Term>) {
        for term in terms {
            self.term(term);
        }
    }

    /// Names and types what stands in a term.
    fn term(&mut self, term: &mut Term) {
        match &mut term.node {
            Node::Map(of, ..) => {
                if matches!(&of.node, Node::Binary(Operator::And, left, _) if matches!(left.node, Node::Payload(_))) {
                    self.mapped_bits(term);
                } else {
                    self.term(of);
                }
            }
            Node::Concat(terms) => {
                let outer = std::mem::replace(&mut self.in_key, true);
                self.each(terms);
                self.in_key = outer;
            }
            Node::Swap(of) => {
                self.term(of);
                (term.kind, term.order) = (of.kind, of.order.swapped());
            }
            Node::Binary(..) => self.binary(term),
            Node::Payload(_) => {
                self.complete(term);
                self.implies(term);
            }
            Node::Option(place) => {
                let layer = match place.op {
                    option::TCP => Some(Layer::Transport),
                    option::IPV6 | option::IPV4 => Some(Layer::Network),
                    _ => None,
                };
                if let Some(layer) = layer {
                    self.drop_told(layer as usize);
                }
            }
            Node::Value(value) => {
                if term.kind.is_flags() {
                    *term = flags(*value, term.kind, term.order);
                }
            }
            Node::Range(from, to) => {
                self.term(from);
                self.term(to);
            }
            Node::Prefix(of, _) => self.term(of),
            Node::Hash { of, .. } => self.term(of),
            Node::Load(Source::Ct { key, direction: Some(_) }) => self.ct_address(*key, term),
            Node::List(_) | Node::Set(..) | Node::Load(_) | Node::Inner(..) | Node::Vni => {}
        }
    }

    /// A key of a set.
    fn key(&mut self, term: &mut Term) {
        let outer = std::mem::replace(&mut self.in_key, true);
        self.term(term);
        self.in_key = outer;
    }

    /// Addresses of a connection, in the words of old kernels: the network layer tells their kind.
    fn ct_address(&self, key: u32, term: &mut Term) {
        if matches!(key, 8 | 9) {
            (term.kind, term.bits) = match self.protocol(Layer::Network) {
                Some(Protocol::Ip) => (Kind::Ipv4, 32),
                Some(Protocol::Ip6) => (Kind::Ipv6, 128),
                _ => (term.kind, term.bits),
            };
        }
    }

    /// Two comparisons with the ends of a range become one with the range.
    fn merge(&mut self, index: usize) {
        let before = self.before.replace(index);
        let Some(before) = before.filter(|before| *before < index) else { return };
        let (Some(Some(first)), Some(Some(second))) = (self.done.get(before), self.done.get(index)) else { return };
        let (
            Statement::Match { relation: low, left: a, right: from },
            Statement::Match { relation: high, left: b, right: to },
        ) = (first, second)
        else {
            return;
        };
        let relation = match (low, high) {
            (Relation::GreaterOrEqual, Relation::LessOrEqual) => Relation::Equal,
            (Relation::Less, Relation::Greater) => Relation::NotEqual,
            _ => return,
        };
        if a != b || !matches!((&from.node, &to.node), (Node::Value(_), Node::Value(_))) {
            return;
        }
        let merged =
            Statement::Match { relation, left: b.clone(), right: super::lift::range(from.clone(), to.clone()) };
        if let Some(slot) = self.done.get_mut(before) {
            *slot = None;
        }
        if let Some(slot) = self.done.get_mut(index) {
            *slot = Some(merged);
        }
    }

    /// The family that a refusal is in the words of, and whether they are all said.
    fn rejected(&mut self, kind: u32) -> (u32, bool) {
        const TCP_RESET: u32 = 1;
        const ICMPX: u32 = 2;
        match self.family {
            Family::Ip | Family::Ip6 => {
                if kind == TCP_RESET {
                    self.drop_told(Layer::Transport as usize);
                }
                (if self.family == Family::Ip { NFPROTO_IPV4 } else { NFPROTO_IPV6 }, false)
            }
            Family::Inet | Family::Bridge | Family::Netdev if kind != ICMPX => {
                let family = match self.protocol(Layer::Network) {
                    Some(Protocol::Ip) => NFPROTO_IPV4,
                    Some(Protocol::Ip6) => NFPROTO_IPV6,
                    _ => 0,
                };
                self.drop_told(Layer::Network as usize);
                (family, true)
            }
            _ => (0, false),
        }
    }
}

/// The family of an EtherType.
fn ether_family(number: u128) -> u128 {
    match number {
        0x0800 => NFPROTO_IPV4.into(),
        0x86dd => NFPROTO_IPV6.into(),
        _ => 0,
    }
}
