//! Which guests run here, what do their virtual CPUs, disks and network cards do, and who sits on which CPU of the host?

use std::collections::BTreeMap;

use super::arrange::{Ranked, fitting};
use super::line::{self, gap};
use super::list::{self, Column, List, Show};
use super::number;
use super::pick::{self, Pick};
use super::{Block, Body, Cx, Line, PanelDef, Role, Space, TableSpec};
use crate::col;
use crate::collect::vm::nic::VmNicRow;
use crate::collect::vm::{VcpuRow, VmRow};
use crate::collect::vm_monitor::disk::VmDiskRow;
use crate::model::{Demand, Level, Table};
use crate::store::rate::View;

/// Guests.
pub(super) const PANEL: PanelDef = PanelDef { name: "guests", title: "Guests", key: None, demands, build };

/// Virtual CPUs of the selected guest, or the busiest of all.
pub(super) const VCPUS: PanelDef =
    PanelDef { name: "vcpus", title: "Virtual CPUs", key: None, demands: || vec![where_they_run()], build: vcpus };

/// Network cards of the selected guest, or the busiest of all.
pub(super) const NICS: PanelDef = PanelDef {
    name: "guest-nics",
    title: "Guests' network cards",
    key: None,
    demands: || vec![Demand::table(&VmNicRow::TABLE.name)],
    build: nics,
};

/// Disks of the selected guest, or those of all.
pub(super) const DISKS: PanelDef = PanelDef {
    name: "guest-disks",
    title: "Guests' disks",
    key: None,
    demands: || vec![Demand::table(&VmDiskRow::TABLE.name)],
    build: disks,
};

/// CPUs of the host with the virtual CPUs that ran there last.
pub(super) const PLACES: PanelDef = PanelDef {
    name: "guest-cpus",
    title: "Who runs where",
    key: None,
    demands: || vec![where_they_run()],
    build: places,
};

/// Columns of guests.
const COLUMNS: &[Ranked] = &[
    (col!(VmRow, name), 18, 0),
    (col!(VmRow, state), 9, 1),
    (col!(VmRow, cpu), 8, 0),
    (col!(VmRow, used), 16, 0),
    (col!(VmRow, ready), 8, 0),
    (col!(VmRow, vcpus), 6, 3),
    (col!(VmRow, rss), 8, 1),
    (col!(VmRow, memory_size), 8, 4),
    (col!(VmRow, swap), 8, 6),
    (col!(VmRow, read_bytes), 8, 3),
    (col!(VmRow, write_bytes), 8, 3),
    (col!(VmRow, rx_bytes), 9, 2),
    (col!(VmRow, tx_bytes), 9, 2),
    (col!(VmRow, monitor), 12, 7),
    (col!(VmRow, pid), 8, 8),
];

/// Columns of which a guest has a bar.
pub(super) const BUSY: &[usize] = &[col!(VmRow, used), col!(VmRow, ready), col!(VmRow, cpu)];

fn demands() -> Vec<Demand> {
    vec![Demand::table(&VmRow::TABLE.name)]
}

/// Virtual CPUs with the CPU of the host that each ran on last.
fn where_they_run() -> Demand {
    Demand { columns: vec!["last_cpu".to_owned()], ..Demand::table(&VcpuRow::TABLE.name) }
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let spec = TableSpec {
        columns: fitting(COLUMNS, space.width),
        // what is idle is told apart by its memory
        sort: vec![(col!(VmRow, cpu), true), (col!(VmRow, rss), true)],
        none: "no guest runs here",
        ..TableSpec::of(&VmRow::TABLE.name)
    };
    Block {
        title: "Guests".into(),
        note: cx.views.get(&VmRow::TABLE.name).map_or_else(Line::new, |view| note(&view)),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, VmRow::TABLE),
        body: Body::Table(spec),
    }
}

fn note(view: &View) -> Line {
    let count =
        |state: &str| (0..view.len()).filter(|row| view.cell(*row, col!(VmRow, state)).text() == Some(state)).count();
    let mut words = format!("{} running", count("running"));
    for state in ["paused", "stuck"] {
        if count(state) > 0 {
            words.extend(["  ", &count(state).to_string(), " ", state]);
        }
    }
    vec![line::text(words, Role::Muted)]
}

