//! With whom does this host exchange routes or signs of life, over whatever protocol, and what has become of that lately?
//!
//! The rows of each protocol are read once more as what all have in common. A [`Chronicle`] remembers the states of the last
//! look and writes down what is another one now, and what has come or gone, each once. What a daemon tells first is where one
//! begins: nobody has seen when that was not so.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BfdPeerRow, BgpPeerRow, IsisAdjacencyRow, OspfNeighborRow};
use crate::model::{Cell, IpText, Level, Row, Rows, Text, Timestamp};
use crate::source::control::standing::Standing;
use crate::source::netns::Census;
use crate::source::routing::daemon::{Daemon, Source};
use crate::{col, label, table};

label! {
    /// Over which protocol two speak with each other.
    pub enum AdjacencyProtocol {
        Ospf2 = "OSPFv2",
        Ospf3 = "OSPFv3",
        Bfd = "BFD",
        Bgp = "BGP",
        Isis = "IS-IS",
        /// None: it is about a daemon itself.
        Daemon = "daemon",
    }
}

label! {
    /// Whether two that should speak with each other do.
    pub enum AdjacencyStanding {
        Up = "up",
        /// They are on their way there.
        Forming = "forming" => Warning,
        Down = "down" => Critical,
    }
}

table! {
    /// One other router that a routing daemon speaks with, or should, over one protocol: what `ospf_neighbor`, `bfd_peer`,
    /// `bgp_peer` and `isis_adjacency` have in common. A dashboard shows first what has changed last.
    ///
    /// Source: as of those tables.
    pub struct AdjacencyRow = "adjacency" { title: Some("Adjacencies"), again: true } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Over which protocol.
        Id(None) protocol: AdjacencyProtocol,
        /// Which daemons it is known from.
        Id(None) source: Option<Source> { wide: true },
        /// The daemon, or its protocol.
        Id(None) instance: Option<Text> { last: true },
        /// Virtual router (VRF) that it belongs to.
        Id(None) vrf: Option<Text> { several: true, last: true },
        /// Interface behind which it is.
        Id(None) interface: Option<Text>,
        /// Who it is: number of a router, address, or name of a system.
        Id(None) peer: Text { label: true },
        /// Its address on the network between.
        Id(None) address: Option<IpAddr> { last: true },
        /// Level of IS-IS.
        Id(None) level: Option<u64> { exact: true, wide: true },
        /// Own address of a session of bidirectional forwarding detection: there may be several with one peer.
        Id(None) local_address: Option<IpAddr> { wide: true },
        /// Whether the two speak with each other.
        Text(None) standing: AdjacencyStanding,
        /// How far they have come, in the word of the protocol.
        Text(None) state: Text,
        /// Since when.
        Gauge(None) since: Option<Timestamp> { top: true },
        /// How often they have ceased to speak with each other.
        Counter(Events) flaps: Option<u64> { total: true },
        /// Why they do not, as far as the daemon tells.
        Text(None) reason: Option<Text> { last: true },
        /// Since when the daemon has told nothing more.
        Gauge(None) stale: Option<Timestamp>,
    }
}

