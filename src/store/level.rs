//! How bad is this value?
//!
//! Thresholds have Glances' words and are compared with `>=`; `careful` above `critical` means that low is bad. They sit on
//! numbers as readers print them (counters as rates) and on label columns, whose words bring a level of their own. What is
//! missing or unknown changes nothing. Of several thresholds of a column the first one whose `row` fits decides.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::expr::{nearest, regex};
use super::rate::View;
use crate::model::unit::{Unit, parse_as};
use crate::model::{Cell, Column, IpText, Kind, Level, Table, Type};

/// All thresholds of a configuration, most specific first.
pub type Settings = Vec<Threshold>;

/// When a column's value deserves attention.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Table name.
    pub table: String,
    /// Column name.
    pub column: String,
    /// Regex on the name of the row; every row if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// Worth a look from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub careful: Option<Limit>,
    /// Worth acting on from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<Limit>,
    /// Act now from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<Limit>,
}

/// Where a level begins.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Limit {
    /// A number in base units.
    Number(f64),
    /// A quantity such as `80%`, `2Gi` or `5s`, or one word of a label column.
    Text(String),
    /// Words of a label column.
    Words(Vec<String>),
}

/// A threshold that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("threshold {} of {table}.{column}: {key}: {message}{}", .index + 1, .hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})")))]
pub struct LevelError {
    /// Position in the settings, from 0.
    pub index: usize,
    /// Table as written.
    pub table: String,
    /// Column as written.
    pub column: String,
    /// The key that is wrong.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Checked thresholds, ready to use.
#[derive(Clone, Debug, Default)]
pub struct Thresholds {
    by_table: HashMap<String, Vec<Rule>>,
}

#[derive(Clone, Debug)]
struct Rule {
    column: String,
    row: Option<regex::Regex>,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum Limits {
    /// Careful, warning, critical.
    Numbers {
        values: [Option<f64>; 3],
        low_is_bad: bool,
    },
    Words(Vec<(String, Level)>),
}

/// A rule as readers of the configuration see it.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Regex on the name of the row; every row if there is none.
    pub row: Option<&'a str>,
    /// Where its levels begin.
    pub begins: Begins<'a>,
}

/// Where levels begin.
#[derive(Clone, Copy, Debug)]
pub enum Begins<'a> {
    /// Careful, warning, critical.
    Numbers {
        /// From here on.
        values: [Option<f64>; 3],
        /// Whether below it, not above.
        low_is_bad: bool,
    },
    /// At these words.
    Words(&'a [(String, Level)]),
}

/// The levels that a threshold has, in its order.
const LEVELS: [(Level, &str); 3] =
    [(Level::Careful, "careful"), (Level::Warning, "warning"), (Level::Critical, "critical")];

impl Thresholds {
    /// Checks thresholds against the tables that there are.
    ///
    /// # Errors
    /// Every threshold that makes no sense.
    pub fn new<'a>(
        settings: &[Threshold],
        tables: impl IntoIterator<Item = &'a Table>,
    ) -> Result<Self, Vec<LevelError>> {
        let tables: Vec<&Table> = tables.into_iter().collect();
        let mut thresholds = Self::default();
        let mut errors = Vec::new();
        for (index, threshold) in settings.iter().enumerate() {
            match rule(threshold, &tables) {
                Ok(rule) => thresholds.by_table.entry(threshold.table.clone()).or_default().push(rule),
                Err(Mistake { key, message, hint }) => errors.push(LevelError {
                    index,
                    table: threshold.table.clone(),
                    column: threshold.column.clone(),
                    key,
                    message,
                    hint,
                }),
            }
        }
        if errors.is_empty() { Ok(thresholds) } else { Err(errors) }
    }

