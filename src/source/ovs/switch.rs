//! Which databases of Open vSwitch are here, and how is it with their bridges?
//!
//! A database is followed from one round to the next, and each of its bridges asked what it has counted. A round has a bound. All
//! bridges are those of one process: where one is silent the others are not waited for.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::database::{self, Database};
use super::flow::{self, Flow};
use super::openflow::{FLOW, Management, PortCounts, TableCounts};
use crate::model::{Text, Timestamp};
use crate::source::control::line::PATIENCE;
use crate::source::control::standing::{Standing, State};
use crate::source::control::trust::Trust;
use crate::source::file::Roots;
use crate::source::routing::settings::Settings;
use crate::source::{Error, netns};

/// How long a round may take.
const ROUND: Duration = Duration::from_secs(1);

/// How long all flows of a bridge may take.
const FLOWS: Duration = Duration::from_secs(10);

/// Databases that are asked at most.
pub const MOST: usize = 16;

/// Where packages have it.
const PLACE: &str = "run/openvswitch/db.sock";

/// Users of the programs.
const USERS: [&str; 1] = ["openvswitch"];

/// Whether a path is that of a database.
pub fn is_database(socket: &Path) -> bool {
    socket.extension().is_some_and(|extension| extension == "sock")
}

/// A database with its bridges.
#[derive(Debug)]
pub struct Switch {
    /// Its socket.
    pub socket: PathBuf,
    /// How it is.
    pub state: State,
    /// Version of the program.
    pub version: Option<Text>,
    /// Its bridges.
    pub bridges: Vec<Bridge>,
    /// Bridges that are more than are asked.
    pub left_out: usize,
    database: Option<Database>,
    /// When it told something last.
    told: Option<Timestamp>,
}

/// A bridge, and what it has told.
#[derive(Debug)]
pub struct Bridge {
    /// What the database says of it.
    pub said: database::Bridge,
    /// How it is.
    pub state: State,
    /// Network namespace of its process.
    pub netns: Option<Text>,
    /// What its tables have counted.
    pub tables: Option<TableCounts>,
    /// What its ports have counted, by their numbers.
    pub ports: HashMap<u32, PortCounts>,
    management: Option<Management>,
}

/// What a bridge is asked over its connection.
type Question = fn(&mut Bridge, &mut Management, Instant) -> Result<(), Error>;

/// Who is believed, and where files are.
type Place<'a> = (&'a Trust, &'a Roots);

/// All databases.
#[derive(Debug)]
pub struct Switches {
    known: Vec<Switch>,
    trust: Trust,
    left_out: usize,
}

impl Default for Switches {
    fn default() -> Self {
        Self { known: Vec::new(), trust: Trust::new(&USERS), left_out: 0 }
    }
}

impl Switches {
    /// Looks who is there, and asks all for whom there is time what they have counted.
    pub fn round(&mut self, roots: &Roots, settings: &Settings, now: Timestamp) {
        self.ask(roots, settings, now, Bridge::count);
    }

    /// Looks who is there, for who asks bridges something else.
    pub fn meet(&mut self, roots: &Roots, settings: &Settings, now: Timestamp) {
        self.ask(roots, settings, now, |_, _, _| Ok(()));
    }

    fn ask(&mut self, roots: &Roots, settings: &Settings, now: Timestamp, question: Question) {
        self.trust.refresh(&roots.host);
        self.look(roots, settings, now);
        let end = Instant::now() + ROUND;
        self.known.sort_by_key(|switch| !switch.state.is_up());
        for switch in &mut self.known {
            if Instant::now() < end {
                switch.ask((&self.trust, roots), end, now, question);
            }
        }
    }

    /// Every database that is known.
    pub fn known(&self) -> &[Switch] {
        &self.known
    }

    /// How many are more than are asked.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The same, to be asked more.
    pub fn known_mut(&mut self) -> &mut [Switch] {
        &mut self.known
    }

    fn look(&mut self, roots: &Roots, settings: &Settings, now: Timestamp) {
        let usual = roots.host.join(PLACE);
        let mut found: Vec<PathBuf> = settings.sockets.iter().filter(|socket| is_database(socket)).cloned().collect();
        if rustix::fs::stat(&usual).is_ok() && !found.contains(&usual) {
            found.insert(0, usual);
        }
        self.left_out = found.len().saturating_sub(MOST);
        found.truncate(MOST);
        self.known.retain(|switch| found.contains(&switch.socket) || switch.is_missed(now, settings.keep.0));
        for socket in found {
            if !self.known.iter().any(|switch| switch.socket == socket) {
                self.known.push(Switch::new(socket, now));
            }
        }
    }
}

impl Switch {
    fn new(socket: PathBuf, now: Timestamp) -> Self {
        Self {
            socket,
            state: State::new(now),
            version: None,
            bridges: Vec::new(),
            left_out: 0,
            database: None,
            told: None,
        }
    }

    /// Whether its socket has gone not long ago: a server takes it away when it ends, and makes it when it starts.
    fn is_missed(&self, now: Timestamp, keep: Duration) -> bool {
        let is_recent = |told: Timestamp| told.age(now) < keep.as_secs_f64();
        self.told.is_some_and(is_recent) && rustix::fs::stat(&self.socket).is_err()
    }

