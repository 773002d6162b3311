//! How does REST tell what changes?
//!
//! As server-sent events: `alert` and `state`, then `begin`, then more of them as they change, and each `change` of an alert.
//! `missed` says how many a slow reader has lost; after it everything begins anew.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use serde_json::json;

use super::answer::{Answer, Refusal};
use super::{Api, Outcome, alerts};
use crate::server::caller::Caller;
use crate::server::events::{CROWDED, Event, Reader};

/// Media type of the stream.
pub(super) const MEDIA: &str = "text/event-stream";

/// A reader hears something at least so often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One event as it is sent.
fn sent(event: &Event) -> Bytes {
    let (name, data) = match event {
        Event::Begin => ("begin", "{}".to_owned()),
        Event::Missed(count) => ("missed", json!({ "events": count }).to_string()),
        Event::Alert(alert) => ("alert", alerts::json(alert)),
        Event::Change(change) => ("change", alerts::json(change)),
        Event::State(source) => {
            let data = json!({
                "table": source.table,
                "collector": source.collector,
                "state": source.status.state.name(),
                "reason": source.status.reason.as_str(),
                "hint": source.status.hint.as_str(),
            });
            ("state", data.to_string())
        }
    };
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// The next piece; `None` when the agent ends.
async fn next(reader: &mut Reader) -> Option<Bytes> {
    match tokio::time::timeout(HEARTBEAT, reader.next()).await {
        Ok(event) => event.map(|event| sent(&event)),
        // a comment, which readers pass over
        Err(_) => Some(Bytes::from_static(b":\n\n")),
    }
}

/// Streams events until the reader goes.
pub(super) fn stream(api: &Arc<Api>, caller: Caller) -> Outcome {
    let reader = api.events.read(caller).ok_or_else(|| Refusal::busy(CROWDED))?;
    let pieces = futures_util::stream::unfold(reader, |mut reader| async {
        let piece = next(&mut reader).await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    Ok(Answer::stream(MEDIA, Body::from_stream(pieces)))
}
