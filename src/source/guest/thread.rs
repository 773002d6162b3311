//! Which threads of a virtual machine monitor are virtual CPUs, and how long did each run and wait?
//!
//! A thread is known by its name where its program names it, and otherwise by what it waits in: a virtual CPU that halts is in
//! the `ioctl` that runs it, whose first argument is its descriptor. The times are those of the scheduler, in nanoseconds.

use std::collections::{BTreeMap, BTreeSet};

use super::Held;
use crate::source::Error;
use crate::source::file::Root;
use crate::source::process::parse;
use crate::source::process::{File, Handle, Scanner};

/// `KVM_RUN` of `include/uapi/linux/kvm.h`.
const KVM_RUN: u64 = 0xae80;

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs the virtual CPU of this number.
    Vcpu(u32),
    /// Reads and writes disks, or moves packets in the monitor.
    Io,
    /// Moves packets in the kernel.
    Vhost,
    /// Whatever else the monitor does.
    Other,
}

impl Role {
    /// Role of a thread whose program names it, by the names that QEMU, Firecracker, cloud-hypervisor and crosvm give.
    pub fn of(name: &[u8]) -> Option<Self> {
        let vcpu = |digits: &[u8]| parse::number(digits).and_then(|index| u32::try_from(index).ok()).map(Self::Vcpu);
        if let Some(rest) = name.strip_prefix(b"CPU ") {
            return rest.strip_suffix(b"/KVM").and_then(vcpu);
        }
        for start in [b"fc_vcpu ".as_slice(), b"vcpu", b"crosvm_vcpu"] {
            if let Some(role) = name.strip_prefix(start).and_then(vcpu) {
                return Some(role);
            }
        }
        match name {
            b"worker" => Some(Self::Io),
            b"IO mon_iothread" => Some(Self::Other),
            _ if name.starts_with(b"vhost-") => Some(Self::Vhost),
            _ if [b"IO ".as_slice(), b"_disk", b"_net"].iter().any(|start| name.starts_with(start)) => Some(Self::Io),
            _ => None,
        }
    }
}

/// How long, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// On a CPU.
    pub run: u64,
    /// Ready to run while no CPU was free.
    pub delay: u64,
}

impl Times {
    fn add(&mut self, other: Self) {
        self.run = self.run.saturating_add(other.run);
        self.delay = self.delay.saturating_add(other.delay);
    }
}

/// What the virtual CPUs of a guest do, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Going {
    /// They run, or wait for an interrupt.
    Runs,
    /// Nothing of the guest ran, and all wait outside of `KVM_RUN`: its monitor holds it.
    Held,
    /// Nothing of the guest ran, and some are ready to.
    Starves,
}

/// One thread.
#[derive(Debug)]
pub struct Thread {
    handle: Handle,
    /// What it is there for.
    pub role: Role,
    /// How long it ran and waited so far; `None` where the kernel does not tell.
    pub times: Option<Times>,
    /// Whether that has changed between the last two readings.
    pub moved: bool,
}

impl Thread {
    /// Number of the thread.
    pub fn id(&self) -> u32 {
        self.handle.pid()
    }
}

/// The threads of one guest.
#[derive(Debug, Default)]
pub struct Threads {
    all: Vec<Thread>,
    /// What threads that have ended had counted, so that no sum goes backwards.
    ended: [Times; 3],
    /// Threads of the kernel that work for the guest but are none of its process.
    foreign: Vec<u32>,
    /// There are virtual CPUs, but which threads they are is not told yet.
    is_unknown: bool,
    /// And none of the threads may be one that runs.
    is_fresh: bool,
}

/// What one look at a thread says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    As(Role),
    /// It runs a virtual CPU, but which one is not told while it runs.
    SomeVcpu,
    /// It may be anything: it runs, or the kernel does not show what it waits in.
    Hidden,
}

/// Place of a role among those whose times are summed up.
fn place(role: Role) -> Option<usize> {
    match role {
        Role::Vcpu(_) => Some(0),
        Role::Io => Some(1),
        Role::Vhost => Some(2),
        Role::Other => None,
    }
}

