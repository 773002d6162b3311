//! How many routes have the daemons of FRR and Quagga found?
//!
//! The text that people see is counted, which has been the same in all versions: of as many routes the JSON of `ospfd` has
//! twice the bytes, and the daemon does nothing else while it writes them. `ospf6d` counts for itself.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::ospf::{MOST, Place, RouteCount};
use super::{area_id, ospf6, text};
use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::control::line::Line;

/// Letters at the beginning of a line that tell what it is.
const CODE: usize = 5;

/// Asks `ospfd`; that of Quagga has no VRFs.
///
/// # Errors
/// As [`Line::ask`], or the answer is no text.
pub(in super::super) fn ask(line: &mut Line, is_quagga: bool, deadline: Instant) -> Result<Bounded<RouteCount>, Error> {
    let command = if is_quagga { "show ip ospf route" } else { "show ip ospf vrf all route" };
    Ok(read(&text(line, command, deadline)?))
}

/// Asks `ospf6d` about each of its VRFs.
///
/// # Errors
/// As [`Line::ask`], or the answer is no text.
pub(in super::super) fn ask6(line: &mut Line, deadline: Instant) -> Result<Bounded<RouteCount>, Error> {
    let mut counts = Bounded::new(MOST);
    for vrf in ospf6::vrfs(line, deadline)? {
        let of = vrf.as_ref().map_or(String::new(), |name| format!("vrf {name} "));
        let answer = text(line, &format!("show ipv6 ospf6 {of}route summary"), deadline)?;
        let place = Place { instance: None, vrf: vrf.as_deref().map(Text::from), version: 3 };
        counts.extend(read6(place, &answer));
    }
    Ok(counts)
}

/// Reads `show ip ospf [vrf all] route`: a row for each area, and one for what is of none.
pub fn read(answer: &str) -> Bounded<RouteCount> {
    let mut counts = Bounded::new(MOST);
    let mut found = Found::new(None);
    let mut is_router = false;
    for line in answer.lines() {
        if let Some(vrf) = line.strip_prefix("VRF Name: ") {
            counts.extend(std::mem::replace(&mut found, Found::new(Some(Text::from(vrf.trim())))).rows());
            continue;
        }
        let (code, rest) = line.split_at_checked(CODE).unwrap_or((line, ""));
        match code {
            "N    " | "N T  " => add(&mut found.area(rest).intra_area),
            "N IA " => add(&mut found.area(rest).inter_area),
            "N E1 " => found.external_1 += 1,
            "N E2 " => found.external_2 += 1,
            "R    " => found.router(rest),
            // the same router in another area
            "     " if is_router && rest.contains("] area: ") => found.router(rest),
            _ => {}
        }
        found.is_told |= line.starts_with("====");
        is_router = code == "R    " || (is_router && code == "     ");
    }
    counts.extend(found.rows());
    counts
}

/// What was found in one VRF.
struct Found {
    place: Place,
    areas: BTreeMap<Text, RouteCount>,
    external_1: u64,
    external_2: u64,
    /// Whether there is a table at all.
    is_told: bool,
}

impl Found {
    fn new(vrf: Option<Text>) -> Self {
        let place = Place { instance: None, vrf, version: 2 };
        Self { place, areas: BTreeMap::new(), external_1: 0, external_2: 0, is_told: false }
    }

    /// The area that a line names.
    fn area(&mut self, line: &str) -> &mut RouteCount {
        let words = line.split_once("] area: ").map_or("", |(_, words)| words);
        let id = area_id(words.split(',').next().unwrap_or_default());
        // what has no room is counted with the first
        let id = if self.areas.len() < MOST || self.areas.contains_key(&id) { id } else { Text::default() };
        let place = &self.place;
        self.areas.entry(id).or_insert_with_key(|id| RouteCount {
            area: Some(id.clone()),
            intra_area: Some(0),
            inter_area: Some(0),
            abrs: Some(0),
            asbrs: Some(0),
            place: place.clone(),
            ..RouteCount::default()
        })
    }

    /// A router that joins areas, or brings routes of other protocols.
    fn router(&mut self, line: &str) {
        let (is_abr, is_asbr) = (line.contains(", ABR"), line.contains(", ASBR"));
        let area = self.area(line);
        if is_abr {
            add(&mut area.abrs);
        }
        if is_asbr {
            add(&mut area.asbrs);
        }
    }

