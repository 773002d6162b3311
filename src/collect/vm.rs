//! Which guests run on this host, and what does each use?
//!
//! A guest is a process that holds a KVM virtual machine, whichever program that is. What it is made of (name, threads, network
//! cards) is looked up when it is found, when a thread of it ends, and then about twice a minute; on each tick only the times
//! of its threads and the counters of its process are read, from kept descriptors.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Machine, Monitor, Monitors, Owned, Text, Timestamp};
use crate::source::file::{Root, Roots};
use crate::source::guest::thread::{Role, Threads};
use crate::source::guest::{Finder, Held, Identity, memory};
use crate::source::netlink::route::IfIndex;
use crate::source::process::{File, Handle, Io, Scanner, Stat, boot_time, parse};
use crate::table;

mod costly;
mod learned;
pub mod nic;
mod state;
mod status;
mod vcpu;

use costly::Costly;
use learned::{Learned, Owner};
use nic::{Nics, VmNicRow};
use state::Lasting;
pub use state::{GuestState, StuckIn};
pub use status::GuestStatus;
pub use vcpu::VcpuRow;

table! {
    /// One guest of KVM. Its identity is its process with its start.
    ///
    /// The times of virtual CPUs, of threads that read and write for it and of threads that move packets in the kernel are the
    /// scheduler's; they are missing where the kernel keeps none. What a guest itself ran is missing where the kernel does not
    /// account for guests. What is received and sent is seen from the guest, and summed up over its network cards. Swap and
    /// huge pages are read of a few guests on each tick, in turn, and so is what is shared out while somebody wants it.
    ///
    /// The name is what its administrator gave it: Nova's (OpenStack) where libvirt tells, else that of the command line, of the scope
    /// of systemd-machined, or what QEMU says.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/{stat,statm,status,io,cmdline,cgroup,fd,fdinfo,numa_maps}`,
    /// `cpu.pressure` of its control group, `/proc/PID/task/TID/{comm,schedstat,syscall}`; `/sys/kernel/debug/kvm`; rtnetlink `RTM_GETSTATS`; `query-status` and `query-balloon` of QMP.
    pub struct VmRow = "vm" { title: Some("Guests"), history: History::Whole } {
        /// Process that runs it.
        Id(None) pid: u64 { wide: true },
        /// Start in clock ticks since boot; with the process it names the guest for good.
        Id(None) start: u64 { wide: true },
        /// Name that its administrator gave it, or its process.
        Text(None) name: Text { label: true, title: Some("guest") },
        /// Whether it runs.
        Text(None) state: GuestState,
        /// What keeps it, if it is stuck.
        Text(None) stuck: Option<StuckIn> { title: Some("stuck in"), wide: true },
        /// What its monitor says that it does; missing where the monitor is not asked.
        Text(None) status: Option<GuestStatus> { wide: true },
        /// Program that runs it.
        Text(None) monitor: Text { title: Some("vmm") },
        /// Type of the machine that it believes to be.
        Text(None) machine: Option<Text> { wide: true },
        /// UUID that the monitor was given.
        Text(None) uuid: Option<Text> { wide: true },
        /// Virtual CPUs.
        Gauge(None) vcpus: Option<u64>,
        /// Memory that it was started with.
        Gauge(Bytes) memory_size: Option<u64> { title: Some("memory") },
        /// CPU time of its whole process.
        Counter(Seconds) cpu_time: f64 { title: Some("time+"), total: true, cpu: true, wide: true },
        /// CPU time of its virtual CPUs, with what the host did for them.
        Counter(Seconds) vcpu_time: Option<f64> { cpu: true, wide: true },
        /// CPU time in which the guest itself ran.
        Counter(Seconds) guest_time: Option<f64> { cpu: true, wide: true },
        /// CPU time of threads that read, write and move packets for it in the monitor.
        Counter(Seconds) io_time: Option<f64> { cpu: true, wide: true },
        /// CPU time of threads of the kernel that move its packets.
        Counter(Seconds) vhost_time: Option<f64> { cpu: true, wide: true },
        /// CPU time of the rest of its monitor: emulated devices, displays, migration.
        Counter(Seconds) emulator_time: Option<f64> { cpu: true, wide: true },
        /// Time its virtual CPUs were ready to run but waited for a CPU of the host.
        Counter(Seconds) run_delay: Option<f64> { wide: true },
        /// Memory that it has, less than it was started with where a balloon has taken some.
        Gauge(Bytes) balloon: Option<u64> { wide: true },
        /// Memory of its process that is resident.
        Gauge(Bytes) rss: u64,
        /// Memory of its process shared out among all who map it.
        Gauge(Bytes) pss: Option<u64> { wide: true, demand: true },
        /// Memory of its process whose contents others have, too, so that they share it (KSM).
        Gauge(Bytes) ksm: Option<u64> { wide: true },
        /// Which part of its memory is on each NUMA node.
        Text(None) numa: Option<Text> { wide: true, demand: true },
        /// Memory of its process that was moved to swap.
        Gauge(Bytes) swap: Option<u64>,
        /// Huge pages that it has from the host's pool.
        Gauge(Bytes) huge: Option<u64> { wide: true },
        /// Data that its process fetched from storage.
        Counter(Bytes) read_bytes: Option<u64> { title: Some("R/s") },
        /// Data that its process sent towards storage.
        Counter(Bytes) write_bytes: Option<u64> { title: Some("W/s") },
        /// Data that it received.
        Counter(Bytes) rx_bytes: Option<u64> { title: Some("rx"), traffic: true },
        /// Data that it sent.
        Counter(Bytes) tx_bytes: Option<u64> { title: Some("tx"), traffic: true },
        /// Packets that it received.
        Counter(Packets) rx_packets: Option<u64> { wide: true },
        /// Packets that it sent.
        Counter(Packets) tx_packets: Option<u64> { wide: true },
        /// Packets for it that were thrown away because it did not take them.
        Counter(Packets) rx_dropped: Option<u64> { title: Some("rx drop"), wide: true },
        /// Packets of it that the host threw away.
        Counter(Packets) tx_dropped: Option<u64> { title: Some("tx drop"), wide: true },
        /// Time in which a task of its control group waited for a CPU.
        Counter(Seconds) cpu_waited: Option<f64> { wide: true, demand: true },
        /// Time in which a task of its control group waited for memory.
        Counter(Seconds) memory_waited: Option<f64> { wide: true, demand: true },
        /// Time in which a task of its control group waited for storage.
        Counter(Seconds) io_waited: Option<f64> { wide: true, demand: true },
        /// Times that its virtual CPUs left it for the host, by debugfs.
        Counter(Events) exits: Option<u64> { wide: true, demand: true },
        /// Those in which they had nothing to do.
        Counter(Events) halt_exits: Option<u64> { wide: true, demand: true },
        /// When its process started.
        Gauge(None) started: Option<Timestamp> { wide: true },
        /// Systemd unit or container that it belongs to.
        Text(None) unit: Option<Text> { wide: true },
    }
    derived {
        /// CPUs kept busy by its whole process.
        cpu(Ratio) = "rate(cpu_time)" { title: Some("CPU%"), top: true },
        /// Share of its virtual CPUs that is in use.
        used(Ratio) = "rate(vcpu_time) / vcpus" { title: Some("used") },
        /// Share of the time in which its virtual CPUs were ready to run but waited for a CPU of the host.
        ready(Ratio) = "rate(run_delay) / vcpus" { title: Some("ready") },
        /// Share of the memory that it was started with that is resident.
        resident(Ratio) = "rss / memory_size" { title: Some("resident"), wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "vm",
    tables: &[VmRow::TABLE, VcpuRow::TABLE, VmNicRow::TABLE],
    interval: EVERY_SECOND,
    // a read of `cmdline` waits for the memory lock of a process that may be stuck
    blocks: true,
    needs: super::OTHERS_PROCESSES,
    make: || Box::new(VmCollector::default()),
};

/// Guests that are read; a host of thousands has other troubles.
const MAX_GUESTS: usize = 4096;

/// Turns until what a guest is made of is looked up again.
const LOOK_TURNS: u64 = 32;

/// Turns until sizes are read again that cost more than others.
const SIZE_TURNS: u64 = 8;

/// Part of the descriptors that processes may keep.
const SHARE: usize = 4;

/// Virtual CPU time after which a kernel that accounts for guests has accounted some, in nanoseconds.
const ACCOUNTED: u64 = 1_000_000_000;

/// What is remembered of a guest.
struct Guest {
    handle: Handle,
    start: u64,
    identity: Identity,
    name: Text,
    /// Name and UUID that its monitor has said.
    said: [Option<Text>; 2],
    unit: Option<Text>,
    held: Held,
    /// Whether its taps are named as they are here.
    here: bool,
    threads: Threads,
    /// Something of it has changed, so that it must be looked up again.
    due: bool,
    lasting: Lasting,
    /// Never goes backwards, though it is a difference.
    emulator: u64,
    swap: Option<u64>,
    huge: Option<u64>,
    /// Pages that it shares because others have the same contents.
    ksm: Option<u64>,
    /// Its control group.
    group: Option<Vec<u8>>,
    costly: Costly,
}

#[derive(Default)]
struct VmCollector {
    scanner: Option<Scanner>,
    finder: Finder,
    guests: BTreeMap<u32, Guest>,
    nics: Nics,
    learned: Learned,
    /// Guests for which there was no room.
    left_out: usize,
    pids: Vec<u32>,
    boot: Option<Timestamp>,
    turn: u64,
}

impl Collect for VmCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut scanner = match self.scanner.take() {
            Some(scanner) => scanner,
            None => Scanner::new(&cx.roots.proc, cx.roots.live)?.with_part(SHARE),
        };
        scanner.pids(&mut self.pids)?;
        self.turn = self.turn.wrapping_add(1);
        let refused = self.find(cx.roots, &cx.owners.monitors, &mut scanner);
        let stats = self.read(&mut scanner);
        let complete = scanner.complete();
        self.rows(cx, &mut scanner, &stats, out);
        self.scanner = Some(scanner);
        complete?;
        out.left_out(VmRow::TABLE, self.left_out, MAX_GUESTS, "guests");
        if let Some(error) = refused {
            out.partly(
                VmRow::TABLE,
                &Skip::from(error).hint("guests of other users: run as root, or grant CAP_SYS_PTRACE"),
            );
        } else if self.guests.is_empty() && !cx.roots.sys.join("class/misc/kvm").exists() {
            return Err(Skip::absent("no KVM on this host"));
        }
        Ok(())
    }

    fn asks(&self) -> &'static [&'static str] {
        &["ovs", "vm_monitor"]
    }
}

