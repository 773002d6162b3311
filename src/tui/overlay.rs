//! What can lie over the screen: help, prompts, details, and the question before a signal?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_input::Input;

use super::app::App;
use super::keymap::Act;
use super::paint::{clear, frame, line, put, tint};
use super::text::{width, wrap};
use super::theme::Theme;
use crate::model::{Demand, Key, Level, Table};
use crate::panel::{Item, Line, Role, Target};

/// What lies over the screen.
#[derive(Debug, Default)]
pub(super) enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// Keys and tables, from a line on.
    Help(usize),
    /// The filter as it is typed, with what is wrong with it and from which character on.
    Filter(Input, Option<(usize, String)>),
    /// A command as it is typed, and the chosen completion.
    Palette(Input, usize, String),
    /// Columns of the focused table.
    Columns(usize),
    /// One row: section and first line.
    Detail { table: &'static str, key: Key, section: usize, top: usize },
    /// The past of one column of one row, and how often it was zoomed out.
    Graph { table: &'static str, key: Key, column: usize, cursor: usize, zoom: usize },
    /// Which signal, and the chosen one of the list.
    Signal(Target, usize),
    /// Whether connections are to be deleted.
    Delete(super::delete::Asked),
    /// What is to be said of alerts.
    Mute(super::mute::Asked),
}

/// Signals that are offered, the mildest first.
pub(super) const SIGNALS: &[(i32, &str)] = &[
    (libc::SIGTERM, "TERM  end, please"),
    (libc::SIGINT, "INT   interrupt, as Ctrl-C"),
    (libc::SIGHUP, "HUP   hang up, often: read the configuration again"),
    (libc::SIGQUIT, "QUIT  end with a core dump"),
    (libc::SIGSTOP, "STOP  stop, cannot be refused"),
    (libc::SIGCONT, "CONT  go on"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGUSR2, "USR2"),
    (libc::SIGKILL, "KILL  end at once, cannot be refused"),
];

/// Cells of a name that tell it from others.
const TOLD: usize = 4;
/// What stands where the question before a signal has no room.
const UNNAMED: &str = "nothing is sent: no room for name and pid";

impl Overlay {
    /// What it needs beside what the screen needs.
    pub(super) fn demand(&self, app: &App) -> Option<Demand> {
        match self {
            Self::Detail { table, key, section, .. } => super::detail::demand(app, table, key, *section),
            // its marks are those of alerts
            Self::Graph { .. } => Some(crate::panel::past_demand()),
            _ => None,
        }
    }

    /// Whether it lies over the screen as a frame of its own; below a prompt the screen shows what it would do.
    pub(super) fn covers(&self) -> bool {
        !matches!(self, Self::None | Self::Filter(..) | Self::Palette(..))
    }

    /// The keys that work in it, for the last line.
    pub(super) fn hints(&self, app: &App) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::None => &[],
            Self::Help(_) => &[("↑↓", "scroll"), ("esc", "close")],
            Self::Filter(..) => &[("enter", "apply"), ("esc", "keep the old one")],
            Self::Palette(..) => &[("↑↓", "choose"), ("tab", "complete"), ("enter", "do it"), ("esc", "back")],
            Self::Columns(_) => &[("↑↓", "choose"), ("space", "show or hide"), ("enter", "done")],
            Self::Detail { table, .. } if super::detail::sections(app, table) < 2 => {
                &[("↑↓", "scroll"), ("esc", "back")]
            }
            Self::Detail { .. } => &[("tab", "next section"), ("↑↓", "scroll"), ("esc", "back")],
            Self::Graph { .. } => &[("←→", "cursor"), ("↑↓", "other column"), ("esc", "back")],
            Self::Signal(..) => &[("↑↓", "choose"), ("enter", "send it"), ("esc", "send nothing")],
            Self::Delete(_) => &[("y", "delete"), ("esc", "delete nothing")],
            Self::Mute(asked) if asked.can_be_whole() => {
                &[("enter", "say it"), ("tab", "all of its rule"), ("esc", "say nothing")]
            }
            Self::Mute(_) => &[("enter", "say it"), ("esc", "say nothing")],
        }
    }
}

