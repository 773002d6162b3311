//! Who changed the packet filter last, and what did it say before?

use super::line::{self, wrap};
use super::{Block, Cx, Item, Line, PanelDef, Role, Space, gauge, header, list, number, pick};
use crate::col;
use crate::collect::nftables::NftRuleRow;
use crate::collect::ruleset_change::RulesetChangeRow;
use crate::model::{Cell, Demand, Level};
use crate::store::rate::View;

/// The log of changes, the newest first.
pub(super) const PANEL: PanelDef = PanelDef {
    name: "ruleset-changes",
    title: "Changes",
    key: None,
    demands: || vec![Demand::table(&RulesetChangeRow::TABLE.name)],
    build,
};

/// Most changes that are shown.
const NEWEST: usize = 100;

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, RulesetChangeRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty(PANEL.title, body),
    };
    let lines = newest(&view).take(NEWEST).flat_map(|row| one(cx, &view, row, space.width)).collect();
    let note = vec![line::text(view.len().to_string(), Role::Muted)];
    list::lines(lines, space).block(PANEL.title, note, pick::stale(cx, RulesetChangeRow::TABLE))
}

fn newest(view: &View) -> impl Iterator<Item = usize> {
    let time = |row: &usize| match view.raw().cell(*row, col!(RulesetChangeRow, time)) {
        Cell::Timestamp(time) => time.0,
        _ => i64::MIN,
    };
    let mut rows: Vec<usize> = (0..view.len()).collect();
    rows.sort_by_key(|row| {
        (time(row), view.raw().cell(*row, col!(RulesetChangeRow, seq)).number().map(|seq| seq as u64))
    });
    rows.into_iter().rev()
}

/// When, who and what; below it what was written before and what is now.
fn one(cx: &Cx<'_>, view: &View, row: usize, width: u16) -> Vec<Line> {
    let words = |column: usize| number::words(cx, view, row, column);
    let there = |column: usize| !view.raw().cell(row, column).is_missing();
    let action = words(col!(RulesetChangeRow, action));
    let lost = action.role == Role::Level(Level::Warning);
    let mut head: Line = vec![
        line::text(format!("{} ", when(view, row)), Role::Muted),
        line::text(action.words, if lost { action.role } else { Role::Value }),
    ];
    let place = [
        col!(RulesetChangeRow, part),
        col!(RulesetChangeRow, family),
        col!(RulesetChangeRow, table),
        col!(RulesetChangeRow, name),
    ];
    let place = place.into_iter().filter(|column| there(*column));
    head.extend(place.map(|column| line::text(format!(" {}", words(column).words), Role::Plain)));
    let by = who(cx, view, row).map(|who| line::text(format!("  by {who}"), Role::Accent));
    let beside = by.as_ref().is_some_and(|by| line::width(&head) + line::width(std::slice::from_ref(by)) <= width);
    // who it was is not cut away
    let below = if beside {
        head.extend(by);
        None
    } else {
        by
    };
    let mut lines = vec![line::clip(head, width)];
    lines.extend(below.map(|by| line::clip(vec![by], width)));
    for (sign, column, role) in
        [("- ", col!(RulesetChangeRow, before), Role::Muted), ("+ ", col!(RulesetChangeRow, after), Role::Plain)]
    {
        if there(column) {
            let said = words(column).words;
            let wrapped = wrap(&said, width.saturating_sub(4)).into_iter().enumerate();
            lines.extend(wrapped.map(|(at, words)| -> Line {
                let sign: Item = line::text(format!("  {}", if at == 0 { sign } else { "  " }), Role::Label);
                vec![sign, line::text(words, role)]
            }));
        }
    }
    lines
}

fn when(view: &View, row: usize) -> String {
    match view.raw().cell(row, col!(RulesetChangeRow, time)) {
        Cell::Timestamp(time) => header::clock(time),
        _ => "?".to_owned(),
    }
}

/// Who made a change, as far as it is known: user, program and process.
fn who(cx: &Cx<'_>, view: &View, row: usize) -> Option<String> {
    let words = |column: usize| {
        let there = !view.raw().cell(row, column).is_missing();
        there.then(|| number::words(cx, view, row, column).words.into_owned())
    };
    let pid = words(col!(RulesetChangeRow, pid)).map(|pid| format!("(pid {pid})"));
    let parts = [words(col!(RulesetChangeRow, user)), words(col!(RulesetChangeRow, program)), pid];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The last change of a rule, in words.
pub(super) fn last(cx: &Cx<'_>, rules: &View, rule: usize) -> Option<String> {
    const SAME: &[(usize, usize)] = &[
        (col!(NftRuleRow, netns), col!(RulesetChangeRow, netns)),
        (col!(NftRuleRow, family), col!(RulesetChangeRow, family)),
        (col!(NftRuleRow, table), col!(RulesetChangeRow, table)),
        (col!(NftRuleRow, handle), col!(RulesetChangeRow, handle)),
    ];
    let view = cx.views.get(&RulesetChangeRow::TABLE.name)?;
    let own = |row: &usize| {
        let cell = |column| view.raw().cell(*row, column);
        cell(col!(RulesetChangeRow, part)).text() == Some("rule")
            && SAME.iter().all(|(here, there)| rules.raw().cell(rule, *here) == cell(*there))
    };
    let row = newest(&view).find(own)?;
    let action = number::words(cx, &view, row, col!(RulesetChangeRow, action)).words;
    let by = who(cx, &view, row).map_or_else(String::new, |who| format!(" by {who}"));
    Some(format!("{action} {}{by}", when(&view, row)))
}
