//! What does the kernel remember of those with whom it spoke TCP?
//!
//! Source: `include/uapi/linux/tcp_metrics.h`, `net/ipv4/tcp_metrics.c`.

use std::net::IpAddr;

use super::attr::{Malformed, u16_at, u64_at};
use super::generic::{self, Generic};
use super::route::ip;
use super::{Message, Part, Patience};
use crate::source::Error;
use crate::source::bounded::Bounded;

/// Name of the family.
pub const FAMILY: &str = "tcp_metrics";
/// `TCP_METRICS_CMD_GET`
const GET: u8 = 1;

/// What is remembered of another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The other host.
    pub destination: IpAddr,
    /// Address of this host.
    pub source: Option<IpAddr>,
    /// Milliseconds since it was noted.
    pub age: Option<u64>,
    /// Time that an answer takes, in eighths of a microsecond.
    pub rtt: Option<u32>,
    /// How much that differs, in quarters of a microsecond.
    pub rttvar: Option<u32>,
    /// Window from which on it grows slowly.
    pub ssthresh: Option<u32>,
    /// Congestion window.
    pub cwnd: Option<u32>,
    /// Packets that may overtake each other.
    pub reordering: Option<u32>,
    /// Largest segment for data in the first packet.
    pub fastopen_mss: Option<u16>,
    /// First packets with data that were lost.
    pub fastopen_drops: Option<u16>,
}

/// Reads all of it, at most so many hosts.
///
/// # Errors
/// As [`super::Socket::dump_within`].
pub fn metrics(generic: &mut Generic, most: usize) -> Result<Bounded<Metrics>, Error> {
    let (socket, request) = generic.request(GET, 1, "metrics of TCP");
    let mut found = Bounded::new(most);
    socket.dump_within(Patience::FEW, &request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => found.extend(metrics_of(message)?),
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads what is remembered of one host; `None` where it is not told of which.
///
/// # Errors
/// The message is malformed.
pub fn metrics_of(message: Message<'_>) -> Result<Option<Metrics>, Malformed> {
    let (mut destination, mut source, mut age, mut values) = (None, None, None, [None; 7]);
    let (mut fastopen_mss, mut fastopen_drops) = (None, None);
    for attribute in generic::attributes(message)? {
        let attribute = attribute?;
        match attribute.kind {
            1 | 2 => destination = ip(attribute.bytes),
            3 => age = Some(u64_at(attribute.bytes, 0)?),
            6 => {
                for value in attribute.nested() {
                    let value = value?;
                    if let Some(slot) = usize::from(value.kind).checked_sub(1).and_then(|at| values.get_mut(at)) {
                        *slot = Some(value.u32()?);
                    }
                }
            }
            7 => fastopen_mss = Some(u16_at(attribute.bytes, 0)?),
            8 => fastopen_drops = Some(u16_at(attribute.bytes, 0)?),
            11 | 12 => source = ip(attribute.bytes),
            _ => {}
        }
    }
    // the first two are the same in milliseconds, for older programs
    let [_, _, ssthresh, cwnd, reordering, rtt, rttvar] = values;
    Ok(destination.map(|destination| Metrics {
        destination,
        source,
        age,
        rtt,
        rttvar,
        ssthresh,
        cwnd,
        reordering,
        fastopen_mss,
        fastopen_drops,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = metrics_of(Message { kind: 30, flags: 0, body: &body });
        }
    }
}
