//! What do many hosts cost whoever browses them?
//!
//! `cargo bench --bench browse -- [--hosts N] [--seconds S] [--tls]`, as root: in a network namespace of its own it starts a
//! process with simulated agents on addresses of the loopback, and `netglance browse` in a terminal with N hosts, of which
//! 10 % are black-holed (nft drop) and 1 % come and go every second, at an interval of 2 s; with `--tls` over TLS, with a
//! token, keys known. It prints when the first rows and when all hosts that live were on the screen; for the table of
//! hosts, and for the processes of all hosts together, CPU and memory of the browsing process, its connections, and how long
//! the screen took to answer keys; and how many handshakes a second there were after all agents were killed and started
//! again. Nothing is judged here: figures depend on the machine. Under `cargo test` it browses a handful for a moment, so
//! that it runs; without root there is neither namespace nor black hole.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use netglance::client::Fingerprint;
use pty::{Session, netglance};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use simulated::{Simulated, TOKEN};

#[expect(clippy::unwrap_used, reason = "the tests have it too, where a panic is a failure")]
#[path = "../tests/simulated/mod.rs"]
mod simulated;

#[expect(clippy::unwrap_used, clippy::panic, dead_code, reason = "the tests have it too, where a panic is a failure")]
#[path = "../tests/support/pty.rs"]
mod pty;

type Failure = Box<dyn Error>;

/// Ports of agents that stay and of those that come and go.
const PORTS: (u16, u16) = (47_001, 47_002);

/// Agents that come and go do so every second.
const FLAP: Duration = Duration::from_secs(1);

/// Longest wait for the hosts.
const PATIENCE: Duration = Duration::from_mins(3);

/// Time between two keys.
const TYPING: Duration = Duration::from_millis(130);

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
fn agents(tls: Option<&Path>) -> Result<(), Failure> {
    raise_files();
    let mut simulated = Simulated::new();
    simulated.tls = tls.map(acceptor).transpose()?;
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

/// What all agents that speak TLS show, made in a directory.
fn identity(dir: &Path) -> Result<Fingerprint, Failure> {
    let made = rcgen::generate_simple_self_signed(["simulated".to_owned()])?;
    std::fs::write(dir.join("certificate"), made.cert.der())?;
    std::fs::write(dir.join("key"), made.signing_key.serialize_der())?;
    Ok(Fingerprint::of(made.cert.der()).ok_or("no certificate")?)
}

/// What accepts TLS with the identity in a directory.
fn acceptor(dir: &Path) -> Result<tokio_rustls::TlsAcceptor, Failure> {
    let chain = vec![CertificateDer::from(std::fs::read(dir.join("certificate"))?)];
    let key = PrivateKeyDer::try_from(std::fs::read(dir.join("key"))?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config).into())
}

/// The agents, as the one who browses them sees them.
struct Agents {
    child: Child,
    counts: std::sync::mpsc::Receiver<usize>,
}

impl Agents {
    fn start(tls: Option<&Path>) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--agents").args(tls).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
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

/// How many hosts live, do not answer, and come and go.
#[derive(Clone, Copy)]
struct Hosts {
    live: usize,
    black: usize,
    flapping: usize,
}

impl Hosts {
    fn all(self) -> usize {
        self.live + self.black + self.flapping
    }

    /// Where they are.
    fn places(self) -> impl Iterator<Item = SocketAddr> {
        let places = (0..self.live).map(|n| address(1, n, PORTS.0));
        let places = places.chain((0..self.black).map(|n| address(2, n, PORTS.0)));
        places.chain((0..self.flapping).map(|n| address(3, n, PORTS.1)))
    }

