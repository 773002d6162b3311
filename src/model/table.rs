//! How does a table describe itself, so that no reader needs to know any?
//!
//! [`table!`](crate::table!) declares a row struct and its schema from one text. Everything else (dashboard, wire, export,
//! alerts) loops over [`Table::columns`] and reads [`Rows`].

use std::borrow::Cow;

use super::cell::{Cell, LabelDef, Type};
use super::unit::Unit;

/// How bad something is. The words and their order are those of Glances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing to see.
    #[default]
    Ok,
    /// Worth a look.
    Careful,
    /// Worth acting on.
    Warning,
    /// Act now.
    Critical,
}

impl Level {
    /// All levels, mildest first.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Careful, Self::Warning, Self::Critical];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Careful => "careful",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What may be done with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Identifies the row across samples.
    Id,
    /// Only grows while its source lives; readers print its rate.
    Counter,
    /// Value at a point in time.
    Gauge,
    /// Words.
    Text,
    /// Computed by `store/` from columns of the same row.
    Derived,
}

const KINDS: &[(Kind, &str)] = &[
    (Kind::Id, "id"),
    (Kind::Counter, "counter"),
    (Kind::Gauge, "gauge"),
    (Kind::Text, "text"),
    (Kind::Derived, "derived"),
];

impl Kind {
    /// Name in the schema.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("text", |(_, name)| name)
    }

    /// The kind that a schema names, `None` for one from a newer peer.
    pub fn from_name(name: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }
}

/// How rows of a table relate to each other and to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Exactly one row.
    Single,
    /// Rows that live from sample to sample under their Ids.
    Rows,
    /// Events with a sequence number; readers take what is newer than the last they saw.
    Log,
}

impl Shape {
    /// Name in the schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Rows => "rows",
            Self::Log => "log",
        }
    }

    /// The shape that a schema names, `None` for one from a newer peer.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Single, Self::Rows, Self::Log].into_iter().find(|shape| shape.name() == name)
    }
}

/// How much of a table's past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum History {
    /// None.
    Off,
    /// Every row, as far as the memory for the past goes.
    Whole,
    /// The busiest rows by default order, at most 50, and pinned ones.
    Top,
}

/// How rows are folded into one number for a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// Largest.
    Max,
    /// Smallest.
    Min,
    /// Sum.
    Sum,
    /// The row called `all`, which stands for all others.
    All,
}

/// What generic readers need to know of a column beside its type; all of it is written in `table!`.
#[derive(Clone, Copy, Debug)]
pub struct Attrs {
    /// Heading for people; the name if none is given.
    pub title: Option<&'static str>,
    /// Too wide or too special for the default view; shown on request.
    pub wide: bool,
    /// Costs extra: collected only while somebody wants it, otherwise missing.
    pub demand: bool,
    /// On-demand tables: the value must be given in the [`super::Demand`].
    pub required: bool,
    /// This Id names the parent row's Id (makes trees).
    pub parent: bool,
    /// The same in every row on most hosts: people see it only while rows differ in it.
    pub several: bool,
    /// Default order of the table: by this column, largest first.
    pub top: bool,
    /// The column people know the row by.
    pub label: bool,
    /// How the summary row of browse folds it.
    pub summary: Option<Fold>,
    /// One of the few numbers by which a host is told from many others: browse asks every host for it.
    pub glance: bool,
    /// Counter that says more as it is than as a rate: readers print it as it was measured.
    pub total: bool,
    /// Number that people know by heart, such as 1500: never scaled.
    pub exact: bool,
    /// Instant at which something ends: one that has come is over.
    pub until: bool,
    /// Command line: the directory of its program is left out where room is short.
    pub program: bool,
    /// CPU time: people read minutes and hundredths, rates are shares of a core.
    pub cpu: bool,
    /// Traffic or data rate where people may want bits.
    pub traffic: bool,
    /// Words without end: people read them behind all else, where a terminal may cut them.
    pub last: bool,
    /// May hold what is not for everybody, such as a password: nobody sees it over a network without a name. Of a command
    /// line the program stays.
    pub secret: bool,
}

impl Attrs {
    /// Nothing special.
    pub const NONE: Self = Self {
        title: None,
        wide: false,
        demand: false,
        required: false,
        parent: false,
        several: false,
        top: false,
        label: false,
        summary: None,
        glance: false,
        total: false,
        exact: false,
        until: false,
        program: false,
        cpu: false,
        traffic: false,
        last: false,
        secret: false,
    };
}

/// One column's description.
#[derive(Clone, Debug)]
pub struct Column {
    /// Stable name, snake_case, no unit in it.
    pub name: Cow<'static, str>,
    /// What may be done with it.
    pub kind: Kind,
    /// Base unit.
    pub unit: Unit,
    /// Type of its cells.
    pub ty: Type,
    /// Whether cells may be missing.
    pub optional: bool,
    /// Help for the user, one sentence.
    pub help: Cow<'static, str>,
    /// The closed list of a label column.
    pub labels: Cow<'static, [LabelDef]>,
    /// Expression of a Derived column.
    pub expr: Option<Cow<'static, str>>,
    /// The rest.
    pub attrs: Attrs,
}

