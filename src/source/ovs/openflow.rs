//! What does a bridge say over OpenFlow?
//!
//! The socket `BRIDGE.mgmt` is that of `ovs-ofctl`: who connects is a controller that gets no packets. Version 1.3 is spoken, or
//! 1.4 or 1.5 where a bridge was told to speak nothing older. Answers may come in many messages, each of which has its length
//! before it.

use std::io;
use std::path::Path;
use std::time::Instant;

use crate::source::Error;
use crate::source::control::line::{Line, PATIENCE};
use crate::source::control::trust::Trust;

/// Versions as a header has them, those first that are preferred.
const VERSIONS: [u8; 3] = [4, 5, 6];

/// From this version on records of ports have their length before them.
pub const VERSION_1_4: u8 = 5;

/// From this version on flows are told as `OFPMP_FLOW_DESC`.
pub const VERSION_1_5: u8 = 6;

/// Bytes of a header.
const HEADER: usize = 8;

// types of messages
const HELLO: u8 = 0;
const ERROR: u8 = 1;
const ECHO_REQUEST: u8 = 2;
const ECHO_REPLY: u8 = 3;
const MULTIPART_REQUEST: u8 = 18;
const MULTIPART_REPLY: u8 = 19;

// types of questions
/// Flows.
pub const FLOW: u16 = 1;
const TABLE: u16 = 3;
const PORT_STATS: u16 = 4;

/// `OFPP_ANY`
const ANY_PORT: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Big-endian numbers of a record, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// Takes so many bytes from the front.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Takes a number of so many bytes.
    pub fn number(&mut self, count: usize) -> Option<u64> {
        Some(self.take(count)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Takes a number of one byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// Takes one of two.
    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// Takes one of four.
    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// Takes one of eight.
    pub fn u64(&mut self) -> Option<u64> {
        self.number(8)
    }
}

/// What a port has counted; missing is what it cannot count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounts {
    /// Packets received and sent.
    pub packets: [Option<u64>; 2],
    /// Bytes of those.
    pub bytes: [Option<u64>; 2],
    /// Packets that were dropped.
    pub dropped: [Option<u64>; 2],
    /// Packets that came or went wrong.
    pub errors: [Option<u64>; 2],
}

/// What all tables of a bridge have counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Flows.
    pub flows: u64,
    /// Packets that were looked up.
    pub lookups: u64,
    /// Packets for which there was a flow.
    pub matched: u64,
}

/// A connection to a bridge.
#[derive(Debug)]
pub struct Management {
    line: Line,
    version: u8,
    /// Number of the last question.
    asked: u32,
}

impl Management {
    /// Connects to a socket that is trusted, and agrees on a version.
    ///
    /// # Errors
    /// As [`Line::open`] and [`Line::part`], or the bridge speaks older versions only.
    pub fn open(path: &Path, trust: &Trust, deadline: Instant) -> Result<Self, Error> {
        let mut line = Line::open(path, trust)?;
        let hello = line.part(end, deadline)?;
        let known = message(hello).filter(|message| message.kind == HELLO).map(versions);
        let version = known.and_then(|known| VERSIONS.into_iter().find(|version| known & 1 << version != 0));
        let Some(version) = version else {
            let why = "it does not speak OpenFlow 1.3 or later";
            return Err(Error::new("ask", path, io::Error::new(io::ErrorKind::Unsupported, why)));
        };
        let bitmap = (1_u32 << version).to_be_bytes();
        line.send(&written(version, HELLO, 0, &[&[0, 1, 0, 8][..], &bitmap].concat()), deadline)?;
        Ok(Self { line, version, asked: 0 })
    }

    /// The process that listens.
    pub fn pid(&self) -> Option<u32> {
        self.line.pid
    }

    /// The version that is spoken.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// What the tables have counted.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub fn tables(&mut self, deadline: Instant) -> Result<TableCounts, Error> {
        let mut sum = TableCounts::default();
        self.each(TABLE, &[], deadline, |_, body| read_tables(body, &mut sum))?;
        Ok(sum)
    }

    /// What each port has counted.
    ///
    /// # Errors
    /// As [`Self::each`].
    pub fn ports(&mut self, deadline: Instant, mut port: impl FnMut(u32, PortCounts)) -> Result<(), Error> {
        self.each(PORT_STATS, &ANY_PORT, deadline, |version, body| read_ports(version, body, &mut port))
    }

    /// Asks, and hands out the records of each message of the answer.
    ///
    /// # Errors
    /// As [`Line::part`], the bridge refuses, or it says what cannot be read.
    pub fn each(
        &mut self,
        kind: u16,
        body: &[u8],
        deadline: Instant,
        mut records: impl FnMut(u8, Bytes<'_>) -> Option<()>,
    ) -> Result<(), Error> {
        self.asked = self.asked.wrapping_add(1);
        let question = [&kind.to_be_bytes()[..], &[0; 6], body].concat();
        self.line.send(&written(self.version, MULTIPART_REQUEST, self.asked, &question), deadline)?;
        loop {
            // one who stops in the middle is not waited for to the end
            let said = self.line.part(end, deadline.min(Instant::now() + PATIENCE))?;
            let Some(message) = message(said) else { return Err(self.line.broken("it says what is no message")) };
            match (message.kind, message.number == self.asked) {
                (ECHO_REQUEST, _) => {
                    let answer = written(self.version, ECHO_REPLY, message.number, message.body);
                    self.line.send(&answer, deadline)?;
                }
                (ERROR, true) => return Err(self.line.broken("it refuses to tell")),
                (MULTIPART_REPLY, true) => match part(message.body, kind) {
                    Some((is_last, body)) if records(self.version, body).is_some() => {
                        if is_last {
                            return Ok(());
                        }
                    }
                    _ => return Err(self.line.broken("it says what cannot be read")),
                },
                _ => {}
            }
        }
    }
}

