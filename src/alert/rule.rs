//! What does a rule mean, and can it be meant?
//!
//! A rule as it is written ([`super::settings`]) is checked against the tables that there are, once; what comes of it is
//! evaluated row by row.

use std::time::Duration;

use super::measure::{Measure, Of, Over};
use super::settings::{Alert, Inhibit};
use super::words::Words;
use crate::model::{Demand, Level, Shape, Table, Text, unit};
use crate::store::expr::{ExprError, Filter, nearest};
use crate::store::level::Limit;
use crate::store::query::Query;
use crate::store::rate::Mode;
use crate::store::wanted;

/// Samples that `of` looks at, at most.
const MOST_SAMPLES: u32 = 64;

/// Letters of a name at most.
const MOST_LETTERS: usize = 64;

/// How long one that is gone is missed, if the rule does not say.
const MISSED: Duration = Duration::from_hours(24);

/// How long something that happens in a moment is shown to fire, if the rule does not say: what happens meanwhile is the same
/// alert.
const MOMENT: Duration = Duration::from_mins(5);

/// How long something must be otherwise before it is over, if the rule does not say.
const CALM: Duration = Duration::from_secs(10);

/// A rule that was checked.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub(super) name: Text,
    /// The table that it is about.
    pub(super) table: &'static Table,
    /// The rows that it is about.
    pub(super) rows: Option<Filter>,
    /// What must be so.
    pub(super) test: Test,
    /// For how long.
    pub(super) lasts: Duration,
    /// In how many of how many samples.
    pub(super) of: Option<(u32, u32)>,
    /// How long it must be otherwise.
    pub(super) calm: Duration,
    /// What is milder is shown, and nobody is told.
    pub(super) tell: Level,
    /// Columns that tell alerts apart; Ids if there are none.
    pub(super) by: Option<Vec<usize>>,
    /// What people read.
    pub(super) words: Words,
    /// Who is told with it.
    pub(super) top: Vec<(&'static Table, usize)>,
    /// What makes it needless to tell: a rule, own columns and theirs.
    pub(super) inhibited_by: Vec<(Text, Vec<(usize, String)>)>,
    /// What must be collected for it.
    demands: Vec<Demand>,
    /// As it was written.
    pub(super) written: Box<Alert>,
}

/// Reads the expression of a key.
type Read<'a> = dyn Fn(&'static str, Option<&str>) -> Result<Option<Filter>, Mistake> + 'a;

/// What must be so.
#[derive(Debug)]
pub(super) enum Test {
    Value(Measure),
    When {
        when: Filter,
        clear: Option<Filter>,
        severity: Level,
    },
    Changes {
        column: usize,
        from: Vec<String>,
        to: Vec<String>,
        /// What ends it; without it, it is a moment.
        clear: Option<Filter>,
        severity: Level,
    },
    Count {
        min: u64,
        max: u64,
        severity: Level,
    },
    Gone {
        keep: Duration,
        severity: Level,
    },
    /// Each row of a log is something that has happened.
    Happens {
        when: Option<Filter>,
        severity: Level,
    },
}

/// Why a rule makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}{}", .hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})")))]
pub struct Mistake {
    /// The key that is wrong.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Mistake {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn of(key: &'static str, error: &ExprError) -> Self {
        Self::new(key, error.to_string())
    }
}

