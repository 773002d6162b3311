//! What does one pass over all tracked connections cost, and how far is that from the floor?
//!
//! `cargo bench --bench conntrack -- [--flows N] [--rounds N] [--frames SECONDS]` makes N connections (root) and prints the
//! median wall clock and CPU of one pass, and the most memory that it took: for the health of the table, for `conntrack_flow`
//! with rates where 100 rows are enough and where all are wanted, and for `conntrack_group`, beside the floor, which is the
//! same dump received on the same kind of socket and not looked at, and beside `conntrack -L -o id`, where that is installed.
//! With `--frames` it then types into a dashboard whose view Connections is open, and prints the longest time that nothing was
//! drawn. Nothing is judged here. Without `--flows` it reads the connections of this host, and under `cargo test` once.
//!
//! The kernel allows `net.netfilter.nf_conntrack_max` in each network namespace, and it is not changed: more are made in several,
//! of which one is this program's own and the others have names.

use std::ffi::CString;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use measure::{Failure, Options, measure, resident};
use netglance::collect::{Batch, COLLECTORS, Collect, Cx, Wants};
use netglance::model::{Demand, Mono, Owners, Sample, Timestamp, Top, Value};
use netglance::source::conntrack::flow;
use netglance::source::file::Roots;
use netglance::source::netlink::attr::{push, push_nested};
use netglance::source::netlink::nfnetlink::Subsystem;
use netglance::source::netlink::{Family, Socket};
use netglance::source::netns::Selection;
use netglance::store::query::{self, Query};
use netglance::store::rate::{Mode, View};
use pty::Session;
use rustix::net::{RecvFlags, SendFlags};

#[expect(clippy::unwrap_used, clippy::panic, dead_code, reason = "the tests have it too, where a panic is a failure")]
#[path = "../tests/support/pty.rs"]
mod pty;

#[expect(clippy::unwrap_used, dead_code, reason = "the tests have it too, where a panic is a failure")]
#[path = "../tests/support/process.rs"]
mod process;

#[path = "support/measure.rs"]
mod measure;

/// Connections in one datagram.
const BATCH: u32 = 256;

/// What names of network namespaces begin with.
const NAME: &str = "bench";

/// Time between two keys.
const TYPING: Duration = Duration::from_millis(20);

/// The most resident memory since [`forget_peak`], in bytes.
fn peak() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

fn forget_peak() -> Result<(), Failure> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}

/// A number that the kernel has in a file.
fn number(name: &str) -> Result<u32, Failure> {
    Ok(std::fs::read_to_string(format!("/proc/sys/net/netfilter/{name}"))?.trim().parse()?)
}

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

/// The network namespaces with connections.
struct Spaces {
    roots: Roots,
    /// A socket in each.
    sockets: Vec<Socket>,
    /// How many have a name; the other one is this program's.
    named: u32,
}

impl Spaces {
    /// What there is.
    fn host() -> Result<Self, Failure> {
        Ok(Self { roots: Roots::live(), sockets: vec![Socket::open(Family::Netfilter)?], named: 0 })
    }

    /// Moves this process into the last of as many network namespaces as so many connections take, and gives names to the
    /// others that nobody else sees.
    fn make(flows: u32) -> Result<Self, Failure> {
        let most = number("nf_conntrack_max")?;
        let count = flows.div_ceil(most).max(1);
        let mut sockets = Vec::new();
        unshare(libc::CLONE_NEWNS)?;
        mount("none", "/", None, libc::MS_PRIVATE | libc::MS_REC)?;
        std::fs::create_dir_all("/run/netns")?;
        mount("none", "/run/netns", Some("tmpfs"), 0)?;
        for space in 0..count {
            unshare(libc::CLONE_NEWNET)?;
            fill(space * most..flows.min((space + 1) * most))?;
            sockets.push(Socket::open(Family::Netfilter)?);
            if space + 1 < count {
                let name = format!("/run/netns/{NAME}{space}");
                std::fs::write(&name, "")?;
                mount("/proc/thread-self/ns/net", &name, None, libc::MS_BIND)?;
            }
        }
        let roots = Roots::live();
        if count > 1 {
            roots.choose(Selection::host_and(vec![format!("{NAME}*").parse()?]))?;
        }
        Ok(Self { roots, sockets, named: count - 1 })
    }

