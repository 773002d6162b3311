//! How does a host far away look like the one at hand?
//!
//! [`RemoteHost`] implements [`Host`] over a connection to an agent. One thread keeps the connection: it takes the schema,
//! watches every table that is collected anyway on one stream and what the reader demands on another, and asks for the past
//! when a reader does. When the connection breaks, the last samples stay, with the reason, and it tries again with a
//! growing, jittered pause. A reader never waits for the network, except for the outcome of an action.

mod known;
mod question;
mod refusal;
pub(crate) mod session;
mod target;
mod trust;

use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

pub use known::{Fingerprint, FingerprintError, KeyError, KnownHosts};
use session::Dial;
pub use target::{PORT, Target, TargetError};
pub use trust::{Access, Certificate, Secret};
pub(crate) use trust::{unreadable, usable};

use crate::model::{
    Action, ActionError, Connection, Demand, Demands, Detail, Done, HistoryAsk, Host, Series, Snapshot, Table, Text,
    Timestamp, lock,
};
use crate::store::history::History;
use crate::store::rate::{Mode, View};
use crate::wire::mirror::Mirror;
use crate::wire::schema::{self, Schema};
use crate::wire::{WireError, proto};

/// Longest wait for the first answer of an agent, and for the outcome of an action.
const PATIENCE: Duration = Duration::from_secs(5);

/// A past that was not told is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Pasts that are remembered at most.
const MAX_PASTS: usize = 256;

/// Called after each change, from the thread of the connection: it must only pass the news on.
pub type OnChange = Box<dyn Fn() + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No thread, or what it needs.
    #[error("start the connection: {0}")]
    System(#[from] std::io::Error),
    /// The agent cannot be reached, or says something that makes no sense.
    #[error("{target}: {why}")]
    Peer {
        /// The agent.
        target: String,
        /// What a reader does about it.
        kind: TroubleKind,
        /// What happened.
        why: Text,
        /// What is wrong with its key, if that is it.
        key: Option<KeyError>,
    },
}

/// Why an agent cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What a reader does about it.
    pub kind: TroubleKind,
    /// What happened.
    pub why: Text,
    /// What is wrong with its key, if that is it.
    pub key: Option<KeyError>,
}

/// What keeps an agent from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// There is no way to it, or it does not answer.
    Unreachable,
    /// It wants to know who asks.
    Protected,
    /// It wants a certificate, and another one than it was shown.
    Uncertified,
    /// It is not the one that it was.
    KeyChanged,
    /// It is of a version that speaks another language.
    Version,
    /// What is known of keys cannot be read or kept here.
    Unkept,
    /// What it would be told is for TLS only.
    Plain,
    /// It speaks nothing else than TLS.
    Tls,
}

impl From<KeyError> for Trouble {
    fn from(key: KeyError) -> Self {
        let kind = match key {
            KeyError::Unknown(_) => TroubleKind::Protected,
            KeyError::Changed { .. } => TroubleKind::KeyChanged,
        };
        Self { kind, why: Text::from(key.to_string()), key: Some(key) }
    }
}

impl From<Text> for Trouble {
    fn from(why: Text) -> Self {
        Self { kind: TroubleKind::Unreachable, why, key: None }
    }
}

/// A connection to an agent that has said who it is.
pub(crate) struct Opened {
    /// Asks it for more.
    pub(crate) client: session::Client,
    /// Who it is.
    pub(crate) describe: proto::DescribeReply,
    /// When it said so.
    pub(crate) asked: Instant,
}

/// The connections to one agent that somebody else makes, the newest one at any time.
pub(crate) type Line = tokio::sync::watch::Receiver<Option<Arc<Opened>>>;

/// A host behind an agent.
pub struct RemoteHost {
    shared: Arc<Shared>,
    to: Text,
    commands: tokio::sync::mpsc::UnboundedSender<Command>,
}

/// What a reader wants of the connection.
enum Command {
    Demand(Vec<Demand>),
    History(HistoryAsk),
    Past(HistoryAsk, mpsc::Sender<Option<Series>>),
    Act(Action, mpsc::Sender<Result<Done, ActionError>>),
}

/// What the connection and its readers share.
struct Shared {
    state: Mutex<State>,
    on_change: OnChange,
}

