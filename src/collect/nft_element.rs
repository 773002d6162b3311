//! What is in the sets and maps of the packet filter that somebody looks at, and what do their elements count?
//!
//! Elements are read of those sets that readers name, each as it comes, and of very many the busiest become rows.

use std::collections::{BTreeSet, HashMap};

use super::address::steady;
use super::nftables::names::Here;
use super::nftables::{NftFamily, told};
use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, MAX_IDS, Skip, Want};
use crate::model::{Text, Timestamp, Value};
use crate::source::Error;
use crate::source::bounded::Largest;
use crate::source::file::Root;
use crate::source::netlink::Family as Netlink;
use crate::source::netlink::common::Common;
use crate::source::netns::{self, Rooms};
use crate::source::nftables::instruction::Instruction;
use crate::source::nftables::text::Scene;
use crate::source::nftables::{Element, Family, Names, read};
use crate::table;

table! {
    /// One element of a set or map that a reader has named. Of more than 65536 those have rows that counted the most; counts
    /// are missing for elements without a counter.
    ///
    /// Source: nfnetlink `NFT_MSG_GETSETELEM`, `include/uapi/linux/netfilter/nf_tables.h`; keys and what they lead to are
    /// written as by `nft -nn list set`.
    pub struct NftElementRow = "nft_element" { title: Some("Elements of filter sets"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family of the set's table.
        Id(None) family: NftFamily { required: true },
        /// Table that the set is in.
        Id(None) table: Text { required: true },
        /// Set or map that it is in.
        Id(None) set: Text { required: true },
        /// What it stands for: a value, a range, or `*` for all that is not in the set.
        Id(None) key: Text { label: true },
        /// What a map has for it: a value, a verdict or the name of an object.
        Text(None) data: Option<Text>,
        /// Packets that its counter has seen.
        Counter(Packets) packets: Option<u64>,
        /// Bytes of those.
        Counter(Bytes) bytes: Option<u64> { traffic: true, top: true },
        /// How long it lives, where that is not what its set says.
        Gauge(Seconds) timeout: Option<f64> { wide: true },
        /// When it goes; missing for one that stays.
        Gauge(None) expires: Option<Timestamp> { until: true },
        /// What else it has of its own: limits, quotas, when it was used last.
        Text(None) state: Option<Text> { wide: true },
        /// What was written beside it.
        Text(None) comment: Option<Text>,
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "nft_element",
    tables: &[NftElementRow::TABLE],
    interval: EVERY_SECOND,
    // sets may be large
    blocks: true,
    needs: Capabilities::NET_ADMIN,
    make: || Box::<NftElementCollector>::default(),
};

/// Elements that become rows.
const MAX_ELEMENTS: usize = 1 << 16;

#[derive(Default)]
struct NftElementCollector {
    /// Dropped after an error, so that the next sample starts with a fresh one.
    own: Option<Room>,
    others: Rooms<Room>,
    /// Ends of the last sample: the kernel tells what is left, which is another number each time.
    expires: HashMap<Key, Timestamp>,
}

/// What a network namespace is asked over.
struct Room {
    filter: Common,
    links: Common,
}

fn open() -> Result<Room, Error> {
    Ok(Room { filter: Common::open(Netlink::Netfilter)?, links: Common::open(Netlink::Route)? })
}

/// A set that readers have named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Which {
    family: Family,
    table: Text,
    set: Text,
}

impl Which {
    fn of(ids: &[Value]) -> Option<Self> {
        let [Value::Label(family) | Value::Text(family), Value::Text(table), Value::Text(set)] = ids else {
            return None;
        };
        Some(Self { family: Family::named(family)?, table: table.clone(), set: set.clone() })
    }

    fn words(&self) -> String {
        format!("{} {} {}", self.family.name(), self.table, self.set)
    }
}

type Key = (Text, Which, Text);

fn key(row: &NftElementRow) -> Option<Key> {
    let family = Family::named(row.family.name())?;
    Some((row.netns.clone(), Which { family, table: row.table.clone(), set: row.set.clone() }, row.key.clone()))
}

/// What was found in all network namespaces.
struct Found<'a> {
    sys: &'a Root,
    now: Timestamp,
    before: &'a HashMap<Key, Timestamp>,
    wanted: BTreeSet<Which>,
    /// Network namespaces outside which no reader keeps a row.
    only: Option<Vec<Value>>,
    elements: Largest<u64, NftElementRow>,
    seen: usize,
    known: BTreeSet<Which>,
}

impl<'a> Found<'a> {
    fn new(cx: &Cx<'a>, before: &'a HashMap<Key, Timestamp>, want: &Want) -> Self {
        Self {
            sys: &cx.roots.sys,
            now: cx.time,
            before,
            wanted: want.ids.iter().filter_map(|ids| Which::of(ids)).collect(),
            only: want.only().remove("netns"),
            elements: Largest::new(MAX_ELEMENTS),
            seen: 0,
            known: BTreeSet::new(),
        }
    }

