//! How do queues, logs, counters, policies and the proxy become rows?

use std::collections::HashMap;

use crate::model::Text;
use crate::source::Error;
use crate::source::file::Root;
use crate::source::holder::holders;
use crate::source::netfilter::acct::Account;
use crate::source::netfilter::table::{Log, Logger, Queue, SYNPROXY};
use crate::source::netfilter::timeout::{Policy, states};
use crate::{label, table};

use super::super::conntrack_flow::protocol;

label! {
    /// What a program gets of each packet.
    pub enum PacketCopy { Nothing = "none", Meta = "meta", Packet = "packet" }
}

impl PacketCopy {
    /// `NFQNL_COPY_*` and `NFULNL_COPY_*`
    fn of(number: u8) -> Option<Self> {
        [Self::Nothing, Self::Meta, Self::Packet].get(usize::from(number)).copied()
    }
}

table! {
    /// One queue of packets to a program. The program is missing where the descriptors of its process may not be read.
    ///
    /// Whether packets pass when the queue is full, and the other flags of a queue, the kernel tells nobody.
    ///
    /// Source: `net/netfilter/nfnetlink_queue.c` (`/proc/net/netfilter/nfnetlink_queue`), `/proc/net/netlink`, `/proc/PID/fd`.
    pub struct NfqueueRow = "nfqueue" { title: Some("Packet queues"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number that rules name it by.
        Id(None) queue: u32 { exact: true, label: true },
        /// Netlink port of the program.
        Gauge(None) port: u32 { exact: true, wide: true },
        /// Process that has the socket of that port.
        Gauge(None) pid: Option<u32> { exact: true },
        /// What that process calls itself.
        Text(None) process: Option<Text>,
        /// Packets that wait for a verdict.
        Gauge(Packets) waiting: u64 { top: true },
        /// What the program gets of each packet.
        Text(None) copy_mode: Option<PacketCopy> { title: Some("copy") },
        /// Most that it gets of each packet.
        Gauge(Bytes) copy_range: u64 { wide: true },
        /// Packets that were given a number to be told apart.
        Counter(Packets) packets: u64,
        /// Packets dropped because too many waited.
        Counter(Packets) dropped: u64,
        /// Packets dropped because the program's socket had no room.
        Counter(Packets) user_dropped: u64 { title: Some("user drop") },
    }
}

table! {
    /// One log of packets to a program. The program is missing where the descriptors of its process may not be read.
    ///
    /// Source: `net/netfilter/nfnetlink_log.c` (`/proc/net/netfilter/nfnetlink_log`), `/proc/net/netlink`, `/proc/PID/fd`.
    pub struct NflogRow = "nflog" { title: Some("Packet logs"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number that rules name it by.
        Id(None) group: u32 { exact: true, label: true },
        /// Netlink port of the program.
        Gauge(None) port: u32 { exact: true, wide: true },
        /// Process that has the socket of that port.
        Gauge(None) pid: Option<u32> { exact: true },
        /// What that process calls itself.
        Text(None) process: Option<Text>,
        /// Packets that are collected before the program gets them.
        Gauge(Packets) waiting: u64 { top: true },
        /// What the program gets of each packet.
        Text(None) copy_mode: Option<PacketCopy> { title: Some("copy") },
        /// Most that it gets of each packet.
        Gauge(Bytes) copy_range: u64 { wide: true },
        /// How long packets are collected at most.
        Gauge(Seconds) flush: f64,
        /// Holders of it in the kernel.
        Gauge(None) references: u64 { title: Some("refs"), wide: true },
    }
}

table! {
    /// One named counter of `nfacct`.
    ///
    /// Source: nfnetlink `NFNL_MSG_ACCT_GET`, `include/uapi/linux/netfilter/nfnetlink_acct.h`.
    pub struct NfacctRow = "nfacct" { title: Some("Named counters"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Its name.
        Id(None) name: Text { label: true },
        /// Packets that it has counted.
        Counter(Packets) packets: u64,
        /// Data that it has counted, headers included.
        Counter(Bytes) bytes: u64 { traffic: true, top: true },
        /// How many packets it may count; missing where it counts on.
        Gauge(Packets) quota_packets: Option<u64> { title: Some("quota pkt") },
        /// How much data it may count; missing where it counts on.
        Gauge(Bytes) quota_bytes: Option<u64> { title: Some("quota") },
        /// Whether it has counted more than it may, and has said so.
        Text(None) over: Option<bool>,
        /// Rules that use it, and one for itself.
        Gauge(None) references: u32 { title: Some("refs"), wide: true },
    }
}

table! {
    /// How long a policy for timeouts keeps a tracked connection in one state.
    ///
    /// Source: nfnetlink `IPCTNL_MSG_TIMEOUT_GET`, `include/uapi/linux/netfilter/nfnetlink_cttimeout.h`.
    pub struct CtTimeoutRow = "ct_timeout" { title: Some("Timeout policies"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Name of the policy.
        Id(None) name: Text { label: true },
        /// State, in the words of `nfct`; `timeout` where the protocol has only one.
        Id(None) state: Text,
        /// Address family of the connections that it is for.
        Text(None) family: Text,
        /// Protocol of the connections that it is for, or its number.
        Text(None) protocol: Text { title: Some("proto") },
        /// How long a connection stays in this state when nothing comes.
        Gauge(Seconds) timeout: f64,
        /// Connections and rules that use the policy, and one for itself.
        Gauge(None) references: u32 { title: Some("refs"), wide: true },
    }
}

table! {
    /// What the proxy for SYN packets has done, on all CPUs together.
    ///
    /// Source: `net/netfilter/nf_synproxy_core.c` (`/proc/net/stat/synproxy`).
    pub struct SynproxyRow = "synproxy" { title: Some("SYN proxy"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// SYN packets that it has answered.
        Counter(Packets) syn_received: u64 { title: Some("SYN") },
        /// Answers to it that were not what it had asked for.
        Counter(Packets) cookie_invalid: u64 { title: Some("invalid") },
        /// Answers to it after which it has spoken to the server.
        Counter(Packets) cookie_valid: u64 { title: Some("valid") },
        /// SYN packets to servers that it has sent again.
        Counter(Packets) cookie_retrans: u64 { title: Some("again") },
        /// Connections that were opened anew while their old ones were still known.
        Counter(Events) conn_reopened: u64 { title: Some("reopened") },
    }
}

table! {
    /// Who logs packets of one family.
    ///
    /// Source: `net/netfilter/nf_log.c` (`/proc/net/netfilter/nf_log`).
    pub struct NfLogRow = "nf_log" { title: Some("Log backends"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Family of the packets.
        Id(None) family: Text { label: true },
        /// Who does; missing when nobody does.
        Text(None) logger: Option<Text>,
        /// Who could.
        Text(None) available: Option<Text>,
    }
}

/// The process is filled in when all queues are known.
pub(super) fn queue(netns: &Text, queue: &Queue) -> NfqueueRow {
    NfqueueRow {
        netns: netns.clone(),
        queue: queue.number,
        port: queue.port,
        pid: None,
        process: None,
        waiting: queue.waiting,
        copy_mode: PacketCopy::of(queue.copy_mode),
        copy_range: queue.copy_range,
        packets: queue.sequence,
        dropped: queue.dropped,
        user_dropped: queue.user_dropped,
    }
}

/// The process is filled in when all logs are known.
pub(super) fn log(netns: &Text, log: &Log) -> NflogRow {
    NflogRow {
        netns: netns.clone(),
        group: log.number,
        port: log.port,
        pid: None,
        process: None,
        waiting: log.waiting,
        copy_mode: PacketCopy::of(log.copy_mode),
        copy_range: log.copy_range,
        flush: log.flush as f64 / 100.0,
        references: log.users,
    }
}

pub(super) fn account(netns: &Text, account: &Account) -> NfacctRow {
    let quota = |is_packets| account.quota.filter(|quota| quota.is_packets == is_packets).map(|quota| quota.most);
    NfacctRow {
        netns: netns.clone(),
        name: account.name.clone(),
        packets: account.packets,
        bytes: account.bytes,
        quota_packets: quota(true),
        quota_bytes: quota(false),
        over: account.quota.map(|quota| quota.is_over),
        references: account.references,
    }
}

pub(super) fn timeouts<'a>(netns: &'a Text, policy: &'a Policy) -> impl Iterator<Item = CtTimeoutRow> + 'a {
    /// `IPPROTO_RAW`, which stands for all that no other policy is for.
    const GENERIC: u8 = 255;
    let family = match libc::c_int::from(policy.family) {
        libc::AF_INET => Text::from("ip"),
        libc::AF_INET6 => Text::from("ip6"),
        other => Text::from(other.to_string()),
    };
    let protocol = if policy.protocol == GENERIC { Text::from("generic") } else { protocol(policy.protocol) };
    let names = states(policy.protocol);
    policy.timeouts.iter().map(move |(number, timeout)| CtTimeoutRow {
        netns: netns.clone(),
        name: policy.name.clone(),
        state: match usize::from(*number).checked_sub(1).and_then(|place| names.get(place)) {
            Some(name) => Text::from(*name),
            None => Text::from(number.to_string()),
        },
        family: family.clone(),
        protocol: protocol.clone(),
        timeout: f64::from(*timeout),
        references: policy.references,
    })
}

pub(super) fn synproxy(netns: &Text, counters: [u64; SYNPROXY.len()]) -> SynproxyRow {
    let [syn_received, cookie_invalid, cookie_valid, cookie_retrans, conn_reopened] = counters;
    SynproxyRow { netns: netns.clone(), syn_received, cookie_invalid, cookie_valid, cookie_retrans, conn_reopened }
}

/// `None` for numbers that are no family of netfilter.
pub(super) fn logger(netns: &Text, logger: &Logger) -> Option<NfLogRow> {
    let family = match logger.family {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => return None,
    };
    let text = |words: &Option<String>| words.as_deref().map(Text::from);
    Some(NfLogRow {
        netns: netns.clone(),
        family: Text::from(family),
        logger: text(&logger.name),
        available: text(&logger.available),
    })
}

/// Inodes of the netlink sockets of programs, by namespace and port.
#[derive(Default)]
pub(super) struct Peers(HashMap<(Text, u32), u32>);

/// The same with their processes.
pub(super) struct Found {
    peers: Peers,
    names: HashMap<u32, (u32, Option<Text>)>,
    /// The first process that may not be read, if that is why one is not known.
    pub(super) denied: Option<Error>,
}

impl Peers {
    /// Takes the inodes of some ports of a namespace.
    pub(super) fn learn(&mut self, netns: &Text, inodes: &[(u32, u32)], ports: impl Iterator<Item = u32>) {
        let inodes: HashMap<u32, u32> = inodes.iter().copied().collect();
        self.0.extend(ports.filter_map(|port| Some(((netns.clone(), port), *inodes.get(&port)?))));
    }

    /// Looks for the processes that have the sockets.
    pub(super) fn find(self, proc: &Root) -> Result<Found, Error> {
        let inodes = || self.0.values().copied();
        let mut holders = holders(proc, inodes())?;
        let denied = holders.denied(inodes());
        let names = holders.names(proc);
        Ok(Found { peers: self, names, denied })
    }
}

impl Found {
    /// The process behind a port.
    pub(super) fn of(&self, netns: &Text, port: u32) -> (Option<u32>, Option<Text>) {
        let known = self.peers.0.get(&(netns.clone(), port)).and_then(|inode| self.names.get(inode));
        known.map_or((None, None), |(pid, name)| (Some(*pid), name.clone()))
    }
}
