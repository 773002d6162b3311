//! What do the network protocols of the host suffer from?
//!
//! Counters of `/proc/net/snmp`, `/proc/net/netstat` and `/proc/net/snmp6`. A counter that this kernel does not have is missing.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::Error;
use crate::source::file::{Root, text_again};
use crate::source::netns::{self, Rooms};
use crate::table;

table! {
    /// TCP of the host, both IP versions together. Cells are missing where the kernel does not count them.
    ///
    /// Source: `Documentation/networking/snmp_counter.rst`, `/proc/net/snmp`, `/proc/net/netstat`.
    pub struct TcpRow = "tcp" { title: Some("TCP"), history: History::Whole } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Connections that are established or wait for this side to close.
        Gauge(None) established: Option<u64>,
        /// Connections opened by this host.
        Counter(Events) active_opens: Option<u64> { title: Some("active") },
        /// Connections opened by others.
        Counter(Events) passive_opens: Option<u64> { title: Some("passive") },
        /// Attempts to connect that failed.
        Counter(Events) failed_attempts: Option<u64> { title: Some("failed") },
        /// Established connections that a reset ended.
        Counter(Events) established_resets: Option<u64> { title: Some("broken") },
        /// Segments received.
        Counter(Packets) rx_segments: Option<u64> { title: Some("rx seg") },
        /// Segments sent, without those sent again.
        Counter(Packets) tx_segments: Option<u64> { title: Some("tx seg") },
        /// Segments sent again.
        Counter(Packets) retransmits: Option<u64> { title: Some("retrans") },
        /// Segments received damaged.
        Counter(Packets) rx_errors: Option<u64> { title: Some("rx err") },
        /// Segments with a reset sent.
        Counter(Packets) tx_resets: Option<u64> { title: Some("resets") },
        /// Connections refused because the queue of a listening socket was full.
        Counter(Events) listen_overflows: Option<u64> { title: Some("overflow") },
        /// Connections thrown away by listening sockets, overflows included.
        Counter(Events) listen_drops: Option<u64> { title: Some("lst drop") },
        /// SYN cookies sent because a queue of half-open connections was full.
        Counter(Events) cookies_sent: Option<u64> { wide: true },
        /// Right SYN cookies received.
        Counter(Events) cookies_received: Option<u64> { wide: true },
        /// Wrong SYN cookies received.
        Counter(Events) cookies_failed: Option<u64> { wide: true },
        /// Times that a full queue of half-open connections refused one instead of sending a cookie.
        Counter(Events) request_drops: Option<u64> { wide: true },
        /// Segments thrown away because the backlog of a socket was full.
        Counter(Packets) backlog_drops: Option<u64> { title: Some("backlog") },
        /// Segments thrown away because the receive queue of a socket was full.
        Counter(Packets) queue_drops: Option<u64> { wide: true },
        /// Timeouts of the retransmission timer.
        Counter(Events) timeouts: Option<u64> { wide: true },
        /// SYN segments sent again.
        Counter(Packets) syn_retransmits: Option<u64> { wide: true },
        /// Connections dropped for lack of memory.
        Counter(Events) memory_aborts: Option<u64> { wide: true },
        /// Times that TCP as a whole came under memory pressure.
        Counter(Events) memory_pressures: Option<u64> { wide: true },
        /// Connections that could not wait for late segments because too many did.
        Counter(Events) time_wait_overflows: Option<u64> { wide: true },
    }
    derived {
        /// Segments sent again for each new segment sent.
        retransmit_share(Ratio) = "retransmits / tx_segments" { title: Some("retrans %"), summary: Some(Fold::Max) },
    }
}

