//! Where has the memory gone?
//!
//! Reads `/proc/meminfo`, the swap counters of `/proc/vmstat`, and what ZFS, KSM and zram say of themselves.

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Mono;
use crate::source::file::Roots;
use crate::source::{Error, lines};
use crate::table;

table! {
    /// Memory and swap of the host. What the kernel does not have or does not say is missing.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/meminfo`, `/proc/vmstat`; `Documentation/admin-guide/mm/ksm.rst`;
    /// `Documentation/admin-guide/blockdev/zram.rst`; `/proc/spl/kstat/zfs/arcstats` of OpenZFS.
    pub struct MemoryRow = "memory" { shape: Shape::Single, title: Some("Memory"), history: History::Whole } {
        /// Memory that the kernel manages.
        Gauge(Bytes) total: u64,
        /// Estimate of what new programs can get without swapping, the part of the ZFS cache that shrinks for them included.
        Gauge(Bytes) available: Option<u64>,
        /// Memory that holds nothing.
        Gauge(Bytes) free: u64,
        /// Cache of raw block devices.
        Gauge(Bytes) buffers: Option<u64>,
        /// Cache of files, tmpfs and shared memory included.
        Gauge(Bytes) cached: Option<u64>,
        /// Data structures of the kernel.
        Gauge(Bytes) slab: Option<u64>,
        /// Data structures of the kernel that shrink on demand.
        Gauge(Bytes) reclaimable: Option<u64> { wide: true },
        /// Waiting to be written to storage.
        Gauge(Bytes) dirty: Option<u64>,
        /// Being written to storage.
        Gauge(Bytes) writeback: Option<u64> { wide: true },
        /// Programs' own memory that no file backs.
        Gauge(Bytes) anon: Option<u64>,
        /// Shared memory and tmpfs.
        Gauge(Bytes) shmem: Option<u64>,
        /// Files mapped into programs.
        Gauge(Bytes) mapped: Option<u64> { wide: true },
        /// Page tables.
        Gauge(Bytes) page_table: Option<u64> { wide: true },
        /// Kernel stacks.
        Gauge(Bytes) kernel_stack: Option<u64> { wide: true },
        /// Reserved as huge pages of the default size.
        Gauge(Bytes) hugepage_total: Option<u64> { title: Some("huge") },
        /// Reserved as huge pages of the default size and not in use.
        Gauge(Bytes) hugepage_free: Option<u64> { title: Some("huge free") },
        /// Default size of a huge page.
        Gauge(Bytes) hugepage_size: Option<u64> { wide: true },
        /// Reserved as huge pages of all sizes.
        Gauge(Bytes) hugetlb: Option<u64> { wide: true },
        /// Programs' memory in transparent huge pages.
        Gauge(Bytes) anon_hugepages: Option<u64> { wide: true },
        /// Pages that KSM keeps once for several users.
        Gauge(Bytes) ksm_shared: Option<u64> { title: Some("KSM shared"), wide: true },
        /// What would be needed in addition without KSM.
        Gauge(Bytes) ksm_saved: Option<u64> { title: Some("KSM saved") },
        /// Memory taken by the compressed swap cache.
        Gauge(Bytes) zswap: Option<u64> { wide: true },
        /// Size before compression of what is in the compressed swap cache.
        Gauge(Bytes) zswap_stored: Option<u64> { wide: true },
        /// Memory taken by compressed block devices.
        Gauge(Bytes) zram: Option<u64> { wide: true },
        /// Size before compression of what compressed block devices hold.
        Gauge(Bytes) zram_stored: Option<u64> { wide: true },
        /// ZFS cache.
        Gauge(Bytes) arc: Option<u64> { title: Some("ZFS ARC") },
        /// Size below which the ZFS cache does not shrink.
        Gauge(Bytes) arc_min: Option<u64> { wide: true },
        /// Promised to programs.
        Gauge(Bytes) committed: Option<u64>,
        /// Largest promise under strict accounting.
        Gauge(Bytes) commit_limit: Option<u64> { wide: true },
        /// Size of all swap areas.
        Gauge(Bytes) swap_total: Option<u64> { title: Some("swap") },
        /// Swap that holds nothing.
        Gauge(Bytes) swap_free: Option<u64>,
        /// Swap whose content is in memory, too.
        Gauge(Bytes) swap_cached: Option<u64> { wide: true },
        /// Read back from swap.
        Counter(Bytes) swap_in: Option<u64> { title: Some("swap in") },
        /// Written to swap.
        Counter(Bytes) swap_out: Option<u64> { title: Some("swap out") },
        /// Page faults that had to read storage.
        Counter(Events) major_faults: Option<u64> { wide: true },
        /// Processes killed for want of memory.
        Counter(Events) oom_kills: Option<u64> { title: Some("OOM kills") },
    }
    derived {
        /// Share of memory that is not available to new programs.
        used(Ratio) = "(total - available) / total" { title: Some("used%"), summary: Some(Fold::Max), glance: true },
        /// Memory that is not available to new programs.
        taken(Bytes) = "total - available" { title: Some("used") },
        /// Swap that is taken.
        swap_taken(Bytes) = "swap_total - swap_free" { title: Some("swap used") },
        /// Share of swap that is taken.
        swap_used(Ratio) = "(swap_total - swap_free) / swap_total" { title: Some("swap%"), summary: Some(Fold::Max) },
        /// Promised memory for each byte of the limit.
        commit_share(Ratio) = "committed / commit_limit" { title: Some("commit%"), wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "memory",
    tables: &[MemoryRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<MemoryCollector>::default(),
};

/// How often new zram devices are looked for.
const LOOK_EVERY: f64 = 30.0;

#[derive(Default)]
struct MemoryCollector {
    buffer: Vec<u8>,
    zrams: Vec<String>,
    looked: Option<Mono>,
}

impl Collect for MemoryCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let roots = cx.roots;
        let text = roots.proc.text_into("meminfo", &mut self.buffer)?;
        let mut row = meminfo(text)
            .ok_or_else(|| Error::malformed(roots.proc.join("meminfo"), "MemTotal and MemFree are expected"))?;
        let page = rustix::param::page_size() as u64;
        if let Ok(text) = roots.proc.text_into("vmstat", &mut self.buffer) {
            vmstat(text, page, &mut row);
        }
        if let Ok(text) = roots.proc.text_into("spl/kstat/zfs/arcstats", &mut self.buffer) {
            row.arc = arcstat(text, "size");
            row.arc_min = arcstat(text, "c_min");
            add_arc(&mut row);
        }
        let ksm = |file: &str| roots.sys.number::<u64>(file).and_then(|pages| pages.checked_mul(page));
        row.ksm_shared = ksm("kernel/mm/ksm/pages_shared");
        row.ksm_saved = ksm("kernel/mm/ksm/pages_sharing");
        self.add_zram(roots, cx.mono, &mut row);
        out.push(vec![row]);
        Ok(())
    }
}

impl MemoryCollector {
    fn add_zram(&mut self, roots: &Roots, now: Mono, row: &mut MemoryRow) {
        if self.looked.is_none_or(|looked| now.since(looked) >= LOOK_EVERY) {
            self.looked = Some(now);
            self.zrams.clear();
            let names = roots.sys.list("block").into_iter().flatten();
            self.zrams.extend(names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("zram")));
        }
        for name in &self.zrams {
            let Ok(text) = roots.sys.text_into(format!("block/{name}/mm_stat"), &mut self.buffer) else { continue };
            let mut fields = text.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
            let (stored, _compressed, taken) = (fields.next().flatten(), fields.next(), fields.next().flatten());
            if let (Some(stored), Some(taken)) = (stored, taken) {
                row.zram_stored = Some(row.zram_stored.map_or(stored, |sum| sum.saturating_add(stored)));
                row.zram = Some(row.zram.map_or(taken, |sum| sum.saturating_add(taken)));
            }
        }
    }
}

