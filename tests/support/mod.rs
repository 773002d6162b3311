//! What do the tests that run the built program share: terminals, namespaces, strangers, and the watchman of the output?

pub(crate) mod held;
pub(crate) mod process;
pub(crate) mod pty;
pub(crate) mod qemu;
pub(crate) mod ring;
pub(crate) mod snmp;
pub(crate) mod space;
pub(crate) mod vmm;
pub(crate) mod vswitch;
pub(crate) mod watch;
pub(crate) mod watchman;
