//! Does an agent serve its host, and does it stay up?
//!
//! A real `netglance serve` on a socket of the test's own, and the client that `connect` uses.

#![cfg(test)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use netglance::client::{RemoteHost, Target};
use netglance::model::{Connection, Demand, HistoryAsk, Host as _, Key, Value};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

struct Agent {
    child: Child,
    dir: tempfile::TempDir,
}

impl Agent {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_netglance"))
            .args(["serve", "--listen", "127.0.0.1:0", "--socket"])
            .arg(dir.path().join("socket"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn connect(&self) -> (Arc<RemoteHost>, Receiver<()>) {
        let path = self.dir.path().join("socket");
        until("the socket", || path.exists());
        let (sender, changes) = mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        let told = Box::new(move || {
            let _ = sender.lock().unwrap().send(());
        });
        (RemoteHost::connect(Target::Unix(path), told).unwrap(), changes)
    }

    /// Pid of one part of the agent.
    fn part(&self, name: &str) -> Option<i32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().map(|pid| pid.parse().unwrap()).find(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.ends_with(format!("{name}\0").as_bytes())
        })
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: the agent, or a child of it, which this test has started
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition that another process brings about.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Waits for news of a host until a condition holds.
fn changed(changes: &Receiver<()>, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        let left = PATIENCE.saturating_sub(start.elapsed());
        assert!(changes.recv_timeout(left).is_ok(), "waited in vain for {what}");
    }
}

/// Rows of a table that a host knows.
fn rows(host: &RemoteHost, table: &str) -> Option<Arc<dyn netglance::model::Rows>> {
    host.latest().get(table).and_then(|state| state.now.as_ref()).map(|now| Arc::clone(&now.rows))
}

fn has_pid(rows: &dyn netglance::model::Rows, pid: u32) -> bool {
    (0..rows.len()).any(|row| rows.cell(row, 0).to_value() == Value::U64(u64::from(pid)))
}

#[test]
fn a_reader_far_away_sees_what_the_agent_sees() {
    let agent = Agent::start();
    let (host, changes) = agent.connect();
    changed(&changes, "this process", || {
        rows(&host, "process").is_some_and(|rows| has_pid(&*rows, std::process::id()))
    });
    assert!(matches!(host.connection(), Connection::Live { .. }));
    // samples of a second later make rates, and there is a past
    changed(&changes, "two samples", || host.latest().get("load").is_some_and(|state| state.before.is_some()));
    let ask = HistoryAsk::all("load", "one", Key::default());
    changed(&changes, "the past", || host.history(&ask).is_some_and(|series| !series.points.is_empty()));
    // what is collected on demand only
    assert!(rows(&host, "process_file").is_none());
    let pid = Value::U64(u64::from(std::process::id()));
    host.demand(1, vec![Demand { ids: vec![pid], ..Demand::table("process_file") }]);
    changed(&changes, "open files", || rows(&host, "process_file").is_some_and(|rows| rows.len() > 2));
    host.demand(1, Vec::new());
    changed(&changes, "no open files", || rows(&host, "process_file").is_none());
}

#[test]
fn a_part_that_was_killed_comes_back_and_readers_go_on() {
    let agent = Agent::start();
    let (host, changes) = agent.connect();
    let newest = |host: &RemoteHost| host.latest().get("load").and_then(|state| state.now.as_ref()).map(|now| now.mono);
    for part in ["sampler", "front"] {
        changed(&changes, "samples", || newest(&host).is_some());
        let pid = agent.part(part).unwrap();
        signal(pid, libc::SIGKILL);
        until("another one", || agent.part(part).is_some_and(|other| other != pid));
        let before = newest(&host);
        changed(&changes, "newer samples", || newest(&host) > before);
    }
}

#[test]
fn a_lost_agent_leaves_its_last_samples_and_a_reason() {
    let agent = Agent::start();
    let (host, changes) = agent.connect();
    changed(&changes, "samples", || rows(&host, "load").is_some());
    drop(agent);
    changed(&changes, "the loss", || matches!(host.connection(), Connection::Lost { .. }));
    assert!(rows(&host, "load").is_some());
}

#[test]
fn a_signal_ends_the_agent_with_all_its_parts() {
    let mut agent = Agent::start();
    let (_host, _changes) = agent.connect();
    until("parts", || agent.part("sampler").is_some() && agent.part("front").is_some());
    let parts = [agent.part("sampler").unwrap(), agent.part("front").unwrap()];
    signal(agent.child.id() as i32, libc::SIGTERM);
    let asked = Instant::now();
    assert!(agent.child.wait().unwrap().success());
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    until("no part", || parts.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

#[test]
fn an_agent_that_is_not_there_is_told_in_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_netglance")).args(["connect", "unix:/nonexistent"]).output().unwrap();
    // without a terminal that is said first
    assert_eq!(output.status.code(), Some(2));
    let host = RemoteHost::connect(Target::Unix("/nonexistent".into()), Box::new(|| {}));
    let told = host.err().unwrap().to_string();
    assert!(told.contains("/nonexistent") && told.contains("No such file"), "{told}");
}
