//! How many routes has OSPF brought into the tables of BIRD?
//!
//! BIRD counts for itself, one kind after the other: `source` of a route says which it is.

use super::super::ospf::{Place, RouteCount};
use super::lines;

/// `/* Show route: counts */`, a line for each table
const COUNT: u16 = 1007;

/// `/* Show route: counts */` of the only table, or of all together
const TOTAL: u16 = 14;

/// Kinds of routes of OSPF, as filters call them.
pub(super) const KINDS: [&str; 4] = ["RTS_OSPF", "RTS_OSPF_IA", "RTS_OSPF_EXT1", "RTS_OSPF_EXT2"];

/// Reads the answers to `show route protocol NAME where source = KIND count`, one for each kind.
pub fn read(place: Place, answers: [Option<&str>; 4]) -> RouteCount {
    let [intra_area, inter_area, external_1, external_2] = answers.map(|answer| answer.and_then(count));
    RouteCount { place, intra_area, inter_area, external_1, external_2, ..RouteCount::default() }
}

/// How many of all routes were meant, in all tables together.
fn count(answer: &str) -> Option<u64> {
    let told = |(code, words): (u16, &str)| {
        let (count, rest) = words.split_once(" of ")?;
        (code == COUNT && rest.contains(" routes for ")).then(|| count.parse::<u64>().ok())?
    };
    // without any table there is a total of none
    let none = lines(answer).any(|(code, words)| code == TOTAL && words.starts_with("Total: 0 of 0 "));
    let counts: Vec<u64> = lines(answer).filter_map(told).collect();
    (none || !counts.is_empty()).then(|| counts.iter().fold(0, |sum, count| count.saturating_add(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_read_of_all_tables() {
        let path = format!("{}/tests/fixtures/routing/bird-2.0/route-count.txt", env!("CARGO_MANIFEST_DIR"));
        let recorded = std::fs::read_to_string(path).unwrap();
        assert_eq!(count(&recorded), Some(3));
        let path = format!("{}/tests/fixtures/routing/made-bird-3.3/route-count.txt", env!("CARGO_MANIFEST_DIR"));
        let two = &*std::fs::read_to_string(path).unwrap();
        assert_eq!(count(two), Some(5));
        assert_eq!(count("0014 Total: 0 of 0 routes for 0 networks in 0 tables\n"), Some(0));
        for bad in
            ["", "0000 \n", "8001 No such protocol\n", "1007-x of 7 routes for 7 networks in table master4\n0000 \n"]
        {
            assert_eq!(count(bad), None, "{bad}");
        }
        let place = Place { instance: None, vrf: None, version: 2 };
        let told = read(place, [Some(&recorded), Some("0000 \n"), None, Some(two)]);
        assert_eq!((told.intra_area, told.inter_area), (Some(3), None));
        assert_eq!((told.external_1, told.external_2, told.area, told.abrs), (None, Some(5), None, None));
    }
}
