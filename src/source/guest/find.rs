//! How are guests found without reading each descriptor of each process on every tick?
//!
//! A process is looked at when it appears, and again after one turn, two, four and so on up to about a minute, because a
//! program opens KVM some time after it started. Programs that are known to run guests come first and are looked at on every
//! turn of their first minute; the others share a bounded number of descriptors a turn.

use std::collections::BTreeMap;

use super::held::holds_guest;
use super::identity::monitor;
use super::thread::names_vcpus;
use crate::source::Error;
use crate::source::file::Root;
use crate::source::process::parse;
use crate::source::process::{Handle, Scanner};

/// Descriptors that are read in one turn, those of programs that are known to run guests not counted.
const DESCRIPTORS: usize = 4096;

/// Longest time between two looks at a process, in turns.
const LONGEST: u64 = 64;

/// Turns in which a program that is known to run guests is looked at each time.
const EAGER: u64 = 60;

/// A process that is no guest so far.
#[derive(Debug)]
struct Candidate {
    due: u64,
    wait: u64,
    /// Last turn of those in which it is looked at each time.
    eager: u64,
    /// Whether it could not be looked at for want of a right.
    is_refused: bool,
}

/// What was found in a turn.
#[derive(Debug, Default)]
pub struct Found {
    /// Processes that hold a guest, each told once.
    pub guests: Vec<u32>,
    /// Why the descriptors of some process could not be read.
    pub refused: Option<Error>,
}

/// Looks for guests.
#[derive(Debug, Default)]
pub struct Finder {
    turn: u64,
    /// By process; those of the kernel and those that are guests are never due.
    seen: BTreeMap<u32, Candidate>,
    /// Threads of the kernel that move packets, with the process that they work for.
    vhost: BTreeMap<u32, u32>,
}

impl Finder {
    /// Looks at what is due among the processes, smallest number first.
    pub fn find(&mut self, proc: &Root, scanner: &mut Scanner, pids: &[u32]) -> Found {
        self.turn += 1;
        self.seen.retain(|pid, _| pids.binary_search(pid).is_ok());
        self.vhost.retain(|pid, _| pids.binary_search(pid).is_ok());
        for pid in pids {
            if !self.seen.contains_key(pid)
                && let Some(candidate) = self.meet(scanner, *pid)
            {
                self.seen.insert(*pid, candidate);
            }
        }
        let (turn, mut found, mut read) = (self.turn, Found::default(), 0);
        for eager in [true, false] {
            for (pid, candidate) in &mut self.seen {
                if candidate.due > turn || (candidate.eager >= turn) != eager || (!eager && read > DESCRIPTORS) {
                    continue;
                }
                if candidate.holds(proc, *pid, &mut read, eager, &mut found) {
                    candidate.due = u64::MAX;
                    found.guests.push(*pid);
                    continue;
                }
                candidate.due = turn + if eager { 1 } else { candidate.wait };
                candidate.wait = (candidate.wait * 2).min(LONGEST);
            }
            read = 0;
        }
        self.ask_again(proc, &mut found);
        found
    }

    /// What was refused is told on every turn for as long as it is, though most of it is not due.
    fn ask_again(&mut self, proc: &Root, found: &mut Found) {
        let refused = self.seen.iter_mut().find(|(_, candidate)| candidate.is_refused);
        let Some((pid, candidate)) = refused.filter(|_| found.refused.is_none()) else { return };
        match holds_guest(proc, *pid, &mut 0) {
            Err(error) if error.is_denied() => found.refused = Some(error),
            _ => (candidate.is_refused, candidate.due) = (false, self.turn + 1),
        }
    }

    /// What to do with a process that is seen for the first time; `None` when it is gone already.
    fn meet(&mut self, scanner: &mut Scanner, pid: u32) -> Option<Candidate> {
        let stat = scanner.stat(&mut Handle::new(pid))?;
        let name = stat.comm.as_bytes();
        if stat.kernel {
            let owner = name.strip_prefix(b"vhost-").and_then(parse::number).and_then(|pid| u32::try_from(pid).ok());
            self.vhost.extend(owner.map(|owner| (pid, owner)));
            return Some(Candidate { due: u64::MAX, wait: LONGEST, eager: 0, is_refused: false });
        }
        let eager = if monitor(name).is_some() { self.turn + EAGER } else { 0 };
        Some(Candidate { due: self.turn, wait: 1, eager, is_refused: false })
    }

    /// Looks at a process again as if it had just appeared: it is no guest any more, or its number is another one's.
    pub fn forget(&mut self, pid: u32) {
        self.seen.remove(&pid);
    }

    /// Threads of the kernel that work for a process.
    pub fn vhost_of(&self, pid: u32) -> Vec<u32> {
        self.vhost.iter().filter(|(_, owner)| **owner == pid).map(|(thread, _)| *thread).collect()
    }
}

