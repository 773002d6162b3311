//! How full is each file system, and does it answer?
//!
//! The mounts come from `mountinfo`; their sizes from threads that may hang in place of the collector
//! ([`crate::source::space`]). A file system that does not answer is a row with state `stalled`, not a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Mono, Text, Timestamp};
use crate::source::Error;
use crate::source::mount::{Mount, MountReader};
use crate::source::space::{Pool, Space, Ticket};
use crate::{label, table};

label! {
    /// Whether a file system answers.
    pub enum MountState {
        /// It does.
        Ok = "ok",
        /// It has not answered for seconds.
        Stalled = "stalled" => Critical,
        /// This user may not reach it.
        Denied = "denied",
        /// It answers with an error, as after the death of a FUSE daemon.
        Failed = "failed" => Warning,
    }
}

table! {
    /// One mounted file system that holds data. File systems of the kernel's own (`proc`, `cgroup2`), images that are always
    /// full (`squashfs`) and further mounts of a device are not shown.
    ///
    /// Sizes are missing while a file system is stalled, denied or failed.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/mountinfo`; `statfs(2)`.
    pub struct MountRow = "mount" { title: Some("File systems"), history: History::Whole } {
        /// Where it is mounted.
        Id(None) target: Text { label: true },
        /// Device or server it comes from.
        Text(None) source: Text { wide: true },
        /// Type of the file system.
        Text(None) kind: Text { title: Some("type") },
        /// Whether it answers; missing until it has for the first time, and on a recorded tree.
        Text(None) state: Option<MountState>,
        /// When it was asked the question that it has not answered.
        Gauge(None) stalled_since: Option<Timestamp> { wide: true },
        /// Options it is mounted with.
        Text(None) options: Text { wide: true },
        /// Whether nothing can be written.
        Gauge(None) read_only: bool { title: Some("ro"), wide: true },
        /// Space in all.
        Gauge(Bytes) size: Option<u64>,
        /// Space in use.
        Gauge(Bytes) used: Option<u64>,
        /// Space that users other than root can still fill.
        Gauge(Bytes) available: Option<u64> { title: Some("free") },
        /// Files it can hold.
        Gauge(None) inodes: Option<u64> { wide: true },
        /// Files it holds.
        Gauge(None) inodes_used: Option<u64> { wide: true },
    }
    derived {
        /// Share of the space in use, without what is kept for root.
        used_share(Ratio) = "used / (used + available)" { title: Some("used%"), top: true, summary: Some(Fold::Max), glance: true },
        /// Share of the files in use.
        inodes_share(Ratio) = "inodes_used / inodes" { title: Some("ino%"), wide: true, summary: Some(Fold::Max) },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "mount",
    tables: &[MountRow::TABLE],
    interval: EVERY_SECOND,
    // it waits a moment for the threads that ask
    blocks: true,
    needs: super::Capabilities::DAC_READ_SEARCH,
    make: || Box::new(MountCollector::default()),
};

/// How long a sample waits for answers; what comes later is shown by the next one.
const PATIENCE: Duration = Duration::from_millis(50);

/// Seconds without an answer after which a file system is stalled. With a sample every second that is within 3 s.
const STALLED: f64 = 1.5;

/// Rows at most.
const MAX_MOUNTS: usize = 4096;

/// File systems that hold no data of their own, are full by design, or must not be touched (`autofs`).
const PSEUDO: &[&str] = &[
    "autofs",
    "bdev",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nfsd",
    "nsfs",
    "pipefs",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sockfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "udf",
];

/// What is known of a mount's space.
#[derive(Default)]
struct Slot {
    device: (u32, u32),
    asked: Option<(Ticket, Mono, Timestamp)>,
    answer: Option<Result<Space, rustix::io::Errno>>,
}

#[derive(Default)]
struct MountCollector {
    reader: MountReader,
    mounts: Vec<Mount>,
    /// Mounts that have no row.
    left_out: usize,
    slots: BTreeMap<Vec<u8>, Slot>,
    pool: Pool,
}

impl Collect for MountCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if let Some(mounts) = self.reader.changed(cx.roots)? {
            self.mounts = shown(mounts);
            self.left_out = self.mounts.len().saturating_sub(MAX_MOUNTS);
            self.mounts.truncate(MAX_MOUNTS);
            self.forget();
        }
        if cx.roots.live {
            self.ask(cx)?;
        }
        let rows = self.mounts.iter().map(|mount| row(mount, self.slots.get(&mount.target), cx)).collect();
        out.push(rows);
        if let Some(error) = self.failure() {
            out.partly(MountRow::TABLE, &Skip::from(error));
        }
        out.left_out(MountRow::TABLE, self.left_out, MAX_MOUNTS, "file systems");
        Ok(())
    }
}

