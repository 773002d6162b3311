//! Rules and policies of iptables-nft: `iptables-nft-save` and `ip6tables-nft-save`, line by line.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::UdpSocket;

use super::bracket::{Facts, Parity};
use super::network::in_own_network;
use super::{file, said};

/// Extensions that iptables-nft leaves to the kernel's x_tables, and of which the corpus has rules.
const IPV4: &str = "-m addrtype -m ah -m bpf -m cluster -m comment -m connbytes -m connlabel -m connlimit -m connmark \
    -m conntrack -m cpu -m dccp -m devgroup -m dscp -m ecn -m esp -m hashlimit -m helper -m icmp -m ipcomp -m iprange \
    -m length -m mac -m multiport -m nfacct -m osf -m owner -m physdev -m pkttype -m policy -m quota -m rateest \
    -m realm -m recent -m sctp -m set -m socket -m state -m statistic -m string -m tcp -m tcpmss -m time -m tos -m ttl \
    -m u32 -j AUDIT -j CHECKSUM -j CLASSIFY -j CONNMARK -j CT -j DNAT -j DSCP -j ECN -j HMARK -j IDLETIMER -j LOG \
    -j MARK -j MASQUERADE -j NETMAP -j NFQUEUE -j RATEEST -j REDIRECT -j REJECT -j SET -j SNAT -j SYNPROXY -j TCPMSS \
    -j TCPOPTSTRIP -j TEE -j TOS -j TPROXY -j TTL";
/// The same of IPv6.
const IPV6: &str = "-m addrtype -m ah -m bpf -m comment -m connlimit -m conntrack -m dst -m eui64 -m frag -m hashlimit \
    -m hbh -m hl -m icmp6 -m iprange -m ipv6header -m mac -m mh -m multiport -m policy -m recent -m rt -m set -m u32 \
    -j CT -j DNAT -j DNPT -j HL -j LOG -j MARK -j MASQUERADE -j NETMAP -j REDIRECT -j REJECT -j SET -j SNAT -j SNPT \
    -j SYNPROXY -j TEE -j TPROXY";

/// Gives a corpus to `iptables-nft-restore`, with the sets and accounts that it names.
fn restore(program: &str, corpus: &str, family: &str) {
    said("ipset", &["create", "hosts", "hash:ip", "family", family]);
    said("ipset", &["create", "marks", "hash:ip", "family", family, "skbinfo"]);
    said("nfacct", &["add", "visits"]);
    let rules = file(&format!("{}/tests/fixtures/iptables/{corpus}.rules", env!("CARGO_MANIFEST_DIR")));
    let mut script = String::new();
    for table in ["raw", "mangle", "nat", "filter", "security"] {
        write!(script, "*{table}\n:other - [0:0]\n").unwrap();
        // chains of users may have names of hooks that their table has not
        script.push_str(if table == "nat" { ":FORWARD - [0:0]\n" } else { "" });
        for rule in rules.lines().filter_map(|line| line.strip_prefix(table)?.strip_prefix(' ')) {
            writeln!(script, "-A {rule}").unwrap();
        }
        script.push_str("COMMIT\n");
    }
    let saved = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(saved.path(), script).unwrap();
    said(&format!("{program}-restore"), &[saved.path().to_str().unwrap()]);
}

/// What an option is given, and whether it is negated.
struct Given<'a> {
    not: &'static str,
    value: &'a str,
}

/// What an option of a rule or of a native match is given; none of their words are quoted.
fn given<'a>(words: &[&'a str], name: &str) -> Option<Given<'a>> {
    let place = words.iter().position(|word| *word == name)?;
    Some(Given { not: if words[..place].last() == Some(&"!") { "!= " } else { "" }, value: words[place + 1] })
}

/// An address with its prefix or mask.
fn address(family: &str, field: &str, Given { not, value }: &Given<'_>) -> String {
    let (address, length) = value.split_once('/').unwrap();
    match length {
        "32" | "128" => format!("{family} {field} {not}{address}"),
        mask if mask.contains('.') => {
            format!("{family} {field} & {mask} {}{address}", if not.is_empty() { "== " } else { not })
        }
        _ => format!("{family} {field} {not}{value}"),
    }
}

/// What stands before the extensions, as `nft` writes it.
fn head(text: &str, family: &str, is_implied: bool) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let interface = |word: &str, Given { not, value }| format!("{word} {not}\"{}\"", value.replace('+', "*"));
    let number = |Given { not, value }| {
        let listed =
            (!value.starts_with(|digit: char| digit.is_ascii_digit())).then(|| said("getent", &["protocols", value]));
        let number = listed.as_deref().map_or(value, |line| line.split_whitespace().nth(1).unwrap());
        format!("meta l4proto {not}{number}")
    };
    let fragment = words.contains(&"-f").then(|| if words.ends_with(&["!", "-f"]) { "==" } else { "!=" });
    let parts = [
        given(&words, "-i").map(|given| interface("iifname", given)),
        given(&words, "-o").map(|given| interface("oifname", given)),
        given(&words, "-p").filter(|_| !is_implied).map(number),
        given(&words, "-s").map(|given| address(family, "saddr", &given)),
        given(&words, "-d").map(|given| address(family, "daddr", &given)),
        fragment.map(|is| format!("ip frag-off & 8191 {is} 0")),
    ];
    parts.into_iter().flatten().collect()
}

