//! Open vSwitch: `ovs-vsctl` and `ovs-ofctl`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::SystemTime;

use netglance::collect::ovs_flow::OvsFlowRow;
use netglance::model::{Cell, Rows};
use rustix::thread::UnshareFlags;
use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::support::ring::{run_in, wait_until};
use super::support::space::within;
use super::support::vswitch::{Vswitch, ofctl, vsctl};

/// Rows of a table of the database, by column.
fn listed(table: &str) -> Vec<BTreeMap<String, Value>> {
    let said: Value = serde_json::from_str(&vsctl(&format!("--format=json list {table}"))).unwrap();
    let headings: Vec<&str> = said["headings"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let row = |row: &Value| {
        let cells = row.as_array().unwrap().iter().cloned();
        headings.iter().map(|name| (*name).to_owned()).zip(cells).collect()
    };
    said["data"].as_array().unwrap().iter().map(row).collect()
}

/// Atoms of a set.
fn atoms(value: &Value) -> Vec<Value> {
    if value[0] == "set" { value[1].as_array().unwrap().clone() } else { vec![value.clone()] }
}

/// Tells a column as words, numbers or nothing.
fn tell(facts: &mut Facts, key: &str, column: &str, value: &Value) {
    let atoms = atoms(value);
    match atoms.as_slice() {
        [] => facts.missing(key, column),
        [Value::Number(number)] => facts.number(key, column, number.as_f64().unwrap()),
        atoms => {
            let words = atoms.iter().map(|atom| atom.as_str().map_or_else(|| atom.to_string(), str::to_owned));
            facts.text(key, column, &words.collect::<Vec<_>>().join(","));
        }
    }
}

/// The usual type is not named.
fn kind(value: &Value) -> &str {
    value.as_str().filter(|kind| !kind.is_empty()).unwrap_or("system")
}

/// Flows, lookups and matches of all tables of a bridge.
fn tables(bridge: &str) -> [f64; 3] {
    let (mut sum, mut last, mut count) = ([0.0; 3], [0.0; 3], 1.0);
    for line in ofctl(&["-O", "OpenFlow13", "dump-tables", bridge]).lines() {
        let line = line.trim();
        if let Some(numbers) = line.strip_prefix("active=") {
            let mut numbers = numbers.split(", ").map(|part| part.rsplit('=').next().unwrap().parse::<f64>().unwrap());
            last = std::array::from_fn(|_| numbers.next().unwrap());
            count = 1.0;
        } else if let Some(range) = line.strip_prefix("tables ").and_then(|line| line.strip_suffix(": ditto")) {
            let (first, end) = range.split_once("...").unwrap();
            count = end.parse::<f64>().unwrap() - first.parse::<f64>().unwrap() + 1.0;
        } else if !line.ends_with(": ditto") {
            continue;
        }
        for (sum, last) in sum.iter_mut().zip(last) {
            *sum += last * count;
        }
    }
    sum
}

fn bridges() -> Facts {
    let mut facts = Facts::default();
    let controllers = listed("controller");
    for row in listed("bridge") {
        let name = row["name"].as_str().unwrap();
        for (column, value) in
            [("netns", "host"), ("socket", "/run/openvswitch/db.sock"), ("bridge", name), ("state", "up")]
        {
            facts.text(name, column, value);
        }
        facts.text(name, "datapath", kind(&row["datapath_type"]));
        for (column, theirs) in [("fail_mode", "fail_mode"), ("protocols", "protocols"), ("datapath_id", "datapath_id")]
        {
            tell(&mut facts, name, column, &row[theirs]);
        }
        for (column, theirs) in [("stp", "stp_enable"), ("rstp", "rstp_enable")] {
            facts.text(name, column, &row[theirs].to_string());
        }
        let own = atoms(&row["controller"]);
        let connected = controllers.iter().filter(|row| own.contains(&row["_uuid"]) && row["is_connected"] == true);
        facts.number(name, "controllers", own.len() as f64);
        facts.number(name, "connected", connected.count() as f64);
        facts.number(name, "ports", vsctl(&format!("list-ifaces {name}")).lines().count() as f64 + 1.0);
        for (column, count) in ["flows", "lookups", "matched"].into_iter().zip(tables(name)) {
            facts.number(name, column, count);
        }
        facts.text(name, "version", vsctl("get Open_vSwitch . ovs_version").trim().trim_matches('"'));
        facts.missing(name, "reason");
    }
    facts
}

/// Counts of each port of a bridge by its number, as `dump-ports` prints them: packets, bytes, drops and errors.
fn counts(bridge: &str) -> BTreeMap<u64, [[f64; 4]; 2]> {
    let mut counts: BTreeMap<u64, [[f64; 4]; 2]> = BTreeMap::new();
    let mut number = 0;
    for line in ofctl(&["-O", "OpenFlow13", "--no-names", "dump-ports", bridge]).lines() {
        let line = line.trim();
        let (way, numbers) = if let Some(port) = line.strip_prefix("port ") {
            let (port, numbers) = port.split_once(':').unwrap();
            number = if port.trim() == "LOCAL" { 65534 } else { port.trim().parse().unwrap() };
            (0, numbers.trim().strip_prefix("rx ").unwrap())
        } else if let Some(numbers) = line.strip_prefix("tx ") {
            (1, numbers)
        } else {
            continue;
        };
        let mut numbers = numbers.split(", ").map(|part| part.rsplit('=').next().unwrap());
        // what is not counted is written as a question mark
        let counted = std::array::from_fn(|_| numbers.next().unwrap().parse().unwrap_or(f64::NAN));
        counts.entry(number).or_default()[way] = counted;
    }
    counts
}

fn ports() -> Facts {
    let mut facts = Facts::default();
    let (ports, interfaces) = (listed("port"), listed("interface"));
    for bridge in listed("bridge") {
        let name = bridge["name"].as_str().unwrap();
        let counts = counts(name);
        let own = atoms(&bridge["ports"]);
        for port in ports.iter().filter(|port| own.contains(&port["_uuid"])) {
            let own = atoms(&port["interfaces"]);
            for interface in interfaces.iter().filter(|interface| own.contains(&interface["_uuid"])) {
                port_facts(&mut facts, name, port, interface, &counts);
            }
        }
    }
    facts
}

fn port_facts(
    facts: &mut Facts,
    bridge: &str,
    port: &BTreeMap<String, Value>,
    interface: &BTreeMap<String, Value>,
    counts: &BTreeMap<u64, [[f64; 4]; 2]>,
) {
    let key = interface["name"].as_str().unwrap();
    for (column, value) in [("netns", "host"), ("socket", "/run/openvswitch/db.sock"), ("bridge", bridge)] {
        facts.text(key, column, value);
    }
    facts.text(key, "kind", kind(&interface["type"]));
    for (column, theirs) in [
        ("port", "name"),
        ("tag", "tag"),
        ("trunks", "trunks"),
        ("vlan_mode", "vlan_mode"),
        ("bond_mode", "bond_mode"),
        ("lacp", "lacp"),
        ("active", "bond_active_slave"),
    ] {
        tell(facts, key, column, &port[theirs]);
    }
    for (column, theirs) in [
        ("interface", "name"),
        ("admin", "admin_state"),
        ("link", "link_state"),
        ("mac", "mac_in_use"),
        ("mtu", "mtu"),
        ("error", "error"),
    ] {
        tell(facts, key, column, &interface[theirs]);
    }
    match interface["ifindex"].as_u64().filter(|index| *index > 0) {
        Some(index) => facts.number(key, "index", index as f64),
        None => facts.missing(key, "index"),
    }
    let options = interface["options"][1].as_array().unwrap();
    for (column, names) in [("remote", ["remote_ip", "peer"]), ("key", ["key", "out_key"])] {
        match options.iter().find(|pair| names.iter().any(|name| pair[0] == *name)) {
            Some(pair) => facts.text(key, column, pair[1].as_str().unwrap()),
            None => facts.missing(key, column),
        }
    }
    let number = interface["ofport"].as_u64();
    match number {
        Some(number) => facts.number(key, "number", number as f64),
        None => facts.missing(key, "number"),
    }
    let counted = number.and_then(|number| counts.get(&number));
    for (way, side) in ["rx", "tx"].into_iter().enumerate() {
        for (at, what) in ["packets", "bytes", "dropped", "errors"].into_iter().enumerate() {
            match counted.map(|counts| counts[way][at]).filter(|count| !count.is_nan()) {
                Some(count) => facts.number(key, &format!("{side}_{what}"), count),
                None => facts.missing(key, &format!("{side}_{what}")),
            }
        }
    }
}

#[test]
fn root_bridges_and_ports_of_open_vswitch_agree_with_its_tools() {
    within(UnshareFlags::NEWNET, || {
        let _switch = Vswitch::start();
        let mut bridge = Parity::of("ovs_bridge", &["bridge"]);
        bridge.agrees(bridges);
        assert_eq!(bridge.keys().len(), 2);
        bridge.left_out(&["since"]);
        let mut port = Parity::of("ovs_port", &["interface"]);
        port.agrees(ports);
        assert_eq!(port.keys().len(), 11);
        port.left_out(&[]);
    });
}

/// Every field and action that `ovs-ofctl` can write.
const FLOWS: &str = include_str!("../fixtures/ovs/flows.txt");

fn is_flow(line: &&str) -> bool {
    !line.starts_with('#')
}

/// A row of flows as `ovs-ofctl --no-stats dump-flows` prints it.
fn line(rows: &dyn Rows, row: usize) -> String {
    let cell = |column: &str| rows.cell(row, OvsFlowRow::TABLE.position(column).unwrap());
    let text = |column: &str| match cell(column) {
        Cell::Text(text) => text.to_owned(),
        _ => String::new(),
    };
    let number = |column: &str| cell(column).number().unwrap_or_default();
    let mut words = String::new();
    if text("cookie") != "0x0" {
        write!(words, "cookie={}, ", text("cookie")).unwrap();
    }
    for (column, name) in [("table", "table"), ("idle_timeout", "idle_timeout"), ("hard_timeout", "hard_timeout")] {
        if number(column) > 0.0 {
            write!(words, "{name}={}, ", number(column)).unwrap();
        }
    }
    for flag in text("flags").split_whitespace() {
        write!(words, "{flag} ").unwrap();
    }
    if number("importance") > 0.0 {
        write!(words, "importance={}, ", number("importance")).unwrap();
    }
    let priority = number("priority");
    let fields = text("fields");
    let fields = match (priority.to_bits() == 32768_f64.to_bits(), fields.is_empty()) {
        (true, _) => fields,
        (false, true) => format!("priority={priority}"),
        (false, false) => format!("priority={priority},{fields}"),
    };
    format!("{words}{fields}{}actions={}", if fields.is_empty() { "" } else { " " }, text("actions"))
}

/// All flows of a bridge as this program and as `ovs-ofctl` write them.
fn written(bridge: &str, version: &str) -> [Vec<String>; 2] {
    let parity = Parity::of("ovs_flow", &["table"]).only(&format!("bridge == \"{bridge}\""));
    let rows = parity.rows();
    let mut ours: Vec<String> = (0..rows.len()).map(|row| line(&*rows, row)).collect();
    let theirs = ofctl(&["-O", version, "--names", "--no-stats", "dump-flows", bridge]);
    let mut theirs: Vec<String> = theirs.lines().map(|line| line.trim().to_owned()).collect();
    ours.sort();
    theirs.sort();
    [ours, theirs]
}

/// Adds flows to a bridge that has ports 11 and 12, a meter and an option of tunnels.
fn add_flows(bridge: &str, version: &str, flows: &str) {
    ofctl(&["-O", version, "add-meter", bridge, "meter=5,pktps,bands=type=drop,rate=1000"]);
    ofctl(&["-O", version, "add-tlv-map", bridge, "{class=0xffff,type=0,len=4}->tun_metadata0"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), flows).unwrap();
    ofctl(&["-O", version, "add-flows", bridge, file.path().to_str().unwrap()]);
}

#[test]
fn root_flows_of_open_vswitch_are_written_as_by_its_tool() {
    within(UnshareFlags::NEWNET, || {
        let _switch = Vswitch::start();
        // when a controller comes or goes all flows do
        vsctl("del-controller br0");
        vsctl("set bridge br1 protocols=OpenFlow15");
        for (bridge, version, least) in [("br0", "OpenFlow13", 130), ("br1", "OpenFlow15", 125)] {
            let flows: Vec<&str> = FLOWS.lines().filter(is_flow).filter(|line| fits(version, line)).collect();
            add_flows(bridge, version, &flows.join("\n"));
            let [ours, theirs] = written(bridge, version);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours, theirs, "{bridge}");
            }
            assert_eq!(ours.len(), theirs.len());
            assert!(ours.len() >= least, "{}", ours.len());
        }
    });
}

