//! Does a row match, and which number does it give?
//!
//! Three-valued: `None` is unknown, for example because a cell is missing. `and` and `or` know their answer when the known
//! part decides it. Integers are compared exactly; arithmetic that leaves them goes on in floating point.

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::model::{Cell, IpText, Mac, Timestamp};

/// One row as an expression sees it.
pub trait Scope {
    /// The cell as this reader prints it: for a counter the total or the rate, for a Derived column its value.
    fn cell(&self, column: usize) -> Cell<'_>;
    /// A counter's change per second.
    fn rate(&self, column: usize) -> Option<f64>;
    /// The cell as it was collected.
    fn raw(&self, column: usize) -> Cell<'_>;
    /// The instant that ages are counted from.
    fn now(&self) -> Timestamp;
}

/// A number that stays exact as long as it is whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i128),
    Real(f64),
}

impl Number {
    pub(super) fn of(cell: &Cell<'_>) -> Option<Self> {
        match *cell {
            Cell::U64(v) => Some(Self::Int(i128::from(v))),
            Cell::I64(v) => Some(Self::Int(i128::from(v))),
            Cell::F64(v) | Cell::Duration(v) => Self::real(v),
            _ => None,
        }
    }

    pub(super) fn real(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Real(value))
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(v) => v as f64,
            Self::Real(v) => v,
        }
    }

    fn cmp(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()),
        }
    }

    fn arith(self, op: char, other: Self) -> Option<Self> {
        let exact = match (self, other, op) {
            (Self::Int(a), Self::Int(b), '+') => a.checked_add(b),
            (Self::Int(a), Self::Int(b), '-') => a.checked_sub(b),
            (Self::Int(a), Self::Int(b), '*') => a.checked_mul(b),
            _ => None,
        };
        if let Some(exact) = exact {
            return Some(Self::Int(exact));
        }
        let (a, b) = (self.as_f64(), other.as_f64());
        // a division by zero is not finite, hence unknown
        Self::real(match op {
            '+' => a + b,
            '-' => a - b,
            '*' => a * b,
            _ => a / b,
        })
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    pub(super) fn of(mark: &str) -> Option<Self> {
        Some(match mark {
            "==" => Self::Eq,
            "!=" => Self::Ne,
            "<" => Self::Lt,
            "<=" => Self::Le,
            ">" => Self::Gt,
            ">=" => Self::Ge,
            _ => return None,
        })
    }

    /// The comparison with its sides exchanged.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}

/// Something with a number.
#[derive(Clone, Debug)]
pub(super) enum Num {
    Const(Number),
    Cell(usize),
    Rate(usize),
    Total(usize),
    Negate(Box<Num>),
    Arith(char, Box<Num>, Box<Num>),
}

impl Num {
    pub(super) fn value(&self, scope: &dyn Scope) -> Option<Number> {
        match self {
            Self::Const(number) => Some(*number),
            Self::Cell(column) => Number::of(&scope.cell(*column)),
            Self::Rate(column) => scope.rate(*column).and_then(Number::real),
            Self::Total(column) => Number::of(&scope.raw(*column)),
            Self::Negate(inner) => Number::Int(0).arith('-', inner.value(scope)?),
            Self::Arith(op, left, right) => left.value(scope)?.arith(*op, right.value(scope)?),
        }
    }
}

impl Num {
    /// The same in a language with the usual signs of arithmetic; `column` writes a column, and as what it is meant.
    pub(super) fn written(&self, column: &dyn Fn(usize, Sense) -> Option<String>) -> Option<String> {
        Some(match self {
            Self::Const(number) => number.as_f64().to_string(),
            Self::Cell(at) => column(*at, Sense::Bare)?,
            Self::Rate(at) => column(*at, Sense::Rate)?,
            Self::Total(at) => column(*at, Sense::Total)?,
            Self::Negate(inner) => format!("-({})", inner.written(column)?),
            Self::Arith(op, left, right) => {
                let side = |num: &Self| match num {
                    Self::Arith(..) => num.written(column).map(|text| format!("({text})")),
                    _ => num.written(column),
                };
                format!("{} {op} {}", side(left)?, side(right)?)
            }
        })
    }
}

/// As what an expression means a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// What readers print: the change of a counter, otherwise the value.
    Bare,
    /// `rate(column)`
    Rate,
    /// `total(column)`
    Total,
}

