use super::*;

const SECOND: i64 = 1_000_000_000;

fn moment(seconds: f64) -> Moment {
    let nanos = (seconds * 1e9) as i64;
    Moment { time: Timestamp(1_000 * SECOND + nanos), mono: Mono(500_000_000_000 + nanos as u64) }
}

fn recipient() -> Recipient {
    Recipient {
        name: "page".into(),
        kind: "command",
        levels: vec![Level::Warning, Level::Critical],
        recovery: true,
        rules: Vec::new(),
        window: Duration::from_mins(1),
        repeat: None,
    }
}

fn told(alert: &str, change: Change, severity: Level) -> Notification {
    Notification {
        id: format!("{alert}-{}", change.name()),
        alert: alert.to_owned(),
        rule: "cpu".to_owned(),
        instance: alert.to_owned(),
        table: "cpu".to_owned(),
        severity,
        change,
        text: String::new(),
        value: None,
        peak: None,
        begin: 0.0,
        end: None,
        labels: BTreeMap::new(),
        top: Vec::new(),
        flaps: 0,
        comment: None,
        tell: Level::Ok,
    }
}

/// A recipient to which everything is delivered as the test says.
struct Desk {
    dispatch: Dispatch,
    outbox: Arc<Outbox>,
}

impl Desk {
    fn new(recipient: Recipient) -> Self {
        let outbox = Arc::<Outbox>::default();
        Self { dispatch: Dispatch::new(vec![recipient], Arc::clone(&outbox), "hv".to_owned()), outbox }
    }

    fn take(&mut self, notification: Notification) {
        self.dispatch.take(&[notification], &|rule| rule == "moment");
    }

    /// What is tried within some seconds, looked at twenty times a second, with what comes of it.
    fn pass(&mut self, from: f64, until: f64, result: &Result<(), Failure>) -> Vec<(f64, Vec<(String, Change)>)> {
        let mut tried = Vec::new();
        let mut now = from;
        while now < until {
            self.dispatch.hear(moment(now));
            for order in self.dispatch.prepare(moment(now)) {
                let changes = order.message.notifications.iter().map(|one| (one.alert.clone(), one.change)).collect();
                tried.push((now, changes));
                let seq = order.seq;
                self.dispatch.send(order, moment(now));
                self.outbox.outcome(Outcome { seq, result: result.clone() });
            }
            now += 0.05;
        }
        self.dispatch.hear(moment(now));
        tried
    }
}

fn changes(tried: &[(f64, Vec<(String, Change)>)]) -> Vec<Change> {
    tried.iter().flat_map(|(_, told)| told.iter().map(|(_, change)| *change)).collect()
}

#[test]
fn what_fires_is_told_once_and_that_it_is_over_after_the_window() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    assert_eq!(changes(&desk.pass(0.0, 10.0, &Ok(()))), [Change::Fired]);
    desk.take(told("a", Change::Cleared, Level::Warning));
    let tried = desk.pass(10.0, 100.0, &Ok(()));
    assert_eq!(changes(&tried), [Change::Cleared]);
    assert!((60.0..62.0).contains(&tried[0].0), "{tried:?}");
    assert!(desk.pass(100.0, 200.0, &Ok(())).is_empty() && desk.dispatch.is_idle());
}

#[test]
fn what_comes_and_goes_within_the_window_is_not_told_again() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    assert_eq!(desk.pass(0.0, 1.0, &Ok(())).len(), 1);
    for second in 1..50 {
        let change = if second % 2 == 1 { Change::Cleared } else { Change::Fired };
        desk.take(told("a", change, Level::Warning));
        assert!(desk.pass(f64::from(second), f64::from(second + 1), &Ok(())).is_empty());
    }
    desk.take(told("a", Change::Fired, Level::Warning));
    assert!(desk.pass(50.0, 200.0, &Ok(())).is_empty(), "it goes on as it was told");
}

