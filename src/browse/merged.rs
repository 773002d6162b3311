//! How do the rows of many hosts become one table?
//!
//! Every table that a host is asked for has a second schema with the Id `host` behind its own columns, which keep their
//! places. The rows are those that the hosts have told, not copied: each remembers when its host took it, so that its rates
//! span that host's interval and no other. Instants are moved by what the clock of the host is off. A host that does not
//! live has no rows here, and is counted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::table::{HostRow, Link};
use crate::collect::schedule;
use crate::model::{
    Attrs, Cell, Column, History, Key, Kind, Mono, Rows, Sample, Shape, Snapshot, State, Status, Table, TableAttrs,
    TableState, Text, Timestamp, Type, Unit,
};

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
    let named = table.columns.get(last).is_some_and(|column| column.kind == Kind::Id && column.name == HOST);
    let pair = pairs().iter().find(|pair| pair.table.name == table.name)?;
    (named && pair.table.columns.len() == table.columns.len()).then_some(last)
}

/// What one host has told of a table.
#[derive(Clone)]
pub(super) struct Part {
    now: Option<Sample>,
    before: Option<Sample>,
    state: State,
}

impl Part {
    /// What a snapshot has of a table.
    pub(super) fn of(snapshot: &Snapshot, table: &str) -> Option<Self> {
        let known = snapshot.get(table)?;
        Some(Self { now: known.now.clone(), before: known.before.clone(), state: known.status.state })
    }

    /// A host that does not tell it.
    pub(super) fn refused() -> Self {
        Self { now: None, before: None, state: State::Absent }
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
    /// The first of them among all.
    first: usize,
}

/// Rows of many hosts.
pub(super) struct MergedRows {
    table: &'static Table,
    pieces: Vec<Piece>,
    len: usize,
}

impl MergedRows {
    fn new(table: &'static Table, samples: impl Iterator<Item = (Text, Sample, i64)>) -> Self {
        let (mut pieces, mut len) = (Vec::new(), 0);
        for (host, sample, ahead) in samples {
            let first = len;
            len += sample.rows.len();
            pieces.push(Piece { host, sample, ahead, first });
        }
        Self { table, pieces, len }
    }

    /// The rows of the host that has a row, and which of them it is.
    fn piece(&self, row: usize) -> Option<(&Piece, usize)> {
        let at = self.pieces.partition_point(|piece| piece.first <= row).checked_sub(1)?;
        let piece = self.pieces.get(at)?;
        Some((piece, row - piece.first))
    }
}

impl Rows for MergedRows {
    fn table(&self) -> &Table {
        self.table
    }

    fn len(&self) -> usize {
        self.len
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let Some((piece, row)) = self.piece(row).filter(|_| row < self.len) else { return Cell::Missing };
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
        self.pieces.iter().map(|piece| piece.sample.rows.bytes() + size_of::<Piece>()).sum()
    }
}

/// What all hosts have told of one table: by their numbers.
pub(super) type Parts = BTreeMap<u64, Part>;

/// The merged table, of the hosts that live, with how many of them tell it and why the others do not. A host that has told
/// `limit` rows may have more.
pub(super) fn merge(pair: &Pair, hosts: &[Arc<HostRow>], parts: &Parts, limit: usize) -> TableState {
    let (mut asked, mut lost, mut without, mut waiting, mut cut) = (0, 0, 0, 0, false);
    let mut told: Vec<(&HostRow, &Part, &Sample)> = Vec::new();
    for host in hosts {
        match (host.own.state, parts.get(&host.id)) {
            (Link::Duplicate | Link::Wrong, _) => continue,
            (Link::Live, Some(part @ Part { now: Some(now), .. })) => {
                cut |= now.rows.len() >= limit;
                told.push((host, part, now));
            }
            (Link::Live, Some(part)) if part.state != State::Ok => without += 1,
            (Link::Live, _) => waiting += 1,
            _ => lost += 1,
        }
        asked += 1;
    }
    let ahead = |host: &HostRow| {
        let nanoseconds = host.own.skew.map_or(0, |skew| (skew * 1e9) as i64);
        if nanoseconds.unsigned_abs() > OFF { nanoseconds } else { 0 }
    };
    let name = |host: &HostRow| host.own.host.clone();
    let now = told.iter().map(|(host, _, now)| (name(host), Sample::clone(now), ahead(host)));
    let now: Arc<dyn Rows> = Arc::new(MergedRows::new(pair.table, now));
    let before = told.iter().filter_map(|(host, part, _)| Some((name(host), part.before.clone()?, ahead(host))));
    let before: Arc<dyn Rows> = Arc::new(MergedRows::new(pair.table, before));
    let (time, mono) = (Timestamp::now(), Mono::now());
    let why = [(lost, "not live"), (without, "without it"), (waiting, "not heard of yet")];
    let why = why.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}"));
    let why: Vec<String> = why.chain(cut.then(|| format!("the first {limit} of each"))).collect();
    let status = if why.is_empty() {
        Status::ok()
    } else {
        let reason = format!("{} of {asked} hosts: {}", told.len(), why.join(", "));
        Status { reason: Text::from(reason), ..Status::ok() }
    };
    TableState {
        table: pair.table,
        now: (waiting == 0 || !told.is_empty()).then_some(Sample { rows: now, time, mono }),
        // each row has its own times: this one only comes before the other
        before: Some(Sample { rows: before, time, mono: Mono(mono.0.saturating_sub(1)) }),
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::Entry;
    use crate::collect::disk::DiskRow;
    use crate::model::Value;
    use crate::model::testing::Made;
    use crate::store::rate::{Mode, View};

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
        Part { now: Some(now), before: Some(before), state: State::Ok }
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
        let absent = Part { now: None, before: None, state: State::Absent };
        let parts: Parts = [part(1, 5000), part(3, 10), part(1, 10), absent]
            .into_iter()
            .zip(0..)
            .map(|(part, id)| (id, part))
            .collect();
        let state = merge(pair, &hosts, &parts, 50);
        assert_eq!(state.status.reason.as_str(), "2 of 4 hosts: 1 not live, 1 without it");
        let view = View::new(&state.now.unwrap(), state.before.as_ref(), Mode::Rate);
        let (by, bytes) = (by(pair.table).unwrap(), pair.table.position("read_bytes").unwrap());
        let told: Vec<_> = (0..view.len()).map(|row| (view.cell(row, by), view.cell(row, bytes).number())).collect();
        assert_eq!(told, [(Cell::Text("a"), Some(6000.0)), (Cell::Text("b"), Some(2000.0))]);
        assert_eq!(parts[&1].find(view.raw(), 1), Some(Key::of(&*disks(0), 0)));
        // a whole page may not be all
        assert_eq!(merge(pair, &hosts[..2], &parts, 1).status.reason.as_str(), "2 of 2 hosts: the first 1 of each");
        assert_eq!(merge(pair, &hosts[..2], &parts, 50).status, Status::ok());
    }

    #[test]
    fn a_row_that_a_host_tells_for_the_first_time_has_no_rate() {
        let pair = pairs().iter().find(|pair| pair.own.name == "disk").unwrap();
        let new = Part { before: None, ..part(1, 10) };
        let parts: Parts = [part(1, 5000), new].into_iter().zip(0..).map(|(part, id)| (id, part)).collect();
        let state = merge(pair, &[host("a", Link::Live), host("b", Link::Live)], &parts, 50);
        let view = View::new(&state.now.unwrap(), state.before.as_ref(), Mode::Rate);
        let bytes = pair.table.position("read_bytes").unwrap();
        assert!(!view.unknown(0, bytes) && view.unknown(1, bytes));
    }
}
