//! What does the front know of the host?
//!
//! [`Sampled`] keeps a mirror of the sampler's tables and passes questions on. When the link breaks (the sampler was
//! restarted, or has ended) it says so, keeps the last samples, and takes the next link.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::link;
use super::wanted::Wanted;
use crate::model::{self, Action, ActionError, Demand, Done, HistoryAsk, Series, Snapshot, Status, Text, lock, unit};
use crate::wire::mirror::Mirror;
use crate::wire::{convert, proto, schema};

/// Longest wait for an answer of the sampler.
const PATIENCE: Duration = Duration::from_secs(3);

/// The sampler tells of itself at least once a second; after so long without a word it hangs.
const SILENCE: Duration = Duration::from_secs(5);

/// The sampler is told what readers want at most so often: many who come at once are one message.
const GATHER: Duration = Duration::from_millis(50);

/// Questions that may wait for an answer.
const MAX_OPEN: usize = 1024;

/// The host as the sampler tells of it.
pub(super) struct Sampled {
    state: Mutex<State>,
    questions: mpsc::Sender<proto::Ask>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<proto::Ask>>,
    /// What is wanted has changed.
    rewanted: Notify,
    /// Number of the last message of wants that the sampler has taken.
    taken: watch::Sender<u64>,
    next: AtomicU64,
    generation: watch::Sender<u64>,
}

