//! How are panels arranged on a page, from 80x24 to 300x100?
//!
//! A view is a function from the room there is to a tree of panels. Lists get the lines they need as far as there are any,
//! and what the user has hidden, or has no panel, is left out before the room is shared.

mod alerts;
mod share;

use share::share;

use super::{Cx, Node, PANELS, PanelDef, Size, ViewDef, legacy, netfilter, toggle};
use crate::collect::routing::OspfNeighborRow;

/// Every view, in the order of the tabs.
pub static VIEWS: &[ViewDef] = &[
    view("overview", "Overview", overview),
    view("guests", "Guests", guests),
    view("processes", "Processes", processes),
    view("network", "Network", network),
    view("storage", "Storage", storage),
    view("cpu", "CPU", cpu),
    ViewDef { demands: legacy::demands, ..view("firewall", "Firewall", firewall) },
    view("connections", "Connections", connections),
    ViewDef { demands: netfilter::demands, ..view("queues", "Queues", queues) },
    view("routing", "Routing", routing),
    view("topology", "Topology", topology),
    view("alerts", "Alerts", alerts::alerts),
];

const fn view(name: &'static str, title: &'static str, layout: fn(&Cx<'_>, u16, u16) -> Node) -> ViewDef {
    ViewDef { name, title, demands: Vec::new, layout }
}

/// Cells of width from which lists stand beside processes instead of above them.
const WIDE: u16 = 110;
/// Cells of width from which neighbors of OSPF have room for all that is to be told of them beside something else.
const BOTH: u16 = 180;
/// Cells of width from which quick look has a place of its own.
const QUICK: u16 = 140;
/// Lists with graphs below them.
const GRAPHED: &[&str] = &["network", "disks"];
/// Lines that nobody needs from which a second list has graphs.
const PLENTY: u16 = 16;
/// Lines of a frame.
const FRAME: u16 = 2;
/// Cells of a frame and of the blanks inside it.
const INSIDE: u16 = 4;
/// Lines from which a connection stands below the others where it has no room beside them, and the lines that it needs.
const TALL: u16 = 34;
const FLOW: u16 = FRAME + 8;
/// Lines that rules keep: a frame, headings and six rules.
const RULES: u16 = FRAME + 7;
/// The log of changes of rules.
const CHANGES: &str = "ruleset-changes";
/// Lines that a queue needs.
const QUEUE: u16 = FRAME + 6;
/// Lines that processes keep: a frame, headings and eight rows.
const PROCESSES: u16 = FRAME + 9;

fn overview(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let top = match height {
        0..=13 => 0,
        14..=30 => 5,
        31..=45 => 8,
        46..=70 => 11,
        _ => 16,
    };
    let top = if cx.on(toggle::TOP_ROW) { 0 } else { top };
    let rest = height - top;
    let mut parts = Vec::new();
    if top > 0 {
        parts.push((Size::Fixed(top), top_row(cx, width)));
    }
    let lower = if width >= WIDE { beside(cx, width, rest) } else { stacked(cx, rest) };
    parts.push((Size::Weight(1), lower));
    visible(cx, Node::Column(parts))
}

fn top_row(cx: &Cx<'_>, width: u16) -> Node {
    let wide = width >= QUICK;
    let quick = wide != cx.on(toggle::QUICK_LOOK);
    let details = ["cpu", "memory", "load"];
    if cx.on(toggle::FULL_QUICK_LOOK) {
        return even(Node::Row, &["quick"]);
    }
    let names: Vec<&'static str> = match (quick, wide) {
        (true, false) => vec!["quick"],
        (true, true) => std::iter::once("quick").chain(details).collect(),
        (false, _) => details.to_vec(),
    };
    even(Node::Row, &names)
}

/// Lists at the left, processes at the right.
fn beside(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let alerts = FRAME + lines(cx, "alerts").clamp(1, (height / 6).max(1));
    let right =
        Node::Column(vec![(Size::Fixed(alerts), Node::Panel("alerts")), (Size::Weight(1), Node::Panel("processes"))]);
    if cx.on(toggle::LEFT_SIDE) {
        return right;
    }
    let side = (width / 3).clamp(40, 90);
    let names = with_rows(cx, &["network", "disks", "mounts", "sensors"], &["raid", "gpu"]);
    Node::Row(vec![(Size::Fixed(side), stack(cx, &names, height)), (Size::Weight(1), right)])
}

