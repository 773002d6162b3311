//! Is the packet filter told rightly while somebody changes it without end?

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netglance::collect::{Batch, COLLECTORS, Collect, Cx, Wants};
use netglance::model::{Mono, Owners, Timestamp};
use netglance::source::file::Roots;
use netglance::source::netlink::attr::push;
use netglance::source::netlink::nfnetlink::Subsystem;
use netlink_sys::Socket;
use rustix::thread::UnshareFlags;

use crate::support::process::Done;
use crate::support::pty::Session;
use crate::support::space::within;

/// Appends a message of the packet filter: what it asks for, and its header.
fn push_message(batch: &mut Vec<u8>, kind: u16, flags: i32, header: [u8; 4], name: &[u8]) {
    let mut body = header.to_vec();
    if !name.is_empty() {
        push(&mut body, 1, name);
    }
    batch.extend_from_slice(&(16 + body.len() as u32).to_ne_bytes());
    batch.extend_from_slice(&kind.to_ne_bytes());
    batch.extend_from_slice(&((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
    batch.extend_from_slice(&[0; 8]);
    batch.extend_from_slice(&body);
}

/// Commits a table again and again, and takes it away again, until it shall end.
fn commit(over: &AtomicBool) {
    /// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`; subsystem 10 is the packet filter.
    const BATCH: [u16; 2] = [16, 17];
    const BATCH_HEADER: [u8; 4] = [0, 0, 0, 10];
    let mut socket = Socket::new(libc::NETLINK_NETFILTER as isize).unwrap();
    socket.bind_auto().unwrap();
    // NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE
    let batches = [(0, libc::NLM_F_CREATE), (2, 0)].map(|(number, flags)| {
        let mut batch = Vec::new();
        push_message(&mut batch, BATCH[0], 0, BATCH_HEADER, b"");
        push_message(&mut batch, Subsystem::Nftables.kind(number), flags, [2, 0, 0, 0], b"storm\0");
        push_message(&mut batch, BATCH[1], 0, BATCH_HEADER, b"");
        batch
    });
    while !over.load(Ordering::Relaxed) {
        for batch in &batches {
            socket.send(batch, 0).unwrap();
        }
    }
}

/// Rules that a collector tells, and why the counts may be old.
fn sample(collector: &mut dyn Collect, roots: &Roots) -> (usize, Option<String>) {
    let (wants, owners) = (Wants::default(), Owners::default());
    let cx = Cx { roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
    let mut batch = Batch::default();
    collector.collect(&cx, &mut batch).unwrap_or_else(|skip| panic!("{:?}", skip.status()));
    let partly = batch.take_partly().into_iter().find(|(table, _)| table.name == "nft_rule");
    let rules = batch.into_tables().into_iter().find(|(table, _)| table.name == "nft_rule");
    (rules.unwrap().1.unwrap().len(), partly.map(|(_, status)| status.reason.to_string()))
}

/// Has `nft` commit so many rules.
fn load(rules: usize) {
    let script = tempfile::NamedTempFile::new().unwrap();
    let rules = "add rule ip t c counter\n".repeat(rules);
    std::fs::write(script.path(), format!("add table ip t\nadd chain ip t c\nflush chain ip t c\n{rules}")).unwrap();
    assert!(Command::new("nft").arg("-f").arg(script.path()).status().unwrap().success());
}

#[test]
fn root_rules_that_are_committed_back_to_back_stay_in_their_table_and_are_marked() {
    const RULES: usize = 3000;
    within(UnshareFlags::NEWNET, || {
        load(RULES);
        let entry = COLLECTORS.iter().find(|entry| entry.name == "nftables").unwrap();
        let (mut collector, roots) = ((entry.make)(), Roots::live());
        assert_eq!(sample(&mut *collector, &roots), (RULES, None));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| commit(&over));
            let _over = Done(&over);
            let deadline = Instant::now() + Duration::from_mins(1);
            let mut marked = 0;
            while marked < 3 {
                assert!(Instant::now() < deadline, "{marked} samples were marked");
                let (rules, why) = sample(&mut *collector, &roots);
                assert_eq!(rules, RULES);
                marked += usize::from(why.is_some_and(|why| why.contains("changing: rules")));
            }
        });
        // and it is whole again when that is over
        assert_eq!(sample(&mut *collector, &roots), (RULES, None));
    });
}

#[test]
fn root_a_dashboard_goes_on_and_marks_rules_that_another_process_commits_back_to_back() {
    const RULES: usize = 1000;
    let is_marked = |screen: &str| screen.contains("changing: rules");
    within(UnshareFlags::NEWNET, || {
        load(RULES);
        let mut session = Session::start(160, 40, &["--view", "firewall"]);
        session.wait_for("the rules", |screen| screen.contains("▾ ip t"));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| commit(&over));
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    load(RULES);
                }
            });
            let _over = Done(&over);
            session.wait_for("the mark", is_marked);
            for _ in 0..3 {
                session.send("?");
                session.wait_for("the help", |screen| screen.contains("esc:close"));
                session.escape();
                session.wait_for("the rules that were read last", |screen| screen.contains("▾ ip t"));
            }
        });
        session.wait_for("no mark", |screen| !is_marked(screen));
    });
}
