//! How many tasks want to run?

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::source::{Error, lines};
use crate::table;

table! {
    /// Load averages and the scheduler's task counts of the host.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/loadavg`.
    pub struct LoadRow = "load" { shape: Shape::Single, title: Some("Load"), history: History::Whole } {
        /// Runnable and uninterruptible tasks, averaged over one minute.
        Gauge(None) one: f64 { title: Some("1 min") },
        /// Runnable and uninterruptible tasks, averaged over five minutes.
        Gauge(None) five: f64 { title: Some("5 min") },
        /// Runnable and uninterruptible tasks, averaged over a quarter of an hour.
        Gauge(None) fifteen: f64 { title: Some("15 min") },
        /// Tasks that run or could run now.
        Gauge(None) runnable: u64,
        /// Tasks that exist, threads included.
        Gauge(None) tasks: u64,
        /// CPUs that are online, to compare the averages with.
        Gauge(None) cpus: Option<u64>,
    }
    derived {
        /// Five-minute load for each CPU.
        per_cpu(Ratio) = "five / cpus" { title: Some("load/cpu"), summary: Some(Fold::Max), glance: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "load",
    tables: &[LoadRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::new(LoadCollector),
};

struct LoadCollector;

impl Collect for LoadCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let text = cx.roots.proc.text("loadavg")?;
        let mut row =
            parse(&text).ok_or_else(|| Error::malformed(cx.roots.proc.join("loadavg"), "five fields are expected"))?;
        row.cpus = cx.roots.sys.text("devices/system/cpu/online").ok().and_then(|list| lines::count(&list));
        out.push(vec![row]);
        Ok(())
    }
}

fn parse(text: &str) -> Option<LoadRow> {
    let mut fields = text.split_ascii_whitespace();
    let mut average = || fields.next()?.parse::<f64>().ok().filter(|v| v.is_finite());
    let (one, five, fifteen) = (average()?, average()?, average()?);
    let (runnable, tasks) = fields.next()?.split_once('/')?;
    Some(LoadRow { one, five, fifteen, runnable: runnable.parse().ok()?, tasks: tasks.parse().ok()?, cpus: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_line_is_read_field_by_field() {
        let row = parse("0.50 1.25 2.75 3/1204 4711\n").unwrap();
        assert_eq!((row.one, row.five, row.fifteen, row.runnable, row.tasks), (0.5, 1.25, 2.75, 3, 1204));
        assert_eq!(parse("0.50 1.25"), None);
    }
}
