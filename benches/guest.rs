//! What does it cost to watch very many guests, and how far is that from the floor?
//!
//! `cargo bench --bench guest -- [--guests N] [--vcpus N] [--rounds N]` starts N guests of KVM with a network card each, in a network
//! namespace of its own (root, /dev/kvm, /dev/net/tun), and prints the median wall clock and CPU of a sample, and of one in which
//! somebody looks at every column, beside the floor: the same files read from kept descriptors and not looked at. Guests are
//! real ones, whose virtual CPUs halt, held by a program that does nothing else: what is not measured here is what they do.
//! Nothing is judged here. Without `--guests` it looks at those of this host, and under `cargo test` once.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use netglance::collect::Wants;
use netglance::model::Demand;

#[expect(clippy::unwrap_used, dead_code, reason = "the tests have it too, where a panic is a failure")]
#[path = "../tests/support/vmm.rs"]
mod vmm;

#[path = "support/measure.rs"]
mod measure;
#[path = "support/sample.rs"]
mod sampled;

use measure::{Failure, Options, measure, resident};
use sampled::{made, sample};
use vmm::{Does, Shape, Vmm};

/// Moves this process into a network namespace of its own and starts so many guests.
fn make(guests: u32, vcpus: u32) -> Result<Vec<Vmm>, Failure> {
    // SAFETY: this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into());
    }
    let names: Vec<String> = (0..vcpus).map(|index| format!("CPU {index}/KVM")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let made = |number: u32| {
        let name = format!("guest{number}");
        let command = ["qemu-system-x86_64", "-name", &*name, "-m", "16"];
        let (tap, comm) = (Some(&*name), "qemu-system-x86");
        Vmm::start(&Shape { comm, command: &command, vcpus: &names, does: Does::Halt, tap, number: None })
    };
    Ok((0..guests).map(made).collect())
}

/// What a sample has to read at least, kept open.
struct Floor {
    kept: Vec<File>,
    /// Read anew.
    named: Vec<String>,
    buffer: Vec<u8>,
}

impl Floor {
    fn of(guests: &[Vmm]) -> Result<Self, Failure> {
        let (mut kept, mut named) = (Vec::new(), Vec::new());
        for pid in guests.iter().map(|guest| guest.pid) {
            for file in ["stat", "io"] {
                kept.push(File::open(format!("/proc/{pid}/{file}"))?);
            }
            for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                let thread = thread?;
                if thread.file_name().to_str() != Some(&pid.to_string()) {
                    kept.push(File::open(thread.path().join("schedstat"))?);
                }
            }
            named.push(format!("/proc/{pid}/statm"));
        }
        Ok(Self { kept, named, buffer: vec![0; 4096] })
    }

    fn read(&mut self) -> Result<String, Failure> {
        for file in &self.kept {
            file.read_at(&mut self.buffer, 0)?;
        }
        for name in &self.named {
            File::open(name)?.read_at(&mut self.buffer, 0)?;
        }
        Ok((self.kept.len() + self.named.len()).to_string())
    }
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let rounds = options.rounds()?;
    let vcpus = options.number("--vcpus")?.unwrap_or(4);
    let guests = options.number("--guests")?.map(|guests| make(guests, vcpus)).transpose()?;
    measure::head()?;
    let before = resident()?;
    let mut collector = made("vm")?;
    if let Some(guests) = &guests {
        let mut floor = Floor::of(guests)?;
        measure("(floor)", rounds, || floor.read())?;
    }
    let all = |table: &str, columns: &[&str]| Demand {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        ..Demand::table(table)
    };
    measure("vm", rounds, || Ok(sample(&mut *collector, &Wants::default())))?;
    let added = resident()?.saturating_sub(before) >> 10;
    let wants = Wants::union(&[all("vm", &["pss"]), all("vcpu", &["guest_time", "last_cpu"])]);
    measure("vm, looked at", rounds, || Ok(sample(&mut *collector, &wants)))?;
    let mut processes = made("process")?;
    measure("process", rounds, || Ok(sample(&mut *processes, &Wants::default())))?;
    drop(guests);
    Ok(writeln!(std::io::stdout().lock(), "{added} KiB of memory added by the first samples of guests")?)
}
