//! Which routers do the routing daemons of this host speak with, and how is it with the daemons themselves?
//!
//! They are asked over their control sockets or at their terminals, and routers elsewhere over SNMP ([`crate::source::routing`]). What a daemon told stays when it says nothing any
//! more, and [`neighbor`] remembers those who have gone and counts what became of them.

mod adjacency;
mod area;
mod begun;
mod bfd;
mod bgp;
mod gone;
mod interface;
mod isis;
mod link;
mod lsa;
mod neighbor;
mod route;
mod session;
mod untold;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

pub use self::adjacency::{AdjacencyChangeRow, AdjacencyRow};
use self::adjacency::{Chronicle, Place};
pub use self::area::OspfAreaRow;
use self::area::Runs;
pub use self::bfd::BfdPeerRow;
pub use self::bgp::BgpPeerRow;
use self::gone::{Departs, Placed};
pub use self::interface::OspfInterfaceRow;
pub use self::isis::IsisAdjacencyRow;
pub use self::link::OspfLinkRow;
use self::lsa::Instances;
pub use self::lsa::OspfLsaRow;
pub use self::neighbor::OspfNeighborRow;
use self::neighbor::{Circle, Missed};
pub use self::route::OspfRouteRow;
use self::session::Sessions;
use self::untold::Untold;
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::control::standing::Standing;
use crate::source::routing::ask::{Asked, Askers, Take};
use crate::source::routing::bird::MAX_PROTOCOLS;
use crate::source::routing::daemon::{Daemon, Daemons, FIRST, MOST, Source, Subject, Wanted};
use crate::source::routing::database::{self, Database};
use crate::source::routing::secret::Secrets;
use crate::source::routing::settings::{Settings, Wishes};
use crate::source::routing::told::Told;
use crate::source::routing::{lsa as source, ospf};
use crate::table;

