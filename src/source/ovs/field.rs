//! Which field of a packet is meant, and how is a value of it written?
//!
//! Fields have headers of OXM (OpenFlow 1.2 and later) or of NXM, its forerunner: a class, a number, whether a mask follows, and a
//! length. Names and forms are those of `ovs-ofctl`.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::openflow::Bytes;
use super::text::{Names, port};

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Decimal,
    Hex,
    Ip,
    Ip6,
    Mac,
    Port,
    CtState,
    TcpFlags,
    TunFlags,
    Frag,
    PacketType,
}

use Form::{CtState, Decimal, Frag, Hex, Ip, Ip6, Mac, PacketType, Port, TcpFlags, TunFlags};

// classes
const NXM_OF: u32 = 0;
const NXM_NX: u32 = 1;
const OXM_OF: u32 = 0x8000;
pub(super) const PACKET_REGS: u32 = 0x8001;
const EXPERIMENTER: u32 = 0xffff;

// what stands for the class of those who experiment, their own numbers
const NX: u32 = 0x2320;
const NSH: u32 = 0x005a_d650;
const ONF: u32 = 0x4f4e_4600;

/// A field, or several that have numbers in their names.
#[derive(Debug)]
pub(super) struct Field {
    /// Classes and numbers, those of the first of several.
    headers: &'static [(u32, u8)],
    /// How many there are.
    count: u8,
    /// Its name in the text of a match.
    pub(super) label: &'static str,
    /// Its name elsewhere.
    pub(super) name: &'static str,
    /// The name of its header.
    long: &'static str,
    bits: u16,
    form: Form,
}

const fn one(
    headers: &'static [(u32, u8)],
    (label, name, long): (&'static str, &'static str, &'static str),
    bits: u16,
    form: Form,
) -> Field {
    Field { headers, count: 1, label, name, long, bits, form }
}

const fn many(header: &'static [(u32, u8)], count: u8, names: [&'static str; 2], bits: u16) -> Field {
    Field { headers: header, count, label: names[0], name: names[0], long: names[1], bits, form: Hex }
}

