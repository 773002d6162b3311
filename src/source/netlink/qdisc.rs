//! What waits to be sent, and what was dropped instead?
//!
//! Source: `include/uapi/linux/pkt_sched.h`, `include/uapi/linux/gen_stats.h`.

use super::attr::{Malformed, u32_at, u64_at};
use super::route::IfIndex;
use super::{Message, Part, Patience, Request, Socket};
use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;

const NEW_QDISC: u16 = 36;
const GET_QDISC: u16 = 38;
const NEW_CLASS: u16 = 40;
const GET_CLASS: u16 = 42;
/// `sizeof(struct tcmsg)`
const HEADER: usize = 20;

/// `TC_H_ROOT`
pub const ROOT: u32 = u32::MAX;

/// A queueing discipline, or a class of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Interface.
    pub index: IfIndex,
    /// Its number: two halves, of which a discipline has the first only.
    pub handle: u32,
    /// Number of what it is below, or [`ROOT`].
    pub parent: u32,
    /// Of a class the number of the discipline below it, of a discipline how many hold it.
    pub info: u32,
    /// What it does, such as `htb`.
    pub kind: Text,
    /// Whether the device does it.
    pub is_offloaded: bool,
    /// What it has counted.
    pub counts: Counts,
}

/// What a discipline or a class has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes sent.
    pub bytes: Option<u64>,
    /// Packets sent.
    pub packets: Option<u64>,
    /// Packets that wait.
    pub waiting: Option<u32>,
    /// Bytes that wait.
    pub backlog: Option<u32>,
    /// Packets dropped.
    pub drops: Option<u32>,
    /// Packets that the device did not take at once.
    pub requeues: Option<u32>,
    /// Times that a limit was met.
    pub overlimits: Option<u32>,
}

/// Reads the disciplines of all interfaces, at most so many.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn qdiscs(socket: &mut Socket, most: usize) -> Result<Bounded<Queue>, Error> {
    let request = Request { kind: GET_QDISC, body: vec![0; HEADER], what: "queueing disciplines" };
    read(socket, &request, NEW_QDISC, most)
}

/// Reads the classes of all disciplines of an interface, at most so many.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn classes(socket: &mut Socket, index: IfIndex, most: usize) -> Result<Bounded<Queue>, Error> {
    let mut body = vec![0; HEADER];
    if let Some(slot) = body.get_mut(4..8) {
        slot.copy_from_slice(&index.0.to_ne_bytes());
    }
    read(socket, &Request { kind: GET_CLASS, body, what: "classes" }, NEW_CLASS, most)
}

fn read(socket: &mut Socket, request: &Request, kind: u16, most: usize) -> Result<Bounded<Queue>, Error> {
    let mut found = Bounded::new(most);
    socket.dump_within(Patience::FEW, request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) if message.kind == kind => found.extend(queue(message)?),
            Part::Message(_) => {}
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads one discipline or class; `None` for another kind of message, and for one without a name.
///
/// # Errors
/// The message is malformed.
pub fn queue(message: Message<'_>) -> Result<Option<Queue>, Malformed> {
    if !matches!(message.kind, NEW_QDISC | NEW_CLASS) {
        return Ok(None);
    }
    let at = |position: usize| u32_at(message.body, position);
    let (mut kind, mut is_offloaded, mut counts) = (None, false, Counts::default());
    for attribute in message.attributes(HEADER)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => kind = Some(Text::new(attribute.string())),
            7 => counts = read_counts(attribute.bytes)?,
            12 => is_offloaded = attribute.u8()? != 0,
            _ => {}
        }
    }
    let (index, handle, parent, info) = (IfIndex(at(4)?), at(8)?, at(12)?, at(16)?);
    Ok(kind.map(|kind| Queue { index, handle, parent, info, kind, is_offloaded, counts }))
}

/// `TCA_STATS2`
fn read_counts(bytes: &[u8]) -> Result<Counts, Malformed> {
    let mut counts = Counts::default();
    let mut wide = None;
    for attribute in super::attributes(bytes) {
        let attribute = attribute?;
        match attribute.kind {
            1 => {
                counts.bytes = Some(u64_at(attribute.bytes, 0)?);
                counts.packets = Some(u64::from(u32_at(attribute.bytes, 8)?));
            }
            3 => {
                let at = |position: usize| u32_at(attribute.bytes, position * 4);
                (counts.waiting, counts.backlog) = (Some(at(0)?), Some(at(1)?));
                (counts.drops, counts.requeues, counts.overlimits) = (Some(at(2)?), Some(at(3)?), Some(at(4)?));
            }
            // where there are more packets than 32 bits count
            8 => wide = Some(u64_at(attribute.bytes, 0)?),
            _ => {}
        }
    }
    counts.packets = wide.or(counts.packets);
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::super::attr::{push, push_nested};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_beyond_32_bits_are_counted() {
        let mut body = vec![0; HEADER];
        push(&mut body, 1, b"htb\0");
        push_nested(&mut body, 7, |inner| {
            push(inner, 1, &[&7_u64.to_ne_bytes()[..], &[1, 0, 0, 0, 0, 0, 0, 0]].concat());
            push(inner, 8, &((1_u64 << 32) + 1).to_ne_bytes());
        });
        let queue = queue(Message { kind: NEW_QDISC, flags: 0, body: &body }).unwrap().unwrap();
        assert_eq!((queue.counts.bytes, queue.counts.packets), (Some(7), Some((1 << 32) + 1)));
        assert_eq!(queue.counts.drops, None, "what is not told is not zero");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = queue(Message { kind: NEW_QDISC, flags: 0, body: &body });
            let _ = read_counts(&body);
        }
    }
}
