//! How does a map become lines?
//!
//! Of several ways to write nodes the first that fits is taken: with what is said of each, with rates in both directions, with
//! one number for both, with rates in a line of their own, with names of guests cut short, or names alone. Where none fits there is no map.

use std::cell::OnceCell;

use super::graph::{Graph, Node};
use super::layout::{Bus, Class, Layout, Side, Spacing, Spot};
use super::style::{Cells, NAME, Rates, STYLES, Style, Widths, Words, said};
use super::wire::{DOWN, LEFT, RIGHT, UP, Wire, Wires, joined};
use crate::model::Level;
use crate::panel::{Line, Role, line};

/// Most cells by which the room between two columns grows.
const STRETCH: u16 = 8;

/// The layouts of a graph, by what they leave room for, and the cells of its nodes; each is made when it is needed.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    layouts: [OnceCell<Layout>; 6],
    cells: OnceCell<Vec<Cells>>,
}

impl Layouts {
    fn of(&self, graph: &Graph, spacing: Spacing) -> &Layout {
        let [close, apart, tall, airy, taller, airiest] = &self.layouts;
        let known = match (spacing.apart, spacing.below, spacing.under) {
            (false, false, _) => close,
            (true, false, _) => apart,
            (false, true, false) => tall,
            (true, true, false) => airy,
            (false, true, true) => taller,
            (true, true, true) => airiest,
        };
        known.get_or_init(|| {
            let classes: Vec<Class> = graph.nodes.iter().map(|node| node.class).collect();
            Layout::new(&classes, &graph.edges, &graph.columns, spacing)
        })
    }

    fn cells(&self, graph: &Graph) -> &[Cells] {
        self.cells.get_or_init(|| graph.nodes.iter().map(Cells::of).collect())
    }

    /// The one that takes the least room.
    pub(super) fn least(&self, graph: &Graph) -> &Layout {
        self.of(graph, Spacing::default())
    }

    /// What is not connected is apart only where that fits a height.
    fn fitting(&self, graph: &Graph, Style { below, under, .. }: Style, height: u16) -> &Layout {
        let fits = |layout: &&Layout| layout.rows <= usize::from(height);
        let spacing = Spacing { apart: false, below, under };
        let close = self.of(graph, spacing);
        let apart = Some(close).filter(fits).map(|_| self.of(graph, Spacing { apart: true, ..spacing })).filter(fits);
        apart.unwrap_or(close)
    }
}

/// A map that fits a width.
pub(super) struct Map<'a> {
    graph: &'a Graph,
    layout: &'a Layout,
    style: Style,
    widths: Vec<Widths>,
    /// Where each column begins.
    at: Vec<u16>,
    /// Cells before the first line that runs down, right of each column.
    lead: u16,
    width: u16,
}

impl<'a> Map<'a> {
    /// The map of a graph for a width, or nothing where it does not fit.
    pub(super) fn new(
        graph: &'a Graph,
        layouts: &'a Layouts,
        (width, height): (u16, u16),
        combined: bool,
    ) -> Option<Self> {
        let is_lost = |node: &Node| node.class == Class::Beyond && node.level > Level::Ok;
        let is_lost = graph.nodes.iter().any(is_lost);
        let styles = STYLES.into_iter().filter(|style| !(combined && style.rates == Rates::Both));
        styles.into_iter().find_map(|style| {
            let layout = layouts.fitting(graph, style, height);
            // what is well takes no room from what is not to be seen without scrolling
            if style.under && !is_lost && layout.rows > usize::from(height) {
                return None;
            }
            let widths = Self::widths(graph, (layout, layouts.cells(graph)), style);
            let taken = Self::taken(layout, &widths, style);
            (taken <= width).then(|| Self::fitted(graph, layout, style, widths, (taken, width)))
        })
    }