/// Lists in rows above processes.
fn stacked(cx: &Cx<'_>, height: u16) -> Node {
    let spare = height.saturating_sub(PROCESSES);
    let mut parts = Vec::new();
    let lists = ["network", "disks", "mounts"];
    let more = with_rows(cx, &["alerts", "sensors"], &["raid", "gpu"]);
    let second = if spare >= 12 { spare / 3 } else { 0 };
    let first = tallest(cx, &lists).min(spare - second);
    if first > FRAME && !cx.on(toggle::LEFT_SIDE) {
        parts.push((Size::Fixed(first), even(Node::Row, &lists)));
    }
    let second = tallest(cx, &more).min(second);
    if second > FRAME {
        parts.push((Size::Fixed(second), even(Node::Row, &more)));
    }
    parts.push((Size::Weight(1), Node::Panel("processes")));
    Node::Column(parts)
}

fn processes(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let mut parts = Vec::new();
    if height >= 20 && !cx.on(toggle::TOP_ROW) {
        parts.push((Size::Fixed(5), top_row(cx, width)));
    }
    parts.push((Size::Weight(1), Node::Panel("processes")));
    visible(cx, Node::Column(parts))
}

fn guests(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let guests = Node::Panel("guests");
    // a host without guests has no virtual CPUs either
    if rows(cx, "guests").is_none_or(|rows| rows == 0) {
        return visible(cx, guests);
    }
    let wanted = (lines(cx, "guests") + FRAME + 1).max(FRAME + 4);
    let lower = height.saturating_sub(wanted).max(height / 2);
    let node = if width >= WIDE {
        let left = stack(cx, &with_rows(cx, &["vcpus"], &["guest-disks"]), lower);
        let right = stack(cx, &with_rows(cx, &["guest-cpus"], &["guest-nics"]), lower);
        let row = Node::Row(vec![(Size::Weight(1), left), (Size::Weight(1), right)]);
        Node::Column(vec![(Size::Weight(1), guests), (Size::Fixed(lower), row)])
    } else {
        let names = with_rows(cx, &["vcpus"], &["guest-nics", "guest-disks"]);
        Node::Column(vec![(Size::Weight(1), guests), (Size::Fixed(lower), stack(cx, &names, lower))])
    };
    visible(cx, node)
}

