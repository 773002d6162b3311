//! What do the tests and benches of a fleet talk to?
//!
//! Agents that speak the real protocol and have nothing behind them: every one of them plays the same few frames, which
//! were encoded once from samples of this host, over and over. What is asked for is not looked at but for its tables. Those
//! that speak TLS share one certificate and one token, without which they say nothing.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use netglance::collect::load::LoadRow;
use netglance::collect::settings::Settings;
use netglance::model::{Cell, Host as _, Kind, Mono, Rows, Sample, Snapshot, Table, Timestamp};
use netglance::source::file::Roots;
use netglance::store::expr::Filter;
use netglance::store::local::{LocalHost, Options};
use netglance::store::query::{Order, Query};
use netglance::wire::frame::{Frames, Selection};
use netglance::wire::proto::agent_server::{Agent, AgentServer};
use netglance::wire::{proto, schema};
use prost::Message as _;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status};

/// Frames that are played over and over.
const FRAMES: u64 = 32;

/// Encoded frames in their order.
type Played = Arc<Vec<Vec<u8>>>;

/// Rows whose counters have grown for so many times as long as between two samples.
struct Grown {
    before: Arc<dyn Rows>,
    now: Arc<dyn Rows>,
    times: u64,
}

impl Rows for Grown {
    fn table(&self) -> &Table {
        self.now.table()
    }
    fn len(&self) -> usize {
        self.now.len()
    }
    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let now = self.now.cell(row, column);
        if self.table().columns[column].kind != Kind::Counter {
            return now;
        }
        match (now, self.before.cell(row, column)) {
            (Cell::U64(now), Cell::U64(before)) => Cell::U64(now + now.saturating_sub(before) * self.times),
            (Cell::F64(now), Cell::F64(before)) => Cell::F64(now + (now - before).max(0.0) * self.times as f64),
            _ => now,
        }
    }
}

/// Simulated agents.
#[derive(Clone)]
pub(super) struct Simulated {
    samples: Arc<Vec<Arc<Snapshot>>>,
    /// Encoded once for everybody who asks for the same.
    played: Arc<Mutex<HashMap<Vec<u8>, Played>>>,
    /// Streams that have been asked for.
    pub(super) watched: Arc<AtomicUsize>,
    /// Connections that stand.
    pub(super) connections: Arc<AtomicUsize>,
    /// Whether the beginnings of streams are kept back.
    pub(super) held: Arc<watch::Sender<bool>>,
    /// Streams that have not begun, and the most of them there were.
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) most: Arc<AtomicUsize>,
    /// What they say of themselves.
    pub(super) version: &'static str,
    /// Another schema than that of this build.
    pub(super) schema: Option<proto::Schema>,
    /// How they speak TLS, if they do.
    pub(super) tls: Option<TlsAcceptor>,
}

/// What whoever speaks TLS with them must say.
pub(super) const TOKEN: &str = "ng_simulated";

/// This host with two samples of what a test looks at.
fn sampled() -> Arc<Snapshot> {
    let (sender, changes) = mpsc::channel();
    let sender = Mutex::new(sender);
    let told = Box::new(move || {
        let _ = sender.lock().unwrap().send(());
    });
    let tick = Duration::from_secs(1);
    let options = Options {
        roots: Roots::live(),
        settings: Settings::default(),
        tick,
        actions: netglance::model::Allowed::Nothing,
    };
    let host = LocalHost::start(options, told).unwrap();
    let has = |snapshot: &Snapshot, table: &str| snapshot.get(table).is_some_and(|state| state.before.is_some());
    loop {
        changes.recv_timeout(Duration::from_secs(20)).unwrap();
        let latest = host.latest();
        if has(&latest, "cpu") && has(&latest, "load") && has(&latest, "link") {
            return latest;
        }
    }
}

impl Simulated {
    pub(super) fn new() -> Self {
        let host = sampled();
        let moment = |step: u64| {
            let mut snapshot = Snapshot::clone(&host);
            let (time, mono) = (Timestamp::from_seconds(1.8e9 + step as f64), Mono((step + 1) * 1_000_000_000));
            for state in snapshot.tables.values_mut() {
                let before = state.before.take().map(|before| before.rows);
                if let Some(now) = &mut state.now {
                    (now.time, now.mono) = (time, mono);
                    if let Some(before) = before {
                        now.rows = Arc::new(Grown { before, now: Arc::clone(&now.rows), times: step });
                    }
                }
            }
            // a value that a test can tell
            let five = 1.0 + step as f64;
            let load = LoadRow { one: five, five, fifteen: five, runnable: 1, tasks: 1, cpus: Some(4) };
            let state = snapshot.tables.get_mut("load").unwrap();
            state.now = Some(Sample { rows: Arc::new(vec![load]), time, mono });
            Arc::new(snapshot)
        };
        Self {
            samples: Arc::new((0..FRAMES).map(moment).collect()),
            played: Arc::default(),
            watched: Arc::default(),
            connections: Arc::default(),
            held: Arc::default(),
            waiting: Arc::default(),
            most: Arc::default(),
            version: env!("CARGO_PKG_VERSION"),
            schema: None,
            tls: None,
        }
    }

