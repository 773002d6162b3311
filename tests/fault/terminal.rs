//! Is the terminal given back, and is the program gone, however the two part?

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, OutputModes, tcgetattr};

use crate::support::process::usage;
use crate::support::pty::{LEAVE, PATIENT, Session, hostname, netglance, plain_environment};
use crate::support::watchman::first_forbidden;

fn raw_pid(session: &Session) -> u32 {
    session.pid().as_raw_nonzero().get().unsigned_abs()
}

/// A shell with job control that has started the dashboard.
fn under_a_shell() -> (Session, Pid) {
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-i"]);
    plain_environment(&mut command);
    command.env("PS1", "shell> ");
    let mut session = Session::spawn(100, 30, command);
    session.wait_for("a prompt", |screen| screen.contains("shell> "));
    session.send(format!("{}\r", env!("CARGO_BIN_EXE_netglance")));
    session.wait_for("the dashboard", |screen| screen.contains(&hostname()) && screen.contains("CPU"));
    let shell = raw_pid(&session);
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let child = children.split_whitespace().next().unwrap().parse().unwrap();
    (session, Pid::from_raw(child).unwrap())
}

#[test]
fn a_stopped_dashboard_gives_the_shell_its_terminal_and_takes_it_again() {
    let (mut session, child) = under_a_shell();
    for time in 1..=2 {
        if time == 1 {
            session.send("\x1a");
        } else {
            kill_process(child, Signal::TSTP).unwrap();
        }
        session
            .wait_for("the shell", |screen| screen.matches("Stopped").count() == time && screen.ends_with("shell> "));
        assert!(!session.emulator.screen().alternate_screen() && !session.emulator.screen().hide_cursor());
        session.send("echo $((6*7))\r");
        session.wait_for("what the shell says", |screen| screen.matches("\n42").count() == time);
        session.send("fg\r");
        session.wait_for("the dashboard again", |screen| screen.contains(&hostname()) && screen.contains("CPU"));
        assert!(session.emulator.screen().alternate_screen());
    }
    session.send("q");
    session.wait_for("the prompt", |screen| screen.trim_end().ends_with("shell>"));
    assert!(!session.emulator.screen().alternate_screen());
    session.send("exit 5\r");
    assert_eq!(session.end(), 5);
}

#[test]
fn a_dashboard_that_was_stopped_without_warning_takes_the_terminal_again() {
    let (mut session, child) = under_a_shell();
    kill_process(child, Signal::STOP).unwrap();
    session.wait_for("the shell", |screen| screen.contains("Stopped"));
    session.send("fg\r");
    session.wait_for("the command", |screen| screen.contains("CPU"));
    // without raw mode a key would wait for the end of its line
    session.send("?");
    session.wait_for("help", |screen| screen.contains("this help"));
    session.escape();
    session.send("q");
    session.wait_for("the prompt", |screen| screen.trim_end().ends_with("shell>"));
    session.send("exit 5\r");
    assert_eq!(session.end(), 5);
}

#[test]
fn without_a_shell_to_continue_it_a_stop_is_not_the_end() {
    let mut session = Session::ready(100, 30, &[]);
    for step in 0..2 {
        if step == 0 {
            session.send("\x1a");
        } else {
            kill_process(session.pid(), Signal::TSTP).unwrap();
        }
        session.pump_for(Duration::from_millis(300));
        session.send("?");
        session.wait_for("help", |screen| screen.contains("this help"));
        assert!(session.emulator.screen().alternate_screen());
        session.escape();
    }
    session.send("q");
    assert_eq!(session.end(), 0);
    session.assert_terminal_is_given_back("q");
}

#[test]
fn every_signal_that_ends_it_gives_the_terminal_back() {
    use libc::{SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGPROF, SIGSEGV, SIGTERM, SIGTRAP, SIGUSR1, SIGUSR2};
    for number in [SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPROF, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP] {
        let mut session = Session::ready(80, 24, &[]);
        // SAFETY: plain integers; the process is our child and not reaped yet.
        assert_eq!(unsafe { libc::kill(session.pid().as_raw_nonzero().get(), number) }, 0);
        let (status, _) = session.ended(LEAVE);
        session.assert_terminal_is_given_back(&format!("signal {number}"));
        assert_eq!(status.signal(), Some(number), "signal {number}: {status}");
    }
}

