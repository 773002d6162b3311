//! Is every change of the packet filter written down, whatever becomes of the disk and of the agent?
//!
//! Real agents and dashboards in network namespaces of the tests' own, whose rules `nft` changes.

#![cfg(test)]

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;
use serde_json::Value;

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use served::Agent;
use support::process::as_nobody;
use support::space::{ip, mount, within};

/// Longest wait for anything: what could not be opened is tried again after ten seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for what another process brings about.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Runs in a network of its own, where the host itself is reached.
fn in_own_network(run: impl FnOnce() + Send) {
    within(UnshareFlags::NEWNET, || {
        ip("link set lo up");
        run();
    });
}

/// Runs `nft -f -`; the process that it was.
fn nft(script: &str) -> u64 {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
    child.id().into()
}

fn agent(file: &Path, more: &str) -> Agent {
    Agent::start("127.0.0.1:0", &format!("[trail]\nfile = \"{}\"\n{more}", file.display()))
}

/// The lines of a file, each of which is an object. A full disk or a crash may have cut one.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    assert!(!text.chars().any(|ch| ch.is_control() && ch != '\n'), "{text:?}");
    // the last one may be in the making
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let (read, cut): (Vec<_>, Vec<_>) = whole.lines().map(serde_json::from_str::<Value>).partition(Result::is_ok);
    assert!(cut.len() <= 1, "{cut:?} in {whole}");
    read.into_iter().flatten().collect()
}

/// The lines once there is one that says this.
fn until(file: &Path, what: &str, says: impl Fn(&Value) -> bool) -> Vec<Value> {
    wait(what, || Some(lines(file)).filter(|lines| lines.iter().any(&says)))
}

fn is<'a>(key: &'a str, value: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |line| line[key] == value
}

/// How the agent says that the table of changes fares.
fn state(agent: &Agent) -> String {
    let (_, answer) = agent.ask("GET /api/v1/tables", &[]);
    let tables: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1.trim()).unwrap();
    let table = tables.as_array().unwrap().iter().find(|table| table["name"] == "ruleset_change").unwrap().clone();
    table["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn root_every_change_is_a_line_with_its_author_through_crashes_and_hangups() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("changes");
        let agent = agent(&file, "");
        until(&file, "the beginning", is("action", "watched"));
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        let pid =
            nft("add table inet t\nadd chain inet t c\nadd rule inet t c tcp dport 22 accept comment \"a\x1b[31m\"");
        let all = until(&file, "the rule", is("part", "rule"));
        let rule = all.last().unwrap();
        assert_eq!((rule["pid"].as_u64(), rule["program"].as_str()), (Some(pid), Some("nft")), "{rule}");
        assert_eq!(rule["after"], "tcp dport 22 accept comment \"a\\x1b[31m\"", "{rule}");
        assert!(rule["before"].is_null() && rule["table"] == "t" && rule["netns"] == "host", "{rule}");
        let time: jiff::Timestamp = rule["time"].as_str().unwrap().parse().unwrap();
        assert!(time.duration_until(jiff::Timestamp::now()).as_secs() < 3600, "{rule}");

        // one that crashes goes on behind what there is
        let sampler = agent.part("netglance-sampl");
        // SAFETY: a child of the agent that this test has started
        assert_eq!(unsafe { libc::kill(sampler as i32, libc::SIGKILL) }, 0);
        wait("another sampler", || {
            Some(()).filter(|()| lines(&file).iter().filter(|line| is("action", "watched")(line)).count() == 2)
        });
        nft("flush chain inet t c");
        let after = until(&file, "what is gone", is("action", "deleted"));
        assert_eq!(after[..all.len()], all[..]);
        assert_eq!(after.last().unwrap()["before"], rule["after"]);

        // one that was moved away is left alone after a hangup
        let old = dir.path().join("old");
        std::fs::rename(&file, &old).unwrap();
        // SAFETY: the agent that this test has started
        assert_eq!(unsafe { libc::kill(agent.pid() as i32, libc::SIGHUP) }, 0);
        wait("another file", || file.exists().then_some(()));
        nft("delete table inet t");
        let new = until(&file, "the table", is("part", "table"));
        let (made, begun) = (|line: &Value| line["generation"].as_u64().unwrap(), new.first().unwrap());
        assert_eq!((begun["action"].as_str(), made(begun)), (Some("watched"), made(after.last().unwrap())), "{begun}");
        assert_eq!((lines(&old), new.last().unwrap()["before"].as_str()), (after, Some("table inet t")));
        assert_eq!(state(&agent), "");
    });
}

