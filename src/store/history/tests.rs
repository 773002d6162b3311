use proptest::prelude::*;

use super::past::{MAX_TOP_ROWS, TOP_ROWS};
use super::*;
use crate::model::{Cell, Detail, Key, Mono, Point};
use crate::store::made::{CpuRow, cpu, sample, task};
use crate::store::rate::Mode;

fn ask(name: &str, column: &str) -> HistoryAsk {
    let key = Key::from_cells([Cell::Text(name)]);
    HistoryAsk::all("made_cpu", column, key)
}

fn forty() -> Vec<String> {
    (0..40).map(|i| format!("cpu{i}")).collect()
}

/// Records `count` seconds of CPUs whose counters grow by one half for each second.
fn record(history: &mut History, names: &[&str], from: u32, count: u32) {
    for second in from..from + count {
        let at = |second: u32| -> Vec<CpuRow> {
            names.iter().map(|name| cpu(name, f64::from(second) / 2.0, u64::from(second))).collect()
        };
        let before = sample(f64::from(second) - 1.0, at(second.saturating_sub(1)));
        let now = sample(f64::from(second), at(second));
        history.record(&View::new(&now, (second > from).then_some(&before), Mode::Rate));
    }
}

#[test]
fn rates_are_remembered_and_a_first_sample_is_a_gap() {
    let mut history = History::default();
    record(&mut history, &["a"], 0, 5);
    let series = history.series(&ask("a", "user")).unwrap();
    assert_eq!(series.points.len(), 5);
    assert!(series.points[0].is_gap());
    assert!(series.points[1..].iter().all(|point| (point.mean - 0.5).abs() < 1e-6), "{series:?}");
    assert!(series.points.is_sorted_by(|a, b| a.time <= b.from));
    let since = HistoryAsk { since: Some(series.points[2].time), ..ask("a", "user") };
    assert_eq!(history.series(&since).unwrap().points.len(), 2);
    assert_eq!(history.series(&ask("b", "user")), None);
    assert_eq!(history.series(&ask("a", "name")), None);
}

#[test]
fn a_sample_counts_once_even_if_it_is_recorded_twice() {
    let mut history = History::default();
    record(&mut history, &["a"], 0, 3);
    record(&mut history, &["a"], 2, 1);
    assert_eq!(history.series(&ask("a", "ticks")).unwrap().points.len(), 3);
}

#[test]
fn ten_minutes_are_fine_and_what_is_older_is_a_mean_of_a_minute() {
    let mut history = History::default();
    record(&mut history, &["a"], 0, 3600);
    let series = history.series(&ask("a", "ticks")).unwrap();
    let (points, newest) = (&series.points, series.points.last().unwrap().time);
    let fine = points.iter().filter(|point| point.time > series.fine.unwrap()).count();
    assert!((600..=601).contains(&fine), "{fine}");
    assert!((3540.0..=3601.0).contains(&newest.since(points[0].from)), "{}", newest.since(points[0].from));
    assert_eq!((series.oldest, series.cut), (Some(points[0].from), None));
    assert!(points.windows(2).all(|pair| pair[0].time == pair[1].from), "no moment is told twice or not at all");
    assert!(points.len() < 660 && points.iter().all(|point| point.is_gap() || (point.mean - 1.0).abs() < 1e-6));
    record(&mut history, &["a"], 90_000, 3);
    assert!(history.series(&ask("a", "ticks")).unwrap().points.len() <= 3, "a day has passed");
}

#[test]
fn the_past_of_a_row_begins_with_its_first_sample() {
    let mut history = History::default();
    // in the middle of a minute, which is remembered as such, too
    for (samples, begin) in [(20..120, 20), (120..1200, 21)] {
        shares(&mut history, samples.start, samples.map(f64::from));
        let series = history.series(&share()).unwrap();
        let begin = Some(Mono(begin * SECOND));
        assert_eq!((series.oldest, series.points.first().map(|point| point.from)), (begin, begin));
    }
}

#[test]
fn a_row_that_was_away_has_a_gap_and_one_that_stays_away_is_forgotten() {
    let mut history = History::default();
    record(&mut history, &["a", "b"], 0, 3);
    record(&mut history, &["b"], 3, 2);
    record(&mut history, &["a", "b"], 5, 2);
    let values: Vec<bool> = history.series(&ask("a", "ticks")).unwrap().points.iter().map(Point::is_gap).collect();
    assert_eq!(values, [true, false, false, true, true, true, false]);
    record(&mut history, &["b"], 10, 700);
    assert_eq!(history.series(&ask("a", "ticks")), None);
    assert_eq!(history.rows(), 1);
}

#[test]
fn the_memory_bound_holds_and_what_it_costs_is_counted() {
    let limit = 64 << 10;
    let mut history = History::new(limit);
    let names = forty();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    record(&mut history, &names, 0, 600);
    assert!(history.bytes() <= limit, "{}", history.bytes());
    let series = history.series(&ask("cpu7", "ticks")).unwrap();
    assert!(history.evicted() > 0 && series.evicted == history.evicted());
    assert!(!series.points.is_empty());
    let mut tiny = History::new(1);
    record(&mut tiny, &names, 0, 3);
    assert!(tiny.rows() <= 1, "{}", tiny.rows());
}

