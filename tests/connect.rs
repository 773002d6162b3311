//! Does the dashboard of a host far away tell what happens on the way, and come back by itself?
//!
//! Two real agents, each in a network namespace of its own, and dashboards in a third one. They meet as through `ssh -L`
//! (a relay at each end of the link carries bytes between a port of the client's loopback and the agent's unix socket), or
//! by TLS over the link. Needs root; everything ends with the test.

#![cfg(test)]

use std::collections::BTreeSet;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netglance::client::{Access, RemoteHost, Target};
use netglance::collect::settings::Settings;
use netglance::model::{Allowed, Cell, Demand, Host, Top, Value};
use netglance::source::file::Roots;
use netglance::store::local::{LocalHost, Options};
use rustix::thread::UnshareFlags;

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use support::pty::{PATIENT, Session, netglance};
use support::space::{ip, within};
use support::watchman::first_forbidden;

/// An agent on a host of its own name, with a network of its own.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    /// Starts an agent; with `in_network_of` it joins the network of that process.
    fn start(dir: &Path, name: &'static str, in_network_of: Option<u32>) -> Self {
        let socket = dir.join(name);
        let mut command = netglance(&["serve", "--listen", "127.0.0.1:0", "--socket"]);
        command.arg(&socket);
        Self::of(command, socket, name, in_network_of)
    }

    /// Starts an agent by a command.
    fn of(mut command: Command, socket: PathBuf, name: &'static str, in_network_of: Option<u32>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let network = in_network_of.map(|pid| std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap());
        // SAFETY: all of these are async-signal-safe system calls
        unsafe {
            command.pre_exec(move || {
                let own = if network.is_some() { libc::CLONE_NEWUTS } else { libc::CLONE_NEWUTS | libc::CLONE_NEWNET };
                let joined = network.as_ref().is_none_or(|network| {
                    libc::setns(std::os::fd::AsRawFd::as_raw_fd(network), libc::CLONE_NEWNET) == 0
                });
                if !joined || libc::unshare(own) != 0 || libc::sethostname(name.as_ptr().cast(), name.len()) != 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        Self { child: command.spawn().unwrap(), socket }
    }

    /// Pids of all its processes, itself first.
    fn all(&self) -> Vec<i32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(pid as i32).chain(children).collect()
    }

    /// Pid of one part.
    fn part(&self, name: &str) -> i32 {
        let is = |pid: &i32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.ends_with(format!("{name}\0").as_bytes())
        };
        *self.all().iter().find(|pid| is(pid)).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // a stopped process takes this signal too
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(pids: &[i32], signal: i32) {
    for pid in pids {
        // SAFETY: an agent, or a child of it, which this test has started
        assert_eq!(unsafe { libc::kill(*pid, signal) }, 0);
    }
}

/// A process that holds a network namespace.
struct Holder(Child);

impl Holder {
    fn start() -> Self {
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: an async-signal-safe system call
        unsafe {
            command.pre_exec(|| match libc::unshare(libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Runs on a thread of this test that has joined the namespace.
    fn inside<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let network = std::fs::File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                // SAFETY: moves this thread only
                let moved = unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&network), libc::CLONE_NEWNET) };
                assert_eq!(moved, 0, "{}", io::Error::last_os_error());
                run()
            });
            thread.join().unwrap()
        })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Carries bytes between whoever connects to `listener` and what `open` opens. Ends with the test program.
