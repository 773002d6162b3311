//! Where do tunnels lead?
//!
//! The attributes of each kind have numbers of their own; what they mean is the same.
//!
//! Source: `include/uapi/linux/if_tunnel.h`, `include/uapi/linux/if_link.h`.

use std::net::IpAddr;

use super::attr::{Attribute, Malformed, attributes, u16_at, u32_at};
use super::route::IfIndex;
use super::virtual_link::some_ip;
use crate::model::Text;

/// A tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// Driver.
    pub kind: Text,
    /// Address of this end; `None` for any.
    pub local: Option<IpAddr>,
    /// Address of the other end, or the group of all; `None` for any.
    pub remote: Option<IpAddr>,
    /// Interface that it goes over.
    pub lower: Option<IfIndex>,
    /// Key of packets that come.
    pub input_key: Option<u32>,
    /// Key of packets that go.
    pub output_key: Option<u32>,
    /// Number of the network.
    pub vni: Option<u32>,
    /// UDP port of the other end.
    pub port: Option<u16>,
    /// Time to live of packets; `None` for that of what is inside.
    pub ttl: Option<u8>,
    /// Type of service.
    pub tos: Option<u8>,
    /// Whether it learns behind which end an address is.
    pub learns: Option<bool>,
    /// Whether packets may not be taken apart.
    pub is_whole: Option<bool>,
    /// Whether each packet says where it goes.
    pub is_external: bool,
    /// Mark of packets that go.
    pub mark: Option<u32>,
}

/// What an attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Lower,
    InputFlags,
    OutputFlags,
    InputKey,
    OutputKey,
    Local,
    Remote,
    Ttl,
    Tos,
    Whole,
    External,
    Mark,
    Vni,
    Port,
    Learning,
}

/// `IFLA_GRE_*`
const GRE: [(u16, Field); 12] = [
    (1, Field::Lower),
    (2, Field::InputFlags),
    (3, Field::OutputFlags),
    (4, Field::InputKey),
    (5, Field::OutputKey),
    (6, Field::Local),
    (7, Field::Remote),
    (8, Field::Ttl),
    (9, Field::Tos),
    (10, Field::Whole),
    (18, Field::External),
    (20, Field::Mark),
];
/// `IFLA_IPTUN_*`
const IP: [(u16, Field); 8] = [
    (1, Field::Lower),
    (2, Field::Local),
    (3, Field::Remote),
    (4, Field::Ttl),
    (5, Field::Tos),
    (10, Field::Whole),
    (19, Field::External),
    (20, Field::Mark),
];
/// `IFLA_VTI_*`
const VTI: [(u16, Field); 6] = [
    (1, Field::Lower),
    (2, Field::InputKey),
    (3, Field::OutputKey),
    (4, Field::Local),
    (5, Field::Remote),
    (6, Field::Mark),
];
/// `IFLA_VXLAN_*`
const VXLAN: [(u16, Field); 11] = [
    (1, Field::Vni),
    (2, Field::Remote),
    (3, Field::Lower),
    (4, Field::Local),
    (5, Field::Ttl),
    (6, Field::Tos),
    (7, Field::Learning),
    (15, Field::Port),
    (16, Field::Remote),
    (17, Field::Local),
    (25, Field::External),
];
/// `IFLA_GENEVE_*`
const GENEVE: [(u16, Field); 7] = [
    (1, Field::Vni),
    (2, Field::Remote),
    (3, Field::Ttl),
    (4, Field::Tos),
    (5, Field::Port),
    (6, Field::External),
    (7, Field::Remote),
];

/// `GRE_KEY`: a tunnel has a key.
const HAS_KEY: u16 = 0x2000;

/// What the attributes of a kind are; `None` for what is no tunnel.
fn fields(kind: &[u8]) -> Option<&'static [(u16, Field)]> {
    Some(match kind {
        b"gre" | b"gretap" | b"erspan" | b"ip6gre" | b"ip6gretap" | b"ip6erspan" => &GRE,
        b"ipip" | b"sit" | b"ip6tnl" => &IP,
        b"vti" | b"vti6" => &VTI,
        b"vxlan" => &VXLAN,
        b"geneve" => &GENEVE,
        _ => return None,
    })
}

