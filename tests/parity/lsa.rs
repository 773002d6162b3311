//! LSAs in the databases of OSPF: what `vtysh` writes for programs, and `birdc` for people.

use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::routing::Row;
use super::support::ring::{BIRD, ROUTERS, SIX, birdc, vtysh, vtysh_json, wait_until};

/// Lists of `ospfd`: what they are called, their type, and the words that ask for more.
const LISTS: [(&str, &str, &str); 9] = [
    ("routerLinkStates", "Router", "router"),
    ("networkLinkStates", "Network", "network"),
    ("summaryLinkStates", "Summary", "summary"),
    ("asbrSummaryLinkStates", "ASBR-Summary", "asbr-summary"),
    ("asExternalLinkStates", "AS-External", "external"),
    ("nssaExternalLinkStates", "NSSA-External", "nssa-external"),
    ("linkLocalOpaqueLsa", "Opaque-Link", "opaque-link"),
    ("areaLocalOpaqueLsa", "Opaque-Area", "opaque-area"),
    ("asExternalOpaqueLsa", "Opaque-AS", "opaque-as"),
];

/// One LSA: area, interface, type, id and router; scope, sequence number, checksum, age, length.
pub(super) struct Said {
    key: [String; 5],
    pub(super) scope: &'static str,
    sequence: u64,
    checksum: u64,
    age: f64,
    length: Option<u64>,
}

impl Said {
    pub(super) fn is_of(&self, scope: &str, kind: &str) -> bool {
        self.scope == scope && self.key[2] == kind
    }

    pub(super) fn router(&self) -> &str {
        &self.key[4]
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn hex(words: &str) -> u64 {
    u64::from_str_radix(words, 16).unwrap()
}

fn of_ospfd(router: &str) -> Vec<Said> {
    let mut all = Vec::new();
    let told = vtysh_json(router, "show ip ospf vrf all database json");
    for (list, kind, name) in LISTS {
        let areas = told["default"]["areas"].as_object().unwrap();
        let of_areas = areas.iter().map(|(area, lists)| (area.as_str(), &lists[list]));
        let lists: Vec<_> = of_areas.chain([("", &told["default"][list])]).collect();
        let more = vtysh_json(router, &format!("show ip ospf vrf all database {name} json"));
        let more = &more["default"][list];
        for (area, lsas) in lists {
            let scope = if area.is_empty() { "AS" } else { "area" };
            let more = if area.is_empty() { more } else { &more["areas"][area] };
            for lsa in lsas.as_array().into_iter().flatten() {
                let (id, router) = (word(&lsa["lsId"]), word(&lsa["advertisedRouter"]));
                let is_it = |one: &&Value| one["linkStateId"] == *id && one["advertisingRouter"] == *router;
                let length = more.as_array().into_iter().flatten().find(is_it).and_then(|one| one["length"].as_u64());
                all.push(Said {
                    key: [area.to_owned(), String::new(), kind.to_owned(), id, router],
                    scope,
                    sequence: hex(&word(&lsa["sequenceNumber"])),
                    checksum: hex(&word(&lsa["checksum"])),
                    age: lsa["lsaAge"].as_f64().unwrap(),
                    length,
                });
            }
        }
    }
    all
}

fn of_ospf6d(router: &str) -> Vec<Said> {
    let mut all = Vec::new();
    let told = vtysh_json(router, "show ipv6 ospf6 database detail json");
    for (list, scope) in
        [("areaScopedLinkStateDb", "area"), ("interfaceScopedLinkStateDb", "link"), ("asScopedLinkStateDb", "AS")]
    {
        for under in told[list].as_array().unwrap() {
            for lsa in under["lsa"].as_array().unwrap() {
                let kind = match word(&lsa["type"]).as_str() {
                    "Inter-Prefix" => "Inter-Area-Prefix".to_owned(),
                    "Inter-Router" => "Inter-Area-Router".to_owned(),
                    "Intra-Prefix" => "Intra-Area-Prefix".to_owned(),
                    same => same.to_owned(),
                };
                let (id, router) = (word(&lsa["linkStateId"]), word(&lsa["advertisingRouter"]));
                // areas are written as they were configured
                let area = word(&under["areaId"]);
                let area = area.parse().map_or(area, |number: u32| std::net::Ipv4Addr::from(number).to_string());
                all.push(Said {
                    key: [area, word(&under["interface"]), kind, id, router],
                    scope,
                    sequence: lsa["lsSequenceNumber"].as_u64().unwrap(),
                    checksum: lsa["checksum"].as_u64().unwrap(),
                    age: lsa["age"].as_f64().unwrap(),
                    length: lsa["length"].as_u64(),
                });
            }
        }
    }
    all
}

pub(super) fn of_bird(protocol: &str) -> Vec<Said> {
    let (mut all, mut area, mut interface, mut scope) = (Vec::new(), String::new(), String::new(), "");
    for line in birdc(&format!("show ospf lsadb '{protocol}'")).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Area", id] => (scope, area, interface) = ("area", (*id).to_owned(), String::new()),
            // the only link of this router is in the backbone
            ["Link", name] => (scope, area, interface) = ("link", "0.0.0.0".to_owned(), (*name).to_owned()),
            ["Global"] => (scope, area, interface) = ("AS", String::new(), String::new()),
            [kind, id, router, sequence, age, checksum] if *kind != "Type" => {
                let kind = match (protocol, *kind) {
                    ("backbone", "0001") | (SIX, "2001") => "Router",
                    ("backbone", "0002") | (SIX, "2002") => "Network",
                    ("backbone", "0003") => "Summary",
                    ("backbone", "0004") => "ASBR-Summary",
                    ("backbone", "0005") | (SIX, "4005") => "AS-External",
                    (SIX, "2003") => "Inter-Area-Prefix",
                    (SIX, "2004") => "Inter-Area-Router",
                    (SIX, "0008") => "Link",
                    (SIX, "2009") => "Intra-Area-Prefix",
                    other => panic!("{other:?}"),
                };
                let [id, router] = [*id, *router].map(str::to_owned);
                all.push(Said {
                    key: [area.clone(), interface.clone(), kind.to_owned(), id, router],
                    scope,
                    sequence: hex(sequence),
                    checksum: hex(checksum),
                    age: age.parse().unwrap(),
                    length: None,
                });
            }
            _ => {}
        }
    }
    all
}

