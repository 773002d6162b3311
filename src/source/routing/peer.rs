//! What does a daemon tell of BGP, IS-IS and bidirectional forwarding detection?
//!
//! The same for every daemon: what one of them does not tell is missing. States are those of RFC 4271, section 8.2.2, and
//! RFC 5880, section 6.2.

use std::net::IpAddr;
use std::time::Duration;

use super::ospf::BfdState;
use crate::label;
use crate::model::{Text, Timestamp};

label! {
    /// State of a session of BGP.
    pub enum BgpState {
        Idle = "Idle" => Critical,
        Connect = "Connect" => Warning,
        Active = "Active" => Warning,
        OpenSent = "OpenSent" => Careful,
        OpenConfirm = "OpenConfirm" => Careful,
        Established = "Established",
        /// It is being ended.
        Closing = "Closing" => Warning,
        /// It is switched off.
        Down = "Down" => Warning,
        /// A word that is none of these.
        Other = "other" => Warning,
        /// It was there and is gone.
        Deleted = "Deleted" => Critical,
    }
}

impl BgpState {
    /// What a daemon calls it.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "Idle" => Self::Idle,
            "Connect" => Self::Connect,
            "Active" => Self::Active,
            "OpenSent" => Self::OpenSent,
            "OpenConfirm" => Self::OpenConfirm,
            "Established" => Self::Established,
            "Clearing" | "Deleted" | "Close" => Self::Closing,
            "Down" => Self::Down,
            _ => Self::Other,
        }
    }
}

label! {
    /// State of an adjacency of IS-IS.
    pub enum IsisState {
        Initializing = "Initializing" => Warning,
        Up = "Up",
        Down = "Down" => Critical,
        /// A word that is none of these.
        Other = "other" => Warning,
        /// It was there and is gone.
        Deleted = "Deleted" => Critical,
    }
}

impl IsisState {
    /// What a daemon calls it.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "Initializing" => Self::Initializing,
            "Up" => Self::Up,
            "Down" => Self::Down,
            _ => Self::Other,
        }
    }
}

/// An adjacency of IS-IS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IsisAdjacency {
    /// Area of this router, by its name.
    pub area: Text,
    /// The other end, by its name or number.
    pub system: Text,
    /// Interface.
    pub interface: Text,
    /// Level; 3 is both.
    pub level: Option<u64>,
    /// State.
    pub state: Option<IsisState>,
    /// When the state began.
    pub since: Option<Timestamp>,
    /// When it is given up.
    pub expires: Option<Timestamp>,
    /// First IPv4 address of the other end.
    pub address: Option<IpAddr>,
    /// First IPv6 address of the other end.
    pub address6: Option<IpAddr>,
    /// Levels of the other end.
    pub circuit: Option<Text>,
    /// Address of the other end below IP.
    pub snpa: Option<Text>,
    /// Priority in elections.
    pub priority: Option<u64>,
    /// Changes of state.
    pub flaps: Option<u64>,
    /// What BFD says.
    pub bfd: Option<BfdState>,
}

/// A session of BGP that is configured, or was opened by the peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BgpPeer {
    /// The protocol of BIRD; missing where the daemon is one protocol.
    pub instance: Option<Text>,
    /// VRF.
    pub vrf: Option<Text>,
    /// Address of the peer, or the interface behind which one is to be found.
    pub peer: Text,
    /// Own address.
    pub local: Option<IpAddr>,
    /// Name that the peer gives itself.
    pub name: Option<Text>,
    /// What it was called in the configuration of the daemon.
    pub description: Option<Text>,
    /// Number of the peer.
    pub router: Option<IpAddr>,
    /// Its autonomous system.
    pub remote_as: Option<u64>,
    /// The own one.
    pub local_as: Option<u64>,
    /// State.
    pub state: Option<BgpState>,
    /// When the state began.
    pub since: Option<Timestamp>,
    /// Whether only the day is known on which that was, at whose beginning it is put.
    pub is_dated: bool,
    /// Address families that are exchanged, one behind the other.
    pub families: Option<Text>,
    /// Prefixes that were accepted, of all families.
    pub accepted: Option<u64>,
    /// Prefixes that were told, of all families.
    pub sent: Option<u64>,
    /// Messages that came.
    pub received_messages: Option<u64>,
    /// Messages that were sent.
    pub sent_messages: Option<u64>,
    /// How often it was established.
    pub established: Option<u64>,
    /// How often it was lost.
    pub dropped: Option<u64>,
    /// Time without a message after which it is lost.
    pub hold: Option<Duration>,
    /// What BFD says.
    pub bfd: Option<BfdState>,
    /// Why it was lost last.
    pub reason: Option<Text>,
}

/// A session of bidirectional forwarding detection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BfdPeer {
    /// The protocol of BIRD; missing where the daemon is one protocol.
    pub instance: Option<Text>,
    /// VRF.
    pub vrf: Option<Text>,
    /// Interface.
    pub interface: Option<Text>,
    /// Address of the other end.
    pub address: Option<IpAddr>,
    /// Own address.
    pub local: Option<IpAddr>,
    /// Whether there are routers between.
    pub multihop: Option<bool>,
    /// State.
    pub state: Option<BfdState>,
    /// When the state began.
    pub since: Option<Timestamp>,
    /// Whether only the day is known on which that was, at whose beginning it is put.
    pub is_dated: bool,
    /// Why it changed, as this end says.
    pub diagnostic: Option<Text>,
    /// The same as the other end says.
    pub remote_diagnostic: Option<Text>,
    /// Time between packets that this end sends.
    pub transmit: Option<Duration>,
    /// Least time between packets that this end wants to get.
    pub receive: Option<Duration>,
    /// Packets that may be missing in a row.
    pub multiplier: Option<u64>,
    /// Time without a packet after which it is down.
    pub timeout: Option<Duration>,
    /// Packets that came.
    pub received: Option<u64>,
    /// Packets that were sent.
    pub sent: Option<u64>,
    /// How often it went up.
    pub ups: Option<u64>,
    /// How often it went down.
    pub downs: Option<u64>,
}
