use regex::Regex;

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
        forgets: false,
        timeout: Duration::from_secs(10),
        is_person: false,
        room: usize::MAX,
    }
}

fn failed(fate: Fate) -> Result<(), Failure> {
    Err(Failure { fate, ..Failure::unsent(format!("{fate:?}")) })
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
        let change = |one: &Notification| (one.alert.clone(), one.change);
        let tried = self.messages(from, until, result).into_iter();
        tried.map(|(time, message)| (time, message.notifications.iter().map(change).collect())).collect()
    }

    /// The same, with all that is told.
    fn messages(&mut self, from: f64, until: f64, result: &Result<(), Failure>) -> Vec<(f64, Message)> {
        let mut tried = Vec::new();
        let mut now = from;
        while now < until {
            self.dispatch.hear(moment(now));
            for order in self.dispatch.prepare(moment(now)) {
                tried.push((now, order.message.clone()));
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
    let tried = desk.pass(0.0, 600.0, &failed(Fate::Unsent));
    let gaps: Vec<f64> = tried.windows(2).map(|pair| (pair[1].0 - pair[0].0).round()).collect();
    assert_eq!(gaps, [5.0, 10.0, 20.0, 40.0, 80.0, 160.0]);
    desk.take(told("a", Change::Cleared, Level::Warning));
    assert_eq!(changes(&desk.pass(600.0, 1200.0, &Ok(()))), [Change::Cleared]);
    let row = &desk.dispatch.rows(moment(1200.0))[0];
    assert_eq!((row.sent, row.failed, row.waiting, row.error.as_deref()), (1, 7, 0, None));
}

#[test]
fn what_is_refused_is_owed_and_tried_seldom_and_by_itself() {
    let mut desk = Desk::new(recipient());
    for alert in ["a", "b"] {
        desk.take(told(alert, Change::Fired, Level::Warning));
    }
    let one = |alert: &str| vec![(alert.to_owned(), Change::Fired)];
    let mut tried = desk.pass(0.0, 310.0, &failed(Fate::Refused)).into_iter().map(|(_, told)| told);
    assert_eq!(tried.next().unwrap().len(), 2);
    // one of both is what it was refused for
    assert_eq!(tried.collect::<Vec<_>>(), [one("a"), one("b")]);
    let row = &desk.dispatch.rows(moment(310.0))[0];
    assert_eq!((row.failed, row.dropped, row.waiting, row.error.as_deref()), (3, 0, 2, Some("Refused")));
    // it delays nothing else
    desk.take(told("c", Change::Fired, Level::Warning));
    assert_eq!(changes(&desk.pass(310.0, 313.0, &Ok(()))), [Change::Fired]);
    // what was in its way is mended
    desk.dispatch.adopt(vec![recipient()], moment(313.0));
    assert_eq!(changes(&desk.pass(313.0, 330.0, &Ok(()))), [Change::Fired; 2]);
}

#[test]
fn what_was_refused_until_it_was_over_is_given_up_and_its_end_told_nobody() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    assert_eq!(desk.pass(0.0, 100.0, &failed(Fate::Refused)).len(), 1);
    desk.take(told("a", Change::Cleared, Level::Warning));
    assert!(desk.pass(100.0, 1000.0, &Ok(())).is_empty());
    let row = &desk.dispatch.rows(moment(1000.0))[0];
    assert_eq!((row.failed, row.dropped, row.waiting), (1, 1, 0));
    assert!(desk.dispatch.is_idle());
}

#[test]
fn what_perhaps_was_told_is_tried_again_after_the_window() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    let tried = desk.pass(0.0, 130.0, &failed(Fate::Unknown));
    let gaps: Vec<f64> = tried.windows(2).map(|pair| (pair[1].0 - pair[0].0).round()).collect();
    assert_eq!(gaps, [60.0, 60.0]);
}

#[test]
fn what_has_no_room_is_told_in_the_next_message() {
    let mut desk = Desk::new(Recipient { room: 1000, ..recipient() });
    for one in 0..20 {
        let long = Notification { text: "x".repeat(200), ..told(&format!("{one:02}"), Change::Fired, Level::Warning) };
        desk.take(long);
    }
    let tried = desk.messages(0.0, 60.0, &Ok(()));
    assert!(tried.iter().all(|(_, message)| (1..5).contains(&message.notifications.len())), "{tried:?}");
    assert_eq!(tried[0].1.more as usize, 20 - tried[0].1.notifications.len());
    assert_eq!(tried.iter().map(|(_, message)| message.notifications.len()).sum::<usize>(), 20);
    // one that is too long by itself goes all the same
    desk.take(Notification { text: "x".repeat(2000), ..told("long", Change::Fired, Level::Warning) });
    assert_eq!(desk.pass(60.0, 70.0, &Ok(())).len(), 1);
}

