//! Bridges: `ip -d link`, `bridge vlan`, `bridge fdb` and `bridge mdb`.

use netglance::model::Timestamp;
use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip, list};
use super::{said, said_json};

fn bridge(line: &str) {
    said("bridge", &line.split_whitespace().collect::<Vec<_>>());
}

/// A bridge with three ports, of which one is switched off. This kernel's bridges heed no VLANs: those are tested in the guest.
fn make() {
    ip("link add br0 address 12:a2:71:4d:fb:93 type bridge stp_state 1 priority 4096 mcast_snooping 1");
    for port in ["one", "two", "three"] {
        ip(&format!("link add {port} type veth peer name far-{port}"));
        for line in ["addrgenmode none", "up"] {
            ip(&format!("link set far-{port} {line}"));
        }
        ip(&format!("link set {port} addrgenmode none master br0"));
    }
    for line in ["one up", "two up", "br0 addrgenmode none", "br0 up"] {
        ip(&format!("link set {line}"));
    }
    for line in [
        "link set dev one cost 7 priority 9 guard on learning off flood off isolated on mcast_router 2",
        "link set dev two hairpin on fastleave on root_block on neigh_suppress on mcast_flood off bcast_flood off",
        "link set dev three backup_port one locked on",
    ] {
        bridge(line);
    }
}

const FLAGS: [&str; 13] = [
    "hairpin",
    "root_block",
    "fastleave",
    "proxy_arp",
    "proxy_arp_wifi",
    "mcast_flood",
    "mcast_to_unicast",
    "vlan_tunnel",
    "bcast_flood",
    "neigh_suppress",
    "locked",
    "mab",
    "neigh_vlan_suppress",
];

fn port_facts() -> Facts {
    let mut facts = Facts::default();
    let links = said_json("ip", &["-d", "-j", "link"]);
    for link in list(&links).iter().filter(|link| link["linkinfo"]["info_slave_kind"] == "bridge") {
        let (name, port) = (link["ifname"].as_str().unwrap(), &link["linkinfo"]["info_slave_data"]);
        let is = |flag: &str| port[flag].as_bool() == Some(true);
        facts.text(name, "interface", name);
        facts.text(name, "bridge", link["master"].as_str().unwrap());
        facts.text(name, "state", port["state"].as_str().unwrap());
        facts.text(name, "stp", "true");
        for flag in ["learning", "flood", "guard", "isolated"] {
            facts.text(name, flag, &is(flag).to_string());
        }
        let set: Vec<&str> = FLAGS.into_iter().filter(|flag| is(flag)).collect();
        let digits = port["no"].as_str().unwrap().trim_start_matches("0x");
        facts.number(name, "number", f64::from(u32::from_str_radix(digits, 16).unwrap()));
        for column in ["cost", "priority", "designated_cost", "designated_port"] {
            facts.number(name, column, port[column].as_f64().unwrap_or_else(|| panic!("{column}: {port}")));
        }
        let routers = ["disabled", "query", "permanent", "temporary"];
        facts.text(name, "multicast_router", routers[port["multicast_router"].as_u64().unwrap() as usize]);
        for (column, value) in [
            ("root", port["root_id"].as_str().map(str::to_owned)),
            ("designated", port["bridge_id"].as_str().map(str::to_owned)),
            ("flags", (!set.is_empty()).then(|| set.join(","))),
            ("backup", port["backup_port"].as_str().map(str::to_owned)),
        ] {
            match value {
                Some(value) => facts.text(name, column, &value),
                None => facts.missing(name, column),
            }
        }
        facts.missing(name, "pvid");
        facts.missing(name, "vlans");
    }
    facts
}

#[test]
fn root_ports_of_bridges_are_what_ip_and_bridge_say() {
    in_own_network(|| {
        make();
        let mut table = Parity::of("bridge_port", &["interface"]).wanting(&[], &[]);
        table.agrees(port_facts);
        // this version of ip does not tell how many groups a port has
        table.left_out(&["groups", "index", "max_groups", "netns"]);
        assert_eq!(table.keys().into_iter().collect::<Vec<_>>(), ["one", "three", "two"]);
    });
}

/// Words among the flags of an entry.
fn words<'a>(entry: &Value, known: &[&'a str]) -> Vec<&'a str> {
    let flags = list(&entry["flags"]);
    known.iter().filter(|word| flags.iter().any(|flag| flag == *word)).copied().collect()
}

/// Addresses with whose they are, as both sides tell them.
fn fdb_facts() -> Facts {
    let mut facts = Facts::default();
    for entry in list(&said_json("bridge", &["-s", "-j", "fdb"])) {
        let text = |name: &str| entry[name].as_str();
        let missing = "Missing".to_owned();
        let number = |name: &str| entry[name].as_u64().map(|number| format!("{name} {number}"));
        let path = [number("vni"), number("port"), text("viaIf").map(|via| format!("via {via}"))];
        let path = path.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let key = [
            text("mac").unwrap().to_owned(),
            text("ifname").unwrap().to_owned(),
            entry["vlan"].as_u64().map_or_else(|| missing.clone(), |vlan| vlan.to_string()),
            text("master").map_or_else(|| missing.clone(), str::to_owned),
            text("dst").map_or_else(|| missing.clone(), str::to_owned),
            entry["src_vni"].as_u64().map_or_else(|| missing.clone(), |vni| vni.to_string()),
            if path.is_empty() { missing } else { path },
        ];
        let key = key.join(" ");
        facts.text(&key, "interface", text("ifname").unwrap());
        let state = text("state").filter(|state| !state.is_empty()).unwrap_or("learned");
        facts.text(&key, "state", state);
        let set = words(entry, &["self", "extern_learn", "offload", "sticky", "router", "locked"]);
        if set.is_empty() {
            facts.missing(&key, "flags");
        } else {
            facts.text(&key, "flags", &set.join(","));
        }
        let now = Timestamp::now().seconds();
        for column in ["used", "updated"] {
            match entry[column].as_f64() {
                Some(age) => facts.between(&key, column, now - age - 1.1, now - age + 0.1),
                None => facts.missing(&key, column),
            }
        }
        for (column, value) in [("vni", entry["vni"].as_f64()), ("port", entry["port"].as_f64())] {
            match value {
                Some(value) => facts.number(&key, column, value),
                None => facts.missing(&key, column),
            }
        }
        match text("viaIf") {
            Some(via) => facts.text(&key, "via", via),
            None => facts.missing(&key, "via"),
        }
    }
    facts
}

