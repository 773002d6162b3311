//! Where are those received who come?
//!
//! Everybody has a [`Place`], or is sent away at the [`super::door`]. What they say passes a [`Meter`], what they ask is
//! checked before anybody reads it, and a connection that leads nowhere ends ([`super::pulse`]).

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONNECTION};
use axum::http::{HeaderMap, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::bodies::{self, Answer, Bounded, Ticket, Waiting, Weight};
use super::caller::{Asker, Caller, Peer, Refusal, Served};
use super::door::{Door, Place};
use super::front::House;
use super::head::{self, Hosts};
use super::log::{Level, Log};
use super::meter::Meter;
use super::penalty::Penalties;
use super::pulse::{self, Over};
use super::rest;
use super::tls::Identity;
use super::token::{self, Token, Tokens};
use crate::model::lock;

/// Longest wait for the first byte and TLS.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What a connection over TLS begins with; nothing of HTTP does.
const TLS_HANDSHAKE: u8 = 22;

/// Bytes of the head of a request at most.
const MAX_HEAD: u32 = 16 << 10;

/// Headers of a request at most.
const MAX_HEADERS: usize = 64;

/// Streams of one connection at once.
const MAX_STREAMS: u32 = 128;

/// Streams that a connection gives up before anybody has looked at them, and those that are ended for its mistakes.
const MAX_RESETS: (usize, usize) = (20, 64);

/// After so long without a word the other end is asked for one, and has so long for it.
const ALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(10));

/// Longest wait for the end of a connection that is to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much more somebody may send who was refused.
const PARTING_READS: usize = 16;

