//! Which connections does the kernel expect, because a helper has read of them in another one?
//!
//! A dump of the expectations of ctnetlink, decoded where it lies. The kernel keeps `nf_conntrack_expect_max` of them at most.
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink_conntrack.h`, `nf_conntrack_common.h`.

use crate::model::Text;
use crate::source::Error;
use crate::source::conntrack::flow::{Tuple, tuple};
use crate::source::netlink::nfnetlink::{self, Header, Subsystem};
use crate::source::netlink::{Malformed, Message, Part, Request, Socket};

/// `IPCTNL_MSG_EXP_NEW`: also what each row of a dump is.
const NEW: u8 = 0;
/// `IPCTNL_MSG_EXP_GET`
const GET: u8 = 1;

/// `NF_CT_EXPECT_*`: bits of [`Expectation::flags`].
pub mod flags {
    /// It stays when a connection has come.
    pub const PERMANENT: u32 = 1;
    /// It waits for another program to say so.
    pub const INACTIVE: u32 = 1 << 1;
    /// A program has made it.
    pub const USERSPACE: u32 = 1 << 2;
}

/// A connection that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The kernel's number for it.
    pub id: u32,
    /// What is expected.
    pub tuple: Tuple,
    /// Which bits of it count.
    pub mask: Tuple,
    /// The connection in which the helper has read of it.
    pub master: Tuple,
    /// Seconds until it is forgotten.
    pub timeout: u32,
    /// Zone of both directions.
    pub zone: Option<u16>,
    /// `NF_CT_EXPECT_*`, see [`flags`].
    pub flags: u32,
    /// Which of the helper's policies it falls under.
    pub class: u32,
    /// Name of the helper.
    pub helper: Option<Text>,
    /// Name of the function that is called when it comes.
    pub function: Option<Text>,
}

/// Gives every expectation to `visit`; `None` means start over.
///
/// # Errors
/// As [`Socket::dump`]; denied without CAP_NET_ADMIN.
pub fn expectations(socket: &mut Socket, mut visit: impl FnMut(Option<Expectation>)) -> Result<(), Error> {
    socket.dump(&request(), |part| {
        match part {
            Part::Start => visit(None),
            Part::Message(message) => {
                if let Some(expectation) = expectation(message)? {
                    visit(Some(expectation));
                }
            }
        }
        Ok(())
    })
}

fn request() -> Request {
    let header = Header { family: libc::AF_UNSPEC as u8, resource: 0 };
    Subsystem::Expect.request(GET, header, "expected connections")
}

/// Reads one expectation; `None` for another kind of message, and for families that are not IP.
///
/// # Errors
/// The message is malformed.
pub fn expectation(message: Message<'_>) -> Result<Option<Expectation>, Malformed> {
    if Subsystem::Expect.number(message) != Some(NEW) {
        return Ok(None);
    }
    let (mut master, mut expected, mut mask) = (None, None, None);
    let (mut id, mut timeout, mut zone, mut flags, mut class) = (None, None, None, 0, 0);
    let (mut helper, mut function) = (None, None);
    for attribute in nfnetlink::split(message)?.1 {
        let attribute = attribute?;
        match attribute.kind {
            1 => master = tuple(attribute)?,
            2 => expected = tuple(attribute)?,
            3 => mask = tuple(attribute)?,
            4 => timeout = Some(attribute.be32()?),
            5 => id = Some(attribute.be32()?),
            6 => helper = Some(Text::new(attribute.string())),
            7 => zone = Some(attribute.be16()?),
            8 => flags = attribute.be32()?,
            9 => class = attribute.be32()?,
            11 => function = Some(Text::new(attribute.string())),
            _ => {}
        }
    }
    let ((Some(master), Some(tuple)), Some(mask)) = ((master, expected), mask) else { return Ok(None) };
    let (id, timeout) = id.zip(timeout).ok_or(Malformed)?;
    Ok(Some(Expectation { id, tuple, mask, master, timeout, zone, flags, class, helper, function }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::attr::{push, push_nested};
    use proptest::prelude::*;

    fn push_tuple(body: &mut Vec<u8>, kind: u16, port: u16) {
        push_nested(body, kind, |tuple| {
            push_nested(tuple, 1, |ip| {
                push(ip, 1, &[192, 0, 2, 1]);
                push(ip, 2, &[198, 51, 100, 1]);
            });
            push_nested(tuple, 2, |proto| {
                push(proto, 1, &[6]);
                push(proto, 2, &0_u16.to_be_bytes());
                push(proto, 3, &port.to_be_bytes());
            });
        });
    }

    #[test]
    fn what_is_expected_is_told_from_the_connection_that_it_was_read_in_and_from_its_mask() {
        let mut body = vec![2, 0, 0, 0];
        for (kind, port) in [(1, 21), (2, 5125), (3, 65535)] {
            push_tuple(&mut body, kind, port);
        }
        let kind = Subsystem::Expect.kind(NEW);
        assert_eq!(expectation(Message { kind, flags: 0, body: &body }), Err(Malformed), "it has no number");
        push(&mut body, 4, &299_u32.to_be_bytes());
        push(&mut body, 5, &7_u32.to_be_bytes());
        push(&mut body, 6, b"ftp\0");
        push(&mut body, 8, &5_u32.to_be_bytes());
        let read = expectation(Message { kind, flags: 0, body: &body }).unwrap().unwrap();
        let ports = [read.master, read.tuple, read.mask].map(|tuple| tuple.ports.unwrap().1);
        assert_eq!(ports, [21, 5125, 65535]);
        assert_eq!((read.id, read.timeout, read.flags, read.helper), (7, 299, 5, Some(Text::from("ftp"))));
        let flow = Message { kind: Subsystem::Conntrack.kind(NEW), flags: 0, body: &body };
        assert_eq!(expectation(flow), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = expectation(Message { kind: Subsystem::Expect.kind(NEW), flags: 0, body: &body });
        }
    }
}
