//! Which connections go through this host, and what do they carry?
//!
//! Only while somebody looks: the kernel walks its whole table for it. Connections are decoded where the kernel's message
//! lies, and of very many only those become rows that come first in the order that a reader wants, so that memory does not
//! grow with what strangers open. A network namespace without connections is not asked. Those that are expected are asked for
//! on the same socket.

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;
use std::time::Duration;

use super::address::steady;
use super::conntrack::not_loaded;
use super::{Batch, Capabilities, Collect, Cx, Entry, MAX_PARTS, Reason, Skip};
use crate::model::{Guests, Text, Timestamp};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::conntrack::expect::{Expectation, expectations};
use crate::source::conntrack::flow::{self, Flow, Only, Phase};
use crate::source::netlink::{Request, Socket};
use crate::source::netns::{self, Rooms, Troubles};
use crate::{label, table};

pub mod expect;
pub mod group;
mod known;
mod narrow;
mod owner;
mod process;
mod ranked;
mod room;
#[cfg(test)]
mod testing;
mod uncounted;
mod words;

use expect::ConntrackExpectRow;
use group::{ConntrackGroupRow, GroupBy, Groups, Lack, MAX_GROUPS};
use narrow::Narrow;
use process::Processes;
use ranked::Ranked;
use room::Room;
use uncounted::uncounted;
pub(super) use words::protocol;
use words::{nat, numbers, offload, words, zone};

label! {
    /// State of a connection of TCP or SCTP.
    pub enum FlowState {
        None = "none",
        SynSent = "syn_sent",
        SynReceived = "syn_received",
        SynSent2 = "syn_sent_2",
        Established = "established",
        FinWait = "fin_wait",
        CloseWait = "close_wait",
        LastAck = "last_ack",
        TimeWait = "time_wait",
        Closed = "closed",
        CookieWait = "cookie_wait",
        CookieEchoed = "cookie_echoed",
        ShutdownSent = "shutdown_sent",
        ShutdownReceived = "shutdown_received",
        ShutdownAckSent = "shutdown_ack_sent",
        HeartbeatSent = "heartbeat_sent",
        HeartbeatAcked = "heartbeat_acked",
    }
}

impl FlowState {
    fn of(phase: Phase) -> Option<Self> {
        let (states, number): (&[Self], u8) = match phase {
            Phase::Tcp(number) => (&TCP, number),
            Phase::Sctp(number) => (&SCTP, number),
        };
        states.get(usize::from(number)).copied()
    }
}

/// In the order of `TCP_CONNTRACK_*`.
const TCP: [FlowState; 10] = [
    FlowState::None,
    FlowState::SynSent,
    FlowState::SynReceived,
    FlowState::Established,
    FlowState::FinWait,
    FlowState::CloseWait,
    FlowState::LastAck,
    FlowState::TimeWait,
    FlowState::Closed,
    FlowState::SynSent2,
];

/// In the order of `SCTP_CONNTRACK_*`.
const SCTP: [FlowState; 10] = [
    FlowState::None,
    FlowState::Closed,
    FlowState::CookieWait,
    FlowState::CookieEchoed,
    FlowState::Established,
    FlowState::ShutdownSent,
    FlowState::ShutdownReceived,
    FlowState::ShutdownAckSent,
    FlowState::HeartbeatSent,
    FlowState::HeartbeatAcked,
];

label! {
    /// Which addresses of a connection are translated.
    pub enum FlowNat { None = "none", Source = "source", Destination = "destination", Both = "both" }
}

label! {
    /// What forwards a connection instead of the rules.
    pub enum FlowOffload { None = "none", Software = "software", Hardware = "hardware" }
}

