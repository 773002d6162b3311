//! Guests of QEMU that do one thing from their boot sector on, and what QEMU says of them over QMP.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::ring::wait_until;

/// Longest wait for an answer.
const PATIENT: Duration = Duration::from_secs(20);

/// What a guest does from its boot sector on.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Turns in a loop.
    Spin,
    /// Waits for interrupts.
    Halt,
    /// Reads and writes a sector of its disk.
    Disk,
    /// Turns in a loop until somebody presses a key, and a quarter of the time from then on.
    Ease,
}

impl Work {
    pub(crate) fn sector(self) -> Vec<u8> {
        let code: &[u8] = match self {
            Self::Spin => &[0xeb, 0xfe],
            Self::Halt => &[0xfb, 0xf4, 0xeb, 0xfc],
            Self::Disk => &[
                0x31, 0xc0, 0x8e, 0xc0, 0xbb, 0x00, 0x7e, 0xb9, 0x02, 0x00, 0xba, 0x80, 0x00, 0xb8, 0x01, 0x02, 0xcd,
                0x13, 0xb8, 0x01, 0x03, 0xcd, 0x13, 0xeb, 0xf4,
            ],
            // while head and tail of the keys that wait are the same it turns; then it halts but for each fourth tick of the clock
            Self::Ease => &[
                0x31, 0xc0, 0x8e, 0xd8, 0xfb, 0xa1, 0x1a, 0x04, 0x3b, 0x06, 0x1c, 0x04, 0x74, 0xf7, 0xf6, 0x06, 0x6c,
                0x04, 0x03, 0x74, 0xf0, 0xf4, 0xeb, 0xed,
            ],
        };
        let mut sector = code.to_vec();
        sector.resize(510, 0);
        sector.extend([0x55, 0xaa]);
        sector.resize(1 << 20, 0);
        sector
    }
}

/// A guest of QEMU that ends with its owner.
pub(crate) struct Guest {
    child: Child,
    qmp: PathBuf,
    /// Its process as it is numbered where the test runs.
    pub(crate) pid: u32,
}

impl Guest {
    /// Boots one in `dir` with arguments beside those that each has.
    pub(crate) fn boot(dir: &Path, file: &str, work: Work, args: &[&str]) -> Self {
        let [disk, qmp, pid] = ["img", "qmp", "pid"].map(|kind| dir.join(format!("{file}.{kind}")));
        std::fs::write(&disk, work.sector()).unwrap();
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-enable-kvm", "-display", "none", "-nodefaults", "-no-user-config"]).args(args);
        command.arg("-drive").arg(format!("file={},format=raw", disk.display()));
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", qmp.display()));
        command.arg("-pidfile").arg(&pid);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut guest = Self { child, qmp, pid: 0 };
        wait_until("QMP", || UnixStream::connect(&guest.qmp).is_ok());
        guest.pid = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        guest
    }

    /// Its process as it is numbered outside of the namespaces of the test.
    pub(crate) fn outside(&self) -> String {
        self.child.id().to_string()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What QEMU returns for a command.
    pub(crate) fn ask(&self, command: &str) -> Value {
        self.tell(command, &Value::Object(serde_json::Map::new()))
    }

    /// A connection to its monitor, which hears nobody else meanwhile.
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.qmp).unwrap();
        stream.set_read_timeout(Some(PATIENT)).unwrap();
        stream
    }

    /// What QEMU returns for a command with arguments.
    pub(crate) fn tell(&self, command: &str, arguments: &Value) -> Value {
        let mut stream = self.connect();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut said = || loop {
            let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if line.get("event").is_none() {
                return line;
            }
        };
        said();
        writeln!(stream, "{{\"execute\":\"qmp_capabilities\"}}").unwrap();
        said();
        writeln!(stream, "{{\"execute\":\"{command}\",\"arguments\":{arguments}}}").unwrap();
        let answer = said();
        assert!(answer.get("return").is_some(), "{command}: {answer}");
        answer["return"].clone()
    }

    /// Waits until its boot sector runs: how long the firmware takes before, and how busy it is then, is its own affair.
    pub(crate) fn wait(&self) {
        let command = serde_json::json!({"command-line": "info registers"});
        wait_until("a boot sector that runs", || {
            self.tell("human-monitor-command", &command).as_str().unwrap().contains("EIP=00007c")
        });
    }

    /// Threads of its virtual CPUs, as QEMU says.
    pub(crate) fn vcpus(&self) -> Vec<(u64, u64)> {
        let cpu = |cpu: &Value| (cpu["cpu-index"].as_u64().unwrap(), cpu["thread-id"].as_u64().unwrap());
        self.ask("query-cpus-fast").as_array().unwrap().iter().map(cpu).collect()
    }

    /// A file that the kernel has of its process.
    pub(crate) fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.pid)).unwrap()
    }

    /// How long a thread ran and waited, in seconds.
    pub(crate) fn times(&self, thread: u64) -> (f64, f64) {
        let text = self.proc(&format!("task/{thread}/schedstat"));
        let mut words = text.split(' ').map(|word| word.parse::<f64>().unwrap() / 1e9);
        (words.next().unwrap(), words.next().unwrap())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
