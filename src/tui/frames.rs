//! What does every view look like, cell by cell?
//!
//! The screen of a hypervisor is compared with files under `tests/fixtures/frames`. It has two samples: what the collectors
//! read from its recorded tree, and rows of the tables that a tree does not have, whose counters grow between the two. The
//! past, the clock and the size are fixed, so that a frame is the same everywhere; only the time of day depends on where
//! one is and is left out.

mod many;
mod router;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::app::{App, Config, Page};
use super::theme::{Ability, Depth};
use super::{screen, testing};
use crate::collect::run::CollectorRow;
use crate::collect::{Batch, COLLECTORS, Cx, Wants, schedule};
use crate::model::testing::Made;
use crate::model::{
    Action, ActionError, Demand, Done, HistoryAsk, Host, Mono, Owners, Point, Rows, Sample, Series, Snapshot, Status,
    Table, TableState, Timestamp, Type, Value,
};
use crate::panel::{PANELS, VIEWS};
use crate::source::file::Roots;
use crate::store::level::{Settings as Levels, Thresholds};
use crate::store::rate::{Mode, View};

/// When the newest sample was taken.
pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);
/// For how long the host is up, in seconds, when the samples begin.
const UP: u64 = 2 * 86_400;
/// The recorded host.
const TREE: &str = "made-5.10-hypervisor";
/// Where the frames are, from here.
const FRAMES: &str = "../../tests/fixtures/frames";
/// Sizes of every view.
const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// What the recorded tree does not have.
const REST: &str = include_str!("../../tests/fixtures/frames/host.txt");

/// The rows of a table, with what counters grew by in the last second or without.
fn made(text: &str, table: &'static Table, grown: bool) -> Option<Made> {
    let rows = text.lines().filter_map(|line| line.strip_prefix(&*table.name)?.strip_prefix(' '));
    let cells: Vec<Vec<Value>> = rows.map(|row| cells(table, row, grown)).collect();
    (!cells.is_empty()).then_some(Made { table, cells })
}

fn cells(table: &Table, row: &str, grown: bool) -> Vec<Value> {
    let given: Vec<(&str, &str)> = row.split(' ').map(|one| one.split_once('=').expect("column=value")).collect();
    for (name, _) in &given {
        assert!(table.position(name).is_some(), "{} has no column {name}", table.name);
    }
    let one = |column: &crate::model::Column| {
        let text = given.iter().find(|(name, _)| *name == column.name).map(|(_, text)| *text);
        text.map_or(Value::Missing, |text| value(column, text, grown))
    };
    table.columns.iter().map(one).collect()
}

fn value(column: &crate::model::Column, text: &str, grown: bool) -> Value {
    let number = || {
        let (value, growth) = text.split_once('+').unwrap_or((text, "0"));
        let growth: f64 = if grown { growth.parse().unwrap() } else { 0.0 };
        value.parse::<f64>().unwrap() + growth
    };
    match column.ty {
        Type::U64 => Value::U64(number() as u64),
        Type::I64 => Value::I64(number() as i64),
        Type::F64 => Value::F64(number()),
        Type::Duration => Value::Duration(number()),
        Type::Timestamp => Value::Timestamp(Timestamp::from_seconds(number())),
        Type::Bool => Value::Bool(text == "yes"),
        Type::Text => Value::Text(text.replace('~', " ").as_str().into()),
        Type::Label => Value::Label(text.into()),
        Type::Ip => Value::Ip(text.parse().unwrap()),
        Type::Mac => Value::Mac(text.parse().unwrap()),
    }
}

/// A host that was recorded.
struct Recorded(Arc<Snapshot>);

/// The tables of the host: a new one changes no frame.
const NAMES: [&str; 66] = [
    "host",
    "cpu",
    "load",
    "memory",
    "numa_node",
    "pressure",
    "interrupt",
    "softirq",
    "disk",
    "mount",
    "link",
    "address",
    "socket",
    "listener",
    "tcp",
    "udp",
    "ip",
    "sensor",
    "gpu",
    "raid",
    "clock",
    "unit",
    "process",
    "process_file",
    "process_thread",
    "collector",
    "nft_table",
    "nft_chain",
    "nft_rule",
    "nft_set",
    "nft_counter",
    "nft_quota",
    "xtables_rule",
    "conntrack",
    "conntrack_cpu",
    "conntrack_flow",
    "ruleset_change",
    "nfqueue",
    "nflog",
    "nfacct",
    "ct_timeout",
    "synproxy",
    "nf_log",
    "ipset",
    "conntrack_expect",
    "routing_daemon",
    "ospf_neighbor",
    "ospf_interface",
    "ospf_area",
    "route_churn",
    "route_change",
    "neighbor_cache",
    "vlan",
    "bond",
    "bond_port",
    "bridge_port",
    "tunnel",
    "neighbor",
    "fdb",
    "vm",
    "vcpu",
    "vm_nic",
    "vm_disk",
    "alert",
    "event",
    "alert_action",
];