/// An address range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Net {
    pub(super) address: IpAddr,
    pub(super) bits: u32,
}

impl Net {
    fn contains(&self, address: IpAddr) -> bool {
        // a socket that serves both families shows IPv4 peers as ::ffff:a.b.c.d
        match (self.address, if self.address.is_ipv4() { address.to_canonical() } else { address }) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.bits,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.bits,
            _ => false,
        }
    }
}

/// Something with a yes, a no or an unknown.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Or(Vec<Test>),
    And(Vec<Test>),
    Not(Box<Test>),
    Numbers(Op, Num, Num),
    NumberIn(Num, Vec<Number>),
    /// Age of an instant.
    Age(Op, usize, Num),
    /// Two columns of the same type that has no number.
    Columns(Op, usize, usize),
    /// Text or label.
    WordIn(usize, Vec<Box<str>>),
    WordOrder(Op, usize, Box<str>),
    Matches(usize, regex::Regex),
    NetIn(usize, Vec<Net>),
    MacIn(usize, Vec<Mac>),
    Flag(usize),
    Constant(bool),
    Missing(usize),
}

impl Test {
    pub(super) fn holds(&self, scope: &dyn Scope) -> Option<bool> {
        match self {
            Self::Or(parts) => decide(parts, scope, true),
            Self::And(parts) => decide(parts, scope, false),
            Self::Not(inner) => inner.holds(scope).map(|holds| !holds),
            Self::Numbers(op, left, right) => left.value(scope)?.cmp(right.value(scope)?).map(|order| op.holds(order)),
            Self::NumberIn(value, list) => {
                let value = value.value(scope)?;
                Some(list.iter().any(|item| value.cmp(*item) == Some(Ordering::Equal)))
            }
            Self::Age(op, column, age) => match scope.cell(*column) {
                Cell::Timestamp(instant) => {
                    let age = age.value(scope)?.as_f64();
                    instant.age(scope.now()).partial_cmp(&age).map(|order| op.holds(order))
                }
                _ => None,
            },
            Self::Columns(op, left, right) => {
                order(&scope.cell(*left), &scope.cell(*right)).map(|order| op.holds(order))
            }
            Self::WordIn(column, words) => {
                scope.cell(*column).text().map(|text| words.iter().any(|word| **word == *text))
            }
            Self::WordOrder(op, column, word) => scope.cell(*column).text().map(|text| op.holds(text.cmp(word))),
            Self::Matches(column, regex) => match scope.cell(*column) {
                Cell::Text(text) | Cell::Label(text) => Some(regex.is_match(text)),
                Cell::Ip(address) => Some(regex.is_match(&IpText(address).to_string())),
                Cell::Mac(address) => Some(regex.is_match(&address.to_string())),
                _ => None,
            },
            Self::NetIn(column, nets) => match scope.cell(*column) {
                Cell::Ip(address) => Some(nets.iter().any(|net| net.contains(address))),
                _ => None,
            },
            Self::MacIn(column, list) => match scope.cell(*column) {
                Cell::Mac(address) => Some(list.contains(&address)),
                _ => None,
            },
            Self::Flag(column) => match scope.cell(*column) {
                Cell::Bool(value) => Some(value),
                _ => None,
            },
            Self::Constant(value) => Some(*value),
            Self::Missing(column) => Some(scope.raw(*column).is_missing()),
        }
    }
}

/// `or` is decided by one true part, `and` by one false part; otherwise an unknown part makes the answer unknown.
fn decide(parts: &[Test], scope: &dyn Scope, decisive: bool) -> Option<bool> {
    let mut answer = Some(!decisive);
    for part in parts {
        match part.holds(scope) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => answer = None,
        }
    }
    answer
}

fn order(left: &Cell<'_>, right: &Cell<'_>) -> Option<Ordering> {
    match (left, right) {
        (Cell::Ip(a), Cell::Ip(b)) => Some(a.cmp(b)),
        (Cell::Mac(a), Cell::Mac(b)) => Some(a.cmp(b)),
        (Cell::Bool(a), Cell::Bool(b)) => Some(a.cmp(b)),
        (Cell::Timestamp(a), Cell::Timestamp(b)) => Some(a.cmp(b)),
        (left, right) => Some(left.text()?.cmp(right.text()?)),
    }
}
