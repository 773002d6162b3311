//! How are the elements of a set written?

use std::fmt::Write as _;

use super::declaration::exactly;
use super::kind::{Kind, Order, Part, Value, duration, padded};
use super::settle::as_prefix;
use super::term::{Node, Term};
use super::{Scene, lift};
use crate::source::nftables::instruction::{Data, Instruction};
use crate::source::nftables::ranges::Ranges;
use crate::source::nftables::{Element, MapsTo, Set};

/// Writes the elements of a set in the order of their keys. Keys are to be shifted to the right by so many bits.
pub(super) fn write(out: &mut String, set: &Set, shift: u32, scene: &Scene<'_>) {
    let listed = if set.has_ends() {
        intervals(set)
    } else {
        let elements = set.elements.iter().filter(|element| !element.is_catchall());
        // of equal ones the last comes first
        let mut listed: Vec<_> = elements.rev().map(|element| (key(set, element), element)).collect();
        if set.has_ranges() {
            // ranges of several fields have no order
            listed.reverse();
        } else {
            listed.sort_by_cached_key(|(term, _)| sorted_by(term));
        }
        listed
    };
    out.push_str("{ ");
    let mut between = "";
    for (mut term, element) in listed {
        if shift > 0 {
            shifted(&mut term, shift);
        }
        out.push_str(between);
        flagged(term).write(out, scene);
        rest(out, set, element, scene);
        between = ", ";
    }
    for element in set.elements.iter().filter(|element| element.is_catchall()) {
        out.push_str(between);
        out.push('*');
        rest(out, set, element, scene);
    }
    out.push_str(" }");
}

/// An element in parts.
pub struct ElementText {
    /// Its key.
    pub key: String,
    /// What that leads to.
    pub data: Option<String>,
    /// What it counts and limits, but for packets and bytes.
    pub state: Option<String>,
}

/// Writes the parts of an element; `beyond` is the first key behind its range, where its set tells ranges by their ends.
pub(super) fn parts(set: &Set, element: &Element, beyond: Option<&[u8]>, scene: &Scene<'_>) -> ElementText {
    let mut text = ElementText { key: String::new(), data: None, state: None };
    match set.key.as_slice() {
        _ if element.is_catchall() => text.key.push('*'),
        [part] if set.has_ends() => flagged(range(*part, element, beyond)).write(&mut text.key, scene),
        _ => flagged(key(set, element)).write(&mut text.key, scene),
    }
    if set.data != MapsTo::Nothing {
        leads_to(text.data.insert(String::new()), set, element, scene);
    }
    for instruction in element.with.iter().filter(|one| !matches!(one, Instruction::Counter { .. })) {
        let state = text.state.get_or_insert_default();
        if !state.is_empty() {
            state.push(' ');
        }
        state.push_str(&scene.program(std::slice::from_ref(instruction)));
    }
    text
}

/// What stands behind a key.
fn rest(out: &mut String, set: &Set, element: &Element, scene: &Scene<'_>) {
    for instruction in &element.with {
        out.push(' ');
        out.push_str(&scene.program(std::slice::from_ref(instruction)));
    }
    let expires = element.expires.filter(|_| scene.counts);
    for (word, time) in [(" timeout ", element.timeout), (" expires ", expires)] {
        if let Some(time) = time {
            out.push_str(word);
            // beside counts as `nft` lists it, in a declaration as it was set
            let _ = if scene.counts { duration(out, time) } else { write!(out, "{}", exactly(time)) };
        }
    }
    if let Some(comment) = &element.comment {
        out.push_str(" comment \"");
        out.push_str(&String::from_utf8_lossy(comment));
        out.push('"');
    }
    if set.data != MapsTo::Nothing {
        out.push_str(" : ");
        leads_to(out, set, element, scene);
    }
}

/// What the key of a map leads to.
fn leads_to(out: &mut String, set: &Set, element: &Element, scene: &Scene<'_>) {
    match (&element.data, &element.object) {
        (Some(Data::Verdict(verdict)), _) => {
            let _ = super::statement::write_verdict(out, verdict, scene);
        }
        (Some(Data::Value(bytes)), _) => match &set.data {
            MapsTo::Values { parts, ranges, .. } => data(parts, bytes, *ranges).write(out, scene),
            _ => out.push('?'),
        },
        (None, Some(name)) => {
            out.push('"');
            out.push_str(&String::from_utf8_lossy(name));
            out.push('"');
        }
        (None, None) => out.push('?'),
    }
}

/// Flags as a sum; all other terms as they are.
fn flagged(term: Term) -> Term {
    match term.node {
        Node::Value(value) if term.kind.is_flags() => super::settle::flags(value, term.kind, term.order),
        Node::Concat(terms) => {
            let terms = terms.into_iter().map(flagged).collect();
            Term { node: Node::Concat(terms), ..Term::new(Node::List(Vec::new()), term.kind, term.order, term.bits) }
        }
        _ => term,
    }
}

