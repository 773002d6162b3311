//! Which sets of addresses are there for `ipset`, how full are they, and what do their elements count?
//!
//! Heads of sets are asked for without their elements. Elements are read of those sets that somebody names, and of very many
//! the busiest become rows.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::address::steady;
use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, MAX_IDS, Skip, Want};
use crate::model::{IpText, Text, Timestamp, Value};
use crate::source::Error;
use crate::source::bounded::{Bounded, Largest};
use crate::source::ipset::element::{Element, elements};
use crate::source::ipset::{Set, flags, sets};
use crate::source::netlink::common::Common;
use crate::source::netlink::{Family, Socket};
use crate::source::netns::{self, Rooms};
use crate::table;

table! {
    /// One set of addresses, networks, ports, interfaces or other sets. What its type does not have is missing.
    ///
    /// Source: nfnetlink `IPSET_CMD_LIST`, `include/uapi/linux/netfilter/ipset/ip_set.h`.
    pub struct IpsetRow = "ipset" { title: Some("IP sets"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Name of the set.
        Id(None) set: Text { label: true },
        /// How it keeps its elements, and what they are made of.
        Text(None) kind: Text { title: Some("type") },
        /// Address family, where its type has one.
        Text(None) family: Option<Text>,
        /// Elements that it has now.
        Gauge(None) elements: Option<u32> { top: true },
        /// Most elements that it takes.
        Gauge(None) size: Option<u32>,
        /// First and last element that it can take.
        Text(None) range: Option<Text> { wide: true },
        /// Bits of addresses that count, where not all of them do.
        Gauge(None) mask: Option<u32> { exact: true, wide: true },
        /// The same where they are not the first ones.
        Text(None) bitmask: Option<IpAddr> { wide: true },
        /// Bits of marks that count, where not all of them do.
        Text(None) markmask: Option<Text> { wide: true },
        /// How long elements stay unless they say otherwise; missing where they stay for good.
        Gauge(Seconds) timeout: Option<f64>,
        /// What elements have beside themselves: `counters`, `comment`, `skbinfo`; and `forceadd`.
        Text(None) extensions: Option<Text>,
        /// Rules and other sets that use it.
        Gauge(None) references: Option<u32> { title: Some("refs") },
        /// Memory that it takes.
        Gauge(Bytes) memory: Option<u32>,
        /// Size of the hash table.
        Gauge(None) buckets: Option<u32> { wide: true },
        /// Elements that fit one place of the hash table.
        Gauge(None) bucket_size: Option<u32> { wide: true },
    }
    derived {
        /// Share of its room that is taken.
        fill(Ratio) = "elements / size" { title: Some("fill%") },
    }
}

table! {
    /// One element of a set that a reader has named. Of more than 65536 those have rows that counted the most; counts are
    /// missing in sets without counters.
    ///
    /// Source: nfnetlink `IPSET_CMD_LIST`; the text is that of `ipset save`.
    pub struct IpsetElementRow = "ipset_element" { title: Some("Elements of IP sets"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Set that it is in.
        Id(None) set: Text { required: true },
        /// Address, network, port or whatever the type of its set has it made of.
        Id(None) element: Text { label: true },
        /// Packets that fitted it.
        Counter(Packets) packets: Option<u64>,
        /// Data of those packets, headers included.
        Counter(Bytes) bytes: Option<u64> { traffic: true, top: true },
        /// When it goes; missing for one that stays.
        Gauge(None) expires: Option<Timestamp> { until: true },
        /// Whether what fits it is not in the set.
        Text(None) nomatch: bool { wide: true },
        /// Whether its interface is any whose name begins so.
        Text(None) wildcard: bool { wide: true },
        /// What was written beside it.
        Text(None) comment: Option<Text>,
        /// Mark that it gives to packets, and the bits that it sets.
        Text(None) skbmark: Option<Text> { wide: true },
        /// Class of the packet scheduler that it gives them.
        Text(None) skbprio: Option<Text> { wide: true },
        /// Queue of the network card that it gives them.
        Gauge(None) skbqueue: Option<u32> { exact: true, wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "ipset",
    tables: &[IpsetRow::TABLE, IpsetElementRow::TABLE],
    interval: EVERY_SECOND,
    // sets may be large
    blocks: true,
    needs: Capabilities::NET_ADMIN,
    make: || Box::<IpsetCollector>::default(),
};

/// Sets that become rows; the kernel allows as many.
const MAX_SETS: usize = 1 << 16;
/// Elements that become rows.
const MAX_ELEMENTS: usize = 1 << 16;

#[derive(Default)]
struct IpsetCollector {
    /// Dropped after an error, so that the next sample starts with a fresh one.
    own: Option<Common>,
    others: Rooms<Common>,
    /// Ends of the last sample, which the kernel counts down in whole seconds.
    expires: HashMap<Key, Timestamp>,
}

fn open() -> Result<Common, Error> {
    Common::open(Family::Netfilter)
}

/// What was found in all network namespaces.
struct Found<'a> {
    now: Timestamp,
    before: &'a HashMap<Key, Timestamp>,
    heads: Option<Bounded<IpsetRow>>,
    /// Sets whose elements are wanted.
    names: BTreeSet<&'a str>,
    elements: Largest<u64, IpsetElementRow>,
    seen: usize,
    /// Sets that were found.
    known: BTreeSet<&'a str>,
}

impl<'a> Found<'a> {
    fn add(&mut self, netns: &Text, socket: &mut Socket) -> Result<(), Error> {
        if let Some(heads) = &mut self.heads {
            let found = sets(socket, MAX_SETS)?;
            heads.extend(found.kept().iter().map(|set| head_row(netns, set)));
        }
        for name in self.names.clone() {
            match self.elements_of(netns, name, socket) {
                // there may be one of this name in another namespace
                Err(error) if error.is_absent() => {}
                taken => {
                    taken?;
                    self.known.insert(name);
                }
            }
        }
        Ok(())
    }

    fn elements_of(&mut self, netns: &Text, name: &'a str, socket: &mut Socket) -> Result<(), Error> {
        let set = Text::from(name);
        let Self { now, before, elements: kept, .. } = self;
        let of_others = |row: &IpsetElementRow| (&row.netns, &row.set) != (netns, &set);
        let mut seen = 0;
        let raw_name = raw_name(name, socket)?;
        let taken = elements(socket, &raw_name, |element| {
            let Some(element) = element else {
                seen = 0;
                kept.retain(of_others);
                return;
            };
            seen += 1;
            // sets without counters have no busiest
            let score = element.bytes.map_or(0, |bytes| bytes.saturating_add(1));
            if kept.has_room(score) {
                kept.offer(score, element_row(netns, &set, &element, *now, before));
            }
        });
        if taken.is_err() {
            kept.retain(of_others);
        } else {
            self.seen += seen;
        }
        taken
    }
}

/// A set's name as the kernel has it: readers know it with what nobody could see made visible.
fn raw_name<'a>(name: &'a str, socket: &mut Socket) -> Result<Cow<'a, [u8]>, Error> {
    if name.contains('\\') {
        let found = sets(socket, MAX_SETS)?;
        if let Some(set) = found.kept().iter().find(|set| &*set.name == name) {
            return Ok(Cow::Owned(set.raw_name.clone()));
        }
    }
    Ok(Cow::Borrowed(name.as_bytes()))
}

impl Collect for IpsetCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("sets are asked for over netlink, which a recorded tree has not"));
        }
        let wanted = cx.wants.table(IpsetElementRow::TABLE);
        let mut found = Found {
            now: cx.time,
            before: &self.expires,
            heads: cx.wants.table(IpsetRow::TABLE).map(|_| Bounded::new(MAX_SETS)),
            names: wanted.map(names).unwrap_or_default(),
            elements: Largest::new(MAX_ELEMENTS),
            seen: 0,
            known: BTreeSet::new(),
        };
        if cx.roots.netns.has_host() {
            let socket = self.own.take().map_or_else(open, Ok)?;
            socket.with(|socket| found.add(&netns::host(), socket)).map_err(told)?;
            self.own = Some(socket);
        }
        let troubles =
            self.others.read(&cx.roots.netns, open, |netns, socket| socket.with(|socket| found.add(netns, socket)));
        let Found { heads, names, mut elements, seen, known, .. } = found;
        let rows = elements.take();
        if let Some(heads) = heads {
            out.left_out(IpsetRow::TABLE, heads.left_out(), MAX_SETS, "sets");
            out.push_netns(cx, heads.into_kept(), &troubles)?;
        }
        let Some(want) = wanted else { return Ok(()) };
        let missing: Vec<&str> = names.difference(&known).copied().collect();
        if names.is_empty() {
            let none = Skip::absent("no set is named").hint("name one, for example `set == \"blocked\"`");
            out.skip(IpsetElementRow::TABLE, &none);
            return Ok(());
        }
        if !missing.is_empty() {
            let none = Skip::absent(format!("no set {}", missing.join(", ")));
            if known.is_empty() && troubles.is_empty() {
                out.skip(IpsetElementRow::TABLE, &none);
                return Ok(());
            }
            out.partly(IpsetElementRow::TABLE, &none);
        }
        let left_out = seen.saturating_sub(MAX_ELEMENTS);
        out.left_out(IpsetElementRow::TABLE, want.left_out, MAX_IDS, "sets");
        out.left_out(IpsetElementRow::TABLE, left_out, MAX_ELEMENTS, "elements that counted less");
        let end = |row: &IpsetElementRow| Some((key(row), row.expires?));
        self.expires = rows.iter().filter_map(end).collect();
        out.push_netns(cx, rows, &troubles)
    }
}

