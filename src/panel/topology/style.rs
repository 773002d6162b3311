//! How much is told of each node of a map, and how wide does that get?

use std::net::IpAddr;

use super::graph::{Node, Said};
use super::layout::Class;
use crate::model::Level;
use crate::panel::number::Number;
use crate::panel::{Line, Role, line};

/// How nodes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// What a node is.
    pub(super) about: bool,
    /// What goes wrong on it, in words.
    pub(super) fault: bool,
    pub(super) rates: Rates,
    /// Whether rates of what is neither an end nor beyond stand below it.
    pub(super) below: bool,
    /// Whether words of those beyond stand below them.
    pub(super) under: bool,
    /// No cell more than it takes to tell nodes and lines from each other, and no words of those beyond beside them.
    pub(super) tight: bool,
    /// Names of guests and containers are cut further.
    pub(super) short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rates {
    Both,
    Sum,
    None,
}

const LEAST: Style =
    Style { about: false, fault: false, rates: Rates::None, below: false, under: false, tight: true, short: false };
const SUM: Style = Style { rates: Rates::Sum, ..LEAST };
const BOTH: Style = Style { rates: Rates::Both, tight: false, ..LEAST };
const TALL: Style = Style { below: true, under: true, ..SUM };

/// From the most to the least that is told.
pub(super) const STYLES: [Style; 15] = [
    Style { about: true, fault: true, ..BOTH },
    Style { fault: true, ..BOTH },
    BOTH,
    Style { fault: true, below: true, ..BOTH },
    Style { below: true, ..BOTH },
    Style { tight: false, ..SUM },
    Style { tight: false, below: true, ..SUM },
    Style { tight: false, below: true, short: true, ..SUM },
    TALL,
    Style { short: true, ..TALL },
    Style { below: true, ..SUM },
    Style { below: true, short: true, ..SUM },
    Style { rates: Rates::None, short: true, ..TALL },
    LEAST,
    Style { short: true, ..LEAST },
];

/// Cells of a rate behind its arrow.
const RATE: u16 = 5;
/// Most cells of a name.
pub(super) const NAME: u16 = 26;
/// Those of a short one.
const SHORT: u16 = 12;

/// Cells of the parts of a column.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Widths {
    /// A name with something beside it, and one without.
    pub(super) name: u16,
    alone: u16,
    about: u16,
    /// What is said beside the name and below it.
    pub(super) said: u16,
    below: u16,
    fault: u16,
    /// All of it.
    pub(super) all: u16,
}

/// Cells of the words of a node, which are counted once for all frames and styles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    name: u16,
    about: u16,
    word: u16,
    fault: u16,
}

impl Cells {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            name: line::cells(&node.name),
            about: line::cells(&node.about),
            word: if let Said::Word(word, _) = &node.said { line::cells(word) } else { 0 },
            fault: node.fault.as_ref().map_or(0, |(words, _)| line::cells(words) + 1),
        }
    }

    /// Those of what is said of it.
    fn said(self, node: &Node, rates: Rates) -> u16 {
        match (&node.said, rates) {
            (Said::Word(..), _) => self.word,
            (Said::Rates { .. }, Rates::Both) => 3 + 2 * RATE,
            (Said::Rates { .. }, Rates::Sum) => 1 + RATE,
            (Said::Rates { .. }, Rates::None) | (Said::Nothing, _) => 0,
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
    /// Most cells of the name of a node. Half an address is none.
    pub(super) fn name(self, node: &Node) -> u16 {
        let is_short = self.short && node.class == Class::End && node.name.parse::<IpAddr>().is_err();
        if is_short { SHORT } else { NAME }
    }

    /// Whether what is said of a node stands below it.
    pub(super) fn is_below(self, node: &Node) -> bool {
        match node.class {
            Class::Between | Class::Outer => self.below,
            Class::Beyond => self.under,
            Class::End => false,
        }
    }

    /// Whether anything is said of a node.
    pub(super) fn says(self, node: &Node) -> bool {
        match node.said {
            Said::Nothing => false,
            Said::Word(..) => !self.tight || self.under || node.class != Class::Beyond,
            Said::Rates { .. } => self.rates != Rates::None,
        }
    }
}

impl Widths {
    /// Makes room for a node.
    pub(super) fn take(&mut self, (node, cells): (&Node, Cells), again: bool, style: Style) {
        let name = cells.name;
        if again {
            self.alone = self.alone.max((name + 2).min(NAME));
            return;
        }
        let name = name.min(style.name(node)) + node.sign();
        let about = if style.about { cells.about } else { 0 };
        let said = if style.says(node) { cells.said(node, style.rates) } else { 0 };
        let fault = if style.fault { cells.fault } else { 0 };
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
    pub(super) fn sum(&mut self) {
        let beside = |sum: u16, part: u16| if part > 0 { sum + 1 + part } else { sum };
        self.all = [self.about, self.said, self.fault].into_iter().fold(self.name, beside);
        self.all = self.all.max(self.alone).max(self.below);
    }

    /// Cells before what is said.
    pub(super) fn before(&self) -> u16 {
        if self.about > 0 { self.name + self.about + 2 } else { self.name + 1 }
    }
}

/// Words of a node, and their cells with the glyphs of levels.
#[derive(Default)]
pub(super) struct Words {
    pub(super) items: Line,
    pub(super) cells: u16,
}

impl Words {
    pub(super) fn push(&mut self, words: String, role: Role) {
        let sign = matches!(role, Role::Level(level) if level > Level::Ok) && !words.trim().is_empty();
        // whoever paints a level puts its glyph behind the words, but for words that have one
        let sign = sign && !words.contains(['•', '▲', '✖']);
        self.cells += line::cells(&words) + u16::from(sign);
        self.items.push(line::text(words, role));
    }

    pub(super) fn cell(&mut self, number: &Number) {
        self.cells += RATE;
        self.items.push(line::right(number.words.clone(), number.role, RATE));
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.cells += other.cells;
        self.items.append(&mut other.items);
    }

    pub(super) fn pad(&mut self, cells: u16) {
        if self.cells < cells {
            let blanks = " ".repeat(usize::from(cells - self.cells));
            self.push(blanks, Role::Plain);
        }
    }
}
