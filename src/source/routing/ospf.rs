//! What does a daemon tell of OSPF?
//!
//! The same for every daemon: what one of them does not tell is missing. Times are spans, as daemons have them, from the
//! moment of the answer on. States are those of RFC 2328, sections 9.1 and 10.1, and RFC 5340.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::label;
use crate::model::Text;

/// Most neighbors, interfaces, areas or numbers of routes of one daemon that are read.
pub const MOST: usize = 8 << 10;

label! {
    /// State of a neighbor.
    pub enum NeighborState {
        /// It was there and is gone.
        Deleted = "Deleted" => Critical,
        Down = "Down" => Critical,
        Attempt = "Attempt" => Warning,
        Init = "Init" => Warning,
        /// All that routers of a network have which are neither DR nor Backup.
        TwoWay = "2-Way",
        ExStart = "ExStart" => Warning,
        Exchange = "Exchange" => Careful,
        Loading = "Loading" => Careful,
        Full = "Full",
        /// A word that is none of these.
        Other = "other" => Warning,
        /// Whoever would know could not be asked yet.
        Unknown = "unknown" => Warning,
    }
}

impl NeighborState {
    /// What a daemon calls it: each has a spelling of its own.
    pub(super) fn of(word: &str) -> Self {
        const WORDS: &[(&str, NeighborState)] = &[
            ("Deleted", NeighborState::Deleted),
            ("Down", NeighborState::Down),
            ("Attempt", NeighborState::Attempt),
            ("Init", NeighborState::Init),
            ("2-Way", NeighborState::TwoWay),
            ("Twoway", NeighborState::TwoWay),
            ("ExStart", NeighborState::ExStart),
            ("Exchange", NeighborState::Exchange),
            ("Loading", NeighborState::Loading),
            ("Full", NeighborState::Full),
        ];
        WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map_or(Self::Other, |(_, state)| *state)
    }
}

label! {
    /// What a neighbor is on the network that joins it to this router.
    pub enum Role {
        /// Designated router.
        Dr = "DR",
        /// Who takes its place.
        Backup = "Backup",
        DrOther = "DROther",
        /// A network that elects none.
        PointToPoint = "point-to-point",
    }
}

impl Role {
    /// What a daemon calls it.
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "DR" => Some(Self::Dr),
            "Backup" | "BDR" => Some(Self::Backup),
            "DROther" | "Other" => Some(Self::DrOther),
            "-" | "PtP" | "PointToPoint" | "Point-To-Point" | "PtMultipoint" => Some(Self::PointToPoint),
            _ => None,
        }
    }
}

label! {
    /// State of an interface.
    pub enum InterfaceState {
        Down = "Down" => Warning,
        Loopback = "Loopback",
        /// It listens for a DR that is there already.
        Waiting = "Waiting" => Careful,
        PointToPoint = "point-to-point",
        DrOther = "DROther",
        Backup = "Backup",
        Dr = "DR",
        Other = "other" => Warning,
    }
}

impl InterfaceState {
    /// What a daemon calls it.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "Down" => Self::Down,
            "Loopback" => Self::Loopback,
            "Waiting" => Self::Waiting,
            "PtP" | "PointToPoint" | "Point-To-Point" | "PtMultipoint" => Self::PointToPoint,
            "DROther" => Self::DrOther,
            "Backup" | "BDR" => Self::Backup,
            "DR" => Self::Dr,
            _ => Self::Other,
        }
    }
}

label! {
    /// Kind of a network.
    pub enum NetworkType {
        Broadcast = "broadcast",
        Nbma = "NBMA",
        PointToPoint = "point-to-point",
        PointToMultipoint = "point-to-multipoint",
        VirtualLink = "virtual link",
        Loopback = "loopback",
        Other = "other",
    }
}

impl NetworkType {
    /// What a daemon calls it.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "BROADCAST" | "broadcast" => Self::Broadcast,
            "NBMA" | "nbma" => Self::Nbma,
            "POINTOPOINT" | "ptp" => Self::PointToPoint,
            "POINTOMULTIPOINT" | "ptmp" => Self::PointToMultipoint,
            "VIRTUALLINK" => Self::VirtualLink,
            "LOOPBACK" => Self::Loopback,
            _ => Self::Other,
        }
    }
}

