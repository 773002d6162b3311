//! What do keys do while something lies over the screen?

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

use super::app::App;
use super::input::{leaves, set_filter};
use super::keymap::{Act, Scope};
use super::overlay::{Overlay, SIGNALS};
use super::palette;
use super::theme::Theme;
use crate::model::{Action, Level};
use crate::panel::Target;
use crate::store::expr::Filter;

/// Points that the cursor of a graph moves over at once.
const CURSOR_PAGE: usize = 20;
/// Longest text that a prompt takes, in bytes.
const LONGEST: usize = 1024;

/// Gives a key to what lies over the screen; false when nothing does.
pub(super) fn key(app: &mut App, key: KeyEvent, event: &Event) -> bool {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        app.quit = true;
        return true;
    }
    let page = usize::from(app.size.1.saturating_sub(6)).max(1);
    let reach = app.reach.get();
    app.overlay = match std::mem::take(&mut app.overlay) {
        Overlay::None => return false,
        Overlay::Palette(_, _, before) if leaves(key) => {
            theme(app, &before);
            Overlay::None
        }
        _ if leaves(key) => Overlay::None,
        Overlay::Help(_) if matches!(key.code, KeyCode::Char('?' | 'h' | 'q')) => Overlay::None,
        Overlay::Help(top) => Overlay::Help(moved(top, key.code, page, reach)),
        Overlay::Filter(input, _) => filter(app, input, key, event),
        Overlay::Palette(input, chosen, before) => palette_key(app, input, chosen, before, key, event),
        Overlay::Columns(chosen) => columns(app, chosen, key.code, page),
        Overlay::Detail { table, key: row, section, top } => {
            let sections = super::detail::sections(app, table);
            match key.code {
                KeyCode::Tab | KeyCode::Enter => {
                    Overlay::Detail { table, key: row, section: (section + 1) % sections, top: 0 }
                }
                KeyCode::BackTab => {
                    Overlay::Detail { table, key: row, section: (section + sections - 1) % sections, top: 0 }
                }
                code => Overlay::Detail { table, key: row, section, top: moved(top, code, page, reach) },
            }
        }
        Overlay::Graph { table, key: row, column, cursor, zoom } => {
            let (cursor, zoom) = in_graph(app, key, (cursor, zoom));
            let by = match key.code {
                KeyCode::Up => -1,
                KeyCode::Down => 1,
                _ => 0,
            };
            let column = app.table(table).map_or(column, |schema| super::graph::beside(schema, column, by));
            Overlay::Graph { table, key: row, column, cursor, zoom }
        }
        Overlay::Signal(target, chosen) => signal(app, target, chosen, key.code),
        Overlay::Delete(asked) => super::delete::key(app, asked, key.code),
        Overlay::Mute(asked) => super::mute::key(app, asked, key, event),
    };
    true
}

/// Puts pasted text into the prompt that is open; elsewhere it does nothing, so that no paste is taken for keys.
pub(super) fn paste(app: &mut App, text: &str) {
    let input = match &mut app.overlay {
        Overlay::Filter(input, _) | Overlay::Palette(input, ..) => input,
        Overlay::Mute(asked) => asked.input(),
        _ => return,
    };
    let text: String = text.chars().filter(|ch| !ch.is_control()).collect();
    let mut value = format!("{}{text}", input.value());
    value.truncate(value.floor_char_boundary(LONGEST));
    *input = Input::new(value);
}

/// Cursor and zoom of a graph after a key; the zoom ends where the graph, as drawn last, does.
fn in_graph(app: &App, key: KeyEvent, (cursor, zoom): (usize, usize)) -> (usize, usize) {
    match app.keymap.within(Scope::Graph, &key) {
        Some(Act::ZoomIn) => return (0, zoom.min(app.reach.get()).saturating_sub(1)),
        Some(Act::ZoomOut) => return (0, (zoom + 1).min(app.reach.get())),
        _ => {}
    }
    let cursor = match key.code {
        KeyCode::Left => cursor + 1,
        KeyCode::Right => cursor.saturating_sub(1),
        KeyCode::PageUp => cursor + CURSOR_PAGE,
        KeyCode::PageDown => cursor.saturating_sub(CURSOR_PAGE),
        KeyCode::Home => usize::MAX,
        KeyCode::End => 0,
        _ => cursor,
    };
    (cursor.min(app.slots.get().saturating_sub(1)), zoom)
}

