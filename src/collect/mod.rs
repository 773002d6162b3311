//! Which tables are there, and how is each filled?
//!
//! One file is one collector with its tables. Adding one is a new file and a line in `collectors!` below. A collector reads
//! through `source/`, pushes raw rows into a [`Batch`], and returns [`Skip`] when it cannot: it never sleeps, never forks,
//! and never turns missing into zero. The scheduler measures it and publishes what it did as rows of table `collector`.

mod everywhere;
pub mod run;
pub mod schedule;
pub mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use rustix::thread::CapabilitySet as Capabilities;

use self::settings::Settings;
use crate::model::{Demand, Mono, Owned, Owners, Row, Rows, State, Status, Table, Text, Timestamp, Top, Value};
use crate::source::file::Roots;
use crate::source::netns::{self, Troubles};

#[cfg(test)]
mod testing;

/// Everything a collector may touch.
pub struct Cx<'a> {
    /// The directories to read.
    pub roots: &'a Roots,
    /// What readers want beside the ordinary columns.
    pub wants: &'a Wants,
    /// What other collectors know of who has what, one sample late.
    pub owners: &'a Owners,
    /// Wall clock of this sample.
    pub time: Timestamp,
    /// Monotonic clock of this sample.
    pub mono: Mono,
}

/// Union of what all readers want.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wants(BTreeMap<String, Want>);

/// What is wanted of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Want {
    /// On-demand columns by name.
    pub columns: std::collections::BTreeSet<String>,
    /// For on-demand tables: each reader's values of the required Ids.
    pub ids: Vec<Vec<Value>>,
    /// Values for which there was no room.
    pub left_out: usize,
    /// Shortest interval asked for.
    pub interval: Option<Duration>,
    /// Which of its rows each reader keeps.
    pub parts: Vec<Part>,
    /// Readers whose part is none of these.
    pub without_part: usize,
}

/// Which rows of a table a reader keeps. Who gives more than these does no harm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Values of columns outside which it keeps no row.
    pub only: BTreeMap<String, Vec<Value>>,
    /// Column by which they are ordered, or `total(COLUMN)` for what a counter has counted, and whether the largest come first.
    pub sort: Option<(String, bool)>,
    /// How many in this order are enough; `None` is all.
    pub rows: Option<usize>,
}

/// Different rows of on-demand tables that are served at once, over all readers.
pub const MAX_IDS: usize = 64;

/// Different parts of a table that are told apart; all readers for whom there is none left share one, of the first of all rows.
const MAX_PARTS: usize = 4;

impl Wants {
    /// Joins demands.
    pub fn union<'a>(demands: impl IntoIterator<Item = &'a Demand>) -> Self {
        let mut wants = Self::default();
        for demand in demands {
            let want = wants.0.entry(demand.table.clone()).or_default();
            want.keep(Part::of(demand));
            want.columns.extend(demand.columns.iter().cloned());
            if !demand.ids.is_empty() && !want.ids.contains(&demand.ids) {
                if want.ids.len() < MAX_IDS {
                    want.ids.push(demand.ids.clone());
                } else {
                    want.left_out += 1;
                }
            }
            want.interval = match (want.interval, demand.interval) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        wants
    }

    /// What is wanted of a table, `None` when nobody looks at it.
    pub fn table(&self, table: &Table) -> Option<&Want> {
        self.0.get(&*table.name)
    }

    /// Whether anybody wants an on-demand column.
    pub fn column(&self, table: &Table, column: &str) -> bool {
        self.table(table).is_some_and(|want| want.columns.contains(column))
    }
}

impl Want {
    fn keep(&mut self, part: Part) {
        let known =
            |part: &Part| self.parts.iter().position(|known| known.only == part.only && known.sort == part.sort);
        let has_room = self.parts.len() < MAX_PARTS || known(&part).is_some();
        self.without_part += usize::from(!has_room);
        let part = if has_room { part } else { Part::default() };
        match known(&part).and_then(|at| self.parts.get_mut(at)) {
            Some(known) => known.rows = known.rows.zip(part.rows).map(|(a, b)| a.max(b)),
            None => self.parts.push(part),
        }
    }

    /// Values of columns outside which no reader keeps a row.
    pub fn only(&self) -> BTreeMap<String, Vec<Value>> {
        let Some((first, others)) = self.parts.split_first() else { return BTreeMap::new() };
        let mut only = first.only.clone();
        for other in others {
            only.retain(|column, _| other.only.contains_key(column));
            for (column, values) in &mut only {
                values.extend(other.only.get(column).into_iter().flatten().cloned());
            }
        }
        only
    }
}