impl Threads {
    /// Looks which threads there are; `vhost` are those of the kernel that work for it.
    ///
    /// # Errors
    /// The process is gone.
    pub fn look(&mut self, proc: &Root, pid: u32, held: &Held, vhost: &[u32]) -> Result<(), Error> {
        let names = proc.list(format!("{pid}/task"))?;
        let ids = names.iter().filter_map(|name| u32::try_from(parse::number(name.as_encoded_bytes())?).ok());
        let mut ids: Vec<u32> = ids.collect();
        ids.sort_unstable();
        let mut old: BTreeMap<u32, Thread> =
            std::mem::take(&mut self.all).into_iter().map(|thread| (thread.id(), thread)).collect();
        let seen: Vec<(u32, Seen)> = ids.into_iter().map(|id| (id, seen(proc, pid, id, held))).collect();
        let is_shown = seen.iter().all(|(_, seen)| *seen != Seen::Hidden);
        let known = |(id, seen): &(u32, Seen)| match (*seen, old.get(id).map(|thread| thread.role)) {
            (Seen::As(Role::Vcpu(index)), _) | (Seen::SomeVcpu | Seen::Hidden, Some(Role::Vcpu(index))) => Some(index),
            _ => None,
        };
        let taken: BTreeSet<u32> = seen.iter().filter_map(known).collect();
        // threads are made in the order of the virtual CPUs
        let mut free = held.vcpus.values().copied().filter(|index| !taken.contains(index)).collect::<BTreeSet<_>>();
        for (id, seen) in seen {
            let role = match (seen, old.get(&id).map(|thread| thread.role)) {
                (Seen::As(Role::Other) | Seen::SomeVcpu | Seen::Hidden, Some(role)) if role != Role::Other => role,
                (Seen::As(role), _) => role,
                (Seen::SomeVcpu, _) => free.pop_first().map_or(Role::Other, Role::Vcpu),
                (Seen::Hidden, _) => Role::Other,
            };
            self.keep(&mut old, id, role, || Handle::thread(pid, id));
        }
        self.is_unknown = !held.vcpus.is_empty() && self.vcpus().next().is_none();
        self.is_fresh = self.is_unknown && is_shown;
        for id in vhost {
            self.keep(&mut old, *id, Role::Vhost, || Handle::new(*id));
        }
        self.foreign = vhost.to_vec();
        for ended in old.into_values() {
            self.end(&ended);
        }
        Ok(())
    }

    fn keep(&mut self, old: &mut BTreeMap<u32, Thread>, id: u32, role: Role, handle: impl Fn() -> Handle) {
        let known = old.remove(&id);
        let fresh = || Thread { handle: handle(), role, times: None, moved: false };
        let thread = known.map_or_else(fresh, |known| Thread { role, ..known });
        self.all.push(thread);
    }

    fn end(&mut self, thread: &Thread) {
        if let (Some(sum), Some(times)) = (place(thread.role).and_then(|at| self.ended.get_mut(at)), thread.times) {
            sum.add(times);
        }
    }

    /// Reads the times of those that matter. Says whether one has ended since they were looked for.
    pub fn read(&mut self, scanner: &mut Scanner) -> bool {
        let mut ended = false;
        for thread in self.all.iter_mut().filter(|thread| place(thread.role).is_some()) {
            match scanner.every_tick(&mut thread.handle, File::Schedstat).map(parse::schedstat) {
                Ok(Some((run, delay))) => {
                    let times = Times { run, delay };
                    thread.moved = thread.times.replace(times).is_some_and(|before| before != times);
                }
                Ok(None) => thread.times = None,
                Err(_) => ended = true,
            }
        }
        ended
    }

    /// How long all of a role ran and waited; those that have ended are in it. `None` where the kernel does not tell, or not
    /// yet which threads they are.
    pub fn sum(&self, role: Role) -> Option<Times> {
        let at = place(role).filter(|_| !(self.is_unknown && matches!(role, Role::Vcpu(_))))?;
        let mut sum = *self.ended.get(at)?;
        for thread in self.all.iter().filter(|thread| place(thread.role) == Some(at)) {
            sum.add(thread.times?);
        }
        Some(sum)
    }

    /// How long those of a role ran that are threads of the process itself.
    pub fn own(&self, role: Role) -> Option<u64> {
        let foreign = self.all.iter().filter(|thread| thread.role == role && self.foreign.contains(&thread.id()));
        let foreign: u64 = foreign.filter_map(|thread| thread.times).map(|times| times.run).sum();
        Some(self.sum(role)?.run.saturating_sub(foreign))
    }

    /// Whether a guest has virtual CPUs of which no thread is known yet.
    pub fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Number of each virtual CPU with its thread.
    pub fn vcpus(&self) -> impl Iterator<Item = (u32, &Thread)> {
        self.all.iter().filter_map(|thread| match thread.role {
            Role::Vcpu(index) => Some((index, thread)),
            _ => None,
        })
    }

