//! What does one run of one collector give, and what did it cost?
//!
//! [`Runner`] wraps a collector for the scheduler and for one-shot commands alike: it measures wall clock, CPU and bytes,
//! turns a panic into a failure of this collector alone, and keeps the totals that become a row of table `collector`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::settings::CollectorSettings;
use super::{Batch, Collect, Cx, Entry, Filled, Partly, Skip, Wants};
use crate::model::{Owned, Rows, State, Status, Text};
use crate::source::meter;
use crate::{col, table};

table! {
    /// One collector of netglance itself: whether its source is there, and what reading it costs.
    ///
    /// Source: netglance's own clocks around each run (`CLOCK_MONOTONIC`, `CLOCK_THREAD_CPUTIME_ID`).
    pub struct CollectorRow = "collector" { title: Some("Collectors") } {
        /// The collector.
        Id(None) name: Text { label: true },
        /// Whether its source could be read.
        Text(None) state: State,
        /// What went wrong, with the operation and the object.
        Text(None) reason: Text { last: true },
        /// What a person can do about it.
        Text(None) hint: Text { wide: true },
        /// How long the last run took.
        Gauge(Seconds) run_time: Option<f64> { title: Some("run") },
        /// CPU that all runs used.
        Counter(Seconds) cpu_time: f64 { title: Some("CPU"), cpu: true },
        /// Runs so far.
        Counter(Events) runs: u64 { wide: true },
        /// Rows of the last run, over all its tables.
        Gauge(None) rows: u64,
        /// Data read from the kernel and from daemons.
        Counter(Bytes) read_bytes: u64 { title: Some("read") },
        /// Time between runs that was asked for.
        Gauge(Seconds) interval_asked: f64 { title: Some("asked"), wide: true },
        /// Time between runs that is kept to, longer when a run costs more than its budget.
        Gauge(Seconds) interval_used: f64 { title: Some("every") },
    }
    derived {
        /// Share of one core that it costs.
        cpu(Ratio) = "rate(cpu_time)" { title: Some("CPU%"), top: true },
    }
}

impl CollectorRow {
    /// A row of the table, wherever it comes from; `None` if it has not all that a row must have. A state that this version
    /// does not know is a failure.
    pub fn of(rows: &dyn Rows, row: usize) -> Option<Self> {
        let text = |column| rows.cell(row, column).text().map(Text::from);
        let number = |column| rows.cell(row, column).number();
        let count = |column| rows.cell(row, column).count();
        Some(Self {
            name: text(col!(CollectorRow, name))?,
            state: State::of(&text(col!(CollectorRow, state))?),
            reason: text(col!(CollectorRow, reason))?,
            hint: text(col!(CollectorRow, hint))?,
            run_time: number(col!(CollectorRow, run_time)),
            cpu_time: number(col!(CollectorRow, cpu_time))?,
            runs: count(col!(CollectorRow, runs))?,
            rows: count(col!(CollectorRow, rows))?,
            read_bytes: count(col!(CollectorRow, read_bytes))?,
            interval_asked: number(col!(CollectorRow, interval_asked))?,
            interval_used: number(col!(CollectorRow, interval_used))?,
        })
    }
}

/// Shortest interval that a reader can ask for.
const SHORTEST: Duration = Duration::from_millis(100);

/// A collector with its totals.
pub struct Runner {
    entry: &'static Entry,
    collector: Box<dyn Collect>,
    budget: f64,
    /// What the configuration says of this collector.
    fixed: Option<Duration>,
    /// Interval of the reader that drives it.
    tick: Duration,
    asked: Duration,
    used: Duration,
    row: CollectorRow,
    /// What the last run said of cells that are missing.
    partly: Vec<Partly>,
    /// What the last run said of who has what.
    owned: Vec<Owned>,
    /// Smoothed CPU cost of a run, in seconds.
    cost: Option<f64>,
}

/// A source that is absent is looked for again after so long.
const ABSENT: Duration = Duration::from_secs(30);

