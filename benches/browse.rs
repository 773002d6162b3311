//! What do many hosts cost whoever browses them?
//!
//! `cargo bench --bench browse -- [--hosts N] [--seconds S]`, as root: in a network namespace of its own it starts a process
//! with simulated agents on addresses of the loopback, and browses N hosts of which 10 % are black-holed (nft drop) and 1 %
//! come and go every second, at an interval of 2 s. It prints when the first rows were told and when every host that lives
//! was live, CPU and memory of the browsing process, its connections, and how many handshakes a second there were after
//! all agents were killed and started again. Nothing is judged here: figures depend on the machine. Under `cargo test` it
//! browses a handful for a moment, so that it runs; without root there is neither namespace nor black hole.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netglance::browse::{self, Entry, Fleet, Options};
use netglance::client::Access;
use netglance::model::Host as _;
use netglance::store::level::Thresholds;
use rustix::time::{ClockId, clock_gettime};
use simulated::Simulated;

#[expect(clippy::unwrap_used, reason = "the tests have it too, where a panic is a failure")]
#[path = "../tests/simulated/mod.rs"]
mod simulated;

type Failure = Box<dyn Error>;

/// Ports of agents that stay and of those that come and go.
const PORTS: (u16, u16) = (47_001, 47_002);

/// Agents that come and go do so every second.
const FLAP: Duration = Duration::from_secs(1);

/// Longest wait for the hosts.
const PATIENCE: Duration = Duration::from_mins(2);

/// Address of a host in one of the ranges 127.1, 127.2 and 127.3.
fn address(range: u8, n: usize, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, range, (n / 250) as u8, (n % 250) as u8 + 1), port))
}

/// As many open files as there may be.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = Some(1 << 17);
    if setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: wanted }).is_err() {
        let now = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    }
}

/// The process with the agents: says every half second how many connections there are, until its standard input ends.
fn agents() -> Result<(), Failure> {
    raise_files();
    let simulated = Simulated::new();
    let flapping = simulated.clone();
    std::thread::spawn(move || {
        loop {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORTS.1));
                if let Ok(listener) = tokio::net::TcpListener::bind(any).await {
                    let _ = tokio::time::timeout(FLAP, flapping.clone().serve(listener)).await;
                }
            });
            drop(runtime);
            std::thread::park_timeout(FLAP);
        }
    });
    let steady = simulated.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORTS.0)))?;
    std::thread::spawn(move || runtime.block_on(steady.serve(listener)));
    std::thread::spawn(move || {
        let mut out = std::io::stdout();
        while writeln!(out, "{}", simulated.connections.load(Ordering::Relaxed)).is_ok() {
            let _ = out.flush();
            std::thread::park_timeout(Duration::from_millis(500));
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// The agents, as the one who browses them sees them.
struct Agents {
    child: Child,
    counts: std::sync::mpsc::Receiver<usize>,
}

impl Agents {
    fn start() -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--agents")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let (sender, counts) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            lines.map_while(|line| line.ok()?.parse().ok()).try_for_each(|count: usize| sender.send(count))
        });
        counts.recv_timeout(PATIENCE)?;
        Ok(Self { child, counts })
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A network of our own in which some hosts do not answer; false without the rights.
fn alone() -> Result<bool, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(false);
    }
    // SAFETY: no other thread runs yet
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET)? };
    let rules = "add table ip hole; add chain ip hole in { type filter hook input priority 0; }; \
                 add rule ip hole in ip daddr 127.2.0.0/16 drop";
    for (program, args) in [("ip", vec!["link", "set", "lo", "up"]), ("nft", vec![rules])] {
        if !Command::new(program).args(args).status()?.success() {
            return Err(format!("{program} has failed").into());
        }
    }
    Ok(true)
}

/// CPU time of this process in seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Resident memory of this process, now and at its most, in MiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? >> 10)
    };
    (of("VmRSS:").unwrap_or_default(), of("VmHWM:").unwrap_or_default())
}

/// Many hosts, and when something is told of them.
struct Browsed {
    fleet: Arc<Fleet>,
    changes: std::sync::mpsc::Receiver<()>,
}

impl Browsed {
    fn start(entries: Vec<Entry>) -> Result<Self, Failure> {
        let (sender, changes) = std::sync::mpsc::channel();
        let sender = Mutex::new(sender);
        let told = Arc::new(move || {
            // the last samples come after the end
            let _ = sender.lock().map(|sender| sender.send(()));
        });
        let levels = Thresholds::new(&Vec::new(), browse::tables().iter().copied()).map_err(|_| "thresholds")?;
        let options = Options { hosts: entries.into(), access: Access::default(), levels: Arc::new(levels) };
        Ok(Self { fleet: Fleet::start(options, told)?, changes })
    }

