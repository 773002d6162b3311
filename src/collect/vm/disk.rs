//! Which disks do guests have, and how much room do they take on this host?

use super::Guest;
use crate::model::Text;
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
    }
    derived {
        /// Share of what the guest sees that the file takes on the host.
        filled(Ratio) = "used / size" { title: Some("filled") },
    }
}

/// The disks of a guest.
pub(super) fn rows(guest: &Guest, pid: u32) -> impl Iterator<Item = VmDiskRow> {
    guest.disks.iter().map(move |disk| VmDiskRow {
        pid: u64::from(pid),
        start: guest.start,
        path: Text::new(&disk.path),
        guest: guest.name.clone(),
        access: if disk.writable { DiskAccess::ReadWrite } else { DiskAccess::ReadOnly },
        format: disk.format.map(Text::from),
        size: disk.size,
        used: disk.used,
        device: disk.device.as_deref().map(Text::new),
    })
}
