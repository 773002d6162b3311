//! Does an expression fit the table: columns, types, units and words?

use super::error::ExprError;
use super::eval::{Num, Number, Op, Test};
use super::lex::Span;
use super::literal;
use super::parse::{Ast, Syntax};
use crate::model::unit::Dimension;
use crate::model::{Column, Kind, Table, Type};

/// What a number may measure, as a set: a counter of seconds is a duration as total and a share as rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measures(u8);

impl Measures {
    const NAMES: [(u8, &'static str); 4] =
        [(1, "a number"), (2, "a share"), (4, "a duration"), (8, "an amount of data")];
    /// A bare number fits everywhere.
    pub(super) const ANY: Self = Self(15);

    pub(super) fn of(dimension: Dimension) -> Self {
        Self(match dimension {
            Dimension::Number => 1,
            Dimension::Ratio => 2,
            Dimension::Time => 4,
            Dimension::Data => 8,
        })
    }

    fn column(column: &Column) -> Self {
        if column.ty == Type::Duration { Self::of(Dimension::Time) } else { Self::of(Dimension::of(column.unit)) }
    }

    fn rate(self) -> Self {
        if self == Self::of(Dimension::Time) { Self::of(Dimension::Ratio) } else { self }
    }

    fn common(self, other: Self) -> Option<Self> {
        Some(Self(self.0 & other.0)).filter(|both| both.0 != 0)
    }

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(bit, _)| self.0 & bit != 0).map_or("a number", |(_, name)| name)
    }
}

/// One side of a comparison.
enum Side {
    Number(Num, Measures),
    /// A column whose cells are no numbers.
    Column(usize),
    /// A word that is no column.
    Word,
    Quoted(String),
    Address,
    Test(Test),
}

pub(super) struct Checker<'a> {
    pub(super) text: &'a str,
    pub(super) table: &'a Table,
    /// Columns that were named, for readers that must demand them.
    pub(super) used: Vec<usize>,
    /// Patterns so far: the memory of each is bounded, so their number must be as well.
    pub(super) patterns: usize,
}

/// Patterns in one expression at most.
const MAX_PATTERNS: usize = 16;

