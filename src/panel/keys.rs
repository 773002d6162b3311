//! Which letters sort processes as in Glances, and which process does a row mean?
//!
//! `tui/` names no column, so what its keys need of one is said here.

use super::connections::{FLOWS, GROUPS};
use super::{Cx, toggle};
use crate::col;
use crate::collect::conntrack_flow::ConntrackFlowRow;
use crate::collect::conntrack_flow::group::ConntrackGroupRow;
use crate::collect::load::LoadRow;
use crate::collect::process::ProcessRow;
use crate::model::{Cell, Snapshot, Table, Text, Tracked, protocol_number};
use crate::store::rate::View;

/// A letter that sorts a table.
pub struct Sort {
    /// Name in the configuration.
    pub name: &'static str,
    /// Glances' letter.
    pub key: char,
    /// Table.
    pub table: &'static Table,
    /// Column; `None` is the table's own order.
    pub column: Option<usize>,
    /// Whether the largest comes first.
    pub descending: bool,
    /// For the help.
    pub help: &'static str,
}

const fn sort(name: &'static str, key: char, column: Option<usize>, descending: bool, help: &'static str) -> Sort {
    Sort { name, key, table: ProcessRow::TABLE, column, descending, help }
}

/// Every sort letter, in the order of the help.
pub static SORTS: &[Sort] = &[
    sort("auto", 'a', None, true, "sort processes by themselves: busiest first"),
    sort("cpu", 'c', Some(col!(ProcessRow, cpu)), true, "sort processes by CPU"),
    sort("memory", 'm', Some(col!(ProcessRow, memory)), true, "sort processes by memory"),
    sort("io", 'i', Some(col!(ProcessRow, read_bytes)), true, "sort processes by bytes read"),
    sort("core", 'o', Some(col!(ProcessRow, last_cpu)), false, "sort processes by the CPU they ran on"),
    sort("name", 'p', Some(col!(ProcessRow, name)), false, "sort processes by name"),
    sort("time", 't', Some(col!(ProcessRow, cpu_time)), true, "sort processes by CPU time"),
    sort("user", 'u', Some(col!(ProcessRow, user)), false, "sort processes by user"),
];

/// A process that an action is for, identified so that a reused pid is never hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Process.
    pub pid: u32,
    /// Start in clock ticks since boot.
    pub start: u64,
    /// Name for the question.
    pub name: String,
    /// Nice value now.
    pub nice: Option<i32>,
}

/// The process that a row of a view means; `None` for other tables, those of many hosts, and rows that are gone.
pub fn target(view: &View, row: usize) -> Option<Target> {
    if view.table().name != ProcessRow::TABLE.name || crate::browse::by(view.table()).is_some() {
        return None;
    }
    let number = |column| view.cell(row, column).number();
    let pid = number(col!(ProcessRow, pid))? as u32;
    let start = number(col!(ProcessRow, start))? as u64;
    let name = view.cell(row, col!(ProcessRow, name)).text()?.to_owned();
    Some(Target { pid, start, name, nice: number(col!(ProcessRow, nice)).map(|nice| nice as i32) })
}

/// Whether rows of a table are connections that the kernel tracks.
pub fn is_tracked(table: &str) -> bool {
    table == ConntrackFlowRow::TABLE.name
}

/// The connection that a row of a view means; `None` for other tables and rows that are gone.
pub fn tracked(view: &View, row: usize) -> Option<Tracked> {
    if !is_tracked(&view.table().name) || crate::browse::by(view.table()).is_some() {
        return None;
    }
    let number = |column| view.raw().cell(row, column).number();
    let address = |column| match view.raw().cell(row, column) {
        Cell::Ip(address) => Some(address),
        _ => None,
    };
    let words = |column| view.raw().cell(row, column).text().map(Text::from);
    let port = |column| number(column).map(|port| port as u16);
    let ports = port(col!(ConntrackFlowRow, source_port)).zip(port(col!(ConntrackFlowRow, destination_port)));
    let icmp = number(col!(ConntrackFlowRow, icmp_type)).zip(number(col!(ConntrackFlowRow, icmp_code)));
    let icmp = icmp.zip(number(col!(ConntrackFlowRow, icmp_id)));
    Some(Tracked {
        netns: words(col!(ConntrackFlowRow, netns))?,
        id: number(col!(ConntrackFlowRow, id))? as u32,
        protocol: protocol_number(&words(col!(ConntrackFlowRow, protocol))?)?,
        source: address(col!(ConntrackFlowRow, source))?,
        destination: address(col!(ConntrackFlowRow, destination))?,
        ports,
        icmp: icmp.map(|((kind, code), id)| (kind as u8, code as u8, id as u16)),
        zone: number(col!(ConntrackFlowRow, zone))? as u16,
    })
}

/// Why a process takes no signal, as far as a snapshot tells; `None` when it should.
pub fn fate(snapshot: &Snapshot, target: &Target) -> Option<&'static str> {
    let rows = &snapshot.get(&ProcessRow::TABLE.name)?.now.as_ref()?.rows;
    let same = |row: &usize| {
        let number = |column| rows.cell(*row, column).number();
        number(col!(ProcessRow, pid)) == Some(f64::from(target.pid))
            && number(col!(ProcessRow, start)) == Some(target.start as f64)
    };
    let Some(row) = (0..rows.len()).find(same) else { return Some("it has ended, nothing is left to signal") };
    (rows.cell(row, col!(ProcessRow, state)).text() == Some("zombie"))
        .then_some("it has ended and waits for its parent: no signal does anything")
}

