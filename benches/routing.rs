//! What does it cost to ask a routing daemon that has very many neighbors, and how far is that from the floor?
//!
//! `cargo bench --bench routing -- [--neighbors N] [--rounds N]` joins two routers of FRR by N networks (root, `ip`, `ospfd`), each
//! in a network namespace of its own, waits until all N adjacencies are Full, and prints the median wall clock and CPU of one
//! sample, beside the floor: the same questions over the same kind of socket, whose answers are received and not looked at, and
//! beside `vtysh`. Nothing is judged here. Without `--neighbors` it asks the `ospfd` of this host, and under `cargo test` once.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netglance::collect::Wants;

#[path = "support/measure.rs"]
mod measure;
#[path = "support/sample.rs"]
mod sampled;

use measure::{Failure, Options, measure, resident};
use sampled::{made, sample};

/// Where the daemon that is asked listens.
const SOCKET: &str = "/run/frr/ospfd.vty";

/// What it is asked.
const QUESTIONS: [&str; 3] =
    ["show ip ospf vrf all neighbor detail json", "show ip ospf vrf all interface json", "show ip ospf vrf all json"];

/// Longest wait for all adjacencies.
const PATIENCE: Duration = Duration::from_mins(3);

/// A daemon, which ends with it.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &[&str], input: &str) -> Result<(), Failure> {
    let mut child = Command::new(command[0]).args(&command[1..]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(input.as_bytes())?;
    if child.wait()?.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}

/// Joins two routers by so many networks, and moves this process into the network namespace of the first.
fn make(neighbors: u32) -> Result<Vec<Daemon>, Failure> {
    // SAFETY: this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } != 0 {
        return Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into());
    }
    run(&["mount", "--make-rprivate", "/"], "")?;
    run(&["mount", "-t", "tmpfs", "tmpfs", "/run"], "")?;
    run(&["install", "-d", "-o", "frr", "-g", "frr", "/run/frr", "/run/far"], "")?;
    let (mut near, mut far, mut config) =
        (String::from("netns add far\nlink set lo up\n"), String::new(), String::new());
    for number in 0..neighbors {
        let network = format!("10.{}.{}", number / 250, number % 250);
        writeln!(near, "link add n{number} type veth peer name n{number} netns far")?;
        writeln!(near, "addr add {network}.1/30 dev n{number}\nlink set n{number} up")?;
        writeln!(far, "addr add {network}.2/30 dev n{number}\nlink set n{number} up")?;
        writeln!(config, "interface n{number}\n ip ospf area 0\n ip ospf network point-to-point")?;
        writeln!(config, " ip ospf hello-interval 5\n ip ospf dead-interval 60\nexit")?;
    }
    run(&["ip", "-batch", "-"], &near)?;
    run(&["ip", "-n", "far", "-batch", "-"], &far)?;
    // of OSPF's groups a socket may join 20 otherwise
    for place in [&["sysctl"][..], &["ip", "netns", "exec", "far", "sysctl"]] {
        run(&[place, &["-qw", "net.ipv4.igmp_max_memberships=100000"]].concat(), "")?;
    }
    let mut daemons = Vec::new();
    for (place, id) in [("/run/frr", "10.9.9.1"), ("/run/far", "10.9.9.2")] {
        std::fs::write(format!("{place}/zebra.conf"), "")?;
        std::fs::write(format!("{place}/ospfd.conf"), format!("{config}router ospf\n ospf router-id {id}\nexit\n"))?;
        for name in ["zebra", "ospfd"] {
            let program = format!("/usr/lib/frr/{name}");
            let mut command = Command::new(if id.ends_with('1') { &program } else { "ip" });
            if id.ends_with('2') {
                command.args(["netns", "exec", "far", &program]);
            }
            command.args(["-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0", "--vty_socket", place]);
            command.args(["-z", &format!("{place}/zserv.api"), "-i", &format!("{place}/{name}.pid")]);
            command.args(["-f", &format!("{place}/{name}.conf")]).stderr(Stdio::null()).stdout(Stdio::null());
            daemons.push(Daemon(command.spawn()?));
        }
    }
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if full() == neighbors as usize {
            return Ok(daemons);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Err(format!("{} of {neighbors} neighbors are Full", full()).into())
}

/// How many adjacencies are Full.
fn full() -> usize {
    let answer = UnixStream::connect(SOCKET).ok().and_then(|mut line| ask(&mut line, "show ip ospf neighbor").ok());
    answer.map_or(0, |answer| String::from_utf8_lossy(&answer).matches(" Full/").count())
}

/// The answer to a question, which ends with three zeros and a status.
fn ask(line: &mut UnixStream, question: &str) -> Result<Vec<u8>, Failure> {
    line.write_all(&[question.as_bytes(), &[0]].concat())?;
    let (mut answer, mut room) = (Vec::new(), vec![0; 64 << 10]);
    while !matches!(answer.as_slice(), [.., 0, 0, 0, _]) {
        match line.read(&mut room)? {
            0 => return Err("it has closed the connection".into()),
            came => answer.extend_from_slice(room.get(..came).unwrap_or_default()),
        }
    }
    Ok(answer)
}

/// Asks the same, and looks at nothing.
fn floor(line: &mut UnixStream) -> Result<String, Failure> {
    let mut received = 0;
    for question in QUESTIONS {
        received += ask(line, question)?.len();
    }
    Ok(format!("{} KiB", received >> 10))
}

/// What `vtysh` needs to print the same to nowhere.
fn listed() -> String {
    let mut command = Command::new("vtysh");
    for question in QUESTIONS {
        command.args(["-c", question]);
    }
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let rounds = options.rounds()?;
    let _daemons = options.number("--neighbors")?.map(make).transpose()?;
    measure::head()?;
    let wants = Wants::default();
    let (before, mut collector) = (resident()?, made("routing")?);
    sample(&mut *collector, &wants);
    let added = resident()?.saturating_sub(before) >> 10;
    if let Ok(mut line) = UnixStream::connect(SOCKET) {
        measure("(floor)", rounds, || floor(&mut line))?;
    }
    measure("(sample)", rounds, || Ok(sample(&mut *collector, &wants)))?;
    measure("(vtysh)", rounds, || Ok(listed()))?;
    Ok(writeln!(std::io::stdout().lock(), "{added} KiB of memory added by the first sample")?)
}