impl MountCollector {
    /// Why the first of the file systems failed that did; a refusal and a place that is gone say enough by themselves.
    fn failure(&self) -> Option<Error> {
        let failed = self.mounts.iter().filter_map(|mount| {
            let errno = self.slots.get(&mount.target)?.answer?.err()?;
            Some(Error::new("ask", std::ffi::OsStr::from_bytes(&mount.target), errno))
        });
        failed.into_iter().find(|error| !error.is_absent() && !error.is_denied())
    }

    /// Drops what is remembered of mounts that are gone or have another device now.
    fn forget(&mut self) {
        let (mounts, pool) = (&self.mounts, &mut self.pool);
        let devices: BTreeMap<_, _> = mounts.iter().map(|mount| (&mount.target, mount.device)).collect();
        self.slots.retain(|target, slot| {
            let stays = devices.get(target) == Some(&slot.device);
            if let (false, Some((ticket, ..))) = (stays, slot.asked) {
                pool.forget(ticket);
            }
            stays
        });
    }

    /// Asks every file system that owes no answer, and takes the answers that come in time.
    fn ask(&mut self, cx: &Cx<'_>) -> Result<(), Error> {
        let mut first = None;
        for mount in &self.mounts {
            let slot = self.slots.entry(mount.target.clone()).or_default();
            slot.device = mount.device;
            if slot.asked.is_none() {
                let ticket = self.pool.ask(mount.target.clone());
                slot.asked = Some((ticket, cx.mono, cx.time));
                first.get_or_insert(ticket);
            }
        }
        // when all owe an answer already, what has come meanwhile is taken
        let first = first.unwrap_or(Ticket::NONE);
        let answers =
            self.pool.answers(first, PATIENCE).map_err(|cause| Error::new("start a thread for", "statfs", cause))?;
        let mut answers: BTreeMap<_, _> = answers.into_iter().collect();
        for slot in self.slots.values_mut() {
            if let Some(answer) = slot.asked.and_then(|(ticket, ..)| answers.remove(&ticket)) {
                slot.asked = None;
                slot.answer = Some(answer);
            }
        }
        Ok(())
    }
}

/// The mounts that hold data: the last one at each place, and of each device the one that shows most of it.
fn shown(mounts: Vec<Mount>) -> Vec<Mount> {
    let mut places = BTreeMap::new();
    for mount in mounts {
        // a later mount hides an earlier one at the same place
        places.insert(mount.target.clone(), mount);
    }
    let mut kept: Vec<_> = places.into_values().filter(holds_data).collect();
    kept.sort_by_key(|mount| (mount.root != b"/", mount.target.len()));
    let mut devices = BTreeSet::new();
    kept.retain(|mount| devices.insert(mount.device));
    kept.sort_by(|a, b| a.target.cmp(&b.target));
    kept
}

fn holds_data(mount: &Mount) -> bool {
    // layers of containers show the space of the file system below
    let layer = mount.kind == b"overlay" && mount.target != b"/";
    // what lies below these only holds mount points of the kernel's own
    let kernel = [b"/proc/".as_slice(), b"/sys/"].iter().any(|place| mount.target.starts_with(place));
    !layer && !kernel && !PSEUDO.iter().any(|pseudo| pseudo.as_bytes() == mount.kind)
}

