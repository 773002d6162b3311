//! What does BIRD tell of the LSAs in a database?

use std::net::IpAddr;
use std::time::Duration;

use super::super::lsa::{Lsa, LsaCounts, LsaType, MOST, Scope, hex};
use super::super::ospf::{Area, Interface, Place};
use super::lines;
use crate::model::Text;
use crate::source::bounded::Bounded;

/// `/* Show OSPF LSADB */` of `doc/reply_codes`
const LSADB: u16 = 1017;

/// Reads `show ospf lsadb`.
pub fn read_lsas(version: u32, answer: &str) -> Bounded<Lsa> {
    let mut lsas = Bounded::new(MOST);
    list(&mut lsas, &Place { instance: None, vrf: None, version }, &[], answer);
    lsas
}

/// The same of a protocol whose interfaces say which area a link is in.
pub(super) fn list(lsas: &mut Bounded<Lsa>, place: &Place, interfaces: &[Interface], answer: &str) {
    let (mut scope, mut area, mut interface) = (Scope::As, None, None);
    for (_, line) in lines(answer).filter(|(code, _)| *code == LSADB) {
        if line == "Global" {
            (scope, area, interface) = (Scope::As, None, None);
        } else if let Some(id) = line.strip_prefix("Area ") {
            (scope, area, interface) = (Scope::Area, Some(Text::from(id)), None);
        } else if let Some(name) = line.strip_prefix("Link ") {
            let behind = interfaces.iter().find(|known| known.place == *place && known.name.as_str() == name);
            (scope, area) = (Scope::Link, behind.and_then(|known| known.area.clone()));
            interface = Some(Text::from(name));
        } else if let Some(read) = row(place.version, line) {
            let within = Lsa { place: place.clone(), area: area.clone(), interface: interface.clone(), scope, ..read };
            lsas.push(within);
        }
    }
}

/// How many there are of each type, by area. Those of routes from elsewhere are in all areas of a protocol.
pub fn count(lsas: &[Lsa], areas: &[Area]) -> Vec<LsaCounts> {
    let mut counts: Vec<(&Area, LsaCounts)> =
        areas.iter().map(|area| (area, LsaCounts::new(&area.place, &area.id))).collect();
    let mut last = 0;
    for lsa in lsas.iter().filter(|lsa| lsa.scope != Scope::Link) {
        let is_own = |area: &Area| area.router == Some(lsa.router);
        match &lsa.area {
            None => {
                for (area, counts) in counts.iter_mut().filter(|(area, _)| area.place == lsa.place) {
                    counts.add(lsa, is_own(area));
                }
            }
            Some(name) => {
                // they come one area after the other
                let is_it = |(area, _): &(&Area, LsaCounts)| area.id == *name && area.place == lsa.place;
                if !counts.get(last).is_some_and(is_it) {
                    last = counts.iter().position(is_it).unwrap_or(counts.len());
                }
                if let Some((area, counts)) = counts.get_mut(last) {
                    counts.add(lsa, is_own(area));
                }
            }
        }
    }
    counts.into_iter().map(|(_, counts)| counts).collect()
}

