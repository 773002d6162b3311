//! What does an answer look like, and what a refusal?
//!
//! Answers are never kept by anybody between (`no-store`), but a reader that shows the tag of what it has is told when
//! nothing changed. A refusal is `{"error": ..., "hint": ...}` with the status that fits.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::model::State;
use crate::server::head::guard;
use crate::server::waited::Lack;
use crate::store::expr::{ExprError, nearest};

/// Something to send.
pub(super) struct Answer {
    media: &'static str,
    content: Content,
    headers: Vec<(HeaderName, HeaderValue)>,
}

enum Content {
    Whole(axum::body::Bytes),
    Stream(Body),
}

impl Answer {
    /// All of it at once.
    pub(super) fn new(media: &'static str, body: impl Into<axum::body::Bytes>) -> Self {
        Self { media, content: Content::Whole(body.into()), headers: Vec::new() }
    }

    /// One part after the other.
    pub(super) fn stream(media: &'static str, body: Body) -> Self {
        Self { media, content: Content::Stream(body), headers: Vec::new() }
    }

    /// Adds a header; what cannot be written in one is left out.
    pub(super) fn header(&mut self, name: &'static str, value: &str) {
        let visible: String = value.chars().map(|ch| if matches!(ch, ' '..='~') { ch } else { '?' }).collect();
        if let Ok(value) = HeaderValue::try_from(visible) {
            self.headers.push((HeaderName::from_static(name), value));
        }
    }

    /// The response; only its head if the reader has the same already.
    pub(super) fn into_response(self, known: Option<&HeaderValue>) -> Response {
        let mut response = match self.content {
            Content::Stream(body) => Response::new(body),
            Content::Whole(bytes) => {
                let tag = tag(&bytes);
                let is_known = known.is_some_and(|known| has(known.as_bytes(), &tag));
                let mut response = Response::new(if is_known { Body::empty() } else { Body::from(bytes) });
                if is_known {
                    *response.status_mut() = StatusCode::NOT_MODIFIED;
                }
                if let Ok(tag) = HeaderValue::try_from(tag) {
                    response.headers_mut().insert(header::ETAG, tag);
                }
                response
            }
        };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        response.headers_mut().extend(self.headers);
        guard(response.headers_mut());
        response
    }
}

/// Whether a list of tags has this one, weak or not, or all of them.
fn has(list: &[u8], tag: &str) -> bool {
    let mut members = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    members.any(|member| member == b"*" || member.strip_prefix(b"W/").unwrap_or(member) == tag.as_bytes())
}

/// Tag of a body: the same for the same bytes.
fn tag(bytes: &[u8]) -> String {
    let mut tag = String::from("\"");
    for byte in Sha256::digest(bytes).iter().take(16) {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: String,
    hint: String,
    /// Column of a mistake in an expression, from 1.
    column: Option<usize>,
    header: Option<(&'static str, &'static str)>,
}

impl Refusal {
    /// One of any kind.
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: hint.into(), column: None, header: None }
    }

    fn header(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// The request makes no sense.
    pub(super) fn bad(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    /// An expression makes no sense.
    pub(super) fn expression(parameter: &str, error: &ExprError) -> Self {
        let hint = error.hint.clone().unwrap_or_default();
        let refusal = Self::bad(format!("{parameter}, column {}: {}", error.column(), error.message), hint);
        Self { column: Some(error.column()), ..refusal }
    }

    /// There is nothing of this name; says what is near.
    pub(super) fn not_found<'a>(error: String, name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        let hint = nearest(name, known).map(|near| format!("did you mean `{near}`?"));
        Self::new(
            StatusCode::NOT_FOUND,
            error,
            hint.unwrap_or_else(|| "/api/v1/openapi.json lists what is there".into()),
        )
    }

    /// A method that no route has.
    pub(super) fn method() -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "this can only be read", "use GET or HEAD");
        refusal.header("allow", "GET, HEAD")
    }

    /// The reader takes nothing that is offered.
    pub(super) fn not_acceptable(offered: &[&str]) -> Self {
        let hint = format!("it is offered as {}", offered.join(" and "));
        Self::new(StatusCode::NOT_ACCEPTABLE, "the form that Accept asks for is not there", hint)
    }

    /// Too much is wanted at once.
    pub(super) fn busy(error: impl Into<String>) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, error, "ask again in a second");
        refusal.header("retry-after", "1")
    }

    /// There is nothing to answer with now.
    pub(super) fn unavailable(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, hint).header("retry-after", "1")
    }

    /// There is no sample of a table.
    pub(super) fn lack(table: &str, lack: Lack) -> Self {
        match lack {
            Lack::Busy(why) => Self::busy(why),
            Lack::Silent(why) => Self::unavailable(why, ""),
            Lack::Status(status) => {
                let error = match status.state {
                    State::Ok => format!("{table}: no sample yet"),
                    state => format!("{table}: {}: {}", state.name(), status.reason),
                };
                Self::unavailable(error, status.hint.as_str())
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.error, "hint": self.hint });
        if let (Some(column), Some(body)) = (self.column, body.as_object_mut()) {
            body.insert("column".to_owned(), column.into());
        }
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(super::JSON));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        guard(response.headers_mut());
        response
    }
}
