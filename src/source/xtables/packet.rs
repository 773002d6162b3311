//! How are matches written that look at the packet itself?

use std::fmt::Write as _;

use super::List;
use super::info::{Info, Options, interface, masked, names, quoted, range, some};

pub(super) const LIST: List = &[
    ("tcp", tcp),
    ("udp", udp),
    ("udplite", udp),
    ("icmp", icmp),
    ("icmp6", icmp),
    ("multiport", multiport),
    ("comment", comment),
    ("mark", mark),
    ("mac", mac),
    ("iprange", iprange),
    ("owner", owner),
    ("addrtype", addrtype),
    ("length", length),
    ("ttl", ttl),
    ("hl", ttl),
    ("dscp", dscp),
    ("tos", tos),
    ("string", string),
    ("u32", u32_test),
    ("physdev", physdev),
    ("socket", socket),
    ("cgroup", cgroup),
    ("tcpmss", tcpmss),
    ("rpfilter", rpfilter),
    ("pkttype", pkttype),
    ("sctp", super::sctp::sctp),
    ("cpu", cpu),
    ("bpf", bpf),
    ("ecn", ecn),
    ("realm", realm),
    ("devgroup", devgroup),
    ("set", set),
];

const TCP_FLAGS: [(u32, &str); 6] = [(1, "FIN"), (2, "SYN"), (4, "RST"), (8, "PSH"), (0x10, "ACK"), (0x20, "URG")];

/// A range of ports, unless it is all of them.
fn ports(info: &Info<'_>, out: &mut Options, place: usize, inverted: bool, option: &str) -> Option<()> {
    some(out, inverted, option, (info.u16(place)?, info.u16(place + 2)?), u16::MAX);
    Some(())
}

fn tcp_flags(bits: u8) -> String {
    let set = names(bits.into(), &TCP_FLAGS);
    if set.is_empty() { "NONE".to_owned() } else { set }
}

fn tcp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (option, mask, compared, inverted) = (info.u8(8)?, info.u8(9)?, info.u8(10)?, info.u8(11)?);
    ports(info, out, 0, inverted & 1 != 0, "sport")?;
    ports(info, out, 4, inverted & 2 != 0, "dport")?;
    if option != 0 || inverted & 8 != 0 {
        out.put(inverted & 8 != 0, "tcp-option", option);
    }
    if mask != 0 || inverted & 4 != 0 {
        out.put(inverted & 4 != 0, "tcp-flags", format_args!("{} {}", tcp_flags(mask), tcp_flags(compared)));
    }
    Some(())
}

fn udp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let inverted = info.u8(8)?;
    ports(info, out, 0, inverted & 1 != 0, "sport")?;
    ports(info, out, 4, inverted & 2 != 0, "dport")
}

fn icmp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let [kind, first, last, inverted] = info.at(0)?;
    let option = if info.is_ipv6 { "icmpv6-type" } else { "icmp-type" };
    let text = match (kind, first, last) {
        (u8::MAX, ..) if !info.is_ipv6 => "any".to_owned(),
        (kind, 0, u8::MAX) => kind.to_string(),
        (kind, first, last) => format!("{kind}/{}", range(first, last, '-')),
    };
    out.put(inverted & 1 != 0, option, text);
    Some(())
}

fn multiport(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const MOST: usize = 15;
    let option = *["sports", "dports", "ports"].get(usize::from(info.u8(0)?))?;
    let count = usize::from(info.u8(1)?).min(MOST);
    let inverted = info.revision > 0 && info.u8(47)? != 0;
    let mut text = String::new();
    let mut after = "";
    for place in 0..count {
        text.push_str(after);
        text.push_str(&info.u16(2 + 2 * place)?.to_string());
        // the next one is the end of a range that begins here
        after = if info.revision > 0 && info.u8(32 + place)? != 0 { ":" } else { "," };
    }
    out.put(inverted, option, text);
    Some(())
}

fn comment(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(false, "comment", quoted(&info.text(0, 256)?));
    Some(())
}

