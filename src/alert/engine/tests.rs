use std::sync::Arc;

use super::*;
use crate::alert::settings::Alert;
use crate::alert::watched::MOST;
use crate::collect::alert::AlertState;
use crate::model::{Row, Status, Table, TableState};
use crate::store::made::{CpuRow, Phase, SampleRow, cpu, row, sample};

crate::table! {
    /// A row that people know by a name that others have, too.
    ///
    /// Source: made.
    pub struct TwinRow = "twin" {
        /// Number.
        Id(None) number: u64 { wide: true },
        /// Name.
        Text(None) name: Text { label: true },
        /// Another name.
        Text(None) alias: Option<Text>,
        /// Share.
        Gauge(Ratio) share: f64,
    }
}

fn twin(number: u64, alias: Option<&str>, share: f64) -> TwinRow {
    TwinRow { number, name: "a".into(), alias: alias.map(Text::from), share }
}

/// A host that is sampled by hand.
struct Made {
    engine: Engine,
    snapshot: Snapshot,
}

fn rules(text: &str) -> Vec<Rule> {
    #[derive(serde::Deserialize)]
    struct File {
        alert: Vec<Alert>,
    }
    let file: File = toml::from_str(text).unwrap();
    let tables: [&'static Table; 3] = [SampleRow::TABLE, CpuRow::TABLE, TwinRow::TABLE];
    file.alert.iter().map(|alert| Rule::new(alert, &tables).unwrap_or_else(|error| panic!("{error}"))).collect()
}

impl Made {
    fn new(text: &str) -> Self {
        Self {
            engine: Engine::new(Rules {
                rules: rules(text),
                thresholds: Thresholds::default(),
                silences: Silences::default(),
            }),
            snapshot: Snapshot::default(),
        }
    }

    /// The moment that a sample is taken at.
    fn moment(seconds: f64) -> Moment {
        let sample = sample(seconds, Vec::<SampleRow>::new());
        Moment { time: sample.time, mono: sample.mono }
    }

    fn put<R: Row>(&mut self, seconds: f64, rows: Vec<R>) {
        let name: &'static str = match &R::TABLE.name {
            std::borrow::Cow::Borrowed(name) => name,
            std::borrow::Cow::Owned(_) => panic!(),
        };
        let before = self.snapshot.tables.remove(name).and_then(|state| state.now);
        let now = Some(sample(seconds, rows));
        self.snapshot.tables.insert(name, TableState { table: R::TABLE, now, before, status: Status::ok() });
    }

    /// What happens when these rows are sampled: changes, instances and texts.
    fn rows<R: Row>(&mut self, seconds: f64, rows: Vec<R>) -> Vec<String> {
        self.put(seconds, rows);
        self.look(seconds)
    }

    fn look(&mut self, seconds: f64) -> Vec<String> {
        let looked = self.engine.look(&self.snapshot, Self::moment(seconds));
        let told =
            |one: Notification| format!("{} {} {}: {}", one.severity.name(), one.change.name(), one.rule, one.text);
        looked.notifications.into_iter().map(told).collect()
    }

    fn states(&self, seconds: f64) -> Vec<(String, AlertState)> {
        let rows = self.engine.rows(Self::moment(seconds));
        rows.into_iter().map(|row| (format!("{} {}", row.rule, row.instance), row.state)).collect()
    }
}

fn named(pid: u64, name: &str, share: f64) -> SampleRow {
    SampleRow { pid, name: name.into(), share, ..row() }
}

#[test]
fn a_value_fires_after_its_time_to_the_moment_and_clears_with_hysteresis() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nclear = '70%'\nfor = '30s'\n\
         keep_firing_for = '0s'\nby = ['name']\ntext = '{name} is at {value} of {limit}'\n",
    );
    let mut all = Vec::new();
    for second in 0..40 {
        let share = if second < 5 { 0.5 } else { 0.9 };
        all.extend(made.rows(f64::from(second), vec![named(1, "web0", share), named(2, "db", 0.1)]));
        assert_eq!(all.len(), usize::from(second >= 35), "{second}: {all:?}");
    }
    assert_eq!(all, ["warning fired hot: web0 is at 90.0% of 80.0%"]);
    assert_eq!(made.rows(40.0, vec![named(1, "web0", 0.75)]), [""; 0]);
    let told = made.rows(41.0, vec![named(1, "web0", 0.7)]);
    assert_eq!(told, ["warning cleared hot: web0 is at 70.0% of 80.0%"]);
    assert_eq!(made.states(41.0), [("hot web0".to_owned(), AlertState::Over)]);
    assert_eq!(made.states(700.0), []);
}

