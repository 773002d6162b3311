//! Does what arrives equal what was sent, whatever changed on the way?

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;

use super::decode::Remote;
use super::encode::Encoder;
use super::frame::{Frames, Selection};
use super::schema::{self, Layout};
use super::{convert, mirror::Mirror, proto};
use crate::model::testing::Made;
use crate::model::{
    Action, Cell, Demand, Departed, Kind, Mono, Rows, Sample, Snapshot, Status, Table, TableState, Text, Timestamp,
    Top, Tracked, Type, Value,
};
use crate::store::made::{self, SampleRow};
use crate::store::query::{Order, Query};
use crate::store::rate::{Mode, View};

fn layout(table: &'static Table) -> Arc<Layout> {
    let description = schema::describe(&[table]);
    schema::layouts(&description, &[table]).unwrap().remove(0)
}

fn sample(rows: Arc<dyn Rows>, second: u64) -> Sample {
    Sample { rows, time: Timestamp(second as i64 * 1_000_000_000), mono: Mono(second * 1_000_000_000) }
}

/// Rows as a set: their order is the business of readers.
fn sorted(rows: &dyn Rows) -> Vec<Vec<Value>> {
    let columns = rows.table().columns.iter().enumerate().filter(|(_, column)| column.kind != Kind::Derived);
    let columns: Vec<usize> = columns.map(|(position, _)| position).collect();
    let row = |row: usize| columns.iter().map(|column| rows.cell(row, *column).to_value()).collect::<Vec<_>>();
    let mut all: Vec<Vec<Value>> = (0..rows.len()).map(row).collect();
    all.sort_by_key(|row| format!("{row:?}"));
    all
}

/// Any value that a cell of a column may have.
fn value(ty: Type, optional: bool) -> BoxedStrategy<Value> {
    let any_value = match ty {
        Type::U64 => prop_oneof![0..5u64, any::<u64>()].prop_map(Value::U64).boxed(),
        Type::I64 => any::<i64>().prop_map(Value::I64).boxed(),
        Type::F64 => prop_oneof![
            (0..100_000i64).prop_map(|hundredths| hundredths as f64 / 100.0),
            any::<f64>().prop_filter("equal to itself", |v| !v.is_nan())
        ]
        .prop_map(Value::F64)
        .boxed(),
        Type::Duration => (0..u64::MAX).prop_map(|ns| Value::Duration(ns as f64 / 1e9)).boxed(),
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Text => "\\PC{0,12}".prop_map(|text| Value::Text(Text::from(text))).boxed(),
        Type::Label => "(running|gone|new)".prop_map(|text| Value::Label(Text::from(text))).boxed(),
        Type::Ip => any::<std::net::IpAddr>().prop_map(Value::Ip).boxed(),
        Type::Mac => any::<[u8; 6]>().prop_map(|mac| Value::Mac(crate::model::Mac(mac))).boxed(),
        Type::Timestamp => any::<i64>().prop_map(|ns| Value::Timestamp(Timestamp(ns))).boxed(),
    };
    if optional { prop_oneof![1 => Just(Value::Missing), 3 => any_value].boxed() } else { any_value }
}

/// Rows of the made table with few Ids, so that some stay from sample to sample and some are there twice.
fn rows() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let table = SampleRow::TABLE;
    let row: Vec<BoxedStrategy<Value>> = table
        .columns
        .iter()
        .filter(|column| column.kind != Kind::Derived)
        .map(|column| match column.kind {
            Kind::Id => (0..12u64).prop_map(Value::U64).boxed(),
            _ => value(column.ty, true),
        })
        .collect();
    prop::collection::vec(row, 0..16)
}

