//! How many sockets are there in each state?
//!
//! The kernel lists its sockets and only the states are counted, so nothing is kept of a connection. Hosts with very many
//! connections make this the dearest of the network tables; it is read less often than the others.

use std::time::Duration;

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::{Mono, Text};
use crate::source::Error;
use crate::source::netlink::Family;
use crate::source::netlink::common::Common;
use crate::source::netns::{self, Rooms};
use crate::source::socket::{Absent, INET, InetTable, Sockets};
use crate::{label, table};

label! {
    /// State of a socket. Those of UDP, raw and unix sockets are established or closed, which means not connected.
    pub enum SocketState {
        Established = "established",
        SynSent = "syn_sent",
        SynReceived = "syn_received",
        FinWait1 = "fin_wait_1",
        FinWait2 = "fin_wait_2",
        TimeWait = "time_wait",
        Closed = "closed",
        CloseWait = "close_wait",
        LastAck = "last_ack",
        Listen = "listen",
        Closing = "closing",
    }
}

/// States in the order of `TCP_*` in `include/net/tcp_states.h`, from 1 on.
const STATES: [SocketState; 11] = [
    SocketState::Established,
    SocketState::SynSent,
    SocketState::SynReceived,
    SocketState::FinWait1,
    SocketState::FinWait2,
    SocketState::TimeWait,
    SocketState::Closed,
    SocketState::CloseWait,
    SocketState::LastAck,
    SocketState::Listen,
    SocketState::Closing,
];
/// `TCP_NEW_SYN_RECV`, which some kernels report for a half-open connection.
const NEW_SYN_RECEIVED: u8 = 12;

table! {
    /// Sockets of one protocol in one state. States that a protocol does not know have no row.
    ///
    /// Source: sock_diag, `include/uapi/linux/inet_diag.h`, `include/uapi/linux/unix_diag.h`; `/proc/net/tcp` and the like
    /// for a recorded host.
    pub struct SocketRow = "socket" { title: Some("Sockets"), history: History::Whole } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Protocol; a 6 at the end means over IPv6.
        Id(None) protocol: Text { label: true },
        /// State of the sockets.
        Id(None) state: SocketState,
        /// Sockets in this state.
        Gauge(None) count: u64 { top: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "socket",
    tables: &[SocketRow::TABLE],
    interval: Duration::from_secs(5),
    // the kernel walks every connection, and there may be a million
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<SocketCollector>::default(),
};

#[derive(Default)]
struct SocketCollector {
    /// Dropped after an error, so that the next sample starts with a fresh one.
    socket: Option<Common>,
    others: Rooms<Common>,
    absent: Absent,
}

impl Collect for SocketCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            let rows = counted(&netns::host(), &mut Sockets::Files(&cx.roots.proc), &mut self.absent, cx.mono)?;
            if rows.is_empty() {
                return Err(Skip::absent(NONE));
            }
            out.push(rows);
            return Ok(());
        }
        let mut rows = Vec::new();
        if cx.roots.netns.has_host() {
            let socket = match self.socket.take() {
                Some(socket) => socket,
                None => open()?,
            };
            let absent = &mut self.absent;
            rows = socket.with(|socket| counted(&netns::host(), &mut Sockets::Live(socket), absent, cx.mono))?;
            self.socket = Some(socket);
        }
        let absent = &mut self.absent;
        let troubles = self.others.read(&cx.roots.netns, open, |netns, socket| {
            let found = socket.with(|socket| counted(netns, &mut Sockets::Live(socket), absent, cx.mono));
            rows.append(&mut found?);
            Ok(())
        });
        if rows.is_empty() && troubles.is_empty() {
            return Err(Skip::absent(NONE));
        }
        out.push_netns(cx, rows, &troubles)
    }
}

/// What is said where nothing can be counted.
const NONE: &str = "this kernel lists no sockets";

fn open() -> Result<Common, Error> {
    Common::open(Family::SockDiag)
}

