//! Which of a million connections come first in the orders that readers want?
//!
//! Each of them has a list. One pass over all connections keeps for a list at most twice as many as its reader wants; what
//! comes after the last of those is dropped at sight. In the order of a rate those come first that counted most since the
//! last look: while there are more than are wanted, what each had counted is remembered. A connection is read as far as it
//! takes to order it, and wholly when it has room in a list.

use std::cmp::Reverse;
use std::hash::RandomState;
use std::net::IpAddr;

use super::known::{Known, Place};
use super::narrow::Narrow;
use super::zone;
use crate::collect::Part;
use crate::model::Guests;
use crate::source::bounded::Largest;
use crate::source::conntrack::flow::{Carried, Flow, Glimpse};
use crate::source::netlink::Malformed;

/// Connections that a list has at least: one that comes to the front has no rate if it was not in the list before.
const LEAST: usize = 1 << 10;

/// The lists of all readers.
#[derive(Default)]
pub(super) struct Ranked {
    lists: Vec<List>,
    /// One for each counter by whose rate a list is ordered.
    moves: Vec<Moves>,
    known: Known,
    /// Connections of the network namespaces that were looked at, and all of the last pass.
    seen: u64,
    expected: u64,
    /// Whether what is counted is remembered in this pass.
    remembers: bool,
    hasher: RandomState,
}

/// What one reader wants.
struct List {
    /// What it is about, if that is not all.
    narrow: Option<Narrow>,
    order: Order,
    largest_first: bool,
    most: usize,
    /// Whether the reader needs no more than that.
    is_enough: bool,
    seen: usize,
    /// With the places of their network namespaces.
    kept: Largest<Score, (usize, Flow)>,
}

/// What comes first: what has a value, then by the value, then by what was ever counted, then by the key.
type Score = (u8, u128, u64, Reverse<(usize, u32)>);

/// By what connections are ordered.
#[derive(Clone, Copy)]
enum Order {
    Rate(Counter),
    Total(Counter),
    /// By the first number, which is 0 or 1, then by the second.
    Value(fn(&Flow) -> Option<(u8, u128)>),
}

/// What is counted of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    /// Bytes of both directions.
    Carried,
    Bytes,
    Packets,
    ReplyBytes,
    ReplyPackets,
}

/// What was counted until the last pass.
struct Moves {
    counter: Counter,
    /// By the places of the connections.
    counted: Vec<u32>,
    /// Whether it was not there in the last pass.
    is_new: bool,
    /// What the connection that is being looked at has counted since then.
    moved: Option<u64>,
}

/// A connection that is read when the first list wants it.
struct Looked<'a> {
    glimpse: &'a Glimpse<'a>,
    flow: Option<Flow>,
}

impl Looked<'_> {
    /// All of it; `None` for one that is not of IP.
    fn flow(&mut self) -> Result<Option<Flow>, Malformed> {
        if self.flow.is_none() {
            self.flow = self.glimpse.flow()?;
        }
        Ok(self.flow)
    }
}

impl Ranked {
    /// Begins a pass for readers of these parts, each of which has so many connections at most; guests are known by these addresses.
    pub(super) fn begin(&mut self, parts: &[Part], guests: &Guests, most: usize) {
        self.lists = parts.iter().map(|part| List::new(part, guests, most)).collect();
        let counters: Vec<Counter> = self.lists.iter().filter_map(List::rate).collect();
        self.moves.retain(|moves| counters.contains(&moves.counter));
        for counter in counters {
            if !self.moves.iter().any(|moves| moves.counter == counter) {
                self.moves.push(Moves { counter, counted: Vec::new(), is_new: true, moved: None });
            }
        }
        (self.expected, self.seen, self.remembers) = (self.seen, 0, false);
    }

