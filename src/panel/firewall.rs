//! Which rule of the packet filter eats the traffic, which one is never hit, and what drops?
//!
//! Rules stand under their chains as packets meet them: hooks in the order of a packet's way, then priorities, then places.
//! Switches make of that one list by rate, a list of what could be cleaned up, or put what drops on top.

use std::collections::HashMap;

use super::arrange::{Head, Ranked, fitting};
use super::list::{self, Column, List, Show};
use super::number::{self, Top};
use super::{Block, Body, Cx, Line, PanelDef, Role, Space, TableSpec, gauge, legacy, line, pick, ruleset, toggle};
use crate::col;
use crate::collect::nftables::{NftChainRow, NftCounterRow, NftQuotaRow, NftRuleRow, NftSetRow, NftTableRow};
use crate::collect::ruleset_change::RulesetChangeRow;
use crate::collect::xtables_rule::XtablesRuleRow;
use crate::model::{Cell, Demand};
use crate::store::rate::View;

/// Rules under their chains.
pub(super) const RULES: PanelDef = PanelDef {
    name: "rules",
    title: "Rules",
    key: None,
    demands: || {
        let tables = [NftRuleRow::TABLE, NftChainRow::TABLE, NftTableRow::TABLE, XtablesRuleRow::TABLE];
        tables.map(|one| Demand::table(&one.name)).to_vec()
    },
    build: rules,
};

/// The selected rule.
pub(super) const RULE: PanelDef = PanelDef {
    name: "rule",
    title: "Rule",
    key: None,
    demands: || {
        [NftRuleRow::TABLE, NftSetRow::TABLE, RulesetChangeRow::TABLE].map(|one| Demand::table(&one.name)).to_vec()
    },
    build: rule,
};

/// Sets and maps.
pub(super) const SETS: PanelDef = PanelDef {
    name: "sets",
    title: "Sets",
    key: None,
    demands: || vec![Demand::table(&NftSetRow::TABLE.name)],
    build: sets,
};

/// Named counters.
pub(super) const COUNTERS: PanelDef = PanelDef {
    name: "counters",
    title: "Named counters",
    key: None,
    demands: || vec![Demand::table(&NftCounterRow::TABLE.name)],
    build: counters,
};

/// Named quotas.
pub(super) const QUOTAS: PanelDef = PanelDef {
    name: "quotas",
    title: "Quotas",
    key: None,
    demands: || vec![Demand::table(&NftQuotaRow::TABLE.name)],
    build: quotas,
};

/// What makes a rule busy.
pub(super) const BUSY: &[usize] = &[col!(NftRuleRow, packets), col!(NftRuleRow, bytes)];

/// Columns of rules.
const COLUMNS: &[Ranked] = &[
    (col!(NftRuleRow, packets), 17, 0),
    (col!(NftRuleRow, bytes), 8, 1),
    (col!(NftRuleRow, hits), 8, 2),
    (col!(NftRuleRow, carried), 8, 4),
    (col!(NftRuleRow, handle), 7, 5),
    (col!(NftRuleRow, verdict), 12, 3),
];

/// Where a rule is, for a list without headings.
const PLACE: &[Ranked] = &[(col!(NftRuleRow, table), 9, 6), (col!(NftRuleRow, chain), 12, 0)];

/// Cells that a rule's text should have.
pub(super) const TEXT: u16 = 40;

fn rules(cx: &Cx<'_>, space: Space) -> Block {
    let view = cx.views.get(&NftRuleRow::TABLE.name);
    let spec = TableSpec {
        columns: shown(cx, view.as_deref(), space.width),
        sort: vec![(col!(NftRuleRow, packets), true), (col!(NftRuleRow, hits), true)],
        outlined: !is_list(cx),
        none: match legacy::has_rules(cx) {
            Some(true) => "nf_tables has no rule: those that are here are legacy rules",
            Some(false) => "nothing is filtered here: nf_tables has no rule",
            None => "nf_tables has no rule",
        },
        ..TableSpec::of(&NftRuleRow::TABLE.name)
    };
    Block {
        title: "Rules".into(),
        note: view.filter(|view| !view.is_empty()).map_or_else(Line::new, |view| note(cx, &view)),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, NftRuleRow::TABLE),
        body: Body::Table(spec),
    }
}