fn mark(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u8(8)? != 0, "mark", masked(info.u32(0)?, info.u32(4)?));
    Some(())
}

fn mac(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let bytes: [u8; 6] = info.at(0)?;
    let text: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    out.put(info.u32(8)? != 0, "mac-source", text.join(":"));
    Some(())
}

fn iprange(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let flags = info.u8(64)?;
    for (place, bit, option) in [(0, 1, "src-range"), (32, 2, "dst-range")] {
        if flags & bit != 0 {
            let (from, to) = (info.address(place)?, info.address(place + 16)?);
            out.put(flags & (bit << 4) != 0, option, format_args!("{from}-{to}"));
        }
    }
    Some(())
}

fn owner(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (matched, inverted) = (info.u8(16)?, info.u8(17)?);
    if matched & 4 != 0 {
        out.flag(inverted & 4 != 0, "socket-exists");
    }
    for (place, bit, option) in [(0, 1, "uid-owner"), (8, 2, "gid-owner")] {
        if matched & bit != 0 {
            out.put(inverted & bit != 0, option, range(info.u32(place)?, info.u32(place + 4)?, '-'));
        }
    }
    if matched & 8 != 0 {
        out.flag(inverted & 8 != 0, "suppl-groups");
    }
    Some(())
}

const ADDRESS_TYPES: [(u32, &str); 12] = [
    (1, "UNSPEC"),
    (1 << 1, "UNICAST"),
    (1 << 2, "LOCAL"),
    (1 << 3, "BROADCAST"),
    (1 << 4, "ANYCAST"),
    (1 << 5, "MULTICAST"),
    (1 << 6, "BLACKHOLE"),
    (1 << 7, "UNREACHABLE"),
    (1 << 8, "PROHIBIT"),
    (1 << 9, "THROW"),
    (1 << 10, "NAT"),
    (1 << 11, "XRESOLVE"),
];

fn addrtype(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (source, destination, flags) = (info.u16(0)?, info.u16(2)?, info.u32(4)?);
    let (not_source, not_destination) = match info.revision {
        0 => (flags != 0, info.u32(8)? != 0),
        _ => (flags & 1 != 0, flags & 2 != 0),
    };
    if source != 0 {
        out.put(not_source, "src-type", names(source.into(), &ADDRESS_TYPES));
    }
    if destination != 0 {
        out.put(not_destination, "dst-type", names(destination.into(), &ADDRESS_TYPES));
    }
    if info.revision > 0 {
        out.flags(flags, &[(4, "limit-iface-in"), (8, "limit-iface-out")]);
    }
    Some(())
}

fn length(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u8(4)? != 0, "length", range(info.u16(0)?, info.u16(2)?, ':'));
    Some(())
}

fn tcpmss(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u8(4)? != 0, "mss", range(info.u16(0)?, info.u16(2)?, ':'));
    Some(())
}

/// The hop limit of IPv6 is the same.
fn ttl(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (mode, word) = (info.u8(0)?, if info.is_ipv6 { "hl" } else { "ttl" });
    let how = *["eq", "eq", "lt", "gt"].get(usize::from(mode))?;
    out.put(mode == 1, &format!("{word}-{how}"), info.u8(1)?);
    Some(())
}

fn dscp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u8(1)? != 0, "dscp", format_args!("{:#04x}", info.u8(0)?));
    Some(())
}

fn tos(info: &Info<'_>, out: &mut Options) -> Option<()> {
    if info.revision == 0 {
        return None;
    }
    out.put(info.u8(2)? != 0, "tos", format_args!("{:#04x}/{:#04x}", info.u8(1)?, info.u8(0)?));
    Some(())
}

