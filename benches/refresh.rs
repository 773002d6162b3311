//! What does one refresh of each collector cost, and how far is that from the floor?
//!
//! `cargo bench --bench refresh -- [--processes N] [--links N] [--rounds N] [--remembered SECONDS]` prints, for each
//! collector of the registry, its rows and the median wall clock and CPU of one refresh, beside the floor: open, read and
//! close of every `/proc/PID/stat`. `--processes` adds sleeping children, `--links` adds interfaces in a network namespace
//! of its own (root). The last lines are what the history costs: to record one sample of every table, and of the processes
//! alone, when ten minutes, or so many seconds, are remembered. Nothing is judged here: timings depend on the machine. Under
//! `cargo test` it makes one round, so that it runs.

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use netglance::collect::{COLLECTORS, Cx, Entry, Wants};
use netglance::model::{Mono, Owners, Rows, Sample, Timestamp};
use netglance::source::file::{Root, Roots};
use netglance::source::meter;
use netglance::store::history::History;
use netglance::store::rate::{Mode, View};
use rustix::time::{ClockId, clock_gettime};
use support::Sleepers;

mod support;

type Failure = Box<dyn Error>;

/// What the command line asks for.
struct Options {
    processes: usize,
    links: usize,
    rounds: usize,
    /// Samples that the history has before it is measured.
    remembered: u64,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        let number = |name: &str| -> Result<Option<usize>, Failure> {
            let Some(at) = args.iter().position(|arg| arg == name) else { return Ok(None) };
            let value = args.get(at + 1).ok_or_else(|| format!("{name} needs a number"))?;
            Ok(Some(value.parse().map_err(|error| format!("{name} {value}: {error}"))?))
        };
        let measured = args.iter().any(|arg| arg == "--bench");
        Ok(Self {
            processes: number("--processes")?.unwrap_or(0),
            links: number("--links")?.unwrap_or(0),
            rounds: number("--rounds")?.unwrap_or(if measured { 31 } else { 1 }).max(1),
            remembered: number("--remembered")?.unwrap_or(if measured { 600 } else { 3 }) as u64,
        })
    }
}

/// Moves this process into a network namespace with `count` interfaces and returns the roots that show it.
fn roots_with_links(count: usize, dir: &std::path::Path) -> Result<Roots, Failure> {
    let mut roots = Roots::live();
    if count == 0 {
        return Ok(roots);
    }
    // SAFETY: this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } != 0 {
        return Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into());
    }
    let mut script = Vec::new();
    for pair in 0..count.div_ceil(2) {
        writeln!(script, "link add a{pair} type veth peer name b{pair}")?;
        writeln!(script, "link set a{pair} up\nlink set b{pair} up")?;
    }
    feed("ip", &["-batch", "-"], &script)?;
    // sysfs shows the namespace it was mounted in
    let sys = dir.display();
    feed("sh", &["-s"], format!("set -e\nmount --make-rprivate /\nmount -t sysfs sysfs {sys}\n").as_bytes())?;
    feed("sh", &["-s"], format!("mount --rbind /sys/fs/cgroup {sys}/fs/cgroup\n").as_bytes())?;
    roots.sys = Root::new(dir);
    Ok(roots)
}

fn feed(program: &str, args: &[&str], input: &[u8]) -> Result<(), Failure> {
    let mut child = Command::new(program).args(args).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(input)?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}").into()) }
}

/// CPU seconds of this thread.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// One line of the result.
struct Line {
    name: String,
    rows: String,
    wall: Vec<f64>,
    cpu: Vec<f64>,
    bytes: u64,
}

