//! Is a rule's text that of `iptables-save`?

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;

use super::legacy::{Reader, Rule, Walk};
use super::names::SetNames;
use super::{Extension, Sets};
use crate::source::netlink::Family;
use crate::source::netlink::common::Common;
use crate::source::netlink::testing::{in_own_network, run};

/// One set.
struct Hosts;

impl Sets for Hosts {
    fn set(&self, index: u16) -> Option<String> {
        (index == 0).then(|| "hosts".to_owned())
    }
}

/// Rules that every table of this kernel takes: table, chain, and what is appended to it.
fn corpus(name: &str) -> Vec<(String, String)> {
    let path = format!("{}/tests/fixtures/iptables/{name}.rules", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once(' ').unwrap()).map(|(table, rule)| (table.to_owned(), rule.to_owned())).collect()
}

/// Loads a corpus with `iptables-restore`.
fn load(restore: &str, rules: &[(String, String)]) {
    let mut tables = BTreeMap::<&str, Vec<String>>::new();
    for (table, rule) in rules {
        // chains of users may have names of hooks that their table has not
        let named_as_hook = if table == "nat" { ":FORWARD - [0:0]\n" } else { "" };
        let lines = tables.entry(table).or_insert_with(|| vec![format!("*{table}\n:other - [0:0]\n{named_as_hook}")]);
        lines.push(format!("-A {rule}\n"));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let script: Vec<_> = tables.values().map(|lines| format!("{}COMMIT\n", lines.concat())).collect();
    std::fs::write(file.path(), script.concat()).unwrap();
    run(restore, &file.path().display().to_string());
}

/// Makes the sets and accounts that rules of the corpora name.
fn sets(family: &str) {
    run("ipset", &format!("create hosts hash:ip family {family}"));
    run("ipset", &format!("create marks hash:ip family {family} skbinfo"));
    run("nfacct", "add visits");
}

/// Rules and policies as `iptables-save -c` has them, by table.
fn saved(save: &str) -> BTreeMap<String, Vec<String>> {
    let (mut tables, mut table) = (BTreeMap::<_, Vec<String>>::new(), String::new());
    let output = Command::new(save).arg("-c").output().unwrap();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.to_owned();
            tables.entry(table.clone()).or_default();
        } else if line.starts_with('[') || line.starts_with(':') && !line.contains(" - ") {
            tables.get_mut(&table).unwrap().push(line.to_owned());
        }
    }
    tables
}

fn line(rule: &Rule) -> String {
    let Rule { chain, text, packets, bytes, .. } = rule;
    match (&rule.target, rule.position) {
        (Some(policy), None) => format!(":{chain} {policy} [{packets}:{bytes}]"),
        _ => format!("[{packets}:{bytes}] -A {chain} {text}").trim_end().to_owned(),
    }
}

/// Lines that differ.
fn differences(program: &str, corpus_name: &str, is_ipv6: bool) -> (usize, Vec<String>) {
    in_own_network(|| {
        run("ip", "link set lo up");
        sets(if is_ipv6 { "inet6" } else { "inet" });
        load(&format!("{program}-restore"), &corpus(corpus_name));
        let netfilter = Common::open(Family::Netfilter).unwrap();
        let (reader, sets) = (Reader::open().unwrap(), SetNames::new(&netfilter));
        let (mut count, mut different) = (0, Vec::new());
        for (table, theirs) in saved(&format!("{program}-save")) {
            let ours = reader.rules(is_ipv6, &table, &sets).unwrap();
            // the policies of all chains come first there
            let (policies, ours): (Vec<_>, Vec<_>) = ours.iter().partition(|rule| rule.position.is_none());
            let ours: Vec<_> = policies.into_iter().chain(ours).map(line).collect();
            assert_eq!(theirs.len(), ours.len(), "{table}\n{theirs:#?}\n{ours:#?}");
            for (theirs, ours) in theirs.iter().zip(ours) {
                count += 1;
                if *theirs != ours {
                    different.push(format!("{table}\n  save {theirs}\n  here {ours}"));
                }
            }
        }
        (count, different)
    })
}

#[test]
fn root_every_rule_of_the_corpus_is_written_as_iptables_legacy_writes_it() {
    let (count, different) = differences("iptables-legacy", "ipv4", false);
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
    assert!(count >= 140, "{count}");
}

#[test]
fn root_every_rule_of_the_corpus_of_ipv6_is_written_as_ip6tables_legacy_writes_it() {
    let (count, different) = differences("ip6tables-legacy", "ipv6", true);
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
    assert!(count >= 65, "{count}");
}

const NAMES: [&str; 22] = [
    "tcp",
    "conntrack",
    "hashlimit",
    "u32",
    "time",
    "set",
    "multiport",
    "recent",
    "policy",
    "bpf",
    "rt",
    "hbh",
    "MARK",
    "DNAT",
    "CT",
    "NETMAP",
    "SET",
    "SNPT",
    "sctp",
    "rateest",
    "RATEEST",
    "HMARK",
];

proptest! {
    #[test]
    fn any_bytes_of_any_extension_are_written_or_not(
        name in proptest::sample::select(&NAMES[..]),
        target in any::<bool>(),
        revision in 0_u32..5,
        is_ipv6 in any::<bool>(),
        info in proptest::collection::vec(any::<u8>(), 0..2048),
    ) {
        let extension = Extension { target, name: name.into(), revision, info };
        let written = extension.written(is_ipv6, &Hosts);
        prop_assert!(written.len() <= 16_384, "{} bytes", written.len());
    }

    #[test]
    fn any_bytes_of_a_table_are_walked_or_refused(
        is_ipv6 in any::<bool>(),
        sizes in proptest::collection::vec((any::<u8>(), 0_u16..400, 0_u16..400), 0..8),
        mut bytes in proptest::collection::vec(any::<u8>(), 0..2048),
    ) {
        // some sizes that nearly fit, so that it is walked at all
        let place = if is_ipv6 { 140 } else { 88 };
        for (at, target, next) in sizes {
            let at = usize::from(at) * 8 + place;
            if let Some(slot) = bytes.get_mut(at..at + 4) {
                slot[..2].copy_from_slice(&target.to_ne_bytes());
                slot[2..].copy_from_slice(&next.to_ne_bytes());
            }
        }
        let begins = BTreeMap::from([(0, "INPUT")]);
        let rules = Walk { is_ipv6, begins, sets: &Hosts }.rules(&bytes).unwrap_or_default();
        prop_assert!(rules.len() * 112 <= bytes.len());
    }
}
