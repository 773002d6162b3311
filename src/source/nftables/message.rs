//! What do the messages about tables, chains, rules, sets and objects say?
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`.

use super::decode::{self, Attrs, data, instruction, instructions};
use super::instruction::{Data, MAX_INSTRUCTIONS};
use super::text::kind::{Kind, Order, Part, parts};
use super::{Chain, Element, Family, Flowtable, Hook, MapsTo, Object, Rule, Set, Table, userdata};
use crate::source::netlink::attr::{Attribute, Malformed, attributes};

/// Reads the attributes of a table.
pub(super) fn table(family: Family, bytes: &[u8]) -> Result<Table, Malformed> {
    let attrs = Attrs::<8>::read(bytes)?;
    Ok(Table {
        family,
        name: attrs.name(1).ok_or(Malformed)?,
        flags: attrs.u32(2).unwrap_or(0),
        handle: attrs.u64(4).ok_or(Malformed)?,
        owner: attrs.u32(7),
    })
}

/// Reads the attributes of a chain.
pub(super) fn chain(family: Family, bytes: &[u8]) -> Result<Chain, Malformed> {
    let attrs = Attrs::<13>::read(bytes)?;
    let counted = match attrs.bytes(8) {
        Some(bytes) => {
            let counter = Attrs::<3>::read(bytes)?;
            counter.u64(2).zip(counter.u64(1))
        }
        None => None,
    };
    Ok(Chain {
        family,
        table: attrs.name(1).ok_or(Malformed)?,
        handle: attrs.u64(2).ok_or(Malformed)?,
        name: attrs.name(3).ok_or(Malformed)?,
        hook: attrs.bytes(4).map(hook).transpose()?,
        policy: attrs.u32(5),
        kind: attrs.name(7),
        counted,
        flags: attrs.u32(10).unwrap_or(0),
    })
}

fn hook(bytes: &[u8]) -> Result<Hook, Malformed> {
    let attrs = Attrs::<5>::read(bytes)?;
    let devices = match attrs.bytes(4) {
        // one that is alone is told twice
        Some(bytes) => devices(bytes)?,
        None => attrs.name(3).into_iter().collect(),
    };
    let priority = i32::from_ne_bytes(attrs.need_u32(2)?.to_ne_bytes());
    Ok(Hook { number: attrs.need_u32(1)?, priority, devices })
}

/// Names of devices, and beginnings of names with an asterisk.
fn devices(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    /// `NFTA_DEVICE_PREFIX`
    const PREFIX: u16 = 2;
    let name = |device: Attribute<'_>| {
        let end: &[u8] = if device.kind == PREFIX { b"*" } else { b"" };
        [device.string(), end].concat()
    };
    let mut names = attributes(bytes).map(|device| device.map(name)).collect::<Result<Vec<_>, _>>()?;
    // the order in which they were added says nothing
    names.sort();
    Ok(names)
}

/// Reads the attributes of a rule.
pub(super) fn rule(family: Family, bytes: &[u8]) -> Result<Rule, Malformed> {
    let attrs = Attrs::<8>::read(bytes)?;
    Ok(Rule {
        family,
        table: attrs.name(1).ok_or(Malformed)?,
        chain: attrs.name(2).ok_or(Malformed)?,
        handle: attrs.u64(3).ok_or(Malformed)?,
        instructions: instructions(attrs.bytes(4).unwrap_or(&[]))?,
        comment: attrs.bytes(7).and_then(|bytes| userdata::text(bytes, 0)),
    })
}

/// Reads the attributes of a set, without its elements.
pub(super) fn set(family: Family, bytes: &[u8]) -> Result<Set, Malformed> {
    const MAP: u32 = 8;
    const OBJECT: u32 = 0x40;
    /// Types of values have numbers below this, and that of a verdict is all ones.
    const VERDICT: u32 = 0xffff_ff00;
    let attrs = Attrs::<21>::read(bytes)?;
    let notes = attrs.bytes(13).unwrap_or(&[]);
    let order = |kind| match userdata::record(notes, kind).and_then(|bytes| bytes.first()) {
        Some(1) => Some(Order::Host),
        Some(2) => Some(Order::Network),
        _ => None,
    };
    let flags = attrs.u32(3).unwrap_or(0);
    let (mut size, mut lengths) = (0, Vec::new());
    if let Some(bytes) = attrs.bytes(9) {
        let description = Attrs::<3>::read(bytes)?;
        size = description.u32(1).unwrap_or(0);
        for field in attributes(description.bytes(2).unwrap_or(&[])) {
            lengths.push(Attrs::<2>::read(field?.bytes)?.u32(1).unwrap_or(0));
        }
    }
    // more than all registers hold is no key; elements of such a set are shown as they are
    let key_length = attrs.need_u32(5)?.clamp(1, 64);
    let shaped = |number, length, order, lengths: &[u32], note| {
        // what nobody knows is shown as it is
        let unknown = || vec![Part { kind: Kind::Raw, order: Order::Network, bits: length * 8 }];
        let mut parts = parts(number, length, order, lengths).unwrap_or_else(unknown);
        userdata::typed(&mut parts, notes, note);
        if parts.iter().all(|part| part.bits > 0) { parts } else { unknown() }
    };
    let data = match (attrs.u32(6), attrs.u32(7)) {
        _ if flags & OBJECT != 0 => MapsTo::Objects(attrs.u32(15).unwrap_or(0)),
        (Some(VERDICT), _) if flags & MAP != 0 => MapsTo::Verdicts,
        (Some(kind), Some(length)) if flags & MAP != 0 => {
            let length = length.min(128);
            let ranges = userdata::record(notes, 6).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0));
            let each = if ranges { length / 2 } else { length };
            MapsTo::Values { parts: shaped(kind, each, order(1), &[], 4), length, ranges }
        }
        _ => MapsTo::Nothing,
    };
    Ok(Set {
        family,
        table: attrs.name(1).ok_or(Malformed)?,
        name: attrs.name(2).ok_or(Malformed)?,
        flags,
        key: shaped(attrs.u32(4).unwrap_or(0), key_length, order(0), &lengths, 3),
        key_length,
        data,
        size,
        timeout: attrs.u64(11),
        sweep: attrs.u32(12),
        count: attrs.u32(20),
        handle: attrs.u64(16).unwrap_or(0),
        elements: Vec::new(),
    })
}

/// Reads the attributes of a named object.
pub(super) fn object(family: Family, bytes: &[u8]) -> Result<Object, Malformed> {
    let attrs = Attrs::<9>::read(bytes)?;
    let kind = attrs.need_u32(3)?;
    let state = attrs.bytes(4).map(|bytes| decode::object(kind, bytes)).transpose()?.flatten();
    Ok(Object {
        family,
        table: attrs.name(1).ok_or(Malformed)?,
        name: attrs.name(2).ok_or(Malformed)?,
        handle: attrs.u64(6).unwrap_or(0),
        kind,
        uses: attrs.u32(5).unwrap_or(0),
        raw: attrs.bytes(4).filter(|_| state.is_none()).map(Box::from),
        state,
    })
}

/// Reads the attributes of a flowtable.
pub(super) fn flowtable(family: Family, bytes: &[u8]) -> Result<Flowtable, Malformed> {
    let attrs = Attrs::<8>::read(bytes)?;
    Ok(Flowtable {
        family,
        table: attrs.name(1).ok_or(Malformed)?,
        name: attrs.name(2).ok_or(Malformed)?,
        hook: attrs.bytes(3).map(flow_hook).transpose()?,
        handle: attrs.u64(5).unwrap_or(0),
        flags: attrs.u32(7).unwrap_or(0),
    })
}

/// The hook of a flowtable has other attributes than that of a chain.
fn flow_hook(bytes: &[u8]) -> Result<Hook, Malformed> {
    let attrs = Attrs::<4>::read(bytes)?;
    let devices = devices(attrs.bytes(3).unwrap_or(&[]))?;
    let priority = i32::from_ne_bytes(attrs.need_u32(2)?.to_ne_bytes());
    Ok(Hook { number: attrs.need_u32(1)?, priority, devices })
}

/// Reads the attributes of an element.
pub(super) fn element(bytes: &[u8]) -> Result<Element, Malformed> {
    let attrs = Attrs::<12>::read(bytes)?;
    let value = |kind| match attrs.bytes(kind).map(data).transpose()? {
        Some(Data::Value(bytes)) => Ok(Some(bytes)),
        Some(Data::Verdict(_)) => Err(Malformed),
        None => Ok(None),
    };
    let mut with = Vec::new();
    if let Some(bytes) = attrs.bytes(7) {
        with.push(instruction(bytes)?);
    }
    for one in attributes(attrs.bytes(11).unwrap_or(&[])).take(MAX_INSTRUCTIONS) {
        with.push(instruction(one?.bytes)?);
    }
    Ok(Element {
        key: value(1)?.unwrap_or_default(),
        key_end: value(10)?,
        data: attrs.bytes(2).map(data).transpose()?,
        flags: attrs.u32(3).unwrap_or(0),
        timeout: attrs.u64(4).filter(|timeout| *timeout != 0),
        expires: attrs.u64(5).filter(|left| *left != 0),
        object: attrs.name(9),
        with,
        comment: attrs.bytes(6).and_then(|bytes| userdata::text(bytes, 0)),
    })
}
