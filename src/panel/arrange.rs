//! What stands beside filter and sort in what a view makes of the rows of a table?
//!
//! Some rows are left out, some stand on top, and some stand under headings: described here for the tables that have such,
//! so that the table view need not know any.

use super::{
    Cx, Item, Line, Role, adjacency, alert, connections, database, firewall, fleet, guest, legacy, netfilter, toggle,
};
use crate::col;
use crate::collect::alert::AlertRow;
use crate::collect::conntrack_flow::ConntrackFlowRow;
use crate::collect::conntrack_flow::group::ConntrackGroupRow;
use crate::collect::netfilter::rows::NfqueueRow;
use crate::collect::nftables::NftRuleRow;
use crate::collect::routing::{
    AdjacencyRow, BfdPeerRow, BgpPeerRow, IsisAdjacencyRow, OspfAreaRow, OspfInterfaceRow, OspfLinkRow, OspfLsaRow,
    OspfNeighborRow, OspfRouteRow,
};
use crate::collect::vm::VmRow;
use crate::collect::xtables_rule::XtablesRuleRow;
use crate::model::Table;
use crate::store::rate::View;

/// A heading between rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    /// Rows above it.
    pub before: usize,
    /// Its line among rows and headings.
    pub at: usize,
    /// What it says.
    pub line: Line,
}

impl Head {
    pub(super) fn new(before: usize, line: Line) -> Self {
        Self { before, at: 0, line }
    }
}

/// Whether rows of a table can stand under headings.
pub fn is_outlined(table: &str) -> bool {
    flat(table).is_some()
}

/// The switch that makes one list of rows that stand under headings.
pub fn flat(table: &str) -> Option<&'static str> {
    match table {
        table if table == NftRuleRow::TABLE.name => Some(toggle::HOTTEST),
        table if table == OspfNeighborRow::TABLE.name => Some(toggle::ONE_LIST),
        _ => None,
    }
}

/// The Id that headings tell of rows below them, if rows stand under any.
pub fn told_above(cx: &Cx<'_>, table: &str) -> Option<usize> {
    match table {
        table if table == NftRuleRow::TABLE.name => (!cx.on(toggle::DROPS_FIRST)).then_some(col!(NftRuleRow, netns)),
        table if table == OspfNeighborRow::TABLE.name => Some(col!(OspfNeighborRow, netns)),
        _ => None,
    }
}

/// Leaves out rows that are hidden, puts first what belongs there, and under headings what is to have some. `all` is whether
/// headings without rows are shown.
pub fn arrange(cx: &Cx<'_>, view: &View, rows: &mut Vec<usize>, outlined: bool, all: bool) -> Vec<Head> {
    let table = &*view.table().name;
    if cx.settings.has(table) {
        rows.retain(|row| !cx.settings.hides(view, *row));
    }
    if table == ConntrackGroupRow::TABLE.name {
        rows.retain(|row| connections::is_shown(cx, view, *row));
    }
    if table == OspfLsaRow::TABLE.name {
        database::worst_first(view, rows);
    }
    if table == AlertRow::TABLE.name {
        alert::list::worst_first(view, rows);
    }
    let mut heads = match table {
        table if table == NftRuleRow::TABLE.name => rules(cx, view, rows, outlined, all),
        table if table == OspfNeighborRow::TABLE.name && outlined => adjacency::outline(cx, view, rows),
        _ => Vec::new(),
    };
    for (number, head) in heads.iter_mut().enumerate() {
        head.at = head.before + number;
    }
    heads
}

/// Rules under their tables and chains.
fn rules(cx: &Cx<'_>, view: &View, rows: &mut Vec<usize>, outlined: bool, all: bool) -> Vec<Head> {
    let known = rows.len();
    rows.retain(|row| firewall::keeps(cx, view, *row));
    let all = all && rows.len() == known;
    let mut first = Vec::new();
    if cx.on(toggle::DROPS_FIRST) {
        (first, *rows) = rows.iter().partition(|row| firewall::drops(view, **row));
    }
    let mut heads = if outlined { firewall::outline(cx, view, rows, all) } else { Vec::new() };
    for head in &mut heads {
        head.before += first.len();
    }
    if outlined && !first.is_empty() {
        heads.insert(0, Head::new(0, vec![super::line::text("▾ what drops and rejects", Role::Title)]));
    }
    rows.splice(0..0, first);
    heads
}

/// What stands in the cells of a column before its number.
pub struct Beside<'a> {
    /// Column.
    pub column: usize,
    /// Cells.
    pub cells: u16,
    /// What it is for a row.
    pub item: Box<dyn Fn(usize) -> Item + 'a>,
}

/// A column with the cells that it takes and its rank: the highest go first when room is short, and 0 stays.
pub(super) type Ranked = (usize, u16, u8);

/// The columns that fit.
pub(super) fn fitting(columns: &[Ranked], width: u16) -> Vec<usize> {
    let mut columns = columns.to_vec();
    while columns.iter().map(|(_, cells, _)| cells).sum::<u16>() > width {
        let worst = columns.iter().enumerate().filter(|(_, one)| one.2 > 0).max_by_key(|(_, one)| one.2);
        let Some((worst, _)) = worst else { break };
        columns.remove(worst);
    }
    columns.iter().map(|(column, ..)| *column).collect()
}

