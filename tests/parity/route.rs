//! Routes and policy rules: `ip route` and `ip rule`.

use netglance::model::Timestamp;
use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip, list};
use super::said_json;

/// Columns by which routes are told apart.
const KEY: [&str; 7] = ["table", "destination", "prefix", "source", "tos", "metric", "interface"];

/// Words of `ip` in the order of the kernel's bits.
const FLAGS: [&str; 9] =
    ["dead", "pervasive", "onlink", "offload", "linkdown", "unresolved", "trap", "rt_offload", "rt_trap"];

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value[name].as_str()
}

/// Address and bits, of which `ip` leaves out those of a single address.
fn network<'a>(written: &'a str, all: &'a str) -> (&'a str, f64) {
    let bits = if all == "::" { 128.0 } else { 32.0 };
    match written.split_once('/') {
        _ if written == "default" => (all, 0.0),
        Some((address, prefix)) => (address, prefix.parse().unwrap()),
        None => (written, bits),
    }
}

fn words(flags: &Value) -> Vec<&'static str> {
    FLAGS.into_iter().filter(|flag| list(flags).iter().any(|known| known == flag)).collect()
}

fn gateway(hop: &Value) -> Option<&str> {
    text(hop, "gateway").or_else(|| hop["via"]["host"].as_str())
}

/// The next hops of a route that has several.
fn hops(route: &Value) -> Option<String> {
    let one = |hop: &Value| {
        let via = gateway(hop).map(|gateway| format!("via {gateway} ")).unwrap_or_default();
        let weight = format!("weight {}", hop["weight"]);
        let words = [vec![weight.as_str()], words(&hop["flags"])].concat().join(" ");
        format!("{via}dev {} {words}", hop["dev"].as_str().unwrap())
    };
    route.get("nexthops").map(|hops| list(hops).iter().map(one).collect::<Vec<_>>().join(", "))
}

fn route_facts() -> Facts {
    let mut facts = Facts::default();
    for (family, option, all) in [("inet", "-4", "0.0.0.0"), ("inet6", "-6", "::")] {
        for route in list(&said_json("ip", &["-j", "-d", option, "route", "show", "table", "all"])) {
            let (destination, prefix) = network(text(route, "dst").unwrap(), all);
            let source = text(route, "from").map(|from| network(from, all));
            let tos =
                text(route, "tos").map_or(0, |tos| u32::from_str_radix(tos.trim_start_matches("0x"), 16).unwrap());
            let missing = "Missing".to_owned();
            let key = [
                text(route, "table").unwrap_or("main").to_owned(),
                destination.to_owned(),
                prefix.to_string(),
                source.map_or_else(|| missing.clone(), |(source, _)| source.to_owned()),
                tos.to_string(),
                route["metric"].as_u64().map_or_else(|| missing.clone(), |metric| metric.to_string()),
                text(route, "dev").map_or(missing, str::to_owned),
            ];
            let key = key.join(" ");
            facts.text(&key, "family", family);
            facts.text(&key, "kind", text(route, "type").unwrap());
            facts.text(&key, "protocol", text(route, "protocol").unwrap());
            facts.text(&key, "scope", text(route, "scope").unwrap());
            let several = hops(route);
            let count =
                route.get("nexthops").map_or_else(|| usize::from(text(route, "dev").is_some()), |h| list(h).len());
            facts.number(&key, "hops", count as f64);
            let flags = words(&route["flags"]).join(",");
            for (column, value) in [
                ("gateway", gateway(route)),
                ("interface", text(route, "dev")),
                ("next_hops", several.as_deref()),
                ("preferred_source", text(route, "prefsrc")),
                ("flags", Some(flags.as_str()).filter(|flags| !flags.is_empty())),
                ("preference", text(route, "pref")),
            ] {
                match value {
                    Some(value) => facts.text(&key, column, value),
                    None => facts.missing(&key, column),
                }
            }
            let now = Timestamp::now().seconds();
            for (column, value) in [
                ("metric", route["metric"].as_f64().map(|metric| (metric, metric))),
                ("nexthop", route["nhid"].as_f64().map(|number| (number, number))),
                ("source_prefix", source.map(|(_, prefix)| (prefix, prefix))),
                // whole seconds
                ("expires", route["expires"].as_f64().map(|left| (now + left - 1.5, now + left + 1.5))),
            ] {
                match value {
                    Some((low, high)) => facts.between(&key, column, low, high),
                    None => facts.missing(&key, column),
                }
            }
        }
    }
    facts
}