/// The part of the ZFS cache above its minimum is given back on demand, but the kernel does not know that.
fn add_arc(row: &mut MemoryRow) {
    if let (Some(available), Some(arc), Some(least)) = (row.available, row.arc, row.arc_min) {
        row.available = Some(available.saturating_add(arc.saturating_sub(least)).min(row.total));
    }
}

fn meminfo(text: &str) -> Option<MemoryRow> {
    let mut row = empty();
    let (mut total, mut free, mut pages, mut free_pages) = (None, None, None, None);
    for (name, rest) in lines::pairs(text) {
        let slot = match name {
            "MemTotal" => &mut total,
            "MemFree" => &mut free,
            "MemAvailable" => &mut row.available,
            "Buffers" => &mut row.buffers,
            "Cached" => &mut row.cached,
            "Slab" => &mut row.slab,
            "SReclaimable" => &mut row.reclaimable,
            "Dirty" => &mut row.dirty,
            "Writeback" => &mut row.writeback,
            "AnonPages" => &mut row.anon,
            "Shmem" => &mut row.shmem,
            "Mapped" => &mut row.mapped,
            "PageTables" => &mut row.page_table,
            "KernelStack" => &mut row.kernel_stack,
            "HugePages_Total" => &mut pages,
            "HugePages_Free" => &mut free_pages,
            "Hugepagesize" => &mut row.hugepage_size,
            "Hugetlb" => &mut row.hugetlb,
            "AnonHugePages" => &mut row.anon_hugepages,
            "Zswap" => &mut row.zswap,
            "Zswapped" => &mut row.zswap_stored,
            "Committed_AS" => &mut row.committed,
            "CommitLimit" => &mut row.commit_limit,
            "SwapTotal" => &mut row.swap_total,
            "SwapFree" => &mut row.swap_free,
            "SwapCached" => &mut row.swap_cached,
            _ => continue,
        };
        *slot = lines::size(rest);
    }
    (row.total, row.free) = (total?, free?);
    let bytes = |pages: Option<u64>| pages?.checked_mul(row.hugepage_size?);
    (row.hugepage_total, row.hugepage_free) = (bytes(pages), bytes(free_pages));
    Some(row)
}