table! {
    /// One change of the state of an adjacency, or of a daemon that tells of some, since this program looks; what a daemon told first
    /// is none. What happens between two looks is one change, with how many the daemon has counted; a daemon that was started anew
    /// meanwhile has gone and come. A state before is missing for one that came, one after for one that went. Of a daemon that says
    /// nothing there is one line, and none of its adjacencies, because nobody knows what becomes of them; when what it told is
    /// forgotten they have gone, and those of which it tells when it is back have come.
    ///
    /// Source: as of `adjacency`.
    pub struct AdjacencyChangeRow = "adjacency_change" { title: Some("Changes of adjacencies"), shape: Shape::Log } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Number of the change since this program looks.
        Id(None) seq: u64 { top: true, wide: true },
        /// When it was seen.
        Gauge(None) time: Timestamp,
        /// Over which protocol; `daemon` where it is about a daemon.
        Text(None) protocol: AdjacencyProtocol,
        /// The daemon, or its protocol.
        Text(None) instance: Option<Text>,
        /// Interface behind which it is.
        Text(None) interface: Option<Text>,
        /// Who it is: number of a router, address, or name of a system.
        Text(None) peer: Text { label: true },
        /// Its address on the network between.
        Text(None) address: Option<IpAddr> { wide: true },
        /// Own address of a session of bidirectional forwarding detection.
        Text(None) local_address: Option<IpAddr> { wide: true },
        /// State before.
        Text(None) before: Option<Text>,
        /// State now.
        Text(None) after: Option<Text>,
        /// Whether the two speak with each other now.
        Text(None) standing: AdjacencyStanding,
        /// Changes that it was.
        Gauge(None) changes: u64 { wide: true },
        /// Why, as far as the daemon tells.
        Text(None) reason: Option<Text> { last: true },
    }
}

/// Changes that are kept.
const MOST: usize = 2048;

/// Daemons of which it is kept that they have told something before.
const PLACES: usize = 256;

/// Socket of the daemon that has told something; empty for what none has. A network namespace may get another name.
pub(super) type Place = Arc<Path>;

/// What tells an adjacency from all others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    place: Place,
    protocol: &'static str,
    instance: Option<Text>,
    vrf: Option<Text>,
    interface: Option<Text>,
    peer: Text,
    address: Option<IpAddr>,
    local_address: Option<IpAddr>,
    level: Option<u64>,
}

/// An adjacency with where it is known from, and how often it has changed as far as that is counted.
pub(super) type Told = (Place, AdjacencyRow, u64);

/// The adjacencies of the last look, and what has become of them.
#[derive(Default)]
pub(super) struct Chronicle {
    /// All of the last look: as long as they are the same nothing has become of any.
    last: Vec<Told>,
    /// Those of the last look with their changes.
    known: BTreeMap<Key, (AdjacencyRow, u64)>,
    /// Who had told anything by then.
    heard: BTreeSet<Place>,
    /// What they had told before of whom that is forgotten.
    left: BTreeSet<Place>,
    /// How it was with each daemon, by its socket, and which process it was; none before the first look.
    daemons: Option<HashMap<PathBuf, (Standing, Option<u32>)>>,
    changes: VecDeque<AdjacencyChangeRow>,
    count: u64,
    /// The rows of the last sample, how many changes there had been, and which of them were shown.
    rows: Option<(u64, Vec<bool>, Arc<dyn Rows>)>,
}

