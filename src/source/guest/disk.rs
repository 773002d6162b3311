//! What does a guest have as a disk, and how much room does it take on the host?
//!
//! A disk is a file or a block device that the monitor has open to read from. It is looked at through the monitor's descriptor,
//! so that it is the right one whatever it is called by now and in whose mount namespace it is. On a file system whose server
//! may be gone nothing is looked at: not even its size is worth a reader that hangs.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags};

use crate::source::file::Root;
use crate::source::process::parse;

/// Disks of one guest; QEMU has room for some hundreds.
pub(super) const MAX_DISKS: usize = 1024;

/// Bytes at the beginning of a file in which all formats say what they are.
const HEAD: usize = 512;

/// File systems whose files can be looked at without asking another host or program.
const LOCAL: &[&[u8]] = &[
    b"ext2",
    b"ext3",
    b"ext4",
    b"xfs",
    b"btrfs",
    b"zfs",
    b"f2fs",
    b"bcachefs",
    b"jfs",
    b"tmpfs",
    b"ramfs",
    b"overlay",
    b"devtmpfs",
    b"vfat",
    b"exfat",
    b"iso9660",
    b"udf",
    b"squashfs",
    b"erofs",
];

/// File systems that may have disks, but hang when their server does.
const REMOTE: &[&[u8]] = &[
    b"nfs",
    b"nfs4",
    b"cifs",
    b"smb3",
    b"ceph",
    b"9p",
    b"virtiofs",
    b"lustre",
    b"gfs2",
    b"ocfs2",
    b"afs",
    b"glusterfs",
    b"fuse",
    b"fuseblk",
];

/// One disk of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// File or device as the kernel calls it.
    pub path: Vec<u8>,
    /// Whether the monitor may write to it.
    pub writable: bool,
    /// How it is laid out, by the first bytes of the file; `None` for devices, and where nothing is looked at.
    pub format: Option<&'static str>,
    /// Bytes that the guest sees.
    pub size: Option<u64>,
    /// Bytes that the file takes on the host.
    pub used: Option<u64>,
    /// Block device that it is or lies on, by the kernel's name.
    pub device: Option<Vec<u8>>,
}

/// What `fdinfo` says of how a file is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opened {
    flags: u32,
    mount: u64,
}

impl Opened {
    fn of(fdinfo: &[u8]) -> Option<Self> {
        let flags = std::str::from_utf8(parse::field(fdinfo, b"flags:")?).ok()?;
        let mount = parse::number(parse::field(fdinfo, b"mnt_id:")?)?;
        Some(Self { flags: u32::from_str_radix(flags, 8).ok()?, mount })
    }

    /// Whether disks are opened so: logs are only written to, appended to, or do not wait.
    fn may_be_disk(self) -> bool {
        let has = |flags: OFlags| self.flags & flags.bits() != 0;
        self.mode() != OFlags::WRONLY.bits() && !has(OFlags::APPEND) && !has(OFlags::NONBLOCK) && !has(OFlags::PATH)
    }

    fn mode(self) -> u32 {
        self.flags & OFlags::ACCMODE.bits()
    }
}

/// Type of the file system of a mount, by its number in `mountinfo`.
fn kind_of(mountinfo: &[u8], mount: u64) -> Option<&[u8]> {
    let is_it = |line: &&[u8]| line.split(|byte| *byte == b' ').next().and_then(parse::number) == Some(mount);
    let line = mountinfo.split(|byte| *byte == b'\n').find(is_it)?;
    let mut fields = line.split(|byte| *byte == b' ').skip_while(|field| *field != b"-").skip(1);
    fields.next()
}

/// Disks among the files that a process has open, by its descriptors; those that its command line names for something else are
/// none.
pub(super) fn disks(roots: [&Root; 2], pid: u32, files: &[(u32, Vec<u8>)], others: &[Vec<u8>]) -> Vec<Disk> {
    let [proc, sys] = roots;
    let Ok(mounts) = proc.read(format!("{pid}/mountinfo")) else { return Vec::new() };
    let mut disks: Vec<Disk> = Vec::new();
    for (fd, path) in files.iter().filter(|(_, path)| !others.iter().any(|other| is_named(path, other))) {
        // QEMU opens an image once more to lock it
        if disks.len() == MAX_DISKS || disks.iter().any(|disk| disk.path == *path && disk.writable) {
            continue;
        }
        let opened = proc.read(format!("{pid}/fdinfo/{fd}")).ok().as_deref().and_then(Opened::of);
        let Some(opened) = opened.filter(|opened| opened.may_be_disk()) else { continue };
        let Some(kind) = kind_of(&mounts, opened.mount) else { continue };
        let writable = opened.mode() == OFlags::RDWR.bits();
        let plain = Disk { path: path.clone(), writable, format: None, size: None, used: None, device: None };
        if kind == b"tmpfs" && path.ends_with(b" (deleted)") {
            // memory that is shared with programs that move its packets
            continue;
        }
        let disk = if LOCAL.contains(&kind) {
            look(proc.join(format!("{pid}/fd/{fd}")).as_path(), sys, plain)
        } else if REMOTE.contains(&kind) || kind.starts_with(b"fuse.") {
            Some(plain)
        } else {
            None
        };
        disks.retain(|known| disk.as_ref().is_none_or(|disk| disk.path != known.path));
        disks.extend(disk);
    }
    disks
}

