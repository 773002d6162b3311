//! What is over a threshold right now, anywhere?
//!
//! Every table's rows are asked for their worst cell, so that a new collector appears here unedited; processes have their
//! own list and are left out.

use super::super::pick::natural;
use super::super::{Cx, cpu, fleet, number};
use super::{Alert, MAX_FOUND, What};
use crate::collect::cpu::CpuRow;
use crate::collect::process::ProcessRow;
use crate::model::{Kind, Level};
use crate::store::rate::View;

/// All of it, worst first.
pub(super) fn find(cx: &Cx<'_>) -> Vec<Alert> {
    let mut found = Vec::new();
    // of many hosts each counts once
    let fleet = fleet::table(cx.host);
    for (name, known) in &cx.snapshot.tables {
        if fleet.is_some_and(|fleet| fleet != *name) {
            continue;
        }
        if *name == ProcessRow::TABLE.name || known.now.as_ref().is_none_or(|sample| sample.rows.is_empty()) {
            continue;
        }
        let Some(view) = cx.views.get(name) else { continue };
        if !view.table().alerts() {
            continue;
        }
        // one busy CPU is a thread that works; all of them together are what matters
        let only = (*name == CpuRow::TABLE.name).then(|| cpu::all(&view)).flatten();
        for row in (0..view.len()).filter(|row| only.is_none_or(|only| only == *row)) {
            if found.len() < MAX_FOUND
                && let Some(alert) = worst(cx, name, &view, row)
            {
                found.push(alert);
            }
        }
    }
    let order = |a: &Alert, b: &Alert| match (&a.what, &b.what) {
        (What::Limit { table: a_table, name: a_name, .. }, What::Limit { table: b_table, name: b_name, .. }) => {
            a_table.cmp(b_table).then_with(|| natural(a_name, b_name))
        }
        _ => std::cmp::Ordering::Equal,
    };
    found.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| order(a, b)));
    found
}

/// The worst cell of a row, if that is over a threshold.
fn worst(cx: &Cx<'_>, of: &'static str, view: &View, row: usize) -> Option<Alert> {
    let table = view.table();
    let level = cx.levels.row_level(view, row);
    if level == Level::Ok {
        return None;
    }
    let at = (0..table.columns.len()).find(|column| cx.levels.level(view, row, *column) == level)?;
    let column = table.columns.get(at)?;
    let label = table.columns.get(table.label_column()).filter(|label| matches!(label.kind, Kind::Id | Kind::Text));
    let own = label.map_or_else(String::new, |_| number::words(cx, view, row, table.label_column()).words.into_owned());
    let shown = cx.settings.name(of, &own)?;
    let apart = apart(view, row);
    let shown = if table.is_mostly_single() { String::new() } else { shown.into_owned() } + &apart;
    // a row that is known by what is wrong with it needs that only once
    let shown = if at == table.label_column() { apart } else { shown };
    let what = What::Limit {
        table: table.title().to_owned(),
        name: shown.trim_start().to_owned(),
        column: column.title().to_owned(),
        words: number::words(cx, view, row, at).words.into_owned(),
    };
    Some(Alert { level, of, key: view.key(row), what })
}

/// What tells a row apart from those of its name elsewhere, while there are others.
fn apart(view: &View, row: usize) -> String {
    let differ = view.table().several().filter(|id| view.raw().tells(*id));
    differ.filter_map(|id| Some(format!(" in {}", view.raw().cell(row, id).text()?))).collect()
}
