//! Who fills the table of connections: which sources, destinations, ports, protocols, states, zones, marks or guests?
//!
//! One pass adds each connection to its group. What it carried since the pass before is added to the counters of the group,
//! so that a group has a rate although its connections come and go; for that some 34 bytes of each connection are remembered.
//!
//! Memory is bounded: there are at most twice [`MAX_GROUPS`] groups of a kind in a network namespace. When there are more
//! those make room that have few connections and carry little; one that comes back later in the pass lacks what it had. How
//! many connections a group may lack is known and told: as many as the groups had that were dropped before (Misra and Gries).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::RandomState;
use std::net::IpAddr;

use super::known::{Known, Place};
use super::owner::{Names, Numbered};
use super::{FlowState, protocol, zone};
use crate::model::{Guests, IpText, Text, Value};
use crate::source::conntrack::flow::{Glimpse, Tuple};
use crate::source::netlink::Malformed;
use crate::{label, table};

label! {
    /// What the connections of a group have in common.
    pub enum GroupBy {
        Source = "source",
        Destination = "destination",
        Port = "port",
        Protocol = "protocol",
        State = "state",
        Zone = "zone",
        Mark = "mark",
        Vm = "vm",
    }
}

impl GroupBy {
    const ALL: [Self; 8] =
        [Self::Source, Self::Destination, Self::Port, Self::Protocol, Self::State, Self::Zone, Self::Mark, Self::Vm];

    /// What readers have named.
    pub(super) fn named<'a>(ids: impl Iterator<Item = &'a Vec<Value>>) -> Vec<Self> {
        let word = |ids: &'a Vec<Value>| match ids.first() {
            Some(Value::Text(word) | Value::Label(word)) => Some(word.as_str()),
            _ => None,
        };
        let words: BTreeSet<&str> = ids.filter_map(word).collect();
        Self::ALL.into_iter().filter(|by| words.contains(by.name())).collect()
    }
}

table! {
    /// Tracked connections that have one thing in common, which readers choose. Of more than 16384 groups of a network namespace
    /// those have rows that have many connections or carried much since the last look.
    ///
    /// Packets and bytes are those of both directions; they are missing unless `nf_conntrack_acct` was on when the
    /// connections began, and count from the moment when somebody looks.
    ///
    /// Source: ctnetlink `IPCTNL_MSG_CT_GET`, `include/uapi/linux/netfilter/nfnetlink_conntrack.h`.
    pub struct ConntrackGroupRow = "conntrack_group" { title: Some("Groups of connections"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// What they have in common.
        Id(None) by: GroupBy { required: true },
        /// Their address, port of the destination, protocol, state, zone, mark or guest.
        Id(None) value: Text { label: true },
        /// Guest that has the address that they have in common.
        Text(None) vm: Option<Text>,
        /// Connections that there are now.
        Gauge(None) flows: u64 { top: true },
        /// Packets that they carried, those included that are gone.
        Counter(Packets) packets: Option<u64>,
        /// Data that they carried, headers included, with that of connections that are gone.
        Counter(Bytes) bytes: Option<u64> { traffic: true },
    }
}

/// Groups of one kind in a network namespace that become rows.
pub(super) const MAX_GROUPS: usize = 1 << 14;

/// All groups, from pass to pass.
#[derive(Default)]
pub(super) struct Groups {
    known: Known,
    /// By the places of the connections: what each had carried.
    seen: Vec<Seen>,
    hasher: RandomState,
    round: u32,
    /// Connections of this pass, as the kernel has counted them.
    expected: u64,
    /// By network namespace.
    spaces: BTreeMap<Text, Space>,
    names: Names,
}

#[derive(Default)]
struct Space {
    round: u32,
    kinds: BTreeMap<u8, Kind>,
    guests: Numbered,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    packets: u64,
    bytes: u64,
}

/// Groups that have the same in common.
struct Kind {
    by: GroupBy,
    groups: HashMap<Common, Group>,
    lack: Lack,
}

/// What there was no room for in this pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lack {
    /// Groups that were dropped, each as often as it was.
    pub(super) groups: usize,
    /// Connections that a group may lack.
    pub(super) flows: u64,
}

