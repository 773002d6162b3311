//! When would a rule have fired, by what is remembered of the past?
//!
//! Of the past numbers are known, as readers print them: what a counter did is a rate. So a rule is read for a table whose
//! counters and derived columns are plain numbers ([`remembered`]), and evaluated sample by sample. Words of a row are those that
//! it has now, and rows that are gone are not known: a rule about changes of words, or about how many rows there are, is
//! refused.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::engine::{Engine, Moment};
use super::message::Notification;
use super::rule::{Rule, Test};
use super::run::Rules;
use crate::model::{
    Cell, History, Kind, Mono, Rows, Sample, Series, Shape, Snapshot, Status, Table, TableState, Timestamp, Type, Unit,
};

/// A table as its past has it; `None` where nothing is remembered. It stays for good.
pub fn remembered(table: &'static Table) -> Option<&'static Table> {
    if table.attrs.history == History::Off || table.attrs.shape == Shape::Log {
        return None;
    }
    let mut past = table.clone();
    for column in past.columns.to_mut().iter_mut().filter(|column| column.is_numeric() && column.kind != Kind::Id) {
        // what is not collected unless it is asked for is not remembered, and is missing
        if column.kind == Kind::Counter && column.unit == Unit::Seconds {
            column.unit = Unit::Ratio;
        }
        (column.kind, column.ty, column.optional, column.expr) = (Kind::Gauge, Type::F64, true, None);
    }
    Some(Box::leak(Box::new(past)))
}

/// Columns whose past a rule needs.
///
/// # Errors
/// Why no past tells what it needs.
pub fn columns(rule: &Rule) -> Result<Vec<usize>, &'static str> {
    let is_number = |column: usize| rule.table.columns.get(column).is_some_and(|column| column.kind == Kind::Gauge);
    match &rule.test {
        Test::Changes { column, .. } if !is_number(*column) => return Err("it is about a change of words"),
        Test::Count { .. } | Test::Gone { .. } => return Err("it is about which rows there were"),
        Test::Happens { .. } => return Err("it is about a log"),
        Test::Value(_) | Test::When { .. } | Test::Changes { .. } => {}
    }
    let mut columns: Vec<usize> = rule.columns().into_iter().filter(|column| is_number(*column)).collect();
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() { Err("it is about words") } else { Ok(columns) }
}

/// What has been told of one cell: its row in the newest sample, its column, its past.
pub type Cells = (usize, usize, Series);

/// Rows of a time that is over.
struct Then {
    table: &'static Table,
    now: Arc<dyn Rows>,
    /// Rows that were there, as the newest sample numbers them, with what is remembered of them.
    rows: Vec<(usize, Vec<f64>)>,
    columns: Arc<Vec<usize>>,
}

impl Rows for Then {
    fn table(&self) -> &Table {
        self.table
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let Some((own, values)) = self.rows.get(row) else { return Cell::Missing };
        let is_number = self.table.columns.get(column).is_some_and(|column| column.kind == Kind::Gauge);
        if !is_number || self.table.columns.get(column).is_some_and(|column| !column.is_numeric()) {
            return self.now.cell(*own, column);
        }
        let value = self.columns.binary_search(&column).ok().and_then(|at| values.get(at));
        value.filter(|value| value.is_finite()).map_or(Cell::Missing, |value| Cell::F64(*value))
    }
}

/// Evaluates rules over what is remembered of the rows of a sample: what people would have been told, and when.
pub fn play(rules: Rules, table: &'static Table, now: &Sample, cells: &[Cells]) -> Vec<(Timestamp, Notification)> {
    let Cow::Borrowed(name) = table.name else { return Vec::new() };
    let (steps, columns) = steps(cells);
    let columns = Arc::new(columns);
    let at = |mono: Mono| {
        let ago = i64::try_from(now.mono.0.saturating_sub(mono.0)).unwrap_or(i64::MAX);
        Moment { time: Timestamp(now.time.0.saturating_sub(ago)), mono }
    };
    let mut engine = Engine::new(rules);
    let mut told = Vec::new();
    let mut snapshot = Snapshot::default();
    let mut look = |engine: &mut Engine, snapshot: &Snapshot, mono: Mono| {
        let moment = at(mono);
        let looked = engine.look(snapshot, moment);
        told.extend(looked.notifications.into_iter().map(|one| (moment.time, one)));
        looked.changed
    };
    for (mono, rows) in steps {
        // what happens between two samples
        while let Some(due) = engine.due().filter(|due| *due < mono) {
            if !look(&mut engine, &snapshot, due) {
                break;
            }
        }
        let rows = rows.into_iter().collect();
        let then = Then { table, now: Arc::clone(&now.rows), rows, columns: Arc::clone(&columns) };
        let before = snapshot.tables.remove(name).and_then(|state: TableState| state.now);
        let sample = Some(Sample { rows: Arc::new(then), time: at(mono).time, mono });
        snapshot.tables.insert(name, TableState { table, now: sample, before, status: Status::ok() });
        look(&mut engine, &snapshot, mono);
    }
    told
}

