//! What is the packet filter's ruleset?
//!
//! [`read`] dumps the ruleset of a network namespace over nfnetlink. Rules stay programs ([`instruction`]) until somebody
//! wants to read one ([`text`]). Elements of sets without a name belong to a rule and are read with it; those of named sets
//! only when they are asked for, because there may be many.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `net/netfilter/nf_tables_api.c`.

pub mod decode;
pub mod follow;
pub mod instruction;
mod message;
mod ranges;
pub mod read;
pub mod text;
mod userdata;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use self::instruction::{Bytes, Data, Instruction};
use self::text::kind::Part;

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

impl Names {
    /// Sets with a name.
    pub fn sets(&self) -> impl Iterator<Item = &Set> {
        self.sets.values().filter(|set| !set.is_anonymous())
    }

    /// Those, and meters, which have the name that their rule gives them.
    pub fn sets_and_meters(&self) -> impl Iterator<Item = &Set> {
        self.sets.values().filter(|set| !set.is_anonymous() || set.is_meter())
    }
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

    /// The one with this word.
    pub fn named(word: &str) -> Option<Self> {
        let known = [Self::Ip, Self::Ip6, Self::Inet, Self::Arp, Self::Bridge, Self::Netdev];
        known.into_iter().find(|family| family.name() == word)
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
            Self::Other(_) => "other",
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
    /// Milliseconds between two looks for elements that are over.
    pub sweep: Option<u32>,
    /// Elements that it has; older kernels do not tell.
    pub count: Option<u32>,
    /// Elements, of sets without a name.
    pub elements: Vec<Element>,
}

impl Ruleset {
    /// A set that is known already, and whose elements stay as they are: one of the same table with the same handle.
    fn same(&self, set: &Set, tables: &[Table]) -> Option<&Set> {
        let table = |tables: &[Table]| {
            let same = tables.iter().find(|table| table.family == set.family && table.name == set.table);
            same.map(|table| table.handle)
        };
        let known = self.names.sets.get(&(set.family, set.table.clone(), set.name.clone()))?;
        let is_same = known.handle == set.handle && table(&self.tables) == table(tables);
        (is_same && known.flags & set.flags & Set::CONSTANT != 0).then_some(known)
    }
}

impl Set {
    const ANONYMOUS: u32 = 1;
    const CONSTANT: u32 = 2;
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

    /// Whether an element says only where a range begins, or where it ends.
    pub fn has_ends(&self) -> bool {
        self.has_ranges() && self.key.len() == 1
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

/// A named object that rules use.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Family.
    pub family: Family,
    /// Table.
    pub table: Vec<u8>,
    /// Name.
    pub name: Vec<u8>,
    /// Handle.
    pub handle: u64,
    /// `NFT_OBJECT_*`
    pub kind: u32,
    /// Rules and elements of maps that refer to it.
    pub uses: u32,
    /// A counter, quota or limit with what it has seen; a proxy for SYN packets has seen nothing.
    pub state: Option<Instruction>,
    /// What an object of another kind is made of.
    pub raw: Option<Box<[u8]>>,
}

/// A table of connections that take the fast path.
#[derive(Clone, Debug, PartialEq)]
pub struct Flowtable {
    /// Family.
    pub family: Family,
    /// Table.
    pub table: Vec<u8>,
    /// Name.
    pub name: Vec<u8>,
    /// Handle.
    pub handle: u64,
    /// Where it looks at packets.
    pub hook: Option<Hook>,
    /// `NFT_FLOWTABLE_*`
    pub flags: u32,
}

/// What the text of rules needs of a ruleset: sets by name, and rules of chains without a name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    sets: HashMap<(Family, Vec<u8>, Vec<u8>), Set>,
    inlined: HashMap<(Family, Vec<u8>, Vec<u8>), Vec<Rule>>,
}

impl Names {
    /// Whether the rules of a chain stand in the rule that goes there, because it has no name of its own.
    pub fn is_inlined(&self, family: Family, table: &[u8], chain: &[u8]) -> bool {
        self.inlined.contains_key(&(family, table.to_vec(), chain.to_vec()))
    }
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
    /// For each rule of a dump, its handle and its place in `rules`, if it has one.
    sequence: Vec<(u64, Option<usize>)>,
    /// Flowtables.
    pub flowtables: Vec<Flowtable>,
    /// Sets without a name, and those with one but without their elements; rules of chains without a name.
    pub names: Names,
}
