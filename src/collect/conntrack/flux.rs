//! How many connections have begun and ended?
//!
//! Beginnings are heard from the kernel, ends follow from how many are there: an event for each of them would cost the
//! kernel as much again, and it has none for connections that are older than the first listener. Only while somebody wants
//! to know; nobody else pays for it.

use std::sync::Arc;

use super::ConntrackRow;
use crate::collect::Cx;
use crate::model::Text;
use crate::source::Error;
use crate::source::conntrack::event::{BUFFER, BUFFER_OF_OTHERS, Heard, Listener, Tap};
use crate::source::netns::{self, Rooms};

/// Listens while it lives.
pub(super) struct Flux {
    listener: Listener,
    own: Option<Ear>,
    others: Rooms<Ear>,
}

/// What is heard in one network namespace.
struct Ear {
    tap: Arc<Tap>,
    /// From the first look.
    ledger: Option<Ledger>,
}

impl Ear {
    fn open(buffer: usize) -> Result<Self, Error> {
        Ok(Self { tap: Tap::open(buffer)?, ledger: None })
    }
}

impl Flux {
    /// Whether anybody wants to know.
    pub(super) fn is_wanted(cx: &Cx<'_>) -> bool {
        cx.roots.live && ["new", "ended", "overruns"].iter().any(|column| cx.wants.column(ConntrackRow::TABLE, column))
    }

    pub(super) fn start() -> Result<Self, Error> {
        Ok(Self { listener: Listener::start()?, own: None, others: Rooms::default() })
    }

    /// Fills the columns of the rows. What is not heard is missing; the answer says why of the first.
    pub(super) fn fill(&mut self, cx: &Cx<'_>, rows: &mut [ConntrackRow]) -> Option<Error> {
        let mut refused = None;
        if cx.roots.netns.has_host() {
            let listener = &self.listener;
            let own = self.own.take().map_or_else(|| Ear::open(BUFFER), Ok).and_then(|mut ear| {
                ear.fill(listener, &netns::host(), rows)?;
                Ok(ear)
            });
            match own {
                Ok(ear) => self.own = Some(ear),
                Err(error) => refused = Some(error),
            }
        }
        let listener = &self.listener;
        let open = || Ear::open(BUFFER_OF_OTHERS);
        let troubles = self.others.read(&cx.roots.netns, open, |netns, ear| ear.fill(listener, netns, rows));
        // who could not be entered has been told with the files
        let other = || troubles.first().filter(|error| error.op != netns::ENTER).map(Error::again);
        refused.or_else(other)
    }
}

impl Ear {
    fn fill(&mut self, listener: &Listener, netns: &Text, rows: &mut [ConntrackRow]) -> Result<(), Error> {
        let Some(row) = rows.iter_mut().find(|row| row.netns == *netns) else { return Ok(()) };
        let deaf = || Error::new("listen to", "new connections", std::io::ErrorKind::BrokenPipe);
        let heard = self.tap.heard().ok_or_else(deaf)?;
        if self.ledger.is_none() {
            listener.add(&self.tap)?;
        }
        let ledger = self.ledger.get_or_insert_with(|| Ledger::new(row.count));
        ledger.add(heard, row.count);
        (row.new, row.ended) = (Some(ledger.begun), Some(ledger.ended));
        row.overruns = Some(ledger.overruns);
        Ok(())
    }
}

/// Beginnings and ends that are known. Neither ever goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ledger {
    /// Connections at the first look.
    first: u64,
    begun: u64,
    ended: u64,
    overruns: u64,
    /// Of those that have begun, how many nobody has heard of.
    unheard: u64,
}

impl Ledger {
    fn new(first: u64) -> Self {
        Self { first, begun: 0, ended: 0, overruns: 0, unheard: 0 }
    }

    /// Takes what was heard from the first look on, and how many connections are there now.
    fn add(&mut self, heard: Heard, count: u64) {
        let mut begun = heard.begun.saturating_add(self.unheard);
        if heard.overruns > self.overruns {
            // as many must have begun as there are more now
            let least = self.ended.saturating_add(count).saturating_sub(self.first);
            self.unheard = self.unheard.saturating_add(least.saturating_sub(begun));
            begun = begun.max(least);
        }
        self.overruns = heard.overruns;
        self.begun = self.begun.max(begun);
        // one that is being made is counted a moment before it is told of
        self.ended = self.ended.max(self.begun.saturating_add(self.first).saturating_sub(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(begun: u64, overruns: u64) -> Heard {
        Heard { begun, overruns }
    }

    #[test]
    fn ends_follow_from_beginnings_and_from_how_many_are_there() {
        let mut ledger = Ledger::new(500);
        ledger.add(heard(0, 0), 500);
        assert_eq!((ledger.begun, ledger.ended), (0, 0));
        ledger.add(heard(30, 0), 520);
        assert_eq!((ledger.begun, ledger.ended), (30, 10));
        ledger.add(heard(30, 0), 0);
        assert_eq!((ledger.begun, ledger.ended), (30, 530), "those from before the first look end, too");
    }

    #[test]
    fn of_what_was_not_heard_as_much_is_known_as_there_is_more() {
        let mut ledger = Ledger::new(0);
        ledger.add(heard(10, 1), 1000);
        assert_eq!((ledger.begun, ledger.ended, ledger.overruns), (1000, 0, 1));
        ledger.add(heard(15, 1), 1005);
        assert_eq!((ledger.begun, ledger.ended), (1005, 0));
    }

    #[test]
    fn a_connection_that_is_counted_before_it_is_told_of_is_neither_begun_nor_ended() {
        let mut ledger = Ledger::new(0);
        ledger.add(heard(0, 0), 1);
        assert_eq!((ledger.begun, ledger.ended), (0, 0));
        ledger.add(heard(1, 0), 1);
        assert_eq!((ledger.begun, ledger.ended), (1, 0));
    }

    proptest! {
        #[test]
        fn neither_goes_down_and_together_they_are_what_is_there(
            first in 0..100_u64, steps in proptest::collection::vec((0..50_u64, 0..50_u64, any::<bool>()), 0..40),
        ) {
            let (mut ledger, mut count, mut told) = (Ledger::new(first), first, Heard::default());
            let (mut begun, mut ended) = (0, 0);
            for (new, gone, is_lost) in steps {
                let gone = gone.min(count + new);
                count = count + new - gone;
                (begun, ended) = (begun + new, ended + gone);
                if is_lost {
                    told.overruns += 1;
                } else {
                    told.begun += new;
                }
                let before = ledger;
                ledger.add(told, count);
                prop_assert!(ledger.begun >= before.begun && ledger.ended >= before.ended);
                prop_assert!(ledger.begun <= begun && ledger.ended <= ended, "{ledger:?}");
                prop_assert!(first + ledger.begun <= count + ledger.ended);
                if told.overruns == 0 {
                    prop_assert_eq!((ledger.begun, ledger.ended), (begun, ended));
                }
            }
        }
    }
}
