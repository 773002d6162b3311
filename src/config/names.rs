//! Which names may stand in a configuration?
//!
//! All of them come from where the thing itself is described; the checks and the JSON schema ask here.

use crate::collect::{COLLECTORS, schedule};
use crate::panel::{PANELS, TOGGLES, VIEWS};
use crate::tui::keymap;

/// Collectors: `[collect.NAME]`.
pub(super) fn collectors() -> impl Iterator<Item = &'static str> {
    COLLECTORS.iter().map(|entry| entry.name)
}

/// Tables: `[show.TABLE]`, `table` of a threshold.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    schedule::tables().iter().map(|table| &*table.name)
}

/// Keys that a variable of the environment may set, with dots between their parts.
pub(super) fn keys() -> Vec<String> {
    let settings = |name: &str| ["enabled", "interval", "budget"].map(|key| format!("collect.{name}.{key}"));
    let actions = actions().into_iter().map(|action| format!("keys.{action}"));
    let sections = ["threshold", "layout.overview"].map(str::to_owned);
    let all = super::dashboard_keys().into_iter().chain(sections).chain(collectors().flat_map(settings)).chain(actions);
    all.collect()
}

/// What may be shown at first. Any table is a view too, and the explorer is the list of all tables.
pub fn views() -> impl Iterator<Item = &'static str> {
    let own = || VIEWS.iter().map(|view| view.name).chain(["explore"]);
    own().chain(tables().filter(move |table| !own().any(|view| view == *table)))
}

/// Panels of the overview.
pub(super) fn panels() -> impl Iterator<Item = &'static str> {
    PANELS.iter().map(|panel| panel.name)
}

/// Switches.
pub(super) fn toggles() -> impl Iterator<Item = &'static str> {
    TOGGLES.iter().map(|toggle| toggle.name)
}

/// Actions that have keys.
pub(super) fn actions() -> Vec<String> {
    keymap::actions()
}
