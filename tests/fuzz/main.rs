//! Does what strangers write harm a reader?
//!
//! Every target reads the kept corpus under `tests/fixtures/fuzz`, whole and damaged in every way that there is a mutation
//! for. A case that fails is shrunk and printed; what it was becomes a file of the corpus. With NETGLANCE_SOAK=N it goes on
//! for N times as many cases. How many there were, and how long they took, is printed (`--nocapture`).

#![cfg(test)]

use std::borrow::Cow;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netglance::alert::Moment;
use netglance::collect::{Batch, COLLECTORS, Cx, Wants};
use netglance::model::{
    Action, Detail, HistoryAsk, Key, Mono, Owners, Point, Sample, Series, Snapshot, Status, TableState, Timestamp,
    Type, Value,
};
use netglance::source::file::Roots;
use netglance::wire::frame::Frames;
use netglance::wire::mirror::Mirror;
use netglance::wire::{convert, proto, schema};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use prost::Message as _;

mod targets;

/// Cases of a target in an ordinary run.
const CASES: u32 = 3000;

/// Memory that a reader may take: so much, and for each byte that it reads. A decoded number takes eight times its byte, and
/// a table of forty columns is forty times as wide as the column that names its rows.
const ROOM: (usize, usize) = (8 << 20, 2000);