    /// Writes the list that `netglance browse` shows, and what it needs for hosts whose key this is.
    fn write(self, dir: &Path, key: Option<Fingerprint>) -> Result<(), Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let (mut list, mut known) = (String::new(), String::new());
        if let Some(key) = key {
            list += "token_file = 'token'\ntls = true\n";
            for place in self.places() {
                writeln!(known, "{place} {key}")?;
            }
            let token = dir.join("token");
            std::fs::write(&token, TOKEN)?;
            std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600))?;
            std::fs::create_dir(dir.join("netglance"))?;
            std::fs::write(dir.join("netglance/known_hosts"), known)?;
        }
        for place in self.places() {
            write!(list, "[[host]]\naddress = '{place}'\n")?;
        }
        std::fs::write(dir.join("hosts.toml"), list)?;
        std::fs::write(dir.join("netglance.toml"), "")?;
        Ok(())
    }
}

/// Clock ticks of a process, and its resident memory, now and at its most, in MiB.
fn spent(pid: i32) -> Result<(f64, u64, u64), Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).ok_or("no CPU time");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? >> 10)
    };
    let memory = of("VmRSS:").zip(of("VmHWM:")).ok_or("no memory")?;
    Ok(((ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64, memory.0, memory.1))
}

/// The number before these words.
fn number(text: &str, words: &str) -> Option<usize> {
    let before = text.get(..text.find(words)?)?;
    before.rsplit(|ch: char| !ch.is_ascii_digit()).next()?.parse().ok()
}

/// `netglance browse` in its terminal.
struct Browse {
    session: Session,
    begun: Instant,
    hosts: Hosts,
}

impl Browse {
    fn start(dir: &Path, hosts: Hosts) -> Self {
        let mut command = netglance(&["browse", "--config"]);
        command.arg(dir.join("netglance.toml")).env("XDG_STATE_HOME", dir);
        let begun = Instant::now();
        Self { session: Session::spawn(200, 60, command), begun, hosts }
    }

    fn pid(&self) -> i32 {
        self.session.pid().as_raw_nonzero().get()
    }

    /// How many hosts are live, as the first line says.
    fn live(&self) -> usize {
        let screen = self.session.screen();
        number(screen.lines().next().unwrap_or_default(), " live").unwrap_or_default()
    }