/// Draws what lies over the screen.
pub(super) fn draw(app: &App, buffer: &mut Buffer, area: Rect) {
    match &app.overlay {
        Overlay::None => {}
        Overlay::Help(top) => {
            let lines = help(app, usize::from(centered(area).width.saturating_sub(2)));
            popup(app, buffer, area, "Help", &lines, *top, None);
        }
        Overlay::Filter(input, error) => prompt(app, buffer, area, "/", input, error.as_ref()),
        Overlay::Palette(input, chosen, _) => {
            let mut lines: Vec<Line> =
                super::palette::matches(app, input.value()).into_iter().map(|text| plain(text, Role::Plain)).collect();
            let choice = (!lines.is_empty()).then_some(*chosen);
            if lines.is_empty() && !super::palette::is_free(input.value()) {
                lines.push(plain("nothing matches".to_owned(), Role::Muted));
            }
            let height = (lines.len() as u16 + 2).min(area.height.saturating_sub(1)).min(16);
            let list = Rect { y: area.bottom().saturating_sub(height + 1), height, ..area };
            if !lines.is_empty() {
                let top = chosen.saturating_sub(usize::from(height).saturating_sub(3));
                popup(app, buffer, list, "Palette", &lines, top, choice);
            }
            prompt(app, buffer, area, ":", input, None);
        }
        Overlay::Columns(chosen) => {
            let Some(spot) = app.spots.first() else { return };
            let (Some(table), Some(state)) = (app.table(spot.table), app.tables.get(&spot.key)) else { return };
            let mark = |i: usize| if state.columns.contains(&i) { "[x] " } else { "[ ] " };
            let text = |(i, column): (usize, &crate::model::Column)| {
                format!("{}{:<18} {}", mark(i), column.title(), column.help)
            };
            let lines: Vec<Line> = table.columns.iter().enumerate().map(|one| plain(text(one), Role::Plain)).collect();
            let page = usize::from(area.height).saturating_sub(4);
            popup(
                app,
                buffer,
                area,
                "Columns: space shows or hides",
                &lines,
                (chosen + 1).saturating_sub(page),
                Some(*chosen),
            );
        }
        Overlay::Detail { table, key, section, top } => {
            super::detail::draw(app, buffer, area, (table, key), *section, *top);
        }
        Overlay::Graph { table, key, column, cursor, zoom } => {
            super::graph::draw(app, buffer, centered(area), (table, key), *column, (*cursor, *zoom));
        }
        Overlay::Signal(target, chosen) => signal(app, buffer, area, target, *chosen),
        Overlay::Delete(asked) => super::delete::draw(app, buffer, area, asked),
        Overlay::Mute(asked) => super::mute::draw(app, buffer, area, asked),
    }
}

/// Who gets a signal, and which one: what is asked has no list without the first line, and no room for both sends nothing.
fn signal(app: &App, buffer: &mut Buffer, area: Rect, target: &Target, chosen: usize) {
    let all = SIGNALS.len() as u16 + 2;
    let pid = format!(" (pid {})", target.pid);
    // of a name that is too long as much as can be told from others
    let most = width(&target.name);
    let needed = (width(&pid) + most) as u16;
    let framed = area.height >= 4 && area.width >= needed.saturating_add(4);
    let size = Rect { height: area.height.min(all + 2 * u16::from(framed)), width: area.width.min(64), ..area };
    let (x, y) = (area.x + (area.width - size.width) / 2, area.y + (area.height - size.height) / 2);
    let size = Rect { x, y, ..size };
    clear(buffer, size, app.theme.base());
    let room = usize::from(size.width).saturating_sub(width(&pid));
    app.named.set(size.height >= 2 && room >= most.min(TOLD));
    if !app.named.get() {
        for (y, words) in (size.top()..size.bottom()).zip(wrap(UNNAMED, usize::from(size.width))) {
            put(buffer, size.x, y, size.width, &words, app.theme.level(Level::Warning));
        }
        return;
    }
    let rows = usize::from(size.height) - 2 * usize::from(framed);
    let refused = app.host.refusal().map(|why| format!("nothing will be sent: {why}"));
    let fate = crate::panel::fate(&app.host.latest(), target).map(str::to_owned);
    let fate = refused.or(fate);
    let gap = usize::from(rows >= usize::from(all) || (fate.is_some() && rows >= 3));
    let page = (rows - 1 - gap).max(1);
    let top = (chosen + 1).saturating_sub(page).min(SIGNALS.len().saturating_sub(page));
    let right = super::paint::rest(top, SIGNALS.len().saturating_sub(page));
    let title = plain("Send a signal to".to_owned(), Role::Title);
    let inner = if framed { framed_popup(buffer, size, &title, &right, &app.theme) } else { size };
    let room = usize::from(inner.width).saturating_sub(width(&pid));
    let head = format!("{}{pid}", super::text::cut(&target.name, room));
    put(buffer, inner.x, inner.y, inner.width, &head, app.theme.role(Role::Title));
    if let Some(words) = fate.filter(|_| gap > 0) {
        let words = super::text::cut(&words, usize::from(inner.width).saturating_sub(2)).into_owned();
        put(buffer, inner.x, inner.y + 1, inner.width, &format!("▲ {words}"), app.theme.level(Level::Warning));
    }
    let list = (inner.y + 1 + gap as u16..inner.bottom()).zip(SIGNALS.iter().enumerate().skip(top));
    for (y, (at, (_, text))) in list {
        let row = Rect { y, height: 1, ..inner };
        line(buffer, row, &plain((*text).to_owned(), Role::Plain), &app.theme);
        if at == chosen {
            tint(buffer, row, app.theme.selected());
        }
    }
}

