//! Which LSAs are in the database of a daemon?
//!
//! The headers of them, as RFC 2328, section 12.1, has it: of those in which OSPF keeps nothing of its own, too. Ages are those
//! of the moment of the answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::ospf::Place;
use crate::label;
use crate::model::Text;

/// Most LSAs of one daemon that are read.
pub const MOST: usize = 64 << 10;

/// `MaxAge` (RFC 2328, appendix B): of this age an LSA is taken away everywhere.
pub const MAX_AGE: Duration = Duration::from_hours(1);

label! {
    /// Type of an LSA.
    pub enum LsaType {
        /// What a router is linked to.
        Router = "Router",
        /// Who is attached to a network that has a DR.
        Network = "Network",
        /// A network of another area, version 2.
        Summary = "Summary",
        /// A router of another area that brings routes of other protocols, version 2.
        AsbrSummary = "ASBR-Summary",
        /// A network of another area, version 3.
        InterAreaPrefix = "Inter-Area-Prefix",
        /// A router of another area, version 3.
        InterAreaRouter = "Inter-Area-Router",
        /// A route of another protocol.
        External = "AS-External",
        /// Members of groups (RFC 1584).
        Membership = "Group-Membership",
        /// A route of another protocol in an NSSA.
        Nssa = "NSSA-External",
        /// What a router has on a link, version 3.
        Link = "Link",
        /// Networks of a router or of a network, version 3.
        IntraAreaPrefix = "Intra-Area-Prefix",
        /// What is not for OSPF itself (RFC 5250), as far as a link.
        OpaqueLink = "Opaque-Link",
        /// As far as an area.
        OpaqueArea = "Opaque-Area",
        /// As far as the AS.
        OpaqueAs = "Opaque-AS",
        /// A router begins anew and forwards all the while (RFC 5187).
        Grace = "Grace",
        /// What a router is able to do (RFC 7770).
        RouterInformation = "Router-Information",
        /// A type that is none of these.
        Other = "other",
    }
}

impl LsaType {
    /// By its number in version 2.
    pub(super) fn of_two(number: u32) -> Self {
        match number {
            1 => Self::Router,
            2 => Self::Network,
            3 => Self::Summary,
            4 => Self::AsbrSummary,
            5 => Self::External,
            6 => Self::Membership,
            7 => Self::Nssa,
            9 => Self::OpaqueLink,
            10 => Self::OpaqueArea,
            11 => Self::OpaqueAs,
            _ => Self::Other,
        }
    }

    /// By its number in version 3, of which the upper bits say how far it goes (RFC 5340, appendix A.4.2.1).
    pub(super) fn of_three(number: u32) -> Self {
        match number & 0x1fff {
            1 => Self::Router,
            2 => Self::Network,
            3 => Self::InterAreaPrefix,
            4 => Self::InterAreaRouter,
            5 => Self::External,
            6 => Self::Membership,
            7 => Self::Nssa,
            8 => Self::Link,
            9 => Self::IntraAreaPrefix,
            11 => Self::Grace,
            12 => Self::RouterInformation,
            _ => Self::Other,
        }
    }

    /// By its number in some version.
    pub(super) fn of(version: u32, number: u32) -> Self {
        if version == 3 { Self::of_three(number) } else { Self::of_two(number) }
    }

    /// How far one of version 2 goes.
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::External | Self::OpaqueAs => Scope::As,
            Self::OpaqueLink | Self::Link | Self::Grace => Scope::Link,
            _ => Scope::Area,
        }
    }
}

label! {
    /// How far an LSA goes.
    pub enum Scope { Link = "link", Area = "area", As = "AS" }
}

/// One LSA.
#[derive(Clone, Debug, PartialEq)]
pub struct Lsa {
    /// Where.
    pub place: Place,
    /// Area; missing for one that goes through all of them.
    pub area: Option<Text>,
    /// Interface to the link that it does not leave.
    pub interface: Option<Text>,
    /// How far it goes.
    pub scope: Scope,
    /// Type.
    pub kind: LsaType,
    /// What it is about, by its type.
    pub id: IpAddr,
    /// Router that has made it.
    pub router: IpAddr,
    /// Which instance of it this is.
    pub sequence: Option<u32>,
    /// Checksum over all but its age.
    pub checksum: Option<u32>,
    /// How old it is.
    pub age: Option<Duration>,
    /// Bytes, its header included.
    pub length: Option<u64>,
}

/// How many LSAs an area has, for daemons that do not count them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LsaCounts {
    /// Where.
    pub place: Place,
    /// Area.
    pub area: Text,
    /// All of the area.
    pub all: u64,
    /// By type: of the area, and those that go through all areas.
    types: HashMap<LsaType, u64>,
    /// Whether this router tells routes of other protocols.
    pub is_asbr: bool,
}

impl LsaCounts {
    /// None in an area.
    pub(super) fn new(place: &Place, area: &Text) -> Self {
        Self { place: place.clone(), area: area.clone(), ..Self::default() }
    }

    /// Counts one, which may be of this router.
    pub(super) fn add(&mut self, lsa: &Lsa, is_own: bool) {
        self.all += u64::from(lsa.scope == Scope::Area);
        *self.types.entry(lsa.kind).or_default() += 1;
        self.is_asbr |= is_own && matches!(lsa.kind, LsaType::External | LsaType::Nssa);
    }

    /// How many are of some types.
    pub fn of(&self, types: &[LsaType]) -> u64 {
        types.iter().filter_map(|of| self.types.get(of)).sum()
    }
}

/// A hexadecimal number, behind `0x` or not.
pub(super) fn hex(words: &str) -> Option<u32> {
    u32::from_str_radix(words.strip_prefix("0x").unwrap_or(words), 16).ok()
}
