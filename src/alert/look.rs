//! How bad is a row by a rule?

use super::measure::{LEVELS, MARGIN, Measure, Of, Over};
use super::past::Past;
use super::rule::{Rule, Test};
use super::words;
use crate::model::{Cell, Kind, Level, Mono};
use crate::store::expr::Filter;
use crate::store::level::{Begins, Thresholds};
use crate::store::rate::View;

/// What a row says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// How bad it is; `None` is that nobody knows.
    pub(super) level: Option<Level>,
    /// The value that is compared.
    pub(super) value: Option<f64>,
    /// The limit that it has passed.
    pub(super) limit: Option<f64>,
    /// Whether low values are bad.
    pub(super) low_is_bad: bool,
    /// What was there before a change.
    pub(super) was: Option<Box<str>>,
}

/// How a row is looked at.
pub(super) struct How<'a> {
    /// Levels of the configuration.
    pub(super) configured: &'a Thresholds,
    /// How bad its alert has been until now.
    pub(super) current: Level,
    /// What it has been, for rules that look at that.
    pub(super) past: Option<&'a mut Past>,
    pub(super) mono: Mono,
}

/// Looks at a row.
pub(super) fn row(rule: &Rule, view: &View, row: usize, how: How<'_>) -> Found {
    let current = how.current;
    match &rule.test {
        Test::Value(measure) => {
            let mut found = value(measure, view, row, how);
            found.level = found.level.map(|level| if level < measure.least { Level::Ok } else { level });
            found
        }
        Test::When { when, clear, severity } => {
            let keeps = |filter: &Filter| filter.keeps(&view.scope(row));
            // what is neither bad nor over stays as it is
            let holds = keeps(when) || (current > Level::Ok && clear.as_ref().is_some_and(|clear| !keeps(clear)));
            Found { level: Some(if holds { *severity } else { Level::Ok }), ..Found::default() }
        }
        Test::Changes { column, from, to, clear, severity } => {
            let Some(past) = how.past else { return Found::default() };
            let word = words::id(view, row, *column);
            let was = past.word.replace(word.clone().into());
            let fits = |listed: &[String], word: &str| listed.is_empty() || listed.iter().any(|one| one == word);
            let lasts = current > Level::Ok && clear.as_ref().is_some_and(|clear| !clear.keeps(&view.scope(row)));
            let changed = was.as_deref().is_some_and(|was| was != word && fits(from, was)) && fits(to, &word);
            if changed {
                past.was.clone_from(&was);
            }
            let was = if lasts { past.was.clone() } else { was };
            Found { level: Some(if changed || lasts { *severity } else { Level::Ok }), was, ..Found::default() }
        }
        // those that are there are as they should be
        Test::Gone { .. } => Found { level: Some(Level::Ok), ..Found::default() },
        Test::Happens { severity, .. } => Found { level: Some(*severity), ..Found::default() },
        Test::Count { .. } => Found::default(),
    }
}

fn value(measure: &Measure, view: &View, row: usize, how: How<'_>) -> Found {
    let How { configured, current, past, mono } = how;
    let begins = measure.begins(configured, view, row);
    if let Of::Column(column) = measure.of
        && let Cell::Label(word) = view.raw().cell(row, column)
    {
        let listed = match begins {
            Some(Begins::Words(words)) => words.iter().filter(|(one, _)| one == word).map(|(_, level)| *level).max(),
            _ => None,
        };
        let own = || view.table().columns.get(column).map_or(Level::Ok, |column| column.label_level(word));
        return Found { level: Some(listed.unwrap_or_else(own)), ..Found::default() };
    }
    let Some(Begins::Numbers { values, low_is_bad }) = begins else { return Found::default() };
    let now = match &measure.of {
        Of::Column(column) if view.table().columns.get(*column).is_some_and(|column| column.kind == Kind::Counter) => {
            view.rate(row, *column)
        }
        Of::Column(column) => view.cell(row, *column).number(),
        Of::Expr(expr) => expr.value(&view.scope(row)),
    };
    let Some(now) = now.filter(|now| now.is_finite()) else {
        return Found { level: measure.missing, low_is_bad, ..Found::default() };
    };
    let told = match (measure.over, past) {
        (Over::Now, _) => Some(now),
        (Over::Delta(span), Some(past)) => past.delta(now, span, mono),
        (Over::Forecast(span), Some(past)) => past.forecast(now, span, mono),
        (Over::Delta(_) | Over::Forecast(_), None) => None,
    };
    let level = told.map(|told| level(told, values, low_is_bad, (measure.clear, measure.least), current));
    let at = level.and_then(|level| LEVELS.iter().position(|one| *one == level));
    Found { level, value: told, limit: at.and_then(|at| values[at]), low_is_bad, was: None }
}

