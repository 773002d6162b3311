//! Who samples while nobody, or anybody, looks?
//!
//! The sampler is a process of its own: it has the capabilities that collectors need and no network. It samples on its own
//! clock, keeps the past, and answers typed questions of its readers over socket pairs that the supervisor hands to it; it
//! never evaluates an expression of a client. A reader that is slow is told less often, and delays nobody.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::courier::Receiver;
use super::pass::{self, Word};
use super::{Configuration, Level, Log, link};
use crate::alert::Outbox;
use crate::alert::dispatch::{Dispatch, Recipient};
use crate::alert::run::{self as watch, Rules, Watcher};
use crate::collect::{Capabilities, EVERY_SECOND, schedule};
use crate::model::{Allowed, Done, Host, Text, Timestamp, lock};
use crate::source::file::Roots;
use crate::source::netns::Selection;
use crate::source::routing::settings::Wishes;
use crate::source::trail::{self, Hand, News, Trail};
use crate::store::level::Thresholds;
use crate::store::local::{LocalHost, Options};
use crate::wire::frame::Frames;
use crate::wire::{convert, proto, schema};

/// Threads of readers that may still be on their way out when another reader comes.
const MAX_LEAVING: usize = 8;

/// Tells writers that something changed.
#[derive(Default)]
struct Changes {
    generation: Mutex<u64>,
    more: Condvar,
}

impl Changes {
    fn tell(&self) {
        *lock(&self.generation) += 1;
        self.more.notify_all();
    }