#[test]
fn root_a_full_file_takes_the_place_of_the_one_before_and_no_line_is_lost() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let (file, before) = (dir.path().join("changes"), dir.path().join("changes.1"));
        let agent = agent(&file, "size = \"64KiB\"");
        until(&file, "the beginning", is("action", "watched"));
        nft("add table inet t\nadd chain inet t c");
        let mut known: Vec<String> = Vec::new();
        for round in 0..8 {
            let rule = |n: usize| format!("add rule inet t c tcp dport {} accept", 1 + round * 50 + n);
            nft(&(0..50).map(rule).collect::<Vec<_>>().join("\n"));
            let last = format!("tcp dport {} accept", round * 50 + 50);
            until(&file, "the last rule", is("after", &last));
            for path in [&before, &file] {
                assert!(!path.exists() || std::fs::metadata(path).unwrap().len() <= 64 << 10);
            }
            let now = [lines(&before), lines(&file)].concat();
            let rules = now.iter().filter_map(|line| line["after"].as_str()).filter(|text| text.starts_with("tcp"));
            known.extend(rules.map(str::to_owned));
        }
        assert!(before.exists());
        let mut numbers: Vec<usize> = known.iter().filter_map(|text| text.split(' ').nth(2)?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, (1..=400).collect::<Vec<_>>());
        assert_eq!(state(&agent), "");
    });
}

#[test]
fn root_a_full_disk_is_told_and_so_is_the_gap_when_there_is_room_again() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        mount("none", dir.path(), "tmpfs", 0, "size=128k");
        let file = dir.path().join("changes");
        let agent = agent(&file, "");
        until(&file, "the beginning", is("action", "watched"));
        let filler = dir.path().join("filler");
        assert!(std::fs::write(&filler, vec![0; 1 << 20]).is_err(), "the disk is full now");
        nft("add table inet t\nadd chain inet t c");
        let rule = |n: usize| format!("add rule inet t c tcp dport {n} accept");
        nft(&(1..100).map(rule).collect::<Vec<_>>().join("\n"));
        let told = wait("the full disk", || Some(state(&agent)).filter(|told| told.contains("No space left")));
        assert!(told.contains("changes are not in it"), "{told}");
        assert!(agent.says("no changes are written down").contains("No space left"));
        std::fs::remove_file(&filler).unwrap();
        nft("delete table inet t");
        let all = until(&file, "the table", |line| line["part"] == "table" && line["action"] == "deleted");
        let gap = all.iter().find(|line| is("action", "lost")(line)).unwrap();
        let missed = gap["after"].as_str().unwrap().strip_prefix("changes were lost: ").unwrap();
        let missed: u64 = missed.strip_suffix(" could not be written").unwrap().parse().unwrap();
        // a table, a chain and 99 rules came and went
        assert!(gap["netns"].is_null() && missed as usize == 2 * 101 - (all.len() - 2), "{gap} {}", all.len());
        assert!(agent.says("are written to").contains(&format!("again; {missed} changes are not in it")));
        wait("an end of the trouble", || state(&agent).is_empty().then_some(()));
        assert!(!agent.end().contains("written"), "each is said once");
    });
}

#[test]
fn root_what_is_in_the_way_of_the_next_file_is_told_and_writing_goes_on_without_it() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let (file, before) = (dir.path().join("changes"), dir.path().join("changes.1"));
        std::fs::create_dir_all(before.join("x")).unwrap();
        let agent = agent(&file, "size = \"64KiB\"");
        until(&file, "the beginning", is("action", "watched"));
        let rule = |n: usize| format!("add rule inet t c tcp dport {n} accept");
        nft(&format!("add table inet t\nadd chain inet t c\n{}", (1..=400).map(rule).collect::<Vec<_>>().join("\n")));
        assert!(agent.says("no changes are written down").contains("changes.1"));
        let told = wait("the state", || Some(state(&agent)).filter(|told| told.contains("are not in it")));
        let there = lines(&file);
        let missed = 402 - (there.len() - 1);
        assert!(told.ends_with(&format!("; {missed} changes are not in it")), "{told}");
        assert!(std::fs::metadata(&file).unwrap().len() <= 64 << 10);
        std::fs::remove_dir_all(&before).unwrap();
        let lost = format!("changes were lost: {missed} could not be written");
        let next = until(&file, "the gap", is("after", &lost));
        assert_eq!((lines(&before), next.len()), (there, 2), "what is not a change is not missing");
        assert!(agent.says("again;").ends_with(&format!("{missed} changes are not in it")));
        wait("an end of the trouble", || state(&agent).is_empty().then_some(()));
    });
}

