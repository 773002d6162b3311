//! Which sockets are open on this host?
//!
//! Dumps of sock_diag. The kernel filters by state, so that a question about listening sockets does not walk connections.
//!
//! Source: `include/uapi/linux/inet_diag.h`, `include/uapi/linux/unix_diag.h`.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use super::attr::{Malformed, u32_at};
use super::route::ip;
use super::{Message, Part, Request, Socket};
use crate::source::Error;

const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// A kind of internet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inet {
    /// Whether it is the IPv6 kind.
    pub v6: bool,
    /// `IPPROTO_*`
    pub protocol: u8,
}

/// An internet socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InetSocket {
    /// `TCP_*` state; UDP sockets are established or closed.
    pub state: u8,
    /// Local address.
    pub address: IpAddr,
    /// Local port.
    pub port: u16,
    /// Address of the other end; all zeros where there is none.
    pub peer: IpAddr,
    /// Port of the other end.
    pub peer_port: u16,
    /// For a listener: connections that wait to be accepted; otherwise bytes to be read.
    pub rx_queue: u32,
    /// For a listener: the limit of `rx_queue`; otherwise bytes not yet acknowledged.
    pub tx_queue: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Inode; 0 when no process holds it any more.
    pub inode: u32,
}

/// Gives every socket of a kind whose state is in the bit mask `states` to `visit`; `None` means start over.
///
/// # Errors
/// As [`Socket::dump`]; absent when the kernel has no such protocol.
pub fn inet(
    socket: &mut Socket,
    kind: Inet,
    states: u32,
    mut visit: impl FnMut(Option<InetSocket>),
) -> Result<(), Error> {
    socket.dump(&inet_request(kind, states), |part| {
        match part {
            Part::Start => visit(None),
            Part::Message(message) if message.kind == SOCK_DIAG_BY_FAMILY => visit(Some(inet_socket(message)?)),
            Part::Message(_) => {}
        }
        Ok(())
    })
}

/// User who holds a TCP socket, by its own end and the other one.
///
/// # Errors
/// As [`Socket::ask`]; absent when there is no such socket.
pub fn owner(socket: &mut Socket, own: SocketAddr, other: SocketAddr) -> Result<u32, Error> {
    let mut user = None;
    socket.ask(&one(own, other), |message| {
        if message.kind == SOCK_DIAG_BY_FAMILY {
            user = Some(inet_socket(message)?.uid);
        }
        Ok(())
    })?;
    user.ok_or_else(|| Error::new("look for", format!("a connection to {own}"), ErrorKind::NotFound))
}

/// Calls `visit` with (type, state) of every unix socket; `None` means start over.
///
/// # Errors
/// As [`Socket::dump`]; absent when the kernel has no such protocol.
pub fn unix(socket: &mut Socket, mut visit: impl FnMut(Option<(u8, u8)>)) -> Result<(), Error> {
    let mut body = vec![0; 24];
    set(&mut body, 0, &[libc::AF_UNIX as u8]);
    set(&mut body, 4, &u32::MAX.to_ne_bytes());
    let request = Request { kind: SOCK_DIAG_BY_FAMILY, body, what: "unix sockets" };
    socket.dump(&request, |part| {
        match part {
            Part::Start => visit(None),
            Part::Message(Message { kind: SOCK_DIAG_BY_FAMILY, body, .. }) => {
                let byte = |at: usize| body.get(at).copied().ok_or(Malformed);
                visit(Some((byte(1)?, byte(2)?)));
            }
            Part::Message(_) => {}
        }
        Ok(())
    })
}

/// `struct inet_diag_req_v2`
fn inet_request(kind: Inet, states: u32) -> Request {
    let mut body = vec![0; 56];
    let family = if kind.v6 { libc::AF_INET6 } else { libc::AF_INET };
    set(&mut body, 0, &[family as u8, kind.protocol]);
    set(&mut body, 4, &states.to_ne_bytes());
    Request { kind: SOCK_DIAG_BY_FAMILY, body, what: "internet sockets" }
}

