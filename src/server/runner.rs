//! Who looks up names and runs programs for the courier, which may open no file?
//!
//! The runner is a process of its own with the user of the courier, and no capability. It looks up the names and runs the
//! programs that are configured, which the supervisor tells it, and nothing else that the courier may ask for. Programs need
//! files and processes, so that it is behind no walls where one is configured; where none is it reads files and asks name
//! servers. When it is told to end, or the supervisor has ended, it kills what it runs.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Shutdown};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::delivery::MAX_ERRAND;
use super::pass::{self, Word};
use super::{Configuration, Level, Log, link};
use crate::alert::action::{Here, MAX_ADDRESSES, Needs, Outside};
use crate::alert::{Failure, Fate, Message};
use crate::model::lock;

/// Bytes of an answer at most.
const MAX_ANSWER: usize = 64 << 10;

/// Programs that run at once, and names that are looked up: what the system does about a name cannot be called off, and is to
/// hold up no program.
const PROGRAMS: usize = 16;
const NAMES: usize = 16;

/// How often the runner says that it lives.
const BEAT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Longest wait for somebody who takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much longer than it may take something is waited for, because who is late says why.
const GRACE: Duration = Duration::from_secs(1);

/// What the courier asks for.
#[derive(Clone, PartialEq, prost::Message)]
struct Ask {
    #[prost(uint64, tag = "1")]
    id: u64,
    /// How long it may take, in milliseconds.
    #[prost(uint64, tag = "2")]
    left: u64,
    /// A name that is to be looked up.
    #[prost(string, optional, tag = "3")]
    host: Option<String>,
    /// An action whose program is to be run.
    #[prost(string, optional, tag = "4")]
    action: Option<String>,
    /// What that is told, as JSON.
    #[prost(bytes = "vec", tag = "5")]
    message: Vec<u8>,
}

/// What came of it.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, repeated, tag = "2")]
    addresses: Vec<String>,
    /// Why nothing did.
    #[prost(string, optional, tag = "3")]
    cause: Option<String>,
    /// What became of the message then, as the number of a [`Fate`].
    #[prost(uint32, tag = "4")]
    fate: u32,
}

/// What it is to do.
fn needs(configured: &Configuration) -> Needs {
    Needs::of(&configured.actions)
}

/// Whether something is configured that takes it.
pub(super) fn is_wanted(configured: &Configuration) -> bool {
    needs(configured).outside()
}

/// Whether programs are run.
pub(super) fn runs(configured: &Configuration) -> bool {
    !needs(configured).commands.is_empty()
}

/// Does what the courier asks for until the supervisor closes `control`.
///
/// # Errors
/// The control socket broke.
pub(super) fn run(configured: Configuration, control: &UnixStream, log: &Log) -> io::Result<()> {
    let told = log.clone();
    let here = Arc::new(Here::new(configured.actions, Box::new(move |said| told.say(Level::Warning, said))));
    let ended = work(&here, control, log);
    here.end();
    ended
}

fn work(here: &Arc<Here>, control: &UnixStream, log: &Log) -> io::Result<()> {
    let mut last: Option<UnixStream> = None;
    loop {
        match poll(&mut [PollFd::new(control, PollFlags::IN)], Some(&BEAT)) {
            Ok(0) => {
                let _ = pass::send_now(control, Word::Alive);
                continue;
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(cause) => return Err(cause.into()),
        }
        match pass::receive(control)? {
            None => return Ok(()),
            Some((Word::Configuration, Some(file))) => here.configure(Configuration::take(file)?.actions),
            Some((Word::Link, Some(socket))) => {
                let socket = UnixStream::from(socket);
                if let Some(last) = last.replace(socket.try_clone()?) {
                    let _ = last.shutdown(Shutdown::Both);
                }
                let (here, log) = (Arc::clone(here), log.clone());
                let serve = move || {
                    if let Err(cause) = serve(&here, &socket) {
                        log.say(Level::Warning, &format!("the runner does not understand the courier: {cause}"));
                    }
                    let _ = socket.shutdown(Shutdown::Both);
                };
                std::thread::Builder::new().name("serve".to_owned()).spawn(serve)?;
            }
            Some(_) => {}
        }
    }
}

/// Answers until the link ends.
fn serve<O: Outside + 'static>(here: &Arc<O>, socket: &UnixStream) -> io::Result<()> {
    socket.set_write_timeout(Some(PATIENCE))?;
    let answers = Arc::new(Mutex::new(socket.try_clone()?));
    let (names, programs) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    while let Some(ask) = link::read::<Ask>(&mut &*socket, MAX_ERRAND + 1024)? {
        let id = ask.id;
        let (busy, most) = if ask.host.is_some() { (&names, NAMES) } else { (&programs, PROGRAMS) };
        if busy.fetch_add(1, Ordering::Relaxed) >= most {
            busy.fetch_sub(1, Ordering::Relaxed);
            tell(&answers, &failed(id, Failure::unsent("ask the runner: it is busy".to_owned())));
            continue;
        }
        let (here, theirs, counted) = (Arc::clone(here), Arc::clone(&answers), Arc::clone(busy));
        let answer = move || {
            tell(&theirs, &answered(&*here, ask));
            counted.fetch_sub(1, Ordering::Relaxed);
        };
        if let Err(cause) = std::thread::Builder::new().name("answer".to_owned()).spawn(answer) {
            busy.fetch_sub(1, Ordering::Relaxed);
            tell(&answers, &failed(id, Failure::unsent(format!("start a thread: {cause}"))));
        }
    }
    Ok(())
}