label! {
    /// Kind of an area.
    pub enum AreaKind {
        Normal = "normal",
        /// Without routes from other protocols.
        Stub = "stub",
        /// Without those but its own.
        Nssa = "NSSA",
    }
}

label! {
    /// What a session of BFD says of a neighbor.
    pub enum BfdState {
        Up = "up",
        /// The ends begin to hear each other.
        Init = "init" => Careful,
        Down = "down" => Critical,
        /// Switched off at one end.
        AdminDown = "admin down" => Warning,
        Unknown = "unknown" => Careful,
        /// It was there and is gone.
        Deleted = "Deleted" => Critical,
    }
}

impl BfdState {
    /// What a daemon calls it.
    pub(super) fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "up" => Self::Up,
            "init" => Self::Init,
            "down" => Self::Down,
            "admindown" | "admin down" | "shutdown" => Self::AdminDown,
            _ => Self::Unknown,
        }
    }
}

/// Where in a daemon something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The protocol of BIRD; missing where the daemon is one protocol.
    pub instance: Option<Text>,
    /// VRF.
    pub vrf: Option<Text>,
    /// Version of OSPF.
    pub version: u32,
}

/// A router at the other end of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbor {
    /// Where.
    pub place: Place,
    /// Number by which routers know each other, written as an address; missing until it is heard.
    pub router: Option<IpAddr>,
    /// Address.
    pub address: Option<IpAddr>,
    /// Interface behind which it is.
    pub interface: Text,
    /// Own address there.
    pub local: Option<IpAddr>,
    /// Area.
    pub area: Option<Text>,
    /// State.
    pub state: NeighborState,
    /// Role.
    pub role: Option<Role>,
    /// Priority in elections.
    pub priority: Option<u64>,
    /// How long it has been in this state.
    pub age: Option<Duration>,
    /// How long it is until it is given up.
    pub dead: Option<Duration>,
    /// LSAs that it has not acknowledged.
    pub retransmissions: Option<u64>,
    /// LSAs that were asked of it.
    pub requests: Option<u64>,
    /// Headers that it is to be told.
    pub summaries: Option<u64>,
    /// What BFD says.
    pub bfd: Option<BfdState>,
    /// Changes of state, as the daemon counts them.
    pub changes: Option<u64>,
    /// Changes of state and errors, where the two are counted as one.
    pub events: Option<u64>,
    /// How long ago it fell back to a lesser state.
    pub regressed: Option<Duration>,
    /// Why it did.
    pub reason: Option<Text>,
}

impl Neighbor {
    /// One of which no more is known.
    pub(super) fn new(place: Place, interface: Text, state: NeighborState) -> Self {
        Self {
            place,
            router: None,
            address: None,
            interface,
            local: None,
            area: None,
            state,
            role: None,
            priority: None,
            age: None,
            dead: None,
            retransmissions: None,
            requests: None,
            summaries: None,
            bfd: None,
            changes: None,
            events: None,
            regressed: None,
            reason: None,
        }
    }
}

/// An interface on which OSPF runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Where.
    pub place: Place,
    /// Name.
    pub name: Text,
    /// Own address.
    pub address: Option<IpAddr>,
    /// Bits of it that name the network.
    pub prefix: Option<u64>,
    /// The network, where that is told and not the own address.
    pub range: Option<IpAddr>,
    /// Area.
    pub area: Option<Text>,
    /// Kind of that area.
    pub area_kind: Option<AreaKind>,
    /// State.
    pub state: InterfaceState,
    /// Kind of the network.
    pub network: Option<NetworkType>,
    /// Whether no hello is sent.
    pub passive: Option<bool>,
    /// Cost.
    pub cost: Option<u64>,
    /// Priority in elections.
    pub priority: Option<u64>,
    /// Time between hellos.
    pub hello: Option<Duration>,
    /// Time without one after which a neighbor is given up.
    pub dead: Option<Duration>,
    /// Time in which it listens for a DR.
    pub wait: Option<Duration>,
    /// Time after which an LSA is sent again.
    pub retransmit: Option<Duration>,
    /// Router id of the DR.
    pub dr: Option<IpAddr>,
    /// Router id of who takes its place.
    pub backup: Option<IpAddr>,
    /// Neighbors.
    pub neighbors: Option<u64>,
    /// Neighbors in state Full.
    pub adjacent: Option<u64>,
}

