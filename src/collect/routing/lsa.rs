//! Which LSAs are in the databases of OSPF, and which of them does somebody tell again and again?

use std::collections::HashMap;
use std::net::IpAddr;

use super::instance;
use crate::collect::address::steady;
use crate::label;
use crate::model::{Text, Timestamp};
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::database::Looked;
use crate::source::routing::lsa::{Lsa, LsaType, MAX_AGE, MOST, Scope};
use crate::table;

label! {
    /// What becomes of an LSA.
    pub enum LsaState {
        /// It is as it was.
        Current = "current",
        /// Its router has told another one before the time, less than a minute ago.
        Changed = "changed",
        /// Its router has done so three times and more, the last three in ten minutes.
        Flapping = "flapping" => Warning,
        /// It is being taken away everywhere.
        MaxAge = "MaxAge" => Careful,
    }
}

table! {
    /// One LSA in the database of a daemon. It is read every five seconds while somebody looks; over SNMP with the other values of
    /// a router, where `database = true` is configured for it. What changes again and again is told while somebody looks: an
    /// LSA that was changed three times in ten minutes, before its router had to, is `flapping`. BIRD does not tell lengths,
    /// `ospfd` does where they are asked for by name, and over SNMP, there without ages.
    ///
    /// Source: `show ip ospf database` and `show ipv6 ospf6 database detail` of FRR and Quagga, `show ospf lsadb` of BIRD;
    /// `ospfLsdbTable` and others of RFC 4750 and RFC 5643; RFC 2328, section 12.1, RFC 5340, section 4.4, RFC 5250.
    pub struct OspfLsaRow = "ospf_lsa" { title: Some("OSPF LSAs"), demand: true } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is known from.
        Id(None) source: Source { wide: true },
        /// The daemon, or its protocol.
        Id(None) instance: Text,
        /// Virtual router (VRF) that it belongs to.
        Id(None) vrf: Option<Text> { several: true },
        /// Version of OSPF.
        Id(None) version: u32 { exact: true, title: Some("v") },
        /// Area whose database it is in; missing for one that goes through all of them.
        Id(None) area: Option<Text>,
        /// Interface to the link that it does not leave; in version 2 FRR does not tell it.
        Id(None) interface: Option<Text> { wide: true },
        /// Its type.
        Id(None) kind: LsaType { title: Some("type") },
        /// What it is about: a router, a network or a number, by its type.
        Id(None) link_state_id: IpAddr { label: true, title: Some("id") },
        /// Router that has made it.
        Id(None) advertising_router: IpAddr { title: Some("router") },
        /// How far it goes.
        Text(None) scope: Scope { wide: true },
        /// What becomes of it.
        Text(None) state: LsaState,
        /// When its router made it, by its age here; missing for one that was taken away before it was seen.
        Gauge(None) originated: Option<Timestamp>,
        /// How often its router has told it, as its sequence number says.
        Counter(Events) instances: Option<u64> { total: true },
        /// Its sequence number, hexadecimal as everybody writes it.
        Text(None) sequence: Option<Text>,
        /// Its checksum, hexadecimal: databases in which all are the same are the same.
        Text(None) checksum: Option<Text> { wide: true },
        /// How long it is.
        Gauge(Bytes) length: Option<u64> { wide: true, demand: true },
        /// When it was told, where the daemon does not tell it any more.
        Gauge(None) stale: Option<Timestamp> { wide: true },
    }
}

/// The sequence number before the first one (RFC 2328, section 12.1.6).
const BEFORE_FIRST: u32 = 0x8000_0000;

/// An LSA that is younger than this when its router tells another one was changed: without a change it is told anew every half
/// hour (`LSRefreshTime`), or a little earlier with others.
const EARLY: f64 = 1500.0;

/// So many changes in such a time are flaps.
const FLAPS: usize = 3;
const WITHIN: f64 = 600.0;

/// How long a change is new.
const NEW: f64 = 60.0;

/// What tells an LSA from others.
type Key = (Option<Text>, Source, Text, Option<Text>, u32, Option<Text>, Option<Text>, LsaType, IpAddr, IpAddr);

/// What is remembered of an LSA.
#[derive(Debug)]
struct Known {
    sequence: Option<u32>,
    originated: Option<Timestamp>,
    /// When it was changed the last few times, the oldest first.
    changed: [Option<Timestamp>; FLAPS],
    seen: Timestamp,
}

