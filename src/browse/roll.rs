//! Which hosts are watched, and what happens to them when the list changes?
//!
//! A list may change while its hosts are watched: a file was written, or a name now stands for other hosts. Whoever stays
//! keeps the connection and what is known.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, watch};
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

/// Least time between two hosts that come back, however many they are, so that a network that was away is not trampled down.
/// At first they come as fast as they can: somebody waits for them.
const AGAIN: Duration = Duration::from_millis(10);

/// Hosts that begin to tell something else at once: of many that did, most would seem not to answer in time.
const ASKING: usize = 64;

/// What is needed to watch a host.
pub(super) struct House {
    /// Where what they say is put.
    pub(super) shared: Arc<Shared>,
    /// What the client knows and has for any host.
    pub(super) access: Access,
    /// What those who connect must pass.
    pub(super) gate: Gate,
    /// What those who ask for something else must pass.
    pub(super) asking: Semaphore,
    /// The summaries that are asked for.
    pub(super) wanted: watch::Sender<Wanted>,
    /// The rows that are asked for.
    pub(super) asked: watch::Sender<AllAsked>,
    /// Counts when somebody may have done something about hosts that refuse.
    pub(super) nudge: watch::Sender<u64>,
    /// Where all of it runs.
    pub(super) runtime: tokio::runtime::Handle,
}

/// Lets some connect at once, and of those that come back one after the other.
pub(super) struct Gate {
    places: Semaphore,
    /// When the next one may come back.
    next: tokio::sync::Mutex<Instant>,
}

impl Gate {
    fn new() -> Self {
        Self { places: Semaphore::new(CONNECTING), next: tokio::sync::Mutex::new(Instant::now()) }
    }

    /// Waits for a place, which is kept until it is dropped. Whoever comes `again` waits for those before him, and only one of
    /// them for a place: neither a thread that is late nor places that become free let many of them through at once.
    pub(super) async fn enter(&self, again: bool) -> Result<SemaphorePermit<'_>, AcquireError> {
        if !again {
            return self.places.acquire().await;
        }
        let mut next = self.next.lock().await;
        tokio::time::sleep_until(*next).await;
        let place = self.places.acquire().await;
        *next = Instant::now() + AGAIN;
        place
    }
}

impl House {
    /// What hosts need that are watched with that.
    pub(super) fn new(shared: Arc<Shared>, access: Access, runtime: tokio::runtime::Handle) -> Arc<Self> {
        let wanted = watch::Sender::new(Arc::new(summary::wanted([].into_iter())));
        let (asked, nudge) = (watch::Sender::default(), watch::Sender::new(0));
        let (gate, asking) = (Gate::new(), Semaphore::new(ASKING));
        Arc::new(Self { shared, access, gate, asking, wanted, asked, nudge, runtime })
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
    fn hosts_come_back_one_after_the_other_however_late_they_all_are() {
        const LATE: u32 = 20;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let gate = Arc::new(Gate::new());
            let all = gate.places.acquire_many(CONNECTING as u32).await.unwrap();
            let back = |_| {
                let gate = Arc::clone(&gate);
                tokio::spawn(async move { drop(gate.enter(true).await) })
            };
            let tasks: Vec<_> = (0..LATE).map(back).collect();
            // neither a place nor the thread is free for so long that all of them could have come
            tokio::time::sleep(AGAIN * 2).await;
            std::thread::park_timeout(AGAIN * LATE * 2);
            drop(all);
            let begun = Instant::now();
            assert!(gate.enter(false).await.is_ok(), "who comes first does not wait for them");
            for task in tasks {
                task.await.unwrap();
            }
            assert!(begun.elapsed() >= AGAIN * (LATE - 1));
        });
    }
}
