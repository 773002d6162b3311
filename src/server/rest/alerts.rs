//! How does REST tell what deserves attention?

use super::answer::{Answer, Refusal};
use super::{Api, JSON, Outcome};
use crate::export;
use crate::model::{Cell, Value};
use crate::server::alerts::Alert;

/// As one JSON object.
pub(super) fn json(alert: &Alert) -> String {
    let name = |name: &'static str, value: &Value| member(name, value.as_cell());
    let members = [
        member("level", Cell::Text(alert.level.name())),
        member("table", Cell::Text(alert.table)),
        format!("\"row\":{}", object(alert.row.iter().map(|(name, value)| (&**name, value.as_cell())))),
        name("name", &alert.name),
        member("column", Cell::Text(&alert.column)),
        name("value", &alert.value),
    ];
    format!("{{{}}}", members.join(","))
}

fn object<'a>(cells: impl Iterator<Item = (&'a str, Cell<'a>)>) -> String {
    let mut text = Vec::new();
    // memory takes everything
    let _ = export::write_object(&mut text, cells);
    String::from_utf8_lossy(&text).into_owned()
}

/// One member of an object: the object without the braces around it.
fn member(name: &str, cell: Cell<'_>) -> String {
    let text = object(std::iter::once((name, cell)));
    text.trim_start_matches('{').strip_suffix('}').unwrap_or_default().to_owned()
}

/// What deserves attention, worst first.
pub(super) fn list(api: &Api) -> Outcome {
    let alerts = api.events.alerts();
    let silent = || Refusal::unavailable("the sampler says nothing", "what is above ok now is not known");
    let alerts: Vec<String> = alerts.ok_or_else(silent)?.iter().map(json).collect();
    Ok(Answer::new(JSON, format!("[{}]\n", alerts.join(","))))
}
