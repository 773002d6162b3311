//! What does each key, click and command do?

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use tui_input::Input;

use super::app::{App, Page, page_named};
use super::keymap::Act;
use super::overlay::Overlay;
use super::pane;
use super::save::What;
use super::table_view::OnLine;
use super::theme::Theme;
use crate::model::{Action, Level};
use crate::panel::{LATER, SORTS, TOGGLES, Target, VIEWS, Views as _};
use crate::store::expr::Filter;
use crate::store::query::Order;
use crate::store::wanted::{self, WantedError};

/// What is said where one row is meant and several are selected.
const MANY: &str = "these are several: select one of them, j shows each";

/// What remains to be done with the terminal.
pub(super) enum Outcome {
    Done,
    Redraw,
    Suspend,
    Mouse,
    Clipboard(String),
}

/// Does what an event asks for.
pub(super) fn handle(app: &mut App, event: Event) -> Outcome {
    app.dirty = true;
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            // to stop and to draw again is never part of a text
            let always = matches!(app.keymap.get(&key), Some(Act::Suspend | Act::Redraw));
            if always && key.modifiers.contains(KeyModifiers::CONTROL) {
                plain(app, key)
            } else if super::dialog::key(app, key, &event) {
                take(app)
            } else {
                plain(app, key)
            }
        }
        Event::Paste(text) => {
            super::dialog::paste(app, &text);
            Outcome::Done
        }
        Event::Mouse(mouse) => {
            click(app, mouse);
            Outcome::Done
        }
        _ => Outcome::Done,
    }
}

/// A command that a dialog has left to be done.
fn take(app: &mut App) -> Outcome {
    match app.command.take() {
        Some(command) => self::command(app, &command),
        None => Outcome::Done,
    }
}

fn plain(app: &mut App, key: KeyEvent) -> Outcome {
    match (app.keymap.get(&key), app.keymap.refusal(&key)) {
        (Some(act), _) => return self::act(app, act),
        (None, Some(why)) => app.say(why, Level::Careful),
        (None, None) => {}
    }
    Outcome::Done
}

/// Does one action.
pub(super) fn act(app: &mut App, act: Act) -> Outcome {
    app.message = None;
    match act {
        Act::Quit => app.quit = true,
        Act::Suspend => return Outcome::Suspend,
        Act::Redraw => return Outcome::Redraw,
        Act::Mouse => return Outcome::Mouse,
        Act::Copy => return copy(app),
        Act::Back => back(app),
        Act::Help => app.overlay = Overlay::Help(0),
        Act::Palette => app.overlay = Overlay::Palette(Input::default(), 0, app.theme.name.clone()),
        Act::Filter => {
            let text = super::group::filtered(app)
                .and_then(|(_, s)| s.filter.as_ref().map(|f| f.text().to_owned()))
                .unwrap_or_default();
            if app.spots.is_empty() {
                app.say("there is no table here to filter", Level::Ok);
            } else {
                app.overlay = Overlay::Filter(Input::new(text), None);
            }
        }
        Act::EraseFilter => set_filter(app, ""),
        Act::NextView => turn(app, 1),
        Act::PreviousView => turn(app, -1),
        Act::Freeze => {
            app.past.freeze();
            app.rewind();
        }
        Act::Earlier => super::past::step(app, 1, "nothing older is kept"),
        Act::Later => super::past::step(app, -1, "this is the newest"),
        Act::Acknowledge => super::acting::acknowledge(app),
        Act::AcknowledgeAll => super::mute::acknowledge_all(app),
        Act::Silence => super::mute::silence(app),
        Act::Signal => {
            if let Some(target) = target(app) {
                app.named.set(false);
                app.overlay = Overlay::Signal(target, 0);
            }
        }
        Act::Forget => super::delete::one(app),
        Act::ForgetAll => super::delete::several(app),
        Act::NotYet(at) => {
            if let Some((_, _, what)) = LATER.get(at) {
                app.say(format!("{what}: no table tells it yet, a later version will"), Level::Ok);
            }
        }
        Act::NiceUp => renice(app, 1),
        Act::NiceDown => renice(app, -1),
        Act::ZoomIn | Act::ZoomOut => app.say("graphs zoom, and none is open", Level::Ok),
        Act::Toggle(at) => switch(app, at),
        Act::Sort(at) => letter(app, at),
        Act::NextPanel => pane::turn(app, 1),
        Act::PreviousPanel => pane::turn(app, -1),
        other if pane::key(app, other) => {}
        other => return on_table(app, other),
    }
    Outcome::Done
}

