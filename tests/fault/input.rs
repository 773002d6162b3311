//! Does whatever arrives as input do no harm?

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpriority_process, kill_process, waitid};
use rustix::thread::UnshareFlags;

use crate::support::process::{Guard, usage};
use crate::support::pty::{PATIENT, Session, hostname, netglance};
use crate::support::space::alone;
use crate::support::watchman::first_forbidden;

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Something that a terminal, a cat or an attacker may send.
    fn input(&mut self, out: &mut Vec<u8>) {
        let (column, row) = (self.roll(210), self.roll(70));
        match self.roll(12) {
            0..4 => out.extend((0..self.roll(8)).map(|_| b' ' + self.roll(95) as u8).collect::<Vec<_>>()),
            4 => out.extend((0..self.roll(6)).map(|_| self.roll(256) as u8).collect::<Vec<_>>()),
            5 => out.extend([b"\r".as_slice(), b"\t", b"\x1b", b"\x7f", b"\x1b[Z", b"\x00"][self.roll(6) as usize]),
            6 => out
                .extend(format!("\x1b[<{};{column};{row}{}", self.roll(70), ["M", "m"][self.roll(2) as usize]).bytes()),
            7 => out.extend(
                [b"\x1b[A".as_slice(), b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[5~", b"\x1b[6~"][self.roll(6) as usize],
            ),
            8 => out.extend(
                format!(
                    "\x1b[200~{}\x1b[201~",
                    ["cpu > 0.5", "\x1b[2J\n\x07", "'\"\\", "日本\u{202e}"][self.roll(4) as usize]
                )
                .bytes(),
            ),
            9 => out.extend(
                [
                    b"\x1b[".as_slice(),
                    b"\x1bO",
                    b"\x1b]0;x\x07",
                    b"\x1b[?1;2c",
                    b"\x1b[99999999999999999999R",
                    b"\x1b[M\xff\xff\xff",
                ][self.roll(6) as usize],
            ),
            10 => out.extend(
                ["é", "日", "\u{1f468}\u{200d}\u{1f469}", "\u{301}", "\u{9b}", "\u{202e}"][self.roll(6) as usize]
                    .bytes(),
            ),
            _ => out.extend(
                [b"\x1bOP".as_slice(), b"\x1b[15~", b"\x1b[17~", b"\x1b[20~", b"\x1b[1;5A", b"\x1b[I"]
                    [self.roll(6) as usize],
            ),
        }
    }
}

/// Sends random input for so long, in a directory of its own; a program that was told to quit is started again.
fn bombard(dice: &mut Dice, span: Duration, args: &[&str], acts: bool) {
    let directory = tempfile::tempdir().unwrap();
    let end = Instant::now() + span;
    while Instant::now() < end {
        let mut command = netglance(args);
        command.current_dir(directory.path());
        let mut session = Session::spawn(100, 30, command);
        session.wait_for_host();
        while Instant::now() < end && !session.is_gone() {
            let mut bytes = Vec::new();
            for _ in 0..20 {
                dice.input(&mut bytes);
            }
            // Ctrl-C and q would make it a test of starting
            bytes.retain(|byte| !matches!(byte, 0x03 | b'q'));
            session.send(bytes);
            if dice.roll(8) == 0 {
                session.resize(dice.roll(200) as u16, dice.roll(60) as u16);
            }
            session.pump_for(Duration::from_millis(20));
        }
        leave(session, acts);
    }
}

/// The program must still listen, and go when it is told to.
fn leave(mut session: Session, acts: bool) {
    if acts {
        // it may have stopped itself: that is what the signal dialog is for
        let _ = kill_process(session.pid(), Signal::CONT);
    }
    let begin = Instant::now();
    while !session.is_gone() {
        assert!(begin.elapsed() < PATIENT, "it does not listen any more:\n{}", session.screen());
        session.send("\x1b[201~");
        session.escape();
        session.escape();
        if !session.is_gone() {
            session.send("q");
            session.pump_for(Duration::from_millis(100));
        }
    }
    let (status, _) = session.ended(PATIENT);
    assert!(status.success() || (acts && status.signal().is_some()), "{status}:\n{}", session.screen());
    assert_eq!(first_forbidden(&session.raw), None);
    if status.success() {
        session.assert_terminal_is_given_back("random input");
    }
}

#[test]
fn root_ten_seconds_of_random_input_harm_nobody() {
    alone(UnshareFlags::empty(), |_| {
        let sleepers: Vec<_> = (0..5).map(|_| Guard::start(Command::new("sleep").arg("1000"))).collect();
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        bombard(&mut dice, Duration::from_secs(5), &["--read-only"], false);
        for sleeper in &sleepers {
            let pid = Pid::from_child(&sleeper.0);
            let news = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
            assert!(waitid(WaitId::Pid(pid), news).unwrap().is_none(), "a dashboard that may only read sent a signal");
            assert_eq!(getpriority_process(Some(pid)).unwrap(), 0, "the nice value of a process was changed");
        }
        bombard(&mut dice, Duration::from_secs(5), &[], true);
    });
}

#[test]
fn a_flood_of_pastes_and_clicks_is_taken_and_forgotten() {
    let mut session = Session::ready(120, 40, &["--view", "processes"]);
    let pid = session.pid().as_raw_nonzero().get().unsigned_abs();
    let held = usage(pid).unwrap();
    let paste = [b"\x1b[200~".as_slice(), &b"cpu > 0.5 \x1b[2J or ".repeat(1 << 18), b"\x1b[201~"].concat();
    for keys in ["/", ":", ""] {
        session.send(keys);
        session.send(&paste);
        session.pump_for(Duration::from_millis(50));
        session.escape();
    }
    let mut clicks = Vec::new();
    for i in 0..100_000 {
        let button = [0, 32, 35, 64, 65][i % 5];
        clicks.extend(format!("\x1b[<{button};{};{}M", i % 120, i % 40).bytes());
    }
    session.send(clicks);
    session.send("?");
    session.wait_for("help", |screen| screen.contains("this help"));
    session.escape();
    session.wait_for("the dashboard", |screen| screen.contains(&hostname()) && !screen.contains("this help"));
    let grown = usage(pid).unwrap().rss.saturating_sub(held.rss);
    assert!(grown < 16 << 20, "{grown} bytes more");
    session.send("q");
    assert_eq!(session.end(), 0);
    assert_eq!(first_forbidden(&session.raw), None);
}

#[test]
fn what_a_terminal_answers_to_others_does_nothing() {
    let mut session = Session::ready(120, 40, &["--view", "processes"]);
    session.wait_for("processes", |screen| screen.contains("pid user"));
    session.send(" ");
    session.wait_for("a frozen screen", |screen| screen.matches("paused").count() > 2);
    session.pump_for(Duration::from_millis(300));
    let frozen = session.screen();
    for reply in [
        "\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\",
        "\x1b]4;7;rgb:cccc/dddd/eeee\x07",
        "\x1b]52;c;cXF1aXQ/Og==\x1b\\",
        "\x1bP>|tmux 3.3a\x1b\\",
        "\x1bP1+r544e=787465726d2d323536636f6c6f72\x1b\\",
        "\x1b_Gi=1;OK\x1b\\",
        "\x1b[?31u\x1b[?64;1;2c\x1b[>41;370;0c\x1b[?2026;2$y\x1b[24;80R",
    ] {
        session.send(reply);
        // in pieces, as over a slow line
        for piece in reply.as_bytes().chunks(5) {
            session.send(piece);
            session.pump_for(Duration::from_millis(5));
        }
        session.pump_for(Duration::from_millis(100));
        assert_eq!(session.screen(), frozen, "{}", reply.escape_debug());
    }
    // a reply that never ends
    session.send("\x1b]11;rgb:");
    session.pump_for(Duration::from_millis(600));
    session.send("?");
    session.wait_for("help", |screen| screen.contains("this help"));
    session.escape();
    // one key that looks like the beginning of a reply
    session.send("\x1b]");
    session.send("q");
    assert_eq!(session.end(), 0);
}
