//! Are the software RAID arrays whole?

use std::time::Duration;

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::Text;
use crate::source::mdstat::{self, Array};
use crate::{label, table};

label! {
    /// How an array fares.
    pub enum RaidState {
        Whole = "whole",
        Degraded = "degraded" => Critical,
        Broken = "broken" => Critical,
        Inactive = "inactive" => Warning,
    }
}

table! {
    /// One Linux software RAID array. Counts of members are missing for levels without redundancy and inactive arrays, the
    /// progress while nothing is being done.
    ///
    /// Source: `Documentation/admin-guide/md.rst`, `/proc/mdstat`.
    pub struct RaidRow = "raid" { title: Some("RAID") } {
        /// Name of the array.
        Id(None) name: Text { label: true },
        /// How the array fares.
        Text(None) state: RaidState,
        /// How data is spread over the members.
        Text(None) level: Option<Text>,
        /// Size of the array.
        Gauge(Bytes) size: Option<u64>,
        /// Members that it should have.
        Gauge(None) members: Option<u64>,
        /// Members that work.
        Gauge(None) working: Option<u64>,
        /// Members marked as failed.
        Gauge(None) failed: u64 { summary: Some(Fold::Sum) },
        /// Members that wait to replace a failed one.
        Gauge(None) spares: u64 { wide: true },
        /// Whether it cannot be written.
        Gauge(None) read_only: bool { wide: true },
        /// What is being done to the array.
        Text(None) action: Option<Text>,
        /// Share of that which is done.
        Gauge(Ratio) progress: Option<f64>,
        /// Speed of that.
        Gauge(BytesPerSecond) speed: Option<u64>,
    }
    derived {
        /// Share of members that work.
        working_share(Ratio) = "working / members" { wide: true, summary: Some(Fold::Min) },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "raid",
    tables: &[RaidRow::TABLE],
    interval: Duration::from_secs(10),
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<RaidCollector>::default(),
};

#[derive(Default)]
struct RaidCollector {
    buffer: Vec<u8>,
}

impl Collect for RaidCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let text = cx.roots.proc.text_into("mdstat", &mut self.buffer).map_err(|error| {
            if error.is_absent() { Skip::absent("open /proc/mdstat: no software RAID") } else { error.into() }
        })?;
        let arrays = mdstat::parse(text);
        out.left_out(RaidRow::TABLE, arrays.left_out(), mdstat::MAX_ARRAYS, "arrays");
        out.push(arrays.into_kept().into_iter().map(row).collect());
        Ok(())
    }
}

fn row(array: Array) -> RaidRow {
    let whole = array.members.zip(array.working).is_none_or(|(members, working)| working >= members);
    RaidRow {
        state: match (array.active, whole && array.failed == 0) {
            _ if array.broken => RaidState::Broken,
            (false, _) => RaidState::Inactive,
            (true, true) => RaidState::Whole,
            (true, false) => RaidState::Degraded,
        },
        name: array.name,
        level: array.level,
        size: array.size,
        members: array.members,
        working: array.working,
        failed: array.failed,
        spares: array.spares,
        read_only: array.read_only,
        action: array.action,
        progress: array.progress,
        speed: array.speed,
    }
}