impl Known {
    /// Notes another instance of it.
    fn follow(&mut self, sequence: Option<u32>, originated: Option<Timestamp>, at: Timestamp) {
        let steps = match (self.sequence, sequence) {
            // one whose numbers begin anew was taken away meanwhile
            (Some(before), Some(now)) if now < before => 1,
            (Some(before), Some(now)) => now - before,
            _ => 0,
        };
        let span = originated.or(Some(at)).zip(self.originated.or(Some(self.seen))).map(|(now, then)| then.age(now));
        if steps > 0 && span.is_some_and(|span| span < EARLY * f64::from(steps)) {
            for _ in 0..(steps as usize).min(FLAPS) {
                self.changed.rotate_left(1);
                self.changed[FLAPS - 1] = originated.or(Some(at));
            }
        }
        self.originated = if steps > 0 { originated } else { steady(self.originated, originated.or(self.originated)) };
        (self.sequence, self.seen) = (sequence, at);
    }

    fn state(&self, is_old: bool, now: Timestamp) -> LsaState {
        let is_within = |changed: Option<&Option<Timestamp>>, span: f64| {
            changed.copied().flatten().is_some_and(|changed| changed.age(now) < span)
        };
        match () {
            () if is_old => LsaState::MaxAge,
            () if is_within(self.changed.first(), WITHIN) => LsaState::Flapping,
            () if is_within(self.changed.last(), NEW) => LsaState::Changed,
            () => LsaState::Current,
        }
    }
}

/// What is remembered of all LSAs while somebody looks.
#[derive(Default)]
pub(super) struct Instances(HashMap<Key, Known>);

impl Instances {
    /// Of all daemons.
    pub(super) fn rows(&mut self, daemons: &[&Daemon], now: Timestamp) -> Vec<OspfLsaRow> {
        let of = |daemon: &&Daemon| daemon.database.lsas.all.kept().len();
        let mut rows = Vec::with_capacity(daemons.iter().map(of).sum());
        for daemon in daemons {
            let at = daemon.database.lsas.at;
            rows.extend(daemon.database.lsas.all.kept().iter().map(|lsa| self.row(daemon, lsa, at, now)));
        }
        // one that was taken away may come again, and again
        self.0.retain(|_, known| known.seen.age(now) < WITHIN);
        if self.0.len() > MOST * 2 {
            self.0.clear();
        }
        rows
    }

    /// Forgets all, because nobody looks.
    pub(super) fn clear(&mut self) {
        self.0 = HashMap::new();
    }

    fn row(&mut self, daemon: &Daemon, lsa: &Lsa, at: Timestamp, now: Timestamp) -> OspfLsaRow {
        // who takes one away tells it with the greatest age, whatever it was
        let told = lsa.age.filter(|age| *age < MAX_AGE).map(|age| at.before(age));
        let mut row = plain(daemon, lsa);
        let new = || Known { sequence: lsa.sequence, originated: told, changed: [None; FLAPS], seen: at };
        let known = self.0.entry(key(&row)).or_insert_with(new);
        known.follow(lsa.sequence, told, at);
        row.originated = known.originated;
        row.state = known.state(lsa.age.is_some_and(|age| age >= MAX_AGE), now);
        row
    }
}

/// When LSAs were told that may have changed since.
fn stale(daemon: &Daemon) -> Option<Timestamp> {
    let Looked { at, fault, .. } = &daemon.database.lsas;
    (fault.is_some() || !daemon.state.is_up()).then_some(*at)
}

fn key(row: &OspfLsaRow) -> Key {
    let (netns, instance, vrf) = (row.netns.clone(), row.instance.clone(), row.vrf.clone());
    let (area, interface) = (row.area.clone(), row.interface.clone());
    let (id, router) = (row.link_state_id, row.advertising_router);
    (netns, row.source, instance, vrf, row.version, area, interface, row.kind, id, router)
}

