//! What does a reader see of many hosts?
//!
//! [`Fleet`] is a [`Host`] like any other: a schema, samples, a past. One thread with one runtime carries all connections;
//! what they tell is put into rows at once, and a sample of all rows is published at most twice a second. Rows that did not
//! change are shared between samples.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::group;
use super::keep::link;
use super::list::{self, Entry, Roster};
use super::merged::{self, Part, Parts};
use super::roll::{House, Roll};
use super::rows::{self, AllAsked};
use super::summary;
use super::table::{FleetRow, FleetRows, HostRow, Link, fleet, summaries, tables};
use crate::client::{Access, RemoteHost, Trouble, session};
use crate::model::{
    Action, ActionError, Behind, Demand, Demands, Done, HistoryAsk, Host, Key, Mono, Sample, Series, Snapshot, Status,
    Table, TableState, Text, Timestamp, lock,
};
use crate::store::history::{DEFAULT_LIMIT, History};
use crate::store::level::Thresholds;
use crate::store::rate::{Mode, View};
use crate::wire::proto;

/// Threads for what blocks: names that are looked up hold at most so many of them, the rest is for files.
const THREADS: usize = session::LOOKUPS + 8;

/// Memory for the past of a host, in bytes, where there are so many that the usual limit is not enough.
const PAST: usize = 16 << 10;

/// Least time between two samples.
const SPACING: Duration = Duration::from_millis(500);

/// Called after each sample, from the thread of the fleet: it must only pass the news on.
type OnChange = Arc<dyn Fn() + Send + Sync>;

/// What a fleet is.
pub struct Options {
    /// The hosts.
    pub hosts: Roster,
    /// What the client knows and has for any of them.
    pub access: Access,
    /// When a value is worth a look: thresholds of the table `fleet`.
    pub levels: Arc<Thresholds>,
}

/// Many hosts.
pub struct Fleet {
    shared: Arc<Shared>,
    roll: Arc<Roll>,
    /// Its end is the end of the thread.
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// What the connections and the readers share.
pub(super) struct Shared {
    state: Mutex<State>,
    levels: Arc<Thresholds>,
    on_change: OnChange,
}

struct State {
    rows: Vec<Arc<HostRow>>,
    /// Rows of the hosts by their numbers.
    places: HashMap<u64, usize>,
    dirty: bool,
    snapshot: Arc<Snapshot>,
    history: History,
    demands: Demands,
    /// What is wanted of merged tables, and what hosts have told of them.
    asked: AllAsked,
    parts: BTreeMap<&'static str, Parts>,
    /// Whether the merged tables must be made anew.
    moved: bool,
}

impl Fleet {
    /// Begins to connect to all hosts.
    ///
    /// # Errors
    /// There is no thread, or what it needs.
    pub fn start(options: Options, on_change: OnChange) -> std::io::Result<Arc<Self>> {
        raise_files();
        let state = State {
            rows: Vec::new(),
            places: HashMap::new(),
            dirty: true,
            snapshot: Arc::default(),
            history: History::new(DEFAULT_LIMIT.max(options.hosts.hosts.len() * PAST)),
            demands: Demands::default(),
            asked: Arc::default(),
            parts: BTreeMap::new(),
            moved: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), levels: options.levels, on_change });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(THREADS)
            .thread_name("aside")
            .build()?;
        let house = House::new(Arc::clone(&shared), options.access, runtime.handle().clone());
        let roll = Roll::new(house);
        roll.follow(options.hosts);
        shared.publish(false);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let publishing = Arc::clone(&shared);
        std::thread::Builder::new().name("fleet".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = publish(&publishing) => {}
                    _ = stopped => {}
                }
            });
            // a name that is looked up keeps nobody from leaving
            runtime.shutdown_background();
        })?;
        Ok(Arc::new(Self { shared, roll, _stop: stop }))
    }

    /// Follows a list that has changed: hosts that stay keep their connections.
    pub fn reload(&self, hosts: Roster) {
        self.roll.follow(hosts);
    }

    /// Somebody may have done something about hosts that refuse, such as to accept a key: they are tried again.
    pub fn try_again(&self) {
        self.roll.house().nudge.send_modify(|count| *count += 1);
    }
}

/// Publishes what has changed, for ever.
async fn publish(shared: &Shared) {
    let mut tick = tokio::time::interval(SPACING);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut remembered = None::<Instant>;
    loop {
        tick.tick().await;
        let remember = remembered.is_none_or(|before| before.elapsed() + SPACING / 2 >= list::INTERVAL);
        if shared.publish(remember) && remember {
            remembered = Some(Instant::now());
        }
    }
}

/// As many connections as this process may have.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    // who may not have more has what there is, and says so host by host
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
}

/// The groups of a host in one cell.
fn groups(entry: &Entry) -> Text {
    Text::from(entry.groups.iter().map(Text::as_str).collect::<Vec<_>>().join(group::BETWEEN))
}