/// Whether a bridge that speaks this version takes a flow.
fn fits(version: &str, line: &str) -> bool {
    version == "OpenFlow13" || !["actset_output"].iter().any(|word| line.contains(word))
}

/// What `dump-flows` says of each flow of a bridge.
fn counted_flows() -> Facts {
    let mut facts = Facts::default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    for line in ofctl(&["-O", "OpenFlow13", "--names", "dump-flows", "br0"]).lines() {
        let (head, actions) = line.trim().split_once("actions=").unwrap();
        let mut said: BTreeMap<&str, &str> = BTreeMap::new();
        let mut fields = "";
        for part in head.split(", ") {
            match part.split_once('=') {
                Some((name, value)) if !part.contains(',') && !["priority"].contains(&name) => {
                    said.insert(name, value);
                }
                _ => fields = part.trim(),
            }
        }
        let (priority, fields) = match fields.strip_prefix("priority=") {
            Some(fields) => fields.split_once(',').unwrap_or((fields, "")),
            None => ("32768", fields),
        };
        let key = format!("{} {priority} {fields}", said["table"]);
        facts.text(&key, "netns", "host");
        facts.text(&key, "socket", "/run/openvswitch/db.sock");
        facts.text(&key, "bridge", "br0");
        facts.text(&key, "fields", fields);
        facts.text(&key, "actions", actions);
        facts.text(&key, "cookie", said["cookie"]);
        for (column, value) in [
            ("table", said["table"]),
            ("priority", priority),
            ("packets", said["n_packets"]),
            ("bytes", said["n_bytes"]),
        ] {
            facts.number(&key, column, value.parse().unwrap());
        }
        for column in ["idle_timeout", "hard_timeout"] {
            match said.get(column) {
                Some(value) => facts.number(&key, column, value.parse().unwrap()),
                None => facts.missing(&key, column),
            }
        }
        let since = now - said["duration"].trim_end_matches('s').parse::<f64>().unwrap();
        facts.between(&key, "since", since - 0.5, since + 0.5);
    }
    facts
}

