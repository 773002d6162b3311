//! What does `/etc/protocols` call a protocol on most hosts?

/// `IPPROTO_*` with the words of IANA's registry. The connections that the kernel tracks have words of their own
/// ([`crate::model::protocol_name`]).
const NAMES: [(u8, &str); 20] = [
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipencap"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (88, "eigrp"),
    (89, "ospf"),
    (94, "ipip"),
    (103, "pim"),
    (112, "vrrp"),
    (115, "l2tp"),
    (132, "sctp"),
    (135, "mobility-header"),
    (136, "udplite"),
];

/// The word for a protocol, as `iptables` and `ipset` write it; the file itself is not read. `None` for one that goes by its
/// number.
pub fn registered_protocol(number: u8) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}
