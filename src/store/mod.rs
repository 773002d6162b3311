//! What does a reader see of what was sampled: rates, order, selections, levels and the past?
//!
//! [`rate::View`] is the only place where counters become rates. [`query`] selects and orders rows of a view with the one
//! expression language in [`expr`]. Everything works over `dyn Rows` and names no column.

pub mod derived;
pub mod expr;
pub mod history;
pub mod level;
pub mod local;
#[cfg(test)]
pub mod made;
pub mod order;
pub(crate) mod pair;
pub mod query;
pub mod rate;
pub mod wanted;

pub use derived::mistakes;