#[test]
fn what_gets_worse_and_better_is_told_with_the_severity() {
    let mut desk = Desk::new(Recipient { window: Duration::ZERO, ..recipient() });
    let mut all = Vec::new();
    for (at, (change, level)) in [
        (Change::Fired, Level::Warning),
        (Change::Worse, Level::Critical),
        (Change::Better, Level::Careful),
        (Change::Cleared, Level::Careful),
    ]
    .into_iter()
    .enumerate()
    {
        desk.take(told("a", change, level));
        all.extend(changes(&desk.pass(at as f64 * 10.0, at as f64 * 10.0 + 10.0, &Ok(()))));
    }
    assert_eq!(all, [Change::Fired, Change::Worse, Change::Better, Change::Cleared]);
}

#[test]
fn who_cannot_be_told_is_tried_less_and_less_and_is_told_what_was_over_meanwhile() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    let refused = Err(Failure { cause: "refused".to_owned(), again: true });
    let tried = desk.pass(0.0, 600.0, &refused);
    let gaps: Vec<f64> = tried.windows(2).map(|pair| (pair[1].0 - pair[0].0).round()).collect();
    assert_eq!(gaps, [5.0, 10.0, 20.0, 40.0, 80.0, 160.0]);
    desk.take(told("a", Change::Cleared, Level::Warning));
    assert_eq!(changes(&desk.pass(600.0, 1200.0, &Ok(()))), [Change::Cleared]);
    let row = &desk.dispatch.rows(moment(1200.0))[0];
    assert_eq!((row.sent, row.failed, row.waiting, row.error.as_deref()), (1, 7, 0, None));
}

#[test]
fn what_is_refused_for_good_is_given_up_and_counted() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    let refused = Err(Failure { cause: "404".to_owned(), again: false });
    assert_eq!(desk.pass(0.0, 600.0, &refused).len(), 1);
    let row = &desk.dispatch.rows(moment(600.0))[0];
    assert_eq!((row.failed, row.dropped, row.error.as_deref()), (1, 1, Some("404")));
}

#[test]
fn many_that_fire_at_once_are_one_message_with_the_worst_first() {
    let mut desk = Desk::new(recipient());
    for one in 0..2 * MOST {
        let severity = if one == 700 { Level::Critical } else { Level::Warning };
        desk.take(told(&format!("{one:04}"), Change::Fired, severity));
    }
    let orders = {
        desk.dispatch.prepare(moment(0.0));
        desk.dispatch.prepare(moment(1.0))
    };
    let [order] = orders.as_slice() else { panic!("{}", orders.len()) };
    assert_eq!(order.message.notifications.len(), TOGETHER);
    assert_eq!((order.message.notifications[0].alert.as_str(), order.message.more), ("0700", (MOST - TOGETHER) as u64));
    assert_eq!(desk.dispatch.rows(moment(1.0))[0].dropped, MOST as u64);
}

#[test]
fn who_was_killed_between_an_attempt_and_its_outcome_tries_again_after_the_window() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    desk.dispatch.prepare(moment(0.0));
    assert_eq!(desk.dispatch.prepare(moment(1.0)).len(), 1);
    let kept = serde_json::to_string(&desk.dispatch.kept()).unwrap();
    let mut again = Desk::new(recipient());
    again.dispatch.restore(serde_json::from_str(&kept).unwrap());
    let tried = again.pass(2.0, 200.0, &Ok(()));
    assert_eq!(changes(&tried), [Change::Fired]);
    assert!((61.0..62.0).contains(&tried[0].0), "{tried:?}");
    // one that was told is not told again
    let kept = serde_json::to_string(&again.dispatch.kept()).unwrap();
    let mut third = Desk::new(recipient());
    third.dispatch.restore(serde_json::from_str(&kept).unwrap());
    assert!(third.pass(200.0, 400.0, &Ok(())).is_empty());
}