/// All fields, in the order in which a match is written.
#[rustfmt::skip]
pub(super) static FIELDS: [Field; 86] = [
    one(&[(NXM_NX, 33)], ("pkt_mark", "pkt_mark", "NXM_NX_PKT_MARK"), 32, Hex),
    one(&[(NXM_NX, 36)], ("recirc_id", "recirc_id", "NXM_NX_RECIRC_ID"), 32, Hex),
    one(&[(NXM_NX, 35), (NX, 0)], ("dp_hash", "dp_hash", "NXM_NX_DP_HASH"), 32, Hex),
    one(&[(NXM_NX, 37)], ("conj_id", "conj_id", "NXM_NX_CONJ_ID"), 32, Decimal),
    one(&[(OXM_OF, 43), (ONF, 43)], ("actset_output", "actset_output", "ONFOXM_ET_ACTSET_OUTPUT"), 32, Port),
    one(&[(NXM_NX, 105)], ("ct_state", "ct_state", "NXM_NX_CT_STATE"), 32, CtState),
    one(&[(NXM_NX, 106)], ("ct_zone", "ct_zone", "NXM_NX_CT_ZONE"), 16, Hex),
    one(&[(NXM_NX, 107)], ("ct_mark", "ct_mark", "NXM_NX_CT_MARK"), 32, Hex),
    one(&[(NXM_NX, 108)], ("ct_label", "ct_label", "NXM_NX_CT_LABEL"), 128, Hex),
    one(&[(NXM_NX, 120)], ("ct_nw_src", "ct_nw_src", "NXM_NX_CT_NW_SRC"), 32, Ip),
    one(&[(NXM_NX, 122)], ("ct_ipv6_src", "ct_ipv6_src", "NXM_NX_CT_IPV6_SRC"), 128, Ip6),
    one(&[(NXM_NX, 121)], ("ct_nw_dst", "ct_nw_dst", "NXM_NX_CT_NW_DST"), 32, Ip),
    one(&[(NXM_NX, 123)], ("ct_ipv6_dst", "ct_ipv6_dst", "NXM_NX_CT_IPV6_DST"), 128, Ip6),
    one(&[(NXM_NX, 119)], ("ct_nw_proto", "ct_nw_proto", "NXM_NX_CT_NW_PROTO"), 8, Decimal),
    one(&[(NXM_NX, 124)], ("ct_tp_src", "ct_tp_src", "NXM_NX_CT_TP_SRC"), 16, Decimal),
    one(&[(NXM_NX, 125)], ("ct_tp_dst", "ct_tp_dst", "NXM_NX_CT_TP_DST"), 16, Decimal),
    one(&[(OXM_OF, 44)], ("packet_type", "packet_type", "OXM_OF_PACKET_TYPE"), 32, PacketType),
    many(&[(NXM_NX, 0)], 16, ["reg", "NXM_NX_REG"], 32),
    many(&[(NX, 17)], 16, ["reg1", "NXOXM_ET_REG1"], 32),
    many(&[(PACKET_REGS, 0)], 16, ["xreg", "OXM_OF_PKT_REG"], 64),
    many(&[(NXM_NX, 111)], 4, ["xxreg", "NXM_NX_XXREG"], 128),
    one(&[(NXM_NX, 16), (OXM_OF, 38)], ("tun_id", "tun_id", "NXM_NX_TUN_ID"), 64, Hex),
    one(&[(NXM_NX, 31)], ("tun_src", "tun_src", "NXM_NX_TUN_IPV4_SRC"), 32, Ip),
    one(&[(NXM_NX, 32)], ("tun_dst", "tun_dst", "NXM_NX_TUN_IPV4_DST"), 32, Ip),
    one(&[(NXM_NX, 109)], ("tun_ipv6_src", "tun_ipv6_src", "NXM_NX_TUN_IPV6_SRC"), 128, Ip6),
    one(&[(NXM_NX, 110)], ("tun_ipv6_dst", "tun_ipv6_dst", "NXM_NX_TUN_IPV6_DST"), 128, Ip6),
    one(&[(NXM_NX, 38)], ("tun_gbp_id", "tun_gbp_id", "NXM_NX_TUN_GBP_ID"), 16, Decimal),
    one(&[(NXM_NX, 39)], ("tun_gbp_flags", "tun_gbp_flags", "NXM_NX_TUN_GBP_FLAGS"), 8, Hex),
    one(&[(NX, 12)], ("tun_erspan_ver", "tun_erspan_ver", "NXOXM_ET_ERSPAN_VER"), 4, Decimal),
    one(&[(NX, 11)], ("tun_erspan_idx", "tun_erspan_idx", "NXOXM_ET_ERSPAN_IDX"), 20, Hex),
    one(&[(NX, 13)], ("tun_erspan_dir", "tun_erspan_dir", "NXOXM_ET_ERSPAN_DIR"), 1, Decimal),
    one(&[(NX, 14)], ("tun_erspan_hwid", "tun_erspan_hwid", "NXOXM_ET_ERSPAN_HWID"), 6, Hex),
    one(&[(NX, 15)], ("gtpu_flags", "tun_gtpu_flags", "NXOXM_ET_GTPU_FLAGS"), 8, Hex),
    one(&[(NX, 16)], ("gtpu_msgtype", "tun_gtpu_msgtype", "NXOXM_ET_GTPU_MSGTYPE"), 8, Decimal),
    one(&[(NXM_NX, 104)], ("tun_flags", "tun_flags", "NXM_NX_TUN_FLAGS"), 1, TunFlags),
    many(&[(NXM_NX, 40)], 64, ["tun_metadata", "NXM_NX_TUN_METADATA"], 992),
    one(&[(OXM_OF, 2)], ("metadata", "metadata", "OXM_OF_METADATA"), 64, Hex),
    one(&[(NXM_OF, 0)], ("in_port", "in_port", "NXM_OF_IN_PORT"), 16, Port),
    one(&[(OXM_OF, 0)], ("in_port", "in_port_oxm", "OXM_OF_IN_PORT"), 32, Port),
    one(&[(NXM_OF, 4)], ("vlan_tci", "vlan_tci", "NXM_OF_VLAN_TCI"), 16, Hex),
    one(&[(OXM_OF, 6)], ("vlan_vid", "vlan_vid", "OXM_OF_VLAN_VID"), 12, Decimal),
    one(&[(OXM_OF, 7)], ("vlan_pcp", "vlan_pcp", "OXM_OF_VLAN_PCP"), 3, Decimal),
    one(&[(NXM_OF, 2), (OXM_OF, 4)], ("dl_src", "eth_src", "NXM_OF_ETH_SRC"), 48, Mac),
    one(&[(NXM_OF, 1), (OXM_OF, 3)], ("dl_dst", "eth_dst", "NXM_OF_ETH_DST"), 48, Mac),
    one(&[(NXM_OF, 3), (OXM_OF, 5)], ("dl_type", "eth_type", "NXM_OF_ETH_TYPE"), 16, Hex),
    one(&[(NXM_NX, 19), (OXM_OF, 26)], ("ipv6_src", "ipv6_src", "NXM_NX_IPV6_SRC"), 128, Ip6),
    one(&[(NXM_NX, 20), (OXM_OF, 27)], ("ipv6_dst", "ipv6_dst", "NXM_NX_IPV6_DST"), 128, Ip6),
    one(&[(NXM_NX, 27), (OXM_OF, 28)], ("ipv6_label", "ipv6_label", "NXM_NX_IPV6_LABEL"), 20, Hex),
    one(&[(NXM_OF, 16), (OXM_OF, 22)], ("arp_spa", "arp_spa", "NXM_OF_ARP_SPA"), 32, Ip),
    one(&[(NXM_OF, 17), (OXM_OF, 23)], ("arp_tpa", "arp_tpa", "NXM_OF_ARP_TPA"), 32, Ip),
    one(&[(NSH, 1)], ("nsh_flags", "nsh_flags", "NXOXM_NSH_FLAGS"), 8, Decimal),
    one(&[(NSH, 10)], ("nsh_ttl", "nsh_ttl", "NXOXM_NSH_TTL"), 8, Decimal),
    one(&[(NSH, 2)], ("nsh_mdtype", "nsh_mdtype", "NXOXM_NSH_MDTYPE"), 8, Decimal),
    one(&[(NSH, 3)], ("nsh_np", "nsh_np", "NXOXM_NSH_NP"), 8, Decimal),
    one(&[(NSH, 4)], ("nsh_spi", "nsh_spi", "NXOXM_NSH_SPI"), 24, Hex),
    one(&[(NSH, 5)], ("nsh_si", "nsh_si", "NXOXM_NSH_SI"), 8, Decimal),
    // from 1 on, but no header has the number below
    many(&[(NSH, 5)], 5, ["nsh_c", "NXOXM_NSH_C"], 32),
    one(&[(NXM_OF, 7), (OXM_OF, 11)], ("nw_src", "ip_src", "NXM_OF_IP_SRC"), 32, Ip),
    one(&[(NXM_OF, 8), (OXM_OF, 12)], ("nw_dst", "ip_dst", "NXM_OF_IP_DST"), 32, Ip),
    one(&[(NXM_OF, 6), (OXM_OF, 10)], ("nw_proto", "nw_proto", "NXM_OF_IP_PROTO"), 8, Decimal),
    one(&[(NXM_OF, 15), (OXM_OF, 21)], ("arp_op", "arp_op", "NXM_OF_ARP_OP"), 16, Decimal),
    one(&[(NXM_NX, 17), (OXM_OF, 24)], ("arp_sha", "arp_sha", "NXM_NX_ARP_SHA"), 48, Mac),
    one(&[(NXM_NX, 18), (OXM_OF, 25)], ("arp_tha", "arp_tha", "NXM_NX_ARP_THA"), 48, Mac),
    one(&[(NXM_OF, 5)], ("nw_tos", "nw_tos", "NXM_OF_IP_TOS"), 8, Decimal),
    one(&[(OXM_OF, 8)], ("nw_tos", "ip_dscp", "OXM_OF_IP_DSCP"), 6, Decimal),
    one(&[(NXM_NX, 28), (OXM_OF, 9)], ("nw_ecn", "nw_ecn", "NXM_NX_IP_ECN"), 2, Decimal),
    one(&[(NXM_NX, 29)], ("nw_ttl", "nw_ttl", "NXM_NX_IP_TTL"), 8, Decimal),
    one(&[(OXM_OF, 34)], ("mpls_label", "mpls_label", "OXM_OF_MPLS_LABEL"), 20, Decimal),
    one(&[(OXM_OF, 35)], ("mpls_tc", "mpls_tc", "OXM_OF_MPLS_TC"), 3, Decimal),
    one(&[(NXM_NX, 30)], ("mpls_ttl", "mpls_ttl", "NXM_NX_MPLS_TTL"), 8, Decimal),
    one(&[(OXM_OF, 36)], ("mpls_bos", "mpls_bos", "OXM_OF_MPLS_BOS"), 1, Decimal),
    one(&[(NXM_NX, 26)], ("nw_frag", "ip_frag", "NXM_NX_IP_FRAG"), 2, Frag),
    one(&[(NXM_OF, 13), (OXM_OF, 19)], ("icmp_type", "icmp_type", "NXM_OF_ICMP_TYPE"), 8, Decimal),
    one(&[(NXM_OF, 14), (OXM_OF, 20)], ("icmp_code", "icmp_code", "NXM_OF_ICMP_CODE"), 8, Decimal),
    one(&[(NXM_NX, 21), (OXM_OF, 29)], ("icmp_type", "icmpv6_type", "NXM_NX_ICMPV6_TYPE"), 8, Decimal),
    one(&[(NXM_NX, 22), (OXM_OF, 30)], ("icmp_code", "icmpv6_code", "NXM_NX_ICMPV6_CODE"), 8, Decimal),
    one(&[(NXM_NX, 23), (OXM_OF, 31)], ("nd_target", "nd_target", "NXM_NX_ND_TARGET"), 128, Ip6),
    one(&[(NXM_NX, 24), (OXM_OF, 32)], ("nd_sll", "nd_sll", "NXM_NX_ND_SLL"), 48, Mac),
    one(&[(NXM_NX, 25), (OXM_OF, 33)], ("nd_tll", "nd_tll", "NXM_NX_ND_TLL"), 48, Mac),
    one(&[(NXM_OF, 9), (OXM_OF, 13)], ("tp_src", "tcp_src", "NXM_OF_TCP_SRC"), 16, Decimal),
    one(&[(NXM_OF, 11), (OXM_OF, 15)], ("tp_src", "udp_src", "NXM_OF_UDP_SRC"), 16, Decimal),
    one(&[(OXM_OF, 17)], ("tp_src", "sctp_src", "OXM_OF_SCTP_SRC"), 16, Decimal),
    one(&[(NXM_OF, 10), (OXM_OF, 14)], ("tp_dst", "tcp_dst", "NXM_OF_TCP_DST"), 16, Decimal),
    one(&[(NXM_OF, 12), (OXM_OF, 16)], ("tp_dst", "udp_dst", "NXM_OF_UDP_DST"), 16, Decimal),
    one(&[(OXM_OF, 18)], ("tp_dst", "sctp_dst", "OXM_OF_SCTP_DST"), 16, Decimal),
    one(&[(NXM_NX, 34), (ONF, 42), (OXM_OF, 42)], ("tcp_flags", "tcp_flags", "NXM_NX_TCP_FLAGS"), 12, TcpFlags),
];

