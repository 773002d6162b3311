//! Which statements do a rule's instructions make?
//!
//! The registers are filled as the kernel would fill them, with terms in place of numbers; each instruction that compares,
//! counts, decides or changes something takes the terms that it needs and becomes a statement. What nobody takes is gone.

use super::action::Translation;
use super::inner::{inner, is_vni};
use super::kind::{Kind, Order, Value, padded};
use super::statement::{Named, Relation, Statement};
use super::term::{Node, Operator, Place, Term};
use super::{Scene, load, option};
use crate::source::nftables::instruction::{Combined, Instruction, MAX_INSTRUCTIONS, Nat, REGISTERS, Register, Source};
use crate::source::nftables::text::header::{Field, Layer, Protocol};
use crate::source::nftables::{Family, MapsTo, NFPROTO_IPV4, NFPROTO_IPV6, Set};

/// An instruction takes a register that nobody has filled, or more than a register holds.
struct Unfilled;

impl From<Unfilled> for Statement {
    fn from(_: Unfilled) -> Self {
        Self::Other("[unfilled register]".to_owned())
    }
}

type Taken<T> = Result<T, Unfilled>;

/// A constant of so many bytes.
fn constant(bytes: &[u8]) -> Taken<Value> {
    Value::new(bytes).ok_or(Unfilled)
}

/// `NF_NAT_RANGE_NETMAP`
const NETMAP: u32 = 1 << 6;

/// The machine.
pub(super) struct Lift<'a> {
    scene: &'a Scene<'a>,
    registers: [Option<Term>; REGISTERS],
}

/// The statements of a rule, unsettled.
pub(super) fn statements(instructions: &[Instruction], scene: &Scene<'_>) -> Vec<Statement> {
    let mut lift = Lift { scene, registers: [const { None }; REGISTERS] };
    instructions.iter().take(MAX_INSTRUCTIONS).filter_map(|instruction| lift.step(instruction)).collect()
}

