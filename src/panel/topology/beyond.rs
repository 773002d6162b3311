//! Who is behind the interfaces of a map?

use std::collections::{BTreeSet, HashMap};

use super::graph::{self, Graph, Link, Node, SWITCHES, Said};
use super::known::{Known, Router};
use super::layout::Class;
use crate::model::Level;
use crate::panel::{Cx, Role, number, pick};

/// Most interfaces one below the other, such as VLANs in a VLAN.
const DEEPEST: usize = 8;

/// Adds routers, and how many others there are, behind links.
pub(super) fn add(
    out: &mut Graph,
    (cx, known): (&Cx<'_>, &Known<'_>),
    netns: &str,
    (first, links): (usize, &[Link<'_>]),
) {
    for (at, link) in links.iter().enumerate() {
        let name = (netns, link.own);
        let mut routers: Vec<_> = known.routers.get(&name).into_iter().flatten().collect();
        routers.sort_by(|(a, _), (b, _)| pick::natural(a, b));
        for (id, known) in routers {
            out.edges.push((first + at, out.nodes.len()));
            out.nodes.push(router(cx, id, known));
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
                let leads = out.nodes.get(first + at).and_then(|link| link.leads.clone());
                out.nodes.push(Node { leads, ..Node::new(Class::Beyond, words, String::new()) });
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

/// Adds routers that were behind an interface that is no longer there.
pub(super) fn lost(out: &mut Graph, (cx, known): (&Cx<'_>, &Known<'_>), netns: &str, there: &BTreeSet<&str>) {
    let mut gone: Vec<_> = known.routers.iter().filter(|((at, own), _)| *at == netns && !there.contains(own)).collect();
    gone.sort_by(|((_, a), _), ((_, b), _)| pick::natural(a, b));
    for ((_, interface), routers) in gone {
        // nobody knows behind which one it should be
        if interface.is_empty() {
            out.nodes.extend(routers.iter().map(|(id, known)| router(cx, id, known)));
            continue;
        }
        let level = routers.values().map(level).max().unwrap_or_default();
        let at = out.nodes.len();
        let said = Said::Word("gone".to_owned(), Role::Level(level));
        out.nodes.push(Node { said, level, ..Node::new(Class::Outer, (*interface).to_owned(), String::new()) });
        for (id, known) in routers {
            out.edges.push((at, out.nodes.len()));
            out.nodes.push(router(cx, id, known));
        }
    }
}

/// How bad it is with those behind each interface that are lost, and so for the interfaces below it.
pub(super) fn worst<'a>(known: &Known<'a>, netns: &str) -> HashMap<&'a str, Level> {
    let mut out: HashMap<&str, Level> = HashMap::new();
    for ((at, own), routers) in known.routers.iter().filter(|((at, _), _)| *at == netns) {
        let level = routers.values().map(level).max().filter(|level| *level > Level::Careful);
        let mut next = level.map(|_| *own);
        for _ in 0..DEEPEST {
            let Some(own) = next else { break };
            let worst = out.entry(own).or_default();
            *worst = level.unwrap_or_default().max(*worst);
            next = known.lower.get(&(*at, own)).copied();
        }
    }
    out
}

fn level(router: &Router<'_>) -> Level {
    router.state.map_or(Level::Ok, |(_, level)| level)
}

fn router(cx: &Cx<'_>, id: &str, router: &Router<'_>) -> Node {
    let said = match (router.state, router.old) {
        // one that was well when it was told last may be anything by now
        (Some((_, Level::Ok)), Some((view, row, column))) => {
            Said::Word(format!("silent {}", number::words(cx, view, row, column).words), Role::Stale)
        }
        (Some((state, level)), _) => {
            // what was not heard of for a while is nothing bad
            let role = match (level, state) {
                (Level::Ok, "stale" | "delay" | "probe") => Role::Muted,
                (Level::Ok, _) => Role::Value,
                (level, _) => Role::Level(level),
            };
            Said::Word(state.to_owned(), role)
        }
        (None, _) => Said::Nothing,
    };
    let is_old = router.old.is_some();
    let leads = router.of.map(|(table, view, row)| graph::leads(table, view, row));
    Node {
        said,
        level: level(router),
        is_old,
        leads,
        ..Node::new(Class::Beyond, id.to_owned(), router.about.join(", "))
    }
}

/// So many of something.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