impl Column {
    /// Heading for people.
    pub fn title(&self) -> &str {
        self.attrs.title.unwrap_or(&self.name)
    }

    /// Level that a label word means, `Ok` for an unknown one.
    pub fn label_level(&self, word: &str) -> Level {
        self.labels.iter().find(|label| label.name == word).map_or(Level::Ok, |label| label.level)
    }

    /// Whether a reader can order and graph it as a number.
    pub fn is_numeric(&self) -> bool {
        self.ty.is_numeric() && self.kind != Kind::Text
    }
}

/// What a table says of itself beside its columns; written in `table!`.
#[derive(Clone, Copy, Debug)]
pub struct TableAttrs {
    /// Heading for people; the name if none is given.
    pub title: Option<&'static str>,
    /// Rows and time.
    pub shape: Shape,
    /// What of its past is kept.
    pub history: History,
    /// Collected only while somebody wants it.
    pub demand: bool,
    /// It has what other tables have, too.
    pub again: bool,
}

impl TableAttrs {
    /// Rows, no history.
    pub const NONE: Self = Self { title: None, shape: Shape::Rows, history: History::Off, demand: false, again: false };
}

/// One table's description.
#[derive(Clone, Debug)]
pub struct Table {
    /// Stable name, snake_case, singular.
    pub name: Cow<'static, str>,
    /// What one row is, when cells are missing, and the `Source:` of the data.
    pub help: Cow<'static, str>,
    /// The columns, Ids first by custom.
    pub columns: Cow<'static, [Column]>,
    /// The rest.
    pub attrs: TableAttrs,
}

impl Table {
    /// Heading for people.
    pub fn title(&self) -> &str {
        self.attrs.title.unwrap_or(&self.name)
    }

    /// Position of a column.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// A column and its position.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }

    /// Positions of the Id columns.
    pub fn ids(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().enumerate().filter(|(_, column)| column.kind == Kind::Id).map(|(i, _)| i)
    }

    /// Positions of the columns that people see unless they choose others: neither wide nor on demand, endless words last.
    pub fn usual(&self) -> Vec<usize> {
        let usual = |column: &Column| !column.attrs.wide && !column.attrs.demand && !column.attrs.several;
        let mut positions: Vec<usize> = (0..self.columns.len()).collect();
        if self.columns.iter().any(usual) {
            positions.retain(|i| self.columns.get(*i).is_some_and(usual));
        }
        positions.sort_by_key(|i| self.columns.get(*i).is_some_and(|column| column.attrs.last));
        positions
    }

    /// Whether a cell above level ok is something to attend to: an event is over, and of what two tables have one speaks.
    pub fn alerts(&self) -> bool {
        self.attrs.shape != Shape::Log && !self.attrs.again
    }

    /// Positions of the Ids that people see only while rows differ in them.
    pub fn several(&self) -> impl Iterator<Item = usize> + '_ {
        self.ids().filter(|i| self.columns.get(*i).is_some_and(|column| column.attrs.several))
    }

    /// Whether it has one row but where rows differ in such an Id.
    pub fn is_mostly_single(&self) -> bool {
        self.attrs.shape == Shape::Single || (self.several().next().is_some() && self.several().eq(self.ids()))
    }

    /// The column that a person knows a row by: the one marked `label`, else the first Id, else the first.
    pub fn label_column(&self) -> usize {
        self.name_column().unwrap_or(0)
    }

    /// The column that tells a person one row from another; `None` where there is but one.
    pub fn name_column(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.attrs.label).or_else(|| self.ids().next())
    }

    /// First paragraph of the help.
    pub fn summary(&self) -> &str {
        self.help.trim().split("\n\n").next().unwrap_or("").trim()
    }

    /// Where the data comes from: the text after `Source:`.
    pub fn source(&self) -> &str {
        self.help.split_once("Source:").map_or("", |(_, source)| source.trim())
    }
}

/// A typed row; `table!` implements it.
pub trait Row: Send + Sync + 'static {
    /// Schema.
    const TABLE: &'static Table;
    /// Cell `column` in the order of `TABLE.columns`; Missing for a Derived column or one out of range.
    fn cell(&self, column: usize) -> Cell<'_>;
}

/// Rows of one table, type-erased: local typed rows and rows decoded from a peer look the same to every reader.
pub trait Rows: Send + Sync {
    /// Schema.
    fn table(&self) -> &Table;
    /// Row count.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Raw cell; Missing when out of range or Derived.
    fn cell(&self, row: usize, column: usize) -> Cell<'_>;
    /// When a row was taken, where rows of a sample were taken at different times by clocks of their own.
    fn taken(&self, row: usize) -> Option<super::Mono> {
        let _ = row;
        None
    }
    /// Memory of the rows, about: text is shared between samples and not counted.
    fn bytes(&self) -> usize {
        self.len() * self.table().columns.len() * size_of::<Cell<'static>>()
    }
}

