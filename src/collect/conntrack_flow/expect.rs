//! How do expected connections become rows?

use std::net::IpAddr;

use super::super::address::steady;
use super::protocol;
use crate::model::{Text, Timestamp};
use crate::source::conntrack::expect::{Expectation, flags};
use crate::source::conntrack::flow::Tuple;
use crate::table;

table! {
    /// One connection that a helper has read of in another one, and that the kernel therefore lets through when it comes.
    ///
    /// Source: ctnetlink `IPCTNL_MSG_EXP_GET`, `include/uapi/linux/netfilter/nfnetlink_conntrack.h`.
    pub struct ConntrackExpectRow = "conntrack_expect" { title: Some("Expected connections"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// The kernel's number for it.
        Id(None) id: u32 { exact: true, wide: true },
        /// Protocol, or its number.
        Text(None) protocol: Text { title: Some("proto") },
        /// Who is to send the first packet; missing where anybody may.
        Text(None) source: Option<IpAddr>,
        /// Port that it is to come from; missing where any will do.
        Gauge(None) source_port: Option<u32> { exact: true, title: Some("sport") },
        /// Where it is to be sent to; missing where it does not matter.
        Text(None) destination: Option<IpAddr> { label: true },
        /// Port that it is to be sent to; missing where any will do.
        Gauge(None) destination_port: Option<u32> { exact: true, title: Some("dport") },
        /// Which bits of the sender's address count.
        Text(None) source_mask: IpAddr { wide: true },
        /// Which bits of the receiver's address count.
        Text(None) destination_mask: IpAddr { wide: true },
        /// Who began the connection in which the helper has read of it.
        Text(None) master_source: IpAddr { title: Some("told by") },
        /// Port of those who began that connection.
        Gauge(None) master_source_port: Option<u32> { exact: true, wide: true },
        /// Who answers in that connection.
        Text(None) master_destination: IpAddr { title: Some("told to") },
        /// Port of those who answer.
        Gauge(None) master_destination_port: Option<u32> { exact: true },
        /// Helper that has read of it.
        Text(None) helper: Option<Text>,
        /// Which of the helper's policies it falls under.
        Gauge(None) class: u32 { exact: true, wide: true },
        /// What the kernel does when it comes.
        Text(None) function: Option<Text> { wide: true },
        /// What is special about it: `permanent`, `inactive` or `userspace`.
        Text(None) flags: Option<Text> { wide: true },
        /// Zone that it is expected in, 0 unless rules say otherwise.
        Gauge(None) zone: u32 { exact: true, wide: true },
        /// When it is forgotten.
        Gauge(None) expires: Timestamp { until: true },
    }
}

/// `before` is when it was to be forgotten as of the last sample, which the kernel counts down in whole seconds.
pub(super) fn row(
    netns: &Text,
    expectation: &Expectation,
    now: Timestamp,
    before: Option<Timestamp>,
) -> ConntrackExpectRow {
    let Expectation { tuple, mask, master, .. } = expectation;
    let end = Timestamp(now.0.saturating_add(i64::from(expectation.timeout) * 1_000_000_000));
    let address = |end: fn(&Tuple) -> IpAddr| Some(end(tuple)).filter(|_| !end(mask).is_unspecified());
    let port = |end: fn((u16, u16)) -> u16| {
        let (port, mask) = tuple.ports.map(end).zip(mask.ports.map(end))?;
        (mask != 0).then_some(u32::from(port))
    };
    ConntrackExpectRow {
        netns: netns.clone(),
        id: expectation.id,
        protocol: protocol(tuple.protocol),
        source: address(|tuple| tuple.source),
        source_port: port(|(source, _)| source),
        destination: address(|tuple| tuple.destination),
        destination_port: port(|(_, destination)| destination),
        source_mask: mask.source,
        destination_mask: mask.destination,
        master_source: master.source,
        master_source_port: master.ports.map(|(port, _)| port.into()),
        master_destination: master.destination,
        master_destination_port: master.ports.map(|(_, port)| port.into()),
        helper: expectation.helper.clone(),
        class: expectation.class,
        function: expectation.function.clone(),
        flags: words(expectation.flags),
        zone: expectation.zone.map_or(0, u32::from),
        expires: steady(before, Some(end)).unwrap_or(end),
    }
}

fn words(bits: u32) -> Option<Text> {
    let words = [(flags::PERMANENT, "permanent"), (flags::INACTIVE, "inactive"), (flags::USERSPACE, "userspace")];
    let set: Vec<&str> = words.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| *word).collect();
    (!set.is_empty()).then(|| Text::from(set.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_words_and_none_are_missing() {
        assert_eq!(words(0), None);
        assert_eq!(words(flags::PERMANENT | flags::USERSPACE), Some(Text::from("permanent,userspace")));
    }
}