fn schema() -> &'static [&'static Table] {
    static TABLES: OnceLock<Vec<&'static Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        let collected = COLLECTORS.iter().flat_map(|entry| entry.tables.iter().copied());
        collected.chain([CollectorRow::TABLE]).filter(|table| NAMES.contains(&&*table.name)).collect()
    })
}

fn sample(rows: Arc<dyn Rows>, second: i64) -> Sample {
    let time = Timestamp(NOW.0 - (2 - second) * 1_000_000_000);
    Sample { rows, time, mono: Mono((UP + 1000 + second as u64) * 1_000_000_000) }
}

/// A table with two samples.
fn state(table: &'static Table, filled: Result<[Arc<dyn Rows>; 2], Status>) -> TableState {
    match filled {
        Ok([before, now]) => {
            let (before, now) = (Some(sample(before, 1)), Some(sample(now, 2)));
            TableState { table, now, before, status: Status::ok() }
        }
        Err(status) => TableState { table, now: None, before: None, status },
    }
}

impl Recorded {
    fn new(tree: &str, rest: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trees").join(tree);
        let roots = Roots::recorded(&path);
        let demands: Vec<Demand> = PANELS.iter().flat_map(|panel| (panel.demands)()).collect();
        let (wants, owners) = (Wants::union(&demands), Owners::default());
        let mut snapshot = Snapshot { generation: 2, ..Snapshot::default() };
        for entry in COLLECTORS {
            let cx = Cx {
                roots: &roots,
                wants: &wants,
                owners: &owners,
                time: NOW,
                mono: Mono((UP + 1002) * 1_000_000_000),
            };
            let mut batch = Batch::default();
            let skip = (entry.make)().collect(&cx, &mut batch).err().map(|skip| skip.status());
            let filled = batch.into_tables();
            for table in
                entry.tables.iter().copied().filter(|table| !table.attrs.demand || wants.table(table).is_some())
            {
                let own = filled.iter().find(|(one, _)| one.name == table.name).map(|(_, filled)| filled.clone());
                let own = own.map(|filled| filled.map(|rows| [Arc::clone(&rows), rows]));
                let missing = || Err(skip.clone().unwrap_or_else(Status::ok));
                snapshot.tables.insert(&table.name, state(table, own.unwrap_or_else(missing)));
            }
        }
        for table in schema() {
            let both = made(rest, table, false).zip(made(rest, table, true));
            if let Some((before, now)) = both {
                snapshot.tables.insert(&table.name, state(table, Ok([Arc::new(before), Arc::new(now)])));
            }
        }
        Self::without_paths(&mut snapshot, &path);
        Self(Arc::new(snapshot))
    }

    /// Reasons name files below the tree, which lies somewhere else on each machine.
    fn without_paths(snapshot: &mut Snapshot, path: &Path) {
        let prefix = path.display().to_string();
        for state in snapshot.tables.values_mut() {
            state.status.reason = state.status.reason.replace(&prefix, "").as_str().into();
        }
    }
}

impl Host for Recorded {
    fn schema(&self) -> &'static [&'static Table] {
        schema()
    }
    fn demand(&self, _: u64, _: Vec<Demand>) {}
    fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0)
    }
    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        let state = self.0.get(&ask.table)?;
        let view = View::new(state.now.as_ref()?, state.before.as_ref(), Mode::Rate);
        let value = view.cell(view.find(&ask.key)?, view.table().position(&ask.column)?).number()?;
        Some(past(value).answer(ask))
    }
    fn act(&self, _: &Action) -> Result<Done, ActionError> {
        Err(ActionError::Off)
    }
}

