//! Memory and NUMA nodes: `free`, `vmstat`, `lscpu` and the kernel's files, read here once more.

use super::bracket::{Facts, Parity};
use super::{file, said};

/// A line `Name: 123 kB` in bytes, or a bare number.
fn line(text: &str, name: &str) -> Option<f64> {
    let start = format!("{name}:");
    let rest = text.lines().find_map(|line| line.strip_prefix(&start))?;
    let mut words = rest.split_whitespace();
    let number: f64 = words.next()?.parse().unwrap();
    Some(if words.next() == Some("kB") { number * 1024.0 } else { number })
}

/// A line `name 123`.
fn plain(text: &str, name: &str) -> Option<f64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next().unwrap().parse().unwrap()))
}

const MEMINFO: &[(&str, &str)] = &[
    ("total", "MemTotal"),
    ("free", "MemFree"),
    ("buffers", "Buffers"),
    ("cached", "Cached"),
    ("slab", "Slab"),
    ("reclaimable", "SReclaimable"),
    ("dirty", "Dirty"),
    ("writeback", "Writeback"),
    ("anon", "AnonPages"),
    ("shmem", "Shmem"),
    ("mapped", "Mapped"),
    ("page_table", "PageTables"),
    ("kernel_stack", "KernelStack"),
    ("hugepage_size", "Hugepagesize"),
    ("hugetlb", "Hugetlb"),
    ("anon_hugepages", "AnonHugePages"),
    ("zswap", "Zswap"),
    ("zswap_stored", "Zswapped"),
    ("committed", "Committed_AS"),
    ("commit_limit", "CommitLimit"),
    ("swap_total", "SwapTotal"),
    ("swap_free", "SwapFree"),
    ("swap_cached", "SwapCached"),
];

fn put(facts: &mut Facts, row: &str, column: &str, value: Option<f64>) {
    match value {
        Some(value) => facts.number(row, column, value),
        None => facts.missing(row, column),
    }
}

/// Sum of a word of `mm_stat` over all zram devices.
fn zram(word: usize) -> Option<f64> {
    let disks = std::fs::read_dir("/sys/block").ok()?.flatten();
    let stats = disks.filter_map(|disk| std::fs::read_to_string(disk.path().join("mm_stat")).ok());
    stats.map(|text| text.split_whitespace().nth(word).unwrap().parse::<f64>().unwrap()).reduce(|a, b| a + b)
}

fn files() -> Facts {
    let mut facts = Facts::default();
    let meminfo = file("/proc/meminfo");
    for (column, name) in MEMINFO {
        put(&mut facts, "", column, line(&meminfo, name));
    }
    let commit = line(&meminfo, "Committed_AS").unwrap() / line(&meminfo, "CommitLimit").unwrap();
    facts.number("", "commit_share", commit);
    let huge = line(&meminfo, "Hugepagesize");
    for (column, name) in [("hugepage_total", "HugePages_Total"), ("hugepage_free", "HugePages_Free")] {
        put(&mut facts, "", column, line(&meminfo, name).and_then(|pages| Some(pages * huge?)));
    }
    let page: f64 = said("getconf", &["PAGESIZE"]).trim().parse().unwrap();
    let vmstat = file("/proc/vmstat");
    for (column, name, unit) in [
        ("swap_in", "pswpin", page),
        ("swap_out", "pswpout", page),
        ("major_faults", "pgmajfault", 1.0),
        ("oom_kills", "oom_kill", 1.0),
    ] {
        put(&mut facts, "", column, plain(&vmstat, name).map(|value| value * unit));
    }
    let ksm = |name: &str| std::fs::read_to_string(format!("/sys/kernel/mm/ksm/{name}")).ok();
    let bytes = |name: &str| ksm(name).map(|text| text.trim().parse::<f64>().unwrap() * page);
    put(&mut facts, "", "ksm_shared", bytes("pages_shared"));
    put(&mut facts, "", "ksm_saved", bytes("pages_sharing"));
    put(&mut facts, "", "zram_stored", zram(0));
    put(&mut facts, "", "zram", zram(2));
    facts
}

