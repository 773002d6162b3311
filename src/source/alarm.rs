//! What stands between those who watch a host and who evaluates its alerts?
//!
//! A board: whoever evaluates puts up rows, which a collector takes into its sample like those of any other table, and takes
//! what people have said of alerts. Nothing is evaluated here.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::{Mute, Rows, Text, lock};

/// What people have said that waits to be heeded at most.
const MOST: usize = 256;

/// Rows that are put up, and what was said of them.
#[derive(Default)]
pub struct Board {
    up: Mutex<Option<Up>>,
    rules: Mutex<HashSet<Text>>,
    said: Mutex<VecDeque<Said>>,
    rings: Mutex<bool>,
    bell: Condvar,
}

/// Rows of all tables of alerts, in the order of the collector.
#[derive(Clone)]
pub struct Up {
    /// One for each alert.
    pub alerts: Arc<dyn Rows>,
    /// One for each change, the oldest first.
    pub events: Arc<dyn Rows>,
    /// One for each way of telling people.
    pub actions: Arc<dyn Rows>,
}

/// What somebody has said of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Who.
    pub user: Text,
    /// What.
    pub mute: Mute,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    /// Puts up other rows.
    pub fn put(&self, up: Up) {
        *lock(&self.up) = Some(up);
    }

    /// What is up; `None` while nobody evaluates.
    pub fn up(&self) -> Option<Up> {
        lock(&self.up).clone()
    }

    /// Whether somebody evaluates.
    pub fn is_up(&self) -> bool {
        lock(&self.up).is_some()
    }

    /// Names of the rules that are evaluated from now on.
    pub fn watch(&self, rules: HashSet<Text>) {
        *lock(&self.rules) = rules;
    }

    /// Whether a rule is evaluated.
    pub fn watches(&self, rule: &Text) -> bool {
        lock(&self.rules).contains(rule)
    }

    /// Says something of an alert; whether there was room.
    pub fn say(&self, said: Said) -> bool {
        let mut waiting = lock(&self.said);
        let has_room = waiting.len() < MOST;
        if has_room {
            waiting.push_back(said);
            drop(waiting);
            self.ring();
        }
        has_room
    }

    /// Takes what was said.
    pub fn said(&self) -> Vec<Said> {
        lock(&self.said).drain(..).collect()
    }

    /// Wakes who evaluates.
    pub fn ring(&self) {
        *lock(&self.rings) = true;
        self.bell.notify_all();
    }

    /// Waits until somebody rings, though at least so long, or else until patience is over.
    pub fn wait(&self, least: Duration, patience: Duration) {
        let begin = Instant::now();
        let mut rings = lock(&self.rings);
        loop {
            let whole = if *rings { least } else { patience.max(least) };
            let left = whole.saturating_sub(begin.elapsed());
            if left.is_zero() {
                *rings = false;
                return;
            }
            rings = self.bell.wait_timeout(rings, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_wakes_who_evaluates_and_is_bounded() {
        let board = Board::default();
        let said = Said {
            user: "me".into(),
            mute: Mute { rule: "cpu".into(), instance: Text::default(), until: None, comment: None, lift: false },
        };
        let taken = (0..2 * MOST).filter(|_| board.say(said.clone())).count();
        let begin = Instant::now();
        let least = Duration::from_millis(50);
        board.wait(least, Duration::from_secs(20));
        assert!((least..Duration::from_secs(10)).contains(&begin.elapsed()));
        // that it rang is over
        let begin = Instant::now();
        board.wait(Duration::ZERO, least);
        assert!(begin.elapsed() >= least);
        assert_eq!((taken, board.said().len(), board.said().len()), (MOST, MOST, 0));
        board.wait(Duration::ZERO, Duration::from_millis(1));
        assert!(!board.is_up());
    }
}
