//! What is connected with what on this host?
//!
//! Interfaces, the addresses of the host and who is behind its interfaces become nodes, and who belongs to whom and who is on
//! whom become edges that lead from the inside to the outside; one graph for each network namespace.

use std::collections::{BTreeSet, HashMap};

use super::known::{Known, Name, TABLES, label, word};
use super::layout::Class;
use crate::col;
use crate::collect::link::LinkRow;
use crate::model::Level;
use crate::panel::number::{self, Number};
use crate::panel::{Cx, Role, pick};
use crate::source::netns;
use crate::store::rate::View;

/// Most interfaces of a map.
const MOST: usize = 2000;

/// What is said of a node beside its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Said {
    /// What it carries.
    Rates { received: Number, sent: Number, sum: Number },
    /// A word.
    Word(String, Role),
    /// Nothing.
    #[default]
    Nothing,
}

/// A node of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) class: Class,
    /// Name of an interface, a guest or a router, or an address.
    pub(super) name: String,
    /// What it is, where there is room for that.
    pub(super) about: String,
    pub(super) said: Said,
    /// How bad it is.
    pub(super) level: Level,
    /// What goes wrong.
    pub(super) fault: Option<(String, Level)>,
    /// Whether it is as it was told by somebody who says nothing any more.
    pub(super) is_old: bool,
}

impl Node {
    pub(super) fn new(class: Class, name: String, about: String) -> Self {
        Self { class, name, about, said: Said::Nothing, level: Level::Ok, fault: None, is_old: false }
    }

    /// How the name is written.
    pub(super) fn role(&self) -> Role {
        match (self.level, self.class) {
            (Level::Ok, _) if self.is_old => Role::Stale,
            (Level::Ok, Class::End | Class::Beyond) => Role::Plain,
            (Level::Ok, _) => Role::Title,
            (level, _) => Role::Level(level),
        }
    }

    /// Cells of the glyph of its level.
    pub(super) fn sign(&self) -> u16 {
        u16::from(self.level > Level::Ok)
    }
}

/// What is connected in one network namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Graph {
    /// Network namespace.
    pub(super) name: String,
    /// Addresses, interfaces, and who is behind them; each in the order of names.
    pub(super) nodes: Vec<Node>,
    /// From the inside to the outside.
    pub(super) edges: Vec<(usize, usize)>,
    /// The column of each node, where that is not a question of what nodes are.
    pub(super) columns: Vec<usize>,
    /// Nodes that are left out.
    pub(super) left_out: usize,
}

/// Kinds of interfaces that lead from one to another.
const BETWEEN: [&str; 8] = ["bridge", "openvswitch", "bond", "team", "vrf", "vlan", "batadv", "hsr"];
/// Those whose members may be guests.
const SWITCHES: [&str; 2] = ["bridge", "openvswitch"];
/// Kinds whose other end may be a guest or a container.
const PAIRS: [&str; 3] = ["tun", "veth", "macvtap"];

/// One graph for each network namespace, the own one first.
pub(super) fn graphs(cx: &Cx<'_>, links: &View) -> Vec<Graph> {
    let views = TABLES.map(|table| cx.views.get(&table.name));
    let known = Known::of(&views);
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for row in 0..links.len() {
        places.entry(word(links, row, col!(LinkRow, netns))).or_default().push(row);
    }
    let mut places: Vec<(&str, Vec<usize>)> = places.into_iter().collect();
    let other = |name: &str| !name.is_empty() && *name != *netns::host();
    places.sort_by(|(a, _), (b, _)| other(a).cmp(&other(b)).then_with(|| pick::natural(a, b)).then(a.cmp(b)));
    places
        .into_iter()
        .map(|(netns, rows)| graph(cx, links, &known, netns, rows))
        .filter(|one| !one.nodes.is_empty())
        .collect()
}

/// A link that has a place on the map.
struct Link<'a> {
    row: usize,
    own: &'a str,
    kind: &'a str,
    shown: String,
    class: Class,
}

