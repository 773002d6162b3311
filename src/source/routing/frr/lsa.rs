//! What do the daemons of FRR and Quagga tell of the LSAs in their databases?
//!
//! The text that people see is read: that of `ospfd` has been the same in all versions, and its JSON needs three times the bytes;
//! the JSON of `ospf6d` has no link state id in version 8.0, and is none before. The list of `ospfd` does not have lengths; they are in
//! what it tells of each type, which is long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::lsa::{Lsa, LsaType, MOST, Scope, hex};
use super::super::ospf::Place;
use super::{area_id, ospf6, text};
use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::control::line::Line;

/// Headings of `ospfd` with the words that ask for one type.
const TYPES: [(&str, LsaType, Option<&str>); 11] = [
    ("Router Link States", LsaType::Router, Some("router")),
    ("Net Link States", LsaType::Network, Some("network")),
    ("Summary Link States", LsaType::Summary, Some("summary")),
    ("ASBR-Summary Link States", LsaType::AsbrSummary, Some("asbr-summary")),
    ("AS External Link States", LsaType::External, Some("external")),
    ("Group Membership LSA", LsaType::Membership, None),
    ("NSSA-external Link States", LsaType::Nssa, Some("nssa-external")),
    ("Type-8 LSA", LsaType::Other, None),
    ("Link-Local Opaque-LSA", LsaType::OpaqueLink, Some("opaque-link")),
    ("Area-Local Opaque-LSA", LsaType::OpaqueArea, Some("opaque-area")),
    ("AS-external Opaque-LSA", LsaType::OpaqueAs, Some("opaque-as")),
];

/// Cells of an address in the list of `ospfd`, behind which there is a blank in some versions only.
const ADDRESS: usize = 15;

/// Asks `ospfd` for its list; that of Quagga has no VRFs.
///
/// # Errors
/// As [`Line::ask`], or the answer is no text.
pub(in super::super) fn ask(line: &mut Line, is_quagga: bool, deadline: Instant) -> Result<Bounded<Lsa>, Error> {
    Ok(read(&text(line, command(is_quagga), deadline)?))
}

/// How it is asked for what is in its databases.
pub(super) fn command(is_quagga: bool) -> &'static str {
    if is_quagga { "show ip ospf database" } else { "show ip ospf vrf all database" }
}

/// Asks `ospfd` how long they are, of all types that it has told of.
///
/// # Errors
/// As [`Line::ask`], or the answer is no text.
pub(in super::super) fn measure(
    line: &mut Line,
    is_quagga: bool,
    lsas: &mut [Lsa],
    deadline: Instant,
) -> Result<(), Error> {
    for (_, kind, name) in TYPES {
        if let Some(name) = name.filter(|_| lsas.iter().any(|lsa| lsa.kind == kind)) {
            read_lengths(&text(line, &format!("{} {name}", command(is_quagga)), deadline)?, lsas);
        }
    }
    Ok(())
}

/// The words that ask for each type of which a list tells.
pub(in super::super) fn types_in(list: &str) -> impl Iterator<Item = &'static str> {
    TYPES.iter().filter_map(|(title, _, name)| name.filter(|_| list.contains(title)))
}

/// Asks `ospf6d`.
///
/// # Errors
/// As [`Line::ask`], or the answer is no text.
pub(in super::super) fn ask6(line: &mut Line, deadline: Instant) -> Result<Bounded<Lsa>, Error> {
    let mut lsas = Bounded::new(MOST);
    for vrf in ospf6::vrfs(line, deadline)? {
        let (of, place) = ospf6::within(vrf.as_deref());
        let answer = text(line, &format!("show ipv6 ospf6 {of}database detail"), deadline)?;
        compose6(&mut lsas, &place, &answer);
    }
    Ok(lsas)
}

/// What a heading of `ospfd` says of what is below it.
pub(super) struct Under {
    pub(super) place: Place,
    kind: LsaType,
    pub(super) area: Option<Text>,
}

impl Under {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { place: Place { instance: None, vrf: None, version: 2 }, kind: LsaType::Other, area: None }
    }

    /// Whether a line is a heading.
    pub(super) fn takes(&mut self, line: &str) -> bool {
        if let Some(vrf) = line.strip_prefix("VRF Name: ") {
            *self = Self { place: Place { vrf: Some(Text::from(vrf.trim())), ..self.place.clone() }, ..Self::new() };
            return true;
        }
        let words = line.trim();
        let (title, area) = words.split_once(" (Area ").map_or((words, None), |(title, area)| (title, Some(area)));
        let Some((_, kind, _)) = TYPES.iter().find(|(known, ..)| *known == title) else { return false };
        self.kind = *kind;
        self.area = area.map(|area| area_id(area.trim_end_matches(')')));
        true
    }
}