/// A day: up and down around what it is now. Minutes with a spike in every twentieth, three hours in which nothing was
/// measured, and then ten minutes of seconds, of which the last two vary more.
fn past(value: f64) -> Series {
    let (end, fine) = (1002_u64, 1002_u64.saturating_sub(600));
    let at = |second: u64| Mono((UP + second) * 1_000_000_000);
    let wave = |i: u64| value * (0.25 + ((i * 37) % 61) as f64 / 80.0);
    let minute = |i: u64| {
        let (from, time) = (Mono(at(fine).0 - i * 60_000_000_000), Mono(at(fine).0 - (i - 1) * 60_000_000_000));
        let mean = wave(i / 45) * 0.6;
        let most = mean * if i.is_multiple_of(20) { 2.5 } else { 1.2 };
        let point = Point { from, time, mean, least: mean * 0.5, most };
        if (600..780).contains(&i) { Point::gap(from, time) } else { point }
    };
    let second = |i: u64| {
        let value = match i {
            1002 => value,
            883.. => wave(i - 883),
            _ => wave(i / 40),
        };
        Point::sample(at(i - 1), at(i), value)
    };
    let points: Vec<Point> = (1..=1430).rev().map(minute).chain((fine + 1..=end).map(second)).collect();
    let (oldest, border) = (points.first().map(|point| point.from), Some(at(fine)));
    Series { points, oldest, fine: border, cut: oldest, evicted: 4711 }
}

/// What the recorded host has.
pub(super) fn recorded() -> &'static Snapshot {
    static RECORDED: OnceLock<Arc<Snapshot>> = OnceLock::new();
    RECORDED.get_or_init(|| Recorded::new(TREE, REST).0)
}

/// The thresholds that come with the program.
fn defaults() -> Levels {
    /// The part of the configuration that levels come from.
    #[derive(serde::Deserialize)]
    struct Defaults {
        threshold: Levels,
    }
    let defaults: Defaults = toml::from_str(include_str!("../../config/netglance.toml")).unwrap();
    defaults.threshold
}

fn dashboard(host: Recorded, ability: Ability) -> App {
    let levels = Thresholds::new(&defaults(), schedule::tables().iter().copied()).unwrap();
    let config = Config { levels: Arc::new(levels), ..Config::default() };
    let mut app = App::new(Arc::new(host), config, ability).unwrap();
    app.clock = || NOW;
    app.samples();
    app
}

const TRUE: Ability = Ability { depth: Depth::True, ascii: false };

/// The screen after two frames, because the first finds out what is to be collected.
pub(super) fn frame(app: &mut App, size: (u16, u16)) -> String {
    app.size = size;
    testing::screen(app);
    let time = regex::Regex::new("[0-9]{2}:[0-9]{2}:[0-9]{2}( |\n)").unwrap();
    time.replace_all(&testing::screen(app), "HH:MM:SS$1").into_owned()
}

/// Names of the files that frames were compared with.
type Seen = BTreeSet<String>;

