//! Who looks, and when?
//!
//! A thread of its own beside the collectors: it is rung for when samples have come or somebody has said something, looks at
//! most ten times a second, and wakes by itself when an alert is due. Whoever reads never waits for it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::settings::Settings;
use super::silence::Silences;
use super::{Engine, Looked, Moment, Rule};
use crate::collect::alert::AlertActionRow;
use crate::collect::schedule;
use crate::model::{Demand, Host, Mono, Rows, Text, lock};
use crate::source::alarm::{Board, Up};
use crate::store::level::Thresholds;

/// Shortest time between two looks.
const PACE: Duration = Duration::from_millis(100);

/// Longest time between two looks.
const LEAST: Duration = Duration::from_secs(1);

/// The reader that it is to its host: none has so high a number.
const READER: u64 = u64::MAX;

/// What is configured.
#[derive(Debug)]
pub struct Rules {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Levels of the configuration.
    pub thresholds: Thresholds,
    /// When nobody is told.
    pub silences: Silences,
}

impl Rules {
    /// The rules as they are evaluated, and in words what makes no sense and is left out.
    pub fn new(settings: &Settings, thresholds: Thresholds) -> (Self, Vec<String>) {
        let mut wrong = Vec::new();
        let enabled = settings.alert.iter().filter(|alert| alert.enabled != Some(false));
        let rules = enabled.filter_map(|alert| {
            let made = Rule::new(alert, schedule::tables());
            made.map_err(|mistake| wrong.push(format!("alert {}: {mistake}", Text::from(alert.name.as_str())))).ok()
        });
        let rules = rules.collect();
        let silences = Silences::new(&settings.silence).unwrap_or_else(|(at, mistake)| {
            wrong.push(format!("silence {}: {mistake}", at + 1));
            Silences::default()
        });
        (Self { rules, thresholds, silences }, wrong)
    }
}

/// What is done with what happens.
pub trait Tell: Send {
    /// Alerts were looked at.
    fn looked(&mut self, engine: &Engine, looked: Looked, moment: Moment);
    /// How telling people fares.
    fn rows(&self) -> Vec<AlertActionRow>;
    /// When it wants to be called again.
    fn due(&self) -> Option<Mono>;
}

/// The thread that looks. It ends when this is dropped.
pub struct Watcher {
    board: Arc<Board>,
    new: Arc<Mutex<Option<Rules>>>,
    is_over: Arc<AtomicBool>,
}

impl Watcher {
    /// Begins to look at a host, with what was known before.
    ///
    /// # Errors
    /// There is no thread.
    pub fn start(host: Arc<dyn Host>, board: Arc<Board>, engine: Engine, tell: Box<dyn Tell>) -> io::Result<Self> {
        let watcher = Self { board: Arc::clone(&board), new: Arc::default(), is_over: Arc::default() };
        let (new, is_over) = (Arc::clone(&watcher.new), Arc::clone(&watcher.is_over));
        let mut round = Round { host, board, engine, tell, put: None };
        let run = move || {
            round.want();
            while !is_over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                if let Some(rules) = lock(&new).take() {
                    round.engine.adopt(rules);
                    round.want();
                }
                round.look();
                std::thread::sleep(PACE.saturating_sub(begin.elapsed()));
                round.board.wait(round.patience());
            }
        };
        std::thread::Builder::new().name("alerts".to_owned()).spawn(run)?;
        Ok(watcher)
    }

    /// Takes other rules; alerts of rules that stay go on.
    pub fn configure(&self, rules: Rules) {
        *lock(&self.new) = Some(rules);
        self.board.ring();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.board.ring();
    }
}

struct Round {
    host: Arc<dyn Host>,
    board: Arc<Board>,
    engine: Engine,
    tell: Box<dyn Tell>,
    /// When rows were put up last.
    put: Option<Mono>,
}

impl Round {
    /// Says what the rules need.
    fn want(&self) {
        let demands: Vec<Demand> = self.engine.rules().flat_map(|rule| rule.demands().to_vec()).collect();
        self.host.demand(READER, demands);
    }

    fn look(&mut self) {
        let snapshot = self.host.latest();
        let moment = Moment::now();
        let mut has_changed = false;
        for said in self.board.said() {
            has_changed |= self.engine.mute(&said.user, &said.mute, moment);
        }
        let mut looked = self.engine.look(&snapshot, moment);
        looked.changed |= has_changed;
        has_changed = looked.changed;
        self.tell.looked(&self.engine, looked, moment);
        if has_changed || self.put.is_none_or(|put| moment.mono.since(put) >= LEAST.as_secs_f64()) {
            self.put = Some(moment.mono);
            let alerts: Arc<dyn Rows> = Arc::new(self.engine.rows(moment));
            let (events, actions) = (Arc::new(self.engine.events.rows()), Arc::new(self.tell.rows()));
            self.board.put(Up { alerts, events, actions });
        }
    }

    fn patience(&self) -> Duration {
        let due = self.engine.due().into_iter().chain(self.tell.due()).min();
        let left = due.map(|due| Duration::from_nanos(due.0.saturating_sub(Mono::now().0)));
        left.map_or(LEAST, |left| left.min(LEAST))
    }
}

/// Tells nobody.
pub struct Nobody;

impl Tell for Nobody {
    fn looked(&mut self, _: &Engine, _: Looked, _: Moment) {}
    fn rows(&self) -> Vec<AlertActionRow> {
        Vec::new()
    }
    fn due(&self) -> Option<Mono> {
        None
    }
}