/// Whether a command line means this file; it may have been written from a directory that nobody knows any more.
/// A directory means the files in it.
pub fn is_named(path: &[u8], name: &[u8]) -> bool {
    // one is a link to the other
    let name = name.strip_prefix(b"/var").filter(|rest| rest.starts_with(b"/run/")).unwrap_or(name);
    let below = path.strip_prefix(name).filter(|_| name.starts_with(b"/"));
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        || path == name
        || (!name.starts_with(b"/") && path.strip_suffix(name).is_some_and(|rest| rest.ends_with(b"/")))
}

/// Looks at a file on this host; `None` for what is neither a file nor a block device.
fn look(door: &std::path::Path, sys: &Root, plain: Disk) -> Option<Disk> {
    let stat = rustix::fs::statx(CWD, door, AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS).ok()?;
    match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::BlockDevice => {
            let (name, at) = device(sys, stat.stx_rdev_major, stat.stx_rdev_minor)?;
            let sectors = sys.read(at + "/size").ok().and_then(|text| parse::number(text.trim_ascii()));
            Some(Disk { size: sectors.and_then(|count| count.checked_mul(512)), device: Some(name), ..plain })
        }
        FileType::RegularFile => {
            let device = device(sys, stat.stx_dev_major, stat.stx_dev_minor).map(|(name, _)| name);
            Some(Disk { used: stat.stx_blocks.checked_mul(512), device, ..laid_out(door, &stat, plain) })
        }
        _ => None,
    }
}

fn laid_out(door: &std::path::Path, stat: &Statx, plain: Disk) -> Disk {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = rustix::fs::open(door, flags, Mode::empty()) else { return plain };
    let Some(head) = head(&file) else { return plain };
    let (format, size) = layout(&head, stat.stx_size);
    Disk { format: Some(format), size, ..plain }
}

fn head(file: impl AsFd) -> Option<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let length = rustix::io::pread(file, &mut head, 0).ok()?;
    head.truncate(length);
    Some(head)
}

/// Name of a block device, and its place below `sys`.
fn device(sys: &Root, major: u32, minor: u32) -> Option<(Vec<u8>, String)> {
    let at = format!("dev/block/{major}:{minor}");
    let target = std::fs::read_link(sys.join(&at)).ok()?;
    Some((target.file_name()?.as_bytes().to_vec(), at))
}