fn vmstat(text: &str, page: u64, row: &mut MemoryRow) {
    for (name, rest) in lines::pairs(text) {
        match name {
            "pswpin" => row.swap_in = lines::size(rest).and_then(|pages| pages.checked_mul(page)),
            "pswpout" => row.swap_out = lines::size(rest).and_then(|pages| pages.checked_mul(page)),
            "pgmajfault" => row.major_faults = lines::size(rest),
            "oom_kill" => row.oom_kills = lines::size(rest),
            _ => {}
        }
    }
}

/// A line is name, type and value.
fn arcstat(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = lines::pairs(text).find(|(known, _)| *known == name)?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn empty() -> MemoryRow {
    MemoryRow {
        total: 0,
        available: None,
        free: 0,
        buffers: None,
        cached: None,
        slab: None,
        reclaimable: None,
        dirty: None,
        writeback: None,
        anon: None,
        shmem: None,
        mapped: None,
        page_table: None,
        kernel_stack: None,
        hugepage_total: None,
        hugepage_free: None,
        hugepage_size: None,
        hugetlb: None,
        anon_hugepages: None,
        ksm_shared: None,
        ksm_saved: None,
        zswap: None,
        zswap_stored: None,
        zram: None,
        zram_stored: None,
        arc: None,
        arc_min: None,
        committed: None,
        commit_limit: None,
        swap_total: None,
        swap_free: None,
        swap_cached: None,
        swap_in: None,
        swap_out: None,
        major_faults: None,
        oom_kills: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::{Tree, number, run};
    use crate::model::State;

    #[test]
    fn every_value_of_meminfo_is_read_under_its_own_name() {
        let text = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\nBuffers: 11 kB\nCached: 12 kB\n\
                    SwapCached: 13 kB\nSwapTotal: 14 kB\nSwapFree: 15 kB\nDirty: 16 kB\nWriteback: 17 kB\nAnonPages: 18 kB\n\
                    Mapped: 19 kB\nShmem: 20 kB\nSlab: 21 kB\nSReclaimable: 22 kB\nKernelStack: 23 kB\nPageTables: 24 kB\n\
                    CommitLimit: 25 kB\nCommitted_AS: 26 kB\nHugePages_Total: 3\nHugePages_Free: 2\nHugepagesize: 2 kB\n";
        let tree = Tree::new(&[("proc/meminfo", text)]);
        let kib = |n: u64| (n * 1024).to_string();
        let want = [
            ("total", 1000),
            ("available", 400),
            ("free", 100),
            ("buffers", 11),
            ("cached", 12),
            ("slab", 21),
            ("reclaimable", 22),
            ("dirty", 16),
            ("writeback", 17),
            ("anon", 18),
            ("shmem", 20),
            ("mapped", 19),
            ("page_table", 24),
            ("kernel_stack", 23),
            ("hugepage_total", 6),
            ("hugepage_free", 4),
            ("hugepage_size", 2),
            ("committed", 26),
            ("commit_limit", 25),
            ("swap_total", 14),
            ("swap_free", 15),
            ("swap_cached", 13),
        ];
        let want: Vec<_> = want.iter().map(|(name, n)| format!("{name}={}", kib(*n))).collect();
        assert_eq!(tree.table(&ENTRY, MemoryRow::TABLE), want.join(" ") + "\n");
    }

    #[test]
    fn without_an_estimate_of_the_kernel_available_is_missing() {
        let tree = Tree::new(&[("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\nCached: 12 kB\n")]);
        assert_eq!(tree.table(&ENTRY, MemoryRow::TABLE), "total=1024000 free=102400 cached=12288\n");
        assert_eq!(Tree::new(&[("proc/meminfo", "MemFree: 1 kB\n")]).status(&ENTRY).state, State::Failed);
        assert_eq!(Tree::new(&[]).status(&ENTRY).state, State::Absent);
    }

    #[test]
    fn the_zfs_cache_above_its_minimum_is_available() {
        let arc = "13 1 0x01 147 39984 1 2\nname type data\nhits 4 99\nc_min 4 10240\nc_max 4 1\nsize 4 51200\n";
        let tree = Tree::new(&[
            ("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 200 kB\n"),
            ("proc/spl/kstat/zfs/arcstats", arc),
        ]);
        let batch = tree.collect(&ENTRY).unwrap();
        let cell = |name| number(&**batch.rows(MemoryRow::TABLE).unwrap(), None, name).unwrap();
        assert_eq!((cell("arc"), cell("arc_min"), cell("available")), (51_200.0, 10_240.0, 245_760.0));
    }

    #[test]
    fn compressed_devices_are_summed_and_swap_is_counted_in_bytes() {
        let tree = Tree::new(&[
            ("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 100 kB\n"),
            ("proc/vmstat", "pswpin 3\npswpout 5\npgmajfault 7\noom_kill 1\n"),
            ("sys/block/zram0/mm_stat", "  1000   300   400  0 0 0 0 0 0\n"),
            ("sys/block/zram3/mm_stat", "  2000   500   600  0 0 0 0 0 0\n"),
            ("sys/kernel/mm/ksm/pages_shared", "2\n"),
            ("sys/kernel/mm/ksm/pages_sharing", "9\n"),
        ]);
        let batch = tree.collect(&ENTRY).unwrap();
        let cell = |name| number(&**batch.rows(MemoryRow::TABLE).unwrap(), None, name).unwrap();
        let page = rustix::param::page_size() as f64;
        assert_eq!((cell("zram_stored"), cell("zram")), (3000.0, 1000.0));
        assert_eq!((cell("swap_in"), cell("swap_out")), (3.0 * page, 5.0 * page));
        assert_eq!((cell("ksm_shared"), cell("ksm_saved"), cell("oom_kills")), (2.0 * page, 9.0 * page, 1.0));
    }

    #[test]
    fn memory_agrees_with_what_sysinfo_of_the_kernel_says() {
        let batch = run(&mut MemoryCollector::default(), &Roots::live()).unwrap();
        let kernel = rustix::system::sysinfo();
        let unit = f64::from(kernel.mem_unit.max(1));
        let cell = |name| number(&**batch.rows(MemoryRow::TABLE).unwrap(), None, name).unwrap();
        let sizes = (kernel.totalram as f64 * unit, kernel.totalswap as f64 * unit);
        assert_eq!((cell("total"), cell("swap_total")), sizes);
        assert!(cell("free") <= cell("available") && cell("available") <= cell("total"));
    }
}