struct State {
    schema: Arc<Schema>,
    mirror: Mirror,
    reach: Reach,
    clock: Option<Clock>,
    /// Why the agent does nothing for this client.
    refusal: Option<Text>,
    demands: Demands,
    /// Whose past this is: the machine, and its monotonic clock at the last connection.
    identity: Option<(String, u64)>,
    /// What was seen since the connection.
    history: History,
    /// What was before, as the agent tells it.
    pasts: Vec<Past>,
}

/// How the host is reached right now.
enum Reach {
    Connecting,
    Live { host: Text, version: Text },
    Lost { since: Instant, reason: Text, again: Option<Instant> },
}

/// The clocks of the host: what the monotonic one said, when that was here, and how far the other one is from it.
#[derive(Clone, Copy)]
struct Clock {
    mono: u64,
    at: Instant,
    offset: i64,
}

impl Clock {
    fn new(mono: u64, time: i64, at: Instant) -> Self {
        Self { mono, at, offset: time.saturating_sub(as_signed(mono)) }
    }

    /// Its monotonic present.
    fn mono(self) -> u64 {
        self.mono.saturating_add(u64::try_from(self.at.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Its present.
    fn now(self) -> i64 {
        as_signed(self.mono()).saturating_add(self.offset)
    }

    /// A sample was taken then: the wall clock may have been set since, and no sample is of the future.
    fn saw(&mut self, mono: u64, time: i64) {
        if mono > self.mono() {
            (self.mono, self.at) = (mono, Instant::now());
        }
        self.offset = time.saturating_sub(as_signed(mono));
    }
}

fn as_signed(mono: u64) -> i64 {
    i64::try_from(mono).unwrap_or(i64::MAX)
}

/// The past of a cell before the connection, which somebody asked for.
struct Past {
    ask: HistoryAsk,
    series: Option<Series>,
    /// When it was asked for; `None` when it must be asked for again.
    asked: Option<Instant>,
    /// Whether there was an answer.
    answered: bool,
}

impl Shared {
    /// Nothing is known yet.
    fn new(on_change: OnChange) -> Arc<Self> {
        let state = State {
            schema: Arc::clone(schema::own()),
            mirror: Mirror::new(Arc::clone(schema::own())),
            reach: Reach::Connecting,
            clock: None,
            refusal: None,
            demands: Demands::default(),
            identity: None,
            history: History::default(),
            pasts: Vec::new(),
        };
        Arc::new(Self { state: Mutex::new(state), on_change })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn reach(&self, reach: Reach) {
        self.state().reach = reach;
        (self.on_change)();
    }
}

impl RemoteHost {
    /// Connects to an agent and waits for its schema.
    ///
    /// # Errors
    /// There is no thread, or the agent cannot be reached or understood.
    pub fn connect(target: Target, access: Access, on_change: OnChange) -> Result<Arc<Self>, Error> {
        let shared = Shared::new(on_change);
        let (commands, waiting) = tokio::sync::mpsc::unbounded_channel();
        let (first, outcome) = mpsc::channel();
        let (name, own) = (target.to_string(), Arc::clone(&shared));
        let to = Text::from(name.as_str());
        std::thread::Builder::new().name("connection".to_owned()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(session::keep(&own, Dial::Own(target, access), waiting, Some(&first))),
                Err(cause) => {
                    let _ = first.send(Err(Text::from(cause.to_string()).into()));
                }
            }
        })?;
        let silence = || Text::from(format!("no answer within {}", crate::model::unit::duration(PATIENCE)));
        let outcome = outcome.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(silence().into()));
        outcome.map_err(|Trouble { kind, why, key }| Error::Peer { target: name, kind, why, key })?;
        Ok(Arc::new(Self { shared, to, commands }))
    }

    /// A host over connections to what people call `to`, which somebody else makes.
    pub(crate) fn over(to: Text, line: Line, runtime: &tokio::runtime::Handle, on_change: OnChange) -> Arc<Self> {
        let shared = Shared::new(on_change);
        let (commands, waiting) = tokio::sync::mpsc::unbounded_channel();
        let own = Arc::clone(&shared);
        runtime.spawn(async move { session::keep(&own, Dial::Line(line, None), waiting, None).await });
        Arc::new(Self { shared, to, commands })
    }
}

impl RemoteHost {
    /// Asks for a past and waits for it; `Some(None)` is that nothing is kept, `None` that nobody answers.
    pub fn past(&self, ask: HistoryAsk) -> Option<Option<Series>> {
        let (sender, answer) = mpsc::channel();
        let _ = self.commands.send(Command::Past(ask, sender));
        answer.recv_timeout(PATIENCE).ok()
    }
}

impl Host for RemoteHost {
    fn schema(&self) -> &'static [&'static Table] {
        self.shared.state().schema.tables
    }