    /// Level of one cell.
    pub fn level(&self, view: &View, row: usize, column: usize) -> Level {
        let table = view.table();
        let Some(schema) = table.columns.get(column) else {
            return Level::Ok;
        };
        if !matters(schema) {
            return Level::Ok;
        }
        let limits = self.limits(table, &schema.name, |row_regex| row_fits(view, row, row_regex));
        if let Cell::Label(word) = view.raw().cell(row, column) {
            let listed = limits.and_then(|limits| limits.word(word));
            return listed.unwrap_or_else(|| schema.label_level(word));
        }
        // most columns have none, and rates and Derived cells cost
        let Some(limits) = limits else {
            return Level::Ok;
        };
        let number =
            if schema.kind == Kind::Counter { view.rate(row, column) } else { view.cell(row, column).number() };
        number.map(|number| limits.number(number)).unwrap_or_default()
    }

    /// Where the levels of one cell begin: the first rule whose `row` fits it.
    pub fn begins(&self, view: &View, row: usize, column: usize) -> Option<Begins<'_>> {
        let table = view.table();
        let schema = table.columns.get(column)?;
        self.limits(table, &schema.name, |row_regex| row_fits(view, row, row_regex)).map(Limits::begins)
    }

    /// Where the levels of a column begin; `None` if it has none, or not the same for all rows.
    pub fn everywhere(&self, table: &Table, column: usize) -> Option<Begins<'_>> {
        let schema = table.columns.get(column)?;
        let rule = self.by_table.get(&*table.name)?.iter().find(|rule| rule.column == schema.name)?;
        rule.row.is_none().then(|| rule.limits.begins())
    }

    /// Worst level of a row's cells.
    pub fn row_level(&self, view: &View, row: usize) -> Level {
        (0..view.table().columns.len()).map(|column| self.level(view, row, column)).max().unwrap_or_default()
    }

    /// Worst level of a table's cells.
    pub fn worst(&self, view: &View) -> Level {
        self.above(view).map(|(.., level)| level).max().unwrap_or_default()
    }

    /// Every cell above level ok: its row, its column and how bad it is.
    pub fn above<'a>(&'a self, view: &'a View) -> impl Iterator<Item = (usize, usize, Level)> + 'a {
        let watched: Vec<usize> =
            (0..view.table().columns.len()).filter(|column| self.watches(view, *column)).collect();
        let places = (0..view.len()).flat_map(move |row| watched.clone().into_iter().map(move |column| (row, column)));
        let told = places.map(|(row, column)| (row, column, self.level(view, row, column)));
        told.filter(|(.., level)| *level > Level::Ok)
    }

    /// Careful, warning and critical of a column for every row, to be drawn in a bar; `None` unless all three are given
    /// without a `row`.
    pub fn marks(&self, table: &Table, column: usize) -> Option<[f64; 3]> {
        match self.limits(table, &table.columns.get(column)?.name, |row_regex| row_regex.is_none())? {
            Limits::Numbers { values: [Some(careful), Some(warning), Some(critical)], .. } => {
                Some([*careful, *warning, *critical])
            }
            _ => None,
        }
    }

    /// The rules of a column, the first that fits a row first: the regex on the name of the row, and where the levels begin.
    pub fn rules<'a>(&'a self, table: &'a Table, column: &'a str) -> impl Iterator<Item = Found<'a>> + 'a {
        let rules = self.by_table.get(&*table.name).into_iter().flatten();
        rules
            .filter(move |rule| rule.column == column)
            .map(|rule| Found { row: rule.row.as_ref().map(regex::Regex::as_str), begins: rule.limits.begins() })
    }

    fn watches(&self, view: &View, column: usize) -> bool {
        let Some(schema) = view.table().columns.get(column) else {
            return false;
        };
        let has_rule = || self.limits(view.table(), &schema.name, |_| true).is_some();
        schema.labels.iter().any(|label| label.level > Level::Ok) || has_rule()
    }

    fn limits(&self, table: &Table, column: &str, fits: impl Fn(Option<&regex::Regex>) -> bool) -> Option<&Limits> {
        let rules = self.by_table.get(&*table.name)?;
        rules.iter().find(|rule| rule.column == column && fits(rule.row.as_ref())).map(|rule| &rule.limits)
    }
}