/// Reads `show ip ospf [vrf all] database`.
pub fn read(answer: &str) -> Bounded<Lsa> {
    let mut lsas = Bounded::new(MOST);
    let mut under = Under::new();
    for line in answer.lines() {
        if !under.takes(line) {
            lsas.extend(listed(&under, line));
        }
    }
    lsas
}

/// A line of the list. Addresses have their width, and may touch each other.
fn listed(under: &Under, line: &str) -> Option<Lsa> {
    let (id, rest) = line.split_at_checked(ADDRESS)?;
    let (router, rest) = rest.strip_prefix(' ').unwrap_or(rest).split_at_checked(ADDRESS)?;
    let address = |words: &str| words.trim_end().parse::<IpAddr>().ok();
    let mut words = rest.split_ascii_whitespace();
    Some(Lsa {
        place: under.place.clone(),
        area: under.area.clone(),
        interface: None,
        scope: under.kind.scope(),
        kind: under.kind,
        id: address(id)?,
        router: address(router)?,
        age: words.next().and_then(seconds),
        sequence: words.next().and_then(hex),
        checksum: words.next().and_then(hex),
        length: None,
    })
}

fn seconds(words: &str) -> Option<Duration> {
    words.parse().ok().map(Duration::from_secs)
}

/// What tells LSAs of `ospfd` apart.
type Key<'a> = (&'a Place, Option<&'a Text>, LsaType, IpAddr, IpAddr);

/// Reads how long they are in `show ip ospf [vrf all] database TYPE`.
pub fn read_lengths(answer: &str, lsas: &mut [Lsa]) {
    let (mut under, mut id, mut router) = (Under::new(), None::<IpAddr>, None::<IpAddr>);
    let index: HashMap<Key<'_>, usize> = lsas
        .iter()
        .enumerate()
        .map(|(at, lsa)| ((&lsa.place, lsa.area.as_ref(), lsa.kind, lsa.id, lsa.router), at))
        .collect();
    let mut lengths = Vec::new();
    for line in answer.lines().filter(|line| !line.is_empty()) {
        let words = line.trim();
        let after = |name: &str| words.strip_prefix(name).and_then(|rest| rest.split(' ').next());
        if under.takes(line) {
            (id, router) = (None, None);
        } else if let Some(word) = after("Link State ID: ") {
            id = word.parse().ok();
        } else if let Some(word) = after("Advertising Router: ") {
            router = word.parse().ok();
        } else if let Some((id, router, length)) =
            after("Length: ").and_then(|word| Some((id.take()?, router.take()?, word.parse::<u64>().ok()?)))
        {
            let at = index.get(&(&under.place, under.area.as_ref(), under.kind, id, router));
            lengths.extend(at.map(|at| (*at, length)));
        }
    }
    for (at, length) in lengths {
        if let Some(lsa) = lsas.get_mut(at) {
            lsa.length = Some(length);
        }
    }
}

/// Reads `show ipv6 ospf6 database detail`.
pub fn read6(answer: &str) -> Bounded<Lsa> {
    let mut lsas = Bounded::new(MOST);
    compose6(&mut lsas, &ospf6::within(None).1, answer);
    lsas
}

/// How far LSAs go that are below a heading, in which area, and behind which interface.
fn heading(line: &str) -> Option<(Scope, Option<Text>, Option<Text>)> {
    let (scope, rest) = line.trim().split_once(" Scoped Link State Database")?;
    let inside = rest.trim().trim_start_matches('(').trim_end_matches(')');
    match scope {
        "Area" => Some((Scope::Area, inside.strip_prefix("Area ").map(area_id), None)),
        "I/F" => {
            let (interface, area) = inside.strip_prefix("I/F ")?.rsplit_once(" in Area ")?;
            Some((Scope::Link, Some(area_id(area)), Some(Text::from(interface))))
        }
        "AS" => Some((Scope::As, None, None)),
        _ => None,
    }
}

