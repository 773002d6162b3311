//! How does a reader understand tables of a host that runs another version?
//!
//! An agent describes its tables once per connection. The reader lays the description over its own: columns that both know
//! with the same meaning keep the reader's place, so that its panels find them; columns that only the agent has follow,
//! and are shown by every generic view; columns that only the reader has are missing. A word that the reader does not
//! know (a unit, a kind, a type) degrades: the number without its unit, the rest as text.
//!
//! A schema lives as long as the process: readers hold `&'static Table`. So each is kept once, by its hash, and a process
//! takes [`MAX_SCHEMAS`] different ones at most.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{WireError, proto};
use crate::collect::{collector_of, schedule};
use crate::model::{
    Attrs, Column, Fold, History, Kind, LabelDef, Level, Shape, Table, TableAttrs, Text, Type, Unit, lock,
};
use crate::store::derived;

/// Different schemas that a process takes: each version of an agent has one.
pub const MAX_SCHEMAS: usize = 256;

/// Tables of a schema at most.
const MAX_TABLES: usize = 512;

/// Columns of a table at most.
const MAX_COLUMNS: usize = 512;

/// Words of a label column at most.
const MAX_LABELS: usize = 256;

/// Bytes of a help text at most.
const MAX_HELP: usize = 16 << 10;

/// Bytes of a name at most.
const MAX_NAME: usize = 64;

/// Where the cells of a table are found in what a peer sends.
#[derive(Debug)]
pub struct Layout {
    /// Schema that readers see.
    pub table: &'static Table,
    /// For each column that readers see its place at the peer.
    pub from: Vec<Option<usize>>,
    /// Types of the peer's columns.
    pub types: Vec<Type>,
    /// The peer's columns of a type that this process does not know: they are text, if the peer sends words.
    pub foreign: BTreeSet<usize>,
}

/// Every table of a host as this process understands it.
#[derive(Debug)]
pub struct Schema {
    /// Hash of the description.
    pub hash: Vec<u8>,
    /// The tables.
    pub tables: &'static [&'static Table],
    /// By place in the peer's schema.
    pub layouts: Vec<Arc<Layout>>,
}

impl Schema {
    /// Whether the peer knows nothing of a column that readers see; of a derived one: of what it is made of.
    pub fn lacks(&self, table: &str, column: usize) -> bool {
        let Some(layout) = self.layouts.iter().find(|layout| layout.table.name == table) else { return true };
        let inputs = derived::inputs(layout.table, column);
        inputs.into_iter().any(|input| !matches!(layout.from.get(input), Some(Some(_))))
    }

    /// Place of a table in the peer's schema.
    pub fn position(&self, table: &str) -> Option<usize> {
        self.layouts.iter().position(|layout| layout.table.name == table)
    }
}

/// An attribute of a column: its name, how it is set and whether it is.
type Attribute = (&'static str, fn(&mut Attrs) -> &mut bool);

const ATTRIBUTES: &[Attribute] = &[
    ("wide", |attrs| &mut attrs.wide),
    ("demand", |attrs| &mut attrs.demand),
    ("required", |attrs| &mut attrs.required),
    ("parent", |attrs| &mut attrs.parent),
    ("top", |attrs| &mut attrs.top),
    ("label", |attrs| &mut attrs.label),
    ("total", |attrs| &mut attrs.total),
    ("exact", |attrs| &mut attrs.exact),
    ("until", |attrs| &mut attrs.until),
    ("program", |attrs| &mut attrs.program),
    ("cpu", |attrs| &mut attrs.cpu),
    ("traffic", |attrs| &mut attrs.traffic),
    ("last", |attrs| &mut attrs.last),
    ("secret", |attrs| &mut attrs.secret),
    ("glance", |attrs| &mut attrs.glance),
];

const FOLDS: &[(&str, Fold)] =
    &[("summary-max", Fold::Max), ("summary-min", Fold::Min), ("summary-sum", Fold::Sum), ("summary-all", Fold::All)];

const HISTORIES: &[(&str, History)] = &[("off", History::Off), ("whole", History::Whole), ("top", History::Top)];

/// What this process can show.
pub fn own() -> &'static Arc<Schema> {
    static OWN: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let tables = schedule::tables();
        let layouts = tables.iter().map(|table| Arc::new(straight(table))).collect();
        Arc::new(Schema { hash: hash(&describe(tables)), tables, layouts })
    });
    &OWN
}

