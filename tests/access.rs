//! Who may look at an agent, and who may not?
//!
//! A real `netglance serve` with a configuration of the test's own, spoken to in bare HTTP.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netglance::browse::list::Usual;
use netglance::browse::{self, Entry, Fleet, Options, Roster, Source, Speak, What};
use netglance::client::{Access, Certificate, Error, Fingerprint, KeyError, KnownHosts, RemoteHost, Secret, Target};
use netglance::model::{Action, Connection, Host as _};
use netglance::store::level::Thresholds;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

const PATIENCE: Duration = Duration::from_secs(30);

struct Agent {
    child: Child,
    address: String,
    lines: std::sync::mpsc::Receiver<String>,
    dir: Arc<tempfile::TempDir>,
}

fn netglance(dir: &tempfile::TempDir, args: &[&str]) -> Output {
    let config = dir.path().join("netglance.toml");
    Command::new(env!("CARGO_BIN_EXE_netglance")).arg("--config").arg(config).args(args).output().unwrap()
}

fn configured() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("netglance.toml"), "[serve]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    dir
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Agent {
    fn start(dir: impl Into<Arc<tempfile::TempDir>>) -> Self {
        let dir = dir.into();
        let mut child = Command::new(env!("CARGO_BIN_EXE_netglance"))
            .arg("--config")
            .arg(dir.path().join("netglance.toml"))
            .arg("serve")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| Some(line.unwrap().split_once("listening on ")?.1.to_owned())).unwrap();
        let (sender, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, address, lines: said, dir }
    }

    fn tokens(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    fn token(&self, args: &[&str]) -> String {
        let output = netglance(&self.dir, &[&["token", "add"], args].concat());
        assert!(output.status.success(), "{}", told(&output));
        self.says("tokens that are good");
        let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        // the supervisor knows it, and the front soon
        self.becomes(&token, 200);
        token
    }

    /// The status of an answer to one request.
    fn ask(&self, path: &str, token: Option<&str>) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        request(&mut stream, path, token);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(token.is_none_or(|token| !answer.contains(token)));
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Waits until the agent says something.
    fn says(&self, what: &str) {
        while !self.lines.recv_timeout(PATIENCE).unwrap().contains(what) {}
    }

    /// Waits until an answer is as wanted.
    fn becomes(&self, token: &str, status: u16) {
        let start = Instant::now();
        while self.ask("/healthz", Some(token)) != status {
            assert!(start.elapsed() < PATIENCE);
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

fn request(stream: &mut TcpStream, path: &str, token: Option<&str>) {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\r\n").unwrap();
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_token_is_good_at_once_and_worthless_when_revoked() {
    let agent = Agent::start(configured());
    let token = agent.token(&["one"]);
    // one who is connected is disconnected
    let mut stream = TcpStream::connect(&agent.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut answer = [0; 512];
    assert!(stream.read(&mut answer).unwrap() > 0 && answer.starts_with(b"HTTP/1.1 200"));
    let listed = netglance(&agent.dir, &["token", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("one"));
    assert!(netglance(&agent.dir, &["token", "revoke", "one"]).status.success());
    let start = Instant::now();
    while stream.read(&mut answer).is_ok_and(|read| read > 0) {}
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(agent.ask("/healthz", Some(&token)), 401);
    assert!(!netglance(&agent.dir, &["token", "revoke", "one"]).status.success());
}

#[test]
fn who_has_acted_stands_in_the_log_and_who_may_only_look_does_not_act() {
    let dir = for_others();
    let config = dir.path().join("netglance.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, format!("{text}allow_actions = true\n")).unwrap();
    assert!(netglance(&dir, &["token", "add", "one"]).status.success());
    let agent = Agent::start(dir);
    let mut sleeper = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let pid = sleeper.id();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    let end = Action::Signal { pid, start, signal: libc::SIGTERM };
    let act = |name: &str, role: &str| {
        let token = agent.token(&[name, "--role", role]);
        let access = Access { token: Some(Arc::new(Secret::new(token))), accept_new: true, ..agent.access() };
        RemoteHost::connect(agent.target(), access, Box::new(|| {})).unwrap().act(&end)
    };
    let refused = act("eye", "view");
    let lives = sleeper.try_wait().unwrap().is_none();
    let done = act("ops", "operate");
    let _ = sleeper.kill();
    let status = sleeper.wait().unwrap();
    assert!(refused.is_err() && lives, "{refused:?}");
    assert!(done.is_ok() && status.signal() == Some(libc::SIGTERM), "{done:?} {status}");
    agent.says(&format!("done for token `ops` from 127.0.0.1: signal process {pid}"));
}

#[test]
fn a_token_that_has_ended_is_worthless() {
    let agent = Agent::start(configured());
    let token = agent.token(&["short", "--expires", "3s"]);
    agent.becomes(&token, 401);
}

#[test]
fn whoever_guesses_waits_and_others_do_not() {
    let agent = Agent::start(configured());
    let token = agent.token(&["one"]);
    let mut asked = 0;
    while agent.ask("/healthz", Some("guess")) == 401 {
        asked += 1;
        assert!(asked < 10);
    }
    agent.says("wrong tokens from 127.0.0.1");
    // whoever shares the address with him and has the right one
    assert_eq!(agent.ask("/healthz", Some(&token)), 200);
    assert_eq!(agent.ask("/healthz", Some("guess")), 429);
    assert_eq!(agent.ask("/healthz", None), 200);
}

#[test]
fn tokens_that_others_could_read_are_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let agent = Agent::start(configured());
    let token = agent.token(&["one"]);
    std::fs::set_permissions(agent.tokens(), std::fs::Permissions::from_mode(0o644)).unwrap();
    agent.becomes(&token, 401);
    let output = netglance(&agent.dir, &["token", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("0644"), "{}", told(&output));
}

/// A configuration for other hosts, with everything that the agent keeps beside it.
fn for_others() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let text = format!("[serve]\nlisten = \"0.0.0.0:0\"\nstate = \"{}\"\n", state.display());
    std::fs::write(dir.path().join("netglance.toml"), text).unwrap();
    dir
}

/// An agent for other hosts that has a token.
fn guarded() -> (Agent, Arc<Secret>) {
    let dir = for_others();
    let made = netglance(&dir, &["token", "add", "one"]);
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    (Agent::start(dir), Arc::new(Secret::new(token)))
}

impl Agent {
    /// The agent as a client on this host names it.
    fn target(&self) -> Target {
        self.address.replace("0.0.0.0", "127.0.0.1").parse().unwrap()
    }

    fn access(&self) -> Access {
        Access { known: Some(KnownHosts::at(self.known())), tls: true, ..Access::default() }
    }

    fn known(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// What an ended agent leaves.
    fn end(self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.dir)
    }

    /// The key of a connection that is refused for it.
    fn key(&self, access: &Access) -> KeyError {
        match RemoteHost::connect(self.target(), access.clone(), Box::new(|| {})) {
            Err(Error::Peer { key: Some(key), .. }) => key,
            other => panic!("{:?}", other.err()),
        }
    }
}

#[test]
fn other_hosts_are_served_only_when_they_can_say_who_they_are() {
    let dir = for_others();
    let output = netglance(&dir, &["serve"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("token add") && told(&output).contains("client_ca"), "{}", told(&output));
    let agent = guarded().0;
    drop(agent);
    // a token does not stand in for certificates that were asked for
    let config = dir.path().join("netglance.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, format!("{text}client_ca = \"/dev/null\"\n")).unwrap();
    assert!(netglance(&dir, &["token", "add", "one"]).status.success());
    let output = netglance(&dir, &["serve"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("/dev/null: it is not a regular file"), "{}", told(&output));
}

#[test]
fn whoever_starts_an_agent_where_it_cannot_listen_is_told_what_to_do() {
    let dir = configured();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    // where no key can be kept
    std::fs::write(dir.path().join("netglance.toml"), "[serve]\nstate = \"/dev/null\"\n").unwrap();
    for (args, code, hint) in [
        (["--listen", "0.0.0.0:0"], 2, "name other places: state"),
        (["--listen", "here"], 2, "[::1]:61208"),
        (["--listen", "[::1]"], 2, "[::1]:61208"),
        (["--listen", &*taken], 1, "stop it, or listen elsewhere: --listen ADDRESS:PORT"),
        (["--socket", "/no/such/directory/socket"], 1, "--socket PATH"),
    ] {
        let output = netglance(&dir, &[&["serve"], &args[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        let told = told(&output);
        let (what, advice) = told.split_once("\nhint: ").unwrap_or_else(|| panic!("{told}"));
        assert!(what.contains(args[1].trim_end_matches(":0")) && advice.contains(hint), "{told}");
    }
}

#[test]
fn a_key_is_known_or_there_is_no_connection() {
    let (agent, token) = guarded();
    let access = Access { token: Some(Arc::clone(&token)), ..agent.access() };
    let KeyError::Unknown(key) = agent.key(&access) else { panic!() };
    assert!(!agent.known().exists());
    // once taken for right it stays
    let new = Access { accept_new: true, ..access.clone() };
    for access in [&new, &access] {
        let host = RemoteHost::connect(agent.target(), access.clone(), Box::new(|| {})).unwrap();
        assert!(matches!(host.connection(), Connection::Connecting { .. } | Connection::Live { .. }));
    }
    let known = std::fs::read_to_string(agent.known()).unwrap();
    assert_eq!(known, format!("{} {key}\n", agent.target()));
    // another key under the same name
    std::fs::write(agent.known(), format!("{} SHA256:{}\n", agent.target(), "A".repeat(43))).unwrap();
    for access in [new, access] {
        assert!(matches!(agent.key(&access), KeyError::Changed { now, .. } if now == key));
    }
}

#[test]
fn a_wrong_token_is_told() {
    let (agent, _) = guarded();
    let access = Access { token: Some(Arc::new(Secret::new("guess".to_owned()))), accept_new: true, ..agent.access() };
    let refused = RemoteHost::connect(agent.target(), access, Box::new(|| {})).err().unwrap().to_string();
    assert!(refused.contains("token") && !refused.contains("guess"), "{refused}");
}

#[test]
fn a_token_comes_from_a_file_or_the_environment() {
    let (agent, token) = guarded();
    let file = agent.dir.path().join("mine");
    std::fs::write(&file, token.reveal()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let target = agent.target().to_string();
    let show = |more: &[&str], variable: Option<(&str, &str)>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
        command.args(["show", "load", "--format", "json", "--tls", "--accept-new", "--host", &target]).args(more);
        command.env("XDG_STATE_HOME", agent.dir.path()).envs(variable).output().unwrap()
    };
    let path = file.to_str().unwrap();
    let ways = [
        show(&["--token-file", path], None),
        show(&[], Some(("NETGLANCE_TOKEN_FILE", path))),
        show(&[], Some(("NETGLANCE_TOKEN", token.reveal()))),
    ];
    for output in ways {
        assert!(output.status.success() && output.stdout.starts_with(b"[{\"one\":"), "{}", told(&output));
    }
    let output = show(&[], Some(("NETGLANCE_TOKEN", "guess")));
    assert_eq!(output.status.code(), Some(3));
    assert!(told(&output).contains("token list") && !told(&output).contains("guess"), "{}", told(&output));
    // where no key can be remembered
    let output = show(&["--token-file", path], Some(("XDG_STATE_HOME", path)));
    assert_eq!(output.status.code(), Some(3));
    assert!(
        told(&output).contains("known_hosts: ") && told(&output).contains("hint: XDG_STATE_HOME"),
        "{}",
        told(&output)
    );
}

#[test]
fn the_key_stays_over_a_restart_and_nobody_else_reads_it() {
    use std::os::unix::fs::MetadataExt as _;
    let (agent, _) = guarded();
    let key = agent.key(&agent.access());
    let dir = agent.end();
    let kept = dir.path().join("state/identity.pem");
    assert_eq!(std::fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    let agent = Agent::start(dir);
    assert_eq!(agent.key(&agent.access()), key);
}

#[test]
fn a_stranger_hears_no_token() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target: Target = listener.local_addr().unwrap().to_string().parse().unwrap();
    let heard = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            bytes.extend_from_slice(&piece[..read]);
            // nonsense
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        }
        bytes
    });
    let token = "ng_canary_canary_canary";
    let access = Access {
        token: Some(Arc::new(Secret::new(token.to_owned()))),
        tls: true,
        accept_new: true,
        ..Access::default()
    };
    assert!(RemoteHost::connect(target, access, Box::new(|| {})).is_err());
    let heard = heard.join().unwrap();
    assert!(!heard.is_empty());
    assert!(!heard.windows(6).any(|piece| piece == b"canary"));
}

#[test]
fn nobody_on_this_host_hears_a_token_in_plain_text() {
    let agent = Agent::start(configured());
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let there = stranger.local_addr().unwrap().to_string();
    let file = private(&agent.dir, "mine", "ng_canary");
    let path = file.to_str().unwrap();
    let show = |there: &str, more: &[&str], variable: (&str, &str)| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
        command.args(["show", "load", "--host", there]).args(more).env(variable.0, variable.1);
        let output = command.env("XDG_STATE_HOME", agent.dir.path()).output().unwrap();
        (output.status.code(), told(&output))
    };
    let cases = [
        (&["--token-file", path][..], ("NETGLANCE_TOKEN", ""), "a token is not sent in plain text"),
        (&[], ("NETGLANCE_TOKEN_FILE", path), "a token is not sent in plain text"),
        (&[], ("NETGLANCE_TOKEN", "ng_canary"), "hint: --tls if the agent has a key"),
        (&[], ("NETGLANCE_TOKEN", "ng\ncanary"), "NETGLANCE_TOKEN: it is no token"),
        (&["--insecure", "--token-file", path], ("NETGLANCE_TOKEN", ""), "'--insecure' cannot be used with"),
    ];
    for (more, variable, why) in cases {
        let (code, told) = show(&there, more, variable);
        assert!(code == Some(2) && told.contains(why) && !told.contains("canary"), "{variable:?}: {code:?} {told}");
    }
    let host = |name: &str, speak: Speak| Entry { name: name.into(), speak, ..Entry::of(there.parse().unwrap()) };
    let speak = Speak { token_file: Some(file.clone()), ..Speak::default() };
    let watched = Watched::start(vec![host("stranger", speak)], Access::default());
    assert!(watched.becomes("stranger", "protected").contains("a token is not sent in plain text"));
    // nobody has even been connected with
    assert!(stranger.accept().is_err_and(|cause| cause.kind() == std::io::ErrorKind::WouldBlock));
    // who asks in plain text says nothing of it, and nothing is wrong with no token at all
    for (more, variable) in [
        (&["--insecure"][..], ("NETGLANCE_TOKEN", "ng_canary")),
        (&["--insecure"], ("NETGLANCE_TOKEN_FILE", path)),
        (&[], ("NETGLANCE_TOKEN_FILE", "")),
    ] {
        let (code, told) = show(&agent.address, more, variable);
        assert_eq!(code, Some(0), "{variable:?}: {told}");
    }
}

#[test]
fn whoever_speaks_plain_text_where_only_tls_is_spoken_is_told_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let there = listener.local_addr().unwrap().to_string();
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let agent = std::thread::spawn(move || {
        // a client may try again
        while let Ok((mut stream, _)) = listener.accept()
            && !is_over.load(std::sync::atomic::Ordering::Relaxed)
        {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // as an agent says it: no settings, and GOAWAY for want of security
            let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0c");
            while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
        }
    });
    // a connection that ends before the request is under way takes the reason with it
    let is_heard = (0..20).any(|_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
        let output = command.args(["show", "load", "--insecure", "--host", &there]).output().unwrap();
        let told = told(&output);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("only TLS is spoken there") || told.contains("is no agent"), "{told}");
        told.contains("only TLS is spoken there") && told.contains("leave out --insecure")
    });
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    TcpStream::connect(&there).unwrap();
    agent.join().unwrap();
    assert!(is_heard);
}

#[test]
fn a_token_file_that_is_a_pipe_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let speak = Speak { tls: true, token_file: Some(pipe), ..Speak::default() };
    let of = |to: &str| Entry::of(to.parse().unwrap());
    let hosts = vec![Entry { name: "pipe".into(), speak, ..of("127.0.0.1:1") }, of("127.0.0.2:1")];
    let watched = Watched::start(hosts, Access::default());
    assert!(watched.becomes("pipe", "protected").contains("it is not a regular file"));
    watched.becomes("127.0.0.2:1", "unreachable");
}

/// A file that nobody else may read.
fn private(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = dir.path().join(name);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

/// Many hosts, as they are watched.
struct Watched {
    fleet: Arc<Fleet>,
    changes: std::sync::mpsc::Receiver<()>,
}

impl Watched {
    fn start(hosts: impl Into<Roster>, access: Access) -> Self {
        let (sender, changes) = std::sync::mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        let levels = Arc::new(Thresholds::new(&Vec::new(), browse::tables().iter().copied()).unwrap());
        let told = Arc::new(move || {
            let _ = sender.lock().unwrap().send(());
        });
        Self { fleet: Fleet::start(Options { hosts: hosts.into(), access, levels }, told).unwrap(), changes }
    }

    /// State and reason of a host.
    fn host(&self, name: &str) -> (String, String) {
        let rows = Arc::clone(&self.fleet.latest().get("fleet").unwrap().now.as_ref().unwrap().rows);
        let word = |row, column: &str| {
            rows.cell(row, rows.table().position(column).unwrap()).text().unwrap_or_default().to_owned()
        };
        let row = (0..rows.len()).find(|row| word(*row, "host") == name);
        row.map_or_else(Default::default, |row| (word(row, "state"), word(row, "reason")))
    }

    /// Waits until a host is so, and tells the reason.
    fn becomes(&self, name: &str, state: &str) -> String {
        loop {
            let now = self.host(name);
            if now.0 == state {
                return now.1;
            }
            assert!(self.changes.recv_timeout(PATIENCE).is_ok(), "{name} is {now:?}, not {state}");
        }
    }
}

#[test]
fn each_of_many_hosts_is_told_a_token_only_when_its_key_is_right() {
    let (agent, token) = guarded();
    let KeyError::Unknown(key) = agent.key(&agent.access()) else { panic!() };
    let other: Fingerprint = format!("SHA256:{}", "A".repeat(43)).parse().unwrap();
    let token_file = private(&agent.dir, "token", token.reveal());
    let wrong = private(&agent.dir, "wrong", "ng_canary");
    // the same agent at addresses of their own
    let port = agent.address.rsplit_once(':').unwrap().1;
    let target = |n: usize| -> Target { format!("127.0.0.{n}:{port}").parse().unwrap() };
    let speak = Speak { tls: true, token_file: Some(token_file), ..Speak::default() };
    let host = |n: usize, name: &str, speak: Speak| Entry { name: name.into(), speak, ..Entry::of(target(n)) };
    let access = agent.access();
    let known = access.known.clone().unwrap();
    known.remember(&target(3), key).unwrap();
    known.remember(&target(4), other).unwrap();
    let hosts = vec![
        host(2, "pinned", Speak { key: Some(key), ..speak.clone() }),
        host(3, "known", speak.clone()),
        host(4, "changed", speak.clone()),
        host(5, "pinned to another", Speak { key: Some(other), ..speak.clone() }),
        host(6, "unknown", speak.clone()),
        host(7, "guessing", Speak { key: Some(key), token_file: Some(wrong), ..speak.clone() }),
        host(8, "without a token", Speak { key: Some(key), token_file: Some(agent.dir.path().join("none")), ..speak }),
    ];
    let watched = Watched::start(hosts, access);
    for name in ["pinned", "known"] {
        watched.becomes(name, "live");
    }
    for name in ["changed", "pinned to another"] {
        assert!(watched.becomes(name, "key-changed").contains("ITS KEY HAS CHANGED"));
    }
    let told = watched.becomes("unknown", "protected");
    assert!(told.contains(&key.to_string()) && told.contains(&format!("netglance connect {}", target(6))), "{told}");
    let told = watched.becomes("guessing", "protected");
    assert!(told.contains("token") && !told.contains("canary"), "{told}");
    assert!(watched.becomes("without a token", "protected").contains("none: "));
    // once accepted it is live at once
    known.remember(&target(6), key).unwrap();
    let begun = Instant::now();
    watched.fleet.try_again();
    watched.becomes("unknown", "live");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// A block of PEM.
fn pem(what: &str, bytes: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
}

/// An authority of clients.
struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        Self { pem: pem("CERTIFICATE", own.der()), issuer: rcgen::Issuer::new(params, key) }
    }

    /// A certificate that is good until a year, and its key, in one file.
    fn sign(&self, dir: &tempfile::TempDir, name: &str, until: i32) -> PathBuf {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let own = params.signed_by(&key, &self.issuer).unwrap();
        private(dir, name, &(pem("CERTIFICATE", own.der()) + &pem("PRIVATE KEY", &key.serialize_der())))
    }
}

#[test]
fn an_agent_with_an_authority_serves_whom_it_has_signed() {
    let (dir, authority) = (for_others(), Authority::new());
    let config = dir.path().join("netglance.toml");
    std::fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, format!("{text}client_ca = \"{}\"\n", dir.path().join("ca.pem").display())).unwrap();
    let agent = Agent::start(dir);
    let state = agent.dir.path().join("client");
    let certificates = [
        ("right", Some(authority.sign(&agent.dir, "right", 2999)), ""),
        ("none", None, "wants a certificate"),
        ("foreign", Some(Authority::new().sign(&agent.dir, "foreign", 2999)), "does not know the authority"),
        ("ended", Some(authority.sign(&agent.dir, "ended", 2001)), "has ended"),
    ];
    // from scripts
    for (name, certificate, why) in &certificates {
        let mut args = vec!["show", "load", "--tls", "--accept-new", "--host", &agent.address];
        let path = certificate.as_ref().map(|path| path.to_str().unwrap().to_owned());
        args.extend(path.iter().flat_map(|path| ["--cert", path.as_str()]));
        let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
        let output = command.args(args).env("XDG_STATE_HOME", &state).output().unwrap();
        let code = if why.is_empty() { 0 } else { 3 };
        assert!(output.status.code() == Some(code) && told(&output).contains(why), "{name}: {}", told(&output));
    }
    // and many at once
    let port = agent.address.rsplit_once(':').unwrap().1;
    let host = |(n, (name, cert, _)): (usize, &(&str, Option<PathBuf>, &str))| Entry {
        name: (*name).into(),
        speak: Speak { tls: true, cert: cert.clone(), ..Speak::default() },
        ..Entry::of(format!("127.0.0.{}:{port}", n + 1).parse().unwrap())
    };
    let hosts: Vec<Entry> = certificates.iter().enumerate().map(host).collect();
    let watched = Watched::start(hosts, Access { accept_new: true, ..agent.access() });
    for (name, _, why) in &certificates {
        let told = watched.becomes(name, if why.is_empty() { "live" } else { "protected" });
        assert!(told.contains(why), "{name}: {told}");
    }
}

/// Somebody who speaks TLS with a key that nobody knows, and would take any certificate.
struct Stranger {
    target: Target,
    print: Fingerprint,
    /// How the first connection ended, and whether there was a certificate.
    heard: std::thread::JoinHandle<(String, bool)>,
}

impl Stranger {
    fn start(authority: &Authority) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string().parse().unwrap();
        let made = rcgen::generate_simple_self_signed(["agent".to_owned()]).unwrap();
        let certificate = CertificateDer::from(made.cert.der().to_vec());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let print = Fingerprint::of(&certificate).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let asking = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_client_cert_verifier(asking.build().unwrap());
        let mut config = config.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let outcome = loop {
                if let Err(cause) = tls.complete_io(&mut stream) {
                    break cause.to_string();
                }
                if !tls.is_handshaking() {
                    break "spoken with".to_owned();
                }
            };
            (outcome, tls.peer_certificates().is_some())
        });
        Self { target, print, heard }
    }

    /// The client ended the connection when it had seen the key: nothing was said over it.
    fn has_heard_nothing(self) {
        let (outcome, certified) = self.heard.join().unwrap();
        assert!(outcome.contains("alert") && !certified, "{outcome}");
    }
}

