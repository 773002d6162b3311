//! All adjacencies in one table: `vtysh` and `birdc`.

use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::routing::{Row, TALKATIVE, ago, birds, lines, members, short_span, span, word};
use super::support::ring::{BIRD, ROUTERS, SIX, vtysh, vtysh_json};

/// What tells an adjacency from others.
const KEY: [&str; 6] = ["netns", "protocol", "instance", "interface", "peer", "level"];

/// Begins a row of a daemon of FRR that is up and has no level.
fn begin<'a>(
    facts: &'a mut Facts,
    router: &str,
    [protocol, daemon]: [&str; 2],
    [interface, peer]: [&str; 2],
) -> Row<'a> {
    let instance = format!("{router}/{daemon}");
    let mut row = Row { facts, key: format!("{router} {protocol} {instance} {interface} {peer} Missing") };
    for (column, value) in [
        ("netns", router),
        ("protocol", protocol),
        ("source", "frr"),
        ("instance", &instance),
        ("peer", peer),
        ("standing", "up"),
    ] {
        row.text(column, value);
    }
    match interface {
        "Missing" => row.missing(&["interface"]),
        name => row.text("interface", name),
    }
    row.missing(if protocol == "BFD" { &["level", "stale"] } else { &["level", "local_address", "stale"] });
    row
}

fn of_ospfd(router: &str, facts: &mut Facts) {
    let short = vtysh_json(router, "show ip ospf vrf all neighbor json");
    for (id, found) in members(&vtysh_json(router, "show ip ospf vrf all neighbor detail json")["default"]["neighbors"])
    {
        let (found, brief) = (&found[0], &short["default"]["neighbors"][id][0]);
        let mut row = begin(facts, router, ["OSPFv2", "ospfd"], [word(&found["ifaceName"]), id]);
        row.text("vrf", "default");
        row.text("address", word(&found["ifaceAddress"]));
        row.text("state", word(&found["nbrState"]).split('/').next().unwrap());
        row.ago("since", brief["upTimeInMsec"].as_f64().unwrap() / 1e3, 0.0);
        // those since this program looks
        row.number("flaps", &Value::from(0));
        match found["lastRegressiveChangeReason"].as_str() {
            Some(reason) => row.text("reason", reason),
            None => row.missing(&["reason"]),
        }
    }
}

fn of_ospf6d(router: &str, facts: &mut Facts) {
    let short = vtysh_json(router, "show ipv6 ospf6 neighbor json");
    for (_, found) in members(&vtysh_json(router, "show ipv6 ospf6 neighbor detail json")) {
        let name = word(&found["interface"]);
        let is_it = |brief: &&Value| brief["interfaceName"] == name;
        let id = word(&short["neighbors"].as_array().unwrap().iter().find(is_it).unwrap()["neighborId"]);
        let mut row = begin(facts, router, ["OSPFv3", "ospf6d"], [name, id]);
        row.text("address", word(&found["linkLocalAddress"]));
        row.text("state", word(&found["neighborState"]));
        row.ago("since", span(word(&found["neighborStateDuration"])), 1.0);
        row.number("flaps", &Value::from(0));
        row.missing(&["reason"]);
    }
}

fn of_bird(facts: &mut Facts) {
    for (protocol, words) in lines("show ospf neighbors") {
        let [id, _, state, _, name, address] = words.as_slice() else { continue };
        let Some((state, _)) = state.split_once('/') else { continue };
        let version = if protocol == SIX { "OSPFv3" } else { "OSPFv2" };
        let mut row = Row { facts, key: format!("{} {version} {protocol} {name} {id} Missing", BIRD.0) };
        row.text("source", "bird");
        row.text("state", state);
        row.text("standing", "up");
        row.text("address", address);
        row.missing(&["vrf", "reason", "level", "local_address", "since"]);
    }
    for (protocol, words) in lines("show bfd sessions") {
        let [address, name, state, since, ..] = words.as_slice() else { continue };
        if address.parse::<std::net::IpAddr>().is_ok() {
            let mut row = Row { facts, key: format!("{} BFD {protocol} {name} {address} Missing", BIRD.0) };
            row.text("state", &state.to_lowercase());
            row.ago("since", ago(since), 0.0);
            row.missing(&["flaps", "reason"]);
        }
    }
    for (protocol, peer, state) in birds() {
        let mut row = Row { facts, key: format!("{} BGP {protocol} Missing {peer} Missing", BIRD.0) };
        row.text("state", &state);
        row.text("standing", standing(&state));
        row.missing(&["address", "flaps"]);
    }
}

