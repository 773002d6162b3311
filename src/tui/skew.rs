//! What does the dashboard make of an agent of another version?
//!
//! Streams of an older and of a newer agent lie under `tests/fixtures/wire`, as they were recorded once: a description of
//! tables, then frames, each with its length before it. `NETGLANCE_BLESS=1 cargo test --lib tui::skew` records them again.
//! The older agent lacks the table `pressure`, all of `memory` that says how full it is, and what unit a process belongs to.
//! The newer one has a table `warp_core` and a column `process.shield`, with kinds, units and types that nobody knows yet,
//! and the seconds since boot of `load` mean something else there.

use std::path::PathBuf;
use std::sync::Arc;

use prost::Message as _;

use super::app::{App, Config, Page};
use super::frames::{NOW, frame, recorded};
use super::theme::{Ability, Depth};
use crate::model::{
    Action, ActionError, Cell, Connection, Demand, Done, HistoryAsk, Host, Rows, Sample, Series, Snapshot, Status,
    Table, TableState, Text,
};
use crate::panel::VIEWS;
use crate::wire::frame::Frames;
use crate::wire::mirror::Mirror;
use crate::wire::proto;
use crate::wire::schema::{self, Schema};

/// Tables of the recorded streams.
const NAMES: [&str; 10] =
    ["host", "cpu", "load", "memory", "pressure", "disk", "mount", "link", "process", "collector"];

/// What this version says of itself, with short help.
fn today() -> proto::Schema {
    let tables: Vec<&Table> = NAMES.iter().filter_map(|name| recorded().get(name).map(|state| state.table)).collect();
    let mut schema = schema::describe(&tables);
    for table in &mut schema.tables {
        table.help.truncate(table.help.floor_char_boundary(30));
        for column in &mut table.columns {
            column.help.truncate(column.help.floor_char_boundary(20));
        }
    }
    schema
}

fn columns<'a>(schema: &'a mut proto::Schema, table: &str) -> &'a mut Vec<proto::Column> {
    &mut schema.tables.iter_mut().find(|one| one.name == table).unwrap().columns
}

fn older() -> proto::Schema {
    let mut schema = today();
    schema.tables.retain(|table| table.name != "pressure");
    columns(&mut schema, "memory").retain(|column| !["available", "used"].contains(&&*column.name));
    columns(&mut schema, "process").retain(|column| column.name != "unit");
    schema
}

fn newer() -> proto::Schema {
    let strange = |name: &str, kind: &str, unit: &str, ty: &str| proto::Column {
        name: name.into(),
        kind: kind.into(),
        unit: unit.into(),
        r#type: ty.into(),
        help: "Of tomorrow.".into(),
        optional: true,
        ..Default::default()
    };
    let mut schema = today();
    columns(&mut schema, "process").insert(2, strange("shield", "gauge", "furlongs", "u64"));
    columns(&mut schema, "load").push(strange("spin", "spectrum", "none", "quaternion"));
    schema.tables.insert(
        0,
        proto::Table {
            name: "warp_core".into(),
            help: "One warp core.".into(),
            shape: "torus".into(),
            columns: vec![
                proto::Column { optional: false, ..strange("number", "id", "none", "u64") },
                strange("plasma", "gauge", "furlongs", "f64"),
                strange("mood", "spectrum", "none", "text"),
                strange("spin", "gauge", "none", "quaternion"),
            ],
            ..Default::default()
        },
    );
    schema
}

/// Rows of this version as another one has them.
struct Theirs {
    table: &'static Table,
    rows: Arc<dyn Rows>,
}

impl Rows for Theirs {
    fn table(&self) -> &Table {
        self.table
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let name = &self.table.columns[column].name;
        match self.rows.table().position(name) {
            Some(own) => self.rows.cell(row, own),
            None if name == "shield" => Cell::U64(row as u64 * 100),
            None => Cell::Missing,
        }
    }
}

