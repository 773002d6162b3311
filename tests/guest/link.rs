//! Bonds, VLANs, tunnels and VLANs of bridges: `ip -d link` and `bridge vlan`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::machine::Guest;
use super::part;

/// Interfaces of all kinds, whose numbers all differ. The shell has an `ip` of its own that knows less.
const LINKS: &str = "
ip() { /usr/bin/ip \"$@\"; }
ip link set lo up
for i in 0 1 2 3; do ip link add d$i type dummy; done
ip addr add 192.0.2.1/24 dev d3; ip link set d3 up
ip link add bond1 type bond mode 802.3ad miimon 50 lacp_rate fast xmit_hash_policy layer3+4 min_links 1
ip link set d0 master bond1; ip link set d1 master bond1; ip link set bond1 up
ip link add bond2 type bond mode active-backup arp_interval 70 arp_ip_target 192.0.2.9
ip link set d2 master bond2; ip link set bond2 type bond primary d2; ip link set bond2 up
ip link add link d3 name d3.12 type vlan id 12 gvrp on
ip link add link d3 name d3.13 type vlan protocol 802.1ad id 13 reorder_hdr off loose_binding on
ip link add gre1 type gre local 192.0.2.1 remote 192.0.2.2 ikey 7 okey 8 ttl 64 tos 16 dev d3
ip link add gre2 type gre remote 192.0.2.3 key 99
ip link add gretap1 type gretap local 192.0.2.1 remote 192.0.2.4 nopmtudisc
ip link add gretap2 type gretap external
ip link add ip6gre1 type ip6gre local 2001:db8::1 remote 2001:db8::2 key 77 hoplimit 33
ip link add ipip1 type ipip local 192.0.2.1 remote 192.0.2.5 ttl 55 fwmark 6
ip link add sit1 type sit local 192.0.2.1 remote 192.0.2.6
ip link add ip6tnl1 type ip6tnl local 2001:db8::1 remote 2001:db8::3
ip link add vti1 type vti local 192.0.2.1 remote 192.0.2.7 ikey 5 okey 6
ip link add vxlan1 type vxlan id 42 local 192.0.2.1 remote 192.0.2.8 dstport 4789 ttl 9 dev d3
ip link add vxlan2 type vxlan id 43 group ff05::100 dev d3 dstport 8472 nolearning
ip link add geneve1 type geneve id 44 remote 192.0.2.10 dstport 6082
ip link add br0 type bridge vlan_filtering 1
ip link add p0 type dummy; ip link add p1 type dummy; ip link add p2 type dummy
for i in 0 1 2; do ip link set p$i master br0 up; done
bridge vlan add dev p0 vid 10-20; bridge vlan add dev p0 vid 30 pvid untagged
bridge vlan add dev p1 vid 40 untagged; bridge vlan del dev p2 vid 1
";

/// Reads all between two equal answers about bonds, as LACP and the ARP monitor of their ports run on meanwhile.
const STEADY: &str = "
bonds() { ip -d -j link show type bond; ip -d -j link show type bond_slave; }
for i in 1 2 3 4 5 6 7 8 9 10; do
    before=$(bonds); read_all > /all; after=$(bonds)
    [ \"$before\" = \"$after\" ] && break
done
cat /all
";

/// Rows of a table by interface, with these columns only.
fn rows(said: &str, table: &str, columns: &[&str]) -> BTreeMap<String, Value> {
    let rows: Vec<Value> = serde_json::from_str(part(said, table)).unwrap_or_else(|error| panic!("{table}: {error}"));
    let row = |row: &Value| {
        let cells = columns.iter().map(|column| ((*column).to_owned(), row[column].clone()));
        (row["interface"].as_str().unwrap().to_owned(), Value::Object(cells.collect()))
    };
    rows.iter().map(row).collect()
}

/// Interfaces as `ip` tells them, with a row for each of which one can be made.
fn told(said: &str, row: impl Fn(&Value) -> Option<Value>) -> BTreeMap<String, Value> {
    let links: Vec<Value> = serde_json::from_str(part(said, "ip")).unwrap();
    links.iter().filter_map(|link| Some((link["ifname"].as_str()?.to_owned(), row(link)?))).collect()
}

/// The words that are set, in lower case.
fn joined(words: &Value) -> Value {
    let words: Vec<String> =
        words.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_lowercase()).collect();
    if words.is_empty() { Value::Null } else { words.join(",").into() }
}

fn bond(link: &Value) -> Option<Value> {
    let info = &link["linkinfo"];
    let data = (info["info_kind"] == "bond").then_some(&info["info_data"])?;
    let seconds = |name: &str| data[name].as_f64().unwrap() / 1e3;
    Some(json!({
        "mode": data["mode"],
        "active": data["active_slave"],
        "primary": data["primary"],
        "miimon": seconds("miimon"),
        "arp_interval": seconds("arp_interval"),
        "hash_policy": data["xmit_hash_policy"],
        "min_links": data["min_links"],
        "fast": data["ad_lacp_rate"] == "fast",
        "aggregator": data["ad_info"]["aggregator"],
        "ports": data["ad_info"]["num_ports"],
        "partner": data["ad_info"]["partner_mac"],
    }))
}

fn bond_port(link: &Value) -> Option<Value> {
    let info = &link["linkinfo"];
    let data = (info["info_slave_kind"] == "bond").then_some(&info["info_slave_data"])?;
    let lower = |name: &str| data[name].as_str().unwrap().to_lowercase();
    let states = |name: &str| data.get(name).map_or(Value::Null, joined);
    Some(json!({
        "bond": link["master"],
        "state": lower("state"),
        "link": lower("mii_status"),
        "failures": data["link_failure_count"],
        "mac": data["perm_hwaddr"],
        "queue": data["queue_id"],
        "aggregator": data["ad_aggregator_id"],
        "actor": states("ad_actor_oper_port_state_str"),
        "partner": states("ad_partner_oper_port_state_str"),
    }))
}

fn vlan(link: &Value) -> Option<Value> {
    let info = &link["linkinfo"];
    let data = (info["info_kind"] == "vlan").then_some(&info["info_data"])?;
    let (id, protocol) = (&data["id"], &data["protocol"]);
    Some(json!({ "vlan": id, "lower": link["link"], "protocol": protocol, "flags": joined(&data["flags"]) }))
}

/// A key, which `ip` writes as an address.
fn key(data: &Value, name: &str) -> Option<u32> {
    let address: std::net::Ipv4Addr = data[name].as_str()?.parse().unwrap();
    Some(address.into())
}

fn tunnel(link: &Value) -> Option<Value> {
    let (info, name) = (&link["linkinfo"], link["ifname"].as_str()?);
    let kind = info["info_kind"].as_str()?;
    // those that a module makes by itself have other names
    let known = name.trim_end_matches(|ch: char| ch.is_ascii_digit()) == kind && !name.ends_with('0');
    let data = known.then_some(&info["info_data"]).filter(|_| !["dummy", "bond", "bridge", "vlan"].contains(&kind))?;
    let first = |names: &[&str]| {
        let found = names.iter().find_map(|name| data[name].as_str());
        found.filter(|address| *address != "any").map(str::to_owned)
    };
    let lower = data["link"].as_str().or(link["link"].as_str());
    Some(json!({
        "kind": kind,
        "local": first(&["local", "local6"]),
        "remote": first(&["remote", "remote6", "group", "group6"]),
        "lower": lower,
        "input_key": key(data, "ikey"),
        "output_key": key(data, "okey"),
        "vni": data["id"],
        "port": data["port"],
        "ttl": data["ttl"].as_u64().filter(|ttl| *ttl != 0),
        "external": data.get("external").is_some(),
    }))
}

fn vlans(said: &str) -> BTreeMap<String, Value> {
    let ports: Vec<Value> = serde_json::from_str(part(said, "vlans")).unwrap();
    let has = |vlan: &Value, flag: &str| vlan["flags"].as_array().is_some_and(|flags| flags.contains(&flag.into()));
    let one = |vlan: &Value| format!("{}{}", vlan["vlan"], if has(vlan, "Egress Untagged") { "u" } else { "" });
    let row = |port: &Value| {
        let vlans = port["vlans"].as_array().unwrap();
        let pvid = vlans.iter().find(|vlan| has(vlan, "PVID")).map(|vlan| vlan["vlan"].clone());
        let written = vlans.iter().map(one).collect::<Vec<_>>().join(",");
        (port["ifname"].as_str().unwrap().to_owned(), json!({ "vlans": written, "pvid": pvid }))
    };
    ports.iter().map(row).filter(|(name, _)| name != "br0").collect()
}

/// Spans of VLANs one by one, as `bridge` lists them.
fn each(written: &str) -> String {
    let one = |word: &str| match word.split_once('-') {
        Some((first, last)) => {
            (first.parse::<u16>().unwrap()..=last.parse().unwrap()).map(|vlan| vlan.to_string()).collect()
        }
        None => vec![word.to_owned()],
    };
    written.split(',').flat_map(one).collect::<Vec<_>>().join(",")
}

#[test]
fn virtual_interfaces_of_another_kernel_are_what_ip_and_bridge_say() {
    let tables: String = ["bond", "bond_port", "vlan", "tunnel", "bridge_port"]
        .map(|table| format!("echo '== {table}'; netglance show {table} --format json\n"))
        .concat();
    let reads = format!("echo '== ip'; ip -d -j link; echo\necho '== vlans'; bridge -j vlan; echo\n{tables}");
    let script = format!("{LINKS}\nread_all() {{\n{reads}\n}}\n{STEADY}");
    let said = Guest::with(&["ip", "bridge"]).run(&script);
    let columns: &[&str] = &[
        "mode",
        "active",
        "primary",
        "miimon",
        "arp_interval",
        "hash_policy",
        "min_links",
        "fast",
        "aggregator",
        "ports",
        "partner",
    ];
    let want = told(&said, bond);
    // the module makes one by itself
    assert_eq!((rows(&said, "bond", columns), want.len()), (want, 3));
    let columns = &["bond", "state", "link", "failures", "mac", "queue", "aggregator", "actor", "partner"];
    let want = told(&said, bond_port);
    assert_eq!((rows(&said, "bond_port", columns), want.len()), (want, 3));
    let want = told(&said, vlan);
    assert_eq!((rows(&said, "vlan", &["vlan", "lower", "protocol", "flags"]), want.len()), (want, 2));
    let columns: &[&str] =
        &["kind", "local", "remote", "lower", "input_key", "output_key", "vni", "port", "ttl", "external"];
    let (want, mut have) = (told(&said, tunnel), rows(&said, "tunnel", columns));
    have.retain(|name, _| want.contains_key(name));
    assert_eq!((have, want.len()), (want, 12));
    let (want, mut have) = (vlans(&said), rows(&said, "bridge_port", &["vlans", "pvid"]));
    assert_eq!(have.remove("p2"), Some(json!({ "vlans": null, "pvid": null })), "it carries none");
    for row in have.values_mut() {
        let written = row["vlans"].as_str().unwrap();
        assert!(written.contains("10-20") || written.contains("40u"), "{written}");
        row["vlans"] = each(written).into();
    }
    assert_eq!((have, want.len()), (want, 2));
}
