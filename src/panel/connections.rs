//! How full is the table of connections, who fills it, and what does each of them carry?

use super::arrange::{Ranked, fitting};
use super::gauge::{self, Named};
use super::list::{self, Column, List, Show};
use super::number::{self, NUMBER, Top};
use super::{Block, Body, Cx, Grouping, Line, PanelDef, Role, Space, TableSpec, facts, line, pick, toggle};
use crate::col;
use crate::collect::conntrack::ConntrackRow;
use crate::collect::conntrack_flow::ConntrackFlowRow;
use crate::collect::conntrack_flow::group::ConntrackGroupRow;
use crate::collect::listener::ListenerRow;
use crate::model::{Cell, Demand, IpText, Level, OWN_NETNS};
use crate::store::expr::quoted;
use crate::store::rate::View;

/// The table of connections itself.
pub(super) const TRACKING: PanelDef = PanelDef {
    name: "tracking",
    title: "Connection tracking",
    key: None,
    demands: || {
        let names = FLUX.iter().filter_map(|column| ConntrackRow::TABLE.columns.get(*column));
        let columns = names.map(|column| column.name.to_string()).collect();
        vec![Demand { columns, ..Demand::table(&ConntrackRow::TABLE.name) }]
    },
    build: tracking,
};

/// Columns that are counted while somebody wants to know.
const FLUX: [usize; 2] = [col!(ConntrackRow, new), col!(ConntrackRow, ended)];

/// Connections.
pub(super) const FLOWS: PanelDef = PanelDef {
    name: "flows",
    title: "Connections",
    key: None,
    demands: || vec![Demand::table(&ConntrackFlowRow::TABLE.name)],
    build: flows,
};

/// All connections in groups.
pub(super) const GROUPS: PanelDef =
    PanelDef { name: "flow-groups", title: "Connections", key: None, demands: Vec::new, build: groups };

/// The selected connection.
pub(super) const FLOW: PanelDef = PanelDef {
    name: "flow",
    title: "Connection",
    key: None,
    demands: || [ConntrackFlowRow::TABLE, ListenerRow::TABLE].map(|one| Demand::table(&one.name)).to_vec(),
    build: flow,
};

/// What makes a connection busy.
pub(super) const BUSY: &[usize] = &[col!(ConntrackFlowRow, bytes), col!(ConntrackFlowRow, reply_bytes)];

/// What makes a group large.
pub(super) const LARGE: &[usize] = &[col!(ConntrackGroupRow, flows), col!(ConntrackGroupRow, bytes)];

/// Columns of connections.
const COLUMNS: &[Ranked] = &[
    (col!(ConntrackFlowRow, protocol), 7, 1),
    (col!(ConntrackFlowRow, state), 12, 4),
    (col!(ConntrackFlowRow, source), 17, 0),
    (col!(ConntrackFlowRow, source_port), 7, 2),
    (col!(ConntrackFlowRow, destination), 17, 0),
    (col!(ConntrackFlowRow, destination_port), 7, 0),
    (col!(ConntrackFlowRow, bytes), 16, 0),
    (col!(ConntrackFlowRow, reply_bytes), 11, 1),
    (col!(ConntrackFlowRow, expires), 9, 5),
    (col!(ConntrackFlowRow, nat), 12, 3),
    (col!(ConntrackFlowRow, vm), 13, 7),
    (col!(ConntrackFlowRow, process), 14, 6),
    (col!(ConntrackFlowRow, reply_source), 17, 8),
    (col!(ConntrackFlowRow, reply_destination), 17, 9),
    (col!(ConntrackFlowRow, mark), 6, 10),
    (col!(ConntrackFlowRow, status), 24, 11),
];

/// A rate with room for its heading.
fn rate(title: &'static str, rank: u8, show: Show) -> Column {
    Column { width: NUMBER + 1, ..Column::number(title, rank, show) }
}

