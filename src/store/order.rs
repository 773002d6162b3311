//! In which order do people expect cells and rows?
//!
//! Numbers by size, text so that `cpu10` comes after `cpu2`, the row `all` before the others.

use std::cmp::Ordering;

use crate::model::{Cell, Rows};

/// Compares text naturally: runs of digits by their number, everything else letter by letter. A total order.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while let (Some(first), Some(second)) = (x.first(), y.first()) {
        let step = match (first.is_ascii_digit(), second.is_ascii_digit()) {
            (true, true) => {
                let (one, two) = (digits(x), digits(y));
                let order = significant(one).cmp_by_size(significant(two));
                (x, y) = (x.get(one.len()..).unwrap_or_default(), y.get(two.len()..).unwrap_or_default());
                order
            }
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                let order = first.cmp(second);
                (x, y) = (x.get(1..).unwrap_or_default(), y.get(1..).unwrap_or_default());
                order
            }
        };
        if step.is_ne() {
            return step;
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

trait BySize {
    fn cmp_by_size(&self, other: &Self) -> Ordering;
}

impl BySize for [u8] {
    fn cmp_by_size(&self, other: &Self) -> Ordering {
        self.len().cmp(&other.len()).then_with(|| self.cmp(other))
    }
}

fn digits(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

/// Whether a cell has a place in an order: missing and not-a-number have none.
pub fn has_place(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Missing => false,
        Cell::F64(v) | Cell::Duration(v) => v.is_finite(),
        _ => true,
    }
}

/// Compares two cells of one column. A total order.
pub fn cells(a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    match (a, b) {
        (Cell::U64(a), Cell::U64(b)) => a.cmp(b),
        (Cell::I64(a), Cell::I64(b)) => a.cmp(b),
        (Cell::F64(a) | Cell::Duration(a), Cell::F64(b) | Cell::Duration(b)) => a.total_cmp(b),
        (Cell::Text(a) | Cell::Label(a), Cell::Text(b) | Cell::Label(b)) => natural(a, b),
        (Cell::Ip(a), Cell::Ip(b)) => a.cmp(b),
        (Cell::Mac(a), Cell::Mac(b)) => a.cmp(b),
        (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
        (Cell::Timestamp(a), Cell::Timestamp(b)) => a.cmp(b),
        // cells of one column have one type, so this is for peers that lie only
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn rank(cell: &Cell<'_>) -> u8 {
    match cell {
        Cell::Missing => 0,
        Cell::U64(_) => 1,
        Cell::I64(_) => 2,
        Cell::F64(_) | Cell::Duration(_) => 3,
        Cell::Bool(_) => 4,
        Cell::Text(_) | Cell::Label(_) => 5,
        Cell::Ip(_) => 6,
        Cell::Mac(_) => 7,
        Cell::Timestamp(_) => 8,
    }
}

/// Compares two Id cells: like [`cells`], but `all` comes first.
pub fn ids(a: &Cell<'_>, b: &Cell<'_>) -> Ordering {
    let all = |cell: &Cell<'_>| cell.text() == Some("all");
    all(b).cmp(&all(a)).then_with(|| cells(a, b))
}

/// Compares two rows of one table by their Ids, then by position.
pub fn rows(rows: &dyn Rows, a: usize, b: usize) -> Ordering {
    for id in rows.table().ids() {
        let order = ids(&rows.cell(a, id), &rows.cell(b, id));
        if order.is_ne() {
            return order;
        }
    }
    a.cmp(&b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_in_text_are_compared_as_numbers() {
        let mut names = vec!["cpu10", "cpu2", "eth0", "cpu02", "eth", "10", "9", "a1b2", "a1b10", ""];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["", "9", "10", "a1b2", "a1b10", "cpu02", "cpu2", "cpu10", "eth", "eth0"]);
        assert_eq!(ids(&Cell::Text("all"), &Cell::Text("0")), Ordering::Less);
    }

    proptest! {
        #[test]
        fn natural_order_is_total(a in "[a0-2é]{0,6}", b in "[a0-2é]{0,6}", c in "[a0-2é]{0,6}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b).is_le() && natural(&b, &c).is_le() {
                prop_assert!(natural(&a, &c).is_le());
            }
        }
    }
}