fn relay<S>(listener: TcpListener, open: impl Fn() -> io::Result<S> + Send + Sync + 'static)
where
    S: Ends + Send + 'static,
{
    let serve = move || {
        let open = std::sync::Arc::new(open);
        for stream in listener.incoming() {
            let (Ok(near), open) = (stream, std::sync::Arc::clone(&open)) else { return };
            std::thread::spawn(move || {
                let Ok(far) = open() else { return };
                let (Ok(back), Ok(forth)) = (near.twin(), far.twin()) else { return };
                let answers = std::thread::spawn(move || carry(forth, back));
                carry(near, far);
                let _ = answers.join();
            });
        }
    };
    std::thread::spawn(serve);
}

/// A stream of bytes with two ends.
trait Ends: io::Read + io::Write + Sized {
    fn twin(&self) -> io::Result<Self>;
    fn end(&self);
}

impl Ends for TcpStream {
    fn twin(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Ends for UnixStream {
    fn twin(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

fn carry(mut from: impl Ends, mut to: impl Ends) {
    let mut bytes = [0; 1 << 14];
    while let Ok(count) = from.read(&mut bytes)
        && count > 0
        && to.write_all(&bytes[..count]).is_ok()
    {}
    from.end();
    to.end();
}

/// A host behind a link: its agent, its namespace and the client's port for it.
struct Far {
    network: Holder,
    agent: Agent,
    name: &'static str,
    port: u16,
}

/// A network behind a link, and the address of its end.
fn linked(number: u8) -> (Holder, String) {
    let network = Holder::start();
    let (here, there, pid) = (format!("10.77.{number}.1"), format!("10.77.{number}.2"), network.pid());
    ip(&format!(
        "link add near{number} type veth peer name far{number} netns {pid}\n\
         address add {here}/24 dev near{number}\nlink set near{number} up\n"
    ));
    network.inside(|| {
        ip(&format!("link set lo up\naddress add {there}/24 dev far{number}\nlink set far{number} up\n"));
    });
    (network, there)
}

impl Far {
    fn new(dir: &Path, name: &'static str, number: u8) -> Self {
        let (network, there) = linked(number);
        let pid = network.pid();
        let agent = Agent::start(dir, name, Some(pid));
        let socket = agent.socket.clone();
        let listener = network.inside(|| TcpListener::bind((there.as_str(), 7000)).unwrap());
        relay(listener, move || UnixStream::connect(&socket));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let at: SocketAddr = format!("{there}:7000").parse().unwrap();
        relay(listener, move || TcpStream::connect_timeout(&at, Duration::from_secs(3)));
        let begin = Instant::now();
        while !agent.socket.exists() {
            assert!(begin.elapsed() < PATIENT, "no agent");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Self { network, agent, name, port }
    }

    fn dashboard(&self, more: &[&str]) -> Session {
        let at = format!("127.0.0.1:{}", self.port);
        let mut session = Session::start(160, 45, &[&["connect", &at], more].concat());
        session.wait_for("the host far away", |screen| live(screen, self.name));
        session
    }
}

/// Whether the screen shows a host that answers.
fn live(screen: &str, name: &str) -> bool {
    let first = screen.lines().next().unwrap_or_default();
    first.contains(name) && first.contains("via 127.0.0.1:") && !screen.contains("▲ lost") && screen.contains("CPU")
}

fn lost(screen: &str, name: &str) -> bool {
    let first = screen.lines().next().unwrap_or_default();
    first.contains(name) && first.contains("lost") && screen.contains("▲ lost: ")
}

/// Waits for something on the screen, which must come within some time.
fn within_time(session: &mut Session, limit: Duration, what: &str, condition: impl Fn(&str) -> bool) {
    let begin = Instant::now();
    session.wait_for(what, condition);
    println!("{what}: {:.1} s", begin.elapsed().as_secs_f64());
    assert!(begin.elapsed() < limit, "{what} took {:?}", begin.elapsed());
}

fn nft(rules: &str) {
    let output = Command::new("nft").arg(rules).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{rules}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Longest time until a loss is seen, and until a host that answers again is shown again, on a busy machine.
const SEEN: Duration = Duration::from_secs(15);

#[test]
fn root_what_happens_on_the_way_is_told_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    within(UnshareFlags::NEWNET, || {
        ip("link set lo up\n");
        let mut one = Far::new(dir.path(), "hv-one", 1);
        let two = Far::new(dir.path(), "hv-two", 2);
        let (mut first, mut second) = (one.dashboard(&[]), two.dashboard(&[]));

        // the agent is killed and comes back
        signal(&[one.agent.child.id() as i32], libc::SIGKILL);
        one.agent.child.wait().unwrap();
        within_time(&mut first, SEEN, "the loss of a killed agent", |screen| lost(screen, "hv-one"));
        one.agent = Agent::start(dir.path(), one.name, Some(one.network.pid()));
        within_time(&mut first, SEEN, "an agent that was started again", |screen| live(screen, "hv-one"));
        second.pump(Duration::from_millis(100));
        assert!(live(&second.screen(), "hv-two"), "the other host was never lost:\n{}", second.screen());

        // the link is cut and comes back
        nft("add table inet cut; add chain inet cut out { type filter hook output priority 0; }; \
             add rule inet cut out ip daddr 10.77.2.2 drop");
        within_time(&mut second, SEEN, "the loss of a link", |screen| lost(screen, "hv-two"));
        nft("delete table inet cut");
        within_time(&mut second, SEEN, "a link that is there again", |screen| live(screen, "hv-two"));

        // the whole agent stands still
        let all = two.agent.all();
        signal(&all, libc::SIGSTOP);
        within_time(&mut second, SEEN, "the loss of a stopped agent", |screen| lost(screen, "hv-two"));
        signal(&all, libc::SIGCONT);
        within_time(&mut second, SEEN, "an agent that goes on", |screen| live(screen, "hv-two"));

        // only its sampler stands still: the connection is there, and the tables are old
        let sampler = [one.agent.part("sampler")];
        signal(&sampler, libc::SIGSTOP);
        within_time(&mut first, SEEN, "a sampler that hangs", |screen| {
            screen.contains("the sampler has said nothing for") && screen.lines().next().unwrap().contains("via 127")
        });
        signal(&sampler, libc::SIGCONT);
        within_time(&mut first, SEEN, "a sampler that goes on", |screen| {
            live(screen, "hv-one") && !screen.contains("the sampler has said nothing")
        });
        for session in [&mut first, &mut second] {
            assert_eq!(first_forbidden(&session.raw), None);
            session.send("q");
            assert_eq!(session.end(), 0);
        }
    });
}

#[test]
fn root_a_process_far_away_can_be_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    within(UnshareFlags::NEWNET, || {
        ip("link set lo up\n");
        let far = Far::new(dir.path(), "hv-one", 1);
        let mut session = far.dashboard(&["--filter", &format!("pid == {}", far.agent.child.id())]);
        session.wait_for("the agent's own process", |screen| screen.contains("Processes 1 of "));
        session.send("\x1b[B\r");
        session.wait_for("its details", |screen| screen.contains("Open files"));
        session.send("\t");
        session.wait_for("a section that is collected on demand", |screen| screen.contains("socket:["));
        session.escape();
        session.send("k");
        session.wait_for("the question before a signal", |screen| screen.contains("Send a signal to"));
        session.escape();
        session.send("q");
        assert_eq!(session.end(), 0);
    });
}

/// What somebody does who looks at another host for the first time, with a home of their own.
struct Visitor<'a> {
    home: &'a Path,
    at: &'a str,
    token: &'a str,
}

impl Visitor<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = netglance(args);
        command.arg(self.at).env("HOME", self.home).env("NETGLANCE_TOKEN", self.token);
        command
    }

    fn dashboard(&self) -> Session {
        Session::spawn(160, 45, self.command(&["connect"]))
    }

    /// Exit code and what standard error says, without a terminal.
    fn script(&self) -> (Option<i32>, String) {
        let output = self.command(&["show", "load", "--host"]).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A script is not asked about a key, and a person may say no.
fn refuses(visitor: &Visitor<'_>) {
    let (code, said) = visitor.script();
    assert!(code == Some(3) && said.contains("its key is not known: SHA256:"), "{code:?} {said}");
    let mut session = visitor.dashboard();
    session.wait_for("the question", |screen| screen.contains("SHA256:") && screen.contains("(yes/no)"));
    session.send("no\n");
    assert_eq!(session.end(), 3);
}

#[test]
fn root_another_host_is_met_with_its_key_and_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let (config, home) = (dir.path().join("netglance.toml"), dir.path().join("home"));
    std::fs::create_dir(&home).unwrap();
    let (socket, state) = (dir.path().join("socket"), dir.path().join("state"));
    std::fs::write(
        &config,
        format!(
            "[serve]\nlisten = [\"10.77.1.2:61208\"]\nsocket = \"{}\"\nstate = \"{}\"\n",
            socket.display(),
            state.display()
        ),
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let made = netglance(&["--config", config, "token", "add", "visitor"]).output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    within(UnshareFlags::NEWNET, || {
        ip("link set lo up\n");
        let (network, there) = linked(1);
        let serve = || {
            let command = netglance(&["--config", config, "serve"]);
            let agent = Agent::of(command, socket.clone(), "hv-one", Some(network.pid()));
            let begin = Instant::now();
            while TcpStream::connect((there.as_str(), 61208)).is_err() {
                assert!(begin.elapsed() < PATIENT, "no agent");
                std::thread::park_timeout(Duration::from_millis(10));
            }
            agent
        };
        let agent = serve();
        let visitor = Visitor { home: &home, at: &there, token: token.trim() };

        refuses(&visitor);
        assert!(!home.join(".local/state/netglance/known_hosts").exists());

        let mut session = visitor.dashboard();
        session.wait_for("the question", |screen| screen.contains("(yes/no)"));
        session.send("yes\n");
        let live =
            |screen: &str| screen.contains("hv-one") && screen.contains("via 10.77.1.2") && screen.contains("CPU");
        session.wait_for("the host far away", live);
        session.send("q");
        assert_eq!(session.end(), 0);
        assert_eq!(first_forbidden(&session.raw), None);
        assert_eq!(visitor.script(), (Some(0), String::new()), "the key is known from now on");
        let (code, said) = Visitor { token: "guess", ..visitor }.script();
        assert!(code == Some(3) && said.contains("token"), "{code:?} {said}");

        // another key under the same address: no dashboard, and none that reconnects
        let mut session = visitor.dashboard();
        session.wait_for("no question any more", live);
        drop(agent);
        std::fs::remove_dir_all(&state).unwrap();
        let _agent = serve();
        session.wait_for("the refusal", |screen| screen.contains("ITS KEY HAS CHANGED"));
        session.send("q");
        assert_eq!(session.end(), 0);
        let (code, said) = visitor.script();
        assert!(code == Some(3) && said.contains("known_hosts"), "{code:?} {said}");
    });
}

/// Numbers in a column of the connections that a host tells.
fn told(host: &dyn Host, column: &str) -> BTreeSet<u64> {
    let latest = host.latest();
    let Some(now) = latest.get("conntrack_flow").and_then(|state| state.now.as_ref()) else { return BTreeSet::new() };
    let at = now.rows.table().position(column).unwrap();
    let number = |row| match now.rows.cell(row, at) {
        Cell::U64(number) => Some(number),
        _ => None,
    };
    (0..now.rows.len()).filter_map(number).collect()
}

/// Waits until a host tells connections for which a condition holds.
fn tells(host: &dyn Host, what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        let status = host.latest().get("conntrack_flow").map(|state| state.status.clone());
        assert!(begin.elapsed() < PATIENT, "waited in vain for {what}: {status:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn root_each_reader_far_away_and_here_has_the_connections_of_its_filter_and_of_its_order() {
    /// More than have rows if nobody says which.
    const PORTS: std::ops::Range<u16> = 10_000..27_000;
    const MARKED: std::ops::Range<u16> = 12_000..12_200;
    let dir = tempfile::tempdir().unwrap();
    let network = Holder::start();
    let here = network.inside(|| {
        ip("link set lo up\n");
        nft("add table ip t; add chain ip t c { type filter hook output priority 0; }; \
             add rule ip t c icmp type destination-unreachable drop; \
             add rule ip t c udp dport 12000-12199 ct mark set 7; add rule ip t c ct state invalid counter");
        // none of them ends while this test goes on
        std::fs::write("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "600").unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for port in PORTS {
            // nobody listens there, which is no matter
            let _ = socket.send_to(b"x", ("127.0.0.1", port));
        }
        let (roots, settings, actions) = (Roots::live(), Settings::default(), Allowed::Nothing);
        let options = Options { roots, settings, tick: Duration::from_millis(200), actions };
        LocalHost::start(options, Box::new(|| {})).unwrap()
    });
    let agent = Agent::start(dir.path(), "far", Some(network.pid()));
    let begin = Instant::now();
    let far = loop {
        match RemoteHost::connect(Target::Unix(agent.socket.clone()), Access::default(), Box::new(|| {})) {
            Ok(far) => break far,
            Err(error) => assert!(begin.elapsed() < PATIENT, "{error}"),
        }
        std::thread::park_timeout(Duration::from_millis(20));
    };
    let marked = Demand { only: vec![("mark".to_owned(), vec![Value::U64(7)])], ..Demand::table("conntrack_flow") };
    let top = Top { sort: vec![("destination_port".to_owned(), true)], rows: 1000, ..Top::default() };
    let first = Demand { top: Some(top), ..Demand::table("conntrack_flow") };
    let numbers = |ports: std::ops::Range<u16>| ports.map(u64::from).collect::<BTreeSet<u64>>();
    let (filtered, sorted) = (numbers(MARKED), numbers(PORTS.end - 1000..PORTS.end));
    for host in [here.as_ref() as &dyn Host, far.as_ref()] {
        host.demand(1, vec![marked.clone()]);
        tells(host, "those of a filter", || told(host, "destination_port") == filtered);
        host.demand(2, vec![first.clone()]);
        tells(host, "those of a filter and those of an order", || {
            let ports = told(host, "destination_port");
            ports.is_superset(&filtered) && ports.is_superset(&sorted) && ports.len() < 2000
        });
        host.demand(1, Vec::new());
        tells(host, "those of an order", || told(host, "destination_port").is_disjoint(&filtered));
        host.demand(2, vec![Demand::table("conntrack_flow")]);
        tells(host, "all that have room", || told(host, "destination_port").len() > 16_000);
    }
    // who asks once is not answered with what others want
    far.demand(2, Vec::new());
    far.demand(1, vec![marked]);
    let place = format!("unix:{}", agent.socket.display());
    for port in [10_001, 10_002, 10_003, 10_004, 10_005] {
        let filter = format!("destination_port == {port}");
        let show = ["show", "--host", &place, "conntrack_flow", "--where", &filter, "--format", "json"];
        let output = netglance(&show).output().unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(rows.len(), 1, "{port}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
