//! What do the network interfaces carry?
//!
//! Every sample dumps only the 64-bit counters. Names, flags and the rest change rarely, so they are kept and follow the
//! kernel's notifications; when notifications were lost, or the two disagree, everything is dumped again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use self::pair::{End, Numbers, Pairs};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Reason, Skip};
use crate::model::{Mac, Text};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::file::Root;
use crate::source::netlink::common::Common;
use crate::source::netlink::route::{self, FLAG_UP, IfIndex, Link, LinkNews, LinkStats, Lower};
use crate::source::netlink::{Drained, Family, Socket};
use crate::source::netns::{self, Rooms};
use crate::{label, table};

mod pair;
mod recorded;

label! {
    /// State of a link.
    pub enum LinkState {
        Up = "up",
        Unknown = "unknown",
        Disabled = "disabled",
        Down = "down" => Careful,
        LowerDown = "lower_down" => Careful,
        Dormant = "dormant" => Careful,
        Testing = "testing" => Careful,
        Absent = "absent" => Careful,
    }
}

impl LinkState {
    /// From the `IFF_*` flags and the `IF_OPER_*` state.
    fn of(flags: u32, operstate: u8) -> Self {
        match operstate {
            1 => Self::Absent,
            _ if flags & FLAG_UP == 0 => Self::Disabled,
            2 => Self::Down,
            3 => Self::LowerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }
}

table! {
    /// One network interface of the host. One that is deleted and made again under its name is another row. The speed is
    /// missing where the driver states none, for taps and virtual pairs, whose drivers state an invented one, and in other
    /// network namespaces, whose files are not in `/sys`.
    ///
    /// Source: rtnetlink `RTM_GETSTATS` and `RTM_GETLINK`, `include/uapi/linux/if_link.h`; `/sys/class/net/*/speed`.
    pub struct LinkRow = "link" { title: Some("Network"), history: History::Whole } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the interface, not used again while the host runs.
        Id(None) index: u32 { wide: true },
        /// Name of the interface.
        Text(None) name: Text { label: true, title: Some("interface") },
        /// Whether it is on and has a carrier; a device without a carrier of its own is unknown.
        Text(None) state: LinkState,
        /// Data received.
        Counter(Bytes) rx_bytes: u64 { title: Some("rx"), traffic: true, top: true, summary: Some(Fold::Max), glance: true },
        /// Data sent.
        Counter(Bytes) tx_bytes: u64 { title: Some("tx"), traffic: true, summary: Some(Fold::Max), glance: true },
        /// Packets received.
        Counter(Packets) rx_packets: u64 { title: Some("rx pkt") },
        /// Packets sent.
        Counter(Packets) tx_packets: u64 { title: Some("tx pkt") },
        /// Packets that arrived damaged.
        Counter(Packets) rx_errors: u64 { title: Some("rx err") },
        /// Packets that could not be sent.
        Counter(Packets) tx_errors: u64 { title: Some("tx err") },
        /// Packets thrown away after they arrived, for lack of room or of anybody to take them.
        Counter(Packets) rx_dropped: u64 { title: Some("rx drop") },
        /// Packets thrown away before they were sent.
        Counter(Packets) tx_dropped: u64 { title: Some("tx drop") },
        /// Packets that the device lost because the host was too slow.
        Counter(Packets) rx_missed: Option<u64> { title: Some("missed") },
        /// Multicast packets received.
        Counter(Packets) multicast: u64 { wide: true },
        /// Collisions on the medium.
        Counter(Events) collisions: u64 { wide: true },
        /// How often the carrier came or went.
        Counter(Events) carrier_changes: Option<u64> { wide: true },
        /// Line rate of one direction.
        Gauge(BytesPerSecond) speed: Option<u64> { traffic: true },
        /// Largest packet.
        Gauge(Bytes) mtu: Option<u64> { exact: true },
        /// Ethernet address.
        Text(None) mac: Option<Mac> { wide: true },
        /// Driver of a virtual device, or the kind of hardware.
        Text(None) kind: Option<Text>,
        /// Bridge, bond or routing domain that it belongs to.
        Text(None) master: Option<Text>,
        /// Interface that it is made on, such as that of a VLAN or a macvtap, if it is in the same network namespace.
        Text(None) lower: Option<Text> { wide: true },
        /// What it can do and is doing, such as `running` and `promisc`.
        Text(None) flags: Option<Text> { wide: true },
        /// Words that the administrator gave it.
        Text(None) alias: Option<Text> { wide: true },
        /// Other end of a virtual pair, where the network namespace that it is in is read.
        Text(None) peer: Option<Text> { wide: true },
        /// Network namespace that the other end is in, likewise.
        Text(None) peer_netns: Option<Text> { wide: true },
        /// Number of the other end in its network namespace.
        Gauge(None) peer_index: Option<u32> { exact: true, wide: true },
    }
    derived {
        /// Received data as a share of the line rate.
        rx_share(Ratio) = "rate(rx_bytes) / speed" { title: Some("rx %"), summary: Some(Fold::Max) },
        /// Sent data as a share of the line rate.
        tx_share(Ratio) = "rate(tx_bytes) / speed" { title: Some("tx %"), summary: Some(Fold::Max) },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "link",
    tables: &[LinkRow::TABLE],
    interval: EVERY_SECOND,
    // the kernel may hold the lock of its network configuration for seconds, for example while a driver starts anew
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::new(LinkCollector::default()),
};

/// Interfaces whose messages are read; more would be an attack on memory.
const MAX_LINKS: usize = 1 << 18;

/// How often a namespace was opened.
static OPENED: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct LinkCollector {
    /// Dropped after an error, so that the next sample starts with fresh sockets.
    live: Option<Live>,
    others: Rooms<Live>,
    numbers: Numbers,
}

impl Collect for LinkCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            out.push(recorded::links(cx.roots)?);
            return Ok(());
        }
        let (mut rows, mut left_out, mut is_changing, mut pairs) = (Vec::new(), 0, false, Pairs::default());
        if cx.roots.netns.has_host() {
            let mut live = match self.live.take() {
                Some(live) => live,
                None => Live::open()?,
            };
            live.stale |= self.numbers.moved.contains(&live.number);
            rows = live.sample(&netns::host(), Some(&cx.roots.sys))?;
            live.pairs(&netns::host(), 0, &rows, &mut pairs);
            left_out += live.stats.left_out();
            is_changing |= live.is_changing;
            self.live = Some(live);
        }
        let troubles = self.others.read(&cx.roots.netns, Live::open, |netns, live| {
            let first = rows.len();
            live.stale |= self.numbers.moved.contains(&live.number);
            rows.append(&mut live.sample(netns, None)?);
            live.pairs(netns, first, &rows, &mut pairs);
            left_out += live.stats.left_out();
            is_changing |= live.is_changing;
            Ok(())
        });
        pairs.join(&mut rows, &mut self.numbers, |name| netns::file(&cx.roots.netns, name).ok());
        out.left_out(LinkRow::TABLE, left_out, MAX_LINKS, "interfaces");
        if is_changing {
            let error = "changing: they were others at every attempt, so that some may be missing".into();
            out.partly(LinkRow::TABLE, &Skip::Failed(Reason { error, hint: None }));
        }
        out.push_netns(cx, rows, &troubles)
    }
}