impl Chronicle {
    /// Whether there is nothing to follow, and nothing has changed yet.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.changes.is_empty() && self.daemons.is_none()
    }

    /// Takes the adjacencies of this look, and who has told anything so far. Those whose daemon is forgotten have gone with it.
    pub(super) fn follow(&mut self, now: Timestamp, seen: Vec<Told>, heard: BTreeSet<Place>) -> Vec<AdjacencyRow> {
        if self.last != seen || self.heard != heard {
            self.compare(now, seen.clone(), heard);
            self.last.clone_from(&seen);
        }
        seen.into_iter().map(|(_, row, _)| row).collect()
    }

    fn compare(&mut self, now: Timestamp, seen: Vec<Told>, heard: BTreeSet<Place>) {
        let of = |(place, row, changes)| (key(place, &row), (row, changes));
        let seen: BTreeMap<Key, (AdjacencyRow, u64)> = seen.into_iter().map(of).collect();
        let mut known = std::mem::take(&mut self.known);
        let before = std::mem::replace(&mut self.heard, heard);
        rename(&mut known, &seen);
        for (key, (row, changes)) in &seen {
            match known.get(key) {
                None if !before.contains(&key.place) && !self.left.contains(&key.place) => {}
                // who has not come back with its daemon had its line when that was forgotten
                None if !before.contains(&key.place) && row.standing == AdjacencyStanding::Down => {}
                // somebody who is expected is missed, and was seen with the daemon that told of it
                None if key.place.as_os_str().is_empty() && row.standing != AdjacencyStanding::Up => {}
                None => self.note(now, None, Some(row), 1),
                Some((before, counted)) if before.state != row.state || changes > counted => {
                    let changes = changes.saturating_sub(*counted).max(1);
                    self.note(now, Some(before), Some(row), changes);
                }
                Some(_) => {}
            }
        }
        let gone = known.iter().filter(|(key, _)| !seen.contains_key(*key));
        // of what had gone before that was written then
        for (key, (row, _)) in gone.filter(|(_, (row, _))| row.standing != AdjacencyStanding::Down) {
            // of one that is expected it is known what has become of it
            let missed = seen.get(&Key { place: Path::new("").into(), ..key.clone() });
            self.note(now, Some(row), missed.map(|(row, _)| row), 1);
        }
        self.known = seen;
        self.left.extend(before);
        self.left.retain(|place| !self.heard.contains(place));
        while self.left.len() > PLACES {
            self.left.pop_first();
        }
    }

    /// Takes how it is with the daemons, which are asked in each look.
    pub(super) fn attend(&mut self, now: Timestamp, daemons: &[Daemon]) {
        // of one for whom there was no time nothing is known yet
        let asked: Vec<&Daemon> = daemons.iter().filter(|daemon| daemon.state.standing != Standing::Unknown).collect();
        let seen = asked.iter().map(|daemon| (daemon.socket.clone(), (daemon.state.standing, daemon.pid))).collect();
        let Some(known) = self.daemons.replace(seen) else { return };
        for daemon in asked {
            match known.get(&daemon.socket) {
                // who is asked elsewhere answers later than this program looks first
                None if !daemon.has_socket() => {}
                None => self.turn(now, None, daemon, 1),
                Some((standing, _)) if *standing != daemon.state.standing => self.turn(now, Some(*standing), daemon, 1),
                Some((Standing::Up, pid)) if *pid != daemon.pid => self.turn(now, Some(Standing::Up), daemon, 2),
                Some(_) => {}
            }
        }
    }

    /// Notes that it is another way with a daemon.
    fn turn(&mut self, now: Timestamp, before: Option<Standing>, daemon: &Daemon, changes: u64) {
        let is_up = daemon.state.standing == Standing::Up;
        self.write(AdjacencyChangeRow {
            netns: daemon.netns.clone(),
            seq: 0,
            time: now,
            protocol: AdjacencyProtocol::Daemon,
            instance: Some(daemon.instance.clone()),
            interface: None,
            peer: daemon.instance.clone(),
            address: None,
            local_address: None,
            before: before.map(|standing| Text::from(standing.name())),
            after: Some(Text::from(daemon.state.standing.name())),
            standing: if is_up { AdjacencyStanding::Up } else { AdjacencyStanding::Down },
            changes,
            reason: daemon.state.fault.as_ref().map(|error| Text::from(error.to_string())),
        });
    }

    /// Takes one more line, which gets its number.
    fn write(&mut self, row: AdjacencyChangeRow) {
        self.count += 1;
        if self.changes.len() == MOST {
            self.changes.pop_front();
        }
        self.changes.push_back(AdjacencyChangeRow { seq: self.count, ..row });
    }

    fn note(&mut self, now: Timestamp, before: Option<&AdjacencyRow>, after: Option<&AdjacencyRow>, changes: u64) {
        let Some(row) = after.or(before) else { return };
        self.write(AdjacencyChangeRow {
            netns: row.netns.clone(),
            seq: 0,
            time: now,
            protocol: row.protocol,
            instance: row.instance.clone(),
            interface: row.interface.clone(),
            peer: row.peer.clone(),
            address: row.address,
            local_address: row.local_address,
            before: before.map(|row| row.state.clone()),
            after: after.map(|row| row.state.clone()),
            standing: after.map_or(AdjacencyStanding::Down, |row| row.standing),
            changes,
            reason: row.reason.clone(),
        });
    }

    /// All changes that are kept of network namespaces that are shown, the same rows as long as they are the same.
    pub(super) fn changes(&mut self, census: &Census) -> Arc<dyn Rows> {
        let shown: Vec<bool> = self.changes.iter().map(|row| census.shows(row.netns.as_deref())).collect();
        let rows = match self.rows.take() {
            Some((count, before, rows)) if count == self.count && before == shown => rows,
            _ => {
                let all = self.changes.iter().zip(&shown).filter(|(_, shown)| **shown);
                Arc::new(all.map(|(row, _)| row.clone()).collect::<Vec<_>>())
            }
        };
        self.rows = Some((self.count, shown, Arc::clone(&rows)));
        rows
    }
}

