//! What does one value of a table say?

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::super::ber::Value;
use crate::model::Text;
use crate::source::routing::ospf::{AreaKind, InterfaceState, NeighborState, NetworkType};

/// An address of four numbers.
pub(super) fn quad(arcs: &[u32]) -> Option<Ipv4Addr> {
    let octets: Vec<u8> = arcs.iter().map(|arc| u8::try_from(*arc).ok()).collect::<Option<_>>()?;
    <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from)
}

/// A number that is not negative.
pub(super) fn unsigned(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Unsigned(number) => Some(*number),
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// A text.
pub(super) fn text(value: Option<&Value>) -> Option<Text> {
    match value? {
        Value::Bytes(bytes) => Some(Text::new(bytes)),
        _ => None,
    }
}

/// A number of a router or an area: an address in version 2, a number in version 3. Zero is none.
pub(super) fn router(value: Option<&Value>) -> Option<IpAddr> {
    let address = match value? {
        Value::Address(address) => *address,
        Value::Unsigned(number) => Ipv4Addr::from(u32::try_from(*number).ok()?),
        _ => return None,
    };
    Some(IpAddr::V4(address)).filter(|address| !address.is_unspecified())
}

/// Number of an area, written as an address.
pub(super) fn area(value: Option<&Value>) -> Option<Text> {
    let area = match value? {
        Value::Address(address) => *address,
        Value::Unsigned(number) => Ipv4Addr::from(u32::try_from(*number).ok()?),
        _ => return None,
    };
    Some(Text::from(area.to_string()))
}

/// Kind of an area.
pub(super) fn kind(value: Option<&Value>) -> Option<AreaKind> {
    match unsigned(value)? {
        1 => Some(AreaKind::Normal),
        2 => Some(AreaKind::Stub),
        3 => Some(AreaKind::Nssa),
        _ => None,
    }
}

/// A truth (RFC 2579).
pub(super) fn truth(value: Option<&Value>) -> Option<bool> {
    match unsigned(value)? {
        1 => Some(true),
        2 => Some(false),
        _ => None,
    }
}

/// A time.
pub(super) fn seconds(value: Option<&Value>) -> Option<Duration> {
    unsigned(value).map(Duration::from_secs)
}

/// State of an interface; version 3 counts them as version 2.
pub(super) fn interface_state(value: Option<&Value>) -> InterfaceState {
    match unsigned(value) {
        Some(1) => InterfaceState::Down,
        Some(2) => InterfaceState::Loopback,
        Some(3) => InterfaceState::Waiting,
        Some(4) => InterfaceState::PointToPoint,
        Some(5) => InterfaceState::Dr,
        Some(6) => InterfaceState::Backup,
        Some(7) => InterfaceState::DrOther,
        _ => InterfaceState::Other,
    }
}

/// State of a neighbor.
pub(super) fn neighbor_state(value: Option<&Value>) -> NeighborState {
    match unsigned(value) {
        Some(1) => NeighborState::Down,
        Some(2) => NeighborState::Attempt,
        Some(3) => NeighborState::Init,
        Some(4) => NeighborState::TwoWay,
        Some(5) => NeighborState::ExStart,
        Some(6) => NeighborState::Exchange,
        Some(7) => NeighborState::Loading,
        Some(8) => NeighborState::Full,
        _ => NeighborState::Other,
    }
}

/// Kind of the network of an interface. FRR calls all broadcast, which one that joins two routers is not.
pub(super) fn network(value: Option<&Value>, state: InterfaceState) -> Option<NetworkType> {
    match unsigned(value)? {
        1 | 2 if state == InterfaceState::PointToPoint => None,
        1 => Some(NetworkType::Broadcast),
        2 => Some(NetworkType::Nbma),
        3 => Some(NetworkType::PointToPoint),
        5 => Some(NetworkType::PointToMultipoint),
        _ => None,
    }
}
