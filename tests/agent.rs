//! Does an agent serve its host, and does it stay up?
//!
//! A real `netglance serve` on a socket of the test's own, and the client that `connect` uses.

#![cfg(test)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use netglance::alert::dispatch::Dispatch;
use netglance::alert::run::{self as watch, Rules, Watcher};
use netglance::client::{Access, RemoteHost, Target};
use netglance::collect::{COLLECTORS, Capabilities, Entry};
use netglance::model::{Connection, Demand, HistoryAsk, Host, Key, Value};
use netglance::store::level::Thresholds;

#[expect(dead_code, reason = "each test program uses its part")]
mod served;

use served::{Agent, PATIENCE};

const SAMPLER: &str = "netglance-sampl";
const FRONT: &str = "netglance-front";

/// One for clients of this host.
fn agent() -> Agent {
    Agent::start("127.0.0.1:0", "")
}

/// A client of an agent, and what tells that something has changed.
fn connect(agent: &Agent) -> (Arc<RemoteHost>, Receiver<()>) {
    let (sender, changes) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let told = Box::new(move || {
        let _ = sender.lock().unwrap().send(());
    });
    (RemoteHost::connect(Target::Unix(agent.socket()), Access::default(), told).unwrap(), changes)
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: the agent, or a child of it, which this test has started
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
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
    let agent = agent();
    let (host, changes) = connect(&agent);
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
fn who_wants_a_sample_every_three_seconds_is_told_no_more() {
    let agent = agent();
    let (host, changes) = connect(&agent);
    let newest = || host.latest().get("load").and_then(|state| state.now.as_ref().map(|now| now.mono.0));
    host.demand(1, vec![Demand { interval: Some(Duration::from_secs(3)), ..Demand::table("load") }]);
    // those that were on their way come first
    let (mut before, mut seldom) = (u64::MAX, false);
    for _ in 0..6 {
        changed(&changes, "another sample", || newest().is_some_and(|mono| mono != before));
        let now = newest().unwrap();
        let between = Duration::from_nanos(now.saturating_sub(before));
        assert!(!seldom || between > Duration::from_millis(2500), "{between:?}");
        seldom |= between > Duration::from_millis(2500);
        before = now;
    }
    assert!(seldom);
}

#[test]
fn a_part_that_was_killed_comes_back_and_readers_go_on() {
    let agent = agent();
    let (host, changes) = connect(&agent);
    let newest = |host: &RemoteHost| host.latest().get("load").and_then(|state| state.now.as_ref()).map(|now| now.mono);
    for part in [SAMPLER, FRONT] {
        changed(&changes, "samples", || newest(&host).is_some());
        let pid = agent.part(part);
        signal(pid, libc::SIGKILL);
        until("another one", || agent.part(part) != pid);
        let before = newest(&host);
        changed(&changes, "newer samples", || newest(&host) > before);
    }
}

#[test]
fn a_lost_agent_leaves_its_last_samples_and_a_reason() {
    let agent = agent();
    let (host, changes) = connect(&agent);
    changed(&changes, "samples", || rows(&host, "load").is_some());
    drop(agent);
    changed(&changes, "the loss", || matches!(host.connection(), Connection::Lost { .. }));
    assert!(rows(&host, "load").is_some());
}

#[test]
fn a_signal_ends_the_agent_with_all_its_parts() {
    let agent = agent();
    let (_host, _changes) = connect(&agent);
    let parts = [agent.part(SAMPLER), agent.part(FRONT)];
    let asked = Instant::now();
    agent.end();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    until("no part", || parts.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

/// A field of `/proc/PID/status`.
fn field(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).to_owned()
}

fn capabilities(pid: u32, name: &str) -> u64 {
    u64::from_str_radix(&field(pid, name), 16).unwrap()
}

/// Threads of a process, all of which are behind seccomp.
fn filtered(pid: u32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let statuses = threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).ok());
    statuses.inspect(|status| assert!(status.contains("\nSeccomp:\t2\n"), "{status}")).count()
}

#[test]
fn the_sampler_is_behind_a_filter_and_reads_what_a_dashboard_reads() {
    let agent = agent();
    let (host, changes) = connect(&agent);
    let usual: Vec<&str> =
        host.schema().iter().filter(|table| !table.attrs.demand).map(|table| table.name.as_ref()).collect();
    let states = |host: &dyn Host| {
        let latest = host.latest();
        let of = |name: &&str| latest.get(name).map(|state| (state.status.state, state.now.is_some()));
        usual.iter().map(|name| (*name, of(name))).collect::<Vec<_>>()
    };
    let (sender, samples) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let told = move || {
        let _ = sender.lock().unwrap().send(());
    };
    let roots = netglance::source::file::Roots::live();
    let board = Arc::clone(&roots.alarm);
    let rung = Arc::clone(&board);
    let told = Box::new(move || {
        told();
        rung.ring();
    });
    let options = netglance::store::local::Options {
        roots,
        settings: netglance::collect::settings::Settings::default(),
        tick: netglance::collect::EVERY_SECOND,
        actions: netglance::model::Allowed::Nothing,
    };
    let own = netglance::store::local::LocalHost::start(options, told).unwrap();
    // who looks at its rules, as the agent and a dashboard do
    let _watcher = Watcher::start(watch::Options {
        host: Arc::clone(&own) as Arc<dyn Host>,
        board,
        rules: Rules::new(&netglance::alert::settings::Settings::default(), Thresholds::default()).0,
        dispatch: Dispatch::new(Vec::new(), Arc::default(), String::new()),
        hear: Box::new(|_| {}),
        is_kept: false,
    })
    .unwrap();
    changed(&samples, "own samples", || states(&*own).iter().all(|(_, state)| state.is_some()));
    changed(&changes, "the same of the agent", || states(&*host) == states(&*own));
    assert!(filtered(agent.part(SAMPLER)) > 4);
}

