//! How are the lines of a map drawn between its words?

use super::style::Words;
use crate::model::Level;
use crate::panel::{Line, Role, line};

pub(super) const UP: u8 = 1;
pub(super) const DOWN: u8 = 2;
pub(super) const LEFT: u8 = 4;
pub(super) const RIGHT: u8 = 8;

/// A piece of a line in one cell.
#[derive(Clone, Copy, Default)]
pub(super) struct Wire {
    /// Where it leads.
    pub(super) mask: u8,
    pub(super) bus: Option<usize>,
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
pub(super) struct Wires {
    pub(super) width: usize,
    /// Line that is the first one shown.
    pub(super) first: usize,
    pub(super) all: Vec<Wire>,
}

impl Wires {
    /// Line that is the last one shown.
    pub(super) fn last(&self) -> usize {
        (self.first + self.all.len().checked_div(self.width).unwrap_or(0)).saturating_sub(1)
    }

    pub(super) fn at(&mut self, x: usize, y: usize) -> Option<&mut Wire> {
        let y = y.checked_sub(self.first).filter(|_| x < self.width)?;
        self.all.get_mut(y * self.width + x)
    }

    pub(super) fn add(&mut self, x: usize, y: usize, mask: u8, bus: usize, level: Level) {
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
pub(super) fn joined(wires: &[Wire], texts: Vec<(u16, Words)>) -> Line {
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
