//! What became worse while nobody was looking?
//!
//! What fires by the rules of who evaluates them is shown above the last row, the newest first, as long as it does so and nobody
//! has said that it is known. Where nobody evaluates rules, a row that stays at warning or critical for some seconds becomes a
//! notice, until it is acknowledged here, also when it is over by then. What was that bad when it was first sampled is no change:
//! the panel of alerts and the header tell it.

use std::collections::{HashMap, VecDeque};

use crate::model::{Key, Level, Mono, Timestamp};
use crate::panel::{Alert, Cx, Said, What, alerts};

/// The mildest level that is told.
const LEAST: Level = Level::Warning;
/// A row must stay there for so many seconds, as in Glances.
const STAYS: f64 = 6.0;
/// Most notices that wait to be acknowledged.
const MOST: usize = 100;

/// What is known of levels, and what nobody has acknowledged, the newest first.
#[derive(Default)]
pub(super) struct Notices {
    judged: HashMap<&'static str, Judged>,
    /// What is not shown here any more, and since when it fires: the host takes no word of it.
    hidden: HashMap<Key, Timestamp>,
    waiting: VecDeque<Notice>,
}

/// A table as it was judged last.
struct Judged {
    at: Mono,
    /// Whether rates were known: only what comes after is a change.
    known: bool,
    bad: HashMap<Key, Bad>,
}

/// A row at a level that is told.
#[derive(Clone, Copy)]
struct Bad {
    level: Level,
    since: Mono,
    begun: Timestamp,
    /// Whether it has been told, or was so from the start.
    told: bool,
}

/// A change that waits to be acknowledged.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) alert: Alert,
    /// When the row came to this level.
    pub(super) begun: Timestamp,
    /// When it left, if it has.
    pub(super) over: Option<Timestamp>,
}

impl Notices {
    /// Compares the levels of the tables that have a new sample.
    pub(super) fn update(&mut self, cx: &Cx<'_>) {
        let alerts = alerts(cx);
        if crate::panel::is_told(cx) {
            self.judged.clear();
            return self.firing(&alerts);
        }
        self.waiting.retain(|one| matches!(one.alert.what, What::Limit { .. }));
        for (name, state) in &cx.snapshot.tables {
            let Some(now) = &state.now else {
                self.judged.remove(name);
                continue;
            };
            let before = self.judged.remove(name);
            let next = match before {
                Some(before) if before.at == now.mono => before,
                before => {
                    let known = before.is_some() && state.before.is_some();
                    let found = alerts.iter().filter(|alert| alert.of == *name && alert.level >= LEAST);
                    Judged { at: now.mono, known, bad: self.judge(name, found, before, (now.mono, now.time)) }
                }
            };
            self.judged.insert(name, next);
        }
    }

    /// Takes what fires, the newest first.
    fn firing(&mut self, alerts: &[Alert]) {
        let fired = |alert: &Alert| match alert.what {
            What::Rule { fired, .. } if alert.level >= LEAST => Some(fired),
            _ => None,
        };
        self.hidden.retain(|key, when| alerts.iter().any(|alert| alert.key == *key && fired(alert) == Some(*when)));
        let shown = alerts.iter().filter_map(|alert| Some((fired(alert)?, alert)));
        let mut shown: Vec<(Timestamp, &Alert)> =
            shown.filter(|(_, alert)| !self.hidden.contains_key(&alert.key)).collect();
        shown.sort_by_key(|(fired, alert)| (std::cmp::Reverse(*fired), std::cmp::Reverse(alert.level)));
        let notice = |(begun, alert): (Timestamp, &Alert)| Notice { alert: alert.clone(), begun, over: None };
        self.waiting = shown.into_iter().take(MOST).map(notice).collect();
    }

    /// What fires of which something can be said, the newest first.
    pub(super) fn told(&self) -> impl Iterator<Item = &Said> {
        self.waiting.iter().filter_map(|notice| match &notice.alert.what {
            What::Rule { said, .. } => Some(said),
            What::Limit { .. } => None,
        })
    }