impl Checker<'_> {
    pub(super) fn error(&self, span: Span, message: impl Into<String>) -> ExprError {
        ExprError::new(self.text, span, message)
    }

    pub(super) fn slice(&self, span: Span) -> &str {
        self.text.get(span.at..span.end).unwrap_or_default()
    }

    /// The text of a side without brackets around it, so that `(time-wait)` is a word as well.
    pub(super) fn bare(&self, span: Span) -> &str {
        let mut text = self.slice(span);
        while let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            text = inner.trim();
        }
        text
    }

    pub(super) fn column(&self, column: usize) -> Option<&Column> {
        self.table.columns.get(column)
    }

    /// Checks something that must be true or false.
    pub(super) fn test(&mut self, ast: &Ast) -> Result<Test, ExprError> {
        match self.side(ast)? {
            Side::Test(test) => Ok(test),
            Side::Column(column) if self.column(column).is_some_and(|c| c.ty == Type::Bool) => Ok(Test::Flag(column)),
            Side::Word => Err(self.unknown_column(ast.span)),
            _ => {
                let word = self.slice(ast.span).to_owned();
                Err(self
                    .error(ast.span, format!("`{word}` is neither true nor false"))
                    .hint("compare it with something"))
            }
        }
    }

    /// Checks something that must be a number.
    pub(super) fn number(&mut self, ast: &Ast) -> Result<(Num, Measures), ExprError> {
        match self.side(ast)? {
            Side::Number(num, measures) => Ok((num, measures)),
            Side::Word => Err(self.unknown_column(ast.span)),
            Side::Column(column) if self.column(column).is_some_and(|c| c.ty == Type::Timestamp) => {
                let word = self.slice(ast.span).to_owned();
                let error = self.error(ast.span, format!("`{word}` is an instant, not a number"));
                Err(error.hint("compare it with an age such as 5m"))
            }
            _ => {
                let word = self.slice(ast.span).to_owned();
                Err(self.error(ast.span, format!("`{word}` is not a number")))
            }
        }
    }

    fn unknown_column(&self, span: Span) -> ExprError {
        let word = self.slice(span);
        let error = self.error(span, format!("table `{}` has no column `{word}`", self.table.name));
        // what people see of a column is its heading
        match self.table.columns.iter().find(|column| column.title() == word) {
            Some(column) => error.hint(format!("did you mean `{}`?", column.name)),
            None => error.near(word, self.table.columns.iter().map(|column| &*column.name)),
        }
    }

    fn side(&mut self, ast: &Ast) -> Result<Side, ExprError> {
        Ok(match &ast.node {
            Syntax::Or(parts) => Side::Test(Test::Or(self.tests(parts)?)),
            Syntax::And(parts) => Side::Test(Test::And(self.tests(parts)?)),
            Syntax::Not(inner) => Side::Test(Test::Not(Box::new(self.test(inner)?))),
            Syntax::Compare { op, op_span, left, right } => Side::Test(self.compare(op, *op_span, left, right)?),
            Syntax::In { negated, left, list } => {
                let test = self.one_of(left, list)?;
                Side::Test(if *negated { Test::Not(Box::new(test)) } else { test })
            }
            Syntax::Arith { op, left, right } => self.arith(*op, left, right)?,
            Syntax::Negate(inner) => {
                let (num, measures) = self.number(inner)?;
                Side::Number(Num::Negate(Box::new(num)), measures)
            }
            Syntax::Call { name, argument } => self.call(*name, argument)?,
            Syntax::Word => self.word(ast.span),
            Syntax::Quantity => {
                let (number, measures) = literal::quantity(self, ast.span)?;
                Side::Number(Num::Const(number), measures)
            }
            Syntax::Address => Side::Address,
            Syntax::Quoted(text) => Side::Quoted(text.clone()),
        })
    }

    fn tests(&mut self, parts: &[Ast]) -> Result<Vec<Test>, ExprError> {
        parts.iter().map(|part| self.test(part)).collect()
    }

    fn word(&mut self, span: Span) -> Side {
        let word = self.slice(span);
        let Some((position, column)) = self.table.column(word) else {
            return match word {
                "true" | "yes" => Side::Test(Test::Constant(true)),
                "false" | "no" => Side::Test(Test::Constant(false)),
                _ => Side::Word,
            };
        };
        let (kind, numeric, measures) = (column.kind, column.ty.is_numeric(), Measures::column(column));
        self.used.push(position);
        match kind {
            _ if !numeric => Side::Column(position),
            Kind::Counter => Side::Number(Num::Cell(position), Measures(measures.0 | measures.rate().0)),
            _ => Side::Number(Num::Cell(position), measures),
        }
    }

    fn arith(&mut self, op: char, left: &Ast, right: &Ast) -> Result<Side, ExprError> {
        let (a, of_a) = self.number(left)?;
        let (b, of_b) = self.number(right)?;
        let measures = match op {
            '+' | '-' => self.common(left, of_a, right, of_b)?,
            '*' if of_b == Measures::ANY => of_a,
            '*' if of_a == Measures::ANY => of_b,
            '/' if of_b == Measures::ANY => of_a,
            _ => Measures::ANY,
        };
        Ok(Side::Number(Num::Arith(op, Box::new(a), Box::new(b)), measures))
    }

    fn common(&self, left: &Ast, of_a: Measures, right: &Ast, of_b: Measures) -> Result<Measures, ExprError> {
        of_a.common(of_b).ok_or_else(|| {
            // the literal is the mistake, the column is what it is
            let (wrong, of_wrong, other, of_other) = if matches!(left.node, Syntax::Quantity) {
                (left, of_a, right, of_b)
            } else {
                (right, of_b, left, of_a)
            };
            let (word, other) = (self.slice(wrong.span), self.slice(other.span));
            let message = format!("`{word}` is {}, but `{other}` is {}", of_wrong.name(), of_other.name());
            let error = self.error(wrong.span, message);
            match word.strip_suffix('m').filter(|_| of_other.0 & 8 != 0) {
                Some(number) => error.hint(format!("`m` is minutes, mega is `{number}M`")),
                None => error,
            }
        })
    }

    fn call(&mut self, name: Span, argument: &Ast) -> Result<Side, ExprError> {
        let function = self.slice(name).to_owned();
        if !matches!(&*function, "missing" | "rate" | "total") {
            let error = self.error(name, format!("there is no function `{function}`"));
            return Err(match super::near::nearest(&function, ["missing", "rate", "total"]) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("functions are missing(c), rate(c) and total(c)"),
            });
        }
        if !matches!(argument.node, Syntax::Word) {
            return Err(self.error(argument.span, format!("{function}() takes the name of a column")));
        }
        let Some((position, column)) = self.table.column(self.slice(argument.span)) else {
            return Err(self.unknown_column(argument.span));
        };
        let (kind, measures) = (column.kind, Measures::column(column));
        self.used.push(position);
        match &*function {
            "missing" => Ok(Side::Test(Test::Missing(position))),
            _ if kind != Kind::Counter => {
                let word = self.slice(argument.span).to_owned();
                Err(self
                    .error(argument.span, format!("{function}() takes a counter, but `{word}` is a {}", kind.name())))
            }
            "rate" => Ok(Side::Number(Num::Rate(position), measures.rate())),
            _ => Ok(Side::Number(Num::Total(position), measures)),
        }
    }

    fn compare(&mut self, mark: &str, op_span: Span, left: &Ast, right: &Ast) -> Result<Test, ExprError> {
        if let Some(op) = Op::of(mark) {
            // before the sides are read, because a word such as `time-wait` reads as a subtraction
            if let Some(test) = self.label(op, op_span, left, right)? {
                return Ok(test);
            }
            if let Some(test) = self.label(op, op_span, right, left)? {
                return Ok(test);
            }
        }
        let (a, b) = (self.side(left)?, self.side(right)?);
        let Some(op) = Op::of(mark) else {
            return self.regex(mark, left, &a, right, &b);
        };
        match (a, b) {
            (Side::Number(a, of_a), Side::Number(b, of_b)) => {
                self.common(left, of_a, right, of_b)?;
                Ok(Test::Numbers(op, a, b))
            }
            (Side::Column(a), Side::Column(b)) => self.columns(op, op_span, a, b, right),
            (Side::Column(column), other) => self.column_with(op, op_span, column, right, other),
            (other, Side::Column(column)) => self.column_with(op.flipped(), op_span, column, left, other),
            (Side::Word, _) => Err(self.unknown_column(left.span)),
            (_, Side::Word) => Err(self.unknown_column(right.span)),
            (Side::Number(..), _) => Err(self.mismatch(right, left, "a number")),
            (_, Side::Number(..)) => Err(self.mismatch(left, right, "a number")),
            _ => Err(self.error(left.span.to(right.span), "a comparison needs a column")),
        }
    }

    /// A label column against one of its words without quotes.
    fn label(&mut self, op: Op, op_span: Span, left: &Ast, right: &Ast) -> Result<Option<Test>, ExprError> {
        let Some((position, column)) = self.table.column(self.slice(left.span)) else {
            return Ok(None);
        };
        let word = self.bare(right.span);
        if column.ty != Type::Label || !column.labels.iter().any(|label| label.name == word) {
            return Ok(None);
        }
        if self.table.position(word).is_some() {
            let error = self.error(right.span, format!("`{word}` is a word of `{}` and a column", column.name));
            return Err(error.hint(format!("write the word in quotes: \"{word}\"")));
        }
        self.only_equality(op, op_span)?;
        self.used.push(position);
        let test = literal::one_of(self, position, std::slice::from_ref(right), false)?;
        Ok(Some(if op == Op::Eq { test } else { Test::Not(Box::new(test)) }))
    }

    fn mismatch(&self, wrong: &Ast, column: &Ast, wanted: &str) -> ExprError {
        let (word, name) = (self.slice(wrong.span), self.slice(column.span));
        self.error(wrong.span, format!("`{name}` is {wanted} and cannot be compared with `{word}`"))
    }

    fn columns(&self, op: Op, op_span: Span, a: usize, b: usize, right: &Ast) -> Result<Test, ExprError> {
        let class = |column: usize| self.column(column).map(|c| if c.ty == Type::Label { Type::Text } else { c.ty });
        if class(a) != class(b) {
            let word = self.slice(right.span);
            return Err(self.error(right.span, format!("`{word}` is of another type than the column before it")));
        }
        if class(a) != Some(Type::Timestamp) {
            self.only_equality(op, op_span)?;
        }
        Ok(Test::Columns(op, a, b))
    }

    fn only_equality(&self, op: Op, span: Span) -> Result<(), ExprError> {
        if matches!(op, Op::Eq | Op::Ne) {
            return Ok(());
        }
        Err(self.error(span, "these values have no order").hint("use `==`, `!=`, `in` or `=~`"))
    }

    fn column_with(&mut self, op: Op, span: Span, column: usize, ast: &Ast, other: Side) -> Result<Test, ExprError> {
        let Some(ty) = self.column(column).map(|c| c.ty) else {
            return Err(self.unknown_column(ast.span));
        };
        if ty == Type::Timestamp {
            return self.age(op, column, ast, other);
        }
        if ty == Type::Bool {
            self.only_equality(op, span)?;
            let Side::Test(test) = other else {
                return Err(self.error(ast.span, "a yes or no column is compared with true or false"));
            };
            let flag = || Box::new(Test::Flag(column));
            let Test::Constant(value) = test else {
                return Err(self.error(ast.span, "only `true` or `false` can stand here"));
            };
            let same = value == (op == Op::Eq);
            return Ok(if same { *flag() } else { Test::Not(flag()) });
        }
        if ty == Type::Text && !matches!(op, Op::Eq | Op::Ne) {
            let word = literal::word(self, column, ast)?;
            return Ok(Test::WordOrder(op, column, word));
        }
        self.only_equality(op, span)?;
        let test = literal::one_of(self, column, std::slice::from_ref(ast), false)?;
        Ok(if op == Op::Eq { test } else { Test::Not(Box::new(test)) })
    }

    fn age(&self, op: Op, column: usize, ast: &Ast, other: Side) -> Result<Test, ExprError> {
        let time = Measures::of(Dimension::Time);
        match other {
            Side::Number(num, measures) if measures != Measures::ANY && measures.common(time).is_some() => {
                Ok(Test::Age(op, column, num))
            }
            Side::Number(Num::Const(Number::Int(_) | Number::Real(_)), Measures::ANY) => {
                let word = self.slice(ast.span);
                let error = self.error(ast.span, format!("an instant is compared with an age, `{word}` has no unit"));
                Err(error.hint(format!("write {word}s, {word}m, {word}h or {word}d")))
            }
            _ => {
                let word = self.slice(ast.span);
                let error = self.error(ast.span, format!("an instant cannot be compared with `{word}`"));
                Err(error.hint("write an age such as 5m"))
            }
        }
    }

    fn regex(&mut self, mark: &str, left: &Ast, a: &Side, right: &Ast, b: &Side) -> Result<Test, ExprError> {
        let column = match a {
            Side::Column(column) => *column,
            Side::Word => return Err(self.unknown_column(left.span)),
            _ => return Err(self.mismatch(right, left, "no text")),
        };
        if self.column(column).is_some_and(|c| matches!(c.ty, Type::Bool | Type::Timestamp)) {
            return Err(self.mismatch(right, left, "no text"));
        }
        let Side::Quoted(pattern) = b else {
            return Err(self.error(right.span, "a pattern is expected").hint("write it in quotes"));
        };
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            let error = self.error(right.span, format!("the expression has more than {MAX_PATTERNS} patterns"));
            return Err(error.hint("join them with `|`"));
        }
        let regex = literal::regex(pattern).map_err(|cause| self.error(right.span, cause))?;
        let test = Test::Matches(column, regex);
        Ok(if mark == "=~" { test } else { Test::Not(Box::new(test)) })
    }

    fn one_of(&mut self, left: &Ast, list: &[Ast]) -> Result<Test, ExprError> {
        match self.side(left)? {
            Side::Column(column) => literal::one_of(self, column, list, true),
            Side::Word => Err(self.unknown_column(left.span)),
            Side::Number(num, measures) => {
                let mut values = Vec::with_capacity(list.len());
                for item in list {
                    let (value, of_value) = literal::number(self, item)?;
                    self.common(left, measures, item, of_value)?;
                    values.push(value);
                }
                Ok(Test::NumberIn(num, values))
            }
            _ => Err(self.error(left.span, "`in` needs a column")),
        }
    }
}
