//! Which routers are there, which have gone, and which should be there?
//!
//! A daemon forgets a neighbor with its dead timer. A [`Circle`] remembers those of one daemon: how often each changed its
//! state, and for a while those who have gone. [`Missed`] knows those whom the configuration expects.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use super::gone::{Departs, Gone, key_of};
use super::{instance, stale};
use crate::collect::address::steady;
use crate::model::{Mono, Text, Timestamp};
use crate::source::Error;
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::ospf::{BfdState, Neighbor, NeighborState, Place, Role};
use crate::source::routing::settings::Expected;
use crate::source::routing::told::Told;
use crate::table;

table! {
    /// One router that a routing daemon speaks OSPF with, or did until lately, or should. What a daemon does not tell is
    /// missing: BIRD no lengths of lists and no reasons, FRR's `ospf6d` no reasons. What has gone has the state `Deleted`
    /// for as long as `[routing]` of the configuration says; what `expect` names there has it until it comes back, or the state
    /// `Down` if it was never there, or `unknown` while a daemon that may know it was never heard.
    ///
    /// Source: `show ip ospf neighbor detail json` and `show ipv6 ospf6 neighbor detail json` of FRR (from version 8.0 on), `show ip
    /// ospf neighbor detail` of Quagga, `show ospf neighbors` of BIRD; RFC 2328, section 10.
    pub struct OspfNeighborRow = "ospf_neighbor" { title: Some("OSPF neighbors"), history: History::Whole } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is known from.
        Id(None) source: Option<Source> { wide: true },
        /// The daemon, or its protocol.
        Id(None) instance: Option<Text>,
        /// Interface behind which it is.
        Id(None) interface: Option<Text>,
        /// How routers know it.
        Id(None) router_id: Option<IpAddr> { label: true },
        /// Its address on the network between.
        Id(None) address: Option<IpAddr>,
        /// Own address there.
        Text(None) local_address: Option<IpAddr> { wide: true },
        /// Virtual router (VRF) that it belongs to.
        Text(None) vrf: Option<Text> { wide: true },
        /// Version of OSPF.
        Gauge(None) version: Option<u32> { exact: true, title: Some("v") },
        /// Area that joins the two.
        Text(None) area: Option<Text>,
        /// How far the two have come.
        Text(None) state: NeighborState,
        /// What it is on the network between.
        Text(None) role: Option<Role>,
        /// How much it wants to be DR there.
        Gauge(None) priority: Option<u64> { exact: true, wide: true },
        /// Since when it has been in this state.
        Gauge(None) since: Option<Timestamp>,
        /// When it is given up unless it is heard before.
        Gauge(None) expires: Option<Timestamp> { title: Some("dead") },
        /// LSAs that it was sent and has not acknowledged.
        Gauge(None) retransmissions: Option<u64> { title: Some("rxmt") },
        /// LSAs that it was asked for and has not sent.
        Gauge(None) requests: Option<u64> { title: Some("rqst"), wide: true },
        /// LSAs of which it is still to be told that they exist.
        Gauge(None) summaries: Option<u64> { title: Some("dbsum"), wide: true },
        /// What bidirectional forwarding detection says of it.
        Text(None) bfd: Option<BfdState> { title: Some("BFD") },
        /// Changes of its state since this program watches; over SNMP the errors that its router counts with them, too.
        Counter(Events) changes: u64 { total: true, wide: true },
        /// How often it has left the state Full since this program watches.
        Counter(Events) flaps: u64 { total: true },
        /// The last change that was seen.
        Text(None) last_change: Option<Text> { wide: true },
        /// When it fell back to a lesser state, as the daemon knows it.
        Gauge(None) regressed: Option<Timestamp> { wide: true },
        /// Why it did, or why one that is expected is not there.
        Text(None) reason: Option<Text> { last: true },
        /// Whether the configuration expects it.
        Text(None) expected: bool { wide: true },
        /// Since when its daemon has told nothing more.
        Gauge(None) stale: Option<Timestamp>,
    }
}