    fn add(&mut self, netns: &Text, room: &mut Room) -> Result<(), Error> {
        if self.only.as_ref().is_some_and(|only| !only.contains(&Value::Text(netns.clone()))) {
            return Ok(());
        }
        for which in self.wanted.clone() {
            match self.elements_of(netns, &which, room) {
                // there may be one of this name in another namespace
                Err(error) if error.is_absent() => {}
                taken => {
                    taken?;
                    self.known.insert(which);
                }
            }
        }
        Ok(())
    }

    fn elements_of(&mut self, netns: &Text, which: &Which, room: &mut Room) -> Result<(), Error> {
        let set = room.filter.with(|socket| read::set_of(socket, which.family, &which.table, &which.set))?;
        let (names, host) = (Names::default(), Here::new(self.sys, &room.links, None));
        let scene = Scene::new(set.family, &set.table, &names, &host);
        let Self { now, before, elements: kept, .. } = self;
        let family = which.family.into();
        let of_others = |row: &NftElementRow| {
            (&row.netns, row.family, &row.table, &row.set) != (netns, family, &which.table, &which.set)
        };
        let mut seen = 0;
        let each = |one: Option<(Element, Option<&[u8]>)>| {
            let Some((element, beyond)) = one else {
                seen = 0;
                kept.retain(of_others);
                return;
            };
            seen += 1;
            let counted = counted(&element);
            // elements without counters have no busiest
            let score = counted.map_or(0, |(_, bytes)| bytes.saturating_add(1));
            if !kept.has_room(score) {
                return;
            }
            let text = scene.element(&set, &element, beyond);
            let end = element.expires.map(|left| ends(*now, left));
            let key = (netns.clone(), which.clone(), Text::from(text.key));
            let expires = steady(end.and_then(|_| before.get(&key).copied()), end);
            let row = NftElementRow {
                netns: netns.clone(),
                family,
                table: which.table.clone(),
                set: which.set.clone(),
                key: key.2,
                data: text.data.map(Text::from),
                packets: counted.map(|(packets, _)| packets),
                bytes: counted.map(|(_, bytes)| bytes),
                timeout: element.timeout.map(|timeout| timeout as f64 / 1e3),
                expires,
                state: text.state.map(Text::from),
                comment: element.comment.as_deref().map(Text::new),
            };
            kept.offer(score, row);
        };
        let taken = room.filter.with(|socket| read::each_element(socket, &set, each));
        if taken.is_err() {
            kept.retain(of_others);
        } else {
            self.seen += seen;
        }
        taken
    }
}

/// Packets and bytes of an element.
fn counted(element: &Element) -> Option<(u64, u64)> {
    element.with.iter().find_map(|one| match one {
        Instruction::Counter { packets, bytes } => Some((*packets, *bytes)),
        _ => None,
    })
}

/// When something ends that has so many milliseconds left.
fn ends(now: Timestamp, left: u64) -> Timestamp {
    let left = i64::try_from(left).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    Timestamp(now.0.saturating_add(left))
}

impl Collect for NftElementCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("sets are asked for over netlink, which a recorded tree has not"));
        }
        let Some(want) = cx.wants.table(NftElementRow::TABLE) else { return Ok(()) };
        let mut found = Found::new(cx, &self.expires, want);
        if found.wanted.is_empty() {
            let hint = "name one, for example `family == \"inet\" and table == \"filter\" and set == \"blocked\"`";
            return Err(Skip::absent("no set is named").hint(hint));
        }
        if cx.roots.netns.has_host() {
            let mut room = self.own.take().map_or_else(open, Ok).map_err(told)?;
            found.add(&netns::host(), &mut room).map_err(told)?;
            self.own = Some(room);
        }
        let troubles = self.others.read(&cx.roots.netns, open, |netns, room| found.add(netns, room));
        let Found { wanted, mut elements, seen, known, .. } = found;
        let missing: Vec<String> = wanted.difference(&known).map(Which::words).collect();
        if !missing.is_empty() {
            let none = Skip::absent(format!("no set {}", missing.join(", ")));
            if known.is_empty() && troubles.is_empty() {
                return Err(none);
            }
            out.partly(NftElementRow::TABLE, &none);
        }
        out.left_out(NftElementRow::TABLE, want.left_out, MAX_IDS, "sets");
        let left_out = seen.saturating_sub(MAX_ELEMENTS);
        out.left_out(NftElementRow::TABLE, left_out, MAX_ELEMENTS, "elements that counted less");
        let rows = elements.take();
        self.expires = rows.iter().filter_map(|row| Some((key(row)?, row.expires?))).collect();
        out.push_netns(cx, rows, &troubles)
    }
}
