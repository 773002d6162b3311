//! Does what packages install do what it says?
//!
//! The agent runs under a real supervisord whose files and sockets are the test's own; systemd judges its unit.

#![cfg(test)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A supervisord of the test's own, with the program file that packages install.
struct Supervisord {
    child: Child,
    dir: tempfile::TempDir,
}

impl Supervisord {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let config = format!("[serve]\nlisten = []\nsocket = \"{}\"\n", at("socket"));
        std::fs::write(at("netglance.toml"), config).unwrap();
        let command = format!("{} --config {} serve", env!("CARGO_BIN_EXE_netglance"), at("netglance.toml"));
        let program = std::fs::read_to_string(packaging("supervisord.conf")).unwrap();
        let own = program
            .replace("/usr/bin/netglance serve", &command)
            .replace("/var/log/supervisor/netglance.log", &at("netglance.log"));
        assert!(own.contains(&command) && own.contains(&at("netglance.log")), "{program}");
        let rest = format!(
            "[supervisord]\nnodaemon=true\nlogfile={}\npidfile={}\nchildlogdir={}\n[unix_http_server]\nfile={}\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{}\n",
            at("supervisord.log"),
            at("supervisord.pid"),
            dir.path().display(),
            at("control"),
            at("control"),
        );
        std::fs::write(at("supervisord.conf"), format!("{rest}{own}")).unwrap();
        let child = Command::new("supervisord")
            .args(["-n", "-c", &at("supervisord.conf")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("supervisord, of the Debian package supervisor, runs");
        Self { child, dir }
    }

    fn control(&self, arguments: &[&str]) -> String {
        let configuration = self.dir.path().join("supervisord.conf");
        let output = Command::new("supervisorctl").arg("-c").arg(configuration).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn pid(&self) -> Option<i32> {
        self.control(&["pid", "netglance"]).trim().parse().ok().filter(|pid| *pid > 0)
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(self.dir.path().join("socket")) else { return false };
        let mut answer = String::new();
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 200 ")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("netglance.log")).unwrap_or_default()
    }
}

impl Drop for Supervisord {
    fn drop(&mut self) {
        signal(self.child.id() as i32, libc::SIGCONT);
        signal(self.child.id() as i32, libc::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that this test has started, or one of its children.
fn signal(pid: i32, signal: i32) {
    // SAFETY: takes numbers only
    unsafe { libc::kill(pid, signal) };
}

/// Children of a process.
fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn supervisord_starts_restarts_and_stops_the_agent() {
    let keeper = Supervisord::start();
    until("the agent", || keeper.is_ready());
    assert!(keeper.log().contains("netglance: listening on unix:"), "{}", keeper.log());
    let pid = keeper.pid().unwrap();
    let parts = children(pid);
    assert_eq!(parts.len(), 2);
    // a crash of all of it
    signal(pid, libc::SIGKILL);
    until("no part of the old one", || !parts.iter().any(|part| exists(*part)));
    until("another agent", || keeper.pid().is_some_and(|other| other != pid) && keeper.is_ready());
    let pid = keeper.pid().unwrap();
    let parts = children(pid);
    let asked = Instant::now();
    assert!(keeper.control(&["stop", "netglance"]).contains("stopped"));
    // within stopwaitsecs, so that no SIGKILL was needed, and without orphans
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert!(!exists(pid) && !parts.iter().any(|part| exists(*part)));
    assert!(!keeper.dir.path().join("socket").exists());
}

#[test]
fn a_supervisord_that_reads_no_log_stops_nothing() {
    let keeper = Supervisord::start();
    until("the agent", || keeper.is_ready());
    let pid = keeper.pid().unwrap();
    let front = || {
        children(pid).into_iter().find(|part| {
            std::fs::read(format!("/proc/{part}/cmdline")).is_ok_and(|command| command.ends_with(b"front\0"))
        })
    };
    signal(keeper.child.id() as i32, libc::SIGSTOP);
    // the pipe to it is made full by somebody else who writes to it
    let pipe = std::fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/2")).unwrap();
    let flags = rustix::fs::fcntl_getfl(&pipe).unwrap() | rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&pipe, flags).unwrap();
    while (&pipe).write(&[b'.'; 4096]).is_ok() {}
    while (&pipe).write(b".").is_ok() {}
    let before = front().unwrap();
    signal(before, libc::SIGKILL);
    until("another front", || front().is_some_and(|other| other != before));
    until("answers", || keeper.is_ready());
    // it still ends at once
    let parts = children(pid);
    signal(pid, libc::SIGTERM);
    let asked = Instant::now();
    until("no part", || !parts.iter().any(|part| exists(*part)));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[test]
fn systemd_finds_the_unit_hardened() {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(packaging("netglance.service"))
        .output()
        .expect("systemd-analyze, of the Debian package systemd, runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let level = text.lines().find_map(|line| line.split_once("netglance.service: ")?.1.split_whitespace().next());
    let level: f64 = level.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    assert!(level <= 2.5, "{text}");
    // what systemd does not know is said here, and would not hold
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("ignoring"), "{told}");
}

#[test]
fn the_unit_grants_what_the_default_collectors_need() {
    let unit = std::fs::read_to_string(packaging("netglance.service")).unwrap();
    let granted = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    let needs = netglance::collect::settings::Settings::default().needs();
    let names: Vec<String> = needs.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    for key in ["CapabilityBoundingSet=", "AmbientCapabilities="] {
        let granted = granted(key);
        let mut granted: Vec<&str> = granted.split(' ').collect();
        granted.sort_unstable();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(granted, names, "{key}");
    }
}

#[test]
fn what_avahi_tells_neighbors_is_where_browse_looks() {
    let text = std::fs::read_to_string(packaging("netglance.avahi")).unwrap();
    let (_, service) = text.split_once("-->").unwrap();
    for told in ["<type>_netglance._tcp</type>", &format!("<port>{}</port>", netglance::client::PORT)] {
        assert_eq!(service.matches(told).count(), 1, "{told}");
    }
}

#[test]
fn everything_that_the_package_installs_is_there_or_made() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new(packaging("assemble"))
        .args([Path::new(env!("CARGO_BIN_EXE_netglance")), dir.path()])
        .status()
        .unwrap();
    assert!(made.success());
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let assets = deb["assets"].as_array().unwrap();
    assert!(assets.len() > 8);
    // the units go where systemd finds them, by their names
    let units = deb["systemd-units"]["unit-scripts"].as_str().unwrap();
    for unit in ["netglance.service", "netglance.socket"] {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(units).join(unit).is_file(), "{unit}");
    }
    let changelog = deb["changelog"].as_str().unwrap().strip_prefix("target/packaging/").unwrap();
    let read = Command::new("dpkg-parsechangelog")
        .arg("-l")
        .arg(dir.path().join(changelog))
        .args(["-S", "Version"])
        .output()
        .expect("dpkg-parsechangelog, of the Debian package dpkg-dev, runs");
    assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), concat!(env!("CARGO_PKG_VERSION"), "-1"), "{read:?}");
    for asset in assets {
        let source = asset[0].as_str().unwrap();
        let here = match source.strip_prefix("target/packaging/") {
            Some(name) => dir.path().join(name),
            None if source == "target/release/netglance" => continue,
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join(source),
        };
        let size = std::fs::metadata(&here).unwrap_or_else(|cause| panic!("{}: {cause}", here.display())).len();
        assert!(size > 0, "{source}");
        // nothing may run as somebody else
        assert!(["644", "755"].contains(&asset[2].as_str().unwrap()), "{source}");
    }
}

/// A list that names functions which are no more would put nothing together, and nobody would notice.
#[test]
fn the_functions_that_the_linker_puts_together_are_still_there() {
    let listed = Command::new("nm").arg(env!("CARGO_BIN_EXE_netglance")).output().unwrap();
    let symbols = String::from_utf8(listed.stdout).unwrap();
    let paths = symbols.lines().filter_map(|line| line.rsplit_once(' ')?.1.rsplit_once("17h").map(|(path, _)| path));
    let known: std::collections::HashSet<&str> = paths.collect();
    let script = std::fs::read_to_string(packaging("touched.ld")).unwrap();
    let names = script.lines().filter_map(|line| line.trim().strip_prefix("*(.text.")?.strip_suffix("17h*)"));
    // those of the standard library are compiled in or not as the optimizer likes
    let own: Vec<&str> = names.filter(|name| name.contains("netglance")).collect();
    let there = own.iter().filter(|name| known.contains(**name)).count();
    assert!(own.len() > 200, "{} names in packaging/touched.ld", own.len());
    assert!(there * 4 >= own.len() * 3, "{there} of {} are left: make it anew, benches/touched.rs says how", own.len());
}
