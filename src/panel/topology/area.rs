//! Which routers are there in an area of OSPF, and how are they linked?
//!
//! The links that a daemon has in its database become a tree with this router in the middle and the others around it, as many
//! columns away as they are hops; each says what its link costs in both directions. A link beside the tree is a mark that names
//! the other end. A network of two routers is a link between them, one of more is a node.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::graph::{Graph, Node, Said};
use super::known::{whole, word};
use super::layout::Class;
use crate::col;
use crate::collect::routing::{OspfAreaRow, OspfLinkRow};
use crate::model::{Cell, Level};
use crate::panel::{Cx, Role, arrange, number, pick};
use crate::store::rate::View;

/// Most routers and networks of a map.
const MOST: usize = 2000;

/// Where the daemon is, which one it is, VRF, version and area, of a link and of an area.
const PLACE: [(usize, usize); 5] = [
    (col!(OspfLinkRow, netns), col!(OspfAreaRow, netns)),
    (col!(OspfLinkRow, instance), col!(OspfAreaRow, instance)),
    (col!(OspfLinkRow, vrf), col!(OspfAreaRow, vrf)),
    (col!(OspfLinkRow, version), col!(OspfAreaRow, version)),
    (col!(OspfLinkRow, area), col!(OspfAreaRow, area)),
];

/// What leads from one to another, as the one says it: what it costs, if anything.
type Told<'a> = BTreeMap<(&'a str, &'a str), Option<u64>>;

/// What is told of an area.
#[derive(Default)]
struct Area<'a> {
    told: Told<'a>,
    networks: BTreeSet<&'a str>,
    /// The router that is no way off.
    own: Option<&'a str>,
    /// Networks without other routers, of each router.
    stubs: BTreeMap<&'a str, usize>,
    /// How long ago all that was told, by a daemon that says nothing any more.
    old: Option<String>,
}

/// What joins two.
#[derive(Clone, Copy)]
struct Edge<'a> {
    to: &'a str,
    /// What it costs there and back.
    costs: [Option<u64>; 2],
    /// Whether both ends tell it.
    both: bool,
}

type Edges<'a> = BTreeMap<&'a str, Vec<Edge<'a>>>;

/// The maps of each area, of which the first that fits is drawn: with routers to both sides of this one, and to one.
pub(super) fn graphs(cx: &Cx<'_>, links: &View) -> Vec<Vec<Graph>> {
    let areas = cx.views.get(&OspfAreaRow::TABLE.name);
    let mut all: BTreeMap<[String; 5], (usize, Area<'_>)> = BTreeMap::new();
    for row in 0..links.len() {
        let place = PLACE.map(|(column, _)| links.raw().cell(row, column)).map(|cell| written(&cell));
        let (_, area) = all.entry(place).or_insert_with(|| (row, Area::default()));
        if arrange::is_stale(links, row) {
            area.old = Some(number::words(cx, links, row, col!(OspfLinkRow, stale)).words.into_owned());
        }
        let cell = |column| word(links, row, column);
        let (from, to) = (cell(col!(OspfLinkRow, from)), cell(col!(OspfLinkRow, to)));
        let metric = whole(links, row, col!(OspfLinkRow, metric));
        let is_router = !matches!(links.raw().cell(row, col!(OspfLinkRow, kind)), Cell::Label("attached"));
        if is_router && whole(links, row, col!(OspfLinkRow, distance)) == Some(0) {
            area.own = Some(from);
        }
        match cell(col!(OspfLinkRow, kind)) {
            "stub" => *area.stubs.entry(from).or_default() += 1,
            kind => {
                area.networks.extend((kind == "transit").then_some(to));
                area.networks.extend((kind == "attached").then_some(from));
                // of several the one that costs least
                let known = area.told.entry((from, to)).or_insert(metric);
                *known = [*known, metric].into_iter().flatten().min();
            }
        }
    }
    let own = |row: usize| {
        let areas = areas.as_deref()?;
        let same = |at: &usize| PLACE.iter().all(|(a, b)| links.raw().cell(row, *a) == areas.raw().cell(*at, *b));
        let at = (0..areas.len()).find(same)?;
        Some(written(&areas.raw().cell(at, col!(OspfAreaRow, router_id)))).filter(|own| !own.is_empty())
    };
    let several = |column| links.raw().differ(column) || links.raw().tells(column);
    let netns = several(col!(OspfLinkRow, netns));
    let maps = all.iter().map(|([in_netns, instance, _, version, id], (row, area))| {
        let place = if netns { format!("{in_netns}  ") } else { String::new() };
        let name = format!("{place}{instance}  area {id}  OSPFv{version}");
        let own = own(*row);
        [true, false].map(|both| area.graph(&name, own.as_deref().or(area.own), both)).into()
    });
    maps.collect()
}

fn written(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Text(words) | Cell::Label(words) => (*words).to_owned(),
        Cell::U64(number) => number.to_string(),
        Cell::Ip(address) => address.to_string(),
        _ => String::new(),
    }
}

