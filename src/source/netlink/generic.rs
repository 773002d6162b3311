//! How are families asked that have no number of their own?
//!
//! Each has a name, for which the kernel tells the number that it has now. Asking for a name that it does not know makes it
//! look for a module: so nothing is asked for that is not known to be there.
//!
//! Source: `Documentation/networking/generic_netlink.rst`, `include/uapi/linux/genetlink.h`.

use super::attr::{self, Attributes, Malformed};
use super::{Family, Message, Request, Socket};
use crate::source::Error;

/// `GENL_ID_CTRL`
const CONTROL: u16 = 16;
/// `CTRL_CMD_GETFAMILY`
const GET_FAMILY: u8 = 3;
/// `sizeof(struct genlmsghdr)`
const HEADER: usize = 4;

/// A family with the socket over which it is asked.
#[derive(Debug)]
pub struct Generic {
    socket: Socket,
    number: u16,
}

impl Generic {
    /// Opens a socket and asks for the number of a family.
    ///
    /// # Errors
    /// Absent where the kernel has no family of this name.
    pub fn open(name: &'static str) -> Result<Self, Error> {
        let mut socket = Socket::open(Family::Generic)?;
        let mut request = Request { kind: CONTROL, body: vec![GET_FAMILY, 1, 0, 0], what: name };
        attr::push(&mut request.body, 2, format!("{name}\0").as_bytes());
        let mut number = None;
        socket.ask(&request, |message| {
            for attribute in message.attributes(HEADER)? {
                let attribute = attribute?;
                if attribute.kind == 1 {
                    number = Some(attr::u16_at(attribute.bytes, 0)?);
                }
            }
            Ok(())
        })?;
        let none = || Error::new("find", format!("genetlink family {name}"), std::io::ErrorKind::NotFound);
        Ok(Self { socket, number: number.ok_or_else(none)? })
    }

    /// A question, to which attributes can be added, and the socket to ask it over.
    pub fn request(&mut self, command: u8, version: u8, what: &'static str) -> (&mut Socket, Request) {
        (&mut self.socket, Request { kind: self.number, body: vec![command, version, 0, 0], what })
    }
}

/// The attributes of a message.
///
/// # Errors
/// It is shorter than its header.
pub fn attributes(message: Message<'_>) -> Result<Attributes<'_>, Malformed> {
    message.attributes(HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_known_by_its_name() {
        assert!(Generic::open("nlctrl").is_ok_and(|generic| generic.number == CONTROL));
    }
}
