//! What does this program say of what the kernel of a test machine lacks?
//!
//! It runs in a virtual machine with Debian's kernel, beside the programs that are the second source of truth.

#![cfg(test)]

mod link;
mod machine;
mod wireguard;

use std::collections::BTreeMap;

use machine::Guest;
use serde_json::Value;

/// Interfaces that the corpus names.
const LINKS: &str = "
ip link set lo up
for i in 0 1; do ip link add d$i type dummy; ip link set d$i up; done
ip link add br0 type bridge
";

/// What stands between two marks.
fn part<'a>(said: &'a str, name: &str) -> &'a str {
    let begin = said.split_once(&format!("== {name}\n")).unwrap_or_else(|| panic!("no {name}: {said}")).1;
    begin.split("\n== ").next().unwrap()
}

/// Rules by family, table and chain, and handle, as `nft -nn -s -a list ruleset` writes them; those of a chain without a name
/// are part of the rule that goes there.
fn listed(listing: &str) -> BTreeMap<(String, u64), String> {
    let (mut table, mut chain, mut rules) = (String::new(), None, BTreeMap::new());
    let mut inner: Option<(String, Vec<&str>)> = None;
    for line in listing.lines() {
        let (text, handle) = line.rsplit_once(" # handle ").map_or((line, None), |(text, handle)| (text, Some(handle)));
        let name = || text.trim().trim_end_matches(" {").split(' ').skip(1).collect::<Vec<_>>().join(" ");
        match line.bytes().take_while(|byte| *byte == b'\t').count() {
            0 if text.starts_with("table ") => table = name(),
            1 if text.trim_start().starts_with("chain ") => chain = Some(name()),
            1 => chain = None,
            2 => {
                let Some(chain) = &chain else { continue };
                let Some(handle) = handle else {
                    inner = text.ends_with('{').then(|| (text.trim().to_owned(), Vec::new()));
                    continue;
                };
                let text = match inner.take() {
                    Some((jump, rules)) => format!("{jump} {} }}", rules.join("; ")),
                    None => text.trim().to_owned(),
                };
                rules.insert((format!("{table} {chain}"), handle.parse().unwrap()), text);
            }
            _ => inner.iter_mut().for_each(|(_, rules)| rules.push(text.trim())),
        }
    }
    rules
}

/// The same as `netglance show nft_rule` writes them.
fn shown(json: &str) -> BTreeMap<(String, u64), String> {
    let rows: Vec<Value> = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_else(|| panic!("{column}: {row}")).to_owned();
    let rule = |row: &Value| {
        let chain = ["family", "table", "chain"].map(|column| text(row, column)).join(" ");
        let comment = row["comment"].as_str().map_or_else(String::new, |comment| format!(" comment \"{comment}\""));
        ((chain, row["handle"].as_u64().unwrap()), text(row, "rule") + &comment)
    };
    rows.iter().map(rule).collect()
}

#[test]
fn rules_of_another_kernel_are_written_as_nft_writes_them() {
    let names = ["guest", "ip", "ip6", "inet", "link"];
    let guest = names.iter().fold(Guest::with(&["nft", "ip"]), |guest, name| {
        let corpus = format!("{}/tests/fixtures/nft/{name}.nft", env!("CARGO_MANIFEST_DIR"));
        guest.file(&format!("{name}.nft"), &std::fs::read(corpus).unwrap())
    });
    let list = |name: &&str| {
        format!(
            "nft flush ruleset; nft -f /{name}.nft
            echo '== nft {name}'; nft -nn -s -a list ruleset
            echo '== rules {name}'; netglance show nft_rule --format json\n"
        )
    };
    let flowtables =
        "nft flush ruleset; nft -f /guest.nft; echo '== flowtables'; netglance show nft_flowtable --format json\n";
    let script =
        [LINKS.to_owned(), names.iter().map(list).collect::<Vec<_>>().concat(), flowtables.to_owned()].concat();
    let said = guest.run(&script);
    let (mut count, mut different) = (0, Vec::new());
    for name in names {
        let (theirs, ours) =
            (listed(part(&said, &format!("nft {name}"))), shown(part(&said, &format!("rules {name}"))));
        for (key, theirs) in &theirs {
            let ours = ours.get(key).map_or("", String::as_str);
            if ours != theirs {
                different.push(format!("{name} {key:?}\n  nft  {theirs}\n  here {ours}"));
            }
        }
        count += theirs.len();
        assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    }
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
    assert!(count >= 700, "{count}");
    let tables: Vec<Value> = serde_json::from_str(part(&said, "flowtables")).unwrap();
    let table =
        |name: &str| tables.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {tables:?}"));
    assert_eq!((table("fast")["priority"].as_i64(), table("slow")["priority"].as_i64()), (Some(-5), Some(7)));
    assert_eq!(table("fast")["devices"], "d0, lo");
}