impl Runner {
    /// A collector that was not run yet. `tick` is the interval of the reader that drives it.
    pub fn new(entry: &'static Entry, settings: &CollectorSettings, tick: Duration) -> Self {
        let fixed = settings.interval.map(|interval| interval.0);
        let asked = asked(entry, fixed, tick);
        let row = CollectorRow {
            name: Text::from(entry.name),
            state: State::Ok,
            reason: Text::default(),
            hint: Text::default(),
            run_time: None,
            cpu_time: 0.0,
            runs: 0,
            rows: 0,
            read_bytes: 0,
            interval_asked: asked.as_secs_f64(),
            interval_used: asked.as_secs_f64(),
        };
        let (collector, budget) = ((entry.make)(), settings.budget);
        Self {
            entry,
            collector,
            budget,
            fixed,
            tick,
            asked,
            used: asked,
            row,
            partly: Vec::new(),
            owned: Vec::new(),
            cost: None,
        }
    }

    /// Takes new settings; totals and what the collector keeps stay.
    pub fn settle(&mut self, settings: &CollectorSettings, tick: Duration) {
        self.fixed = settings.interval.map(|interval| interval.0);
        (self.budget, self.tick) = (settings.budget, tick);
        self.asked = asked(self.entry, self.fixed, tick);
        self.used = self.asked;
    }

    /// Its registry entry.
    pub fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// Time between runs that is kept to. What is not there is looked for less often, unless that costs nothing: it seldom comes.
    pub fn interval(&self) -> Duration {
        let is_seldom = self.row.state == State::Absent && !self.collector.is_cheap_to_find();
        if is_seldom { self.used.max(ABSENT) } else { self.used }
    }

    /// Time between runs that is asked for while this is wanted. A reader may want the tables of a collector that has no
    /// interval of its own more often than others do.
    pub fn asked_by(&self, wants: &Wants) -> Duration {
        let wanted = self.entry.tables.iter().filter_map(|table| wants.table(table)?.interval);
        let tick = wanted.map(|interval| interval.max(SHORTEST)).fold(self.tick, Duration::min);
        asked(self.entry, self.fixed, tick)
    }

    /// Its row of table `collector`.
    pub fn row(&self) -> &CollectorRow {
        &self.row
    }

    /// Why cells of the last run's rows are missing.
    pub fn partly(&self) -> &[Partly] {
        &self.partly
    }

    /// Takes what the last run said of who has what.
    pub fn take_owned(&mut self) -> Vec<Owned> {
        std::mem::take(&mut self.owned)
    }