#[test]
fn rows_stay_as_long_as_points_can_be_given_up_instead() {
    let names = forty();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for limit in [68 << 10, 76 << 10, 100 << 10] {
        let mut history = History::new(limit);
        for second in 0..700 {
            record(&mut history, &names, second, 1);
            assert_eq!(history.rows(), names.len(), "{limit} at {second}");
        }
        assert!(history.evicted() > 0 && history.bytes() <= limit);
    }
}

#[test]
fn where_not_all_rows_fit_the_same_ones_keep_their_past_and_so_does_one_that_is_asked_for() {
    let names = forty();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut history = History::new(40 << 10);
    record(&mut history, &names[38..], 0, 1);
    let mut points = |name: &str| history.series(&ask(name, "ticks")).map(|series| series.points.len());
    assert_eq!(points("cpu38"), Some(1));
    record(&mut history, &names, 1, 100);
    let mut points = |name: &str| history.series(&ask(name, "ticks")).map_or(0, |series| series.points.len());
    let (watched, first, last) = (points("cpu38"), points("cpu0"), points("cpu39"));
    assert!(watched > 1 && first > 1 && last <= 1, "{watched} {first} {last}");
    assert!((10..40).contains(&history.rows()), "{}", history.rows());
}

#[test]
fn the_memory_that_is_allowed_is_used() {
    let limit = 256 << 10;
    let mut history = History::new(limit);
    let names = forty();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    record(&mut history, &names, 0, 200);
    let mut fewest = usize::MAX;
    for second in 200..600 {
        record(&mut history, &names, second, 1);
        assert!(history.bytes() <= limit);
        fewest = fewest.min(history.series(&ask("cpu7", "ticks")).unwrap().points.len());
    }
    let point = names.len() * 5 * size_of::<f32>();
    assert!(fewest * point > limit / 2, "{fewest} points of {point} bytes of {limit}");
}