impl Rule {
    /// Checks a rule against the tables that there are.
    ///
    /// # Errors
    /// The first mistake.
    pub fn new(alert: &Alert, tables: &[&'static Table]) -> Result<Self, Mistake> {
        if !is_name(&alert.name) {
            let message = format!("`{}` is no name of a rule", Text::from(alert.name.as_str()));
            return Err(Mistake::new("name", message).hint("small letters, digits and `-`"));
        }
        let table = table_of("table", &alert.table, tables)?;
        let filter = |key, text: Option<&str>| {
            let parse = |text: &str| Filter::parse(text, table).map_err(|error| Mistake::of(key, &error));
            text.map(parse).transpose()
        };
        let rows = filter("where", alert.rows.as_deref())?;
        let test = test(alert, table, &filter)?;
        let by = alert.by.as_ref().map(|by| columns("by", by, table)).transpose()?;
        let default = usual(&test, table);
        let words = Words::parse(alert.text.as_deref().unwrap_or(&default), table);
        let words = words.map_err(|(message, hint)| Mistake { key: "text", message, hint })?;
        let top = alert.top.iter().map(|top| top_of(top, tables)).collect::<Result<_, _>>()?;
        let calm = alert.keep_firing_for.map_or(if is_moment(&test) { MOMENT } else { CALM }, |span| span.0);
        let of = alert.of.as_deref().map(share).transpose()?;
        let tell = severity("tell", Some(alert.tell.as_deref().unwrap_or("careful")))?;
        let inhibited_by = alert.inhibited_by.iter().map(|one| inhibit(one, table)).collect::<Result<_, _>>()?;
        let mut rule = Self {
            name: alert.name.as_str().into(),
            table,
            rows,
            test,
            lasts: alert.lasts.map_or(Duration::ZERO, |span| span.0),
            of,
            calm,
            tell,
            by,
            words,
            top,
            inhibited_by,
            demands: Vec::new(),
            written: Box::new(alert.clone()),
        };
        rule.demands = rule.wants()?;
        Ok(rule)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of the table that it is about.
    pub fn table(&self) -> &str {
        &self.table.name
    }

    /// The tables that it reads.
    pub fn tables(&self) -> impl Iterator<Item = &'static Table> {
        self.top.iter().map(|(table, _)| *table).chain([self.table])
    }

    /// What must be collected so that who is at the top can be told.
    pub(super) fn of_top(&self) -> impl Iterator<Item = Demand> {
        let demands = |(table, column): &(&'static Table, usize)| {
            wanted::demands(table, &[*column], &Query::default(), Mode::Rate).unwrap_or_default()
        };
        self.top.iter().flat_map(demands).filter(|demand| !demand.columns.is_empty())
    }

    /// What must be collected for it.
    pub fn demands(&self) -> &[Demand] {
        &self.demands
    }

    /// Columns that it looks at.
    pub(super) fn columns(&self) -> Vec<usize> {
        let rows = self.rows.iter().flat_map(Filter::columns).copied();
        self.named().into_iter().chain(rows).collect()
    }

    /// Columns that it names: those that tell alerts apart, what must be so, and what people read.
    fn named(&self) -> Vec<usize> {
        let mut named = self.by.clone().unwrap_or_default();
        named.extend(self.words.columns());
        let equal = self.inhibited_by.iter().flat_map(|(_, equal)| equal.iter().map(|(own, _)| *own));
        named.extend(equal);
        match &self.test {
            Test::Value(Measure { of: Of::Column(column), .. }) | Test::Changes { column, .. } => named.push(*column),
            Test::Value(Measure { of: Of::Expr(expr), .. }) => named.extend(expr.columns()),
            Test::When { when, .. } => named.extend(when.columns()),
            Test::Happens { when, .. } => named.extend(when.iter().flat_map(Filter::columns)),
            Test::Count { .. } | Test::Gone { .. } => {}
        }
        if let Test::When { clear: Some(clear), .. } | Test::Changes { clear: Some(clear), .. } = &self.test {
            named.extend(clear.columns());
        }
        named
    }

    fn wants(&self) -> Result<Vec<Demand>, Mistake> {
        let named = self.named();
        let query = Query { filter: self.rows.clone(), ..Query::default() };
        let demands = wanted::demands(self.table, &named, &query, Mode::Rate);
        let mut demands = demands.map_err(|error| Mistake::new("where", error.to_string()).hint(error.hint()))?;
        // what is collected anyhow needs nobody who wants it
        demands.retain(|demand| self.table.attrs.demand || !demand.columns.is_empty());
        Ok(demands)
    }

    /// Whether it is about things that happen in a moment, of which nobody is told that they are over.
    pub(super) fn is_moment(&self) -> bool {
        is_moment(&self.test)
    }

    /// Whether it looks at what rows have been.
    pub(super) fn recalls(&self) -> bool {
        match &self.test {
            Test::Value(measure) => measure.over != Over::Now,
            Test::Changes { .. } => true,
            _ => false,
        }
    }

    /// The column whose unit its value has.
    pub(super) fn unit(&self) -> Option<usize> {
        match &self.test {
            Test::Value(Measure { of: Of::Column(column), .. }) => Some(*column),
            Test::Value(Measure { of: Of::Expr(expr), .. }) => match expr.columns() {
                [one] => Some(*one),
                _ => None,
            },
            _ => None,
        }
    }
}

fn is_moment(test: &Test) -> bool {
    matches!(test, Test::Changes { clear: None, .. } | Test::Happens { .. })
}

/// Whether something can be the name of a rule or of an action.
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MOST_LETTERS).contains(&name.len()) && name.bytes().all(fits)
}