    fn demand(&self, reader: u64, wants: Vec<Demand>) {
        let mut state = self.shared.state();
        if state.demands.replace(reader, wants) {
            let all = state.demands.all().cloned().collect();
            // a connection that has ended has nobody to tell
            let _ = self.commands.send(Command::Demand(all));
        }
    }

    fn latest(&self) -> Arc<Snapshot> {
        self.shared.state().mirror.snapshot()
    }

    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        let all = HistoryAsk::all(&ask.table, &ask.column, ask.key.clone());
        let mut state = self.shared.state();
        // the newest few are asked for in every frame
        let own = state.history.series(if matches!(ask.detail, Detail::Newest(_)) { ask } else { &all });
        let past = state.past(&all);
        let due = |asked: Instant| !past.answered && asked.elapsed() > ASK_AGAIN;
        if past.asked.is_none_or(due) {
            (past.asked, past.answered) = (Some(Instant::now()), false);
            // a connection that has ended has nobody to ask
            let _ = self.commands.send(Command::History(all));
        }
        answered(past.series.as_ref(), own, ask)
    }

    fn act(&self, action: &Action) -> Result<Done, ActionError> {
        let (sender, outcome) = mpsc::channel();
        let _ = self.commands.send(Command::Act(action.clone(), sender));
        let late = |_| Err(action.failed(std::io::ErrorKind::TimedOut.into()));
        outcome.recv_timeout(PATIENCE).unwrap_or_else(late)
    }

    fn connection(&self) -> Connection {
        let to = self.to.clone();
        match &self.shared.state().reach {
            Reach::Connecting => Connection::Connecting { to },
            Reach::Live { host, version } => Connection::Live { to, host: host.clone(), version: version.clone() },
            Reach::Lost { since, reason, again } => {
                let again = again.map(|again| again.saturating_duration_since(Instant::now()));
                Connection::Lost { to, ago: since.elapsed(), reason: reason.clone(), again }
            }
        }
    }

    fn skew(&self) -> i64 {
        let clock = self.shared.state().clock;
        clock.map_or(0, |clock| clock.now().saturating_sub(Timestamp::now().0))
    }

    fn lacks(&self, table: &str, column: usize) -> bool {
        let schema = Arc::clone(&self.shared.state().schema);
        !Arc::ptr_eq(&schema, schema::own()) && schema.lacks(table, column)
    }

    fn refusal(&self) -> Option<Text> {
        self.shared.state().refusal.clone()
    }
}

/// What was before the connection and what was seen since, as a question wants it.
fn answered(past: Option<&Series>, own: Option<Series>, ask: &HistoryAsk) -> Option<Series> {
    match (ask.detail, past, own) {
        (Detail::Newest(count), Some(past), Some(own)) if own.points.len() >= count => {
            let evicted = own.evicted.saturating_add(past.evicted);
            Some(Series { oldest: past.oldest.or(own.oldest), cut: own.cut.max(past.cut), evicted, ..own })
        }
        (_, past, own) => joined(past.cloned(), own).map(|series| series.answer(ask)),
    }
}

/// One series of what was before the connection and what was seen since.
fn joined(past: Option<Series>, own: Option<Series>) -> Option<Series> {
    let (past, own) = match (past, own) {
        (Some(past), Some(own)) => (past, own),
        (past, own) => return past.or(own),
    };
    let Some(begin) = own.points.first().map(|point| point.from) else { return Some(past) };
    let mut points: Vec<_> = past.points.into_iter().filter(|point| point.time <= begin).collect();
    points.extend(own.points);
    // the own ones are minutes before `fine`, and so are those before them
    let fine = own.fine.filter(|fine| *fine > begin).or(past.fine).or(own.fine);
    let (oldest, cut) = (past.oldest.or(own.oldest), own.cut.max(past.cut));
    Some(Series { points, oldest, fine, cut, evicted: past.evicted.saturating_add(own.evicted) })
}

