//! How are targets written that do not translate addresses?

use super::List;
use super::info::{Info, Options, bits, names, quoted};
use super::packet::set_of;

pub(super) const LIST: List = &[
    ("MARK", mark),
    ("CONNMARK", connmark),
    ("REJECT", reject),
    ("LOG", log),
    ("NFLOG", nflog),
    ("NFQUEUE", nfqueue),
    ("TCPMSS", tcpmss),
    ("CT", ct),
    ("NOTRACK", plain),
    ("TRACE", plain),
    ("TPROXY", tproxy),
    ("TTL", ttl),
    ("HL", ttl),
    ("DSCP", dscp),
    ("TOS", tos),
    ("TEE", tee),
    ("SET", set),
    ("CLASSIFY", classify),
    ("CHECKSUM", checksum),
    ("ECN", ecn),
    ("TCPOPTSTRIP", tcpoptstrip),
    ("SYNPROXY", synproxy),
    ("AUDIT", audit),
    ("RATEEST", super::estimate::estimator),
    ("IDLETIMER", idletimer),
    ("HMARK", hmark),
    ("CONNSECMARK", connsecmark),
];

fn idletimer(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(false, "timeout", info.u32(0)?);
    out.put(false, "label", info.text(4, 28)?);
    if info.revision > 0 && info.u8(33)? & 1 != 0 {
        out.flag(false, "alarm");
    }
    Some(())
}

fn hmark(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let flags = info.u32(40)?;
    let is = |bit: u32| flags & (1 << bit) != 0;
    for (bit, place, option) in [(0, 0, "hmark-src-prefix"), (1, 16, "hmark-dst-prefix")] {
        if is(bit) {
            out.put(false, option, bits(info.address(place)?));
        }
    }
    for (bit, place, option) in [(2, 36, "hmark-spi"), (3, 32, "hmark-spi-mask")] {
        if is(bit) {
            out.put(false, option, format_args!("{:#010x}", u32::from_be_bytes(info.at(place)?)));
        }
    }
    let ports =
        [(4, 36, "hmark-sport"), (5, 38, "hmark-dport"), (6, 32, "hmark-sport-mask"), (7, 34, "hmark-dport-mask")];
    for (bit, place, option) in ports {
        if is(bit) {
            out.put(false, option, format_args!("{:#06x}", info.be16(place)?));
        }
    }
    if is(8) {
        out.put(false, "hmark-proto-mask", format_args!("{:#04x}", info.u16(44)?));
    }
    if is(9) {
        out.put(false, "hmark-rnd", format_args!("{:#010x}", info.u32(48)?));
    }
    for (bit, place, option) in [(10, 52, "hmark-mod"), (11, 56, "hmark-offset")] {
        if is(bit) {
            out.put(false, option, info.u32(place)?);
        }
    }
    if is(12) {
        out.put(false, "hmark-tuple", "ct");
    }
    Some(())
}

fn connsecmark(info: &Info<'_>, out: &mut Options) -> Option<()> {
    match info.u8(0)? {
        1 => out.flag(false, "save"),
        2 => out.flag(false, "restore"),
        _ => return None,
    }
    Some(())
}

/// It has no structure.
fn plain(info: &Info<'_>, _: &mut Options) -> Option<()> {
    info.bytes.is_empty().then_some(())
}

fn mark(info: &Info<'_>, out: &mut Options) -> Option<()> {
    if info.revision < 2 {
        return None;
    }
    out.put(false, "set-xmark", format_args!("{:#x}/{:#x}", info.u32(0)?, info.u32(4)?));
    Some(())
}

fn connmark(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (mark, mask, of_packet) = (info.u32(0)?, info.u32(4)?, info.u32(8)?);
    let (right, shift, mode) = match info.revision {
        1 => (false, 0, info.u8(12)?),
        2 => (info.u8(12)? != 0, info.u8(13)?, info.u8(14)?),
        _ => return None,
    };
    match mode {
        0 => out.put(false, "set-xmark", format_args!("{mark:#x}/{mask:#x}")),
        mode @ (1 | 2) => {
            out.flag(false, if mode == 1 { "save-mark" } else { "restore-mark" });
            out.put(false, "nfmask", format_args!("{of_packet:#x}"));
            out.put(false, "ctmask", format_args!("{mask:#x}"));
        }
        _ => return None,
    }
    if shift != 0 {
        out.put(false, if right { "right-shift-mark" } else { "left-shift-mark" }, shift);
    }
    Some(())
}

