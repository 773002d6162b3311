//! Queueing disciplines and their classes: `tc -s qdisc` and `tc -s class`.

use std::net::UdpSocket;

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip, list};
use super::{said, said_json};

fn tc(line: &str) {
    said("tc", &line.split_whitespace().collect::<Vec<_>>());
}

/// A link that sends slowly what goes to one port, and packets that wait in it.
fn make() {
    ip("link add left type veth peer name right");
    for line in ["link set left up", "link set right up", "addr add 10.9.0.1/24 dev left"] {
        ip(line);
    }
    ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev left");
    for line in [
        "qdisc add dev left root handle 1: htb default 20",
        "class add dev left parent 1: classid 1:1 htb rate 8mbit",
        "class add dev left parent 1:1 classid 1:10 htb rate 1mbit",
        "class add dev left parent 1:1 classid 1:20 htb rate 8kbit ceil 8kbit burst 1500 quantum 1500",
        "qdisc add dev left parent 1:20 handle 20: bfifo limit 4000",
        "qdisc add dev right root tbf rate 1mbit burst 10k latency 10ms",
        "qdisc add dev right ingress",
    ] {
        tc(line);
    }
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..20 {
        let _ = socket.send_to(&[0; 500], "10.9.0.2:9");
    }
}

fn qdisc_facts() -> Facts {
    let mut facts = Facts::default();
    for qdisc in list(&said_json("tc", &["-s", "-j", "qdisc"])) {
        let text = |name: &str| qdisc[name].as_str();
        let parent = text("parent").unwrap_or("root");
        let key = format!("{} {} {parent}", text("dev").unwrap(), text("handle").unwrap());
        facts.text(&key, "interface", text("dev").unwrap());
        facts.text(&key, "kind", text("kind").unwrap());
        facts.text(&key, "offloaded", "false");
        for column in ["bytes", "packets", "drops", "overlimits", "requeues", "backlog", "qlen"] {
            facts.number(&key, column, qdisc[column].as_f64().unwrap_or_else(|| panic!("{column}: {qdisc}")));
        }
    }
    facts
}

#[test]
fn root_queueing_disciplines_have_counted_what_tc_says() {
    in_own_network(|| {
        make();
        let mut table = Parity::of("qdisc", &["interface", "handle", "parent"]).wanting(&[], &[]);
        table.agrees(qdisc_facts);
        table.left_out(&["handle", "index", "netns", "parent"]);
        let rows = table.rows();
        let at = |column: &str| rows.table().position(column).unwrap();
        let fifo = (0..rows.len()).find(|row| rows.cell(*row, at("handle")).text() == Some("20:")).unwrap();
        for column in ["drops", "backlog", "qlen"] {
            assert!(rows.cell(fifo, at(column)).number() > Some(0.0), "{column}");
        }
    });
}

/// What stands before a word, as a number.
fn before(line: &str, word: &str) -> f64 {
    let words: Vec<&str> = line.split([' ', ',', '(', ')']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|known| *known == word).unwrap_or_else(|| panic!("{word}: {line}"));
    words[at - 1].parse().unwrap()
}

/// What stands behind a word.
fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let mut words = line.split([' ', ',', '(', ')']).filter(|word| !word.is_empty());
    words.find(|known| *known == word)?;
    words.next()
}

/// `4000b` and `2K`: `tc` rounds from some thousand on.
fn bytes(text: &str) -> (f64, f64) {
    match text.strip_suffix("Kb") {
        Some(thousands) => {
            let thousands: f64 = thousands.parse().unwrap();
            (thousands * 1024.0 - 1024.0, thousands * 1024.0 + 1024.0)
        }
        None => [text.trim_end_matches('b').parse().unwrap(); 2].into(),
    }
}

#[test]
fn root_classes_have_counted_what_tc_says() {
    in_own_network(|| {
        make();
        let mut table = Parity::of("class", &["interface", "handle"]).wanting(&[], &[]);
        table.agrees(|| {
            let mut facts = Facts::default();
            let told = said("tc", &["-s", "class", "show", "dev", "left"]);
            for class in told.split("\n\n").filter(|class| !class.trim().is_empty()) {
                let lines: Vec<&str> = class.trim().lines().collect();
                let words: Vec<&str> = lines[0].split_whitespace().collect();
                let key = format!("left {}", words[2]);
                facts.text(&key, "interface", "left");
                facts.text(&key, "kind", words[1]);
                facts.text(&key, "parent", after(lines[0], "parent").unwrap_or("root"));
                match after(lines[0], "leaf") {
                    Some(leaf) => facts.text(&key, "leaf", leaf),
                    None => facts.missing(&key, "leaf"),
                }
                facts.number(&key, "bytes", before(lines[1], "bytes"));
                facts.number(&key, "packets", before(lines[1], "pkt"));
                for (column, word) in [("drops", "dropped"), ("overlimits", "overlimits"), ("requeues", "requeues")] {
                    facts.number(&key, column, after(lines[1], word).unwrap().parse().unwrap());
                }
                let (low, high) = bytes(after(lines[2], "backlog").unwrap());
                facts.between(&key, "backlog", low, high);
                let waiting = lines[2].split_whitespace().nth(2).unwrap().trim_end_matches('p');
                facts.number(&key, "qlen", waiting.parse().unwrap());
            }
            facts
        });
        table.left_out(&["handle", "index", "netns"]);
        let left: Vec<_> = table.keys().into_iter().filter(|key| key.starts_with("left")).collect();
        assert_eq!(left, ["left 1:1", "left 1:10", "left 1:20"]);
    });
}