/// Cells of a bar.
const BAR: u16 = 8;

/// What stands beside the numbers of a table that is sorted by a column: the past of hosts, dead timers of neighbors, or a
/// row's share of the busiest.
pub fn beside<'a>(cx: &'a Cx<'_>, view: &'a View, sorted: Option<usize>, width: u16) -> Vec<Beside<'a>> {
    let table: &Table = view.table();
    if let Some((column, cells)) = fleet::past(cx, &table.name, width) {
        return vec![Beside { column, cells, item: Box::new(move |row| fleet::spark(cx, view, row, (column, cells))) }];
    }
    if table.name == OspfNeighborRow::TABLE.name {
        return adjacency::beside(cx, view);
    }
    share(view, sorted).into_iter().collect()
}

fn share(view: &View, sorted: Option<usize>) -> Option<Beside<'_>> {
    let busy = busy(&view.table().name)?;
    let column = sorted.filter(|column| busy.contains(column)).or(busy.first().copied())?;
    let number = move |row: usize| view.cell(row, column).number().filter(|number| number.is_finite());
    let most = (0..view.len()).filter_map(number).fold(0.0, f64::max);
    let item = move |row: usize| {
        let share = number(row).filter(|_| most > 0.0).map_or(0.0, |number| number / most);
        let role = tone(view, row, view.table().label_column()).unwrap_or(Role::Value);
        Item::Bar { parts: vec![(share, role)], marks: Vec::new(), width: BAR }
    };
    Some(Beside { column, cells: BAR, item: Box::new(item) })
}

/// Columns of which a row has a bar.
fn busy(table: &str) -> Option<&'static [usize]> {
    match table {
        table if table == ConntrackFlowRow::TABLE.name => Some(connections::BUSY),
        table if table == ConntrackGroupRow::TABLE.name => Some(connections::LARGE),
        table if table == NftRuleRow::TABLE.name => Some(firewall::BUSY),
        table if table == XtablesRuleRow::TABLE.name => Some(legacy::BUSY),
        table if table == VmRow::TABLE.name => Some(guest::BUSY),
        _ => None,
    }
}

/// What is known of a row beside its own columns, in lines of a width.
pub fn about(cx: &Cx<'_>, view: &View, row: usize, width: u16) -> Vec<Line> {
    match &*view.table().name {
        table if table == NftRuleRow::TABLE.name => firewall::about(cx, view, row, width),
        table if table == AlertRow::TABLE.name => alert::list::sentence(cx, view, row, width),
        _ => netfilter::about(view, width),
    }
}

/// How a cell is written that stands out without being over a threshold.
pub fn tone(view: &View, row: usize, column: usize) -> Option<Role> {
    match &*view.table().name {
        table if table == NftRuleRow::TABLE.name => firewall::tone(view, row, column),
        table if table == XtablesRuleRow::TABLE.name => legacy::tone(view, row, column),
        table if table == NfqueueRow::TABLE.name => netfilter::tone(view, row, column),
        table if table == VmRow::TABLE.name => guest::tone(view, row, column),
        table if table == AlertRow::TABLE.name => alert::list::tone(view, row),
        _ => is_stale(view, row).then_some(Role::Stale),
    }
}

/// Whether what a row tells is over, so that nothing of it is bad any more.
pub fn is_over(view: &View, row: usize) -> bool {
    alert::list::is_over(view, row)
}

/// What stands in a cell in place of what its column tells.
pub fn reworded(view: &View, row: usize, column: usize) -> Option<String> {
    alert::list::lasted(view, row, column)
}

/// Columns that are there when who told a row tells nothing any more.
const STALE: [(&Table, usize); 10] = [
    (AdjacencyRow::TABLE, col!(AdjacencyRow, stale)),
    (BfdPeerRow::TABLE, col!(BfdPeerRow, stale)),
    (BgpPeerRow::TABLE, col!(BgpPeerRow, stale)),
    (IsisAdjacencyRow::TABLE, col!(IsisAdjacencyRow, stale)),
    (OspfAreaRow::TABLE, col!(OspfAreaRow, stale)),
    (OspfInterfaceRow::TABLE, col!(OspfInterfaceRow, stale)),
    (OspfLinkRow::TABLE, col!(OspfLinkRow, stale)),
    (OspfLsaRow::TABLE, col!(OspfLsaRow, stale)),
    (OspfNeighborRow::TABLE, col!(OspfNeighborRow, stale)),
    (OspfRouteRow::TABLE, col!(OspfRouteRow, stale)),
];

/// Whether a row is what was so when it was told last.
pub(super) fn is_stale(view: &View, row: usize) -> bool {
    told(view, row).is_some()
}

/// The column that says when a row was told last, of one that is told no more.
pub(super) fn told(view: &View, row: usize) -> Option<usize> {
    let (_, column) = STALE.iter().find(|(table, _)| table.name == view.table().name)?;
    Some(*column).filter(|column| !view.raw().cell(row, *column).is_missing())
}
