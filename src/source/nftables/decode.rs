//! How does the kernel tell a rule's instructions?
//!
//! Each is a name and attributes that only that instruction has; numbers are in network order.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h`, `net/netfilter/nft_*.c`.

use super::instruction::{
    Bytes, Combined, Data, Extension, HeaderOption, Instruction, Log, MAX_INSTRUCTIONS, Nat, NatKind, Payload,
    Register, Source, Verdict,
};
use crate::source::netlink::attr::{Attribute, Malformed, attributes};

const NFTA_LIST_ELEM: u16 = 1;

/// The attributes of one thing, by number; numbers that nobody asks for are left out.
pub(super) struct Attrs<'a, const N: usize>([Option<&'a [u8]>; N]);

impl<'a, const N: usize> Attrs<'a, N> {
    /// # Errors
    /// One does not fit.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut found = [None; N];
        for attribute in attributes(bytes) {
            let Attribute { kind, bytes } = attribute?;
            if let Some(slot) = found.get_mut(usize::from(kind)) {
                *slot = Some(bytes);
            }
        }
        Ok(Self(found))
    }

    pub(super) fn bytes(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    pub(super) fn need(&self, kind: u16) -> Result<&'a [u8], Malformed> {
        self.bytes(kind).ok_or(Malformed)
    }

    /// A name up to its NUL.
    pub(super) fn name(&self, kind: u16) -> Option<Vec<u8>> {
        self.bytes(kind).map(|bytes| bytes.split(|byte| *byte == 0).next().unwrap_or(bytes).to_vec())
    }

    pub(super) fn u8(&self, kind: u16) -> Option<u8> {
        self.bytes(kind).and_then(|bytes| bytes.first().copied())
    }

    pub(super) fn u16(&self, kind: u16) -> Option<u16> {
        self.bytes(kind).and_then(|bytes| Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?)))
    }

    pub(super) fn u32(&self, kind: u16) -> Option<u32> {
        self.bytes(kind).and_then(|bytes| Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?)))
    }

    pub(super) fn u64(&self, kind: u16) -> Option<u64> {
        self.bytes(kind).and_then(|bytes| Some(u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?)))
    }

    pub(super) fn need_u32(&self, kind: u16) -> Result<u32, Malformed> {
        self.u32(kind).ok_or(Malformed)
    }

    fn register(&self, kind: u16) -> Option<Register> {
        self.u32(kind).and_then(Register::new)
    }

    fn need_register(&self, kind: u16) -> Result<Register, Malformed> {
        self.register(kind).ok_or(Malformed)
    }

    /// A constant: `NFTA_DATA_VALUE`.
    fn value(&self, kind: u16) -> Result<Bytes, Malformed> {
        match data(self.need(kind)?)? {
            Data::Value(bytes) => Ok(bytes),
            Data::Verdict(_) => Err(Malformed),
        }
    }
}

/// Reads what is nested in an attribute for data.
///
/// # Errors
/// It is neither.
pub(super) fn data(bytes: &[u8]) -> Result<Data, Malformed> {
    const VALUE: u16 = 1;
    const VERDICT: u16 = 2;
    const VERDICT_CODE: u16 = 1;
    const VERDICT_CHAIN: u16 = 2;
    let attrs = Attrs::<3>::read(bytes)?;
    if let Some(value) = attrs.bytes(VALUE) {
        return Ok(Data::Value(value.into()));
    }
    let verdict = Attrs::<3>::read(attrs.need(VERDICT)?)?;
    let code = i32::from_ne_bytes(verdict.need_u32(VERDICT_CODE)?.to_ne_bytes());
    Ok(Data::Verdict(Verdict { code, chain: verdict.name(VERDICT_CHAIN) }))
}

/// Reads a list of instructions.
///
/// # Errors
/// One is cut, or there are more than a rule can have.
pub(super) fn instructions(bytes: &[u8]) -> Result<Vec<Instruction>, Malformed> {
    let mut list = Vec::new();
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        if attribute.kind != NFTA_LIST_ELEM || list.len() >= MAX_INSTRUCTIONS {
            return Err(Malformed);
        }
        list.push(instruction(attribute.bytes)?);
    }
    Ok(list)
}

/// Reads one instruction.
///
/// # Errors
/// It is cut, or lacks what it cannot be without.
pub(super) fn instruction(bytes: &[u8]) -> Result<Instruction, Malformed> {
    read(bytes, true)
}

