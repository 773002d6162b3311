//! The packet filter: `nft -j` and `nft -nn`, and traffic of a known size.

use std::net::UdpSocket;
use std::process::Command;

use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::network::in_own_network;
use super::{said, said_json};

const RULES: &str = "
    table inet t {
        counter named { }
        counter shared { }
        counter mapped { }
        quota daily { over 10 mbytes }
        limit slow { rate 5/second burst 7 packets }
        set hosts { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.1 } }
        set every { type inet_service; flags interval; elements = { 0-65535 } }
        set seen { type ipv4_addr . inet_service; flags dynamic,timeout; timeout 1m; size 128; }
        map ways { type inet_service : verdict; elements = { 22 : accept } }
        map counts { type inet_service : counter; elements = { 4005 : \"mapped\" } }
        chain side { counter accept; }
        chain in {
            type filter hook input priority filter; policy drop;
            udp dport 4001 counter accept comment \"counted\"
            udp dport 4002 counter drop
            udp dport 4003 counter name named
            udp dport 4003 quota name daily drop
            udp dport 4003 add @seen { ip saddr . udp dport } counter goto side
            ip saddr @hosts limit name slow reject
            tcp dport vmap @ways
            udp dport 4004 counter name shared
            udp dport 4004 counter name shared drop
            udp dport 4005 counter name mapped drop
            meter by_port size 128 { udp dport counter }
        }
    }
    table ip nat {
        chain post { type nat hook postrouting priority 100; oifname \"none\" masquerade; }
    }
    table netdev d {
        chain one { type filter hook ingress device lo priority 0; }
        chain two { type filter hook ingress devices = { lo, v0 } priority 1; }
    }
";

/// Bytes of IPv4 and UDP before what is sent.
const HEADERS: u64 = 28;

/// Gives the ruleset to `nft`.
fn load(rules: &str) {
    said("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
    said("sh", &["-c", &format!("nft -f - <<'END'\n{rules}\nEND")]);
}

/// Sends datagrams of so many bytes each.
fn send(port: u16, count: u64, bytes: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..count {
        socket.send_to(&vec![7; bytes], ("127.0.0.1", port)).unwrap();
    }
}

/// Objects of one kind in what `nft -j` lists.
fn listed(kind: &str) -> Vec<Value> {
    let all = said_json("nft", &["-j", "list", "ruleset"]);
    all["nftables"].as_array().unwrap().iter().filter_map(|object| object.get(kind).cloned()).collect()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap()
}

fn number(object: &Value, name: &str) -> f64 {
    object[name].as_f64().unwrap()
}

/// What a rule has counted: its own counter, or a named one that nothing else refers to.
fn counter_of<'a>(steps: &'a [Value], counters: &'a [Value]) -> Option<&'a Value> {
    let counter = steps.iter().find_map(|step| step.get("counter"))?;
    match counter.as_str() {
        Some("named") => counters.iter().find(|counter| text(counter, "name") == "named"),
        Some(_) => None,
        None => Some(counter),
    }
}

#[test]
fn root_rules_count_exactly_what_was_sent_and_say_what_nft_says() {
    in_own_network(|| {
        load(RULES);
        send(4001, 7, 100);
        send(4002, 3, 1000);
        send(4003, 5, 50);
        send(4004, 2, 50);
        send(4005, 2, 50);
        let mut table = Parity::of("nft_rule", &["family", "table", "handle"]);
        table.agrees(|| {
            let mut facts = Facts::default();
            // a rule's text stands between its chain and its handle, which only `-a` tells
            let list = said("nft", &["-a", "-s", "-nn", "list", "ruleset"]);
            let mut texts = list.lines().filter(|line| line.starts_with("\t\t") && !line.trim().starts_with("type "));
            let mut position = std::collections::BTreeMap::new();
            let named = listed("counter");
            for rule in listed("rule") {
                let key = format!("{} {} {}", text(&rule, "family"), text(&rule, "table"), rule["handle"]);
                let line = texts.find(|line| line.ends_with(&format!("# handle {}", rule["handle"]))).unwrap().trim();
                let line = line.split(" # handle").next().unwrap().split(" comment ").next().unwrap();
                facts.text(&key, "rule", line);
                facts.text(&key, "chain", text(&rule, "chain"));
                let position = position.entry((text(&rule, "table").to_owned(), text(&rule, "chain").to_owned()));
                let position = position.and_modify(|place| *place += 1.0).or_insert(1.0);
                facts.number(&key, "position", *position);
                match rule.get("comment") {
                    Some(comment) => facts.text(&key, "comment", comment.as_str().unwrap()),
                    None => facts.missing(&key, "comment"),
                }
                let steps = rule["expr"].as_array().unwrap();
                let counter = counter_of(steps, &named);
                for name in ["packets", "bytes"] {
                    match counter {
                        Some(counter) => facts.number(&key, name, number(counter, name)),
                        None => facts.missing(&key, name),
                    }
                }
                facts.missing(&key, "last");
                let verdicts = ["accept", "drop", "reject", "vmap", "masquerade", "goto"];
                let word = |step: &Value| verdicts.iter().copied().find(|verdict| step.get(verdict).is_some());
                match steps.iter().rev().find_map(word) {
                    Some("goto") => facts.text(&key, "verdict", "goto side"),
                    Some(verdict) => facts.text(&key, "verdict", verdict),
                    None => facts.missing(&key, "verdict"),
                }
            }
            facts
        });
        table.left_out(&["family", "handle", "netns", "table"]);
        let rows = table.rows();
        let cell = |row, name| rows.cell(row, rows.table().position(name).unwrap()).number();
        let by_text = |begin: &str| {
            let column = rows.table().position("rule").unwrap();
            (0..rows.len()).find(|row| format!("{:?}", rows.cell(*row, column)).contains(begin)).unwrap()
        };
        for (port, count, bytes) in [(4001, 7, 100), (4002, 3, 1000), (4003, 5, 50)] {
            let row = by_text(&format!("udp dport {port} "));
            assert_eq!(cell(row, "packets"), Some(f64::from(count)), "{port}");
            assert_eq!(cell(row, "bytes"), Some((u64::from(count as u32) * (bytes + HEADERS)) as f64), "{port}");
        }
    });
}

/// The row of an object that is told apart by family, table and name.
fn key(object: &Value) -> String {
    format!("{} {} {}", text(object, "family"), text(object, "table"), text(object, "name"))
}

fn with_rules(test: impl FnOnce() + Send) {
    in_own_network(|| {
        load(RULES);
        send(4003, 5, 50);
        test();
    });
}

/// Devices of a chain in what `nft` lists; what it writes as JSON has not those of all chains.
fn devices<'a>(list: &'a str, table: &str, chain: &str) -> Option<&'a str> {
    let table = list.split("table ").find(|block| block.lines().next().is_some_and(|line| line.contains(table)))?;
    let place = table.split_once(&format!("chain {chain} {{\n"))?.1.lines().next()?.split_once(" device")?.1;
    let place = place.split_once(" priority")?.0;
    Some(place.trim_start_matches("s = { ").trim_end_matches(" }").trim())
}

#[test]
fn root_tables_and_chains_are_what_nft_says() {
    with_rules(|| {
        let mut tables = Parity::of("nft_table", &["family", "name"]);
        tables.agrees(|| {
            let mut facts = Facts::default();
            for table in listed("table") {
                let row = format!("{} {}", text(&table, "family"), text(&table, "name"));
                let of = |kind| {
                    let same = |other: &&Value| other["table"] == table["name"] && other["family"] == table["family"];
                    listed(kind).iter().filter(same).count() as f64
                };
                // those are listed with their rules
                let meters = if row == "inet t" { RULES.matches("meter ").count() as f64 } else { 0.0 };
                facts.number(&row, "handle", number(&table, "handle"));
                facts.number(&row, "chains", of("chain"));
                facts.number(&row, "rules", of("rule"));
                facts.number(&row, "sets", of("set") + of("map") + meters);
                facts.text(&row, "dormant", "false");
                facts.missing(&row, "owner");
            }
            facts
        });
        tables.left_out(&["family", "name", "netns"]);
        let mut chains = Parity::of("nft_chain", &["family", "table", "name"]);
        chains.agrees(|| {
            let mut facts = Facts::default();
            let list = said("nft", &["-nn", "list", "ruleset"]);
            for chain in listed("chain") {
                let row = key(&chain);
                facts.number(&row, "handle", number(&chain, "handle"));
                for (column, name) in [("kind", "type"), ("hook", "hook"), ("policy", "policy")] {
                    match chain.get(name) {
                        Some(value) => facts.text(&row, column, value.as_str().unwrap()),
                        None => facts.missing(&row, column),
                    }
                }
                match chain.get("prio") {
                    Some(priority) => facts.number(&row, "priority", priority.as_f64().unwrap()),
                    None => facts.missing(&row, "priority"),
                }
                match devices(&list, text(&chain, "table"), text(&chain, "name")) {
                    Some(devices) => facts.text(&row, "devices", &devices.replace('"', "")),
                    None => facts.missing(&row, "devices"),
                }
                let rules = listed("rule");
                let same = |rule: &&Value| rule["chain"] == chain["name"] && rule["table"] == chain["table"];
                facts.number(&row, "rules", rules.iter().filter(same).count() as f64);
            }
            facts
        });
        chains.left_out(&["bytes", "family", "name", "netns", "packets", "table"]);
    });
}

#[test]
fn root_named_counters_and_quotas_are_what_nft_says() {
    with_rules(|| {
        let mut counters = Parity::of("nft_counter", &["family", "table", "name"]);
        counters.agrees(|| {
            let mut facts = Facts::default();
            for counter in listed("counter") {
                facts.number(&key(&counter), "packets", number(&counter, "packets"));
                facts.number(&key(&counter), "bytes", number(&counter, "bytes"));
            }
            facts
        });
        counters.left_out(&["family", "name", "netns", "table"]);
        let mut quotas = Parity::of("nft_quota", &["family", "table", "name"]);
        quotas.agrees(|| {
            let mut facts = Facts::default();
            for quota in listed("quota") {
                let (bytes, used) = (number(&quota, "bytes"), number(&quota, "used"));
                facts.number(&key(&quota), "quota", bytes);
                facts.number(&key(&quota), "used", used);
                facts.number(&key(&quota), "fill", used / bytes);
                facts.text(&key(&quota), "over", "true");
            }
            facts
        });
        quotas.left_out(&["family", "name", "netns", "table"]);
    });
}

#[test]
fn root_sets_and_maps_are_what_nft_says() {
    with_rules(|| {
        let mut sets = Parity::of("nft_set", &["family", "table", "set"]);
        sets.agrees(|| {
            let mut facts = Facts::default();
            // not all flags are in what `-j` says
            let list = said("nft", &["-nn", "list", "ruleset"]);
            let declared: Vec<_> = list
                .split("\n\t}")
                .filter_map(|block| {
                    let mut lines =
                        block.lines().filter_map(|line| line.trim().strip_suffix(" {").or(Some(line.trim())));
                    let name = lines.find_map(|line| line.strip_prefix("set ").or(line.strip_prefix("map ")))?;
                    Some((name, lines.find_map(|line| line.strip_prefix("flags "))))
                })
                .collect();
            for set in listed("set").into_iter().chain(listed("map")) {
                let row = key(&set);
                facts.number(&row, "handle", number(&set, "handle"));
                let kind = match &set["type"] {
                    Value::Array(parts) => {
                        parts.iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join(" . ")
                    }
                    kind => kind.as_str().unwrap().to_owned(),
                };
                facts.text(&row, "key", &kind);
                match set.get("map") {
                    Some(data) => facts.text(&row, "data", data.as_str().unwrap()),
                    None => facts.missing(&row, "data"),
                }
                let flags = declared.iter().find(|(name, _)| *name == text(&set, "name"));
                match flags.and_then(|(_, flags)| *flags) {
                    Some(flags) => facts.text(&row, "flags", flags),
                    None => facts.missing(&row, "flags"),
                }
                match set.get("size") {
                    Some(size) => facts.number(&row, "size", size.as_f64().unwrap()),
                    None => facts.missing(&row, "size"),
                }
                match set.get("timeout") {
                    Some(timeout) => facts.number(&row, "timeout", timeout.as_f64().unwrap()),
                    None => facts.missing(&row, "timeout"),
                }
                match set["elem"].as_array() {
                    // the kernel says that it is empty
                    Some(_) if text(&set, "name") == "every" => facts.missing(&row, "elements"),
                    elements => facts.number(&row, "elements", elements.map_or(0.0, |elements| elements.len() as f64)),
                }
            }
            facts
        });
        sets.left_out(&["family", "fill", "netns", "set", "table"]);
    });
}

#[test]
fn root_times_in_rules_are_those_of_the_time_zone() {
    let rule = "meta time < \"2026-06-01 12:00:00\" hour \"10:00\"-\"12:30\" counter";
    in_own_network(|| {
        load(&format!("table ip t {{\nchain c {{\n{rule}\n}}\n}}"));
        for zone in ["UTC", "America/New_York", ":Asia/Kolkata", "CET-1CEST,M3.5.0,M10.5.0/3"] {
            let run = |program: &str, args: &[&str]| {
                let output = Command::new(program).args(args).env("TZ", zone).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8(output.stdout).unwrap()
            };
            let theirs = run("nft", &["-s", "-nn", "list", "chain", "ip", "t", "c"]);
            let ours =
                run(env!("CARGO_BIN_EXE_netglance"), &["show", "nft_rule", "--columns", "rule", "--format", "json"]);
            let ours: Value = serde_json::from_str(&ours).unwrap();
            let theirs = theirs.lines().find(|line| line.contains("meta time")).unwrap().trim();
            assert_eq!(ours[0]["rule"], theirs, "{zone}");
        }
    });
}