impl VmCollector {
    /// Finds new guests and looks up what those that are due are made of. Says why some process could not be looked at.
    fn find(&mut self, roots: &Roots, monitors: &Monitors, scanner: &mut Scanner) -> Option<crate::source::Error> {
        let found = self.finder.find(&roots.proc, scanner, &self.pids);
        self.left_out = 0;
        for pid in found.guests {
            if self.guests.len() >= MAX_GUESTS {
                // found anew on each tick, until there is room
                self.finder.forget(pid);
                self.left_out += 1;
                continue;
            }
            let mut handle = Handle::new(pid);
            if let Some(stat) = scanner.stat(&mut handle) {
                self.guests.insert(pid, Guest::new(handle, &stat));
            }
        }
        let (turn, finder) = (self.turn, &self.finder);
        for (pid, guest) in &mut self.guests {
            guest.hear(monitors);
            if std::mem::take(&mut guest.due) || turn.wrapping_add(u64::from(*pid)).is_multiple_of(LOOK_TURNS) {
                guest.look(roots, &finder.vhost_of(*pid));
            }
        }
        found.refused
    }

    /// Reads the times of all guests in one go, close to the time of the sample; those that are gone are forgotten.
    fn read(&mut self, scanner: &mut Scanner) -> BTreeMap<u32, Stat> {
        let (mut stats, finder) = (BTreeMap::new(), &mut self.finder);
        self.guests.retain(|pid, guest| {
            // a kept descriptor of a process whose number was used again has no answer
            let stat = scanner.stat(&mut guest.handle).filter(|stat| stat.start == guest.start);
            let Some(stat) = stat.filter(|stat| !matches!(stat.state, b'Z' | b'X')) else {
                finder.forget(*pid);
                return false;
            };
            guest.due |= guest.threads.read(scanner) || guest.threads.is_unknown();
            stats.insert(*pid, stat);
            true
        });
        stats
    }

