//! What needs attention right now?
//!
//! What fires by the rules, and nobody has said is known or may be silent. Who evaluates them is the agent, or the dashboard of
//! this host; of many hosts, and where an agent is too old to do so, it is what is over a threshold here.

use std::rc::Rc;
use std::sync::Arc;

mod limit;
pub(super) mod list;
pub(super) mod past;
mod said;

pub use said::{Fate, Said, said, speaks};

use super::line::{self, gap};
use super::number::NUMBER;
use super::{Block, Body, Cx, Line, PanelDef, Role, Space};
use crate::col;
use crate::collect::alert::{AlertRow, AlertState};
use crate::model::{Connection, Demand, Key, Level, State, Timestamp, unit};
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef {
    name: "alerts",
    title: "Alerts",
    key: Some('l'),
    demands: || vec![Demand::table(&AlertRow::TABLE.name)],
    build,
};

/// Cells of width from which levels are words beside their glyphs.
const WORDS: u16 = 50;
/// Most alerts that are looked for: enough for any screen.
const MAX_FOUND: usize = 1024;

/// One thing that needs attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// How bad.
    pub level: Level,
    /// Name of the table of its row.
    pub of: &'static str,
    /// Identity of the row.
    pub key: Key,
    /// What it is.
    pub what: What,
}

/// What an alert is.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A rule that holds: which one, of what, since when, and when people were told.
    Rule {
        /// What there is to say of it.
        said: Said,
        /// Since when it has been so.
        since: Timestamp,
        /// When people were told of it first.
        fired: Timestamp,
    },
    /// A cell over a threshold: the worst of its row.
    Limit {
        /// Heading of its table.
        table: String,
        /// The row.
        name: String,
        /// Heading of the column.
        column: String,
        /// The cell.
        words: String,
    },
}

impl Alert {
    /// What it is, in a line.
    pub fn words(&self) -> String {
        match &self.what {
            What::Rule { said, .. } => said.words(),
            What::Limit { table, name, column, words } => format!("{table} {name} {column} {words}"),
        }
    }
}

/// Everything that needs attention, worst first.
pub fn all(cx: &Cx<'_>) -> Rc<[Alert]> {
    cx.views.alerts(&|| match told(cx) {
        Told::There(view) => firing(&view),
        Told::NotYet => Vec::new(),
        Told::ByNobody => limit::find(cx),
    })
}

/// Whether somebody evaluates rules and tells what fires.
pub fn is_told(cx: &Cx<'_>) -> bool {
    !matches!(told(cx), Told::ByNobody)
}

/// The alerts of who evaluates rules.
enum Told {
    /// They are known.
    There(Arc<View>),
    /// They may be in a moment.
    NotYet,
    /// Nobody evaluates any.
    ByNobody,
}

fn told(cx: &Cx<'_>) -> Told {
    let table = &*AlertRow::TABLE.name;
    if super::fleet::table(cx.host).is_some() {
        return Told::ByNobody;
    }
    if let Some(view) = cx.views.get(table) {
        return Told::There(view);
    }
    if !cx.host.schema().iter().any(|known| known.name == table) {
        return Told::ByNobody;
    }
    let is_sought = cx.host.connection() == Connection::Local;
    let state = cx.snapshot.get(table).map_or(State::Ok, |known| known.status.state);
    if is_sought || matches!(state, State::Ok | State::Stale) { Told::NotYet } else { Told::ByNobody }
}

/// What fires, the worst first and the newest first among equals.
fn firing(view: &View) -> Vec<Alert> {
    let instant = |row: usize, column: usize| view.raw().cell(row, column).instant();
    let rows = (0..view.len()).filter(|row| list::is(view, *row, AlertState::Firing));
    let mut rows: Vec<(Level, Timestamp, usize)> = rows
        .map(|row| {
            let since = instant(row, col!(AlertRow, fired)).or_else(|| instant(row, col!(AlertRow, since)));
            (list::level(view, row), since.unwrap_or(Timestamp(0)), row)
        })
        .collect();
    rows.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
    let one = |(level, fired, row): (Level, Timestamp, usize)| {
        let since = instant(row, col!(AlertRow, since)).unwrap_or(fired);
        let what = What::Rule { said: said(view, row)?, since, fired };
        Some(Alert { level, of: &AlertRow::TABLE.name, key: view.key(row), what })
    };
    rows.into_iter().take(MAX_FOUND).filter_map(one).collect()
}

/// How many are careful, warning and critical.
fn counts(found: &[Alert]) -> [(Level, usize); 3] {
    [Level::Careful, Level::Warning, Level::Critical]
        .map(|level| (level, found.iter().filter(|alert| alert.level == level).count()))
}

/// How many there are of each level, the worst first, with their glyphs.
pub(super) fn summary(found: &[Alert]) -> Line {
    let mut out = Line::new();
    for (level, count) in counts(found).into_iter().rev().filter(|(_, count)| *count > 0) {
        if !out.is_empty() {
            out.push(line::text("  ", Role::Plain));
        }
        out.push(line::text(format!("{} {count}", glyph(level)), Role::Level(level)));
    }
    out
}

fn glyph(level: Level) -> &'static str {
    match level {
        Level::Ok => "",
        Level::Careful => "•",
        Level::Warning => "▲",
        Level::Critical => "✖",
    }
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let found = all(cx);
    // people shall not think that a silent agent would tell
    let own = !is_told(cx) && cx.host.connection() != Connection::Local;
    let own = own.then(|| line::text("  by the thresholds here: the agent evaluates no rules", Role::Muted));
    if found.is_empty() {
        let why = if is_told(cx) { "nothing is wrong" } else { "nothing is over a threshold" }.to_owned();
        let block = super::pick::empty("Alerts", Body::Empty { level: Level::Ok, why });
        return Block { note: own.into_iter().collect(), ..block };
    }
    let words = if space.width >= WORDS { 9 } else { 2 };
    let widest = |part: fn(&What) -> Option<&String>| {
        found.iter().filter_map(|one| part(&one.what)).map(|part| line::cells(part)).max().unwrap_or(0)
    };
    let table = widest(|what| if let What::Limit { table, .. } = what { Some(table) } else { None });
    let name = widest(|what| if let What::Limit { name, .. } = what { Some(name) } else { None }).min(space.width / 3);
    let column = widest(|what| if let What::Limit { column, .. } = what { Some(column) } else { None });
    let column = column.min(space.width / 4);
    let all = found.iter().map(|one| {
        let role = Role::Level(one.level);
        let mut out =
            vec![line::left(if space.width >= WORDS { one.level.name() } else { glyph(one.level) }, role, words)];
        match &one.what {
            What::Rule { said, since, .. } => {
                let age = unit::span(since.age(cx.now).max(0.0));
                out.extend([line::right(age, Role::Muted, NUMBER + 1), gap(), gap()]);
                out.push(line::text(said.text.to_string(), Role::Plain));
            }
            What::Limit { table: of, name: row, column: about, words } => out.extend([
                line::left(of.clone(), Role::Label, table),
                gap(),
                line::left(row.clone(), Role::Plain, name),
                gap(),
                line::left(about.clone(), Role::Label, column),
                gap(),
                // its line has the glyph
                line::left(
                    format!("{words:>cells$}", cells = usize::from(NUMBER)),
                    role,
                    line::cells(words).max(NUMBER),
                ),
            ]),
        }
        out
    });
    let note = summary(&found).into_iter().chain(own).collect();
    super::list::lines(all.collect(), space).block("Alerts", note, super::pick::stale(cx, AlertRow::TABLE))
}
