//! Who asks the routers, and where is what they said?
//!
//! Each router has a thread of its own and one question at a time in flight, so that one which does not answer costs the
//! others nothing. What was heard last of each hangs on a [`Board`] until the collector comes by.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ber::Binding;
use super::client::Client;
use super::mib;
use super::secret::Secrets;
use super::settings::{MOST, Router};
use crate::model::{Timestamp, lock};
use crate::source::Error;

/// What was heard of a router.
#[derive(Debug)]
pub struct Report {
    /// Name of the router.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// What it has told, or why it has not.
    pub heard: Result<Vec<Binding>, Error>,
    /// When it came here.
    came: Instant,
}

impl Report {
    /// One of now.
    pub fn new(name: String, at: Timestamp, heard: Result<Vec<Binding>, Error>) -> Self {
        Self { name, at, heard, came: Instant::now() }
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
    pub fn of(&self, name: &str) -> Option<Arc<Report>> {
        lock(&self.reports).get(name).cloned()
    }

    /// Forgets all but some.
    pub fn keep(&self, names: &[&str]) {
        lock(&self.reports).retain(|name, _| names.contains(&name.as_str()));
    }

    /// Waits until there is something of all of these, for so long at most.
    pub fn wait(&self, names: &[&str], most: Duration) {
        let lacks = |reports: &mut BTreeMap<String, Arc<Report>>| names.iter().any(|name| !reports.contains_key(*name));
        drop(self.more.wait_timeout_while(lock(&self.reports), most, lacks).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ends a thread.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    fn ring(&self) {
        *lock(&self.rung) = true;
        self.heard.notify_all();
    }

    /// Waits for so long; whether it was rung.
    fn within(&self, span: Duration) -> bool {
        let waited = self.heard.wait_timeout_while(lock(&self.rung), span, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What becomes of a report; `false` when nobody takes any more.
pub type Take = Arc<dyn Fn(Report) -> bool + Send + Sync>;

/// The threads that ask.
#[derive(Debug, Default)]
pub struct Askers {
    running: Vec<(Router, Arc<Bell>)>,
}

impl Askers {
    /// Asks these routers from now on, and no others. Those that are asked as before go on.
    ///
    /// # Errors
    /// There is no thread for one of them; the others are asked.
    pub fn follow(&mut self, routers: &[Router], secrets: &Secrets, take: &Take) -> std::io::Result<()> {
        self.running.retain(|(router, bell)| {
            let stays = routers.contains(router);
            if !stays {
                bell.ring();
            }
            stays
        });
        for router in routers.iter().take(MOST) {
            if self.running.iter().any(|(known, _)| known == router) {
                continue;
            }
            let (bell, secrets, take) = (Arc::<Bell>::default(), secrets.clone(), Arc::clone(take));
            let (asked, end) = (router.clone(), Arc::clone(&bell));
            std::thread::Builder::new().name("snmp".to_owned()).spawn(move || run(&asked, &secrets, &take, &end))?;
            self.running.push((router.clone(), bell));
        }
        Ok(())
    }

    /// Asks nobody any more.
    pub fn end(&mut self) {
        for (_, bell) in self.running.drain(..) {
            bell.ring();
        }
    }

    /// Whether somebody is asked.
    pub fn is_asking(&self) -> bool {
        !self.running.is_empty()
    }
}

impl Drop for Askers {
    fn drop(&mut self) {
        self.end();
    }
}

/// Asks a router again and again.
fn run(router: &Router, secrets: &Secrets, take: &Take, end: &Bell) {
    let mut client = None;
    loop {
        let begin = Instant::now();
        let heard = ask(router, secrets, &mut client);
        if heard.is_err() {
            // with the next one the secrets are read again, and what is known of the other end is forgotten
            client = None;
        }
        if end.within(Duration::ZERO) || !take(Report::new(router.name.clone(), Timestamp::now(), heard)) {
            return;
        }
        if end.within(router.interval.0.saturating_sub(begin.elapsed())) {
            return;
        }
    }
}

fn ask(router: &Router, secrets: &Secrets, client: &mut Option<Client>) -> Result<Vec<Binding>, Error> {
    let client = match client {
        Some(client) => client,
        none => none.insert(Client::open(router, secrets)?),
    };
    client.begin();
    mib::ask(client)
}
