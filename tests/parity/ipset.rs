//! Sets of addresses: `ipset save` and `ipset list`.

use std::fmt::Write as _;
use std::net::UdpSocket;

use netglance::model::{State, Text, Value};

use super::bracket::{Facts, Parity};
use super::network::in_own_network;
use super::said;

/// Sets of the types that kernels have, with elements of all their kinds.
const SETS: &str = "
create addresses hash:ip counters comment timeout 300 skbinfo
add addresses 192.0.2.1 comment \"who is it\" timeout 100 skbmark 0x1/0xff skbprio 1:a skbqueue 3
add addresses 192.0.2.2 timeout 0 skbmark 0x7
add addresses 127.0.0.1
create services hash:ip,port,net forceadd
add services 10.0.0.1,tcp:80,192.0.2.0/24
add services 10.0.0.1,udp:53,0.0.0.0/1
add services 10.0.0.1,icmp:echo-request,192.0.2.0/24 nomatch
add services 10.0.0.1,icmp:33/1,192.0.2.1
add services 10.0.0.1,udplite:7,10.0.0.0/8
add services 10.0.0.1,sctp:7,10.0.0.0/8
add services 10.0.0.1,gre:0,10.0.0.0/8
add services 10.0.0.1,esp:0,10.0.0.0/8
add services 10.0.0.1,ipv6-nonxt:0,10.0.0.0/8
create six hash:ip,port family inet6
add six 2001:db8::1,udp:53
add six 2001:db8::1,ipv6-icmp:packet-too-big
add six ::1.2.3.4,tcp:1
create ports bitmap:port range 1-1000
add ports 80
create map bitmap:ip range 10.0.0.0/16 netmask 24
add map 10.0.1.0
create cards bitmap:ip,mac range 192.0.2.0/24
add cards 192.0.2.1,02:00:00:00:00:ab
add cards 192.0.2.2
create ways hash:net,iface
add ways 10.0.0.0/8,eth0
add ways 10.1.0.0/16,physdev:eth1
add ways 10.2.0.0/16,eth wildcard
create pairs hash:ip,port,ip
add pairs 10.0.0.1,sctp:5,10.0.0.2
create blocks hash:ip netmask 24 hashsize 64 maxelem 100 timeout 0
add blocks 10.0.0.77
create parts hash:ip bitmask 255.255.0.255
add parts 192.0.2.1
create parts6 hash:ip,port family inet6 bitmask ffff::ff
add parts6 2001:db8::1,tcp:1
create nets hash:net family inet6
add nets 2001:db8::/32
add nets 2001:db8::1
create lists list:set size 9
add lists addresses
add lists services
";

/// Types of ICMP, with the last code of each: those that `ipset` has words for, and some that it has none for.
const ICMP: [(u8, u8); 18] = [
    (0, 0),
    (3, 15),
    (4, 0),
    (5, 3),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (12, 1),
    (13, 0),
    (14, 0),
    (17, 0),
    (18, 0),
    (30, 0),
    (40, 2),
    (128, 0),
    (137, 0),
    (255, 9),
];

fn restore(lines: &str) {
    said("sh", &["-c", &format!("ipset restore <<'END'\n{lines}\nEND")]);
}

/// What stands in an element of XML.
fn inside<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    rest.split_once(&format!("</{element}>")).map(|(inside, _)| inside)
}

#[test]
fn root_sets_are_what_ipset_lists() {
    in_own_network(|| {
        restore(SETS);
        said("iptables-legacy", &"-A OUTPUT -m set --match-set addresses dst".split(' ').collect::<Vec<_>>());
        let mut table = Parity::of("ipset", &["set"]).wanting(&[], &[]);
        table.agrees(|| {
            let mut facts = Facts::default();
            let xml = said("ipset", &["list", "-t", "-o", "xml"]);
            for set in xml.split("<ipset name=\"").skip(1) {
                let name = set.split('"').next().unwrap();
                facts.text(name, "kind", inside(set, "type").unwrap());
                let number = |element: &str| inside(set, element).map(|number| number.parse::<f64>().unwrap());
                for (column, value) in [
                    ("elements", number("numentries")),
                    ("size", number("maxelem").or(number("size"))),
                    ("mask", number("netmask")),
                    ("timeout", number("timeout").filter(|timeout| *timeout > 0.0)),
                    ("references", number("references")),
                    ("memory", number("memsize")),
                    ("buckets", number("hashsize")),
                    ("bucket_size", number("bucketsize")),
                    ("fill", number("maxelem").or(number("size")).map(|size| number("numentries").unwrap() / size)),
                ] {
                    match value {
                        Some(value) => facts.number(name, column, value),
                        None => facts.missing(name, column),
                    }
                }
                let words = ["counters", "comment", "skbinfo", "forceadd"];
                // it does not list that elements are forced in
                let head = SETS.lines().find(|line| line.starts_with(&format!("create {name} "))).unwrap();
                let has: Vec<_> = words.into_iter().filter(|word| head.split(' ').any(|own| own == *word)).collect();
                // nor the family of addresses in a bitmap, which can have only one
                let family = inside(set, "family").or(set.contains("bitmap:ip").then_some("inet"));
                let texts = [("family", family), ("range", inside(set, "range")), ("bitmask", inside(set, "bitmask"))];
                let extensions = has.join(",");
                for (column, text) in
                    texts.into_iter().chain([("extensions", Some(&*extensions).filter(|text| !text.is_empty()))])
                {
                    match text {
                        Some(text) => facts.text(name, column, text),
                        None => facts.missing(name, column),
                    }
                }
            }
            facts
        });
        // the kernel here has no type with marks
        table.left_out(&["netns", "set", "markmask"]);
        assert_eq!(table.keys().len(), SETS.matches("create ").count());
    });
}