/// What the connections of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Common {
    Address(IpAddr),
    Number(u32),
    Protocol(u8),
    State(FlowState),
    Guest(u32),
    /// Nothing: no port, no state, no guest.
    None,
}

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    flows: u64,
    packets: u64,
    bytes: u64,
    /// Bytes of this pass.
    moved: u64,
    is_counted: bool,
}

/// What a connection carried since the pass before.
enum Moved {
    /// It was met before in this pass.
    Again,
    /// It is not counted.
    Uncounted,
    Counted {
        packets: u64,
        bytes: u64,
    },
}

impl Groups {
    /// Begins with the connections of a network namespace, of which there are about so many, to be put into groups by these.
    pub(super) fn enter(&mut self, netns: &Text, by: &[GroupBy], guests: &Guests, count: u64) -> Pass<'_> {
        self.expected = self.expected.saturating_add(count);
        self.known.make_room(self.expected);
        let space = self.spaces.entry(netns.clone()).or_default();
        space.round = self.round;
        space.guests = if guests.addresses.is_empty() { Numbered::default() } else { self.names.number(guests, netns) };
        space.kinds.retain(|kind, _| by.iter().any(|by| *by as u8 == *kind));
        for by in by {
            let kind = || Kind { by: *by, groups: HashMap::new(), lack: Lack::default() };
            space.kinds.entry(*by as u8).or_insert_with(kind);
        }
        Pass { known: &mut self.known, seen: &mut self.seen, hasher: &self.hasher, space }
    }

    /// Forgets the groups of a network namespace that could not be read to its end.
    pub(super) fn leave(&mut self, netns: &Text) {
        self.spaces.remove(netns);
    }

    /// Ends a pass over all network namespaces: the rows, and what there was no room for.
    pub(super) fn finish(&mut self) -> (Vec<ConntrackGroupRow>, Lack) {
        let (mut rows, mut lack) = (Vec::new(), Lack::default());
        let round = self.round;
        self.spaces.retain(|_, space| space.round == round);
        if self.names.is_full() {
            // numbers are given anew, so that what they have counted is not known to be the same any more
            self.names.clear();
            self.spaces.values_mut().for_each(|space| drop(space.kinds.remove(&(GroupBy::Vm as u8))));
        }
        for (netns, space) in &mut self.spaces {
            for kind in space.kinds.values_mut() {
                kind.groups.retain(|_, group| group.flows > 0);
                if kind.groups.len() > MAX_GROUPS {
                    kind.make_room();
                }
                let row = |(common, group): (&Common, &Group)| {
                    row(netns, kind.by, *common, group, &space.guests, &self.names)
                };
                rows.extend(kind.groups.iter().map(row));
                lack.groups += kind.lack.groups;
                lack.flows = lack.flows.max(kind.lack.flows);
                kind.lack = Lack::default();
                for group in kind.groups.values_mut() {
                    (group.flows, group.moved) = (0, 0);
                }
            }
        }
        self.known.end_pass();
        (self.round, self.expected) = (self.round.wrapping_add(1), 0);
        (rows, lack)
    }
}

/// The connections of one network namespace.
pub(super) struct Pass<'a> {
    known: &'a mut Known,
    seen: &'a mut Vec<Seen>,
    hasher: &'a RandomState,
    space: &'a mut Space,
}

