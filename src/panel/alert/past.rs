//! When was something wrong with what a graph shows?
//!
//! The log of events tells when alerts began and ended, as far as it goes back, and the alerts themselves which of them go on.

use std::collections::HashMap;

use super::super::Views;
use super::list;
use crate::alert;
use crate::col;
use crate::collect::alert::{AlertRow, AlertState, EventRow, What};
use crate::model::{Demand, Level, Timestamp};
use crate::store::rate::View;

/// A time in which an alert fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// When people were told of it first.
    pub begin: Timestamp,
    /// When it was over, if it is.
    pub end: Option<Timestamp>,
    /// How bad it was at its worst.
    pub level: Level,
    /// What was so, in a sentence.
    pub words: String,
}

/// What is wanted to know when alerts fired.
pub fn demand() -> Demand {
    Demand::table(&EventRow::TABLE.name)
}

/// An alert by its rule and its instance.
type Name = (String, String);

/// When alerts about a row fired, and those about its whole table, the mildest first.
pub fn spans<V: Views + ?Sized>(views: &V, view: &View, row: usize) -> Vec<Span> {
    if crate::browse::by(view.table()).is_some() {
        return Vec::new();
    }
    let (table, names) = (&*view.table().name, alert::names(view, row));
    let is_about = |of: &str, instance: &str| {
        of == table && (instance.is_empty() || names.iter().any(|name| name.as_str() == instance))
    };
    let (mut spans, mut open) = (Vec::new(), HashMap::new());
    if let Some(events) = views.get(&EventRow::TABLE.name) {
        for row in list::oldest_first(&events) {
            let (of, name) =
                (word(&events, row, col!(EventRow, table)), [col!(EventRow, rule), col!(EventRow, instance)]);
            let [rule, instance] = name.map(|column| word(&events, row, column));
            if is_about(&of, &instance) {
                event(&events, row, (rule, instance), (&mut spans, &mut open));
            }
        }
    }
    if let Some(alerts) = views.get(&AlertRow::TABLE.name) {
        for row in 0..alerts.len() {
            let name = [col!(AlertRow, rule), col!(AlertRow, instance)].map(|column| word(&alerts, row, column));
            let [rule, instance] = name;
            let is_on = ![AlertState::Pending, AlertState::Over].iter().any(|state| list::is(&alerts, row, *state));
            if !is_on || !is_about(&word(&alerts, row, col!(AlertRow, table)), &instance) {
                continue;
            }
            let Some(begin) = alerts.raw().cell(row, col!(AlertRow, fired)).instant() else { continue };
            let words = word(&alerts, row, col!(AlertRow, text));
            // the log may not go back to when it began
            let known = open.remove(&(rule, instance));
            let span = known.unwrap_or(Span { begin, end: None, level: Level::Ok, words });
            spans.push(Span { level: span.level.max(list::level(&alerts, row)), ..span });
        }
    }
    spans.sort_by_key(|span| (span.level, span.begin));
    spans
}

/// Takes an event: what begins with it, or has ended.
fn event(events: &View, row: usize, name: Name, (spans, open): (&mut Vec<Span>, &mut HashMap<Name, Span>)) {
    let Some(time) = events.raw().cell(row, col!(EventRow, time)).instant() else { return };
    let what = word(events, row, col!(EventRow, what));
    let level = list::severity(events.raw().cell(row, col!(EventRow, severity)));
    let is = |one: What| what == one.name();
    if is(What::Fired) {
        let words = word(events, row, col!(EventRow, text));
        open.entry(name).or_insert(Span { begin: time, end: None, level, words });
    } else if is(What::Worse) {
        if let Some(span) = open.get_mut(&name) {
            span.level = span.level.max(level);
        }
    } else if is(What::Cleared)
        && let Some(span) = open.remove(&name)
    {
        spans.push(Span { end: Some(time), ..span });
    }
}

fn word(view: &View, row: usize, column: usize) -> String {
    view.raw().cell(row, column).text().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::Fake;
    use super::*;
    use crate::collect::disk::DiskRow;

    #[test]
    fn alerts_about_a_row_or_its_table_have_spans_and_others_have_none() {
        let mut fake = Fake::empty();
        fake.put(DiskRow::TABLE, &["name=sda".to_owned(), "name=sdb".to_owned()]);
        let event = |seq: u32, time: u32, what: &str, rule: &str, instance: &str, more: &str| {
            format!("seq={seq} time={time} what={what} severity=warning rule={rule} instance={instance} {more}")
        };
        let of = "table=disk text=x";
        fake.put(
            EventRow::TABLE,
            &[
                event(1, 10, "fired", "busy", "sda", of),
                event(2, 15, "worse", "busy", "sda", "table=disk text=x severity=critical"),
                event(3, 20, "cleared", "busy", "sda", of),
                event(4, 30, "fired", "busy", "sdb", of),
                event(5, 40, "fired", "many", "", of),
                event(6, 50, "fired", "busy", "sda", "table=link text=x"),
                event(7, 60, "fired", "lost", "sda", of),
            ],
        );
        let alert = |rule: &str, instance: &str, state: &str| {
            format!("rule={rule} instance={instance} severity=critical state={state} since=1 fired=5 table=disk text=y")
        };
        fake.put(
            AlertRow::TABLE,
            &[alert("many", "", "firing"), alert("old", "sda", "acknowledged"), alert("soon", "sda", "pending")],
        );
        let cx = fake.cx();
        let view = cx.views.get("disk").unwrap();
        let told = |row: usize| -> Vec<(f64, Option<f64>, Level)> {
            let spans = spans(cx.views, &view, row).into_iter();
            spans.map(|span| (span.begin.seconds(), span.end.map(Timestamp::seconds), span.level)).collect()
        };
        let critical = Level::Critical;
        assert_eq!(told(0), [(5.0, None, critical), (10.0, Some(20.0), critical), (40.0, None, critical)]);
        // one that nobody knows any more has no end
        assert_eq!(told(1), [(40.0, None, critical)]);
    }
}
