//! Who looks, and when?
//!
//! A thread of its own beside the collectors: it is rung for when samples have come or somebody has said something, looks at
//! most ten times a second, and wakes by itself when an alert is due. Whoever reads never waits for it.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::dispatch::{Dispatch, Recipient};
use super::kept;
use super::settings::Settings;
use super::silence::Silences;
use super::slots::Slots;
use super::{Engine, Looked, Moment, Notification, Order, Rule};
use crate::collect::schedule;
use crate::model::{Host, Mono, Mute, Rows, Text, Timestamp, lock};
use crate::source::alarm::{Board, Up};
use crate::store::level::Thresholds;

/// Shortest time between two looks.
const PACE: Duration = Duration::from_millis(100);

/// Longest time between two looks.
const LEAST: Duration = Duration::from_secs(1);

/// What is known of alerts is written down at least so often, while there are any.
const SAVE: Duration = Duration::from_mins(1);

/// How often it is looked which alerts have no rule any more, and of which nobody was told.
const SORT: Duration = Duration::from_secs(5);

/// Longest wait for a disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest wait at the start for what was known before.
const KNOWN: Duration = Duration::from_secs(5);

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

    /// What is written and does nothing, in words: silences of rules that there are not.
    pub fn idle(&self, settings: &Settings, now: Timestamp) -> Vec<String> {
        // one that is switched off is one all the same
        let names: Vec<&str> = settings.alert.iter().map(|alert| alert.name.as_str()).collect();
        let unfit = self.silences.unfit(&names, now).into_iter();
        let told =
            |(number, pattern)| format!("silence {}: there is no rule that fits `{}`", number + 1, Text::from(pattern));
        unfit.map(told).collect()
    }
}

/// What is told here, besides what recipients are told.
pub type Hear = Box<dyn FnMut(&[Notification]) + Send>;

/// How a watcher begins.
pub struct Options {
    /// Whose samples are looked at.
    pub host: Arc<dyn Host>,
    /// Where rows are put up, and people say something.
    pub board: Arc<Board>,
    /// The rules.
    pub rules: Rules,
    /// Who is told.
    pub dispatch: Dispatch,
    /// Who hears of everything that happens to alerts that are not muted.
    pub hear: Hear,
    /// Whether [`Watcher::keep`] will say what was known before; until then nothing is looked at, but not for long.
    pub is_kept: bool,
}

/// The thread that looks. It ends when this is dropped.
pub struct Watcher {
    board: Arc<Board>,
    new: Arc<Mutex<New>>,
    is_over: Arc<AtomicBool>,
}

/// Where what is known is written down.
enum KeptIn {
    File(File),
    Nowhere,
}

/// What is to be taken up.
#[derive(Default)]
struct New {
    configured: Option<(Rules, Vec<Recipient>)>,
    kept: Option<KeptIn>,
}

impl Watcher {
    /// Begins to look at a host.
    ///
    /// # Errors
    /// There is no thread.
    pub fn start(options: Options) -> io::Result<Self> {
        let Options { host, board, rules, dispatch, hear, is_kept } = options;
        let watcher = Self { board: Arc::clone(&board), new: Arc::default(), is_over: Arc::default() };
        let (new, is_over) = (Arc::clone(&watcher.new), Arc::clone(&watcher.is_over));
        let mut round = Round {
            host,
            board,
            engine: Engine::new(rules),
            dispatch,
            hear,
            slots: None,
            put: None,
            saved: None,
            sorted: None,
            tops: None,
        };
        let run = move || {
            round.want();
            round.watch();
            let begin = Instant::now();
            while is_kept && lock(&new).kept.is_none() && begin.elapsed() < KNOWN && !is_over.load(Ordering::Relaxed) {
                round.board.wait(Duration::ZERO, PACE);
            }
            while !is_over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                round.renew(std::mem::take(&mut *lock(&new)));
                round.look();
                round.board.wait(PACE.saturating_sub(begin.elapsed()), round.patience());
            }
        };
        std::thread::Builder::new().name("alerts".to_owned()).spawn(run)?;
        Ok(watcher)
    }

    /// Takes other rules and recipients; alerts of rules that stay go on.
    pub fn configure(&self, rules: Rules, recipients: Vec<Recipient>) {
        lock(&self.new).configured = Some((rules, recipients));
        self.board.ring();
    }

    /// Takes up what a file says, and writes down there from now on what is known; without a file nothing was known.
    pub fn keep(&self, file: Option<File>) {
        lock(&self.new).kept = Some(file.map_or(KeptIn::Nowhere, KeptIn::File));
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
    dispatch: Dispatch,
    hear: Hear,
    slots: Option<Slots>,
    /// When rows were put up last, and when what is known was written down.
    put: Option<Mono>,
    saved: Option<Mono>,
    /// When it was looked last which alerts have no rule any more, and of which nobody was told.
    sorted: Option<Mono>,
    /// Which rules wanted to know who is at the top when it was said last what they need; `None` for others than these.
    tops: Option<Vec<bool>>,
}

impl Round {
    /// Says what the rules need.
    fn want(&mut self) {
        let tops = self.engine.tops();
        if self.tops.as_ref() != Some(&tops) {
            self.host.demand(READER, self.engine.demands());
            self.tops = Some(tops);
        }
    }