    /// How many hosts are in a state.
    fn count(&self, wanted: &str) -> usize {
        let latest = self.fleet.latest();
        let Some(now) = latest.get("fleet").and_then(|state| state.now.as_ref()) else { return 0 };
        let at = now.rows.table().position("state").unwrap_or_default();
        (0..now.rows.len()).filter(|row| now.rows.cell(*row, at).text() == Some(wanted)).count()
    }

    fn wait(&self) -> Result<(), Failure> {
        Ok(self.changes.recv_timeout(PATIENCE)?)
    }
}

/// Hosts that live, that do not answer, and that come and go.
fn entries(live: usize, black: usize, flapping: usize) -> Result<Vec<Entry>, Failure> {
    let places = (0..live).map(|n| address(1, n, PORTS.0));
    let places = places.chain((0..black).map(|n| address(2, n, PORTS.0)));
    let places = places.chain((0..flapping).map(|n| address(3, n, PORTS.1)));
    places.map(|place| Ok(Entry::of(place.to_string().parse()?))).collect()
}

/// From the first moment until all that live are live.
fn begin(entries: Vec<Entry>, live: usize) -> Result<Browsed, Failure> {
    let mut out = std::io::stdout();
    let begun = Instant::now();
    let browsed = Browsed::start(entries)?;
    writeln!(out, "all rows are there after {:.2} s", begun.elapsed().as_secs_f64())?;
    let mut first = false;
    while browsed.count("live") < live {
        browsed.wait()?;
        let now = browsed.count("live");
        if !first && now > 0 {
            first = true;
            writeln!(out, "the first {now} are live after {:.2} s", begun.elapsed().as_secs_f64())?;
        }
    }
    let spent = begun.elapsed().as_secs_f64();
    writeln!(out, "all that live are live after {spent:.2} s, with {:.2} s of CPU", cpu())?;
    Ok(browsed)
}

/// What it costs from then on.
fn steady(browsed: &Browsed, agents: &Agents, span: Duration) -> Result<(), Failure> {
    let (before, from, mut gap, mut last) = (cpu(), Instant::now(), Duration::ZERO, Instant::now());
    let mut most = 0;
    while from.elapsed() < span {
        browsed.wait()?;
        (gap, last) = (gap.max(last.elapsed()), Instant::now());
        most = agents.counts.try_iter().fold(most, usize::max);
    }
    let (now, peak) = memory();
    let share = (cpu() - before) * 100.0 / from.elapsed().as_secs_f64();
    let gap = gap.as_secs_f64();
    let mut out = std::io::stdout();
    writeln!(out, "then {share:.0} % of a core, {now} MiB ({peak} at most), {most} connections at most")?;
    let counts = ["live", "unreachable", "stale"].map(|state| format!("{} {state}", browsed.count(state)));
    writeln!(out, "{}; samples at most {gap:.2} s apart", counts.join(", "))?;
    Ok(())
}

/// What happens when all agents come back at once.
fn return_of(browsed: &Browsed, live: usize) -> Result<(), Failure> {
    while browsed.count("live") > 0 {
        browsed.wait()?;
    }
    let agents = Agents::start()?;
    let back = Instant::now();
    // twice a second
    let (mut known, mut fastest) = (std::collections::VecDeque::from([0; 2]), 0);
    while browsed.count("live") < live && back.elapsed() < PATIENCE {
        browsed.wait()?;
        for count in agents.counts.try_iter() {
            fastest = fastest.max(count.saturating_sub(known.pop_front().unwrap_or_default()));
            known.push_back(count);
        }
    }
    let (now, spent) = (browsed.count("live"), back.elapsed().as_secs_f64());
    let mut out = std::io::stdout();
    writeln!(out, "after all agents were started again {now} are live in {spent:.1} s, {fastest} a second at most")?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    if args.iter().any(|arg| arg == "--agents") {
        return agents();
    }
    let measured = args.iter().any(|arg| arg == "--bench");
    let value = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).map(String::as_str)
    };
    let hosts: usize = value("--hosts").unwrap_or(if measured { "1000" } else { "20" }).parse()?;
    let seconds: u64 = value("--seconds").unwrap_or(if measured { "30" } else { "1" }).parse()?;
    let (black, flapping) = if alone()? { (hosts / 10, hosts / 100) } else { (0, 0) };
    let live = hosts - black - flapping;
    raise_files();
    let agents = Agents::start()?;
    let mut out = std::io::stdout();
    writeln!(out, "{hosts} hosts: {live} live, {black} black-holed, {flapping} come and go")?;
    let browsed = begin(entries(live, black, flapping)?, live)?;
    steady(&browsed, &agents, Duration::from_secs(seconds))?;
    drop(agents);
    return_of(&browsed, live)
}
