use super::*;
use crate::store::made::{CpuRow, SampleRow, cpu, row, sample};
use crate::{col, model::Cell};
use proptest::prelude::*;

fn views(before: Vec<CpuRow>, now: Vec<CpuRow>) -> (View, View) {
    let (before, now) = (sample(0.0, before), sample(2.0, now));
    (View::new(&now, Some(&before), Mode::Rate), View::new(&now, Some(&before), Mode::Total))
}

const USER: usize = col!(CpuRow, user);
const TICKS: usize = col!(CpuRow, ticks);
const SHARE: usize = col!(CpuRow, share);
const BUSY: usize = col!(CpuRow, busy);
const FREE: usize = col!(CpuRow, fill);

#[test]
fn a_counter_is_a_rate_or_a_total_as_the_reader_asks() {
    let (rate, total) = views(vec![cpu("0", 10.0, 100)], vec![cpu("0", 11.0, 300)]);
    assert_eq!(rate.cell(0, USER), Cell::F64(0.5));
    assert_eq!(rate.cell(0, TICKS), Cell::F64(100.0));
    assert_eq!(rate.delta(0, TICKS), Some(200.0));
    assert_eq!(total.cell(0, USER), Cell::F64(11.0));
    assert_eq!(total.cell(0, TICKS), Cell::U64(300));
    assert!(!rate.unknown(0, USER) && !total.unknown(0, USER));
}

#[test]
fn derived_columns_take_deltas_in_both_modes() {
    let (rate, total) = views(vec![cpu("0", 10.0, 100)], vec![cpu("0", 11.0, 300)]);
    for view in [rate, total] {
        assert_eq!(view.cell(0, SHARE), Cell::F64(1.0 / 200.0));
        assert_eq!(view.cell(0, BUSY), Cell::F64(0.5));
        assert_eq!(view.cell(0, FREE), Cell::F64(1.5), "a Derived column of a Derived one");
    }
}

#[test]
fn a_first_sample_is_unknown() {
    let now = sample(0.0, vec![cpu("0", 10.0, 100)]);
    let view = View::new(&now, None, Mode::Rate);
    assert!(view.cell(0, USER).is_missing() && view.unknown(0, USER) && view.unknown(0, BUSY) && view.unknown(0, FREE));
    assert_eq!(view.elapsed(), None);
    let total = View::new(&now, None, Mode::Total);
    assert!(!total.unknown(0, USER) && total.unknown(0, BUSY));
}

#[test]
fn a_counter_that_went_down_is_unknown_and_the_others_go_on() {
    let (view, _) = views(vec![cpu("0", 10.0, 100)], vec![cpu("0", 9.0, 300)]);
    assert!(view.cell(0, USER).is_missing() && view.unknown(0, USER));
    assert_eq!(view.cell(0, TICKS), Cell::F64(100.0));
}

#[test]
fn a_row_that_appears_is_unknown_and_one_that_moves_is_found() {
    for names in [["a", "b", "c"], ["c", "a", "b"]] {
        let before = vec![cpu(names[0], 1.0, 1), cpu(names[2], 3.0, 3)];
        let now = vec![cpu("x", 0.0, 0), cpu(names[2], 5.0, 9), cpu(names[0], 1.0, 3)];
        let (view, _) = views(before, now);
        assert!(view.unknown(0, TICKS));
        assert_eq!((view.delta(1, TICKS), view.delta(2, TICKS)), (Some(6.0), Some(2.0)));
    }
}

#[test]
fn duplicate_keys_are_unknown_in_either_sample() {
    let once = || vec![cpu("a", 1.0, 1), cpu("b", 1.0, 1)];
    let twice = || vec![cpu("a", 1.0, 1), cpu("b", 1.0, 1), cpu("a", 2.0, 2)];
    for (before, now) in [(once(), twice()), (twice(), once()), (twice(), twice())] {
        let (view, _) = views(before, now);
        assert!(view.unknown(0, TICKS));
        assert_eq!(view.delta(1, TICKS), Some(0.0));
    }
}

#[test]
fn time_that_stands_or_runs_back_gives_no_rate() {
    let (old, new) = (sample(5.0, vec![cpu("a", 1.0, 1)]), sample(5.0, vec![cpu("a", 2.0, 2)]));
    assert!(View::new(&new, Some(&old), Mode::Rate).unknown(0, TICKS));
    let future = sample(9.0, vec![cpu("a", 1.0, 1)]);
    assert!(View::new(&new, Some(&future), Mode::Rate).unknown(0, TICKS));
}

#[test]
fn a_counter_keeps_its_last_digits_near_its_end() {
    let (view, _) = views(vec![cpu("a", 0.0, u64::MAX - 3)], vec![cpu("a", 0.0, u64::MAX)]);
    assert_eq!(view.delta(0, TICKS), Some(3.0));
}

#[test]
fn division_by_zero_is_missing_and_not_unknown() {
    let (view, _) = views(vec![cpu("a", 1.0, 5)], vec![cpu("a", 2.0, 5)]);
    assert!(view.cell(0, SHARE).is_missing() && !view.unknown(0, SHARE));
}

#[test]
fn what_was_never_measured_is_missing_and_not_unknown() {
    let now = sample(1.0, vec![row()]);
    let view = View::new(&now, None, Mode::Rate);
    assert!(view.cell(0, col!(SampleRow, half)).is_missing() && !view.unknown(0, col!(SampleRow, half)));
}

#[test]
fn samples_of_different_tables_are_never_paired() {
    let (now, before) = (sample(1.0, vec![cpu("a", 1.0, 1)]), sample(0.0, vec![row()]));
    assert!(View::new(&now, Some(&before), Mode::Rate).unknown(0, TICKS));
}

#[test]
fn every_registered_derived_column_makes_sense() {
    for table in crate::collect::COLLECTORS.iter().flat_map(|entry| entry.tables) {
        let mistakes = crate::store::mistakes(table);
        assert!(mistakes.is_empty(), "{}: {mistakes:?}", table.name);
    }
    assert!(crate::store::mistakes(CpuRow::TABLE).is_empty());
}

proptest! {
    #[test]
    fn rates_are_never_negative_and_pair_only_equal_keys(
        before in prop::collection::vec((0..9_u8, any::<u64>()), 0..12),
        now in prop::collection::vec((0..9_u8, any::<u64>()), 0..12),
    ) {
        let rows = |list: &[(u8, u64)]| list.iter().map(|(name, ticks)| cpu(&name.to_string(), 0.0, *ticks)).collect();
        let (view, _) = views(rows(&before), rows(&now));
        for (i, (name, ticks)) in now.iter().enumerate() {
            let same: Vec<_> = before.iter().filter(|(other, _)| other == name).collect();
            let unique = same.len() == 1 && now.iter().filter(|(other, _)| other == name).count() == 1;
            let want = unique.then(|| ticks.checked_sub(same[0].1)).flatten().map(|delta| delta as f64);
            prop_assert_eq!(view.delta(i, TICKS), want);
            prop_assert!(view.rate(i, TICKS).is_none_or(|rate| rate >= 0.0));
        }
    }
}
