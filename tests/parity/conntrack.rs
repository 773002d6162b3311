//! Tracked connections: `conntrack` and `sysctl`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketType, ipproto};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities};

use netglance::collect::{Batch, COLLECTORS, Cx, Wants};
use netglance::model::{Demand, Mono, Owners, Sample, State, Text, Timestamp, Value};
use netglance::source::file::Roots;
use netglance::store::expr::Filter;
use netglance::store::query::{self, Query};
use netglance::store::rate::{Mode, View};

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip};
use super::said;
use super::support::process::Guard;
use super::support::space::{mount, within};

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
        table.left_out(&["ended", "netns", "new", "overruns", "until_full"]);
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

/// Rules that give connections zones, marks, labels and other addresses.
const RULES: &str = "
table inet r {
  chain zones {
    type filter hook output priority -300
    udp dport 7100 ct zone set 7
    udp dport 7200 ct original zone set 8
  }
  chain words {
    type filter hook output priority 0
    udp dport 7300 ct mark set 0x2a
    udp dport 7300 ct label set 5
    udp dport 7300 ct label set 127
    udp dport 7600 ct label set 0
  }
}
table ip n {
  chain out { type nat hook output priority -100
    udp dport 7400 dnat to 127.0.0.1:7500
  }
  chain post { type nat hook postrouting priority 100
    udp dport 7600 snat to 127.0.0.9
  }
}
table ip6 n {
  chain out { type nat hook output priority -100
    udp dport 7400 dnat to [::1]:7500
  }
}
";

/// A question of 100 bytes, and an answer of 50 where `listens` is told.
fn talk(host: &str, port: u16, listens: Option<u16>) {
    let bound = UdpSocket::bind((host, listens.unwrap_or(port))).unwrap();
    let client = UdpSocket::bind((host, 0)).unwrap();
    for socket in [&bound, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    client.send_to(&[b'x'; 100], (host, port)).unwrap();
    if listens.is_some() {
        let (_, from) = bound.recv_from(&mut [0; 200]).unwrap();
        bound.send_to(&[b'y'; 50], from).unwrap();
        assert_eq!(client.recv(&mut [0; 200]).unwrap(), 50);
    }
}

/// Asks for an echo, with an identifier that the kernel chooses.
fn ping(family: AddressFamily, protocol: Protocol, to: &SocketAddr, kind: u8) {
    said("sysctl", &["-w", "net.ipv4.ping_group_range=0 0"]);
    let socket = rustix::net::socket(family, SocketType::DGRAM, Some(protocol)).unwrap();
    rustix::net::sendto(&socket, &[kind, 0, 0, 0, 0, 0, 0, 1], SendFlags::empty(), to).unwrap();
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(5))).unwrap();
    rustix::net::recv(&socket, &mut [0; 64][..], RecvFlags::empty()).unwrap();
}

/// Connections of every kind, some with traffic and some made by a program.
fn many_kinds() {
    for name in ["acct", "timestamp"] {
        said("sysctl", &["-w", &format!("net.netfilter.nf_conntrack_{name}=1")]);
    }
    let rules = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(rules.path(), RULES).unwrap();
    said("nft", &["-f", rules.path().to_str().unwrap()]);
    for (host, port, listens) in [
        ("127.0.0.1", 7100, None),
        ("127.0.0.1", 7200, Some(7200)),
        ("127.0.0.1", 7300, Some(7300)),
        ("127.0.0.1", 7400, Some(7500)),
        ("127.0.0.1", 7600, Some(7600)),
        ("::1", 7400, Some(7500)),
    ] {
        talk(host, port, listens);
    }
    let ends = "-s 192.0.2.1 -d 198.51.100.1 -t 300";
    for line in [
        "-p tcp --sport 1000 --dport 80 --state ESTABLISHED -u ASSURED,SEEN_REPLY -n 203.0.113.5 -g 10.1.1.1 -m 9",
        "-p gre --srckey 5 --dstkey 6",
        "-p sctp --orig-port-src 3 --orig-port-dst 4 --state COOKIE_WAIT --orig-vtag 1 --reply-vtag 2",
        "-p 50",
    ] {
        conntrack(&format!("-I {line} {ends}"));
    }
    let v6 = "-s 2001:db8::1 -d 2001:db8::2 -t 300";
    conntrack(&format!("-I -p tcp --sport 1001 --dport 443 --state TIME_WAIT -u SEEN_REPLY -w 3 {v6}"));
    conntrack("-I -p udp -s ::1.2.3.4 -d 2001:db8::2 --sport 1002 --dport 53 -t 300");
    ping(AddressFamily::INET, ipproto::ICMP, &"127.0.0.1:0".parse().unwrap(), 8);
    ping(AddressFamily::INET6, ipproto::ICMPV6, &"[::1]:0".parse().unwrap(), 128);
}

