//! How is a number written for a person, and how is what a person writes read back?
//!
//! The wire carries base units only ([`Unit`]); everything that scales, rounds or adds a suffix is in this file.

use std::fmt::Write as _;

/// What a number counts, in the base unit that tables and the wire carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A bare number.
    None,
    /// A share from 0 to 1.
    Ratio,
    /// Time.
    Seconds,
    /// Memory, storage or traffic.
    Bytes,
    /// A speed that the kernel states as such, for example that of a link.
    BytesPerSecond,
    /// Network packets.
    Packets,
    /// Input and output requests.
    Operations,
    /// Things that happen and are only counted: interrupts, faults, errors.
    Events,
    /// Frequency.
    Hertz,
    /// Temperature.
    Celsius,
    /// Electric tension.
    Volts,
    /// Electric current.
    Amperes,
    /// Power.
    Watts,
    /// Energy.
    Joules,
    /// Speed of a fan.
    RevolutionsPerMinute,
}

/// Every unit with its name in the schema and its suffix for people.
const UNITS: &[(Unit, &str, &str)] = &[
    (Unit::None, "none", ""),
    (Unit::Ratio, "ratio", "%"),
    (Unit::Seconds, "seconds", "s"),
    (Unit::Bytes, "bytes", "B"),
    (Unit::BytesPerSecond, "bytes_per_second", "B/s"),
    (Unit::Packets, "packets", "p"),
    (Unit::Operations, "operations", ""),
    (Unit::Events, "events", ""),
    (Unit::Hertz, "hertz", "Hz"),
    (Unit::Celsius, "celsius", "°C"),
    (Unit::Volts, "volts", "V"),
    (Unit::Amperes, "amperes", "A"),
    (Unit::Watts, "watts", "W"),
    (Unit::Joules, "joules", "J"),
    (Unit::RevolutionsPerMinute, "rpm", "rpm"),
];

impl Unit {
    /// All units, in schema order.
    pub fn all() -> impl Iterator<Item = Self> {
        UNITS.iter().map(|(unit, ..)| *unit)
    }

    /// Name in the schema.
    pub fn name(self) -> &'static str {
        UNITS.iter().find(|(unit, ..)| *unit == self).map_or("none", |(_, name, _)| name)
    }

    /// Suffix for people, `""` for bare numbers.
    pub fn suffix(self) -> &'static str {
        UNITS.iter().find(|(unit, ..)| *unit == self).map_or("", |(_, _, suffix)| suffix)
    }

    /// The unit that a schema names, `None` for one from a newer peer.
    pub fn from_name(name: &str) -> Option<Self> {
        UNITS.iter().find(|(_, known, _)| *known == name).map(|(unit, ..)| *unit)
    }
}

/// Reader's choice of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Powers of 1024 for bytes that are memory or storage; otherwise powers of 1000.
    pub binary: bool,
    /// Traffic in bits instead of bytes.
    pub bits: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { binary: true, bits: false }
    }
}

const SUFFIXES: [&str; 8] = ["", "K", "M", "G", "T", "P", "E", "Z"];

/// Writes a magnitude in at most five cells: `0`, `7.25`, `12.3`, `999`, `1.02K`, `12.3M`, `999G`.
/// Not a number and infinities are `?`.
pub fn scaled(value: f64, base: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let mut rest = value.abs();
    let mut step = 0;
    // 999.5 would print as 1000, one cell too wide
    while rest >= 999.5 && step + 1 < SUFFIXES.len() {
        rest /= base;
        step += 1;
    }
    let suffix = SUFFIXES[step.min(SUFFIXES.len() - 1)];
    let digits = if rest == 0.0 || (step == 0 && rest.fract() == 0.0) || rest >= 99.95 {
        0
    } else if rest >= 9.995 {
        1
    } else {
        2
    };
    format!("{sign}{rest:.digits$}{suffix}")
}

/// Writes a share of 0 to 1 as percent in at most five cells with its sign: `0%`, `0.4%`, `37.2%`, `100%`, `1490%`.
pub fn percent(ratio: f64) -> String {
    if !ratio.is_finite() {
        return "?".to_owned();
    }
    let value = ratio * 100.0;
    if value == 0.0 || value.abs() >= 99.95 { format!("{value:.0}%") } else { format!("{value:.1}%") }
}

