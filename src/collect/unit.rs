//! What do the system's services use?
//!
//! systemd gives every service a cgroup; the tree is walked through `source/unit`, no daemon is asked.

use std::time::Duration;

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::Text;
use crate::source::unit::{Kind, MAX_UNITS, UnitReader, Usage};
use crate::{label, table};

label! {
    /// Who made a unit's processes.
    pub enum UnitKind { Service = "service", Scope = "scope" }
}

impl From<Kind> for UnitKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Service => Self::Service,
            Kind::Scope => Self::Scope,
        }
    }
}

table! {
    /// One running unit of systemd: a service, or a scope such as a session, a container or a virtual machine.
    ///
    /// What systemd does not account for a unit is missing: without `CPUAccounting=`, `MemoryAccounting=` and so on there
    /// may be no more than the number of tasks; pressure needs cgroup version 2.
    ///
    /// Source: `Documentation/admin-guide/cgroup-v2.rst`, `Documentation/admin-guide/cgroup-v1/`.
    pub struct UnitRow = "unit" { title: Some("Services"), history: History::Top } {
        /// Path of the unit in the tree of control groups.
        Id(None) cgroup: Text { wide: true },
        /// Name of the unit.
        Text(None) name: Text { label: true },
        /// Who made its processes.
        Text(None) kind: UnitKind { wide: true },
        /// CPU time of all its processes, past ones included.
        Counter(Seconds) cpu: Option<f64> { title: Some("CPU"), top: true, cpu: true },
        /// Memory, its share of the file cache included.
        Gauge(Bytes) memory: Option<u64>,
        /// Memory that no file backs.
        Gauge(Bytes) anon: Option<u64> { wide: true },
        /// Most memory that it may have.
        Gauge(Bytes) memory_max: Option<u64> { wide: true },
        /// Memory of its processes that was moved to swap.
        Gauge(Bytes) swap: Option<u64> { wide: true },
        /// Processes and threads, or processes alone where the kernel counts no threads.
        Gauge(None) tasks: Option<u64>,
        /// Read from storage.
        Counter(Bytes) read_bytes: Option<u64> { title: Some("R/s") },
        /// Written to storage.
        Counter(Bytes) written_bytes: Option<u64> { title: Some("W/s") },
        /// Time in which it was held back by its CPU limit.
        Counter(Seconds) throttled: Option<f64> { wide: true },
        /// Processes killed for want of memory.
        Counter(Events) oom_kills: Option<u64> { title: Some("OOM kills"), wide: true },
        /// Share of the last ten seconds in which a task waited for the CPU.
        Gauge(Ratio) cpu_pressure: Option<f64>,
        /// Share of the last ten seconds in which a task waited for memory.
        Gauge(Ratio) memory_pressure: Option<f64>,
        /// Share of the last ten seconds in which a task waited for storage.
        Gauge(Ratio) io_pressure: Option<f64>,
    }
    derived {
        /// Share of the allowed memory that is taken.
        memory_used(Ratio) = "memory / memory_max" { title: Some("mem%"), wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "unit",
    tables: &[UnitRow::TABLE],
    interval: Duration::from_secs(5),
    // the kernel first sums up the counts of all CPUs below a group, which takes its time on a large host
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<UnitCollector>::default(),
};

#[derive(Default)]
struct UnitCollector {
    reader: UnitReader,
}

impl Collect for UnitCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let (units, left_out) = self.reader.read(&cx.roots.sys)?;
        out.left_out(UnitRow::TABLE, left_out, MAX_UNITS, "units, or slices that are nested too deep,");
        if units.is_empty() {
            let tree = cx.roots.sys.join("fs/cgroup");
            return Err(Skip::absent(format!("list {}: no unit of systemd", tree.display())));
        }
        out.push(units.into_iter().map(|(name, kind, path, usage)| row(name, kind, path, &usage)).collect());
        Ok(())
    }
}