    /// Whether somebody may ask.
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let told = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let known = told.and_then(|told| told.strip_prefix("Bearer ")) == Some(TOKEN);
        if self.tls.is_none() || known { Ok(()) } else { Err(Status::unauthenticated("no token")) }
    }

    /// What somebody who asks for this is told, over and over.
    fn frames(&self, request: &proto::WatchRequest) -> Arc<Vec<Vec<u8>>> {
        let key = proto::WatchRequest { interval: 0, ..request.clone() }.encode_to_vec();
        let mut played = self.played.lock().unwrap();
        let made = || {
            let selections = request.tables.iter().map(|asked| {
                let position = schema::own().position(&asked.table).unwrap();
                let table = schema::own().tables[position];
                let columns = asked.columns.iter().map(|name| table.position(name).unwrap()).collect();
                let filter = Some(asked.r#where.as_str()).filter(|text| !text.is_empty());
                let filter = filter.map(|text| Filter::parse(text, table).unwrap());
                let sort = asked.sort.iter().map(|name| match name.strip_prefix('-') {
                    Some(name) => (table.position(name).unwrap(), Order::Descending),
                    None => (table.position(name).unwrap(), Order::Ascending),
                });
                let limit = (asked.limit > 0).then_some(asked.limit as usize);
                let all = filter.is_none() && limit.is_none();
                let query = (!all).then(|| Query { filter, sort: sort.collect(), limit });
                Selection { position, query, columns: Some(columns) }
            });
            let all = request.tables.is_empty() && !request.silent;
            let mut frames =
                if all { Frames::all(schema::own()) } else { Frames::new(schema::own(), selections.collect()) };
            let encode = |snapshot: &Arc<Snapshot>| frames.next(snapshot).encode_to_vec();
            Arc::new(self.samples.iter().map(encode).collect())
        };
        Arc::clone(played.entry(key).or_insert_with(made))
    }

    /// Serves what listens there until the runtime ends.
    pub(super) async fn serve(self, listener: tokio::net::TcpListener) {
        let service = tonic::service::Routes::new(AgentServer::new(self.clone())).into_axum_router();
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let service = hyper_util::service::TowerToHyperService::new(service.clone());
            let (standing, tls) = (Counted::new(&self.connections).0, self.tls.clone());
            tokio::spawn(async move {
                let _standing = standing;
                let builder = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                match tls {
                    None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                        }
                    }
                }
            });
        }
    }
}

/// One of those that are counted, until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// One more, and how many there are now.
    fn new(count: &Arc<AtomicUsize>) -> (Self, usize) {
        let before = count.fetch_add(1, Ordering::Relaxed);
        (Self(Arc::clone(count)), before + 1)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Replies = Pin<Box<dyn futures_util::Stream<Item = Result<proto::WatchReply, Status>> + Send>>;

#[tonic::async_trait]
impl Agent for Simulated {
    async fn describe(&self, asked: Request<proto::DescribeRequest>) -> Result<Response<proto::DescribeReply>, Status> {
        self.admit(&asked)?;
        Ok(Response::new(proto::DescribeReply {
            hash: schema::own().hash.clone(),
            schema: self.schema.clone(),
            version: self.version.to_owned(),
            host: "simulated".to_owned(),
            machine: "simulated".to_owned(),
            started: 1,
            role: "view".to_owned(),
            time: Timestamp::now().0,
            mono: 3_600_000_000_000,
        }))
    }

    type WatchStream = Replies;

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Result<Response<Replies>, Status> {
        self.admit(&request)?;
        self.watched.fetch_add(1, Ordering::Relaxed);
        let request = request.into_inner();
        let interval = Duration::from_nanos(request.interval.max(1_000_000));
        let frames = self.frames(&request);
        let (waits, waiting) = Counted::new(&self.waiting);
        self.most.fetch_max(waiting, Ordering::Relaxed);
        let mut held = self.held.subscribe();
        let stream = async move {
            let _ = held.wait_for(|held| !held).await;
            drop(waits);
            let first = tokio::time::Instant::now();
            futures_util::stream::unfold(0u32, move |step| {
                let frames = Arc::clone(&frames);
                async move {
                    tokio::time::sleep_until(first + interval * step).await;
                    let frame = frames.get(step as usize % frames.len())?.clone();
                    Some((Ok(proto::WatchReply { frame: frame.into() }), step + 1))
                }
            })
        };
        let stream = futures_util::FutureExt::flatten_stream(stream);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn query(&self, _: Request<proto::QueryRequest>) -> Result<Response<proto::QueryReply>, Status> {
        Err(Status::unavailable("simulated"))
    }

    async fn history(&self, _: Request<proto::HistoryRequest>) -> Result<Response<proto::HistoryReply>, Status> {
        Err(Status::unavailable("simulated"))
    }

    async fn alerts(&self, _: Request<proto::AlertsRequest>) -> Result<Response<proto::AlertsReply>, Status> {
        Err(Status::unavailable("simulated"))
    }

    type EventsStream = Pin<Box<dyn futures_util::Stream<Item = Result<proto::Event, Status>> + Send>>;

    async fn events(&self, _: Request<proto::EventsRequest>) -> Result<Response<Self::EventsStream>, Status> {
        Err(Status::unavailable("simulated"))
    }

    async fn act(&self, _: Request<proto::ActRequest>) -> Result<Response<proto::ActReply>, Status> {
        Err(Status::unavailable("simulated"))
    }
}
