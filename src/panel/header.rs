//! Whose screen is this, and how is that host?
//!
//! Who and what at the left, alerts by level, the clock and the interval at the right. What does not fit is left out from
//! the least telling on; the right side stays longest.

use super::line::{self, gap};
use super::{Cx, Item, Line, Role, alert, toggle};
use crate::col;
use crate::collect::alert::AlertRow;
use crate::collect::host::HostRow;
use crate::collect::load::LoadRow;
use crate::collect::memory::MemoryRow;
use crate::collect::run::CollectorRow;
use crate::model::{Cell, Connection, Demand, Level, Unit, unit};
use crate::store::rate::View;

/// Seconds that the clock of a host may differ without being told.
pub(super) const SKEW: f64 = 2.0;

/// What the header needs.
pub fn demands() -> Vec<Demand> {
    [HostRow::TABLE, LoadRow::TABLE, MemoryRow::TABLE, CollectorRow::TABLE, AlertRow::TABLE]
        .map(|table| Demand::table(&table.name))
        .to_vec()
}

/// The first line of the screen, at most `width` cells wide.
pub fn header(cx: &Cx<'_>, width: u16) -> Line {
    let right = state(cx);
    let room = width.saturating_sub(line::width(&right)).saturating_sub(1);
    let mut left: Vec<(u8, Item)> = facts(cx);
    while left.iter().map(|(_, item)| line::item_width(item) + 3).sum::<u16>() > room + 2 && left.len() > 1 {
        let least = left.iter().enumerate().max_by_key(|(_, (rank, _))| *rank).filter(|(_, (rank, _))| *rank > 0);
        let Some((least, _)) = least else { break };
        left.remove(least);
    }
    let mut out = Line::new();
    for (i, (_, item)) in left.into_iter().enumerate() {
        match i {
            0 => {}
            1 => out.push(line::text("  ", Role::Plain)),
            _ => out.push(line::text(" · ", Role::Muted)),
        }
        out.push(item);
    }
    let mut out = line::clip(out, room);
    out.push(Item::Fill);
    out.extend(right);
    line::clip(out, width)
}

/// What is known of the host with the rank in which it is left out.
fn facts(cx: &Cx<'_>) -> Vec<(u8, Item)> {
    let view = |table: &str| cx.views.get(table).filter(|view| !view.is_empty());
    let host = view(&HostRow::TABLE.name);
    let words = |column| host.as_ref().and_then(|host| Some(host.cell(0, column).text()?.to_owned()));
    let mut out = Vec::new();
    let name = words(col!(HostRow, hostname)).unwrap_or_else(|| "–".to_owned());
    out.push((0, line::text(name, Role::Title)));
    let mut fact = |rank, words: Option<String>| {
        out.extend(words.filter(|words| !words.is_empty()).map(|words| (rank, line::text(words, Role::Plain))));
    };
    fact(2, words(col!(HostRow, distribution)));
    fact(3, words(col!(HostRow, kernel)));
    let cpus = view(&LoadRow::TABLE.name).and_then(|load| load.cell(0, col!(LoadRow, cpus)).number());
    fact(5, cpus.map(|cpus| processors(cpus, words(col!(HostRow, cpu_model)).as_deref())));
    let memory = view(&MemoryRow::TABLE.name).and_then(|memory| memory.cell(0, col!(MemoryRow, total)).number());
    fact(4, memory.map(|total| format!("{}iB", unit::quantity(total, Unit::Bytes, crate::model::Style::default()))));
    fact(1, host.as_ref().and_then(|host| uptime(cx, host)));
    // one that this screen comes from needs no mention
    let agent = host.as_ref().filter(|_| cx.host.connection() == Connection::Local);
    match agent.map(|host| host.cell(0, col!(HostRow, agent))) {
        Some(Cell::Bool(true)) => fact(2, Some("agent".to_owned())),
        Some(Cell::Bool(false)) => fact(6, Some("no agent".to_owned())),
        _ => {}
    }
    out.extend(reached(cx));
    out
}