fn plain(daemon: &Daemon, lsa: &Lsa) -> OspfLsaRow {
    OspfLsaRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        instance: instance(daemon, &lsa.place),
        vrf: lsa.place.vrf.clone(),
        version: lsa.place.version,
        area: lsa.area.clone(),
        interface: lsa.interface.clone(),
        kind: lsa.kind,
        link_state_id: lsa.id,
        advertising_router: lsa.router,
        scope: lsa.scope,
        state: LsaState::Current,
        originated: None,
        instances: lsa.sequence.map(|sequence| u64::from(sequence.wrapping_sub(BEFORE_FIRST))),
        sequence: lsa.sequence.map(|sequence| Text::from(format!("{sequence:08x}"))),
        checksum: lsa.checksum.map(|checksum| Text::from(format!("{checksum:04x}"))),
        length: lsa.length,
        stale: stale(daemon),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::bounded::Bounded;
    use crate::source::routing::frr;

    /// One look: when, and the line of a list, of which only sequence number and age matter.
    fn look(instances: &mut Instances, seconds: f64, told: Option<(u32, u32)>) -> Option<(LsaState, f64, Option<u64>)> {
        let now = Timestamp::from_seconds(seconds);
        let mut daemon = Daemon::testing("/run/frr/ospfd.vty", now);
        let line =
            told.map(|(sequence, age)| format!("10.9.9.1       10.9.9.1        {age:4} 0x{sequence:08x} 0x7361"));
        let answer = format!("   Router Link States (Area 0.0.0.0)\n{}\n", line.unwrap_or_default());
        daemon.database.lsas.all = frr::read_lsas(&answer);
        daemon.database.lsas.at = now;
        let rows = instances.rows(&[&daemon], now);
        rows.first().map(|row| (row.state, row.originated.map_or(0.0, Timestamp::seconds), row.instances))
    }

    #[test]
    fn one_that_is_told_again_and_again_flaps_and_one_that_is_refreshed_does_not() {
        let mut instances = Instances::default();
        let mut at = |seconds: f64, sequence: u32, age: u32| {
            look(&mut instances, seconds, Some((0x8000_0000 + sequence, age))).unwrap()
        };
        assert_eq!(at(10_000.0, 7, 5), (LsaState::Current, 9_995.0, Some(7)));
        assert_eq!(at(10_005.0, 7, 11), (LsaState::Current, 9_995.0, Some(7)), "whole seconds are rounded");
        assert_eq!(at(11_800.0, 8, 3), (LsaState::Current, 11_797.0, Some(8)), "it was time");
        assert_eq!(at(11_820.0, 9, 2), (LsaState::Changed, 11_818.0, Some(9)));
        assert_eq!(at(11_875.0, 9, 57), (LsaState::Changed, 11_818.0, Some(9)));
        assert_eq!(at(11_880.0, 9, 62), (LsaState::Current, 11_818.0, Some(9)));
        assert_eq!(at(11_900.0, 11, 2), (LsaState::Flapping, 11_898.0, Some(11)), "two that nobody saw");
        assert_eq!(at(12_400.0, 11, 502), (LsaState::Flapping, 11_898.0, Some(11)));
        assert_eq!(at(12_420.0, 11, 522), (LsaState::Current, 11_898.0, Some(11)));
        assert_eq!(at(12_530.0, 1, 4), (LsaState::Changed, 12_526.0, Some(1)), "its numbers begin anew");
    }

    #[test]
    fn one_that_comes_and_goes_flaps_and_one_of_the_greatest_age_is_on_its_way_out() {
        let mut instances = Instances::default();
        let mut last = None;
        for round in 0..4_u32 {
            let (begin, sequence) = (1000.0 + f64::from(round) * 20.0, 0x8000_0001 + round);
            last = look(&mut instances, begin, Some((sequence, 1)));
            let old = look(&mut instances, begin + 5.0, Some((sequence, 3600))).unwrap();
            assert_eq!(old.0, LsaState::MaxAge);
            assert_eq!(look(&mut instances, begin + 10.0, None), None);
        }
        assert_eq!(last.unwrap().0, LsaState::Flapping);
        assert_eq!(look(&mut instances, 1700.0, None), None);
        assert!(instances.0.is_empty(), "what has not come again for long is forgotten");
    }

    #[test]
    fn what_is_not_told_is_missing() {
        let mut daemon = Daemon::testing("/run/frr/ospfd.vty", Timestamp(0));
        let mut lsas = Bounded::new(1);
        let mut lsa =
            frr::read_lsas("  Net Link States (Area 0.0.0.1)\n10.0.12.2      10.9.9.2          18 0x80000001 0xce1a\n");
        lsas.extend(lsa.kept_mut().iter().map(|lsa| Lsa { age: None, sequence: None, checksum: None, ..lsa.clone() }));
        daemon.database.lsas.all = lsas;
        let rows = Instances::default().rows(&[&daemon], Timestamp::from_seconds(5.0));
        let row = rows.first().unwrap();
        assert_eq!((row.originated, row.instances, &row.sequence, &row.checksum), (None, None, &None, &None));
        assert_eq!((row.kind, row.area.as_deref(), row.state), (LsaType::Network, Some("0.0.0.1"), LsaState::Current));
    }
}
