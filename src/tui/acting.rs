//! What becomes of an action that takes its time?
//!
//! This machine answers at once. A host far away may not: the screen waits a moment, then goes on, and tells the outcome
//! when it comes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use super::app::App;
use crate::model::{Action, ActionError, Connection, Done, Host, Level, Text, Timestamp};
use crate::panel::Target;

/// So long the screen waits for an outcome.
const WAIT: Duration = Duration::from_millis(200);
/// Actions without an outcome at once at most.
const MOST: usize = 8;

/// What a person has asked for, to be told of.
pub(super) enum What {
    /// A signal by its name.
    Signal(&'static str, Target),
    /// Another nice value, and when the old one was read.
    Nice(i32, Option<Timestamp>, Target),
    /// So many connections that are deleted, in words.
    Delete(usize, String),
    /// Somebody who has gone, in words.
    Acknowledge(Text),
    /// What is said of alerts, in words.
    Mute(Text),
}

impl What {
    /// What it is for.
    fn aim(&self) -> String {
        match self {
            Self::Signal(_, target) | Self::Nice(_, _, target) => format!("{} (pid {})", target.name, target.pid),
            Self::Delete(_, words) => words.clone(),
            Self::Acknowledge(words) | Self::Mute(words) => words.to_string(),
        }
    }
}

/// An action without an outcome yet.
pub(super) struct Acting {
    what: What,
    outcome: Receiver<Result<Done, ActionError>>,
}

/// Does something to the host, one action after the other up to the first that fails, and tells what came of it now or
/// later. What is gone already is no failure as long as something else is there.
pub(super) fn act(app: &mut App, actions: Vec<Action>, what: What) {
    if let Some(why) = app.host.refusal() {
        app.say(format!("nothing is done: {why}"), Level::Warning);
        return;
    }
    if app.host.connection() == Connection::Local && actions.len() == 1 {
        let outcome = all(&*app.host, &actions);
        tell(app, what, outcome);
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
        let _ = sender.send(all(&*host, &actions));
        if let Some(wake) = wake {
            wake.samples();
        }
    });
    if let Err(cause) = started {
        app.say(format!("nothing is done: start a thread: {cause}"), Level::Warning);
        return;
    }
    match outcome.recv_timeout(WAIT) {
        Ok(done) => tell(app, what, done),
        Err(RecvTimeoutError::Disconnected) => app.say("the action has no outcome", Level::Warning),
        Err(RecvTimeoutError::Timeout) => {
            app.say(format!("{}: waiting for the host", what.aim()), Level::Careful);
            app.acting.push(Acting { what, outcome });
        }
    }
}

/// Lets the host show no more that the selected one has gone; acknowledges an alert where nobody is selected who has.
pub(super) fn acknowledge(app: &mut App) {
    let found = app.focus().and_then(|(_, view, state)| crate::panel::departed(&view, state.row(&view)?));
    match found {
        Some(gone) => {
            let action = Action::Acknowledge { gone };
            let what = What::Acknowledge(action.aim().1);
            act(app, vec![action], what);
        }
        None if super::mute::acknowledge(app) => {}
        None if app.notices.newest().is_some() => app.notices.acknowledge(),
        None if app.spots.first().is_some_and(|spot| crate::panel::departs(spot.table)) => {
            app.say("select one that is Deleted and not expected", Level::Ok);
        }
        None if app.spots.first().is_some_and(|spot| crate::panel::speaks(spot.table)) => {
            app.say("select an alert first", Level::Ok);
        }
        None => {}
    }
}

fn all(host: &dyn Host, actions: &[Action]) -> Result<Done, ActionError> {
    let (mut done, mut without) = (None, Ok(Done::default()));
    let mut gone = 0;
    for action in actions {
        match host.act(action) {
            Err(ActionError::Gone { what }) => {
                gone += action.count();
                without = Err(ActionError::Gone { what });
            }
            other => {
                gone += other?.gone;
                done = Some(());
            }
        }
    }
    done.map_or(without, |()| Ok(Done { gone }))
}

/// Tells the outcomes that have come.
pub(super) fn look(app: &mut App) {
    for one in std::mem::take(&mut app.acting) {
        match one.outcome.try_recv() {
            Ok(done) => tell(app, one.what, done),
            Err(TryRecvError::Empty) => app.acting.push(one),
            Err(TryRecvError::Disconnected) => app.say("the action has no outcome", Level::Warning),
        }
    }
}

fn tell(app: &mut App, what: What, outcome: Result<Done, ActionError>) {
    let aim = what.aim();
    match (what, outcome) {
        (What::Signal(word, _), Ok(_)) => app.say(format!("sent {word} to {aim}"), Level::Ok),
        (What::Signal(word, _), Err(cause)) => app.say(format!("{word}: {cause}"), Level::Warning),
        (What::Nice(nice, taken, target), Ok(_)) => {
            app.say(format!("{aim}: nice {nice}"), Level::Ok);
            let now = app.present();
            app.niced = Some((target, taken.map_or(now, |taken| taken.max(now)), nice));
        }
        (What::Delete(..), Ok(Done { gone: 0 })) => app.say(format!("deleted {aim}"), Level::Ok),
        (What::Delete(count, _), Ok(Done { gone })) => {
            app.say(format!("deleted {} of {aim}: {gone} had ended already", count.saturating_sub(gone)), Level::Ok);
        }
        (What::Acknowledge(_), Ok(_)) => app.say(format!("acknowledged: {aim}"), Level::Ok),
        (What::Mute(_), Ok(_)) => app.say(aim, Level::Ok),
        (What::Nice(..) | What::Delete(..) | What::Acknowledge(_) | What::Mute(_), Err(cause)) => {
            app.say(cause.to_string(), Level::Warning);
        }
    }
}
