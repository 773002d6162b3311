//! What does BIRD tell of the links in an area?

use super::super::database::{LinkKind, Links};
use super::super::ospf::Place;
use super::lines;
use crate::model::Text;

/// Reads `show ospf state all`: routers and networks, below each what it is linked to.
pub fn read_state(version: u32, answer: &str) -> Links {
    let mut links = Links::default();
    state(&mut links, &Place { instance: None, vrf: None, version }, answer);
    links
}

pub(super) fn state(links: &mut Links, place: &Place, answer: &str) {
    let mut area: Option<Text> = None;
    let mut from: Option<(bool, Text)> = None;
    let mut distance = None;
    for (_, line) in lines(answer).filter(|(_, line)| !line.is_empty()) {
        let depth = line.len() - line.trim_start_matches('\t').len();
        let mut words = line.split_ascii_whitespace();
        let (kind, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // what has no prefix is in brackets
        let name = Text::from(second.trim_matches(['[', ']']));
        match (depth, kind) {
            // what is in other areas follows under a heading of its own
            (0, _) => (area, from) = ((kind == "area").then_some(name), None),
            (1, "router" | "network") => (from, distance) = (Some((kind == "network", name)), None),
            (2, "distance") => distance = second.parse().ok(),
            (1, _) => from = None,
            _ => {
                let (Some(area), Some((is_network, from))) = (&area, &from) else { continue };
                let kind = match kind {
                    "router" if *is_network => LinkKind::Attached,
                    "router" => LinkKind::PointToPoint,
                    "vlink" => LinkKind::Virtual,
                    "network" => LinkKind::Transit,
                    "stubnet" => LinkKind::Stub,
                    _ => continue,
                };
                let metric = words.next().filter(|word| *word == "metric").and_then(|_| words.next()?.parse().ok());
                links.push((place, area), (from.clone(), kind, name), [metric, distance]);
            }
        }
    }
}
