//! Links in the databases of OSPF: what `vtysh` and `birdc` write for people.

use std::collections::BTreeMap;

use netglance::model::Text;
use netglance::source::routing::{database, frr};
use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::routing::{Row, dotted};
use super::support::ring::{BIRD, ROUTERS, SIX, birdc, vtysh};

/// Where links are told.
struct Place<'a> {
    netns: &'a str,
    source: &'a str,
    instance: String,
    version: u32,
    vrf: Option<&'a str>,
}

/// One link: area, from, kind, to, metric, and how far off that is where it begins.
type Link = (String, String, &'static str, String, [Option<f64>; 2]);

/// What routers say of themselves, by area and router: whether they are ABR and ASBR.
type Roles = BTreeMap<(String, String), [bool; 2]>;

fn said(place: &Place<'_>, (links, roles): (&[Link], &Roles), facts: &mut Facts) {
    let Place { netns, source, instance, version, vrf } = place;
    for (area, from, kind, to, costs) in links {
        let key = format!("{netns} {instance} {version} {area} {from} {kind} {to} 0");
        let mut row = Row { facts, key };
        for (column, value) in [("netns", *netns), ("source", source), ("instance", instance), ("kind", kind)] {
            row.text(column, value);
        }
        for (column, value) in [("area", area), ("from", from), ("to", to)] {
            row.text(column, value);
        }
        row.number("version", &Value::from(*version));
        row.number("number", &Value::from(0));
        match vrf {
            Some(vrf) => row.text("vrf", vrf),
            None => row.missing(&["vrf"]),
        }
        for (column, cost) in ["metric", "distance"].into_iter().zip(costs) {
            match cost {
                Some(cost) => row.number(column, &Value::from(*cost)),
                None => row.missing(&[column]),
            }
        }
        for (at, column) in ["abr", "asbr"].into_iter().enumerate() {
            match roles.get(&(area.clone(), from.clone())).filter(|_| *kind != "attached") {
                Some(roles) => row.text(column, &roles[at].to_string()),
                None => row.missing(&[column]),
            }
        }
        row.missing(&["stale"]);
    }
}

/// What the routers say of themselves in the database of one daemon of a router.
fn roles(router: &str, is_six: bool) -> Roles {
    let (command, heading) = if is_six {
        ("show ipv6 ospf6 database router detail", "Area Scoped Link State Database")
    } else {
        ("show ip ospf database router", "Router Link States")
    };
    let (mut roles, mut at, mut from, mut flags) = (Roles::new(), String::new(), String::new(), [false; 2]);
    for line in vtysh(router, command).lines() {
        at = area(line, heading).map_or(at, dotted);
        // version 2 tells what a router is before it names it, version 3 behind that
        if let Some(words) = line.trim().strip_prefix("Flags: ") {
            let has = |word: &str| words.split_whitespace().any(|one| one == word);
            flags = [has("ABR"), has("ASBR")];
        }
        if let Some(name) = behind(line, "Advertising Router: ") {
            name.clone_into(&mut from);
            if !is_six {
                roles.insert((at.clone(), from.clone()), flags);
            }
        }
        if let Some(bits) = behind(line, "Bits: ").filter(|_| is_six) {
            roles.insert((at.clone(), from.clone()), ['B', 'E'].map(|bit| bits.contains(bit)));
        }
    }
    roles
}

/// What stands in a line behind some words, up to the next blank.
fn behind<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    line.trim_start().strip_prefix(words)?.split_whitespace().next()
}

/// The network of 24 bits that an address is in.
fn network(address: &str) -> String {
    format!("{}.0/24", address.rsplit_once('.').unwrap().0)
}

fn area<'a>(line: &'a str, words: &str) -> Option<&'a str> {
    line.trim().strip_prefix(words)?.strip_prefix(" (Area ")?.strip_suffix(')')
}

fn of_ospfd(router: &str) -> Vec<Link> {
    let (mut links, mut at, mut from, mut kind, mut to) = (Vec::new(), "", "", "", String::new());
    let text = vtysh(router, "show ip ospf database router");
    for line in text.lines() {
        at = area(line, "Router Link States").unwrap_or(at);
        from = behind(line, "Advertising Router: ").unwrap_or(from);
        if let Some(words) = line.trim().strip_prefix("Link connected to: ") {
            kind = match words {
                "Stub Network" => "stub",
                "a Transit Network" => "transit",
                "another Router (point-to-point)" => "point-to-point",
                other => panic!("{other}"),
            };
        } else if let Some((_, id)) = line.trim().strip_prefix("(Link ID) ").and_then(|words| words.split_once(": ")) {
            to = if kind == "transit" { network(id) } else { id.trim().to_owned() };
        } else if let Some(mask) = behind(line, "(Link Data) Network Mask: ") {
            to += if mask == "255.255.255.255" { "/32" } else { "/24" };
        } else if let Some(metric) = behind(line, "TOS 0 Metric: ") {
            links.push((at.to_owned(), from.to_owned(), kind, to.clone(), [metric.parse().ok(), None]));
        }
    }
    let mut id = "";
    let text = vtysh(router, "show ip ospf database network");
    for line in text.lines() {
        at = area(line, "Net Link States").unwrap_or(at);
        id = behind(line, "Link State ID: ").unwrap_or(id);
        if let Some(router) = behind(line, "Attached Router: ") {
            links.push((at.to_owned(), network(id), "attached", router.to_owned(), [None; 2]));
        }
    }
    links
}

