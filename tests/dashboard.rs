//! Does the dashboard behave in a real terminal, from its first frame to the state it leaves behind?
//!
//! Starts the program in a pseudo-terminal, feeds what it writes to a terminal emulator, sends keys and signals, and
//! reads the screen. Every wait ends with a condition or with a bound; nothing sleeps.

#![cfg(test)]

use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use support::process::{Sleeper, timed};
use support::pty::{LEAVE, PATIENT, Session, hostname, netglance, readable};
use support::watchman::first_forbidden;

#[test]
fn the_watchman_finds_what_a_terminal_must_not_get() {
    for bad in [
        "\x1b]0;title\x07",
        "\x1b[6n",
        "a\u{9b}31m",
        "\u{202e}x",
        "\x1bc",
        "\x1b[?1h",
        "\x07",
        "\x1b[>c",
        "\x1b]52;c;a\x1b[c",
    ] {
        assert!(first_forbidden(bad.as_bytes()).is_some(), "{bad:?}");
    }
    for good in ["\x1b[?1049h\x1b[2J\x1b[1;1Hx", "\x1b[38;2;1;2;3m│", "\x1b[?2026$p", "größe\r\n", "\x1b]52;c;aGk=\x07"]
    {
        assert_eq!(first_forbidden(good.as_bytes()), None, "{good:?}");
    }
}

#[test]
fn the_first_screen_shows_this_host_at_every_size() {
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let mut session = Session::ready(columns, rows, &[]);
        session.wait_for("CPU and memory", |screen| screen.contains("CPU") && screen.contains("Mem"));
        session.wait_for("three quarters of the lines in use", |screen| {
            screen.lines().filter(|line| !line.trim().is_empty()).count() * 4 > usize::from(rows) * 3
        });
        assert_eq!(first_forbidden(&session.raw), None);
        session.send("q");
        assert_eq!(session.end(), 0);
        session.assert_terminal_is_given_back("q");
    }
}

#[test]
fn every_signal_to_end_gives_the_terminal_back_and_is_told_to_who_waits() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let mut session = Session::ready(80, 24, &[]);
        kill_process(session.pid(), signal).unwrap();
        assert_eq!(session.end(), -signal.as_raw(), "{signal:?}");
        session.assert_terminal_is_given_back(&format!("{signal:?}"));
    }
}

#[test]
fn escape_closes_help_and_never_quits() {
    let mut session = Session::ready(120, 40, &[]);
    let before = session.screen().lines().next().unwrap_or_default().len();
    assert!(before > 0);
    session.send("?");
    session.wait_for("help", |screen| screen.contains("this help"));
    session.escape();
    session.wait_for("the overview again", |screen| !screen.contains("this help"));
    session.escape();
    session.send("?");
    session.wait_for("help again", |screen| screen.contains("this help"));
    session.escape();
    session.wait_for("the overview again", |screen| !screen.contains("this help"));
    session.send("q");
    assert_eq!(session.end(), 0);
}

#[test]
fn tab_walks_through_the_views_and_back() {
    let mut session = Session::ready(120, 40, &[]);
    session.wait_for("processes in the overview", |screen| screen.contains("pid user"));
    // guests, processes, network
    session.send("\t\t\t");
    session.wait_for("another view", |screen| !screen.contains("pid user"));
    session.send("\x1b[Z\x1b[Z\x1b[Z");
    session.wait_for("the overview", |screen| screen.contains("pid user") && screen.contains("CPU"));
}

#[test]
fn a_filter_leaves_the_process_that_it_names() {
    let sleeper = Sleeper::start("ng-wanted", "ng-wanted-argument");
    let pid = sleeper.pid().to_string();
    let mut session = Session::ready(120, 40, &["--view", "processes"]);
    session.send("/ng-wanted\r");
    session.wait_for("the wanted process", |screen| screen.contains(&pid) && screen.contains("ng-wanted"));
    let own = format!(" {} ", session.pid().as_raw_nonzero());
    session.wait_for("no other process", |screen| !screen.contains(&own));
}