    /// The least that anything which reads connections can do.
    fn floor(&self) -> Result<String, Failure> {
        let body = flow::request(&flow::Only::default()).body;
        let mut request = (16 + body.len() as u32).to_ne_bytes().to_vec();
        request.extend_from_slice(&Subsystem::Conntrack.kind(1).to_ne_bytes());
        request.extend_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
        request.extend_from_slice(&[0; 8]);
        request.extend_from_slice(&body);
        let (mut buffer, mut received) = (vec![0_u8; 64 << 10], 0);
        for socket in &self.sockets {
            rustix::net::send(socket, &request, SendFlags::empty())?;
            loop {
                let (length, _) = rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty())?;
                received += length;
                // the end mark comes by itself, and so does a refusal
                match buffer.get(4..6).ok_or("a short message")? {
                    [3, 0] => break,
                    [2, 0] => return Err("the dump was refused".into()),
                    _ => {}
                }
            }
        }
        Ok(format!("{received} bytes"))
    }

    /// What `conntrack` needs to print the same to nowhere.
    fn listed(&self) -> String {
        let mut commands = vec![Command::new("conntrack")];
        for space in 0..self.named {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &format!("{NAME}{space}"), "conntrack"]);
            commands.push(command);
        }
        for mut command in commands {
            let done = command.args(["-L", "-o", "id"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
            match done {
                Ok(status) if status.success() => {}
                Ok(status) => return status.to_string(),
                Err(error) => return error.to_string(),
            }
        }
        "conntrack -L".to_owned()
    }
}

fn unshare(what: libc::c_int) -> Result<(), Failure> {
    // SAFETY: this program has one thread.
    match unsafe { libc::unshare(what) } {
        0 => Ok(()),
        _ => Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into()),
    }
}

fn mount(source: &str, target: &str, kind: Option<&str>, flags: libc::c_ulong) -> Result<(), Failure> {
    let [source, target, kind] = [source, target, kind.unwrap_or("none")].map(CString::new);
    let (source, target, kind) = (source?, target?, kind?);
    // SAFETY: all are terminated strings that live until the call returns.
    match unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) } {
        0 => Ok(()),
        _ => Err(format!("mount: {}", std::io::Error::last_os_error()).into()),
    }
}

/// Makes connections in the network namespace of this process.
fn fill(numbers: std::ops::Range<u32>) -> Result<(), Failure> {
    // connections made while it is on have counters
    std::fs::write("/proc/sys/net/netfilter/nf_conntrack_acct", "1")?;
    let mut socket = netlink_sys::Socket::new(libc::NETLINK_NETFILTER as isize)?;
    socket.bind_auto()?;
    for first in numbers.clone().step_by(BATCH as usize) {
        let mut datagram = Vec::new();
        (first..numbers.end.min(first + BATCH)).for_each(|number| push_flow(&mut datagram, number));
        socket.send(&datagram, 0)?;
    }
    let (made, wanted) = (number("nf_conntrack_count")?, numbers.len());
    if made as usize == wanted { Ok(()) } else { Err(format!("{made} of {wanted} were made").into()) }
}

/// How often all is done, and the memory without it.
struct Bench {
    rounds: usize,
    before: u64,
}

impl Bench {
    /// Measures what it takes to answer a demand, rates and the first 100 rows included.
    fn collector(&self, name: &str, roots: &Roots, demand: Demand) -> Result<(), Failure> {
        let table = demand.table.clone();
        let wants = Wants::union(&[demand]);
        let entry = COLLECTORS.iter().find(|entry| entry.tables.iter().any(|known| *known.name == *table));
        let mut collector = (entry.ok_or("no such table")?.make)();
        let mut before = None;
        forget_peak()?;
        measure(name, self.rounds, || {
            let now = sample(&mut *collector, &table, roots, &wants)?;
            let Ok(now) = now else { return Ok(now.err().unwrap_or_default()) };
            let view = View::new(&now, before.as_ref(), Mode::Rate);
            let sort = query::default_sort(view.table());
            let shown = query::run(&view, &Query { sort, limit: Some(100), ..Query::default() });
            let memory = peak()?.saturating_sub(self.before) >> 20;
            let said = format!("{} of {} rows, {memory} MiB", shown.len(), view.len());
            before = Some(now);
            Ok(said)
        })
    }
}

