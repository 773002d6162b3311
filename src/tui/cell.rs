//! How is one cell of any table written for a person?
//!
//! Only kind, unit and attributes of the column decide; no column is known by name.

use super::table_view::TableView;
use crate::model::{Cell, Column, Kind, Level, Style, Timestamp, Type, Unit, unit};
use crate::panel::{Role, Scale};
use crate::store::level::Thresholds;
use crate::store::rate::{Mode, View};

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
    let level = reader.levels.level(view, row, position);
    write_cell(view, position, column, view.cell(row, position), level, reader)
}

/// Writes a cell of a line that may stand for several rows.
pub fn write_line(view: &View, state: &TableView, row: usize, position: usize, reader: &Reader<'_>) -> Written {
    let Some(column) = view.table().columns.get(position).filter(|_| state.is_many(row)) else {
        return write(view, row, position, reader);
    };
    if view.table().ids().next() == Some(position) {
        return Written { text: format!("×{}", state.count(row)), role: Role::Muted };
    }
    let cell = state.cell(view, row, position);
    let by = state.grouping.map(|grouping| grouping.by).filter(|_| column.attrs.last && cell.is_missing());
    if let Some(by) = by {
        return write(view, row, by, reader);
    }
    write_cell(view, position, column, cell, Level::Ok, reader)
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
    let text = words(&cell, column, view.mode(), reader);
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

/// Writes a number of a column, for axes and ranges.
pub fn number(value: f64, column: &Column, mode: Mode, style: Style) -> String {
    let style = Style { bits: style.bits && column.attrs.traffic, binary: style.binary && !column.attrs.traffic };
    let mode = if column.attrs.total { Mode::Total } else { mode };
    match (column.kind, mode) {
        (Kind::Counter, Mode::Rate) => unit::rate(value, column.unit, style),
        (Kind::Counter, Mode::Total) if column.attrs.cpu => unit::cpu_time(value),
        (Kind::Derived, _) if column.attrs.traffic => unit::rate(value, column.unit, style),
        _ => unit::quantity(value, column.unit, style),
    }
}

/// The unit of what [`number`] writes, in words; nothing of a bare number, and of one that tells its unit itself.
pub fn unit_words(column: &Column, mode: Mode, style: Style) -> String {
    let mode = if column.attrs.total { Mode::Total } else { mode };
    let rate = column.kind == Kind::Counter && mode == Mode::Rate;
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

fn words(cell: &Cell<'_>, column: &Column, mode: Mode, reader: &Reader<'_>) -> String {
    match cell {
        Cell::Missing => "–".to_owned(),
        Cell::Bool(true) => "yes".to_owned(),
        Cell::Bool(false) => "no".to_owned(),
        Cell::Text(text) | Cell::Label(text) => (*text).to_owned(),
        Cell::Ip(ip) => ip.to_string(),
        Cell::Mac(mac) => mac.to_string(),
        Cell::Timestamp(time) => {
            let age = time.age(reader.now);
            if age < 0.0 { format!("in {}", unit::span(-age)) } else { unit::span(age) }
        }
        Cell::Duration(seconds) if column.kind != Kind::Counter => unit::span(*seconds),
        // identities and small bare numbers stay exact
        Cell::U64(value) if column.kind == Kind::Id || column.attrs.exact || (bare(column) && *value < 100_000) => {
            value.to_string()
        }
        Cell::I64(value) if column.kind == Kind::Id || (bare(column) && value.abs() < 100_000) => value.to_string(),
        number => {
            number.number().map_or_else(|| "?".to_owned(), |value| self::number(value, column, mode, reader.style))
        }
    }
}

fn bare(column: &Column) -> bool {
    column.unit == Unit::None && column.kind != Kind::Counter
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

    fn written(cell: Cell<'_>, column: &Column, mode: Mode) -> String {
        let levels = Thresholds::default();
        let show = crate::panel::Settings::default();
        let now = Timestamp(100_000_000_000);
        let reader = Reader { style: Style::default(), levels: &levels, show: &show, now, scale: None };
        words(&cell, column, mode, &reader)
    }

    #[test]
    fn kind_and_unit_decide_how_a_number_is_written() {
        let bytes = column(Kind::Gauge, Unit::Bytes, Type::U64);
        assert_eq!(written(Cell::U64(1536), &bytes, Mode::Rate), "1.50K");
        assert_eq!(written(Cell::Missing, &bytes, Mode::Rate), "–");
        let mut mtu = bytes.clone();
        mtu.attrs.exact = true;
        assert_eq!(written(Cell::U64(1500), &mtu, Mode::Rate), "1500");
        let cpu = column(Kind::Counter, Unit::Seconds, Type::F64);
        assert_eq!(written(Cell::F64(0.5), &cpu, Mode::Rate), "50.0%");
        let pid = column(Kind::Id, Unit::None, Type::U64);
        assert_eq!(written(Cell::U64(4_194_303), &pid, Mode::Rate), "4194303");
        let since = column(Kind::Gauge, Unit::None, Type::Timestamp);
        assert_eq!(written(Cell::Timestamp(Timestamp(58_000_000_000)), &since, Mode::Rate), "42s");
        assert_eq!(written(Cell::Timestamp(Timestamp(142_000_000_000)), &since, Mode::Rate), "in 42s");
    }

    #[test]
    fn only_rates_say_per_second() {
        let packets = column(Kind::Counter, Unit::Packets, Type::U64);
        assert_eq!(heading(&packets, Mode::Rate), "x/s");
        assert_eq!(heading(&packets, Mode::Total), "x");
        assert_eq!(heading(&column(Kind::Gauge, Unit::Bytes, Type::U64), Mode::Rate), "x");
    }
}
