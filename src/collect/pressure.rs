//! How long do tasks wait for CPU, memory and storage?

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::source::Error;
use crate::source::file::Root;
use crate::source::pressure::{self, Pressure};
use crate::{label, table};

label! {
    /// What tasks wait for.
    pub enum Resource { Cpu = "cpu", Memory = "memory", Io = "io", Irq = "irq" }
}

table! {
    /// Pressure stall information of the host: one row for each resource that tasks can wait for.
    ///
    /// `some` is time in which at least one task waited, `full` time in which all of them did; the kernel keeps no `some`
    /// of interrupts, and no `full` of the CPU before 5.13. Absent where the kernel was built or booted without it.
    ///
    /// Source: `Documentation/accounting/psi.rst`, `/proc/pressure`.
    pub struct PressureRow = "pressure" { title: Some("Pressure"), history: History::Whole } {
        /// What tasks wait for.
        Id(None) resource: Resource { label: true },
        /// Share of the last ten seconds in which at least one task waited.
        Gauge(Ratio) some_avg10: Option<f64> { title: Some("some 10s"), summary: Some(Fold::Max), glance: true },
        /// Share of the last minute in which at least one task waited.
        Gauge(Ratio) some_avg60: Option<f64> { title: Some("some 1m") },
        /// Share of the last five minutes in which at least one task waited.
        Gauge(Ratio) some_avg300: Option<f64> { title: Some("some 5m"), wide: true },
        /// Time in which at least one task waited.
        Counter(Seconds) some_time: Option<f64> { title: Some("some") },
        /// Share of the last ten seconds in which all tasks waited.
        Gauge(Ratio) full_avg10: Option<f64> { title: Some("full 10s"), summary: Some(Fold::Max) },
        /// Share of the last minute in which all tasks waited.
        Gauge(Ratio) full_avg60: Option<f64> { title: Some("full 1m") },
        /// Share of the last five minutes in which all tasks waited.
        Gauge(Ratio) full_avg300: Option<f64> { title: Some("full 5m"), wide: true },
        /// Time in which all tasks waited.
        Counter(Seconds) full_time: Option<f64> { title: Some("full") },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "pressure",
    tables: &[PressureRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<PressureCollector>::default(),
};

#[derive(Default)]
struct PressureCollector {
    buffer: Vec<u8>,
}

impl Collect for PressureCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut rows = Vec::with_capacity(4);
        let mut first_error = None;
        for resource in [Resource::Cpu, Resource::Memory, Resource::Io, Resource::Irq] {
            match read(&cx.roots.proc, resource, &mut self.buffer) {
                Ok(found) => rows.push(row(resource, &found)),
                // a resource that this kernel does not watch
                Err(error) if error.is_absent() => first_error = first_error.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        if let (true, Some(error)) = (rows.is_empty(), first_error) {
            return Err(Skip::from(error).hint("boot the kernel with psi=1"));
        }
        out.push(rows);
        Ok(())
    }
}

fn read(proc: &Root, resource: Resource, buffer: &mut Vec<u8>) -> Result<Pressure, Error> {
    let path = match resource {
        Resource::Cpu => "pressure/cpu",
        Resource::Memory => "pressure/memory",
        Resource::Io => "pressure/io",
        Resource::Irq => "pressure/irq",
    };
    let text = proc.text_into(path, buffer)?;
    pressure::parse(text).ok_or_else(|| Error::malformed(proc.join(path), "a line of some or full is expected"))
}

fn row(resource: Resource, found: &Pressure) -> PressureRow {
    let (some, full) = (found.some, found.full);
    PressureRow {
        resource,
        some_avg10: some.map(|stall| stall.avg10),
        some_avg60: some.map(|stall| stall.avg60),
        some_avg300: some.map(|stall| stall.avg300),
        some_time: some.map(|stall| stall.total),
        full_avg10: full.map(|stall| stall.avg10),
        full_avg60: full.map(|stall| stall.avg60),
        full_avg300: full.map(|stall| stall.avg300),
        full_time: full.map(|stall| stall.total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::Tree;
    use crate::model::State;

    #[test]
    fn a_kernel_without_pressure_is_absent_and_not_zero() {
        let tree = Tree::new(&[("proc/loadavg", "0 0 0 1/1 1\n")]);
        let status = tree.status(&ENTRY);
        assert_eq!(status.state, State::Absent);
        assert!(status.reason.contains("pressure/cpu"), "{}", status.reason);
    }

    #[test]
    fn a_resource_without_some_has_only_full() {
        let tree = Tree::new(&[
            ("proc/pressure/cpu", "some avg10=1.00 avg60=2.00 avg300=3.00 total=4000000\n"),
            ("proc/pressure/irq", "full avg10=5.00 avg60=6.00 avg300=7.00 total=8000000\n"),
        ]);
        let text = tree.table(&ENTRY, PressureRow::TABLE);
        assert_eq!(
            text,
            "resource=cpu some_avg10=0.01 some_avg60=0.02 some_avg300=0.03 some_time=4\n\
             resource=irq full_avg10=0.05 full_avg60=0.06 full_avg300=0.07 full_time=8\n"
        );
    }

    #[test]
    fn rubbish_is_a_failure() {
        let tree = Tree::new(&[("proc/pressure/cpu", "\u{1b}[2J")]);
        assert_eq!(tree.status(&ENTRY).state, State::Failed);
    }
}
