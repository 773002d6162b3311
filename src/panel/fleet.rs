//! How are many hosts, and which of their columns come first?

use super::line::{self, gap};
use super::{Cx, Item, Line, Role, alert, header, number, toggle};
use crate::browse::{FleetRow, GroupRow, Link, by, is_group, position, within};
use crate::col;
use crate::collect::cpu::CpuRow;
use crate::collect::link::LinkRow;
use crate::collect::load::LoadRow;
use crate::collect::memory::MemoryRow;
use crate::collect::mount::MountRow;
use crate::collect::pressure::PressureRow;
use crate::model::{Host, LabelDef, Level, Table};
use crate::store::rate::View;

/// Columns that summarize a host, in the order shown.
const SUMMARY: &[(&Table, usize)] = &[
    (CpuRow::TABLE, col!(CpuRow, used)),
    (MemoryRow::TABLE, col!(MemoryRow, used)),
    (LoadRow::TABLE, col!(LoadRow, per_cpu)),
    (LinkRow::TABLE, col!(LinkRow, rx_bytes)),
    (LinkRow::TABLE, col!(LinkRow, tx_bytes)),
    (MountRow::TABLE, col!(MountRow, used_share)),
    (PressureRow::TABLE, col!(PressureRow, some_avg10)),
    (CpuRow::TABLE, col!(CpuRow, steal_share)),
];

/// Name of the table of hosts if a host is many.
pub fn table(host: &dyn Host) -> Option<&'static str> {
    let first = host.schema().first()?;
    (first.name == FleetRow::TABLE.name).then_some(&*first.name)
}

/// Columns of the table of hosts, and of those of groups.
pub(super) fn columns(table: &str) -> Option<Vec<usize>> {
    let summary = SUMMARY.iter().filter_map(|(table, column)| position(&table.name, &table.columns.get(*column)?.name));
    if is_group(table) {
        let own = [col!(GroupRow, value), col!(GroupRow, hosts), col!(GroupRow, live)];
        let levels = [col!(GroupRow, critical), col!(GroupRow, warning)];
        let behind = |at: usize| at - FleetRow::TABLE.columns.len() + GroupRow::TABLE.columns.len();
        let last = [col!(GroupRow, worst)];
        return Some(own.into_iter().chain(levels).chain(summary.map(behind)).chain(last).collect());
    }
    if table != FleetRow::TABLE.name {
        return None;
    }
    let own = [col!(FleetRow, host), col!(FleetRow, state), col!(FleetRow, critical), col!(FleetRow, warning)];
    let last = [col!(FleetRow, seen), col!(FleetRow, reason)];
    Some(own.into_iter().chain(summary).chain(last).collect())
}

/// Columns that a table is ordered by at first, and whether the largest comes first: the worst hosts.
pub fn order(table: &str) -> Vec<(usize, bool)> {
    if is_group(table) {
        let worst = [col!(GroupRow, critical), col!(GroupRow, warning), col!(GroupRow, careful)];
        return worst.map(|column| (column, true)).to_vec();
    }
    let worst = [col!(FleetRow, critical), col!(FleetRow, warning), col!(FleetRow, careful)];
    if table == FleetRow::TABLE.name { worst.map(|column| (column, true)).to_vec() } else { Vec::new() }
}

/// The column of a table whose past stands beside it, and the cells that the past has.
pub fn past(cx: &Cx<'_>, table: &str, width: u16) -> Option<(usize, u16)> {
    let column = position(&CpuRow::TABLE.name, &CpuRow::TABLE.columns.get(col!(CpuRow, used))?.name)?;
    let shown = table == FleetRow::TABLE.name && !cx.on(toggle::NO_SPARKLINES);
    shown.then_some((column, if width < 120 { 5 } else { 10 }))
}

/// The filter by which a row of a table of groups leads to its hosts.
pub fn members(view: &View, row: usize) -> Option<String> {
    within(&view.table().name, view.raw().cell(row, col!(GroupRow, value)).text())
}

/// The past of a cell.
pub fn spark(cx: &Cx<'_>, view: &View, row: usize, (column, width): (usize, u16)) -> Item {
    number::spark(cx, view, row, column, width, Some(1.0))
}

