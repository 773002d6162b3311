//! What is the packet filter's ruleset?
//!
//! [`read`] dumps the ruleset of a network namespace over nfnetlink. Rules stay programs ([`instruction`]) until somebody
//! wants to read one ([`text`]). Elements of sets without a name belong to a rule and are read with it; those of named sets
//! only when they are asked for, because there may be many.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `net/netfilter/nf_tables_api.c`.

mod decode;
pub mod instruction;
pub mod read;
pub mod text;
mod userdata;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use self::decode::{Attrs, data, instruction, instructions};
use self::instruction::{Bytes, Data, Instruction, MAX_INSTRUCTIONS};
use self::text::kind::{Order, Part, parts};
use crate::source::netlink::attr::{Malformed, attributes};

/// `NFPROTO_IPV4`
pub const NFPROTO_IPV4: u32 = 2;
/// `NFPROTO_IPV6`
pub const NFPROTO_IPV6: u32 = 10;

/// Address family of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// ARP.
    Arp,
    /// Bridged frames.
    Bridge,
    /// What arrives at and leaves a device.
    Netdev,
    /// One that this program does not know.
    Other(u8),
}

impl Family {
    /// `NFPROTO_*`
    pub fn of(number: u8) -> Self {
        match number {
            1 => Self::Inet,
            2 => Self::Ip,
            3 => Self::Arp,
            5 => Self::Netdev,
            7 => Self::Bridge,
            10 => Self::Ip6,
            other => Self::Other(other),
        }
    }

    /// `NFPROTO_*`
    pub fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Arp => 3,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ip6 => 10,
            Self::Other(number) => number,
        }
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Name.
    pub name: Vec<u8>,
    /// Handle.
    pub handle: u64,
    /// `NFT_TABLE_F_*`
    pub flags: u32,
    /// Netlink port of the program that it ends with.
    pub owner: Option<u32>,
}

/// Where a base chain is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `NF_INET_*`, `NF_BR_*`, `NF_NETDEV_*`
    pub number: u32,
    /// Lower ones come first.
    pub priority: i32,
    /// Devices that it is for.
    pub devices: Vec<Vec<u8>>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// Table.
    pub table: Vec<u8>,
    /// Family.
    pub family: Family,
    /// Name.
    pub name: Vec<u8>,
    /// Handle.
    pub handle: u64,
    /// Type of a base chain: filter, nat, route.
    pub kind: Option<Vec<u8>>,
    /// Where it is called, if it is a base chain.
    pub hook: Option<Hook>,
    /// `NF_ACCEPT` or `NF_DROP` of a base chain.
    pub policy: Option<u32>,
    /// Packets and bytes that its policy has counted, if it counts.
    pub counted: Option<(u64, u64)>,
    /// `NFT_CHAIN_*`
    pub flags: u32,
}

impl Chain {
    /// Whether it has no name of its own and belongs to the rule that jumps to it.
    pub fn is_anonymous(&self) -> bool {
        const BINDING: u32 = 4;
        self.flags & BINDING != 0
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Family.
    pub family: Family,
    /// Table.
    pub table: Vec<u8>,
    /// Chain.
    pub chain: Vec<u8>,
    /// Handle.
    pub handle: u64,
    /// What it does.
    pub instructions: Vec<Instruction>,
    /// What its author has written beside it.
    pub comment: Option<Vec<u8>>,
}

/// What a map's keys lead to.
#[derive(Clone, Debug, PartialEq)]
pub enum MapsTo {
    /// Nothing: it is a set.
    Nothing,
    /// Verdicts.
    Verdicts,
    /// Named objects of a type (`NFT_OBJECT_*`).
    Objects(u32),
    /// Values.
    Values {
        /// What one is made of.
        parts: Vec<Part>,
        /// Bytes of what a key leads to.
        length: u32,
        /// Whether that is two values, the ends of a range.
        ranges: bool,
    },
}

/// A set or map.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Family.
    pub family: Family,
    /// Table.
    pub table: Vec<u8>,
    /// Name.
    pub name: Vec<u8>,
    /// Handle.
    pub handle: u64,
    /// `NFT_SET_*`
    pub flags: u32,
    /// What a key is made of.
    pub key: Vec<Part>,
    /// Bytes of a key.
    pub key_length: u32,
    /// What a key leads to.
    pub data: MapsTo,
    /// Elements at most, 0 without a limit.
    pub size: u32,
    /// Milliseconds that an element lives.
    pub timeout: Option<u64>,
    /// Elements, of sets without a name.
    pub elements: Vec<Element>,
}

impl Set {
    const ANONYMOUS: u32 = 1;
    const INTERVAL: u32 = 4;
    const EVAL: u32 = 0x20;