    /// Waits for something on the screen; how long that took.
    fn wait(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<Duration, Failure> {
        let begun = Instant::now();
        while !holds(self) {
            if self.session.is_gone() || begun.elapsed() > PATIENCE {
                return Err(format!("no {what}:\n{}", self.session.screen()).into());
            }
            self.session.pump(Duration::from_millis(20));
        }
        Ok(begun.elapsed())
    }

    /// From the start until all that live are live.
    fn begin(&mut self) -> Result<(), Failure> {
        let mut out = std::io::stdout();
        let (all, live) = (format!(" {} hosts", self.hosts.all()), self.hosts.live);
        self.wait("table of hosts", |browse| browse.session.screen().contains(&all))?;
        writeln!(out, "the table of hosts is there after {:.2} s", self.begun.elapsed().as_secs_f64())?;
        self.wait("live host", |browse| browse.live() > 0)?;
        writeln!(out, "the first {} are live after {:.2} s", self.live(), self.begun.elapsed().as_secs_f64())?;
        self.wait("living hosts", |browse| browse.live() >= live)?;
        let cpu = spent(self.pid())?.0;
        writeln!(
            out,
            "all that live are live after {:.2} s, with {cpu:.2} s of CPU",
            self.begun.elapsed().as_secs_f64()
        )?;
        Ok(())
    }

    /// What it costs from then on, while somebody types.
    fn steady(&mut self, what: &str, agents: &Agents, span: Duration) -> Result<(), Failure> {
        let (before, from) = (spent(self.pid())?.0, Instant::now());
        let (mut answers, mut most, mut is_open) = (Vec::new(), 0, false);
        while from.elapsed() < span || is_open {
            self.session.pump_for(TYPING);
            self.session.send("?");
            is_open = !is_open;
            answers.push(self.wait("answer", |browse| browse.session.screen().contains("this help") == is_open)?);
            most = agents.counts.try_iter().fold(most, usize::max);
            self.session.raw.clear();
        }
        let (cpu, now, peak) = spent(self.pid())?;
        let share = (cpu - before) * 100.0 / from.elapsed().as_secs_f64();
        answers.sort_unstable();
        let of = |part: usize| {
            answers.get((answers.len() * part / 100).min(answers.len() - 1)).map_or(0, Duration::as_millis)
        };
        let mut out = std::io::stdout();
        writeln!(out, "{what}: {share:.0} % of a core, {now} MiB ({peak} at most), {most} connections at most")?;
        writeln!(
            out,
            "  {} keys answered in {} ms, 99 % in {} ms, the last in {} ms",
            answers.len(),
            of(50),
            of(99),
            of(100)
        )?;
        Ok(())
    }

    /// The processes of all hosts.
    fn merged(&mut self, agents: &Agents, span: Duration) -> Result<(), Failure> {
        let begun = Instant::now();
        self.session.send(":process\r");
        let (words, live) = (format!(" of {} hosts", self.hosts.all()), self.hosts.live);
        let all = |screen: &str| number(screen, &words).is_some_and(|count| count >= live);
        self.wait("processes", |browse| all(&browse.session.screen()))?;
        let screen = self.session.screen();
        let rows: String = screen
            .split_once("╭ Processes ")
            .map_or("", |(_, rest)| rest)
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        writeln!(
            std::io::stdout(),
            "{rows} processes of all hosts are there after {:.2} s",
            begun.elapsed().as_secs_f64()
        )?;
        self.steady("processes", agents, span)?;
        // each host is asked for others then
        self.session.send("r");
        self.steady("processes, the other way round", agents, span / 3)?;
        self.session.escape();
        Ok(())
    }

    /// What happens when all agents come back at once.
    fn return_of(&mut self, tls: Option<&Path>) -> Result<(), Failure> {
        self.wait("end of all", |browse| browse.live() == 0)?;
        let agents = Agents::start(tls)?;
        let back = Instant::now();
        // twice a second
        let (mut known, mut fastest) = (std::collections::VecDeque::from([0; 2]), 0);
        while self.live() < self.hosts.live && back.elapsed() < PATIENCE {
            self.session.pump(Duration::from_millis(20));
            for count in agents.counts.try_iter() {
                fastest = fastest.max(count.saturating_sub(known.pop_front().unwrap_or_default()));
                known.push_back(count);
            }
        }
        let (now, spent) = (self.live(), back.elapsed().as_secs_f64());
        let mut out = std::io::stdout();
        writeln!(
            out,
            "after all agents were started again {now} are live in {spent:.1} s, {fastest} a second at most"
        )?;
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--agents") {
        return agents(args.get(at + 1).map(Path::new));
    }
    let measured = args.iter().any(|arg| arg == "--bench");
    let value = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).map(String::as_str)
    };
    let all: usize = value("--hosts").unwrap_or(if measured { "1000" } else { "20" }).parse()?;
    let seconds: u64 = value("--seconds").unwrap_or(if measured { "30" } else { "1" }).parse()?;
    let (black, flapping) = if alone()? { (all / 10, all / 100) } else { (0, 0) };
    let hosts = Hosts { live: all - black - flapping, black, flapping };
    raise_files();
    let dir = tempfile::tempdir()?;
    let tls: Option<PathBuf> = args.iter().any(|arg| arg == "--tls").then(|| dir.path().to_owned());
    hosts.write(dir.path(), tls.as_deref().map(identity).transpose()?)?;
    let agents = Agents::start(tls.as_deref())?;
    let mut out = std::io::stdout();
    writeln!(out, "{all} hosts: {} live, {black} black-holed, {flapping} come and go", hosts.live)?;
    let mut browse = Browse::start(dir.path(), hosts);
    browse.begin()?;
    browse.steady("hosts", &agents, Duration::from_secs(seconds))?;
    browse.merged(&agents, Duration::from_secs(seconds))?;
    drop(agents);
    browse.return_of(tls.as_deref())
}