fn read(bytes: &[u8], outer: bool) -> Result<Instruction, Malformed> {
    const NAME: u16 = 1;
    const DATA: u16 = 2;
    let attrs = Attrs::<3>::read(bytes)?;
    let name = attrs.name(NAME).ok_or(Malformed)?;
    let data = Found::read(attrs.bytes(DATA).unwrap_or(&[]))?;
    // what does not fit is that of another kernel, and the rest of the ruleset is read all the same
    Ok(known(&name, &data, outer).unwrap_or(Instruction::Unknown(name)))
}

fn known(name: &[u8], data: &Found<'_>, outer: bool) -> Result<Instruction, Malformed> {
    for part in [compare, state, act] {
        if let Some(found) = part(name, data)? {
            return Ok(found);
        }
    }
    Ok(match name {
        b"dynset" if outer => dynset(data)?,
        b"inner" if outer => {
            let with = Box::new(read(data.need(5)?, false)?);
            Instruction::Inner { kind: data.need_u32(2)?, flags: data.need_u32(3)?, header: data.need_u32(4)?, with }
        }
        b"match" | b"target" => Instruction::Compat(Extension {
            target: name == b"target",
            name: data.name(1).ok_or(Malformed)?,
            revision: data.need_u32(2)?,
            info: data.bytes(3).unwrap_or(&[]).to_vec(),
        }),
        _ => match load(name, data)? {
            Some((to, what)) => Instruction::Load { to, what },
            None => Instruction::Unknown(name.to_vec()),
        },
    })
}

/// Instructions that load, compute and compare.
fn compare(name: &[u8], data: &Found<'_>) -> Result<Option<Instruction>, Malformed> {
    Ok(Some(match name {
        b"immediate" => immediate(data)?,
        b"cmp" => Instruction::Cmp { of: data.need_register(1)?, op: data.need_u32(2)?, data: data.value(3)? },
        b"range" => {
            let (of, op) = (data.need_register(1)?, data.need_u32(2)?);
            Instruction::Range { of, op, from: data.value(3)?, to: data.value(4)? }
        }
        b"bitwise" => bitwise(data)?,
        b"byteorder" => Instruction::Byteorder { of: data.need_register(1)?, to: data.need_register(2)? },
        b"lookup" => lookup(data)?,
        b"payload" => payload(data)?,
        b"exthdr" => option(data)?,
        b"meta" => match data.register(1) {
            Some(to) => Instruction::Load { to, what: Source::Meta(data.need_u32(2)?) },
            None => Instruction::SetMeta { key: data.need_u32(2)?, from: data.need_register(3)? },
        },
        b"ct" => ct(data)?,
        _ => return Ok(None),
    }))
}

/// Instructions that remember something, and those that tell somebody.
fn state(name: &[u8], data: &Found<'_>) -> Result<Option<Instruction>, Malformed> {
    Ok(Some(match name {
        b"counter" => {
            let (bytes, packets) = (data.u64(1).ok_or(Malformed)?, data.u64(2).ok_or(Malformed)?);
            Instruction::Counter { packets, bytes }
        }
        b"limit" => Instruction::Limit {
            rate: data.u64(1).ok_or(Malformed)?,
            unit: data.u64(2).ok_or(Malformed)?,
            burst: data.u32(3).unwrap_or(0),
            bytes: data.u32(4) == Some(1),
            over: data.u32(5).unwrap_or(0) & 1 != 0,
        },
        b"quota" => Instruction::Quota {
            bytes: data.u64(1).ok_or(Malformed)?,
            over: data.u32(2).unwrap_or(0) & 1 != 0,
            used: data.u64(4).ok_or(Malformed)?,
        },
        b"connlimit" => Instruction::Connlimit { count: data.need_u32(1)?, over: data.u32(2).unwrap_or(0) & 1 != 0 },
        b"last" => Instruction::Last { ago: data.u64(2).filter(|_| data.u32(1).is_some_and(|set| set != 0)) },
        b"log" => Instruction::Log(Log {
            group: data.u16(1),
            prefix: data.name(2),
            snaplen: data.u32(3),
            threshold: data.u16(4),
            level: data.u32(5),
            flags: data.u32(6).unwrap_or(0),
        }),
        b"objref" => Instruction::Object {
            kind: data.u32(1).unwrap_or(0),
            name: data.name(2),
            by: data.register(3).zip(data.name(4)),
        },
        _ => return Ok(None),
    }))
}

/// What a named counter, quota or limit has seen, and what a proxy for SYN packets does; `None` for other objects.
pub(super) fn object(kind: u32, bytes: &[u8]) -> Result<Option<Instruction>, Malformed> {
    let name: &[u8] = match kind {
        1 => b"counter",
        2 => b"quota",
        4 => b"limit",
        10 => return act(b"synproxy", &Found::read(bytes)?),
        _ => return Ok(None),
    };
    state(name, &Found::read(bytes)?)
}