impl Lift<'_> {
    fn get(&self, of: Register) -> Taken<Term> {
        self.registers.get(usize::from(of.0)).cloned().flatten().ok_or(Unfilled)
    }

    /// The terms that `bits` from a register on are made of.
    fn gather(&self, of: Register, bits: u32) -> Taken<Vec<Term>> {
        let (mut place, mut left, mut terms) = (u32::from(of.0), padded(bits), Vec::new());
        while left > 0 {
            let term = self.registers.get(place as usize).cloned().flatten().ok_or(Unfilled)?;
            let length = padded(term.bits).max(4);
            (place, left) = (place + length / 4, left.saturating_sub(length));
            terms.push(term);
        }
        Ok(terms)
    }

    /// What is in a register, or in several if the set's keys are longer.
    fn key(&self, of: Register, set: Option<&Set>) -> Taken<Term> {
        let term = self.get(of)?;
        let bits = set.map_or(0, |set| set.key_length * 8);
        if padded(term.bits) >= padded(bits) {
            return Ok(term);
        }
        let terms = self.gather(of, bits)?;
        Ok(Term::new(Node::Concat(terms), Kind::Invalid, Order::Network, bits))
    }

    fn step(&mut self, instruction: &Instruction) -> Option<Statement> {
        let is_unknown = match instruction {
            Instruction::Unknown(_) => true,
            Instruction::Inner { .. } => inner(instruction).is_none(),
            _ => false,
        };
        if is_unknown {
            // nobody knows what it leaves in which of them
            self.registers = [const { None }; REGISTERS];
        }
        let Some(to) = target(instruction) else {
            return Some(self.act(instruction).unwrap_or_else(Statement::from));
        };
        let loaded = self.load(instruction);
        // what was there before is gone either way
        if let Some(slot) = self.registers.get_mut(usize::from(to.0)) {
            *slot = loaded.as_ref().ok().cloned();
        }
        loaded.err().map(Statement::from)
    }

    /// What an instruction fills a register with.
    fn load(&self, instruction: &Instruction) -> Taken<Term> {
        Ok(match instruction {
            // longer constants are only names
            Instruction::Immediate { data, .. } => Term::value(constant(data.get(..16).unwrap_or(data))?),
            Instruction::Load { what, .. } => self.loaded(what)?,
            Instruction::Bitwise { of, mask, xor, .. } => match self.get(*of)? {
                Term { node: Node::Inner(tunnel, term), .. } => {
                    Term::inside(tunnel, bitwise(*term, constant(mask)?, constant(xor)?))
                }
                term => bitwise(term, constant(mask)?, constant(xor)?),
            },
            Instruction::Inner { .. } => {
                let (tunnel, _, what) = inner(instruction).ok_or(Unfilled)?;
                let vni = || Term::new(Node::Vni, Kind::Integer, Order::Network, 24);
                Term::inside(tunnel, if is_vni(what) { vni() } else { self.loaded(what)? })
            }
            Instruction::Combine { of, with, by, .. } => {
                let operator = match by {
                    Combined::And => Operator::And,
                    Combined::Or => Operator::Or,
                    Combined::Xor => Operator::Xor,
                };
                Term::binary(operator, self.get(*of)?, self.get(*with)?)
            }
            Instruction::Shift { of, left, by, .. } => {
                let operator = if *left { Operator::ShiftLeft } else { Operator::ShiftRight };
                let by = constant(by)?;
                let by = Term::new(Node::Value(by), Kind::Integer, Order::Host, by.bits);
                Term::binary(operator, self.get(*of)?, by)
            }
            Instruction::Byteorder { of, .. } => {
                let term = self.get(*of)?;
                let (kind, order, bits) = (term.kind, term.order.swapped(), term.bits);
                Term::new(Node::Swap(Box::new(term)), kind, order, bits)
            }
            Instruction::Lookup { set, of, .. } => self.mapped(self.key(*of, self.scene.set(set))?, set),
            _ => return Err(Unfilled),
        })
    }

    /// Instructions that compare or do something.
    fn act(&self, instruction: &Instruction) -> Taken<Statement> {
        Ok(match instruction {
            Instruction::Lookup { set, of, to, inverted } => {
                let key = self.key(*of, self.scene.set(set))?;
                let relation = if *inverted { Relation::NotEqual } else { Relation::Equal };
                match to {
                    None => Statement::Match { relation, left: key, right: set_term(set) },
                    Some(_) => Statement::Vmap(self.mapped(key, set)),
                }
            }
            Instruction::Cmp { of, op, data } => self.compared(*of, *op, data)?,
            Instruction::Range { of, op, from, to } => {
                let right = range(Term::value(constant(from)?), Term::value(constant(to)?));
                let relation = if *op == 0 { Relation::Equal } else { Relation::NotEqual };
                Statement::Match { relation, left: self.get(*of)?, right }
            }
            Instruction::Dynset { set, op, key, data, timeout, with } => {
                self.update(set, *op, (*key, *data), *timeout, with)?
            }
            Instruction::Verdict(verdict) => Statement::Verdict(verdict.clone()),
            Instruction::Queue { number, total, flags, from } => self.queue(*number, *total, *flags, *from)?,
            Instruction::Nat(nat) => self.nat(nat)?,
            Instruction::Tproxy { family, address, port } => Statement::Tproxy {
                family: *family,
                address: self.typed(*address, address_kind(*family), Order::Network)?,
                port: self.typed(*port, Kind::Service, Order::Network)?,
            },
            Instruction::Dup { address, device } => self.dup(*address, *device)?,
            Instruction::Fwd { device, address, family } => Statement::Fwd {
                device: self.means(*device, Kind::Interface, Order::Host)?,
                address: self.typed(*address, address_kind(family.unwrap_or(0)), Order::Network)?,
                family: family.unwrap_or(0),
            },
            Instruction::SetPayload { what, from } => {
                let what = self.loaded(&Source::Payload(*what))?;
                Statement::SetHeader { what, value: self.get(*from)? }
            }
            Instruction::SetOption { what, from } => {
                let what = self.loaded(&Source::Option(*what))?;
                let value = self.means(*from, what.kind, what.order)?;
                Statement::SetHeader { what, value }
            }
            Instruction::SetMeta { key, from } => {
                let what = self.loaded(&Source::Meta(*key))?;
                let value = self.means(*from, what.kind, what.order)?;
                Statement::SetMeta { what, value }
            }
            Instruction::SetCt { key, direction, from } => {
                let what = self.loaded(&Source::Ct { key: *key, direction: *direction })?;
                let value = self.means(*from, what.kind, what.order)?;
                Statement::SetCt { what, value }
            }
            Instruction::Object { kind, name, by } => self.object(*kind, name.as_deref(), by.as_ref())?,
            other => plain(other)?,
        })
    }

    fn queue(&self, number: u16, total: u16, flags: u16, from: Option<Register>) -> Taken<Statement> {
        let constant = |number: u16| Term::constant(number.into(), Kind::Integer, Order::Host, 16);
        let to = match from {
            Some(from) => self.get(from)?,
            None if total > 1 => range(constant(number), constant(number.saturating_add(total - 1))),
            None => constant(number),
        };
        Ok(Statement::Queue { flags, to })
    }

    fn dup(&self, address: Option<Register>, device: Option<Register>) -> Taken<Statement> {
        let kind = if self.scene.family == Family::Ip6 { Kind::Ipv6 } else { Kind::Ipv4 };
        let address = self.typed(address, kind, Order::Network)?;
        let device = self.typed(device, Kind::Interface, Order::Host)?;
        Ok(match address {
            None => Statement::Dup { to: device, device: None },
            to => Statement::Dup { to, device },
        })
    }

    /// What a register will hold.
    fn loaded(&self, source: &Source) -> Taken<Term> {
        Ok(match source {
            Source::Payload(payload) => {
                let layer = Layer::of(payload.base).ok_or(Unfilled)?;
                let (offset, bits) = (payload.offset * 8, payload.length * 8);
                // ports stand at the same place in all protocols that have them
                let field = Protocol::Ports
                    .fields()
                    .iter()
                    .find(|field| layer == Layer::Transport && (field.offset, field.bits) == (offset, bits));
                let field = field.map(|field| (Protocol::Ports, *field));
                let kind = field.map_or(Kind::Raw, |(_, field): (_, Field)| field.kind);
                Term::new(Node::Payload(Place { layer, offset, field }), kind, Order::Network, bits)
            }
            Source::Option(what) => {
                let place = option::Place::new(what);
                Term::new(Node::Option(place), place.kind(), Order::Network, place.bits)
            }
            Source::Hash { of: Some((of, length)), modulus, seed, offset } => {
                let bits = length.checked_mul(8).ok_or(Unfilled)?;
                let term = self.get(*of)?;
                let of = if term.bits >= bits {
                    term
                } else {
                    Term::new(Node::Concat(self.gather(*of, bits)?), Kind::Invalid, Order::Network, bits)
                };
                let node = Node::Hash { of: Box::new(of), modulus: *modulus, seed: *seed, offset: *offset };
                Term::new(node, Kind::Integer, Order::Host, 32)
            }
            source => {
                let (kind, order, bits) = load::shape(source);
                Term::new(Node::Load(source.clone()), kind, order, bits)
            }
        })
    }

    /// What a map has for a key.
    fn mapped(&self, key: Term, name: &[u8]) -> Term {
        let bits = match self.scene.set(name).map(|set| &set.data) {
            Some(MapsTo::Values { length, .. }) => length * 8,
            _ => 0,
        };
        Term::new(Node::Map(Box::new(key), name.to_vec(), 0), Kind::Invalid, Order::Network, bits)
    }

    /// A register's content with a meaning.
    fn means(&self, of: Register, kind: Kind, order: Order) -> Taken<Term> {
        let mut term = self.get(of)?;
        term.means(kind, order);
        Ok(term)
    }

    /// The same where there may be no register.
    fn typed(&self, of: Option<Register>, kind: Kind, order: Order) -> Taken<Option<Term>> {
        of.map(|of| self.means(of, kind, order)).transpose()
    }

    fn compared(&self, of: Register, op: u32, data: &[u8]) -> Taken<Statement> {
        let (left, relation) = (self.get(of)?, Relation::of(op).ok_or(Unfilled)?);
        let bits = u32::try_from(data.len()).map_err(|_| Unfilled)? * 8;
        if left.bits > 0 && left.bits < bits && bits > padded(left.bits) * 8 {
            let (terms, mut place, mut right) = (self.gather(of, bits)?, 0, Vec::new());
            for term in &terms {
                let length = term.bits.div_ceil(8) as usize;
                right.push(Term::value(constant(data.get(place..place + length).unwrap_or(&[]))?));
                place += padded(term.bits) as usize;
            }
            let concat = |terms| Term::new(Node::Concat(terms), Kind::Invalid, Order::Network, bits);
            return Ok(Statement::Match { relation, left: concat(terms), right: concat(right) });
        }
        let mut value = constant(data)?;
        let right = if left.bits > bits && !left.kind.is_text() {
            // the first bytes are enough to compare a prefix
            value = Value { raw: value.raw << (left.bits - bits).min(127), bits: left.bits };
            Term::new(Node::Prefix(Box::new(Term::value(value)), bits), Kind::Invalid, Order::Network, left.bits)
        } else {
            Term::value(value)
        };
        Ok(Statement::Match { relation, left, right })
    }

    fn update(
        &self,
        name: &[u8],
        op: u32,
        (key, data): (Register, Option<Register>),
        timeout: u64,
        with: &[Instruction],
    ) -> Taken<Statement> {
        let set = self.scene.set(name);
        let mut key = self.key(key, set)?;
        if let (Node::Concat(terms), Some(set)) = (&mut key.node, set) {
            for (term, part) in terms.iter_mut().zip(&set.key) {
                term.means(part.kind, part.order);
            }
        }
        let mut with = with.iter().map(|instruction| self.act(instruction)).collect::<Taken<Vec<_>>>()?;
        let data = match data {
            Some(of) => {
                let mut term = self.get(of)?;
                if let Some(MapsTo::Values { parts, length, .. }) = set.map(|set| &set.data) {
                    if term.bits < length * 8 {
                        term = Term::new(
                            Node::Concat(self.gather(of, length * 8)?),
                            Kind::Invalid,
                            Order::Network,
                            length * 8,
                        );
                    }
                    if let [part] = parts.as_slice() {
                        term.means(part.kind, part.order);
                    }
                }
                Some(term)
            }
            None => None,
        };
        let set_name = name.to_vec();
        if data.is_none() && set.is_some_and(Set::is_anonymous) && !with.is_empty() {
            let (with, size) = (Box::new(with.swap_remove(0)), set.map_or(0, |set| set.size));
            return Ok(Statement::Meter { set: set_name, size, key, with });
        }
        Ok(Statement::Update { op, set: set_name, key, timeout, with, data })
    }

    fn object(&self, kind: u32, name: Option<&[u8]>, by: Option<&(Register, Vec<u8>)>) -> Taken<Statement> {
        if let Some(name) = name {
            return Ok(Statement::Object { kind, which: Named::Object(name.to_vec()) });
        }
        let (of, map) = by.ok_or(Unfilled)?;
        let set = self.scene.set(map);
        let kind = match set.map(|set| &set.data) {
            Some(MapsTo::Objects(kind)) => *kind,
            _ => kind,
        };
        Ok(Statement::Object { kind, which: Named::By(self.mapped(self.key(*of, set)?, map)) })
    }

    fn nat(&self, nat: &Nat) -> Taken<Statement> {
        let prefix = nat.flags & NETMAP != 0;
        let kind = address_kind(nat.family);
        let family = if self.scene.family == Family::Inet { nat.family } else { 0 };
        let statement = |family, address, ports| {
            let (kind, flags) = (nat.kind, nat.flags);
            Statement::Nat(Translation { kind, family, prefix, address, ports, flags })
        };
        let first = self.typed(nat.addresses[0], kind, Order::Network)?;
        let map = match first.as_ref().map(|term| &term.node) {
            Some(Node::Map(_, name, _)) => self.scene.set(name),
            _ => None,
        };
        let length = if nat.family == NFPROTO_IPV6 { 16 } else { 4 };
        if let Some(MapsTo::Values { length: mapped, .. }) = map.map(|set| &set.data)
            && *mapped > length
        {
            // the map tells ranges, or ports as well
            return Ok(statement(nat.family, first, None));
        }
        let address = self.pair(nat.addresses, kind)?.map(super::settle::as_prefix);
        Ok(statement(family, address, self.pair(nat.ports, Kind::Service)?))
    }

    /// One value, or a range of two.
    fn pair(&self, [from, to]: [Option<Register>; 2], kind: Kind) -> Taken<Option<Term>> {
        let first = self.typed(from, kind, Order::Network)?;
        let last = self.typed(to.filter(|_| to != from), kind, Order::Network)?;
        Ok(match (first, last) {
            (Some(first), Some(last)) if matches!(first.node, Node::Map(..)) && last == first => Some(first),
            (Some(first), Some(last)) => {
                let mut range = range(first, last);
                range.means(kind, Order::Network);
                Some(range)
            }
            (first, last) => first.or(last),
        })
    }
}