/// Rows with their values.
type Step = BTreeMap<usize, Vec<f64>>;

/// What was measured when, and the columns that values are of.
fn steps(cells: &[Cells]) -> (BTreeMap<Mono, Step>, Vec<usize>) {
    let mut columns: Vec<usize> = cells.iter().map(|(_, column, _)| *column).collect();
    columns.sort_unstable();
    columns.dedup();
    let mut steps: BTreeMap<Mono, Step> = BTreeMap::new();
    for (row, column, series) in cells {
        let Ok(place) = columns.binary_search(column) else { continue };
        for point in series.points.iter().filter(|point| !point.is_gap()) {
            let values = steps.entry(point.time).or_default().entry(*row);
            let values = values.or_insert_with(|| vec![f64::NAN; columns.len()]);
            if let Some(value) = values.get_mut(place) {
                *value = point.mean;
            }
        }
    }
    (steps, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::settings::Alert;
    use crate::alert::silence::Silences;
    use crate::model::testing::sampled;
    use crate::model::{HistoryAsk, Key};
    use crate::store::level::Thresholds;
    use crate::store::made::{CpuRow, SampleRow, cpu, sample};

    fn rule(text: &str) -> (Rule, &'static Table) {
        let table = remembered(CpuRow::TABLE).unwrap();
        let alert: Alert = toml::from_str(&format!("name = 'one'\ntable = 'made_cpu'\n{text}")).unwrap();
        (Rule::new(&alert, &[table]).unwrap_or_else(|error| panic!("{error}")), table)
    }

    /// A row by its name, with columns and their values.
    type Past<'a> = (&'a str, &'a [(usize, &'a [f64])]);

    /// What would have been told at which second; each row has these values, a second apart.
    fn played(text: &str, rows: &[Past<'_>]) -> Vec<(f64, String)> {
        let (rule, table) = rule(text);
        let now = sample(1000.0, rows.iter().map(|(name, _)| cpu(name, 0.0, 0)).collect::<Vec<_>>());
        let ask = HistoryAsk::all("made_cpu", "user", Key::default());
        let first = now.mono.0 / 1_000_000_000 - 100;
        let series = |values: &[f64]| sampled(first, values.iter().copied(), &ask);
        let cells: Vec<Cells> = rows
            .iter()
            .enumerate()
            .flat_map(|(row, (_, columns))| columns.iter().map(move |(column, values)| (row, *column, series(values))))
            .collect();
        let rules = Rules { rules: vec![rule], thresholds: Thresholds::default(), silences: Silences::default() };
        let told = play(rules, table, &now, &cells);
        let begin = now.time.seconds() - 100.0;
        told.into_iter()
            .map(|(time, one)| (time.seconds() - begin, format!("{} {}", one.change.name(), one.text)))
            .collect()
    }

    #[test]
    fn a_rate_that_was_high_fires_after_its_time_and_clears() {
        let busy: Vec<f64> = (0..90).map(|second| if (20..50).contains(&second) { 0.9 } else { 0.1 }).collect();
        let calm = [0.2; 90];
        let text =
            "value = 'user'\nwarning = '80%'\nfor = '10s'\nkeep_firing_for = '5s'\ntext = '{name} is at {value}'\n";
        let told = played(text, &[("a", &[(1, &busy)]), ("b", &[(1, &calm)])]);
        assert_eq!(told, [(30.0, "fired a is at 90.0%".to_owned()), (55.0, "cleared a is at 10.0%".to_owned())]);
        assert!(played(&text.replace("10s", "40s"), &[("a", &[(1, &busy)])]).is_empty());
    }

    #[test]
    fn what_was_not_measured_changes_nothing_and_words_are_those_of_now() {
        let gap: Vec<f64> = vec![0.1, 0.9, f64::NAN, f64::NAN, 0.9, 0.1];
        let text = "where = 'name == \"a\"'\nvalue = 'busy + 0 * user'\nwarning = 0.8\nkeep_firing_for = '0s'\ntext = '{name}'\n";
        let rows: [Past<'_>; 2] = [("a", &[(1, &[0.0; 6]), (4, &gap)]), ("b", &[(1, &[0.0; 6]), (4, &gap)])];
        assert_eq!(played(text, &rows), [(1.0, "fired a".to_owned()), (5.0, "cleared a".to_owned())]);
    }

    #[test]
    fn what_no_number_tells_is_refused() {
        let why = |text| columns(&rule(text).0);
        assert_eq!(why("value = 'busy'\nwarning = 1\nwhere = 'ticks > 5'\ntext = '{fill}'"), Ok(vec![2, 4, 5]));
        assert_eq!(why("when = 'name == \"a\"'"), Err("it is about words"));
        assert_eq!(why("changes = 'name'"), Err("it is about a change of words"));
        assert_eq!(why("min = 1"), Err("it is about which rows there were"));
        assert!(remembered(SampleRow::TABLE).is_none());
    }
}
