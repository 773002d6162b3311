//! Who speaks with the network?
//!
//! The front is a process of its own without any capability. It gets its listening sockets and the link to the sampler from
//! the supervisor, and serves gRPC on one thread: all of it never costs more than one core. What goes wrong on one
//! connection ends that connection.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use super::grpc::Service;
use super::pass::{self, Word};
use super::sampled::Sampled;
use super::watch::Bundles;
use crate::wire::proto::agent_server::AgentServer;

/// Connections at once.
const MAX_CONNECTIONS: usize = 4096;

/// Longest wait for the head of a request.
const HEADERS: Duration = Duration::from_secs(10);

/// Streams of one connection at once.
const MAX_STREAMS: u32 = 128;

/// Who this host is.
pub(super) struct Identity {
    /// Its name.
    pub(super) host: String,
    /// What stays when the name changes.
    pub(super) machine: String,
}

/// Serves until the supervisor closes `control`.
///
/// # Errors
/// The control socket broke, or there is no thread.
pub(super) fn run(control: UnixStream, identity: Identity) -> io::Result<()> {
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
    runtime.block_on(serve(control, heard, identity))
}

async fn serve(
    control: UnixStream,
    mut words: mpsc::Receiver<(Word, Option<OwnedFd>)>,
    identity: Identity,
) -> io::Result<()> {
    let sampled = Sampled::new();
    let bundles = Arc::new(Bundles::default());
    let service = Service { sampled: Arc::clone(&sampled), bundles, host: identity.host, machine: identity.machine };
    let service = AgentServer::new(service).max_decoding_message_size(1 << 20);
    let router = tonic::service::Routes::new(service).into_axum_router().merge(health(&sampled));
    let connections = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    let looking = Arc::clone(&sampled);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            looking.look();
        }
    });
    while let Some((word, descriptor)) = words.recv().await {
        match (word, descriptor) {
            (Word::Link, Some(socket)) => {
                let socket = UnixStream::from(socket);
                socket.set_nonblocking(true)?;
                let (socket, sampled) = (tokio::net::UnixStream::from_std(socket)?, Arc::clone(&sampled));
                tokio::spawn(async move { sampled.attach(socket).await });
            }
            (Word::Tcp, Some(socket)) => {
                let listener = std::net::TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                tokio::spawn(accept_tcp(TcpListener::from_std(listener)?, router.clone(), Arc::clone(&connections)));
            }
            (Word::Unix, Some(socket)) => {
                let listener = std::os::unix::net::UnixListener::from(socket);
                listener.set_nonblocking(true)?;
                tokio::spawn(accept_unix(UnixListener::from_std(listener)?, router.clone(), Arc::clone(&connections)));
            }
            (Word::Ready, _) => pass::send(&control, Word::Ready, None)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether the front lives, and whether it has something to serve.
fn health(sampled: &Arc<Sampled>) -> axum::Router {
    let sampled = Arc::clone(sampled);
    let ready = move || async move {
        if sampled.is_live() {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "the sampler says nothing\n")
        }
    };
    axum::Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

async fn accept_tcp(listener: TcpListener, router: axum::Router, connections: Arc<tokio::sync::Semaphore>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // frames are small and wanted now
                let _ = stream.set_nodelay(true);
                admit(stream, &router, &connections);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, router: axum::Router, connections: Arc<tokio::sync::Semaphore>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => admit(stream, &router, &connections),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Serves one connection, unless there are too many.
fn admit(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: &axum::Router,
    connections: &Arc<tokio::sync::Semaphore>,
) {
    let Ok(permit) = Arc::clone(connections).try_acquire_owned() else { return };
    let service = TowerToHyperService::new(router.clone());
    tokio::spawn(async move {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        // what goes wrong on a connection is the client's business
        let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        drop(permit);
    });
}
