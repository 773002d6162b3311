//! Which rows do the tests of this layer read? Made ones, with a column of every type.

use std::net::IpAddr;

use crate::model::{Mac, Mono, Row, Sample, Text, Timestamp};
use crate::{label, table};

label! {
    /// State for the tests.
    pub enum Phase { Running = "running", Waiting = "time-wait", Gone = "gone" => Warning }
}

table! {
    /// A row for the tests.
    ///
    /// Source: made.
    pub struct SampleRow = "sample" {
        /// Number.
        Id(None) pid: u64,
        /// Name.
        Text(None) name: Text,
        /// Phase.
        Text(None) phase: Phase,
        /// Address.
        Text(None) address: Option<IpAddr>,
        /// Ethernet address.
        Text(None) mac: Mac,
        /// Flag.
        Gauge(None) up: bool,
        /// Memory.
        Gauge(Bytes) rss: Option<u64>,
        /// Share.
        Gauge(Ratio) share: f64,
        /// Time.
        Gauge(Seconds) delay: std::time::Duration,
        /// Instant.
        Gauge(Seconds) since: Timestamp,
        /// CPU time.
        Counter(Seconds) cpu_time: f64,
        /// Traffic.
        Counter(Bytes) rx_bytes: u64,
    }
    derived {
        /// Half of the memory.
        half(Bytes) = "rss / 2",
    }
}

table! {
    /// A row with counters for the tests.
    ///
    /// Source: made.
    pub struct CpuRow = "made_cpu" { history: History::Whole } {
        /// Name.
        Id(None) name: Text { label: true },
        /// Time.
        Counter(Seconds) user: f64,
        /// Count.
        Counter(Events) ticks: u64,
    }
    derived {
        /// Time of one.
        share(Seconds) = "user / ticks",
        /// Use.
        busy(Ratio) = "rate(user)" { top: true },
        /// Through another.
        fill(Ratio) = "busy + 1",
    }
}

table! {
    /// A row of many for the tests.
    ///
    /// Source: made.
    pub struct TaskRow = "made_task" { history: History::Top } {
        /// Number.
        Id(None) pid: u64,
        /// Share.
        Gauge(Ratio) share: f64 { top: true },
    }
}

/// A row of the table with many.
pub fn task(pid: u32, share: f64) -> TaskRow {
    TaskRow { pid: pid.into(), share }
}

/// A row of the table with counters.
pub fn cpu(name: &str, user: f64, ticks: u64) -> CpuRow {
    CpuRow { name: Text::from(name), user, ticks }
}

/// A row with a value in every column but `rss`.
pub fn row() -> SampleRow {
    SampleRow {
        pid: u64::MAX,
        name: Text::from("qemu-kvm"),
        phase: Phase::Waiting,
        address: Some([10, 1, 2, 3].into()),
        mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
        up: true,
        rss: None,
        share: 0.5,
        delay: std::time::Duration::from_millis(20),
        since: Timestamp::from_seconds(940.0),
        cpu_time: 7200.0,
        rx_bytes: 5_000_000,
    }
}

/// A sample taken so many seconds after 1000 s.
pub fn sample<R: Row>(seconds: f64, rows: Vec<R>) -> Sample {
    let time = Timestamp::from_seconds(1000.0 + seconds);
    Sample { rows: std::sync::Arc::new(rows), time, mono: Mono((seconds * 1e9) as u64 + 1_000_000_000) }
}

/// Every phase.
pub const PHASES: [Phase; 3] = [Phase::Running, Phase::Waiting, Phase::Gone];
