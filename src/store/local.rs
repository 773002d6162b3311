//! How does this machine look to a reader?
//!
//! [`LocalHost`] implements [`Host`]: it starts the scheduler, keeps the latest two samples of each table and the bounded
//! past, and joins what its readers want. A reader never waits for a collector: it takes the latest [`Snapshot`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::collect::schedule::{self, Publication, Scheduler, Sink};
use crate::collect::settings::Settings;
use crate::collect::{Filled, Wants};
use crate::model::{
    Action, ActionError, Allowed, Demand, Demands, Done, HistoryAsk, Host, Mono, Sample, Series, Snapshot, State,
    Status, Table, TableState, Text, Timestamp, lock,
};
use crate::source::action::act;
use crate::source::deed;
use crate::source::file::Roots;
use crate::source::netns::Selection;
use crate::store::history::History;
use crate::store::rate::{Mode, View};

/// How the local host starts.
pub struct Options {
    /// What is read.
    pub roots: Roots,
    /// `[collect]`.
    pub settings: Settings,
    /// Interval of collectors that have none of their own.
    pub tick: Duration,
    /// What [`Host::act`] does.
    pub actions: Allowed,
}

/// Called after each change of the snapshot, from a collector's thread: it must only pass the news on.
pub type OnChange = Box<dyn Fn() + Send + Sync>;

/// This machine.
pub struct LocalHost {
    store: Arc<Store>,
    scheduler: Scheduler,
    demands: Mutex<Demands>,
    roots: Roots,
    actions: Mutex<Allowed>,
}

struct Store {
    latest: Mutex<Latest>,
    history: Mutex<History>,
    on_change: OnChange,
}

#[derive(Default)]
struct Latest {
    snapshot: Arc<Snapshot>,
    wants: Wants,
}

impl LocalHost {
    /// Starts collecting.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(options: Options, on_change: OnChange) -> std::io::Result<Arc<Self>> {
        let store = Arc::new(Store { latest: Mutex::default(), history: Mutex::default(), on_change });
        let scheduler = Scheduler::start(
            schedule::Options { roots: options.roots.clone(), settings: options.settings, tick: options.tick },
            Arc::clone(&store) as Arc<dyn Sink>,
        )?;
        let (roots, actions) = (options.roots, Mutex::new(options.actions));
        Ok(Arc::new(Self { store, scheduler, demands: Mutex::default(), roots, actions }))
    }

    /// Takes other network namespaces and new settings for collecting; samples and history stay.
    ///
    /// # Errors
    /// As [`Roots::choose`]; the old settings stay in force.
    pub fn reload(&self, netns: Selection, settings: Settings, tick: Duration) -> std::io::Result<()> {
        self.roots.choose(netns)?;
        self.scheduler.reload(settings, tick);
        Ok(())
    }

    /// Does something to the host as somebody wants it, and writes down what came of it.
    ///
    /// # Errors
    /// As [`Host::act`].
    pub fn act_for(&self, user: Text, action: &Action) -> Result<Done, ActionError> {
        let allowed = lock(&self.actions).allows(action);
        let done = if allowed { act(action, &user, &self.roots) } else { Err(ActionError::Off) };
        self.roots.deeds.note(user, action, &done);
        done
    }

    /// What [`Host::act`] does from now on.
    pub fn allow(&self, actions: Allowed) {
        *lock(&self.actions) = actions;
    }
}

impl Host for LocalHost {
    fn schema(&self) -> &'static [&'static Table] {
        schedule::tables()
    }

    fn demand(&self, reader: u64, wants: Vec<Demand>) {
        // held to the end: of two readers who change their minds at once the later union must win
        let mut demands = lock(&self.demands);
        if demands.replace(reader, wants) {
            let wants = Wants::union(demands.all());
            self.store.want(wants.clone());
            self.scheduler.demand(wants);
        }
    }

    fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.store.latest).snapshot)
    }

    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        lock(&self.store.history).series(ask)
    }

    fn act(&self, action: &Action) -> Result<Done, ActionError> {
        self.act_for(deed::own_user(&self.roots.host), action)
    }

    fn refusal(&self) -> Option<Text> {
        (*lock(&self.actions) == Allowed::Nothing).then(|| Text::from(ActionError::Off.to_string()))
    }
}