fn of_ospf6d(router: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut known = BTreeMap::new();
    let bits = |words: &str| words.parse::<std::net::Ipv4Addr>().unwrap().to_bits();
    for kind in ["router", "network"] {
        let text = vtysh(router, &format!("show ipv6 ospf6 database {kind} detail"));
        let mut at = "";
        for line in text.lines() {
            at = area(line, "Area Scoped Link State Database").unwrap_or(at);
            // what is told of a link ends with the number of the neighbor
            for words in ["Link State ID: ", "Advertising Router: ", "Type: ", "Neighbor Interface ID: "] {
                if let Some(value) = behind(line, words) {
                    known.insert(words, value.to_owned());
                }
            }
            if let Some((_, metric)) = line.split_once(" Metric: ") {
                known.insert("metric", metric.trim().to_owned());
            }
            let of = |words: &str| known[words].as_str();
            if let Some(neighbor) = behind(line, "Neighbor Router ID: ") {
                let (kind, to) = match of("Type: ") {
                    "Transit-Network" => ("transit", format!("{neighbor}-{}", bits(of("Neighbor Interface ID: ")))),
                    "Point-To-Point" => ("point-to-point", neighbor.to_owned()),
                    other => panic!("{other}"),
                };
                let metric = of("metric").parse().ok();
                links.push((dotted(at), of("Advertising Router: ").to_owned(), kind, to, [metric, None]));
            } else if let Some(neighbor) = behind(line, "Attached Router: ") {
                let from = format!("{}-{}", of("Advertising Router: "), bits(of("Link State ID: ")));
                links.push((dotted(at), from, "attached", neighbor.to_owned(), [None; 2]));
            }
        }
    }
    links
}

fn of_bird(protocol: &str) -> Vec<Link> {
    let (mut links, mut at, mut from) = (Vec::new(), String::new(), String::new());
    let mut distance = None;
    for line in birdc(&format!("show ospf state all '{protocol}'")).lines() {
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['[', ']'])).collect();
        let is_deep = line.trim_start_matches(' ').starts_with("\t\t");
        match words.as_slice() {
            ["area", id] => at = (*id).to_owned(),
            ["router" | "network", name] if !is_deep => (from, distance) = ((*name).to_owned(), None),
            ["distance", number] => distance = number.parse().ok(),
            ["router", name] => {
                links.push((at.clone(), from.clone(), "attached", (*name).to_owned(), [None, distance]));
            }
            [kind @ ("router" | "network" | "stubnet"), name, "metric", metric] => {
                let kind = match *kind {
                    "router" => "point-to-point",
                    "network" => "transit",
                    _ => "stub",
                };
                let costs = [metric.parse().ok(), distance];
                links.push((at.clone(), from.clone(), kind, (*name).to_owned(), costs));
            }
            _ => {}
        }
    }
    links
}

/// Links of all routers.
pub(crate) fn agree() {
    let key = ["netns", "instance", "version", "area", "from", "kind", "to", "number"];
    let mut link = Parity::of("ospf_link", &key).wanting(&[], &[]);
    let mut counted = 0;
    link.agrees(|| {
        let mut facts = Facts::default();
        for (router, _) in ROUTERS {
            for (daemon, version, links) in [("ospfd", 2, of_ospfd(router)), ("ospf6d", 3, of_ospf6d(router))] {
                let (instance, vrf) = (format!("{router}/{daemon}"), Some("default"));
                let roles = roles(router, version == 3);
                said(&Place { netns: router, source: "frr", instance, version, vrf }, (&links, &roles), &mut facts);
            }
        }
        for (protocol, version) in [("backbone", 2), (SIX, 3)] {
            let place = Place { netns: BIRD.0, source: "bird", instance: protocol.to_owned(), version, vrf: None };
            said(&place, (&of_bird(protocol), &Roles::new()), &mut facts);
        }
        counted = facts.rows();
        facts
    });
    assert_eq!(link.keys().len(), counted, "rows that nobody else has");
    for (router, _) in ROUTERS {
        // versions that have no JSON write the same text
        let texts = ["router", "network"].map(|kind| vtysh(router, &format!("show ip ospf database {kind}")));
        let read = frr::read_links(texts.each_ref().map(String::as_str)).done();
        let text = |text: &Text| text.as_str().to_owned();
        let metric = |link: &database::Link| [link.metric.map(|metric| metric as f64), None];
        let one = |link: &database::Link| {
            (text(&link.area), text(&link.from), link.kind.name(), text(&link.to), metric(link))
        };
        assert_eq!(read.kept().iter().map(one).collect::<Vec<Link>>(), of_ospfd(router), "{router}");
    }
    link.left_out(&[]);
}