/// Waits until an agent hears changes.
fn until_heard(agent: &Agent) {
    wait("an agent that hears changes", || {
        nft("add table inet u\ndelete table inet u");
        tells(agent, "table inet u").then_some(())
    });
}

/// Whether an agent has heard of something.
fn tells(agent: &Agent, what: &str) -> bool {
    agent.ask("GET /api/v1/tables/ruleset_change", &[]).1.contains(what)
}

#[test]
fn root_what_one_has_heard_and_not_written_before_its_end_is_written_by_the_next() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("changes");
        let one = agent(&file, "");
        until(&file, "the beginning", is("action", "watched"));
        let two = agent(&file, "");
        two.says("another netglance writes changes");
        until_heard(&two);
        nft("add table inet written");
        until(&file, "a table", is("table", "written"));
        // SAFETY: a child of the agent that this test has started
        assert_eq!(unsafe { libc::kill(one.part("netglance-sampl") as i32, libc::SIGSTOP) }, 0);
        for n in 0..3 {
            nft(&format!("add table inet unwritten{n}"));
        }
        wait("the other one", || tells(&two, "table inet unwritten2").then_some(()));
        drop(one);
        nft("add table inet next");
        let all = until(&file, "the next table", is("table", "next"));
        let tables: Vec<&str> =
            all.iter().filter_map(|line| line["table"].as_str()).filter(|name| *name != "u").collect();
        assert_eq!(tables, ["written", "unwritten0", "unwritten1", "unwritten2", "next"]);
        assert!(!all.iter().any(is("action", "lost")), "{all:?}");
    });
}

#[test]
fn root_a_file_that_is_moved_away_in_the_middle_of_a_burst_takes_no_change_with_it() {
    const RULES: usize = 4000;
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let (file, place) = (dir.path().join("changes"), |n: usize| dir.path().join(format!("old{n}")));
        let agent = agent(&file, "");
        until(&file, "the beginning", is("action", "watched"));
        nft("add table inet t\nadd chain inet t c");
        let done = std::sync::atomic::AtomicBool::new(false);
        let mut moved = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for first in (1..=RULES).step_by(100) {
                    let rule = |n: usize| format!("add rule inet t c tcp dport {n} accept");
                    nft(&(first..first + 100).map(rule).collect::<Vec<_>>().join("\n"));
                }
                done.store(true, std::sync::atomic::Ordering::Release);
            });
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                std::fs::rename(&file, place(moved)).unwrap();
                moved += 1;
                // SAFETY: the agent that this test has started
                assert_eq!(unsafe { libc::kill(agent.pid() as i32, libc::SIGHUP) }, 0);
                until(&file, "another beginning", is("action", "watched"));
            }
        });
        let all = || (0..moved).map(place).chain([file.clone()]).flat_map(|file| lines(&file)).collect::<Vec<_>>();
        let last = format!("tcp dport {RULES} accept");
        let all = wait("the last rule", || Some(all()).filter(|all| all.iter().any(is("after", &last))));
        assert!(moved > 1, "{moved}");
        let mut ports: Vec<usize> =
            all.iter().filter_map(|line| line["after"].as_str()?.split(' ').nth(2)?.parse().ok()).collect();
        ports.sort_unstable();
        assert_eq!(ports, (1..=RULES).collect::<Vec<_>>());
        assert!(!all.iter().any(is("action", "lost")));
        assert_eq!(state(&agent), "");
    });
}

#[test]
fn root_of_those_who_take_turns_one_writes_each_change_and_none_is_said_to_be_lost() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("changes");
        let config = dir.path().join("netglance.toml");
        std::fs::write(&config, format!("[trail]\nfile = \"{}\"", file.display())).unwrap();
        let arguments = ["--config", config.to_str().unwrap()];
        let mut one = support::pty::Session::ready(100, 30, &arguments);
        until(&file, "the beginning", is("action", "watched"));
        let agent = agent(&file, "");
        agent.says("another netglance writes changes");
        let add = |n: u32| {
            nft(&format!("add table inet t{n}"));
            until(&file, "a table", is("table", &format!("t{n}")))
        };
        until_heard(&agent);
        for n in 0..20 {
            add(n);
        }
        assert_eq!(state(&agent), "");
        one.send("q");
        assert_eq!(one.end(), 0);
        let all = add(20);
        let made = |line: &Value| line["generation"].as_u64().unwrap();
        let [.., last, begun, next] = &all[..] else { panic!("{all:?}") };
        assert_eq!((begun["action"].as_str(), made(begun), made(next)), (Some("watched"), made(last), made(last) + 1));
        let mut two = support::pty::Session::ready(100, 30, &arguments);
        for n in 21..40 {
            add(n);
        }
        agent.end();
        let all = add(40);
        for n in 0..=40 {
            let lines = all.iter().filter(|line| is("table", &format!("t{n}"))(line)).count();
            assert_eq!(lines, 1, "t{n}");
        }
        assert!(!all.iter().any(is("action", "lost")), "{all:?}");
        two.send("q");
        assert_eq!(two.end(), 0);
    });
}