/// Asks a collector for a table: the rows, or the state in which there are none.
fn sample(
    collector: &mut dyn Collect,
    table: &str,
    roots: &Roots,
    wants: &Wants,
) -> Result<Result<Sample, String>, Failure> {
    let (time, mono, owners) = (Timestamp::now(), Mono::now(), Owners::default());
    let mut batch = Batch::default();
    if let Err(skip) = collector.collect(&Cx { roots, wants, owners: &owners, time, mono }, &mut batch) {
        return Ok(Err(skip.status().state.name().to_owned()));
    }
    let (_, rows) = batch.into_tables().into_iter().find(|(known, _)| *known.name == *table).ok_or("no table")?;
    Ok(rows.map(|rows| Sample { rows, time, mono }).map_err(|status| status.state.name().to_owned()))
}

/// The longest time between two frames of a dashboard into which somebody types, and the longest without the time in which no
/// CPU was free.
fn frames(span: Duration) -> Result<[Duration; 2], Failure> {
    let home = tempfile::tempdir()?;
    std::fs::create_dir(home.path().join("netglance"))?;
    std::fs::write(home.path().join("netglance/netglance.toml"), format!("netns = [\"{NAME}*\"]\n"))?;
    let mut command = pty::netglance(&["--view", "connections"]);
    command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
    let mut session = Session::spawn(200, 60, command);
    session.wait_for("connections", |screen| screen.contains("192.0.2."));
    let pid = session.pid().as_raw_nonzero().get().unsigned_abs();
    let waited = || process::waited(&[pid]);
    let (end, mut last, mut longest) = (Instant::now() + span, (Instant::now(), waited()), [Duration::ZERO; 2]);
    let mut key = Instant::now();
    let mut keys = ["\x1b[B", "\x1b[B", "\x1b[A", "\x1b[A"].iter().cycle();
    while Instant::now() < end {
        let seen = session.raw.len();
        session.pump(TYPING.saturating_sub(key.elapsed()));
        if session.raw.len() > seen || Instant::now() >= end {
            let gap = last.0.elapsed();
            let busy = gap.saturating_sub(waited().saturating_sub(last.1));
            longest = [longest[0].max(gap), longest[1].max(busy)];
            last = (Instant::now(), waited());
        }
        if key.elapsed() >= TYPING {
            session.send(keys.next().ok_or("no key")?);
            key = Instant::now();
        }
    }
    session.send("q");
    Ok(longest)
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let rounds = options.rounds()?;
    let spaces = options.number("--flows")?.map_or_else(Spaces::host, Spaces::make)?;
    let bench = Bench { rounds, before: resident()? };
    measure::head()?;
    measure("(floor)", rounds, || spaces.floor())?;
    let roots = &spaces.roots;
    bench.collector("conntrack", roots, Demand::table("conntrack"))?;
    let top = Top { sort: vec![("bytes".to_owned(), true)], rows: 100, ..Top::default() };
    bench.collector("conntrack_flow", roots, Demand { top: Some(top), ..Demand::table("conntrack_flow") })?;
    bench.collector("(all that fit)", roots, Demand::table("conntrack_flow"))?;
    let by_source = Demand { ids: vec![Value::Text("source".into())], ..Demand::table("conntrack_group") };
    bench.collector("conntrack_group", roots, by_source)?;
    measure("(floor)", rounds, || spaces.floor())?;
    measure("(conntrack -L)", rounds, || Ok(spaces.listed()))?;
    if let Some(seconds) = options.number("--frames")? {
        let [longest, busy] = frames(Duration::from_secs(seconds.into()))?.map(|gap| gap.as_millis());
        let mut out = std::io::stdout().lock();
        writeln!(out, "nothing was drawn for {longest} ms at most, {busy} ms without waiting for a CPU")?;
    }
    Ok(())
}
