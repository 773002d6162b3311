//! Does every panel keep to its room, whatever the host looks like? On made rows of every table that a panel asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::model::testing::{Made, sampled};
use crate::model::{
    Action, ActionError, Done, HistoryAsk, Host, Kind, Mac, Mono, Sample, Series, Shape, Snapshot, State, Status,
    Style, Table, TableState, Text, Timestamp, Type, Value,
};
use crate::store::level::{Settings as Levels, Thresholds};
use crate::store::rate::{Mode, View};

const SIZES: [(u16, u16); 9] = [(0, 0), (1, 1), (24, 3), (25, 2), (78, 10), (80, 24), (120, 40), (200, 60), (300, 100)];
const HOSTILE: &str = "\u{1b}[2J\u{202e}evil\u{7}\u{9b}31m\n名前";

/// Rows of any table: a value that fits each column, missing ones among them, counters that grow with `time`.
fn made(table: &'static Table, count: usize, time: u64, name: &str) -> Made {
    let count = if table.attrs.shape == Shape::Single { 1 } else { count };
    let cell = |row: usize, column: &crate::model::Column| {
        let number = (row as u64 % 10) * 7 + 3;
        let grown = number * time * 1000;
        if column.optional && row % 7 == 3 {
            return Value::Missing;
        }
        match (column.ty, column.kind) {
            (_, Kind::Derived) => Value::Missing,
            (Type::U64, Kind::Id) => Value::U64(row as u64),
            (Type::U64, Kind::Counter) => Value::U64(grown),
            (Type::U64, _) => Value::U64(number * 1_000_000_000),
            (Type::I64, _) => Value::I64(number as i64 - 20),
            (Type::F64, Kind::Counter) => Value::F64(grown as f64 / 1e5),
            (Type::F64, _) => Value::F64(number as f64 / 66.0),
            (Type::Bool, _) => Value::Bool(row.is_multiple_of(2)),
            (Type::Text, _) if row == 0 && table.name == "cpu" => Value::Text(Text::from("all")),
            (Type::Text, _) => Value::Text(Text::from(format!("{name}{row}").as_str())),
            (Type::Ip, _) => Value::Ip([192, 0, 2, (row % 250) as u8].into()),
            (Type::Mac, _) => Value::Mac(Mac([2, 0, 0, 0, 0, row as u8])),
            (Type::Label, _) => column
                .labels
                .get(row % column.labels.len().max(1))
                .map_or(Value::Missing, |label| Value::Label(Text::from(label.name))),
            (Type::Timestamp, _) => Value::Timestamp(Timestamp::from_seconds(1.7e9)),
            (Type::Duration, _) => Value::Duration(number as f64),
        }
    };
    let cells = (0..count).map(|row| table.columns.iter().map(|column| cell(row, column)).collect()).collect();
    Made { table, cells }
}

/// What a panel looks at.
pub(super) struct Fake {
    kept: Kept,
    snapshot: Snapshot,
    views: BTreeMap<&'static str, Arc<View>>,
    levels: Thresholds,
    settings: Settings,
    pub(super) toggles: BTreeSet<&'static str>,
    pub(super) picked: BTreeMap<&'static str, crate::model::Key>,
}

/// A row of `column=value`.
fn given(table: &Table, row: &str, time: u64) -> Vec<Value> {
    let words: BTreeMap<&str, &str> = row.split_whitespace().map(|one| one.split_once('=').unwrap()).collect();
    assert!(words.keys().all(|name| table.position(name).is_some()), "{}: {row}", table.name);
    let cell = |column: &crate::model::Column| {
        let Some(words) = words.get(&*column.name) else { return Value::Missing };
        match column.ty {
            Type::U64 => {
                let (number, growth) = words.split_once('+').unwrap_or((words, "0"));
                Value::U64(number.parse::<u64>().unwrap() + growth.parse::<u64>().unwrap() * time)
            }
            Type::Text => Value::Text(Text::from(words.replace('~', " "))),
            Type::Label => Value::Label(Text::from(*words)),
            Type::Ip => Value::Ip(words.parse().unwrap()),
            Type::Bool => Value::Bool(*words == "yes"),
            Type::Timestamp => Value::Timestamp(Timestamp::from_seconds(words.parse().unwrap())),
            other => panic!("{other:?}"),
        }
    };
    table.columns.iter().map(cell).collect()
}