    fn rows(&mut self, cx: &Cx<'_>, scanner: &mut Scanner, stats: &BTreeMap<u32, Stat>, out: &mut Batch) {
        let common = Common {
            ticks: rustix::param::clock_ticks_per_second() as f64,
            page: rustix::param::page_size() as u64,
            boot: boot(&mut self.boot, cx),
            turn: self.turn,
            cells: cx.wants.column(VcpuRow::TABLE, "guest_time") || cx.wants.column(VcpuRow::TABLE, "last_cpu"),
        };
        let taps = self.guests.values().filter(|guest| guest.here).flat_map(|guest| &guest.held.taps);
        let trouble = self.nics.read(cx.roots, taps).and_then(|()| self.learned.learn(cx, self.taps())).err();
        out.own(Owned::Guests(self.learned.guests()));
        let machine = |(pid, guest): (&u32, &Guest)| (*pid, Machine { start: guest.start, name: guest.name.clone() });
        out.own(Owned::Machines(Arc::new(self.guests.iter().map(machine).collect())));
        costly::find(cx, self.turn, self.guests.values_mut());
        let (mut rows, mut vcpus, mut nics) = (Vec::new(), Vec::new(), Vec::new());
        for (pid, guest) in &mut self.guests {
            let Some(stat) = stats.get(pid) else { continue };
            let own = self.nics.rows(guest, *pid, &self.learned, cx.owners);
            rows.push(common.row(cx, scanner, guest, stat, &own));
            common.vcpus(&cx.roots.proc, guest, *pid, &mut vcpus);
            nics.extend(own);
        }
        out.push(rows);
        out.push(vcpus);
        match trouble {
            Some(error) => out.skip(VmNicRow::TABLE, &Skip::from(error)),
            None => out.push(nics),
        }
    }

