//! Who keeps the agent up?
//!
//! The supervisor starts the sampler and the front as processes of their own, a courier where something goes out and a runner
//! for what that cannot do itself, joins them, starts again what has ended, and ends with them. It does nothing else: no network input and no data pass through it.
//! Children end when it does, however it ends ([`super::child`]).

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::bond::Bonds;
use super::child::spawn;
use super::courier;
use super::kept::Files;
use super::ledger::Ledger;
use super::listen::Listeners;
use super::memory::Memory;
use super::notify::{self, Notify};
use super::pass::{self, Word};
use super::runner;
use super::{Configuration, Level, Log, Settings, Source};
use crate::model::unit;

/// Longest wait for children to end on their own, and for those that were killed: the kernel may keep one for ever, for the
/// sake of a disk that does not answer.
const FAREWELL: Duration = Duration::from_millis(1500);
const BURIAL: Duration = Duration::from_millis(200);

/// Shortest and longest wait before a child that ended is started again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A child that lived so long has not failed at the start.
const SETTLED: Duration = Duration::from_secs(10);

/// Words of a child that are heard before something else is looked at: one that was taken over may never stop.
const WORDS: usize = 64;

/// How much longer a child is given that seems to hang.
const DOUBT: Duration = Duration::from_secs(3);

/// A process of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Collects.
    Sampler,
    /// Serves.
    Front,
    /// Asks and tells other hosts.
    Courier,
    /// Looks up names and runs programs for that.
    Runner,
}

impl Part {
    /// Name on the command line and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sampler => "sampler",
            Self::Front => "front",
            Self::Courier => "courier",
            Self::Runner => "runner",
        }
    }
}

/// A child, or the wait for its next start.
struct Keeper {
    part: Part,
    running: Option<Running>,
    /// Whether it has ever run.
    begun: bool,
    wait: Duration,
    due: Instant,
}

struct Running {
    child: Child,
    control: UnixStream,
    since: Instant,
    /// When it was heard last.
    heard: Instant,
    /// Whether it was ended so that another one takes its place.
    replaced: bool,
    /// Since when it is believed to hang: one more look, because all of this machine may have been stopped.
    suspect: Option<Instant>,
    /// Whether it was killed for that. It is not waited for: it may be the kernel that hangs.
    killed: bool,
}

/// Everything that keeps the agent up.
struct Supervisor<'a> {
    source: &'a dyn Source,
    configured: Configuration,
    arguments: &'a [std::ffi::OsString],
    listeners: &'a Listeners,
    files: Files,
    ledger: Ledger,
    memory: Memory,
    notify: Notify,
    log: &'a Log,
    bonds: Bonds,
}

/// Starts the agent and keeps it up until a signal ends it.
///
/// # Errors
/// A child cannot be started at all, the first time.
pub(super) fn run(
    source: &dyn Source,
    configured: Configuration,
    arguments: &[std::ffi::OsString],
    listeners: &Listeners,
    files: Files,
    log: &Log,
) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD])?;
    let (wake, waker) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGCHLD] {
        signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
    }
    wake.set_nonblocking(true)?;
    let ledger = Ledger::open(&configured.trail, log);
    let memory = Memory::open(&configured.serve.state, log);
    let mut supervisor = Supervisor {
        source,
        configured,
        arguments,
        listeners,
        files,
        ledger,
        memory,
        notify: Notify::new(),
        log,
        bonds: Bonds::new(),
    };
    let mut keepers: Vec<Keeper> = [Part::Sampler, Part::Front].map(Keeper::new).into();
    supervisor.hire(&mut keepers);
    'up: loop {
        for signal in signals.pending() {
            match signal {
                SIGTERM | SIGINT => break 'up,
                SIGHUP => supervisor.reload(&mut keepers),
                _ => {}
            }
        }
        if supervisor.files.look(&|message| log.say(Level::Notice, message)) {
            for keeper in &mut keepers {
                keeper.tell(&supervisor.files);
            }
        }
        if supervisor.ledger.look(log) {
            supervisor.hand_ledger(&keepers);
        }
        for keeper in &mut keepers {
            keeper.look(&mut supervisor)?;
            if keeper.running.is_none() && keeper.due <= Instant::now() && keeper.begin(&supervisor)? {
                supervisor.bonds.begun(keeper.part);
            }
        }
        let control =
            |part| keepers.iter().find(|keeper| keeper.part == part)?.running.as_ref().map(|one| &one.control);
        supervisor.bonds.join(&control, log);
        sleep(&wake, &keepers, &supervisor)?;
    }
    notify::tell("STOPPING=1");
    end(&mut keepers);
    Ok(())
}

