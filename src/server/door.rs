//! Who may come in, when there is no room for everybody?
//!
//! Connections are counted in all and by source. Who has not said who they are is a guest. When there is no room for one
//! more guest, the oldest one of the source that has the most goes, and guests have less time: those who only hold connections
//! open keep nobody out, however many they are. Who has said who they are stays, and gives way to nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::caller::{Peer, Source};
use super::pulse::{self, Over, Pulse};
use crate::model::lock;

/// Guests at once.
const MAX_GUESTS: usize = 1024;

/// Guests of one source at once.
const MAX_GUESTS_OF_SOURCE: usize = 64;

/// Connections of one source at once.
const MAX_OF_SOURCE: usize = 1024;

/// Connections at once.
const MAX_CONNECTIONS: usize = 4096;

/// Descriptors that are no connections.
const OTHERS: usize = 64;

/// Everybody who is in.
pub(super) struct Door(Mutex<Inside>);

struct Inside {
    most: usize,
    next: u64,
    places: HashMap<u64, Held>,
    sources: HashMap<Source, Count>,
    /// Guests in the order in which they came.
    guests: BTreeMap<u64, Source>,
    /// When somebody came last for whom there was no room.
    crowded: Option<Instant>,
}

/// A connection as the door knows it.
struct Held {
    source: Source,
    leave: Arc<Notify>,
    pulse: Arc<Pulse>,
}

/// Connections of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    all: usize,
    guests: usize,
}

/// One who is in, until it is dropped.
pub(super) struct Place {
    door: Arc<Door>,
    number: u64,
    leave: Arc<Notify>,
    /// How the connection fares.
    pub(super) pulse: Arc<Pulse>,
}

impl Door {
    /// Lets in no more than there are descriptors for.
    pub(super) fn new(descriptors: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inside {
            most: descriptors.saturating_sub(OTHERS).clamp(1, MAX_CONNECTIONS),
            next: 0,
            places: HashMap::new(),
            sources: HashMap::new(),
            guests: BTreeMap::new(),
            crowded: None,
        })))
    }

    /// Lets somebody in; a guest goes if there is no room. `None` if there is none who could.
    pub(super) fn enter(self: &Arc<Self>, peer: Peer) -> Option<Place> {
        let (source, mut inside) = (Source::of(peer), lock(&self.0));
        let count = inside.sources.get(&source).copied().unwrap_or_default();
        if (count.guests >= MAX_GUESTS_OF_SOURCE || count.all >= MAX_OF_SOURCE) && !inside.send_away(Some(source)) {
            return None;
        }
        let full = inside.guests.len() >= MAX_GUESTS || inside.places.len() >= inside.most;
        if full {
            inside.crowded = Some(Instant::now());
            if !inside.send_away(None) {
                return None;
            }
        }
        let number = inside.next;
        inside.next += 1;
        let (leave, pulse) = (Arc::new(Notify::new()), Arc::new(Pulse::default()));
        inside.places.insert(number, Held { source, leave: Arc::clone(&leave), pulse: Arc::clone(&pulse) });
        let count = inside.sources.entry(source).or_default();
        (count.all, count.guests) = (count.all + 1, count.guests + 1);
        inside.guests.insert(number, source);
        drop(inside);
        Some(Place { door: Arc::clone(self), number, leave, pulse })
    }

    /// Sends the one away for whom the most answers wait, if that is more than everybody's share of so many bytes: those who
    /// were sent away before may not have gone yet.
    pub(super) fn relieve(&self, most: u64) {
        let mut inside = lock(&self.0);
        let share = most / inside.places.len().max(1) as u64;
        let over = inside.places.iter().filter(|(_, held)| held.pulse.held() > share);
        let most = over.max_by_key(|(_, held)| held.pulse.held());
        if let Some(number) = most.map(|(number, _)| *number) {
            inside.tell(number);
        }
    }
}

impl Inside {
    /// Sends the oldest guest away, of a source or of the one that has the most; whether there was one.
    fn send_away(&mut self, source: Option<Source>) -> bool {
        let counts = |source: &Source| self.sources.get(source).map_or(0, |count| count.guests);
        let most = if source.is_none() { self.sources.values().map(|count| count.guests).max() } else { None };
        // of sources that have as many the one whose guest is the oldest: who has just come has time to say who they are
        let fits = |guest: &Source| source.map_or_else(|| Some(counts(guest)) == most, |source| *guest == source);
        let oldest = self.guests.iter().find(|(_, guest)| fits(guest)).map(|(number, _)| *number);
        oldest.is_some_and(|number| self.tell(number))
    }

    /// Tells somebody to go, who counts no more from now on.
    fn tell(&mut self, number: u64) -> bool {
        if let Some(held) = self.places.get(&number) {
            held.leave.notify_one();
        }
        self.gone(number)
    }

    fn gone(&mut self, number: u64) -> bool {
        self.settled(number);
        let Some(held) = self.places.remove(&number) else { return false };
        if let Some(count) = self.sources.get_mut(&held.source) {
            count.all -= 1;
            if count.all == 0 {
                self.sources.remove(&held.source);
            }
        }
        true
    }

    /// How long a guest has to say who they are.
    fn patience(&self, now: Instant) -> Duration {
        let crowded = self.crowded.is_some_and(|crowded| now.saturating_duration_since(crowded) < pulse::HEADERS);
        if crowded { pulse::CROWDED } else { pulse::HEADERS }
    }

    /// Somebody is no guest any more.
    fn settled(&mut self, number: u64) {
        let count = self.guests.remove(&number).and_then(|source| self.sources.get_mut(&source));
        if let Some(count) = count {
            count.guests -= 1;
        }
    }
}