/// A link with what is looked up once for it.
struct Known {
    link: Link,
    speed: Option<u64>,
    kind: Option<Text>,
    flags: Text,
}

struct Live {
    /// Tells it from others in a namespace of the same name.
    number: u64,
    queries: Common,
    news: Socket,
    known: BTreeMap<IfIndex, Known>,
    /// Notifications were lost, or there was no dump yet that is whole.
    stale: bool,
    /// Interfaces came or went during every attempt of the last sample.
    is_changing: bool,
    stats: Bounded<(IfIndex, LinkStats)>,
}

impl Live {
    fn open() -> Result<Self, Error> {
        // subscribed before the first dump, so that no change falls between the two
        let news = Socket::subscribe(Family::Route, &[route::GROUP_LINK])?;
        let queries = Common::open(Family::Route)?;
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            number,
            queries,
            news,
            known: BTreeMap::new(),
            stale: true,
            is_changing: false,
            stats: Bounded::new(MAX_LINKS),
        })
    }

    /// Adds the ends of virtual pairs among its rows, the first of which has a number.
    fn pairs(&self, netns: &Text, first: usize, rows: &[LinkRow], pairs: &mut Pairs) {
        let own = rows.iter().enumerate().skip(first);
        let mut ends = own
            .filter(|(_, row)| row.peer_index.is_some())
            .filter_map(|(at, row)| {
                let index = IfIndex(row.index);
                Some(End { row: at, index, peer: peer(&self.known.get(&index)?.link)? })
            })
            .peekable();
        if ends.peek().is_some() {
            pairs.add(netns.clone(), self.number, self.queries.clone(), ends);
        }
    }

    /// Rows of the namespace that this was opened in; only that of `/sys` shows files there.
    fn sample(&mut self, netns: &Text, sys: Option<&Root>) -> Result<Vec<LinkRow>, Error> {
        self.read_stats()?;
        self.read_news(sys)?;
        if self.stale {
            self.read_links(sys)?;
        }
        let mut rows = Vec::with_capacity(self.stats.kept().len());
        for (index, stats) in self.stats.kept() {
            // unknown ones were made a moment ago or have just gone
            match self.known.get(index) {
                Some(known) => rows.push(self.row(netns, known, stats)),
                None => self.stale = true,
            }
        }
        if self.is_changing {
            rows.sort_by_key(|row: &LinkRow| row.index);
            rows.dedup_by_key(|row| row.index);
        }
        Ok(rows)
    }

    fn read_stats(&mut self) -> Result<(), Error> {
        let stats = &mut self.stats;
        self.is_changing = self.queries.with(|socket| route::read_link_stats(socket, stats))?;
        Ok(())
    }

    fn read_news(&mut self, sys: Option<&Root>) -> Result<(), Error> {
        let known = &mut self.known;
        let drained = self.news.drain(|message| {
            match route::link_news(message)? {
                Some(LinkNews::Is(link)) => remember(known, sys, link),
                Some(LinkNews::Gone(index)) => {
                    known.remove(&index);
                }
                None => {}
            }
            Ok(())
        })?;
        self.stale |= drained == Drained::Lost;
        Ok(())
    }

    fn read_links(&mut self, sys: Option<&Root>) -> Result<(), Error> {
        // those left out here are left out of the counters, too
        let mut links = Bounded::new(MAX_LINKS);
        self.stale = self.queries.with(|socket| route::read_links(socket, &mut links))?;
        self.is_changing |= self.stale;
        self.known.clear();
        for link in links.into_kept() {
            remember(&mut self.known, sys, link);
        }
        Ok(())
    }

    fn row(&self, netns: &Text, known: &Known, stats: &LinkStats) -> LinkRow {
        let link = &known.link;
        LinkRow {
            netns: netns.clone(),
            index: link.index.0,
            name: link.name.clone(),
            state: LinkState::of(link.flags, link.operstate),
            rx_bytes: stats.rx_bytes,
            tx_bytes: stats.tx_bytes,
            rx_packets: stats.rx_packets,
            tx_packets: stats.tx_packets,
            rx_errors: stats.rx_errors,
            tx_errors: stats.tx_errors,
            rx_dropped: stats.rx_dropped,
            tx_dropped: stats.tx_dropped,
            rx_missed: Some(stats.rx_missed),
            multicast: stats.multicast,
            collisions: stats.collisions,
            carrier_changes: link.carrier_changes.map(u64::from),
            speed: known.speed,
            mtu: Some(u64::from(link.mtu)),
            mac: link.mac,
            kind: known.kind.clone(),
            master: link.master.and_then(|index| self.known.get(&index)).map(|master| master.link.name.clone()),
            lower: lower(link).and_then(|index| self.known.get(&index)).map(|lower| lower.link.name.clone()),
            flags: Some(known.flags.clone()),
            alias: link.alias.clone(),
            peer: None,
            peer_netns: None,
            peer_index: peer(link).map(|peer| peer.index.0),
        }
    }
}

