//! How do the rows of many hosts become one table?
//!
//! Every table that a host is asked for has a second schema with the Id `host` behind its own columns, which keep their
//! places. The rows are those that the hosts have told, not copied: each remembers when its host took it, so that its rates
//! span that host's interval and no other. Instants are moved by what the clock of the host is off. A host that does not
//! live has no rows here, and is counted. Where a reader has enough with the first rows of all, no others are in the table:
//! each host's are put in order once when it tells them, and of those orders the first are taken.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::table::{HostRow, Link};
use crate::collect::schedule;
use crate::model::{
    Attrs, Cell, Column, History, Key, Kind, Mono, Rows, Sample, Shape, Snapshot, State, Status, Table, TableAttrs,
    TableState, Text, Timestamp, Type, Unit, Value,
};
use crate::store::order::{self, natural};
use crate::store::query::{Query, directed, run};
use crate::store::rate::{Mode, View};

/// The Id that tells the hosts apart.
const HOST: &str = "host";

/// Nanoseconds that a clock may be off before instants are moved: less may be the way there.
const OFF: u64 = 1_000_000_000;

/// A table of one host and that of many.
#[derive(Debug)]
pub(super) struct Pair {
    /// Of one host.
    pub(super) own: &'static Table,
    /// Of many.
    pub(super) table: &'static Table,
}

/// Every table that many hosts can be asked for: those that need to be told of what, and events, are for one host.
pub(super) fn pairs() -> &'static [Pair] {
    static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
        let special = |table: &Table| table.columns.iter().any(|column| column.attrs.required);
        let tables = schedule::tables().iter().copied();
        let tables = tables.filter(|table| table.attrs.shape != Shape::Log && !special(table));
        tables.map(|own| Pair { own, table: with_host(own) }).collect()
    });
    &PAIRS
}

