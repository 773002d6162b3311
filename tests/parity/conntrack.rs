//! Tracked connections: `conntrack` and `sysctl`.

use super::bracket::{Facts, Parity};
use super::network::in_own_network;
use super::said;

fn conntrack(line: &str) -> String {
    said("conntrack", &line.split(' ').collect::<Vec<_>>())
}

/// A tracker that has something to track, and connections that a program made.
fn some_connections() {
    said("nft", &["add table inet t; add chain inet t c { type filter hook output priority 0; }"]);
    said("nft", &["add rule inet t c ct state invalid counter"]);
    for port in 1..=30 {
        conntrack(&format!("-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport {port} --dport 53 -t 300"));
    }
}

/// What `conntrack -S` says of each CPU, with the names of our columns: they are its own.
fn statistics() -> Vec<(String, Vec<(String, f64)>)> {
    let line = |line: &str| {
        let mut pairs = line.split_whitespace().map(|pair| pair.split_once('=').unwrap());
        let (name, cpu) = pairs.next().unwrap();
        assert_eq!(name, "cpu", "{line}");
        (cpu.to_owned(), pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect())
    };
    conntrack("-S").lines().map(line).collect()
}

#[test]
fn root_the_table_of_connections_is_what_conntrack_and_sysctl_say() {
    in_own_network(|| {
        some_connections();
        said("sysctl", &["-w", "net.netfilter.nf_conntrack_acct=1"]);
        let mut table = Parity::of("conntrack", &["netns"]);
        table.agrees(|| {
            let mut facts = Facts::default();
            facts.number("host", "count", conntrack("-C").trim().parse().unwrap());
            let setting = |name: &str| said("sysctl", &["-n", &format!("net.netfilter.nf_conntrack_{name}")]);
            let number = |name: &str| setting(name).trim().parse::<f64>().unwrap();
            facts.number("host", "max", number("max"));
            facts.number("host", "buckets", number("buckets"));
            facts.number("host", "fill", 30.0 / number("max"));
            facts.text("host", "accounting", "true");
            facts.text("host", "timestamps", "false");
            let cpus = statistics();
            for (name, _) in &cpus[0].1 {
                let value =
                    |row: &(String, Vec<(String, f64)>)| row.1.iter().find(|(known, _)| known == name).unwrap().1;
                facts.number("host", name, cpus.iter().map(value).sum());
            }
            facts
        });
        table.left_out(&["netns", "until_full"]);
        let rows = table.rows();
        let insert = rows.cell(0, rows.table().position("insert").unwrap()).number();
        assert_eq!(insert, Some(30.0), "each of them was put there by a program");
    });
}

#[test]
fn root_the_statistics_of_each_cpu_are_what_conntrack_says() {
    in_own_network(|| {
        some_connections();
        let mut table = Parity::of("conntrack_cpu", &["cpu"]).wanting(&[], &[]);
        table.agrees(|| {
            let mut facts = Facts::default();
            for (cpu, counters) in statistics() {
                for (name, value) in counters {
                    facts.number(&cpu, &name, value);
                }
            }
            facts
        });
        table.left_out(&["cpu", "netns"]);
    });
}
