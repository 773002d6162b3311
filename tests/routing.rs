//! Is what happens to routers and to their daemons seen, once, soon, and without harm to anything else?

#![cfg(test)]

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use netglance::collect::routing::{
    AdjacencyChangeRow, AdjacencyRow, BfdPeerRow, BgpPeerRow, ENTRY, IsisAdjacencyRow, OspfInterfaceRow,
    OspfNeighborRow, RoutingDaemonRow,
};
use netglance::collect::{Batch, Collect, Cx, Wants};
use netglance::model::{Cell, Departed, Mono, Owners, Rows, Table, Timestamp, Value};
use netglance::source::file::Roots;
use netglance::source::netns::Selection;
use rustix::thread::UnshareFlags;

use served::Agent;
use support::held;
use support::process::timed;
use support::pty::{Session, netglance};
use support::ring::{Ring, configure, run_in, space, vtysh_json, wait_until};
use support::space::within;

/// A collector that is asked as the scheduler asks it.
struct Watch {
    collector: Box<dyn Collect>,
    roots: Roots,
    batch: Batch,
}

impl Watch {
    fn new() -> Self {
        let mut watch = Self { collector: (ENTRY.make)(), roots: Roots::live(), batch: Batch::default() };
        watch.look();
        watch
    }

    /// Takes a sample, for which there is a second.
    fn look(&mut self) {
        let (wants, owners) = (Wants::default(), Owners::default());
        let mut batch = Batch::default();
        let taken = timed(&[], || {
            let cx =
                Cx { roots: &self.roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
            self.collector.collect(&cx, &mut batch).unwrap();
        });
        assert!(taken < Duration::from_millis(1500), "{taken:?}");
        self.batch = batch;
    }

    fn rows(&self, table: &Table) -> Arc<dyn Rows> {
        Arc::clone(self.batch.rows(table).unwrap())
    }

    /// A cell of each row where columns have these words.
    fn cells(&self, table: &Table, with: &[(&str, &str)], column: &str) -> Vec<String> {
        let rows = self.rows(table);
        let words = |row: usize, column: &str| match rows.cell(row, table.position(column).unwrap()) {
            Cell::Text(text) | Cell::Label(text) => text.to_owned(),
            Cell::Ip(address) => address.to_string(),
            Cell::U64(number) => number.to_string(),
            Cell::Bool(yes) => yes.to_string(),
            Cell::Timestamp(at) => at.seconds().to_string(),
            Cell::Missing => String::new(),
            other => format!("{other:?}"),
        };
        let is_it = |row: &usize| with.iter().all(|(column, value)| words(*row, column) == *value);
        (0..rows.len()).filter(is_it).map(|row| words(row, column)).collect()
    }

    /// The same of the only row.
    fn cell(&self, table: &Table, with: &[(&str, &str)], column: &str) -> String {
        let mut found = self.cells(table, with, column);
        assert_eq!(found.len(), 1, "{with:?} of {}", table.name);
        found.remove(0)
    }

    /// What the router in this namespace sees of the other one.
    fn neighbor(&self, column: &str) -> String {
        self.cell(OspfNeighborRow::TABLE, &[("instance", "host/ospfd"), ("router_id", "10.9.9.2")], column)
    }

    /// The same neighbor among all adjacencies.
    fn adjacency(&self, column: &str) -> String {
        let with = [("protocol", "OSPFv2"), ("instance", "host/ospfd"), ("peer", "10.9.9.2")];
        self.cell(AdjacencyRow::TABLE, &with, column)
    }

    /// All that was written of it.
    fn log(&self) -> Vec<Line> {
        let with = [("protocol", "OSPFv2"), ("instance", "host/ospfd"), ("peer", "10.9.9.2")];
        let all = |column: &str| self.cells(AdjacencyChangeRow::TABLE, &with, column);
        let states = all("before").into_iter().zip(all("after")).zip(all("standing"));
        let times = all("time").into_iter().zip(all("changes"));
        let line = |(((before, after), standing), (time, changes)): (((String, String), String), (String, String))| {
            Line { time: time.parse().unwrap(), before, after, standing, changes: changes.parse().unwrap() }
        };
        states.zip(times).map(line).collect()
    }

    /// What became of a daemon, one after the other, as it was written.
    fn turns(&self, name: &str) -> Vec<String> {
        self.cells(AdjacencyChangeRow::TABLE, &[("protocol", "daemon"), ("peer", name)], "after")
    }

    fn daemon(&self, name: &str, column: &str) -> String {
        self.cell(RoutingDaemonRow::TABLE, &[("name", name)], column)
    }

    /// Looks until something is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        wait_until(what, || {
            self.look();
            is_so(self)
        });
    }

    fn until_state(&mut self, state: &str) {
        self.until(state, |watch| watch.neighbor("state") == state);
    }

    /// Changes of state and flaps.
    fn counts(&self) -> (u64, u64) {
        (self.neighbor("changes").parse().unwrap(), self.neighbor("flaps").parse().unwrap())
    }
}