    /// Whose which interface is.
    fn taps(&self) -> BTreeMap<IfIndex, Owner> {
        let of = |(pid, guest): (&u32, &Guest)| {
            let owner = Owner { pid: *pid, name: guest.name.clone() };
            let indices: Vec<_> = guest.held.taps.iter().filter_map(|tap| self.nics.index(guest, tap)).collect();
            indices.into_iter().map(move |index| (index, owner.clone()))
        };
        self.guests.iter().flat_map(of).collect()
    }
}

/// When the host booted; it moves only when it is off by more than a second, so that quiet rows stay as they are.
fn boot(known: &mut Option<Timestamp>, cx: &Cx<'_>) -> Option<Timestamp> {
    super::process::rebase(known, boot_time(cx.roots, cx.time));
    *known
}

impl Guest {
    fn new(handle: Handle, stat: &Stat) -> Self {
        Self {
            handle,
            start: stat.start,
            identity: Identity::default(),
            name: Text::new(stat.comm.as_bytes()),
            said: [None, None],
            unit: None,
            held: Held::default(),
            here: false,
            threads: Threads::default(),
            due: true,
            lasting: Lasting::default(),
            emulator: 0,
            swap: None,
            huge: None,
            ksm: None,
            group: None,
            costly: Costly::default(),
        }
    }

    /// Looks up what it is made of. What cannot be read stays as it was.
    fn look(&mut self, roots: &Roots, vhost: &[u32]) {
        let (proc, pid) = (&roots.proc, self.handle.pid());
        if let Ok(held) = Held::read(proc, pid) {
            self.held = held;
        }
        let _ = self.threads.look(proc, pid, &self.held, vhost);
        let net = |who: &str| std::fs::read_link(proc.join(who).join("ns/net"));
        self.here =
            !roots.live || matches!((net("thread-self"), net(&pid.to_string())), (Ok(own), Ok(its)) if own == its);
        let Ok(cmdline) = proc.read(format!("{pid}/cmdline")) else { return };
        let comm = proc.read(format!("{pid}/comm")).unwrap_or_default();
        let cgroup = proc.read(format!("{pid}/cgroup")).unwrap_or_default();
        let place = parse::cgroup(&cgroup);
        self.group = place.map(<[u8]>::to_vec);
        self.identity = Identity::of(&cmdline, comm.trim_ascii_end(), place);
        self.unit = place.and_then(parse::unit).map(|unit| Text::new(&unit));
        let plain = || format!("{} {pid}", String::from_utf8_lossy(&self.identity.monitor)).into_bytes();
        let own = || Text::new(&self.identity.name.clone().unwrap_or_else(plain));
        self.name = self.said[0].clone().unwrap_or_else(own);
    }

