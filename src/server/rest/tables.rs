//! Which rows does a table have, for a program that asks over HTTP?
//!
//! The same words and the same JSON as `netglance show --format json`.

use serde_json::json;

use super::answer::{Answer, Refusal};
use super::query::{Parameter, Query as Asked};
use super::{Api, CSV, Call, JSON, Outcome};
use crate::export::{self, Format, Selection};
use crate::model::{Demand, Snapshot, Table};
use crate::store::expr::Filter;
use crate::store::query::{self, Order, Query};
use crate::store::rate::{Mode, View};
use crate::store::wanted;
use crate::wire::schema;

/// Rows of an answer unless the request says otherwise.
const LIMIT: usize = 1000;

/// Rows of an answer at most.
const MAX_LIMIT: usize = 10_000;

/// What may be asked of a table.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter { name: "where", about: "Only rows for which this expression is true.", ty: "string" },
    Parameter { name: "sort", about: "Column to sort by; with - in front the largest first.", ty: "string" },
    Parameter { name: "limit", about: "At most so many rows: 1000 if not given, 10000 at most.", ty: "integer" },
    Parameter { name: "columns", about: "Columns with commas between them; all if not given.", ty: "string" },
    Parameter { name: "rate", about: "Counters as change per second instead of totals.", ty: "boolean" },
];

/// Describes every table.
pub(super) fn schema() -> Answer {
    Answer::new(JSON, format!("{}\n", export::schema(schema::own().tables)))
}

/// How every table fares.
pub(super) fn list(snapshot: &Snapshot) -> Answer {
    let tables = schema::own().tables.iter().map(|table| {
        let state = snapshot.get(&table.name);
        let status = state.map(|state| &state.status);
        let sample = state.and_then(|state| state.now.as_ref());
        json!({
            "name": table.name,
            "on_demand": table.attrs.demand,
            "state": status.map(|status| status.state.name()),
            "reason": status.map(|status| status.reason.as_str()),
            "hint": status.map(|status| status.hint.as_str()),
            "rows": sample.map(|sample| sample.rows.len()),
            "time": sample.map(|sample| sample.time.0 as f64 / 1e9),
        })
    });
    Answer::new(JSON, format!("{}\n", tables.collect::<serde_json::Value>()))
}

/// The table of a name.
pub(super) fn table(name: &str) -> Result<&'static Table, Refusal> {
    let tables = schema::own().tables;
    tables.iter().copied().find(|table| table.name == name).ok_or_else(|| {
        let known = tables.iter().map(|table| &*table.name);
        Refusal::not_found(format!("there is no table `{name}`"), name, known)
    })
}

/// Position of a column that a parameter names.
fn column(table: &Table, name: &str) -> Result<usize, Refusal> {
    table.position(name).ok_or_else(|| {
        let near = crate::store::expr::nearest(name, table.columns.iter().map(|column| &*column.name));
        let hint =
            near.map_or_else(|| "/api/v1/schema lists them".to_owned(), |near| format!("did you mean `{near}`?"));
        Refusal::bad(format!("table {} has no column `{name}`", table.name), hint)
    })
}

/// The rows that `where` keeps.
pub(super) fn filter(asked: &Asked, table: &Table) -> Result<Option<Filter>, Refusal> {
    let read = |text| Filter::parse(text, table).map_err(|error| Refusal::expression("where", &error));
    asked.get("where").map(read).transpose()
}

fn sort(asked: &Asked, table: &Table) -> Result<Vec<(usize, Order)>, Refusal> {
    let by = |text: &str| match text.strip_prefix('-') {
        Some(name) => column(table, name).map(|column| (column, Order::Descending)),
        None => column(table, text).map(|column| (column, Order::Ascending)),
    };
    Ok(asked.get("sort").map(by).transpose()?.into_iter().collect())
}

fn limit(asked: &Asked) -> Result<usize, Refusal> {
    let Some(text) = asked.get("limit") else { return Ok(LIMIT) };
    let limit = text.parse::<usize>().ok().filter(|limit| *limit <= MAX_LIMIT);
    limit.ok_or_else(|| Refusal::bad(format!("`limit` is no whole number up to {MAX_LIMIT}: `{text}`"), ""))
}

fn columns(asked: &Asked, table: &Table) -> Result<Vec<usize>, Refusal> {
    let Some(text) = asked.get("columns") else { return Ok(Vec::new()) };
    let mut columns = Vec::new();
    for name in text.split(',').map(str::trim) {
        let column = column(table, name)?;
        if columns.contains(&column) {
            return Err(Refusal::bad(format!("column `{name}` is named twice"), "name it once"));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// What is asked of a table.
pub(super) struct Question {
    /// Columns that are named; none means all.
    named: Vec<usize>,
    limit: usize,
    mode: Mode,
    query: Query,
    /// What must be collected for it.
    demands: Vec<Demand>,
}

impl Question {
    /// Reads the parameters.
    ///
    /// # Errors
    /// One of them makes no sense for this table.
    pub(super) fn read(asked: &Asked, table: &Table) -> Result<Self, Refusal> {
        let (named, limit, rate) = (columns(asked, table)?, limit(asked)?, asked.switch("rate")?);
        // one more tells that there are more
        let query = Query { filter: filter(asked, table)?, sort: sort(asked, table)?, limit: Some(limit + 1) };
        let mode = if rate { Mode::Rate } else { Mode::Total };
        let demands = wanted::demands(table, &named, &query, mode)
            .map_err(|error| Refusal::bad(error.to_string(), error.hint()))?;
        Ok(Self { named, limit, mode, query, demands })
    }
}

/// Rows of a table.
pub(super) async fn rows(api: &Api, call: &Call) -> Outcome {
    let table = table(call.part(0))?;
    let Question { named, limit, mode, query, demands } = Question::read(&call.query, table)?;
    let found = api.waiting.sampled(&api.sampled, call.caller, table, &demands).await;
    let (state, sample) = found.map_err(|lack| Refusal::lack(&table.name, lack))?;
    let view = View::new(&sample, state.before.as_ref(), mode);
    let mut rows = query::run(&view, &query);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let columns = if named.is_empty() { (0..table.columns.len()).collect() } else { named };
    let cell = |row, column| view.cell(row, column);
    let unknown = |row, column| view.unknown(row, column);
    let (rate, time) = (mode == Mode::Rate, sample.time);
    let what = Selection { table, columns: &columns, rows: &rows, cell: &cell, unknown: &unknown, rate, time };
    let mut body = Vec::new();
    let format = if call.media == CSV { Format::Csv } else { Format::Json };
    export::write(&mut body, format, &what, true).map_err(|error| Refusal::unavailable(error.to_string(), ""))?;
    let mut answer = Answer::new(call.media, body);
    answer.header("netglance-time", &format!("{:.3}", sample.time.0 as f64 / 1e9));
    answer.header("netglance-more", if more { "true" } else { "false" });
    if !state.status.reason.is_empty() {
        answer.header("netglance-warning", &state.status.reason);
    }
    Ok(answer)
}
