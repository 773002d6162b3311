//! What does it cost to read very many routes, and how far is that from the floor?
//!
//! `cargo bench --bench route -- [--routes N] [--rounds N]` makes N routes in a network namespace of its own (root, `ip`), and
//! prints the median wall clock and CPU of one dump that becomes rows, of one that is only counted, and of a sample without
//! a change, beside the floor: the same dump received and not looked at, and beside `ip -j route`. Nothing is judged here.
//! Without `--routes` it reads the routes of this host, and under `cargo test` once.

use std::fmt::Write as _;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use netglance::collect::Wants;
use netglance::model::Demand;
use netglance::source::netlink::{Family, Part, Patience, Socket, fib};

#[path = "support/measure.rs"]
mod measure;
#[path = "support/sample.rs"]
mod sampled;

use measure::{Failure, Options, measure, resident};
use sampled::{made, sample};

/// Moves this process into a network namespace with so many routes.
fn make(routes: u32) -> Result<(), Failure> {
    // SAFETY: this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into());
    }
    let mut script = String::from(
        "link set lo up\nlink add left type veth peer name right\nlink set left up\nlink set right up\n\
         addr add 10.0.0.1/8 dev left\n",
    );
    for number in 0..routes {
        let destination = Ipv4Addr::from(0x2000_0000 + number * 256);
        writeln!(script, "route add {destination}/24 via 10.0.0.{} proto bgp metric 20", 2 + number % 200)?;
    }
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(script.as_bytes())?;
    if child.wait()?.success() { Ok(()) } else { Err("ip refused".into()) }
}

/// Receives the routes of both families and looks at nothing.
fn floor(socket: &mut Socket) -> Result<String, Failure> {
    let mut received = 0_u64;
    for family in [libc::AF_INET, libc::AF_INET6] {
        socket.dump_within(Patience { attempts: 1, ..Patience::default() }, &fib::routes(family), |part| {
            received += u64::from(part != Part::Start);
            Ok(())
        })?;
    }
    Ok(received.to_string())
}

/// What `ip` needs to print the same to nowhere.
fn listed() -> String {
    let status = Command::new("ip")
        .args(["-j", "route", "show", "table", "all"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let rounds = options.rounds()?;
    if let Some(routes) = options.number("--routes")? {
        make(routes)?;
    }
    measure::head()?;
    let wants = Wants::union(&[Demand::table("route")]);
    let (before, mut collector) = (resident()?, made("route")?);
    sample(&mut *collector, &wants);
    let added = resident()?.saturating_sub(before) >> 10;
    let mut socket = Socket::open(Family::Route)?;
    measure("(floor)", rounds, || floor(&mut socket))?;
    measure("(counted)", rounds, || Ok(sample(&mut *made("route")?, &Wants::default())))?;
    measure("(rows)", rounds, || Ok(sample(&mut *made("route")?, &wants)))?;
    measure("(no change)", rounds, || Ok(sample(&mut *collector, &wants)))?;
    measure("(ip -j)", rounds, || Ok(listed()))?;
    Ok(writeln!(std::io::stdout().lock(), "{added} KiB of memory added by the routes while somebody looks at them")?)
}
