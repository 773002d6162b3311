//! What does `isisd` tell of its adjacencies?
//!
//! Its JSON has a single object for each circuit, in which the last adjacency of a network hides all others. So the text is
//! read that people see, which has been the same since version 7. It does not say in which VRF an area is.

use std::time::Instant;

use super::super::ospf::BfdState;
use super::super::peer::{IsisAdjacency, IsisState};
use super::super::told::Told;
use super::{command, excuse, span, unknown};
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::control::json::{PLAIN, readable};
use crate::source::control::line::Line;

/// What is asked.
const WORDS: &str = "show isis vrf all neighbor detail";

/// Asks for all adjacencies.
///
/// # Errors
/// As [`Line::ask`].
pub(in super::super) fn ask(line: &mut Line, deadline: Instant) -> Result<Told, Error> {
    let path = line.path().to_owned();
    let answer =
        command(line, WORDS, deadline)?.ok_or_else(|| Error::new("read what is told by", &path, unknown(WORDS)))?;
    let told = read(&readable(answer, PLAIN), Timestamp::now());
    Ok(Told { excuse: excuse(0, answer), ..told })
}

/// What the lines that follow are, which are indented further.
#[derive(Clone, Copy, PartialEq)]
enum List {
    None,
    Ipv4,
    Ipv6,
}

/// Reads what `isisd` answered when it was asked for its neighbors.
pub fn read(answer: &str, at: Timestamp) -> Told {
    let mut told = Told::new(at);
    let (mut area, mut found, mut list) = (Text::default(), None::<IsisAdjacency>, List::None);
    for line in answer.lines() {
        let words = line.trim();
        match line.len() - line.trim_start().len() {
            0 => {
                if let Some(name) = words.strip_prefix("Area ").and_then(|rest| rest.strip_suffix(':')) {
                    area = Text::from(name);
                }
            }
            // the name of a system, alone on its line
            1 | 2 => {
                let begun = IsisAdjacency { area: area.clone(), system: Text::from(words), ..IsisAdjacency::default() };
                told.isis.extend(found.replace(begun));
            }
            depth => {
                let Some(adjacency) = &mut found else { continue };
                match (depth > 4, list) {
                    (true, List::Ipv4) => adjacency.address = adjacency.address.or(words.parse().ok()),
                    (true, List::Ipv6) => adjacency.address6 = adjacency.address6.or(words.parse().ok()),
                    (true, List::None) => {}
                    (false, _) => {
                        list = match words {
                            "IPv4 Address(es):" => List::Ipv4,
                            "IPv6 Address(es):" => List::Ipv6,
                            _ => List::None,
                        };
                        facts(adjacency, words, at);
                    }
                }
            }
        }
    }
    told.isis.extend(found);
    told
}

/// Reads a line such as `Interface: to2, Level: 1, State: Up, Expires in 10s`.
fn facts(adjacency: &mut IsisAdjacency, words: &str, at: Timestamp) {
    if let Some(words) = words.strip_prefix("BFD is ") {
        adjacency.bfd = words.strip_prefix("active, status ").map(BfdState::of);
    }
    for fact in words.split(", ") {
        if let Some(left) = fact.strip_prefix("Expires in ") {
            adjacency.expires = span(left).map(|left| at.after(left));
        }
        let Some((key, value)) = fact.split_once(": ") else { continue };
        match key {
            "Interface" => adjacency.interface = Text::from(value),
            "Level" => adjacency.level = value.parse().ok(),
            // one that has not been heard for too long is marked behind its state
            "State" => adjacency.state = value.split(' ').next().map(IsisState::of),
            "Adjacency flaps" => adjacency.flaps = value.parse().ok(),
            "Circuit type" => adjacency.circuit = Some(Text::from(value)),
            "SNPA" => adjacency.snpa = Some(Text::from(value)),
            "LAN Priority" => adjacency.priority = value.parse().ok(),
            // that of the election of a designated system comes later, in a line of its own
            "Last" if adjacency.since.is_none() => {
                let age = value.strip_suffix(" ago").and_then(span);
                adjacency.since = age.map(|age| at.before(age));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const AT: Timestamp = Timestamp(1_000_000_000_000);

    #[test]
    fn every_adjacency_of_a_network_is_seen() {
        let path = format!("{}/tests/fixtures/routing/frr-8.4/isis-neighbor.txt", env!("CARGO_MANIFEST_DIR"));
        let told = read(&std::fs::read_to_string(path).unwrap(), AT);
        let [one, two] = told.isis.kept() else { panic!("{told:?}") };
        assert_eq!((one.area.as_str(), one.system.as_str(), one.interface.as_str()), ("core", "r2", "to2"));
        assert_eq!((one.level, two.level, one.state), (Some(1), Some(2), Some(IsisState::Up)));
        assert_eq!((one.flaps, one.priority, one.circuit.as_deref()), (Some(1), Some(64), Some("L1L2")));
        assert_eq!((one.address, one.address6.is_some()), ("10.0.12.2".parse().ok(), true));
        assert_eq!((one.snpa.as_deref(), one.bfd), (Some("aae6.ee99.0889"), Some(BfdState::Up)));
        assert!(one.since.is_some_and(|since| since.age(AT) > 10.0));
        assert!(one.expires.is_some_and(|expires| AT.age(expires) > 5.0 && AT.age(expires) <= 10.0));
    }

    #[test]
    fn one_that_goes_or_comes_is_told_from_one_that_is_there() {
        let said = "Area core:\n r2\n    Interface: to2, Level: 3, State: Initializing Expiring\n    Adjacency flaps: 4, \
                    Last: - ago\n    BFD is active, status Down\n\nArea edge:\n  0000.0000.0003\n    Interface: to3, Level: 2, \
                    State: Down, Expires in 1h2m3s\n    BFD is configured\n";
        let told = read(said, AT);
        let [one, two] = told.isis.kept() else { panic!("{told:?}") };
        assert_eq!((one.state, one.expires, one.since), (Some(IsisState::Initializing), None, Some(AT)));
        assert_eq!((one.flaps, one.bfd), (Some(4), Some(BfdState::Down)));
        assert_eq!(
            (two.area.as_str(), two.system.as_str(), two.state),
            ("edge", "0000.0000.0003", Some(IsisState::Down))
        );
        assert_eq!((two.expires, two.bfd), (Some(AT.after(Duration::from_secs(3723))), None));
        assert_eq!(read("% IS-IS is not running\n", AT), Told::new(AT));
    }
}