#[test]
fn it_fires_between_two_samples_when_its_time_has_come() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nfor = '10s'\nby = ['name']\n",
    );
    assert!(made.rows(0.0, vec![named(1, "web0", 0.9)]).is_empty());
    assert_eq!(made.engine.due(), Some(Made::moment(10.0).mono));
    assert!(made.look(9.999).is_empty());
    assert_eq!(made.look(10.0), ["warning fired hot: sample web0: share is 90.0%"]);
}

#[test]
fn rows_of_a_group_are_one_alert_with_the_worst_of_them() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\ncritical = '95%'\nby = ['phase']\n\
         text = '{count} rows, the worst is {name} with {value}'\n",
    );
    let told = made.rows(0.0, vec![named(1, "a", 0.9), named(2, "b", 0.97), named(3, "c", 0.1)]);
    assert_eq!(told, ["critical fired hot: 3 rows, the worst is b with 97.0%"]);
    // another process of the same name is the same alert
    assert!(made.rows(1.0, vec![named(9, "b", 0.98)]).is_empty());
}

#[test]
fn a_condition_holds_until_what_clears_it() {
    let mut made = Made::new(
        "[[alert]]\nname = 'gone'\ntable = 'sample'\nwhen = 'phase == gone'\nclear = 'phase == running'\n\
         severity = 'critical'\nkeep_firing_for = '0s'\nby = ['name']\ntext = '{name} is {phase}'\n",
    );
    let phase = |phase| vec![SampleRow { phase, ..row() }];
    assert_eq!(made.rows(0.0, phase(Phase::Gone)), ["critical fired gone: qemu-kvm is gone"]);
    assert!(made.rows(1.0, phase(Phase::Waiting)).is_empty());
    assert_eq!(made.rows(2.0, phase(Phase::Running)), ["critical cleared gone: qemu-kvm is running"]);
    assert!(made.rows(3.0, phase(Phase::Waiting)).is_empty());
}

#[test]
fn a_change_is_told_once_with_what_was_before() {
    let mut made =
        Made::new("[[alert]]\nname = 'moved'\ntable = 'sample'\nchanges = 'phase'\nto = ['gone']\nby = ['name']\n");
    let phase = |phase| vec![SampleRow { phase, ..row() }];
    assert!(made.rows(0.0, phase(Phase::Gone)).is_empty(), "what is found is no change");
    assert!(made.rows(1.0, phase(Phase::Running)).is_empty());
    let told = made.rows(2.0, phase(Phase::Gone));
    assert_eq!(told, ["warning fired moved: sample qemu-kvm: phase is gone, was running"]);
    assert!(made.rows(3.0, phase(Phase::Gone)).is_empty());
    // a moment is shown for a while
    assert_eq!(made.states(60.0), [("moved qemu-kvm".to_owned(), AlertState::Firing)]);
}

#[test]
fn too_few_rows_are_told_with_their_number_and_one_that_is_gone_by_its_name() {
    let mut made = Made::new(
        "[[alert]]\nname = 'few'\ntable = 'sample'\nwhere = 'name == \"daemon\"'\nmin = 2\nkeep_firing_for = '0s'\n\
         [[alert]]\nname = 'lost'\ntable = 'sample'\ngone = true\nby = ['name']\nkeep_firing_for = '0s'\n",
    );
    assert!(made.rows(0.0, vec![named(1, "daemon", 0.0), named(2, "daemon", 0.0)]).is_empty());
    assert_eq!(made.rows(1.0, vec![named(2, "daemon", 0.0)]), ["warning fired few: sample: 1 rows, expected 2.."]);
    let told = made.rows(2.0, Vec::<SampleRow>::new());
    assert_eq!(told, ["warning fired lost: sample daemon is gone"]);
    let told = made.rows(3.0, vec![named(5, "daemon", 0.0), named(6, "daemon", 0.0)]);
    assert_eq!(
        told,
        ["warning cleared few: sample: 2 rows, expected 2..", "warning cleared lost: sample daemon is gone"]
    );
}

#[test]
fn a_source_that_does_not_answer_changes_nothing_and_one_that_is_not_there_has_no_rows() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nkeep_firing_for = '0s'\n",
    );
    assert_eq!(made.rows(0.0, vec![named(1, "a", 0.9)]).len(), 1);
    let mut say = |state, seconds| {
        let status = Status { state, ..Status::ok() };
        if let Some(table) = made.snapshot.tables.get_mut("sample") {
            table.status = status;
        }
        made.look(seconds).len()
    };
    assert_eq!(say(State::Failed, 100.0), 0);
    assert_eq!(say(State::Stale, 200.0), 0);
    assert_eq!(say(State::Absent, 300.0), 1);
}

