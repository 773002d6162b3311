//! What do masks and flags mean?

use super::Context;
use crate::source::nftables::text::kind::{Kind, Order, Value};
use crate::source::nftables::text::statement::{Relation, Statement};
use crate::source::nftables::text::term::{Node, Operator, Term};

impl Context<'_> {
    /// A comparison with a combination of bits.
    pub(super) fn bits_matched(&mut self, relation: Relation, left: Term, right: Term) {
        let Node::Binary(operator, of, by) = &left.node else { return };
        let exact = matches!(relation, Relation::Equal | Relation::NotEqual);
        if *operator == Operator::And && exact && right.kind.is_flags() {
            let statement = compare_flags(relation, of, by, &right);
            self.done.push(Some(statement.unwrap_or(Statement::Match { relation, left, right })));
            self.before = Some(self.done.len() - 1);
            return;
        }
        if let (Operator::And, Node::Value(mask)) = (operator, &by.node) {
            let mask = *mask;
            let number = mask.number(by.order);
            if of.kind.has_prefix()
                && matches!(right.node, Node::Value(_))
                && let Some(length) = prefix_length(number, by.bits)
            {
                let bits = right.bits;
                let (kind, order) = (right.kind, right.order);
                let right = Term::new(Node::Prefix(Box::new(right), length), kind, order, bits);
                let index = self.push_match(relation, (**of).clone(), right);
                self.merge(index);
                return;
            }
            if let Some((field, right)) = self.trimmed(of, mask, &right) {
                if matches!(field.node, Node::Payload(_)) {
                    self.payload_matched(relation, field, right);
                } else {
                    let index = self.push_match(relation, field, right);
                    self.merge(index);
                }
                return;
            }
        }
        if let (Operator::ShiftRight, Node::Binary(Operator::And, inner, mask)) = (operator, &of.node)
            && let (Node::Value(mask), Node::Value(shift)) = (&mask.node, &by.node)
        {
            let mut field = (**inner).clone();
            if self.trim(&mut field, *mask) == u32::try_from(shift.number(Order::Host)).ok() {
                self.complete(&mut field);
                self.implies(&field);
                let index = self.push_match(relation, field, right);
                self.merge(index);
                return;
            }
        }
        let index = self.push_match(relation, left, right);
        self.merge(index);
    }

    /// A field that a mask leaves, and what it is compared with, without the mask.
    pub(super) fn trimmed(&self, of: &Term, mask: Value, right: &Term) -> Option<(Term, Term)> {
        let mut field = of.clone();
        let shift = match &mut field.node {
            Node::Payload(_) => self.trim(&mut field, mask)?,
            Node::Option(place) => {
                let (low, high) = (mask.raw.trailing_zeros(), run_end(mask.raw));
                place.offset += mask.bits.next_multiple_of(8).checked_sub(high)?;
                place.bits = high.checked_sub(low)?;
                place.field()?;
                (field.kind, field.bits) = (place.kind(), place.bits);
                low
            }
            _ => return None,
        };
        let mut right = right.clone();
        shifted(&mut right, shift, field.bits);
        right.means(field.kind, field.order);
        Some((field, right))
    }

    /// A combination of bits. In a key, a mask belongs to the field that it leaves.
    pub(super) fn binary(&mut self, term: &mut Term) {
        let Node::Binary(operator, left, right) = &mut term.node else { return };
        self.term(left);
        match operator {
            Operator::ShiftLeft | Operator::ShiftRight => right.means(Kind::Integer, Order::Host),
            _ => right.means(left.kind, left.order),
        }
        if let (Operator::And, true, Node::Payload(_), Node::Value(mask)) =
            (operator, self.in_key, &left.node, &right.node)
        {
            let (mut field, mask) = ((**left).clone(), *mask);
            if self.trim(&mut field, mask).is_some() {
                self.complete(&mut field);
                self.implies(&field);
                *term = field;
                return;
            }
        }
        self.term(right);
        (term.kind, term.order) = (left.kind, left.order);
    }

    /// A map by a field that is no whole number of bytes.
    pub(super) fn mapped_bits(&mut self, term: &mut Term) {
        let Node::Map(of, _, shift) = &mut term.node else { return };
        let Node::Binary(_, left, right) = &mut of.node else { return };
        let mut field = (**left).clone();
        if let Node::Value(mask) = right.node
            && let Some(by) = self.trim(&mut field, mask)
        {
            self.complete(&mut field);
            self.implies(&field);
            (**of, *shift) = (field, by);
        } else {
            self.term(of);
        }
    }
}

