//! What changes, as it changes?
//!
//! First what is now ([`Event::Alert`], [`Event::State`], then [`Event::Begin`]), then each alert that fares otherwise, what
//! has happened to it ([`Event::Change`]), and each change of a table's source. Changes are looked for only while somebody
//! listens, once for all, and at most once a second. A reader that does not keep up is told how many events it has missed,
//! and then anew what is now. Alerts are as they were while nobody says how they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::alerts::{self, Alerts};
use super::caller::Caller;
use super::sampled::Sampled;
use super::share::{Limits, Seat, Seats};
use crate::collect::alert::{AlertRow, AlertState, EventRow};
use crate::collect::collector_of;
use crate::model::{Snapshot, State, Status, lock};
use crate::wire::redact;

/// Readers at once.
const READERS: Limits = Limits { all: 64, each: 16, strangers: 32 };

/// Why somebody is no reader.
pub(super) const CROWDED: &str = "too many readers follow the events already";

/// Looks for changes whose events wait for a reader, however many each has found.
const BEHIND: usize = 16;

/// Changes are looked for at most so often.
const EVERY: Duration = Duration::from_secs(1);

/// Something that a reader is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// An alert fares otherwise: it has begun, is told to nobody any more, is over.
    Alert(AlertRow),
    /// Something has happened to an alert.
    Change(EventRow),
    /// A table's source fares otherwise.
    State(Source),
    /// What follows are changes.
    Begin,
    /// So many events are lost, because the reader was too slow. What is now follows, as at the start: what is not in it is
    /// over.
    Missed(u64),
}

/// How the source of a table fares.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    /// The table.
    pub(super) table: &'static str,
    /// What collects it.
    pub(super) collector: Option<&'static str>,
    /// How it fares.
    pub(super) status: Status,
}

/// What one look for changes has found.
struct Batch {
    /// Events that were told before these.
    before: u64,
    events: Vec<Arc<Event>>,
}

/// Where events come from and go to.
pub(super) struct Events {
    sampled: Arc<Sampled>,
    sender: broadcast::Sender<Arc<Batch>>,
    /// What all readers have been told; `None` while there are none.
    known: Mutex<Option<Known>>,
    readers: Seats,
    woken: tokio::sync::Notify,
    /// Whether somebody looks for changes already.
    followed: AtomicBool,
}

impl Events {
    /// Nobody listens yet.
    pub(super) fn new(sampled: &Arc<Sampled>) -> Arc<Self> {
        Arc::new(Self {
            sampled: Arc::clone(sampled),
            sender: broadcast::Sender::new(BEHIND),
            known: Mutex::default(),
            readers: Seats::new(READERS),
            woken: tokio::sync::Notify::new(),
            followed: AtomicBool::new(false),
        })
    }

    /// What deserves attention now, worst first; `None` when that is not known.
    pub(super) fn alerts(&self) -> Option<Vec<AlertRow>> {
        let snapshot = self.sampled.is_live().then(|| redact::snapshot(&self.sampled.latest()))?;
        alerts::now(&snapshot).map(alerts::worst_first)
    }

    /// A reader that is told what is now, and then what changes; `None` when there are too many. Needs a runtime.
    pub(super) fn read(self: &Arc<Self>, caller: Caller) -> Option<Reader> {
        let seat = self.readers.take(caller)?;
        let (first, told, changes) = self.whole();
        let reader = Reader { first: first.into_iter(), told, changes, events: Arc::clone(self), _seat: seat };
        self.woken.notify_one();
        if !self.followed.swap(true, Ordering::Relaxed) {
            tokio::spawn(follow(Arc::clone(self)));
        }
        Some(reader)
    }