fn back(app: &mut App) {
    if super::node::forget(app) {
        // no node is selected any more
    } else if app.focused.take().is_some() {
        // back to the table
    } else if app.home.as_ref() == Some(&app.page) {
        app.left = true;
    } else if app.merged().is_some() || (app.fleet.is_none() && matches!(app.page, Page::Table(_))) {
        let back = app.came.take().unwrap_or(app.fleet.map_or(Page::Explore, Page::Table));
        app.go(back);
    } else if let (Some(fleet), Page::Explore) = (app.fleet, &app.page) {
        app.go(Page::Table(fleet));
    } else if !super::group::back(app) {
        let selected = app.focused_table().and_then(|(_, state)| state.selected.take());
        app.left = app.opened && selected.is_none();
    }
}

fn turn(app: &mut App, by: isize) {
    if let Some(fleet) = app.fleet {
        return app.go(if app.page == Page::Explore { Page::Table(fleet) } else { Page::Explore });
    }
    let count = VIEWS.len() as isize + 1;
    let now = match app.page {
        Page::View(at) => at as isize,
        _ => count - 1,
    };
    let next = (now + by).rem_euclid(count);
    app.go(if next == count - 1 { Page::Explore } else { Page::View(next as usize) });
}

fn switch(app: &mut App, at: usize) {
    let Some(toggle) = TOGGLES.get(at) else { return };
    if !app.toggles.remove(toggle.name) {
        app.toggles.insert(toggle.name);
    }
    let on = app.toggles.contains(toggle.name);
    app.say(toggle.said(on), Level::Ok);
    let rearranged = toggle.of.map(|(table, _)| table).filter(|table| crate::panel::is_outlined(table));
    for spot in app.spots.iter().filter(|spot| Some(spot.table) == rearranged) {
        if let Some(state) = app.tables.get_mut(&spot.key) {
            // what a switch puts on top is what it was pressed for
            (state.restart, state.reveal) = (on, !on);
        }
    }
}

fn letter(app: &mut App, at: usize) {
    let Some(sort) = SORTS.get(at) else { return };
    let focused = app.focused_table().filter(|(table, _)| table.name == sort.table.name);
    let Some((_, state)) = focused else {
        app.say(format!("{}, and there are none here", sort.help), Level::Ok);
        return;
    };
    let order = if sort.descending { Order::Descending } else { Order::Ascending };
    state.sort = match sort.column {
        Some(column) => vec![(column, order)],
        None => crate::store::query::default_sort(sort.table),
    };
}

/// Actions on the focused table, or on the list of tables.
fn on_table(app: &mut App, act: Act) -> Outcome {
    if app.page == Page::Explore {
        explore(app, act);
        return Outcome::Done;
    }
    if act == Act::Programs
        && let Some(next) = super::hosts::grouped(app)
    {
        app.go(Page::Table(next));
        return Outcome::Done;
    }
    if act == Act::Programs && super::group::turn(app) {
        return Outcome::Done;
    }
    let Some((table, view, state)) = app.focus() else {
        let moves = [Act::Up, Act::Down, Act::PageUp, Act::PageDown, Act::Home, Act::End, Act::Left, Act::Right];
        if !moves.contains(&act) {
            app.say("there are no rows here to do that with", Level::Ok);
        }
        return Outcome::Done;
    };
    let schema = view.table();
    let page = state.page as isize;
    let merged = crate::browse::by(schema).is_some();
    if merged && matches!(act, Act::Tree | Act::Programs | Act::Graph) {
        app.say("these rows are of many hosts: enter opens the host of one, and that is there", Level::Ok);
        return Outcome::Done;
    }
    match act {
        Act::Up => state.step(&view, -1),
        Act::Down => state.step(&view, 1),
        Act::PageUp => state.step(&view, -page),
        Act::PageDown => state.step(&view, page),
        Act::Home => state.select(&view, 0),
        Act::End => state.select(&view, state.rows.len().saturating_sub(1)),
        Act::Left => state.left = state.left.saturating_sub(1),
        Act::Right => state.left = (state.left + 1).min(256),
        // the order of a column is that of a list
        Act::SortLeft | Act::SortRight | Act::SortNext | Act::Reverse if state.outlined => flatten(app, table),
        Act::SortLeft => state.sort_beside(schema, -1),
        Act::SortRight | Act::SortNext => state.sort_beside(schema, 1),
        Act::Reverse => state.reverse(),
        Act::LongCommand => (state.long, state.left) = (!state.long, 0),
        Act::Tree if crate::panel::is_outlined(table) => flatten(app, table),
        Act::Tree => {
            state.tree = if state.tree.is_some() { None } else { crate::panel::tree(table) };
            state.grouping = None;
            state.widths.clear();
        }
        Act::Programs => state.regroup(crate::panel::groupings(table)),
        Act::Columns => app.overlay = Overlay::Columns(0),
        Act::Enter | Act::Extended => return open(app, act),
        Act::Graph => graph(app),
        _ => {}
    }
    Outcome::Done
}

