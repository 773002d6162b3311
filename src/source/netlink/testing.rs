//! How does a test get a network of its own?

use std::io::Write as _;
use std::process::Command;

/// Runs `test` on a thread in a new network namespace, which dies with the thread. Fails when not root.
pub(crate) fn in_own_network<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    let run = || {
        let flags = rustix::thread::UnshareFlags::NEWNET;
        // SAFETY: a network namespace holds no descriptors or memory of this process
        unsafe { rustix::thread::unshare_unsafe(flags) }.expect("this test needs root");
        ip("link set lo up");
        test()
    };
    match std::thread::scope(|scope| scope.spawn(run).join()) {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Runs `ip` with the words of a line and returns what it prints.
pub(crate) fn ip(line: &str) -> String {
    run("ip", line)
}

/// Runs a command of one line and returns what it prints.
pub(crate) fn run(command: &str, line: &str) -> String {
    let output = Command::new(command).args(line.split_whitespace()).output().expect("the command must be installed");
    assert!(output.status.success(), "{command} {line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs many `ip` commands in one process.
pub(crate) fn ip_batch(lines: impl IntoIterator<Item = String>) {
    let lines: Vec<String> = lines.into_iter().collect();
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