#[test]
fn memory_is_what_the_kernel_and_free_say() {
    let mut memory = Parity::of("memory", &[]);
    memory.agrees(files);
    memory.agrees(|| {
        let free = said("free", &["-b", "-w"]);
        let words: Vec<Vec<&str>> = free.lines().map(|line| line.split_whitespace().collect()).collect();
        let mut facts = Facts::default();
        let mut put = |column: &str, value: &str| facts.number("", column, value.parse().unwrap());
        let [head, memory, swap] = words.as_slice() else { panic!("{free}") };
        assert_eq!(head.join(" "), "total used free shared buffers cache available");
        for (column, at) in [("total", 1), ("free", 3), ("shmem", 4), ("buffers", 5), ("available", 7)] {
            put(column, memory[at]);
        }
        put("swap_total", swap[1]);
        put("swap_free", swap[3]);
        let number = |word: &str| word.parse::<f64>().unwrap();
        let (total, taken) = (number(memory[1]), number(memory[1]) - number(memory[7]));
        facts.number("", "taken", taken);
        facts.number("", "used", taken / total);
        facts.number("", "swap_taken", number(swap[2]));
        match number(swap[1]) {
            // nothing is no share of nothing
            0.0 => facts.missing("", "swap_used"),
            total => facts.number("", "swap_used", number(swap[2]) / total),
        }
        facts
    });
    // no ZFS here: the recorded trees have it
    assert!(!std::path::Path::new("/proc/spl").exists(), "compare the ZFS columns as well");
    memory.left_out(&["arc", "arc_min"]);
}

#[test]
fn numa_nodes_are_what_sysfs_and_lscpu_say() {
    let mut nodes = Parity::of("numa_node", &["node"]);
    let Ok(listed) = std::fs::read_to_string("/sys/devices/system/node/online") else { return nodes.absent() };
    let columns = [
        ("total", "MemTotal"),
        ("free", "MemFree"),
        ("file", "FilePages"),
        ("anon", "AnonPages"),
        ("shmem", "Shmem"),
        ("slab", "Slab"),
        ("reclaimable", "SReclaimable"),
        ("hugepages", "HugePages_Total"),
        ("hugepages_free", "HugePages_Free"),
    ];
    let counters = [
        ("hits", "numa_hit"),
        ("misses", "numa_miss"),
        ("foreign", "numa_foreign"),
        ("local", "local_node"),
        ("remote", "other_node"),
    ];
    let known = nodes.keys();
    nodes.agrees(|| {
        let mut facts = Facts::default();
        for node in &known {
            let read = |name: &str| file(&format!("/sys/devices/system/node/node{node}/{name}"));
            let meminfo = read("meminfo").replace(&format!("Node {node} "), "");
            for (column, name) in columns {
                put(&mut facts, node, column, line(&meminfo, name));
            }
            let used = line(&meminfo, "MemUsed").zip(line(&meminfo, "MemTotal"));
            put(&mut facts, node, "used", used.map(|(used, total)| used / total));
            for (column, name) in counters {
                put(&mut facts, node, column, plain(&read("numastat"), name));
            }
        }
        facts
    });
    nodes.agrees(|| {
        let mut facts = Facts::default();
        // the same bits, written by another part of the kernel
        for node in &known {
            let map = file(&format!("/sys/devices/system/node/node{node}/cpumap"));
            let mask = u128::from_str_radix(&map.trim().replace(',', ""), 16).unwrap();
            let cpus: Vec<String> = (0..128).filter(|cpu| mask >> cpu & 1 == 1).map(|cpu| cpu.to_string()).collect();
            facts.text(node, "cpus", &ranges(&cpus));
        }
        facts
    });
    let text: Vec<_> = known.iter().cloned().collect();
    assert_eq!(ranges(&text), listed.trim());
    nodes.left_out(&["node"]);
}

/// `0,1,2,5` as the kernel writes it: `0-2,5`.
fn ranges(numbers: &[String]) -> String {
    let mut out: Vec<(u32, u32)> = Vec::new();
    for number in numbers.iter().map(|number| number.parse::<u32>().unwrap()) {
        match out.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => out.push((number, number)),
        }
    }
    let part = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    out.iter().map(part).collect::<Vec<_>>().join(",")
}
