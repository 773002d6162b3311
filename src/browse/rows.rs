//! Which rows is each host asked for, and what does it tell?
//!
//! What a reader wants of a merged table is handed to the agents as far as they understand it: filter, order, and how many
//! rows are enough. A filter that speaks of the host itself is looked at here only. The rows come over the connection that
//! there is, on a stream of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::merged::{Pair, Part, pairs};
use super::roll::House;
use crate::client::session::{ANSWER, trouble, watched};
use crate::client::{Opened, Trouble};
use crate::model::{Demand, Table, Text, Top, Type};
use crate::store::expr::{Filter, literal};
use crate::store::query::{Order, Query, default_sort};
use crate::wire::mirror::Mirror;
use crate::wire::schema::Schema;
use crate::wire::{WireError, bounded, proto};

/// Rows of each host if nobody says how many are enough.
const ENOUGH: usize = 50;

/// Rows of all hosts at most, so long as each tells a few: they and those before them are kept.
const ALL: usize = 100_000;
const FEW: usize = 10;

/// Hosts that tell rows in a second at most: where there are more of them each tells less often.
const TELLING: u32 = 1000;

/// What is wanted of one table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// Place of the table in [`pairs`].
    at: usize,
    columns: BTreeSet<usize>,
    top: Top,
}

/// Everything that is wanted.
pub(super) type AllAsked = Arc<Vec<Asked>>;

/// What readers want of merged tables. Where they want different rows of one, hosts are asked for rows that all of them need:
/// without a filter, in the order of the table if they want different ones, and as many as the one who wants most.
pub(super) fn asked<'a>(demands: impl Iterator<Item = &'a Demand>) -> Vec<Asked> {
    use std::collections::btree_map::Entry;
    let mut all: BTreeMap<usize, Asked> = BTreeMap::new();
    for demand in demands {
        let Some(at) = pairs().iter().position(|pair| pair.table.name == *demand.table) else { continue };
        let own = pairs()[at].own;
        let named = demand.columns.iter().filter_map(|name| own.position(name));
        let columns: BTreeSet<usize> =
            if demand.columns.is_empty() { own.usual().into_iter().collect() } else { named.collect() };
        let top = demand.top.clone().unwrap_or_default();
        match all.entry(at) {
            Entry::Vacant(free) => {
                free.insert(Asked { at, columns, top });
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.columns.extend(columns);
                join(&mut known.top, &top);
            }
        }
    }
    all.into_values().collect()
}

/// How many rows of each host are enough.
fn enough(top: &Top) -> usize {
    if top.rows == 0 { ENOUGH } else { top.rows }
}

/// Makes of what one reader wants what another one wants too.
fn join(one: &mut Top, other: &Top) {
    if one == other {
        return;
    }
    one.rows = enough(one).max(enough(other));
    // the first ones of one reader are not those of another who wants them in another order
    let same = one.filter == other.filter && one.sort == other.sort;
    one.all = one.all.zip(other.all).filter(|_| same).map(|(one, other)| one.max(other));
    if one.filter != other.filter {
        one.filter = None;
    }
    if one.sort != other.sort {
        one.sort.clear();
    }
}

