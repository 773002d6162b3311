//! Do many hosts become rows, whatever state they are in?
//!
//! Fifty agents that speak the real protocol on addresses of the loopback, and hosts that are not there, do not answer, have
//! no name, or stand in the list twice. As root two hundred in a network of their own, where some are never heard of.

#![cfg(test)]

mod simulated;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netglance::browse::{self, Entry, Fleet, Options, position};
use netglance::client::Access;
use netglance::model::{Cell, Connection, Demand, Host as _, Key, Rows, TableState, Top};
use netglance::store::level::{Limit, Threshold, Thresholds};
use netglance::store::rate::{Mode, View};
use netglance::wire::proto;
use rustix::thread::UnshareFlags;
use simulated::Simulated;
use support::pty::{Session, netglance};
use support::space::{ip, within};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Agents that live.
const LIVE: usize = 50;

struct Agents {
    simulated: Simulated,
    addresses: Vec<SocketAddr>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Agents {
    fn start(count: usize) -> Self {
        Self::of(Simulated::new(), count)
    }

    fn of(simulated: Simulated, count: usize) -> Self {
        let address = |n: usize| SocketAddr::from((Ipv4Addr::new(127, 1, (n / 200) as u8, (n % 200) as u8 + 1), 0));
        Self::at(simulated, (0..count).map(address))
    }

    fn at(simulated: Simulated, addresses: impl Iterator<Item = SocketAddr>) -> Self {
        let listeners: Vec<_> = addresses.map(|address| std::net::TcpListener::bind(address).unwrap()).collect();
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let (serving, (stop, stopped)) = (simulated.clone(), tokio::sync::oneshot::channel());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for listener in listeners {
                    listener.set_nonblocking(true).unwrap();
                    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                    tokio::spawn(serving.clone().serve(listener));
                }
                let _ = stopped.await;
            });
        });
        Self { simulated, addresses, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().unwrap().join();
    }
}

fn entry(address: &impl ToString) -> Entry {
    Entry { interval: Duration::from_millis(200), ..Entry::of(address.to_string().parse().unwrap()) }
}

fn fleet(hosts: Vec<Entry>, levels: &[Threshold]) -> (Arc<Fleet>, Receiver<()>) {
    let (sender, changes) = mpsc::channel();
    let sender = Mutex::new(sender);
    let told = Arc::new(move || {
        let _ = sender.lock().unwrap().send(());
    });
    let levels = Arc::new(Thresholds::new(levels, browse::tables().iter().copied()).unwrap());
    (Fleet::start(Options { hosts: hosts.into(), access: Access::default(), levels }, told).unwrap(), changes)
}

fn rows(fleet: &Fleet) -> Arc<dyn Rows> {
    Arc::clone(&fleet.latest().get("fleet").unwrap().now.as_ref().unwrap().rows)
}

/// Texts of a column by host.
fn words(fleet: &Fleet, column: &str) -> HashMap<String, String> {
    let rows = rows(fleet);
    let at = rows.table().position(column).unwrap();
    let text = |row, column| rows.cell(row, column).text().unwrap_or_default().to_owned();
    (0..rows.len()).map(|row| (text(row, 0), text(row, at))).collect()
}

fn nft(rules: &str) {
    let output = Command::new("nft").arg(rules).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{rules}: {}", String::from_utf8_lossy(&output.stderr));
}

fn changed(changes: &Receiver<()>, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        let left = PATIENCE.saturating_sub(start.elapsed());
        assert!(changes.recv_timeout(left).is_ok(), "waited in vain for {what}");
    }
}