fn with_host(own: &'static Table) -> &'static Table {
    let mut columns = own.columns.to_vec();
    columns.push(Column {
        name: Cow::Borrowed(HOST),
        kind: Kind::Id,
        unit: Unit::None,
        ty: Type::Text,
        optional: false,
        help: Cow::Borrowed("Name of the host in the list."),
        labels: Cow::Borrowed(&[]),
        expr: None,
        attrs: Attrs::NONE,
    });
    let attrs = TableAttrs { shape: Shape::Rows, history: History::Off, demand: true, ..own.attrs };
    let Table { name, help, .. } = own.clone();
    Box::leak(Box::new(Table { name, help, columns: Cow::Owned(columns), attrs }))
}

/// The column of a table that names the host, if its rows are those of many hosts.
pub fn by(table: &Table) -> Option<usize> {
    let last = table.columns.len().checked_sub(1)?;
    // before the pairs: they are made when they are first asked for, and a dashboard of one host never needs them
    table.columns.get(last).filter(|column| column.kind == Kind::Id && column.name == HOST)?;
    let pair = pairs().iter().find(|pair| pair.table.name == table.name)?;
    (pair.table.columns.len() == table.columns.len()).then_some(last)
}

/// What one host has told of a table.
#[derive(Clone)]
pub(super) struct Part {
    now: Option<Sample>,
    before: Option<Sample>,
    state: State,
    /// Its rows as a reader wants them, once somebody has looked.
    ranked: Option<Vec<Ranked>>,
}

/// A row of a host.
#[derive(Clone)]
struct Ranked {
    row: usize,
    /// The same row in the sample before.
    before: Option<usize>,
    /// What it is ordered by.
    by: Vec<Value>,
}

impl Part {
    /// What a snapshot has of a table.
    pub(super) fn of(snapshot: &Snapshot, table: &str) -> Option<Self> {
        let known = snapshot.get(table)?;
        Some(Self { now: known.now.clone(), before: known.before.clone(), state: known.status.state, ranked: None })
    }

    /// A host that does not tell it.
    pub(super) fn refused() -> Self {
        Self { now: None, before: None, state: State::Absent, ranked: None }
    }

    /// Somebody wants other rows.
    pub(super) fn forget_order(&mut self) {
        self.ranked = None;
    }

    /// Puts the rows in order, unless they are.
    fn rank(&mut self, table: &'static Table, host: &HostRow, query: &Query) {
        let Some(now) = self.now.as_ref().filter(|_| self.ranked.is_none()) else { return };
        let alone = |sample: &Sample| {
            let rows = (0..sample.rows.len()).map(|row| (0, row)).collect();
            let rows: Arc<dyn Rows> = Arc::new(MergedRows { table, pieces: vec![Piece::new(host, sample)], rows });
            Sample { rows, ..*sample }
        };
        let view = View::new(&alone(now), self.before.as_ref().map(alone).as_ref(), Mode::Rate);
        let ranked = |row| Ranked {
            row,
            before: view.before(row),
            by: query.sort.iter().map(|(column, _)| view.cell(row, *column).to_value()).collect(),
        };
        self.ranked = Some(run(&view, query).into_iter().map(ranked).collect());
    }

    /// The key of the row behind one of the merged table.
    pub(super) fn find(&self, merged: &dyn Rows, row: usize) -> Option<Key> {
        let rows = &self.now.as_ref()?.rows;
        let key = Key::from_cells(rows.table().ids().map(|id| merged.cell(row, id)));
        (0..rows.len()).any(|row| key.matches(&**rows, row)).then_some(key)
    }
}

/// Rows of one host at one moment.
struct Piece {
    host: Text,
    sample: Sample,
    /// Nanoseconds that its clock is ahead.
    ahead: i64,
}

impl Piece {
    fn new(host: &HostRow, sample: &Sample) -> Self {
        let ahead = host.own.skew.map_or(0, |skew| (skew * 1e9) as i64);
        let ahead = if ahead.unsigned_abs() > OFF { ahead } else { 0 };
        Self { host: host.own.host.clone(), sample: sample.clone(), ahead }
    }
}

/// Rows of many hosts.
pub(super) struct MergedRows {
    table: &'static Table,
    pieces: Vec<Piece>,
    /// Place of the piece of each row, and which of its rows it is.
    rows: Vec<(usize, usize)>,
}

impl MergedRows {
    /// The rows of the host that has a row, and which of them it is.
    fn piece(&self, row: usize) -> Option<(&Piece, usize)> {
        let (piece, row) = *self.rows.get(row)?;
        Some((self.pieces.get(piece)?, row))
    }
}

impl Rows for MergedRows {
    fn table(&self) -> &Table {
        self.table
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let Some((piece, row)) = self.piece(row) else { return Cell::Missing };
        if column + 1 >= self.table.columns.len() {
            return if column < self.table.columns.len() { Cell::Text(&piece.host) } else { Cell::Missing };
        }
        match piece.sample.rows.cell(row, column) {
            Cell::Timestamp(time) if self.table.columns.get(column).is_some_and(|one| one.kind != Kind::Id) => {
                Cell::Timestamp(Timestamp(time.0.saturating_sub(piece.ahead)))
            }
            cell => cell,
        }
    }

    fn taken(&self, row: usize) -> Option<Mono> {
        Some(self.piece(row)?.0.sample.mono)
    }

    fn bytes(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(|piece| piece.sample.rows.bytes() + size_of::<Piece>()).sum();
        pieces + size_of_val(&*self.rows)
    }
}

/// What all hosts have told of one table: by their numbers.
pub(super) type Parts = BTreeMap<u64, Part>;

/// A host that tells a table.
struct Told<'a> {
    host: &'a HostRow,
    now: &'a Sample,
    before: Option<&'a Sample>,
    ranked: &'a [Ranked],
}

