//! What do the monitors of guests say, and what have they open?
//!
//! Collector `vm` finds the guests; what takes longer is done here, on a thread of its own: files are looked at, and QEMU is asked
//! over QMP. Each monitor is asked for a moment only, because it serves one client at a time, and one that does not answer is
//! asked ever less often. A monitor of libvirt is left alone: libvirt holds it, and is asked itself.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::{Machine, Monitor, Owned, Text};
use crate::source::Error;
use crate::source::control::line::Line;
use crate::source::control::trust::Trust;
use crate::source::file::{Root, Roots};
use crate::source::guest::libvirt::{Connection, Domain, SOCKETS};
use crate::source::guest::qmp::{self, Process};
use crate::source::guest::said::Said;
use crate::source::guest::{Disk, Held, Identity};
use crate::source::process::parse;

pub mod disk;
pub mod exit;

use disk::VmDiskRow;
use exit::VmExitRow;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "vm_monitor",
    tables: &[VmDiskRow::TABLE, VmExitRow::TABLE],
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

/// Most turns for which a monitor is not asked that did not answer: a minute, after which a guest that was stuck is known to go on.
const LONGEST: u64 = 12;

/// Turns until libvirt is asked again what OpenStack calls a guest, which may be changed at any time.
const NAME_TURNS: u64 = 60;

/// Guests of which that is asked in one turn.
const MAX_NAMES: usize = 32;

/// Times in a row that a monitor does not answer until its guest counts as stuck: once is load.
const SILENCES: u32 = 2;

/// What is known of a guest.
#[derive(Default)]
struct Known {
    start: u64,
    /// When what it has open is looked at again.
    looks: u64,
    disks: Vec<Disk>,
    /// Where its monitor listens, here and as its process has it.
    socket: Option<(PathBuf, Vec<u8>)>,
    /// Times in a row that it did not answer.
    silences: u32,
    /// Whether its command line says what it is called.
    is_named: bool,
    /// What OpenStack calls it, and when that is asked again.
    of_nova: (Option<Text>, u64),
    /// By which libvirt knows it, if it is libvirt's.
    uuid: Option<String>,
    uid: u32,
    wait: Wait,
}

#[derive(Default)]
struct MonitorCollector {
    turn: u64,
    known: BTreeMap<u32, Known>,
    /// What is open to those of libvirt, and when they are asked again that have not answered.
    libvirt: [Option<Connection>; SOCKETS.len()],
    waits: [Wait; SOCKETS.len()],
}

/// When somebody is asked again.
#[derive(Clone, Copy, Default)]
struct Wait {
    until: u64,
    turns: u64,
}

impl Wait {
    /// What follows from an answer in a turn.
    fn after(self, turn: u64, has_answered: bool) -> Self {
        let turns = if has_answered { 0 } else { (self.turns * 2).clamp(1, LONGEST) };
        Self { until: turn + 1 + turns, turns }
    }
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
        let (mut said, mut trouble) = (BTreeMap::new(), None);
        if cx.roots.live {
            (said, trouble) = self.ask(&cx.roots.proc);
            trouble = trouble.or(self.ask_libvirt(&cx.roots.host, &mut said));
        }
        let monitor = |(pid, known): (&u32, &Known)| {
            let (said, is_silent) = (said.get(pid), known.silences >= SILENCES);
            let heard = said.cloned().unwrap_or_default();
            let name = known.of_nova.0.clone().or(heard.name.filter(|_| !known.is_named));
            let Said { status, uuid, balloon, .. } = heard;
            let monitor = Monitor { start: known.start, status, name, uuid, balloon, is_silent };
            (said.is_some() || is_silent).then_some((*pid, monitor))
        };
        out.own(Owned::Monitors(Arc::new(self.known.iter().filter_map(monitor).collect())));
        let rows = machines.iter().filter_map(|(pid, machine)| {
            let blocks = said.get(pid).map(|said| said.blocks.as_slice()).unwrap_or_default();
            Some(disk::rows(*pid, machine, self.known.get(pid)?, blocks))
        });
        out.push(rows.flatten().collect::<Vec<_>>());
        exit::fill(cx, &self.known, Instant::now() + PATIENCE[0], out);
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
        let cgroup = proc.read(format!("{pid}/cgroup")).unwrap_or_default();
        let identity = Identity::of(&cmdline, comm.trim_ascii_end(), parse::cgroup(&cgroup));
        let disks = held.disks([proc, &roots.sys], pid, &identity.others);
        // its number may be another one's by now
        if !proc.read(format!("{pid}/stat")).is_ok_and(is_it) {
            return;
        }
        self.disks = disks;
        self.is_named = identity.is_named;
        self.uid = std::fs::metadata(proc.join(pid.to_string())).map_or(u32::MAX, |owner| owner.uid());
        self.uuid = identity.uuid.map(|uuid| String::from_utf8_lossy(&uuid).into_owned());
        let own = identity.monitors.iter().find(|path| !is_libvirts(path));
        self.socket = own.map(|path| (qmp::place(proc.path(), pid, path), path.clone()));
    }
}