fn tracking(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("fill", 8, 0, Show::Bar(col!(ConntrackRow, fill))),
        Column::number("fill%", 0, Show::Of(col!(ConntrackRow, fill))),
        Column::number("count", 0, Show::Of(col!(ConntrackRow, count))),
        Column::number("max", 1, Show::Of(col!(ConntrackRow, max))),
        rate("full in", 2, Show::Of(col!(ConntrackRow, until_full))),
        Column::wide("past", 6, 6, Show::Spark(col!(ConntrackRow, count), None)),
        rate("new/s", 3, Show::Of(col!(ConntrackRow, new))),
        rate("drop/s", 1, Show::Bad(col!(ConntrackRow, drop))),
        rate("fail/s", 2, Show::Bad(col!(ConntrackRow, insert_failed))),
        rate("early/s", 3, Show::Bad(col!(ConntrackRow, early_drop))),
        rate("inval/s", 4, Show::Of(col!(ConntrackRow, invalid))),
        rate("ended/s", 5, Show::Of(col!(ConntrackRow, ended))),
        rate("clash/s", 7, Show::Of(col!(ConntrackRow, clash_resolve))),
        rate("chain/s", 8, Show::Bad(col!(ConntrackRow, chaintoolong))),
    ];
    let (title, table) = (TRACKING.title, ConntrackRow::TABLE);
    let busy = vec![col!(ConntrackRow, count)];
    let mut block = list::block(cx, space, List { title, names: "netns", table, name: 5, busy, columns, graphs: &[] });
    if let Body::Lines(lines) = &mut block.body {
        let room = usize::from(space.height).saturating_sub(lines.len());
        let words = uncounted(cx, space.width).into_iter().take(room);
        lines.extend(words.map(|words| vec![line::text(words, Role::Accent)]));
    }
    block
}

/// How packets and bytes are had where the kernel counts none, in lines of a width.
pub(super) fn uncounted(cx: &Cx<'_>, width: u16) -> Vec<String> {
    let Some(view) = cx.views.get(&ConntrackRow::TABLE.name) else { return Vec::new() };
    let off = |row: &usize| view.raw().cell(*row, col!(ConntrackRow, accounting)) == Cell::Bool(false);
    let off: Vec<usize> = (0..view.len()).filter(off).collect();
    let Some(first) = off.first() else { return Vec::new() };
    let netns = number::words(cx, &view, *first, col!(ConntrackRow, netns)).words;
    let place = match off.len() {
        _ if view.len() == 1 => String::new(),
        1 => format!(" in {netns}"),
        several => format!(" in {netns} and {} more network namespaces", several - 1),
    };
    let words = "`sysctl -w net.netfilter.nf_conntrack_acct=1` counts those of new connections";
    line::wrap(&format!("no bytes are counted{place}: {words}"), width)
}

fn flows(cx: &Cx<'_>, space: Space) -> Block {
    let spec = TableSpec {
        columns: fitting(COLUMNS, space.width),
        sort: vec![(col!(ConntrackFlowRow, bytes), true), (col!(ConntrackFlowRow, reply_bytes), true)],
        none: "no connection is tracked",
        ..TableSpec::of(&ConntrackFlowRow::TABLE.name)
    };
    Block {
        title: FLOWS.title.into(),
        note: Line::new(),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, ConntrackFlowRow::TABLE),
        body: Body::Table(spec),
    }
}

fn groups(cx: &Cx<'_>, _: Space) -> Block {
    let spec = TableSpec {
        columns: vec![
            col!(ConntrackGroupRow, value),
            col!(ConntrackGroupRow, vm),
            col!(ConntrackGroupRow, flows),
            col!(ConntrackGroupRow, bytes),
            col!(ConntrackGroupRow, packets),
        ],
        sort: vec![(col!(ConntrackGroupRow, flows), true), (col!(ConntrackGroupRow, bytes), true)],
        none: "no connection is tracked",
        ..TableSpec::of(&ConntrackGroupRow::TABLE.name)
    };
    let by = cx.grouped.map_or("", |grouping| grouping.name);
    Block {
        title: format!("{} {by}", GROUPS.title).into(),
        note: Line::new(),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, ConntrackGroupRow::TABLE),
        body: Body::Table(spec),
    }
}

/// Whether a group is one of those that are shown: others may be there for somebody else.
pub(super) fn is_shown(cx: &Cx<'_>, view: &View, row: usize) -> bool {
    let by = view.raw().cell(row, col!(ConntrackGroupRow, by));
    cx.grouped.is_none_or(|grouping| grouping.common() == by.text())
}

