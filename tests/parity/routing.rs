//! Routing daemons: `vtysh` and `birdc`.

use std::collections::BTreeSet;
use std::time::SystemTime;

use netglance::collect::routing::OspfRouteRow;
use rustix::thread::UnshareFlags;
use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::support::ring::{BIRD, ROUTERS, Ring, SIX, birdc, run_in, vtysh, vtysh_json, wait_until};
use super::support::space::within;

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Members of an object.
pub(super) fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

pub(super) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no word"))
}

/// What one source says of one row.
pub(super) struct Row<'a> {
    pub(super) facts: &'a mut Facts,
    pub(super) key: String,
}

impl Row<'_> {
    pub(super) fn text(&mut self, column: &str, value: &str) {
        self.facts.text(&self.key, column, value);
    }

    /// A router that is none is said by zeros, or nothing.
    fn router(&mut self, column: &str, value: &Value) {
        match value.as_str().filter(|text| *text != "0.0.0.0") {
            Some(text) => self.text(column, text),
            None => self.facts.missing(&self.key, column),
        }
    }

    pub(super) fn number(&mut self, column: &str, value: &Value) {
        self.facts.number(
            &self.key,
            column,
            value.as_f64().unwrap_or_else(|| panic!("{column}: {value} is no number")),
        );
    }

    pub(super) fn missing(&mut self, columns: &[&str]) {
        for column in columns {
            self.facts.missing(&self.key, column);
        }
    }

    /// An instant some seconds ago, as somebody says who may have rounded and who was asked a moment ago.
    pub(super) fn ago(&mut self, column: &str, seconds: f64, rounded: f64) {
        let at = now() - seconds;
        self.facts.between(&self.key, column, at - rounded - 0.5, at + rounded + 0.5);
    }
}

fn role(words: &str) -> &str {
    match words {
        "-" | "PointToPoint" | "PtP" => "point-to-point",
        "BDR" => "Backup",
        "Other" => "DROther",
        same => same,
    }
}