/// What a rule has counted, found without reading the rest of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets and bytes of its first counter.
    pub counter: Option<(u64, u64)>,
    /// Milliseconds since it was reached last.
    pub last: Option<u64>,
}

/// Finds what a rule has counted in its attributes, and its handle.
pub(super) fn counted(bytes: &[u8]) -> Result<(u64, Counted), Malformed> {
    const HANDLE: u16 = 3;
    const EXPRESSIONS: u16 = 4;
    let (mut handle, mut counted) = (0, Counted::default());
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            HANDLE => handle = attribute.be64()?,
            EXPRESSIONS => {
                for one in attributes(attribute.bytes).take(MAX_INSTRUCTIONS) {
                    count(one?.bytes, &mut counted)?;
                }
            }
            _ => {}
        }
    }
    Ok((handle, counted))
}

fn count(bytes: &[u8], counted: &mut Counted) -> Result<(), Malformed> {
    let mut parts = attributes(bytes);
    // the name comes first
    let Some(name) = parts.next().transpose()? else { return Ok(()) };
    match name.string() {
        b"counter" if counted.counter.is_none() => {}
        b"last" => {}
        _ => return Ok(()),
    }
    let Some(data) = parts.next().transpose()? else { return Ok(()) };
    match state(name.string(), &Found::read(data.bytes)?)? {
        Some(Instruction::Counter { packets, bytes }) => counted.counter = Some((packets, bytes)),
        Some(Instruction::Last { ago }) => counted.last = ago,
        _ => {}
    }
    Ok(())
}

/// Instructions that do something with the packet.
fn act(name: &[u8], data: &Found<'_>) -> Result<Option<Instruction>, Malformed> {
    Ok(Some(match name {
        b"queue" => Instruction::Queue {
            number: data.u16(1).unwrap_or(0),
            total: data.u16(2).unwrap_or(1),
            flags: data.u16(3).unwrap_or(0),
            from: data.register(4),
        },
        b"reject" => Instruction::Reject { kind: data.need_u32(1)?, code: data.u8(2).unwrap_or(0) },
        b"nat" => Instruction::Nat(Nat {
            kind: if data.need_u32(1)? == 0 { NatKind::Snat } else { NatKind::Dnat },
            family: data.need_u32(2)?,
            addresses: [data.register(3), data.register(4)],
            ports: [data.register(5), data.register(6)],
            flags: data.u32(7).unwrap_or(0),
        }),
        b"masq" => translation(NatKind::Masquerade, data.u32(1), [data.register(2), data.register(3)]),
        b"redir" => translation(NatKind::Redirect, data.u32(3), [data.register(1), data.register(2)]),
        b"tproxy" => {
            Instruction::Tproxy { family: data.need_u32(1)?, address: data.register(2), port: data.register(3) }
        }
        b"dup" => Instruction::Dup { address: data.register(1), device: data.register(2) },
        b"fwd" => Instruction::Fwd { device: data.need_register(1)?, address: data.register(2), family: data.u32(3) },
        b"notrack" => Instruction::Notrack,
        b"flow_offload" => Instruction::Offload { flowtable: data.name(1).ok_or(Malformed)? },
        b"synproxy" => Instruction::Synproxy {
            mss: data.u16(1).unwrap_or(0),
            wscale: data.u8(2).unwrap_or(0),
            flags: data.u32(3).unwrap_or(0),
        },
        _ => return Ok(None),
    }))
}

/// As many attributes as any instruction has.
type Found<'a> = Attrs<'a, 12>;

/// Instructions that only load.
fn load(name: &[u8], data: &Found<'_>) -> Result<Option<(Register, Source)>, Malformed> {
    let (to, what) = match name {
        b"rt" => (1, Source::Route(data.need_u32(2)?)),
        b"socket" => (2, Source::Socket { key: data.need_u32(1)?, level: data.u32(3).unwrap_or(0) }),
        b"osf" => (1, Source::Osf { ttl: data.u8(2).unwrap_or(0), flags: data.u32(3).unwrap_or(0) }),
        b"fib" => (1, Source::Fib { result: data.need_u32(2)?, flags: data.need_u32(3)? }),
        b"xfrm" => {
            let (key, direction) = (data.need_u32(2)?, data.u8(3).unwrap_or(0));
            (1, Source::Xfrm { key, direction, number: data.u32(4).unwrap_or(0) })
        }
        b"numgen" => {
            let (modulus, kind) = (data.need_u32(2)?, data.need_u32(3)?);
            (1, Source::Numgen { kind, modulus, offset: data.u32(4).unwrap_or(0) })
        }
        b"hash" => {
            // a symmetric hash is of the connection
            let of = if data.u32(7) == Some(1) { None } else { Some((data.need_register(1)?, data.need_u32(3)?)) };
            let (modulus, seed, offset) = (data.need_u32(4)?, data.u32(5), data.u32(6).unwrap_or(0));
            (2, Source::Hash { of, modulus, seed, offset })
        }
        b"tunnel" => (2, Source::Tunnel(data.need_u32(1)?)),
        _ => return Ok(None),
    };
    Ok(Some((data.need_register(to)?, what)))
}