/// One line of the log of changes.
#[derive(Debug)]
struct Line {
    time: f64,
    before: String,
    after: String,
    standing: String,
    changes: u64,
}

/// Fails unless a log has one line that leads from the state Full to another, each line goes on where the one before ended, and
/// all were written in this time.
fn left_full_once(lines: &[Line], since: f64, what: &str) {
    assert_eq!(lines.iter().filter(|line| line.before == "Full").count(), 1, "{what}: {lines:?}");
    assert!(lines.first().is_some_and(|line| line.before == "Full"), "{what}: {lines:?}");
    assert!(lines.windows(2).all(|two| two[0].after == two[1].before), "{what}: {lines:?}");
    let now = Timestamp::now().seconds();
    assert!(lines.iter().all(|line| line.time >= since && line.time <= now), "{what}: {since} {lines:?}");
}

/// What the daemon of this namespace says of its neighbor on its only link.
fn said_by_vtysh() -> serde_json::Value {
    vtysh_json("host", "show ip ospf vrf all neighbor json")["default"]["neighbors"]["10.9.9.2"][0].clone()
}

/// The state of it.
fn state_of_vtysh() -> String {
    let found = said_by_vtysh();
    found["nbrState"].as_str().unwrap_or("Deleted/").split('/').next().unwrap().to_owned()
}

/// How often that has changed since the daemon knows it.
fn changes_of_vtysh() -> u64 {
    let found = vtysh_json("host", "show ip ospf vrf all neighbor detail json");
    found["default"]["neighbors"]["10.9.9.2"][0]["stateChangeCounter"].as_u64().unwrap()
}

/// Something that keeps the routers apart: its name, how it comes and how it goes, in the other router, and the state in which
/// its neighbor stays.
type Fault = (&'static str, fn(), fn(), &'static str);

fn in_one(command: &str) {
    run_in("one", &command.split(' ').collect::<Vec<_>>());
}

const FAULTS: [Fault; 7] = [
    (
        "nothing is heard",
        || {
            in_one("nft add table inet t");
            in_one("nft add chain inet t c { type filter hook output priority 0 ; }");
            in_one("nft add rule inet t c meta l4proto 89 drop");
        },
        || in_one("nft delete table inet t"),
        "Deleted",
    ),
    ("the link is down", || in_one("ip link set to1 down"), || in_one("ip link set to1 up"), "Deleted"),
    (
        "another area",
        || configure("one", &["interface to1", "no ip ospf area 0", "ip ospf area 7"]),
        || configure("one", &["interface to1", "no ip ospf area 7", "ip ospf area 0"]),
        "Deleted",
    ),
    (
        "another key",
        || configure("one", &["interface to1", "ip ospf authentication", "ip ospf authentication-key x"]),
        || configure("one", &["interface to1", "no ip ospf authentication", "no ip ospf authentication-key x"]),
        "Deleted",
    ),
    (
        "another key of MD5",
        || {
            let lines =
                ["interface to1", "ip ospf authentication message-digest", "ip ospf message-digest-key 1 md5 x"];
            configure("one", &lines);
        },
        || {
            configure("one", &["interface to1", "no ip ospf authentication", "no ip ospf message-digest-key 1"]);
        },
        "Deleted",
    ),
    (
        "a passive interface",
        || configure("one", &["interface to1", "ip ospf passive"]),
        || configure("one", &["interface to1", "no ip ospf passive"]),
        "Deleted",
    ),
    (
        "another MTU",
        || {
            in_one("ip link set to1 down");
            // what is larger than its own the host ignores; with a smaller one it would go on to Exchange
            in_one("ip link set to1 mtu 1600");
            in_one("ip link set to1 up");
        },
        || {
            in_one("ip link set to1 mtu 1500");
        },
        "ExStart",
    ),
];