fn reject(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const IPV4: [&str; 9] = [
        "icmp-net-unreachable",
        "icmp-host-unreachable",
        "icmp-proto-unreachable",
        "icmp-port-unreachable",
        "echo-reply",
        "icmp-net-prohibited",
        "icmp-host-prohibited",
        "tcp-reset",
        "icmp-admin-prohibited",
    ];
    const IPV6: [&str; 9] = [
        "icmp6-no-route",
        "icmp6-adm-prohibited",
        "icmp6-not-neighbour",
        "icmp6-addr-unreachable",
        "icmp6-port-unreachable",
        "icmp6-echo-reply",
        "tcp-reset",
        "icmp6-policy-fail",
        "icmp6-reject-route",
    ];
    let words = if info.is_ipv6 { IPV6 } else { IPV4 };
    out.put(false, "reject-with", *words.get(info.u32(0)? as usize)?);
    Some(())
}

fn log(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const USUAL: u8 = 4;
    let (level, flags, prefix) = (info.u8(0)?, info.u8(1)?, info.text(2, 30)?);
    if !prefix.is_empty() {
        out.put(false, "log-prefix", quoted(&prefix));
    }
    if level != USUAL {
        out.put(false, "log-level", level);
    }
    out.flags(
        flags.into(),
        &[
            (1, "log-tcp-sequence"),
            (2, "log-tcp-options"),
            (4, "log-ip-options"),
            (8, "log-uid"),
            (0x20, "log-macdecode"),
        ],
    );
    Some(())
}

fn nflog(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (length, group, threshold) = (info.u32(0)?, info.u16(4)?, info.u16(6)?);
    let (flags, prefix) = (info.u16(8)?, info.text(12, 64)?);
    if !prefix.is_empty() {
        out.put(false, "nflog-prefix", quoted(&prefix));
    }
    if group != 0 {
        out.put(false, "nflog-group", group);
    }
    if flags & 1 != 0 {
        out.put(false, "nflog-size", length);
    } else if length != 0 {
        out.put(false, "nflog-range", length);
    }
    if threshold != 0 {
        out.put(false, "nflog-threshold", threshold);
    }
    Some(())
}

fn nfqueue(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let number = info.u16(0)?;
    let (total, flags) = match info.revision {
        0 => (1, 0),
        1 => (info.u16(2)?, 0),
        _ => (info.u16(2)?, info.u16(4)?),
    };
    if total > 1 {
        out.put(false, "queue-balance", format_args!("{number}:{}", number.saturating_add(total - 1)));
    } else {
        out.put(false, "queue-num", number);
    }
    out.flags(flags.into(), &[(1, "queue-bypass"), (2, "queue-cpu-fanout")]);
    Some(())
}

fn tcpmss(info: &Info<'_>, out: &mut Options) -> Option<()> {
    match info.u16(0)? {
        u16::MAX => out.flag(false, "clamp-mss-to-pmtu"),
        size => out.put(false, "set-mss", size),
    }
    Some(())
}

const EVENTS: [(u32, &str); 10] = [
    (1, "new"),
    (1 << 1, "related"),
    (1 << 2, "destroy"),
    (1 << 3, "reply"),
    (1 << 4, "assured"),
    (1 << 5, "protoinfo"),
    (1 << 6, "helper"),
    (1 << 7, "mark"),
    (1 << 8, "natseqinfo"),
    (1 << 9, "secmark"),
];

fn ct(info: &Info<'_>, out: &mut Options) -> Option<()> {
    /// `XT_CT_*`
    const NOTRACK: u16 = 1;
    const ALIAS: u16 = 2;
    const ORIGINAL: u16 = 4;
    const REPLY: u16 = 8;
    const MARK: u16 = 16;
    let (flags, zone, events, expected) = (info.u16(0)?, info.u16(2)?, info.u32(4)?, info.u32(8)?);
    if flags & ALIAS != 0 {
        out.name = "NOTRACK";
        return Some(());
    }
    if flags & NOTRACK != 0 {
        out.flag(false, "notrack");
    }
    let (helper, timeout) = (info.text(12, 16)?, if info.revision == 0 { String::new() } else { info.text(28, 32)? });
    for (option, text) in [
        ("helper", helper),
        ("timeout", timeout),
        ("ctevents", names(events, &EVENTS)),
        ("expevents", names(expected, &EVENTS)),
    ] {
        if !text.is_empty() {
            out.put(false, option, text);
        }
    }
    let option = match flags & (ORIGINAL | REPLY) {
        ORIGINAL => "zone-orig",
        REPLY => "zone-reply",
        _ => "zone",
    };
    if flags & MARK != 0 {
        out.put(false, option, "mark");
    } else if zone != 0 {
        out.put(false, option, zone);
    }
    Some(())
}

