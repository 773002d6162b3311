//! Which value does a rule compare, with which limits?

use std::time::Duration;

use super::rule::{Mistake, severity};
use super::settings::Alert;
use crate::model::{Level, Table, Type, unit};
use crate::store::expr::Expr;
use crate::store::level::{Begins, Limit, Threshold, Thresholds};
use crate::store::rate::View;

/// Levels that limits are of.
pub(super) const LEVELS: [Level; 3] = [Level::Careful, Level::Warning, Level::Critical];

/// A share of a limit by which a value must come back before it is no longer above it, if the rule has no `clear`.
pub(super) const MARGIN: f64 = 0.05;

/// A value that is compared with limits.
#[derive(Debug)]
pub(super) struct Measure {
    pub(super) of: Of,
    pub(super) limits: Own,
    /// Whether low values are bad, whatever the order of the limits says.
    low_is_bad: bool,
    /// How bad it is when there is no value; `None` is that nobody knows.
    pub(super) missing: Option<Level>,
    /// What it must come back to.
    pub(super) clear: Option<f64>,
    /// What is milder is none.
    pub(super) least: Level,
    pub(super) over: Over,
}

#[derive(Debug)]
pub(super) enum Of {
    Column(usize),
    Expr(Expr),
}

/// Limits of a rule.
#[derive(Debug)]
pub(super) enum Own {
    /// It has none: those of the configuration.
    Configured,
    /// Of a column.
    Column(Thresholds),
    /// Of an expression: careful, warning, critical, and whether low is bad.
    Numbers([Option<f64>; 3], bool),
}

/// Over which time a value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Now,
    Delta(Duration),
    Forecast(Duration),
}

impl Measure {
    /// Reads what a rule says of its value.
    ///
    /// # Errors
    /// The first mistake.
    pub(super) fn new(alert: &Alert, table: &'static Table) -> Result<Self, Mistake> {
        measure(alert, table)
    }

    /// The limits for a row.
    pub(super) fn begins<'a>(&'a self, configured: &'a Thresholds, view: &View, row: usize) -> Option<Begins<'a>> {
        let begins = match (&self.limits, &self.of) {
            (Own::Numbers(values, low_is_bad), _) => Some(Begins::Numbers { values: *values, low_is_bad: *low_is_bad }),
            (Own::Column(own), Of::Column(column)) => own.begins(view, row, *column),
            (Own::Configured, Of::Column(column)) => configured.begins(view, row, *column),
            (_, Of::Expr(_)) => None,
        };
        match begins {
            Some(Begins::Numbers { values, low_is_bad }) => {
                Some(Begins::Numbers { values, low_is_bad: low_is_bad || self.low_is_bad })
            }
            begins => begins,
        }
    }
}

fn measure(alert: &Alert, table: &'static Table) -> Result<Measure, Mistake> {
    let text = alert.value.as_deref().unwrap_or_default();
    let of = match table.position(text.trim()) {
        Some(column) => Of::Column(column),
        None => Of::Expr(Expr::numeric(text, table).map_err(|error| Mistake::of("value", &error))?),
    };
    let limits = [&alert.careful, &alert.warning, &alert.critical];
    let over = match (alert.delta, alert.forecast) {
        (Some(_), Some(_)) => return Err(Mistake::new("forecast", "cannot be given beside `delta`")),
        (Some(span), None) if !span.0.is_zero() => Over::Delta(span.0),
        (None, Some(span)) if !span.0.is_zero() => Over::Forecast(span.0),
        (None, None) => Over::Now,
        _ => return Err(Mistake::new("delta", "must last")),
    };
    let is_word = |column: usize| table.columns.get(column).is_some_and(|column| column.ty == Type::Label);
    let own = match &of {
        Of::Column(column) if is_word(*column) && (over != Over::Now || alert.clear.is_some()) => {
            return Err(Mistake::new("value", "is a column of words"));
        }
        Of::Column(_) if limits.iter().all(|limit| limit.is_none()) => Own::Configured,
        Of::Column(column) => {
            let own = own_limits(alert, table)?;
            // numbers are the same for every row
            match own.everywhere(table, *column) {
                Some(Begins::Numbers { values, low_is_bad }) => Own::Numbers(values, low_is_bad),
                _ => Own::Column(own),
            }
        }
        Of::Expr(_) => {
            let values = [
                number("careful", limits[0].as_ref())?,
                number("warning", limits[1].as_ref())?,
                number("critical", limits[2].as_ref())?,
            ];
            Own::Numbers(values, is_falling(values)?)
        }
    };
    let unit = match &of {
        Of::Column(column) => table.columns.get(*column).map(|column| column.unit),
        Of::Expr(_) => None,
    };
    let clear = match (&alert.clear, unit) {
        (None, _) => None,
        (Some(Limit::Number(number)), _) => Some(*number),
        (Some(Limit::Text(text)), Some(unit)) => {
            Some(unit::parse_as(text, unit).map_err(|cause| Mistake::new("clear", cause.to_string()))?)
        }
        (Some(limit), None) => number("clear", Some(limit))?,
        _ => return Err(Mistake::new("clear", "must be one number")),
    };
    // a person who looks sees what is careful by the configuration; nobody is called for it
    let least = match (&alert.least, &own) {
        (None, Own::Column(_) | Own::Numbers(..)) => Level::Careful,
        (least, _) => severity("least", least.as_deref())?,
    };
    let missing = match alert.missing.as_deref() {
        None | Some("keep") => None,
        Some("ok") => Some(Level::Ok),
        Some(_) => return Err(Mistake::new("missing", "is `keep` or `ok`")),
    };
    let measure = Measure { of, limits: own, low_is_bad: alert.low_is_bad, missing, clear, least, over };
    sides(&measure, alert, table)?;
    Ok(measure)
}

