//! What is connected with what on this host?
//!
//! Interfaces, the addresses of the host and who is behind its interfaces become nodes, and who belongs to whom and who is on
//! whom become edges that lead from the inside to the outside; one graph for each network namespace.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::known::{Known, Name, Port, TABLES, label, whole, word};
use super::layout::Class;
use super::{beyond, guest, pair, switch};
use crate::col;
use crate::collect::link::LinkRow;
use crate::model::{IpText, Level, Table};
use crate::panel::number::{self, Number};
use crate::panel::{Cx, Leads, Mark, Role, pick, toggle};
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
    /// Whether it is an address of the host.
    pub(super) is_own: bool,
    /// What tells more of it.
    pub(super) leads: Option<Leads>,
}

impl Node {
    pub(super) fn new(class: Class, name: String, about: String) -> Self {
        Self {
            class,
            name,
            about,
            said: Said::Nothing,
            level: Level::Ok,
            fault: None,
            is_old: false,
            is_own: false,
            leads: None,
        }
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

    /// What selects it in a line of the map of a name.
    pub(super) fn mark(&self, map: &str, (line, at, cells): (usize, u16, u16)) -> Mark {
        let mut id = DefaultHasher::new();
        (map, self.class, &self.leads).hash(&mut id);
        if self.leads.is_none() {
            self.name.hash(&mut id);
        }
        Mark { id: id.finish(), line, at, cells, leads: self.leads.clone() }
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
pub(super) const SWITCHES: [&str; 2] = ["bridge", "openvswitch"];
/// Kinds whose other end may be a guest or a container.
const PAIRS: [&str; 3] = ["tun", "veth", "macvtap"];

/// Whether a network namespace is that of this program.
pub(super) fn is_own(netns: &str) -> bool {
    netns.is_empty() || *netns == *netns::host()
}

/// One graph for each network namespace, the own one first.
pub(super) fn graphs(cx: &Cx<'_>, links: &View) -> Vec<Graph> {
    let views = TABLES.map(|table| cx.views.get(&table.name));
    let known = Known::of(links, &views);
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for row in 0..links.len() {
        places.entry(word(links, row, col!(LinkRow, netns))).or_default().push(row);
    }
    let mut places: Vec<(&str, Vec<usize>)> = places.into_iter().collect();
    places.sort_by(|(a, _), (b, _)| is_own(b).cmp(&is_own(a)).then_with(|| pick::natural(a, b)).then(a.cmp(b)));
    places
        .into_iter()
        .map(|(netns, rows)| graph(cx, links, &known, netns, rows))
        .filter(|one| !one.nodes.is_empty())
        .collect()
}

/// A link that has a place on the map.
pub(super) struct Link<'a> {
    row: usize,
    pub(super) own: &'a str,
    /// Its number.
    pub(super) index: Option<u64>,
    pub(super) kind: &'a str,
    master: &'a str,
    /// Whether it is a port of a bridge.
    pub(super) is_port: bool,
    /// Where the other end of a pair is.
    pub(super) peer: Name<'a>,
    shown: String,
    pub(super) class: Class,
}

fn graph(cx: &Cx<'_>, view: &View, known: &Known<'_>, netns: &str, rows: Vec<usize>) -> Graph {
    let text = |row: usize, column: usize| word(view, row, column);
    let kinds: HashMap<&str, &str> =
        rows.iter().map(|row| (text(*row, col!(LinkRow, name)), text(*row, col!(LinkRow, kind)))).collect();
    let lower: BTreeSet<&str> = kinds.keys().filter_map(|name| known.lower.get(&(netns, *name)).copied()).collect();
    let switched = known.switches.range((netns, "")..).next().is_some_and(|(at, _)| *at == netns);
    let mut links: Vec<Link<'_>> = Vec::with_capacity(rows.len());
    for row in rows {
        let (own, kind) = (text(row, col!(LinkRow, name)), text(row, col!(LinkRow, kind)));
        if kind == "loopback" || switched && switch::is_datapath(known, (netns, own)) {
            continue;
        }
        let Some(shown) = cx.settings.name(&view.table().name, own).map(std::borrow::Cow::into_owned) else { continue };
        let master = kinds.get(text(row, col!(LinkRow, master))).copied();
        let port = known.port_of.get(&(netns, own)).and_then(|port| known.ports.get(*port));
        let is_port = port.map_or(master.is_some_and(|kind| SWITCHES.contains(&kind)), |port| !port.is_member());
        let class = class(known, (netns, own), kind, (master, is_port), lower.contains(own));
        let peer = (text(row, col!(LinkRow, peer_netns)), text(row, col!(LinkRow, peer)));
        let master = text(row, col!(LinkRow, master));
        let index = whole(view, row, col!(LinkRow, index));
        links.push(Link { row, own, index, kind, master, is_port, peer, shown, class });
    }
    links.sort_by(|a, b| pick::natural(&a.shown, &b.shown).then(a.row.cmp(&b.row)));
    let mut out = Graph { name: netns.to_owned(), left_out: links.len().saturating_sub(MOST), ..Graph::default() };
    links.truncate(MOST);
    let mut reversed = pair::classes(netns, &mut links);
    reversed.extend(guest::classes(known, netns, &mut links));
    let lost = beyond::worst(known, netns);
    let first = inside(&mut out, known, netns, &links);
    let at: HashMap<&str, usize> = links.iter().enumerate().map(|(at, link)| (link.own, first + at)).collect();
    for (number, link) in links.iter().enumerate() {
        let own = first + number;
        let lost = lost.get(link.own).copied().unwrap_or_default();
        out.nodes.push(node(cx, view, known, (netns, link, lost)));
        let master = at.get(link.master).filter(|_| !known.port_of.contains_key(&(netns, link.own)));
        let below = known.lower.get(&(netns, link.own)).and_then(|lower| at.get(lower));
        out.edges.extend(below.map(|lower| (own, *lower)));
        let is_inner = link.class == Class::End || reversed.contains(link.own);
        out.edges.extend(master.map(|master| if is_inner { (own, *master) } else { (*master, own) }));
    }
    // an address of the host is told with its interface
    for own in 0..first {
        let link = out.edges.get(own).and_then(|(_, link)| out.nodes.get(*link)).and_then(|link| link.leads.clone());
        if let Some(own) = out.nodes.get_mut(own) {
            own.leads = link;
        }
    }
    switch::add(&mut out, cx, known, netns, (&at, &reversed));
    pair::add(&mut out, netns, (first, &links), &at);
    guest::add(&mut out, known, netns, (first, &links));
    beyond::add(&mut out, (cx, known), netns, (first, &links));
    beyond::lost(&mut out, (cx, known), netns, &kinds.keys().copied().collect());
    out
}

/// Addresses of the host, each at its interface; returns the number of nodes.
fn inside(out: &mut Graph, known: &Known<'_>, netns: &str, links: &[Link<'_>]) -> usize {
    let mut ends = Vec::new();
    for (at, link) in links.iter().enumerate().filter(|(_, link)| link.class != Class::End) {
        let Some(addresses) = known.addresses.get(&(netns, link.own)) else { continue };
        // IPv4 first
        let Some((first, prefix, _)) = addresses.iter().min_by_key(|(address, ..)| *address) else { continue };
        let more = addresses.len() - 1;
        let about = if more > 0 { format!("/{prefix} +{more}") } else { format!("/{prefix}") };
        let level = addresses.iter().map(|(.., level)| *level).max().unwrap_or_default();
        ends.push((at, Node { level, is_own: true, ..Node::new(Class::End, IpText(*first).to_string(), about) }));
    }
    let first = ends.len();
    for (number, (at, node)) in ends.into_iter().enumerate() {
        out.edges.push((number, first + at));
        out.nodes.push(node);
    }
    first
}

/// What a link is for the map.
fn class(
    known: &Known<'_>,
    name: Name<'_>,
    kind: &str,
    (master, is_port): (Option<&str>, bool),
    is_lower: bool,
) -> Class {
    let port = known.port_of.get(&name).and_then(|port| known.ports.get(*port));
    match kind {
        _ if port.is_some_and(Port::is_bridge) => Class::Between,
        _ if port.is_some_and(Port::is_member) => Class::Outer,
        // what the host itself uses is an address
        _ if port.is_some_and(|port| port.kind == "internal") => {
            if known.addresses.contains_key(&name) {
                Class::Between
            } else {
                Class::End
            }
        }
        kind if BETWEEN.contains(&kind) || known.tunnels.contains(&name) => Class::Between,
        kind if known.lower.contains_key(&name) && !PAIRS.contains(&kind) => Class::Between,
        kind if PAIRS.contains(&kind) && is_port => Class::End,
        kind if PAIRS.contains(&kind) && master.is_none() => {
            // one that the host itself uses leads out of it
            let used = is_lower || known.addresses.contains_key(&name) || known.routers.contains_key(&name);
            if used { Class::Outer } else { Class::End }
        }
        _ => Class::Outer,
    }
}

/// The node of a link: its state while that is not simply up, or what it carries. One without carrier is as bad as what is `lost`
/// behind it.
fn node(cx: &Cx<'_>, view: &View, known: &Known<'_>, (netns, link, lost): (&str, &Link<'_>, Level)) -> Node {
    let row = link.row;
    let about = known.about.get(&(netns, link.own)).cloned();
    let about = about.unwrap_or_else(|| word(view, row, col!(LinkRow, kind)).to_owned());
    let mut out = Node::new(link.class, link.shown.clone(), about);
    out.leads = Some(leads(LinkRow::TABLE, view, row));
    out.level = cx.levels.row_level(view, row);
    let (state, level) = label(view, row, col!(LinkRow, state));
    let level = if level > Level::Ok { level.max(lost) } else { level };
    out.level = out.level.max(level);
    let stopped = known.word.get(&(netns, link.own)).copied();
    out.said = match (state, stopped) {
        (_, Some((word, level))) => {
            out.level = out.level.max(level);
            Said::Word(word.to_owned(), if level > Level::Ok { Role::Level(level) } else { Role::Accent })
        }
        ("up" | "unknown" | "", None) => carried(cx, view, row, (col!(LinkRow, rx_bytes), col!(LinkRow, tx_bytes))),
        (state, None) => Said::Word(state.to_owned(), if level > Level::Ok { Role::Level(level) } else { Role::Muted }),
    };
    out.fault = fault(cx, view, row);
    if let Some((_, level)) = &out.fault {
        out.level = out.level.max(*level);
    }
    out
}

/// A row of a table.
pub(super) fn leads(table: &'static Table, view: &View, row: usize) -> Leads {
    Leads::Row(&table.name, view.key(row))
}

/// What something carries, by its counters of what it received and sent.
pub(super) fn carried(cx: &Cx<'_>, view: &View, row: usize, columns: (usize, usize)) -> Said {
    let totals = cx.on(toggle::CUMULATIVE);
    let number =
        |column| if totals { number::total(cx, view, row, column) } else { number::number(cx, view, row, column) };
    let sum = number::sum(cx, view, row, columns, totals);
    Said::Rates { received: number(columns.0), sent: number(columns.1), sum }
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