fn network(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let lower = height / 2;
    let links = (Size::Weight(1), Node::Panel("network"));
    let node = if width >= WIDE {
        let left = stack(cx, &["addresses", "listeners"], lower);
        let right = stack(cx, &["sockets", "protocols"], lower);
        let row = Node::Row(vec![(Size::Weight(1), left), (Size::Weight(1), right)]);
        Node::Column(vec![links, (Size::Fixed(lower), row)])
    } else {
        let row = |names: &[&'static str]| even(Node::Row, names);
        let half = lower / 2;
        let (one, two) = (row(&["addresses", "sockets"]), row(&["listeners", "protocols"]));
        Node::Column(vec![links, (Size::Fixed(lower - half), one), (Size::Fixed(half), two)])
    };
    visible(cx, node)
}

fn storage(cx: &Cx<'_>, _: u16, height: u16) -> Node {
    visible(cx, stack(cx, &["disks", "mounts", "raid"], height))
}

fn cpu(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let top = if height >= 16 { if height > 40 { 9 } else { 6 } } else { 0 };
    let lower = if height >= 20 { (height - top) / 3 } else { 0 };
    let mut parts = Vec::new();
    if top > 0 {
        parts.push((Size::Fixed(top), even(Node::Row, &["cpu", "load"])));
    }
    parts.push((Size::Weight(1), Node::Panel("cores")));
    if lower > FRAME {
        let names = with_rows(cx, &["softirqs", "pressure"], &["numa"]);
        let names = if width >= WIDE { [&["interrupts"], names.as_slice()].concat() } else { names };
        parts.push((Size::Fixed(lower), even(Node::Row, &names)));
    }
    visible(cx, Node::Column(parts))
}

fn firewall(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let named = with_rows(cx, &[], &[CHANGES, "sets", "counters", "quotas"]);
    let rules = (Size::Weight(2), rules(cx, height));
    let node = if width >= WIDE {
        let lists = stack(cx, &named, height / 2);
        let mut right = vec![(Size::Weight(1), Node::Panel("rule"))];
        right.extend((!named.is_empty()).then_some((Size::Weight(1), lists)));
        Node::Row(vec![rules, (Size::Weight(1), Node::Column(right))])
    } else {
        // what was written before and after has room over the whole width only
        let (changes, named): (Vec<&str>, Vec<&str>) = named.iter().partition(|name| **name == CHANGES);
        // side by side only so many have room for more than names
        let named = named.get(..2).unwrap_or(&named);
        let least = if legacy::has_rules(cx) == Some(true) { RULES + height / 3 } else { RULES };
        let mut spare = height.saturating_sub(least);
        let mut parts = vec![rules];
        for (names, most) in [(&changes[..], height / 4), (named, height / 5)] {
            let cells = tallest(cx, names).min(most);
            if cells > FRAME + 1 && cells <= spare {
                spare -= cells;
                parts.push((Size::Fixed(cells), even(Node::Row, names)));
            }
        }
        Node::Column(parts)
    };
    visible(cx, node)
}

/// Rules of nf_tables, and below them those of the older interface where there are some.
fn rules(cx: &Cx<'_>, height: u16) -> Node {
    let rules = Node::Panel("rules");
    let legacy = legacy::PANEL.name;
    if legacy::has_rules(cx) != Some(true) {
        return rules;
    }
    let (above, below) = if legacy::is_alone(cx) {
        (Size::Fixed(FRAME + 1), Size::Weight(1))
    } else {
        (Size::Weight(1), Size::Fixed((lines(cx, legacy) + FRAME + 1).min(height / 3)))
    };
    Node::Column(vec![(above, rules), (below, Node::Panel(legacy))])
}

fn connections(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let hint = super::connections::uncounted(cx, width.saturating_sub(INSIDE)).len() as u16;
    let top = (FRAME + 1 + lines(cx, "tracking") + hint).min(height / 3);
    let flows = (Size::Weight(2), Node::Panel("flows"));
    let lower = match width {
        // who looks at groups of all connections needs no row of each
        _ if cx.grouped.is_some() => Node::Panel("flow-groups"),
        QUICK.. => Node::Row(vec![flows, (Size::Weight(1), Node::Panel("flow"))]),
        _ if height >= TALL => Node::Column(vec![flows, (Size::Fixed(FLOW), Node::Panel("flow"))]),
        _ => Node::Panel("flows"),
    };
    let mut parts = vec![(Size::Weight(1), lower)];
    if top > FRAME {
        parts.insert(0, (Size::Fixed(top), Node::Panel("tracking")));
    }
    visible(cx, Node::Column(parts))
}

fn queues(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let used = netfilter::used(cx);
    let [cut, whole] = [u16::MAX, width.saturating_sub(INSIDE)].map(|width| netfilter::unused(cx, width).len() as u16);
    if used.is_empty() {
        return visible(cx, Node::Panel("others"));
    }
    let beside = width >= WIDE && used.len() > 1;
    let wanted = used.iter().map(|name| lines(cx, name) + FRAME + 1).fold(0, u16::saturating_add);
    let spare = height.saturating_sub(if beside { wanted.div_ceil(2) } else { wanted });
    // what is said of others is cut before those with rows are
    let lower = if spare >= FRAME + whole { whole } else { cut };
    let lower = (lower + FRAME * u16::from(lower > 0)).min(height / 2);
    let upper = height - lower;
    let lists = if beside {
        // one after the other to the left and to the right, so that both are about as full
        let side = |first: usize| {
            let names: Vec<&'static str> = used.iter().skip(first).step_by(2).copied().collect();
            (Size::Weight(1), lists_and_queue(cx, &names, upper))
        };
        Node::Row(vec![side(0), side(1)])
    } else {
        lists_and_queue(cx, &used, upper)
    };
    let mut parts = vec![(Size::Weight(1), lists)];
    parts.extend((lower > FRAME).then_some((Size::Fixed(lower), Node::Panel("others"))));
    visible(cx, Node::Column(parts))
}

/// Lists one below the other, and behind them the selected queue where one is among them and room is left.
fn lists_and_queue(cx: &Cx<'_>, names: &[&'static str], height: u16) -> Node {
    let wanted = names.iter().map(|name| lines(cx, name) + FRAME + 1).fold(0, u16::saturating_add);
    if !names.contains(&"queues") || height < wanted + QUEUE {
        return stack(cx, names, height);
    }
    let mut parts = Vec::new();
    for name in names {
        parts.push((Size::Fixed(lines(cx, name) + FRAME + 1), Node::Panel(name)));
        parts.extend((*name == "queues").then_some((Size::Weight(1), Node::Panel("queue"))));
    }
    Node::Column(parts)
}