/// A neighbor within its daemon.
type Key = (Place, Text, Option<IpAddr>, Option<IpAddr>);

/// What is remembered of a neighbor.
struct Known {
    key: Key,
    row: OspfNeighborRow,
    /// Changes that the daemon has counted.
    counted: Option<u64>,
    /// Changes and errors that it has counted as one.
    events: Option<u64>,
    /// How long it had been in its state, as the daemon told.
    age: Option<Duration>,
}

/// A state that is younger than it should be, by so many seconds, is another one: some daemons tell whole seconds, and they are
/// asked some time after a sample has begun.
const APART: f64 = 2.5;

/// Neighbors of one daemon.
#[derive(Default)]
pub(super) struct Circle {
    known: Vec<Known>,
    gone: Gone<Key, Known>,
    /// When it was told last, by both clocks: that of the wall may be set.
    at: Option<(Timestamp, Mono)>,
    /// The process that told it.
    pid: Option<u32>,
}

/// How an answer follows the one before.
#[derive(Clone, Copy)]
struct Step {
    /// When it came.
    at: Timestamp,
    /// Seconds since the one before.
    elapsed: f64,
    /// Whether another process gives it, which counts from the beginning.
    anew: bool,
}

impl Circle {
    /// Takes what a daemon told, if that is new.
    pub(super) fn follow(&mut self, daemon: &Daemon, told: &Told, keep: Duration, mono: Mono) {
        if self.at.is_none_or(|(at, _)| at != told.at) {
            let elapsed = self.at.map_or(0.0, |(_, before)| mono.since(before));
            let step = Step { at: told.at, elapsed, anew: self.pid != daemon.pid };
            (self.at, self.pid) = (Some((told.at, mono)), daemon.pid);
            self.take(daemon, told, keep, step);
        }
        let stale = stale(daemon);
        for known in self.known.iter_mut().chain(self.gone.all_mut()) {
            known.row.stale = stale;
            known.row.netns.clone_from(&daemon.netns);
        }
    }

    /// Rows of all who are there and of those who have gone.
    pub(super) fn rows(&self) -> impl Iterator<Item = OspfNeighborRow> + '_ {
        self.known.iter().chain(self.gone.all()).map(|known| known.row.clone())
    }

    fn take(&mut self, daemon: &Daemon, told: &Told, keep: Duration, step: Step) {
        let mut before: HashMap<Key, Known> = self.known.drain(..).map(|known| (known.key.clone(), known)).collect();
        let mut ends = HashSet::new();
        for neighbor in told.neighbors.kept() {
            let key = (neighbor.place.clone(), neighbor.interface.clone(), neighbor.router, neighbor.address);
            let known = before.remove(&key).or_else(|| self.gone.come(&key));
            ends.insert((neighbor.interface.clone(), neighbor.address));
            let row = row(daemon, step, neighbor, known.as_ref());
            let (counted, events) = (neighbor.changes, neighbor.events);
            self.known.push(Known { key, row, counted, events, age: neighbor.age });
        }
        for (key, known) in before {
            // one whose number was not known has it by now
            let (_, interface, router, address) = &key;
            if router.is_some() || !ends.contains(&(interface.clone(), *address)) {
                self.gone.leave(key, told.at, lost(known, told.at));
            }
        }
        self.gone.keep(told.at, keep);
    }
}

impl Departs for OspfNeighborRow {
    fn gone(&self) -> Option<Timestamp> {
        self.since.filter(|_| self.state == NeighborState::Deleted && !self.expected)
    }
}

/// One that the daemon tells nothing of any more.
fn lost(mut known: Known, now: Timestamp) -> Known {
    delete(&mut known.row, now);
    (known.counted, known.events) = (None, None);
    known
}

/// What was so while a neighbor was there is so no more.
fn delete(row: &mut OspfNeighborRow, now: Timestamp) {
    change(row, NeighborState::Deleted, 1);
    row.since = Some(now);
    (row.role, row.expires, row.bfd) = (None, None, None);
    (row.retransmissions, row.requests, row.summaries) = (None, None, None);
}