impl Pass<'_> {
    /// Adds a connection to its groups; one that is not of IP has none.
    pub(super) fn add(&mut self, glimpse: &Glimpse<'_>) -> Result<(), Malformed> {
        let Some(original) = glimpse.original()? else { return Ok(()) };
        let (packets, bytes, is_counted) = match self.moved(glimpse) {
            Moved::Again => return Ok(()),
            Moved::Uncounted => (0, 0, false),
            Moved::Counted { packets, bytes } => (packets, bytes, true),
        };
        for kind in self.space.kinds.values_mut() {
            let common = match kind.by {
                GroupBy::Vm => guest(&self.space.guests, glimpse, &original)?,
                by => common(by, glimpse, &original)?,
            };
            let group = kind.groups.entry(common).or_default();
            group.flows += 1;
            group.packets = group.packets.saturating_add(packets);
            group.bytes = group.bytes.saturating_add(bytes);
            group.moved = group.moved.saturating_add(bytes);
            group.is_counted |= is_counted;
            if kind.groups.len() >= 2 * MAX_GROUPS {
                kind.make_room();
            }
        }
        Ok(())
    }

    fn moved(&mut self, glimpse: &Glimpse<'_>) -> Moved {
        let (at, is_new) = match self.known.meet(glimpse.identity(self.hasher)) {
            Place::Again => return Moved::Again,
            // what it carries from now on would be counted anew in every pass
            Place::Nowhere => return Moved::Uncounted,
            Place::Old(at) => (at, false),
            Place::New(at) => (at, true),
        };
        if self.seen.len() <= at {
            self.seen.resize(at + 1, Seen::default());
        }
        let both = || [glimpse.carried, glimpse.answered].into_iter().flatten();
        let packets = both().map(|carried| carried.packets).fold(0_u64, u64::saturating_add);
        let bytes = both().map(|carried| carried.bytes).fold(0_u64, u64::saturating_add);
        let Some(seen) = self.seen.get_mut(at) else { return Moved::Uncounted };
        let before = std::mem::replace(seen, Seen { packets, bytes });
        if both().next().is_none() {
            return Moved::Uncounted;
        }
        let more = bytes.checked_sub(before.bytes).zip(packets.checked_sub(before.packets)).filter(|_| !is_new);
        // one that carries less than it did is another one
        let (bytes, packets) = more.unwrap_or((bytes, packets));
        Moved::Counted { packets, bytes }
    }
}

impl Kind {
    /// Drops groups until at most [`MAX_GROUPS`] are left: those that are neither among the half of them with the most
    /// connections nor among the half that carried the most.
    fn make_room(&mut self) {
        let floor = |score: fn(&Group) -> u64| {
            let mut all: Vec<u64> = self.groups.values().map(score).collect();
            let place = (MAX_GROUPS / 2).min(all.len().saturating_sub(1));
            *all.select_nth_unstable_by(place, |a, b| b.cmp(a)).1
        };
        let (flows, moved) = (floor(|group| group.flows), floor(|group| group.moved));
        let before = self.groups.len();
        self.groups.retain(|_, group| group.flows > flows || group.moved > moved);
        self.lack.groups += before - self.groups.len();
        self.lack.flows = self.lack.flows.saturating_add(flows);
    }
}

/// What a connection has in common with others; what none of them asks for is not read.
fn common(by: GroupBy, glimpse: &Glimpse<'_>, original: &Tuple) -> Result<Common, Malformed> {
    Ok(match by {
        GroupBy::Source => Common::Address(original.source),
        GroupBy::Destination => Common::Address(original.destination),
        GroupBy::Port => original.ports.map_or(Common::None, |(_, port)| Common::Number(port.into())),
        GroupBy::Protocol => Common::Protocol(original.protocol),
        GroupBy::State => glimpse.phase()?.and_then(FlowState::of).map_or(Common::None, Common::State),
        GroupBy::Zone => Common::Number(zone(glimpse.zone()?, original.zone)),
        // the kernel leaves out the mark 0
        GroupBy::Mark => Common::Number(glimpse.mark()?.map_or(0, |mark| mark)),
        // known by where it is
        GroupBy::Vm => Common::None,
    })
}

/// The guest that has a connection, of two the one that began it.
fn guest(guests: &Numbered, glimpse: &Glimpse<'_>, original: &Tuple) -> Result<Common, Malformed> {
    if guests.is_empty() {
        return Ok(Common::None);
    }
    Ok(guests.of(original, glimpse.reply()?.as_ref()).map_or(Common::None, Common::Guest))
}