    /// Takes what its monitor says of who it is; while it says nothing that stays.
    fn hear(&mut self, monitors: &Monitors) {
        let said = monitors.get(&self.handle.pid()).filter(|said| said.start == self.start && !said.is_silent);
        let Some(said) = said else { return };
        if self.said[0] != said.name {
            self.said[0].clone_from(&said.name);
            self.due = true;
        }
        self.said[1].clone_from(&said.uuid);
    }

    /// Reads sizes that cost more than others, if it is time to.
    fn size(&mut self, turn: u64, proc: &Root, scanner: &mut Scanner) {
        let pid = self.handle.pid();
        if !turn.wrapping_add(u64::from(pid)).is_multiple_of(SIZE_TURNS) && self.swap.is_some() {
            return;
        }
        let status = scanner.once(pid, "status").unwrap_or_default();
        self.swap = parse::kibibytes(status, b"VmSwap:");
        self.huge = parse::kibibytes(status, b"HugetlbPages:");
        self.ksm = memory::merged(proc, pid);
    }

    /// How long its monitor ran, of all that its process did: what is left of that.
    fn rest(&mut self, busy: u64) -> Option<f64> {
        let [vcpu, work] = [Role::Vcpu(0), Role::Io].map(|role| self.threads.sum(role));
        let known = vcpu?.run.saturating_add(work?.run).saturating_add(self.threads.own(Role::Vhost)?);
        self.emulator = self.emulator.max(busy.saturating_sub(known));
        Some(seconds(self.emulator))
    }
}

/// What is the same for all guests of a sample.
struct Common {
    ticks: f64,
    page: u64,
    boot: Option<Timestamp>,
    turn: u64,
    /// Whether the `stat` of each virtual CPU is wanted.
    cells: bool,
}

/// Seconds of nanoseconds.
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

