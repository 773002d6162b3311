//! Does the program live through what goes wrong around it, say so, and leave everything as it was?
//!
//! Real kernels, real terminals, real faults: namespaces of our own keep them away from everybody else.

#![cfg(test)]

#[expect(dead_code, reason = "each test program uses its part")]
#[path = "../support/mod.rs"]
mod support;

mod conntrack;
mod hostile;
mod inject;
mod input;
mod mount;
mod netns;
mod network;
mod nftables;
mod rights;
mod storm;
mod terminal;
