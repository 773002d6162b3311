//! How is declared what is no rule?
//!
//! In one line, with the words that `nft` has for it.

use std::fmt::Write as _;

use super::object::parts;
use super::{Scene, object as kind_of};
use crate::source::nftables::instruction::Instruction;
use crate::source::nftables::{Chain, Family, Flowtable, MapsTo, Object, Set, Table};

/// `NFT_SET_*` that people choose, as they are written.
const SET_FLAGS: [(u32, &str); 4] = [(2, "constant"), (0x20, "dynamic"), (4, "interval"), (0x10, "timeout")];
/// `NFT_TABLE_F_*`
const TABLE_FLAGS: [(u32, &str); 3] = [(1, "dormant"), (2, "owner"), (4, "persist")];
/// `NFT_FLOWTABLE_*`
const FLOWTABLE_FLAGS: [(u32, &str); 2] = [(1, "flags offload"), (2, "counter")];

/// Where the kernel calls a chain (`NF_INET_*`, `NF_ARP_*`, `NF_NETDEV_*`).
pub fn hook(family: Family, number: u32) -> &'static str {
    let names: &[&str] = match family {
        Family::Netdev => &["ingress", "egress"],
        Family::Arp => &["input", "output", "forward"],
        _ => &["prerouting", "input", "forward", "output", "postrouting", "ingress"],
    };
    names.get(number as usize).copied().unwrap_or("unknown")
}

/// How a set is used; nothing for a plain one.
pub fn set_flags(set: &Set) -> Option<String> {
    joined(set.flags, &SET_FLAGS, ",")
}

fn joined(flags: u32, names: &[(u32, &str)], between: &str) -> Option<String> {
    let set: Vec<_> = names.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
    (!set.is_empty()).then(|| set.join(between))
}

fn lossy(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}

/// A declaration: its words, and what stands in braces behind them.
fn block(head: String, parts: &[String]) -> String {
    if parts.is_empty() { head } else { format!("{head} {{ {}; }}", parts.join("; ")) }
}

/// Declares a table.
pub fn table(table: &Table) -> String {
    let flags = joined(table.flags, &TABLE_FLAGS, ",").map(|flags| format!("flags {flags}"));
    block(format!("table {} {}", table.family.name(), lossy(&table.name)), flags.as_slice())
}

fn devices(devices: &[Vec<u8>]) -> String {
    devices.iter().map(|device| lossy(device)).collect::<Vec<_>>().join(", ")
}

/// Declares a chain.
pub fn chain(chain: &Chain) -> String {
    const OFFLOAD: u32 = 2;
    let mut parts = Vec::new();
    if let (Some(kind), Some(place)) = (&chain.kind, &chain.hook) {
        let mut text = format!("type {} hook {}", lossy(kind), hook(chain.family, place.number));
        // writing into a string cannot fail
        let _ = match place.devices.as_slice() {
            [] => Ok(()),
            [device] => write!(text, " device \"{}\"", lossy(device)),
            several => write!(text, " devices = {{ {} }}", devices(several)),
        };
        let _ = write!(text, " priority {}", place.priority);
        parts.push(text);
    }
    if let Some(policy) = chain.policy {
        parts.push(format!("policy {}", if policy == 0 { "drop" } else { "accept" }));
    }
    if chain.flags & OFFLOAD != 0 {
        parts.push("flags offload".to_owned());
    }
    block(format!("chain {}", lossy(&chain.name)), &parts)
}

/// Declares a set or map, without its elements.
pub fn set(set: &Set) -> String {
    let kinds = |parts: &[super::kind::Part]| parts.iter().map(|part| part.kind.name()).collect::<Vec<_>>().join(" . ");
    let (word, data) = match &set.data {
        MapsTo::Nothing => ("set", None),
        MapsTo::Verdicts => ("map", Some("verdict".to_owned())),
        MapsTo::Objects(kind) => ("map", Some(kind_of(*kind).to_owned())),
        MapsTo::Values { parts, .. } => ("map", Some(kinds(parts))),
    };
    let mut parts = vec![match data {
        None => format!("type {}", kinds(&set.key)),
        Some(data) => format!("type {} : {data}", kinds(&set.key)),
    }];
    parts.extend(set_flags(set).map(|flags| format!("flags {flags}")));
    parts.extend((set.size != 0).then(|| format!("size {}", set.size)));
    for (word, time) in [("timeout", set.timeout), ("gc-interval", set.sweep.map(u64::from))] {
        parts.extend(time.filter(|time| *time != 0).map(|time| format!("{word} {}", exactly(time))));
    }
    block(format!("{word} {}", lossy(&set.name)), &parts)
}

/// A duration of milliseconds, none of them left out.
pub(super) fn exactly(milliseconds: u64) -> String {
    match (milliseconds / 1000, milliseconds % 1000) {
        (seconds, 0) => format!("{seconds}s"),
        (0, rest) => format!("{rest}ms"),
        (seconds, rest) => format!("{seconds}s{rest}ms"),
    }
}

/// Declares a named object, without what it has seen.
pub fn object(object: &Object, scene: &Scene<'_>) -> String {
    let kind = kind_of(object.kind);
    let parts = match (&object.state, &object.raw) {
        (Some(Instruction::Synproxy { mss, wscale, flags }), _) => synproxy(*mss, *wscale, *flags),
        (Some(state), _) => {
            let text = scene.without_counts().program(std::slice::from_ref(state));
            text.strip_prefix(kind)
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .into_iter()
                .collect()
        }
        // one that is not made as the kernel makes them has its name
        (None, Some(raw)) => parts(object.kind, raw).unwrap_or_default(),
        (None, None) => Vec::new(),
    };
    block(format!("{kind} {}", lossy(&object.name)), &parts)
}

/// What in a rule stands side by side has lines of its own here.
fn synproxy(mss: u16, wscale: u8, flags: u32) -> Vec<String> {
    let has = |bits: u32| flags & bits != 0;
    let words =
        [has(8).then_some("timestamp"), has(4).then_some("sack-perm")].into_iter().flatten().collect::<Vec<_>>();
    let sizes = has(3).then(|| [format!("mss {mss}"), format!("wscale {wscale}")]);
    sizes.into_iter().flatten().chain((!words.is_empty()).then(|| words.join(" "))).collect()
}

/// Declares a flowtable.
pub fn flowtable(table: &Flowtable) -> String {
    let mut parts = Vec::new();
    if let Some(place) = &table.hook {
        parts.push(format!("hook {} priority {}", hook(Family::Netdev, place.number), place.priority));
        if !place.devices.is_empty() {
            parts.push(format!("devices = {{ {} }}", devices(&place.devices)));
        }
    }
    parts.extend(joined(table.flags, &FLOWTABLE_FLAGS, "; "));
    block(format!("flowtable {}", lossy(&table.name)), &parts)
}
