//! Who may look at an agent, and who may not?
//!
//! A real `netglance serve` with a configuration of the test's own, spoken to in bare HTTP.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

struct Agent {
    child: Child,
    address: String,
    lines: std::sync::mpsc::Receiver<String>,
    dir: tempfile::TempDir,
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
    fn start(dir: tempfile::TempDir) -> Self {
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
    // the right one comes too late
    assert_eq!(agent.ask("/healthz", Some(&token)), 429);
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

#[test]
fn other_hosts_are_not_served_in_plain_text_by_oversight() {
    let dir = configured();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let output = netglance(&dir, &["serve", "--listen", listen]);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains("--insecure"), "{}", told(&output));
    }
}
