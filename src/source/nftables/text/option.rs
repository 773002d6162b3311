//! Which fields do extension headers and options have?
//!
//! Of IPv6 extension headers, options of TCP and of IPv4, and chunks of SCTP, with the names of the nftables manual page.

use super::kind::Kind;
use crate::source::nftables::instruction::HeaderOption;

/// `NFT_EXTHDR_OP_*`
pub(super) const IPV6: u32 = 0;
pub(super) const TCP: u32 = 1;
pub(super) const IPV4: u32 = 2;
pub(super) const SCTP: u32 = 3;

/// A field of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    name: &'static str,
    pub(super) kind: Kind,
    /// Bits from the beginning of the option.
    offset: u32,
    bits: u32,
}

/// A header or option: its name and its fields.
type Known = (&'static str, &'static [Field]);

macro_rules! fields {
    ($( $name:literal $offset:literal $bits:literal $($kind:ident)?; )*) => {
        &[$( Field { name: $name, kind: fields!(@kind $($kind)?), offset: $offset, bits: $bits } ),*]
    };
    (@kind) => { Kind::Integer };
    (@kind $kind:ident) => { Kind::$kind };
}

const NEXT: &[Field] = fields! { "nexthdr" 0 8 Protocol; "hdrlength" 8 8; };
const ROUTING: &[Field] = fields! { "nexthdr" 0 8 Protocol; "hdrlength" 8 8; "type" 16 8; "seg-left" 24 8; };
const SEGMENTS: &[Field] = fields! {
    "last-entry" 32 8; "flags" 40 8; "tag" 48 16; "sid[1]" 64 128 Ipv6; "sid[2]" 192 128 Ipv6;
};
const ROUTING_0: &[Field] = fields! { "reserved" 32 32; "addr[1]" 64 128 Ipv6; "addr[2]" 192 128 Ipv6; };
const FRAGMENT: &[Field] = fields! {
    "nexthdr" 0 8 Protocol; "reserved" 8 8; "frag-off" 16 13; "reserved2" 29 2; "more-fragments" 31 1; "id" 32 32;
};
const MOBILITY: &[Field] = fields! {
    "nexthdr" 0 8 Protocol; "hdrlength" 8 8; "type" 16 8 MobilityType; "reserved" 24 8; "checksum" 32 16;
};

const TCP_KIND: &[Field] = fields! { "kind" 0 8; };
const TCP_LENGTH: &[Field] = fields! { "kind" 0 8; "length" 8 8; };
const TCP_MAXSEG: &[Field] = fields! { "kind" 0 8; "length" 8 8; "size" 16 16; };
const TCP_WINDOW: &[Field] = fields! { "kind" 0 8; "length" 8 8; "count" 16 8; };
const TCP_SACK: &[Field] = fields! {
    "kind" 0 8; "length" 8 8; "left" 16 32; "right" 48 32; "left" 80 32; "right" 112 32; "left" 144 32; "right" 176 32;
    "left" 208 32; "right" 240 32;
};
const TCP_TIMESTAMP: &[Field] = fields! { "kind" 0 8; "length" 8 8; "tsval" 16 32; "tsecr" 48 32; };
const TCP_MPTCP: &[Field] = fields! { "kind" 0 8; "length" 8 8; "subtype" 16 4; };

const IP_ROUTE: &[Field] = fields! { "type" 0 8; "length" 8 8; "ptr" 16 8; "addr" 24 32; };
const IP_ALERT: &[Field] = fields! { "type" 0 8; "length" 8 8; "value" 16 16; };

const CHUNK: &[Field] = fields! { "type" 0 8; "flags" 8 8; "length" 16 16; };
const CHUNK_DATA: &[Field] = fields! {
    "type" 0 8; "flags" 8 8; "length" 16 16; "tsn" 32 32; "stream" 64 16; "ssn" 80 16; "ppid" 96 32;
};
const CHUNK_INIT: &[Field] = fields! {
    "type" 0 8; "flags" 8 8; "length" 16 16; "init-tag" 32 32; "a-rwnd" 64 32; "num-outbound-streams" 96 16;
    "num-inbound-streams" 112 16; "initial-tsn" 128 32;
};
const CHUNK_SACK: &[Field] = fields! {
    "type" 0 8; "flags" 8 8; "length" 16 16; "cum-tsn-ack" 32 32; "a-rwnd" 64 32; "num-gap-ack-blocks" 96 16;
    "num-dup-tsns" 112 16;
};
const CHUNK_SHUTDOWN: &[Field] = fields! { "type" 0 8; "flags" 8 8; "length" 16 16; "cum-tsn-ack" 32 32; };
const CHUNK_ECN: &[Field] = fields! { "type" 0 8; "flags" 8 8; "length" 16 16; "lowest-tsn" 32 32; };
const CHUNK_ASCONF: &[Field] = fields! { "type" 0 8; "flags" 8 8; "length" 16 16; "seqno" 32 32; };
const CHUNK_FORWARD: &[Field] = fields! { "type" 0 8; "flags" 8 8; "length" 16 16; "new-cum-tsn" 32 32; };

