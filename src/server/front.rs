//! Who speaks with the network?
//!
//! The front is a process of its own without any capability. It gets its listening sockets and the link to the sampler from
//! the supervisor, and serves gRPC on one thread: all of it never costs more than one core. What goes wrong on one
//! connection ends that connection.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::caller::{Caller, Guarded, Peer, Refusal};
use super::grpc::{METHODS, Service};
use super::kept;
use super::pass::{self, Word};
use super::penalty::Penalties;
use super::rest;
use super::sampled::Sampled;
use super::tls::{self, Identity as Key};
use super::token::{self, Tokens};
use super::watch::Bundles;
use crate::model::lock;
use crate::store::level::Thresholds;
use crate::wire::proto::agent_server::AgentServer;

/// Connections at once.
const MAX_CONNECTIONS: usize = 4096;

/// Longest wait for the head of a request.
const HEADERS: Duration = Duration::from_secs(10);

/// Longest wait for the first byte, and for TLS.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What a connection over TLS begins with; nothing of HTTP does.
const TLS_HANDSHAKE: u8 = 22;

/// Streams of one connection at once.
const MAX_STREAMS: u32 = 128;

/// A link that broke is asked for again after so long, unless another sampler has brought one.
const RELINK: Duration = Duration::from_secs(1);

/// How often connections look whether their token has ended.
const EXPIRY: Duration = Duration::from_secs(5);

/// Bytes of a token at most.
const MAX_TOKEN: usize = 256;

/// How long somebody who was refused may take to read why, and how much more he may send meanwhile.
const PARTING: Duration = Duration::from_secs(1);
const PARTING_READS: usize = 16;

/// Different tokens on one connection at most.
const MAX_PRESENTED: usize = 16;

/// What stands before a token.
const BEARER: &[u8] = b"Bearer ";

/// Who this host is.
pub(super) struct Identity {
    /// Its name.
    pub(super) host: String,
    /// What stays when the name changes.
    pub(super) machine: String,
}

/// Whose rules hold.
#[derive(Clone, Copy)]
pub(super) struct House {
    /// The user that the agent belongs to.
    pub(super) own: u32,
    /// Whether the configuration lets anybody change the host.
    pub(super) acts: bool,
    /// Whether everybody may look.
    pub(super) open: bool,
}

/// What the front starts with.
pub(super) struct Setup {
    /// Who this host is.
    pub(super) identity: Identity,
    /// Whose rules hold.
    pub(super) house: House,
    /// From where on a value deserves attention.
    pub(super) thresholds: Thresholds,
    /// Time series of a scrape at most.
    pub(super) metrics_series: usize,
}

/// Serves until the supervisor closes `control`.
///
/// # Errors
/// The control socket broke, or there is no thread.
pub(super) fn run(control: UnixStream, setup: Setup) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (words, heard) = mpsc::channel(64);
    let listen = control.try_clone()?;
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        while let Ok(Some(word)) = pass::receive(&listen) {
            if words.blocking_send(word).is_err() {
                return;
            }
        }
    })?;
    runtime.block_on(serve(control, heard, setup))
}