type Key = (Text, Text, Text);

fn key(row: &IpsetElementRow) -> Key {
    (row.netns.clone(), row.set.clone(), row.element.clone())
}

/// Names of the sets that readers have named.
fn names(want: &Want) -> BTreeSet<&str> {
    let texts = want.ids.iter().filter_map(|ids| match ids.first() {
        Some(Value::Text(name)) => Some(name.as_str()),
        _ => None,
    });
    texts.collect()
}

/// Says what is lacking.
fn told(error: Error) -> Skip {
    if error.cause.raw_os_error() == Some(libc::EINVAL) {
        return Skip::absent(error).hint("the kernel's module ip_set is not loaded");
    }
    let denied = error.is_denied();
    let skip = Skip::from(error);
    if denied { skip.hint("run as root, or grant CAP_NET_ADMIN") } else { skip }
}

fn head_row(netns: &Text, set: &Set) -> IpsetRow {
    let extensions = [
        (flags::COUNTERS, "counters"),
        (flags::COMMENT, "comment"),
        (flags::PACKET_INFO, "skbinfo"),
        (flags::FORCE_ADD, "forceadd"),
    ];
    let extensions: Vec<_> =
        extensions.iter().filter(|(flag, _)| set.flags & flag != 0).map(|(_, word)| *word).collect();
    let family = match libc::c_int::from(set.family) {
        libc::AF_INET => Some("inet"),
        libc::AF_INET6 => Some("inet6"),
        _ => None,
    };
    let addresses = set.addresses.map(|(first, last)| format!("{}-{}", IpText(first), IpText(last)));
    let ports = set.ports.map(|(first, last)| format!("{first}-{last}"));
    IpsetRow {
        netns: netns.clone(),
        set: set.name.clone(),
        kind: set.kind.clone(),
        family: family.map(Text::from),
        elements: set.elements,
        size: set.max,
        range: addresses.or(ports).map(Text::from),
        mask: set.mask.map(u32::from),
        bitmask: set.bitmask,
        markmask: set.mark_mask.filter(|mask| *mask != u32::MAX).map(|mask| Text::from(format!("{mask:#010x}"))),
        timeout: set.timeout.filter(|timeout| *timeout != 0).map(f64::from),
        extensions: (!extensions.is_empty()).then(|| Text::from(extensions.join(","))),
        references: set.references,
        memory: set.memory,
        buckets: set.buckets,
        bucket_size: set.bucket_size.map(u32::from),
    }
}

fn element_row(
    netns: &Text,
    set: &Text,
    element: &Element,
    now: Timestamp,
    before: &HashMap<Key, Timestamp>,
) -> IpsetElementRow {
    let left = element.timeout.filter(|timeout| *timeout != 0);
    let end = left.map(|left| Timestamp(now.0.saturating_add(i64::from(left) * 1_000_000_000)));
    let before = end.and_then(|_| before.get(&(netns.clone(), set.clone(), element.text.clone())).copied());
    let mark = |(mark, mask): (u32, u32)| {
        if mask == u32::MAX { format!("{mark:#x}") } else { format!("{mark:#x}/{mask:#x}") }
    };
    IpsetElementRow {
        netns: netns.clone(),
        set: set.clone(),
        element: element.text.clone(),
        packets: element.packets,
        bytes: element.bytes,
        expires: steady(before, end),
        nomatch: element.is_not,
        wildcard: element.is_wildcard,
        comment: element.comment.clone(),
        skbmark: element.mark.map(|both| Text::from(mark(both))),
        skbprio: element.class.map(|(major, minor)| Text::from(format!("{major:x}:{minor:x}"))),
        skbqueue: element.queue.map(u32::from),
    }
}