#[test]
fn root_addresses_behind_bridges_and_tunnels_are_what_bridge_says() {
    in_own_network(|| {
        make();
        ip("link add vx0 type vxlan id 7 dev two dstport 4789 nolearning");
        ip("link set vx0 addrgenmode none");
        ip("link set vx0 up");
        for line in [
            "fdb add 02:00:00:00:00:01 dev one master static",
            "fdb add 02:00:00:00:00:02 dev one master dynamic extern_learn",
            "fdb add 02:00:00:00:00:03 dev two master static sticky",
            "fdb add 02:00:00:00:00:04 dev two self",
            "fdb add 02:00:00:00:00:05 dev vx0 dst 192.0.2.5",
            "fdb append 02:00:00:00:00:00 dev vx0 dst 192.0.2.6 vni 9 port 5000 via one",
            "fdb append 02:00:00:00:00:00 dev vx0 dst 192.0.2.6 vni 10 port 5000 via one",
            "fdb append 02:00:00:00:00:00 dev vx0 dst 192.0.2.6 vni 10 port 5001 via one",
            "fdb append 02:00:00:00:00:00 dev vx0 dst 192.0.2.6 vni 10 port 5001 via two",
            "fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.7",
            "fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.8",
        ] {
            bridge(line);
        }
        let key = ["mac", "interface", "vlan", "bridge", "destination", "source_vni", "path"];
        let mut table = Parity::of("fdb", &key).wanting(&[], &[]);
        table.agrees(fdb_facts);
        table.left_out(&["bridge", "destination", "index", "mac", "netns", "path", "source_vni", "vlan"]);
        assert_eq!(table.keys().len(), fdb_facts().rows(), "{:?}", table.keys());
        assert!(table.keys().iter().any(|key| key.contains("192.0.2.8")), "{:?}", table.keys());
    });
}

fn mdb_facts() -> Facts {
    let mut facts = Facts::default();
    let told = said_json("bridge", &["-d", "-s", "-j", "mdb"]);
    let groups = list(&told).iter().flat_map(|part| list(&part["mdb"]));
    for entry in groups {
        let text = |name: &str| entry[name].as_str();
        let missing = "Missing".to_owned();
        let key = [
            text("dev").unwrap().to_owned(),
            text("port").unwrap().to_owned(),
            text("grp").unwrap().to_owned(),
            entry["vid"].as_u64().map_or_else(|| missing.clone(), |vlan| vlan.to_string()),
            text("src").map_or(missing, str::to_owned),
        ];
        let key = key.join(" ");
        facts.text(&key, "state", text("state").unwrap());
        let set = words(entry, &["offload", "fast_leave", "added_by_star_ex", "blocked", "offload_failed"]);
        if set.is_empty() {
            facts.missing(&key, "flags");
        } else {
            facts.text(&key, "flags", &set.join(","));
        }
        match text("protocol") {
            Some(protocol) => facts.text(&key, "protocol", protocol),
            None => facts.missing(&key, "protocol"),
        }
        // hundredths of a second
        match text("timer").and_then(|timer| timer.trim().parse::<f64>().ok()).filter(|left| left.to_bits() != 0) {
            Some(left) => {
                let end = Timestamp::now().seconds() + left;
                facts.between(&key, "expires", end - 0.5, end + 0.5);
            }
            None => facts.missing(&key, "expires"),
        }
    }
    facts
}

#[test]
fn root_groups_of_bridges_are_what_bridge_says() {
    in_own_network(|| {
        make();
        for line in [
            "mdb add dev br0 port one grp 239.1.1.1 permanent",
            "mdb add dev br0 port two grp 239.1.1.2 temp",
            "mdb add dev br0 port two grp ff0e::7 permanent",
            "mdb add dev br0 port two grp 239.1.1.3 src 192.0.2.1 permanent proto bgp",
            "mdb add dev br0 port one grp 01:02:03:04:05:06 permanent",
        ] {
            bridge(line);
        }
        let key = ["bridge", "interface", "group", "vlan", "source"];
        let mut table = Parity::of("mdb", &key).wanting(&[], &[]);
        table.agrees(mdb_facts);
        table.left_out(&["bridge", "bridge_index", "group", "index", "interface", "netns", "source", "vlan"]);
        assert_eq!(table.keys().len(), mdb_facts().rows(), "{:?}", table.keys());
        assert!(mdb_facts().rows() >= 5, "{:?}", table.keys());
    });
}