#[test]
fn a_terminal_that_controls_nobody_ends_the_program_when_it_goes() {
    let mut session = Session::spawn_in(80, 24, netglance(&[]), false);
    session.wait_for_host();
    let pid = raw_pid(&session);
    let before = usage(pid).unwrap().cpu;
    session.hang_up();
    let begin = Instant::now();
    let mut spent = 0.0;
    while !session.is_gone() {
        assert!(begin.elapsed() < PATIENT && spent < 2.0, "still there, {spent} s of CPU later");
        spent = usage(pid).map_or(spent, |usage| usage.cpu - before);
        std::thread::yield_now();
    }
}

#[test]
fn input_that_ends_ends_the_program_though_the_screen_is_there() {
    let other = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).unwrap();
    let mut command = Command::new("sh");
    let script = format!("exec {} < {}", env!("CARGO_BIN_EXE_netglance"), other.master.tty_name().unwrap().display());
    command.args(["-c", &script]);
    plain_environment(&mut command);
    let mut session = Session::spawn(80, 24, command);
    session.wait_for_host();
    drop(other);
    session.ended(LEAVE);
    assert!(!session.emulator.screen().alternate_screen());
}

#[test]
fn without_standard_input_or_output_it_says_so() {
    for redirection in ["<&-", ">&-", "</dev/null", "<&- >&-", ">/dev/null"] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {} {redirection}", env!("CARGO_BIN_EXE_netglance"))]);
        plain_environment(&mut command);
        let mut session = Session::spawn(80, 24, command);
        assert_eq!(session.end(), 2, "{redirection}: {}", session.screen());
        assert!(session.screen().contains("show"), "{redirection}: {}", session.screen());
    }
}

#[test]
fn a_killed_dashboard_is_cleaned_up_by_reset() {
    let mut session = Session::ready(80, 24, &[]);
    kill_process(session.pid(), Signal::KILL).unwrap();
    assert_eq!(session.end(), -9);
    assert!(session.emulator.screen().alternate_screen(), "this test needs a broken terminal");
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&session.tty).unwrap();
    let status = netglance(&["reset"]).stdin(open()).stdout(open()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    session.pump_for(Duration::from_millis(200));
    let screen = session.emulator.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    let modes = tcgetattr(std::fs::File::open(&session.tty).unwrap()).unwrap();
    assert!(modes.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN));
    assert!(modes.output_modes.contains(OutputModes::OPOST | OutputModes::ONLCR));
}

#[test]
fn a_stalled_terminal_stops_neither_collecting_nor_quitting_and_costs_no_memory() {
    let mut session = Session::ready(200, 60, &[]);
    let pid = raw_pid(&session);
    let collected = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse::<u64>().unwrap()
    };
    // nothing is read from here on; frames of changing size are hundreds of megabytes
    let (before, held) = (collected(), usage(pid).unwrap());
    let begin = Instant::now();
    let mut step = 0;
    while begin.elapsed() < Duration::from_secs(4) {
        step += 1;
        session.resize(200 - step % 2, 60);
        session.send("\t");
        rustix::event::poll(&mut [], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 2_000_000 })).unwrap();
    }
    assert!(collected() > before + 10_000, "{} bytes read meanwhile", collected() - before);
    let grown = usage(pid).unwrap().rss.saturating_sub(held.rss);
    assert!(grown < 8 << 20, "{grown} bytes more");
    // the terminal takes bytes again: a whole screen comes
    session.resize(120, 40);
    session.emulator = vt100::Parser::new(40.try_into().unwrap(), 120.try_into().unwrap(), 0);
    session.wait_for_host();
    assert_eq!(first_forbidden(&session.raw), None);
    // and once more, to leave
    session.resize(200, 60);
    for step in 0..200 {
        session.resize(200 - step % 2, 60);
        session.send("\t");
    }
    session.send("q");
    let begin = Instant::now();
    while !session.is_gone() {
        assert!(begin.elapsed() < LEAVE, "still there after {LEAVE:?}");
        std::thread::yield_now();
    }
    session.assert_modes_are_back("stalled");
}

#[test]
fn every_size_is_drawn_in_every_view() {
    let mut session = Session::ready(80, 24, &[]);
    for (columns, rows) in
        [(1, 1), (1, 200), (400, 1), (2, 2), (3, 400), (400, 3), (9, 9), (20, 5), (1000, 500), (0, 0)]
    {
        session.resize(columns, rows);
        for keys in ["\t", "\t", "\t", "\t", "\t", "\t", "?", "\x1b[B", "q", "\r", "\t"] {
            session.send(keys);
            session.pump_for(Duration::from_millis(15));
        }
        assert!(!session.is_gone(), "{columns}x{rows}:\n{}", session.screen());
    }
    session.resize(100, 30);
    session.escape();
    session.wait_for_host();
    assert_eq!(first_forbidden(&session.raw), None);
    session.send("q");
    assert_eq!(session.end(), 0);
}