/// How a guest that does not run is written.
pub(super) fn tone(view: &View, row: usize, column: usize) -> Option<Role> {
    if ![col!(VmRow, name), col!(VmRow, state)].contains(&column) {
        return None;
    }
    match view.cell(row, col!(VmRow, state)).text()? {
        "running" => None,
        state => Some(Role::Level(view.table().column("state")?.1.label_level(state))),
    }
}

/// Rows of a table whose guest is selected, or all of them, and what they are of.
fn chosen(cx: &Cx<'_>, table: &'static Table, busy: &[usize], pid: usize) -> Result<(Pick, Option<String>), Body> {
    let mut picked = pick::pick(cx, table, busy)?;
    let guests = cx.views.get(&VmRow::TABLE.name);
    let selected = cx.picked.get(&*VmRow::TABLE.name).zip(guests.as_deref()).and_then(|(key, guests)| {
        let row = (0..guests.len()).find(|row| key.matches(guests.raw(), *row))?;
        let cell = |column| guests.cell(row, column);
        Some((cell(col!(VmRow, pid)).number()?, cell(col!(VmRow, name)).text()?.to_owned()))
    });
    let Some((own, name)) = selected else { return Ok((picked, None)) };
    let is_own = |row: usize| picked.view.cell(row, pid).number().is_some_and(|pid| pid.to_bits() == own.to_bits());
    let rows: Vec<_> = picked.rows.iter().filter(|row| is_own(row.row)).cloned().collect();
    picked.rows = rows;
    Ok((picked, Some(name)))
}

fn of(cx: &Cx<'_>, space: Space, list: List, chosen: Result<(Pick, Option<String>), Body>) -> Block {
    let title = list.title;
    match chosen {
        Err(body) => pick::empty(title, body),
        Ok((picked, _)) if picked.rows.is_empty() => {
            pick::empty(title, Body::Empty { level: Level::Ok, why: "the selected guest has none".to_owned() })
        }
        Ok((picked, name)) => {
            let block = list::filled(cx, space, list, &picked);
            match name {
                Some(name) => Block { title: format!("{title} of {name}").into(), ..block },
                None => block,
            }
        }
    }
}

/// What a virtual CPU would run if it could.
const WANTS: &[usize] = &[col!(VcpuRow, used), col!(VcpuRow, ready)];

fn vcpus(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::number("vcpu", 0, Show::Of(col!(VcpuRow, vcpu))),
        Column::wide("", 6, 4, Show::Bar(col!(VcpuRow, used))),
        Column::number("used", 0, Show::Of(col!(VcpuRow, used))),
        Column::number("ready", 0, Show::Of(col!(VcpuRow, ready))),
        Column::wide("past", 8, 5, Show::Spark(col!(VcpuRow, used), Some(1.0))),
        Column::number("on", 2, Show::Of(col!(VcpuRow, last_cpu))),
    ];
    let picked = chosen(cx, VcpuRow::TABLE, WANTS, col!(VcpuRow, pid));
    let (title, table, busy) = (VCPUS.title, VcpuRow::TABLE, WANTS.to_vec());
    of(cx, space, List { title, names: "guest", table, name: 18, busy, columns, graphs: &[] }, picked)
}

fn nics(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("tap", 10, 0, Show::Words(col!(VmNicRow, tap))),
        Column::wide("bridge", 8, 3, Show::Words(col!(VmNicRow, bridge))),
        Column::wide("addresses", 13, 3, Show::Words(col!(VmNicRow, addresses))),
        Column::wide("mac", 17, 5, Show::Words(col!(VmNicRow, mac))),
        Column::number("rx", 0, Show::Of(col!(VmNicRow, rx_bytes))),
        Column::number("tx", 0, Show::Of(col!(VmNicRow, tx_bytes))),
        Column::number("rx pkt", 4, Show::Of(col!(VmNicRow, rx_packets))),
        Column::number("tx pkt", 4, Show::Of(col!(VmNicRow, tx_packets))),
        Column::number("rxdrop", 1, Show::Bad(col!(VmNicRow, rx_dropped))),
        Column::number("txdrop", 2, Show::Bad(col!(VmNicRow, tx_dropped))),
    ];
    let busy = col!(VmNicRow, rx_bytes);
    let list = List {
        title: NICS.title,
        names: "guest",
        table: VmNicRow::TABLE,
        name: 14,
        busy: vec![busy, col!(VmNicRow, tx_bytes)],
        columns,
        graphs: &[("rx", col!(VmNicRow, rx_bytes)), ("tx", col!(VmNicRow, tx_bytes))],
    };
    of(cx, space, list, chosen(cx, VmNicRow::TABLE, &[busy], col!(VmNicRow, pid)))
}