#[test]
fn an_alert_of_what_is_behind_it_is_inhibited() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n\
         [[alert.inhibited_by]]\nrule = 'down'\nequal = { name = 'name' }\n\
         [[alert]]\nname = 'down'\ntable = 'made_cpu'\nvalue = 'ticks'\ncareful = 1\n",
    );
    made.put(0.0, vec![named(1, "a", 0.9), named(2, "b", 0.9)]);
    made.put(0.0, vec![cpu("a", 0.0, 0)]);
    made.look(0.0);
    assert_eq!(made.states(0.0).len(), 2);
    assert_eq!(made.rows(1.0, vec![cpu("a", 0.0, 10)]).len(), 1);
    let inhibited: Vec<String> = made
        .states(1.0)
        .into_iter()
        .filter(|(_, state)| *state == AlertState::Inhibited)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(inhibited, ["hot a"]);
}

#[test]
fn events_say_of_which_changes_people_are_told() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\ncritical = '95%'\nclear = '70%'\n\
         keep_firing_for = '0s'\nby = ['name']\ntell = 'critical'\n",
    );
    let told = |made: &Made| -> Vec<(What, Option<bool>)> {
        made.engine.happened().into_iter().map(|event| (event.what, event.told)).collect()
    };
    made.rows(0.0, vec![named(1, "web0", 0.9)]);
    made.rows(1.0, vec![named(1, "web0", 0.96)]);
    let is_silent = Mute {
        rule: "hot".into(),
        instance: "web0".into(),
        until: Some(Timestamp::from_seconds(1e9)),
        comment: None,
        lift: false,
    };
    assert!(made.engine.mute(&"me".into(), &is_silent, Made::moment(1.0)));
    made.rows(2.0, vec![named(1, "web0", 0.9)]);
    made.rows(3.0, vec![named(1, "web0", 0.99)]);
    let all = [(What::Fired, Some(false)), (What::Worse, Some(true)), (What::Silenced, None)];
    assert_eq!(told(&made)[..3], all);
    assert!(
        told(&made).len() > 3 && told(&made)[3..].iter().all(|(_, told)| *told == Some(false)),
        "{:?}",
        told(&made)
    );
}

#[test]
fn who_says_that_it_is_known_or_silent_is_heeded_and_remembered() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\ncritical = '95%'\nby = ['name']\n",
    );
    made.rows(0.0, vec![named(1, "a", 0.9), named(2, "b", 0.9)]);
    let mute = |instance: &str, until: Option<f64>, lift| Mute {
        rule: "hot".into(),
        instance: instance.into(),
        until: until.map(|until| Made::moment(until).time),
        comment: Some("on it".into()),
        lift,
    };
    let moment = Made::moment(1.0);
    assert!(made.engine.mute(&"me".into(), &mute("a", None, false), moment));
    assert!(made.engine.mute(&"me".into(), &mute("b", Some(60.0), false), moment));
    assert!(!made.engine.mute(&"me".into(), &mute("c", None, false), moment));
    let state = |made: &Made, seconds| made.states(seconds).into_iter().map(|(_, state)| state).collect::<Vec<_>>();
    assert_eq!(state(&made, 2.0), [AlertState::Acknowledged, AlertState::Silenced]);
    assert_eq!(state(&made, 60.0), [AlertState::Firing, AlertState::Acknowledged]);
    // one that gets worse is not known any more
    made.rows(61.0, vec![named(1, "a", 0.96), named(2, "b", 0.9)]);
    assert_eq!(state(&made, 61.0), [AlertState::Firing; 2]);
    assert!(made.engine.mute(&"me".into(), &mute("a", None, false), moment));
    assert!(made.engine.mute(&"me".into(), &mute("a", None, true), moment));
    assert!(!made.engine.mute(&"me".into(), &mute("a", None, true), moment));
    let said: Vec<(What, String)> =
        made.engine.events.kept.iter().map(|(_, event)| (event.what, event.text.to_string())).collect();
    assert_eq!(said[2..4], [(What::Acknowledged, "me: on it".to_owned()), (What::Silenced, "me: on it".to_owned())]);
}

#[test]
fn alerts_of_rules_that_stay_go_on_when_the_configuration_is_read_again() {
    let text = "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n";
    let mut made = Made::new(text);
    assert_eq!(made.rows(0.0, vec![named(1, "a", 0.9)]).len(), 1);
    let (thresholds, silences) = (Thresholds::default(), Silences::default());
    made.engine.adopt(Rules { rules: rules(text), thresholds, silences });
    assert!(made.rows(1.0, vec![named(1, "a", 0.9)]).is_empty());
    assert_eq!(made.states(1.0), [("hot a".to_owned(), AlertState::Firing)]);
}

