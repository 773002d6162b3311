//! The `netglance` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    netglance::cli::run()
}
