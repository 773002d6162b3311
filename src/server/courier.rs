//! Who asks other hosts, and hands on what they answer?
//!
//! The courier is a process of its own for what goes out: the sampler has no network, and the front has nothing but those who
//! came to it. It has no capability, no file and nothing to listen on. The supervisor starts it when something is configured
//! that goes out, and hands it secrets in a file in memory. What it hears goes to the sampler over a socket pair in
//! [`Parcel`]s; what else goes out one day has a field of its own there.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::kept;
use super::pass::{self, Word};
use super::{Configuration, Level, Log, link};
use crate::model::{Timestamp, lock};
use crate::source::Error;
use crate::source::control::trust::{TRUST, Trust};
use crate::source::file::Root;
use crate::source::routing::ask::{ASK, Asked, Askers, Board, Heard, Report, Take};
use crate::source::routing::daemon::USERS;
use crate::source::routing::secret::{self, Secret, Secrets};
use crate::source::routing::snmp;
use crate::source::routing::vty::{Answers, Peers, Stored};

/// Bytes of all secrets at most.
const MAX_SECRETS: u64 = 1 << 20;

/// Bytes of the list of users at most.
const MAX_USERS: u64 = 64 << 10;

/// Bytes of a parcel at most: more than a router may tell.
const MAX_PARCEL: usize = 16 << 20;

/// Bytes of it that are no values.
const MAX_REST: usize = 64 << 10;

/// How often the courier says that it lives.
const BEAT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Longest wait for a sampler that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// What goes to the sampler.
#[derive(Clone, PartialEq, prost::Message)]
struct Parcel {
    /// What a router or a daemon has told.
    #[prost(message, optional, tag = "1")]
    router: Option<Told>,
}

/// What somebody has told, or why not.
#[derive(Clone, PartialEq, prost::Message)]
struct Told {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "2")]
    at: i64,
    #[prost(bytes = "vec", tag = "3")]
    values: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    fault: Option<Fault>,
    #[prost(string, tag = "5")]
    address: String,
    /// Of one that was asked at its terminal, instead of values.
    #[prost(message, optional, tag = "6")]
    answers: Option<Said>,
}

/// What a daemon has said at its terminal.
#[derive(Clone, PartialEq, prost::Message)]
struct Said {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, repeated, tag = "2")]
    state: Vec<String>,
    /// Answers about its databases, and when they were given; none where it was not asked.
    #[prost(int64, optional, tag = "3")]
    stored: Option<i64>,
    #[prost(string, repeated, tag = "4")]
    database: Vec<String>,
    /// Why there are no answers about them.
    #[prost(string, optional, tag = "5")]
    untold: Option<String>,
}

/// An error.
#[derive(Clone, PartialEq, prost::Message)]
struct Fault {
    #[prost(string, tag = "1")]
    op: String,
    #[prost(string, tag = "2")]
    object: String,
    #[prost(uint32, tag = "3")]
    kind: u32,
    #[prost(string, tag = "4")]
    cause: String,
}

/// What can be attempted.
const OPS: [&str; 7] = ["read", "parse", ASK, "connect to", "hear", "wait for", TRUST];

/// Kinds of causes that somebody tells apart.
const KINDS: [ErrorKind; 10] = [
    ErrorKind::Other,
    ErrorKind::TimedOut,
    ErrorKind::PermissionDenied,
    ErrorKind::ConnectionRefused,
    ErrorKind::NotFound,
    ErrorKind::InvalidData,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionReset,
    ErrorKind::BrokenPipe,
    ErrorKind::Unsupported,
];

impl Parcel {
    fn of(report: &Report) -> Self {
        let mut told =
            Told { name: report.name.clone(), address: report.address.to_string(), at: report.at.0, ..Told::default() };
        match &report.heard {
            Ok(Heard::Values(values)) => told.values = snmp::written(values),
            Ok(Heard::Answers(answers)) => told.answers = Some(Said::of(answers)),
            Err(error) => told.fault = Some(Fault::of(error)),
        }
        let length = told.encoded_len();
        if length > MAX_PARCEL - MAX_REST {
            let why = format!("it tells {length} bytes, more than are handed on");
            let error = Error::new(ASK, &report.name, io::Error::new(ErrorKind::InvalidData, why));
            told = Told { values: Vec::new(), answers: None, fault: Some(Fault::of(&error)), ..told };
        }
        Self { router: Some(told) }
    }
}