    /// Rows of a table that are bad now; tells those that have stayed so.
    fn judge<'a>(
        &mut self,
        name: &'static str,
        found: impl Iterator<Item = &'a Alert>,
        before: Option<Judged>,
        (mono, time): (Mono, Timestamp),
    ) -> HashMap<Key, Bad> {
        let (known, mut old) = before.map_or((false, HashMap::new()), |before| (before.known, before.bad));
        let mut bad = HashMap::new();
        for alert in found {
            let fresh = Bad { level: alert.level, since: mono, begun: time, told: !known };
            let mut row = old.remove(&alert.key).map_or(fresh, |was| match alert.level.cmp(&was.level) {
                std::cmp::Ordering::Greater => fresh,
                _ => Bad { level: alert.level, ..was },
            });
            if !row.told && mono.since(row.since) >= STAYS {
                row.told = true;
                self.tell(Notice { alert: alert.clone(), begun: row.begun, over: None });
            } else if let Some(waiting) = self.waiting(name, &alert.key) {
                waiting.alert = alert.clone();
            }
            bad.insert(alert.key.clone(), row);
        }
        for key in old.keys() {
            if let Some(waiting) = self.waiting(name, key) {
                waiting.over = Some(time);
            }
        }
        bad
    }

    fn tell(&mut self, notice: Notice) {
        self.waiting.retain(|one| one.alert.of != notice.alert.of || one.alert.key != notice.alert.key);
        self.waiting.push_front(notice);
        self.waiting.truncate(MOST);
    }

    fn waiting(&mut self, table: &str, key: &Key) -> Option<&mut Notice> {
        self.waiting.iter_mut().find(|one| one.alert.of == table && one.alert.key == *key && one.over.is_none())
    }

    /// The newest, and how many wait behind it.
    pub(super) fn newest(&self) -> Option<(&Notice, usize)> {
        self.waiting.front().map(|newest| (newest, self.waiting.len() - 1))
    }

    /// Shows none of them here any more.
    pub(super) fn acknowledge_all(&mut self) {
        while self.newest().is_some() {
            self.acknowledge();
        }
    }

    /// Shows the newest here no more.
    pub(super) fn acknowledge(&mut self) {
        if let Some(Notice { alert: Alert { key, what: What::Rule { fired, .. }, .. }, .. }) = self.waiting.pop_front()
        {
            self.hidden.insert(key, fired);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::collect::load::LoadRow;
    use crate::collect::routing::OspfNeighborRow;
    use crate::model::{Level, Value};
    use crate::store::level::{Limit, Threshold, Thresholds};
    use crate::tui::app::{App, Config};
    use crate::tui::settings::Settings;
    use crate::tui::testing::{Fake, Made, app, press, screen};

    fn watched() -> (Arc<Fake>, App) {
        watching("overview")
    }

    fn watching(view: &str) -> (Arc<Fake>, App) {
        let limits = [1.0, 5.0, 10.0].map(|limit| Some(Limit::Number(limit)));
        let [careful, warning, critical] = limits;
        let one = Threshold { table: "load".into(), column: "one".into(), row: None, careful, warning, critical };
        let levels = Arc::new(Thresholds::new(&[one], [LoadRow::TABLE]).unwrap());
        app(Config {
            levels,
            settings: Settings { view: Some(view.to_owned()), ..Settings::default() },
            ..Config::default()
        })
    }

    /// Samples of one second each.
    fn play(host: &Fake, app: &mut App, from: u64, loads: &[f64]) {
        let column = LoadRow::TABLE.position("one").unwrap();
        for (second, load) in (from..).zip(loads) {
            host.publish(Made::new(LoadRow::TABLE, 1, "").with(0, column, Value::F64(*load)), second);
            app.samples();
        }
    }

    fn level(app: &App) -> Option<Level> {
        app.notices.newest().map(|(notice, _)| notice.alert.level)
    }

    #[test]
    fn what_is_bad_from_the_start_and_what_passes_is_not_told() {
        let (host, mut app) = watched();
        play(&host, &mut app, 0, &[7.0; 20]);
        assert_eq!(level(&app), None);
        play(&host, &mut app, 20, &[0.0, 0.0, 7.0, 7.0, 7.0, 0.0, 7.0, 7.0, 7.0, 7.0, 7.0, 4.0, 4.0, 4.0, 4.0]);
        assert_eq!(level(&app), None);
    }

    #[test]
    fn what_becomes_worse_and_stays_so_is_told_until_it_is_acknowledged() {
        let (host, mut app) = watched();
        play(&host, &mut app, 0, &[0.0, 0.0, 0.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0]);
        assert_eq!(level(&app), None);
        play(&host, &mut app, 9, &[7.5]);
        assert_eq!(level(&app), Some(Level::Warning));
        let shown = screen(&mut app);
        let strip = shown.lines().nth(28).unwrap().to_owned();
        assert!(
            strip.contains("▲ Load") && strip.contains("7.5") && strip.contains("since") && strip.contains("A:ack"),
            "{shown}"
        );
        play(&host, &mut app, 10, &[20.0; 7]);
        assert_eq!(level(&app), Some(Level::Critical));
        play(&host, &mut app, 17, &[0.0]);
        assert!(screen(&mut app).lines().nth(28).unwrap().contains("critical from"));
        press(&mut app, &["A"]);
        assert_eq!(level(&app), None);
        assert!(!screen(&mut app).contains("A:ack"));
        play(&host, &mut app, 18, &[7.0; 7]);
        assert_eq!(level(&app), Some(Level::Warning), "it is told again when it comes again");
    }

    #[test]
    fn who_is_selected_and_gone_is_acknowledged_before_an_alert() {
        let (host, mut app) = watching("routing");
        *host.tables.lock().unwrap() = Some(&[LoadRow::TABLE, OspfNeighborRow::TABLE]);
        let column = OspfNeighborRow::TABLE.position("state").unwrap();
        let gone = || Made::new(OspfNeighborRow::TABLE, 1, "frr").with(0, column, Value::Label("Deleted".into()));
        for second in 0..17 {
            host.publish(gone(), second);
            play(&host, &mut app, second, &[if second < 3 { 0.0 } else { 7.0 }]);
        }
        assert_eq!(level(&app), Some(Level::Warning));
        press(&mut app, &["down", "A"]);
        assert_eq!((host.acts.lock().unwrap().len(), level(&app)), (1, Some(Level::Warning)), "{}", screen(&mut app));
        press(&mut app, &["esc", "A"]);
        assert_eq!((host.acts.lock().unwrap().len(), level(&app)), (1, None), "{}", screen(&mut app));
    }
}
