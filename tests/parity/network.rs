//! Interfaces, addresses, sockets and protocols: `ip`, `ss` and `nstat`.

use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};

use serde_json::Value;

use super::bracket::{Facts, Parity};
use super::{file, said, said_json};

/// Runs `test` on a thread with a network of its own, which ends with the thread.
pub(crate) fn in_own_network<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: a network namespace holds no descriptors or memory of this process
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
                .expect("this test needs root");
            ip("link set lo up");
            test()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(crate) fn ip(line: &str) -> String {
    said("ip", &line.split(' ').collect::<Vec<_>>())
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Flags of the kernel in the order of their bits.
const FLAGS: &str = "up,broadcast,debug,loopback,pointopoint,notrailers,running,noarp,promisc,allmulti,master,slave,\
    multicast,portsel,automedia,dynamic,lower_up,dormant,echo";

/// Flags of an interface in the words of the table.
fn flags(link: &Value) -> String {
    let mut set: Vec<String> = list(&link["flags"]).iter().map(|flag| flag.as_str().unwrap().to_lowercase()).collect();
    // ip prints NO-CARRIER for what is up and not running, and never RUNNING
    if set.iter().any(|flag| flag == "up") && !set.iter().any(|flag| flag == "no-carrier") {
        set.push("running".to_owned());
    }
    FLAGS.split(',').filter(|flag| set.iter().any(|known| known == flag)).collect::<Vec<_>>().join(",")
}

/// State of an interface in the words of the table.
fn state(link: &Value) -> String {
    let enabled = list(&link["flags"]).iter().any(|flag| flag == "UP");
    match link["operstate"].as_str().unwrap() {
        "NOTPRESENT" => "absent".to_owned(),
        _ if !enabled => "disabled".to_owned(),
        "LOWERLAYERDOWN" => "lower_down".to_owned(),
        state => state.to_lowercase(),
    }
}

fn link_facts() -> Facts {
    let mut facts = Facts::default();
    let links = said_json("ip", &["-s", "-s", "-d", "-j", "link"]);
    for link in list(&links) {
        let name = link["ifname"].as_str().unwrap();
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{link}"));
        facts.number(name, "index", number(&link["ifindex"]));
        facts.number(name, "mtu", number(&link["mtu"]));
        facts.text(name, "name", name);
        facts.text(name, "state", &state(link));
        facts.text(name, "flags", &flags(link));
        let (rx, tx) = (&link["stats64"]["rx"], &link["stats64"]["tx"]);
        for (column, value) in [
            ("rx_bytes", &rx["bytes"]),
            ("rx_packets", &rx["packets"]),
            ("rx_errors", &rx["errors"]),
            ("rx_dropped", &rx["dropped"]),
            ("rx_missed", &rx["missed_errors"]),
            ("multicast", &rx["multicast"]),
            ("tx_bytes", &tx["bytes"]),
            ("tx_packets", &tx["packets"]),
            ("tx_errors", &tx["errors"]),
            ("tx_dropped", &tx["dropped"]),
            ("collisions", &tx["collisions"]),
            ("carrier_changes", &tx["carrier_changes"]),
        ] {
            facts.number(name, column, number(value));
        }
        let kind = match (link["linkinfo"]["info_kind"].as_str(), link["link_type"].as_str()) {
            (Some(kind), _) => Some(kind),
            (None, Some("ether")) => Some("ethernet"),
            (None, kind) => kind.filter(|kind| ["loopback", "ppp", "infiniband"].contains(kind)),
        };
        let peer = link["link"].as_str().filter(|_| kind == Some("veth"));
        match peer.and_then(|peer| list(&links).iter().find(|link| link["ifname"] == peer)) {
            Some(peer) => facts.number(name, "peer_index", number(&peer["ifindex"])),
            None if link["link_index"].is_number() => {}
            None => facts.missing(name, "peer_index"),
        }
        // tunnels have addresses of another kind
        let mac = link["address"].as_str().filter(|mac| mac.len() == 17);
        for (column, value) in [
            ("kind", kind),
            ("mac", mac),
            ("master", link["master"].as_str()),
            ("lower", link["link"].as_str().filter(|_| peer.is_none())),
            ("alias", link["ifalias"].as_str()),
            ("peer", peer),
            ("peer_netns", peer.map(|_| "host")),
        ] {
            match value {
                Some(value) => facts.text(name, column, value),
                None => facts.missing(name, column),
            }
        }
    }
    facts
}

#[test]
fn interfaces_are_what_ip_says() {
    let mut link = Parity::of("link", &["name"]);
    link.agrees(link_facts);
    link.agrees(|| {
        let mut facts = Facts::default();
        for link in list(&said_json("ip", &["-d", "-j", "link"])) {
            let name = link["ifname"].as_str().unwrap();
            // drivers that state a speed that nothing has
            let invented = ["tun", "veth"].map(Some).contains(&link["linkinfo"]["info_kind"].as_str());
            let told = std::fs::read_to_string(format!("/sys/class/net/{name}/speed")).ok();
            let speed = told.and_then(|speed| speed.trim().parse::<f64>().ok());
            match speed.filter(|speed| *speed > 0.0 && !invented) {
                Some(megabits) => facts.number(name, "speed", megabits * 1e6 / 8.0),
                None => facts.missing(name, "speed"),
            }
        }
        facts
    });
    link.left_out(&["netns"]);
}

#[test]
fn root_interfaces_with_masters_aliases_and_traffic_are_what_ip_says() {
    in_own_network(|| {
        ip("link add br0 type bridge");
        ip("link add left type veth peer name right");
        ip("link add link left name tap1 type macvtap");
        for line in [
            "left mtu 1400 alias uplink",
            "left addrgenmode none",
            "right addrgenmode none",
            "tap1 addrgenmode none",
            "right master br0",
            "br0 promisc on",
            "left up",
            "right up",
            "right down",
            "right up",
            "br0 up",
        ] {
            ip(&format!("link set {line}"));
        }
        ip("addr add 10.9.0.1/24 dev left");
        ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev left");
        let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
        for size in [100, 500, 900] {
            socket.send_to(&vec![0; size], "10.9.0.2:9").unwrap();
        }
        Parity::of("link", &["name"]).agrees(link_facts);
        let rows = Parity::of("link", &["name"]).rows();
        let at = |column: &str| rows.table().position(column).unwrap();
        let left = (0..rows.len()).find(|row| rows.cell(*row, at("name")).text() == Some("left")).unwrap();
        for column in ["tx_bytes", "tx_packets", "carrier_changes"] {
            assert!(rows.cell(left, at(column)).number() > Some(0.0), "{column}");
        }
    });
}

fn address_facts() -> Facts {
    let mut facts = Facts::default();
    for link in list(&said_json("ip", &["-d", "-j", "address"])) {
        for address in list(&link["addr_info"]) {
            // of a point-to-point link `local` is this end and `address` the other
            let own = address["local"].as_str().or(address["address"].as_str()).unwrap();
            let key = format!("{} {own} {}", link["ifindex"], address["prefixlen"]);
            facts.text(&key, "address", own);
            facts.text(&key, "interface", link["ifname"].as_str().unwrap());
            facts.text(&key, "scope", address["scope"].as_str().unwrap());
            let is = |flag: &str| address[flag].as_bool() == Some(true);
            let state = match () {
                () if is("dadfailed") => "duplicate",
                () if is("tentative") => "tentative",
                () if is("deprecated") => "deprecated",
                () => "usable",
            };
            facts.text(&key, "state", state);
            match address["address"].as_str().filter(|peer| *peer != own) {
                Some(peer) => facts.text(&key, "peer", peer),
                None => facts.missing(&key, "peer"),
            }
            match address["valid_life_time"].as_u64().unwrap() {
                4_294_967_295 => facts.missing(&key, "expires"),
                // both count whole seconds
                left => {
                    let end = netglance::model::Timestamp::now().seconds() + left as f64;
                    facts.between(&key, "expires", end - 2.0, end + 2.0);
                }
            }
        }
    }
    facts
}

#[test]
fn addresses_are_what_ip_says() {
    let mut address = Parity::of("address", &["index", "address", "prefix"]);
    address.agrees(address_facts);
    // the rows are told apart by the other two
    address.left_out(&["index", "netns", "prefix"]);
}

#[test]
fn root_addresses_that_end_and_those_of_tunnels_are_what_ip_says() {
    in_own_network(|| {
        ip("link add left type veth peer name right");
        ip("link set left up");
        ip("addr add 10.9.0.1/24 dev left valid_lft 3000 preferred_lft 2000");
        ip("addr add 10.9.1.1 peer 10.9.1.2/32 dev left");
        ip("addr add fd00::1/64 dev left nodad valid_lft 4000 preferred_lft 0");
        ip("addr add fd00::2/64 dev left");
        ip("addr add 169.254.0.1/16 dev left scope link");
        let mut address = Parity::of("address", &["index", "address", "prefix"]);
        address.agrees(address_facts);
        let keys = address.keys();
        assert!(keys.iter().any(|key| key.ends_with("fd00::1 64")), "{keys:?}");
        assert!(keys.len() >= 7, "{keys:?}");
    });
}

/// Options of `ss` for each protocol of the table.
const PROTOCOLS: [(&str, &[&str]); 7] = [
    ("tcp", &["-4", "-t"]),
    ("tcp6", &["-6", "-t"]),
    ("udp", &["-4", "-u"]),
    ("udp6", &["-6", "-u"]),
    ("raw", &["-4", "-w"]),
    ("raw6", &["-6", "-w"]),
    ("unix", &["-x"]),
];

const STATES: [(&str, &str); 11] = [
    ("ESTAB", "established"),
    ("SYN-SENT", "syn_sent"),
    ("SYN-RECV", "syn_received"),
    ("FIN-WAIT-1", "fin_wait_1"),
    ("FIN-WAIT-2", "fin_wait_2"),
    ("TIME-WAIT", "time_wait"),
    ("UNCONN", "closed"),
    ("CLOSE-WAIT", "close_wait"),
    ("LAST-ACK", "last_ack"),
    ("LISTEN", "listen"),
    ("CLOSING", "closing"),
];

#[test]
fn sockets_in_each_state_are_as_many_as_ss_lists() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let open: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let closed = listener.accept().unwrap().0;
    drop(closed);
    let mut socket = Parity::of("socket", &["protocol", "state"]);
    let rows = socket.keys();
    socket.agrees(|| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (protocol, options) in PROTOCOLS {
            for line in said("ss", &[options, &["-a", "-n", "-H"]].concat()).lines() {
                let word = line.split_whitespace().nth(usize::from(protocol == "unix")).unwrap();
                let state = STATES.iter().find(|(known, _)| *known == word).unwrap_or_else(|| panic!("{line}")).1;
                *counts.entry(format!("{protocol} {state}")).or_default() += 1;
            }
        }
        let mut facts = Facts::default();
        for key in rows.iter().chain(counts.keys()) {
            facts.number(key, "count", counts.get(key).copied().unwrap_or(0) as f64);
        }
        facts
    });
    drop(open);
    socket.left_out(&["netns", "protocol", "state"]);
}

