//! What can stand in one cell of a table?

use std::net::IpAddr;
use std::time::Duration;

use super::text::Text;

/// Type of a column's cells on the wire and in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Unsigned integer.
    U64,
    /// Signed integer.
    I64,
    /// Floating point number.
    F64,
    /// Yes or no.
    Bool,
    /// Sanitized text.
    Text,
    /// IPv4 or IPv6 address.
    Ip,
    /// Ethernet address.
    Mac,
    /// One of a closed list of words.
    Label,
    /// Instant on the wall clock.
    Timestamp,
    /// Span of time.
    Duration,
}

const TYPES: &[(Type, &str)] = &[
    (Type::U64, "u64"),
    (Type::I64, "i64"),
    (Type::F64, "f64"),
    (Type::Bool, "bool"),
    (Type::Text, "text"),
    (Type::Ip, "ip"),
    (Type::Mac, "mac"),
    (Type::Label, "label"),
    (Type::Timestamp, "timestamp"),
    (Type::Duration, "duration"),
];

impl Type {
    /// Name in the schema.
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(ty, _)| *ty == self).map_or("text", |(_, name)| name)
    }

    /// The type that a schema names, `None` for one from a newer peer.
    pub fn from_name(name: &str) -> Option<Self> {
        TYPES.iter().find(|(_, known)| *known == name).map(|(ty, _)| *ty)
    }

    /// Whether arithmetic is possible.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::U64 | Self::I64 | Self::F64 | Self::Duration)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Mac {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(())?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| ())?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(Self(bytes)) }
    }
}

/// An instant on the wall clock: nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock's present.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// From Unix seconds.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1e9) as i64)
    }

    /// As Unix seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The instant some time before.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(span)))
    }

    /// The instant some time after.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(span)))
    }

    /// Seconds from `self` to `now`, negative for an instant still to come.
    pub fn age(self, now: Self) -> f64 {
        (now.0.saturating_sub(self.0)) as f64 / 1e9
    }
}

fn nanoseconds(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// A borrowed cell. Missing is never a stand-in for zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Not measured.
    Missing,
    /// Unsigned integer.
    U64(u64),
    /// Signed integer.
    I64(i64),
    /// Floating point number.
    F64(f64),
    /// Yes or no.
    Bool(bool),
    /// Sanitized text.
    Text(&'a str),
    /// IP address.
    Ip(IpAddr),
    /// Ethernet address.
    Mac(Mac),
    /// One word of a closed list.
    Label(&'a str),
    /// Instant.
    Timestamp(Timestamp),
    /// Span in seconds.
    Duration(f64),
}

/// What tables call the network namespace that this program is in.
pub const OWN_NETNS: &str = "host";

impl Cell<'_> {
    /// The number in the cell, in its base unit; a timestamp in Unix seconds, a bool as 0 or 1.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Cell::U64(v) => Some(v as f64),
            Cell::I64(v) => Some(v as f64),
            Cell::F64(v) | Cell::Duration(v) => Some(v).filter(|v| v.is_finite()),
            Cell::Bool(v) => Some(f64::from(u8::from(v))),
            Cell::Timestamp(v) => Some(v.seconds()),
            _ => None,
        }
    }

    /// The text of a text or label cell.
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) | Cell::Label(text) => Some(text),
            _ => None,
        }
    }

    /// The moment in a cell of moments.
    pub fn instant(&self) -> Option<Timestamp> {
        if let Cell::Timestamp(instant) = *self { Some(instant) } else { None }
    }

    /// The count in a cell of counts.
    pub fn count(&self) -> Option<u64> {
        if let Cell::U64(count) = *self { Some(count) } else { None }
    }

    /// Whether this names the place where most things are: the own network namespace, or the VRF that has no name.
    pub fn is_usual_place(&self) -> bool {
        matches!(self, Self::Missing | Self::Text(OWN_NETNS | "default"))
    }
    /// Whether nothing was measured.
    pub fn is_missing(&self) -> bool {
        matches!(self, Cell::Missing)
    }

    /// An owned copy.
    pub fn to_value(&self) -> Value {
        match *self {
            Cell::Missing => Value::Missing,
            Cell::U64(v) => Value::U64(v),
            Cell::I64(v) => Value::I64(v),
            Cell::F64(v) => Value::F64(v),
            Cell::Bool(v) => Value::Bool(v),
            Cell::Text(v) => Value::Text(Text::from(v)),
            Cell::Ip(v) => Value::Ip(v),
            Cell::Mac(v) => Value::Mac(v),
            Cell::Label(v) => Value::Label(Text::from(v)),
            Cell::Timestamp(v) => Value::Timestamp(v),
            Cell::Duration(v) => Value::Duration(v),
        }
    }
}

