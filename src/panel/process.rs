//! Which processes are there? The generic table view draws them; this says which columns fit.

use super::arrange::{Ranked, fitting};
use super::{Block, Body, Cx, Line, PanelDef, Role, Space, TableSpec, line, pick};
use crate::col;
use crate::collect::process::ProcessRow;
use crate::model::Demand;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "processes", title: "Processes", key: Some('z'), demands, build };

/// Columns before the command.
const COLUMNS: &[Ranked] = &[
    (col!(ProcessRow, pid), 8, 0),
    (col!(ProcessRow, user), 9, 2),
    (col!(ProcessRow, cpu), 7, 0),
    (col!(ProcessRow, memory), 7, 0),
    (col!(ProcessRow, rss), 7, 1),
    (col!(ProcessRow, virtual_size), 7, 6),
    (col!(ProcessRow, threads), 5, 5),
    (col!(ProcessRow, nice), 5, 4),
    (col!(ProcessRow, state), 9, 3),
    (col!(ProcessRow, read_bytes), 7, 7),
    (col!(ProcessRow, write_bytes), 7, 7),
    (col!(ProcessRow, unit), 22, 9),
    (col!(ProcessRow, cpu_time), 9, 3),
    (col!(ProcessRow, last_cpu), 5, 8),
];

/// Cells that a command should have.
const COMMAND: u16 = 24;

fn demands() -> Vec<Demand> {
    vec![Demand::table(&ProcessRow::TABLE.name)]
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let spec = TableSpec {
        columns: shown(space.width),
        // what is idle is told apart by its memory
        sort: vec![(col!(ProcessRow, cpu), true), (col!(ProcessRow, rss), true)],
        tree: Some((col!(ProcessRow, parent), col!(ProcessRow, pid))),
        ..TableSpec::of(&ProcessRow::TABLE.name)
    };
    Block {
        title: "Processes".into(),
        note: cx.views.get(&ProcessRow::TABLE.name).map_or_else(Line::new, |view| note(&view)),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, ProcessRow::TABLE),
        body: Body::Table(spec),
    }
}

fn note(view: &crate::store::rate::View) -> Line {
    let running = (0..view.len()).filter(|row| view.cell(*row, col!(ProcessRow, state)).text() == Some("running"));
    let threads = (0..view.len()).filter_map(|row| view.cell(row, col!(ProcessRow, threads)).number()).sum::<f64>();
    let words = format!("{} running  {threads:.0} threads", running.count());
    vec![line::text(words, Role::Muted)]
}

/// Columns that fit with the command at the end.
fn shown(width: u16) -> Vec<usize> {
    let columns = fitting(COLUMNS, width.saturating_sub(COMMAND));
    columns.into_iter().chain([col!(ProcessRow, command)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_rooms_keep_the_number_the_shares_and_the_command() {
        let kept = shown(40);
        for column in
            [col!(ProcessRow, pid), col!(ProcessRow, cpu), col!(ProcessRow, memory), col!(ProcessRow, command)]
        {
            assert!(kept.contains(&column));
        }
        assert!(shown(78).contains(&col!(ProcessRow, user)) && shown(78).contains(&col!(ProcessRow, rss)));
        assert_eq!(shown(200).len(), COLUMNS.len() + 1);
    }
}
