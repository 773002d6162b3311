//! How long does a piece of work take, and how much of a CPU?

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

pub(crate) type Failure = Box<dyn Error>;

/// CPU seconds of this thread, and of children that have ended.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills a `struct rusage`, of which zeros are a valid value, too
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9 + seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Resident memory in bytes.
pub(crate) fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// What a person has asked for.
pub(crate) struct Options(Vec<String>);

impl Options {
    /// `None` where only the names of tests are asked for.
    pub(crate) fn read() -> Option<Self> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        (!args.iter().any(|arg| arg == "--list")).then_some(Self(args))
    }

    /// The number behind an option.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u32>, Failure> {
        let Some(at) = self.0.iter().position(|arg| arg == name) else { return Ok(None) };
        Ok(Some(self.0.get(at + 1).ok_or_else(|| format!("{name} needs a number"))?.parse()?))
    }

    /// How often work is done: once under `cargo test`.
    pub(crate) fn rounds(&self) -> Result<usize, Failure> {
        let usual = if self.0.iter().any(|arg| arg == "--bench") { 7 } else { 1 };
        Ok(self.number("--rounds")?.unwrap_or(usual) as usize)
    }
}

/// Prints what stands in the columns.
pub(crate) fn head() -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{:<16} {:>24} {:>10} {:>10}", "table", "rows or state", "wall ms", "cpu ms")?)
}

/// Runs `work` `rounds` times after two that fill caches, and prints the medians.
pub(crate) fn measure(
    name: &str,
    rounds: usize,
    mut work: impl FnMut() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let (mut wall, mut busy, mut said) = (Vec::new(), Vec::new(), String::new());
    for round in 0..rounds + 2 {
        let (begin, before) = (Instant::now(), cpu());
        said = work()?;
        if round >= 2 {
            wall.push(begin.elapsed().as_secs_f64() * 1e3);
            busy.push((cpu() - before) * 1e3);
        }
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let (wall, busy) = (median(&mut wall), median(&mut busy));
    Ok(writeln!(std::io::stdout().lock(), "{name:<16} {said:>24} {wall:>10.3} {busy:>10.3}")?)
}
