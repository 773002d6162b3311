//! What can happen to the dashboard, and how does it hear of it?
//!
//! Everything arrives on one channel: keys from a reading thread, samples from the host, signals, and the output thread
//! when the terminal has caught up. The loop blocks on it, so an idle dashboard costs nothing.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::Error;

/// Something that happened.
pub(super) enum Event {
    /// A key, the mouse, a paste or a new size.
    Input(crossterm::event::Event),
    /// Input has ended.
    Gone,
    /// The host has new samples.
    Samples,
    /// The configuration has changed.
    Config(Box<super::Config>),
    /// Something to tell the user: the configuration could not be used.
    Message(String),
    /// A signal.
    Signal(i32),
    /// The terminal took a frame, or will take no more.
    Written(Result<(), std::io::Error>),
}

/// Tells the dashboard that there are new samples; given to the host.
#[derive(Clone)]
pub struct Wake(Sender<Event>);

impl Wake {
    /// There are new samples.
    pub fn samples(&self) {
        let _ = self.0.send(Event::Samples);
    }

    /// There is another configuration.
    pub fn config(&self, config: super::Config) {
        let _ = self.0.send(Event::Config(Box::new(config)));
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

/// Starts the threads that read keys and signals.
///
/// # Errors
/// [`Error::Terminal`] when they cannot be started.
pub(super) fn listen(sender: &Sender<Event>) -> Result<(), Error> {
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    let fail = |op| move |cause| Error::Terminal { op, cause };
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT])
        .map_err(fail("watch signals of"))?;
    let theirs = sender.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if theirs.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        })
        .map_err(fail("watch signals of"))?;
    let theirs = sender.clone();
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            while let Ok(event) = crossterm::event::read() {
                if theirs.send(Event::Input(event)).is_err() {
                    return;
                }
            }
            let _ = theirs.send(Event::Gone);
        })
        .map_err(fail("read keys from"))?;
    Ok(())
}
