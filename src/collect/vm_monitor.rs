//! What do the monitors of guests say, and what have they open?
//!
//! Collector `vm` finds the guests; what takes longer is done here, on a thread of its own: files are looked at, and QEMU is asked
//! over QMP. Each monitor is asked for a moment only, because it serves one client at a time, and one that does not answer is
//! asked ever less often. A monitor of libvirt is left alone: libvirt holds it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::{Machine, Monitor, Owned};
use crate::source::Error;
use crate::source::file::Roots;
use crate::source::guest::qmp::{self, Process};
use crate::source::guest::said::Said;
use crate::source::guest::{Disk, Held, Identity};
use crate::source::process::parse;

pub mod disk;

use disk::VmDiskRow;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "vm_monitor",
    tables: &[VmDiskRow::TABLE],
    interval: Duration::from_secs(5),
    // a monitor may be stopped, and a process stuck
    blocks: true,
    needs: super::OTHERS_PROCESSES,
    make: || Box::<MonitorCollector>::default(),
};

/// How long the answers of one monitor may take, and after which time no other one is asked in a turn.
const PATIENCE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// Turns until what a guest has open is looked at again.
const LOOK_TURNS: u64 = 6;

/// Most turns for which a monitor is not asked that did not answer.
const LONGEST: u64 = 64;

/// What is known of a guest.
#[derive(Default)]
struct Known {
    start: u64,
    /// When what it has open is looked at again.
    looks: u64,
    disks: Vec<Disk>,
    /// Where its monitor listens.
    socket: Option<PathBuf>,
    uid: u32,
    /// When its monitor is asked again, and how many turns it was not after the last time.
    asks: u64,
    wait: u64,
}

#[derive(Default)]
struct MonitorCollector {
    turn: u64,
    known: BTreeMap<u32, Known>,
}

impl Collect for MonitorCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let machines = &cx.owners.machines;
        self.turn += 1;
        self.known.retain(|pid, known| machines.get(pid).is_some_and(|machine| machine.start == known.start));
        for (pid, machine) in machines.iter() {
            let known = self.known.entry(*pid).or_insert_with(|| Known { start: machine.start, ..Known::default() });
            if known.looks <= self.turn {
                known.looks = self.turn + LOOK_TURNS + u64::from(*pid) % 2;
                known.look(cx.roots, *pid, machine);
            }
        }
        let (said, trouble) = if cx.roots.live { self.ask() } else { (BTreeMap::new(), None) };
        let monitor = |(pid, said): (&u32, &Said)| {
            let monitor =
                Monitor { start: machines.get(pid)?.start, status: said.status.clone(), balloon: said.balloon };
            Some((*pid, monitor))
        };
        out.own(Owned::Monitors(Arc::new(said.iter().filter_map(monitor).collect())));
        let rows = machines.iter().filter_map(|(pid, machine)| {
            let blocks = said.get(pid).map(|said| said.blocks.as_slice()).unwrap_or_default();
            Some(disk::rows(*pid, machine, self.known.get(pid)?, blocks))
        });
        out.push(rows.flatten().collect::<Vec<_>>());
        if let Some(error) = trouble {
            out.partly(VmDiskRow::TABLE, &Skip::from(error));
        }
        Ok(())
    }

    fn asks(&self) -> &'static [&'static str] {
        &["vm"]
    }
}

impl Known {
    /// Looks at what a guest has open and where it may be asked. What cannot be read stays as it was.
    fn look(&mut self, roots: &Roots, pid: u32, machine: &Machine) {
        let proc = &roots.proc;
        let is_it = |stat: Vec<u8>| parse::stat(&stat).is_some_and(|stat| stat.start == machine.start);
        let (Ok(held), Ok(cmdline)) = (Held::read(proc, pid), proc.read(format!("{pid}/cmdline"))) else { return };
        let comm = proc.read(format!("{pid}/comm")).unwrap_or_default();
        let identity = Identity::of(&cmdline, comm.trim_ascii_end(), None);
        let disks = held.disks([proc, &roots.sys], pid, &identity.others);
        // its number may be another one's by now
        if !proc.read(format!("{pid}/stat")).is_ok_and(is_it) {
            return;
        }
        self.disks = disks;
        self.uid = std::fs::metadata(proc.join(pid.to_string())).map_or(u32::MAX, |owner| owner.uid());
        let own = identity.monitors.iter().find(|path| !is_libvirts(path));
        self.socket = own.map(|path| qmp::place(proc.path(), pid, path));
    }
}

/// Whether a socket is where libvirt puts those that it holds itself.
fn is_libvirts(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part == b"libvirt")
}

impl MonitorCollector {
    /// Asks all monitors that it is time for, those that have answered first; the first trouble is told.
    fn ask(&mut self) -> (BTreeMap<u32, Said>, Option<Error>) {
        let (mut said, mut trouble) = (BTreeMap::new(), None);
        let end = Instant::now() + PATIENCE[1];
        let mut order: Vec<(u64, u64, u32)> =
            self.known.iter().map(|(pid, known)| (known.wait, known.asks, *pid)).collect();
        order.sort_unstable();
        for (_, _, pid) in order {
            let Some(known) = self.known.get_mut(&pid).filter(|known| known.asks <= self.turn) else { continue };
            let Some(socket) = &known.socket else { continue };
            if Instant::now() >= end {
                break;
            }
            let answer = qmp::ask(socket, Process { pid, uid: known.uid }, Instant::now() + PATIENCE[0]);
            known.wait = if answer.is_ok() { 0 } else { (known.wait * 2).clamp(1, LONGEST) };
            known.asks = self.turn + 1 + known.wait;
            match answer {
                Ok(answer) => drop(said.insert(pid, answer)),
                Err(error) => drop(trouble.get_or_insert(error)),
            }
        }
        (said, trouble)
    }
}
