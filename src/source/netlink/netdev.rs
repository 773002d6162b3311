//! What has each queue of a device carried?
//!
//! Source: `Documentation/netlink/specs/netdev.yaml`, `include/uapi/linux/netdev.h`.

use super::attr::{self, Attribute, Malformed, u64_at};
use super::generic::{self, Generic};
use super::route::IfIndex;
use super::{Message, Part, Patience};
use crate::source::Error;
use crate::source::bounded::Bounded;

/// Name of the family.
pub const FAMILY: &str = "netdev";
/// `NETDEV_CMD_QSTATS_GET`
const GET_STATISTICS: u8 = 12;

/// What a queue has carried. What its driver does not count is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// Interface.
    pub index: IfIndex,
    /// Whether it is for packets that go.
    pub is_tx: bool,
    /// Its number among those of the same direction.
    pub number: u32,
    /// Packets.
    pub packets: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
    /// Packets that the device has dropped.
    pub drops: Option<u64>,
    /// Packets for which there was no memory.
    pub alloc_failed: Option<u64>,
    /// Times that it was full and stopped.
    pub stops: Option<u64>,
    /// Times that it went on.
    pub wakes: Option<u64>,
}

const NOTHING: QueueStats = QueueStats {
    index: IfIndex(0),
    is_tx: false,
    number: 0,
    packets: None,
    bytes: None,
    drops: None,
    alloc_failed: None,
    stops: None,
    wakes: None,
};

/// Reads all queues of all devices whose drivers tell, at most so many.
///
/// # Errors
/// As [`super::Socket::dump_within`]; absent on kernels before 6.10.
pub fn queues(generic: &mut Generic, most: usize) -> Result<Bounded<QueueStats>, Error> {
    const NETDEV_A_QSTATS_SCOPE: u16 = 4;
    const NETDEV_QSTATS_SCOPE_QUEUE: u32 = 1;
    let (socket, mut request) = generic.request(GET_STATISTICS, 1, "statistics of queues");
    attr::push(&mut request.body, NETDEV_A_QSTATS_SCOPE, &NETDEV_QSTATS_SCOPE_QUEUE.to_ne_bytes());
    let mut found = Bounded::new(most);
    socket.dump_within(Patience::FEW, &request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => found.extend(queue(message)?),
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads one queue; `None` for what is not about one.
///
/// # Errors
/// The message is malformed.
pub fn queue(message: Message<'_>) -> Result<Option<QueueStats>, Malformed> {
    let (mut stats, mut index, mut number) = (NOTHING, None, None);
    for attribute in generic::attributes(message)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => index = Some(IfIndex(attribute.u32()?)),
            2 => stats.is_tx = attribute.u32()? == 1,
            3 => number = Some(attribute.u32()?),
            8 | 10 => stats.packets = Some(uint(&attribute)?),
            9 | 11 => stats.bytes = Some(uint(&attribute)?),
            12 => stats.alloc_failed = Some(uint(&attribute)?),
            13 | 24 => stats.drops = Some(uint(&attribute)?),
            33 => stats.stops = Some(uint(&attribute)?),
            34 => stats.wakes = Some(uint(&attribute)?),
            _ => {}
        }
    }
    Ok(index.zip(number).map(|(index, number)| QueueStats { index, number, ..stats }))
}

/// A number of four bytes, or of eight where it needs them.
fn uint(attribute: &Attribute<'_>) -> Result<u64, Malformed> {
    if attribute.bytes.len() == 4 { attribute.u32().map(u64::from) } else { u64_at(attribute.bytes, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two queues of a device of virtio, as a kernel of version 6.18 has told them.
    const TOLD: [&str; 2] = [
        "0c010000 08000100 04000000 08000200 00000000 08000300 00000000 08000800 f4150000 08000900 aa29620b",
        "0c010000 08000100 04000000 08000200 01000000 08000300 00000000 08000a00 ec0b0000 08000b00 a45a0400 08002100 \
         07000000 08002200 06000000",
    ];

    fn bytes(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn queues_of_both_directions_are_read() {
        let [rx, tx] = TOLD.map(|told| {
            let body = bytes(told);
            queue(Message { kind: 20, flags: 0, body: &body }).unwrap().unwrap()
        });
        let want = QueueStats { index: IfIndex(4), packets: Some(5620), bytes: Some(190_982_570), ..NOTHING };
        assert_eq!(rx, want);
        let want = QueueStats {
            index: IfIndex(4),
            is_tx: true,
            packets: Some(3052),
            bytes: Some(285_348),
            stops: Some(7),
            wakes: Some(6),
            ..NOTHING
        };
        assert_eq!(tx, want);
    }

    #[test]
    fn each_queue_of_a_device_has_its_number() {
        let told = |text: &str, number: u32| {
            let mut body = bytes(text);
            // behind the header, the device, and whether it is sent
            body[24..28].copy_from_slice(&number.to_ne_bytes());
            queue(Message { kind: 20, flags: 0, body: &body }).unwrap().unwrap()
        };
        let queues: Vec<_> = TOLD.iter().flat_map(|text| (0..4).map(move |number| told(text, number))).collect();
        let seen: Vec<_> = queues.iter().map(|queue| (queue.is_tx, queue.number, queue.packets)).collect();
        let want = |is_tx: bool, packets: u64| (0..4).map(move |number| (is_tx, number, Some(packets)));
        assert_eq!(seen, want(false, 5620).chain(want(true, 3052)).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = queue(Message { kind: 20, flags: 0, body: &body });
        }
    }
}
