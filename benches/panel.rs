//! What does it cost to draw a map or a list of very many rows?
//!
//! `cargo bench --bench panel -- [--links N] [--entries N] [--rounds N]` prints the median wall clock and CPU of the map of a
//! host with N interfaces in a bridge, and so many entries in its tables of neighbors and addresses behind ports, and of an
//! area with so many links: the first frame of a snapshot and the further ones, and of as many neighbors of OSPF put under their
//! headings. Nothing is judged here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;

use netglance::collect::bridge::{BridgePortRow, FdbRow};
use netglance::collect::link::LinkRow;
use netglance::collect::neighbor::NeighborRow;
use netglance::collect::routing::{OspfAreaRow, OspfInterfaceRow, OspfLinkRow, OspfNeighborRow};
use netglance::model::{
    Action, ActionError, Cell, Demand, Done, HistoryAsk, Host, Mono, Row, Rows, Sample, Series, Snapshot, Style, Table,
    Timestamp, Type, Value,
};
use netglance::panel::{self, Alert, Cx, Kept, Names, PANELS, Settings, Space, Views};
use netglance::store::level::Thresholds;
use netglance::store::rate::{Mode, View};

#[path = "support/measure.rs"]
mod measure;

use measure::{Failure, Options, measure, resident};

/// What a column is in a row, as words.
type Words = dyn Fn(usize, &str) -> Option<String> + Send + Sync;

/// Rows of any table.
struct Made {
    table: &'static Table,
    cells: Vec<Vec<Value>>,
}

impl Made {
    /// So many rows; numbers that nobody gives grow from sample to sample.
    fn new(table: &'static Table, rows: usize, second: u64, words: &Words) -> Self {
        let cell = |row: usize, column: &netglance::model::Column| {
            let given = words(row, &column.name);
            match (column.ty, given) {
                (Type::U64, None) => Value::U64(second * (row as u64 + 1) * 1000),
                (Type::U64, Some(words)) => words.parse().map_or(Value::Missing, Value::U64),
                (Type::Label, Some(words)) => Value::Label(words.as_str().into()),
                (Type::Ip, Some(words)) => words.parse().map_or(Value::Missing, Value::Ip),
                (Type::Text, Some(words)) => Value::Text(words.as_str().into()),
                _ => Value::Missing,
            }
        };
        let cells = (0..rows).map(|row| table.columns.iter().map(|column| cell(row, column)).collect()).collect();
        Self { table, cells }
    }
}

impl Rows for Made {
    fn table(&self) -> &Table {
        self.table
    }
    fn len(&self) -> usize {
        self.cells.len()
    }
    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        self.cells.get(row).and_then(|row| row.get(column)).map_or(Cell::Missing, Value::as_cell)
    }
}

/// A host with these tables.
#[derive(Default)]
struct Large {
    views: HashMap<&'static str, Arc<View>>,
    kept: Kept,
}

impl Large {
    fn add<R: Row>(&mut self, rows: usize, words: &Words) {
        let sample = |second: u64| Sample {
            rows: Arc::new(Made::new(R::TABLE, rows, second, words)),
            time: Timestamp::from_seconds(1.8e9),
            mono: Mono(second * 1_000_000_000),
        };
        self.views.insert(&R::TABLE.name, Arc::new(View::new(&sample(2), Some(&sample(1)), Mode::Rate)));
    }