table! {
    /// UDP of the host, with columns for each IP version. Cells are missing where the kernel does not count them.
    ///
    /// Source: `Documentation/networking/snmp_counter.rst`, `/proc/net/snmp`, `/proc/net/snmp6`.
    pub struct UdpRow = "udp" { title: Some("UDP"), history: History::Whole } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// IPv4 datagrams that processes received.
        Counter(Packets) rx_packets: Option<u64>,
        /// IPv4 datagrams sent.
        Counter(Packets) tx_packets: Option<u64>,
        /// IPv4 datagrams for a port that nobody has open.
        Counter(Packets) no_ports: Option<u64> { title: Some("no port") },
        /// IPv4 datagrams that could not be delivered, full buffers included.
        Counter(Packets) rx_errors: Option<u64> { title: Some("rx err") },
        /// IPv4 datagrams thrown away because the receive buffer of a socket was full.
        Counter(Packets) rx_buffer_errors: Option<u64> { title: Some("rx full") },
        /// IPv4 datagrams not sent because the send buffer of a socket was full.
        Counter(Packets) tx_buffer_errors: Option<u64> { title: Some("tx full") },
        /// IPv4 datagrams with a wrong checksum.
        Counter(Packets) checksum_errors: Option<u64> { wide: true },
        /// IPv6 datagrams that processes received.
        Counter(Packets) rx6_packets: Option<u64>,
        /// IPv6 datagrams sent.
        Counter(Packets) tx6_packets: Option<u64>,
        /// IPv6 datagrams for a port that nobody has open.
        Counter(Packets) no_ports6: Option<u64> { wide: true },
        /// IPv6 datagrams that could not be delivered, full buffers included.
        Counter(Packets) rx6_errors: Option<u64> { wide: true },
        /// IPv6 datagrams thrown away because the receive buffer of a socket was full.
        Counter(Packets) rx6_buffer_errors: Option<u64> { title: Some("rx6 full") },
        /// IPv6 datagrams not sent because the send buffer of a socket was full.
        Counter(Packets) tx6_buffer_errors: Option<u64> { wide: true },
    }
}

table! {
    /// The Internet Protocol of the host, with columns for each version. Cells are missing where the kernel does not count them.
    ///
    /// Older kernels count packets that they forward as sent by the host, too.
    ///
    /// Source: `Documentation/networking/snmp_counter.rst`, `/proc/net/snmp`, `/proc/net/netstat`, `/proc/net/snmp6`.
    pub struct IpRow = "ip" { title: Some("IP"), history: History::Whole } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// IPv4 packets received.
        Counter(Packets) rx_packets: Option<u64>,
        /// IPv4 packets of the host itself that were sent.
        Counter(Packets) tx_packets: Option<u64>,
        /// IPv4 packets passed on to other hosts.
        Counter(Packets) forwarded: Option<u64>,
        /// IPv4 data received.
        Counter(Bytes) rx_bytes: Option<u64> { traffic: true },
        /// IPv4 data sent.
        Counter(Bytes) tx_bytes: Option<u64> { traffic: true },
        /// Received IPv4 packets thrown away though nothing was wrong with them.
        Counter(Packets) rx_discards: Option<u64> { wide: true },
        /// IPv4 packets to be sent that were thrown away though nothing was wrong with them.
        Counter(Packets) tx_discards: Option<u64> { wide: true },
        /// IPv4 packets with a bad header.
        Counter(Packets) header_errors: Option<u64> { wide: true },
        /// Received IPv4 packets whose destination is not valid here.
        Counter(Packets) address_errors: Option<u64> { wide: true },
        /// Received IPv4 packets without a route to their destination.
        Counter(Packets) rx_no_routes: Option<u64> { title: Some("rx no rt") },
        /// IPv4 packets of the host itself without a route to their destination.
        Counter(Packets) tx_no_routes: Option<u64> { title: Some("tx no rt") },
        /// IPv4 packets that the reverse-path filter threw away.
        Counter(Packets) reverse_path_drops: Option<u64> { title: Some("rp filter") },
        /// IPv4 packets that could not be put together from fragments.
        Counter(Packets) reassembly_failures: Option<u64> { title: Some("reasm fail") },
        /// IPv4 packets that were too large and could not be fragmented.
        Counter(Packets) fragment_failures: Option<u64> { wide: true },
        /// IPv6 packets received.
        Counter(Packets) rx6_packets: Option<u64>,
        /// IPv6 packets of the host itself that were sent.
        Counter(Packets) tx6_packets: Option<u64>,
        /// IPv6 packets passed on to other hosts.
        Counter(Packets) forwarded6: Option<u64>,
        /// IPv6 data received.
        Counter(Bytes) rx6_bytes: Option<u64> { traffic: true },
        /// IPv6 data sent.
        Counter(Bytes) tx6_bytes: Option<u64> { traffic: true },
        /// Received IPv6 packets thrown away though nothing was wrong with them.
        Counter(Packets) rx6_discards: Option<u64> { wide: true },
        /// Received IPv6 packets without a route to their destination.
        Counter(Packets) rx6_no_routes: Option<u64> { wide: true },
        /// IPv6 packets of the host itself without a route to their destination.
        Counter(Packets) tx6_no_routes: Option<u64> { wide: true },
        /// IPv6 packets that could not be put together from fragments.
        Counter(Packets) reassembly_failures6: Option<u64> { wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "protocol",
    tables: &[TcpRow::TABLE, UdpRow::TABLE, IpRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<ProtocolCollector>::default(),
};

#[derive(Default)]
struct ProtocolCollector {
    others: Rooms<Files>,
}

impl Collect for ProtocolCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut rows = Protocols::default();
        if cx.roots.netns.has_host() {
            let net = |file: &str| cx.roots.proc.text(format!("net/{file}"));
            let texts = Texts { snmp: net("snmp")?, netstat: net("netstat")?, snmp6: without_ipv6(net("snmp6"))? };
            rows.add(&netns::host(), &texts, &cx.roots.proc.join("net"))?;
        }
        let troubles = self.others.read(&cx.roots.netns, Files::open, |netns, files| {
            let texts = files.texts()?;
            rows.add(netns, &texts, Path::new(HERE))
        });
        out.push_netns(cx, rows.tcp, &troubles)?;
        out.push_netns(cx, rows.udp, &troubles)?;
        out.push_netns(cx, rows.ip, &troubles)
    }
}