impl HostRow {
    pub(super) fn new(id: u64, entry: &Entry) -> Self {
        let (state, reason) = match &entry.flaw {
            Some((state, why)) => (*state, Some(why.clone())),
            None => (Link::Connecting, None),
        };
        let own = FleetRow {
            host: entry.name.clone(),
            state,
            critical: 0,
            warning: 0,
            careful: 0,
            since: Timestamp::now(),
            seen: None,
            retry: None,
            boot: None,
            skew: None,
            version: None,
            name: None,
            groups: groups(entry),
            address: entry.address.clone(),
            reason,
        };
        Self { id, own, cells: vec![None; summaries().len()].into() }
    }

    fn state(&mut self, state: Link, reason: Option<Text>) {
        if self.own.state != state {
            (self.own.state, self.own.since) = (state, Timestamp::now());
        }
        self.own.reason = reason;
    }

    /// Counts what deserves a look.
    fn judge(&mut self, levels: &Thresholds) {
        let rows = Arc::new(FleetRows(vec![Arc::new(self.clone())]));
        let sample = Sample { rows, time: Timestamp(0), mono: Mono(0) };
        let view = View::new(&sample, None, Mode::Rate);
        let counted = |at: &usize| !["critical", "warning", "careful"].contains(&&*fleet().columns[*at].name);
        let columns = (0..fleet().columns.len()).filter(counted);
        self.own.count(columns.map(|column| levels.level(&view, 0, column)));
    }
}

impl Shared {
    /// Changes a row.
    fn change(&self, id: u64, change: impl FnOnce(&mut HostRow)) {
        let mut state = lock(&self.state);
        let State { rows, places, dirty, moved, .. } = &mut *state;
        // one that is not on the list any more is about to hear of it
        let Some(slot) = places.get(&id).and_then(|at| rows.get_mut(*at)) else { return };
        let mut row = HostRow::clone(slot);
        change(&mut row);
        row.judge(&self.levels);
        *moved |= row.own.state != slot.own.state;
        *slot = Arc::new(row);
        *dirty = true;
    }

    /// How many hosts there are.
    pub(super) fn hosts(&self) -> usize {
        lock(&self.state).rows.len()
    }

    /// Says which hosts there are, in their order; what is known of those that stay is kept.
    pub(super) fn arrange<'a>(&self, hosts: impl Iterator<Item = (u64, &'a Entry)>) {
        let mut state = lock(&self.state);
        let (before, places) = (std::mem::take(&mut state.rows), std::mem::take(&mut state.places));
        for (id, entry) in hosts {
            let known = places.get(&id).and_then(|at| before.get(*at));
            let mut row = known.map_or_else(|| HostRow::new(id, entry), |row| HostRow::clone(row));
            row.own.groups = groups(entry);
            row.judge(&self.levels);
            let at = state.rows.len();
            state.places.insert(id, at);
            state.rows.push(Arc::new(row));
        }
        let State { places, parts, .. } = &mut *state;
        for parts in parts.values_mut() {
            parts.retain(|id, _| places.contains_key(id));
        }
        (state.dirty, state.moved) = (true, true);
    }

    /// A host has said who it is.
    pub(super) fn met(&self, id: u64, describe: &proto::DescribeReply, now: Timestamp) {
        self.change(id, |row| {
            row.state(Link::Live, None);
            row.own.seen = Some(now);
            row.own.retry = None;
            row.own.version = Some(Text::from(describe.version.as_str()));
            row.own.name = Some(Text::from(describe.host.as_str()));
            let uptime = i64::try_from(describe.mono).ok();
            row.own.boot = uptime.and_then(|uptime| describe.time.checked_sub(uptime)).map(Timestamp);
            row.own.skew = Some(Timestamp(describe.time).seconds() - now.seconds());
        });
    }

    /// A host has told something.
    pub(super) fn told(&self, id: u64, snapshot: &Snapshot, told: &BTreeSet<&str>, wanted: &BTreeSet<usize>) {
        self.change(id, |row| {
            summary::tell(snapshot, told, wanted, &mut row.cells);
            row.state(Link::Live, None);
            row.own.seen = Some(Timestamp::now());
        });
    }

    /// A host has told rows of a table, if they are still wanted.
    pub(super) fn rows(&self, id: u64, table: &str, part: Part) {
        let mut state = lock(&self.state);
        if let Some(parts) = state.parts.get_mut(table) {
            parts.insert(id, part);
            (state.dirty, state.moved) = (true, true);
        }
    }

    /// A host says nothing, though its connection stands.
    pub(super) fn silent(&self, id: u64) {
        self.change(id, |row| row.state(Link::Stale, Some(Text::from("connected, but says nothing"))));
    }

    /// A host cannot be used.
    pub(super) fn lost(&self, id: u64, trouble: &Trouble, retry: Timestamp) {
        self.change(id, |row| {
            row.state(link(trouble.kind), Some(trouble.why.clone()));
            row.own.retry = Some(retry);
        });
        // what it tells when it is back has nothing to do with that
        for parts in lock(&self.state).parts.values_mut() {
            parts.remove(&id);
        }
    }

    /// Publishes a sample if anything has changed.
    fn publish(&self, remember: bool) -> bool {
        let mut state = lock(&self.state);
        if !std::mem::take(&mut state.dirty) {
            return false;
        }
        let rows = Arc::new(FleetRows(state.rows.clone()));
        let sample = Sample { rows, time: Timestamp::now(), mono: Mono::now() };
        if remember {
            state.history.record(&View::new(&sample, None, Mode::Rate));
        }
        let mut snapshot = Snapshot::clone(&state.snapshot);
        snapshot.generation += 1;
        let before = snapshot.tables.remove(&*fleet().name).and_then(|state| state.now);
        let known = TableState { table: fleet(), now: Some(sample), before, status: Status::ok() };
        snapshot.tables.insert("fleet", known);
        if std::mem::take(&mut state.moved) {
            state.merge(&mut snapshot);
        }
        state.group(&mut snapshot);
        state.snapshot = Arc::new(snapshot);
        drop(state);
        (self.on_change)();
        true
    }
}