#[test]
fn root_what_keeps_routers_apart_is_seen_with_its_state_and_counted_once() {
    within(UnshareFlags::NEWNET, || {
        let _ring = Ring::start(2);
        let mut watch = Watch::new();
        watch.until_state("Full");
        for (at, (fault, come, go, state)) in FAULTS.into_iter().enumerate() {
            let before = watch.counts();
            assert_eq!(before.1, at as u64, "flaps before {fault}");
            let (begin, written) = (Timestamp::now().seconds(), watch.log().len());
            come();
            wait_until(fault, || state_of_vtysh() == state);
            // seen by the second look after the daemon knows
            watch.look();
            watch.look();
            assert_eq!(watch.neighbor("state"), state, "{fault}");
            assert_eq!(watch.counts().1, before.1 + 1, "{fault}");
            let since: f64 = watch.neighbor("since").parse().unwrap();
            let age = Timestamp::now().seconds() - since;
            assert!((-0.1..20.0).contains(&age), "{fault}: {age}");
            let standing = if state == "Deleted" { "down" } else { "forming" };
            let told = ["state", "standing", "since"].map(|column| watch.adjacency(column));
            assert_eq!(told, [state.to_owned(), standing.to_owned(), watch.neighbor("since")], "{fault}");
            let log = watch.log();
            left_full_once(&log[written..], begin, fault);
            let last = log.last().unwrap();
            assert_eq!((&*last.after, &*last.standing), (state, standing), "{fault}: {log:?}");
            go();
            watch.until_state("Full");
            watch.look();
            let log = watch.log();
            left_full_once(&log[written..], begin, fault);
            let ends: Vec<usize> = (written..log.len()).filter(|at| log[*at].after == "Full").collect();
            assert_eq!(ends, [log.len() - 1], "{fault}: {log:?}");
            assert_eq!(watch.adjacency("standing"), "up", "{fault}");
            let after = watch.counts();
            assert_eq!(after.1, before.1 + 1, "{fault}");
            assert!(after.0 >= before.0 + 2, "{fault}: {before:?} {after:?}");
            assert_eq!(state_of_vtysh(), "Full");
        }
    });
}

#[test]
fn root_a_neighbor_that_is_not_heard_is_given_up_at_the_second_that_its_daemon_says() {
    within(UnshareFlags::NEWNET, || {
        let _ring = Ring::start(2);
        let mut watch = Watch::new();
        watch.until_state("Full");
        (FAULTS[0].1)();
        // two hellos are missing by then, so that there is none on its way any more
        let mut end = 0.0;
        wait_until("silence", || {
            let left = said_by_vtysh()["deadTimeMsecs"].as_f64().unwrap() / 1e3;
            end = Timestamp::now().seconds() + left;
            left < 2.0
        });
        watch.look();
        let expires: f64 = watch.neighbor("expires").parse().unwrap();
        assert!((expires - end).abs() < 1.0, "{expires} {end}");
        let (mut last, mut first) = (0.0, 0.0);
        wait_until("the end", || {
            let before = state_of_vtysh();
            let begin = Timestamp::now().seconds();
            watch.look();
            let (state, after) = (watch.neighbor("state"), state_of_vtysh());
            // between two that say the same there is no other
            assert!(before != after || state == before, "{before} {state} {after}");
            (last, first) = if state == "Full" { (begin, first) } else { (last, Timestamp::now().seconds()) };
            state != "Full"
        });
        let log = watch.log();
        let [line] = log.as_slice() else { panic!("{log:?}") };
        assert_eq!((&*line.before, &*line.after), ("Full", "Deleted"));
        assert!(last <= line.time && line.time <= first, "{last} {log:?} {first}");
        assert!(last - 0.5 <= end && end <= first + 0.5, "{last} {end} {first}");
    });
}

