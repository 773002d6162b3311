//! What must be collected so that a question can be answered?
//!
//! Columns that cost extra are collected only while somebody names them, and some tables only for Ids that the filter
//! gives.

use crate::collect::MAX_IDS;
use crate::model::{Column, Demand, Kind, Table, Top, Value};

use super::expr::Filter;
use super::query::{Order, Query};
use super::rate::Mode;

/// Why a question does not say enough.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// The filter does not tell the rows.
    #[error("table {table} is collected only where the filter says which `{column}`")]
    Which {
        /// Table.
        table: String,
        /// The Id that must be given.
        column: String,
    },
    /// The filter tells too many.
    #[error("the filter names more than {MAX_IDS} of `{column}`")]
    TooMany {
        /// The Id.
        column: String,
    },
}

impl WantedError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Which { column, .. } => format!("write '{column} == ...'"),
            Self::TooMany { .. } => "ask for them one after the other".to_owned(),
        }
    }
}

/// What a reader of some named columns of a table with this query must demand: at least one demand for the table. Counters are
/// put in order as `mode` has them.
///
/// # Errors
/// [`WantedError`].
pub fn demands(table: &Table, named: &[usize], query: &Query, mode: Mode) -> Result<Vec<Demand>, WantedError> {
    let filtered = query.filter.as_ref().map_or(&[][..], Filter::columns);
    let sorted = query.sort.iter().map(|(column, _)| *column);
    let mut wanted: Vec<usize> = named.iter().chain(filtered).copied().chain(sorted).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let costly = wanted.iter().filter_map(|i| table.columns.get(*i)).filter(|column| column.attrs.demand);
    let columns: Vec<String> = costly.map(|column| column.name.to_string()).collect();
    let only = only(table, query.filter.as_ref());
    // a filter may keep what is none of the first
    let rows = query.limit.filter(|_| query.filter.is_none()).unwrap_or(0);
    let top = top(table, &query.sort, rows, mode);
    let demand = |ids| {
        let (columns, only, top) = (columns.clone(), only.clone(), top.clone());
        Demand { columns, ids, top, only, ..Demand::table(&table.name) }
    };
    Ok(ids(table, query.filter.as_ref())?.into_iter().map(demand).collect())
}

/// Values of columns outside which a filter keeps no row, of a table that is collected on demand.
pub fn only(table: &Table, filter: Option<&Filter>) -> Vec<(String, Vec<Value>)> {
    let columns = table.columns.iter().enumerate().filter(|(_, column)| table.attrs.demand && !column.attrs.required);
    let values = |(at, column): (usize, &Column)| Some((column.name.to_string(), filter?.values(at)?));
    columns.filter_map(values).collect()
}

/// The first so many rows in an order, 0 for all, of a table that is collected on demand.
pub fn top(table: &Table, sort: &[(usize, Order)], rows: usize, mode: Mode) -> Option<Top> {
    let name = |(at, order): &(usize, Order)| {
        let column = table.columns.get(*at)?;
        let is_total = mode == Mode::Total && column.kind == Kind::Counter;
        let name = if is_total { format!("total({})", column.name) } else { column.name.to_string() };
        Some((name, *order == Order::Descending))
    };
    let sort: Vec<_> = sort.iter().filter_map(name).collect();
    (table.attrs.demand && !sort.is_empty()).then(|| Top { sort, rows, ..Top::default() })
}

