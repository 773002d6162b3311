//! How does a command read a collector once, without ever hanging with it?
//!
//! A [`Probe`] is a thread with one collector that takes a sample when it is asked. A source that does not answer within
//! [`PATIENCE`] is stale; its thread is left behind and ends with the process.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Failure;
use super::remote::Remote;
use crate::collect::run::{CollectorRow, Runner};
use crate::collect::settings::CollectorSettings;
use crate::collect::{COLLECTORS, Cx, Entry, Filled, Partly, Wants, schedule};
use crate::config::Config;
use crate::model::{Column, Demand, Mono, Owned, Owners, Sample, State, Status, Table, Text, Timestamp};
use crate::source::file::Roots;
use crate::source::netns::Selection;

/// Longest wait for one sample.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait for what another collector knows.
const OTHERS: Duration = Duration::from_secs(1);

/// One sample of a collector.
pub(super) struct Taken {
    /// Its tables.
    pub(super) filled: Vec<Filled>,
    /// Why cells of their rows are missing.
    pub(super) partly: Vec<Partly>,
    /// What it cost so far.
    pub(super) row: CollectorRow,
    owned: Vec<Owned>,
    time: Timestamp,
    mono: Mono,
}

/// A collector that takes samples on request.
pub(super) struct Probe {
    entry: &'static Entry,
    settings: CollectorSettings,
    /// `None` for a collector that the configuration has switched off.
    thread: Option<Line>,
    /// Longest wait for one sample.
    patience: Duration,
}

/// How a probe talks to its thread. Questions have numbers, so that an answer that comes too late is not taken for that to
/// the next question.
struct Line {
    requests: mpsc::Sender<u64>,
    answers: mpsc::Receiver<(u64, Taken)>,
    asked: Cell<u64>,
}

impl Line {
    /// The answer to a new question.
    fn answer(&self, patience: Duration) -> Result<Taken, RecvTimeoutError> {
        let until = Instant::now() + patience;
        let question = self.asked.get() + 1;
        self.asked.set(question);
        // a thread that is gone shows in the answer
        let _ = self.requests.send(question);
        loop {
            match self.answers.recv_timeout(until.saturating_duration_since(Instant::now()))? {
                (number, taken) if number == question => return Ok(taken),
                _ => {}
            }
        }
    }
}

impl Probe {
    /// Starts the thread, unless the collector is switched off; nothing is read yet.
    pub(super) fn start(entry: &'static Entry, wants: Wants, config: &Config, roots: Roots) -> std::io::Result<Self> {
        Self::asking(entry, wants, config, roots, &[])
    }