    /// What the virtual CPUs do, by what was read last. `None` where the kernel does not show what they wait in.
    pub fn going(&mut self, scanner: &mut Scanner) -> Option<Going> {
        if self.vcpus().any(|(_, vcpu)| vcpu.moved) {
            return Some(Going::Runs);
        }
        let mut going = self.is_fresh.then_some(Going::Held);
        for vcpu in self.all.iter_mut().filter(|thread| matches!(thread.role, Role::Vcpu(_))) {
            let text = scanner.every_tick(&mut vcpu.handle, File::Syscall).ok()?;
            let is_ready = text.starts_with(b"running");
            let is_in_kvm = parse::syscall(text).is_some_and(|(_, request)| request == KVM_RUN);
            // without its times nobody knows whether it has run
            if is_in_kvm || (is_ready && vcpu.times.is_none()) {
                return Some(Going::Runs);
            }
            going = Some(if is_ready || going == Some(Going::Starves) { Going::Starves } else { Going::Held });
        }
        going
    }
}

fn seen(proc: &Root, pid: u32, thread: u32, held: &Held) -> Seen {
    let read = |file: &str| proc.read(format!("{pid}/task/{thread}/{file}"));
    let name = read("comm").unwrap_or_default();
    let name = name.strip_suffix(b"\n").unwrap_or(&name);
    if let Some(role) = Role::of(name) {
        return Seen::As(role);
    }
    // threads of the kernel within a process show the call in which they were made
    if name.starts_with(b"kvm-") || held.vcpus.is_empty() {
        return Seen::As(Role::Other);
    }
    let Ok(call) = read("syscall") else { return Seen::Hidden };
    let fd = parse::syscall(&call).filter(|(_, request)| *request == KVM_RUN);
    if let Some(index) = fd.and_then(|(fd, _)| held.vcpus.get(&u32::try_from(fd).ok()?)) {
        return Seen::As(Role::Vcpu(*index));
    }
    if !call.starts_with(b"running") {
        return Seen::As(Role::Other);
    }
    let guest = read("stat").ok().and_then(|stat| parse::stat(&stat)?.guest);
    if guest.is_some_and(|ticks| ticks > 0) { Seen::SomeVcpu } else { Seen::Hidden }
}

