//! Is what happens to Open vSwitch seen, soon, and without harm to anything else?

#![cfg(test)]

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use netglance::collect::ovs::{ENTRY, OvsBridgeRow, OvsPortRow};
use netglance::collect::{Batch, Collect, Cx, Skip, Wants};
use netglance::model::{Cell, Mono, Owners, Rows, State, Table, Timestamp};
use netglance::source::file::Roots;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::UnshareFlags;

use support::held;
use support::process::timed;
use support::pty::{Session, netglance};
use support::ring::{run_in, wait_until};
use support::space::within;
use support::vswitch::{PLACE, Vswitch, vsctl};

/// A collector that is asked as the scheduler asks it.
struct Watch {
    collector: Box<dyn Collect>,
    roots: Roots,
    batch: Batch,
}

impl Watch {
    fn new() -> Self {
        Self { collector: (ENTRY.make)(), roots: Roots::live(), batch: Batch::default() }
    }

    /// Takes a sample, for which there is a second.
    fn look(&mut self) -> Result<(), Skip> {
        let (wants, owners) = (Wants::default(), Owners::default());
        let mut batch = Batch::default();
        let mut told = Ok(());
        let taken = timed(&[], || {
            let cx =
                Cx { roots: &self.roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
            told = self.collector.collect(&cx, &mut batch);
        });
        assert!(taken < Duration::from_millis(1500), "{taken:?}");
        self.batch = batch;
        told
    }

    fn rows(&self, table: &Table) -> Arc<dyn Rows> {
        Arc::clone(self.batch.rows(table).unwrap())
    }

    /// State of the first bridge, why, and how many flows and interfaces it has.
    fn bridge(&mut self) -> (String, String, Option<u64>, usize) {
        self.look().unwrap();
        let rows = self.rows(OvsBridgeRow::TABLE);
        let cell = |column: &str| rows.cell(0, OvsBridgeRow::TABLE.position(column).unwrap());
        let text = |column: &str| match cell(column) {
            Cell::Text(text) | Cell::Label(text) => text.to_owned(),
            _ => String::new(),
        };
        let Cell::U64(flows) = cell("flows") else {
            return (text("state"), text("reason"), None, self.rows(OvsPortRow::TABLE).len());
        };
        (text("state"), text("reason"), Some(flows), self.rows(OvsPortRow::TABLE).len())
    }
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process as i32).unwrap(), signal).unwrap();
}

#[test]
fn root_a_switch_that_is_stopped_or_started_anew_is_told_and_found_again() {
    within(UnshareFlags::NEWNET, || {
        let mut switch = Vswitch::bare();
        vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        let mut watch = Watch::new();
        let up = ("up".to_owned(), String::new(), Some(1), 1);
        assert_eq!(watch.bridge(), up);
        vsctl("add-port br0 in0 -- set interface in0 type=internal");
        assert_eq!(watch.bridge().3, 2, "what the database tells is heard with the next look");
        for process in [switch.forwarder.pid(), switch.database.pid()] {
            signal(process, Signal::STOP);
            let (state, reason, ..) = watch.bridge();
            assert!(state == "up" && reason.ends_with("it says nothing"), "late once: {state} {reason}");
            let (state, reason, ..) = watch.bridge();
            assert!(state == "silent" && reason.ends_with("it says nothing"), "{state} {reason}");
            assert_eq!(watch.bridge().3, 2, "what was told stays");
            signal(process, Signal::CONT);
            wait_until("an answer", || watch.bridge().0 == "up");
        }
        // of two bridges one is waited for, and each has a reason of its own
        vsctl("add-br br1 -- set bridge br1 datapath_type=netdev");
        signal(switch.forwarder.pid(), Signal::STOP);
        watch.look().unwrap();
        watch.look().unwrap();
        let told = watch.rows(OvsBridgeRow::TABLE);
        let cell = |row: usize, column: &str| match told.cell(row, OvsBridgeRow::TABLE.position(column).unwrap()) {
            Cell::Text(text) | Cell::Label(text) => text.to_owned(),
            other => format!("{other:?}"),
        };
        let mut all: Vec<_> =
            (0..told.len()).map(|row| ["bridge", "state", "reason"].map(|name| cell(row, name))).collect();
        all.sort();
        let waited = "/run/openvswitch/br0.mgmt: it says nothing";
        assert!(all[0][1] == "silent" && all[0][2].ends_with(waited), "{all:?}");
        assert!(all[1][1] == "silent" && all[1][2].starts_with("ask br1: it is not waited for"), "{all:?}");
        signal(switch.forwarder.pid(), Signal::CONT);
        vsctl("del-br br1");
        wait_until("an answer", || watch.bridge().0 == "up");
        Vswitch::end(&mut switch.forwarder);
        assert_eq!((watch.bridge().0, watch.bridge().2), ("down".to_owned(), None));
        switch.forwarder = Vswitch::forward();
        wait_until("an answer", || watch.bridge().0 == "up" && watch.bridge().2 == Some(1));
        Vswitch::end(&mut switch.database);
        assert_eq!((watch.bridge().0, watch.bridge().3), ("down".to_owned(), 2));
        // one that ends by itself takes its socket with it
        std::fs::remove_file(Path::new(PLACE).join("db.sock")).unwrap();
        let (state, reason, _, ports) = watch.bridge();
        assert!(state == "down" && reason.contains("No such file"), "{state} {reason}");
        assert_eq!(ports, 2, "what was told stays");
        switch.database = Vswitch::serve();
        wait_until("an answer", || watch.bridge().0 == "up");
        wait_until("a row that comes after", || {
            vsctl("--no-wait -- --may-exist add-port br0 in1 -- set interface in1 type=internal");
            watch.bridge().3 == 3
        });
    });
}