/// How bad a value is for somebody at a level: it stays there until the value has come back by a margin, or to what clears the
/// mildest level that counts.
fn level(
    value: f64,
    values: [Option<f64>; 3],
    low_is_bad: bool,
    (clear, least): (Option<f64>, Level),
    current: Level,
) -> Level {
    let reached = |limit: f64| if low_is_bad { value <= limit } else { value >= limit };
    let mut known = LEVELS.iter().zip(values).filter_map(|(level, limit)| Some((*level, limit?)));
    let raw = known.clone().filter(|(_, limit)| reached(*limit)).map(|(level, _)| level).max().unwrap_or_default();
    let mildest = known.find(|(level, _)| *level >= least).map(|(level, _)| level);
    let stays = |(level, limit): (Level, f64)| {
        let back = match clear {
            Some(clear) if mildest == Some(level) => clear,
            _ if low_is_bad => limit + limit.abs() * MARGIN,
            _ => limit - limit.abs() * MARGIN,
        };
        if low_is_bad { value < back } else { value > back }
    };
    let levels = LEVELS.iter().zip(values).filter_map(|(level, limit)| Some((*level, limit?)));
    let held = levels.filter(|(level, _)| *level <= current).filter(|one| stays(*one)).map(|(level, _)| level).max();
    raw.max(held.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Level::{Careful, Critical, Ok as Fine, Warning};

    #[test]
    fn a_value_stays_at_its_level_until_it_has_come_back() {
        let values = [None, Some(0.8), Some(0.9)];
        let at = |value, current| level(value, values, false, (Some(0.7), Careful), current);
        assert_eq!([at(0.79, Fine), at(0.8, Fine), at(0.9, Fine)], [Fine, Warning, Critical]);
        assert_eq!([at(0.88, Critical), at(0.85, Critical)], [Critical, Warning]);
        assert_eq!([at(0.75, Warning), at(0.75, Critical), at(0.7, Warning)], [Warning, Warning, Fine]);
        // without one, five percent
        let at = |value, current| level(value, values, false, (None, Careful), current);
        assert_eq!([at(0.77, Warning), at(0.75, Warning), at(0.77, Fine)], [Warning, Fine, Fine]);
        // what is milder than what counts is not what must be cleared
        let values = [Some(0.5), Some(0.7), Some(0.9)];
        let at = |value, current| level(value, values, false, (Some(0.6), Warning), current);
        assert_eq!([at(0.65, Warning), at(0.6, Warning), at(0.65, Fine)], [Warning, Careful, Careful]);
    }

    #[test]
    fn low_is_bad_the_other_way_round() {
        let values = [Some(3600.0), Some(900.0), Some(180.0)];
        let at = |value, current| level(value, values, true, (None, Careful), current);
        assert_eq!([at(4000.0, Fine), at(3600.0, Fine), at(100.0, Fine)], [Fine, Careful, Critical]);
        assert_eq!([at(185.0, Critical), at(200.0, Critical), at(3700.0, Careful)], [Critical, Warning, Careful]);
    }

    #[test]
    fn nothing_is_no_level_of_a_limit_of_nothing() {
        let at = |value, current| level(value, [None, Some(1.0), None], false, (None, Careful), current);
        assert_eq!([at(0.0, Warning), at(1.0, Fine)], [Fine, Warning]);
        // a limit of zero is always passed by what is no less
        assert_eq!(level(0.0, [Some(0.0), None, None], false, (None, Careful), Fine), Careful);
    }
}
