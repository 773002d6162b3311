//! Which sessions are there, since when is each in its state, and which have gone?

use std::hash::Hash;
use std::path::PathBuf;
use std::time::Duration;

use super::begun::Begun;
use super::gone::{Leaver, Leavers, Placed};
use crate::model::Timestamp;
use crate::source::routing::daemon::Daemon;
use crate::source::routing::told::Told;

/// A row of a session, which has a state.
pub(super) trait Session: Leaver<Key: Hash> {
    /// Its states.
    type State: Copy + PartialEq;

    /// All of which a daemon has told, and of which of them only the day is known on which their state began.
    fn told(daemon: &Daemon, told: &Told) -> Vec<(Self, bool)>;

    /// In which it is.
    fn state(&self) -> Option<Self::State>;

    /// Since when that is so.
    fn since(&mut self) -> &mut Option<Timestamp>;
}

/// All sessions of a table, with when the states of each began.
pub(super) struct Sessions<R: Session> {
    begun: Begun<(PathBuf, R::Key), R::State>,
    leavers: Leavers<R>,
}

impl<R: Session> Default for Sessions<R> {
    fn default() -> Self {
        Self { begun: Begun::default(), leavers: Leavers::default() }
    }
}

impl<R: Session> Sessions<R> {
    /// Of all daemons.
    pub(super) fn rows(&mut self, daemons: &[Daemon], keep: Duration) -> Placed<R> {
        let begun = &mut self.begun;
        begun.look();
        self.leavers.rows(daemons, keep, |daemon, told| {
            let mut rows = R::told(daemon, told);
            for (row, is_dated) in &mut rows {
                let (key, state, since) = ((daemon.socket.clone(), row.key()), row.state(), *row.since());
                *row.since() = begun.since(key, state, (since, *is_dated), told.at);
            }
            rows.into_iter().map(|(row, _)| row).collect()
        })
    }
}
