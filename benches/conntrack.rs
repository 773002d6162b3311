//! What does one pass over all tracked connections cost, and how far is that from the floor?
//!
//! `cargo bench --bench conntrack -- [--flows N] [--rounds N]` makes N connections in a network namespace of its own (root;
//! `net.netfilter.nf_conntrack_max` of the host must be larger) and prints the median wall clock and CPU of one refresh of
//! the tables `conntrack` and `conntrack_flow`, beside the floor: the same dump received and not looked at, and beside
//! `conntrack -L -o id`, where that is installed. The last line is the memory that the collector has added. Nothing is judged
//! here. Without `--flows` it reads the connections of this host, and under `cargo test` once.

use std::io::Write;
use std::process::{Command, Stdio};

use netglance::collect::{Batch, COLLECTORS, Cx, Wants};
use netglance::model::{Demand, Mono, Owners, Timestamp};
use netglance::source::conntrack::flow;
use netglance::source::file::Roots;
use netglance::source::netlink::attr::{push, push_nested};
use netglance::source::netlink::nfnetlink::Subsystem;
use netglance::source::netlink::{Family, Part, Patience, Socket};

#[path = "support/measure.rs"]
mod measure;

use measure::{Failure, Options, measure, resident};

/// Connections in one datagram.
const BATCH: u32 = 256;

/// Appends one connection of UDP that nobody answers.
fn push_flow(datagram: &mut Vec<u8>, number: u32) {
    let [a, b, c, d] = number.to_be_bytes();
    let ends = [[10, a, b, c], [192, 0, 2, d]];
    let mut body = vec![libc::AF_INET as u8, 0, 0, 0];
    for (kind, [source, destination], ports) in [(1, ends, [4000_u16, 53]), (2, [ends[1], ends[0]], [53, 4000])] {
        push_nested(&mut body, kind, |tuple| {
            push_nested(tuple, 1, |ip| {
                push(ip, 1, &source);
                push(ip, 2, &destination);
            });
            push_nested(tuple, 2, |protocol| {
                push(protocol, 1, &[libc::IPPROTO_UDP as u8]);
                push(protocol, 2, &ports[0].to_be_bytes());
                push(protocol, 3, &ports[1].to_be_bytes());
            });
        });
    }
    // CTA_TIMEOUT
    push(&mut body, 7, &36_000_u32.to_be_bytes());
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    datagram.extend_from_slice(&(16 + body.len() as u32).to_ne_bytes());
    datagram.extend_from_slice(&Subsystem::Conntrack.kind(0).to_ne_bytes());
    datagram.extend_from_slice(&(flags as u16).to_ne_bytes());
    datagram.extend_from_slice(&[0; 8]);
    datagram.extend_from_slice(&body);
}

/// Moves this process into a network namespace with so many connections.
fn make(flows: u32) -> Result<(), Failure> {
    // SAFETY: this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into());
    }
    // connections made while it is on have counters
    std::fs::write("/proc/sys/net/netfilter/nf_conntrack_acct", "1")?;
    let mut socket = netlink_sys::Socket::new(libc::NETLINK_NETFILTER as isize)?;
    socket.bind_auto()?;
    for first in (0..flows).step_by(BATCH as usize) {
        let mut datagram = Vec::new();
        (first..flows.min(first + BATCH)).for_each(|number| push_flow(&mut datagram, number));
        socket.send(&datagram, 0)?;
    }
    let count: u32 = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count")?.trim().parse()?;
    if count == flows {
        Ok(())
    } else {
        Err(format!("{count} of {flows} were made: is net.netfilter.nf_conntrack_max large enough?").into())
    }
}

/// The least that anything which reads connections can do.
fn floor() -> Result<String, Failure> {
    let mut received = 0_u64;
    let patience = Patience { attempts: 1, ..Patience::default() };
    let dump = Socket::open(Family::Netfilter)?.dump_within(patience, &flow::request(&flow::Only::default()), |part| {
        received += u64::from(part != Part::Start);
        Ok(())
    });
    Ok(dump.map_or_else(|error| error.to_string(), |()| received.to_string()))
}

/// What `conntrack` needs to print the same to nowhere.
fn listed() -> String {
    let mut command = Command::new("conntrack");
    let status = command.args(["-L", "-o", "id"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let rounds = options.rounds()?;
    if let Some(flows) = options.number("--flows")? {
        make(flows)?;
    }
    measure::head()?;
    measure("(floor)", rounds, floor)?;
    let before = resident()?;
    let (owners, roots) = (Owners::default(), Roots::live());
    let wants = Wants::union(&[Demand::table("conntrack_flow")]);
    for entry in COLLECTORS.iter().filter(|entry| entry.name.starts_with("conntrack")) {
        let mut collector = (entry.make)();
        measure(entry.name, rounds, || {
            let (time, mono) = (Timestamp::now(), Mono::now());
            let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time, mono };
            let mut batch = Batch::default();
            let skip = collector.collect(&cx, &mut batch).err();
            let rows = batch.into_tables().into_iter().filter_map(|(_, rows)| Some(rows.ok()?.len())).sum::<usize>();
            Ok(skip.map_or_else(|| rows.to_string(), |skip| skip.status().state.name().to_owned()))
        })?;
    }
    let added = resident()?.saturating_sub(before) >> 20;
    measure("(conntrack -L)", rounds, || Ok(listed()))?;
    Ok(writeln!(std::io::stdout(), "{added} MiB of memory added, which is what stays between two passes")?)
}
