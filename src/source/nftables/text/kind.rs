//! Which kinds of values are there, and how is one written?
//!
//! The numbers of [`Kind`] are those that `nft` stores with a set, so that it knows later what its keys mean; the kernel
//! only compares bytes. Everything is written as `nft -nn` does: numbers instead of names.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Names;
use crate::model::IpText;
use crate::source::nftables::instruction::Bytes;

/// Bits of a kind's number in the number of a concatenation.
const KIND_BITS: u32 = 6;

/// In which order the bytes of a number lie in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As in the host's memory.
    Host,
    /// As in a packet.
    Network,
}

impl Order {
    /// The other one.
    pub(super) fn swapped(self) -> Self {
        match self {
            Self::Host => Self::Network,
            Self::Network => Self::Host,
        }
    }
}

/// A constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its bytes, read in network order.
    pub raw: u128,
    /// Its length.
    pub bits: u32,
}

impl Value {
    /// Reads up to 16 bytes.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let bits = u32::try_from(bytes.len()).ok().filter(|length| *length <= 16)? * 8;
        Some(Self { raw: bytes.iter().fold(0, |raw, byte| raw << 8 | u128::from(*byte)), bits })
    }

    /// A number of so many bits, as it would lie in a register.
    pub(super) fn of(number: u128, bits: u32, order: Order) -> Self {
        let value = Self { raw: number, bits };
        Self { raw: value.number(order), bits }
    }

    /// All bits set.
    pub(super) fn ones(bits: u32) -> u128 {
        if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
    }

    /// What it means in an order.
    pub(super) fn number(self, order: Order) -> u128 {
        match order {
            Order::Network => self.raw,
            Order::Host if cfg!(target_endian = "big") || !self.bits.is_multiple_of(8) || self.bits == 0 => self.raw,
            Order::Host => self.raw.swap_bytes() >> (128 - self.bits.min(128)),
        }
    }

    /// Its bytes.
    pub(super) fn bytes(self) -> Bytes {
        let length = self.bits.div_ceil(8).min(16) as usize;
        self.raw.to_be_bytes().into_iter().skip(16 - length).collect()
    }
}

macro_rules! kinds {
    ($( $name:ident = $number:literal: $bits:literal $order:ident $word:literal; )+) => {
        /// What a value means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $( #[doc = concat!("Number ", $number, ".")] $name ),+
        }

        impl Kind {
            /// The kind with a number of `nft`'s.
            pub fn numbered(number: u32) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$name), )+
                    _ => None,
                }
            }

            /// Its length in bits, 0 if it varies, and its usual order.
            pub(super) fn usual(self) -> (u32, Order) {
                match self {
                    $( Self::$name => ($bits, Order::$order), )+
                }
            }

            /// Its name in the declaration of a set.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $word, )+
                }
            }
        }
    };
}

kinds! {
    Invalid = 0: 0 Network "invalid";
    Verdict = 1: 0 Network "verdict";
    NfProto = 2: 8 Network "nf_proto";
    Bitmask = 3: 0 Network "bitmask";
    Integer = 4: 0 Network "integer";
    Text = 5: 0 Host "string";
    LinkAddress = 6: 0 Network "ll_addr";
    Ipv4 = 7: 32 Network "ipv4_addr";
    Ipv6 = 8: 128 Network "ipv6_addr";
    Ether = 9: 48 Network "ether_addr";
    EtherType = 10: 16 Network "ether_type";
    ArpOperation = 11: 16 Network "arp_op";
    Protocol = 12: 8 Network "inet_proto";
    Service = 13: 16 Network "inet_service";
    IcmpType = 14: 8 Network "icmp_type";
    TcpFlag = 15: 8 Network "tcp_flag";
    DccpType = 16: 4 Network "dccp_pkttype";
    MobilityType = 17: 8 Network "mh_type";
    Time = 18: 64 Host "time";
    Mark = 19: 32 Host "mark";
    Interface = 20: 32 Host "iface_index";
    InterfaceType = 21: 16 Host "iface_type";
    Realm = 22: 32 Host "realm";
    ClassId = 23: 32 Host "classid";
    Uid = 24: 32 Host "uid";
    Gid = 25: 32 Host "gid";
    CtState = 26: 32 Host "ct_state";
    CtDirection = 27: 8 Network "ct_dir";
    CtStatus = 28: 32 Host "ct_status";
    Icmpv6Type = 29: 8 Network "icmpv6_type";
    CtLabel = 30: 128 Host "ct_label";
    PacketType = 31: 8 Host "pkt_type";
    IcmpCode = 32: 8 Network "icmp_code";
    Icmpv6Code = 33: 8 Network "icmpv6_code";
    IcmpxCode = 34: 8 Network "icmpx_code";
    InterfaceGroup = 35: 32 Host "devgroup";
    Dscp = 36: 6 Network "dscp";
    Ecn = 37: 2 Network "ecn";
    FibAddress = 38: 32 Host "fib_addrtype";
    Boolean = 39: 1 Host "boolean";
    CtEvent = 40: 32 Host "ct_event";
    InterfaceName = 41: 128 Host "ifname";
    IgmpType = 42: 8 Network "igmp_type";
    Date = 43: 64 Host "time";
    Hour = 44: 32 Host "hour";
    Day = 45: 8 Host "day";
    Cgroup = 46: 64 Host "cgroupsv2";
    Raw = 64: 0 Network "integer";
}

/// One part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it means.
    pub kind: Kind,
    /// Its order.
    pub order: Order,
    /// Its length.
    pub bits: u32,
}

impl Part {
    pub(super) fn new(kind: Kind, order: Order, bits: u32) -> Self {
        Self { kind, order, bits }
    }
}

