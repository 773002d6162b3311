//! Are other network namespaces read as those see themselves that are in them, and does nobody keep one alive?

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use netglance::collect::link::{self, LinkRow};
use netglance::collect::{Batch, Cx, Wants};
use netglance::model::{Mono, Owners, Timestamp};
use netglance::source::file::Roots;
use netglance::source::netlink::attr::push;
use netglance::source::netlink::nfnetlink::{Header, Subsystem};
use netglance::source::netlink::{Family, Socket};
use netglance::source::netns::Selection;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use serde_json::Value;

use crate::rights::Public;
use crate::support::process::{Guard, sockets, usage, with_descriptors};
use crate::support::pty::{PATIENT, Session, netglance};
use crate::support::space::{alone, ip, mount, within};

/// Two namespaces joined by a wire that carries nothing by itself.
const PAIR: &str = "netns add blue\nnetns add red\n\
    link add b0 index 77 netns blue type veth peer name r0 index 77 netns red\n";
const BLUE: &str = "link set lo up\nlink set b0 addrgenmode none\naddr add 10.9.0.1/24 dev b0\nlink set b0 up\n\
    neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev b0\n";
const RED: &str = "link set r0 addrgenmode none\nlink set r0 up\n";

/// Runs where `ip netns` has names of its own.
fn apart<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    within(UnshareFlags::NEWNET, || {
        names();
        run()
    })
}

fn names() {
    std::fs::create_dir_all("/run/netns").unwrap();
    mount("none", Path::new("/run/netns"), "tmpfs", 0, "");
}

fn pair() {
    ip(PAIR);
    for (name, lines) in [("blue", BLUE), ("red", RED)] {
        for line in lines.lines() {
            said("ip", &["-n", name].into_iter().chain(line.split_ascii_whitespace()).collect::<Vec<_>>());
        }
    }
    // what is sent before the carrier is noticed gets lost
    while !said("ip", &["-n", "blue", "link", "show", "b0"]).contains("state UP") {
        std::thread::yield_now();
    }
}

fn output(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs on a thread in a namespace, as far as its network goes.
fn inside<T: Send>(name: &str, run: impl FnOnce() -> T + Send) -> T {
    let file = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            run()
        });
        thread.join().unwrap()
    })
}

fn send(packets: usize) {
    inside("blue", || {
        let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
        for _ in 0..packets {
            socket.send_to(&[0; 1000], "10.9.0.2:9").unwrap();
        }
    });
}

