//! What becomes of somebody who abuses HTTP/2, and of those who only ask meanwhile?
//!
//! Frames are made here byte by byte, as no library would. `ABUSE=60 cargo test --release --test abuse` abuses
//! for so many seconds, from ten connections at once.

#![cfg(test)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use served::{Agent, PATIENCE};
use support::process::{Done, timed, usage, waited};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A block of HPACK with a method, a path and this host, without any table.
fn head(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x01, 9]);
    block.extend(b"localhost");
    block
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// A way to abuse the protocol: what is said in round `n`.
struct Abuse {
    name: &'static str,
    round: fn(u32) -> Vec<u8>,
}

/// The stream of a request.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

const ABUSES: &[Abuse] = &[
    Abuse {
        name: "rapid reset",
        round: |n| {
            let one = |n| {
                let asked = frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &head(GET, "/healthz"));
                [asked, frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes())].concat()
            };
            (100 * n..100 * n + 100).flat_map(one).collect()
        },
    },
    Abuse {
        name: "CONTINUATION flood",
        round: |n| {
            let more = frame(CONTINUATION, 0, 1, &[]).repeat(100);
            if n == 0 { [frame(HEADERS, 0, 1, &head(GET, "/healthz")), more].concat() } else { more }
        },
    },
    Abuse {
        name: "CONTINUATION flood with something in it",
        round: |n| {
            let more = frame(CONTINUATION, 0, 1, &[0x82; 1000]).repeat(100);
            if n == 0 { [frame(HEADERS, 0, 1, &head(GET, "/healthz")), more].concat() } else { more }
        },
    },
    Abuse { name: "ping flood", round: |_| frame(PING, 0, 0, &[7; 8]).repeat(200) },
    Abuse { name: "settings flood", round: |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(200) },
    Abuse {
        name: "many settings in one frame",
        round: |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255].repeat(2000)).repeat(4),
    },
    Abuse { name: "priority flood", round: |n| frame(PRIORITY, 0, stream(n), &[0, 0, 0, 0, 1]).repeat(200) },
    Abuse { name: "frames that nobody knows", round: |_| frame(0xee, 0, 0, &[0; 100]).repeat(200) },
    Abuse {
        name: "HPACK bomb",
        round: |n| {
            // a value of 3 KiB is kept in the table, and then named by a byte each
            let mut block = head(GET, "/healthz");
            if n == 0 {
                block.extend([0x40, 1, b'a', 0x7f, 0x81, 0x17]);
                block.extend([b'x'; 3072]);
            }
            block.extend([0xbe; 10_000]);
            frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &block)
        },
    },
    Abuse {
        name: "empty data",
        round: |n| {
            let more = frame(DATA, 0, 1, &[]).repeat(200);
            let block = [&head(POST, "/netglance.v1.Agent/Describe")[..], b"\x0f\x10\x10application/grpc"].concat();
            if n == 0 { [frame(HEADERS, END_HEADERS, 1, &block), more].concat() } else { more }
        },
    },
    Abuse {
        name: "windows that make this end reset",
        round: |n| {
            let one = |n| {
                let asked = frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &head(GET, "/api/v1/schema"));
                [asked, frame(WINDOW_UPDATE, 0, stream(n), &[0; 4])].concat()
            };
            (100 * n..100 * n + 100).flat_map(one).collect()
        },
    },
    Abuse { name: "tiny windows", round: |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(200) },
    Abuse { name: "a window too wide", round: |_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]).repeat(2) },
    Abuse {
        name: "requests beyond all measure",
        round: |n| {
            // bodies that never end keep every stream open
            let one = |n| frame(HEADERS, END_HEADERS, stream(n), &head(POST, "/netglance.v1.Agent/Describe"));
            (100 * n..100 * n + 100).flat_map(one).collect()
        },
    },
];

