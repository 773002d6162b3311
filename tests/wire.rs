//! Is the checked-in code that speaks the wire's messages the one that `netglance.proto` describes?
//!
//! Written anew with `NETGLANCE_BLESS=1 cargo test --test wire`. No program but cargo is needed.

#![cfg(test)]

use std::path::{Path, PathBuf};

const PROTO: &str = "src/wire/netglance.proto";
const CODE: &str = "src/wire/generated/mod.rs";
const DESCRIPTORS: &str = "src/wire/generated/netglance.bin";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn compiled() -> tonic_prost_build::FileDescriptorSet {
    protox::compile([root(PROTO)], [root("src/wire")]).unwrap()
}

/// The messages without comments, as an agent tells of them.
fn descriptors() -> Vec<u8> {
    use prost::Message as _;
    let mut files = compiled();
    for file in &mut files.file {
        file.source_code_info = None;
    }
    files.encode_to_vec()
}

fn generated() -> String {
    let out = tempfile::tempdir().unwrap();
    let files = compiled();
    tonic_prost_build::configure()
        .out_dir(out.path())
        .bytes(".netglance.v1.WatchReply.frame")
        .compile_fds(files)
        .unwrap();
    let code = std::fs::read_to_string(out.path().join("netglance.v1.rs")).unwrap();
    code.lines().filter(|line| !line.starts_with("// This file is @generated")).collect::<Vec<_>>().join("\n") + "\n"
}

/// As `rustfmt` of this project writes it.
fn formatted(code: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proto.rs");
    std::fs::write(&file, code).unwrap();
    let status = std::process::Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root("rustfmt.toml"))
        .arg(&file)
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn the_checked_in_code_is_that_of_the_messages() {
    let code = formatted(&generated());
    if std::env::var_os("NETGLANCE_BLESS").is_some() {
        std::fs::write(root(CODE), &code).unwrap();
    }
    let there = std::fs::read_to_string(root(CODE)).unwrap();
    assert!(there == code, "{CODE} differs from {PROTO}: NETGLANCE_BLESS=1 cargo test --test wire");
}

#[test]
fn the_checked_in_description_is_that_of_the_messages() {
    let bytes = descriptors();
    if std::env::var_os("NETGLANCE_BLESS").is_some() {
        std::fs::write(root(DESCRIPTORS), &bytes).unwrap();
    }
    assert!(std::fs::read(root(DESCRIPTORS)).unwrap() == bytes, "{DESCRIPTORS} differs from {PROTO}");
}
