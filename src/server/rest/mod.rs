//! What can be asked over HTTP, and how?
//!
//! [`ROUTES`] is the one list: the router, the document for programs and the test that walks every route are made from it.
//! A request is read by [`query`], which knows the parameters of its route; every refusal is one JSON object that says what
//! is wrong and what to do.

mod alerts;
mod answer;
mod events;
mod history;
mod metrics;
mod openapi;
mod query;
mod tables;

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use self::answer::{Answer, Refusal};
use self::query::{Parameter, Query};
use super::caller::{Caller, Guarded, Need, is_grpc};
use super::events::Events;
use super::sampled::Sampled;
use super::waited;

/// JSON.
const JSON: &str = "application/json";

/// RFC 4180.
const CSV: &str = "text/csv";

/// Plain words.
const PLAIN: &str = "text/plain";

/// What handlers share.
pub(super) struct Api {
    sampled: Arc<Sampled>,
    events: Arc<Events>,
    metrics: metrics::Metrics,
    waiting: waited::Queue,
}

/// A request whose route, parameters and wanted form are known.
struct Call {
    caller: Caller,
    path: Vec<String>,
    query: Query,
    /// One of the media types that the route offers.
    media: &'static str,
}

impl Call {
    fn new(
        route: &Route,
        caller: Caller,
        parts: &RawPathParams,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Self, Refusal> {
        let path = parts.iter().map(|(_, value)| value.to_owned()).collect();
        let query = Query::parse(query.unwrap_or_default(), route.parameters)?;
        let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let accepted: Vec<&str> = ranges.collect();
        let media = query::negotiate(&accepted.join(","), route.media);
        let media = media.ok_or_else(|| Refusal::not_acceptable(route.media))?;
        Ok(Self { caller, path, query, media })
    }

    /// A part of the path by its place.
    fn part(&self, place: usize) -> &str {
        self.path.get(place).map_or("", String::as_str)
    }
}

/// The outcome of a handler.
type Outcome = Result<Answer, Refusal>;

/// Answers a call.
type Handler = fn(Arc<Api>, Call) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One thing that can be asked for.
struct Route {
    /// Path with its parts in braces.
    path: &'static str,
    /// What it answers.
    summary: &'static str,
    /// What may be written after `?`.
    parameters: &'static [Parameter],
    /// Media types it answers with, the usual one first.
    media: &'static [&'static str],
    /// What it takes to ask.
    need: Need,
    handler: Handler,
}

/// Every route; all are read with GET or HEAD.
const ROUTES: &[Route] = &[
    Route {
        path: "/api/v1/schema",
        summary: "Every table and column that there may be.",
        parameters: &[],
        media: &[JSON],
        need: Need::View,
        handler: |_, _| Box::pin(async { Ok(tables::schema()) }),
    },
    Route {
        path: "/api/v1/tables",
        summary: "How every table fares: its state, and how many rows it has.",
        parameters: &[],
        media: &[JSON],
        need: Need::View,
        handler: |api, _| Box::pin(async move { Ok(tables::list(&api.sampled.latest())) }),
    },
    Route {
        path: "/api/v1/tables/{table}",
        summary: "Rows of a table. Header netglance-more tells that there are more than the limit.",
        parameters: tables::PARAMETERS,
        media: &[JSON, CSV],
        need: Need::View,
        handler: |api, call| Box::pin(async move { tables::rows(&api, &call).await }),
    },
    Route {
        path: "/api/v1/history/{table}/{column}",
        summary: "The past of a numeric column, of each row that is there now.",
        parameters: history::PARAMETERS,
        media: &[JSON],
        need: Need::View,
        handler: |api, call| Box::pin(async move { history::series(&api, &call).await }),
    },
    Route {
        path: "/api/v1/alerts",
        summary: "What deserves attention now: rows of table alert that are not over, worst first.",
        parameters: &[],
        media: &[JSON],
        need: Need::View,
        handler: |api, _| Box::pin(async move { alerts::list(&api) }),
    },
    Route {
        path: "/api/v1/events",
        summary: "Server-sent events: first what is now up to `begin`, then each `alert` that fares otherwise, each `change` as \
                  table event has it, and each change of a table's state; after `missed` what is now again.",
        parameters: &[],
        media: &[events::MEDIA],
        need: Need::View,
        handler: |api, call| Box::pin(async move { events::stream(&api, call.caller) }),
    },
    Route {
        path: "/api/v1/openapi.json",
        summary: "This document.",
        parameters: &[],
        media: &[JSON],
        need: Need::View,
        handler: |_, _| Box::pin(async { Ok(openapi::answer()) }),
    },
    Route {
        path: "/metrics",
        summary: "Everything that lasts, for Prometheus.",
        parameters: &[],
        media: &[metrics::MEDIA, metrics::OPEN_MEDIA],
        need: Need::View,
        handler: |api, call| Box::pin(async move { Ok(api.metrics.answer(&api.sampled, call.media)) }),
    },
    Route {
        path: "/healthz",
        summary: "Whether the agent lives.",
        parameters: &[],
        media: &[PLAIN],
        need: Need::Nothing,
        handler: |_, _| Box::pin(async { Ok(Answer::new(PLAIN, "ok\n")) }),
    },
    Route {
        path: "/readyz",
        summary: "Whether the agent has something to serve.",
        parameters: &[],
        media: &[PLAIN],
        need: Need::Nothing,
        handler: |api, _| Box::pin(async move { ready(&api) }),
    },
];

