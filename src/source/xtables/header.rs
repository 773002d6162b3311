//! How are matches written that look at headers of IPv6, of IPsec and of DCCP, or guess a system by them?

use super::List;
use super::info::{Info, Options, names, network, range, some};
use crate::source::netfilter::registered_protocol;

pub(super) const LIST: List = &[
    ("dccp", dccp),
    ("esp", esp),
    ("ah", ah),
    ("policy", policy),
    ("frag", frag),
    ("rt", rt),
    ("hbh", hbh),
    ("dst", dst),
    ("ipv6header", ipv6header),
    ("mh", mh),
    ("eui64", eui64),
    ("ipcomp", ipcomp),
    ("osf", osf),
];

const DCCP_TYPES: [(u32, &str); 11] = [
    (1, "REQUEST"),
    (1 << 1, "RESPONSE"),
    (1 << 2, "DATA"),
    (1 << 3, "ACK"),
    (1 << 4, "DATAACK"),
    (1 << 5, "CLOSEREQ"),
    (1 << 6, "CLOSE"),
    (1 << 7, "RESET"),
    (1 << 8, "SYNC"),
    (1 << 9, "SYNCACK"),
    (1 << 10, "INVALID"),
];

fn ipcomp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    some(out, info.u8(8)? & 1 != 0, "ipcompspi", (info.u32(0)?, info.u32(4)?), u32::MAX);
    out.flags(info.u8(9)?.into(), &[(u32::MAX, "compres")]);
    Some(())
}

fn osf(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let flags = info.u32(36)?;
    out.put(flags & 8 != 0, "genre", info.text(0, 32)?);
    for (bit, place, option) in [(2, 44, "ttl"), (4, 40, "log")] {
        if flags & bit != 0 {
            out.put(false, option, info.u32(place)?);
        }
    }
    Some(())
}

fn dccp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (flags, inverted) = (info.u16(8)?, info.u16(10)?);
    for (bit, place, option) in [(1, 4, "sport"), (2, 0, "dport")] {
        if flags & bit != 0 {
            out.put(inverted & bit != 0, option, range(info.u16(place)?, info.u16(place + 2)?, ':'));
        }
    }
    if flags & 4 != 0 {
        out.put(inverted & 4 != 0, "dccp-types", names(info.u16(12)?.into(), &DCCP_TYPES));
    }
    if flags & 8 != 0 {
        out.put(inverted & 8 != 0, "dccp-option", info.u8(14)?);
    }
    Some(())
}

fn esp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    some(out, info.u8(8)? & 1 != 0, "espspi", (info.u32(0)?, info.u32(4)?), u32::MAX);
    Some(())
}

fn ah(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let inverted = info.u8(if info.is_ipv6 { 13 } else { 8 })?;
    some(out, inverted & 1 != 0, "ahspi", (info.u32(0)?, info.u32(4)?), u32::MAX);
    if info.is_ipv6 {
        let length = info.u32(8)?;
        if length != 0 || inverted & 2 != 0 {
            out.put(inverted & 2 != 0, "ahlen", length);
        }
        if info.u8(12)? != 0 {
            out.flag(false, "ahres");
        }
    }
    Some(())
}

/// What IPsec has done to a packet, or will do.
fn policy(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const MOST: u16 = 4;
    /// `sizeof(struct xt_policy_elem)`
    const ELEMENT: usize = 76;
    /// `XT_POLICY_MATCH_*`
    const IN: u16 = 1;
    const NONE: u16 = 4;
    const STRICT: u16 = 8;
    let (flags, count) = (info.u16(304)?, info.u16(306)?.min(MOST));
    out.put(false, "dir", if flags & IN != 0 { "in" } else { "out" });
    out.put(false, "pol", if flags & NONE != 0 { "none" } else { "ipsec" });
    if flags & STRICT != 0 {
        out.flag(false, "strict");
    }
    for element in 0..usize::from(count) {
        if element > 0 {
            out.flag(false, "next");
        }
        transformation(info, out, element * ELEMENT)?;
    }
    Some(())
}

