//! What waits to be taken out of the host, and what came of what was taken?
//!
//! A queue between who decides and the link to the process that goes out. It is bounded: who decides puts in no more than is
//! taken out, because it knows what is under way. Of an order that a link has taken with it when it broke nobody knows what
//! came: who decides tries it again when that can page nobody twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Message;
use crate::model::lock;

/// Orders and outcomes that wait at most.
const MOST: usize = 256;

/// One attempt of one action.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its number; an outcome has the same.
    pub seq: u64,
    /// Name of the action.
    pub action: String,
    /// What is told.
    pub message: Message,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The number of the order.
    pub seq: u64,
    /// Whether it was delivered.
    pub result: Result<(), Failure>,
}

/// Why something was not delivered, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// Operation, object and cause, without secrets.
    pub cause: String,
    /// What became of the message.
    pub fate: Fate,
    /// Changes that were told all the same, by their [`id`](super::Notification::id).
    pub told: Vec<String>,
    /// How long whoever is told wants to be left alone.
    pub after: Option<Duration>,
}

/// What became of a message that was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It was not told: it may be tried again soon.
    Unsent,
    /// Whoever is told does not take it as it is.
    Refused,
    /// Nobody knows whether it was told.
    Unknown,
}

impl Fate {
    /// The number that stands for it where it is handed on.
    pub fn number(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Unsent => 1,
            Self::Refused => 2,
        }
    }

    /// The one that a number stands for.
    pub fn of(number: u32) -> Self {
        [Self::Unsent, Self::Refused].into_iter().find(|fate| fate.number() == number).unwrap_or(Self::Unknown)
    }
}

impl Failure {
    /// Nothing was told.
    pub fn unsent(cause: String) -> Self {
        Self { cause, fate: Fate::Unsent, told: Vec::new(), after: None }
    }

    /// Nobody knows whether it was told.
    pub fn unknown(cause: String) -> Self {
        Self { cause, fate: Fate::Unknown, told: Vec::new(), after: None }
    }

    /// It is not taken as it is.
    pub fn refused(cause: String) -> Self {
        Self { cause, fate: Fate::Refused, told: Vec::new(), after: None }
    }

    /// The same, to be tried no sooner.
    #[must_use]
    pub fn after(self, after: Option<Duration>) -> Self {
        Self { after, ..self }
    }

    /// The same of what does no harm when it is told twice: it may be tried again soon.
    #[must_use]
    pub fn repeatable(self) -> Self {
        let fate = if self.fate == Fate::Unknown { Fate::Unsent } else { self.fate };
        Self { fate, ..self }
    }

    /// The same, but for some changes that were told.
    #[must_use]
    pub fn but(self, told: Vec<String>) -> Self {
        Self { told, ..self }
    }
}

/// What waits.
#[derive(Debug, Default)]
pub struct Outbox {
    queues: Mutex<Queues>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Queues {
    orders: VecDeque<Order>,
    outcomes: VecDeque<Outcome>,
    /// Whoever takes orders; another number is another link.
    link: u64,
    /// Orders whose outcome is not known, and the link that has taken them.
    taken: BTreeMap<u64, u64>,
}

impl Queues {
    fn ended(&mut self, outcome: Outcome) {
        self.taken.remove(&outcome.seq);
        // a process that was taken over may say anything
        if self.outcomes.len() < MOST {
            self.outcomes.push_back(outcome);
        }
    }
}

impl Outbox {
    /// Puts in an order; whether there was room.
    pub fn order(&self, order: Order) -> bool {
        let mut queues = lock(&self.queues);
        let has_room = queues.orders.len() < MOST;
        if has_room {
            queues.orders.push_back(order);
            self.more.notify_all();
        }
        has_room
    }

    /// Takes an order back; whether nobody had taken it.
    pub fn withdraw(&self, seq: u64) -> bool {
        let mut queues = lock(&self.queues);
        let before = queues.orders.len();
        queues.orders.retain(|order| order.seq != seq);
        queues.orders.len() < before
    }

    /// Makes a link that takes orders from now on; whoever took them before gets none any more.
    pub fn link(&self) -> u64 {
        let mut queues = lock(&self.queues);
        queues.link += 1;
        self.more.notify_all();
        queues.link
    }

    /// A link has ended, and what came of the orders that it has taken is not said any more.
    pub fn lose(&self, link: u64) {
        let mut queues = lock(&self.queues);
        if queues.link == link {
            queues.link += 1;
            self.more.notify_all();
        }
        let lost: Vec<u64> = queues.taken.iter().filter(|(_, taker)| **taker == link).map(|(seq, _)| *seq).collect();
        for seq in lost {
            let failure = Failure::unknown("the courier has gone before it said what came of it".to_owned());
            queues.ended(Outcome { seq, result: Err(failure) });
        }
    }