/// Adds all routes.
pub(super) fn routes(
    guarded: Guarded,
    sampled: &Arc<Sampled>,
    events: &Arc<Events>,
    waiting: waited::Queue,
    metrics_series: usize,
) -> Guarded {
    let api = Arc::new(Api {
        sampled: Arc::clone(sampled),
        events: Arc::clone(events),
        metrics: metrics::Metrics::new(metrics_series),
        waiting,
    });
    let add = |guarded: Guarded, route: &'static Route| {
        let api = Arc::clone(&api);
        let answer = move |caller: Caller, parts: Result<RawPathParams, _>, uri: Uri, headers: HeaderMap| async move {
            let call = parts
                .map_err(|_: RawPathParamsRejection| Refusal::bad("the path is no text in UTF-8", ""))
                .and_then(|parts| Call::new(route, caller, &parts, uri.query(), &headers));
            respond(route, api, call, headers.get(header::IF_NONE_MATCH)).await
        };
        guarded.route(route.path, route.need, get(answer).fallback(async || Refusal::method().into_response()))
    };
    ROUTES.iter().fold(guarded, add)
}

/// The status of a request for rows or for the past as far as it is read, before anything is looked up: for who tries to
/// break the reading.
#[doc(hidden)]
pub fn read(target: &str, accept: &str) -> u16 {
    let (path, asked) = target.split_once('?').unwrap_or((target, ""));
    let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    let read = || -> Result<(), Refusal> {
        let parameters = if parts.first() == Some(&"history") { history::PARAMETERS } else { tables::PARAMETERS };
        let asked = Query::parse(asked, parameters)?;
        query::negotiate(accept, &[JSON, CSV]).ok_or_else(|| Refusal::not_acceptable(&[JSON, CSV]))?;
        match parts[..] {
            ["tables", table] => tables::Question::read(&asked, tables::table(table)?).map(drop),
            ["history", table, column] => history::question(&asked, tables::table(table)?, column).map(drop),
            _ => Err(Refusal::bad("neither rows nor the past", "")),
        }
    };
    read().map_or_else(|refusal| refusal.into_response().status().as_u16(), |()| 200)
}

/// What is answered on a path that nothing is at.
pub(super) async fn unknown(request: Request) -> Response {
    if is_grpc(request.headers()) {
        return tonic::Status::unimplemented("there is no such method").into_http::<axum::body::Body>();
    }
    let path = request.uri().path();
    Refusal::not_found(format!("there is nothing at {path}"), path, ROUTES.iter().map(|route| route.path))
        .into_response()
}

/// The answer to a request that is not even looked at.
pub(super) fn refused(status: StatusCode, error: &'static str, hint: &'static str) -> Response {
    Refusal::new(status, error, hint).into_response()
}

async fn respond(
    route: &'static Route,
    api: Arc<Api>,
    call: Result<Call, Refusal>,
    known: Option<&HeaderValue>,
) -> Response {
    let outcome = match call {
        Ok(call) => (route.handler)(api, call).await,
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(answer) => answer.into_response(known),
        Err(refusal) => refusal.into_response(),
    }
}

fn ready(api: &Api) -> Outcome {
    if api.sampled.is_live() {
        Ok(Answer::new(PLAIN, "ready\n"))
    } else {
        Err(Refusal::unavailable("the sampler says nothing", "it is started again when it hangs; look into the log"))
    }
}

#[cfg(test)]
mod tests;