fn string(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const PATTERN: usize = 20;
    let length = usize::from(info.u8(148)?).min(128);
    let (flags, pattern) = (info.u8(149)?, info.bytes.get(PATTERN..PATTERN + length)?);
    let inverted = flags & 1 != 0;
    if pattern.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        let text = String::from_utf8_lossy(pattern).replace('\\', "\\\\").replace('"', "\\\"");
        out.put(inverted, "string", format_args!("\"{text}\""));
    } else {
        let hex = pattern.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        out.put(inverted, "hex-string", format_args!("\"|{hex}|\""));
    }
    out.put(false, "algo", info.text(4, 16)?);
    let (from, to) = (info.u16(0)?, info.u16(2)?);
    if from != 0 {
        out.put(false, "from", from);
    }
    if to != u16::MAX {
        out.put(false, "to", to);
    }
    if info.revision > 0 && flags & 2 != 0 {
        out.flag(false, "icase");
    }
    Some(())
}

/// Tests of any four bytes: where they are, and which values they may have.
fn u32_test(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const MOST: usize = 11;
    const PAIR: usize = 8;
    const VALUES: usize = MOST * PAIR;
    const TEST: usize = 2 * VALUES + 4;
    let count = usize::from(info.u8(MOST * TEST)?).min(MOST);
    let mut tests = Vec::new();
    for test in (0..count).map(|place| place * TEST) {
        let (places, values) = (info.u8(test + 2 * VALUES)?, info.u8(test + 2 * VALUES + 1)?);
        let mut text = String::new();
        for place in 0..usize::from(places).min(MOST) {
            let at = test + place * PAIR;
            if place > 0 {
                text.push_str(["&", "<<", ">>", "@"].get(usize::from(info.u8(at + 4)?))?);
            }
            // writing into a string cannot fail
            let _ = write!(text, "{:#x}", info.u32(at)?);
        }
        let mut ranges = Vec::new();
        for at in (0..usize::from(values).min(MOST)).map(|value| test + VALUES + value * PAIR) {
            let (from, to) = (format!("{:#x}", info.u32(at)?), format!("{:#x}", info.u32(at + 4)?));
            ranges.push(range(from.as_str(), to.as_str(), ':'));
        }
        tests.push(format!("{text}={}", ranges.join(",")));
    }
    out.put(info.u8(MOST * TEST + 1)? != 0, "u32", format_args!("\"{}\"", tests.join("&&")));
    Some(())
}

fn physdev(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (inverted, bits) = (info.u8(64)?, info.u8(65)?);
    let name =
        |place: usize| Some(interface(info.bytes.get(place..place + 16)?, info.bytes.get(place + 16..place + 32)?));
    for (bit, option, place) in
        [(8, "is-in", None), (1, "in", Some(0)), (16, "is-out", None), (2, "out", Some(32)), (4, "is-bridged", None)]
    {
        let option = format!("physdev-{option}");
        match place {
            _ if bits & bit == 0 => {}
            Some(place) => out.put(inverted & bit != 0, &option, name(place)?),
            None => out.flag(inverted & bit != 0, &option),
        }
    }
    Some(())
}

fn socket(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let flags = if info.revision == 0 { 0 } else { info.u8(0)? };
    out.flags(flags.into(), &[(1, "transparent"), (2, "nowildcard"), (4, "restore-skmark")]);
    Some(())
}

fn cgroup(info: &Info<'_>, out: &mut Options) -> Option<()> {
    if info.revision == 0 {
        out.put(info.u32(4)? != 0, "cgroup", info.u32(0)?);
        return Some(());
    }
    let (length, class) = if info.revision == 1 { (4096, 4100) } else { (512, 4) };
    if info.u8(0)? != 0 {
        out.put(info.u8(2)? != 0, "path", quoted(&info.text(4, length)?));
    }
    if info.u8(1)? != 0 {
        out.put(info.u8(3)? != 0, "cgroup", info.u32(class)?);
    }
    Some(())
}

fn rpfilter(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.flags(info.u8(0)?.into(), &[(1, "loose"), (2, "validmark"), (4, "accept-local"), (8, "invert")]);
    Some(())
}

fn pkttype(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let kind = *["unicast", "broadcast", "multicast"].get(info.u32(0)? as usize)?;
    out.put(info.u32(4)? != 0, "pkt-type", kind);
    Some(())
}