    /// Waits for the next order of a link; `Ok(None)` after so long without one.
    ///
    /// # Errors
    /// Another link has taken its place.
    pub fn next(&self, link: u64, patience: Duration) -> Result<Option<Order>, Replaced> {
        let queues = lock(&self.queues);
        let waits = |queues: &mut Queues| queues.link == link && queues.orders.is_empty();
        let mut queues =
            self.more.wait_timeout_while(queues, patience, waits).unwrap_or_else(PoisonError::into_inner).0;
        if queues.link != link {
            return Err(Replaced);
        }
        let order = queues.orders.pop_front();
        if let Some(order) = &order {
            queues.taken.insert(order.seq, link);
            // who decides has one under way for each action, and gives up one of which it hears nothing
            while queues.taken.len() > MOST {
                queues.taken.pop_first();
            }
        }
        Ok(order)
    }

    /// Says what came of an order.
    pub fn outcome(&self, outcome: Outcome) {
        lock(&self.queues).ended(outcome);
    }

    /// Takes out what came of orders.
    pub fn outcomes(&self) -> Vec<Outcome> {
        lock(&self.queues).outcomes.drain(..).collect()
    }
}

/// Another link takes the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced;

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seq: u64) -> Order {
        Order { seq, action: "mail".to_owned(), message: Message::default() }
    }

    #[test]
    fn what_was_given_up_is_taken_by_nobody() {
        let outbox = Outbox::default();
        let link = outbox.link();
        assert!(outbox.order(order(1)) && outbox.order(order(2)));
        assert!(outbox.withdraw(1) && !outbox.withdraw(1));
        assert_eq!(outbox.next(link, Duration::ZERO).unwrap().unwrap().seq, 2);
        assert!(!outbox.withdraw(2), "it was taken");
    }

    #[test]
    fn orders_come_in_order_and_only_to_the_last_link() {
        let outbox = Outbox::default();
        let first = outbox.link();
        assert!(outbox.order(order(1)) && outbox.order(order(2)));
        assert_eq!(outbox.next(first, Duration::ZERO).unwrap().unwrap().seq, 1);
        let second = outbox.link();
        assert_eq!(outbox.next(first, Duration::from_secs(20)), Err(Replaced));
        assert_eq!(outbox.next(second, Duration::ZERO).unwrap().unwrap().seq, 2);
        assert_eq!(outbox.next(second, Duration::ZERO), Ok(None));
    }

    #[test]
    fn neither_orders_nor_outcomes_pile_up() {
        let outbox = Outbox::default();
        let taken = (0..2 * MOST as u64).filter(|seq| outbox.order(order(*seq))).count();
        for seq in 0..2 * MOST as u64 {
            outbox.outcome(Outcome { seq, result: Ok(()) });
        }
        assert_eq!((taken, outbox.outcomes().len(), outbox.outcomes().len()), (MOST, MOST, 0));
    }

    #[test]
    fn what_a_link_took_with_it_is_known_to_be_unknown() {
        let outbox = Outbox::default();
        let first = outbox.link();
        for seq in 1..=3 {
            assert!(outbox.order(order(seq)));
        }
        for _ in 1..=2 {
            outbox.next(first, Duration::ZERO).unwrap().unwrap();
        }
        outbox.outcome(Outcome { seq: 1, result: Ok(()) });
        let second = outbox.link();
        outbox.lose(first);
        let outcomes: Vec<_> =
            outbox.outcomes().into_iter().map(|one| (one.seq, one.result.map_err(|failure| failure.fate))).collect();
        assert_eq!(outcomes, [(1, Ok(())), (2, Err(Fate::Unknown))]);
        // what nobody has taken yet is taken by the next one
        assert_eq!(outbox.next(second, Duration::ZERO).unwrap().unwrap().seq, 3);
        outbox.lose(first);
        assert!(outbox.outcomes().is_empty());
        outbox.lose(second);
        assert_eq!(outbox.outcomes().len(), 1);
        assert_eq!(outbox.next(second, Duration::from_secs(20)), Err(Replaced));
    }

    #[test]
    fn every_fate_is_handed_on_and_what_is_none_is_unknown() {
        for fate in [Fate::Unsent, Fate::Refused, Fate::Unknown] {
            assert_eq!(Fate::of(fate.number()), fate);
        }
        assert_eq!(Fate::of(9), Fate::Unknown);
    }
}
