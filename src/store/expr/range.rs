//! Which values can a column have in a row that matches?
//!
//! Tables that are collected for some rows only are asked for these. Too many is safe, because rows are filtered anyway;
//! so an `and` takes the first part that knows, and `not` knows nothing.

use super::eval::{Num, Number, Op, Test};
use crate::model::{Text, Value};

/// The values of a column outside which nothing matches; `None` when there is no end of them.
pub(super) fn values(test: &Test, column: usize) -> Option<Vec<Value>> {
    match test {
        Test::And(parts) => parts.iter().find_map(|part| values(part, column)),
        Test::Or(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(|part| values(part, column)).collect();
            all.map(|all| all.into_iter().flatten().collect())
        }
        Test::Numbers(Op::Eq, left, right) => match (constant(left), constant(right)) {
            (None, Some(number)) if is(left, column) => Some(vec![value(number)]),
            (Some(number), None) if is(right, column) => Some(vec![value(number)]),
            _ => None,
        },
        Test::NumberIn(left, list) if is(left, column) => Some(list.iter().copied().map(value).collect()),
        Test::WordIn(of, words) if *of == column => {
            Some(words.iter().map(|word| Value::Text(Text::from(&**word))).collect())
        }
        Test::MacIn(of, list) if *of == column => Some(list.iter().copied().map(Value::Mac).collect()),
        Test::NetIn(of, nets) if *of == column => {
            let one = |net: &super::eval::Net| {
                (net.bits == if net.address.is_ipv4() { 32 } else { 128 }).then_some(Value::Ip(net.address))
            };
            nets.iter().map(one).collect()
        }
        _ => None,
    }
}

fn is(num: &Num, column: usize) -> bool {
    matches!(num, Num::Cell(of) if *of == column)
}

/// A number that stands there, with its sign.
fn constant(num: &Num) -> Option<Number> {
    match num {
        Num::Const(number) => Some(*number),
        Num::Negate(inner) => match constant(inner)? {
            Number::Int(number) => number.checked_neg().map(Number::Int),
            Number::Real(number) => Some(Number::Real(-number)),
        },
        _ => None,
    }
}

fn value(number: Number) -> Value {
    match number {
        Number::Int(whole) => u64::try_from(whole)
            .map(Value::U64)
            .or_else(|_| i64::try_from(whole).map(Value::I64))
            .unwrap_or(Value::F64(whole as f64)),
        Number::Real(real) => Value::F64(real),
    }
}