#[test]
fn root_who_is_designated_router_is_seen() {
    within(UnshareFlags::NEWNET, || {
        let _ring = Ring::start(2);
        let mut watch = Watch::new();
        watch.until_state("Full");
        let changes = |watch: &Watch| watch.log().iter().map(|line| line.changes).sum::<u64>();
        let (written, counted) = (changes(&watch), changes_of_vtysh());
        let link = &[("instance", "host/ospfd"), ("interface", "to2")];
        for (router, other) in [("one", "host"), ("host", "one")] {
            configure(
                router,
                &["interface to1", "ip ospf priority 0"]
                    .map(|line| if router == "host" { line.replace("to1", "to2") } else { line.to_owned() })
                    .each_ref()
                    .map(String::as_str),
            );
            let elected = if other == "host" { "10.9.9.1" } else { "10.9.9.2" };
            watch.until("an election", |watch| watch.cell(OspfInterfaceRow::TABLE, link, "dr") == elected);
            let role = if other == "host" { "DROther" } else { "DR" };
            watch.until("a role", |watch| watch.neighbor("role") == role);
            configure(
                router,
                &[&format!("interface to{}", if router == "host" { 2 } else { 1 }), "no ip ospf priority"],
            );
        }
        // what an election changes of the state itself is written, and nothing more
        watch.until("the same", |watch| {
            watch.neighbor("state") == "Full" && changes(watch) - written == changes_of_vtysh() - counted
        });
        // who was Full before somebody looked may stay so
        assert!(watch.log().last().is_none_or(|line| line.after == "Full"), "{:?}", watch.log());
    });
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn root_a_daemon_that_is_stopped_killed_or_started_anew_costs_the_others_nothing() {
    within(UnshareFlags::NEWNET, || {
        let mut ring = Ring::start(2);
        let mut watch = Watch::new();
        watch.until_state("Full");
        let (written, turned) = (watch.log().len(), watch.turns("host/ospfd").len());
        signal(ring.pid("host/ospfd"), rustix::process::Signal::STOP);
        watch.look();
        assert_eq!(watch.daemon("host/ospfd", "state"), "up", "who is late once is late");
        assert!(!watch.neighbor("stale").is_empty());
        watch.look();
        assert_eq!(watch.daemon("host/ospfd", "state"), "silent");
        assert!(
            watch.daemon("host/ospfd", "reason").ends_with("it says nothing"),
            "{}",
            watch.daemon("host/ospfd", "reason")
        );
        let (stale, since) = (watch.neighbor("stale"), watch.daemon("host/ospfd", "since"));
        assert_eq!(watch.neighbor("state"), "Full");
        let ahead = since.parse::<f64>().unwrap() - stale.parse::<f64>().unwrap();
        assert!((0.0..10.0).contains(&ahead), "what was told last was told before: {stale} {since}");
        for name in ["host/ospf6d", "one/ospfd", "one/ospf6d"] {
            assert_eq!(watch.daemon(name, "state"), "up");
        }
        // as often as there is room for in its queue, and more
        for _ in 0..8 {
            watch.look();
        }
        assert_eq!(watch.daemon("host/ospfd", "state"), "silent");
        let told = ["state", "standing", "stale"].map(|column| watch.adjacency(column));
        assert_eq!(told, ["Full", "up", &*stale]);
        assert_eq!(watch.log().len(), written, "silence is no change: {:?}", watch.log());
        assert_eq!(watch.turns("host/ospfd")[turned..], ["silent"], "once");
        signal(ring.pid("host/ospfd"), rustix::process::Signal::CONT);
        watch.look();
        watch.look();
        assert_eq!((watch.daemon("host/ospfd", "state"), watch.neighbor("stale")), ("up".to_owned(), String::new()));
        watch.until_state("Full");
        let (flaps, turns) = (watch.counts().1, watch.turns("host/ospfd"));
        assert_eq!(turns.last().map(String::as_str), Some("up"));
        let (begin, written) = (Timestamp::now().seconds(), watch.log().len());
        ring.kill("host/ospfd");
        watch.look();
        assert_eq!((watch.adjacency("state"), watch.log().len()), ("Full".to_owned(), written));
        assert_eq!(
            (watch.daemon("host/ospfd", "state"), watch.neighbor("state")),
            ("down".to_owned(), "Full".to_owned())
        );
        assert!(!watch.daemon("host/ospfd", "reason").is_empty() && !watch.neighbor("stale").is_empty());
        // what it told is no younger for that, however long it is away
        let stale = watch.neighbor("stale");
        watch.look();
        assert_eq!(watch.neighbor("stale"), stale);
        assert_eq!(watch.turns("host/ospfd")[turns.len()..], ["down"], "once");
        comes_anew(&mut ring, &mut watch, flaps);
        assert_eq!(watch.turns("host/ospfd")[turns.len()..][..2], ["down", "up"]);
        let log = watch.log();
        left_full_once(&log[written..], begin, "a new daemon");
        assert_eq!(log[written..].iter().filter(|line| line.after == "Full").count(), 1, "{log:?}");
    });
}

#[test]
fn root_what_a_daemon_told_that_is_gone_is_forgotten_when_its_time_is_over() {
    within(UnshareFlags::NEWNET, || {
        let mut ring = Ring::start(2);
        let mut watch = Watch::new();
        let configure = |watch: &Watch, text: &str| watch.roots.routing.configure(toml::from_str(text).unwrap());
        configure(&watch, "expect = ['10.0.12.2']");
        watch.until_state("Full");
        let written = watch.log().len();
        ring.kill("host/ospfd");
        watch.until("what is stale", |watch| !watch.neighbor("stale").is_empty());
        assert_eq!(watch.neighbor("state"), "Full", "nobody tells anything else");
        // its socket is there, as that of any daemon that was killed
        configure(&watch, "expect = ['10.0.12.2']\nkeep = '1s'");
        let own = [("instance", "host/ospfd")];
        watch.until("an end", |watch| watch.neighbor("state") == "Deleted");
        assert_eq!(watch.cells(OspfNeighborRow::TABLE, &own, "expected"), ["true"], "who is expected is missed");
        assert_eq!(watch.cells(OspfInterfaceRow::TABLE, &own, "state"), [""; 0]);
        assert_eq!(watch.daemon("host/ospfd", "state"), "down");
        let log = watch.log();
        assert_eq!(log.len(), written + 1, "it is told once: {log:?}");
        assert_eq!(log.last().map(|line| (&*line.before, &*line.after)), Some(("Full", "Deleted")));
        assert_eq!(watch.turns("host/ospfd").last().map(String::as_str), Some("down"));
        ring.daemon("host", "ospfd");
        watch.until_state("Full");
        let log = watch.log();
        let count = |is: fn(&Line) -> bool| log[written..].iter().filter(|line| is(line)).count();
        let counts = [count(|line| line.before == "Full"), count(|line| line.after == "Full")];
        assert_eq!(counts, [1, 1], "it comes once as well: {log:?}");
    });
}

/// Starts the daemon that was killed, and looks whether that is seen.
fn comes_anew(ring: &mut Ring, watch: &mut Watch, flaps: u64) {
    ring.daemon("host", "ospfd");
    watch.look();
    watch.look();
    assert_eq!((watch.daemon("host/ospfd", "state"), watch.neighbor("stale")), ("up".to_owned(), String::new()));
    watch.until_state("Full");
    assert_eq!(watch.counts().1, flaps + 1);
}

/// A daemon beside those of OSPF, and its neighbor on the link between the two.
struct Beside {
    table: &'static Table,
    protocol: &'static str,
    daemon: &'static str,
    /// What the first router is told.
    text: &'static str,
    /// The state of those who speak with each other.
    up: &'static str,
    /// How the neighbor is taken away, and how it comes back.
    away: [&'static str; 2],
    back: [&'static str; 2],
}

const BESIDE: [Beside; 3] = [
    Beside {
        table: BgpPeerRow::TABLE,
        protocol: "BGP",
        daemon: "bgpd",
        text: "router bgp 1\n bgp router-id 10.9.9.1\n no bgp ebgp-requires-policy\n neighbor 10.0.12.2 remote-as 2\nexit\n",
        up: "Established",
        away: ["router bgp 1", "no neighbor 10.0.12.2"],
        back: ["router bgp 1", "neighbor 10.0.12.2 remote-as 2"],
    },
    Beside {
        table: BfdPeerRow::TABLE,
        protocol: "BFD",
        daemon: "bfdd",
        text: "bfd\n peer 10.0.12.2\n exit\nexit\n",
        up: "up",
        away: ["bfd", "no peer 10.0.12.2"],
        back: ["bfd", "peer 10.0.12.2"],
    },
    Beside {
        table: IsisAdjacencyRow::TABLE,
        protocol: "IS-IS",
        daemon: "isisd",
        text: "interface to2\n ip router isis core\n isis hello-interval 1\nexit\n\
            router isis core\n net 49.0001.0000.0000.0001.00\nexit\n",
        up: "Up",
        away: ["interface to2", "no ip router isis core"],
        back: ["interface to2", "ip router isis core"],
    },
];

impl Beside {
    fn start(&self, ring: &mut Ring) {
        const OTHER: [(&str, &str); 6] = [
            ("bgp 1", "bgp 2"),
            ("9.9.1", "9.9.2"),
            ("12.2", "12.1"),
            ("as 2", "as 1"),
            ("to2", "to1"),
            ("0001.00", "0002.00"),
        ];
        let other = OTHER.iter().fold(self.text.to_owned(), |text, (near, far)| text.replace(near, far));
        for (router, text) in [("host", self.text), ("one", &other)] {
            std::fs::write(space(router).join(format!("{}.conf", self.daemon)), text).unwrap();
            ring.daemon(router, self.daemon);
        }
    }

    fn cells(&self, watch: &Watch, table: &Table, column: &str) -> Vec<String> {
        let instance = format!("host/{}", self.daemon);
        let with = [("protocol", self.protocol), ("instance", &*instance)];
        watch.cells(table, if table.name == self.table.name { &with[1..] } else { &with }, column)
    }

    /// States of all its neighbors, those who have gone included.
    fn states(&self, watch: &Watch) -> Vec<String> {
        let own = self.cells(watch, self.table, "state");
        assert_eq!(own, self.cells(watch, AdjacencyRow::TABLE, "state"), "{}", self.daemon);
        own
    }

    /// The states that they have come to, one after the other.
    fn log(&self, watch: &Watch) -> Vec<String> {
        self.cells(watch, AdjacencyChangeRow::TABLE, "after")
    }

    fn until_up(&self, watch: &mut Watch) {
        watch.until(self.daemon, |watch| {
            let states = self.states(watch);
            !states.is_empty() && states.iter().all(|state| state == self.up)
        });
    }

    /// Says that it is known who has gone.
    fn acknowledge(&self, watch: &Watch) {
        let rows = watch.rows(self.table);
        for row in 0..rows.len() {
            let cell = |column: &str| rows.cell(row, self.table.position(column).unwrap()).to_value();
            if let (Value::Label(word), Value::Timestamp(since)) = (cell("state"), cell("since"))
                && word.as_str() == "Deleted"
            {
                let ids = self.table.ids().map(|id| rows.cell(row, id).to_value()).collect();
                watch.roots.routing.acknowledge(&Departed { table: (&*self.table.name).into(), ids, since });
            }
        }
    }

    fn goes_and_comes(&self, watch: &mut Watch) {
        let (begin, written, count) = (Timestamp::now().seconds(), self.log(watch).len(), self.states(watch).len());
        configure("host", &self.away);
        watch.until("it is gone", |watch| self.states(watch).iter().all(|state| state == "Deleted"));
        assert_eq!(self.states(watch).len(), count, "{}", self.daemon);
        for since in self.cells(watch, self.table, "since") {
            let since: f64 = since.parse().unwrap();
            assert!(since >= begin && since <= Timestamp::now().seconds(), "{begin} {since}");
        }
        watch.look();
        let gone = self.log(watch).split_off(written);
        assert_eq!(gone.iter().filter(|after| *after == "Deleted").count(), count, "once: {gone:?}");
        // who knows it sees it no more, and nothing is written of that
        self.acknowledge(watch);
        watch.look();
        assert_eq!((self.states(watch).len(), self.log(watch).len()), (0, written + gone.len()), "{}", self.daemon);
        configure("host", &self.back);
        self.until_up(watch);
    }
}

#[test]
fn root_what_is_taken_away_stays_until_that_is_acknowledged_or_it_comes_back() {
    within(UnshareFlags::NEWNET, || {
        let mut ring = Ring::start(2);
        for one in &BESIDE {
            one.start(&mut ring);
        }
        let mut watch = Watch::new();
        for one in &BESIDE {
            one.until_up(&mut watch);
        }
        for one in &BESIDE {
            one.goes_and_comes(&mut watch);
        }
    });
}

#[test]
fn root_another_choice_of_namespaces_is_no_change() {
    within(UnshareFlags::NEWNET, || {
        let _ring = Ring::start(2);
        let mut watch = Watch::new();
        let choose = |watch: &Watch, word: &str| watch.roots.choose(Selection::of(word).unwrap()).unwrap();
        choose(&watch, "all");
        watch.until_state("Full");
        let written = watch.rows(AdjacencyChangeRow::TABLE).len();
        let seen = |watch: &Watch| watch.rows(OspfNeighborRow::TABLE).len();
        assert_eq!(seen(&watch), 4);
        for (word, count) in [("host", 2), ("one", 2), ("all", 4)] {
            choose(&watch, word);
            watch.look();
            assert_eq!(seen(&watch), count, "{word}");
            assert_eq!(watch.rows(AdjacencyRow::TABLE).len(), count, "{word}");
            assert!(watch.rows(AdjacencyChangeRow::TABLE).len() <= written, "{word}: {:?}", watch.log());
        }
        assert_eq!(watch.rows(AdjacencyChangeRow::TABLE).len(), written, "{:?}", watch.log());
    });
}

#[test]
fn root_sockets_that_are_no_daemons_are_told_and_harm_nothing() {
    within(UnshareFlags::NEWNET, || {
        let _ring = Ring::start(2);
        let fake = |name: &str, answer: &'static [u8]| {
            let place = space(name);
            run_in("host", &["install", "-d", "-o", "frr", "-g", "frr", place.to_str().unwrap()]);
            let listener = UnixListener::bind(place.join("ospfd.vty")).unwrap();
            run_in("host", &["chown", "frr:frrvty", place.join("ospfd.vty").to_str().unwrap()]);
            std::thread::spawn(move || {
                for mut stream in listener.incoming().map_while(Result::ok) {
                    let _ = stream.write_all(answer);
                    // until the other end has enough
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            });
        };
        fake("silent", b"");
        fake("half", b"{\"default\":{\"neighbors\":");
        fake("other", b"Neighbor ID     Pri State\n\0\0\0\0");
        fake("stranger", b"{}\0\0\0\0");
        run_in("host", &["chown", "4711", "/run/frr/stranger/ospfd.vty"]);
        let mut watch = Watch::new();
        for _ in 0..4 {
            watch.look();
            for name in ["host/ospfd", "host/ospf6d", "one/ospfd", "one/ospf6d"] {
                assert_eq!(watch.daemon(name, "state"), "up");
            }
        }
        for (name, state, reason) in [
            ("silent/ospfd", "silent", "it says nothing"),
            ("half/ospfd", "silent", "it stops in the middle"),
            ("stranger/ospfd", "untrusted", "it belongs to user 4711"),
        ] {
            let told = (watch.daemon(name, "state"), watch.daemon(name, "reason"));
            assert!(told.0 == state && told.1.ends_with(reason), "{told:?}");
        }
        assert_ne!(watch.daemon("other/ospfd", "state"), "up");
        watch.until_state("Full");
    });
}

#[test]
fn root_an_agent_without_capabilities_for_it_asks_daemons_as_one_of_their_groups() {
    within(UnshareFlags::NEWNET, || {
        run_in("host", &["ip", "link", "set", "lo", "up"]);
        let _ring = Ring::start(2);
        let agent = Agent::start("127.0.0.1:0", "\n[routing]\nexpect = [\"10.9.9.2\", \"10.9.9.7%to7\"]\n");
        let socket = format!("unix:{}", agent.socket().display());
        let show = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
            let args =
                ["show", "ospf_neighbor", "--format", "json", "--where", "version == 2 or state == \"Down\"", "--host"];
            let output = command.args(args).arg(&socket).stdin(Stdio::null()).output().unwrap();
            let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let of = |row: &serde_json::Value| {
                let text = |column: &str| row[column].as_str().unwrap_or_default().to_owned();
                (text("netns"), text("router_id"), text("state"), row["expected"] == true)
            };
            let mut rows: Vec<_> = rows.iter().map(of).collect();
            rows.sort();
            rows
        };
        let row = |netns: &str, router: &str, state: &str, expected| {
            (netns.to_owned(), router.to_owned(), state.to_owned(), expected)
        };
        wait_until("rows", || !show().is_empty());
        let want = [
            row("", "10.9.9.7", "Down", true),
            row("host", "10.9.9.2", "Full", true),
            row("one", "10.9.9.1", "Full", false),
        ];
        wait_until("what is there", || show() == want);
        // of one namespace alone, when somebody names it
        for (word, want) in [("one", vec!["one/ospf6d", "one/ospfd"]), ("host", vec!["host/ospf6d", "host/ospfd"])] {
            let args = ["show", "routing_daemon", "--format", "json", "--sort", "name", "--netns", word];
            let output = served::command(&agent.dir).args(args).stdin(Stdio::null()).output().unwrap();
            let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
            let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
            assert_eq!(names, want, "{word}");
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", agent.part("netglance-sampl"))).unwrap();
        let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        let member = run_in("host", &["getent", "group", "frrvty"]);
        let number = member.split(':').nth(2).unwrap();
        assert!(groups.split_whitespace().any(|group| group == number), "{groups} lacks {number}");
    });
}

#[test]
fn root_databases_are_asked_for_over_the_connection_that_there_is() {
    within(UnshareFlags::NEWNET, || {
        let _ring = Ring::start(2);
        let mut session = Session::spawn(160, 50, netglance(&["--view", "cpu"]));
        session.wait_for_host();
        let before = held::settled(&mut session);
        for table in ["ospf_link", "ospf_lsa", "ospf_route"] {
            session.send(format!(":table {table}\r"));
            session.wait_for(table, |screen| screen.contains("ospfd"));
            held::wait(&mut session, table, before, false);
        }
    });
}
