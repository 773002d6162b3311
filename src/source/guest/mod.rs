//! Which processes run a KVM guest, and what does the kernel know of each?
//!
//! Whichever program runs it, a guest is a process that holds `anon_inode:kvm-vm`. [`Finder`] looks for those without reading
//! every descriptor of every process on each tick; [`identity`] reads what the program was told on its command line;
//! [`thread`] tells the threads that are virtual CPUs from the others; [`held`] is what its descriptors say,
//! and [`disk`] what of them are disks. [`exits`] is what KVM counts. What only the monitor knows is [`said`], by QEMU over [`qmp`] or by
//! [`libvirt`], and [`memory`] what takes long to find out.
//!
//! Source: `Documentation/virt/kvm/api.rst`, `virt/kvm/kvm_main.c` (names of the descriptors), `drivers/net/tun.c` (`fdinfo`);
//! the manual pages of `qemu-system-x86_64`, `firecracker`, `cloud-hypervisor` and `crosvm`.

pub mod disk;
pub mod exits;
mod find;
pub mod held;
pub mod identity;
pub mod libvirt;
pub mod memory;
pub mod nova;
pub mod qmp;
pub mod said;
pub mod thread;

pub use disk::Disk;
pub use find::{Finder, Found};
pub use held::{Held, Tap};
pub use identity::Identity;
