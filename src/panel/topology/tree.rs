//! How is a map told where there is no room for one?
//!
//! Each node in a line below the one that it is reached from, but for addresses of the host, which stand beside their interfaces.

use std::collections::BTreeMap;

use super::graph::{Graph, Node, Said};
use super::layout::{Layout, Spot};
use super::style::{Rates, said};
use crate::panel::{Item, Line, Role, line};

/// Cells by which what is behind a node is shifted, and most of them.
const STEP: usize = 2;
const DEEPEST: usize = 12 * STEP;
/// Cells of width from which it is said what nodes are, and from which rates are told in both directions.
const ABOUT: u16 = 44;
const BOTH: u16 = 36;

/// A line, and the node in it with its first cell.
pub(super) type Told<'a> = (Line, Option<(&'a Node, u16)>);

/// All lines of a tree.
pub(super) fn lines<'a>(graph: &'a Graph, layout: &Layout, width: u16, combined: bool) -> Vec<Told<'a>> {
    let mut followed = vec![false; layout.spots.len()];
    let mut seen = vec![false; layout.spots.len()];
    let mut addresses: BTreeMap<usize, &Node> = BTreeMap::new();
    for (number, spot) in layout.spots.iter().enumerate().rev() {
        if let Some((own, (from, _))) = address(graph, spot).zip(spot.from) {
            addresses.insert(from, own);
            continue;
        }
        let parent = spot.from.and_then(|(from, _)| seen.get_mut(from));
        if let (Some(parent), Some(followed)) = (parent, followed.get_mut(number)) {
            *followed = std::mem::replace(parent, true);
        }
    }
    let rates = if combined || width < BOTH { Rates::Sum } else { Rates::Both };
    // what stands before the lines of those behind each spot
    let mut before: Vec<String> = Vec::with_capacity(layout.spots.len());
    let mut out = Vec::with_capacity(layout.spots.len());
    for (number, (spot, followed)) in layout.spots.iter().zip(followed).enumerate() {
        let parent = spot.from.and_then(|(from, _)| before.get(from)).cloned();
        let branch = if followed { "├ " } else { "└ " };
        let own = parent.as_ref().map(|parent| format!("{parent}{branch}")).unwrap_or_default();
        before.push(match parent {
            Some(parent) if parent.chars().count() < DEEPEST => parent + if followed { "│ " } else { "  " },
            parent => parent.unwrap_or_default(),
        });
        let Some(node) = graph.nodes.get(spot.node) else { continue };
        if address(graph, spot).is_some() && spot.from.is_some() {
            continue;
        }
        let mut items = vec![line::text(own, Role::Muted)];
        if spot.again {
            items.push(line::text(format!("▸ {}", node.name), Role::Muted));
            out.push((items, None));
            continue;
        }
        let at = line::width(&items);
        items.push(line::text(node.name.clone(), node.role()));
        if width >= ABOUT && !node.about.is_empty() {
            items.push(line::text(format!("  {}", node.about), Role::Label));
        }
        if let Some(own) = addresses.get(&number) {
            items.push(line::text("  ", Role::Plain));
            items.push(line::text(format!("{}{}", own.name, own.about), own.role()));
        }
        if let Some((words, level)) = &node.fault {
            items.extend([line::text("  ", Role::Plain), line::text(words.clone(), Role::Level(*level))]);
        }
        if node.said != Said::Nothing {
            items.extend([line::gap(), Item::Fill]);
            items.extend(said(node, rates).items);
        }
        out.push((items, Some((node, at))));
    }
    out
}

/// The address of the host that a spot is.
fn address<'a>(graph: &'a Graph, spot: &Spot) -> Option<&'a Node> {
    graph.nodes.get(spot.node).filter(|node| node.is_own && !spot.again)
}
