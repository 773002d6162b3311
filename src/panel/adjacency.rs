//! Which routers does this one speak with, how is it with each, and who is missing?
//!
//! Neighbors stand under their area and interface, and who is not there, or not yet, above all others. How long a neighbor
//! may be silent is a bar that runs.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use super::arrange::{Beside, Head, Ranked, fitting};
use super::gauge::{self, Named};
use super::number::{self, Top};
use super::{Block, Body, Cx, Item, Line, PanelDef, Role, Space, TableSpec, facts, line, list, pick, toggle};
use crate::col;
use crate::collect::routing::{AdjacencyChangeRow, OspfAreaRow, OspfInterfaceRow, OspfNeighborRow};
use crate::model::{Cell, Demand, Level};
use crate::source::netns;
use crate::store::rate::View;

/// All neighbors.
pub(super) const PANEL: PanelDef = PanelDef {
    name: "adjacencies",
    title: "Adjacencies",
    key: None,
    // dead timers and costs are those of interfaces
    demands: || [OspfNeighborRow::TABLE, OspfInterfaceRow::TABLE, OspfAreaRow::TABLE].map(named).to_vec(),
    build,
};

/// The selected one.
pub(super) const NEIGHBOR: PanelDef = PanelDef {
    name: "adjacency",
    title: "Neighbor",
    key: None,
    demands: || [OspfNeighborRow::TABLE, OspfInterfaceRow::TABLE, AdjacencyChangeRow::TABLE].map(named).to_vec(),
    build: neighbor,
};

fn named(table: &crate::model::Table) -> Demand {
    Demand::table(&table.name)
}

/// Columns with their cells; headings tell area and network. The version has one where there are both, because a router may be
/// a neighbor in each.
const COLUMNS: &[Ranked] = &[
    (col!(OspfNeighborRow, router_id), 16, 0),
    (col!(OspfNeighborRow, version), 3, 0),
    (col!(OspfNeighborRow, state), 9, 0),
    (col!(OspfNeighborRow, interface), 10, 0),
    (col!(OspfNeighborRow, expires), 17, 1),
    (col!(OspfNeighborRow, since), 7, 0),
    (col!(OspfNeighborRow, flaps), 6, 0),
    (col!(OspfNeighborRow, changes), 17, 3),
    (col!(OspfNeighborRow, role), 9, 2),
    (col!(OspfNeighborRow, address), 16, 5),
    (col!(OspfNeighborRow, instance), 9, 6),
    (col!(OspfNeighborRow, bfd), 6, 7),
    (col!(OspfNeighborRow, retransmissions), 6, 8),
    (col!(OspfNeighborRow, reason), 21, 4),
];

/// Cells of the bar of a dead timer, and of the past of changes.
const BAR: u16 = 8;

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let view = cx.views.get(&OspfNeighborRow::TABLE.name).filter(|view| !view.is_empty());
    let version = col!(OspfNeighborRow, version);
    let both = view.as_deref().is_some_and(|view| view.raw().differ(version));
    let columns: Vec<Ranked> = COLUMNS.iter().filter(|(column, ..)| both || *column != version).copied().collect();
    let spec = TableSpec {
        columns: fitting(&columns, space.width),
        sort: vec![(col!(OspfNeighborRow, since), true)],
        outlined: !cx.on(toggle::ONE_LIST),
        none: "OSPF has no neighbor here",
        ..TableSpec::of(&OspfNeighborRow::TABLE.name)
    };
    Block {
        title: PANEL.title.into(),
        note: view.map_or_else(Line::new, |view| note(&view)),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, OspfNeighborRow::TABLE),
        body: Body::Table(spec),
    }
}

/// How bad the state of a neighbor is.
fn level(view: &View, row: usize) -> Level {
    let column = col!(OspfNeighborRow, state);
    match (view.raw().cell(row, column), view.table().columns.get(column)) {
        (Cell::Label(word), Some(about)) => about.label_level(word),
        _ => Level::Ok,
    }
}

/// Whether one is full now, as far as its daemon tells.
fn is_full(view: &View, row: usize) -> bool {
    !super::arrange::is_stale(view, row) && view.raw().cell(row, col!(OspfNeighborRow, state)).text() == Some("Full")
}

/// How many there are in which state.
fn note(view: &View) -> Line {
    let count = |is: &dyn Fn(usize) -> bool| (0..view.len()).filter(|row| is(*row)).count();
    let mut out = vec![line::text(format!("{} full", count(&|row| is_full(view, row))), Role::Muted)];
    let stale = count(&|row| super::arrange::is_stale(view, row));
    if stale > 0 {
        out.push(line::text(format!(", {stale} stale"), Role::Stale));
    }
    for (word, worst) in [("missing", Level::Critical), ("not there yet", Level::Warning)] {
        let many = count(&|row| !super::arrange::is_stale(view, row) && level(view, row) == worst);
        if many > 0 {
            out.push(line::text(", ", Role::Muted));
            out.push(line::text(format!("{many} {word}"), Role::Level(worst)));
        }
    }
    out
}

