//! What does it cost to read what the rules of a large ruleset have counted, and how far is that from the floor?
//!
//! `cargo bench --bench nftables -- [--rules N] [--elements N] [--rounds N]` makes N rules with counters, a tenth of them with
//! a set without a name, and a named set of N elements, in a network namespace of its own (root, `nft`), and prints the median
//! wall clock and CPU of one refresh, beside the floor: the same dumps received and not looked at, and beside
//! `nft -j list ruleset`. In the second column stand the bytes that were read. Nothing is judged here. Without `--rules` it
//! reads the ruleset of this host, and under `cargo test` once.

use std::fmt::Write as _;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use netglance::collect::{Batch, COLLECTORS, Cx, Wants};
use netglance::model::{Demand, Mono, Owners, Text, Timestamp, Value};
use netglance::source::file::Roots;
use netglance::source::meter;
use netglance::source::netlink::nfnetlink::{Header, Subsystem};
use netglance::source::netlink::{Family, Part, Patience, Socket};
use netglance::source::nftables::read;

#[path = "support/measure.rs"]
mod measure;

use measure::{Failure, Options, measure, resident};

/// `NFT_MSG_GETRULE`, `NFT_MSG_GETSET`, `NFT_MSG_GETOBJ`: what a refresh dumps.
const DUMPED: [(u8, &str); 3] = [(7, "rules"), (10, "sets"), (19, "objects")];

/// Moves this process into a network namespace with such a ruleset.
fn make(rules: u32, elements: u32) -> Result<(), Failure> {
    // SAFETY: this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into());
    }
    let mut script = String::from(
        "add table inet t\nadd set inet t many { type ipv4_addr; }\n\
         add chain inet t in { type filter hook input priority 0; }\n",
    );
    for number in 0..rules {
        let source = Ipv4Addr::from(0x0a00_0000 + number);
        let ports = if number % 10 == 0 { "{ 80, 443 }" } else { "22" };
        writeln!(script, "add rule inet t in ip saddr {source} tcp dport {ports} counter accept")?;
    }
    for first in (0..elements).step_by(1000) {
        let some: Vec<String> = (first..elements.min(first + 1000))
            .map(|number| Ipv4Addr::from(0x0b00_0000 + number).to_string())
            .collect();
        writeln!(script, "add element inet t many {{ {} }}", some.join(", "))?;
    }
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(script.as_bytes())?;
    if child.wait()?.success() { Ok(()) } else { Err("nft refused".into()) }
}

/// How many bytes were read since the last time this was asked.
fn bytes(what: impl std::fmt::Display) -> String {
    format!("{what}, {} KiB", meter::take() >> 10)
}

/// Receives dumps and looks at nothing.
fn floor(socket: &mut Socket, dumped: &[(u8, &'static str)]) -> Result<String, Failure> {
    let mut received = 0_u64;
    for (number, what) in dumped {
        let request = Subsystem::Nftables.request(*number, Header { family: 0, resource: 0 }, what);
        socket.dump_within(Patience { attempts: 1, ..Patience::default() }, &request, |part| {
            received += u64::from(part != Part::Start);
            Ok(())
        })?;
    }
    Ok(bytes(received))
}

/// What `nft` needs to print the same to nowhere.
fn listed() -> String {
    let status =
        Command::new("nft").args(["-j", "list", "ruleset"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Runs one collector again and again.
fn collected(name: &str, wants: &Wants, rounds: usize) -> Result<(), Failure> {
    let (owners, roots) = (Owners::default(), Roots::live());
    let entry = COLLECTORS.iter().find(|entry| entry.name == name).ok_or("no such collector")?;
    let mut collector = (entry.make)();
    measure(name, rounds, || {
        let (time, mono) = (Timestamp::now(), Mono::now());
        let cx = Cx { roots: &roots, wants, owners: &owners, time, mono };
        let mut batch = Batch::default();
        let skip = collector.collect(&cx, &mut batch).err();
        let rows = batch.into_tables().into_iter().filter_map(|(_, rows)| Some(rows.ok()?.len())).sum::<usize>();
        Ok(bytes(skip.map_or_else(|| rows.to_string(), |skip| skip.status().state.name().to_owned())))
    })
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let rounds = options.rounds()?;
    let rules = options.number("--rules")?;
    if let Some(rules) = rules {
        make(rules, options.number("--elements")?.unwrap_or(100_000))?;
    }
    measure::head()?;
    let mut socket = Socket::open(Family::Netfilter)?;
    let Ok(ruleset) = read::ruleset(&mut socket, None) else {
        return Ok(writeln!(std::io::stdout().lock(), "the ruleset is not to be read (needs root)")?);
    };
    bytes("");
    measure("(floor, rules)", rounds, || floor(&mut socket, &DUMPED[..1]))?;
    measure("(counters)", rounds, || {
        let counts = read::counters(&mut socket, &ruleset)?;
        Ok(bytes(counts.map_or_else(|| "another ruleset".to_owned(), |counts| counts.len().to_string())))
    })?;
    measure("(floor, all)", rounds, || floor(&mut socket, &DUMPED))?;
    let before = resident()?;
    collected("nftables", &Wants::default(), rounds)?;
    let added = resident()?.saturating_sub(before) >> 10;
    if rules.is_some() {
        let ids = vec![Value::Text(Text::from("inet")), Value::Text(Text::from("t")), Value::Text(Text::from("many"))];
        collected("nft_element", &Wants::union(&[Demand { ids, ..Demand::table("nft_element") }]), rounds)?;
    }
    measure("(nft -j)", rounds, || Ok(listed()))?;
    Ok(writeln!(
        std::io::stdout().lock(),
        "{added} KiB of memory added by the rules, which is what stays between two refreshes"
    )?)
}
