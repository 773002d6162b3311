//! Which routers are there in an area of OSPF, and how are they linked?
//!
//! The links that a daemon has in its database become a tree with this router in the middle and the others around it, as many
//! columns away as they are hops; each says what its link costs in both directions. A link beside the tree is a mark that names
//! the other end. A network of two routers is a link between them, one of more is a node.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use super::beyond::counted;
use super::border::{Part, Parts, Place};
use super::graph::{Graph, Node, Said, is_own};
use super::known::{whole, word};
use super::layout::Class;
use crate::col;
use crate::collect::routing::{OspfAreaRow, OspfLinkRow, OspfLsaRow};
use crate::model::{Cell, Level};
use crate::panel::{Cx, Leads, Line, Role, arrange, line, number, pick};
use crate::store::expr::quoted;
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

/// A link as its end tells it.
struct Told<'a> {
    from: &'a str,
    to: &'a str,
    kind: &'a str,
    metric: Option<u64>,
}

/// What is told of an area.
#[derive(Default)]
struct Area<'a> {
    told: Vec<Told<'a>>,
    /// The router that is no way off.
    own: Option<&'a str>,
    /// Those who are more than routers of it.
    parts: BTreeMap<String, Part>,
    /// How long ago all that was told, by a daemon that says nothing any more.
    old: Option<String>,
}

/// What joins two.
#[derive(Clone, Copy)]
struct Edge {
    to: usize,
    /// What it costs there and back.
    costs: [Option<u64>; 2],
    /// Whether both ends tell it.
    both: bool,
}

/// Who is joined with whom in an area, by the numbers of routers and networks.
#[derive(Default)]
pub(super) struct Joined {
    /// Name of the map.
    title: String,
    /// In their natural order.
    names: Vec<Box<str>>,
    networks: Vec<bool>,
    /// Networks without other routers, of each router.
    stubs: Vec<usize>,
    parts: Vec<Part>,
    /// What leads from one to another, as the one says it: what it costs, if anything.
    told: BTreeMap<(usize, usize), Option<u64>>,
    edges: Vec<Vec<Edge>>,
    own: Option<usize>,
    /// Whether nobody knows which one this router is.
    is_anybodys: bool,
    /// How long ago all that was told, by a daemon that says nothing any more.
    old: Option<String>,
    /// The filter that keeps what it tells.
    filter: String,
}

/// How many routers there are on maps, and how bad they and networks are, each once.
pub(super) fn note<'a>(nodes: impl Iterator<Item = &'a Node>) -> Line {
    let mut all: BTreeMap<&str, (bool, Level)> = BTreeMap::new();
    for node in nodes {
        let (is_router, level) = all.entry(node.name.trim_start_matches("▸ ")).or_default();
        *is_router |= matches!(node.class, Class::End | Class::Outer);
        *level = node.level.max(*level);
    }
    let routers = all.values().filter(|(is_router, _)| *is_router).count();
    let mut out = super::note(counted(routers, "router"), all.values().map(|(_, level)| *level));
    out.push(line::text("  10/20: what a link costs there and back", Role::Muted));
    out
}

