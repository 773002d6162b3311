//! Is this host's clock right, as far as the kernel knows?

use std::time::Duration;

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::Text;
use crate::source::clock;
use crate::{label, table};

label! {
    /// Whether something keeps the clock right.
    pub enum Sync { Synchronized = "synchronized", Unsynchronized = "unsynchronized" => Warning }
}

table! {
    /// The system clock as the kernel's clock discipline sees it. A time server that steers by itself and does not tell the
    /// kernel leaves it unsynchronized.
    ///
    /// Source: adjtimex(2), `include/uapi/linux/timex.h`; `/sys/devices/system/clocksource`.
    pub struct ClockRow = "clock" { shape: Shape::Single, title: Some("Clock") } {
        /// Whether something keeps the clock right.
        Text(None) state: Sync { label: true },
        /// Correction still to be made.
        Gauge(Seconds) offset: f64,
        /// Largest error that the clock can have.
        Gauge(Seconds) max_error: f64,
        /// Error that the clock is thought to have.
        Gauge(Seconds) estimated_error: f64 { title: Some("est. error") },
        /// By what share the clock is made faster or slower.
        Gauge(None) frequency_correction: f64 { wide: true },
        /// Seconds that atomic time is ahead of the clock; zero until somebody tells the kernel.
        Gauge(Seconds) tai_offset: i64 { title: Some("TAI"), wide: true },
        /// Hardware that the time is read from.
        Text(None) clocksource: Option<Text>,
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "clock",
    tables: &[ClockRow::TABLE],
    interval: Duration::from_secs(5),
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::new(ClockCollector),
};

struct ClockCollector;

impl Collect for ClockCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("the clock is asked by a system call, which a recorded tree has not"));
        }
        let clock = clock::read()?;
        let source = cx.roots.sys.text("devices/system/clocksource/clocksource0/current_clocksource").ok();
        out.push(vec![ClockRow {
            state: if clock.synchronized { Sync::Synchronized } else { Sync::Unsynchronized },
            offset: clock.offset,
            max_error: clock.max_error,
            estimated_error: clock.estimated_error,
            frequency_correction: clock.frequency_correction,
            tai_offset: clock.tai_offset,
            clocksource: source.map(|text| Text::from(text.trim())),
        }]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::{Tree, number, run};
    use crate::model::State;
    use crate::source::file::Roots;

    #[test]
    fn the_live_clock_answers_without_privileges() {
        let batch = run(&mut ClockCollector, &Roots::live()).unwrap();
        let cell = |name| number(&**batch.rows(ClockRow::TABLE).unwrap(), None, name).unwrap();
        assert!(cell("max_error") >= 0.0 && cell("offset").abs() <= 1.0);
    }

    #[test]
    fn a_recorded_tree_has_no_clock() {
        assert_eq!(Tree::new(&[]).status(&ENTRY).state, State::Absent);
    }
}