/// Says it; an answer that was cut off ends the link.
fn tell(socket: &Mutex<UnixStream>, answer: &Answer) {
    let mut socket = lock(socket);
    if link::write(&mut *socket, answer).is_err() {
        let _ = socket.shutdown(Shutdown::Both);
    }
}

fn failed(id: u64, failure: Failure) -> Answer {
    Answer { id, cause: Some(failure.cause), fate: failure.fate.number(), ..Answer::default() }
}

fn answered(here: &dyn Outside, ask: Ask) -> Answer {
    let until = Instant::now() + Duration::from_millis(ask.left.min(1000 * 60 * 60));
    let result = match (ask.host, ask.action) {
        (Some(host), None) => here.addresses(&host, until).map_err(|cause| Failure::unsent(cause.to_string())),
        (None, Some(action)) => {
            let message = serde_json::from_slice::<Message>(&ask.message).map(Message::safe);
            let message = message.map_err(|cause| Failure::refused(format!("read a message: {cause}")));
            message.and_then(|message| here.run(&action, &message, until)).map(|()| Vec::new())
        }
        _ => Err(Failure::refused("ask the runner: it knows no such question".to_owned())),
    };
    match result {
        Ok(addresses) => {
            let addresses = addresses.iter().map(IpAddr::to_string).collect();
            Answer { id: ask.id, addresses, ..Answer::default() }
        }
        Err(failure) => failed(ask.id, failure),
    }
}

/// The courier's end of the link to the runner.
#[derive(Default)]
pub(super) struct Line {
    socket: Mutex<Option<UnixStream>>,
    waiting: Mutex<HashMap<u64, SyncSender<Answer>>>,
    last: AtomicU64,
    /// How many links there were.
    links: AtomicU64,
}

impl Line {
    /// Asks over another link from now on, and calls `lost` when that one ends.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(super) fn open(self: &Arc<Self>, socket: UnixStream, lost: impl Fn() + Send + 'static) -> io::Result<()> {
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut hears = socket.try_clone()?;
        // whoever waits for the one before waits in vain
        let link = self.links.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.waiting).clear();
        if let Some(last) = lock(&self.socket).replace(socket) {
            let _ = last.shutdown(Shutdown::Both);
        }
        let own = Arc::clone(self);
        let hear = move || {
            while let Ok(Some(answer)) = link::read::<Answer>(&mut hears, MAX_ANSWER) {
                if let Some(asker) = lock(&own.waiting).remove(&answer.id) {
                    let _ = asker.send(answer);
                }
            }
            let _ = hears.shutdown(Shutdown::Both);
            if own.links.load(Ordering::Relaxed) == link {
                lock(&own.waiting).clear();
                lost();
            }
        };
        std::thread::Builder::new().name("runner".to_owned()).spawn(hear).map(drop)
    }

    fn ask(&self, mut ask: Ask, until: Instant) -> Result<Answer, Failure> {
        let left = until.saturating_duration_since(Instant::now());
        ask.id = self.last.fetch_add(1, Ordering::Relaxed);
        ask.left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let (sender, answer) = sync_channel(1);
        lock(&self.waiting).insert(ask.id, sender);
        let gone = "ask the runner: it is not there";
        let sent = match &mut *lock(&self.socket) {
            Some(socket) => link::write(socket, &ask).inspect_err(|_| drop(socket.shutdown(Shutdown::Both))),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        let answer = match sent {
            Ok(()) => answer.recv_timeout(left + GRACE).map_err(|cause| match cause {
                RecvTimeoutError::Timeout => Failure::unknown("ask the runner: it took too long".to_owned()),
                RecvTimeoutError::Disconnected => Failure::unknown(gone.to_owned()),
            }),
            Err(_) => Err(Failure::unsent(gone.to_owned())),
        };
        lock(&self.waiting).remove(&ask.id);
        let answer = answer?;
        match answer.cause {
            Some(cause) => Err(Failure { fate: Fate::of(answer.fate), ..Failure::unknown(cause) }),
            None => Ok(answer),
        }
    }
}

impl Outside for Line {
    fn addresses(&self, host: &str, until: Instant) -> io::Result<Vec<IpAddr>> {
        let ask = Ask { host: Some(host.to_owned()), ..Ask::default() };
        let answer = self.ask(ask, until).map_err(|failure| io::Error::other(failure.cause))?;
        Ok(answer.addresses.iter().take(MAX_ADDRESSES).filter_map(|address| address.parse().ok()).collect())
    }

