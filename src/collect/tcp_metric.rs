//! What does the kernel remember of the hosts with which it spoke TCP?
//!
//! It begins new connections with that. There may be very many, so that they are read only while somebody looks.

use std::collections::HashMap;
use std::net::IpAddr;

use super::address::steady;
use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Text, Timestamp};
use crate::source::netlink::generic::Generic;
use crate::source::netlink::tcp_metrics::{self, Metrics};
use crate::table;

table! {
    /// What the kernel remembers of one host with which it spoke TCP. What it has not noted is missing.
    ///
    /// Source: genetlink family `tcp_metrics`, `include/uapi/linux/tcp_metrics.h`.
    pub struct TcpMetricRow = "tcp_metric" { title: Some("TCP metrics"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// The other host.
        Id(None) destination: IpAddr { label: true },
        /// Address of this host.
        Id(None) source: Option<IpAddr>,
        /// When it was noted.
        Gauge(None) updated: Option<Timestamp>,
        /// How long an answer takes.
        Gauge(Seconds) rtt: Option<f64> { top: true },
        /// How much that differs.
        Gauge(Seconds) rttvar: Option<f64>,
        /// Congestion window.
        Gauge(Packets) cwnd: Option<u32>,
        /// Window from which on it grows slowly.
        Gauge(Packets) ssthresh: Option<u32>,
        /// Packets that may overtake each other.
        Gauge(Packets) reordering: Option<u32> { wide: true },
        /// Largest segment for data in the first packet.
        Gauge(Bytes) fastopen_mss: Option<u32> { exact: true, wide: true },
        /// First packets with data that were lost.
        Gauge(Packets) fastopen_drops: Option<u32> { wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "tcp_metric",
    tables: &[TcpMetricRow::TABLE],
    interval: EVERY_SECOND,
    // there may be very many
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<TcpMetricCollector>::default(),
};

/// Hosts that become rows.
const MAX_HOSTS: usize = 1 << 16;

/// What a host is known by.
type Key = (Text, IpAddr, Option<IpAddr>);

#[derive(Default)]
struct TcpMetricCollector {
    families: Everywhere<Generic>,
    /// Times of the last sample: the kernel tells ages, which are other numbers each time.
    before: HashMap<Key, Timestamp>,
}

impl Collect for TcpMetricCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("metrics are asked for over netlink, which a recorded tree has not"));
        }
        let (mut portion, before) = (Portion::of(cx, MAX_HOSTS), &self.before);
        if portion.is_none() {
            return Ok(());
        }
        let open = || Generic::open(tcp_metrics::FAMILY);
        let troubles = self.families.read(cx, open, |netns, family| {
            Portion::add(&mut portion, || {
                let found = tcp_metrics::metrics(family, MAX_HOSTS)?;
                let rows = found.kept().iter().map(|metrics| row(netns, metrics, before, cx.time));
                Ok((rows.collect(), found.left_out()))
            })
        })?;
        let rows = portion.iter_mut().flat_map(Portion::rows_mut);
        self.before = rows.filter_map(|row| Some((key(row), row.updated?))).collect();
        tell(portion, cx, out, &troubles, "the kernel remembers nothing")
    }
}

fn key(row: &TcpMetricRow) -> Key {
    (row.netns.clone(), row.destination, row.source)
}

fn row(netns: &Text, metrics: &Metrics, before: &HashMap<Key, Timestamp>, now: Timestamp) -> TcpMetricRow {
    let ago = |milliseconds: u64| {
        let age = i64::try_from(milliseconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        Timestamp(now.0.saturating_sub(age))
    };
    let mut row = TcpMetricRow {
        netns: netns.clone(),
        destination: metrics.destination,
        source: metrics.source,
        updated: metrics.age.map(ago),
        rtt: metrics.rtt.map(|eighths| f64::from(eighths >> 3) / 1e6),
        rttvar: metrics.rttvar.map(|quarters| f64::from(quarters >> 2) / 1e6),
        cwnd: metrics.cwnd,
        ssthresh: metrics.ssthresh,
        reordering: metrics.reordering,
        fastopen_mss: metrics.fastopen_mss.map(u32::from),
        fastopen_drops: metrics.fastopen_drops.map(u32::from),
    };
    row.updated = steady(before.get(&key(&row)).copied(), row.updated);
    row
}