async fn serve(
    control: UnixStream,
    mut words: mpsc::Receiver<(Word, Option<OwnedFd>)>,
    setup: Setup,
) -> io::Result<()> {
    let sampled = Sampled::new();
    let house = setup.house;
    let desk = Arc::new(Desk {
        router: routes(&sampled, setup).into_router().fallback(rest::unknown),
        connections: Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS)),
        house,
        tokens: watch::Sender::default(),
        penalties: Mutex::default(),
        acceptor: Mutex::default(),
    });
    let (broken, mut breaks) = mpsc::channel(4);
    tokio::spawn(live(Arc::clone(&sampled), control.try_clone()?));
    let mut clients = Vec::new();
    loop {
        let (word, descriptor) = tokio::select! {
            heard = words.recv() => match heard {
                Some(heard) => heard,
                None => return Ok(()),
            },
            Some(why) = breaks.recv() => {
                resume(why, &sampled, control.try_clone()?)?;
                continue;
            }
        };
        match (word, descriptor) {
            (Word::Link, Some(socket)) => {
                let socket = UnixStream::from(socket);
                socket.set_nonblocking(true)?;
                let (socket, sampled) = (tokio::net::UnixStream::from_std(socket)?, Arc::clone(&sampled));
                let broken = broken.clone();
                tokio::spawn(async move { broken.send(sampled.attach(socket).await).await });
            }
            (Word::Tcp, Some(socket)) => {
                let listener = std::net::TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                tokio::spawn(accept_tcp(TcpListener::from_std(listener)?, Arc::clone(&desk)));
            }
            (Word::Unix, Some(socket)) => {
                let listener = std::os::unix::net::UnixListener::from(socket);
                listener.set_nonblocking(true)?;
                tokio::spawn(accept_unix(UnixListener::from_std(listener)?, Arc::clone(&desk)));
            }
            (Word::Tokens, Some(file)) => {
                let text = kept::from_memory(file, token::MAX_FILE)?;
                let tokens = Tokens::parse(&String::from_utf8_lossy(&text), Path::new("tokens"));
                // those that nobody understands are none
                desk.tokens.send_replace(Arc::new(tokens.unwrap_or_default()));
            }
            (Word::Clients, Some(file)) => clients = kept::from_memory(file, tls::MAX_PEM)?,
            (Word::Identity, Some(file)) => {
                let pem = kept::from_memory(file, 2 * tls::MAX_PEM)?;
                let key = Key { pem, clients: clients.clone() };
                // the supervisor has tried it
                if let Ok(acceptor) = key.acceptor() {
                    *lock(&desk.acceptor) = Some(acceptor);
                }
            }
            (Word::Ready, _) => drop(tokio::spawn(tell_ready(Arc::clone(&sampled), control.try_clone()?))),
            _ => {}
        }
    }
}

/// Once a second: looks whether the sampler lives, and tells the supervisor that this thread does.
async fn live(sampled: Arc<Sampled>, control: UnixStream) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        sampled.look();
        // a supervisor that reads nothing is not waited for, and one that has gone ends this process anyhow
        let _ = pass::send_now(&control, Word::Alive);
    }
}

/// What follows when the link to the sampler breaks: its next one brings another link, or one is asked for.
///
/// # Errors
/// The sampler said what cannot be understood: whatever this process believes of the host may be wrong.
fn resume(why: io::Result<()>, sampled: &Arc<Sampled>, control: UnixStream) -> io::Result<()> {
    if let Err(cause) = why
        && cause.kind() == io::ErrorKind::InvalidData
    {
        return Err(io::Error::new(cause.kind(), format!("the sampler is not understood: {cause}")));
    }
    let sampled = Arc::clone(sampled);
    tokio::spawn(async move {
        tokio::time::sleep(RELINK).await;
        if !sampled.is_attached() {
            let _ = pass::send_now(&control, Word::Link);
        }
    });
    Ok(())
}

/// Everything that is served.
fn routes(sampled: &Arc<Sampled>, setup: Setup) -> Guarded {
    let Setup { identity, thresholds, metrics_series, .. } = setup;
    let bundles = Arc::new(Bundles::default());
    let service = Service { sampled: Arc::clone(sampled), bundles, host: identity.host, machine: identity.machine };
    let service = AgentServer::new(service).max_decoding_message_size(1 << 20);
    rest::routes(Guarded::new().grpc(&service, METHODS), sampled, thresholds, metrics_series)
}

/// The routes of an agent that knows nothing.
#[cfg(test)]
pub(super) fn routes_for_tests() -> Guarded {
    let identity = Identity { host: "made".to_owned(), machine: "made".to_owned() };
    let house = House { own: 0, acts: false, open: false };
    routes(&Sampled::new(), Setup { identity, house, thresholds: Thresholds::default(), metrics_series: 500 })
}

/// Tells the supervisor as soon as there is something to serve.
async fn tell_ready(sampled: Arc<Sampled>, control: UnixStream) {
    let mut changes = sampled.changes();
    while !sampled.is_live() {
        if changes.changed().await.is_err() {
            return;
        }
    }
    // without a supervisor the front ends anyhow
    let _ = pass::send(&control, Word::Ready, None);
}

