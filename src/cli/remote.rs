//! How does a command ask an agent instead of this host?
//!
//! [`Remote`] is the connection of one command. It waits for samples, and never longer than [`PATIENCE`]: an agent that
//! does not answer, or stops doing so, ends the command with exit code 3.

use std::cell::Cell;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::probe::{Found, Missed};
use super::{Failure, access, args};
use crate::client::{RemoteHost, Target};
use crate::model::{
    Connection, Demand, HistoryAsk, Host as _, Mono, Series, Snapshot, State, Status, Table, Text, lock,
};

/// Longest wait for a sample: slow collectors of an agent run every ten seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// Number of the only reader.
const READER: u64 = 1;

/// An agent that a command asks.
pub(super) struct Remote {
    host: Arc<RemoteHost>,
    target: String,
    changes: Receiver<()>,
    /// Samples up to here are known already.
    seen: Cell<Option<Mono>>,
}

impl Remote {
    /// Connects as the arguments say.
    ///
    /// # Errors
    /// The peer cannot be reached, trusted or understood.
    pub(super) fn connect(target: &Target, args: &args::Speak) -> Result<Self, Failure> {
        let (sender, changes) = mpsc::sync_channel(1);
        let told = || -> crate::client::OnChange {
            let sender = Mutex::new(sender.clone());
            Box::new(move || {
                // one that waits already knows enough
                let _ = lock(&sender).try_send(());
            })
        };
        let host = access::connect(target, &access::access(args)?, told)?;
        Ok(Self { host, target: target.to_string(), changes, seen: Cell::new(None) })
    }

    /// Tables that the agent has.
    pub(super) fn tables(&self) -> &'static [&'static Table] {
        self.host.schema()
    }

    /// Demands what is not collected anyway; only samples that are taken from now on count then.
    ///
    /// # Errors
    /// The agent says nothing.
    pub(super) fn demand(&self, table: &Table, demands: Vec<Demand>) -> Result<(), Failure> {
        if table.attrs.demand || demands.iter().any(|demand| !demand.columns.is_empty()) {
            let newest = |snapshot: &Snapshot| {
                let times = snapshot.tables.values().filter_map(|state| Some(state.now.as_ref()?.mono));
                times.max().map(Ok)
            };
            self.seen.set(Some(self.wait(newest).map_err(|missed| missed.failure(table))?));
        }
        self.host.demand(READER, demands);
        Ok(())
    }

    /// A sample of a table that was not given before.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn take(&self, table: &Table) -> Result<Found, Missed> {
        let seen = self.seen.get();
        let (now, status) = self.wait(|snapshot| {
            let state = snapshot.get(&table.name)?;
            match &state.now {
                _ if state.status.state != State::Ok => Some(Err(state.status.clone())),
                Some(now) if seen.is_none_or(|seen| now.mono > seen) => Some(Ok((now.clone(), state.status.clone()))),
                _ => None,
            }
        })?;
        self.seen.set(Some(now.mono));
        let part = (!status.reason.is_empty()).then_some((status.reason, status.hint));
        Ok((now, part))
    }

    /// Everything that the agent knows, once it has told of a table.
    ///
    /// # Errors
    /// Why there is nothing.
    pub(super) fn snapshot(&self, table: &Table) -> Result<Arc<Snapshot>, Missed> {
        self.take(table)?;
        Ok(self.host.latest())
    }

    /// What is remembered of a cell; `None` of one of which nothing is.
    ///
    /// # Errors
    /// The agent says nothing.
    pub(super) fn past(&self, ask: HistoryAsk) -> Result<Option<Series>, Failure> {
        let lost = || peer(&format!("{}: it does not tell the past", self.target));
        self.host.past(ask).ok_or_else(lost)
    }

    /// Waits for what a snapshot must show.
    fn wait<T>(&self, found: impl Fn(&Snapshot) -> Option<Result<T, Status>>) -> Result<T, Missed> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Connection::Lost { reason, .. } = self.host.connection() {
                return Err(Missed::Peer(peer(&format!("{}: {reason}", self.target))));
            }
            if let Some(found) = found(&self.host.latest()) {
                return found.map_err(Missed::Source);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let reason = format!("no sample within {}", crate::model::unit::duration(PATIENCE));
                let status = Status { state: State::Stale, reason: Text::from(reason), hint: Text::default() };
                return Err(Missed::Source(status));
            }
            // the time is looked at above
            let _ = self.changes.recv_timeout(left);
        }
    }
}

/// A failure of the peer.
fn peer(message: &str) -> Failure {
    Failure::Exit { code: 3, message: message.to_owned(), hint: "does `netglance serve` run there?".to_owned() }
}