/// The same about one socket.
fn one(own: SocketAddr, other: SocketAddr) -> Request {
    let kind = Inet { v6: own.is_ipv6(), protocol: libc::IPPROTO_TCP as u8 };
    let mut request = inet_request(kind, u32::MAX);
    for (ports, addresses, end) in [(8, 12, own), (10, 28, other)] {
        set(&mut request.body, ports, &end.port().to_be_bytes());
        match end.ip() {
            IpAddr::V4(address) => set(&mut request.body, addresses, &address.octets()),
            IpAddr::V6(address) => set(&mut request.body, addresses, &address.octets()),
        }
    }
    // `INET_DIAG_NOCOOKIE`
    set(&mut request.body, 48, &[u8::MAX; 8]);
    request
}

fn set(body: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = body.get_mut(at..at + bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

/// `struct inet_diag_msg`
fn inet_socket(message: Message<'_>) -> Result<InetSocket, Malformed> {
    let body = message.body;
    let byte = |at: usize| body.get(at).copied().ok_or(Malformed);
    let length = if i32::from(byte(0)?) == libc::AF_INET6 { 16 } else { 4 };
    let address = |at: usize| body.get(at..at + length).and_then(ip).ok_or(Malformed);
    Ok(InetSocket {
        state: byte(1)?,
        address: address(8)?,
        port: u16::from_be_bytes([byte(4)?, byte(5)?]),
        peer: address(24)?,
        peer_port: u16::from_be_bytes([byte(6)?, byte(7)?]),
        rx_queue: u32_at(body, 56)?,
        tx_queue: u32_at(body, 60)?,
        uid: u32_at(body, 64)?,
        inode: u32_at(body, 68)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Family;
    use super::*;
    use proptest::prelude::*;

    const LISTEN: u32 = 1 << 10;

    #[test]
    fn the_other_end_of_a_connection_belongs_to_who_has_taken_it() {
        // the last one takes connections of both families
        for (place, other) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let listener = std::net::TcpListener::bind(place).unwrap();
            let other = SocketAddr::new(other.parse().unwrap(), listener.local_addr().unwrap().port());
            let ours = std::net::TcpStream::connect(other).unwrap();
            let _theirs = listener.accept().unwrap();
            let mut socket = Socket::open(Family::SockDiag).unwrap();
            let user = owner(&mut socket, other, ours.local_addr().unwrap()).unwrap();
            assert_eq!(user, rustix::process::geteuid().as_raw(), "{place}");
            let nobody = SocketAddr::new(ours.local_addr().unwrap().ip(), 1);
            assert!(owner(&mut socket, nobody, ours.local_addr().unwrap()).unwrap_err().is_absent());
        }
    }

    #[test]
    fn a_listening_socket_is_found_with_its_port_and_inode() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut socket = Socket::open(Family::SockDiag).unwrap();
        let mut found = Vec::new();
        inet(&mut socket, Inet { v6: false, protocol: libc::IPPROTO_TCP as u8 }, LISTEN, |row| match row {
            None => found.clear(),
            Some(row) => found.push(row),
        })
        .unwrap();
        let found = found.iter().find(|row| row.port == port).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(
            &std::fs::metadata(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&listener))).unwrap(),
        );
        assert_eq!((found.state, found.address, u64::from(found.inode)), (10, "127.0.0.1".parse().unwrap(), inode));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = inet_socket(Message { kind: SOCK_DIAG_BY_FAMILY, flags: 0, body: &body });
        }

        #[test]
        fn a_socket_is_read_back(
            v6 in any::<bool>(), state in 1_u8..13, ports in any::<[u16; 2]>(), ends in any::<[[u8; 16]; 2]>(),
            words in any::<[u32; 5]>(),
        ) {
            // `struct inet_diag_msg`: four bytes, `struct inet_diag_sockid` of 48, five numbers
            let mut body = vec![if v6 { libc::AF_INET6 } else { libc::AF_INET } as u8, state, 3, 4];
            body.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
            body.extend(ends.concat());
            body.extend([0xee; 4 + 8]);
            body.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
            let message = Message { kind: SOCK_DIAG_BY_FAMILY, flags: 0, body: &body };
            let [address, peer] = ends.map(|end| ip(&end[..if v6 { 16 } else { 4 }]).unwrap());
            let ([port, peer_port], [_expires, rx_queue, tx_queue, uid, inode]) = (ports, words);
            let want = InetSocket { state, address, port, peer, peer_port, rx_queue, tx_queue, uid, inode };
            prop_assert_eq!(inet_socket(message), Ok(want));
            prop_assert_eq!(inet_socket(Message { kind: SOCK_DIAG_BY_FAMILY, flags: 0, body: &body[..71] }), Err(Malformed));
        }
    }
}
