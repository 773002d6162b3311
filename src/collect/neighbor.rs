//! Which neighbors does the host know, and is there room for more?
//!
//! Entries of ARP and neighbor discovery are read while somebody looks. How full their tables are comes from files that cost
//! a few microseconds; the kernel has one such table for all network namespaces, and the files in the first one only.

use std::collections::HashMap;
use std::net::IpAddr;

use super::address::steady;
use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Mac, Text, Timestamp};
use crate::source::Error;
use crate::source::file::Root;
use crate::source::netlink::neighbor::{self, Cache, FLAG_ROUTER, Neighbor};
use crate::source::netlink::route::{self, LinkNames};
use crate::source::netlink::{Family, Socket, words};
use crate::{label, table};

label! {
    /// Protocol family of addresses, in the words of `ip`.
    pub enum InetFamily {
        Inet = "inet",
        Inet6 = "inet6",
    }
}

impl InetFamily {
    /// From `AF_*`; `None` for any other.
    pub(super) fn of(number: u8) -> Option<Self> {
        match i32::from(number) {
            libc::AF_INET => Some(Self::Inet),
            libc::AF_INET6 => Some(Self::Inet6),
            _ => None,
        }
    }
}

label! {
    /// What is known of a neighbor.
    pub enum NeighborState {
        None = "none",
        Incomplete = "incomplete",
        Reachable = "reachable",
        Stale = "stale",
        Delay = "delay",
        Probe = "probe",
        Failed = "failed" => Careful,
        Noarp = "noarp",
        Permanent = "permanent",
    }
}

impl NeighborState {
    /// From `NUD_*`, of which one bit is set.
    pub(super) fn of(state: u16) -> Self {
        match state {
            0x01 => Self::Incomplete,
            0x02 => Self::Reachable,
            0x04 => Self::Stale,
            0x08 => Self::Delay,
            0x10 => Self::Probe,
            0x20 => Self::Failed,
            0x40 => Self::Noarp,
            0x80 => Self::Permanent,
            _ => Self::None,
        }
    }
}

table! {
    /// One neighbor on an interface: an entry of ARP or of neighbor discovery. The Ethernet address is missing while it is not
    /// known and on links that have none.
    ///
    /// Source: rtnetlink `RTM_GETNEIGH`, `include/uapi/linux/neighbour.h`.
    pub struct NeighborRow = "neighbor" { title: Some("Neighbors"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface.
        Id(None) index: u32 { wide: true },
        /// Address of the neighbor.
        Id(None) address: IpAddr { label: true },
        /// Protocol family of the address.
        Text(None) family: InetFamily { wide: true },
        /// Name of the interface.
        Text(None) interface: Option<Text>,
        /// Ethernet address.
        Text(None) mac: Option<Mac>,
        /// What is known of it; one that failed does not answer.
        Text(None) state: NeighborState,
        /// Whether it says that it is a router.
        Text(None) router: bool,
        /// What else is said of it, such as `proxy` and `extern_learn`.
        Text(None) flags: Option<Text> { wide: true },
        /// Who has made the entry, where that is told.
        Text(None) protocol: Option<Text> { wide: true },
        /// When its state changed last.
        Gauge(None) updated: Option<Timestamp>,
        /// When it was confirmed last that it can be reached.
        Gauge(None) confirmed: Option<Timestamp>,
        /// When it was used last.
        Gauge(None) used: Option<Timestamp>,
        /// Probes that it has not answered.
        Gauge(None) probes: Option<u32> { wide: true },
        /// How many hold the entry.
        Gauge(None) references: Option<u32> { title: Some("refs"), wide: true },
    }
}

table! {
    /// The table of all neighbors of one protocol family. The kernel has one for all network namespaces together, and tells
    /// of it in the first one only. Thresholds are missing where its settings cannot be seen.
    ///
    /// Source: `/proc/net/stat/arp_cache` and `ndisc_cache`, `net/core/neighbour.c`; `gc_thresh1` to `gc_thresh3` of
    /// `Documentation/networking/ip-sysctl.rst`.
    pub struct NeighborCacheRow = "neighbor_cache" { title: Some("Neighbor tables"), history: History::Whole } {
        /// Protocol family of its addresses.
        Id(None) family: InetFamily,
        /// Entries in it.
        Gauge(None) entries: u64 { top: true },
        /// Entries up to which it is left alone.
        Gauge(None) gc_thresh1: Option<u64> { wide: true },
        /// Entries from which on what is older than five seconds is thrown away.
        Gauge(None) gc_thresh2: Option<u64> { wide: true },
        /// Most entries that it may have beside those that are permanent.
        Gauge(None) gc_thresh3: Option<u64> { title: Some("limit") },
        /// Entries made.
        Counter(Events) allocs: Option<u64>,
        /// Entries thrown away.
        Counter(Events) destroys: Option<u64>,
        /// Times that its hash table became larger.
        Counter(Events) hash_grows: Option<u64> { title: Some("grows"), wide: true },
        /// Searches for an entry.
        Counter(Events) lookups: Option<u64> { wide: true },
        /// Searches that found one.
        Counter(Events) hits: Option<u64> { wide: true },
        /// Neighbors that did not answer.
        Counter(Events) res_failed: Option<u64> { title: Some("failed") },
        /// Probes that strangers have sent to all.
        Counter(Packets) rcv_probes_mcast: Option<u64> { wide: true },
        /// Probes that strangers have sent to this host.
        Counter(Packets) rcv_probes_ucast: Option<u64> { wide: true },
        /// Times that old entries were looked for as usual.
        Counter(Events) periodic_gc_runs: Option<u64> { title: Some("gc"), wide: true },
        /// Times that old entries were looked for because there were too many.
        Counter(Events) forced_gc_runs: Option<u64> { title: Some("forced gc") },
        /// Packets dropped because their neighbor was not found in time.
        Counter(Packets) unresolved_discards: Option<u64> { title: Some("discards") },
        /// Times that there was no room for an entry.
        Counter(Events) table_fulls: Option<u64> { title: Some("full"), summary: Some(Fold::Sum) },
    }
    derived {
        /// Share of the limit that is taken, those that are permanent included.
        fill(Ratio) = "entries / gc_thresh3" { title: Some("fill%"), summary: Some(Fold::Max) },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "neighbor",
    tables: &[NeighborRow::TABLE, NeighborCacheRow::TABLE],
    interval: EVERY_SECOND,
    // as for links: the lock of the network configuration may be held for seconds
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<NeighborCollector>::default(),
};

/// Neighbors that become rows.
const MAX_NEIGHBORS: usize = 1 << 16;

/// Words of `ip` for `NTF_*` and, from bit 16 on, `NTF_EXT_*`.
const FLAGS: [(u32, &str); 6] = [
    (FLAG_ROUTER, "router"),
    (1 << 3, "proxy"),
    (1 << 4, "extern_learn"),
    (1 << 5, "offload"),
    (1 << 16, "managed"),
    (1 << 18, "extern_valid"),
];

/// What a neighbor is known by.
type Key = (Text, u32, IpAddr);
/// When it was updated, confirmed and used.
type Times = [Option<Timestamp>; 3];

#[derive(Default)]
struct NeighborCollector {
    sockets: Everywhere<Socket>,
    /// Times of the last sample: the kernel tells ages, which are other numbers each time.
    before: HashMap<Key, Times>,
}

impl Collect for NeighborCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        self.neighbors(cx, out)?;
        match caches(&cx.roots.proc) {
            Ok(rows) => out.push(rows),
            Err(error) => {
                let absent = error.is_absent();
                let skip = Skip::from(error);
                let hint = "the kernel tells it in the first network namespace only";
                out.skip(NeighborCacheRow::TABLE, &if absent { skip.hint(hint) } else { skip });
            }
        }
        Ok(())
    }
}

