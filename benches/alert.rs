//! What do alerts cost at each sample?
//!
//! `cargo bench --bench alert -- [--rows N] [--rounds N]` prints the median CPU of one look at a table with so many rows by one
//! rule with limits: while all is well, while every row fires, and what it takes to make the rows that readers see. Beside
//! it the floor: to read the cell that is compared. Nothing is judged here: timings depend on the machine. Under
//! `cargo test` it makes one round, so that it runs.

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use netglance::alert::run::Rules;
use netglance::alert::settings::Alert;
use netglance::alert::silence::Silences;
use netglance::alert::{Engine, Moment, Rule};
use netglance::model::{Mono, Sample, Snapshot, Status, TableState, Text, Timestamp};
use netglance::store::level::Thresholds;
use netglance::table;
use rustix::time::{ClockId, clock_gettime};

table! {
    /// A row of many.
    ///
    /// Source: made.
    pub struct ManyRow = "many" {
        /// Number.
        Id(None) number: u64,
        /// Name.
        Text(None) name: Text { label: true },
        /// Share.
        Gauge(Ratio) share: f64,
    }
}

const RULE: &str = "name = 'hot'\ntable = 'many'\nvalue = 'share'\nwarning = '80%'\ncritical = '90%'\nfor = '5s'\n";

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A snapshot of a second in which every row has about this share.
fn snapshot(rows: u64, second: u64, share: f64) -> (Snapshot, Moment) {
    let row = |number| {
        let share = share + (number % 10) as f64 / 1000.0;
        ManyRow { number, name: Text::from(format!("row {number}")), share }
    };
    let rows: Vec<ManyRow> = (0..rows).map(row).collect();
    let (time, mono) = (Timestamp::from_seconds(1e9 + second as f64), Mono((second + 1) * 1_000_000_000));
    let now = Some(Sample { rows: Arc::new(rows), time, mono });
    let mut snapshot = Snapshot::default();
    snapshot.tables.insert("many", TableState { table: ManyRow::TABLE, now, before: None, status: Status::ok() });
    (snapshot, Moment { time, mono })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    let measured = args.iter().any(|arg| arg == "--bench");
    let rows = number("--rows").unwrap_or(10_000);
    let rounds = number("--rounds").unwrap_or(if measured { 31 } else { 1 }).max(1);
    let alert: Alert = toml::from_str(RULE)?;
    let rule = Rule::new(&alert, &[ManyRow::TABLE])?;
    let rules = Rules { rules: vec![rule], thresholds: Thresholds::default(), silences: Silences::default() };
    let mut engine = Engine::new(rules);
    let mut out = std::io::stdout().lock();
    let mut second = 0;
    for (what, share, settle) in [("all is well", 0.1, 1), ("every row fires", 0.85, 8)] {
        let (mut looks, mut shown, mut floor) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds + settle {
            second += 1;
            let (snapshot, moment) = snapshot(rows, second, share);
            let begin = cpu();
            black_box(engine.look(&snapshot, moment));
            let look = cpu().saturating_sub(begin);
            let begin = cpu();
            black_box(engine.rows(moment));
            let show = cpu().saturating_sub(begin);
            let begin = cpu();
            if let Some(now) = snapshot.get("many").and_then(|state| state.now.as_ref()) {
                let column = ManyRow::TABLE.position("share").unwrap_or(0);
                let read = (0..now.rows.len()).filter_map(|row| now.rows.cell(row, column).number());
                black_box(read.sum::<f64>());
            }
            if round >= settle {
                looks.push(look);
                shown.push(show);
                floor.push(cpu().saturating_sub(begin));
            }
        }
        let [look, show, floor] = [looks, shown, floor].map(median);
        writeln!(out, "{what}: {rows} rows: look {look:.2?}, rows for readers {show:.2?}, floor {floor:.2?}")?;
    }
    Ok(())
}