/// One target at a time: memory is that of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// A line of what the kernel says of this process's memory, in bytes.
///
/// Source: `VmRSS` and `VmHWM` of `/proc/self/status`.
fn memory(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// What is done to an input.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Cut(Index),
    Splice(Index, usize, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        4 => (at(), 0..8u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        // varints at the edges of what fits
        2 => (at(), prop_oneof![
            vec(any::<u8>(), 1..12),
            Just(vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
            Just(vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            Just(vec![0x80, 0x80, 0x40]),
        ]).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (at(), 1..64usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (at(), 1..64usize, 1..50usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        1 => at().prop_map(Edit::Cut),
        1 => (at(), 1..400usize, at()).prop_map(|(from, length, to)| Edit::Splice(from, length, to)),
    ]
}

fn edited(mut input: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let place = |at: &Index| at.index(input.len() + 1);
        let part = |at: &Index, length: usize| place(at)..(place(at) + length).min(input.len());
        match edit {
            Edit::Set(at, byte) if place(at) < input.len() => {
                let place = place(at);
                input[place] = *byte;
            }
            Edit::Flip(at, bit) if place(at) < input.len() => {
                let place = place(at);
                input[place] ^= 1 << bit;
            }
            Edit::Set(..) | Edit::Flip(..) => {}
            Edit::Insert(at, bytes) => drop(input.splice(place(at)..place(at), bytes.iter().copied()).count()),
            Edit::Remove(at, length) => drop(input.drain(part(at, *length))),
            Edit::Repeat(at, length, times) => {
                let (place, again) = (place(at), input[part(at, *length)].repeat(*times));
                input.splice(place..place, again);
            }
            Edit::Cut(at) => input.truncate(place(at)),
            Edit::Splice(from, length, to) => {
                let (place, again) = (place(to), input[part(from, *length)].to_vec());
                input.splice(place..place, again);
            }
        }
        input.truncate(1 << 16);
    }
    input
}

/// Reads an input, and fails if it took more memory than it may.
fn read(name: &str, input: &[u8]) {
    let (_, target) = targets::TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    // the high-water mark begins anew
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    target(input);
    let most = memory("VmHWM").saturating_sub(before);
    let room = ROOM.0 + input.len() * ROOM.1;
    assert!(most <= room, "{most} bytes of memory for {} bytes", input.len());
}

/// What is sampled of a recorded host.
fn recorded(tree: &str, moment: Moment) -> Snapshot {
    let (wants, owners) = (Wants::default(), Owners::default());
    let roots = Roots::recorded(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trees").join(tree));
    let Moment { time, mono } = moment;
    let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time, mono };
    let mut snapshot = Snapshot::default();
    for entry in COLLECTORS {
        let mut batch = Batch::default();
        let _ = (entry.make)().collect(&cx, &mut batch);
        for (table, rows) in batch.into_tables() {
            let Ok(rows) = rows else { continue };
            let Cow::Borrowed(name) = table.name else { continue };
            let state =
                TableState { table, now: Some(Sample { rows, time, mono }), before: None, status: Status::ok() };
            snapshot.tables.insert(name, state);
        }
    }
    assert!(snapshot.tables.len() > 10);
    snapshot
}

/// What an agent tells of one recorded host and then of another.
fn told() -> Vec<u8> {
    let mut frames = Frames::all(schema::own());
    let mut bytes = Vec::new();
    for (second, tree) in [(1, "made-5.10-hypervisor"), (2, "live-6.18"), (3, "live-6.18")] {
        let moment = Moment { time: Timestamp(second * 1_000_000_000), mono: Mono(second as u64 * 1_000_000_000) };
        frames.next(&recorded(tree, moment)).encode_length_delimited(&mut bytes).unwrap();
    }
    bytes
}

/// What clients and agents say beside the stream.
fn said() -> Vec<Vec<u8>> {
    let text = |text: &str| Some(proto::value::Kind::Text(text.into()));
    let demand = proto::Demand {
        table: "process_file".into(),
        columns: vec!["path".into()],
        ids: vec![proto::Value { kind: text("1") }, convert::from_value(&Value::U64(7))],
        ..proto::Demand::default()
    };
    let ask =
        HistoryAsk { detail: Detail::Step(Duration::from_secs(10)), ..HistoryAsk::all("load", "one", Key::default()) };
    let points = (0..20).map(|n| Point::sample(Mono(n * 1000), Mono(n * 1000 + 1000), n as f64)).collect();
    let series = Series { points, oldest: Some(Mono(1)), fine: Some(Mono(1000)), cut: None, evicted: 3 };
    vec![
        proto::WatchRequest { demands: vec![demand], ..proto::WatchRequest::default() }.encode_to_vec(),
        convert::from_ask(&ask).encode_to_vec(),
        convert::from_series(Some(&series)).encode_to_vec(),
        convert::from_action(&Action::Signal { pid: 4_194_304, start: u64::MAX, signal: 15 }).encode_to_vec(),
        convert::from_action(&Action::Renice { pid: 1, start: 0, nice: -20 }).encode_to_vec(),
    ]
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz").join(name);
    let files = std::fs::read_dir(&dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut kept: Vec<_> = files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    match name {
        "stream" => kept.push(("an agent".into(), told())),
        "kept" => kept.push(("a watcher".into(), targets::written())),
        "slots" => kept.extend([&b"{}"[..], &targets::written()].map(|bytes| ("a slot".into(), targets::slot(bytes)))),
        "message" => kept.extend(said().into_iter().map(|bytes| ("a message".into(), bytes))),
        _ => {}
    }
    kept.sort();
    assert!(!kept.is_empty(), "{}", dir.display());
    kept
}

fn holds(name: &str) {
    let _alone = netglance::model::lock(&ALONE);
    let kept = corpus(name);
    // what a process learns once is nobody's input
    for (_, target) in targets::TARGETS {
        target(&[]);
    }
    for (path, input) in &kept {
        println!("{}", path.display());
        read(name, input);
    }
    let begin = Instant::now();
    let cases = Cell::new(0_u32);
    let times = std::env::var("NETGLANCE_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let config = Config { cases: CASES * times, failure_persistence: None, ..Config::default() };
    let inputs = (any::<Index>(), vec(edit(), 1..6));
    let outcome = TestRunner::new(config).run(&inputs, |(seed, edits)| {
        cases.set(cases.get() + 1);
        read(name, &edited(seed.get(&kept).1.clone(), &edits));
        Ok(())
    });
    println!("{name}: {} kept and {} damaged inputs in {:.0?}", kept.len(), cases.get(), begin.elapsed());
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn a_few_bytes_take_little_memory() {
    let _alone = netglance::model::lock(&ALONE);
    let (table, layout) =
        schema::own().layouts.iter().enumerate().max_by_key(|(_, layout)| layout.types.len()).unwrap();
    let one = |(column, ty): (usize, &Type)| {
        let change = proto::ColumnChange { column: column as u32, rows: vec![1], ..proto::ColumnChange::default() };
        let word = |word: &[u8]| (vec![word.to_vec()], vec![0]);
        let (words, picks) = match ty {
            Type::Text | Type::Label => word(b"a"),
            Type::Ip => word(&[0; 4]),
            Type::Mac => word(&[0; 6]),
            Type::F64 | Type::Duration => return proto::ColumnChange { doubles: vec![1.5], ..change },
            _ => return proto::ColumnChange { integers: vec![1], ..change },
        };
        proto::ColumnChange { words, picks, ..change }
    };
    let columns: Vec<_> = layout.types.iter().enumerate().map(one).collect();
    let change = |added| proto::Change { full: true, added, columns: columns.clone(), ..proto::Change::default() };
    let frame = |added| {
        let table =
            proto::TableFrame { table: table as u32, changes: vec![change(added)], ..proto::TableFrame::default() };
        proto::Frame { tables: vec![table] }.encode_to_vec()
    };
    // one value names one row, and a table of one row may have none
    for added in [2, 3, 1 << 18, 1 << 20, u32::MAX] {
        let bytes = frame(added);
        let mut mirror = Mirror::new(Arc::clone(schema::own()));
        assert_eq!(mirror.apply(&proto::Frame::decode(&*bytes).unwrap()).is_ok(), added == 2, "{added} rows");
    }
    // messages within messages, two bytes each
    for (field, inside) in [(0x0a, &[][..]), (0x0a, &[0x22, 0]), (0x0a, &[0x22, 2, 0x32, 0])] {
        let part = [&[field, inside.len() as u8][..], inside].concat();
        let bytes = part.repeat((1 << 21) / part.len());
        let mut framed = Vec::new();
        prost::encode_length_delimiter(bytes.len(), &mut framed).unwrap();
        framed.extend(bytes);
        let before = memory("VmRSS");
        read("stream", &framed);
        assert!(memory("VmHWM") < before + (32 << 20), "{} bytes", framed.len());
    }
}

#[test]
fn streams_of_this_version() {
    holds("stream");
}

#[test]
fn streams_of_other_versions() {
    holds("schema");
}

#[test]
fn messages_beside_the_stream() {
    holds("message");
}

#[test]
fn requests_over_http() {
    holds("request");
}

#[test]
fn expressions() {
    holds("expression");
}

#[test]
fn messages_of_netfilter() {
    holds("netfilter");
}

#[test]
fn messages_of_links_and_routes() {
    holds("rtnetlink");
}

#[test]
fn changes_of_the_packet_filter() {
    holds("nftables");
}

#[test]
fn tables_of_iptables() {
    holds("xtables");
}

#[test]
fn answers_of_routing_daemons() {
    holds("routing");
}

#[test]
fn messages_of_routers_and_what_they_told() {
    holds("snmp");
}

#[test]
fn answers_of_open_vswitch() {
    holds("ovs");
}

#[test]
fn rules_of_alerts() {
    holds("alerts");
}

#[test]
fn slots_of_what_is_known_of_alerts() {
    holds("slots");
}

#[test]
fn what_is_known_of_alerts() {
    holds("kept");
}

#[test]
fn answers_at_terminals_of_routing_daemons() {
    holds("vty");
}