#[test]
fn root_a_path_that_is_refused_is_told_and_tried_again() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let (target, link, place) = (dir.path().join("target"), dir.path().join("link"), dir.path().join("place"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), 0o600.into()).unwrap();
        std::fs::write(dir.path().join("open"), "").unwrap();
        std::fs::set_permissions(dir.path().join("open"), std::fs::Permissions::from_mode(0o666)).unwrap();
        for (name, why) in [("link", "symbolic links"), ("pipe", ""), ("open", "can be used by others")] {
            let agent = agent(&dir.path().join(name), "");
            let told = agent.says("no changes are written down");
            assert!(told.contains(why), "{told}");
            wait("the state", || state(&agent).contains("the log says why").then_some(()));
        }
        assert!(!target.exists());
        let agent = agent(&place.join("changes"), "");
        agent.says("No such file or directory");
        std::fs::create_dir(&place).unwrap();
        agent.says("changes of the packet filter that are heard are written to");
        wait("an end of the trouble", || state(&agent).is_empty().then_some(()));
        nft("add table inet t");
        until(&place.join("changes"), "the table", is("part", "table"));
    });
}

#[test]
fn root_namespaces_that_cannot_be_read_hide_no_fault_of_the_file() {
    in_own_network(|| {
        mount("none", Path::new("/run"), "tmpfs", 0, "");
        std::fs::write("/run/netns", "").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let more = format!("[trail]\nfile = \"{}\"", dir.path().join("place/changes").display());
        let agent = Agent::prepared("127.0.0.1:0", &more, |dir| {
            let path = dir.path().join("netglance.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, format!("netns = [\"*\"]\n{text}")).unwrap();
        });
        wait("both", || {
            let told = state(&agent);
            (told.contains("run/netns: Not a directory") && told.contains("the log says why")).then_some(())
        });
    });
}

#[test]
fn root_a_dashboard_writes_what_no_agent_does() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("changes");
        let config = dir.path().join("netglance.toml");
        std::fs::write(&config, format!("[trail]\nfile = \"{}\"\nsize = \"64KiB\"", file.display())).unwrap();
        let arguments = ["--config", config.to_str().unwrap()];
        let mut one = support::pty::Session::ready(100, 30, &arguments);
        until(&file, "the beginning", is("action", "watched"));
        let mut two = support::pty::Session::ready(100, 30, &arguments);
        let rule = |n: usize| format!("add rule inet t c tcp dport {n} accept");
        nft(&format!("add table inet t\nadd chain inet t c\n{}", (1..=400).map(rule).collect::<Vec<_>>().join("\n")));
        let all = until(&file, "the last rule", is("after", "tcp dport 400 accept"));
        assert!(dir.path().join("changes.1").exists());
        assert_eq!(all.iter().filter(|line| is("after", "tcp dport 400 accept")(line)).count(), 1);
        assert_eq!(all.iter().filter(|line| is("action", "watched")(line)).count(), 0);
        // the other one takes its place
        one.send("q");
        assert_eq!(one.end(), 0);
        wait("the other one", || {
            nft("add table inet u\ndelete table inet u");
            lines(&file).iter().any(|line| line["table"] == "u").then_some(())
        });
        two.send("q");
        assert_eq!(two.end(), 0);
    });
}

#[test]
fn who_may_not_hear_changes_says_so_and_keeps_nobody_from_the_file() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("left out: only root can start somebody who may do less");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let config = dir.path().join("netglance.toml");
    let file = dir.path().join("changes");
    let text =
        format!("[serve]\nlisten = \"127.0.0.1:0\"\nstate = \"/nowhere\"\n[trail]\nfile = \"{}\"", file.display());
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
    command.arg("--config").arg(&config).arg("serve").stdin(Stdio::null()).stderr(Stdio::piped());
    as_nobody(&mut command);
    let mut agent = command.spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(agent.stderr.take().unwrap()));
    let (sender, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let told = std::iter::from_fn(|| said.recv_timeout(PATIENCE).ok());
    let told = told.into_iter().find(|line| line.contains("no changes are written down"));
    let _ = agent.kill();
    let _ = agent.wait();
    assert!(told.is_some_and(|told| told.contains("CAP_NET_ADMIN")));
    assert!(!file.exists());
}