/// Whether rules are one list instead of a tree.
pub(super) fn is_list(cx: &Cx<'_>) -> bool {
    cx.on(toggle::HOTTEST)
}

/// What people have said of a rule, for rules of which somebody has, where their texts have room beside it.
const SAID: &[Ranked] = &[(col!(NftRuleRow, comment), 28, 7)];

/// What fits, with the text at the end.
fn shown(cx: &Cx<'_>, view: Option<&View>, width: u16) -> Vec<usize> {
    let place = if is_list(cx) || cx.on(toggle::DROPS_FIRST) { PLACE } else { &[] };
    let is_said = |row: usize| view.is_some_and(|view| words(view, row, col!(NftRuleRow, comment)).is_some());
    let said = if (0..view.map_or(0, View::len)).any(is_said) { SAID } else { &[] };
    let columns = fitting(&[COLUMNS, place, said].concat(), width.saturating_sub(TEXT));
    columns.into_iter().chain([col!(NftRuleRow, rule)]).collect()
}

/// What is not at the first glance: how many rules nothing has hit, what drops now, and what the switches have made of it.
fn note(cx: &Cx<'_>, view: &View) -> Line {
    let unhit = (0..view.len()).filter(|row| is_hit(view, *row) == Some(false)).count();
    let dropped: f64 = (0..view.len())
        .filter(|row| drops(view, *row))
        .filter_map(|row| view.cell(row, col!(NftRuleRow, packets)).number())
        .sum();
    let mut out = Line::new();
    let words = match (cx.on(toggle::ONLY_UNHIT), cx.on(toggle::WITHOUT_UNHIT)) {
        (true, _) => "only those never hit".to_owned(),
        (false, true) => format!("without {unhit} never hit"),
        (false, false) => format!("{unhit} never hit"),
    };
    out.push(line::text(words, Role::Muted));
    if dropped > 0.0 {
        let about = view.table().columns.get(col!(NftRuleRow, packets));
        let rate = about.map_or_else(String::new, |about| about.number(dropped, true, number::style(cx)));
        out.push(line::text(format!("  dropping {rate}/s"), Role::Accent));
    }
    out
}

/// Whether anything has hit a rule; `None` where that is not counted.
fn is_hit(view: &View, row: usize) -> Option<bool> {
    view.raw().cell(row, col!(NftRuleRow, packets)).number().map(|packets| packets > 0.0)
}

/// Whether packets end at a rule.
pub(super) fn drops(view: &View, row: usize) -> bool {
    words(view, row, col!(NftRuleRow, verdict))
        .is_some_and(|verdict| ["drop", "reject"].iter().any(|word| verdict.eq_ignore_ascii_case(word)))
}

/// Whether a rule is shown as the switches are.
pub(super) fn keeps(cx: &Cx<'_>, view: &View, row: usize) -> bool {
    match is_hit(view, row) {
        Some(true) => !cx.on(toggle::ONLY_UNHIT),
        // what counts nothing is not known to be of no use
        None => !cx.on(toggle::ONLY_UNHIT),
        Some(false) => !cx.on(toggle::WITHOUT_UNHIT) || cx.on(toggle::ONLY_UNHIT),
    }
}

/// How a rule that drops is written: apart from the others, and more so while it does.
pub(super) fn tone(view: &View, row: usize, column: usize) -> Option<Role> {
    let words = [col!(NftRuleRow, verdict), col!(NftRuleRow, rule)].contains(&column);
    (words && drops(view, row)).then(|| dropping(view, row, col!(NftRuleRow, packets)))
}

/// How what drops is written, by the packets that it does so with.
pub(super) fn dropping(view: &View, row: usize, packets: usize) -> Role {
    let now = view.cell(row, packets).number().is_some_and(|rate| rate > 0.0);
    if now { Role::Level(crate::model::Level::Warning) } else { Role::Accent }
}

/// Hooks in the order in which a packet meets them.
const HOOKS: &[&str] = &["ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"];

/// A chain by its Ids.
type Place<'a> = [Option<&'a str>; 4];

fn place(view: &View, row: usize, columns: [usize; 4]) -> Place<'_> {
    columns.map(|column| words(view, row, column))
}

/// Words of a cell.
fn words(view: &View, row: usize, column: usize) -> Option<&str> {
    match view.raw().cell(row, column) {
        Cell::Text(words) | Cell::Label(words) => Some(words),
        _ => None,
    }
}

