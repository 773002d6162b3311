//! What is in the databases of OSPF, and which LSA is told again and again or taken away?
//!
//! An LSA that flaps is a fault that no table of neighbors shows: a link elsewhere, a route that comes and goes, two routers
//! with one number. Such stand above all others, and below them those that were made last.

use std::cmp::Reverse;

use super::arrange::{Ranked, fitting};
use super::{Block, Body, Cx, Line, PanelDef, Role, Space, TableSpec, line, pick};
use crate::col;
use crate::collect::routing::{OspfAreaRow, OspfLsaRow};
use crate::model::{Cell, Demand, Level, Table};
use crate::store::expr::quoted;
use crate::store::rate::View;

/// All LSAs.
pub(super) const PANEL: PanelDef = PanelDef {
    name: "ospf-lsas",
    title: "OSPF LSAs",
    key: None,
    demands: || vec![Demand::table(&OspfLsaRow::TABLE.name)],
    build,
};

/// Columns with their cells.
const COLUMNS: &[Ranked] = &[
    (col!(OspfLsaRow, netns), 9, 2),
    (col!(OspfLsaRow, instance), 10, 3),
    (col!(OspfLsaRow, version), 3, 4),
    (col!(OspfLsaRow, area), 9, 0),
    (col!(OspfLsaRow, kind), 18, 0),
    (col!(OspfLsaRow, link_state_id), 12, 0),
    (col!(OspfLsaRow, advertising_router), 12, 0),
    (col!(OspfLsaRow, state), 9, 0),
    (col!(OspfLsaRow, originated), 12, 0),
    (col!(OspfLsaRow, instances), 11, 1),
    (col!(OspfLsaRow, interface), 10, 5),
    (col!(OspfLsaRow, sequence), 9, 6),
    (col!(OspfLsaRow, checksum), 9, 7),
];

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let spec = TableSpec {
        columns: fitting(COLUMNS, space.width),
        sort: vec![(col!(OspfLsaRow, originated), true)],
        none: "no database of OSPF is told here",
        ..TableSpec::of(&OspfLsaRow::TABLE.name)
    };
    let view = cx.views.get(&OspfLsaRow::TABLE.name).filter(|view| !view.is_empty());
    Block {
        title: PANEL.title.into(),
        note: view.map_or_else(Line::new, |view| note(&view)),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, OspfLsaRow::TABLE),
        body: Body::Table(spec),
    }
}

/// What an area and its LSAs have in common, the area itself first.
const COMMON: [(usize, usize); 6] = [
    (col!(OspfAreaRow, area), col!(OspfLsaRow, area)),
    (col!(OspfAreaRow, netns), col!(OspfLsaRow, netns)),
    (col!(OspfAreaRow, source), col!(OspfLsaRow, source)),
    (col!(OspfAreaRow, instance), col!(OspfLsaRow, instance)),
    (col!(OspfAreaRow, vrf), col!(OspfLsaRow, vrf)),
    (col!(OspfAreaRow, version), col!(OspfLsaRow, version)),
];

/// The table of what is inside the rows of another one, and what that is called.
pub fn contents(table: &str) -> Option<(&'static Table, &'static str)> {
    (table == OspfAreaRow::TABLE.name).then_some((OspfLsaRow::TABLE, "its LSAs"))
}

/// The filter that keeps what is inside a row; what is the same in all rows is left out of it.
pub fn inside(view: &View, row: usize) -> Option<String> {
    contents(&view.table().name)?;
    let raw = view.raw();
    let told = COMMON.iter().enumerate().filter(|(at, (column, _))| *at == 0 || raw.differ(*column));
    let terms = told.filter_map(|(_, (column, other))| {
        let name = &OspfLsaRow::TABLE.columns.get(*other)?.name;
        Some(match raw.cell(row, *column) {
            Cell::Text(words) | Cell::Label(words) => format!("{name} == {}", quoted(words)),
            Cell::U64(number) => format!("{name} == {number}"),
            _ => format!("missing({name})"),
        })
    });
    Some(terms.collect::<Vec<String>>().join(" and "))
}

/// What becomes of an LSA, and how bad that is.
fn state(view: &View, row: usize) -> Option<(&str, Level)> {
    let column = col!(OspfLsaRow, state);
    match (view.raw().cell(row, column), view.table().columns.get(column)) {
        (Cell::Label(word), Some(about)) => Some((word, about.label_level(word))),
        _ => None,
    }
}

/// How many of them are not as they were.
fn note(view: &View) -> Line {
    let mut counts: Vec<(&str, Level, usize)> = Vec::new();
    for (word, level) in (0..view.len()).filter_map(|row| state(view, row)).filter(|(word, _)| *word != "current") {
        match counts.iter_mut().find(|(known, ..)| *known == word) {
            Some((.., count)) => *count += 1,
            None => counts.push((word, level, 1)),
        }
    }
    counts.sort_by_key(|(_, level, _)| Reverse(*level));
    let mut out = Line::new();
    for (word, level, count) in counts {
        if !out.is_empty() {
            out.push(line::text(", ", Role::Muted));
        }
        let role = if level == Level::Ok { Role::Muted } else { Role::Level(level) };
        out.push(line::text(format!("{count} {word}"), role));
    }
    out
}

/// Puts the worst above all others, and leaves them in their order otherwise.
pub(super) fn worst_first(view: &View, rows: &mut [usize]) {
    rows.sort_by_key(|row| Reverse(state(view, *row).map_or(Level::Ok, |(_, level)| level)));
}
