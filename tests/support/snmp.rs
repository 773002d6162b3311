//! An agent of SNMP for a router of the ring, and what it tells others.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::Guard;
use super::ring::{run_in, wait_until};
use super::space::mount;

/// Address of the router that is asked, in the namespace beside that of the test.
pub(crate) const ONE: &str = "10.0.12.2";

/// A file that only its owner may read.
pub(crate) fn secret(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// Starts an agent of SNMP in the namespace of a router, and has its daemons of FRR tell it what they know.
pub(crate) fn agent(dir: &Path, router: &str) -> Guard {
    let master = dir.join("master");
    let state = dir.join("state");
    std::fs::create_dir(&state).unwrap();
    mount("tmpfs", Path::new("/etc/snmp"), "tmpfs", 0, "mode=0755");
    std::fs::write("/etc/snmp/frr.conf", format!("agentXSocket {}\n", master.display())).unwrap();
    let places = [161, 1161, 2161, 3161].map(|port| format!("udp:{ONE}:{port}")).join(",");
    let mut text = format!("agentaddress {places}\nmaster agentx\nagentXSocket {}\n", master.display());
    text.push_str("agentXPerms 0666 0755\nrocommunity of-the-test\nrouser ng priv\n");
    let _ = writeln!(text, "createUser ng SHA-256 authpass12 AES privpass12");
    let config = dir.join("snmpd.conf");
    std::fs::write(&config, text).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", router, "snmpd", "-f", "-Ln", "-C", "-c"]).arg(&config);
    command.env("SNMP_PERSISTENT_DIR", &state).stderr(Stdio::null());
    let guard = Guard::start(&mut command);
    wait_until("an agent", || master.exists());
    std::fs::set_permissions(&master, std::fs::Permissions::from_mode(0o666)).unwrap();
    guard
}

/// What `snmpwalk` prints of what is below a name, numbers as they are, one value a line.
pub(crate) fn snmpwalk(below: &str, more: &[&str]) -> Vec<String> {
    let community = ["-m", "", "-v2c", "-c", "of-the-test", "-On", "-Oq", "-Oe"];
    let said = run_in("host", &[&["snmpwalk"], &community[..], more, &[ONE, below]].concat());
    said.lines().map(str::to_owned).collect()
}
