//! Which disks do guests have, how much room do they take on this host, and what is read and written?

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Known;
use crate::model::{Machine, Text};
use crate::source::guest::Disk;
use crate::source::guest::disk::is_named;
use crate::source::guest::said::{Block, Counts};
use crate::{label, table};

label! {
    /// What a guest may do with a disk.
    pub enum DiskAccess { ReadWrite = "rw", ReadOnly = "ro" }
}

table! {
    /// One disk of a guest: a file or a block device that its monitor has open. It is looked at about twice a minute, and on
    /// file systems of other hosts or of FUSE not at all, because that may hang: there only its path is known.
    ///
    /// The format is told by the first bytes of the file. Those of a raw disk are the guest's own, which may write there what it
    /// likes.
    ///
    /// Source: `/proc/PID/{fd,fdinfo,mountinfo}`, `statx(2)`, `/sys/dev/block`; first bytes as in `docs/interop/qcow2.rst` of QEMU.
    pub struct VmDiskRow = "vm_disk" { title: Some("Guests' disks") } {
        /// Process that runs the guest.
        Id(None) pid: u64 { wide: true },
        /// Start of the process in clock ticks since boot.
        Id(None) start: u64 { wide: true },
        /// File or block device of the host.
        Id(None) path: Text { label: true },
        /// Guest that it belongs to.
        Text(None) guest: Text,
        /// Whether the guest may write to it.
        Text(None) access: DiskAccess,
        /// How the file is laid out: `raw`, `qcow2` and the like.
        Text(None) format: Option<Text>,
        /// What the guest sees.
        Gauge(Bytes) size: Option<u64>,
        /// What the file takes on the host.
        Gauge(Bytes) used: Option<u64> { title: Some("on host") },
        /// Block device of the host that it is or lies on.
        Text(None) device: Option<Text>,
        /// What the monitor calls it.
        Text(None) target: Option<Text>,
        /// Data that the guest has read.
        Counter(Bytes) read_bytes: Option<u64> { title: Some("R/s"), top: true },
        /// Data that the guest has written.
        Counter(Bytes) write_bytes: Option<u64> { title: Some("W/s") },
        /// Reads that were done.
        Counter(Operations) reads: Option<u64> { title: Some("R op/s") },
        /// Writes that were done.
        Counter(Operations) writes: Option<u64> { title: Some("W op/s") },
        /// Flushes that were done.
        Counter(Operations) flushes: Option<u64> { wide: true },
        /// Time that reads took, all together.
        Counter(Seconds) read_time: Option<f64> { wide: true },
        /// Time that writes took, all together.
        Counter(Seconds) write_time: Option<f64> { wide: true },
        /// Time that flushes took, all together.
        Counter(Seconds) flush_time: Option<f64> { wide: true },
    }
    derived {
        /// Time that a read takes.
        read_latency(Seconds) = "read_time / reads" { title: Some("R lat") },
        /// Time that a write takes.
        write_latency(Seconds) = "write_time / writes" { title: Some("W lat") },
        /// Time that a flush takes.
        flush_latency(Seconds) = "flush_time / flushes" { wide: true },
        /// Share of what the guest sees that the file takes on the host.
        filled(Ratio) = "used / size" { title: Some("filled") },
    }
}

/// The disks of a guest, with what its monitor has said of them: files that it has open first.
pub(super) fn rows(pid: u32, machine: &Machine, known: &Known, said: &[Block]) -> Vec<VmDiskRow> {
    let mut left: Vec<(&Block, Option<PathBuf>)> = said.iter().map(|block| (block, device(block))).collect();
    let row = |disk: &Disk| {
        let at = left.iter().position(|(block, device)| is_same(disk, block, device.as_deref()));
        let block = at.map(|at| left.remove(at).0);
        VmDiskRow {
            path: Text::new(&disk.path),
            access: access(disk.writable),
            format: disk.format.map(Text::from).or_else(|| block?.format.clone()),
            size: disk.size.or_else(|| block?.size),
            used: disk.used,
            device: disk.device.as_deref().map(Text::new),
            ..plain(pid, machine, block)
        }
    };
    let mut rows: Vec<VmDiskRow> = known.disks.iter().map(row).collect();
    for (block, _) in left {
        let Some(path) = block.path.as_deref().map(Text::from) else { continue };
        // one image may be in two drives
        if !rows.iter().any(|row| row.path == path) {
            let (format, size) = (block.format.clone(), block.size);
            let access = access(block.is_writable.unwrap_or(true));
            rows.push(VmDiskRow { path, access, format, size, ..plain(pid, machine, Some(block)) });
        }
    }
    rows
}

/// Whether a monitor means this file.
fn is_same(disk: &Disk, block: &Block, device: Option<&Path>) -> bool {
    block.path.as_deref().is_some_and(|name| is_named(&disk.path, name.as_bytes()))
        || device.is_some_and(|device| device.as_os_str().as_encoded_bytes() == disk.path)
}

/// The device that a monitor means: devices have several names. Nothing else is looked up, where looking may hang.
fn device(block: &Block) -> Option<PathBuf> {
    let name = block.path.as_deref().filter(|name| name.starts_with("/dev/"))?;
    let leads_out = name.split('/').any(|part| part == "..");
    (!leads_out).then(|| std::fs::canonicalize(name).ok()).flatten()
}

fn access(is_writable: bool) -> DiskAccess {
    if is_writable { DiskAccess::ReadWrite } else { DiskAccess::ReadOnly }
}

/// What the monitor says of a disk.
fn plain(pid: u32, machine: &Machine, block: Option<&Block>) -> VmDiskRow {
    let [read, write, flush] = block.and_then(|block| block.counts).unwrap_or_default();
    let time = |counts: Counts| counts.time.as_ref().map(Duration::as_secs_f64);
    VmDiskRow {
        pid: u64::from(pid),
        start: machine.start,
        path: Text::default(),
        guest: machine.name.clone(),
        access: DiskAccess::ReadWrite,
        format: None,
        size: None,
        used: None,
        device: None,
        target: block.and_then(|block| block.target.clone()),
        read_bytes: read.bytes,
        write_bytes: write.bytes,
        reads: read.operations,
        writes: write.operations,
        flushes: flush.operations,
        read_time: time(read),
        write_time: time(write),
        flush_time: time(flush),
    }
}
