//! How are the kernel and local daemons read?
//!
//! Readers return plain structs and know no tables. Every read is bounded, counted ([`meter`]) and rooted at a path, so
//! that a recorded tree can stand in for `/proc` and `/sys`. Nothing here panics on what the kernel says.

pub mod action;
pub mod address;
pub mod agent;
pub mod alarm;
pub mod bounded;
pub mod cgroup;
pub mod clock;
pub mod conntrack;
pub mod control;
pub mod deed;
pub mod fib;
pub mod file;
pub mod guest;
pub mod holder;
pub mod hypervisor;
pub mod ipset;
pub mod kept;
pub mod lines;
pub mod mdstat;
pub mod memory;
pub mod meter;
pub mod mount;
pub mod netfilter;
pub mod netlink;
pub mod netns;
pub mod nftables;
pub mod ovs;
pub mod pressure;
pub mod process;
pub mod routing;
pub mod sensor;
pub mod services;
pub mod socket;
pub mod softirq;
pub mod space;
pub mod stat;
pub mod trail;
pub mod unit;
pub mod user;
pub mod xtables;

use std::path::PathBuf;

/// A failed read: operation, object, cause.
#[derive(Debug, thiserror::Error)]
#[error("{op} {}: {cause}", object.display())]
pub struct Error {
    /// What was attempted.
    pub op: &'static str,
    /// On which file, interface or netlink family.
    pub object: PathBuf,
    /// The cause, kept whole.
    #[source]
    pub cause: std::io::Error,
}

impl Error {
    /// A failed operation.
    pub fn new(op: &'static str, object: impl Into<PathBuf>, cause: impl Into<std::io::Error>) -> Self {
        Self { op, object: object.into(), cause: cause.into() }
    }

    /// The same once more, for who asks again.
    #[must_use]
    pub fn again(&self) -> Self {
        let words = || std::io::Error::new(self.cause.kind(), self.cause.to_string());
        let cause = self.cause.raw_os_error().map_or_else(words, std::io::Error::from_raw_os_error);
        Self { op: self.op, object: self.object.clone(), cause }
    }

    /// Content that does not parse.
    pub fn malformed(object: impl Into<PathBuf>, what: &'static str) -> Self {
        Self::new("parse", object, std::io::Error::new(std::io::ErrorKind::InvalidData, what))
    }

    /// Whether the object does not exist here, or vanished while it was read.
    pub fn is_absent(&self) -> bool {
        matches!(self.cause.kind(), std::io::ErrorKind::NotFound)
            || matches!(
                self.cause.raw_os_error(),
                Some(
                    libc::ESRCH
                        | libc::ENODEV
                        | libc::ENXIO
                        | libc::EOPNOTSUPP
                        | libc::EPROTONOSUPPORT
                        | libc::EAFNOSUPPORT
                )
            )
    }

    /// Whether this user may not read it.
    pub fn is_denied(&self) -> bool {
        self.cause.kind() == std::io::ErrorKind::PermissionDenied
    }

    /// Whether this process, or the host, has no descriptor left.
    pub fn is_out_of_files(&self) -> bool {
        matches!(self.cause.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
    }
}