/// What stands under one heading: where the daemon is, which one it is, version and area.
const AREA: [usize; 4] = [
    col!(OspfNeighborRow, netns),
    col!(OspfNeighborRow, instance),
    col!(OspfNeighborRow, version),
    col!(OspfNeighborRow, area),
];
/// The same of areas.
const OF_AREA: [usize; 4] =
    [col!(OspfAreaRow, netns), col!(OspfAreaRow, instance), col!(OspfAreaRow, version), col!(OspfAreaRow, area)];
/// An interface of a daemon, as neighbors have it and as interfaces do.
const BEHIND: [(usize, usize); 4] = [
    (col!(OspfNeighborRow, netns), col!(OspfInterfaceRow, netns)),
    (col!(OspfNeighborRow, instance), col!(OspfInterfaceRow, instance)),
    (col!(OspfNeighborRow, version), col!(OspfInterfaceRow, version)),
    (col!(OspfNeighborRow, interface), col!(OspfInterfaceRow, interface)),
];

/// A cell as something that has an order.
fn told(view: &View, row: usize, column: usize) -> Cow<'_, str> {
    match view.raw().cell(row, column) {
        Cell::Text(words) | Cell::Label(words) => Cow::Borrowed(words),
        Cell::U64(number) => Cow::Owned(number.to_string()),
        Cell::Ip(address) => Cow::Owned(address.to_string()),
        _ => Cow::Borrowed(""),
    }
}

/// Where a neighbor stands among the others.
struct Place<'a> {
    row: usize,
    /// Those of this host are nearer than those of other network namespaces, and both than those of other routers.
    far: (bool, bool),
    area: [Cow<'a, str>; 4],
    interface: Cow<'a, str>,
    router: Cow<'a, str>,
}

impl<'a> Place<'a> {
    fn new(view: &'a View, row: usize) -> Self {
        Self {
            row,
            far: far(view, row),
            area: AREA.map(|column| told(view, row, column)),
            interface: told(view, row, col!(OspfNeighborRow, interface)),
            router: told(view, row, col!(OspfNeighborRow, router_id)),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let [netns, instance, version, area] = &self.area;
        let [other_netns, other_instance, other_version, other_area] = &other.area;
        let order = self.far.cmp(&other.far).then_with(|| {
            (netns, version, instance, area).cmp(&(other_netns, other_version, other_instance, other_area))
        });
        let order = order.then_with(|| pick::natural(&self.interface, &other.interface));
        order.then_with(|| pick::natural(&self.router, &other.router))
    }
}

/// Whether it is another router than this host that has a neighbor, and whether that is in another network namespace.
fn far(view: &View, row: usize) -> (bool, bool) {
    let netns = told(view, row, col!(OspfNeighborRow, netns));
    (pick::is_far(view, row), !netns.is_empty() && *netns != *netns::host())
}

/// Puts neighbors under their areas and interfaces; who is missing comes first.
pub(super) fn outline(cx: &Cx<'_>, view: &View, rows: &mut Vec<usize>) -> Vec<Head> {
    let (mut missing, there): (Vec<usize>, Vec<usize>) =
        rows.iter().partition(|row| level(view, **row) > Level::Careful);
    missing.sort_by_key(|row| (Reverse(level(view, *row)), far(view, *row)));
    let mut heads = Vec::new();
    if !missing.is_empty() {
        heads.push(Head::new(0, vec![line::text("▾ missing or not there yet", Role::Title)]));
    }
    let mut there: Vec<Place<'_>> = there.into_iter().map(|row| Place::new(view, row)).collect();
    there.sort_by(Place::order);
    let interfaces = cx.views.get(&OspfInterfaceRow::TABLE.name);
    let known = interfaces.as_deref().map(known).unwrap_or_default();
    *rows = missing;
    for area in there.chunk_by(|a, b| a.area == b.area) {
        if let Some(first) = area.first() {
            let full = area.iter().filter(|place| is_full(view, place.row)).count();
            heads.push(Head::new(rows.len(), area_line(cx, view, first, (full, area.len()))));
        }
        for behind in area.chunk_by(|a, b| a.interface == b.interface) {
            if let Some(first) = behind.first() {
                let at = interfaces.as_deref().zip(known.get(&identity(first)).copied());
                heads.push(Head::new(rows.len(), interface_line(&first.interface, at)));
            }
            rows.extend(behind.iter().map(|place| place.row));
        }
    }
    heads
}

/// What an interface of a daemon is known by: where the daemon is, which one it is, version and name.
type Identity<'a> = [Cow<'a, str>; 4];