fn row(mount: &Mount, slot: Option<&Slot>, cx: &Cx<'_>) -> MountRow {
    let overdue = slot.and_then(|slot| slot.asked).filter(|(_, asked, _)| cx.mono.since(*asked) >= STALLED);
    let answer = slot.and_then(|slot| slot.answer).filter(|_| overdue.is_none());
    let space = answer.and_then(Result::ok);
    let state = match answer {
        _ if overdue.is_some() => Some(MountState::Stalled),
        None => None,
        Some(Ok(_)) => Some(MountState::Ok),
        Some(Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM)) => Some(MountState::Denied),
        Some(Err(_)) => Some(MountState::Failed),
    };
    MountRow {
        target: Text::new(&mount.target),
        source: Text::new(&mount.source),
        kind: Text::new(&mount.kind),
        state,
        stalled_since: overdue.map(|(.., time)| time),
        options: Text::new(&mount.options),
        read_only: mount.read_only(),
        size: space.map(|space| space.size),
        used: space.map(|space| space.used),
        available: space.map(|space| space.available),
        inodes: space.and_then(|space| space.inodes),
        inodes_used: space.and_then(|space| space.inodes_used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::mount::parse;

    fn targets(text: &str) -> Vec<String> {
        shown(parse(text.as_bytes())).iter().map(|mount| String::from_utf8_lossy(&mount.target).into_owned()).collect()
    }

    #[test]
    fn only_file_systems_with_data_are_shown() {
        let text = "1 0 0:21 / /proc rw - proc proc rw\n2 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
            3 0 0:30 / /run rw - tmpfs tmpfs rw\n6 0 0:33 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n4 0 0:31 / /net rw - autofs auto rw\n5 0 7:0 / /snap/x ro - squashfs l ro\n";
        assert_eq!(targets(text), ["/", "/run"]);
    }

    #[test]
    fn the_first_real_failure_is_told_and_a_refusal_is_not() {
        use rustix::io::Errno;
        let text = "1 0 8:1 / /a rw - ext4 d rw\n2 0 8:2 / /b rw - ext4 d rw\n3 0 8:3 / /c rw - ext4 d rw\n";
        let mut collector = MountCollector { mounts: shown(parse(text.as_bytes())), ..MountCollector::default() };
        let mut answer = |target: &str, errno| {
            let slot = Slot { answer: Some(Err(errno)), ..Slot::default() };
            collector.slots.insert(target.as_bytes().to_vec(), slot);
            collector.failure().map(|error| Skip::from(error).status())
        };
        assert_eq!(answer("/a", Errno::ACCESS), None);
        assert_eq!(answer("/b", Errno::NOENT), None);
        let status = answer("/c", Errno::MFILE).unwrap();
        assert_eq!(
            (status.reason.as_str(), status.hint.as_str()),
            ("ask /c: Too many open files (os error 24)", crate::collect::OUT_OF_FILES)
        );
    }

    #[test]
    fn of_a_device_the_whole_and_shortest_is_shown() {
        let text =
            "1 0 8:2 /sub /a rw - ext4 d rw\n2 0 8:2 / /srv/long rw - ext4 d rw\n3 0 8:2 / /srv rw - ext4 d rw\n";
        assert_eq!(targets(text), ["/srv"]);
    }

    #[test]
    fn the_upper_of_two_mounts_at_one_place_is_shown() {
        let mounts = shown(parse(b"1 0 8:2 / /m rw - ext4 d rw\n2 0 8:3 / /m rw - xfs e rw\n"));
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].kind, b"xfs");
    }

    #[test]
    fn mounts_that_are_too_many_are_left_out_and_that_is_said() {
        use crate::collect::testing::{Tree, run};
        let line = |i: usize| format!("{i} 0 9:{i} / /m/{i} rw - ext4 /dev/d{i} rw\n");
        let (few, many): (String, String) =
            ((1..=MAX_MOUNTS).map(line).collect(), (1..=MAX_MOUNTS + 1).map(line).collect());
        for (text, said) in [(few, 0), (many, 1)] {
            let tree = Tree::new(&[("proc/self/mountinfo", &text)]);
            let roots = crate::source::file::Roots::recorded(tree.path());
            let mut batch = run(&mut MountCollector::default(), &roots).unwrap();
            assert_eq!(batch.rows(MountRow::TABLE).unwrap().len(), MAX_MOUNTS);
            let told = batch.take_partly();
            assert_eq!(told.len(), said);
            assert!(told.iter().all(|(_, part)| part.reason.contains("1 file systems are left out")), "{told:?}");
        }
    }

    #[test]
    fn layers_of_containers_are_left_out_unless_the_host_lives_on_one() {
        let text = "1 0 0:50 / / rw - overlay overlay rw\n2 0 0:51 / /var/lib/docker/x rw - overlay overlay rw\n";
        assert_eq!(targets(text), ["/"]);
    }
}