fn routing(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    if cx.on(toggle::LSAS) {
        return databases(cx, width, height);
    }
    let ours = with_rows(cx, &[], &["routing-daemons", "ospf-areas", "ospf-interfaces"]);
    let kernel = with_rows(cx, &["routes"], &["route-changes", "neighbor-tables"]);
    let peers = with_rows(cx, &[], &["bgp-peers", "bfd-peers", "isis-adjacencies"]);
    let is_ospf = rows(cx, "adjacencies").is_some_and(|rows| rows > 0);
    // where nobody speaks with other routers, or should, there is only what the kernel has
    let is_alone = ours.is_empty() && peers.is_empty() && !is_ospf;
    let spoken = adjacencies(cx, is_ospf).saturating_add(peers.iter().map(|name| lines(cx, name) + FRAME + 1).sum());
    let node = if width >= BOTH && !is_alone {
        // who is spoken with goes before what the kernel has
        let lower = height.saturating_sub(spoken).clamp(height / 5, height / 3);
        let neighbors = (Size::Weight(2), neighbors(cx, &peers, is_ospf, height - lower));
        let left = Node::Column(vec![neighbors, (Size::Fixed(lower), stack(cx, &kernel, lower))]);
        let mut right = vec![(Size::Weight(1), stack(cx, &ours, height / 2))];
        if is_ospf {
            right.insert(0, (Size::Weight(1), Node::Panel("adjacency")));
        }
        Node::Row(vec![(Size::Weight(3), left), (Size::Weight(2), Node::Column(right))])
    } else if is_alone {
        let top = (FRAME + 1).min(height / 3);
        let lists = stack(cx, &kernel, height - top);
        Node::Column(vec![(Size::Fixed(top), Node::Panel("adjacencies")), (Size::Weight(1), lists)])
    } else if width >= WIDE {
        let all = |names: &[&str]| names.iter().map(|name| lines(cx, name) + FRAME + 1).fold(0, u16::saturating_add);
        let lower = height.saturating_sub(spoken).max(height / 3).min(all(&kernel).max(all(&ours)));
        let mut upper = neighbors(cx, &peers, is_ospf, height - lower);
        if is_ospf && cx.picked.contains_key(&*OspfNeighborRow::TABLE.name) {
            upper = Node::Row(vec![(Size::Weight(3), upper), (Size::Weight(2), Node::Panel("adjacency"))]);
        }
        let lists = [&kernel, &ours].into_iter().filter(|names| !names.is_empty());
        let lists = lists.map(|names| (Size::Weight(1), stack(cx, names, lower))).collect();
        Node::Column(vec![(Size::Weight(1), upper), (Size::Fixed(lower), Node::Row(lists))])
    } else {
        let names = [ours.get(..1).unwrap_or_default(), kernel.get(..1).unwrap_or_default()].concat();
        let most = if peers.is_empty() { height } else { height.saturating_sub(spoken) };
        let lower = tallest(cx, &names).min(height / 3).min(most);
        let mut parts = vec![(Size::Weight(2), neighbors(cx, &peers, is_ospf, height - lower))];
        parts.extend((lower > FRAME + 1).then(|| (Size::Fixed(lower), even(Node::Row, &names))));
        Node::Column(parts)
    };
    visible(cx, node)
}