    fn rows(self) -> Vec<RouteCount> {
        let external = RouteCount {
            external_1: Some(self.external_1),
            external_2: Some(self.external_2),
            place: self.place,
            ..RouteCount::default()
        };
        self.areas.into_values().chain(self.is_told.then_some(external)).collect()
    }
}

fn add(count: &mut Option<u64>) {
    *count = count.map(|count| count.saturating_add(1));
}

/// Reads `show ipv6 ospf6 route summary`.
pub fn read6(place: Place, answer: &str) -> Option<RouteCount> {
    let of = |name: &str| {
        let line = answer.lines().find_map(|line| line.trim().strip_prefix("Number of ")?.strip_prefix(name));
        line?.strip_prefix(" routes:")?.trim().parse().ok()
    };
    let count = RouteCount {
        intra_area: of("Intra-Area"),
        inter_area: of("Inter-Area"),
        external_1: of("External-1"),
        external_2: of("External-2"),
        place,
        ..RouteCount::default()
    };
    count.intra_area.is_some().then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(version: &str, name: &str) -> String {
        let path = format!("{}/tests/fixtures/routing/{version}/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    type Counts = (Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

    fn counts(counts: &[RouteCount]) -> Vec<(Option<&str>, Option<&str>, Counts)> {
        let one = |count: &RouteCount| {
            (count.intra_area, count.inter_area, count.external_1, count.external_2, count.abrs, count.asbrs)
        };
        counts.iter().map(|count| (count.place.vrf.as_deref(), count.area.as_deref(), one(count))).collect()
    }

    #[test]
    fn routes_are_counted_by_area_and_kind() {
        let area = |area, intra, inter, abrs, asbrs| {
            (Some(area), (Some(intra), Some(inter), None, None, Some(abrs), Some(asbrs)))
        };
        let external = |one, two| (None, (None, None, Some(one), Some(two), None, None));
        let within = |vrf: Option<&'static str>, rows: Vec<(Option<&'static str>, Counts)>| {
            rows.into_iter().map(|(area, counts)| (vrf, area, counts)).collect::<Vec<_>>()
        };
        let read_8_4 = read(&answer("frr-8.4", "ospf-route"));
        let want = within(Some("default"), vec![area("0.0.0.0", 3, 1, 1, 2), external(1, 2)]);
        assert_eq!(counts(read_8_4.kept()), want);
        // a router in two areas, one that is both, transit networks marked, and another VRF
        let read_10 = read(&answer("made-frr-10.7", "ospf-route"));
        let mut want =
            within(Some("default"), vec![area("0.0.0.0", 2, 1, 1, 2), area("0.0.0.1", 1, 0, 1, 1), external(1, 1)]);
        want.extend(within(Some("blue"), vec![area("0.0.0.0", 1, 0, 0, 0), external(0, 0)]));
        assert_eq!(counts(read_10.kept()), want);
        assert_eq!(counts(read(&answer("made-frr-9.1", "ospf-route")).kept()), counts(read_10.kept()));
        let read_7_5 = read(&answer("made-frr-7.5", "ospf-route"));
        assert_eq!(counts(read_7_5.kept()), within(Some("default"), vec![area("0.0.0.0", 2, 1, 1, 1), external(0, 1)]));
        let quagga = read(&answer("made-quagga-1.2", "ospf-route"));
        assert_eq!(counts(quagga.kept()), within(None, vec![area("0.0.0.0", 2, 1, 1, 1), external(1, 1)]));
        assert_eq!(read("% OSPF instance not found\n").kept(), []);
        assert_eq!(read("VRF Name: default\nNo OSPF routing information exist\n").kept(), []);
    }

    #[test]
    fn what_ospf6d_counts_is_read() {
        let place = Place { instance: None, vrf: None, version: 3 };
        let told = read6(place.clone(), &answer("frr-8.4", "ospf6-route-summary")).unwrap();
        assert_eq!((told.intra_area, told.inter_area), (Some(3), Some(1)));
        assert_eq!((told.external_1, told.external_2, told.abrs, told.area), (Some(1), Some(2), None, None));
        assert_eq!(read6(place, "% OSPFv3 is not running\n"), None);
    }
}
