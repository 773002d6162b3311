//! How does a panel's block become cells?
//!
//! Frames, lines, bars and sparklines for any size, 0 by 0 included. Nothing here knows what is shown. Everything is drawn
//! with Unicode; `frame::sweep` replaces it where the terminal has ASCII only.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::text::{cut, fit, width};
use super::theme::Theme;
use crate::model::Level;
use crate::panel::{Block, Body, Item, Line, Role};

/// Narrowest frame with a cell between itself and what it holds.
const PADDED: u16 = 16;
const EIGHTHS: [&str; 9] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
/// Dots of the left and right column of a braille cell, by height from below.
const LEFT: [u32; 5] = [0, 0x40, 0x44, 0x46, 0x47];
const RIGHT: [u32; 5] = [0, 0x80, 0xa0, 0xb0, 0xb8];

/// The glyph of a level, empty for `Ok`.
pub fn glyph(level: Level) -> &'static str {
    match level {
        Level::Ok => "",
        Level::Careful => "•",
        Level::Warning => "▲",
        Level::Critical => "✖",
    }
}

/// Draws text at a place, cut to `most` cells and to the buffer. Returns the cells taken.
pub fn put(buffer: &mut Buffer, x: u16, y: u16, most: u16, text: &str, style: Style) -> u16 {
    let area = buffer.area;
    if y < area.top() || y >= area.bottom() || x < area.left() || x >= area.right() {
        return 0;
    }
    let most = most.min(area.right() - x);
    let text = cut(text, usize::from(most));
    let (end, _) = buffer.set_stringn(x, y, &text, usize::from(most), style);
    end.saturating_sub(x)
}

/// Fills an area with a style and blanks.
pub fn clear(buffer: &mut Buffer, area: Rect, style: Style) {
    let area = area.intersection(buffer.area);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
                cell.set_style(style);
            }
        }
    }
}

/// Writes words over the last rows of an area, over as many as they need.
pub(super) fn words_above(buffer: &mut Buffer, area: Rect, words: &str, level: Level, theme: &Theme) {
    let lines = super::text::wrap(words, usize::from(area.width));
    let count = (lines.len() as u16).min(area.height);
    for (y, line) in (area.bottom() - count..area.bottom()).zip(lines) {
        clear(buffer, Rect { y, height: 1, ..area }, theme.base());
        put(buffer, area.x, y, area.width, &line, theme.level(level));
    }
}

/// Lays a style over an area without touching its text.
pub fn tint(buffer: &mut Buffer, area: Rect, style: Style) {
    buffer.set_style(area.intersection(buffer.area), style);
}

/// Draws a frame with words in its upper edge and returns the room inside. An area without room for a frame is all inside.
pub fn frame(buffer: &mut Buffer, area: Rect, title: &Line, right: &str, theme: &Theme) -> Rect {
    let area = area.intersection(buffer.area);
    if area.width < 4 || area.height < 3 {
        return area;
    }
    let style = theme.frame();
    let (x0, y0, x1, y1) = (area.left(), area.top(), area.right() - 1, area.bottom() - 1);
    let edge = "─".repeat(usize::from(area.width - 2));
    put(buffer, x0, y0, area.width, &format!("╭{edge}╮"), style);
    put(buffer, x0, y1, area.width, &format!("╰{edge}╯"), style);
    for y in y0 + 1..y1 {
        put(buffer, x0, y, 1, "│", style);
        put(buffer, x1, y, 1, "│", style);
    }
    let reserved = if right.is_empty() { 0 } else { width(right) as u16 + 3 };
    let room = area.width.saturating_sub(4).saturating_sub(reserved);
    if room > 0 {
        let end = line(buffer, Rect::new(x0 + 2, y0, room, 1), title, theme);
        // a blank on both sides sets the title off
        put(buffer, x0 + 1, y0, 1, " ", style);
        put(buffer, end, y0, 1, " ", style);
    }
    if reserved > 0 && reserved + 2 < area.width {
        put(buffer, x1 - reserved + 1, y0, reserved, &format!(" {right} "), theme.role(Role::Muted));
    }
    Rect::new(x0 + 1, y0 + 1, area.width - 2, area.height - 2)
}