fn rows(args: &[&str]) -> Vec<Value> {
    let output = netglance(&[&["show"], args, &["--format", "json"]].concat()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(program: &str, args: &[&str]) -> String {
    let output = output(program, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn names_of(rows: &[Value], column: &str) -> BTreeSet<String> {
    rows.iter().map(|row| row[column].as_str().unwrap().to_owned()).collect()
}

/// Where the other ends of pairs are, as `link` says it, each as `namespace interface`.
fn ends(links: &[Value]) -> BTreeMap<String, Option<String>> {
    let word = |row: &Value, column: &str| row[column].as_str().map(str::to_owned);
    let end = |row: &Value, netns, name| Some(format!("{} {}", word(row, netns)?, word(row, name)?));
    // other namespaces of this machine have no names here
    let is_ours = |row: &&Value| row["kind"] == "veth" && row["netns"].as_str().is_some_and(|name| !name.contains('['));
    let pairs = links.iter().filter(is_ours);
    pairs.map(|row| (end(row, "netns", "name").unwrap(), end(row, "peer_netns", "peer"))).collect()
}

/// The pairs that there should be.
fn pairs(all: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
    let both = all.iter().flat_map(|(a, b)| [(a, b), (b, a)]);
    both.map(|(one, other)| ((*one).to_owned(), Some((*other).to_owned()))).collect()
}

#[test]
fn root_the_ends_of_a_pair_know_each_other_whatever_others_have_the_same_numbers() {
    apart(|| {
        ip("netns add blue\nnetns add red\nnetns add green\n\
            link add h0 index 50 type veth peer name c0 index 60 netns blue\n\
            link add d0 index 50 netns red type veth peer name e0 index 60 netns green\n\
            link add f0 netns red type veth peer name f1 netns blue\n\
            link add g0 type veth peer name g1\n");
        let want = [("host h0", "blue c0"), ("red d0", "green e0"), ("red f0", "blue f1"), ("host g0", "host g1")];
        assert_eq!(ends(&rows(&["link", "--netns", "all"])), pairs(&want));
        let links = rows(&["link", "--netns", "host"]);
        let h0 = links.iter().find(|row| row["name"] == "h0").unwrap();
        assert_eq!((&h0["peer"], &h0["peer_index"]), (&Value::Null, &Value::from(60)), "nobody looks there");
    });
}

#[test]
fn root_an_end_that_is_moved_is_found_where_it_is_now() {
    apart(|| {
        ip("netns add blue\nnetns add red\nlink add h0 type veth peer name c0\n");
        let (roots, mut collector) = (Roots::live(), (link::ENTRY.make)());
        roots.choose(Selection::of("all").unwrap()).unwrap();
        let mut is = |want: &[(&str, &str)]| {
            let want = pairs(want);
            let deadline = Instant::now() + PATIENT;
            loop {
                let (wants, owners, mut batch) = (Wants::default(), Owners::default(), Batch::default());
                let cx =
                    Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
                collector.collect(&cx, &mut batch).unwrap();
                let rows = batch.rows(LinkRow::TABLE).unwrap();
                let cell = |row: usize, column: &str| rows.cell(row, LinkRow::TABLE.position(column).unwrap());
                let object = |row: usize| {
                    let columns = ["netns", "name", "kind", "peer_netns", "peer"];
                    columns.map(|column| (column.to_owned(), Value::from(cell(row, column).text())))
                };
                let known = ends(&(0..rows.len()).map(|row| object(row).into_iter().collect()).collect::<Vec<_>>());
                if known == want {
                    return;
                }
                assert!(Instant::now() < deadline, "{known:?} {want:?}");
            }
        };
        is(&[("host h0", "host c0")]);
        ip("link set c0 netns blue\n");
        is(&[("host h0", "blue c0")]);
        said("ip", &["-n", "blue", "link", "set", "c0", "netns", "red"]);
        is(&[("host h0", "red c0")]);
    });
}

#[test]
fn root_interfaces_and_addresses_of_a_namespace_are_what_ip_says_of_it() {
    apart(|| {
        pair();
        send(40);
        let truth: Value = serde_json::from_str(&said("ip", &["-n", "blue", "-j", "-s", "link"])).unwrap();
        let links = rows(&["link", "--netns", "blue"]);
        assert_eq!((links.len(), truth.as_array().unwrap().len()), (2, 2));
        for link in truth.as_array().unwrap() {
            let row = links.iter().find(|row| row["name"] == link["ifname"]).unwrap();
            let of = |way: &str, what: &str| &link["stats64"][way][what];
            for (column, value) in [
                ("netns", &Value::from("blue")),
                ("index", &link["ifindex"]),
                ("mtu", &link["mtu"]),
                ("rx_bytes", of("rx", "bytes")),
                ("tx_bytes", of("tx", "bytes")),
                ("tx_packets", of("tx", "packets")),
                ("rx_packets", of("rx", "packets")),
                ("speed", &Value::Null),
            ] {
                assert_eq!(&row[column], value, "{column} of {link}");
            }
        }
        assert!(links.iter().any(|row| row["tx_packets"].as_u64() >= Some(40)), "{links:?}");
        let truth: Value = serde_json::from_str(&said("ip", &["-n", "blue", "-j", "addr"])).unwrap();
        let want: BTreeSet<String> = truth
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|link| link["addr_info"].as_array().unwrap())
            .map(|address| address["local"].as_str().unwrap().to_owned())
            .collect();
        let addresses = rows(&["address", "--netns", "b*"]);
        assert!(want.contains("10.9.0.1"), "{want:?}");
        assert_eq!(names_of(&addresses, "address"), want);
        assert_eq!(names_of(&addresses, "netns"), BTreeSet::from(["blue".to_owned()]));
    });
}

#[test]
fn root_neighbors_routes_and_bridges_of_a_namespace_are_what_ip_says_of_it() {
    apart(|| {
        pair();
        for line in [
            "link add br0 type bridge",
            "link add one type veth peer name two",
            "link set one master br0",
            "link add vx0 type vxlan id 7 dev b0 dstport 4789",
            "rule add fwmark 7 table 99",
            "route add 10.20.0.0/16 via 10.9.0.2 proto bgp",
            "route add 10.21.0.0/16 dev b0 table 99",
        ] {
            said("ip", &["-n", "blue"].into_iter().chain(line.split_ascii_whitespace()).collect::<Vec<_>>());
        }
        said("tc", &["-n", "blue", "qdisc", "add", "dev", "b0", "root", "handle", "1:", "htb"]);
        for (table, column, program, args, member) in [
            ("neighbor", "address", "ip", &["neigh", "show", "nud", "all"][..], "dst"),
            ("route", "gateway", "ip", &["-4", "route", "show", "table", "all"], "gateway"),
            ("rule", "table", "ip", &["-4", "rule"], "table"),
            ("bridge_port", "interface", "bridge", &["link"], "ifname"),
            ("fdb", "mac", "bridge", &["fdb"], "mac"),
            ("tunnel", "interface", "ip", &["link", "show", "type", "vxlan"], "ifname"),
            ("qdisc", "kind", "tc", &["qdisc"], "kind"),
        ] {
            let truth: Value = serde_json::from_str(&said(program, &[&["-n", "blue", "-j"], args].concat())).unwrap();
            let want: BTreeSet<&str> =
                truth.as_array().unwrap().iter().filter_map(|row| row[member].as_str()).collect();
            let have = rows(&[table, "--netns", "blue"]);
            assert_eq!(names_of(&have, "netns"), BTreeSet::from(["blue".to_owned()]), "{table}");
            let have: BTreeSet<&str> = have.iter().filter_map(|row| row[column].as_str()).collect();
            // a device that nobody asked for a discipline has one that ip and tc do not show
            assert!(!want.is_empty() && want.is_subset(&have), "{table}: {want:?} {have:?}");
            let both = names_of(&rows(&[table, "--netns", "all"]), "netns");
            assert!(both.contains("blue"), "{table}: {both:?}");
        }
        let churn = rows(&["route_churn", "--netns", "blue"]);
        let bgp = churn.iter().find(|row| row["protocol"] == "bgp").unwrap();
        assert_eq!((bgp["routes"].as_u64(), &bgp["netns"]), (Some(1), &Value::from("blue")));
    });
}

/// A listener and so many connections to it, on the inside.
fn connections(count: usize) -> (TcpListener, Vec<TcpStream>) {
    inside("blue", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let mut streams: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
        for _ in 0..count {
            streams.push(listener.accept().unwrap().0);
        }
        (listener, streams)
    })
}

#[test]
fn root_sockets_and_protocols_of_a_namespace_are_what_ss_and_nstat_say_of_it() {
    apart(|| {
        pair();
        let (listener, _streams) = connections(5);
        let sockets = rows(&["socket", "--netns", "blue"]);
        let count = |state: &str| {
            let row = sockets.iter().find(|row| row["protocol"] == "tcp" && row["state"] == state).unwrap();
            row["count"].as_u64().unwrap()
        };
        let summary = said("ip", &["netns", "exec", "blue", "ss", "-s"]);
        assert!(summary.contains(&format!("(estab {},", count("established"))), "{summary}");
        assert_eq!((count("established"), count("listen")), (10, 1));
        let listeners = rows(&["listener", "--netns", "blue"]);
        let port = u64::from(listener.local_addr().unwrap().port());
        let found = listeners.iter().find(|row| row["port"].as_u64() == Some(port)).unwrap();
        assert_eq!((&found["netns"], found["pid"].as_u64()), (&"blue".into(), Some(u64::from(std::process::id()))));
        assert!(rows(&["listener", "--netns", "host"]).iter().all(|row| row["port"].as_u64() != Some(port)));
        let truth = said("ip", &["netns", "exec", "blue", "nstat", "-a", "-s", "-z", "--json"]);
        let truth: Value = serde_json::from_str(&truth).unwrap();
        for (table, column, counter) in [
            ("tcp", "active_opens", "TcpActiveOpens"),
            ("tcp", "passive_opens", "TcpPassiveOpens"),
            ("tcp", "rx_segments", "TcpInSegs"),
            ("udp", "tx_packets", "UdpOutDatagrams"),
            ("ip", "tx_bytes", "IpExtOutOctets"),
        ] {
            let rows = rows(&[table, "--netns", "blue"]);
            assert_eq!((rows.len(), &rows[0][column]), (1, &truth["kernel"][counter]), "{table}.{column}");
        }
        assert_eq!(truth["kernel"]["TcpActiveOpens"], 5);
        assert_eq!(rows(&["tcp"])[0]["active_opens"], 0, "nobody has opened anything outside");
    });
}

/// `show` as a series of samples.
struct Series {
    guard: Guard,
    lines: BufReader<ChildStdout>,
}

impl Series {
    fn start(args: &[&str]) -> Self {
        let mut command = netglance(&[&["show"], args, &["--format", "json"]].concat());
        let mut child: Child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { guard: Guard(child), lines }
    }

    fn next(&mut self) -> Vec<Value> {
        let mut line = String::new();
        assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the series has ended");
        serde_json::from_str(&line).unwrap()
    }

    fn until(&mut self, what: &str, wanted: impl Fn(&[Value]) -> bool) {
        let begin = Instant::now();
        loop {
            let rows = self.next();
            if wanted(&rows) {
                return;
            }
            assert!(begin.elapsed() < PATIENT, "no {what} in {} rows: {:?}", rows.len(), rows.last());
        }
    }
}

#[test]
fn root_the_same_number_in_two_namespaces_is_two_rows_with_rates_of_their_own() {
    apart(|| {
        pair();
        let args = ["link", "--netns", "all", "--where", "index == 77", "--rate", "--every", "200ms"];
        let mut series = Series::start(&args);
        let of = |rows: &[Value], netns: &str, column: &str| {
            rows.iter().find(|row| row["netns"] == netns).and_then(|row| row[column].as_f64())
        };
        series.until("two rows", |rows| rows.len() == 2 && of(rows, "red", "rx_bytes") == Some(0.0));
        for _ in 0..3 {
            send(100);
            series.until("a rate", |rows| {
                let (sent, received) = (of(rows, "blue", "tx_packets"), of(rows, "red", "rx_packets"));
                assert_eq!(of(rows, "blue", "rx_packets").filter(|rate| *rate > 0.0), None, "{rows:?}");
                assert_eq!(of(rows, "red", "tx_packets").filter(|rate| *rate > 0.0), None, "{rows:?}");
                sent > Some(0.0) && received > Some(0.0)
            });
        }
    });
}

/// A namespace whose end shows outside: that of its wire vanishes with it.
const WIRED: &str = "netns add blue\nlink add out type veth peer name in netns blue\n";

fn has_wire() -> bool {
    output("ip", &["link", "show", "out"]).status.success()
}

/// Takes the name away and waits for the end of the namespace.
fn goes_with_its_name() {
    let proc = std::fs::metadata("/run/netns/blue").unwrap().ino();
    ip("netns del blue\n");
    let begin = Instant::now();
    while has_wire() {
        assert!(begin.elapsed() < PATIENT, "something keeps net:[{proc}] alive");
        std::thread::yield_now();
    }
    assert!(!said("lsns", &["-n", "-t", "net", "-o", "NS"]).contains(&proc.to_string()));
}

#[test]
fn root_a_namespace_that_is_read_ends_with_its_name_and_comes_back() {
    apart(|| {
        ip(WIRED);
        let mut series = Series::start(&["link", "--netns", "all", "--every", "100ms"]);
        let has_blue = |rows: &[Value]| rows.iter().any(|row| row["netns"] == "blue");
        for _ in 0..2 {
            series.until("blue", has_blue);
            goes_with_its_name();
            series.until("end of blue", |rows| !has_blue(rows) && !rows.is_empty());
            ip(WIRED);
        }
        series.until("blue once more", has_blue);
    });
}

#[test]
fn root_who_sleeps_between_two_samples_keeps_no_namespace_alive() {
    apart(|| {
        for table in ["address", "socket", "listener", "tcp"] {
            ip(WIRED);
            let mut series = Series::start(&[table, "--netns", "all", "--every", "1h"]);
            series.next();
            goes_with_its_name();
        }
    });
}

#[test]
fn root_the_dashboard_tells_namespaces_apart_and_lets_them_go() {
    alone(UnshareFlags::NEWNET, |_| {
        names();
        ip(WIRED);
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), "netns = ['bl*']\n").unwrap();
        let file = config.path().to_str().unwrap();
        let mut session = Session::spawn(160, 50, netglance(&["--view", "network", "--config", file]));
        session.wait_for_host();
        session.wait_for("both", |screen| {
            let lines = || screen.lines().filter(|line| line.contains(" lo "));
            screen.contains("netns") && lines().any(|l| l.contains("blue")) && lines().any(|l| l.contains("host"))
        });
        session.send(":table tcp\r");
        session.wait_for("two rows", |screen| screen.contains("TCP 2") && screen.contains("blue"));
        goes_with_its_name();
        session.wait_for("one row", |screen| screen.contains("TCP 1") && !screen.contains("blue"));
        ip(WIRED);
        session.wait_for("two rows again", |screen| screen.contains("TCP 2") && screen.contains("blue"));
        std::fs::write(config.path(), "netns = []\n").unwrap();
        session.wait_for("one row again", |screen| screen.contains("TCP 1") && !screen.contains("blue"));
        goes_with_its_name();
        session.send("q");
        assert_eq!(session.end(), 0);
    });
}