/// What a header names: class, number and length of what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) class: u32,
    pub(super) number: u8,
    pub(super) has_mask: bool,
    pub(super) length: usize,
}

impl Header {
    /// Takes one from the front.
    pub(super) fn take(bytes: &mut Bytes<'_>) -> Option<Self> {
        let (class, field, length) = (u32::from(bytes.u16()?), bytes.u8()?, usize::from(bytes.u8()?));
        let experiments = class == EXPERIMENTER;
        let class = if experiments { bytes.u32()? } else { class };
        let length = if experiments { length.checked_sub(4)? } else { length };
        Some(Self { class, number: field >> 1, has_mask: field & 1 != 0, length })
    }

    /// The field with its place in the list, and which one it is of several.
    pub(super) fn field(self) -> Option<(usize, &'static Field, u8)> {
        let of = |field: &Field| {
            let headers = field.headers.iter().filter(|(class, _)| *class == self.class);
            headers.filter_map(|(_, first)| self.number.checked_sub(*first)).find(|nth| *nth < field.count)
        };
        FIELDS.iter().enumerate().find_map(|(at, field)| Some((at, field, of(field)?)))
    }

    /// Value and mask behind it.
    pub(super) fn value<'a>(self, bytes: &mut Bytes<'a>) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let whole = bytes.take(self.length)?;
        if !self.has_mask {
            return Some((whole, None));
        }
        let (value, mask) = whole.split_at_checked(self.length / 2)?;
        Some((value, Some(mask)))
    }

    /// Writes the short name.
    pub(super) fn name(self, out: &mut String) {
        let _ = match self.field() {
            Some((_, field, nth)) if field.count > 1 => write!(out, "{}{nth}", field.name),
            Some((_, field, _)) => write!(out, "{}", field.name),
            None => write!(out, "{:#x}:{}", self.class, self.number),
        };
    }

    /// Writes some bits of it, as `NXM_NX_REG0[0..15]`.
    pub(super) fn part(self, first: u16, bits: u16, out: &mut String) {
        let _ = match self.field() {
            Some((_, field, nth)) if field.count > 1 => write!(out, "{}{nth}", field.long),
            Some((_, field, _)) => write!(out, "{}", field.long),
            None => write!(out, "{:#x}:{}", self.class, self.number),
        };
        let whole = self.field().map_or(self.length as u16 * 8, |(_, field, _)| field.bits);
        let _ = match bits {
            _ if first == 0 && bits == whole => write!(out, "[]"),
            1 => write!(out, "[{first}]"),
            _ => write!(out, "[{first}..{}]", first.saturating_add(bits).saturating_sub(1)),
        };
    }

    /// Writes a value as outside of a match.
    pub(super) fn say(self, value: &[u8], mask: Option<&[u8]>, names: &Names, out: &mut String) {
        match self.field() {
            Some((_, field, _)) => field.say(value, mask, names, out),
            None => masked(value, mask, hex, out),
        }
    }

    /// How many bits it has.
    pub(super) fn bits(self) -> u16 {
        self.field().map_or(0, |(_, field, _)| field.bits)
    }

    /// How many bytes a value of it has on the wire.
    pub(super) fn bytes(self) -> usize {
        usize::from(self.bits()).div_ceil(8)
    }
}