    /// Takes the connections of a network namespace, of which there are about `count`, as `pass` gives them; none of them if
    /// it fails.
    ///
    /// # Errors
    /// That of `pass`.
    pub(super) fn add<E>(
        &mut self,
        netns: usize,
        count: u64,
        pass: impl FnOnce(&mut dyn FnMut(&Glimpse<'_>) -> Result<(), Malformed>) -> Result<(), E>,
    ) -> Result<(), E> {
        let all = self.seen.saturating_add(count);
        let expected = self.expected.max(all);
        self.remembers |= self.is_crowded(expected) && !self.moves.is_empty();
        if self.remembers {
            self.known.make_room(expected);
        }
        let before: Vec<usize> = self.lists.iter().map(|list| list.seen).collect();
        let passed = pass(&mut |glimpse| self.offer(netns, glimpse));
        self.seen = all;
        if passed.is_err() {
            for (list, seen) in self.lists.iter_mut().zip(before) {
                list.seen = seen;
                list.kept.retain(|(place, _)| *place != netns);
            }
        }
        passed
    }

    /// Whether so many connections are more than some reader wants.
    fn is_crowded(&self, count: u64) -> bool {
        self.lists.iter().any(|list| (list.most as u64) < count)
    }

    fn offer(&mut self, netns: usize, glimpse: &Glimpse<'_>) -> Result<(), Malformed> {
        let place = self.remembers.then(|| self.known.meet(glimpse.identity(&self.hasher)));
        for moves in &mut self.moves {
            let counted = moves.counter.of(glimpse).map(|counted| counted >> moves.counter.unit_bits());
            moves.moved = counted.map(|counted| place.map_or(counted, |place| moves.since(place, counted)));
        }
        let mut looked = Looked { glimpse, flow: None };
        self.lists.iter_mut().try_for_each(|list| list.offer(&self.moves, netns, &mut looked))
    }

    /// Ends the pass: the connections with the places of their network namespaces, and how many have no room.
    pub(super) fn finish(&mut self) -> (Vec<(usize, Flow)>, usize) {
        let is_crowded = self.is_crowded(self.seen);
        let mut lists = std::mem::take(&mut self.lists);
        let left_out =
            lists.iter().filter(|list| !list.is_enough).map(|list| list.seen.saturating_sub(list.most)).max();
        let mut kept: Vec<_> = lists.iter_mut().flat_map(|list| list.kept.take()).collect();
        // one list has what others have too, and a connection that moves within the kernel's table meanwhile is met twice
        kept.sort_by_key(|(netns, flow)| (*netns, flow.id));
        kept.dedup_by(|a, b| (a.0, a.1.id, a.1.original) == (b.0, b.1.id, b.1.original));
        for moves in &mut self.moves {
            moves.is_new = false;
        }
        if is_crowded && !self.moves.is_empty() {
            self.known.end_pass();
        } else {
            self.known.clear();
            self.moves.clear();
        }
        (kept, left_out.unwrap_or(0))
    }
}

impl List {
    fn new(part: &Part, guests: &Guests, most: usize) -> Self {
        let order = part.sort.as_ref().and_then(|(column, largest)| Some((Order::of(column)?, *largest)));
        // in an order that is not known here all of them may be needed
        let enough = part.rows.filter(|_| order.is_some()).map(|rows| rows.max(LEAST)).filter(|rows| *rows < most);
        let (order, largest_first) = order.unwrap_or((Order::Rate(Counter::Carried), true));
        let most = enough.unwrap_or(most);
        let narrow = Some(Narrow::of(&part.only, guests)).filter(|narrow| *narrow != Narrow::default());
        let kept = Largest::new(most);
        Self { narrow, order, largest_first, most, is_enough: enough.is_some(), seen: 0, kept }
    }

    fn rate(&self) -> Option<Counter> {
        if let Order::Rate(counter) = self.order { Some(counter) } else { None }
    }

    fn offer(&mut self, moves: &[Moves], netns: usize, looked: &mut Looked<'_>) -> Result<(), Malformed> {
        if let Some(narrow) = &self.narrow
            && !looked.flow()?.is_some_and(|flow| narrow.keeps(&flow))
        {
            return Ok(());
        }
        self.seen += 1;
        let (value, total) = match self.order {
            Order::Rate(counter) => {
                let moved = moves.iter().find(|moves| moves.counter == counter).and_then(|moves| moves.moved);
                (moved.map(|moved| (0, moved.into())), counter.of(looked.glimpse))
            }
            Order::Total(counter) => (counter.of(looked.glimpse).map(|total| (0, total.into())), None),
            Order::Value(value) => (looked.flow()?.as_ref().and_then(value), None),
        };
        let total = total.map_or(0, |total| if self.largest_first { total } else { !total });
        let (kind, value) = match (value, self.largest_first) {
            (None, _) => (0, 0),
            (Some((kind, value)), true) => (1 + kind, value),
            (Some((kind, value)), false) => (2 - kind, !value),
        };
        let score = (kind, value, total, Reverse((netns, looked.glimpse.id)));
        if self.kept.has_room(score)
            && let Some(flow) = looked.flow()?
        {
            self.kept.offer(score, (netns, flow));
        }
        Ok(())
    }
}

impl Order {
    /// The order by a column, or by the total of a counter; `None` if it is not known here.
    fn of(column: &str) -> Option<Self> {
        if let Some(counter) = column.strip_prefix("total(").and_then(|rest| rest.strip_suffix(')')) {
            return Counter::of_column(counter).map(Self::Total);
        }
        if let Some(counter) = Counter::of_column(column) {
            return Some(Self::Rate(counter));
        }
        Some(Self::Value(match column {
            "id" => |flow| number(Some(flow.id)),
            "source" => |flow| Some(address(flow.original.source)),
            "source_port" => |flow| number(flow.original.ports.map(|(port, _)| port)),
            "destination" => |flow| Some(address(flow.original.destination)),
            "destination_port" => |flow| number(flow.original.ports.map(|(_, port)| port)),
            "reply_source" => |flow| Some(address(flow.reply.source)),
            "reply_source_port" => |flow| number(flow.reply.ports.map(|(port, _)| port)),
            "reply_destination" => |flow| Some(address(flow.reply.destination)),
            "reply_destination_port" => |flow| number(flow.reply.ports.map(|(_, port)| port)),
            "mark" => |flow| number(flow.mark),
            "zone" => |flow| number(Some(zone(flow.zone, flow.original.zone))),
            "reply_zone" => |flow| number(Some(zone(flow.zone, flow.reply.zone))),
            "start" => |flow| number(flow.start),
            "expires" => |flow| number(flow.timeout),
            _ => return None,
        }))
    }
}

fn number(value: Option<impl Into<u64>>) -> Option<(u8, u128)> {
    value.map(|value| (0, u128::from(value.into())))
}

/// Addresses of IPv4 come before those of IPv6.
fn address(address: IpAddr) -> (u8, u128) {
    match address {
        IpAddr::V4(address) => (0, address.to_bits().into()),
        IpAddr::V6(address) => (1, address.to_bits()),
    }
}

impl Counter {
    fn of_column(column: &str) -> Option<Self> {
        Some(match column {
            "bytes" => Self::Bytes,
            "packets" => Self::Packets,
            "reply_bytes" => Self::ReplyBytes,
            "reply_packets" => Self::ReplyPackets,
            _ => return None,
        })
    }

    fn of(self, flow: &Glimpse<'_>) -> Option<u64> {
        let (bytes, packets) = (|carried: Carried| carried.bytes, |carried: Carried| carried.packets);
        match self {
            Self::Carried => {
                let both = [flow.carried, flow.answered].into_iter().flatten().map(bytes);
                both.reduce(u64::saturating_add)
            }
            Self::Bytes => flow.carried.map(bytes),
            Self::Packets => flow.carried.map(packets),
            Self::ReplyBytes => flow.answered.map(bytes),
            Self::ReplyPackets => flow.answered.map(packets),
        }
    }

    /// What is remembered is counted in such units that even the fastest connection does not wrap between two passes.
    fn unit_bits(self) -> u32 {
        if matches!(self, Self::Packets | Self::ReplyPackets) { 0 } else { 6 }
    }
}

impl Moves {
    /// What a connection has counted since the last pass, and all of it if it was not there, in units.
    fn since(&mut self, place: Place, counted: u64) -> u64 {
        let (at, is_new) = match place {
            Place::Old(at) => (at, self.is_new),
            Place::New(at) => (at, true),
            // all that it ever counted is nothing that moved
            Place::Again | Place::Nowhere => return 0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "differences are right although what is remembered wraps")]
        let now = counted as u32;
        if self.counted.len() <= at {
            self.counted.resize(at + 1, 0);
        }
        let Some(known) = self.counted.get_mut(at) else { return 0 };
        let before = std::mem::replace(known, now);
        if is_new { counted } else { now.wrapping_sub(before).into() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::model::Value;
    use crate::source::conntrack::flow::Tuple;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn flow(id: u32, bytes: u64) -> Flow {
        let tuple = Tuple { source: HERE, destination: HERE, protocol: 17, ports: None, icmp: None, zone: None };
        Flow { carried: Some(Carried { packets: 1, bytes: bytes * 64 }), ..testing::flow(id, tuple, tuple) }
    }

    fn sorted(column: &str, largest_first: bool) -> Part {
        Part { sort: Some((column.to_owned(), largest_first)), ..Part::default() }
    }

    fn pass(ranked: &mut Ranked, parts: &[Part], most: usize, flows: Vec<Flow>) -> (Vec<u32>, usize) {
        ranked.begin(parts, &Guests::default(), most);
        let taken = ranked.add(0, flows.len() as u64, |give| give_all(flows, give));
        taken.unwrap();
        let (kept, left_out) = ranked.finish();
        (kept.into_iter().map(|(_, flow)| flow.id).collect(), left_out)
    }

    fn give_all(
        flows: impl IntoIterator<Item = Flow>,
        give: &mut dyn FnMut(&Glimpse<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        flows.into_iter().try_for_each(|flow| testing::glimpse(&flow, &mut *give))
    }

    #[test]
    fn what_moved_lately_goes_before_what_was_carried_long_ago() {
        let old = |id| flow(id, 1_000_000 - u64::from(id));
        for part in [Part::default(), sorted("bytes", true)] {
            let (mut ranked, parts) = (Ranked::default(), [part]);
            assert_eq!(pass(&mut ranked, &parts, 2, (0..100).map(old).collect()).0, [0, 1]);
            let moved = (0..100).map(|id| if id >= 98 { flow(id, 1_000_000) } else { old(id) });
            assert_eq!(pass(&mut ranked, &parts, 2, moved.collect()), (vec![98, 99], 98));
        }
        let (mut ranked, parts) = (Ranked::default(), [sorted("total(bytes)", true)]);
        for id in [99, 98] {
            let moved = (0..100).map(|other| if other == id { flow(id, 900_000) } else { old(other) });
            assert_eq!(
                pass(&mut ranked, &parts, 2, moved.collect()).0,
                [0, 1],
                "what was ever carried has its own order"
            );
        }
        assert!(ranked.moves.is_empty());
    }

    #[test]
    fn each_reader_has_the_first_of_its_own_order_and_filter() {
        let ported = |id: u32| {
            let mut flow = flow(id, id.into());
            flow.original.ports = Some((9, u16::try_from(id).unwrap()));
            flow.mark = id.is_multiple_of(10).then_some(7);
            flow
        };
        let flows = || (1..=100).map(ported).collect::<Vec<_>>();
        let by_port = sorted("destination_port", false);
        assert_eq!(pass(&mut Ranked::default(), std::slice::from_ref(&by_port), 2, flows()), (vec![1, 2], 98));
        let marked =
            Part { only: [("mark".to_owned(), vec![Value::U64(7)])].into(), ..sorted("destination_port", true) };
        let both = pass(&mut Ranked::default(), &[by_port, marked.clone()], 2, flows());
        assert_eq!(both, (vec![1, 2, 90, 100], 98));
        assert_eq!(pass(&mut Ranked::default(), &[marked, sorted("bytes", true)], 10, flows()).1, 90);
        let smallest = pass(&mut Ranked::default(), &[sorted("mark", false)], 11, flows()).0;
        assert_eq!(smallest, [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], "what has no value comes last");
    }

    #[test]
    fn who_wants_the_first_hundred_has_them_and_some_more_and_lacks_nothing() {
        let few = Part { rows: Some(100), ..sorted("bytes", true) };
        let flows = |count: u32| (0..count).map(|id| flow(id, id.into())).collect::<Vec<_>>();
        let (kept, left_out) = pass(&mut Ranked::default(), std::slice::from_ref(&few), 5000, flows(4000));
        assert_eq!((kept.len(), kept[0], left_out), (LEAST, 4000 - LEAST as u32, 0));
        let strange = Part { rows: Some(100), ..sorted("status", true) };
        assert_eq!(pass(&mut Ranked::default(), &[few, strange], 3000, flows(4000)).1, 1000, "all may be needed");
    }

    #[test]
    fn what_is_gone_is_forgotten_and_so_is_all_when_there_is_room() {
        let (mut ranked, parts) = (Ranked::default(), [Part::default()]);
        let mut pass = |ids: std::ops::Range<u32>| pass(&mut ranked, &parts, 2, ids.map(|id| flow(id, 1)).collect());
        pass(0..100);
        pass(0..50);
        assert_eq!(pass(0..2), (vec![0, 1], 0));
        assert_eq!((ranked.moves.len(), ranked.known.len()), (0, 0));
    }

    #[test]
    fn two_of_one_number_are_told_apart_by_their_addresses() {
        let elsewhere = |bytes: u64| {
            let mut flow = flow(7, bytes);
            flow.original.source = [192, 0, 2, 1].into();
            flow
        };
        let (mut ranked, parts) = (Ranked::default(), [Part::default()]);
        let mut pass = |bytes| pass(&mut ranked, &parts, 1, vec![flow(1, bytes), flow(7, 1), elsewhere(1000)]).0;
        pass(5);
        for bytes in 6..9 {
            assert_eq!(pass(bytes), [1], "only this one moves");
        }
    }

    #[test]
    fn what_moved_is_known_in_every_namespace_although_the_first_is_small() {
        let (mut ranked, parts) = (Ranked::default(), [Part::default()]);
        let mut pass = |bytes: u64| {
            ranked.begin(&parts, &Guests::default(), 2);
            for (netns, ids) in [(0, 0..2_u32), (1, 2..10)] {
                let taken = ranked.add(netns, ids.len() as u64, |give| {
                    give_all(ids.map(|id| flow(id, if id < 2 { 1000 } else { bytes })), give)
                });
                taken.unwrap();
            }
            ranked.finish().0.into_iter().map(|(_, flow)| flow.id).collect::<Vec<_>>()
        };
        assert_eq!([pass(1), pass(2)], [[0, 1], [0, 1]]);
        assert_eq!(pass(3), [2, 3], "the first two carry nothing any more");
    }

    #[test]
    fn of_a_pass_that_failed_nothing_is_kept() {
        let mut ranked = Ranked::default();
        ranked.begin(&[Part::default()], &Guests::default(), 10);
        let failed = ranked.add(1, 1, |give| give_all([flow(1, 9)], give).and(Err(Malformed)));
        assert_eq!(failed, Err(Malformed));
        let taken = ranked.add(0, 1, |give| give_all([flow(2, 1)], give));
        assert_eq!((taken, ranked.finish()), (Ok(()), (vec![(0, flow(2, 1))], 0)));
    }

    #[test]
    fn a_connection_that_is_met_twice_is_one() {
        let flows = vec![flow(7, 1), flow(8, 1), flow(7, 2)];
        assert_eq!(pass(&mut Ranked::default(), &[Part::default()], 10, flows), (vec![7, 8], 0));
    }
}
