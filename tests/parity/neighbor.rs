//! Neighbors and their tables: `ip neigh` and `ip ntable`.

use std::net::UdpSocket;

use netglance::model::Timestamp;

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip, list};
use super::{file, said_json};

fn neighbor_facts() -> Facts {
    let mut facts = Facts::default();
    for neighbor in list(&said_json("ip", &["-j", "-s", "neigh", "show", "nud", "all"])) {
        let text = |name: &str| neighbor[name].as_str();
        let (address, device) = (text("dst").unwrap(), text("dev").unwrap());
        let key = format!("{address} {device}");
        facts.text(&key, "address", address);
        facts.text(&key, "interface", device);
        facts.text(&key, "family", if address.contains(':') { "inet6" } else { "inet" });
        let states = list(&neighbor["state"]);
        facts.text(&key, "state", &states[0].as_str().unwrap().to_lowercase());
        let is = |flag: &str| neighbor.get(flag).is_some();
        facts.text(&key, "router", &is("router").to_string());
        let flags = ["router", "proxy", "extern_learn", "offload", "managed", "extern_valid"];
        let flags: Vec<&str> = flags.into_iter().filter(|flag| is(flag)).collect();
        for (column, value) in [
            ("mac", text("lladdr").map(str::to_owned)),
            ("protocol", text("protocol").map(str::to_owned)),
            ("flags", (!flags.is_empty()).then(|| flags.join(","))),
        ] {
            match value {
                Some(value) => facts.text(&key, column, &value),
                None => facts.missing(&key, column),
            }
        }
        let now = Timestamp::now().seconds();
        for column in ["updated", "confirmed", "used"] {
            // whole seconds, rounded down
            let age = neighbor[column].as_f64().unwrap();
            facts.between(&key, column, now - age - 1.1, now - age + 0.1);
        }
        facts.number(&key, "probes", neighbor["probes"].as_f64().unwrap());
        // ip leaves out the zero
        facts.number(&key, "references", neighbor["refcnt"].as_f64().unwrap_or(0.0));
    }
    facts
}

#[test]
fn root_neighbors_of_all_kinds_are_what_ip_says() {
    in_own_network(|| {
        ip("link add left type veth peer name right");
        for line in [
            "link set left up",
            "link set right up",
            "addr add 10.9.0.1/24 dev left",
            "addr add fd00::1/64 dev left nodad",
            "neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev left",
            "neigh add 10.9.0.3 lladdr 02:00:00:00:00:03 nud stale dev left protocol bgp",
            "neigh add 10.9.0.4 lladdr 02:00:00:00:00:04 nud noarp dev left protocol 77",
            "neigh add 10.9.0.5 lladdr 02:00:00:00:00:05 dev left extern_learn",
            "neigh add 10.9.0.6 dev left nud none managed",
            "neigh add fd00::9 lladdr 02:00:00:00:00:09 nud reachable router dev left",
        ] {
            ip(line);
        }
        // one that nobody is
        let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
        socket.send_to(b"?", "10.9.0.99:9").unwrap();
        let mut table = Parity::of("neighbor", &["address", "interface"]).wanting(&[], &[]);
        table.agrees(neighbor_facts);
        table.left_out(&["index", "netns"]);
        let keys = table.keys();
        assert!(keys.contains("10.9.0.99 left") && keys.len() >= 7, "{keys:?}");
    });
}

#[test]
fn tables_of_neighbors_are_as_full_as_ip_says() {
    let mut table = Parity::of("neighbor_cache", &["family"]);
    table.agrees(|| {
        let mut facts = Facts::default();
        for cache in
            list(&said_json("ip", &["-s", "-j", "ntable"])).iter().filter(|cache| cache.get("entries").is_some())
        {
            let number = |name: &str| cache[name].as_f64().unwrap_or_else(|| panic!("{name}: {cache}"));
            let key = cache["family"].as_str().unwrap();
            facts.text(key, "family", key);
            for (column, name) in [("gc_thresh1", "thresh1"), ("gc_thresh2", "thresh2"), ("gc_thresh3", "thresh3")] {
                facts.number(key, column, number(name));
            }
            for column in [
                "entries",
                "allocs",
                "destroys",
                "hash_grows",
                "lookups",
                "hits",
                "res_failed",
                "rcv_probes_mcast",
                "rcv_probes_ucast",
                "periodic_gc_runs",
                "forced_gc_runs",
                "table_fulls",
            ] {
                facts.number(key, column, number(column));
            }
            facts.number(key, "fill", number("entries") / number("thresh3"));
            let name = if key == "inet" { "arp_cache" } else { "ndisc_cache" };
            facts.number(key, "unresolved_discards", summed(name, "unresolved_discards"));
        }
        facts
    });
    table.left_out(&[]);
    assert_eq!(table.keys().into_iter().collect::<Vec<_>>(), ["inet", "inet6"]);
}

/// What all CPUs have counted, which `ip` does not tell of all of it.
fn summed(name: &str, column: &str) -> f64 {
    let text = file(&format!("/proc/net/stat/{name}"));
    let at = text.lines().next().unwrap().split_whitespace().position(|word| word == column).unwrap();
    let number = |line: &str| u64::from_str_radix(line.split_whitespace().nth(at).unwrap(), 16).unwrap();
    text.lines().skip(1).map(|line| number(line) as f64).sum()
}

#[test]
fn root_a_neighbor_that_is_told_to_be_another_changes_its_row() {
    in_own_network(|| {
        ip("link add left type veth peer name right");
        ip("link set left up");
        ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev left");
        let table = Parity::of("neighbor", &["address", "mac", "state"]).wanting(&[], &[]);
        assert!(table.keys().contains("10.9.0.2 02:00:00:00:00:02 permanent"), "{:?}", table.keys());
        ip("neigh replace 10.9.0.2 lladdr 02:00:00:00:00:03 nud stale dev left");
        assert!(table.keys().contains("10.9.0.2 02:00:00:00:00:03 stale"), "{:?}", table.keys());
        ip("neigh del 10.9.0.2 dev left");
        assert!(!table.keys().iter().any(|key| key.contains("10.9.0.2")), "{:?}", table.keys());
    });
}