/// Bytes that so many bits take in registers.
pub(super) fn padded(bits: u32) -> u32 {
    bits.div_ceil(32) * 4
}

/// The parts of a key of `length` bytes whose kinds have a number together; several are a concatenation. `order` is what
/// `nft` has noted, `lengths` are those of the parts, where the kernel knows them. A part whose length nobody knows has none.
pub fn parts(number: u32, length: u32, order: Option<Order>, lengths: &[u32]) -> Option<Vec<Part>> {
    let count = (u32::BITS - number.leading_zeros()).div_ceil(KIND_BITS).max(1);
    if count == 1 {
        let kind = Kind::numbered(number)?;
        return Some(vec![Part::new(kind, order.unwrap_or(kind.usual().1), length * 8)]);
    }
    let mut parts = Vec::with_capacity(count as usize);
    for place in 0..count {
        let kind = Kind::numbered(number >> ((count - 1 - place) * KIND_BITS) & ((1 << KIND_BITS) - 1))?;
        let (bits, order) = kind.usual();
        let told = lengths.get(place as usize).filter(|bytes| **bytes <= length).map(|bytes| bytes * 8);
        parts.push(Part::new(kind, order, if bits == 0 { told.unwrap_or(0) } else { bits }));
    }
    // what is left is the one that varies, if it is one
    let known: u32 = parts.iter().map(|part| padded(part.bits)).sum();
    let mut open = parts.iter_mut().filter(|part| part.bits == 0);
    if let (Some(part), None) = (open.next(), open.next()) {
        part.bits = length.checked_sub(known)? * 8;
    }
    Some(parts)
}

impl Kind {
    /// Whether it is a set of flags.
    pub(super) fn is_flags(self) -> bool {
        matches!(self, Self::TcpFlag | Self::CtState | Self::CtStatus | Self::CtLabel | Self::CtEvent | Self::Bitmask)
            && self != Self::Bitmask
    }

    /// Whether it is a string.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::InterfaceName)
    }

    /// Whether a mask of leading ones is written as a prefix.
    pub(super) fn has_prefix(self) -> bool {
        matches!(self, Self::Ipv4 | Self::Ipv6 | Self::Mark | Self::InterfaceGroup | Self::Realm)
    }
}

/// Writes a value.
pub(super) fn write(out: &mut String, kind: Kind, order: Order, value: Value, names: &dyn Names) {
    use std::fmt::Write as _;
    let number = value.number(order);
    // writing into a string cannot fail
    let _ = match kind {
        Kind::Ipv4 => write!(out, "{}", Ipv4Addr::from(number as u32)),
        Kind::Ipv6 => write!(out, "{}", IpText(Ipv6Addr::from(number).into())),
        Kind::Ether | Kind::LinkAddress => {
            let mut between = "";
            value.bytes().iter().try_for_each(|byte| {
                let written = write!(out, "{between}{byte:02x}");
                between = ":";
                written
            })
        }
        Kind::EtherType => write!(out, "0x{number:04x}"),
        Kind::Mark => write!(out, "0x{number:08x}"),
        Kind::Dscp => write!(out, "0x{number:02x}"),
        Kind::Ecn | Kind::Raw => write!(out, "0x{number:x}"),
        Kind::TcpFlag | Kind::CtState | Kind::CtStatus | Kind::CtEvent | Kind::Bitmask => write!(out, "0x{number:x}"),
        Kind::CtLabel => write!(out, "{}", number.trailing_zeros()),
        Kind::Interface => match names.interface(number as u32) {
            Some(name) => write!(out, "\"{name}\""),
            None => write!(out, "{}", number as u32),
        },
        Kind::ClassId => match number as u32 {
            u32::MAX => write!(out, "root"),
            0 => write!(out, "none"),
            handle => write!(out, "{:x}:{:x}", handle >> 16, handle & 0xffff),
        },
        Kind::Text | Kind::InterfaceName => {
            write!(out, "\"{}\"", text(&value.bytes()))
        }
        Kind::Hour => {
            let seconds = (number as i64 + names.utc_offset(None)).rem_euclid(86_400);
            let _ = write!(out, "\"{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
            if seconds % 60 != 0 {
                let _ = write!(out, ":{:02}", seconds % 60);
            }
            write!(out, "\"")
        }
        Kind::Date => date(out, number, names),
        Kind::Time => duration(out, number as u64),
        Kind::Cgroup => match names.cgroup(number as u64) {
            Some(path) => write!(out, "\"{path}\""),
            None => write!(out, "{number}"),
        },
        Kind::Invalid => write!(out, "0x{number:x} [invalid type]"),
        _ => write!(out, "{number}"),
    };
}

/// A string as `nft` writes it: one without an end matches all that begin so, and a star of its own is escaped.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    let name = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(name).into_owned();
    match end {
        None => text.push('*'),
        Some(_) if text.ends_with('*') => text.insert(text.len() - 1, '\\'),
        Some(_) => {}
    }
    text
}

/// A moment, in the time of this host.
fn date(out: &mut String, nanoseconds: u128, names: &dyn Names) -> std::fmt::Result {
    use std::fmt::Write as _;
    let seconds = i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX);
    let local = seconds.saturating_add(names.utc_offset(Some(seconds)));
    match jiff::Timestamp::from_second(local) {
        Ok(at) => write!(out, "\"{}\"", at.strftime("%Y-%m-%d %H:%M:%S")),
        Err(_) => write!(out, "{nanoseconds}"),
    }
}

/// A duration of milliseconds, in seconds.
pub(super) fn duration(out: &mut String, milliseconds: u64) -> std::fmt::Result {
    use std::fmt::Write as _;
    write!(out, "{}s", milliseconds / 1000)
}
