//! What do the named counters of netfilter say?
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink_acct.h`.

use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::netlink::nfnetlink::{self, Header, Subsystem};
use crate::source::netlink::{Malformed, Message, Part, Request, Socket};

/// `NFNL_MSG_ACCT_NEW`: also what each row of a dump is.
const NEW: u8 = 0;
/// `NFNL_MSG_ACCT_GET`
const GET: u8 = 1;

/// A named counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: Text,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// What it may count.
    pub quota: Option<Quota>,
    /// Rules that use it, and one for itself.
    pub references: u32,
}

/// What a named counter may count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Whether it is packets, and not bytes.
    pub is_packets: bool,
    /// How many.
    pub most: u64,
    /// Whether it has counted more.
    pub is_over: bool,
}

/// Reads the named counters of the network namespace of the socket.
///
/// # Errors
/// As [`Socket::dump`]; denied without CAP_NET_ADMIN.
pub fn accounts(socket: &mut Socket, most: usize) -> Result<Bounded<Account>, Error> {
    let mut found = Bounded::new(most);
    socket.dump(&request(), |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => found.extend(account(message)?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn request() -> Request {
    Subsystem::Acct.request(GET, Header { family: libc::AF_UNSPEC as u8, resource: 0 }, "named counters")
}

/// Reads one counter; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn account(message: Message<'_>) -> Result<Option<Account>, Malformed> {
    const QUOTA_PACKETS: u32 = 1;
    const QUOTA_BYTES: u32 = 2;
    const OVER_QUOTA: u32 = 4;
    if Subsystem::Acct.number(message) != Some(NEW) {
        return Ok(None);
    }
    let (mut name, mut packets, mut bytes, mut references) = (None, None, None, 0);
    let (mut flags, mut quota) = (0, None);
    for attribute in nfnetlink::split(message)?.1 {
        let attribute = attribute?;
        match attribute.kind {
            1 => name = Some(Text::new(attribute.string())),
            2 => packets = Some(attribute.be64()?),
            3 => bytes = Some(attribute.be64()?),
            4 => references = attribute.be32()?,
            5 => flags = attribute.be32()?,
            6 => quota = Some(attribute.be64()?),
            _ => {}
        }
    }
    let (is_packets, is_over) = (flags & QUOTA_PACKETS != 0, flags & OVER_QUOTA != 0);
    let quota = quota.filter(|_| flags & (QUOTA_PACKETS | QUOTA_BYTES) != 0);
    let quota = quota.map(|most| Quota { is_packets, most, is_over });
    let ((Some(name), Some(packets)), Some(bytes)) = ((name, packets), bytes) else { return Err(Malformed) };
    Ok(Some(Account { name, packets, bytes, quota, references }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::attr::push;
    use proptest::prelude::*;

    #[test]
    fn a_quota_is_of_packets_or_of_bytes() {
        let mut body = vec![0; 4];
        let kind = Subsystem::Acct.kind(NEW);
        push(&mut body, 1, b"web\0");
        push(&mut body, 2, &7_u64.to_be_bytes());
        assert_eq!(account(Message { kind, flags: 0, body: &body }), Err(Malformed));
        push(&mut body, 3, &900_u64.to_be_bytes());
        push(&mut body, 4, &1_u32.to_be_bytes());
        let plain = Account { name: Text::from("web"), packets: 7, bytes: 900, quota: None, references: 1 };
        assert_eq!(account(Message { kind, flags: 0, body: &body }), Ok(Some(plain)));
        push(&mut body, 5, &6_u32.to_be_bytes());
        push(&mut body, 6, &800_u64.to_be_bytes());
        let quota = account(Message { kind, flags: 0, body: &body }).unwrap().unwrap().quota;
        assert_eq!(quota, Some(Quota { is_packets: false, most: 800, is_over: true }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = account(Message { kind: Subsystem::Acct.kind(NEW), flags: 0, body: &body });
        }
    }
}
