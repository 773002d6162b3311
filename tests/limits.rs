//! Does an agent serve those who ask while others only hold connections open, send too much, or do not listen?
//!
//! A real agent on the loopback, where every address of 127.0.0.0/8 is a source of its own. `HALF_OPEN=10000
//! cargo test --release --test limits half_open` is the storm at full size; it needs as many descriptors, and so does
//! `IDLE_TLS=10000`. `GUESSES=60` guesses tokens for so many seconds.

#![cfg(test)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use served::{Agent, PATIENCE, request, token};
use support::process::{Done, timed, usage, waited};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What somebody says who then says nothing more.
const BEGINNINGS: &[&[u8]] = &[
    b"",
    b"G",
    b"P",
    b"GET / HTTP/1.1\r\nhost: localhost\r\n",
    b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9",
    b"PRI * HTTP/2.0\r\n",
    PREFACE,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\0\0\0\0\x01\x82",
    b"\x16",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
];

/// A socket that is told to connect from an address of the loopback.
fn open(from: u32, to: SocketAddr) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + from);
    rustix::net::bind(&socket, &SocketAddr::from((address, 0))).unwrap();
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => socket,
        Err(cause) => panic!("{cause}"),
    }
}

/// Waits until a socket can be used so; whether it could in time.
fn ready(socket: &OwnedFd, how: PollFlags, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    poll(&mut [PollFd::new(socket, how)], Some(&left)).is_ok_and(|ready| ready > 0)
}

/// Waits until the other end has closed a socket; whether it has in time. What it said before is read.
fn is_closed(socket: &OwnedFd, until: Instant) -> bool {
    let mut bytes = [0; 4096];
    loop {
        match rustix::io::read(socket, &mut bytes) {
            Ok(0) => return true,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if Instant::now() < until => {
                ready(socket, PollFlags::IN, until);
            }
            Err(rustix::io::Errno::AGAIN) => return false,
            Err(_) => return true,
        }
    }
}

/// Opens connections from many addresses that each begin and go no further.
fn storm(count: usize, to: SocketAddr) -> Vec<OwnedFd> {
    let sockets: Vec<OwnedFd> = (0..count).map(|number| open(1 + (number % 4000) as u32, to)).collect();
    let until = Instant::now() + PATIENCE;
    for (number, socket) in sockets.iter().enumerate() {
        assert!(ready(socket, PollFlags::OUT, until), "connection {number}");
        // some are closed already
        let _ = rustix::io::write(socket, BEGINNINGS[number % BEGINNINGS.len()]);
    }
    sockets
}

/// Requests that tell how long one takes.
const ENOUGH: usize = 101;

/// How long each of many requests takes, on a connection that stays and on new ones, until there are enough and it is told
/// to stop.
fn asking(agent: &Agent, token: &str, stop: &AtomicBool) -> Vec<Duration> {
    let mut taken = Vec::new();
    let bearer = format!("Bearer {token}");
    let lasting =
        request("GET /api/v1/tables/load", &[("authorization", &bearer)]).replace("connection: close\r\n", "");
    let mut stays = agent.connect();
    let mut answer = vec![0; 1 << 16];
    let front = agent.part("netglance-front");
    while taken.len() < ENOUGH || !stop.load(Ordering::Relaxed) {
        let lasts = taken.len() % 2 == 0;
        taken.push(timed(&[front], || {
            if lasts {
                stays.write_all(lasting.as_bytes()).unwrap();
                let read = stays.read(&mut answer).unwrap();
                assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
            } else {
                assert_eq!(agent.ask("GET /api/v1/tables/load", &[("authorization", &bearer)]).0, 200);
            }
        }));
        std::thread::park_timeout(Duration::from_millis(10));
    }
    taken.sort();
    taken
}

/// A number that the environment may change.
fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// An agent that has something to answer.
fn agent() -> Agent {
    sampled(Agent::start("127.0.0.1:0", ""))
}

fn sampled(agent: Agent) -> Agent {
    let start = Instant::now();
    while agent.ask("GET /api/v1/tables/load", &[]).0 != 200 {
        assert!(start.elapsed() < PATIENCE);
    }
    agent
}