/// A network with two ends, whose left one has addresses.
pub(crate) fn two_ends() {
    ip("link add left type veth peer name right");
    for line in [
        "link set left addrgenmode none",
        "link set right addrgenmode none",
        "link set left up",
        "link set right up",
        "addr add 10.9.0.1/24 dev left",
        "addr add fd00::1/64 dev left nodad",
    ] {
        ip(line);
    }
}

#[test]
fn root_routes_of_all_kinds_are_what_ip_says() {
    in_own_network(|| {
        two_ends();
        for line in [
            "route add default via 10.9.0.254",
            "route add 10.1.0.0/16 via 10.9.0.2 proto bgp metric 20",
            "route add 10.1.0.0/16 via 10.9.0.3 proto ospf metric 110",
            "route add 10.2.0.0/16 nexthop via 10.9.0.2 weight 3 nexthop via 10.9.0.3 onlink dev left",
            "nexthop add id 7 via 10.9.0.9 dev left",
            "nexthop add id 8 via 10.9.0.8 dev left",
            "nexthop add id 9 group 7,3/8",
            "nexthop add id 10 blackhole",
            "route add 10.3.0.0/16 nhid 7",
            "route add 10.6.0.0/16 nhid 9",
            "route add 10.7.0.0/16 nhid 10",
            "route add blackhole 10.4.0.0/16 table 99 tos 8 metric 5 proto 77",
            "route add unreachable 10.4.0.0/17 table 100000",
            "route add prohibit 192.0.2.7 proto static",
            "route add throw 10.8.0.0/16 table 99",
            "route add 10.5.0.0/16 via inet6 fd00::4 dev left onlink src 10.9.0.1",
            "-6 route add default via fd00::fe metric 7 proto ra expires 1800",
            "-6 route add fd01::/64 nexthop via fd00::2 weight 2 nexthop via fd00::3",
            "-6 route add fd02::/64 from fd00:5::/64 via fd00::2 pref high src fd00::1",
            "-6 route add fd03::/48 dev right pref low",
            "-6 route add unreachable fd04::/64 metric 4294967295",
        ] {
            ip(line);
        }
        let mut table = Parity::of("route", &KEY).wanting(&[], &[]);
        table.agrees(route_facts);
        table.left_out(&["destination", "index", "netns", "prefix", "source", "table", "tos"]);
        let facts = route_facts();
        assert_eq!(table.keys().len(), facts.rows(), "{:?}", table.keys());
        assert!(facts.rows() >= 25, "{:?}", table.keys());
        // who filters by a protocol is given no others
        let only = Parity::of("route", &KEY).only("protocol == \"bgp\"");
        assert_eq!(only.keys().into_iter().collect::<Vec<_>>(), ["main 10.1.0.0 16 Missing 0 20 left"]);
    });
}

#[test]
fn root_routes_over_objects_are_resolved_where_the_kernel_does_not() {
    in_own_network(|| {
        two_ends();
        for line in [
            "nexthop add id 7 via 10.9.0.9 dev left",
            "nexthop add id 8 via 10.9.0.8 dev left",
            "nexthop add id 9 group 7,3/8",
            "route add 10.3.0.0/16 nhid 7",
            "route add 10.6.0.0/16 nhid 9",
        ] {
            ip(line);
        }
        let table = || Parity::of("route", &["destination", "gateway", "hops", "next_hops"]).wanting(&[], &[]).keys();
        let told = table();
        assert!(told.contains("10.3.0.0 10.9.0.9 1 Missing"), "{told:?}");
        let both = "10.6.0.0 Missing 2 via 10.9.0.9 dev left weight 3, via 10.9.0.8 dev left weight 1";
        assert!(told.contains(both), "{told:?}");
        std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap();
        assert_eq!(table(), told);
    });
}