/// Writes a span in at most seven cells, two units at most: `850us`, `12ms`, `1.25s`, `42s`, `3m12s`, `4h05m`, `41d03h`.
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let s = seconds.abs();
    let whole = s.round() as u64;
    let text = if s == 0.0 {
        "0s".to_owned()
    } else if s < 0.000_999_5 {
        format!("{:.0}us", s * 1e6)
    } else if s < 0.999_5 {
        format!("{:.0}ms", s * 1e3)
    } else if s < 9.995 {
        format!("{s:.2}s")
    } else if whole < 60 {
        format!("{whole}s")
    } else if whole < 3600 {
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else if whole < 86_400 {
        format!("{}h{:02}m", whole / 3600, whole / 60 % 60)
    } else if whole < 86_400 * 1000 {
        format!("{}d{:02}h", whole / 86_400, whole / 3600 % 24)
    } else {
        format!("{}d", whole / 86_400)
    };
    format!("{sign}{text}")
}

/// Writes CPU time as procps does, with hours once there are some: `0:07.31`, `12:03`, `9h04m`, `3d04h`.
pub fn cpu_time(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    if seconds < 600.0 {
        let hundredths = (seconds * 100.0).floor() as u64;
        format!("{}:{:02}.{:02}", hundredths / 6000, hundredths / 100 % 60, hundredths % 100)
    } else if seconds < 3600.0 {
        format!("{}:{:02}", seconds as u64 / 60, seconds as u64 % 60)
    } else {
        span(seconds)
    }
}

/// Writes a number of a unit for people, without the rate mark.
pub fn quantity(value: f64, unit: Unit, style: Style) -> String {
    match unit {
        Unit::Ratio => percent(value),
        Unit::Seconds => span(value),
        Unit::Bytes | Unit::BytesPerSecond => {
            scaled(value, if style.binary && unit == Unit::Bytes { 1024.0 } else { 1000.0 })
        }
        Unit::Celsius => format!("{value:.0}°C"),
        Unit::Hertz => format!("{}Hz", scaled(value, 1000.0)),
        Unit::Volts | Unit::Amperes | Unit::Watts | Unit::Joules => {
            let mut text = scaled(value, 1000.0);
            text.push_str(unit.suffix());
            text
        }
        Unit::None | Unit::Packets | Unit::Operations | Unit::Events | Unit::RevolutionsPerMinute => {
            scaled(value, 1000.0)
        }
    }
}

/// Writes a counter's change per second. CPU seconds per second are shares of a core; traffic is bits if asked for.
pub fn rate(value: f64, unit: Unit, style: Style) -> String {
    match unit {
        Unit::Seconds | Unit::Ratio => percent(value),
        Unit::Bytes | Unit::BytesPerSecond if style.bits => {
            let mut text = scaled(value * 8.0, 1000.0);
            text.push('b');
            text
        }
        Unit::Bytes | Unit::BytesPerSecond => scaled(value, if style.binary { 1024.0 } else { 1000.0 }),
        _ if value != 0.0 && value.abs() < 0.1 => format!("{value:.2}"),
        _ => scaled(value, 1000.0),
    }
}

/// Why a written quantity was not understood. Column positions are the caller's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// There is no number at the front.
    #[error("`{0}` is not a number")]
    Number(String),
    /// It is less than nothing.
    #[error("`{0}` is below zero")]
    Negative(String),
    /// It is written with an exponent.
    #[error("`{0}` has an exponent, which is not read; write its digits, or a unit such as 1k or 2Gi")]
    Exponent(String),
    /// The suffix is unknown.
    #[error(
        "unknown unit `{0}`; known are %, k M G T P, Ki Mi Gi Ti Pi with optional B, b or bit, and us ms s m h d w"
    )]
    Suffix(String),
    /// The suffix belongs to another unit than the column's.
    #[error("`{suffix}` is {given}, but {wanted} is wanted")]
    Mismatch {
        /// As written.
        suffix: String,
        /// What the suffix measures.
        given: &'static str,
        /// What the place takes.
        wanted: &'static str,
    },
}

/// What a suffix measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A bare number or one with only a scale.
    Number,
    /// Percent.
    Ratio,
    /// Time.
    Time,
    /// Bytes or bits.
    Data,
}