#[test]
fn a_stranger_who_speaks_tls_hears_neither_token_nor_certificate() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let stranger = Stranger::start(&authority);
    let token_file = Some(private(&dir, "token", "ng_canary"));
    let cert = Some(authority.sign(&dir, "own", 2999));
    let speak = Speak { tls: true, token_file, cert, ..Speak::default() };
    let host = Entry { name: "stranger".into(), speak, ..Entry::of(stranger.target.clone()) };
    let known = Some(KnownHosts::at(dir.path().join("known_hosts")));
    let watched = Watched::start(vec![host], Access { known, ..Access::default() });
    assert!(watched.becomes("stranger", "protected").contains(&stranger.print.to_string()));
    stranger.has_heard_nothing();
    assert!(Certificate::read(&dir.path().join("own"), &dir.path().join("token")).is_err());
}

/// A name in the form of the wire.
fn labels(labels: &[&str]) -> Vec<u8> {
    let label = |label: &&str| [&[label.len() as u8], label.as_bytes()].concat();
    labels.iter().flat_map(label).chain([0]).collect()
}

/// A record of the wire: its name, type, and what it holds, good for two minutes.
fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let fields = [kind, 1, 0, 120, data.len() as u16].map(u16::to_be_bytes);
    [name, &fields.concat(), data].concat()
}