table! {
    /// One routing daemon that has a control socket or is asked at its terminal, or router that is asked over SNMP, whether it
    /// answers or not. Version, process and network namespace are missing until it has answered once; the namespace, too, where
    /// this user may not look at the process. Routers elsewhere have none of both, and of a terminal the process is not known.
    ///
    /// Source: the control sockets of FRR (`/run/frr/*.vty`), Quagga (`/run/quagga/*.vty`) and BIRD (`/run/bird/*.ctl`,
    /// `/run/bird*.ctl`); `unix(7)`, `SO_PEERCRED`; the vty of Quagga over Telnet (RFC 854); SNMP (RFC 3411) with OSPF-MIB (RFC 4750) and OSPFV3-MIB (RFC 5643).
    pub struct RoutingDaemonRow = "routing_daemon" { title: Some("Routing daemons") } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is one of.
        Id(None) source: Source,
        /// Its name: that of its socket, after that of its directory where it has one of its own; of who has none the configured one.
        Id(None) name: Text { label: true },
        /// Its control socket, or where it answers otherwise.
        Id(None) socket: Text { wide: true },
        /// How it is with it.
        Text(None) state: Standing,
        /// Since when that is so, as far as it was seen.
        Gauge(None) since: Timestamp,
        /// Name and version of the program.
        Text(None) version: Option<Text>,
        /// Its process.
        Gauge(None) pid: Option<u32> { exact: true, wide: true },
        /// Neighbors, peers and sessions that it has told of.
        Gauge(None) neighbors: Option<u64>,
        /// Why it does not answer.
        Text(None) reason: Option<Text> { last: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "routing",
    tables: &[
        RoutingDaemonRow::TABLE,
        OspfNeighborRow::TABLE,
        OspfInterfaceRow::TABLE,
        OspfAreaRow::TABLE,
        OspfRouteRow::TABLE,
        OspfLinkRow::TABLE,
        OspfLsaRow::TABLE,
        BfdPeerRow::TABLE,
        BgpPeerRow::TABLE,
        IsisAdjacencyRow::TABLE,
        AdjacencyRow::TABLE,
        AdjacencyChangeRow::TABLE,
    ],
    interval: EVERY_SECOND,
    // a daemon may be stopped
    blocks: true,
    // in which network namespace a daemon is
    needs: super::OTHERS_PROCESSES,
    make: || Box::<RoutingCollector>::default(),
};

#[derive(Default)]
struct RoutingCollector {
    daemons: Daemons,
    askers: Askers,
    /// Those without a control socket that were waited for.
    asked: Vec<Asked>,
    /// What is remembered of the neighbors of each daemon, by its socket.
    circles: HashMap<PathBuf, Circle>,
    missed: Missed,
    runs: Runs,
    instances: Instances,
    bfd: Sessions<BfdPeerRow>,
    bgp: Sessions<BgpPeerRow>,
    isis: isis::Adjacencies,
    chronicle: Chronicle,
}

impl Collect for RoutingCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("a recorded host has no daemons to ask"));
        }
        let (settings, begin) = (cx.roots.routing.now(), Instant::now());
        let asked = settings.asked();
        let is_new = asked != self.asked;
        if let Err(skip) = self.have_asked(&cx.roots.routing, &asked) {
            out.partly(RoutingDaemonRow::TABLE, &skip);
        }
        let wanted = Wanted {
            routes: cx.wants.table(OspfRouteRow::TABLE).is_some(),
            links: cx.wants.table(OspfLinkRow::TABLE).is_some(),
            lsas: cx.wants.table(OspfLsaRow::TABLE).is_some(),
            areas: cx.wants.table(OspfAreaRow::TABLE).is_some(),
            lengths: cx.wants.column(OspfLsaRow::TABLE, "length"),
        };
        self.daemons.round(cx.roots, &settings, cx.time, wanted);
        if is_new {
            let board = &cx.roots.routing.board;
            board.wait(&asked, FIRST.saturating_sub(begin.elapsed()));
            self.daemons.hear(board, &settings, cx.time);
            self.asked = asked;
        }
        if self.daemons.known().is_empty() && settings.expect.is_empty() && self.asked.is_empty() {
            return self.end(cx, &settings, out);
        }
        let Seen { neighbors, bfd, bgp, isis, adjacencies } = self.follow(cx, &settings);
        let daemons = self.daemons.known();
        out.push_again(AdjacencyChangeRow::TABLE, self.chronicle.changes(&cx.roots.netns));
        // what is not shown is followed all the same: which namespaces are may change
        let shown = |netns: &Option<Text>| cx.roots.netns.shows(netns.as_deref());
        let daemons: Vec<&Daemon> = daemons.iter().filter(|daemon| shown(&daemon.netns)).collect();
        let untold = Untold::new(&daemons, self.daemons.denied());
        untold.push(only(adjacencies, |row| shown(&row.netns)), out);
        untold.push(only(neighbors, |row| shown(&row.netns)), out);
        out.push(daemons.iter().map(|daemon| row(daemon)).collect());
        untold.push(interface::rows(&daemons), out);
        untold.push(self.runs.rows(&daemons), out);
        if wanted.routes {
            untold.push(route::rows(&daemons), out);
            let uncounted = daemons.iter().find_map(|daemon| daemon.uncounted.as_ref());
            if let Some(error) = uncounted {
                out.partly(OspfRouteRow::TABLE, &Skip::from(error.again()));
            }
        }
        if wanted.links {
            untold.push(link::rows(&daemons), out);
        }
        if wanted.lsas {
            untold.push(self.instances.rows(&daemons, cx.time), out);
        } else {
            self.instances.clear();
        }
        untold.push(only(bfd, |row| shown(&row.netns)), out);
        untold.push(only(bgp, |row| shown(&row.netns)), out);
        untold.push(only(isis, |row| shown(&row.netns)), out);
        self.tell_partly(wanted, out);
        Ok(())
    }

    fn is_cheap_to_find(&self) -> bool {
        true
    }
}

/// Rows of all with whom daemons speak, of those who have gone, and what they have in common.
struct Seen {
    neighbors: Vec<OspfNeighborRow>,
    bfd: Vec<BfdPeerRow>,
    bgp: Vec<BgpPeerRow>,
    isis: Vec<IsisAdjacencyRow>,
    adjacencies: Vec<AdjacencyRow>,
}

