use super::*;
use crate::col;
use crate::model::Text;
use crate::store::made::{CpuRow, SampleRow, TaskRow, cpu, row, sample, task};
use crate::store::rate::Mode;
use proptest::prelude::*;

fn view(rows: Vec<SampleRow>) -> View {
    View::new(&sample(0.0, rows), None, Mode::Rate)
}

fn made(pid: u64, rss: Option<u64>) -> SampleRow {
    SampleRow { pid, rss, name: Text::from(format!("n{}", pid % 3)), ..row() }
}

const RSS: usize = col!(SampleRow, rss);

#[test]
fn filter_comes_before_sort_and_sort_before_limit() {
    let view = view(vec![made(1, Some(5)), made(2, Some(50)), made(3, Some(20)), made(4, Some(10))]);
    let filter = Filter::parse("rss < 40", SampleRow::TABLE).unwrap();
    let query = Query { filter: Some(filter), sort: vec![(RSS, Order::Descending)], limit: Some(2) };
    assert_eq!(run(&view, &query), [2, 3]);
    assert_eq!(run(&view, &Query { limit: Some(0), ..query }), [0; 0]);
}

#[test]
fn missing_is_last_in_both_directions_and_ties_go_by_key() {
    let view = view(vec![made(9, None), made(8, Some(1)), made(7, Some(2)), made(6, Some(1)), made(5, None)]);
    for (order, want) in [(Order::Ascending, [3, 1, 2, 4, 0]), (Order::Descending, [2, 3, 1, 4, 0])] {
        assert_eq!(run(&view, &Query { sort: vec![(RSS, order)], ..Query::default() }), want);
    }
    let two = vec![(col!(SampleRow, name), Order::Descending), (RSS, Order::Ascending)];
    assert_eq!(run(&view, &Query { sort: two, ..Query::default() }), [1, 4, 2, 3, 0]);
}

#[test]
fn the_default_order_is_by_key_and_naturally() {
    let names = ["10", "2", "all", "0"];
    let rows: Vec<CpuRow> = names.iter().map(|name| cpu(name, 0.0, 0)).collect();
    let view = View::new(&sample(0.0, rows), None, Mode::Rate);
    assert_eq!(
        run(&view, &Query::default()).iter().map(|row| names[*row]).collect::<Vec<_>>(),
        ["all", "0", "2", "10"]
    );
    assert_eq!(default_sort(TaskRow::TABLE), [(col!(TaskRow, share), Order::Descending)]);
    assert_eq!(default_sort(SampleRow::TABLE), []);
}

#[test]
fn a_sort_by_an_unknown_rate_falls_back_to_the_key() {
    let rows = vec![cpu("b", 9.0, 0), cpu("a", 1.0, 0)];
    let view = View::new(&sample(0.0, rows), None, Mode::Rate);
    let sort = vec![(col!(CpuRow, busy), Order::Descending)];
    assert_eq!(run(&view, &Query { sort, ..Query::default() }), [1, 0]);
}

#[test]
fn groups_fold_what_is_known() {
    let view = view(vec![made(1, Some(5)), made(2, None), made(4, Some(7)), made(3, None)]);
    let folds = [(RSS, Fold::Sum), (RSS, Fold::Max), (RSS, Fold::Min)];
    let groups = group(&view, &[0, 1, 2, 3], col!(SampleRow, name), &folds);
    let seen: Vec<_> =
        groups.iter().map(|g| (g.value.as_cell().text().unwrap().to_owned(), &*g.rows, &*g.folds)).collect();
    assert_eq!(
        seen,
        [
            ("n0".to_owned(), [3].as_slice(), [None, None, None].as_slice()),
            ("n1".to_owned(), &[0, 2], &[Some(12.0), Some(7.0), Some(5.0)]),
            ("n2".to_owned(), &[1], &[None, None, None]),
        ]
    );
    assert_eq!(fold(&view, &[], RSS, Fold::Sum), None);
}

proptest! {
    #[test]
    fn the_first_rows_of_a_sort_are_those_of_the_whole_sort(
        shares in prop::collection::vec(prop::num::f64::ANY, 0..40), limit in 0..50_usize, down in any::<bool>(),
    ) {
        let rows: Vec<TaskRow> = shares.iter().enumerate().map(|(i, share)| task(i as u32 / 2, *share)).collect();
        let view = View::new(&sample(0.0, rows), None, Mode::Rate);
        let order = if down { Order::Descending } else { Order::Ascending };
        let sort = vec![(col!(TaskRow, share), order)];
        let whole = run(&view, &Query { sort: sort.clone(), ..Query::default() });
        let part = run(&view, &Query { sort, limit: Some(limit), ..Query::default() });
        prop_assert_eq!(&part[..], &whole[..limit.min(whole.len())]);
        let placed: Vec<f64> = whole.iter().map(|row| shares[*row]).take_while(|share| share.is_finite()).collect();
        let sorted = placed.is_sorted_by(|a, b| if down { a >= b } else { a <= b });
        prop_assert!(sorted);
        prop_assert_eq!(placed.len(), shares.iter().filter(|share| share.is_finite()).count());
    }
}