/// What `ospf6d` calls a type; one that it does not know is told by its number.
fn type6(word: &str) -> LsaType {
    match word {
        "Router" => LsaType::Router,
        "Network" => LsaType::Network,
        "Inter-Prefix" => LsaType::InterAreaPrefix,
        "Inter-Router" => LsaType::InterAreaRouter,
        "AS-External" => LsaType::External,
        "Group-Membership" => LsaType::Membership,
        "Type-7" | "NSSA" => LsaType::Nssa,
        "Link" => LsaType::Link,
        "Intra-Prefix" => LsaType::IntraAreaPrefix,
        "Grace" => LsaType::Grace,
        other => hex(other).map_or(LsaType::Other, LsaType::of_three),
    }
}

fn compose6(lsas: &mut Bounded<Lsa>, place: &Place, answer: &str) {
    let (mut scope, mut area, mut interface) = (Scope::Area, None, None);
    let (mut head, mut id, mut router, mut sequence) = (None, None, None, None);
    // what an LSA has inside stands further to the right
    for line in answer.lines() {
        let after = |name: &str| line.strip_prefix(name);
        if let Some(below) = heading(line) {
            (scope, area, interface) = below;
        } else if let Some((age, kind)) = after("Age:").and_then(|rest| rest.split_once(" Type: ")) {
            (head, id, router, sequence) = (Some((seconds(age.trim()), type6(kind.trim()))), None, None, None);
        } else if let Some(word) = after("Link State ID: ") {
            id = word.parse::<IpAddr>().ok();
        } else if let Some(word) = after("Advertising Router: ") {
            router = word.parse::<IpAddr>().ok();
        } else if let Some(word) = after("LS Sequence Number: ") {
            sequence = hex(word);
        } else if let Some(rest) = after("CheckSum: ")
            && let (Some((age, kind)), Some(id), Some(router)) = (head.take(), id, router)
        {
            let (checksum, length) = rest.split_once(" Length: ").unwrap_or((rest, ""));
            lsas.push(Lsa {
                place: place.clone(),
                area: area.clone(),
                interface: interface.clone(),
                scope,
                kind,
                id,
                router,
                sequence,
                checksum: hex(checksum),
                age,
                length: length.parse().ok(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(version: &str, name: &str) -> String {
        let path = format!("{}/tests/fixtures/routing/{version}/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// An LSA in words: where it is, what it is, and what its header says.
    fn words(lsa: &Lsa) -> String {
        let text = |text: &Option<Text>| text.as_deref().unwrap_or("-").to_owned();
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        format!(
            "{} {} {} {} {} {} {} {:x} {:x} {} {}",
            text(&lsa.place.vrf),
            text(&lsa.area),
            text(&lsa.interface),
            lsa.scope.name(),
            lsa.kind.name(),
            lsa.id,
            lsa.router,
            lsa.sequence.unwrap(),
            lsa.checksum.unwrap(),
            number(lsa.age.map(|age| age.as_secs())),
            number(lsa.length),
        )
    }

    fn all(lsas: &Bounded<Lsa>) -> Vec<String> {
        lsas.kept().iter().map(words).collect()
    }

    const MADE: [&str; 11] = [
        "default 0.0.0.0 - area Router 10.9.9.1 10.9.9.1 80000012 7361 611 -",
        "default 0.0.0.0 - area Router 192.168.100.100 192.168.100.100 80000003 a1 3600 -",
        "default 0.0.0.0 - area Network 10.0.12.2 10.9.9.2 80000001 ce1a 17 -",
        "default 0.0.0.0 - area Summary 10.0.23.0 10.9.9.2 8000002a 5fb3 1799 -",
        "default 0.0.0.0 - area ASBR-Summary 10.9.9.6 10.9.9.2 80000002 1c3d 4 -",
        "default 0.0.0.3 - area Router 10.9.9.2 10.9.9.2 80000009 a515 3 -",
        "default 0.0.0.3 - area NSSA-External 10.8.3.0 10.9.9.3 80000001 71ec 23 -",
        "default 0.0.0.3 - area Opaque-Area 4.0.0.1 10.9.9.3 80000001 b52a 160 -",
        "default - - AS AS-External 0.0.0.0 10.9.9.6 80000006 2b01 1020 -",
        "default - - AS AS-External 10.8.4.0 192.168.100.100 80000001 f0e 12 -",
        "default - - AS Opaque-AS 4.0.0.0 10.9.9.2 80000001 a13c 17 -",
    ];

    #[test]
    fn the_list_of_ospfd_is_read_in_all_versions() {
        for version in ["made-frr-7.5", "made-frr-9.1", "made-frr-10.7"] {
            let lsas = all(&read(&answer(version, "ospf-database")));
            assert_eq!(lsas[..11], MADE, "{version}");
            assert_eq!(lsas[11..], ["blue 0.0.0.0 - area Router 10.1.9.1 10.1.9.1 80000002 3344 40 -"], "{version}");
        }
        let quagga = all(&read(&answer("made-quagga-1.2", "ospf-database")));
        assert_eq!(quagga, MADE.map(|words| words.replace("default ", "- ")));
        let recorded = all(&read(&answer("frr-8.4", "ospf-database")));
        let told = |words: &str| recorded.iter().filter(|lsa| lsa.contains(words)).count();
        assert_eq!((told(" area Router "), told(" area Network "), told(" area Summary ")), (7, 4, 28));
        assert_eq!((told(" NSSA-External "), told(" Opaque-"), told(" 3600 ")), (1, 2, 18), "{recorded:#?}");
        assert_eq!(read("% OSPF instance not found\n").kept(), []);
    }

    #[test]
    fn lengths_are_those_of_the_same_lsa() {
        let mut lsas = read(&answer("made-frr-10.7", "ospf-database"));
        read_lengths(&answer("made-frr-10.7", "ospf-database-router"), lsas.kept_mut());
        let lengths: Vec<_> =
            lsas.kept().iter().filter_map(|lsa| Some((lsa.router.to_string(), lsa.length?))).collect();
        let want = [("10.9.9.1", 48), ("192.168.100.100", 36), ("10.9.9.2", 36)];
        assert_eq!(lengths, want.map(|(router, length)| (router.to_owned(), length)));
        let mut lsas = read(&answer("made-quagga-1.2", "ospf-database"));
        read_lengths(&answer("made-quagga-1.2", "ospf-database-router"), lsas.kept_mut());
        assert_eq!(lsas.kept().iter().filter_map(|lsa| lsa.length).collect::<Vec<_>>(), [48, 36, 36]);
        let mut lsas = read(&answer("frr-8.4", "ospf-database"));
        read_lengths(&answer("frr-8.4", "ospf-database-nssa"), lsas.kept_mut());
        let measured: Vec<_> = lsas.kept().iter().filter(|lsa| lsa.length == Some(36)).map(|lsa| lsa.kind).collect();
        assert_eq!(measured, [LsaType::Nssa]);
    }

    #[test]
    fn what_ospf6d_tells_is_read_in_all_versions() {
        let old = all(&read6(&answer("made-frr-7.5", "ospf6-database-detail")));
        let want = [
            "- 0.0.0.0 - area Router 0.0.0.0 10.9.9.1 80000004 ed61 17 40",
            "- 0.0.0.0 - area Inter-Area-Prefix 0.0.0.1 10.9.9.2 80000001 21a2 3600 36",
            "- 0.0.0.0 - area Inter-Area-Router 0.0.0.6 10.9.9.2 80000003 102 9 32",
            "- 0.0.0.0 to2 link Link 0.0.0.2 10.9.9.1 80000001 19f6 21 56",
            "- - - AS AS-External 0.0.0.1 10.9.9.6 80000002 a1b2 1200 36",
        ];
        assert_eq!(old, want);
        let mut new = all(&read6(&answer("made-frr-10.7", "ospf6-database-detail")));
        let more = [
            "- 0.0.0.0 - area NSSA-External 0.0.0.9 10.9.9.3 80000001 abc 30 44",
            "- 0.0.0.0 - area Router-Information 0.0.0.0 10.9.9.3 80000001 def 1 28",
            "- 0.0.0.0 to2 link Grace 0.0.0.2 10.9.9.1 80000001 3333 2 36",
        ];
        assert_eq!([&new[3], &new[4], &new[6]], more);
        new.retain(|words| !more.contains(&&**words));
        assert_eq!(new, want);
        let recorded = all(&read6(&answer("frr-8.4", "ospf6-database-detail")));
        let told = |words: &str| recorded.iter().filter(|lsa| lsa.contains(words)).count();
        assert_eq!(told(" link Link "), recorded.iter().filter(|lsa| lsa.contains(" to")).count());
        assert!(told(" NSSA-External ") > 0 && told(" AS AS-External ") > 0 && told(" Intra-Area-Prefix ") > 0);
        assert_eq!(recorded.len(), answer("frr-8.4", "ospf6-database-detail").matches("\nLink State ID: ").count());
    }
}
