//! Which sockets does the host have, by protocol and state?
//!
//! Two sources with one answer: sock_diag of the running kernel, and the tables of `/proc/net` where there is no kernel to ask.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Error;
use super::file::Root;
use super::netlink::Socket;
use super::netlink::diag::{self, Inet, InetSocket};
use crate::model::Mono;

/// A table of internet sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InetTable {
    /// Name, the same as the file in `/proc/net`.
    pub name: &'static str,
    /// For sock_diag.
    pub kind: Inet,
}

const fn table(name: &'static str, v6: bool, protocol: libc::c_int) -> InetTable {
    InetTable { name, kind: Inet { v6, protocol: protocol as u8 } }
}

/// All tables of internet sockets.
pub const INET: [InetTable; 6] = [
    table("tcp", false, libc::IPPROTO_TCP),
    table("tcp6", true, libc::IPPROTO_TCP),
    table("udp", false, libc::IPPROTO_UDP),
    table("udp6", true, libc::IPPROTO_UDP),
    table("raw", false, libc::IPPROTO_RAW),
    table("raw6", true, libc::IPPROTO_RAW),
];

/// How long a kernel that has no such sockets is not asked again.
const ABSENT: f64 = 300.0;

/// Lists that the kernel does not have. Each question about one makes it look for a module, and that starts a program.
#[derive(Debug, Default)]
pub struct Absent(BTreeMap<&'static str, Mono>);

impl Absent {
    /// Whether a list is known not to be there.
    pub fn has(&self, list: &str, now: Mono) -> bool {
        self.0.get(list).is_some_and(|found| now.since(*found) < ABSENT)
    }

    /// Remembers that a list is not there.
    pub fn add(&mut self, list: &'static str, now: Mono) {
        self.0.insert(list, now);
    }
}

/// Where sockets are listed.
pub enum Sockets<'a> {
    /// The kernel of this thread's network namespace.
    Live(&'a mut Socket),
    /// A `/proc`.
    Files(&'a Root),
}

impl Sockets<'_> {
    /// Gives every socket of a table whose state is in the bit mask `states` to `visit`; `None` means start over.
    ///
    /// # Errors
    /// The list cannot be read; absent when the kernel lacks the protocol.
    pub fn inet(
        &mut self,
        table: InetTable,
        states: u32,
        mut visit: impl FnMut(Option<InetSocket>),
    ) -> Result<(), Error> {
        match self {
            Self::Live(socket) => diag::inet(socket, table.kind, states, visit),
            Self::Files(proc) => {
                visit(None);
                each_line(proc, table.name, |line| {
                    let socket = inet_line(line)?;
                    if 1_u32.checked_shl(u32::from(socket.state)).is_some_and(|bit| states & bit != 0) {
                        visit(Some(socket));
                    }
                    Some(())
                })
            }
        }
    }

    /// Gives the state of every unix socket to `visit`, in the numbers of TCP; `None` means start over.
    ///
    /// # Errors
    /// As [`Self::inet`].
    pub fn unix(&mut self, mut visit: impl FnMut(Option<u8>)) -> Result<(), Error> {
        match self {
            Self::Live(socket) => diag::unix(socket, |found| visit(found.map(|(_, state)| state))),
            Self::Files(proc) => {
                visit(None);
                each_line(proc, "unix", |line| {
                    // a socket's path may hold a line end, and what follows it is no socket
                    if let Some(state) = unix_line(line) {
                        visit(Some(state));
                    }
                    Some(())
                })
            }
        }
    }
}

fn each_line(proc: &Root, file: &str, mut read: impl FnMut(&str) -> Option<()>) -> Result<(), Error> {
    let path = format!("net/{file}");
    let text = proc.text(&path)?;
    for line in text.lines().skip(1) {
        read(line).ok_or_else(|| Error::malformed(proc.join(&path), "a line of a socket is expected"))?;
    }
    Ok(())
}

/// A line such as `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 ...`.
fn inet_line(line: &str) -> Option<InetSocket> {
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    let (peer, peer_port) = fields.next()?.split_once(':')?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (tx_queue, rx_queue) = fields.next()?.split_once(':')?;
    let uid = fields.nth(2)?.parse().ok()?;
    Some(InetSocket {
        state,
        address: hex_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        peer: hex_address(peer)?,
        peer_port: u16::from_str_radix(peer_port, 16).ok()?,
        rx_queue: u32::from_str_radix(rx_queue, 16).ok()?,
        tx_queue: u32::from_str_radix(tx_queue, 16).ok()?,
        uid,
        inode: fields.nth(1)?.parse().ok()?,
    })
}

/// Words of 32 bits, each written as a number in the byte order of the host.
fn hex_address(text: &str) -> Option<IpAddr> {
    let mut bytes = [0; 16];
    let mut length = 0;
    for (word, slot) in text.as_bytes().chunks(8).zip(bytes.chunks_mut(4)) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        slot.copy_from_slice(&word.to_ne_bytes());
        length += 4;
    }
    if text.len() != length * 2 {
        return None;
    }
    super::netlink::route::ip(bytes.get(..length)?)
}