/// The dashboard in an environment, after a walk through all views.
fn walked(environment: &[(&str, Option<&str>)]) -> Session {
    let mut command = netglance(&[]);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut session = Session::spawn(120, 40, command);
    session.wait_for_host();
    for _ in 0..7 {
        session.send("\t");
        session.pump_for(Duration::from_millis(150));
    }
    session.send("?");
    session.wait_for("help", |screen| screen.contains("this help"));
    session.escape();
    session.send("q");
    assert_eq!(session.end(), 0, "{environment:?}");
    session.assert_terminal_is_given_back(&format!("{environment:?}"));
    assert_eq!(first_forbidden(&session.raw), None, "{environment:?}");
    session
}

#[test]
fn a_terminal_of_ascii_gets_ascii() {
    for environment in
        [&[("LANG", Some("C"))][..], &[("LANG", Some("C.UTF-8")), ("LC_ALL", Some("POSIX"))], &[("LANG", None)]]
    {
        let session = walked(environment);
        let strange: Vec<u8> = session.raw.iter().copied().filter(|byte| *byte >= 0x80).take(10).collect();
        assert!(strange.is_empty(), "{environment:?}: {strange:x?}");
    }
}

#[test]
fn a_terminal_without_colors_gets_none() {
    for environment in [&[("NO_COLOR", Some("1"))][..], &[("TERM", Some("vt100"))]] {
        let session = walked(environment);
        let text = String::from_utf8_lossy(&session.raw).into_owned();
        let sequences = text.split("\x1b[").filter_map(|rest| rest.split_once('m'));
        let colors = sequences.filter(|(parameters, _)| {
            let plain = parameters.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
            plain
                && parameters.split([';', ':']).any(|number| {
                    number.parse::<u16>().is_ok_and(|number| matches!(number, 30..=38 | 40..=48 | 90..=97 | 100..=107))
                })
        });
        assert_eq!(colors.count(), 0, "{environment:?}");
    }
}

#[test]
fn a_terminal_that_can_only_print_lines_is_told_what_prints_lines() {
    for name in [Some("dumb"), Some(""), None, Some("unknown")] {
        let mut command = netglance(&[]);
        match name {
            Some(name) => command.env("TERM", name),
            None => command.env_remove("TERM"),
        };
        let mut session = Session::spawn(80, 24, command);
        assert_eq!(session.end(), 2, "TERM={name:?}: {}", session.screen());
        let screen = session.screen();
        assert!(screen.contains("TERM") && screen.contains("netglance show"), "TERM={name:?}: {screen}");
        assert!(!session.raw.contains(&0x1b), "TERM={name:?}: {screen}");
    }
}

#[test]
fn without_memory_the_terminal_is_given_back_and_the_reason_stays_on_it() {
    use rustix::process::{Resource, Rlimit, prlimit};
    let mut session = Session::ready(80, 24, &[]);
    // all that it has now, and nothing more
    let limit = Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) };
    prlimit(Some(session.pid()), Resource::Data, limit).unwrap();
    session.resize(1000, 1000);
    let (status, _) = session.ended(PATIENT);
    assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}");
    session.assert_terminal_is_given_back("out of memory");
    assert!(session.screen().contains("netglance: out of memory"), "{}", session.screen());
}

/// Ends in a panic while it has the terminal; run by the test below, in a terminal.
#[test]
#[ignore = "is started by a_panic_gives_the_terminal_back_before_it_speaks"]
fn panics_with_the_terminal_taken() {
    let terminal = netglance::tui::terminal::Terminal::take(true, Box::new(|_| ())).unwrap();
    terminal.send(b"drawn".to_vec());
    let elsewhere = std::thread::spawn(|| panic!("of another thread"));
    assert!(elsewhere.join().is_err());
    panic!("on purpose \x1b[2J");
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "terminal::panics_with_the_terminal_taken", "--ignored", "--nocapture"]);
    plain_environment(&mut command);
    let mut session = Session::spawn(120, 30, command);
    assert_eq!(session.end(), 101);
    session.assert_terminal_is_given_back("a panic");
    let screen = session.screen();
    assert!(screen.contains("on purpose \\x1b[2J"), "{screen}");
    assert!(screen.contains("of another thread"), "{screen}");
    let text = String::from_utf8_lossy(&session.raw).into_owned();
    let (left, said) = (text.rfind("\x1b[?1049l").unwrap(), text.find("on purpose").unwrap());
    assert!(left < said, "the message came before the terminal was given back");
}
