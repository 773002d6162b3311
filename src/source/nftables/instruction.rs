//! Which instructions is a rule made of?
//!
//! A rule is a short program for a machine with sixteen registers of 32 bits. [`super::decode`] reads it as the kernel tells
//! it, number by number; what it means to a person is the business of [`super::text`].
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `net/netfilter/nft_*.c`.

use smallvec::SmallVec;

pub use crate::source::xtables::Extension;

/// Instructions of a rule, and of an element, at most: the kernel allows 128.
pub const MAX_INSTRUCTIONS: usize = 128;
/// Registers of 32 bits.
pub const REGISTERS: usize = 16;

/// Bytes as they lie in registers.
pub type Bytes = SmallVec<[u8; 16]>;

/// First of the 32-bit registers that a value lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u8);

impl Register {
    /// `NFT_REG_1` to `NFT_REG_4` are four registers of 32 bits each, `NFT_REG32_00` to `NFT_REG32_15` are one.
    pub(super) fn new(number: u32) -> Option<Self> {
        let first = match number {
            1..=4 => (number - 1) * 4,
            8..=23 => number - 8,
            _ => return None,
        };
        u8::try_from(first).ok().map(Self)
    }
}

/// What a rule does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `NFT_*` if negative, `NF_*` otherwise.
    pub code: i32,
    /// Where to jump or to go to.
    pub chain: Option<Vec<u8>>,
}

/// `NFT_JUMP`
pub const JUMP: i32 = -3;
/// `NFT_GOTO`
pub const GOTO: i32 = -4;

impl Verdict {
    /// One word for what becomes of the packet; a jump comes back and is none.
    pub fn word(&self) -> Option<&'static str> {
        Some(match self.code {
            -5 => "return",
            -2 => "break",
            -1 => "continue",
            GOTO => "goto",
            JUMP => "jump",
            code if code < 0 => return None,
            code => match code & 0xff {
                0 => "drop",
                1 => "accept",
                2 => "stolen",
                3 => "queue",
                _ => return None,
            },
        })
    }
}

/// What is loaded into a register.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are the attributes of the kernel's header")]
pub enum Source {
    /// Bytes of the packet, from one of its headers on.
    Payload(Payload),
    /// An extension header of IPv6, or an option of TCP, IPv4 or a chunk of SCTP.
    Option(HeaderOption),
    /// Something about the packet (`NFT_META_*`).
    Meta(u32),
    /// Something about the connection that it belongs to (`NFT_CT_*`), and in which direction.
    Ct { key: u32, direction: Option<u8> },
    /// Something about its route (`NFT_RT_*`).
    Route(u32),
    /// Something about the socket that it is for (`NFT_SOCKET_*`).
    Socket { key: u32, level: u32 },
    /// The operating system that its sender seems to be.
    Osf { ttl: u8, flags: u32 },
    /// The result of a look at the routing table.
    Fib { flags: u32, result: u32 },
    /// Something about the IPsec policy that applies.
    Xfrm { key: u32, direction: u8, number: u32 },
    /// A counter or a random number.
    Numgen { kind: u32, modulus: u32, offset: u32 },
    /// A hash of a register, or of the connection.
    Hash { of: Option<(Register, u32)>, modulus: u32, seed: Option<u32>, offset: u32 },
    /// Something about the tunnel that it came through.
    Tunnel(u32),
}

/// Bytes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// `NFT_PAYLOAD_*_HEADER`
    pub base: u32,
    /// Bytes from there.
    pub offset: u32,
    /// How many.
    pub length: u32,
}

/// Bytes of an extension header or option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderOption {
    /// `NFT_EXTHDR_OP_*`
    pub op: u32,
    /// Header or option type.
    pub kind: u8,
    /// Bytes from its beginning.
    pub offset: u32,
    /// How many.
    pub length: u32,
    /// Whether only its presence counts.
    pub present: bool,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are the attributes of the kernel's header")]