/// What is told in plain text where only TLS is spoken, over HTTP/1.
const ONLY_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
    {\"error\":\"here only TLS is spoken\",\"hint\":\"write https instead of http\"}\n";

/// The same over HTTP/2: no settings, and GOAWAY for want of security.
const ONLY_TLS_2: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x1f\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0chere only TLS is spoken";

/// Bytes of a token at most.
const MAX_TOKEN: usize = 256;

/// Different tokens on one connection at most.
const MAX_PRESENTED: usize = 16;

/// What stands before a token.
const BEARER: &[u8] = b"Bearer ";

/// Where connections are received.
pub(super) struct Desk {
    served: Served,
    hosts: Hosts,
    door: Arc<Door>,
    waiting: Arc<Waiting>,
    house: House,
    tokens: watch::Sender<Arc<Tokens>>,
    penalties: Mutex<Penalties>,
    log: Log,
    key: watch::Sender<Option<Key>>,
}

/// What TLS is spoken with.
#[derive(Clone)]
struct Key {
    acceptor: TlsAcceptor,
    /// The authority of clients.
    authority: Arc<[u8]>,
}

/// Marks of the tokens that were presented on a connection.
type Presented = Mutex<Vec<[u8; 32]>>;

/// A connection that is served.
struct Visit {
    desk: Arc<Desk>,
    peer: Peer,
    place: Place,
    presented: Presented,
    /// The authority that vouched for it.
    authority: Option<Arc<[u8]>>,
}

impl Desk {
    /// Nobody is known yet.
    pub(super) fn new(served: Served, hosts: Hosts, house: House, log: &Log) -> Arc<Self> {
        Arc::new(Self {
            served,
            hosts,
            door: Door::new(house.descriptors),
            waiting: Arc::default(),
            house,
            tokens: watch::Sender::default(),
            penalties: Mutex::default(),
            log: log.clone(),
            key: watch::Sender::default(),
        })
    }

    /// From now on these tokens are good and no others.
    pub(super) fn take_tokens(&self, tokens: Tokens) {
        self.tokens.send_replace(Arc::new(tokens));
    }

    /// From now on connections begin with this key, and those go on that its authority would let in.
    pub(super) fn take_key(&self, acceptor: TlsAcceptor, identity: &Identity) {
        self.hosts.take(identity.certificate());
        self.key.send_replace(Some(Key { acceptor, authority: identity.clients.as_slice().into() }));
    }

    pub(super) async fn accept_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    // frames are small and wanted now
                    let _ = stream.set_nodelay(true);
                    let Some(place) = self.door.enter(Peer::Tcp(from.ip())) else { continue };
                    let desk = Arc::clone(&self);
                    tokio::spawn(async move { desk.receive(stream, from.ip(), place).await });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    pub(super) async fn accept_unix(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // one that the kernel does not tell is nobody in particular
                    let uid = stream.peer_cred().map_or(u32::MAX, |cred| cred.uid());
                    let Some(place) = self.door.enter(Peer::Unix(uid)) else { continue };
                    tokio::spawn(Arc::clone(&self).serve(stream, Peer::Unix(uid), None, place));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Serves somebody at an address: over TLS, or in plain text on loopback and where the configuration wants it.
    async fn receive(self: Arc<Self>, mut stream: TcpStream, from: IpAddr, place: Place) {
        let key = self.key.borrow().clone();
        let (until, mut first) = (tokio::time::Instant::now() + HANDSHAKE, [0]);
        let peeked = tokio::select! {
            peeked = tokio::time::timeout_at(until, stream.peek(&mut first)) => peeked,
            () = place.leave() => return,
        };
        let Ok(Ok(1)) = peeked else { return };
        if let ([TLS_HANDSHAKE], Some(key)) = (first, key) {
            let spoken = tokio::select! {
                spoken = tokio::time::timeout_at(until, key.acceptor.accept(stream).into_fallible()) => spoken,
                () = place.leave() => return,
            };
            let stream = match spoken {
                Ok(Ok(stream)) => stream,
                Ok(Err((_, stream))) => return part(stream, &place).await,
                Err(_) => return,
            };
            let certified = stream.get_ref().1.peer_certificates().is_some();
            let peer = if certified { Peer::Certified(from) } else { Peer::Tcp(from) };
            self.serve(stream, peer, certified.then_some(key.authority), place).await;
        } else if self.house.open || from.to_canonical().is_loopback() {
            self.serve(stream, Peer::Tcp(from), None, place).await;
        } else {
            let told = if first == *b"P" { is_http_2(&stream).await } else { false };
            let _ = tokio::time::timeout(FAREWELL, stream.write_all(if told { ONLY_TLS_2 } else { ONLY_TLS })).await;
            part(stream, &place).await;
        }
    }

    /// Serves one connection.
    async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        authority: Option<Arc<[u8]>>,
        place: Place,
    ) {
        let stream = TokioIo::new(Meter::new(stream, Arc::clone(&place.pulse)));
        let visit = Arc::new(Visit { desk: self, peer, place, presented: Presented::default(), authority });
        let asked = Arc::clone(&visit);
        let receive = service_fn(move |request| Arc::clone(&asked).asked(request));
        let builder = builder();
        let mut serving = std::pin::pin!(builder.serve_connection(stream, receive));
        // what goes wrong on a connection is the client's business
        let over = tokio::select! {
            _ = serving.as_mut() => return,
            () = visit.place.leave() => return,
            over = visit.over() => over,
        };
        if over == Over::Idle {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                _ = tokio::time::timeout(FAREWELL, serving) => {}
                () = visit.place.leave() => {}
            }
        }
    }

    /// Who asks.
    fn caller(&self, peer: Peer, headers: &HeaderMap, presented: &Presented) -> Result<(Caller, Asker), Refusal> {
        let House { own, acts, open, .. } = self.house;
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Ok((Caller::from_peer(peer, own, acts, open), Asker { peer, token: None }));
        };
        let token = value.as_bytes();
        let token = token
            .get(..BEARER.len())
            .filter(|scheme| scheme.eq_ignore_ascii_case(BEARER))
            .and(token.get(BEARER.len()..));
        let mark = token.filter(|token| token.len() <= MAX_TOKEN).map(token::mark);
        let told = |token: &Token| (token.role, Asker { peer, token: Some(token.name.clone()) });
        let known = mark.and_then(|mark| Some((mark, self.tokens.borrow().marked(&mark, Timestamp::now()).map(told)?)));
        let Some((mark, (role, asker))) = known else { return Err(self.wrong(peer)) };
        let mut presented = lock(presented);
        if !presented.contains(&mark) {
            if presented.len() >= MAX_PRESENTED {
                return Err(Refusal::Late);
            }
            presented.push(mark);
        }
        Ok((Caller::named(role, acts, peer), asker))
    }

    /// What becomes of somebody who has shown a token that there is not. Whoever shares an address with those who guess gets in
    /// with the right one all the same: to look first tells a guesser nothing, and costs one hash.
    fn wrong(&self, peer: Peer) -> Refusal {
        let Some(address) = peer.address() else { return Refusal::Unknown };
        let (now, mut penalties) = (Instant::now(), lock(&self.penalties));
        if penalties.refuses(address, now) {
            return Refusal::Late;
        }
        if penalties.fail(address, now) {
            self.log.say(Level::Warning, &format!("wrong tokens from {peer}: it is refused for a while"));
        }
        Refusal::Unknown
    }
}

