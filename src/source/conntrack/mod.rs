//! Which connections does the kernel track, and how does the table that it keeps them in do?
//!
//! [`health`] reads what everybody may read: how full the table is and what happened in it.

pub mod health;
