//! Which queue drops, who reads what is logged, how full are the sets, and which of these parts has this host not?
//!
//! Each part is a table with a panel of its own while it has rows. The others are a line each in one panel, so that nobody
//! takes what is not there for what was not looked at.

use super::arrange::{Ranked, fitting};
use super::gauge::{self, Named};
use super::number::{self, Top};
use super::{Block, Body, Cx, Line, PanelDef, Role, Space, TableSpec, facts, line, list, pick, toggle};
use crate::col;
use crate::collect::conntrack_flow::expect::ConntrackExpectRow;
use crate::collect::ipset::IpsetRow;
use crate::collect::netfilter::rows::{CtTimeoutRow, NfLogRow, NfacctRow, NflogRow, NfqueueRow, SynproxyRow};
use crate::model::{Demand, Level, Row, Rows, Table};
use crate::store::rate::View;

/// Queues of packets to programs.
pub(super) const QUEUES: PanelDef = panel::<NfqueueRow>("queues", "Packet queues");
/// Sets of `ipset`.
pub(super) const SETS: PanelDef = panel::<IpsetRow>("ip-sets", "IP sets");
/// The proxy for SYN packets.
pub(super) const SYNPROXY: PanelDef = panel::<SynproxyRow>("synproxy", "SYN proxy");
/// Logs of packets to programs.
pub(super) const LOGS: PanelDef = panel::<NflogRow>("packet-logs", "Packet logs");
/// Counters of `nfacct`.
pub(super) const ACCOUNTS: PanelDef = panel::<NfacctRow>("accounts", "Counters of nfacct");
/// Connections that a helper has announced.
pub(super) const EXPECTED: PanelDef = panel::<ConntrackExpectRow>("expected", "Expected connections");
/// Policies for timeouts.
pub(super) const TIMEOUTS: PanelDef = panel::<CtTimeoutRow>("timeouts", "Timeout policies");
/// Who logs what.
pub(super) const LOGGERS: PanelDef = panel::<NfLogRow>("log-backends", "Log backends");

/// The selected queue.
pub(super) const QUEUE: PanelDef = PanelDef {
    name: "queue",
    title: "Packet queue",
    key: None,
    demands: || vec![Demand::table(&NfqueueRow::TABLE.name)],
    build: queue,
};

/// What of all that has no rows; the view asks for it.
pub(super) const OTHERS: PanelDef =
    PanelDef { name: "others", title: "Without rows", key: None, demands: Vec::new, build: others };

/// One of the parts.
struct Part {
    panel: &'static PanelDef,
    table: &'static Table,
    /// Columns where room is short; none is those that the table has anyway.
    columns: &'static [Ranked],
    /// What is said where there is no row and nothing wrong.
    none: &'static str,
    /// Counters of a part that has rows whether anybody uses it or not: as long as nothing counts, nobody does.
    idle: &'static [usize],
}

/// What the proxy for SYN packets counts, of which every network namespace has a row.
const SYN: &[usize] = &[
    col!(SynproxyRow, syn_received),
    col!(SynproxyRow, cookie_invalid),
    col!(SynproxyRow, cookie_valid),
    col!(SynproxyRow, cookie_retrans),
    col!(SynproxyRow, conn_reopened),
];

