//! How full is the table of tracked connections, when will it be full, and what went wrong in it?
//!
//! Everything comes from files that everybody may read and costs a few microseconds, however many connections there are. How
//! fast the table fills is seen over half a minute: between two samples the count mostly trembles. What begins and ends is
//! heard from the kernel while somebody wants to know ([`flux`]), which takes CAP_NET_ADMIN.

mod flux;

use std::collections::BTreeMap;

use self::flux::Flux;
use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Mono, Text};
use crate::source::Error;
use crate::source::conntrack::health::{COUNTERS, Counters, CpuCounters, Health, Table, Whole};
use crate::source::file::Root;
use crate::source::netns::{self, Rooms};
use crate::table;

table! {
    /// The table of tracked connections of one network namespace. Statistics are missing where the kernel does not keep them;
    /// on some kernels they need CAP_NET_ADMIN.
    ///
    /// Source: `Documentation/networking/nf_conntrack-sysctl.rst`, `/proc/sys/net/netfilter`, `/proc/net/stat/nf_conntrack`.
    pub struct ConntrackRow = "conntrack" { title: Some("Connection tracking"), history: History::Whole } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Connections that are tracked now.
        Gauge(None) count: u64 { top: true },
        /// Most connections that are tracked at once; missing where there is no limit.
        Gauge(None) max: Option<u64>,
        /// Forecast of when the table is full if it goes on to fill as fast as it did lately; missing while it does not fill, or
        /// would take more than a day.
        Gauge(Seconds) until_full: Option<f64> { title: Some("full in"), summary: Some(Fold::Min) },
        /// Size of the hash table.
        Gauge(None) buckets: Option<u64> { wide: true },
        /// Times that addresses and ports which address translation wanted to give were another connection's.
        Counter(Events) found: Option<u64> { wide: true },
        /// Packets that fit no connection and cannot begin one.
        Counter(Packets) invalid: Option<u64>,
        /// Connections put into the table; newer kernels count only those that a program has put there.
        Counter(Events) insert: Option<u64> { wide: true },
        /// Connections that could not be put into the table, mostly because one with the same addresses was already there.
        Counter(Events) insert_failed: Option<u64> { title: Some("ins fail"), summary: Some(Fold::Sum) },
        /// Packets dropped because the table was full or memory was short.
        Counter(Packets) drop: Option<u64> { summary: Some(Fold::Sum) },
        /// Connections thrown away to make room for new ones.
        Counter(Events) early_drop: Option<u64> { title: Some("early") },
        /// Packets of ICMP that were wrong.
        Counter(Packets) error: Option<u64>,
        /// Searches begun anew because the table changed its size meanwhile.
        Counter(Events) search_restart: Option<u64> { title: Some("restart"), wide: true },
        /// Times that two packets began the same connection at once and both went on with it.
        Counter(Events) clash_resolve: Option<u64> { title: Some("clash"), wide: true },
        /// Packets dropped because too many connections were in one place of the hash table.
        Counter(Packets) chaintoolong: Option<u64> { title: Some("chain"), wide: true },
        /// Whether packets and bytes of new connections are counted (`nf_conntrack_acct`).
        Gauge(None) accounting: Option<bool> { title: Some("acct"), wide: true },
        /// Whether it is noted when new connections begin (`nf_conntrack_timestamp`).
        Gauge(None) timestamps: Option<bool> { title: Some("times"), wide: true },
        /// Connections that began since somebody wanted to know.
        Counter(Events) new: Option<u64> { demand: true, wide: true },
        /// Connections that ended since somebody wanted to know.
        Counter(Events) ended: Option<u64> { demand: true, wide: true },
        /// Times that connections began faster than they were counted: then the two before are the least that there were.
        Counter(Events) overruns: Option<u64> { demand: true, wide: true },
    }
    derived {
        /// Share of the table that is taken.
        fill(Ratio) = "count / max" { title: Some("fill%"), summary: Some(Fold::Max), glance: true },
    }
}