/// An owned cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Not measured.
    Missing,
    /// Unsigned integer.
    U64(u64),
    /// Signed integer.
    I64(i64),
    /// Floating point number.
    F64(f64),
    /// Yes or no.
    Bool(bool),
    /// Sanitized text.
    Text(Text),
    /// IP address.
    Ip(IpAddr),
    /// Ethernet address.
    Mac(Mac),
    /// One word of a closed list.
    Label(Text),
    /// Instant.
    Timestamp(Timestamp),
    /// Span in seconds.
    Duration(f64),
}

impl Value {
    /// Borrows it as a cell.
    pub fn as_cell(&self) -> Cell<'_> {
        match self {
            Value::Missing => Cell::Missing,
            Value::U64(v) => Cell::U64(*v),
            Value::I64(v) => Cell::I64(*v),
            Value::F64(v) => Cell::F64(*v),
            Value::Bool(v) => Cell::Bool(*v),
            Value::Text(v) => Cell::Text(v),
            Value::Ip(v) => Cell::Ip(*v),
            Value::Mac(v) => Cell::Mac(*v),
            Value::Label(v) => Cell::Label(v),
            Value::Timestamp(v) => Cell::Timestamp(*v),
            Value::Duration(v) => Cell::Duration(*v),
        }
    }
}

/// One word of a closed list, with the level it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelDef {
    /// The word.
    pub name: &'static str,
    /// How bad it is.
    pub level: super::Level,
}

/// A Rust type that a table's field may have.
pub trait AsCell {
    /// Type in the schema.
    const TYPE: Type;
    /// Whether the value may be missing.
    const OPTIONAL: bool = false;
    /// The closed list of words of a label type.
    const LABELS: &'static [LabelDef] = &[];
    /// Borrows the cell.
    fn as_cell(&self) -> Cell<'_>;
}

macro_rules! as_cell {
    ($($rust:ty => $ty:ident, $self:ident => $cell:expr;)+) => {$(
        impl AsCell for $rust {
            const TYPE: Type = Type::$ty;
            fn as_cell(&self) -> Cell<'_> {
                let $self = self;
                $cell
            }
        }
    )+};
}

as_cell! {
    u64 => U64, v => Cell::U64(*v);
    u32 => U64, v => Cell::U64(u64::from(*v));
    i64 => I64, v => Cell::I64(*v);
    i32 => I64, v => Cell::I64(i64::from(*v));
    f64 => F64, v => Cell::F64(*v);
    bool => Bool, v => Cell::Bool(*v);
    Text => Text, v => Cell::Text(v);
    IpAddr => Ip, v => Cell::Ip(*v);
    Mac => Mac, v => Cell::Mac(*v);
    Timestamp => Timestamp, v => Cell::Timestamp(*v);
    Duration => Duration, v => Cell::Duration(v.as_secs_f64());
}

impl<T: AsCell> AsCell for Option<T> {
    const TYPE: Type = T::TYPE;
    const OPTIONAL: bool = true;
    const LABELS: &'static [LabelDef] = T::LABELS;
    fn as_cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Missing, T::as_cell)
    }
}

/// Declares an enum whose values are the words of a label column, each with the level it means (`Ok` if none is given).
///
/// ```ignore
/// label! {
///     /// State of a link.
///     pub enum Carrier { Up = "up", Down = "down" => Warning }
/// }
/// ```
#[macro_export]
macro_rules! label {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal $(=> $level:ident)?),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$vmeta])* #[doc = concat!("`", $word, "`")] $variant),+ }
        impl $name {
            /// Every word with its level.
            pub const LABELS: &'static [$crate::model::LabelDef] = &[
                $($crate::model::LabelDef { name: $word, level: $crate::label!(@level $($level)?) }),+
            ];
            /// The word.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
        impl std::str::FromStr for $name {
            type Err = ();
            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }
        impl $crate::model::AsCell for $name {
            const TYPE: $crate::model::Type = $crate::model::Type::Label;
            const LABELS: &'static [$crate::model::LabelDef] = $name::LABELS;
            fn as_cell(&self) -> $crate::model::Cell<'_> {
                $crate::model::Cell::Label(self.name())
            }
        }
    };
    (@level) => { $crate::model::Level::Ok };
    (@level $level:ident) => { $crate::model::Level::$level };
}