/// Where a key moves to, no further than `last`.
fn moved(at: usize, code: KeyCode, page: usize, last: usize) -> usize {
    let to = match code {
        KeyCode::Up => at.saturating_sub(1),
        KeyCode::Down => at.saturating_add(1),
        KeyCode::PageUp => at.saturating_sub(page),
        KeyCode::PageDown => at.saturating_add(page),
        KeyCode::Home => 0,
        KeyCode::End => last,
        _ => at,
    };
    to.min(last)
}

/// The wheel over what lies over the screen; false when nothing does.
pub(super) fn wheel(app: &mut App, by: isize) -> bool {
    if matches!(app.overlay, Overlay::None) {
        return false;
    }
    let code = if by < 0 { KeyCode::Up } else { KeyCode::Down };
    for _ in 0..by.unsigned_abs() {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        self::key(app, key, &Event::Key(key));
    }
    true
}

/// Types into a prompt.
pub(super) fn typed(input: &mut Input, event: &Event) {
    if input.value().len() < LONGEST || !matches!(event, Event::Key(KeyEvent { code: KeyCode::Char(_), .. })) {
        input.handle_event(event);
    }
}

fn filter(app: &mut App, mut input: Input, key: KeyEvent, event: &Event) -> Overlay {
    if key.code != KeyCode::Enter {
        typed(&mut input, event);
    }
    let error = super::group::filtered(app).and_then(|(table, _)| {
        let wrong = Filter::parse_prompt(input.value(), table).err()?;
        Some((wrong.column() - 1, wrong.to_string()))
    });
    let error = error.filter(|_| !input.value().trim().is_empty());
    if key.code != KeyCode::Enter {
        return Overlay::Filter(input, error);
    }
    if error.is_some() {
        return Overlay::Filter(input, error);
    }
    set_filter(app, input.value());
    Overlay::None
}

fn palette_key(
    app: &mut App,
    mut input: Input,
    mut chosen: usize,
    before: String,
    key: KeyEvent,
    event: &Event,
) -> Overlay {
    let matches = palette::matches(app, input.value());
    match key.code {
        KeyCode::Up => chosen = chosen.saturating_sub(1),
        KeyCode::Down => chosen = (chosen + 1).min(matches.len().saturating_sub(1)),
        KeyCode::Tab => {
            if let Some(text) = matches.get(chosen) {
                input = Input::new(text.clone());
                chosen = 0;
            }
        }
        KeyCode::Enter => {
            // what takes an argument is run as it was typed
            let free = palette::is_free(input.value());
            let text = if free { None } else { matches.get(chosen) };
            app.command = Some(text.cloned().unwrap_or_else(|| input.value().to_owned()));
            return Overlay::None;
        }
        _ => {
            typed(&mut input, event);
            chosen = 0;
        }
    }
    // a theme is shown while it is chosen
    let matches = palette::matches(app, input.value());
    let shown = matches.get(chosen).and_then(|text| text.strip_prefix("theme ")).unwrap_or(&before);
    theme(app, shown);
    Overlay::Palette(input, chosen, before)
}

fn theme(app: &mut App, name: &str) {
    if app.theme.name != name
        && let Ok(theme) = Theme::named(name, app.config.themes.as_deref(), app.ability)
    {
        app.theme = theme;
    }
}

fn columns(app: &mut App, chosen: usize, code: KeyCode, page: usize) -> Overlay {
    let Some((table, state)) = app.focused_table() else { return Overlay::None };
    if code == KeyCode::Char(' ') {
        state.toggle_column(chosen);
    }
    if code == KeyCode::Enter {
        return Overlay::None;
    }
    Overlay::Columns(moved(chosen, code, page, table.columns.len().saturating_sub(1)))
}

fn signal(app: &mut App, target: Target, chosen: usize, code: KeyCode) -> Overlay {
    if code != KeyCode::Enter {
        let last = SIGNALS.len().saturating_sub(1);
        return Overlay::Signal(target, moved(chosen, code, last, last));
    }
    // nobody says yes to what was not seen
    if !app.named.get() {
        app.say("nothing is sent before name and pid are on the screen", Level::Warning);
        return Overlay::Signal(target, chosen);
    }
    let Some((number, name)) = SIGNALS.get(chosen) else { return Overlay::None };
    let word = name.split_whitespace().next().unwrap_or_default();
    let action = Action::Signal { pid: target.pid, start: target.start, signal: *number };
    super::acting::act(app, vec![action], super::acting::What::Signal(word, target));
    Overlay::None
}