/// Type, link state id, router, sequence number, age and checksum.
fn row(version: u32, line: &str) -> Option<Lsa> {
    let mut words = line.split_ascii_whitespace();
    let kind = LsaType::of(version, hex(words.next()?)?);
    let (id, router) = (words.next()?.parse::<IpAddr>().ok()?, words.next()?.parse::<IpAddr>().ok()?);
    Some(Lsa {
        place: Place::default(),
        area: None,
        interface: None,
        scope: kind.scope(),
        kind,
        id,
        router,
        sequence: words.next().and_then(hex),
        age: words.next().and_then(|word| word.parse().ok()).map(Duration::from_secs),
        checksum: words.next().and_then(hex),
        length: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::ospf::InterfaceState;
    use super::*;

    fn answer(version: &str, name: &str) -> String {
        let path = format!("{}/tests/fixtures/routing/{version}/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn kinds(lsas: &Bounded<Lsa>) -> Vec<(&'static str, &'static str, String)> {
        let one = |lsa: &Lsa| (lsa.scope.name(), lsa.kind.name(), lsa.id.to_string());
        lsas.kept().iter().map(one).collect()
    }

    #[test]
    fn types_are_those_of_the_version() {
        let two = read_lsas(2, &answer("made-bird-3.3", "v2-lsadb"));
        let want = [
            ("area", "Router", "10.9.9.1"),
            ("area", "Network", "10.0.14.5"),
            ("area", "NSSA-External", "10.8.3.0"),
            ("area", "Opaque-Area", "4.0.0.1"),
            ("link", "Opaque-Link", "3.0.0.0"),
            ("AS", "AS-External", "0.0.0.0"),
            ("AS", "Opaque-AS", "4.0.0.0"),
        ];
        assert_eq!(kinds(&two), want.map(|(scope, kind, id)| (scope, kind, id.to_owned())));
        let three = read_lsas(3, &answer("made-bird-3.3", "v3-lsadb"));
        let want = [
            ("area", "Router", "0.0.0.0"),
            ("area", "Network", "0.0.0.2"),
            ("area", "Inter-Area-Prefix", "0.0.0.1"),
            ("area", "Inter-Area-Router", "0.0.0.6"),
            ("area", "NSSA-External", "0.0.0.9"),
            ("area", "Intra-Area-Prefix", "0.0.0.2"),
            ("area", "Router-Information", "0.0.0.0"),
            ("link", "Link", "0.0.0.4"),
            ("link", "Grace", "0.0.0.4"),
            ("AS", "AS-External", "0.0.0.1"),
        ];
        assert_eq!(kinds(&three), want.map(|(scope, kind, id)| (scope, kind, id.to_owned())));
        assert_eq!(read_lsas(2, "8001-backbone: is not up\n0000 \n").kept(), []);
    }

    #[test]
    fn lsas_of_each_area_are_counted() {
        let text = |words: &str| Text::from(words);
        let area = |id: &str| Area { place: Place { version: 2, ..Place::default() }, id: text(id), ..Area::default() };
        let lsas = read_lsas(2, &answer("made-bird-3.3", "v2-lsadb"));
        let areas = [area("0.0.0.0"), Area { router: "192.168.100.100".parse().ok(), ..area("0.0.0.9") }];
        let counts = count(lsas.kept(), &areas);
        let seen: Vec<_> = counts
            .iter()
            .map(|of| (of.area.as_str(), of.all, of.of(&[LsaType::Network]), of.of(&[LsaType::External]), of.is_asbr))
            .collect();
        assert_eq!(seen, [("0.0.0.0", 0, 0, 1, false), ("0.0.0.9", 4, 1, 1, false)]);
        assert_eq!(counts[1].of(&[LsaType::Nssa, LsaType::Router, LsaType::OpaqueLink]), 2);
        let own = [Area { router: Some(lsas.kept()[2].router), ..area("0.0.0.9") }];
        assert!(count(lsas.kept(), &own)[0].is_asbr, "it has told a route of an NSSA");
        assert_eq!(count(lsas.kept(), &[Area { place: Place::default(), ..area("0.0.0.9") }])[0].all, 0);
    }

    #[test]
    fn what_a_header_says_is_read() {
        let two = read_lsas(2, &answer("made-bird-3.3", "v2-lsadb"));
        let [_, network, ..] = two.kept() else { panic!("{two:?}") };
        assert_eq!((network.router.to_string(), network.sequence), ("192.168.100.100".to_owned(), Some(0x8000_0001)));
        assert_eq!((network.checksum, network.age), (Some(0xce1a), Some(Duration::from_hours(1))));
        assert_eq!((network.area.as_deref(), &network.interface, network.length), (Some("0.0.0.9"), &None, None));
        let recorded = read_lsas(2, &answer("bird-2.0", "v2-lsadb"));
        let [opaque, router, ..] = recorded.kept() else { panic!("{recorded:?}") };
        assert_eq!((opaque.kind, opaque.sequence), (LsaType::OpaqueArea, Some(0x8000_0001)));
        assert_eq!((router.kind, router.sequence, router.checksum), (LsaType::Router, Some(0x8000_000f), Some(0x6b65)));
    }

    #[test]
    fn a_link_is_in_the_area_of_its_interface() {
        let place = Place { instance: Some(Text::from("six")), vrf: None, version: 3 };
        let new = Interface::new(place.clone(), Text::from("to1"), InterfaceState::Dr);
        let of_other = Interface { place: Place::default(), area: Some(Text::from("0.0.0.7")), ..new.clone() };
        let interfaces = [of_other, Interface { area: Some(Text::from("0.0.0.0")), ..new }];
        let mut lsas = Bounded::new(MOST);
        list(&mut lsas, &place, &interfaces, &answer("bird-2.0", "v3-lsadb"));
        let links: Vec<_> = lsas.kept().iter().filter(|lsa| lsa.scope == Scope::Link).collect();
        assert!(!links.is_empty());
        for lsa in links {
            assert_eq!(
                (lsa.kind, lsa.interface.as_deref(), lsa.area.as_deref()),
                (LsaType::Link, Some("to1"), Some("0.0.0.0"))
            );
        }
    }
}