impl Supervisor<'_> {
    /// Reads the configuration again; a wrong one changes nothing.
    fn reload(&mut self, keepers: &mut Vec<Keeper>) {
        notify::reloading();
        let read = self.source.read().and_then(|new| Ok((self.refiled(&new)?, new)));
        match read {
            Ok((files, new)) => self.adopt(new, files, keepers),
            Err(cause) => self.log.say(Level::Error, &format!("the old configuration stays in force: {cause}")),
        }
        self.notify.reloaded();
    }

    /// Other files for the front, if the configuration names others.
    fn refiled(&self, new: &Configuration) -> Result<Option<Files>, String> {
        let places = |settings: &Settings| {
            let Settings { tokens, certificate, key, client_ca, state, .. } = settings.clone();
            [tokens, certificate, key, client_ca, state]
        };
        if places(&new.serve) == places(&self.configured.serve) {
            return Ok(None);
        }
        let (files, told) = super::files(&new.serve, self.listeners.away()).map_err(|error| error.to_string())?;
        for message in told {
            self.log.say(Level::Notice, &message);
        }
        Ok(Some(files))
    }

    fn adopt(&mut self, new: Configuration, files: Option<Files>, keepers: &mut Vec<Keeper>) {
        self.log.say(Level::Notice, "the configuration was read again");
        self.tell_places(&new.serve);
        self.ledger.reopen(&new.trail, self.log);
        let refiled = files.is_some();
        if let Some(files) = files {
            self.files = files;
        }
        let again = !new.serves_as(&self.configured);
        // what it may connect to was settled when it was enclosed
        let goes_elsewhere = courier::ways(&new) != courier::ways(&self.configured);
        let runs_otherwise = runner::runs(&new) != runner::runs(&self.configured);
        self.configured = new;
        for keeper in keepers.iter_mut() {
            match (&mut keeper.running, keeper.part) {
                (Some(running), Part::Sampler) => {
                    // one that has ended meanwhile gets it when it starts
                    let _ = self.configured.send(&running.control).and_then(|()| self.ledger.hand(&running.control));
                }
                (Some(running), Part::Front) if again => {
                    self.log.say(Level::Notice, "the front is started again for it; clients connect anew");
                    let _ = running.child.kill();
                    running.replaced = true;
                }
                (Some(_), Part::Front) if refiled => keeper.tell(&self.files),
                (Some(running), Part::Courier) if goes_elsewhere && courier::is_wanted(&self.configured) => {
                    let _ = running.child.kill();
                    running.replaced = true;
                }
                (Some(running), Part::Runner) if runs_otherwise && runner::is_wanted(&self.configured) => {
                    let _ = running.child.kill();
                    running.replaced = true;
                }
                (Some(running), Part::Runner) => drop(self.configured.send(&running.control)),
                (Some(running), Part::Courier) => {
                    let sent = self.configured.send(&running.control);
                    let _ = sent.and_then(|()| courier::hand(&self.configured, &running.control, self.log));
                }
                _ => {}
            }
        }
        self.hire(keepers);
    }

    /// Keeps a courier while something goes out, with a runner if that takes one, and ends them when nothing does.
    fn hire(&self, keepers: &mut Vec<Keeper>) {
        let wanted = [
            (Part::Courier, courier::is_wanted(&self.configured)),
            (Part::Runner, runner::is_wanted(&self.configured)),
        ];
        for (part, is_wanted) in wanted {
            match (keepers.iter().position(|keeper| keeper.part == part), is_wanted) {
                (None, true) => keepers.push(Keeper::new(part)),
                (Some(at), false) => end(&mut [keepers.remove(at)]),
                _ => {}
            }
        }
    }

    /// Gives the sampler the file of changes, if it runs: one that starts gets it then.
    fn hand_ledger(&self, keepers: &[Keeper]) {
        let sampler = keepers.iter().find(|keeper| keeper.part == Part::Sampler);
        if let Some(running) = sampler.and_then(|keeper| keeper.running.as_ref()) {
            let _ = self.ledger.hand(&running.control);
        }
    }

    /// Says what a restart would change.
    fn tell_places(&self, new: &Settings) {
        let place = |settings: &Settings| {
            let Settings { listen, socket, socket_mode, socket_group, .. } = settings.clone();
            (listen, socket, socket_mode, socket_group)
        };
        if place(new) != place(&self.configured.serve) && !self.listeners.handed {
            let now = self.listeners.names().join(", ");
            let told = format!("still listening on {now}: where the agent listens changes when it is restarted");
            self.log.say(Level::Warning, &told);
        }
    }
}

