//! A router that is asked over SNMP: `snmpwalk`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use rustix::thread::UnshareFlags;

use super::bracket::{Facts, Parity};
use super::support::ring::{Ring, configure, run_in, wait_until};
use super::support::snmp::{ONE, agent, secret, snmpwalk};
use super::support::space::within;

/// All that a router tells, by the numbers behind those of all tables.
struct Walk(BTreeMap<Vec<u32>, String>);

/// Number of a router or an area, which version 3 tells as a plain number.
fn dotted(word: &str) -> String {
    word.parse::<u32>().map_or_else(|_| word.to_owned(), |number| Ipv4Addr::from(number).to_string())
}

/// The word of a number that counts from one on.
fn named<'a>(words: &[&'a str], number: &str) -> &'a str {
    words[number.parse::<usize>().unwrap() - 1]
}

const KINDS: [&str; 3] = ["normal", "stub", "NSSA"];
const TRUTHS: [&str; 2] = ["true", "false"];
const INTERFACE: [&str; 7] = ["Down", "Loopback", "Waiting", "point-to-point", "DR", "Backup", "DROther"];
const NEIGHBOR: [&str; 8] = ["Down", "Attempt", "Init", "2-Way", "ExStart", "Exchange", "Loading", "Full"];
const NETWORK: [&str; 3] = ["broadcast", "NBMA", "point-to-point"];

impl Walk {
    fn now() -> Self {
        let lines =
            ["1.1", "4.20.1", "14", "31.1.1.1.1", "191"].map(|below| snmpwalk(&format!("1.3.6.1.2.1.{below}"), &[]));
        let value = |line: &String| {
            let (name, value) = line.strip_prefix(".1.3.6.1.2.1.")?.split_once(' ')?;
            let arcs = name.split('.').map(|arc| arc.parse().unwrap()).collect();
            Some((arcs, value.trim_matches('"').trim().to_owned()))
        };
        Self(lines.iter().flatten().filter_map(value).collect())
    }

    fn find(&self, column: &[u32], index: &[u32]) -> Option<&str> {
        self.0.get(&[column, index].concat()).map(String::as_str)
    }

    fn get(&self, column: &[u32], index: &[u32]) -> &str {
        self.find(column, index).unwrap_or_else(|| panic!("{column:?} of {index:?}"))
    }

    /// What tells rows apart that have a column.
    fn rows(&self, column: &[u32]) -> Vec<Vec<u32>> {
        self.0.keys().filter_map(|name| Some(name.strip_prefix(column)?.to_vec())).collect()
    }

    /// The row of an interface of version 2, by its address, and its name.
    fn name(&self, address: &[u32]) -> &str {
        let number = self.get(&[4, 20, 1, 2], address).parse().unwrap();
        self.get(&[31, 1, 1, 1, 1], &[number])
    }
}

/// What is written of a row.
struct Row<'a> {
    facts: &'a mut Facts,
    key: String,
}

impl Row<'_> {
    fn text(&mut self, column: &str, value: &str) {
        self.facts.text(&self.key, column, value);
    }

    fn number(&mut self, column: &str, value: &str) {
        self.facts.number(&self.key, column, value.parse().unwrap());
    }

    fn missing(&mut self, columns: &[&str]) {
        for column in columns {
            self.facts.missing(&self.key, column);
        }
    }

    /// A router that is none has a number of zeros.
    fn router(&mut self, column: &str, value: &str) {
        match dotted(value).as_str() {
            "0.0.0.0" => self.missing(&[column]),
            router => self.text(column, router),
        }
    }

    /// What all rows have of a version.
    fn of(&mut self, version: u32) {
        self.text("source", "snmp");
        self.text("instance", "r");
        self.number("version", &version.to_string());
        self.missing(&["netns", "vrf", "stale"]);
    }
}