/// A line such as `0000: 00000002 00000000 00010000 0001 01 4711 /run/x`, translated: the file has states of its own.
fn unix_line(line: &str) -> Option<u8> {
    const ACCEPTS: u32 = 0x1_0000;
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    Some(match state {
        _ if flags & ACCEPTS != 0 => 10,
        // SS_CONNECTED
        3 => 1,
        _ => 7,
    })
}

#[cfg(test)]
mod tests {
    use super::super::netlink::Family;
    use super::*;
    use proptest::prelude::*;

    fn listeners(sockets: &mut Sockets<'_>, table: InetTable) -> Vec<(IpAddr, u16, u32)> {
        let mut found = Vec::new();
        let collect = |row: Option<InetSocket>| match row {
            None => found.clear(),
            Some(row) => found.push((row.address, row.port, row.inode)),
        };
        sockets.inet(table, 1 << 10, collect).unwrap();
        found
    }

    #[test]
    fn both_sources_find_the_same_listeners() {
        for (table, address) in [(INET[0], "127.0.0.1:0"), (INET[1], "[::1]:0")] {
            let listener = std::net::TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut socket = Socket::open(Family::SockDiag).unwrap();
            let proc = Root::new("/proc");
            let live = listeners(&mut Sockets::Live(&mut socket), table);
            let files = listeners(&mut Sockets::Files(&proc), table);
            let own = |found: &[(IpAddr, u16, u32)]| found.iter().find(|row| row.1 == port).copied();
            assert!(own(&live).is_some() && own(&live) == own(&files), "{live:?} {files:?}");
        }
    }

    #[test]
    fn states_of_unix_sockets_are_those_of_sock_diag() {
        assert_eq!(unix_line("0000: 00000002 00000000 00010000 0001 01 47 /run/x"), Some(10));
        assert_eq!(unix_line("0000: 00000003 00000000 00000000 0001 03 48"), Some(1));
        assert_eq!(unix_line("0000: 00000002 00000000 00000000 0002 01 49 @a"), Some(7));
    }

    #[test]
    fn a_list_that_is_not_there_is_asked_for_again_after_minutes() {
        let mut absent = Absent::default();
        let at = |seconds: u64| Mono(seconds * 1_000_000_000);
        assert!(!absent.has("raw", at(10)));
        absent.add("raw", at(10));
        assert!(absent.has("raw", at(309)) && !absent.has("raw", at(310)) && !absent.has("tcp", at(11)));
    }

    #[test]
    fn a_path_with_a_line_end_hides_no_socket() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("net")).unwrap();
        let line = "0000: 00000002 00000000 00010000 0001 01 47 /run/";
        std::fs::write(tree.path().join("net/unix"), format!("head\n{line}a\nb\n{line}c\n")).unwrap();
        let mut states = Vec::new();
        Sockets::Files(&Root::new(tree.path())).unix(|state| states.extend(state)).unwrap();
        assert_eq!(states, [10, 10]);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "[ -~]{0,120}") {
            let _ = (inet_line(&line), unix_line(&line), hex_address(&line));
        }
    }
}
