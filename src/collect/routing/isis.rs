//! Which adjacencies of IS-IS are there?

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::gone::{Departs, Leaver, Leavers, Placed};
use super::stale;
use crate::collect::address::steady;
use crate::model::{Text, Timestamp};
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::ospf::BfdState;
use crate::source::routing::peer::{IsisAdjacency, IsisState};
use crate::table;

table! {
    /// One adjacency of IS-IS. On a network with election there is one for each level. Of which VRF an area is, is not told. What
    /// has gone has the state `Deleted` for as long as `[routing]` of the configuration says.
    ///
    /// Source: `show isis neighbor detail` of FRR; ISO/IEC 10589, section 8.
    pub struct IsisAdjacencyRow = "isis_adjacency" { title: Some("IS-IS adjacencies") } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is known from.
        Id(None) source: Source { wide: true },
        /// The daemon.
        Id(None) instance: Text { wide: true },
        /// Area of this router, by the name that its configuration gives it.
        Id(None) area: Text,
        /// Interface behind which the other end is.
        Id(None) interface: Text,
        /// The other end, by its name or number.
        Id(None) system: Text { label: true },
        /// Level that the two have in common; 3 is both.
        Id(None) level: Option<u64> { exact: true },
        /// How far the two have come.
        Text(None) state: Option<IsisState>,
        /// Since when it has been in this state.
        Gauge(None) since: Option<Timestamp>,
        /// When it is given up unless it is heard before.
        Gauge(None) expires: Option<Timestamp> { title: Some("hold") },
        /// IPv4 address of the other end.
        Text(None) address: Option<IpAddr>,
        /// IPv6 address of the other end on the link.
        Text(None) address6: Option<IpAddr> { wide: true },
        /// Levels of the other end.
        Text(None) circuit: Option<Text> { wide: true },
        /// Address of the other end below IP.
        Text(None) snpa: Option<Text> { title: Some("SNPA"), wide: true },
        /// How much the other end wants to be designated there.
        Gauge(None) priority: Option<u64> { exact: true, wide: true },
        /// How often its state has changed.
        Counter(Events) flaps: Option<u64> { total: true },
        /// What bidirectional forwarding detection says of the other end.
        Text(None) bfd: Option<BfdState> { title: Some("BFD") },
        /// Since when its daemon has told nothing more.
        Gauge(None) stale: Option<Timestamp>,
    }
}

type Key = (Text, Text, Text, Text, Option<u64>);

/// All adjacencies, with when states began and when they end, as it was published.
#[derive(Default)]
pub(super) struct Adjacencies {
    published: HashMap<(PathBuf, Key), (Option<Timestamp>, Option<Timestamp>)>,
    leavers: Leavers<IsisAdjacencyRow>,
}

impl Adjacencies {
    /// Of all daemons.
    pub(super) fn rows(&mut self, daemons: &[Daemon], keep: Duration) -> Placed<IsisAdjacencyRow> {
        let (before, published) = (std::mem::take(&mut self.published), &mut self.published);
        self.leavers.rows(daemons, keep, |daemon, told| {
            let row = |found| {
                let mut row = row(daemon, found);
                let key = (daemon.socket.clone(), row.key());
                let (since, expires) = before.get(&key).copied().unwrap_or_default();
                (row.since, row.expires) = (steady(since, row.since), steady(expires, row.expires));
                published.insert(key, (row.since, row.expires));
                row
            };
            told.isis.kept().iter().map(row).collect()
        })
    }
}

impl Departs for IsisAdjacencyRow {
    fn gone(&self) -> Option<Timestamp> {
        self.since.filter(|_| self.state == Some(IsisState::Deleted))
    }
}

impl Leaver for IsisAdjacencyRow {
    type Key = Key;

    fn key(&self) -> Key {
        let Self { instance, area, interface, system, snpa, level, .. } = self;
        // a system gets its name later than it is there
        let end = snpa.as_ref().unwrap_or(system).clone();
        (instance.clone(), area.clone(), interface.clone(), end, *level)
    }

    fn leave(&mut self, at: Timestamp) {
        (self.state, self.since) = (Some(IsisState::Deleted), Some(at));
        (self.expires, self.priority, self.bfd) = (None, None, None);
    }

    fn follow(&mut self, daemon: &Daemon, stale: Option<Timestamp>) {
        self.netns.clone_from(&daemon.netns);
        self.stale = stale;
    }
}

fn row(daemon: &Daemon, found: &IsisAdjacency) -> IsisAdjacencyRow {
    IsisAdjacencyRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        instance: daemon.instance.clone(),
        area: found.area.clone(),
        interface: found.interface.clone(),
        system: found.system.clone(),
        level: found.level,
        state: found.state,
        since: found.since,
        expires: found.expires,
        address: found.address,
        address6: found.address6,
        circuit: found.circuit.clone(),
        snpa: found.snpa.clone(),
        priority: found.priority,
        flaps: found.flaps,
        bfd: found.bfd,
        stale: stale(daemon),
    }
}