    /// Collectors whose [`Owned`] its collector asks for.
    pub fn asks(&self) -> &'static [&'static str] {
        self.collector.asks()
    }

    /// Whether a run would fill anything: a collector of on-demand tables only runs while somebody wants one.
    pub fn is_wanted(&self, wants: &Wants) -> bool {
        self.entry.tables.iter().any(|table| !table.attrs.demand || wants.table(table).is_some())
    }

    /// Lets go of all that the collector of on-demand tables keeps, such as sockets in other network namespaces.
    pub fn close(&mut self) {
        self.collector = (self.entry.make)();
    }

    /// Whether it keeps nothing that is worth more than what it holds: all of its tables are on demand.
    pub fn may_close(&self) -> bool {
        self.entry.tables.iter().all(|table| table.attrs.demand)
    }

    /// Runs it once. Every table of the collector that it could fill is in the answer; one that failed as a whole gives
    /// its status for each of its tables.
    pub fn run(&mut self, cx: &Cx<'_>) -> Vec<Filled> {
        let mut batch = Batch::default();
        self.asked = self.asked_by(cx.wants);
        meter::take();
        let (wall, cpu) = (Instant::now(), thread_cpu());
        let result = catch_unwind(AssertUnwindSafe(|| self.collector.collect(cx, &mut batch)));
        let cpu = (thread_cpu() - cpu).max(0.0);
        let result = result.unwrap_or_else(|panic| {
            // its caches may be half changed
            self.collector = (self.entry.make)();
            Err(Skip::Failed(super::Reason {
                error: panic_text(panic.as_ref()).into(),
                hint: Some("please report this"),
            }))
        });
        self.row.run_time = Some(wall.elapsed().as_secs_f64());
        self.row.cpu_time += cpu;
        self.row.runs += 1;
        self.row.read_bytes += meter::take();
        self.keep_budget(cpu);
        (self.partly, self.owned) = (batch.take_partly(), batch.take_owned());
        let filled = match result {
            Ok(()) => batch.into_tables(),
            Err(skip) => {
                let status = skip.status();
                self.entry.tables.iter().map(|table| (*table, Err(status.clone()))).collect()
            }
        };
        self.conclude(&filled);
        filled
    }

    /// Stretches the interval when a run costs more than its share of a core, and relaxes it again.
    fn keep_budget(&mut self, cpu: f64) {
        let cost = self.cost.map_or(cpu, |cost| cost * 0.7 + cpu * 0.3);
        self.cost = Some(cost);
        // the first runs open files and sockets that later ones keep
        let judged = self.row.runs > 2 && self.budget > 0.0;
        let needed = Duration::try_from_secs_f64(cost / self.budget).ok().filter(|_| judged);
        self.used = needed.map_or(self.asked, |needed| needed.clamp(self.asked, self.asked * 60));
    }

    /// Sums up the tables: the worst state with its reason, and all rows.
    fn conclude(&mut self, filled: &[Filled]) {
        self.row.rows = filled.iter().filter_map(|(_, rows)| rows.as_ref().ok()).map(|rows| rows.len() as u64).sum();
        let any_rows = filled.iter().any(|(_, rows)| rows.is_ok());
        let worst = filled.iter().filter_map(|(_, rows)| rows.as_ref().err()).max_by_key(|status| rank(status.state));
        let status = match worst {
            // one absent table of several is the normal state of most hosts
            Some(status) if !(any_rows && status.state == State::Absent) => status.clone(),
            _ => self.partly.first().map_or_else(Status::ok, |(_, part)| Status {
                state: State::Ok,
                reason: Text::from(format!("partly {}: {}", part.state.name(), part.reason)),
                hint: part.hint.clone(),
            }),
        };
        self.row.state = status.state;
        self.row.interval_asked = self.asked.as_secs_f64();
        self.row.interval_used = self.interval().as_secs_f64();
        self.row.hint = status.hint;
        self.row.reason = if self.used > self.asked && status.state == State::Ok {
            Text::from(format!(
                "runs less often: {} of a core at every {} is over its budget of {}",
                crate::model::unit::percent(self.cost.unwrap_or(f64::NAN) / self.asked.as_secs_f64()),
                crate::model::unit::duration(self.asked),
                crate::model::unit::percent(self.budget),
            ))
        } else {
            status.reason
        };
    }
}

/// The configuration decides; else a collector has the reader's interval, unless its own is longer than a second.
fn asked(entry: &Entry, fixed: Option<Duration>, tick: Duration) -> Duration {
    let own = if entry.interval <= super::EVERY_SECOND { tick } else { entry.interval.max(tick) };
    fixed.unwrap_or(own)
}

fn rank(state: State) -> u8 {
    match state {
        State::Ok => 0,
        State::Absent => 1,
        State::Denied => 2,
        State::Stale => 3,
        State::Failed => 4,
    }
}

