//! Which units does systemd run, and what do their control groups count?
//!
//! Version 2 has one tree; in version 1 each controller has its own and the tree of name `systemd` holds the units; hybrid
//! hosts have both. A file that is not there means that systemd does not account this, and the value is missing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::file::Root;
use super::{Error, lines, pressure};
use crate::model::Text;
use crate::source::bounded::Bounded;

/// Deepest slice that is walked.
const MAX_DEPTH: usize = 12;

/// Most units that are read; more is an error, not a cut.
pub const MAX_UNITS: usize = 16 << 10;

/// A limit of version 1 above this means none.
const NO_LIMIT: u64 = 1 << 60;

/// Who made a unit's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// systemd itself.
    Service,
    /// Somebody else who handed them over.
    Scope,
}

/// What a unit's control group counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU seconds.
    pub cpu: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes that no file backs.
    pub anon: Option<u64>,
    /// Limit in bytes.
    pub memory_max: Option<u64>,
    /// Bytes of swap.
    pub swap: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Bytes read.
    pub read: Option<u64>,
    /// Bytes written.
    pub written: Option<u64>,
    /// Seconds held back by the CPU limit.
    pub throttled: Option<f64>,
    /// Processes killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Share of ten seconds with a wait for the CPU.
    pub cpu_pressure: Option<f64>,
    /// Share of ten seconds with a wait for memory.
    pub memory_pressure: Option<f64>,
    /// Share of ten seconds with a wait for storage.
    pub io_pressure: Option<f64>,
}

/// Name, kind, path in the tree and usage of a unit.
pub type Unit = (Text, Kind, Text, Usage);

/// Reads the units again and again with one buffer.
#[derive(Debug, Default)]
pub struct UnitReader {
    buffer: Vec<u8>,
}

/// Where the trees of this host are.
struct Layout {
    /// The tree in which units are looked for.
    units: Root,
    /// The tree of version 2 with its files.
    unified: Option<Root>,
    /// The trees of version 1.
    cpu: Option<Root>,
    quota: Option<Root>,
    memory: Option<Root>,
    pids: Option<Root>,
    blkio: Option<Root>,
}

impl UnitReader {
    /// Every unit with its usage, ordered by path, and how many units and slices that are nested too deep are left out.
    ///
    /// # Errors
    /// There is no tree of control groups, or it cannot be read.
    pub fn read(&mut self, sys: &Root) -> Result<(Vec<Unit>, usize), Error> {
        let layout = layout(&Root::new(sys.join("fs/cgroup")))?;
        let mut found = Bounded::new(MAX_UNITS);
        walk(&layout.units, Path::new(""), 0, &mut found)?;
        let mut unit = |(kind, path): (Kind, PathBuf)| {
            let name = path.file_name().map_or_else(Text::default, Text::from);
            let usage = self.usage(&layout, &path);
            (name, kind, Text::from(Path::new("/").join(path).as_path()), usage)
        };
        let left_out = found.left_out();
        Ok((found.into_kept().into_iter().map(&mut unit).collect(), left_out))
    }

    fn usage(&mut self, layout: &Layout, path: &Path) -> Usage {
        let mut usage = Usage::default();
        if let Some(tree) = &layout.unified {
            self.version_2(tree, path, &mut usage);
        }
        self.version_1(layout, path, &mut usage);
        if usage.tasks.is_none()
            && let Ok(text) = layout.units.text_into(path.join("cgroup.procs"), &mut self.buffer)
        {
            usage.tasks = Some(text.lines().count() as u64);
        }
        usage
    }

    fn version_2(&mut self, tree: &Root, path: &Path, usage: &mut Usage) {
        let buffer = &mut self.buffer;
        if let Ok(text) = tree.text_into(path.join("cpu.stat"), buffer) {
            let seconds = |name| lines::number(text, name).map(|micro| micro as f64 / 1e6);
            (usage.cpu, usage.throttled) = (seconds("usage_usec"), seconds("throttled_usec"));
        }
        usage.memory = number(tree, &path.join("memory.current"), buffer);
        usage.memory_max = number(tree, &path.join("memory.max"), buffer);
        usage.swap = number(tree, &path.join("memory.swap.current"), buffer);
        usage.tasks = number(tree, &path.join("pids.current"), buffer);
        if let Ok(text) = tree.text_into(path.join("memory.stat"), buffer) {
            usage.anon = lines::number(text, "anon");
        }
        if let Ok(text) = tree.text_into(path.join("memory.events"), buffer) {
            usage.oom_kills = lines::number(text, "oom_kill");
        }
        if let Ok(text) = tree.text_into(path.join("io.stat"), buffer) {
            (usage.read, usage.written) = (sum(text, "rbytes"), sum(text, "wbytes"));
        }
        let mut share = |file| {
            let text = tree.text_into(path.join(file), buffer).ok()?;
            pressure::parse(text)?.some.map(|stall| stall.avg10)
        };
        usage.cpu_pressure = share("cpu.pressure");
        usage.memory_pressure = share("memory.pressure");
        usage.io_pressure = share("io.pressure");
    }