#[test]
fn root_a_namespace_without_a_name_has_the_number_that_the_kernel_gave_it() {
    alone(UnshareFlags::NEWNET, |_| {
        names();
        let sleeper = Guard::start(Command::new("unshare").args(["--net", "sleep", "600"]));
        let own = std::fs::read_link("/proc/thread-self/ns/net");
        // this /proc is that of the inner processes, whose numbers are not those of the test
        assert!(own.is_err(), "{own:?}");
        let begin = Instant::now();
        // it takes a moment to get there
        while !said("lsns", &["-n", "-t", "net", "-o", "COMMAND"]).contains("sleep 600") {
            assert!(begin.elapsed() < PATIENT);
            std::thread::yield_now();
        }
        let rows = rows(&["link", "--netns", "net:*"]);
        assert_eq!(rows.len(), 1, "only a loopback: {rows:?}");
        let number = rows[0]["netns"].as_str().unwrap().to_owned();
        let listed = said("lsns", &["-n", "-t", "net", "-o", "NS"]);
        let inode = number.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']')).unwrap();
        assert!(listed.lines().any(|line| line.trim() == inode), "{number}: {listed}");
        drop(sleeper);
    });
}

#[test]
fn root_one_namespace_is_listed_once_and_names_that_mean_something_are_not_taken() {
    apart(|| {
        ip("netns add blue\nnetns add host\nnetns add all\n");
        // a second name for the same one, and one for that of the test
        for (name, source) in [("azure", "/run/netns/blue"), ("own", "/proc/thread-self/ns/net")] {
            let path = Path::new("/run/netns").join(name);
            std::fs::write(&path, "").unwrap();
            mount(source, &path, "none", libc::MS_BIND, "");
        }
        std::fs::write("/run/netns/left-behind", "").unwrap();
        let number = |name: &str| format!("net:[{}]", std::fs::metadata(format!("/run/netns/{name}")).unwrap().ino());
        let seen = names_of(&rows(&["tcp", "--netns", "all"]), "netns");
        for name in ["host", "azure", &number("host"), &number("all")] {
            assert!(seen.contains(name), "{name} {seen:?}");
        }
        assert!(["blue", "own", "all", "left-behind"].iter().all(|name| !seen.contains(*name)), "{seen:?}");
        let blue = rows(&["tcp", "--netns", "blue"]);
        assert_eq!(names_of(&blue, "netns"), BTreeSet::from(["blue".to_owned()]), "any of its names will do");
        assert_eq!(names_of(&rows(&["tcp", "--netns", "host"]), "netns"), BTreeSet::from(["host".to_owned()]));
    });
}