impl Views for Fake {
    fn alerts(&self, find: &dyn Fn() -> Vec<Alert>) -> std::rc::Rc<[Alert]> {
        find().into()
    }

    fn get(&self, table: &str) -> Option<Arc<View>> {
        self.views.get(table).cloned()
    }

    fn kept(&self) -> &Kept {
        &self.kept
    }
}

/// A host that remembers the same of everything.
struct Past;

impl Host for Past {
    fn schema(&self) -> &'static [&'static Table] {
        &[]
    }
    fn demand(&self, _: u64, _: Vec<Demand>) {}
    fn latest(&self) -> Arc<Snapshot> {
        Arc::new(Snapshot::default())
    }
    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        Some(sampled(0, (0..600).map(|i| if i == 9 { f64::NAN } else { f64::from(i) }), ask))
    }
    fn act(&self, _: &Action) -> Result<Done, ActionError> {
        Err(ActionError::Off)
    }
}

/// Every table of every collector.
fn tables() -> Vec<&'static Table> {
    let mut tables: Vec<&'static Table> =
        crate::collect::COLLECTORS.iter().flat_map(|entry| entry.tables.iter().copied()).collect();
    tables.push(crate::collect::run::CollectorRow::TABLE);
    tables
}

impl Fake {
    pub(super) fn empty() -> Self {
        let levels = Thresholds::new(&Levels::new(), tables()).unwrap();
        let (snapshot, views) = Default::default();
        Self {
            kept: Kept::default(),
            snapshot,
            views,
            levels,
            settings: Settings::default(),
            toggles: BTreeSet::new(),
            picked: BTreeMap::default(),
        }
    }

    fn new(count: usize, name: &str) -> Self {
        let mut fake = Self::empty();
        for table in tables() {
            let sample = |time: u64| Sample {
                rows: Arc::new(made(table, count, time, name)),
                time: Timestamp::from_seconds(1.8e9),
                mono: Mono(time * 1_000_000_000),
            };
            let state = TableState { table, now: Some(sample(2)), before: Some(sample(1)), status: Status::ok() };
            fake.views.insert(&table.name, Arc::new(View::new(&sample(2), Some(&sample(1)), Mode::Rate)));
            fake.snapshot.tables.insert(&table.name, state);
            fake.picked.insert(&table.name, fake.views[&*table.name].key(0));
        }
        fake
    }

    /// A table with rows of `column=value`, twice a second apart; `1000+5` has grown by 5.
    pub(super) fn put(&mut self, table: &'static Table, rows: &[String]) {
        let sample = |time: u64| {
            let cells = rows.iter().map(|row| given(table, row, time)).collect();
            let rows: Arc<dyn crate::model::Rows> = Arc::new(Made { table, cells });
            Sample { rows, time: Timestamp::from_seconds(1.8e9), mono: Mono(time * 1_000_000_000) }
        };
        let state = TableState { table, now: Some(sample(2)), before: Some(sample(1)), status: Status::ok() };
        self.views.insert(&table.name, Arc::new(View::new(&sample(2), Some(&sample(1)), Mode::Rate)));
        self.snapshot.tables.insert(&table.name, state);
    }

    /// Goes on with another snapshot.
    pub(super) fn next(&mut self) {
        self.kept.clear();
    }

    fn set(&mut self, name: &'static str, state: State, reason: &str, hint: &str) {
        let table = tables().into_iter().find(|table| table.name == name).unwrap();
        let status = Status { state, reason: Text::from(reason), hint: Text::from(hint) };
        self.views.remove(name);
        self.snapshot.tables.insert(name, TableState { table, now: None, before: None, status });
    }

    pub(super) fn cx(&self) -> Cx<'_> {
        Cx {
            views: self,
            snapshot: &self.snapshot,
            host: &Past,
            levels: &self.levels,
            style: Style::default(),
            settings: &self.settings,
            toggles: &self.toggles,
            picked: &self.picked,
            grouped: None,
            names: Names::default(),
            now: Timestamp::from_seconds(1.8e9 + 1.0),
        }
    }
}

