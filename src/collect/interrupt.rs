//! How busy is the kernel with interrupts and switching?

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::source::{Error, stat};
use crate::table;

table! {
    /// Totals of the kernel since boot. What it does not count is missing.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/stat`.
    pub struct InterruptRow = "interrupt" { shape: Shape::Single, title: Some("Interrupts"), history: History::Whole } {
        /// Interrupts of devices and timers.
        Counter(Events) interrupts: Option<u64>,
        /// Work that interrupts put off.
        Counter(Events) softirqs: Option<u64>,
        /// Times a CPU went from one task to another.
        Counter(Events) context_switches: Option<u64> { title: Some("switches") },
        /// Processes and threads made.
        Counter(Events) forks: Option<u64>,
        /// Tasks that run or could run.
        Gauge(None) running: Option<u64>,
        /// Tasks that wait for input or output.
        Gauge(None) blocked: Option<u64> { summary: Some(Fold::Max) },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "interrupt",
    tables: &[InterruptRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<InterruptCollector>::default(),
};

#[derive(Default)]
struct InterruptCollector {
    buffer: Vec<u8>,
}

impl Collect for InterruptCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let totals = stat::totals(cx.roots.proc.text_into("stat", &mut self.buffer)?);
        if totals == stat::Totals::default() {
            return Err(Error::malformed(cx.roots.proc.join("stat"), "no line of totals").into());
        }
        out.push(vec![InterruptRow {
            interrupts: totals.interrupts,
            softirqs: totals.softirqs,
            context_switches: totals.switches,
            forks: totals.forks,
            running: totals.running,
            blocked: totals.blocked,
        }]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::{Tree, number, run};
    use crate::source::file::Roots;

    #[test]
    fn lines_that_a_kernel_lacks_are_missing() {
        let tree = Tree::new(&[("proc/stat", "cpu 1 2 3 4\nintr 7 0 0\nctxt 8\n")]);
        assert_eq!(tree.table(&ENTRY, InterruptRow::TABLE), "interrupts=7 context_switches=8\n");
    }

    #[test]
    fn a_thread_made_here_is_counted() {
        let mut collector = InterruptCollector::default();
        let mut forks = || {
            let batch = run(&mut collector, &Roots::live()).unwrap();
            number(&**batch.rows(InterruptRow::TABLE).unwrap(), None, "forks").unwrap()
        };
        let before = forks();
        for _ in 0..5 {
            std::thread::spawn(|| {}).join().unwrap();
        }
        assert!(forks() >= before + 5.0);
    }
}