/// What `ipset save` says of the elements of a set.
fn saved(set: &str) -> Facts {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let mut facts = Facts::default();
    for line in said("ipset", &["save", set]).lines().filter_map(|line| line.strip_prefix(&format!("add {set} "))) {
        let mut words = line.split(' ');
        let element = words.next().unwrap();
        let after = |name: &str| {
            let (_, rest) = line.split_once(&format!(" {name} "))?;
            Some(if let Some(quoted) = rest.strip_prefix('"') {
                quoted.split('"').next().unwrap()
            } else {
                rest.split(' ').next().unwrap()
            })
        };
        for column in ["packets", "bytes", "skbqueue"] {
            match after(column).map(|number| number.parse().unwrap()) {
                Some(number) => facts.number(element, column, number),
                None => facts.missing(element, column),
            }
        }
        for column in ["comment", "skbmark", "skbprio"] {
            if let Some(text) = after(column) {
                facts.text(element, column, text);
            }
        }
        match after("timeout").map(|left| left.parse::<f64>().unwrap()).filter(|left| *left > 0.0) {
            Some(left) => facts.between(element, "expires", now + left - 1.5, now + left + 1.5),
            None => facts.missing(element, "expires"),
        }
        for column in ["nomatch", "wildcard"] {
            facts.text(element, column, if words.clone().any(|word| word == column) { "true" } else { "false" });
        }
    }
    facts
}

fn elements_of(set: &str) -> Parity {
    Parity::of("ipset_element", &["element"]).wanting(&[], &[Value::Text(Text::from(set))])
}

#[test]
fn root_elements_of_every_type_of_set_are_what_ipset_saves() {
    in_own_network(|| {
        restore(SETS);
        said("iptables-legacy", &"-A OUTPUT -m set --match-set addresses dst".split(' ').collect::<Vec<_>>());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..5 {
            socket.send_to(&[7; 72], "127.0.0.1:9").unwrap_or_default();
        }
        let mut icmp = String::new();
        for (kind, last) in ICMP {
            for code in 0..=last {
                writeln!(icmp, "add services 10.0.0.9,icmp:{kind}/{code},10.0.0.0/8").unwrap();
                writeln!(icmp, "add six 2001:db8::9,ipv6-icmp:{kind}/{code}").unwrap();
            }
        }
        restore(&icmp);
        for line in SETS.lines().filter_map(|line| line.strip_prefix("create ")) {
            let set = line.split(' ').next().unwrap();
            let mut table = elements_of(set);
            table.agrees(|| saved(set));
            assert_eq!(table.keys().len(), saved(set).rows(), "{set}");
        }
        let mut counted = elements_of("addresses");
        counted.agrees(|| saved("addresses"));
        counted.left_out(&["element", "netns", "set"]);
        let mut known = elements_of("addresses");
        known.agrees(|| {
            let mut facts = Facts::default();
            facts.between("127.0.0.1", "packets", 5.0, 10.0);
            facts.between("127.0.0.1", "bytes", 500.0, 2000.0);
            facts
        });
    });
}

#[test]
fn root_a_set_is_found_by_the_name_that_its_row_has_whatever_bytes_it_is_made_of() {
    in_own_network(|| {
        restore("create \u{1b}[31mx hash:ip\nadd \u{1b}[31mx 192.0.2.7");
        let name = r"\x1b[31mx";
        assert!(Parity::of("ipset", &["set"]).wanting(&[], &[]).keys().contains(name));
        assert!(elements_of(name).keys().contains("192.0.2.7"));
    });
}

#[test]
fn root_a_set_that_is_not_there_is_named_and_so_is_what_to_do_where_none_is_asked_for() {
    in_own_network(|| {
        restore(SETS);
        assert_eq!(elements_of("nowhere").is_not(State::Absent), "");
        let hint = Parity::of("ipset_element", &["element"]).wanting(&[], &[]).is_not(State::Absent);
        assert!(hint.contains("set =="), "{hint}");
    });
}

#[test]
fn root_a_set_of_a_hundred_thousand_elements_shows_the_busiest_and_tells_of_the_others() {
    const MANY: usize = 100_000;
    in_own_network(|| {
        let mut lines = String::from("create many hash:ip counters maxelem 200000\n");
        for number in 0..MANY {
            let [_, a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
            // the busiest stand anywhere
            let bytes = if number % 40_000 == 7 { 1_000_000 } else { 0 };
            writeln!(lines, "add many 10.{a}.{b}.{c} packets 1 bytes {bytes}").unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines).unwrap();
        said("ipset", &["restore", "-f", file.path().to_str().unwrap()]);
        let table = elements_of("many");
        let keys = table.keys();
        assert_eq!(keys.len(), 1 << 16);
        assert!(["10.0.0.7", "10.0.156.71", "10.1.56.135"].iter().all(|busy| keys.contains(*busy)));
        let left_out = format!("{} elements that counted less are left out", MANY - (1 << 16));
        assert!(table.partly().iter().any(|reason| reason.starts_with(&left_out)), "{:?}", table.partly());
    });
}