/// Waits for a signal, a word of a child, the next start, or the end of patience.
fn sleep(wake: &UnixStream, keepers: &[Keeper], supervisor: &Supervisor<'_>) -> io::Result<()> {
    let (silence, files) = (supervisor.configured.serve.silence.0, &supervisor.files);
    let linked = supervisor.bonds.due().map(|due| due.saturating_duration_since(Instant::now()));
    let due = keepers.iter().map(|keeper| keeper.deadline(silence)).min();
    let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
    let wait = wait.into_iter().chain(files.patience()).chain(supervisor.ledger.patience()).chain(linked).min();
    let wait = wait.map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) });
    let mut fds = vec![PollFd::new(wake, PollFlags::IN)];
    let running = keepers.iter().filter_map(|keeper| keeper.running.as_ref());
    fds.extend(files.changes().map(|changes| PollFd::new(changes, PollFlags::IN)));
    fds.extend(running.map(|running| PollFd::new(&running.control, PollFlags::IN)));
    match poll(&mut fds, wait.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(cause) => return Err(cause.into()),
    }
    let mut bytes = [0; 64];
    while rustix::io::read(wake, &mut bytes).is_ok_and(|read| read > 0) {}
    Ok(())
}

/// Ends the children.
fn end(keepers: &mut [Keeper]) {
    let children: Vec<Running> = keepers.iter_mut().filter_map(|keeper| keeper.running.take()).collect();
    let until = Instant::now() + FAREWELL;
    // a child ends when its control socket does; all at once
    let children: Vec<Child> = children.into_iter().map(|running| running.child).collect();
    for mut child in children {
        if !is_gone(&mut child, until) {
            let _ = child.kill();
            is_gone(&mut child, Instant::now() + BURIAL);
        }
    }
}

/// Waits for the end of a child; whether it came in time.
fn is_gone(child: &mut Child, until: Instant) -> bool {
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= until {
            return false;
        }
        let _ = poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 }));
    }
    true
}

impl Keeper {
    fn new(part: Part) -> Self {
        Self { part, running: None, begun: false, wait: AGAIN.0, due: Instant::now() }
    }

    /// Starts the child, and says whether it runs now. One that has run before may fail to: then it is tried again later.
    fn begin(&mut self, supervisor: &Supervisor<'_>) -> io::Result<bool> {
        let Err(cause) = self.start(supervisor) else {
            self.begun = true;
            return Ok(true);
        };
        if !self.begun {
            return Err(cause);
        }
        self.wait = (self.wait * 2).min(AGAIN.1);
        self.due = Instant::now() + self.wait;
        let (part, again) = (self.part.name(), unit::duration(self.wait));
        supervisor.log.say(Level::Error, &format!("the {part} cannot be started: {cause}; tried again in {again}"));
        Ok(false)
    }

