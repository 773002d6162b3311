//! How is a rule written?
//!
//! As `nft -nn list ruleset` writes it, so that nobody learns a second language. A rule's program is first lifted to
//! statements over terms ([`lift`]), then settled with what is known of the packet ([`settle`]), then written
//! ([`statement`], [`term`], [`element`]). What is not understood is written in brackets, and nothing else is lost.

mod action;
mod compat;
pub mod declaration;
mod element;
mod header;
mod inner;
pub mod kind;
mod lift;
pub(super) mod load;
mod object;
mod option;
mod settle;
mod statement;
mod term;

pub use self::element::ElementText;
pub use self::statement::object;
use super::instruction::Instruction;
use super::{Element, Family, Rule, Set};
use crate::source::xtables::Sets;

/// Chains without a name inside one another.
const MAX_DEPTH: usize = 4;

/// What a text needs to know of the host.
pub trait Names: Sets {
    /// Name of an interface.
    fn interface(&self, index: u32) -> Option<String>;
    /// Path of a control group, without its mount point.
    fn cgroup(&self, id: u64) -> Option<String>;
    /// Seconds that local time is ahead of UTC, at a moment or now.
    fn utc_offset(&self, at: Option<i64>) -> i64;
}

/// Where a rule stands.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Family of its table.
    pub family: Family,
    /// Its table.
    pub table: &'a [u8],
    /// Sets and chains that it may name.
    pub ruleset: &'a super::Names,
    /// Names of the host.
    pub names: &'a dyn Names,
    depth: usize,
    /// Whether the counts of what elements and rules have seen are written.
    counts: bool,
}

impl<'a> Scene<'a> {
    /// Where the rules of a table stand.
    pub fn new(family: Family, table: &'a [u8], ruleset: &'a super::Names, names: &'a dyn Names) -> Self {
        Self { family, table, ruleset, names, depth: 0, counts: true }
    }

    fn set(&self, name: &[u8]) -> Option<&'a Set> {
        self.ruleset.sets.get(&(self.family, self.table.to_vec(), name.to_vec()))
    }

    /// The rules of a chain that has no name of its own.
    fn inlined(&self, chain: &[u8]) -> Option<&'a [Rule]> {
        let rules = self.ruleset.inlined.get(&(self.family, self.table.to_vec(), chain.to_vec()));
        rules.filter(|_| self.depth < MAX_DEPTH).map(Vec::as_slice)
    }

    fn deeper(&self) -> Self {
        Self { depth: self.depth + 1, ..*self }
    }

    /// The same, but what rules and elements have seen is not written.
    #[must_use]
    pub fn without_counts(&self) -> Self {
        Self { counts: false, ..*self }
    }

    /// The text of a rule, with its comment.
    pub fn rule(&self, rule: &Rule) -> String {
        let mut text = self.program(&rule.instructions);
        if let Some(comment) = &rule.comment {
            text.push_str(if text.is_empty() { "comment \"" } else { " comment \"" });
            text.push_str(&String::from_utf8_lossy(comment));
            text.push('"');
        }
        text
    }

    /// The elements of a set, in braces.
    pub fn elements(&self, set: &Set) -> String {
        let mut text = String::new();
        element::write(&mut text, set, 0, self);
        text
    }

    /// One element of a set; `beyond` is the first key behind its range, where the set tells ranges by their ends.
    pub fn element(&self, set: &Set, element: &Element, beyond: Option<&[u8]>) -> ElementText {
        element::parts(set, element, beyond, self)
    }

    /// The text of instructions.
    pub fn program(&self, instructions: &[Instruction]) -> String {
        let mut text = String::new();
        for statement in settle::settle(lift::statements(instructions, self), self) {
            if !text.is_empty() {
                text.push(' ');
            }
            // writing into a string cannot fail
            let _ = statement.write(&mut text, self);
        }
        text
    }
}