/// CPU time of this thread in seconds.
fn thread_cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    format!("the collector panicked: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::load::LoadRow;
    use crate::model::{Mono, Owners, Timestamp};
    use crate::source::file::Roots;

    struct Broken;
    impl Collect for Broken {
        fn collect(&mut self, _: &Cx<'_>, _: &mut Batch) -> Result<(), Skip> {
            panic!("on purpose")
        }
    }
    const BROKEN: Entry = Entry {
        name: "broken",
        tables: &[LoadRow::TABLE],
        interval: Duration::from_secs(1),
        blocks: false,
        needs: crate::collect::NO_CAPABILITY,
        make: || Box::new(Broken),
    };

    struct Nowhere;
    impl Collect for Nowhere {
        fn collect(&mut self, _: &Cx<'_>, _: &mut Batch) -> Result<(), Skip> {
            Err(Skip::absent("not here"))
        }
    }
    static NOWHERE: Entry = Entry { name: "nowhere", make: || Box::new(Nowhere), ..BROKEN };

    fn run(entry: &'static Entry, budget: f64, times: usize) -> (Runner, Vec<Filled>) {
        wanted(entry, budget, times, &Wants::default())
    }

    fn wanted(entry: &'static Entry, budget: f64, times: usize, wants: &Wants) -> (Runner, Vec<Filled>) {
        let settings = CollectorSettings { budget, ..CollectorSettings::default() };
        let mut runner = Runner::new(entry, &settings, Duration::from_secs(1));
        let mut filled = Vec::new();
        for _ in 0..times {
            let cx = Cx {
                roots: &Roots::live(),
                wants,
                owners: &Owners::default(),
                time: Timestamp::now(),
                mono: Mono::now(),
            };
            filled = runner.run(&cx);
        }
        (runner, filled)
    }

    #[test]
    fn a_panic_fails_one_collector_and_says_so() {
        let (runner, filled) = run(&BROKEN, 1.0, 1);
        assert_eq!(runner.row().state, State::Failed);
        assert!(runner.row().reason.contains("on purpose"), "{}", runner.row().reason);
        assert!(matches!(&filled[..], [(_, Err(status))] if status.state == State::Failed));
    }

    #[test]
    fn a_run_over_its_budget_stretches_the_interval_and_says_so() {
        let (runner, _) = run(&crate::collect::load::ENTRY, 1e-9, 5);
        assert!(runner.interval() > Duration::from_secs(1));
        assert!(runner.row().reason.contains("less often"), "{}", runner.row().reason);
        let (runner, _) = run(&crate::collect::load::ENTRY, 0.9, 5);
        assert_eq!(runner.interval(), Duration::from_secs(1));
    }

    #[test]
    fn a_source_that_is_not_there_is_seldom_looked_for() {
        let (runner, _) = run(&NOWHERE, 0.9, 1);
        assert_eq!((runner.interval(), runner.row().interval_used), (ABSENT, ABSENT.as_secs_f64()));
        assert_eq!((runner.row().state, runner.row().interval_asked), (State::Absent, 1.0));
    }

    #[test]
    fn what_is_cheap_to_find_is_looked_for_as_often_as_everything_else() {
        struct Near;
        impl Collect for Near {
            fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
                Nowhere.collect(cx, out)
            }
            fn is_cheap_to_find(&self) -> bool {
                true
            }
        }
        static NEAR: Entry = Entry { name: "near", make: || Box::new(Near), ..BROKEN };
        let (runner, _) = run(&NEAR, 0.9, 1);
        assert_eq!((runner.row().state, runner.interval()), (State::Absent, Duration::from_secs(1)));
    }

    #[test]
    fn a_reader_may_want_a_table_more_often_but_not_less() {
        use crate::model::Demand;
        let interval = |table: &str, entry: &'static Entry, millis: u64| {
            let interval = Some(Duration::from_millis(millis));
            let demand = Demand { interval, ..Demand::table(table) };
            wanted(entry, 0.9, 1, &Wants::union([&demand])).0.interval()
        };
        let load = &crate::collect::load::ENTRY;
        assert_eq!(interval("load", load, 500), Duration::from_millis(500));
        assert_eq!(interval("load", load, 1), SHORTEST);
        assert_eq!(interval("load", load, 9000), Duration::from_secs(1));
        assert_eq!(interval("memory", load, 500), Duration::from_secs(1));
        let host = &crate::collect::host::ENTRY;
        assert_eq!(interval("host", host, 500), host.interval, "it has an interval of its own");
    }
}
