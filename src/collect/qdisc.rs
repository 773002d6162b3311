//! What waits to be sent on each interface, and what was dropped instead?
//!
//! Queueing disciplines and their classes, while somebody looks. Classes are asked for of those interfaces only that have a
//! discipline which may have any.

use std::collections::BTreeSet;

use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::Error;
use crate::source::netlink::qdisc::{self, Counts, Queue, ROOT};
use crate::source::netlink::route::{self, LinkNames};
use crate::source::netlink::{Family, Socket};
use crate::table;

table! {
    /// One queueing discipline of an interface. What the kernel does not count for it is missing.
    ///
    /// Source: rtnetlink `RTM_GETQDISC`, `include/uapi/linux/pkt_sched.h`, `include/uapi/linux/gen_stats.h`.
    pub struct QdiscRow = "qdisc" { title: Some("Queueing disciplines"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Its number; that of one that nobody has made is `0:`.
        Id(None) handle: Text,
        /// What it is below: `root`, or a class.
        Id(None) parent: Text,
        /// Name of the interface.
        Text(None) interface: Option<Text> { label: true },
        /// What it does, such as `htb` and `fq_codel`.
        Text(None) kind: Text,
        /// Data sent.
        Counter(Bytes) bytes: Option<u64> { traffic: true, top: true },
        /// Packets sent.
        Counter(Packets) packets: Option<u64>,
        /// Packets dropped.
        Counter(Packets) drops: Option<u64>,
        /// Times that packets had to wait for a limit.
        Counter(Events) overlimits: Option<u64>,
        /// Packets that the device did not take at once.
        Counter(Packets) requeues: Option<u64> { wide: true },
        /// Data that waits.
        Gauge(Bytes) backlog: Option<u64>,
        /// Packets that wait.
        Gauge(Packets) qlen: Option<u64>,
        /// Whether the device does it.
        Text(None) offloaded: bool { wide: true },
    }
}

table! {
    /// One class of a queueing discipline. What the kernel does not count for it is missing.
    ///
    /// Source: rtnetlink `RTM_GETTCLASS`, `include/uapi/linux/pkt_sched.h`, `include/uapi/linux/gen_stats.h`.
    pub struct ClassRow = "class" { title: Some("Classes of queueing disciplines"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Its number.
        Id(None) handle: Text { label: true },
        /// What it is below: `root`, or a class.
        Text(None) parent: Text,
        /// Name of the interface.
        Text(None) interface: Option<Text>,
        /// What its discipline does, such as `htb`.
        Text(None) kind: Text,
        /// Number of the discipline below it.
        Text(None) leaf: Option<Text> { wide: true },
        /// Data sent.
        Counter(Bytes) bytes: Option<u64> { traffic: true, top: true },
        /// Packets sent.
        Counter(Packets) packets: Option<u64>,
        /// Packets dropped.
        Counter(Packets) drops: Option<u64>,
        /// Times that packets had to wait for a limit.
        Counter(Events) overlimits: Option<u64>,
        /// Packets that were put back.
        Counter(Packets) requeues: Option<u64> { wide: true },
        /// Data that waits.
        Gauge(Bytes) backlog: Option<u64>,
        /// Packets that wait.
        Gauge(Packets) qlen: Option<u64>,
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "qdisc",
    tables: &[QdiscRow::TABLE, ClassRow::TABLE],
    interval: EVERY_SECOND,
    // the lock of the network configuration is held while they are told
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<QdiscCollector>::default(),
};

/// Disciplines, and as many classes, that become rows.
const MAX_QUEUES: usize = 1 << 16;
/// Disciplines that have no classes and that every interface may have by itself.
const WITHOUT: [&str; 4] = ["noqueue", "pfifo_fast", "pfifo", "bfifo"];

#[derive(Default)]
struct QdiscCollector {
    sockets: Everywhere<Socket>,
}

impl Collect for QdiscCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("disciplines are asked for over netlink, which a recorded tree has not"));
        }
        let (mut qdiscs, mut classes) = (Portion::of(cx, MAX_QUEUES), Portion::of(cx, MAX_QUEUES));
        if qdiscs.is_none() && classes.is_none() {
            return Ok(());
        }
        let open = || Socket::open(Family::Route);
        let troubles = self.sockets.read(cx, open, |netns, socket| {
            let names = route::link_names(socket)?;
            let found = qdisc::qdiscs(socket, MAX_QUEUES)?;
            Portion::add(&mut qdiscs, || {
                let rows = found.kept().iter().map(|queue| qdisc_row(netns, queue, &names));
                Ok((rows.collect(), found.left_out()))
            })?;
            Portion::add(&mut classes, || class_rows(netns, socket, found.kept(), &names))
        })?;
        let lack = "the kernel is built without queueing disciplines";
        tell(qdiscs, cx, out, &troubles, lack)?;
        tell(classes, cx, out, &troubles, lack)
    }
}

