//! What becomes of an action that takes its time?
//!
//! This machine answers at once. A host far away may not: the screen waits a moment, then goes on, and tells the outcome
//! when it comes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use super::app::App;
use crate::model::{Action, ActionError, Connection, Level, Timestamp};
use crate::panel::Target;

/// So long the screen waits for an outcome.
const WAIT: Duration = Duration::from_millis(200);
/// Actions without an outcome at once at most.
const MOST: usize = 8;

/// What a person has asked for, to be told of.
pub(super) enum What {
    /// A signal by its name.
    Signal(&'static str),
    /// Another nice value, and when the old one was read.
    Nice(i32, Option<Timestamp>),
}

/// An action without an outcome yet.
pub(super) struct Acting {
    what: What,
    target: Target,
    outcome: Receiver<Result<(), ActionError>>,
}

/// Does something to a process, and tells what came of it now or later.
pub(super) fn act(app: &mut App, action: Action, target: Target, what: What) {
    if let Some(why) = app.host.refusal() {
        app.say(format!("nothing is done: {why}"), Level::Warning);
        return;
    }
    if app.host.connection() == Connection::Local {
        let outcome = app.host.act(&action);
        tell(app, &what, target, outcome);
        return;
    }
    if app.acting.len() >= MOST {
        app.say("nothing is done: too many actions have no outcome yet", Level::Warning);
        return;
    }
    let (sender, outcome) = channel();
    let (host, wake) = (Arc::clone(&app.host), app.wake.clone());
    let started = std::thread::Builder::new().name("action".to_owned()).spawn(move || {
        // a dashboard that has ended wants no outcome
        let _ = sender.send(host.act(&action));
        if let Some(wake) = wake {
            wake.samples();
        }
    });
    if let Err(cause) = started {
        app.say(format!("nothing is done: start a thread: {cause}"), Level::Warning);
        return;
    }
    match outcome.recv_timeout(WAIT) {
        Ok(done) => tell(app, &what, target, done),
        Err(RecvTimeoutError::Disconnected) => app.say("the action has no outcome", Level::Warning),
        Err(RecvTimeoutError::Timeout) => {
            app.say(format!("{} (pid {}): waiting for the host", target.name, target.pid), Level::Careful);
            app.acting.push(Acting { what, target, outcome });
        }
    }
}

/// Tells the outcomes that have come.
pub(super) fn look(app: &mut App) {
    for one in std::mem::take(&mut app.acting) {
        match one.outcome.try_recv() {
            Ok(done) => tell(app, &one.what, one.target, done),
            Err(TryRecvError::Empty) => app.acting.push(one),
            Err(TryRecvError::Disconnected) => app.say("the action has no outcome", Level::Warning),
        }
    }
}

fn tell(app: &mut App, what: &What, target: Target, outcome: Result<(), ActionError>) {
    let (name, pid) = (&target.name, target.pid);
    match (what, outcome) {
        (What::Signal(word), Ok(())) => app.say(format!("sent {word} to {name} (pid {pid})"), Level::Ok),
        (What::Signal(word), Err(cause)) => app.say(format!("{word}: {cause}"), Level::Warning),
        (What::Nice(nice, taken), Ok(())) => {
            app.say(format!("{name} (pid {pid}): nice {nice}"), Level::Ok);
            let now = app.present();
            app.niced = Some((target, taken.map_or(now, |taken| taken.max(now)), *nice));
        }
        (What::Nice(..), Err(cause)) => app.say(cause.to_string(), Level::Warning),
    }
}