fn identity<'a>(place: &Place<'a>) -> Identity<'a> {
    let [netns, instance, version, _] = place.area.clone();
    [netns, instance, version, place.interface.clone()]
}

/// Interfaces by what they are known by.
fn known(interfaces: &View) -> HashMap<Identity<'_>, usize> {
    let identity = |row: usize| BEHIND.map(|(_, column)| told(interfaces, row, column));
    // of several with one name the first
    (0..interfaces.len()).rev().map(|row| (identity(row), row)).collect()
}

/// An area: what kind it is, what this router is in it, and how many of its neighbors are full.
fn area_line(cx: &Cx<'_>, view: &View, first: &Place<'_>, (full, all): (usize, usize)) -> Line {
    let [netns, instance, version, area] = &first.area;
    let differ = |column| view.raw().differ(column);
    let mut out = vec![line::text("▾ ", Role::Muted)];
    if view.raw().tells(col!(OspfNeighborRow, netns)) {
        out.push(line::text(format!("{netns}  "), Role::Label));
    }
    if differ(col!(OspfNeighborRow, instance)) {
        out.push(line::text(format!("{instance}  "), Role::Label));
    }
    out.push(line::text(format!("area {area}"), Role::Title));
    if differ(col!(OspfNeighborRow, version)) {
        out.push(line::text(format!("  OSPFv{version}"), Role::Label));
    }
    if let Some((areas, at)) = area_of(cx, &first.area) {
        let kind = told(&areas, at, col!(OspfAreaRow, kind));
        let is = |column| areas.raw().cell(at, column) == Cell::Bool(true);
        let words = [
            (!kind.is_empty() && kind != "normal").then(|| kind.into_owned()),
            is(col!(OspfAreaRow, abr)).then(|| "ABR".to_owned()),
            is(col!(OspfAreaRow, asbr)).then(|| "ASBR".to_owned()),
            areas.raw().cell(at, col!(OspfAreaRow, lsas)).number().map(|lsas| format!("{lsas} LSAs")),
        ];
        out.extend(words.into_iter().flatten().map(|words| line::text(format!("  {words}"), Role::Label)));
    }
    out.push(line::text(format!("  {full} of {all} full"), Role::Muted));
    out
}

fn area_of(cx: &Cx<'_>, own: &[Cow<'_, str>; 4]) -> Option<(std::sync::Arc<View>, usize)> {
    let areas = cx.views.get(&OspfAreaRow::TABLE.name)?;
    let at = (0..areas.len()).find(|row| OF_AREA.map(|column| told(&areas, *row, column)) == *own)?;
    Some((areas, at))
}

/// The interface that a neighbor is behind, as its daemon has it.
fn behind(cx: &Cx<'_>, view: &View, row: usize) -> Option<(std::sync::Arc<View>, usize)> {
    let interfaces = cx.views.get(&OspfInterfaceRow::TABLE.name)?;
    let same = |at: &usize| {
        BEHIND.iter().all(|(here, there)| view.raw().cell(row, *here) == interfaces.raw().cell(*at, *there))
    };
    let at = (0..interfaces.len()).find(same)?;
    Some((interfaces, at))
}

/// An interface: its network, what it costs, and who is designated there.
fn interface_line(name: &str, known: Option<(&View, usize)>) -> Line {
    let mut out = vec![line::text("  ▾ ", Role::Muted), line::text(name.to_owned(), Role::Value)];
    let Some((interfaces, at)) = known else { return out };
    let words = |column: usize| Some(told(interfaces, at, column)).filter(|words| !words.is_empty());
    let cost = words(col!(OspfInterfaceRow, cost));
    let parts = [
        words(col!(OspfInterfaceRow, network)).map(Cow::into_owned),
        cost.map(|cost| format!("cost {cost}")),
        words(col!(OspfInterfaceRow, dr)).map(|router| format!("DR {router}")),
        words(col!(OspfInterfaceRow, backup)).map(|router| format!("BDR {router}")),
    ];
    out.extend(parts.into_iter().flatten().map(|words| line::text(format!("  {words}"), Role::Label)));
    out
}

/// The bar of the dead timer and the past of changes.
pub(super) fn beside<'a>(cx: &'a Cx<'_>, view: &'a View) -> Vec<Beside<'a>> {
    let changes = col!(OspfNeighborRow, changes);
    let mut out = vec![Beside {
        column: col!(OspfNeighborRow, expires),
        cells: BAR,
        item: Box::new(move |row| dead(cx, view, row, BAR)),
    }];
    if !cx.on(toggle::NO_SPARKLINES) {
        let item = Box::new(move |row| number::spark(cx, view, row, changes, BAR, Some(1.0)));
        out.push(Beside { column: changes, cells: BAR, item });
    }
    out
}