impl NeighborCollector {
    fn neighbors(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let Some(portion) = Portion::of(cx, MAX_NEIGHBORS) else {
            self.sockets.close();
            self.before.clear();
            return Ok(());
        };
        if !cx.roots.live {
            let reason = "neighbors are asked for over netlink, which a recorded tree has not";
            out.skip(NeighborRow::TABLE, &Skip::absent(reason));
            return Ok(());
        }
        let (mut portion, before) = (Some(portion), &self.before);
        let troubles = self.sockets.read(cx, open, |netns, socket| {
            Portion::add(&mut portion, || {
                let names = route::link_names(socket)?;
                let found = neighbor::neighbors(socket, libc::AF_UNSPEC, MAX_NEIGHBORS)?;
                let rows = found.kept().iter().filter_map(|neighbor| row(netns, neighbor, &names, before, cx.time));
                Ok((rows.collect(), found.left_out()))
            })
        })?;
        let rows = portion.iter_mut().flat_map(Portion::rows_mut);
        self.before = rows.map(|row| (key(row), [row.updated, row.confirmed, row.used])).collect();
        tell(portion, cx, out, &troubles, "the kernel knows no neighbors")
    }
}

fn open() -> Result<Socket, Error> {
    Socket::open(Family::Route)
}

fn key(row: &NeighborRow) -> Key {
    (row.netns.clone(), row.index, row.address)
}

/// An instant so many hundredths of a second ago.
fn ago(now: Timestamp, hundredths: u32) -> Timestamp {
    Timestamp(now.0.saturating_sub(i64::from(hundredths) * 10_000_000))
}

