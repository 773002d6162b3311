//! Which CPU does the put-off work of interrupts, and does it keep up with the network?

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::softirq::{self, SOFTIRQS, Softnet};
use crate::source::{Error, lines};
use crate::table;

table! {
    /// One CPU that is online: how often it did each kind of put-off work, and how it fares with received packets.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/softirqs`; `net/core/net-procfs.c`, `/proc/net/softnet_stat`.
    pub struct SoftirqRow = "softirq" { title: Some("Soft interrupts"), history: History::Whole } {
        /// Number of the CPU.
        Id(None) cpu: Text { title: Some("CPU"), label: true },
        /// Rounds of handling received packets.
        Counter(Events) net_rx: Option<u64> { title: Some("NET_RX") },
        /// Rounds of handling sent packets.
        Counter(Events) net_tx: Option<u64> { title: Some("NET_TX") },
        /// Expired timers.
        Counter(Events) timer: Option<u64> { wide: true },
        /// Finished requests of storage.
        Counter(Events) block: Option<u64> { title: Some("BLOCK") },
        /// Tasklets of ordinary priority.
        Counter(Events) tasklet: Option<u64> { wide: true },
        /// Tasklets of high priority.
        Counter(Events) hi: Option<u64> { wide: true },
        /// Polls of storage.
        Counter(Events) irq_poll: Option<u64> { wide: true },
        /// Balancing of tasks between CPUs.
        Counter(Events) sched: Option<u64> { wide: true },
        /// Expired timers of high resolution.
        Counter(Events) hrtimer: Option<u64> { wide: true },
        /// Deferred freeing of memory.
        Counter(Events) rcu: Option<u64> { title: Some("RCU"), wide: true },
        /// Packets received by this CPU.
        Counter(Packets) processed: Option<u64>,
        /// Packets lost because the backlog of this CPU was full.
        Counter(Packets) dropped: Option<u64> { summary: Some(Fold::Sum) },
        /// Times it ran out of time or budget with packets still waiting.
        Counter(Events) time_squeeze: Option<u64> { title: Some("squeezed"), summary: Some(Fold::Sum) },
        /// Times other CPUs asked it to receive packets.
        Counter(Events) received_rps: Option<u64> { title: Some("RPS"), wide: true },
        /// Packets lost because one flow had too much of the backlog.
        Counter(Packets) flow_limit: Option<u64> { wide: true },
        /// Packets waiting now.
        Gauge(Packets) backlog: Option<u64> { wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "softirq",
    tables: &[SoftirqRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<SoftirqCollector>::default(),
};

/// CPU numbers whose names are kept.
const MAX_NAMES: u64 = 1 << 16;

#[derive(Default)]
struct SoftirqCollector {
    buffer: Vec<u8>,
    names: Vec<Text>,
}

impl Collect for SoftirqCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let proc = &cx.roots.proc;
        let counts = softirq::softirqs(proc.text_into("softirqs", &mut self.buffer)?)
            .ok_or_else(|| Error::malformed(proc.join("softirqs"), "a line of at most 65536 CPU names is expected"))?;
        // the table of soft interrupts has a column for every CPU that could ever be plugged in
        let online = cx.roots.sys.text_into("devices/system/cpu/online", &mut self.buffer);
        let online = online.ok().and_then(lines::members).unwrap_or_else(|| counts.cpus.clone());
        let softnet = match proc.text_into("net/softnet_stat", &mut self.buffer) {
            Ok(text) => softirq::softnet(text, &online),
            Err(_) => Vec::new(),
        };
        let mut rows = Vec::with_capacity(online.len());
        for cpu in online {
            let net = softnet.iter().find(|(number, _)| *number == cpu).map(|(_, net)| net);
            let column = counts.cpus.iter().position(|number| *number == cpu);
            rows.push(row(self.name(cpu), |kind| counts.get(kind, column?), net));
        }
        out.push(rows);
        Ok(())
    }
}

impl SoftirqCollector {
    fn name(&mut self, cpu: u64) -> Text {
        if cpu >= MAX_NAMES {
            return Text::from(cpu.to_string());
        }
        while self.names.len() as u64 <= cpu {
            self.names.push(Text::from(self.names.len().to_string()));
        }
        self.names.get(cpu as usize).cloned().unwrap_or_else(|| Text::from(cpu.to_string()))
    }
}

fn row(cpu: Text, count: impl Fn(usize) -> Option<u64>, net: Option<&Softnet>) -> SoftirqRow {
    let kind = |name: &str| SOFTIRQS.iter().position(|known| *known == name).and_then(&count);
    SoftirqRow {
        cpu,
        net_rx: kind("NET_RX"),
        net_tx: kind("NET_TX"),
        timer: kind("TIMER"),
        block: kind("BLOCK"),
        tasklet: kind("TASKLET"),
        hi: kind("HI"),
        irq_poll: kind("IRQ_POLL"),
        sched: kind("SCHED"),
        hrtimer: kind("HRTIMER"),
        rcu: kind("RCU"),
        processed: net.and_then(|net| net.processed),
        dropped: net.and_then(|net| net.dropped),
        time_squeeze: net.and_then(|net| net.time_squeeze),
        received_rps: net.and_then(|net| net.received_rps),
        flow_limit: net.and_then(|net| net.flow_limit),
        backlog: net.and_then(|net| net.backlog),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::Tree;

    #[test]
    fn only_cpus_that_are_online_have_rows() {
        let tree = Tree::new(&[
            ("proc/softirqs", "     CPU0  CPU1  CPU2\n NET_TX:  1 2 3\n NET_RX: 4 5 6\n"),
            ("sys/devices/system/cpu/online", "0,2\n"),
            (
                "proc/net/softnet_stat",
                "0000000a 00000001 00000002 0 0 0 0 0 0 0\n000000ff 00000003 00000004 0 0 0 0 0 0 0\n",
            ),
        ]);
        assert_eq!(
            tree.table(&ENTRY, SoftirqRow::TABLE),
            "cpu=0 net_rx=4 net_tx=1 processed=10 dropped=1 time_squeeze=2 received_rps=0\n\
             cpu=2 net_rx=6 net_tx=3 processed=255 dropped=3 time_squeeze=4 received_rps=0\n"
        );
    }

    #[test]
    fn an_absurd_number_of_a_cpu_costs_no_memory() {
        let tree = Tree::new(&[
            ("proc/softirqs", "     CPU0\n NET_RX: 4\n"),
            ("sys/devices/system/cpu/online", "18446744073709551614\n"),
        ]);
        assert_eq!(tree.table(&ENTRY, SoftirqRow::TABLE), "cpu=18446744073709551614\n");
    }
}