fn disks(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("guest", 12, 3, Show::Words(col!(VmDiskRow, guest))),
        Column::wide("", 6, 6, Show::Bar(col!(VmDiskRow, filled))),
        Column::number("size", 0, Show::Of(col!(VmDiskRow, size))),
        Column::number("used", 1, Show::Of(col!(VmDiskRow, used))),
        Column::wide("format", 6, 2, Show::Words(col!(VmDiskRow, format))),
        Column::wide("", 2, 4, Show::Words(col!(VmDiskRow, access))),
        Column::wide("on", 6, 5, Show::Words(col!(VmDiskRow, device))),
        Column::number("R/s", 2, Show::Of(col!(VmDiskRow, read_bytes))),
        Column::number("W/s", 2, Show::Of(col!(VmDiskRow, write_bytes))),
        Column::number("R lat", 4, Show::Of(col!(VmDiskRow, read_latency))),
        Column::number("W lat", 4, Show::Of(col!(VmDiskRow, write_latency))),
    ];
    let busy = col!(VmDiskRow, used);
    let (title, table) = (DISKS.title, VmDiskRow::TABLE);
    let graphs = &[("read", col!(VmDiskRow, read_bytes)), ("written", col!(VmDiskRow, write_bytes))];
    let list = List { title, names: "disk", table, name: 20, busy: vec![busy], columns, graphs };
    of(cx, space, list, chosen(cx, table, &[busy], col!(VmDiskRow, pid)))
}

/// Cells of a virtual CPU on its place: guest, number, and the share of the time in which it ran.
const CELL: u16 = 24;

fn places(cx: &Cx<'_>, space: Space) -> Block {
    let picked = match pick::pick(cx, VcpuRow::TABLE, WANTS) {
        Ok(picked) => picked,
        Err(body) => return pick::empty(PLACES.title, body),
    };
    let view = &picked.view;
    let mut cpus: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for row in &picked.rows {
        if let Some(cpu) = view.cell(row.row, col!(VcpuRow, last_cpu)).number() {
            cpus.entry(cpu as u64).or_default().push(row.row);
        }
    }
    let each = usize::from((space.width.saturating_sub(10) / (CELL + 1)).max(1));
    let cell = |row: &usize| place(cx, view, *row);
    // all of them where there is room
    let whole: usize = cpus.values().map(|rows| rows.len().div_ceil(each)).sum();
    let most = if whole <= usize::from(space.height) { usize::MAX } else { each };
    let lines = cpus.iter().flat_map(|(cpu, rows)| {
        let more = rows.len().saturating_sub(most);
        let shown = rows.get(..rows.len() - more).unwrap_or_default();
        let mut lines: Vec<Line> = shown.chunks(each).map(|chunk| chunk.iter().flat_map(cell).collect()).collect();
        for (at, line) in lines.iter_mut().enumerate() {
            let [cpu, count] =
                if at > 0 { [String::new(), String::new()] } else { [cpu.to_string(), format!("{}×", rows.len())] };
            line.splice(0..0, [line::right(cpu, Role::Label, 4), gap(), line::right(count, Role::Muted, 4)]);
        }
        if let Some(last) = lines.last_mut().filter(|_| more > 0) {
            last.push(line::text(format!(" +{more}"), Role::Muted));
        }
        lines
    });
    let shown = list::lines(lines.collect(), space);
    let note = vec![line::text(format!("{} of the host's CPUs", cpus.len()), Role::Muted)];
    shown.block(PLACES.title, note, pick::stale(cx, VcpuRow::TABLE))
}