    /// The same for one that is asked by others. One of these that is asked in turn asks nobody.
    fn asking(
        entry: &'static Entry,
        wants: Wants,
        config: &Config,
        roots: Roots,
        by: &[&'static str],
    ) -> std::io::Result<Self> {
        let settings = config.collect.collectors.get(entry.name).cloned().unwrap_or_default();
        if !settings.enabled {
            return Ok(Self { entry, settings, thread: None, patience: PATIENCE });
        }
        roots.routing.configure(config.routing.clone());
        let (requests, asked) = mpsc::channel::<u64>();
        let (answer, answers) = mpsc::channel();
        let mut runner = Runner::new(entry, &settings, entry.interval);
        let asks = if by.contains(&entry.name) { &[] } else { runner.asks() };
        let by = [by, &[entry.name]].concat();
        let is_asked = |name: &&str| asks.contains(name);
        let others = COLLECTORS.iter().filter(|other| is_asked(&other.name));
        let start = |other: &&'static Entry| Self::asking(other, Wants::default(), config, roots.clone(), &by);
        let others = others.map(|other| start(other).map(|probe| Self { patience: OTHERS, ..probe }));
        let others = others.collect::<std::io::Result<Vec<_>>>()?;
        std::thread::Builder::new().name(format!("probe-{}", entry.name)).spawn(move || {
            let mut owners = Owners::default();
            while let Ok(number) = asked.recv() {
                // nobody waits any more for the answers to those before
                let number = asked.try_iter().last().unwrap_or(number);
                for other in &others {
                    let taken = other.take().map(|taken| taken.owned);
                    taken.unwrap_or_default().into_iter().for_each(|owned| owners.take(owned));
                }
                let (time, mono) = (Timestamp::now(), Mono::now());
                let filled = runner.run(&Cx { roots: &roots, wants: &wants, owners: &owners, time, mono });
                let (partly, row, owned) = (runner.partly().to_vec(), runner.row().clone(), runner.take_owned());
                if answer.send((number, Taken { filled, partly, row, owned, time, mono })).is_err() {
                    break;
                }
            }
        })?;
        let line = Line { requests, answers, asked: Cell::new(0) };
        Ok(Self { entry, settings, thread: Some(line), patience: PATIENCE })
    }

    /// Probes of every collector, asked for every table that needs no Id, with the columns that people show.
    pub(super) fn all(config: &Config) -> std::io::Result<Vec<Self>> {
        let shown = |column: &&Column| column.attrs.demand && !column.attrs.wide;
        let demand = |table: &&'static Table| {
            let columns = table.columns.iter().filter(shown).map(|column| column.name.to_string()).collect();
            Demand { columns, ..Demand::table(&table.name) }
        };
        let roots = Roots::live().choosing(Selection::host_and(config.netns.clone()))?;
        let start = |entry: &&'static Entry| {
            let open = entry.tables.iter().filter(|table| !table.columns.iter().any(|column| column.attrs.required));
            let demands: Vec<Demand> = open.map(demand).collect();
            Self::start(entry, Wants::union(&demands), config, roots.clone())
        };
        COLLECTORS.iter().map(start).collect()
    }

    /// Takes a sample.
    ///
    /// # Errors
    /// The status of a source that does not answer or is switched off.
    pub(super) fn take(&self) -> Result<Taken, Status> {
        let line = self.thread.as_ref().ok_or_else(|| schedule::off(self.entry))?;
        line.answer(self.patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => Status {
                state: State::Stale,
                reason: Text::from(format!("no answer within {}", crate::model::unit::duration(self.patience))),
                hint: Text::from("its source hangs"),
            },
            RecvTimeoutError::Disconnected => Status {
                state: State::Failed,
                reason: Text::from("the collector's thread has ended"),
                hint: Text::from("please report this"),
            },
        })
    }

    /// Takes a sample and gives the row that says how the collector fares, whatever happens.
    pub(super) fn examine(&self) -> (CollectorRow, Vec<Filled>) {
        match self.take() {
            Ok(taken) => (taken.row, taken.filled),
            Err(status) => {
                let runner = Runner::new(self.entry, &self.settings, self.entry.interval);
                let Status { state, reason, hint } = status;
                (CollectorRow { state, reason, hint, ..runner.row().clone() }, Vec::new())
            }
        }
    }
}

/// Where the rows of one table come from.
pub(super) enum Source {
    /// Its collector.
    Collector(Probe),
    /// All collectors: the table about them.
    Collectors(Vec<Probe>),
    /// An agent.
    Agent(Remote),
}

/// Why there is no sample.
#[derive(Debug)]
pub(super) enum Missed {
    /// What the source says.
    Source(Status),
    /// The agent that was asked is the reason.
    Peer(Failure),
}

impl Missed {
    /// Why a command that wanted this table ends.
    pub(super) fn failure(self, table: &Table) -> Failure {
        match self {
            Self::Source(status) => Failure::source(&table.name, &status),
            Self::Peer(failure) => failure,
        }
    }
}

impl From<Status> for Missed {
    fn from(status: Status) -> Self {
        Self::Source(status)
    }
}

/// A sample, and why cells of it are missing, if there is a reason: what is wrong and what to do.
pub(super) type Found = (Sample, Option<(Text, Text)>);

impl Source {
    /// Finds the collector of a table, to read some network namespaces.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start(table: &Table, wants: &Wants, config: &Config, netns: Selection) -> std::io::Result<Self> {
        let fills = |entry: &&&'static Entry| entry.tables.iter().any(|known| known.name == table.name);
        match COLLECTORS.iter().find(fills) {
            Some(entry) => {
                let roots = Roots::live().choosing(netns)?;
                Ok(Self::Collector(Probe::start(entry, wants.clone(), config, roots)?))
            }
            None => Ok(Self::Collectors(Probe::all(config)?)),
        }
    }

    /// A sample of a table.
    ///
    /// # Errors
    /// Why it has none.
    pub(super) fn take(&self, table: &Table) -> Result<Found, Missed> {
        let probe = match self {
            Self::Collector(probe) => probe,
            Self::Collectors(probes) => {
                let (time, mono) = (Timestamp::now(), Mono::now());
                let rows: Vec<CollectorRow> = probes.iter().map(|probe| probe.examine().0).collect();
                return Ok((Sample { rows: Arc::new(rows), time, mono }, None));
            }
            Self::Agent(remote) => return remote.take(table),
        };
        let Taken { filled, partly, time, mono, .. } = probe.take()?;
        let part = partly
            .into_iter()
            .find(|(known, _)| known.name == table.name)
            .map(|(_, status)| (Text::from(format!("partly {}: {}", status.state.name(), status.reason)), status.hint));
        match filled.into_iter().find(|(known, _)| known.name == table.name) {
            Some((_, rows)) => Ok((Sample { rows: rows?, time, mono }, part)),
            None => Err(Missed::Source(Status {
                state: State::Absent,
                reason: Text::from(format!("collector {} has not filled it", probe.entry.name)),
                hint: Text::default(),
            })),
        }
    }
}

