//! What does `ospfd` of Quagga tell?
//!
//! It writes no JSON, knows no VRF, and speaks as FRR does otherwise: the text that people see is read clause by clause. Only
//! version 2 of OSPF.

use std::time::{Duration, Instant};

use super::super::ospf::{
    Area, AreaKind, Index, Interface, InterfaceState, Neighbor, NeighborState, NetworkType, Place, Role,
};
use super::super::told::Told;
use super::{area_id, area_kind, span, text};
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::control::line::Line;

/// Where everything is.
const PLACE: Place = Place { instance: None, vrf: None, version: 2 };

/// Asks for neighbors, interfaces and areas.
///
/// # Errors
/// As [`Line::ask`], or the answer is no text.
pub(in super::super) fn ask(line: &mut Line, deadline: Instant) -> Result<Told, Error> {
    let neighbors = text(line, "show ip ospf neighbor detail", deadline)?;
    let at = Timestamp::now();
    let interfaces = text(line, "show ip ospf interface", deadline)?;
    Ok(read([&neighbors, &interfaces, &text(line, "show ip ospf", deadline)?], at))
}

/// Reads what it answered when it was asked for neighbors, interfaces and itself.
pub fn read([neighbors, interfaces, areas]: [&str; 3], at: Timestamp) -> Told {
    let mut told = Told::new(at);
    read_interfaces(interfaces, &mut told);
    read_neighbors(neighbors, &mut told);
    read_areas(areas, &mut told);
    told
}

fn read_neighbors(answer: &str, told: &mut Told) {
    let interfaces = Index::of(told.interfaces.kept());
    let mut found: Option<(Neighbor, Hellos)> = None;
    for line in answer.lines() {
        let words = line.trim();
        if let Some((router, address)) =
            words.strip_prefix("Neighbor ").and_then(|rest| rest.split_once(", interface address "))
        {
            let new = Neighbor::new(PLACE, Text::default(), NeighborState::Other);
            let begun = Neighbor { router: router.parse().ok(), address: address.parse().ok(), ..new };
            told.neighbors.extend(found.replace((begun, Hellos::default())).map(|found| settled(found, &interfaces)));
        } else if let Some((neighbor, hellos)) = &mut found {
            for clause in words.split(", ") {
                of_neighbor(neighbor, hellos, clause);
            }
        }
    }
    told.neighbors.extend(found.map(|found| settled(found, &interfaces)));
}

/// Addresses that a neighbor believes the network's routers to have.
#[derive(Default)]
struct Hellos {
    dr: Option<Text>,
    backup: Option<Text>,
}

/// Adds what follows from the interface.
fn settled((mut neighbor, hellos): (Neighbor, Hellos), interfaces: &Index<'_>) -> Neighbor {
    if let Some(interface) = interfaces.behind(&neighbor) {
        neighbor.local = interface.address;
        let is = |who: &Option<Text>| who.as_ref().and_then(|who| who.parse().ok()) == neighbor.address;
        neighbor.role = match interface.network {
            Some(NetworkType::Broadcast | NetworkType::Nbma) if is(&hellos.dr) => Some(Role::Dr),
            Some(NetworkType::Broadcast | NetworkType::Nbma) if is(&hellos.backup) => Some(Role::Backup),
            Some(NetworkType::Broadcast | NetworkType::Nbma) => Some(Role::DrOther),
            Some(NetworkType::Loopback | NetworkType::Other) | None => None,
            Some(_) => Some(Role::PointToPoint),
        };
    }
    neighbor
}

fn of_neighbor(neighbor: &mut Neighbor, hellos: &mut Hellos, clause: &str) {
    let after = |words: &str| clause.strip_prefix(words);
    let ago = |words: &str| after(words).and_then(|rest| rest.strip_suffix(" ago")).and_then(span);
    if let Some((area, interface)) = after("In the area ").and_then(|rest| rest.split_once(" via interface ")) {
        (neighbor.area, neighbor.interface) = (Some(area_id(area)), Text::from(interface));
    } else if let Some(priority) = after("Neighbor priority is ") {
        neighbor.priority = priority.parse().ok();
    } else if let Some(state) = after("State is ") {
        // FRR has the role behind it
        neighbor.state = NeighborState::of(state.split('/').next().unwrap_or_default());
    } else if let Some(changes) = clause.strip_suffix(" state changes") {
        neighbor.changes = changes.parse().ok();
    } else if let Some(age) = ago("Progressive change ") {
        neighbor.age = Some(age);
    } else if let Some(age) = ago("Regressive change ") {
        neighbor.regressed = Some(age);
        neighbor.age = Some(neighbor.age.map_or(age, |progress| progress.min(age)));
    } else if let Some(reason) = after("due to ") {
        neighbor.reason = Some(Text::from(reason));
    } else if let Some(dr) = after("DR is ") {
        hellos.dr = Some(Text::from(dr));
    } else if let Some(backup) = after("BDR is ") {
        hellos.backup = Some(Text::from(backup));
    } else if let Some(left) = after("Dead timer due in ") {
        neighbor.dead = span(left);
    } else if let Some(count) = after("Database Summary List ") {
        neighbor.summaries = count.parse().ok();
    } else if let Some(count) = after("Link State Request List ") {
        neighbor.requests = count.parse().ok();
    } else if let Some(count) = after("Link State Retransmission List ") {
        neighbor.retransmissions = count.parse().ok();
    }
}

