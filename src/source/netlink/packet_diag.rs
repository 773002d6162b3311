//! Who listens to whole packets?
//!
//! Source: `include/uapi/linux/packet_diag.h`, `include/uapi/linux/sock_diag.h`.

use super::attr::{Malformed, u32_at};
use super::route::IfIndex;
use super::{Message, Part, Patience, Request, Socket};
use crate::source::Error;
use crate::source::bounded::Bounded;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `PACKET_SHOW_INFO`, `PACKET_SHOW_RING_CFG`, `PACKET_SHOW_FANOUT`, `PACKET_SHOW_MEMINFO`
const SHOWN: u32 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4;
/// `sizeof(struct packet_diag_msg)`
const HEADER: usize = 16;

/// A socket that is given whole packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketSocket {
    /// `SOCK_*`
    pub kind: u8,
    /// `ETH_P_*`; 0 for none.
    pub protocol: u16,
    /// Its inode.
    pub inode: u32,
    /// Its cookie, which no other socket has while the host runs.
    pub cookie: u64,
    /// Interface; `None` for all.
    pub index: Option<IfIndex>,
    /// Owner's user id.
    pub uid: Option<u32>,
    /// Memory of packets that wait to be read.
    pub waiting: Option<u32>,
    /// Most that may wait.
    pub buffer: Option<u32>,
    /// Packets that had no room.
    pub drops: Option<u32>,
    /// Bytes of the ring into which packets are written.
    pub ring: Option<u64>,
    /// Number of the group that shares packets.
    pub fanout: Option<u16>,
}

/// Reads all such sockets, at most so many.
///
/// # Errors
/// As [`Socket::dump_within`]; absent when the kernel cannot tell.
pub fn packet_sockets(socket: &mut Socket, most: usize) -> Result<Bounded<PacketSocket>, Error> {
    // `struct packet_diag_req`
    let mut body = vec![libc::AF_PACKET as u8, 0, 0, 0, 0, 0, 0, 0];
    body.extend_from_slice(&SHOWN.to_ne_bytes());
    body.extend_from_slice(&[0; 8]);
    let mut found = Bounded::new(most);
    let request = Request { kind: SOCK_DIAG_BY_FAMILY, body, what: "packet sockets" };
    socket.dump_within(Patience::FEW, &request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => found.extend(packet_socket(message)?),
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads one socket; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn packet_socket(message: Message<'_>) -> Result<Option<PacketSocket>, Malformed> {
    if message.kind != SOCK_DIAG_BY_FAMILY || message.body.first() != Some(&(libc::AF_PACKET as u8)) {
        return Ok(None);
    }
    let at = |position: usize| u32_at(message.body, position);
    let mut socket = PacketSocket {
        kind: message.body.get(1).copied().ok_or(Malformed)?,
        protocol: (at(0)? >> 16) as u16,
        inode: at(4)?,
        cookie: u64::from(at(12)?) << 32 | u64::from(at(8)?),
        ..PacketSocket::default()
    };
    for attribute in message.attributes(HEADER)? {
        let attribute = attribute?;
        let number = |position: usize| u32_at(attribute.bytes, position * 4);
        match attribute.kind {
            0 => socket.index = Some(IfIndex(number(0)?)).filter(|index| index.0 != 0),
            // `struct packet_diag_ring`: the size of a block and how many there are
            2 => socket.ring = Some(u64::from(number(0)?) * u64::from(number(1)?)),
            4 => socket.fanout = Some((number(0)? & 0xffff) as u16),
            5 => socket.uid = Some(number(0)?),
            // `SK_MEMINFO_*`; older kernels do not tell the last ones
            6 => {
                (socket.waiting, socket.buffer) = (Some(number(0)?), Some(number(1)?));
                socket.drops = number(8).ok();
            }
            _ => {}
        }
    }
    Ok(Some(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let body = [&[libc::AF_PACKET as u8], &body[..]].concat();
            let _ = packet_socket(Message { kind: SOCK_DIAG_BY_FAMILY, flags: 0, body: &body });
        }
    }
}