#[test]
fn root_people_see_the_namespace_only_where_there_are_several() {
    apart(|| {
        pair();
        let text = |args: &[&str]| {
            let output = netglance(args).stdin(Stdio::null()).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(text(&["show", "link", "--netns", "all"]).starts_with("NETNS "));
        assert!(text(&["show", "tcp", "--netns", "all"]).starts_with("NETNS "));
        for one in [&["show", "link"][..], &["show", "tcp"]] {
            assert!(!text(one).to_lowercase().contains("netns"), "{one:?}");
        }
        // of another one alone it is said, too
        for one in [&["show", "link", "--netns", "blue"], &["show", "tcp", "--netns", "blue"]] {
            let said = text(one);
            assert!(said.to_lowercase().contains("netns") && said.contains("blue"), "{said}");
        }
    });
}

#[test]
fn root_an_unknown_namespace_is_refused_with_those_that_there_are() {
    apart(|| {
        ip("netns add blue\n");
        let output = netglance(&["show", "link", "--netns", "blu"]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        assert!(said.contains("`blu`") && said.contains("blue") && said.contains("host"), "{said}");
    });
}

#[test]
fn root_without_the_right_to_enter_it_is_said_and_the_rest_stays_whole() {
    let public = Public::new();
    apart(|| {
        pair();
        let denied = public.run(&["show", "link", "--netns", "blue"]);
        let said = String::from_utf8(denied.stderr).unwrap();
        assert_eq!((denied.status.code(), denied.stdout.len()), (Some(1), 0), "{said}");
        assert!(said.contains("denied") && said.contains("blue") && said.contains("CAP_SYS_ADMIN"), "{said}");
        for table in ["link", "address", "socket", "listener", "tcp"] {
            let partly = public.run(&["show", table, "--netns", "all", "--format", "json"]);
            let said = String::from_utf8(partly.stderr).unwrap();
            assert_eq!(partly.status.code(), Some(0), "{table}: {said}");
            assert!(said.contains("partly denied") && said.contains("CAP_SYS_ADMIN"), "{table}: {said}");
            let rows: Vec<Value> = serde_json::from_slice(&partly.stdout).unwrap();
            assert!(rows.iter().all(|row| row["netns"] == "host"), "{table}");
        }
    });
}

#[test]
fn root_more_than_the_open_files_suffice_for_are_left_out_and_counted() {
    apart(|| {
        ip(&(0..9).map(|n| format!("netns add x{n}")).collect::<Vec<_>>().join("\n"));
        let mut command = netglance(&["show", "link", "--netns", "x*", "--format", "json"]);
        with_descriptors(&mut command, 120);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), rows.len()), (Some(0), 6), "{said}");
        assert!(said.contains("3 network namespaces are left out") && said.contains("ulimit -n"), "{said}");
    });
}

