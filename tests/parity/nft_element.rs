//! Elements of sets and maps: `nft -nn list set`.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, UdpSocket};

use netglance::model::{State, Text, Value};

use super::bracket::{Facts, Parity};
use super::network::in_own_network;
use super::{said, said_json};

/// Sets and maps of all sorts, each in a line of its own.
const SETS: &str = r#"
set plain { type ipv4_addr; elements = { 10.0.0.1 comment "who, and why", 10.0.0.3, 127.0.0.1 }; }
set counted { type ipv4_addr; counter; elements = { 127.0.0.1, 127.0.0.2 }; }
set ranges { type ipv4_addr; flags interval; counter; elements = { 10.0.0.0/8, 20.0.0.1, 20.0.0.2-20.0.0.7, 192.168.0.5-192.168.0.9 comment "x", 200.0.0.0-255.255.255.255 }; }
set zero { type ipv6_addr; flags interval; elements = { ::/96, 2001:db8::/32, 2001:db9::1-2001:db9::7 }; }
set one { type inet_service; flags interval; elements = { 1024-65535 }; }
set whole { type inet_service; flags interval; elements = { 0-65535 }; }
set adjacent { type inet_service; flags interval; elements = { 10-19 comment "a", 20-29 comment "b", 30 comment "c" }; }
set names { type ifname; flags interval; elements = { "eth*", "lo", "wlan0" }; }
set cards { type iface_index; elements = { "lo" }; }
set marks { type mark; elements = { 7, 0xff }; }
set macs { type ether_addr; elements = { 02:00:00:00:00:ab }; }
set states { type ct_state; elements = { established, new }; }
set several { type ipv4_addr . inet_service . ifname; flags interval,timeout; timeout 1h; elements = { 10.0.0.0/24 . 80-90 . "lo", 10.1.0.1-10.1.0.7 . 22 . "eth0" timeout 10m comment "t" }; }
set pairs { type ipv4_addr . inet_proto; elements = { 10.0.0.1 . tcp, 10.0.0.2 . udp }; }
set typed { typeof vlan id . ip saddr; elements = { 100 . 10.0.0.1 }; }
set limited { type ipv4_addr; flags dynamic,timeout; timeout 1m; size 100; elements = { 1.2.3.4 limit rate 5/second timeout 5m expires 4m, 1.2.3.5 limit rate over 10 mbytes/second burst 7 mbytes, 1.2.3.6 counter packets 3 bytes 400 }; }
set shares { type ipv4_addr; flags dynamic; quota over 10 mbytes; elements = { 1.1.1.1, 2.2.2.2 }; }
map ports { type ipv4_addr : inet_service; elements = { 10.0.0.1 : 80, 10.0.0.2 : 443 }; }
map ways { type inet_service : verdict; flags interval; elements = { 1-100 : accept, 200 : jump side, * : drop }; }
map counts { type ipv4_addr : counter; elements = { 10.0.0.1 : "named" }; }
map targets { type inet_service : ipv4_addr . inet_service; elements = { 80 : 10.0.0.1 . 8080, 443 : 10.0.0.2 . 8443 }; }
map between { type inet_service : interval ipv4_addr; elements = { 80 : 10.0.0.1-10.0.0.9 }; }
"#;

fn load(script: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    said("nft", &["-f", file.path().to_str().unwrap()]);
}

/// A table with all the sets, and a rule for those that count.
fn make() {
    load(&format!(
        "table inet t {{ counter named {{ }}\nchain side {{ }}\n{SETS}
        chain out {{
            type filter hook output priority 0;
            meta l4proto udp ip daddr @counted
            meter met {{ ip daddr . udp dport timeout 1m counter }}
        }}
        }}\n"
    ));
}