fn areas() -> Facts {
    let (walk, mut facts) = (Walk::now(), Facts::default());
    for (version, general, table, [kind, runs, lsas]) in
        [(2, &[14, 1][..], &[14, 2, 1][..], [3, 4, 7]), (3, &[191, 1, 1], &[191, 1, 2, 1], [2, 3, 6])]
    {
        let (interfaces, states): (&[u32], &[u32]) =
            if version == 2 { (&[14, 7, 1, 3], &[14, 10, 1, 6]) } else { (&[191, 1, 7, 1, 3], &[191, 1, 9, 1, 8]) };
        for index in walk.rows(&[table, &[kind]].concat()) {
            let id = if let [number] = *index { Ipv4Addr::from(number) } else { quad(&index) }.to_string();
            let mut row = Row { facts: &mut facts, key: format!("snmp r {version} {id}") };
            row.of(version);
            row.text("area", &id);
            row.text("kind", named(&KINDS, walk.get(&[table, &[kind]].concat(), &index)));
            row.number("spf_runs", walk.get(&[table, &[runs]].concat(), &index));
            row.number("lsas", walk.get(&[table, &[lsas]].concat(), &index));
            row.router("router_id", walk.get(general, &[1, 0]));
            row.text("abr", named(&TRUTHS, walk.get(general, &[4, 0])));
            row.text("asbr", named(&TRUTHS, walk.get(general, &[5, 0])));
            row.number("external_lsas", walk.get(general, &[6, 0]));
            let inside = walk.rows(interfaces).iter().filter(|one| dotted(walk.get(interfaces, one)) == id).count();
            row.number("interfaces", &inside.to_string());
            // the only neighbor is in the backbone
            let adjacent =
                walk.rows(states).iter().filter(|one| id == "0.0.0.0" && walk.get(states, one) == "8").count();
            row.number("adjacent", &adjacent.to_string());
            row.missing(&["router_lsas", "network_lsas", "summary_lsas", "asbr_summary_lsas", "nssa_lsas"]);
            row.missing(&["opaque_lsas", "prefix_lsas", "last_spf"]);
        }
    }
    facts
}

fn quad(arcs: &[u32]) -> Ipv4Addr {
    let [a, b, c, d] = arcs[..4] else { unreachable!() };
    Ipv4Addr::from(a << 24 | b << 16 | c << 8 | d)
}

fn interfaces() -> Facts {
    let (walk, mut facts) = (Walk::now(), Facts::default());
    for index in walk.rows(&[14, 7, 1, 3]) {
        let (address, name) = (quad(&index).to_string(), walk.name(&index[..4]));
        let of = |column: u32| walk.get(&[14, 7, 1, column], &index);
        let mut row = Row { facts: &mut facts, key: format!("snmp r 2 {name} {address}") };
        row.text("address", &address);
        let mask: Ipv4Addr = walk.get(&[4, 20, 1, 3], &index[..4]).parse().unwrap();
        row.number("prefix", &mask.to_bits().count_ones().to_string());
        row.text("state", named(&INTERFACE, of(12)));
        // FRR tells the metric of a kind of service that there is not
        match walk.find(&[14, 8, 1, 4], &[&index[..], &[0]].concat()) {
            Some(cost) => row.number("cost", cost),
            None => row.missing(&["cost"]),
        }
        for (column, at) in [("dr", 13), ("backup", 14)] {
            let elected = of(at);
            let own = walk.get(&[14, 1, 1], &[0]);
            let other = || {
                let arcs: Vec<u32> = elected.split('.').map(|arc| arc.parse().unwrap()).collect();
                walk.find(&[14, 10, 1, 3], &[&arcs[..], &[0]].concat()).unwrap_or("0.0.0.0")
            };
            row.router(column, if elected == address { own } else { other() });
        }
        interface(row, 2, name, of);
    }
    for index in walk.rows(&[191, 1, 7, 1, 3]) {
        let (name, of) =
            (walk.get(&[31, 1, 1, 1, 1], &index[..1]), |column: u32| walk.get(&[191, 1, 7, 1, column], &index));
        let mut row = Row { facts: &mut facts, key: format!("snmp r 3 {name} Missing") };
        row.missing(&["address", "prefix"]);
        let own = walk.get(&[191, 1, 1, 1], &[0]);
        // it has the number of the DR and that of those who are neither the other way round
        let state = named(&INTERFACE, of(12));
        row.text("state", if state.starts_with("DR") && of(13) == own { "DR" } else { state });
        row.number("cost", of(18));
        row.router("dr", of(13));
        row.router("backup", of(14));
        interface(row, 3, name, of);
    }
    facts
}

