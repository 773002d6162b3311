//! What else is there to say of a row?
//!
//! Short facts stand beside each other, long ones have lines of their own, and what is not known is not mentioned.

use super::number::{self, Number};
use super::{Cx, Line, Role, line};
use crate::store::rate::View;

/// A fact: what it is called, and the column that tells it.
pub(super) type Fact = (&'static str, usize);

/// Cells of a fact.
const CELLS: u16 = 38;
/// Cells of its name in them.
pub(super) const NAME: u16 = 11;

/// The facts of a row that are known, in lines of a width.
pub(super) fn lines(cx: &Cx<'_>, view: &View, row: usize, facts: &[Fact], width: u16) -> Vec<Line> {
    let said = facts.iter().filter(|(_, column)| !view.raw().cell(row, *column).is_missing());
    let said = said.map(|(name, column)| (*name, number::words(cx, view, row, *column)));
    let said = said.filter(|(_, said)| !matches!(&*said.words, "none" | "0" | ""));
    let (short, long): (Vec<_>, Vec<_>) = said.partition(|(_, said)| line::cells(&said.words) < CELLS - NAME);
    let one = |(fact, said): &(&'static str, Number)| {
        [line::left(*fact, Role::Label, NAME), line::left(said.words.to_string(), said.role, CELLS - NAME)]
    };
    let short = short.chunks(usize::from((width / CELLS).max(1))).map(|line| line.iter().flat_map(one).collect());
    let long = long
        .iter()
        .map(|(fact, said)| vec![line::left(*fact, Role::Label, NAME), line::text(said.words.to_string(), said.role)]);
    short.chain(long).collect()
}