    fn ask(&mut self, place: Place<'_>, end: Instant, now: Timestamp, question: Question) {
        let deadline = || end.min(Instant::now() + PATIENCE);
        let was_open = self.database.is_some();
        let mut fault = self.follow(place.0, deadline(), now).err();
        if was_open && fault.as_ref().is_some_and(|error| error.cause.kind() != ErrorKind::TimedOut) {
            // it was started anew meanwhile
            fault = self.follow(place.0, deadline(), now).err();
        }
        self.state.settle(fault, now);
        let directory = self.socket.parent().map(Path::to_owned).unwrap_or_default();
        let mut silent: Option<Error> = None;
        for bridge in &mut self.bridges {
            let fault = match &silent {
                Some(error) => Some(Error::new("ask", &*bridge.said.name, unasked(error))),
                None => bridge.ask(&directory, place, deadline(), question).err(),
            };
            if fault.is_some() {
                (bridge.tables, bridge.ports) = (None, HashMap::new());
            }
            bridge.state.settle(fault, now);
            if let Some(error) = bridge.state.fault.as_ref().filter(|_| bridge.state.standing == Standing::Silent) {
                silent.get_or_insert_with(|| error.again());
            }
        }
    }

    /// Hears what has changed in the database, over a new connection if there is none.
    fn follow(&mut self, trust: &Trust, deadline: Instant, now: Timestamp) -> Result<(), Error> {
        let (database, is_changed) = match self.database.take() {
            Some(mut database) => {
                let is_changed = database.follow(deadline)?;
                (database, is_changed)
            }
            None => (Database::open(&self.socket, trust, deadline)?, true),
        };
        if is_changed {
            self.version = database.told().version();
            let mut before = std::mem::take(&mut self.bridges);
            let bridges = database.told().bridges();
            self.left_out = bridges.left_out();
            for said in bridges.into_kept() {
                let known = before.iter().position(|bridge| bridge.said.name == said.name);
                let known = known.map(|at| before.swap_remove(at));
                let mut bridge = known.unwrap_or_else(|| Bridge::new(now));
                bridge.said = said;
                self.bridges.push(bridge);
            }
        }
        (self.database, self.told) = (Some(database), Some(now));
        Ok(())
    }
}

/// Why a bridge is not asked beside another one that does not answer.
fn unasked(silent: &Error) -> std::io::Error {
    std::io::Error::new(ErrorKind::TimedOut, format!("it is not waited for while another is silent: {silent}"))
}

impl Bridge {
    fn new(now: Timestamp) -> Self {
        Self {
            said: database::Bridge::default(),
            state: State::new(now),
            netns: None,
            tables: None,
            ports: HashMap::new(),
            management: None,
        }
    }

    fn ask(&mut self, directory: &Path, place: Place<'_>, deadline: Instant, question: Question) -> Result<(), Error> {
        let was_open = self.management.is_some();
        match self.hear(directory, place, deadline, question) {
            // it was started anew meanwhile
            Err(error) if was_open && error.cause.kind() != ErrorKind::TimedOut => {
                self.hear(directory, place, deadline, question)
            }
            told => told,
        }
    }

    fn hear(&mut self, directory: &Path, place: Place<'_>, deadline: Instant, question: Question) -> Result<(), Error> {
        let mut management = self.connected(directory, place, deadline)?;
        question(self, &mut management, deadline)?;
        self.management = Some(management);
        Ok(())
    }

    /// Asks what tables and ports have counted.
    fn count(&mut self, management: &mut Management, deadline: Instant) -> Result<(), Error> {
        self.tables = Some(management.tables(deadline)?);
        self.ports.clear();
        let ports = &mut self.ports;
        let most = self.said.ports.len() + 1;
        management.ports(deadline, |number, counts| {
            // a bridge has no more than the database says, but for a moment
            if ports.len() < most {
                ports.insert(number, counts);
            }
        })
    }

    /// Hands out all of its flows, if it answers.
    pub fn flows(&mut self, now: Timestamp, mut take: impl FnMut(Flow<'_>)) {
        let Some(mut management) = self.management.take() else { return };
        let told = management
            .each(FLOW, &flow::ALL, Instant::now() + FLOWS, |version, records| flow::each(version, records, &mut take));
        if told.is_ok() {
            self.management = Some(management);
        }
        self.state.settle(told.err(), now);
    }

    /// Takes the connection out, or makes one.
    fn connected(
        &mut self,
        directory: &Path,
        (trust, roots): Place<'_>,
        deadline: Instant,
    ) -> Result<Management, Error> {
        if let Some(management) = self.management.take() {
            return Ok(management);
        }
        let path = directory.join(format!("{}.mgmt", self.said.file));
        if self.said.file.contains('/') {
            return Err(Error::new("connect to", path, rustix::io::Errno::INVAL));
        }
        let management = Management::open(&path, trust, deadline)?;
        self.netns = management.pid().and_then(|pid| netns::of_process(pid, &roots.proc, &roots.host));
        Ok(management)
    }
}