impl Sink for Store {
    fn publish(&self, publication: Publication) {
        let filled: Vec<&'static Table> = publication.filled.iter().map(|(table, _)| *table).collect();
        let published = {
            let mut latest = lock(&self.latest);
            let mut snapshot = Snapshot::clone(&latest.snapshot);
            snapshot.generation += 1;
            for (table, rows) in publication.filled {
                if rows.is_err() || latest.is_wanted(table) {
                    apply(&mut snapshot, (table, rows), publication.time, publication.mono);
                }
            }
            for (table, part) in &publication.partly {
                let state = snapshot.tables.get_mut(&*table.name).filter(|state| state.status.state == State::Ok);
                if let Some(state) = state {
                    let reason = format!("partly {}: {}", part.state.name(), part.reason);
                    state.status = Status { state: State::Ok, reason: Text::from(reason), hint: part.hint.clone() };
                }
            }
            latest.snapshot = Arc::new(snapshot);
            Arc::clone(&latest.snapshot)
        };
        self.remember(&published, &filled);
        (self.on_change)();
    }
}

impl Latest {
    /// Rows that were collected on demand are not kept when nobody wants them any more.
    fn is_wanted(&self, table: &Table) -> bool {
        !table.attrs.demand || self.wants.table(table).is_some()
    }
}

impl Store {
    /// Takes new wants and drops the rows that nobody wants any more.
    fn want(&self, wants: Wants) {
        let mut latest = lock(&self.latest);
        latest.wants = wants;
        if latest.snapshot.tables.values().any(|state| !latest.is_wanted(state.table)) {
            let mut snapshot = Snapshot::clone(&latest.snapshot);
            snapshot.generation += 1;
            snapshot.tables.retain(|_, state| latest.is_wanted(state.table));
            latest.snapshot = Arc::new(snapshot);
        }
    }