/// A kernel without IPv6 has no such file.
fn without_ipv6<T>(file: Result<T, Error>) -> Result<Option<T>, Error> {
    match file {
        Err(error) if error.is_absent() => Ok(None),
        file => file.map(Some),
    }
}

/// What the files say.
struct Texts {
    snmp: String,
    netstat: String,
    snmp6: Option<String>,
}

/// The files of the network namespace that the thread is in.
const HERE: &str = "/proc/thread-self/net";

/// The files of another network namespace: it is that of the thread that opened them.
struct Files {
    snmp: OwnedFd,
    netstat: OwnedFd,
    snmp6: Option<OwnedFd>,
}

impl Files {
    fn open() -> Result<Self, Error> {
        let here = Root::new(HERE);
        let snmp6 = without_ipv6(here.open("snmp6"))?;
        Ok(Self { snmp: here.open("snmp")?, netstat: here.open("netstat")?, snmp6 })
    }

    fn texts(&self) -> Result<Texts, Error> {
        let text = |file: &OwnedFd, name: &str| text_again(file, &Path::new(HERE).join(name));
        let snmp6 = self.snmp6.as_ref().map(|file| text(file, "snmp6")).transpose()?;
        Ok(Texts { snmp: text(&self.snmp, "snmp")?, netstat: text(&self.netstat, "netstat")?, snmp6 })
    }
}

/// A row of each protocol for each network namespace.
#[derive(Default)]
struct Protocols {
    tcp: Vec<TcpRow>,
    udp: Vec<UdpRow>,
    ip: Vec<IpRow>,
}

impl Protocols {
    /// Adds what the files of a directory say.
    fn add(&mut self, netns: &Text, texts: &Texts, dir: &Path) -> Result<(), Error> {
        let malformed = |file: &str| Error::malformed(dir.join(file), "a value for each name is expected");
        let mut counters = Counters::default();
        counters.read_pairs(&texts.snmp).ok_or_else(|| malformed("snmp"))?;
        counters.read_pairs(&texts.netstat).ok_or_else(|| malformed("netstat"))?;
        if let Some(snmp6) = &texts.snmp6 {
            counters.read_lines(snmp6).ok_or_else(|| malformed("snmp6"))?;
        }
        self.tcp.push(tcp(netns, &counters));
        self.udp.push(udp(netns, &counters));
        self.ip.push(ip(netns, &counters));
        Ok(())
    }
}

/// Values by group and name; the counters of `snmp6` have the group `""`.
#[derive(Default)]
struct Counters<'a>(HashMap<(&'a str, &'a str), u64>);