impl Dimension {
    fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Ratio => "a share",
            Self::Time => "a duration",
            Self::Data => "an amount of data",
        }
    }

    /// The dimension that a unit takes.
    pub fn of(unit: Unit) -> Self {
        match unit {
            Unit::Ratio => Self::Ratio,
            Unit::Seconds => Self::Time,
            Unit::Bytes | Unit::BytesPerSecond => Self::Data,
            _ => Self::Number,
        }
    }

    /// Whether a value written with dimension `given` may stand where `self` is wanted.
    pub fn accepts(self, given: Self) -> bool {
        given == self || given == Self::Number
    }
}

/// Reads a number with an optional suffix: `10`, `1.5k`, `2Gi`, `100Mbit`, `50%`, `5m`, `1h`.
/// `m` alone is minutes, `M` is mega. Returns the value in base units (bytes, seconds, 0..1) and its dimension.
///
/// # Errors
/// [`QuantityError::Number`], for a number that is too large as well, [`QuantityError::Exponent`], and
/// [`QuantityError::Suffix`].
pub fn parse(text: &str) -> Result<(f64, Dimension), QuantityError> {
    let text = text.trim();
    let end = text
        .char_indices()
        .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*c == '-' && *i == 0)))
        .map_or(text.len(), |(i, _)| i);
    let (digits, suffix) = text.split_at(end);
    let number: f64 = digits.parse().map_err(|_| QuantityError::Number(text.to_owned()))?;
    let suffix = suffix.trim();
    let unknown = || match suffix.strip_prefix(['e', 'E']) {
        // `1E` is a scale, `1e3` is not
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => QuantityError::Exponent(text.to_owned()),
        _ => QuantityError::Suffix(suffix.to_owned()),
    };
    let (factor, dimension) = suffix_factor(suffix).ok_or_else(unknown)?;
    // 70% is 0.7 and not 0.7000000000000001: a hundredth is no exact number, and a hundred is
    let value = if factor < 1.0 { number / factor.recip().round() } else { number * factor };
    if value.is_finite() { Ok((value, dimension)) } else { Err(QuantityError::Number(text.to_owned())) }
}

/// Reads a quantity for a unit, checking that the suffix fits.
///
/// # Errors
/// Every [`QuantityError`].
pub fn parse_as(text: &str, unit: Unit) -> Result<f64, QuantityError> {
    let (value, given) = parse(text)?;
    let wanted = Dimension::of(unit);
    if wanted.accepts(given) {
        return Ok(value);
    }
    let suffix = text.trim().trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    Err(QuantityError::Mismatch { suffix: suffix.trim().to_owned(), given: given.name(), wanted: wanted.name() })
}

fn suffix_factor(suffix: &str) -> Option<(f64, Dimension)> {
    Some(match suffix {
        "" => (1.0, Dimension::Number),
        "%" => (0.01, Dimension::Ratio),
        "us" | "µs" => (1e-6, Dimension::Time),
        "ms" => (1e-3, Dimension::Time),
        "s" => (1.0, Dimension::Time),
        "m" | "min" => (60.0, Dimension::Time),
        "h" => (3600.0, Dimension::Time),
        "d" => (86_400.0, Dimension::Time),
        "w" => (604_800.0, Dimension::Time),
        _ => return data_factor(suffix),
    })
}

fn data_factor(suffix: &str) -> Option<(f64, Dimension)> {
    let mut rest = suffix.strip_suffix("/s").unwrap_or(suffix);
    let mut dimension = Dimension::Number;
    let mut scale = 1.0;
    for (mark, factor) in [("bits", 0.125), ("bit", 0.125), ("B", 1.0), ("b", 0.125)] {
        if let Some(head) = rest.strip_suffix(mark) {
            (rest, scale, dimension) = (head, factor, Dimension::Data);
            break;
        }
    }
    if dimension == Dimension::Number && suffix.ends_with("/s") {
        return None;
    }
    if rest.is_empty() {
        return (dimension == Dimension::Data).then_some((scale, dimension));
    }
    let (letter, base) = match rest.strip_suffix('i') {
        Some(letter) => (letter, 1024.0_f64),
        None => (rest, 1000.0),
    };
    let power = match letter {
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    Some((base.powi(power) * scale, dimension))
}

/// Reads a duration: `500ms`, `2s`, `1m`, `1m 30s`; a bare number is seconds.
///
/// # Errors
/// [`QuantityError`] with the part that was not understood.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, QuantityError> {
    let bad = || QuantityError::Number(text.to_owned());
    if text.trim_start().starts_with('-') {
        return Err(QuantityError::Negative(text.to_owned()));
    }
    let mut total = 0.0;
    let mut part = String::new();
    let mut parts = 0;
    let mut seen_unit = false;
    for ch in text.trim().chars().chain([' ']) {
        let starts_new = ch.is_whitespace() || (seen_unit && ch.is_ascii_digit());
        if starts_new && !part.is_empty() {
            total += parse_as(&part, Unit::Seconds)?;
            parts += 1;
            part.clear();
            seen_unit = false;
        }
        if !ch.is_whitespace() {
            seen_unit |= !(ch.is_ascii_digit() || ch == '.');
            part.push(ch);
        }
    }
    if parts == 0 {
        return Err(bad());
    }
    std::time::Duration::try_from_secs_f64(total).map_err(|_| bad())
}