/// Two samples of an agent of that schema, as it would send them.
fn record(theirs: &proto::Schema) -> Vec<u8> {
    let layouts = schema::layouts(theirs, &[]).unwrap();
    let schema = Schema { hash: Vec::new(), tables: &[], layouts };
    let (mut before, mut now) = (Snapshot::default(), Snapshot::default());
    for layout in &schema.layouts {
        let table = layout.table;
        let Some(state) = recorded().get(&table.name).cloned() else { continue };
        let sample = |sample: &Sample| Sample {
            rows: Arc::new(Theirs { table, rows: Arc::clone(&sample.rows) }),
            ..sample.clone()
        };
        let (first, second) = (state.before.as_ref().map(sample), state.now.as_ref().map(sample));
        let name: &'static str = table.name.clone().into_owned().leak();
        let status = state.status.clone();
        before.tables.insert(name, TableState { table, now: first.clone(), before: None, status: status.clone() });
        now.tables.insert(name, TableState { table, now: second, before: first, status });
    }
    let mut frames = Frames::all(&schema);
    let mut told = [frames.next(&before), frames.next(&now)];
    if let Some(at) = schema.position("warp_core") {
        told[1].tables.push(warp_core(at as u32));
        // numbers of a type that is not known are no words
        let load = schema.position("load").unwrap();
        let spin = schema.layouts[load].table.position("spin").unwrap() as u32;
        let load = told[1].tables.iter_mut().find(|table| table.table == load as u32).unwrap();
        let strange = proto::ColumnChange { column: spin, integers: vec![7], ..Default::default() };
        load.changes[0].columns.push(strange);
    }
    let mut bytes = theirs.encode_length_delimited_to_vec();
    for frame in &told {
        frame.encode_length_delimited(&mut bytes).unwrap();
    }
    bytes
}

fn warp_core(table: u32) -> proto::TableFrame {
    let words = |column, words: [&str; 2]| proto::ColumnChange {
        column,
        words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        picks: vec![0, 1],
        ..Default::default()
    };
    let columns = vec![
        proto::ColumnChange { column: 0, integers: vec![1, 1], ..Default::default() },
        proto::ColumnChange { column: 1, doubles: vec![0.5, 1e6], ..Default::default() },
        words(2, ["calm", "wild\u{1b}[31m"]),
        proto::ColumnChange { column: 3, doubles: vec![0.5, 1.0], ..Default::default() },
    ];
    let change =
        proto::Change { full: true, time: NOW.0, mono: 1_000_000_000, added: 2, columns, ..Default::default() };
    let status = proto::Status { state: "ok".into(), ..Default::default() };
    proto::TableFrame { table, sequence: 1, status: Some(status), changes: vec![change], empty: false }
}

/// A host behind an agent whose stream was recorded.
struct Played {
    schema: Arc<Schema>,
    snapshot: Arc<Snapshot>,
}

impl Played {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire").join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
        let mut left = &*bytes;
        let schema = schema::adopt(&proto::Schema::decode_length_delimited(&mut left).unwrap()).unwrap();
        let mut mirror = Mirror::new(Arc::clone(&schema));
        while !left.is_empty() {
            mirror.apply(&proto::Frame::decode_length_delimited(&mut left).unwrap()).unwrap();
        }
        Self { schema, snapshot: mirror.snapshot() }
    }
}

impl Host for Played {
    fn schema(&self) -> &'static [&'static Table] {
        self.schema.tables
    }
    fn demand(&self, _: u64, _: Vec<Demand>) {}
    fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }
    fn history(&self, _: &HistoryAsk) -> Option<Series> {
        None
    }
    fn act(&self, _: &Action) -> Result<Done, ActionError> {
        Err(ActionError::Off)
    }
    fn connection(&self) -> Connection {
        let text = |words: &str| Text::from(words);
        Connection::Live { to: text("hv01:61208"), host: text("hv01"), version: text("9.9.9") }
    }
    fn lacks(&self, table: &str, column: usize) -> bool {
        self.schema.lacks(table, column)
    }
}

fn dashboard(name: &str) -> App {
    let ability = Ability { depth: Depth::True, ascii: false };
    let mut app = App::new(Arc::new(Played::new(name)), Config::default(), ability).unwrap();
    app.clock = || NOW;
    app.samples();
    app
}

fn compare(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../tests/fixtures/wire");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn view(name: &str) -> Page {
    Page::View(VIEWS.iter().position(|view| view.name == name).unwrap())
}

fn shown(app: &mut App, page: Page, size: (u16, u16)) -> String {
    app.go(page);
    frame(app, size)
}