#[test]
fn a_frozen_screen_stands_still_and_steps_back_in_time() {
    let mut session = Session::ready(80, 24, &[]);
    let clock = |screen: &str| screen.lines().next().unwrap_or_default().to_owned();
    for _ in 0..4 {
        let before = clock(&session.screen());
        session.wait_for("another second", |screen| clock(screen) != before);
    }
    session.send(" ");
    session.wait_for("the mark of a frozen screen", |screen| screen.matches("paused").count() > 3);
    let frozen = session.screen();
    session.pump(Duration::from_millis(1500));
    assert_eq!(session.screen(), frozen);
    session.send("[");
    session.wait_for("an earlier screen", |screen| screen.matches("paused -").count() > 3);
    assert_ne!(clock(&session.screen()), clock(&frozen));
    session.send("]");
    session.wait_for("the newest again", |screen| screen == frozen);
    session.send(" ");
    session.wait_for("the screen to go on", |screen| !screen.contains("paused"));
}

/// A dashboard of processes with one of them selected, of which every row is one.
fn at_process(sleeper: &Sleeper, args: &[&str]) -> Session {
    let pid = sleeper.pid().to_string();
    let mut session = Session::ready(120, 40, &[&["--view", "processes"], args].concat());
    session.send(format!("/pid == {pid}\r"));
    session.wait_for("the one process", |screen| screen.contains("Processes 1 of"));
    session.send("\x1b[B");
    session
}

#[test]
fn a_signal_ends_the_process_that_was_named() {
    let mut sleeper = Sleeper::start("ng-doomed", "ng-doomed-argument");
    let pid = sleeper.pid();
    let mut session = at_process(&sleeper, &[]);
    session.send("k");
    session.wait_for("the question", |screen| screen.contains(&format!("(pid {pid})")) && screen.contains("TERM"));
    session.escape();
    session.wait_for("no question", |screen| !screen.contains("TERM"));
    // what is typed before the question is on the screen is no answer to it
    session.send("k\r");
    session.wait_for("the question", |screen| screen.contains("nothing is sent before"));
    session.send("\r");
    session.wait_for("the answer", |screen| screen.contains("sent TERM"));
    assert_eq!(sleeper.guard.0.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
}

#[test]
fn a_read_only_dashboard_signals_nobody() {
    let sleeper = Sleeper::start("ng-spared", "ng-spared-argument");
    let mut session = at_process(&sleeper, &["--read-only"]);
    session.send("k+");
    session.send("?");
    session.wait_for("help", |screen| screen.contains("this help"));
    assert!(!session.screen().contains("signal"), "{}", session.screen());
    assert!(Path::new(&format!("/proc/{}", sleeper.pid())).exists());
}

#[test]
fn details_of_a_process_show_its_files_and_on_request_its_environment() {
    let sleeper = Sleeper::start("ng-open", "ng-open-argument");
    let mut session = at_process(&sleeper, &[]);
    session.send("\r");
    session.wait_for("sections", |screen| screen.contains("▸All") && screen.contains("Environment"));
    session.send("\t");
    session.wait_for("open files", |screen| screen.contains("▸Open files") && screen.contains("/dev/null"));
    session.send("\t");
    session.wait_for("threads", |screen| screen.contains("▸Threads") && screen.contains("ng-open"));
    session.send("\t");
    session.wait_for("limits", |screen| screen.contains("▸Limits") && screen.to_lowercase().contains("stack"));
    session.send("\t");
    session.wait_for("environment", |screen| screen.contains("▸Environment") && screen.contains("PATH"));
    session.escape();
    session.wait_for("the same row", |screen| screen.contains("Processes 1 of") && !screen.contains("▸"));
}

#[test]
fn a_graph_zooms_out_to_a_day_and_back_and_no_process_gets_nicer() {
    let sleeper = Sleeper::start("ng-drawn", "ng-drawn-argument");
    let process = rustix::process::Pid::from_raw(sleeper.pid() as i32);
    let nice = rustix::process::getpriority_process(process).unwrap();
    let mut session = at_process(&sleeper, &[]);
    session.send("g");
    session.wait_for("the past minutes", |screen| screen.contains("  last ") && screen.contains("oldest point"));
    assert!(!session.screen().contains("maxima"), "{}", session.screen());
    session.send("-");
    session.wait_for("a longer time", |screen| screen.contains("last 5 min"));
    session.send("-".repeat(20));
    session.wait_for("a day", |screen| {
        let marks = ["last 24 h, means and maxima of ", "-12h ", "mean ", "most "];
        marks.iter().all(|mark| screen.contains(mark))
    });
    session.send("+");
    session.wait_for("half of it", |screen| screen.contains("last 12 h"));
    session.send("+".repeat(20));
    session.wait_for("every sample", |screen| screen.contains("  last ") && !screen.contains("maxima"));
    session.escape();
    session.wait_for("the same row", |screen| screen.contains("Processes 1 of") && !screen.contains("  last "));
    assert_eq!(rustix::process::getpriority_process(process).unwrap(), nice);
}

#[test]
fn a_copied_row_goes_to_the_clipboard_of_the_terminal() {
    let sleeper = Sleeper::start("ng-copied", "ng-copied-argument");
    let mut session = at_process(&sleeper, &[]);
    session.send("y");
    session.wait_for("the message", |screen| screen.contains("copied, if"));
    let raw = String::from_utf8_lossy(&session.raw).into_owned();
    let sent = raw.split("\x1b]52;c;").nth(1).and_then(|rest| rest.split('\x07').next()).expect("nothing was copied");
    let text = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, sent).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with(&format!("{}\t", sleeper.pid())) && text.contains("ng-copied-argument"), "{text}");
}

