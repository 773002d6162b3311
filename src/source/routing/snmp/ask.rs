//! Who asks the routers, and where is what they said?
//!
//! Each router has a thread of its own and one question at a time in flight, so that one which does not answer costs the
//! others nothing. What was heard last of each hangs on a [`Board`] until the collector comes by.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::ber::Binding;
use super::client::Client;
use super::mib;
use super::secret::{Secret, Secrets};
use super::settings::{Endpoint, MOST, Router};
use crate::model::{Timestamp, lock};
use crate::source::Error;

/// What was heard of a router.
#[derive(Debug)]
pub struct Report {
    /// Name of the router.
    pub name: String,
    /// Where it was asked.
    pub address: Endpoint,
    /// When.
    pub at: Timestamp,
    /// What it has told, or why it has not.
    pub heard: Result<Vec<Binding>, Error>,
    /// When it came here.
    came: Instant,
}

impl Report {
    /// One of now.
    pub fn new(name: String, address: Endpoint, at: Timestamp, heard: Result<Vec<Binding>, Error>) -> Self {
        Self { name, address, at, heard, came: Instant::now() }
    }

    /// Whether it is of this router: the same name may have been another one's.
    fn is_of(&self, router: &Router) -> bool {
        self.name == router.name && self.address == router.address
    }

    /// How old it is.
    pub fn age(&self) -> Duration {
        self.came.elapsed()
    }
}

/// What was heard last of each router.
#[derive(Debug, Default)]
pub struct Board {
    reports: Mutex<BTreeMap<String, Arc<Report>>>,
    more: Condvar,
}

impl Board {
    /// Takes a report, unless it is of somebody who makes one too many.
    pub fn post(&self, report: Report) {
        let mut reports = lock(&self.reports);
        if reports.len() < MOST || reports.contains_key(&report.name) {
            reports.insert(report.name.clone(), Arc::new(report));
        }
        self.more.notify_all();
    }

    /// What was heard last of a router.
    pub fn of(&self, router: &Router) -> Option<Arc<Report>> {
        lock(&self.reports).get(&router.name).filter(|report| report.is_of(router)).cloned()
    }

    /// Forgets all but those of some.
    pub fn keep(&self, routers: &[Router]) {
        lock(&self.reports).retain(|_, report| routers.iter().any(|router| report.is_of(router)));
    }

    /// Waits until there is something of all of these, for so long at most.
    pub fn wait(&self, routers: &[Router], most: Duration) {
        let lacks = |reports: &mut BTreeMap<String, Arc<Report>>| {
            let is_known = |router: &Router| reports.get(&router.name).is_some_and(|report| report.is_of(router));
            !routers.iter().all(is_known)
        };
        drop(self.more.wait_timeout_while(lock(&self.reports), most, lacks).unwrap_or_else(PoisonError::into_inner));
    }
}

/// What becomes of a report; `false` when nobody takes any more.
pub type Take = Arc<dyn Fn(Report) -> bool + Send + Sync>;

/// A thread that asks a router.
#[derive(Debug)]
struct Asker {
    router: Router,
    /// The secrets that it was given.
    given: Vec<Option<Secret>>,
    bell: Arc<Bell>,
    thread: JoinHandle<()>,
}

/// The threads that ask.
#[derive(Debug, Default)]
pub struct Askers {
    running: Vec<Asker>,
    /// Those that are to end, by whom they ask.
    leaving: Vec<(Endpoint, JoinHandle<()>)>,
}

impl Askers {
    /// Asks these routers from now on, and no others. Those that are asked as before go on; one that is asked in another way is
    /// asked when the thread before has ended.
    ///
    /// # Errors
    /// There is no thread for one of them; the others are asked.
    pub fn follow(&mut self, routers: &[Router], secrets: &Secrets, take: &Take) -> std::io::Result<()> {
        let stays = |asker: &mut Asker| routers.contains(&asker.router) && secrets.given(&asker.router) == asker.given;
        for asker in self.running.extract_if(.., |asker| !stays(asker)) {
            asker.bell.ring();
            self.leaving.push((asker.router.address, asker.thread));
        }
        self.leaving.retain(|(_, thread)| !thread.is_finished());
        let mut started = Ok(());
        for router in routers.iter().take(MOST) {
            if !self.running.iter().any(|known| known.router == *router)
                && let Err(cause) = self.start(router, secrets, take)
            {
                started = Err(cause);
            }
        }
        started
    }

    fn start(&mut self, router: &Router, secrets: &Secrets, take: &Take) -> std::io::Result<()> {
        let before: Vec<_> = self.leaving.extract_if(.., |(asked, _)| *asked == router.address).collect();
        let (bell, asked, given) = (Arc::<Bell>::default(), router.clone(), secrets.given(router));
        let (secrets, take, end) = (secrets.clone(), Arc::clone(take), Arc::clone(&bell));
        let thread = std::thread::Builder::new().name("snmp".to_owned()).spawn(move || {
            for (_, thread) in before {
                // one that panicked has ended, too
                let _ = thread.join();
            }
            run(&asked, &secrets, &take, &end);
        })?;
        self.running.push(Asker { router: router.clone(), given, bell, thread });
        Ok(())
    }

    /// Whether somebody is asked.
    pub fn is_asking(&self) -> bool {
        !self.running.is_empty()
    }
}

impl Drop for Askers {
    fn drop(&mut self) {
        for asker in &self.running {
            asker.bell.ring();
        }
    }
}

/// Asks a router again and again.
fn run(router: &Router, secrets: &Secrets, take: &Take, end: &Arc<Bell>) {
    let mut client = None;
    while !end.is_rung() {
        let begin = Instant::now();
        let heard = ask(router, secrets, &mut client, end);
        if heard.is_err() {
            // with the next one the secrets are read again, and what is known of the other end is forgotten
            client = None;
        }
        let report = Report::new(router.name.clone(), router.address, Timestamp::now(), heard);
        if end.is_rung() || !take(report) {
            return;
        }
        if end.within(router.interval.0.saturating_sub(begin.elapsed())) {
            return;
        }
    }
}

fn ask(
    router: &Router,
    secrets: &Secrets,
    client: &mut Option<Client>,
    end: &Arc<Bell>,
) -> Result<Vec<Binding>, Error> {
    let client = match client {
        Some(client) => client,
        none => none.insert(Client::open(router, secrets, Arc::clone(end))?),
    };
    client.begin();
    mib::ask(client, router.database)
}

#[cfg(test)]
mod tests;
