//! What does the front know of the host?
//!
//! [`Sampled`] keeps a mirror of the sampler's tables and passes questions on. When the link breaks (the sampler was
//! restarted, or has ended) it says so, keeps the last samples, and takes the next link.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::link;
use crate::model::{self, Action, ActionError, Demand, HistoryAsk, Series, Snapshot, Status, Text, lock, unit};
use crate::wire::mirror::Mirror;
use crate::wire::{convert, proto, schema};

/// Longest wait for an answer of the sampler.
const PATIENCE: Duration = Duration::from_secs(3);

/// The sampler tells of itself at least once a second; after so long without a word it hangs.
const SILENCE: Duration = Duration::from_secs(5);

/// Questions that may wait for an answer.
const MAX_OPEN: usize = 1024;

/// The host as the sampler tells of it.
pub(super) struct Sampled {
    state: Mutex<State>,
    questions: mpsc::Sender<proto::Ask>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<proto::Ask>>,
    next: AtomicU64,
    generation: watch::Sender<u64>,
}

struct State {
    mirror: Mirror,
    demands: BTreeMap<u64, Vec<Demand>>,
    open: HashMap<u64, oneshot::Sender<proto::answer::Answer>>,
    heard: Instant,
    /// What is shown while the sampler is silent.
    silence: Option<Arc<Snapshot>>,
    describe: proto::DescribeReply,
}

impl Sampled {
    /// Nothing is known yet.
    pub(super) fn new() -> Arc<Self> {
        let (questions, waiting) = mpsc::channel(64);
        let state = State {
            mirror: Mirror::new(Arc::clone(schema::own())),
            demands: BTreeMap::new(),
            open: HashMap::new(),
            heard: Instant::now(),
            silence: None,
            describe: proto::DescribeReply::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            questions,
            waiting: tokio::sync::Mutex::new(waiting),
            next: AtomicU64::new(1),
            generation: watch::Sender::new(0),
        })
    }

    /// Carries questions and answers until the link breaks.
    ///
    /// # Errors
    /// Always: why it broke.
    pub(super) async fn attach(&self, socket: UnixStream) -> io::Result<()> {
        let (mut from, mut to) = socket.into_split();
        let mut waiting = self.waiting.lock().await;
        while waiting.try_recv().is_ok() {}
        lock(&self.state).mirror.resume();
        link::send(&mut to, &self.demands()).await?;
        let speak = async {
            while let Some(ask) = waiting.recv().await {
                link::send(&mut to, &ask).await?;
            }
            Ok(())
        };
        let listen = async {
            while let Some(answer) = link::receive::<proto::Answer>(&mut from).await? {
                self.hear(answer)?;
            }
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the sampler has ended"))
        };
        tokio::select! {
            ended = speak => ended,
            ended = listen => ended,
        }
    }

    /// Looks whether the sampler still speaks; one that does not makes every table stale.
    pub(super) fn look(&self) {
        let mut state = lock(&self.state);
        let silence = state.heard.elapsed();
        if silence < SILENCE {
            return;
        }
        let mut snapshot = Snapshot::clone(&state.mirror.snapshot());
        let reason = Text::from(format!("the sampler has said nothing for {}", unit::duration(silence)));
        let status = Status { state: model::State::Stale, reason, hint: Text::default() };
        for state in snapshot.tables.values_mut() {
            state.status = status.clone();
        }
        state.silence = Some(Arc::new(snapshot));
        drop(state);
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// The newest samples.
    pub(super) fn latest(&self) -> Arc<Snapshot> {
        let state = lock(&self.state);
        state.silence.clone().unwrap_or_else(|| state.mirror.snapshot())
    }

    /// Grows with every change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// When the sampler started, in nanoseconds since the Unix epoch.
    pub(super) fn started(&self) -> i64 {
        lock(&self.state).describe.started
    }

    /// Whether the sampler has told something, and not too long ago.
    pub(super) fn is_live(&self) -> bool {
        let state = lock(&self.state);
        state.silence.is_none() && state.describe.started != 0
    }

    /// Number for a reader who will want something.
    pub(super) fn reader(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Replaces what a reader wants.
    pub(super) fn demand(&self, reader: u64, wants: &[Demand]) {
        let changed = {
            let mut state = lock(&self.state);
            if wants.is_empty() {
                state.demands.remove(&reader).is_some()
            } else {
                state.demands.insert(reader, wants.to_vec()).as_deref() != Some(wants)
            }
        };
        if changed {
            // a sampler that takes no questions is silent, and that is told
            let _ = self.questions.try_send(self.demands());
        }
    }

    /// What all readers want, as a question.
    fn demands(&self) -> proto::Ask {
        let demands = lock(&self.state).demands.values().flatten().map(convert::from_demand).collect();
        proto::Ask { id: 0, ask: Some(proto::ask::Ask::Demands(proto::Demands { demands })) }
    }

    /// The past of one cell; `Err` when the sampler does not answer.
    pub(super) async fn history(&self, ask: &HistoryAsk) -> Result<Option<Series>, Text> {
        match self.ask(proto::ask::Ask::History(convert::from_ask(ask))).await? {
            proto::answer::Answer::History(reply) => convert::series(&reply).map_err(|error| error.to_string().into()),
            _ => Err(Text::from("the sampler answers something else")),
        }
    }

    /// Does something to the host; `Err` when the sampler does not answer.
    pub(super) async fn act(&self, action: &Action) -> Result<Result<(), ActionError>, Text> {
        match self.ask(proto::ask::Ask::Act(convert::from_action(action))).await? {
            proto::answer::Answer::Act(reply) => Ok(convert::done(&reply, action)),
            _ => Err(Text::from("the sampler answers something else")),
        }
    }

    async fn ask(&self, ask: proto::ask::Ask) -> Result<proto::answer::Answer, Text> {
        let id = self.reader();
        let (sender, answer) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            state.open.retain(|_, asked| !asked.is_closed());
            if state.open.len() >= MAX_OPEN {
                return Err(Text::from("too many questions wait for the sampler"));
            }
            state.open.insert(id, sender);
        }
        let busy = |_| Text::from("the sampler takes no more questions");
        self.questions.try_send(proto::Ask { id, ask: Some(ask) }).map_err(busy)?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(Text::from("the sampler does not answer")),
        }
    }

    fn hear(&self, answer: proto::Answer) -> io::Result<()> {
        use proto::answer::Answer;
        let mut state = lock(&self.state);
        state.heard = Instant::now();
        state.silence = None;
        match answer.answer {
            Some(Answer::Frame(frame)) => {
                let damaged = |cause| io::Error::new(io::ErrorKind::InvalidData, cause);
                state.mirror.apply(&frame).map_err(damaged)?;
            }
            Some(Answer::Describe(describe)) => state.describe = describe,
            Some(other) => {
                if let Some(asked) = state.open.remove(&answer.id) {
                    let _ = asked.send(other);
                }
            }
            None => {}
        }
        drop(state);
        self.generation.send_modify(|generation| *generation += 1);
        Ok(())
    }
}