/// The interface below one that is no end of a virtual pair.
fn lower(link: &Link) -> Option<IfIndex> {
    let lower = link.lower.filter(|lower| lower.netns.is_none() && peer(link).is_none())?;
    Some(lower.index)
}

/// The other end of a virtual pair.
fn peer(link: &Link) -> Option<Lower> {
    link.lower.filter(|_| matches!(link.kind.as_deref(), Some("veth" | "netkit")))
}

fn remember(known: &mut BTreeMap<IfIndex, Known>, sys: Option<&Root>, link: Link) {
    let speed = sys.and_then(|sys| speed(sys, &link.name, link.kind.as_deref()));
    let kind = link.kind.clone().or_else(|| hardware(link.hardware));
    let flags = flag_words(link.flags);
    known.insert(link.index, Known { link, speed, kind, flags });
}

/// Words for the bits of `IFF_*` in `include/uapi/linux/if.h`, lowest first.
const FLAGS: [&str; 19] = [
    "up",
    "broadcast",
    "debug",
    "loopback",
    "pointopoint",
    "notrailers",
    "running",
    "noarp",
    "promisc",
    "allmulti",
    "master",
    "slave",
    "multicast",
    "portsel",
    "automedia",
    "dynamic",
    "lower_up",
    "dormant",
    "echo",
];

fn flag_words(flags: u32) -> Text {
    let set = FLAGS.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
    Text::from(set.map(|(_, word)| *word).collect::<Vec<_>>().join(","))
}

/// Words for the hardware types that are common.
fn hardware(number: u16) -> Option<Text> {
    match number {
        libc::ARPHRD_ETHER => Some(Text::from("ethernet")),
        libc::ARPHRD_LOOPBACK => Some(Text::from("loopback")),
        libc::ARPHRD_PPP => Some(Text::from("ppp")),
        libc::ARPHRD_INFINIBAND => Some(Text::from("infiniband")),
        _ => None,
    }
}

/// Line rate in bytes per second. The file holds Mbit/s, -1 when the driver does not know, and cannot be read while the
/// link is down. Taps and virtual pairs claim 10 Mbit/s and 10 Gbit/s whatever they carry.
fn speed(sys: &Root, name: &str, kind: Option<&str>) -> Option<u64> {
    if matches!(kind, Some("tun" | "veth")) || name.contains('/') {
        return None;
    }
    let megabits: i64 = sys.number(format!("class/net/{name}/speed"))?;
    u64::try_from(megabits).ok().filter(|megabits| *megabits > 0)?.checked_mul(125_000)
}

#[cfg(test)]
mod tests;
