//! Services: control groups made here, with a process of known CPU time, memory and number of threads in them.

use std::path::{Path, PathBuf};

use super::bracket::{Facts, Parity};
use super::file;
use super::work::Known;

/// Memory that the process of the group holds.
const MEMORY: usize = 32 << 20;
/// CPU seconds that it uses before it rests.
const WORK: f64 = 0.3;

/// One group in every tree of control groups, removed however the test ends.
struct Group {
    name: String,
    trees: Vec<PathBuf>,
    /// Dropped before the groups: they are removed only when they are empty.
    process: Option<Known>,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.process = None;
        for tree in &self.trees {
            let below = tree.join(&self.name);
            let empty = || std::fs::read_to_string(below.join("cgroup.procs")).is_ok_and(|text| text.is_empty());
            // a process that was reaped leaves its group a moment later
            let begin = std::time::Instant::now();
            while !empty() && begin.elapsed().as_secs() < 5 {
                std::thread::yield_now();
            }
            let _ = std::fs::remove_dir(&below);
            let _ = below.parent().map(std::fs::remove_dir);
        }
    }
}

impl Group {
    fn new() -> Self {
        let me = std::process::id();
        let mounts = file("/proc/self/mountinfo");
        // the other trees of version 1 want to be told which CPUs and devices they are about
        let counts = |line: &str| ["cpu", "memory", "pids", "blkio", "systemd"].iter().any(|name| line.contains(name));
        let is_tree = |line: &&str| {
            line.contains(" - cgroup2 ") || (line.contains(" - cgroup ") && counts(line) && !line.contains("cpuset"))
        };
        let trees = mounts.lines().filter(is_tree).map(|line| PathBuf::from(line.split(' ').nth(4).unwrap())).collect();
        let name = format!("netglance_test{me}.slice/known{me}.service");
        let mut group = Self { name, trees, process: None };
        for tree in &group.trees {
            std::fs::create_dir_all(tree.join(&group.name)).expect("this test needs root");
            // version 2 counts what its parents hand down
            let slice = tree.join(&group.name);
            for above in [Some(tree.as_path()), slice.parent()].into_iter().flatten() {
                for controller in ["+cpu", "+memory", "+pids", "+io"] {
                    let _ = std::fs::write(above.join("cgroup.subtree_control"), controller);
                }
            }
        }
        let known = Known::fork_told(|step, proceed| {
            step();
            proceed();
            hold_and_work();
            step();
        });
        known.wait(1);
        for tree in &group.trees {
            std::fs::write(tree.join(&group.name).join("cgroup.procs"), known.pid().to_string()).unwrap();
        }
        known.proceed();
        known.wait(1);
        group.process = Some(known);
        group
    }

    /// Text of a file of the group in the first tree that has it.
    fn read(&self, file: &str) -> Option<String> {
        self.trees.iter().find_map(|tree| std::fs::read_to_string(tree.join(&self.name).join(file)).ok())
    }

    fn number(&self, file: &str) -> Option<f64> {
        self.read(file)?.trim().parse().ok()
    }
}

/// Safe after a fork: asks the kernel for memory and the time, and nobody else.
fn hold_and_work() {
    // SAFETY: a fresh mapping of that size, written within its bounds.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let memory = libc::mmap(std::ptr::null_mut(), MEMORY, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        memory.write_bytes(1, MEMORY);
    }
    while super::work::clock(libc::CLOCK_PROCESS_CPUTIME_ID) < WORK {}
}

/// A line `name 123` of a file.
fn line(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(known, _)| *known == name).map(|(_, value)| value.trim().parse().unwrap())
}

fn facts(group: &Group) -> Facts {
    let mut facts = Facts::default();
    let key = format!("/{}", group.name);
    let name = Path::new(&group.name).file_name().unwrap().to_str().unwrap();
    facts.text(&key, "name", name);
    facts.text(&key, "kind", "service");
    let charged = line(&group.read("cpu.stat").unwrap_or_default(), "usage_usec").map(|time| time / 1e6);
    let cpu = charged.or_else(|| group.number("cpuacct.usage").map(|time| time / 1e9)).unwrap();
    // one is cut to microseconds, the other is not
    facts.between(&key, "cpu", cpu - 1e-3, cpu + 1e-3);
    let quotas =
        group.trees.iter().filter_map(|tree| std::fs::read_to_string(tree.join(&group.name).join("cpu.stat")).ok());
    let throttled = quotas.filter_map(|text| line(&text, "throttled_usec").or_else(|| line(&text, "throttled_time")));
    // no limit is set
    match throttled.reduce(f64::max) {
        Some(time) => facts.number(&key, "throttled", time),
        None => facts.missing(&key, "throttled"),
    }
    facts.number(&key, "tasks", 1.0);
    let memory = group.number("memory.current").or_else(|| group.number("memory.usage_in_bytes"));
    facts.number(&key, "memory", memory.unwrap());
    facts.missing(&key, "memory_max");
    facts.missing(&key, "memory_used");
    let stat = group.read("memory.stat").unwrap();
    let anon = line(&stat, "anon").or_else(|| line(&stat, "total_rss"));
    facts.number(&key, "anon", anon.unwrap());
    for (column, name) in [("cpu_pressure", "cpu"), ("memory_pressure", "memory"), ("io_pressure", "io")] {
        match group.read(&format!("{name}.pressure")) {
            Some(text) => {
                let average = text.split("avg10=").nth(1).unwrap().split(' ').next().unwrap();
                facts.number(&key, column, average.parse::<f64>().unwrap() / 100.0);
            }
            None => facts.missing(&key, column),
        }
    }
    facts
}

#[test]
fn root_a_service_uses_what_its_process_uses() {
    let group = Group::new();
    let mut unit = Parity::of("unit", &["cgroup"]);
    unit.agrees(|| facts(&group));
    let rows = unit.rows();
    let at = |column: &str| rows.table().position(column).unwrap();
    let key = format!("/{}", group.name);
    let row = (0..rows.len()).find(|row| rows.cell(*row, at("cgroup")).text() == Some(&key)).unwrap();
    let shown = |column| rows.cell(row, at(column)).number().unwrap();
    // what the process did before it came here does not count
    assert!((WORK - 0.1..WORK + 0.1).contains(&shown("cpu")), "{}", shown("cpu"));
    let memory = MEMORY as f64;
    assert!((memory..memory * 1.2).contains(&shown("anon")), "{}", shown("anon"));
    assert!(shown("memory") >= shown("anon"));
    let find =
        ["/sys/fs/cgroup", "-maxdepth", "4", "-type", "d", "(", "-name", "*.service", "-o", "-name", "*.scope", ")"];
    let names = unit.keys();
    for path in super::said("find", &find).lines().filter(|path| !path.contains("user@")) {
        assert!(names.iter().any(|name| path.ends_with(name.as_str())), "{path} is not among {names:?}");
    }
    // nothing here is swapped, killed or written
    unit.left_out(&["cgroup", "oom_kills", "read_bytes", "swap", "written_bytes"]);
}
