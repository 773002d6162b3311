//! What waits to be taken out of the host, and what came of what was taken?
//!
//! A queue between who decides and the link to the process that goes out. It is bounded: who decides puts in no more than is
//! taken out, because it knows what is under way. An order whose outcome is never told was perhaps carried out: who decides
//! tries it again when that can page nobody twice.

use std::collections::VecDeque;
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

/// Why something was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// Operation, object and cause, without secrets.
    pub cause: String,
    /// Whether it may go better later.
    pub again: bool,
}

impl Failure {
    /// One that may go better later.
    pub fn again(cause: String) -> Self {
        Self { cause, again: true }
    }

    /// One that stays as long as nobody changes something.
    pub fn never(cause: String) -> Self {
        Self { cause, again: false }
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

    /// Makes a link that takes orders from now on; whoever took them before gets none any more.
    pub fn link(&self) -> u64 {
        let mut queues = lock(&self.queues);
        queues.link += 1;
        self.more.notify_all();
        queues.link
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
        if queues.link == link { Ok(queues.orders.pop_front()) } else { Err(Replaced) }
    }

    /// Says what came of an order.
    pub fn outcome(&self, outcome: Outcome) {
        let mut queues = lock(&self.queues);
        // a process that was taken over may say anything
        if queues.outcomes.len() < MOST {
            queues.outcomes.push_back(outcome);
        }
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
}