/// Notes that a neighbor is in another state, after a number of changes.
fn change(row: &mut OspfNeighborRow, state: NeighborState, changes: u64) {
    row.last_change = Some(Text::from(format!("{} to {}", row.state.name(), state.name())));
    row.changes = row.changes.saturating_add(changes.max(1));
    row.flaps = row.flaps.saturating_add(u64::from(row.state == NeighborState::Full));
    row.state = state;
}

fn row(daemon: &Daemon, step: Step, neighbor: &Neighbor, known: Option<&Known>) -> OspfNeighborRow {
    let at = step.at;
    let mut row = OspfNeighborRow {
        netns: daemon.netns.clone(),
        source: Some(daemon.source),
        instance: Some(instance(daemon, &neighbor.place)),
        interface: Some(neighbor.interface.clone()),
        router_id: neighbor.router,
        address: neighbor.address,
        local_address: neighbor.local,
        vrf: neighbor.place.vrf.clone(),
        version: Some(neighbor.place.version),
        area: neighbor.area.clone(),
        state: neighbor.state,
        role: neighbor.role,
        priority: neighbor.priority,
        since: neighbor.age.map(|age| at.before(age)),
        expires: neighbor.dead.map(|left| at.after(left)),
        retransmissions: neighbor.retransmissions,
        requests: neighbor.requests,
        summaries: neighbor.summaries,
        bfd: neighbor.bfd,
        changes: 0,
        flaps: 0,
        last_change: None,
        regressed: neighbor.regressed.map(|age| at.before(age)),
        reason: neighbor.reason.clone(),
        expected: false,
        stale: None,
    };
    if let Some(known) = known {
        remember(&mut row, known, neighbor, step);
    }
    row
}

/// Adds what was known before, and what has become of it.
fn remember(row: &mut OspfNeighborRow, known: &Known, neighbor: &Neighbor, step: Step) {
    let (state, old) = (row.state, &known.row);
    (row.changes, row.flaps, row.last_change) = (old.changes, old.flaps, old.last_change.clone());
    let grown = |now: Option<u64>, then: Option<u64>| {
        let counts = now.zip(then).filter(|_| !step.anew);
        counts.and_then(|(now, then)| now.checked_sub(then))
    };
    let more = grown(neighbor.changes, known.counted);
    let events = grown(neighbor.events, known.events);
    let younger = |(now, then): (Duration, Duration)| now.as_secs_f64() + APART < then.as_secs_f64() + step.elapsed;
    let is_another = neighbor.age.zip(known.age).is_some_and(younger);
    row.state = old.state;
    if state != old.state {
        change(row, state, more.or(events).unwrap_or(1));
        row.since = row.since.or(Some(step.at));
    } else if is_another || more.is_some_and(|more| more > 0) {
        // it has left this state and come back between two looks; one that was forgotten meanwhile is counted anew, and may have
        // come to the same count
        change(row, state, more.unwrap_or(2).max(2));
    } else {
        // it may as well be errors that were counted
        row.changes = row.changes.saturating_add(events.unwrap_or(0));
        row.since = steady(old.since, row.since.or(old.since));
    }
    row.expires = steady(old.expires, row.expires);
    row.regressed = steady(old.regressed, row.regressed);
}

/// Neighbors that are expected, each as it was seen last over each version, or as one that was never there since that was noticed.
#[derive(Default)]
pub(super) struct Missed(HashMap<Expected, BTreeMap<Option<u32>, OspfNeighborRow>>);

