//! How does a person read one cell?
//!
//! Scaling and suffixes are those of [`crate::model::unit`]; here the kind and the attributes of a column choose among them.

use crate::model::{Cell, Column, Kind, Style, Timestamp, Unit, unit};

/// Writes a cell for people: `-` for missing, `?` for a rate or another derived number that is not known, ages for instants,
/// shares of a core for rates of CPU time.
pub fn human(column: &Column, cell: &Cell<'_>, rate: bool, style: Style, now: Timestamp) -> String {
    let per_second = rate && column.kind == Kind::Counter && !column.attrs.total;
    match *cell {
        Cell::Missing => if per_second || column.kind == Kind::Derived { "?" } else { "-" }.to_owned(),
        Cell::Text(v) | Cell::Label(v) => v.to_owned(),
        Cell::Bool(v) => if v { "yes" } else { "no" }.to_owned(),
        Cell::Ip(v) => v.to_string(),
        Cell::Mac(v) => v.to_string(),
        Cell::Timestamp(v) => match v.age(now) {
            age if age < 0.0 => format!("in {}", unit::span(-age)),
            age => unit::span(age),
        },
        // an Id is a name that happens to be a number
        Cell::U64(v) if column.kind == Kind::Id || column.attrs.exact => v.to_string(),
        Cell::I64(v) if column.kind == Kind::Id => v.to_string(),
        // and so is a bare number that is not counted up: a process, a user, a CPU
        Cell::U64(v) if column.kind != Kind::Counter && column.unit == Unit::None => v.to_string(),
        Cell::I64(v) if column.kind != Kind::Counter && column.unit == Unit::None => v.to_string(),
        Cell::Duration(v) if !per_second => unit::span(v),
        Cell::U64(_) | Cell::I64(_) | Cell::F64(_) | Cell::Duration(_) => match cell.number() {
            None => "?".to_owned(),
            Some(v) if per_second => unit::rate(v, column.unit, style),
            Some(v) if column.attrs.cpu && column.kind == Kind::Counter => unit::cpu_time(v),
            Some(v) => unit::quantity(v, column.unit, style),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture::PortRow;

    #[test]
    fn the_kind_of_a_column_chooses_the_writing() {
        let now = Timestamp(100_000_000_000);
        let write = |name: &str, cell: Cell<'_>, rate| {
            human(PortRow::TABLE.column(name).unwrap().1, &cell, rate, Style::default(), now)
        };
        assert_eq!(write("index", Cell::U64(12_345), false), "12345");
        assert_eq!(write("rx_bytes", Cell::U64(1536), false), "1.50K");
        assert_eq!(write("busy", Cell::F64(0.5), true), "50.0%");
        assert_eq!(write("load", Cell::F64(f64::NAN), false), "?");
        assert_eq!(write("since", Cell::Timestamp(Timestamp(40_000_000_000)), false), "1m00s");
        assert_eq!(write("limit", Cell::Duration(1.5), false), "1.50s");
        assert_eq!(write("load", Cell::Missing, true), "-");
        assert_eq!(write("rx_bytes", Cell::Missing, true), "?");
        assert_eq!(write("carrier", Cell::U64(4_194_304), false), "4194304");
    }
}