proptest! {
    #[test]
    fn what_arrives_is_what_was_sent(samples in prop::collection::vec(rows(), 1..6)) {
        let table = SampleRow::TABLE;
        let (mut encoder, mut there) = (Encoder::new(table), Remote::new(layout(table)));
        for (second, cells) in samples.into_iter().enumerate() {
            let sent: Arc<dyn Rows> = Arc::new(Made { table, cells });
            let bytes = encoder.change(&sample(Arc::clone(&sent), second as u64)).encode_to_vec();
            there = there.apply(&proto::Change::decode(&*bytes).unwrap()).unwrap();
            prop_assert_eq!(sorted(&there), sorted(&*sent));
        }
    }

    #[test]
    fn nothing_that_a_peer_sends_breaks_the_reader(changes in prop::collection::vec(hostile(), 1..4)) {
        let mut there = Remote::new(layout(SampleRow::TABLE));
        for change in changes {
            if let Ok(next) = there.apply(&change) {
                there = next;
            }
            for row in 0..there.len().min(40) {
                for column in 0..SampleRow::TABLE.columns.len() {
                    let _ = there.cell(row, column);
                }
            }
        }
    }

    #[test]
    fn bytes_of_a_stranger_are_an_error_at_worst(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut mirror = Mirror::new(Arc::clone(schema::own()));
        if let Ok(frame) = proto::Frame::decode(&*bytes) {
            let _ = mirror.apply(&frame);
        }
        if let Ok(schema) = proto::Schema::decode(&*bytes) {
            let _ = schema::layouts(&schema, &[]);
        }
    }
}

fn hostile() -> impl Strategy<Value = proto::Change> {
    let gaps = || prop::collection::vec(0..6u32, 0..8);
    let column = (0..14u32, gaps(), gaps(), prop::collection::vec(any::<i64>(), 0..8), 0..40u32, gaps()).prop_map(
        |(column, rows, missing, integers, decimals, picks)| proto::ColumnChange {
            column,
            rows,
            missing,
            integers,
            decimals,
            doubles: if decimals % 3 == 0 { vec![f64::NAN; picks.len()] } else { Vec::new() },
            words: vec![vec![0xff; 4], vec![b'a'; 6], Vec::new()],
            picks,
        },
    );
    let columns = prop::collection::vec(column, 0..6);
    (any::<bool>(), gaps(), prop_oneof![0..10u32, any::<u32>()], columns)
        .prop_map(|(full, removed, added, columns)| proto::Change { full, time: 0, mono: 0, removed, added, columns })
}

fn state(table: &'static Table, samples: &[Sample]) -> TableState {
    let mut newest = samples.iter().rev().cloned();
    TableState { table, now: newest.next(), before: newest.next(), status: Status::ok() }
}

fn snapshot(state: TableState) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.tables.insert("load", state);
    snapshot
}

/// The table of this process with a few numbers.
fn load(second: u64) -> Sample {
    let table = schema::own().tables[schema::own().position("load").unwrap()];
    let cells = vec![(0..table.columns.len()).map(|_| Value::F64(second as f64)).collect()];
    sample(Arc::new(Made { table, cells }), second)
}

#[test]
fn a_first_frame_has_what_rates_need_and_later_ones_only_what_is_new() {
    let schema = Arc::clone(schema::own());
    let table = load(0).rows.table().name.to_string();
    let position = schema.position(&table).unwrap();
    let (mut frames, mut mirror) = (Frames::all(&schema), Mirror::new(Arc::clone(&schema)));
    let of = |samples: &[Sample]| snapshot(state(schema.tables[position], samples));
    let first = frames.next(&of(&[load(1), load(2)]));
    mirror.apply(&first).unwrap();
    let known = mirror.snapshot();
    let seconds = |sample: &Option<Sample>| sample.as_ref().map(|sample| sample.mono.0 / 1_000_000_000);
    assert_eq!((seconds(&known.tables["load"].before), seconds(&known.tables["load"].now)), (Some(1), Some(2)));
    let again = frames.next(&of(&[load(1), load(2)]));
    assert!(again.tables.is_empty(), "nothing is told twice");
    let next = frames.next(&of(&[load(2), load(3)]));
    mirror.apply(&next).unwrap();
    let known = mirror.snapshot();
    assert_eq!((seconds(&known.tables["load"].before), seconds(&known.tables["load"].now)), (Some(2), Some(3)));
    assert!(next.encoded_len() < first.encoded_len());
    assert!(mirror.apply(&next).is_err(), "a change that was taken already is out of order");
    let gone = frames.next(&of(&[]));
    mirror.apply(&gone).unwrap();
    assert!(mirror.snapshot().tables["load"].now.is_none());
    mirror.apply(&frames.next(&of(&[load(9)]))).unwrap();
    assert_eq!(seconds(&mirror.snapshot().tables["load"].now), Some(9));
}