/// `struct xt_policy_elem`
fn transformation(info: &Info<'_>, out: &mut Options, at: usize) -> Option<()> {
    /// Bits of `struct xt_policy_spec`.
    const SOURCE: u8 = 1;
    const DESTINATION: u8 = 2;
    const PROTOCOL: u8 = 4;
    const MODE: u8 = 8;
    const SPI: u8 = 16;
    const ID: u8 = 32;
    let (matched, inverted) = (info.u8(at + 74)?, info.u8(at + 75)?);
    let network_at = |place: usize| Some(network(info.address(place)?, info.address(place + 16)?, false));
    let [protocol, mode] = info.at(at + 72)?;
    for (bit, option, value) in [
        (ID, "reqid", info.u32(at + 68)?.to_string()),
        (SPI, "spi", format!("{:#x}", info.u32(at + 64)?)),
        (PROTOCOL, "proto", registered_protocol(protocol).into_owned()),
        (MODE, "mode", if mode == 0 { "transport" } else { "tunnel" }.to_owned()),
        (DESTINATION, "tunnel-dst", network_at(at + 32)?),
        (SOURCE, "tunnel-src", network_at(at)?),
    ] {
        if matched & bit != 0 {
            out.put(inverted & bit != 0, option, value);
        }
    }
    Some(())
}

fn frag(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const LENGTH: u8 = 2;
    let (flags, inverted) = (info.u8(12)?, info.u8(13)?);
    some(out, inverted & 1 != 0, "fragid", (info.u32(0)?, info.u32(4)?), u32::MAX);
    if flags & LENGTH != 0 {
        out.put(inverted & LENGTH != 0, "fraglen", info.u32(8)?);
    }
    out.flags(flags.into(), &[(4, "fragres"), (8, "fragfirst"), (16, "fragmore"), (32, "fraglast")]);
    Some(())
}

fn rt(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const TYPE: u8 = 1;
    const LENGTH: u8 = 4;
    const MOST: u8 = 16;
    let (flags, inverted) = (info.u8(16)?, info.u8(17)?);
    if flags & TYPE != 0 {
        out.put(inverted & TYPE != 0, "rt-type", info.u32(0)?);
    }
    some(out, inverted & 2 != 0, "rt-segsleft", (info.u32(4)?, info.u32(8)?), u32::MAX);
    if flags & LENGTH != 0 {
        out.put(inverted & LENGTH != 0, "rt-len", info.u32(12)?);
    }
    out.flags(flags.into(), &[(8, "rt-0-res")]);
    let count = usize::from(info.u8(276)?.min(MOST));
    let addresses = (0..count).map(|hop| Some(info.address(20 + hop * 16)?.to_string()));
    let addresses = addresses.collect::<Option<Vec<_>>>()?;
    if !addresses.is_empty() {
        out.put(false, "rt-0-addrs", addresses.join(","));
    }
    out.flags(flags.into(), &[(32, "rt-0-not-strict")]);
    Some(())
}

fn hbh(info: &Info<'_>, out: &mut Options) -> Option<()> {
    options(info, out, "hbh")
}

fn dst(info: &Info<'_>, out: &mut Options) -> Option<()> {
    options(info, out, "dst")
}

/// Options for hops and for the destination are told alike.
fn options(info: &Info<'_>, out: &mut Options, word: &str) -> Option<()> {
    const LENGTH: u8 = 1;
    const MOST: u8 = 16;
    const ANY_LENGTH: u8 = u8::MAX;
    let (flags, inverted) = (info.u8(4)?, info.u8(5)?);
    if flags & LENGTH != 0 {
        out.put(inverted & LENGTH != 0, &format!("{word}-len"), info.u32(0)?);
    }
    let count = usize::from(info.u8(38)?.min(MOST));
    let listed = (0..count).map(|option| {
        let [kind, length] = info.u16(6 + option * 2)?.to_be_bytes();
        Some(if length == ANY_LENGTH { kind.to_string() } else { format!("{kind}:{length}") })
    });
    let listed = listed.collect::<Option<Vec<_>>>()?;
    if !listed.is_empty() {
        out.put(false, &format!("{word}-opts"), listed.join(","));
    }
    Some(())
}

fn ipv6header(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const HEADERS: [(u32, &str); 8] = [
        (1 << 7, "hop-by-hop"),
        (1 << 6, "ipv6-opts"),
        (1 << 5, "ipv6-route"),
        (1 << 4, "ipv6-frag"),
        (1 << 3, "ah"),
        (1 << 2, "esp"),
        (1 << 1, "ipv6-nonxt"),
        (1, "protocol"),
    ];
    let [matched, inverted, soft] = info.at(0)?;
    out.put(inverted != 0, "header", names(matched.into(), &HEADERS));
    if soft != 0 {
        out.flag(false, "soft");
    }
    Some(())
}

fn mh(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let [from, to, inverted] = info.at(0)?;
    some(out, inverted & 1 != 0, "mh-type", (from, to), u8::MAX);
    Some(())
}

/// Its number says nothing.
fn eui64(info: &Info<'_>, _: &mut Options) -> Option<()> {
    info.u32(0).is_some().then_some(())
}