#[test]
fn the_front_can_do_nothing_but_serve() {
    let agent = agent();
    let (host, changes) = connect(&agent);
    changed(&changes, "samples", || rows(&host, "load").is_some());
    let front = agent.part(FRONT);
    assert_eq!(field(front, "Name"), "netglance-front");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(capabilities(front, set), 0, "{set}");
    }
    assert_eq!(field(front, "NoNewPrivs"), "1");
    assert_eq!(field(front, "Seccomp"), "2");
    assert!(filtered(front) >= 2);
    let limits = std::fs::read_to_string(format!("/proc/{front}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn root_the_front_is_another_user_without_groups() {
    let agent = agent();
    let (host, changes) = connect(&agent);
    changed(&changes, "samples", || rows(&host, "load").is_some());
    let front = agent.part(FRONT);
    for set in ["Uid", "Gid"] {
        let ids: Vec<u32> = field(front, set).split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0] && *id != 0), "{ids:?}");
    }
    assert_eq!(field(front, "Groups").trim(), "");
    assert_eq!(capabilities(front, "CapBnd"), 0);
    // nobody of its own user may look into it: its files are root's
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{front}/environ")).unwrap());
    assert_eq!(owner, 0);
}

#[test]
fn root_the_sampler_keeps_what_its_collectors_need() {
    const SYS_PTRACE: u64 = 1 << 19;
    const DAC_READ_SEARCH: u64 = 1 << 2;
    const NET_ADMIN: u64 = 1 << 12;
    let several = Capabilities::SYS_PTRACE.union(Capabilities::NET_ADMIN);
    let off = |entry: &&Entry| format!("[collect.{}]\nenabled = false\n", entry.name);
    let few: Vec<_> = COLLECTORS.iter().filter(|entry| entry.needs.intersects(several)).map(off).collect();
    for (text, kept) in [(String::new(), SYS_PTRACE | DAC_READ_SEARCH | NET_ADMIN), (few.concat(), DAC_READ_SEARCH)] {
        let agent = Agent::start("127.0.0.1:0", &text);
        let (host, changes) = connect(&agent);
        changed(&changes, "samples", || rows(&host, "load").is_some());
        let sampler = agent.part(SAMPLER);
        assert_eq!(field(sampler, "Name"), "netglance-sampl");
        assert_eq!(field(sampler, "NoNewPrivs"), "1");
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(capabilities(sampler, set), kept, "{set}");
        }
        let supervisor = agent.pid();
        assert_eq!((field(supervisor, "Name").as_str(), field(supervisor, "NoNewPrivs").as_str()), ("netglance", "1"));
        // neither to load modules nor to read and write files of anybody
        assert_eq!(capabilities(supervisor, "CapPrm") & (1 << 16 | 1 << 1), 0);
    }
}

#[test]
fn nothing_is_left_of_an_agent_that_was_killed() {
    let agent = agent();
    let (host, changes) = connect(&agent);
    changed(&changes, "samples", || rows(&host, "load").is_some());
    let parts = [agent.part(SAMPLER), agent.part(FRONT)];
    // one that does not listen ends as well
    signal(parts[0], libc::SIGSTOP);
    drop(agent);
    until("no part", || parts.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}

#[test]
fn an_agent_that_is_not_there_is_told_in_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_netglance")).args(["connect", "unix:/nonexistent"]).output().unwrap();
    // without a terminal that is said first
    assert_eq!(output.status.code(), Some(2));
    let host = RemoteHost::connect(Target::Unix("/nonexistent".into()), Access::default(), Box::new(|| {}));
    let told = host.err().unwrap().to_string();
    assert!(told.contains("/nonexistent") && told.contains("No such file"), "{told}");
}

#[test]
fn what_is_no_agent_is_told_as_such() {
    for answer in [&b""[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target: Target = listener.local_addr().unwrap().to_string().parse().unwrap();
        // ends with the tests: a client may come again
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                stream.write_all(answer).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                // what is left unread would end the connection as an error
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let told = RemoteHost::connect(target, Access::default(), Box::new(|| {})).err().unwrap().to_string();
        assert!(told.contains("is no agent"), "{told}");
    }
}