/// Lines that neighbors of OSPF want with the headings of their areas and interfaces.
fn adjacencies(cx: &Cx<'_>, is_ospf: bool) -> u16 {
    let headings = ["ospf-areas", "ospf-interfaces"].map(|name| rows(cx, name).unwrap_or(0));
    let all = rows(cx, "adjacencies").unwrap_or(0) + headings.into_iter().sum::<usize>();
    if is_ospf { u16::try_from(all).unwrap_or(u16::MAX).saturating_add(FRAME + 1) } else { 0 }
}

/// Areas and interfaces above the LSAs in them, or beside these.
fn databases(cx: &Cx<'_>, width: u16, height: u16) -> Node {
    let lists = with_rows(cx, &[], &["ospf-areas", "ospf-interfaces"]);
    let lsas = Node::Panel("ospf-lsas");
    let node = if lists.is_empty() {
        lsas
    } else if width >= QUICK {
        let side = stack(cx, &lists, height);
        Node::Row(vec![(Size::Weight(2), lsas), (Size::Weight(1), side)])
    } else {
        let names = if width >= WIDE { &lists } else { lists.get(..1).unwrap_or_default() };
        let upper = tallest(cx, names).min(height / 3);
        Node::Column(vec![(Size::Fixed(upper), even(Node::Row, names)), (Size::Weight(1), lsas)])
    };
    visible(cx, node)
}

/// Neighbors of OSPF above the peers of other protocols.
fn neighbors(cx: &Cx<'_>, peers: &[&'static str], is_ospf: bool, height: u16) -> Node {
    let ospf = Node::Panel("adjacencies");
    if peers.is_empty() {
        return ospf;
    }
    if !is_ospf {
        return stack(cx, peers, height);
    }
    let wanted = peers.iter().map(|name| lines(cx, name) + FRAME + 1).fold(0, u16::saturating_add);
    // what neighbors of OSPF have no use for, and half of it at least
    let lower = wanted.min(height.saturating_sub(adjacencies(cx, is_ospf)).max(height / 2));
    Node::Column(vec![(Size::Weight(1), ospf), (Size::Fixed(lower), stack(cx, peers, lower))])
}

fn topology(cx: &Cx<'_>, _: u16, _: u16) -> Node {
    visible(cx, Node::Panel(if cx.on(toggle::AREA_MAP) { "area-map" } else { "topology" }))
}

/// Largest screen that a view is arranged for.
const LARGEST: (u16, u16) = (300, 100);

