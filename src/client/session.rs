//! What happens on a connection to an agent, and when is it made again?

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Status, Streaming};

use super::refusal::{self, Heard, Refusal};
use super::trust::{self, Access};
use super::{Clock, Command, Line, Opened, Reach, Shared, Target, Trouble, TroubleKind, question};
use crate::model::{Action, ActionError, Demand, Text};
use crate::wire::mirror::Mirror;
use crate::wire::proto::agent_client::AgentClient;
use crate::wire::schema::Schema;
use crate::wire::{MAX_MESSAGE, WireError, bounded, convert, proto, schema};

/// Whom a question is for, in place of the name that the agent was found by, which it may not know: a name that by
/// RFC 6761 nobody has, so that no page of a browser comes from there.
const AUTHORITY: &str = "http://netglance.invalid";

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(4);

/// Names that are looked up at once, by all connections: what the system does about one cannot be called off, and holds a
/// thread for as long as a name server that does not answer makes it wait.
pub(crate) const LOOKUPS: usize = 64;
static LOOKING: Semaphore = Semaphore::const_new(LOOKUPS);

/// Longest wait for an answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(4);

/// After so long without a word the agent is asked for one, and has so long for it.
const ALIVE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(4));

/// Shortest and longest pause between two attempts.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Questions that wait for an answer at most; more wait for their turn.
const MAX_OPEN: usize = 16;

pub(crate) type Client = AgentClient<InterceptedService<Channel, Credential>>;

/// Says who asks. There is no connection over which it must not be said: see [`stream`].
#[derive(Clone)]
pub(crate) struct Credential(Option<MetadataValue<Ascii>>);

impl Credential {
    fn new(access: &Access) -> Result<Self, Text> {
        let value = access.token.as_ref().map(|token| format!("Bearer {}", token.reveal()).parse());
        let mut value: Option<MetadataValue<Ascii>> = value.transpose().map_err(|_| Text::from("the token is none"))?;
        if let Some(value) = &mut value {
            value.set_sensitive(true);
        }
        Ok(Self(value))
    }
}