#[test]
fn nobody_is_told_while_it_is_muted_and_is_when_it_no_longer_is() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    desk.dispatch.mute(&|_| true);
    assert!(desk.pass(0.0, 10.0, &Ok(())).is_empty());
    desk.dispatch.mute(&|_| false);
    assert_eq!(changes(&desk.pass(10.0, 20.0, &Ok(()))), [Change::Fired]);
    // what was muted from begin to end is nobody's matter
    desk.take(told("b", Change::Fired, Level::Warning));
    desk.dispatch.mute(&|_| true);
    desk.pass(20.0, 30.0, &Ok(()));
    desk.take(told("b", Change::Cleared, Level::Warning));
    assert!(desk.pass(30.0, 200.0, &Ok(())).is_empty());
}

#[test]
fn what_goes_on_is_told_again_where_that_is_wanted() {
    let mut desk = Desk::new(Recipient { repeat: Some(Duration::from_mins(5)), ..recipient() });
    desk.take(told("a", Change::Fired, Level::Warning));
    let tried = desk.pass(0.0, 1000.0, &Ok(()));
    assert_eq!(changes(&tried), [Change::Fired, Change::Still, Change::Still, Change::Still]);
}

#[test]
fn a_moment_is_told_and_never_that_it_is_over() {
    let mut desk = Desk::new(recipient());
    desk.take(Notification { rule: "moment".to_owned(), ..told("a", Change::Fired, Level::Warning) });
    assert_eq!(changes(&desk.pass(0.0, 10.0, &Ok(()))), [Change::Fired]);
    desk.take(Notification { rule: "moment".to_owned(), ..told("a", Change::Cleared, Level::Warning) });
    assert!(desk.pass(10.0, 200.0, &Ok(())).is_empty());
}

#[test]
fn only_what_a_recipient_wants_is_told() {
    let mut desk = Desk::new(Recipient { rules: vec![Regex::new("^disk").unwrap()], ..recipient() });
    desk.take(told("a", Change::Fired, Level::Warning));
    desk.take(Notification { rule: "disk-full".to_owned(), ..told("b", Change::Fired, Level::Careful) });
    assert!(desk.pass(0.0, 10.0, &Ok(())).is_empty() && desk.dispatch.is_idle());
    desk.take(Notification { rule: "disk-full".to_owned(), ..told("b", Change::Worse, Level::Warning) });
    assert_eq!(changes(&desk.pass(10.0, 20.0, &Ok(()))), [Change::Fired]);
}

#[test]
fn an_alert_whose_rule_is_gone_is_over() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    assert_eq!(changes(&desk.pass(0.0, 10.0, &Ok(()))), [Change::Fired]);
    desk.dispatch.orphan(&HashSet::from([("cpu", "a")]), moment(10.0));
    assert!(desk.pass(10.0, 70.0, &Ok(())).is_empty());
    desk.dispatch.orphan(&HashSet::new(), moment(70.0));
    assert_eq!(changes(&desk.pass(70.0, 80.0, &Ok(()))), [Change::Cleared]);
}

#[test]
fn people_are_told_from_the_severity_on_that_a_rule_says() {
    let mut desk = Desk::new(recipient());
    let told = |change, severity| Notification { tell: Level::Critical, ..told("a", change, severity) };
    desk.take(told(Change::Fired, Level::Warning));
    assert!(desk.pass(0.0, 10.0, &Ok(())).is_empty() && desk.dispatch.is_idle());
    desk.take(told(Change::Worse, Level::Critical));
    assert_eq!(changes(&desk.pass(10.0, 20.0, &Ok(()))), [Change::Fired]);
    // who knows of it hears how it goes on
    desk.take(told(Change::Better, Level::Warning));
    assert_eq!(changes(&desk.pass(80.0, 90.0, &Ok(()))), [Change::Better]);
    desk.take(told(Change::Cleared, Level::Warning));
    assert_eq!(changes(&desk.pass(150.0, 160.0, &Ok(()))), [Change::Cleared]);
}
