//! What is a named object made of?
//!
//! What holds no state that a rule could have by itself: helpers, timeouts and expectations of connections, labels of security,
//! keys of tunnels. In parts as `nft list` has them on lines of their own; a timeout that is the usual one is left out, as there.
//!
//! Source: `include/uapi/linux/netfilter/nf_tables.h` (`NFTA_CT_HELPER_*`, `NFTA_CT_TIMEOUT_*`, `NFTA_CT_EXPECT_*`,
//! `NFTA_SECMARK_*`, `NFTA_TUNNEL_KEY_*`), `nfnetlink_cttimeout.h`.

use std::net::IpAddr;

use super::declaration::exactly;
use crate::source::netlink::Malformed;
use crate::source::netlink::route::ip;
use crate::source::nftables::decode::Attrs;

/// `CTA_TIMEOUT_TCP_*` in order, with what `nft` takes for usual, in seconds.
const TCP: [(&str, u32); 11] = [
    ("syn_sent", 120),
    ("syn_recv", 60),
    ("established", 432_000),
    ("fin_wait", 120),
    ("close_wait", 60),
    ("last_ack", 30),
    ("time_wait", 120),
    ("close", 10),
    ("syn_sent2", 120),
    ("retrans", 300),
    ("unack", 300),
];
/// The same of `CTA_TIMEOUT_UDP_*`.
const UDP: [(&str, u32); 2] = [("unreplied", 30), ("replied", 120)];

/// The parts of an object of this kind (`NFT_OBJECT_*`); none of a kind that is not known.
///
/// # Errors
/// It is not made as the kernel makes them.
pub(super) fn parts(kind: u32, raw: &[u8]) -> Result<Vec<String>, Malformed> {
    match kind {
        3 => helper(raw),
        6 => tunnel(raw),
        7 => timeout(raw),
        8 => Ok(Attrs::<2>::read(raw)?.name(1).map(|label| quoted(&label)).into_iter().collect()),
        9 => expectation(raw),
        _ => Ok(Vec::new()),
    }
}

fn quoted(name: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(name))
}

/// `NFPROTO_*` of the connections that it is for.
fn family(number: u16) -> String {
    match number {
        1 => "l3proto inet".to_owned(),
        2 => "l3proto ip".to_owned(),
        10 => "l3proto ip6".to_owned(),
        other => format!("l3proto {other}"),
    }
}

fn protocol(number: u8) -> String {
    match i32::from(number) {
        libc::IPPROTO_TCP => "protocol tcp".to_owned(),
        libc::IPPROTO_UDP => "protocol udp".to_owned(),
        other => format!("protocol {other}"),
    }
}

fn helper(raw: &[u8]) -> Result<Vec<String>, Malformed> {
    let attrs = Attrs::<4>::read(raw)?;
    let kind = attrs.name(1).map(|name| format!("type {} ", quoted(&name)));
    let kind = attrs.u8(3).map(|number| kind.unwrap_or_default() + &protocol(number));
    Ok(kind.into_iter().chain(attrs.u16(2).map(family)).collect())
}

fn timeout(raw: &[u8]) -> Result<Vec<String>, Malformed> {
    let attrs = Attrs::<4>::read(raw)?;
    let names: &[(&str, u32)] = match attrs.u8(2).map(i32::from) {
        Some(libc::IPPROTO_TCP) => &TCP,
        Some(libc::IPPROTO_UDP) => &UDP,
        _ => &[],
    };
    let policy = Attrs::<12>::read(attrs.bytes(3).unwrap_or_default())?;
    let unusual = (1..).zip(names).filter_map(|(place, (name, usual))| {
        let seconds = policy.u32(place).filter(|seconds| seconds != usual)?;
        Some(format!("{name} : {seconds}"))
    });
    let policy = unusual.collect::<Vec<_>>().join(", ");
    let policy = (!policy.is_empty()).then(|| format!("policy = {{ {policy} }}"));
    Ok(attrs.u8(2).map(protocol).into_iter().chain(attrs.u16(1).map(family)).chain(policy).collect())
}

fn expectation(raw: &[u8]) -> Result<Vec<String>, Malformed> {
    let attrs = Attrs::<6>::read(raw)?;
    // of all numbers this one is in the order of the host
    let timeout = attrs.u32(4).map(|number| u64::from(u32::from_be(number)));
    let parts = [
        attrs.u8(2).map(protocol),
        attrs.u16(3).map(|port| format!("dport {port}")),
        timeout.map(|milliseconds| format!("timeout {}", exactly(milliseconds))),
        attrs.u8(5).map(|size| format!("size {size}")),
        attrs.u16(1).map(family),
    ];
    Ok(parts.into_iter().flatten().collect())
}

fn tunnel(raw: &[u8]) -> Result<Vec<String>, Malformed> {
    let attrs = Attrs::<10>::read(raw)?;
    let mut parts: Vec<String> = attrs.u32(1).map(|id| format!("id {id}")).into_iter().collect();
    for nest in [2, 3].into_iter().filter_map(|kind| attrs.bytes(kind)) {
        let ends = Attrs::<3>::read(nest)?;
        for (kind, end) in [(1, "saddr"), (2, "daddr")] {
            let Some(address) = ends.bytes(kind).and_then(ip) else { continue };
            let family = if matches!(address, IpAddr::V4(_)) { "ip" } else { "ip6" };
            parts.push(format!("{family} {end} {address}"));
        }
    }
    parts.extend(attrs.u16(7).map(|port| format!("sport {port}")));
    parts.extend(attrs.u16(8).map(|port| format!("dport {port}")));
    parts.extend(attrs.u8(5).map(|tos| format!("tos {tos}")));
    parts.extend(attrs.u8(6).map(|ttl| format!("ttl {ttl}")));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::attr::{push, push_nested};

    // what the kernel of the tests or the `nft` of the tests has no words for; the others are compared with `nft`
    #[test]
    fn labels_and_keys_of_tunnels_have_their_parts() {
        let mut label = Vec::new();
        push(&mut label, 1, b"system_u:object_r:ssh_server_packet_t:s0\0");
        assert_eq!(parts(8, &label), Ok(vec!["\"system_u:object_r:ssh_server_packet_t:s0\"".to_owned()]));
        let mut key = Vec::new();
        push(&mut key, 1, &10_u32.to_be_bytes());
        push_nested(&mut key, 2, |ends| {
            push(ends, 1, &[192, 0, 2, 1]);
            push(ends, 2, &[192, 0, 2, 2]);
        });
        push(&mut key, 8, &4789_u16.to_be_bytes());
        push(&mut key, 6, &[64]);
        let expected = ["id 10", "ip saddr 192.0.2.1", "ip daddr 192.0.2.2", "dport 4789", "ttl 64"];
        assert_eq!(parts(6, &key).unwrap(), expected);
    }

    #[test]
    fn what_is_cut_is_malformed_and_what_is_not_known_has_no_parts() {
        for kind in [3, 6, 7, 8, 9] {
            assert_eq!(parts(kind, &[9, 0, 1]), Err(Malformed), "{kind}");
        }
        assert_eq!(parts(99, &[9, 0, 1]), Ok(Vec::new()));
    }
}