/// What stands in an element of XML.
fn inside<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    rest.split_once(&format!("</{element}>")).map(|(inside, _)| inside)
}

/// A number in an element, decimal or as `0x5`.
fn number_in(text: &str, element: &str) -> Option<f64> {
    let text = inside(text, element)?;
    let hex = text.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16).unwrap() as f64);
    Some(hex.unwrap_or_else(|| text.parse().unwrap()))
}

fn maybe(facts: &mut Facts, row: &str, column: &str, number: Option<f64>) {
    match number {
        Some(number) => facts.number(row, column, number),
        None => facts.missing(row, column),
    }
}

/// One direction: the columns of `reply` begin with it.
fn direction_facts(facts: &mut Facts, id: &str, part: &str, prefix: &str) {
    let column = |name: &str| format!("{prefix}{name}");
    facts.text(id, &column("source"), inside(part, "src").unwrap());
    facts.text(id, &column("destination"), inside(part, "dst").unwrap());
    for (name, elements) in [("source_port", ["sport", "srckey"]), ("destination_port", ["dport", "dstkey"])] {
        let port = elements.into_iter().find_map(|element| number_in(part, element));
        maybe(facts, id, &column(name), port);
    }
    maybe(facts, id, &column("packets"), number_in(part, "packets"));
    maybe(facts, id, &column("bytes"), number_in(part, "bytes"));
}

/// What only the form for people has: type, code and identifier of ICMP.
fn icmp_facts(facts: &mut Facts) {
    for line in conntrack("-L -o id").lines() {
        let values = |name: &str| -> Vec<f64> {
            let values = line.split_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            values.map(|value| value.parse().unwrap()).collect()
        };
        // the last is that of the connection
        let id = format!("{:.0}", values("id").last().unwrap());
        for name in ["type", "code", "id"] {
            let values = if line.contains("type=") { values(name) } else { Vec::new() };
            maybe(facts, &id, &format!("icmp_{name}"), values.first().copied());
            maybe(facts, &id, &format!("reply_icmp_{name}"), values.get(1).copied());
        }
    }
}

/// Labels of connections by their names: `conntrack` has no others.
const LABELS: [(u8, &str); 3] = [(0, "least"), (5, "some"), (127, "most")];

/// Runs in a network of its own, where `conntrack` knows the names of labels.
fn with_labels(test: impl FnOnce() + Send) {
    within(UnshareFlags::NEWNET, || {
        ip("link set lo up");
        mount("none", Path::new("/etc"), "tmpfs", 0, "");
        std::fs::create_dir("/etc/xtables").unwrap();
        let lines = LABELS.map(|(bit, name)| format!("{bit} {name}\n"));
        std::fs::write("/etc/xtables/connlabel.conf", lines.concat()).unwrap();
        test();
    });
}

/// Numbers of the labels of a connection, as the table has them.
fn label_facts(facts: &mut Facts, id: &str, both: &str) {
    let Some(labels) = inside(both, "labels") else { return facts.missing(id, "labels") };
    let has = |(_, name): &&(u8, &str)| labels.contains(&format!("<label>{name}</label>"));
    let numbers: Vec<_> = LABELS.iter().filter(has).map(|(bit, _)| bit.to_string()).collect();
    assert_eq!(labels.matches("<label>").count(), numbers.len(), "{labels}");
    facts.text(id, "labels", &numbers.join(","));
}

