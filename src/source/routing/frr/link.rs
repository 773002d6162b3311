//! What do Quagga, and FRR before version 8.0, tell of the links in an area?
//!
//! The text that people see: these have no JSON of their databases.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::super::database::{LinkKind, Links, MOST, Roles};
use super::super::ospf::Place;
use super::database::within;
use super::lsa::{Under, command};
use super::text;
use crate::model::Text;
use crate::source::Error;
use crate::source::control::line::Line;

/// Asks `ospfd` for the LSAs of routers and networks.
///
/// # Errors
/// As [`Line::ask`], or the answer is no text.
pub(in super::super) fn ask(line: &mut Line, is_quagga: bool, deadline: Instant) -> Result<Links, Error> {
    let mut show = |name: &str| text(line, &format!("{} {name}", command(is_quagga)), deadline);
    let (routers, networks) = (show("router")?, show("network")?);
    Ok(read([&routers, &networks]))
}

/// Reads what it answered.
pub fn read([routers, networks]: [&str; 2]) -> Links {
    let mut links = Links::default();
    let networks = read_networks(networks);
    let known = networks.iter().map(|network| ((&network.place, &network.area, network.id), &network.name));
    let names: HashMap<(&Place, &Text, IpAddr), &Text> = known.collect();
    read_routers(&mut links, &names, routers);
    for network in &networks {
        for router in &network.routers {
            let to = (network.name.clone(), LinkKind::Attached, router.clone());
            links.push((&network.place, &network.area), to, [None; 2]);
        }
    }
    links
}

/// A network, and who is attached to it.
struct Network {
    place: Place,
    area: Text,
    /// Address of its DR.
    id: IpAddr,
    name: Text,
    routers: Vec<Text>,
}

/// What stands behind some words, up to the next blank.
fn behind<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    line.trim_start().strip_prefix(words)?.split(' ').next()
}

fn read_networks(answer: &str) -> Vec<Network> {
    let (mut under, mut id, mut networks, mut left) = (Under::new(), None, Vec::<Network>::new(), MOST);
    for line in answer.lines().filter(|line| !line.is_empty()) {
        if under.takes(line) {
            id = None;
        } else if let Some(word) = behind(line, "Link State ID: ") {
            id = word.parse::<IpAddr>().ok().map(|id| (id, word));
        } else if let Some((word, (address, written))) = behind(line, "Network Mask: /").zip(id)
            && let (Some(area), Some(name)) = (&under.area, word.parse().ok().and_then(|bits| within(written, bits)))
        {
            let (place, area) = (under.place.clone(), area.clone());
            networks.push(Network { place, area, id: address, name, routers: Vec::new() });
        } else if let (Some(router), Some(network)) = (behind(line, "Attached Router: "), networks.last_mut()) {
            network.routers.push(Text::from(router));
        } else {
            continue;
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    networks
}

/// What has been told of a link so far.
#[derive(Default)]
struct Found<'a> {
    kind: Option<LinkKind>,
    id: &'a str,
    data: &'a str,
}

fn read_routers(links: &mut Links, names: &HashMap<(&Place, &Text, IpAddr), &Text>, answer: &str) {
    let (mut under, mut from, mut found) = (Under::new(), None::<Text>, Found::default());
    for line in answer.lines().filter(|line| !line.is_empty()) {
        let words = line.trim();
        if under.takes(line) {
            (from, found) = (None, Found::default());
        } else if let Some(flags) = behind(line, "Flags: 0x") {
            links.router(u64::from_str_radix(flags, 16).ok().map(Roles::of));
        } else if let Some(router) = behind(line, "Advertising Router: ") {
            (from, found) = (Some(Text::from(router)), Found::default());
        } else if let Some(words) = words.strip_prefix("Link connected to: ") {
            found = Found { kind: kind(words), ..Found::default() };
        } else if let Some((_, id)) = words.strip_prefix("(Link ID) ").and_then(|rest| rest.split_once(": ")) {
            found.id = id;
        } else if let Some((_, data)) = words.strip_prefix("(Link Data) ").and_then(|rest| rest.split_once(": ")) {
            found.data = data;
        } else if let Some(metric) = behind(line, "TOS 0 Metric: ")
            && let (Some(area), Some(from), Some(kind)) = (&under.area, &from, found.kind.take())
            && let Some(to) = end(&under.place, area, names, kind, &found)
        {
            links.push((&under.place, area), (from.clone(), kind, to), [metric.parse().ok(), None]);
        }
    }
}

fn kind(words: &str) -> Option<LinkKind> {
    match words {
        "another Router (point-to-point)" => Some(LinkKind::PointToPoint),
        "a Transit Network" => Some(LinkKind::Transit),
        "Stub Network" => Some(LinkKind::Stub),
        "a Virtual Link" => Some(LinkKind::Virtual),
        _ => None,
    }
}

/// What a link leads to.
fn end(
    place: &Place,
    area: &Text,
    names: &HashMap<(&Place, &Text, IpAddr), &Text>,
    kind: LinkKind,
    found: &Found<'_>,
) -> Option<Text> {
    let id: IpAddr = found.id.parse().ok()?;
    match kind {
        LinkKind::Transit => {
            Some(names.get(&(place, area, id)).map_or_else(|| Text::from(found.id), |name| (*name).clone()))
        }
        LinkKind::Stub => {
            let IpAddr::V4(mask) = found.data.parse().ok()? else { return None };
            within(found.id, u64::from(mask.to_bits().leading_ones()))
        }
        LinkKind::PointToPoint | LinkKind::Virtual | LinkKind::Attached => Some(Text::from(found.id)),
    }
}