/// The register that an instruction does nothing else than fill.
fn target(instruction: &Instruction) -> Option<Register> {
    match instruction {
        Instruction::Immediate { to, .. }
        | Instruction::Load { to, .. }
        | Instruction::Bitwise { to, .. }
        | Instruction::Combine { to, .. }
        | Instruction::Shift { to, .. }
        | Instruction::Byteorder { to, .. }
        | Instruction::Lookup { to: Some(Some(to)), .. } => Some(*to),
        Instruction::Inner { .. } => inner(instruction).map(|(_, to, _)| to),
        _ => None,
    }
}

/// Instructions that take no register.
fn plain(instruction: &Instruction) -> Taken<Statement> {
    Ok(match instruction {
        Instruction::Counter { packets, bytes } => Statement::Counter { packets: *packets, bytes: *bytes },
        Instruction::Limit { rate, unit, burst, bytes, over } => {
            Statement::Limit { rate: *rate, unit: *unit, burst: *burst, bytes: *bytes, over: *over }
        }
        Instruction::Quota { bytes, used, over } => Statement::Quota { bytes: *bytes, used: *used, over: *over },
        Instruction::Connlimit { count, over } => Statement::Connlimit { count: *count, over: *over },
        Instruction::Last { ago } => Statement::Last { ago: *ago },
        Instruction::Log(log) => Statement::Log(log.clone()),
        Instruction::Reject { kind, code } => Statement::Reject { kind: *kind, code: *code, family: 0, verbose: false },
        Instruction::Strip(option) => {
            let mut place = option::Place::new(option);
            place.present = true;
            Statement::Strip(Term::new(Node::Option(place), Kind::Boolean, Order::Network, place.bits))
        }
        Instruction::Notrack => Statement::Notrack,
        Instruction::Offload { flowtable } => Statement::Offload(flowtable.clone()),
        Instruction::Synproxy { mss, wscale, flags } => {
            Statement::Synproxy { mss: *mss, wscale: *wscale, flags: *flags }
        }
        Instruction::Compat(extension) => Statement::Compat(extension.clone()),
        Instruction::Inner { kind, .. } => Statement::Other(format!("[inner header of tunnel type {kind}]")),
        Instruction::Unknown(name) => {
            Statement::Other(format!("[unknown expression {}]", String::from_utf8_lossy(name)))
        }
        // the others load and compare
        _ => return Err(Unfilled),
    })
}