impl Common {
    fn row(&self, cx: &Cx<'_>, scanner: &mut Scanner, guest: &mut Guest, stat: &Stat, nics: &[VmNicRow]) -> VmRow {
        let pid = stat.pid;
        let of_ticks = |ticks: u64| ticks as f64 / self.ticks;
        let io = scanner.every_tick(&mut guest.handle, File::Io).map_or(Io::default(), parse::io);
        let statm = scanner.every_tick(&mut guest.handle, File::Statm);
        let resident = statm.ok().and_then(parse::resident).unwrap_or(stat.resident);
        let said = cx.owners.monitors.get(&pid).filter(|said: &&Monitor| said.start == stat.start);
        let (state, stuck) = guest.state(scanner, stat, said.is_some_and(|said| said.is_silent));
        guest.size(self.turn, &cx.roots.proc, scanner);
        let [vcpu, work, vhost] = [Role::Vcpu(0), Role::Io, Role::Vhost].map(|role| guest.threads.sum(role));
        let busy = stat.user.saturating_add(stat.system);
        let emulator = guest.rest((of_ticks(busy) * 1e9) as u64);
        let net = |of: fn(&VmNicRow) -> Option<u64>| nics.iter().filter_map(of).reduce(u64::saturating_add);
        let started = |boot: Timestamp| Timestamp(boot.0.saturating_add((of_ticks(stat.start) * 1e9) as i64));
        let held = u64::try_from(guest.held.vcpus.len()).ok().filter(|count| *count > 0);
        let named = Some(guest.threads.vcpus().count() as u64).filter(|count| *count > 0);
        VmRow {
            pid: u64::from(pid),
            start: stat.start,
            name: guest.name.clone(),
            state,
            stuck,
            status: said.and_then(|said| said.status.as_ref()?.parse().ok()),
            monitor: Text::new(&guest.identity.monitor),
            machine: guest.identity.machine.as_deref().map(Text::new),
            uuid: guest.identity.uuid.as_deref().map(Text::new).or_else(|| guest.said[1].clone()),
            vcpus: held.or(named).or(guest.identity.vcpus),
            memory_size: guest.identity.memory,
            cpu_time: of_ticks(busy),
            vcpu_time: vcpu.map(|times| seconds(times.run)),
            guest_time: self.guest_time(stat, vcpu),
            io_time: work.map(|times| seconds(times.run)),
            vhost_time: vhost.map(|times| seconds(times.run)),
            emulator_time: emulator,
            run_delay: vcpu.map(|times| seconds(times.delay)),
            balloon: said.and_then(|said| said.balloon),
            rss: resident.saturating_mul(self.page),
            pss: guest.costly.pss,
            ksm: guest.ksm.and_then(|pages| pages.checked_mul(self.page)),
            numa: guest.costly.numa.clone(),
            swap: guest.swap,
            huge: guest.huge,
            read_bytes: io.read,
            write_bytes: io.write,
            rx_bytes: net(|nic| nic.rx_bytes),
            tx_bytes: net(|nic| nic.tx_bytes),
            rx_packets: net(|nic| nic.rx_packets),
            tx_packets: net(|nic| nic.tx_packets),
            rx_dropped: net(|nic| nic.rx_dropped),
            tx_dropped: net(|nic| nic.tx_dropped),
            cpu_waited: guest.costly.waited[0],
            memory_waited: guest.costly.waited[1],
            io_waited: guest.costly.waited[2],
            exits: guest.costly.exits[0],
            halt_exits: guest.costly.exits[1],
            started: self.boot.map(started),
            unit: guest.unit.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::{Tree, render, run};
    use crate::model::Rows;

    /// A recorded guest.
    struct Guests(Tree);

    impl Guests {
        fn new() -> Self {
            let tree = Tree::new(&[("proc/meminfo", "MemTotal: 100 kB\n"), ("proc/stat", "btime 1000\n")]);
            tree.write("sys/class/misc/kvm/uevent", "");
            Self(tree)
        }

        /// A process with one virtual CPU; `guest` and `ran` are ticks.
        fn put(&self, pid: u32, start: u64, name: &str, [user, guest]: [u64; 2], ran: u64) {
            let fd = self.0.path().join(format!("proc/{pid}/fd"));
            let stat = |id: u32| {
                let head =
                    format!("{id} (qemu-system-x86) S 1 1 1 0 -1 0 0 0 0 0 {user} 0 0 0 20 0 2 0 {start} 4096 5");
                format!("{head} {}0 0 0 {guest} 0\n", "0 ".repeat(15))
            };
            let command = format!("qemu-system-x86_64\0-name\0{name}\0-m\016\0");
            for (file, text) in [
                ("stat", stat(pid)),
                ("statm", "9 7 1\n".to_owned()),
                ("status", "VmSwap:\t4 kB\nHugetlbPages:\t2048 kB\n".to_owned()),
                ("io", "read_bytes: 512\nwrite_bytes: 1024\n".to_owned()),
                ("cmdline", command),
                (&*format!("task/{pid}/comm"), "qemu-system-x86\n".to_owned()),
                (&*format!("task/{}/comm", pid + 1), "CPU 0/KVM\n".to_owned()),
                (&*format!("task/{}/schedstat", pid + 1), format!("{ran} 30000000 1\n")),
                (&*format!("task/{}/stat", pid + 1), stat(pid + 1)),
            ] {
                self.0.write(&format!("proc/{pid}/{file}"), &text);
            }
            if !fd.exists() {
                std::fs::create_dir_all(&fd).unwrap();
                for (number, target) in [(3, "anon_inode:kvm-vm"), (4, "anon_inode:kvm-vcpu:0")] {
                    std::os::unix::fs::symlink(target, fd.join(number.to_string())).unwrap();
                }
            }
        }

        fn rows(&self, collector: &mut VmCollector) -> Arc<dyn Rows> {
            let batch = run(collector, &Roots::recorded(self.0.path())).unwrap();
            batch.rows(VmRow::TABLE).unwrap().clone()
        }

        fn table(&self, collector: &mut VmCollector) -> String {
            render(&*self.rows(collector))
        }
    }

    #[test]
    fn the_time_of_a_guest_is_split_into_what_it_ran_and_what_was_done_for_it() {
        let guests = Guests::new();
        guests.put(7, 5, "web", [300, 180], 2_500_000_000);
        let got = guests.table(&mut VmCollector::default());
        let times = "cpu_time=3 vcpu_time=2.5 guest_time=1.8 io_time=0 vhost_time=0 emulator_time=0.5 run_delay=0.03";
        assert!(got.contains(times), "{got}");
        let sizes = format!("rss={} swap=4096 huge=2097152", 7 * rustix::param::page_size());
        assert!(got.contains(&sizes) && got.contains("vcpus=1 memory_size=16777216"), "{got}");
        assert!(got.contains("read_bytes=512 write_bytes=1024"), "{got}");
    }

    #[test]
    fn a_kernel_that_does_not_account_for_guests_says_nothing_of_them() {
        let guests = Guests::new();
        guests.put(7, 5, "web", [300, 0], 2_500_000_000);
        guests.put(17, 5, "new", [3, 0], 25_000_000);
        let got = guests.table(&mut VmCollector::default());
        let whether: Vec<_> = got.lines().map(|line| line.contains("guest_time=0 ")).collect();
        assert_eq!(whether, [false, true], "{got}");
    }

    #[test]
    fn a_process_number_that_is_used_again_is_another_guest() {
        let (guests, mut collector) = (Guests::new(), VmCollector::default());
        guests.put(7, 5, "old", [3000, 1], 25_000_000_000);
        assert!(guests.table(&mut collector).contains("name=old"));
        guests.put(7, 900, "new", [3, 1], 20_000_000);
        // it goes, and is found anew as what it is now
        assert_eq!(guests.table(&mut collector), "");
        let got = guests.table(&mut collector);
        assert!(got.contains("start=900 name=new") && got.contains("emulator_time=0.01 "), "{got}");
    }

    #[test]
    fn of_more_guests_than_there_is_room_for_the_rest_is_told_and_waits_for_room() {
        let (guests, mut collector) = (Guests::new(), VmCollector::default());
        guests.put(10, 5, "many", [3, 0], 25_000_000);
        let place = |pid: u32| guests.0.path().join(format!("proc/{pid}"));
        // under many numbers
        for pid in 20..20 + MAX_GUESTS as u32 + 2 {
            std::os::unix::fs::symlink("10", place(pid)).unwrap();
        }
        let roots = Roots::recorded(guests.0.path());
        let mut sample = || {
            let mut batch = run(&mut collector, &roots).unwrap();
            let rows = [VmRow::TABLE, VcpuRow::TABLE].map(|table| batch.rows(table).unwrap().len());
            let told: Vec<String> = batch.take_partly().iter().map(|(_, status)| status.reason.to_string()).collect();
            (rows, told)
        };
        let told =
            |count: usize| vec![format!("{count} guests are left out, because no more than {MAX_GUESTS} are read")];
        for _ in 0..2 {
            assert_eq!(sample(), ([MAX_GUESTS; 2], told(3)));
        }
        for pid in 20..22 {
            std::fs::remove_file(place(pid)).unwrap();
        }
        // there is room when it is seen that they are gone
        sample();
        assert_eq!(sample(), ([MAX_GUESTS; 2], told(1)));
    }

    #[test]
    fn the_rest_of_a_monitor_never_goes_backwards() {
        let (guests, mut collector) = (Guests::new(), VmCollector::default());
        guests.put(7, 5, "web", [300, 180], 2_500_000_000);
        assert!(guests.table(&mut collector).contains("emulator_time=0.5 "));
        // ticks are coarse, the scheduler's times are not
        guests.put(7, 5, "web", [300, 180], 2_509_000_000);
        assert!(guests.table(&mut collector).contains("emulator_time=0.5 "));
    }

    #[test]
    fn a_host_without_kvm_says_so_and_one_without_guests_has_none() {
        let tree = Tree::new(&[("proc/7/stat", "7 (init) S 1 1 1 0 -1 0 0 0 0 0 1 0 0 0 20 0 1 0 5 0 0 0\n")]);
        assert_eq!(&*tree.status(&ENTRY).reason, "no KVM on this host");
        tree.write("sys/class/misc/kvm/uevent", "");
        assert_eq!(tree.table(&ENTRY, VmRow::TABLE), "");
    }
}