impl Missed {
    /// Marks the rows of those who are expected, and adds one for each that has none: who has gone keeps its place and since when,
    /// however long ago that is, and if nobody knows of it any more. Who was there over both versions is missed over each. One
    /// that was never there is not known to be down while a daemon that may know it was never heard, for a reason.
    pub(super) fn expect(
        &mut self,
        expected: &[Expected],
        rows: &mut Vec<OspfNeighborRow>,
        unheard: Option<&Error>,
        now: Timestamp,
    ) {
        self.0.retain(|known, _| expected.contains(known));
        let told = rows.len();
        for one in expected {
            let known = self.0.entry(one.clone()).or_default();
            let mut found = BTreeMap::new();
            for row in rows.iter_mut().take(told).filter(|row| is_it(one, row)) {
                row.expected = true;
                found.entry(row.version).or_insert_with(|| row.clone());
            }
            if !found.is_empty() {
                // it has come over one
                known.remove(&None);
            } else if known.is_empty() {
                known.insert(None, missed(one, unheard, now));
            }
            for (_, row) in known.iter_mut().filter(|(version, _)| !found.contains_key(version)) {
                if row.state == NeighborState::Unknown {
                    row.reason = Some(why_not(unheard));
                }
                if row.state == NeighborState::Unknown && unheard.is_none() {
                    (row.state, row.since) = (NeighborState::Down, Some(now));
                }
                leave(row, now);
                // one may be named in several ways
                if !rows.iter().skip(told).any(|other| key_of(other) == key_of(row)) {
                    rows.push(row.clone());
                }
            }
            known.extend(found);
        }
    }
}

/// Notes that nobody tells of one that is expected: its daemon, if it was there as far as that has told, is forgotten, too.
fn leave(row: &mut OspfNeighborRow, now: Timestamp) {
    if !matches!(row.state, NeighborState::Deleted | NeighborState::Down | NeighborState::Unknown) {
        delete(row, row.stale.unwrap_or(now));
    }
    row.stale = None;
}

fn is_it(expected: &Expected, row: &OspfNeighborRow) -> bool {
    let neighbor = Some(expected.neighbor);
    (row.router_id == neighbor || row.address == neighbor)
        && expected
            .interface
            .as_ref()
            .is_none_or(|name| row.interface.as_ref().is_some_and(|known| known.as_str() == name))
}

/// Why one is not there that was never there.
fn why_not(unheard: Option<&Error>) -> Text {
    unheard.map_or_else(|| Text::from("never seen"), |why| Text::from(why.to_string()))
}

