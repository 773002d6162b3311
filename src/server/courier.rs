//! Who asks other hosts, and hands on what they answer?
//!
//! The courier is a process of its own for what goes out: the sampler has no network, and the front has nothing but those who
//! came to it. It has no capability, no file and nothing to listen on. The supervisor starts it when something is configured
//! that goes out, and hands it secrets in a file in memory. What it hears goes to the sampler over a socket pair in
//! [`Parcel`]s; what else goes out one day has a field of its own there. Back comes what is to be told of alerts
//! ([`super::delivery`]).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::delivery::{self, Deliveries, Ended};
use super::kept;
use super::parcel::{MAX_PARCEL, Parcel, Told};
use super::pass::{self, Word};
use super::runner::Line;
use super::sandbox::Ways;
use super::{Configuration, Level, Log, link};
use crate::alert::Outbox;
use crate::alert::action::{Files, MAX_FILES, Needs, Outside};
use crate::model::{Timestamp, lock};
use crate::source::Error;
use crate::source::control::trust::{TRUST, Trust};
use crate::source::file::Root;
use crate::source::routing::ask::{Asked, Askers, Board, Take};
use crate::source::routing::daemon::USERS;
use crate::source::routing::secret::{self, Secret, Secrets};
use crate::source::routing::vty::Peers;

/// Bytes of all secrets at most.
const MAX_SECRETS: u64 = 1 << 20;

/// Bytes of the list of users at most.
const MAX_USERS: u64 = 64 << 10;

/// How often the courier says that it lives.
const BEAT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Longest wait for a sampler that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Those who are asked by it.
fn asked(configured: &Configuration) -> Vec<Asked> {
    let collects = configured.collect.collectors.get("routing").is_none_or(|settings| settings.enabled);
    if collects { configured.routing.asked() } else { Vec::new() }
}

/// Whether something is configured that goes out.
pub(super) fn is_wanted(configured: &Configuration) -> bool {
    !asked(configured).is_empty() || !configured.actions.is_empty()
}

/// Ports of daemons of this host that are asked at their terminals.
fn terminals(configured: &Configuration) -> BTreeSet<u16> {
    let vty = |asked: &Asked| matches!(asked, Asked::Vty(_)).then(|| asked.address().port());
    asked(configured).iter().filter_map(vty).collect()
}

/// What it is to reach.
pub(super) fn ways(configured: &Configuration) -> Ways {
    let needs = Needs::of(&configured.actions);
    Ways { ports: &terminals(configured) | &needs.ports, sockets: needs.sockets }
}

