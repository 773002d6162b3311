//! Which guests are behind the taps of a map?
//!
//! Whose network card a tap is, is known by its number in the network namespace of this program. A guest hangs at its taps as a
//! container at its pairs: to the inside, or to the outside where the host itself uses all of them.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{self, Graph, Link, Node, is_own};
use super::known::{Known, Told};
use super::layout::Class;
use crate::model::Level;
use crate::panel::pick;

/// A guest by its process and the start of that.
pub(super) type Process = (u64, u64);

/// What is known of a guest.
#[derive(Default)]
pub(super) struct Guest<'a> {
    pub(super) name: &'a str,
    /// What runs it.
    pub(super) monitor: &'a str,
    pub(super) state: Option<(&'a str, Level)>,
    /// The row that tells of it.
    pub(super) of: Option<Told<'a>>,
}

/// What the taps of guests are for the map. Returns those that lead to their bridges, not these to them.
pub(super) fn classes<'a>(known: &Known<'_>, netns: &str, links: &mut [Link<'a>]) -> BTreeSet<&'a str> {
    let mut inner = BTreeSet::new();
    for link in links.iter_mut().filter(|link| link.class == Class::End) {
        if process(known, netns, link).is_some() {
            link.class = Class::Between;
            inner.insert(link.own);
        }
    }
    inner
}

/// Whose network card an interface is.
fn process(known: &Known<'_>, netns: &str, link: &Link<'_>) -> Option<Process> {
    known.taps.get(&link.index?).copied().filter(|_| is_own(netns))
}

/// Adds guests, each once, with lines to all their taps.
pub(super) fn add(out: &mut Graph, known: &Known<'_>, netns: &str, (first, links): (usize, &[Link<'_>])) {
    let mut taps: BTreeMap<Process, Vec<(Class, usize)>> = BTreeMap::new();
    for (number, link) in links.iter().enumerate() {
        if let Some(process) = process(known, netns, link) {
            taps.entry(process).or_default().push((link.class, first + number));
        }
    }
    let mut guests: Vec<_> =
        taps.into_iter().filter_map(|(process, taps)| Some((known.guests.get(&process)?, taps))).collect();
    guests.sort_by(|(a, _), (b, _)| pick::natural(a.name, b.name));
    for (guest, taps) in guests {
        let at = out.nodes.len();
        let is_beyond = taps.iter().all(|(class, _)| *class == Class::Outer);
        out.nodes.push(node(guest, if is_beyond { Class::Beyond } else { Class::End }));
        out.edges.extend(taps.into_iter().map(|(_, tap)| if is_beyond { (tap, at) } else { (at, tap) }));
    }
}

/// The node of a guest, with what is wrong with it unless it simply runs.
fn node(guest: &Guest<'_>, class: Class) -> Node {
    let mut out = Node::new(class, guest.name.to_owned(), guest.monitor.to_owned());
    out.leads = guest.of.map(|(table, view, row)| graph::leads(table, view, row));
    if let Some((state, level)) = guest.state.filter(|(_, level)| *level > Level::Ok) {
        out.level = level;
        out.fault = Some((state.to_owned(), level));
    }
    out
}