fn missed(expected: &Expected, unheard: Option<&Error>, now: Timestamp) -> OspfNeighborRow {
    let state = if unheard.is_some() { NeighborState::Unknown } else { NeighborState::Down };
    OspfNeighborRow {
        netns: None,
        source: None,
        instance: None,
        interface: expected.interface.as_deref().map(Text::from),
        router_id: Some(expected.neighbor),
        address: None,
        local_address: None,
        vrf: None,
        version: None,
        area: None,
        state,
        role: None,
        priority: None,
        since: Some(now),
        expires: None,
        retransmissions: None,
        requests: None,
        summaries: None,
        bfd: None,
        changes: 0,
        flaps: 0,
        last_change: None,
        regressed: None,
        reason: Some(why_not(unheard)),
        expected: true,
        stale: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::control::standing::Standing;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds as f64)
    }

    /// A neighbor that has been in its state for some seconds.
    fn neighbor(router: Option<&str>, state: NeighborState, age: Option<u64>, changes: Option<u64>) -> Neighbor {
        Neighbor {
            place: Place { instance: None, vrf: None, version: 2 },
            router: router.map(|router| router.parse().unwrap()),
            address: "10.0.12.2".parse().ok(),
            interface: Text::from("to2"),
            local: None,
            area: None,
            state,
            role: None,
            priority: None,
            age: age.map(Duration::from_secs),
            dead: Some(Duration::from_secs(40)),
            retransmissions: Some(1),
            requests: None,
            summaries: None,
            bfd: None,
            changes,
            events: None,
            regressed: None,
            reason: None,
        }
    }

    fn told(now: u64, neighbors: Vec<Neighbor>) -> Told {
        let mut told = Told::new(at(now));
        told.neighbors.extend(neighbors);
        told
    }

    struct Watched {
        circle: Circle,
        daemon: Daemon,
    }

    impl Watched {
        fn new() -> Self {
            let mut daemon = Daemon::testing("/run/frr/ospfd.vty", at(0));
            daemon.state.standing = Standing::Up;
            Self { circle: Circle::default(), daemon }
        }

        fn sees(&mut self, now: u64, neighbors: Vec<Neighbor>) -> Vec<OspfNeighborRow> {
            let told = told(now, neighbors);
            self.daemon.told = Some(told.clone());
            self.circle.follow(&self.daemon, &told, HOUR, Mono(now * 1_000_000_000));
            self.circle.rows().collect()
        }

        fn one(&mut self, now: u64, neighbor: Neighbor) -> OspfNeighborRow {
            let mut rows = self.sees(now, vec![neighbor]);
            assert_eq!(rows.len(), 1);
            rows.remove(0)
        }
    }

    const ONE: Option<&str> = Some("10.9.9.2");

    #[test]
    fn a_neighbor_that_has_gone_stays_for_a_while_and_may_come_back() {
        let mut watched = Watched::new();
        watched.sees(100, vec![neighbor(ONE, NeighborState::Full, Some(50), Some(6))]);
        let rows = watched.sees(101, vec![]);
        assert_eq!((rows[0].state, rows[0].since, rows[0].expires), (NeighborState::Deleted, Some(at(101)), None));
        assert_eq!((rows[0].changes, rows[0].flaps, rows[0].retransmissions), (1, 1, None));
        assert_eq!(rows[0].last_change.as_deref(), Some("Full to Deleted"));
        let rows = watched.sees(3700, vec![]);
        assert_eq!((rows.len(), rows[0].since, rows[0].changes), (1, Some(at(101)), 1), "it goes once");
        let row = watched.one(3700, neighbor(ONE, NeighborState::Init, Some(0), Some(1)));
        assert_eq!(
            (row.state, row.since),
            (NeighborState::Deleted, Some(at(101))),
            "what was told before is not told again"
        );
        let row = watched.one(3701, neighbor(ONE, NeighborState::Init, Some(0), Some(1)));
        assert_eq!((row.state, row.since, row.changes, row.flaps), (NeighborState::Init, Some(at(3701)), 2, 1));
        watched.sees(3702, vec![]);
        assert_eq!(watched.sees(3701 + 3600, vec![]).len(), 1);
        assert_eq!(watched.sees(3702 + 3600, vec![]).len(), 0);
    }

    #[test]
    fn what_happens_between_two_looks_is_counted() {
        let mut watched = Watched::new();
        watched.sees(100, vec![neighbor(ONE, NeighborState::Full, Some(50), Some(6))]);
        let row = watched.one(101, neighbor(ONE, NeighborState::Full, Some(51), Some(6)));
        assert_eq!((row.changes, row.flaps, row.since), (0, 0, Some(at(50))));
        let row = watched.one(102, neighbor(ONE, NeighborState::Full, Some(0), Some(11)));
        assert_eq!((row.changes, row.flaps, row.since), (5, 1, Some(at(102))));
        assert_eq!(row.last_change.as_deref(), Some("Full to Full"));
        // a daemon that was started anew counts from the beginning
        watched.daemon.pid = Some(2);
        let row = watched.one(110, neighbor(ONE, NeighborState::Full, Some(1), Some(11)));
        assert_eq!((row.changes, row.flaps), (7, 2));
        let row = watched.one(111, neighbor(ONE, NeighborState::Loading, Some(0), Some(14)));
        assert_eq!((row.changes, row.flaps), (10, 3));
    }

    #[test]
    fn errors_that_are_counted_with_changes_are_no_flap() {
        let of =
            |state: NeighborState, events: u64| Neighbor { events: Some(events), ..neighbor(ONE, state, None, None) };
        let mut watched = Watched::new();
        watched.one(100, of(NeighborState::Full, 6));
        let row = watched.one(110, of(NeighborState::Full, 7));
        assert_eq!((row.changes, row.flaps, row.last_change, row.since), (1, 0, None, None));
        let row = watched.one(120, of(NeighborState::Init, 10));
        assert_eq!((row.changes, row.flaps, row.last_change.as_deref()), (4, 1, Some("Full to Init")));
        // a router that was started anew counts from the beginning
        let row = watched.one(130, of(NeighborState::Init, 2));
        assert_eq!((row.changes, row.flaps, row.since), (4, 1, Some(at(120))));
    }

    #[test]
    fn one_that_was_lost_and_is_back_with_the_same_count_has_flapped() {
        let mut watched = Watched::new();
        watched.sees(100, vec![neighbor(ONE, NeighborState::Full, Some(50), Some(6))]);
        let row = watched.one(110, neighbor(ONE, NeighborState::Full, Some(3), Some(6)));
        assert_eq!((row.changes, row.flaps, row.since), (2, 1, Some(at(107))));
        let row = watched.one(120, neighbor(ONE, NeighborState::Full, Some(13), Some(6)));
        assert_eq!((row.changes, row.flaps, row.since), (2, 1, Some(at(107))), "once");
    }

    #[test]
    fn a_clock_that_is_set_is_no_change() {
        let mut watched = Watched::new();
        watched.sees(100, vec![neighbor(ONE, NeighborState::Full, Some(50), None)]);
        let later = told(7300, vec![neighbor(ONE, NeighborState::Full, Some(51), None)]);
        watched.circle.follow(&watched.daemon, &later, HOUR, Mono(101_000_000_000));
        let row = watched.circle.rows().next().unwrap();
        assert_eq!((row.changes, row.since), (0, Some(at(7249))));
    }

    #[test]
    fn without_the_daemons_word_a_state_begins_when_it_is_seen() {
        let mut watched = Watched::new();
        let row = watched.one(100, neighbor(ONE, NeighborState::ExStart, None, None));
        assert_eq!(row.since, None);
        let row = watched.one(101, neighbor(ONE, NeighborState::Full, None, None));
        assert_eq!((row.since, row.changes, row.flaps), (Some(at(101)), 1, 0));
        let row = watched.one(102, neighbor(ONE, NeighborState::Full, None, None));
        assert_eq!((row.since, row.changes), (Some(at(101)), 1));
    }

    #[test]
    fn instants_stand_still_while_seconds_are_rounded() {
        let mut watched = Watched::new();
        let first = watched.one(100, neighbor(ONE, NeighborState::Full, Some(50), None));
        let second = watched.one(101, neighbor(ONE, NeighborState::Full, Some(50), None));
        assert_eq!((first.since, second.since, second.changes), (Some(at(50)), Some(at(50)), 0));
        assert_eq!((first.expires, second.expires), (Some(at(140)), Some(at(140))));
        assert_eq!(watched.one(110, neighbor(ONE, NeighborState::Full, Some(60), None)).expires, Some(at(150)));
    }

    #[test]
    fn one_that_gets_its_number_has_not_gone() {
        let mut watched = Watched::new();
        watched.sees(100, vec![neighbor(None, NeighborState::Attempt, None, None)]);
        let row = watched.one(101, neighbor(ONE, NeighborState::Init, None, None));
        assert_eq!(row.router_id, Some("10.9.9.2".parse().unwrap()));
    }

    #[test]
    fn rows_of_a_silent_daemon_stay_and_say_since_when() {
        let mut watched = Watched::new();
        let row = watched.one(100, neighbor(ONE, NeighborState::Full, Some(50), None));
        assert_eq!(row.stale, None);
        (watched.daemon.state.standing, watched.daemon.state.since) = (Standing::Silent, at(101));
        let row = watched.one(100, neighbor(ONE, NeighborState::Full, Some(50), None));
        assert_eq!((row.state, row.stale), (NeighborState::Full, Some(at(100))));
        // what it told is not younger when it dies
        (watched.daemon.state.standing, watched.daemon.state.since) = (Standing::Down, at(3700));
        let row = watched.one(100, neighbor(ONE, NeighborState::Full, Some(50), None));
        assert_eq!(row.stale, Some(at(100)));
    }

    #[test]
    fn one_that_is_expected_is_down_until_it_is_there() {
        let expected = |text: &str| Expected::try_from(text.to_owned()).unwrap();
        let mut watched = Watched::new();
        let there = watched.sees(100, vec![neighbor(ONE, NeighborState::Full, None, None)]);
        let mut missed = Missed::default();
        let wanted = ["10.9.9.2", "10.0.12.2%to2", "10.9.9.2%to3", "10.9.9.7"].map(expected);
        let mut rows = there.clone();
        missed.expect(&wanted, &mut rows, None, at(100));
        assert_eq!((rows.len(), rows[0].expected), (3, true));
        let down = |row: &OspfNeighborRow| (row.state, row.interface.as_deref().map(str::to_owned), row.since);
        assert_eq!(down(&rows[1]), (NeighborState::Down, Some("to3".to_owned()), Some(at(100))));
        let mut rows = watched.sees(101, vec![]);
        missed.expect(&wanted, &mut rows, None, at(101));
        assert_eq!((rows[0].state, rows[0].expected, rows.len()), (NeighborState::Deleted, true, 3), "one row for one");
        assert_eq!(down(&rows[2]), (NeighborState::Down, None, Some(at(100))));
    }

    #[test]
    fn one_that_is_named_twice_is_missed_once() {
        let named = |words: &[&str]| {
            let wanted: Vec<Expected> =
                words.iter().map(|word| Expected::try_from((*word).to_owned()).unwrap()).collect();
            let mut missed = Missed::default();
            let look = |missed: &mut Missed, now: u64| {
                let mut rows = Vec::new();
                missed.expect(&wanted, &mut rows, None, at(now));
                rows.iter().map(|row| (row.state, row.interface.clone(), row.since)).collect::<Vec<_>>()
            };
            let first = look(&mut missed, 100);
            assert_eq!(look(&mut missed, 101), first, "{words:?}");
            first.len()
        };
        assert_eq!(named(&["10.9.9.2", "10.9.9.2"]), 1);
        assert_eq!([named(&["10.9.9.2%to2", "10.9.9.2"]), named(&["10.9.9.2", "10.9.9.2%to2"])], [2, 2]);
        // both are one that was there
        let wanted = ["10.9.9.2", "10.0.12.2"].map(|word| Expected::try_from(word.to_owned()).unwrap());
        let (mut watched, mut missed) = (Watched::new(), Missed::default());
        let mut rows = watched.sees(100, vec![neighbor(ONE, NeighborState::Full, None, None)]);
        missed.expect(&wanted, &mut rows, None, at(100));
        let mut rows = Vec::new();
        missed.expect(&wanted, &mut rows, None, at(101));
        assert_eq!(rows.iter().map(|row| row.state).collect::<Vec<_>>(), [NeighborState::Deleted]);
    }

    #[test]
    fn one_that_is_expected_and_has_gone_stays_as_it_went() {
        let wanted = [Expected::try_from("10.9.9.2".to_owned()).unwrap()];
        let (mut watched, mut missed) = (Watched::new(), Missed::default());
        let mut look = |watched: &mut Watched, now: u64, there: Vec<Neighbor>| {
            let mut rows = watched.sees(now, there);
            missed.expect(&wanted, &mut rows, None, at(now));
            rows
        };
        look(&mut watched, 100, vec![neighbor(ONE, NeighborState::Full, None, None)]);
        let gone = look(&mut watched, 101, vec![]);
        let later = look(&mut watched, 101 + 3600, vec![]);
        assert_eq!((&later, later[0].state, later[0].since), (&gone, NeighborState::Deleted, Some(at(101))));
        let back = look(&mut watched, 8000, vec![neighbor(ONE, NeighborState::Init, None, None)]);
        assert_eq!((back.len(), back[0].state), (1, NeighborState::Init));
        // its daemon says nothing, and is forgotten
        watched.daemon.state.standing = Standing::Down;
        let stale = look(&mut watched, 8000, vec![neighbor(ONE, NeighborState::Init, None, None)]);
        assert_eq!((stale[0].state, stale[0].stale), (NeighborState::Init, Some(at(8000))));
        watched.circle = Circle::default();
        let lost = look(&mut watched, 11_600, vec![]);
        assert_eq!((lost[0].state, lost[0].since, lost[0].stale), (NeighborState::Deleted, Some(at(8000)), None));
        assert_eq!((&lost[0].netns, &lost[0].instance), (&stale[0].netns, &stale[0].instance));
        assert_eq!(look(&mut watched, 11_601, vec![]), lost, "it goes once");
    }

    #[test]
    fn one_that_was_there_over_both_versions_is_missed_over_each() {
        let wanted = [Expected::try_from("10.9.9.2".to_owned()).unwrap()];
        let mut missed = Missed::default();
        let mut look = |now: u64, there: &[(u32, NeighborState)]| {
            let mut watched = Watched::new();
            let place = |version| Place { instance: None, vrf: None, version };
            let one = |(version, state): &(u32, NeighborState)| Neighbor {
                place: place(*version),
                address: if *version == 3 { "fe80::2" } else { "10.0.12.2" }.parse().ok(),
                ..neighbor(ONE, *state, None, None)
            };
            let mut rows = watched.sees(now, there.iter().map(one).collect());
            missed.expect(&wanted, &mut rows, None, at(now));
            rows.iter().map(|row| (row.version, row.state, row.expected)).collect::<Vec<_>>()
        };
        let (full, gone) = (NeighborState::Full, NeighborState::Deleted);
        assert_eq!(look(100, &[]), [(None, NeighborState::Down, true)]);
        let both = [(Some(2), full, true), (Some(3), full, true)];
        assert_eq!(look(101, &[(2, full), (3, full)]), both);
        for now in [102, 9000] {
            assert_eq!(look(now, &[(3, full)]), [(Some(3), full, true), (Some(2), gone, true)]);
        }
        assert_eq!(look(9001, &[]), [(Some(2), gone, true), (Some(3), gone, true)]);
        assert_eq!(look(9002, &[(2, full), (3, full)]), both);
    }

    #[test]
    fn one_that_nobody_could_be_asked_for_is_not_known_to_be_down() {
        let wanted = ["10.9.9.2", "10.9.9.7"].map(|text| Expected::try_from(text.to_owned()).unwrap());
        let silent = Error::new("hear", "/run/frr/ospfd.vty", std::io::Error::from(std::io::ErrorKind::TimedOut));
        let mut missed = Missed::default();
        let mut look = |now: u64, mut rows: Vec<OspfNeighborRow>, unheard: Option<&Error>| {
            missed.expect(&wanted, &mut rows, unheard, at(now));
            rows.iter()
                .map(|row| (row.state, row.since, row.reason.as_deref() == Some("never seen")))
                .collect::<Vec<_>>()
        };
        let (unknown, down) = (NeighborState::Unknown, NeighborState::Down);
        assert_eq!(look(100, vec![], Some(&silent)), [(unknown, Some(at(100)), false); 2]);
        let mut watched = Watched::new();
        let there = watched.sees(101, vec![neighbor(ONE, NeighborState::Full, Some(0), None)]);
        let seen = look(101, there, Some(&silent));
        assert_eq!(seen[1], (unknown, Some(at(100)), false));
        // one that was there is missed, whoever else may be silent
        assert_eq!(
            look(102, vec![], Some(&silent)),
            [(NeighborState::Deleted, Some(at(102)), false), (unknown, Some(at(100)), false)]
        );
        assert_eq!(look(103, vec![], None)[1], (down, Some(at(103)), true));
        assert_eq!(look(104, vec![], Some(&silent))[1], (down, Some(at(103)), true));
    }
}