    fn run(&self, action: &str, message: &Message, until: Instant) -> Result<(), Failure> {
        let message = serde_json::to_vec(message);
        let message = message.map_err(|cause| Failure::refused(format!("hand over a message: {cause}")))?;
        self.ask(Ask { action: Some(action.to_owned()), message, ..Ask::default() }, until).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::action::Settings;

    /// The end of the courier of a link to a runner with these actions.
    fn linked(actions: &str) -> (Arc<Line>, Arc<Here>) {
        let text: HashMap<String, Settings> = toml::from_str(actions).unwrap();
        let here = Arc::new(Here::new(text["action"].clone(), Box::new(|_| {})));
        let (ours, theirs) = UnixStream::pair().unwrap();
        let serving = Arc::clone(&here);
        std::thread::spawn(move || serve(&serving, &theirs));
        let line = Arc::<Line>::default();
        line.open(ours, || {}).unwrap();
        (line, here)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn only_what_is_configured_is_run_and_looked_up() {
        let actions = "[[action]]\nname = 'page'\ncommand = { argv = ['/bin/sh', '-c', 'exit 7'] }\n\
                       [[action]]\nname = 'hook'\nwebhook = { url = 'https://localhost/x' }";
        let (line, _here) = linked(actions);
        let failed = line.run("page", &Message::default(), soon()).unwrap_err();
        assert_eq!(failed, Failure::unknown("run /bin/sh: it ended with 7".to_owned()));
        let failed = line.run("hook", &Message::default(), soon()).unwrap_err();
        assert_eq!(failed, Failure::unsent("run hook: no such command is configured".to_owned()));
        assert!(line.addresses("localhost", soon()).unwrap().iter().all(IpAddr::is_loopback));
        assert_eq!(line.addresses("elsewhere.example", soon()).unwrap_err().to_string(), "no action goes there");
    }

    /// Names that nobody answers, and programs that end at once.
    struct Deaf(Mutex<std::sync::mpsc::Receiver<()>>);

    impl Outside for Deaf {
        fn addresses(&self, _: &str, _: Instant) -> io::Result<Vec<IpAddr>> {
            let _ = lock(&self.0).recv();
            Ok(Vec::new())
        }

        fn run(&self, _: &str, _: &Message, _: Instant) -> Result<(), Failure> {
            Ok(())
        }
    }

    #[test]
    fn names_that_nobody_answers_hold_up_no_program() {
        let (end, gate) = std::sync::mpsc::channel();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let serving = std::thread::spawn(move || serve(&Arc::new(Deaf(Mutex::new(gate))), &theirs));
        for id in 0..100 {
            let ask = Ask { id, left: 1000, host: Some("deaf.example".to_owned()), ..Ask::default() };
            link::write(&mut &ours, &ask).unwrap();
        }
        let message = serde_json::to_vec(&Message::default()).unwrap();
        let ask = Ask { id: 100, left: 1000, action: Some("page".to_owned()), message, ..Ask::default() };
        link::write(&mut &ours, &ask).unwrap();
        let next = || link::read::<Answer>(&mut &ours, MAX_ANSWER).unwrap().unwrap();
        let answers: Vec<Answer> = (0..=100 - NAMES).map(|_| next()).collect();
        let page = answers.iter().find(|answer| answer.id == 100).unwrap();
        assert_eq!(page.cause, None);
        drop(end);
        ours.shutdown(Shutdown::Write).unwrap();
        serving.join().unwrap().unwrap();
    }

    #[test]
    fn what_runs_is_killed_with_the_runner() {
        let (line, here) = linked("[[action]]\nname = 'page'\ncommand = { argv = ['/bin/sleep', '1000'] }");
        let asking = std::thread::spawn(move || line.run("page", &Message::default(), soon()));
        // whether it has begun already or begins later
        here.end();
        assert!(asking.join().unwrap().unwrap_err().cause.ends_with("signal 9 ended it"));
    }

    #[test]
    fn a_runner_that_has_gone_is_not_waited_for() {
        let line = Arc::<Line>::default();
        assert_eq!(line.run("page", &Message::default(), soon()).unwrap_err().fate, Fate::Unsent);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (told, lost) = std::sync::mpsc::channel();
        line.open(ours, move || told.send(()).unwrap()).unwrap();
        let asking = {
            let line = Arc::clone(&line);
            std::thread::spawn(move || line.run("page", &Message::default(), Instant::now() + Duration::from_hours(1)))
        };
        assert!(link::read::<Ask>(&mut &theirs, MAX_ERRAND).unwrap().is_some());
        drop(theirs);
        lost.recv_timeout(Duration::from_secs(20)).unwrap();
        let failed = asking.join().unwrap().unwrap_err();
        assert_eq!(failed, Failure::unknown("ask the runner: it is not there".to_owned()));
        assert_eq!(line.run("page", &Message::default(), soon()).unwrap_err().cause, "ask the runner: it is not there");
    }
}