table! {
    /// What one CPU did with tracked connections of one network namespace. The columns are those of `conntrack`, which has their
    /// sum over all CPUs.
    ///
    /// Source: `/proc/net/stat/nf_conntrack`; ctnetlink `IPCTNL_MSG_CT_GET_STATS_CPU` where the kernel has no such file.
    pub struct ConntrackCpuRow = "conntrack_cpu" { title: Some("Connection tracking by CPU"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the CPU.
        Id(None) cpu: Text { title: Some("CPU"), label: true },
        /// Times that addresses and ports which address translation wanted to give were another connection's.
        Counter(Events) found: Option<u64>,
        /// Packets that fit no connection and cannot begin one.
        Counter(Packets) invalid: Option<u64>,
        /// Connections put into the table; newer kernels count only those that a program has put there.
        Counter(Events) insert: Option<u64>,
        /// Connections that could not be put into the table, mostly because one with the same addresses was already there.
        Counter(Events) insert_failed: Option<u64> { title: Some("ins fail") },
        /// Packets dropped because the table was full or memory was short.
        Counter(Packets) drop: Option<u64>,
        /// Connections thrown away to make room for new ones.
        Counter(Events) early_drop: Option<u64> { title: Some("early") },
        /// Packets of ICMP that were wrong.
        Counter(Packets) error: Option<u64>,
        /// Searches begun anew because the table changed its size meanwhile.
        Counter(Events) search_restart: Option<u64> { title: Some("restart") },
        /// Times that two packets began the same connection at once and both went on with it.
        Counter(Events) clash_resolve: Option<u64> { title: Some("clash") },
        /// Packets dropped because too many connections were in one place of the hash table.
        Counter(Packets) chaintoolong: Option<u64> { title: Some("chain") },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "conntrack",
    tables: &[ConntrackRow::TABLE, ConntrackCpuRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: Capabilities::NET_ADMIN,
    make: || Box::<ConntrackCollector>::default(),
};

#[derive(Default)]
struct ConntrackCollector {
    /// Dropped after an error, so that the next sample opens it anew.
    own: Option<Table>,
    others: Rooms<Table>,
    /// Of the network namespaces of the last sample.
    trends: BTreeMap<Text, Trend>,
    /// Only while somebody wants to know what begins and ends.
    flux: Option<Flux>,
}

/// The directory of the network namespace that a thread has entered.
const HERE: &str = "thread-self/net";

fn open_here() -> Result<Table, Error> {
    Table::open(&Root::new("/proc"), &Root::new("/sys"), HERE)?.lean()
}

impl Collect for ConntrackCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut rows = Found::new(cx.mono, std::mem::take(&mut self.trends));
        if cx.roots.netns.has_host() {
            let net = if cx.roots.live { HERE } else { "net" };
            let open = || Table::open(&cx.roots.proc, &cx.roots.sys, net).map_err(not_loaded);
            let mut table = self.own.take().map_or_else(open, Ok)?;
            rows.add(&netns::host(), &mut table)?;
            self.own = Some(table);
        }
        if cx.roots.netns.has_others() {
            rows.whole = Whole::read(&cx.roots.proc);
        }
        let troubles = self.others.read(&cx.roots.netns, open_here, |netns, table| rows.add(netns, table));
        self.trends = rows.trends;
        let refused = rows.refused.or(self.listen(cx, &mut rows.tables));
        if let Some(error) = refused {
            out.partly(ConntrackRow::TABLE, &Skip::from(error).hint("run as root, or grant CAP_NET_ADMIN"));
        }
        if cx.wants.table(ConntrackCpuRow::TABLE).is_some() {
            out.push_netns(cx, rows.cpus, &troubles)?;
        }
        out.push_netns(cx, rows.tables, &troubles)
    }
}

impl ConntrackCollector {
    /// Says what has begun and ended, if anybody wants to know; the answer is why some of it is missing.
    fn listen(&mut self, cx: &Cx<'_>, rows: &mut [ConntrackRow]) -> Option<Error> {
        if !Flux::is_wanted(cx) {
            self.flux = None;
            return None;
        }
        match self.flux.take().map_or_else(Flux::start, Ok) {
            Ok(flux) => self.flux.insert(flux).fill(cx, rows),
            Err(error) => Some(error),
        }
    }
}

/// Says what it means that the files are not there.
pub(super) fn not_loaded(error: Error) -> Skip {
    let absent = error.is_absent();
    let skip = Skip::from(error);
    if absent { skip.hint("connections are tracked once a rule of the firewall needs it") } else { skip }
}

/// What was found in all network namespaces.
struct Found {
    now: Mono,
    tables: Vec<ConntrackRow>,
    cpus: Vec<ConntrackCpuRow>,
    before: BTreeMap<Text, Trend>,
    trends: BTreeMap<Text, Trend>,
    /// Why statistics are missing.
    refused: Option<Error>,
    whole: Whole,
}

impl Found {
    fn new(now: Mono, before: BTreeMap<Text, Trend>) -> Self {
        let (tables, cpus, whole) = (Vec::new(), Vec::new(), Whole::default());
        Self { now, tables, cpus, before, trends: BTreeMap::new(), refused: None, whole }
    }

    fn add(&mut self, netns: &Text, table: &mut Table) -> Result<(), Error> {
        let health = table.health(self.whole)?;
        let counters = match table.counters() {
            Err(error) if error.is_denied() => {
                self.refused = Some(error);
                Vec::new()
            }
            counters => counters?,
        };
        let mut trend = self.before.remove(netns).unwrap_or_else(|| Trend::new(self.now, health.count));
        trend.add(self.now, health.count);
        self.tables.push(row(netns, &health, trend.until_full(health.max), sum(&counters)));
        self.trends.insert(netns.clone(), trend);
        self.cpus.extend(counters.iter().map(|counters| cpu_row(netns, counters)));
        Ok(())
    }
}

/// Sums over all CPUs; missing where one CPU's is.
fn sum(rows: &[CpuCounters]) -> Counters {
    let add = |a: Counters, b: &CpuCounters| {
        let mut pairs = a.into_iter().zip(b.counters);
        [(); COUNTERS.len()].map(|()| pairs.next().and_then(|(a, b)| Some(a? + b?)))
    };
    rows.split_first().map_or_else(Counters::default, |(first, rest)| rest.iter().fold(first.counters, add))
}

/// A row with columns of its own and those of the counters, which are the same in both tables.
macro_rules! counted {
    ($row:ident, $counters:expr, { $($own:tt)* }) => {{
        let [found, invalid, insert, insert_failed, drop, early_drop, error, search_restart, clash_resolve, chaintoolong] =
            $counters;
        $row {
            found,
            invalid,
            insert,
            insert_failed,
            drop,
            early_drop,
            error,
            search_restart,
            clash_resolve,
            chaintoolong,
            $($own)*
        }
    }};
}

fn row(netns: &Text, health: &Health, until_full: Option<f64>, counters: Counters) -> ConntrackRow {
    counted!(ConntrackRow, counters, {
        netns: netns.clone(),
        count: health.count,
        max: health.max,
        until_full,
        buckets: health.buckets,
        accounting: health.accounting,
        timestamps: health.timestamps,
        new: None,
        ended: None,
        overruns: None,
    })
}

fn cpu_row(netns: &Text, cpu: &CpuCounters) -> ConntrackCpuRow {
    counted!(ConntrackCpuRow, cpu.counters, { netns: netns.clone(), cpu: Text::from(cpu.cpu.to_string()) })
}

/// How fast a count has grown lately: a mean in which what is older counts for less.
#[derive(Clone, Copy, Debug)]
struct Trend {
    at: Mono,
    count: u64,
    growth: f64,
    /// How much of the mean has been seen, from 0 to 1.
    weight: f64,
}

impl Trend {
    /// After so many seconds a change counts for a third of what it did.
    const MEMORY: f64 = 30.0;
    /// So many seconds are seen before anything is said.
    const PATIENCE: f64 = 5.0;
    /// What is further away than a day is no forecast.
    const HORIZON: f64 = 86_400.0;

    fn new(at: Mono, count: u64) -> Self {
        Self { at, count, growth: 0.0, weight: 0.0 }
    }

    fn add(&mut self, now: Mono, count: u64) {
        let seconds = now.since(self.at);
        if seconds <= 0.0 {
            return;
        }
        let keep = (-seconds / Self::MEMORY).exp();
        let growth = (count as f64 - self.count as f64) / seconds;
        self.growth = self.growth * keep + growth * (1.0 - keep);
        self.weight = self.weight * keep + (1.0 - keep);
        (self.at, self.count) = (now, count);
    }

    /// Seconds until so many are there.
    fn until_full(&self, max: Option<u64>) -> Option<f64> {
        let left = max?.saturating_sub(self.count) as f64;
        if left <= 0.0 {
            return Some(0.0);
        }
        let is_known = self.weight >= 1.0 - (-Self::PATIENCE / Self::MEMORY).exp();
        let growth = self.growth / self.weight;
        (is_known && growth * Self::HORIZON >= left).then(|| left / growth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Mono {
        Mono(count * 1_000_000_000)
    }

    /// A trend after counts that were seen every second.
    fn trend(counts: impl IntoIterator<Item = u64>) -> Trend {
        let mut counts = counts.into_iter();
        let mut trend = Trend::new(seconds(0), counts.next().unwrap());
        for (second, count) in (1..).zip(counts) {
            trend.add(seconds(second), count);
        }
        trend
    }

    #[test]
    fn a_table_that_fills_steadily_is_full_when_the_line_meets_the_limit() {
        let left = trend((0..=60).map(|second| 1000 + 100 * second)).until_full(Some(13_000)).unwrap();
        assert!((left - 60.0).abs() < 1e-6, "{left}");
        let sparse = {
            let mut trend = Trend::new(seconds(0), 0);
            trend.add(seconds(7), 70);
            trend.add(seconds(29), 290);
            trend.until_full(Some(1290)).unwrap()
        };
        assert!((sparse - 100.0).abs() < 1e-6, "samples need not be regular: {sparse}");
    }

    #[test]
    fn nothing_is_forecast_of_a_table_that_does_not_fill() {
        assert_eq!(trend((0..=60).map(|second| 9000 - second)).until_full(Some(10_000)), None);
        assert_eq!(trend([5000; 60]).until_full(Some(10_000)), None);
        let trembling = (0..=60).map(|second| 5000 + (second % 2) * 3);
        assert_eq!(trend(trembling).until_full(Some(1_000_000)), None, "years away");
        assert_eq!(trend((0..=60).map(|second| 100 * second)).until_full(None), None, "no limit");
    }

    #[test]
    fn nothing_is_forecast_before_it_was_seen_for_a_while() {
        assert_eq!(trend([0, 100, 200, 300]).until_full(Some(1000)), None);
        assert!(trend((0..8).map(|second| 100 * second)).until_full(Some(1000)).is_some());
    }

    #[test]
    fn a_full_table_is_full_now() {
        assert_eq!(trend([100]).until_full(Some(100)), Some(0.0));
        assert_eq!(trend([101]).until_full(Some(100)), Some(0.0), "the limit may be lowered under it");
    }

    #[test]
    fn a_sum_over_cpus_lacks_what_one_of_them_lacks() {
        let mut rows =
            [CpuCounters { cpu: 0, counters: [Some(1); 10] }, CpuCounters { cpu: 1, counters: [Some(2); 10] }];
        rows[1].counters[8] = None;
        let sum = sum(&rows);
        assert_eq!((sum[0], sum[8], sum[9]), (Some(3), None, Some(3)));
        assert_eq!(super::sum(&[]), Counters::default());
    }
}
