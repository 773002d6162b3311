//! Which sessions of BGP are there?

use std::net::IpAddr;
use std::time::Duration;

use super::gone::{Departs, Leaver};
use super::session::Session;
use super::{name_of, stale};
use crate::model::{Text, Timestamp};
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::ospf::BfdState;
use crate::source::routing::peer::{BgpPeer, BgpState};
use crate::source::routing::told::Told;
use crate::table;

table! {
    /// One session of BGP, established or not. What a daemon does not tell is missing: BIRD no messages and no counts of what
    /// became of the session, and before version 2.16 of what began 20 hours ago the day only, where its `timeformat` says no more; then
    /// that is put at its beginning. What has gone has the state `Deleted` for as long as `[routing]` of the configuration says.
    ///
    /// Source: `show bgp neighbors json` of FRR, `show protocols all` of BIRD; RFC 4271, section 8.2.2.
    pub struct BgpPeerRow = "bgp_peer" { title: Some("BGP peers") } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is known from.
        Id(None) source: Source { wide: true },
        /// The daemon, or its protocol.
        Id(None) instance: Text,
        /// Virtual router (VRF) that it belongs to.
        Id(None) vrf: Option<Text> { several: true },
        /// Address of the other end, or the interface behind which it is to be found.
        Id(None) peer: Text { label: true },
        /// How the other end calls itself.
        Text(None) name: Option<Text>,
        /// What it was called in the configuration of the daemon.
        Text(None) description: Option<Text> { wide: true },
        /// Autonomous system of the other end.
        Gauge(None) remote_as: Option<u64> { exact: true, title: Some("AS") },
        /// Autonomous system of this end.
        Gauge(None) local_as: Option<u64> { exact: true, wide: true },
        /// Number of the other end, written as an address.
        Text(None) router_id: Option<IpAddr> { wide: true },
        /// Own address.
        Text(None) local_address: Option<IpAddr> { wide: true },
        /// How far the session has come.
        Text(None) state: Option<BgpState>,
        /// Since when it has been in this state; of one that is not established, since when it has not been.
        Gauge(None) since: Option<Timestamp>,
        /// Kinds of addresses that are exchanged.
        Text(None) families: Option<Text> { wide: true },
        /// Prefixes that were accepted, of all kinds of addresses.
        Gauge(None) accepted: Option<u64>,
        /// Prefixes that the other end was told, of all kinds of addresses.
        Gauge(None) sent: Option<u64>,
        /// Messages that came.
        Counter(Packets) received_messages: Option<u64> { wide: true },
        /// Messages that were sent.
        Counter(Packets) sent_messages: Option<u64> { wide: true },
        /// How often it was established.
        Counter(Events) established: Option<u64> { total: true, wide: true },
        /// How often it was lost.
        Counter(Events) dropped: Option<u64> { total: true },
        /// Time without a message after which it is lost.
        Gauge(Seconds) hold: Option<Duration> { wide: true },
        /// What bidirectional forwarding detection says of the other end.
        Text(None) bfd: Option<BfdState> { title: Some("BFD") },
        /// Why it was lost last.
        Text(None) reason: Option<Text> { last: true },
        /// Since when its daemon has told nothing more.
        Gauge(None) stale: Option<Timestamp>,
    }
}

type Key = (Text, Option<Text>, Text);

impl Session for BgpPeerRow {
    type State = BgpState;

    fn told(daemon: &Daemon, told: &Told) -> Vec<(Self, bool)> {
        told.bgp.kept().iter().map(|peer| (row(daemon, peer), peer.is_dated)).collect()
    }

    fn state(&self) -> Option<BgpState> {
        self.state
    }

    fn since(&mut self) -> &mut Option<Timestamp> {
        &mut self.since
    }
}

impl Departs for BgpPeerRow {
    fn gone(&self) -> Option<Timestamp> {
        self.since.filter(|_| self.state == Some(BgpState::Deleted))
    }
}

impl Leaver for BgpPeerRow {
    type Key = Key;

    fn key(&self) -> Key {
        (self.instance.clone(), self.vrf.clone(), self.peer.clone())
    }

    fn leave(&mut self, at: Timestamp) {
        (self.state, self.since) = (Some(BgpState::Deleted), Some(at));
        (self.accepted, self.sent, self.hold, self.bfd) = (None, None, None, None);
    }

    fn follow(&mut self, daemon: &Daemon, stale: Option<Timestamp>) {
        self.netns.clone_from(&daemon.netns);
        self.stale = stale;
    }
}

fn row(daemon: &Daemon, peer: &BgpPeer) -> BgpPeerRow {
    BgpPeerRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        instance: name_of(daemon, peer.instance.as_ref()),
        vrf: peer.vrf.clone(),
        peer: peer.peer.clone(),
        name: peer.name.clone(),
        description: peer.description.clone(),
        remote_as: peer.remote_as,
        local_as: peer.local_as,
        router_id: peer.router,
        local_address: peer.local,
        state: peer.state,
        since: peer.since,
        families: peer.families.clone(),
        accepted: peer.accepted,
        sent: peer.sent,
        received_messages: peer.received_messages,
        sent_messages: peer.sent_messages,
        established: peer.established,
        dropped: peer.dropped,
        hold: peer.hold,
        bfd: peer.bfd,
        reason: peer.reason.clone(),
        stale: stale(daemon),
    }
}
