//! What must a host know for a panel to make sense?
//!
//! An agent of another version may lack columns. What a panel shows beside others is simply missing then. What it is about
//! (the bar that it draws, the numbers by which its rows are ordered) is essential: without that the panel would show a
//! healthy nothing, so the generic table, which has what the agent does know, stands in its place.

use super::Cx;
use crate::col;
use crate::collect::cpu::CpuRow;
use crate::collect::disk::DiskRow;
use crate::collect::gpu::GpuRow;
use crate::collect::interrupt::InterruptRow;
use crate::collect::link::LinkRow;
use crate::collect::load::LoadRow;
use crate::collect::memory::MemoryRow;
use crate::collect::mount::MountRow;
use crate::collect::pressure::PressureRow;
use crate::collect::process::ProcessRow;
use crate::collect::socket::SocketRow;
use crate::model::Table;

/// A panel, a table that it reads, and the columns without which it makes no sense.
type Essential = (&'static str, &'static Table, &'static [usize]);

static ESSENTIAL: &[Essential] = &[
    ("cpu", CpuRow::TABLE, &[col!(CpuRow, cpu), col!(CpuRow, used)]),
    ("cores", CpuRow::TABLE, &[col!(CpuRow, cpu), col!(CpuRow, used)]),
    ("memory", MemoryRow::TABLE, &[col!(MemoryRow, used), col!(MemoryRow, total)]),
    ("load", LoadRow::TABLE, &[col!(LoadRow, one), col!(LoadRow, per_cpu)]),
    ("network", LinkRow::TABLE, &[col!(LinkRow, name), col!(LinkRow, rx_bytes), col!(LinkRow, tx_bytes)]),
    ("topology", LinkRow::TABLE, &[col!(LinkRow, name), col!(LinkRow, kind), col!(LinkRow, master)]),
    ("disks", DiskRow::TABLE, &[col!(DiskRow, read_bytes), col!(DiskRow, write_bytes)]),
    ("mounts", MountRow::TABLE, &[col!(MountRow, used_share)]),
    ("sockets", SocketRow::TABLE, &[col!(SocketRow, count)]),
    ("gpu", GpuRow::TABLE, &[col!(GpuRow, used)]),
    ("interrupts", InterruptRow::TABLE, &[col!(InterruptRow, interrupts)]),
    ("pressure", PressureRow::TABLE, &[col!(PressureRow, some_avg10)]),
    ("processes", ProcessRow::TABLE, &[col!(ProcessRow, cpu), col!(ProcessRow, command)]),
];

/// The table that stands in for a panel whose essential columns the host does not know, and the words that say so.
pub fn without(cx: &Cx<'_>, panel: &str) -> Option<(&'static Table, String)> {
    ESSENTIAL.iter().filter(|(name, ..)| *name == panel).find_map(|(_, table, columns)| {
        let shown = cx.host.schema().iter().find(|one| one.name == table.name)?;
        let column = columns.iter().find(|column| cx.host.lacks(&table.name, **column))?;
        let name = &table.columns.get(*column)?.name;
        Some((*shown, format!("the agent has no {}.{name}", table.name)))
    })
}

/// Why a table that the host does not know is empty.
pub fn unknown(table: &str) -> String {
    format!("the agent has no table `{table}`: it runs another version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_essential_belongs_to_a_panel_that_there_is() {
        for (panel, table, _) in ESSENTIAL {
            let def = super::super::PANELS.iter().find(|def| def.name == *panel);
            let demands = def.map(|def| (def.demands)()).unwrap_or_default();
            assert!(demands.iter().any(|demand| demand.table == table.name), "{panel}: {}", table.name);
        }
    }
}