/// Opens the past of the sorted column of the selected row.
fn graph(app: &mut App) {
    let Some((table, view, state)) = app.focus() else { return };
    let column = state.sort.first().map_or(0, |(column, _)| *column);
    let column = super::graph::beside(view.table(), column, 0);
    match state.selected.clone() {
        Some(key) => app.overlay = Overlay::Graph { table, key, column, cursor: 0, zoom: 0 },
        None => app.say("select a row first", Level::Careful),
    }
}

/// Makes one list of rows that stand under headings, or puts them back.
fn flatten(app: &mut App, table: &str) {
    let flat = crate::panel::flat(table);
    if let Some(at) = TOGGLES.iter().position(|toggle| Some(toggle.name) == flat) {
        switch(app, at);
    }
}

/// Opens what is known of the selected row; of a process at the top when none is selected.
fn open(app: &mut App, act: Act) -> Outcome {
    let Some((table, view, state)) = app.focus() else { return Outcome::Done };
    if state.selected.is_none() {
        state.step(&view, 0);
        if act == Act::Enter {
            return Outcome::Done;
        }
    }
    if act == Act::Enter && (super::group::open(app) || super::inside::open(app)) {
        return Outcome::Done;
    }
    let Some((_, _, state)) = app.focus() else { return Outcome::Done };
    if state.row(&view).is_some_and(|row| state.is_many(row)) {
        app.say(MANY, Level::Careful);
    } else if let Some(key) = state.selected.clone() {
        let members = state.row(&view).filter(|_| act == Act::Enter);
        if let Some((fleet, filter)) = app.fleet.zip(members.and_then(|row| crate::panel::fleet::members(&view, row))) {
            super::hosts::narrow(app, fleet, &filter);
            return Outcome::Done;
        }
        let behind = (act == Act::Enter).then(|| app.host.behind(table, &key)).flatten();
        if behind.is_some() {
            app.open = behind;
            return Outcome::Done;
        }
        app.overlay = Overlay::Detail { table, key, section: 0, top: 0 };
        super::detail::begin(app);
    }
    Outcome::Done
}

fn explore(app: &mut App, act: Act) {
    let last = app.host.schema().len().saturating_sub(1);
    let page = usize::from(app.size.1.saturating_sub(6));
    app.explore = match act {
        Act::Up => app.explore.saturating_sub(1),
        Act::Down => (app.explore + 1).min(last),
        Act::PageUp => app.explore.saturating_sub(page),
        Act::PageDown => (app.explore + page).min(last),
        Act::Home => 0,
        Act::End => last,
        _ => app.explore,
    };
    if act == Act::Enter
        && let Some(table) = app.host.schema().get(app.explore)
    {
        app.go(Page::Table(&table.name));
    }
}

/// The selected process; otherwise says what to do.
fn target(app: &mut App) -> Option<Target> {
    let target = app.target();
    if target.is_none() {
        let selected = app.focus().and_then(|(_, view, state)| {
            state.selected.as_ref()?;
            Some(state.row(&view).map(|row| state.is_many(row)))
        });
        let words = match selected {
            _ if app.fleet.is_some() => "open its host first: enter",
            Some(Some(true)) => MANY,
            Some(None) => "the selected process is gone",
            _ => "select a process first",
        };
        app.say(words, Level::Careful);
    }
    target
}

fn renice(app: &mut App, by: i32) {
    let Some(target) = target(app) else { return };
    let Some(shown) = target.nice else { return };
    let Some(table) = app.spots.first().map(|spot| spot.table) else { return };
    let taken = app.cache.snapshot().get(table).and_then(|state| Some(state.now.as_ref()?.time));
    // only a sample that was taken since then tells the value that was set
    let set = app.niced.as_ref().filter(|(one, when, _)| {
        (one.pid, one.start) == (target.pid, target.start) && taken.is_none_or(|taken| taken <= *when)
    });
    let now = set.map_or(shown, |(_, _, nice)| *nice);
    let nice = (now + by).clamp(-20, 19);
    let action = Action::Renice { pid: target.pid, start: target.start, nice };
    super::acting::act(app, vec![action], super::acting::What::Nice(nice, taken, target));
}

/// Sets the filter of the focused table, which need not have been sampled; a wrong one leaves the old one.
pub(super) fn set_filter(app: &mut App, text: &str) {
    let Some((table, state)) = super::group::filtered(app) else {
        app.say("there is no table here to filter", Level::Ok);
        return;
    };
    if text.trim().is_empty() {
        state.filter = None;
        return;
    }
    match Filter::parse_prompt(text, table) {
        Ok(filter) => {
            let many =
                wanted::ids(table, Some(&filter)).err().filter(|error| matches!(error, WantedError::TooMany { .. }));
            (state.filter, state.top) = (Some(filter), 0);
            if let Some(error) = many {
                app.say(format!("{error}: {}", error.hint()), Level::Careful);
            }
        }
        Err(wrong) => app.say(format!("filter: column {}: {}", wrong.column(), wrong.message), Level::Careful),
    }
}

