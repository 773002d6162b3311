//! What did one number do over time?

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::App;
use super::cell::number;
use super::overlay::plain;
use super::paint::{clear, frame, put};
use crate::model::{HistoryAsk, Key, unit};
use crate::panel::{Role, Views as _};
use crate::store::rate::Mode;

/// Dots of a braille cell from below: left column, right column.
const DOTS: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];

/// Draws the history of a cell with its range, its span and the value under the cursor.
pub(super) fn draw(
    app: &App,
    buffer: &mut Buffer,
    area: Rect,
    (table, key): (&str, &Key),
    column: usize,
    cursor: usize,
) {
    clear(buffer, area, app.theme.base());
    let Some(schema) = app.table(table) else { return };
    let Some(description) = schema.columns.get(column) else { return };
    let ask =
        HistoryAsk { table: table.to_owned(), column: description.name.to_string(), key: key.clone(), since: None };
    let name = app.cache.get(table).and_then(|view| {
        let row = view.find(key)?;
        view.cell(row, schema.label_column()).text().map(str::to_owned)
    });
    let title = format!("{} {} {}", schema.title(), name.unwrap_or_default(), description.title());
    let inner = frame(buffer, area, &plain(title, Role::Title), "", &app.theme);
    let muted = app.theme.role(Role::Muted);
    let points = app.reader().history(&ask).map(|series| series.points).unwrap_or_default();
    let finite = || points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    if finite().next().is_none() || inner.height < 4 || inner.width < 16 {
        put(buffer, inner.x, inner.y, inner.width, "no history of this column is kept, or there is none yet", muted);
        return;
    }
    let (low, high) = finite().fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let range = if high > low { high - low } else { 1.0 };
    let say = |value: f64| number(value, description, Mode::Rate, app.style);
    let axis = 8;
    put(buffer, inner.x, inner.y, axis, &say(high), app.theme.role(Role::Value));
    put(buffer, inner.x, inner.bottom() - 2, axis, &say(low), app.theme.role(Role::Value));
    let plot = Rect::new(inner.x + axis, inner.y, inner.width - axis, inner.height - 1);
    let slots = usize::from(plot.width) * 2;
    let shown = points.get(points.len().saturating_sub(slots)..).unwrap_or(&points);
    let rows = usize::from(plot.height) * 4;
    let mut cells = vec![0_u32; usize::from(plot.width) * usize::from(plot.height)];
    for (i, (_, value)) in shown.iter().enumerate().filter(|(_, (_, value))| value.is_finite()) {
        let slot = slots - shown.len() + i;
        let height = (((value - low) / range) * (rows - 1) as f64).round() as usize;
        for dot in 0..=height.min(rows - 1) {
            let y = usize::from(plot.height) - 1 - dot / 4;
            if let Some(cell) = cells.get_mut(y * usize::from(plot.width) + slot / 2)
                && let Some(bit) = DOTS.get(slot % 2).and_then(|side| side.get(dot % 4))
            {
                *cell |= bit;
            }
        }
    }
    for (i, dots) in cells.iter().enumerate().filter(|(_, dots)| **dots > 0) {
        let (x, y) = ((i % usize::from(plot.width)) as u16, (i / usize::from(plot.width)) as u16);
        if let Some(ch) = char::from_u32(0x2800 + dots) {
            put(buffer, plot.x + x, plot.y + y, 1, ch.encode_utf8(&mut [0; 4]), app.theme.bar(Role::Value));
        }
    }
    let at = shown.len().saturating_sub(1 + cursor.min(shown.len().saturating_sub(1)));
    if let (Some((time, value)), Some((last, _))) = (shown.get(at), shown.last()) {
        let slot = slots - shown.len() + at;
        let x = plot.x + (slot / 2) as u16;
        super::paint::tint(buffer, Rect::new(x, plot.y, 1, plot.height), app.theme.selected());
        let value = if value.is_finite() { say(*value) } else { "–".to_owned() };
        let span = shown.first().map_or(0.0, |(first, _)| last.since(*first));
        let words =
            format!("{value}  {} ago   left, right: move   span {}", unit::span(last.since(*time)), unit::span(span));
        put(buffer, inner.x, inner.bottom() - 1, inner.width, &words, muted);
    }
}