fn immediate(attrs: &Found<'_>) -> Result<Instruction, Malformed> {
    Ok(match data(attrs.need(2)?)? {
        Data::Verdict(verdict) => Instruction::Verdict(verdict),
        Data::Value(data) => Instruction::Immediate { to: attrs.need_register(1)?, data },
    })
}

fn bitwise(data: &Found<'_>) -> Result<Instruction, Malformed> {
    let (of, to) = (data.need_register(1)?, data.need_register(2)?);
    Ok(match data.u32(6).unwrap_or(0) {
        0 => {
            let (mask, xor) = (data.value(4)?, data.value(5)?);
            if mask.len() != xor.len() {
                return Err(Malformed);
            }
            Instruction::Bitwise { of, to, mask, xor }
        }
        op @ (1 | 2) => Instruction::Shift { of, to, left: op == 1, by: data.value(7)? },
        op => {
            let by = match op {
                3 => Combined::And,
                4 => Combined::Or,
                5 => Combined::Xor,
                _ => return Ok(Instruction::Unknown(b"bitwise".to_vec())),
            };
            Instruction::Combine { of, with: data.need_register(8)?, to, by }
        }
    })
}

fn lookup(data: &Found<'_>) -> Result<Instruction, Malformed> {
    let (set, of) = (data.name(1).ok_or(Malformed)?, data.need_register(2)?);
    // register 0 is the verdict
    let to = data.u32(3).map(Register::new);
    Ok(Instruction::Lookup { set, of, to, inverted: data.u32(5).unwrap_or(0) & 1 != 0 })
}

fn dynset(data: &Found<'_>) -> Result<Instruction, Malformed> {
    let mut with = Vec::new();
    if let Some(bytes) = data.bytes(7) {
        with.push(read(bytes, false)?);
    } else if let Some(list) = data.bytes(10) {
        for attribute in attributes(list).take(MAX_INSTRUCTIONS) {
            with.push(read(attribute?.bytes, false)?);
        }
    }
    Ok(Instruction::Dynset {
        set: data.name(1).ok_or(Malformed)?,
        op: data.need_u32(3)?,
        key: data.need_register(4)?,
        data: data.register(5),
        timeout: data.u64(6).unwrap_or(0),
        with,
    })
}

fn payload(data: &Found<'_>) -> Result<Instruction, Malformed> {
    let what = Payload { base: data.need_u32(2)?, offset: data.need_u32(3)?, length: data.need_u32(4)? };
    // no more than all registers
    if what.length == 0 || what.length > 64 || what.offset > u32::from(u16::MAX) {
        return Err(Malformed);
    }
    Ok(match data.register(1) {
        Some(to) => Instruction::Load { to, what: Source::Payload(what) },
        None => Instruction::SetPayload { what, from: data.need_register(5)? },
    })
}

fn option(data: &Found<'_>) -> Result<Instruction, Malformed> {
    let what = HeaderOption {
        op: data.u32(6).unwrap_or(0),
        kind: data.u8(2).ok_or(Malformed)?,
        offset: data.u32(3).unwrap_or(0),
        length: data.u32(4).unwrap_or(0),
        present: data.u32(5).unwrap_or(0) & 1 != 0,
    };
    if what.length > 64 || what.offset > u32::from(u16::MAX) {
        return Err(Malformed);
    }
    Ok(match (data.register(1), data.register(7)) {
        (Some(to), _) => Instruction::Load { to, what: Source::Option(what) },
        (None, Some(from)) => Instruction::SetOption { what, from },
        (None, None) => Instruction::Strip(what),
    })
}

fn ct(data: &Found<'_>) -> Result<Instruction, Malformed> {
    let (key, direction) = (data.need_u32(2)?, data.u8(3));
    Ok(match data.register(1) {
        Some(to) => Instruction::Load { to, what: Source::Ct { key, direction } },
        None => Instruction::SetCt { key, direction, from: data.need_register(4)? },
    })
}

fn translation(kind: NatKind, flags: Option<u32>, ports: [Option<Register>; 2]) -> Instruction {
    Instruction::Nat(Nat { kind, family: 0, addresses: [None; 2], ports, flags: flags.unwrap_or(0) })
}
