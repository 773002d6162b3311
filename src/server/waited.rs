//! How does somebody who asks once get what nobody else wants?
//!
//! It is demanded for the length of the request, and a sample is waited for that was taken since.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::caller::Caller;
use super::sampled::Sampled;
use crate::model::{Demand, Mono, Sample, State, Status, Table, TableState, unit};

/// Requests that wait at once at most.
const MAX_WAITING: usize = 32;

/// Longest wait for a sample.
const WAIT: Duration = Duration::from_secs(2);

/// Those who wait.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Semaphore>);

/// Why there is no sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lack {
    /// Too much is asked for at once.
    Busy(String),
    /// The sampler says nothing of it, in words.
    Silent(String),
    /// Its collector has none.
    Status(Status),
}

impl Queue {
    /// Nobody waits.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_WAITING)))
    }

    /// A sample of a table with what is demanded of it.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn sampled(
        &self,
        sampled: &Arc<Sampled>,
        caller: Caller,
        table: &Table,
        demands: &[Demand],
    ) -> Result<(TableState, Sample), Lack> {
        if !table.attrs.demand && demands.iter().all(|demand| demand.columns.is_empty()) {
            return current(sampled, caller, table);
        }
        let busy = |_| Lack::Busy("too many requests wait for samples that nobody else wants".to_owned());
        let _permit = self.0.try_acquire().map_err(busy)?;
        let mut changes = sampled.changes();
        let wish = Wish { sampled, reader: sampled.reader() };
        let number = sampled.demand(wish.reader, demands).map_err(|why| Lack::Busy(why.to_string()))?;
        let arrival = async {
            sampled.taken(number).await;
            let begun = Mono::now();
            loop {
                let state = caller.latest(sampled).get(&table.name).cloned();
                match state {
                    Some(state) if state.status.state != State::Ok => return usable(state),
                    Some(state) if state.now.as_ref().is_some_and(|now| now.mono > begun) => return usable(state),
                    _ => {}
                }
                if changes.changed().await.is_err() {
                    return Err(Lack::Silent("the sampler is gone".to_owned()));
                }
            }
        };
        let late = |_| Lack::Silent(format!("{}: no sample within {}", table.name, unit::duration(WAIT)));
        tokio::time::timeout(WAIT, arrival).await.map_err(late)?
    }
}

/// Waits a moment until there are samples of what a reader wants: those of others may lack it.
pub(super) async fn settled(sampled: &Sampled, number: u64, wants: &[Demand]) {
    let is_own = |want: &&Demand| {
        !want.ids.is_empty() || !want.columns.is_empty() || !want.only.is_empty() || want.top.is_some()
    };
    let tables: Vec<&str> = wants.iter().filter(is_own).map(|want| want.table.as_str()).collect();
    if tables.is_empty() {
        return;
    }
    let mut changes = sampled.changes();
    let arrival = async {
        sampled.taken(number).await;
        let begun = Mono::now();
        loop {
            let latest = sampled.latest();
            let is_told = |table: &&str| {
                let state = latest.get(table);
                let is_new = |state: &TableState| state.now.as_ref().is_some_and(|now| now.mono > begun);
                state.is_some_and(|state| state.status.state != State::Ok || is_new(state))
            };
            if tables.iter().all(is_told) || changes.changed().await.is_err() {
                return;
            }
        }
    };
    // what takes longer comes when it comes
    let _ = tokio::time::timeout(WAIT, arrival).await;
}

/// The newest sample of a table that is collected anyway.
///
/// # Errors
/// There is none.
pub(super) fn current(sampled: &Sampled, caller: Caller, table: &Table) -> Result<(TableState, Sample), Lack> {
    let state = caller.latest(sampled).get(&table.name).cloned();
    state.ok_or_else(|| Lack::Status(Status::ok())).and_then(usable)
}

/// A state whose sample may be shown.
fn usable(state: TableState) -> Result<(TableState, Sample), Lack> {
    match state.now.clone() {
        Some(sample) if state.status.state == State::Ok => Ok((state, sample)),
        _ => Err(Lack::Status(state.status)),
    }
}

/// A reader's wish, for as long as this lives.
struct Wish<'a> {
    sampled: &'a Arc<Sampled>,
    reader: u64,
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        // to want nothing is never too much
        let _ = self.sampled.demand(self.reader, &[]);
    }
}