table! {
    /// One tracked connection. Of more than 16384 those have rows that come first in the order that is asked for, or carried the
    /// most since the last look.
    ///
    /// Packets and bytes are missing unless `nf_conntrack_acct` was on when the connection began, and so is its beginning
    /// without `nf_conntrack_timestamp`. What is forwarded has no process.
    ///
    /// Source: ctnetlink `IPCTNL_MSG_CT_GET`, `include/uapi/linux/netfilter/nfnetlink_conntrack.h`; sock_diag; `/proc/PID/fd`.
    pub struct ConntrackFlowRow = "conntrack_flow" { title: Some("Connections"), demand: true, history: History::Top } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// The kernel's number for it, as `conntrack -o id` prints it.
        Id(None) id: u32 { exact: true, wide: true },
        /// Protocol, or its number.
        Id(None) protocol: Text { title: Some("proto") },
        /// Who sent the first packet.
        Id(None) source: IpAddr { label: true },
        /// Port that it was sent from, or key of a tunnel.
        Id(None) source_port: Option<u32> { exact: true, title: Some("sport") },
        /// Where it was sent to, before any translation.
        Id(None) destination: IpAddr,
        /// Port that it was sent to, or key of a tunnel.
        Id(None) destination_port: Option<u32> { exact: true, title: Some("dport") },
        /// Type of the first message of ICMP.
        Id(None) icmp_type: Option<u32> { exact: true, wide: true },
        /// Code of the first message of ICMP.
        Id(None) icmp_code: Option<u32> { exact: true, wide: true },
        /// Identifier of the first message of ICMP.
        Id(None) icmp_id: Option<u32> { exact: true, wide: true },
        /// State, where the protocol has any.
        Text(None) state: Option<FlowState>,
        /// Flags in the words of `conntrack -L`.
        Text(None) status: Text,
        /// Which of its addresses are translated.
        Text(None) nat: FlowNat,
        /// Who answers, after any translation.
        Text(None) reply_source: IpAddr { title: Some("answers from") },
        /// Port that answers come from, or key of a tunnel.
        Gauge(None) reply_source_port: Option<u32> { exact: true, wide: true },
        /// Where answers are sent to.
        Text(None) reply_destination: IpAddr { title: Some("answers to") },
        /// Port that answers are sent to, or key of a tunnel.
        Gauge(None) reply_destination_port: Option<u32> { exact: true, wide: true },
        /// Type of answers of ICMP.
        Gauge(None) reply_icmp_type: Option<u32> { exact: true, wide: true },
        /// Code of answers of ICMP.
        Gauge(None) reply_icmp_code: Option<u32> { exact: true, wide: true },
        /// Identifier of answers of ICMP.
        Gauge(None) reply_icmp_id: Option<u32> { exact: true, wide: true },
        /// Packets in the direction of the first one.
        Counter(Packets) packets: Option<u64> { wide: true },
        /// Data in the direction of the first packet, headers included.
        Counter(Bytes) bytes: Option<u64> { traffic: true, top: true },
        /// Packets of the answers.
        Counter(Packets) reply_packets: Option<u64> { wide: true },
        /// Data of the answers, headers included.
        Counter(Bytes) reply_bytes: Option<u64> { traffic: true, title: Some("answered") },
        /// Mark that rules gave it.
        Gauge(None) mark: Option<u32> { exact: true },
        /// Labels that rules gave it, by number.
        Text(None) labels: Option<Text> { wide: true },
        /// Zone of the original direction, 0 unless rules say otherwise.
        Gauge(None) zone: u32 { exact: true, wide: true },
        /// Zone of the answers, 0 unless rules say otherwise.
        Gauge(None) reply_zone: u32 { exact: true, wide: true },
        /// Helper that looks into it for further connections.
        Text(None) helper: Option<Text> { wide: true },
        /// What forwards it past the rules.
        Text(None) offload: FlowOffload { wide: true },
        /// Guest that has an end of it, of two the one that began it; known by the address.
        Text(None) vm: Option<Text>,
        /// Guest that has the other end, if both are guests'.
        Text(None) reply_vm: Option<Text> { wide: true },
        /// First process of this host that has a socket of it, of two the one that began it.
        Gauge(None) pid: Option<u32> { demand: true },
        /// Name of that process.
        Text(None) process: Option<Text> { demand: true },
        /// When it began.
        Gauge(None) start: Option<Timestamp> { wide: true },
        /// When it is forgotten unless it carries something; missing for one that is offloaded.
        Gauge(None) expires: Option<Timestamp> { until: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "conntrack_flow",
    tables: &[ConntrackFlowRow::TABLE, ConntrackGroupRow::TABLE, ConntrackExpectRow::TABLE],
    interval: Duration::from_secs(2),
    // the kernel walks every connection, and there may be a million
    blocks: true,
    needs: Capabilities::NET_ADMIN.union(super::OTHERS_PROCESSES),
    make: || Box::<FlowCollector>::default(),
};

/// Connections that become rows, and as many that are expected.
const MAX_ROWS: usize = 1 << 14;

#[derive(Default)]
struct FlowCollector {
    /// Dropped after an error, so that the next sample starts with a fresh one.
    own: Option<Room>,
    others: Rooms<Room>,
    ranked: Ranked,
    /// While somebody wants to know them.
    processes: Option<Processes>,
    groups: Groups,
    /// Ends of the last sample, which the kernel counts down in whole seconds.
    expires: Ends,
    /// The same of those that are expected.
    expected: Ends,
    hasher: RandomState,
}

/// When what has an identity in a network namespace ends.
type Ends = HashMap<(Text, u64), Timestamp>;

/// One look at all network namespaces.
struct Look<'a> {
    /// Of those that were looked at.
    names: Vec<Text>,
    flows: Option<(&'a mut Ranked, Narrow)>,
    groups: Option<(&'a mut Groups, &'a [GroupBy])>,
    guests: &'a Guests,
    expected: Option<Bounded<(usize, Expectation)>>,
}

impl Look<'_> {
    /// Looks at a network namespace with about so many connections.
    fn take(&mut self, netns: Text, socket: &mut Socket, count: u64) -> Result<(), Error> {
        let place = self.names.len();
        let mut pass = self.groups.as_mut().map(|(groups, by)| groups.enter(&netns, by, self.guests, count));
        // one dump is enough for both
        let passed = match (&mut self.flows, &mut pass) {
            (Some((ranked, _)), Some(pass)) => ranked.add(place, count, |give| {
                flow::flows(socket, &every(), |glimpse| pass.add(glimpse).and_then(|()| give(glimpse)))
            }),
            (Some((ranked, narrow)), None) => {
                ranked.add(place, count, |give| flow::flows(socket, &narrow.request(), give))
            }
            (None, Some(pass)) => flow::flows(socket, &every(), |glimpse| pass.add(glimpse)),
            (None, None) => Ok(()),
        };
        if let (Err(_), Some((groups, _))) = (&passed, &mut self.groups) {
            groups.leave(&netns);
        }
        self.names.push(netns);
        passed?;
        if let Some(expected) = &mut self.expected {
            let before = expected.mark();
            let taken = expectations(socket, |expectation| match expectation {
                Some(expectation) => expected.push((place, expectation)),
                None => expected.back_to(before),
            });
            taken.inspect_err(|_| expected.back_to(before))?;
        }
        Ok(())
    }
}