#[test]
fn fifty_agents_are_rows_over_one_connection_each() {
    let agents = Agents::start(LIVE);
    let limit = |text: &str| Some(Limit::Text(text.to_owned()));
    let careful =
        Threshold { table: "load".into(), column: "per_cpu".into(), careful: limit("10%"), ..Threshold::default() };
    let levels = browse::thresholds(&vec![careful], browse::tables());
    let (fleet, changes) = fleet(agents.addresses.iter().map(entry).collect(), &levels);
    assert_eq!(rows(&fleet).len(), LIVE, "every host is there before any has answered");
    changed(&changes, "all of them", || words(&fleet, "state").values().all(|state| state == "live"));
    let load = position("load", "per_cpu").unwrap();
    // what the rate is of is unknown for a moment when the frames begin anew
    let mut told = HashSet::new();
    for at in [load, position("cpu", "used").unwrap(), position("link", "rx_bytes").unwrap()] {
        changed(&changes, &browse::tables()[0].columns[at].name, || {
            let rows = rows(&fleet);
            told.extend((0..LIVE).filter(|row| !rows.cell(*row, at).is_missing()).map(|row| (row, at)));
            (0..LIVE).all(|row| told.contains(&(row, at)))
        });
    }
    let rows_now = rows(&fleet);
    let careful = rows_now.table().position("careful").unwrap();
    assert!((0..LIVE).all(|row| rows_now.cell(row, careful).number() == Some(1.0)), "thresholds hold for hosts too");
    assert_eq!(agents.simulated.connections.load(Ordering::Relaxed), LIVE);

    // what nobody looks at is not asked for
    let wide = position("pressure", "full_avg10").unwrap();
    assert!((0..LIVE).all(|row| rows(&fleet).cell(row, wide).is_missing()));
    let column = "pressure_full_avg10".to_owned();
    fleet.demand(1, vec![Demand { columns: vec![column], ..Demand::table("fleet") }]);
    changed(&changes, "what somebody looks at", || !rows(&fleet).cell(LIVE - 1, wide).is_missing());
    assert_eq!(agents.simulated.connections.load(Ordering::Relaxed), LIVE);

    // a host is opened over the connection that there is
    let key = Key::from_cells([rows(&fleet).cell(7, 0)]);
    let host = fleet.behind("fleet", &key).unwrap().host;
    changed(&changes, "the host", || matches!(host.connection(), Connection::Live { .. }));
    changed(&changes, "its tables", || host.latest().get("load").is_some_and(|state| state.now.is_some()));
    assert_eq!(agents.simulated.connections.load(Ordering::Relaxed), LIVE);
    assert!(fleet.behind("fleet", &Key::default()).is_none());
}

#[test]
fn the_rows_of_all_hosts_are_one_table_of_the_first_of_each_or_of_all() {
    const HOSTS: usize = 5;
    let agents = Agents::start(HOSTS);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (fleet, changes) = fleet(agents.addresses.iter().map(entry).chain([entry(&gone)]).collect(), &[]);
    let ask = |all: Option<usize>| {
        let top = Top { filter: None, sort: vec![("cpu".to_owned(), true)], rows: 3, all };
        let columns = ["name", "cpu", "cpu_time"].map(str::to_owned).to_vec();
        fleet.demand(1, vec![Demand { columns, top: Some(top), ..Demand::table("process") }]);
    };
    ask(None);
    let state = || fleet.latest().get("process").cloned();
    let reason = || state().map(|state| state.status.reason.to_string()).unwrap_or_default();
    changed(&changes, "the rows of all", || reason() == "5 of 6 hosts: 1 not live, the first 3 of each");
    let known = || {
        let state = state().unwrap();
        View::new(state.now.as_ref().unwrap(), state.before.as_ref(), Mode::Rate)
    };
    let table = *browse::tables().iter().find(|table| table.name == "process").unwrap();
    let (by, time) = (browse::by(table).unwrap(), table.position("cpu_time").unwrap());
    assert_eq!(known().len(), 3 * HOSTS);
    // the agents play the same frames at other times, and time in them goes five times as fast as here
    changed(&changes, "all rates", || {
        let view = known();
        view.len() == 3 * HOSTS && (0..view.len()).all(|row| view.rate(row, time).is_some())
    });
    let mut rates: HashMap<Vec<u8>, Vec<f64>> = HashMap::new();
    let view = known();
    for row in (0..view.len()).filter(|row| view.rate(*row, time).is_some()) {
        let own = Key::from_cells(table.ids().filter(|id| *id != by).map(|id| view.raw().cell(row, id)));
        rates.entry(own.as_bytes().to_vec()).or_default().push(view.rate(row, time).unwrap());
    }
    assert!(rates.values().any(|rates| rates.len() > 1), "hosts tell the same processes");
    for rates in rates.values() {
        assert!(rates.iter().all(|rate| (rate - rates[0]).abs() < 1e-6), "{rates:?}");
    }
    assert_eq!(agents.simulated.connections.load(Ordering::Relaxed), HOSTS, "over the connections that there are");
    let behind = fleet.behind("process", &view.key(4)).unwrap();
    assert!(
        behind.row.is_some_and(|(table, key)| table == "process" && view.key(4).as_bytes().starts_with(key.as_bytes()))
    );
    ask(Some(2));
    changed(&changes, "the first of all", || reason() == "5 of 6 hosts: 1 not live, the first 2");
    changed(&changes, "their rates", || {
        let view = known();
        view.len() == 2 && (0..view.len()).all(|row| view.rate(row, time).is_some())
    });
    drop(agents);
    changed(&changes, "the loss", || reason() == "0 of 6 hosts: 6 not live");
    assert_eq!(state().unwrap().now.unwrap().rows.len(), 0);
    fleet.demand(1, Vec::new());
    changed(&changes, "that nobody looks", || state().is_none());
}