#[test]
fn root_counts_of_flows_agree_with_what_its_tool_prints() {
    within(UnshareFlags::NEWNET, || {
        let _switch = Vswitch::start();
        vsctl("del-controller br0");
        ofctl(&[
            "-O",
            "OpenFlow13",
            "add-flow",
            "br0",
            "priority=7,in_port=11,udp,tp_dst=9,idle_timeout=600 actions=output:12",
        ]);
        ofctl(&["-O", "OpenFlow13", "add-flow", "br0", "priority=9,cookie=0x77,arp,hard_timeout=900 actions=NORMAL"]);
        wait_until("packets that are counted", || {
            run_in("one", &["bash", "-c", "for word in one three eleven; do echo $word >/dev/udp/10.0.0.2/9; done"]);
            let said = ofctl(&["-O", "OpenFlow13", "dump-flows", "br0", "udp"]);
            said.contains("n_packets=") && !said.contains("n_packets=0,")
        });
        let mut flow = Parity::of("ovs_flow", &["table", "priority", "fields"]).only("bridge == \"br0\"");
        flow.agrees(counted_flows);
        assert!(flow.keys().contains("0 7 udp,in_port=p1,tp_dst=9"), "{:?}", flow.keys());
        flow.left_out(&["flags", "importance"]);
    });
}