/// Gives those their new names who are told under another one now: who has gone for another one to come stays for a while.
fn rename(known: &mut BTreeMap<Key, (AdjacencyRow, u64)>, seen: &BTreeMap<Key, (AdjacencyRow, u64)>) {
    let nameless = |key: &Key| Key { peer: Text::default(), ..key.clone() };
    let mut come: BTreeMap<Key, Vec<&Key>> = BTreeMap::new();
    for key in seen.keys().filter(|key| !known.contains_key(*key)) {
        come.entry(nameless(key)).or_default().push(key);
    }
    let is_lost = |(key, (row, _)): &(&Key, &(AdjacencyRow, u64))| {
        row.standing != AdjacencyStanding::Down && !seen.contains_key(*key)
    };
    let lost: Vec<Key> = known.iter().filter(is_lost).map(|(key, _)| key.clone()).collect();
    for key in lost {
        // of several it is not known which is which
        if let Some([new]) = come.remove(&nameless(&key)).as_deref()
            && let Some(before) = known.remove(&key)
        {
            known.insert((*new).clone(), before);
        }
    }
}

fn key(place: Place, row: &AdjacencyRow) -> Key {
    Key {
        place,
        protocol: row.protocol.name(),
        instance: row.instance.clone(),
        vrf: row.vrf.clone(),
        interface: row.interface.clone(),
        // the number of a router may be known later than its address
        peer: if row.address.is_some() { Text::default() } else { row.peer.clone() },
        address: row.address,
        local_address: row.local_address,
        level: row.level,
    }
}

/// How it is with one whose state has this level.
fn standing(level: Level) -> AdjacencyStanding {
    match level {
        Level::Ok => AdjacencyStanding::Up,
        Level::Critical => AdjacencyStanding::Down,
        _ => AdjacencyStanding::Forming,
    }
}

/// The word of a state, and how good it is.
fn state<R: Row>(row: &R, column: usize) -> (Text, AdjacencyStanding) {
    match (row.cell(column), R::TABLE.columns.get(column)) {
        (Cell::Label(word), Some(about)) => (Text::from(word), standing(about.label_level(word))),
        _ => (Text::from("unknown"), AdjacencyStanding::Forming),
    }
}

fn named(address: Option<IpAddr>) -> Text {
    address.map_or_else(|| Text::from("?"), |address| Text::from(IpText(address).to_string()))
}

/// What is common to neighbors of OSPF and to others.
pub(super) fn of_ospf(row: &OspfNeighborRow) -> (AdjacencyRow, u64) {
    let (state, standing) = state(row, col!(OspfNeighborRow, state));
    let protocol = if row.version == Some(3) { AdjacencyProtocol::Ospf3 } else { AdjacencyProtocol::Ospf2 };
    let common = AdjacencyRow {
        netns: row.netns.clone(),
        protocol,
        source: row.source,
        instance: row.instance.clone(),
        vrf: row.vrf.clone(),
        interface: row.interface.clone(),
        peer: named(row.router_id.or(row.address)),
        address: row.address,
        level: None,
        local_address: None,
        standing,
        state,
        since: row.since,
        flaps: Some(row.flaps),
        reason: row.reason.clone(),
        stale: row.stale,
    };
    (common, row.changes)
}