/// What both versions tell of an interface in the same columns.
fn interface<'a>(mut row: Row<'_>, version: u32, name: &str, of: impl Fn(u32) -> &'a str) {
    row.of(version);
    row.text("interface", name);
    row.text("area", &dotted(of(3)));
    // FRR calls all networks broadcast, and that of two routers is none
    if of(12) == "4" {
        row.missing(&["network"]);
    } else {
        row.text("network", named(&NETWORK, of(4)));
    }
    for (column, at) in [("priority", 6), ("retransmit", 8), ("hello", 9), ("dead", 10)] {
        row.number(column, of(at));
    }
    for column in ["neighbors", "adjacent"] {
        row.number(column, if name == "to1" { "1" } else { "0" });
    }
    row.missing(&["passive", "wait"]);
}

fn neighbors() -> Facts {
    let (walk, mut facts) = (Walk::now(), Facts::default());
    for index in walk.rows(&[14, 10, 1, 3]) {
        let of = |column: u32| walk.get(&[14, 10, 1, column], &index);
        let address = quad(&index).to_string();
        let mut row = Row { facts: &mut facts, key: format!("r 2 {}", of(3)) };
        row.text("local_address", ONE);
        row.router("router_id", of(3));
        let [dr, backup] = [13, 14].map(|column| walk.get(&[14, 7, 1, column], &[10, 0, 12, 2, 0]));
        row.text("role", role(&address, dr, backup));
        row.text("address", &address);
        neighbor(row, 2, [5, 6, 8].map(of));
    }
    for index in walk.rows(&[191, 1, 9, 1, 8]) {
        let of = |column: u32| walk.get(&[191, 1, 9, 1, column], &index);
        let id = Ipv4Addr::from(index[2]).to_string();
        let mut row = Row { facts: &mut facts, key: format!("r 3 {id}") };
        row.missing(&["local_address"]);
        let [dr, backup] = [13, 14].map(|column| walk.get(&[191, 1, 7, 1, column], &index[..2]));
        row.text("role", role(&index[2].to_string(), dr, backup));
        row.router("router_id", &id);
        let octets: Vec<u8> = of(5).split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        row.text("address", &std::net::Ipv6Addr::from(<[u8; 16]>::try_from(octets).unwrap()).to_string());
        neighbor(row, 3, [7, 8, 10].map(of));
    }
    facts
}

fn role(of: &str, dr: &str, backup: &str) -> &'static str {
    if of == dr {
        "DR"
    } else if of == backup {
        "Backup"
    } else {
        "DROther"
    }
}

fn neighbor(mut row: Row<'_>, version: u32, [priority, state, retransmissions]: [&str; 3]) {
    row.of(version);
    row.text("interface", "to1");
    row.text("area", "0.0.0.0");
    row.text("state", named(&NEIGHBOR, state));
    row.text("expected", "false");
    row.number("priority", priority);
    row.number("retransmissions", retransmissions);
    row.missing(&["since", "expires", "requests", "summaries", "bfd", "last_change", "regressed", "reason"]);
}

fn daemons() -> Facts {
    let (walk, mut facts) = (Walk::now(), Facts::default());
    let mut row = Row { facts: &mut facts, key: "snmp r".to_owned() };
    for (column, value) in [("source", "snmp"), ("name", "r"), ("state", "up"), ("version", walk.get(&[1, 1], &[0]))] {
        row.text(column, value);
    }
    row.text("socket", &format!("{ONE}:161"));
    let neighbors = walk.rows(&[14, 10, 1, 6]).len() + walk.rows(&[191, 1, 9, 1, 8]).len();
    row.number("neighbors", &neighbors.to_string());
    row.missing(&["netns", "pid", "reason"]);
    facts
}