impl Candidate {
    fn holds(&mut self, proc: &Root, pid: u32, read: &mut usize, known: bool, found: &mut Found) -> bool {
        let held = holds_guest(proc, pid, read);
        self.is_refused = held.as_ref().is_err_and(Error::is_denied);
        match held {
            Ok(holds) => holds,
            Err(error) if self.is_refused => {
                found.refused.get_or_insert(error);
                // everybody may see how the threads of a program are called that is known to run guests
                known && names_vcpus(proc, pid)
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::Uid;
    use rustix::thread::set_thread_res_uid;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn process(dir: &Path, pid: u32, comm: &str, flags: u64) {
        let path = dir.join(pid.to_string());
        std::fs::create_dir_all(path.join("fd")).unwrap();
        let rest = "0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0";
        std::fs::write(path.join("stat"), format!("{pid} ({comm}) S 1 1 1 0 -1 {flags} {rest}\n")).unwrap();
    }

    fn find(finder: &mut Finder, dir: &Path, pids: &[u32]) -> Vec<u32> {
        let proc = Root::new(dir);
        finder.find(&proc, &mut Scanner::new(&proc, false).unwrap(), pids).guests
    }

    #[test]
    fn a_guest_is_found_once_whenever_its_program_opens_kvm() {
        let dir = tempfile::tempdir().unwrap();
        process(dir.path(), 7, "qemu-system-x86", 0);
        process(dir.path(), 9, "own-monitor", 0);
        process(dir.path(), 11, "vhost-7", 0x0020_0000);
        let (mut finder, pids) = (Finder::default(), [7, 9, 11]);
        assert!(find(&mut finder, dir.path(), &pids).is_empty());
        for pid in [7, 9] {
            symlink("anon_inode:kvm-vm", dir.path().join(format!("{pid}/fd/5"))).unwrap();
        }
        assert_eq!(find(&mut finder, dir.path(), &pids), [7, 9]);
        assert!(find(&mut finder, dir.path(), &pids).is_empty());
        assert_eq!((finder.vhost_of(7), finder.vhost_of(9)), (vec![11], Vec::new()));
        finder.forget(7);
        assert_eq!(find(&mut finder, dir.path(), &pids), [7]);
        assert!(find(&mut finder, dir.path(), &[]).is_empty());
        assert!(finder.seen.is_empty() && finder.vhost.is_empty());
    }

    #[test]
    fn root_what_was_refused_is_told_on_every_turn_for_as_long_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        process(dir.path(), 9, "own-monitor", 0);
        let closed = dir.path().join("9/fd");
        std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let mut finder = Finder::default();
        let mut refused = |turns: usize| {
            let proc = Root::new(dir.path());
            let mut scanner = Scanner::new(&proc, false).unwrap();
            (0..turns).filter(|_| finder.find(&proc, &mut scanner, &[9]).refused.is_some()).count()
        };
        std::thread::scope(|scope| {
            // a thread has its own rights
            let asked = scope.spawn(|| {
                let nobody = Uid::from_raw(65_534);
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
                refused(20)
            });
            assert_eq!(asked.join().unwrap(), 20);
        });
        assert_eq!(refused(20), 0);
    }

    #[test]
    fn a_program_that_is_not_known_is_looked_at_less_and_less_often() {
        let dir = tempfile::tempdir().unwrap();
        process(dir.path(), 9, "own-monitor", 0);
        process(dir.path(), 10, "firecracker", 0);
        let mut finder = Finder::default();
        for _ in 0..40 {
            assert!(find(&mut finder, dir.path(), &[9, 10]).is_empty());
        }
        for pid in [9, 10] {
            symlink("anon_inode:kvm-vm", dir.path().join(format!("{pid}/fd/5"))).unwrap();
        }
        let turns =
            |pid: u32, finder: &mut Finder| (1..200).find(|_| find(finder, dir.path(), &[9, 10]).contains(&pid));
        assert_eq!(turns(10, &mut finder), Some(1));
        // turns 1, 2, 4, 8, 16 and 32 were the first ones
        assert_eq!(turns(9, &mut finder), Some(64 - 41));
    }

    #[test]
    fn very_many_descriptors_are_read_over_several_turns() {
        let dir = tempfile::tempdir().unwrap();
        for pid in 100..112 {
            process(dir.path(), pid, "many-files", 0);
            for fd in 0..1000 {
                symlink("/dev/null", dir.path().join(format!("{pid}/fd/{fd}"))).unwrap();
            }
        }
        symlink("anon_inode:kvm-vm", dir.path().join("111/fd/1000")).unwrap();
        let (mut finder, pids) = (Finder::default(), (100..112).collect::<Vec<_>>());
        let found = (1..10).find(|_| !find(&mut finder, dir.path(), &pids).is_empty());
        assert!(found.is_some_and(|turn| turn > 1), "{found:?}");
    }
}