/// Writes a duration so that [`parse_duration`] reads it back: `500ms`, `1s`, `1m30s`.
pub fn duration(value: std::time::Duration) -> String {
    let (seconds, millis) = (value.as_secs(), value.subsec_millis());
    if seconds == 0 || millis > 0 {
        return format!("{}ms", value.as_millis());
    }
    let mut text = String::new();
    for (size, name) in [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")] {
        let count = match size {
            86_400 => seconds / 86_400,
            3600 => seconds / 3600 % 24,
            60 => seconds / 60 % 60,
            _ => seconds % 60,
        };
        if count > 0 {
            let _ = write!(text, "{count}{name}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_numbers_take_at_most_five_cells() {
        for (value, want) in [
            (0.0, "0"),
            (7.0, "7"),
            (7.25, "7.25"),
            (12.34, "12.3"),
            (999.0, "999"),
            (999.6, "1.00K"),
            (1024.0, "1.02K"),
            (12_345_678.0, "12.3M"),
            (4.2e9, "4.20G"),
        ] {
            assert_eq!(scaled(value, 1000.0), want);
        }
        assert_eq!(scaled(1536.0, 1024.0), "1.50K");
        assert_eq!(scaled(f64::NAN, 1000.0), "?");
    }

    #[test]
    fn every_magnitude_fits_its_width() {
        let mut value = 0.000_1;
        while value < 1e22 {
            assert!(scaled(value, 1000.0).len() <= 5, "{value}");
            assert!(span(value.min(1e9)).len() <= 7, "{value} {}", span(value));
            value *= 1.37;
        }
    }

    #[test]
    fn spans_use_two_units_at_most() {
        for (seconds, want) in [
            (0.0, "0s"),
            (0.000_85, "850us"),
            (0.012, "12ms"),
            (1.25, "1.25s"),
            (42.0, "42s"),
            (192.0, "3m12s"),
            (14_700.0, "4h05m"),
            (3_553_200.0, "41d03h"),
        ] {
            assert_eq!(span(seconds), want);
        }
    }

    #[test]
    fn quantities_are_read_in_base_units() {
        for (text, want) in [
            ("10", 10.0),
            ("50%", 0.5),
            ("70%", 0.7),
            ("2Gi", 2.0 * 1024.0 * 1024.0 * 1024.0),
            ("2GiB", 2.0 * 1024.0 * 1024.0 * 1024.0),
            ("1.5k", 1500.0),
            ("8Mbit", 1e6),
            ("8Mb/s", 1e6),
            ("5m", 300.0),
            ("5M", 5e6),
            ("250ms", 0.25),
        ] {
            assert_eq!(parse(text).map(|(value, _)| value), Ok(want), "{text}");
        }
        assert!(parse(&"9".repeat(400)).is_err() && parse(&format!("{}P", "9".repeat(300))).is_err());
        assert!(parse("2Qi").is_err() && parse("x").is_err() && parse("").is_err() && parse("1/s").is_err());
    }

    #[test]
    fn a_wrong_dimension_is_an_error() {
        assert!(matches!(parse_as("5s", Unit::Bytes), Err(QuantityError::Mismatch { .. })));
        assert_eq!(parse_as("5k", Unit::Bytes), Ok(5000.0));
        assert!(parse_as("5GiB", Unit::Seconds).is_err());
    }

    #[test]
    fn durations_round_trip() {
        for text in ["500ms", "1s", "1m30s", "1h", "1d2h3m4s"] {
            assert_eq!(duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(parse_duration("1m 30s").unwrap().as_secs(), 90);
        assert!(parse_duration("").is_err() && parse_duration("5GiB").is_err() && parse_duration("-1s").is_err());
    }
}