fn straight(table: &'static Table) -> Layout {
    let from = (0..table.columns.len()).map(Some).collect();
    Layout { table, from, types: table.columns.iter().map(|column| column.ty).collect(), foreign: BTreeSet::new() }
}

/// Hash of a description: the same for the same text.
pub fn hash(schema: &proto::Schema) -> Vec<u8> {
    Sha256::digest(schema.encode_to_vec()).to_vec()
}

/// Describes tables.
pub fn describe(tables: &[&Table]) -> proto::Schema {
    proto::Schema { tables: tables.iter().map(|table| describe_table(table)).collect() }
}

fn describe_table(table: &Table) -> proto::Table {
    proto::Table {
        name: table.name.to_string(),
        title: table.attrs.title.unwrap_or_default().to_owned(),
        help: table.help.to_string(),
        collector: collector_of(table).unwrap_or_default().to_owned(),
        shape: table.attrs.shape.name().to_owned(),
        history: named(HISTORIES, table.attrs.history).to_owned(),
        demand: table.attrs.demand,
        columns: table.columns.iter().map(describe_column).collect(),
    }
}

fn describe_column(column: &Column) -> proto::Column {
    let mut attrs = column.attrs;
    let set = ATTRIBUTES.iter().filter(|(_, field)| *field(&mut attrs)).map(|(name, _)| (*name).to_owned());
    let mut attributes: Vec<String> = set.collect();
    attributes.extend(attrs.summary.map(|fold| named(FOLDS, fold).to_owned()));
    proto::Column {
        name: column.name.to_string(),
        title: column.attrs.title.unwrap_or_default().to_owned(),
        help: column.help.to_string(),
        kind: column.kind.name().to_owned(),
        unit: column.unit.name().to_owned(),
        r#type: column.ty.name().to_owned(),
        optional: column.optional,
        labels: column.labels.iter().map(describe_label).collect(),
        expr: column.expr.as_deref().unwrap_or_default().to_owned(),
        attributes,
    }
}

fn describe_label(label: &LabelDef) -> proto::Label {
    proto::Label { name: label.name.to_owned(), level: label.level.name().to_owned() }
}

fn named<T: PartialEq + Copy>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}

