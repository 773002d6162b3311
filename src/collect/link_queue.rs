//! Do all queues of a network device carry their part?
//!
//! The kernel tells it of devices whose drivers count for each queue, while somebody looks.

use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::Error;
use crate::source::netlink::generic::Generic;
use crate::source::netlink::netdev::{self, QueueStats};
use crate::source::netlink::route::{self, LinkNames};
use crate::source::netlink::{Family, Socket};
use crate::{label, table};

label! {
    /// Which way packets go.
    pub enum Direction {
        Rx = "rx",
        Tx = "tx",
    }
}

table! {
    /// One queue of a network device. Devices whose drivers do not count for each queue have no rows, and what a driver does
    /// not count is missing.
    ///
    /// Source: genetlink family `netdev`, `Documentation/netlink/specs/netdev.yaml`, since Linux 6.10.
    pub struct LinkQueueRow = "link_queue" { title: Some("Queues of interfaces"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Which way its packets go.
        Id(None) direction: Direction,
        /// Number of the queue.
        Id(None) queue: u32,
        /// Name of the interface.
        Text(None) interface: Option<Text> { label: true },
        /// Packets that it has carried.
        Counter(Packets) packets: Option<u64>,
        /// Data that it has carried.
        Counter(Bytes) bytes: Option<u64> { traffic: true, top: true },
        /// Packets that the device has dropped.
        Counter(Packets) drops: Option<u64>,
        /// Packets for which there was no memory.
        Counter(Packets) alloc_failed: Option<u64> { title: Some("no mem") },
        /// Times that it was full and stopped.
        Counter(Events) stops: Option<u64>,
        /// Times that it went on after that.
        Counter(Events) wakes: Option<u64> { wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "link_queue",
    tables: &[LinkQueueRow::TABLE],
    interval: EVERY_SECOND,
    // the lock of the network configuration is held while they are told
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<LinkQueueCollector>::default(),
};

/// Queues that become rows.
const MAX_QUEUES: usize = 1 << 16;

/// What a network namespace is asked over.
struct Room {
    queues: Generic,
    links: Socket,
}

fn open() -> Result<Room, Error> {
    Ok(Room { queues: Generic::open(netdev::FAMILY)?, links: Socket::open(Family::Route)? })
}

#[derive(Default)]
struct LinkQueueCollector {
    rooms: Everywhere<Room>,
}

impl Collect for LinkQueueCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("queues are asked for over netlink, which a recorded tree has not"));
        }
        let mut portion = Portion::of(cx, MAX_QUEUES);
        if portion.is_none() {
            return Ok(());
        }
        let troubles = self.rooms.read(cx, open, |netns, room| {
            Portion::add(&mut portion, || {
                let names = route::link_names(&mut room.links)?;
                let found = netdev::queues(&mut room.queues, MAX_QUEUES)?;
                Ok((found.kept().iter().map(|queue| row(netns, queue, &names)).collect(), found.left_out()))
            })
        })?;
        tell(portion, cx, out, &troubles, "kernels tell it since version 6.10")
    }
}

fn row(netns: &Text, queue: &QueueStats, names: &LinkNames) -> LinkQueueRow {
    LinkQueueRow {
        netns: netns.clone(),
        index: queue.index.0,
        direction: if queue.is_tx { Direction::Tx } else { Direction::Rx },
        queue: queue.number,
        interface: names.get(&queue.index).cloned(),
        packets: queue.packets,
        bytes: queue.bytes,
        drops: queue.drops,
        alloc_failed: queue.alloc_failed,
        stops: queue.stops,
        wakes: queue.wakes,
    }
}
