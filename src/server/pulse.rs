//! Does a connection still lead anywhere?
//!
//! What is known of one while it is served, and when it has kept somebody waiting for too long: a head that does not end, an
//! answer that nobody takes, nothing at all. No limit is shorter than [`LOOK`], so that looking so often misses none.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::model::lock;

/// Longest wait for somebody to say who they are, and for the head of a request.
pub(super) const HEADERS: Duration = Duration::from_secs(10);

/// Longest wait for somebody to say who they are, while there is no room for everybody.
pub(super) const CROWDED: Duration = Duration::from_secs(5);

/// Longest wait for the kernel to take more of an answer.
const WRITE: Duration = Duration::from_secs(10);

/// Longest wait for the other end to take more of an answer that is there.
const STALLED: Duration = Duration::from_secs(30);

/// Longest pause between two requests.
pub(super) const IDLE: Duration = Duration::from_secs(150);

/// How often it is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// How a connection fares.
pub(super) struct Pulse(Mutex<State>);

struct State {
    since: Instant,
    /// Whether somebody has said who they are.
    known: bool,
    /// Requests that are being answered.
    open: usize,
    /// Bytes of answers that are there and not yet sent.
    held: u64,
    /// When the last answer was complete.
    idle: Instant,
    /// When the first byte of a request came whose head is not complete.
    begun: Option<Instant>,
    /// Since when the kernel takes nothing more.
    blocked: Option<Instant>,
    /// When a part of an answer was sent last.
    sent: Instant,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// It may be told so: it is between two requests.
    Idle,
    /// It keeps somebody waiting.
    Late,
}

impl Default for Pulse {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            since: now,
            known: false,
            open: 0,
            held: 0,
            idle: now,
            begun: None,
            blocked: None,
            sent: now,
        }))
    }
}

impl Pulse {
    /// Somebody has said who they are.
    pub(super) fn know(&self) {
        lock(&self.0).known = true;
    }

    /// The head of a request is complete.
    pub(super) fn asked(&self) {
        let mut state = lock(&self.0);
        (state.open, state.begun) = (state.open + 1, None);
    }

    /// An answer waits to be sent.
    pub(super) fn hold(&self, bytes: u64) {
        let mut state = lock(&self.0);
        if state.held == 0 {
            state.sent = Instant::now();
        }
        state.held += bytes;
    }

    /// Bytes of answers that wait.
    pub(super) fn held(&self) -> u64 {
        lock(&self.0).held
    }

    /// An answer is complete, or nobody wants it any more; so much of it was held.
    pub(super) fn answered(&self, held: u64) {
        let mut state = lock(&self.0);
        state.open = state.open.saturating_sub(1);
        state.held = state.held.saturating_sub(held);
        if state.open == 0 {
            state.idle = Instant::now();
        }
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        let mut state = lock(&self.0);
        if state.open == 0 && state.begun.is_none() {
            state.begun = Some(Instant::now());
        }
    }

    /// Bytes that are whole in themselves came: no head has begun.
    pub(super) fn heard_all(&self) {
        lock(&self.0).begun = None;
    }

    /// Part of an answer was taken.
    pub(super) fn sent(&self) {
        lock(&self.0).sent = Instant::now();
    }

    /// Whether the kernel takes bytes.
    pub(super) fn flows(&self, flows: bool) {
        let mut state = lock(&self.0);
        state.blocked = if flows { None } else { state.blocked.or_else(|| Some(Instant::now())) };
    }

    /// When it is over unless something happens; who has not said who they are has `patience`.
    ///
    /// # Errors
    /// It is over.
    pub(super) fn due(&self, now: Instant, patience: Duration) -> Result<Instant, Over> {
        let state = lock(&self.0);
        let limits = [
            (!state.known).then_some((state.since + patience, Over::Late)),
            state.begun.map(|begun| (begun + HEADERS, Over::Late)),
            state.blocked.map(|blocked| (blocked + WRITE, Over::Late)),
            (state.held > 0).then_some((state.sent + STALLED, Over::Late)),
            (state.open == 0).then_some((state.idle + IDLE, Over::Idle)),
        ];
        let mut due = now + LOOK;
        for (limit, over) in limits.into_iter().flatten() {
            if limit <= now {
                return Err(over);
            }
            due = due.min(limit);
        }
        Ok(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pulse: &Pulse, seconds: u64) -> Result<(), Over> {
        pulse.due(Instant::now() + Duration::from_secs(seconds), HEADERS).map(drop)
    }

    #[test]
    fn who_says_nothing_has_ten_seconds() {
        let pulse = Pulse::default();
        assert_eq!((after(&pulse, 9), after(&pulse, 11)), (Ok(()), Err(Over::Late)));
        let soon = Instant::now() + Duration::from_secs(6);
        assert_eq!(pulse.due(soon, CROWDED), Err(Over::Late));
        pulse.know();
        assert!(pulse.due(soon, CROWDED).is_ok());
        assert_eq!((after(&pulse, 149), after(&pulse, 151)), (Ok(()), Err(Over::Idle)));
    }

    #[test]
    fn a_head_that_does_not_end_is_waited_for_as_long() {
        let pulse = Pulse::default();
        pulse.know();
        pulse.heard();
        assert_eq!(after(&pulse, 11), Err(Over::Late));
        pulse.asked();
        assert_eq!(after(&pulse, 100_000), Ok(()), "an answer may take its time");
        pulse.heard();
        assert_eq!(after(&pulse, 11), Ok(()), "what comes meanwhile is no head that is waited for");
        pulse.answered(0);
        assert_eq!((after(&pulse, 11), after(&pulse, 151)), (Ok(()), Err(Over::Idle)));
    }

    #[test]
    fn an_answer_that_nobody_takes_is_not_kept() {
        let pulse = Pulse::default();
        pulse.know();
        pulse.asked();
        pulse.hold(5);
        assert_eq!((after(&pulse, 29), after(&pulse, 31)), (Ok(()), Err(Over::Late)));
        pulse.answered(5);
        pulse.asked();
        assert_eq!(after(&pulse, 31), Ok(()));
        pulse.flows(false);
        assert_eq!((after(&pulse, 9), after(&pulse, 11)), (Ok(()), Err(Over::Late)));
        pulse.flows(true);
        assert_eq!(after(&pulse, 11), Ok(()));
    }

    #[test]
    fn it_is_looked_at_often_enough() {
        let (pulse, now) = (Pulse::default(), Instant::now());
        assert!(pulse.due(now, HEADERS).is_ok_and(|due| due <= now + LOOK));
        assert!([HEADERS, CROWDED, WRITE, STALLED, IDLE].iter().all(|limit| *limit >= LOOK));
    }
}