/// Whether a column can have a level at all.
fn matters(column: &Column) -> bool {
    column.ty == Type::Label || (column.ty.is_numeric() && column.kind != Kind::Id)
}

fn row_fits(view: &View, row: usize, wanted: Option<&regex::Regex>) -> bool {
    let Some(wanted) = wanted else {
        return true;
    };
    match view.raw().cell(row, view.table().label_column()) {
        Cell::Text(name) | Cell::Label(name) => wanted.is_match(name),
        Cell::U64(number) => wanted.is_match(&number.to_string()),
        Cell::I64(number) => wanted.is_match(&number.to_string()),
        Cell::Ip(address) => wanted.is_match(&IpText(address).to_string()),
        Cell::Mac(address) => wanted.is_match(&address.to_string()),
        _ => false,
    }
}

impl Limits {
    fn begins(&self) -> Begins<'_> {
        match self {
            Self::Numbers { values, low_is_bad } => Begins::Numbers { values: *values, low_is_bad: *low_is_bad },
            Self::Words(words) => Begins::Words(words),
        }
    }

    fn number(&self, number: f64) -> Level {
        let Self::Numbers { values, low_is_bad } = self else {
            return Level::Ok;
        };
        let reached = |limit: f64| if *low_is_bad { number <= limit } else { number >= limit };
        let mut levels = LEVELS.iter().zip(values).rev();
        levels.find_map(|((level, _), limit)| limit.filter(|limit| reached(*limit)).map(|_| *level)).unwrap_or_default()
    }

    fn word(&self, word: &str) -> Option<Level> {
        match self {
            Self::Words(words) => words.iter().filter(|(known, _)| known == word).map(|(_, level)| *level).max(),
            Self::Numbers { .. } => None,
        }
    }
}

struct Mistake {
    key: &'static str,
    message: String,
    hint: Option<String>,
}

impl Mistake {
    fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into(), hint: None }
    }

    fn near<'a>(mut self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.hint = nearest(word, known).map(|name| format!("did you mean `{name}`?"));
        self
    }
}

fn rule(threshold: &Threshold, tables: &[&Table]) -> Result<Rule, Mistake> {
    let name = &threshold.table;
    let table = tables.iter().find(|table| table.name == *name).ok_or_else(|| {
        Mistake::new("table", format!("there is no table `{name}`")).near(name, tables.iter().map(|table| &*table.name))
    })?;
    let name = &threshold.column;
    let (_, column) = table.column(name).ok_or_else(|| {
        let known = table.columns.iter().map(|column| &*column.name);
        Mistake::new("column", format!("table `{}` has no column `{name}`", table.name)).near(name, known)
    })?;
    if !matters(column) {
        return Err(Mistake::new("column", format!("`{name}` is neither a number nor a label")));
    }
    let given = [&threshold.careful, &threshold.warning, &threshold.critical];
    if given.iter().all(|limit| limit.is_none()) {
        return Err(Mistake::new("careful", "one of careful, warning and critical must be given"));
    }
    let row = threshold.row.as_deref().map(regex).transpose().map_err(|cause| Mistake::new("row", cause))?;
    let limits = if column.ty == Type::Label { words(column, given)? } else { numbers(column, given)? };
    Ok(Rule { column: threshold.column.clone(), row, limits })
}

fn words(column: &Column, given: [&Option<Limit>; 3]) -> Result<Limits, Mistake> {
    let mut out = Vec::new();
    for ((level, key), limit) in LEVELS.into_iter().zip(given) {
        let words = match limit {
            None => continue,
            Some(Limit::Words(words)) => words.as_slice(),
            Some(Limit::Text(word)) => std::slice::from_ref(word),
            Some(Limit::Number(_)) => return Err(Mistake::new(key, format!("`{}` takes words", column.name))),
        };
        for word in words {
            if !column.labels.iter().any(|label| label.name == word) {
                let known = column.labels.iter().map(|label| label.name);
                return Err(Mistake::new(key, format!("`{}` is never `{word}`", column.name)).near(word, known));
            }
            out.push((word.clone(), level));
        }
    }
    Ok(Limits::Words(out))
}