fn table_of(key: &'static str, name: &str, tables: &[&'static Table]) -> Result<&'static Table, Mistake> {
    tables.iter().find(|table| table.name == name).copied().ok_or_else(|| {
        let near = nearest(name, tables.iter().map(|table| &*table.name));
        let mistake = Mistake::new(key, format!("there is no table `{}`", Text::from(name)));
        near.map_or(mistake.clone(), |near| mistake.hint(format!("did you mean `{near}`?")))
    })
}

fn column_of(key: &'static str, name: &str, table: &Table) -> Result<usize, Mistake> {
    table.position(name).ok_or_else(|| {
        let near = nearest(name, table.columns.iter().map(|column| &*column.name));
        let mistake = Mistake::new(key, format!("table `{}` has no column `{}`", table.name, Text::from(name)));
        near.map_or(mistake.clone(), |near| mistake.hint(format!("did you mean `{near}`?")))
    })
}

fn columns(key: &'static str, names: &[String], table: &Table) -> Result<Vec<usize>, Mistake> {
    names.iter().map(|name| column_of(key, name, table)).collect()
}

fn top_of(text: &str, tables: &[&'static Table]) -> Result<(&'static Table, usize), Mistake> {
    let (table, column) = text.split_once('.').ok_or_else(|| {
        Mistake::new("top", format!("`{}` is no table and column", Text::from(text))).hint("for example process.cpu")
    })?;
    let table = table_of("top", table, tables)?;
    Ok((table, column_of("top", column, table)?))
}

fn inhibit(one: &Inhibit, table: &Table) -> Result<(Text, Vec<(usize, String)>), Mistake> {
    if !is_name(&one.rule) {
        return Err(Mistake::new("inhibited_by", format!("`{}` is no name of a rule", Text::from(one.rule.as_str()))));
    }
    let equal = one.equal.iter().map(|(own, theirs)| Ok((column_of("inhibited_by", own, table)?, theirs.clone())));
    Ok((one.rule.as_str().into(), equal.collect::<Result<_, Mistake>>()?))
}

/// `"3/5"`
fn share(text: &str) -> Result<(u32, u32), Mistake> {
    let parts = text.split_once('/').and_then(|(n, m)| Some((n.parse::<u32>().ok()?, m.parse::<u32>().ok()?)));
    parts.filter(|(n, m)| (1..=*m).contains(n) && *m <= MOST_SAMPLES).ok_or_else(|| {
        Mistake::new("of", format!("`{}` is no number of samples", Text::from(text)))
            .hint(format!("for example 3/5; {MOST_SAMPLES} are looked at at most"))
    })
}

pub(super) fn severity(key: &'static str, word: Option<&str>) -> Result<Level, Mistake> {
    let word = word.unwrap_or("warning");
    let found = Level::ALL.into_iter().find(|level| *level > Level::Ok && level.name() == word);
    let wrong = || Mistake::new(key, format!("there is no severity `{}`", Text::from(word)));
    found.ok_or_else(|| wrong().hint("it is one of careful, warning, critical"))
}

fn test(alert: &Alert, table: &'static Table, filter: &Read<'_>) -> Result<Test, Mistake> {
    let kinds = [
        ("value", alert.value.is_some()),
        ("when", alert.when.is_some()),
        ("changes", alert.changes.is_some()),
        ("min", alert.min.is_some() || alert.max.is_some()),
        ("gone", alert.gone),
    ];
    let given: Vec<&'static str> = kinds.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect();
    let is_log = table.attrs.shape == Shape::Log;
    let key = match given.as_slice() {
        [] if is_log => "log",
        [] => return Err(Mistake::new("when", "one of value, when, changes, min, max and gone must be given")),
        ["when"] if is_log => "log",
        [one] if is_log => return Err(Mistake::new(one, "of a log only `when` can be asked")),
        [one] => one,
        [first, second, ..] => return Err(Mistake::new(second, format!("cannot be given beside `{first}`"))),
    };
    fits(alert, key)?;
    let severity = severity("severity", alert.severity.as_deref())?;
    Ok(match key {
        "value" => Test::Value(Measure::new(alert, table)?),
        "changes" => {
            let column = column_of("changes", alert.changes.as_deref().unwrap_or_default(), table)?;
            let clear = clear(alert, filter)?;
            if clear.is_none() && alert.lasts.is_some() {
                return Err(Mistake::new("for", "means nothing beside `changes` without `clear`: it is a moment"));
            }
            Test::Changes { column, from: alert.from.clone(), to: alert.to.clone(), clear, severity }
        }
        "min" => {
            let (min, max) = (alert.min.unwrap_or(0), alert.max.unwrap_or(u64::MAX));
            if min > max {
                return Err(Mistake::new("min", "is more than `max`"));
            }
            Test::Count { min, max, severity }
        }
        "gone" => Test::Gone { keep: alert.keep.map_or(MISSED, |span| span.0), severity },
        "log" if table.name == "event" && alert.when.is_none() => {
            return Err(Mistake::new(
                "table",
                "that an alert begins is an event, too: say which ones are meant with `when`",
            ));
        }
        "log" => Test::Happens { when: filter("when", alert.when.as_deref())?, severity },
        _ => {
            let clear = clear(alert, filter)?;
            let when = filter("when", alert.when.as_deref())?.ok_or_else(|| Mistake::new("when", "must be given"))?;
            Test::When { when, clear, severity }
        }
    })
}

/// An expression that ends it.
fn clear(alert: &Alert, filter: &Read<'_>) -> Result<Option<Filter>, Mistake> {
    match &alert.clear {
        None => Ok(None),
        Some(Limit::Text(text)) => filter("clear", Some(text)),
        Some(_) => Err(Mistake::new("clear", "must be an expression here")),
    }
}

/// Whether every key has a meaning beside what the rule is about.
fn fits(alert: &Alert, kind: &str) -> Result<(), Mistake> {
    let of_value = |key, is| (key, is, &["value"] as &[&str]);
    let keys = [
        of_value("careful", alert.careful.is_some()),
        of_value("warning", alert.warning.is_some()),
        of_value("critical", alert.critical.is_some()),
        of_value("delta", alert.delta.is_some()),
        of_value("forecast", alert.forecast.is_some()),
        ("clear", alert.clear.is_some(), &["value", "when", "changes"]),
        of_value("low_is_bad", alert.low_is_bad),
        of_value("missing", alert.missing.is_some()),
        ("least", alert.least.is_some(), &["value"]),
        ("severity", alert.severity.is_some(), &["when", "changes", "min", "gone", "log"]),
        ("from", !alert.from.is_empty(), &["changes"]),
        ("to", !alert.to.is_empty(), &["changes"]),
        ("keep", alert.keep.is_some(), &["gone"]),
        ("of", alert.of.is_some(), &["value", "when", "min"]),
        ("for", alert.lasts.is_some(), &["value", "when", "changes", "min", "gone"]),
    ];
    match keys.into_iter().find(|(_, is, kinds)| *is && !kinds.contains(&kind)) {
        Some((key, ..)) if kind == "log" => Err(Mistake::new(key, "means nothing for a log")),
        Some((key, ..)) => Err(Mistake::new(key, format!("means nothing beside `{kind}`"))),
        None => Ok(()),
    }
}

/// What people read if the rule does not say.
fn usual(test: &Test, table: &Table) -> String {
    let title = table.title().replace(['{', '}'], "");
    let column = |column: usize| {
        let title = table.columns.get(column).map_or("", |column| column.title());
        title.replace(['{', '}'], "")
    };
    match test {
        Test::Value(Measure { of: Of::Column(at), over: Over::Now, .. }) => {
            format!("{title} {{instance}}: {} is {{value}}", column(*at))
        }
        Test::Value(Measure { over: Over::Delta(span), .. }) => {
            format!("{title} {{instance}}: {{value}} more within {}", unit::duration(*span))
        }
        Test::Value(Measure { over: Over::Forecast(span), .. }) => {
            format!("{title} {{instance}}: {{value}} expected in {}", unit::duration(*span))
        }
        Test::Value(_) => format!("{title} {{instance}}: {{value}}"),
        Test::Changes { column: at, .. } => {
            let name = table.columns.get(*at).map_or("", |column| &*column.name);
            format!("{title} {{instance}}: {} is {{{name}}}, was {{was}}", column(*at))
        }
        Test::Count { min, max, .. } => {
            let most = if *max == u64::MAX { String::new() } else { max.to_string() };
            format!("{title}: {{count}} rows, expected {min}..{most}")
        }
        Test::Gone { .. } => format!("{title} {{instance}} is gone"),
        Test::When { .. } | Test::Happens { .. } => format!("{title} {{instance}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::made::{CpuRow, SampleRow};

    fn rule(text: &str) -> Result<Rule, String> {
        let alert: Alert = toml::from_str(text).map_err(|error| error.to_string())?;
        Rule::new(&alert, &[SampleRow::TABLE, CpuRow::TABLE]).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn each_way_to_write_a_rule_is_read() {
        for more in [
            "value = 'rss'\nwarning = '1Gi'\nclear = '900Mi'\nfor = '30s'",
            "value = 'phase'",
            "value = 'phase'\ncritical = 'gone'",
            "value = 'rss * 2'\ncareful = 10\ncritical = '1Ki'\nof = '3/5'",
            "value = 'rx_bytes'\ncareful = '1M'\nforecast = '10m'",
            "value = 'rss'\ncareful = '1M'\ndelta = '1h'\nby = ['name']",
            "when = 'phase == \"gone\" and share > 50%'\nclear = 'share < 20%'\nseverity = 'critical'",
            "changes = 'phase'\nfrom = ['running']\nto = ['gone']",
            "changes = 'phase'\nclear = 'up'\nfor = '3s'",
            "value = 'rss'\nwarning = '1Mi'\nlow_is_bad = true\nclear = '2Mi'\nmissing = 'ok'",
            "where = 'name =~ \"^qemu\"'\nmin = 1\nmax = 3",
            "gone = true\nkeep = '1h'\ntop = ['made_cpu.busy']\ntext = '{name} is gone'",
        ] {
            let text = format!("name = 'one'\ntable = 'sample'\n{more}\n");
            rule(&text).unwrap_or_else(|error| panic!("{more}: {error}"));
        }
    }

    #[test]
    fn mistakes_name_the_key_and_what_was_meant() {
        for (more, told) in [
            ("", "when: one of value, when"),
            ("value = 'rs'", "value: "),
            ("value = 'rss'\nwhen = 'up'", "when: cannot be given beside `value`"),
            ("value = 'rss'\ncareful = '5s'", "careful: "),
            ("value = 'rss / 2'", "careful: one of careful"),
            ("value = 'rss / 2'\ncareful = 1\nwarning = 3\ncritical = 2", "warning: must lie between"),
            ("value = 'rss'\nseverity = 'critical'\ncareful = 1", "severity: means nothing beside `value`"),
            ("value = 'rss'\ncareful = 1\ndelta = '1m'\nforecast = '1m'", "forecast: cannot"),
            ("value = 'rss'\ncareful = 1\nof = '4/3'", "of: `4/3` is no number of samples"),
            ("value = 'rss'\ncareful = 1\ncritical = 2\nlow_is_bad = true", "low_is_bad: careful must be above"),
            ("value = 'phase'\nlow_is_bad = true", "low_is_bad: means nothing without"),
            ("value = 'rss'\nwarning = '1Mi'\nclear = '2Mi'", "clear: is above the limit"),
            ("value = 'rss * 2'\nwarning = 10\nlow_is_bad = true\nclear = 5", "clear: is below the limit"),
            ("when = 'up'\ntell = 'all'", "tell: there is no severity `all`"),
            ("value = 'rss'\nwarning = '1Mi'\nmissing = 'bad'", "missing: is `keep` or `ok`"),
            ("changes = 'phase'\nfor = '3s'", "for: means nothing beside `changes` without `clear`"),
            ("when = 'up'\nseverity = 'bad'", "severity: there is no severity `bad`"),
            ("when = 'upp'", "when: "),
            ("changes = 'phse'", "changes: table `sample` has no column `phse` (did you mean `phase`?)"),
            ("gone = true\nby = ['nam']", "by: table `sample` has no column `nam` (did you mean `name`?)"),
            ("gone = true\ntext = '{nam}'", "text: table `sample` has no column `nam` (did you mean `{name}`?)"),
            ("gone = true\ntop = ['made_cpu.bus']", "top: table `made_cpu` has no column `bus`"),
            ("min = 3\nmax = 2", "min: is more than `max`"),
            ("gone = true\nfor = '400d'", "more than a year"),
            ("gone = true\nevery = 1", "unknown field `every`"),
        ] {
            let error = rule(&format!("name = 'one'\ntable = 'sample'\n{more}\n")).unwrap_err();
            assert!(error.contains(told), "{more}: {error}");
        }
        let error = rule("name = 'One'\ntable = 'sample'\ngone = true").unwrap_err();
        assert!(error.starts_with("name: `One` is no name"), "{error}");
        let error = rule("name = 'one'\ntable = 'sampel'\ngone = true").unwrap_err();
        assert_eq!(error, "table: there is no table `sampel` (did you mean `sample`?)");
    }
}