/// Flags of TCP by number.
fn flags(names: &str) -> String {
    const FLAGS: [&str; 6] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG"];
    let bit = |name| format!("{:#x}", 1 << FLAGS.iter().position(|flag| *flag == name).unwrap());
    names.split(',').map(bit).collect::<Vec<_>>().join(",")
}

/// Ports and flags as `nft` writes them, which the extension is needed for only with other options or none.
fn ports_and_flags(protocol: &str, words: &[&str]) -> Option<Vec<String>> {
    let port = |field: &str, Given { not, value }| format!("{protocol} {field} {not}{}", value.replace(':', "-"));
    let set = words.iter().position(|word| *word == "--tcp-flags").and_then(|place| words.get(place + 2));
    let parts = [
        given(words, "--sport").map(|given| port("sport", given)),
        given(words, "--dport").map(|given| port("dport", given)),
        given(words, "--tcp-flags")
            .zip(set)
            .map(|(mask, set)| format!("tcp flags {} / {}", flags(set), flags(mask.value))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty() && !words.contains(&"--tcp-option")).then_some(parts)
}

/// A match as `nft` writes it, if iptables-nft makes it without the extension.
fn native(name: &str, options: &str) -> Option<Vec<String>> {
    let words: Vec<&str> = options.split(' ').collect();
    let number = |text: &str| format!("{:#010x}", u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap());
    match name {
        "tcp" | "udp" => ports_and_flags(name, &words),
        "mark" => {
            let Given { not, value } = given(&words, "--mark")?;
            Some(vec![match value.split_once('/') {
                Some((value, mask)) => format!("meta mark & {} {not}{}", number(mask), number(value)),
                None => format!("meta mark {not}{}", number(value)),
            }])
        }
        "limit" => {
            let rate = given(&words, "--limit")?.value.replace("sec", "second").replace("min", "minute");
            let burst = given(&words, "--limit-burst").map(|given| format!(" burst {} packets", given.value));
            Some(vec![format!("limit rate {rate}{}", burst.unwrap_or_default())])
        }
        _ => None,
    }
}

/// A target or a chain as `nft` writes it, if it is none of the kernel's x_tables.
fn verdict(word: &str, target: &str) -> Option<String> {
    let (name, options) = target.split_once(' ').unwrap_or((target, ""));
    match name {
        "ACCEPT" | "DROP" | "RETURN" => Some(name.to_lowercase()),
        "other" if word == "-g" => Some("goto other".to_owned()),
        "other" => Some("jump other".to_owned()),
        "TRACE" => Some("meta nftrace set 1".to_owned()),
        "NFLOG" => Some(
            options
                .replace("--nflog-prefix", "log prefix")
                .replace("--nflog-group", "group")
                .replace("--nflog-threshold", "queue-threshold"),
        ),
        _ => None,
    }
}

/// The text of a rule that `iptables-nft-save` writes so; notes extensions in it.
fn written(rule: &str, family: &str, extensions: &mut BTreeSet<String>) -> String {
    let mut starts: Vec<usize> =
        ["-m ", "-j ", "-g "].iter().flat_map(|word| rule.match_indices(word)).map(|(start, _)| start).collect();
    starts.retain(|start| *start == 0 || rule[..*start].ends_with(' '));
    starts.sort_unstable();
    starts.push(rule.len());
    let (mut matches, mut target, mut is_implied) = (Vec::new(), None, false);
    for part in starts.windows(2).map(|part| rule[part[0]..part[1]].trim_end()) {
        let (word, text) = part.split_at(2);
        let text = text.trim_start();
        let (name, options) = text.split_once(' ').unwrap_or((text, ""));
        let own = if word == "-m" { native(name, options) } else { verdict(word, text).map(|text| vec![text]) };
        is_implied |= own.is_some() && ["tcp", "udp"].contains(&name);
        let own = own.unwrap_or_else(|| {
            extensions.insert(format!("{word} {name}"));
            vec![part.to_owned()]
        });
        if word == "-m" { matches.extend(own) } else { target = own.into_iter().next() }
    }
    let mut parts = head(rule[..starts[0]].trim_end(), family, is_implied);
    parts.extend(matches);
    parts.push("counter".to_owned());
    parts.extend(target);
    parts.join(" ")
}

/// Rules and policies as they are saved, and the extensions in them.
fn saved(program: &str, family: &str) -> (Facts, Facts, BTreeSet<String>) {
    let (mut rules, mut chains, mut extensions) = (Facts::default(), Facts::default(), BTreeSet::new());
    let (mut table, mut position) = (String::new(), std::collections::BTreeMap::<String, u64>::new());
    for line in said(&format!("{program}-save"), &["-c"]).lines() {
        let counts = |text: &str| {
            let (packets, bytes) = text.trim_matches(['[', ']']).split_once(':').unwrap();
            [packets, bytes].map(|number| number.parse::<f64>().unwrap())
        };
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        } else if let Some((counted, rule)) = line.split_once(" -A ") {
            let (chain, rule) = rule.split_once(' ').unwrap();
            let place = position.entry(format!("{table} {chain}")).or_default();
            *place += 1;
            let key = format!("{family} {table} {chain} {place}");
            rules.text(&key, "rule", &written(rule, family, &mut extensions));
            for (column, number) in ["packets", "bytes"].into_iter().zip(counts(counted)) {
                rules.number(&key, column, number);
            }
        } else if let Some([chain, policy, counted]) =
            line.strip_prefix(':').map(|line| line.split(' ').collect::<Vec<_>>()).as_deref()
        {
            let key = format!("{family} {table} {chain}");
            // that of a chain that nobody has changed is not in the kernel
            if *policy == "DROP" {
                chains.text(&key, "policy", "drop");
                for (column, number) in ["packets", "bytes"].into_iter().zip(counts(counted)) {
                    chains.number(&key, column, number);
                }
            }
        }
    }
    (rules, chains, extensions)
}