impl Asked {
    /// The tables.
    pub(super) fn pair(&self) -> Option<&'static Pair> {
        pairs().get(self.at)
    }

    /// How many rows each of so many hosts is asked for.
    pub(super) fn limit(&self, hosts: usize) -> usize {
        enough(&self.top).min(FEW.max(ALL / hosts.max(1)))
    }

    /// How the first of all rows are found, where they are enough.
    pub(super) fn first(&self) -> Option<Query> {
        let (limit, table) = (self.top.all?, self.pair()?.table);
        let filter = self.top.filter.as_deref().and_then(|text| Filter::parse_prompt(text, table).ok());
        let mut sort = self.sort(table);
        if sort.is_empty() {
            sort = default_sort(table);
        }
        Some(Query { filter, sort, limit: Some(limit) })
    }

    /// The order that is wanted, as far as a table has the columns.
    fn sort(&self, table: &Table) -> Vec<(usize, Order)> {
        let order = |largest| if largest { Order::Descending } else { Order::Ascending };
        self.top.sort.iter().filter_map(|(name, largest)| Some((table.position(name)?, order(*largest)))).collect()
    }

    /// What one of so many hosts is asked for, as far as it has it; `None` if it has no such table.
    fn selection(&self, schema: &Schema, host: &str, hosts: usize) -> Option<proto::Selection> {
        let own = self.pair()?.own;
        let layout = schema.layouts.get(schema.position(&own.name)?)?;
        let has = |column: &usize| layout.from.get(*column).copied().flatten().is_some();
        let name = |column: usize| own.columns.get(column).map(|column| column.name.to_string());
        let mut sort = self.sort(own);
        sort.retain(|(column, _)| has(column));
        if sort.is_empty() {
            sort = default_sort(own).into_iter().filter(|(column, _)| has(column)).collect();
        }
        let sort = sort.into_iter().filter_map(|(column, order)| {
            Some(format!("{}{}", if order == Order::Descending { "-" } else { "" }, name(column)?))
        });
        Some(proto::Selection {
            table: own.name.to_string(),
            columns: self.columns.iter().copied().filter(has).filter_map(name).collect(),
            r#where: self.condition(&has, host),
            sort: sort.collect(),
            limit: self.limit(hosts) as u32,
        })
    }

    /// The condition for a host in its own words; nothing where it cannot be told in them.
    fn condition(&self, has: &dyn Fn(&usize) -> bool, host: &str) -> String {
        let Some((text, own)) = self.top.filter.as_deref().zip(self.pair().map(|pair| pair.own)) else {
            return String::new();
        };
        let Ok(filter) = Filter::parse_prompt(text, own) else { return String::new() };
        if filter.is_expr() {
            return if filter.columns().iter().all(has) { text.to_owned() } else { String::new() };
        }
        let needle = text.trim();
        if host.to_lowercase().contains(&needle.to_lowercase()) {
            return String::new();
        }
        let columns = filter.columns().iter().filter(|column| has(column)).filter_map(|at| own.columns.get(*at));
        let terms = columns.map(|column| match column.ty {
            Type::Text | Type::Label => format!("{} =~ \"(?i){}\"", column.name, literal(needle)),
            _ => format!("{} == {needle}", column.name),
        });
        let terms: Vec<String> = terms.filter(|term| Filter::parse(term, own).is_ok()).collect();
        let all = terms.join(" or ");
        if Filter::parse(&all, own).is_ok() { all } else { String::new() }
    }
}

/// What an agent must be told so that it collects what is selected, if that is more than it collects anyway.
fn demand(selection: &proto::Selection) -> Option<proto::Demand> {
    let own = pairs().iter().map(|pair| pair.own).find(|own| own.name == *selection.table)?;
    let costs = |name: &&String| own.column(name).is_some_and(|(_, column)| column.attrs.demand);
    let columns: Vec<String> = selection.columns.iter().filter(costs).cloned().collect();
    let wanted = own.attrs.demand || !columns.is_empty();
    wanted.then(|| proto::Demand { table: selection.table.clone(), columns, ..proto::Demand::default() })
}

/// A host whose rows are asked for.
pub(super) struct Teller {
    pub(super) id: u64,
    pub(super) host: Text,
    pub(super) interval: Duration,
    pub(super) house: Arc<House>,
    pub(super) asked: watch::Receiver<AllAsked>,
}

