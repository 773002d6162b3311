//! What do the rules of iptables' older interface filter, where a host has some?
//!
//! They have no handles and no history of changes, so that they are a list of their own beside the rules of nf_tables. The
//! kernel tells a table of theirs as a whole, policies included.

use super::arrange::{Ranked, fitting};
use super::{Block, Body, Cx, Line, PanelDef, Role, Space, TableSpec, firewall, pick};
use crate::col;
use crate::collect::nftables::{NftChainRow, NftRuleRow};
use crate::collect::xtables_rule::XtablesRuleRow;
use crate::model::{Cell, Demand, Rows, State, Table};
use crate::store::rate::View;

/// Rules of iptables' older interface.
pub(super) const PANEL: PanelDef = PanelDef { name: "legacy-rules", title: "Legacy rules", key: None, demands, build };

/// What the arrangement depends on: the panel is there while there are such rules.
pub(super) fn demands() -> Vec<Demand> {
    vec![Demand::table(&XtablesRuleRow::TABLE.name)]
}

/// Columns beside the text.
const COLUMNS: &[Ranked] = &[
    (col!(XtablesRuleRow, netns), 9, 4),
    (col!(XtablesRuleRow, family), 6, 3),
    (col!(XtablesRuleRow, table), 9, 2),
    (col!(XtablesRuleRow, chain), 10, 0),
    (col!(XtablesRuleRow, packets), 17, 0),
    (col!(XtablesRuleRow, bytes), 8, 1),
];

/// A chain's policy comes before its rules, and these as packets meet them.
const ORDER: [usize; 4] = [
    col!(XtablesRuleRow, chain),
    col!(XtablesRuleRow, table),
    col!(XtablesRuleRow, family),
    col!(XtablesRuleRow, position),
];

/// What makes a rule busy.
pub(super) const BUSY: &[usize] = &[col!(XtablesRuleRow, packets), col!(XtablesRuleRow, bytes)];

fn rows(cx: &Cx<'_>, table: &Table) -> usize {
    let now = cx.snapshot.get(&table.name).and_then(|known| known.now.as_ref());
    now.map_or(0, |now| now.rows.len())
}

/// Whether the older interface filters anything here; `None` while nobody knows. Tables whose chains are empty and let
/// everything pass are there as soon as somebody has listed them.
pub(super) fn has_rules(cx: &Cx<'_>) -> Option<bool> {
    let known = cx.snapshot.get(&XtablesRuleRow::TABLE.name)?;
    let does = |row: usize, rows: &dyn Rows| {
        let is_policy = rows.cell(row, col!(XtablesRuleRow, position)) == Cell::U64(0);
        !is_policy || rows.cell(row, col!(XtablesRuleRow, target)).text() != Some("ACCEPT")
    };
    let filters = known.now.as_ref().map(|now| (0..now.rows.len()).any(|row| does(row, &*now.rows)));
    if known.status.state == State::Absent { Some(false) } else { filters }
}

/// Whether they are the only ones.
pub(super) fn is_alone(cx: &Cx<'_>) -> bool {
    rows(cx, NftRuleRow::TABLE) == 0 && rows(cx, NftChainRow::TABLE) == 0
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let view = cx.views.get(&XtablesRuleRow::TABLE.name);
    let several = view.is_some_and(|view| view.raw().differ(col!(XtablesRuleRow, netns)));
    let known: Vec<Ranked> =
        COLUMNS.iter().copied().filter(|one| several || one.0 != col!(XtablesRuleRow, netns)).collect();
    let columns = fitting(&known, space.width.saturating_sub(firewall::TEXT));
    Block {
        title: PANEL.title.into(),
        note: Line::new(),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, XtablesRuleRow::TABLE),
        body: Body::Table(TableSpec {
            sort: ORDER.iter().map(|column| (*column, false)).collect(),
            columns: columns.into_iter().chain([col!(XtablesRuleRow, rule)]).collect(),
            none: "no rule was made with iptables-legacy",
            ..TableSpec::of(&XtablesRuleRow::TABLE.name)
        }),
    }
}

/// How a rule or policy that drops is written: apart from the others, and more so while it does.
pub(super) fn tone(view: &View, row: usize, column: usize) -> Option<Role> {
    let drops = matches!(view.raw().cell(row, col!(XtablesRuleRow, target)).text(), Some("DROP" | "REJECT"));
    (drops && column == col!(XtablesRuleRow, rule))
        .then(|| firewall::dropping(view, row, col!(XtablesRuleRow, packets)))
}