impl RoutingCollector {
    /// Has those asked that are configured.
    ///
    /// # Errors
    /// There is no thread for one of them; all others are asked.
    fn have_asked(&mut self, wishes: &Wishes, asked: &[Asked]) -> Result<(), Skip> {
        let mut started = Ok(());
        if wishes.asks_routers() && (self.askers.is_asking() || !asked.is_empty()) {
            let board = Arc::downgrade(&wishes.board);
            let take: Take = Arc::new(move |report| board.upgrade().map(|board| board.post(report)).is_some());
            let begun = self.askers.follow(asked, &Secrets::Files, &take);
            started = begun.map_err(|cause| Skip::from(Error::new("start a thread for", "who is asked", cause)));
        }
        started
    }

    /// Follows what daemons have told, in every network namespace.
    fn follow(&mut self, cx: &Cx<'_>, settings: &Settings) -> Seen {
        let (daemons, keep) = (self.daemons.known(), settings.keep.0);
        self.circles.retain(|socket, _| daemons.iter().any(|daemon| daemon.socket == *socket));
        let mut ospf: Placed<OspfNeighborRow> = Placed::default();
        for (daemon, told) in daemons.iter().filter_map(|daemon| Some((daemon, daemon.told.as_ref()?))) {
            let circle = self.circles.entry(daemon.socket.clone()).or_default();
            circle.follow(daemon, told, keep, cx.mono);
            ospf.add(daemon, circle.rows());
        }
        let Placed { rows: mut neighbors, mut places } = ospf;
        let unheard = daemons.iter().find(|daemon| daemon.tells(Subject::Ospf) && daemon.is_unheard());
        let unheard = unheard.and_then(|daemon| daemon.state.fault.as_ref()).or(self.daemons.denied());
        self.missed.expect(&settings.expect, &mut neighbors, unheard, cx.time);
        // nobody has told of those who are missed
        let nowhere: Place = Path::new("").into();
        places.resize(neighbors.len(), Place::clone(&nowhere));
        let mut placed = |of: Vec<Place>| places.extend(of);
        let bfd = self.bfd.rows(daemons, keep).split(&mut placed);
        let bgp = self.bgp.rows(daemons, keep).split(&mut placed);
        let isis = self.isis.rows(daemons, keep).split(&mut placed);
        let common = neighbors.iter().map(adjacency::of_ospf).chain(bfd.iter().map(adjacency::of_bfd));
        let common = common.chain(bgp.iter().map(adjacency::of_bgp)).chain(isis.iter().map(adjacency::of_isis));
        let common = places.into_iter().zip(common).map(|(place, (row, changes))| (place, row, changes));
        let heard = daemons.iter().filter(|daemon| daemon.told.is_some());
        let heard = heard.map(|daemon| Place::from(daemon.socket.as_path())).chain([nowhere]);
        let heard: BTreeSet<Place> = heard.collect();
        let mut seen = self.chronicle.follow(cx.time, common.collect(), heard).into_iter();
        self.chronicle.attend(cx.time, daemons);
        // what is known is followed all the same: it may come back
        let wishes = &cx.roots.routing;
        let mut adjacencies = Vec::new();
        let neighbors = unknown(wishes, neighbors, &mut seen, &mut adjacencies);
        let bfd = unknown(wishes, bfd, &mut seen, &mut adjacencies);
        let bgp = unknown(wishes, bgp, &mut seen, &mut adjacencies);
        let isis = unknown(wishes, isis, &mut seen, &mut adjacencies);
        Seen { neighbors, bfd, bgp, isis, adjacencies }
    }

    /// There is nobody to ask any more, or never was. What became of adjacencies is told all the same.
    ///
    /// # Errors
    /// Nobody has been there yet.
    fn end(&mut self, cx: &Cx<'_>, settings: &Settings, out: &mut Batch) -> Result<(), Skip> {
        if self.chronicle.is_empty() {
            return Err(self.nobody());
        }
        drop(self.follow(cx, settings));
        out.push_again(AdjacencyChangeRow::TABLE, self.chronicle.changes(&cx.roots.netns));
        let others = ENTRY.tables.iter().filter(|table| table.name != AdjacencyChangeRow::TABLE.name);
        for table in others.filter(|table| !table.attrs.demand || cx.wants.table(table).is_some()) {
            out.skip(table, &self.nobody());
        }
        Ok(())
    }