/// How a file is laid out by its first bytes, in QEMU's words, and how large the disk in it is.
fn layout(head: &[u8], length: u64) -> (&'static str, Option<u64>) {
    let number = |at: usize| head.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    let (little, big) = (|at| number(at).map(u64::from_le_bytes), |at| number(at).map(u64::from_be_bytes));
    match head {
        [b'Q', b'F', b'I', 0xfb, 0, 0, 0, 1, ..] => ("qcow", big(24)),
        [b'Q', b'F', b'I', 0xfb, ..] => ("qcow2", big(24)),
        [b'Q', b'E', b'D', 0, ..] => ("qed", little(48)),
        [b'K', b'D', b'M', b'V', ..] => ("vmdk", little(12).and_then(|sectors| sectors.checked_mul(512))),
        [b'L', b'U', b'K', b'S', 0xba, 0xbe, ..] => ("luks", None),
        _ if head.starts_with(b"conectix") => ("vpc", big(48)),
        _ if head.starts_with(b"vhdxfile") => ("vhdx", None),
        _ if head.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) => ("vdi", little(368)),
        _ => ("raw", Some(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt as _, symlink};
    use std::path::Path;

    const MOUNTS: &str = "26 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
                          30 26 0:50 / /net rw - nfs4 server:/ rw\n\
                          31 26 0:51 / /huge rw - hugetlbfs none rw\n\
                          32 26 0:52 / /sshfs rw - fuse.sshfs x rw\n";

    /// A process with open files: path, flags, number of the mount.
    fn process(dir: &Path, files: &[(&Path, &str, u32)]) -> Vec<(u32, Vec<u8>)> {
        for part in ["proc/7/fd", "proc/7/fdinfo", "sys/dev/block"] {
            std::fs::create_dir_all(dir.join(part)).unwrap();
        }
        std::fs::write(dir.join("proc/7/mountinfo"), MOUNTS).unwrap();
        let put = |(at, (path, flags, mount)): (usize, &(&Path, &str, u32))| {
            let fd = u32::try_from(at).unwrap() + 3;
            let info = format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t{mount}\nino:\t1\n");
            std::fs::write(dir.join(format!("proc/7/fdinfo/{fd}")), info).unwrap();
            symlink(path, dir.join(format!("proc/7/fd/{fd}"))).unwrap();
            (fd, path.as_os_str().as_bytes().to_vec())
        };
        files.iter().enumerate().map(put).collect()
    }

    fn read(dir: &Path, files: &[(u32, Vec<u8>)], others: &[Vec<u8>]) -> Vec<Disk> {
        disks([&Root::new(dir.join("proc")), &Root::new(dir.join("sys"))], 7, files, others)
    }

    #[test]
    fn disks_are_files_that_are_read_and_no_logs_memory_or_pid_files() {
        let dir = tempfile::tempdir().unwrap();
        let image = |name: &str| {
            let path = dir.path().join(name);
            std::fs::File::create(&path).unwrap().set_len(4096).unwrap();
            path
        };
        let [root, log, events, pid, iso] = ["root.img", "log", "events", "pid", "cd.iso"].map(image);
        let files = process(
            dir.path(),
            &[
                (&root, "02100000", 26),
                (&root, "02100002", 26),
                (&log, "0102001", 26),
                (&events, "0104002", 26),
                (&pid, "02100002", 26),
                (&iso, "02100000", 26),
                (Path::new("/huge/ram"), "02100002", 31),
                (Path::new("/net/disk"), "02100002", 30),
                (Path::new("/sshfs/disk"), "02100000", 32),
                (Path::new("/nowhere"), "02100002", 99),
                (Path::new("/dev/null"), "02", 26),
            ],
        );
        let pid = pid.into_os_string().into_encoded_bytes();
        assert!(is_named(&pid, &pid) && is_named(&pid, b"pid") && !is_named(&pid, b"id") && !is_named(&pid, b"/pid"));
        for (path, name, is) in [
            (&b"/run/qemu-server/100.pid"[..], &b"/var/run/qemu-server/100.pid"[..], true),
            (b"/dev/shm/qemu_back_mem.ram.x (deleted)", b"/dev/shm", true),
            (b"/dev/shmx", b"/dev/shm", false),
        ] {
            assert_eq!(is_named(path, name), is, "{path:?}");
        }
        let disks = read(dir.path(), &files, &[pid]);
        let told: Vec<_> =
            disks.iter().map(|disk| (disk.path.as_slice(), disk.writable, disk.format, disk.size)).collect();
        assert_eq!(
            told,
            [
                (root.as_os_str().as_bytes(), true, Some("raw"), Some(4096)),
                (iso.as_os_str().as_bytes(), false, Some("raw"), Some(4096)),
                (b"/net/disk", true, None, None),
                (b"/sshfs/disk", false, None, None),
            ]
        );
        assert_eq!(disks[0].used, Some(0), "nothing was written to it");
    }

    #[test]
    fn a_device_has_its_size_and_a_file_the_device_that_it_lies_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let file = std::fs::File::create(&path).unwrap();
        file.write_all_at(&[1; 8192], 0).unwrap();
        let files = process(dir.path(), &[(&path, "02100002", 26)]);
        assert_eq!(read(dir.path(), &files, &[])[0].device, None);
        let stat = rustix::fs::statx(CWD, &path, AtFlags::empty(), StatxFlags::BASIC_STATS).unwrap();
        let at = format!("sys/dev/block/{}:{}", stat.stx_dev_major, stat.stx_dev_minor);
        symlink("../../devices/virtual/block/dm-3", dir.path().join(at)).unwrap();
        let disk = &read(dir.path(), &files, &[])[0];
        assert_eq!((disk.device.as_deref(), disk.used), (Some(&b"dm-3"[..]), Some(8192)));
    }

    #[test]
    fn formats_are_told_by_their_first_bytes_with_the_size_of_the_disk_in_them() {
        let head = |parts: &[(usize, &[u8])]| {
            let mut head = vec![0; HEAD];
            for (at, bytes) in parts {
                head[*at..*at + bytes.len()].copy_from_slice(bytes);
            }
            head
        };
        let (big, little) = (5_u64.to_be_bytes(), 5_u64.to_le_bytes());
        for (parts, told) in [
            (&[(0, &b"QFI\xfb\0\0\0\x03"[..]), (24, &big[..])][..], ("qcow2", Some(5))),
            (&[(0, b"QFI\xfb\0\0\0\x01"), (24, &big)], ("qcow", Some(5))),
            (&[(0, b"QED\0"), (48, &little)], ("qed", Some(5))),
            (&[(0, b"KDMV"), (12, &little)], ("vmdk", Some(5 * 512))),
            (&[(0, b"KDMV"), (12, &[0xff; 8])], ("vmdk", None)),
            (&[(0, b"LUKS\xba\xbe")], ("luks", None)),
            (&[(0, b"conectix"), (48, &big)], ("vpc", Some(5))),
            (&[(0, b"vhdxfile")], ("vhdx", None)),
            (&[(64, &[0x7f, 0x10, 0xda, 0xbe]), (368, &little)], ("vdi", Some(5))),
            (&[], ("raw", Some(99))),
        ] {
            assert_eq!(layout(&head(parts), 99), told);
        }
        assert_eq!((layout(b"", 0), layout(b"QFI\xfb", 4)), (("raw", Some(0)), ("qcow2", None)));
    }
}
