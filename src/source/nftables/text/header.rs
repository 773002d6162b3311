//! Which fields do the headers of packets have?
//!
//! Names are those of the nftables manual page; places are those of the protocols' standards. A rule only says which bytes of
//! a header it looks at: which protocol's header it is follows from what it has asked before.

use super::kind::Kind;

/// Where a header stands; the order is that of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    Link = 1,
    Network,
    Transport,
    Inside,
}

impl Layer {
    /// `NFT_PAYLOAD_*_HEADER`
    pub(super) fn of(base: u32) -> Option<Self> {
        Some(match base {
            0 => Self::Link,
            1 => Self::Network,
            2 => Self::Transport,
            3 => Self::Inside,
            _ => return None,
        })
    }

    /// How it is written where no protocol is known.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Link => "ll",
            Self::Network => "nh",
            Self::Transport => "th",
            Self::Inside => "ih",
        }
    }
}

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// One without a description.
    Unknown,
    /// The link layer of family `inet`: only whether it is IPv4 or IPv6.
    Inet,
    /// The link layer of family `netdev`: only the protocol that the device tells.
    Netdev,
    Ether,
    Vlan,
    Arp,
    Ip,
    Ip6,
    Icmp,
    Icmp6,
    Igmp,
    Ah,
    Esp,
    Comp,
    Udp,
    UdpLite,
    Tcp,
    Dccp,
    Sctp,
    /// What all protocols with ports have in common.
    Ports,
}

/// A field of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Bits from the beginning of the header.
    pub(super) offset: u32,
    pub(super) bits: u32,
    /// The type of ICMP message that has it, if not all have.
    pub(super) only: Option<u8>,
    /// Whether its value tells the protocol above.
    pub(super) above: bool,
}

macro_rules! fields {
    (@only) => { None };
    (@only $only:literal) => { Some($only) };
    (@above) => { false };
    (@above above) => { true };
    ($( $name:literal $kind:ident $offset:literal $bits:literal $([$only:literal])? $($above:ident)?; )*) => {
        &[$( Field {
            name: $name, kind: Kind::$kind, offset: $offset, bits: $bits, only: fields!(@only $($only)?),
            above: fields!(@above $($above)?),
        } ),*]
    };
}

const ETHER: &[Field] = fields! { "daddr" Ether 0 48; "saddr" Ether 48 48; "type" EtherType 96 16 above; };
const VLAN: &[Field] = fields! {
    "pcp" Integer 0 3; "dei" Integer 3 1; "cfi" Integer 3 1; "id" Integer 4 12; "type" EtherType 16 16 above;
};
const ARP: &[Field] = fields! {
    "htype" Integer 0 16; "ptype" EtherType 16 16; "hlen" Integer 32 8; "plen" Integer 40 8;
    "operation" ArpOperation 48 16; "saddr ether" Ether 64 48; "saddr ip" Ipv4 112 32; "daddr ether" Ether 144 48;
    "daddr ip" Ipv4 192 32;
};
const IP: &[Field] = fields! {
    "version" Integer 0 4; "hdrlength" Integer 4 4; "dscp" Dscp 8 6; "ecn" Ecn 14 2; "length" Integer 16 16;
    "id" Integer 32 16; "frag-off" Integer 48 16; "ttl" Integer 64 8; "protocol" Protocol 72 8 above;
    "checksum" Integer 80 16; "saddr" Ipv4 96 32; "daddr" Ipv4 128 32;
};
const IP6: &[Field] = fields! {
    "version" Integer 0 4; "dscp" Dscp 4 6; "ecn" Ecn 10 2; "flowlabel" Integer 12 20; "length" Integer 32 16;
    "nexthdr" Protocol 48 8 above; "hoplimit" Integer 56 8; "saddr" Ipv6 64 128; "daddr" Ipv6 192 128;
};
const ICMP: &[Field] = fields! {
    "type" IcmpType 0 8 above; "code" IcmpCode 8 8; "checksum" Integer 16 16; "id" Integer 32 16 [8];
    "sequence" Integer 48 16 [8]; "gateway" Integer 32 32 [5]; "mtu" Integer 48 16 [3];
};
const ICMP6: &[Field] = fields! {
    "type" Icmpv6Type 0 8 above; "code" Icmpv6Code 8 8; "checksum" Integer 16 16;
    "parameter-problem" Integer 32 32 [4]; "mtu" Integer 32 32 [2]; "id" Integer 32 16 [128];
    "sequence" Integer 48 16 [128]; "max-delay" Integer 32 16 [130];
};
const IGMP: &[Field] =
    fields! { "type" IgmpType 0 8; "mrt" Integer 8 8; "checksum" Integer 16 16; "group" Integer 32 32; };
