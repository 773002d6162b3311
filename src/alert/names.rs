//! What do people call an alert?
//!
//! By the name of its row, and by those Ids that people see. Names tell alerts of a rule apart, to people and to recipients: one
//! that is taken gets something that tells it from the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::rule::Rule;
use super::told::digest;
use super::words;
use crate::model::{Key, OWN_NETNS, Text};
use crate::store::rate::View;

/// What people call the alert of a row.
pub(super) fn name(rule: &Rule, view: &View, row: usize) -> Text {
    if row >= view.len() {
        return Text::default();
    }
    joined(view, row, &rule.by.clone().unwrap_or_else(|| usual(view, row)))
}

/// What people may call the alert of a row: by all that tells it from others, or by one of its words.
pub fn names(view: &View, row: usize) -> Vec<Text> {
    let table = view.table();
    let is_word = |id: &usize| view.raw().cell(row, *id).text().is_some_and(|word| word != OWN_NETNS);
    let single = table.name_column().into_iter().chain(table.ids().filter(is_word)).map(|column| vec![column]);
    let usual = joined(view, row, &usual(view, row));
    let longer = longer(view, row, &usual);
    single.map(|columns| joined(view, row, &columns)).chain([usual, longer]).collect()
}

/// Columns that tell a row from others, what it is called first.
fn usual(view: &View, row: usize) -> Vec<usize> {
    let table = view.table();
    let label = table.name_column();
    let is_shown = |id: &usize| {
        let wide = table.columns.get(*id).is_some_and(|column| column.attrs.wide);
        let is_own = view.raw().cell(row, *id).text() == Some(OWN_NETNS);
        Some(*id) != label && !wide && !is_own
    };
    label.into_iter().chain(table.ids().filter(is_shown)).collect()
}

fn joined(view: &View, row: usize, columns: &[usize]) -> Text {
    let words = columns.iter().map(|column| words::id(view, row, *column)).filter(|word| !word.is_empty());
    Text::from(words.collect::<Vec<_>>().join(" "))
}

/// The name with the Ids that people do not see.
fn longer(view: &View, row: usize, name: &Text) -> Text {
    let hidden = view.table().ids().map(|column| words::id(view, row, column));
    let is_new = |word: &String| !word.is_empty() && !name.split(' ').any(|one| one == word);
    let hidden: Vec<String> = hidden.filter(is_new).collect();
    Text::from(format!("{name} {}", hidden.join(" ")).trim())
}

/// Another name for what has the name of something else: with the Ids that people do not see, or a number made of its key.
pub(super) fn another(
    rule: &Rule,
    name: &Text,
    key: &Key,
    (view, row): (&View, usize),
    is_taken: impl Fn(&Text) -> bool,
) -> Text {
    let longer = if rule.by.is_none() { longer(view, row, name) } else { name.clone() };
    if longer != *name && !is_taken(&longer) {
        return longer;
    }
    let number = digest(&[&STANDARD_NO_PAD.encode(key.as_bytes())]);
    Text::from(format!("{name} #{}", number.get(..8).unwrap_or_default()).trim_start())
}