#[test]
fn who_reads_all_of_it_is_told_less_often_in_a_storm_but_for_what_is_critical() {
    let mut desk = Desk::new(Recipient { is_person: true, ..recipient() });
    let mut told_at = Vec::new();
    for second in 0..60 {
        desk.take(told(&format!("{second:02}"), Change::Fired, Level::Warning));
        told_at.extend(desk.pass(f64::from(second), f64::from(second + 1), &Ok(())));
    }
    assert!((5..8).contains(&told_at.len()), "{told_at:?}");
    desk.take(told("worse", Change::Fired, Level::Critical));
    let tried = desk.pass(60.0, 63.0, &Ok(()));
    assert!(tried.iter().any(|(_, told)| told.iter().any(|(alert, _)| alert == "worse")), "{tried:?}");
    told_at.extend(tried);
    told_at.extend(desk.pass(63.0, 200.0, &Ok(())));
    let all: usize = told_at.iter().map(|(_, told)| told.len()).sum();
    assert_eq!(all, 61);
    // when it is calm again nobody waits
    desk.take(told("later", Change::Fired, Level::Warning));
    assert_eq!(desk.pass(300.0, 301.0, &Ok(())).len(), 1);
}

#[test]
fn each_change_of_a_message_has_an_end_of_its_own() {
    let mut desk = Desk::new(recipient());
    for alert in ["a", "b"] {
        desk.take(told(alert, Change::Fired, Level::Warning));
    }
    let partly = failed(Fate::Unsent).map_err(|failure| failure.but(vec!["a-fired".to_owned()]));
    assert_eq!(changes(&desk.pass(0.0, 3.0, &partly)).len(), 2);
    assert_eq!(desk.pass(3.0, 100.0, &Ok(()))[0].1, [("b".to_owned(), Change::Fired)]);
    // all were told, though not everywhere
    desk.take(told("c", Change::Fired, Level::Warning));
    let mostly = failed(Fate::Refused).map_err(|failure| failure.but(vec!["c-fired".to_owned()]));
    assert_eq!(desk.pass(100.0, 200.0, &mostly).len(), 1);
    let row = &desk.dispatch.rows(moment(200.0))[0];
    assert_eq!((row.sent, row.failed, row.error.as_deref()), (2, 1, Some("Refused")));
}

#[test]
fn what_nobody_knew_may_be_told_late() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    desk.dispatch.prepare(moment(0.0));
    let order = desk.dispatch.prepare(moment(1.0)).remove(0);
    desk.outbox.outcome(Outcome { seq: order.seq, result: failed(Fate::Unknown) });
    desk.dispatch.hear(moment(2.0));
    desk.outbox.outcome(Outcome { seq: order.seq, result: Ok(()) });
    assert!(desk.pass(3.0, 200.0, &Ok(())).is_empty());
    assert_eq!(desk.dispatch.rows(moment(200.0))[0].sent, 1);
}

#[test]
fn an_action_that_may_take_long_is_waited_for() {
    let mut desk = Desk::new(Recipient { timeout: Duration::from_mins(10), ..recipient() });
    desk.take(told("a", Change::Fired, Level::Warning));
    desk.dispatch.prepare(moment(0.0));
    let order = desk.dispatch.prepare(moment(1.0)).remove(0);
    assert!(desk.pass(1.0, 600.0, &Ok(())).is_empty());
    desk.outbox.outcome(Outcome { seq: order.seq, result: Ok(()) });
    assert!(desk.pass(600.0, 700.0, &Ok(())).is_empty());
    assert_eq!(desk.dispatch.rows(moment(700.0))[0].sent, 1);
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
    assert_eq!(desk.dispatch.rows(moment(1.0))[0].dropped, 0, "those that go on are told when there is room");
    desk.take(told(&format!("{MOST:04}"), Change::Cleared, Level::Warning));
    assert_eq!(desk.dispatch.rows(moment(1.0))[0].dropped, 1);
}