pub(super) fn plain(text: String, role: Role) -> Line {
    vec![Item::Text(text.into(), role)]
}

/// A frame that sets itself off: what is in it has the keys.
pub(super) fn framed_popup(buffer: &mut Buffer, area: Rect, title: &Line, right: &str, theme: &Theme) -> Rect {
    let inner = frame(buffer, area, title, right, theme);
    super::paint::emphasize(buffer, area, theme);
    inner
}

/// The middle of the screen; all of a small one.
pub(super) fn centered(area: Rect) -> Rect {
    if area.width < 100 || area.height < 30 {
        return area;
    }
    let (x, y) = (area.width / 16, area.height / 12);
    Rect::new(area.x + x, area.y + y, area.width - 2 * x, area.height - 2 * y)
}

/// Which of `count` lines are shown on a page from `top` on; the last page is full.
pub(super) fn window(count: usize, page: usize, top: usize) -> std::ops::Range<usize> {
    let first = top.min(count.saturating_sub(page.max(1)));
    first..first.saturating_add(page).min(count)
}

fn popup(app: &App, buffer: &mut Buffer, area: Rect, title: &str, lines: &[Line], top: usize, chosen: Option<usize>) {
    let area = centered(area);
    clear(buffer, area, app.theme.base());
    let page = usize::from(area.height.saturating_sub(2));
    let top = window(lines.len(), page, top).start;
    // nobody chooses what cannot be seen
    let top = chosen.map_or(top, |chosen| top.clamp((chosen + 1).saturating_sub(page.max(1)), chosen));
    app.reach.set(lines.len().saturating_sub(page.max(1)));
    let hidden = lines.len().saturating_sub(top + page);
    let right = if hidden > 0 { format!("+{hidden}") } else { String::new() };
    let inner = framed_popup(buffer, area, &plain(title.to_owned(), Role::Title), &right, &app.theme);
    for (i, (y, items)) in (inner.top()..inner.bottom()).zip(lines.iter().skip(top)).enumerate() {
        let row = Rect { y, height: 1, ..inner };
        line(buffer, row, items, &app.theme);
        if chosen == Some(top + i) {
            tint(buffer, row, app.theme.selected());
        }
    }
}

fn prompt(app: &App, buffer: &mut Buffer, area: Rect, mark: &str, input: &Input, error: Option<&(usize, String)>) {
    let y = area.bottom().saturating_sub(1);
    let row = Rect { y, height: 1, ..area };
    clear(buffer, row, app.theme.base());
    let (x, skip) = typed(app, buffer, row, mark, input);
    if let Some((at, error)) = error {
        // the character where the mistake is, or the place behind the last one
        let before: String = input.value().chars().take(*at).collect();
        let place = x + width(&before).saturating_sub(skip) as u16;
        let style = app.theme.level(Level::Critical).add_modifier(ratatui::style::Modifier::UNDERLINED);
        tint(buffer, Rect::new(place, y, 1, 1), style);
        let above = Rect { height: area.height.saturating_sub(1), ..area };
        super::paint::words_above(buffer, above, &format!("✖ {error}"), Level::Warning, &app.theme);
        if above.height == 0 {
            // no room for words: the mark of the prompt says that it is wrong
            put(buffer, area.x, y, area.width, "✖", app.theme.level(Level::Critical));
        }
    }
}

/// Draws what is typed behind a mark, as much as has room around the cursor; returns where it begins, and from which cell on.
pub(super) fn typed(app: &App, buffer: &mut Buffer, row: Rect, mark: &str, input: &Input) -> (u16, usize) {
    let x = row.x + put(buffer, row.x, row.y, row.width, mark, app.theme.role(Role::Accent));
    let room = row.right().saturating_sub(x);
    let skip = input.visual_scroll(usize::from(room.saturating_sub(1)));
    let text = super::text::from_cell(input.value(), skip);
    put(buffer, x, row.y, room, text, app.theme.role(Role::Value));
    let cursor = input.visual_cursor().saturating_sub(skip) as u16;
    let reversed = ratatui::style::Style::new().add_modifier(ratatui::style::Modifier::REVERSED);
    tint(buffer, Rect::new(x + cursor, row.y, 1, 1).intersection(row), reversed);
    (x, skip)
}

/// Narrowest column of help, and how many stand beside each other at most.
const HELP: (usize, usize) = (50, 4);
/// Cells between columns of help.
const APART: usize = 2;
/// Cells of keys in front of what they do.
const KEYS: usize = 16;