/// `(("nginx",pid=42,fd=3),("nginx",pid=43,fd=3))`: name and number of each.
fn users(text: &str) -> Vec<(&str, u64)> {
    let parts = text.trim_start_matches("((").split("))").next().unwrap_or_default().split("),(");
    let one = |part: &'_ str| -> Option<(usize, u64)> {
        let (name, rest) = part.rsplit_once(",pid=")?;
        Some((name.len(), rest.split(',').next()?.parse().ok()?))
    };
    parts.filter_map(|part| one(part).map(|(length, pid)| (part[..length].trim_matches('"'), pid))).collect()
}

fn listener_facts() -> Facts {
    let mut facts = Facts::default();
    for (protocol, options) in PROTOCOLS.iter().filter(|(protocol, _)| *protocol != "unix") {
        for line in said("ss", &[options, &["-l", "-n", "-H", "-p", "-e"][..]].concat()).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let word = |start: &str| words.iter().find_map(|word| word.strip_prefix(start));
            let Some(key) = word("ino:").filter(|inode| *inode != "0") else { continue };
            let (address, port) = words[3].rsplit_once(':').unwrap();
            let address = address.split('%').next().unwrap().trim_matches(['[', ']']);
            let any = if protocol.ends_with('6') { "::" } else { "0.0.0.0" };
            facts.text(key, "protocol", protocol);
            facts.text(key, "address", if address == "*" { any } else { address });
            facts.number(key, "port", port.parse().unwrap_or(0.0));
            // ss leaves out the user 0
            facts.number(key, "uid", word("uid:").map_or(0.0, |uid| uid.parse().unwrap()));
            if protocol.starts_with("tcp") {
                facts.number(key, "queue", words[1].parse().unwrap());
                facts.number(key, "queue_limit", words[2].parse().unwrap());
                let share = words[1].parse::<f64>().unwrap() / words[2].parse::<f64>().unwrap();
                facts.number(key, "queue_share", share);
            } else {
                facts.missing(key, "queue");
                facts.missing(key, "queue_limit");
            }
            let mut holders = users(line.split_once("users:").map_or("", |(_, users)| users));
            holders.sort_by_key(|(_, pid)| *pid);
            holders.dedup_by_key(|(_, pid)| *pid);
            match holders.first() {
                Some((name, pid)) => {
                    facts.number(key, "pid", *pid as f64);
                    facts.text(key, "process", name);
                    facts.number(key, "holders", holders.len() as f64);
                }
                None => facts.missing(key, "pid"),
            }
        }
    }
    facts
}

