//! When does each collector run, and on which thread?
//!
//! One sampler thread runs every collector that only reads kernel memory, so that a tick is one wake-up and its tables
//! belong to the same moment. A collector that may block has a thread of its own: when it does not come back in time its
//! tables go stale, and nothing else notices. All threads keep to one grid that begins with a full second of the wall
//! clock, so that a reader has everything new at once and draws once. They publish through [`Sink`]; nobody waits for a
//! reader. New settings reach the same threads, so that a source that hangs never holds more than one of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::run::{CollectorRow, Runner};
use super::settings::{CollectorSettings, Settings};
use super::{COLLECTORS, Cx, Entry, Filled, Partly, Wants};
use crate::model::{Mono, Owners, Row, State, Status, Text, Timestamp, lock};
use crate::source::file::Roots;

/// The second sample comes so long after the first, because a rate needs two.
pub const SECOND_SAMPLE: Duration = Duration::from_millis(250);

/// A collector with its own thread that has not come back for so long makes its tables stale.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// Memory that only the start needed is handed back to the kernel when it is over.
const FIRST_TIDY: Duration = Duration::from_secs(5);

/// Memory is handed back so often.
const TIDY: Duration = Duration::from_secs(30);

/// What nobody wants any more is kept for so long.
const KEPT: Duration = Duration::from_secs(10);

/// Takes what was collected.
pub trait Sink: Send + Sync {
    /// New rows, or why there are none, of some tables.
    fn publish(&self, publication: Publication);
}

/// What one thread collected in one round.
pub struct Publication {
    /// Wall clock of the samples.
    pub time: Timestamp,
    /// Monotonic clock of the samples.
    pub mono: Mono,
    /// The tables.
    pub filled: Vec<Filled>,
    /// Tables of which some cells could not be read.
    pub partly: Vec<Partly>,
}

/// How a scheduler starts.
pub struct Options {
    /// What is read.
    pub roots: Roots,
    /// `[collect]`.
    pub settings: Settings,
    /// Interval of collectors that have none of their own.
    pub tick: Duration,
}

/// Runs collectors until it is dropped. Dropping waits for no thread, so that a hung source cannot hold up the end.
pub struct Scheduler {
    shared: Arc<Shared>,
}

struct Shared {
    entries: &'static [&'static Entry],
    /// A point of the grid that all threads keep to.
    grid: Instant,
    roots: Roots,
    sink: Arc<dyn Sink>,
    state: Mutex<Live>,
    changed: Condvar,
}

/// What the configuration says.
#[derive(Default)]
struct Plan {
    settings: Settings,
    tick: Duration,
}

impl Plan {
    fn of(&self, entry: &Entry) -> CollectorSettings {
        self.settings.collectors.get(entry.name).cloned().unwrap_or_default()
    }

    fn runs(&self, entry: &Entry) -> bool {
        self.settings.collectors.get(entry.name).is_none_or(|settings| settings.enabled)
    }
}

#[derive(Default)]
struct Live {
    stop: bool,
    plan: Arc<Plan>,
    wants: Arc<Wants>,
    owners: Arc<Owners>,
    rows: BTreeMap<&'static str, CollectorRow>,
    /// Collectors with their own thread that are in a run now, and since when.
    running: BTreeMap<&'static str, Instant>,
}

impl Shared {
    /// Says of collectors that are switched off that they are.
    fn off(&self, plan: &Plan) -> Publication {
        off_among(self.entries.iter().copied(), plan)
    }

    /// A thread that panicked while holding the lock has left nothing half done: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, Live> {
        lock(&self.state)
    }
}