/// The merged table, of the hosts that live, with how many of them tell it and why the others do not. A host that has told
/// `limit` rows may have more; `first` says which rows of all are enough, if not all are wanted.
pub(super) fn merge(
    pair: &Pair,
    hosts: &[Arc<HostRow>],
    parts: &mut Parts,
    limit: usize,
    first: Option<&Query>,
) -> TableState {
    for host in hosts {
        if let Some((query, part)) = first.zip(parts.get_mut(&host.id)) {
            part.rank(pair.table, host, query);
        }
    }
    let (mut asked, mut lost, mut without, mut waiting) = (0, 0, 0, 0);
    let mut told = Vec::new();
    for host in hosts {
        match (host.own.state, parts.get(&host.id)) {
            (Link::Duplicate | Link::Wrong, _) => continue,
            (Link::Live, Some(Part { now: Some(now), before, ranked, .. })) => {
                let ranked = ranked.as_deref().unwrap_or_default();
                told.push(Told { host, now, before: before.as_ref(), ranked });
            }
            (Link::Live, Some(part)) if part.state != State::Ok => without += 1,
            (Link::Live, _) => waiting += 1,
            _ => lost += 1,
        }
        asked += 1;
    }
    let (now, before, all) = match first {
        Some(query) => first_of(pair, &told, query),
        None => every_of(&told),
    };
    let mut shown = vec![0; told.len()];
    for (at, _) in &now {
        if let Some(count) = shown.get_mut(*at) {
            *count += 1;
        }
    }
    // a host that has told a whole page, all of which is shown, may have more to show, unless there is no room for it
    let is_full = |shown: usize| first.and_then(|first| first.limit).is_some_and(|limit| shown >= limit);
    let has_more = |(told, shown): (&Told<'_>, &usize)| {
        told.now.rows.len() >= limit && *shown >= told.ranked.len() && !is_full(*shown)
    };
    let each = told.iter().zip(&shown).any(has_more).then(|| format!("the first {limit} of each"));
    let cut = (all > now.len()).then(|| format!("the first {}", now.len())).into_iter().chain(each);
    let why = [(lost, "not live"), (without, "without it"), (waiting, "not heard of yet")];
    let why = why.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}"));
    let why: Vec<String> = why.chain(cut).collect();
    let status = if why.is_empty() {
        Status::ok()
    } else {
        let reason = format!("{} of {asked} hosts: {}", told.len(), why.join(", "));
        Status { reason: Text::from(reason), ..Status::ok() }
    };
    let (time, mono) = (Timestamp::now(), Mono::now());
    let pieces = |of: fn(&Told<'_>) -> Piece| told.iter().map(of).collect();
    let rows = |pieces, rows| -> Arc<dyn Rows> { Arc::new(MergedRows { table: pair.table, pieces, rows }) };
    let now = rows(pieces(|told| Piece::new(told.host, told.now)), now);
    // who has told nothing before has no row in that
    let before = rows(pieces(|told| Piece::new(told.host, told.before.unwrap_or(told.now))), before);
    TableState {
        table: pair.table,
        now: (waiting == 0 || !told.is_empty()).then_some(Sample { rows: now, time, mono }),
        // each row has its own times: this one only comes before the other
        before: Some(Sample { rows: before, time, mono: Mono(mono.0.saturating_sub(1)) }),
        status,
    }
}

/// Rows by the places of their pieces.
type Places = Vec<(usize, usize)>;

/// Every row now and before, and how many there are now.
fn every_of(told: &[Told<'_>]) -> (Places, Places, usize) {
    let all = |rows: &dyn Fn(&Told<'_>) -> usize| -> Places {
        told.iter().enumerate().flat_map(|(at, told)| (0..rows(told)).map(move |row| (at, row))).collect()
    };
    let now = all(&|told| told.now.rows.len());
    let count = now.len();
    (now, all(&|told| told.before.map_or(0, |before| before.rows.len())), count)
}

/// A row that may be one of the first.
struct Candidate<'a> {
    /// Place of its piece.
    at: usize,
    told: &'a Told<'a>,
    ranked: &'a Ranked,
}

