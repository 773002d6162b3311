//! Is a router that tells of itself over SNMP only seen as by its own sockets?

#![cfg(test)]

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use netglance::collect::routing::{OspfAreaRow, OspfInterfaceRow, OspfLinkRow, OspfLsaRow, OspfNeighborRow};
use netglance::model::Table;
use rustix::thread::UnshareFlags;

use served::Agent;
use support::process::Guard;
use support::ring::{Ring, run_in, wait_until};
use support::snmp::{ONE, agent, secret, snmpwalk};
use support::space::within;
use support::watch::{LSA, Watch};

/// Whether this process may have as many threads as it likes, as those that it starts will.
static UNLIMITED: RwLock<()> = RwLock::new(());

fn start(section: &str) -> Agent {
    let _held = UNLIMITED.read().unwrap_or_else(PoisonError::into_inner);
    Agent::start("127.0.0.1:0", section)
}

/// What of a router SNMP can tell, by table.
const TOLD: [(&Table, &[&str]); 5] = [
    (
        OspfNeighborRow::TABLE,
        &["version", "interface", "router_id", "address", "area", "state", "role", "priority", "retransmissions"],
    ),
    (
        OspfInterfaceRow::TABLE,
        &[
            "version",
            "interface",
            "area",
            "state",
            "priority",
            "hello",
            "dead",
            "dr",
            "backup",
            "neighbors",
            "adjacent",
        ],
    ),
    (OspfAreaRow::TABLE, &["version", "area", "router_id", "interfaces", "adjacent", "lsas", "spf_runs"]),
    (OspfLsaRow::TABLE, LSA),
    (OspfLinkRow::TABLE, &["version", "area", "from", "kind", "to", "number", "metric"]),
];

const COURIER: &str = "netglance-couri";