impl Interface {
    /// One of which no more is known.
    pub(super) fn new(place: Place, name: Text, state: InterfaceState) -> Self {
        Self {
            place,
            name,
            address: None,
            prefix: None,
            range: None,
            area: None,
            area_kind: None,
            state,
            network: None,
            passive: None,
            cost: None,
            priority: None,
            hello: None,
            dead: None,
            wait: None,
            retransmit: None,
            dr: None,
            backup: None,
            neighbors: None,
            adjacent: None,
        }
    }
}

/// An area that this router is in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Area {
    /// Where.
    pub place: Place,
    /// Number, written as an address.
    pub id: Text,
    /// Kind.
    pub kind: Option<AreaKind>,
    /// Own number, written as an address.
    pub router: Option<IpAddr>,
    /// Whether this router joins it to others.
    pub abr: Option<bool>,
    /// Whether this router brings routes of other protocols.
    pub asbr: Option<bool>,
    /// Interfaces in it.
    pub interfaces: Option<u64>,
    /// Neighbors in state Full.
    pub adjacent: Option<u64>,
    /// LSAs in all.
    pub lsas: Option<u64>,
    /// Of type router.
    pub router_lsas: Option<u64>,
    /// Of type network.
    pub network_lsas: Option<u64>,
    /// Of type summary, in version 3 inter-area-prefix.
    pub summary_lsas: Option<u64>,
    /// Of type ASBR summary, in version 3 inter-area-router.
    pub asbr_summary_lsas: Option<u64>,
    /// Of type AS external, which all areas share.
    pub external_lsas: Option<u64>,
    /// Of type NSSA external.
    pub nssa_lsas: Option<u64>,
    /// Of type opaque of the area.
    pub opaque_lsas: Option<u64>,
    /// Of type intra-area-prefix, version 3.
    pub prefix_lsas: Option<u64>,
    /// How often shortest paths were looked for.
    pub spf_runs: Option<u64>,
    /// How long ago they were.
    pub spf_age: Option<Duration>,
}

/// How many routes were found in one area; without one those of none, or of all that are not told apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteCount {
    /// Where.
    pub place: Place,
    /// The area.
    pub area: Option<Text>,
    /// Networks in it.
    pub intra_area: Option<u64>,
    /// Networks in other areas.
    pub inter_area: Option<u64>,
    /// Networks of other protocols, of type 1.
    pub external_1: Option<u64>,
    /// The same of type 2.
    pub external_2: Option<u64>,
    /// Routers that join areas.
    pub abrs: Option<u64>,
    /// Routers that bring networks of other protocols.
    pub asbrs: Option<u64>,
}

/// Interfaces by VRF and name.
pub(super) struct Index<'a>(HashMap<(&'a Place, &'a str), Vec<&'a Interface>>);

impl<'a> Index<'a> {
    /// Of all of them.
    pub(super) fn of(interfaces: &'a [Interface]) -> Self {
        let mut index: HashMap<_, Vec<_>> = HashMap::new();
        for interface in interfaces {
            index.entry((&interface.place, interface.name.as_str())).or_default().push(interface);
        }
        Self(index)
    }

    /// The one behind which a neighbor is. One that has several addresses is several interfaces: then it is that whose
    /// network the neighbor is in.
    pub(super) fn behind(&self, neighbor: &Neighbor) -> Option<&'a Interface> {
        let named = self.0.get(&(&neighbor.place, neighbor.interface.as_str()))?;
        match named.as_slice() {
            [only] => Some(only),
            several => several.iter().copied().find(|interface| is_within(neighbor.address, interface)),
        }
    }
}

fn is_within(address: Option<IpAddr>, interface: &Interface) -> bool {
    let (Some(IpAddr::V4(one)), Some(IpAddr::V4(other)), Some(prefix @ 0..=32)) =
        (address, interface.range.or(interface.address), interface.prefix)
    else {
        return false;
    };
    let network = |address: Ipv4Addr| u64::from(address.to_bits()) >> (32 - prefix);
    network(one) == network(other)
}
