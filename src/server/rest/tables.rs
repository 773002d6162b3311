//! Which rows does a table have, for a program that asks over HTTP?
//!
//! The same words and the same JSON as `netglance show --format json`. What nobody else wants is demanded for the length of
//! the request, and waited for.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::answer::{Answer, Refusal};
use super::query::{Parameter, Query as Asked};
use super::{Api, CSV, Call, JSON, Outcome};
use crate::export::{self, Format, Selection};
use crate::model::{Demand, Mono, Snapshot, State, Status, Table, TableState};
use crate::server::caller::Caller;
use crate::server::sampled::Sampled;
use crate::store::expr::Filter;
use crate::store::query::{self, Order, Query};
use crate::store::rate::{Mode, View};
use crate::store::wanted;
use crate::wire::schema;

/// Rows of an answer unless the request says otherwise.
const LIMIT: usize = 1000;

/// Rows of an answer at most.
const MAX_LIMIT: usize = 10_000;

/// Longest wait for a sample of what nobody else wants.
const WAIT: Duration = Duration::from_secs(2);

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
    let (state, sample) = sampled(api, call.caller, table, &demands).await?;
    let view = View::new(&sample, state.before.as_ref(), mode);
    let mut rows = query::run(&view, &query);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let columns = if named.is_empty() { (0..table.columns.len()).collect() } else { named };
    let cell = |row, column| view.cell(row, column);
    let what =
        Selection { table, columns: &columns, rows: &rows, cell: &cell, rate: mode == Mode::Rate, time: sample.time };
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

/// The newest sample of a table with what is demanded of it.
async fn sampled(
    api: &Api,
    caller: Caller,
    table: &Table,
    demands: &[Demand],
) -> Result<(TableState, crate::model::Sample), Refusal> {
    let special = table.attrs.demand || demands.iter().any(|demand| !demand.columns.is_empty());
    if special {
        return waited(api, caller, table, demands).await;
    }
    current(api, caller, table)
}

/// The newest sample of a table that is collected anyway.
pub(super) fn current(api: &Api, caller: Caller, table: &Table) -> Result<(TableState, crate::model::Sample), Refusal> {
    let state = caller.latest(&api.sampled).get(&table.name).cloned();
    state.ok_or_else(|| Refusal::source(&table.name, &Status::ok())).and_then(|state| usable(table, state))
}

/// A state whose sample may be shown.
fn usable(table: &Table, state: TableState) -> Result<(TableState, crate::model::Sample), Refusal> {
    match state.now.clone() {
        Some(sample) if state.status.state == State::Ok => Ok((state, sample)),
        _ => Err(Refusal::source(&table.name, &state.status)),
    }
}

/// A reader's wish, for as long as this lives.
struct Wish<'a> {
    sampled: &'a Arc<Sampled>,
    reader: u64,
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        // to want nothing is never too much
        let _ = self.sampled.demand(self.reader, &[]);
    }
}

/// Demands, and waits for a sample that was taken since.
async fn waited(
    api: &Api,
    caller: Caller,
    table: &Table,
    demands: &[Demand],
) -> Result<(TableState, crate::model::Sample), Refusal> {
    let busy = |_| Refusal::busy("too many requests wait for samples that nobody else wants");
    let _permit = api.waiting.try_acquire().map_err(busy)?;
    let begun = Mono::now();
    let mut changes = api.sampled.changes();
    let wish = Wish { sampled: &api.sampled, reader: api.sampled.reader() };
    api.sampled.demand(wish.reader, demands).map_err(|why| Refusal::busy(why.to_string()))?;
    let arrival = async {
        loop {
            let state = caller.latest(&api.sampled).get(&table.name).cloned();
            match state {
                Some(state) if state.status.state != State::Ok => return usable(table, state),
                Some(state) if state.now.as_ref().is_some_and(|now| now.mono > begun) => return usable(table, state),
                _ => {}
            }
            if changes.changed().await.is_err() {
                return Err(Refusal::unavailable("the sampler is gone", ""));
            }
        }
    };
    let late = |_| {
        Refusal::unavailable(format!("{}: no sample within {}", table.name, crate::model::unit::duration(WAIT)), "")
    };
    tokio::time::timeout(WAIT, arrival).await.map_err(late)?
}
