//! Does the dashboard of many hosts work in a terminal, with agents that live and one that does not?
//!
//! Two real agents on unix sockets and a host that is not there; keys are pressed and the screen is read back.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use support::pty::{PATIENT, Session, netglance};

/// An agent that ends with the test.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path, name: &str) -> Self {
        let socket = dir.join(name);
        let mut command = netglance(&["serve", "--listen", "127.0.0.1:0", "--socket"]);
        command.arg(&socket).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Self { child: command.spawn().unwrap(), socket };
        let begin = Instant::now();
        while !agent.socket.exists() {
            assert!(begin.elapsed() < PATIENT, "no agent");
            std::thread::park_timeout(Duration::from_millis(10));
        }
        agent
    }

    fn target(&self) -> String {
        format!("unix:{}", self.socket.display())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn first(screen: &str) -> &str {
    screen.lines().next().unwrap_or_default()
}

#[test]
fn hosts_are_rows_that_open_and_their_rows_are_one_table() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Agent::start(dir.path(), "one"), Agent::start(dir.path(), "two"));
    let gone = format!("unix:{}", dir.path().join("no").display());
    let mut session = Session::start(160, 40, &["browse", &one.target(), &two.target(), &gone]);
    session.wait_for("all hosts", |screen| {
        first(screen).contains("3 hosts · 2 live · 1 unreachable") && screen.contains("/one") && screen.contains("/no")
    });

    // the host that is named two, whatever is wrong with it
    session.send("/address =~ \"two$\"\r");
    session.wait_for("one host", |screen| screen.contains("1 of 3, filter address"));
    session.send("\x1b[B\r");
    session.wait_for("the host", |screen| first(screen).contains("via unix:") && screen.contains("Processes"));
    assert!(first(&session.screen()).contains("/two"), "{}", session.screen());
    session.escape();
    session.wait_for("all hosts again", |screen| first(screen).contains("fleet  3 hosts"));

    session.send("j");
    session.wait_for("groups", |screen| screen.contains("By group 1"));
    session.escape();
    session.send(":process\r");
    session.wait_for("the processes of both", |screen| {
        screen.contains("2 of 3 hosts: 1 not live") && screen.contains("/one") && screen.contains("/two")
    });
    session.send("\x1b[B\r");
    session.wait_for("a process on its host", |screen| {
        first(screen).contains("via unix:") && screen.contains("Processes") && screen.contains("esc:fleet")
    });
    session.escape();
    session.wait_for("the processes again", |screen| screen.contains("2 of 3 hosts: 1 not live"));
    drop(two);
    session.wait_for("the loss", |screen| screen.contains("1 of 3 hosts: 2 not live"));
    session.send("q");
    assert!(session.ended(PATIENT).0.success());
}

#[test]
fn flags_say_what_is_shown_first_and_how_often_hosts_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let one = Agent::start(dir.path(), "one");
    let wrong = netglance(&["browse", "--view", "proces", &one.target()]).output().unwrap();
    let told = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(2), "{told}");
    assert!(told.contains("no view `proces`") && told.contains("did you mean `process`?"), "{told}");

    // what a file says of one host is not meant for many
    let config = dir.path().join("netglance.toml");
    std::fs::write(&config, "view = 'cpu'\nfilter = 'cpu > 1%'\n").unwrap();
    let mut command =
        netglance(&["browse", "--view", "process", "--filter", "pid == 1", "--interval", "1s", "--config"]);
    command.arg(&config).arg(one.target());
    let mut session = Session::spawn(160, 40, command);
    session.wait_for("one process", |screen| screen.contains("filter pid == 1") && screen.contains("Processes 1 of "));
    session.escape();
    session.send("q");
    assert!(session.ended(PATIENT).0.success());

    let mut command = netglance(&["browse", "--config"]);
    command.arg(&config).arg(one.target());
    let mut session = Session::spawn(160, 40, command);
    session.wait_for("the host", |screen| first(screen).contains("1 live"));
    session.send("q");
    assert!(session.ended(PATIENT).0.success());
}
