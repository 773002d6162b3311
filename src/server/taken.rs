//! Who has the port that the agent wants?
//!
//! The kernel says which socket listens on a port, and `/proc/PID/fd` who holds that socket, as far as this user may see.

use std::io;
use std::net::SocketAddr;

use crate::model::Text;
use crate::source::file::Root;

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The error, with the process behind it if the port is taken and the process can be seen.
pub(super) fn explained(cause: io::Error, address: SocketAddr, proc: &Root) -> io::Error {
    if cause.kind() != io::ErrorKind::AddrInUse {
        return cause;
    }
    let told = match holder(address.port(), proc) {
        Some((name, pid)) => format!("the port is taken by {name} (pid {pid})"),
        None => "the port is taken (a running Glances?)".to_owned(),
    };
    io::Error::new(cause.kind(), told)
}

/// Name and pid of the first process that listens on a port.
fn holder(port: u16, proc: &Root) -> Option<(Text, u32)> {
    let inodes: Vec<String> = ["net/tcp", "net/tcp6"]
        .iter()
        .filter_map(|table| proc.text(table).ok())
        .flat_map(|text| text.lines().filter_map(|line| listener(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
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

/// Inode of the socket that a line of `/proc/net/tcp` describes, if it listens on the port.
fn listener(line: &str, port: u16) -> Option<u64> {
    let mut fields = line.split_whitespace().skip(1);
    let (_, own) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    (u16::from_str_radix(own, 16) == Ok(port) && state == LISTEN).then_some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_on_a_port_are_found_in_both_tables() {
        let v4 = "   0: 0100007F:EF18 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        assert_eq!(listener(v4, 61_208), Some(4711));
        assert_eq!(listener(v4, 61_209), None);
        let connected = v4.replace(" 0A ", " 01 ");
        assert_eq!(listener(&connected, 61_208), None);
        let v6 = "   1: 00000000000000000000000001000000:EF18 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1 0";
        assert_eq!(listener(v6, 61_208), Some(9));
        assert_eq!(listener("  sl  local_address rem_address   st tx_queue", 61_208), None);
    }
}
