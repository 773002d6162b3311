//! How does traffic get from the guests and the addresses of this host to its neighbors?
//!
//! A map of interfaces from the inside to the outside, with what each carries and what is wrong with it. Where there is no
//! room for a map the same is a tree.

use std::cell::LazyCell;
use std::rc::Rc;

use super::{Block, Body, Cx, Demand, Line, Mark, PanelDef, Role, Space, line, list, pick, toggle};
use crate::collect::link::LinkRow;
use crate::collect::routing::{OspfAreaRow, OspfLinkRow, OspfLsaRow};
use crate::model::{Level, Table};

mod area;
mod beyond;
mod border;
mod graph;
mod guest;
mod known;
mod layout;
mod map;
mod pair;
mod style;
mod switch;
#[cfg(test)]
mod tests;
mod tree;
mod wire;

use area::Joined;
use graph::{Graph, Node};
use map::{Layouts, Map};

/// The map.
pub(super) const PANEL: PanelDef = PanelDef {
    name: "topology",
    title: "Topology",
    key: None,
    demands: || std::iter::once(LinkRow::TABLE).chain(known::TABLES).map(known::demand).collect(),
    build,
};

/// The map of the areas of OSPF.
pub(super) const AREAS: PanelDef = PanelDef {
    name: "area-map",
    title: "Area map",
    key: None,
    demands: || {
        [OspfLinkRow::TABLE, OspfAreaRow::TABLE, OspfLsaRow::TABLE].map(|table| Demand::table(&table.name)).to_vec()
    },
    build: areas,
};

/// Room in which a map is drawn; where there is less it is a tree.
const LEAST: (u16, u16) = (56, 10);

/// A graph and how it is laid out, made when it is needed.
type Laid = LazyCell<(Graph, Layouts), Box<dyn FnOnce() -> (Graph, Layouts)>>;

fn laid(graph: impl FnOnce() -> Graph + 'static) -> Laid {
    LazyCell::new(Box::new(|| (graph(), Layouts::default())))
}

/// Maps, each in the ways in which it may be drawn.
type Maps = Rc<Vec<Vec<Laid>>>;

/// Those of this host.
fn of_host(cx: &Cx<'_>) -> Result<Maps, Body> {
    let view = super::gauge::single(cx, LinkRow::TABLE)?;
    Ok(cx.views.kept().of(cx, PANEL.name, || -> Vec<Vec<Laid>> {
        graph::graphs(cx, &view).into_iter().map(|graph| vec![laid(|| graph)]).collect()
    }))
}

/// Those of areas.
fn of_areas(cx: &Cx<'_>) -> Result<Maps, Body> {
    let view = super::gauge::single(cx, OspfLinkRow::TABLE)?;
    Ok(cx.views.kept().of(cx, AREAS.name, || -> Vec<Vec<Laid>> {
        let maps = |area: Rc<Joined>| {
            let other = Rc::clone(&area);
            // this router in the middle, and at the left
            vec![laid(move || area.graph(true)), laid(move || other.graph(false))]
        };
        area::areas(cx, &view).into_iter().map(maps).collect()
    }))
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    match of_host(cx) {
        Ok(all) => drawn(cx, space, &all, (&PANEL, LinkRow::TABLE)),
        Err(body) => pick::empty(PANEL.title, body),
    }
}

fn areas(cx: &Cx<'_>, space: Space) -> Block {
    let all = match of_areas(cx) {
        Ok(all) => all,
        Err(body) => return pick::empty(AREAS.title, body),
    };
    let mut block = drawn(cx, space, &all, (&AREAS, OspfLinkRow::TABLE));
    block.note = area::note(nodes(&all));
    block
}