impl Field {
    /// Its name in a match, which of several it is included.
    pub(super) fn label(&self, nth: u8, out: &mut String) {
        out.push_str(self.label);
        if self.count > 1 {
            let _ = write!(out, "{nth}");
        }
    }

    /// Writes a value as outside of a match.
    fn say(&self, value: &[u8], mask: Option<&[u8]>, names: &Names, out: &mut String) {
        let mask = mask.filter(|mask| mask.iter().any(|byte| *byte != 0xff));
        match (self.form, mask) {
            (_, Some(mask)) if mask.iter().all(|byte| *byte == 0) => out.push_str("ANY"),
            (Decimal, Some(mask)) => {
                decimal(value, out);
                out.push('/');
                hex(mask, out);
            }
            (Decimal, None) => decimal(value, out),
            _ => self.write(value, mask, names, out),
        }
    }

    /// Writes a value as in a match; a mask has at least one bit of each kind.
    pub(super) fn write(&self, value: &[u8], mask: Option<&[u8]>, names: &Names, out: &mut String) {
        match self.form {
            Decimal => match mask {
                Some(mask) => masked(value, Some(mask), padded, out),
                None => decimal(value, out),
            },
            Hex => masked(value, mask, hex, out),
            Ip => network(value, mask, four, out),
            Ip6 => network(value, mask, six, out),
            Mac => masked(value, mask, mac, out),
            Port => port(number(value), names, out),
            CtState => flags(value, mask, (0xff, &CT_STATES), out),
            TcpFlags => flags(value, mask, (0xfff, &TCP_FLAGS), out),
            TunFlags => flags(value, Some(&[1]), (0xf, &["oam"]), out),
            Frag => out.push_str(frag(number(value), mask.map_or(3, number) & 3)),
            PacketType => {
                let (space, kind) = (number(value) >> 16, number(value) & 0xffff);
                let _ = write!(out, "({space},{})", Alternate(kind));
            }
        }
    }
}

