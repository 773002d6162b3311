//! What routers told, as `snmpwalk -On` printed it or a standard says it.

use std::time::Duration;

use super::*;
use crate::source::routing::ospf::{AreaKind, MOST, NetworkType};

fn walk(of: &str) -> Vec<Binding> {
    let path = format!("{}/tests/fixtures/routing/{of}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().lines().filter_map(binding).collect()
}

fn binding(line: &str) -> Option<Binding> {
    let (oid, value) = line.strip_prefix('.')?.split_once(" = ")?;
    let arcs: Vec<u32> = oid.split('.').map(|arc| arc.parse().unwrap()).collect();
    let (kind, text) = value.split_once(": ").unwrap_or((value, ""));
    let value = match kind {
        "INTEGER" => Value::Integer(text.parse().unwrap()),
        "Gauge32" | "Counter32" => Value::Unsigned(text.parse().unwrap()),
        "IpAddress" => Value::Address(text.parse().unwrap()),
        "Hex-STRING" => {
            Value::Bytes(text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect())
        }
        _ => Value::Bytes(text.trim_matches('"').as_bytes().to_vec()),
    };
    Some(Binding { oid: Oid::new(&arcs), value })
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

#[test]
fn a_walk_of_frr_says_what_its_terminal_does() {
    let values = walk("snmp-frr-8.4/walk");
    let (told, version) = told(&values, Timestamp(0));
    assert!(version.unwrap().starts_with("Linux vm 6.18"));
    let neighbors = told.neighbors.kept();
    let row = |at: usize| {
        let neighbor: &Neighbor = &neighbors[at];
        (
            neighbor.place.version,
            neighbor.interface.as_str(),
            neighbor.area.as_deref().unwrap(),
            neighbor.state,
            neighbor.role,
        )
    };
    assert_eq!(neighbors.len(), 3);
    assert_eq!(row(0), (2, "to2", "0.0.0.0", NeighborState::Full, Some(Role::Dr)));
    assert_eq!(row(1), (2, "q2", "0.0.0.7", NeighborState::Full, Some(Role::PointToPoint)));
    assert_eq!(row(2), (3, "to2", "0.0.0.0", NeighborState::Full, Some(Role::Dr)));
    assert!(neighbors.iter().all(|neighbor| neighbor.router == ip("10.9.9.2") && neighbor.priority == Some(1)));
    let ends = |neighbor: &Neighbor| (neighbor.address, neighbor.local, neighbor.events, neighbor.retransmissions);
    assert_eq!(ends(&neighbors[0]), (ip("10.0.12.2"), ip("10.0.12.1"), Some(6), Some(1)));
    assert_eq!(ends(&neighbors[1]), (ip("10.0.13.2"), ip("10.0.13.1"), Some(5), Some(0)));
    assert_eq!(ends(&neighbors[2]), (ip("fe80::8a8:e0ff:feaf:8555"), None, Some(6), Some(1)));
    let interfaces = told.interfaces.kept();
    let row =
        |interface: &Interface| (interface.state, interface.network, interface.cost, interface.dr, interface.backup);
    let own = ip("10.9.9.1");
    let broadcast = Some(NetworkType::Broadcast);
    assert_eq!(
        row(&interfaces[0]),
        (InterfaceState::Backup, broadcast, None, ip("10.9.9.2"), own),
        "its metric is of no service"
    );
    assert_eq!(row(&interfaces[1]), (InterfaceState::PointToPoint, None, None, None, None));
    assert_eq!(row(&interfaces[2]), (InterfaceState::Backup, broadcast, Some(10), ip("10.9.9.2"), own));
    assert!(
        interfaces
            .iter()
            .all(|one| one.hello == Some(Duration::from_secs(1)) && one.dead == Some(Duration::from_secs(4)))
    );
    assert!(interfaces.iter().all(|one| (one.neighbors, one.adjacent) == (Some(1), Some(1))));
    assert_eq!(interfaces[0].prefix, Some(24));
    let area =
        |area: &Area| (area.id.as_str().to_owned(), area.kind, area.abr, area.lsas, area.spf_runs, area.adjacent);
    let areas: Vec<_> = told.areas.kept().iter().map(area).collect();
    let normal = Some(AreaKind::Normal);
    assert_eq!(areas[0], ("0.0.0.0".to_owned(), normal, Some(true), Some(5), Some(5), Some(1)));
    assert_eq!(areas[1], ("0.0.0.7".to_owned(), normal, Some(true), Some(4), Some(6), Some(1)), "FRR begins with zero");
    assert_eq!(areas[2], ("0.0.0.0".to_owned(), normal, Some(false), Some(3), Some(4), Some(1)));
    assert!(told.areas.kept().iter().all(|area| area.router == own && area.interfaces == Some(1)));
}

#[test]
fn what_the_standard_knows_is_read() {
    let (told, _) = told(&walk("made-snmp-rfc4750/walk"), Timestamp(0));
    let row =
        |neighbor: &Neighbor| (neighbor.interface.as_str().to_owned(), neighbor.router, neighbor.state, neighbor.role);
    let rows: Vec<_> = told.neighbors.kept().iter().map(row).collect();
    let named = |name: &str| name.to_owned();
    assert_eq!(
        rows,
        [
            (named("9"), ip("192.0.2.9"), NeighborState::ExStart, Some(Role::PointToPoint)),
            (named("ether4"), ip("192.0.2.2"), NeighborState::Full, Some(Role::Dr)),
            (named("ether4"), ip("192.0.2.3"), NeighborState::Loading, Some(Role::Backup)),
            (named("ether4"), None, NeighborState::Attempt, Some(Role::DrOther)),
            (named("ether4"), ip("192.0.2.5"), NeighborState::Other, Some(Role::DrOther)),
            (named("ether4"), ip("192.0.2.2"), NeighborState::Full, Some(Role::Backup)),
        ]
    );
    let row = |one: &Interface| (one.name.as_str().to_owned(), one.network, one.cost, one.prefix, one.dr);
    let rows: Vec<_> = told.interfaces.kept().iter().map(row).collect();
    assert_eq!(
        rows,
        [
            (named("9"), Some(NetworkType::PointToPoint), Some(64), None, None),
            (named("ether4"), Some(NetworkType::Nbma), None, Some(29), ip("192.0.2.2")),
            (named("ether4"), Some(NetworkType::Broadcast), Some(10), None, ip("192.0.2.1")),
        ]
    );
    let row =
        |area: &Area| (area.kind, area.abr, area.asbr, area.external_lsas, area.lsas, area.spf_runs, area.adjacent);
    let rows: Vec<_> = told.areas.kept().iter().map(row).collect();
    assert_eq!(
        rows,
        [
            (Some(AreaKind::Nssa), Some(false), Some(true), Some(12), Some(17), Some(41), Some(1)),
            (Some(AreaKind::Stub), Some(true), Some(false), None, Some(6), Some(5), Some(1)),
        ]
    );
}

#[test]
fn the_kind_of_an_area_is_not_how_it_proves_who_speaks() {
    let (told, _) = told(&walk("snmp-frr-8.4/areas"), Timestamp(0));
    let kinds: Vec<_> =
        told.areas.kept().iter().map(|area| (area.place.version, area.id.as_str(), area.kind.unwrap())).collect();
    // of version 2 the first two have digests, the third has a password, and the last one nothing
    assert_eq!(
        kinds,
        [
            (2, "0.0.0.0", AreaKind::Normal),
            (2, "0.0.0.1", AreaKind::Stub),
            (2, "0.0.0.2", AreaKind::Nssa),
            (2, "0.0.0.3", AreaKind::Stub),
            (3, "0.0.0.0", AreaKind::Normal),
            (3, "0.0.0.3", AreaKind::Stub),
        ]
    );
}

#[test]
fn a_kind_of_area_that_no_standard_knows_is_missing() {
    let kinds: Vec<_> = [0, 4].map(|kind| value::kind(Some(&Value::Integer(kind)))).into();
    assert_eq!(kinds, [None, None]);
}

#[test]
fn names_of_very_many_interfaces_are_looked_up_once() {
    let numbers: Vec<u32> = (0..50_000).collect();
    let named = |number: u32| Binding {
        oid: name(&INTERFACE_NAME).and(&[number]),
        value: Value::Bytes(if number % 1000 == 7 { Vec::new() } else { b"ether".to_vec() }),
    };
    let all: Vec<Binding> = (0..49_990).map(named).collect();
    let without: Vec<u32> =
        (0..50).map(|at| at * 1000 + 7).filter(|number| *number < 49_990).chain(49_990..50_000).collect();
    assert_eq!(nameless(&numbers, &all), without);
}

#[test]
fn very_many_rows_are_counted_and_kept_within_bounds() {
    let half = |table: &[u32], column: u32| -> Vec<Binding> {
        let index = |at: u32| [column, 10, at >> 16, at >> 8 & 0xff, at & 0xff, 0];
        (0..30_000).map(|at| Binding { oid: name(table).and(&index(at)), value: Value::Integer(8) }).collect()
    };
    let all = [half(&INTERFACES, 12), half(&NEIGHBORS, 6)].concat();
    let (told, _) = told(&all, Timestamp(0));
    assert_eq!((told.neighbors.kept().len(), told.neighbors.left_out()), (MOST, 30_000 - MOST));
    assert_eq!((told.interfaces.kept().len(), told.interfaces.left_out()), (MOST, 30_000 - MOST));
}

#[test]
fn nothing_is_told_of_what_makes_no_sense() {
    let odd = |arcs: &[u32], value: Value| Binding { oid: name(arcs), value };
    let all = [
        odd(&[14, 10, 1, 6], Value::Integer(8)),
        odd(&[14, 10, 1, 6, 10, 0, 0, 300, 0], Value::Integer(8)),
        odd(&[14, 10, 1, 6, 10, 0, 0, 1, 0, 7], Value::Integer(8)),
        odd(&[191, 1, 9, 1, 8, 1], Value::Integer(8)),
        odd(&[14, 2, 1, 2, 1, 2], Value::Integer(1)),
        odd(&[14, 10, 1, 6, 10, 0, 0, 2, 0], Value::Bytes(b"Full".to_vec())),
        odd(&[14, 10, 1, 3, 10, 0, 0, 2, 0], Value::Integer(-1)),
    ];
    let (told, _) = told(&all, Timestamp(0));
    assert!(told.areas.kept().is_empty() && told.interfaces.kept().is_empty());
    let neighbors = told.neighbors.kept();
    assert_eq!((neighbors.len(), neighbors[0].state, neighbors[0].router), (1, NeighborState::Other, None));
}

#[test]
fn lsas_are_those_of_all_tables_and_their_headers_are_believed() {
    let word = |lsa: &Lsa| {
        let text = |text: &Option<Text>| text.as_deref().unwrap_or("-").to_owned();
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        format!(
            "{} {} {} {} {} {} {} {:x} {} {} {}",
            lsa.place.version,
            text(&lsa.area),
            text(&lsa.interface),
            lsa.scope.name(),
            lsa.kind.name(),
            lsa.id,
            lsa.router,
            lsa.sequence.unwrap(),
            number(lsa.age.map(|age| age.as_secs())),
            number(lsa.checksum.map(u64::from)),
            number(lsa.length)
        )
    };
    let lsas = lsas(&walk("made-snmp-rfc4750/walk"));
    let told: Vec<String> = lsas.kept().iter().map(word).collect();
    assert_eq!(
        told,
        [
            "2 0.0.0.3 - area Router 192.0.2.1 192.0.2.1 80000002 77 4660 36",
            // one that tells its numbers with their bytes the other way round tells the age that it came with
            "2 0.0.0.3 - area Network 192.0.2.9 192.0.2.2 80000001 - 30806 32",
            "2 0.0.0.3 - area Summary 192.0.2.64 192.0.2.2 80000001 3600 30806 28",
            "2 - - AS AS-External 198.51.100.0 192.0.2.3 80000009 900 43981 -",
            "2 0.0.0.3 ether4 link Opaque-Link 3.0.0.0 192.0.2.2 80000001 3 - -",
            "3 - - AS AS-External 0.0.0.1 192.0.2.3 80000008 600 - -",
            "3 0.0.0.3 - area Inter-Area-Prefix 0.0.0.4 192.0.2.2 80000003 8 - -",
            "3 0.0.0.7 ether4 link Link 0.0.0.6 192.0.2.2 80000001 44 255 -",
        ]
    );
}

#[test]
fn links_are_those_of_lsas_that_are_told_whole() {
    let all = links(&walk("made-snmp-rfc4750/walk"));
    let told: Vec<_> = all.kept().iter().map(|link| (&*link.area, &*link.from, link.kind.name(), &*link.to)).collect();
    assert_eq!(
        told,
        [
            ("0.0.0.3", "192.0.2.1", "transit", "192.0.2.8/29"),
            ("0.0.0.3", "192.0.2.8/29", "attached", "192.0.2.2"),
            ("0.0.0.3", "192.0.2.8/29", "attached", "192.0.2.1"),
        ]
    );
}