fn flow_facts() -> Facts {
    let mut facts = Facts::default();
    icmp_facts(&mut facts);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let xml = conntrack("-L -o xml,id,labels,timestamp,ktimestamp");
    for flow in xml.split("<flow>").skip(1) {
        let parts: Vec<&str> = flow.split("<meta direction=").collect();
        let [_, original, reply, both] = parts[..] else { panic!("{flow}") };
        let id = inside(both, "id").unwrap();
        direction_facts(&mut facts, id, original, "");
        direction_facts(&mut facts, id, reply, "reply_");
        let protocol = original.split_once("protoname=\"ipv").unwrap().1.split_once("protonum=\"").unwrap().1;
        let (number, name) = protocol.split_once("\" protoname=\"").unwrap();
        let name = name.split('"').next().unwrap();
        facts.text(id, "protocol", if name == "unknown" { number } else { name });
        let words = [("[UNREPLIED]", "<unreplied/>"), ("[ASSURED]", "<assured/>")];
        let shown = words.into_iter().filter(|(_, element)| both.contains(element)).map(|(word, _)| word);
        facts.text(id, "status", &shown.collect::<Vec<_>>().join(" "));
        match inside(both, "state").filter(|_| name == "tcp") {
            Some(state) => facts.text(id, "state", &state.to_lowercase()),
            // it has the words of TCP for the states of SCTP
            None if name == "sctp" => facts.text(id, "state", "cookie_wait"),
            None => facts.missing(id, "state"),
        }
        let zone = |part: &str| number_in(part, "zone").or(number_in(both, "zone")).unwrap_or(0.0);
        facts.number(id, "zone", zone(original));
        facts.number(id, "reply_zone", zone(reply));
        facts.number(id, "mark", number_in(both, "mark").unwrap());
        let end = now + number_in(both, "timeout").unwrap();
        facts.between(id, "expires", end - 1.5, end + 1.5);
        facts.number(id, "start", number_in(both, "start").unwrap() / 1e9);
        // what differs between the two directions is what was translated
        let translated = |end: &str, other: &str| inside(original, end) != inside(reply, other);
        let ports = number_in(original, "dport").is_some() && number_in(original, "dport") != number_in(reply, "sport");
        let nat = match (translated("src", "dst"), translated("dst", "src") || ports) {
            (false, false) => "none",
            (true, false) => "source",
            (false, true) => "destination",
            (true, true) => "both",
        };
        facts.text(id, "nat", nat);
        facts.text(id, "offload", "none");
        label_facts(&mut facts, id, both);
        match inside(flow, "helper") {
            Some(helper) => facts.text(id, "helper", helper),
            None => facts.missing(id, "helper"),
        }
    }
    facts
}

/// The rows whose cell has this text.
fn count_of(table: &Parity, column: &str, text: &str) -> usize {
    let rows = table.rows();
    let column = rows.table().position(column).unwrap();
    (0..rows.len()).filter(|row| rows.cell(*row, column).text() == Some(text)).count()
}

#[test]
fn root_connections_are_what_conntrack_says_field_by_field() {
    with_labels(|| {
        many_kinds();
        let rules = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(rules.path(), FTP).unwrap();
        said("nft", &["-f", rules.path().to_str().unwrap()]);
        let _open = ["127.0.0.1", "::1"].map(|host| says(host, "NOOP"));
        let mut table = Parity::of("conntrack_flow", &["id"]).wanting(&[], &[]);
        table.agrees(flow_facts);
        // guests: see `owner`
        table.left_out(&["id", "netns", "pid", "process", "reply_vm", "vm"]);
        let facts = flow_facts();
        // an answer that left its zone began a connection of its own
        assert_eq!((table.keys().len(), facts.rows()), (16, 16), "{facts:?}");
        assert_eq!(["5,127", "0"].map(|labels| count_of(&table, "labels", labels)), [1, 1], "two ports get labels");
        assert_eq!(count_of(&table, "helper", "ftp"), 2);
    });
}

/// Rules that give connections of IPv6 other addresses: one, that of the interface, or another prefix.
const OTHER_ADDRESSES: &str = "
table ip6 n {
  chain out { type nat hook output priority -100
    udp dport 7701 dnat to [fd00:0:0:2::9]:7801
    udp dport 7702 dnat to fd00:0:0:2::9
    udp dport 7703 dnat to fd00:0:0:2::9
  }
  chain post { type nat hook postrouting priority 100
    udp dport 7703 snat to [fd00:0:0:2::5]:9703
    udp dport 7704 snat to fd00:0:0:2::5
    udp dport 7705 masquerade
    udp dport 7706 snat prefix to fd00:0:0:2::/64
    udp dport 7707 snat ip6 prefix to ip6 saddr map { fd00:0:0:1::/64 : fd00:0:0:2::/64 }
  }
}
";