/// Whether somebody begins as HTTP/2 does.
async fn is_http_2(stream: &TcpStream) -> bool {
    let mut begin = [0; 3];
    let peeked = tokio::time::timeout(FAREWELL, async {
        // one byte may come alone
        while stream.peek(&mut begin).await.is_ok_and(|read| (1..begin.len()).contains(&read)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    peeked.await.is_ok() && begin == *b"PRI"
}

/// Leaves somebody who was refused the time to read why: what is closed with something unread takes the answer with it.
async fn part(mut stream: TcpStream, place: &Place) {
    let mut rest = [0; 4096];
    let read = async {
        let _ = stream.shutdown().await;
        for _ in 0..PARTING_READS {
            if !stream.read(&mut rest).await.is_ok_and(|read| read > 0) {
                return;
            }
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(FAREWELL, read) => {}
        () = place.leave() => {}
    }
}

/// How HTTP of either version is spoken.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let http1 = &mut builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(pulse::IDLE).max_buf_size(MAX_HEAD as usize);
    http1.max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD)
        .max_pending_accept_reset_streams(MAX_RESETS.0)
        .max_local_error_reset_streams(MAX_RESETS.1)
        .keep_alive_interval(ALIVE.0)
        .keep_alive_timeout(ALIVE.1);
    builder
}

impl Visit {
    /// Answers one request.
    async fn asked(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Answer>, std::convert::Infallible> {
        let ticket = Ticket::new(&self.place.pulse, &self.desk.waiting);
        let caller = self.desk.caller(self.peer, request.headers(), &self.presented);
        let known = caller.as_ref().is_ok_and(|(caller, _)| caller.is_known());
        if known {
            self.place.settle();
        }
        // what comes over the unix socket comes from no browser
        let is_near = matches!(self.peer, Peer::Unix(_));
        let checked = head::check(&request, (!is_near).then_some(&self.desk.hosts), known);
        let mut request = request.map(|body| Body::new(Bounded::new(body, bodies::most(known))));
        let response = match (checked, caller) {
            (Err(head::Wrong(status, error, hint)), _) => {
                let mut response = rest::refused(status, error, hint);
                if request.version() < Version::HTTP_2 {
                    // what follows may be the rest of a request that nobody reads
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
            (Ok(()), Err(refusal)) => refusal.answer(&request),
            (Ok(()), Ok((caller, asker))) => {
                request.extensions_mut().insert(caller);
                request.extensions_mut().insert(asker);
                self.desk.served.answer(request).await
            }
        };
        let response = head::guarded(response);
        let (head, body) = response.into_parts();
        let (answer, full) = ticket.answer(body, head.extensions.get::<Weight>());
        if full {
            self.desk.door.relieve(bodies::MAX_HELD);
        }
        Ok(Response::from_parts(head, answer))
    }

    /// Waits until the connection leads nowhere, or what let it in is worthless.
    async fn over(&self) -> Over {
        let (mut tokens, mut keys) = (self.desk.tokens.subscribe(), self.desk.key.subscribe());
        loop {
            let due = match self.place.due(Instant::now()) {
                Ok(due) => due,
                Err(over) => return over,
            };
            let due = match self.good(&tokens.borrow_and_update()) {
                Some(left) => due.min(Instant::now() + left),
                None => return Over::Late,
            };
            if !self.is_vouched_for(keys.borrow_and_update().as_ref()) {
                return Over::Late;
            }
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                Ok(()) = tokens.changed() => {}
                Ok(()) = keys.changed(), if self.authority.is_some() => {}
            }
        }
    }

    /// How long all tokens that were presented are good for, at least; `None` if one is not.
    fn good(&self, tokens: &Tokens) -> Option<Duration> {
        let (now, mut least) = (Timestamp::now(), pulse::LOOK);
        for mark in lock(&self.presented).iter() {
            if let Some(end) = tokens.marked(mark, now)?.expires {
                // the clock may be set: it is looked at again anyhow
                least = least.min(Duration::try_from(now.until(end).ok()?).ok()?);
            }
        }
        Some(least)
    }

    /// Whether the authority that vouched for this connection is still the one that does.
    fn is_vouched_for(&self, key: Option<&Key>) -> bool {
        let Some(authority) = &self.authority else { return true };
        key.is_some_and(|key| key.authority == *authority)
    }
}
