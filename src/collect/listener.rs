//! Who waits for connections from the network?
//!
//! On demand only: the kernel lists the listening sockets in a moment, but which process holds one is found by reading the
//! descriptors of every process.

use std::collections::HashMap;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Mono, Text};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::file::Root;
use crate::source::holder::{Holder, holders};
use crate::source::netlink::Family;
use crate::source::netlink::common::Common;
use crate::source::netlink::diag::InetSocket;
use crate::source::netns::{self, Rooms, Troubles};
use crate::source::socket::{Absent, INET, InetTable, Sockets};
use crate::table;

table! {
    /// One socket that accepts connections or datagrams. The process is missing where its descriptors may not be read,
    /// and for sockets of the kernel itself. Queue and limit are missing but for TCP.
    ///
    /// Source: sock_diag, `include/uapi/linux/inet_diag.h`; `/proc/PID/fd`.
    pub struct ListenerRow = "listener" { title: Some("Listening"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Protocol; a 6 at the end means over IPv6.
        Id(None) protocol: Text,
        /// Address that it listens on; all zeros mean every address of the host.
        Id(None) address: std::net::IpAddr,
        /// Port that it listens on.
        Id(None) port: u32 { label: true },
        /// Number of the socket, which tells those that share a port apart.
        Id(None) inode: u32 { wide: true },
        /// First process that holds it.
        Gauge(None) pid: Option<u32>,
        /// Name of that process.
        Text(None) process: Option<Text>,
        /// Processes that hold it.
        Gauge(None) holders: Option<u64> { wide: true },
        /// Numeric user who made it.
        Gauge(None) uid: u32 { wide: true },
        /// Connections that wait to be accepted.
        Gauge(None) queue: Option<u32>,
        /// Connections that may wait; more are refused.
        Gauge(None) queue_limit: Option<u32> { title: Some("limit") },
    }
    derived {
        /// How full the queue is.
        queue_share(Ratio) = "queue / queue_limit" { title: Some("queue %") },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "listener",
    tables: &[ListenerRow::TABLE],
    interval: EVERY_SECOND,
    // the descriptors of every process are read
    blocks: true,
    needs: super::OTHERS_PROCESSES,
    make: || Box::<ListenerCollector>::default(),
};

/// `TCP_LISTEN` and, for protocols without connections, `TCP_CLOSE`, as bits.
const LISTEN: u32 = 1 << 10;
const CLOSED: u32 = 1 << 7;
/// Rows that are kept; more would be an attack on memory.
const MAX_ROWS: usize = 1 << 16;

#[derive(Default)]
struct ListenerCollector {
    /// Dropped after an error, so that the next sample starts with a fresh one.
    socket: Option<Common>,
    others: Rooms<Common>,
    absent: Absent,
}

impl Collect for ListenerCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut found = Bounded::new(MAX_ROWS);
        let mut troubles = Troubles::default();
        if cx.roots.live {
            if cx.roots.netns.has_host() {
                let socket = match self.socket.take() {
                    Some(socket) => socket,
                    None => open()?,
                };
                let absent = &mut self.absent;
                socket.with(|socket| {
                    listening(&netns::host(), &mut Sockets::Live(socket), absent, cx.mono, &mut found)
                })?;
                self.socket = Some(socket);
            }
            let absent = &mut self.absent;
            troubles = self.others.read(&cx.roots.netns, open, |netns, socket| {
                let before = found.mark();
                let listed =
                    socket.with(|socket| listening(netns, &mut Sockets::Live(socket), absent, cx.mono, &mut found));
                listed.inspect_err(|_| found.back_to(before))
            });
        } else {
            let sockets = &mut Sockets::Files(&cx.roots.proc);
            listening(&netns::host(), sockets, &mut self.absent, cx.mono, &mut found)?;
        }
        out.left_out(ListenerRow::TABLE, found.left_out(), MAX_ROWS, "listening sockets");
        let found = found.into_kept();
        let inodes = || found.iter().map(|found| found.socket.inode);
        let mut holders = holders(&cx.roots.proc, inodes())?;
        if let Some(error) = holders.denied(inodes()) {
            let hint = "processes of other users: run as root, or grant CAP_SYS_PTRACE";
            out.partly(ListenerRow::TABLE, &Skip::from(error).hint(hint));
        }
        let rows = found.iter().map(|found| row(&cx.roots.proc, found, &holders.by_inode)).collect();
        out.push_netns(cx, rows, &troubles)
    }
}

