//! What does it cost to read very many flows of Open vSwitch, and how far is that from the floor?
//!
//! `cargo bench --bench ovs -- [--flows N] [--rounds N]` starts Open vSwitch with N flows on a bridge, in namespaces of its own (root,
//! `ovsdb-server`, `ovs-vswitchd`), and prints the median wall clock and CPU of flows that become rows and of a sample of bridges
//! and ports, beside the floor: the same answer received and not looked at, and beside `ovs-ofctl dump-flows`. CPU is that of the
//! reader, not of Open vSwitch. Nothing is judged here. Without `--flows` it reads that of this host, and under `cargo test` once.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netglance::collect::Wants;
use netglance::model::Demand;
use netglance::source::control::trust::Trust;
use netglance::source::ovs::flow;
use netglance::source::ovs::openflow::{FLOW, Management};

#[path = "support/measure.rs"]
mod measure;
#[path = "support/sample.rs"]
mod sampled;

use measure::{Failure, Options, measure, resident};
use sampled::{made, sample};

/// Bridge that has the flows.
const BRIDGE: &str = "/run/openvswitch/br0.mgmt";

/// Programs that end with this one.
struct Programs(Vec<Child>);

impl Drop for Programs {
    fn drop(&mut self) {
        for program in &mut self.0 {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

fn run(command: &str) -> Result<(), Failure> {
    let status = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command}: {status}").into()) }
}

/// Moves this process into namespaces with a bridge that has so many flows.
fn make(flows: u32) -> Result<Programs, Failure> {
    // SAFETY: this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } != 0 {
        return Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into());
    }
    run("mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir /run/openvswitch && cd /run/openvswitch && \
         ovsdb-tool create conf.db /usr/share/openvswitch/vswitch.ovsschema")?;
    let mut programs = Programs(Vec::new());
    let mut start = |program: &str, arguments: &[&str]| -> Result<(), Failure> {
        let mut command = Command::new(program);
        command.args(arguments).args(["--unixctl=none", "-vsyslog:off", "-vconsole:off"]);
        programs.0.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        Ok(())
    };
    start("ovsdb-server", &["/run/openvswitch/conf.db", "--remote=punix:/run/openvswitch/db.sock"])?;
    start("ovs-vswitchd", &["unix:/run/openvswitch/db.sock"])?;
    run(
        "ovs-vsctl --retry --no-wait init && ovs-vsctl add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure",
    )?;
    let mut text = String::new();
    for number in 0..flows {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
        text += &["priority=100,tcp,nw_dst=", &address.to_string(), ",tp_dst=443 actions=dec_ttl,LOCAL\n"].concat();
    }
    std::fs::write("/run/flows", text)?;
    run("ovs-ofctl -O OpenFlow13 add-flows br0 /run/flows")?;
    Ok(programs)
}

/// Receives all flows and looks at none.
fn floor() -> Result<String, Failure> {
    let late = Instant::now() + Duration::from_secs(20);
    let mut management = Management::open(Path::new(BRIDGE), &Trust::new(&[]), late)?;
    let mut received = 0;
    management.each(FLOW, &flow::ALL, late, |_, records| {
        received += records.0.len();
        Some(())
    })?;
    Ok(received.to_string())
}

/// What `ovs-ofctl` needs to print the same to nowhere.
fn listed() -> String {
    let mut command = Command::new("ovs-ofctl");
    command.args(["-O", "OpenFlow13", "--names", "dump-flows", "br0"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let rounds = options.rounds()?;
    let programs = options.number("--flows")?.map(make).transpose()?;
    measure::head()?;
    let wants = Wants::union(&[Demand::table("ovs_flow")]);
    let (mut bridges, mut flows) = (made("ovs")?, made("ovs_flow")?);
    let before = resident()?;
    sample(&mut *flows, &wants);
    let added = resident()?.saturating_sub(before) >> 10;
    if programs.is_some() {
        measure("(floor)", rounds, floor)?;
    }
    measure("ovs_flow", rounds, || Ok(sample(&mut *flows, &wants)))?;
    measure("ovs", rounds, || Ok(sample(&mut *bridges, &Wants::default())))?;
    measure("(ovs-ofctl)", rounds, || Ok(listed()))?;
    drop(programs);
    Ok(writeln!(std::io::stdout().lock(), "{added} KiB of memory added by the flows while somebody looks at them")?)
}
