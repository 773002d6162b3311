//! What has become of a neighbor lately?

use super::{Cx, Line, Role, header, line, number};
use crate::col;
use crate::collect::routing::{AdjacencyChangeRow, OspfNeighborRow};
use crate::model::Cell;
use crate::store::rate::View;

/// Most changes that are told.
const NEWEST: usize = 8;

/// What a neighbor and a change of it have in common.
const SAME: [(usize, usize); 4] = [
    (col!(OspfNeighborRow, netns), col!(AdjacencyChangeRow, netns)),
    (col!(OspfNeighborRow, instance), col!(AdjacencyChangeRow, instance)),
    (col!(OspfNeighborRow, interface), col!(AdjacencyChangeRow, interface)),
    (col!(OspfNeighborRow, address), col!(AdjacencyChangeRow, address)),
];

/// The last changes of a neighbor, the newest first.
pub(super) fn lines(cx: &Cx<'_>, view: &View, row: usize, width: u16) -> Vec<Line> {
    let Some(changes) = cx.views.get(&AdjacencyChangeRow::TABLE.name) else { return Vec::new() };
    let own = |change: &usize| {
        SAME.iter().all(|(here, there)| view.raw().cell(row, *here) == changes.raw().cell(*change, *there))
    };
    let mut rows: Vec<usize> = (0..changes.len()).filter(own).collect();
    let seq = |row: &usize| changes.raw().cell(*row, col!(AdjacencyChangeRow, seq)).number().unwrap_or(0.0);
    rows.sort_by(|a, b| seq(b).total_cmp(&seq(a)));
    rows.into_iter().take(NEWEST).map(|change| line::clip(one(cx, &changes, change), width)).collect()
}

/// When, from which state to which, and why.
fn one(cx: &Cx<'_>, changes: &View, row: usize) -> Line {
    let time = match changes.raw().cell(row, col!(AdjacencyChangeRow, time)) {
        Cell::Timestamp(time) => header::clock(time),
        _ => "?".to_owned(),
    };
    let words = |column: usize, none: &str| {
        let there = !changes.raw().cell(row, column).is_missing();
        if there { number::words(cx, changes, row, column).words.into_owned() } else { none.to_owned() }
    };
    // how it is now has a level
    let now = number::words(cx, changes, row, col!(AdjacencyChangeRow, standing)).role;
    let mut out = vec![
        line::text(format!("{time} "), Role::Muted),
        line::text(format!("{} → ", words(col!(AdjacencyChangeRow, before), "new")), Role::Plain),
        line::text(words(col!(AdjacencyChangeRow, after), "gone"), now),
    ];
    let reason = words(col!(AdjacencyChangeRow, reason), "");
    if !reason.is_empty() {
        out.push(line::text(format!("  {reason}"), Role::Label));
    }
    out
}