impl Told {
    /// `None` of one that was asked nowhere.
    fn report(self) -> Option<Report> {
        let address = self.address.parse().ok()?;
        let heard = match (self.fault, self.answers) {
            (Some(fault), _) => Err(fault.error()),
            (None, Some(said)) => Ok(Heard::Answers(said.answers())),
            (None, None) => snmp::read(&self.values).map(Heard::Values),
        };
        Some(Report::new(self.name, address, Timestamp(self.at), heard))
    }
}

impl Said {
    fn of(answers: &Answers) -> Self {
        let stored = answers.database.as_ref();
        Self {
            version: answers.version.clone(),
            state: answers.state.clone(),
            stored: stored.map(|stored| stored.at.0),
            database: stored.map(|stored| stored.answers.clone()).unwrap_or_default(),
            untold: stored.and_then(|stored| stored.untold.clone()),
        }
    }

    fn answers(self) -> Answers {
        let of = |at| Arc::new(Stored { at: Timestamp(at), answers: self.database, untold: self.untold });
        Answers { version: self.version, state: self.state, database: self.stored.map(of) }
    }
}

impl Fault {
    fn of(error: &Error) -> Self {
        let kind = KINDS.iter().position(|kind| *kind == error.cause.kind()).unwrap_or_default();
        Self {
            op: error.op.to_owned(),
            object: error.object.display().to_string(),
            kind: kind as u32,
            cause: error.cause.to_string(),
        }
    }

    fn error(self) -> Error {
        let op = OPS.iter().find(|op| **op == self.op).copied().unwrap_or(ASK);
        let kind = KINDS.get(self.kind as usize).copied().unwrap_or(ErrorKind::Other);
        Error::new(op, self.object, io::Error::new(kind, self.cause))
    }
}

/// Those who are asked by it.
fn asked(configured: &Configuration) -> Vec<Asked> {
    let collects = configured.collect.collectors.get("routing").is_none_or(|settings| settings.enabled);
    if collects { configured.routing.asked() } else { Vec::new() }
}

/// Whether something is configured that goes out.
pub(super) fn is_wanted(configured: &Configuration) -> bool {
    !asked(configured).is_empty()
}

/// Ports of this host that it connects to.
pub(super) fn ports(configured: &Configuration) -> BTreeSet<u16> {
    let vty = |asked: &Asked| matches!(asked, Asked::Vty(_)).then(|| asked.address().port());
    asked(configured).iter().filter_map(vty).collect()
}

/// What has to be opened before a courier is enclosed: who is at the other end of a connection is asked of the kernel.
pub(super) fn peers(configured: &Configuration, log: &Log) -> Peers {
    if ports(configured).is_empty() {
        return Peers::default();
    }
    Peers::ready().unwrap_or_else(|error| {
        log.say(Level::Error, &format!("no daemon is asked at its terminal: {error}"));
        Peers::default()
    })
}

/// Hands a courier the secrets that it needs for what is configured, and says which there are not.
///
/// # Errors
/// The courier does not listen, or there is no room.
pub(super) fn hand(configured: &Configuration, control: impl AsFd, log: &Log) -> io::Result<()> {
    let mut known: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for asked in asked(configured) {
        for path in asked.files() {
            match secret::read(path) {
                Ok(secret) => known.push((path.clone(), secret.bytes().to_vec())),
                Err(error) => log.say(Level::Error, &format!("{} cannot be asked: {error}", asked.what())),
            }
        }
    }
    let bytes = serde_json::to_vec(&known)?;
    pass::send(control, Word::Secrets, Some(kept::in_memory(&bytes)?.as_fd()))
}

fn secrets(file: OwnedFd) -> io::Result<Secrets> {
    let known: Vec<(PathBuf, Vec<u8>)> = serde_json::from_slice(&kept::from_memory(file, MAX_SECRETS)?)?;
    let known: Result<HashMap<_, _>, Error> =
        known.into_iter().map(|(path, bytes)| Ok((path.clone(), Secret::new(&path, &bytes)?))).collect();
    known.map(Secrets::Told).map_err(io::Error::other)
}

