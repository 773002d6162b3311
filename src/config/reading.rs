//! How are all mistakes of a file found, when its reader stops at the first?
//!
//! The key that was refused is taken out of the tree and the rest is read again, until it fits. What is left is checked for
//! names that do not exist, at the places that its own keys still carry.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{Config, Refusal};

/// Mistakes that are reported at most.
pub(super) const MAX_MISTAKES: usize = 50;

/// Everything that is wrong with a text.
pub(super) fn refusals(text: &str) -> Vec<Refusal> {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // what was guessed about the rest would only repeat the mistake
        let mut found: Vec<Refusal> = errors.into_iter().map(|error| Refusal::from(error).at_value(text)).collect();
        found.sort_by_key(Refusal::start);
        // one mistake is told once, from every side that the parser came from
        let line = |refusal: &Refusal| text.get(..refusal.start()).map(|before| before.matches('\n').count());
        found.dedup_by_key(|refusal| line(refusal));
        return found;
    }
    let (mut found, mut torn) = (Vec::new(), Vec::new());
    while found.len() < MAX_MISTAKES {
        match Config::from_spanned(root.clone()) {
            Ok(config) => {
                // an element that lost a key for its own mistake does not miss it
                let own = |one: &Refusal| one.span.as_ref().is_none_or(|span| !torn.contains(span));
                found.extend(meant(&config, root.into_inner()).into_iter().filter(own));
                break;
            }
            Err(refusal) => {
                let span = refusal.span.clone();
                // a key that was taken out for its own mistake is not missing
                if !(refusal.is_incomplete() && span.as_ref().is_some_and(|span| torn.contains(span))) {
                    found.push(refusal);
                }
                if !span.is_some_and(|span| remove(root.get_mut(), &span, &mut torn)) {
                    break;
                }
            }
        }
    }
    found.sort_by_key(Refusal::start);
    found
}

/// Mistakes of a configuration that fits, at their places.
fn meant(config: &Config, root: DeTable<'_>) -> Vec<Refusal> {
    let tree = DeValue::Table(root);
    // finding a place takes a walk through the tree
    let mistakes = config.mistakes().into_iter().take(MAX_MISTAKES + 1);
    mistakes
        .map(|mistake| {
            let keys: Vec<&str> = mistake.path.iter().map(String::as_str).collect();
            let span = span_of(&tree, &keys);
            mistake.refused(span)
        })
        .collect()
}

/// Where a key or an element of an array stands; the nearest thing above it that exists if it does not.
pub(super) fn span_of(tree: &DeValue<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let (span, inner) = match tree {
        DeValue::Table(table) => {
            let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
            // a value says more than its key, but a section has no place of its own
            let span = if rest.is_empty() && !value.get_ref().is_table() { value.span() } else { key.span() };
            (span, value.get_ref())
        }
        DeValue::Array(array) => {
            let value = array.get(first.parse::<usize>().ok()?)?;
            (value.span(), value.get_ref())
        }
        _ => return None,
    };
    Some(span_of(inner, rest).unwrap_or(span))
}

/// Takes out the innermost key or element that covers the start of `span`, and notes the elements that this leaves
/// incomplete; false if none does.
fn remove(table: &mut DeTable<'_>, span: &Range<usize>, torn: &mut Vec<Range<usize>>) -> bool {
    if table.iter_mut().any(|(_, value)| remove_inside(value, span, torn)) {
        return true;
    }
    let covers = |one: Range<usize>| one.contains(&span.start);
    let found = table.iter().find(|(key, value)| covers(key.span()) || covers(value.span()));
    let key = found.map(|(key, _)| key.get_ref().to_string());
    key.and_then(|key| table.remove(key.as_str())).is_some()
}

fn remove_inside(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>, torn: &mut Vec<Range<usize>>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove(table, span, torn),
        DeValue::Array(array) => {
            for element in array.iter_mut() {
                if remove_inside(element, span, torn) {
                    torn.push(element.span());
                    return true;
                }
            }
            let before = array.len();
            let all = std::mem::replace(array, DeArray::new());
            *array = all.into_iter().filter(|element| !element.span().contains(&span.start)).collect();
            array.len() < before
        }
        _ => false,
    }
}
