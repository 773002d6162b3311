//! What can happen to the dashboard, and how does it hear of it?
//!
//! Everything arrives on one channel: keys from a reading thread, samples from the host, signals, and the output thread
//! when the terminal has caught up. The loop blocks on it, so an idle dashboard costs nothing.

use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Error;
use super::sequence::Cutter;

/// Something that happened.
pub(super) enum Event {
    /// A key, the mouse or a paste; a new size comes as a signal.
    Input(crossterm::event::Event),
    /// Input has ended.
    Gone,
    /// Keys cannot be read.
    Deaf(std::io::Error),
    /// The host has new samples.
    Samples,
    /// The configuration has changed.
    Config(Box<super::Config>),
    /// Something to tell the user: the configuration could not be used.
    Message(String),
    /// An alert of this host fires.
    Bell,
    /// What is to be told by the terminal, where no desktop does: a whole sequence.
    Notify(String),
    /// A signal.
    Signal(i32),
    /// The terminal took a frame, or will take no more.
    Written(Result<(), std::io::Error>),
}

/// Tells the dashboard that there are new samples; given to the host.
#[derive(Clone)]
pub struct Wake(Sender<Event>);

impl Wake {
    /// Another one for the same dashboard.
    pub(super) fn new(events: &Events) -> Self {
        Self(events.sender.clone())
    }

    /// There are new samples.
    pub fn samples(&self) {
        let _ = self.0.send(Event::Samples);
    }

    /// There is another configuration.
    pub fn config(&self, config: super::Config) {
        let _ = self.0.send(Event::Config(Box::new(config)));
    }

    /// An alert fires: rings.
    pub fn bell(&self) {
        let _ = self.0.send(Event::Bell);
    }

    /// What no desktop shows the terminal may.
    pub fn notify(&self, message: &crate::alert::Message) {
        let _ = self.0.send(Event::Notify(crate::alert::desktop::osc(message)));
    }

    /// There is something to tell the user.
    pub fn message(&self, text: &str) {
        let _ = self.0.send(Event::Message(text.to_owned()));
    }
}

/// The receiving end, given to [`super::run`].
pub struct Events {
    pub(super) sender: Sender<Event>,
    pub(super) receiver: Receiver<Event>,
}

/// Both ends.
pub fn events() -> (Wake, Events) {
    let (sender, receiver) = channel();
    (Wake(sender.clone()), Events { sender, receiver })
}

/// Signals that end the dashboard as `q` does. The default of all of them would leave the terminal as it is.
const ENDS: [i32; 12] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGXCPU,
];

/// Starts the threads that read keys and signals.
///
/// # Errors
/// [`Error::Terminal`] or [`Error::Thread`] when they cannot be started.
pub(super) fn listen(sender: &Sender<Event>) -> Result<(), Error> {
    let watched = ENDS.iter().chain(&[libc::SIGTSTP, libc::SIGCONT, libc::SIGWINCH]);
    let mut signals = signal_hook::iterator::Signals::new(watched)
        .map_err(|cause| Error::Terminal { op: "watch signals of", cause })?;
    let theirs = sender.clone();
    thread("signals", move || {
        for signal in signals.forever() {
            if theirs.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    let theirs = sender.clone();
    thread("input", move || {
        let end = match read(&theirs) {
            Ok(()) => Event::Gone,
            Err(cause) => Event::Deaf(cause.into()),
        };
        let _ = theirs.send(end);
    })
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(Error::Thread)
}

/// Reads keys until there are no more.
fn read(keys: &Sender<Event>) -> Result<(), Errno> {
    let mut cutter = Cutter::default();
    let mut bytes = [0; 1024];
    let mut found = Vec::new();
    loop {
        let patience = cutter.patience().and_then(|wait| Timespec::try_from(wait).ok());
        let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)];
        match poll(&mut fds, patience.as_ref()) {
            Ok(0) => cutter.silence(&mut found),
            Ok(_) => match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    for byte in bytes.iter().take(count) {
                        cutter.feed(*byte, &mut found);
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(cause) => return Err(cause),
            },
            Err(Errno::INTR | Errno::NOMEM) => {}
            Err(cause) => return Err(cause),
        }
        for event in found.drain(..) {
            if keys.send(Event::Input(event)).is_err() {
                return Ok(());
            }
        }
    }
}
