//! Who asks those that have no control socket here, and where is what they said?
//!
//! Each has a thread of its own and one question at a time in flight, so that one which does not answer costs the others
//! nothing. What was heard last of each hangs on a [`Board`] until the collector comes by.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::secret::{Secret, Secrets};
use super::snmp::settings::Router;
use super::snmp::{self, Binding};
use super::vty::settings::Vty;
use super::vty::{self, Answers, Peers};
use crate::model::{Timestamp, lock};
use crate::source::Error;

/// Most that are asked.
pub const MOST: usize = 64;

/// What an error says that was attempted.
pub const ASK: &str = "ask";

/// Somebody who is asked by a thread.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A router that is asked over SNMP.
    Router(Router),
    /// A daemon whose terminal is asked.
    Vty(Vty),
}

impl Asked {
    /// What it is called here.
    pub fn name(&self) -> &str {
        match self {
            Self::Router(router) => &router.name,
            Self::Vty(vty) => &vty.name,
        }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Router(router) => router.address.0,
            Self::Vty(vty) => vty.address,
        }
    }

    /// Files of secrets that it takes.
    pub fn files(&self) -> Vec<&PathBuf> {
        match self {
            Self::Router(router) => router.files().into_iter().map(|(_, path)| path).collect(),
            Self::Vty(vty) => vec![&vty.password_file],
        }
    }

    /// The list in the configuration that names it, which is what its protocol is called.
    pub fn list(&self) -> &'static str {
        match self {
            Self::Router(_) => "snmp",
            Self::Vty(_) => "vty",
        }
    }

    /// What it is.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Router(_) => "a router",
            Self::Vty(_) => "a daemon",
        }
    }

    /// What does not fit together: the key, what is wrong, and what to do.
    pub fn mistakes(&self) -> Vec<(&'static str, String, &'static str)> {
        match self {
            Self::Router(router) => router.mistakes(),
            Self::Vty(vty) => vty.mistakes(),
        }
    }

    /// Nothing heard of it for so long means that nobody asks it any more.
    pub fn silence(&self) -> Duration {
        match self {
            Self::Router(router) => router.silence(),
            Self::Vty(vty) => vty.silence(),
        }
    }

    fn interval(&self) -> Duration {
        match self {
            Self::Router(router) => router.interval.0,
            Self::Vty(vty) => vty.interval.0,
        }
    }
}

/// What somebody has said.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// Over SNMP.
    Values(Vec<Binding>),
    /// At its terminal.
    Answers(Answers),
}

/// What was heard of one of them.
#[derive(Debug)]
pub struct Report {
    /// What it is called.
    pub name: String,
    /// Where it was asked.
    pub address: SocketAddr,
    /// When.
    pub at: Timestamp,
    /// What it has told, or why it has not.
    pub heard: Result<Heard, Error>,
    /// When it came here.
    came: Instant,
}

impl Report {
    /// One of now.
    pub fn new(name: String, address: SocketAddr, at: Timestamp, heard: Result<Heard, Error>) -> Self {
        Self { name, address, at, heard, came: Instant::now() }
    }

    /// Whether it is of this one: the same name may have been another one's.
    fn is_of(&self, asked: &Asked) -> bool {
        self.name == asked.name() && self.address == asked.address()
    }

    /// How old it is.
    pub fn age(&self) -> Duration {
        self.came.elapsed()
    }

    /// Takes from the one before what is not asked every time.
    fn follow(&mut self, before: &Self) {
        if self.address == before.address
            && let (Ok(Heard::Answers(now)), Ok(Heard::Answers(before))) = (&mut self.heard, &before.heard)
        {
            now.follow(before);
        }
    }
}

/// What was heard last of each.
#[derive(Debug, Default)]
pub struct Board {
    reports: Mutex<BTreeMap<String, Arc<Report>>>,
    more: Condvar,
}

impl Board {
    /// Takes a report, unless it is of somebody who makes one too many.
    pub fn post(&self, mut report: Report) {
        let mut reports = lock(&self.reports);
        if let Some(before) = reports.get(&report.name) {
            report.follow(before);
        }
        if reports.len() < MOST || reports.contains_key(&report.name) {
            reports.insert(report.name.clone(), Arc::new(report));
        }
        self.more.notify_all();
    }

    /// What was heard last of one of them.
    pub fn of(&self, asked: &Asked) -> Option<Arc<Report>> {
        lock(&self.reports).get(asked.name()).filter(|report| report.is_of(asked)).cloned()
    }

    /// Forgets all but those of some.
    pub fn keep(&self, asked: &[Asked]) {
        lock(&self.reports).retain(|_, report| asked.iter().any(|one| report.is_of(one)));
    }