#[test]
fn listening_sockets_and_their_processes_are_what_ss_says() {
    let (v4, v6) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("[::1]:0").unwrap());
    let (udp4, udp6) = (UdpSocket::bind("0.0.0.0:0").unwrap(), UdpSocket::bind("[::]:0").unwrap());
    let waiting = std::net::TcpStream::connect(v4.local_addr().unwrap()).unwrap();
    let mut listener = Parity::of("listener", &["inode"]);
    listener.agrees(listener_facts);
    let rows = listener.rows();
    let at = |column: &str| rows.table().position(column).unwrap();
    let row = |port: u16| (0..rows.len()).find(|row| rows.cell(*row, at("port")).number() == Some(port.into()));
    for address in [v4.local_addr(), v6.local_addr(), udp4.local_addr(), udp6.local_addr()] {
        let row = row(address.unwrap().port()).unwrap();
        assert_eq!(rows.cell(row, at("pid")).number(), Some(std::process::id().into()));
    }
    let own = row(v4.local_addr().unwrap().port()).unwrap();
    assert_eq!(rows.cell(own, at("queue")).number(), Some(1.0), "one connection waits to be accepted");
    drop(waiting);
    listener.left_out(&["inode", "netns"]);
}

/// Columns with the names that `nstat` gives their counters.
const TCP: &[(&str, &str)] = &[
    ("active_opens", "TcpActiveOpens"),
    ("passive_opens", "TcpPassiveOpens"),
    ("failed_attempts", "TcpAttemptFails"),
    ("established_resets", "TcpEstabResets"),
    ("rx_segments", "TcpInSegs"),
    ("tx_segments", "TcpOutSegs"),
    ("retransmits", "TcpRetransSegs"),
    ("rx_errors", "TcpInErrs"),
    ("tx_resets", "TcpOutRsts"),
    ("listen_overflows", "TcpExtListenOverflows"),
    ("listen_drops", "TcpExtListenDrops"),
    ("cookies_sent", "TcpExtSyncookiesSent"),
    ("cookies_received", "TcpExtSyncookiesRecv"),
    ("cookies_failed", "TcpExtSyncookiesFailed"),
    ("request_drops", "TcpExtTCPReqQFullDrop"),
    ("backlog_drops", "TcpExtTCPBacklogDrop"),
    ("queue_drops", "TcpExtTCPRcvQDrop"),
    ("timeouts", "TcpExtTCPTimeouts"),
    ("syn_retransmits", "TcpExtTCPSynRetrans"),
    ("memory_aborts", "TcpExtTCPAbortOnMemory"),
    ("memory_pressures", "TcpExtTCPMemoryPressures"),
    ("time_wait_overflows", "TcpExtTCPTimeWaitOverflow"),
];

