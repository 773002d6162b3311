//! What does a row of the database say?
//!
//! Columns are sets, and one that has a single atom is written as that (RFC 7047, section 5.1).

use std::fmt::Write as _;

use crate::model::Text;
use crate::source::control::json::Json;

/// An interface of a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Port {
    /// Name of the port; a bond has one name for several interfaces.
    pub name: Text,
    /// Name of the interface.
    pub interface: Text,
    /// Number of the interface in OpenFlow.
    pub number: Option<u32>,
    /// Number of the interface in the kernel.
    pub index: Option<u32>,
    /// What it is, such as `system`, `internal`, `patch` or `vxlan`.
    pub kind: Text,
    /// VLAN of what comes without one.
    pub tag: Option<u32>,
    /// VLANs that it carries; all where none are named.
    pub trunks: Option<Text>,
    /// What it does with VLANs.
    pub vlan_mode: Option<Text>,
    /// How a bond shares packets out.
    pub bond_mode: Option<Text>,
    /// Whether it speaks the protocol of link aggregation.
    pub lacp: Option<Text>,
    /// Address of the interface that a bond sends by.
    pub active: Option<Text>,
    /// Whether it is switched on.
    pub admin: Option<Text>,
    /// Whether it has a carrier.
    pub link: Option<Text>,
    /// Why it could not be made.
    pub error: Option<Text>,
    /// Its address.
    pub mac: Option<Text>,
    /// Longest packet.
    pub mtu: Option<u64>,
    /// Where a tunnel leads, or the port that a patch leads to.
    pub remote: Option<Text>,
    /// Key of a tunnel.
    pub key: Option<Text>,
}

/// What a port says, without its interface.
pub(super) fn read_port(port: &Json) -> Port {
    Port {
        name: text(port, "name").unwrap_or_default(),
        tag: number_of(port, "tag"),
        trunks: list(port, "trunks"),
        vlan_mode: text(port, "vlan_mode"),
        bond_mode: text(port, "bond_mode"),
        lacp: text(port, "lacp"),
        active: text(port, "bond_active_slave"),
        ..Port::default()
    }
}

/// What an interface says, without its port.
pub(super) fn read_interface(interface: &Json) -> Port {
    Port {
        interface: text(interface, "name").unwrap_or_default(),
        // one below zero could not be made
        number: number_of(interface, "ofport"),
        index: number_of(interface, "ifindex").filter(|index| *index > 0),
        kind: kind(interface, "type"),
        admin: text(interface, "admin_state"),
        link: text(interface, "link_state"),
        error: text(interface, "error"),
        mac: text(interface, "mac_in_use"),
        mtu: number(interface, "mtu").and_then(|mtu| u64::try_from(mtu).ok()),
        remote: option(interface, &["remote_ip", "peer"]),
        key: option(interface, &["key", "out_key"]),
        ..Port::default()
    }
}

/// Both together.
pub(super) fn joined(port: &Port, interface: &Port) -> Port {
    Port {
        name: port.name.clone(),
        tag: port.tag,
        trunks: port.trunks.clone(),
        vlan_mode: port.vlan_mode.clone(),
        bond_mode: port.bond_mode.clone(),
        lacp: port.lacp.clone(),
        active: port.active.clone(),
        ..interface.clone()
    }
}

/// Atoms of a set; one that has a single one is written as that.
pub(super) fn set(value: Option<&Json>) -> &[Json] {
    match value {
        Some(Json::List(pair)) => match pair.as_slice() {
            [Json::Text(kind), Json::List(atoms)] if &**kind == "set" => atoms,
            _ => value.map_or(&[], std::slice::from_ref),
        },
        _ => value.map_or(&[], std::slice::from_ref),
    }
}

pub(super) fn uuid(atom: &Json) -> Option<&str> {
    match atom.items() {
        [Json::Text(kind), Json::Text(id)] if &**kind == "uuid" => Some(id),
        _ => None,
    }
}

/// The first atom of a column.
fn one<'a>(row: &'a Json, column: &str) -> Option<&'a Json> {
    set(row.get(&[column])).first()
}

pub(super) fn text(row: &Json, column: &str) -> Option<Text> {
    if let Json::Text(text) = one(row, column)? { Some(Text::from(&**text)) } else { None }
}

fn number(row: &Json, column: &str) -> Option<i64> {
    if let Json::Whole(number) = one(row, column)? { Some(*number) } else { None }
}

/// A number that is not below zero.
fn number_of(row: &Json, column: &str) -> Option<u32> {
    u32::try_from(number(row, column)?).ok()
}

/// A type, of which the usual one need not be named.
pub(super) fn kind(row: &Json, column: &str) -> Text {
    text(row, column).filter(|kind| !kind.is_empty()).unwrap_or_else(|| Text::from("system"))
}

/// Atoms with commas between them; nothing when there are none.
pub(super) fn list(row: &Json, column: &str) -> Option<Text> {
    let mut words = String::new();
    for atom in set(row.get(&[column])) {
        words.push_str(if words.is_empty() { "" } else { "," });
        let _ = match atom {
            Json::Text(word) => write!(words, "{word}"),
            Json::Whole(number) => write!(words, "{number}"),
            _ => Ok(()),
        };
    }
    (!words.is_empty()).then(|| Text::from(words))
}

/// The first of these keys of the map `options` that there is.
fn option(row: &Json, keys: &[&str]) -> Option<Text> {
    let Some([Json::Text(kind), Json::List(pairs)]) = row.get(&["options"]).map(Json::items) else { return None };
    let value = |wanted: &&str| {
        pairs.iter().find_map(|pair| match pair.items() {
            [Json::Text(key), Json::Text(value)] if **key == **wanted => Some(Text::from(&**value)),
            _ => None,
        })
    };
    if &**kind == "map" { keys.iter().find_map(value) } else { None }
}
