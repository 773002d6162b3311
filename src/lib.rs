//! netglance: one screen for hosts, guests, firewalls and routers.
//!
//! The layers, lowest first, are listed in ARCHITECTURE.md; `tests/layers.rs` keeps them apart.

pub mod alert;
pub mod browse;
pub mod cli;
pub mod client;
pub mod collect;
pub mod config;
pub mod export;
pub mod model;
pub mod panel;
pub mod server;
pub mod source;
pub mod store;
pub mod tui;
pub mod wire;