/// A virtual CPU on its place.
fn place(cx: &Cx<'_>, view: &View, row: usize) -> Line {
    let vcpu = view.cell(row, col!(VcpuRow, vcpu)).number().unwrap_or_default();
    let name = number::words(cx, view, row, col!(VcpuRow, guest)).words;
    let used = number::number(cx, view, row, col!(VcpuRow, used));
    let share = line::cells(&used.words) + 1;
    let name = format!("{}/{vcpu}", line::cut(&name, CELL.saturating_sub(share + 5)));
    vec![gap(), line::left(name, Role::Plain, CELL - share), used.cell(share)]
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;
    use crate::model::Key;

    fn fake() -> Fake {
        let mut fake = Fake::empty();
        let guest = |pid: u32, name: &str, state: &str| format!("pid={pid} start=5 name={name} state={state}");
        fake.put(VmRow::TABLE, &[guest(7, "web", "running"), guest(9, "db", "paused"), guest(11, "new", "stuck")]);
        let vcpu = |pid: u32, name: &str, vcpu: u32, on: u32| {
            format!("pid={pid} start=5 vcpu={vcpu} guest={name} thread=1 last_cpu={on}")
        };
        fake.put(VcpuRow::TABLE, &[vcpu(7, "web", 0, 3), vcpu(7, "web", 1, 0), vcpu(9, "db", 0, 3)]);
        fake
    }

    fn words(block: &Block) -> Vec<String> {
        match &block.body {
            Body::Lines(lines) => lines.iter().map(|line| line::words(line)).collect(),
            Body::Empty { why, .. } => vec![why.clone()],
            Body::Table(_) => Vec::new(),
        }
    }

    const ROOM: Space = Space { width: 100, height: 20, scroll: 0 };

    #[test]
    fn virtual_cpus_are_those_of_the_selected_guest_or_of_all() {
        let mut fake = fake();
        let block = vcpus(&fake.cx(), ROOM);
        assert_eq!((&*block.title, words(&block).len()), ("Virtual CPUs", 4));
        for (row, title, count) in [(0, "Virtual CPUs of web", 3), (1, "Virtual CPUs of db", 2)] {
            let rows = fake.cx().views.get("vm").unwrap();
            fake.picked.insert("vm", Key::of(rows.raw(), row));
            let block = vcpus(&fake.cx(), ROOM);
            assert_eq!((&*block.title, words(&block).len()), (title, count));
        }
        let rows = fake.cx().views.get("vm").unwrap();
        fake.picked.insert("vm", Key::of(rows.raw(), 2));
        assert_eq!(words(&vcpus(&fake.cx(), ROOM)), ["the selected guest has none"]);
    }

    #[test]
    fn each_cpu_of_the_host_has_a_line_with_those_that_ran_there() {
        let fake = fake();
        let lines = words(&places(&fake.cx(), ROOM));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("web/1") && !lines[0].contains("db"), "{lines:?}");
        assert!(lines[1].contains("2×") && lines[1].contains("web/0") && lines[1].contains("db/0"), "{lines:?}");
        let narrow = words(&places(&fake.cx(), Space { width: 40, ..ROOM }));
        assert_eq!(narrow.len(), 3, "{narrow:?}");
        assert!(narrow[1].contains("2×") && narrow[2].contains("web/0") && !narrow[2].contains('×'), "{narrow:?}");
        let low = words(&places(&fake.cx(), Space { width: 40, height: 2, ..ROOM }));
        assert!(low.len() == 2 && low[1].ends_with(" +1"), "{low:?}");
    }

    #[test]
    fn guests_that_do_not_run_are_counted_and_stand_out() {
        let fake = fake();
        let view = fake.cx().views.get("vm").unwrap();
        assert_eq!(line::words(&note(&view)), "1 running  1 paused  1 stuck");
        let tones = [0, 1, 2].map(|row| tone(&view, row, col!(VmRow, state)));
        assert_eq!(tones, [None, Some(Role::Level(Level::Careful)), Some(Role::Level(Level::Critical))]);
    }
}
