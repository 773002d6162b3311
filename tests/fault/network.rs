//! Do interfaces that come, go and change their names keep the numbers right?

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;
use serde_json::Value;

use crate::support::process::{Guard, usage_below};
use crate::support::pty::{Session, hostname, netglance};
use crate::support::space::{alone, ip, within};
use crate::support::watchman::first_forbidden;

/// Longest wait for something that the program prints several times a second.
const PATIENT: Duration = Duration::from_secs(20);

/// `show link` as a series, in the network of this thread.
struct Series {
    guard: Guard,
    lines: BufReader<ChildStdout>,
    /// The largest rate that is no spike, in bytes per second.
    most: f64,
}

impl Series {
    fn start(most: f64) -> Self {
        let mut command = netglance(&["show", "link", "--rate", "--every", "100ms", "--format", "json"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { guard: Guard(child), lines, most }
    }

    /// The next sample, in which no rate is negative, a spike, or of two rows of one name.
    fn next(&mut self) -> Vec<Value> {
        let mut line = String::new();
        assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the series has ended");
        let rows: Vec<Value> = serde_json::from_str(&line).unwrap();
        let names: BTreeSet<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), rows.len(), "{line}");
        for row in &rows {
            for (column, value) in row.as_object().unwrap() {
                let counter = column.starts_with("rx_") || column.starts_with("tx_");
                let rate = value.as_f64().filter(|_| counter).unwrap_or(0.0);
                assert!((0.0..self.most).contains(&rate), "{column} is {rate}: {row}");
            }
        }
        rows
    }

    /// Reads samples until one is as wanted.
    fn until(&mut self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let begin = Instant::now();
        loop {
            let rows = self.next();
            if wanted(&rows) {
                return rows;
            }
            assert!(begin.elapsed() < PATIENT, "no {what}: {rows:?}");
        }
    }
}

fn named<'a>(rows: &'a [Value], name: &str) -> Option<&'a Value> {
    rows.iter().find(|row| row["name"] == name)
}

/// Two ends of a wire, one of which sends to nobody.
const PAIR: &str = "link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\naddr add 10.9.0.1/24 dev v0\n\
                    neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev v0\n";

/// Sends so many packets of a kilobyte through `v0`.
fn send(packets: usize) {
    let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..packets {
        socket.send_to(&[0; 1000], "10.9.0.2:9").unwrap();
    }
}

#[test]
fn root_an_interface_made_again_under_its_name_is_another_one_without_a_spike() {
    within(UnshareFlags::NEWNET, || {
        ip(PAIR);
        send(5000);
        // all that was ever sent, within the shortest interval, and what the kernel sends by itself
        let mut series = Series::start(20e6);
        let rows = series.until("rate of v0", |rows| named(rows, "v0").is_some_and(|row| row["tx_bytes"].is_number()));
        let first = named(&rows, "v0").unwrap()["index"].clone();
        for _ in 0..3 {
            let before = series.until("v0", |rows| named(rows, "v0").is_some());
            let before = named(&before, "v0").unwrap()["index"].clone();
            ip(&format!("link del v0\n{PAIR}"));
            send(10);
            let rows = series
                .until("new v0", |rows| named(rows, "v0").is_some_and(|row| row["index"].as_u64() > before.as_u64()));
            assert_eq!(named(&rows, "v0").unwrap()["tx_bytes"], Value::Null, "nothing is known of a new one");
            series.until("its rate", |rows| named(rows, "v0").is_some_and(|row| row["tx_bytes"].is_number()));
            assert_ne!(before, Value::Null);
        }
        assert!(series.next().iter().all(|row| row["index"] != first));
    });
}

#[test]
fn root_a_renamed_interface_keeps_its_numbers() {
    within(UnshareFlags::NEWNET, || {
        ip(PAIR);
        send(100);
        let mut series = Series::start(20e6);
        let rows = series.until("rate of v0", |rows| named(rows, "v0").is_some_and(|row| row["tx_bytes"].is_number()));
        let index = named(&rows, "v0").unwrap()["index"].clone();
        ip("link set v0 down\nlink set v0 name other\nlink set other up\nlink set other alias seen\n");
        let rows = series.until("the new name", |rows| named(rows, "other").is_some());
        let row = named(&rows, "other").unwrap();
        assert_eq!(row["index"], index);
        assert!(row["tx_bytes"].is_number(), "it was there before: {row}");
        series.until("its alias", |rows| named(rows, "other").is_some_and(|row| row["alias"] == "seen"));
        // two interfaces that exchange their names
        ip(
            "link set other down\nlink set v1 down\nlink set other name x\nlink set v1 name other\nlink set x name v1\n",
        );
        let rows = series.until("v1", |rows| named(rows, "v1").is_some_and(|row| row["index"] == index));
        assert_ne!(named(&rows, "other").unwrap()["index"], index);
    });
}

#[test]
fn root_five_hundred_taps_come_and_go_at_once() {
    alone(UnshareFlags::NEWNET, |proc| {
        let mut series = Series::start(20e6);
        let before = series.next().len();
        let mut session = Session::ready(120, 40, &["--view", "network"]);
        let dashboard = session.pid().as_raw_nonzero().get().unsigned_abs();
        let mut held = Vec::new();
        for _ in 0..2 {
            let taps = (0..500).map(|n| format!("tuntap add dev tap{n} mode tap\nlink set tap{n} group 7"));
            let batch = taps.collect::<Vec<_>>().join("\n");
            ip(&batch);
            let rows = series.until("500 more", |rows| rows.len() == before + 500);
            assert!(named(&rows, "tap499").is_some_and(|row| row["kind"] == "tun"), "{:?}", rows.last());
            session.wait_for("a tap", |screen| screen.contains("tap"));
            ip("link del group 7\n");
            series.until("as few as before", |rows| rows.len() == before);
            session.wait_for("no tap", |screen| screen.contains(&hostname()) && !screen.contains("tap"));
            held.push([dashboard, series.guard.pid()].map(|pid| usage_below(proc, pid).unwrap()));
        }
        for (before, after) in held[0].iter().zip(&held[1]) {
            // some are open only while something is read
            assert!(after.descriptors < before.descriptors + 10, "{before:?} {after:?}");
            assert!(after.threads <= before.threads, "{before:?} {after:?}");
            assert!(after.rss < before.rss + (8 << 20), "{before:?} {after:?}");
        }
        session.send("q");
        assert_eq!(session.end(), 0);
        assert_eq!(first_forbidden(&session.raw), None);
    });
}