fn read_interfaces(answer: &str, told: &mut Told) {
    let (mut name, mut found) = (Text::default(), None::<Interface>);
    for line in answer.lines() {
        let words = line.trim();
        if !line.starts_with(' ') {
            told.interfaces.extend(found.take());
            name = Text::from(words.split(" is ").next().unwrap_or_default());
        } else if words.starts_with("OSPF is enabled, but not running") {
            told.interfaces.push(Interface::new(PLACE, name.clone(), InterfaceState::Down));
        } else if words.starts_with("Internet Address ") {
            // of one that has several there is one after another
            let new = Interface::new(PLACE, name.clone(), InterfaceState::Other);
            told.interfaces.extend(found.replace(Interface { passive: Some(false), ..new }));
        }
        for clause in words.split(", ") {
            if let Some(interface) = &mut found {
                of_interface(interface, clause);
            }
        }
    }
    told.interfaces.extend(found);
}

fn of_interface(interface: &mut Interface, clause: &str) {
    let after = |words: &str| clause.strip_prefix(words);
    if let Some((address, prefix)) = after("Internet Address ").and_then(|rest| rest.split_once('/')) {
        (interface.address, interface.prefix) = (address.parse().ok(), prefix.parse().ok());
    } else if let Some(area) = after("Area ") {
        (interface.area, interface.area_kind) = (Some(area_id(area)), Some(area_kind(area)));
    } else if let Some(network) = after("Network Type ") {
        interface.network = Some(NetworkType::of(network));
    } else if let Some(cost) = after("Cost: ") {
        interface.cost = cost.parse().ok();
    } else if let Some(state) = after("State ") {
        interface.state = InterfaceState::of(state);
    } else if let Some(priority) = after("Priority ") {
        interface.priority = priority.parse().ok();
    } else if let Some(router) = after("Designated Router (ID) ") {
        // FRR forgets the comma behind it
        interface.dr = router.split(' ').next().and_then(|router| router.parse().ok());
    } else if let Some(router) = after("Backup Designated Router (ID) ") {
        interface.backup = router.parse().ok();
    } else if let Some(hello) = after("Hello ").filter(|rest| !rest.starts_with("due in ")) {
        let millis = hello.strip_suffix("ms").and_then(|millis| millis.parse().ok()).map(Duration::from_millis);
        interface.hello = millis.or_else(|| span(hello));
    } else if let Some(dead) = after("Dead ") {
        interface.dead = span(dead);
    } else if let Some(wait) = after("Wait ") {
        interface.wait = span(wait);
    } else if let Some(seconds) = after("Retransmit ") {
        interface.retransmit = seconds.parse().ok().map(Duration::from_secs);
    } else if clause.starts_with("No Hellos (Passive") {
        interface.passive = Some(true);
    } else if let Some(count) = after("Neighbor Count is ") {
        interface.neighbors = count.parse().ok();
    } else if let Some(count) = after("Adjacent neighbor count is ") {
        interface.adjacent = count.parse().ok();
    }
}

fn read_areas(answer: &str, told: &mut Told) {
    // what is told before the first of them is so in all
    let mut router = Area { place: PLACE, abr: Some(false), asbr: Some(false), ..Area::default() };
    let mut found: Option<Area> = None;
    for line in answer.lines() {
        let words = line.trim();
        if let Some(rest) = words.strip_prefix("Area ID: ") {
            let (id, kind) = rest.split_once(" (").unwrap_or((rest, ""));
            let kind = match kind {
                kind if kind.starts_with("Stub") => AreaKind::Stub,
                kind if kind.starts_with("NSSA") => AreaKind::Nssa,
                _ => AreaKind::Normal,
            };
            told.areas.extend(found.replace(Area { id: Text::from(id), kind: Some(kind), ..router.clone() }));
        } else {
            of_area(found.as_mut().unwrap_or(&mut router), words);
        }
    }
    told.areas.extend(found);
}

