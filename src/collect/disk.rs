//! What does each disk do, and how fast does it answer?

use std::collections::BTreeMap;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::file::Root;
use crate::table;

table! {
    /// One block device: a whole disk, or one made of others (device mapper, RAID). Partitions are not shown, nor loop devices,
    /// RAM disks and empty drives that were never used.
    ///
    /// Discards are missing before Linux 4.18, flushes before 5.5.
    ///
    /// Source: `Documentation/admin-guide/iostats.rst`, `/proc/diskstats`; `Documentation/ABI/stable/sysfs-block`.
    pub struct DiskRow = "disk" { title: Some("Disks"), history: History::Whole } {
        /// Name of the block device.
        Id(None) name: Text { label: true },
        /// Name that device mapper gives it.
        Text(None) alias: Option<Text> { wide: true },
        /// Model that the device states.
        Text(None) model: Option<Text> { wide: true },
        /// Size of the device.
        Gauge(Bytes) size: Option<u64> { wide: true },
        /// Data read.
        Counter(Bytes) read_bytes: u64 { title: Some("R/s"), top: true },
        /// Data written.
        Counter(Bytes) write_bytes: u64 { title: Some("W/s") },
        /// Reads done.
        Counter(Operations) reads: u64 { title: Some("R op/s") },
        /// Writes done.
        Counter(Operations) writes: u64 { title: Some("W op/s") },
        /// Reads that were joined with another before they were sent.
        Counter(Operations) read_merges: u64 { wide: true },
        /// Writes that were joined with another before they were sent.
        Counter(Operations) write_merges: u64 { wide: true },
        /// Time that all reads together took.
        Counter(Seconds) read_time: f64 { wide: true },
        /// Time that all writes together took.
        Counter(Seconds) write_time: f64 { wide: true },
        /// Requests that the device has now.
        Gauge(Operations) in_flight: u64 { title: Some("now"), wide: true },
        /// Time in which the device had any request.
        Counter(Seconds) busy_time: f64 { wide: true },
        /// Time that all requests together were waiting or served.
        Counter(Seconds) weighted_time: f64 { wide: true },
        /// Discards done.
        Counter(Operations) discards: Option<u64> { wide: true },
        /// Data discarded.
        Counter(Bytes) discard_bytes: Option<u64> { wide: true },
        /// Time that all discards together took.
        Counter(Seconds) discard_time: Option<f64> { wide: true },
        /// Flushes done.
        Counter(Operations) flushes: Option<u64> { wide: true },
        /// Time that all flushes together took.
        Counter(Seconds) flush_time: Option<f64> { wide: true },
    }
    derived {
        /// Share of the time in which it had any request; a device that serves many at once can do more at 100 %.
        utilization(Ratio) = "rate(busy_time)" { title: Some("busy"), summary: Some(Fold::Max) },
        /// Mean time of a read.
        read_latency(Seconds) = "read_time / reads" { title: Some("R lat"), summary: Some(Fold::Max) },
        /// Mean time of a write.
        write_latency(Seconds) = "write_time / writes" { title: Some("W lat"), summary: Some(Fold::Max) },
        /// Mean number of requests that wait or are served.
        queue(None) = "rate(weighted_time)" { wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "disk",
    tables: &[DiskRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::new(DiskCollector::default()),
};

/// The kernel counts sectors of this size whatever the device's own is.
const SECTOR: u64 = 512;

/// Samples until a device is described again: a volume may have grown.
const DESCRIBE_TURNS: u32 = 30;

/// Devices at most, partitions included.
const MAX_DISKS: usize = 16 << 10;

/// A device by name and number: a name is used again for another device.
type Device = (Vec<u8>, u64, u64);

/// What sysfs says of a device.
#[derive(Clone, Default)]
struct Description {
    partition: bool,
    alias: Option<Text>,
    model: Option<Text>,
    size: Option<u64>,
}

#[derive(Default)]
struct DiskCollector {
    known: BTreeMap<Device, Description>,
    turn: u32,
}

impl Collect for DiskCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let text = cx.roots.proc.read("diskstats")?;
        let fresh = self.turn.is_multiple_of(DESCRIBE_TURNS);
        self.turn = self.turn.wrapping_add(1);
        let before = std::mem::take(&mut self.known);
        let (mut rows, mut left_out) = (Vec::new(), 0);
        for line in text.split(|byte| *byte == b'\n') {
            let Some((device, mut row)) = parse(line) else { continue };
            if self.known.len() == MAX_DISKS {
                left_out += 1;
                continue;
            }
            let old = before.get(&device).filter(|_| !fresh).cloned();
            let description = old.unwrap_or_else(|| describe(&cx.roots.sys, &device.0));
            if !description.partition && !unused(&device.0, &row) {
                row.alias.clone_from(&description.alias);
                row.model.clone_from(&description.model);
                row.size = description.size;
                rows.push(row);
            }
            self.known.insert(device, description);
        }
        out.left_out(DiskRow::TABLE, left_out, MAX_DISKS, "disks and partitions");
        out.push(rows);
        Ok(())
    }
}

/// Whether a device that may exist without a use has none.
fn unused(name: &[u8], row: &DiskRow) -> bool {
    let idle = row.reads == 0 && row.writes == 0 && row.in_flight == 0;
    idle && [b"loop".as_slice(), b"ram", b"nbd", b"sr", b"fd"].iter().any(|start| name.starts_with(start))
}

fn describe(sys: &Root, name: &[u8]) -> Description {
    // a slash in a device name is an exclamation mark in sysfs
    let name: String = name.iter().map(|byte| if *byte == b'/' { '!' } else { char::from(*byte) }).collect();
    let line = |file: &str| {
        let text = sys.read(format!("block/{name}/{file}")).ok()?;
        Some(Text::new(text.trim_ascii())).filter(|text| !text.is_empty())
    };
    let has = |path: String| rustix::fs::stat(sys.join(path)).is_ok();
    // whole devices are in /sys/block and nothing else is
    let partition =
        has(format!("class/block/{name}/partition")) || (has("block".into()) && !has(format!("block/{name}")));
    Description {
        partition,
        alias: line("dm/name"),
        model: line("device/model"),
        size: sys.number::<u64>(format!("block/{name}/size")).and_then(|sectors| sectors.checked_mul(SECTOR)),
    }
}

/// Reads a line of `diskstats`; `None` when it is cut.
fn parse(line: &[u8]) -> Option<(Device, DiskRow)> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let (major, minor, name) = (number(fields.next())?, number(fields.next())?, fields.next()?);
    let mut next = || number(fields.next());
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
    let seconds = |milliseconds: u64| milliseconds as f64 / 1e3;
    let row = DiskRow {
        name: Text::new(name),
        alias: None,
        model: None,
        size: None,
        // struct fields are evaluated in the order written, which is the kernel's
        reads: next()?,
        read_merges: next()?,
        read_bytes: bytes(next()?),
        read_time: seconds(next()?),
        writes: next()?,
        write_merges: next()?,
        write_bytes: bytes(next()?),
        write_time: seconds(next()?),
        in_flight: next()?,
        busy_time: seconds(next()?),
        weighted_time: seconds(next()?),
        discards: next(),
        // merged discards come before their sectors
        discard_bytes: next().and_then(|_| next()).map(bytes),
        discard_time: next().map(seconds),
        flushes: next(),
        flush_time: next().map(seconds),
    };
    Some(((name.to_vec(), major, minor), row))
}

