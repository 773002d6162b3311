//! Which flows does a bridge of Open vSwitch have, and what do they count?
//!
//! They are asked for over OpenFlow while somebody looks, of the bridges that readers want to see. Of very many those that carried
//! the most become rows, and only of those is text made.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::address::steady;
use super::ovs::told;
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip, Want};
use crate::model::{Text, Timestamp, Value};
use crate::source::bounded::Largest;
use crate::source::ovs::flow::{FLAGS, Flow};
use crate::source::ovs::switch::{Bridge, Switches};
use crate::source::ovs::text::{Names, actions, matching};
use crate::table;

table! {
    /// One flow of an Open vSwitch bridge. Of more than 65536 those have rows that carried the most.
    ///
    /// Source: `OFPMP_FLOW` of OpenFlow 1.3 to 1.5; fields and actions are written as by `ovs-ofctl --names dump-flows`.
    pub struct OvsFlowRow = "ovs_flow" { title: Some("Open vSwitch flows"), demand: true } {
        /// Network namespace of the process: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Option<Text> { several: true },
        /// Socket of the database.
        Id(None) socket: Text { wide: true },
        /// Bridge that it belongs to.
        Id(None) bridge: Text,
        /// Number of its table.
        Id(None) table: u32 { exact: true },
        /// Which of several that a packet fits is taken: that with the most.
        Id(None) priority: u32 { exact: true, title: Some("prio") },
        /// What a packet must be; nothing where any will do.
        Id(None) fields: Text { label: true, title: Some("match") },
        /// A number that its maker has given it.
        Text(None) cookie: Text { wide: true },
        /// What becomes of the packet.
        Text(None) actions: Text { last: true },
        /// Packets that it fitted.
        Counter(Packets) packets: Option<u64>,
        /// Bytes of those.
        Counter(Bytes) bytes: Option<u64> { traffic: true, top: true },
        /// When it was made.
        Gauge(None) since: Option<Timestamp>,
        /// Time without a packet after which it goes; missing for one that stays.
        Gauge(Seconds) idle_timeout: Option<f64> { title: Some("idle"), wide: true },
        /// Time after which it goes; missing for one that stays.
        Gauge(Seconds) hard_timeout: Option<f64> { title: Some("hard"), wide: true },
        /// What else is said of it, such as `send_flow_rem`.
        Text(None) flags: Option<Text> { wide: true },
        /// Which of several goes first where there is no room: that with the least.
        Gauge(None) importance: Option<u32> { exact: true, wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "ovs_flow",
    tables: &[OvsFlowRow::TABLE],
    interval: EVERY_SECOND,
    // a process may be stopped
    blocks: true,
    // in which network namespace it is
    needs: super::OTHERS_PROCESSES,
    make: || Box::<FlowCollector>::default(),
};

/// Flows that become rows.
const MAX_FLOWS: usize = 1 << 16;

#[derive(Default)]
struct FlowCollector {
    switches: Switches,
    /// When the flows of the last sample were made: that is told by an age, which is another one each time.
    since: HashMap<u64, Timestamp>,
}

impl Collect for FlowCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let Some(want) = cx.wants.table(OvsFlowRow::TABLE) else {
            *self = Self::default();
            return Ok(());
        };
        if !cx.roots.live {
            return Err(Skip::absent("a recorded host has no Open vSwitch to ask"));
        }
        self.switches.meet(cx.roots, &cx.roots.routing.now(), cx.time);
        if self.switches.known().is_empty() {
            return Err(Skip::absent("find openvswitch/db.sock below /run: no Open vSwitch is here"));
        }
        let mut found = Found::new(cx, &self.since, want);
        for switch in self.switches.known_mut() {
            if let Some(error) = &switch.state.fault {
                out.partly(OvsFlowRow::TABLE, &told(error));
            }
            let socket = Text::from(switch.socket.as_path());
            for bridge in &mut switch.bridges {
                found.add(cx, &socket, bridge);
                if let Some(error) = &bridge.state.fault {
                    out.partly(OvsFlowRow::TABLE, &told(error));
                }
            }
        }
        let rows = found.flows.take();
        out.left_out(OvsFlowRow::TABLE, found.seen.saturating_sub(rows.len()), MAX_FLOWS, "flows");
        self.since = rows.iter().filter_map(|(key, row)| Some((*key, row.since?))).collect();
        out.push(rows.into_iter().map(|(_, row)| row).collect());
        Ok(())
    }

    fn is_cheap_to_find(&self) -> bool {
        true
    }
}

