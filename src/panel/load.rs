//! Do tasks have to wait, and for what?

use super::gauge::{self, LABEL, gauge};
use super::line::{self, gap};
use super::number::{self, NUMBER, Number};
use super::{Block, Cx, Line, PanelDef, Role, Space, pick, toggle};
use crate::col;
use crate::collect::interrupt::InterruptRow;
use crate::collect::load::LoadRow;
use crate::collect::pressure::PressureRow;
use crate::model::{Demand, unit};
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "load", title: "Load", key: None, demands, build };

fn demands() -> Vec<Demand> {
    [LoadRow::TABLE, PressureRow::TABLE, InterruptRow::TABLE].map(|table| Demand::table(&table.name)).to_vec()
}

/// Bar of the load for each CPU, for quick look.
pub(super) fn bar(cx: &Cx<'_>, view: &View, width: u16) -> Line {
    gauge(cx, view, col!(LoadRow, per_cpu), "LOAD", width)
}

/// The averages; they have the level of the load for each CPU, because alone they mean nothing.
fn averages(cx: &Cx<'_>, view: &View) -> Line {
    let level = cx.levels.level(view, 0, col!(LoadRow, per_cpu));
    let mut out = Line::new();
    for column in [col!(LoadRow, one), col!(LoadRow, five), col!(LoadRow, fifteen)] {
        out.push(match view.cell(0, column).number() {
            Some(value) => Number::new(unit::scaled(value, 1000.0), value, level).cell(NUMBER),
            None => Number::MISSING.cell(NUMBER),
        });
        out.push(gap());
    }
    out
}

/// One line with all pressures, for little room.
fn brief(cx: &Cx<'_>, view: &View) -> Line {
    let mut out = Line::new();
    for row in 0..view.len().min(3) {
        let name = view.cell(row, col!(PressureRow, resource)).text().map_or("", short);
        let column = col!(PressureRow, some_avg10);
        let words = view.cell(row, column).number().map_or_else(|| "–".to_owned(), |v| format!("{:.0}%", v * 100.0));
        let value = number::number(cx, view, row, column);
        out.extend([line::label(name), line::right(words, value.role, 5), gap()]);
    }
    out
}

fn short(resource: &str) -> &'static str {
    match resource {
        "cpu" => "cpu",
        "memory" => "mem",
        "io" => "io",
        _ => "irq",
    }
}

/// A line for each resource: the share of time in which somebody waited, and its past.
pub(super) fn pressures(cx: &Cx<'_>, view: &View, width: u16) -> Vec<Line> {
    let past = width.saturating_sub(LABEL + 1 + NUMBER + 1);
    let column = col!(PressureRow, some_avg10);
    (0..view.len())
        .map(|row| {
            let name = view.cell(row, col!(PressureRow, resource)).text().map_or("", short);
            vec![
                line::left(name, Role::Label, LABEL),
                number::number(cx, view, row, column).cell(NUMBER),
                gap(),
                number::spark(cx, view, row, column, past, Some(1.0)),
            ]
        })
        .collect()
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, LoadRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty("Load", body),
    };
    let pressure = gauge::single(cx, PressureRow::TABLE);
    let tall = space.height >= 5;
    let mut lines = vec![averages(cx, &view)];
    match pressure {
        Ok(pressure) if tall => lines.extend(pressures(cx, &pressure, space.width)),
        Ok(pressure) => lines.push(brief(cx, &pressure)),
        Err(body) => lines.push(vec![line::text(format!("pressure: {}", why(body)), Role::Muted)]),
    }
    let number = |column| number::number(cx, &view, 0, column);
    let mut pairs = vec![("run", number(col!(LoadRow, runnable)))];
    if let Ok(interrupts) = gauge::single(cx, InterruptRow::TABLE) {
        pairs.push(("block", number::number(cx, &interrupts, 0, col!(InterruptRow, blocked))));
        pairs.push(("tasks", number(col!(LoadRow, tasks))));
        pairs.push(("ctx/s", number::number(cx, &interrupts, 0, col!(InterruptRow, context_switches))));
        pairs.push(("int/s", number::number(cx, &interrupts, 0, col!(InterruptRow, interrupts))));
        pairs.push(("frk/s", number::number(cx, &interrupts, 0, col!(InterruptRow, forks))));
    } else {
        pairs.push(("tasks", number(col!(LoadRow, tasks))));
    }
    lines.extend(gauge::grid(pairs, space.width));
    if space.height > 7 && !cx.on(toggle::NO_SPARKLINES) {
        lines.insert(1, gauge::past(cx, &view, 0, col!(LoadRow, one), space.width, None));
    }
    gauge::block(cx, space, "Load", (LoadRow::TABLE, note(cx, &view)), lines)
}

/// The load of the last minute with its level, and how many CPUs share it.
fn note(cx: &Cx<'_>, view: &View) -> Line {
    let level = cx.levels.level(view, 0, col!(LoadRow, per_cpu));
    let mut out = Line::new();
    if let Some(one) = view.cell(0, col!(LoadRow, one)).number() {
        out.push(Number::new(unit::scaled(one, 1000.0), one, level).text());
    }
    if let Some(cpus) = view.cell(0, col!(LoadRow, cpus)).number() {
        out.push(line::text(format!(" {cpus:.0} CPUs"), Role::Muted));
    }
    out
}

fn why(body: super::Body) -> String {
    match body {
        super::Body::Empty { why, .. } => why,
        _ => String::new(),
    }
}