#[test]
fn an_alert_of_this_host_rings_and_is_told_by_the_terminal_where_no_desktop_shows_it() {
    let home = tempfile::tempdir().unwrap();
    let main = home.path().join("netglance.toml");
    std::fs::write(&main, "").unwrap();
    let rule = "defaults = false\n[[alert]]\nname = \"always\"\ntable = \"load\"\nmax = 0\nseverity = \"critical\"\n\
        text = \"{count} row \\u001b]0;evil\\u0007\"\n";
    std::fs::write(home.path().join("alerts.toml"), rule).unwrap();
    let mut command = netglance(&["--config", main.to_str().unwrap()]);
    command.env_remove("NETGLANCE__BELL").env_remove("NETGLANCE__NOTIFY");
    command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let mut session = Session::spawn(120, 40, command);
    session.wait_for("the alert above the last row", |screen| screen.contains("always: 1 row"));
    let told = format!("\x1b]9;netglance: {}: critical: 1 row \\x1b]0;evil\\x07\x1b\\", hostname());
    let has = |raw: &[u8], words: &[u8]| raw.windows(words.len()).any(|part| part == words);
    let end = Instant::now() + PATIENT;
    while !(has(&session.raw, b"\x07") && has(&session.raw, told.as_bytes())) {
        assert!(Instant::now() < end, "{}", session.screen());
        session.pump(Duration::from_millis(50));
    }
    assert!(!has(&session.raw, b"\x1b]0;"));
    session.send("A");
    session.wait_for("the question", |screen| screen.contains("Say that it is known"));
    session.send("a test\r");
    session.wait_for("that it is known", |screen| {
        // nothing that fires is counted in the first line
        screen.contains("known: always") && screen.lines().next().is_some_and(|first| !first.contains('✖'))
    });
    session.send("q");
    assert_eq!(session.end(), 0);
}

#[test]
fn the_screen_is_saved_as_it_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("screen.txt");
    let mut session = Session::ready(100, 30, &[]);
    session.send(" ");
    session.wait_for("a frozen screen", |screen| screen.contains("paused"));
    session.send(format!(":save screen {}\r", path.display()));
    session.wait_for("the message", |screen| screen.contains("saved"));
    let saved = std::fs::read_to_string(&path).unwrap();
    assert_eq!(saved.lines().count(), 30);
    assert!(saved.contains(&hostname()) && saved.contains("paused") && !saved.contains('\x1b'), "{saved}");
}