    /// Whether it belongs to a rule.
    pub fn is_anonymous(&self) -> bool {
        self.flags & Self::ANONYMOUS != 0
    }

    /// Whether rules fill it, and it has the name that its rule gives it.
    pub fn is_meter(&self) -> bool {
        self.is_anonymous() && self.flags & Self::EVAL != 0
    }

    /// Whether its elements are ranges.
    pub fn has_ranges(&self) -> bool {
        self.flags & Self::INTERVAL != 0
    }

    /// Whether it leads to verdicts.
    pub fn maps_to_verdicts(&self) -> bool {
        self.data == MapsTo::Verdicts
    }
}

/// One element of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its key, or the first of a range; empty for the one that stands for all others.
    pub key: Bytes,
    /// The last key of a range of a concatenation.
    pub key_end: Option<Bytes>,
    /// `NFT_SET_ELEM_*`
    pub flags: u32,
    /// What it leads to.
    pub data: Option<Data>,
    /// The object that it leads to.
    pub object: Option<Vec<u8>>,
    /// Milliseconds that it lives.
    pub timeout: Option<u64>,
    /// Milliseconds that it has left.
    pub expires: Option<u64>,
    /// Its counters and limits.
    pub with: Vec<Instruction>,
    /// What its author has written beside it.
    pub comment: Option<Vec<u8>>,
}

impl Element {
    const INTERVAL_END: u32 = 1;
    const CATCHALL: u32 = 2;

    /// Whether it only says where a range ends.
    pub fn ends_range(&self) -> bool {
        self.flags & Self::INTERVAL_END != 0
    }

    /// Whether it stands for all keys that are not in the set.
    pub fn is_catchall(&self) -> bool {
        self.flags & Self::CATCHALL != 0
    }
}

/// Reads the attributes of a table.
fn table(family: Family, bytes: &[u8]) -> Result<Table, Malformed> {
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
fn chain(family: Family, bytes: &[u8]) -> Result<Chain, Malformed> {
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
    let mut devices: Vec<_> = attrs.name(3).into_iter().collect();
    for device in attributes(attrs.bytes(4).unwrap_or(&[])) {
        devices.push(device?.string().to_vec());
    }
    let priority = i32::from_ne_bytes(attrs.need_u32(2)?.to_ne_bytes());
    Ok(Hook { number: attrs.need_u32(1)?, priority, devices })
}

/// Reads the attributes of a rule.
fn rule(family: Family, bytes: &[u8]) -> Result<Rule, Malformed> {
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
fn set(family: Family, bytes: &[u8]) -> Result<Set, Malformed> {
    const MAP: u32 = 8;
    const OBJECT: u32 = 0x40;
    /// Types of values have numbers below this, and that of a verdict is all ones.
    const VERDICT: u32 = 0xffff_ff00;
    let attrs = Attrs::<19>::read(bytes)?;
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
    let key_length = attrs.need_u32(5)?;
    let shaped = |number, length, order, lengths: &[u32], note| {
        // what nobody knows is shown as it is
        let unknown = || vec![Part { kind: text::kind::Kind::Raw, order: Order::Network, bits: length * 8 }];
        let mut parts = parts(number, length, order, lengths).unwrap_or_else(unknown);
        userdata::typed(&mut parts, notes, note);
        if parts.iter().all(|part| part.bits > 0) { parts } else { unknown() }
    };
    if key_length == 0 || key_length > 64 {
        return Err(Malformed);
    }
    let data = match (attrs.u32(6), attrs.u32(7)) {
        _ if flags & OBJECT != 0 => MapsTo::Objects(attrs.u32(15).unwrap_or(0)),
        (Some(VERDICT), _) if flags & MAP != 0 => MapsTo::Verdicts,
        (Some(kind), Some(length)) if flags & MAP != 0 => {
            if length > 128 {
                return Err(Malformed);
            }
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
        handle: attrs.u64(16).unwrap_or(0),
        elements: Vec::new(),
    })
}

/// Reads the attributes of an element.
fn element(bytes: &[u8]) -> Result<Element, Malformed> {
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

/// What the text of rules needs of a ruleset: sets by name, and rules of chains without a name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    sets: HashMap<(Family, Vec<u8>, Vec<u8>), Set>,
    inlined: HashMap<(Family, Vec<u8>, Vec<u8>), Vec<Rule>>,
}

/// One network namespace's ruleset.
#[derive(Clone, Debug, Default)]
pub struct Ruleset {
    /// Its number; each change makes it larger.
    pub generation: u32,
    /// Tables.
    pub tables: Vec<Table>,
    /// Chains with a name.
    pub chains: Vec<Chain>,
    /// Rules of those, in their order.
    pub rules: Vec<Rule>,
    /// Sets without a name, and those with one but without their elements; rules of chains without a name.
    pub names: Names,
}
