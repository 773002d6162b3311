//! Is a daemon that is asked at its terminal seen as by its own socket?
//!
//! Daemons of FRR stand for those of Quagga: their vty is the same, and so is the text that they tell there.

#![cfg(test)]

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use std::path::Path;
use std::process::Stdio;

use netglance::collect::routing::{
    OspfAreaRow, OspfInterfaceRow, OspfLinkRow, OspfLsaRow, OspfNeighborRow, OspfRouteRow,
};
use netglance::model::Table;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::UnshareFlags;

use served::Agent;
use support::ring::{Ring, run_in, vtysh, vtysh_json, wait_until};
use support::snmp::secret;
use support::space::{mount, within};
use support::watch::{LSA, Watch};

/// What both versions tell in text, by table.
const TOLD: [(&Table, &[&str]); 5] = [
    (
        OspfNeighborRow::TABLE,
        &[
            "netns",
            "version",
            "interface",
            "router_id",
            "address",
            "local_address",
            "area",
            "state",
            "role",
            "priority",
            "retransmissions",
            "requests",
            "summaries",
        ],
    ),
    (
        OspfInterfaceRow::TABLE,
        &[
            "netns",
            "version",
            "interface",
            "address",
            "prefix",
            "area",
            "state",
            "network",
            "cost",
            "priority",
            "hello",
            "dead",
            "retransmit",
            "dr",
            "backup",
            "neighbors",
            "adjacent",
        ],
    ),
    (OspfAreaRow::TABLE, &["version", "area", "router_id", "interfaces", "lsas", "external_lsas"]),
    (OspfRouteRow::TABLE, &["version", "area", "intra_area", "inter_area", "external_1", "external_2"]),
    (OspfLsaRow::TABLE, LSA),
];

/// What of version 2 is told besides.
const TWO: [(&Table, &[&str]); 4] = [
    (OspfNeighborRow::TABLE, &["changes", "reason"]),
    (OspfInterfaceRow::TABLE, &["passive", "wait"]),
    (
        OspfAreaRow::TABLE,
        &["kind", "abr", "asbr", "adjacent", "router_lsas", "network_lsas", "summary_lsas", "nssa_lsas", "spf_runs"],
    ),
    (OspfLinkRow::TABLE, &["version", "area", "from", "kind", "to", "number", "metric"]),
];

const PASSWORD: &str = "of-the-test";

/// The sections that name both daemons, and what else is said of each.
fn sections(file: &str, more: &str) -> String {
    let of = |name: &str, port: u32| {
        format!("[[vty]]\nname = '{name}'\naddress = '127.0.0.1:{port}'\npassword_file = '{file}'\n{more}\n")
    };
    of("two", 2604) + &of("three", 2606)
}

fn signal(ring: &Ring, daemon: &str, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(ring.pid(daemon)).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn root_a_daemon_at_its_terminal_is_told_as_by_its_own_socket() {
    within(UnshareFlags::NEWNET, || {
        let dir = tempfile::tempdir().unwrap();
        let file = secret(dir.path(), "p", &format!("{PASSWORD}\n"));
        let mut ring = Ring::open(2, PASSWORD);
        let mut watch = Watch::new(&sections(&file, "database = true\ntimeout = '2s'"));
        for (own, name) in [("host/ospfd", "two"), ("host/ospf6d", "three")] {
            for (table, columns) in TOLD {
                watch.until_same(table, ("frr", own), ("frr", name), columns);
            }
        }
        for (table, columns) in TWO {
            watch.until_same(table, ("frr", "host/ospfd"), ("frr", "two"), columns);
        }
        let version = vtysh("host", "show version").split(" (").next().unwrap().to_owned();
        assert!(watch.daemon("two", "version").contains(&version), "{version}: {}", watch.daemon("two", "version"));
        let said = vtysh_json("host", "show ip ospf vrf all neighbor detail json");
        let neighbor = &said["default"]["neighbors"]["10.9.9.2"][0];
        let (state, _) = neighbor["nbrState"].as_str().unwrap().split_once('/').unwrap();
        let wanted = [format!("Label({state:?})"), format!("U64({})", neighbor["nbrPriority"])];
        assert_eq!(watch.rows(OspfNeighborRow::TABLE, "frr", "two", &["state", "priority"]), [wanted]);
        comes_and_goes(&mut ring, &mut watch);
    });
}

/// Stops, kills and starts a daemon, which all is told with its reason, and costs the other one nothing.
fn comes_and_goes(ring: &mut Ring, watch: &mut Watch) {
    let mut until = |what: &str, state: &str, reason: &str| {
        wait_until(what, || {
            watch.look();
            watch.daemon("two", "state").contains(state) && watch.daemon("two", "reason").contains(reason)
        });
        assert!(watch.daemon("three", "state").contains("up"), "{}", watch.daemon("three", "reason"));
        watch.rows(OspfNeighborRow::TABLE, "frr", "two", &["state", "stale"])
    };
    signal(ring, "host/ospfd", Signal::STOP);
    let stale = until("a daemon that was stopped", "silent", "hear 127.0.0.1:2604: it says nothing");
    assert!(stale.len() == 1 && stale[0][0].contains("Full") && stale[0][1] != "Missing", "{stale:?}");
    signal(ring, "host/ospfd", Signal::CONT);
    until("a daemon that goes on", "up", "");
    ring.kill("host/ospfd");
    until("a daemon that has gone", "down", "connect to 127.0.0.1:2604: Connection refused");
    ring.daemon("host", "ospfd");
    until("a daemon that is there again", "up", "");
}

const COURIER: &str = "netglance-couri";

/// What an agent tells of both daemons: name, state and reason, in order.
fn daemons(agent: &Agent) -> Vec<[String; 3]> {
    let mut command = served::command(&agent.dir);
    let of = "socket =~ \"^127\"";
    command.args(["show", "routing_daemon", "--format", "json", "--sort", "name", "--where", of, "--host"]);
    let output = command.arg(format!("unix:{}", agent.socket().display())).stdin(Stdio::null()).output().unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| ["name", "state", "reason"].map(|name| text(row, name))).collect()
}