fn graph(cx: &Cx<'_>, view: &View, known: &Known<'_>, netns: &str, rows: Vec<usize>) -> Graph {
    let text = |row: usize, column: usize| word(view, row, column);
    let kinds: HashMap<&str, &str> =
        rows.iter().map(|row| (text(*row, col!(LinkRow, name)), text(*row, col!(LinkRow, kind)))).collect();
    let lower: BTreeSet<&str> = kinds.keys().filter_map(|name| known.lower.get(&(netns, *name)).copied()).collect();
    let mut links: Vec<Link<'_>> = Vec::with_capacity(rows.len());
    for row in rows {
        let (own, kind) = (text(row, col!(LinkRow, name)), text(row, col!(LinkRow, kind)));
        if kind == "loopback" {
            continue;
        }
        let Some(shown) = cx.settings.name(&view.table().name, own).map(std::borrow::Cow::into_owned) else { continue };
        let master = kinds.get(text(row, col!(LinkRow, master))).copied();
        let class = class(known, (netns, own), kind, master, lower.contains(own));
        links.push(Link { row, own, kind, shown, class });
    }
    links.sort_by(|a, b| pick::natural(&a.shown, &b.shown).then(a.row.cmp(&b.row)));
    let mut out = Graph { name: netns.to_owned(), left_out: links.len().saturating_sub(MOST), ..Graph::default() };
    links.truncate(MOST);
    let first = inside(&mut out, known, netns, &links);
    let at: HashMap<&str, usize> = links.iter().enumerate().map(|(at, link)| (link.own, first + at)).collect();
    for (number, link) in links.iter().enumerate() {
        let own = first + number;
        out.nodes.push(node(cx, view, known, (netns, link)));
        let master = at.get(text(link.row, col!(LinkRow, master)));
        let below = known.lower.get(&(netns, link.own)).and_then(|lower| at.get(lower));
        out.edges.extend(below.map(|lower| (own, *lower)));
        out.edges.extend(master.map(|master| if link.class == Class::End { (own, *master) } else { (*master, own) }));
    }
    beyond(&mut out, known, netns, (first, &links));
    lost(&mut out, known, netns, &kinds.keys().copied().collect());
    out
}

/// Addresses of the host, each at its interface; returns the number of nodes.
fn inside(out: &mut Graph, known: &Known<'_>, netns: &str, links: &[Link<'_>]) -> usize {
    let mut ends = Vec::new();
    for (at, link) in links.iter().enumerate().filter(|(_, link)| link.class != Class::End) {
        let Some(addresses) = known.addresses.get(&(netns, link.own)) else { continue };
        // IPv4 first, then in natural order
        let is_v6 = |address: &str| address.contains(':');
        let first =
            addresses.iter().min_by(|(a, ..), (b, ..)| is_v6(a).cmp(&is_v6(b)).then_with(|| pick::natural(a, b)));
        let Some((first, prefix, _)) = first else { continue };
        let more = addresses.len() - 1;
        let about = if more > 0 { format!("/{prefix} +{more}") } else { format!("/{prefix}") };
        let level = addresses.iter().map(|(.., level)| *level).max().unwrap_or_default();
        ends.push((at, Node { level, ..Node::new(Class::End, first.clone(), about) }));
    }
    let first = ends.len();
    for (number, (at, node)) in ends.into_iter().enumerate() {
        out.edges.push((number, first + at));
        out.nodes.push(node);
    }
    first
}

/// What a link is for the map.
fn class(known: &Known<'_>, name: Name<'_>, kind: &str, master: Option<&str>, is_lower: bool) -> Class {
    let of_switch = master.is_some_and(|kind| SWITCHES.contains(&kind));
    match kind {
        kind if BETWEEN.contains(&kind) || known.tunnels.contains(&name) || known.lower.contains_key(&name) => {
            Class::Between
        }
        kind if PAIRS.contains(&kind) && of_switch => Class::End,
        kind if PAIRS.contains(&kind) && master.is_none() => {
            // one that the host itself uses leads out of it
            let used = is_lower || known.addresses.contains_key(&name) || known.routers.contains_key(&name);
            if used { Class::Outer } else { Class::End }
        }
        _ => Class::Outer,
    }
}

