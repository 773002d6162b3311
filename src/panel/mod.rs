//! What do the views that know what they show have to say?
//!
//! A panel turns samples into a [`Block`]: lines of text, bars and sparklines, or a table to be drawn by the generic table
//! view. It says what, and `tui/` paints it: a panel knows no color, no cell and no terminal, so it can be tested as data.
//! This is the only code above `collect/` that names a column, through `col!`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::{Demand, Level};

mod adjacency;
mod alert;
mod arrange;
mod connections;
mod cores;
mod cpu;
mod database;
mod departed;
mod device;
mod essential;
mod facts;
mod firewall;
pub mod fleet;
mod gauge;
mod guest;
mod header;
mod kept;
mod kernel;
mod keys;
mod legacy;
mod line;
mod list;
mod load;
mod mark;
mod memory;
mod named;
mod netfilter;
mod network;
mod number;
mod pick;
mod process;
mod quick;
mod related;
mod routing;
mod ruleset;
pub mod show;
mod socket;
mod storage;
#[cfg(test)]
mod tests;
pub mod toggle;
mod topology;
mod transition;
mod view;

pub use alert::{
    Alert, Fate, Said, What, all as alerts, is_told, past::Span, past::demand as past_demand, past::spans, said, speaks,
};
pub use arrange::{Beside, Head, about, arrange, beside, flat, is_outlined, is_over, reworded, told_above, tone};
pub use connections::members;
pub use database::{contents, inside};
pub use departed::{departed, departs};
pub use essential::{unknown, without};
pub use header::{clock, demands as header_demands, header, local};
pub use kept::Kept;
pub use keys::{
    GROUPED, Grouping, LATER, SORTS, Scale, Sort, Target, columns, fate, groupings, is_tracked, scale, target, tracked,
    tree,
};
pub use mark::{Leads, Mark};
pub use named::{Names, PROTOCOLS, Services, has_addresses};
pub use pick::{NONE, why};
pub use related::{demand as related_demand, of as related_rows, related};
pub use toggle::{TOGGLES, Toggle};
pub use topology::marks;
pub use view::{VIEWS, left_out, with_below};

/// Every panel.
pub static PANELS: &[PanelDef] = &[
    quick::PANEL,
    cpu::PANEL,
    memory::PANEL,
    load::PANEL,
    network::PANEL,
    network::PROTOCOLS,
    socket::ADDRESSES,
    socket::SOCKETS,
    socket::LISTENERS,
    storage::DISKS,
    storage::MOUNTS,
    device::SENSORS,
    device::RAID,
    device::GPU,
    alert::PANEL,
    alert::list::LIST,
    alert::list::EVENTS,
    alert::list::ACTIONS,
    alert::list::ALERT,
    process::PANEL,
    cores::PANEL,
    kernel::INTERRUPTS,
    kernel::SOFTIRQS,
    kernel::PRESSURE,
    kernel::NUMA,
    firewall::RULES,
    firewall::RULE,
    legacy::PANEL,
    firewall::SETS,
    firewall::COUNTERS,
    firewall::QUOTAS,
    ruleset::PANEL,
    connections::TRACKING,
    connections::FLOWS,
    connections::GROUPS,
    connections::FLOW,
    netfilter::QUEUES,
    netfilter::QUEUE,
    netfilter::SETS,
    netfilter::SYNPROXY,
    netfilter::LOGS,
    netfilter::ACCOUNTS,
    netfilter::EXPECTED,
    netfilter::TIMEOUTS,
    netfilter::LOGGERS,
    netfilter::OTHERS,
    adjacency::PANEL,
    adjacency::NEIGHBOR,
    routing::DAEMONS,
    routing::AREAS,
    database::PANEL,
    routing::INTERFACES,
    routing::BGP,
    routing::BFD,
    routing::ISIS,
    routing::ROUTES,
    routing::CHANGES,
    routing::CACHES,
    guest::PANEL,
    guest::VCPUS,
    guest::NICS,
    guest::DISKS,
    guest::PLACES,
    topology::PANEL,
    topology::AREAS,
];

