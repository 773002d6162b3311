//! What does the kernel say of each process, and at what cost?
//!
//! [`Scanner`] lists and reads `/proc/PID` for thousands of processes per second with kept descriptors and one buffer;
//! [`parse`] understands the files; [`detail`] reads what only one process at a time is asked for.

pub mod detail;
pub mod parse;
mod scan;

pub use parse::{Comm, Io, Stat};
pub use scan::{File, Handle, Scanner, boot_time};
