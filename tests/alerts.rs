//! Is somebody told of what happens while nobody looks, once, whatever becomes of the agent?
//!
//! A real agent, whose action is a real program; what fires is that a process is there.

#![cfg(test)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[expect(dead_code, reason = "each test program uses its part")]
mod served;

use served::{Agent, PATIENCE};

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
    Agent::prepared("127.0.0.1:0", "", |dir| {
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
    let told = desk.wait(2);
    let what: Vec<&str> = told.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(what, ["fired 1 of them", "cleared 0 of them"]);
    assert!(told[1].0 - told[0].0 >= 8.0, "nothing of it is told twice within the window: {told:?}");
    // rows follow within a second
    let begin = Instant::now();
    let events = loop {
        let events = show(&second, "event");
        if events.as_array().is_some_and(|events| events.len() >= 2) {
            break events;
        }
        assert!(begin.elapsed() < PATIENCE, "{events}");
    };
    let words: Vec<&str> = events.as_array().unwrap().iter().filter_map(|event| event["what"].as_str()).collect();
    assert_eq!(words, ["fired", "cleared"], "those of before are known: {events}");
}