impl Tunnel {
    /// Reads `IFLA_INFO_DATA` of an interface of a kind; `None` for a kind that is no tunnel.
    ///
    /// # Errors
    /// It is malformed.
    pub fn read(kind: &[u8], bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(fields) = fields(kind) else { return Ok(None) };
        let mut tunnel = Self { kind: Text::new(kind), ..Self::default() };
        // those without such flags have keys always
        let mut has_key = [true; 2];
        for attribute in attributes(bytes) {
            let attribute = attribute?;
            if let Some((_, field)) = fields.iter().find(|(number, _)| *number == attribute.kind) {
                tunnel.take(*field, &attribute, &mut has_key)?;
            }
        }
        let [has_input_key, has_output_key] = has_key;
        tunnel.input_key = tunnel.input_key.filter(|_| has_input_key);
        tunnel.output_key = tunnel.output_key.filter(|_| has_output_key);
        Ok(Some(tunnel))
    }

    fn take(&mut self, field: Field, attribute: &Attribute<'_>, has_key: &mut [bool; 2]) -> Result<(), Malformed> {
        let bytes = attribute.bytes;
        let key = |bytes: &[u8]| Ok::<_, Malformed>(Some(u32::from_be(u32_at(bytes, 0)?)));
        let flag = |bytes: &[u8]| Ok::<_, Malformed>(u16::from_be(u16_at(bytes, 0)?) & HAS_KEY != 0);
        match field {
            Field::Lower => self.lower = Some(IfIndex(attribute.u32()?)).filter(|lower| lower.0 != 0),
            Field::InputFlags => has_key[0] = flag(bytes)?,
            Field::OutputFlags => has_key[1] = flag(bytes)?,
            Field::InputKey => self.input_key = key(bytes)?,
            Field::OutputKey => self.output_key = key(bytes)?,
            Field::Local => self.local = some_ip(bytes).or(self.local),
            Field::Remote => self.remote = some_ip(bytes).or(self.remote),
            Field::Ttl => self.ttl = Some(attribute.u8()?).filter(|ttl| *ttl != 0),
            Field::Tos => self.tos = Some(attribute.u8()?),
            Field::Whole => self.is_whole = Some(attribute.u8()? != 0),
            // a flag without a value for some, a byte for others
            Field::External => self.is_external = bytes.first().is_none_or(|byte| *byte != 0),
            Field::Mark => self.mark = Some(attribute.u32()?).filter(|mark| *mark != 0),
            Field::Vni => self.vni = Some(attribute.u32()?),
            Field::Port => self.port = Some(u16_at(bytes, 0).map(u16::from_be)?),
            Field::Learning => self.learns = Some(attribute.u8()? != 0),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::attr::push;
    use super::*;

    #[test]
    fn a_key_counts_only_where_its_flag_is_set() {
        let mut bytes = Vec::new();
        push(&mut bytes, 2, &HAS_KEY.to_be_bytes());
        push(&mut bytes, 3, &0_u16.to_be_bytes());
        push(&mut bytes, 4, &77_u32.to_be_bytes());
        push(&mut bytes, 5, &78_u32.to_be_bytes());
        push(&mut bytes, 6, &[192, 0, 2, 1]);
        push(&mut bytes, 7, &[0; 4]);
        push(&mut bytes, 8, &[0]);
        let tunnel = Tunnel::read(b"gre", &bytes).unwrap().unwrap();
        assert_eq!((tunnel.input_key, tunnel.output_key, tunnel.ttl), (Some(77), None, None));
        assert_eq!((tunnel.local, tunnel.remote), ("192.0.2.1".parse().ok(), None));
        assert_eq!(Tunnel::read(b"veth", &bytes), Ok(None));
    }
}