/// Where the lowest run of ones ends.
pub(super) fn run_end(mask: u128) -> u32 {
    let low = mask.trailing_zeros();
    if low >= 128 { 0 } else { low + (mask >> low).trailing_ones() }
}

/// The length of a prefix, if a mask of so many bits is one.
pub(super) fn prefix_length(mask: u128, bits: u32) -> Option<u32> {
    let low = mask.trailing_zeros().min(bits);
    (mask == Value::ones(bits) & !Value::ones(low)).then(|| bits - low)
}

/// Shifts a constant, and the keys of a set, to the right.
pub(super) fn shifted(term: &mut Term, by: u32, bits: u32) {
    match &mut term.node {
        Node::Value(value) => *value = Value { raw: value.raw >> by.min(127), bits },
        Node::Range(from, to) => {
            shifted(from, by, bits);
            shifted(to, by, bits);
        }
        Node::Set(_, shift) => *shift = by,
        _ => {}
    }
    term.bits = bits;
}

/// Several flags are written as a sum.
pub(in crate::source::nftables::text) fn flags(value: Value, kind: Kind, order: Order) -> Term {
    let number = value.number(order);
    let each = (0..value.bits).filter(|bit| number >> bit & 1 != 0);
    let terms = each.map(|bit| Term::constant(1 << bit, kind, order, value.bits));
    let whole = Term::new(Node::Value(value), kind, order, value.bits);
    terms.reduce(|sum, flag| Term::binary(Operator::Or, sum, flag)).unwrap_or(whole)
}

/// A sum of flags as a list of them.
pub(super) fn flags_listed(term: Term) -> Term {
    fn collect(term: Term, list: &mut Vec<Term>) {
        match term.node {
            Node::Binary(Operator::Or, left, right) => {
                collect(*left, list);
                collect(*right, list);
            }
            _ => list.push(term),
        }
    }
    if !matches!(term.node, Node::Binary(Operator::Or, ..)) {
        return term;
    }
    let (kind, order, bits) = (term.kind, term.order, term.bits);
    let mut list = Vec::new();
    collect(term, &mut list);
    Term::new(Node::List(list), kind, order, bits)
}

/// A comparison of flags: whether any of them is set, or some of them and not the others.
pub(super) fn compare_flags(relation: Relation, of: &Term, mask: &Term, right: &Term) -> Option<Statement> {
    let listed = || flags_listed(mask.clone());
    let (left, value) = (of.clone(), right.clone());
    match &right.node {
        Node::Value(zero) if zero.raw == 0 => {
            let relation = if relation == Relation::NotEqual { Relation::Any } else { Relation::None };
            Some(Statement::Match { relation, left, right: listed() })
        }
        Node::Value(value) if matches!(mask.node, Node::Value(same) if same == *value) => None,
        Node::Value(_) => Some(Statement::Flags { relation, left, value, mask: listed() }),
        Node::Binary(..) => Some(Statement::Flags { relation, left, value: flags_listed(value), mask: listed() }),
        _ => None,
    }
}

/// A range that is all addresses of a prefix.
pub(in crate::source::nftables::text) fn as_prefix(term: Term) -> Term {
    let Node::Range(from, to) = &term.node else { return term };
    let (Node::Value(low), Node::Value(high)) = (&from.node, &to.node) else { return term };
    let (low, high) = (low.number(from.order), high.number(to.order));
    let free = (low ^ high).trailing_ones().min(from.bits);
    if low ^ high != Value::ones(free) || low & Value::ones(free) != 0 || free == 0 {
        return term;
    }
    let (kind, order, bits) = (from.kind, from.order, from.bits);
    Term::new(Node::Prefix(from.clone(), bits - free), kind, order, bits)
}