fn copy(app: &mut App) -> Outcome {
    let state = app.spots.first().and_then(|spot| Some((app.cache.get(spot.table)?, app.tables.get(&spot.key)?)));
    let Some((row, view, state)) = state.and_then(|(view, state)| Some((state.row(&view)?, view, state))) else {
        app.say("select a row first", Level::Careful);
        return Outcome::Done;
    };
    let reader = app.writing();
    let words = state.columns.iter().map(|at| super::cell::write_line(&view, state, row, *at, &reader).text);
    let words = words.collect::<Vec<String>>().join("\t");
    clipboard(super::save::offer(app, words))
}

fn clipboard(text: Option<String>) -> Outcome {
    text.map_or(Outcome::Done, Outcome::Clipboard)
}

/// Does what was typed after `:`.
fn command(app: &mut App, text: &str) -> Outcome {
    let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let rest = rest.trim();
    match word {
        "view" | "table" => match page_named(app.host.as_ref(), rest) {
            Some(page) => app.go(page),
            None => app.say(format!("no view or table {rest}"), Level::Careful),
        },
        "theme" => match Theme::named(rest, app.config.themes.as_deref(), app.ability) {
            Ok(theme) => app.theme = theme,
            Err(cause) => app.say(cause.to_string(), Level::Careful),
        },
        "filter" => set_filter(app, rest),
        "sort" => {
            let focused = app.focused_table().and_then(|(table, state)| Some((table, table.position(rest)?, state)));
            match focused {
                Some((table, column, state)) => state.sort_by(table, column),
                None => app.say(format!("no column {rest} here"), Level::Careful),
            }
        }
        "save" => super::save::asked(app, rest),
        "copy" if !rest.is_empty() => match What::named(rest) {
            Some(what) => return clipboard(super::save::copy(app, what)),
            None => app.say("copy screen, or copy csv", Level::Careful),
        },
        name => match app.keymap.named(name) {
            Some(act) => return self::act(app, act),
            None => match app.table(name) {
                Some(table) => app.go(Page::Table(&table.name)),
                None => app.say(format!("no command {name}"), Level::Careful),
            },
        },
    }
    Outcome::Done
}

fn click(app: &mut App, mouse: MouseEvent) {
    let at = ratatui::layout::Position { x: mouse.column, y: mouse.row };
    let by: isize = match mouse.kind {
        MouseEventKind::ScrollUp => -3,
        MouseEventKind::ScrollDown => 3,
        MouseEventKind::Down(MouseButton::Left) => 0,
        _ => return,
    };
    if super::dialog::wheel(app, by) {
        return;
    }
    if let Some((_, page)) = app.tabs.iter().find(|(area, _)| area.contains(at)) {
        let page = page.clone();
        return app.go(page);
    }
    if by == 0 {
        pane::click(app, at);
    } else {
        pane::wheel(app, at, by);
    }
    if let Some((area, top)) = app.listed.filter(|(area, _)| area.contains(at)) {
        return click_table(app, by, top + usize::from(at.y - area.y));
    }
    let Some(spot) = app.spots.iter().find(|spot| spot.area.contains(at)) else { return };
    let line = usize::from(mouse.row - spot.area.y);
    let column = spot.placed.iter().find(|p| (p.x..=p.x + p.width).contains(&mouse.column)).map(|p| p.column);
    let Some(view) = app.cache.get(spot.table) else { return };
    let Some(state) = app.tables.get_mut(&spot.key) else { return };
    match (by, line.checked_sub(1), column) {
        (0, None, Some(column)) => {
            state.sort_by(view.table(), column);
            let (outlined, table) = (state.outlined, spot.table);
            if outlined {
                flatten(app, table);
            }
        }
        (0, Some(line), _) => {
            if let OnLine::Row(at) = state.on_line(state.top + line) {
                state.select(&view, at);
            }
        }
        (by, ..) => state.scroll(by),
    }
}

/// The wheel or a click on the list of tables; a click on the selected one opens it.
fn click_table(app: &mut App, by: isize, line: usize) {
    let last = app.host.schema().len().saturating_sub(1);
    match by {
        0 if line == app.explore => explore(app, Act::Enter),
        0 if line <= last => app.explore = line,
        0 => {}
        by => app.explore = app.explore.saturating_add_signed(by).min(last),
    }
}

/// Whether a key means to leave a dialog.
pub(super) fn leaves(key: KeyEvent) -> bool {
    key.code == KeyCode::Esc
}
