//! Where is the other end of a virtual pair?
//!
//! An interface names the number of its other end and, by a number of its own namespace, the network namespace that it is in.
//! Which one that is the kernel says when it is asked with a file of that namespace. So those are asked for whose interface
//! names this one back, and what was answered is remembered for as long as both are open: without new pairs nobody is asked.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, OwnedFd};

use super::LinkRow;
use crate::model::Text;
use crate::source::netlink::common::Common;
use crate::source::netlink::route::{self, IfIndex, Lower};

/// Questions of one sample; those that are left are asked with the next one.
const QUESTIONS: usize = 2048;

/// An end of a virtual pair.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// Its row.
    pub(super) row: usize,
    pub(super) index: IfIndex,
    /// What it says of the other one.
    pub(super) peer: Lower,
}

/// A network namespace with such ends.
struct Place {
    name: Text,
    number: u64,
    queries: Common,
}

/// What was answered before.
#[derive(Default)]
pub(super) struct Numbers {
    /// What the first calls a number is the second.
    known: HashMap<(u64, i32), u64>,
    /// Of the first it was asked what it calls the second, which may be what it calls a number.
    asked: HashSet<(u64, u64, i32)>,
    /// Ends that nobody named back where the other one should be, each with what it said.
    lost: HashSet<(u64, IfIndex, Lower)>,
    /// The namespaces of those that are so for the first time: the other end has been moved, of which they are told nothing.
    pub(super) moved: HashSet<u64>,
}

/// The ends of a sample.
#[derive(Default)]
pub(super) struct Pairs {
    places: Vec<Place>,
    /// By their numbers.
    numbered: HashMap<u64, usize>,
    ends: Vec<(usize, End)>,
}

impl Pairs {
    /// Adds the ends in a namespace, which was opened as this number.
    pub(super) fn add(&mut self, name: Text, number: u64, queries: Common, ends: impl Iterator<Item = End>) {
        let place = self.places.len();
        self.numbered.insert(number, place);
        self.places.push(Place { name, number, queries });
        self.ends.extend(ends.map(|end| (place, end)));
    }

    /// Says in the rows where their other ends are. `file` opens a namespace by its name.
    pub(super) fn join(&self, rows: &mut [LinkRow], numbers: &mut Numbers, file: impl Fn(&Text) -> Option<OwnedFd>) {
        self.forget(numbers);
        let mut by_indexes: HashMap<(IfIndex, IfIndex), Vec<(usize, End)>> = HashMap::new();
        for (place, end) in &self.ends {
            by_indexes.entry((end.index, end.peer.index)).or_default().push((*place, *end));
        }
        let mut questions = QUESTIONS;
        for (place, end) in &self.ends {
            let back = by_indexes.get(&(end.peer.index, end.index)).map(Vec::as_slice).unwrap_or_default();
            let found = match end.peer.netns {
                None => Some(*place),
                Some(number) => self.place_of((*place, number), back, numbers, (&mut questions, &file)),
            };
            let other = found.and_then(|found| back.iter().find(|(place, _)| *place == found));
            // of one that was moved it is told where it was
            if other.is_none()
                && (found.is_some() || !back.is_empty())
                && let Some(from) = self.places.get(*place)
                && numbers.lost.insert((from.number, end.index, end.peer))
            {
                numbers.moved.insert(from.number);
            }
            let told = other.and_then(|(place, other)| Some((self.places.get(*place)?, rows.get(other.row)?)));
            let told = told.map(|(place, row)| (place.name.clone(), row.name.clone()));
            if let (Some((netns, name)), Some(row)) = (told, rows.get_mut(end.row)) {
                (row.peer_netns, row.peer) = (Some(netns), Some(name));
            }
        }
    }

    /// Which of the places of those that name an end back is the one that its namespace calls a number.
    fn place_of(
        &self,
        (own, number): (usize, i32),
        back: &[(usize, End)],
        numbers: &mut Numbers,
        (questions, file): (&mut usize, &impl Fn(&Text) -> Option<OwnedFd>),
    ) -> Option<usize> {
        let from = self.places.get(own)?;
        if let Some(known) = numbers.known.get(&(from.number, number)) {
            return self.numbered.get(known).copied();
        }
        for (place, _) in back.iter().filter(|(place, _)| *place != own) {
            let Some(to) = self.places.get(*place) else { continue };
            if *questions == 0 || !numbers.asked.insert((from.number, to.number, number)) {
                continue;
            }
            *questions -= 1;
            let ask = |file: OwnedFd| from.queries.with(|socket| route::number_of(socket, file.as_fd())).ok().flatten();
            if let Some(called) = file(&to.name).and_then(ask) {
                numbers.known.insert((from.number, called), to.number);
                if called == number {
                    return Some(*place);
                }
            }
        }
        None
    }

    /// Forgets what is known of namespaces that are closed.
    fn forget(&self, numbers: &mut Numbers) {
        let open = |number: &u64| self.numbered.contains_key(number);
        numbers.known.retain(|(from, _), to| open(from) && open(to));
        numbers.asked.retain(|(from, to, _)| open(from) && open(to));
        numbers.lost.retain(|(from, ..)| open(from));
        numbers.moved.clear();
    }
}