#[test]
fn ten_thousand_alerts_are_bounded_and_the_worst_are_shown() {
    let mut made =
        Made::new("[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\ncritical = '90%'\n");
    let rows: Vec<SampleRow> =
        (0..20_000).map(|pid| named(pid, "a", if pid % 100 == 0 { 0.95 } else { 0.85 })).collect();
    made.put(0.0, rows);
    let looked = made.engine.look(&made.snapshot, Made::moment(0.0));
    assert_eq!((looked.notifications.len(), made.engine.watched[0].left_out), (MOST, 20_000 - MOST as u64));
    let rows = made.engine.rows(Made::moment(0.0));
    assert_eq!(rows.len(), 1024);
    assert!(rows[..150].iter().all(|row| row.severity == crate::collect::alert::Severity::Critical));
    let _: Arc<dyn crate::model::Rows> = Arc::new(rows);
}

#[test]
fn what_has_changed_lasts_until_what_clears_it() {
    let mut made = Made::new(
        "[[alert]]\nname = 'down'\ntable = 'sample'\nchanges = 'phase'\nfrom = ['running']\nto = ['gone']\n\
         clear = 'phase == running'\nby = ['name']\nkeep_firing_for = '0s'\ntext = '{name} is {phase}'\n",
    );
    let phase = |phase| vec![SampleRow { phase, ..row() }];
    let mut all = Vec::new();
    for (second, phase_now) in
        [Phase::Gone, Phase::Running, Phase::Gone, Phase::Waiting, Phase::Running].iter().enumerate()
    {
        all.push(made.rows(second as f64, phase(*phase_now)).join(""));
    }
    assert_eq!(all, ["", "", "warning fired down: qemu-kvm is gone", "", "warning cleared down: qemu-kvm is running"]);
}

#[test]
fn what_fires_goes_on_firing_when_the_agent_is_started_again() {
    let text = "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nfor = '10s'\nby = ['name']\n\
        keep_firing_for = '0s'\n";
    let mut made = Made::new(text);
    made.rows(0.0, vec![named(1, "a", 0.9)]);
    made.rows(10.0, vec![named(1, "a", 0.95), named(2, "b", 0.9)]);
    let mute = Mute {
        rule: "hot".into(),
        instance: "b".into(),
        until: Some(Made::moment(900.0).time),
        comment: None,
        lift: false,
    };
    assert!(made.engine.mute(&"me".into(), &mute, Made::moment(10.0)));
    let bytes = crate::alert::kept::write(&made.engine, Vec::new(), Made::moment(10.0));
    let mut again = Made::new(text);
    crate::alert::kept::restore(&bytes, &mut again.engine, Made::moment(15.0)).unwrap();
    assert_eq!(
        again.states(15.0),
        [("hot a".to_owned(), AlertState::Firing), ("hot b".to_owned(), AlertState::Pending)]
    );
    // it is not told again, and what waits fires when its time has come
    assert_eq!(again.rows(16.0, vec![named(1, "a", 0.9), named(2, "b", 0.9)]), [""; 0]);
    assert_eq!(again.look(20.0), ["warning fired hot: sample b: share is 90.0%"]);
    let rows = again.engine.rows(Made::moment(20.0));
    assert_eq!((rows[0].peak.as_deref(), rows[0].since), (Some("95.0%"), Made::moment(0.0).time));
    assert_eq!(again.states(20.0)[1].1, AlertState::Silenced);
    let seqs: Vec<u64> = again.engine.events.kept.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert!(crate::alert::kept::restore(b"{", &mut again.engine, Made::moment(20.0)).is_err());
}

#[test]
fn what_is_written_down_fits_whatever_names_there_are() {
    let mut made =
        Made::new("[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n");
    let long = "\u{fffd}\"\\".repeat(80);
    let rows: Vec<SampleRow> = (0..MOST as u64).map(|pid| named(pid, &format!("{pid}{long}"), 0.9)).collect();
    made.put(0.0, rows);
    made.engine.look(&made.snapshot, Made::moment(0.0));
    let bytes = crate::alert::kept::write(&made.engine, Vec::new(), Made::moment(0.0));
    assert!(bytes.len() <= crate::alert::slots::ROOM && bytes.len() > 100_000, "{}", bytes.len());
}

#[test]
fn what_is_over_between_two_samples_is_told_as_it_was_seen_last() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n\
         keep_firing_for = '1s'\ntext = '{name} is at {value}'\n",
    );
    assert_eq!(made.rows(0.0, vec![named(1, "a", 0.9)]), ["warning fired hot: a is at 90.0%"]);
    assert!(made.rows(1.0, vec![named(1, "a", 0.1)]).is_empty());
    assert_eq!(made.look(2.0), ["warning cleared hot: a is at 10.0%"]);
}