/// What was found on all bridges.
struct Found<'a> {
    now: Timestamp,
    before: &'a HashMap<u64, Timestamp>,
    /// Bridges outside which no reader keeps a row.
    only: Option<Vec<Value>>,
    flows: Largest<u64, (u64, OvsFlowRow)>,
    seen: usize,
}

impl<'a> Found<'a> {
    fn new(cx: &Cx<'_>, before: &'a HashMap<u64, Timestamp>, want: &Want) -> Self {
        let only = want.only().remove("bridge");
        Self { now: cx.time, before, only, flows: Largest::new(MAX_FLOWS), seen: 0 }
    }

    fn add(&mut self, cx: &Cx<'_>, socket: &Text, bridge: &mut Bridge) {
        let name = Value::Text(bridge.said.name.clone());
        let is_wanted = self.only.as_ref().is_none_or(|only| only.contains(&name));
        if !is_wanted || !cx.roots.netns.shows(bridge.netns.as_deref()) {
            return;
        }
        let place = Place {
            netns: bridge.netns.clone(),
            socket: socket.clone(),
            bridge: bridge.said.name.clone(),
            names: bridge.said.ports.iter().filter_map(|port| Some((port.number?, port.interface.clone()))).collect(),
        };
        bridge.flows(cx.time, |flow| {
            self.seen += 1;
            // one that is not counted comes last
            let score = flow.bytes.map_or(0, |bytes| bytes.saturating_add(1));
            if self.flows.has_room(score)
                && let Some(row) = self.row(&place, &flow)
            {
                self.flows.offer(score, row);
            }
        });
    }

    fn row(&self, place: &Place, flow: &Flow<'_>) -> Option<(u64, OvsFlowRow)> {
        let mut hasher = DefaultHasher::new();
        (&place.socket, &place.bridge, flow.table, flow.priority, flow.fields).hash(&mut hasher);
        let key = hasher.finish();
        let since = flow.age.map(|age| {
            let age = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            Timestamp(self.now.0.saturating_sub(age))
        });
        let after = |seconds: u16| (seconds > 0).then_some(f64::from(seconds));
        let words = FLAGS.iter().filter(|(bit, _)| flow.flags & bit != 0).map(|(_, word)| *word);
        let words = words.collect::<Vec<_>>().join(" ");
        let row = OvsFlowRow {
            netns: place.netns.clone(),
            socket: place.socket.clone(),
            bridge: place.bridge.clone(),
            table: u32::from(flow.table),
            priority: u32::from(flow.priority),
            fields: Text::long(matching(flow.fields, &place.names)?.as_bytes()),
            cookie: Text::from(format!("{:#x}", flow.cookie)),
            actions: Text::long(actions(flow.instructions, &place.names)?.as_bytes()),
            packets: flow.packets,
            bytes: flow.bytes,
            since: steady(self.before.get(&key).copied(), since),
            idle_timeout: after(flow.idle),
            hard_timeout: after(flow.hard),
            flags: (!words.is_empty()).then(|| Text::from(words)),
            importance: (flow.importance > 0).then_some(u32::from(flow.importance)),
        };
        Some((key, row))
    }
}

/// Where flows are.
struct Place {
    netns: Option<Text>,
    socket: Text,
    bridge: Text,
    names: Names,
}