    /// Why there is nobody to ask.
    fn nobody(&self) -> Skip {
        match self.daemons.denied() {
            Some(error) => Skip::from(error.again()).hint(JOIN),
            None => Skip::absent("find control sockets below /run: no daemon of FRR, Quagga or BIRD is here"),
        }
    }

    /// Says which daemons are not for this user, and what had no room.
    fn tell_partly(&self, wanted: Wanted, out: &mut Batch) {
        let daemons = self.daemons.known();
        let is_denied = |daemon: &&Daemon| daemon.state.standing == Standing::Denied && daemon.has_socket();
        let denied = daemons.iter().filter(is_denied);
        let denied = denied.filter_map(|daemon| daemon.state.fault.as_ref()).chain(self.daemons.denied()).next();
        if let Some(error) = denied {
            out.partly(RoutingDaemonRow::TABLE, &Skip::from(error.again()).hint(JOIN));
        }
        out.left_out(RoutingDaemonRow::TABLE, self.daemons.left_out(), MOST, "daemons");
        let untold = |of: fn(&Database) -> Option<&Error>| daemons.iter().find_map(|daemon| of(&daemon.database));
        for (table, is_wanted, fault) in [
            (OspfLinkRow::TABLE, wanted.links, untold(|database| database.links.fault.as_ref())),
            (OspfLsaRow::TABLE, wanted.lsas, untold(|database| database.lsas.fault.as_ref())),
        ] {
            if let Some(error) = fault.filter(|_| is_wanted) {
                out.partly(table, &Skip::from(error.again()));
            }
        }
        let unread = |of: fn(&Database) -> usize| daemons.iter().map(|daemon| of(&daemon.database)).sum();
        let links = unread(|database| database.links.all.left_out());
        out.left_out(OspfLinkRow::TABLE, links, database::MOST, "links of a daemon");
        let unasked = daemons.iter().filter_map(|daemon| daemon.told.as_ref()).map(|told| told.unasked).sum();
        out.left_out(OspfNeighborRow::TABLE, unasked, MAX_PROTOCOLS, "protocols of a daemon");
        let lsas = if wanted.lsas { unread(|database| database.lsas.all.left_out()) } else { 0 };
        out.left_out(OspfLsaRow::TABLE, lsas, source::MOST, "LSAs of a daemon");
        let left_out = |of: fn(&Told) -> usize| daemons.iter().filter_map(|daemon| daemon.told.as_ref()).map(of).sum();
        for (table, count, what) in [
            (OspfNeighborRow::TABLE, left_out(|told| told.neighbors.left_out()), "neighbors of a daemon"),
            (OspfInterfaceRow::TABLE, left_out(|told| told.interfaces.left_out()), "interfaces of a daemon"),
            (OspfAreaRow::TABLE, left_out(|told| told.areas.left_out()), "areas of a daemon"),
            (
                OspfRouteRow::TABLE,
                daemons.iter().map(|daemon| daemon.routes.left_out()).sum(),
                "numbers of routes of a daemon",
            ),
            (BfdPeerRow::TABLE, left_out(|told| told.bfd.left_out()), "sessions of a daemon"),
            (BgpPeerRow::TABLE, left_out(|told| told.bgp.left_out()), "peers of a daemon"),
            (IsisAdjacencyRow::TABLE, left_out(|told| told.isis.left_out()), "adjacencies of a daemon"),
        ] {
            out.left_out(table, count, ospf::MOST, what);
        }
    }
}

/// Leaves out rows of those who have gone where somebody knows that, and what they have in common with others, which comes in
/// the same order.
fn unknown<R: Departs>(
    wishes: &Wishes,
    rows: Vec<R>,
    common: &mut impl Iterator<Item = AdjacencyRow>,
    left: &mut Vec<AdjacencyRow>,
) -> Vec<R> {
    let kept = rows.into_iter().zip(common).filter(|(row, _)| !gone::is_acknowledged(wishes, row));
    let (rows, common): (Vec<R>, Vec<AdjacencyRow>) = kept.unzip();
    left.extend(common);
    rows
}

/// Rows for which something is so.
fn only<R>(mut rows: Vec<R>, is_so: impl Fn(&R) -> bool) -> Vec<R> {
    rows.retain(is_so);
    rows
}

/// What to do when a socket is not for this user.
const JOIN: &str = "run as root, or make this user a member of the groups frrvty and bird";