/// How the host is reached, unless it is this one.
fn reached(cx: &Cx<'_>) -> Vec<(u8, Item)> {
    let plain = |rank, words: String| (rank, line::text(words, Role::Plain));
    let mut out = match cx.host.connection() {
        Connection::Local => Vec::new(),
        Connection::Connecting { to } => vec![(0, line::text(format!("connecting to {to}"), Role::Accent))],
        Connection::Live { to, version, .. } if &*version == env!("CARGO_PKG_VERSION") => {
            vec![plain(1, format!("via {to}"))]
        }
        Connection::Live { to, version, .. } => vec![plain(1, format!("via {to} {version}"))],
        Connection::Lost { to, ago, reason, again } => {
            let seconds = |span: std::time::Duration| match span.as_secs() {
                short @ 0..60 => format!("{short}s"),
                long => unit::span(long as f64),
            };
            let again = again.map_or("trying again".to_owned(), |again| format!("again in {}", seconds(again)));
            let words = format!("{to} lost {} ago: {}, {again}", seconds(ago), line::cut(&reason, 60));
            vec![(0, line::text(words, Role::Level(Level::Warning)))]
        }
    };
    let skew = cx.host.skew() as f64 / 1e9;
    if skew.abs() > SKEW {
        let ahead = if skew > 0.0 { "ahead" } else { "behind" };
        let words = format!("clock {} {ahead}", unit::span(skew.abs().round()));
        out.push((1, line::text(words, Role::Level(Level::Careful))));
    }
    out
}

fn processors(count: f64, model: Option<&str>) -> String {
    match model {
        // makers' names are long, and what tells models apart comes first
        Some(model) => format!("{count:.0} × {}", line::cut(&short(model), 24)),
        None => format!("{count:.0} CPUs"),
    }
}

fn short(model: &str) -> String {
    let cut = model.split(" @ ").next().unwrap_or(model);
    let kept = cut.split_whitespace().filter(|word| !matches!(*word, "CPU" | "Processor"));
    kept.map(|word| word.replace("(R)", "").replace("(TM)", "")).collect::<Vec<_>>().join(" ")
}

fn uptime(cx: &Cx<'_>, host: &View) -> Option<String> {
    let Cell::Timestamp(boot) = host.cell(0, col!(HostRow, boot)) else { return None };
    Some(format!("up {}", unit::span(boot.age(cx.now).max(0.0))))
}

/// Alerts by level, the clock, the interval.
fn state(cx: &Cx<'_>) -> Line {
    let mut out = Line::new();
    out.extend(alert::summary(&alert::all(cx)));
    if !out.is_empty() {
        out.push(line::text("  ", Role::Plain));
    }
    if !cx.on(toggle::CLOCK) {
        out.push(line::text(clock(cx.now), Role::Value));
    }
    if let Some(interval) = interval(cx) {
        out.push(line::text(format!(" {interval}"), Role::Muted));
    }
    out.push(gap());
    out
}

/// Time of day.
pub fn clock(now: crate::model::Timestamp) -> String {
    local(now, "%H:%M:%S")
}

/// An instant where the reader is, as `strftime` writes it.
pub fn local(instant: crate::model::Timestamp, format: &str) -> String {
    let zoned = jiff::Timestamp::from_second(instant.0.div_euclid(1_000_000_000))
        .map(|instant| instant.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string());
    zoned.unwrap_or_else(|_| "?".to_owned())
}

/// The interval of the collector of the load, which has the usual one.
fn interval(cx: &Cx<'_>) -> Option<String> {
    let view = cx.views.get(&CollectorRow::TABLE.name)?;
    let row = (0..view.len()).find(|row| view.cell(*row, col!(CollectorRow, name)).text() == Some("load"))?;
    let seconds = view.cell(row, col!(CollectorRow, interval_used)).number()?;
    std::time::Duration::try_from_secs_f64(seconds).ok().map(unit::duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_marks_are_left_out_of_models() {
        assert_eq!(processors(64.0, Some("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz")), "64 × Intel Xeon E5-2680 v4");
        assert_eq!(processors(2.0, None), "2 CPUs");
        assert!(line::cells(&processors(8.0, Some(&"x".repeat(400)))) < 40);
    }
}