fn service(port: u16, host: &[u8]) -> Vec<u8> {
    [[0, 0, port].map(u16::to_be_bytes).concat(), host.to_vec()].concat()
}

/// An answer to a question, with its name and records.
fn answer(question: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let head = [flags, 1, records.len() as u16, 0, 0].map(u16::to_be_bytes).concat();
    [&question[..2], &head, &question[12..end], &records.concat()].concat()
}

/// A name server that knows the SRV records of one name, and has room for them over TCP only.
fn name_server(name: &'static [&'static str], records: Vec<Vec<u8>>) -> std::net::SocketAddr {
    let stream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let datagram = std::net::UdpSocket::bind(stream.local_addr().unwrap()).unwrap();
    let place = stream.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = datagram.recv_from(&mut question) {
            let question = &question[..length];
            let is_known = question[12..].starts_with(&labels(name));
            // to somebody else's question first, which counts for nothing
            let mut other = answer(question, 0x8183, &[]);
            other[0] ^= 1;
            datagram.send_to(&other, from).unwrap();
            datagram.send_to(&answer(question, if is_known { 0x8380 } else { 0x8183 }, &[]), from).unwrap();
        }
    });
    std::thread::spawn(move || {
        for mut stream in stream.incoming().map_while(Result::ok) {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut question).unwrap();
            let answer = answer(&question, 0x8180, &records);
            stream.write_all(&[&(answer.len() as u16).to_be_bytes(), answer.as_slice()].concat()).unwrap();
        }
    });
    place
}