impl Place {
    /// Whoever has said who they are stays.
    pub(super) fn settle(&self) {
        self.pulse.know();
        lock(&self.door.0).settled(self.number);
    }

    /// When it is over unless something happens.
    ///
    /// # Errors
    /// It is over.
    pub(super) fn due(&self, now: Instant) -> Result<Instant, Over> {
        let patience = lock(&self.door.0).patience(now);
        self.pulse.due(now, patience)
    }

    /// Waits until it has to go.
    pub(super) async fn leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.door.0).gone(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> Peer {
        Peer::Tcp(std::net::IpAddr::V4(number.into()))
    }

    fn must_go(place: &Place) -> bool {
        use futures_util::FutureExt as _;
        place.leave().now_or_never().is_some()
    }

    #[test]
    fn a_guest_goes_and_who_has_said_who_they_are_stays() {
        let door = Door::new(OTHERS + 3);
        let first = door.enter(peer(1)).unwrap();
        let second = door.enter(peer(2)).unwrap();
        let third = door.enter(peer(2)).unwrap();
        first.settle();
        let fourth = door.enter(peer(4)).unwrap();
        assert!(must_go(&second) && !must_go(&first) && !must_go(&third));
        third.settle();
        fourth.settle();
        assert!(door.enter(peer(5)).is_none());
        // one who was sent away makes no room a second time
        drop(second);
        assert!(door.enter(peer(5)).is_none());
        drop(first);
        assert!(door.enter(peer(5)).is_some());
    }

    #[test]
    fn who_keeps_the_most_waiting_goes_and_nobody_who_keeps_little() {
        let door = Door::new(1 << 20);
        let places: Vec<Place> = (1..=10).map(|number| door.enter(peer(number)).unwrap()).collect();
        for (place, held) in places.iter().zip([5, 900, 5, 5, 5, 5, 5, 5, 5, 60]) {
            place.settle();
            place.pulse.hold(held);
        }
        for _ in 0..3 {
            door.relieve(1000);
        }
        assert_eq!(places.iter().filter(|place| must_go(place)).count(), 1);
        assert!(places[1].pulse.held() == 900 && door.enter(peer(11)).is_some());
    }

    #[test]
    fn those_who_are_many_go_before_one_who_is_alone() {
        let door = Door::new(1 << 20);
        let alone = door.enter(peer(1)).unwrap();
        let mut crowd: Vec<Place> = Vec::new();
        for number in 0..4 * MAX_GUESTS as u32 {
            crowd.push(door.enter(peer(2 + number % 40)).unwrap());
        }
        assert!(!must_go(&alone));
        assert_eq!(crowd.iter().filter(|place| !must_go(place)).count(), MAX_GUESTS - 1);
        drop((crowd, alone));
        let inside = lock(&door.0);
        assert!(inside.places.is_empty() && inside.sources.is_empty() && inside.guests.is_empty());
    }

    #[test]
    fn of_those_who_are_equally_many_the_oldest_goes() {
        let door = Door::new(1 << 20);
        let first: Vec<Place> = (0..MAX_GUESTS as u32).map(|number| door.enter(peer(number)).unwrap()).collect();
        let newest = door.enter(peer(1 << 20)).unwrap();
        let more: Vec<Place> = (0..1000).map(|number| door.enter(peer((1 << 21) + number)).unwrap()).collect();
        assert!(!must_go(&newest) && more.iter().all(|place| !must_go(place)));
        assert_eq!(first.iter().filter(|place| must_go(place)).count(), 1001);
    }

    #[test]
    fn guests_have_less_time_while_there_is_no_room_for_everybody() {
        let door = Door::new(1 << 20);
        let (first, now) = (door.enter(peer(0)).unwrap(), Instant::now());
        let soon = now + Duration::from_secs(6);
        assert!(first.due(soon).is_ok());
        let crowd: Vec<Place> = (1..=MAX_GUESTS as u32).map(|number| door.enter(peer(number)).unwrap()).collect();
        let known = &crowd[7];
        known.settle();
        assert_eq!((crowd[8].due(soon), known.due(soon).is_ok()), (Err(Over::Late), true));
        // those who come later have as long as ever
        assert_eq!(lock(&door.0).patience(now + Duration::from_mins(1)), pulse::HEADERS);
    }

    #[test]
    fn a_source_has_so_many_connections_and_takes_no_others_place() {
        let door = Door::new(1 << 20);
        let other = door.enter(peer(1)).unwrap();
        let mut places: Vec<Place> = (0..MAX_GUESTS_OF_SOURCE).map(|_| door.enter(peer(2)).unwrap()).collect();
        places.push(door.enter(peer(2)).unwrap());
        assert!(must_go(&places[0]) && !must_go(&other));
        while places.len() <= MAX_OF_SOURCE {
            places.iter().for_each(Place::settle);
            places.push(door.enter(peer(2)).unwrap());
        }
        places.iter().for_each(Place::settle);
        assert!(door.enter(peer(2)).is_none());
        assert!(door.enter(peer(3)).is_some());
        assert!(door.enter(Peer::Unix(2)).is_some());
    }

    #[test]
    fn the_one_for_whom_the_most_waits_is_sent_away() {
        let door = Door::new(1 << 20);
        let places: Vec<Place> = (1..4).map(|number| door.enter(peer(number)).unwrap()).collect();
        places[1].settle();
        places[1].pulse.hold(1000);
        places[2].pulse.hold(10);
        door.relieve(1500);
        assert_eq!(places.iter().map(must_go).collect::<Vec<_>>(), [false, true, false]);
    }
}