/// The first rows of one host.
fn candidates<'a>(told: &'a [Told<'a>], at: usize, rows: usize) -> impl Iterator<Item = Candidate<'a>> {
    let told = told.get(at);
    let rows = told.into_iter().flat_map(move |told| told.ranked.iter().take(rows).map(move |ranked| (told, ranked)));
    rows.map(move |(told, ranked)| Candidate { at, told, ranked })
}

/// The first rows of all, the same ones before, and of how many they are the first.
fn first_of(pair: &Pair, told: &[Told<'_>], query: &Query) -> (Places, Places, usize) {
    let ids: Vec<usize> = pair.own.ids().collect();
    // wherever rows are shown their Ids decide where their values are the same, and that of the host is the last
    let ties = |a: &Candidate<'_>, b: &Candidate<'_>| {
        let (rows, others) = (&a.told.now.rows, &b.told.now.rows);
        let mut own = ids.iter().map(|id| order::ids(&rows.cell(a.ranked.row, *id), &others.cell(b.ranked.row, *id)));
        own.find(|order| order.is_ne()).unwrap_or_else(|| natural(&a.told.host.own.host, &b.told.host.own.host))
    };
    let compare = |a: &Candidate<'_>, b: &Candidate<'_>| {
        let columns = query.sort.iter().zip(a.ranked.by.iter().zip(&b.ranked.by));
        let mut by = columns.map(|(by, (a, b))| directed(pair.table, *by, &a.as_cell(), &b.as_cell()));
        by.find(|order| order.is_ne()).unwrap_or_else(|| ties(a, b))
    };
    let limit = query.limit.unwrap_or(usize::MAX);
    let cut = |all: &mut Vec<Candidate<'_>>| {
        if limit < all.len() {
            all.select_nth_unstable_by(limit, compare);
            all.truncate(limit);
        }
    };
    // each host's are in order: whose first row is not among those has none
    let mut heads: Vec<Candidate<'_>> = (0..told.len()).flat_map(|at| candidates(told, at, 1)).collect();
    cut(&mut heads);
    let mut all = heads.iter().flat_map(|head| candidates(told, head.at, limit)).collect();
    cut(&mut all);
    let count = told.iter().map(|told| told.ranked.len()).sum();
    let now = all.iter().map(|one| (one.at, one.ranked.row)).collect();
    let before = all.iter().filter_map(|one| Some((one.at, one.ranked.before?))).collect();
    (now, before, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::Entry;
    use crate::collect::disk::DiskRow;
    use crate::model::testing::Made;
    use crate::store::expr::Filter;
    use crate::store::query::Order;

    #[test]
    fn every_table_keeps_its_columns_and_gets_one_for_the_host() {
        assert!(pairs().len() > 20);
        for Pair { own, table } in pairs() {
            assert_eq!(own.position(HOST), None, "{}", own.name);
            assert_eq!(table.columns.len(), own.columns.len() + 1);
            let names = own.columns.iter().zip(table.columns.iter());
            assert!(names.clone().all(|(own, merged)| own.name == merged.name));
            assert_eq!((by(own), by(table)), (None, Some(own.columns.len())));
            // what is one row of a host is known by the host
            let label = if own.ids().next().is_some() || own.columns.iter().any(|column| column.attrs.label) {
                own.label_column()
            } else {
                own.columns.len()
            };
            assert_eq!(table.label_column(), label, "{}", own.name);
        }
    }

    fn disks(bytes: u64) -> Arc<dyn Rows> {
        let cell = |name: &str| match name {
            "name" => Value::Text("sda".into()),
            "major" | "minor" => Value::U64(8),
            "read_bytes" => Value::U64(bytes),
            _ => Value::Missing,
        };
        let cells = DiskRow::TABLE.columns.iter().map(|column| cell(&column.name)).collect();
        Arc::new(Made { table: DiskRow::TABLE, cells: vec![cells] })
    }

    fn part(seconds: u64, began: u64) -> Part {
        let sample = |bytes, at: u64| Sample { rows: disks(bytes), time: Timestamp(0), mono: Mono(at * 1_000_000_000) };
        let (before, now) = (sample(1000, began), sample(7000, began + seconds));
        Part { now: Some(now), before: Some(before), state: State::Ok, ranked: None }
    }

    /// A host whose number is the place of its name in the alphabet.
    fn host(name: &str, state: Link) -> Arc<HostRow> {
        let entry = Entry { name: name.into(), ..Entry::of("h".parse().unwrap()) };
        let mut row = HostRow::new(u64::from(name.as_bytes()[0] - b'a'), &entry);
        row.own.state = state;
        Arc::new(row)
    }

    #[test]
    fn rates_span_the_interval_of_each_host_and_a_dead_one_is_counted() {
        let pair = pairs().iter().find(|pair| pair.own.name == "disk").unwrap();
        let hosts = [host("a", Link::Live), host("b", Link::Live), host("c", Link::Unreachable), host("d", Link::Live)];
        let absent = Part::refused();
        let mut parts: Parts = [part(1, 5000), part(3, 10), part(1, 10), absent]
            .into_iter()
            .zip(0..)
            .map(|(part, id)| (id, part))
            .collect();
        let state = merge(pair, &hosts, &mut parts, 50, None);
        assert_eq!(state.status.reason.as_str(), "2 of 4 hosts: 1 not live, 1 without it");
        let view = View::new(&state.now.unwrap(), state.before.as_ref(), Mode::Rate);
        let (by, bytes) = (by(pair.table).unwrap(), pair.table.position("read_bytes").unwrap());
        let told: Vec<_> = (0..view.len()).map(|row| (view.cell(row, by), view.cell(row, bytes).number())).collect();
        assert_eq!(told, [(Cell::Text("a"), Some(6000.0)), (Cell::Text("b"), Some(2000.0))]);
        assert_eq!(parts[&1].find(view.raw(), 1), Some(Key::of(&*disks(0), 0)));
        // a whole page may not be all
        assert_eq!(
            merge(pair, &hosts[..2], &mut parts, 1, None).status.reason.as_str(),
            "2 of 2 hosts: the first 1 of each"
        );
        assert_eq!(merge(pair, &hosts[..2], &mut parts, 50, None).status, Status::ok());
    }

    #[test]
    fn a_row_that_a_host_tells_for_the_first_time_has_no_rate() {
        let pair = pairs().iter().find(|pair| pair.own.name == "disk").unwrap();
        let new = Part { before: None, ..part(1, 10) };
        let mut parts: Parts = [part(1, 5000), new].into_iter().zip(0..).map(|(part, id)| (id, part)).collect();
        let state = merge(pair, &[host("a", Link::Live), host("b", Link::Live)], &mut parts, 50, None);
        let view = View::new(&state.now.unwrap(), state.before.as_ref(), Mode::Rate);
        let bytes = pair.table.position("read_bytes").unwrap();
        assert!(!view.unknown(0, bytes) && view.unknown(1, bytes));
    }

    /// Disks of a host that has read so many bytes on each in a second.
    fn busy(reads: &[u64]) -> Part {
        let sample = |grown: &dyn Fn(u64) -> u64, at: u64| {
            let cells = reads.iter().enumerate().map(|(minor, read)| {
                let cell = |name: &str| match name {
                    "name" => Value::Text(format!("sd{minor}").as_str().into()),
                    "major" => Value::U64(8),
                    "minor" => Value::U64(minor as u64),
                    "read_bytes" => Value::U64(grown(*read)),
                    _ => Value::Missing,
                };
                DiskRow::TABLE.columns.iter().map(|column| cell(&column.name)).collect()
            });
            let rows = Arc::new(Made { table: DiskRow::TABLE, cells: cells.collect() });
            Sample { rows, time: Timestamp(0), mono: Mono(at * 1_000_000_000) }
        };
        Part { now: Some(sample(&|read| read + 7, 2)), before: Some(sample(&|_| 7, 1)), state: State::Ok, ranked: None }
    }

    #[test]
    fn the_first_rows_of_all_are_those_that_come_first_among_all() {
        let pair = pairs().iter().find(|pair| pair.own.name == "disk").unwrap();
        let (read, by) = (pair.table.position("read_bytes").unwrap(), by(pair.table).unwrap());
        let hosts = ["a", "b", "c"].map(|name| host(name, Link::Live));
        let parts = || -> Parts {
            let all = [busy(&[5, 0, 9, 9, 1]), busy(&[9, 0, 0, 700]), busy(&[0, 0, 0, 0, 0, 0, 2])];
            all.into_iter().zip(0..).map(|(part, id)| (id, part)).collect()
        };
        let keys = |state: &TableState, query: &Query| -> Vec<Key> {
            let view = View::new(state.now.as_ref().unwrap(), state.before.as_ref(), Mode::Rate);
            assert!((0..view.len()).all(|row| !view.unknown(row, read)), "rates need the rows before");
            run(&view, query).into_iter().map(|row| view.key(row)).collect()
        };
        let (most, least, named) = ((read, Order::Descending), (read, Order::Ascending), (by, Order::Descending));
        for sort in [vec![most], vec![least], vec![named, least], Vec::new()] {
            for text in [None, Some("host in (\"a\", \"c\")"), Some("read_bytes > 1"), Some("b")] {
                let filter = text.map(|text| Filter::parse_prompt(text, pair.table).unwrap());
                for limit in [0, 1, 4, 9, 16, 20] {
                    let query = Query { filter: filter.clone(), sort: sort.clone(), limit: Some(limit) };
                    let all = merge(pair, &hosts, &mut parts(), 50, None);
                    let cut = merge(pair, &hosts, &mut parts(), 50, Some(&query));
                    assert_eq!(keys(&cut, &query), keys(&all, &query), "{text:?} {sort:?} {limit}");
                    assert_eq!(cut.now.as_ref().unwrap().rows.len(), keys(&all, &query).len());
                }
            }
        }
        let query = Query { filter: None, sort: vec![most], limit: Some(3) };
        let mut parts = parts();
        assert_eq!(
            merge(pair, &hosts, &mut parts, 50, Some(&query)).status.reason.as_str(),
            "3 of 3 hosts: the first 3"
        );
        // of a host that has told no more than it was asked for there may be others
        for (limit, told) in [(4, "the first 3"), (2, "the first 3, the first 2 of each")] {
            let rows = [[99, 98, 1], [9, 8, 7], [9, 8, 7]];
            let parts = rows.iter().map(|rows| busy(&rows[..limit.min(3)]));
            let mut parts: Parts = parts.zip(0..).map(|(part, id)| (id, part)).collect();
            let status = merge(pair, &hosts, &mut parts, limit, Some(&query)).status;
            assert_eq!(status.reason.as_str(), format!("3 of 3 hosts: {told}"));
        }
        // in another order others are the first
        let query = Query { sort: vec![least], ..query };
        parts.values_mut().for_each(Part::forget_order);
        let cut = merge(pair, &hosts, &mut parts, 50, Some(&query));
        assert_eq!(keys(&cut, &query), keys(&merge(pair, &hosts, &mut parts, 50, None), &query));
    }
}