/// How many are hidden, and whether some of them are above.
pub fn rest(above: usize, hidden: usize) -> String {
    match (above, hidden) {
        (_, 0) => String::new(),
        (0, hidden) => format!("+{hidden}"),
        (_, hidden) => format!("↑ +{hidden}"),
    }
}

/// Puts an area into the background: something else is asked about.
pub(super) fn dim(buffer: &mut Buffer, area: Rect, theme: &Theme) {
    let area = area.intersection(buffer.area);
    let style = theme.role(Role::Muted).remove_modifier(Modifier::BOLD | Modifier::REVERSED);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.set_style(style);
            }
        }
    }
}

/// Makes the frame of an area stand out, with and without color.
pub fn emphasize(buffer: &mut Buffer, area: Rect, theme: &Theme) {
    const HEAVY: [(&str, &str); 6] = [("╭", "┏"), ("╮", "┓"), ("╰", "┗"), ("╯", "┛"), ("─", "━"), ("│", "┃")];
    let area = area.intersection(buffer.area);
    let style = theme.role(Role::Accent);
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            let edge = y == area.top() || y + 1 == area.bottom() || x == area.left() || x + 1 == area.right();
            if edge
                && let Some(cell) = buffer.cell_mut((x, y))
                && let Some((_, heavy)) = HEAVY.iter().find(|(light, _)| *light == cell.symbol())
            {
                cell.set_symbol(heavy).set_style(style);
            }
        }
    }
}

/// Puts words into the lower edge of a frame.
pub fn mark(buffer: &mut Buffer, area: Rect, words: &str, style: Style) {
    let cells = width(words) as u16 + 2;
    if area.height >= 3 && cells + 4 <= area.width {
        put(buffer, area.right() - cells - 1, area.bottom() - 1, cells, &format!(" {words} "), style);
    }
}

/// Room that a block has inside its frame, with a cell at both sides where there is room for it: glyphs of levels go there.
pub fn inside(area: Rect) -> Rect {
    if area.width < 4 || area.height < 3 {
        return area;
    }
    let pad = u16::from(area.width >= PADDED);
    Rect::new(area.x + 1 + pad, area.y + 1, area.width - 2 - 2 * pad, area.height - 2)
}

/// Draws a block; for a table returns the room that the table view fills.
pub fn block(buffer: &mut Buffer, area: Rect, block: &Block, theme: &Theme) -> Rect {
    let mut title: Line = vec![Item::Text(block.title.clone(), Role::Title)];
    if !block.note.is_empty() {
        title.push(Item::Text(" ".into(), Role::Plain));
        title.extend(block.note.iter().cloned());
    }
    let mut right = String::new();
    if let Some(age) = block.stale {
        right.push_str(&super::stale::age(age));
    }
    if block.hidden > 0 {
        let gap = if right.is_empty() { "" } else { " " };
        right = format!("{right}{gap}{}", rest(block.scrolled, block.hidden));
    }
    frame(buffer, area, &title, &right, theme);
    let inner = inside(area.intersection(buffer.area));
    body(buffer, inner, &block.body, theme);
    if block.stale.is_some() {
        tint(buffer, inner, theme.role(Role::Stale).add_modifier(Modifier::DIM));
    }
    inner
}

/// Draws what is inside a frame, unless it is a table.
pub fn body(buffer: &mut Buffer, inner: Rect, body: &Body, theme: &Theme) {
    match body {
        Body::Lines(lines) => {
            for (y, items) in (inner.top()..inner.bottom()).zip(lines) {
                line(buffer, Rect::new(inner.x, y, inner.width, 1), items, theme);
            }
        }
        Body::Empty { level, why } => empty(buffer, inner, *level, why, theme),
        Body::Table(_) => {}
    }
}