/// A question and an answer of 50 bytes; returns from where the question seems to have come.
fn ask(client: &str, server: &str, to: &str) -> SocketAddr {
    let (client, server) = (UdpSocket::bind(client).unwrap(), UdpSocket::bind(server).unwrap());
    for socket in [&client, &server] {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    }
    client.send_to(&[b'x'; 100], to).unwrap();
    let (_, from) = server.recv_from(&mut [0; 200]).unwrap();
    server.send_to(&[b'y'; 50], from).unwrap();
    assert_eq!(client.recv(&mut [0; 200]).unwrap(), 50);
    from
}

#[test]
fn root_other_addresses_of_ipv6_are_what_conntrack_says_field_by_field() {
    with_labels(|| {
        for name in ["acct", "timestamp"] {
            said("sysctl", &["-w", &format!("net.netfilter.nf_conntrack_{name}=1")]);
        }
        for address in ["1::5", "2::5", "2::9", "3::1"] {
            ip(&format!("address add fd00:0:0:{address}/128 dev lo nodad"));
        }
        let rules = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(rules.path(), OTHER_ADDRESSES).unwrap();
        said("nft", &["-f", rules.path().to_str().unwrap()]);
        // these change packets behind the back of what tracks connections: it takes an answer for one more of them
        ip("route add local fd00:0:0:4::/64 dev lo");
        for (chain, end, target, from, to) in [("POSTROUTING", "-s", "SNPT", 1, 4), ("PREROUTING", "-d", "DNPT", 4, 1)]
        {
            let (from, to) = (format!("fd00:0:0:{from}::/64"), format!("fd00:0:0:{to}::/64"));
            let ends = ["-p", "udp", end, &from, "-j", target, "--src-pfx", &from, "--dst-pfx", &to];
            let port = if end == "-s" { "--dport" } else { "--sport" };
            said("ip6tables-nft", &[&["-t", "mangle", "-A", chain][..], &ends, &["-m", "udp", port, "7708"]].concat());
        }
        // where the server is, where it is asked, and who it takes the client for; a port of the client's for each of them,
        // because what the kernel has once made of a source it makes of it again
        let flows = [
            ("[fd00:0:0:2::9]:7801", "[fd00:0:0:3::1]:7701", "[fd00:0:0:1::5]:9000"),
            ("[fd00:0:0:2::9]:7702", "[fd00:0:0:3::1]:7702", "[fd00:0:0:1::5]:9001"),
            ("[fd00:0:0:2::9]:7703", "[fd00:0:0:3::1]:7703", "[fd00:0:0:2::5]:9703"),
            ("[fd00:0:0:3::1]:7704", "[fd00:0:0:3::1]:7704", "[fd00:0:0:2::5]:9003"),
            // of the addresses of the interface it takes that to which it goes
            ("[fd00:0:0:3::1]:7705", "[fd00:0:0:3::1]:7705", "[fd00:0:0:3::1]:9004"),
            ("[fd00:0:0:3::1]:7706", "[fd00:0:0:3::1]:7706", "[fd00:0:0:2::5]:9005"),
            ("[fd00:0:0:3::1]:7707", "[fd00:0:0:3::1]:7707", "[fd00:0:0:2::5]:9006"),
        ];
        for (port, (server, to, from)) in (9000..).zip(flows) {
            let client = format!("[fd00:0:0:1::5]:{port}");
            assert_eq!(ask(&client, server, to), from.parse().unwrap(), "{to}");
        }
        let SocketAddr::V6(from) = ask("[fd00:0:0:1::5]:9007", "[fd00:0:0:3::1]:7708", "[fd00:0:0:3::1]:7708") else {
            panic!("a client of IPv4")
        };
        assert_eq!(from.ip().segments()[..4], [0xfd00, 0, 0, 4]);
        let mut table = Parity::of("conntrack_flow", &["id"]).wanting(&[], &[]);
        table.agrees(flow_facts);
        assert_eq!((table.keys().len(), flow_facts().rows()), (flows.len() + 2, flows.len() + 2));
        let kinds = ["source", "destination", "both", "none"];
        assert_eq!(kinds.map(|nat| count_of(&table, "nat", nat)), [4, 2, 1, 2]);
    });
}

#[test]
fn root_without_the_capability_the_fill_is_told_and_the_connections_say_what_they_lack() {
    in_own_network(|| {
        some_connections();
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        let rows = Parity::of("conntrack", &["netns"]).rows();
        let at = |column: &str| rows.cell(0, rows.table().position(column).unwrap()).number();
        assert_eq!((at("count"), at("insert")), (Some(30.0), Some(30.0)));
        assert!(at("max") > Some(0.0));
        let hint = Parity::of("conntrack_flow", &["id"]).wanting(&[], &[]).is_not(State::Denied);
        assert!(hint.contains("CAP_NET_ADMIN"), "{hint}");
    });
}

