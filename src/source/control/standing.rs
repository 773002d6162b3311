//! How is it with a daemon that was asked?

use std::io::ErrorKind;

use super::trust::TRUST;
use crate::label;
use crate::model::Timestamp;
use crate::source::Error;

label! {
    /// How it is with a daemon.
    pub enum Standing {
        /// Nobody has asked it yet, or it has had no time to answer.
        Unknown = "unknown",
        /// It answers.
        Up = "up",
        /// It did not answer in time, and not the time before.
        Silent = "silent" => Critical,
        /// Nobody listens.
        Down = "down" => Critical,
        /// This user may not ask it.
        Denied = "denied" => Warning,
        /// The socket is not that of a daemon.
        Untrusted = "untrusted" => Critical,
        /// It answers something else than it was asked.
        Failed = "failed" => Critical,
    }
}

impl Standing {
    /// What an error says of a daemon.
    pub fn of(error: &Error) -> Self {
        match error.cause.kind() {
            _ if error.op == TRUST => Self::Untrusted,
            ErrorKind::TimedOut => Self::Silent,
            ErrorKind::PermissionDenied => Self::Denied,
            // a file that is needed to ask it says nothing of it
            ErrorKind::NotFound if error.op == "read" => Self::Failed,
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Self::Down,
            // it has ended meanwhile
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Down,
            _ => Self::Failed,
        }
    }
}

/// How it is with who is asked, and since when.
#[derive(Debug)]
pub struct State {
    /// How it is.
    pub standing: Standing,
    /// Since when.
    pub since: Timestamp,
    /// Why it is not up.
    pub fault: Option<Error>,
}

impl State {
    /// One who was never asked.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { standing: Standing::Unknown, since: now, fault: None }
    }

    /// Notes why nothing is known yet of one who was never asked.
    pub fn put_off(&mut self, why: Error) {
        if self.standing == Standing::Unknown {
            self.fault = Some(why);
        }
    }

    /// Notes how it is, and since when; another reason for the same is no change. Who has answered so far and is late once, as on
    /// a host that is busy, is not silent yet.
    pub fn settle(&mut self, fault: Option<Error>, now: Timestamp) {
        let standing = fault.as_ref().map_or(Standing::Up, Standing::of);
        let is_late = standing == Standing::Silent && self.is_up();
        if standing != self.standing && !is_late {
            (self.standing, self.since) = (standing, now);
        }
        self.fault = fault;
    }

    /// Whether it has answered the last time.
    pub fn is_up(&self) -> bool {
        self.standing == Standing::Up && self.fault.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_lasts_while_the_standing_is_the_same() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000_000);
        let fault = |kind: ErrorKind, why: &str| Some(Error::new("ask", "x", std::io::Error::new(kind, why)));
        let mut state = State::new(at(1));
        let mut is = |fault: Option<Error>, now: i64| {
            state.settle(fault, at(now));
            (state.standing, state.since, state.fault.as_ref().map(|fault| fault.cause.to_string()), state.is_up())
        };
        let why = |words: &str| Some(words.to_owned());
        assert_eq!(is(fault(ErrorKind::NotFound, "a"), 2), (Standing::Down, at(2), why("a"), false));
        assert_eq!(is(None, 3), (Standing::Up, at(3), None, true));
        assert_eq!(is(None, 4), (Standing::Up, at(3), None, true));
        assert_eq!(is(fault(ErrorKind::TimedOut, "b"), 5), (Standing::Up, at(3), why("b"), false), "late once");
        assert_eq!(is(fault(ErrorKind::TimedOut, "c"), 6), (Standing::Silent, at(6), why("c"), false));
        assert_eq!(is(fault(ErrorKind::TimedOut, "d"), 7), (Standing::Silent, at(6), why("d"), false));
        assert_eq!(is(fault(ErrorKind::InvalidData, "e"), 8), (Standing::Failed, at(8), why("e"), false));
        assert_eq!(is(None, 9), (Standing::Up, at(9), None, true));
        assert_eq!(is(fault(ErrorKind::ConnectionRefused, "f"), 10), (Standing::Down, at(10), why("f"), false));
    }

    #[test]
    fn one_that_was_put_off_is_neither_up_nor_down() {
        let late = || Error::new("ask", "x", std::io::Error::from(ErrorKind::TimedOut));
        let mut state = State::new(Timestamp(1));
        state.put_off(late());
        assert_eq!((state.standing, state.is_up(), state.fault.is_some()), (Standing::Unknown, false, true));
        state.settle(None, Timestamp(2));
        state.put_off(late());
        assert_eq!((state.standing, state.since, state.is_up()), (Standing::Up, Timestamp(2), true));
    }

    #[test]
    fn a_secret_that_is_missing_does_not_mean_that_nobody_listens() {
        let of = |op: &'static str| Standing::of(&Error::new(op, "/x", std::io::Error::from(ErrorKind::NotFound)));
        assert_eq!((of("connect to"), of("look at"), of("read")), (Standing::Down, Standing::Down, Standing::Failed));
    }
}