/// The classes of a namespace, and how many have no room.
fn class_rows(
    netns: &Text,
    socket: &mut Socket,
    qdiscs: &[Queue],
    names: &LinkNames,
) -> Result<(Vec<ClassRow>, usize), Error> {
    let may_have = |queue: &&Queue| !WITHOUT.contains(&queue.kind.as_str());
    let links: BTreeSet<_> = qdiscs.iter().filter(may_have).map(|queue| queue.index).collect();
    let (mut rows, mut left_out) = (Vec::new(), 0);
    for index in links {
        let found = qdisc::classes(socket, index, MAX_QUEUES.saturating_sub(rows.len()))?;
        left_out += found.left_out();
        rows.extend(found.kept().iter().map(|class| class_row(netns, class, names)));
    }
    Ok((rows, left_out))
}

/// As `tc` writes it: `1:10`, and `1:` for a discipline.
fn handle(number: u32) -> Text {
    let (major, minor) = (number >> 16, number & 0xffff);
    match minor {
        _ if number == ROOT => Text::from("root"),
        0 => Text::from(format!("{major:x}:")),
        minor if major == 0 => Text::from(format!(":{minor:x}")),
        minor => Text::from(format!("{major:x}:{minor:x}")),
    }
}

fn qdisc_row(netns: &Text, queue: &Queue, names: &LinkNames) -> QdiscRow {
    let Counts { bytes, packets, waiting, backlog, drops, requeues, overlimits } = queue.counts;
    QdiscRow {
        netns: netns.clone(),
        index: queue.index.0,
        handle: handle(queue.handle),
        parent: handle(queue.parent),
        interface: names.get(&queue.index).cloned(),
        kind: queue.kind.clone(),
        bytes,
        packets,
        drops: drops.map(u64::from),
        overlimits: overlimits.map(u64::from),
        requeues: requeues.map(u64::from),
        backlog: backlog.map(u64::from),
        qlen: waiting.map(u64::from),
        offloaded: queue.is_offloaded,
    }
}

fn class_row(netns: &Text, class: &Queue, names: &LinkNames) -> ClassRow {
    let Counts { bytes, packets, waiting, backlog, drops, requeues, overlimits } = class.counts;
    ClassRow {
        netns: netns.clone(),
        index: class.index.0,
        handle: handle(class.handle),
        parent: handle(class.parent),
        interface: names.get(&class.index).cloned(),
        kind: class.kind.clone(),
        leaf: Some(class.info).filter(|info| *info != 0).map(|info| handle(info & 0xffff_0000)),
        bytes,
        packets,
        drops: drops.map(u64::from),
        overlimits: overlimits.map(u64::from),
        requeues: requeues.map(u64::from),
        backlog: backlog.map(u64::from),
        qlen: waiting.map(u64::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_tc_writes_them() {
        let written = [0, 0x1_0000, 0x8001_0000, 0x1_0010, 0x0000_0003, ROOT, 0xffff_fff1].map(handle);
        assert_eq!(written.map(|text| text.to_string()), ["0:", "1:", "8001:", "1:10", ":3", "root", "ffff:fff1"]);
    }
}