#[test]
fn a_table_without_a_row_has_too_few_of_them() {
    for by in ["", "by = []\n"] {
        let mut made =
            Made::new(&format!("[[alert]]\nname = 'few'\ntable = 'sample'\nmin = 1\n{by}text = '{{count}} of them'\n"));
        assert_eq!(made.rows(0.0, Vec::<SampleRow>::new()), ["warning fired few: 0 of them"], "{by}");
    }
}

#[test]
fn what_fired_before_a_restart_is_over_when_its_table_does_not_come_back() {
    let text = "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nkeep_firing_for = '0s'\n";
    let mut made = Made::new(text);
    made.rows(0.0, vec![named(1, "a", 0.9)]);
    let bytes = crate::alert::kept::write(&made.engine, Vec::new(), Made::moment(0.0));
    let mut again = Made::new(text);
    crate::alert::kept::restore(&bytes, &mut again.engine, Made::moment(10.0)).unwrap();
    again.put(10.0, Vec::<SampleRow>::new());
    let status = Status { state: State::Absent, ..Status::ok() };
    if let Some(table) = again.snapshot.tables.get_mut("sample") {
        (table.now, table.status) = (None, status);
    }
    assert!(again.look(11.0).is_empty() && again.look(69.0).is_empty());
    assert_eq!(again.look(70.5).len(), 1);
}

#[test]
fn low_is_bad_where_one_limit_says_so_and_no_value_may_be_well() {
    let mut made = Made::new(
        "[[alert]]\nname = 'soon'\ntable = 'sample'\nvalue = 'rss'\ncritical = '1Ki'\nlow_is_bad = true\nmissing = 'ok'\n\
         by = ['name']\nkeep_firing_for = '0s'\n",
    );
    let of = |rss: Option<u64>| vec![SampleRow { rss, ..named(1, "a", 0.0) }];
    assert_eq!(made.rows(0.0, of(Some(4096))), [""; 0]);
    assert_eq!(made.rows(1.0, of(Some(1000))).len(), 1);
    assert_eq!(made.rows(2.0, of(None)).len(), 1, "it is over");
    assert_eq!(made.states(2.0)[0].1, AlertState::Over);
}

#[test]
fn what_has_changed_is_told_when_it_stays_so() {
    let mut made = Made::new(
        "[[alert]]\nname = 'gone'\ntable = 'sample'\nchanges = 'phase'\nto = ['gone']\nclear = 'phase == \"running\"'\n\
         for = '3s'\nby = ['name']\nkeep_firing_for = '0s'\ntext = '{name} is {phase}, was {was}'\n",
    );
    let mut told = Vec::new();
    for (second, phase) in [(0, Phase::Running), (1, Phase::Gone), (2, Phase::Running), (3, Phase::Running)] {
        told.extend(made.rows(f64::from(second), vec![SampleRow { phase, ..named(1, "a", 0.0) }]));
    }
    assert_eq!(told, [""; 0], "it was gone for a moment");
    for second in 4..=8 {
        told.extend(made.rows(f64::from(second), vec![SampleRow { phase: Phase::Gone, ..named(1, "a", 0.0) }]));
        assert_eq!(told.len(), usize::from(second >= 7), "{second}: {told:?}");
    }
    assert_eq!(told, ["warning fired gone: a is gone, was running"]);
}

#[test]
fn what_is_gone_is_missed_after_a_restart() {
    let text =
        "[[alert]]\nname = 'gone'\ntable = 'sample'\ngone = true\nkeep = '1h'\nby = ['name']\nkeep_firing_for = '5s'\n";
    let mut made = Made::new(text);
    made.rows(0.0, vec![named(1, "a", 0.0), named(2, "b", 0.0)]);
    assert_eq!(made.rows(1.0, vec![named(2, "b", 0.0)]).len(), 1);
    let bytes = crate::alert::kept::write(&made.engine, Vec::new(), Made::moment(1.0));
    let mut again = Made::new(text);
    crate::alert::kept::restore(&bytes, &mut again.engine, Made::moment(5.0)).unwrap();
    for second in (6..200).step_by(2) {
        assert_eq!(again.rows(f64::from(second), vec![named(2, "b", 0.0)]), [""; 0], "{second}");
    }
    assert_eq!(again.rows(200.0, vec![named(1, "a", 0.0), named(2, "b", 0.0)]), [""; 0]);
    assert_eq!(again.rows(206.0, vec![named(1, "a", 0.0), named(2, "b", 0.0)]).len(), 1, "it is back");
}