/// Panels that have something to show and would be there on a large screen, but found no room in `node`.
pub fn left_out(cx: &Cx<'_>, view: &ViewDef, node: &Node) -> Vec<&'static PanelDef> {
    let (all, shown) = ((view.layout)(cx, LARGEST.0, LARGEST.1).panels(), node.panels());
    // quick look repeats what others say
    let missing = all.into_iter().filter(|name| *name != "quick" && !shown.contains(name));
    let filled = missing.filter(|name| match *name {
        "alerts" => !super::alert::all(cx).is_empty(),
        name => rows(cx, name).is_some_and(|rows| rows > 0),
    });
    filled.filter_map(|name| PANELS.iter().find(|panel| panel.name == name)).collect()
}

/// Lines of a list that is looked at for a moment, and those of a view from which it has room above.
const LOOKED: u16 = FRAME + 5;
const ROOM: u16 = 2 * LOOKED;

/// A view with a panel below it that has no room in it, with the lines that it wants and half of all at most.
pub fn with_below(cx: &Cx<'_>, view: &ViewDef, name: &'static str, (width, height): (u16, u16)) -> Node {
    if height < ROOM {
        return Node::Panel(name);
    }
    let lower = (lines(cx, name) + FRAME + 1).clamp(LOOKED, height / 2);
    let upper = (view.layout)(cx, width, height - lower);
    Node::Column(vec![(Size::Weight(1), upper), (Size::Fixed(lower), Node::Panel(name))])
}

/// Panels of equal size along an axis.
fn even(axis: fn(Vec<(Size, Node)>) -> Node, names: &[&'static str]) -> Node {
    axis(names.iter().map(|name| (Size::Weight(1), Node::Panel(name))).collect())
}

/// `always`, and those of `sometimes` that have rows here.
fn with_rows(cx: &Cx<'_>, always: &[&'static str], sometimes: &[&'static str]) -> Vec<&'static str> {
    let some = sometimes.iter().filter(|name| rows(cx, name).is_some_and(|rows| rows > 0));
    always.iter().chain(some).copied().collect()
}

/// Panels one below the other, each with the lines it needs as far as they go; the first takes what is left.
fn stack(cx: &Cx<'_>, names: &[&'static str], height: u16) -> Node {
    let names: Vec<&'static str> = names.iter().copied().filter(|name| is_shown(cx, name)).collect();
    let wants: Vec<u16> = names.iter().map(|name| lines(cx, name) + FRAME + 1).collect();
    let sizes = share(height, &wants);
    let sized = || names.iter().copied().zip(sizes.iter().copied()).filter(|(_, size)| *size > FRAME);
    // what has nothing to show has no use for what is left
    let first = sized().find(|(name, _)| rows(cx, name).is_some_and(|rows| rows > 0)).or_else(|| sized().next());
    let grows = first.map_or("", |(name, _)| name);
    let parts = names.iter().zip(sizes.iter().zip(&wants)).filter(|(_, (size, _))| **size > FRAME);
    // graphs of a second list take half of plenty
    let needed: u16 = sizes.iter().zip(&wants).map(|(size, want)| size.min(want)).sum();
    let second = Some(height.saturating_sub(needed)).filter(|left| *left >= PLENTY).map_or(0, |left| left / 2);
    let also = sized().find(|(name, _)| *name != grows && GRAPHED.contains(name)).map_or("", |(name, _)| name);
    let size = |name, cells| match name {
        name if name == grows => Size::Weight(1),
        name if name == also => Size::Fixed(cells + second),
        _ => Size::Fixed(cells),
    };
    Node::Column(parts.map(|(name, (cells, want))| (size(*name, *cells.min(want)), Node::Panel(name))).collect())
}

fn tallest(cx: &Cx<'_>, names: &[&'static str]) -> u16 {
    let tallest = names.iter().filter(|name| is_shown(cx, name)).map(|name| lines(cx, name)).max().unwrap_or(0);
    // with headings, and never less than what says that there is nothing
    if tallest == 0 { 0 } else { (tallest + FRAME + 1).max(FRAME + 3) }
}

fn is_shown(cx: &Cx<'_>, name: &str) -> bool {
    !cx.on(name) && PANELS.iter().any(|panel| panel.name == name)
}

/// Rows that a panel has, if it is a list of a table.
fn rows(cx: &Cx<'_>, name: &str) -> Option<usize> {
    let panel = PANELS.iter().find(|panel| panel.name == name)?;
    let demand = (panel.demands)().into_iter().next()?;
    Some(cx.snapshot.get(&demand.table)?.now.as_ref()?.rows.len())
}

/// Lines that a panel's content wants, one at least.
fn lines(cx: &Cx<'_>, name: &str) -> u16 {
    let rows = match name {
        "alerts" => super::alert::all(cx).len(),
        // three headings and their numbers
        "protocols" => 11,
        _ => rows(cx, name).unwrap_or(1),
    };
    u16::try_from(rows.clamp(1, 1000)).unwrap_or(1000)
}

/// The tree without panels that are hidden or not there, and without what is empty then.
fn visible(cx: &Cx<'_>, node: Node) -> Node {
    prune(cx, node).unwrap_or_else(|| Node::Column(Vec::new()))
}

fn prune(cx: &Cx<'_>, node: Node) -> Option<Node> {
    let keep = |parts: Vec<(Size, Node)>| -> Vec<(Size, Node)> {
        parts.into_iter().filter_map(|(size, node)| Some((size, prune(cx, node)?))).collect()
    };
    match node {
        Node::Panel(name) => is_shown(cx, name).then_some(Node::Panel(name)),
        Node::Column(parts) => Some(keep(parts)).filter(|parts| !parts.is_empty()).map(Node::Column),
        Node::Row(parts) => Some(keep(parts)).filter(|parts| !parts.is_empty()).map(Node::Row),
    }
}