impl Part {
    fn of(demand: &Demand) -> Self {
        let top = demand.top.as_ref();
        let sort = top.and_then(|top| top.sort.first().cloned());
        // a filter may keep what is none of the first, and so may a second column where the first one ties
        let is_enough = |top: &&Top| top.rows > 0 && top.filter.is_none() && top.sort.len() == 1;
        let rows = top.filter(is_enough).map(|top| top.rows);
        Self { only: demand.only.iter().cloned().collect(), sort, rows }
    }
}

/// Why a table has no rows.
#[derive(Debug)]
pub enum Skip {
    /// The kernel or daemon does not offer this here.
    Absent(Reason),
    /// It does, but not to this user.
    Denied(Reason),
    /// It should have worked.
    Failed(Reason),
}

/// The reason for a [`Skip`]: an error or a sentence, and what a person can do about it.
#[derive(Debug)]
pub struct Reason {
    /// Operation, object and cause.
    pub error: Box<dyn std::error::Error + Send + Sync>,
    /// What to do about it, if anything can be done.
    pub hint: Option<&'static str>,
}

impl Skip {
    /// Not offered here, in words.
    pub fn absent(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Absent(Reason { error: what.into(), hint: None })
    }

    /// Not for this user, in words.
    pub fn denied(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Denied(Reason { error: what.into(), hint: None })
    }

