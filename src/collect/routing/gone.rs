//! Who was there and is gone?
//!
//! A daemon says nothing of those it has lost. They are kept until they come back or the time is over that the configuration
//! says, and of very many the newest. [`Leavers`] are the rows of one table, each daemon's by themselves: one that does not
//! answer has lost nobody.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use super::adjacency::Place;
use super::stale;
use crate::model::{Key, Row, Timestamp};
use crate::source::routing::daemon::Daemon;
use crate::source::routing::ospf::MOST;
use crate::source::routing::settings::Wishes;
use crate::source::routing::told::Told;

/// Those who have gone by what tells them apart, each with since when.
pub(super) struct Gone<K, T>(BTreeMap<K, (Timestamp, T)>);

impl<K, T> Default for Gone<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, T> Gone<K, T> {
    /// Somebody has gone.
    pub(super) fn leave(&mut self, key: K, at: Timestamp, one: T) {
        self.0.insert(key, (at, one));
    }

    /// Somebody is there; gives what was kept.
    pub(super) fn come(&mut self, key: &K) -> Option<T> {
        self.0.remove(key).map(|(_, one)| one)
    }

    /// Forgets those who have gone for long, and of too many the oldest.
    pub(super) fn keep(&mut self, now: Timestamp, keep: Duration) {
        self.0.retain(|_, (at, _)| at.age(now) < keep.as_secs_f64());
        if self.0.len() > MOST {
            let mut times: Vec<Timestamp> = self.0.values().map(|(at, _)| *at).collect();
            times.sort_unstable();
            let first = times.get(times.len() - MOST).copied();
            self.0.retain(|_, (at, _)| Some(*at) >= first);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.values().map(|(_, one)| one)
    }

    /// All of them, to be changed.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.values_mut().map(|(_, one)| one)
    }
}

/// A row that may tell that somebody has gone.
pub(super) trait Departs: Row {
    /// Since when; `None` of one who is there, or is missed all the same.
    fn gone(&self) -> Option<Timestamp>;
}

/// Whether a row tells of somebody who has gone, and somebody knows that by now.
pub(super) fn is_acknowledged<R: Departs>(wishes: &Wishes, row: &R) -> bool {
    row.gone().is_some_and(|since| wishes.is_acknowledged(&R::TABLE.name, key_of(row), since))
}

/// What tells a row from all others of its table.
pub(super) fn key_of<R: Row>(row: &R) -> Key {
    Key::from_cells(R::TABLE.ids().map(|column| row.cell(column)))
}

/// A row of somebody who may go.
pub(super) trait Leaver: Clone {
    /// What tells it from others of its daemon.
    type Key: Ord + Clone;

    /// That of this row.
    fn key(&self) -> Self::Key;

    /// It has gone: what was so while it was there is so no more.
    fn leave(&mut self, at: Timestamp);

    /// Takes since when the daemon has told nothing more.
    fn follow(&mut self, daemon: &Daemon, stale: Option<Timestamp>);
}

/// Rows of one daemon.
struct Left<R: Leaver> {
    /// When it was told last.
    at: Timestamp,
    there: BTreeMap<R::Key, R>,
    gone: Gone<R::Key, R>,
}

/// Rows of several daemons, and of which each is.
pub(super) struct Placed<R> {
    /// The rows.
    pub(super) rows: Vec<R>,
    /// As many sockets.
    pub(super) places: Vec<Place>,
}

impl<R> Default for Placed<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), places: Vec::new() }
    }
}

impl<R> Placed<R> {
    /// Gives the rows, and hands out where they are from.
    pub(super) fn split(self, places: &mut impl FnMut(Vec<Place>)) -> Vec<R> {
        places(self.places);
        self.rows
    }

    /// Adds rows of one daemon.
    pub(super) fn add(&mut self, daemon: &Daemon, rows: impl IntoIterator<Item = R>) {
        self.rows.extend(rows);
        self.places.resize_with(self.rows.len(), {
            let place = Place::from(daemon.socket.as_path());
            move || Place::clone(&place)
        });
    }
}

/// The rows of a table, those included who have gone.
pub(super) struct Leavers<R: Leaver>(HashMap<PathBuf, Left<R>>);