#[test]
fn who_was_killed_between_an_attempt_and_its_outcome_tries_again_after_the_window() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    desk.dispatch.prepare(moment(0.0));
    assert_eq!(desk.dispatch.prepare(moment(1.0)).len(), 1);
    let kept = serde_json::to_string(&desk.dispatch.kept(moment(0.0))).unwrap();
    let mut again = Desk::new(recipient());
    again.dispatch.restore(serde_json::from_str(&kept).unwrap(), moment(2.0));
    let tried = again.pass(2.0, 200.0, &Ok(()));
    assert_eq!(changes(&tried), [Change::Fired]);
    assert!((61.0..62.0).contains(&tried[0].0), "{tried:?}");
    // one that was told is not told again
    let kept = serde_json::to_string(&again.dispatch.kept(moment(200.0))).unwrap();
    let mut third = Desk::new(recipient());
    third.dispatch.restore(serde_json::from_str(&kept).unwrap(), moment(200.0));
    assert!(third.pass(200.0, 400.0, &Ok(())).is_empty());
}

#[test]
fn who_wants_to_be_left_alone_is_but_not_for_ever() {
    for (asked, again) in [(40, 40.0), (1, 5.0), (u32::MAX, 900.0)] {
        let mut desk = Desk::new(recipient());
        desk.take(told("web", Change::Fired, Level::Critical));
        let failure = Failure::unsent("429".to_owned()).after(Some(Duration::from_secs(asked.into())));
        let tried = desk.pass(0.0, 1000.0, &Err(failure));
        let (first, second) = (tried[0].0, tried[1].0);
        assert!((again..again + 1.0).contains(&(second - first)), "{asked}: {first} {second}");
    }
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
fn what_goes_on_is_told_again_where_that_is_wanted_and_is_another_message_each_time() {
    let mut desk = Desk::new(Recipient { repeat: Some(Duration::from_mins(5)), ..recipient() });
    desk.take(told("a", Change::Fired, Level::Warning));
    let mut tried = desk.messages(0.0, 1000.0, &Ok(()));
    // until it is known that it was told it is the same one
    tried.extend(desk.messages(1000.0, 1230.0, &failed(Fate::Unsent)));
    let of = |tried: &[(f64, Message)]| -> Vec<(Change, String)> {
        tried
            .iter()
            .map(|(_, message)| (message.notifications[0].change, message.notifications[0].id.clone()))
            .collect()
    };
    let told = of(&tried);
    assert_eq!(
        told.iter().map(|(change, _)| *change).collect::<Vec<_>>()[..4],
        [Change::Fired, Change::Still, Change::Still, Change::Still]
    );
    let ids: HashSet<&String> = told.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 5, "{told:?}");
    assert!(told.len() > 6 && told[4..].iter().all(|(_, id)| *id == told[4].1), "{told:?}");
}

#[test]
fn who_forgets_is_told_on_what_nobody_else_is_told_of() {
    let recipient = Recipient { repeat: Some(Duration::from_mins(1)), forgets: true, ..recipient() };
    let mut desk = Desk::new(recipient);
    desk.take(told("a", Change::Fired, Level::Warning));
    assert_eq!(desk.pass(0.0, 10.0, &Ok(())).len(), 1);
    desk.dispatch.mute(&|_| true);
    desk.take(told("a", Change::Worse, Level::Critical));
    desk.take(told("b", Change::Fired, Level::Warning));
    desk.dispatch.mute(&|_| true);
    let tried = desk.messages(10.0, 190.0, &Ok(()));
    let what = |one: &Notification| (one.alert.clone(), one.change, one.severity);
    let all: Vec<_> = tried.iter().flat_map(|(_, message)| message.notifications.iter().map(what)).collect();
    assert_eq!(all, vec![("a".to_owned(), Change::Still, Level::Warning); 3]);
    desk.dispatch.mute(&|_| false);
    assert_eq!(changes(&desk.pass(190.0, 300.0, &Ok(())))[..2], [Change::Fired, Change::Worse]);
    // and never so late that it would be over there
    desk.pass(300.0, 2000.0, &failed(Fate::Unsent));
    let tried = desk.pass(2000.0, 2070.0, &Ok(()));
    assert!(!tried.is_empty() && tried[0].0 < 2062.0, "{tried:?}");
}