#[test]
fn hosts_that_a_name_server_names_are_trusted_by_their_keys_on_loopback_too() {
    let (agent, token) = guarded();
    let KeyError::Unknown(key) = agent.key(&agent.access()) else { panic!() };
    let port: u16 = agent.address.rsplit_once(':').unwrap().1.parse().unwrap();
    let host = |last: &'static str| labels(&["127", "0", "0", last]);
    let name = labels(&["_netglance", "_tcp", "example"]);
    let data = [service(port, &host("2")), service(port, &host("3")), service(port, &labels(&["no host"]))];
    let records = data.iter().map(|data| record(&name, 33, data)).collect();
    let server = name_server(&["_netglance", "_tcp", "example"], records);
    let access = agent.access();
    access.known.as_ref().unwrap().remember(&format!("127.0.0.2:{port}").parse().unwrap(), key).unwrap();
    let token_file = Some(private(&agent.dir, "token", token.reveal()));
    let usual = Usual { speak: Speak { token_file, ..Speak::default() }, ..Usual::default() };
    let source =
        |name: &str| Source { what: What::Srv { name: name.to_owned(), servers: vec![server] }, usual: usual.clone() };
    let sources = vec![source("_netglance._tcp.example"), source("_netglance._tcp.nowhere")];
    // what the access says of loopback does not count: whoever answers says where a host is
    let watched = Watched::start(Roster { hosts: Vec::new(), sources }, Access { tls: false, ..access });
    watched.becomes(&format!("127.0.0.2:{port}"), "live");
    let told = watched.becomes(&format!("127.0.0.3:{port}"), "protected");
    assert!(told.contains(&key.to_string()), "{told}");
    assert!(watched.becomes(&format!("no host:{port}"), "wrong").contains("is no agent"));
    assert!(watched.becomes("_netglance._tcp.nowhere", "unreachable").contains("no such name"));
    // a list without them forgets them
    watched.fleet.reload(vec![Entry::of("127.0.0.2:1".parse().unwrap())].into());
    watched.becomes("127.0.0.2:1", "unreachable");
    assert_eq!(watched.fleet.latest().get("fleet").unwrap().now.as_ref().unwrap().rows.len(), 1);
}