/// A number as `%#x` writes it.
struct Alternate(u64);

impl std::fmt::Display for Alternate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "{:#x}", self.0) }
    }
}

const CT_STATES: [&str; 8] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];

const TCP_FLAGS: [&str; 12] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];

/// The number in the last eight bytes.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn decimal(bytes: &[u8], out: &mut String) {
    let _ = write!(out, "{}", number(bytes));
}

/// Hexadecimal digits without zeros in front.
pub(super) fn hex(bytes: &[u8], out: &mut String) {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    match bytes.get(first..) {
        Some([first, rest @ ..]) => {
            let _ = write!(out, "{first:#x}");
            for byte in rest {
                let _ = write!(out, "{byte:02x}");
            }
        }
        _ => out.push('0'),
    }
}

/// Digits as they are written of a number that is decimal without a mask.
fn padded(bytes: &[u8], out: &mut String) {
    let number = number(bytes);
    let _ = match bytes.len() {
        1 => write!(out, "0x{number:02x}"),
        2 => write!(out, "0x{number:x}"),
        _ => write!(out, "0x{number:08x}"),
    };
}

fn mac(bytes: &[u8], out: &mut String) {
    for (at, byte) in bytes.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ":" });
        let _ = write!(out, "{byte:02x}");
    }
}

pub(super) fn four(bytes: &[u8], out: &mut String) {
    let _ = bytes.first_chunk::<4>().map_or(Ok(()), |bytes| write!(out, "{}", Ipv4Addr::from(*bytes)));
}