    /// Waits until something changed after `seen`.
    fn after(&self, seen: u64) -> u64 {
        let generation = lock(&self.generation);
        *self.more.wait_while(generation, |generation| *generation == seen).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Samples until the supervisor closes `control`; each descriptor that comes over it is a reader.
///
/// # Errors
/// A thread could not be started, or the control socket broke.
pub(super) fn run(configured: Configuration, control: &UnixStream, log: &Log) -> io::Result<()> {
    let needs = configured.needs();
    let rules = rules(&configured, log);
    let outbox = Arc::<Outbox>::default();
    let dispatch = Dispatch::new(recipients(&configured), Arc::clone(&outbox), hostname());
    let changes = Arc::new(Changes::default());
    let roots = Roots::live().choosing(Selection::host_and(configured.netns))?;
    let actions = allowed(configured.serve.allow_actions);
    let trail = Arc::clone(&roots.trail);
    write_down(&trail, control, configured.trail, log)?;
    let routing = Arc::clone(&roots.routing);
    routing.leave_routers();
    routing.configure(configured.routing);
    let alarm = Arc::clone(&roots.alarm);
    let options = Options { roots, settings: configured.collect, tick: EVERY_SECOND, actions };
    let (told, rung) = (Arc::clone(&changes), Arc::clone(&alarm));
    let changed = move || {
        told.tell();
        rung.ring();
    };
    let host = LocalHost::start(options, Box::new(changed))?;
    let watcher = Watcher::start(watch::Options {
        host: Arc::clone(&host) as Arc<dyn Host>,
        board: alarm,
        rules,
        dispatch,
        hear: Box::new(|_| {}),
        is_kept: true,
    })?;
    alive(control.try_clone()?, Arc::clone(&changes))?;
    let log = log.clone();
    let started = Timestamp::now();
    let mut seats = Seats { host, changes, log, started, reader: 0, last: Weak::new(), taken: Arc::default() };
    let mut courier = Receiver::new(outbox);
    while let Some((word, descriptor)) = pass::receive(control)? {
        match (word, descriptor) {
            (Word::Configuration, Some(file)) => {
                reload((&seats.host, &watcher), &trail, &routing, file, needs, &seats.log);
            }
            (Word::Trail, file) => trail.hand(file.map_or(Hand::Refused, |file| Hand::File(Arc::new(file.into())))),
            (Word::Taken, _) => trail.hand(Hand::Taken),
            (Word::Alerts, file) => watcher.keep(file.map(Into::into)),
            (Word::Courier, Some(socket)) => {
                if let Err(cause) = courier.take(socket.into(), Arc::clone(&routing.board), &seats.log) {
                    seats.log.say(Level::Error, &format!("the sampler hears no courier: {cause}"));
                }
            }
            (Word::Link, Some(socket)) => {
                if let Err(cause) = seats.take(socket.into()) {
                    seats.log.say(Level::Error, &format!("the sampler takes no link: {cause}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The rules of alerts that make sense; the others are named.
fn rules(configured: &Configuration, log: &Log) -> Rules {
    let thresholds = Thresholds::new(&configured.threshold, schedule::tables().iter().copied());
    let (rules, wrong) = Rules::new(&configured.alerts, thresholds.unwrap_or_default());
    for mistake in wrong {
        log.say(Level::Error, &mistake);
    }
    for idle in rules.idle(&configured.alerts, Timestamp::now()) {
        log.say(Level::Warning, &idle);
    }
    rules
}

/// Lets changes of the packet filter be written down.
///
/// # Errors
/// There is no descriptor.
fn write_down(trail: &Trail, control: &UnixStream, settings: trail::Settings, log: &Log) -> io::Result<()> {
    let asking = control.try_clone()?;
    // one that is not heard is asked again with the next change
    trail.ask(Box::new(move || drop(pass::send_now(&asking, Word::Trail))));
    let telling = log.clone();
    trail.tell(Box::new(move |news| {
        let level = if let News::Broken(_) = news { Level::Error } else { Level::Notice };
        telling.say(level, &news.to_string());
    }));
    trail.configure(settings);
    Ok(())
}

/// What the host calls itself.
fn hostname() -> String {
    Text::new(rustix::system::uname().nodename().to_bytes()).to_string()
}

/// Who is told of alerts.
fn recipients(configured: &Configuration) -> Vec<Recipient> {
    configured.actions.iter().map(Recipient::of).collect()
}

/// What is done for those who may ask for it.
fn allowed(actions: bool) -> Allowed {
    if actions { Allowed::Everything } else { Allowed::Nothing }
}

/// Samples what is configured now; what is known and remembered stays.
fn reload(
    (host, watcher): (&LocalHost, &Watcher),
    trail: &Trail,
    routing: &Wishes,
    file: OwnedFd,
    has: Capabilities,
    log: &Log,
) {
    let reloaded = Configuration::take(file).and_then(|configured| {
        let lacks = configured.needs() - has;
        if !lacks.is_empty() {
            let lacks = lacks.iter_names().map(|(name, _)| format!("CAP_{name}")).collect::<Vec<_>>().join(", ");
            let told =
                format!("the sampler has given up {lacks}, which the new configuration can use; restart the agent");
            log.say(Level::Warning, &told);
        }
        host.allow(allowed(configured.serve.allow_actions));
        watcher.configure(rules(&configured, log), recipients(&configured));
        trail.configure(configured.trail);
        routing.configure(configured.routing);
        host.reload(Selection::host_and(configured.netns), configured.collect, EVERY_SECOND)
    });
    if let Err(cause) = reloaded {
        log.say(Level::Error, &format!("the sampler keeps the old configuration: {cause}"));
    }
}

/// Tells the supervisor of life, from the loop that samples: once a second at most.
fn alive(control: UnixStream, changes: Arc<Changes>) -> io::Result<()> {
    let tell = move || {
        let (mut seen, mut told) = (0, None::<Instant>);
        loop {
            seen = changes.after(seen);
            if told.is_none_or(|told| told.elapsed() >= Duration::from_secs(1)) {
                if pass::send(&control, Word::Alive, None).is_err() {
                    return;
                }
                told = Some(Instant::now());
            }
        }
    };
    std::thread::Builder::new().name("alive".to_owned()).spawn(tell)?;
    Ok(())
}

/// Where readers come. There is one front: whoever comes takes the place of who was there before, so that a front that was
/// taken over gets no more threads by asking for more links.
struct Seats {
    host: Arc<LocalHost>,
    changes: Arc<Changes>,
    log: Log,
    started: Timestamp,
    /// How many came.
    reader: u64,
    last: Weak<UnixStream>,
    /// Held by both threads of each reader.
    taken: Arc<()>,
}

impl Seats {
    /// Begins to tell a reader, and ends the one before.
    ///
    /// # Errors
    /// There is no thread for it, or too many before it are not gone yet. Its link is closed then, so that it comes again.
    fn take(&mut self, socket: UnixStream) -> io::Result<()> {
        if let Some(last) = self.last.upgrade() {
            let _ = last.shutdown(std::net::Shutdown::Both);
        }
        if Arc::strong_count(&self.taken) > MAX_LEAVING {
            return Err(io::Error::other("those before are not gone yet"));
        }
        self.reader += 1;
        let socket = Arc::new(socket);
        let last = Arc::downgrade(&socket);
        let seat = Seat {
            host: Arc::clone(&self.host),
            changes: Arc::clone(&self.changes),
            log: self.log.clone(),
            socket,
            reader: self.reader,
            started: self.started,
            _taken: Arc::clone(&self.taken),
        };
        seat.start()?;
        self.last = last;
        Ok(())
    }
}

/// One reader.
#[derive(Clone)]
struct Seat {
    host: Arc<LocalHost>,
    changes: Arc<Changes>,
    /// Where it is noted what was done.
    log: Log,
    socket: Arc<UnixStream>,
    reader: u64,
    started: Timestamp,
    _taken: Arc<()>,
}

impl Seat {
    /// Starts its two threads; one that is alone ends.
    fn start(self) -> io::Result<()> {
        let writer = self.clone();
        let (answers, waiting) = std::sync::mpsc::sync_channel::<proto::Answer>(64);
        let changes = Arc::clone(&self.changes);
        std::thread::Builder::new().name(format!("tell-{}", self.reader)).spawn(move || {
            // a reader that has gone ends its link, and nothing else
            let _ = writer.tell(&waiting);
            let _ = writer.socket.shutdown(std::net::Shutdown::Both);
        })?;
        std::thread::Builder::new().name(format!("hear-{}", self.reader)).spawn(move || {
            let _ = self.hear(&answers);
            drop(answers);
            self.host.demand(self.reader, Vec::new());
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
            changes.tell();
        })?;
        Ok(())
    }

    /// Tells what changes until the reader is gone.
    fn tell(&self, answers: &std::sync::mpsc::Receiver<proto::Answer>) -> io::Result<()> {
        let mut socket = &*self.socket;
        let describe = proto::answer::Answer::Describe(self.describe());
        link::write(&mut socket, &proto::Answer { id: 0, answer: Some(describe) })?;
        let mut frames = Frames::all(schema::own());
        let mut seen = 0;
        loop {
            loop {
                match answers.try_recv() {
                    Ok(answer) => link::write(&mut socket, &answer)?,
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(()),
                }
            }
            let frame = frames.next(&self.host.latest());
            if !frame.tables.is_empty() {
                let frame = proto::answer::Answer::Frame(frame);
                link::write(&mut socket, &proto::Answer { id: 0, answer: Some(frame) })?;
            }
            seen = self.changes.after(seen);
        }
    }

    /// Answers questions until the reader is gone.
    fn hear(&self, answers: &std::sync::mpsc::SyncSender<proto::Answer>) -> io::Result<()> {
        let mut socket = &*self.socket;
        while let Some(ask) = link::read::<proto::Ask>(&mut socket, link::MAX_ASK)? {
            let answer = self.answer(ask.ask)?;
            if answers.send(proto::Answer { id: ask.id, answer }).is_err() {
                return Ok(());
            }
            self.changes.tell();
        }
        Ok(())
    }

    fn answer(&self, ask: Option<proto::ask::Ask>) -> io::Result<Option<proto::answer::Answer>> {
        use proto::answer::Answer;
        use proto::ask::Ask;
        Ok(match ask {
            None => None,
            Some(Ask::Demands(demands)) => {
                let demands = convert::demands(&demands.demands);
                self.host
                    .demand(self.reader, demands.map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))?);
                None
            }
            Some(Ask::History(request)) => {
                let series = self.host.history(&convert::ask(&request));
                Some(Answer::History(convert::from_series(series.as_ref())))
            }
            Some(Ask::Act(request)) => Some(Answer::Act(match convert::action(&request) {
                Some(action) => {
                    let asker = Text::from(request.asker.as_str());
                    let (done, (word, what)) = (self.host.act_for(asker.clone(), &action), action.aim());
                    self.log.say(
                        Level::Warning,
                        &match &done {
                            Ok(Done { gone: 0 }) => format!("done for {asker}: {word} {what}"),
                            Ok(Done { gone }) => format!("done for {asker}: {word} {what}; {gone} had ended already"),
                            Err(cause) => format!("not done for {asker}: {cause}"),
                        },
                    );
                    convert::from_done(&done)
                }
                None => {
                    proto::ActReply { error: "this agent does not know the action".to_owned(), ..Default::default() }
                }
            })),
        })
    }

    fn describe(&self) -> proto::DescribeReply {
        proto::DescribeReply {
            hash: schema::own().hash.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started.0,
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Seats of a sampler that finds nothing to sample.
    fn seats(nowhere: &std::path::Path) -> Seats {
        let changes = Arc::new(Changes::default());
        let told = Arc::clone(&changes);
        let (roots, settings) = (Roots::recorded(nowhere), crate::collect::settings::Settings::default());
        let options = Options { roots, settings, tick: EVERY_SECOND, actions: Allowed::Nothing };
        let host = LocalHost::start(options, Box::new(move || told.tell())).unwrap();
        let log = Log::default();
        Seats { host, changes, log, started: Timestamp(1), reader: 0, last: Weak::new(), taken: Arc::default() }
    }

    /// Threads that tell or hear readers; each of them holds its seat.
    fn threads(seats: &Seats) -> usize {
        Arc::strong_count(&seats.taken) - 1
    }

    #[test]
    fn a_front_that_takes_link_after_link_has_one() {
        let nowhere = tempfile::tempdir().unwrap();
        let mut seats = seats(nowhere.path());
        let (mut fronts, mut most) = (Vec::new(), 0);
        for _ in 0..2000 {
            let (front, ours) = UnixStream::pair().unwrap();
            front.set_read_timeout(Some(PATIENCE)).unwrap();
            // none of them reads what it is told
            let taken = seats.take(ours).is_ok();
            fronts.push((front, taken));
            most = most.max(threads(&seats));
        }
        assert!(most <= MAX_LEAVING + 2, "{most}");
        assert!(fronts.iter().filter(|(_, taken)| *taken).count() > 1);
        let begin = Instant::now();
        let mut last = loop {
            let (front, ours) = UnixStream::pair().unwrap();
            match seats.take(ours) {
                Ok(()) => break front,
                Err(cause) => assert!(begin.elapsed() < PATIENCE, "{cause}"),
            }
            std::thread::yield_now();
        };
        // all others are at their end, those that were not taken too
        for (mut front, _) in fronts {
            front.read_to_end(&mut Vec::new()).unwrap();
        }
        last.set_read_timeout(Some(PATIENCE)).unwrap();
        let told = link::read::<proto::Answer>(&mut last, crate::wire::MAX_MESSAGE).unwrap().unwrap();
        assert!(matches!(told.answer, Some(proto::answer::Answer::Describe(_))), "{told:?}");
        while threads(&seats) > 2 {
            assert!(begin.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        drop(last);
        while threads(&seats) > 0 {
            assert!(begin.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        assert_eq!(Arc::strong_count(&seats.taken), 1);
    }
}