    fn fitted(
        graph: &'a Graph,
        layout: &'a Layout,
        style: Style,
        widths: Vec<Widths>,
        (taken, width): (u16, u16),
    ) -> Self {
        let gutters = layout.columns.saturating_sub(1).max(1) as u16;
        let lead = (width.saturating_sub(taken) / gutters).min(STRETCH);
        let mut at = Vec::with_capacity(widths.len());
        let mut x = 0;
        for (column, widths) in widths.iter().enumerate() {
            at.push(x);
            x += widths.all + lead + gutter(layout, column, style);
        }
        Self { graph, layout, style, widths, at, lead, width }
    }

    /// Cells of the columns.
    fn widths(graph: &Graph, (layout, cells): (&Layout, &[Cells]), style: Style) -> Vec<Widths> {
        let mut all = vec![Widths::default(); layout.columns];
        for spot in &layout.spots {
            let node = graph.nodes.get(spot.node).zip(cells.get(spot.node).copied());
            if let (Some(widths), Some(node)) = (all.get_mut(spot.column), node) {
                widths.take(node, spot.again, style);
            }
        }
        for widths in &mut all {
            widths.sum();
        }
        all
    }

    /// Cells of the whole map.
    fn taken(layout: &Layout, widths: &[Widths], style: Style) -> u16 {
        let nodes = widths.iter().fold(0, |sum: u16, widths| sum.saturating_add(widths.all));
        let between = 0..layout.columns.saturating_sub(1);
        between.fold(nodes, |sum, column| sum.saturating_add(gutter(layout, column, style)))
    }

    /// Lines of all rows.
    pub(super) fn height(&self) -> usize {
        self.layout.rows
    }