impl<'a> Counters<'a> {
    /// Reads lines in pairs: `Tcp: name name` and `Tcp: value value`.
    fn read_pairs(&mut self, text: &'a str) -> Option<()> {
        let mut lines = text.lines();
        while let Some(names) = lines.next() {
            let (group, names) = names.split_once(':')?;
            let (same, values) = lines.next()?.split_once(':')?;
            let (names, values) = (names.split_ascii_whitespace(), values.split_ascii_whitespace());
            if group != same || names.clone().count() != values.clone().count() {
                return None;
            }
            for (name, value) in names.zip(values) {
                // a few are signed (`MaxConn` is -1); none of those is shown
                if let Ok(value) = value.parse() {
                    self.0.insert((group, name), value);
                }
            }
        }
        Some(())
    }

    /// Reads lines of a name and a value.
    fn read_lines(&mut self, text: &'a str) -> Option<()> {
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (name, value) = (fields.next()?, fields.next()?);
            self.0.insert(("", name), value.parse().ok()?);
        }
        Some(())
    }

    fn group(&self, group: &'static str) -> impl Fn(&'static str) -> Option<u64> + '_ {
        move |name| self.0.get(&(group, name)).copied()
    }
}

fn tcp(netns: &Text, counters: &Counters<'_>) -> TcpRow {
    let (base, ext) = (counters.group("Tcp"), counters.group("TcpExt"));
    TcpRow {
        netns: netns.clone(),
        established: base("CurrEstab"),
        active_opens: base("ActiveOpens"),
        passive_opens: base("PassiveOpens"),
        failed_attempts: base("AttemptFails"),
        established_resets: base("EstabResets"),
        rx_segments: base("InSegs"),
        tx_segments: base("OutSegs"),
        retransmits: base("RetransSegs"),
        rx_errors: base("InErrs"),
        tx_resets: base("OutRsts"),
        listen_overflows: ext("ListenOverflows"),
        listen_drops: ext("ListenDrops"),
        cookies_sent: ext("SyncookiesSent"),
        cookies_received: ext("SyncookiesRecv"),
        cookies_failed: ext("SyncookiesFailed"),
        request_drops: ext("TCPReqQFullDrop"),
        backlog_drops: ext("TCPBacklogDrop"),
        queue_drops: ext("TCPRcvQDrop"),
        timeouts: ext("TCPTimeouts"),
        syn_retransmits: ext("TCPSynRetrans"),
        memory_aborts: ext("TCPAbortOnMemory"),
        memory_pressures: ext("TCPMemoryPressures"),
        time_wait_overflows: ext("TCPTimeWaitOverflow"),
    }
}

fn udp(netns: &Text, counters: &Counters<'_>) -> UdpRow {
    let (v4, v6) = (counters.group("Udp"), counters.group(""));
    UdpRow {
        netns: netns.clone(),
        rx_packets: v4("InDatagrams"),
        tx_packets: v4("OutDatagrams"),
        no_ports: v4("NoPorts"),
        rx_errors: v4("InErrors"),
        rx_buffer_errors: v4("RcvbufErrors"),
        tx_buffer_errors: v4("SndbufErrors"),
        checksum_errors: v4("InCsumErrors"),
        rx6_packets: v6("Udp6InDatagrams"),
        tx6_packets: v6("Udp6OutDatagrams"),
        no_ports6: v6("Udp6NoPorts"),
        rx6_errors: v6("Udp6InErrors"),
        rx6_buffer_errors: v6("Udp6RcvbufErrors"),
        tx6_buffer_errors: v6("Udp6SndbufErrors"),
    }
}