#[test]
fn root_of_very_many_connections_the_busiest_have_rows_and_the_others_are_counted() {
    const ROWS: usize = 1 << 14;
    const MANY: u16 = 20_000;
    in_own_network(|| {
        said("sysctl", &["-w", "net.netfilter.nf_conntrack_acct=1"]);
        said("nft", &["add table ip t; add chain ip t c { type filter hook output priority 0; }"]);
        said(
            "nft",
            &["add rule ip t c icmp type destination-unreachable drop; add rule ip t c ct state invalid counter"],
        );
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // the busiest stand neither first nor last in the kernel's table
        let busy = [10_007, 10_777, 23_456];
        for port in 10_000..10_000 + MANY {
            for _ in 0..if busy.contains(&port) { 5 } else { 1 } {
                // somebody may listen there and refuse, which is no matter
                let _ = socket.send_to(b"x", ("127.0.0.1", port));
            }
        }
        assert_eq!(conntrack("-C").trim(), MANY.to_string());
        let mut table = Parity::of("conntrack_flow", &["destination_port"]).wanting(&[], &[]);
        let keys = table.keys();
        assert_eq!(keys.len(), ROWS);
        assert!(busy.iter().all(|port| keys.contains(&port.to_string())));
        table.agrees(|| {
            let mut facts = Facts::default();
            for port in busy {
                facts.number(&port.to_string(), "packets", 5.0);
                facts.number(&port.to_string(), "bytes", 5.0 * 29.0);
            }
            facts
        });
        let left_out = format!("{} connections that come later in order are left out", usize::from(MANY) - ROWS);
        let told = table.partly();
        assert!(told.iter().any(|reason| reason.starts_with(&left_out)), "{told:?}");
    });
}

#[test]
fn root_a_connection_has_the_process_that_has_its_socket_and_what_is_forwarded_has_none() {
    in_own_network(|| {
        some_connections();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && exec sleep 1000");
        let client = Guard::start(Command::new("bash").args(["-c", &script]));
        let (_answers, _) = server.accept().unwrap();
        // neither end names the other one
        let [asks, answers] = ["[::]:0", "0.0.0.0:0"].map(|address| UdpSocket::bind(address).unwrap());
        let to = answers.local_addr().unwrap().port();
        asks.send_to(b"x", ("::ffff:127.0.0.1", to)).unwrap();
        // somebody else's, to a port that this process waits at
        conntrack(&format!("-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport 999 --dport {to} -t 300"));
        let mut table = Parity::of("conntrack_flow", &["source", "destination_port"]).wanting(&["pid", "process"], &[]);
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        table.agrees(|| {
            let mut facts = Facts::default();
            for (port, pid, name) in [(port, client.pid(), "sleep"), (to, std::process::id(), own.trim())] {
                let key = format!("127.0.0.1 {port}");
                facts.number(&key, "pid", pid.into());
                facts.text(&key, "process", name);
            }
            facts.missing(&format!("192.0.2.1 {to}"), "pid");
            facts
        });
    });
}