impl<'a> Area<'a> {
    /// Who is joined with whom; networks of two are left out.
    fn edges(&self) -> Edges<'a> {
        let mut around: BTreeMap<&str, BTreeSet<&'a str>> = BTreeMap::new();
        for (from, to) in self.told.keys() {
            around.entry(from).or_default().insert(to);
            around.entry(to).or_default().insert(from);
        }
        let cost = |from: &'a str, to: &'a str| self.told.get(&(from, to)).copied();
        let mut edges: Edges<'a> = BTreeMap::new();
        let mut join = |a: &'a str, b: &'a str, costs: [Option<u64>; 2], both: bool| {
            edges.entry(a).or_default().push(Edge { to: b, costs, both });
            edges.entry(b).or_default().push(Edge { to: a, costs: [costs[1], costs[0]], both });
        };
        for (name, ends) in &around {
            let name = *name;
            let is_network = self.networks.contains(name);
            let two: Vec<&str> = ends.iter().copied().collect();
            if let ([a, b], true) = (two.as_slice(), is_network) {
                let both = [*a, *b].iter().all(|end| cost(end, name).is_some() && cost(name, end).is_some());
                join(a, b, [cost(a, name).flatten(), cost(b, name).flatten()], both);
            }
        }
        let between = |name: &str| self.networks.contains(name) && around.get(name).is_some_and(|ends| ends.len() == 2);
        for (from, to) in self.told.keys().filter(|(from, to)| !between(from) && !between(to)) {
            let back = cost(to, from);
            if back.is_none() || from < to {
                join(from, to, [cost(from, to).flatten(), back.flatten()], back.is_some());
            }
        }
        for list in edges.values_mut() {
            list.sort_by(|a, b| pick::natural(a.to, b.to));
        }
        edges
    }

    /// The map with this router in the middle, or at the left.
    fn graph(&self, name: &str, own: Option<&str>, both: bool) -> Graph {
        let edges = self.edges();
        let mut names: Vec<&'a str> = edges.keys().chain(self.stubs.keys()).copied().collect();
        names.sort_by(|a, b| pick::natural(a, b).then(a.cmp(b)));
        names.dedup();
        let left_out = names.len().saturating_sub(MOST);
        names.truncate(MOST);
        let known: BTreeSet<&str> = names.iter().copied().collect();
        names.sort_by_key(|name| Some(*name) != own);
        let mut out = Drawing { area: self, edges: &edges, known: &known, graph: Graph::default(), places: Vec::new() };
        let mut seen: HashMap<&'a str, usize> = HashMap::new();
        for (number, start) in names.iter().enumerate() {
            if !seen.contains_key(start) {
                let is_own = number == 0 && (own == Some(*start) || own.is_none());
                out.around(start, is_own, both, &mut seen);
            }
        }
        if let Some(age) = &self.old {
            fade(&mut out.graph.nodes, age);
        }
        let first = out.places.iter().copied().min().unwrap_or(0);
        out.graph.columns = out.places.iter().map(|place| (place - first) as usize).collect();
        Graph { name: name.to_owned(), left_out, ..out.graph }
    }
}

/// Makes old what is on a map; this router says how long ago it was so.
fn fade(nodes: &mut [Node], age: &str) {
    for node in nodes.iter_mut() {
        node.is_old = true;
        match &mut node.said {
            Said::Word(_, role) if !matches!(role, Role::Level(_)) => *role = Role::Stale,
            _ => {}
        }
    }
    if let Some(own) = nodes.first_mut().filter(|own| own.said == Said::Nothing) {
        own.said = Said::Word(format!("silent {age}"), Role::Stale);
    }
}

/// A map that is being made.
struct Drawing<'a, 'b> {
    area: &'b Area<'a>,
    edges: &'b Edges<'a>,
    /// What has room on it.
    known: &'b BTreeSet<&'a str>,
    graph: Graph,
    /// Hops to the left or right of this router.
    places: Vec<i64>,
}