pub(super) fn six(bytes: &[u8], out: &mut String) {
    let _ = bytes.first_chunk::<16>().map_or(Ok(()), |bytes| write!(out, "{}", Ipv6Addr::from(*bytes)));
}

/// A value with its mask behind it; that of an address may be the length of a prefix.
fn masked(value: &[u8], mask: Option<&[u8]>, write: impl Fn(&[u8], &mut String), out: &mut String) {
    write(value, out);
    if let Some(mask) = mask {
        out.push('/');
        write(mask, out);
    }
}

/// The same of addresses.
fn network(value: &[u8], mask: Option<&[u8]>, write: impl Fn(&[u8], &mut String), out: &mut String) {
    let ones = |mask: &[u8]| {
        let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
        let mut leading = 0;
        for byte in mask {
            leading += byte.leading_ones();
            if *byte != 0xff {
                break;
            }
        }
        (ones == leading).then_some(ones)
    };
    match mask.map(|mask| (mask, ones(mask))) {
        Some((_, Some(length))) => {
            write(value, out);
            let _ = write!(out, "/{length}");
        }
        _ => masked(value, mask, write, out),
    }
}

/// Names of bits: those that are set where all are looked at, `+` and `-` before each otherwise.
fn flags(value: &[u8], mask: Option<&[u8]>, (all, names): (u64, &[&str]), out: &mut String) {
    let (value, mask) = (number(value), mask.map_or(all, number) & all);
    if mask == all {
        let begin = out.len();
        for (_, name) in names.iter().enumerate().filter(|(bit, _)| value >> bit & 1 != 0) {
            out.push_str(if out.len() == begin { "" } else { "|" });
            out.push_str(name);
        }
        out.push_str(if out.len() == begin { "0" } else { "" });
        return;
    }
    for (bit, name) in names.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 != 0) {
        out.push(if value >> bit & 1 != 0 { '+' } else { '-' });
        out.push_str(name);
    }
}

/// Which fragments are meant: bit 0 is any, bit 1 one that is not the first.
fn frag(value: u64, mask: u64) -> &'static str {
    match (mask, value & mask) {
        (3, 3) => "later",
        (3, 1) => "first",
        (3 | 1, 0) => "no",
        (1, _) => "yes",
        (2, 2) => "later",
        (2, _) => "not_later",
        _ => "<error>",
    }
}
