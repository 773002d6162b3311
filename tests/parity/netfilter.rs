//! Queues, logs, named counters, timeout policies and the proxy for SYN packets: `nfacct`, `nfct`, `sysctl`, and a queue and
//! a log that this test holds itself.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use netglance::source::netlink::attr::push;
use netglance::source::netlink::nfnetlink::{Header, Subsystem};
use netglance::source::netlink::{Family, Socket};

use super::bracket::{Facts, Parity};
use super::network::in_own_network;
use super::said;

fn rules(rules: &str) {
    said("sh", &["-c", &format!("nft -f - <<'END'\n{rules}\nEND")]);
}

/// Sends datagrams of 100 bytes; what rules do with them is no matter.
fn send(port: u16, count: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..count {
        let _ = socket.send_to(&[7; 72], ("127.0.0.1", port));
    }
}

/// Tells a queue or a log of this number something: type of the attribute and what is in it.
fn configure(socket: &mut Socket, subsystem: Subsystem, message: u8, number: u16, attributes: &[(u16, &[u8])]) {
    let mut request = subsystem.request(message, Header { family: 0, resource: number }, "configuration");
    for (kind, bytes) in attributes {
        push(&mut request.body, *kind, bytes);
    }
    socket.ask(&request, |_| Ok(())).unwrap();
}

/// Facts about the program that this test is.
fn own_process(facts: &mut Facts, row: &str) {
    facts.number(row, "pid", f64::from(std::process::id()));
    facts.text(row, "process", std::fs::read_to_string("/proc/self/comm").unwrap().trim_end());
}

#[test]
fn root_a_queue_tells_its_program_and_what_waits_and_was_dropped() {
    // NFQNL_MSG_CONFIG; NFQA_CFG_CMD, NFQA_CFG_PARAMS, NFQA_CFG_QUEUE_MAXLEN
    const CONFIG: u8 = 2;
    in_own_network(|| {
        let mut table = Parity::of("nfqueue", &["queue"]).wanting(&[], &[]);
        assert!(table.keys().is_empty());
        // sockets of others, so that the number of the port is not that of the process
        let _other = Socket::open(Family::Netfilter).unwrap();
        let mut socket = Socket::open(Family::Netfilter).unwrap();
        let range = [&1000_u32.to_be_bytes()[..], &[2]].concat();
        configure(&mut socket, Subsystem::Queue, CONFIG, 7, &[(1, &[1, 0, 0, 2])]);
        configure(&mut socket, Subsystem::Queue, CONFIG, 7, &[(2, &range), (3, &4_u32.to_be_bytes())]);
        configure(&mut socket, Subsystem::Queue, CONFIG, 65000, &[(1, &[1, 0, 0, 2])]);
        said(
            "iptables-legacy",
            &"-A OUTPUT -p udp --dport 9000 -j NFQUEUE --queue-num 7".split(' ').collect::<Vec<_>>(),
        );
        send(9000, 10);
        let counted = said("iptables-legacy", &["-L", "OUTPUT", "-v", "-n", "-x"]);
        assert!(counted.lines().any(|line| line.split_whitespace().take(3).eq(["10", "1000", "NFQUEUE"])), "{counted}");
        table.agrees(|| {
            let mut facts = Facts::default();
            own_process(&mut facts, "7");
            own_process(&mut facts, "65000");
            for (column, number) in
                [("waiting", 4.0), ("dropped", 6.0), ("user_dropped", 0.0), ("packets", 4.0), ("copy_range", 1000.0)]
            {
                facts.number("7", column, number);
            }
            facts.text("7", "copy_mode", "packet");
            facts.text("65000", "copy_mode", "none");
            facts.number("65000", "waiting", 0.0);
            facts
        });
        table.left_out(&["netns", "port", "queue"]);
        drop(socket);
        assert!(table.keys().is_empty(), "a queue ends with its program");
    });
}

