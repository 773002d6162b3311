//! Which tables are there?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::app::App;
use super::paint;
use crate::model::{Level, State};
use crate::panel::{Item, Role};

/// Draws every table of the host with its state.
pub(super) fn draw(app: &mut App, buffer: &mut Buffer, area: Rect) {
    let tables = app.host.schema();
    let title =
        vec![Item::Text("Tables".into(), Role::Title), Item::Text(format!(" {}", tables.len()).into(), Role::Value)];
    app.explore = app.explore.min(tables.len().saturating_sub(1));
    let room = paint::inside(area).height;
    let page = usize::from(if room > 2 { room - 1 } else { room });
    let top = (app.explore + 1).saturating_sub(page);
    let right = paint::rest(top, tables.len().saturating_sub(page));
    let mut inner = paint::frame(buffer, area, &title, &right, &app.theme);
    let text = |text: String, role, width, right| Item::Cell { text: text.into(), role, width, right };
    let line = |name: String, rows: String, state: String, help: String, roles: [Role; 4]| {
        let [named, counted, stated, helped] = roles;
        vec![
            text(name, named, 24, false),
            text(rows, counted, 8, true),
            text(format!("  {state}"), stated, 12, false),
            Item::Text(help.into(), helped),
        ]
    };
    if inner.height > 2 {
        let head = line(" table".into(), "rows".into(), "state".into(), "one row is".into(), [Role::Label; 4]);
        paint::line(buffer, Rect { height: 1, ..inner }, &head, &app.theme);
        inner = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    }
    app.listed = Some((inner, top));
    for (i, table) in tables.iter().enumerate().skip(top).take(page) {
        let y = inner.y + (i - top) as u16;
        let state = app.cache.snapshot().get(&table.name);
        let rows =
            state.and_then(|state| state.now.as_ref()).map_or("–".to_owned(), |now| now.rows.len().to_string());
        let word = state.map_or("not asked", |state| state.status.state.name());
        let bad = state.is_some_and(|state| !matches!(state.status.state, State::Ok | State::Absent));
        let role = if bad { Role::Level(Level::Warning) } else { Role::Muted };
        let help = table.summary().split_whitespace().collect::<Vec<_>>().join(" ");
        let roles = [Role::Value, Role::Value, role, Role::Label];
        let line = line(format!(" {}", table.name), rows, word.to_owned(), help, roles);
        paint::line(buffer, Rect { y, height: 1, ..inner }, &line, &app.theme);
        if state.is_some() && super::stale::is_lost(app) {
            paint::tint(
                buffer,
                Rect { y, height: 1, ..inner },
                app.theme.role(Role::Stale).add_modifier(Modifier::DIM),
            );
        }
        if i == app.explore {
            paint::tint(buffer, Rect { y, height: 1, ..inner }, app.theme.selected());
        }
    }
}