/// Whether the limits, what clears them, and the side that is bad go together.
fn sides(measure: &Measure, alert: &Alert, table: &'static Table) -> Result<(), Mistake> {
    let begins = match &measure.limits {
        Own::Configured => None,
        Own::Numbers(values, low_is_bad) => Some((*values, *low_is_bad)),
        Own::Column(own) => {
            let column = alert.value.as_deref().unwrap_or_default().trim();
            own.rules(table, column).find_map(|found| match found.begins {
                Begins::Numbers { values, low_is_bad } => Some((values, low_is_bad)),
                Begins::Words(_) => None,
            })
        }
    };
    let Some((values, falls)) = begins else {
        let wrong = || Mistake::new("low_is_bad", "means nothing without limits that are numbers");
        return if alert.low_is_bad { Err(wrong()) } else { Ok(()) };
    };
    let known: Vec<f64> = values.into_iter().flatten().collect();
    if alert.low_is_bad && !falls && known.len() > 1 {
        return Err(Mistake::new("low_is_bad", "careful must be above critical where low is bad"));
    }
    let low_is_bad = falls || alert.low_is_bad;
    let mildest = LEVELS.iter().zip(values).filter(|(level, _)| **level >= measure.least).find_map(|(_, limit)| limit);
    if let (Some(clear), Some(limit)) = (measure.clear, mildest)
        && (if low_is_bad { clear < limit } else { clear > limit })
    {
        let side = if low_is_bad { "below" } else { "above" };
        let hint = if low_is_bad { "it must be above it" } else { "with `low_is_bad = true` low values are bad" };
        return Err(Mistake::new("clear", format!("is {side} the limit that it is to come back from")).hint(hint));
    }
    Ok(())
}

fn own_limits(alert: &Alert, table: &'static Table) -> Result<Thresholds, Mistake> {
    let threshold = Threshold {
        table: table.name.to_string(),
        column: alert.value.as_deref().unwrap_or_default().trim().to_owned(),
        row: None,
        careful: alert.careful.clone(),
        warning: alert.warning.clone(),
        critical: alert.critical.clone(),
    };
    Thresholds::new(&[threshold], [table]).map_err(|errors| match errors.into_iter().next() {
        Some(error) => Mistake { key: error.key, message: error.message, hint: error.hint },
        None => Mistake::new("value", "makes no sense"),
    })
}

fn number(key: &'static str, limit: Option<&Limit>) -> Result<Option<f64>, Mistake> {
    match limit {
        None => Ok(None),
        Some(Limit::Number(number)) => Ok(Some(*number)),
        Some(Limit::Text(text)) => {
            unit::parse(text).map(|(number, _)| Some(number)).map_err(|cause| Mistake::new(key, cause.to_string()))
        }
        Some(Limit::Words(_)) => Err(Mistake::new(key, "must be a number")),
    }
}

/// Whether low is bad.
fn is_falling(values: [Option<f64>; 3]) -> Result<bool, Mistake> {
    let known: Vec<f64> = values.into_iter().flatten().collect();
    match (known.first(), known.last()) {
        (Some(first), Some(last)) => {
            let falls = first > last;
            let in_order = known.windows(2).all(|pair| if falls { pair[0] > pair[1] } else { pair[0] <= pair[1] });
            in_order.then_some(falls).ok_or_else(|| Mistake::new("warning", "must lie between careful and critical"))
        }
        _ => Err(Mistake::new("careful", "one of careful, warning and critical must be given")),
    }
}
