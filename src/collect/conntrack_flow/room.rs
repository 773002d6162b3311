//! What is open of the connections of one network namespace?

use crate::source::Error;
use crate::source::conntrack::health::Count;
use crate::source::file::Root;
use crate::source::netlink::{Family, Socket};
use crate::source::netns::Outgrown;

/// What is read from in a network namespace.
pub(super) struct Room {
    /// Where there was a connection when it was opened: most of a thousand namespaces have none.
    socket: Option<Socket>,
    pub(super) count: Count,
}

impl Room {
    pub(super) fn open() -> Result<Self, Error> {
        // the file first: whether connections are tracked at all says it, and the socket does not
        let count = Count::open(&Root::new("/proc"))?.shared()?;
        let socket = if count.read()? > 0 { Some(Socket::open(Family::Netfilter)?) } else { None };
        Ok(Self { socket, count })
    }

    /// The socket, of the namespace that this thread is in.
    pub(super) fn here(&mut self) -> Result<&mut Socket, Error> {
        if self.socket.is_none() {
            self.socket = Some(Socket::open(Family::Netfilter)?);
        }
        self.there()
    }

    /// The socket, if it was needed before.
    pub(super) fn there(&mut self) -> Result<&mut Socket, Error> {
        self.socket.as_mut().ok_or_else(|| Outgrown::error("connections"))
    }
}
