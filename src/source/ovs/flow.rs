//! Which flows does an answer have?
//!
//! Records of `OFPMP_FLOW` (OpenFlow 1.3 and 1.4) or `OFPMP_FLOW_DESC` (1.5): counts and times, then fields, then instructions. Text is
//! made of those that somebody wants only.

use std::time::Duration;

use super::openflow::{Bytes, VERSION_1_5};

/// The question for all flows: of any table, any port and any group, with any cookie and without any field.
pub const ALL: [u8; 40] = {
    let mut all = [0; 40];
    let mut at = 4;
    all[0] = 0xff;
    while at < 12 {
        all[at] = 0xff;
        at += 1;
    }
    // a list of fields (`OFPMT_OXM`) that is no longer than its header
    all[33] = 1;
    all[35] = 4;
    all
};

/// A flow as it lies in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow<'a> {
    /// Number of its table.
    pub table: u8,
    /// Which of several that a packet fits is taken: that with the most.
    pub priority: u16,
    /// A number that its maker has given it.
    pub cookie: u64,
    /// How long it has been there.
    pub age: Option<Duration>,
    /// After how many seconds without a packet it goes; 0 is never.
    pub idle: u16,
    /// After how many seconds it goes; 0 is never.
    pub hard: u16,
    /// `OFPFF_*`
    pub flags: u16,
    /// Which of several goes first where there is no room: that with the least.
    pub importance: u16,
    /// Packets that it fitted; missing where they are not counted.
    pub packets: Option<u64>,
    /// Bytes of those.
    pub bytes: Option<u64>,
    /// Fields that a packet must have.
    pub fields: &'a [u8],
    /// What becomes of the packet.
    pub instructions: &'a [u8],
}

/// Words of `ovs-ofctl` for `OFPFF_*`.
pub const FLAGS: [(u16, &str); 5] =
    [(1, "send_flow_rem"), (2, "check_overlap"), (4, "reset_counts"), (8, "no_packet_counts"), (16, "no_byte_counts")];

/// Reads the flows of an answer; `None` when it cannot be read.
pub fn each<'a>(version: u8, mut records: Bytes<'a>, mut take: impl FnMut(Flow<'a>)) -> Option<()> {
    while !records.0.is_empty() {
        let mut length = records;
        let mut record = Bytes(records.take(usize::from(length.u16()?).max(1))?);
        record.take(2)?;
        take(if version < VERSION_1_5 { statistics(record) } else { description(record) }?);
    }
    Some(())
}

/// `struct ofp_flow_stats` behind its length.
fn statistics(mut record: Bytes<'_>) -> Option<Flow<'_>> {
    let (table, _) = (record.u8()?, record.u8()?);
    let age = age(&mut record)?;
    let [priority, idle, hard] = [record.u16()?, record.u16()?, record.u16()?];
    let [flags, importance, _] = [record.u16()?, record.u16()?, record.u16()?];
    let (cookie, packets, bytes) = (record.u64()?, kept(record.u64()?), kept(record.u64()?));
    let fields = fields(&mut record)?;
    let instructions = record.0;
    let age = Some(age);
    Some(Flow { table, priority, cookie, age, idle, hard, flags, importance, packets, bytes, fields, instructions })
}

/// `struct ofp_flow_desc` behind its length.
fn description(mut record: Bytes<'_>) -> Option<Flow<'_>> {
    record.take(2)?;
    let (table, _) = (record.u8()?, record.u8()?);
    let [priority, idle, hard] = [record.u16()?, record.u16()?, record.u16()?];
    let [flags, importance] = [record.u16()?, record.u16()?];
    let cookie = record.u64()?;
    let fields = fields(&mut record)?;
    let flow = Flow { table, priority, cookie, idle, hard, flags, importance, fields, ..Flow::default() };
    let mut header = record;
    header.take(2)?;
    let length = usize::from(header.u16()?);
    let mut counts = Bytes(record.take(length.next_multiple_of(8))?.get(4..length)?);
    let mut flow = Flow { instructions: record.0, ..flow };
    while !counts.0.is_empty() {
        let (class, field, length) = (counts.u16()?, counts.u8()?, counts.u8()?);
        let mut value = Bytes(counts.take(usize::from(length))?);
        match (class, field >> 1) {
            (0x8002, 0) => flow.age = Some(age(&mut value)?),
            (0x8002, 4) => flow.packets = kept(value.u64()?),
            (0x8002, 5) => flow.bytes = kept(value.u64()?),
            _ => {}
        }
    }
    Some(flow)
}

/// Seconds and nanoseconds.
fn age(record: &mut Bytes<'_>) -> Option<Duration> {
    let (seconds, nanos) = (record.u32()?, record.u32()?);
    Some(Duration::new(u64::from(seconds), nanos.min(999_999_999)))
}

/// A count; all bits are set in one that is not kept.
fn kept(count: u64) -> Option<u64> {
    (count != u64::MAX).then_some(count)
}

/// The fields of a match, whose length is without what fills it up.
fn fields<'a>(record: &mut Bytes<'a>) -> Option<&'a [u8]> {
    let mut header = *record;
    let (kind, length) = (header.u16()?, usize::from(header.u16()?));
    let whole = record.take(length.next_multiple_of(8))?;
    whole.get(4..length).filter(|_| kind == 1)
}