impl State {
    /// What is remembered of the past of a cell.
    fn past(&mut self, all: &HistoryAsk) -> &mut Past {
        let known = self.pasts.iter().position(|past| past.ask == *all);
        let index = known.unwrap_or_else(|| {
            if self.pasts.len() >= MAX_PASTS {
                let oldest = self.pasts.iter().enumerate().min_by_key(|(_, past)| past.asked);
                let oldest = oldest.map_or(0, |(index, _)| index);
                self.pasts.swap_remove(oldest);
            }
            self.pasts.push(Past { ask: all.clone(), series: None, asked: None, answered: false });
            self.pasts.len() - 1
        });
        &mut self.pasts[index]
    }

    /// Takes a frame, and remembers what it says.
    fn take(&mut self, frame: &proto::Frame) -> Result<(), WireError> {
        self.mirror.apply(frame)?;
        let snapshot = self.mirror.snapshot();
        let newest = frame.tables.iter().flat_map(|table| &table.changes).max_by_key(|change| change.mono);
        if let (Some(clock), Some(newest)) = (&mut self.clock, newest) {
            clock.saw(newest.mono, newest.time);
        }
        let told = frame.tables.iter().filter_map(|table| self.schema.layouts.get(table.table as usize));
        for state in told.filter_map(|layout| snapshot.get(&layout.table.name)) {
            if let Some(now) = &state.now {
                self.history.record(&View::new(now, state.before.as_ref(), Mode::Rate));
            }
        }
        Ok(())
    }

    /// Another host, or the same one after it was started again: what was before is not its past.
    fn forget(&mut self) {
        self.history = History::default();
        self.pasts.clear();
    }
}

impl Shared {
    /// A connection that broke, and when it is tried again: readers keep what they have.
    fn lost(&self, why: Text, again: Instant) {
        let mut state = self.state();
        let since = match &state.reach {
            Reach::Lost { since, .. } => *since,
            _ => Instant::now(),
        };
        state.reach = Reach::Lost { since, reason: why, again: Some(again) };
        state.mirror.resume();
        for past in &mut state.pasts {
            past.asked = None;
        }
        drop(state);
        (self.on_change)();
    }

    /// It is being tried again.
    fn trying(&self) {
        if let Reach::Lost { again, .. } = &mut self.state().reach {
            *again = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Key, Mono, Point};

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_question_for_the_newest_is_answered_as_from_all_that_is_known() {
        let at = |second: u64| Mono(second * SECOND as u64);
        let point = |second: u64| Point::sample(at(second), at(second + 1), second as f64);
        let series = |seconds: std::ops::Range<u64>| Series {
            oldest: Some(at(seconds.start)),
            points: seconds.map(point).collect(),
            fine: None,
            cut: None,
            evicted: 1,
        };
        let (past, own) = (series(0..12), series(10..20));
        for count in [1, 9, 10, 11, 15, 20, 30] {
            let ask = HistoryAsk { detail: Detail::Newest(count), ..HistoryAsk::all("t", "c", Key::default()) };
            let whole = joined(Some(past.clone()), Some(own.clone())).map(|all| all.answer(&ask));
            let told = answered(Some(&past), Some(own.clone().answer(&ask)), &ask).expect("there is a past");
            let first = 20_usize.saturating_sub(count) as u64;
            assert_eq!(told.points, (first..20).map(point).collect::<Vec<_>>(), "{count}");
            assert_eq!(Some(told), whole, "{count}");
        }
    }

    #[test]
    fn the_clock_of_a_host_follows_its_samples() {
        let behind = Timestamp::now().0 - 3600 * SECOND;
        let mut clock = Clock::new(50 * SECOND as u64, behind, Instant::now());
        let off = |clock: Clock, time: i64| (clock.now() - time).abs() < SECOND;
        assert!(off(clock, behind));
        clock.saw(49 * SECOND as u64, behind - SECOND);
        assert!(off(clock, behind), "an older sample changes nothing");
        clock.saw(60 * SECOND as u64, behind + 10 * SECOND);
        assert!(off(clock, behind + 10 * SECOND), "no sample is of the future");
        clock.saw(60 * SECOND as u64, behind - 86_400 * SECOND);
        assert!(off(clock, behind - 86_400 * SECOND), "somebody has set it");
        clock.saw(u64::MAX, i64::MIN);
        let _ = clock.now();
    }
}