fn panel(name: &str) -> &'static PanelDef {
    PANELS.iter().find(|panel| panel.name == name).unwrap()
}

fn build(fake: &Fake, name: &str, width: u16, height: u16, scroll: usize) -> Block {
    (panel(name).build)(&fake.cx(), Space { width, height, scroll })
}

fn lines(block: &Block) -> &[Line] {
    match &block.body {
        Body::Lines(lines) => lines,
        other => panic!("{other:?}"),
    }
}

fn why(block: &Block) -> &str {
    match &block.body {
        Body::Empty { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

fn check(panel: &str, block: &Block, space: Space) {
    if let Body::Lines(lines) = &block.body {
        assert!(lines.len() <= usize::from(space.height), "{panel} {space:?}: {} lines", lines.len());
        for one in lines {
            let width = line::width(one);
            assert!(width <= space.width, "{panel} {space:?}: {width} cells: {}", line::words(one));
        }
    }
}

fn switched(fake: &mut Fake, toggles: &[&'static str]) {
    fake.toggles = toggles.iter().copied().collect();
}

#[test]
fn no_panel_is_larger_than_its_room() {
    for count in [1, 70] {
        let mut fake = Fake::new(count, HOSTILE);
        let all: Vec<&'static str> = TOGGLES.iter().map(|toggle| toggle.name).collect();
        for toggles in [&[][..], &[toggle::COMBINED, toggle::PER_CPU], &[toggle::CUMULATIVE, toggle::BITS], &all] {
            switched(&mut fake, toggles);
            for panel in PANELS {
                for (width, height) in SIZES {
                    for scroll in [0, 10_000] {
                        let space = Space { width, height, scroll };
                        let block = (panel.build)(&fake.cx(), space);
                        assert!(panel.name == "alerts" || !matches!(block.body, Body::Empty { .. }), "{}", panel.name);
                        check(panel.name, &block, space);
                    }
                }
            }
        }
    }
}

#[test]
fn the_header_fits_every_width_and_keeps_the_name_and_the_clock() {
    let fake = Fake::new(3, "host");
    for width in 0..400 {
        assert!(line::width(&header(&fake.cx(), width)) <= width);
    }
    let words = line::words(&header(&fake.cx(), 80));
    assert!(words.contains("host0") && words.matches(':').count() >= 2, "{words}");
}

#[test]
fn the_header_says_whether_an_agent_runs_where_that_is_known() {
    let mut fake = Fake::new(3, "host");
    let words = |fake: &Fake| line::words(&header(&fake.cx(), 300));
    assert!(words(&fake).contains(" · agent"), "{}", words(&fake));
    fake.views.remove("host");
    assert!(!words(&fake).contains("agent"), "{}", words(&fake));
}

#[test]
fn what_does_not_fit_is_counted_and_reached_by_scrolling() {
    let fake = Fake::new(500, "eno");
    for name in ["network", "disks", "mounts"] {
        let block = build(&fake, name, 60, 21, 0);
        assert_eq!(block.hidden, 480, "{name}");
        let all: BTreeSet<String> = (0..500)
            .step_by(20)
            .flat_map(|scroll| {
                let block = build(&fake, name, 60, 21, scroll);
                lines(&block)[1..].iter().map(|line| line::words(&line[..1])).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(all.len(), 500, "{name}");
    }
}

#[test]
fn the_worst_come_first_then_the_busiest() {
    let fake = Fake::new(40, "sd");
    let block = build(&fake, "mounts", 60, 41, 0);
    let lines = lines(&block);
    let roles: Vec<Role> = lines[1..]
        .iter()
        .map(|line| match &line[0] {
            Item::Cell { role, .. } => *role,
            other => panic!("{other:?}"),
        })
        .collect();
    let levels: Vec<Level> =
        roles.iter().map(|role| if let Role::Level(level) = role { *level } else { Level::Ok }).collect();
    let severe: Vec<Level> =
        levels.iter().map(|level| if *level == Level::Careful { Level::Ok } else { *level }).collect();
    assert!(severe.is_sorted_by(|a, b| a >= b) && levels[0] == Level::Critical, "{levels:?}");
}

#[test]
fn two_hundred_and_fifty_six_cpus_fit_on_small_screens() {
    let fake = Fake::new(257, "");
    for (width, height) in [(76, 8), (78, 4), (78, 20), (118, 30), (198, 40), (298, 80)] {
        let block = build(&fake, "cores", width, height, 0);
        assert_eq!(block.hidden, 0, "{width}x{height}");
    }
    let block = build(&fake, "cores", 78, 3, 0);
    assert_eq!(block.hidden, 256 - 3 * 64);
    assert!(block.note.iter().any(|item| matches!(item, Item::Text(words, _) if words == "256")));
}

#[test]
fn few_cpus_have_bars() {
    let fake = Fake::new(3, "");
    let block = build(&fake, "cores", 78, 3, 0);
    assert_eq!(lines(&block).len(), 2);
    let block = build(&fake, "cores", 78, 12, 0);
    let graphs = lines(&block).iter().filter(|line| line.iter().any(|item| matches!(item, Item::Graph { .. })));
    assert_eq!(graphs.count(), 8, "bars of both and their graphs: {block:?}");
    assert!(lines(&block)[0].iter().any(|item| matches!(item, Item::Bar { width, .. } if *width > 40)));
}

#[test]
fn an_empty_panel_says_why_and_what_to_do() {
    let mut fake = Fake::empty();
    // the table view says it of tables, and one panel of each of several
    for panel in PANELS.iter().filter(|panel| !["alerts", "others"].contains(&panel.name)) {
        let block = (panel.build)(&fake.cx(), Space { width: 80, height: 24, scroll: 0 });
        if matches!(block.body, Body::Table(_)) {
            continue;
        }
        assert_eq!(why(&block), "waiting for the first sample", "{}", panel.name);
    }
    assert_eq!(why(&build(&fake, "alerts", 80, 24, 0)), "nothing is over a threshold");
    fake.set("disk", State::Denied, "open /proc/diskstats: permission denied", "run as root");
    assert_eq!(why(&build(&fake, "disks", 80, 24, 0)), "denied: open /proc/diskstats: permission denied (run as root)");
    fake.set("disk", State::Absent, "no block devices", "");
    assert_eq!(why(&build(&fake, "disks", 80, 24, 0)), "absent: no block devices");
    assert!(matches!(build(&fake, "disks", 0, 0, 0).body, Body::Empty { level: Level::Ok, .. }));
}

#[test]
fn rows_are_hidden_and_named_as_the_user_wants() {
    let mut fake = Fake::new(20, "sd");
    let alias = [("sd7".to_owned(), "backup".to_owned())].into();
    let show = ShowSettings { hide: Some("^sd1".to_owned()), show: None, alias };
    fake.settings.tables.insert("disk".to_owned(), show);
    let block = build(&fake, "disks", 80, 24, 0);
    let words: String = lines(&block).iter().map(|line| line::words(line)).collect();
    assert!(words.contains("backup") && !words.contains("sd1") && !words.contains("sd7"), "{words}");
    let none = ShowSettings { show: Some("^$".to_owned()), ..ShowSettings::default() };
    fake.settings = Settings::default();
    fake.settings.tables.insert("disk".to_owned(), none);
    assert_eq!(why(&build(&fake, "disks", 80, 24, 0)), "all 20 are hidden by [show.disk]");
}

#[test]
fn hostile_names_reach_no_line() {
    let fake = Fake::new(30, HOSTILE);
    for panel in PANELS {
        let block = (panel.build)(&fake.cx(), Space { width: 200, height: 60, scroll: 0 });
        if let Body::Lines(lines) = &block.body {
            for one in lines {
                let words = line::words(one);
                assert!(!words.chars().any(|c| c.is_control() || c == '\u{202e}'), "{}: {words:?}", panel.name);
            }
        }
    }
    let words = line::words(&header(&fake.cx(), 300));
    assert!(!words.chars().any(char::is_control), "{words:?}");
}

#[test]
fn an_unknown_rate_is_a_question_mark_and_missing_a_dash() {
    let mut fake = Fake::new(4, "sd");
    let now = fake.snapshot.tables["disk"].now.clone().unwrap();
    fake.views.insert("disk", Arc::new(View::new(&now, None, Mode::Rate)));
    let block = build(&fake, "disks", 80, 24, 0);
    let words: Vec<String> = lines(&block)[1..5].iter().map(|line| line::words(line)).collect();
    assert!(words.iter().all(|words| words.contains('?')), "{words:?}");
    let block = build(&fake, "mounts", 120, 24, 0);
    assert!(lines(&block).iter().any(|line| line::words(line).contains('–')));
}

/// Names and inner sizes of the panels of a view.
fn placed(node: &Node, width: u16, height: u16, out: &mut Vec<(&'static str, u16, u16)>) {
    let (parts, down) = match node {
        Node::Panel(name) => return out.push((name, width.saturating_sub(2), height.saturating_sub(2))),
        Node::Column(parts) => (parts, true),
        Node::Row(parts) => (parts, false),
    };
    let room = if down { height } else { width };
    let fixed: u16 = parts.iter().map(|(size, _)| if let Size::Fixed(size) = size { *size } else { 0 }).sum();
    let weights: u16 = parts.iter().map(|(size, _)| if let Size::Weight(weight) = size { *weight } else { 0 }).sum();
    assert!(fixed <= room, "{fixed} of {room} in {node:?}");
    for (size, node) in parts {
        let size = match size {
            Size::Fixed(size) => *size,
            Size::Weight(weight) => (room - fixed) * weight / weights,
        };
        if down { placed(node, width, size, out) } else { placed(node, size, height, out) }
    }
}

#[test]
fn every_view_fits_every_screen_with_panels_that_exist() {
    for count in [1, 100] {
        let mut fake = Fake::new(count, "x");
        for toggles in
            [&[][..], &[toggle::TOP_ROW], &[toggle::LEFT_SIDE, toggle::QUICK_LOOK], &["processes", "network"]]
        {
            switched(&mut fake, toggles);
            for view in VIEWS {
                for (width, height) in SIZES {
                    let mut panels = Vec::new();
                    placed(&(view.layout)(&fake.cx(), width, height), width, height, &mut panels);
                    for (name, width, height) in panels {
                        assert!(!toggles.contains(&name), "{name} is hidden");
                        let space = Space { width, height, scroll: 0 };
                        check(name, &(panel(name).build)(&fake.cx(), space), space);
                    }
                }
            }
        }
    }
}

#[test]
fn the_overview_of_a_small_terminal_has_what_matters() {
    let fake = Fake::new(40, "x");
    // three lines are the header, the tabs and the keys
    for height in [21, 22, 24] {
        let mut panels = Vec::new();
        placed(&(VIEWS[0].layout)(&fake.cx(), 80, height), 80, height, &mut panels);
        let rows = |name: &str| panels.iter().find(|(panel, ..)| *panel == name).map_or(0, |(.., height)| *height);
        for name in ["cpu", "memory", "load", "network", "disks", "mounts"] {
            assert!(rows(name) >= 3, "{name} at {height}: {panels:?}");
        }
        assert!(rows("processes") >= 9, "{panels:?}");
    }
    for (width, height) in [(120, 37), (200, 57), (300, 97)] {
        let mut panels = Vec::new();
        placed(&(VIEWS[0].layout)(&fake.cx(), width, height), width, height, &mut panels);
        for name in ["cpu", "memory", "load", "network", "disks", "mounts", "alerts", "processes"] {
            assert!(panels.iter().any(|(panel, ..)| *panel == name), "{name} at {width}x{height}");
        }
    }
}

#[test]
fn demands_name_tables_and_columns_that_exist() {
    let tables = tables();
    for demand in PANELS.iter().flat_map(|panel| (panel.demands)()).chain(header_demands()) {
        let table = tables.iter().find(|table| table.name == demand.table).expect("a table");
        for column in &demand.columns {
            assert!(table.position(column).is_some(), "{column}");
        }
    }
    assert_eq!(PANELS.iter().map(|panel| panel.name).collect::<BTreeSet<_>>().len(), PANELS.len());
}