impl<R: Leaver> Default for Leavers<R> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<R: Leaver> Leavers<R> {
    /// All rows of all daemons, and where each is known from: `there` gives those that one has told of.
    pub(super) fn rows(
        &mut self,
        daemons: &[Daemon],
        keep: Duration,
        mut there: impl FnMut(&Daemon, &Told) -> Vec<R>,
    ) -> Placed<R> {
        self.0.retain(|socket, _| daemons.iter().any(|daemon| daemon.socket == *socket));
        let mut rows = Placed::default();
        for (daemon, told) in daemons.iter().filter_map(|daemon| Some((daemon, daemon.told.as_ref()?))) {
            let mut own = there(daemon, told);
            self.add(daemon, told.at, keep, &mut own);
            rows.add(daemon, own);
        }
        rows
    }

    /// Adds to all rows of a daemon those who have gone.
    fn add(&mut self, daemon: &Daemon, at: Timestamp, keep: Duration, rows: &mut Vec<R>) {
        let new = || Left { at, there: BTreeMap::new(), gone: Gone::default() };
        let left = self.0.entry(daemon.socket.clone()).or_insert_with(new);
        if left.at != at || left.there.is_empty() {
            left.at = at;
            let there: BTreeMap<R::Key, R> = rows.iter().map(|row| (row.key(), row.clone())).collect();
            for (key, mut row) in std::mem::take(&mut left.there) {
                if !there.contains_key(&key) {
                    row.leave(at);
                    left.gone.leave(key, at, row);
                }
            }
            for key in there.keys() {
                left.gone.come(key);
            }
            left.gone.keep(at, keep);
            left.there = there;
        }
        let stale = stale(daemon);
        rows.extend(left.gone.all().cloned().map(|mut row| {
            row.follow(daemon, stale);
            row
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::control::standing::Standing;

    #[derive(Clone, Debug, PartialEq)]
    struct One(&'static str, Option<Timestamp>, Option<Timestamp>);

    impl Leaver for One {
        type Key = &'static str;
        fn key(&self) -> &'static str {
            self.0
        }
        fn leave(&mut self, at: Timestamp) {
            self.1 = Some(at);
        }
        fn follow(&mut self, _: &Daemon, stale: Option<Timestamp>) {
            self.2 = stale;
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds as f64)
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn who_is_told_no_more_stays_until_it_comes_back_or_the_time_is_over() {
        let mut daemon = Daemon::testing("/run/frr/bgpd.vty", at(0));
        daemon.state.standing = Standing::Up;
        let mut leavers = Leavers::default();
        let mut look = |daemon: &mut Daemon, second: u64, names: &[&'static str]| {
            let mut rows: Vec<One> = names.iter().map(|name| One(name, None, None)).collect();
            daemon.told = Some(Told::new(at(second)));
            leavers.add(daemon, at(second), HOUR, &mut rows);
            rows
        };
        let (a, b) = (One("a", None, None), One("b", None, None));
        let gone = |name, second| One(name, Some(at(second)), None);
        assert_eq!(look(&mut daemon, 1, &["a", "b"]), [a.clone(), b.clone()]);
        // the same answer once more, then one without the second
        assert_eq!(look(&mut daemon, 1, &["a", "b"]), [a.clone(), b.clone()]);
        assert_eq!(look(&mut daemon, 2, &["a"]), [a.clone(), gone("b", 2)]);
        assert_eq!(look(&mut daemon, 3, &["a"]), [a.clone(), gone("b", 2)]);
        assert_eq!(look(&mut daemon, 4, &[]), [gone("a", 4), gone("b", 2)]);
        // nothing new is told
        (daemon.state.standing, daemon.state.since) = (Standing::Silent, at(5));
        assert_eq!(look(&mut daemon, 4, &[])[1], One("b", Some(at(2)), Some(at(4))));
        daemon.state.standing = Standing::Up;
        assert_eq!(look(&mut daemon, 6, &["b"]), [b.clone(), gone("a", 4)]);
        assert_eq!(look(&mut daemon, 3603, &["b"]), [b.clone(), gone("a", 4)]);
        assert_eq!(look(&mut daemon, 3604, &["b"]), [b]);
        assert_eq!(leavers.rows(&[], HOUR, |_, _| Vec::new()).rows, []);
        assert!(leavers.0.is_empty());
    }

    #[test]
    fn of_very_many_who_have_gone_the_newest_are_kept() {
        let mut gone = Gone::default();
        for second in 0..MOST as u64 + 10 {
            gone.leave(second, at(second), second);
        }
        gone.keep(at(MOST as u64), Duration::from_hours(24));
        assert_eq!((gone.all().count(), gone.all().next()), (MOST, Some(&10)));
    }
}
