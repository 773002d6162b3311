//! Does everything work for somebody without rights and with little room, and is it said what is missing?

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use netglance::collect::schedule;
use netglance::model::Table;
use rustix::thread::UnshareFlags;

use crate::support::process::{as_nobody, with_descriptors, with_threads};
use crate::support::pty::{Session, netglance, plain_environment};
use crate::support::space::{mount, within};
use crate::support::watchman::first_forbidden;

/// The program where everybody may start it, whoever owns the build.
pub(crate) struct Public {
    _dir: tempfile::TempDir,
    program: PathBuf,
}

impl Public {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("netglance");
        // by another process: what a child of another thread still holds open for writing cannot be run
        assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_netglance")).arg(&program).status().unwrap().success());
        Self { _dir: dir, program }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir("/");
        plain_environment(&mut command);
        as_nobody(&mut command);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every table that is collected without naming an Id.
fn tables() -> BTreeSet<String> {
    let open = |table: &&&Table| !table.columns.iter().any(|column| column.attrs.required);
    schedule::tables().iter().filter(open).map(|table| table.name.to_string()).collect()
}

#[test]
fn root_without_any_right_every_command_works_or_says_what_it_lacks() {
    let public = Public::new();
    let tables = tables();
    assert!(tables.len() > 20);
    for table in &tables {
        let args = ["show", table.as_str(), "--format", "json"];
        let (mine, roots) = (public.run(&args), netglance(&args).stdin(Stdio::null()).output().unwrap());
        let said = text(&mine.stderr);
        match mine.status.code() {
            Some(0) => {
                let rows: Vec<serde_json::Value> = serde_json::from_slice(&mine.stdout).unwrap();
                assert!(table == "listener" || !rows.is_empty() || roots.stdout == b"[]\n", "{table}");
            }
            Some(1) => {
                let capability = said.contains("CAP_") || said.contains("root");
                assert!(roots.status.code() == Some(1) || capability, "{table}: {said}");
            }
            code => panic!("{table}: {code:?} {said}"),
        }
    }
    for args in [&["schema"][..], &["schema", "--json"], &["check"], &["man"], &["completions", "bash"], &["--help"]] {
        let output = public.run(args);
        assert!(output.status.success() && !output.stdout.is_empty(), "{args:?}: {}", text(&output.stderr));
    }
    let doctor = public.run(&["doctor"]);
    let said = text(&doctor.stdout);
    assert!(doctor.status.success(), "{said}");
    assert!(said.contains("partly denied") && said.contains("CAP_SYS_PTRACE"), "{said}");
}

#[test]
fn root_without_any_right_the_dashboard_shows_all_and_names_the_capability() {
    let public = Public::new();
    let mut session = Session::spawn(200, 50, public.command(&[]));
    session.wait_for("the overview", |screen| screen.contains("CPU") && screen.contains("pid user"));
    for _ in 0..7 {
        session.send("\t");
        session.pump_for(Duration::from_millis(150));
    }
    session.send("q");
    assert_eq!(session.end(), 0);
    session.assert_terminal_is_given_back("q");
    assert_eq!(first_forbidden(&session.raw), None);
    let mut session = Session::spawn(240, 50, public.command(&["--view", "processes"]));
    session.wait_for("the capability", |screen| screen.contains("CAP_SYS_PTRACE"));
    session.send("q");
    assert_eq!(session.end(), 0);
}

#[test]
fn root_with_hidepid_every_command_works_on_what_is_left() {
    let public = Public::new();
    within(UnshareFlags::empty(), || {
        mount("proc", std::path::Path::new("/proc"), "proc", 0, "hidepid=2");
        let output = public.run(&["show", "process", "--format", "json"]);
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert!(!rows.is_empty() && rows.iter().all(|row| row["user"] == "nobody"), "{}", text(&output.stdout));
        for args in [&["show", "cpu"][..], &["show", "link"], &["show", "listener"], &["show", "host"], &["doctor"]] {
            let output = public.run(args);
            assert!(output.status.success(), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
        }
        let mut session = Session::spawn(200, 50, public.command(&[]));
        session.wait_for("the overview", |screen| screen.contains("CPU") && screen.contains("netglance"));
        session.send("q");
        assert_eq!(session.end(), 0);
    });
}

#[test]
fn with_few_descriptors_it_does_less_and_says_so() {
    for most in [10, 16, 24, 32, 40, 64] {
        for args in [&["doctor"][..], &["show", "process"], &["show", "link"], &["show", "cpu"]] {
            let mut command = netglance(args);
            with_descriptors(&mut command, most);
            let output = command.stdin(Stdio::null()).output().unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            let code = output.status.code();
            assert!(code == Some(0) || (code == Some(1) && said.contains("Too many open files")), "{most}: {said}");
            assert!(most < 40 || code == Some(0), "{most} are enough for {args:?}: {said}");
            assert!(!said.contains("Too many") || said.contains("ulimit"), "{most}, {args:?}: {said}");
        }
        let mut command = netglance(&["--view", "collector"]);
        with_descriptors(&mut command, most);
        let mut session = Session::spawn(240, 50, command);
        if most < 40 {
            // it may not even come up, but then it says why
            let up = |session: &Session| session.screen().contains("process") || session.is_gone();
            let end = std::time::Instant::now() + Duration::from_secs(10);
            while !up(&session) && std::time::Instant::now() < end {
                session.pump(Duration::from_millis(50));
            }
            if session.is_gone() {
                let status = session.ended(Duration::from_secs(1)).0;
                assert!(matches!(status.code(), Some(1 | 2)), "{most}: {status} {}", session.screen());
                let said = session.screen();
                // the reader of keys does not keep the cause
                let why = said.contains("Too many open files") || said.contains("input reader");
                assert!(why, "{most}: {status} {said}");
                continue;
            }
        }
        session.wait_for("the collectors", |screen| screen.contains("process"));
        session.pump_for(Duration::from_secs(2));
        assert!(!session.is_gone(), "{most}: {}", session.screen());
        let shown = session.screen();
        assert!(!shown.contains("failed") || shown.contains("Too many open files"), "{most}:\n{shown}");
        session.send("q");
        assert_eq!(session.end(), 0);
        session.assert_terminal_is_given_back("few descriptors");
    }
}

#[test]
fn root_with_few_threads_it_says_so_and_never_panics() {
    let public = Public::new();
    // a user of whom nothing else runs
    let bounded = |args: &[&str], most| {
        let mut command = public.command(args);
        command.uid(64_997);
        with_threads(&mut command, most);
        command
    };
    for args in [&["doctor"][..], &["show", "process"]] {
        let output = bounded(args, 1).stdin(Stdio::null()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("netglance: cannot start a thread: ") && said.contains("ulimit -u"), "{said}");
    }
    // how many it takes depends on the file systems that are mounted
    let mut came_up = 0;
    for most in (8..100).step_by(2) {
        if came_up == 3 {
            break;
        }
        let mut session = Session::spawn(200, 50, bounded(&[], most));
        let end = std::time::Instant::now() + Duration::from_secs(10);
        while !session.is_gone() && !session.screen().contains("CPU") && std::time::Instant::now() < end {
            session.pump(Duration::from_millis(20));
        }
        if session.is_gone() {
            let status = session.ended(Duration::from_secs(1)).0;
            let said = session.screen();
            assert_eq!(status.code(), Some(1), "{most}: {said}");
            assert!(said.contains("cannot start a thread") && !said.contains("panicked"), "{most}: {said}");
            continue;
        }
        came_up += 1;
        session.send("q");
        assert_eq!(session.end(), 0, "{most}");
        assert!(!session.screen().contains("panicked"), "{most}: {}", session.screen());
    }
    assert_eq!(came_up, 3);
}