fn value_of<T: Copy>(names: &[(&'static str, T)], name: &str) -> Option<T> {
    names.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// Takes the description of a peer.
///
/// # Errors
/// A name that is none, something twice, or a bound exceeded.
pub fn adopt(schema: &proto::Schema) -> Result<Arc<Schema>, WireError> {
    static KNOWN: LazyLock<Mutex<HashMap<Vec<u8>, Arc<Schema>>>> = LazyLock::new(Mutex::default);
    let hash = hash(schema);
    if own().hash == hash {
        return Ok(Arc::clone(own()));
    }
    // the map holds whole entries only, so it is right even if somebody panicked while holding it
    let mut known = lock(&KNOWN);
    if let Some(schema) = known.get(&hash) {
        return Ok(Arc::clone(schema));
    }
    if known.len() >= MAX_SCHEMAS {
        return Err(WireError::Bound("different schemas"));
    }
    let layouts = layouts(schema, schedule::tables())?;
    let tables: Vec<&'static Table> = layouts.iter().map(|layout| layout.table).collect();
    let adopted = Arc::new(Schema { hash: hash.clone(), tables: tables.leak(), layouts });
    known.insert(hash, Arc::clone(&adopted));
    Ok(adopted)
}

/// Lays the tables of a peer over those of this process. What is new stays in memory for good.
pub(crate) fn layouts(schema: &proto::Schema, own: &[&'static Table]) -> Result<Vec<Arc<Layout>>, WireError> {
    if schema.tables.len() > MAX_TABLES {
        return Err(WireError::Bound("tables"));
    }
    // everything is looked at before anything is kept
    let mut seen = HashSet::new();
    for table in &schema.tables {
        if !is_name(&table.name) || !seen.insert(&*table.name) {
            return Err(WireError::Damaged("the name of a table"));
        }
        check(table)?;
    }
    let layout = |table: &proto::Table| {
        let own = own.iter().find(|own| own.name == table.name).copied();
        Arc::new(own.map_or_else(|| straight_peer(table), |own| over(own, table)))
    };
    Ok(schema.tables.iter().map(layout).collect())
}

fn check(table: &proto::Table) -> Result<(), WireError> {
    if table.columns.len() > MAX_COLUMNS || table.help.len() > MAX_HELP {
        return Err(WireError::Bound("columns"));
    }
    let mut seen = HashSet::new();
    for column in &table.columns {
        if !is_name(&column.name) || !seen.insert(&*column.name) {
            return Err(WireError::Damaged("the name of a column"));
        }
        let long = [&column.help, &column.expr, &column.title].iter().any(|text| text.len() > MAX_HELP);
        if long || column.labels.len() > MAX_LABELS {
            return Err(WireError::Bound("a column"));
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= MAX_NAME && name.bytes().all(word) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// A table that only the peer has.
fn straight_peer(table: &proto::Table) -> Layout {
    let columns: Vec<Column> = table.columns.iter().map(column).collect();
    let (from, types) = ((0..columns.len()).map(Some).collect(), columns.iter().map(|column| column.ty).collect());
    let title = (!table.title.is_empty()).then(|| kept(&table.title));
    let attrs = TableAttrs {
        title,
        shape: Shape::from_name(&table.shape).unwrap_or(Shape::Rows),
        history: value_of(HISTORIES, &table.history).unwrap_or(History::Off),
        demand: table.demand,
        again: false,
    };
    Layout { foreign: foreign(table), table: keep(table.name.clone(), lines(&table.help), columns, attrs), from, types }
}

/// A table that both have: the reader's columns first.
fn over(own: &'static Table, peer: &proto::Table) -> Layout {
    let theirs: Vec<Column> = peer.columns.iter().map(column).collect();
    let types = theirs.iter().map(|column| column.ty).collect();
    let same = |own: &Column| {
        theirs.iter().position(|theirs| {
            theirs.name == own.name && theirs.kind == own.kind && theirs.ty == own.ty && theirs.unit == own.unit
        })
    };
    let mut from: Vec<Option<usize>> = own.columns.iter().map(same).collect();
    let new: Vec<(usize, Column)> =
        theirs.into_iter().enumerate().filter(|(_, column)| own.position(&column.name).is_none()).collect();
    if new.is_empty() {
        return Layout { foreign: foreign(peer), table: own, from, types };
    }
    let mut columns = own.columns.to_vec();
    for (position, column) in new {
        from.push(Some(position));
        columns.push(column);
    }
    let table = keep(own.name.to_string(), own.help.to_string(), columns, own.attrs);
    Layout { foreign: foreign(peer), table, from, types }
}

fn foreign(table: &proto::Table) -> BTreeSet<usize> {
    let types = table.columns.iter().map(|column| Type::from_name(&column.r#type)).enumerate();
    types.filter(|(_, known)| known.is_none()).map(|(position, _)| position).collect()
}

fn keep(name: String, help: String, columns: Vec<Column>, attrs: TableAttrs) -> &'static Table {
    let name: &'static str = name.leak();
    let help: &'static str = help.leak();
    let columns: &'static [Column] = columns.leak();
    Box::leak(Box::new(Table {
        name: Cow::Borrowed(name),
        help: Cow::Borrowed(help),
        columns: Cow::Borrowed(columns),
        attrs,
    }))
}

/// A word of a peer that stays.
fn kept(word: &str) -> &'static str {
    Text::from(word).as_str().to_owned().leak()
}

/// A text of several lines.
fn lines(text: &str) -> String {
    text.lines().map(|line| Text::from(line).as_str().to_owned()).collect::<Vec<_>>().join("\n")
}

fn column(column: &proto::Column) -> Column {
    let mut attrs = Attrs::NONE;
    for (name, field) in ATTRIBUTES {
        *field(&mut attrs) = column.attributes.iter().any(|set| set == name);
    }
    attrs.summary = column.attributes.iter().find_map(|set| value_of(FOLDS, set));
    attrs.title = (!column.title.is_empty()).then(|| kept(&column.title));
    let level = |name: &str| Level::ALL.into_iter().find(|level| level.name() == name).unwrap_or_default();
    let labels = column.labels.iter().map(|label| LabelDef { name: kept(&label.name), level: level(&label.level) });
    let expr: Option<&'static str> = (!column.expr.is_empty()).then(|| kept(&column.expr));
    let name: &'static str = column.name.clone().leak();
    let help: &'static str = lines(&column.help).leak();
    Column {
        name: Cow::Borrowed(name),
        kind: Kind::from_name(&column.kind).unwrap_or(Kind::Text),
        unit: Unit::from_name(&column.unit).unwrap_or(Unit::None),
        ty: Type::from_name(&column.r#type).unwrap_or(Type::Text),
        optional: column.optional,
        help: Cow::Borrowed(help),
        labels: Cow::Owned(labels.collect()),
        expr: expr.map(Cow::Borrowed),
        attrs,
    }
}