/// A helper for FTP on its port.
const FTP: &str = "
table inet f {
  ct helper ftp { type \"ftp\" protocol tcp; }
  chain out {
    type filter hook output priority 0
    tcp dport 21 ct helper set \"ftp\"
  }
}
";

/// A connection to a server of FTP in which this is said.
fn says(host: &str, command: &str) -> [TcpStream; 2] {
    let server = TcpListener::bind((host, 21)).unwrap();
    let mut client = TcpStream::connect((host, 21)).unwrap();
    let (mut answers, _) = server.accept().unwrap();
    let mut said = [0; 100];
    answers.write_all(b"220 ready\r\n").unwrap();
    assert!(client.read(&mut said).unwrap() > 0);
    for line in ["USER x", command] {
        client.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        assert!(answers.read(&mut said).unwrap() > 0);
    }
    [client, answers]
}

/// What `conntrack` says of expected connections, by the port at which they are.
fn expected_facts() -> Facts {
    let mut facts = Facts::default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    for (family, width) in [("ipv4", "255.255.255.255"), ("ipv6", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")] {
        for line in conntrack(&format!("-L expect -f {family}")).lines() {
            // `sport` and `dport` stand there three times: of what is expected, of the mask and of the master
            let values = |name: &str| -> Vec<&str> {
                line.split_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).collect()
            };
            let port = |name: &str, place: usize| values(name)[place].parse::<f64>().unwrap();
            let key = values("dport")[0];
            assert_eq!((values("mask-src"), port("sport", 1)), (vec![width], 0.0), "{line}");
            facts.text(key, "protocol", if values("proto") == ["6"] { "tcp" } else { "?" });
            for (column, name) in [
                ("source", "src"),
                ("destination", "dst"),
                ("source_mask", "mask-src"),
                ("destination_mask", "mask-dst"),
                ("master_source", "master-src"),
                ("master_destination", "master-dst"),
                ("helper", "helper"),
            ] {
                facts.text(key, column, values(name)[0]);
            }
            facts.missing(key, "source_port");
            facts.number(key, "master_source_port", port("sport", 2));
            facts.number(key, "master_destination_port", port("dport", 2));
            facts.number(key, "class", port("class", 0));
            let left: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
            facts.between(key, "expires", now + left - 1.5, now + left + 1.5);
            // it does not write what is not so
            facts.missing(key, "flags");
            facts.number(key, "zone", 0.0);
        }
    }
    facts
}

#[test]
fn root_connections_that_a_helper_expects_are_what_conntrack_says() {
    in_own_network(|| {
        said("sh", &["-c", &format!("nft -f - <<'END'\n{FTP}\nEND")]);
        let commands =
            [("127.0.0.1", "PORT 127,0,0,1,20,5"), ("127.0.0.1", "PORT 127,0,0,1,20,6"), ("::1", "EPRT |2|::1|5282|")];
        let _open = commands.map(|(host, command)| says(host, command));
        let mut table = Parity::of("conntrack_expect", &["destination_port"]).wanting(&[], &[]);
        table.agrees(expected_facts);
        table.left_out(&["destination_port", "function", "id", "netns"]);
        assert_eq!(table.keys().into_iter().collect::<Vec<_>>(), ["5125", "5126", "5282"]);
        assert_eq!(expected_facts().rows(), 3);
    });
}

#[test]
fn root_connections_that_begin_and_end_are_counted_while_somebody_wants_to_know() {
    in_own_network(|| {
        said("nft", &["add table inet t; add chain inet t c { type filter hook output priority 0; }"]);
        said("nft", &["add rule inet t c ct state invalid counter"]);
        let entry = COLLECTORS.iter().find(|entry| entry.name == "conntrack").unwrap();
        let columns = ["new", "ended", "overruns"].map(str::to_owned).to_vec();
        let wants = Wants::union(&[Demand { columns, ..Demand::table("conntrack") }]);
        let (roots, owners) = (Roots::live(), Owners::default());
        let mut collector = (entry.make)();
        let mut counts = |wants: &Wants| {
            let cx = Cx { roots: &roots, wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
            let mut batch = Batch::default();
            collector.collect(&cx, &mut batch).unwrap();
            let rows = batch.rows(entry.tables[0]).unwrap();
            let cell = |column: &str| rows.cell(0, rows.table().position(column).unwrap()).number();
            (cell("new"), cell("ended"), cell("overruns"))
        };
        assert_eq!(counts(&Wants::default()), (None, None, None), "nobody wants to know");
        assert_eq!(counts(&wants), (Some(0.0), Some(0.0), Some(0.0)));
        let mut until = |expected| {
            let deadline = Instant::now() + Duration::from_secs(30);
            while counts(&wants) != expected {
                assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", counts(&wants));
            }
        };
        for port in 1..=30 {
            conntrack(&format!("-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport {port} --dport 53 -t 300"));
        }
        until((Some(30.0), Some(0.0), Some(0.0)));
        conntrack("-D -p udp --sport 7");
        until((Some(30.0), Some(1.0), Some(0.0)));
        conntrack("-F");
        until((Some(30.0), Some(30.0), Some(0.0)));
        assert_eq!(counts(&Wants::default()), (None, None, None));
    });
}

/// Groups of connections by one thing as `conntrack` lists them: connections, packets and bytes of both directions.
fn grouped(by: &str) -> Facts {
    let mut groups: BTreeMap<String, [f64; 3]> = BTreeMap::new();
    let xml = conntrack("-L -o xml,id");
    for flow in xml.split("<flow>").skip(1) {
        let parts: Vec<&str> = flow.split("<meta direction=").collect();
        let [_, original, reply, both] = parts[..] else { panic!("{flow}") };
        let name = match by {
            "source" => inside(original, "src").map(str::to_owned),
            "destination" => inside(original, "dst").map(str::to_owned),
            "port" => number_in(original, "dport").or(number_in(original, "dstkey")).map(|port| port.to_string()),
            "zone" => {
                number_in(original, "zone").or(number_in(both, "zone")).or(Some(0.0)).map(|zone| zone.to_string())
            }
            "mark" => number_in(both, "mark").map(|mark| mark.to_string()),
            "state" if original.contains("protoname=\"sctp\"") => Some("cookie_wait".to_owned()),
            "state" => inside(both, "state").filter(|_| original.contains("protoname=\"tcp\"")).map(str::to_lowercase),
            _ => panic!("{by}"),
        };
        let carried = |element| number_in(original, element).unwrap_or(0.0) + number_in(reply, element).unwrap_or(0.0);
        let group = groups.entry(name.unwrap_or_else(|| "-".to_owned())).or_default();
        for (sum, more) in group.iter_mut().zip([1.0, carried("packets"), carried("bytes")]) {
            *sum += more;
        }
    }
    let mut facts = Facts::default();
    for (name, [flows, packets, bytes]) in groups {
        facts.number(&name, "flows", flows);
        facts.number(&name, "packets", packets);
        facts.number(&name, "bytes", bytes);
    }
    facts
}

#[test]
fn root_groups_of_connections_are_the_sums_of_what_conntrack_lists() {
    in_own_network(|| {
        many_kinds();
        for by in ["source", "destination", "port", "state", "zone", "mark"] {
            let mut table = Parity::of("conntrack_group", &["value"]).wanting(&[], &[Value::Text(Text::from(by))]);
            table.agrees(|| grouped(by));
            table.left_out(&["by", "netns", "value", "vm"]);
            assert_eq!(table.keys().len(), grouped(by).rows(), "{by}");
        }
        let hint = Parity::of("conntrack_group", &["value"]).wanting(&[], &[]).is_not(State::Absent);
        assert!(hint.contains("by =="), "{hint}");
    });
}

#[test]
fn root_what_a_filter_keeps_is_the_same_whether_the_kernel_heeds_it_or_not() {
    in_own_network(|| {
        many_kinds();
        let all = Parity::of("conntrack_flow", &["id"]).wanting(&[], &[]).sample();
        let table = all.rows.table();
        let id = table.position("id").unwrap();
        let mut counts = Vec::new();
        for text in [
            "mark == 42",
            "mark == 0",
            "mark in (9, 42)",
            "zone == 3",
            "zone == 7",
            "zone == 0",
            "status == \"[ASSURED]\"",
            "status == \"[UNREPLIED]\"",
            "status == \"\"",
            "source == 192.0.2.1",
            "source == 192.0.2.1 and protocol == \"tcp\"",
            "source == 127.0.0.1 and protocol == \"udp\" and destination_port == 7300",
            "source == 2001:db8::1 and protocol == \"tcp\" and source_port == 1001 and destination_port == 443",
            "source == 2001:db8::1 and destination == 2001:db8::2",
            "destination == ::1",
            "source == 192.0.2.1 and protocol == \"gre\" and source_port == 5",
            "protocol == \"icmp\"",
            "destination_port == 443",
            "source == 203.0.113.77",
        ] {
            let filter = Filter::parse(text, table).unwrap();
            let ids = |sample: &Sample| -> BTreeSet<Option<u64>> {
                let query = Query { filter: Some(filter.clone()), ..Query::default() };
                let kept = query::run(&View::new(sample, None, Mode::Total), &query).into_iter();
                kept.map(|row| sample.rows.cell(row, id).number().map(|id| id as u64)).collect()
            };
            let narrow = Parity::of("conntrack_flow", &["id"]).only(text).sample();
            let expected = ids(&all);
            assert_eq!(ids(&narrow), expected, "{text}");
            assert_eq!(narrow.rows.len(), expected.len(), "{text} takes room for what nobody keeps");
            counts.push(expected.len());
        }
        // only the last of them fits nothing
        assert_eq!(counts.iter().rposition(|count| *count == 0), Some(counts.len() - 1), "{counts:?}");
        assert!(!counts[..counts.len() - 1].contains(&0), "{counts:?}");
    });
}