/// What there is to say of one host beside its row, in at most so many lines: where it is, how it is reached and why.
pub fn detail(cx: &Cx<'_>, view: &View, row: usize, (width, lines): (u16, u16)) -> Vec<Line> {
    let Some((host, facts)) = facts(cx, view, row) else { return Vec::new() };
    let mut out = vec![vec![line::text(format!(" {host} "), Role::Title)]];
    for (at, fact) in facts.into_iter().enumerate() {
        let words = format!("{} {fact}", if at == 0 { "" } else { " ·" });
        let full = out.len() >= usize::from(lines);
        if let Some(last) = out.last_mut().filter(|last| full || line::width(last) + line::cells(&words) <= width) {
            last.push(line::text(words, Role::Plain));
        } else {
            out.push(vec![line::text(format!("   {fact}"), Role::Plain)]);
        }
    }
    out.into_iter().map(|one| line::clip(one, width)).collect()
}

/// A host and what there is to say of it, what matters most first.
fn facts(cx: &Cx<'_>, of: &View, row: usize) -> Option<(String, Vec<String>)> {
    let view = cx.views.get(&FleetRow::TABLE.name)?;
    let group = |column: usize| of.raw().cell(row, column).text().map(str::to_owned);
    if is_group(&of.table().name) {
        let worst = group(col!(GroupRow, worst))?;
        return Some((
            group(col!(GroupRow, value)).unwrap_or_else(|| "without one".to_owned()),
            vec![format!("worst is {worst}"), "enter shows the hosts".to_owned()],
        ));
    }
    let row = match by(of.table()) {
        None => row,
        Some(by) => {
            let cell = of.raw().cell(row, by);
            (0..view.len()).find(|row| view.raw().cell(*row, col!(FleetRow, host)) == cell)?
        }
    };
    let words = |column: usize| view.table().columns.get(column)?.words(&view.cell(row, column), writing(cx));
    let (host, state) = (words(col!(FleetRow, host))?, words(col!(FleetRow, state))?);
    let mut facts = vec![format!("{state} for {}", words(col!(FleetRow, since)).unwrap_or_else(|| "?".to_owned()))];
    facts.extend(words(col!(FleetRow, reason)));
    facts.extend(words(col!(FleetRow, retry)).map(|retry| format!("again {retry}")));
    facts.extend(words(col!(FleetRow, address)).filter(|address| *address != host));
    facts.extend(words(col!(FleetRow, version)).map(|version| format!("agent {version}")));
    facts.extend(words(col!(FleetRow, boot)).map(|up| format!("up {up}")));
    let skew = view.cell(row, col!(FleetRow, skew)).number().filter(|skew| skew.abs() > header::SKEW);
    facts.extend(skew.and(words(col!(FleetRow, skew))).map(|skew| format!("clock off by {skew}")));
    facts.extend(words(col!(FleetRow, groups)).filter(|groups| !groups.is_empty()));
    Some((host, facts))
}

fn writing(cx: &Cx<'_>) -> crate::model::Writing {
    crate::model::Writing { rate: true, style: cx.style, now: cx.now, exact: 100_000 }
}

/// How many hosts are in each state that any is in: those that live, then the worst first.
fn states(view: &View) -> Vec<(usize, &'static LabelDef)> {
    let is = |row: &usize, label: &LabelDef| view.raw().cell(*row, col!(FleetRow, state)).text() == Some(label.name);
    let count = |label: &'static LabelDef| ((0..view.len()).filter(|row| is(row, label)).count(), label);
    let mut counted: Vec<_> = Link::LABELS.iter().map(count).filter(|(count, _)| *count > 0).collect();
    counted.sort_by_key(|(_, label)| (label.name != Link::Live.name(), std::cmp::Reverse(label.level)));
    counted
}

/// The first line of the screen: how many hosts are in which state.
pub fn heading(cx: &Cx<'_>, width: u16) -> Line {
    let mut right: Line = alert::summary(&alert::all(cx));
    right.push(line::text(format!("  {}", header::clock(cx.now)), Role::Value));
    right.push(gap());
    let room = width.saturating_sub(line::width(&right)).saturating_sub(1);
    let mut out = vec![line::text("fleet", Role::Title)];
    if let Some(view) = cx.views.get(&FleetRow::TABLE.name) {
        out.push(line::text(format!("  {} host{}", view.len(), if view.len() == 1 { "" } else { "s" }), Role::Plain));
        // what has no room is left out whole, and last what is worst
        for (count, label) in states(&view) {
            let sign = u16::from(label.level > Level::Ok);
            let words = format!("{count} {}", label.name);
            if line::width(&out) + 3 + line::cells(&words) + sign <= room {
                let role = if label.level == Level::Ok { Role::Plain } else { Role::Level(label.level) };
                out.extend([line::text(" · ", Role::Muted), line::text(words, role)]);
            }
        }
    }
    let mut out = line::clip(out, room);
    out.push(Item::Fill);
    out.extend(right);
    line::clip(out, width)
}