impl<'a> Drawing<'a, '_> {
    /// Adds what can be reached from a node over links that both ends tell.
    fn around(&mut self, start: &'a str, is_own: bool, both: bool, seen: &mut HashMap<&'a str, usize>) {
        let level = if is_own { Level::Ok } else { Level::Warning };
        let class = if is_own { Class::Outer } else { self.class(start) };
        let at = self.add(self.node(start, class, level), 0, None);
        if !is_own && let Some(node) = self.graph.nodes.get_mut(at) {
            node.said = Said::Word("not reached".to_owned(), Role::Level(level));
        }
        seen.insert(start, at);
        let sides = self.sides(start, both, seen);
        let mut waiting = VecDeque::from([(start, None)]);
        let mut done: Vec<(&'a str, Option<&'a str>)> = Vec::new();
        while let Some((name, before)) = waiting.pop_front() {
            done.push((name, before));
            let Some(at) = seen.get(name).copied() else { continue };
            for edge in self.edges.get(name).into_iter().flatten().filter(|edge| edge.both) {
                if !self.known.contains(edge.to) || seen.contains_key(edge.to) {
                    continue;
                }
                let place = self.places.get(at).copied().unwrap_or(0);
                let is_left = if name == start { sides.contains(edge.to) } else { place < 0 };
                let node = Node { said: cost(edge), ..self.node(edge.to, self.class(edge.to), level) };
                seen.insert(edge.to, self.add(node, place + if is_left { -1 } else { 1 }, Some(at)));
                waiting.push_back((edge.to, Some(name)));
            }
        }
        self.marks(&done, seen);
    }

    /// Which of those around a router stand to the left of it: so many that both sides have about as many behind them.
    fn sides(&self, start: &'a str, both: bool, seen: &HashMap<&'a str, usize>) -> BTreeSet<&'a str> {
        let mut out = BTreeSet::new();
        if !both {
            return out;
        }
        let ends: BTreeSet<&str> =
            self.edges.get(start).into_iter().flatten().filter(|edge| edge.both).map(|edge| edge.to).collect();
        let mut weights = [0_usize; 2];
        for end in ends.into_iter().filter(|end| !seen.contains_key(end)) {
            let weight = self.edges.get(end).map_or(1, Vec::len);
            let [right, left] = &mut weights;
            if left < right {
                *left += weight;
                out.insert(end);
            } else {
                *right += weight;
            }
        }
        out
    }

    /// Links beside the tree, each once, and those that one end does not tell, beside the end that does.
    fn marks(&mut self, done: &[(&'a str, Option<&'a str>)], seen: &HashMap<&'a str, usize>) {
        let parents: HashMap<&str, Option<&str>> = done.iter().copied().collect();
        let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
        for (name, before) in done {
            for edge in self.edges.get(name).into_iter().flatten() {
                let is_tree = edge.both && (*before == Some(edge.to) || parents.get(edge.to) == Some(&Some(*name)));
                let is_ours = edge.both || self.area.told.contains_key(&(*name, edge.to)) || edge.costs[0].is_some();
                if is_tree || !is_ours || told.contains(&(edge.to, name)) {
                    continue;
                }
                told.insert((name, edge.to));
                let Some(at) = seen.get(name).copied() else { continue };
                let level = if edge.both { Level::Ok } else { Level::Warning };
                let said = if edge.both { cost(edge) } else { Said::Word("one way".to_owned(), Role::Level(level)) };
                let node = Node { said, level, ..Node::new(Class::Beyond, format!("▸ {}", edge.to), String::new()) };
                let place = self.places.get(at).copied().unwrap_or(0);
                self.add(node, place + if place < 0 { -1 } else { 1 }, Some(at));
            }
        }
    }

    fn class(&self, name: &str) -> Class {
        if self.area.networks.contains(name) { Class::Between } else { Class::End }
    }

    fn node(&self, name: &str, class: Class, level: Level) -> Node {
        let about = match self.area.stubs.get(name) {
            _ if class == Class::Between => "network".to_owned(),
            Some(1) => "1 stub".to_owned(),
            Some(stubs) => format!("{stubs} stubs"),
            None => String::new(),
        };
        Node { level, ..Node::new(class, name.to_owned(), about) }
    }

    /// A node at its place, with the line to the one that it is reached from.
    fn add(&mut self, node: Node, place: i64, from: Option<usize>) -> usize {
        let at = self.graph.nodes.len();
        self.graph.nodes.push(node);
        self.places.push(place);
        let before = from.and_then(|from| Some((from, self.places.get(from).copied()?)));
        self.graph.edges.extend(before.map(|(from, before)| if before < place { (from, at) } else { (at, from) }));
        at
    }
}

/// What a link costs, in both directions where that differs.
fn cost(edge: &Edge<'_>) -> Said {
    let [there, back] = edge.costs.map(|cost| cost.map_or_else(|| "–".to_owned(), |cost| cost.to_string()));
    let words = if there == back || edge.costs[1].is_none() { there } else { format!("{there}/{back}") };
    Said::Word(words, Role::Label)
}
