//! Are connections told rightly when rights are taken away and namespaces go while they are read?

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use netglance::collect::{Batch, COLLECTORS, Collect, Cx, Skip, Wants};
use netglance::model::{Demand, Mono, Owners, State, Timestamp};
use netglance::source::file::Roots;
use netglance::source::netns::Selection;
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities};

use crate::support::process::Done;
use crate::support::pty::netglance;
use crate::support::space::{ip, mount, within};

fn said(program: &str, args: &str) -> String {
    let output = Command::new(program).args(args.split(' ')).output().unwrap();
    assert!(output.status.success(), "{program} {args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A collector of this name that is asked for the table of the same name.
struct Asked {
    collector: Box<dyn Collect>,
    table: &'static str,
    roots: Roots,
}

impl Asked {
    fn new(table: &'static str, roots: &Roots) -> Self {
        let entry = COLLECTORS.iter().find(|entry| entry.name == table).unwrap();
        Self { collector: (entry.make)(), table, roots: roots.clone() }
    }

    fn rows(&mut self) -> Result<usize, Skip> {
        let (wants, owners) = (Wants::union(&[Demand::table(self.table)]), Owners::default());
        let cx = Cx { roots: &self.roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
        let mut batch = Batch::default();
        self.collector.collect(&cx, &mut batch)?;
        let tables = batch.into_tables().into_iter().filter(|(table, _)| table.name == self.table);
        Ok(tables.filter_map(|(_, rows)| Some(rows.ok()?.len())).sum())
    }
}

/// Takes a capability from this thread, or gives it back.
fn may_administer(may: bool) {
    let mut sets = capabilities(None).unwrap();
    sets.effective.set(CapabilitySet::NET_ADMIN, may);
    set_capabilities(None, sets).unwrap();
}

#[test]
fn root_who_loses_the_capability_meanwhile_is_told_so_and_goes_on_when_it_is_back() {
    within(UnshareFlags::NEWNET, || {
        for port in 1..=3 {
            said("conntrack", &format!("-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport {port} --dport 53 -t 300"));
        }
        let roots = Roots::live();
        let (mut flows, mut health) = (Asked::new("conntrack_flow", &roots), Asked::new("conntrack", &roots));
        assert_eq!(flows.rows().unwrap(), 3);
        may_administer(false);
        let status = flows.rows().unwrap_err().status();
        assert_eq!((status.state, status.hint.contains("CAP_NET_ADMIN")), (State::Denied, true), "{status:?}");
        assert_eq!(health.rows().unwrap(), 1, "how full the table is everybody may know");
        may_administer(true);
        assert_eq!(flows.rows().unwrap(), 3);
    });
}

#[test]
fn root_namespaces_that_go_while_their_connections_are_read_are_no_failure() {
    within(UnshareFlags::NEWNET, || {
        std::fs::create_dir_all("/run/netns").unwrap();
        mount("none", Path::new("/run/netns"), "tmpfs", 0, "");
        let roots = Roots::live().choosing(Selection::of("ct*").unwrap()).unwrap();
        let mut flows = Asked::new("conntrack_flow", &roots);
        let (done, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
        let deadline = Instant::now() + Duration::from_mins(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _done = Done(&done);
                let mut round = 0;
                // on and on until some were met, and a few more
                while round < 8 || seen.load(Ordering::SeqCst) == 0 {
                    assert!(Instant::now() < deadline, "nothing was read while namespaces were there");
                    let name = format!("ct{round}");
                    ip(&format!("netns add {name}\n"));
                    for port in 1..=20 {
                        let flow = format!("-I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport {port} --dport 53 -t 300");
                        said("ip", &format!("netns exec {name} conntrack {flow}"));
                    }
                    if round > 1 {
                        ip(&format!("netns del ct{}\n", round - 2));
                    }
                    round += 1;
                }
                ip(&format!("netns del ct{}\nnetns del ct{}\n", round - 2, round - 1));
            });
            while !done.load(Ordering::SeqCst) {
                seen.fetch_add(flows.rows().map_err(|skip| skip.status()).unwrap(), Ordering::SeqCst);
            }
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        while flows.rows().map_err(|skip| skip.status()).unwrap() > 0 {
            assert!(Instant::now() < deadline, "rows of namespaces that are gone");
        }
    });
}

#[test]
fn root_of_very_many_namespaces_only_those_are_dumped_that_have_connections() {
    const MANY: usize = 1000;
    within(UnshareFlags::NEWNET, || {
        std::fs::create_dir_all("/run/netns").unwrap();
        mount("none", Path::new("/run/netns"), "tmpfs", 0, "");
        let names: Vec<String> = (0..MANY).map(|number| format!("netns add ct{number}")).collect();
        ip(&(names.join("\n") + "\n"));
        for name in ["ct7", "ct77"] {
            let flow = "conntrack -I -p udp -s 192.0.2.1 -d 198.51.100.1 --sport 1 --dport 53 -t 300";
            said("ip", &format!("netns exec {name} {flow}"));
        }
        let program = netglance(&[]).get_program().to_owned();
        let trace = tempfile::NamedTempFile::new().unwrap();
        // a slow machine enters the last namespaces only in a later second
        let output = Command::new("strace")
            .args(["--seccomp-bpf", "-f", "-e", "trace=sendto", "-o"])
            .arg(trace.path())
            .arg(program)
            .args(["show", "conntrack_flow", "--netns", "ct*", "--format", "json", "--every", "1s", "--count", "15"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let samples = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Vec<serde_json::Value>>();
        let samples: Vec<_> = samples.map(Result::unwrap).collect();
        let seen = |rows: &Vec<serde_json::Value>| {
            let mut names: Vec<_> = rows.iter().map(|row| row["netns"].as_str().unwrap().to_owned()).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(samples.last().map(seen).unwrap(), ["ct7", "ct77"], "{}", String::from_utf8_lossy(&output.stderr));
        let trace = std::fs::read_to_string(trace.path()).unwrap();
        // it does not know the family of sockets of other namespaces, and so not the name of the type
        let is_dump = |line: &&str| line.contains("IPCTNL_MSG_CT_GET,") || line.contains("nlmsg_type=0x101 ");
        let dumps = trace.lines().filter(is_dump).count();
        assert_eq!(dumps, samples.iter().map(Vec::len).sum::<usize>(), "one for each connection: {trace}");
    });
}
