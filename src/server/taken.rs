//! Who has the port that the agent wants?
//!
//! The kernel says which socket listens on a port, and `/proc/PID/fd` who holds that socket, as far as this user may see.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::model::Text;
use crate::source::file::Root;
use crate::source::socket::{INET, Sockets};

/// `TCP_LISTEN` as a bit.
const LISTEN: u32 = 1 << 10;

/// The error, with the process behind it if the port is taken and the process can be seen.
pub(super) fn explained(cause: io::Error, address: SocketAddr, proc: &Root) -> io::Error {
    if cause.kind() != io::ErrorKind::AddrInUse {
        return cause;
    }
    let told = match holder(address, proc) {
        Some((name, pid)) => format!("the port is taken by {name} (pid {pid})"),
        None => "the port is taken (a running Glances?)".to_owned(),
    };
    io::Error::new(cause.kind(), told)
}

/// Name and pid of the first process that listens where nobody else can listen at an address then.
fn holder(address: SocketAddr, proc: &Root) -> Option<(Text, u32)> {
    let mut inodes = Vec::new();
    for table in INET.into_iter().filter(|table| table.name.starts_with("tcp")) {
        // a kernel without IPv6 has one table only
        let _ = Sockets::Files(proc).inet(table, LISTEN, |socket| {
            let taken = socket.filter(|socket| socket.port == address.port() && meet(socket.address, address.ip()));
            inodes.extend(taken.map(|socket| format!("socket:[{}]", socket.inode)));
        });
    }
    let pids = proc.list(".").ok()?.into_iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    pids.into_iter().find_map(|pid| {
        let open = proc.list(format!("{pid}/fd")).ok()?;
        let holds = open.iter().any(|fd| {
            let link = std::fs::read_link(proc.join(format!("{pid}/fd")).join(fd));
            link.is_ok_and(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
        });
        let name = || proc.text(format!("{pid}/comm")).map_or_else(|_| Text::from("?"), |comm| Text::from(comm.trim()));
        holds.then(|| (name(), pid))
    })
}

/// Whether a port at both addresses is one port: `::` takes IPv4, too, unless it is told not to.
fn meet(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    let takes = |all: IpAddr, some: IpAddr| all.is_unspecified() && (all.is_ipv6() || some.is_ipv4());
    one == other || takes(one, other) || takes(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_listens_at_the_address_is_in_the_way() {
        let cases = [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "10.9.9.1", false),
            ("0.0.0.0", "127.0.0.1", true),
            ("::", "127.0.0.1", true),
            ("::", "::1", true),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("0.0.0.0", "::1", false),
            ("::1", "127.0.0.1", false),
        ];
        for (one, other, expected) in cases {
            let [a, b]: [IpAddr; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!((meet(a, b), meet(b, a)), (expected, expected), "{one} {other}");
        }
    }

    #[test]
    fn the_one_at_the_address_is_named_and_not_its_neighbor() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let line = |address: &str, state: &str, inode: u32| {
            format!("0: {address}:EF18 00000000:0000 {state} 0:0 00:00000000 00000000 0 0 {inode} 1 0 100 0 0 10 0\n")
        };
        let native = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let [here, away] = [[127, 0, 0, 1], [10, 9, 9, 1]].map(native);
        let lines = line(&away, "0A", 1) + &line(&here, "01", 2) + &line(&here, "0A", 3);
        write("net/tcp", &format!("  sl  local_address ...\n{lines}"));
        for (pid, inode) in [("7", 1), ("8", 2), ("9", 3)] {
            write(&format!("{pid}/comm"), "one\n");
            std::fs::create_dir(dir.path().join(pid).join("fd")).unwrap();
            std::os::unix::fs::symlink(format!("socket:[{inode}]"), dir.path().join(pid).join("fd/3")).unwrap();
        }
        let holder = |address: &str| holder(address.parse().unwrap(), &Root::new(dir.path())).map(|(_, pid)| pid);
        assert_eq!(holder("127.0.0.1:61208"), Some(9));
        assert_eq!(holder("10.9.9.1:61208"), Some(7));
        assert_eq!(holder("10.9.9.2:61208"), None);
        assert_eq!(holder("127.0.0.1:61209"), None);
    }
}