#[test]
fn half_open_connections_are_closed_and_keep_nobody_waiting() {
    let count = number("HALF_OPEN", 1500);
    let agent = agent();
    let token = agent.token(&["one"]);
    let front = agent.part("netglance-front");
    let (stop, before) = (AtomicBool::new(false), usage(front).unwrap());
    let (taken, closed, most) = std::thread::scope(|scope| {
        let done = Done(&stop);
        let asking = scope.spawn(|| asking(&agent, &token, &stop));
        let begin = Instant::now();
        let sockets = storm(count, agent.address.parse().unwrap());
        let (opened, starved, mut most) = (Instant::now(), waited(&[front]), before);
        let until = opened + PATIENCE;
        for socket in sockets.iter().rev() {
            most.rss = most.rss.max(usage(front).unwrap().rss);
            assert!(is_closed(socket, until));
        }
        // without the time in which the agent had no CPU
        let starved = waited(&[front]).saturating_sub(starved);
        let closed = (opened - begin, opened.elapsed().saturating_sub(starved));
        drop(done);
        (asking.join().unwrap(), closed, most)
    });
    let after = usage(front).unwrap();
    let p99 = taken[taken.len() * 99 / 100];
    eprintln!(
        "{count} half-open: opened in {:?}, the last one closed {:?} later; {} requests, p99 {p99:?}, longest {:?}; \
         memory {} KiB, {} KiB at most, {} KiB afterwards; {:.2} s of CPU",
        closed.0,
        closed.1,
        taken.len(),
        taken[taken.len() - 1],
        before.rss >> 10,
        most.rss >> 10,
        after.rss >> 10,
        after.cpu - before.cpu,
    );
    // a debug build on a machine that does other things is slower
    let slow = cfg!(debug_assertions);
    assert!(closed.1 <= Duration::from_millis(if slow { 14_000 } else { 10_000 }), "{closed:?}");
    assert!(most.rss <= before.rss + (64 << 20), "{} {}", before.rss, most.rss);
    let patience = Duration::from_millis(if slow { 500 } else { 100 });
    assert!(p99 <= patience, "{p99:?} of {}", taken.len());
    assert!(after.descriptors <= before.descriptors + 2, "{} {}", before.descriptors, after.descriptors);
}

