//! Which bridges does Open vSwitch have here, and what goes over them?
//!
//! Its own tools ask two sockets, and so is it done here: [`database`] is that of `ovsdb-server`, which says what there is,
//! [`openflow`] that of each bridge, which counts. [`switch`] finds them, and keeps what was told. A [`flow`] becomes [`text`] by
//! what is known of each [`field`] and [`action`].

mod action;
pub mod database;
mod field;
pub mod flow;
pub mod openflow;
pub mod switch;
pub mod text;
