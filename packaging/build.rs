//! Has the linker put side by side what a dashboard calls again and again.
//!
//! The kernel maps 16 pages around each one that is touched, so that a megabyte of functions that lie scattered in ten keeps
//! more than half of the ten in memory. The list is made by `cargo bench --bench touched`; a function that it does not know
//! lies where it always did.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=packaging/touched.ld");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // the linker that comes with Rust for this target reads such scripts; another that was chosen may not
    let chosen = var("RUSTC_LINKER").is_ok()
        || var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("fuse-ld") || flags.contains("linker"));
    let here = is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64");
    if let Ok(root) = var("CARGO_MANIFEST_DIR")
        && here
        && !chosen
        && is("PROFILE", "release")
    {
        println!("cargo::rustc-link-arg-bins=-T{root}/packaging/touched.ld");
    }
}