/// The parts, those first at which somebody has to look first.
static PARTS: &[Part] = &[
    Part {
        panel: &QUEUES,
        table: NfqueueRow::TABLE,
        columns: &[
            (col!(NfqueueRow, queue), 6, 0),
            (col!(NfqueueRow, process), 16, 0),
            (col!(NfqueueRow, pid), 7, 4),
            (col!(NfqueueRow, waiting), 8, 0),
            (col!(NfqueueRow, packets), 10, 1),
            (col!(NfqueueRow, dropped), 10, 0),
            (col!(NfqueueRow, user_dropped), 12, 0),
            (col!(NfqueueRow, copy_mode), 7, 3),
        ],
        none: "no program takes packets from a queue",
        idle: &[],
    },
    Part {
        panel: &SETS,
        table: IpsetRow::TABLE,
        columns: &[
            (col!(IpsetRow, set), 17, 0),
            (col!(IpsetRow, kind), 14, 2),
            (col!(IpsetRow, elements), 9, 0),
            (col!(IpsetRow, size), 6, 1),
            (col!(IpsetRow, fill), 7, 0),
            (col!(IpsetRow, timeout), 8, 3),
            (col!(IpsetRow, references), 6, 4),
            (col!(IpsetRow, memory), 7, 5),
            (col!(IpsetRow, extensions), 12, 6),
        ],
        none: "there is no set",
        idle: &[],
    },
    Part {
        panel: &SYNPROXY,
        table: SynproxyRow::TABLE,
        columns: &[],
        none: "no SYN packet is answered for a server",
        idle: SYN,
    },
    Part {
        panel: &LOGS,
        table: NflogRow::TABLE,
        columns: &[],
        none: "no program is sent packets that are logged",
        idle: &[],
    },
    Part { panel: &ACCOUNTS, table: NfacctRow::TABLE, columns: &[], none: "there is no counter", idle: &[] },
    Part {
        panel: &EXPECTED,
        table: ConntrackExpectRow::TABLE,
        columns: &[],
        none: "no helper has announced a connection",
        idle: &[],
    },
    Part { panel: &TIMEOUTS, table: CtTimeoutRow::TABLE, columns: &[], none: "there is no policy", idle: &[] },
    Part { panel: &LOGGERS, table: NfLogRow::TABLE, columns: &[], none: "nobody could log a packet", idle: &[] },
];

const fn panel<R: Row>(name: &'static str, title: &'static str) -> PanelDef {
    PanelDef { name, title, key: None, demands: || vec![Demand::table(&R::TABLE.name)], build: build::<R> }
}

/// What the arrangement depends on: a part has a panel while it has rows.
pub(super) fn demands() -> Vec<Demand> {
    PARTS.iter().map(|part| Demand::table(&part.table.name)).collect()
}

/// Names of the panels of parts that have rows.
pub(super) fn used(cx: &Cx<'_>) -> Vec<&'static str> {
    PARTS.iter().filter(|part| is_used(cx, part)).map(|part| part.panel.name).collect()
}

fn is_used(cx: &Cx<'_>, part: &Part) -> bool {
    let now = cx.snapshot.get(&part.table.name).and_then(|known| known.now.as_ref());
    let counts = |row: usize, rows: &dyn Rows| {
        let counted = |column: &usize| rows.cell(row, *column).number().is_some_and(|count| count > 0.0);
        part.idle.is_empty() || part.idle.iter().any(counted)
    };
    now.is_some_and(|now| (0..now.rows.len()).any(|row| counts(row, &*now.rows)))
}

fn build<R: Row>(cx: &Cx<'_>, space: Space) -> Block {
    let part = PARTS.iter().find(|part| part.table.name == R::TABLE.name);
    let spec = part.map(|part| TableSpec {
        columns: fitting(part.columns, space.width),
        none: part.none,
        ..TableSpec::of(&R::TABLE.name)
    });
    Block {
        title: part.map_or(R::TABLE.title(), |part| part.panel.title).into(),
        note: Line::new(),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, R::TABLE),
        body: Body::Table(spec.unwrap_or_else(|| TableSpec::of(&R::TABLE.name))),
    }
}

/// Cells of the names of parts.
const NAME: u16 = 21;

/// The parts without rows in lines of a width: their names, and why.
pub(super) fn unused(cx: &Cx<'_>, width: u16) -> Vec<Line> {
    let one = |part: &'static Part| {
        let (named, role, why) = match pick::why(cx, part.table, part.none) {
            Body::Empty { level: Level::Ok, why } => (Role::Label, Role::Muted, why),
            // words of a level would have its glyph on each line
            Body::Empty { level, why } => (Role::Level(level), Role::Plain, why),
            _ => (Role::Label, Role::Muted, String::new()),
        };
        let name = move |at: usize| match at {
            0 => line::left(part.panel.title, named, NAME),
            _ => line::left("", Role::Label, NAME),
        };
        let wrapped = line::wrap(&why, width.saturating_sub(NAME)).into_iter().enumerate();
        wrapped.map(move |(at, words)| vec![name(at), line::text(words, role)])
    };
    PARTS.iter().filter(|part| !is_used(cx, part)).flat_map(one).collect()
}

