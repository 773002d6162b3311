//! How does a person read one cell of any table?
//!
//! Kind, unit and attributes of the column decide, and a [`Writing`] says what a reader wants; all readers write through
//! this. Scaling and suffixes are those of [`unit`](super::unit). What is missing is the reader's to show.

use super::{Cell, Column, IpText, Kind, Style, Timestamp, Unit, unit};

/// Seconds that an instant may be ahead of the sample that it is in without being one to come: what happened while the sample was
/// taken.
const SOON: f64 = 1.0;

/// What a reader wants of the writing.
#[derive(Clone, Copy, Debug)]
pub struct Writing {
    /// Whether counters are changes per second.
    pub rate: bool,
    /// Bits or bytes, powers of 1024 or of 1000.
    pub style: Style,
    /// For ages.
    pub now: Timestamp,
    /// Bare numbers below it have all their digits; those above are scaled.
    pub exact: u64,
}

impl Column {
    /// Whether a counter of this column is written as a change per second by a reader who wants such.
    pub fn is_rate(&self, rate: bool) -> bool {
        rate && self.kind == Kind::Counter && !self.attrs.total
    }

    /// Writes a number of this column, a counter's change per second with `rate`.
    pub fn number(&self, value: f64, rate: bool, style: Style) -> String {
        // only traffic is ever read in bits, and never in powers of two
        let traffic = self.attrs.traffic;
        let style = Style { bits: style.bits && traffic, binary: style.binary && !traffic };
        match self.kind {
            Kind::Counter if self.is_rate(rate) => unit::rate(value, self.unit, style),
            Kind::Counter if self.attrs.cpu => unit::cpu_time(value),
            Kind::Counter => unit::quantity(value, self.unit, style),
            // a speed, or a rate that was worked out
            _ if traffic => unit::rate(value, self.unit, style),
            _ => unit::quantity(value, self.unit, style),
        }
    }

    /// Writes a cell: names as they are, instants as ages, numbers as [`Self::number`] has them; `None` when it is missing.
    pub fn words(&self, cell: &Cell<'_>, writing: Writing) -> Option<String> {
        let Writing { rate, style, now, exact } = writing;
        let bare = self.kind != Kind::Counter && self.unit == Unit::None;
        Some(match *cell {
            Cell::Missing => return None,
            Cell::Text(text) | Cell::Label(text) => text.to_owned(),
            Cell::Bool(yes) => if yes { "yes" } else { "no" }.to_owned(),
            Cell::Ip(address) => IpText(address).to_string(),
            Cell::Mac(address) => address.to_string(),
            Cell::Timestamp(time) => match time.age(now) {
                age if age <= -SOON || (self.attrs.until && age < 0.0) => format!("in {}", unit::span(-age)),
                _ if self.attrs.until => "over".to_owned(),
                age => unit::span(age.max(0.0)),
            },
            // an Id is a name that happens to be a number, and so is a process, a user, a CPU
            Cell::U64(value) if self.kind == Kind::Id || self.attrs.exact || (bare && value < exact) => {
                value.to_string()
            }
            Cell::I64(value) if self.kind == Kind::Id || (bare && value.unsigned_abs() < exact) => value.to_string(),
            _ => cell.number().map_or_else(|| "?".to_owned(), |value| self.number(value, rate, style)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attrs, Type};
    use std::borrow::Cow;

    fn column(kind: Kind, unit: Unit, attrs: Attrs) -> Column {
        Column {
            name: Cow::Borrowed("x"),
            kind,
            unit,
            ty: Type::U64,
            optional: true,
            help: Cow::Borrowed("x"),
            labels: Cow::Borrowed(&[]),
            expr: None,
            attrs,
        }
    }

    fn written(kind: Kind, unit: Unit, attrs: Attrs, cell: Cell<'_>, rate: bool) -> Option<String> {
        let now = Timestamp(100_000_000_000);
        column(kind, unit, attrs).words(&cell, Writing { rate, style: Style::default(), now, exact: 100_000 })
    }

    #[test]
    fn the_kind_of_a_column_chooses_the_writing() {
        let none = Attrs::NONE;
        let cpu = Attrs { cpu: true, ..none };
        let time = Attrs { total: true, ..cpu };
        let traffic = Attrs { traffic: true, ..none };
        let exact = Attrs { exact: true, ..none };
        let until = Attrs { until: true, ..none };
        let age = |seconds: i64| Cell::Timestamp(Timestamp((100 - seconds) * 1_000_000_000));
        for (kind, unit, attrs, cell, rate, want) in [
            (Kind::Gauge, Unit::Bytes, none, Cell::U64(1536), true, "1.50K"),
            (Kind::Gauge, Unit::Bytes, exact, Cell::U64(1500), true, "1500"),
            (Kind::Counter, Unit::Bytes, none, Cell::U64(1536), false, "1.50K"),
            (Kind::Counter, Unit::Bytes, traffic, Cell::U64(1536), false, "1.54K"),
            (Kind::Counter, Unit::Bytes, traffic, Cell::F64(1536.0), true, "1.54K"),
            (Kind::Counter, Unit::Seconds, cpu, Cell::F64(0.5), true, "50.0%"),
            (Kind::Counter, Unit::Seconds, cpu, Cell::F64(75.0), false, "1:15.00"),
            (Kind::Counter, Unit::Seconds, time, Cell::F64(75.0), true, "1:15.00"),
            (Kind::Id, Unit::None, none, Cell::U64(4_194_303), true, "4194303"),
            (Kind::Gauge, Unit::None, none, Cell::U64(4_194_303), true, "4.19M"),
            (Kind::Gauge, Unit::None, none, Cell::I64(-19), true, "-19"),
            (Kind::Gauge, Unit::None, none, Cell::F64(f64::NAN), true, "?"),
            (Kind::Gauge, Unit::Seconds, none, Cell::Duration(1.5), true, "1.50s"),
            (Kind::Gauge, Unit::None, none, age(42), true, "42s"),
            (Kind::Gauge, Unit::None, none, age(-42), true, "in 42s"),
            (Kind::Gauge, Unit::None, none, Cell::Timestamp(Timestamp(100_010_000_000)), true, "0s"),
            (Kind::Gauge, Unit::None, until, age(-42), true, "in 42s"),
            (Kind::Gauge, Unit::None, until, age(1), true, "over"),
            (Kind::Text, Unit::None, none, Cell::Bool(true), true, "yes"),
        ] {
            let got = written(kind, unit, attrs, cell, rate);
            assert_eq!(got.as_deref(), Some(want), "{kind:?} {unit:?} {cell:?} rate {rate}");
        }
        assert_eq!(written(Kind::Gauge, Unit::Bytes, none, Cell::Missing, true), None);
    }
}