#[test]
fn root_a_log_tells_its_program_and_what_it_collects() {
    // NFULNL_MSG_CONFIG; NFULA_CFG_CMD, NFULA_CFG_MODE, NFULA_CFG_TIMEOUT, NFULA_CFG_QTHRESH
    const CONFIG: u8 = 1;
    in_own_network(|| {
        let mut socket = Socket::open(Family::Netfilter).unwrap();
        let mode = [&500_u32.to_be_bytes()[..], &[2, 0]].concat();
        configure(&mut socket, Subsystem::Log, CONFIG, 5, &[(1, &[1])]);
        let rest: [(u16, &[u8]); 3] = [(2, &mode), (4, &30_000_u32.to_be_bytes()), (5, &100_u32.to_be_bytes())];
        configure(&mut socket, Subsystem::Log, CONFIG, 5, &rest);
        rules(
            "table ip t { chain c { type filter hook output priority 0; udp dport 9001 log group 5 queue-threshold 100\n}\n}",
        );
        send(9001, 3);
        let mut table = Parity::of("nflog", &["group"]).wanting(&[], &[]);
        table.agrees(|| {
            let mut facts = Facts::default();
            own_process(&mut facts, "5");
            facts.number("5", "waiting", 3.0);
            facts.number("5", "copy_range", 500.0);
            facts.text("5", "copy_mode", "packet");
            facts.number("5", "flush", 300.0);
            facts
        });
        table.left_out(&["group", "netns", "port", "references"]);
    });
}

#[test]
fn root_named_counters_are_what_nfacct_says() {
    in_own_network(|| {
        for line in ["add web", "add bytes byte 500", "add packets packet 3"] {
            said("nfacct", &line.split(' ').collect::<Vec<_>>());
        }
        for (name, port) in [("web", "9002"), ("bytes", "9003"), ("packets", "9004")] {
            let line = format!("-A OUTPUT -p udp --dport {port} -m nfacct --nfacct-name {name}");
            said("iptables-legacy", &line.split(' ').collect::<Vec<_>>());
        }
        send(9002, 7);
        send(9003, 9);
        send(9004, 2);
        let mut table = Parity::of("nfacct", &["name"]).wanting(&[], &[]);
        table.agrees(|| {
            let mut facts = Facts::default();
            for line in said("nfacct", &["list"]).lines() {
                let (inside, name) = line.split_once(" } = ").unwrap();
                let name = name.trim_end_matches(';');
                let of = |key: &str| {
                    let pairs = inside.trim_start_matches("{ ").split(", ").filter_map(|pair| pair.split_once(" = "));
                    pairs.into_iter().find(|(known, _)| *known == key).map(|(_, value)| value.to_owned())
                };
                let number = |key: &str| of(key).unwrap().parse::<f64>().unwrap();
                facts.number(name, "packets", number("pkts"));
                facts.number(name, "bytes", number("bytes"));
                let (quota, none) = match of("mode").as_deref() {
                    None => (None, &["quota_bytes", "quota_packets"][..]),
                    Some("byte") => (Some("quota_bytes"), &["quota_packets"][..]),
                    Some(_) => (Some("quota_packets"), &["quota_bytes"][..]),
                };
                for column in none {
                    facts.missing(name, column);
                }
                if let Some(quota) = quota {
                    facts.number(name, quota, number("quota"));
                    facts.text(name, "over", if of("overquota").unwrap() == "yes" { "true" } else { "false" });
                }
            }
            facts
        });
        table.left_out(&["name", "netns", "references"]);
        Parity::of("nfacct", &["name"]).wanting(&[], &[]).agrees(|| {
            let mut facts = Facts::default();
            for (name, packets) in [("web", 7.0), ("bytes", 9.0), ("packets", 2.0)] {
                facts.number(name, "packets", packets);
                facts.number(name, "bytes", packets * 100.0);
                // the rule and the counter itself
                facts.number(name, "references", 2.0);
            }
            facts
        });
    });
}