/// Whether threads of a process are named as virtual CPUs are, which everybody may see.
pub(super) fn names_vcpus(proc: &Root, pid: u32) -> bool {
    let is_vcpu = |thread: &std::ffi::OsString| {
        let name =
            proc.read(std::path::Path::new(&format!("{pid}/task")).join(thread).join("comm")).unwrap_or_default();
        matches!(Role::of(name.trim_ascii_end()), Some(Role::Vcpu(_)))
    };
    proc.list(format!("{pid}/task")).is_ok_and(|threads| threads.iter().any(is_vcpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_known_by_the_names_that_monitors_give() {
        let names = [
            ("CPU 0/KVM", Some(Role::Vcpu(0))),
            ("CPU 17/KVM", Some(Role::Vcpu(17))),
            ("CPU 1/TCG", None),
            ("fc_vcpu 3", Some(Role::Vcpu(3))),
            ("vcpu7", Some(Role::Vcpu(7))),
            ("vcpux", None),
            ("crosvm_vcpu2", Some(Role::Vcpu(2))),
            ("IO iothread1", Some(Role::Io)),
            ("IO mon_iothread", Some(Role::Other)),
            ("worker", Some(Role::Io)),
            ("_disk0_q1", Some(Role::Io)),
            ("vhost-2241", Some(Role::Vhost)),
            ("qemu-system-x86", None),
            ("", None),
        ];
        for (name, role) in names {
            assert_eq!(Role::of(name.as_bytes()), role, "{name}");
        }
    }

    /// A recorded process with threads.
    fn tree(threads: &[(u32, &str, &str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (id, comm, syscall, schedstat) in threads {
            let path = dir.path().join(format!("7/task/{id}"));
            std::fs::create_dir_all(&path).unwrap();
            for (file, text) in [("comm", comm), ("syscall", syscall), ("schedstat", schedstat)] {
                std::fs::write(path.join(file), format!("{text}\n")).unwrap();
            }
        }
        dir
    }

    fn read(dir: &tempfile::TempDir, threads: &mut Threads, held: &Held) {
        let proc = Root::new(dir.path());
        threads.look(&proc, 7, held, &[]).unwrap();
        threads.read(&mut Scanner::new(&proc, false).unwrap());
    }

    #[test]
    fn a_thread_without_a_name_is_known_by_the_call_it_waits_in() {
        let held = Held { vcpus: BTreeMap::from([(14, 0), (17, 1)]), ..Held::default() };
        let dir = tree(&[
            (7, "qemu", "271 0x55 0x4 0x7f", "10 1 1"),
            (8, "qemu", "16 0x11 0xae80 0x0", "500 20 9"),
            (9, "kvm-nx-lpage-re", "16 0xe 0xae80 0x0", "1 1 1"),
            (10, "qemu", "16 0x63 0xae80 0x0", "1 1 1"),
        ]);
        let mut threads = Threads::default();
        read(&dir, &mut threads, &held);
        let vcpus: Vec<_> = threads.vcpus().map(|(index, thread)| (index, thread.id(), thread.times)).collect();
        assert_eq!(vcpus, [(1, 8, Some(Times { run: 500, delay: 20 }))]);
        // while it runs nothing is told, and it stays what it was
        let task = |file: &str, text: &str| std::fs::write(dir.path().join("7/task").join(file), text).unwrap();
        task("8/syscall", "running\n");
        read(&dir, &mut threads, &held);
        assert_eq!(threads.vcpus().count(), 1);
        // one that runs a guest is a virtual CPU, the one that is left
        task("10/syscall", "running\n");
        task("10/stat", &format!("10 (qemu) R 1 {}5 0 0 0\n", "0 ".repeat(38)));
        read(&dir, &mut threads, &held);
        let vcpus: Vec<_> = threads.vcpus().map(|(index, thread)| (index, thread.id())).collect();
        assert_eq!(vcpus, [(1, 8), (0, 10)]);
    }

    #[test]
    fn a_guest_whose_virtual_cpus_have_never_run_is_held() {
        let held = Held { vcpus: BTreeMap::from([(14, 0)]), ..Held::default() };
        let dir = tree(&[(7, "qemu", "271 0x55 0x4", "1 1 1"), (8, "qemu", "202 0x55 0x80", "0 0 0")]);
        let (mut scanner, mut threads) = (Scanner::new(&Root::new(dir.path()), false).unwrap(), Threads::default());
        read(&dir, &mut threads, &held);
        assert!(threads.is_unknown() && threads.going(&mut scanner) == Some(Going::Held));
        assert_eq!(threads.sum(Role::Vcpu(0)), None);
        std::fs::write(dir.path().join("7/task/8/syscall"), "running\n").unwrap();
        read(&dir, &mut threads, &held);
        assert!(threads.is_unknown() && threads.going(&mut scanner).is_none());
        std::fs::write(dir.path().join("7/task/8/syscall"), "16 0xe 0xae80\n").unwrap();
        read(&dir, &mut threads, &held);
        assert!(!threads.is_unknown() && threads.going(&mut scanner) == Some(Going::Runs));
    }

    #[test]
    fn sums_keep_what_ended_threads_had_counted() {
        let dir = tree(&[(7, "qemu", "", "9 9 9"), (8, "worker", "", "100 5 1"), (9, "worker", "", "30 1 1")]);
        let mut threads = Threads::default();
        read(&dir, &mut threads, &Held::default());
        assert_eq!(threads.sum(Role::Io), Some(Times { run: 130, delay: 6 }));
        std::fs::remove_dir_all(dir.path().join("7/task/8")).unwrap();
        assert!(threads.read(&mut Scanner::new(&Root::new(dir.path()), false).unwrap()), "one has ended");
        read(&dir, &mut threads, &Held::default());
        assert_eq!(threads.sum(Role::Io), Some(Times { run: 130, delay: 6 }));
        assert_eq!(threads.sum(Role::Vcpu(0)), Some(Times::default()));
    }

    #[test]
    fn a_guest_is_held_when_nothing_of_it_ran_and_none_waits_in_kvm_and_starves_when_one_is_ready() {
        let held = Held::default();
        let dir = tree(&[(8, "CPU 0/KVM", "202 0x55 0x80 0x0", "5 5 5"), (9, "CPU 1/KVM", "16 0xe 0xae80", "5 5 5")]);
        let (mut scanner, mut threads) = (Scanner::new(&Root::new(dir.path()), false).unwrap(), Threads::default());
        read(&dir, &mut threads, &held);
        assert_eq!(threads.going(&mut scanner), Some(Going::Runs), "one is halted in KVM");
        std::fs::write(dir.path().join("7/task/9/syscall"), "202 0x55 0x80\n").unwrap();
        assert_eq!(threads.going(&mut scanner), Some(Going::Held));
        std::fs::write(dir.path().join("7/task/9/schedstat"), "6 5 6\n").unwrap();
        read(&dir, &mut threads, &held);
        assert_eq!(threads.going(&mut scanner), Some(Going::Runs), "one has run since");
        std::fs::write(dir.path().join("7/task/9/syscall"), "running\n").unwrap();
        read(&dir, &mut threads, &held);
        assert_eq!(threads.going(&mut scanner), Some(Going::Starves), "one is ready");
        std::fs::remove_file(dir.path().join("7/task/9/syscall")).unwrap();
        assert_eq!(threads.going(&mut scanner), None);
    }
}
