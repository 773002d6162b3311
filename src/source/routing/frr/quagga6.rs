//! What does `ospf6d` of Quagga tell of version 3?
//!
//! It writes no JSON and knows no VRF: the text that people see is read line by line. FRR has kept that text.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::ospf::{Area, Index, Interface, InterfaceState, Neighbor, NeighborState, NetworkType, Place, Role};
use super::super::told::Told;
use super::{area_id, ospf6, span, text};
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::control::line::Line;

/// Where everything is.
const PLACE: Place = Place { instance: None, vrf: None, version: 3 };

/// Asks for neighbors, for more about them, for interfaces and areas.
///
/// # Errors
/// As [`Line::ask`], or the answer is no text.
pub(in super::super) fn ask(line: &mut Line, deadline: Instant) -> Result<Told, Error> {
    let mut show = |what: &str| text(line, &format!("show ipv6 ospf6{what}"), deadline);
    let (short, long, at) = (show(" neighbor")?, show(" neighbor detail")?, Timestamp::now());
    Ok(read([&short, &long, &show(" interface")?, &show("")?], at))
}

/// Reads what it answered when it was asked for neighbors, for more about them, for interfaces and itself.
pub fn read([short, long, interfaces, areas]: [&str; 4], at: Timestamp) -> Told {
    let mut told = Told::new(at);
    read_interfaces(interfaces, &mut told);
    read_neighbors(short, long, &mut told);
    read_areas(areas, &mut told);
    told.count_neighbors();
    told
}

/// What only the short list of neighbors has.
struct Brief {
    role: Option<Role>,
    dead: Option<Duration>,
}

/// Reads a line of that list, and who it is about.
fn brief(line: &str) -> Option<((&str, &str), Brief)> {
    let mut words = line.split_ascii_whitespace();
    let (router, _, dead, state, _, interface) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let (interface, _) = interface.rsplit_once('[')?;
    let role = state.split_once('/').and_then(|(_, role)| Role::of(role));
    Some(((router, interface), Brief { role, dead: ospf6::span(dead) }))
}

fn read_neighbors(short: &str, long: &str, told: &mut Told) {
    let short: HashMap<_, _> = short.lines().filter_map(brief).collect();
    let interfaces = Index::of(told.interfaces.kept());
    let mut found: Option<Neighbor> = None;
    for line in long.lines() {
        let words = line.trim();
        if let Some((router, interface)) = words.strip_prefix("Neighbor ").and_then(|name| name.split_once('%')) {
            let brief = short.get(&(router, interface));
            let new = Neighbor {
                router: router.parse().ok(),
                role: brief.and_then(|brief| brief.role),
                dead: brief.and_then(|brief| brief.dead),
                ..Neighbor::new(PLACE, Text::from(interface), NeighborState::Other)
            };
            told.neighbors.extend(found.replace(new).map(|found| settled(found, &interfaces)));
        } else if let Some(neighbor) = &mut found {
            of_neighbor(neighbor, words);
        }
    }
    told.neighbors.extend(found.map(|found| settled(found, &interfaces)));
}

/// Adds what follows from the interface.
fn settled(mut neighbor: Neighbor, interfaces: &Index<'_>) -> Neighbor {
    neighbor.local = interfaces.behind(&neighbor).and_then(|interface| interface.address);
    neighbor
}

fn of_neighbor(neighbor: &mut Neighbor, words: &str) {
    let after = |name: &str| words.strip_prefix(name);
    let count = |name: &str| after(name)?.strip_suffix(" LSAs")?.parse::<u64>().ok();
    if let Some((area, _)) = after("Area ").and_then(|rest| rest.split_once(" via interface ")) {
        neighbor.area = Some(area_id(area));
    } else if let Some((_, address)) = words.split_once(" Link-local address: ") {
        neighbor.address = address.parse().ok();
    } else if let Some((state, age)) = after("State ").and_then(|rest| rest.split_once(" for a duration of ")) {
        (neighbor.state, neighbor.age) = (NeighborState::of(state), ospf6::span(age));
    } else if let Some((_, priority)) = after("His choice of DR/BDR ").and_then(|rest| rest.split_once(", Priority ")) {
        neighbor.priority = priority.parse().ok();
    } else if let Some(summaries) = count("Summary-List: ") {
        neighbor.summaries = Some(summaries);
    } else if let Some(requests) = count("Request-List: ") {
        neighbor.requests = Some(requests);
    } else if let Some(retransmissions) = count("Retrans-List: ") {
        neighbor.retransmissions = Some(retransmissions);
    }
}