/// A span of numbers, as `ip` tells its ends.
fn span(rule: &Value, one: &str, first: &str, last: &str) -> Option<String> {
    let ends = || Some(format!("{}-{}", rule[first].as_u64()?, rule[last].as_u64()?));
    rule[one].as_u64().map(|one| one.to_string()).or_else(ends)
}

fn hexadecimal(rule: &Value, name: &str) -> Option<f64> {
    let digits = text(rule, name)?.trim_start_matches("0x");
    Some(f64::from(u32::from_str_radix(digits, 16).unwrap()))
}

fn rule_facts() -> Facts {
    let mut facts = Facts::default();
    for (family, option) in [("inet", "-4"), ("inet6", "-6")] {
        let mut before = None;
        let mut place = 0;
        for rule in list(&said_json("ip", &["-j", "-d", option, "rule"])) {
            let priority = rule["priority"].as_u64().unwrap();
            place = if before == Some(priority) { place + 1 } else { 0 };
            before = Some(priority);
            let key = format!("{family} {priority} {place}");
            let has = |name: &str| rule.get(name).is_some();
            let action = match text(rule, "action") {
                Some(action) => action,
                None if has("goto") => "goto",
                None if has("nop") => "nop",
                None => "table",
            };
            facts.text(&key, "action", action);
            facts.text(&key, "protocol", text(rule, "protocol").unwrap());
            let network = |name: &str, bits: &str| {
                let all = if family == "inet" { 32 } else { 128 };
                let address = text(rule, name).filter(|address| *address != "all")?;
                Some(format!("{address}/{}", rule[bits].as_u64().unwrap_or(all)))
            };
            let flags = ["not", "unresolved", "iif_detached", "oif_detached", "l3mdev"];
            let flags: Vec<&str> = flags.into_iter().filter(|flag| has(flag)).collect();
            for (column, value) in [
                ("table", text(rule, "table").map(str::to_owned)),
                ("source", network("src", "srclen")),
                ("destination", network("dst", "dstlen")),
                ("input", text(rule, "iif").map(str::to_owned)),
                ("output", text(rule, "oif").map(str::to_owned)),
                ("ip_protocol", text(rule, "ipproto").map(str::to_owned)),
                ("source_port", span(rule, "sport", "sport_start", "sport_end")),
                ("destination_port", span(rule, "dport", "dport_start", "dport_end")),
                ("users", span(rule, "uid", "uid_start", "uid_end")),
                ("flags", (!flags.is_empty()).then(|| flags.join(","))),
            ] {
                match value {
                    Some(value) => facts.text(&key, column, &value),
                    None => facts.missing(&key, column),
                }
            }
            let hex = |name: &str| hexadecimal(rule, name);
            for (column, value) in [
                ("goto", rule["goto"].as_f64()),
                ("mark", hex("fwmark")),
                // ip leaves it out where all bits count
                ("mask", hex("fwmask").or_else(|| hex("fwmark").map(|_| f64::from(u32::MAX)))),
                ("tos", hex("tos")),
                ("suppress_prefix", rule["suppress_prefixlen"].as_f64()),
                ("suppress_group", text(rule, "suppress_ifgroup").and_then(|group| group.parse().ok())),
            ] {
                match value {
                    Some(value) => facts.number(&key, column, value),
                    None => facts.missing(&key, column),
                }
            }
        }
    }
    facts
}