impl Scheduler {
    /// Starts the threads. The first samples are published as soon as they are there.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(options: Options, sink: Arc<dyn Sink>) -> std::io::Result<Self> {
        Self::start_with(COLLECTORS, options, sink)
    }

    fn start_with(entries: &'static [&'static Entry], options: Options, sink: Arc<dyn Sink>) -> std::io::Result<Self> {
        let plan = Arc::new(Plan { settings: options.settings, tick: options.tick });
        let shared = Arc::new(Shared {
            entries,
            grid: second_began(),
            roots: options.roots,
            sink,
            state: Mutex::new(Live { plan: Arc::clone(&plan), ..Live::default() }),
            changed: Condvar::new(),
        });
        // from here on an early return ends the threads that were started
        let scheduler = Self { shared: Arc::clone(&shared) };
        shared.sink.publish(shared.off(&plan));
        let (alone, together): (Vec<&'static Entry>, Vec<_>) = entries.iter().partition(|entry| entry.blocks);
        for entry in alone {
            let worker = Worker::new(Arc::clone(&shared), &plan, &[entry], true);
            let name = format!("collect-{}", entry.name);
            std::thread::Builder::new().name(name).spawn(move || worker.work())?;
        }
        let sampler = Worker::new(Arc::clone(&shared), &plan, &together, false);
        std::thread::Builder::new().name("sampler".to_owned()).spawn(move || sampler.work())?;
        Ok(scheduler)
    }

    /// Takes new settings. What was collected, and what collectors keep, stays.
    pub fn reload(&self, settings: Settings, tick: Duration) {
        let plan = Arc::new(Plan { settings, tick });
        let mut live = self.shared.lock();
        live.plan = Arc::clone(&plan);
        // whoever is still on says it again
        live.owners = Arc::default();
        // a collector that hangs cannot say itself that it was switched off
        self.shared.sink.publish(self.shared.off(&plan));
        drop(live);
        self.shared.changed.notify_all();
    }

    /// Replaces the union of what readers want. A table that is new in it is collected at once.
    pub fn demand(&self, wants: Wants) {
        let mut live = self.shared.lock();
        if *live.wants != wants {
            live.wants = Arc::new(wants);
            drop(live);
            self.shared.changed.notify_all();
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

/// What is said of a collector that the configuration has switched off.
pub fn off(entry: &Entry) -> Status {
    Status {
        state: State::Absent,
        reason: Text::from(format!("collector {} is switched off", entry.name)),
        hint: Text::from(format!("set `enabled = true` in [collect.{}] of the configuration", entry.name)),
    }
}

/// Says of collectors that are switched off that they are.
fn off_among(entries: impl Iterator<Item = &'static Entry>, plan: &Plan) -> Publication {
    let entries = entries.filter(|entry| !plan.runs(entry));
    let filled = entries.flat_map(|entry| entry.tables.iter().map(move |table| (*table, Err(off(entry))))).collect();
    Publication { time: Timestamp::now(), mono: Mono::now(), filled, partly: Vec::new() }
}

/// One thread with its collectors.
struct Worker {
    shared: Arc<Shared>,
    runners: Vec<Planned>,
    /// Whether this thread has one collector that may block.
    alone: bool,
    wants: Arc<Wants>,
    plan: Arc<Plan>,
    /// When memory is handed back next.
    tidy: Instant,
}

struct Planned {
    runner: Runner,
    due: Instant,
    ran: Option<Instant>,
    /// When what nobody wants any more is closed.
    closes: Option<Instant>,
}

impl Planned {
    /// Notes whether anybody wants it: what was run is kept for a while, because people turn to and fro between views.
    fn want(&mut self, is_wanted: bool, now: Instant) {
        let is_open = self.ran.is_some() && self.runner.may_close();
        self.closes = if is_wanted || !is_open { None } else { self.closes.or(Some(now + KEPT)) };
    }

    /// Closes it if it is time to.
    fn close(&mut self, now: Instant) {
        if self.closes.is_some_and(|closes| closes <= now) {
            self.runner.close();
            (self.closes, self.ran) = (None, None);
        }
    }
}

impl Worker {
    fn new(shared: Arc<Shared>, plan: &Arc<Plan>, entries: &[&'static Entry], alone: bool) -> Self {
        let now = Instant::now();
        let runner = |entry: &&'static Entry| Runner::new(entry, &plan.of(entry), plan.tick);
        let runners =
            entries.iter().map(|entry| Planned { runner: runner(entry), due: now, ran: None, closes: None }).collect();
        Self { shared, runners, alone, wants: Arc::default(), plan: Arc::clone(plan), tidy: now + FIRST_TIDY }
    }

    fn work(mut self) {
        while self.wait() {
            let mut publication = self.round();
            let live = self.shared.lock();
            // what was still running when the scheduler went away is too late
            if live.stop {
                return;
            }
            let plan = Arc::clone(&live.plan);
            drop(live);
            let off = || self.runners.iter().map(|planned| planned.runner.entry()).filter(|entry| !plan.runs(entry));
            publication
                .filled
                .retain(|(table, _)| !off().any(|entry| entry.tables.iter().any(|own| own.name == table.name)));
            if !publication.filled.is_empty() {
                self.shared.sink.publish(publication);
            }
            if !self.alone {
                self.publish_stale();
                self.tidy();
            }
        }
    }

    /// Hands memory that old samples and the start have left back, now and then.
    fn tidy(&mut self) {
        let now = Instant::now();
        if self.tidy <= now {
            self.tidy = now + TIDY;
            crate::source::memory::give_back();
        }
    }

    /// Brings the collectors to a new plan.
    fn settle(&mut self, plan: Arc<Plan>) {
        for planned in &mut self.runners {
            let before = planned.runner.asked_by(&self.wants);
            let entry = planned.runner.entry();
            planned.runner.settle(&plan.of(entry), plan.tick);
            let interval = planned.runner.asked_by(&self.wants);
            if !self.plan.runs(entry) {
                (planned.due, planned.ran) = (Instant::now(), None);
            } else if interval < before {
                planned.due = planned.due.min(planned.ran.map_or_else(Instant::now, |ran| ran + interval));
            }
        }
        // a run that ended meanwhile may have been published after the others had heard that it is off
        let off = off_among(self.runners.iter().map(|planned| planned.runner.entry()), &plan);
        if !off.filled.is_empty() {
            self.shared.sink.publish(off);
        }
        self.plan = plan;
    }

    /// Collectors that anybody wants.
    fn is_wanted(&self, planned: &Planned) -> bool {
        self.plan.runs(planned.runner.entry()) && planned.runner.is_wanted(&self.wants)
    }

    /// Waits until a collector is due; `false` when the scheduler is gone.
    fn wait(&mut self) -> bool {
        let mut live = self.shared.lock();
        loop {
            if live.stop {
                return false;
            }
            if !Arc::ptr_eq(&live.plan, &self.plan) {
                let plan = Arc::clone(&live.plan);
                drop(live);
                self.settle(plan);
                live = self.shared.lock();
                continue;
            }
            if !Arc::ptr_eq(&live.wants, &self.wants) {
                let wants = Arc::clone(&live.wants);
                advance(&mut self.runners, &self.wants, &wants);
                self.wants = wants;
            }
            let now = Instant::now();
            if self.runners.iter().any(|planned| planned.closes.is_some_and(|closes| closes <= now)) {
                drop(live);
                for planned in &mut self.runners {
                    planned.close(now);
                }
                live = self.shared.lock();
                continue;
            }
            for planned in &mut self.runners {
                let is_wanted = self.plan.runs(planned.runner.entry()) && planned.runner.is_wanted(&self.wants);
                planned.want(is_wanted, now);
            }
            let wanted = self.runners.iter().filter(|planned| self.is_wanted(planned)).map(|planned| planned.due);
            // nothing is wanted: a change of wants wakes this thread
            let closes = self.runners.iter().filter_map(|planned| planned.closes);
            let due = wanted.min().unwrap_or(now + Duration::from_mins(1));
            let due = closes.fold(due, Instant::min);
            let Some(left) = due.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                return true;
            };
            live = match self.shared.changed.wait_timeout(live, left) {
                Ok((live, _)) => live,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Runs what is due.
    fn round(&mut self) -> Publication {
        let (time, mono, now) = (Timestamp::now(), Mono::now(), Instant::now());
        let owners = Arc::clone(&self.shared.lock().owners);
        let cx = Cx { roots: &self.shared.roots, wants: &self.wants, owners: &owners, time, mono };
        let (mut filled, mut partly) = (Vec::new(), Vec::new());
        for planned in &mut self.runners {
            let entry = planned.runner.entry();
            if planned.due > now || !self.plan.runs(entry) || !planned.runner.is_wanted(&self.wants) {
                continue;
            }
            let name = entry.name;
            if self.alone {
                let mut live = self.shared.lock();
                live.running.insert(name, now);
                // the first run may be the one that hangs
                live.rows.entry(name).or_insert_with(|| planned.runner.row().clone());
            }
            filled.extend(planned.runner.run(&cx));
            partly.extend_from_slice(planned.runner.partly());
            let interval = planned.runner.interval();
            let first = planned.ran.replace(now).is_none();
            planned.due = if first && interval > SECOND_SAMPLE && interval <= Duration::from_secs(5) {
                now + SECOND_SAMPLE
            } else {
                next_on_grid(self.shared.grid, Instant::now(), interval)
            };
            let mut live = self.shared.lock();
            live.running.remove(name);
            live.rows.insert(name, planned.runner.row().clone());
            let owned = planned.runner.take_owned();
            if live.plan.runs(entry) && !owned.is_empty() {
                let owners = Arc::make_mut(&mut live.owners);
                for owned in owned {
                    owners.take(owned);
                }
            }
        }
        if !self.alone {
            filled.push((CollectorRow::TABLE, Ok(Arc::new(self.own_rows(now)))));
        }
        Publication { time, mono, filled, partly }
    }

    /// Rows of table `collector`.
    fn own_rows(&self, now: Instant) -> Vec<CollectorRow> {
        let live = self.shared.lock();
        let row = |entry: &&'static Entry| {
            let row = live.rows.get(entry.name)?.clone();
            Some(match live.running.get(entry.name).and_then(|since| stale(*since, now)) {
                Some(Status { state, reason, hint }) => CollectorRow { state, reason, hint, ..row },
                None => row,
            })
        };
        self.shared.entries.iter().filter(|entry| live.plan.runs(entry)).filter_map(row).collect()
    }

    /// Says of collectors that have not come back that their tables are stale.
    fn publish_stale(&self) {
        let (time, mono, now) = (Timestamp::now(), Mono::now(), Instant::now());
        // held until it is published: a collector that comes back in this moment must have the last word
        let live = self.shared.lock();
        let mut filled: Vec<Filled> = Vec::new();
        for entry in self.shared.entries.iter().filter(|entry| live.plan.runs(entry)) {
            if let Some(status) = live.running.get(entry.name).and_then(|since| stale(*since, now)) {
                filled.extend(entry.tables.iter().map(|table| (*table, Err(status.clone()))));
            }
        }
        if !filled.is_empty() {
            self.shared.sink.publish(Publication { time, mono, filled, partly: Vec::new() });
        }
    }
}

/// The verdict on a collector that has been running since a moment, once it is overdue.
fn stale(since: Instant, now: Instant) -> Option<Status> {
    let age = now.saturating_duration_since(since);
    (age >= DEADLINE).then(|| Status {
        state: State::Stale,
        reason: Text::from(format!("no answer for {}", crate::model::unit::span(age.as_secs_f64()))),
        hint: Text::from("its source hangs; everything else goes on"),
    })
}

/// Brings collectors forward whose wants have changed, but never closer than [`SECOND_SAMPLE`] to their last run:
/// a rate over a few milliseconds says nothing.
fn advance(runners: &mut [Planned], before: &Wants, now: &Wants) {
    for planned in runners {
        let changed = planned.runner.entry().tables.iter().any(|table| {
            let want = now.table(table);
            want != before.table(table) && want.is_some_and(|w| table.attrs.demand || !w.columns.is_empty())
        });
        let soonest = |after: Duration| planned.ran.map_or_else(Instant::now, |ran| ran + after);
        if changed {
            planned.due = planned.due.min(soonest(SECOND_SAMPLE));
        }
        let interval = planned.runner.asked_by(now);
        if interval < planned.runner.asked_by(before) {
            planned.due = planned.due.min(soonest(interval));
        }
    }
}

/// The next multiple of `interval` after `grid` that is not so close that a rate until then says nothing.
fn next_on_grid(grid: Instant, now: Instant, interval: Duration) -> Instant {
    let soonest = now + SECOND_SAMPLE.min(interval / 4);
    let step = interval.as_nanos().max(1);
    let passed = soonest.saturating_duration_since(grid).as_nanos();
    let left = step - passed % step;
    soonest + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
}

/// When the current second of the wall clock began.
fn second_began() -> Instant {
    let passed = Duration::from_nanos(Timestamp::now().0.rem_euclid(1_000_000_000).unsigned_abs());
    let now = Instant::now();
    now.checked_sub(passed).unwrap_or(now)
}

/// Every table of every collector, and `collector` itself, in the order in which people see them.
pub fn tables() -> &'static [&'static crate::model::Table] {
    static TABLES: std::sync::OnceLock<Vec<&'static crate::model::Table>> = std::sync::OnceLock::new();
    TABLES.get_or_init(|| {
        let collected = COLLECTORS.iter().flat_map(|entry| entry.tables.iter().copied());
        collected.chain([<CollectorRow as Row>::TABLE]).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::clock::ClockRow;
    use crate::collect::load::LoadRow;
    use crate::collect::{Batch, Collect, Skip};
    use crate::model::{Guests, Owned};
    use std::sync::mpsc;

    struct Channel(Mutex<mpsc::Sender<Publication>>);
    impl Sink for Channel {
        fn publish(&self, publication: Publication) {
            let _ = self.0.lock().unwrap().send(publication);
        }
    }

    fn start(settings: Settings) -> (Scheduler, mpsc::Receiver<Publication>) {
        let (sender, receiver) = mpsc::channel();
        let options = Options { roots: Roots::live(), settings, tick: Duration::from_secs(5) };
        (Scheduler::start(options, Arc::new(Channel(Mutex::new(sender)))).unwrap(), receiver)
    }

    struct Hangs;
    impl Collect for Hangs {
        fn collect(&mut self, _: &Cx<'_>, _: &mut Batch) -> Result<(), Skip> {
            loop {
                std::thread::park();
            }
        }
    }

    struct Fine;
    impl Collect for Fine {
        fn collect(&mut self, _: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
            out.push(Vec::<ClockRow>::new());
            Ok(())
        }
    }

    static HANGS: Entry = Entry {
        name: "hangs",
        tables: &[LoadRow::TABLE],
        interval: Duration::from_secs(1),
        blocks: true,
        needs: crate::collect::NO_CAPABILITY,
        make: || Box::new(Hangs),
    };
    static FINE: Entry = Entry {
        name: "fine",
        tables: &[ClockRow::TABLE],
        interval: Duration::from_secs(1),
        blocks: false,
        needs: crate::collect::NO_CAPABILITY,
        make: || Box::new(Fine),
    };

    static BOTH: [&Entry; 2] = [&HANGS, &FINE];

    #[test]
    fn a_collector_that_hangs_in_its_first_run_is_stale_alone_and_has_a_row() {
        let (sender, receiver) = mpsc::channel();
        let tick = Duration::from_secs(1);
        let options = Options { roots: Roots::live(), settings: Settings::default(), tick };
        let sink = Arc::new(Channel(Mutex::new(sender)));
        let _scheduler = Scheduler::start_with(&BOTH, options, sink).unwrap();
        let (_, rows) = next_with(&receiver, "load");
        assert_eq!(rows.unwrap_err().state, State::Stale);
        let (at, rows) = next_with(&receiver, "collector");
        assert_eq!(rows, Ok(2));
        let (later, rows) = next_with(&receiver, "clock");
        assert!(rows.is_ok() && later >= at);
    }

    fn next_with(receiver: &mpsc::Receiver<Publication>, table: &str) -> (Mono, Result<usize, Status>) {
        loop {
            let publication = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
            let found = publication.filled.into_iter().find(|(known, _)| known.name == table);
            if let Some((_, rows)) = found {
                return (publication.mono, rows.map(|rows| rows.len()));
            }
        }
    }

    static OPENED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    static ON_DEMAND: Entry = Entry {
        name: "demand",
        tables: &[crate::collect::fib::FibRow::TABLE],
        make: || {
            OPENED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Box::new(Fine)
        },
        ..FINE
    };

    #[test]
    fn what_nobody_wants_is_closed_after_a_while_unless_it_is_never_on_demand() {
        let now = Instant::now();
        let planned = |entry| {
            let runner = Runner::new(entry, &CollectorSettings::default(), Duration::from_secs(1));
            Planned { runner, due: now, ran: None, closes: None }
        };
        let opened = || OPENED.load(std::sync::atomic::Ordering::SeqCst);
        let mut one = planned(&ON_DEMAND);
        one.want(false, now);
        assert_eq!((one.closes, opened()), (None, 1), "it was never run");
        one.ran = Some(now);
        one.want(false, now);
        one.want(false, now + KEPT / 2);
        assert_eq!(one.closes, Some(now + KEPT));
        one.close(now + KEPT / 2);
        one.want(true, now + KEPT / 2);
        assert_eq!((one.closes, opened()), (None, 1), "somebody wants it again");
        one.want(false, now);
        one.close(now + KEPT);
        assert_eq!((one.closes, one.ran, opened()), (None, None, 2));
        let mut fine = planned(&FINE);
        fine.ran = Some(now);
        fine.want(false, now);
        assert_eq!(fine.closes, None, "what it keeps may not come back");
    }

    struct Says;
    impl Collect for Says {
        fn collect(&mut self, _: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
            let links = [(7, Text::from("web"))].into();
            out.own(Owned::Guests(Arc::new(Guests { links, ..Guests::default() })));
            out.push(Vec::<ClockRow>::new());
            Ok(())
        }
    }

    /// Has a row for each interface that is a guest's.
    struct Asks;
    impl Collect for Asks {
        fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
            let row = |_| LoadRow { one: 0.0, five: 0.0, fifteen: 0.0, runnable: 0, tasks: 0, cpus: None };
            out.push(cx.owners.guests.links.keys().map(row).collect());
            Ok(())
        }
    }
    static ASKS: Entry = Entry { name: "asks", make: || Box::new(Asks), ..HANGS };
    static SAYS: Entry = Entry { name: "says", make: || Box::new(Says), ..FINE };
    static SAYS_AND_ASKS: [&Entry; 2] = [&ASKS, &SAYS];

    #[test]
    fn what_one_collector_knows_others_are_told_until_it_is_switched_off() {
        let (sender, receiver) = mpsc::channel();
        let tick = Duration::from_millis(100);
        let options = Options { roots: Roots::live(), settings: Settings::default(), tick };
        let sink = Arc::new(Channel(Mutex::new(sender)));
        let scheduler = Scheduler::start_with(&SAYS_AND_ASKS, options, sink).unwrap();
        while next_with(&receiver, "load").1 != Ok(1) {}
        scheduler.reload(toml::from_str("says.enabled = false").unwrap(), tick);
        while next_with(&receiver, "load").1 != Ok(0) {}
        scheduler.reload(Settings::default(), tick);
        while next_with(&receiver, "load").1 != Ok(1) {}
    }

    #[test]
    fn the_second_sample_comes_long_before_the_interval_is_over() {
        let (_scheduler, receiver) = start(Settings::default());
        let (first, second) = (next_with(&receiver, "load").0, next_with(&receiver, "load").0);
        let gap = second.since(first);
        assert!(gap > 0.2 && gap < 4.0, "{gap}");
    }

    #[test]
    fn a_disabled_collector_says_that_it_is_off() {
        let settings: Settings = toml::from_str("load.enabled = false").unwrap();
        let (_scheduler, receiver) = start(settings);
        let (_, rows) = next_with(&receiver, "load");
        assert!(rows.unwrap_err().reason.contains("switched off"));
    }

    /// Hangs, and counts how often it was made.
    static MADE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    static COUNTED: Entry = Entry {
        name: "hangs",
        make: || {
            MADE.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Box::new(Hangs)
        },
        ..HANGS
    };
    static COUNTED_AND_FINE: [&Entry; 2] = [&COUNTED, &FINE];

    #[test]
    fn a_collector_that_hangs_is_not_started_again_and_may_be_switched_off() {
        let (sender, receiver) = mpsc::channel();
        let tick = Duration::from_millis(100);
        let options = Options { roots: Roots::live(), settings: Settings::default(), tick };
        let sink = Arc::new(Channel(Mutex::new(sender)));
        let scheduler = Scheduler::start_with(&COUNTED_AND_FINE, options, sink).unwrap();
        assert_eq!(next_with(&receiver, "load").1.unwrap_err().state, State::Stale);
        for _ in 0..5 {
            scheduler.reload(Settings::default(), tick);
        }
        assert_eq!(next_with(&receiver, "load").1.unwrap_err().state, State::Stale);
        scheduler.reload(toml::from_str("hangs.enabled = false").unwrap(), tick);
        while !next_with(&receiver, "load").1.unwrap_err().reason.contains("switched off") {}
        while next_with(&receiver, "collector").1 != Ok(1) {}
        scheduler.reload(toml::from_str("fine.enabled = false").unwrap(), tick);
        while next_with(&receiver, "clock").1.is_ok() {}
        scheduler.reload(Settings::default(), tick);
        while next_with(&receiver, "clock").1 != Ok(0) {}
        assert_eq!(MADE.load(std::sync::atomic::Ordering::SeqCst), 1);
    }

    #[test]
    fn a_new_interval_is_kept_by_the_same_collector() {
        let (scheduler, receiver) = start(Settings::default());
        let (first, second) = (next_with(&receiver, "load").0, next_with(&receiver, "load").0);
        assert!(second.since(first) < 4.0);
        scheduler.reload(toml::from_str("load.interval = '100ms'").unwrap(), Duration::from_secs(5));
        let samples: Vec<Mono> = (0..5).map(|_| next_with(&receiver, "load").0).collect();
        assert!(samples[4].since(samples[0]) < 4.0, "{samples:?}");
    }

    #[test]
    fn the_grid_is_kept_after_a_late_run() {
        let start = Instant::now();
        let late = start + Duration::from_millis(2700);
        assert_eq!(next_on_grid(start, late, Duration::from_secs(1)), start + Duration::from_secs(3));
        let late = start + Duration::from_millis(2900);
        assert_eq!(next_on_grid(start, late, Duration::from_secs(1)), start + Duration::from_secs(4));
    }
}