/// Rows of every list that the kernel has.
fn counted(netns: &Text, sockets: &mut Sockets<'_>, absent: &mut Absent, now: Mono) -> Result<Vec<SocketRow>, Error> {
    let mut rows = Vec::new();
    let mut none = None;
    for list in LISTS {
        if absent.has(list.name(), now) {
            continue;
        }
        match count(sockets, list) {
            Ok(counts) => rows.append(&mut rows_of(netns, list, &counts)),
            // a kernel without IPv6 or raw sockets still has the others; its refusal leaves nothing behind in the socket
            Err(error) if error.is_absent() => {
                absent.add(list.name(), now);
                none = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    none.filter(|_| rows.is_empty()).map_or(Ok(rows), Err)
}

/// Sockets by state, in the order of [`STATES`].
type Counts = [u64; STATES.len()];

#[derive(Clone, Copy)]
enum List {
    Inet(InetTable),
    Unix,
}

impl List {
    fn name(self) -> &'static str {
        match self {
            Self::Inet(table) => table.name,
            Self::Unix => "unix",
        }
    }
}

const LISTS: [List; 7] = [
    List::Inet(INET[0]),
    List::Inet(INET[1]),
    List::Inet(INET[2]),
    List::Inet(INET[3]),
    List::Inet(INET[4]),
    List::Inet(INET[5]),
    List::Unix,
];

fn count(sockets: &mut Sockets<'_>, list: List) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    let mut add = |state: Option<u8>| match state {
        None => counts = Counts::default(),
        Some(state) => {
            let state = if state == NEW_SYN_RECEIVED { 3 } else { state };
            let slot = usize::from(state).checked_sub(1).and_then(|at| counts.get_mut(at));
            if let Some(slot) = slot {
                *slot += 1;
            }
        }
    };
    match list {
        List::Inet(table) => sockets.inet(table, u32::MAX, |socket| add(socket.map(|socket| socket.state)))?,
        List::Unix => sockets.unix(add)?,
    }
    Ok(counts)
}

fn rows_of(netns: &Text, list: List, counts: &Counts) -> Vec<SocketRow> {
    let states: &[SocketState] = match list {
        List::Unix => &[SocketState::Established, SocketState::Listen, SocketState::Closed],
        List::Inet(table) if table.kind.protocol == libc::IPPROTO_TCP as u8 => &STATES,
        List::Inet(_) => &[SocketState::Established, SocketState::Closed],
    };
    let protocol = Text::from(list.name());
    let counted = STATES.iter().zip(counts).filter(|(state, _)| states.contains(state));
    let row = |(state, count): (&SocketState, &u64)| SocketRow {
        netns: netns.clone(),
        protocol: protocol.clone(),
        state: *state,
        count: *count,
    };
    counted.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::file::Root;
    use crate::source::netlink::testing::{in_own_network, run};

    fn live(list: List) -> Counts {
        open().unwrap().with(|socket| count(&mut Sockets::Live(socket), list)).unwrap()
    }

    #[test]
    fn root_counts_agree_with_the_sockets_that_were_made_and_with_ss() {
        in_own_network(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..7).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
            let servers: Vec<_> = clients.iter().map(|_| listener.accept().unwrap()).collect();
            let udp: Vec<_> = (0..3).map(|_| std::net::UdpSocket::bind("[::1]:0").unwrap()).collect();
            udp[0].connect("[::1]:9").unwrap();
            let at = |counts: Counts, state: SocketState| counts[STATES.iter().position(|s| *s == state).unwrap()];
            let tcp = live(LISTS[0]);
            assert_eq!((at(tcp, SocketState::Established), at(tcp, SocketState::Listen)), (14, 1));
            let udp6 = live(LISTS[3]);
            assert_eq!((at(udp6, SocketState::Established), at(udp6, SocketState::Closed)), (1, 2));
            let pair = std::os::unix::net::UnixStream::pair().unwrap();
            assert_eq!(at(live(List::Unix), SocketState::Established), 2);
            let truth = run("ss", "-s");
            let total = |name: &str| {
                let line = truth.lines().find(|line| line.split_ascii_whitespace().next() == Some(name)).unwrap();
                line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
            };
            assert!(truth.contains("(estab 14,"), "{truth}");
            assert_eq!((total("TCP"), total("UDP")), (tcp.iter().sum(), udp6.iter().sum()));
            assert_eq!(run("ss", "-Htan4").lines().count() as u64, tcp.iter().sum::<u64>());
            assert_eq!(run("ss", "-Hxa").lines().count() as u64, live(List::Unix).iter().sum::<u64>());
            drop((servers, pair));
        });
    }

    #[test]
    fn a_recorded_host_is_counted_from_its_files() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("net")).unwrap();
        let line = |state: &str| format!("0: 0100007F:1F90 00000000:0000 {state} 0:0 00:0 0 0 0 4711\n");
        let text = format!("head\n{}{}{}", line("0A"), line("01"), line("01"));
        std::fs::write(tree.path().join("net/tcp"), text).unwrap();
        let counts = count(&mut Sockets::Files(&Root::new(tree.path())), LISTS[0]).unwrap();
        assert_eq!((counts[0], counts[9], counts.iter().sum::<u64>()), (2, 1, 3));
        let rows = rows_of(&netns::host(), LISTS[0], &counts);
        assert!(rows.iter().any(|row| row.state == SocketState::Listen && row.count == 1));
    }
}