/// A span such as `00:02:22`.
pub(super) fn span(words: &str) -> f64 {
    words.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

const NEIGHBOR: [&str; 5] = ["netns", "instance", "interface", "router_id", "address"];

/// Neighbors as `show ip ospf neighbor` and the same with `detail` have them.
fn of_ospfd(router: &str, facts: &mut Facts) {
    let short = vtysh_json(router, "show ip ospf vrf all neighbor json");
    for (id, found) in members(&vtysh_json(router, "show ip ospf vrf all neighbor detail json")["default"]["neighbors"])
    {
        let found = &found[0];
        let brief = &short["default"]["neighbors"][id][0];
        let (name, address) = (word(&found["ifaceName"]), word(&found["ifaceAddress"]));
        let mut row = Row { facts, key: format!("{router} {router}/ospfd {name} {id} {address}") };
        for (column, value) in [
            ("netns", router),
            ("instance", &format!("{router}/ospfd")),
            ("source", "frr"),
            ("router_id", id),
            ("vrf", "default"),
        ] {
            row.text(column, value);
        }
        row.text("interface", name);
        row.text("address", address);
        row.number("version", &Value::from(2));
        row.text("local_address", word(&brief["ifaceName"]).rsplit(':').next().unwrap());
        row.text("area", word(&found["areaId"]));
        let (state, part) = word(&found["nbrState"]).split_once('/').unwrap();
        row.text("state", state);
        row.text("role", role(part));
        row.number("priority", &found["nbrPriority"]);
        row.ago("since", brief["upTimeInMsec"].as_f64().unwrap() / 1e3, 0.0);
        row.ago("expires", -found["routerDeadIntervalTimerDueMsec"].as_f64().unwrap() / 1e3, 1.0);
        row.number("retransmissions", &found["linkStateRetransmissionListCounter"]);
        row.number("requests", &found["linkStateRequestListCounter"]);
        row.number("summaries", &found["databaseSummaryListCounter"]);
        match (found["lastRegressiveChangeMsec"].as_f64(), found["lastRegressiveChangeReason"].as_str()) {
            (Some(millis), Some(reason)) => {
                row.ago("regressed", millis / 1e3, 0.0);
                row.text("reason", reason);
            }
            _ => row.missing(&["regressed", "reason"]),
        }
        match found["peerBfdInfo"]["status"].as_str() {
            Some(word) => row.text("bfd", &word.to_lowercase()),
            None => row.missing(&["bfd"]),
        }
        row.missing(&["stale", "last_change"]);
    }
}

/// The number of an area as an address: `ospf6d` writes it as it was configured.
pub(super) fn dotted(id: &str) -> String {
    id.parse().map_or_else(|_| id.to_owned(), |number: u32| std::net::Ipv4Addr::from(number).to_string())
}

/// Neighbors as `show ipv6 ospf6 neighbor` and the same with `detail` have them.
fn of_ospf6d(router: &str, facts: &mut Facts) {
    let short = vtysh_json(router, "show ipv6 ospf6 neighbor json");
    let own = run_in(router, &["ip", "-j", "addr"]);
    let own: Value = serde_json::from_str(&own).unwrap();
    for (_, found) in members(&vtysh_json(router, "show ipv6 ospf6 neighbor detail json")) {
        let (name, address) = (word(&found["interface"]), word(&found["linkLocalAddress"]));
        let is_it = |brief: &&Value| brief["interfaceName"] == name;
        let brief = short["neighbors"].as_array().unwrap().iter().find(is_it).unwrap();
        let id = word(&brief["neighborId"]);
        let mut row = Row { facts, key: format!("{router} {router}/ospf6d {name} {id} {address}") };
        row.number("version", &Value::from(3));
        let link = own.as_array().unwrap().iter().find(|link| link["ifname"] == name).unwrap();
        let addresses = link["addr_info"].as_array().unwrap();
        let local = addresses.iter().find(|address| address["family"] == "inet6" && address["scope"] == "link");
        row.text("local_address", word(&local.unwrap()["local"]));
        row.text("area", &dotted(word(&found["area"])));
        row.text("state", word(&found["neighborState"]));
        row.text("role", role(word(&brief["ifState"])));
        row.number("priority", &brief["priority"]);
        row.ago("since", span(word(&found["neighborStateDuration"])), 1.0);
        row.ago("expires", -span(word(&brief["deadTime"])), 1.5);
        row.number("retransmissions", &found["reTransListCount"]);
        row.number("requests", &found["requestListCount"]);
        row.number("summaries", &found["summaryListCount"]);
    }
}

/// Rows of a table as `birdc` prints it: the words of each line behind its protocol.
pub(super) fn lines(command: &str) -> Vec<(String, Vec<String>)> {
    let (mut protocol, mut rows) = (String::new(), Vec::new());
    for line in birdc(command).lines() {
        match line.strip_suffix(':') {
            Some(name) if !name.contains(' ') => name.clone_into(&mut protocol),
            _ => rows.push((protocol.clone(), line.split_whitespace().map(str::to_owned).collect())),
        }
    }
    rows
}

fn of_bird(facts: &mut Facts) {
    for (protocol, words) in lines("show ospf neighbors") {
        let [id, priority, state, left, name, address] = words.as_slice() else { continue };
        let Some((state, part)) = state.split_once('/') else { continue };
        let mut row = Row { facts, key: format!("{} {protocol} {name} {id} {address}", BIRD.0) };
        row.text("source", "bird");
        row.number("version", &Value::from(if protocol == SIX { 3 } else { 2 }));
        row.text("state", state);
        row.text("role", role(part));
        row.text("area", "0.0.0.0");
        row.number("priority", &Value::from(priority.parse::<u64>().unwrap()));
        row.ago("expires", -left.parse::<f64>().unwrap(), 1.0);
        row.missing(&[
            "local_address",
            "vrf",
            "retransmissions",
            "requests",
            "summaries",
            "regressed",
            "reason",
            "bfd",
        ]);
    }
}

fn neighbors() -> Facts {
    let mut facts = Facts::default();
    for (router, _) in ROUTERS {
        of_ospfd(router, &mut facts);
        of_ospf6d(router, &mut facts);
    }
    of_bird(&mut facts);
    facts
}

fn interfaces_of_ospfd(router: &str, facts: &mut Facts) {
    for (name, found) in members(&vtysh_json(router, "show ip ospf vrf all interface json")["default"]["interfaces"]) {
        let key = format!("{router} {router}/ospfd 2 {name} {}", word(&found["ipAddress"]));
        let mut row = Row { facts, key };
        for (column, value) in [
            ("netns", router),
            ("source", "frr"),
            ("instance", &format!("{router}/ospfd")),
            ("vrf", "default"),
            ("interface", name),
        ] {
            row.text(column, value);
        }
        row.number("version", &Value::from(2));
        row.text("address", word(&found["ipAddress"]));
        row.number("prefix", &found["ipAddressPrefixlen"]);
        row.text("area", word(&found["area"]));
        row.text("state", if found["state"] == "Point-To-Point" { "point-to-point" } else { word(&found["state"]) });
        let network = if found["networkType"] == "POINTOPOINT" { "point-to-point" } else { "broadcast" };
        row.text("network", network);
        row.text("passive", &found["timerPassiveIface"].as_bool().unwrap_or(false).to_string());
        row.number("cost", &found["cost"]);
        row.number("priority", &found["priority"]);
        row.number("hello", &Value::from(found["timerMsecs"].as_f64().unwrap() / 1e3));
        row.number("dead", &found["timerDeadSecs"]);
        row.number("wait", &found["timerWaitSecs"]);
        row.number("retransmit", &found["timerRetransmitSecs"]);
        row.router("dr", &found["drId"]);
        row.router("backup", &found["bdrId"]);
        row.number("neighbors", &found["nbrCount"]);
        row.number("adjacent", &found["nbrAdjacentCount"]);
        row.missing(&["stale"]);
    }
}

fn interfaces_of_ospf6d(router: &str, facts: &mut Facts) {
    for (name, found) in members(&vtysh_json(router, "show ipv6 ospf6 interface json")) {
        if found["attachedToArea"] != true {
            continue;
        }
        let addresses = found["internetAddress"].as_array().unwrap().iter().map(|address| word(&address["address"]));
        let (address, prefix) =
            addresses.filter_map(|text| text.split_once('/')).find(|(text, _)| text.starts_with("fe80")).unwrap();
        let mut row = Row { facts, key: format!("{router} {router}/ospf6d 3 {name} {address}") };
        row.number("prefix", &Value::from(prefix.parse::<u64>().unwrap()));
        row.text("area", word(&found["areaId"]));
        row.text("state", role(word(&found["ospf6InterfaceState"])));
        row.number("cost", &found["cost"]);
        row.number("priority", &found["priority"]);
        row.number("hello", &found["timerIntervalsConfigHello"]);
        row.number("dead", &found["timerIntervalsConfigDead"]);
        row.number("retransmit", &found["timerIntervalsConfigRetransmit"]);
        row.router("dr", &found["dr"]);
        row.router("backup", &found["bdr"]);
        row.missing(&["wait", "passive"]);
    }
}

/// What `show ospf interface` of BIRD says of the only interface of a protocol.
fn interface_of_bird(protocol: &str, version: u32, facts: &mut Facts) {
    let said = birdc(&format!("show ospf interface '{protocol}'"));
    let of = |name: &str| {
        let found = said.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        Value::from(found.unwrap_or_else(|| panic!("{name}: {said}")).split(' ').next().unwrap())
    };
    let count = |name: &str| Value::from(word(&of(name)).parse::<u64>().unwrap());
    // the own address is not told
    let mut row = Row { facts, key: format!("{} {protocol} {version} to2 Missing", BIRD.0) };
    row.missing(&["address"]);
    row.text("source", "bird");
    row.text("area", word(&of("Area")));
    row.text("state", word(&of("State")));
    row.text("network", word(&of("Type")));
    row.text("passive", "false");
    for (column, name) in [
        ("cost", "Cost"),
        ("priority", "Priority"),
        ("hello", "Hello timer"),
        ("dead", "Dead timer"),
        ("wait", "Wait timer"),
        ("retransmit", "Retransmit timer"),
    ] {
        row.number(column, &count(name));
    }
    row.router("dr", &of("Designated router (ID)"));
    row.router("backup", &of("Backup designated router (ID)"));
    row.number("neighbors", &Value::from(1));
    row.number("adjacent", &Value::from(1));
}

fn areas_of_ospfd(router: &str, facts: &mut Facts) {
    let whole = &vtysh_json(router, "show ip ospf vrf all json")["default"];
    for (id, found) in members(&whole["areas"]) {
        let mut row = Row { facts, key: format!("{router} {router}/ospfd 2 {id}") };
        for (column, value) in [
            ("netns", router),
            ("source", "frr"),
            ("instance", &format!("{router}/ospfd")),
            ("vrf", "default"),
            ("area", id),
        ] {
            row.text(column, value);
        }
        row.number("version", &Value::from(2));
        row.text("kind", "normal");
        row.text("router_id", word(&whole["routerId"]));
        row.text("abr", &whole["abrType"].is_string().to_string());
        row.text("asbr", &whole["asbrRouter"].is_string().to_string());
        for (column, key) in [
            ("interfaces", "areaIfTotalCounter"),
            ("adjacent", "nbrFullAdjacentCounter"),
            ("lsas", "lsaNumber"),
            ("router_lsas", "lsaRouterNumber"),
            ("network_lsas", "lsaNetworkNumber"),
            ("summary_lsas", "lsaSummaryNumber"),
            ("asbr_summary_lsas", "lsaAsbrNumber"),
            ("nssa_lsas", "lsaNssaNumber"),
            ("opaque_lsas", "lsaOpaqueAreaNumber"),
            ("spf_runs", "spfExecutedCounter"),
        ] {
            row.number(column, &found[key]);
        }
        row.number("external_lsas", &whole["lsaExternalCounter"]);
        row.ago("last_spf", whole["spfLastExecutedMsecs"].as_f64().unwrap() / 1e3, 0.0);
        row.missing(&["prefix_lsas", "stale"]);
    }
}

fn areas_of_ospf6d(router: &str, facts: &mut Facts) {
    let whole = vtysh_json(router, "show ipv6 ospf6 json");
    for (id, found) in members(&whole["areas"]) {
        let mut row = Row { facts, key: format!("{router} {router}/ospf6d 3 {}", dotted(id)) };
        row.text("kind", "normal");
        row.text("router_id", word(&whole["routerId"]));
        row.number("interfaces", &Value::from(found["interfacesAttachedToArea"].as_array().unwrap().len()));
        row.number("lsas", &found["numberOfAreaScopedLsa"]);
        row.number("external_lsas", &whole["numberOfAsScopedLsa"]);
        let counts = database(router, id);
        let count = |kind: &str| counts.iter().filter(|(known, ..)| known == kind).count();
        for (column, kind) in
            [("router_lsas", "Rtr"), ("network_lsas", "Net"), ("summary_lsas", "IAP"), ("asbr_summary_lsas", "IAR")]
        {
            row.number(column, &Value::from(count(kind)));
        }
        // one without a prefix in it is not listed
        let listed = count("INP") as f64;
        row.facts.between(&row.key, "prefix_lsas", listed, listed + 5.0);
        row.number("nssa_lsas", &Value::from(count("Typ7")));
        row.ago("last_spf", found["spfLastExecutedSecs"].as_f64().unwrap(), 1.0);
        row.missing(&["abr", "asbr", "adjacent", "spf_runs", "opaque_lsas"]);
    }
}

/// What BIRD says of the only area of a protocol, whose LSAs it lists and does not count.
fn area_of_bird(protocol: &str, version: u32, facts: &mut Facts) {
    let said = birdc(&format!("show ospf '{protocol}'"));
    let of = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim().to_owned();
    let count = |name: &str| Value::from(of(name).parse::<u64>().unwrap());
    assert_eq!(of("Number of areas:"), "1");
    let id = of("Area:");
    let mut row = Row { facts, key: format!("{} {protocol} {version} {}", BIRD.0, id.split(' ').next().unwrap()) };
    row.text("source", "bird");
    row.text("kind", "normal");
    let status = birdc("show status");
    let router = status.lines().find_map(|line| line.split_once("Router ID is ")).unwrap().1;
    row.text("router_id", router);
    row.text("abr", "false");
    row.number("interfaces", &count("Number of interfaces:"));
    row.number("adjacent", &count("Number of adjacent neighbors:"));
    let lsas = super::lsa::of_bird(protocol);
    let of = |scope: &str, kind: &str| lsas.iter().filter(|lsa| lsa.is_of(scope, kind)).count();
    row.number("lsas", &Value::from(lsas.iter().filter(|lsa| lsa.scope == "area").count()));
    for (column, kind) in [
        ("router_lsas", "Router"),
        ("network_lsas", "Network"),
        ("summary_lsas", if version == 3 { "Inter-Area-Prefix" } else { "Summary" }),
        ("asbr_summary_lsas", if version == 3 { "Inter-Area-Router" } else { "ASBR-Summary" }),
        ("nssa_lsas", "NSSA-External"),
    ] {
        row.number(column, &Value::from(of("area", kind)));
    }
    row.number("external_lsas", &Value::from(of("AS", "AS-External")));
    let (told, other, kind) = if version == 3 {
        ("prefix_lsas", "opaque_lsas", "Intra-Area-Prefix")
    } else {
        ("opaque_lsas", "prefix_lsas", "Opaque-Area")
    };
    row.number(told, &Value::from(of("area", kind)));
    let own = lsas.iter().any(|lsa| lsa.router() == router && lsa.is_of("AS", "AS-External"));
    row.text("asbr", &own.to_string());
    row.missing(&[other, "spf_runs", "last_spf", "stale"]);
}

/// LSAs of an area by type, number and origin; each has as many lines as it tells networks.
fn database(router: &str, area: &str) -> BTreeSet<(String, String, String)> {
    let said = vtysh(router, "show ipv6 ospf6 database");
    let scope = format!("Area Scoped Link State Database (Area {area})");
    let inside = said.lines().skip_while(|line| line.trim() != scope).skip(1);
    let words =
        inside.take_while(|line| !line.contains("Scoped")).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = words.filter(|words| words.len() > 4 && words[0] != "Type");
    rows.map(|words| (words[0].to_owned(), words[1].to_owned(), words[2].to_owned())).collect()
}

/// Routes by area and kind, as `show ip ospf route json` has each of them.
fn routes_of_ospfd(router: &str, facts: &mut Facts) {
    let whole = vtysh_json(router, "show ip ospf vrf all route json");
    let all: Vec<(&str, &Value)> = members(&whole["default"]).collect();
    let areas: BTreeSet<&str> = all.iter().filter_map(|(_, found)| found["area"].as_str()).collect();
    let count = |area: Option<&str>, key: &str, word: &str| {
        let is_it = |(_, found): &&(&str, &Value)| found["area"].as_str() == area && found[key] == word;
        Value::from(all.iter().filter(is_it).count())
    };
    let border = vtysh(router, "show ip ospf vrf all border-routers");
    for area in areas {
        let mut row = Row { facts, key: format!("{router} {router}/ospfd 2 {area}") };
        for (column, value) in [
            ("netns", router),
            ("source", "frr"),
            ("instance", &format!("{router}/ospfd")),
            ("vrf", "default"),
            ("area", area),
        ] {
            row.text(column, value);
        }
        row.number("version", &Value::from(2));
        row.number("intra_area", &count(Some(area), "routeType", "N"));
        row.number("inter_area", &count(Some(area), "routeType", "N IA"));
        for (column, word) in [("abrs", ", ABR"), ("asbrs", ", ASBR")] {
            let inside = format!("area: {area}");
            let routers = border.lines().filter(|line| line.contains(&inside) && line.contains(word)).count();
            row.number(column, &Value::from(routers));
        }
        row.missing(&["external_1", "external_2", "stale"]);
    }
    let mut row = Row { facts, key: format!("{router} {router}/ospfd 2 Missing") };
    row.number("external_1", &count(None, "routeType", "N E1"));
    row.number("external_2", &count(None, "routeType", "N E2"));
    row.missing(&["area", "intra_area", "inter_area", "abrs", "asbrs"]);
}

/// The columns of a row that counts each kind of route.
const KINDS: [&str; 4] = ["intra_area", "inter_area", "external_1", "external_2"];

fn routes() -> Facts {
    let mut facts = Facts::default();
    for (router, _) in ROUTERS {
        routes_of_ospfd(router, &mut facts);
        let told = vtysh_json(router, "show ipv6 ospf6 vrf default route summary json");
        let mut row = Row { facts: &mut facts, key: format!("{router} {router}/ospf6d 3 Missing") };
        let keys = ["IntraArea", "InterArea", "External1", "External2"];
        for (column, key) in KINDS.into_iter().zip(keys) {
            row.number(column, &told[format!("numberOf{key}Routes")]);
        }
    }
    for (protocol, version) in [("backbone", 2), (SIX, 3)] {
        let said = birdc(&format!("show route protocol '{protocol}'"));
        let kinds: Vec<&str> = said
            .lines()
            .filter_map(|line| line.split_once("] ")?.1.trim_start_matches("* ").split(' ').next())
            .collect();
        let mut row = Row { facts: &mut facts, key: format!("{} {protocol} {version} Missing", BIRD.0) };
        row.text("source", "bird");
        for (column, kind) in KINDS.into_iter().zip(["I", "IA", "E1", "E2"]) {
            row.number(column, &Value::from(kinds.iter().filter(|known| **known == kind).count()));
        }
        row.missing(&["vrf", "area", "abrs", "asbrs"]);
    }
    facts
}

fn daemons(ring: &Ring) -> Facts {
    let mut facts = Facts::default();
    for (router, _) in ROUTERS {
        for daemon in ["ospfd", "ospf6d"] {
            let mut row = Row { facts: &mut facts, key: format!("{router} {router}/{daemon}") };
            for (column, value) in
                [("netns", router), ("name", &format!("{router}/{daemon}")), ("source", "frr"), ("state", "up")]
            {
                row.text(column, value);
            }
            row.text("socket", &format!("/run/frr/{router}/{daemon}.vty"));
            let version = run_in("host", &[&format!("/usr/lib/frr/{daemon}"), "--version"]);
            let version = version.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
            row.text("version", &format!("FRRouting {version}"));
            row.number("pid", &Value::from(ring.pid(&format!("{router}/{daemon}"))));
            let command = if daemon == "ospfd" { "show ip ospf neighbor" } else { "show ipv6 ospf6 neighbor" };
            row.number("neighbors", &Value::from(vtysh(router, command).matches(" Full/").count()));
            row.missing(&["reason"]);
        }
    }
    for (daemon, count) in [("bfdd", 2), ("bgpd", 3), ("isisd", 2)] {
        let mut row = Row { facts: &mut facts, key: format!("one one/{daemon}") };
        row.text("state", "up");
        row.number("neighbors", &Value::from(count));
    }
    let mut row = Row { facts: &mut facts, key: format!("{} bird", BIRD.0) };
    row.text("source", "bird");
    row.text(
        "version",
        birdc("show status").lines().find(|line| line.starts_with("BIRD 2") && !line.contains("ready")).unwrap(),
    );
    row.number("pid", &Value::from(ring.pid("b/bird")));
    row.number("neighbors", &Value::from(2 + 1 + 2));
    facts
}

/// Routers that speak BGP and BFD.
pub(super) const TALKATIVE: [&str; 2] = ["host", "one"];

fn sessions_of_bfdd(router: &str, facts: &mut Facts) {
    let counters = vtysh_json(router, "show bfd peers counters json");
    for found in vtysh_json(router, "show bfd peers json").as_array().unwrap() {
        let is_it = |counts: &&Value| counts["peer"] == found["peer"];
        let counts = counters.as_array().unwrap().iter().find(is_it).unwrap();
        let address = word(&found["peer"]);
        let mut row = Row { facts, key: format!("{router} {router}/bfdd {address}") };
        for (column, value) in
            [("netns", router), ("source", "frr"), ("instance", &format!("{router}/bfdd")), ("address", address)]
        {
            row.text(column, value);
        }
        for (column, key) in [
            ("vrf", "vrf"),
            ("interface", "interface"),
            ("local_address", "local"),
            ("state", "status"),
            ("diagnostic", "diagnostic"),
            ("remote_diagnostic", "remote-diagnostic"),
        ] {
            row.router(column, &found[key]);
        }
        row.text("multihop", &found["multihop"].as_bool().unwrap().to_string());
        row.ago("since", found["uptime"].as_f64().unwrap(), 1.0);
        row.number("transmit", &Value::from(found["transmit-interval"].as_f64().unwrap() / 1e3));
        row.number("receive", &Value::from(found["receive-interval"].as_f64().unwrap() / 1e3));
        row.number("multiplier", &found["detect-multiplier"]);
        for (column, key) in [
            ("received_packets", "control-packet-input"),
            ("sent_packets", "control-packet-output"),
            ("ups", "session-up"),
            ("downs", "session-down"),
        ] {
            row.number(column, &counts[key]);
        }
        row.missing(&["timeout", "stale"]);
    }
}

/// How long ago it was a time of day.
pub(super) fn ago(time: &str) -> f64 {
    let today = run_in("host", &["date", "-d", time, "+%s.%N"]).trim().parse::<f64>().unwrap();
    (now() - today).rem_euclid(86_400.0)
}

fn sessions_of_bird(facts: &mut Facts) {
    for (protocol, words) in lines("show bfd sessions") {
        let [address, interface, state, since, interval, timeout] = words.as_slice() else { continue };
        if address.parse::<std::net::IpAddr>().is_err() {
            continue;
        }
        let mut row = Row { facts, key: format!("{} {protocol} {address}", BIRD.0) };
        row.text("interface", interface);
        row.text("state", &state.to_lowercase());
        row.number("transmit", &Value::from(interval.parse::<f64>().unwrap()));
        row.number("timeout", &Value::from(timeout.parse::<f64>().unwrap()));
        row.ago("since", ago(since), 0.0);
        row.missing(&["vrf", "local_address", "multiplier", "ups", "downs"]);
    }
}

fn peers_of_bgpd(router: &str, facts: &mut Facts) {
    let brief = vtysh_json(router, "show bgp vrf all summary json");
    let whole = vtysh_json(router, "show bgp vrf all neighbors json");
    for (peer, found) in members(&whole["default"]).filter(|(_, found)| found.is_object()) {
        let short = &brief["default"]["ipv4Unicast"]["peers"][peer];
        let mut row = Row { facts, key: format!("{router} {router}/bgpd {peer}") };
        for (column, value) in [
            ("netns", router),
            ("source", "frr"),
            ("instance", &format!("{router}/bgpd")),
            ("vrf", "default"),
            ("peer", peer),
            ("families", "ipv4Unicast"),
        ] {
            row.text(column, value);
        }
        match short["hostname"].as_str() {
            Some(name) => row.text("name", name),
            None => row.missing(&["name"]),
        }
        match found["nbrDesc"].as_str() {
            Some(words) => row.text("description", words),
            None => row.missing(&["description"]),
        }
        row.text("state", word(&short["state"]));
        row.router("router_id", &found["remoteRouterId"]);
        let is_up = short["state"] == "Established";
        if is_up {
            row.text("local_address", word(&found["hostLocal"]));
            row.ago("since", short["peerUptimeMsec"].as_f64().unwrap() / 1e3, 1.0);
            row.number("sent", &short["pfxSnt"]);
        } else {
            row.missing(&["local_address", "sent"]);
            row.ago("since", found["lastResetTimerMsecs"].as_f64().unwrap() / 1e3, 1.0);
        }
        for (column, key) in [
            ("remote_as", "remoteAs"),
            ("local_as", "localAs"),
            ("accepted", "pfxRcd"),
            ("received_messages", "msgRcvd"),
            ("sent_messages", "msgSent"),
            ("established", "connectionsEstablished"),
            ("dropped", "connectionsDropped"),
        ] {
            row.number(column, &short[key]);
        }
        row.number("hold", &Value::from(found["bgpTimerHoldTimeMsecs"].as_f64().unwrap() / 1e3));
        // one that was never lost is said to have been waited for
        if word(&found["bgpState"]) == "Established" && short["connectionsDropped"] == 0 {
            row.missing(&["reason"]);
        } else {
            row.text("reason", word(&found["lastResetDueTo"]));
        }
        row.missing(&["bfd", "stale"]);
    }
}

/// What `birdc` says of one protocol of BGP.
fn peer_of_bird(protocol: &str, facts: &mut Facts) {
    let said = birdc(&format!("show protocols all {protocol}"));
    let of = |name: &str| {
        said.lines()
            .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    let number = |text: Option<String>| Value::from(text.unwrap().parse::<u64>().unwrap());
    let peer = of("Neighbor address").unwrap();
    let mut row = Row { facts, key: format!("{} {protocol} {peer}", BIRD.0) };
    row.text("source", "bird");
    row.text("families", "ipv4");
    let state = of("BGP state").unwrap();
    row.text("state", &state);
    row.number("remote_as", &number(of("Neighbor AS")));
    row.number("local_as", &number(of("Local AS")));
    if state == "Established" {
        row.text("router_id", &of("Neighbor ID").unwrap());
        row.text("local_address", &of("Source address").unwrap());
        row.text("name", &of("Hostname").unwrap());
        let routes = of("Routes").unwrap();
        let count = |word: &str| {
            routes.split(", ").find_map(|part| part.strip_suffix(word)?.trim().parse::<u64>().ok()).unwrap()
        };
        row.number("accepted", &Value::from(count("imported")));
        row.number("sent", &Value::from(count("exported")));
        row.number("hold", &number(of("Hold timer").map(|timer| timer.rsplit('/').next().unwrap().to_owned())));
    } else {
        row.missing(&["router_id", "local_address", "name", "accepted", "sent", "hold"]);
    }
    match of("Description") {
        Some(words) => row.text("description", &words),
        None => row.missing(&["description"]),
    }
    match of("Last error") {
        Some(error) => row.text("reason", &error),
        None => row.missing(&["reason"]),
    }
    let columns = said.lines().find_map(|line| line.strip_prefix(protocol)).unwrap();
    row.ago("since", ago(columns.split_whitespace().nth(3).unwrap()), 0.0);
    row.missing(&["vrf", "received_messages", "sent_messages", "established", "dropped", "bfd"]);
}

/// Name, peer and state of each protocol of BGP that `birdc` knows.
pub(super) fn birds() -> Vec<(String, String, String)> {
    let one = |protocol: &str| {
        let said = birdc(&format!("show protocols all {protocol}"));
        let of = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim().to_owned();
        (protocol.to_owned(), of("Neighbor address:"), of("BGP state:"))
    };
    ["uplink", "nobody"].map(one).to_vec()
}

/// A span such as `1m2s`; a dash is none.
pub(super) fn short_span(words: &str) -> f64 {
    let mut total = 0.0;
    for part in words.split_inclusive(|letter: char| letter.is_ascii_alphabetic()).filter(|part| *part != "-") {
        let (number, unit) = part.split_at(part.len() - 1);
        total += number.parse::<f64>().unwrap() * if unit == "m" { 60.0 } else { 1.0 };
    }
    total
}

fn adjacencies(router: &str, facts: &mut Facts) {
    // both levels, but little of each
    for line in vtysh(router, "show isis neighbor").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [system, interface, level @ ("1" | "2"), state, left, snpa] = words.as_slice() else { continue };
        let mut row = Row { facts, key: format!("{router} core {interface} {system} {level}") };
        for (column, value) in
            [("area", "core"), ("system", system), ("interface", interface), ("state", state), ("snpa", snpa)]
        {
            row.text(column, value);
        }
        row.number("level", &Value::from(level.parse::<u64>().unwrap()));
        row.ago("expires", -left.parse::<f64>().unwrap(), 1.5);
    }
    // all of the last one
    let area = &vtysh_json(router, "show isis neighbor detail json")["areas"][0];
    for found in area["circuits"].as_array().unwrap() {
        let inside = &found["interface"];
        let key = format!("{router} core {} {} {}", word(&inside["name"]), word(&found["adj"]), found["level"]);
        let mut row = Row { facts, key };
        for (column, value) in [("netns", router), ("source", "frr"), ("instance", &format!("{router}/isisd"))] {
            row.text(column, value);
        }
        row.text("circuit", word(&inside["circuit-type"]));
        row.ago("since", short_span(word(&inside["last-ago"])), 1.0);
        row.text("address", word(&inside["ipv4-address"]["ipv4"]));
        row.router("address6", &inside["ipv6-link-local"]["ipv6"]);
        row.number("priority", &inside["lan-prio"]);
        row.number("flaps", &inside["adj-flaps"]);
        row.missing(&["bfd", "stale"]);
    }
}

/// Compares what is told of BFD, BGP and IS-IS.
fn sessions_agree() {
    let mut bfd = Parity::of("bfd_peer", &["netns", "instance", "address"]);
    bfd.agrees(|| {
        let mut facts = Facts::default();
        for router in TALKATIVE {
            sessions_of_bfdd(router, &mut facts);
        }
        sessions_of_bird(&mut facts);
        facts
    });
    assert_eq!(bfd.keys().len(), 4);
    bfd.left_out(&[]);
    let mut bgp = Parity::of("bgp_peer", &["netns", "instance", "peer"]);
    bgp.agrees(|| {
        let mut facts = Facts::default();
        for router in TALKATIVE {
            peers_of_bgpd(router, &mut facts);
        }
        for protocol in ["uplink", "nobody"] {
            peer_of_bird(protocol, &mut facts);
        }
        facts
    });
    assert_eq!(bgp.keys().len(), 2 + 3 + 2);
    bgp.left_out(&[]);
    let mut isis = Parity::of("isis_adjacency", &["netns", "area", "interface", "system", "level"]);
    isis.agrees(|| {
        let mut facts = Facts::default();
        for router in TALKATIVE {
            adjacencies(router, &mut facts);
        }
        facts
    });
    assert_eq!(isis.keys().len(), 4);
    isis.left_out(&[]);
}

#[test]
fn root_routing_daemons_agree_with_vtysh_and_birdc() {
    within(UnshareFlags::NEWNET, || {
        let ring = Ring::start(ROUTERS.len());
        let mut neighbor = Parity::of("ospf_neighbor", &NEIGHBOR);
        neighbor.agrees(neighbors);
        assert_eq!(neighbor.keys().len(), 2 * 8 + 2 * 2);
        // counts of changes are this program's own
        neighbor.left_out(&["changes", "flaps", "expected"]);
        let mut interface = Parity::of("ospf_interface", &["netns", "instance", "version", "interface", "address"]);
        interface.agrees(|| {
            let mut facts = Facts::default();
            for (router, _) in ROUTERS {
                interfaces_of_ospfd(router, &mut facts);
                interfaces_of_ospf6d(router, &mut facts);
            }
            interface_of_bird("backbone", 2, &mut facts);
            interface_of_bird(SIX, 3, &mut facts);
            facts
        });
        interface.left_out(&[]);
        let mut area = Parity::of("ospf_area", &["netns", "instance", "version", "area"]).wanting(&[], &[]);
        area.agrees(|| {
            let mut facts = Facts::default();
            for (router, _) in ROUTERS {
                areas_of_ospfd(router, &mut facts);
                areas_of_ospf6d(router, &mut facts);
            }
            area_of_bird("backbone", 2, &mut facts);
            area_of_bird(SIX, 3, &mut facts);
            facts
        });
        area.left_out(&[]);
        let mut route = Parity::of("ospf_route", &["netns", "instance", "version", "area"]).wanting(&[], &[]);
        route.agrees(routes);
        route.left_out(&[]);
        for column in KINDS.into_iter().chain(["abrs", "asbrs"]) {
            let at = OspfRouteRow::TABLE.position(column).unwrap();
            wait_until(&format!("{column} somewhere"), || {
                let rows = route.rows();
                (0..rows.len()).any(|row| rows.cell(row, at).number().is_some_and(|count| count > 0.0))
            });
        }
        sessions_agree();
        super::adjacency::agree();
        super::database::agree();
        super::lsa::agree();
        let mut daemon = Parity::of("routing_daemon", &["netns", "name"]);
        daemon.agrees(|| daemons(&ring));
        daemon.left_out(&["since"]);
        drop(ring);
    });
}