    /// What is now, how many events were told until now, and those that follow.
    fn whole(&self) -> (Vec<Arc<Event>>, u64, broadcast::Receiver<Arc<Batch>>) {
        // held until the reader listens: no change gets lost between
        let known = self.advance();
        let now = known.as_ref().map_or_else(Vec::new, |now| now.events(&Known::default()));
        let first = now.into_iter().chain([Event::Begin]).map(Arc::new).collect();
        (first, known.as_ref().map_or(0, |now| now.told), self.sender.subscribe())
    }

    /// Tells all readers what has changed since they were told last.
    fn advance(&self) -> MutexGuard<'_, Option<Known>> {
        // all readers are told the same, so nothing in it is secret
        let snapshot = redact::snapshot(&self.sampled.latest());
        let mut known = lock(&self.known);
        let changes = alerts::changes(&snapshot);
        let mut now = Known::of(&snapshot, &changes, known.as_ref());
        if let Some(before) = &*known {
            let mut events = now.events(before);
            events.extend(before.others(changes).map(Event::Change));
            let events: Vec<Arc<Event>> = events.into_iter().map(Arc::new).collect();
            now.told = before.told + events.len() as u64;
            if !events.is_empty() {
                // nobody may listen
                let _ = self.sender.send(Arc::new(Batch { before: before.told, events }));
            }
        }
        *known = Some(now);
        known
    }

    /// Nobody has been told anything.
    fn rest(&self) {
        *lock(&self.known) = None;
    }
}

/// What readers know.
#[derive(Default)]
struct Known {
    alerts: Alerts,
    states: BTreeMap<&'static str, Status>,
    /// Number of the newest change of an alert.
    newest: Option<u64>,
    /// Events since there are readers.
    told: u64,
}

impl Known {
    fn of(snapshot: &Snapshot, changes: &[EventRow], before: Option<&Self>) -> Self {
        let states = snapshot.tables.iter().filter(|(_, state)| !state.table.attrs.demand);
        let states = states.map(|(name, state)| (*name, state.status.clone())).collect();
        let as_before = || before.map_or_else(Alerts::new, |before| before.alerts.clone());
        let newest = changes.last().map(|change| change.seq);
        let newest = newest.or_else(|| before?.newest);
        Self { alerts: alerts::now(snapshot).unwrap_or_else(as_before), states, newest, told: 0 }
    }

    /// How what is there fares otherwise than `before`.
    fn events(&self, before: &Self) -> Vec<Event> {
        let mut events = Vec::new();
        for (name, status) in &self.states {
            if before.states.get(name).map_or(State::Ok, |known| known.state) != status.state {
                events.push(Event::State(source(name, status)));
            }
        }
        for (key, alert) in &self.alerts {
            let is_told = match before.alerts.get(key) {
                Some(known) => (known.state, known.severity, known.since) == (alert.state, alert.severity, alert.since),
                // what was over before anybody listened
                None => alert.state == AlertState::Over,
            };
            if !is_told {
                events.push(Event::Alert(alert.clone()));
            }
        }
        for (key, gone) in &before.alerts {
            if gone.state != AlertState::Over && !self.alerts.contains_key(key) {
                events.push(Event::Alert(AlertRow { state: AlertState::Over, ..gone.clone() }));
            }
        }
        events
    }

    /// Those changes of alerts that are not known.
    fn others(&self, changes: Vec<EventRow>) -> impl Iterator<Item = EventRow> {
        let seen = self.newest.unwrap_or(0);
        // numbers of a log that was begun anew are lower
        let is_other = changes.last().is_some_and(|newest| newest.seq < seen);
        changes.into_iter().filter(move |change| is_other || change.seq > seen)
    }
}

fn source(table: &'static str, status: &Status) -> Source {
    let known = crate::wire::schema::own().tables.iter().find(|known| known.name == table);
    Source { table, collector: known.and_then(|table| collector_of(table)), status: status.clone() }
}