async fn accept_tcp(listener: TcpListener, desk: Arc<Desk>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // frames are small and wanted now
                let _ = stream.set_nodelay(true);
                desk.receive(stream, from.ip());
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, desk: Arc<Desk>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // one that the kernel does not tell is nobody in particular
                let uid = stream.peer_cred().map_or(u32::MAX, |cred| cred.uid());
                if let Some(permit) = desk.permit() {
                    tokio::spawn(Arc::clone(&desk).serve(stream, Peer::Unix(uid), permit));
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Where connections are received.
struct Desk {
    router: axum::Router,
    connections: Arc<tokio::sync::Semaphore>,
    house: House,
    tokens: watch::Sender<Arc<Tokens>>,
    penalties: Mutex<Penalties>,
    acceptor: Mutex<Option<TlsAcceptor>>,
}

/// Leaves somebody who was refused the time to read why: what is closed with something unread takes the answer with it.
async fn part(mut stream: TcpStream) {
    let mut rest = [0; 4096];
    let read = async {
        let _ = stream.shutdown().await;
        for _ in 0..PARTING_READS {
            if !stream.read(&mut rest).await.is_ok_and(|read| read > 0) {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(PARTING, read).await;
}

/// Marks of the tokens that were presented on a connection.
type Presented = Arc<Mutex<Vec<[u8; 32]>>>;

impl Desk {
    /// Leave to serve one more connection, unless there are too many.
    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// Serves somebody at an address: over TLS, or in plain text on loopback and where the configuration wants it.
    fn receive(self: &Arc<Self>, stream: TcpStream, from: IpAddr) {
        let Some(permit) = self.permit() else { return };
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            let acceptor = lock(&desk.acceptor).clone();
            let mut first = [0];
            let Ok(Ok(1)) = tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)).await else { return };
            if let ([TLS_HANDSHAKE], Some(acceptor)) = (first, acceptor) {
                let accepting = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream).into_fallible());
                let stream = match accepting.await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err((_, stream))) => return part(stream).await,
                    Err(_) => return,
                };
                let certified = stream.get_ref().1.peer_certificates().is_some();
                let peer = if certified { Peer::Certified(from) } else { Peer::Tcp(from) };
                desk.serve(stream, peer, permit).await;
            } else if desk.house.open || from.to_canonical().is_loopback() {
                desk.serve(stream, Peer::Tcp(from), permit).await;
            }
        });
    }

    /// Serves one connection.
    async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        permit: OwnedSemaphorePermit,
    ) {
        let (desk, presented) = (Arc::clone(&self), Presented::default());
        let used = Arc::clone(&presented);
        let receive = move |request: hyper::Request<hyper::body::Incoming>| {
            let desk = Arc::clone(&desk);
            let caller = desk.caller(peer, request.headers(), &used);
            async move {
                let mut request = request.map(axum::body::Body::new);
                match caller {
                    Ok(caller) => {
                        request.extensions_mut().insert(caller);
                        tower::ServiceExt::oneshot(desk.router.clone(), request).await
                    }
                    Err(refusal) => Ok(refusal.answer(&request)),
                }
            }
        };
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        // what goes wrong on a connection is the client's business
        tokio::select! {
            _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(receive)) => {}
            () = self.worthless(&presented) => {}
        }
        drop(permit);
    }

    /// Who asks.
    fn caller(&self, peer: Peer, headers: &HeaderMap, presented: &Presented) -> Result<Caller, Refusal> {
        let House { own, acts, open } = self.house;
        let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Caller::from_peer(peer, own, acts, open)) };
        let (now, source) = (Instant::now(), peer.address());
        if source.is_some_and(|source| lock(&self.penalties).refuses(source, now)) {
            return Err(Refusal::Late);
        }
        let token = value.as_bytes();
        let token = token
            .get(..BEARER.len())
            .filter(|scheme| scheme.eq_ignore_ascii_case(BEARER))
            .and(token.get(BEARER.len()..));
        let mark = token.filter(|token| token.len() <= MAX_TOKEN).map(token::mark);
        let role = mark.and_then(|mark| Some((mark, self.tokens.borrow().marked(&mark, Timestamp::now())?.role)));
        let Some((mark, role)) = role else {
            if let Some(source) = source {
                lock(&self.penalties).fail(source, now);
            }
            return Err(Refusal::Unknown);
        };
        let mut presented = lock(presented);
        if !presented.contains(&mark) {
            if presented.len() >= MAX_PRESENTED {
                return Err(Refusal::Late);
            }
            presented.push(mark);
        }
        Ok(Caller::named(role, acts))
    }

    /// Waits until a token that was presented is worthless.
    async fn worthless(&self, presented: &Presented) {
        let mut tokens = self.tokens.subscribe();
        loop {
            // one may end by itself
            let _ = tokio::time::timeout(EXPIRY, tokens.changed()).await;
            let good = tokens.borrow_and_update();
            if lock(presented).iter().any(|mark| good.marked(mark, Timestamp::now()).is_none()) {
                return;
            }
        }
    }
}
