//! How is written what happens to a packet?

use std::fmt::Write as _;

use super::Scene;
use super::kind::Kind;
use super::term::{Node, Term};
use crate::source::nftables::instruction::{Log, NatKind};
use crate::source::nftables::{NFPROTO_IPV4, NFPROTO_IPV6};

/// A translation of addresses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Translation {
    pub(super) kind: NatKind,
    /// Family of the address, where that is written.
    pub(super) family: u32,
    /// Whether only the first bits are translated.
    pub(super) prefix: bool,
    pub(super) address: Option<Term>,
    pub(super) ports: Option<Term>,
    /// `NF_NAT_RANGE_*`
    pub(super) flags: u32,
}

/// Writes a translation of addresses.
pub(super) fn nat(out: &mut String, nat: &Translation, scene: &Scene<'_>) -> std::fmt::Result {
    let Translation { kind, family, prefix, address, ports, flags } = nat;
    out.push_str(match kind {
        NatKind::Snat => "snat",
        NatKind::Dnat => "dnat",
        NatKind::Masquerade => "masquerade",
        NatKind::Redirect => "redirect",
    });
    if address.is_some() || ports.is_some() {
        if let Some(name) = family_name(*family) {
            write!(out, " {name}")?;
        }
        out.push_str(if *prefix { " prefix to" } else { " to" });
    }
    if let Some(address) = address {
        out.push(' ');
        bracketed(out, address, ports.is_some(), scene);
    }
    if let Some(ports) = ports {
        out.push_str(if address.is_none() { " :" } else { ":" });
        ports.write(out, scene);
    }
    let mut between = ' ';
    for (flag, name) in [(1 << 2, "random"), (1 << 4, "fully-random"), (1 << 3, "persistent")] {
        if flags & flag != 0 {
            write!(out, "{between}{name}")?;
            between = ',';
        }
    }
    Ok(())
}

/// An address that a port follows; one of IPv6 has brackets.
pub(super) fn bracketed(out: &mut String, address: &Term, port: bool, scene: &Scene<'_>) {
    match &address.node {
        Node::Value(_) if port && address.kind == Kind::Ipv6 => {
            out.push('[');
            address.write(out, scene);
            out.push(']');
        }
        Node::Range(from, to) if port && from.kind == Kind::Ipv6 => {
            bracketed(out, from, port, scene);
            out.push('-');
            bracketed(out, to, port, scene);
        }
        _ => address.write(out, scene),
    }
}

pub(super) fn family_name(family: u32) -> Option<&'static str> {
    match family {
        NFPROTO_IPV4 => Some("ip"),
        NFPROTO_IPV6 => Some("ip6"),
        _ => None,
    }
}

/// A count of bytes in the largest unit that leaves no fraction.
pub(super) fn amount(bytes: u64) -> (u64, &'static str) {
    match bytes {
        0 => (0, "bytes"),
        _ if bytes.is_multiple_of(1 << 20) => (bytes >> 20, "mbytes"),
        _ if bytes.is_multiple_of(1 << 10) => (bytes >> 10, "kbytes"),
        _ => (bytes, "bytes"),
    }
}

fn unit(seconds: u64) -> &'static str {
    match seconds {
        1 => "second",
        60 => "minute",
        3600 => "hour",
        86_400 => "day",
        604_800 => "week",
        _ => "error",
    }
}

pub(super) fn limit(
    out: &mut String,
    (rate, per): (u64, u64),
    burst: u32,
    bytes: bool,
    over: bool,
) -> std::fmt::Result {
    let over = if over { "over " } else { "" };
    if bytes {
        let (number, name) = amount(rate);
        write!(out, "limit rate {over}{number} {name}/{}", unit(per))?;
        let (number, name) = amount(u64::from(burst));
        return if burst == 0 { Ok(()) } else { write!(out, " burst {number} {name}") };
    }
    write!(out, "limit rate {over}{rate}/{}", unit(per))?;
    // five is what nobody has asked for
    if matches!(burst, 0 | 5) { Ok(()) } else { write!(out, " burst {burst} packets") }
}

/// `LOG_WARNING`
const WARNING: u32 = 4;

pub(super) fn log(out: &mut String, told: &Log) -> std::fmt::Result {
    const LEVELS: [&str; 9] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];
    const ALL: u32 = 0x2f;
    let Log { prefix, group, snaplen, threshold, level, flags } = told;
    out.push_str("log");
    if let Some(prefix) = prefix {
        write!(out, " prefix \"{}\"", String::from_utf8_lossy(prefix))?;
    }
    let to_group = |_: &u32| group.is_some();
    for (name, number) in [
        ("group", group.map(u32::from)),
        ("snaplen", snaplen.filter(to_group)),
        ("queue-threshold", threshold.map(u32::from).filter(to_group)),
    ] {
        if let Some(number) = number {
            write!(out, " {name} {number}")?;
        }
    }
    if let Some(level) = level.filter(|level| group.is_none() && *level != WARNING) {
        write!(out, " level {}", LEVELS.get(level as usize).copied().unwrap_or("unknown"))?;
    }
    if flags & ALL == ALL {
        return write!(out, " flags all");
    }
    out.push_str(match flags & 3 {
        0 => "",
        1 => " flags tcp sequence",
        2 => " flags tcp options",
        _ => " flags tcp sequence,options",
    });
    for (flag, name) in [(4, "ip options"), (8, "skuid"), (0x20, "ether")] {
        if flags & flag != 0 {
            write!(out, " flags {name}")?;
        }
    }
    Ok(())
}

pub(super) fn reject(out: &mut String, kind: u32, code: u8, family: u32, verbose: bool) -> std::fmt::Result {
    const ICMP: u32 = 0;
    const TCP_RESET: u32 = 1;
    const ICMPX: u32 = 2;
    out.push_str("reject");
    match (kind, family) {
        (TCP_RESET, _) => write!(out, " with tcp reset"),
        (ICMPX, _) if code == 1 => Ok(()),
        (ICMPX, _) => write!(out, " with icmpx {code}"),
        (ICMP, NFPROTO_IPV4) if verbose || code != 3 => write!(out, " with icmp {code}"),
        (ICMP, NFPROTO_IPV6) if verbose || code != 4 => write!(out, " with icmpv6 {code}"),
        _ => Ok(()),
    }
}