fn set_term(name: &[u8]) -> Term {
    Term::new(Node::Set(name.to_vec(), 0), Kind::Invalid, Order::Network, 0)
}

pub(super) fn range(from: Term, to: Term) -> Term {
    let (kind, order, bits) = (from.kind, from.order, from.bits);
    Term::new(Node::Range(Box::new(from), Box::new(to)), kind, order, bits)
}

fn address_kind(family: u32) -> Kind {
    match family {
        NFPROTO_IPV4 => Kind::Ipv4,
        _ => Kind::Ipv6,
    }
}

/// `(term & mask) ^ xor`, said with what a person would have written: and, or, xor.
fn bitwise(term: Term, mask: Value, xor: Value) -> Term {
    let bits = mask.bits;
    let (mut and, mut change, mut or) = (mask.raw, xor.raw, 0);
    if and != Value::ones(bits) || change != 0 {
        or = change & !and;
        change &= and;
        and |= or;
    }
    let constant = |raw| Term::value(Value { raw, bits });
    let mut result = term;
    if result.bits != bits || and != Value::ones(bits) {
        result = Term::binary(Operator::And, result, constant(and));
    }
    if change != 0 {
        result = Term::binary(Operator::Xor, result, constant(change));
    }
    if or != 0 {
        result = Term::binary(Operator::Or, result, constant(or));
    }
    result
}