#[test]
fn root_a_neighbor_who_says_that_he_is_an_agent_is_told_nothing() {
    use rustix::thread::UnshareFlags;
    support::space::within(UnshareFlags::NEWNET, || {
        support::space::ip("link set lo up multicast on\nroute add 224.0.0.0/4 dev lo\n");
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let stranger = Stranger::start(&authority);
        let Target::Tcp { port, .. } = stranger.target else { panic!() };
        let group = std::net::Ipv4Addr::new(224, 0, 0, 251);
        let socket = std::net::UdpSocket::bind("0.0.0.0:5353").unwrap();
        socket.join_multicast_v4(&group, &std::net::Ipv4Addr::LOCALHOST).unwrap();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                let name = labels(&["_netglance", "_tcp", "local"]);
                let instance = labels(&["hv01\u{1b}[2J", "_netglance", "_tcp", "local"]);
                let host = labels(&["hv01", "local"]);
                let records = [
                    record(&name, 12, &instance),
                    record(&instance, 33, &service(port, &host)),
                    record(&host, 1, &[127, 0, 0, 1]),
                ];
                // nonsense first
                socket.send_to(&[0xff; 40], from).unwrap();
                socket.send_to(&answer(&question[..length], 0x8400, &records), from).unwrap();
            }
        });
        let cert = Some(authority.sign(&dir, "own", 2999));
        let speak = Speak { token_file: Some(private(&dir, "token", "ng_canary")), cert, ..Speak::default() };
        let source = |interface: &str| Source {
            what: What::Neighbors { interface: interface.to_owned() },
            usual: Usual { speak: speak.clone(), ..Usual::default() },
        };
        let known = Some(KnownHosts::at(dir.path().join("known_hosts")));
        // even one who takes every new key for right
        let access = Access { known, accept_new: true, ..Access::default() };
        let sources = vec![source("lo"), source("none")];
        let watched = Watched::start(Roster { hosts: Vec::new(), sources }, access);
        let told = watched.becomes("hv01\\x1b[2J", "protected");
        assert!(told.contains(&stranger.print.to_string()), "{told}");
        assert!(!dir.path().join("known_hosts").exists());
        watched.becomes("neighbors behind none", "unreachable");
        stranger.has_heard_nothing();
    });
}
