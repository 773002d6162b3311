//! What do the small parts of netfilter say of themselves?
//!
//! [`table`] reads the files: queues and logs of packets to programs, who writes the kernel's own log, and the proxy for SYN
//! packets. [`acct`] and [`timeout`] ask over netlink for named counters and policies.

pub mod acct;
pub mod table;
pub mod timeout;