#[test]
fn root_sockets_that_are_no_switch_are_told_and_harm_nothing() {
    within(UnshareFlags::NEWNET, || {
        let _switch = Vswitch::bare();
        vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        let database = Path::new(PLACE).join("db.sock");
        let management = Path::new(PLACE).join("br0.mgmt");
        run_in("host", &["chown", "4711", management.to_str().unwrap()]);
        let (state, reason, flows, _) = Watch::new().bridge();
        assert_eq!((state.as_str(), flows), ("untrusted", None));
        assert!(reason.ends_with("it belongs to user 4711"), "{reason}");
        run_in("host", &["chown", "4711", database.to_str().unwrap()]);
        let refused = Watch::new().look().unwrap_err().status();
        assert!(refused.state == State::Denied && refused.reason.ends_with("it belongs to user 4711"), "{refused:?}");
        // one that answers nothing, and one that is not there
        std::fs::remove_file(&database).unwrap();
        let listener = UnixListener::bind(&database).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let mut watch = Watch::new();
        let silent = watch.look().unwrap_err().status();
        assert!(silent.state == State::Failed && silent.reason.ends_with("it says nothing"), "{silent:?}");
        std::fs::remove_file(&database).unwrap();
        assert_eq!(watch.look().unwrap_err().status().state, State::Absent);
    });
}

/// Whether words stand in one line of a screen in this order.
fn in_line(screen: &str, words: &[&str]) -> bool {
    let follow =
        |line: &str| words.iter().try_fold(line, |rest, word| rest.split_once(word).map(|(_, rest)| rest)).is_some();
    screen.lines().any(follow)
}

#[test]
fn root_guests_ports_and_bridges_of_a_switch_are_on_the_map() {
    within(UnshareFlags::NEWNET, || {
        let mut switch = Vswitch::start();
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), "netns = ['one', 'two']\n").unwrap();
        let file = config.path().to_str().unwrap();
        let mut session = Session::spawn(200, 60, netglance(&["--view", "topology", "--config", file]));
        // each comes from a source of its own, and when that has answered
        for words in [
            &["one", "eth0", "p1"][..],
            &["two", "eth0", "p2"],
            &["br0"],
            &["bond0", "active-backup", "b1"],
            &["tunnel", "vxlan 10.9.9.9"],
            &["acc", "VLAN 30"],
            &["br1", "Open vSwitch"],
            // the guest's own map leads back
            &["10.0.0.1", "eth0", "host"],
        ] {
            session.wait_for(&format!("{words:?}"), |screen| in_line(screen, words));
        }
        let screen = session.screen();
        assert!(!screen.contains("ovs-netdev"), "{screen}");
        Vswitch::end(&mut switch.forwarder);
        session.wait_for("bridges that are down", |screen| in_line(screen, &["br0", "down"]));
    });
}

#[test]
fn root_sockets_over_which_flows_are_asked_for_close_when_nobody_looks_any_more() {
    within(UnshareFlags::NEWNET, || {
        let _switch = Vswitch::start();
        let mut session = Session::spawn(160, 50, netglance(&["--view", "cpu"]));
        session.wait_for_host();
        let before = held::settled(&mut session);
        session.send(":table ovs_flow\r");
        held::wait(&mut session, "bridges are asked", before, true);
        session.wait_for("flows", |screen| in_line(screen, &["br1", "NORMAL"]));
        session.send(":table cpu\r");
        held::wait(&mut session, "nobody asks any more", before, false);
    });
}