/// What has to be opened before a courier is enclosed: who is at the other end of a connection is asked of the kernel.
pub(super) fn peers(configured: &Configuration, log: &Log) -> Peers {
    if terminals(configured).is_empty() {
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
    pass::send(&control, Word::Secrets, Some(kept::in_memory(&bytes)?.as_fd()))?;
    let (files, untold) = Files::read(&configured.actions);
    for (action, error) in untold {
        log.say(Level::Error, &format!("action {action} cannot do all that it should: {error}"));
    }
    pass::send(control, Word::Files, Some(kept::in_memory(&files.encoded())?.as_fd()))
}

/// What actions name on the disk.
fn files(file: OwnedFd) -> io::Result<Files> {
    let none = || io::Error::new(ErrorKind::InvalidData, "no files");
    Files::decoded(&kept::from_memory(file, MAX_FILES)?).ok_or_else(none)
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
    /// What came of errands that could not be told, because no other link is there yet.
    untold: VecDeque<Ended>,
    /// How many links there were.
    links: u64,
}

/// What came of errands that is kept for another link at most.
const MAX_UNTOLD: usize = 512;

impl Outlet {
    /// Hands parcels to another sampler, or to the same one over another link, which has this number.
    ///
    /// # Errors
    /// The socket is none.
    fn open(&mut self, socket: UnixStream, patience: Duration) -> io::Result<u64> {
        socket.set_write_timeout(Some(patience))?;
        (self.link, self.is_lost, self.links) = (Some(socket), false, self.links + 1);
        while let Some(ended) = self.untold.pop_front() {
            if !self.end(ended) {
                break;
            }
        }
        Ok(self.links)
    }

    /// Says what came of an errand, now or over the next link; whether it was now.
    fn end(&mut self, ended: Ended) -> bool {
        let told = self.link.is_some() && self.send(&Parcel::end(ended.clone())).is_ok();
        if !told && self.untold.len() < MAX_UNTOLD {
            self.untold.push_back(ended);
        }
        told
    }

    /// A link has ended at the other end.
    fn lose(&mut self, link: u64) {
        if self.links == link && self.link.is_some() {
            (self.link, self.is_lost) = (None, true);
        }
    }

    /// Hands on a parcel if there is a link.
    ///
    /// # Errors
    /// The link has broken with it: of a parcel that was cut off nobody knows where the next one begins.
    fn send(&mut self, parcel: &Parcel) -> io::Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let sent = link::write(link, parcel);
        if sent.is_err() {
            (self.link, self.is_lost) = (None, true);
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
pub(super) fn run(configured: Configuration, control: &UnixStream, peers: Peers, log: &Log) -> io::Result<()> {
    let outlet = Arc::<Mutex<Outlet>>::default();
    let take = handing(&outlet, control.try_clone()?, log);
    let line = Arc::<Line>::default();
    let tells = Arc::clone(&outlet);
    let tell = Box::new(move |ended| _ = lock(&tells).end(ended));
    let deliveries = Deliveries::new(Arc::clone(&line) as Arc<dyn Outside>, tell);
    let mut courier = Courier { configured, control, askers: Askers::new(peers), take, outlet, line, deliveries, log };
    loop {
        let mut fds = [PollFd::new(control, PollFlags::IN)];
        match poll(&mut fds, Some(&BEAT)) {
            Ok(0) => {
                // a supervisor that reads nothing is not waited for, and one that has gone ends this process anyhow
                let _ = pass::send_now(control, Word::Alive);
                if lock(&courier.outlet).is_lost {
                    let _ = pass::send_now(control, Word::Link);
                }
                continue;
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(cause) => return Err(cause.into()),
        }
        match pass::receive(control)? {
            None => return Ok(()),
            Some((word, Some(file))) => courier.hear(word, file)?,
            Some(_) => {}
        }
    }
}

/// Who goes out.
struct Courier<'a> {
    configured: Configuration,
    control: &'a UnixStream,
    askers: Askers,
    take: Take,
    outlet: Arc<Mutex<Outlet>>,
    line: Arc<Line>,
    deliveries: Arc<Deliveries>,
    log: &'a Log,
}

impl Courier<'_> {
    /// Takes what the supervisor hands over.
    fn hear(&mut self, word: Word, file: OwnedFd) -> io::Result<()> {
        match word {
            Word::Configuration => self.configured = Configuration::take(file)?,
            Word::Secrets => {
                if let Err(cause) = self.askers.follow(&asked(&self.configured), &secrets(file)?, &self.take) {
                    self.log.say(Level::Error, &format!("not all routers are asked: {cause}"));
                }
            }
            Word::Users => self.askers.believe(users(file)?),
            Word::Files => self.deliveries.configure(self.configured.actions.clone(), files(file)?),
            Word::Link => self.link(UnixStream::from(file))?,
            Word::Runner => {
                let control = self.control.try_clone()?;
                self.line.open(file.into(), move || drop(pass::send_now(&control, Word::Runner)))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Hands on to another sampler, and takes its errands.
    fn link(&mut self, socket: UnixStream) -> io::Result<()> {
        let hears = socket.try_clone()?;
        let number = lock(&self.outlet).open(socket, PATIENCE)?;
        let (deliveries, outlet, log) = (Arc::clone(&self.deliveries), Arc::clone(&self.outlet), self.log.clone());
        let hear = move || {
            if let Err(cause) = deliveries.hear(&hears) {
                log.say(Level::Warning, &format!("the courier does not understand the sampler: {cause}"));
            }
            let _ = hears.shutdown(Shutdown::Both);
            lock(&outlet).lose(number);
        };
        std::thread::Builder::new().name("errands".to_owned()).spawn(hear).map(drop)
    }
}

/// What the sampler takes from the courier, and gives it to do: it hears one at a time.
pub(super) struct Receiver {
    outbox: Arc<Outbox>,
    /// Tells this sampler from those before.
    era: u64,
    /// The link, and whether another one has taken its place.
    last: Option<(UnixStream, Arc<AtomicBool>)>,
}

impl Receiver {
    /// One that has heard nobody yet.
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox, era: Timestamp::now().0.cast_unsigned(), last: None }
    }

    /// Hears another courier from now on, and the one before no more.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(super) fn take(&mut self, socket: UnixStream, board: Arc<Board>, log: &Log) -> io::Result<()> {
        if let Some((last, is_replaced)) = self.last.take() {
            is_replaced.store(true, Ordering::Relaxed);
            let _ = last.shutdown(Shutdown::Both);
        }
        socket.set_write_timeout(Some(PATIENCE))?;
        let is_replaced = Arc::<AtomicBool>::default();
        self.last = Some((socket.try_clone()?, Arc::clone(&is_replaced)));
        let (ships, era) = (socket.try_clone()?, self.era);
        let (log, outbox, number) = (log.clone(), Arc::clone(&self.outbox), self.outbox.link());
        let hear = move || {
            let mut socket = socket;
            let ended = loop {
                match link::read::<Parcel>(&mut socket, MAX_PARCEL) {
                    Ok(Some(parcel)) => {
                        if let Some(report) = parcel.router.and_then(Told::report) {
                            board.post(report);
                        }
                        if let Some(outcome) = parcel.ended.and_then(|ended| ended.outcome(era)) {
                            outbox.outcome(outcome);
                        }
                    }
                    other => break other,
                }
            };
            // the courier is to notice, and wants another one
            let _ = socket.shutdown(Shutdown::Both);
            outbox.lose(number);
            match ended {
                _ if is_replaced.load(Ordering::Relaxed) => {}
                Ok(_) => log.say(Level::Notice, "the courier has closed its link"),
                Err(cause) => log.say(Level::Warning, &format!("the courier is not understood: {cause}")),
            }
        };
        std::thread::Builder::new().name("courier".to_owned()).spawn(hear)?;
        let outbox = Arc::clone(&self.outbox);
        let ship = move || {
            if delivery::ship(&outbox, number, &ships, era).is_err() {
                // of an errand that was cut off nobody knows where the next one begins
                let _ = ships.shutdown(Shutdown::Both);
            }
        };
        std::thread::Builder::new().name("errands".to_owned()).spawn(ship).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Fate, Message, Order};
    use crate::source::routing::ask::{ASK, Heard, Report};
    use crate::source::routing::snmp::{Binding, Oid, Value};
    use crate::source::routing::vty::{Answers, Stored};

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
        let (board, mut receiver) = (Arc::<Board>::default(), Receiver::new(Arc::default()));
        receiver.take(theirs, Arc::clone(&board), &Log::default()).unwrap();
        receiver.take(another, Arc::clone(&board), &Log::default()).unwrap();
        take(report("r2", Ok(Vec::new())));
        board.wait(&[router("r2")], Duration::from_secs(20));
        assert!(board.of(&router("r2")).is_some() && !asks());
    }

    #[test]
    fn what_a_courier_that_has_gone_was_to_tell_is_known_to_be_unknown() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let outbox = Arc::<Outbox>::default();
        let mut receiver = Receiver::new(Arc::clone(&outbox));
        receiver.take(ours, Arc::default(), &Log::default()).unwrap();
        assert!(outbox.order(Order { seq: 3, action: "page".to_owned(), message: Message::default() }));
        assert!(link::read::<delivery::Errand>(&mut &theirs, delivery::MAX_ERRAND).unwrap().is_some());
        drop(theirs);
        let begin = std::time::Instant::now();
        let outcome = loop {
            if let Some(outcome) = outbox.outcomes().pop() {
                break outcome;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it is waited for in vain");
            std::thread::yield_now();
        };
        assert_eq!((outcome.seq, outcome.result.unwrap_err().fate), (3, Fate::Unknown));
    }

    #[test]
    fn what_does_not_fit_is_told_as_a_fault() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let (board, mut receiver) = (Arc::<Board>::default(), Receiver::new(Arc::default()));
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
        let (board, mut receiver) = (Arc::<Board>::default(), Receiver::new(Arc::default()));
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
        let (board, mut receiver) = (Arc::<Board>::default(), Receiver::new(Arc::default()));
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
        let mut receiver = Receiver::new(Arc::default());
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