    /// Nodes with their line, first cell and cells.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'a Node, (usize, u16, u16))> + '_ {
        self.layout.spots.iter().filter(|spot| !spot.again).filter_map(|spot| {
            let node = self.graph.nodes.get(spot.node)?;
            let cells = line::cells(&line::cut(&node.name, self.style.name(node))) + node.sign();
            Some((node, (spot.row, self.start(spot.column), cells)))
        })
    }

    /// Some of the lines.
    pub(super) fn lines(&self, shown: std::ops::Range<usize>) -> Vec<Line> {
        let width = usize::from(self.width);
        let mut wires = Wires { width, first: shown.start, all: vec![Wire::default(); width * shown.len()] };
        for (number, bus) in self.layout.buses.iter().enumerate() {
            self.run_down(&mut wires, number, bus);
        }
        for spot in self.layout.spots.iter().filter(|spot| shown.contains(&spot.row)) {
            self.reach(&mut wires, spot);
        }
        let mut texts: Vec<Vec<(u16, Words)>> = shown.clone().map(|_| Vec::new()).collect();
        for spot in &self.layout.spots {
            for below in [false, true] {
                let at = (spot.row + usize::from(below)).checked_sub(shown.start);
                let words = at.filter(|at| *at < shown.len()).map(|_| self.words(spot, below));
                let words = words.filter(|words| !words.items.is_empty());
                if let (Some(words), Some(texts)) = (words, at.and_then(|at| texts.get_mut(at))) {
                    texts.push((self.start(spot.column), words));
                }
            }
        }
        let lines = texts.into_iter().enumerate().map(|(number, mut texts)| {
            texts.sort_by_key(|(x, _)| *x);
            let from = number * width;
            joined(wires.all.get(from..from + width).unwrap_or_default(), texts)
        });
        lines.collect()
    }

    fn start(&self, column: usize) -> u16 {
        self.at.get(column).copied().unwrap_or(0)
    }

    /// Where a line between two columns runs down.
    fn track(&self, bus: &Bus) -> u16 {
        let all = self.widths.get(bus.gutter).map_or(0, |widths| widths.all);
        self.start(bus.gutter) + all + 1 + self.lead + bus.track as u16
    }

    /// The words of a node in its line or in the one below.
    fn words(&self, spot: &Spot, below: bool) -> Words {
        let mut out = Words::default();
        let Some(node) = self.graph.nodes.get(spot.node) else { return out };
        let widths = self.widths.get(spot.column).copied().unwrap_or_default();
        let Style { about, fault, .. } = self.style;
        if spot.again {
            if !below {
                out.push(line::cut(&format!("▸ {}", node.name), NAME).into_owned(), Role::Muted);
            }
            return out;
        }
        if !below {
            out.push(line::cut(&node.name, self.style.name(node)).into_owned(), node.role());
            if about && !node.about.is_empty() {
                out.pad(widths.name + 1);
                out.push(node.about.clone(), Role::Label);
            }
        }
        if below == self.style.is_below(node) && self.style.says(node) {
            out.pad(if below { 0 } else { widths.before() });
            out.append(said(node, self.style.rates));
        }
        if let (false, true, Some((words, level))) = (below, fault, &node.fault) {
            let said = if widths.said > 0 { widths.said + 1 } else { 0 };
            out.pad(widths.before() + said);
            out.push(words.clone(), Role::Level(*level));
        }
        out
    }

    /// The line that runs down from a node.
    fn run_down(&self, wires: &mut Wires, number: usize, bus: &Bus) {
        let (top, end, x) = (bus.top, bus.end, usize::from(self.track(bus)));
        let origin = if bus.side == Side::Out { LEFT } else { RIGHT };
        for y in top.max(wires.first)..=end.min(wires.last()) {
            let mask = match y {
                _ if top == end => LEFT | RIGHT,
                y if y == top => origin | DOWN,
                y if y == end => UP,
                _ => UP | DOWN,
            };
            wires.add(x, y, mask, number, Level::Ok);
        }
        let is_shown = (wires.first..=wires.last()).contains(&top);
        let Some(spot) = self.layout.spots.get(bus.spot).filter(|_| is_shown) else { return };
        let span = match bus.side {
            Side::Out => usize::from(self.start(spot.column) + self.words(spot, false).cells + 1)..x,
            Side::In => x + 1..usize::from(self.start(spot.column)).saturating_sub(1),
        };
        self.across(wires, span, top, (number, spot, spot));
    }

    /// The line that reaches a node.
    fn reach(&self, wires: &mut Wires, spot: &Spot) {
        let Some((number, bus)) = spot.bus.and_then(|bus| Some((bus, self.layout.buses.get(bus)?))) else { return };
        let Some(from) = self.layout.spots.get(bus.spot) else { return };
        let (x, y) = (usize::from(self.track(bus)), spot.row);
        let (span, mask) = match bus.side {
            Side::Out => (x + 1..usize::from(self.start(spot.column)).saturating_sub(1), RIGHT),
            Side::In => (usize::from(self.start(spot.column) + self.words(spot, false).cells + 1)..x, LEFT),
        };
        wires.add(x, y, mask, number, Level::Ok);
        self.across(wires, span, y, (number, from, spot));
    }

    /// A line across from a node or to one, which lies below all that run down and do not begin at either of them.
    fn across(
        &self,
        wires: &mut Wires,
        span: std::ops::Range<usize>,
        y: usize,
        (number, from, to): (usize, &Spot, &Spot),
    ) {
        let level =
            self.graph.nodes.get(to.node).filter(|_| from != to && !to.again).map_or(Level::Ok, |node| node.level);
        for x in span {
            let Some(wire) = wires.at(x, y) else { continue };
            let begins = |bus: &Bus| {
                let ends = [from, to].map(|spot| self.layout.spots.get(bus.spot) == Some(spot));
                bus.top == y && ends.contains(&true)
            };
            let other = wire.bus.filter(|other| *other != number && wire.mask & (UP | DOWN) != 0);
            if other.and_then(|other| self.layout.buses.get(other)).is_none_or(begins) {
                wires.add(x, y, LEFT | RIGHT, number, level);
            }
        }
    }
}

/// Cells between a column and the next: a blank, lines that run down, a piece of a line, a blank.
fn gutter(layout: &Layout, column: usize, style: Style) -> u16 {
    let tracks = layout.tracks.get(column).copied().unwrap_or(0) as u16;
    if style.tight { 2 + tracks.max(1) } else { 3 + tracks }
}