const UDP: &[(&str, &str)] = &[
    ("rx_packets", "UdpInDatagrams"),
    ("tx_packets", "UdpOutDatagrams"),
    ("no_ports", "UdpNoPorts"),
    ("rx_errors", "UdpInErrors"),
    ("rx_buffer_errors", "UdpRcvbufErrors"),
    ("tx_buffer_errors", "UdpSndbufErrors"),
    ("checksum_errors", "UdpInCsumErrors"),
    ("rx6_packets", "Udp6InDatagrams"),
    ("tx6_packets", "Udp6OutDatagrams"),
    ("no_ports6", "Udp6NoPorts"),
    ("rx6_errors", "Udp6InErrors"),
    ("rx6_buffer_errors", "Udp6RcvbufErrors"),
    ("tx6_buffer_errors", "Udp6SndbufErrors"),
];

const IP: &[(&str, &str)] = &[
    ("rx_packets", "IpInReceives"),
    ("tx_packets", "IpOutRequests"),
    ("forwarded", "IpForwDatagrams"),
    ("rx_bytes", "IpExtInOctets"),
    ("tx_bytes", "IpExtOutOctets"),
    ("rx_discards", "IpInDiscards"),
    ("tx_discards", "IpOutDiscards"),
    ("header_errors", "IpInHdrErrors"),
    ("address_errors", "IpInAddrErrors"),
    ("rx_no_routes", "IpExtInNoRoutes"),
    ("tx_no_routes", "IpOutNoRoutes"),
    ("reverse_path_drops", "TcpExtIPReversePathFilter"),
    ("reassembly_failures", "IpReasmFails"),
    ("fragment_failures", "IpFragFails"),
    ("rx6_packets", "Ip6InReceives"),
    ("tx6_packets", "Ip6OutRequests"),
    ("forwarded6", "Ip6OutForwDatagrams"),
    ("rx6_bytes", "Ip6InOctets"),
    ("tx6_bytes", "Ip6OutOctets"),
    ("rx6_discards", "Ip6InDiscards"),
    ("rx6_no_routes", "Ip6InNoRoutes"),
    ("tx6_no_routes", "Ip6OutNoRoutes"),
    ("reassembly_failures6", "Ip6ReasmFails"),
];

