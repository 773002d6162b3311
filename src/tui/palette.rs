//! What can be typed after `:`?

use super::app::App;
use super::keymap::Scope;
use crate::model::Shape;
use crate::panel::VIEWS;

/// Commands that fit what is typed, at most as many as a person reads.
pub(super) fn matches(app: &App, typed: &str) -> Vec<String> {
    let words: Vec<String> = typed.split_whitespace().map(str::to_lowercase).collect();
    let mut fits: Vec<String> =
        commands(app).into_iter().filter(|command| words.iter().all(|word| command.contains(word.as_str()))).collect();
    // what is called as it is typed comes first, then what begins so
    let is_named = |command: &str| command.split(' ').next_back() == Some(typed);
    fits.sort_by_key(|command| (command != typed, !is_named(command), !command.starts_with(typed)));
    fits.truncate(100);
    fits
}

/// Whether what is typed takes an argument that no list completes.
pub(super) fn is_free(typed: &str) -> bool {
    ["save ", "filter "].iter().any(|word| typed.starts_with(word))
}

fn commands(app: &App) -> Vec<String> {
    let views = VIEWS.iter().filter(|_| app.fleet.is_none());
    let mut all: Vec<String> = views.map(|view| format!("view {}", view.name)).collect();
    all.push("view explore".to_owned());
    all.extend(super::theme::names(app.config.themes.as_deref()).into_iter().map(|name| format!("theme {name}")));
    let here = app.keymap.bound.iter().filter(|bound| bound.act.scope() == Scope::Page);
    all.extend(here.map(|bound| bound.name.clone()));
    if let Some(table) = app.spots.first().and_then(|spot| app.table(spot.table)) {
        all.extend(table.columns.iter().map(|column| format!("sort {}", column.name)));
    }
    let tables = app.host.schema().iter().filter(|table| table.attrs.shape != Shape::Log || !table.name.is_empty());
    // of many hosts tables are all that there is to choose
    let word = if app.fleet.is_some() { "" } else { "table " };
    all.extend(tables.map(|table| format!("{word}{}", table.name)));
    all.extend(["copy screen", "copy csv", "save screen ", "save csv ", "save ", "filter "].map(str::to_owned));
    all
}