/// Hands a courier who runs daemons on this host: users that were made since it was enclosed are none that it could look up.
///
/// # Errors
/// The courier does not listen, or there is no room.
pub(super) fn hand_users(control: impl AsFd) -> io::Result<()> {
    let mut trust = Trust::new(&USERS);
    trust.refresh(&Root::new("/"));
    let bytes = serde_json::to_vec(&trust.numbers())?;
    pass::send(control, Word::Users, Some(kept::in_memory(&bytes)?.as_fd()))
}

fn users(file: OwnedFd) -> io::Result<Vec<u32>> {
    Ok(serde_json::from_slice(&kept::from_memory(file, MAX_USERS)?)?)
}

/// The courier's end of the link to the sampler.
#[derive(Default)]
struct Outlet {
    link: Option<UnixStream>,
    /// Whether there was one that broke, and no other since.
    is_lost: bool,
}

impl Outlet {
    /// Hands parcels to another sampler, or to the same one over another link.
    ///
    /// # Errors
    /// The socket is none.
    fn open(&mut self, socket: UnixStream, patience: Duration) -> io::Result<()> {
        socket.set_write_timeout(Some(patience))?;
        *self = Self { link: Some(socket), is_lost: false };
        Ok(())
    }

    /// Hands on a parcel if there is a link.
    ///
    /// # Errors
    /// The link has broken with it: of a parcel that was cut off nobody knows where the next one begins.
    fn send(&mut self, parcel: &Parcel) -> io::Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let sent = link::write(link, parcel);
        if sent.is_err() {
            *self = Self { link: None, is_lost: true };
        }
        sent
    }
}

/// Hands on what is heard. Without a link another one is asked for with each report, until there is one: what the report says
/// is lost, and its router is asked again.
fn handing(outlet: &Arc<Mutex<Outlet>>, control: UnixStream, log: &Log) -> Take {
    let (outlet, log) = (Arc::clone(outlet), log.clone());
    Arc::new(move |report| {
        if report.heard.as_ref().is_err_and(|error| error.op == TRUST) {
            let _ = pass::send_now(&control, Word::Users);
        }
        let parcel = Parcel::of(&report);
        let mut outlet = lock(&outlet);
        if let Err(cause) = outlet.send(&parcel) {
            log.say(Level::Warning, &format!("the sampler takes nothing from the courier: {cause}; it is linked anew"));
        }
        if outlet.is_lost {
            // a supervisor that reads nothing is not waited for
            let _ = pass::send_now(&control, Word::Link);
        }
        true
    })
}