/// What can be selected in the lines of a panel, whatever of them is shown.
pub fn marks(cx: &Cx<'_>, panel: &str, space: Space) -> Vec<Mark> {
    let of = [(PANEL.name, of_host as fn(&Cx<'_>) -> Result<Maps, Body>), (AREAS.name, of_areas)];
    let all = of.iter().find(|(name, _)| *name == panel).and_then(|(_, maps)| maps(cx).ok());
    let Some(all) = all else { return Vec::new() };
    let mut out = Vec::new();
    let mut before = 0;
    for part in parts(cx, space, &all) {
        part.marks(before, &mut out);
        before += part.height;
    }
    out.retain(|mark| mark.at.saturating_add(mark.cells) <= space.width);
    out
}

/// Maps one below the other, each the first of several that fits.
fn parts<'a>(cx: &Cx<'_>, space: Space, all: &'a [Vec<Laid>]) -> Vec<Part<'a>> {
    let mut room = space.height;
    let mut parts = Vec::new();
    for several in all {
        let name = several.first().map(|laid| laid.0.name.clone()).filter(|_| all.len() > 1);
        let heading = name.map(|name| vec![line::text(name, Role::Title)]);
        let part = part(several, heading, (cx, Space { height: room, ..space }), space.height);
        room = room.saturating_sub(u16::try_from(part.height).unwrap_or(u16::MAX));
        parts.push(part);
    }
    parts
}

/// As much of maps as there is room for.
fn drawn(cx: &Cx<'_>, space: Space, all: &[Vec<Laid>], (panel, table): (&PanelDef, &Table)) -> Block {
    let parts = parts(cx, space, all);
    let height = parts.iter().map(|part| part.height).sum();
    let shown = list::window(height, usize::from(space.height), space.scroll);
    let mut lines: Vec<Line> = Vec::with_capacity(shown.len());
    let mut before = 0;
    for part in &parts {
        let from = shown.start.saturating_sub(before).min(part.height);
        let to = shown.end.saturating_sub(before).min(part.height);
        lines.extend(part.lines(from..to));
        before += part.height;
    }
    let lines = lines.into_iter().map(|one| line::clip(one, space.width)).collect();
    let shown = list::Shown { lines, hidden: height - shown.len(), scrolled: shown.start };
    let count = beyond::counted(nodes(all).count(), "node");
    shown.block(panel.title, note(count, nodes(all).map(|node| node.level)), pick::stale(cx, table))
}

/// What is on maps.
fn nodes(all: &[Vec<Laid>]) -> impl Iterator<Item = &Node> {
    all.iter().filter_map(|several| several.first()).flat_map(|laid| &laid.0.nodes)
}

/// How many there are on the maps, and how bad they are.
fn note(count: String, levels: impl Iterator<Item = Level>) -> Line {
    let levels: Vec<Level> = levels.collect();
    let mut out = vec![line::text(count, Role::Muted)];
    for level in [Level::Critical, Level::Warning, Level::Careful] {
        let many = levels.iter().filter(|one| **one == level).count();
        if many > 0 {
            out.extend([line::gap(), line::text(many.to_string(), Role::Level(level))]);
        }
    }
    out
}

/// The map or the tree of one network namespace.
struct Part<'a> {
    name: &'a str,
    heading: Option<Line>,
    body: Drawn<'a>,
    /// What is said below it.
    left_out: Option<Line>,
    height: usize,
}

enum Drawn<'a> {
    Map(Map<'a>),
    Tree(Vec<tree::Told<'a>>),
}

impl Part<'_> {
    fn lines(&self, shown: std::ops::Range<usize>) -> Vec<Line> {
        let above = usize::from(self.heading.is_some());
        let heading = self.heading.iter().filter(|_| shown.start == 0 && shown.end > 0).cloned();
        let (from, to) = (shown.start.saturating_sub(above), shown.end.saturating_sub(above));
        let end = self.height - above - usize::from(self.left_out.is_some());
        let body = from.min(end)..to.min(end);
        let mut out: Vec<Line> = heading.collect();
        match &self.body {
            Drawn::Map(map) => out.extend(map.lines(body)),
            Drawn::Tree(lines) => {
                out.extend(lines.get(body).unwrap_or_default().iter().map(|(line, _)| line.clone()));
            }
        }
        out.extend(self.left_out.iter().filter(|_| to > end).cloned());
        out
    }

    /// What can be selected in it, so many lines below the first one.
    fn marks(&self, before: usize, out: &mut Vec<Mark>) {
        let first = before + usize::from(self.heading.is_some());
        // a mark that names another node is none itself
        let mut add = |node: &Node, (line, at, cells): (usize, u16, u16)| {
            if !node.name.starts_with('▸') {
                out.push(node.mark(self.name, (first + line, at, cells)));
            }
        };
        match &self.body {
            Drawn::Map(map) => {
                for (node, place) in map.places() {
                    add(node, place);
                }
            }
            Drawn::Tree(lines) => {
                for (line, (_, node)) in lines.iter().enumerate() {
                    if let Some((node, at)) = node {
                        add(node, (line, *at, line::cells(&node.name) + node.sign()));
                    }
                }
            }
        }
    }
}

fn part<'a>(several: &'a [Laid], heading: Option<Line>, (cx, room): (&Cx<'_>, Space), height: u16) -> Part<'a> {
    let combined = cx.on(toggle::COMBINED);
    let left_out = several.first().map_or(0, |laid| laid.0.left_out);
    let left_out = (left_out > 0).then(|| vec![line::text(format!("{left_out} more are left out"), Role::Muted)]);
    let around = usize::from(heading.is_some()) + usize::from(left_out.is_some());
    let inside = room.height.saturating_sub(around as u16);
    let small = room.width < LEAST.0 || height < LEAST.1;
    let mut maps = several.iter().filter(|_| !small);
    let map = maps.find_map(|laid| Map::new(&laid.0, &laid.1, (room.width, inside), combined));
    let tree = || several.last().map(|laid| tree::lines(&laid.0, laid.1.least(&laid.0), room.width, combined));
    let body = map.map_or_else(|| Drawn::Tree(tree().unwrap_or_default()), Drawn::Map);
    let lines = match &body {
        Drawn::Map(map) => map.height(),
        Drawn::Tree(lines) => lines.len(),
    };
    let name = several.first().map_or("", |laid| laid.0.name.as_str());
    Part { name, heading, body, left_out, height: lines + around }
}
