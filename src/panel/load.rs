//! Do tasks have to wait, and for what?

use super::gauge::{self, Named, gauge};
use super::line::{self, gap};
use super::number::{self, NUMBER, Number, Top};
use super::{Block, Cx, Line, PanelDef, Role, Space, pick};
use crate::col;
use crate::collect::interrupt::InterruptRow;
use crate::collect::load::LoadRow;
use crate::collect::pressure::PressureRow;
use crate::model::{Demand, unit};
use crate::store::rate::View;

/// The panel.
pub(super) const PANEL: PanelDef = PanelDef { name: "load", title: "Load", key: None, demands, build };

/// Cells of the name of a pressure.
pub(super) const PRESSURE: u16 = 8;
/// Cells of width from which pressures are bars, too.
const WIDE: u16 = 44;

fn demands() -> Vec<Demand> {
    [LoadRow::TABLE, PressureRow::TABLE, InterruptRow::TABLE].map(|table| Demand::table(&table.name)).to_vec()
}

/// Bar of the load for each CPU, for quick look.
pub(super) fn bar(cx: &Cx<'_>, view: &View, label: u16, width: u16) -> Line {
    gauge(cx, view, col!(LoadRow, per_cpu), ("LOAD", label), width)
}

/// The averages; they have the level of the load for each CPU, because alone they mean nothing.
fn averages(cx: &Cx<'_>, view: &View, width: u16) -> Line {
    let level = cx.levels.level(view, 0, col!(LoadRow, per_cpu));
    let mut out = Line::new();
    let three = [("1m", col!(LoadRow, one)), ("5m", col!(LoadRow, five)), ("15m", col!(LoadRow, fifteen))];
    for (name, column) in three {
        // two digits always, so that nothing moves
        let number = match view.cell(0, column).number() {
            Some(value) if value < 100.0 => Number::new(format!("{value:.2}"), value, level),
            Some(value) => Number::new(unit::scaled(value, 1000.0), value, level),
            None => Number::MISSING,
        };
        if width >= 3 * (NUMBER + 5) {
            out.extend([line::left(name, Role::Label, 3), number.cell(NUMBER), gap(), gap()]);
        } else {
            out.extend([number.cell(NUMBER), gap()]);
        }
    }
    out
}

/// The two worst pressures, for little room.
fn brief(cx: &Cx<'_>, view: &View) -> Line {
    let column = col!(PressureRow, some_avg10);
    let share = |row: usize| view.cell(row, column).number().unwrap_or(-1.0);
    let mut rows: Vec<usize> = (0..view.len()).collect();
    rows.sort_by(|a, b| share(*b).total_cmp(&share(*a)));
    let mut out = vec![line::label("PSI ")];
    for row in rows.into_iter().take(2) {
        let name = view.cell(row, col!(PressureRow, resource)).text().map_or("", short);
        out.push(line::left(name, Role::Label, 4));
        out.extend([number::number(cx, view, row, column).cell(NUMBER - 1), gap()]);
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

fn long(resource: &str) -> &'static str {
    match resource {
        "cpu" => "PSI cpu",
        "memory" => "PSI mem",
        "io" => "PSI io",
        _ => "PSI irq",
    }
}

/// A line for each resource: the share of time in which somebody waited for it, and its past.
pub(super) fn pressures(cx: &Cx<'_>, view: &View, width: u16) -> Vec<Line> {
    let column = col!(PressureRow, some_avg10);
    let one = |row| {
        let name = view.cell(row, col!(PressureRow, resource)).text().map_or("", long);
        let number = number::number(cx, view, row, column).cell(NUMBER);
        let label = line::left(name, Role::Label, PRESSURE);
        if width >= WIDE {
            let past = number::spark(cx, view, row, column, width / 3, Some(1.0));
            vec![label, number::bar(cx, view, row, column, 0), number, gap(), past]
        } else {
            let past = width.saturating_sub(PRESSURE + NUMBER + 1);
            vec![label, number, gap(), number::spark(cx, view, row, column, past, Some(1.0))]
        }
    };
    (0..view.len()).map(one).collect()
}

fn build(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, LoadRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty("Load", body),
    };
    let pressure = gauge::single(cx, PressureRow::TABLE);
    let tall = space.height >= 5;
    let mut lines = vec![averages(cx, &view, space.width)];
    let mut below = Vec::new();
    match pressure {
        Ok(pressure) if tall => below.extend(pressures(cx, &pressure, space.width)),
        Ok(pressure) => below.push(brief(cx, &pressure)),
        Err(body) => below.push(vec![line::text(format!("pressure: {}", why(body)), Role::Muted)]),
    }
    below.extend(gauge::grid(numbers(cx, &view), space.width));
    if tall {
        let taken = (lines.len() + below.len(), usize::MAX);
        lines.extend(gauge::past(cx, &view, (0, col!(LoadRow, per_cpu)), space, taken, Top::Least(1.0)));
    }
    lines.extend(below);
    gauge::block(cx, space, "Load", (LoadRow::TABLE, note(cx, &view)), lines)
}

fn numbers(cx: &Cx<'_>, view: &View) -> Vec<Named> {
    let number = |column| number::number(cx, view, 0, column);
    let interrupts = gauge::single(cx, InterruptRow::TABLE).ok();
    let interrupt = |column| interrupts.as_ref().map(|view| number::number(cx, view, 0, column));
    let all = [
        (("run", "running"), Some(number(col!(LoadRow, runnable)))),
        (("block", "blocked"), interrupt(col!(InterruptRow, blocked))),
        (("tasks", "tasks"), Some(number(col!(LoadRow, tasks)))),
        (("ctx/s", "switches/s"), interrupt(col!(InterruptRow, context_switches))),
        (("int/s", "interrupts/s"), interrupt(col!(InterruptRow, interrupts))),
        (("frk/s", "forks/s"), interrupt(col!(InterruptRow, forks))),
    ];
    all.into_iter().filter_map(|(name, number)| Some(Named::new(name, number?))).collect()
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
