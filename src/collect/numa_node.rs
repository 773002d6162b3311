//! How is memory spread over the NUMA nodes, and does it lie where it is used?

use std::time::Duration;

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::Text;
use crate::source::file::Root;
use crate::source::lines;
use crate::table;

table! {
    /// One NUMA node. Counts of pages are missing where the kernel keeps none.
    ///
    /// Source: `Documentation/ABI/stable/sysfs-devices-node`, `Documentation/admin-guide/numastat.rst`.
    pub struct NumaNodeRow = "numa_node" { title: Some("NUMA nodes"), history: History::Whole } {
        /// Number of the node.
        Id(None) node: u64 { label: true },
        /// CPUs of the node.
        Text(None) cpus: Option<Text> { title: Some("CPUs") },
        /// Memory of the node.
        Gauge(Bytes) total: Option<u64>,
        /// Memory of the node that holds nothing.
        Gauge(Bytes) free: Option<u64>,
        /// Cache of files.
        Gauge(Bytes) file: Option<u64>,
        /// Programs' own memory that no file backs.
        Gauge(Bytes) anon: Option<u64>,
        /// Shared memory and tmpfs.
        Gauge(Bytes) shmem: Option<u64> { wide: true },
        /// Data structures of the kernel.
        Gauge(Bytes) slab: Option<u64>,
        /// Data structures of the kernel that shrink on demand.
        Gauge(Bytes) reclaimable: Option<u64> { wide: true },
        /// Huge pages of the default size, in pages.
        Gauge(None) hugepages: Option<u64> { title: Some("huge") },
        /// Huge pages of the default size that are not in use, in pages.
        Gauge(None) hugepages_free: Option<u64> { title: Some("huge free") },
        /// Pages given here as wished.
        Counter(Events) hits: Option<u64> { wide: true },
        /// Pages given here although another node was wished.
        Counter(Events) misses: Option<u64>,
        /// Pages wished here but given by another node.
        Counter(Events) foreign: Option<u64>,
        /// Pages given here to programs that ran here.
        Counter(Events) local: Option<u64> { wide: true },
        /// Pages given here to programs that ran on another node.
        Counter(Events) remote: Option<u64>,
    }
    derived {
        /// Share of the node's memory that holds something.
        used(Ratio) = "(total - free) / total" { title: Some("used%"), summary: Some(Fold::Max) },
        /// Share of allocations that went to programs on another node.
        remote_share(Ratio) = "remote / (local + remote)" { title: Some("remote%") },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "numa_node",
    tables: &[NumaNodeRow::TABLE],
    interval: Duration::from_secs(2),
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<NumaNodeCollector>::default(),
};

#[derive(Default)]
struct NumaNodeCollector {
    buffer: Vec<u8>,
}

impl Collect for NumaNodeCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let nodes = Root::new(cx.roots.sys.join("devices/system/node"));
        let names = nodes.list("")?;
        let mut numbers: Vec<u64> =
            names.iter().filter_map(|name| name.to_str()?.strip_prefix("node")?.parse().ok()).collect();
        numbers.sort_unstable();
        if numbers.is_empty() {
            return Err(Skip::absent(format!("list {}: no node", nodes.path().display())));
        }
        out.push(numbers.into_iter().map(|node| self.row(&nodes, node)).collect());
        Ok(())
    }
}

impl NumaNodeCollector {
    fn row(&mut self, nodes: &Root, node: u64) -> NumaNodeRow {
        let mut row = empty(node);
        if let Ok(text) = nodes.text_into(format!("node{node}/cpulist"), &mut self.buffer) {
            row.cpus = Some(text.trim()).filter(|list| !list.is_empty()).map(Text::from);
        }
        if let Ok(text) = nodes.text_into(format!("node{node}/meminfo"), &mut self.buffer) {
            meminfo(text, &mut row);
        }
        if let Ok(text) = nodes.text_into(format!("node{node}/numastat"), &mut self.buffer) {
            numastat(text, &mut row);
        }
        row
    }
}

fn meminfo(text: &str, row: &mut NumaNodeRow) {
    // each line is that of /proc/meminfo behind `Node 0 `
    for line in text.lines().filter_map(|line| line.strip_prefix("Node ")?.split_once(' ')) {
        let Some((name, rest)) = lines::pairs(line.1).next() else { continue };
        let slot = match name {
            "MemTotal" => &mut row.total,
            "MemFree" => &mut row.free,
            "FilePages" => &mut row.file,
            "AnonPages" => &mut row.anon,
            "Shmem" => &mut row.shmem,
            "Slab" => &mut row.slab,
            "SReclaimable" => &mut row.reclaimable,
            "HugePages_Total" => &mut row.hugepages,
            "HugePages_Free" => &mut row.hugepages_free,
            _ => continue,
        };
        *slot = lines::size(rest);
    }
}

fn numastat(text: &str, row: &mut NumaNodeRow) {
    for (name, rest) in lines::pairs(text) {
        let slot = match name {
            "numa_hit" => &mut row.hits,
            "numa_miss" => &mut row.misses,
            "numa_foreign" => &mut row.foreign,
            "local_node" => &mut row.local,
            "other_node" => &mut row.remote,
            _ => continue,
        };
        *slot = lines::size(rest);
    }
}

fn empty(node: u64) -> NumaNodeRow {
    NumaNodeRow {
        node,
        cpus: None,
        total: None,
        free: None,
        file: None,
        anon: None,
        shmem: None,
        slab: None,
        reclaimable: None,
        hugepages: None,
        hugepages_free: None,
        hits: None,
        misses: None,
        foreign: None,
        local: None,
        remote: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::Tree;
    use crate::model::State;

    #[test]
    fn nodes_with_gaps_and_without_memory_are_read() {
        let tree = Tree::new(&[
            ("sys/devices/system/node/node10/meminfo", "\nNode 10 MemTotal:       2 kB\nNode 10 MemFree: 1 kB\n"),
            (
                "sys/devices/system/node/node10/numastat",
                "numa_hit 1\nnuma_miss 2\nnuma_foreign 3\nlocal_node 4\nother_node 5\n",
            ),
            ("sys/devices/system/node/node2/cpulist", "0-3,8\n"),
            ("sys/devices/system/node/has_cpu", "2\n"),
        ]);
        assert_eq!(
            tree.table(&ENTRY, NumaNodeRow::TABLE),
            "node=2 cpus=0-3,8\n\
             node=10 total=2048 free=1024 hits=1 misses=2 foreign=3 local=4 remote=5\n"
        );
    }

    #[test]
    fn a_kernel_without_numa_is_absent() {
        assert_eq!(Tree::new(&[]).status(&ENTRY).state, State::Absent);
    }
}