fn help(app: &App, cells: usize) -> Vec<Line> {
    let across = ((cells + APART) / (HELP.0 + APART)).clamp(1, HELP.1);
    let each = ((cells + APART) / across).saturating_sub(APART);
    let cell =
        |text: String, role, width: usize| Item::Cell { text: text.into(), role, width: width as u16, right: false };
    let title = |text: &str| plain(text.to_owned(), Role::Title);
    let key = |(names, help): &(Vec<String>, &str)| -> Vec<Line> {
        let room = each.saturating_sub(KEYS);
        let name = |at: usize| if at == 0 { names.join(" ") } else { String::new() };
        let words = wrap(help, room).into_iter().enumerate();
        words.map(|(at, words)| vec![cell(name(at), Role::Accent, KEYS), cell(words, Role::Plain, room)]).collect()
    };
    let table = |table: &&Table| -> Vec<Line> {
        let help = table.summary().split_whitespace().collect::<Vec<_>>().join(" ");
        let words = wrap(&help, each.saturating_sub(2)).into_iter();
        let words = words.map(|words| vec![cell(format!("  {words}"), Role::Label, each)]);
        std::iter::once(vec![cell(table.name.to_string(), Role::Value, each)]).chain(words).collect()
    };
    let signs = wrap("• careful  ▲ warning  ✖ critical  – missing  ? rate not known yet", cells);
    let mut lines = Vec::new();
    let (here, everywhere) = keys(app);
    if super::screen::view_name(app) == Some("topology") {
        // what a map has is what people ask about who look at one
        lines.push(title("On the map"));
        lines.extend(MAP.iter().flat_map(|words| wrap(words, cells)).map(|words| plain(words, Role::Plain)));
        lines.push(Line::new());
    }
    if !here.is_empty() {
        lines.push(title("Keys here"));
        lines.extend(beside(here.iter().map(key), across, each));
        lines.push(Line::new());
    }
    lines.push(title("Keys"));
    lines.extend(beside(everywhere.iter().map(key), across, each));
    lines.extend([Line::new(), title("Signs")]);
    lines.extend(signs.into_iter().map(|words| plain(words, Role::Plain)));
    lines.extend([Line::new(), title("Tables")]);
    lines.extend(beside(app.host.schema().iter().map(table), across, each));
    lines
}

/// What is written on maps.
const MAP: [&str; 4] = [
    "↓ received  ↑ sent  ↕ both, a second; /24 +1 an address of this host and how many more, gone: the interface is not there, \
     silent 5m: for so long nobody tells of it",
    "▸ stands elsewhere on the map; this is one more way there",
    "on the map of areas: 15/10 what a link costs there and back, one way: only this end tells the link, not reached: no way there \
     over links that both ends tell",
    "2 stubs: networks without other routers, ABR joins areas, ASBR brings routes of other protocols",
];

/// Keys with what they do.
type Told = Vec<(Vec<String>, &'static str)>;

/// The keys for the rows that are shown, and the others.
fn keys(app: &App) -> (Told, Told) {
    let own: Vec<Act> = super::screen::own(app).into_iter().map(|(act, _)| act).collect();
    let is_own = |act| own.contains(&act) || (act == Act::ForgetAll && own.contains(&Act::Forget));
    let (mut here, mut everywhere) = (Told::new(), Told::new());
    for bound in &app.keymap.bound {
        let told = if is_own(bound.act) { &mut here } else { &mut everywhere };
        let names = bound.keys.iter().map(ToString::to_string);
        // what several keys do alike is told once
        match told.last_mut().filter(|(_, help)| *help == bound.help) {
            Some((before, _)) => before.extend(names),
            None => told.push((names.collect(), bound.help)),
        }
    }
    (here, everywhere)
}

/// Groups of lines of `each` cells in columns, one column after the other.
fn beside(groups: impl Iterator<Item = Vec<Line>>, across: usize, each: usize) -> Vec<Line> {
    let groups: Vec<Vec<Line>> = groups.collect();
    let down = groups.iter().map(Vec::len).sum::<usize>().div_ceil(across);
    let mut columns = vec![Vec::new()];
    for group in groups {
        // a group stays whole
        if columns.len() < across && columns.last().is_some_and(|column| column.len() >= down) {
            columns.push(Vec::new());
        }
        if let Some(column) = columns.last_mut() {
            column.extend(group);
        }
    }
    let blank = vec![Item::Cell { text: "".into(), role: Role::Plain, width: each as u16, right: false }];
    let row = |at: usize| -> Line {
        let parts = columns.iter().map(|column: &Vec<Line>| column.get(at).unwrap_or(&blank).clone());
        let apart = || vec![Item::Text(" ".repeat(APART).into(), Role::Plain)];
        parts.enumerate().flat_map(|(n, part)| if n == 0 { part } else { [apart(), part].concat() }).collect()
    };
    (0..columns.iter().map(Vec::len).max().unwrap_or(0)).map(row).collect()
}