fn of_bfdd(router: &str, facts: &mut Facts) {
    let counters = vtysh_json(router, "show bfd peers counters json");
    for found in vtysh_json(router, "show bfd peers json").as_array().unwrap() {
        let is_it = |counts: &&Value| counts["peer"] == found["peer"];
        let counts = counters.as_array().unwrap().iter().find(is_it).unwrap();
        let (name, address) = (found["interface"].as_str().unwrap_or("Missing"), word(&found["peer"]));
        let mut row = begin(facts, router, ["BFD", "bfdd"], [name, address]);
        row.text("address", address);
        row.text("state", word(&found["status"]));
        row.ago("since", found["uptime"].as_f64().unwrap(), 1.0);
        row.number("flaps", &counts["session-down"]);
        // that there is no trouble is none
        assert_eq!((word(&found["remote-diagnostic"]), word(&found["diagnostic"])), ("ok", "ok"));
        row.missing(&["reason"]);
        match found["local"].as_str() {
            Some(local) => row.text("local_address", local),
            None => row.missing(&["local_address"]),
        }
    }
}

/// How it is with a session of BGP in some state.
fn standing(state: &str) -> &'static str {
    match state {
        "Established" => "up",
        "Idle" => "down",
        _ => "forming",
    }
}

fn of_bgpd(router: &str, facts: &mut Facts) {
    let brief = vtysh_json(router, "show bgp vrf all summary json");
    let whole = vtysh_json(router, "show bgp vrf all neighbors json");
    for (peer, found) in members(&whole["default"]).filter(|(_, found)| found.is_object()) {
        let short = &brief["default"]["ipv4Unicast"]["peers"][peer];
        let mut row = begin(facts, router, ["BGP", "bgpd"], ["Missing", peer]);
        row.text("vrf", "default");
        let state = word(&short["state"]);
        row.text("state", state);
        row.text("standing", standing(state));
        row.number("flaps", &short["connectionsDropped"]);
        // one that was never lost is said to have been waited for
        if state == "Established" && short["connectionsDropped"] == 0 {
            row.missing(&["reason"]);
        } else {
            row.text("reason", word(&found["lastResetDueTo"]));
        }
        row.missing(&["address"]);
    }
}

fn of_isisd(router: &str, facts: &mut Facts) {
    for line in vtysh(router, "show isis neighbor").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [system, interface, level @ ("1" | "2"), state, ..] = words.as_slice() else { continue };
        let mut row = Row { facts, key: format!("{router} IS-IS {router}/isisd {interface} {system} {level}") };
        row.number("level", &Value::from(level.parse::<u64>().unwrap()));
        row.text("state", state);
        row.text("standing", "up");
        row.missing(&["address", "vrf", "reason"]);
    }
    // only of the last one
    let area = &vtysh_json(router, "show isis neighbor detail json")["areas"][0];
    for found in area["circuits"].as_array().unwrap() {
        let (name, system) = (word(&found["interface"]["name"]), word(&found["adj"]));
        let key = format!("{router} IS-IS {router}/isisd {name} {system} {}", found["level"]);
        let mut row = Row { facts, key };
        row.ago("since", short_span(word(&found["interface"]["last-ago"])), 1.0);
        row.number("flaps", &found["interface"]["adj-flaps"]);
    }
}

/// Compares all of them.
pub(super) fn agree() {
    let mut all = Parity::of("adjacency", &KEY);
    all.agrees(|| {
        let mut facts = Facts::default();
        for (router, _) in ROUTERS {
            of_ospfd(router, &mut facts);
            of_ospf6d(router, &mut facts);
        }
        for router in TALKATIVE {
            of_bfdd(router, &mut facts);
            of_bgpd(router, &mut facts);
            of_isisd(router, &mut facts);
        }
        of_bird(&mut facts);
        facts
    });
    // OSPF, then BFD, BGP and IS-IS as their own tables have them
    assert_eq!(all.keys().len(), 2 * 8 + 2 * 2 + 4 + 7 + 4);
    all.left_out(&[]);
}