fn tproxy(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (mask, value) = (info.u32(0)?, info.u32(4)?);
    let (address, port) = match info.revision {
        0 => (info.address(8)?, info.be16(12)?),
        _ => (info.address(8)?, info.be16(24)?),
    };
    out.put(false, "on-port", port);
    out.put(false, "on-ip", address);
    out.put(false, "tproxy-mark", format_args!("{value:#x}/{mask:#x}"));
    Some(())
}

/// The hop limit of IPv6 is the same.
fn ttl(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let word = if info.is_ipv6 { "hl" } else { "ttl" };
    let how = *["set", "inc", "dec"].get(usize::from(info.u8(0)?))?;
    out.put(false, &format!("{word}-{how}"), info.u8(1)?);
    Some(())
}

fn dscp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(false, "set-dscp", format_args!("{:#04x}", info.u8(0)?));
    Some(())
}

fn tos(info: &Info<'_>, out: &mut Options) -> Option<()> {
    if info.revision == 0 {
        return None;
    }
    out.put(false, "set-tos", format_args!("{:#04x}/{:#04x}", info.u8(0)?, info.u8(1)?));
    Some(())
}

fn tee(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(false, "gateway", info.address(0)?);
    let device = info.text(16, 16)?;
    if !device.is_empty() {
        out.put(false, "oif", device);
    }
    Some(())
}

fn set(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const NONE: u16 = u16::MAX;
    const EXIST: u32 = 1;
    const MAPPED: [(u32, &str); 3] = [(1 << 8, "map-mark"), (1 << 9, "map-prio"), (1 << 10, "map-queue")];
    let (flags, timeout) = match info.revision {
        1 => (0, u32::MAX),
        2 => (info.u32(8)?, info.u32(12)?),
        3 => (info.u32(12)?, info.u32(16)?),
        _ => return None,
    };
    if info.u16(0)? != NONE {
        out.put(false, "add-set", set_of(info, 0)?);
        if flags & EXIST != 0 {
            out.flag(false, "exist");
        }
        if timeout != u32::MAX {
            out.put(false, "timeout", timeout);
        }
    }
    if info.u16(4)? != NONE {
        out.put(false, "del-set", set_of(info, 4)?);
    }
    if info.revision == 3 && info.u16(8)? != NONE {
        out.put(false, "map-set", set_of(info, 8)?);
        out.flags(flags, &MAPPED);
    }
    Some(())
}

fn classify(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let class = info.u32(0)?;
    out.put(false, "set-class", format_args!("{:04x}:{:04x}", class >> 16, class & 0xffff));
    Some(())
}

fn checksum(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.flags(info.u8(0)?.into(), &[(1, "checksum-fill")]);
    Some(())
}

fn ecn(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (operation, ect, bits) = (info.u8(0)?, info.u8(1)?, info.u8(2)?);
    if operation & 0x30 == 0x30 && bits.trailing_zeros() >= 2 {
        out.flag(false, "ecn-tcp-remove");
    } else if operation & 0x30 != 0 {
        return None;
    }
    if operation & 1 != 0 {
        out.put(false, "ecn-ip-ect", ect);
    }
    Some(())
}

fn tcpoptstrip(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let mut kinds = Vec::new();
    for kind in 0_u32..256 {
        if info.u32(kind as usize / 32 * 4)? & (1 << (kind % 32)) != 0 {
            kinds.push(kind.to_string());
        }
    }
    out.put(false, "strip-options", kinds.join(","));
    Some(())
}

fn synproxy(info: &Info<'_>, out: &mut Options) -> Option<()> {
    /// `NF_SYNPROXY_OPT_*`
    const SIZE: u8 = 1;
    const SCALE: u8 = 2;
    let options = info.u8(0)?;
    out.flags(options.into(), &[(4, "sack-perm"), (8, "timestamp")]);
    if options & SCALE != 0 {
        out.put(false, "wscale", info.u8(1)?);
    }
    if options & SIZE != 0 {
        out.put(false, "mss", info.u16(2)?);
    }
    out.flags(options.into(), &[(16, "ecn")]);
    Some(())
}

fn audit(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(false, "type", *["accept", "drop", "reject"].get(usize::from(info.u8(0)?))?);
    Some(())
}