/// Abuses an agent until it has had enough: the code that it gave, and after how long.
fn abused(agent: &Agent, abuse: &Abuse) -> (Option<u32>, Duration) {
    let begin = Instant::now();
    let mut writer = agent.connect();
    let mut reader = writer.try_clone().unwrap();
    writer.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
    std::thread::scope(|scope| {
        let told = scope.spawn(move || goaway(&mut reader));
        for round in 0.. {
            if writer.write_all(&(abuse.round)(round)).is_err() {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{}: nobody minds", abuse.name);
        }
        let _ = writer.shutdown(Shutdown::Write);
        (told.join().unwrap(), begin.elapsed())
    })
}

/// Reads to the end; the code of the frame that ended it.
fn goaway(stream: &mut TcpStream) -> Option<u32> {
    let mut code = None;
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let [a, b, c, kind, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        if stream.read_exact(&mut payload).is_err() {
            break;
        }
        if kind == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
    }
    code
}

#[test]
fn whoever_abuses_the_protocol_is_told_to_go_and_others_are_served() {
    let (seconds, crowd) = std::env::var("ABUSE").map_or((1, 3), |text| (text.parse().unwrap(), 10));
    let agent = Agent::start("127.0.0.1:0", "");
    let start = Instant::now();
    while agent.ask("GET /api/v1/tables/load", &[]).0 != 200 {
        assert!(start.elapsed() < PATIENCE);
    }
    let front = agent.part("netglance-front");
    for abuse in ABUSES {
        let (before, begin, stop) = (usage(front).unwrap(), Instant::now(), AtomicBool::new(false));
        let (agent, stop) = (&agent, &stop);
        let (mut taken, times) = std::thread::scope(|scope| {
            let done = Done(stop);
            let asking = scope.spawn(move || {
                let mut taken = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    taken.push(timed(&[front], || assert_eq!(agent.ask("GET /api/v1/tables/load", &[]).0, 200)));
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                taken
            });
            let attack = || {
                let mut times = Vec::new();
                while begin.elapsed() < Duration::from_secs(seconds) {
                    let (code, time) = abused(agent, abuse);
                    assert!(code.is_some_and(|code| code != 0), "{}: {code:?} after {time:?}", abuse.name);
                    times.push(time);
                }
                times
            };
            let crowd: Vec<_> = (0..crowd).map(|_| scope.spawn(attack)).collect();
            let times: Vec<Duration> = crowd.into_iter().flat_map(|attack| attack.join().unwrap()).collect();
            drop(done);
            (asking.join().unwrap(), times)
        });
        let (after, elapsed) = (usage(front).unwrap(), begin.elapsed().as_secs_f64());
        taken.sort();
        let (p99, slowest) = (taken[(taken.len() - 1) * 99 / 100], times.iter().max().unwrap());
        let cores = (after.cpu - before.cpu) / elapsed;
        eprintln!(
            "{}: {} connections told to go, after {slowest:?} at most; {} requests, p99 {p99:?}; {cores:.2} cores; {} KiB more",
            abuse.name,
            times.len(),
            taken.len(),
            (after.rss as i64 - before.rss as i64) >> 10,
        );
        let slow = cfg!(debug_assertions);
        assert!(*slowest <= Duration::from_secs(5), "{}: {slowest:?}", abuse.name);
        assert!(p99 <= Duration::from_millis(if slow { 1000 } else { 250 }), "{}: {p99:?}", abuse.name);
        assert!(cores < 1.1, "{}: {cores}", abuse.name);
        assert!(after.rss <= before.rss + (32 << 20), "{}: {} {}", abuse.name, before.rss, after.rss);
    }
    assert_eq!(agent.part("netglance-front"), front, "no process was started anew");
}

#[test]
fn whoever_asks_and_opens_no_window_is_let_go() {
    let agent = Agent::start("127.0.0.1:0", "");
    let mut stalls = agent.connect();
    // streams have no window at all, but pings are answered by nobody
    let closed = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let asked =
        (0..100).flat_map(|n| frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &head(GET, "/api/v1/schema")));
    stalls.write_all(&[PREFACE.to_vec(), closed, asked.collect()].concat()).unwrap();
    let front = agent.part("netglance-front");
    let (begin, starved) = (Instant::now(), waited(&[front]));
    let mut answers = 0;
    let mut head = [0; 9];
    stalls.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    while stalls.read_exact(&mut head).is_ok() {
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stalls.read_exact(&mut payload).unwrap();
        assert!(kind != DATA || payload.is_empty());
        answers += u32::from(kind == HEADERS);
        if kind == PING && flags == 0 {
            stalls.write_all(&frame(PING, 1, 0, &payload)).unwrap();
        }
    }
    let taken = begin.elapsed().saturating_sub(waited(&[front]).saturating_sub(starved));
    assert!(answers == 100 && (25..45).contains(&taken.as_secs()), "{answers} {taken:?}");
    assert_eq!(agent.ask("GET /healthz", &[]).0, 200);
}