fn compare(seen: &mut Seen, name: &str, text: &str) {
    seen.insert(format!("{name}.snap"));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(FRAMES);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn every_view(seen: &mut Seen) {
    let mut app = dashboard(Recorded::new(TREE, REST), TRUE);
    let views = VIEWS.iter().enumerate().map(|(i, view)| (view.name, Page::View(i)));
    for (name, page) in views.chain([("explore", Page::Explore), ("table", Page::Table("link"))]) {
        app.go(page);
        for size in SIZES {
            let text = frame(&mut app, size);
            let text = if name == "explore" { without_help(&text) } else { text };
            compare(seen, &format!("{name}-{}x{}", size.0, size.1), &text);
        }
    }
}

/// The list of tables without what is written about each: better words there change no frame.
fn without_help(text: &str) -> String {
    text.lines().map(|line| line.chars().take(45).collect::<String>().trim_end().to_owned() + "\n").collect()
}

fn tiny_screens(seen: &mut Seen) {
    let mut app = dashboard(Recorded::new(TREE, REST), TRUE);
    for size in [(1, 1), (20, 5), (40, 10)] {
        compare(seen, &format!("overview-{}x{}", size.0, size.1), &frame(&mut app, size));
    }
}

/// What lies over a view.
fn what_lies_over_a_view(seen: &mut Seen) {
    let mut app = dashboard(Recorded::new(TREE, REST), TRUE);
    app.go(Page::View(1));
    app.size = (120, 40);
    testing::press(&mut app, &["down", "down", "enter"]);
    compare(seen, "details-120x40", &frame(&mut app, (120, 40)));
}

/// Graphs of the past minutes and of a day; the times of day depend on where one is.
fn graphs(seen: &mut Seen) {
    let time = regex::Regex::new("[0-9]{2}:[0-9]{2}").unwrap();
    let all = [("graph", 0), ("graph-24h", 9)].iter().flat_map(|graph| SIZES.iter().map(move |size| (*graph, *size)));
    // seconds and minutes in one
    for ((name, zoom), size) in all.chain([(("graph-30min", 3), SIZES[1])]) {
        let mut app = dashboard(Recorded::new(TREE, REST), TRUE);
        app.go(Page::View(1));
        app.size = size;
        testing::press(&mut app, &["down", "down", "g"]);
        testing::press(&mut app, &vec!["-"; zoom]);
        let text = frame(&mut app, size).replace("HH:MM:SS", "00:00:00");
        let text = time.replace_all(&text, "HH:MM").replace("HH:MM:00", "HH:MM:SS");
        compare(seen, &format!("{name}-{}x{}", size.0, size.1), &text);
    }
}

/// 256 CPUs of which one in five is busy.
fn many_cpus(seen: &mut Seen) {
    let mut rest = REST.to_owned();
    for cpu in 4..256_u32 {
        let busy = f64::from(cpu * 37 % 100) / if cpu.is_multiple_of(5) { 100.0 } else { 330.0 };
        let idle = 1.0 - busy;
        writeln!(rest, "cpu cpu={cpu} user=9+{busy} idle=9+{idle} busy=9+{busy} accounted=9+1").unwrap();
    }
    let mut app = dashboard(Recorded::new(TREE, &rest), TRUE);
    app.go(Page::View(VIEWS.iter().position(|view| view.name == "cpu").unwrap()));
    for size in SIZES {
        compare(seen, &format!("cpu256-{}x{}", size.0, size.1), &frame(&mut app, size));
    }
}

/// The colors of a screen as one letter a cell, with what each letter means below.
fn colors(seen: &mut Seen) {
    let mut app = dashboard(Recorded::new(TREE, REST), TRUE);
    frame(&mut app, (80, 24));
    let buffer = screen::draw(&mut app);
    let mut styles = Vec::new();
    let mut text = String::new();
    for row in buffer.content.chunks(80) {
        for cell in row {
            let style = (cell.fg, cell.bg, cell.modifier);
            let at = styles.iter().position(|known| *known == style).unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            text.push(char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[at]));
        }
        text.push('\n');
    }
    for (at, (foreground, background, modifier)) in styles.iter().enumerate() {
        let letter = char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[at]);
        writeln!(text, "{letter} {foreground} on {background} {modifier:?}").unwrap();
    }
    compare(seen, "overview-80x24-colors", &text);
}

/// The same without anything beyond ASCII.
fn ascii(seen: &mut Seen) {
    let mut app = dashboard(Recorded::new(TREE, REST), Ability { depth: Depth::Mono, ascii: true });
    for (at, view) in VIEWS.iter().enumerate().filter(|(_, view)| ["overview", "topology"].contains(&view.name)) {
        app.go(Page::View(at));
        frame(&mut app, (80, 24));
        let mut buffer = screen::draw(&mut app);
        super::frame::sweep(&mut buffer, true);
        let row = |row: &[ratatui::buffer::Cell]| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
        let rows = buffer.content.chunks(80).map(row);
        let text: String = rows.skip(1).map(|row| row.trim_end().to_owned() + "\n").collect();
        assert!(text.is_ascii());
        compare(seen, &format!("{}-80x24-ascii", view.name), &text);
    }
}

#[test]
fn every_frame_is_as_it_was_and_no_file_is_left_behind() {
    let mut seen = Seen::new();
    every_view(&mut seen);
    tiny_screens(&mut seen);
    what_lies_over_a_view(&mut seen);
    graphs(&mut seen);
    many_cpus(&mut seen);
    colors(&mut seen);
    ascii(&mut seen);
    many::fleet(&mut seen);
    router::router(&mut seen);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/frames");
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> =
        files.filter(|name| Path::new(name).extension().is_some_and(|end| end == "snap")).collect();
    assert_eq!(files, seen, "left: files, right: frames");
}