#[test]
fn a_row_that_comes_later_than_others_after_a_restart_goes_on() {
    let text = "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n";
    let mut made = Made::new(text);
    assert_eq!(made.rows(0.0, vec![named(1, "a", 0.9), named(2, "b", 0.9)]).len(), 2);
    let bytes = crate::alert::kept::write(&made.engine, Vec::new(), Made::moment(0.0));
    let mut again = Made::new(text);
    crate::alert::kept::restore(&bytes, &mut again.engine, Made::moment(5.0)).unwrap();
    for second in 6..40 {
        assert_eq!(again.rows(f64::from(second), vec![named(2, "b", 0.9)]), [""; 0], "{second}");
    }
    assert_eq!(again.rows(40.0, vec![named(1, "a", 0.9), named(2, "b", 0.9)]), [""; 0]);
    assert!(again.states(40.0).iter().all(|(_, state)| *state == AlertState::Firing));
}

#[test]
fn a_growth_is_not_told_of_a_longer_time_in_which_nothing_was_known() {
    let mut made = Made::new(
        "[[alert]]\nname = 'grows'\ntable = 'sample'\nvalue = 'rss'\nwarning = '1Ki'\ndelta = '5s'\nby = ['name']\n",
    );
    let of = |rss: u64| vec![SampleRow { rss: Some(rss), ..named(1, "a", 0.0) }];
    for second in 0..8 {
        assert_eq!(made.rows(f64::from(second), of(100)), [""; 0]);
    }
    assert_eq!(made.rows(7200.0, of(4096)), [""; 0]);
    assert_eq!(made.rows(7206.0, of(4200)), [""; 0]);
    assert_eq!(made.rows(7207.0, of(8192)).len(), 1);
}