    /// Waits until there is something of all of these, for so long at most.
    pub fn wait(&self, asked: &[Asked], most: Duration) {
        let lacks = |reports: &mut BTreeMap<String, Arc<Report>>| {
            let is_known = |one: &Asked| reports.get(one.name()).is_some_and(|report| report.is_of(one));
            !asked.iter().all(is_known)
        };
        drop(self.more.wait_timeout_while(lock(&self.reports), most, lacks).unwrap_or_else(PoisonError::into_inner));
    }
}

/// What becomes of a report; `false` when nobody takes any more.
pub type Take = Arc<dyn Fn(Report) -> bool + Send + Sync>;

/// A thread that asks somebody.
#[derive(Debug)]
struct Asker {
    asked: Asked,
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
    leaving: Vec<(SocketAddr, JoinHandle<()>)>,
    /// Who knows to whom passwords may be told.
    peers: Arc<Peers>,
}

impl Askers {
    /// Some that ask who is at the other end in a way that was made ready.
    #[must_use]
    pub fn new(peers: Peers) -> Self {
        Self { running: Vec::new(), leaving: Vec::new(), peers: Arc::new(peers) }
    }

    /// Asks these from now on, and no others. Those that are asked as before go on; one that is asked in another way is asked
    /// when the thread before has ended.
    ///
    /// # Errors
    /// There is no thread for one of them; the others are asked.
    pub fn follow(&mut self, all: &[Asked], secrets: &Secrets, take: &Take) -> std::io::Result<()> {
        let stays =
            |asker: &mut Asker| all.contains(&asker.asked) && secrets.given(&asker.asked.files()) == asker.given;
        for asker in self.running.extract_if(.., |asker| !stays(asker)) {
            asker.bell.ring();
            self.leaving.push((asker.asked.address(), asker.thread));
        }
        self.leaving.retain(|(_, thread)| !thread.is_finished());
        let mut started = Ok(());
        for asked in all.iter().take(MOST) {
            if !self.running.iter().any(|known| known.asked == *asked)
                && let Err(cause) = self.start(asked, secrets, take)
            {
                started = Err(cause);
            }
        }
        started
    }

    fn start(&mut self, asked: &Asked, secrets: &Secrets, take: &Take) -> std::io::Result<()> {
        let before: Vec<_> = self.leaving.extract_if(.., |(place, _)| *place == asked.address()).collect();
        let (bell, one, given) = (Arc::<Bell>::default(), asked.clone(), secrets.given(&asked.files()));
        let (secrets, take, end) = (secrets.clone(), Arc::clone(take), Arc::clone(&bell));
        let peers = Arc::clone(&self.peers);
        let thread = std::thread::Builder::new().name(asked.list().to_owned()).spawn(move || {
            for (_, thread) in before {
                // one that panicked has ended, too
                let _ = thread.join();
            }
            run(&one, &(secrets, peers), &take, &end);
        })?;
        self.running.push(Asker { asked: asked.clone(), given, bell, thread });
        Ok(())
    }

    /// Tells passwords to root and these users only from now on.
    pub fn believe(&self, users: Vec<u32>) {
        self.peers.told(users);
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

/// Secrets, and to whom they may be told.
type Known = (Secrets, Arc<Peers>);

/// Asks somebody again and again.
fn run(asked: &Asked, known: &Known, take: &Take, end: &Arc<Bell>) {
    let mut client = None;
    while !end.is_rung() {
        let begin = Instant::now();
        let heard = ask(asked, known, &mut client, end);
        if heard.is_err() {
            // with the next one the secrets are read again, and what is known of the other end is forgotten
            client = None;
        }
        let (at, heard) = match heard {
            Ok((at, heard)) => (at, Ok(heard)),
            Err(error) => (Timestamp::now(), Err(error)),
        };
        let report = Report::new(asked.name().to_owned(), asked.address(), at, heard);
        if end.is_rung() || !take(report) {
            return;
        }
        if end.within(asked.interval().saturating_sub(begin.elapsed())) {
            return;
        }
    }
}

/// How somebody is asked.
enum Client {
    Router(Box<snmp::Client>),
    Vty(Box<vty::Client>),
}

impl Client {
    fn open(asked: &Asked, (secrets, peers): &Known, end: &Arc<Bell>) -> Result<Self, Error> {
        Ok(match asked {
            Asked::Router(router) => Self::Router(Box::new(snmp::Client::open(router, secrets, Arc::clone(end))?)),
            Asked::Vty(vty) => Self::Vty(Box::new(vty::Client::open(vty, secrets, peers)?)),
        })
    }
}

/// What somebody says, and when that was so.
fn ask(
    asked: &Asked,
    known: &Known,
    client: &mut Option<Client>,
    end: &Arc<Bell>,
) -> Result<(Timestamp, Heard), Error> {
    let client = match client {
        Some(client) => client,
        none => none.insert(Client::open(asked, known, end)?),
    };
    match client {
        Client::Router(client) => client.round().map(|values| (Timestamp::now(), Heard::Values(values))),
        Client::Vty(client) => client.round().map(|answers| (client.at(), Heard::Answers(answers))),
    }
}

#[cfg(test)]
mod tests;