#[test]
fn whoever_begins_and_goes_no_further_is_waited_for_so_long() {
    let agent = agent();
    let to = agent.address.parse().unwrap();
    let begin = Instant::now();
    let sockets: Vec<OwnedFd> = (0..BEGINNINGS.len()).map(|number| open(1 + number as u32, to)).collect();
    for (socket, beginning) in sockets.iter().zip(BEGINNINGS) {
        assert!(ready(socket, PollFlags::OUT, begin + PATIENCE));
        assert_eq!(rustix::io::write(socket, beginning).unwrap_or(0), beginning.len());
    }
    for (socket, beginning) in sockets.iter().zip(BEGINNINGS) {
        let beginning = beginning.escape_ascii();
        assert!(is_closed(socket, begin + Duration::from_secs(14)), "{beginning}");
    }
    assert!(begin.elapsed() > Duration::from_secs(4));
    // nor is a second head that does not end, from somebody who is known
    let mut stream = agent.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut bytes = [0; 1024];
    assert!(stream.read(&mut bytes).unwrap() > 0);
    let begin = Instant::now();
    stream.write_all(b"GET /heal").unwrap();
    assert!(matches!(stream.read(&mut bytes), Ok(0) | Err(_)));
    assert!((9..15).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[test]
fn a_source_that_opens_one_connection_more_than_it_may_loses_its_oldest() {
    let agent = agent();
    let to = agent.address.parse().unwrap();
    let mut sockets: Vec<OwnedFd> = (0..64).map(|_| open(7, to)).collect();
    let soon = || Instant::now() + Duration::from_secs(3);
    assert!(sockets.iter().all(|socket| ready(socket, PollFlags::OUT, soon())));
    let other = open(8, to);
    assert!(ready(&other, PollFlags::OUT, soon()));
    sockets.push(open(7, to));
    assert!(is_closed(&sockets[0], soon()));
    assert!(!is_closed(&sockets[1], Instant::now()) && !is_closed(&other, Instant::now()));
}

/// The status of the answer to bytes, of which the agent need not read all.
fn told(agent: &Agent, bytes: &[u8]) -> u16 {
    let mut stream = agent.connect();
    // the answer may come before all is said
    let _ = stream.write_all(bytes);
    status(&mut stream)
}

fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

#[test]
fn what_is_too_large_or_compressed_is_refused_before_it_is_read() {
    let agent = agent();
    let large = "x".repeat(20_000);
    assert_eq!(told(&agent, request("GET /healthz", &[("a", &large)]).as_bytes()), 431);
    assert_eq!(told(&agent, request("GET /healthz", &[("a", &large[..10_000])]).as_bytes()), 200);
    let many: Vec<(String, &str)> = (0..100).map(|number| (format!("a{number}"), "x")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
    assert_eq!(told(&agent, request("GET /healthz", &many).as_bytes()), 431);
    assert!(matches!(told(&agent, request(&format!("GET /{large}"), &[]).as_bytes()), 414 | 431));
    let grpc = "POST /netglance.v1.Agent/Describe";
    let with = |length: usize, token: &str| {
        let length = length.to_string();
        let headers = [("content-type", "application/grpc"), ("content-length", &*length), ("authorization", token)];
        told(&agent, request(grpc, &headers[..if token.is_empty() { 2 } else { 3 }]).as_bytes())
    };
    assert_eq!(with((1 << 20) + 1, ""), 413);
    // nobody knows this one
    assert_eq!(with((64 << 10) + 1, "Bearer guess"), 413);
    for coding in ["gzip", "deflate, gzip", "zstd", "br"] {
        assert_eq!(agent.ask(grpc, &[("content-type", "application/grpc"), ("content-encoding", coding)]).0, 415);
    }
}

#[test]
fn a_request_whose_end_is_told_twice_is_refused_and_nothing_after_it_is_read() {
    let agent = agent();
    let (length, chunked) = ("content-length: 5\r\n", "transfer-encoding: chunked\r\n");
    let second = request("GET /readyz", &[]);
    for more in [&[length, chunked][..], &[chunked, length], &[chunked], &["transfer-encoding: gzip\r\n", length]] {
        // what one reads as a body the other takes for the next request
        let text = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n0\r\n\r\n{second}", more.concat());
        let mut stream = agent.connect();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // what is left unread may end the connection as an error, after the answer
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.matches("HTTP/1.1").count() == 1, "{more:?}: {answer}");
    }
    // lengths that are not the same are none
    let text = "GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n";
    assert_eq!(told(&agent, text.as_bytes()), 400);
}

#[test]
fn a_body_that_never_ends_is_not_waited_for() {
    let agent = agent();
    let with = |more| {
        let head = request("POST /netglance.v1.Agent/Describe", &[("content-type", "application/grpc"), more]);
        let mut stream = agent.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    // one that stops, and one that goes on
    let mut stops = with(("content-length", "60000"));
    let begin = Instant::now();
    let mut flows = with(("transfer-encoding", "chunked"));
    let piece = [&b"10000\r\n"[..], &vec![0; 0x10000], b"\r\n"].concat();
    let sent = (0..1000).take_while(|_| flows.write_all(&piece).is_ok()).count();
    assert!(sent < 400, "{sent} pieces of 64 KiB");
    let mut bytes = [0; 4096];
    while stops.read(&mut bytes).is_ok_and(|read| read > 0) {}
    assert!((9..25).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

/// What waits at the other end of a connection on this host, sent and received, as the kernel writes it.
fn waiting(stream: &TcpStream) -> Option<String> {
    let end = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()),
        IpAddr::V6(ip) => panic!("{ip}"),
    };
    let ends = format!(" {} {} ", end(stream.peer_addr().ok()?), end(stream.local_addr().ok()?));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    Some(table.lines().find_map(|line| line.split_once(&ends))?.1.split_whitespace().nth(1)?.to_owned())
}

#[test]
fn whoever_asks_and_does_not_listen_is_let_go() {
    let agent = agent();
    let begin = Instant::now();
    let mut stream = agent.connect();
    // with little room for answers it is soon full
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let question = request("GET /api/v1/schema", &[]).replace("connection: close\r\n", "");
    // when something was taken or answered last: then the agent waits, too, but for a CPU
    let (front, mut waits) = (agent.part("netglance-front"), None);
    let before = waited(&[front]);
    let now = || begin.elapsed().saturating_sub(waited(&[front]).saturating_sub(before));
    let mut taken = now();
    loop {
        match stream.write(question.as_bytes()) {
            Ok(_) => taken = now(),
            Err(full) if full.kind() == ErrorKind::WouldBlock => {
                let wait = waiting(&stream);
                if wait != waits {
                    (taken, waits) = (now(), wait);
                }
                assert!(now().saturating_sub(taken) < Duration::from_secs(20), "nobody minds");
            }
            Err(_) => break,
        }
    }
    assert!(begin.elapsed() >= Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// Takes any certificate.
#[derive(Debug)]
struct Credulous(rustls::crypto::WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn credulous() -> Arc<rustls::ClientConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let verifier = Arc::new(Credulous(provider.signature_verification_algorithms));
    let config = rustls::ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    config.unwrap().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth().into()
}

/// Opens a connection over TLS and says nothing on it.
fn idle(from: u32, to: SocketAddr, config: &Arc<rustls::ClientConfig>) -> OwnedFd {
    let mut stream = TcpStream::from(open(from, to));
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    while tls.is_handshaking() || tls.wants_write() {
        tls.complete_io(&mut stream).unwrap();
    }
    stream.set_nonblocking(true).unwrap();
    stream.into()
}

#[test]
fn idle_connections_over_tls_make_room_for_newer_ones_and_keep_nobody_waiting() {
    let count = number("IDLE_TLS", 320);
    let sources = if count > 4000 { 4000 } else { 4 };
    let guests = (64 * sources).min(1024);
    let mut one = String::new();
    // for other hosts too, so that it has a key
    let agent = sampled(Agent::prepared("0.0.0.0:0", "", |dir| one = token(dir, &["one"])));
    let to = agent.address.replace("0.0.0.0", "127.0.0.1").parse().unwrap();
    let (front, config) = (agent.part("netglance-front"), credulous());
    let (stop, before) = (AtomicBool::new(false), usage(front).unwrap());
    let (taken, opened, closed, most) = std::thread::scope(|scope| {
        let done = Done(&stop);
        let asking = scope.spawn(|| asking(&agent, &one, &stop));
        let begin = Instant::now();
        let sockets: Vec<OwnedFd> = (0..count).map(|number| idle(1 + (number % sources) as u32, to, &config)).collect();
        let opened = Instant::now();
        let most = usage(front).unwrap();
        assert!(sockets.iter().rev().take(100).all(|socket| !is_closed(socket, opened)), "the newest stay");
        let (old, new) = sockets.split_at(count - guests);
        // whoever was told to go is gone in a moment
        assert!(old.iter().all(|socket| is_closed(socket, opened + Duration::from_secs(2))));
        assert!(new.iter().all(|socket| is_closed(socket, opened + PATIENCE)));
        let closed = opened.elapsed();
        drop(done);
        (asking.join().unwrap(), opened - begin, closed, most)
    });
    let (after, p99) = (usage(front).unwrap(), taken[taken.len() * 99 / 100]);
    eprintln!(
        "{count} over TLS: opened in {opened:?}, the last one closed {closed:?} later; {} requests, p99 {p99:?}; \
         memory {} KiB, {} KiB with all; {:.2} s of CPU",
        taken.len(),
        before.rss >> 10,
        most.rss >> 10,
        after.cpu - before.cpu,
    );
    let slow = cfg!(debug_assertions);
    // while there is room for everybody each has all of 10 s
    assert!(closed <= Duration::from_secs(if guests < 1024 { 12 } else { 10 }), "{closed:?}");
    assert!(most.rss <= before.rss + (64 << 20), "{} {}", before.rss, most.rss);
    assert!(p99 <= Duration::from_millis(if slow { 500 } else { 100 }), "{p99:?} of {}", taken.len());
    assert!(after.descriptors <= before.descriptors + 2, "{} {}", before.descriptors, after.descriptors);
}

/// Guesses once every 100 ms from each of so many addresses; how often it was told that it is nobody, and that it is late.
fn guess(first: u32, count: u32, to: SocketAddr, end: Instant) -> (usize, usize) {
    let connect = |from| {
        let stream = TcpStream::from(open(from, to));
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut streams: Vec<TcpStream> = (first..first + count).map(connect).collect();
    let (mut unknown, mut late, mut round) = (0, 0, Instant::now());
    while round < end {
        for (stream, from) in streams.iter_mut().zip(first..) {
            let guess = format!("Bearer ng_{from}{round:?}");
            let text = request("GET /metrics", &[("authorization", &guess)]).replace("connection: close\r\n", "");
            let mut answer = [0; 4096];
            // whoever never says who they are is let go, and comes again
            let read = loop {
                match stream.write_all(text.as_bytes()).and_then(|()| stream.read(&mut answer)) {
                    Ok(read) if read > 0 => break read,
                    _ => *stream = connect(from),
                }
            };
            match &answer[..read.min(12)] {
                b"HTTP/1.1 401" => unknown += 1,
                b"HTTP/1.1 429" => late += 1,
                _ => panic!("{}", String::from_utf8_lossy(&answer[..read])),
            }
        }
        round += Duration::from_millis(100);
        std::thread::park_timeout(round.saturating_duration_since(Instant::now()));
    }
    (unknown, late)
}

#[test]
fn whoever_guesses_from_many_addresses_is_refused_and_others_are_served() {
    const SOURCES: usize = 100;
    let seconds = number("GUESSES", 3);
    let agent = agent();
    let token = agent.token(&["one"]);
    let (front, to) = (agent.part("netglance-front"), agent.address.parse().unwrap());
    let (stop, before, begin) = (AtomicBool::new(false), usage(front).unwrap(), Instant::now());
    let end = begin + Duration::from_secs(seconds as u64);
    let (taken, unknown, late) = std::thread::scope(|scope| {
        let done = Done(&stop);
        let asking = scope.spawn(|| asking(&agent, &token, &stop));
        let each = SOURCES as u32 / 4;
        let guessing: Vec<_> = (0..4).map(|part| scope.spawn(move || guess(1 + part * each, each, to, end))).collect();
        let told = guessing.into_iter().map(|guessing| guessing.join().unwrap());
        let (unknown, late) = told.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        drop(done);
        (asking.join().unwrap(), unknown, late)
    });
    let (after, elapsed) = (usage(front).unwrap(), begin.elapsed().as_secs_f64());
    let (p99, cores) = (taken[taken.len() * 99 / 100], (after.cpu - before.cpu) / elapsed);
    eprintln!(
        "{} guesses in {elapsed:.1} s, {unknown} of them looked at; {} requests, p99 {p99:?}; {cores:.2} cores; {} KiB more",
        unknown + late,
        taken.len(),
        (after.rss as i64 - before.rss as i64) >> 10,
    );
    let slow = cfg!(debug_assertions);
    // the fourth comes too late, because time passes between them; and as many whenever the time for them has passed
    assert!(unknown <= SOURCES * 4 * (1 + elapsed as usize / 15), "{unknown}");
    assert!(unknown + late >= SOURCES * seconds * if slow { 2 } else { 9 }, "{unknown} {late}");
    assert!(p99 <= Duration::from_millis(if slow { 500 } else { 100 }), "{p99:?} of {}", taken.len());
    assert!(cores < 1.0, "{cores}");
    assert!(after.rss <= before.rss + (8 << 20), "{} {}", before.rss, after.rss);
    // whoever has the right one gets in from there, too
    let mut stream = TcpStream::from(open(1, to));
    stream.set_nonblocking(false).unwrap();
    let bearer = format!("Bearer {token}");
    stream.write_all(request("GET /metrics", &[("authorization", &bearer)]).as_bytes()).unwrap();
    assert_eq!(status(&mut stream), 200);
}