#[test]
fn who_is_at_the_top_is_collected_while_it_may_be_told() {
    let tables: [&'static Table; 2] = [crate::collect::process::ProcessRow::TABLE, SampleRow::TABLE];
    let alert: Alert = toml::from_str(
        "name = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nfor = '5s'\ntop = ['process.swap']\n",
    )
    .unwrap();
    let mut made = Made::new("alert = []");
    let rules = vec![Rule::new(&alert, &tables).unwrap()];
    made.engine.adopt(Rules { rules, thresholds: Thresholds::default(), silences: Silences::default() });
    made.rows(0.0, vec![named(1, "a", 0.1)]);
    assert_eq!(made.engine.demands(), []);
    made.rows(1.0, vec![named(1, "a", 0.9)]);
    let demands = made.engine.demands();
    assert_eq!((demands[0].table.as_str(), &demands[0].columns[..]), ("process", &["swap".to_owned()][..]));
}

#[test]
fn each_row_of_a_group_has_a_past_of_its_own_and_the_worst_counts() {
    let mut made = Made::new(
        "[[alert]]\nname = 'grows'\ntable = 'sample'\nvalue = 'share'\nwarning = '20%'\ndelta = '10s'\nby = ['name']\n\
         keep_firing_for = '0s'\ntext = '{pid} has {value} more'\n\
         [[alert]]\nname = 'moved'\ntable = 'sample'\nchanges = 'phase'\nby = ['name']\ntext = '{pid}: {was}, {phase}'\n",
    );
    let gone = |pid, share| SampleRow { phase: Phase::Gone, ..named(pid, "a", share) };
    // two rows that differ, and stay as they are
    for second in 0..30 {
        let rows = vec![named(1, "a", 0.9), gone(2, 0.1)];
        assert_eq!(made.rows(f64::from(second), rows), [""; 0], "{second}");
    }
    for second in 30..35 {
        let rows = vec![gone(2, 0.1 + f64::from(second - 29) * 0.04), named(1, "a", 0.9)];
        assert_eq!(made.rows(f64::from(second), rows).is_empty(), second < 34, "{second}");
    }
    let text = |made: &Made, rule: &str| {
        let rows = made.engine.rows(Made::moment(35.0)).into_iter();
        rows.filter(|row| row.rule.as_str() == rule).map(|row| row.text.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(text(&made, "grows"), ["2 has 20.0% more"]);
    made.rows(36.0, vec![gone(2, 0.3), gone(1, 0.9)]);
    assert_eq!(text(&made, "moved"), ["1: time-wait, gone"]);
    // one that was not there has no past
    assert_eq!(made.rows(37.0, vec![gone(1, 0.9)]), ["warning cleared grows: 1 has 0% more"]);
    made.rows(38.0, vec![gone(1, 0.9), named(2, "a", 0.9)]);
    assert_eq!(text(&made, "moved"), ["1: time-wait, gone"]);
    assert_eq!(made.engine.watched[0].pasts.len(), 2);
    assert_eq!(made.rows(39.0, Vec::<SampleRow>::new()), [""; 0]);
    assert!(made.engine.watched[0].pasts.is_empty());
}

#[test]
fn of_rows_with_the_same_ids_nobody_knows_how_they_have_changed() {
    let mut made = Made::new("[[alert]]\nname = 'moved'\ntable = 'sample'\nchanges = 'phase'\nby = ['name']\n");
    let gone = SampleRow { phase: Phase::Gone, ..named(1, "a", 0.9) };
    for second in 0..3 {
        assert_eq!(made.rows(f64::from(second), vec![named(1, "a", 0.9), gone.clone()]), [""; 0]);
    }
}

#[test]
fn samples_before_it_was_bad_count_among_the_last_ones() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nof = '2/3'\nkeep_firing_for = '0s'\n",
    );
    let mut at = |second: u8, share| made.rows(f64::from(second), vec![named(1, "a", share)]).len();
    assert_eq!([at(0, 0.1), at(1, 0.9), at(2, 0.1), at(3, 0.9), at(4, 0.1)], [0, 0, 0, 1, 1]);
    assert_eq!([at(5, 0.1), at(6, 0.9), at(7, 0.1), at(8, 0.1), at(9, 0.9), at(10, 0.9)], [0, 0, 0, 0, 0, 1]);
}

#[test]
fn alerts_that_people_would_call_the_same_are_told_apart() {
    let text = "[[alert]]\nname = 'hot'\ntable = 'twin'\nvalue = 'share'\nwarning = '80%'\n\
                [[alert]]\nname = 'hot-too'\ntable = 'twin'\nvalue = 'share'\nwarning = '80%'\nby = ['alias']\n";
    let mut made = Made::new(text);
    let names = |made: &Made, rule: &str| {
        let rows = made.engine.rows(Made::moment(1.0)).into_iter().filter(|row| row.rule.as_str() == rule);
        let mut names: Vec<String> = rows.map(|row| row.instance.to_string()).collect();
        names.sort_unstable();
        names
    };
    made.put(0.0, vec![twin(1, None, 0.9), twin(2, Some(""), 0.9)]);
    let looked = made.engine.look(&made.snapshot, Made::moment(0.0));
    let alerts: HashSet<String> = looked.notifications.iter().map(|one| one.alert.clone()).collect();
    assert_eq!(alerts.len(), 4, "each is one to recipients");
    let (hot, too) = (names(&made, "hot"), names(&made, "hot-too"));
    assert_eq!(hot, ["a", "a 2"]);
    assert!(too.len() == 2 && too[0].is_empty() && too[1].starts_with('#'), "{too:?}");
    // what is said of one is not said of the other
    let mute = Mute { rule: "hot".into(), instance: "a 2".into(), until: None, comment: None, lift: false };
    assert!(made.engine.mute(&"me".into(), &mute, Made::moment(0.0)));
    assert_eq!(made.engine.muted(Made::moment(0.0)), [("hot", "a 2")].into());
    // after a restart they have the same names
    let bytes = crate::alert::kept::write(&made.engine, Vec::new(), Made::moment(0.0));
    let mut again = Made::new(text);
    crate::alert::kept::restore(&bytes, &mut again.engine, Made::moment(0.0)).unwrap();
    assert_eq!(again.rows(1.0, vec![twin(3, Some("b"), 0.9), twin(2, Some(""), 0.9), twin(1, None, 0.9)]).len(), 2);
    assert_eq!(names(&again, "hot"), ["a", "a 2", "a 3"]);
    assert_eq!(names(&again, "hot-too"), [&too[0], &too[1], "b"]);
}

#[test]
fn what_is_started_again_and_again_is_one_alert_that_is_told_less_and_less() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'twin'\nvalue = 'share'\nwarning = '80%'\nkeep_firing_for = '5s'\ntext = '{instance}'\n",
    );
    let mut told = Vec::new();
    for second in 0..600u32 {
        // for ten seconds each, with as much between them
        let rows = if second % 20 < 10 { vec![twin(u64::from(second / 20), None, 0.9)] } else { Vec::new() };
        told.extend(made.rows(f64::from(second), rows));
    }
    let fired = told.iter().filter(|one| one.starts_with("warning fired")).count();
    assert_eq!(fired, 2, "{told:?}");
    assert!(told.iter().all(|one| one.ends_with(": a")), "{told:?}");
    assert_eq!(made.states(600.0).len(), 1);
}