/// A namespace that can be listed and not entered: a name that something else is bound to.
#[test]
fn root_one_that_cannot_be_entered_leaves_the_others_whole() {
    apart(|| {
        ip("netns add blue\nnetns add red\n");
        std::fs::write("/run/netns/odd", "").unwrap();
        mount("/proc/thread-self/ns/uts", Path::new("/run/netns/odd"), "none", libc::MS_BIND, "");
        let output = netglance(&["show", "link", "--netns", "all", "--format", "json"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.contains("odd"), "{said}");
        let seen = names_of(&serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap(), "netns");
        assert!(["blue", "host", "red"].iter().all(|name| seen.contains(*name)) && !seen.contains("odd"), "{seen:?}");
    });
}

#[test]
fn root_queues_and_connections_that_begin_while_a_namespace_is_read_have_their_rows() {
    apart(|| {
        ip("netns add blue\n");
        let start = |table| Series::start(&[table, "--netns", "blue", "--every", "200ms"]);
        let (mut queues, mut flows) = (start("nfqueue"), start("conntrack_flow"));
        assert!(queues.next().is_empty() && flows.next().is_empty());
        let _queue = inside("blue", || {
            // NFQNL_MSG_CONFIG with NFQA_CFG_CMD that binds
            let mut request = Subsystem::Queue.request(2, Header { family: 0, resource: 7 }, "a queue");
            push(&mut request.body, 1, &[1, 0, 0, 2]);
            let mut socket = Socket::open(Family::Netfilter).unwrap();
            socket.ask(&request, |_| Ok(())).unwrap();
            socket
        });
        queues.until("queue with its process", |rows| {
            rows.iter().any(|row| row["queue"] == 7 && row["pid"] == std::process::id())
        });
        let flow = "-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport 1 --dport 53 -t 300";
        let add = ["netns", "exec", "blue", "conntrack"].into_iter().chain(flow.split(' '));
        said("ip", &add.collect::<Vec<_>>());
        flows.until("connection", |rows| rows.iter().any(|row| row["destination_port"] == 53));
    });
}

#[test]
fn root_a_hundred_namespaces_come_and_go_and_leave_no_descriptor() {
    apart(|| {
        let all = |verb: &str| {
            let lines = (0..100).map(|n| format!("netns {verb} x{n}\n"));
            ip(&lines.collect::<String>());
        };
        let mut held = Vec::new();
        all("add");
        let mut series = Series::start(&["link", "--netns", "x*", "--every", "200ms"]);
        for _ in 0..3 {
            series.until("a hundred", |rows| rows.len() == 100);
            held.push(usage(series.guard.pid()).unwrap());
            all("del");
            series.until("none", <[Value]>::is_empty);
            let left = usage(series.guard.pid()).unwrap();
            assert!(left.descriptors < 20 && left.threads < 6, "{left:?}");
            all("add");
        }
        let (before, after) = (held[0], held[2]);
        // a thread that has opened something may not have ended yet
        assert!(after.descriptors <= before.descriptors && after.threads <= before.threads + 2, "{held:?}");
        assert!(after.rss < before.rss + (4 << 20), "{held:?}");
    });
}

#[test]
fn root_what_a_view_reads_everywhere_is_closed_soon_after_it_was_left() {
    apart(|| {
        ip(&(0..10).map(|n| format!("netns add x{n}")).collect::<Vec<_>>().join("\n"));
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), "netns = ['x*']\n").unwrap();
        let file = config.path().to_str().unwrap();
        let mut session = Session::spawn(160, 50, netglance(&["--view", "cpu", "--config", file]));
        session.wait_for_host();
        session.send(":table link\r");
        session.wait_for("all of them", |screen| screen.contains("x9"));
        let process = session.pid().as_raw_nonzero().get().unsigned_abs();
        let held = || usage(process).unwrap().descriptors;
        // what is always read opens its files with its first samples
        let mut before = held();
        loop {
            session.pump_for(Duration::from_secs(3));
            if std::mem::replace(&mut before, held()) == held() {
                break;
            }
        }
        for table in ["neighbor", "fdb", "qdisc", "link_queue", "tcp_metric", "packet_socket"] {
            // those of the table before are closed meanwhile
            let (known, end) = (sockets(process), Instant::now() + PATIENT);
            session.send(format!(":table {table}\r"));
            while sockets(process).difference(&known).count() < 10 {
                session.pump(Duration::from_millis(50));
                assert!(Instant::now() < end, "{table} opens something in each: {known:?} {:?}", sockets(process));
            }
        }
        session.send(":table cpu\r");
        let end = Instant::now() + 2 * PATIENT;
        while held() > before {
            session.pump(Duration::from_millis(50));
            assert!(Instant::now() < end, "{before} {}", held());
        }
    });
}