/// What `/proc/net` has beyond the 32 bits that `nstat` prints of a counter.
fn high_bits() -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    let mut add = |name: String, value: &str| {
        let value = value.parse::<u64>().unwrap_or(0);
        out.insert(name, (value >> 32 << 32) as f64);
    };
    for path in ["/proc/net/snmp", "/proc/net/netstat"] {
        let text = file(path);
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks(2) {
            let (group, names) = pair[0].split_once(':').unwrap();
            let values = pair[1].split_whitespace().skip(1);
            names.split_whitespace().zip(values).for_each(|(name, value)| add(format!("{group}{name}"), value));
        }
    }
    for line in file("/proc/net/snmp6").lines() {
        let (name, value) = line.split_once(char::is_whitespace).unwrap();
        add(name.to_owned(), value.trim());
    }
    out
}

#[test]
fn protocol_counters_are_those_of_nstat() {
    // answers of the kernel that no quiet host has
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for size in [1, 100, 1000] {
        // the refusal of the one before may be told here
        let _ = socket.send_to(&vec![0; size], closed);
    }
    let refused = std::net::TcpStream::connect(closed).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    for (table, names) in [("tcp", TCP), ("udp", UDP), ("ip", IP)] {
        let mut parity = Parity::of(table, &[]);
        parity.agrees(|| {
            let counters = said_json("nstat", &["-a", "-s", "-z", "--json"]);
            let high = high_bits();
            let mut facts = Facts::default();
            for (column, name) in names {
                match counters["kernel"][name].as_u64() {
                    Some(value) => facts.number("", column, (value & 0xffff_ffff) as f64 + high[*name]),
                    None => facts.missing("", column),
                }
            }
            facts
        });
        if table == "tcp" {
            parity.agrees(|| {
                let mut facts = Facts::default();
                // `nstat` keeps gauges back
                let snmp = file("/proc/net/snmp");
                let mut lines = snmp.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
                let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
                let value = names.zip(values).find(|(name, _)| *name == "CurrEstab").unwrap().1;
                facts.number("", "established", value.parse().unwrap());
                facts
            });
        }
        parity.left_out(&["netns"]);
    }
}
