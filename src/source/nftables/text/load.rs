//! What can be asked of a packet beside its bytes?
//!
//! Names, kinds and orders are those of the nftables manual page and of `include/uapi/linux/netfilter/nf_tables.h`.

use std::fmt::Write as _;

use super::kind::{Kind, Order};
use crate::source::nftables::instruction::Source;

/// Name, kind, bits and order.
type Known = (&'static str, Kind, u32, Order);

/// Keys of `meta`, by number.
fn meta(key: u32) -> Known {
    use Order::{Host, Network};
    match key {
        0 => ("length", Kind::Integer, 32, Host),
        1 => ("protocol", Kind::EtherType, 16, Network),
        2 => ("priority", Kind::ClassId, 32, Host),
        3 => ("mark", Kind::Mark, 32, Host),
        4 => ("iif", Kind::Interface, 32, Host),
        5 => ("oif", Kind::Interface, 32, Host),
        6 => ("iifname", Kind::InterfaceName, 128, Host),
        7 => ("oifname", Kind::InterfaceName, 128, Host),
        8 => ("iiftype", Kind::InterfaceType, 16, Host),
        9 => ("oiftype", Kind::InterfaceType, 16, Host),
        10 => ("skuid", Kind::Uid, 32, Host),
        11 => ("skgid", Kind::Gid, 32, Host),
        12 => ("nftrace", Kind::Integer, 1, Host),
        13 => ("rtclassid", Kind::Realm, 32, Host),
        14 => ("secmark", Kind::Integer, 32, Host),
        15 => ("nfproto", Kind::NfProto, 8, Host),
        16 => ("l4proto", Kind::Protocol, 8, Host),
        17 => ("ibrname", Kind::InterfaceName, 128, Host),
        18 => ("obrname", Kind::InterfaceName, 128, Host),
        19 => ("pkttype", Kind::PacketType, 8, Host),
        20 => ("cpu", Kind::Integer, 32, Host),
        21 => ("iifgroup", Kind::InterfaceGroup, 32, Host),
        22 => ("oifgroup", Kind::InterfaceGroup, 32, Host),
        23 => ("cgroup", Kind::Integer, 32, Host),
        // it has no order
        24 => ("random", Kind::Integer, 32, Network),
        25 => ("ipsec", Kind::Boolean, 8, Host),
        26 => ("iifkind", Kind::InterfaceName, 128, Host),
        27 => ("oifkind", Kind::InterfaceName, 128, Host),
        28 => ("ibrpvid", Kind::Integer, 16, Host),
        29 => ("ibrvproto", Kind::EtherType, 16, Network),
        30 => ("time", Kind::Date, 64, Host),
        31 => ("day", Kind::Day, 8, Host),
        32 => ("hour", Kind::Hour, 32, Host),
        33 => ("sdif", Kind::Interface, 32, Host),
        34 => ("sdifname", Kind::InterfaceName, 128, Host),
        35 => ("broute", Kind::Integer, 1, Host),
        _ => ("", Kind::Integer, 32, Host),
    }
}

/// Keys of `ct`, by number.
fn ct(key: u32) -> Known {
    use Order::{Host, Network};
    match key {
        0 => ("state", Kind::CtState, 32, Host),
        1 => ("direction", Kind::CtDirection, 8, Host),
        2 => ("status", Kind::CtStatus, 32, Host),
        3 => ("mark", Kind::Mark, 32, Host),
        4 => ("secmark", Kind::Integer, 32, Host),
        5 => ("expiration", Kind::Time, 32, Host),
        6 => ("helper", Kind::Text, 128, Host),
        7 => ("l3proto", Kind::NfProto, 8, Host),
        8 => ("saddr", Kind::Invalid, 0, Network),
        9 => ("daddr", Kind::Invalid, 0, Network),
        10 => ("protocol", Kind::Protocol, 8, Network),
        11 => ("proto-src", Kind::Service, 16, Network),
        12 => ("proto-dst", Kind::Service, 16, Network),
        13 => ("label", Kind::CtLabel, 128, Host),
        14 => ("packets", Kind::Integer, 64, Host),
        15 => ("bytes", Kind::Integer, 64, Host),
        16 => ("avgpkt", Kind::Integer, 64, Host),
        17 => ("zone", Kind::Integer, 16, Host),
        18 => ("event", Kind::CtEvent, 32, Host),
        19 => ("ip saddr", Kind::Ipv4, 32, Network),
        20 => ("ip daddr", Kind::Ipv4, 32, Network),
        21 => ("ip6 saddr", Kind::Ipv6, 128, Network),
        22 => ("ip6 daddr", Kind::Ipv6, 128, Network),
        23 => ("id", Kind::Integer, 32, Network),
        _ => ("", Kind::Integer, 32, Host),
    }
}

/// Kind, order and bits of what is loaded.
pub(in crate::source::nftables) fn shape(source: &Source) -> (Kind, Order, u32) {
    let (_, kind, bits, order) = match source {
        Source::Meta(key) => meta(*key),
        Source::Ct { key, .. } => ct(*key),
        Source::Route(key) => match key {
            0 => ("", Kind::Realm, 32, Order::Host),
            1 => ("", Kind::Ipv4, 32, Order::Network),
            2 => ("", Kind::Ipv6, 128, Order::Network),
            4 => ("", Kind::Boolean, 8, Order::Host),
            _ => ("", Kind::Integer, 16, Order::Host),
        },
        Source::Socket { key, .. } => match key {
            1 => ("", Kind::Mark, 32, Order::Host),
            3 => ("", Kind::Cgroup, 64, Order::Host),
            _ => ("", Kind::Integer, 8, Order::Host),
        },
        Source::Osf { .. } => ("", Kind::Text, 128, Order::Host),
        Source::Fib { flags, result } => match result {
            _ if flags & FIB_PRESENT != 0 => ("", Kind::Boolean, if *result == 2 { 128 } else { 32 }, Order::Host),
            1 => ("", Kind::Interface, 32, Order::Host),
            2 => ("", Kind::Text, 128, Order::Host),
            _ => ("", Kind::FibAddress, 32, Order::Host),
        },
        Source::Xfrm { key, .. } => match key {
            1 | 3 => ("", Kind::Ipv4, 32, Order::Network),
            2 | 4 => ("", Kind::Ipv6, 128, Order::Network),
            5 => ("", Kind::Integer, 32, Order::Host),
            _ => ("", Kind::Integer, 32, Order::Network),
        },
        Source::Tunnel(0) => ("", Kind::Boolean, 8, Order::Host),
        // numbers in the order of the host
        _ => ("", Kind::Integer, 32, Order::Host),
    };
    (kind, order, bits)
}

/// `NFTA_FIB_F_PRESENT`
const FIB_PRESENT: u32 = 1 << 5;
/// `NFTA_FIB_F_*`, as they are written.
const FIB_FLAGS: [(u32, &str); 5] = [(1, "saddr"), (2, "daddr"), (4, "mark"), (8, "iif"), (16, "oif")];

/// Writes what is loaded.
pub(super) fn write(out: &mut String, source: &Source) {
    // writing into a string cannot fail
    let _ = match source {
        Source::Meta(key) => {
            out.push_str(if matches!(key, 4..=7 | 21 | 22) { "" } else { "meta " });
            named(out, meta(*key).0, *key)
        }
        Source::Ct { key, direction } => {
            out.push_str(match direction {
                Some(0) => "ct original ",
                Some(1) => "ct reply ",
                _ => "ct ",
            });
            named(out, ct(*key).0, *key)
        }
        Source::Route(key) => {
            let name = ["classid", "ip nexthop", "ip6 nexthop", "mtu", "ipsec"];
            out.push_str("rt ");
            named(out, name.get(*key as usize).copied().unwrap_or_default(), *key)
        }
        Source::Socket { key: 3, level } => write!(out, "socket cgroupv2 level {level}"),
        Source::Socket { key, .. } => {
            out.push_str("socket ");
            named(out, ["transparent", "mark", "wildcard"].get(*key as usize).copied().unwrap_or_default(), *key)
        }
        Source::Osf { ttl, flags } => {
            let ttl = ["", "ttl loose ", "ttl skip "].get(usize::from(*ttl)).copied().unwrap_or_default();
            write!(out, "osf {ttl}{}", if flags & 1 == 0 { "name" } else { "version" })
        }
        Source::Fib { flags, result } => fib(out, flags & !FIB_PRESENT, *result),
        Source::Xfrm { key, direction, number } => xfrm(out, *key, *direction, *number),
        Source::Numgen { kind, modulus, offset } => {
            let kind = ["inc", "random"].get(*kind as usize).copied().unwrap_or("[unknown numgen]");
            let _ = write!(out, "numgen {kind} mod {modulus}");
            if *offset == 0 { Ok(()) } else { write!(out, " offset {offset}") }
        }
        Source::Hash { modulus, seed, offset, .. } => {
            out.push_str("symhash");
            hash(out, *modulus, *seed, *offset);
            Ok(())
        }
        Source::Tunnel(key) => {
            out.push_str("tunnel ");
            named(out, ["path", "id"].get(*key as usize).copied().unwrap_or_default(), *key)
        }
        // these are terms of their own
        Source::Payload(_) | Source::Option(_) => Ok(()),
    };
}

/// A name, or the number of what this program does not know.
fn named(out: &mut String, name: &str, number: u32) -> std::fmt::Result {
    if name.is_empty() { write!(out, "#{number}") } else { write!(out, "{name}") }
}

/// The rest of a hash.
pub(super) fn hash(out: &mut String, modulus: u32, seed: Option<u32>, offset: u32) {
    let _ = write!(out, " mod {modulus}");
    if let Some(seed) = seed {
        let _ = write!(out, " seed 0x{seed:x}");
    }
    if offset != 0 {
        let _ = write!(out, " offset {offset}");
    }
}

fn fib(out: &mut String, flags: u32, result: u32) -> std::fmt::Result {
    let mut between = "fib ";
    let mut left = flags;
    for (flag, name) in FIB_FLAGS {
        if flags & flag != 0 {
            write!(out, "{between}{name}")?;
            between = " . ";
            left &= !flag;
        }
    }
    if left != 0 {
        write!(out, "{between}0x{left:x}")?;
    }
    let result = ["", "oif", "oifname", "type"].get(result as usize).copied().unwrap_or("unknown");
    write!(out, " {result}")
}

fn xfrm(out: &mut String, key: u32, direction: u8, number: u32) -> std::fmt::Result {
    match direction {
        0 => write!(out, "ipsec in")?,
        1 => write!(out, "ipsec out")?,
        other => write!(out, "ipsec (unknown dir {other})")?,
    }
    if number != 0 {
        write!(out, " spnum {number}")?;
    }
    match ["", " ip daddr", " ip6 daddr", " ip saddr", " ip6 saddr", " reqid", " spi"].get(key as usize) {
        Some(name) => write!(out, "{name}"),
        None => write!(out, " (unknown key 0x{key:x})"),
    }
}