/// Reads `show ipv6 ospf6 interface`: of all interfaces those on which it runs.
fn read_interfaces(answer: &str, told: &mut Told) {
    let mut found: Option<Interface> = None;
    let runs = |interface: &Interface| interface.area.is_some();
    for line in answer.lines() {
        if !line.starts_with(' ') {
            let (name, kind) = line.split_once(" is ").unwrap_or((line, ""));
            let network = kind.split_once(", type ").map(|(_, network)| NetworkType::of(network));
            let new = Interface::new(PLACE, Text::from(name), InterfaceState::Down);
            told.interfaces.extend(found.replace(Interface { network, ..new }).filter(runs));
        } else if let Some(interface) = &mut found {
            for clause in line.trim().split(", ") {
                of_interface(interface, clause);
            }
        }
    }
    told.interfaces.extend(found.filter(runs));
}

fn of_interface(interface: &mut Interface, clause: &str) {
    let after = |words: &str| clause.strip_prefix(words);
    // behind the time between two is when the next one is due
    let seconds = |words: &str| after(words)?.split('(').next()?.parse().ok().map(Duration::from_secs);
    let router = |word: &str| word.parse().ok().filter(|router: &IpAddr| !router.is_unspecified());
    if let Some((address, prefix)) = after("inet6: ").and_then(|rest| rest.split_once('/')) {
        if let Ok(IpAddr::V6(address)) = address.parse()
            && address.is_unicast_link_local()
        {
            (interface.address, interface.prefix) = (Some(IpAddr::V6(address)), prefix.parse().ok());
        }
    } else if let Some(area) = after("Area ID ") {
        interface.area = Some(area_id(area));
    } else if let Some(cost) = after("Cost ") {
        interface.cost = cost.parse().ok();
    } else if let Some(state) = after("State ") {
        interface.state = InterfaceState::of(state);
        if interface.state == InterfaceState::PointToPoint {
            interface.network = Some(NetworkType::PointToPoint);
        }
    } else if let Some(priority) = after("Priority ") {
        interface.priority = priority.parse().ok();
    } else if let Some((dr, backup)) = after("DR: ").and_then(|rest| rest.split_once(" BDR: ")) {
        (interface.dr, interface.backup) = (router(dr), router(backup));
    } else if let Some(hello) = seconds("Hello ") {
        interface.hello = Some(hello);
    } else if let Some(dead) = seconds("Dead ") {
        interface.dead = Some(dead);
    } else if let Some(retransmit) = seconds("Retransmit ") {
        interface.retransmit = Some(retransmit);
    }
}

fn read_areas(answer: &str, told: &mut Told) {
    // what is told before the first of them is so in all
    let mut router = Area { place: PLACE, ..Area::default() };
    let mut found: Option<Area> = None;
    for line in answer.lines() {
        let words = line.trim();
        if let Some(id) = words.strip_prefix("Area ") {
            told.areas.extend(found.replace(Area { id: area_id(id), ..router.clone() }));
        } else {
            of_area(found.as_mut().unwrap_or(&mut router), words);
        }
    }
    told.areas.extend(found);
}

