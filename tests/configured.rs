//! Does every key of the configuration change what is on the screen, and does a running dashboard follow its file?
//!
//! The program runs in a terminal of its own; what a person would see is compared before and after.

#![cfg(test)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use support::process::Sleeper;
use support::pty::Session;

/// A configuration in a directory of its own.
struct File {
    dir: tempfile::TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let file = Self { dir: tempfile::tempdir().unwrap() };
        file.write(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("netglance.toml")
    }

    /// Writes the file in place.
    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
        std::fs::set_permissions(self.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Puts another file in its place, as editors do.
    fn replace(&self, text: &str) {
        let new = self.dir.path().join(".netglance.toml.new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    /// A dashboard with this configuration that has drawn its first frame.
    fn dashboard(&self, columns: u16, rows: u16, args: &[&str]) -> Session {
        let path = self.path();
        let all: Vec<&str> = ["--config", path.to_str().unwrap()].into_iter().chain(args.iter().copied()).collect();
        Session::ready(columns, rows, &all)
    }
}

/// The line of the screen that holds a text.
fn line<'a>(screen: &'a str, text: &str) -> &'a str {
    screen.lines().find(|line| line.contains(text)).unwrap_or_default()
}

#[test]
fn a_changed_file_is_followed_and_a_wrong_one_leaves_the_old_settings() {
    let file = File::new("[layout]\noverview = ['processes']");
    let mut session = file.dashboard(100, 30, &[]);
    session.wait_for("processes alone", |screen| screen.contains("╭ Processes") && !screen.contains("╭ Memory"));
    file.write("[layout]\noverview = ['load']");
    session.wait_for("the load alone", |screen| screen.contains("╭ Load") && !screen.contains("╭ Processes"));
    file.replace("[layout]\noverview = ['memory']");
    session.wait_for("the memory alone", |screen| screen.contains("╭ Memory") && !screen.contains("╭ Load"));
    file.replace("[layout]\noverview = ['lod']\n[collect.lod]\nenabled = true");
    session.wait_for("what is wrong", |screen| {
        screen.contains("old configuration kept: netglance.toml:2:13: there is no panel `lod`; did you mean `load`? (1")
    });
    assert!(session.screen().contains("╭ Memory"), "{}", session.screen());
    std::fs::remove_file(file.path()).unwrap();
    session.wait_for("that it is gone", |screen| screen.contains("kept: netglance.toml: cannot be read: No such file"));
    assert!(session.screen().contains("╭ Memory"), "{}", session.screen());
    file.write("[layout]\noverview = ['load']");
    session.wait_for("the new load", |screen| screen.contains("╭ Load") && !screen.contains("╭ Memory"));
    session.send("q");
    assert_eq!(session.end(), 0);
}

#[test]
fn a_file_behind_a_link_is_followed() {
    let file = File::new("[layout]\noverview = ['processes']");
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link.toml");
    std::os::unix::fs::symlink(file.path(), &link).unwrap();
    let mut session = Session::ready(100, 30, &["--config", link.to_str().unwrap()]);
    session.wait_for("processes alone", |screen| screen.contains("╭ Processes") && !screen.contains("╭ Memory"));
    file.replace("[layout]\noverview = ['memory']");
    session.wait_for("the memory alone", |screen| screen.contains("╭ Memory") && !screen.contains("╭ Processes"));
}

#[test]
fn a_configuration_that_is_made_later_is_read_and_so_is_one_in_a_directory_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("a/b/netglance");
    let mut command = support::pty::netglance(&[]);
    command.env("HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path().join("a/b"));
    let mut session = Session::spawn(100, 30, command);
    session.wait_for("all panels", |screen| screen.contains("╭ Memory") && screen.contains("╭ Processes"));
    for name in ["load", "memory"] {
        std::fs::create_dir_all(&place).unwrap();
        let path = place.join("netglance.toml");
        std::fs::write(&path, format!("[layout]\noverview = ['{name}']")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let title = ["╭ Load", "╭ Memory"].map(|title| (title, title.to_lowercase().contains(name)));
        session.wait_for("one panel", |screen| title.iter().all(|(title, shown)| screen.contains(title) == *shown));
        std::fs::remove_dir_all(dir.path().join("a")).unwrap();
        session.wait_for("all panels", |screen| screen.contains("╭ Processes"));
    }
}

#[test]
fn rows_are_hidden_and_have_other_names() {
    let hidden = Sleeper::start("ng-hidden", "ng-hidden-argument");
    let (kept, other) =
        (Sleeper::start("ng-kept", "ng-kept-argument"), Sleeper::start("ng-other", "ng-other-argument"));
    let file = File::new("");
    let args = ["--view", "processes", "--filter", "name =~ \"^ng-\""];
    let mut session = file.dashboard(160, 40, &args);
    let pids = [&hidden, &kept, &other].map(|sleeper| format!(" {} ", sleeper.pid()));
    session.wait_for("all three", |screen| pids.iter().all(|pid| screen.contains(pid)));
    file.write("[show.process]\nhide = 'hidden'\nalias = { ng-kept = 'precious' }");
    session.wait_for("one less", |screen| !screen.contains(&pids[0]));
    session.wait_for("its other name", |screen| line(screen, &pids[1]).contains("precious"));
    assert!(!line(&session.screen(), &pids[2]).contains("precious"), "{}", session.screen());
    file.write("[show.process]\nshow = 'other'");
    session.wait_for("only what is to be shown", |screen| screen.contains(&pids[2]) && !screen.contains(&pids[1]));
}

#[test]
fn interfaces_disks_and_mounts_have_other_names_and_are_hidden() {
    let mount = File::new("[layout]\noverview = ['mounts']\n[show.mount]\nalias = { '/' = 'the root' }");
    let mut session = mount.dashboard(120, 40, &[]);
    session.wait_for("the other name of /", |screen| screen.contains("the root"));
    mount.write("[layout]\noverview = ['mounts']\n[show.mount]\nshow = 'nothing like this'");
    session.wait_for("that all are hidden", |screen| screen.contains("hidden by [show.mount]"));
    mount.write("[layout]\noverview = ['network']\n[show.link]\nshow = '^lo$'\nalias = { lo = 'to myself' }");
    session.wait_for("the other name of lo", |screen| screen.contains("to myself"));
    mount.write("[layout]\noverview = ['network']\n[show.link]\nhide = '.'");
    session.wait_for("that all are hidden", |screen| screen.contains("hidden by [show.link]"));
    mount.write("[layout]\noverview = ['disks']\n[show.disk]\nhide = '.'");
    // a host without any disk says that instead
    let none = |screen: &str| screen.contains("hidden by [show.disk]") || screen.contains("absent: ");
    session.wait_for("that all are hidden", none);
}

#[test]
fn a_threshold_marks_the_rows_that_its_expression_fits() {
    let (watched, other) = (Sleeper::start("ng-watched", "ng-watched-x"), Sleeper::start("ng-free", "ng-free-x"));
    let rule = "[[threshold]]\ntable = 'process'\ncolumn = 'threads'\nrow = '^ng-watched$'\n";
    let file = File::new(&format!("{rule}careful = 1"));
    let mut session = file.dashboard(160, 40, &["--view", "processes", "--filter", "name =~ \"^ng-\""]);
    let pids = [&watched, &other].map(|sleeper| format!("{} ", sleeper.pid()));
    // one that is still being started may wait for the disk, which is a reason for a mark of its own
    session.wait_for("both, and the mark of careful at one", |screen| {
        let [one, other] = [&pids[0], &pids[1]].map(|pid| line(screen, pid));
        one.contains('•') && other.contains("ng-free") && !other.contains('•')
    });
    file.write(&format!("{rule}careful = 1\nwarning = 1\ncritical = 1"));
    session.wait_for("the mark of critical", |screen| line(screen, &pids[0]).contains('✖'));
    file.write(&format!("{rule}careful = 100"));
    session.wait_for("no mark", |screen| !line(screen, &pids[0]).contains(['•', '▲', '✖']));
}

#[test]
fn keys_do_what_the_file_says() {
    let file = File::new("[keys]\nquit = ['f12']\nhelp = ['ctrl-e']");
    let mut session = file.dashboard(100, 30, &[]);
    session.send("q?");
    session.send("\x05");
    session.wait_for("help", |screen| screen.contains("┏ Help"));
    assert!(line(&session.screen(), "quit").contains("f12"), "{}", session.screen());
    session.escape();
    file.write("");
    session.wait_for("the new keys", |screen| screen.contains("q:quit"));
    session.send("\x1b[24~?");
    session.wait_for("help", |screen| screen.contains("┏ Help"));
    session.escape();
    session.send("q");
    assert_eq!(session.end(), 0);
}

/// Whether any cell of the screen has a color of its own.
fn colored(session: &Session) -> bool {
    let screen = session.emulator.screen();
    let (rows, columns) = screen.size();
    let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
    cells.filter_map(|(row, column)| screen.cell(row, column)).any(|cell| cell.fgcolor() != vt100::Color::Default)
}

#[test]
fn theme_ascii_mouse_and_rights_follow_the_file() {
    let file = File::new("");
    let mut session = file.dashboard(120, 40, &[]);
    session.wait_for("all panels", |screen| screen.contains("╭ Processes") && screen.contains("k:signal"));
    assert!(colored(&session));
    assert_ne!(session.emulator.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    file.write("theme = 'mono'\nascii = true\nmouse = false\nread_only = true");
    let rest = |screen: &str| screen.is_ascii() && !screen.contains("k:signal");
    session.wait_for("an ASCII screen without actions", rest);
    // the rest of the frame may still be on its way
    for _ in 0..100 {
        if !colored(&session) {
            break;
        }
        session.pump(Duration::from_millis(50));
    }
    assert!(!colored(&session), "{}", session.screen());
    assert_eq!(session.emulator.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    file.write("theme = 'nord'");
    session.wait_for("the old screen", |screen| screen.contains('╭') && screen.contains("k:signal"));
    assert!(colored(&session));
    assert_ne!(session.emulator.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
}

#[test]
fn switches_and_collectors_follow_the_file() {
    let file = File::new("[layout]\noverview = ['network', 'memory']");
    let mut session = file.dashboard(120, 40, &[]);
    session.wait_for("both panels", |screen| screen.contains("╭ Network") && screen.contains("╭ Memory"));
    file.write("toggles = ['network']\n[layout]\noverview = ['network', 'memory']\n[collect.memory]\nenabled = false");
    session
        .wait_for("one panel that is off", |screen| screen.contains("switched off") && !screen.contains("╭ Network"));
    file.write("[layout]\noverview = ['network', 'memory']");
    session.wait_for("both panels", |screen| screen.contains("╭ Network") && !screen.contains("switched off"));
}