/// What elements are ordered by.
fn sorted_by(term: &Term) -> Vec<u8> {
    let number = |term: &Term| match &term.node {
        Node::Value(value) => Some((*value, term.order)),
        Node::Range(from, _) | Node::Prefix(from, _) => match from.node {
            Node::Value(value) => Some((value, from.order)),
            _ => None,
        },
        _ => None,
    };
    match &term.node {
        // the least of several flags
        Node::Value(value) if term.kind.is_flags() && value.raw != 0 => {
            let number = value.number(term.order);
            (number & number.wrapping_neg()).to_be_bytes().to_vec()
        }
        // the bytes of all parts, read from their end
        Node::Concat(terms) => {
            let bytes = terms.iter().filter_map(number).flat_map(|(value, _)| value.bytes().into_vec());
            let mut bytes: Vec<u8> = bytes.collect();
            bytes.reverse();
            bytes
        }
        _ => number(term).map_or_else(Vec::new, |(value, order)| value.number(order).to_be_bytes().to_vec()),
    }
}

fn shifted(term: &mut Term, by: u32) {
    match &mut term.node {
        Node::Value(value) => value.raw >>= by.min(127),
        Node::Range(from, to) => {
            shifted(from, by);
            shifted(to, by);
        }
        _ => {}
    }
}

/// A value of one part.
fn value(part: Part, bytes: &[u8], order: Order) -> Term {
    let value = Value::new(bytes.get(..bytes.len().min(16)).unwrap_or(bytes)).unwrap_or(Value { raw: 0, bits: 0 });
    Term::new(Node::Value(value), part.kind, order, value.bits)
}

/// The order of numbers in a key: a set of ranges compares bytes, so they lie in network order.
fn key_order(set: &Set, part: Part) -> Order {
    if set.has_ranges() && !part.kind.is_text() { Order::Network } else { part.order }
}

/// The key of an element that is no range, or one of a concatenation.
fn key(set: &Set, element: &Element) -> Term {
    if let [part] = set.key.as_slice() {
        return value(*part, &element.key, key_order(set, *part));
    }
    let (mut at, mut terms) = (0, Vec::new());
    for part in &set.key {
        let length = part.bits.div_ceil(8) as usize;
        let take = |bytes: &[u8]| value(*part, bytes.get(at..at + length).unwrap_or(&[]), key_order(set, *part));
        let first = take(&element.key);
        terms.push(match &element.key_end {
            Some(end) => interval(first, take(end)),
            None => first,
        });
        at += padded(part.bits) as usize;
    }
    Term::new(Node::Concat(terms), Kind::Invalid, Order::Network, set.key_length * 8)
}

/// What a key leads to.
fn data(parts: &[Part], bytes: &[u8], ranges: bool) -> Term {
    let order = |part: &Part| part.order;
    let half: usize = parts.iter().map(|part| padded(part.bits) as usize).sum();
    let (mut at, mut terms) = (0, Vec::new());
    for part in parts {
        let length = part.bits.div_ceil(8) as usize;
        let take = |at: usize| value(*part, bytes.get(at..at + length).unwrap_or(&[]), order(part));
        terms.push(if ranges { interval(take(at), take(at + half)) } else { take(at) });
        at += padded(part.bits) as usize;
    }
    match terms.len() {
        1 => terms.swap_remove(0),
        _ => Term::new(Node::Concat(terms), Kind::Invalid, Order::Network, 0),
    }
}

/// The shortest way to say what lies between two values, both included.
fn interval(from: Term, to: Term) -> Term {
    let (Node::Value(low), Node::Value(high)) = (&from.node, &to.node) else { return from };
    let (low, high) = (*low, *high);
    if low == high {
        return from;
    }
    let free = (low.raw ^ high.raw).trailing_ones().min(from.bits);
    let whole = low.raw ^ high.raw == Value::ones(free) && low.raw & Value::ones(free) == 0;
    if from.kind.is_text() && whole && free % 8 == 0 {
        // names that begin alike: what is left has no end
        let bits = from.bits - free;
        let value = Value { raw: low.raw >> free.min(127), bits };
        return Term::new(Node::Value(value), from.kind, from.order, bits);
    }
    let prefixes = from.kind.has_prefix();
    let range = lift::range(from, to);
    if prefixes { as_prefix(range) } else { range }
}

/// The keys from an element on to the last one before `beyond`.
fn range(part: Part, element: &Element, beyond: Option<&[u8]>) -> Term {
    let order = if part.kind.is_text() { Order::Host } else { Order::Network };
    let low = Value::new(&element.key).unwrap_or(Value { raw: 0, bits: 0 });
    let beyond = beyond.and_then(Value::new);
    let last = beyond.map_or(Value::ones(low.bits), |beyond| beyond.raw.wrapping_sub(1).max(low.raw));
    let term = |raw| Term::new(Node::Value(Value { raw, bits: low.bits }), part.kind, order, low.bits);
    interval(term(low.raw), term(last))
}

/// The ranges of a set of one part: each element begins one or ends one.
fn intervals(set: &Set) -> Vec<(Term, &Element)> {
    let Some(part) = set.key.first() else { return Vec::new() };
    let mut sorted: Vec<_> = set.elements.iter().filter(|element| !element.is_catchall()).collect();
    // an end stands before a beginning at the same place
    sorted.sort_by(|a, b| a.key.cmp(&b.key).then(b.ends_range().cmp(&a.ends_range())));
    let (mut ranges, mut found) = (Ranges::default(), Vec::new());
    let mut visit = |element, beyond: Option<&[u8]>| found.push((range(*part, element, beyond), element));
    for element in sorted {
        ranges.push(element, &mut visit);
    }
    ranges.finish(&mut visit);
    found
}
