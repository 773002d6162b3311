//! Which hosts are watched, and what happens to them when the list changes?
//!
//! A list may change while its hosts are watched: a file was written, or a name now stands for other hosts. Whoever stays
//! keeps the connection and what is known.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::fleet::Shared;
use super::keep::{Seat, Wanted};
use super::list::{self, Entry, Roster};
use super::rows::AllAsked;
use super::source::Source;
use super::summary;
use crate::client::{Access, Line};
use crate::model::{Text, lock};

/// Connections that are being made at once.
const CONNECTING: usize = 256;

/// Least time between two attempts to come back, so that a network that was away is not trampled down.
const AGAIN: Duration = Duration::from_millis(10);

/// What is needed to watch a host.
pub(super) struct House {
    /// Where what they say is put.
    pub(super) shared: Arc<Shared>,
    /// What the client knows and has for any host.
    pub(super) access: Access,
    /// How many may connect at once.
    pub(super) gate: Semaphore,
    /// When the next one may try to come back.
    pub(super) pace: Pace,
    /// The summaries that are asked for.
    pub(super) wanted: watch::Sender<Wanted>,
    /// The rows that are asked for.
    pub(super) asked: watch::Sender<AllAsked>,
    /// Counts when somebody may have done something about hosts that refuse.
    pub(super) nudge: watch::Sender<u64>,
    /// Where all of it runs.
    pub(super) runtime: tokio::runtime::Handle,
}

/// Lets things happen one after the other.
#[derive(Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Waits for one's turn.
    pub(super) async fn turn(&self) {
        let turn = {
            let mut next = lock(&self.0);
            let turn = next.unwrap_or_else(Instant::now).max(Instant::now());
            *next = Some(turn + AGAIN);
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

impl House {
    /// What hosts need that are watched with that.
    pub(super) fn new(shared: Arc<Shared>, access: Access, runtime: tokio::runtime::Handle) -> Arc<Self> {
        let wanted = watch::Sender::new(Arc::new(summary::wanted([].into_iter())));
        let (gate, asked, nudge) = (Semaphore::new(CONNECTING), watch::Sender::default(), watch::Sender::new(0));
        Arc::new(Self { shared, access, gate, pace: Pace::default(), wanted, asked, nudge, runtime })
    }
}

/// One host of the list.
struct Member {
    id: u64,
    entry: Entry,
    line: Line,
    task: Option<AbortHandle>,
}

impl Member {
    /// Whether nothing changes for the connection when this becomes that. The name is part of what hosts are asked.
    fn stays(&self, entry: &Entry) -> bool {
        let own = &self.entry;
        (&own.name, &own.target, &own.speak, own.interval, &own.flaw)
            == (&entry.name, &entry.target, &entry.speak, entry.interval, &entry.flaw)
    }
}

/// All hosts of the list.
pub(super) struct Roll {
    house: Arc<House>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    members: Vec<Member>,
    next: u64,
    /// Hosts by where they come from, in the order of the list.
    parts: BTreeMap<usize, Vec<Entry>>,
    /// Who is asked for hosts, and with which tasks.
    sources: Vec<Source>,
    asking: Vec<AbortHandle>,
    /// Places that were given away.
    given: usize,
}

impl Roll {
    /// Nobody yet.
    pub(super) fn new(house: Arc<House>) -> Arc<Self> {
        Arc::new(Self { house, state: Mutex::default() })
    }

    /// What they are watched with.
    pub(super) fn house(&self) -> &House {
        &self.house
    }

    /// Follows a list: its hosts come first, then those that others know. Who is asked already is not asked anew.
    pub(super) fn follow(self: &Arc<Self>, roster: Roster) {
        let mut state = lock(&self.state);
        if state.sources != roster.sources {
            state.asking.drain(..).for_each(|task| task.abort());
            state.parts.clear();
            for source in &roster.sources {
                state.given += 1;
                let task = self.house.runtime.spawn(source.clone().follow(state.given, Arc::clone(self)));
                state.asking.push(task.abort_handle());
            }
            state.sources = roster.sources;
        }
        drop(state);
        self.tell(0, roster.hosts);
    }

    /// Says which hosts come from one place, and what must be watched then; a place with nobody is forgotten.
    pub(super) fn tell(&self, place: usize, hosts: Vec<Entry>) {
        let mut state = lock(&self.state);
        // somebody who was asked before may still be about to tell
        let asked = state.given.saturating_sub(state.asking.len());
        if place > 0 && place <= asked {
            return;
        }
        if hosts.is_empty() {
            state.parts.remove(&place);
        } else {
            state.parts.insert(place, hosts);
        }
        let all = state.parts.values().flatten().cloned().collect();
        self.arrange(&mut state, list::unique(all));
    }

    /// Says who is on the list from now on.
    fn arrange(&self, state: &mut State, entries: Vec<Entry>) {
        let mut before: HashMap<Text, Vec<Member>> = HashMap::new();
        for member in state.members.drain(..) {
            before.entry(member.entry.address.clone()).or_default().push(member);
        }
        let mut seats = Vec::new();
        for entry in entries {
            let known = before.get_mut(&entry.address);
            let found = known.and_then(|known| {
                let at = known.iter().position(|member| member.stays(&entry))?;
                Some(known.swap_remove(at))
            });
            if let Some(member) = found {
                state.members.push(Member { entry, ..member });
                continue;
            }
            let id = state.next;
            state.next += 1;
            let (line, ours) = watch::channel(None);
            if let Some(target) = entry.target.clone().filter(|_| entry.flaw.is_none()) {
                let (entry, house) = (entry.clone(), Arc::clone(&self.house));
                let (wanted, nudge, asked) =
                    (house.wanted.subscribe(), house.nudge.subscribe(), house.asked.subscribe());
                seats.push((state.members.len(), Seat { id, entry, target, house, wanted, nudge, asked, line }));
            }
            state.members.push(Member { id, entry, line: ours, task: None });
        }
        for gone in before.into_values().flatten().filter_map(|member| member.task) {
            gone.abort();
        }
        self.house.shared.arrange(state.members.iter().map(|member| (member.id, &member.entry)));
        for (at, seat) in seats {
            let task = self.house.runtime.spawn(seat.keep()).abort_handle();
            if let Some(member) = state.members.get_mut(at) {
                member.task = Some(task);
            }
        }
    }

    /// The connections to a host.
    pub(super) fn line(&self, name: &str) -> Option<Line> {
        let state = lock(&self.state);
        let member = state.members.iter().find(|member| member.entry.name.as_str() == name)?;
        Some(member.line.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_back_waits_for_the_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (pace, begun) = (Pace::default(), Instant::now());
            for _ in 0..20 {
                pace.turn().await;
            }
            assert!(begun.elapsed() >= AGAIN * 19);
        });
    }
}
