//! What is a person told of an alert of a rule?

use super::engine::Moment;
use super::instance::{Instance, Step};
use super::message::{Change, Notification};
use super::rule::Rule;
use super::watched::{Happened, Together, Watched};
use super::words::{self, Said as Words};
use crate::model::{Kind, Level, Mono, Snapshot, Table, Text, Timestamp};
use crate::store::rate::{Mode, View};

/// Rows at the top that are told with an alert.
const TOP: usize = 3;

impl Watched {
    /// What people are told of a change.
    pub(super) fn told(&mut self, change: &Happened, snapshot: &Snapshot, moment: Moment) -> Notification {
        let top = if change.step == Step::Fired { top(&self.rule, snapshot) } else { Vec::new() };
        let Some(one) = self.instances.get_mut(&change.key) else {
            return self.notification(&Instance::new(Text::default(), moment.time), Change::Cleared, moment.time);
        };
        if change.step == Step::Fired {
            one.top = top;
        }
        let change = match change.step {
            Step::Fired | Step::Same => Change::Fired,
            Step::Worse => Change::Worse,
            Step::Better => Change::Better,
            Step::Cleared => Change::Cleared,
        };
        let one = one.clone();
        self.notification(&one, change, moment.time)
    }

    /// What people are told of an alert to which that happens now.
    pub(super) fn notification(&self, one: &Instance, change: Change, now: Timestamp) -> Notification {
        let rule = &self.rule;
        let unit = rule.unit();
        let number = |value: f64| words::number(value, rule.table, unit);
        let begin = one.since.seconds();
        let end = (change == Change::Cleared).then(|| one.end.unwrap_or(one.since).seconds());
        Notification {
            id: id(&rule.name, &one.name, one.since, change, one.last, now),
            alert: digest(&[&rule.name, &one.name]),
            rule: rule.name.to_string(),
            instance: one.name.to_string(),
            table: rule.table.name.to_string(),
            severity: one.last,
            change,
            text: one.text.to_string(),
            value: one.value.map(number),
            peak: one.peak.map(number),
            begin,
            end,
            labels: one.labels.iter().cloned().collect(),
            top: one.top.clone(),
            flaps: one.flaps,
            comment: one.known.as_ref().and_then(|known| known.comment.as_ref().map(Text::to_string)),
            tell: rule.tell,
        }
    }
}

/// Another one for each change: an alert may get worse more than once.
fn id(rule: &str, instance: &str, since: Timestamp, change: Change, level: Level, now: Timestamp) -> String {
    digest(&[rule, instance, &since.0.to_string(), change.name(), level.name(), &now.0.to_string()])
}

/// Sixteen hexadecimal digits for some words.
pub(super) fn digest(words: &[&str]) -> String {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    for word in words {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word.as_bytes());
    }
    let hash = hash.finalize();
    let digits = hash.iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("{digits:016x}")
}

/// Writes what people read of an alert.
pub(super) fn write(rule: &Rule, facts: &[usize], one: &mut Instance, view: &View, together: &Together, mono: Mono) {
    let unit = rule.unit();
    let number = |value: f64| words::number(value, rule.table, unit);
    let (value, limit) = (one.value.map(number), one.limit.map(number));
    let said = Words {
        value: value.as_deref(),
        limit: limit.as_deref(),
        count: together.count,
        was: together.found.was.as_deref(),
        instance: &one.name,
    };
    let row = (together.row < view.len()).then_some((view, together.row));
    one.text = Text::from(rule.words.write(row, said).trim());
    one.written = Some(mono);
    let Some((view, row)) = row else { return };
    one.facts = facts.iter().map(|column| words::id(view, row, *column)).collect();
    // what tells it from others stays as long as it goes on
    if !one.labels.is_empty() {
        return;
    }
    let table = view.table();
    let word = |column: usize| {
        let name = table.columns.get(column).map_or("", |column| &*column.name);
        (name.to_owned(), words::id(view, row, column))
    };
    let by: Vec<usize> = rule.by.clone().unwrap_or_else(|| table.ids().chain(table.name_column()).collect());
    one.labels = by.into_iter().filter(|at| is_stable(table, *at)).map(word).collect();
}

/// Whether a column says the same of the same thing when it is started again.
fn is_stable(table: &Table, column: usize) -> bool {
    table.columns.get(column).is_some_and(|column| {
        let is_number = column.kind == Kind::Id && column.attrs.wide;
        !is_number
    })
}

/// Who is at the top now.
fn top(rule: &Rule, snapshot: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    for (table, column) in &rule.top {
        let Some(state) = snapshot.get(&table.name) else { continue };
        let Some(now) = &state.now else { continue };
        let view = View::new(now, state.before.as_ref(), Mode::Rate);
        let mut rows: Vec<(f64, usize)> =
            (0..view.len()).filter_map(|row| Some((view.cell(row, *column).number()?, row))).collect();
        rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        for (value, row) in rows.into_iter().take(TOP).filter(|(value, _)| *value > 0.0) {
            let label = words::cell(&view, row, table.label_column()).unwrap_or_default();
            out.push(format!("{label} {}", words::number(value, table, Some(*column))));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_has_another_id() {
        let of = |now| id("cpu", "0", Timestamp(1), Change::Worse, Level::Critical, Timestamp(now));
        assert_eq!(of(2), of(2));
        assert_ne!(of(2), of(3));
    }
}