impl Teller {
    /// Asks for the rows that somebody wants and tells the fleet, as long as the connection stands.
    pub(super) async fn run(
        mut self,
        opened: &Opened,
        schema: &Arc<Schema>,
    ) -> Result<std::convert::Infallible, Trouble> {
        let gone = |_| Trouble::from(Text::from("nobody looks any more"));
        let house = Arc::clone(&self.house);
        loop {
            let turn = house.asking.acquire().await;
            let asked = Arc::clone(&self.asked.borrow_and_update());
            let hosts = house.shared.hosts();
            let tables: Vec<proto::Selection> =
                asked.iter().filter_map(|one| one.selection(schema, &self.host, hosts)).collect();
            let has = |one: &&Asked| one.pair().is_some_and(|pair| schema.position(&pair.own.name).is_some());
            for pair in asked.iter().filter(|one| !has(one)).filter_map(Asked::pair) {
                self.house.shared.rows(self.id, &pair.own.name, Part::refused());
            }
            if tables.is_empty() {
                drop(turn);
                self.asked.changed().await.map_err(gone)?;
                continue;
            }
            let request = proto::WatchRequest {
                hash: opened.describe.hash.clone(),
                silent: false,
                demands: tables.iter().filter_map(demand).collect(),
                tables,
                interval: self.interval(hosts).as_nanos() as u64,
            };
            match watched(&mut opened.client.clone(), request).await? {
                Ok(stream) => self.listen(stream, Mirror::new(Arc::clone(schema)), &asked, turn).await?,
                Err(status) if status.code() == tonic::Code::InvalidArgument => {
                    drop(turn);
                    // an agent of another version that understands less
                    for pair in asked.iter().filter_map(Asked::pair) {
                        self.house.shared.rows(self.id, &pair.own.name, Part::refused());
                    }
                    self.asked.changed().await.map_err(gone)?;
                }
                Err(status) => return Err(trouble(&status)),
            }
        }
    }

    /// Takes rows until others are wanted; the turn is for the first ones.
    async fn listen<T>(
        &mut self,
        mut stream: tonic::Streaming<proto::WatchReply>,
        mut mirror: Mirror,
        asked: &[Asked],
        turn: T,
    ) -> Result<(), Trouble> {
        let mut turn = Some(turn);
        loop {
            let frame = tokio::select! {
                frame = stream.message() => frame.map_err(|status| trouble(&status))?,
                changed = self.asked.changed() => {
                    return changed.map_err(|_| Text::from("nobody looks any more").into());
                }
                () = tokio::time::sleep(ANSWER), if turn.is_some() => {
                    turn = None;
                    continue;
                }
            };
            let frame = frame.ok_or_else(|| Text::from("the agent has ended"))?;
            let damaged = |error: WireError| Text::from(error.to_string());
            let frame = bounded::frame(&frame.frame).map_err(damaged)?;
            mirror.apply(&frame).map_err(damaged)?;
            let snapshot = mirror.snapshot();
            for name in asked.iter().filter_map(Asked::pair).map(|pair| &*pair.own.name) {
                if let Some(part) = Part::of(&snapshot, name) {
                    self.house.shared.rows(self.id, name, part);
                }
            }
            turn = None;
        }
    }