#[test]
fn numbers_of_very_different_size_stay_exact() {
    let table = made::CpuRow::TABLE;
    let values = [9_223_372_149.508_463, 1e-9, 0.1, -0.0, f64::MAX, 123_456.25];
    let rows = values.iter().enumerate().map(|(row, value)| made::cpu(&row.to_string(), *value, 0)).collect::<Vec<_>>();
    let change = Encoder::new(table).change(&sample(Arc::new(rows), 1));
    let there = Remote::new(layout(table)).apply(&change).unwrap();
    for (row, value) in values.iter().enumerate() {
        let Cell::F64(told) = there.cell(row, 1) else { panic!("no number") };
        assert_eq!(told.to_bits(), value.to_bits());
    }
}

#[test]
fn one_who_comes_later_has_what_the_others_have() {
    let table = SampleRow::TABLE;
    let rows = |pids: &[u64]| -> Arc<dyn Rows> {
        Arc::new(pids.iter().map(|pid| SampleRow { pid: *pid, ..made::row() }).collect::<Vec<_>>())
    };
    let (mut encoder, layout) = (Encoder::new(table), layout(table));
    let mut early = Remote::new(Arc::clone(&layout));
    let mut late = None;
    for (second, pids) in [&[1, 2, 3][..], &[9, 3, 1], &[3, 4, 9, 2], &[4]].into_iter().enumerate() {
        let change = encoder.change(&sample(rows(pids), second as u64));
        early = early.apply(&change).unwrap();
        late = late.map(|late: Remote| late.apply(&change).unwrap());
        if second == 1 {
            let whole = encoder.whole();
            assert_eq!(whole.len(), 2, "two samples, so that rates are known");
            late =
                Some(whole.iter().fold(Remote::new(Arc::clone(&layout)), |rows, change| rows.apply(change).unwrap()));
        }
        if let Some(late) = &late {
            let all = |rows: &Remote| (0..rows.len()).map(|row| rows.cell(row, 0).to_value()).collect::<Vec<_>>();
            assert_eq!(all(late), all(&early));
        }
    }
}

#[test]
fn a_row_that_comes_into_the_selection_has_a_rate_at_once() {
    let table = made::CpuRow::TABLE;
    let position = 0;
    let schema = schema::Schema { hash: Vec::new(), tables: &[], layouts: vec![layout(table)] };
    let query =
        Query { sort: vec![(table.position("ticks").unwrap(), Order::Descending)], limit: Some(1), filter: None };
    let selection = Selection { position, query: Some(query), columns: None };
    let schema = Arc::new(schema);
    let (mut frames, mut mirror) = (Frames::new(&schema, vec![selection]), Mirror::new(Arc::clone(&schema)));
    let at = |second: u64, a: u64, b: u64| -> Sample {
        sample(Arc::new(vec![made::cpu("a", 0.0, a), made::cpu("b", 0.0, b)]), second)
    };
    let samples = [at(1, 0, 0), at(2, 10, 1), at(3, 11, 100)];
    let mut names = Vec::new();
    for pair in samples.windows(2) {
        let mut now = Snapshot::default();
        now.tables.insert("made_cpu", state(table, pair));
        mirror.apply(&frames.next(&now)).unwrap();
        let known = mirror.snapshot();
        let state = &known.tables["made_cpu"];
        let view = View::new(state.now.as_ref().unwrap(), state.before.as_ref(), Mode::Rate);
        names.push((view.len(), view.cell(0, 0).to_value(), view.cell(0, table.position("ticks").unwrap()).to_value()));
    }
    let row = |name: &str, rate: f64| (1, Value::Text(Text::from(name)), Value::F64(rate));
    assert_eq!(names, [row("a", 10.0), row("b", 99.0)]);
}