/// What a piece of text means; the theme decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Ordinary text.
    Plain,
    /// Zero, quiet or secondary things.
    Muted,
    /// Heading.
    Title,
    /// What a number is of.
    Label,
    /// A number.
    Value,
    /// Something to look at that is not a level.
    Accent,
    /// Old data.
    Stale,
    /// Something with a level; also gets the level's glyph where there is room.
    Level(Level),
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Words or numbers, already sanitized.
    Text(Cow<'static, str>, Role),
    /// Text in a column of a given width, cut with `…` or padded; `right` aligns numbers.
    Cell {
        /// Words or numbers, already sanitized.
        text: Cow<'static, str>,
        /// Meaning.
        role: Role,
        /// Cells.
        width: u16,
        /// Alignment.
        right: bool,
    },
    /// A horizontal bar that takes `width` cells, or what is left when 0.
    Bar {
        /// Stacked parts from left, each 0 to 1 with its meaning.
        parts: Vec<(f64, Role)>,
        /// Thresholds to mark, 0 to 1.
        marks: Vec<f64>,
        /// Cells, 0 for what is left.
        width: u16,
    },
    /// Newest points of a series, oldest first; `NaN` is a gap.
    Spark {
        /// The points.
        points: Vec<f64>,
        /// Top of the scale; the largest point if none.
        top: Option<f64>,
        /// Meaning.
        role: Role,
        /// Cells, 0 for what is left.
        width: u16,
    },
    /// One line of a graph that is several lines high.
    Graph {
        /// What is drawn.
        graph: Arc<Graph>,
        /// Which line, 0 for the uppermost.
        line: u16,
        /// Cells, 0 for what is left.
        width: u16,
    },
    /// Pushes what follows to the right edge.
    Fill,
}

/// A graph over several lines: the newest points at the right, two a cell, four steps a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The points, oldest first; `NaN` is a gap.
    pub points: Vec<f64>,
    /// Top of the scale, above zero; the bottom is zero.
    pub top: f64,
    /// From where on upwards something has a level.
    pub marks: Vec<(f64, Level)>,
    /// Meaning of what is below all marks.
    pub role: Role,
    /// Lines of the whole graph.
    pub lines: u16,
}

/// One line of a block.
pub type Line = Vec<Item>;

/// Rows of any table, to be drawn by the generic table view, which filters, sorts, scrolls and selects.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSpec {
    /// Table name.
    pub table: &'static str,
    /// Column positions in the order shown; empty means the generic choice.
    pub columns: Vec<usize>,
    /// Columns to sort by at first, most significant first, and whether the largest comes first; none is the table's
    /// default order.
    pub sort: Vec<(usize, bool)>,
    /// Parent and child Id columns when rows can be shown as a tree.
    pub tree: Option<(usize, usize)>,
    /// Whether rows stand under headings, in the order that these give them.
    pub outlined: bool,
    /// What is said where there is no row and nothing wrong.
    pub none: &'static str,
}

impl TableSpec {
    /// A table as it is without anybody's choice.
    pub fn of(table: &'static str) -> Self {
        Self { table, columns: Vec::new(), sort: Vec::new(), tree: None, outlined: false, none: NONE }
    }
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Lines, painted from the top.
    Lines(Vec<Line>),
    /// A table.
    Table(TableSpec),
    /// Nothing, and why: state, reason, hint in one line.
    Empty {
        /// How bad that is.
        level: Level,
        /// One line that says why and what to do.
        why: String,
    },
}

/// One framed panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Heading.
    pub title: Cow<'static, str>,
    /// Total or worst value, beside the heading.
    pub note: Line,
    /// Rows that did not fit and are counted at the right of the frame.
    pub hidden: usize,
    /// First item shown: how far it is scrolled, which is never further than there is something to see.
    pub scrolled: usize,
    /// Age when the data is stale: the block is dimmed.
    pub stale: Option<f64>,
    /// Content.
    pub body: Body,
}

/// Room that a panel has inside its frame, and how far it is scrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Cells across.
    pub width: u16,
    /// Lines.
    pub height: u16,
    /// First item to show.
    pub scroll: usize,
}