/// A line of what the kernel says of a process.
fn field(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// States of the neighbors that an agent knows over SNMP, each with whether it is stale.
fn told_by(agent: &Agent) -> Vec<(String, bool)> {
    let mut command = served::command(&agent.dir);
    command.args(["show", "ospf_neighbor", "--format", "json", "--where", "source == \"snmp\"", "--host"]);
    let output = command.arg(format!("unix:{}", agent.socket().display())).stdin(Stdio::null()).output().unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    rows.iter().map(|row| (row["state"].as_str().unwrap().to_owned(), !row["stale"].is_null())).collect()
}

/// Whether a part of an agent runs.
fn runs(agent: &Agent, name: &str) -> bool {
    let pid = agent.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let is_it =
        |child: &str| std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|comm| comm.trim_end() == name);
    children.split_whitespace().any(is_it)
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn root_an_agent_asks_routers_by_a_courier_without_rights() {
    within(UnshareFlags::NEWNET, || {
        run_in("host", &["ip", "link", "set", "lo", "up"]);
        let dir = tempfile::tempdir().unwrap();
        let community = secret(dir.path(), "c", "of-the-test\n");
        let mut snmpd = None;
        let _ring = Ring::told(2, "one", || snmpd = Some(agent(dir.path(), "one")));
        let router = format!(
            "\n[[routing.snmp]]\nname = 'one'\naddress = '{ONE}'\ncommunity_file = '{community}'\ninterval = '1s'\n\
             [[routing.snmp]]\nname = 'lost'\naddress = '{ONE}:9'\ncommunity_file = '/nowhere/c'\ninterval = '1s'\n"
        );
        let agent = start(&router);
        let both = vec![("Full".to_owned(), false), ("Full".to_owned(), false)];
        wait_until("what a router tells", || told_by(&agent) == both);
        let courier = agent.part(COURIER);
        for (name, wanted) in
            [("CapEff", "0000000000000000"), ("CapPrm", "0000000000000000"), ("NoNewPrivs", "1"), ("Seccomp", "2")]
        {
            assert_eq!(field(courier, name), wanted, "{name}");
        }
        assert!(!field(courier, "Uid").split(' ').any(|user| user == "0"), "{}", field(courier, "Uid"));
        // the sampler has no datagrams of the network
        let sockets = run_in("host", &["ss", "-Huanp"]);
        assert!(sockets.contains(COURIER) && !sockets.contains("netglance-sampl"), "{sockets}");
        signal(courier, rustix::process::Signal::KILL);
        agent.says("the courier has ended");
        assert_ne!(agent.part(COURIER), courier);
        wait_until("a courier that was started anew", || told_by(&agent) == both);
        signal(agent.part("netglance-sampl"), rustix::process::Signal::KILL);
        agent.says("the sampler has ended");
        wait_until("a sampler that was started anew", || told_by(&agent) == both);
        let config = agent.dir.path().join("netglance.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.split("[[routing").next().unwrap()).unwrap();
        signal(agent.pid(), rustix::process::Signal::HUP);
        wait_until("no courier", || !runs(&agent, COURIER));
        std::fs::write(&config, text).unwrap();
        signal(agent.pid(), rustix::process::Signal::HUP);
        wait_until("a courier again", || told_by(&agent) == both);
        assert!(agent.end().contains("a router cannot be asked: read /nowhere/c"));
    });
}

/// One value of BER: its tag, what is in it, and what follows.
fn value(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, rest) = match bytes[1] {
        short @ 0..0x80 => (usize::from(short), &bytes[2..]),
        long => {
            let (length, rest) = bytes[2..].split_at(usize::from(long & 0x7f));
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    (bytes[0], &rest[..length], &rest[length..])
}

/// The same, written.
fn written(tag: u8, inside: &[&[u8]]) -> Vec<u8> {
    let inside = inside.concat();
    let length = u32::try_from(inside.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &length, &inside].concat()
}

/// What a router answers that tells `large` in each table, and `small` of itself.
fn answered(question: &[u8], small: &str, large: &[u8]) -> Vec<u8> {
    let (_, message, _) = value(question);
    let (_, version, rest) = value(message);
    let (_, community, pdu) = value(rest);
    let (kind, pdu, _) = value(pdu);
    let (_, request, rest) = value(pdu);
    let (_, _, rest) = value(rest);
    let (_, _, rest) = value(rest);
    let (_, mut bindings, _) = value(rest);
    let mut answers = Vec::new();
    while !bindings.is_empty() {
        let (_, binding, more) = value(bindings);
        let (_, name, _) = value(binding);
        bindings = more;
        let told = match (kind, name.last()) {
            (0xa0, _) if name.ends_with(&[1, 1, 1, 0]) => written(4, &[small.as_bytes()]),
            (0xa0, _) => written(0x80, &[]),
            (_, Some(99)) => written(0x82, &[]),
            _ => written(4, &[large]),
        };
        let name = if kind == 0xa0 { name.to_vec() } else { [name, &[99]].concat() };
        answers.push(written(0x30, &[&written(6, &[&name]), &told]));
    }
    let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
    let none = written(2, &[&[0]]);
    let pdu = written(0xa2, &[&written(2, &[request]), &none, &none, &written(0x30, &answers)]);
    written(0x30, &[&written(2, &[version]), &written(4, &[community]), &pdu])
}

#[test]
fn root_a_sampler_that_was_stopped_for_a_while_hears_of_routers_again() {
    within(UnshareFlags::NEWNET, || {
        run_in("host", &["ip", "link", "set", "lo", "up"]);
        let dir = tempfile::tempdir().unwrap();
        let community = secret(dir.path(), "c", "of-the-test\n");
        let router = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let place = router.local_addr().unwrap();
        let told = Arc::new(Mutex::new("before"));
        let tells = Arc::clone(&told);
        std::thread::spawn(move || {
            let (mut buffer, large) = ([0; 2048], vec![b'x'; 50_000]);
            while let Ok((length, from)) = router.recv_from(&mut buffer) {
                let answer = answered(&buffer[..length], *tells.lock().unwrap(), &large);
                router.send_to(&answer, from).unwrap();
            }
        });
        let agent = start(&format!(
            "\n[[routing.snmp]]\nname = 'much'\naddress = '{place}'\ncommunity_file = '{community}'\ninterval = '1s'\n"
        ));
        let version = || {
            let mut command = served::command(&agent.dir);
            command.args(["show", "routing_daemon", "--format", "json", "--host"]);
            let output =
                command.arg(format!("unix:{}", agent.socket().display())).stdin(Stdio::null()).output().unwrap();
            let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
            rows.first().map(|row| row["version"].as_str().unwrap_or_default().to_owned())
        };
        wait_until("what a router tells", || version().as_deref() == Some("before"));
        let sampler = agent.part("netglance-sampl");
        signal(sampler, rustix::process::Signal::STOP);
        agent.says("the sampler takes nothing from the courier");
        *told.lock().unwrap() = "after";
        signal(sampler, rustix::process::Signal::CONT);
        wait_until("what a router tells now", || version().as_deref() == Some("after"));
        assert_eq!(agent.part("netglance-sampl"), sampler);
        agent.end();
    });
}

#[test]
fn root_without_a_thread_for_a_router_all_else_is_told() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let dir = tempfile::tempdir().unwrap();
    let community = secret(dir.path(), "c", "of-the-test\n");
    let section = format!("[[snmp]]\nname = 'one'\naddress = '127.0.0.1:9'\ncommunity_file = '{community}'\n");
    let (mut watch, before) = (Watch::new(&section), getrlimit(Resource::Nproc));
    let _held = UNLIMITED.write().unwrap_or_else(PoisonError::into_inner);
    // of this process only the thread of a user without rights is bound by it
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), ..before }).unwrap();
    let told = std::thread::spawn(move || {
        // SAFETY: changes the user of this thread, which is about to end
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 4711, 4711, 4711) }, 0);
        watch.look();
        watch.batch.take_partly()
    });
    let told = told.join();
    setrlimit(Resource::Nproc, before).unwrap();
    let told: Vec<_> =
        told.unwrap().into_iter().map(|(table, status)| (&*table.name, status.reason.to_string())).collect();
    assert!(told[0].0 == "routing_daemon" && told[0].1.contains("start a thread for who is asked"), "{told:?}");
}