/// Goes out until the supervisor closes `control`.
///
/// # Errors
/// The control socket broke.
pub(super) fn run(mut configured: Configuration, control: &UnixStream, peers: Peers, log: &Log) -> io::Result<()> {
    let outlet = Arc::<Mutex<Outlet>>::default();
    let take = handing(&outlet, control.try_clone()?, log);
    let mut askers = Askers::new(peers);
    loop {
        let mut fds = [PollFd::new(control, PollFlags::IN)];
        match poll(&mut fds, Some(&BEAT)) {
            Ok(0) => {
                // a supervisor that reads nothing is not waited for, and one that has gone ends this process anyhow
                let _ = pass::send_now(control, Word::Alive);
                continue;
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(cause) => return Err(cause.into()),
        }
        match pass::receive(control)? {
            None => return Ok(()),
            Some((Word::Configuration, Some(file))) => configured = Configuration::take(file)?,
            Some((Word::Secrets, Some(file))) => {
                if let Err(cause) = askers.follow(&asked(&configured), &secrets(file)?, &take) {
                    log.say(Level::Error, &format!("not all routers are asked: {cause}"));
                }
            }
            Some((Word::Users, Some(file))) => askers.believe(users(file)?),
            Some((Word::Link, Some(socket))) => {
                lock(&outlet).open(UnixStream::from(socket), PATIENCE)?;
            }
            Some(_) => {}
        }
    }
}

/// What the sampler takes from the courier: it hears one at a time.
#[derive(Default)]
pub(super) struct Receiver {
    /// The link, and whether another one has taken its place.
    last: Option<(UnixStream, Arc<AtomicBool>)>,
}

impl Receiver {
    /// Hears another courier from now on, and the one before no more.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(super) fn take(&mut self, socket: UnixStream, board: Arc<Board>, log: &Log) -> io::Result<()> {
        if let Some((last, is_replaced)) = self.last.take() {
            is_replaced.store(true, Ordering::Relaxed);
            let _ = last.shutdown(Shutdown::Both);
        }
        let is_replaced = Arc::<AtomicBool>::default();
        self.last = Some((socket.try_clone()?, Arc::clone(&is_replaced)));
        let log = log.clone();
        let hear = move || {
            let mut socket = socket;
            let ended = loop {
                match link::read::<Parcel>(&mut socket, MAX_PARCEL) {
                    Ok(Some(parcel)) => {
                        if let Some(report) = parcel.router.and_then(Told::report) {
                            board.post(report);
                        }
                    }
                    other => break other,
                }
            };
            // the courier is to notice, and wants another one
            let _ = socket.shutdown(Shutdown::Both);
            match ended {
                _ if is_replaced.load(Ordering::Relaxed) => {}
                Ok(_) => log.say(Level::Notice, "the courier has closed its link"),
                Err(cause) => log.say(Level::Warning, &format!("the courier is not understood: {cause}")),
            }
        };
        std::thread::Builder::new().name("courier".to_owned()).spawn(hear)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::routing::snmp::{Binding, Oid, Value};

    fn router(name: &str) -> Asked {
        Asked::Router(toml::from_str(&format!("name = '{name}'\naddress = '10.0.0.1'")).unwrap())
    }

    fn report(name: &str, heard: Result<Vec<Binding>, Error>) -> Report {
        Report::new(name.to_owned(), router(name).address(), Timestamp(7), heard.map(Heard::Values))
    }

    /// Values of so many bytes together.
    fn values(bytes: usize) -> Vec<Binding> {
        let some = || Binding { oid: Oid::default(), value: Value::Bytes(vec![b'x'; 1 << 16]) };
        std::iter::repeat_with(some).take(bytes >> 16).collect()
    }

    #[test]
    fn a_sampler_that_takes_nothing_gets_another_link() {
        let (control, supervisor) = UnixStream::pair().unwrap();
        supervisor.set_nonblocking(true).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let outlet = Arc::<Mutex<Outlet>>::default();
        let take = handing(&outlet, control, &Log::default());
        let asks = || pass::receive(&supervisor).is_ok_and(|word| word.is_some_and(|(word, _)| word == Word::Link));
        take(report("r1", Ok(Vec::new())));
        assert!(!asks(), "one that was never linked will be");
        lock(&outlet).open(ours, Duration::from_millis(20)).unwrap();
        let is_asked = (0..8).any(|_| take(report("r1", Ok(values(1 << 18)))) && asks());
        assert!(is_asked, "the buffer of a socket is smaller");
        // nobody has heard that
        take(report("r1", Ok(Vec::new())));
        assert!(asks());
        let (ours, another) = UnixStream::pair().unwrap();
        lock(&outlet).open(ours, PATIENCE).unwrap();
        let (board, mut receiver) = (Arc::<Board>::default(), Receiver::default());
        receiver.take(theirs, Arc::clone(&board), &Log::default()).unwrap();
        receiver.take(another, Arc::clone(&board), &Log::default()).unwrap();
        take(report("r2", Ok(Vec::new())));
        board.wait(&[router("r2")], Duration::from_secs(20));
        assert!(board.of(&router("r2")).is_some() && !asks());
    }

    #[test]
    fn what_does_not_fit_is_told_as_a_fault() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let (board, mut receiver) = (Arc::<Board>::default(), Receiver::default());
        receiver.take(theirs, Arc::clone(&board), &Log::default()).unwrap();
        link::write(&mut ours, &Parcel::of(&report("r1", Ok(values(MAX_PARCEL))))).unwrap();
        board.wait(&[router("r1")], Duration::from_secs(20));
        let told = board.of(&router("r1")).unwrap().heard.as_ref().unwrap_err().to_string();
        assert!(
            told.starts_with("ask r1: it tells 167") && told.ends_with(" bytes, more than are handed on"),
            "{told}"
        );
    }

    #[test]
    fn what_a_router_told_arrives_as_it_was_heard() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let (board, mut receiver) = (Arc::<Board>::default(), Receiver::default());
        receiver.take(theirs, Arc::clone(&board), &Log::default()).unwrap();
        let values = vec![Binding { oid: Oid::default(), value: Value::Integer(8) }];
        let fault = || Error::new(ASK, "r2 for 1.3.6", io::Error::new(ErrorKind::TimedOut, "no answer"));
        for (name, heard) in [("r1", Ok(values)), ("r2", Err(fault()))] {
            link::write(&mut ours, &Parcel::of(&report(name, heard))).unwrap();
        }
        let [r1, r2] = ["r1", "r2"].map(router);
        board.wait(&[r1.clone(), r2.clone()], Duration::from_secs(20));
        let (one, other) = (board.of(&r1).unwrap(), board.of(&r2).unwrap());
        let Heard::Values(told) = one.heard.as_ref().unwrap() else { panic!() };
        assert_eq!((one.at, told[0].value.clone()), (Timestamp(7), Value::Integer(8)));
        let error = other.heard.as_ref().unwrap_err();
        assert_eq!((error.to_string(), error.cause.kind()), (fault().to_string(), ErrorKind::TimedOut));
    }

    #[test]
    fn what_was_answered_at_a_terminal_arrives_with_what_was_asked_before() {
        let text = "name = 'q'\naddress = '127.0.0.1:2604'\npassword_file = '/p'";
        let vty = Asked::Vty(toml::from_str(text).unwrap());
        let heard = |database: Option<i64>| Answers {
            version: "Quagga 1.2.4 (r1).".to_owned(),
            state: vec!["one\n".to_owned(), String::new(), "three\n".to_owned()],
            database: database.map(|at| {
                let answers = vec!["routes\n".to_owned()];
                Arc::new(Stored { at: Timestamp(at), answers, untold: Some("a reason".to_owned()) })
            }),
        };
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let (board, mut receiver) = (Arc::<Board>::default(), Receiver::default());
        receiver.take(theirs, Arc::clone(&board), &Log::default()).unwrap();
        for (at, answers) in [(7, heard(Some(7))), (8, heard(None))] {
            let report = Report::new("q".to_owned(), vty.address(), Timestamp(at), Ok(Heard::Answers(answers)));
            link::write(&mut ours, &Parcel::of(&report)).unwrap();
        }
        // hung up behind the last one
        drop(ours);
        let last = || board.of(&vty).filter(|report| report.at == Timestamp(8));
        while last().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(last().unwrap().heard.as_ref().unwrap(), &Heard::Answers(heard(Some(7))));
    }

    #[test]
    fn who_sends_garbage_is_heard_no_more() {
        use std::io::{Read as _, Write as _};
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut receiver = Receiver::default();
        receiver.take(theirs, Arc::default(), &Log::default()).unwrap();
        ours.write_all(&u32::MAX.to_le_bytes()).unwrap();
        drop(receiver);
        ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(ours.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn who_is_not_believed_is_looked_up_by_the_supervisor() {
        let (control, supervisor) = UnixStream::pair().unwrap();
        supervisor.set_nonblocking(true).unwrap();
        let take = handing(&Arc::default(), control, &Log::default());
        let heard = || pass::receive(&supervisor).ok().flatten().map(|(word, _)| word);
        let fault = |op| Err(Error::new(op, "127.0.0.1:2604", io::Error::from(ErrorKind::PermissionDenied)));
        take(report("r1", fault(ASK)));
        assert_eq!(heard(), None);
        take(report("r1", fault(TRUST)));
        assert_eq!((heard(), heard()), (Some(Word::Users), None));
    }

    #[test]
    fn secrets_are_handed_over_without_the_files() {
        let file = |known: &[(&str, &[u8])]| {
            let known: Vec<(PathBuf, Vec<u8>)> =
                known.iter().map(|(path, bytes)| (path.into(), bytes.to_vec())).collect();
            kept::in_memory(&serde_json::to_vec(&known).unwrap()).unwrap()
        };
        let Secrets::Told(known) = secrets(file(&[("/nowhere", b"s3cret")])).unwrap() else { panic!() };
        assert_eq!(known.get(&PathBuf::from("/nowhere")).unwrap().bytes(), b"s3cret");
        assert!(secrets(file(&[("/nowhere", b"")])).is_err());
    }
}
