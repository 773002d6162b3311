//! Is somebody told of what happens while nobody looks, once, whatever becomes of the agent?
//!
//! A real agent, whose action is a real program; what fires is that a process is there, or that a guest of QEMU is busy.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use netglance::alert::dispatch::Dispatch;
use netglance::alert::run::{self, Rules, Watcher};
use netglance::alert::{self, Change, Notification};
use netglance::collect::settings::Settings as CollectSettings;
use netglance::collect::{COLLECTORS, EVERY_SECOND};
use netglance::model::Allowed;
use netglance::source::file::Roots;
use netglance::store::level::Thresholds;
use netglance::store::local::{LocalHost, Options};

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use served::{Agent, PATIENCE};
use support::pty::{Session, hostname, netglance};
use support::qemu::{Guest, Work};
use support::ring::wait_until;

/// A directory in which whoever runs actions may write.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o777)).tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let desk = Self { dir };
        let told = desk.path("told");
        let script = format!(
            "#!/bin/sh\nprintf '%s %s %s\\n' \"$(date +%s.%N)\" \"$NETGLANCE_ALERT_CHANGE\" \"$NETGLANCE_ALERT_TEXT\" >> {}\n",
            told.display()
        );
        std::fs::write(desk.path("page"), script).unwrap();
        std::fs::set_permissions(desk.path("page"), PermissionsExt::from_mode(0o755)).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Rules and the action of an agent.
    fn rules(&self, alert: &str) -> String {
        let page = self.path("page");
        format!(
            "defaults = false\n[[alert]]\n{alert}\n[[action]]\nname = 'page'\nwindow = '8s'\ncommand = {{ argv = ['{}'] }}\n",
            page.display()
        )
    }

    /// What was told: when, what, and in which words.
    fn told(&self) -> Vec<(f64, String)> {
        let text = std::fs::read_to_string(self.path("told")).unwrap_or_default();
        let whole = text.lines().filter_map(|line| line.split_once(' '));
        whole.map(|(time, what)| (time.parse().unwrap(), what.to_owned())).collect()
    }

    /// Waits until so many things were told.
    fn wait(&self, count: usize) -> Vec<(f64, String)> {
        let begin = Instant::now();
        loop {
            let told = self.told();
            if told.len() >= count {
                return told;
            }
            assert!(begin.elapsed() < PATIENCE, "waited in vain for {count}: {told:?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Starts a process of a name.
    fn process(&self, name: &str) -> Child {
        let program = self.path(name);
        std::fs::copy("/bin/sleep", &program).unwrap();
        Command::new(program).arg("600").stdin(Stdio::null()).spawn().unwrap()
    }
}

fn agent(rules: &str, state: Option<&Path>) -> Agent {
    agent_with("", rules, state)
}

fn agent_with(more: &str, rules: &str, state: Option<&Path>) -> Agent {
    Agent::prepared("127.0.0.1:0", more, |dir| {
        let path = dir.path().join("alerts.toml");
        std::fs::write(&path, rules).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        if let Some(state) = state {
            let own = dir.path().join("state");
            std::fs::create_dir(&own).unwrap();
            let file = own.join("alerts.state");
            std::fs::copy(state.join("alerts.state"), &file).unwrap();
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
        }
    })
}

/// Rows of a table of an agent, as JSON.
fn show(agent: &Agent, table: &str) -> serde_json::Value {
    let host = format!("unix:{}", agent.socket().display());
    let output = Command::new(env!("CARGO_BIN_EXE_netglance"))
        .args(["show", table, "--format", "json", "--host", &host])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

#[test]
fn whoever_looks_from_elsewhere_hears_what_begins_then_and_not_what_was_before() {
    let desk = Desk::new();
    let names = ["old", "new"].map(|word| format!("ng{word}{}", std::process::id()));
    let rule = |name: &String| {
        format!(
            "[[alert]]\nname = '{name}'\ntable = 'process'\nwhere = 'name == \"{name}\"'\nmax = 0\nseverity = 'critical'\n\
             text = \"{name} is \\u001b]0;there\"\n"
        )
    };
    let rules: Vec<String> = names.iter().map(rule).collect();
    let agent = agent(&format!("defaults = false\n{}", rules.join("")), None);
    let mut processes = vec![desk.process(&names[0])];
    while show(&agent, "alert")[0]["state"] != "firing" {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let mut command = netglance(&["connect", &format!("unix:{}", agent.socket().display())]);
    command.env_remove("NETGLANCE__BELL").env_remove("NETGLANCE__NOTIFY");
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let mut session = Session::spawn(120, 40, command);
    session.wait_for("the alert above the last row", |screen| screen.contains(&format!("{}: ", names[0])));
    let has = |raw: &[u8], words: &str| raw.windows(words.len()).any(|part| part == words.as_bytes());
    assert!(!has(&session.raw, "\x07"), "it was before");
    processes.push(desk.process(&names[1]));
    let told = format!("\x1b]9;netglance: {}: critical: {} is \\x1b]0;there\x1b\\", hostname(), names[1]);
    let end = Instant::now() + PATIENCE;
    while !(has(&session.raw, "\x07") && has(&session.raw, &told)) {
        assert!(Instant::now() < end, "{}", session.screen());
        session.pump(Duration::from_millis(50));
    }
    assert!(!has(&session.raw, &format!("critical: {}", names[0])) && !has(&session.raw, "\x1b]0;"));
    session.send("q");
    assert_eq!(session.end(), 0);
    for mut process in processes {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

#[test]
fn an_alert_is_told_once_after_its_time_and_an_agent_that_is_killed_repeats_and_loses_nothing() {
    let desk = Desk::new();
    let name = format!("ng{}", std::process::id());
    let rules = desk.rules(&format!(
        "name = 'marked'\ntable = 'process'\nwhere = 'name == \"{name}\"'\nmax = 0\nfor = '2s'\nkeep_firing_for = '1s'\n\
         severity = 'critical'\ntext = '{{count}} of them'"
    ));
    let first = agent(&rules, None);
    let begin = now();
    let mut process = desk.process(&name);
    // no client is there
    let told = desk.wait(1);
    assert_eq!(told[0].1, "fired 1 of them");
    assert!(told[0].0 - begin >= 2.0, "{told:?} since {begin}");
    let since = show(&first, "alert")[0]["since"].clone();
    // what came of it is known within a second
    let begin_shown = Instant::now();
    while show(&first, "alert_action")[0]["sent"] != 1 {
        assert!(begin_shown.elapsed() < PATIENCE);
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(first.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let state = first.dir.path().join("state");
    let second = agent(&rules, Some(&state));
    let begin = Instant::now();
    let alert = loop {
        let alerts = show(&second, "alert");
        if alerts[0]["state"] == "firing" {
            break alerts[0].clone();
        }
        assert!(begin.elapsed() < PATIENCE, "{alerts}");
    };
    assert_eq!(alert["since"], since, "it has been so since before");
    // beyond the window it goes on, and nobody hears of it again
    while now() - told[0].0 < 11.0 {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert_eq!(desk.told().len(), 1, "{:?}", desk.told());
    process.kill().unwrap();
    process.wait().unwrap();
    let gone = now();
    let told = desk.wait(2);
    let what: Vec<&str> = told.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(what, ["fired 1 of them", "cleared 0 of them"]);
    assert!(told[1].0 - gone >= 1.0, "that it is over has held for its time: {told:?} {gone}");
    // rows follow within a second
    let begin = Instant::now();
    loop {
        let events = show(&second, "event");
        // that a busy disk was late is an event, too
        let of_rule = events.as_array().unwrap().iter().filter(|event| event["rule"] == "marked");
        let words: Vec<&str> = of_rule.filter_map(|event| event["what"].as_str()).collect();
        if words.len() >= 2 {
            assert_eq!(words, ["fired", "cleared"], "those of before are known: {events}");
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{events}");
    }
}

/// Switches off all collectors but those about alerts and guests, which have as much time as they need.
fn lean() -> String {
    let others = COLLECTORS.iter().filter(|entry| !["alert", "vm"].contains(&entry.name));
    let off = others.map(|entry| format!("[collect.{}]\nenabled = false\n", entry.name));
    off.chain(["[collect.vm]\nbudget = 0\n".to_owned()]).collect()
}

/// What is told in a dashboard of this host, and when.
fn dashboard(rule: &str) -> (Watcher, Receiver<(f64, Notification)>) {
    let settings: alert::settings::Settings = toml::from_str(&format!("[[alert]]\n{rule}")).unwrap();
    let (rules, wrong) = Rules::new(&settings, Thresholds::default());
    assert!(wrong.is_empty(), "{wrong:?}");
    let (sender, heard) = channel();
    let hear = move |told: &[Notification]| {
        for one in told {
            let _ = sender.send((now(), one.clone()));
        }
    };
    let mut sections: BTreeMap<String, CollectSettings> = toml::from_str(&lean()).unwrap();
    let (roots, settings) = (Roots::live(), sections.remove("collect").unwrap());
    let options = Options { roots, settings, tick: EVERY_SECOND, actions: Allowed::Nothing };
    let host = LocalHost::start(options, Box::new(|| {})).unwrap();
    let watcher = Watcher::start(run::Options {
        board: Arc::default(),
        host,
        rules,
        dispatch: Dispatch::new(Vec::new(), Arc::default(), String::new()),
        is_kept: false,
        hear: Box::new(hear),
    });
    (watcher.unwrap(), heard)
}

#[test]
fn root_a_guest_that_is_busy_fires_after_its_time_and_is_over_when_it_is_paused_not_when_it_is_less_busy() {
    let desk = Desk::new();
    let name = format!("busy{}", std::process::id());
    let rule = format!(
        "name = 'hot'\ntable = 'vm'\nwhere = 'name == \"{name}\"'\nvalue = 'used + ready'\ncritical = '80%'\nclear = '8%'\nfor = '3s'\nkeep_firing_for = '1s'\n\
         by = ['name']\ntext = 'guest {{name}} wants {{value}} of its CPUs'"
    );
    // whatever else runs here, who wants a CPU either has it or waits for it
    let dir = tempfile::tempdir().unwrap();
    let args = ["-name", &format!("guest={name},debug-threads=on"), "-m", "16"];
    let guest = Guest::boot(dir.path(), "busy", Work::Ease, &args);
    guest.wait();
    guest.ask("stop");
    let agent = agent_with(&lean(), &desk.rules(&rule), None);
    let (_watcher, heard) = dashboard(&rule);
    let own = |table: &str, column: &str| {
        let rows = show(&agent, table);
        rows.as_array().and_then(|rows| rows.iter().find(|row| row[column] == *name).cloned()).unwrap_or_default()
    };
    wait_until("the guest", || own("vm", "name")["state"] == "paused");

    let begin = now();
    guest.ask("cont");
    let told = desk.wait(1);
    let (time, first) = heard.recv_timeout(PATIENCE).unwrap();
    assert!(told[0].1.starts_with(&format!("fired guest {name} wants ")), "{told:?}");
    assert_eq!((first.change, first.instance.contains(&name)), (Change::Fired, true));
    // rows follow within a second
    let mut alert = serde_json::Value::Null;
    wait_until("a row of what fires", || {
        alert = own("alert", "instance");
        alert["fired"].is_number()
    });
    let seconds = |column: &str| alert[column].as_f64().unwrap();
    for (since, fired) in [(seconds("since"), seconds("fired")), (first.begin, time)] {
        // the first sample of an interval in which it was busy all the time is the second one
        assert!((0.0..=3.0).contains(&(since - begin)), "busy since {begin}, seen at {since}");
        assert!((3.0..=4.0).contains(&(fired - since)), "since {since}, fired at {fired}");
    }

    // less than what it takes to fire, and more than what it takes to be over
    guest.tell("send-key", &serde_json::json!({"keys": [{"type": "qcode", "data": "a"}]}));
    let mut samples = BTreeSet::new();
    wait_until("a guest that is less busy", || {
        let alert = own("alert", "instance");
        assert_eq!((&alert["state"], &alert["severity"]), (&"firing".into(), &"critical".into()), "{alert}");
        let used = alert["number"].as_f64().unwrap();
        if used < 0.7 {
            samples.insert((used * 1e9) as u64);
        }
        samples.len() >= 4
    });
    assert!(heard.try_recv().is_err());
    assert!(samples.iter().all(|used| *used > 80_000_000), "{samples:?}");

    guest.ask("stop");
    let told = desk.wait(2);
    let (_, second) = heard.recv_timeout(PATIENCE).unwrap();
    assert!(told[1].1.starts_with(&format!("cleared guest {name} wants ")), "{told:?}");
    assert_eq!((second.change, &second.alert), (Change::Cleared, &first.alert));
    assert_eq!(desk.told().len(), 2, "{:?}", desk.told());
    assert!(heard.try_recv().is_err());
}

#[test]
fn a_rule_is_tried_on_what_an_agent_remembers() {
    let rules = "defaults = false\n\
                 [[alert]]\nname = 'any'\ntable = 'load'\nvalue = 'tasks'\ncritical = 1\ntext = 'there are tasks'\n\
                 [[alert]]\nname = 'none'\ntable = 'load'\nvalue = 'tasks'\ncritical = 1000000000\n\
                 [[alert]]\nname = 'few'\ntable = 'load'\nmin = 1\n\
                 [[alert]]\nname = 'log'\ntable = 'event'\nwhen = 'seq > 0'\n";
    let agent = agent(rules, None);
    let test = |rule: &str| {
        let host = format!("unix:{}", agent.socket().display());
        let output = served::command(&agent.dir)
            .args(["alerts", "test", rule, "--since", "1h", "--host", &host])
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), told)
    };
    let begin = Instant::now();
    let lines = loop {
        let (code, [told, wrong]) = test("any");
        let lines: Vec<String> = told.lines().map(str::to_owned).collect();
        // as soon as a sample is remembered
        if lines.len() == 2 && code == Some(0) {
            break lines;
        }
        assert!(begin.elapsed() < PATIENCE, "{told} {wrong}");
    };
    assert!(lines[0].ends_with(" fired critical: there are tasks"), "{lines:?}");
    assert!(lines[1].starts_with("it would have fired 1 times in "), "{lines:?}");
    let (code, [told, _]) = test("none");
    assert!(code == Some(0) && told.starts_with("it would have fired 0 times in "), "{told}");
    for (rule, why) in [("few", "it is about which rows there were"), ("log", "nothing is remembered")] {
        let (code, [told, wrong]) = test(rule);
        assert!(code == Some(2) && told.is_empty() && wrong.contains(why), "{rule}: {told} {wrong}");
    }
}
