//! Which connections does the kernel track, and how does the table that it keeps them in do?
//!
//! [`health`] reads what everybody may read: how full the table is and what happened in it. [`flow`] reads the connections
//! themselves, [`expect`] those that helpers have announced and [`event`] how many begin, which takes CAP_NET_ADMIN, and so
//! does [`forget`]: it deletes one.

pub mod event;
pub mod expect;
pub mod flow;
pub mod forget;
pub mod health;