#[test]
fn who_comes_later_is_told_what_goes_on_and_so_is_who_had_no_room() {
    let mut desk = Desk::new(recipient());
    let fire = |alert: &'static str, severity| Firing {
        rule: "cpu",
        instance: alert,
        severity,
        told: Box::new(move || told(alert, Change::Fired, severity)),
    };
    desk.dispatch.find(&[fire("a", Level::Warning), fire("b", Level::Careful)]);
    assert_eq!(desk.pass(0.0, 10.0, &Ok(()))[0].1, [("a".to_owned(), Change::Fired)]);
    desk.dispatch.find(&[fire("a", Level::Warning)]);
    assert!(desk.pass(10.0, 200.0, &Ok(())).is_empty());
}

#[test]
fn a_clock_that_is_put_back_silences_nobody() {
    let mut desk = Desk::new(recipient());
    let at = |wall: f64, mono: f64| Moment { time: moment(wall).time, ..moment(mono) };
    desk.take(told("a", Change::Fired, Level::Warning));
    assert_eq!(desk.pass(0.0, 1.0, &Ok(())).len(), 1);
    desk.take(told("a", Change::Cleared, Level::Warning));
    assert_eq!(desk.dispatch.prepare(at(-3600.0, 71.0)).len(), 1);
    // nor what was written down before it was
    let kept = serde_json::to_string(&desk.dispatch.kept(at(3600.0, 71.0))).unwrap();
    let mut again = Desk::new(recipient());
    again.dispatch.restore(serde_json::from_str(&kept).unwrap(), moment(100.0));
    assert_eq!(changes(&again.pass(100.0, 165.0, &Ok(()))), [Change::Cleared]);
}

#[test]
fn what_was_told_before_is_known_also_when_that_comes_late() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    desk.pass(0.0, 10.0, &Ok(()));
    let kept = desk.dispatch.kept(moment(10.0));
    let mut again = Desk::new(recipient());
    again.take(told("a", Change::Fired, Level::Warning));
    again.dispatch.restore(kept, moment(20.0));
    assert!(again.pass(20.0, 200.0, &Ok(())).is_empty());
    again.take(told("a", Change::Cleared, Level::Warning));
    assert_eq!(changes(&again.pass(200.0, 300.0, &Ok(()))), [Change::Cleared]);
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
    let tried = desk.messages(70.0, 80.0, &Ok(()));
    let [(_, message)] = tried.as_slice() else { panic!("{tried:?}") };
    assert_eq!(message.notifications[0].change, Change::Cleared);
    assert_ne!(message.notifications[0].id, "a-fired", "it is another message");
}

#[test]
fn an_alertmanager_is_told_before_it_takes_silence_for_the_end() {
    let text = "name = 'am'\nwindow = '10m'\nalertmanager = { urls = ['https://h'], resend = '30s' }";
    let recipient = Recipient::of(&toml::from_str(text).unwrap());
    let most = Duration::from_secs(30);
    assert_eq!((recipient.window, recipient.repeat, recipient.longest()), (most, Some(most), most));
    assert!(recipient.forgets && !recipient.is_person);
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

#[test]
fn what_comes_and_goes_while_another_message_is_under_way_is_told() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    assert!(desk.dispatch.prepare(moment(0.0)).is_empty());
    let order = desk.dispatch.prepare(moment(1.0)).remove(0);
    let seq = order.seq;
    desk.dispatch.send(order, moment(1.0));
    desk.take(told("b", Change::Fired, Level::Critical));
    assert!(desk.dispatch.prepare(moment(2.0)).is_empty());
    desk.take(told("b", Change::Cleared, Level::Critical));
    assert!(desk.dispatch.prepare(moment(3.0)).is_empty());
    desk.outbox.outcome(Outcome { seq, result: Ok(()) });
    assert_eq!(changes(&desk.pass(4.0, 20.0, &Ok(()))), [Change::Cleared]);
}

#[test]
fn an_order_that_nobody_takes_does_not_pile_up() {
    let mut desk = Desk::new(recipient());
    desk.take(told("a", Change::Fired, Level::Warning));
    let mut now = 0.0;
    while now < 4000.0 {
        desk.dispatch.hear(moment(now));
        for order in desk.dispatch.prepare(moment(now)) {
            desk.dispatch.send(order, moment(now));
        }
        now += 1.0;
    }
    let link = desk.outbox.link();
    let taken = std::iter::from_fn(|| desk.outbox.next(link, Duration::ZERO).ok().flatten()).count();
    assert!(taken <= 1, "{taken}");
}
