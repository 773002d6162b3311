//! Which bridges does Open vSwitch have here, and what goes over them?
//!
//! Its own tools ask two sockets, and so is it done here: [`database`] is that of `ovsdb-server`, which says what there is,
//! [`openflow`] that of each bridge, which counts. [`switch`] finds them, and keeps what was told.

pub mod database;
pub mod openflow;
pub mod switch;
