//! Which rows does a filter prompt keep?
//!
//! What holds an operator is an expression; anything else is text that is looked for, in any case, in the words, addresses
//! and Ids of a row.

use std::borrow::Cow;

use super::eval::Scope;
use super::lex::{Span, Token, tokens};
use super::{Expr, ExprError};
use crate::model::{Cell, IpText, Kind, Table, Type, Value};

/// A condition that rows are kept by.
#[derive(Clone, Debug)]
pub struct Filter(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Expr(Expr),
    /// Looked for in the given columns; in lower case.
    Plain {
        needle: String,
        text: String,
        columns: Vec<usize>,
    },
}

impl Filter {
    /// Reads an expression.
    ///
    /// # Errors
    /// The first mistake with its place.
    pub fn parse(text: &str, table: &Table) -> Result<Self, ExprError> {
        Expr::parse(text, table).map(|expr| Self(Inner::Expr(expr)))
    }

    /// Reads what a person types into the filter prompt: an expression, or plain text without an operator.
    ///
    /// # Errors
    /// The first mistake in an expression with its place.
    pub fn parse_prompt(text: &str, table: &Table) -> Result<Self, ExprError> {
        if is_expression(text) || (has_keyword(text) && Expr::parse(text, table).is_ok()) {
            return Self::parse(text, table);
        }
        if text.len() > super::lex::MAX_LEN {
            return Err(ExprError::new(text, Span { at: 0, end: 0 }, "this text is too long"));
        }
        let wanted = |ty| matches!(ty, Type::Text | Type::Label | Type::Ip | Type::Mac);
        let columns = table.columns.iter().enumerate();
        let columns = columns.filter(|(_, c)| wanted(c.ty) || c.kind == Kind::Id).map(|(i, _)| i).collect();
        Ok(Self(Inner::Plain { needle: text.trim().to_lowercase(), text: text.to_owned(), columns }))
    }

    /// What was written.
    pub fn text(&self) -> &str {
        match &self.0 {
            Inner::Expr(expr) => expr.text(),
            Inner::Plain { text, .. } => text,
        }
    }

    /// Whether it is an expression rather than plain text.
    pub fn is_expr(&self) -> bool {
        matches!(self.0, Inner::Expr(_))
    }

    /// Positions of the columns it reads.
    pub fn columns(&self) -> &[usize] {
        match &self.0 {
            Inner::Expr(expr) => expr.columns(),
            Inner::Plain { columns, .. } => columns,
        }
    }

    /// The values of a column outside which no row is kept, where an expression names them.
    pub fn values(&self, column: usize) -> Option<Vec<Value>> {
        match &self.0 {
            Inner::Expr(expr) => expr.values(column),
            Inner::Plain { .. } => None,
        }
    }

    /// Whether a row is kept. What is unknown is not.
    pub fn keeps(&self, scope: &dyn Scope) -> bool {
        match &self.0 {
            Inner::Expr(expr) => expr.matches(scope) == Some(true),
            Inner::Plain { needle, columns, .. } => {
                needle.is_empty() || columns.iter().any(|column| contains(&scope.raw(*column), needle))
            }
        }
    }
}

/// Whether any token says that an expression is meant.
fn is_expression(text: &str) -> bool {
    let Ok(tokens) = tokens(text) else {
        return text.contains(['=', '<', '>', '~']);
    };
    tokens.iter().enumerate().any(|(i, (token, span))| match token {
        Token::Mark(mark) => mark.contains(['=', '<', '>', '~']),
        Token::Word => {
            let bracket = matches!(tokens.get(i + 1), Some((Token::Mark("("), _)));
            bracket && matches!(text.get(span.at..span.end), Some("missing" | "rate" | "total" | "in"))
        }
        _ => false,
    })
}

fn has_keyword(text: &str) -> bool {
    text.split_whitespace().any(|word| matches!(word, "and" | "or" | "not" | "in"))
}

fn contains(cell: &Cell<'_>, needle: &str) -> bool {
    let text: Cow<'_, str> = match cell {
        Cell::Text(text) | Cell::Label(text) => Cow::Borrowed(*text),
        Cell::Ip(address) => Cow::Owned(IpText(*address).to_string()),
        Cell::Mac(address) => Cow::Owned(address.to_string()),
        Cell::U64(number) => Cow::Owned(number.to_string()),
        Cell::I64(number) => Cow::Owned(number.to_string()),
        _ => return false,
    };
    if text.is_ascii() {
        let (text, needle) = (text.as_bytes(), needle.as_bytes());
        return text.windows(needle.len()).any(|part| part.eq_ignore_ascii_case(needle));
    }
    text.to_lowercase().contains(needle)
}