fn of_area(area: &mut Area, words: &str) {
    let after = |name: &str| words.strip_prefix(name);
    if let Some((_, router)) = words.split_once(" with Router-ID ") {
        area.router = router.parse().ok();
    } else if let Some(count) = after("Number of AS scoped LSAs is ") {
        area.external_lsas = count.parse().ok();
    } else if let Some(count) = after("Number of Area scoped LSAs is ") {
        area.lsas = count.parse().ok();
    } else if let Some(names) = after("Interface attached to this area:") {
        area.interfaces = Some(names.split_ascii_whitespace().count() as u64);
    } else if let Some((age, _)) = after("SPF algorithm last executed ").and_then(|rest| rest.split_once(" ago")) {
        area.spf_age = ospf6::span(age);
    } else if let Some((age, _)) = after("SPF last executed ").and_then(|rest| rest.split_once(" ago")) {
        area.spf_age = span(age);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    const AT: Timestamp = Timestamp(1_000_000_000_000);

    fn answer(name: &str) -> String {
        let path = format!("{}/tests/fixtures/routing/made-quagga-1.2/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn told() -> Told {
        let answers = ["ospf6-neighbor", "ospf6-neighbor-detail", "ospf6-interface", "ospf6"].map(answer);
        read(answers.each_ref().map(String::as_str), AT)
    }

    fn seconds(span: Option<Duration>) -> Option<u64> {
        span.map(|span| span.as_secs())
    }

    #[test]
    fn over_a_control_socket_it_is_asked_for_the_same_text() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let daemon = std::thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            for question in BufReader::new(theirs).split(0).map_while(Result::ok) {
                let text = match question.as_slice() {
                    b"show ipv6 ospf6 neighbor" => answer("ospf6-neighbor"),
                    b"show ipv6 ospf6 neighbor detail" => answer("ospf6-neighbor-detail"),
                    b"show ipv6 ospf6 interface" => answer("ospf6-interface"),
                    b"show ipv6 ospf6" => answer("ospf6"),
                    other => panic!("{}", String::from_utf8_lossy(other)),
                };
                writer.write_all(&[text.as_bytes(), &[0; 4]].concat()).unwrap();
            }
        });
        let mut line = Line::testing(ours);
        let heard = ask(&mut line, Instant::now() + Duration::from_secs(20)).unwrap();
        assert_eq!(Told { at: AT, ..heard }, told());
        drop(line);
        daemon.join().unwrap();
    }

    #[test]
    fn neighbors_are_read_from_both_lists() {
        let told = told();
        let [dr, other, tunnel] = told.neighbors.kept() else { panic!("{told:?}") };
        assert_eq!(
            (dr.router, dr.address, dr.local),
            ("10.9.9.1".parse().ok(), "fe80::1".parse().ok(), "fe80::2".parse().ok())
        );
        assert_eq!((dr.state, dr.role, dr.priority), (NeighborState::Full, Some(Role::Dr), Some(1)));
        assert_eq!((dr.interface.as_str(), dr.area.as_deref(), dr.place.version), ("to1", Some("0.0.0.0"), 3));
        assert_eq!((seconds(dr.age), seconds(dr.dead)), (Some(3723), Some(35)));
        assert_eq!((dr.summaries, dr.requests, dr.retransmissions), (Some(1), Some(2), Some(3)));
        assert_eq!(
            (other.state, other.role, seconds(other.age)),
            (NeighborState::TwoWay, Some(Role::DrOther), Some(273_906))
        );
        assert_eq!((tunnel.state, tunnel.role), (NeighborState::ExStart, Some(Role::PointToPoint)));
        assert_eq!((tunnel.area.as_deref(), tunnel.priority), (Some("0.0.0.3"), Some(0)));
    }

    #[test]
    fn interfaces_are_those_on_which_it_runs() {
        let told = told();
        let [one, tunnel] = told.interfaces.kept() else { panic!("{told:?}") };
        assert_eq!(
            (one.name.as_str(), one.state, one.network),
            ("to1", InterfaceState::Backup, Some(NetworkType::Broadcast))
        );
        assert_eq!((one.address, one.prefix, one.cost), ("fe80::2".parse().ok(), Some(64), Some(21)));
        assert_eq!((one.dr, one.backup, one.priority), ("10.9.9.1".parse().ok(), "10.9.9.2".parse().ok(), Some(9)));
        assert_eq!((seconds(one.hello), seconds(one.dead), seconds(one.retransmit)), (Some(10), Some(40), Some(5)));
        assert_eq!((one.neighbors, one.adjacent, one.passive), (Some(2), Some(1), None));
        assert_eq!((tunnel.state, tunnel.network), (InterfaceState::PointToPoint, Some(NetworkType::PointToPoint)));
        assert_eq!((tunnel.area.as_deref(), tunnel.dr, tunnel.backup), (Some("0.0.0.3"), None, None));
    }

    #[test]
    fn areas_are_read_with_what_all_of_them_share() {
        let told = told();
        let [backbone, other] = told.areas.kept() else { panic!("{told:?}") };
        for area in [backbone, other] {
            assert_eq!((area.router, area.external_lsas), ("10.9.9.2".parse().ok(), Some(4)));
            assert_eq!((seconds(area.spf_age), area.kind, area.abr), (Some(62), None, None));
        }
        assert_eq!((backbone.id.as_str(), backbone.lsas, backbone.interfaces), ("0.0.0.0", Some(12), Some(2)));
        assert_eq!((other.id.as_str(), other.lsas, other.interfaces), ("0.0.0.3", Some(5), Some(1)));
        assert_eq!(read(["", "", "", "OSPFv3 is not running\n"], AT).areas.kept(), []);
    }
}