/// Looks for changes while somebody listens.
async fn follow(events: Arc<Events>) {
    let mut changes = events.sampled.changes();
    loop {
        if events.sender.receiver_count() == 0 {
            events.rest();
            events.woken.notified().await;
        }
        drop(events.advance());
        tokio::time::sleep(EVERY).await;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// One reader.
pub(super) struct Reader {
    /// What is told before anything else.
    first: std::vec::IntoIter<Arc<Event>>,
    /// Changes that were told before those that are waited for.
    told: u64,
    changes: broadcast::Receiver<Arc<Batch>>,
    events: Arc<Events>,
    _seat: Seat,
}

impl Reader {
    /// The next event; `None` when the agent ends. Nothing is lost when this is given up before it is there.
    pub(super) async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.first.next() {
                return Some(event);
            }
            match self.changes.recv().await {
                Ok(batch) => {
                    self.told = batch.before + batch.events.len() as u64;
                    self.first = batch.events.clone().into_iter();
                }
                Err(RecvError::Lagged(_)) => return Some(self.again()),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Starts over with what is now.
    fn again(&mut self) -> Arc<Event> {
        let (first, told, changes) = self.events.whole();
        let missed = told.saturating_sub(self.told);
        (self.first, self.told, self.changes) = (first.into_iter(), told, changes);
        Arc::new(Event::Missed(missed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::alert::{Severity, What};
    use crate::model::{Mono, Row, Rows, Sample, TableState, Text, Timestamp};

    fn events() -> (Arc<Sampled>, Arc<Events>) {
        let sampled = Sampled::new();
        let events = Events::new(&sampled);
        (sampled, events)
    }

    /// A sample of these rows, or why there is none.
    fn state<R: Row>(second: u64, rows: Vec<R>, state: State) -> (&'static str, TableState) {
        let rows: Arc<dyn Rows> = Arc::new(rows);
        let now = Some(Sample { rows, time: Timestamp(second as i64), mono: Mono(second) });
        let status = Status { state, ..Status::ok() };
        (&R::TABLE.name, TableState { table: R::TABLE, now, before: None, status })
    }

    fn alert(number: u64) -> AlertRow {
        AlertRow {
            rule: "many".into(),
            instance: Text::from(number.to_string()),
            severity: Severity::Warning,
            state: AlertState::Firing,
            since: Timestamp(1),
            fired: Some(Timestamp(1)),
            end: None,
            value: None,
            peak: None,
            number: None,
            flaps: 0,
            table: "process".into(),
            top: None,
            user: None,
            until: None,
            comment: None,
            text: "it is".into(),
        }
    }

    fn change(seq: u64) -> EventRow {
        EventRow {
            seq,
            time: Timestamp(1),
            what: What::Fired,
            severity: Severity::Warning,
            rule: "many".into(),
            instance: Text::default(),
            value: None,
            duration: None,
            told: None,
            table: None,
            text: "it is".into(),
        }
    }

    fn show(sampled: &Sampled, events: &Events, second: u64, tables: Vec<(&'static str, TableState)>) {
        sampled.show(&Snapshot { tables: tables.into_iter().collect(), generation: second });
        drop(events.advance());
    }

    /// Lets these alerts and no others be there, and looks for changes.
    fn run(sampled: &Sampled, events: &Events, second: u64, numbers: impl IntoIterator<Item = u64>) {
        let alerts = numbers.into_iter().map(alert).collect();
        show(sampled, events, second, vec![state(second, alerts, State::Ok)]);
    }

    /// Reads everything that is there: what is believed of every alert, and how many events were missed.
    async fn read(reader: &mut Reader, numbers: &mut Vec<u64>) -> (usize, Vec<u64>) {
        let (mut count, mut missed) = (0, Vec::new());
        let soon = Duration::from_millis(20);
        while let Ok(event) = tokio::time::timeout(soon, reader.next()).await {
            match &*event.unwrap() {
                Event::Missed(events) => {
                    missed.push(*events);
                    numbers.clear();
                }
                Event::Alert(alert) => {
                    let number: u64 = alert.instance.parse().unwrap();
                    numbers.retain(|known| *known != number);
                    numbers.extend((alert.state != AlertState::Over).then_some(number));
                    count += 1;
                }
                Event::Begin | Event::State(_) => {}
                Event::Change(change) => panic!("{change:?}"),
            }
        }
        numbers.sort_unstable();
        (count, missed)
    }

    /// Everything that is there, in a few words.
    async fn words(reader: &mut Reader) -> Vec<String> {
        let mut words = Vec::new();
        while let Ok(event) = tokio::time::timeout(Duration::from_millis(20), reader.next()).await {
            words.push(match &*event.unwrap() {
                Event::Alert(alert) => format!("{} {} {}", alert.instance, alert.severity.name(), alert.state.name()),
                Event::Change(change) => format!("change {}", change.seq),
                Event::State(source) => format!("{} {}", source.table, source.status.state.name()),
                Event::Begin => "begin".to_owned(),
                Event::Missed(count) => format!("missed {count}"),
            });
        }
        words
    }

    #[test]
    fn an_alert_is_told_when_it_fares_otherwise_and_with_what_has_happened() {
        wait(async {
            let (sampled, events) = events();
            let over = AlertRow { state: AlertState::Over, end: Some(Timestamp(2)), ..alert(7) };
            let put = |second, alerts, changes: &[u64]| {
                let changes = changes.iter().copied().map(change).collect();
                show(
                    &sampled,
                    &events,
                    second,
                    vec![state(second, alerts, State::Ok), state(second, changes, State::Ok)],
                );
            };
            put(1, vec![alert(5), over.clone()], &[1, 2]);
            let mut reader = events.read(Caller::own()).unwrap();
            assert_eq!(words(&mut reader).await, ["5 warning firing", "begin"], "what is over is the past");
            let worse = AlertRow { severity: Severity::Critical, ..alert(5) };
            put(2, vec![worse.clone(), over.clone(), alert(8)], &[1, 2, 3, 4]);
            let told = ["5 critical firing", "8 warning firing", "change 3", "change 4"];
            assert_eq!(words(&mut reader).await, told);
            let known = AlertRow { state: AlertState::Acknowledged, user: Some("me".into()), ..worse };
            let over = AlertRow { state: AlertState::Over, ..alert(8) };
            put(3, vec![known.clone(), over], &[2, 3, 4, 5]);
            assert_eq!(words(&mut reader).await, ["5 critical acknowledged", "8 warning over", "change 5"]);
            // what was over is forgotten some time; a value is no news
            put(4, vec![AlertRow { number: Some(1.0), ..known }], &[5]);
            assert_eq!(words(&mut reader).await, [] as [&str; 0]);
            // one that is gone without a word, and a log that was begun anew
            put(5, vec![], &[1, 2]);
            assert_eq!(words(&mut reader).await, ["5 critical over", "change 1", "change 2"]);
        });
    }

    #[test]
    fn alerts_are_as_they_were_while_nobody_says_how_they_are() {
        wait(async {
            let (sampled, events) = events();
            run(&sampled, &events, 1, [7]);
            let mut reader = events.read(Caller::own()).unwrap();
            assert_eq!(words(&mut reader).await, ["7 warning firing", "begin"]);
            for (second, told) in [(2, State::Stale), (3, State::Failed)] {
                show(&sampled, &events, second, vec![state(second, vec![alert(9)], told)]);
                assert_eq!(words(&mut reader).await, [format!("alert {}", told.name())]);
                assert_eq!(alerts::now(&sampled.latest()), None);
            }
            run(&sampled, &events, 4, [7, 9]);
            assert_eq!(words(&mut reader).await, ["alert ok", "9 warning firing"]);
            // nobody evaluates any more
            show(&sampled, &events, 5, vec![state(5, Vec::<AlertRow>::new(), State::Absent)]);
            assert_eq!(words(&mut reader).await, ["alert absent", "7 warning over", "9 warning over"]);
        });
    }

    #[test]
    fn those_of_which_people_are_told_come_first_and_then_the_worst_and_the_newest() {
        let (sampled, events) = events();
        let with =
            |number, state, severity, since| AlertRow { state, severity, since: Timestamp(since), ..alert(number) };
        let alerts = vec![
            with(1, AlertState::Pending, Severity::Critical, 9),
            with(2, AlertState::Firing, Severity::Warning, 1),
            with(3, AlertState::Over, Severity::Critical, 5),
            with(4, AlertState::Firing, Severity::Critical, 1),
            with(5, AlertState::Silenced, Severity::Critical, 9),
            with(6, AlertState::Firing, Severity::Warning, 5),
        ];
        show(&sampled, &events, 1, vec![state(1, alerts, State::Ok)]);
        let found = alerts::worst_first(alerts::now(&sampled.latest()).unwrap());
        let order: Vec<&str> = found.iter().map(|alert| alert.instance.as_str()).collect();
        assert_eq!(order, ["4", "6", "2", "5", "1"]);
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn however_much_changes_at_once_nobody_who_reads_misses_any_of_it() {
        wait(async {
            let (sampled, events) = events();
            run(&sampled, &events, 1, 0..200);
            let (mut reader, mut pids) = (events.read(Caller::own()).unwrap(), Vec::new());
            assert_eq!(read(&mut reader, &mut pids).await, (200, vec![]));
            for round in 1..=BEHIND as u64 {
                // all of them are over, and as many begin
                run(&sampled, &events, 1 + round, 1000 * round..1000 * round + 200);
            }
            assert_eq!(read(&mut reader, &mut pids).await, (400 * BEHIND, vec![]));
            assert_eq!(pids, (1000 * BEHIND as u64..1000 * BEHIND as u64 + 200).collect::<Vec<_>>());
        });
    }

    #[test]
    fn who_does_not_read_for_long_is_told_how_much_is_missed_and_anew_what_is_now() {
        wait(async {
            let (sampled, events) = events();
            run(&sampled, &events, 1, [7]);
            let (mut fast, mut slow) = (events.read(Caller::own()).unwrap(), events.read(Caller::own()).unwrap());
            let (mut here, mut there) = (Vec::new(), Vec::new());
            assert_eq!(read(&mut slow, &mut there).await, (1, vec![]));
            assert_eq!(read(&mut fast, &mut here).await, (1, vec![]));
            let mut told = 0;
            for round in 0..3 * BEHIND as u64 {
                run(&sampled, &events, 2 + round, [8 + round, 9 + round]);
                told += read(&mut fast, &mut here).await.0 as u64;
            }
            let (count, missed) = read(&mut slow, &mut there).await;
            assert_eq!((count, missed), (2, vec![told]), "what is now, and as much is missed as others were told");
            assert_eq!(there, here);
            // and it goes on with what changes
            run(&sampled, &events, 1000, [1, 2, 3]);
            assert_eq!(read(&mut slow, &mut there).await, (5, vec![]));
            assert_eq!(there, [1, 2, 3]);
        });
    }

    #[test]
    fn who_was_told_part_of_a_look_misses_only_what_follows() {
        wait(async {
            let (sampled, events) = events();
            run(&sampled, &events, 1, []);
            let mut reader = events.read(Caller::own()).unwrap();
            assert_eq!(*reader.next().await.unwrap(), Event::Begin);
            run(&sampled, &events, 2, 0..10);
            assert!(matches!(&*reader.next().await.unwrap(), Event::Alert(_)));
            for round in 0..=BEHIND as u64 {
                run(&sampled, &events, 3 + round, [100 + round]);
            }
            // the rest of what it has begun with comes first
            for _ in 0..9 {
                assert!(matches!(&*reader.next().await.unwrap(), Event::Alert(_)));
            }
            let missed = 11 + 2 * BEHIND as u64;
            assert_eq!(*reader.next().await.unwrap(), Event::Missed(missed));
        });
    }
}