/// Restores a corpus, sends something through it, and compares; returns how many rules there are and the extensions in them.
fn compared(program: &str, corpus: &str, family: &str) -> (usize, BTreeSet<String>) {
    in_own_network(|| {
        let [inet, loopback] = if family == "ip" { ["inet", "127.0.0.1:0"] } else { ["inet6", "[::1]:0"] };
        restore(program, corpus, inet);
        let receiver = UdpSocket::bind(loopback).unwrap();
        for size in [1, 100, 1000] {
            // a rule on its way may drop it and tell so, which is no matter
            let _ = receiver.send_to(&vec![7; size], receiver.local_addr().unwrap());
        }
        let mut table = Parity::of("nft_rule", &["family", "table", "chain", "position"]);
        table.agrees(|| saved(program, family).0);
        table.left_out(&["chain", "comment", "family", "handle", "last", "netns", "position", "table", "verdict"]);
        let (facts, _, extensions) = saved(program, family);
        assert_eq!(table.keys().len(), facts.rows(), "rules that are not saved");
        (facts.rows(), extensions)
    })
}

/// Fails unless all extensions of a list were there.
fn has(extensions: &BTreeSet<String>, list: &str) {
    let named: BTreeSet<String> = list.split(" -").map(|name| format!("-{}", name.trim_start_matches('-'))).collect();
    let missing: Vec<_> = named.difference(extensions).collect();
    assert!(missing.is_empty(), "no rule has {missing:?}");
}

#[test]
fn root_every_rule_of_iptables_nft_is_what_it_saves() {
    let (count, extensions) = compared("iptables-nft", "ipv4", "ip");
    has(&extensions, IPV4);
    assert!(count >= 190, "{count}");
}

#[test]
fn root_every_rule_of_ip6tables_nft_is_what_it_saves() {
    let (count, extensions) = compared("ip6tables-nft", "ipv6", "ip6");
    has(&extensions, IPV6);
    assert!(count >= 60, "{count}");
}

#[test]
fn root_a_policy_counts_what_no_rule_has_let_through() {
    const PROGRAMS: [(&str, &str); 2] = [("iptables-nft", "ip"), ("ip6tables-nft", "ip6")];
    in_own_network(|| {
        for (program, _) in PROGRAMS {
            said(program, &["-P", "INPUT", "DROP"]);
            said(program, &["-A", "INPUT", "-p", "udp", "--dport", "4001", "-j", "ACCEPT"]);
        }
        // who listens there sends no error, which would be dropped, too
        let _receivers = ["127.0.0.1:4001", "[::1]:4001"].map(|address| UdpSocket::bind(address).unwrap());
        for (host, count) in [("127.0.0.1", 7), ("::1", 3)] {
            let socket = UdpSocket::bind((host, 0)).unwrap();
            for _ in 0..count {
                socket.send_to(&[7; 100], (host, 4001)).unwrap();
                socket.send_to(&[7; 50], (host, 4002)).unwrap();
                socket.send_to(&[7; 10], (host, 4003)).unwrap();
            }
        }
        let mut table = Parity::of("nft_chain", &["family", "table", "name"]);
        for (program, family) in PROGRAMS {
            table.agrees(|| saved(program, family).1);
        }
        table.agrees(|| {
            let mut facts = Facts::default();
            // the headers of IP and UDP stand before what was sent
            for (chain, count, headers) in [("ip filter INPUT", 7.0, 28.0), ("ip6 filter INPUT", 3.0, 48.0)] {
                facts.number(chain, "packets", 2.0 * count);
                facts.number(chain, "bytes", count * (50.0 + 10.0 + 2.0 * headers));
            }
            facts
        });
    });
}