/// Puts rules under their chains, and those under their tables.
pub(super) fn outline(cx: &Cx<'_>, view: &View, rows: &mut Vec<usize>, all: bool) -> Vec<Head> {
    const RULE: [usize; 4] =
        [col!(NftRuleRow, netns), col!(NftRuleRow, family), col!(NftRuleRow, table), col!(NftRuleRow, chain)];
    let mut rules: HashMap<Place<'_>, Vec<usize>> = HashMap::new();
    for row in rows.iter() {
        rules.entry(place(view, *row, RULE)).or_default().push(*row);
    }
    let (mut ordered, mut heads) = (Vec::with_capacity(rows.len()), Vec::new());
    let chains = cx.views.get(&NftChainRow::TABLE.name);
    let mut before: Option<[Option<&str>; 3]> = None;
    for chain in chains.as_deref().into_iter().flat_map(in_order) {
        let Some(chains) = chains.as_deref() else { break };
        let own = place(chains, chain, CHAIN);
        let Some(mut under) = rules.remove(&own).or_else(|| all.then(Vec::new)) else { continue };
        let [netns, family, table, _] = own;
        if before != Some([netns, family, table]) {
            let several = chains.raw().tells(col!(NftChainRow, netns));
            heads.push(Head::new(ordered.len(), table_line(cx, own, several)));
            before = Some([netns, family, table]);
        }
        heads.push(Head::new(ordered.len(), chain_line(cx, chains, chain)));
        under.sort_by_key(|row| position(view, *row));
        ordered.extend(under);
    }
    // a chain that is not known yet
    ordered.extend(rows.iter().filter(|row| rules.contains_key(&place(view, **row, RULE))));
    *rows = ordered;
    heads
}

const CHAIN: [usize; 4] =
    [col!(NftChainRow, netns), col!(NftChainRow, family), col!(NftChainRow, table), col!(NftChainRow, name)];

fn position(view: &View, row: usize) -> u64 {
    match view.raw().cell(row, col!(NftRuleRow, position)) {
        Cell::U64(position) => position,
        _ => u64::MAX,
    }
}

/// Chains of each table in the order in which a packet meets them; those that rules call come last.
fn in_order(chains: &View) -> Vec<usize> {
    let own = crate::source::netns::host();
    let mut rows: Vec<usize> = (0..chains.len()).collect();
    rows.sort_by_key(|row| {
        let [netns, family, table, name] = place(chains, *row, CHAIN);
        let hook = words(chains, *row, col!(NftChainRow, hook));
        let hook = hook.map(|hook| HOOKS.iter().position(|one| *one == hook).unwrap_or(HOOKS.len()));
        let priority = match chains.raw().cell(*row, col!(NftChainRow, priority)) {
            Cell::I64(priority) => priority,
            _ => 0,
        };
        let other = netns != Some(own.as_str());
        (other, netns, family, table, hook.is_none(), hook, priority, name)
    });
    rows
}

fn table_line(cx: &Cx<'_>, [netns, family, table, _]: Place<'_>, several: bool) -> Line {
    let told = |one: Option<&str>| one.unwrap_or("?").to_owned();
    let mut out = vec![line::text("▾ ", Role::Muted)];
    if several {
        out.push(line::text(format!("{}  ", told(netns)), Role::Label));
    }
    out.push(line::text(format!("{} {}", told(family), told(table)), Role::Title));
    let dormant = cx.views.get(&NftTableRow::TABLE.name).is_some_and(|tables| {
        const OWN: [usize; 3] = [col!(NftTableRow, netns), col!(NftTableRow, family), col!(NftTableRow, name)];
        (0..tables.len()).any(|row| {
            OWN.map(|column| words(&tables, row, column)) == [netns, family, table]
                && tables.raw().cell(row, col!(NftTableRow, dormant)) == Cell::Bool(true)
        })
    });
    if dormant {
        out.push(line::text("  dormant: none of its chains is called", Role::Accent));
    }
    out
}