fn empty(buffer: &mut Buffer, area: Rect, level: Level, why: &str, theme: &Theme) {
    let role = if level == Level::Ok { Role::Muted } else { Role::Level(level) };
    let words = if level == Level::Ok { why.to_owned() } else { format!("{} {why}", glyph(level)) };
    let mut lines = super::text::wrap(&words, usize::from(area.width));
    let room = usize::from(area.height);
    if lines.len() > room {
        lines.truncate(room);
        lines.last_mut().into_iter().for_each(|last| last.push('…'));
    }
    for (y, words) in (area.top()..area.bottom()).zip(lines) {
        put(buffer, area.x, y, area.width, &cut(&words, usize::from(area.width)), theme.role(role));
    }
}

/// Draws one line of items; returns where it ended.
pub fn line(buffer: &mut Buffer, area: Rect, items: &Line, theme: &Theme) -> u16 {
    let fixed: usize = items.iter().map(fixed_width).sum();
    let left = usize::from(area.width).saturating_sub(fixed);
    let flexible = items.iter().filter(|item| is_flexible(item)).count();
    let fills = items.iter().filter(|item| matches!(item, Item::Fill)).count();
    // bars and sparklines grow before gaps do
    let share = left.checked_div(flexible).unwrap_or(0);
    let mut spare = if flexible > 0 { left - share * flexible } else { left };
    let mut x = area.x;
    let mut level = Level::Ok;
    if let Some(Item::Cell { role: Role::Level(level), right: false, .. }) = items.first()
        && area.width > 0
        && area.x > 0
    {
        sign(buffer, area.x - 1, area.y, *level, theme);
    }
    for item in items {
        let room = area.right().saturating_sub(x);
        if room == 0 {
            break;
        }
        let (at, before) = (x, std::mem::replace(&mut level, worth_a_sign(item)));
        x += match item {
            Item::Text(text, role) => put(buffer, x, area.y, room, &marked(text, *role), theme.role(*role)),
            Item::Cell { text, role, width, right } => {
                let text = fit(text, usize::from(*width), *right);
                put(buffer, x, area.y, room.min(*width), &text, theme.role(*role))
            }
            Item::Bar { parts, marks, width } => {
                let cells = sized(*width, share, &mut spare).min(room);
                bar(buffer, Rect::new(x, area.y, cells, 1), parts, marks, theme);
                cells
            }
            Item::Spark { points, top, role, width } => {
                let cells = sized(*width, share, &mut spare).min(room);
                spark(buffer, Rect::new(x, area.y, cells, 1), points, *top, theme.bar(*role));
                cells
            }
            Item::Graph { graph, line, width } => {
                let cells = sized(*width, share, &mut spare).min(room);
                super::graph::strip(buffer, Rect::new(x, area.y, cells, 1), graph, *line, theme);
                cells
            }
            Item::Fill if flexible == 0 => {
                let cells = (left / fills.max(1)) as u16;
                cells.min(room)
            }
            Item::Fill => 0,
        };
        sign(buffer, at, area.y, before, theme);
    }
    sign(buffer, x, area.y, level, theme);
    x
}

/// The level of a number in a column, whose glyph stands in the gap behind it.
fn worth_a_sign(item: &Item) -> Level {
    match item {
        Item::Cell { text, role: Role::Level(level), right: true, .. } if !text.trim().is_empty() => *level,
        _ => Level::Ok,
    }
}

/// Puts the glyph of a level into a cell that is empty.
pub(super) fn sign(buffer: &mut Buffer, x: u16, y: u16, level: Level, theme: &Theme) {
    if level != Level::Ok && buffer.cell((x, y)).is_some_and(|cell| cell.symbol() == " ") {
        put(buffer, x, y, 1, glyph(level), theme.level(level));
    }
}

fn sized(width: u16, share: usize, spare: &mut usize) -> u16 {
    if width > 0 {
        return width;
    }
    let extra = usize::from(*spare > 0);
    *spare -= extra;
    u16::try_from(share + extra).unwrap_or(u16::MAX)
}

/// A level's words get its glyph unless the panel has put it there.
fn marked(text: &str, role: Role) -> std::borrow::Cow<'_, str> {
    match role {
        Role::Level(level) if level != Level::Ok && !text.contains(['•', '▲', '✖']) && !text.trim().is_empty() => {
            format!("{text}{}", glyph(level)).into()
        }
        _ => text.into(),
    }
}