pub enum Instruction {
    /// Ends the rule.
    Verdict(Verdict),
    /// Puts a constant into registers.
    Immediate { to: Register, data: Bytes },
    /// Puts something into registers.
    Load { to: Register, what: Source },
    /// The rule goes on if this is true.
    Cmp { of: Register, op: u32, data: Bytes },
    /// The rule goes on if the value lies in a range, or outside.
    Range { of: Register, op: u32, from: Bytes, to: Bytes },
    /// `(value & mask) ^ xor`
    Bitwise { of: Register, to: Register, mask: Bytes, xor: Bytes },
    /// Two registers with one another.
    Combine { of: Register, with: Register, to: Register, by: Combined },
    /// A shift to the left or to the right.
    Shift { of: Register, to: Register, left: bool, by: Bytes },
    /// Swaps bytes.
    Byteorder { of: Register, to: Register },
    /// Looks for a value in a set, or for what it maps to; no register means a verdict.
    Lookup { set: Vec<u8>, of: Register, to: Option<Option<Register>>, inverted: bool },
    /// Adds an element to a set, or takes one out.
    Dynset { set: Vec<u8>, op: u32, key: Register, data: Option<Register>, timeout: u64, with: Vec<Instruction> },
    /// Counts packets and bytes.
    Counter { packets: u64, bytes: u64 },
    /// Lets through so many a time, or the others.
    Limit { rate: u64, unit: u64, burst: u32, bytes: bool, over: bool },
    /// Lets through so many bytes, or the others.
    Quota { bytes: u64, used: u64, over: bool },
    /// Lets through so many connections, or the others.
    Connlimit { count: u32, over: bool },
    /// Remembers when it was reached last; milliseconds ago.
    Last { ago: Option<u64> },
    /// Tells the log.
    Log(Log),
    /// Hands packets to a program.
    Queue { number: u16, total: u16, flags: u16, from: Option<Register> },
    /// Refuses with an answer.
    Reject { kind: u32, code: u8 },
    /// Translates addresses; [`Nat::kind`] tells which.
    Nat(Nat),
    /// Hands packets to a local socket.
    Tproxy { family: u32, address: Option<Register>, port: Option<Register> },
    /// Sends a copy somewhere.
    Dup { address: Option<Register>, device: Option<Register> },
    /// Sends it out of another interface.
    Fwd { device: Register, address: Option<Register>, family: Option<u32> },
    /// Writes bytes of the packet.
    SetPayload { what: Payload, from: Register },
    /// Writes an option of the packet.
    SetOption { what: HeaderOption, from: Register },
    /// Takes an option out of the packet.
    Strip(HeaderOption),
    /// Writes something about the packet.
    SetMeta { key: u32, from: Register },
    /// Writes something about its connection.
    SetCt { key: u32, direction: Option<u8>, from: Register },
    /// Keeps it out of connection tracking.
    Notrack,
    /// Moves its connection to the fast path.
    Offload { flowtable: Vec<u8> },
    /// Answers for a server until the client is real.
    Synproxy { mss: u16, wscale: u8, flags: u32 },
    /// Uses a named object: by name, or the one that a map tells.
    Object { kind: u32, name: Option<Vec<u8>>, by: Option<(Register, Vec<u8>)> },
    /// Looks into the packet inside a tunnel's.
    Inner { kind: u32, header: u32, flags: u32, with: Box<Instruction> },
    /// An extension of x_tables that a rule of iptables-nft uses.
    Compat(Extension),
    /// One that this program does not know, by its name.
    Unknown(Vec<u8>),
}

/// What is told to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are the attributes of the kernel's header")]
pub struct Log {
    pub prefix: Option<Vec<u8>>,
    pub group: Option<u16>,
    pub snaplen: Option<u32>,
    pub threshold: Option<u16>,
    pub level: Option<u32>,
    pub flags: u32,
}

/// How two registers are combined, bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combined {
    /// Bits that both have.
    And,
    /// Bits that one of them has.
    Or,
    /// Bits that only one of them has.
    Xor,
}

/// Kinds of address translation; the first two are `NFT_NAT_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatKind {
    /// Of the source.
    Snat,
    /// Of the destination.
    Dnat,
    /// Of the source to the address of the interface.
    Masquerade,
    /// Of the destination to this host.
    Redirect,
}

/// Address translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Which.
    pub kind: NatKind,
    /// Family of the address, if there is one.
    pub family: u32,
    /// First and last address.
    pub addresses: [Option<Register>; 2],
    /// First and last port.
    pub ports: [Option<Register>; 2],
    /// `NF_NAT_RANGE_*`
    pub flags: u32,
}

/// A constant or a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Bytes.
    Value(Bytes),
    /// What becomes of the packet.
    Verdict(Verdict),
}