    /// Records the newest samples of tables; readers of the latest values do not wait for it.
    fn remember(&self, snapshot: &Snapshot, tables: &[&'static Table]) {
        let mut history = lock(&self.history);
        for state in tables.iter().filter_map(|table| snapshot.get(&table.name)) {
            if let Some(now) = &state.now {
                history.record(&View::new(now, state.before.as_ref(), Mode::Rate));
            }
        }
    }
}

/// Puts one table into the snapshot.
fn apply(snapshot: &mut Snapshot, (table, rows): Filled, time: Timestamp, mono: Mono) {
    let name: &'static str = match &table.name {
        std::borrow::Cow::Borrowed(name) => name,
        std::borrow::Cow::Owned(_) => return,
    };
    let state = snapshot.tables.entry(name).or_insert_with(|| TableState {
        table,
        now: None,
        before: None,
        status: Status::ok(),
    });
    match rows {
        Ok(rows) => {
            state.before = state.now.replace(Sample { rows, time, mono });
            state.status = Status::ok();
        }
        Err(status) => {
            // what a source that stopped answering said last is still worth showing, with its age
            if !matches!(status.state, State::Stale | State::Failed) {
                (state.now, state.before) = (None, None);
            }
            state.status = status;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Departed, Key, Value};
    use std::sync::mpsc;

    #[test]
    fn two_samples_of_a_table_are_kept_and_readers_are_told() {
        let (sender, receiver) = mpsc::channel();
        let sender = Mutex::new(sender);
        let options = Options {
            roots: Roots::live(),
            settings: Settings::default(),
            tick: Duration::from_secs(1),
            actions: Allowed::Nothing,
        };
        let host = LocalHost::start(
            options,
            Box::new(move || {
                let _ = lock(&sender).send(());
            }),
        )
        .unwrap();
        loop {
            receiver.recv_timeout(Duration::from_secs(20)).unwrap();
            let latest = host.latest();
            if let Some(before) = latest.get("load").and_then(|state| state.before.clone()) {
                let now = latest.get("load").and_then(|state| state.now.clone()).unwrap();
                assert!(now.mono > before.mono);
                let ask = HistoryAsk::all("load", "one", Key::default());
                let past = host.history(&ask).unwrap().points;
                assert!(past.iter().any(|point| point.time == before.mono), "{past:?}");
                break;
            }
        }
        let action = Action::Signal { pid: 1, start: 0, signal: 0 };
        assert!(matches!(host.act(&action), Err(ActionError::Off)));
        // no signal has that number, so nothing happens to anybody
        let action = Action::Signal { pid: std::process::id(), start: 0, signal: 9999 };
        host.allow(Allowed::Processes);
        assert!(matches!(host.act(&action), Err(ActionError::Kernel { .. })));
        assert!(matches!(host.act(&Action::Forget { flows: Vec::new() }), Err(ActionError::Off)));
        host.allow(Allowed::Everything);
        assert!(matches!(host.act(&Action::Forget { flows: Vec::new() }), Err(ActionError::Kernel { .. })));
        host.allow(Allowed::Nothing);
        assert!(matches!(host.act_for("token me".into(), &action), Err(ActionError::Off)));
        host.demand(1, vec![Demand::table("action")]);
        let told = loop {
            receiver.recv_timeout(Duration::from_secs(20)).unwrap();
            let told = host.latest().get("action").and_then(|state| Some(Arc::clone(&state.now.as_ref()?.rows)));
            if let Some(told) = told {
                break told;
            }
        };
        let words = |row: usize, column: &str| {
            let cell = told.cell(row, told.table().position(column).unwrap());
            cell.text().map(str::to_owned)
        };
        let own = deed::own_user(&Roots::live().host);
        assert_eq!(told.len(), 5);
        for row in 0..4 {
            assert_eq!(words(row, "user").as_deref(), Some(own.as_str()));
        }
        assert_eq!(words(0, "target").as_deref(), Some("process 1"));
        assert_eq!(words(4, "user").as_deref(), Some("token me"));
        assert_eq!(words(4, "outcome").as_deref(), Some("refused"));
        assert_eq!(words(4, "reason").as_deref(), Some("actions are off on this host"));
    }

    #[test]
    fn that_somebody_is_gone_is_acknowledged_where_anything_may_be_done() {
        let ids = vec![Value::Missing, Value::Text("bgpd".into()), Value::Ip([10, 0, 0, 1].into())];
        let key = Key::from_cells(ids.iter().map(Value::as_cell));
        let action = Action::Acknowledge { gone: Departed { table: "bgp_peer".into(), ids, since: Timestamp(100) } };
        let (roots, settings) = (Roots::live(), Settings::default());
        let options = Options { roots, settings, tick: Duration::from_hours(1), actions: Allowed::Nothing };
        let host = LocalHost::start(options, Box::new(|| {})).unwrap();
        assert!(matches!(host.act(&action), Err(ActionError::Off)));
        assert!(!host.roots.routing.is_acknowledged("bgp_peer", key.clone(), Timestamp(100)));
        host.allow(Allowed::Processes);
        host.act(&action).unwrap();
        assert!(host.roots.routing.is_acknowledged("bgp_peer", key, Timestamp(100)));
        let deeds = host.roots.deeds.newest();
        let told = |at: usize| (deeds[at].word, deeds[at].target.as_str(), deeds[at].error.is_none());
        assert_eq!(
            (told(0), told(1)),
            (("acknowledge", "bgp_peer bgpd 10.0.0.1", false), ("acknowledge", "bgp_peer bgpd 10.0.0.1", true))
        );
    }

    fn tasks(table: &'static Table) -> Publication {
        let rows: Arc<dyn crate::model::Rows> = Arc::new(vec![crate::store::made::task(1, 0.5)]);
        Publication { time: Timestamp::now(), mono: Mono::now(), filled: vec![(table, Ok(rows))], partly: Vec::new() }
    }

    #[test]
    fn rows_on_demand_are_dropped_with_the_last_demand() {
        let table = crate::collect::process_detail::ProcessEnvironmentRow::TABLE;
        let store = Store { latest: Mutex::default(), history: Mutex::default(), on_change: Box::new(|| {}) };
        let rows = || lock(&store.latest).snapshot.get(&table.name).map(|state| state.now.is_some());
        store.publish(tasks(table));
        assert_eq!(rows(), None, "nobody wants it");
        store.want(Wants::union([&Demand::table(&table.name)]));
        store.publish(tasks(table));
        assert_eq!(rows(), Some(true));
        store.want(Wants::default());
        assert_eq!(rows(), None);
    }
}
