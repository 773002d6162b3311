//! Where do the virtual pairs of a map lead?
//!
//! A pair whose other end is in another network namespace leads to that: to the inside where it is a port of a bridge or nobody
//! uses it, so that a container hangs at its bridge, and to the outside where the host itself uses it. One of which both ends
//! are here is a line between them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph::{Graph, Link, Node};
use super::layout::Class;

/// What the ends of pairs are for the map. Returns those ends that lead to their bridges, not these to them.
pub(super) fn classes<'a>(netns: &str, links: &mut [Link<'a>]) -> BTreeSet<&'a str> {
    let ports: HashMap<&'a str, bool> = links.iter().map(|link| (link.own, link.is_port)).collect();
    let mut reversed = BTreeSet::new();
    for link in links.iter_mut().filter(|link| !link.peer.1.is_empty()) {
        if link.peer.0 != netns {
            if link.class == Class::End {
                link.class = Class::Between;
                // from whoever is behind it to the bridge
                reversed.insert(link.own);
            }
            continue;
        }
        let Some(is_port) = ports.get(link.peer.1).copied() else { continue };
        if link.class == Class::End || (is_port && link.class == Class::Outer) {
            link.class = Class::Between;
        }
        if link.is_port && !is_inner((link.is_port, link.own), (is_port, link.peer.1)) {
            reversed.insert(link.own);
        }
    }
    reversed
}

/// Whether an end stands farther inside than the other one: who is no port of a bridge, or is the first by name.
fn is_inner(own: (bool, &str), other: (bool, &str)) -> bool {
    own < other
}

/// Adds the namespaces in which the other ends are, and lines between two ends that are here.
pub(super) fn add(out: &mut Graph, netns: &str, (first, links): (usize, &[Link<'_>]), at: &HashMap<&str, usize>) {
    let mut guests: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for (number, link) in links.iter().enumerate().filter(|(_, link)| !link.peer.1.is_empty()) {
        let own = first + number;
        let (there, peer) = link.peer;
        if there == netns {
            let to = at.get(peer).and_then(|other| Some((*other, links.get(other.checked_sub(first)?)?)));
            let to = to.filter(|(_, to)| is_inner((link.is_port, link.own), (to.is_port, to.own)));
            out.edges.extend(to.map(|(other, _)| (own, other)));
        } else if link.class == Class::Between {
            guests.entry(there).or_default().push((peer, own));
        } else {
            out.edges.push((own, out.nodes.len()));
            out.nodes.push(Node::new(Class::Beyond, there.to_owned(), peer.to_owned()));
        }
    }
    for (guest, ends) in guests {
        let about = match ends.as_slice() {
            [(peer, _)] => (*peer).to_owned(),
            several => format!("{} links", several.len()),
        };
        let node = out.nodes.len();
        out.nodes.push(Node::new(Class::End, guest.to_owned(), about));
        out.edges.extend(ends.iter().map(|(_, own)| (node, *own)));
    }
}
