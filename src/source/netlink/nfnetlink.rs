//! How does netfilter speak netlink?
//!
//! One family for all of it: the type of a message is a subsystem and a number, and every body begins with `struct nfgenmsg`:
//! protocol family, version, and two bytes that each subsystem uses as it likes. Numbers are in network byte order.
//! Whoever asks needs CAP_NET_ADMIN at that moment.
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink.h`.

use super::attr::{Attributes, Malformed, u16_at};
use super::{Message, Request};

/// `sizeof(struct nfgenmsg)`
const HEADER: usize = 4;
/// `NFNETLINK_V0`
const VERSION: u8 = 0;

/// `NFNL_SUBSYS_*`: a part of netfilter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Subsystem {
    /// Tracked connections.
    Conntrack = 1,
    /// Connections that are expected.
    Expect = 2,
    /// Queues of packets to programs.
    Queue = 3,
    /// Logs of packets to programs.
    Log = 4,
    /// Sets of addresses.
    Ipset = 6,
    /// Named counters of x_tables.
    Acct = 7,
    /// Timeout policies of connection tracking.
    Timeout = 8,
    /// nf_tables.
    Nftables = 10,
}

/// `struct nfgenmsg` without its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// `NFPROTO_*` or `AF_*`
    pub family: u8,
    /// What the subsystem makes of it.
    pub resource: u16,
}

impl Subsystem {
    /// Type of its message `number`.
    pub fn kind(self, number: u8) -> u16 {
        u16::from_be_bytes([self as u8, number])
    }

    /// Number of a message that is one of its own.
    pub fn number(self, message: Message<'_>) -> Option<u8> {
        let [subsystem, number] = message.kind.to_be_bytes();
        (subsystem == self as u8).then_some(number)
    }

    /// A question without attributes.
    pub fn request(self, number: u8, header: Header, what: &'static str) -> Request {
        let mut body = vec![header.family, VERSION];
        body.extend_from_slice(&header.resource.to_be_bytes());
        Request { kind: self.kind(number), body, what }
    }
}

/// The header and the attributes behind it.
///
/// # Errors
/// The body is shorter than the header.
pub fn split(message: Message<'_>) -> Result<(Header, Attributes<'_>), Malformed> {
    let family = message.body.first().copied().ok_or(Malformed)?;
    let resource = u16_at(message.body, 2).map(u16::from_be)?;
    Ok((Header { family, resource }, message.attributes(HEADER)?))
}

#[cfg(test)]
mod tests {
    use super::super::attr::push;
    use super::super::testing::in_own_network;
    use super::super::{Family, Part, Socket};
    use super::*;

    const UNSPEC: Header = Header { family: libc::AF_UNSPEC as u8, resource: 0 };
    /// `IPCTNL_MSG_CT_GET_STATS`
    const GET_STATS: u8 = 5;
    /// `IPCTNL_MSG_CT_GET_STATS_CPU`
    const GET_STATS_CPU: u8 = 4;
    /// `NFT_MSG_GETGEN`
    const GET_GENERATION: u8 = 16;

    #[test]
    fn a_body_shorter_than_its_header_is_malformed() {
        for length in 0..HEADER {
            assert!(matches!(split(Message { kind: 0, flags: 0, body: &[0; HEADER][..length] }), Err(Malformed)));
        }
        let message = Message { kind: 0x0203, flags: 0, body: &[10, 0, 1, 2] };
        let (header, mut attributes) = split(message).unwrap();
        assert_eq!((header, attributes.next()), (Header { family: 10, resource: 0x0102 }, None));
        assert_eq!((Subsystem::Expect.number(message), Subsystem::Queue.number(message)), (Some(3), None));
    }

    #[test]
    fn root_one_thing_is_asked_and_the_socket_is_free_for_the_next() {
        in_own_network(|| {
            let mut socket = Socket::open(Family::Netfilter).unwrap();
            for _ in 0..3 {
                let mut count = None;
                let request = Subsystem::Conntrack.request(GET_STATS, UNSPEC, "conntrack count");
                let answer = socket.ask(&request, |message| {
                    for attribute in split(message)?.1 {
                        // CTA_STATS_GLOBAL_ENTRIES
                        count = count.or(Some(attribute?).filter(|a| a.kind == 1).map(|a| a.be32()).transpose()?);
                    }
                    Ok(())
                });
                answer.unwrap();
                assert_eq!(count, Some(0), "nothing was tracked in a new namespace");
                let (mut rows, mut generations) = (0, 0);
                let request = Subsystem::Conntrack.request(GET_STATS_CPU, UNSPEC, "conntrack statistics");
                let dump = socket.dump(&request, |part| {
                    rows += usize::from(part != Part::Start);
                    Ok(())
                });
                dump.unwrap();
                assert!(rows >= std::thread::available_parallelism().unwrap().get());
                let request = Subsystem::Nftables.request(GET_GENERATION, UNSPEC, "generation of the ruleset");
                let answer = socket.ask(&request, |message| {
                    generations += usize::from(Subsystem::Nftables.number(message).is_some());
                    Ok(())
                });
                answer.unwrap();
                assert_eq!(generations, 1);
            }
        });
    }

    #[test]
    fn root_a_thing_that_is_not_there_is_an_error_and_one_that_is_changed_answers_nothing() {
        in_own_network(|| {
            let mut socket = Socket::open(Family::Netfilter).unwrap();
            // NFT_MSG_GETTABLE of a table that nobody has made
            let mut request = Subsystem::Nftables.request(1, Header { family: 2, ..UNSPEC }, "table");
            push(&mut request.body, 1, b"none\0");
            let error = socket.ask(&request, |_| Ok(())).unwrap_err();
            assert_eq!((error.is_absent(), error.cause.raw_os_error()), (true, Some(libc::ENOENT)));
            // IPCTNL_MSG_CT_DELETE of everything
            let mut answers = 0;
            let request = Subsystem::Conntrack.request(2, UNSPEC, "all connections");
            let answer = socket.ask(&request, |_| {
                answers += 1;
                Ok(())
            });
            assert!(answer.is_ok() && answers == 0, "{answer:?}");
        });
    }
}