fn row(name: Text, kind: Kind, cgroup: Text, usage: &Usage) -> UnitRow {
    UnitRow {
        cgroup,
        name,
        kind: kind.into(),
        cpu: usage.cpu,
        memory: usage.memory,
        anon: usage.anon,
        memory_max: usage.memory_max,
        swap: usage.swap,
        tasks: usage.tasks,
        read_bytes: usage.read,
        written_bytes: usage.written,
        throttled: usage.throttled,
        oom_kills: usage.oom_kills,
        cpu_pressure: usage.cpu_pressure,
        memory_pressure: usage.memory_pressure,
        io_pressure: usage.io_pressure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::Tree;
    use crate::model::State;

    #[test]
    fn services_and_scopes_of_version_2_are_found_below_nested_slices() {
        let vm = "sys/fs/cgroup/machine.slice/machine-qemu\\x2d1\\x2dweb.scope";
        let tree = Tree::new(&[
            ("sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n"),
            (
                "sys/fs/cgroup/system.slice/ssh.service/cpu.stat",
                "usage_usec 2500000\nuser_usec 1\nthrottled_usec 500000\n",
            ),
            ("sys/fs/cgroup/system.slice/ssh.service/memory.current", "4096\n"),
            ("sys/fs/cgroup/system.slice/ssh.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/ssh.service/pids.current", "3\n"),
            ("sys/fs/cgroup/system.slice/ssh.service/cpu.pressure", "some avg10=1.00 avg60=0 avg300=0 total=0\n"),
            ("sys/fs/cgroup/system.slice/ssh.service/worker/pids.current", "1\n"),
            (&format!("{vm}/memory.current"), "8192\n"),
            (&format!("{vm}/memory.max"), "16384\n"),
            (
                &format!("{vm}/io.stat"),
                "8:0 rbytes=100 wbytes=200 rios=1 wios=2\n8:16 rbytes=1 wbytes=2 rios=1 wios=2\n",
            ),
        ]);
        assert_eq!(
            tree.table(&ENTRY, UnitRow::TABLE),
            "cgroup=/machine.slice/machine-qemu\\x2d1\\x2dweb.scope name=machine-qemu\\x2d1\\x2dweb.scope kind=scope memory=8192 \
             memory_max=16384 read_bytes=101 written_bytes=202\n\
             cgroup=/system.slice/ssh.service name=ssh.service kind=service cpu=2.5 memory=4096 tasks=3 throttled=0.5 \
             cpu_pressure=0.01\n"
        );
    }

    #[test]
    fn version_1_is_put_together_from_its_hierarchies() {
        let tree = Tree::new(&[
            ("sys/fs/cgroup/systemd/system.slice/cron.service/cgroup.procs", "17\n19\n"),
            ("sys/fs/cgroup/cpu,cpuacct/system.slice/cron.service/cpuacct.usage", "1500000000\n"),
            ("sys/fs/cgroup/memory/system.slice/cron.service/memory.usage_in_bytes", "4096\n"),
            ("sys/fs/cgroup/memory/system.slice/cron.service/memory.limit_in_bytes", "9223372036854771712\n"),
            (
                "sys/fs/cgroup/memory/system.slice/cron.service/memory.stat",
                "rss 1\nswap 2\ntotal_rss 2048\ntotal_swap 512\n",
            ),
            (
                "sys/fs/cgroup/memory/system.slice/cron.service/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            ),
            (
                "sys/fs/cgroup/cpu,cpuacct/system.slice/cron.service/cpu.stat",
                "nr_periods 9\nthrottled_time 250000000\n",
            ),
            (
                "sys/fs/cgroup/blkio/system.slice/cron.service/blkio.throttle.io_service_bytes",
                "8:0 Read 100\n8:0 Write 20\n8:0 Total 120\n8:16 Read 1\n8:16 Write 2\nTotal 123\n",
            ),
        ]);
        assert_eq!(
            tree.table(&ENTRY, UnitRow::TABLE),
            "cgroup=/system.slice/cron.service name=cron.service kind=service cpu=1.5 memory=4096 anon=2048 swap=512 tasks=2 \
             read_bytes=101 written_bytes=22 throttled=0.25 oom_kills=3\n"
        );
    }

    #[test]
    fn names_that_are_not_text_are_shown_and_differ() {
        use std::os::unix::ffi::OsStrExt as _;
        let tree = Tree::new(&[("sys/fs/cgroup/cgroup.controllers", "cpu\n")]);
        for name in [b"a\xff.service".as_slice(), b"a\xfe.service"] {
            let slice = tree.path().join("sys/fs/cgroup/user.slice");
            std::fs::create_dir_all(slice.join(std::ffi::OsStr::from_bytes(name))).unwrap();
        }
        assert_eq!(
            tree.table(&ENTRY, UnitRow::TABLE),
            "cgroup=/user.slice/a\\xfe.service name=a\\xfe.service kind=service\n\
             cgroup=/user.slice/a\\xff.service name=a\\xff.service kind=service\n"
        );
    }

    #[test]
    fn without_systemd_there_are_no_units() {
        assert_eq!(Tree::new(&[]).status(&ENTRY).state, State::Absent);
        let tree = Tree::new(&[("sys/fs/cgroup/cgroup.controllers", "cpu\n")]);
        assert_eq!(tree.status(&ENTRY).state, State::Absent);
    }

    #[test]
    fn slices_that_are_nested_too_deep_are_counted() {
        let tree = Tree::new(&[("sys/fs/cgroup/cgroup.controllers", "cpu\n")]);
        let deep = "a.slice/".repeat(12);
        for name in ["ssh.service".to_owned(), format!("{deep}b.scope"), format!("{deep}c.slice/d.scope")] {
            std::fs::create_dir_all(tree.path().join("sys/fs/cgroup").join(name)).unwrap();
        }
        let mut batch = tree.collect(&ENTRY).unwrap();
        assert_eq!(batch.rows(UnitRow::TABLE).unwrap().len(), 2);
        let part = batch.take_partly();
        assert!(part[0].1.reason.starts_with("1 units, or slices"), "{part:?}");
    }
}