fn others(cx: &Cx<'_>, space: Space) -> Block {
    let count = PARTS.iter().filter(|part| !is_used(cx, part)).count();
    let note = vec![line::text(count.to_string(), Role::Muted)];
    let whole = Some(unused(cx, space.width)).filter(|lines| lines.len() <= usize::from(space.height));
    // a line for each where there are no more
    list::lines(whole.unwrap_or_else(|| unused(cx, u16::MAX)), space).block(OTHERS.title, note, None)
}

const COUNTS: &[(gauge::Name, usize)] = &[
    (("wait", "waiting"), col!(NfqueueRow, waiting)),
    (("pkt/s", "packets/s"), col!(NfqueueRow, packets)),
    (("drop/s", "dropped/s"), col!(NfqueueRow, dropped)),
    (("udrop/s", "user drop/s"), col!(NfqueueRow, user_dropped)),
];

/// What else there is to say of a queue where it is said.
const FACTS: &[facts::Fact] = &[
    ("process", col!(NfqueueRow, process)),
    ("pid", col!(NfqueueRow, pid)),
    ("port", col!(NfqueueRow, port)),
    ("copy", col!(NfqueueRow, copy_mode)),
    ("at most", col!(NfqueueRow, copy_range)),
];

/// What of a queue nobody can tell.
const UNTOLD: &str = "whether packets pass when it is full, and its other flags, the kernel tells nobody";

/// The selected queue, or the one in which most waits: who reads it, what it lets wait and drops, and its past.
fn queue(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, NfqueueRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty(QUEUE.title, body),
    };
    let selected = cx.picked.get(&*NfqueueRow::TABLE.name).and_then(|key| view.find(key));
    let waiting = |row: &usize| view.raw().cell(*row, col!(NfqueueRow, waiting)).number().map(|count| count as u64);
    let Some(row) = selected.or_else(|| (0..view.len()).rev().max_by_key(waiting)) else {
        return pick::empty(QUEUE.title, pick::why(cx, NfqueueRow::TABLE, "no program takes packets from a queue"));
    };
    let named = |(name, column): &(gauge::Name, usize)| Named::new(*name, number::number(cx, &view, row, *column));
    let mut lines = gauge::grid(COUNTS.iter().map(named).collect(), space.width);
    lines.extend(facts::lines(cx, &view, row, FACTS, space.width));
    lines.extend(about(&view, space.width));
    let left = usize::from(space.height).saturating_sub(lines.len() + 1);
    if left >= 6 && !cx.on(toggle::NO_SPARKLINES) {
        lines.push(Line::new());
        for (name, column) in [("waiting", col!(NfqueueRow, waiting)), ("dropped/s", col!(NfqueueRow, dropped))] {
            lines.push(vec![line::text(name, Role::Label)]);
            let size = (space.width, (left / 2).saturating_sub(1).min(12) as u16);
            lines.extend(number::graph(cx, &view, (row, column), size, Top::Least(0.0), Role::Value));
        }
    }
    let number = number::words(cx, &view, row, col!(NfqueueRow, queue)).words;
    list::lines(lines, space).block(QUEUE.title, vec![line::text(number, Role::Value)], None)
}

/// What cannot be told of a queue, in lines of a width.
pub(super) fn about(view: &View, width: u16) -> Vec<Line> {
    let is_queue = view.table().name == NfqueueRow::TABLE.name;
    let words = is_queue.then(|| line::wrap(UNTOLD, width)).into_iter().flatten();
    words.map(|words| vec![line::text(words, Role::Muted)]).collect()
}

/// How what a queue has dropped is written while it drops.
pub(super) fn tone(view: &View, row: usize, column: usize) -> Option<Role> {
    let dropping = [col!(NfqueueRow, dropped), col!(NfqueueRow, user_dropped)].contains(&column)
        && view.cell(row, column).number().is_some_and(|rate| rate > 0.0);
    dropping.then_some(Role::Level(Level::Warning))
}