fn number(field: Option<&[u8]>) -> Option<u64> {
    crate::source::process::parse::number(field?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Wants;
    use crate::model::{Cell, Mono, Owners, Timestamp};
    use crate::source::file::Roots;

    const LINE: &str = " 254 0 vda 1 2 3 4000 5 6 7 8000 9 10000 11000 12 13 14 15000 16 17000";

    #[test]
    fn every_field_has_its_place() {
        let (device, row) = parse(LINE.as_bytes()).unwrap();
        assert_eq!(device, (b"vda".to_vec(), 254, 0));
        assert_eq!((row.reads, row.read_merges, row.read_bytes, row.read_time), (1, 2, 3 * 512, 4.0));
        assert_eq!((row.writes, row.write_merges, row.write_bytes, row.write_time), (5, 6, 7 * 512, 8.0));
        assert_eq!((row.in_flight, row.busy_time, row.weighted_time), (9, 10.0, 11.0));
        assert_eq!((row.discards, row.discard_bytes, row.discard_time), (Some(12), Some(14 * 512), Some(15.0)));
        assert_eq!((row.flushes, row.flush_time), (Some(16), Some(17.0)));
    }

    #[test]
    fn what_an_old_kernel_does_not_count_is_missing() {
        let (_, row) = parse(b"8 0 sda 1 2 3 4 5 6 7 8 9 10 11").unwrap();
        assert_eq!((row.discards, row.discard_bytes, row.flushes), (None, None, None));
        assert_eq!(parse(b"8 0 sda 1 2 3 4 5 6 7 8 9 10"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn partitions_and_unused_loops_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let zeros = " 0".repeat(17);
        let partition = LINE.replace("vda", "vda1");
        let used = LINE.replace("254 0 vda", "7 1 loop1");
        write("proc/diskstats", &format!("{LINE}\n{partition}\n 7 0 loop0{zeros}\n{used}\n 253 0 dm-0{zeros}\n"));
        write("sys/block/vda/size", "100\n");
        write("sys/block/vda/device/model", "DISK\x1b[2J  \n");
        write("sys/block/loop0/size", "0\n");
        write("sys/block/loop1/size", "8\n");
        write("sys/block/dm-0/dm/name", "vg-root\n");
        let (wants, owners) = (Wants::default(), Owners::default());
        let roots = Roots::recorded(dir.path());
        let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
        let mut out = Batch::default();
        DiskCollector::default().collect(&cx, &mut out).unwrap();
        let rows = out.rows(DiskRow::TABLE).unwrap();
        let cell = |row, name| rows.cell(row, DiskRow::TABLE.position(name).unwrap());
        let names: Vec<_> = (0..rows.len()).map(|row| cell(row, "name")).collect();
        assert_eq!(names, [Cell::Text("vda"), Cell::Text("loop1"), Cell::Text("dm-0")]);
        assert_eq!(cell(0, "size"), Cell::U64(51_200));
        assert_eq!(cell(0, "model"), Cell::Text("DISK\\x1b[2J"));
        assert_eq!(cell(2, "alias"), Cell::Text("vg-root"));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