/// What is joined in each area.
pub(super) fn areas(cx: &Cx<'_>, links: &View) -> Vec<Rc<Joined>> {
    let areas = cx.views.get(&OspfAreaRow::TABLE.name);
    let mut all: BTreeMap<Place, (usize, Area<'_>)> = BTreeMap::new();
    let mut row = 0;
    while row < links.len() {
        let of = |row: usize| PLACE.map(|(column, _)| links.raw().cell(row, column));
        let (place, first) = (of(row), row);
        let (_, area) = all.entry(place.map(|cell| written(&cell))).or_insert_with(|| (first, Area::default()));
        // those of one area follow each other
        while row < links.len() && of(row) == place {
            if arrange::is_stale(links, row) {
                area.old = Some(number::words(cx, links, row, col!(OspfLinkRow, stale)).words.into_owned());
            }
            area.take(links, row);
            row += 1;
        }
    }
    let lsas = cx.views.get(&OspfLsaRow::TABLE.name);
    let parts = Parts::of(areas.as_deref(), lsas.as_deref());
    for (place, (_, area)) in &mut all {
        for (router, part) in parts.of_area(place) {
            let known = area.parts.entry(router).or_default();
            *known = known.and(part);
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
    let mut all: Vec<(&Place, &(usize, Area<'_>))> = all.iter().collect();
    // those of this host before all others, and those of other routers behind
    all.sort_by_key(|([in_netns, ..], (row, _))| (pick::is_far(links, *row), !is_own(in_netns)));
    let maps = all.into_iter().map(|([in_netns, instance, _, version, id], (row, area))| {
        let place = if netns { format!("{in_netns}  ") } else { String::new() };
        let title = format!("{place}{instance}  area {id}  OSPFv{version}");
        let own = own(*row);
        let terms = [format!("instance == {}", quoted(instance)), format!("area == {}", quoted(id))];
        let filter = format!("version == {version} and {}", terms.join(" and "));
        Rc::new(Joined { filter, ..area.joined(title, own.as_deref().or(area.own)) })
    });
    maps.collect()
}

pub(super) fn written(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Text(words) | Cell::Label(words) => (*words).to_owned(),
        Cell::U64(number) => number.to_string(),
        Cell::Ip(address) => address.to_string(),
        _ => String::new(),
    }
}

impl<'a> Area<'a> {
    fn take(&mut self, links: &'a View, row: usize) {
        let cell = |column| word(links, row, column);
        let (from, to) = (cell(col!(OspfLinkRow, from)), cell(col!(OspfLinkRow, to)));
        let (kind, metric) = (cell(col!(OspfLinkRow, kind)), whole(links, row, col!(OspfLinkRow, metric)));
        if kind != "attached" && whole(links, row, col!(OspfLinkRow, distance)) == Some(0) {
            self.own = Some(from);
        }
        let is = |column| links.raw().cell(row, column) == Cell::Bool(true);
        let part = Part { abr: is(col!(OspfLinkRow, abr)), asbr: is(col!(OspfLinkRow, asbr)) };
        if part.abr || part.asbr {
            self.parts.insert(from.to_owned(), part);
        }
        self.told.push(Told { from, to, kind, metric });
    }

    /// Gives numbers to routers and networks, and says who is joined with whom.
    fn joined(&self, title: String, own: Option<&str>) -> Joined {
        let mut names: Vec<&str> = Vec::with_capacity(self.told.len());
        for told in &self.told {
            names.push(told.from);
            if told.kind != "stub" {
                names.push(told.to);
            }
        }
        // as bytes first, because that is cheap and there are many of each
        names.sort_unstable();
        names.dedup();
        names.sort_by(|a, b| pick::natural(a, b));
        let numbers: HashMap<&str, usize> = names.iter().enumerate().map(|(number, name)| (*name, number)).collect();
        let mut out = Joined {
            title,
            names: names.iter().map(|name| (*name).into()).collect(),
            networks: vec![false; names.len()],
            stubs: vec![0; names.len()],
            parts: names.iter().map(|name| self.parts.get(*name).copied().unwrap_or_default()).collect(),
            told: BTreeMap::new(),
            edges: Vec::new(),
            own: own.and_then(|own| numbers.get(own).copied()),
            is_anybodys: own.is_none(),
            old: self.old.clone(),
            filter: String::new(),
        };
        for told in &self.told {
            let Some(from) = numbers.get(told.from).copied() else { continue };
            match numbers.get(told.to).copied().filter(|_| told.kind != "stub") {
                None => mark(&mut out.stubs, from, |stubs| *stubs += 1),
                Some(to) => {
                    let network =
                        [("transit", to), ("attached", from)].into_iter().find(|(kind, _)| *kind == told.kind);
                    if let Some((_, network)) = network {
                        mark(&mut out.networks, network, |is| *is = true);
                    }
                    // of several the one that costs least
                    let known = out.told.entry((from, to)).or_insert(told.metric);
                    *known = [*known, told.metric].into_iter().flatten().min();
                }
            }
        }
        out.edges = out.joins();
        out
    }
}

fn mark<T>(all: &mut [T], at: usize, change: impl FnOnce(&mut T)) {
    if let Some(one) = all.get_mut(at) {
        change(one);
    }
}

impl Joined {
    /// Who is joined with whom; networks of two are left out.
    fn joins(&self) -> Vec<Vec<Edge>> {
        let mut around: Vec<Vec<usize>> = vec![Vec::new(); self.names.len()];
        for (from, to) in self.told.keys() {
            mark(&mut around, *from, |ends| ends.push(*to));
            mark(&mut around, *to, |ends| ends.push(*from));
        }
        for ends in &mut around {
            ends.sort_unstable();
            ends.dedup();
        }
        let cost = |from: usize, to: usize| self.told.get(&(from, to)).copied();
        let mut edges: Vec<Vec<Edge>> = vec![Vec::new(); self.names.len()];
        let mut join = |a: usize, b: usize, costs: [Option<u64>; 2], both: bool| {
            mark(&mut edges, a, |list| list.push(Edge { to: b, costs, both }));
            mark(&mut edges, b, |list| list.push(Edge { to: a, costs: [costs[1], costs[0]], both }));
        };
        for (name, ends) in around.iter().enumerate() {
            if let ([a, b], true) = (ends.as_slice(), self.is_network(name)) {
                let both = [*a, *b].iter().all(|end| cost(*end, name).is_some() && cost(name, *end).is_some());
                join(*a, *b, [cost(*a, name).flatten(), cost(*b, name).flatten()], both);
            }
        }
        let between = |name: usize| self.is_network(name) && around.get(name).is_some_and(|ends| ends.len() == 2);
        for (from, to) in self.told.keys().filter(|(from, to)| !between(*from) && !between(*to)) {
            let back = cost(*to, *from);
            if back.is_none() || from < to {
                join(*from, *to, [cost(*from, *to).flatten(), back.flatten()], back.is_some());
            }
        }
        for list in &mut edges {
            list.sort_by_key(|edge| edge.to);
        }
        edges
    }

    fn is_network(&self, name: usize) -> bool {
        self.networks.get(name).copied().unwrap_or(false)
    }

    fn edges(&self, name: usize) -> &[Edge] {
        self.edges.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The map with this router in the middle, or at the left.
    pub(super) fn graph(&self, both: bool) -> Graph {
        let stubs = |name: &usize| self.stubs.get(*name).is_some_and(|stubs| *stubs > 0);
        let mut names: Vec<usize> =
            (0..self.names.len()).filter(|name| stubs(name) || !self.edges(*name).is_empty()).collect();
        let left_out = names.len().saturating_sub(MOST);
        names.truncate(MOST);
        let mut known = vec![false; self.names.len()];
        for name in &names {
            mark(&mut known, *name, |is| *is = true);
        }
        let own = self.own.filter(|own| known.get(*own) == Some(&true));
        names.sort_by_key(|name| Some(*name) != own);
        let seen = vec![None; self.names.len()];
        let mut out = Drawing { area: self, known, seen, graph: Graph::default(), places: Vec::new() };
        for (number, start) in names.iter().enumerate() {
            if out.spot(*start).is_none() {
                let is_own = number == 0 && (own == Some(*start) || self.is_anybodys);
                out.around(*start, is_own, both);
            }
        }
        if let Some(age) = &self.old {
            fade(&mut out.graph.nodes, age);
        }
        let first = out.places.iter().copied().min().unwrap_or(0);
        out.graph.columns = out.places.iter().map(|place| (place - first) as usize).collect();
        Graph { name: self.title.clone(), left_out, ..out.graph }
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
struct Drawing<'a> {
    area: &'a Joined,
    /// What has room on it.
    known: Vec<bool>,
    /// Which node each is.
    seen: Vec<Option<usize>>,
    graph: Graph,
    /// Hops to the left or right of this router.
    places: Vec<i64>,
}

impl Drawing<'_> {
    fn spot(&self, name: usize) -> Option<usize> {
        self.seen.get(name).copied().flatten()
    }

    /// Adds what can be reached from a node over links that both ends tell.
    fn around(&mut self, start: usize, is_own: bool, both: bool) {
        let level = if is_own { Level::Ok } else { Level::Warning };
        let class = if is_own { Class::Outer } else { self.class(start) };
        let at = self.add(self.node(start, class, level), 0, None);
        if !is_own && let Some(node) = self.graph.nodes.get_mut(at) {
            node.said = Said::Word("not reached".to_owned(), Role::Level(level));
        }
        mark(&mut self.seen, start, |seen| *seen = Some(at));
        let sides = self.sides(start, both);
        let area = self.area;
        let mut waiting = VecDeque::from([(start, None)]);
        let mut done: Vec<(usize, Option<usize>)> = Vec::new();
        while let Some((name, before)) = waiting.pop_front() {
            done.push((name, before));
            let Some(at) = self.spot(name) else { continue };
            for edge in area.edges(name).iter().filter(|edge| edge.both) {
                if self.known.get(edge.to) != Some(&true) || self.spot(edge.to).is_some() {
                    continue;
                }
                let place = self.places.get(at).copied().unwrap_or(0);
                let is_left = if name == start { sides.contains(&edge.to) } else { place < 0 };
                let node = Node { said: cost(edge), ..self.node(edge.to, self.class(edge.to), level) };
                let spot = self.add(node, place + if is_left { -1 } else { 1 }, Some(at));
                mark(&mut self.seen, edge.to, |seen| *seen = Some(spot));
                waiting.push_back((edge.to, Some(name)));
            }
        }
        self.marks(&done);
    }

    /// Which of those around a router stand to the left of it: so many that both sides have about as many behind them.
    fn sides(&self, start: usize, both: bool) -> BTreeSet<usize> {
        let mut out = BTreeSet::new();
        if !both {
            return out;
        }
        let ends: BTreeSet<usize> =
            self.area.edges(start).iter().filter(|edge| edge.both).map(|edge| edge.to).collect();
        let mut weights = [0_usize; 2];
        for end in ends.into_iter().filter(|end| self.spot(*end).is_none()) {
            let weight = self.area.edges(end).len();
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
    fn marks(&mut self, done: &[(usize, Option<usize>)]) {
        let area = self.area;
        let mut parents: Vec<Option<usize>> = vec![None; area.names.len()];
        for (name, before) in done {
            mark(&mut parents, *name, |parent| *parent = *before);
        }
        let mut told: BTreeSet<(usize, usize)> = BTreeSet::new();
        for (name, before) in done {
            for edge in area.edges(*name) {
                let is_tree = edge.both && (*before == Some(edge.to) || parents.get(edge.to) == Some(&Some(*name)));
                let is_ours = edge.both || area.told.contains_key(&(*name, edge.to)) || edge.costs[0].is_some();
                if is_tree || !is_ours || told.contains(&(edge.to, *name)) {
                    continue;
                }
                told.insert((*name, edge.to));
                let Some(at) = self.spot(*name) else { continue };
                let level = if edge.both { Level::Ok } else { Level::Warning };
                let said = if edge.both { cost(edge) } else { Said::Word("one way".to_owned(), Role::Level(level)) };
                let other = area.names.get(edge.to).map_or("", |name| name);
                let node = Node { said, level, ..Node::new(Class::Beyond, format!("▸ {other}"), String::new()) };
                let place = self.places.get(at).copied().unwrap_or(0);
                self.add(node, place + if place < 0 { -1 } else { 1 }, Some(at));
            }
        }
    }

    fn class(&self, name: usize) -> Class {
        if self.area.is_network(name) { Class::Between } else { Class::End }
    }

    fn node(&self, name: usize, class: Class, level: Level) -> Node {
        let Part { abr, asbr } = self.area.parts.get(name).copied().unwrap_or_default();
        let stubs = self.area.stubs.get(name).filter(|stubs| **stubs > 0).map(|stubs| counted(*stubs, "stub"));
        let parts = [("ABR", abr), ("ASBR", asbr)].into_iter().filter(|(_, is)| *is).map(|(part, _)| part.to_owned());
        let about = if class == Class::Between {
            "network".to_owned()
        } else {
            parts.chain(stubs).collect::<Vec<String>>().join(" ")
        };
        let name = self.area.names.get(name).map_or("", |name| name);
        let filter = format!("{} and from == {}", self.area.filter, quoted(name));
        let leads = Some(Leads::Rows(&OspfLinkRow::TABLE.name, filter));
        Node { level, leads, ..Node::new(class, name.to_owned(), about) }
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
fn cost(edge: &Edge) -> Said {
    let [there, back] = edge.costs.map(|cost| cost.map_or_else(|| "–".to_owned(), |cost| cost.to_string()));
    let words = if there == back || edge.costs[1].is_none() { there } else { format!("{there}/{back}") };
    Said::Word(words, Role::Label)
}