/// A chain: when it is called, and what becomes of packets at its end.
fn chain_line(cx: &Cx<'_>, chains: &View, row: usize) -> Line {
    let words = |column: usize| words(chains, row, column);
    let mut out = vec![line::text("  ▾ ", Role::Muted)];
    out.push(line::text(words(col!(NftChainRow, name)).unwrap_or("?").to_owned(), Role::Value));
    if let Some(hook) = words(col!(NftChainRow, hook)) {
        let kind = words(col!(NftChainRow, kind)).unwrap_or("?");
        let priority = match chains.raw().cell(row, col!(NftChainRow, priority)) {
            Cell::I64(priority) => priority.to_string(),
            _ => "?".to_owned(),
        };
        out.push(line::text(format!("  {kind} hook {hook} priority {priority}"), Role::Label));
    }
    if let Some(devices) = words(col!(NftChainRow, devices)) {
        out.push(line::text(format!("  on {devices}"), Role::Label));
    }
    let Some(policy) = words(col!(NftChainRow, policy)) else { return out };
    let role = if policy == "drop" { Role::Accent } else { Role::Label };
    out.push(line::text(format!("  policy {policy}"), role));
    if !chains.raw().cell(row, col!(NftChainRow, packets)).is_missing() {
        out.push(line::text(" ", Role::Plain));
        out.push(number::number(cx, chains, row, col!(NftChainRow, packets)).text());
        out.push(line::text("/s", Role::Muted));
    }
    out
}

/// The selected rule: all of its text, what it has counted, the sets that it looks into, and its past.
fn rule(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, NftRuleRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty("Rule", body),
    };
    let selected = cx.picked.get(&*NftRuleRow::TABLE.name).and_then(|key| view.find(key));
    let Some(row) = selected else {
        let why = "select a rule: its text, its counts and its past stand here".to_owned();
        return pick::empty("Rule", Body::Empty { level: crate::model::Level::Ok, why });
    };
    let text = |column: usize| words(&view, row, column).unwrap_or_default().to_owned();
    let mut lines: Vec<Line> = Vec::new();
    // a level would have its glyph on each line
    let role = tone(&view, row, col!(NftRuleRow, rule)).map_or(Role::Plain, |_| Role::Accent);
    let wrapped = |words: &str, role: Role| -> Vec<Line> {
        line::wrap(words, space.width).into_iter().map(|words| vec![line::text(words, role)]).collect()
    };
    lines.extend(wrapped(&text(col!(NftRuleRow, rule)), role));
    let comment = text(col!(NftRuleRow, comment));
    if !comment.is_empty() {
        lines.extend(wrapped(&comment, Role::Muted));
    }
    lines.push(Line::new());
    let known = |column: usize| !view.raw().cell(row, column).is_missing();
    let counts = known(col!(NftRuleRow, packets));
    if counts || known(col!(NftRuleRow, last)) {
        let named =
            |(name, column): &(gauge::Name, usize)| gauge::Named::new(*name, number::number(cx, &view, row, *column));
        lines.extend(gauge::grid(COUNTS.iter().map(named).collect(), space.width));
    } else {
        lines.extend(wrapped("it has no counter of its own: nobody knows what it carries", Role::Muted));
    }
    lines.extend(about(cx, &view, row, space.width));
    let left = usize::from(space.height).saturating_sub(lines.len() + 1);
    if left >= 3 && counts && !cx.on(toggle::NO_SPARKLINES) {
        let size = (space.width, (left - 1).min(12) as u16);
        lines.push(Line::new());
        lines.push(vec![line::text("packets/s", Role::Label)]);
        let column = col!(NftRuleRow, packets);
        lines.extend(number::graph(cx, &view, (row, column), (size.0, size.1 - 1), Top::Least(0.0), Role::Value));
    }
    let place = [col!(NftRuleRow, family), col!(NftRuleRow, table), col!(NftRuleRow, chain)].map(text).join(" ");
    let handle = number::words(cx, &view, row, col!(NftRuleRow, handle));
    let note = vec![line::text(format!("{} ", handle.words), Role::Value), line::text(place, Role::Muted)];
    list::lines(lines, space).block("Rule", note, pick::stale(cx, NftRuleRow::TABLE))
}

const COUNTS: &[(gauge::Name, usize)] = &[
    (("pkt/s", "packets/s"), col!(NftRuleRow, packets)),
    (("B/s", "bytes/s"), col!(NftRuleRow, bytes)),
    (("pkts", "packets"), col!(NftRuleRow, hits)),
    (("bytes", "bytes"), col!(NftRuleRow, carried)),
    (("last", "last hit"), col!(NftRuleRow, last)),
];