impl Collect for FlowCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("connections are asked over netlink, which a recorded tree has not"));
        }
        let (wants, guests) = (|table| cx.wants.table(table).is_some(), &cx.owners.guests);
        let by = cx.wants.table(ConntrackGroupRow::TABLE).map(|want| GroupBy::named(want.ids.iter()));
        let mut known = std::mem::take(&mut self.groups);
        let groups = by.as_deref().filter(|by| !by.is_empty()).map(|by| (&mut known, by));
        let flows = cx.wants.table(ConntrackFlowRow::TABLE).map(|want| {
            self.ranked.begin(&want.parts, guests, MAX_ROWS);
            (&mut self.ranked, Narrow::of(&want.only(), guests))
        });
        let expected = wants(ConntrackExpectRow::TABLE).then(|| Bounded::new(MAX_ROWS));
        let mut look = Look { names: Vec::new(), flows, groups, guests, expected };
        if cx.roots.netns.has_host() {
            let mut room = self.own.take().map_or_else(Room::open, Ok).map_err(not_loaded)?;
            let count = room.count.read().map_err(not_loaded)?;
            room.here().and_then(|socket| look.take(netns::host(), socket, count)).map_err(refused)?;
            self.own = Some(room);
        }
        let troubles = self.others.read(&cx.roots.netns, Room::open, |netns, room| match room.count.read()? {
            0 => Ok(()),
            count => look.take(netns.clone(), room.there()?, count),
        });
        let Look { names, flows, groups, expected, .. } = look;
        let (flows, groups) = (flows.map(|(ranked, _)| ranked.finish()), groups.map(|(groups, _)| groups.finish()));
        if let Some((flows, left_out)) = flows {
            let mut rows = self.rows(&names, &flows, cx.time);
            owner::add(&flows, &mut rows, guests);
            self.add_processes(&names, &flows, &mut rows, cx, out);
            if let Some(off) = uncounted(rows.iter().map(|row| (&row.netns, row.bytes.is_some()))) {
                out.partly(ConntrackFlowRow::TABLE, &off);
            }
            let without = cx.wants.table(ConntrackFlowRow::TABLE).map_or(0, |want| want.without_part);
            out.left_out(ConntrackFlowRow::TABLE, left_out, MAX_ROWS, &later(without));
            out.push_netns(cx, rows, &troubles)?;
        }
        if let Some((rows, lack)) = groups {
            self.groups = known;
            publish_groups(rows, lack, cx, out, &troubles)?;
        } else if by.is_some() {
            let none = Skip::absent("nobody says what groups have in common");
            out.skip(ConntrackGroupRow::TABLE, &none.hint("say it, for example `by == \"source\"`"));
        }
        if let Some(expected) = expected {
            out.left_out(ConntrackExpectRow::TABLE, expected.left_out(), MAX_ROWS, "expected connections");
            out.push_netns(cx, self.expected_rows(&names, expected.kept(), cx.time), &troubles)?;
        }
        Ok(())
    }

    fn asks(&self) -> &'static [&'static str] {
        &["vm"]
    }
}

