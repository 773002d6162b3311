//! Which table of routes is asked for which packets?

use crate::collect::conntrack_flow::protocol;
use crate::collect::neighbor::InetFamily;
use crate::model::Text;
use crate::source::Error;
use crate::source::netlink::rule::{self, Rule};
use crate::source::netlink::{Socket, words};
use crate::{label, table};
use std::net::IpAddr;

label! {
    /// What is done with packets that a rule is for.
    pub enum RuleAction {
        Table = "table",
        Goto = "goto",
        Nop = "nop",
        Blackhole = "blackhole",
        Unreachable = "unreachable",
        Prohibit = "prohibit",
        Other = "other",
    }
}

table! {
    /// One policy rule: for which packets which table of routes is asked. What a rule does not ask for is missing.
    ///
    /// Source: rtnetlink `RTM_GETRULE`, `include/uapi/linux/fib_rules.h`.
    pub struct RuleRow = "rule" { title: Some("Policy rules"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Protocol family.
        Id(None) family: InetFamily,
        /// Which rule is asked first: that with the least.
        Id(None) priority: u32 { exact: true, label: true },
        /// Place among those of the same priority.
        Id(None) place: u32 { wide: true },
        /// What is done with packets.
        Text(None) action: RuleAction,
        /// Table that is looked into.
        Text(None) table: Option<Text>,
        /// Priority of the rule that is asked next.
        Gauge(None) goto: Option<u32> { exact: true, wide: true },
        /// Where packets come from.
        Text(None) source: Option<Text>,
        /// Where packets go.
        Text(None) destination: Option<Text>,
        /// Interface over which packets come.
        Text(None) input: Option<Text> { title: Some("iif") },
        /// Interface to which the socket that sends them is bound.
        Text(None) output: Option<Text> { title: Some("oif") },
        /// Mark of packets.
        Gauge(None) mark: Option<u32> { exact: true, title: Some("fwmark") },
        /// Bits of the mark that count.
        Gauge(None) mask: Option<u32> { exact: true, title: Some("fwmask"), wide: true },
        /// Type of service.
        Gauge(None) tos: Option<u32> { wide: true },
        /// Protocol above IP.
        Text(None) ip_protocol: Option<Text> { title: Some("ipproto"), wide: true },
        /// Ports from which packets come.
        Text(None) source_port: Option<Text> { title: Some("sport"), wide: true },
        /// Ports to which packets go.
        Text(None) destination_port: Option<Text> { title: Some("dport"), wide: true },
        /// User ids whose sockets it is for.
        Text(None) users: Option<Text> { wide: true },
        /// A route whose destination has so many bits, or less, is not taken.
        Gauge(None) suppress_prefix: Option<u32> { wide: true },
        /// A route over an interface of this group is not taken.
        Gauge(None) suppress_group: Option<u32> { wide: true },
        /// What else is said of it: `not` turns round what it asks for.
        Text(None) flags: Option<Text>,
        /// Who has made it.
        Text(None) protocol: Option<Text>,
    }
}

/// `FR_ACT_TO_TBL`
const TO_TABLE: u8 = 1;
/// Set in the flags of a rule that looks into the table of a routing domain, where the kernel has an attribute.
const L3MDEV: u32 = 1 << 31;

/// Words of `ip` for `FIB_RULE_*`.
const FLAGS: [(u32, &str); 5] =
    [(1 << 1, "not"), (1 << 2, "unresolved"), (1 << 3, "iif_detached"), (1 << 4, "oif_detached"), (L3MDEV, "l3mdev")];

/// The rules of a namespace, and how many have no room.
pub(super) fn rows(netns: &Text, socket: &mut Socket, most: usize) -> Result<(Vec<RuleRow>, usize), Error> {
    let found = rule::rules(socket, most)?;
    let mut rows: Vec<RuleRow> = Vec::new();
    for rule in found.kept() {
        let Some(mut row) = row(netns, rule) else { continue };
        let twin = rows.last().filter(|last| (last.family, last.priority) == (row.family, row.priority));
        row.place = twin.map_or(0, |twin| twin.place.saturating_add(1));
        rows.push(row);
    }
    Ok((rows, found.left_out()))
}

fn row(netns: &Text, rule: &Rule) -> Option<RuleRow> {
    let family = InetFamily::of(rule.family)?;
    let prefix = |(address, bits): (IpAddr, u8)| Text::from(format!("{address}/{bits}"));
    let span = |(first, last): (u32, u32)| {
        Text::from(if first == last { first.to_string() } else { format!("{first}-{last}") })
    };
    let ports = |(first, last): (u16, u16)| span((first.into(), last.into()));
    let flags = rule.flags & !L3MDEV | if rule.l3mdev { L3MDEV } else { 0 };
    Some(RuleRow {
        netns: netns.clone(),
        family,
        priority: rule.priority,
        place: 0,
        action: action(rule.action),
        table: (rule.action == TO_TABLE && !rule.l3mdev).then(|| words::table(rule.table)),
        goto: rule.goto,
        source: rule.source.map(prefix),
        destination: rule.destination.map(prefix),
        input: rule.input.clone(),
        output: rule.output.clone(),
        mark: rule.mark,
        mask: rule.mask,
        tos: Some(u32::from(rule.tos)).filter(|tos| *tos != 0),
        ip_protocol: rule.ip_protocol.map(protocol),
        source_port: rule.source_ports.map(ports),
        destination_port: rule.destination_ports.map(ports),
        users: rule.users.map(span),
        suppress_prefix: rule.suppress_prefix,
        suppress_group: rule.suppress_group,
        flags: words::flags(&FLAGS, flags),
        protocol: rule.protocol.map(words::protocol),
    })
}

/// From `FR_ACT_*`
fn action(number: u8) -> RuleAction {
    match number {
        TO_TABLE => RuleAction::Table,
        2 => RuleAction::Goto,
        3 => RuleAction::Nop,
        6 => RuleAction::Blackhole,
        7 => RuleAction::Unreachable,
        8 => RuleAction::Prohibit,
        _ => RuleAction::Other,
    }
}