fn row(
    netns: &Text,
    neighbor: &Neighbor,
    names: &LinkNames,
    before: &HashMap<Key, Times>,
    now: Timestamp,
) -> Option<NeighborRow> {
    let (address, family) = neighbor.address.zip(InetFamily::of(neighbor.family))?;
    let mut row = NeighborRow {
        netns: netns.clone(),
        index: neighbor.index.0,
        address,
        family,
        interface: names.get(&neighbor.index).cloned(),
        mac: neighbor.mac,
        state: NeighborState::of(neighbor.state),
        router: neighbor.flags & FLAG_ROUTER != 0,
        flags: words::flags(&FLAGS, neighbor.flags),
        protocol: neighbor.protocol.filter(|protocol| *protocol != 0).map(words::protocol),
        updated: neighbor.times.map(|times| ago(now, times.updated)),
        confirmed: neighbor.times.map(|times| ago(now, times.confirmed)),
        used: neighbor.times.map(|times| ago(now, times.used)),
        probes: neighbor.probes,
        references: neighbor.times.map(|times| times.references),
    };
    if let Some([updated, confirmed, used]) = before.get(&key(&row)) {
        row.updated = steady(*updated, row.updated);
        row.confirmed = steady(*confirmed, row.confirmed);
        row.used = steady(*used, row.used);
    }
    Some(row)
}

/// Both tables, or the one that the kernel has.
fn caches(proc: &Root) -> Result<Vec<NeighborCacheRow>, Error> {
    let arp = cache(proc, "arp_cache").map(|cache| cache_row(proc, InetFamily::Inet, "ipv4", cache))?;
    match cache(proc, "ndisc_cache") {
        Ok(ndisc) => Ok(vec![arp, cache_row(proc, InetFamily::Inet6, "ipv6", ndisc)]),
        // a kernel without IPv6
        Err(error) if error.is_absent() => Ok(vec![arp]),
        Err(error) => Err(error),
    }
}

fn cache(proc: &Root, name: &str) -> Result<Cache, Error> {
    let path = format!("net/stat/{name}");
    let malformed = || Error::malformed(proc.join(&path), "a line of names and lines of numbers are expected");
    neighbor::cache(&proc.text(&path)?).ok_or_else(malformed)
}

fn cache_row(proc: &Root, family: InetFamily, directory: &str, cache: Cache) -> NeighborCacheRow {
    let threshold = |number: u8| proc.number(format!("sys/net/{directory}/neigh/default/gc_thresh{number}"));
    let [
        allocs,
        destroys,
        hash_grows,
        lookups,
        hits,
        res_failed,
        rcv_probes_mcast,
        rcv_probes_ucast,
        periodic_gc_runs,
        forced_gc_runs,
        unresolved_discards,
        table_fulls,
    ] = cache.counters;
    NeighborCacheRow {
        family,
        entries: cache.entries,
        gc_thresh1: threshold(1),
        gc_thresh2: threshold(2),
        gc_thresh3: threshold(3),
        allocs,
        destroys,
        hash_grows,
        lookups,
        hits,
        res_failed,
        rcv_probes_mcast,
        rcv_probes_ucast,
        periodic_gc_runs,
        forced_gc_runs,
        unresolved_discards,
        table_fulls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::{Tree, number};

    #[test]
    fn a_kernel_without_ipv6_has_one_table() {
        let tree = Tree::new(&[
            ("proc/net/stat/arp_cache", "entries  allocs\n00000022 0000000e\n00000022 00000014\n"),
            ("proc/sys/net/ipv4/neigh/default/gc_thresh3", "1024\n"),
        ]);
        assert_eq!(tree.table(&ENTRY, NeighborCacheRow::TABLE), "family=inet entries=34 gc_thresh3=1024 allocs=34\n");
        tree.write("proc/net/stat/ndisc_cache", "entries table_fulls\n1 7\n");
        let batch = tree.collect(&ENTRY).unwrap();
        let rows = batch.rows(NeighborCacheRow::TABLE).unwrap();
        assert_eq!(number(&**rows, Some("inet6"), "table_fulls"), Some(7.0));
        assert_eq!(number(&**rows, Some("inet6"), "allocs"), None);
    }

    #[test]
    fn a_time_that_trembles_stays_and_one_that_moves_does_not() {
        let netns = Text::from("host");
        let times = neighbor::Times { confirmed: 500, used: 100, updated: 0, references: 1 };
        let neighbor = Neighbor {
            family: libc::AF_INET as u8,
            index: route::IfIndex(3),
            state: 2,
            flags: 0,
            address: "192.0.2.1".parse().ok(),
            mac: None,
            times: Some(times),
            probes: None,
            protocol: None,
            vlan: None,
            port: None,
            vni: None,
            source_vni: None,
            via: None,
            master: None,
        };
        let at = |seconds| Timestamp::from_seconds(seconds);
        let first = row(&netns, &neighbor, &LinkNames::new(), &HashMap::new(), at(1000.0)).unwrap();
        assert_eq!((first.confirmed, first.used), (Some(at(995.0)), Some(at(999.0))));
        let before = HashMap::from([(key(&first), [first.updated, first.confirmed, first.used])]);
        // two seconds later: confirmed at the same time, as far as hundredths tell, and used again
        let times = neighbor::Times { confirmed: 701, used: 0, ..times };
        let second = row(&netns, &Neighbor { times: Some(times), ..neighbor }, &LinkNames::new(), &before, at(1002.0));
        let second = second.unwrap();
        assert_eq!((second.confirmed, second.used), (first.confirmed, Some(at(1002.0))));
    }
}