/// The filter that keeps the connections of a group, or of a line of several.
pub fn members(view: &View, row: usize, grouping: Grouping) -> Option<String> {
    let name = &ConntrackFlowRow::TABLE.columns.get(grouping.by)?.name;
    // connections of other network namespaces are none of the group
    let netns = of_netns(view, row);
    // groups of the host are words in any case
    let is_group = view.table().name == ConntrackGroupRow::TABLE.name;
    let words = [col!(ConntrackFlowRow, protocol), col!(ConntrackFlowRow, state), col!(ConntrackFlowRow, vm)];
    let is_word = words.contains(&grouping.by);
    let members = match view.raw().cell(row, if is_group { col!(ConntrackGroupRow, value) } else { grouping.by }) {
        Cell::Missing | Cell::Text("-") => format!("missing({name})"),
        // kernels leave out a mark that is none, or tell it
        Cell::Text("0") if grouping.by == col!(ConntrackFlowRow, mark) => format!("(missing({name}) or {name} == 0)"),
        Cell::Ip(address) => format!("{name} == {}", IpText(address)),
        Cell::U64(number) => format!("{name} == {number}"),
        Cell::Text(words) | Cell::Label(words) if is_word => format!("{name} == {}", quoted(words)),
        Cell::Text(words) => format!("{name} == {words}"),
        _ => return None,
    };
    Some(match netns {
        Some(netns) => format!("{netns} and {members}"),
        None => members,
    })
}

/// The filter that keeps the network namespace of a group, unless there is the own one only.
fn of_netns(view: &View, row: usize) -> Option<String> {
    let column = view.table().position(&ConntrackFlowRow::TABLE.columns.get(col!(ConntrackFlowRow, netns))?.name)?;
    let cell = view.raw().cell(row, column);
    let netns = cell.text()?;
    let alone = netns == OWN_NETNS && !view.raw().differ(column);
    if alone || view.table().name != ConntrackGroupRow::TABLE.name {
        return None;
    }
    Some(format!("netns == {}", quoted(netns)))
}

const COUNTS: &[(gauge::Name, usize)] = &[
    (("B/s", "bytes/s"), col!(ConntrackFlowRow, bytes)),
    (("ans/s", "answered/s"), col!(ConntrackFlowRow, reply_bytes)),
    (("pkt/s", "packets/s"), col!(ConntrackFlowRow, packets)),
    (("anp/s", "answers/s"), col!(ConntrackFlowRow, reply_packets)),
];

const TOTALS: &[(gauge::Name, usize)] =
    &[(("bytes", "bytes"), col!(ConntrackFlowRow, bytes)), (("ans", "answered"), col!(ConntrackFlowRow, reply_bytes))];

/// What else there is to say of a connection where it is said.
const FACTS: &[facts::Fact] = &[
    ("state", col!(ConntrackFlowRow, state)),
    ("status", col!(ConntrackFlowRow, status)),
    ("translated", col!(ConntrackFlowRow, nat)),
    ("offload", col!(ConntrackFlowRow, offload)),
    ("began", col!(ConntrackFlowRow, start)),
    ("ends", col!(ConntrackFlowRow, expires)),
    ("mark", col!(ConntrackFlowRow, mark)),
    ("guest", col!(ConntrackFlowRow, vm)),
    ("labels", col!(ConntrackFlowRow, labels)),
    ("zone", col!(ConntrackFlowRow, zone)),
    ("helper", col!(ConntrackFlowRow, helper)),
];

/// One direction of a connection.
type Tuple = [usize; 4];

const ORIGINAL: Tuple = [
    col!(ConntrackFlowRow, source),
    col!(ConntrackFlowRow, source_port),
    col!(ConntrackFlowRow, destination),
    col!(ConntrackFlowRow, destination_port),
];
const REPLY: Tuple = [
    col!(ConntrackFlowRow, reply_source),
    col!(ConntrackFlowRow, reply_source_port),
    col!(ConntrackFlowRow, reply_destination),
    col!(ConntrackFlowRow, reply_destination_port),
];

