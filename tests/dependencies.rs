//! May we ship what we depend on, and is each crate there once?
//!
//! Asks `cargo metadata` for the crates that a Linux build resolves to. A new licence or a second version of a crate fails
//! here and is put into one of the lists below with its reason, or avoided.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Licences that may be part of the binary.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are there in more than one version, and who keeps the old one.
const TWICE: &[(&str, &str)] = &[
    ("darling", "nvml-wrapper's wrapcenum-derive is on 0.20; at compile time only"),
    ("darling_core", "as darling"),
    ("darling_macro", "as darling"),
    ("foldhash", "as hashbrown"),
    ("getrandom", "ring keeps the old one; it is named in the lock file, but no feature of rustls or rcgen builds it"),
    ("hashbrown", "prost-build's petgraph keeps the old one; only the test that writes the messages' code anew"),
    ("syn", "derive macros move from 2 to 3 one by one; at compile time only"),
    ("thiserror", "nvml-wrapper is on 1"),
    ("thiserror-impl", "as thiserror"),
    ("untrusted", "aws-lc-rs is on 0.7, rustls-webpki on 0.9"),
    ("unicode-width", "protox's miette keeps the old one; only the test that writes the messages' code anew"),
];

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Name, version and licence expression of every resolved crate.
fn crates() -> Vec<(String, String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| (text(&package["name"]).unwrap(), text(&package["version"]).unwrap(), text(&package["license"])))
        .collect()
}

/// Whether the expression can be met with allowed licences. `AND` binds tighter than `OR`; `/` is the old way to write `OR`.
fn may_ship(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let verdict = any(&words, &mut at);
    verdict && at == words.len()
}

fn any(words: &[&str], at: &mut usize) -> bool {
    let mut verdict = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        verdict |= all(words, at);
    }
    verdict
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut verdict = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        verdict &= one(words, at);
    }
    verdict
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let verdict = any(words, at);
        *at += 1;
        return verdict && words.get(*at - 1) == Some(&")");
    }
    // an exception only adds permissions
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    ALLOWED.contains(word)
}

#[test]
fn licence_expressions_are_read_by_their_grammar() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(may_ship(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND MPL-2.0", "MIT MIT", "(MIT"] {
        assert!(!may_ship(bad), "{bad}");
    }
}

#[test]
fn every_dependency_may_be_shipped() {
    let crates = crates();
    assert!(crates.len() > 50, "only {} crates were resolved", crates.len());
    let bad: Vec<_> = crates.iter().filter(|(_, _, licence)| !licence.as_deref().is_some_and(may_ship)).collect();
    assert!(bad.is_empty(), "licences to look at: {bad:?}");
}

#[test]
fn every_crate_is_there_once_or_has_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version, _) in crates() {
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let (twice, known): (BTreeSet<_>, BTreeSet<_>) =
        (versions.keys().map(String::as_str).collect(), TWICE.iter().map(|(name, _)| *name).collect());
    let unexplained: Vec<_> = twice.difference(&known).map(|name| (name, &versions[*name])).collect();
    assert!(unexplained.is_empty(), "more than one version of {unexplained:?}");
    let stale: Vec<_> = known.difference(&twice).collect();
    assert!(stale.is_empty(), "no longer there twice, take them off the list: {stale:?}");
}