fn fixed_width(item: &Item) -> usize {
    match item {
        Item::Text(text, role) => width(&marked(text, *role)),
        Item::Cell { width, .. } | Item::Bar { width, .. } | Item::Spark { width, .. } | Item::Graph { width, .. } => {
            usize::from(*width)
        }
        Item::Fill => 0,
    }
}

fn is_flexible(item: &Item) -> bool {
    matches!(item, Item::Bar { width: 0, .. } | Item::Spark { width: 0, .. } | Item::Graph { width: 0, .. })
}

/// Draws a bar of stacked parts in eighths of a cell.
pub fn bar(buffer: &mut Buffer, area: Rect, parts: &[(f64, Role)], marks: &[f64], theme: &Theme) {
    let cells = usize::from(area.width);
    let total = (cells * 8) as f64;
    let mut sum = 0.0;
    let mut ends = Vec::with_capacity(parts.len());
    for (share, role) in parts {
        sum += if share.is_finite() { share.max(0.0) } else { 0.0 };
        ends.push(((sum.min(1.0) * total).round() as usize, *role));
    }
    let end = ends.last().map_or(0, |(end, _)| *end);
    for i in 0..cells {
        let Some(cell) = buffer.cell_mut((area.x + i as u16, area.y)) else { continue };
        let filled = end.saturating_sub(i * 8).min(8);
        cell.set_style(theme.bar_back());
        cell.set_symbol(EIGHTHS.get(filled).copied().unwrap_or("█"));
        // the part that covers the middle of what is filled
        let middle = i * 8 + filled / 2;
        if let Some((_, role)) = ends.iter().find(|(end, _)| *end > middle) {
            cell.set_style(theme.bar(*role));
        }
    }
    for mark in marks.iter().filter(|mark| (0.0..1.0).contains(*mark)) {
        let at = (mark * cells as f64) as usize;
        if at * 8 >= end
            && let Some(cell) = buffer.cell_mut((area.x + at as u16, area.y))
        {
            cell.set_symbol("┊").set_style(theme.role(Role::Muted));
        }
    }
}