#[test]
fn of_many_hosts_some_begin_to_tell_rows_at_once() {
    const HOSTS: usize = 200;
    const AT_ONCE: usize = 64;
    /// Whoever has said nothing for so long keeps no other from beginning.
    const SILENT: Duration = Duration::from_secs(4);
    let agents = Agents::start(HOSTS);
    let slow = |address| Entry { interval: Duration::from_secs(1), ..entry(address) };
    let (fleet, changes) = fleet(agents.addresses.iter().map(slow).collect(), &[]);
    let load = position("load", "per_cpu").unwrap();
    changed(&changes, "all of them", || (0..HOSTS).all(|row| !rows(&fleet).cell(row, load).is_missing()));
    let Simulated { held, waiting, most, .. } = &agents.simulated;
    most.store(0, Ordering::Relaxed);
    held.send_replace(true);
    let begun = Instant::now();
    fleet.demand(1, vec![Demand::table("process")]);
    changed(&changes, "those that begin", || waiting.load(Ordering::Relaxed) >= AT_ONCE);
    held.send_replace(false);
    let all = |state: &TableState| state.status.reason.starts_with(&format!("{HOSTS} of {HOSTS} hosts: the first"));
    changed(&changes, "the rows of all", || fleet.latest().get("process").is_some_and(all));
    let turns = 1 + (begun.elapsed().as_secs() / SILENT.as_secs()) as usize;
    let most = most.load(Ordering::Relaxed);
    assert!((AT_ONCE..=AT_ONCE * turns).contains(&most), "{most} of {HOSTS}");
}

#[test]
fn hosts_that_cannot_be_watched_stay_in_the_list_with_the_reason() {
    let agents = Agents::start(1);
    let address = agents.addresses[0];
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let named = |name: &str, entry: Entry| Entry { name: name.into(), ..entry };
    let hosts = vec![
        named("live", entry(&address)),
        named("again", entry(&address)),
        named("gone", entry(&gone)),
        named("silent", entry(&silent.local_addr().unwrap())),
        named("nameless", entry(&"no-such-host.invalid")),
    ];
    let (fleet, changes) = fleet(hosts, &[]);
    let state = |host: &str| words(&fleet, "state")[host].clone();
    changed(&changes, "the live one", || state("live") == "live");
    assert_eq!(state("again"), "duplicate");
    for (host, why) in [("gone", "refused"), ("silent", "does not answer"), ("nameless", "")] {
        changed(&changes, host, || state(host) == "unreachable");
        let told = words(&fleet, "reason")[host].clone();
        assert!(!told.is_empty() && told.contains(why), "{host}: {told}");
    }
    assert_eq!(rows(&fleet).len(), 5);
    drop(agents);
    changed(&changes, "the loss", || state("live") == "unreachable");
    let rows = rows(&fleet);
    let load = position("load", "per_cpu").unwrap();
    let live = (0..rows.len()).find(|row| rows.cell(*row, 0).text() == Some("live")).unwrap();
    assert!(!rows.cell(live, load).is_missing(), "what was known stays");
}

