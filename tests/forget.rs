//! Is exactly the connection deleted that was meant, and never one that has taken its place?
//!
//! A tracker of the test's own, connections that `conntrack` puts into it, and what `conntrack -L` says after.

#![cfg(test)]

use std::process::{Command, Stdio};
use std::sync::Arc;

use netglance::collect::conntrack_flow::{ConntrackFlowRow, ENTRY};
use netglance::collect::{Batch, Cx, Wants};
use netglance::model::{Action, ActionError, Demand, Done, Mono, Owners, Sample, Timestamp, Tracked};
use netglance::source::action::act;
use netglance::source::file::Roots;
use netglance::store::rate::{Mode, View};
use rustix::thread::UnshareFlags;

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use support::space::{ip, within};

fn said(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split(' ')).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Connections of both families, of UDP, TCP and ICMP, one of them in a zone.
fn connections() {
    ip("link set lo up\n");
    said("nft", "add table inet t");
    said("nft", "add chain inet t c { type filter hook output priority 0; }");
    said("nft", "add rule inet t c ct state invalid counter");
    for arguments in [
        "-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport 1 --dport 53 -t 300",
        "-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport 2 --dport 53 -t 300",
        "-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport 2 --dport 53 -t 300 -w 7",
        "-I -p tcp -s 192.0.2.1 -d 198.51.100.1 --sport 3 --dport 80 -t 300 --state ESTABLISHED",
        "-I -p udp -s 2001:db8::1 -d 2001:db8::2 --sport 4 --dport 53 -t 300",
        "-I -p icmp -s 192.0.2.1 -d 198.51.100.1 --icmp-type 8 --icmp-code 0 --icmp-id 77 -t 300",
        "-I -p icmpv6 -s 2001:db8::1 -d 2001:db8::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 78 -t 300",
    ] {
        said("conntrack", arguments);
    }
}

/// The connections as the dashboard knows them.
fn tracked() -> Vec<Tracked> {
    let (roots, owners) = (Roots::live(), Owners::default());
    let wants = Wants::union(&[Demand::table(&ConntrackFlowRow::TABLE.name)]);
    let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
    let mut out = Batch::default();
    (ENTRY.make)().collect(&cx, &mut out).unwrap();
    let rows = Arc::clone(out.rows(ConntrackFlowRow::TABLE).unwrap());
    let sample = Sample { rows, time: cx.time, mono: cx.mono };
    let view = View::new(&sample, None, Mode::Total);
    (0..view.len()).map(|row| netglance::panel::tracked(&view, row).unwrap()).collect()
}

/// How many connections `conntrack` lists.
fn listed() -> usize {
    ["ipv4", "ipv6"].iter().map(|family| said("conntrack", &format!("-L -f {family}")).lines().count()).sum()
}

fn forget(flows: &[&Tracked]) -> Result<Done, ActionError> {
    act(&Action::Forget { flows: flows.iter().copied().cloned().collect() }, &"me".into(), &Roots::live())
}

#[test]
fn root_each_connection_is_deleted_alone() {
    within(UnshareFlags::NEWNET, || {
        connections();
        let known = tracked();
        assert_eq!((known.len(), listed()), (7, 7), "{known:?}");
        for (gone, flow) in known.iter().enumerate() {
            forget(&[flow]).unwrap_or_else(|error| panic!("{flow}: {error}"));
            let left = tracked();
            assert_eq!((left.len(), listed()), (6 - gone, 6 - gone), "{flow}");
            assert!(!left.contains(flow) && left.iter().all(|one| known.contains(one)), "{flow}");
            assert!(matches!(forget(&[flow]), Err(ActionError::Gone { .. })), "{flow}");
        }
    });
}

#[test]
fn root_a_connection_that_took_the_place_of_another_is_left_alone() {
    within(UnshareFlags::NEWNET, || {
        connections();
        for flow in &tracked() {
            let other = Tracked { id: flow.id ^ 1, ..flow.clone() };
            assert!(matches!(forget(&[&other]), Err(ActionError::Gone { .. })), "{flow}");
        }
        assert_eq!(listed(), 7);
    });
}

#[test]
fn root_of_several_those_that_have_ended_meanwhile_are_no_failure() {
    within(UnshareFlags::NEWNET, || {
        connections();
        let known = tracked();
        let (first, rest) = known.split_first().unwrap();
        forget(&[first]).unwrap();
        let all: Vec<&Tracked> = std::iter::once(first).chain(rest.iter().skip(2)).collect();
        assert_eq!(forget(&all).unwrap(), Done { gone: 1 });
        assert_eq!(tracked().iter().collect::<Vec<_>>(), rest.iter().take(2).collect::<Vec<_>>());
        assert!(matches!(forget(&all), Err(ActionError::Gone { .. })), "all of them have ended");
        let elsewhere = Tracked { netns: "nowhere".into(), ..first.clone() };
        assert!(matches!(forget(&[&elsewhere]), Err(ActionError::Kernel { .. })), "no such namespace is read");
        assert!(forget(&[]).is_err() && forget(&[&rest[0], &elsewhere]).is_err());
        assert_eq!(listed(), 2);
    });
}