fn ip(netns: &Text, counters: &Counters<'_>) -> IpRow {
    let (v4, ext, v6) = (counters.group("Ip"), counters.group("IpExt"), counters.group(""));
    IpRow {
        netns: netns.clone(),
        rx_packets: v4("InReceives"),
        tx_packets: v4("OutRequests"),
        forwarded: v4("ForwDatagrams"),
        rx_bytes: ext("InOctets"),
        tx_bytes: ext("OutOctets"),
        rx_discards: v4("InDiscards"),
        tx_discards: v4("OutDiscards"),
        header_errors: v4("InHdrErrors"),
        address_errors: v4("InAddrErrors"),
        rx_no_routes: ext("InNoRoutes"),
        tx_no_routes: v4("OutNoRoutes"),
        // the kernel files this one under TCP, but it counts packets of every protocol
        reverse_path_drops: counters.group("TcpExt")("IPReversePathFilter"),
        reassembly_failures: v4("ReasmFails"),
        fragment_failures: v4("FragFails"),
        rx6_packets: v6("Ip6InReceives"),
        tx6_packets: v6("Ip6OutRequests"),
        forwarded6: v6("Ip6OutForwDatagrams"),
        rx6_bytes: v6("Ip6InOctets"),
        tx6_bytes: v6("Ip6OutOctets"),
        rx6_discards: v6("Ip6InDiscards"),
        rx6_no_routes: v6("Ip6InNoRoutes"),
        tx6_no_routes: v6("Ip6OutNoRoutes"),
        reassembly_failures6: v6("Ip6ReasmFails"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_not_by_position() {
        let mut counters = Counters::default();
        counters.read_pairs("Tcp: RtoMax MaxConn RetransSegs\nTcp: 120000 -1 7\nUdp: NoPorts\nUdp: 3\n").unwrap();
        counters.read_lines("Udp6InDatagrams    \t4\n").unwrap();
        assert_eq!(
            (tcp(&netns::host(), &counters).retransmits, tcp(&netns::host(), &counters).rx_segments),
            (Some(7), None)
        );
        assert_eq!(
            (udp(&netns::host(), &counters).no_ports, udp(&netns::host(), &counters).rx6_packets),
            (Some(3), Some(4))
        );
    }

    #[test]
    fn without_ipv6_its_counters_are_missing_and_the_others_are_there() {
        let snmp = "Ip: InReceives\nIp: 5\nTcp: InSegs\nTcp: 6\nUdp: InDatagrams\nUdp: 7\n".to_owned();
        let there = |snmp6| {
            let (mut rows, texts) = (Protocols::default(), Texts { snmp: snmp.clone(), netstat: String::new(), snmp6 });
            rows.add(&netns::host(), &texts, Path::new("made")).unwrap();
            (rows.udp.remove(0), rows.ip.remove(0))
        };
        let (udp, ip) = there(None);
        assert_eq!((udp.rx_packets, udp.rx6_packets, udp.no_ports6), (Some(7), None, None));
        assert_eq!((ip.rx_packets, ip.rx6_packets, ip.rx6_bytes), (Some(5), None, None));
        let (udp, ip) = there(Some("Udp6InDatagrams 0\nIp6InReceives 3\n".to_owned()));
        assert_eq!((udp.rx6_packets, ip.rx6_packets), (Some(0), Some(3)));
    }

    #[test]
    fn a_value_too_few_is_malformed() {
        for text in ["Tcp: A B\nTcp: 1\n", "Tcp: A\n", "Tcp: A\nUdp: 1\n", "no group\n"] {
            assert_eq!(Counters::default().read_pairs(text), None, "{text}");
        }
        assert_eq!(Counters::default().read_lines("name\n"), None);
    }

    #[test]
    fn sent_datagrams_are_counted_between_two_reads() {
        let read = || {
            let snmp = Root::new("/proc").text("net/snmp").unwrap();
            let mut counters = Counters::default();
            counters.read_pairs(&snmp).unwrap();
            udp(&netns::host(), &counters).tx_packets.unwrap()
        };
        let before = read();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..50 {
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        }
        assert!(read() - before >= 50);
    }

    #[test]
    fn this_kernel_has_every_counter_that_is_shown() {
        use crate::model::Row;
        let proc = Root::new("/proc");
        let texts = ["snmp", "netstat", "snmp6"].map(|file| proc.text(format!("net/{file}")).unwrap());
        let mut counters = Counters::default();
        counters.read_pairs(&texts[0]).unwrap();
        counters.read_pairs(&texts[1]).unwrap();
        counters.read_lines(&texts[2]).unwrap();
        let (tcp, udp, ip) =
            (tcp(&netns::host(), &counters), udp(&netns::host(), &counters), ip(&netns::host(), &counters));
        let rows: [(&crate::model::Table, &dyn Fn(usize) -> bool); 3] = [
            (TcpRow::TABLE, &|i| tcp.cell(i).is_missing()),
            (UdpRow::TABLE, &|i| udp.cell(i).is_missing()),
            (IpRow::TABLE, &|i| ip.cell(i).is_missing()),
        ];
        for (table, missing) in rows {
            for (i, column) in table.columns.iter().enumerate().filter(|(_, column)| column.expr.is_none()) {
                assert!(!missing(i), "{}.{}", table.name, column.name);
            }
        }
    }
}