fn row(daemon: &Daemon) -> RoutingDaemonRow {
    RoutingDaemonRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        name: daemon.instance.clone(),
        socket: Text::from(daemon.socket.as_path()),
        state: daemon.state.standing,
        since: daemon.state.since,
        version: daemon.version.clone(),
        pid: daemon.pid,
        neighbors: daemon.told.as_ref().map(Told::neighbors),
        reason: reason(daemon),
    }
}

/// Why a daemon is not up, or tells of nobody.
fn reason(daemon: &Daemon) -> Option<Text> {
    let fault = daemon.state.fault.as_ref().map(|error| Text::from(error.to_string()));
    fault.or_else(|| daemon.told.as_ref()?.excuse.clone())
}

/// Name of what told something: the daemon, or the protocol of a daemon that has several.
fn name_of(daemon: &Daemon, protocol: Option<&Text>) -> Text {
    match protocol {
        None => daemon.instance.clone(),
        Some(protocol) if daemon.instance.as_str() == "bird" => protocol.clone(),
        Some(protocol) => Text::from(format!("{}/{protocol}", daemon.instance)),
    }
}

/// The same of a place in it.
fn instance(daemon: &Daemon, place: &ospf::Place) -> Text {
    name_of(daemon, place.instance.as_ref())
}

/// When a daemon told something last; `None` while it answers.
fn stale(daemon: &Daemon) -> Option<Timestamp> {
    daemon.told.as_ref().filter(|_| !daemon.state.is_up()).map(|told| told.at)
}

/// Everything of one kind that daemons have told, with when.
fn told<'a, T: 'a>(
    daemons: &'a [&'a Daemon],
    of: fn(&Told) -> &Bounded<T>,
) -> impl Iterator<Item = (&'a Daemon, Timestamp, &'a T)> {
    let with = daemons.iter().filter_map(|daemon| Some((*daemon, daemon.told.as_ref()?)));
    with.flat_map(move |(daemon, told)| of(told).kept().iter().map(move |one| (daemon, told.at, one)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collect::Wants;
    use crate::model::{Cell, Mono, Owners, State};
    use crate::source::file::Roots;
    use crate::source::routing::peer::{BgpPeer, BgpState};

    #[test]
    fn when_the_last_daemon_has_gone_the_log_stays() {
        let place = tempfile::tempdir().unwrap();
        let roots = Roots { live: true, ..Roots::recorded(place.path()) };
        let (wants, owners) = (Wants::default(), Owners::default());
        let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
        let mut collector = RoutingCollector::default();
        assert!(matches!(collector.collect(&cx, &mut Batch::default()), Err(Skip::Absent(_))), "nobody was ever there");
        let mut told = Told::new(cx.time);
        let (peer, state) = (Text::from("10.0.12.2"), Some(BgpState::Established));
        told.bgp.push(BgpPeer { peer, state, ..BgpPeer::default() });
        let mut daemon = Daemon::testing("/run/frr/bgpd.vty", cx.time);
        daemon.told = Some(told);
        let Placed { rows, places } = Sessions::<BgpPeerRow>::default().rows(&[daemon], Duration::from_hours(1));
        let heard: BTreeSet<Place> = places.iter().cloned().collect();
        let seen = rows.iter().zip(places).map(|(row, place)| {
            let (row, changes) = adjacency::of_bgp(row);
            (place, row, changes)
        });
        collector.chronicle.follow(cx.time, seen.collect(), heard.clone());
        collector.chronicle.follow(cx.time, Vec::new(), heard);
        for _ in 0..2 {
            let mut out = Batch::default();
            collector.collect(&cx, &mut out).unwrap();
            let log = out.rows(AdjacencyChangeRow::TABLE).unwrap();
            let cell = |column: &str| log.cell(0, AdjacencyChangeRow::TABLE.position(column).unwrap());
            assert_eq!((log.len(), cell("before"), cell("after")), (1, Cell::Text("Established"), Cell::Missing));
            let neighbors = out.into_tables().into_iter().find(|(table, _)| table.name == OspfNeighborRow::TABLE.name);
            assert_eq!(neighbors.unwrap().1.err().unwrap().state, State::Absent);
        }
    }
}