#[test]
fn hosts_that_stay_on_a_list_keep_their_connections_when_it_changes() {
    let agents = Agents::start(3);
    let named = |name: &str, n: usize| Entry { name: name.into(), ..entry(&agents.addresses[n]) };
    let (fleet, changes) = fleet(vec![named("a", 0), named("b", 1)], &[]);
    changed(&changes, "both", || words(&fleet, "state").values().all(|state| state == "live"));
    let since = words(&fleet, "since")["b"].clone();
    let opened = |name: &str| fleet.behind("fleet", &Key::from_cells([Cell::Text(name)])).unwrap().host;
    let (gone, stays) = (opened("a"), opened("b"));
    changed(&changes, "their dashboards", || {
        [&gone, &stays].iter().all(|host| matches!(host.connection(), Connection::Live { .. }))
    });
    let streams = agents.simulated.watched.load(Ordering::Relaxed);

    let group = Entry { groups: vec!["new".into()], ..named("b", 1) };
    fleet.reload(vec![named("c", 2), group, named("again", 2)].into());
    changed(&changes, "the new list", || words(&fleet, "state").get("c").is_some_and(|state| state == "live"));
    let states = words(&fleet, "state");
    assert_eq!((states.len(), states["b"].as_str(), states["again"].as_str()), (3, "live", "duplicate"));
    assert_eq!((words(&fleet, "since")["b"].clone(), words(&fleet, "groups")["b"].as_str()), (since, "new"));
    for host in [&gone, &stays] {
        assert!(matches!(host.connection(), Connection::Live { .. }), "whoever looks at a host keeps it");
    }
    // what it tells has come to be: those that stayed would have been asked by now
    let load = position("load", "per_cpu").unwrap();
    changed(&changes, "what the new one tells", || !rows(&fleet).cell(0, load).is_missing());
    assert_eq!(agents.simulated.watched.load(Ordering::Relaxed), streams + 1, "only the new one was asked");
    drop(gone);
    changed(&changes, "the end of its connection", || agents.simulated.connections.load(Ordering::Relaxed) == 2);
}

#[test]
fn a_list_is_followed_while_it_is_looked_at() {
    let agents = Agents::start(2);
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
    let listed = |name: &str, n: usize| format!("[[host]]\nname = '{name}'\naddress = '{}'\n", agents.addresses[n]);
    write("netglance.toml", String::new());
    write("hosts.toml", listed("one-of-them", 0));
    let mut command = netglance(&["browse", "--config"]);
    command.arg(dir.path().join("netglance.toml")).env("XDG_STATE_HOME", dir.path());
    let mut session = Session::spawn(120, 30, command);
    let is_live = |screen: &str, name: &str| screen.lines().any(|line| line.contains(name) && line.contains("live"));
    session.wait_for("the first", |screen| is_live(screen, "one-of-them"));
    std::fs::create_dir(dir.path().join("hosts.d")).unwrap();
    write("hosts.d/more.toml", "file_sd = ['sd.yml']\n".to_owned());
    session.wait_for("what is wrong", |screen| screen.contains("old list of hosts kept") && screen.contains("sd.yml"));
    write("hosts.d/sd.yml", format!("- targets: ['{}']\n", agents.addresses[1]));
    let second = agents.addresses[1].to_string();
    session.wait_for("the second", |screen| is_live(screen, &second) && is_live(screen, "one-of-them"));
    std::fs::remove_file(dir.path().join("hosts.toml")).unwrap();
    session.wait_for("the end of the first", |screen| is_live(screen, &second) && !screen.contains("one-of-them"));
    session.send("q");
    assert_eq!(session.end(), 0);
}

#[test]
fn agents_of_a_version_that_makes_no_sense_say_so() {
    let nonsense = proto::Table { name: "../".to_owned(), ..proto::Table::default() };
    let schema = proto::Schema { tables: vec![nonsense] };
    let simulated = Simulated::new();
    for (version, state) in [("99.0.0", "version"), ("0.0.1", "version"), (env!("CARGO_PKG_VERSION"), "unreachable")] {
        let mut strange = simulated.clone();
        (strange.version, strange.schema) = (version, Some(schema.clone()));
        let agents = Agents::of(strange, 1);
        let (fleet, changes) = fleet(vec![entry(&agents.addresses[0])], &[]);
        changed(&changes, version, || words(&fleet, "state").values().all(|now| now == state));
        assert!(words(&fleet, "reason").values().all(|reason| reason.contains(version)));
    }
}