fn publish_groups(
    rows: Vec<ConntrackGroupRow>,
    lack: Lack,
    cx: &Cx<'_>,
    out: &mut Batch,
    troubles: &Troubles,
) -> Result<(), Skip> {
    if lack.groups > 0 {
        let words = format!(
            "there are more than {MAX_GROUPS} groups: small ones are left out, others may lack up to {} connections",
            lack.flows
        );
        out.partly(ConntrackGroupRow::TABLE, &Skip::Failed(Reason { error: words.into(), hint: None }));
    }
    if let Some(off) = uncounted(rows.iter().map(|row| (&row.netns, row.bytes.is_some()))) {
        out.partly(ConntrackGroupRow::TABLE, &off);
    }
    out.push_netns(cx, rows, troubles)
}

/// What is left out, if so many readers have neither their own order nor their own filter.
fn later(without: usize) -> String {
    let later = "connections that come later in order";
    match without {
        0 => later.to_owned(),
        _ => format!(
            "{later} (in that of {MAX_PARTS} readers; {without} with another order or filter see of the busiest what is theirs)"
        ),
    }
}

/// Asks for every connection.
fn every() -> Request {
    flow::request(&Only::default())
}

/// Says which capability is lacking.
fn refused(error: Error) -> Skip {
    let denied = error.is_denied();
    let skip = Skip::from(error);
    if denied { skip.hint("run as root, or grant CAP_NET_ADMIN") } else { skip }
}

impl FlowCollector {
    fn rows(&mut self, names: &[Text], flows: &[(usize, Flow)], now: Timestamp) -> Vec<ConntrackFlowRow> {
        let mut ends = HashMap::new();
        let row = |(place, flow): &(usize, Flow)| {
            let key = (names.get(*place)?.clone(), flow.original.identity(flow.id, &self.hasher));
            let row = row(&key.0, flow, now, self.expires.get(&key).copied());
            ends.extend(row.expires.map(|end| (key, end)));
            Some(row)
        };
        let rows = flows.iter().filter_map(row).collect();
        self.expires = ends;
        rows
    }