#[test]
fn root_policies_for_timeouts_are_what_nfct_says() {
    in_own_network(|| {
        for line in [
            "add t1 inet tcp established 100 close 10",
            "add t2 inet6 udp unreplied 10 replied 20",
            "add t3 inet generic timeout 20",
            "add t4 inet sctp established 77",
            "add t6 inet icmp timeout 5",
        ] {
            said("nfct", &[&["timeout"], &line.split(' ').collect::<Vec<_>>()[..]].concat());
        }
        let mut table = Parity::of("ct_timeout", &["name", "state"]).wanting(&[], &[]);
        let listed = || {
            let (mut facts, mut name, mut head) = (Facts::default(), String::new(), [String::new(), String::new()]);
            for line in said("nfct", &["timeout", "list"]).lines() {
                let Some((key, value)) = line.split_once(" = ") else { continue };
                let (key, value) = (key.trim().trim_start_matches('.'), value.trim_end_matches(','));
                match key {
                    "l3proto" => head[0] = if value == "2" { "ip" } else { "ip6" }.to_owned(),
                    "l4proto" => {
                        let names = [("6", "tcp"), ("17", "udp"), ("255", "generic"), ("132", "sctp")];
                        let name = names.iter().find(|(number, _)| *number == value).map_or("icmp", |(_, name)| name);
                        name.clone_into(&mut head[1]);
                    }
                    "policy" => {}
                    _ if value == "{" => key.clone_into(&mut name),
                    state => {
                        let row = format!("{name} {}", state.to_lowercase());
                        facts.number(&row, "timeout", value.parse().unwrap());
                        facts.text(&row, "family", &head[0]);
                        facts.text(&row, "protocol", &head[1]);
                    }
                }
            }
            facts
        };
        table.agrees(listed);
        table.left_out(&["name", "netns", "references", "state"]);
        // it does not list every state of SCTP
        assert!(listed().rows() > 11 + 2 + 1 + 7, "{:?}", listed());
        assert!(table.keys().len() >= listed().rows());
    });
}

#[test]
fn root_the_proxy_for_syn_packets_has_counted_what_its_rule_has() {
    in_own_network(|| {
        rules(
            "table ip s {
                chain out { type filter hook output priority -300; tcp dport 8888 tcp flags syn notrack\n }
                chain in { type filter hook input priority 0
                    tcp dport 8888 tcp flags syn ct state untracked counter synproxy mss 1460 wscale 7 timestamp sack-perm
                }
            }",
        );
        for _ in 0..3 {
            // nobody listens behind it
            let _ = TcpStream::connect_timeout(&"127.0.0.1:8888".parse().unwrap(), Duration::from_millis(50));
        }
        let mut table = Parity::of("synproxy", &["netns"]).wanting(&[], &[]);
        table.agrees(|| {
            let list = said("nft", &["list", "ruleset"]);
            let counted = list.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            let counted: f64 = counted.parse().unwrap();
            assert!(counted >= 3.0, "{list}");
            let mut facts = Facts::default();
            facts.number("host", "syn_received", counted);
            // nothing has come back to it
            for column in ["cookie_valid", "cookie_invalid", "cookie_retrans", "conn_reopened"] {
                facts.number("host", column, 0.0);
            }
            facts
        });
        table.left_out(&["netns"]);
    });
}

#[test]
fn root_who_logs_packets_is_what_sysctl_says() {
    in_own_network(|| {
        let mut table = Parity::of("nf_log", &["family"]).wanting(&[], &[]);
        table.agrees(|| {
            let mut facts = Facts::default();
            for (family, number) in [("inet", 1), ("ip", 2), ("arp", 3), ("netdev", 5), ("bridge", 7), ("ip6", 10)] {
                match said("sysctl", &["-n", &format!("net.netfilter.nf_log.{number}")]).trim() {
                    "NONE" => facts.missing(family, "logger"),
                    name => facts.text(family, "logger", name),
                }
            }
            facts
        });
        table.left_out(&["available", "family", "netns"]);
        assert_eq!(table.keys().len(), 6);
    });
}