/// Those with a number; several may share one.
fn known(op: u32, number: u8) -> &'static [Known] {
    match (op, number) {
        (IPV6, 0) => &[("hbh", NEXT)],
        (IPV6, 43) => &[("rt", ROUTING), ("srh", SEGMENTS), ("rt0", ROUTING_0)],
        (IPV6, 44) => &[("frag", FRAGMENT)],
        (IPV6, 60) => &[("dst", NEXT)],
        (IPV6, 135) => &[("mh", MOBILITY)],
        (TCP, 0) => &[("eol", TCP_KIND)],
        (TCP, 1) => &[("nop", TCP_KIND)],
        (TCP, 2) => &[("maxseg", TCP_MAXSEG)],
        (TCP, 3) => &[("window", TCP_WINDOW)],
        (TCP, 4) => &[("sack-perm", TCP_LENGTH)],
        (TCP, 5) => &[("sack", TCP_SACK)],
        (TCP, 8) => &[("timestamp", TCP_TIMESTAMP)],
        (TCP, 19) => &[("md5sig", TCP_LENGTH)],
        (TCP, 30) => &[("mptcp", TCP_MPTCP)],
        (TCP, 34) => &[("fastopen", TCP_LENGTH)],
        (IPV4, 7) => &[("rr", IP_ROUTE)],
        (IPV4, 131) => &[("lsrr", IP_ROUTE)],
        (IPV4, 137) => &[("ssrr", IP_ROUTE)],
        (IPV4, 148) => &[("ra", IP_ALERT)],
        (SCTP, 0) => &[("data", CHUNK_DATA)],
        (SCTP, 1) => &[("init", CHUNK_INIT)],
        (SCTP, 2) => &[("init-ack", CHUNK_INIT)],
        (SCTP, 3) => &[("sack", CHUNK_SACK)],
        (SCTP, 4) => &[("heartbeat", CHUNK)],
        (SCTP, 5) => &[("heartbeat-ack", CHUNK)],
        (SCTP, 6) => &[("abort", CHUNK)],
        (SCTP, 7) => &[("shutdown", CHUNK_SHUTDOWN)],
        (SCTP, 8) => &[("shutdown-ack", CHUNK)],
        (SCTP, 9) => &[("error", CHUNK)],
        (SCTP, 10) => &[("cookie-echo", CHUNK)],
        (SCTP, 11) => &[("cookie-ack", CHUNK)],
        (SCTP, 12) => &[("ecne", CHUNK_ECN)],
        (SCTP, 13) => &[("cwr", CHUNK_ECN)],
        (SCTP, 14) => &[("shutdown-complete", CHUNK)],
        (SCTP, 0x80) => &[("asconf-ack", CHUNK_ASCONF)],
        (SCTP, 0xc0) => &[("forward-tsn", CHUNK_FORWARD)],
        (SCTP, 0xc1) => &[("asconf", CHUNK_ASCONF)],
        _ => &[],
    }
}

/// Where in an option something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) op: u32,
    pub(super) number: u8,
    /// Bits.
    pub(super) offset: u32,
    pub(super) bits: u32,
    /// Whether only its presence counts.
    pub(super) present: bool,
}

impl Place {
    pub(super) fn new(option: &HeaderOption) -> Self {
        let HeaderOption { op, kind, offset, length, present } = *option;
        Self { op, number: kind, offset: offset * 8, bits: length * 8, present }
    }

    /// The header and the field that stand there.
    pub(super) fn field(&self) -> Option<(&'static str, &'static Field)> {
        let fits = |field: &&Field| field.offset == self.offset && field.bits == self.bits;
        known(self.op, self.number).iter().find_map(|(name, fields)| Some((*name, fields.iter().find(fits)?)))
    }

    /// What its value means.
    pub(super) fn kind(&self) -> Kind {
        match self.field() {
            _ if self.present => Kind::Boolean,
            Some((_, field)) => field.kind,
            None => Kind::Integer,
        }
    }

    /// Writes it.
    pub(super) fn write(&self, out: &mut String) {
        use std::fmt::Write as _;
        let header = known(self.op, self.number).first().map(|(name, _)| *name);
        let prefix = match self.op {
            TCP => "tcp option ",
            IPV4 => "ip option ",
            SCTP => "sctp chunk ",
            _ if self.present => "exthdr ",
            _ => "",
        };
        // writing into a string cannot fail
        let _ = match (header, self.field()) {
            (Some(header), _) if self.present => write!(out, "{prefix}{header}"),
            (_, Some((header, field))) => {
                let which = match (self.op, self.number, self.offset) {
                    (TCP, 5, 80..) => format!("{}", (self.offset - 16) / 64),
                    _ => String::new(),
                };
                write!(out, "{prefix}{header}{which} {}", field.name)
            }
            (None, None) if self.present => write!(out, "{prefix}{}", self.number),
            _ => write!(out, "{prefix}@{},{},{}", self.number, self.offset, self.bits),
        };
    }
}
