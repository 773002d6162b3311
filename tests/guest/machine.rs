//! How does a test run commands under a kernel that has what this one lacks?
//!
//! A virtual machine without disk and network: Debian's cloud kernel, and an initial file system with the programs that are
//! asked for, their libraries and the modules, made anew for each. It is emulated, so that it needs no right, and ends with
//! its script, or when it has taken too long.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Most that a machine may take; it boots in some ten seconds of a whole CPU.
const PATIENCE: Duration = Duration::from_mins(5);
/// Most that it may print.
const SAID: u64 = 16 << 20;
/// Directories of modules that are taken along, below `kernel`.
const MODULES: [&str; 6] = ["net", "drivers/net", "drivers/md", "crypto", "arch/x86/crypto", "lib"];
/// Before and behind what the script prints.
const MARKS: [&str; 2] = ["the script begins", "the script has ended"];

/// What is started first. The kernel calls `/sbin/modprobe` for modules that it wants.
const INIT: &str = "#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
echo 3 > /proc/sys/kernel/printk
echo 'the script begins'
sh /script
echo \"the script has ended: $?\"
poweroff -f
";

/// A virtual machine that is not started yet.
pub(crate) struct Guest {
    archive: Archive,
    kernel: PathBuf,
}

impl Guest {
    /// One that has these programs of this host, and this program as `netglance`.
    pub(crate) fn with(programs: &[&str]) -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("guest");
        let kernel = only(&home.join("boot"), "vmlinuz-");
        let modules = only(&home.join("lib/modules"), "");
        let mut archive = Archive::default();
        for dir in ["proc", "sys", "dev", "run", "tmp", "sbin"] {
            archive.dir(dir);
        }
        archive.file("init", 0o755, INIT.as_bytes());
        archive.of_host(&which("busybox"), "bin/busybox");
        for name in ["sh", "mount", "poweroff", "cat"] {
            archive.link(&format!("bin/{name}"), "/bin/busybox");
        }
        archive.link("sbin/modprobe", "/bin/busybox");
        for names in ["etc/protocols", "etc/services", "etc/passwd", "etc/group"] {
            archive.of_host(&Path::new("/").join(names), names);
        }
        for dir in MODULES {
            archive.tree(&modules.join("kernel").join(dir), &home);
        }
        for entry in modules.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                archive.of_host(&path, path.strip_prefix(&home).unwrap().to_str().unwrap());
            }
        }
        for program in programs {
            archive.program(&which(program), &format!("usr/bin/{program}"));
        }
        let bare = tempfile::NamedTempFile::new().unwrap();
        run(Command::new("strip").arg("-o").arg(bare.path()).arg(env!("CARGO_BIN_EXE_netglance")));
        archive.program(bare.path(), "usr/bin/netglance");
        Self { archive, kernel }
    }

    /// Gives it a file.
    pub(crate) fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        self.archive.file(path, 0o644, bytes);
        self
    }

    /// Starts it for a script of `sh`, and gives what that prints.
    pub(crate) fn run(mut self, script: &str) -> String {
        self.archive.file("script", 0o644, format!("exec 2>&1\nset -e\n{script}").as_bytes());
        let dir = tempfile::tempdir().unwrap();
        let initial = dir.path().join("initial");
        std::fs::write(&initial, self.archive.end()).unwrap();
        let mut machine = Command::new(which("qemu-system-x86_64"))
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"])
            .args(["-machine", "q35,accel=tcg", "-cpu", "max", "-m", "768"])
            .args(["-append", "console=ttyS0 quiet panic=-1"])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&initial)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = machine.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut said = Vec::new();
            output.take(SAID).read_to_end(&mut said).map(|_| said)
        });
        let start = Instant::now();
        while machine.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let _ = machine.kill();
        machine.wait().unwrap();
        let said = String::from_utf8_lossy(&reader.join().unwrap().unwrap()).replace('\r', "");
        let inner = said.split_once(MARKS[0]).and_then(|(_, rest)| rest.split_once(MARKS[1]));
        let (inner, status) = inner.unwrap_or_else(|| panic!("the script did not end: {said}"));
        let last = inner.lines().rev().take(30).collect::<Vec<_>>();
        assert!(
            status.starts_with(": 0\n"),
            "the script failed{status}{}",
            last.into_iter().rev().collect::<Vec<_>>().join("\n")
        );
        inner.to_owned()
    }
}

/// The one entry of a directory whose name begins so.
fn only(dir: &Path, prefix: &str) -> PathBuf {
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let entries = dir.read_dir().map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).find(named));
    match entries {
        Ok(Some(path)) => path,
        _ => panic!("{} is not there: tests/run gets the kernel of the guest", dir.display()),
    }
}

fn which(program: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap();
    let paths = std::env::split_paths(&paths).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = paths.map(|dir| dir.join(program)).find(|path| path.is_file());
    found
        .unwrap_or_else(|| panic!("{program} is not installed; tests/run installs what tests need"))
        .canonicalize()
        .unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An initial file system in the format `newc` of `cpio`.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    /// What is in it.
    names: BTreeSet<String>,
}

impl Archive {
    fn put(&mut self, name: &str, mode: u32, content: &[u8]) {
        if let Some((dir, _)) = name.rsplit_once('/') {
            self.dir(dir);
        }
        if !self.names.insert(name.to_owned()) {
            return;
        }
        let number = self.names.len() as u32;
        let fields = [number, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        for part in [&[name.as_bytes(), b"\0"].concat(), content] {
            self.bytes.extend(part);
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
    }

    fn dir(&mut self, name: &str) {
        if !self.names.contains(name) {
            self.put(name, 0o040_755, &[]);
        }
    }

    fn link(&mut self, name: &str, to: &str) {
        self.put(name, 0o120_777, to.as_bytes());
    }

    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.put(name, 0o100_000 | mode, content);
    }

    /// A file of this host.
    fn of_host(&mut self, path: &Path, name: &str) {
        let mode = path.metadata().unwrap().permissions().mode() & 0o755;
        self.file(name, mode, &std::fs::read(path).unwrap());
    }

    /// A program of this host, with its libraries.
    fn program(&mut self, path: &Path, name: &str) {
        self.of_host(path, name);
        let needs = run(Command::new("ldd").arg(path));
        for library in needs.split_whitespace().filter(|word| word.starts_with('/')) {
            self.of_host(&Path::new(library).canonicalize().unwrap(), library.trim_start_matches('/'));
        }
    }

    /// All files below a directory, by their names below `root`.
    fn tree(&mut self, dir: &Path, root: &Path) {
        for entry in dir.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.tree(&path, root);
            } else {
                self.of_host(&path, path.strip_prefix(root).unwrap().to_str().unwrap());
            }
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.put("TRAILER!!!", 0, &[]);
        self.bytes
    }
}
