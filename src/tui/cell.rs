//! How is one cell of any table written for a person?
//!
//! Only kind, unit and attributes of the column decide; no column is known by name.

use super::table_view::TableView;
use crate::model::{Cell, Column, Kind, Level, Style, Timestamp, Type, Unit, Writing};
use crate::panel::{Beside, Names, Role, Scale};
use crate::store::level::Thresholds;
use crate::store::rate::{Mode, View};

/// Bare numbers below it have all their digits; columns have no room for longer ones.
const EXACT: u64 = 100_000;

/// A written cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Words or digits.
    pub text: String,
    /// Meaning, with the level.
    pub role: Role,
}

/// What a reader wants of the writing.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Bits or bytes.
    pub style: Style,
    /// Thresholds.
    pub levels: &'a Thresholds,
    /// Other names of rows.
    pub show: &'a crate::panel::Settings,
    /// For ages.
    pub now: Timestamp,
    /// A column that is shown as a part of something larger.
    pub scale: Option<Scale>,
    /// Names of ports and addresses.
    pub names: Names<'a>,
    /// What stands before the numbers of columns.
    pub beside: &'a [Beside<'a>],
}

impl Reader<'_> {
    /// What numbers of a column are multiplied with.
    pub fn factor(&self, table: &str, column: usize) -> Option<f64> {
        self.scale.filter(|scale| scale.table == table && scale.column == column).map(|scale| scale.factor)
    }
}

/// Whether a column is aligned at the right.
pub fn is_right(column: &Column) -> bool {
    matches!(column.ty, Type::U64 | Type::I64 | Type::F64 | Type::Duration | Type::Timestamp)
}

/// Cells that a number of a column takes at least, so that it does not dance.
pub fn least_width(column: &Column) -> usize {
    match (column.ty, column.kind) {
        (Type::Timestamp | Type::Duration, _) => 6,
        (_, Kind::Id) => 3,
        (Type::U64 | Type::I64 | Type::F64, _) => 5,
        _ => 3,
    }
}

/// Heading of a column: counters that are printed as rates say so.
pub fn heading(column: &Column, mode: Mode) -> String {
    let title = column.title();
    let says = title.contains("/s") || title.contains('%') || column.attrs.cpu || column.attrs.total;
    if column.kind == Kind::Counter && mode == Mode::Rate && !says && column.unit != Unit::Seconds {
        format!("{title}/s")
    } else {
        title.to_owned()
    }
}

/// Writes a cell of a view.
pub fn write(view: &View, row: usize, position: usize, reader: &Reader<'_>) -> Written {
    let Some(column) = view.table().columns.get(position) else {
        return Written { text: String::new(), role: Role::Plain };
    };
    if view.unknown(row, position) {
        return Written { text: "?".to_owned(), role: Role::Muted };
    }
    let is_over = crate::panel::is_over(view, row);
    let level = if is_over { Level::Ok } else { reader.levels.level(view, row, position) };
    let mut written = write_cell(view, position, column, view.cell(row, position), level, reader);
    written.text = crate::panel::reworded(view, row, position).unwrap_or(written.text);
    let tone = crate::panel::tone(view, row, position).filter(|_| written.role == Role::Plain);
    named(view, row, position, reader, Written { role: tone.unwrap_or(written.role), ..written })
}

/// The name of what stands in a cell in its place, if it has one.
fn named(view: &View, row: usize, position: usize, reader: &Reader<'_>, written: Written) -> Written {
    match reader.names.of(view, row, position) {
        Some(name) => Written { text: name.into_owned(), ..written },
        None => written,
    }
}

/// Writes a cell of a line that may stand for several rows.
pub fn write_line(view: &View, state: &TableView, row: usize, position: usize, reader: &Reader<'_>) -> Written {
    let Some(column) = view.table().columns.get(position).filter(|_| state.is_many(row)) else {
        return write(view, row, position, reader);
    };
    let first = view.table().ids().next();
    if first == Some(position) {
        return Written { text: format!("×{}", state.count(row)), role: Role::Muted };
    }
    let cell = state.cell(view, row, position);
    // where the column that would count them is not shown
    let counted = first.is_some_and(|first| !state.columns.contains(&first));
    if counted && state.grouping.is_some_and(|grouping| grouping.by == position) {
        let value = named(view, row, position, reader, write_cell(view, position, column, cell, Level::Ok, reader));
        return Written { text: format!("{} ×{}", value.text, state.count(row)), role: value.role };
    }
    let by = state.grouping.map(|grouping| grouping.by).filter(|_| column.attrs.last && cell.is_missing());
    if let Some(by) = by {
        return write(view, row, by, reader);
    }
    let there = !cell.is_missing();
    let written = write_cell(view, position, column, cell, Level::Ok, reader);
    if there { named(view, row, position, reader, written) } else { written }
}

fn write_cell(
    view: &View,
    position: usize,
    column: &Column,
    cell: Cell<'_>,
    level: Level,
    reader: &Reader<'_>,
) -> Written {
    let cell = match (reader.factor(&view.table().name, position), cell.number()) {
        (Some(factor), Some(number)) => Cell::F64(number * factor),
        _ => cell,
    };
    let rate = view.mode() == Mode::Rate;
    let writing = Writing { rate, style: reader.style, now: reader.now, exact: EXACT };
    let text = column.words(&cell, writing).unwrap_or_else(|| "–".to_owned());
    let zero = column.kind != Kind::Id && cell.number() == Some(0.0) && column.ty != Type::Bool;
    let role = if level != Level::Ok {
        Role::Level(level)
    } else if cell.is_missing() || zero {
        Role::Muted
    } else {
        Role::Plain
    };
    Written { text, role }
}

/// The unit of what [`Column::number`] writes, in words; nothing of a bare number, and of one that tells its unit itself.
pub fn unit_words(column: &Column, mode: Mode, style: Style) -> String {
    let rate = column.is_rate(mode == Mode::Rate);
    let bits = style.bits && column.attrs.traffic && (rate || column.kind == Kind::Derived);
    match column.unit {
        Unit::None if rate => "per second".to_owned(),
        Unit::None => String::new(),
        Unit::Seconds if rate && column.attrs.cpu => "of a CPU".to_owned(),
        Unit::Seconds | Unit::Ratio if rate => "of the time".to_owned(),
        Unit::BytesPerSecond if bits => "bits/s".to_owned(),
        Unit::BytesPerSecond => "bytes/s".to_owned(),
        Unit::Bytes if bits => "bits/s".to_owned(),
        // written with a suffix of its own
        Unit::Seconds | Unit::Ratio | Unit::Celsius | Unit::Hertz if !rate => String::new(),
        Unit::Volts | Unit::Amperes | Unit::Watts | Unit::Joules if !rate => String::new(),
        unit if rate => format!("{}/s", unit.name()),
        unit => unit.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn column(kind: Kind, unit: Unit, ty: Type) -> Column {
        Column {
            name: Cow::Borrowed("x"),
            kind,
            unit,
            ty,
            optional: true,
            help: Cow::Borrowed("x"),
            labels: Cow::Borrowed(&[]),
            expr: None,
            attrs: crate::model::Attrs::NONE,
        }
    }

    #[test]
    fn only_rates_say_per_second() {
        let packets = column(Kind::Counter, Unit::Packets, Type::U64);
        assert_eq!(heading(&packets, Mode::Rate), "x/s");
        assert_eq!(heading(&packets, Mode::Total), "x");
        assert_eq!(heading(&column(Kind::Gauge, Unit::Bytes, Type::U64), Mode::Rate), "x");
    }
}