#[test]
fn columns_of_another_version_find_their_place() {
    let mut theirs = schema::describe(&[SampleRow::TABLE]);
    let columns = &mut theirs.tables[0].columns;
    columns.retain(|column| column.name != "mac");
    columns.reverse();
    columns.push(proto::Column {
        name: "novel".into(),
        kind: "spectrum".into(),
        unit: "furlongs".into(),
        r#type: "quaternion".into(),
        help: "Something \u{1b}[31mnew.".into(),
        ..Default::default()
    });
    let layout = schema::layouts(&theirs, &[SampleRow::TABLE]).unwrap().remove(0);
    let table = layout.table;
    assert_eq!(table.columns.len(), SampleRow::TABLE.columns.len() + 1);
    assert_eq!(table.position("pid"), SampleRow::TABLE.position("pid"), "panels find what they name");
    let (_, novel) = table.column("novel").unwrap();
    assert_eq!((novel.kind, novel.unit.name(), novel.ty), (Kind::Text, "none", Type::Text));
    assert_eq!(novel.help, "Something \\x1b[31mnew.");

    // an agent of that version
    let peer = schema::layouts(&theirs, &[]).unwrap().remove(0);
    let value = |name: &str| match name {
        "pid" => Value::U64(7),
        "rx_bytes" => Value::U64(9),
        "novel" => Value::Text(Text::from("1i")),
        _ => Value::Missing,
    };
    let cells = vec![peer.table.columns.iter().map(|column| value(&column.name)).collect()];
    let sent = sample(Arc::new(Made { table: peer.table, cells }), 1);
    let there = Remote::new(layout).apply(&Encoder::new(peer.table).change(&sent)).unwrap();
    let cell = |name: &str| there.cell(0, table.position(name).unwrap());
    assert_eq!((cell("pid"), cell("rx_bytes"), cell("mac")), (Cell::U64(7), Cell::U64(9), Cell::Missing));
    assert_eq!(cell("novel"), Cell::Text("1i"));
}

#[test]
fn a_column_that_means_something_else_is_missing() {
    let mut theirs = schema::describe(&[SampleRow::TABLE]);
    let rss = theirs.tables[0].columns.iter_mut().find(|column| column.name == "rss").unwrap();
    rss.unit = "seconds".into();
    let layout = schema::layouts(&theirs, &[SampleRow::TABLE]).unwrap().remove(0);
    assert_eq!(layout.from[SampleRow::TABLE.position("rss").unwrap()], None);
}

#[test]
fn a_schema_of_a_stranger_is_bounded() {
    let good = schema::describe(&[SampleRow::TABLE]);
    let spoiled = |spoil: &dyn Fn(&mut proto::Schema)| {
        let mut schema = good.clone();
        spoil(&mut schema);
        schema::layouts(&schema, &[SampleRow::TABLE]).is_err()
    };
    assert!(spoiled(&|schema| schema.tables[0].name = "a b".into()));
    assert!(spoiled(&|schema| schema.tables[0].columns[1].name = "../x".into()));
    assert!(spoiled(&|schema| schema.tables[0].columns[1].name = "pid".into()));
    assert!(spoiled(&|schema| schema.tables.push(good.tables[0].clone())));
    assert!(spoiled(&|schema| schema.tables[0].help = "x".repeat(1 << 20)));
    assert!(spoiled(&|schema| schema.tables[0].columns = vec![good.tables[0].columns[0].clone(); 1 << 12]));
    assert!(!spoiled(&|_| {}));
}

#[test]
fn a_quiet_table_costs_a_few_bytes() {
    let table = SampleRow::TABLE;
    let rows = |busy: u64| -> Arc<dyn Rows> {
        let row = |pid: u64| SampleRow {
            pid,
            cpu_time: pid as f64 + if pid < 20 { busy as f64 / 100.0 } else { 0.0 },
            ..made::row()
        };
        Arc::new((0..2000).map(row).collect::<Vec<_>>())
    };
    let mut encoder = Encoder::new(table);
    encoder.change(&sample(rows(0), 0));
    let size = encoder.change(&sample(rows(7), 1)).encoded_len();
    assert!(size < 100, "{size} bytes for 20 cells that changed");
}