/// Splits where nothing is quoted.
fn split<'a>(text: &'a str, at: &str) -> Vec<&'a str> {
    let (mut parts, mut begin, mut quoted) = (Vec::new(), 0, false);
    for (place, c) in text.char_indices() {
        quoted ^= c == '"';
        if !quoted && place >= begin && text[place..].starts_with(at) {
            parts.push(&text[begin..place]);
            begin = place + at.len();
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// An element as `nft` lists it, in words.
#[derive(Default)]
struct Listed {
    key: String,
    /// Packets, bytes and seconds.
    numbers: [Option<f64>; 3],
    expires: Option<f64>,
    /// Comment, data and all that has no column of its own.
    texts: [Option<String>; 3],
}

impl Listed {
    fn read(element: &str) -> Self {
        const WORDS: [&str; 7] = ["counter", "limit", "quota", "last", "timeout", "expires", "comment"];
        let (element, data) = match split(element, " : ")[..] {
            [element, data] => (element, Some(data.to_owned())),
            _ => (element, None),
        };
        let words = split(element, " ");
        let mut at = words.iter().position(|word| WORDS.contains(word)).unwrap_or(words.len());
        let mut found = Self { key: words[..at].join(" "), texts: [None, data, None], ..Self::default() };
        let number = |word: &str| Some(word.trim_end_matches('s').parse::<f64>().unwrap());
        let mut state = Vec::new();
        while at < words.len() {
            at += match words[at] {
                "counter" => {
                    [found.numbers[0], found.numbers[1]] = [number(words[at + 2]), number(words[at + 4])];
                    4
                }
                "timeout" => {
                    found.numbers[2] = number(words[at + 1]);
                    1
                }
                "expires" => {
                    found.expires = number(words[at + 1]);
                    1
                }
                "comment" => {
                    found.texts[0] = Some(words[at + 1].trim_matches('"').to_owned());
                    1
                }
                word => {
                    state.push(word);
                    0
                }
            } + 1;
        }
        found.texts[2] = (!state.is_empty()).then(|| state.join(" "));
        found
    }
}

/// What `nft` lists of the elements of a set.
fn listed(kind: &str, set: &str) -> Facts {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let text = said("nft", &["-nn", "list", kind, "inet", "t", set]);
    let mut facts = Facts::default();
    let Some((_, rest)) = text.split_once("elements = { ") else { return facts };
    let list = rest.rsplit_once(" }\n").unwrap().0;
    for Listed { key, numbers, expires, texts } in split(list, ",").into_iter().map(|one| Listed::read(one.trim())) {
        for (column, number) in ["packets", "bytes", "timeout"].into_iter().zip(numbers) {
            match number {
                Some(number) => facts.number(&key, column, number),
                None => facts.missing(&key, column),
            }
        }
        for (column, text) in ["comment", "data", "state"].into_iter().zip(texts) {
            match text {
                Some(text) => facts.text(&key, column, &text),
                None => facts.missing(&key, column),
            }
        }
        match expires {
            Some(left) => facts.between(&key, "expires", now + left - 0.5, now + left + 1.5),
            None => facts.missing(&key, "expires"),
        }
    }
    facts
}

fn elements_of(set: &str) -> Parity {
    let ids = [Value::Label(Text::from("inet")), Value::Text(Text::from("t")), Value::Text(Text::from(set))];
    Parity::of("nft_element", &["key"]).wanting(&[], &ids)
}

/// Elements in the JSON of a set.
fn counted(kind: &str, set: &str) -> usize {
    let json = said_json("nft", &["-j", "list", kind, "inet", "t", set]);
    let mut sets = json["nftables"].as_array().unwrap().iter().filter_map(|object| object.get(kind));
    sets.next().unwrap()["elem"].as_array().map_or(0, Vec::len)
}

#[test]
fn root_elements_of_every_sort_of_set_are_what_nft_lists() {
    in_own_network(|| {
        make();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for port in [4001, 4001, 4002] {
            socket.send_to(&[7; 72], ("127.0.0.1", port)).unwrap();
        }
        for line in SETS.lines().filter(|line| !line.is_empty()) {
            let (kind, rest) = line.split_once(' ').unwrap();
            let set = rest.split(' ').next().unwrap();
            let mut table = elements_of(set);
            table.agrees(|| listed(kind, set));
            let count = counted(kind, set);
            assert_eq!((table.keys().len(), listed(kind, set).rows()), (count, count), "{set}");
        }
        let mut filled = elements_of("met");
        filled.agrees(|| listed("meter", "met"));
        assert_eq!(filled.keys(), ["127.0.0.1 . 4001", "127.0.0.1 . 4002"].map(str::to_owned).into());
        filled.left_out(&["family", "key", "netns", "set", "table"]);
        let mut exact = elements_of("counted");
        exact.agrees(|| {
            let mut facts = Facts::default();
            facts.number("127.0.0.1", "packets", 3.0);
            facts.number("127.0.0.1", "bytes", 300.0);
            facts.number("127.0.0.2", "packets", 0.0);
            facts
        });
    });
}

#[test]
fn root_a_filter_set_that_is_not_there_is_named_and_so_is_what_to_do_where_none_is_asked_for() {
    in_own_network(|| {
        make();
        assert_eq!(elements_of("nowhere").is_not(State::Absent), "");
        let hint = Parity::of("nft_element", &["key"]).wanting(&[], &[]).is_not(State::Absent);
        assert!(hint.contains("set =="), "{hint}");
    });
}

#[test]
fn root_a_filter_set_of_a_hundred_thousand_ranges_shows_the_busiest_and_tells_of_the_others() {
    const MANY: u32 = 100_000;
    in_own_network(|| {
        let range = |number: u32| {
            let first = 0x7f00_0000 + 4 * number;
            let [first, last] = [first, first + 2].map(Ipv4Addr::from);
            format!("{first}-{last}")
        };
        let mut script = String::from(
            "table inet t { set many { type ipv4_addr; flags interval; counter; };
            chain out { type filter hook output priority 0; ip daddr @many; }; }\n",
        );
        for begin in (0..MANY).step_by(1000) {
            let ranges: Vec<String> = (begin..begin + 1000).map(range).collect();
            writeln!(script, "add element inet t many {{ {} }}", ranges.join(", ")).unwrap();
        }
        load(&script);
        let busy = ["127.0.0.28-127.0.0.30", "127.2.113.28-127.2.113.30", "127.4.226.28-127.4.226.30"];
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for range in busy {
            socket.send_to(b"x", (range.split('-').next().unwrap(), 9)).unwrap();
        }
        let table = elements_of("many");
        let keys = table.keys();
        assert_eq!(keys.len(), 1 << 16);
        assert!(busy.iter().all(|range| keys.contains(*range)));
        let left_out = format!("{} elements that counted less are left out", MANY as usize - (1 << 16));
        assert!(table.partly().iter().any(|reason| reason.starts_with(&left_out)), "{:?}", table.partly());
    });
}