/// How rows of a table become lines that stand for several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// What the lines are, in a word or two.
    pub name: &'static str,
    /// Rows with one value in this column are one line.
    pub by: usize,
    /// Columns that add up.
    pub sums: &'static [usize],
}

impl Grouping {
    /// What a host that groups rows so is asked for.
    pub fn common(self) -> Option<&'static str> {
        self.name.strip_prefix("by ")
    }
}

/// A view of rows that a host can group itself.
pub struct Grouped {
    /// View.
    pub view: &'static str,
    /// Panel of the rows, and their table.
    pub rows: (&'static str, &'static Table),
    /// Panel of the groups, and their table.
    pub groups: (&'static str, &'static Table),
}

/// Connections: the host knows all of them, those included that have no row.
pub static GROUPED: Grouped = Grouped {
    view: "connections",
    rows: (FLOWS.name, ConntrackFlowRow::TABLE),
    groups: (GROUPS.name, ConntrackGroupRow::TABLE),
};

static PROGRAMS: &[usize] = &[
    col!(ProcessRow, threads),
    col!(ProcessRow, cpu_time),
    col!(ProcessRow, user_time),
    col!(ProcessRow, system_time),
    col!(ProcessRow, guest_time),
    col!(ProcessRow, run_delay),
    col!(ProcessRow, rss),
    col!(ProcessRow, swap),
    col!(ProcessRow, pss),
    col!(ProcessRow, minor_faults),
    col!(ProcessRow, major_faults),
    col!(ProcessRow, read_bytes),
    col!(ProcessRow, write_bytes),
    col!(ProcessRow, cpu),
    col!(ProcessRow, memory),
];

static CARRIED: &[usize] = &[
    col!(ConntrackFlowRow, packets),
    col!(ConntrackFlowRow, bytes),
    col!(ConntrackFlowRow, reply_packets),
    col!(ConntrackFlowRow, reply_bytes),
];

const fn flows(name: &'static str, by: usize) -> Grouping {
    Grouping { name, by, sums: CARRIED }
}

static OF_PROCESSES: &[Grouping] = &[Grouping { name: "programs", by: col!(ProcessRow, name), sums: PROGRAMS }];

static OF_FLOWS: &[Grouping] = &[
    flows("by source", col!(ConntrackFlowRow, source)),
    flows("by destination", col!(ConntrackFlowRow, destination)),
    flows("by port", col!(ConntrackFlowRow, destination_port)),
    flows("by protocol", col!(ConntrackFlowRow, protocol)),
    flows("by state", col!(ConntrackFlowRow, state)),
    flows("by mark", col!(ConntrackFlowRow, mark)),
    flows("by zone", col!(ConntrackFlowRow, zone)),
    flows("by vm", col!(ConntrackFlowRow, vm)),
];

/// The ways in which rows of a table become lines that stand for several: processes of one name are a program.
pub fn groupings(table: &str) -> &'static [Grouping] {
    match table {
        table if table == ProcessRow::TABLE.name => OF_PROCESSES,
        table if table == ConntrackFlowRow::TABLE.name => OF_FLOWS,
        _ => &[],
    }
}

/// A column whose numbers are shown as a part of something larger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Table.
    pub table: &'static str,
    /// Column.
    pub column: usize,
    /// What numbers are multiplied with.
    pub factor: f64,
}

/// CPU use of processes as a share of all CPUs, if it is shown so and their number is known.
pub fn scale(cx: &Cx<'_>) -> Option<Scale> {
    if super::fleet::table(cx.host).is_some() {
        return None;
    }
    let load = cx.views.get(&LoadRow::TABLE.name).filter(|view| cx.on(toggle::SHARE_OF_ALL) && !view.is_empty())?;
    let cpus = load.cell(0, col!(LoadRow, cpus)).number().filter(|cpus| *cpus >= 1.0)?;
    Some(Scale { table: "process", column: col!(ProcessRow, cpu), factor: 1.0 / cpus })
}

/// Glances' letters of what no table tells yet, with what that is.
pub static LATER: &[(char, &str, &str)] = &[
    ('6', "mean-gpu", "mean of all GPUs"),
    ('7', "npu", "NPUs"),
    ('8', "mpp", "media processors"),
    ('C', "cloud", "cloud instance"),
    ('D', "containers", "containers"),
    ('P', "ports", "probes of ports"),
    ('V', "guests", "virtual machines"),
    ('W', "wifi", "Wi-Fi"),
];

/// Parent and child columns of the process tree.
pub fn tree(table: &str) -> Option<(usize, usize)> {
    (table == ProcessRow::TABLE.name).then_some((col!(ProcessRow, parent), col!(ProcessRow, pid)))
}

/// Columns of a table in its own view, the wide ones that people look for last.
pub fn columns(table: &str) -> Option<Vec<usize>> {
    if let Some(columns) = super::fleet::columns(table) {
        return Some(columns);
    }
    (table == ProcessRow::TABLE.name).then(|| {
        vec![
            col!(ProcessRow, pid),
            col!(ProcessRow, user),
            col!(ProcessRow, cpu),
            col!(ProcessRow, memory),
            col!(ProcessRow, rss),
            col!(ProcessRow, threads),
            col!(ProcessRow, state),
            col!(ProcessRow, nice),
            col!(ProcessRow, read_bytes),
            col!(ProcessRow, write_bytes),
            col!(ProcessRow, cpu_time),
            col!(ProcessRow, name),
            col!(ProcessRow, command),
        ]
    })
}