#[test]
fn long_names_count_against_the_bound() {
    let limit = 64 << 10;
    let mut history = History::new(limit);
    let names: Vec<String> = (0..100).map(|i| format!("{i:04000}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    record(&mut history, &names, 0, 2);
    assert!(history.bytes() <= limit && history.rows() <= limit / 4000, "{} rows", history.rows());
}

#[test]
fn ten_minutes_are_kept_at_the_shortest_interval() {
    let mut history = History::default();
    for tenth in 0..6000_u32 {
        let at = f64::from(tenth) / 10.0;
        history.record(&View::new(&sample(at, vec![cpu("a", at, u64::from(tenth))]), None, Mode::Rate));
    }
    assert_eq!(history.series(&ask("a", "busy")).unwrap().points.len(), 6000);
}

#[test]
fn short_lived_rows_leave_nothing_behind() {
    let mut history = History::default();
    let mut most = 0;
    for second in 0..2000_u32 {
        let rows = (0..100).map(|i| task(second * 100 + i, f64::from(i))).collect();
        history.record(&View::new(&sample(f64::from(second), rows), None, Mode::Rate));
        most = most.max(history.rows());
    }
    assert!(most <= MAX_TOP_ROWS && history.bytes() < DEFAULT_LIMIT, "{most} {}", history.bytes());
}

#[test]
fn a_row_that_is_asked_for_is_recorded_though_it_is_idle() {
    let mut history = History::default();
    let step = |history: &mut History, second: u32| {
        let rows = (0..100).map(|i| task(i, f64::from(i))).collect();
        history.record(&View::new(&sample(f64::from(second), rows), None, Mode::Rate));
    };
    let key = |pid: u64| HistoryAsk::all("made_task", "share", Key::from_cells([Cell::U64(pid)]));
    step(&mut history, 0);
    assert_eq!(history.rows(), TOP_ROWS);
    assert!(history.series(&key(99)).is_some() && history.series(&key(3)).is_none());
    step(&mut history, 1);
    assert_eq!(history.series(&key(3)).unwrap().points.iter().map(|point| point.mean).collect::<Vec<_>>(), [3.0]);
}

/// Records one row of the busy table with a share for each second.
fn shares(history: &mut History, from: u32, shares: impl IntoIterator<Item = f64>) {
    for (second, share) in (from..).zip(shares) {
        history.record(&View::new(&sample(f64::from(second), vec![task(1, share)]), None, Mode::Rate));
    }
}

fn share() -> HistoryAsk {
    HistoryAsk::all("made_task", "share", Key::from_cells([Cell::U64(1)]))
}

#[test]
fn a_minute_tells_the_second_that_stands_out_and_nothing_that_was_not_measured() {
    let mut history = History::default();
    shares(&mut history, 0, (0..1500).map(|second| if second == 130 { 90.0 } else { 10.0 }));
    let minutes = history.series(&share()).unwrap().points;
    // the clock of made samples begins with 1 s
    let minute = minutes.iter().find(|point| point.time == Mono(3 * MINUTE)).unwrap();
    assert_eq!((minute.from, minute.least, minute.most), (Mono(2 * MINUTE), 10.0, 90.0));
    assert!((minute.mean - (59.0 * 10.0 + 90.0) / 60.0).abs() < 1e-5);
    assert_eq!(minutes.iter().filter(|point| point.most > 10.0).count(), 1);
    // an hour without samples is a gap, also in steps of ten minutes
    shares(&mut history, 5100, [20.0; 100]);
    let step = std::time::Duration::from_mins(10);
    let range = HistoryAsk { until: Some(Mono(5400 * SECOND)), detail: Detail::Step(step), ..share() };
    let told = history.series(&range).unwrap().points;
    let most: Vec<Option<f64>> = told.iter().map(|point| (!point.is_gap()).then_some(point.most)).collect();
    let (gap, busy) = (None, Some(10.0));
    assert_eq!(most, [Some(90.0), busy, busy, gap, gap, gap, gap, gap, Some(20.0)]);
}

#[test]
fn the_newest_points_are_the_last_of_all() {
    let mut history = History::default();
    shares(&mut history, 0, (0..1500).map(f64::from));
    for until in [None, Some(Mono(1300 * SECOND)), Some(Mono(500 * SECOND)), Some(Mono(0))] {
        let all = history.series(&HistoryAsk { until, ..share() }).unwrap().points;
        for count in [0, 1, 30, 399, 400, 401, 600, 601, 605, 9999] {
            let ask = HistoryAsk { until, detail: Detail::Newest(count), ..share() };
            let newest = history.series(&ask).unwrap().points;
            assert_eq!(newest, all[all.len().saturating_sub(count)..], "{count} until {until:?}");
        }
    }
}

#[test]
fn what_the_bound_took_is_told_with_where_the_rest_begins() {
    let mut history = History::new(24 << 10);
    shares(&mut history, 0, (0..40_000).map(f64::from));
    let series = history.series(&share()).unwrap();
    assert!(history.bytes() <= 24 << 10 && series.evicted > 0);
    assert!(series.cut.is_some() && series.cut <= series.oldest, "{:?} {:?}", series.cut, series.oldest);
    assert_eq!(series.oldest, Some(series.points[0].from));
    let mut roomy = History::default();
    shares(&mut roomy, 0, (0..4000).map(f64::from));
    assert_eq!(roomy.series(&share()).unwrap().cut, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_the_step_the_most_is_told_and_a_hole_is_not_filled(
        // shorter ones are a single sample or minute between two pauses, as a table that is sampled seldom has them
        bursts in prop::collection::vec((0_u32..2000, 150_usize..400, 1_u32..1000), 1..8),
        step in 5_u64..5000,
    ) {
        let mut history = History::default();
        let (mut second, mut most, mut measured) = (0, 0.0_f64, 0);
        for (pause, count, seed) in bursts {
            second += pause;
            let values: Vec<f64> = (0..count as u32).map(|i| f64::from((i * 7919 + seed * 31) % 1000 + 1)).collect();
            most = values.iter().copied().fold(most, f64::max);
            measured += count as u64;
            shares(&mut history, second, values);
            second += count as u32;
        }
        let detail = Detail::Step(std::time::Duration::from_secs(step));
        let points = history.series(&HistoryAsk { detail, ..share() }).unwrap().points;
        let told: Vec<&Point> = points.iter().filter(|point| !point.is_gap()).collect();
        prop_assert_eq!(told.iter().map(|point| point.most).fold(0.0, f64::max).to_bits(), most.to_bits());
        prop_assert!(told.iter().all(|point| point.least >= 1.0), "nothing was zero");
        // a burst may be told up to the ends of the steps and minutes that it began and ended in
        let bound = measured + 8 * 2 * (step + 60);
        prop_assert!(told.len() as u64 * step <= bound, "{} steps of {}, {} measured", told.len(), step, measured);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn the_bytes_that_are_counted_are_those_that_a_walk_finds(
        limit in prop::sample::select(vec![1_usize, 20 << 10, 200 << 10, 4 << 20]),
        steps in prop::collection::vec((0_u32..90, 0_u32..60, 0_usize..70, any::<bool>()), 1..120),
    ) {
        let mut history = History::new(limit);
        let mut second = 0;
        for (pause, first, count, is_cpu) in steps {
            // now and then a row stays away for minutes
            second += 1 + if pause > 80 { pause * 10 } else { pause / 30 };
            let (at, rows) = (f64::from(second), first..first + count as u32);
            let view = if is_cpu {
                let rows = rows.map(|i| cpu(&"x".repeat(i as usize), at, u64::from(i))).collect();
                View::new(&sample(at, rows), None, Mode::Rate)
            } else {
                View::new(&sample(at, rows.map(|i| task(i, f64::from(i % 7) * at)).collect()), None, Mode::Rate)
            };
            history.record(&view);
            prop_assert_eq!(history.bytes(), history.walk());
        }
    }
}
