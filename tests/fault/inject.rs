//! Does the program live when the kernel refuses, and does it say what failed?

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::pty::{PATIENT, Session, plain_environment};
use crate::support::watchman::first_forbidden;

/// The program under `strace`, which makes system calls fail as `inject` says (`strace --help`).
fn refused(inject: &[&str], args: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"]);
    let calls: Vec<&str> = inject.iter().filter_map(|one| one.split(':').next()).collect();
    command.arg("-e").arg(format!("trace={}", calls.join(",")));
    for one in inject {
        command.arg("-e").arg(format!("inject={one}"));
    }
    command.arg(env!("CARGO_BIN_EXE_netglance")).args(args);
    plain_environment(&mut command);
    command
}

#[test]
fn commands_live_when_the_kernel_refuses() {
    for (inject, seen) in [
        (&["openat:error=EIO:when=16+2"][..], "Input/output error"),
        (&["openat:error=EMFILE:when=20+3"], "Too many open files"),
        (&["openat:error=EACCES:when=18+2"], "denied"),
        (&["read:error=EIO:when=12+3"], "Input/output error"),
        (&["getdents64:error=EIO:when=1+1"], "Input/output error"),
        (&["recvfrom:error=ENOBUFS:when=1+2"], "No buffer space"),
        (&["sendto:error=EPERM:when=1+1"], "denied"),
        (&["socket:error=EAFNOSUPPORT:when=1+1"], "not supported"),
        (&["read:error=EINTR:when=12+2", "recvfrom:error=EINTR:when=1+2", "openat:error=EINTR:when=16+2"], ""),
        (&["pread64:error=ESRCH:when=6+2"], ""),
        (&["statfs:error=EIO:when=1+1"], ""),
        (&["adjtimex:error=EPERM:when=1+1", "clock_adjtime:error=EPERM:when=1+1"], ""),
    ] {
        let output = refused(inject, &["doctor"]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{inject:?}: {} {said}", output.status);
        assert!(!said.contains("panicked"), "{inject:?}: {said}");
        assert!(said.contains(seen), "{inject:?}: nobody says `{seen}`: {said}");
    }
}

#[test]
fn without_threads_it_says_so() {
    let output = refused(&["clone3:error=EAGAIN:when=2+1", "clone:error=EAGAIN:when=2+1"], &["doctor"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("temporarily unavailable") && !said.contains("panicked"), "{said}");
}

#[test]
fn the_dashboard_lives_when_the_kernel_refuses_and_names_what_failed() {
    for inject in [
        &["openat:error=EIO:when=30+7", "read:error=EIO:when=60+9", "pread64:error=EIO:when=200+5"][..],
        &["recvfrom:error=ENOBUFS:when=5+2", "getdents64:error=EIO:when=9+4"],
        &["ppoll:error=EINTR:when=4+3", "poll:error=EINTR:when=4+3", "write:error=EINTR:when=9+3"],
    ] {
        let mut session = Session::spawn(240, 50, refused(inject, &[]));
        session.wait_for_host();
        for _ in 0..7 {
            session.send("\t");
            session.pump_for(Duration::from_millis(300));
        }
        session.send(":table collector\r");
        session.wait_for("the collectors", |screen| screen.contains("Collectors"));
        if inject[0].starts_with("openat") {
            session.wait_for("what failed", |screen| screen.contains("Input/output error"));
        }
        session.send("q");
        let (status, _) = session.ended(PATIENT);
        assert!(status.success(), "{inject:?}: {status}\n{}", session.screen());
        // the processes of this host, which may be about anything, are gone from the screen
        assert!(!session.screen().contains("panicked"), "{inject:?}: {}", session.screen());
        session.assert_terminal_is_given_back("refusals");
        assert_eq!(first_forbidden(&session.raw), None);
    }
}