    /// A bridge with many ends, behind which are many others, and as many neighbors of OSPF.
    fn new(links: usize, entries: usize) -> Self {
        let mut out = Self::default();
        let own = |words: &str| Some(words.to_owned());
        out.add::<LinkRow>(links + 2, &move |row, column| match (column, row) {
            ("name" | "kind", 0) => own("bridge"),
            ("name", 1) => own("eth0"),
            ("kind", 1) => own("ethernet"),
            ("name", row) => Some(format!("tap{row}")),
            ("kind", _) => own("tun"),
            ("master", 1..) => own("bridge"),
            ("state", _) => own("up"),
            ("netns", _) => own("host"),
            _ => None,
        });
        let behind = move |row: usize, column: &str| match column {
            "interface" => Some(format!("tap{}", 2 + row % links.max(1))),
            "netns" => own("host"),
            "state" => own("reachable"),
            _ => None,
        };
        out.add::<NeighborRow>(entries, &behind);
        out.add::<FdbRow>(entries, &move |row, column| {
            if column == "state" { own("learned") } else { behind(row, column) }
        });
        out.add::<BridgePortRow>(links, &move |row, column| {
            if column == "state" { own("forwarding") } else { behind(row, column) }
        });
        let ospf = move |row: usize, column: &str| match column {
            "netns" => own("host"),
            "version" => own("2"),
            "instance" => own("ospfd"),
            "area" => Some(format!("0.0.0.{}", row / 50)),
            "interface" | "name" => Some(format!("eth{}", row / 5)),
            "router_id" | "address" => Some(format!("192.0.{}.{}", row / 250, row % 250)),
            "state" => own("Full"),
            _ => None,
        };
        out.add::<OspfNeighborRow>(links, &ospf);
        out.add::<OspfInterfaceRow>(links.div_ceil(5), &move |row, column| ospf(row * 5, column));
        out.add::<OspfAreaRow>(links.div_ceil(50), &move |row, column| ospf(row * 50, column));
        // a tree of routers of which each has eight below it, and every tenth a way beside it; both ends tell each link
        out.add::<OspfLinkRow>(2 * links, &move |row, column| {
            let (number, is_back) = (row / 2, row % 2 == 1);
            let above = if number % 10 == 9 { number / 3 } else { number / 8 };
            let ends = [above, number + 1].map(|router| Some(format!("10.0.{}.{}", router / 250, router % 250)));
            let [from, to] = if is_back { [1, 0] } else { [0, 1] };
            match column {
                "from" => ends.get(from).cloned().flatten(),
                "to" => ends.get(to).cloned().flatten(),
                "kind" => own("point-to-point"),
                "area" => own("0.0.0.0"),
                "metric" => own("10"),
                "number" => Some(number.to_string()),
                "distance" => Some(above.min(1).to_string()),
                _ => ospf(row, column),
            }
        });
        out
    }
}

impl Views for Large {
    fn get(&self, table: &str) -> Option<Arc<View>> {
        self.views.get(table).cloned()
    }
    fn alerts(&self, find: &dyn Fn() -> Vec<Alert>) -> Rc<[Alert]> {
        find().into()
    }
    fn kept(&self) -> &Kept {
        &self.kept
    }
}

/// A host that remembers nothing.
struct Forgetful;

impl Host for Forgetful {
    fn schema(&self) -> &'static [&'static Table] {
        &[]
    }
    fn demand(&self, _: u64, _: Vec<Demand>) {}
    fn latest(&self) -> Arc<Snapshot> {
        Arc::new(Snapshot::default())
    }
    fn history(&self, _: &HistoryAsk) -> Option<Series> {
        None
    }
    fn act(&self, _: &Action) -> Result<Done, ActionError> {
        Err(ActionError::Off)
    }
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let links = options.number("--links")?.unwrap_or(500) as usize;
    let entries = options.number("--entries")?.unwrap_or(links as u32) as usize;
    let rounds = options.rounds()?;
    let large = Large::new(links, entries);
    let levels =
        Thresholds::new(&netglance::store::level::Settings::new(), std::iter::empty()).map_err(|_| "thresholds")?;
    let (settings, toggles, picked) = (Settings::default(), BTreeSet::new(), BTreeMap::new());
    let snapshot = Snapshot::default();
    let cx = Cx {
        views: &large,
        snapshot: &snapshot,
        host: &Forgetful,
        levels: &levels,
        style: Style::default(),
        settings: &settings,
        toggles: &toggles,
        picked: &picked,
        grouped: None,
        names: Names::default(),
        now: Timestamp::from_seconds(1.8e9),
    };
    measure::head()?;
    let maps = [("topology", "map"), ("area-map", "area")];
    for ((name, word), (width, height)) in maps.iter().flat_map(|map| [(map, (78, 20)), (map, (198, 56))]) {
        let map = PANELS.iter().find(|panel| panel.name == *name).ok_or("no such panel")?;
        let space = Space { width, height, scroll: 0 };
        let draw = || (map.build)(&cx, space).hidden;
        measure(&format!("{word} {width} first"), rounds, || {
            large.kept.clear();
            Ok(draw().to_string())
        })?;
        measure(&format!("{word} {width} again"), rounds, || Ok(draw().to_string()))?;
    }
    let view = large.views.get(&*OspfNeighborRow::TABLE.name).ok_or("no neighbors")?;
    measure("headings", rounds, || {
        let mut rows: Vec<usize> = (0..view.len()).collect();
        Ok(panel::arrange(&cx, view, &mut rows, true, true).len().to_string())
    })?;
    Ok(writeln!(std::io::stdout().lock(), "resident {:.1} MiB", resident()? as f64 / f64::from(1 << 20))?)
}