/// Instants of a column by host, in seconds, where there is one.
fn instants(fleet: &Fleet, column: &str) -> HashMap<String, f64> {
    let rows = rows(fleet);
    let at = rows.table().position(column).unwrap();
    let instant = |row: usize| match rows.cell(row, at) {
        Cell::Timestamp(time) => Some((rows.cell(row, 0).text()?.to_owned(), time.seconds())),
        _ => None,
    };
    (0..rows.len()).filter_map(instant).collect()
}

/// Where the agents of a network of their own listen: nobody comes from there.
const PORT: u16 = 7001;

/// Own ends of the connections to each address, begun or standing, in the network of this thread.
fn connected() -> HashMap<SocketAddr, HashSet<String>> {
    let text = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let mut connected = HashMap::<_, HashSet<_>>::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields[2].split_once(':').unwrap();
        let address = Ipv4Addr::from(u32::from_str_radix(address, 16).unwrap().to_le_bytes());
        let place = SocketAddr::from((address, u16::from_str_radix(port, 16).unwrap()));
        // the other end of each is here too
        if place.port() == PORT && ["01", "02"].contains(&fields[3]) {
            // a line may be read twice while others come and go
            connected.entry(place).or_default().insert(fields[1].to_owned());
        }
    }
    connected
}

#[test]
fn root_dead_and_restless_hosts_keep_nobody_from_the_others() {
    const LIVING: u8 = 178;
    /// Longest time between two samples.
    const STALL: Duration = Duration::from_secs(10);
    let at = |range, n| SocketAddr::from(([127, range, 0, n], PORT));
    let restless = [at(3, 1), at(3, 2)];
    within(UnshareFlags::NEWNET, || {
        ip("link set lo up\n");
        nft("add table ip hole; add chain ip hole in { type filter hook input priority 0; }; \
             add rule ip hole in ip daddr 127.2.0.0/16 drop");
        let agents = Agents::at(Simulated::new(), (1..=LIVING).map(|n| at(1, n)));
        let dead: Vec<String> = (1..=20).map(|n| at(2, n).to_string()).collect();
        let hosts = agents.addresses.iter().map(entry).chain(dead.iter().map(entry)).chain(restless.iter().map(entry));
        let (fleet, changes) = fleet(hosts.collect(), &[]);
        let (mut come, mut tried) = (None, HashMap::<String, Vec<f64>>::new());
        let begun = Instant::now();
        loop {
            assert!(changes.recv_timeout(STALL).is_ok(), "the screen stood still");
            assert!(begun.elapsed() < 2 * PATIENCE, "waited in vain");
            // they come and go with the samples
            come = if come.is_some() { None } else { Some(Agents::at(agents.simulated.clone(), restless.into_iter())) };
            let connected = connected();
            assert!(connected.values().all(|ends| ends.len() == 1), "two connections to one host: {connected:?}");
            for (host, at) in instants(&fleet, "retry").into_iter().filter(|(host, _)| dead.contains(host)) {
                let tried = tried.entry(host).or_default();
                if tried.last() != Some(&at) {
                    tried.push(at);
                }
            }
            let states = words(&fleet, "state");
            let live = agents.addresses.iter().filter(|address| states[&address.to_string()] == "live").count();
            let all = agents.addresses.iter().all(|address| connected.contains_key(address));
            if live == usize::from(LIVING)
                && all
                && tried.len() == dead.len()
                && tried.values().all(|tried| tried.len() > 1)
            {
                break;
            }
        }
        drop(come);
        let states = words(&fleet, "state");
        assert!(dead.iter().all(|host| states[host] == "unreachable"), "{states:?}");
        // an attempt takes 4 s; the pause before it is shorter than a second, the one after it is not
        for (host, tried) in tried {
            assert!(tried[1] - tried[0] >= 5.0, "{host}: {tried:?}");
        }
    });
}