/// A message.
#[derive(Clone, Copy)]
struct Message<'a> {
    version: u8,
    kind: u8,
    number: u32,
    body: &'a [u8],
}

/// Where a message ends. One that is too short to be any ends with its header.
pub fn end(said: &[u8], _: usize) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes(*said.get(2..4)?.first_chunk()?)).max(HEADER);
    (length <= said.len()).then_some(length)
}

fn message(bytes: &[u8]) -> Option<Message<'_>> {
    let mut header = Bytes(bytes);
    let (version, kind, length) = (header.u8()?, header.u8()?, header.u16()?);
    let number = header.u32()?;
    (usize::from(length) == bytes.len()).then_some(Message { version, kind, number, body: header.0 })
}

/// One to be sent.
fn written(version: u8, kind: u8, number: u32, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![version, kind];
    bytes.extend(length.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Versions that a bridge speaks, a bit for each: those of its `HELLO`, or all up to that of the header.
fn versions(hello: Message<'_>) -> u32 {
    let mut elements = Bytes(hello.body);
    while let (Some(kind), Some(length)) = (elements.u16(), elements.u16()) {
        let Some(body) = elements.take(usize::from(length).saturating_sub(4).next_multiple_of(4)) else { break };
        if let (1, Some(bits)) = (kind, Bytes(body).u32()) {
            return bits;
        }
    }
    2_u32.checked_shl(u32::from(hello.version)).map_or(u32::MAX, |above| above.wrapping_sub(1))
}

/// Whether a part of an answer is its last one, and its records.
fn part(body: &[u8], wanted: u16) -> Option<(bool, Bytes<'_>)> {
    let mut body = Bytes(body);
    let (kind, flags) = (body.u16()?, body.u16()?);
    body.take(4)?;
    (kind == wanted).then_some((flags & 1 == 0, body))
}

/// Adds up the tables of an answer.
pub fn read_tables(mut records: Bytes<'_>, sum: &mut TableCounts) -> Option<()> {
    while let Some(record) = records.take(24) {
        let mut record = Bytes(record);
        record.take(4)?;
        sum.flows = sum.flows.saturating_add(u64::from(record.u32()?));
        sum.lookups = sum.lookups.wrapping_add(record.u64()?);
        sum.matched = sum.matched.wrapping_add(record.u64()?);
    }
    records.0.is_empty().then_some(())
}

/// Reads the ports of an answer.
pub fn read_ports(version: u8, mut records: Bytes<'_>, port: &mut impl FnMut(u32, PortCounts)) -> Option<()> {
    while !records.0.is_empty() {
        let number;
        let mut record;
        if version < VERSION_1_4 {
            record = Bytes(records.take(112)?);
            number = record.u32()?;
            record.take(4)?;
        } else {
            let length = usize::from(Bytes(records.0).u16()?);
            record = Bytes(records.take(length.max(1))?);
            record.take(4)?;
            number = record.u32()?;
            record.take(8)?;
        }
        // what is not counted has all bits set
        let mut pair = || {
            let mut count = || Some(Some(record.u64()?).filter(|count| *count != u64::MAX));
            Some([count()?, count()?])
        };
        let counts = PortCounts { packets: pair()?, bytes: pair()?, dropped: pair()?, errors: pair()? };
        port(port_number(number), counts);
    }
    Some(())
}

/// Number of a port as the database has it: reserved ones were longer once.
fn port_number(number: u32) -> u32 {
    if number >= 0xffff_ff00 { number & 0xffff } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/fixtures/fuzz/ovs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn the_oldest_version_that_is_known_is_chosen() {
        let said = |bytes: &[u8]| {
            let known = versions(message(bytes).unwrap());
            VERSIONS.into_iter().find(|version| known & 1 << version != 0)
        };
        assert_eq!(said(&[6, 0, 0, 8, 0, 0, 0, 0]), Some(4), "all up to that of the header");
        assert_eq!(said(&[6, 0, 0, 16, 0, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x40]), Some(6));
        assert_eq!(said(&[5, 0, 0, 24, 0, 0, 0, 0, 0, 9, 0, 5, 1, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x22]), Some(5));
        assert_eq!(said(&[1, 0, 0, 8, 0, 0, 0, 0]), None);
    }

    #[test]
    fn ports_count_in_both_versions() {
        for (name, count) in [("ports-13", 6), ("ports-15", 1)] {
            let answer = fixture(name);
            let mut numbers = Vec::new();
            let mut take = |number, counts: PortCounts| {
                numbers.push(number);
                assert!(counts.packets[0].is_some() && counts.bytes[1].is_some(), "{name} {number}");
            };
            read_ports(answer[0], Bytes(&answer[1..]), &mut take).unwrap();
            assert_eq!((numbers.len(), numbers.contains(&65534)), (count, true), "{name}");
            assert!(read_ports(answer[0], Bytes(&answer[1..answer.len() - 1]), &mut |_, _| {}).is_none());
        }
    }

    #[test]
    fn tables_are_added_up() {
        let answer = fixture("tables-13");
        let mut sum = TableCounts::default();
        read_tables(Bytes(&answer[1..]), &mut sum).unwrap();
        assert!(sum.flows > 100, "{sum:?}");
        assert!(
            read_tables(Bytes(&answer[..24]), &mut sum).is_some() && read_tables(Bytes(&answer), &mut sum).is_none()
        );
    }
}
