//! What have hosts in common?
//!
//! A table for each thing by which hosts are grouped, with a row for each of its values: how many hosts have it, how many of
//! them live, their levels added up, and what summarizes them, the worst host's number or the sum as the schema says. They
//! are made of the rows of the table of hosts while somebody looks at them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::table::{FleetRow, HostRow, Link, described, summaries};
use crate::model::{Cell, Column, Fold, Mono, Row as _, Rows, Sample, Status, Table, TableState, Text, Timestamp};
use crate::store::expr::literal;
use crate::table;

table! {
    /// Hosts that have something in common.
    ///
    /// A host that is in several groups counts in each of them; those in none are together, without a name.
    ///
    /// Source: the table `fleet`.
    pub struct GroupRow = "fleet_by_group" { title: Some("By group"), demand: true } {
        /// What the hosts have in common.
        Id(None) value: Option<Text> { title: Some("hosts with"), label: true },
        /// How many they are.
        Gauge(None) hosts: u64,
        /// How many of them live.
        Gauge(None) live: u64,
        /// Values of theirs that are critical.
        Gauge(None) critical: u64 { title: Some("crit") },
        /// Values of theirs that are a warning.
        Gauge(None) warning: u64 { title: Some("warn") },
        /// Values of theirs that deserve a look.
        Gauge(None) careful: u64 { title: Some("care"), wide: true },
        /// The host that is worst off.
        Text(None) worst: Text { last: true },
    }
}

/// One way to group hosts.
struct By {
    name: &'static str,
    title: &'static str,
    /// The values that a host has; `None` is that it has none.
    values: fn(&FleetRow) -> Vec<Option<Text>>,
    /// The expression that keeps the hosts with a value.
    filter: fn(Option<&str>) -> String,
}

/// Between the groups of a host; no group has it in its name.
pub(super) const BETWEEN: &str = ", ";

static WAYS: &[By] = &[
    By {
        name: "fleet_by_group",
        title: "By group",
        values: |row| match row.groups.as_str() {
            "" => vec![None],
            groups => groups.split(BETWEEN).map(|group| Some(Text::from(group))).collect(),
        },
        filter: |value| match value {
            None => "groups == \"\"".to_owned(),
            Some(value) => format!("groups =~ \"(^|, ){}(, |$)\"", literal(value)),
        },
    },
    By {
        name: "fleet_by_state",
        title: "By state",
        values: |row| vec![Some(Text::from(row.state.name()))],
        filter: |value| value.map_or_else(|| "missing(state)".to_owned(), |value| format!("state == {value}")),
    },
    By {
        name: "fleet_by_version",
        title: "By version",
        values: |row| vec![row.version.clone()],
        filter: |value| match value {
            None => "missing(version)".to_owned(),
            Some(value) => format!("version =~ \"^{}$\"", literal(value)),
        },
    },
];

/// The tables of groups.
pub(super) fn tables() -> &'static [&'static Table] {
    static TABLES: LazyLock<Vec<&'static Table>> = LazyLock::new(|| {
        let made = |by: &By| -> &'static Table {
            let mut columns: Vec<Column> = GroupRow::TABLE.columns.to_vec();
            columns.extend(summaries().iter().filter_map(described));
            let mut attrs = GroupRow::TABLE.attrs;
            attrs.title = Some(by.title);
            let help = GroupRow::TABLE.help.clone();
            Box::leak(Box::new(Table { name: Cow::Borrowed(by.name), help, columns: Cow::Owned(columns), attrs }))
        };
        WAYS.iter().map(made).collect()
    });
    &TABLES
}

/// Whether a table is one of groups.
pub fn is_group(table: &str) -> bool {
    WAYS.iter().any(|by| by.name == table)
}

/// The next way to look at hosts, behind a table: one by one, then grouped, and round again.
pub fn after(table: &str) -> &'static str {
    let next = WAYS.iter().position(|by| by.name == table).map_or(0, |at| at + 1);
    WAYS.get(next).map_or(&*FleetRow::TABLE.name, |by| by.name)
}

/// The filter of the table of hosts that keeps those of a group; without a value those that have none.
pub fn within(table: &str, value: Option<&str>) -> Option<String> {
    Some((WAYS.iter().find(|by| by.name == table)?.filter)(value))
}

/// One group.
struct Group {
    own: GroupRow,
    cells: Box<[Option<f64>]>,
    /// Levels of the worst host.
    worst: [u64; 3],
}

struct GroupRows {
    table: &'static Table,
    groups: Vec<Group>,
}

impl Rows for GroupRows {
    fn table(&self) -> &Table {
        self.table
    }

    fn len(&self) -> usize {
        self.groups.len()
    }

    fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let Some(group) = self.groups.get(row) else { return Cell::Missing };
        match column.checked_sub(GroupRow::TABLE.columns.len()) {
            None => group.own.cell(column),
            Some(at) => group.cells.get(at).copied().flatten().map_or(Cell::Missing, Cell::F64),
        }
    }
}

