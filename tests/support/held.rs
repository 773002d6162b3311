//! How many sockets does a dashboard hold while somebody looks at something, and afterwards?

use std::time::{Duration, Instant};

use super::process::sockets;
use super::pty::{PATIENT, Session};

fn count(session: &Session) -> usize {
    sockets(session.pid().as_raw_nonzero().get().unsigned_abs()).len()
}

/// How many there are once what is always read has opened its own.
pub(crate) fn settled(session: &mut Session) -> usize {
    let mut before = count(session);
    loop {
        session.pump_for(Duration::from_secs(3));
        let now = count(session);
        if std::mem::replace(&mut before, now) == now {
            return now;
        }
    }
}

/// Waits until there are more than so many, or not.
pub(crate) fn wait(session: &mut Session, what: &str, most: usize, more: bool) {
    let end = Instant::now() + 2 * PATIENT;
    while (count(session) > most) != more {
        session.pump(Duration::from_millis(50));
        assert!(Instant::now() < end, "{what}: {} of {most}", count(session));
    }
}