/// The same of sessions of BFD.
pub(super) fn of_bfd(row: &BfdPeerRow) -> (AdjacencyRow, u64) {
    let (state, standing) = state(row, col!(BfdPeerRow, state));
    let common = AdjacencyRow {
        netns: row.netns.clone(),
        protocol: AdjacencyProtocol::Bfd,
        source: Some(row.source),
        instance: Some(row.instance.clone()),
        vrf: row.vrf.clone(),
        interface: row.interface.clone(),
        peer: named(row.address),
        address: row.address,
        level: None,
        local_address: row.local_address,
        standing,
        state,
        since: row.since,
        flaps: row.downs,
        reason: [&row.remote_diagnostic, &row.diagnostic]
            .into_iter()
            .flatten()
            .find(|words| is_trouble(words))
            .cloned(),
        stale: row.stale,
    };
    (common, row.ups.unwrap_or_default().saturating_add(row.downs.unwrap_or_default()))
}

/// Whether a diagnostic says that something is wrong.
fn is_trouble(words: &str) -> bool {
    words != "ok"
}

/// The same of sessions of BGP.
pub(super) fn of_bgp(row: &BgpPeerRow) -> (AdjacencyRow, u64) {
    let (state, standing) = state(row, col!(BgpPeerRow, state));
    let common = AdjacencyRow {
        netns: row.netns.clone(),
        protocol: AdjacencyProtocol::Bgp,
        source: Some(row.source),
        instance: Some(row.instance.clone()),
        vrf: row.vrf.clone(),
        interface: None,
        peer: row.peer.clone(),
        address: None,
        level: None,
        local_address: None,
        standing,
        state,
        since: row.since,
        flaps: row.dropped,
        reason: row.reason.clone(),
        stale: row.stale,
    };
    (common, row.established.unwrap_or_default().saturating_add(row.dropped.unwrap_or_default()))
}