fn row(
    netns: &Text,
    by: GroupBy,
    common: Common,
    group: &Group,
    guests: &Numbered,
    names: &Names,
) -> ConntrackGroupRow {
    let vm = match common {
        Common::Address(address) => guests.has(address),
        Common::Guest(number) => Some(number),
        _ => None,
    };
    let vm = vm.and_then(|number| names.get(number)).cloned();
    let value = match common {
        Common::Address(address) => Text::from(IpText(address).to_string()),
        Common::Number(number) => Text::from(number.to_string()),
        Common::Protocol(number) => protocol(number),
        Common::State(state) => Text::from(state.name()),
        Common::Guest(_) => vm.clone().unwrap_or_default(),
        Common::None => Text::from("-"),
    };
    let counted = |count| group.is_counted.then_some(count);
    ConntrackGroupRow {
        netns: netns.clone(),
        by,
        value,
        vm,
        flows: group.flows,
        packets: counted(group.packets),
        bytes: counted(group.bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::source::conntrack::flow::{Carried, Flow};

    fn flow(id: u32, source: u32, bytes: u64) -> Flow {
        let (source, here) = (IpAddr::V4(source.into()), IpAddr::from([127, 0, 0, 1]));
        let tuple = Tuple { source, destination: here, protocol: 17, ports: Some((1, 53)), icmp: None, zone: None };
        Flow { carried: Some(Carried { packets: bytes / 100, bytes }), ..testing::flow(id, tuple, tuple) }
    }

    fn pass(groups: &mut Groups, by: GroupBy, flows: impl IntoIterator<Item = Flow>) -> (Vec<ConntrackGroupRow>, Lack) {
        let mut pass = groups.enter(&Text::from("host"), &[by], &Guests::default(), 1);
        for flow in flows {
            testing::glimpse(&flow, |glimpse| pass.add(glimpse)).unwrap();
        }
        let (mut rows, lack) = groups.finish();
        rows.sort_by(|a, b| a.value.cmp(&b.value));
        (rows, lack)
    }

    fn told(row: &ConntrackGroupRow) -> (&str, u64, Option<u64>, Option<u64>) {
        (&row.value, row.flows, row.packets, row.bytes)
    }

    #[test]
    fn a_group_has_what_its_connections_carried_and_goes_on_when_one_ends() {
        let mut groups = Groups::default();
        let rows = pass(&mut groups, GroupBy::Port, [flow(1, 1, 1000), flow(2, 2, 500)]).0;
        assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [("53", 2, Some(15), Some(1500))]);
        let rows = pass(&mut groups, GroupBy::Port, [flow(2, 2, 700), flow(3, 3, 100)]).0;
        assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [("53", 2, Some(18), Some(1800))]);
        assert!(pass(&mut groups, GroupBy::Port, []).0.is_empty(), "nothing is left of a group without connections");
    }

    #[test]
    fn a_connection_that_is_met_twice_is_one_and_two_of_the_same_number_are_two() {
        let mut groups = Groups::default();
        for _ in 0..3 {
            let rows = pass(&mut groups, GroupBy::Source, [flow(7, 1, 900), flow(7, 1, 900), flow(7, 2, 100)]).0;
            let told: Vec<_> = rows.iter().map(told).collect();
            assert_eq!(told, [("0.0.0.1", 1, Some(9), Some(900)), ("0.0.0.2", 1, Some(1), Some(100))]);
        }
    }

    #[test]
    fn of_very_many_sources_those_are_kept_that_have_many_connections_or_carry_much() {
        const MANY: u32 = 200_000;
        let mut groups = Groups::default();
        // one source with connections all over the table, and one with a single large one in its middle
        let flows = (0..MANY).map(|number| match number % 100 {
            _ if number == MANY / 2 => flow(number, 4_000_000_001, 1_000_000),
            7 => flow(number, 4_000_000_000, 0),
            _ => flow(number, number, 0),
        });
        let (rows, lack) = pass(&mut groups, GroupBy::Source, flows);
        assert!(rows.len() <= MAX_GROUPS && lack.groups > 0);
        let find = |value: &str| rows.iter().find(|row| &*row.value == value).unwrap();
        let many = find("238.107.40.0");
        assert!((u64::from(MANY) / 100 - lack.flows..=u64::from(MANY) / 100).contains(&many.flows), "{lack:?}");
        assert!(lack.flows < 50, "{lack:?}");
        assert_eq!(find("238.107.40.1").bytes, Some(1_000_000));
    }

    #[test]
    fn what_is_read_no_more_is_forgotten() {
        let mut groups = Groups::default();
        pass(&mut groups, GroupBy::Port, (0..100).map(|id| flow(id, id, 1)));
        groups.enter(&Text::from("other"), &[GroupBy::Mark], &Guests::default(), 0);
        groups.finish();
        assert_eq!((groups.spaces.len(), groups.known.len()), (1, 0));
        let ids =
            [vec![Value::Text(Text::from("zone"))], vec![Value::Text(Text::from("nothing"))], vec![Value::U64(1)]];
        assert_eq!(GroupBy::named(ids.iter()), [GroupBy::Zone]);
    }
}