fn numbers(column: &Column, given: [&Option<Limit>; 3]) -> Result<Limits, Mistake> {
    // the rate of CPU time is a share of a core
    let unit = match (column.kind, column.unit) {
        (Kind::Counter, Unit::Seconds) => Unit::Ratio,
        (_, Unit::None) if column.ty == Type::Duration => Unit::Seconds,
        (_, unit) => unit,
    };
    let mut values = [None; 3];
    for (((_, key), limit), value) in LEVELS.into_iter().zip(given).zip(&mut values) {
        *value = match limit {
            None => None,
            Some(Limit::Number(number)) if number.is_finite() => Some(*number),
            Some(Limit::Number(_)) => return Err(Mistake::new(key, "the limit must be finite")),
            Some(Limit::Text(text)) => {
                Some(parse_as(text, unit).map_err(|cause| Mistake::new(key, cause.to_string()))?)
            }
            Some(Limit::Words(_)) => return Err(Mistake::new(key, format!("`{}` takes one number", column.name))),
        };
    }
    let present: Vec<f64> = values.iter().flatten().copied().collect();
    let rising = present.is_sorted();
    if !rising && !present.is_sorted_by(|a, b| a >= b) {
        return Err(Mistake::new("warning", "the limits must rise from careful to critical, or fall where low is bad"));
    }
    Ok(Limits::Numbers { values, low_is_bad: !rising })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::col;
    use crate::store::made::{CpuRow, PHASES, SampleRow, cpu, row, sample};
    use crate::store::rate::Mode;

    fn threshold(table: &str, column: &str, limits: [&str; 3]) -> Threshold {
        let limit = |text: &str| (!text.is_empty()).then(|| Limit::Text(text.to_owned()));
        let [careful, warning, critical] = limits.map(limit);
        Threshold { table: table.into(), column: column.into(), row: None, careful, warning, critical }
    }

    fn thresholds(settings: &[Threshold]) -> Result<Thresholds, Vec<LevelError>> {
        Thresholds::new(settings, [SampleRow::TABLE, CpuRow::TABLE])
    }

    fn share(value: f64) -> View {
        View::new(&sample(0.0, vec![SampleRow { share: value, ..row() }]), None, Mode::Rate)
    }

    #[test]
    fn a_limit_that_is_reached_counts() {
        let levels = thresholds(&[threshold("sample", "share", ["50%", "0.7", "90%"])]).unwrap();
        let column = col!(SampleRow, share);
        for (value, want) in [
            (0.49, Level::Ok),
            (0.5, Level::Careful),
            (0.7, Level::Warning),
            (0.9, Level::Critical),
            (f64::NAN, Level::Ok),
        ] {
            assert_eq!(levels.level(&share(value), 0, column), want, "{value}");
            assert_eq!(levels.worst(&share(value)), want, "{value}");
            assert_eq!(levels.row_level(&share(value), 0), want, "{value}");
        }
        assert_eq!(levels.marks(SampleRow::TABLE, column), Some([0.5, 0.7, 0.9]));
        assert_eq!(levels.marks(SampleRow::TABLE, 0), None);
    }

    #[test]
    fn low_is_bad_where_careful_is_above_critical() {
        let levels = thresholds(&[threshold("sample", "share", ["50%", "", "10%"])]).unwrap();
        for (value, want) in [(0.6, Level::Ok), (0.5, Level::Careful), (0.1, Level::Critical)] {
            assert_eq!(levels.level(&share(value), 0, col!(SampleRow, share)), want, "{value}");
        }
        assert_eq!(levels.marks(SampleRow::TABLE, col!(SampleRow, share)), None);
    }

    #[test]
    fn the_first_threshold_whose_row_fits_decides() {
        let first = Threshold { row: Some("^a".into()), ..threshold("made_cpu", "user", ["", "", "100%"]) };
        let levels = thresholds(&[first, threshold("made_cpu", "user", ["10%", "", ""])]).unwrap();
        let before = sample(0.0, vec![cpu("a1", 0.0, 0), cpu("b1", 0.0, 0)]);
        let now = sample(1.0, vec![cpu("a1", 0.5, 0), cpu("b1", 0.5, 0)]);
        for mode in [Mode::Rate, Mode::Total] {
            let view = View::new(&now, Some(&before), mode);
            assert_eq!(levels.level(&view, 0, col!(CpuRow, user)), Level::Ok);
            assert_eq!(levels.level(&view, 1, col!(CpuRow, user)), Level::Careful, "a counter is judged by its rate");
            assert_eq!(levels.worst(&view), Level::Careful);
        }
        let first_sample = View::new(&now, None, Mode::Rate);
        assert_eq!(levels.worst(&first_sample), Level::Ok, "unknown changes no level");
    }

    #[test]
    fn labels_have_levels_and_settings_change_them() {
        let phase = col!(SampleRow, phase);
        let worst = |levels: &Thresholds, phase| {
            let view = View::new(&sample(0.0, vec![SampleRow { phase, ..row() }]), None, Mode::Rate);
            (levels.level(&view, 0, col!(SampleRow, phase)), levels.worst(&view))
        };
        let plain = thresholds(&[]).unwrap();
        assert_eq!(PHASES.map(|phase| worst(&plain, phase).0), [Level::Ok, Level::Ok, Level::Warning]);
        let set = Threshold {
            critical: Some(Limit::Words(vec!["gone".into(), "time-wait".into()])),
            ..threshold("sample", "phase", ["running", "", ""])
        };
        let set = thresholds(&[set]).unwrap();
        assert_eq!(PHASES.map(|phase| worst(&set, phase).1), [Level::Careful, Level::Critical, Level::Critical]);
        assert_eq!(set.marks(SampleRow::TABLE, phase), None);
    }

    #[test]
    fn mistakes_name_the_key_and_what_was_meant() {
        let bad = [
            (threshold("sampel", "share", ["1", "", ""]), "table", "did you mean `sample`?"),
            (threshold("sample", "shar", ["1", "", ""]), "column", "did you mean `share`?"),
            (threshold("sample", "name", ["1", "", ""]), "column", "neither a number nor a label"),
            (threshold("sample", "share", ["", "", ""]), "careful", "must be given"),
            (threshold("sample", "share", ["5s", "", ""]), "careful", "duration"),
            (threshold("sample", "share", ["10%", "50%", "20%"]), "warning", "must rise"),
            (threshold("sample", "phase", ["", "runing", ""]), "warning", "did you mean `running`?"),
            (Threshold { row: Some("(".into()), ..threshold("sample", "share", ["1", "", ""]) }, "row", "bad pattern"),
        ];
        let settings: Vec<_> = bad.iter().map(|(threshold, ..)| threshold.clone()).collect();
        let errors = thresholds(&settings).unwrap_err();
        assert_eq!(errors.len(), bad.len());
        for (index, (error, (_, key, text))) in errors.iter().zip(&bad).enumerate() {
            assert_eq!((error.index, error.key), (index, *key), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn settings_are_read_from_a_file_and_unknown_keys_are_refused() {
        #[derive(Deserialize)]
        struct File {
            threshold: Settings,
        }
        let text = "[[threshold]]\ntable = 'sample'\ncolumn = 'rss'\ncareful = 5\nwarning = '2Gi'\n\
            [[threshold]]\ntable = 'sample'\ncolumn = 'phase'\ncritical = ['gone']\n";
        let file: File = toml::from_str(text).unwrap();
        assert_eq!(file.threshold[0].careful, Some(Limit::Number(5.0)));
        assert_eq!(file.threshold[1].critical, Some(Limit::Words(vec!["gone".into()])));
        assert!(thresholds(&file.threshold).is_ok());
        assert!(toml::from_str::<File>(&text.replace("warning", "warnin")).is_err());
        let _ = schemars::schema_for!(Threshold);
    }
}
