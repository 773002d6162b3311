//! How does REST tell what deserves attention?

use super::answer::{Answer, Refusal};
use super::{Api, JSON, Outcome};
use crate::export;
use crate::model::Row;
use crate::server::alerts::cells;

/// As one JSON object: every column, as `show` writes it.
pub(super) fn json<R: Row>(row: &R) -> String {
    let mut text = Vec::new();
    // memory takes everything
    let _ = export::write_object(&mut text, cells(row));
    String::from_utf8_lossy(&text).into_owned()
}

/// What deserves attention, worst first.
pub(super) fn list(api: &Api) -> Outcome {
    let alerts = api.events.alerts();
    let silent = || Refusal::unavailable("nobody says which alerts there are", "what fires now is not known");
    let alerts: Vec<String> = alerts.ok_or_else(silent)?.iter().map(json).collect();
    Ok(Answer::new(JSON, format!("[{}]\n", alerts.join(","))))
}