fn is_tcp(table: InetTable) -> bool {
    table.kind.protocol == libc::IPPROTO_TCP as u8
}

fn open() -> Result<Common, Error> {
    Common::open(Family::SockDiag)
}

/// A socket that waits for others to speak first, and the network namespace that it is in.
struct Found {
    netns: Text,
    table: InetTable,
    socket: InetSocket,
}

/// Finds every such socket of a network namespace.
fn listening(
    netns: &Text,
    sockets: &mut Sockets<'_>,
    absent: &mut Absent,
    now: Mono,
    found: &mut Bounded<Found>,
) -> Result<(), Error> {
    for table in INET {
        if absent.has(table.name, now) {
            continue;
        }
        let before = found.mark();
        let states = if is_tcp(table) { LISTEN } else { CLOSED };
        let result = sockets.inet(table, states, |socket| match socket {
            None => found.back_to(before),
            // a UDP socket that is not bound cannot be spoken to
            Some(socket) if socket.port == 0 => {}
            Some(socket) => found.push(Found { netns: netns.clone(), table, socket }),
        });
        match result {
            // a kernel without IPv6 or raw sockets has the others; its refusal leaves nothing behind in the socket
            Err(error) if error.is_absent() => absent.add(table.name, now),
            result => result?,
        }
    }
    Ok(())
}

fn row(proc: &Root, found: &Found, holders: &HashMap<u32, Holder>) -> ListenerRow {
    let Found { netns, table, socket } = found;
    let holder = holders.get(&socket.inode);
    let tcp = is_tcp(*table);
    ListenerRow {
        netns: netns.clone(),
        protocol: Text::from(table.name),
        address: socket.address,
        port: u32::from(socket.port),
        inode: socket.inode,
        pid: holder.map(|holder| holder.pid),
        process: holder.and_then(|holder| holder.name(proc)),
        holders: holder.map(|holder| holder.count),
        uid: socket.uid,
        queue: tcp.then_some(socket.rx_queue),
        // the file in /proc does not tell the limit and has zero in its place
        queue_limit: Some(socket.tx_queue).filter(|limit| tcp && *limit != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::Socket;

    fn rows() -> Vec<ListenerRow> {
        let proc = Root::new("/proc");
        let (mut socket, mut found) = (Socket::open(Family::SockDiag).unwrap(), Bounded::new(MAX_ROWS));
        let sockets = &mut Sockets::Live(&mut socket);
        listening(&netns::host(), sockets, &mut Absent::default(), Mono::now(), &mut found).unwrap();
        let found = found.kept();
        let holders = holders(&proc, found.iter().map(|found| found.socket.inode)).unwrap().by_inode;
        found.iter().map(|found| row(&proc, found, &holders)).collect()
    }

    #[test]
    fn a_listener_is_found_with_its_process_and_its_queue() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let rows = rows();
        let row = rows.iter().find(|row| row.port == u32::from(address.port())).unwrap();
        assert_eq!((&*row.protocol, row.address, row.pid), ("tcp", address.ip(), Some(std::process::id())));
        assert_eq!((row.queue, row.queue_limit), (Some(3), Some(128)));
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(row.process.as_deref(), Some(comm.trim_end()));
        drop(clients);
    }

    #[test]
    fn a_udp_socket_waits_until_it_is_connected() {
        let socket = std::net::UdpSocket::bind("[::1]:0").unwrap();
        let port = u32::from(socket.local_addr().unwrap().port());
        let find = || rows().into_iter().find(|row| row.port == port && &*row.protocol == "udp6");
        assert_eq!(find().map(|row| (row.queue, row.holders.is_some())), Some((None, true)));
        socket.connect("[::1]:9").unwrap();
        assert_eq!(find(), None);
    }
}
