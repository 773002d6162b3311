//! Who speaks with the network?
//!
//! The front is a process of its own without any capability. It gets its listening sockets and the link to the sampler from
//! the supervisor, and serves gRPC on one thread: all of it never costs more than one core. What goes wrong on one
//! connection ends that connection.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use super::caller::Guarded;
use super::desk::Desk;
use super::events::Events;
use super::grpc;
use super::head::Hosts;
use super::kept;
use super::log::Log;
use super::pass::{self, Word};
use super::rest;
use super::sampled::Sampled;
use super::tls::{self, Identity as Key};
use super::token::{self, Tokens};
use super::waited;

/// A link that broke is asked for again after so long, unless another sampler has brought one.
const RELINK: Duration = Duration::from_secs(1);

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
    /// Descriptors that there may be.
    pub(super) descriptors: usize,
}

/// What the front starts with.
pub(super) struct Setup {
    /// Who this host is.
    pub(super) identity: Identity,
    /// Whose rules hold.
    pub(super) house: House,
    /// Time series of a scrape at most.
    pub(super) metrics_series: usize,
    /// Names of this host besides its own.
    pub(super) hosts: Vec<String>,
}

/// Serves until the supervisor closes `control`.
///
/// # Errors
/// The control socket broke, or there is no thread.
pub(super) fn run(control: UnixStream, setup: Setup, log: &Log) -> io::Result<()> {
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
    runtime.block_on(serve(control, heard, setup, log))
}

async fn serve(
    control: UnixStream,
    mut words: mpsc::Receiver<(Word, Option<OwnedFd>)>,
    setup: Setup,
    log: &Log,
) -> io::Result<()> {
    let sampled = Sampled::new();
    let house = setup.house;
    let hosts = Hosts::new(&setup.identity.host, &setup.hosts);
    let desk = Desk::new(routes(&sampled, setup).served(rest::unknown), hosts, house, log);
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
                tokio::spawn(Arc::clone(&desk).accept_tcp(TcpListener::from_std(listener)?));
            }
            (Word::Unix, Some(socket)) => {
                let listener = std::os::unix::net::UnixListener::from(socket);
                listener.set_nonblocking(true)?;
                tokio::spawn(Arc::clone(&desk).accept_unix(UnixListener::from_std(listener)?));
            }
            (Word::Tokens, Some(file)) => {
                let text = kept::from_memory(file, token::MAX_FILE)?;
                let tokens = Tokens::parse(&String::from_utf8_lossy(&text), Path::new("tokens"));
                // those that nobody understands are none
                desk.take_tokens(tokens.unwrap_or_default());
            }
            (Word::Clients, Some(file)) => clients = kept::from_memory(file, tls::MAX_PEM)?,
            (Word::Identity, Some(file)) => {
                let pem = kept::from_memory(file, 2 * tls::MAX_PEM)?;
                let key = Key { pem, clients: clients.clone() };
                // the supervisor has tried it
                if let Ok(acceptor) = key.acceptor() {
                    desk.take_key(acceptor, &key);
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
    let Setup { identity, metrics_series, .. } = setup;
    let Identity { host, machine } = identity;
    let (events, waiting) = (Events::new(sampled), waited::Queue::new());
    let service = grpc::Service {
        sampled: Arc::clone(sampled),
        bundles: Arc::default(),
        events: Arc::clone(&events),
        waiting: waiting.clone(),
        host,
        machine,
    };
    rest::routes(grpc::routes(Guarded::new(), service), sampled, &events, waiting, metrics_series)
}

/// The routes of an agent that knows nothing.
#[cfg(test)]
pub(super) fn routes_for_tests() -> Guarded {
    let identity = Identity { host: "made".to_owned(), machine: "made".to_owned() };
    let house = House { own: 0, acts: false, open: false, descriptors: 1024 };
    routes(&Sampled::new(), Setup { identity, house, metrics_series: 500, hosts: Vec::new() })
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