/// What other tables know of a rule: how full its sets are, and who changed it last.
pub(super) fn about(cx: &Cx<'_>, view: &View, row: usize, width: u16) -> Vec<Line> {
    let change = ruleset::last(cx, view, row).map(|change| line::wrap(&change, width)).into_iter().flatten();
    let change = change.map(|words| vec![line::text(words, Role::Accent)]);
    used_sets(cx, view, row, width).into_iter().chain(change).collect()
}

/// How full the sets are that a rule names.
fn used_sets(cx: &Cx<'_>, view: &View, row: usize, width: u16) -> Vec<Line> {
    let Some(sets) = cx.views.get(&NftSetRow::TABLE.name) else { return Vec::new() };
    let text = words(view, row, col!(NftRuleRow, rule)).unwrap_or_default();
    let names: Vec<&str> = text.split_whitespace().filter_map(|word| word.strip_prefix('@')).collect();
    let own = |set: &usize| {
        let same = |here: usize, there: usize| view.raw().cell(row, here) == sets.raw().cell(*set, there);
        same(col!(NftRuleRow, netns), col!(NftSetRow, netns))
            && same(col!(NftRuleRow, family), col!(NftSetRow, family))
            && same(col!(NftRuleRow, table), col!(NftSetRow, table))
            && words(&sets, *set, col!(NftSetRow, set)).is_some_and(|name| names.contains(&name))
    };
    let one = |set: usize| {
        let name = words(&sets, set, col!(NftSetRow, set)).unwrap_or_default().to_owned();
        let mut out = vec![line::text(format!("set {name} "), Role::Label)];
        out.push(number::number(cx, &sets, set, col!(NftSetRow, elements)).text());
        if !sets.cell(set, col!(NftSetRow, size)).is_missing() {
            out.push(line::text(" of ", Role::Muted));
            out.push(number::number(cx, &sets, set, col!(NftSetRow, size)).text());
            out.push(line::gap());
            out.push(number::bar(cx, &sets, set, col!(NftSetRow, fill), 0));
        }
        line::clip(out, width)
    };
    (0..sets.len()).filter(own).map(one).collect()
}

fn sets(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(NftSetRow, netns))),
        Column::wide("table", 8, 5, Show::Words(col!(NftSetRow, table))),
        Column::wide("type", 14, 3, Show::Words(col!(NftSetRow, key))),
        Column::number("count", 0, Show::Of(col!(NftSetRow, elements))),
        Column::number("size", 2, Show::Of(col!(NftSetRow, size))),
        Column::wide("fill", 6, 1, Show::Bar(col!(NftSetRow, fill))),
        Column::number("timeout", 4, Show::Of(col!(NftSetRow, timeout))),
    ];
    let (busy, table) = (vec![col!(NftSetRow, elements)], NftSetRow::TABLE);
    list::block(cx, space, List { title: "Sets", names: "set", table, name: 8, busy, columns, graphs: &[] })
}

fn counters(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(NftCounterRow, netns))),
        Column::wide("table", 8, 3, Show::Words(col!(NftCounterRow, table))),
        Column::number("pkt/s", 0, Show::Of(col!(NftCounterRow, packets))),
        Column::number("B/s", 0, Show::Of(col!(NftCounterRow, bytes))),
        Column::number("total", 1, Show::Total(col!(NftCounterRow, bytes))),
        Column::wide("past", 6, 2, Show::Spark(col!(NftCounterRow, packets), None)),
    ];
    let (busy, table) = (vec![col!(NftCounterRow, packets)], NftCounterRow::TABLE);
    list::block(
        cx,
        space,
        List { title: "Named counters", names: "counter", table, name: 8, busy, columns, graphs: &[] },
    )
}

fn quotas(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(NftQuotaRow, netns))),
        Column::wide("table", 8, 3, Show::Words(col!(NftQuotaRow, table))),
        Column::number("used", 0, Show::Of(col!(NftQuotaRow, used))),
        Column::number("of", 0, Show::Of(col!(NftQuotaRow, quota))),
        Column::wide("fill", 6, 1, Show::Bar(col!(NftQuotaRow, fill))),
    ];
    let (busy, table) = (vec![col!(NftQuotaRow, used)], NftQuotaRow::TABLE);
    list::block(cx, space, List { title: "Quotas", names: "quota", table, name: 8, busy, columns, graphs: &[] })
}