#[test]
fn the_mouse_is_taken_and_freed() {
    let mut session = Session::ready(100, 30, &[]);
    let mode = |session: &Session| session.emulator.screen().mouse_protocol_mode();
    assert_ne!(mode(&session), vt100::MouseProtocolMode::None);
    session.wait_for("processes", |screen| screen.contains("pid user"));
    // a click on the second tab
    session.send("\x1b[<0;16;2M\x1b[<0;16;2m");
    session.wait_for("the view of processes", |screen| !screen.contains("Disks"));
    session.send("M");
    session.wait_for("the message", |screen| screen.contains("mouse is free"));
    assert_eq!(mode(&session), vt100::MouseProtocolMode::None);
    session.send("M");
    session.wait_for("the message", |screen| screen.contains("mouse is ours"));
    assert_ne!(mode(&session), vt100::MouseProtocolMode::None);
}

#[test]
fn hostile_names_are_seen_and_not_obeyed() {
    let _sleeper = Sleeper::start("\x1b[2Jevil\u{9b}m", "evil\x1b]0;owned\x07\u{202e}\u{9b}31m\x1bc\n");
    let mut session = Session::ready(200, 60, &["--view", "processes"]);
    session.send("/evil\r");
    session.wait_for("the name, made visible", |screen| screen.contains("\\x1b"));
    for keys in ["\t", "\t", "\x1b[Z", "\x1b[Z", "\r"] {
        session.send(keys);
        session.pump(Duration::from_millis(200));
    }
    session.escape();
    session.send("q");
    session.end();
    assert_eq!(first_forbidden(&session.raw), None);
}

#[test]
fn a_thousand_resizes_leave_a_whole_screen() {
    let mut session = Session::ready(80, 24, &[]);
    let resizing = timed(&[], || {
        for step in 0..1000_u16 {
            session.resize(40 + step % 170, 5 + step % 60);
            session.pump(Duration::ZERO);
        }
    });
    assert!(resizing < Duration::from_secs(5), "{resizing:?}");
    session.resize(120, 40);
    let name = hostname();
    session.wait_for("a whole screen", |screen| screen.contains(&name) && screen.lines().count() > 30);
    session.send("q");
    assert_eq!(session.end(), 0);
    session.assert_terminal_is_given_back("resizes");
}

#[test]
fn a_terminal_without_room_is_waited_for() {
    for (columns, rows) in [(0, 0), (1, 1)] {
        let mut session = Session::start(columns, rows, &[]);
        session.pump(Duration::from_millis(500));
        session.resize(80, 24);
        session.wait_for("the name of this host", |screen| screen.contains(&hostname()));
        session.resize(columns, rows);
        kill_process(session.pid(), Signal::TERM).unwrap();
        session.end();
        session.assert_modes_are_back("no room");
    }
}

#[test]
fn a_terminal_that_takes_nothing_does_not_keep_the_program() {
    let mut session = Session::ready(200, 60, &[]);
    // nothing is read from here on; frames of changing size fill the terminal's buffer
    for step in 0..400 {
        session.resize(200 - step % 2, 60);
    }
    kill_process(session.pid(), Signal::TERM).unwrap();
    assert!(readable(session.pidfd.as_fd(), LEAVE), "still there after {LEAVE:?}");
    session.assert_modes_are_back("stalled");
}

#[test]
fn a_terminal_that_goes_away_ends_the_program() {
    let mut session = Session::ready(80, 24, &[]);
    session.hang_up();
    assert!(readable(session.pidfd.as_fd(), LEAVE), "still there after {LEAVE:?}");
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let output = Command::new(env!("CARGO_BIN_EXE_netglance")).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), out.as_ref()), (Some(2), ""), "{err}");
    assert!(err.contains("show"), "{err}");
}
