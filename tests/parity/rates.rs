//! Shares, latencies and utilization: what readers compute from two samples, against the same counters read here around
//! each of the two.

use std::io::Write;

use netglance::model::Sample;
use netglance::store::rate::{Mode, View};

use super::bracket::Parity;
use super::file;

/// A sample with the second source's counters before and after it, and the seconds of a monotonic clock.
struct Framed {
    sample: Sample,
    before: Vec<f64>,
    after: Vec<f64>,
    begin: f64,
    end: f64,
}

impl Framed {
    fn take(parity: &Parity, mut counters: impl FnMut() -> Vec<f64>) -> Self {
        let now = || super::work::clock(libc::CLOCK_MONOTONIC);
        let (begin, before) = (now(), counters());
        let sample = parity.sample();
        let (after, end) = (counters(), now());
        Self { sample, before, after, begin, end }
    }

    /// Least and most that a counter can have changed from `self` to `later`.
    fn change(&self, later: &Self, at: usize) -> (f64, f64) {
        (later.before[at] - self.after[at], later.after[at] - self.before[at])
    }

    /// Least and most time from the sample in `self` to that in `later`.
    fn elapsed(&self, later: &Self) -> (f64, f64) {
        (later.begin - self.end, later.end - self.begin)
    }
}

/// Bounds of a quotient; `slack` is added to each bound of the dividend.
fn share((low, high): (f64, f64), (least, most): (f64, f64), slack: f64) -> (f64, f64) {
    ((low - slack) / most, (high + slack) / least)
}

fn value(view: &View, key: &str, column: &str) -> Option<f64> {
    let at = view.table().position(column).unwrap();
    let row = (0..view.len()).find(|row| view.cell(*row, 0).text() == Some(key)).unwrap();
    view.cell(row, at).number()
}

fn assert_between(column: &str, shown: f64, (low, high): (f64, f64)) {
    assert!((low - 1e-9..=high + 1e-9).contains(&shown), "{column}: {low} <= {shown} <= {high}");
}

/// Burns until the CPUs have counted a second and a half of some kind.
fn pass_time(mut counters: impl FnMut() -> f64) {
    let begin = counters();
    while counters() < begin + 1.5 {
        std::hint::black_box((0..10_000).sum::<u64>());
    }
}

#[test]
fn shares_of_cpu_time_are_those_of_the_kernel() {
    let cpu = Parity::of("cpu", &["cpu"]);
    // user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice in seconds, then busy, then all
    let counters = || {
        let stat = file("/proc/stat");
        let line = stat.lines().next().unwrap();
        let mut times: Vec<f64> =
            line.split_whitespace().skip(1).map(|word| word.parse::<f64>().unwrap() / 100.0).collect();
        let all: f64 = times[..8].iter().sum();
        times.extend([all - times[3] - times[4], all]);
        times
    };
    let first = Framed::take(&cpu, counters);
    pass_time(|| counters()[11]);
    let second = Framed::take(&cpu, counters);
    let view = View::new(&second.sample, Some(&first.sample), Mode::Rate);
    let all = first.change(&second, 11);
    for (column, at) in [
        ("used", 10),
        ("user_share", 0),
        ("nice_share", 1),
        ("system_share", 2),
        ("idle_share", 3),
        ("iowait_share", 4),
        ("irq_share", 5),
        ("softirq_share", 6),
        ("steal_share", 7),
        ("guest_share", 8),
    ] {
        // the kernel may step idle times back a little
        assert_between(column, value(&view, "all", column).unwrap(), share(first.change(&second, at), all, 0.05));
    }
}

#[test]
fn latency_and_utilization_of_a_disk_are_those_of_the_kernel() {
    let disk = Parity::of("disk", &["name"]);
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let device = super::said("df", &["--output=source", place.to_str().unwrap()]);
    let name = super::said("lsblk", &["-n", "-s", "-l", "-o", "KNAME,TYPE", device.lines().nth(1).unwrap()]);
    let whole = name.lines().find(|line| line.ends_with("disk")).unwrap();
    let name = whole.split_whitespace().next().unwrap();
    let counters = || {
        let text = file(&format!("/sys/block/{name}/stat"));
        text.split_whitespace().map(|word| word.parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let first = Framed::take(&disk, counters);
    let path = place.join(format!("latency-{}", std::process::id()));
    let mut out = std::fs::File::create(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut wrote = 0;
    // until the disk was busy for a while and has done some writes
    while wrote < 20 || counters()[9] < first.after[9] + 50.0 {
        out.write_all(&vec![7; 64 << 10]).unwrap();
        out.sync_data().unwrap();
        wrote += 1;
    }
    let second = Framed::take(&disk, counters);
    let view = View::new(&second.sample, Some(&first.sample), Mode::Rate);
    let elapsed = first.elapsed(&second);
    let milliseconds = |(low, high): (f64, f64)| (low * 1e-3, high * 1e-3);
    let time = |at| milliseconds(first.change(&second, at));
    assert_between("utilization", value(&view, name, "utilization").unwrap(), share(time(9), elapsed, 0.0));
    assert_between("queue", value(&view, name, "queue").unwrap(), share(time(10), elapsed, 0.0));
    let writes = first.change(&second, 4);
    assert!(writes.0 >= 20.0, "{writes:?}");
    assert_between("write_latency", value(&view, name, "write_latency").unwrap(), share(time(7), writes, 0.0));
    let reads = first.change(&second, 0);
    match value(&view, name, "read_latency") {
        Some(latency) if reads.0 > 0.0 => assert_between("read_latency", latency, share(time(3), reads, 0.0)),
        Some(latency) => assert!(reads.1 > 0.0, "{latency} without a read"),
        // what was not done took no time that could be told
        None => assert!(reads.0 <= 0.0, "{reads:?}"),
    }
    let bytes = first.change(&second, 6);
    let (low, high) = share((bytes.0 * 512.0, bytes.1 * 512.0), elapsed, 0.0);
    assert_between("write_bytes", value(&view, name, "write_bytes").unwrap(), (low, high));
}
