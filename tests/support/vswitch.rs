//! Open vSwitch of the test's own: its database and its process, which forwards packets itself.
//!
//! ```text
//!   guest one -- p1 [br0] p2 -- guest two     br0: a bond of b1 and b2, a tunnel, and a port that is not there
//!                    | patch
//!                  [br1]
//! ```
//! The caller has mounts and a network of its own.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::Guard;
use super::ring::{run_in, wait_until};
use super::space::{ip, mount};

/// Where its sockets are.
pub(crate) const PLACE: &str = "/run/openvswitch";

/// The programs, which end with it.
pub(crate) struct Vswitch {
    pub(crate) database: Guard,
    pub(crate) forwarder: Guard,
}

/// What `ovs-vsctl` prints.
pub(crate) fn vsctl(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    run_in("host", &[&["ovs-vsctl"], &*words].concat())
}

/// What `ovs-ofctl` prints.
pub(crate) fn ofctl(words: &[&str]) -> String {
    run_in("host", &[&["ovs-ofctl"], words].concat())
}

/// A controller that says hello and nothing else.
fn controller() {
    let listener = UnixListener::bind(Path::new(PLACE).join("controller")).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(&[4, 0, 0, 8, 0, 0, 0, 1]);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
}

fn start(program: &str, arguments: &[&str]) -> Guard {
    Guard::start(Command::new(program).args(arguments).stderr(Stdio::null()))
}

impl Vswitch {
    /// Starts both programs with nothing configured.
    pub(crate) fn bare() -> Self {
        mount("tmpfs", Path::new("/run"), "tmpfs", 0, "mode=0755");
        std::fs::create_dir(PLACE).unwrap();
        run_in("host", &["ip", "link", "set", "lo", "up"]);
        let file = format!("{PLACE}/conf.db");
        run_in("host", &["ovsdb-tool", "create", &file, "/usr/share/openvswitch/vswitch.ovsschema"]);
        let database = Self::serve();
        vsctl("--no-wait init");
        let version = run_in("host", &["ovs-vswitchd", "--version"]);
        let version = version.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
        vsctl(&format!("--no-wait set Open_vSwitch . ovs_version={version}"));
        Self { database, forwarder: Self::forward() }
    }

    /// Ends one of the programs without a word, and waits until it is gone.
    pub(crate) fn end(program: &mut Guard) {
        program.0.kill().unwrap();
        program.0.wait().unwrap();
    }

    /// Starts the database.
    pub(crate) fn serve() -> Guard {
        let socket = Path::new(PLACE).join("db.sock");
        let _ = std::fs::remove_file(&socket);
        let remote = format!("--remote=punix:{}", socket.display());
        let guard = start("ovsdb-server", &[&format!("{PLACE}/conf.db"), &remote, "--unixctl=/run/openvswitch/db.ctl"]);
        wait_until("the socket of the database", || socket.exists());
        guard
    }

    /// Starts what forwards packets.
    pub(crate) fn forward() -> Guard {
        start("ovs-vswitchd", &["unix:/run/openvswitch/db.sock", "--unixctl=/run/openvswitch/forwarder.ctl"])
    }

    /// Starts both with bridges, ports and guests.
    pub(crate) fn start() -> Self {
        let switch = Self::bare();
        ip("netns add one\nnetns add two\n\
            link add p1 type veth peer name eth0 netns one\nlink add p2 type veth peer name eth0 netns two\n\
            link add b1 type veth peer name c1\nlink add b2 type veth peer name c2\n\
            link set p1 up\nlink set p2 up\nlink set b1 up\nlink set c1 up\n");
        for (guest, number, other) in [("one", 1, 2), ("two", 2, 1)] {
            let (near, far) = (format!("02:00:00:00:00:0{number}"), format!("02:00:00:00:00:0{other}"));
            run_in(guest, &["ip", "link", "set", "eth0", "up", "address", &near]);
            run_in(guest, &["ip", "addr", "add", &format!("10.0.0.{number}/24"), "dev", "eth0"]);
            let other = format!("10.0.0.{other}");
            run_in(guest, &["ip", "neigh", "add", &other, "lladdr", &far, "dev", "eth0", "nud", "permanent"]);
        }
        controller();
        for command in [
            "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=standalone protocols=OpenFlow13,OpenFlow15",
            "add-br br1 -- set bridge br1 datapath_type=netdev rstp_enable=true",
            "add-port br0 p1 -- set interface p1 ofport_request=11",
            "add-port br0 p2 trunks=7,9 vlan_mode=native-untagged tag=0 -- set interface p2 mtu_request=1400",
            "add-port br0 acc tag=30 -- set interface acc type=internal",
            "add-bond br0 bond0 b1 b2 bond_mode=active-backup lacp=off",
            "add-port br0 tunnel -- set interface tunnel type=vxlan options:remote_ip=10.9.9.9 options:key=77",
            "add-port br0 to1 -- set interface to1 type=patch options:peer=to0",
            "add-port br1 to0 -- set interface to0 type=patch options:peer=to1",
            "set-controller br0 unix:/var/run/openvswitch/controller tcp:127.0.0.1:1",
        ] {
            vsctl(command);
        }
        // that one of its interfaces is not there is no success
        let _ = Command::new("ovs-vsctl").args(["add-port", "br0", "nowhere"]).stderr(Stdio::null()).status();
        wait_until("a controller", || vsctl("list controller").contains("is_connected        : true"));
        wait_until("packets", || {
            run_in("one", &["bash", "-c", "for word in one three eleven; do echo $word >/dev/udp/10.0.0.2/9; done"]);
            vsctl("get interface p1 ofport").trim() == "11"
                && !ofctl(&["-O", "OpenFlow13", "dump-ports", "br0", "p2"]).contains("tx pkts=0,")
        });
        switch
    }
}