impl Interceptor for Credential {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Where connections come from.
pub(super) enum Dial {
    /// They are made here.
    Own(Target, Access),
    /// Somebody else makes them; another one is better than the one that went wrong.
    Line(Line, Option<Arc<Opened>>),
}

impl Dial {
    async fn open(&mut self) -> Result<Arc<Opened>, Trouble> {
        match self {
            Self::Own(target, access) => open(target, access).await.map(Arc::new),
            Self::Line(line, used) => {
                let fresh = |now: &Option<Arc<Opened>>| match (now, &*used) {
                    (Some(now), Some(used)) => !Arc::ptr_eq(now, used),
                    (now, _) => now.is_some(),
                };
                let better = tokio::time::timeout(ANSWER, line.wait_for(fresh)).await.map(|found| found.is_ok());
                if better == Ok(false) {
                    return Err(Text::from("nobody connects any more").into());
                }
                // if there is no better one, whatever went wrong, the old one still stands
                let found = line.borrow().clone();
                used.clone_from(&found);
                found.ok_or_else(|| Text::from("the agent cannot be reached").into())
            }
        }
    }
}

/// Keeps a connection until nobody has a use for it. The outcome of the first attempt is told to `first`; if that fails, it
/// is the only one.
pub(super) async fn keep(
    shared: &Shared,
    mut dial: Dial,
    mut commands: UnboundedReceiver<Command>,
    first: Option<&mpsc::Sender<Result<(), Trouble>>>,
) {
    let mut pause = AGAIN.0;
    let mut demands = Vec::new();
    let mut first = first;
    loop {
        shared.trying();
        let opened = dial.open().await;
        if let Some(first) = first.take() {
            let told = opened.as_ref().map(|_| ()).map_err(Clone::clone);
            let failed = told.is_err();
            if first.send(told).is_err() || failed {
                return;
            }
        }
        let why = match opened {
            Ok(opened) => {
                pause = AGAIN.0;
                match Session::begin(shared, &opened).await {
                    Ok(mut session) => match session.run(&mut commands, &mut demands).await {
                        Some(why) => why,
                        None => return,
                    },
                    Err(why) => why,
                }
            }
            Err(trouble) => trouble.why,
        };
        let again = tokio::time::Instant::now() + jittered(pause);
        shared.lost(why, again.into_std());
        if !rest(again, &mut commands, &mut demands).await {
            return;
        }
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Waits, and answers readers that there is no connection; false when there are no readers any more.
async fn rest(
    until: tokio::time::Instant,
    commands: &mut UnboundedReceiver<Command>,
    demands: &mut Vec<Demand>,
) -> bool {
    loop {
        match tokio::time::timeout_at(until, commands.recv()).await {
            Err(_) => return true,
            Ok(None) => return false,
            Ok(Some(Command::Demand(wants))) => *demands = wants,
            Ok(Some(Command::History(_))) => {}
            Ok(Some(Command::Past(_, answer))) => drop(answer),
            Ok(Some(Command::Act(action, outcome))) => {
                let _ = outcome.send(Err(failed(&action, "no connection to the agent")));
            }
        }
    }
}

/// Between half of a pause and the whole of it, so that many clients do not come back at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::hash::RandomState::new().build_hasher().finish();
    pause.mul_f64(0.5 + (random % 1000) as f64 / 2000.0)
}

pub(super) fn failed(action: &Action, why: &str) -> ActionError {
    action.failed(std::io::Error::other(why.to_owned()))
}

/// What a person reads about a failure.
pub(crate) fn told(status: &Status) -> Text {
    let message = status.message();
    Text::from(if message.is_empty() { status.code().description() } else { message })
}

/// The innermost cause says what happened.
fn cause(error: &dyn std::error::Error) -> Text {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    Text::from(innermost.to_string())
}

/// Connects and asks who is there.
pub(crate) async fn open(target: &Target, access: &Access) -> Result<Opened, Trouble> {
    let refusal = Refusal::default();
    let channel = channel(target, access, &refusal).await?;
    let mut client =
        AgentClient::with_interceptor(channel, Credential::new(access)?).max_decoding_message_size(MAX_MESSAGE);
    let request = proto::DescribeRequest { known: schema::own().hash.clone() };
    let sent = Instant::now();
    let reply = tokio::time::timeout(ANSWER, client.describe(request)).await;
    let reply = reply.map_err(|_| Text::from("the agent does not answer"))?;
    let none = |status: Status| refusal::foreign(&status).unwrap_or_else(|| trouble(&status));
    let describe = reply.map_err(|status| refusal.instead_of(none(status)))?.into_inner();
    // the clocks of the host are those of the middle of the question
    let asked = sent + sent.elapsed() / 2;
    Ok(Opened { client, describe, asked })
}

/// What an answer that is none means.
pub(crate) fn trouble(status: &Status) -> Trouble {
    let kind = match status.code() {
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied | tonic::Code::ResourceExhausted => {
            TroubleKind::Protected
        }
        tonic::Code::Unimplemented => TroubleKind::Version,
        _ => TroubleKind::Unreachable,
    };
    Trouble { kind, why: told(status), key: None }
}

async fn channel(target: &Target, access: &Access, refusal: &Refusal) -> Result<Channel, Trouble> {
    let endpoint = Endpoint::from_static(AUTHORITY)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(ALIVE.0)
        .keep_alive_timeout(ALIVE.1)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let (target, access, told) = (target.clone(), access.clone(), refusal.clone());
    let connect = move |_: Uri| {
        let (target, access, told) = (target.clone(), access.clone(), told.clone());
        async move { stream(&target, &access, told).await }
    };
    let channel = endpoint.connect_with_connector(tower::service_fn(connect));
    match tokio::time::timeout(CONNECT, channel).await {
        Ok(channel) => channel.map_err(|error| {
            let known = refusal::refused(&error);
            refusal.instead_of(known.unwrap_or_else(|| cause(&error).into()))
        }),
        Err(_) => Err(Text::from(format!("no connection within {}", crate::model::unit::duration(CONNECT))).into()),
    }
}

/// The addresses of an agent.
async fn addresses(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = host.to_owned();
    aside(&LOOKING, move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect)).await
}

/// Does what blocks on a thread of its own when it is its turn, which lasts until it is done, whether somebody still waits
/// for it or not: what nobody waits for any more before its turn is never begun.
pub(crate) async fn aside<T: Send + 'static>(
    turns: &'static Semaphore,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let turn = turns.acquire().await.map_err(std::io::Error::other)?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(std::io::Error::other)?
}

/// A stream of bytes to an agent.
trait Bytes: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Bytes for T {}

/// A connection over which a credential may be sent: a unix socket, or to an agent whose key is known. Without a credential
/// it may be plain, on loopback or if that is wanted.
async fn stream(target: &Target, access: &Access, refusal: Refusal) -> std::io::Result<TokioIo<Box<dyn Bytes>>> {
    let stream: Box<dyn Bytes> = match target {
        Target::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
        Target::Tcp { host, port } => {
            let is_plain_here = access.is_plain_here(target)?;
            if is_plain_here || access.plain {
                access.fits_plain_text()?;
            }
            let stream = tokio::net::TcpStream::connect(addresses(host, *port).await?.as_slice()).await?;
            stream.set_nodelay(true)?;
            let is_here = stream.peer_addr()?.ip().to_canonical().is_loopback();
            if access.plain || is_here && is_plain_here {
                Box::new(stream)
            } else {
                Box::new(Heard::new(trust::secure(stream, target, access).await?, refusal))
            }
        }
    };
    Ok(TokioIo::new(stream))
}