// made once, not for each table
impl dyn Rows + '_ {
    /// Whether rows differ in a column.
    pub fn differ(&self, column: usize) -> bool {
        (1..self.len()).any(|row| self.cell(row, column) != self.cell(0, column))
    }
    /// Whether an Id tells something that people see only while it does; see [`tell`].
    pub fn tells(&self, column: usize) -> bool {
        tell((0..self.len()).map(|row| self.cell(row, column)))
    }
}

/// Whether cells of an Id tell something that people see only while they do: they differ, or all are of a place that is not
/// the usual one.
pub(crate) fn tell<'a>(mut cells: impl Iterator<Item = Cell<'a>>) -> bool {
    cells.next().is_some_and(|first| !first.is_usual_place() || cells.any(|cell| cell != first))
}

impl<R: Row> Rows for Vec<R> {
    fn table(&self) -> &Table {
        R::TABLE
    }
    fn len(&self) -> usize {
        Vec::len(self)
    }
    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        self.get(row).map_or(Cell::Missing, |row| row.cell(column))
    }
    fn bytes(&self) -> usize {
        self.capacity() * size_of::<R>()
    }
}

/// Declares a row struct and its table from one text.
///
/// ```ignore
/// table! {
///     /// One disk. Partitions are not shown.
///     ///
///     /// Source: `Documentation/admin-guide/iostats.rst`.
///     pub struct DiskRow = "disk" { title: Some("Disks"), history: History::Whole } {
///         /// Name of the block device.
///         Id(None) name: Text { label: true },
///         /// Data read since boot.
///         Counter(Bytes) read: u64 { title: Some("R/s"), traffic: true },
///         /// Time spent on reads.
///         Counter(Seconds) read_time: Option<f64> { wide: true },
///         /// Requests read since boot.
///         Counter(Operations) reads: u64 { },
///     }
///     derived {
///         /// Mean time of a read.
///         read_latency(Seconds) = "read_time / reads" { title: Some("r lat") },
///     }
/// }
/// ```
/// Braces hold fields of [`Attrs`] and [`TableAttrs`]; empty ones may be left out. Derived columns have no field.
#[macro_export]
macro_rules! table {
    (
        $(#[doc = $help:literal])+
        $vis:vis struct $row:ident = $name:literal $({ $($tattr:ident : $tval:expr),* $(,)? })? {
            $(
                $(#[doc = $chelp:literal])+
                $kind:ident($unit:ident) $field:ident: $ty:ty $({ $($attr:ident : $aval:expr),* $(,)? })?
            ),* $(,)?
        }
        $(derived {
            $(
                $(#[doc = $dhelp:literal])+
                $dname:ident($dunit:ident) = $dexpr:literal $({ $($dattr:ident : $daval:expr),* $(,)? })?
            ),* $(,)?
        })?
    ) => {
        $(#[doc = $help])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $row { $( $(#[doc = $chelp])+ pub $field: $ty ),* }

        impl $crate::model::Row for $row {
            const TABLE: &'static $crate::model::Table = {
                use $crate::model::in_table::*;
                static COLUMNS: &[Column] = &[
                    $( Column {
                        name: Cow::Borrowed(stringify!($field)),
                        kind: Kind::$kind,
                        unit: Unit::$unit,
                        ty: <$ty as AsCell>::TYPE,
                        optional: <$ty as AsCell>::OPTIONAL,
                        help: Cow::Borrowed(concat!($($chelp, "\n"),+).trim_ascii()),
                        labels: Cow::Borrowed(<$ty as AsCell>::LABELS),
                        expr: None,
                        attrs: Attrs { $($($attr: $aval,)*)? ..Attrs::NONE },
                    }, )*
                    $($( Column {
                        name: Cow::Borrowed(stringify!($dname)),
                        kind: Kind::Derived,
                        unit: Unit::$dunit,
                        ty: Type::F64,
                        optional: true,
                        help: Cow::Borrowed(concat!($($dhelp, "\n"),+).trim_ascii()),
                        labels: Cow::Borrowed(&[]),
                        expr: Some(Cow::Borrowed($dexpr)),
                        attrs: Attrs { $($($dattr: $daval,)*)? ..Attrs::NONE },
                    }, )*)?
                ];
                static TABLE: Table = Table {
                    name: Cow::Borrowed($name),
                    help: Cow::Borrowed(concat!($($help, "\n"),+).trim_ascii()),
                    columns: Cow::Borrowed(COLUMNS),
                    attrs: TableAttrs { $($($tattr: $tval,)*)? ..TableAttrs::NONE },
                };
                &TABLE
            };
            fn cell(&self, column: usize) -> $crate::model::Cell<'_> {
                $crate::table!(@cells self, column, 0usize; $($field)*)
            }
        }

        impl $row {
            /// Schema.
            pub const TABLE: &'static $crate::model::Table = <$row as $crate::model::Row>::TABLE;
        }
    };
    (@cells $self:ident, $column:ident, $n:expr; ) => { { let _ = $column; $crate::model::Cell::Missing } };
    (@cells $self:ident, $column:ident, $n:expr; $field:ident $($rest:ident)*) => {
        if $column == $n {
            $crate::model::AsCell::as_cell(&$self.$field)
        } else {
            $crate::table!(@cells $self, $column, $n + 1usize; $($rest)*)
        }
    };
}
