//! How busy is each CPU, on machines of 2 and of 256?
//!
//! A bar of kinds of time for each as long as there is room for bars of a useful width, with its past below where there is
//! plenty; after that one number of percent for each, in rows of a round number of CPUs, colored by its level; and where
//! there is no room for numbers one small bar for each.

use super::line::{self, gap};
use super::list::Shown;
use super::number;
use super::pick::natural;
use super::{Block, Cx, Line, PanelDef, Role, Space, cpu, gauge, list, pick, toggle};
use crate::col;
use crate::collect::cpu::CpuRow;
use crate::model::{Demand, Level, unit};
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "cores", title: "CPUs", key: None, demands, build };

/// Cells of a CPU's number and of its share.
const NAME: u16 = 4;
const SHARE: u16 = 6;
/// Narrowest useful bar with its number and share.
const NARROWEST: u16 = NAME + 1 + 6 + SHARE;
/// Cells of a CPU in the map: three digits and a gap, a bar and a gap, or a bar alone.
const CELLS: [u16; 3] = [4, 2, 1];
/// A share of a CPU as the height of a bar.
const HEIGHTS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

fn demands() -> Vec<Demand> {
    vec![Demand::table(&CpuRow::TABLE.name)]
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, CpuRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty("CPUs", body),
    };
    let count = view.len() - usize::from(cpu::all(&view).is_some());
    let note = vec![line::text(count.to_string(), Role::Muted)];
    grid(cx, &view, space).block("CPUs", note, pick::stale(cx, CpuRow::TABLE))
}

/// Every CPU in the room there is, and how many have none.
pub(super) fn grid(cx: &Cx<'_>, view: &View, space: Space) -> Shown {
    let name = |row: &usize| view.cell(*row, col!(CpuRow, cpu)).text().unwrap_or("?").to_owned();
    let all = cpu::all(view);
    let mut rows: Vec<(usize, String)> =
        (0..view.len()).filter(|row| Some(*row) != all).map(|row| (row, name(&row))).collect();
    rows.sort_by(|a, b| natural(&a.1, &b.1));
    let across = usize::from((space.width + 1) / (NARROWEST + 1));
    if across > 0 && rows.len().div_ceil(across) <= usize::from(space.height) {
        return Shown { lines: bars(cx, view, space, &rows), hidden: 0, scrolled: 0 };
    }
    map(cx, view, space, &rows)
}

/// Fewest lines of a CPU with a graph, and fewest cells.
const GRAPHED: (usize, u16) = (6, 36);
/// Most lines of a graph.
const TALLEST: usize = 16;

fn bars(cx: &Cx<'_>, view: &View, space: Space, rows: &[(usize, String)]) -> Vec<Line> {
    let height = usize::from(space.height).max(1);
    // as few columns as the height allows, so that bars are long, and more only where graphs gain by it
    let least = rows.len().div_ceil(height).max(1);
    let most = usize::from((space.width + 1) / (GRAPHED.1 + 1));
    let tall = |across: &usize| height / rows.len().div_ceil(*across).max(1) >= GRAPHED.0;
    let graphed = (least..=most).find(tall).filter(|_| !cx.on(toggle::NO_SPARKLINES));
    let across = graphed.unwrap_or(least);
    let down = rows.len().div_ceil(across).max(1);
    let lines_each = graphed.map_or(1, |_| (height / down).min(TALLEST));
    let each = (space.width + 1) / across as u16;
    let mut lines = vec![Line::new(); down.min(rows.len()) * lines_each];
    for (i, (row, name)) in rows.iter().enumerate() {
        let first = i % down * lines_each;
        let bar = cpu::bar(cx, view, *row, each.saturating_sub(NAME + 1 + SHARE + 1));
        let share = number::number(cx, view, *row, col!(CpuRow, used)).cell(SHARE);
        let mut block = vec![vec![line::right(name.clone(), Role::Label, NAME), gap(), bar, share]];
        // a line stays free below
        let size = (each.saturating_sub(1), (lines_each as u16).saturating_sub(2));
        if size.1 > 0 {
            let at = (*row, col!(CpuRow, used));
            block.extend(number::graph(cx, view, at, size, number::Top::At(1.0), Role::Value));
        }
        block.resize(lines_each, vec![line::left("", Role::Plain, each.saturating_sub(1))]);
        for (line, part) in lines.iter_mut().skip(first).zip(block) {
            if !line.is_empty() {
                line.push(gap());
            }
            line.extend(part);
        }
    }
    lines.into_iter().map(|line| line::clip(line, space.width)).collect()
}

fn map(cx: &Cx<'_>, view: &View, space: Space, rows: &[(usize, String)]) -> Shown {
    let across = |cell: u16| {
        let room = usize::from(space.width.saturating_sub(NAME + 1) / cell).max(1);
        [128, 64, 32, 20, 16, 10, 8, 4, 2, 1].into_iter().find(|round| *round <= room).unwrap_or(1)
    };
    // as large as all of them fit
    let fits = |cell: &u16| rows.len().div_ceil(across(*cell)) <= usize::from(space.height);
    let cell = CELLS.into_iter().find(fits).unwrap_or(1);
    let across = across(cell);
    let count = rows.len().div_ceil(across);
    let shown = list::window(count, usize::from(space.height), space.scroll);
    let lines = rows.chunks(across).skip(shown.start).take(shown.len());
    let lines: Vec<Line> = lines
        .map(|chunk| {
            let first = chunk.first().map_or_else(String::new, |(_, name)| name.clone());
            let mut out = vec![line::right(first, Role::Label, NAME), gap()];
            out.extend(chunk.iter().map(|(row, _)| square(cx, view, *row, cell)));
            line::clip(out, space.width)
        })
        .collect();
    let visible = if space.width == 0 { 0 } else { (shown.end * across).min(rows.len()) - shown.start * across };
    Shown { lines, hidden: rows.len() - visible, scrolled: shown.start }
}

fn square(cx: &Cx<'_>, view: &View, row: usize, cell: u16) -> super::Item {
    let share = view.cell(row, col!(CpuRow, used)).number();
    let level = cx.levels.level(view, row, col!(CpuRow, used));
    let role = match (share, level) {
        (None, _) => Role::Muted,
        (Some(share), Level::Ok) if share < 0.005 => Role::Muted,
        (Some(share), Level::Ok) if share < 0.25 => Role::Plain,
        (Some(_), Level::Ok) => Role::Value,
        (Some(_), level) => Role::Level(level),
    };
    let words = match share {
        None => "?".to_owned(),
        // whole percents without a sign: the map has no room for more
        Some(share) if cell > 2 => unit::scaled((share * 100.0).round(), 1000.0),
        Some(share) => HEIGHTS.get((share.clamp(0.0, 1.0) * 7.0).round() as usize).map_or("?", |bar| bar).to_owned(),
    };
    line::right(words, role, cell)
}
