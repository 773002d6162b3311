//! How are many hosts, and which of their columns come first?

use super::line::{self, gap};
use super::{Cx, Item, Line, Role, alert, header};
use crate::browse::{FleetRow, Link, position};
use crate::col;
use crate::collect::cpu::CpuRow;
use crate::collect::link::LinkRow;
use crate::collect::load::LoadRow;
use crate::collect::memory::MemoryRow;
use crate::collect::mount::MountRow;
use crate::collect::pressure::PressureRow;
use crate::model::{Host, Level, Table};

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

/// Columns of the table of hosts.
pub(super) fn columns() -> Vec<usize> {
    let summary = SUMMARY.iter().filter_map(|(table, column)| position(&table.name, &table.columns.get(*column)?.name));
    let own = [col!(FleetRow, host), col!(FleetRow, state), col!(FleetRow, critical), col!(FleetRow, warning)];
    let last = [col!(FleetRow, seen), col!(FleetRow, reason)];
    own.into_iter().chain(summary).chain(last).collect()
}

/// Columns that a table is ordered by at first, and whether the largest comes first: the worst hosts.
pub fn order(table: &str) -> Vec<(usize, bool)> {
    let worst = [col!(FleetRow, critical), col!(FleetRow, warning), col!(FleetRow, careful)];
    if table == FleetRow::TABLE.name { worst.map(|column| (column, true)).to_vec() } else { Vec::new() }
}

/// What there is to say of one host beside its row: where it is, how it is reached and why.
pub fn detail(cx: &Cx<'_>, row: usize) -> Option<Line> {
    let view = cx.views.get(&FleetRow::TABLE.name)?;
    let words = |column: usize| view.table().columns.get(column)?.words(&view.cell(row, column), writing(cx));
    let (host, state) = (words(col!(FleetRow, host))?, words(col!(FleetRow, state))?);
    let mut facts = vec![format!("{state} for {}", words(col!(FleetRow, since)).unwrap_or_else(|| "?".to_owned()))];
    facts.extend(words(col!(FleetRow, reason)));
    facts.extend(words(col!(FleetRow, retry)).map(|retry| format!("again {retry}")));
    facts.extend(words(col!(FleetRow, address)).filter(|address| *address != host));
    facts.extend(words(col!(FleetRow, version)).map(|version| format!("agent {version}")));
    facts.extend(words(col!(FleetRow, boot)).map(|up| format!("up {up}")));
    facts.extend(words(col!(FleetRow, skew)).map(|skew| format!("clock off by {skew}")));
    facts.extend(words(col!(FleetRow, groups)).filter(|groups| !groups.is_empty()));
    Some(vec![line::text(format!(" {host}  "), Role::Title), line::text(facts.join(" · "), Role::Plain)])
}

fn writing(cx: &Cx<'_>) -> crate::model::Writing {
    crate::model::Writing { rate: true, style: cx.style, now: cx.now, exact: 100_000 }
}

/// The first line of the screen: how many hosts are in which state.
pub fn heading(cx: &Cx<'_>, width: u16) -> Line {
    let mut right: Line = alert::summary(&alert::all(cx));
    right.push(line::text(format!("  {}", header::clock(cx.now)), Role::Value));
    right.push(gap());
    let room = width.saturating_sub(line::width(&right)).saturating_sub(1);
    let mut out = vec![line::text("fleet", Role::Title)];
    if let Some(view) = cx.views.get(&FleetRow::TABLE.name) {
        out.push(line::text(format!("  {} hosts", view.len()), Role::Plain));
        for label in Link::LABELS {
            let is = |row: &usize| view.raw().cell(*row, col!(FleetRow, state)).text() == Some(label.name);
            let count = (0..view.len()).filter(is).count();
            if count > 0 {
                let role = if label.level == Level::Ok { Role::Plain } else { Role::Level(label.level) };
                out.push(line::text(" · ", Role::Muted));
                out.push(line::text(format!("{count} {}", label.name), role));
            }
        }
    }
    let mut out = line::clip(out, room);
    out.push(Item::Fill);
    out.extend(right);
    line::clip(out, width)
}
