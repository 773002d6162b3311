//! How do those who come share what is there for few, so that one of them cannot have it all?
//!
//! There is so much for everybody, less for whoever comes from one source, and a part that those cannot take who have not
//! said who they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::caller::{Caller, Source};
use crate::model::lock;

/// How many seats there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For everybody together.
    pub(super) all: usize,
    /// For one source.
    pub(super) each: usize,
    /// For strangers together.
    pub(super) strangers: usize,
}

/// Seats, and who has taken how many.
#[derive(Clone, Debug)]
pub(super) struct Seats(Arc<(Limits, Mutex<Taken>)>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    strangers: usize,
    sources: HashMap<Source, usize>,
}

impl Seats {
    /// All of them are free.
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new((limits, Mutex::default())))
    }

    /// A seat, until it is dropped; `None` if there is none for this caller.
    pub(super) fn take(&self, caller: Caller) -> Option<Seat> {
        let (limits, taken) = &*self.0;
        let mut taken = lock(taken);
        let (source, is_stranger) = (caller.source(), !caller.is_clear());
        let own = taken.sources.get(&source).copied().unwrap_or_default();
        let has_room =
            taken.all < limits.all && own < limits.each && !(is_stranger && taken.strangers >= limits.strangers);
        if !has_room {
            return None;
        }
        taken.all += 1;
        taken.strangers += usize::from(is_stranger);
        taken.sources.insert(source, own + 1);
        Some(Seat { seats: self.clone(), source, is_stranger })
    }
}

/// What somebody has taken.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    source: Source,
    is_stranger: bool,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.seats.0.1);
        taken.all -= 1;
        taken.strangers -= usize::from(self.is_stranger);
        if let Some(own) = taken.sources.get_mut(&self.source) {
            *own -= 1;
            if *own == 0 {
                taken.sources.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::caller::{Peer, Role};

    #[test]
    fn no_source_and_no_strangers_take_all_of_it_and_what_is_left_is_free_again() {
        let from = |last: u8| Peer::Tcp([127, 0, 0, last].into());
        let stranger = |last: u8| Caller::from_peer(from(last), 0, false, false);
        let known = |last: u8| Caller::named(Role::View, false, from(last));
        let seats = Seats::new(Limits { all: 6, each: 3, strangers: 4 });
        let mut held: Vec<Seat> = (0..3).map(|_| seats.take(stranger(1)).unwrap()).collect();
        assert!(seats.take(stranger(1)).is_none(), "one source has its share");
        held.push(seats.take(stranger(2)).unwrap());
        assert!(seats.take(stranger(3)).is_none(), "strangers have theirs");
        held.extend((0..2).map(|_| seats.take(known(3)).unwrap()));
        assert!(seats.take(known(4)).is_none(), "there are no more");
        drop(held);
        assert!((0..3).all(|_| seats.take(known(1)).is_some()));
        let taken = lock(&seats.0.1);
        assert!(taken.all == 0 && taken.strangers == 0 && taken.sources.is_empty());
    }
}