/// The selected connection: both directions, what it carries, who listens, and its past.
fn flow(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, ConntrackFlowRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty(FLOW.title, body),
    };
    let selected = cx.picked.get(&*ConntrackFlowRow::TABLE.name).and_then(|key| view.find(key));
    let Some(row) = selected else {
        let why = "select a connection: both directions, what it carries and its past stand here".to_owned();
        return pick::empty(FLOW.title, Body::Empty { level: Level::Ok, why });
    };
    let words = |column: usize| number::words(cx, &view, row, column);
    let mut lines = Vec::new();
    for (name, tuple) in [("asks ", ORIGINAL), ("gets ", REPLY)] {
        for (at, words) in
            line::wrap(&ends(cx, &view, row, tuple), space.width.saturating_sub(6)).into_iter().enumerate()
        {
            lines.push(vec![
                line::left(if at == 0 { name } else { "" }, Role::Label, 6),
                line::text(words, Role::Plain),
            ]);
        }
        if let Some(names) = names(cx, &view, row, tuple) {
            let wrapped = line::wrap(&names, space.width.saturating_sub(6)).into_iter();
            lines.extend(wrapped.map(|words| vec![line::left("", Role::Label, 6), line::text(words, Role::Muted)]));
        }
    }
    if let Some(process) = listens(cx, &view, row) {
        lines.push(vec![line::left("by", Role::Label, 6), line::text(process, Role::Accent)]);
    }
    lines.push(Line::new());
    let counts = COUNTS.iter().map(|(name, column)| Named::new(*name, number::number(cx, &view, row, *column)));
    let totals = TOTALS.iter().map(|(name, column)| Named::new(*name, number::total(cx, &view, row, *column)));
    lines.extend(gauge::grid(counts.chain(totals).collect(), space.width));
    lines.extend(facts::lines(cx, &view, row, FACTS, space.width));
    let left = usize::from(space.height).saturating_sub(lines.len() + 1);
    if left >= 4 && !cx.on(toggle::NO_SPARKLINES) {
        for (name, column) in [("bytes/s", BUSY.first()), ("answered/s", BUSY.last())] {
            let Some(column) = column else { continue };
            lines.push(vec![line::text(name, Role::Label)]);
            let size = (space.width, ((left / 2).saturating_sub(1)).min(8) as u16);
            lines.extend(number::graph(cx, &view, (row, *column), size, Top::Least(0.0), Role::Value));
        }
    }
    let note = vec![line::text(words(col!(ConntrackFlowRow, protocol)).words, Role::Value)];
    list::lines(lines, space).block(FLOW.title, note, pick::stale(cx, ConntrackFlowRow::TABLE))
}

/// Both ends of a direction.
fn ends(cx: &Cx<'_>, view: &View, row: usize, [source, source_port, destination, port]: Tuple) -> String {
    let end = |address: usize, port: usize| {
        let words = number::words(cx, view, row, address).words.into_owned();
        let port = view.raw().cell(row, port).number().map(|_| number::words(cx, view, row, port).words);
        match port {
            Some(port) if words.contains(':') => format!("[{words}]:{port}"),
            Some(port) => format!("{words}:{port}"),
            None => words,
        }
    };
    format!("{} → {}", end(source, source_port), end(destination, port))
}

/// What both ends of a direction are called, if either is known.
fn names(cx: &Cx<'_>, view: &View, row: usize, [source, source_port, destination, port]: Tuple) -> Option<String> {
    let end = |columns: [usize; 2]| {
        let known = columns.into_iter().filter_map(|column| cx.names.of(view, row, column));
        known.map(std::borrow::Cow::into_owned).collect::<Vec<String>>().join(" ")
    };
    let ends = [end([source, source_port]), end([destination, port])];
    ends.iter()
        .any(|end| !end.is_empty())
        .then(|| ends.map(|end| if end.is_empty() { "–".to_owned() } else { end }).join(" → "))
}

/// The process that listens where a connection goes, of those in this network namespace.
fn listens(cx: &Cx<'_>, view: &View, row: usize) -> Option<String> {
    let listeners = cx.views.get(&ListenerRow::TABLE.name)?;
    let [address, port, ..] = REPLY;
    let cell = |column: usize| view.raw().cell(row, column);
    let (here, port) = (cell(address), cell(port).number()?);
    let fits = |one: &usize| {
        let there = |column: usize| listeners.raw().cell(*one, column);
        let any = matches!(there(col!(ListenerRow, address)), Cell::Ip(ip) if ip.is_unspecified());
        there(col!(ListenerRow, port)).number() == Some(port)
            && there(col!(ListenerRow, netns)) == cell(col!(ConntrackFlowRow, netns))
            && same_protocol(&there(col!(ListenerRow, protocol)), &cell(col!(ConntrackFlowRow, protocol)))
            && (any || there(col!(ListenerRow, address)) == here)
    };
    let found = (0..listeners.len()).find(fits)?;
    Some(listeners.raw().cell(found, col!(ListenerRow, process)).text()?.to_owned())
}

/// Protocols are words in one table and labels in the other.
fn same_protocol(a: &Cell<'_>, b: &Cell<'_>) -> bool {
    a.text().zip(b.text()).is_some_and(|(a, b)| a.trim_end_matches('6') == b)
}