    /// How often one of so many hosts tells rows: there is one thread for those of all.
    fn interval(&self, hosts: usize) -> Duration {
        self.interval.max(Duration::from_secs(hosts as u64) / TELLING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::schema;

    fn top(filter: &str, sort: &[(&str, bool)], rows: usize) -> Top {
        let sort = sort.iter().map(|(name, largest)| ((*name).to_owned(), *largest)).collect();
        Top { filter: (!filter.is_empty()).then(|| filter.to_owned()), sort, rows, all: None }
    }

    fn selected(filter: &str, sort: &[(&str, bool)], host: &str) -> proto::Selection {
        let columns = vec!["name".to_owned(), "cpu".to_owned(), "host".to_owned()];
        let demand = Demand { columns, top: Some(top(filter, sort, 7)), ..Demand::table("process") };
        let asked = asked([&demand].into_iter());
        assert_eq!(asked.len(), 1);
        asked[0].selection(schema::own(), host, 1).unwrap()
    }

    #[test]
    fn a_host_is_asked_for_no_more_than_the_first_rows() {
        let selection = selected("cpu > 50%", &[("cpu", true), ("host", false)], "hv-01");
        assert_eq!((selection.table.as_str(), selection.limit), ("process", 7));
        assert_eq!(selection.sort, ["-cpu"]);
        assert_eq!(selection.columns, ["cpu", "name"].map(str::to_owned).into_iter().rev().collect::<Vec<_>>());
        assert_eq!(selection.r#where, "cpu > 50%");
    }

    #[test]
    fn each_of_very_many_hosts_is_asked_for_a_few_rows_only() {
        let demand = Demand { top: Some(top("", &[], 80)), ..Demand::table("process") };
        let asked = asked([&demand].into_iter());
        let limits = [0, 1, 1000, 2000, 10_000, 1_000_000].map(|hosts| asked[0].limit(hosts));
        assert_eq!(limits, [80, 80, 80, 50, FEW, FEW]);
        let selection = asked[0].selection(schema::own(), "hv-01", 2000).unwrap();
        assert_eq!(selection.limit, 50);
    }

    #[test]
    fn two_readers_of_one_table_both_get_their_rows() {
        let demand = |columns: &[&str], top: Option<Top>| {
            let columns = columns.iter().map(|name| (*name).to_owned()).collect();
            Demand { columns, top, ..Demand::table("process") }
        };
        let all = demand(&["name"], Some(top("", &[("cpu", true)], 100)));
        let few = demand(&["pid"], Some(top("cpu > 50%", &[("cpu", true)], 7)));
        let other = demand(&["name"], Some(top("cpu > 50%", &[("name", false)], 7)));
        let plain = demand(&["name"], None);
        for (readers, want) in [
            ([&all, &few], ("", "-cpu", 100)),
            ([&few, &all], ("", "-cpu", 100)),
            ([&few, &other], ("cpu > 50%", "-cpu", 7)),
            ([&plain, &few], ("", "-cpu", 50)),
            ([&few, &few], ("cpu > 50%", "-cpu", 7)),
        ] {
            let asked = asked(readers.into_iter());
            let selection = asked[0].selection(schema::own(), "hv-01", 1).unwrap();
            let (first, limit) = (selection.sort.first().map_or("", String::as_str), selection.limit);
            assert_eq!((selection.r#where.as_str(), first, limit), want, "{readers:?}");
            assert!(readers.iter().all(|demand| demand.columns.iter().all(|name| selection.columns.contains(name))));
        }
    }

    #[test]
    fn what_speaks_of_the_host_is_not_asked_of_it() {
        let selection = selected("host == \"hv-01\" and cpu > 50%", &[("host", true)], "hv-02");
        assert_eq!(selection.r#where, "");
        assert_eq!(selection.sort, ["-cpu"], "the order of the table decides which rows are enough");
    }

    #[test]
    fn plain_words_are_looked_for_in_names_and_in_that_of_the_host() {
        let process = |name: &str| crate::collect::process::ProcessRow::TABLE.position(name).unwrap();
        for (needle, name, kept) in [
            ("Nginx", "nginx", true),
            ("a\"b\\", "xa\"b\\y", true),
            ("a.c", "abc", false),
            ("💩 or", "the 💩 or not", true),
        ] {
            let condition = selected(needle, &[], "hv-01").r#where;
            let filter = Filter::parse(&condition, crate::collect::process::ProcessRow::TABLE).unwrap();
            let made = crate::model::testing::Made {
                table: crate::collect::process::ProcessRow::TABLE,
                cells: vec![
                    (0..crate::collect::process::ProcessRow::TABLE.columns.len())
                        .map(|at| match at {
                            at if at == process("name") => crate::model::Value::Text(name.into()),
                            _ => crate::model::Value::Missing,
                        })
                        .collect(),
                ],
            };
            let sample = crate::model::Sample {
                rows: Arc::new(made),
                time: crate::model::Timestamp(0),
                mono: crate::model::Mono(0),
            };
            let view = crate::store::rate::View::new(&sample, None, crate::store::rate::Mode::Rate);
            assert_eq!(filter.keeps(&view.scope(0)), kept, "{needle}: {condition}");
        }
        assert!(selected("4123", &[], "x").r#where.contains("pid == 4123"));
        assert_eq!(selected("HV-0", &[], "hv-01").r#where, "", "all of that host");
    }

    #[test]
    fn what_costs_is_demanded_of_the_agent() {
        let demand = Demand { columns: vec!["pss".to_owned(), "name".to_owned()], ..Demand::table("process") };
        let asked = asked([&demand].into_iter());
        let selection = asked[0].selection(schema::own(), "x", 1).unwrap();
        assert_eq!(super::demand(&selection).unwrap().columns, ["pss"]);
        assert_eq!(selection.limit as usize, ENOUGH);
        let asked = super::asked([&Demand::table("fleet"), &Demand::table("process_file")].into_iter());
        assert_eq!(asked, [], "neither is merged");
    }
}
