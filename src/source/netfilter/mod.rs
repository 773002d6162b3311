//! What do the small parts of netfilter say of themselves?
//!
//! [`table`] reads the files: queues and logs of packets to programs, who writes the kernel's own log, and the proxy for SYN
//! packets. [`acct`] and [`timeout`] ask over netlink for named counters and policies.
//! [`registered_protocol`] is the word that rules and sets have for a protocol.

pub mod acct;
mod protocol;
pub mod table;
pub mod timeout;

pub use protocol::registered_protocol;