/// Whether a socket is where libvirt puts those that it holds itself.
fn is_libvirts(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|part| part == b"libvirt")
}

impl MonitorCollector {
    /// Asks all monitors that it is time for, those that have answered first; the first trouble is told.
    fn ask(&mut self, proc: &Root) -> (BTreeMap<u32, Said>, Option<Error>) {
        let (mut said, mut trouble) = (BTreeMap::new(), None);
        let end = Instant::now() + PATIENCE[1];
        let mut order: Vec<(u64, u64, u32)> =
            self.known.iter().map(|(pid, known)| (known.wait.turns, known.wait.until, *pid)).collect();
        order.sort_unstable();
        for (_, _, pid) in order {
            let Some(known) = self.known.get_mut(&pid).filter(|known| known.wait.until <= self.turn) else { continue };
            let Some((socket, own)) = &known.socket else { continue };
            if Instant::now() >= end {
                break;
            }
            let answer = qmp::ask(socket, Process { pid, uid: known.uid }, Instant::now() + PATIENCE[0]);
            known.wait = known.wait.after(self.turn, answer.is_ok());
            let is_silent = answer.as_ref().is_err_and(|error| error.cause.kind() == ErrorKind::TimedOut);
            // who talks to somebody else is not silent
            let is_taken = is_silent && qmp::is_taken(proc, pid, own);
            known.silences = if is_silent && !is_taken { known.silences.saturating_add(1) } else { 0 };
            match answer {
                Ok(answer) => drop(said.insert(pid, answer)),
                Err(_) if is_taken => drop(trouble.get_or_insert_with(|| qmp::taken(socket))),
                Err(error) => drop(trouble.get_or_insert(error)),
            }
        }
        (said, trouble)
    }

    /// Asks libvirt for its guests.
    fn ask_libvirt(&mut self, host: &Root, said: &mut BTreeMap<u32, Said>) -> Option<Error> {
        let own = |known: &Known| known.uuid.clone().filter(|_| known.socket.is_none());
        let whose: BTreeMap<String, u32> =
            self.known.iter().filter_map(|(pid, known)| Some((own(known)?, *pid))).collect();
        let mut trouble = None;
        for ((path, connection), wait) in SOCKETS.iter().zip(&mut self.libvirt).zip(&mut self.waits) {
            let path = host.join(path);
            if whose.is_empty() || wait.until > self.turn || (connection.is_none() && !path.exists()) {
                continue;
            }
            let deadline = Instant::now() + PATIENCE[0];
            let opened = connection.take().map_or_else(
                || Line::open(&path, &Trust::new(&[])).and_then(|line| Connection::open(line, deadline)),
                Ok,
            );
            let told = opened.and_then(|mut opened| Ok((opened.domains(deadline)?, opened)));
            *wait = wait.after(self.turn, told.is_ok());
            match told {
                Ok((domains, mut opened)) => {
                    match names(&mut opened, &domains, &whose, &mut self.known, self.turn, deadline) {
                        Ok(()) => *connection = Some(opened),
                        Err(error) => drop(trouble.get_or_insert(error)),
                    }
                    let guest = |domain: Domain| Some((*whose.get(&domain.uuid)?, domain.said));
                    said.extend(domains.into_iter().filter_map(guest));
                }
                Err(error) => drop(trouble.get_or_insert(error)),
            }
        }
        trouble
    }
}

/// Asks what OpenStack calls those guests of which it is time to. One that has hung is not asked again soon.
fn names(
    opened: &mut Connection,
    domains: &[Domain],
    whose: &BTreeMap<String, u32>,
    known: &mut BTreeMap<u32, Known>,
    turn: u64,
    deadline: Instant,
) -> Result<(), Error> {
    let mut left = MAX_NAMES;
    for domain in domains {
        let known = whose.get(&domain.uuid).and_then(|pid| known.get_mut(pid));
        if let Some(known) = known.filter(|known| left > 0 && known.of_nova.1 <= turn) {
            known.of_nova.1 = turn + NAME_TURNS;
            known.of_nova.0 = opened.of_nova(domain, deadline)?;
            left -= 1;
        }
    }
    Ok(())
}
