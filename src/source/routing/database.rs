//! Which routers and networks of an area are linked, as the routers of it say?
//!
//! A database has what each router says of its own links, and what the DR of each network says of who is attached there. What
//! is told of both is the same for every daemon: a network is named by its prefix, in version 3, where it has none in the LSA,
//! by the router and interface of its DR.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::lsa::{Lsa, LsaCounts};
use super::ospf::Place;
use crate::label;
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::bounded::Bounded;

/// Most links of one daemon that are read.
pub const MOST: usize = 32 << 10;

/// How long what was told is good for, and how long a daemon is left alone that does not know the question.
const EVERY: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_mins(1);

label! {
    /// What a link leads to.
    pub enum LinkKind {
        /// Another router.
        PointToPoint = "point-to-point",
        /// A network that routers share.
        Transit = "transit",
        /// A network without other routers.
        Stub = "stub",
        /// Another router through an area between.
        Virtual = "virtual",
        /// From a network to a router that is attached to it.
        Attached = "attached",
    }
}

/// What a router says of itself in its LSA, beside its links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Whether it joins areas.
    pub abr: bool,
    /// Whether it may bring routes of other protocols.
    pub asbr: bool,
}

impl Roles {
    /// Those in the flags of the LSA of a router (RFC 2328, appendix A.4.2; RFC 5340, appendix A.4.3).
    #[must_use]
    pub(super) fn of(flags: u64) -> Self {
        Self { abr: flags & 1 != 0, asbr: flags & 2 != 0 }
    }
}

/// One link, in the direction in which it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Where.
    pub place: Place,
    /// Area.
    pub area: Text,
    /// Router or network that it leads from.
    pub from: Text,
    /// What it leads to.
    pub kind: LinkKind,
    /// Router or network that it leads to.
    pub to: Text,
    /// Which one it is of several between the same two, from 0 on.
    pub number: u64,
    /// What it costs.
    pub metric: Option<u64>,
    /// What it costs to get from this router to where it begins.
    pub distance: Option<u64>,
    /// What the router that it leads from says of itself.
    pub roles: Option<Roles>,
}

/// The links in a database, in the order in which they are told.
#[derive(Debug)]
pub struct Links {
    all: Bounded<Link>,
    /// How many there are between two.
    numbers: HashMap<(Place, Text, Text, Text, LinkKind), u64>,
    /// What the router says of itself whose links come.
    roles: Option<Roles>,
}

impl Default for Links {
    fn default() -> Self {
        Self { all: Bounded::new(MOST), numbers: HashMap::new(), roles: None }
    }
}

impl Links {
    /// What the router says of itself whose links come next.
    pub(super) fn router(&mut self, roles: Option<Roles>) {
        self.roles = roles;
    }

    /// One more.
    pub(super) fn push(
        &mut self,
        (place, area): (&Place, &Text),
        (from, kind, to): (Text, LinkKind, Text),
        [metric, distance]: [Option<u64>; 2],
    ) {
        if self.all.kept().len() == MOST {
            return self.all.leave_out();
        }
        let number = self.numbers.entry((place.clone(), area.clone(), from.clone(), to.clone(), kind)).or_default();
        let own = *number;
        *number += 1;
        let (place, area) = (place.clone(), area.clone());
        // a network says nothing of itself
        let roles = self.roles.filter(|_| kind != LinkKind::Attached);
        self.all.push(Link { place, area, from, kind, to, number: own, metric, distance, roles });
    }

    /// All of them.
    pub fn done(self) -> Bounded<Link> {
        self.all
    }
}

/// What is known of one side of the database of a daemon, while somebody looks at it.
#[derive(Debug)]
pub struct Looked<T> {
    /// What was told last.
    pub all: Bounded<T>,
    /// When.
    pub at: Timestamp,
    /// Why it was not told last, or not all of it.
    pub fault: Option<Error>,
    /// When it was asked for last.
    asked: Option<Instant>,
}

impl<T> Default for Looked<T> {
    fn default() -> Self {
        Self { all: Bounded::new(0), at: Timestamp(0), fault: None, asked: None }
    }
}

impl<T> Looked<T> {
    /// Whether what was told is not good any more.
    pub(super) fn is_due(&self) -> bool {
        let cannot = self.fault.as_ref().is_some_and(|error| error.cause.kind() == ErrorKind::Unsupported);
        let every = if cannot { AGAIN } else { EVERY };
        self.asked.is_none_or(|asked| asked.elapsed() >= every)
    }

    /// Remembers what was told, and why more was not.
    pub(super) fn hear(&mut self, told: Result<Bounded<T>, Error>, at: Timestamp) {
        self.asked = Some(Instant::now());
        match told {
            Ok(all) => (self.all, self.at, self.fault) = (all, at, None),
            Err(error) => self.fault = Some(error),
        }
    }
}

/// What is known of the database of a daemon.
#[derive(Debug, Default)]
pub struct Database {
    /// Who is linked to whom.
    pub links: Looked<Link>,
    /// LSAs.
    pub lsas: Looked<Lsa>,
    /// How many of them there are in each area, where the daemon does not count them.
    pub counts: Vec<LsaCounts>,
}
