//! How are targets written that translate addresses?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::List;
use super::info::{Info, Options, bits, range};
use crate::model::IpText;

pub(super) const LIST: List = &[
    ("SNAT", snat),
    ("DNAT", dnat),
    ("MASQUERADE", ports),
    ("REDIRECT", ports),
    ("NETMAP", netmap),
    ("SNPT", prefixes),
    ("DNPT", prefixes),
];

/// `NF_NAT_RANGE_*`
mod flag {
    pub(super) const ADDRESSES: u32 = 1;
    pub(super) const PORTS: u32 = 1 << 1;
    pub(super) const RANDOM: u32 = 1 << 2;
    pub(super) const PERSISTENT: u32 = 1 << 3;
    pub(super) const RANDOM_FULLY: u32 = 1 << 4;
    pub(super) const OFFSET: u32 = 1 << 5;
}

/// What addresses and ports are translated to.
struct To {
    flags: u32,
    addresses: [IpText; 2],
    ports: [u16; 2],
    /// The port from which others are counted.
    base: Option<u16>,
}

/// `compat` is the structure that rules of IPv4 had at first.
fn to(info: &Info<'_>, compat: bool) -> Option<To> {
    if compat {
        // one range, and never more
        return (info.u32(0)? == 1).then_some(To {
            flags: info.u32(4)?,
            addresses: [info.address(8)?, info.address(12)?],
            ports: [info.be16(16)?, info.be16(18)?],
            base: None,
        });
    }
    Some(To {
        flags: info.u32(0)?,
        addresses: [info.address(4)?, info.address(20)?],
        ports: [info.be16(36)?, info.be16(38)?],
        base: info.be16(40),
    })
}

fn destination(to: &To, out: &mut Options, option: &str) {
    let mut text = String::new();
    if to.flags & flag::ADDRESSES != 0 {
        let [from, last] = to.addresses;
        // the colons of an address are not those of a port
        let bracketed = from.0.is_ipv6() && to.flags & flag::PORTS != 0;
        let addresses = range(from, last, '-');
        text = if bracketed { format!("[{}]", addresses.replace('-', "]-[")) } else { addresses };
    }
    if to.flags & flag::PORTS != 0 {
        let [from, last] = to.ports;
        text.push(':');
        text.push_str(&range(from, last, '-'));
        if let Some(base) = to.base.filter(|_| to.flags & flag::OFFSET != 0) {
            text.push('/');
            text.push_str(&base.to_string());
        }
    }
    out.put(false, option, text);
}

fn manners(to: &To, out: &mut Options) {
    out.flags(
        to.flags,
        &[(flag::RANDOM, "random"), (flag::RANDOM_FULLY, "random-fully"), (flag::PERSISTENT, "persistent")],
    );
}

fn snat(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let to = to(info, !info.is_ipv6 && info.revision == 0)?;
    destination(&to, out, "to-source");
    manners(&to, out);
    Some(())
}

fn dnat(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let to = to(info, !info.is_ipv6 && info.revision == 0)?;
    destination(&to, out, "to-destination");
    manners(&to, out);
    Some(())
}

/// Only ports can be chosen.
fn ports(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let to = to(info, !info.is_ipv6)?;
    if to.flags & flag::PORTS != 0 {
        let [from, last] = to.ports;
        out.put(false, "to-ports", range(from, last, '-'));
    }
    manners(&To { flags: to.flags & !flag::PERSISTENT, ..to }, out);
    Some(())
}

fn netmap(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let to = to(info, !info.is_ipv6)?;
    let [network, last] = to.addresses;
    let mask: IpAddr = match (network.0, last.0) {
        (IpAddr::V4(from), IpAddr::V4(last)) => Ipv4Addr::from_bits(!(from.to_bits() ^ last.to_bits())).into(),
        (IpAddr::V6(from), IpAddr::V6(last)) => Ipv6Addr::from_bits(!(from.to_bits() ^ last.to_bits())).into(),
        _ => return None,
    };
    out.put(false, "to", format_args!("{network}/{}", bits(IpText(mask))));
    Some(())
}

/// One prefix becomes another, and nothing else of an address changes.
fn prefixes(info: &Info<'_>, out: &mut Options) -> Option<()> {
    for (place, length, option) in [(0, 32, "src-pfx"), (16, 33, "dst-pfx")] {
        out.put(false, option, format_args!("{}/{}", info.address(place)?, info.u8(length)?));
    }
    Some(())
}