#[test]
fn root_a_router_behind_an_agent_is_told_as_by_its_own_sockets() {
    within(UnshareFlags::NEWNET, || {
        let dir = tempfile::tempdir().unwrap();
        let [community, auth, privacy] = [("c", "of-the-test\n"), ("a", "authpass12\n"), ("p", "privpass12\n")]
            .map(|(name, text)| secret(dir.path(), name, text));
        let wrong = secret(dir.path(), "w", "another-one\n");
        let mut snmpd = None;
        let _ring = Ring::told(2, "one", || snmpd = Some(agent(dir.path(), "one")));
        let user = "version = '3'\nuser = 'ng'\nauth = 'sha256'\nprivacy = 'aes128'\ninterval = '1s'\ntimeout = '2s'";
        let config = format!(
            "[[snmp]]\nname = 'two'\naddress = '{ONE}'\ncommunity_file = '{community}'\ninterval = '1s'\ndatabase = true\n\
             [[snmp]]\nname = 'three'\naddress = '{ONE}:1161'\ndatabase = true\n{user}\nauth_file = '{auth}'\nprivacy_file = '{privacy}'\n\
             [[snmp]]\nname = 'key'\naddress = '{ONE}:2161'\n{user}\nauth_file = '{wrong}'\nprivacy_file = '{privacy}'\n\
             [[snmp]]\nname = 'lost'\naddress = '{ONE}:3161'\ncommunity_file = '{wrong}'\ninterval = '1s'\ntimeout = '1s'\n\
             [[snmp]]\nname = 'nobody'\naddress = '{ONE}:9'\ncommunity_file = '{community}'\ninterval = '1s'\n"
        );
        let mut watch = Watch::new(&config);
        for name in ["two", "three"] {
            for (table, columns) in TOLD {
                watch.until_same(table, ("frr", "one/"), ("snmp", name), columns);
            }
        }
        let states = snmpwalk("1.3.6.1.2.1.14.10.1.6", &["-Ov"]);
        assert_eq!(states, ["8"]);
        assert_eq!(snmpwalk("1.3.6.1.2.1.191.1.9.1.8", &["-Ov"]), ["8"]);
        assert!(watch.daemon("two", "version").contains("Linux"), "{}", watch.daemon("two", "version"));
        wait_until("refusals", || {
            watch.look();
            watch.daemon("key", "state").contains("denied") && watch.daemon("lost", "state").contains("silent")
        });
        let reason = watch.daemon("key", "reason");
        assert!(reason.contains("ask key for 1.3.6.1.2.1.1.1.0: it knows the user with another key"), "{reason}");
        assert!(watch.daemon("nobody", "state").contains("down"), "{}", watch.daemon("nobody", "state"));
        comes_again(&mut watch, dir.path(), snmpd.take());
    });
}

/// Ends an agent of SNMP and starts another one, which is both seen.
fn comes_again(watch: &mut Watch, dir: &Path, snmpd: Option<Guard>) {
    drop(snmpd);
    wait_until("an agent that has gone", || {
        watch.look();
        !watch.daemon("two", "state").contains("up") && !watch.daemon("three", "state").contains("up")
    });
    let stale = watch.rows(OspfNeighborRow::TABLE, "snmp", "two", &["state", "stale"]);
    assert!(stale.len() == 2 && format!("{stale:?}").contains("Full"), "{stale:?}");
    let path = dir.join("snmpd.conf");
    let mut command = Command::new("ip");
    command.args(["netns", "exec", "one", "snmpd", "-f", "-Ln", "-C", "-c"]).arg(&path);
    let _again = Guard::start(command.env("SNMP_PERSISTENT_DIR", dir.join("state")).stderr(Stdio::null()));
    wait_until("an agent that is there again", || {
        watch.look();
        watch.daemon("two", "state").contains("up") && watch.daemon("three", "state").contains("up")
    });
}