/// A table of groups, made of hosts.
pub(super) fn group(table: &'static Table, hosts: &[Arc<HostRow>], before: Option<Sample>) -> Option<TableState> {
    let by = WAYS.iter().find(|by| by.name == table.name)?;
    let mut groups: BTreeMap<Option<Text>, Group> = BTreeMap::new();
    for host in hosts {
        for value in (by.values)(&host.own) {
            groups.entry(value.clone()).or_insert_with(|| Group::new(value)).add(host);
        }
    }
    let rows = GroupRows { table, groups: groups.into_values().collect() };
    let now = Some(Sample { rows: Arc::new(rows), time: Timestamp::now(), mono: Mono::now() });
    Some(TableState { table, now, before, status: Status::ok() })
}

impl Group {
    fn new(value: Option<Text>) -> Self {
        let worst = Text::default();
        let own = GroupRow { value, hosts: 0, live: 0, critical: 0, warning: 0, careful: 0, worst };
        Self { own, cells: vec![None; summaries().len()].into(), worst: [0; 3] }
    }

    fn add(&mut self, host: &HostRow) {
        let levels = [host.own.critical, host.own.warning, host.own.careful];
        if self.own.hosts == 0 || levels > self.worst {
            (self.worst, self.own.worst) = (levels, host.own.host.clone());
        }
        self.own.hosts += 1;
        self.own.live += u64::from(host.own.state == Link::Live);
        self.own.critical += levels[0];
        self.own.warning += levels[1];
        self.own.careful += levels[2];
        for ((sum, one), summary) in self.cells.iter_mut().zip(&host.cells).zip(summaries()) {
            let Some(one) = *one else { continue };
            let so_far = *sum;
            *sum = Some(so_far.map_or(one, |sum| match summary.fold {
                Fold::Sum => sum + one,
                Fold::Min => sum.min(one),
                Fold::Max | Fold::All => sum.max(one),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::Entry;
    use crate::store::expr::Filter;
    use crate::store::rate::{Mode, View};

    fn host(name: &str, groups: &str, state: Link, critical: u64, load: Option<f64>) -> Arc<HostRow> {
        let entry = Entry { name: name.into(), ..Entry::of("h".parse().unwrap()) };
        let mut row = HostRow::new(0, &entry);
        (row.own.state, row.own.critical, row.own.groups) = (state, critical, groups.into());
        row.cells[0] = load;
        Arc::new(row)
    }

    #[test]
    fn a_host_counts_in_each_of_its_groups_and_a_group_leads_to_its_hosts() {
        let strange = "ra.k\"\\ (3)";
        let hosts = [
            host("a", &format!("prod, {strange}"), Link::Live, 1, Some(0.5)),
            host("b", "prod", Link::Stale, 2, Some(0.25)),
            host("c", "", Link::Unreachable, 0, None),
            host("d", "none", Link::Live, 0, None),
        ];
        for (table, want) in tables().iter().zip([
            vec![(None, "c"), (Some("none"), "d"), (Some("prod"), "ab"), (Some(strange), "a")],
            vec![(Some("live"), "ad"), (Some("stale"), "b"), (Some("unreachable"), "c")],
            vec![(None, "abcd")],
        ]) {
            let state = group(table, &hosts, None).unwrap();
            let rows = state.now.unwrap().rows;
            let mut told: Vec<_> = (0..rows.len()).map(|row| rows.cell(row, 0)).collect();
            let mut want: Vec<(Option<&str>, &str)> = want;
            want.sort_unstable();
            told.sort_unstable_by_key(|cell| cell.text().map(str::to_owned));
            let names: Vec<Option<&str>> = told.iter().map(Cell::text).collect();
            assert_eq!(names, want.iter().map(|(value, _)| *value).collect::<Vec<_>>(), "{}", table.name);
            let fleet = Arc::new(super::super::table::FleetRows(hosts.to_vec()));
            let sample = Sample { rows: fleet, time: Timestamp(0), mono: Mono(0) };
            let view = View::new(&sample, None, Mode::Rate);
            for (value, members) in want {
                let text = within(&table.name, value).unwrap();
                let filter = Filter::parse(&text, view.table()).unwrap_or_else(|error| panic!("{text}: {error}"));
                let kept = (0..hosts.len()).filter(|row| filter.keeps(&view.scope(*row)));
                let kept: String = kept.map(|row| view.cell(row, 0).text().unwrap().to_owned()).collect();
                assert_eq!(kept, members, "{text}");
            }
        }
        let state = group(tables()[0], &hosts, None).unwrap();
        let rows = state.now.unwrap().rows;
        let prod = (0..rows.len()).find(|row| rows.cell(*row, 0).text() == Some("prod")).unwrap();
        let number = |name: &str| rows.cell(prod, rows.table().position(name).unwrap()).number();
        assert_eq!((number("hosts"), number("live"), number("critical")), (Some(2.0), Some(1.0), Some(3.0)));
        assert_eq!(rows.cell(prod, GroupRow::TABLE.columns.len()).number(), Some(0.5), "the worst of the hosts");
        assert_eq!(rows.cell(prod, GroupRow::TABLE.position("worst").unwrap()).text(), Some("b"));
    }

    #[test]
    fn the_ways_to_group_follow_each_other_and_lead_back() {
        let ways: Vec<&str> = std::iter::successors(Some(after("fleet")), |table| Some(after(table))).take(4).collect();
        assert_eq!(ways, ["fleet_by_group", "fleet_by_state", "fleet_by_version", "fleet"]);
        assert_eq!(within("fleet", Some("x")), None);
    }
}