#[test]
fn what_is_needless_is_so_after_a_restart_before_anything_is_sampled() {
    let text = "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n\
                [[alert.inhibited_by]]\nrule = 'down'\nequal = { name = 'name' }\n\
                [[alert]]\nname = 'down'\ntable = 'made_cpu'\nvalue = 'ticks'\ncareful = 1\n";
    let mut made = Made::new(text);
    made.put(0.0, vec![named(1, "a", 0.9), named(2, "b", 0.9)]);
    made.put(0.0, vec![cpu("a", 0.0, 0)]);
    made.look(0.0);
    made.rows(1.0, vec![cpu("a", 0.0, 10)]);
    let bytes = crate::alert::kept::write(&made.engine, Vec::new(), Made::moment(1.0));
    let mut again = Made::new(text);
    crate::alert::kept::restore(&bytes, &mut again.engine, Made::moment(2.0)).unwrap();
    again.look(2.0);
    let states: Vec<AlertState> = again.states(2.0).into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [AlertState::Firing, AlertState::Firing, AlertState::Inhibited]);
}

#[test]
fn very_many_alerts_of_others_make_very_many_needless() {
    let mut made = Made::new(
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n\
         [[alert.inhibited_by]]\nrule = 'down'\nequal = { name = 'name' }\n\
         [[alert]]\nname = 'down'\ntable = 'made_cpu'\nvalue = 'ticks'\ncareful = 1\n",
    );
    let count = 10_000;
    made.put(0.0, (0..count).map(|one| named(one, &format!("n{one}"), 0.9)).collect());
    let all = |ticks| (0..count).map(|one| cpu(&format!("n{}", one * 2), 0.0, ticks)).collect::<Vec<_>>();
    made.put(0.0, all(0));
    made.engine.look(&made.snapshot, Made::moment(0.0));
    made.put(1.0, all(10));
    made.engine.look(&made.snapshot, Made::moment(1.0));
    let needless = made.engine.watched[0].instances.values().filter(|one| one.is_inhibited);
    assert_eq!(needless.count() as u64, count / 2);
    // also when it is read again, before anything was sampled
    let text = "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n\
                [[alert.inhibited_by]]\nrule = 'down'\nequal = { name = 'name' }\n\
                [[alert]]\nname = 'down'\ntable = 'made_cpu'\nvalue = 'ticks'\ncareful = 1\n";
    made.engine.adopt(Rules { rules: rules(text), thresholds: Thresholds::default(), silences: Silences::default() });
    made.engine.look(&made.snapshot, Made::moment(1.5));
    let needless = |engine: &Engine| engine.watched[0].instances.values().filter(|one| one.is_inhibited).count();
    assert_eq!(needless(&made.engine) as u64, count / 2);
    // a rule that is read again without it lets them be told
    let text = "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nby = ['name']\n";
    made.engine.adopt(Rules { rules: rules(text), thresholds: Thresholds::default(), silences: Silences::default() });
    made.engine.look(&made.snapshot, Made::moment(2.0));
    assert!(made.engine.watched[0].instances.values().all(|one| !one.is_inhibited));
}

#[test]
fn a_sample_is_looked_at_once_by_a_rule_that_stays() {
    let text = "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nof = '2/3'\nfor = '2m'\n";
    let mut made = Made::new(text);
    for minute in 0..3 {
        made.rows(f64::from(minute) * 60.0, vec![named(1, "a", 0.1)]);
    }
    made.rows(180.0, vec![named(1, "a", 0.9)]);
    made.engine.adopt(Rules { rules: rules(text), thresholds: Thresholds::default(), silences: Silences::default() });
    assert_eq!(made.look(181.0), [""; 0]);
    assert_eq!(made.states(181.0), [], "one sample is not two");
    let told: Vec<usize> =
        (4..8).map(|minute| made.rows(f64::from(minute) * 60.0, vec![named(1, "a", 0.9)]).len()).collect();
    assert_eq!(told, [0, 0, 1, 0]);
}

#[test]
fn what_waited_before_a_long_stop_waits_anew() {
    let text =
        "[[alert]]\nname = 'hot'\ntable = 'sample'\nvalue = 'share'\nwarning = '80%'\nfor = '10s'\nby = ['name']\n";
    let mut made = Made::new(text);
    made.rows(0.0, vec![named(1, "a", 0.9)]);
    let bytes = crate::alert::kept::write(&made.engine, Vec::new(), Made::moment(1.0));
    let mut again = Made::new(text);
    crate::alert::kept::restore(&bytes, &mut again.engine, Made::moment(3600.0)).unwrap();
    assert_eq!(again.look(3600.5), [""; 0]);
    assert_eq!(again.rows(3601.0, vec![named(1, "a", 0.9)]), [""; 0]);
    assert_eq!(again.look(3611.0).len(), 1);
}