/// Gives the router areas of each kind, each with another way to prove who speaks, and interfaces of which each is another.
fn vary() {
    for (near, far, address) in [("s1", "s2", "10.1.1.1/25"), ("s3", "s4", "10.1.2.1/26")] {
        run_in("one", &["ip", "link", "add", near, "type", "veth", "peer", "name", far]);
        run_in("one", &["ip", "addr", "add", address, "dev", near]);
        for name in [near, far] {
            run_in("one", &["ip", "link", "set", name, "up"]);
        }
    }
    let first = ["interface s1", "ip ospf area 3", "ip ospf hello-interval 2", "ip ospf dead-interval 6"];
    let more = ["ip ospf retransmit-interval 7", "ip ospf priority 9", "ip ospf cost 21"];
    let third = ["interface s3", "ip ospf area 4", "ip ospf network point-to-point", "ip ospf cost 22"];
    let areas = ["router ospf", "area 3 stub", "area 3 authentication message-digest", "area 4 nssa"];
    let others = ["area 4 authentication", "redistribute connected"];
    configure("one", &[&first[..], &more, &third, &areas, &others].concat());
    let first = ["interface s1", "ipv6 ospf6 area 3", "ipv6 ospf6 hello-interval 3", "ipv6 ospf6 dead-interval 8"];
    let more = ["ipv6 ospf6 retransmit-interval 9", "ipv6 ospf6 priority 11", "ipv6 ospf6 cost 33"];
    configure("one", &[&first[..], &more, &["router ospf6", "area 3 stub"]].concat());
    wait_until("elections", || {
        let states = |column: &str| snmpwalk(&format!("1.3.6.1.2.1.{column}"), &["-Ov"]);
        let (two, three) = (states("14.7.1.12"), states("191.1.7.1.12"));
        // it looks for interfaces and addresses now and then only
        let [names, addresses] = ["31.1.1.1.1", "4.20.1.2"].map(|column| states(column).len());
        names == 6
            && addresses == 4
            && two.len() == 3
            && three.len() == 2
            && ![two, three].concat().iter().any(|state| state == "3")
    });
    let areas = |column: &str| snmpwalk(&format!("1.3.6.1.2.1.14.2.1.{column}"), &["-Ov"]);
    assert_eq!([areas("2"), areas("3")], [["0", "2", "1"], ["1", "2", "3"]], "what a kind is not, and what it is");
}

#[test]
fn root_a_router_behind_an_agent_agrees_with_snmpwalk() {
    within(UnshareFlags::NEWNET, || {
        let dir = tempfile::tempdir().unwrap();
        let community = secret(dir.path(), "c", "of-the-test\n");
        let mut snmpd = None;
        let _ring = Ring::told(2, "one", || snmpd = Some(agent(dir.path(), "one")));
        vary();
        let section = format!("[[snmp]]\nname = 'r'\naddress = '{ONE}'\ncommunity_file = '{community}'\n");
        let of = |table: &str, key: &[&str]| Parity::of(table, key).routing(&section);
        let mut area = of("ospf_area", &["source", "instance", "version", "area"]);
        area.agrees(areas);
        area.left_out(&[]);
        let mut interface = of("ospf_interface", &["source", "instance", "version", "interface", "address"]);
        interface.agrees(interfaces);
        interface.left_out(&[]);
        let mut neighbor = of("ospf_neighbor", &["instance", "version", "router_id"]);
        neighbor.agrees(neighbors);
        // counts of changes are this program's own
        neighbor.left_out(&["changes", "flaps"]);
        let mut daemon = of("routing_daemon", &["source", "name"]);
        daemon.agrees(daemons);
        daemon.left_out(&["since"]);
    });
}