    /// Says which processes have connections, if anybody wants to know.
    fn add_processes(
        &mut self,
        names: &[Text],
        flows: &[(usize, Flow)],
        rows: &mut [ConntrackFlowRow],
        cx: &Cx<'_>,
        out: &mut Batch,
    ) {
        if !["pid", "process"].iter().any(|column| cx.wants.column(ConntrackFlowRow::TABLE, column)) {
            self.processes = None;
            return;
        }
        let refused = match self.processes.get_or_insert_default().find(cx, names, flows) {
            Ok(found) => {
                for (at, row) in rows.iter_mut().enumerate() {
                    (row.pid, row.process) = found.of(at);
                }
                found.refused
            }
            Err(error) => Some(error),
        };
        if let Some(error) = refused {
            let hint = "processes of other users: run as root, or grant CAP_SYS_PTRACE";
            out.partly(ConntrackFlowRow::TABLE, &Skip::from(error).hint(hint));
        }
    }

    fn expected_rows(
        &mut self,
        names: &[Text],
        expected: &[(usize, Expectation)],
        now: Timestamp,
    ) -> Vec<ConntrackExpectRow> {
        let mut ends = HashMap::new();
        let row = |(place, expectation): &(usize, Expectation)| {
            let key = (names.get(*place)?.clone(), expectation.tuple.identity(expectation.id, &self.hasher));
            let row = expect::row(&key.0, expectation, now, self.expected.get(&key).copied());
            ends.insert(key, row.expires);
            Some(row)
        };
        let rows = expected.iter().filter_map(row).collect();
        self.expected = ends;
        rows
    }
}

/// `before` is when it was to end as of the last sample.
fn row(netns: &Text, flow: &Flow, now: Timestamp, before: Option<Timestamp>) -> ConntrackFlowRow {
    let end = flow.timeout.map(|left| Timestamp(now.0.saturating_add(i64::from(left) * 1_000_000_000)));
    let (original, reply) = (&flow.original, &flow.reply);
    ConntrackFlowRow {
        netns: netns.clone(),
        id: flow.id,
        protocol: protocol(original.protocol),
        source: original.source,
        source_port: original.ports.map(|(port, _)| port.into()),
        destination: original.destination,
        destination_port: original.ports.map(|(_, port)| port.into()),
        icmp_type: original.icmp.map(|icmp| icmp.kind.into()),
        icmp_code: original.icmp.map(|icmp| icmp.code.into()),
        icmp_id: original.icmp.map(|icmp| icmp.id.into()),
        state: flow.phase.and_then(FlowState::of),
        status: words(flow.status),
        nat: nat(flow.status),
        reply_source: reply.source,
        reply_source_port: reply.ports.map(|(port, _)| port.into()),
        reply_destination: reply.destination,
        reply_destination_port: reply.ports.map(|(_, port)| port.into()),
        reply_icmp_type: reply.icmp.map(|icmp| icmp.kind.into()),
        reply_icmp_code: reply.icmp.map(|icmp| icmp.code.into()),
        reply_icmp_id: reply.icmp.map(|icmp| icmp.id.into()),
        packets: flow.carried.map(|carried| carried.packets),
        bytes: flow.carried.map(|carried| carried.bytes),
        reply_packets: flow.answered.map(|answered| answered.packets),
        reply_bytes: flow.answered.map(|answered| answered.bytes),
        mark: flow.mark,
        labels: flow.labels.and_then(|labels| numbers(&labels)),
        zone: zone(flow.zone, original.zone),
        reply_zone: zone(flow.zone, reply.zone),
        helper: flow.helper.map(|name| Text::new(name.split(|byte| *byte == 0).next().unwrap_or(&name))),
        offload: offload(flow.status),
        vm: None,
        reply_vm: None,
        pid: None,
        process: None,
        start: flow.start.and_then(|start| i64::try_from(start).ok()).map(Timestamp),
        expires: steady(before, end),
    }
}