fn cpu(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u32(4)? != 0, "cpu", info.u32(0)?);
    Some(())
}

/// A program, or the file in which one is pinned.
fn bpf(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const MOST: u16 = 64;
    let (mode, place) = if info.revision == 0 { (0, 0) } else { (info.u16(0)?, 2) };
    let program = if info.revision == 0 { 4 } else { 8 };
    match mode {
        0 => {
            let count = info.u16(place)?.min(MOST);
            let mut text = count.to_string();
            for at in (0..usize::from(count)).map(|instruction| program + instruction * 8) {
                let (code, [yes, no], value) = (info.u16(at)?, info.at(at + 2)?, info.u32(at + 4)?);
                // writing into a string cannot fail
                let _ = write!(text, ",{code} {yes} {no} {value}");
            }
            out.put(false, "bytecode", format_args!("\"{text}\""));
        }
        1 => out.put(false, "object-pinned", info.text(program, 512)?),
        _ => return None,
    }
    Some(())
}

fn ecn(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (matched, inverted) = (info.u8(0)?, info.u8(1)?);
    for (bit, option) in [(0x10, "ecn-tcp-ece"), (0x20, "ecn-tcp-cwr")] {
        if matched & bit != 0 {
            out.flag(inverted & bit != 0, option);
        }
    }
    if matched & 1 != 0 {
        out.put(inverted & 1 != 0, "ecn-ip-ect", info.u8(2)?);
    }
    Some(())
}

fn realm(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u8(8)? != 0, "realm", masked(info.u32(0)?, info.u32(4)?));
    Some(())
}

fn devgroup(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let flags = info.u32(0)?;
    for (bit, place, option) in [(1, 4, "src-group"), (4, 12, "dst-group")] {
        if flags & bit != 0 {
            out.put(flags & (bit << 1) != 0, option, masked(info.u32(place)?, info.u32(place + 4)?));
        }
    }
    Some(())
}

/// A set of `ipset` with the directions of what is looked for in it.
pub(super) fn set_of(info: &Info<'_>, place: usize) -> Option<String> {
    let (index, dimensions, flags) = (info.u16(place)?, info.u8(place + 2)?, info.u8(place + 3)?);
    let name = info.sets.set(index).unwrap_or_else(|| format!("#{index}"));
    let directions = (1..=dimensions.min(6)).map(|bit| if flags & (1 << bit) != 0 { "src" } else { "dst" });
    Some(format!("{name} {}", directions.collect::<Vec<_>>().join(",")))
}

fn set(info: &Info<'_>, out: &mut Options) -> Option<()> {
    /// `IPSET_FLAG_*`
    const NO_COUNTER: u32 = 1 << 3;
    const NO_SUBCOUNTER: u32 = 1 << 4;
    const NO_MATCH: u32 = 1 << 7;
    if info.revision == 0 {
        return None;
    }
    out.put(info.u8(3)? & 1 != 0, "match-set", set_of(info, 0)?);
    let flags = match info.revision {
        1 => 0,
        2 => u32::from(info.u8(3)? & 8 != 0) * NO_MATCH,
        _ => info.u32(40)?,
    };
    if flags & NO_MATCH != 0 {
        out.flag(false, "return-nomatch");
    }
    for (bit, option) in [(NO_COUNTER, "update-counters"), (NO_SUBCOUNTER, "update-subcounters")] {
        if flags & bit != 0 {
            out.flag(true, option);
        }
    }
    if info.revision > 2 {
        let (operation, value) = if info.revision == 3 { (0, 8) } else { (8, 0) };
        for (place, word) in [(8, "packets"), (24, "bytes")] {
            let how = info.u8(place + operation)?;
            if how != 0 {
                let option = format!("{word}-{}", ["eq", "eq", "lt", "gt"].get(usize::from(how) - 1)?);
                out.put(how == 2, &option, info.u64(place + value)?);
            }
        }
    }
    Some(())
}