/// The same of adjacencies of IS-IS.
pub(super) fn of_isis(row: &IsisAdjacencyRow) -> (AdjacencyRow, u64) {
    let (state, standing) = state(row, col!(IsisAdjacencyRow, state));
    let common = AdjacencyRow {
        netns: row.netns.clone(),
        protocol: AdjacencyProtocol::Isis,
        source: Some(row.source),
        instance: Some(row.instance.clone()),
        vrf: None,
        interface: Some(row.interface.clone()),
        peer: row.system.clone(),
        address: None,
        level: row.level,
        local_address: None,
        standing,
        state,
        since: row.since,
        flaps: row.flaps,
        reason: None,
        stale: row.stale,
    };
    (common, row.flaps.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjacency(peer: &str, state: &str, standing: AdjacencyStanding) -> AdjacencyRow {
        AdjacencyRow {
            netns: Some(Text::from("host")),
            protocol: AdjacencyProtocol::Bgp,
            source: None,
            instance: Some(Text::from("bgpd")),
            vrf: None,
            interface: None,
            peer: Text::from(peer),
            address: None,
            level: None,
            local_address: None,
            standing,
            state: Text::from(state),
            since: None,
            flaps: None,
            reason: Some(Text::from("hold timer")),
            stale: None,
        }
    }

    fn told(chronicle: &Chronicle) -> Vec<(String, Option<String>, Option<String>, u64)> {
        let words = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        let one = |row: &AdjacencyChangeRow| {
            (row.peer.as_str().to_owned(), words(&row.before), words(&row.after), row.changes)
        };
        chronicle.changes.iter().map(one).collect()
    }

    fn place(socket: &str) -> Place {
        Path::new(socket).into()
    }

    /// A look at one daemon that has told these.
    fn sees(chronicle: &mut Chronicle, second: i64, seen: Vec<(AdjacencyRow, u64)>) {
        let place = place("/run/frr/bgpd.vty");
        let seen = seen.into_iter().map(|(row, changes)| (Arc::clone(&place), row, changes)).collect();
        chronicle.follow(Timestamp(second), seen, BTreeSet::from([place]));
    }

    #[test]
    fn each_change_is_written_once_and_what_was_there_before_is_none() {
        use AdjacencyStanding::{Down, Up};
        let mut chronicle = Chronicle::default();
        let mut look = |second: i64, seen: Vec<(AdjacencyRow, u64)>| {
            sees(&mut chronicle, second, seen);
            told(&chronicle)
        };
        let up = |peer: &str, changes: u64| (adjacency(peer, "Established", Up), changes);
        let some = |word: &str| Some(word.to_owned());
        assert_eq!(look(1, vec![up("a", 1), up("b", 1)]), []);
        assert_eq!(look(2, vec![up("a", 1), up("b", 1)]), []);
        // one goes down, one comes
        let down = || (adjacency("a", "Idle", Down), 2);
        let first = ("a".to_owned(), some("Established"), some("Idle"), 1);
        let second = ("c".to_owned(), None, some("Established"), 1);
        assert_eq!(look(3, vec![down(), up("b", 1), up("c", 1)]), [first.clone(), second.clone()]);
        // one was lost and is back between two looks, one that was down is taken away, one that was up is gone
        let third = ("b".to_owned(), some("Established"), some("Established"), 2);
        let fourth = ("c".to_owned(), some("Established"), None, 1);
        let all = look(4, vec![up("b", 3)]);
        assert_eq!(all, [first, second, third, fourth]);
        assert_eq!(look(5, vec![up("b", 3)]), all);
    }

    #[test]
    fn one_that_gets_a_name_has_neither_gone_nor_come() {
        use AdjacencyStanding::{Down, Up};
        let mut chronicle = Chronicle::default();
        let mut look = |seen: &[(&str, &str, AdjacencyStanding)]| {
            let rows = seen.iter().map(|(peer, state, standing)| (adjacency(peer, state, *standing), 0)).collect();
            sees(&mut chronicle, 0, rows);
            told(&chronicle).len()
        };
        assert_eq!(look(&[("0000.0001", "Up", Up)]), 0);
        assert_eq!(look(&[("one", "Up", Up)]), 0);
        assert_eq!(look(&[("one", "Down", Down)]), 1);
        // what had gone makes room for another one
        assert_eq!(look(&[("two", "Up", Up)]), 2);
    }

    #[test]
    fn a_daemon_that_stops_or_is_another_process_is_written_once_and_its_adjacencies_are_not() {
        use AdjacencyStanding::{Down, Up};
        let mut chronicle = Chronicle::default();
        let mut daemon = Daemon::testing("/run/frr/bgpd.vty", Timestamp(0));
        let mut look = |standing: Standing, pid: u32, peers: &[&str], is_known: bool| {
            (daemon.state.standing, daemon.pid) = (standing, Some(pid));
            daemon.state.fault = (standing != Standing::Up).then(|| crate::source::Error::malformed("x", "why"));
            let place = place("/run/frr/bgpd.vty");
            let seen = peers.iter().map(|peer| (Place::clone(&place), adjacency(peer, "Established", Up), 0)).collect();
            chronicle.follow(Timestamp(0), seen, Some(place).filter(|_| is_known).into_iter().collect());
            chronicle.attend(Timestamp(0), if is_known { std::slice::from_ref(&daemon) } else { &[] });
            told(&chronicle)
        };
        let line = |before: Option<&str>, after: &str, changes| {
            ("bgpd".to_owned(), before.map(str::to_owned), Some(after.to_owned()), changes)
        };
        assert_eq!(look(Standing::Up, 1, &["a"], true), []);
        let silent = line(Some("up"), "silent", 1);
        assert_eq!(look(Standing::Silent, 1, &["a"], true), [silent]);
        assert_eq!(look(Standing::Silent, 1, &["a"], true).len(), 1, "once");
        let (back, anew) = (line(Some("silent"), "up", 1), line(Some("up"), "up", 2));
        assert_eq!(look(Standing::Up, 1, &["a"], true)[1..], [back]);
        assert_eq!(look(Standing::Up, 2, &["a"], true)[2..], [anew]);
        let down = line(Some("up"), "down", 1);
        assert_eq!(look(Standing::Down, 2, &["a"], true)[3..], [down]);
        let one = |before: Option<&str>, after: Option<&str>| {
            ("a".to_owned(), before.map(str::to_owned), after.map(str::to_owned), 1)
        };
        assert_eq!(look(Standing::Down, 2, &[], false)[4..], [one(Some("Established"), None)], "it is forgotten");
        let back = [one(None, Some("Established")), line(None, "up", 1)];
        assert_eq!(look(Standing::Up, 3, &["a"], true)[5..], back);
        let last = chronicle.changes.back().map(|row| (row.protocol, row.standing, row.reason.is_none()));
        assert_eq!(last, Some((AdjacencyProtocol::Daemon, Up, true)));
        let down = chronicle.changes.get(3).map(|row| (row.standing, row.reason.is_some()));
        assert_eq!(down, Some((Down, true)));
    }

    #[test]
    fn a_router_that_answers_after_the_first_look_has_not_come() {
        let mut chronicle = Chronicle::default();
        let mut look = |heard: Option<Standing>| {
            chronicle.attend(Timestamp(0), &[Daemon::elsewhere("core", heard, Timestamp(0))]);
            told(&chronicle).len()
        };
        let (up, silent) = (Some(Standing::Up), Some(Standing::Silent));
        assert_eq!([look(None), look(None), look(up), look(up)], [0; 4]);
        assert_eq!([look(silent), look(silent), look(up)], [1, 1, 2]);
    }

    #[test]
    fn what_a_daemon_tells_first_is_no_change() {
        let mut chronicle = Chronicle::default();
        let mut look = |sockets: &[&str], rows: &[(&str, &str)]| {
            let up = |peer: &str| adjacency(peer, "Established", AdjacencyStanding::Up);
            let seen = rows.iter().map(|(socket, peer)| (place(socket), up(peer), 0)).collect();
            chronicle.follow(Timestamp(0), seen, sockets.iter().map(|socket| place(socket)).collect());
            told(&chronicle)
                .iter()
                .map(|(peer, before, after, _)| (peer.clone(), before.is_some(), after.is_some()))
                .collect::<Vec<_>>()
        };
        assert_eq!(look(&["/a"], &[("/a", "one")]), []);
        // another one answers later
        assert_eq!(look(&["/a", "/b"], &[("/a", "one"), ("/b", "two")]), []);
        let line = |peer: &str, before, after| (peer.to_owned(), before, after);
        let all = [line("three", false, true)];
        assert_eq!(look(&["/a", "/b"], &[("/a", "one"), ("/b", "two"), ("/b", "three")]), all);
        // it is forgotten with all of its neighbors, and tells of some when it comes back
        let gone = [line("three", true, false), line("two", true, false)];
        assert_eq!(look(&["/a"], &[("/a", "one")])[1..], gone);
        assert_eq!(look(&["/a", "/b"], &[("/a", "one"), ("/b", "two")])[3..], [line("two", false, true)]);
        // one that had no neighbors has got one
        assert_eq!(look(&["/a", "/b", "/c"], &[("/a", "one"), ("/b", "two")]).len(), 4);
        assert_eq!(look(&["/a", "/b", "/c"], &[("/a", "one"), ("/b", "two"), ("/c", "four")]).len(), 5);
    }

    #[test]
    fn who_is_forgotten_with_its_daemon_goes_once_and_comes_once_whether_it_is_expected_or_not() {
        use AdjacencyStanding::{Down, Forming, Up};
        let mut chronicle = Chronicle::default();
        let mut look = |is_heard: bool, rows: &[(&str, &str, &str, AdjacencyStanding)]| {
            let row = |(socket, peer, state, standing): &(&str, &str, &str, AdjacencyStanding)| {
                (place(socket), adjacency(peer, state, *standing), 0)
            };
            let heard = [Some(place("")), is_heard.then(|| place("/a"))].into_iter().flatten().collect();
            let before = chronicle.changes.len();
            chronicle.follow(Timestamp(0), rows.iter().map(row).collect(), heard);
            let words = |word: Option<String>| word.unwrap_or_default();
            let new = told(&chronicle).into_iter().skip(before);
            new.map(|(peer, before, after, _)| format!("{peer} {} {}", words(before), words(after))).collect::<Vec<_>>()
        };
        let full = |peer| ("/a", peer, "Full", Up);
        assert!(look(true, &[full("expected"), full("one"), full("two")]).is_empty());
        let missed = ("", "expected", "Deleted", Down);
        assert_eq!(look(false, &[missed]), ["expected Full Deleted", "one Full ", "two Full "]);
        assert!(look(false, &[missed]).is_empty());
        // the daemon is back, and one neighbor after the other
        let rest = [("/a", "expected", "Deleted", Down), ("/a", "two", "Deleted", Down)];
        assert_eq!(look(true, &[&rest[..], &[("/a", "one", "Loading", Forming)]].concat()), ["one  Loading"]);
        let back = look(true, &[full("expected"), full("one"), full("two")]);
        assert_eq!(back, ["expected Deleted Full", "one Loading Full", "two Deleted Full"]);
    }

    #[test]
    fn another_name_of_a_namespace_is_no_change() {
        let mut chronicle = Chronicle::default();
        for name in ["blue", "net:[4026532545]", "blue"] {
            let mut row = adjacency("a", "Established", AdjacencyStanding::Up);
            row.netns = Some(Text::from(name));
            sees(&mut chronicle, 0, vec![(row, 1)]);
        }
        assert_eq!(told(&chronicle), []);
    }

    #[test]
    fn two_sessions_with_one_peer_are_told_apart_by_the_own_address() {
        use AdjacencyStanding::{Down, Up};
        let mut chronicle = Chronicle::default();
        let session = |local: &str, state: &str, standing| {
            let mut row = adjacency("10.7.0.2", state, standing);
            (row.protocol, row.address, row.local_address) =
                (AdjacencyProtocol::Bfd, "10.7.0.2".parse().ok(), local.parse().ok());
            (row, 0)
        };
        let (first, second) = ("10.7.0.1", "10.7.0.11");
        sees(&mut chronicle, 0, vec![session(first, "up", Up), session(second, "up", Up)]);
        sees(&mut chronicle, 1, vec![session(first, "up", Up), session(second, "down", Down)]);
        sees(&mut chronicle, 2, vec![session(first, "down", Down), session(second, "down", Down)]);
        let locals: Vec<Option<IpAddr>> = chronicle.changes.iter().map(|row| row.local_address).collect();
        assert_eq!(locals, [second.parse().ok(), first.parse().ok()]);
        assert!(told(&chronicle).iter().all(|(_, _, after, _)| after.as_deref() == Some("down")));
    }

    #[test]
    fn of_many_changes_the_newest_are_kept_and_the_same_rows_are_given_while_there_is_no_new_one() {
        let mut chronicle = Chronicle::default();
        for second in 0..=MOST as u64 + 10 {
            let word = if second % 2 == 0 { "Idle" } else { "Connect" };
            sees(&mut chronicle, 0, vec![(adjacency("a", word, AdjacencyStanding::Forming), second)]);
        }
        let census = Census::default();
        let rows = chronicle.changes(&census);
        assert_eq!(rows.len(), MOST);
        assert_eq!(rows.cell(MOST - 1, col!(AdjacencyChangeRow, seq)), Cell::U64(MOST as u64 + 10));
        assert!(Arc::ptr_eq(&rows, &chronicle.changes(&census)));
    }
}