const AH: &[Field] = fields! {
    "nexthdr" Protocol 0 8 above; "hdrlength" Integer 8 8; "reserved" Integer 16 16; "spi" Integer 32 32;
    "sequence" Integer 64 32;
};
const ESP: &[Field] = fields! { "spi" Integer 0 32; "sequence" Integer 32 32; };
const COMP: &[Field] = fields! { "nexthdr" Protocol 0 8 above; "flags" Bitmask 8 8; "cpi" Integer 16 16; };
const UDP: &[Field] = fields! {
    "sport" Service 0 16; "dport" Service 16 16; "length" Integer 32 16; "checksum" Integer 48 16;
};
const UDPLITE: &[Field] = fields! {
    "sport" Service 0 16; "dport" Service 16 16; "csumcov" Integer 32 16; "checksum" Integer 48 16;
};
const TCP: &[Field] = fields! {
    "sport" Service 0 16; "dport" Service 16 16; "sequence" Integer 32 32; "ackseq" Integer 64 32; "doff" Integer 96 4;
    "reserved" Integer 100 4; "flags" TcpFlag 104 8; "window" Integer 112 16; "checksum" Integer 128 16;
    "urgptr" Integer 144 16;
};
const DCCP: &[Field] = fields! { "sport" Service 0 16; "dport" Service 16 16; "type" DccpType 67 4; };
const SCTP: &[Field] = fields! {
    "sport" Service 0 16; "dport" Service 16 16; "vtag" Integer 32 32; "checksum" Integer 64 32;
};
const PORTS: &[Field] = fields! { "sport" Service 0 16; "dport" Service 16 16; };

/// `ETH_P_8021Q`
pub(super) const ETH_P_8021Q: u128 = 0x8100;

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Inet => "inet",
            Self::Netdev => "netdev",
            Self::Ether => "ether",
            Self::Vlan => "vlan",
            Self::Arp => "arp",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Icmp => "icmp",
            Self::Icmp6 => "icmpv6",
            Self::Igmp => "igmp",
            Self::Ah => "ah",
            Self::Esp => "esp",
            Self::Comp => "comp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Tcp => "tcp",
            Self::Dccp => "dccp",
            Self::Sctp => "sctp",
            Self::Ports => "th",
        }
    }

    pub(super) fn layer(self) -> Layer {
        match self {
            Self::Inet | Self::Netdev | Self::Ether | Self::Vlan => Layer::Link,
            Self::Arp | Self::Ip | Self::Ip6 => Layer::Network,
            _ => Layer::Transport,
        }
    }

    /// Its fields in the order of their places.
    pub(super) fn fields(self) -> &'static [Field] {
        match self {
            Self::Unknown | Self::Inet | Self::Netdev => &[],
            Self::Ether => ETHER,
            Self::Vlan => VLAN,
            Self::Arp => ARP,
            Self::Ip => IP,
            Self::Ip6 => IP6,
            Self::Icmp => ICMP,
            Self::Icmp6 => ICMP6,
            Self::Igmp => IGMP,
            Self::Ah => AH,
            Self::Esp => ESP,
            Self::Comp => COMP,
            Self::Udp => UDP,
            Self::UdpLite => UDPLITE,
            Self::Tcp => TCP,
            Self::Dccp => DCCP,
            Self::Sctp => SCTP,
            Self::Ports => PORTS,
        }
    }

    /// Bits of a header of the link layer.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::Ether => 112,
            Self::Vlan => 32,
            _ => 0,
        }
    }

    /// The protocol above it that a number stands for.
    pub(super) fn above(self, number: u128) -> Option<Self> {
        match self {
            Self::Inet => match number {
                2 => Some(Self::Ip),
                10 => Some(Self::Ip6),
                _ => None,
            },
            Self::Ether | Self::Vlan | Self::Netdev => match number {
                0x0800 => Some(Self::Ip),
                0x0806 => Some(Self::Arp),
                0x86dd => Some(Self::Ip6),
                ETH_P_8021Q | 0x88a8 => Some(Self::Vlan),
                _ => None,
            },
            Self::Ip | Self::Ip6 => Self::transport(number),
            Self::Ah | Self::Comp => {
                Self::transport(number).filter(|above| !matches!(above, Self::Icmp | Self::Icmp6 | Self::Igmp))
            }
            _ => None,
        }
    }

    /// The protocol of an `IPPROTO_*`.
    pub(super) fn transport(number: u128) -> Option<Self> {
        Some(match number {
            1 => Self::Icmp,
            2 => Self::Igmp,
            6 => Self::Tcp,
            17 => Self::Udp,
            33 => Self::Dccp,
            50 => Self::Esp,
            51 => Self::Ah,
            58 => Self::Icmp6,
            108 => Self::Comp,
            132 => Self::Sctp,
            136 => Self::UdpLite,
            _ => return None,
        })
    }
}