/// Size of a node along its parent's axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Exactly so many cells, frame included.
    Fixed(u16),
    /// A share of what is left.
    Weight(u16),
}

/// Arrangement of panels in a view.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// One below the other.
    Column(Vec<(Size, Node)>),
    /// Side by side.
    Row(Vec<(Size, Node)>),
    /// A panel by its name.
    Panel(&'static str),
}

impl Node {
    /// Names of its panels, in the order in which they are drawn.
    pub fn panels(&self) -> Vec<&'static str> {
        match self {
            Self::Column(parts) | Self::Row(parts) => parts.iter().flat_map(|(_, part)| part.panels()).collect(),
            Self::Panel(name) => vec![name],
        }
    }
}

/// A panel: described once here, found by name in layouts, keys and the configuration.
pub struct PanelDef {
    /// Name in the configuration.
    pub name: &'static str,
    /// Heading for people.
    pub title: &'static str,
    /// Glances' letter that shows and hides it, if it has one.
    pub key: Option<char>,
    /// What it needs to be collected.
    pub demands: fn() -> Vec<Demand>,
    /// Makes the block for the room there is.
    pub build: fn(&Cx<'_>, Space) -> Block,
}

/// A view: a page of the dashboard.
pub struct ViewDef {
    /// Name in the configuration and on the command line.
    pub name: &'static str,
    /// Heading for people.
    pub title: &'static str,
    /// What has to be collected, beside what its panels need, to know how they are arranged.
    pub demands: fn() -> Vec<Demand>,
    /// Arrangement for a size; panels that are `hidden` by the user are left out by `tui/`.
    pub layout: fn(&Cx<'_>, width: u16, height: u16) -> Node,
}

/// Everything a panel may look at.
pub struct Cx<'a> {
    /// The paired views of the newest samples, by table name; in rate mode.
    pub views: &'a dyn Views,
    /// Newest samples with the state of their collectors.
    pub snapshot: &'a crate::model::Snapshot,
    /// The past.
    pub host: &'a dyn crate::model::Host,
    /// Thresholds.
    pub levels: &'a crate::store::level::Thresholds,
    /// Bits or bytes, SI or IEC.
    pub style: crate::model::Style,
    /// Which rows are shown and under which name.
    pub settings: &'a Settings,
    /// Switches that Glances has as letters (`1` per CPU, `U` cumulative, `b` bits ...), by name.
    pub toggles: &'a std::collections::BTreeSet<&'static str>,
    /// The selected row of each table.
    pub picked: &'a std::collections::BTreeMap<&'static str, crate::model::Key>,
    /// How the host groups its connections for the view of them, while it does.
    pub grouped: Option<Grouping>,
    /// Names of ports and addresses.
    pub names: Names<'a>,
    /// Wall clock of this frame, for ages.
    pub now: crate::model::Timestamp,
}

impl Cx<'_> {
    /// Whether a switch is thrown.
    pub fn on(&self, toggle: &str) -> bool {
        self.toggles.contains(toggle)
    }
}

/// Cache of paired views, so that each table is paired once a frame.
pub trait Views {
    /// View of a table, `None` while it has no sample.
    fn get(&self, table: &str) -> Option<Arc<crate::store::rate::View>>;

    /// What needs attention: `find` is asked once for each snapshot.
    fn alerts(&self, find: &dyn Fn() -> Vec<Alert>) -> std::rc::Rc<[Alert]>;

    /// What panels have made of this snapshot.
    fn kept(&self) -> &Kept;
}

/// Configuration of what panels show: `[show.TABLE]`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Settings {
    /// By table name.
    pub tables: std::collections::BTreeMap<String, ShowSettings>,
    /// Their regular expressions, compiled when first needed.
    #[serde(skip)]
    #[schemars(skip)]
    pub compiled: show::Compiled,
}

/// Rows of one table: which, and under which name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShowSettings {
    /// Regular expression on the row's name: rows that match are left out.
    pub hide: Option<String>,
    /// Regular expression on the row's name: only rows that match are shown.
    pub show: Option<String>,
    /// Other names for rows.
    pub alias: std::collections::BTreeMap<String, String>,
}
