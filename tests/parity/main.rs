//! Does every column that has a second source of truth say what that source says, on this machine, now?
//!
//! The second source (`ip`, `ps`, `df`, `ss`, `nft`, `conntrack`, another file of the kernel, a known amount of work) is read
//! before and after the collector; `bracket` says what agreement means. Each test names the columns that it leaves out, so
//! that a new column without a comparison fails until somebody decides about it.

#![cfg(test)]

mod adjacency;
mod bracket;
mod bridge;
mod conntrack;
mod database;
mod gpu;
mod guest;
mod ipset;
mod iptables;
mod libvirt;
mod link_queue;
mod lsa;
mod memory;
mod neighbor;
mod netfilter;
mod network;
mod nft_element;
mod nftables;
mod ovs;
mod owner;
mod packet_socket;
mod process;
mod qdisc;
mod rates;
mod route;
mod routing;
mod ruleset_change;
mod snmp;
mod storage;
#[expect(dead_code, reason = "each test program uses its part")]
#[path = "../support/mod.rs"]
mod support;
mod system;
mod tcp_metric;
mod traffic;
mod unit;
mod vmm;
mod work;

use std::process::Command;

/// What a command prints; it must be installed and succeed.
fn said(command: &str, args: &[&str]) -> String {
    let output = Command::new(command)
        .args(args)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(output.status.success(), "{command} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command prints as JSON.
fn said_json(command: &str, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&said(command, args)).unwrap()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