/// One connection.
struct Session<'a> {
    shared: &'a Shared,
    client: Client,
    hash: Vec<u8>,
    /// Every table that is collected anyway.
    usual: Streaming<proto::WatchReply>,
    /// Least time between two frames of those, in nanoseconds.
    pace: u64,
    /// What the reader demands.
    extra: Option<Streaming<proto::WatchReply>>,
    /// What was asked and is not yet answered.
    open: FuturesUnordered<Asked<'a>>,
}

/// A question that waits for its answer while frames go on.
type Asked<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl<'a> Session<'a> {
    async fn begin(shared: &'a Shared, opened: &Opened) -> Result<Self, Text> {
        let (mut client, describe) = (opened.client.clone(), &opened.describe);
        let adopted = match &describe.schema {
            Some(schema) => schema::adopt(schema).map_err(|error| Text::from(error.to_string()))?,
            None => Arc::clone(schema::own()),
        };
        let hash = describe.hash.clone();
        let usual = usual(&mut client, &hash, 0).await?;
        {
            let mut state = shared.state();
            state.clock = Some(Clock::new(describe.mono, describe.time, opened.asked));
            state.refusal = refusal(&describe.role);
            let identity = (describe.machine.clone(), describe.mono);
            if state.identity.as_ref().is_some_and(|known| known.0 != identity.0 || known.1 > identity.1) {
                state.forget();
            }
            state.identity = Some(identity);
            if Arc::ptr_eq(&state.schema, &adopted) {
                state.mirror.resume();
            } else {
                state.mirror = Mirror::new(Arc::clone(&adopted));
                state.schema = adopted;
            }
        }
        let host = Text::from(describe.host.as_str());
        let version = Text::from(describe.version.as_str());
        shared.reach(Reach::Live { host, version });
        Ok(Self { shared, client, hash, usual, pace: 0, extra: None, open: FuturesUnordered::new() })
    }

    /// Carries frames and commands; why it broke, or `None` when nobody has a use for it.
    async fn run(&mut self, commands: &mut UnboundedReceiver<Command>, demands: &mut Vec<Demand>) -> Option<Text> {
        if let Err(why) = self.demand(demands).await {
            return Some(why);
        }
        loop {
            let extra = async {
                match &mut self.extra {
                    Some(stream) => stream.message().await,
                    None => std::future::pending().await,
                }
            };
            let outcome = tokio::select! {
                frame = self.usual.message() => self.frame(frame),
                frame = extra => self.frame(frame),
                Some(()) = self.open.next() => Ok(()),
                command = commands.recv(), if self.open.len() < MAX_OPEN => match command {
                    None => return None,
                    Some(Command::Demand(wants)) => {
                        *demands = wants;
                        self.demand(demands).await
                    }
                    Some(Command::Past(ask, answer)) => {
                        self.open.push(Box::pin(question::past(self.client.clone(), ask, answer)));
                        Ok(())
                    }
                    Some(Command::History(ask)) => {
                        self.open.push(Box::pin(question::history(self.shared, self.client.clone(), ask)));
                        Ok(())
                    }
                    Some(Command::Act(action, outcome)) => {
                        self.open.push(Box::pin(question::act(self.client.clone(), action, outcome)));
                        Ok(())
                    }
                },
            };
            if let Err(why) = outcome {
                return Some(why);
            }
        }
    }

    fn frame(&self, frame: Result<Option<proto::WatchReply>, Status>) -> Result<(), Text> {
        let frame = frame.map_err(|status| told(&status))?.ok_or_else(|| Text::from("the agent has ended"))?;
        let damaged = |error: WireError| Text::from(error.to_string());
        let frame = bounded::frame(&frame.frame).map_err(damaged)?;
        self.shared.state().take(&frame).map_err(damaged)?;
        (self.shared.on_change)();
        Ok(())
    }

    /// Watches what readers demand: on-demand tables come on a stream of their own, on-demand columns with the others.
    async fn demand(&mut self, demands: &[Demand]) -> Result<(), Text> {
        let schema = Arc::clone(&self.shared.state().schema);
        let demands: Vec<Demand> = demands.iter().filter_map(|demand| known(&schema, demand)).collect();
        let tables = schema.tables;
        let on_demand = |name: &str| tables.iter().any(|table| table.name == name && table.attrs.demand);
        let wanted: Vec<&Demand> = demands.iter().filter(|demand| on_demand(&demand.table)).collect();
        self.extra = None;
        let pace = pace(&demands);
        if pace != self.pace {
            (self.usual, self.pace) = (usual(&mut self.client, &self.hash, pace).await?, pace);
        }
        self.shared.state().mirror.retain(|name| !on_demand(name) || wanted.iter().any(|demand| demand.table == name));
        if demands.is_empty() {
            return Ok(());
        }
        let mut names: Vec<&str> = wanted.iter().map(|demand| demand.table.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let select = |name: &str| proto::Selection { table: name.to_owned(), ..Default::default() };
        let request = proto::WatchRequest {
            hash: self.hash.clone(),
            silent: names.is_empty(),
            tables: names.into_iter().map(select).collect(),
            interval: pace,
            demands: demands.iter().map(convert::from_demand).collect(),
        };
        match watched(&mut self.client, request).await? {
            Ok(stream) => self.extra = Some(stream),
            // what it gives everybody goes on
            Err(status) if is_refusal(status.code()) => self.shared.state().refusal = Some(told(&status)),
            Err(status) => return Err(told(&status)),
        }
        Ok(())
    }
}

/// Least time between two frames that is enough for all who look, in nanoseconds; zero where somebody wants every sample.
fn pace(demands: &[Demand]) -> u64 {
    let least = demands.iter().map(|demand| demand.interval.unwrap_or_default()).min();
    least.map_or(0, |least| u64::try_from(least.as_nanos()).unwrap_or(u64::MAX))
}

/// Begins the stream of everything that is collected anyway.
async fn usual(client: &mut Client, hash: &[u8], interval: u64) -> Result<Streaming<proto::WatchReply>, Text> {
    let request = proto::WatchRequest { hash: hash.to_vec(), interval, ..Default::default() };
    watched(client, request).await?.map_err(|status| told(&status))
}

/// Whether a question was understood and is not answered, which is no reason to ask anew.
fn is_refusal(code: tonic::Code) -> bool {
    matches!(code, tonic::Code::ResourceExhausted | tonic::Code::InvalidArgument | tonic::Code::PermissionDenied)
}

/// The stream that an agent begins.
///
/// # Errors
/// It does not begin any.
pub(crate) async fn watched(
    client: &mut Client,
    request: proto::WatchRequest,
) -> Result<Result<Streaming<proto::WatchReply>, Status>, Text> {
    let begun = tokio::time::timeout(ANSWER, client.watch(request)).await;
    let begun = begun.map_err(|_| Text::from("the agent does not answer"))?;
    Ok(begun.map(tonic::Response::into_inner))
}

/// What of a demand an agent of another version understands.
fn known(schema: &Schema, demand: &Demand) -> Option<Demand> {
    let table = schema.tables.iter().find(|table| table.name == demand.table)?;
    let has = |name: &&String| table.position(name).is_some_and(|column| !schema.lacks(&demand.table, column));
    Some(Demand { columns: demand.columns.iter().filter(has).cloned().collect(), ..demand.clone() })
}

/// Why an agent that gives this role does nothing for the client.
fn refusal(role: &str) -> Option<Text> {
    (role != "operate").then(|| Text::from(format!("the agent lets this client {role} only")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_lookup_that_nobody_waits_for_any_more_keeps_its_turn_and_others_are_never_begun() {
        static TURNS: Semaphore = Semaphore::const_new(2);
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (answer, answered) = mpsc::channel::<()>();
        let answered = Arc::new(std::sync::Mutex::new(answered));
        runtime.block_on(async {
            for _ in 0..10 {
                let answered = Arc::clone(&answered);
                let dead = aside(&TURNS, move || {
                    BEGUN.fetch_add(1, Ordering::SeqCst);
                    let _ = crate::model::lock(&answered).recv();
                    Ok(())
                });
                assert!(tokio::time::timeout(Duration::from_millis(20), dead).await.is_err());
            }
            // its name server answers at last
            drop(answer);
            let alive = tokio::time::timeout(Duration::from_secs(30), aside(&TURNS, || Ok(7))).await;
            assert_eq!(alive.unwrap().unwrap(), 7);
            let _both = tokio::time::timeout(Duration::from_secs(30), TURNS.acquire_many(2)).await.unwrap().unwrap();
            assert_eq!(BEGUN.load(Ordering::SeqCst), 2);
        });
    }

    #[test]
    fn an_agent_is_found_by_name_and_by_address() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = |host| runtime.block_on(addresses(host, 7));
        assert_eq!(found("::1").unwrap(), ["[::1]:7".parse().unwrap()]);
        assert!(found("localhost").unwrap().iter().all(|address| address.ip().is_loopback() && address.port() == 7));
        assert!(found("no-such-host.invalid").is_err());
    }
}
