//! How does a map become lines?
//!
//! Of several ways to write nodes the first that fits is taken: with what is said of each, with rates in both directions, with
//! one number for both, with rates in a line of their own, or names alone. Where none fits there is no map.

use super::graph::{Graph, Node, Said};
use super::layout::{Bus, Class, Layout, Side, Spacing, Spot};
use crate::model::Level;
use crate::panel::number::Number;
use crate::panel::{Line, Role, line};

/// How nodes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Style {
    /// What a node is.
    about: bool,
    /// What goes wrong on it, in words.
    fault: bool,
    rates: Rates,
    /// Whether rates of what is neither an end nor beyond stand below it.
    below: bool,
    /// No cell more than it takes to tell nodes and lines from each other, and no words of those beyond.
    tight: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rates {
    Both,
    Sum,
    None,
}

const LEAST: Style = Style { about: false, fault: false, rates: Rates::None, below: false, tight: true };
const SUM: Style = Style { rates: Rates::Sum, ..LEAST };
const BOTH: Style = Style { rates: Rates::Both, tight: false, ..LEAST };

/// From the most to the least that is told.
const STYLES: [Style; 9] = [
    Style { about: true, fault: true, ..BOTH },
    Style { fault: true, ..BOTH },
    BOTH,
    Style { fault: true, below: true, ..BOTH },
    Style { below: true, ..BOTH },
    Style { tight: false, ..SUM },
    Style { tight: false, below: true, ..SUM },
    Style { below: true, ..SUM },
    LEAST,
];

/// Cells of a rate behind its arrow.
const RATE: u16 = 5;
/// Most cells by which the room between two columns grows.
const STRETCH: u16 = 8;
/// Most cells of a name.
const NAME: u16 = 26;

/// Cells of the parts of a column.
#[derive(Clone, Copy, Debug, Default)]
struct Widths {
    /// A name with something beside it, and one without.
    name: u16,
    alone: u16,
    about: u16,
    /// What is said beside the name and below it.
    said: u16,
    below: u16,
    fault: u16,
    /// All of it.
    all: u16,
}

/// The layouts of a graph, by what they leave room for.
pub(super) struct Layouts([(Spacing, Layout); 4]);

impl Layouts {
    pub(super) fn new(graph: &Graph) -> Self {
        let classes: Vec<Class> = graph.nodes.iter().map(|node| node.class).collect();
        let all = [(true, false), (false, false), (true, true), (false, true)];
        Self(all.map(|(apart, below)| {
            let spacing = Spacing { apart, below };
            (spacing, Layout::new(&classes, &graph.edges, spacing))
        }))
    }