    fn version_1(&mut self, layout: &Layout, path: &Path, usage: &mut Usage) {
        let buffer = &mut self.buffer;
        if let (None, Some(tree)) = (usage.cpu, &layout.cpu) {
            usage.cpu = number(tree, &path.join("cpuacct.usage"), buffer).map(|nanos| nanos as f64 / 1e9);
        }
        if let (None, Some(tree)) = (usage.throttled, &layout.quota)
            && let Ok(text) = tree.text_into(path.join("cpu.stat"), buffer)
        {
            usage.throttled = lines::number(text, "throttled_time").map(|nanos| nanos as f64 / 1e9);
        }
        if let (None, Some(tree)) = (usage.memory, &layout.memory) {
            usage.memory = number(tree, &path.join("memory.usage_in_bytes"), buffer);
            usage.memory_max = number(tree, &path.join("memory.limit_in_bytes"), buffer).filter(|max| *max < NO_LIMIT);
            if let Ok(text) = tree.text_into(path.join("memory.stat"), buffer) {
                (usage.anon, usage.swap) = (lines::number(text, "total_rss"), lines::number(text, "total_swap"));
            }
            if let Ok(text) = tree.text_into(path.join("memory.oom_control"), buffer) {
                usage.oom_kills = lines::number(text, "oom_kill");
            }
        }
        if let (None, None, Some(tree)) = (usage.read, usage.written, &layout.blkio) {
            // groups below are counted since 4.17
            for file in ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"] {
                if let Ok(text) = tree.text_into(path.join(file), buffer) {
                    (usage.read, usage.written) = (operations(text, "Read"), operations(text, "Write"));
                    break;
                }
            }
        }
        if let (None, Some(tree)) = (usage.tasks, &layout.pids) {
            usage.tasks = number(tree, &path.join("pids.current"), buffer);
        }
    }
}

fn layout(cgroup: &Root) -> Result<Layout, Error> {
    let below = |name: &str| Some(Root::new(cgroup.join(name))).filter(|root| root.path().is_dir());
    if cgroup.join("cgroup.controllers").exists() {
        let (units, unified) = (cgroup.clone(), Some(cgroup.clone()));
        return Ok(Layout { units, unified, cpu: None, quota: None, memory: None, pids: None, blkio: None });
    }
    let unified = below("unified");
    let units = below("systemd").or_else(|| unified.clone()).ok_or_else(|| {
        Error::new("find", cgroup.path().join("cgroup.controllers"), std::io::Error::from_raw_os_error(libc::ENOENT))
    })?;
    // most hosts have the two controllers in one tree
    let both = below("cpu,cpuacct");
    let (cpu, quota) = (both.clone().or_else(|| below("cpuacct")), both.or_else(|| below("cpu")));
    Ok(Layout { units, unified, cpu, quota, memory: below("memory"), pids: below("pids"), blkio: below("blkio") })
}

fn walk(tree: &Root, path: &Path, depth: usize, found: &mut Bounded<(Kind, PathBuf)>) -> Result<(), Error> {
    let names = match tree.list(path) {
        // a group that vanishes while it is walked has nothing below it any more
        Err(error) if depth > 0 && error.is_absent() => return Ok(()),
        names => names?,
    };
    for name in names {
        let below = path.join(&name);
        match (Path::new(&name).extension().map(OsStr::as_bytes), depth < MAX_DEPTH) {
            (Some(b"slice"), true) => walk(tree, &below, depth + 1, found)?,
            // a user's own systemd runs units inside its service
            (Some(b"service"), true) if name.as_bytes().starts_with(b"user@") => walk(tree, &below, depth + 1, found)?,
            (Some(b"service"), _) => found.push((Kind::Service, below)),
            (Some(b"scope"), _) => found.push((Kind::Scope, below)),
            // anybody may nest slices of their own
            (Some(b"slice"), false) => found.leave_out(),
            _ => {}
        }
    }
    Ok(())
}

fn number(tree: &Root, path: &Path, buffer: &mut Vec<u8>) -> Option<u64> {
    tree.text_into(path, buffer).ok()?.trim().parse().ok()
}

/// Sum of a field over the devices of `io.stat`; `None` when no device has it.
fn sum(text: &str, field: &str) -> Option<u64> {
    let words = text.split_ascii_whitespace().filter_map(|word| word.split_once('='));
    words
        .filter(|(name, _)| *name == field)
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .reduce(u64::saturating_add)
}

/// Sum over the devices of version 1, each with lines such as `8:0 Read 4096`; `None` when no device has one.
fn operations(text: &str, kind: &str) -> Option<u64> {
    let count = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        words.nth(1).filter(|word| *word == kind)?;
        words.next()?.parse::<u64>().ok()
    };
    text.lines().filter_map(count).reduce(u64::saturating_add)
}
