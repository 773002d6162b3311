//! How has a number changed, for a program that asks over HTTP?
//!
//! One series for each row that is there now and that `where` keeps. A stretch in which nothing was measured is `null`,
//! never zero.

use std::io::Write as _;
use std::time::Duration;

use super::answer::{Answer, Refusal};
use super::query::{Parameter, Query as Asked};
use super::{Api, Call, JSON, Outcome, tables};
use crate::export;
use crate::model::{Cell, Detail, HistoryAsk, Key, Mono, Series, Table, unit};
use crate::server::waited;
use crate::store::query::{self, Query};
use crate::store::rate::{Mode, View};

/// Rows of an answer at most.
const MAX_ROWS: usize = 16;

/// Points of a series at most; the newest.
const MAX_POINTS: usize = 4096;

/// Shortest step.
const SHORTEST: Duration = Duration::from_millis(100);

/// What may be asked of the past.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter { name: "where", about: "Only rows for which this expression is true, 16 at most.", ty: "string" },
    Parameter { name: "since", about: "How far back, such as 10m; as far as it goes if not given.", ty: "string" },
    Parameter {
        name: "step",
        about: "One point for each span such as 10s; as they are kept if not given.",
        ty: "string",
    },
];

/// What is asked of the past of a column.
pub(super) struct Question {
    since: Option<Duration>,
    detail: Detail,
    query: Query,
}

/// Reads the parameters, and whether the column has a past.
///
/// # Errors
/// There is no such column, it is no number, or a parameter makes no sense.
pub(super) fn question(asked: &Asked, table: &Table, name: &str) -> Result<Question, Refusal> {
    let known = || table.columns.iter().filter(|column| column.is_numeric()).map(|column| &*column.name);
    let unknown = || Refusal::not_found(format!("table {} has no column `{name}`", table.name), name, known());
    let (_, column) = table.column(name).ok_or_else(unknown)?;
    if !column.is_numeric() {
        return Err(Refusal::bad(format!("`{name}` is no number and has no past"), ""));
    }
    let (since, step) = (span(asked, "since")?, span(asked, "step")?);
    let detail = match step {
        Some(step) => Detail::Step(step.max(SHORTEST)),
        None => Detail::Newest(MAX_POINTS),
    };
    let query = Query { filter: tables::filter(asked, table)?, limit: Some(MAX_ROWS + 1), ..Query::default() };
    Ok(Question { since, detail, query })
}

/// The past of a column.
pub(super) async fn series(api: &Api, call: &Call) -> Outcome {
    let (table, name) = (tables::table(call.part(0))?, call.part(1));
    let Question { since, detail, query } = question(&call.query, table, name)?;
    let (state, sample) =
        waited::current(&api.sampled, call.caller, table).map_err(|lack| Refusal::lack(&table.name, lack))?;
    let view = View::new(&sample, state.before.as_ref(), Mode::Rate);
    let rows = query::run(&view, &query);
    if rows.len() > MAX_ROWS {
        let error = format!("more than {MAX_ROWS} rows of {} are meant", table.name);
        return Err(Refusal::bad(error, "say with where=... which ones"));
    }
    let back =
        |since: Duration| Mono(sample.mono.0.saturating_sub(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)));
    let mut asks = Vec::new();
    for &row in &rows {
        let all = HistoryAsk::all(&table.name, name, Key::of(view.raw(), row));
        let ask = HistoryAsk { since: since.map(back), until: Some(sample.mono), detail, ..all };
        let silent = |why: crate::model::Text| Refusal::unavailable(why.to_string(), "");
        asks.push((row, api.sampled.history(&ask).await.map_err(silent)?.unwrap_or_default()));
    }
    // what was measured has the monotonic time of this host; people want the time of day
    let clock = |mono: Mono| (i128::from(sample.time.0) + i128::from(mono.0) - i128::from(sample.mono.0)) as f64 / 1e9;
    let mut body = Vec::new();
    write(&mut body, &view, &asks, &clock).map_err(|error| Refusal::unavailable(error.to_string(), ""))?;
    Ok(Answer::new(JSON, body))
}

fn span(asked: &Asked, name: &str) -> Result<Option<Duration>, Refusal> {
    let bad = |text: &str| Refusal::bad(format!("`{name}` is no span: `{text}`"), "write it as 90s, 10m or 2h");
    let read = |text: &str| unit::parse_duration(text).map_err(|_| bad(text));
    asked.get(name).map(read).transpose()
}

/// A number as JSON. The past keeps 32 bits of each: written with more digits, a value would not be the one that was measured.
fn number(value: f64) -> String {
    let kept = value as f32;
    match value.is_finite() {
        true if f64::from(kept).to_bits() == value.to_bits() => kept.to_string(),
        true => value.to_string(),
        false => "null".to_owned(),
    }
}

/// Cells of a row's Ids with their names.
fn ids(view: &View, row: usize) -> impl Iterator<Item = (&str, Cell<'_>)> {
    let named = move |id: usize| Some((&*view.table().columns.get(id)?.name, view.raw().cell(row, id)));
    view.table().ids().filter_map(named)
}

fn write(out: &mut Vec<u8>, view: &View, asks: &[(usize, Series)], clock: &dyn Fn(Mono) -> f64) -> std::io::Result<()> {
    out.write_all(b"[")?;
    for (n, (row, series)) in asks.iter().enumerate() {
        out.write_all(if n > 0 { b",{\"row\":" } else { b"{\"row\":" })?;
        export::write_object(out, ids(view, *row))?;
        out.write_all(b",\"points\":[")?;
        for (n, point) in series.points.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let (from, time) = (clock(point.from), clock(point.time));
            let (mean, least, most) = (number(point.mean), number(point.least), number(point.most));
            write!(
                out,
                "{comma}{{\"from\":{from:.3},\"time\":{time:.3},\"mean\":{mean},\"least\":{least},\"most\":{most}}}"
            )?;
        }
        out.write_all(b"]}")?;
    }
    out.write_all(b"]\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_it_was_measured_with() {
        let written = [7.86_f32.into(), 1.0 / 3.0, 5e9, f64::NAN].map(number);
        assert_eq!(written, ["7.86", "0.3333333333333333", "5000000000", "null"]);
    }
}