    /// Says which rules there are.
    fn watch(&self) {
        self.board.watch(self.engine.rules().map(|rule| rule.name.clone()).collect());
    }

    fn renew(&mut self, new: New) {
        if let Some((rules, recipients)) = new.configured {
            self.engine.adopt(rules);
            self.dispatch.adopt(recipients, Moment::now());
            (self.sorted, self.tops) = (None, None);
            self.watch();
        }
        let Some(KeptIn::File(file)) = new.kept else { return };
        let moment = Moment::now();
        let restored = Slots::open(file).map_err(|cause| cause.to_string()).and_then(|(slots, bytes)| {
            self.slots = Some(slots);
            kept::restore(&bytes, &mut self.engine, moment)
        });
        match restored {
            Ok(recipients) => self.dispatch.restore(recipients, moment),
            Err(cause) => self.fail("state", &format!("what was known of alerts is lost: {cause}"), moment),
        }
    }

    fn look(&mut self) {
        let snapshot = self.host.latest();
        let moment = Moment::now();
        let mut has_changed = false;
        for said in self.board.said() {
            if !self.engine.mute(&said.user, &said.mute, moment) {
                // who has said it has seen it when it still fired
                let Mute { rule, instance, .. } = &said.mute;
                self.fail(
                    rule,
                    &format!("{} has said something of {rule} {instance}: there is nothing to it", said.user),
                    moment,
                );
            }
            has_changed = true;
        }
        let Looked { notifications, muted, changed } = self.engine.look(&snapshot, moment);
        has_changed |= changed;
        self.want();
        self.hear(&notifications, &muted);
        let (heard, orders) = self.tell(&notifications, moment);
        has_changed |= heard || !orders.is_empty();
        // values change without a word, where there are any
        let is_late = self.saved.is_none_or(|saved| moment.mono.since(saved) >= SAVE.as_secs_f64());
        if has_changed || (is_late && !(self.engine.is_calm() && self.dispatch.is_idle())) {
            // what is tried is written down before: who is killed then does not try it again too soon
            self.save(moment);
        }
        for order in orders {
            self.dispatch.send(order, moment);
        }
        if has_changed || self.put.is_none_or(|put| moment.mono.since(put) >= LEAST.as_secs_f64()) {
            self.put = Some(moment.mono);
            let alerts: Arc<dyn Rows> = Arc::new(self.engine.rows(moment));
            let (events, actions) = (Arc::new(self.engine.happened()), Arc::new(self.dispatch.rows(moment)));
            self.board.put(Up { alerts, events, actions });
        }
    }

    /// Tells who hears what has happened to alerts that are not muted.
    fn hear(&mut self, notifications: &[Notification], muted: &[bool]) {
        let heard = notifications.iter().zip(muted).filter(|(_, is_muted)| !**is_muted);
        let heard: Vec<Notification> = heard.map(|(one, _)| one.clone()).collect();
        if !heard.is_empty() {
            (self.hear)(&heard);
        }
    }

    /// Says what recipients are to be told now, and whether anything was heard of what they were told, which is worth writing
    /// down.
    fn tell(&mut self, notifications: &[Notification], moment: Moment) -> (bool, Vec<Order>) {
        let engine = &self.engine;
        self.dispatch.take(notifications, &|rule| engine.is_moment(rule));
        let is_time = self.sorted.is_none_or(|sorted| moment.mono.since(sorted) >= SORT.as_secs_f64());
        if is_time && self.dispatch.has_recipients() {
            self.sorted = Some(moment.mono);
            self.dispatch.orphan(&engine.firing(), moment);
            self.dispatch.find(&engine.all_firing(moment));
        }
        if self.dispatch.is_idle() {
            return (false, Vec::new());
        }
        let muted = engine.muted(moment);
        self.dispatch.mute(&|one| muted.contains(&(one.rule.as_str(), one.instance.as_str())));
        // that somebody was told is written down, too: it is not to be told again
        let (heard, failed) = self.dispatch.hear(moment);
        for (name, cause) in failed {
            self.fail(&name, &cause, moment);
        }
        (heard, self.dispatch.prepare(moment))
    }

    fn save(&mut self, moment: Moment) {
        let Some(slots) = &self.slots else { return };
        self.saved = Some(moment.mono);
        let bytes = kept::write(&self.engine, self.dispatch.kept(moment), moment);
        // people are told whatever the disk does
        if let Err(cause) = slots.save(bytes, PATIENCE) {
            self.fail("state", &format!("what is known of alerts is not written down: {cause}"), moment);
        }
    }

    /// Notes what has gone wrong, once.
    fn fail(&mut self, name: &str, cause: &str, moment: Moment) {
        self.engine.events.fail(name, cause, moment.time);
    }

    fn patience(&self) -> Duration {
        let due = self.engine.due().into_iter().chain(self.dispatch.due(Moment::now())).min();
        let left = due.map(|due| Duration::from_nanos(due.0.saturating_sub(Mono::now().0)));
        left.map_or(LEAST, |left| left.min(LEAST))
    }
}
