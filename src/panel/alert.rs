//! What is over a threshold right now, anywhere?
//!
//! Every table's rows are asked for their worst cell, so that a new collector appears here unedited; processes have their
//! own list and are left out.

use std::rc::Rc;

pub(super) mod list;

use super::line::{self, gap};
use super::number::{self, NUMBER};
use super::pick::natural;
use super::{Block, Body, Cx, Line, PanelDef, Role, Space, cpu};
use crate::collect::cpu::CpuRow;
use crate::collect::process::ProcessRow;
use crate::model::{Demand, Key, Kind, Level};
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef =
    PanelDef { name: "alerts", title: "Alerts", key: Some('l'), demands: Vec::<Demand>::new, build };

/// Cells of width from which levels are words beside their glyphs.
const WORDS: u16 = 50;
/// Most alerts that are looked for: enough for any screen.
const MAX_FOUND: usize = 1000;

/// One cell over a threshold: the worst of its row.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// How bad.
    pub level: Level,
    /// Name of its table.
    pub of: &'static str,
    /// Identity of the row.
    pub key: Key,
    /// Heading of its table.
    pub table: String,
    /// The row.
    pub name: String,
    /// Heading of the column.
    pub column: String,
    /// The cell.
    pub words: String,
}

/// Everything over a threshold, worst first.
pub fn all(cx: &Cx<'_>) -> Rc<[Alert]> {
    cx.views.alerts(&|| find(cx))
}

fn find(cx: &Cx<'_>) -> Vec<Alert> {
    let mut found = Vec::new();
    // of many hosts each counts once
    let fleet = super::fleet::table(cx.host);
    for (name, known) in &cx.snapshot.tables {
        if fleet.is_some_and(|fleet| fleet != *name) {
            continue;
        }
        if *name == ProcessRow::TABLE.name || known.now.as_ref().is_none_or(|sample| sample.rows.is_empty()) {
            continue;
        }
        let Some(view) = cx.views.get(name) else { continue };
        let table = view.table();
        if !table.alerts() {
            continue;
        }
        // one busy CPU is a thread that works; all of them together are what matters
        let only = (*name == CpuRow::TABLE.name).then(|| cpu::all(&view)).flatten();
        for row in (0..view.len()).filter(|row| only.is_none_or(|only| only == *row)) {
            let level = cx.levels.row_level(&view, row);
            if level == Level::Ok || found.len() >= MAX_FOUND {
                continue;
            }
            let worst = (0..table.columns.len()).find(|column| cx.levels.level(&view, row, *column) == level);
            let Some((at, column)) = worst.and_then(|at| table.columns.get(at).map(|column| (at, column))) else {
                continue;
            };
            let label =
                table.columns.get(table.label_column()).filter(|label| matches!(label.kind, Kind::Id | Kind::Text));
            let own = label
                .map_or_else(String::new, |_| number::words(cx, &view, row, table.label_column()).words.into_owned());
            let Some(shown) = cx.settings.name(name, &own) else { continue };
            let apart = apart(&view, row);
            let shown = if table.is_mostly_single() { String::new() } else { shown.into_owned() } + &apart;
            // a row that is known by what is wrong with it needs that only once
            let shown = if at == table.label_column() { apart } else { shown };
            let shown = shown.trim_start().to_owned();
            found.push(Alert {
                level,
                of: name,
                key: view.key(row),
                table: table.title().to_owned(),
                name: shown,
                column: column.title().to_owned(),
                words: number::words(cx, &view, row, at).words.into_owned(),
            });
        }
    }
    found.sort_by(|a, b| {
        b.level.cmp(&a.level).then_with(|| a.table.cmp(&b.table)).then_with(|| natural(&a.name, &b.name))
    });
    found
}

/// What tells a row apart from those of its name elsewhere, while there are others.
fn apart(view: &View, row: usize) -> String {
    let differ = view.table().several().filter(|id| view.raw().tells(*id));
    differ.filter_map(|id| Some(format!(" in {}", view.raw().cell(row, id).text()?))).collect()
}

/// How many are careful, warning and critical.
pub(super) fn counts(found: &[Alert]) -> [(Level, usize); 3] {
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
    if found.is_empty() {
        let why = "nothing is over a threshold".to_owned();
        return super::pick::empty("Alerts", Body::Empty { level: Level::Ok, why });
    }
    let note = summary(&found);
    let words = if space.width >= WORDS { 9 } else { 2 };
    let longest = |part: fn(&Alert) -> &String| found.iter().map(|one| line::cells(part(one))).max().unwrap_or(0);
    let (table, name) = (longest(|one| &one.table), longest(|one| &one.name).min(space.width / 3));
    let column = longest(|one| &one.column).min(space.width / 4);
    let all = found.iter().map(|one| {
        let role = Role::Level(one.level);
        vec![
            line::left(if space.width >= WORDS { one.level.name() } else { glyph(one.level) }, role, words),
            line::left(one.table.clone(), Role::Label, table),
            gap(),
            line::left(one.name.clone(), Role::Plain, name),
            gap(),
            line::left(one.column.clone(), Role::Label, column),
            gap(),
            // its line has the glyph
            line::left(
                format!("{:>cells$}", one.words, cells = usize::from(NUMBER)),
                role,
                line::cells(&one.words).max(NUMBER),
            ),
        ]
    });
    super::list::lines(all.collect(), space).block("Alerts", note, None)
}
