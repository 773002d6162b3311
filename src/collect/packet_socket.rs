//! Which programs listen to whole packets, and do they keep up?
//!
//! Captures, DHCP clients, routing daemons. Read while somebody looks; whose a socket is is found among the descriptors of
//! every process.

use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::Error;
use crate::source::holder::holders;
use crate::source::netlink::packet_diag::{self, PacketSocket};
use crate::source::netlink::route::{self, LinkNames};
use crate::source::netlink::{Family, Socket};
use crate::{label, table};

label! {
    /// What of a packet a socket is given.
    pub enum PacketSocketKind {
        /// All of it.
        Raw = "raw",
        /// What is behind the header of the link.
        Dgram = "dgram",
        Other = "other",
    }
}

table! {
    /// One socket that is given whole packets. The process is missing where it may not be seen.
    ///
    /// Source: sock_diag, `include/uapi/linux/packet_diag.h`; `/proc/PID/fd`.
    pub struct PacketSocketRow = "packet_socket" { title: Some("Packet sockets"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the socket, which no other has while the host runs.
        Id(None) cookie: u64 { wide: true },
        /// Interface that it listens to; missing for all.
        Text(None) interface: Option<Text>,
        /// Protocol of Ethernet that it listens to; missing for none.
        Text(None) protocol: Option<Text>,
        /// What of a packet it is given.
        Text(None) kind: PacketSocketKind,
        /// The first process that has it.
        Gauge(None) pid: Option<u32> { exact: true },
        /// What that process calls itself.
        Text(None) process: Option<Text> { label: true },
        /// How many processes have it.
        Gauge(None) holders: Option<u64> { wide: true },
        /// User id of the owner.
        Gauge(None) uid: Option<u32> { exact: true, wide: true },
        /// Inode of the socket.
        Gauge(None) inode: u32 { exact: true, wide: true },
        /// Memory of packets that wait to be read.
        Gauge(Bytes) waiting: Option<u64>,
        /// Most memory of packets that may wait.
        Gauge(Bytes) buffer: Option<u64> { wide: true },
        /// Size of the ring into which packets are written.
        Gauge(Bytes) ring: Option<u64> { wide: true },
        /// Packets that had no room; those of a ring are not told.
        Counter(Packets) drops: Option<u64> { top: true },
        /// Number of the group of sockets that share packets.
        Gauge(None) fanout: Option<u32> { exact: true, wide: true },
    }
    derived {
        /// Share of the memory for packets that is taken.
        fill(Ratio) = "waiting / buffer" { title: Some("fill%") },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "packet_socket",
    tables: &[PacketSocketRow::TABLE],
    interval: EVERY_SECOND,
    // the descriptors of every process are read
    blocks: true,
    needs: super::OTHERS_PROCESSES,
    make: || Box::<PacketSocketCollector>::default(),
};

/// Sockets that become rows.
const MAX_SOCKETS: usize = 1 << 14;

/// Words for `ETH_P_*` that programs listen to.
const PROTOCOLS: [(u16, &str); 8] = [
    (0x0003, "all"),
    (0x0004, "802.2"),
    (0x0800, "ip"),
    (0x0806, "arp"),
    (0x8100, "802.1Q"),
    (0x86dd, "ipv6"),
    (0x888e, "eapol"),
    (0x88cc, "lldp"),
];

/// What a network namespace is asked over.
struct Room {
    sockets: Socket,
    links: Socket,
}

fn open() -> Result<Room, Error> {
    Ok(Room { sockets: Socket::open(Family::SockDiag)?, links: Socket::open(Family::Route)? })
}

#[derive(Default)]
struct PacketSocketCollector {
    rooms: Everywhere<Room>,
}

impl Collect for PacketSocketCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("sockets are asked for over netlink, which a recorded tree has not"));
        }
        let mut portion = Portion::of(cx, MAX_SOCKETS);
        if portion.is_none() {
            return Ok(());
        }
        let troubles = self.rooms.read(cx, open, |netns, room| {
            Portion::add(&mut portion, || {
                let names = route::link_names(&mut room.links)?;
                let found = packet_diag::packet_sockets(&mut room.sockets, MAX_SOCKETS)?;
                let rows = found.kept().iter().map(|socket| row(netns, socket, &names));
                Ok((rows.collect(), found.left_out()))
            })
        })?;
        let rows = portion.as_mut().map_or(&mut [][..], Portion::rows_mut);
        let mut holders = holders(&cx.roots.proc, rows.iter().map(|row| row.inode))?;
        for row in rows.iter_mut() {
            let holder = holders.by_inode.get(&row.inode);
            row.pid = holder.map(|holder| holder.pid);
            row.process = holder.and_then(|holder| holder.name(&cx.roots.proc));
            row.holders = holder.map(|holder| holder.count);
        }
        if let Some(error) = holders.denied(rows.iter().map(|row| row.inode)) {
            let hint = "processes of other users: run as root, or grant CAP_SYS_PTRACE";
            out.partly(PacketSocketRow::TABLE, &Skip::from(error).hint(hint));
        }
        tell(portion, cx, out, &troubles, "the kernel's module af_packet_diag is not loaded")
    }
}

fn row(netns: &Text, socket: &PacketSocket, names: &LinkNames) -> PacketSocketRow {
    PacketSocketRow {
        netns: netns.clone(),
        cookie: socket.cookie,
        interface: socket
            .index
            .map(|index| names.get(&index).cloned().unwrap_or_else(|| Text::from(index.0.to_string()))),
        protocol: Some(socket.protocol).filter(|protocol| *protocol != 0).map(protocol),
        kind: match i32::from(socket.kind) {
            libc::SOCK_RAW => PacketSocketKind::Raw,
            libc::SOCK_DGRAM => PacketSocketKind::Dgram,
            _ => PacketSocketKind::Other,
        },
        pid: None,
        process: None,
        holders: None,
        uid: socket.uid,
        inode: socket.inode,
        waiting: socket.waiting.map(u64::from),
        buffer: socket.buffer.map(u64::from),
        ring: socket.ring,
        drops: socket.drops.map(u64::from),
        fanout: socket.fanout.map(u32::from),
    }
}

fn protocol(number: u16) -> Text {
    let known = PROTOCOLS.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| Text::from(format!("{number:#06x}")), |(_, word)| Text::from(*word))
}
