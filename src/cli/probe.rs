//! How does a command read a collector once, without ever hanging with it?
//!
//! A [`Probe`] is a thread with one collector that takes a sample when it is asked. A source that does not answer within
//! [`PATIENCE`] is stale; its thread is left behind and ends with the process.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::collect::run::{CollectorRow, Runner};
use crate::collect::settings::CollectorSettings;
use crate::collect::{COLLECTORS, Cx, Entry, Filled, Partly, Wants, schedule};
use crate::config::Config;
use crate::model::{Column, Demand, Mono, Owners, Sample, State, Status, Table, Text, Timestamp};
use crate::source::file::Roots;

/// Longest wait for one sample.
const PATIENCE: Duration = Duration::from_secs(5);

/// One sample of a collector.
pub(super) struct Taken {
    /// Its tables.
    pub(super) filled: Vec<Filled>,
    /// Why cells of their rows are missing.
    pub(super) partly: Vec<Partly>,
    /// What it cost so far.
    pub(super) row: CollectorRow,
    time: Timestamp,
    mono: Mono,
}

/// A collector that takes samples on request.
pub(super) struct Probe {
    entry: &'static Entry,
    settings: CollectorSettings,
    /// `None` for a collector that the configuration has switched off.
    thread: Option<Line>,
}

/// How a probe talks to its thread.
struct Line {
    requests: mpsc::Sender<()>,
    answers: mpsc::Receiver<Taken>,
}

impl Probe {
    /// Starts the thread, unless the collector is switched off; nothing is read yet.
    pub(super) fn start(entry: &'static Entry, wants: Wants, config: &Config) -> std::io::Result<Self> {
        let settings = config.collect.collectors.get(entry.name).cloned().unwrap_or_default();
        if !settings.enabled {
            return Ok(Self { entry, settings, thread: None });
        }
        let (requests, asked) = mpsc::channel::<()>();
        let (answer, answers) = mpsc::channel();
        let own = settings.clone();
        std::thread::Builder::new().name(format!("probe-{}", entry.name)).spawn(move || {
            let mut runner = Runner::new(entry, &own, entry.interval);
            let (roots, owners) = (Roots::live(), Owners::default());
            while asked.recv().is_ok() {
                let (time, mono) = (Timestamp::now(), Mono::now());
                let filled = runner.run(&Cx { roots: &roots, wants: &wants, owners: &owners, time, mono });
                let (partly, row) = (runner.partly().to_vec(), runner.row().clone());
                if answer.send(Taken { filled, partly, row, time, mono }).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { entry, settings, thread: Some(Line { requests, answers }) })
    }

    /// Probes of every collector, asked for every table that needs no Id, with the columns that people show.
    pub(super) fn all(config: &Config) -> std::io::Result<Vec<Self>> {
        let shown = |column: &&Column| column.attrs.demand && !column.attrs.wide;
        let demand = |table: &&'static Table| {
            let columns = table.columns.iter().filter(shown).map(|column| column.name.to_string()).collect();
            Demand { columns, ..Demand::table(&table.name) }
        };
        let start = |entry: &&'static Entry| {
            let open = entry.tables.iter().filter(|table| !table.columns.iter().any(|column| column.attrs.required));
            let demands: Vec<Demand> = open.map(demand).collect();
            Self::start(entry, Wants::union(&demands), config)
        };
        COLLECTORS.iter().map(start).collect()
    }

    /// The collector.
    pub(super) fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// Takes a sample.
    ///
    /// # Errors
    /// The status of a source that does not answer or is switched off.
    pub(super) fn take(&self) -> Result<Taken, Status> {
        let line = self.thread.as_ref().ok_or_else(|| schedule::off(self.entry))?;
        // a thread that is gone shows in the answer
        let _ = line.requests.send(());
        line.answers.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => Status {
                state: State::Stale,
                reason: Text::from(format!("no answer within {}", crate::model::unit::duration(PATIENCE))),
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
}

impl Source {
    /// Finds the collector of a table.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start(table: &Table, wants: &Wants, config: &Config) -> std::io::Result<Self> {
        let fills = |entry: &&&'static Entry| entry.tables.iter().any(|known| known.name == table.name);
        match COLLECTORS.iter().find(fills) {
            Some(entry) => Ok(Self::Collector(Probe::start(entry, wants.clone(), config)?)),
            None => Ok(Self::Collectors(Probe::all(config)?)),
        }
    }

    /// A sample of a table, and why cells of it are missing.
    ///
    /// # Errors
    /// Why it has none.
    pub(super) fn take(&self, table: &Table) -> Result<(Sample, Option<Status>), Status> {
        let probe = match self {
            Self::Collector(probe) => probe,
            Self::Collectors(probes) => {
                let (time, mono) = (Timestamp::now(), Mono::now());
                let rows: Vec<CollectorRow> = probes.iter().map(|probe| probe.examine().0).collect();
                return Ok((Sample { rows: Arc::new(rows), time, mono }, None));
            }
        };
        let Taken { filled, partly, time, mono, .. } = probe.take()?;
        let part = partly.into_iter().find(|(known, _)| known.name == table.name).map(|(_, status)| status);
        match filled.into_iter().find(|(known, _)| known.name == table.name) {
            Some((_, rows)) => rows.map(|rows| (Sample { rows, time, mono }, part)),
            None => Err(Status {
                state: State::Absent,
                reason: Text::from(format!("collector {} has not filled it", probe.entry.name)),
                hint: Text::default(),
            }),
        }
    }
}

/// Waits, with nobody who could wake it earlier.
pub(super) fn wait(span: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(span);
}
