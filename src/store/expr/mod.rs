//! Which rows does a person mean, and what does a Derived column compute? One language for all of it.
//!
//! `cpu > 50% and name =~ "qemu" and not user == "root"`. Operators: `== != < <= > >= =~ !~ in (a, 10.0.0.0/8)`,
//! `and or not ( )`, `+ - * /`; functions `missing(c)`, `rate(c)`, `total(c)`. An expression is read once, checked against
//! a table's schema with the place of the first mistake, and then evaluated for any number of rows. Text, nesting and
//! regexes are bounded, because peers and configuration files write them too.

mod check;
mod error;
mod eval;
mod filter;
mod lex;
mod literal;
mod near;
mod parse;
mod range;
#[cfg(test)]
mod tests;

pub use error::ExprError;
pub use eval::{Scope, Sense};
pub use filter::Filter;
pub use literal::{literal, quoted, regex};
pub use near::nearest;

use crate::model::{Table, Value};
use check::Checker;
use eval::{Num, Test};

/// A checked expression over the columns of one table.
#[derive(Clone, Debug)]
pub struct Expr {
    root: Root,
    text: Box<str>,
    columns: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Root {
    Test(Test),
    Number(Num),
}

impl Expr {
    /// Reads a condition.
    ///
    /// # Errors
    /// The first mistake with its place.
    pub fn parse(text: &str, table: &Table) -> Result<Self, ExprError> {
        Self::read(text, table, |checker, ast| checker.test(ast).map(Root::Test))
    }

    /// Reads an expression that gives a number.
    ///
    /// # Errors
    /// The first mistake with its place.
    pub fn numeric(text: &str, table: &Table) -> Result<Self, ExprError> {
        Self::read(text, table, |checker, ast| checker.number(ast).map(|(num, _)| Root::Number(num)))
    }

    fn read(
        text: &str,
        table: &Table,
        check: impl FnOnce(&mut Checker<'_>, &parse::Ast) -> Result<Root, ExprError>,
    ) -> Result<Self, ExprError> {
        let ast = parse::parse(text)?;
        let mut checker = Checker { text, table, used: Vec::new(), patterns: 0 };
        let root = check(&mut checker, &ast)?;
        let mut columns = checker.used;
        columns.sort_unstable();
        columns.dedup();
        Ok(Self { root, text: text.into(), columns })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Positions of the columns it names, ascending: what a reader must demand.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The values of a column outside which no row matches, where the expression names them: `pid == 1 or pid == 2`.
    pub fn values(&self, column: usize) -> Option<Vec<Value>> {
        match &self.root {
            Root::Test(test) => range::values(test, column),
            Root::Number(_) => None,
        }
    }

    /// Whether a row matches; `None` is unknown. A numeric expression matches nothing.
    pub fn matches(&self, scope: &dyn Scope) -> Option<bool> {
        match &self.root {
            Root::Test(test) => test.holds(scope),
            Root::Number(_) => None,
        }
    }

    /// A numeric expression in another language with the usual signs of arithmetic; `column` writes a column, and as what it is
    /// meant. `None` if it cannot, and for a condition.
    pub fn written(&self, column: &dyn Fn(usize, Sense) -> Option<String>) -> Option<String> {
        match &self.root {
            Root::Number(num) => num.written(column),
            Root::Test(_) => None,
        }
    }

    /// The number; `None` when it is unknown and for a condition.
    pub fn value(&self, scope: &dyn Scope) -> Option<f64> {
        match &self.root {
            Root::Number(num) => num.value(scope).map(eval::Number::as_f64),
            Root::Test(_) => None,
        }
    }
}