    /// The one that takes the least room.
    pub(super) fn least(&self) -> &Layout {
        let [_, (_, least), ..] = &self.0;
        least
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
    /// The map of a graph for a width, or nothing where it does not fit. What is not connected is apart only where that fits
    /// the height.
    pub(super) fn new(
        graph: &'a Graph,
        layouts: &'a Layouts,
        (width, height): (u16, u16),
        combined: bool,
    ) -> Option<Self> {
        let styles = STYLES.into_iter().filter(|style| !(combined && style.rates == Rates::Both));
        styles.into_iter().find_map(|style| {
            let mut layouts = layouts.0.iter().filter(|(spacing, _)| spacing.below == style.below);
            let fits = |layout: &Layout| layout.rows <= usize::from(height);
            let (_, layout) = layouts.find(|(spacing, layout)| !spacing.apart || fits(layout))?;
            let widths = Self::widths(graph, layout, style);
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
    fn widths(graph: &Graph, layout: &Layout, style: Style) -> Vec<Widths> {
        let mut all = vec![Widths::default(); layout.columns];
        for spot in &layout.spots {
            if let (Some(widths), Some(node)) = (all.get_mut(spot.column), graph.nodes.get(spot.node)) {
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

    /// Some of the lines.
    pub(super) fn lines(&self, shown: std::ops::Range<usize>) -> Vec<Line> {
        let width = usize::from(self.width);
        let mut wires = Wires { width, first: shown.start, all: vec![Wire::default(); width * shown.len()] };
        for (number, bus) in self.layout.buses.iter().enumerate() {
            self.run_down(&mut wires, number, bus);
        }
        for spot in &self.layout.spots {
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
            out.push(line::cut(&node.name, NAME).into_owned(), node.role());
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
        for y in top..=end {
            let mask = match y {
                _ if top == end => LEFT | RIGHT,
                y if y == top => origin | DOWN,
                y if y == end => UP,
                _ => UP | DOWN,
            };
            wires.add(x, y, mask, number, Level::Ok);
        }
        let Some(spot) = self.layout.spots.get(bus.spot) else { return };
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

/// What is said of a node: rates, or a word in their place.
pub(super) fn said(node: &Node, rates: Rates) -> Words {
    let mut out = Words::default();
    match &node.said {
        Said::Word(word, role) => {
            // its name has the glyph of the level
            out.cells += line::cells(word);
            out.items.push(line::left(word.clone(), *role, line::cells(word)));
        }
        Said::Rates { received, sent, sum } => {
            let both = [("↓", received), (" ↑", sent)];
            let one = [("↕", sum)];
            let shown = match rates {
                Rates::Both => both.as_slice(),
                Rates::Sum => one.as_slice(),
                Rates::None => &[],
            };
            for (arrow, number) in shown {
                out.push((*arrow).to_owned(), Role::Muted);
                out.cell(number);
            }
        }
        Said::Nothing => {}
    }
    out
}

impl Style {
    /// Whether what is said of a node stands below it.
    fn is_below(self, node: &Node) -> bool {
        self.below && matches!(node.class, Class::Between | Class::Outer)
    }

    /// Whether anything is said of a node.
    fn says(self, node: &Node) -> bool {
        match node.said {
            Said::Nothing => false,
            Said::Word(..) => !(self.tight && node.class == Class::Beyond),
            Said::Rates { .. } => self.rates != Rates::None,
        }
    }
}

impl Widths {
    /// Makes room for a node.
    fn take(&mut self, node: &Node, again: bool, style: Style) {
        let name = line::cells(&node.name);
        if again {
            self.alone = self.alone.max((name + 2).min(NAME));
            return;
        }
        let name = name.min(NAME) + node.sign();
        let about = if style.about { line::cells(&node.about) } else { 0 };
        let said = if style.says(node) { said(node, style.rates).cells } else { 0 };
        let fault = node.fault.as_ref().filter(|_| style.fault).map_or(0, |(words, _)| line::cells(words) + 1);
        let (said, below) = if style.is_below(node) { (0, said) } else { (said, 0) };
        if about + said + fault > 0 {
            self.name = self.name.max(name);
        }
        self.alone = self.alone.max(name);
        self.below = self.below.max(below);
        self.about = self.about.max(about);
        self.said = self.said.max(said);
        self.fault = self.fault.max(fault);
    }

    /// Adds up what stands side by side.
    fn sum(&mut self) {
        let beside = |sum: u16, part: u16| if part > 0 { sum + 1 + part } else { sum };
        self.all = [self.about, self.said, self.fault].into_iter().fold(self.name, beside);
        self.all = self.all.max(self.alone).max(self.below);
    }

    /// Cells before what is said.
    fn before(&self) -> u16 {
        if self.about > 0 { self.name + self.about + 2 } else { self.name + 1 }
    }
}

/// Cells between a column and the next: a blank, lines that run down, a piece of a line, a blank.
fn gutter(layout: &Layout, column: usize, style: Style) -> u16 {
    let tracks = layout.tracks.get(column).copied().unwrap_or(0) as u16;
    if style.tight { 2 + tracks.max(1) } else { 3 + tracks }
}

/// Words of a node, and their cells with the glyphs of levels.
#[derive(Default)]
pub(super) struct Words {
    pub(super) items: Line,
    cells: u16,
}

impl Words {
    fn push(&mut self, words: String, role: Role) {
        let sign = matches!(role, Role::Level(level) if level > Level::Ok) && !words.trim().is_empty();
        // whoever paints a level puts its glyph behind the words, but for words that have one
        let sign = sign && !words.contains(['•', '▲', '✖']);
        self.cells += line::cells(&words) + u16::from(sign);
        self.items.push(line::text(words, role));
    }

    fn cell(&mut self, number: &Number) {
        self.cells += RATE;
        self.items.push(line::right(number.words.clone(), number.role, RATE));
    }

    fn append(&mut self, mut other: Self) {
        self.cells += other.cells;
        self.items.append(&mut other.items);
    }

    fn pad(&mut self, cells: u16) {
        if self.cells < cells {
            let blanks = " ".repeat(usize::from(cells - self.cells));
            self.push(blanks, Role::Plain);
        }
    }
}

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

/// A piece of a line in one cell.
#[derive(Clone, Copy, Default)]
struct Wire {
    /// Where it leads.
    mask: u8,
    bus: Option<usize>,
    /// How bad what it leads to is.
    level: Level,
}

impl Wire {
    fn glyph(self) -> char {
        match self.mask {
            0 => ' ',
            m if m == UP | DOWN || m == UP || m == DOWN => '│',
            m if m == DOWN | RIGHT => '┌',
            m if m == DOWN | LEFT => '┐',
            m if m == UP | RIGHT => '└',
            m if m == UP | LEFT => '┘',
            m if m == UP | DOWN | RIGHT => '├',
            m if m == UP | DOWN | LEFT => '┤',
            m if m == DOWN | LEFT | RIGHT => '┬',
            m if m == UP | LEFT | RIGHT => '┴',
            m if m & (UP | DOWN) == 0 => '─',
            _ => '┼',
        }
    }
}

/// Pieces of lines in the cells of the lines that are shown.
struct Wires {
    width: usize,
    /// Line that is the first one shown.
    first: usize,
    all: Vec<Wire>,
}

impl Wires {
    fn at(&mut self, x: usize, y: usize) -> Option<&mut Wire> {
        let y = y.checked_sub(self.first).filter(|_| x < self.width)?;
        self.all.get_mut(y * self.width + x)
    }

    fn add(&mut self, x: usize, y: usize, mask: u8, bus: usize, level: Level) {
        let Some(wire) = self.at(x, y) else { return };
        wire.mask |= mask;
        wire.level = wire.level.max(level);
        // what runs down keeps the cell
        if wire.bus.is_none() || mask & (UP | DOWN) != 0 {
            wire.bus = Some(bus);
        }
    }
}

/// Words and pieces of lines in one line.
fn joined(wires: &[Wire], texts: Vec<(u16, Words)>) -> Line {
    let mut out = Line::new();
    let mut x = 0;
    let end = wires.iter().rposition(|wire| wire.mask != 0).map_or(0, |last| last + 1);
    for (at, words) in texts {
        drawn(&mut out, wires.get(x..usize::from(at)).unwrap_or_default());
        x = usize::from(at + words.cells);
        out.extend(words.items);
    }
    drawn(&mut out, wires.get(x..end).unwrap_or_default());
    out
}

fn drawn(out: &mut Line, wires: &[Wire]) {
    for run in wires.chunk_by(|a, b| a.level == b.level) {
        let words: String = run.iter().map(|wire| wire.glyph()).collect();
        out.push(match run.first().map_or(Level::Ok, |wire| wire.level) {
            Level::Ok => line::text(words, Role::Muted),
            // a column has no glyph
            level => line::left(words, Role::Level(level), run.len() as u16),
        });
    }
}