/// Values of the required Ids that the filter names: one list for each row group to collect, and one empty list for a table
/// that requires none.
///
/// # Errors
/// [`WantedError`].
pub fn ids(table: &Table, filter: Option<&Filter>) -> Result<Vec<Vec<Value>>, WantedError> {
    let mut all = vec![Vec::new()];
    for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| column.attrs.required) {
        let name = || column.name.to_string();
        let values = filter.and_then(|filter| filter.values(at));
        let values = values.ok_or_else(|| WantedError::Which { table: table.name.to_string(), column: name() })?;
        if all.len().saturating_mul(values.len()) > MAX_IDS {
            return Err(WantedError::TooMany { column: name() });
        }
        let longer = |ids: &Vec<Value>| {
            let ids = ids.clone();
            values.iter().map(move |value| ids.iter().cloned().chain([value.clone()]).collect()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::{Batch, COLLECTORS, Cx, Wants, schedule};
    use crate::model::{Mono, Owners, Timestamp};
    use crate::source::file::Roots;

    fn asked(table: &str, filter: &str) -> Result<Vec<Demand>, WantedError> {
        let table = schedule::tables().iter().find(|known| known.name == table).unwrap();
        let filter = (!filter.is_empty()).then(|| Filter::parse(filter, table).unwrap());
        demands(table, &[], &Query { filter, ..Query::default() }, Mode::Rate)
    }

    #[test]
    fn a_table_of_chosen_rows_wants_them_named() {
        let ids: Vec<Vec<Value>> =
            asked("process_file", "pid in (1, 2)").unwrap().into_iter().map(|demand| demand.ids).collect();
        assert_eq!(ids, [vec![Value::U64(1)], vec![Value::U64(2)]]);
        let error = asked("process_file", "").unwrap_err();
        assert_eq!(error.hint(), "write 'pid == ...'");
        let many: Vec<String> = (0..=MAX_IDS).map(|pid| pid.to_string()).collect();
        let error = asked("process_file", &format!("pid in ({})", many.join(", "))).unwrap_err();
        assert_eq!(error, WantedError::TooMany { column: "pid".to_owned() });
    }

    #[test]
    fn root_what_a_collector_says_to_write_is_an_expression_that_names_enough() {
        let roots = Roots::live();
        let requires = |table: &Table| table.columns.iter().any(|column| column.attrs.required);
        for entry in COLLECTORS {
            for table in entry.tables.iter().filter(|table| requires(table)) {
                let (wants, owners) = (Wants::union(&[Demand::table(&table.name)]), Owners::default());
                let cx =
                    Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
                let mut out = Batch::default();
                let whole = (entry.make)().collect(&cx, &mut out).err().map(|skip| skip.status());
                let own = out.into_tables().into_iter().find(|(one, _)| one.name == table.name);
                let status = whole.or_else(|| own.and_then(|(_, filled)| filled.err())).unwrap();
                let example = status.hint.split('`').nth(1).unwrap_or_else(|| panic!("{}: {status:?}", table.name));
                let filter = Filter::parse(example, table).unwrap();
                assert!(!ids(table, Some(&filter)).unwrap().contains(&Vec::new()), "{}: {example}", table.name);
            }
        }
    }

    #[test]
    fn what_a_filter_keeps_is_told_to_who_collects_on_demand() {
        let only = |filter| asked("conntrack_flow", filter).unwrap().remove(0).only;
        let mark =
            |numbers: &[u64]| vec![("mark".to_owned(), numbers.iter().copied().map(Value::U64).collect::<Vec<_>>())];
        assert_eq!(only("mark == 5 and bytes > 7"), mark(&[5]));
        assert_eq!(only("mark in (1, 2)"), mark(&[1, 2]));
        assert_eq!(only("mark == 5 or bytes > 7"), []);
        assert_eq!(asked("link", "mtu == 1500").unwrap().remove(0).only, []);
    }

    #[test]
    fn the_first_in_an_order_are_enough_unless_a_filter_may_keep_others() {
        let table = schedule::tables().iter().find(|known| known.name == "conntrack_flow").unwrap();
        let bytes = table.position("bytes").unwrap();
        let asked = |filter: Option<&str>, mode| {
            let filter = filter.map(|text| Filter::parse(text, table).unwrap());
            let query = Query { filter, sort: vec![(bytes, Order::Descending)], limit: Some(9) };
            demands(table, &[], &query, mode).unwrap().remove(0).top
        };
        let top = |column: &str, rows| Some(Top { sort: vec![(column.to_owned(), true)], rows, ..Top::default() });
        assert_eq!(asked(None, Mode::Rate), top("bytes", 9));
        assert_eq!(asked(None, Mode::Total), top("total(bytes)", 9));
        assert_eq!(asked(Some("mark == 5"), Mode::Rate), top("bytes", 0));
    }

    #[test]
    fn other_tables_are_wanted_as_they_are() {
        assert_eq!(asked("load", "").unwrap(), [Demand::table("load")]);
    }
}
