//! Does anything grow while processes come and go by the thousand?
//!
//! Runs with 5,000 short-lived processes among the tests. `NETGLANCE_SOAK=200000 cargo test --release --test soak -- --nocapture`
//! is the whole run, by hand; it prints how descriptors, threads and memory went.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;

#[expect(dead_code, reason = "each test program uses its part")]
#[path = "../support/mod.rs"]
mod support;

use support::process::{Guard, Storm, Usage, usage_below};
use support::pty::{Session, netglance};
use support::space::alone;
use support::watchman::first_forbidden;

/// Children that are there at the same time.
const ALIVE: usize = 200;
/// Children that are started before the terminal is read again.
const GUST: usize = 25;
/// Measurements of the whole run.
const STEPS: usize = 40;
/// Most memory that may be held more at the end: the past of this host fills up to its limit, and the allocator keeps pages.
const SLACK: u64 = netglance::store::history::DEFAULT_LIMIT as u64 + (4 << 20);

fn count() -> usize {
    match std::env::var("NETGLANCE_SOAK") {
        Ok(text) => text.parse().expect("NETGLANCE_SOAK is a number of processes"),
        Err(_) => 5000,
    }
}

/// One program that is watched.
struct Watched {
    name: &'static str,
    /// The `/proc` outside of its namespace, and its number there.
    proc: PathBuf,
    pid: u32,
    /// Second of the run, children so far, and what it held.
    points: Vec<(f64, usize, Usage)>,
}

impl Watched {
    fn new(name: &'static str, proc: &Path, pid: u32) -> Self {
        Self { name, proc: proc.to_owned(), pid, points: Vec::new() }
    }

    fn look(&mut self, begin: Instant, made: usize) -> Usage {
        let now = usage_below(&self.proc, self.pid).unwrap_or_else(|| panic!("{} has ended", self.name));
        self.points.push((begin.elapsed().as_secs_f64(), made, now));
        now
    }

    /// Growth per 100,000 children, by least squares over the second half, when caches are full.
    fn slope(&self, of: impl Fn(&Usage) -> f64) -> f64 {
        let half = &self.points[self.points.len() / 2..];
        let n = half.len() as f64;
        let mean = |values: &dyn Fn(&(f64, usize, Usage)) -> f64| half.iter().map(values).sum::<f64>() / n;
        let (x, y) = (mean(&|point| point.1 as f64), mean(&|point| of(&point.2)));
        let above: f64 = half.iter().map(|point| (point.1 as f64 - x) * (of(&point.2) - y)).sum();
        let below: f64 = half.iter().map(|point| (point.1 as f64 - x).powi(2)).sum();
        if below == 0.0 { 0.0 } else { above / below * 100_000.0 }
    }

    fn report(&self) {
        let (first, last) = (&self.points[0], &self.points[self.points.len() - 1]);
        println!(
            "{}: {} children in {:.0} s; rss {} -> {} KiB ({:+.0} KiB per 100,000), descriptors {} -> {} ({:+.1}), \
             threads {} -> {} ({:+.1}), CPU {:.1} s",
            self.name,
            last.1,
            last.0,
            first.2.rss >> 10,
            last.2.rss >> 10,
            self.slope(|usage| usage.rss as f64 / 1024.0),
            first.2.descriptors,
            last.2.descriptors,
            self.slope(|usage| usage.descriptors as f64),
            first.2.threads,
            last.2.threads,
            self.slope(|usage| usage.threads as f64),
            last.2.cpu - first.2.cpu,
        );
    }
}

fn look(watched: &mut [Watched], begin: Instant, made: usize) {
    for one in watched {
        one.look(begin, made);
    }
}

/// Lets the dashboard run until the rows of the storm are gone and everything is as small as it was, or time is up.
fn settle(session: &mut Session, watched: &[Watched]) {
    let end = Instant::now() + Duration::from_secs(20);
    let base: Vec<Usage> = watched.iter().map(|watched| watched.points[0].2).collect();
    let back = |one: &Watched, base: &Usage| {
        usage_below(&one.proc, one.pid)
            .is_some_and(|now| now.descriptors < base.descriptors + 10 && now.threads <= base.threads + 2)
    };
    while Instant::now() < end && !watched.iter().zip(&base).all(|(one, base)| back(one, base)) {
        session.pump(Duration::from_millis(100));
    }
}

#[test]
fn root_thousands_of_short_lived_processes_leave_nothing_behind() {
    let count = count();
    alone(UnshareFlags::empty(), |outside| {
        let mut session = Session::ready(160, 50, &["--view", "processes"]);
        let mut show: Command = netglance(&["show", "process", "--rate", "--every", "1s", "--format", "csv"]);
        let show = Guard(show.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        let dashboard = session.pid().as_raw_nonzero().get().unsigned_abs();
        let mut watched =
            [Watched::new("dashboard", outside, dashboard), Watched::new("show --every 1s", outside, show.pid())];
        // everything that stays open is opened, and every thread has been needed once
        let mut storm = Storm::new(ALIVE);
        storm.blow(ALIVE);
        session.pump_for(Duration::from_secs(3));
        storm.calm();
        session.pump_for(Duration::from_secs(3));
        let begin = Instant::now();
        look(&mut watched, begin, 0);
        for step in 1..=STEPS {
            for _ in 0..count / STEPS / GUST {
                storm.blow(GUST);
                session.pump(Duration::ZERO);
            }
            let made = step * (count / STEPS / GUST) * GUST;
            look(&mut watched, begin, made);
        }
        assert!(!session.is_gone(), "{}", session.screen());
        storm.calm();
        settle(&mut session, &watched);
        let made = watched[0].points.last().unwrap().1;
        look(&mut watched, begin, made);
        watched.iter().for_each(Watched::report);
        for one in &watched {
            let (before, after) = (one.points[0].2, one.points[one.points.len() - 1].2);
            assert!(after.descriptors < before.descriptors + 10, "{}: {before:?} {after:?}", one.name);
            // a busy machine may take the first worker that asks a file system for one that hangs
            assert!(after.threads <= before.threads + 2, "{}: {before:?} {after:?}", one.name);
            assert!(after.rss <= before.rss + SLACK, "{}: {before:?} {after:?}", one.name);
        }
        // sh, sleep or mount of the first process, the dashboard and show are all that is left
        session.wait_for("as few processes as before", |screen| screen.contains("Processes 3"));
        session.send("q");
        assert_eq!(session.end(), 0);
        assert_eq!(first_forbidden(&session.raw), None);
    });
}