fn said(place: (&str, &str, &str, u32, Option<&str>), lsas: &[Said], facts: &mut Facts) {
    let (netns, source, instance, version, vrf) = place;
    for lsa in lsas {
        let parts = lsa.key.each_ref().map(|part| if part.is_empty() { "Missing" } else { part });
        let key = format!("{netns} {instance} {version} {}", parts.join(" "));
        let mut row = Row { facts, key };
        for (column, value) in [("netns", netns), ("source", source), ("instance", instance), ("scope", lsa.scope)] {
            row.text(column, value);
        }
        let names = ["area", "interface", "kind", "link_state_id", "advertising_router"];
        let cells = names.into_iter().zip(lsa.key.iter().map(String::as_str)).chain([("vrf", vrf.unwrap_or_default())]);
        for (column, value) in cells {
            if value.is_empty() { row.missing(&[column]) } else { row.text(column, value) }
        }
        row.number("version", &Value::from(version));
        row.number("instances", &Value::from(lsa.sequence - 0x8000_0000));
        row.text("sequence", &format!("{:08x}", lsa.sequence));
        row.text("checksum", &format!("{:04x}", lsa.checksum));
        row.text("state", if lsa.age < 3600.0 { "current" } else { "MaxAge" });
        if lsa.age < 3600.0 {
            row.ago("originated", lsa.age, 1.0);
        } else {
            row.missing(&["originated"]);
        }
        match lsa.length {
            Some(length) => row.number("length", &Value::from(length)),
            None => row.missing(&["length"]),
        }
        row.missing(&["stale"]);
    }
}

/// LSAs of all routers.
pub(crate) fn agree() {
    for (router, _) in ROUTERS {
        wait_until("all that was taken away has gone", || {
            !vtysh(router, "show ip ospf database").contains(" 3600 0x")
                && !vtysh(router, "show ipv6 ospf6 database").contains(" 3600 ")
        });
    }
    let key = ["netns", "instance", "version", "area", "interface", "kind", "link_state_id", "advertising_router"];
    let mut lsa = Parity::of("ospf_lsa", &key).wanting(&["length"], &[]);
    let mut counted = 0;
    lsa.agrees(|| {
        let mut facts = Facts::default();
        for (router, _) in ROUTERS {
            for (daemon, version, lsas) in [("ospfd", 2, of_ospfd(router)), ("ospf6d", 3, of_ospf6d(router))] {
                let instance = format!("{router}/{daemon}");
                said((router, "frr", &instance, version, Some("default")), &lsas, &mut facts);
            }
        }
        for (protocol, version) in [("backbone", 2), (SIX, 3)] {
            said((BIRD.0, "bird", protocol, version, None), &of_bird(protocol), &mut facts);
        }
        counted = facts.rows();
        facts
    });
    assert_eq!(lsa.keys().len(), counted, "rows that nobody else has");
    lsa.left_out(&[]);
}
