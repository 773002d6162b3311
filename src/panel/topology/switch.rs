//! What do the bridges of Open vSwitch join?
//!
//! Its database says which interfaces are ports of which bridge; to the kernel they belong to the datapath of all bridges, or to
//! nothing. What is no interface of the kernel, such as tunnels and bonds, and bridges that are off, has a node of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph::{self, Graph, Node, Said, carried};
use super::known::{Known, Name, Port, label, word};
use super::layout::Class;
use crate::col;
use crate::collect::ovs::OvsPortRow;
use crate::model::Level;
use crate::panel::{Cx, Role, pick};

/// Whether an interface stands for what forwards packets for all bridges.
pub(super) fn is_datapath(known: &Known<'_>, name: Name<'_>) -> bool {
    matches!(name.1, "ovs-system" | "ovs-netdev")
        && !known.port_of.contains_key(&name)
        && !known.switches.contains(&name)
}

/// Adds bridges, and lines to their ports. `at` says which node an interface is, and which of them lead to their bridges.
pub(super) fn add(
    out: &mut Graph,
    cx: &Cx<'_>,
    known: &Known<'_>,
    netns: &str,
    (at, reversed): (&HashMap<&str, usize>, &BTreeSet<&str>),
) {
    let switches = known.switches.range((netns, "")..).take_while(|(own, _)| *own == netns);
    let mut bridges: BTreeMap<&str, usize> = BTreeMap::new();
    for name in switches {
        let node = at.get(name.1).copied().unwrap_or_else(|| {
            let mut node = Node::new(Class::Between, name.1.to_owned(), "Open vSwitch".to_owned());
            if let Some((state, level)) = known.word.get(name) {
                node.level = *level;
                node.said = Said::Word((*state).to_owned(), Role::Level(*level));
            }
            out.nodes.push(node);
            out.nodes.len() - 1
        });
        bridges.insert(name.1, node);
    }
    let own = |port: &&Port<'_>| word(port.view, port.row, col!(OvsPortRow, netns)) == netns;
    let mut ports: Vec<&Port<'_>> = known.ports.iter().filter(own).collect();
    ports.sort_by(|a, b| pick::natural(a.interface, b.interface));
    let mut bonds: BTreeMap<Name<'_>, usize> = BTreeMap::new();
    let mut outer = BTreeSet::new();
    for port in ports.iter().filter(|port| !port.is_bridge() && port.kind != "patch") {
        let Some(bridge) = bridges.get(port.bridge).copied() else { continue };
        let upper = if port.is_member() {
            *bonds.entry((port.bridge, port.name)).or_insert_with(|| {
                let mode = word(port.view, port.row, col!(OvsPortRow, bond_mode));
                let about = if mode.is_empty() { "bond" } else { mode };
                out.edges.push((bridge, out.nodes.len()));
                out.nodes.push(Node::new(Class::Between, port.name.to_owned(), about.to_owned()));
                out.nodes.len() - 1
            })
        } else {
            bridge
        };
        let node = at.get(port.interface).copied().unwrap_or_else(|| {
            out.nodes.push(node(cx, port));
            out.nodes.len() - 1
        });
        let is_inner = reversed.contains(port.interface)
            || out.nodes.get(node).is_some_and(|node| node.class == Class::End)
            || port.kind == "internal";
        if !is_inner && at.contains_key(port.interface) {
            outer.insert(bridge);
        }
        out.edges.push(if is_inner { (node, upper) } else { (upper, node) });
    }
    patches(out, &ports, (&bridges, &outer));
}

/// A port that is no interface of the kernel.
fn node(cx: &Cx<'_>, port: &Port<'_>) -> Node {
    let cell = |column| word(port.view, port.row, column);
    let to = cell(col!(OvsPortRow, remote));
    let about = if to.is_empty() { port.kind.to_owned() } else { format!("{} {to}", port.kind) };
    let class = if port.kind == "internal" { Class::End } else { Class::Outer };
    let mut out = Node::new(class, port.interface.to_owned(), about);
    out.leads = Some(graph::leads(OvsPortRow::TABLE, port.view, port.row));
    let (link, level) = label(port.view, port.row, col!(OvsPortRow, link));
    let (word, level) =
        if cell(col!(OvsPortRow, error)).is_empty() { (link, level) } else { ("failed", Level::Warning) };
    out.level = level;
    out.said = if level > Level::Ok {
        Said::Word(word.to_owned(), Role::Level(level))
    } else {
        carried(cx, port.view, port.row, (col!(OvsPortRow, rx_bytes), col!(OvsPortRow, tx_bytes)))
    };
    out
}

/// Lines between bridges that patch ports join, each once. The one that has an interface of the host is the outer one; tunnels
/// are where guests are.
fn patches(out: &mut Graph, ports: &[&Port<'_>], (bridges, outer): (&BTreeMap<&str, usize>, &BTreeSet<usize>)) {
    let of: HashMap<&str, &str> = ports.iter().map(|port| (port.interface, port.bridge)).collect();
    let mut joined = BTreeSet::new();
    for port in ports.iter().filter(|port| port.kind == "patch") {
        let other = of.get(word(port.view, port.row, col!(OvsPortRow, remote)));
        let both = bridges.get(port.bridge).zip(other.and_then(|other| bridges.get(*other)));
        let Some((a, b)) = both.map(|(a, b)| (*a.min(b), *a.max(b))).filter(|(a, b)| a != b) else { continue };
        if joined.insert((a, b)) {
            let turned = outer.contains(&a) && !outer.contains(&b);
            out.edges.push(if turned { (b, a) } else { (a, b) });
        }
    }
}