/// What is left of the time for which a neighbor may be silent.
fn dead(cx: &Cx<'_>, view: &View, row: usize, width: u16) -> Item {
    let left = view.raw().cell(row, col!(OspfNeighborRow, expires)).instant().map(|end| -end.age(cx.now));
    let all = behind(cx, view, row).and_then(|(interfaces, at)| {
        interfaces.raw().cell(at, col!(OspfInterfaceRow, dead)).number().filter(|all| *all > 0.0)
    });
    let share = left.zip(all).map(|(left, all)| (left / all).clamp(0.0, 1.0));
    let role = match share {
        // several hellos were missed
        Some(share) if share < 0.25 => Role::Level(Level::Warning),
        Some(share) if share < 0.5 => Role::Level(Level::Careful),
        _ => Role::Value,
    };
    Item::Bar { parts: share.map(|share| (share, role)).into_iter().collect(), marks: Vec::new(), width }
}

/// What there is to say of the selected neighbor.
const FACTS: &[facts::Fact] = &[
    ("address", col!(OspfNeighborRow, address)),
    ("own", col!(OspfNeighborRow, local_address)),
    ("interface", col!(OspfNeighborRow, interface)),
    ("area", col!(OspfNeighborRow, area)),
    ("daemon", col!(OspfNeighborRow, instance)),
    ("netns", col!(OspfNeighborRow, netns)),
    ("VRF", col!(OspfNeighborRow, vrf)),
    ("version", col!(OspfNeighborRow, version)),
    ("role", col!(OspfNeighborRow, role)),
    ("priority", col!(OspfNeighborRow, priority)),
    ("for", col!(OspfNeighborRow, since)),
    ("changed", col!(OspfNeighborRow, last_change)),
    ("BFD", col!(OspfNeighborRow, bfd)),
    ("rxmt", col!(OspfNeighborRow, retransmissions)),
    ("rqst", col!(OspfNeighborRow, requests)),
    ("dbsum", col!(OspfNeighborRow, summaries)),
    ("fell back", col!(OspfNeighborRow, regressed)),
    ("why", col!(OspfNeighborRow, reason)),
    ("silent", col!(OspfNeighborRow, stale)),
];

/// Fewest changes that are told of a neighbor.
const LEAST_PAST: usize = 2;

fn neighbor(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, OspfNeighborRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty(NEIGHBOR.title, body),
    };
    let selected = cx.picked.get(&*OspfNeighborRow::TABLE.name).and_then(|key| view.find(key));
    let Some(row) = selected else {
        let why = "select a neighbor: its timers, its changes and its past stand here".to_owned();
        return pick::empty(NEIGHBOR.title, Body::Empty { level: Level::Ok, why });
    };
    let words = |column: usize| number::words(cx, &view, row, column);
    let state = words(col!(OspfNeighborRow, state));
    let mut lines: Vec<Line> =
        vec![vec![line::left("state", Role::Label, facts::NAME), line::text(state.words, state.role)]];
    let expires = words(col!(OspfNeighborRow, expires));
    if !view.raw().cell(row, col!(OspfNeighborRow, expires)).is_missing() {
        let mut timer =
            vec![line::left("dead in", Role::Label, facts::NAME), line::left(expires.words, expires.role, 9)];
        timer.push(dead(cx, &view, row, 0));
        lines.push(timer);
    }
    let totals = [("flaps", col!(OspfNeighborRow, flaps)), ("changes", col!(OspfNeighborRow, changes))];
    let totals = totals.map(|(name, column)| Named::new((name, name), number::total(cx, &view, row, column)));
    lines.extend(gauge::grid(Vec::from(totals), space.width));
    // what has become of it goes before what it is, where there is no room for both
    let mut past = super::transition::lines(cx, &view, row, space.width);
    past.truncate(usize::from(space.height / 3).max(LEAST_PAST));
    lines.append(&mut past);
    lines.extend(facts::lines(cx, &view, row, FACTS, space.width));
    let left = usize::from(space.height).saturating_sub(lines.len() + 1);
    if left >= 4 && !cx.on(toggle::NO_SPARKLINES) {
        lines.push(Line::new());
        lines.push(vec![line::text("changes/s", Role::Label)]);
        let size = (space.width, (left - 2).min(6) as u16);
        let column = col!(OspfNeighborRow, changes);
        lines.extend(number::graph(cx, &view, (row, column), size, Top::Least(1.0), Role::Value));
    }
    let note = vec![line::text(words(col!(OspfNeighborRow, router_id)).words, Role::Value)];
    list::lines(lines, space).block(NEIGHBOR.title, note, pick::stale(cx, OspfNeighborRow::TABLE))
}
