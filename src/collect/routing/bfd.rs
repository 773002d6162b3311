//! Which sessions of bidirectional forwarding detection are there?

use std::net::IpAddr;
use std::time::Duration;

use super::gone::{Departs, Leaver};
use super::session::Session;
use super::{name_of, stale};
use crate::model::{Text, Timestamp};
use crate::source::routing::daemon::{Daemon, Source};
use crate::source::routing::ospf::BfdState;
use crate::source::routing::peer::BfdPeer;
use crate::source::routing::told::Told;
use crate::table;

table! {
    /// One session of bidirectional forwarding detection. What a daemon does not tell is missing: BIRD no counts and no
    /// reasons, FRR no timeout. Since when a session of BIRD is in its state is told as of BGP.
    /// What has gone has the state `Deleted` for as long as `[routing]` of the configuration says.
    ///
    /// Source: `show bfd peers json` and `show bfd peers counters json` of FRR, `show bfd sessions` of BIRD; RFC 5880,
    /// section 6.
    pub struct BfdPeerRow = "bfd_peer" { title: Some("BFD peers") } {
        /// Network namespace of the daemon: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Which daemons it is known from.
        Id(None) source: Source { wide: true },
        /// The daemon, or its protocol.
        Id(None) instance: Text,
        /// Virtual router (VRF) that it belongs to.
        Id(None) vrf: Option<Text> { several: true },
        /// Interface behind which the other end is.
        Id(None) interface: Option<Text>,
        /// Address of the other end.
        Id(None) address: Option<IpAddr> { label: true },
        /// Own address.
        Id(None) local_address: Option<IpAddr> { wide: true },
        /// Whether there may be routers between the two ends.
        Text(None) multihop: Option<bool> { wide: true },
        /// Whether the ends hear each other.
        Text(None) state: Option<BfdState>,
        /// Since when it has been in this state.
        Gauge(None) since: Option<Timestamp>,
        /// Time between packets that this end wants to send.
        Gauge(Seconds) transmit: Option<Duration>,
        /// Least time between packets that this end can take.
        Gauge(Seconds) receive: Option<Duration> { wide: true },
        /// Packets in a row without which it is down.
        Gauge(None) multiplier: Option<u64> { exact: true, wide: true },
        /// Time without a packet after which it is down.
        Gauge(Seconds) timeout: Option<Duration>,
        /// Packets that came.
        Counter(Packets) received_packets: Option<u64> { wide: true },
        /// Packets that were sent.
        Counter(Packets) sent_packets: Option<u64> { wide: true },
        /// How often it went up.
        Counter(Events) ups: Option<u64> { total: true, wide: true },
        /// How often it went down.
        Counter(Events) downs: Option<u64> { total: true },
        /// Why its state changed, as this end says.
        Text(None) diagnostic: Option<Text> { wide: true },
        /// Why its state changed, as the other end says.
        Text(None) remote_diagnostic: Option<Text> { wide: true },
        /// Since when its daemon has told nothing more.
        Gauge(None) stale: Option<Timestamp>,
    }
}

type Key = (Text, Option<Text>, Option<Text>, Option<IpAddr>, Option<IpAddr>);

impl Session for BfdPeerRow {
    type State = BfdState;

    fn told(daemon: &Daemon, told: &Told) -> Vec<(Self, bool)> {
        told.bfd.kept().iter().map(|peer| (row(daemon, peer), peer.is_dated)).collect()
    }

    fn state(&self) -> Option<BfdState> {
        self.state
    }

    fn since(&mut self) -> &mut Option<Timestamp> {
        &mut self.since
    }
}

impl Departs for BfdPeerRow {
    fn gone(&self) -> Option<Timestamp> {
        self.since.filter(|_| self.state == Some(BfdState::Deleted))
    }
}

impl Leaver for BfdPeerRow {
    type Key = Key;

    fn key(&self) -> Key {
        let (vrf, interface) = (self.vrf.clone(), self.interface.clone());
        (self.instance.clone(), vrf, interface, self.address, self.local_address)
    }

    fn leave(&mut self, at: Timestamp) {
        (self.state, self.since) = (Some(BfdState::Deleted), Some(at));
        (self.transmit, self.receive, self.multiplier, self.timeout) = (None, None, None, None);
    }

    fn follow(&mut self, daemon: &Daemon, stale: Option<Timestamp>) {
        self.netns.clone_from(&daemon.netns);
        self.stale = stale;
    }
}

fn row(daemon: &Daemon, peer: &BfdPeer) -> BfdPeerRow {
    BfdPeerRow {
        netns: daemon.netns.clone(),
        source: daemon.source,
        instance: name_of(daemon, peer.instance.as_ref()),
        vrf: peer.vrf.clone(),
        interface: peer.interface.clone(),
        address: peer.address,
        local_address: peer.local,
        multihop: peer.multihop,
        state: peer.state,
        since: peer.since,
        transmit: peer.transmit,
        receive: peer.receive,
        multiplier: peer.multiplier,
        timeout: peer.timeout,
        received_packets: peer.received,
        sent_packets: peer.sent,
        ups: peer.ups,
        downs: peer.downs,
        diagnostic: peer.diagnostic.clone(),
        remote_diagnostic: peer.remote_diagnostic.clone(),
        stale: stale(daemon),
    }
}