#[test]
fn root_an_agent_asks_at_terminals_by_a_courier_that_reaches_nothing_else() {
    within(UnshareFlags::NEWNET, || {
        let dir = tempfile::tempdir().unwrap();
        let file = secret(dir.path(), "p", &format!("{PASSWORD}\n"));
        let _ring = Ring::open(2, PASSWORD);
        let both = sections(&file, "").replace("[[vty]]", "[[routing.vty]]");
        let (two, _) = both.split_once("[[routing.vty]]\nname = 'three'").unwrap();
        let agent = Agent::start("127.0.0.1:0", &format!("\n{two}"));
        let up = |name: &str| [name.to_owned(), "up".to_owned(), String::new()];
        wait_until("what a daemon tells", || daemons(&agent) == [up("two")]);
        let courier = agent.part(COURIER);
        let sockets = run_in("host", &["ss", "-Htnp", "dport", "2604"]);
        assert!(sockets.contains(COURIER) && !sockets.contains("netglance-sampl"), "{sockets}");
        // what it may connect to is settled when it starts
        let config = agent.dir.path().join("netglance.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let reload = |text: &str| {
            std::fs::write(&config, text).unwrap();
            kill_process(Pid::from_raw(i32::try_from(agent.pid()).unwrap()).unwrap(), Signal::HUP).unwrap();
        };
        reload(&text.replace(two, &both));
        wait_until("both daemons", || daemons(&agent) == [up("three"), up("two")]);
        assert_ne!(agent.part(COURIER), courier);
        // the file of a password is read again, and a courier that goes nowhere else stays
        let courier = agent.part(COURIER);
        std::fs::write(&file, "another-one\n").unwrap();
        reload(&text.replace(two, &both));
        wait_until("a password that is wrong", || {
            let told = daemons(&agent);
            told.len() == 2
                && told
                    .iter()
                    .all(|[_, state, reason]| state == "denied" && reason.ends_with("it takes another password"))
        });
        assert_eq!(agent.part(COURIER), courier);
        agent.end();
    });
}

#[test]
fn root_a_user_that_was_made_after_the_courier_is_believed() {
    within(UnshareFlags::NEWNET, || {
        let dir = tempfile::tempdir().unwrap();
        let file = secret(dir.path(), "p", &format!("{PASSWORD}\n"));
        let _ring = Ring::open(2, PASSWORD);
        let both = sections(&file, "").replace("[[vty]]", "[[routing.vty]]");
        let (two, _) = both.split_once("[[routing.vty]]\nname = 'three'").unwrap();
        let users = std::fs::read_to_string("/etc/passwd").unwrap();
        let (before, passwd) = (users.lines().filter(|line| !line.starts_with("frr:")), dir.path().join("passwd"));
        std::fs::write(&passwd, before.fold(String::new(), |text, line| text + line + "\n")).unwrap();
        mount(passwd.to_str().unwrap(), Path::new("/etc/passwd"), "none", libc::MS_BIND, "");
        let agent = Agent::start("127.0.0.1:0", &format!("\n{two}"));
        let told = || daemons(&agent);
        wait_until("somebody who is not known", || told().iter().any(|[_, state, _]| state == "untrusted"));
        let courier = agent.part(COURIER);
        std::fs::write(&passwd, &users).unwrap();
        wait_until("somebody who is known", || told().iter().any(|[_, state, _]| state == "up"));
        assert_eq!(agent.part(COURIER), courier);
        agent.end();
    });
}