impl State {
    /// Puts the groups that somebody looks at into a snapshot, and nothing of others.
    fn group(&self, snapshot: &mut Snapshot) {
        for table in group::tables() {
            let before = snapshot.tables.remove(&*table.name).and_then(|state| state.now);
            let wanted = self.demands.all().any(|demand| demand.table == *table.name);
            if let Some(made) = wanted.then(|| group::group(table, &self.rows, before)).flatten() {
                snapshot.tables.insert(&table.name, made);
            }
        }
    }

    /// Puts the merged tables that somebody wants into a snapshot, and nothing of others.
    fn merge(&mut self, snapshot: &mut Snapshot) {
        let kept = |name: &str| name == fleet().name || group::is_group(name) || self.parts.contains_key(name);
        snapshot.tables.retain(|name, _| kept(name));
        for asked in self.asked.iter() {
            let Some(pair) = asked.pair() else { continue };
            let Some(parts) = self.parts.get_mut(&*pair.own.name) else { continue };
            let merged = merged::merge(pair, &self.rows, parts, asked.limit(self.rows.len()), asked.first().as_ref());
            snapshot.tables.insert(&pair.own.name, merged);
        }
    }

    /// What readers want now.
    fn ask(&mut self) -> AllAsked {
        let asked = Arc::new(rows::asked(self.demands.all()));
        let names: BTreeSet<&'static str> = asked.iter().filter_map(|one| Some(&*one.pair()?.own.name)).collect();
        self.parts.retain(|name, _| names.contains(name));
        for name in names {
            self.parts.entry(name).or_default();
        }
        if self.asked != asked {
            (self.dirty, self.moved) = (true, true);
            self.parts.values_mut().flat_map(BTreeMap::values_mut).for_each(Part::forget_order);
        }
        self.asked = Arc::clone(&asked);
        asked
    }
}

impl Host for Fleet {
    fn schema(&self) -> &'static [&'static Table] {
        tables()
    }

    fn demand(&self, reader: u64, wants: Vec<Demand>) {
        let mut state = lock(&self.shared.state);
        if !state.demands.replace(reader, wants) {
            return;
        }
        let hosts = |demand: &&Demand| demand.table == fleet().name || group::is_group(&demand.table);
        let named = state.demands.all().filter(hosts);
        let wanted = summary::wanted(named.flat_map(|demand| demand.columns.iter().map(String::as_str)));
        let asked = state.ask();
        // groups that somebody begins to look at are told at once
        state.dirty = true;
        drop(state);
        let house = self.roll.house();
        house.asked.send_if_modified(|known| {
            let changed = *known != asked;
            *known = asked;
            changed
        });
        house.wanted.send_if_modified(|known| {
            let changed = **known != wanted;
            if changed {
                *known = Arc::new(wanted);
            }
            changed
        });
    }

    fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.shared.state).snapshot)
    }

    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        lock(&self.shared.state).history.series(ask)
    }

    fn act(&self, _: &Action) -> Result<Done, ActionError> {
        Err(ActionError::Off)
    }

    fn behind(&self, table: &str, key: &Key) -> Option<Behind> {
        let state = lock(&self.shared.state);
        let rows = Arc::clone(&state.snapshot.get(table)?.now.as_ref()?.rows);
        let row = (0..rows.len()).find(|row| key.matches(&*rows, *row))?;
        let (to, row) = match merged::by(rows.table()) {
            None => (Text::from(rows.cell(row, 0).text()?), None),
            Some(by) => {
                let host = Text::from(rows.cell(row, by).text()?);
                let id = state.rows.iter().find(|one| one.own.host == host)?.id;
                let (name, parts) = state.parts.get_key_value(table)?;
                (host, parts.get(&id)?.find(&*rows, row).map(|key| (*name, key)))
            }
        };
        drop(state);
        let line = self.roll.line(&to)?;
        let told = Arc::clone(&self.shared.on_change);
        let host = RemoteHost::over(to, line, &self.roll.house().runtime, Box::new(move || told()));
        Some(Behind { host, row })
    }
}