    /// Why network namespaces are missing.
    fn netns(troubles: &Troubles) -> Self {
        let error = Box::new(troubles.clone());
        match troubles.first() {
            Some(first) if first.is_denied() => {
                let hint = if first.op == netns::ENTER {
                    "other network namespaces: run as root, or grant CAP_SYS_ADMIN"
                } else {
                    "network namespaces of other users' processes: run as root, or grant CAP_SYS_PTRACE"
                };
                Self::Denied(Reason { error, hint: Some(hint) })
            }
            _ => Self::Failed(Reason { error, hint: troubles.is_out_of_files().then_some(OUT_OF_FILES) }),
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: &'static str) -> Self {
        let (Self::Absent(reason) | Self::Denied(reason) | Self::Failed(reason)) = &mut self;
        reason.hint = Some(hint);
        self
    }

    /// State for readers.
    pub fn status(&self) -> Status {
        let (state, reason) = match self {
            Self::Absent(reason) => (State::Absent, reason),
            Self::Denied(reason) => (State::Denied, reason),
            Self::Failed(reason) => (State::Failed, reason),
        };
        let hint = match (reason.hint, state) {
            (Some(hint), _) => hint,
            (None, State::Denied) => "run as root, or grant the capability that the reason names",
            _ => "",
        };
        let hint = fitting(hint, rustix::process::geteuid().is_root());
        Status { state, reason: Text::from(reason.error.to_string()), hint: Text::from(hint) }
    }
}

/// A hint without what has been done already: root may still lack a capability.
fn fitting(hint: &str, root: bool) -> String {
    if root { hint.replace("run as root, or ", "").replace("run as root, ", "") } else { hint.to_owned() }
}

/// What to do when no file can be opened any more.
pub const OUT_OF_FILES: &str = "raise the limit of open files (ulimit -n)";

impl From<crate::source::Error> for Skip {
    /// The one place where an errno becomes a verdict.
    fn from(error: crate::source::Error) -> Self {
        let (absent, denied) = (error.is_absent(), error.is_denied());
        let hint = error.is_out_of_files().then_some(OUT_OF_FILES);
        let reason = Reason { error: Box::new(error), hint };
        if absent {
            Self::Absent(reason)
        } else if denied {
            Self::Denied(reason)
        } else {
            Self::Failed(reason)
        }
    }
}

/// Rows of one table, or why there are none.
pub type Filled = (&'static Table, Result<Arc<dyn Rows>, Status>);

/// Why some cells of a table that has rows are missing.
pub type Partly = (&'static Table, Status);

/// One sample under construction.
#[derive(Default)]
pub struct Batch {
    tables: Vec<Filled>,
    partly: Vec<Partly>,
    owned: Vec<Owned>,
}

impl Batch {
    /// Adds the rows of a table.
    pub fn push<R: Row>(&mut self, rows: Vec<R>) {
        self.tables.push((R::TABLE, Ok(Arc::new(rows))));
    }

    /// Adds rows that were added before and are the same still.
    pub fn push_again(&mut self, table: &'static Table, rows: Arc<dyn Rows>) {
        self.tables.push((table, Ok(rows)));
    }

    /// Says why one table of several has no rows; the collector's others are not touched.
    pub fn skip(&mut self, table: &'static Table, skip: &Skip) {
        self.tables.push((table, Err(skip.status())));
    }

    /// Says why some cells of a table are missing that another user would see; its rows are pushed all the same. What is said
    /// of a table again stands behind what was said before, under the state of that.
    pub fn partly(&mut self, table: &'static Table, skip: &Skip) {
        let new = skip.status();
        let Some((_, known)) = self.partly.iter_mut().find(|(one, _)| one.name == table.name) else {
            self.partly.push((table, new));
            return;
        };
        known.reason = Text::from(format!("{}; {}", known.reason, new.reason));
        if known.hint.is_empty() {
            known.hint = new.hint;
        }
    }

    /// Says how many of what a table shows have no row, because at most so many are read; nothing when there are none.
    pub fn left_out(&mut self, table: &'static Table, count: usize, most: usize, what: &str) {
        if count > 0 {
            let error = format!("{count} {what} are left out, because no more than {most} are read").into();
            self.partly(table, &Skip::Failed(Reason { error, hint: None }));
        }
    }

    /// Adds the rows of a table of all network namespaces that are wanted, and says which of them could not be read.
    ///
    /// # Errors
    /// None could.
    pub fn push_netns<R: Row>(&mut self, cx: &Cx<'_>, rows: Vec<R>, troubles: &Troubles) -> Result<(), Skip> {
        if !troubles.is_empty() {
            let skip = Skip::netns(troubles);
            if rows.is_empty() && !cx.roots.netns.has_host() {
                return Err(skip);
            }
            self.partly(R::TABLE, &skip);
        }
        self.push(rows);
        Ok(())
    }

    /// Says who has what, for other collectors.
    pub fn own(&mut self, owned: Owned) {
        self.owned.push(owned);
    }

    /// Takes out what was said of who has what.
    pub fn take_owned(&mut self) -> Vec<Owned> {
        std::mem::take(&mut self.owned)
    }

    /// Takes out what was said of cells that are missing.
    pub fn take_partly(&mut self) -> Vec<Partly> {
        std::mem::take(&mut self.partly)
    }

    /// What was collected.
    pub fn into_tables(self) -> Vec<Filled> {
        self.tables
    }

    /// Rows of a table, for tests and one-shot commands.
    pub fn rows(&self, table: &Table) -> Option<&Arc<dyn Rows>> {
        self.tables.iter().find(|(known, _)| known.name == table.name).and_then(|(_, rows)| rows.as_ref().ok())
    }
}

/// A source of one or more tables. It may keep sockets, descriptors and caches between samples.
pub trait Collect: Send {
    /// Takes one sample.
    ///
    /// # Errors
    /// [`Skip`] when the whole collector has nothing; one table of several says so with [`Batch::skip`].
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip>;

    /// Whether it costs next to nothing to see that its source is absent still: that is done as often as everything else then.
    fn is_cheap_to_find(&self) -> bool {
        false
    }

    /// Collectors whose [`Owned`] it asks for. A command that runs nothing else runs them before it.
    fn asks(&self) -> &'static [&'static str] {
        &[]
    }
}

/// One collector of the registry; each file declares its own as `ENTRY`.
pub struct Entry {
    /// Name, the same as its file.
    pub name: &'static str,
    /// Tables it may fill.
    pub tables: &'static [&'static Table],
    /// How often, if the configuration does not say.
    pub interval: Duration,
    /// Whether it may block on something outside the kernel's memory: then it gets a thread of its own.
    pub blocks: bool,
    /// Capabilities without which cells or rows are missing; an agent keeps those of the collectors that it runs.
    pub needs: Capabilities,
    /// Constructor; opens nothing yet.
    pub make: fn() -> Box<dyn Collect>,
}

/// What a collector reads is open to everybody.
pub const NO_CAPABILITY: Capabilities = Capabilities::empty();

/// To read what the kernel shows of a process to its owner only.
pub const OTHERS_PROCESSES: Capabilities = Capabilities::SYS_PTRACE.union(Capabilities::DAC_READ_SEARCH);

/// To enter network namespaces, and to find those that only processes are in.
pub const OTHER_NAMESPACES: Capabilities = Capabilities::SYS_ADMIN.union(Capabilities::SYS_PTRACE);

impl Settings {
    /// Capabilities that the collectors which these settings let run can use.
    pub fn needs(&self) -> Capabilities {
        let enabled = |entry: &&&Entry| self.collectors.get(entry.name).is_none_or(|settings| settings.enabled);
        COLLECTORS.iter().filter(enabled).fold(NO_CAPABILITY, |needs, entry| needs | entry.needs)
    }
}

/// Usual interval of a collector.
pub const EVERY_SECOND: Duration = Duration::from_secs(1);

macro_rules! collectors {
    ($($module:ident),* $(,)?) => {
        $( pub mod $module; )*
        /// All collectors, in the order in which people see their tables.
        pub static COLLECTORS: &[&Entry] = &[$( &$module::ENTRY ),*];
    };
}

collectors! {
    host,
    cpu,
    load,
    memory,
    numa_node,
    pressure,
    interrupt,
    softirq,
    disk,
    mount,
    link,
    address,
    neighbor,
    route,
    fib,
    bridge,
    virtual_link,
    qdisc,
    packet_socket,
    link_queue,
    tcp_metric,
    wireguard_peer,
    socket,
    listener,
    protocol,
    conntrack,
    conntrack_flow,
    nftables,
    nft_element,
    ruleset_change,
    xtables_rule,
    netfilter,
    ipset,
    routing,
    ovs,
    ovs_flow,
    sensor,
    gpu,
    raid,
    clock,
    unit,
    vm,
    vm_monitor,
    process,
    process_detail,
    action,
    alert,
}

/// The collector that fills a table; none fills the table that the scheduler keeps about them.
pub fn collector_of(table: &Table) -> Option<&'static str> {
    COLLECTORS.iter().find(|entry| entry.tables.iter().any(|known| known.name == table.name)).map(|entry| entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_reader_keeps_is_collected_for_all() {
        let demand = |only: &[(&str, u64)]| Demand {
            only: only.iter().map(|(column, value)| ((*column).to_owned(), vec![Value::U64(*value)])).collect(),
            ..Demand::table("conntrack_flow")
        };
        let only = |demands: &[Demand]| Wants::union(demands).0.remove("conntrack_flow").unwrap().only();
        let both = only(&[demand(&[("mark", 1), ("zone", 3)]), demand(&[("mark", 2)])]);
        assert_eq!(both, [("mark".to_owned(), vec![Value::U64(1), Value::U64(2)])].into());
        assert!(only(&[demand(&[("mark", 1)]), demand(&[])]).is_empty());
        assert!(only(&[demand(&[]), demand(&[("mark", 1)])]).is_empty());
    }

    #[test]
    fn readers_of_one_order_share_a_part_and_there_are_not_many_of_them() {
        let demand = |column: &str, rows: usize| {
            let top = Top { sort: vec![(column.to_owned(), true)], rows, ..Top::default() };
            Demand { top: Some(top), ..Demand::table("conntrack_flow") }
        };
        let parts = |demands: &[Demand]| Wants::union(demands).0.remove("conntrack_flow").unwrap().parts;
        let part = |rows| Part { sort: Some(("mark".to_owned(), true)), rows, ..Part::default() };
        assert_eq!(parts(&[demand("mark", 5), demand("mark", 9)]), [part(Some(9))]);
        assert_eq!(parts(&[demand("mark", 5), demand("mark", 0)]), [part(None)]);
        let many: Vec<Demand> = (0..10).map(|number| demand(&number.to_string(), 1)).collect();
        assert_eq!(parts(&many).len(), MAX_PARTS + 1);
        assert_eq!(parts(&many).last(), Some(&Part::default()));
        let wants = |demands: &[Demand]| Wants::union(demands).0.remove("conntrack_flow").unwrap();
        assert_eq!((wants(&many).without_part, wants(&many[..MAX_PARTS]).without_part), (10 - MAX_PARTS, 0));
        let again: Vec<Demand> = many.iter().take(MAX_PARTS).chain(many.first()).cloned().collect();
        assert_eq!(parts(&again).len(), MAX_PARTS);
    }

    #[test]
    fn whatever_is_missing_from_a_table_is_told() {
        let mut batch = Batch::default();
        let (one, other) = (load::ENTRY.tables[0], cpu::ENTRY.tables[0]);
        batch.left_out(one, 3, 10, "things");
        batch.partly(other, &Skip::absent("elsewhere"));
        batch.partly(one, &Skip::denied("read this").hint("do that"));
        let told = batch.take_partly();
        let told: Vec<_> = told.iter().map(|(table, status)| (&*table.name, &*status.reason, &*status.hint)).collect();
        let both = "3 things are left out, because no more than 10 are read; read this";
        assert_eq!(told, [("load", both, "do that"), ("cpu", "elsewhere", "")]);
    }

    #[test]
    fn nobody_is_told_to_become_who_they_are() {
        let hint = "processes of other users: run as root, or grant CAP_SYS_PTRACE";
        assert_eq!(fitting(hint, true), "processes of other users: grant CAP_SYS_PTRACE");
        assert_eq!(fitting("run as root, grant CAP_SYS_PTRACE, or join", true), "grant CAP_SYS_PTRACE, or join");
        assert_eq!(fitting(hint, false), hint);
    }
}
