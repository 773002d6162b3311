//! Which policies for the timeouts of tracked connections are there?
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink_cttimeout.h`.

use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::netlink::nfnetlink::{self, Header, Subsystem};
use crate::source::netlink::{Malformed, Message, Part, Request, Socket};

/// `IPCTNL_MSG_TIMEOUT_NEW`: also what each row of a dump is.
const NEW: u8 = 0;
/// `IPCTNL_MSG_TIMEOUT_GET`
const GET: u8 = 1;

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: Text,
    /// `AF_*` of the connections that it is for.
    pub family: u16,
    /// `IPPROTO_*` of the connections that it is for; 255 stands for those of no other policy.
    pub protocol: u8,
    /// Number of the state, from 1, and seconds.
    pub timeouts: Vec<(u16, u32)>,
    /// Connections and rules that use it, and one for itself.
    pub references: u32,
}

/// Names of the states of a protocol in the order of `CTA_TIMEOUT_*`, in the words of `nfct`.
pub fn states(protocol: u8) -> &'static [&'static str] {
    const TCP: [&str; 11] = [
        "syn_sent",
        "syn_recv",
        "established",
        "fin_wait",
        "close_wait",
        "last_ack",
        "time_wait",
        "close",
        "syn_sent2",
        "retrans",
        "unacknowledged",
    ];
    const SCTP: [&str; 9] = [
        "closed",
        "cookie_wait",
        "cookie_echoed",
        "established",
        "shutdown_sent",
        "shutdown_recd",
        "shutdown_ack_sent",
        "heartbeat_sent",
        "heartbeat_acked",
    ];
    const DCCP: [&str; 7] = ["request", "respond", "partopen", "open", "closereq", "closing", "timewait"];
    match libc::c_int::from(protocol) {
        libc::IPPROTO_TCP => &TCP,
        libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE | libc::IPPROTO_GRE => &["unreplied", "replied"],
        libc::IPPROTO_SCTP => &SCTP,
        libc::IPPROTO_DCCP => &DCCP,
        _ => &["timeout"],
    }
}

/// Reads the policies of the network namespace of the socket.
///
/// # Errors
/// As [`Socket::dump`]; denied without CAP_NET_ADMIN.
pub fn policies(socket: &mut Socket, most: usize) -> Result<Bounded<Policy>, Error> {
    let mut found = Bounded::new(most);
    socket.dump(&request(), |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => found.extend(policy(message)?),
        }
        Ok(())
    })?;
    Ok(found)
}

fn request() -> Request {
    Subsystem::Timeout.request(GET, Header { family: libc::AF_UNSPEC as u8, resource: 0 }, "timeout policies")
}

/// Reads one policy; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn policy(message: Message<'_>) -> Result<Option<Policy>, Malformed> {
    if Subsystem::Timeout.number(message) != Some(NEW) {
        return Ok(None);
    }
    let (mut name, mut family, mut protocol, mut references) = (None, None, None, 0);
    let mut timeouts = Vec::new();
    for attribute in nfnetlink::split(message)?.1 {
        let attribute = attribute?;
        match attribute.kind {
            1 => name = Some(Text::new(attribute.string())),
            2 => family = Some(attribute.be16()?),
            3 => protocol = Some(attribute.u8()?),
            4 => {
                for timeout in attribute.nested() {
                    let timeout = timeout?;
                    timeouts.push((timeout.kind, timeout.be32()?));
                }
            }
            5 => references = attribute.be32()?,
            _ => {}
        }
    }
    let ((Some(name), Some(family)), Some(protocol)) = ((name, family), protocol) else { return Err(Malformed) };
    Ok(Some(Policy { name, family, protocol, timeouts, references }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = policy(Message { kind: Subsystem::Timeout.kind(NEW), flags: 0, body: &body });
        }
    }
}