#[test]
fn root_policy_rules_are_what_ip_says() {
    in_own_network(|| {
        two_ends();
        for line in [
            "rule add fwmark 0x1/0xff from 10.0.0.0/8 to 192.0.2.0/24 iif left oif nosuch ipproto tcp sport 80-90 dport 443 \
             table 99 pref 100 protocol bgp",
            "rule add not from 1.2.3.4 uidrange 5-9 lookup main suppress_prefixlength 0 suppress_ifgroup 4 pref 200",
            "rule add fwmark 7 iif nosuch unreachable pref 200",
            "rule add goto 32766 pref 50",
            "rule add goto 31000 pref 51",
            "rule add blackhole tos 0x10 pref 300",
            "rule add prohibit to 198.51.100.7 pref 301",
            "rule add nop pref 302 protocol static",
            "rule add l3mdev pref 1000 protocol kernel",
            "-6 rule add to fd00::/8 table 5000 pref 77",
            "-6 rule add from fd00::1 ipproto udp dport 53 table local pref 78",
        ] {
            ip(&line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        let mut table = Parity::of("rule", &["family", "priority", "place"]).wanting(&[], &[]);
        table.agrees(rule_facts);
        table.left_out(&["family", "netns", "place", "priority"]);
        assert_eq!(table.keys().len(), rule_facts().rows(), "{:?}", table.keys());
    });
}

#[test]
fn root_routes_of_each_protocol_are_as_many_as_ip_lists() {
    in_own_network(|| {
        two_ends();
        for number in 0..40 {
            let protocol = ["bgp", "ospf", "static"][number % 3];
            ip(&format!("route add 10.20.{number}.0/24 via 10.9.0.2 proto {protocol}"));
        }
        let mut table = Parity::of("route_churn", &["family", "protocol"]);
        table.agrees(|| {
            let mut facts = Facts::default();
            for (family, option) in [("inet", "-4"), ("inet6", "-6")] {
                let mut counts = std::collections::BTreeMap::<String, f64>::new();
                for route in list(&said_json("ip", &["-j", "-d", option, "route", "show", "table", "all"])) {
                    *counts.entry(text(route, "protocol").unwrap().to_owned()).or_default() += 1.0;
                }
                for (protocol, count) in counts {
                    facts.number(&format!("{family} {protocol}"), "routes", count);
                }
            }
            facts
        });
        // the kernel keeps no such counts
        table.left_out(&["added", "deleted", "family", "netns", "overruns", "protocol", "replaced"]);
    });
}

#[test]
fn root_tables_of_routes_are_as_large_as_ip_lists_them() {
    in_own_network(|| {
        two_ends();
        ip("rule add table 99");
        for line in [
            "route add 10.4.0.0/16 dev left table 99",
            "route add 10.20.1.0/24 via 10.9.0.2",
            "route add 10.20.1.0/25 via 10.9.0.2",
            "route add 10.20.1.0/24 via 10.9.0.3 metric 7",
        ] {
            ip(line);
        }
        let mut table = Parity::of("fib", &["table"]).wanting(&[], &[]);
        table.agrees(|| {
            let mut facts = Facts::default();
            for name in ["99", "main", "local"] {
                let told = said_json("ip", &["-j", "-4", "route", "show", "table", name]);
                let first = |route: &Value| text(route, "dst").unwrap().split('/').next().unwrap().to_owned();
                let leaves: std::collections::BTreeSet<String> = list(&told).iter().map(first).collect();
                facts.number(name, "prefixes", list(&told).len() as f64);
                facts.number(name, "leaves", leaves.len() as f64);
                // so few take no more
                facts.number(name, "size", 1024.0);
            }
            // the only destination has nothing above it
            for column in ["nodes", "pointers", "null_pointers", "mean_depth", "max_depth"] {
                facts.number("99", column, 0.0);
            }
            facts
        });
        // only some kernels count what they were asked
        table.left_out(&["backtracks", "gets", "netns", "table"]);
    });
}