struct State {
    mirror: Mirror,
    wanted: Wanted,
    /// Number of the last message of wants, and whether there is something that is not in it.
    told: u64,
    is_untold: bool,
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
            wanted: Wanted::default(),
            told: 0,
            is_untold: false,
            open: HashMap::new(),
            heard: Instant::now(),
            silence: None,
            describe: proto::DescribeReply::default(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            questions,
            waiting: tokio::sync::Mutex::new(waiting),
            rewanted: Notify::new(),
            taken: watch::Sender::new(0),
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
        link::send(&mut to, &self.wants()).await?;
        let speak = async {
            let mut told = tokio::time::Instant::now();
            loop {
                let rewanted = async {
                    tokio::time::sleep_until(told + GATHER).await;
                    self.rewanted.notified().await;
                };
                let ask = tokio::select! {
                    ask = waiting.recv() => match ask {
                        Some(ask) => ask,
                        None => return Ok(()),
                    },
                    () = rewanted => {
                        told = tokio::time::Instant::now();
                        self.wants()
                    }
                };
                link::send(&mut to, &ask).await?;
            }
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

    /// Whether there is a link.
    pub(super) fn is_attached(&self) -> bool {
        self.waiting.try_lock().is_err()
    }

    /// Looks whether the sampler still speaks; one that does not makes every table stale.
    pub(super) fn look(&self) {
        let mut state = lock(&self.state);
        // told once: nothing changes until it speaks again
        if state.silence.is_some() || state.heard.elapsed() < SILENCE {
            return;
        }
        let mut snapshot = Snapshot::clone(&state.mirror.snapshot());
        let reason = Text::from(format!("the sampler has said nothing for more than {}", unit::duration(SILENCE)));
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

    /// How many changes there were.
    pub(super) fn generation(&self) -> u64 {
        *self.generation.borrow()
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

    /// Replaces what a reader wants; the number of the message that tells the sampler, for [`Self::taken`].
    ///
    /// # Errors
    /// All readers together want too much; then nothing has changed. Never when nothing is wanted.
    pub(super) fn demand(&self, reader: u64, wants: &[Demand]) -> Result<u64, Text> {
        let mut state = lock(&self.state);
        if state.wanted.replace(reader, wants)? {
            state.is_untold = true;
            self.rewanted.notify_one();
        }
        Ok(state.told + u64::from(state.is_untold))
    }

    /// Waits until the sampler has taken a message of wants: what is begun to be sampled then has what they ask for.
    pub(super) async fn taken(&self, number: u64) {
        // a sampler that has gone leaves it to the next one
        let _ = self.taken.subscribe().wait_for(|taken| *taken >= number).await;
    }

    /// What all readers want, as a question.
    fn wants(&self) -> proto::Ask {
        let mut state = lock(&self.state);
        state.told += 1;
        state.is_untold = false;
        let demands = state.wanted.all();
        proto::Ask { id: state.told, ask: Some(proto::ask::Ask::Demands(proto::Demands { demands })) }
    }

    /// The past of one cell; `Err` when the sampler does not answer.
    pub(super) async fn history(&self, ask: &HistoryAsk) -> Result<Option<Series>, Text> {
        match self.ask(proto::ask::Ask::History(convert::from_ask(ask))).await? {
            proto::answer::Answer::History(reply) => convert::series(&reply).map_err(|error| error.to_string().into()),
            _ => Err(Text::from("the sampler answers something else")),
        }
    }

    /// Does something to the host, as `asker` wants it; `Err` when the sampler does not answer.
    pub(super) async fn act(&self, action: &Action, asker: String) -> Result<Result<Done, ActionError>, Text> {
        let request = proto::ActRequest { asker, ..convert::from_action(action) };
        match self.ask(proto::ask::Ask::Act(request)).await? {
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

    /// Takes a snapshot as if a sampler had told it.
    #[cfg(test)]
    pub(super) fn show(&self, snapshot: &Snapshot) {
        let frame = crate::wire::frame::Frames::all(schema::own()).next(snapshot);
        lock(&self.state).mirror.resume();
        self.hear(proto::Answer { id: 0, answer: Some(proto::answer::Answer::Frame(frame)) }).unwrap();
    }

    fn hear(&self, answer: proto::Answer) -> io::Result<()> {
        use proto::answer::Answer;
        let mut state = lock(&self.state);
        state.heard = Instant::now();
        let mut news = state.silence.take().is_some();
        match answer.answer {
            Some(Answer::Frame(frame)) => {
                let damaged = |cause| io::Error::new(io::ErrorKind::InvalidData, cause);
                state.mirror.apply(&frame).map_err(damaged)?;
                news = true;
            }
            Some(Answer::Describe(describe)) => {
                state.describe = describe;
                news = true;
            }
            // who has asked is told, and nobody else
            Some(other) => {
                if let Some(asked) = state.open.remove(&answer.id) {
                    let _ = asked.send(other);
                }
            }
            None => self.taken.send_modify(|taken| *taken = answer.id.max(*taken)),
        }
        drop(state);
        if news {
            self.generation.send_modify(|generation| *generation += 1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::link::{receive, send};

    fn ended(end: io::Result<()>) -> io::ErrorKind {
        end.unwrap_err().kind()
    }

    /// Runs a front's side of the link, and a sampler that is made.
    fn with<F: Future>(sampler: impl FnOnce(Arc<Sampled>, UnixStream) -> F) -> (F::Output, io::Result<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let sampled = Sampled::new();
            let attached = Arc::clone(&sampled);
            let link = tokio::spawn(async move { attached.attach(ours).await });
            let output = sampler(sampled, theirs).await;
            (output, link.await.unwrap())
        })
    }

    async fn wanted(socket: &mut UnixStream) -> usize {
        match receive::<proto::Ask>(socket).await.unwrap().unwrap().ask {
            Some(proto::ask::Ask::Demands(demands)) => demands.demands.len(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn readers_who_come_in_a_burst_all_get_what_they_want() {
        let (messages, _) = with(|sampled, mut socket| async move {
            assert_eq!(wanted(&mut socket).await, 0);
            // more than any queue holds, before anybody reads
            for reader in 0..1000 {
                let ids = vec![model::Value::U64(reader)];
                sampled.demand(reader, &[Demand { ids, ..Demand::table("process_file") }]).unwrap();
            }
            let mut messages = 1;
            while wanted(&mut socket).await < 1000 {
                messages += 1;
            }
            messages
        });
        assert!(messages <= 3, "{messages}");
    }

    #[test]
    fn a_sampler_that_is_not_understood_ends_the_link_with_the_reason() {
        let frame = |frame| proto::Answer { id: 0, answer: Some(proto::answer::Answer::Frame(frame)) };
        // a table that there is not
        let damaged = frame(proto::Frame { tables: vec![proto::TableFrame { table: 9999, ..Default::default() }] });
        let ((), end) = with(|_, mut socket| async move {
            send(&mut socket, &damaged).await.unwrap();
            while receive::<proto::Ask>(&mut socket).await.is_ok_and(|ask| ask.is_some()) {}
        });
        assert_eq!(ended(end), io::ErrorKind::InvalidData);
        // one that has ended is something else
        let ((), end) = with(|_, socket| async move { drop(socket) });
        assert_ne!(ended(end), io::ErrorKind::InvalidData);
    }

    #[test]
    fn silence_is_told_once_and_ends_with_the_next_word() {
        let sampled = Sampled::new();
        let changes = sampled.changes();
        sampled.hear(proto::Answer::default()).unwrap();
        assert_eq!(*changes.borrow(), 0);
        lock(&sampled.state).heard = Instant::now().checked_sub(SILENCE).unwrap();
        for _ in 0..3 {
            sampled.look();
            assert!(!sampled.is_live());
            assert_eq!(*changes.borrow(), 1);
        }
        sampled.hear(proto::Answer::default()).unwrap();
        assert_eq!(*changes.borrow(), 2);
        assert!(lock(&sampled.state).silence.is_none());
    }
}