#[test]
fn this_processes_own_schema_needs_no_second_copy() {
    let own = schema::own();
    let adopted = schema::adopt(&schema::describe(own.tables)).unwrap();
    assert!(Arc::ptr_eq(own, &adopted));
}

#[test]
fn what_a_reader_keeps_comes_back_as_it_was_and_a_filter_that_is_too_long_stays_away() {
    let top =
        Top { sort: vec![("total(bytes)".to_owned(), true), ("id".to_owned(), false)], rows: 9, ..Top::default() };
    let only = vec![("mark".to_owned(), vec![Value::U64(5), Value::Missing])];
    let demand = Demand { only: only.clone(), top: Some(top.clone()), ..Demand::table("conntrack_flow") };
    let sent = |demand: &Demand| convert::demands(&[convert::from_demand(demand)]).unwrap().remove(0);
    assert_eq!(sent(&demand), demand);
    let filtered = Top { filter: Some("bytes > 7".to_owned()), ..top.clone() };
    assert_eq!(sent(&Demand { top: Some(filtered), ..demand.clone() }).top, Some(Top { rows: 0, ..top }));
    let long = ("zone".to_owned(), (0..1000).map(Value::U64).collect());
    assert_eq!(sent(&Demand { only: only.into_iter().chain([long]).collect(), ..demand.clone() }), demand);
    // what an agent of another version says and knows
    let bare = proto::Demand { table: "conntrack_flow".to_owned(), ..proto::Demand::default() };
    assert_eq!(convert::demands(&[bare]).unwrap(), [Demand::table("conntrack_flow")]);
}

#[test]
fn an_acknowledgement_comes_back_as_it_was_and_one_of_too_many_ids_is_none() {
    let gone = |ids| Departed { table: "bgp_peer".into(), ids, since: Timestamp(-1) };
    let ids = vec![Value::Missing, Value::Label("frr".into()), Value::Text("bgpd".into()), Value::U64(4)];
    let action = Action::Acknowledge { gone: gone(ids) };
    assert_eq!(convert::action(&convert::from_action(&action)), Some(action));
    let many = Action::Acknowledge { gone: gone(vec![Value::Missing; Departed::MOST + 1]) };
    assert_eq!(convert::action(&convert::from_action(&many)), None);
}

#[test]
fn an_action_on_connections_comes_back_as_it_was_and_what_makes_no_sense_is_none() {
    let flow = |source: &str, ports, icmp| Tracked {
        netns: "blue".into(),
        id: u32::MAX,
        protocol: 58,
        source: source.parse().unwrap(),
        destination: "198.51.100.7".parse().unwrap(),
        ports,
        icmp,
        zone: 65_535,
    };
    let flows = vec![flow("2001:db8::1", Some((1, 65_535)), None), flow("192.0.2.1", None, Some((8, 0, 65_535)))];
    let action = Action::Forget { flows };
    let sent = convert::from_action(&action);
    assert_eq!(convert::action(&sent), Some(action));
    let spoil = |how: &dyn Fn(&mut proto::Tracked)| {
        let mut spoiled = sent.clone();
        let Some(proto::act_request::Action::Forget(forget)) = &mut spoiled.action else { panic!("{spoiled:?}") };
        how(&mut forget.flows[0]);
        convert::action(&spoiled)
    };
    assert_eq!(spoil(&|flow| flow.source.truncate(5)), None);
    assert_eq!(spoil(&|flow| flow.protocol = 256), None);
    assert_eq!(spoil(&|flow| flow.destination_port = Some(65_536)), None);
    assert_eq!(spoil(&|flow| flow.icmp = vec![1, 2]), None);
    let many = Action::Forget { flows: vec![flow("192.0.2.1", None, None); Action::MOST + 1] };
    assert_eq!(convert::action(&convert::from_action(&many)), None);
}