impl Line {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rows: String::new(), wall: Vec::new(), cpu: Vec::new(), bytes: 0 }
    }

    /// Runs `work` `rounds` times after two that fill caches.
    fn measure(mut self, rounds: usize, mut work: impl FnMut() -> String) -> Self {
        for _ in 0..2 {
            work();
        }
        for _ in 0..rounds {
            meter::take();
            let (wall, busy) = (Instant::now(), cpu());
            self.rows = work();
            self.cpu.push(cpu() - busy);
            self.wall.push(wall.elapsed().as_secs_f64());
            self.bytes = meter::take();
        }
        self
    }

    fn print(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        let (wall, cpu) = (median(&mut self.wall) * 1e6, median(&mut self.cpu) * 1e6);
        writeln!(out, "{:<16} {:>22} {wall:>12.0} {cpu:>12.0} {:>12}", self.name, self.rows, self.bytes)
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn collector(entry: &Entry, roots: &Roots, rounds: usize) -> Line {
    let (wants, owners) = (Wants::default(), Owners::default());
    let mut collector = (entry.make)();
    Line::new(entry.name).measure(rounds, || {
        let cx = Cx { roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
        let mut batch = netglance::collect::Batch::default();
        match collector.collect(&cx, &mut batch) {
            Ok(()) => {
                let filled = batch.into_tables();
                filled
                    .iter()
                    .filter_map(|(_, rows)| rows.as_ref().ok())
                    .map(|rows| rows.len())
                    .sum::<usize>()
                    .to_string()
            }
            Err(skip) => skip.status().state.name().to_owned(),
        }
    })
}

/// The least that anything which reads processes from files can do.
fn floor(rounds: usize) -> Line {
    let mut buffer = vec![0; 4096];
    Line::new("(floor)").measure(rounds, || {
        let Ok(entries) = std::fs::read_dir("/proc") else { return "no /proc".to_owned() };
        let pids =
            entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
        let read = pids.filter_map(|entry| {
            let mut file = std::fs::File::open(entry.path().join("stat")).ok()?;
            file.read(&mut buffer).ok()
        });
        read.count().to_string()
    })
}

/// Two samples of a table; counters have grown between them.
type Pair = [Arc<dyn Rows>; 2];

/// Every table of this host, twice.
fn pairs(roots: &Roots) -> Vec<Pair> {
    let (wants, owners) = (Wants::default(), Owners::default());
    let mut pairs = Vec::new();
    for entry in COLLECTORS {
        let mut collector = (entry.make)();
        let mut sample = || {
            let cx = Cx { roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
            let mut batch = netglance::collect::Batch::default();
            let _ = collector.collect(&cx, &mut batch);
            batch.into_tables().into_iter().filter_map(|(_, rows)| rows.ok()).collect::<Vec<_>>()
        };
        let (before, now) = (sample(), sample());
        pairs.extend(before.into_iter().zip(now).map(|(before, now)| [before, now]));
    }
    pairs
}

/// Records tables as if they had been sampled each second; intervals differ a little, so that rates do.
fn history(name: &str, pairs: &[Pair], options: &Options) -> Line {
    let mut history = History::default();
    let mut second = 0;
    let mut record = || {
        second += 1;
        let mono = Mono(second * 1_000_000_000 + second % 7 * 10_000_000);
        let before = Mono((second - 1) * 1_000_000_000);
        for [earlier, now] in pairs {
            let sample = |rows: &Arc<dyn Rows>, mono| Sample { rows: Arc::clone(rows), time: Timestamp(0), mono };
            history.record(&View::new(&sample(now, mono), Some(&sample(earlier, before)), Mode::Rate));
        }
        format!("{} of {} kB", history.rows(), history.bytes() / 1000)
    };
    (0..options.remembered).for_each(|_| drop(record()));
    Line::new(name).measure(options.rounds, record)
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return Ok(());
    }
    let options = Options::parse(&args)?;
    let dir = std::env::temp_dir().join(format!("netglance-bench-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let roots = roots_with_links(options.links, &dir);
    let result = roots.and_then(|roots| report(&options, &roots));
    if options.links > 0 {
        feed("umount", &["-R", &dir.display().to_string()], b"")?;
    }
    std::fs::remove_dir(&dir)?;
    result
}

fn report(options: &Options, roots: &Roots) -> Result<(), Failure> {
    let sleepers = Sleepers::start(options.processes).map_err(|cause| format!("fork: {cause}"))?;
    let mut out = std::io::stdout().lock();
    let (added, links, rounds) = (sleepers.0.len(), options.links, options.rounds);
    writeln!(out, "one refresh, median of {rounds}; {added} processes and {links} interfaces added")?;
    writeln!(out, "{:<16} {:>22} {:>12} {:>12} {:>12}", "collector", "rows or state", "wall us", "cpu us", "bytes")?;
    floor(rounds).print(&mut out)?;
    for entry in COLLECTORS {
        collector(entry, roots, rounds).print(&mut out)?;
    }
    let mut all = pairs(roots);
    history("(history)", &all, options).print(&mut out)?;
    all.retain(|[_, now]| now.table().name == "process");
    history("(its processes)", &all, options).print(&mut out)?;
    Ok(())
}
