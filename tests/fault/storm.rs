//! Are the rows of processes right while thousands come and go?

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::process::{Done, Guard, Storm, usage};
use crate::support::pty::netglance;

/// What a sample may not show: a negative number, a spike, or a child of the storm that does anything. Gives the number of
/// rows that are the storm's; `own` is the name of the thread that makes it.
fn check(sample: &[Value], own: &str) -> usize {
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    let mut children = 0;
    for row in sample {
        for (column, value) in row.as_object().unwrap() {
            assert!(value.as_f64().is_none_or(|value| value >= 0.0), "{column}: {row}");
        }
        let cpu = row["cpu"].as_f64().unwrap_or(0.0);
        assert!(cpu < 2.0 * cores, "a spike: {row}");
        if row["parent"] == std::process::id() && row["name"] == own {
            children += 1;
            assert!(cpu < 0.6, "a child that only waits: {row}");
            assert_eq!(row["threads"], 1, "{row}");
        }
    }
    children
}

#[test]
fn a_fork_storm_shows_no_wrong_row_and_leaves_nothing_open() {
    let columns = "pid,start,parent,name,threads,cpu,cpu_time,memory,rss,virtual_size,minor_faults,major_faults";
    let args = ["show", "process", "--rate", "--every", "200ms", "--format", "json", "--columns", columns];
    let mut child = netglance(&args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let guard = Guard(child);
    let mut next = || {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the series has ended");
        serde_json::from_str::<Vec<Value>>(&line).unwrap()
    };
    let before = next().len();
    let over = AtomicBool::new(false);
    let (mut most, mut seen) = (0, 0);
    std::thread::scope(|scope| {
        let (name, named) = mpsc::channel();
        let over = &over;
        scope.spawn(move || {
            let _done = Done(over);
            name.send(std::fs::read_to_string("/proc/thread-self/comm").unwrap().trim_end().to_owned()).unwrap();
            let mut storm = Storm::new(150);
            storm.blow(2000);
        });
        let own = named.recv().unwrap();
        while !over.load(Ordering::Relaxed) {
            let rows = next();
            seen += check(&rows, &own);
            most = most.max(rows.len());
        }
    });
    assert!(seen > 100, "{seen} rows of the storm");
    assert!(most > before + 50, "{most} rows at most, {before} before");
    // what was kept of them is let go
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let rows = next();
        let left = rows.iter().filter(|row| row["parent"] == std::process::id()).count();
        let open = usage(guard.pid()).unwrap().descriptors;
        if left < 20 && open < rows.len() + 30 {
            break;
        }
        assert!(Instant::now() < end, "{left} rows and {open} descriptors are left");
    }
}
