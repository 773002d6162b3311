//! Does a file system that hangs stall alone, while everything else goes on?

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::thread::UnshareFlags;

use crate::support::process::Guard;
use crate::support::pty::{PATIENT, Session, netglance};
use crate::support::space::{mount, mount_fuse, unmount, within};
use crate::support::watchman::first_forbidden;

/// Answers the first question of the kernel, so that the file system counts as there, and then no other one.
fn greet(device: &OwnedFd) {
    let mut question = vec![0; 1 << 17];
    let length = rustix::io::read(device, question.as_mut_slice()).unwrap();
    assert!(length > 40 && question[4..8] == 26_u32.to_ne_bytes(), "FUSE_INIT comes first");
    let mut answer = Vec::new();
    answer.extend(80_u32.to_ne_bytes());
    answer.extend(0_i32.to_ne_bytes());
    answer.extend(&question[8..16]);
    // major, minor, read ahead, flags, background, most written, time granularity
    answer.extend([7_u32, 31, 4096, 0, 0, 4096, 1].iter().flat_map(|word| word.to_ne_bytes()));
    answer.resize(80, 0);
    assert_eq!(rustix::io::write(device, &answer).unwrap(), 80);
}

/// Times that the header shows while `span` passes, and the longest time in which it did not change.
fn clock(session: &mut Session, span: Duration) -> (usize, Duration) {
    let (mut times, mut longest) = (BTreeSet::new(), Duration::ZERO);
    let (begin, mut changed) = (Instant::now(), Instant::now());
    while begin.elapsed() < span {
        session.pump(Duration::from_millis(20));
        let header: String = session.screen().lines().take(1).collect();
        if times.insert(header) {
            longest = longest.max(changed.elapsed());
            changed = Instant::now();
        }
    }
    (times.len(), longest.max(changed.elapsed()))
}

#[test]
fn root_a_hung_mount_stalls_alone_on_the_whole_dashboard() {
    within(UnshareFlags::NEWNS, || {
        mount("none", Path::new("/mnt"), "tmpfs", 0, "");
        let place = Path::new("/mnt/hung");
        std::fs::create_dir(place).unwrap();
        let mut session = Session::ready(200, 60, &["--view", "storage"]);
        session.wait_for("the mounts", |screen| screen.contains("/mnt"));
        let device = mount_fuse(place);
        greet(&device);
        let begin = Instant::now();
        let (times, longest) = clock(&mut session, Duration::from_secs(4));
        assert!(times >= 3 && longest < Duration::from_millis(2500), "{times} headers, {longest:?} without a new one");
        session.wait_for("a stalled mount", |screen| {
            screen.lines().any(|line| line.contains("/mnt/hung") && line.contains("stalled"))
        });
        assert!(begin.elapsed() < Duration::from_secs(8), "stalled after {:?}", begin.elapsed());
        assert!(session.screen().lines().any(|line| line.contains("/mnt ") && !line.contains("stalled")));
        // one that hangs from the beginning, with another one beside it
        let other = Path::new("/mnt/other");
        std::fs::create_dir(other).unwrap();
        let silent = mount_fuse(other);
        let second = Session::ready(200, 60, &["--view", "storage"]);
        for mut session in [session, second] {
            session.wait_for("both", |screen| screen.matches("stalled").count() >= 2);
            session.send("q");
            let (status, took) = session.ended(PATIENT);
            assert!(status.success() && took < Duration::from_secs(1), "{status} after {took:?}");
            assert_eq!(first_forbidden(&session.raw), None);
        }
        for args in [&["show", "mount"][..], &["doctor"]] {
            let begin = Instant::now();
            let mut guard = Guard(netglance(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
            let text = std::io::read_to_string(guard.0.stdout.take().unwrap()).unwrap();
            let code = guard.0.wait().unwrap().code();
            assert!(begin.elapsed() < Duration::from_secs(10), "{args:?} took {:?}", begin.elapsed());
            assert_eq!(code, Some(0), "{args:?}: {text}");
            assert!(text.contains("mount") || text.contains("/mnt/hung"), "{text}");
        }
        drop((device, silent));
        unmount(place);
        unmount(other);
    });
}

/// Names of the threads of a process.
fn threads(session: &Session) -> Vec<String> {
    let tasks = format!("/proc/{}/task", session.pid().as_raw_nonzero());
    let names = std::fs::read_dir(tasks).unwrap().filter_map(|task| {
        // one that has just ended is none
        std::fs::read_to_string(task.unwrap().path().join("comm")).ok()
    });
    let mut names: Vec<String> = names.map(|name| name.trim_end().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn root_a_reload_while_a_mount_hangs_leaves_no_thread_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netglance.toml");
    let write = |text: &str| {
        let new = dir.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::rename(&new, &path).unwrap();
    };
    write("");
    within(UnshareFlags::NEWNS, || {
        mount("none", Path::new("/mnt"), "tmpfs", 0, "");
        let place = Path::new("/mnt/hung");
        std::fs::create_dir(place).unwrap();
        let device = mount_fuse(place);
        greet(&device);
        let mut session = Session::ready(120, 40, &["--config", path.to_str().unwrap(), "--view", "storage"]);
        let stalled = |screen: &str| screen.lines().any(|line| line.contains("/mnt/hung") && line.contains("stalled"));
        session.wait_for("a stalled mount", stalled);
        let before = threads(&session);
        assert!(before.iter().any(|name| name == "statfs"), "{before:?}");
        for turn in 0..6 {
            let (theme, ascii) = [("mono", true), ("nord", false)][turn % 2];
            write(&format!("theme = '{theme}'\nascii = {ascii}\n[collect.mount]\nbudget = 0.{}", turn + 1));
            session.wait_for("the new settings", |screen| screen.is_ascii() == ascii);
        }
        session.wait_for("a stalled mount", stalled);
        let after = threads(&session);
        assert!(after.len() <= before.len(), "{before:?} {after:?}");
        session.send("q");
        assert!(session.ended(PATIENT).0.success());
        drop(device);
        unmount(place);
    });
}