fn of_area(area: &mut Area, words: &str) {
    let after = |name: &str| words.strip_prefix(name);
    let count = |name: &str| after(name)?.split(['.', ',']).next()?.trim().parse().ok();
    if let Some(router) = after("OSPF Routing Process, Router ID: ") {
        area.router = router.parse().ok();
    } else if words.starts_with("This router is an ABR,") {
        area.abr = Some(true);
    } else if words.starts_with("This router is an ASBR ") {
        area.asbr = Some(true);
    } else if let Some(age) = after("SPF algorithm last executed ").and_then(|rest| rest.strip_suffix(" ago")) {
        area.spf_age = span(age);
    } else if let Some(runs) = after("SPF algorithm executed ").and_then(|rest| rest.strip_suffix(" times")) {
        area.spf_runs = runs.parse().ok();
    }
    for (name, cell) in [
        ("Number of interfaces in this area: Total: ", &mut area.interfaces),
        ("Number of fully adjacent neighbors in this area: ", &mut area.adjacent),
        ("Number of LSA ", &mut area.lsas),
        ("Number of router LSA ", &mut area.router_lsas),
        ("Number of network LSA ", &mut area.network_lsas),
        ("Number of summary LSA ", &mut area.summary_lsas),
        ("Number of ASBR summary LSA ", &mut area.asbr_summary_lsas),
        ("Number of external LSA ", &mut area.external_lsas),
        ("Number of NSSA LSA ", &mut area.nssa_lsas),
        ("Number of opaque area LSA ", &mut area.opaque_lsas),
    ] {
        *cell = count(name).or(*cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_000_000_000_000);

    fn told() -> Told {
        let answer = |name: &str| {
            let path = format!("{}/tests/fixtures/routing/made-quagga-1.2/{name}.txt", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        read(["ospf-neighbor", "ospf-interface", "ospf"].map(answer).each_ref().map(String::as_str), AT)
    }

    #[test]
    fn neighbors_are_read_clause_by_clause() {
        let told = told();
        let [backup, attempt] = told.neighbors.kept() else { panic!("{told:?}") };
        assert_eq!((backup.router, backup.address), ("10.9.9.1".parse().ok(), "10.0.12.1".parse().ok()));
        assert_eq!((backup.state, backup.role, backup.priority), (NeighborState::Full, Some(Role::Backup), Some(1)));
        assert_eq!((backup.interface.as_str(), backup.area.as_deref()), ("to1", Some("0.0.0.0")));
        assert_eq!((backup.local, backup.changes), ("10.0.12.2".parse().ok(), Some(6)));
        let seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
        assert_eq!((seconds(backup.age), seconds(backup.regressed)), (Some(3723.0), Some(93_780.0)));
        assert_eq!((seconds(backup.dead), backup.reason.as_deref()), (Some(35.123), Some("SeqNumberMismatch")));
        assert_eq!((backup.retransmissions, backup.requests, backup.summaries), (Some(1), Some(2), Some(3)));
        assert_eq!((attempt.state, attempt.router, attempt.dead), (NeighborState::Attempt, None, None));
        assert_eq!((attempt.area.as_deref(), attempt.age, attempt.role), (Some("0.0.0.2"), None, Some(Role::DrOther)));
    }

    #[test]
    fn areas_are_read_with_what_all_of_them_share() {
        let told = told();
        let [backbone, stub, nssa] = told.areas.kept() else { panic!("{told:?}") };
        for area in [backbone, stub, nssa] {
            assert_eq!((area.router, area.abr, area.asbr), ("10.9.9.2".parse().ok(), Some(true), Some(true)));
            assert_eq!((area.spf_age, area.external_lsas), (Some(Duration::from_secs(62)), Some(4)));
        }
        let kinds = [backbone, stub, nssa].map(|area| (area.id.as_str(), area.kind));
        let want =
            [("0.0.0.0", Some(AreaKind::Normal)), ("0.0.0.2", Some(AreaKind::Stub)), ("0.0.0.3", Some(AreaKind::Nssa))];
        assert_eq!(kinds, want);
        assert_eq!((backbone.interfaces, backbone.adjacent, backbone.spf_runs), (Some(2), Some(1), Some(5)));
        assert_eq!((backbone.lsas, backbone.router_lsas, backbone.network_lsas), (Some(9), Some(3), Some(2)));
        assert_eq!((backbone.summary_lsas, backbone.asbr_summary_lsas), (Some(4), Some(6)));
        assert_eq!((backbone.opaque_lsas, nssa.nssa_lsas, nssa.adjacent), (Some(0), Some(2), Some(0)));
        let outside = read(["", "", " OSPF Routing Process not enabled\n"], AT);
        assert_eq!(outside.areas.kept(), []);
    }

    #[test]
    fn interfaces_are_read_clause_by_clause() {
        let told = told();
        let [one, two, down] = told.interfaces.kept() else { panic!("{told:?}") };
        assert_eq!(
            (one.name.as_str(), one.state, one.network),
            ("to1", InterfaceState::Dr, Some(NetworkType::Broadcast))
        );
        assert_eq!((one.address, one.prefix, one.cost), ("10.0.12.2".parse().ok(), Some(24), Some(10)));
        assert_eq!((one.dr, one.backup), ("10.9.9.2".parse().ok(), "10.9.9.1".parse().ok()));
        assert_eq!((one.hello, one.dead), (Some(Duration::from_secs(10)), Some(Duration::from_secs(40))));
        assert_eq!((one.wait, one.retransmit), (Some(Duration::from_secs(40)), Some(Duration::from_secs(5))));
        assert_eq!((one.passive, one.neighbors, one.adjacent), (Some(false), Some(1), Some(1)));
        assert_eq!((two.state, two.passive, two.dr), (InterfaceState::Waiting, Some(true), None));
        assert_eq!((two.hello, two.area_kind), (Some(Duration::from_millis(333)), Some(AreaKind::Stub)));
        assert_eq!((down.name.as_str(), down.state, down.passive), ("to6", InterfaceState::Down, None));
    }
}