/// Waits, with nobody who could wake it earlier.
pub(super) fn wait(span: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(span);
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::{Condvar, Mutex, MutexGuard};

    use super::*;
    use crate::collect::load::LoadRow;
    use crate::collect::{Batch, Collect, Reason, Skip};

    /// A collector of loads that are the numbers of its runs. One of them waits until it is let go.
    pub(crate) static WAITS: Entry = Entry {
        name: "waits",
        tables: &[LoadRow::TABLE],
        interval: Duration::from_secs(1),
        blocks: true,
        needs: crate::collect::NO_CAPABILITY,
        make: || Box::new(Waits(0)),
    };

    /// A collector of loads that are the numbers of its runs, the second of which fails.
    pub(crate) static FALTERS: Entry = Entry { name: "falters", make: || Box::new(Falters(0)), ..WAITS };

    struct Falters(u32);

    impl Collect for Falters {
        fn collect(&mut self, _: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
            self.0 += 1;
            if self.0 == 2 {
                return Err(Skip::Failed(Reason { error: "it was another".into(), hint: None }));
            }
            out.push(loads(self.0));
            Ok(())
        }
    }

    fn loads(run: u32) -> Vec<LoadRow> {
        let run = f64::from(run);
        vec![LoadRow { one: run, five: run, fifteen: run, runnable: 0, tasks: 0, cpus: None }]
    }

    struct Waits(u32);

    /// The run that waits.
    static CLOSED: Mutex<Option<u32>> = Mutex::new(None);
    static OPENED: Condvar = Condvar::new();
    static ONE_TEST: Mutex<()> = Mutex::new(());

    impl Collect for Waits {
        fn collect(&mut self, _: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
            self.0 += 1;
            let closed = CLOSED.lock().unwrap();
            drop(OPENED.wait_while(closed, |run| *run == Some(self.0)).unwrap());
            out.push(loads(self.0));
            Ok(())
        }
    }

    /// Holds one run until it is opened; one at a time.
    pub(crate) struct Gate {
        _one: MutexGuard<'static, ()>,
    }

    impl Gate {
        pub(crate) fn closed_at(run: u32) -> Self {
            let gate = Self { _one: ONE_TEST.lock().unwrap_or_else(std::sync::PoisonError::into_inner) };
            *CLOSED.lock().unwrap() = Some(run);
            gate
        }

        pub(crate) fn open() {
            *CLOSED.lock().unwrap() = None;
            OPENED.notify_all();
        }
    }

    impl Drop for Gate {
        fn drop(&mut self) {
            Self::open();
        }
    }

    /// A probe that waits so long.
    pub(crate) fn probe(entry: &'static Entry, patience: Duration) -> Probe {
        let config = Config::default();
        Probe { patience, ..Probe::start(entry, Wants::default(), &config, Roots::live()).unwrap() }
    }

    #[test]
    fn a_late_answer_is_not_taken_for_that_to_the_next_question() {
        let _gate = Gate::closed_at(1);
        let mut probe = probe(&WAITS, Duration::from_millis(20));
        for _ in 0..2 {
            assert_eq!(probe.take().err().map(|status| status.state), Some(State::Stale));
        }
        Gate::open();
        probe.patience = Duration::from_secs(20);
        let taken = probe.take().ok().unwrap();
        assert!(taken.row.runs >= 2, "the answer is that of run {}", taken.row.runs);
        assert_eq!(probe.take().ok().unwrap().row.runs, taken.row.runs + 1);
    }
}
