//! How does a command read a collector once, without ever hanging with it?
//!
//! A [`Probe`] is a thread with one collector that takes a sample when it is asked. A source that does not answer within
//! [`PATIENCE`] is stale; its thread is left behind and ends with the process.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::collect::run::{CollectorRow, Runner};
use crate::collect::settings::CollectorSettings;
use crate::collect::{Cx, Entry, Filled, Wants};
use crate::model::{Mono, Owners, State, Status, Text, Timestamp};
use crate::source::file::Roots;

/// Longest wait for one sample.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// One sample of a collector.
pub(super) struct Taken {
    /// Its tables.
    pub(super) filled: Vec<Filled>,
    /// What it cost so far.
    pub(super) row: CollectorRow,
}

/// A collector that takes samples on request.
pub(super) struct Probe {
    requests: mpsc::Sender<()>,
    answers: mpsc::Receiver<Taken>,
}

impl Probe {
    /// Starts the thread; nothing is read yet.
    pub(super) fn start(entry: &'static Entry, wants: Wants) -> std::io::Result<Self> {
        let (requests, asked) = mpsc::channel::<()>();
        let (answer, answers) = mpsc::channel();
        std::thread::Builder::new().name(format!("probe-{}", entry.name)).spawn(move || {
            let mut runner = Runner::new(entry, &CollectorSettings::default(), entry.interval);
            let (roots, owners) = (Roots::live(), Owners::default());
            while asked.recv().is_ok() {
                let (time, mono) = (Timestamp::now(), Mono::now());
                let filled = runner.run(&Cx { roots: &roots, wants: &wants, owners: &owners, time, mono });
                if answer.send(Taken { filled, row: runner.row().clone() }).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { requests, answers })
    }

    /// Takes a sample.
    ///
    /// # Errors
    /// The status of a source that does not answer.
    pub(super) fn take(&self) -> Result<Taken, Status> {
        // a thread that is gone shows in the answer
        let _ = self.requests.send(());
        self.answers.recv_timeout(PATIENCE).map_err(|error| match error {
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
}

/// Waits, with nobody who could wake it earlier.
pub(super) fn wait(span: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(span);
}