    /// Hears what the child says, and whether it has ended or hangs.
    fn look(&mut self, supervisor: &mut Supervisor<'_>) -> io::Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        for _ in 0..WORDS {
            let Ok(Some((word, _))) = pass::receive(&running.control) else { break };
            (running.heard, running.suspect) = (Instant::now(), None);
            match (self.part, word) {
                (Part::Front, Word::Ready) => supervisor.notify.front(),
                (Part::Front | Part::Courier, Word::Link | Word::Runner) => supervisor.bonds.parted(self.part, word),
                (Part::Courier, Word::Users) => {
                    let _ = courier::hand_users(&running.control);
                }
                (Part::Sampler, Word::Alive) => supervisor.notify.sampler(),
                (Part::Sampler, Word::Trail) => {
                    supervisor.ledger.turn(supervisor.log);
                    let _ = supervisor.ledger.hand(&running.control);
                }
                _ => {}
            }
        }
        if !running.killed && running.heard.elapsed() > supervisor.configured.serve.silence.0 {
            let since = *running.suspect.get_or_insert_with(Instant::now);
            if since.elapsed() >= DOUBT {
                let silent = unit::duration(running.heard.elapsed());
                let lost = if self.part == Part::Sampler { ", with what it remembers" } else { "" };
                let told = format!("the {} has said nothing for {silent}; it is ended{lost}", self.part.name());
                supervisor.log.say(Level::Error, &told);
                running.child.kill()?;
                running.killed = true;
            }
        }
        let Some(status) = running.child.try_wait()? else { return Ok(()) };
        if running.replaced {
            (self.running, self.due) = (None, Instant::now());
            return Ok(());
        }
        self.wait = if running.since.elapsed() > SETTLED { AGAIN.0 } else { (self.wait * 2).min(AGAIN.1) };
        self.due = Instant::now() + self.wait;
        self.running = None;
        let (part, again) = (self.part.name(), unit::duration(self.wait));
        supervisor.log.say(Level::Error, &format!("the {part} has ended ({status}); it is started again in {again}"));
        Ok(())
    }

    /// When it must be looked at, whatever happens.
    fn deadline(&self, silence: Duration) -> Instant {
        match &self.running {
            None => self.due,
            // its end is a signal
            Some(running) if running.killed => Instant::now() + SETTLED,
            Some(running) => match running.suspect {
                Some(since) => since + DOUBT,
                None => running.heard + silence + Duration::from_millis(1),
            },
        }
    }

    /// Tells the front what changed on the disk.
    fn tell(&mut self, files: &Files) {
        if let (Part::Front, Some(running)) = (self.part, &mut self.running)
            && files.send(&running.control).is_err()
        {
            // one that cannot hear of a revoked token must not go on
            let _ = running.child.kill();
        }
    }

    fn start(&mut self, supervisor: &Supervisor<'_>) -> io::Result<()> {
        let (control, theirs) = UnixStream::pair()?;
        let mut child = spawn(self.part, supervisor.arguments, theirs.into())?;
        // one that has ended meanwhile is noticed by its end
        let _ = supervisor.configured.send(&control);
        let _ = match self.part {
            Part::Sampler => supervisor.ledger.hand(&control).and_then(|()| supervisor.memory.hand(&control)),
            Part::Front => hand_over(&control, supervisor.listeners, &supervisor.files),
            Part::Courier => courier::hand(&supervisor.configured, &control, supervisor.log),
            Part::Runner => Ok(()),
        };
        if let Err(cause) = control.set_nonblocking(true) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(cause);
        }
        let now = Instant::now();
        self.running =
            Some(Running { child, control, since: now, heard: now, replaced: false, suspect: None, killed: false });
        Ok(())
    }
}

/// Gives the front what it needs of the disk, and its listening sockets.
fn hand_over(control: &UnixStream, listeners: &Listeners, files: &Files) -> io::Result<()> {
    // nobody comes before it is known who may
    files.send(control)?;
    for listener in &listeners.tcp {
        pass::send(control, Word::Tcp, Some(listener.as_fd()))?;
    }
    for listener in &listeners.unix {
        pass::send(control, Word::Unix, Some(listener.as_fd()))?;
    }
    pass::send(control, Word::Ready, None)
}