/// Draws the newest points in braille, two a cell, at the right end of the area.
pub fn spark(buffer: &mut Buffer, area: Rect, points: &[f64], top: Option<f64>, style: Style) {
    let slots = usize::from(area.width) * 2;
    let shown = points.get(points.len().saturating_sub(slots)..).unwrap_or(points);
    let top = top.unwrap_or_else(|| shown.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max));
    let height = |slot: usize| -> usize {
        let at = (slot + shown.len()).checked_sub(slots);
        match at.and_then(|at| shown.get(at)) {
            Some(value) if value.is_finite() && top > 0.0 => 1 + ((value / top).clamp(0.0, 1.0) * 3.0).ceil() as usize,
            Some(value) if value.is_finite() => 1,
            _ => 0,
        }
    };
    for i in 0..usize::from(area.width) {
        let (left, right) = (height(i * 2).min(4), height(i * 2 + 1).min(4));
        let dots = LEFT.get(left).copied().unwrap_or(0) | RIGHT.get(right).copied().unwrap_or(0);
        if dots > 0
            && let Some(ch) = char::from_u32(0x2800 + dots)
            && let Some(cell) = buffer.cell_mut((area.x + i as u16, area.y))
        {
            cell.set_char(ch).set_style(style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::{Ability, Depth};

    fn theme() -> Theme {
        Theme::named("default", None, Ability { depth: Depth::True, ascii: false }).unwrap()
    }

    fn rows(buffer: &Buffer) -> Vec<String> {
        let width = usize::from(buffer.area.width).max(1);
        buffer.content.chunks(width).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
    }

    fn sample(body: Body) -> Block {
        Block { title: "CPU".into(), note: vec![], hidden: 9, scrolled: 0, stale: None, body }
    }

    #[test]
    fn a_block_has_title_hidden_count_and_lines() {
        let body = Body::Lines(vec![vec![
            Item::Text("user ".into(), Role::Label),
            Item::Bar { parts: vec![(0.5, Role::Value)], marks: vec![0.75], width: 0 },
            Item::Cell { text: "50%".into(), role: Role::Value, width: 5, right: true },
        ]]);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 22, 3));
        let area = buffer.area;
        block(&mut buffer, area, &sample(body), &theme());
        assert_eq!(
            rows(&buffer),
            ["╭ CPU ─────────── +9 ╮", "│ user ████  ┊   50% │", "╰────────────────────╯"].map(str::to_owned)
        );
    }

    #[test]
    fn the_count_of_what_is_hidden_stays_beside_a_long_title() {
        let mut long = sample(Body::Lines(Vec::new()));
        long.note = vec![Item::Text(" partly denied: processes of other users".into(), Role::Muted)];
        for cells in 12..60 {
            let mut buffer = Buffer::empty(Rect::new(0, 0, cells, 3));
            let area = buffer.area;
            block(&mut buffer, area, &long, &theme());
            let top = &rows(&buffer)[0];
            assert!(top.starts_with("╭ CPU") && top.ends_with(" +9 ╮"), "{top}");
        }
    }

    #[test]
    fn every_size_is_drawn_without_panic() {
        let items = vec![
            Item::Text("日本語 name".into(), Role::Level(Level::Critical)),
            Item::Bar {
                parts: vec![(f64::NAN, Role::Value), (2.0, Role::Muted)],
                marks: vec![-1.0, 0.5, 7.0],
                width: 0,
            },
            Item::Fill,
            Item::Spark { points: vec![1.0, f64::NAN, 3.0], top: None, role: Role::Accent, width: 0 },
        ];
        for width in 0..24 {
            for height in 0..5 {
                let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
                let area = Rect::new(0, 0, width + 3, height + 1);
                block(&mut buffer, area, &sample(Body::Lines(vec![items.clone(); 4])), &theme());
                let why = Body::Empty { level: Level::Warning, why: "denied, needs CAP_NET_ADMIN".to_owned() };
                block(&mut buffer, area, &sample(why), &theme());
            }
        }
    }

    #[test]
    fn why_there_is_nothing_ends_in_an_ellipsis_where_it_does_not_fit() {
        let painted = |width: u16, height: u16| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
            let area = buffer.area;
            empty(&mut buffer, area, Level::Ok, "absent: no sensors (load a driver)", &theme());
            rows(&buffer)
        };
        assert_eq!(painted(18, 2), ["absent: no sensors", "(load a driver)   "].map(str::to_owned));
        assert_eq!(painted(18, 1), ["absent: no sensor…".to_owned()]);
        assert_eq!(painted(11, 2), ["absent: no ", "sensors…   "].map(str::to_owned));
        assert_eq!(painted(5, 1), ["abse…".to_owned()]);
    }

    #[test]
    fn sparklines_end_at_the_right_and_leave_gaps_blank() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 3, 1));
        let area = buffer.area;
        spark(&mut buffer, area, &[0.0, 1.0, f64::NAN, 0.5], Some(1.0), Style::new());
        assert_eq!(rows(&buffer), [" ⣸⢰".to_owned()]);
    }

    #[test]
    fn a_number_with_a_level_has_its_glyph_in_the_gap_behind_it() {
        let cell = |text: &'static str, role, right| Item::Cell { text: text.into(), role, width: 4, right };
        let (bad, gap) = (Role::Level(Level::Critical), Item::Text(" ".into(), Role::Plain));
        let items = vec![cell("sda", bad, false), gap.clone(), cell("99%", bad, true), gap, cell("1%", bad, true)];
        let mut buffer = Buffer::empty(Rect::new(0, 0, 18, 3));
        let area = buffer.area;
        block(&mut buffer, area, &sample(Body::Lines(vec![items])), &theme());
        assert_eq!(rows(&buffer)[1], "│✖sda   99%✖  1%✖│".to_owned());
    }

    #[test]
    fn words_with_a_level_carry_its_glyph() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 1));
        line(
            &mut buffer,
            Rect::new(0, 0, 8, 1),
            &vec![Item::Text("81%".into(), Role::Level(Level::Warning))],
            &theme(),
        );
        assert_eq!(rows(&buffer), ["81%▲    ".to_owned()]);
    }
}