/// The node of a link: its state while that is not simply up, or what it carries.
fn node(cx: &Cx<'_>, view: &View, known: &Known<'_>, (netns, link): (&str, &Link<'_>)) -> Node {
    use crate::panel::toggle;
    let row = link.row;
    let about = known.about.get(&(netns, link.own)).cloned();
    let about = about.unwrap_or_else(|| word(view, row, col!(LinkRow, kind)).to_owned());
    let mut out = Node::new(link.class, link.shown.clone(), about);
    out.level = cx.levels.row_level(view, row);
    let (state, level) = label(view, row, col!(LinkRow, state));
    let stopped = known.word.get(&(netns, link.own)).copied();
    let totals = cx.on(toggle::CUMULATIVE);
    let (received, sent) = (col!(LinkRow, rx_bytes), col!(LinkRow, tx_bytes));
    let number =
        |column| if totals { number::total(cx, view, row, column) } else { number::number(cx, view, row, column) };
    out.said = match (state, stopped) {
        (_, Some((word, level))) => {
            out.level = out.level.max(level);
            Said::Word(word.to_owned(), if level > Level::Ok { Role::Level(level) } else { Role::Accent })
        }
        ("up" | "unknown" | "", None) => Said::Rates {
            received: number(received),
            sent: number(sent),
            sum: number::sum(cx, view, row, (received, sent), totals),
        },
        (state, None) => Said::Word(state.to_owned(), if level > Level::Ok { Role::Level(level) } else { Role::Muted }),
    };
    out.fault = fault(cx, view, row);
    if let Some((_, level)) = &out.fault {
        out.level = out.level.max(*level);
    }
    out
}

/// What a link loses: damaged packets are worse than those for which there was no room.
fn fault(cx: &Cx<'_>, view: &View, row: usize) -> Option<(String, Level)> {
    const LOST: [(&str, [usize; 2], Level); 2] = [
        ("err", [col!(LinkRow, rx_errors), col!(LinkRow, tx_errors)], Level::Warning),
        ("drop", [col!(LinkRow, rx_dropped), col!(LinkRow, tx_dropped)], Level::Careful),
    ];
    LOST.iter().find_map(|(what, [received, sent], level)| {
        let is_lost =
            [*received, *sent].iter().any(|column| view.cell(row, *column).number().is_some_and(|rate| rate > 0.0));
        let words = || number::sum(cx, view, row, (*received, *sent), false).words;
        is_lost.then(|| (format!("{what} {}/s", words()), *level))
    })
}

/// Who is behind interfaces: routers, and how many others.
fn beyond(out: &mut Graph, known: &Known<'_>, netns: &str, (first, links): (usize, &[Link<'_>])) {
    for (at, link) in links.iter().enumerate() {
        let name = (netns, link.own);
        let mut routers: Vec<_> = known.routers.get(&name).into_iter().flatten().collect();
        routers.sort_by(|(a, _), (b, _)| pick::natural(a, b));
        for (id, (state, level)) in routers {
            let node = router(id, state, *level);
            out.edges.push((first + at, out.nodes.len()));
            out.nodes.push(node);
        }
        // those of a bridge are behind its ports
        let hosts =
            known.hosts.get(&name).filter(|_| !SWITCHES.contains(&link.kind)).map(|count| counted(*count, "neighbor"));
        let macs = known.macs.get(&name).map(|count| counted(*count, "MAC"));
        let words = [hosts, macs].into_iter().flatten().collect::<Vec<String>>().join(", ");
        match link.class {
            _ if words.is_empty() => {}
            Class::Outer => {
                out.edges.push((first + at, out.nodes.len()));
                out.nodes.push(Node::new(Class::Beyond, words, String::new()));
            }
            // a line to the outside would pass what is between
            Class::Between => {
                if let Some(node) = out.nodes.get_mut(first + at) {
                    node.about.extend([", ", &words]);
                }
            }
            Class::End | Class::Beyond => {}
        }
    }
}

/// Routers that were behind an interface that is no longer there.
fn lost(out: &mut Graph, known: &Known<'_>, netns: &str, there: &BTreeSet<&str>) {
    let mut gone: Vec<_> = known.routers.iter().filter(|((at, own), _)| *at == netns && !there.contains(own)).collect();
    gone.sort_by(|((_, a), _), ((_, b), _)| pick::natural(a, b));
    for ((_, interface), routers) in gone {
        let level = routers.values().map(|(_, level)| *level).max().unwrap_or_default();
        let at = out.nodes.len();
        let said = Said::Word("gone".to_owned(), Role::Level(level));
        out.nodes.push(Node { said, level, ..Node::new(Class::Outer, (*interface).to_owned(), String::new()) });
        for (id, (state, level)) in routers {
            out.edges.push((at, out.nodes.len()));
            out.nodes.push(router(id, state, *level));
        }
    }
}

fn router(id: &str, state: &str, level: Level) -> Node {
    let role = if level > Level::Ok { Role::Level(level) } else { Role::Value };
    let said = Said::Word(state.to_owned(), role);
    Node { said, level, ..Node::new(Class::Beyond, id.to_owned(), "OSPF".to_owned()) }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