#[test]
fn streams_of_other_versions_are_recorded_when_asked_for() {
    if std::env::var_os("NETGLANCE_BLESS").is_some() {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("older.bin"), record(&older())).unwrap();
        std::fs::write(dir.join("newer.bin"), record(&newer())).unwrap();
    }
    // what is recorded today can be read, whatever lies there
    for schema in [older(), newer()] {
        let bytes = record(&schema);
        let mut left = &*bytes;
        let adopted = schema::adopt(&proto::Schema::decode_length_delimited(&mut left).unwrap()).unwrap();
        let mut mirror = Mirror::new(adopted);
        while !left.is_empty() {
            mirror.apply(&proto::Frame::decode_length_delimited(&mut left).unwrap()).unwrap();
        }
        let known = mirror.snapshot();
        assert_eq!(known.get("process").unwrap().status, Status::ok());
        assert!(known.get("process").unwrap().before.is_some());
    }
}

#[test]
fn an_older_agent_shows_what_it_has_and_what_it_lacks_is_said() {
    let mut app = dashboard("older.bin");
    let overview = shown(&mut app, view("overview"), (120, 40));
    assert!(overview.contains("via hv01:61208 9.9.9"), "{overview}");
    compare("older-overview-120x40", &overview);
    let memory = shown(&mut app, view("overview"), (200, 60));
    assert!(memory.contains("the agent has no memory.used"), "{memory}");
    assert!(memory.contains("the agent has no table `pressure`"), "{memory}");
    compare("older-overview-200x60", &memory);
    let processes = shown(&mut app, view("processes"), (200, 40));
    let head = processes.lines().find(|line| line.contains("CPU%")).unwrap();
    assert!(!head.contains("unit") && head.contains("command"), "{processes}");
}

#[test]
fn a_newer_agent_shows_what_nobody_knows_yet_in_the_explorer() {
    let mut app = dashboard("newer.bin");
    let explore = shown(&mut app, Page::Explore, (120, 40));
    assert!(explore.contains("warp_core") && explore.contains("       2  ok"), "{explore}");
    let table = shown(&mut app, Page::Table("warp_core"), (120, 20));
    for words in ["number", "plasma", "calm", "wild\\x1b[31m"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    compare("newer-table-120x20", &table);
    let overview = shown(&mut app, view("overview"), (120, 40));
    assert!(!overview.contains("the agent has no column"), "{overview}");
    compare("newer-overview-120x40", &overview);
    let process = app.table("process").unwrap();
    assert_eq!(process.position("pid"), crate::collect::process::ProcessRow::TABLE.position("pid"));
    let shield = process.position("shield").unwrap();
    let known = app.host.latest();
    let rows = &known.get("process").unwrap().now.as_ref().unwrap().rows;
    assert_eq!(rows.cell(1, shield), Cell::U64(100));
}

#[test]
fn clients_of_other_versions_understand_this_agent() {
    let stream = record(&today());
    for theirs in [older(), newer()] {
        let own: Vec<&'static Table> =
            schema::layouts(&theirs, &[]).unwrap().iter().map(|layout| layout.table).collect();
        let mut left = &*stream;
        let told = proto::Schema::decode_length_delimited(&mut left).unwrap();
        let layouts = schema::layouts(&told, &own).unwrap();
        let mut mirror = Mirror::new(Arc::new(Schema { hash: Vec::new(), tables: &[], layouts }));
        while !left.is_empty() {
            mirror.apply(&proto::Frame::decode_length_delimited(&mut left).unwrap()).unwrap();
        }
        let (here, there) = (recorded_rows("process"), mirror.snapshot());
        let there = &there.get("process").unwrap().now.as_ref().unwrap().rows;
        assert_eq!(there.len(), here.len());
        for column in ["pid", "command", "rss", "cpu_time", "unit"] {
            let at = there.table().position(column).unwrap();
            let own = here.table().position(column).unwrap();
            assert!((0..here.len()).all(|row| there.cell(row, at) == here.cell(row, own)), "{column}");
        }
        if let Some(shield) = there.table().position("shield") {
            assert_eq!(there.cell(0, shield), Cell::Missing, "what the agent does not have is missing");
        }
    }
}

fn recorded_rows(table: &str) -> &'static Arc<dyn Rows> {
    &recorded().get(table).unwrap().now.as_ref().unwrap().rows
}
