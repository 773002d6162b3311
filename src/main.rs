//! The `netglance` command.
fn main() {}
