//! How do words become a tree?
//!
//! Precedence, loosest first: `or`, `and`, `not`, comparisons and `in`, `+ -`, `* /`, unary `-`. Types are the checker's.

use super::error::ExprError;
use super::lex::{Span, Token, tokens};

/// Deepest tree: brackets, `not` and signs, and terms of a sum or product.
const MAX_DEPTH: usize = 64;

/// A node of the untyped tree.
#[derive(Clone, Debug)]
pub(super) struct Ast {
    pub(super) node: Syntax,
    pub(super) span: Span,
    /// Levels below this one; what reads the tree recurses so deep.
    depth: usize,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Syntax {
    Or(Vec<Ast>),
    And(Vec<Ast>),
    Not(Box<Ast>),
    Compare { op: &'static str, op_span: Span, left: Box<Ast>, right: Box<Ast> },
    In { negated: bool, left: Box<Ast>, list: Vec<Ast> },
    Arith { op: char, left: Box<Ast>, right: Box<Ast> },
    Negate(Box<Ast>),
    Call { name: Span, argument: Box<Ast> },
    Word,
    Quantity,
    Address,
    Quoted(String),
}

impl Syntax {
    fn is_leaf(&self) -> bool {
        matches!(self, Self::Word | Self::Quantity | Self::Address | Self::Quoted(_))
    }
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Ast, ExprError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens, next: 0, depth: 0 };
    let ast = parser.or()?;
    match parser.tokens.get(parser.next) {
        None => Ok(ast),
        Some(_) => Err(parser.unexpected("an operator such as `and`, `==` or `+`")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Span)>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn slice(&self, span: Span) -> &str {
        self.text.get(span.at..span.end).unwrap_or_default()
    }

    fn span(&self) -> Span {
        let end = self.text.trim_end().len();
        self.tokens.get(self.next).map_or(Span { at: end, end }, |(_, span)| *span)
    }

    fn mark(&self) -> Option<&'static str> {
        match self.tokens.get(self.next) {
            Some((Token::Mark(mark), _)) => Some(mark),
            _ => None,
        }
    }

    fn keyword(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.next), Some((Token::Word, span)) if self.slice(*span) == word)
    }

    fn unexpected(&self, wanted: &str) -> ExprError {
        let span = self.span();
        let (message, hint) = match self.mark() {
            Some("=") => ("`=` is not an operator".to_owned(), Some("`==` compares")),
            Some("&&") => ("`&&` is not an operator".to_owned(), Some("write `and`")),
            Some("||") => ("`||` is not an operator".to_owned(), Some("write `or`")),
            Some("!") => ("`!` is not an operator".to_owned(), Some("write `not`")),
            _ if self.next >= self.tokens.len() => (format!("{wanted} is missing at the end"), None),
            _ => (format!("{wanted} is expected before `{}`", self.slice(span).escape_debug()), None),
        };
        let error = ExprError::new(self.text, span, message);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, ExprError>) -> Result<T, ExprError> {
        if self.depth == MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(ExprError::new(self.text, self.span(), message));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Makes a node above others.
    fn above(&self, node: Syntax, span: Span, parts: &[usize]) -> Result<Ast, ExprError> {
        let depth = parts.iter().max().map_or(0, |deepest| deepest + 1);
        if depth > MAX_DEPTH {
            return Err(ExprError::new(self.text, span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Ast { node, span, depth })
    }

    fn chain(
        &mut self,
        word: &str,
        inner: fn(&mut Self) -> Result<Ast, ExprError>,
        join: fn(Vec<Ast>) -> Syntax,
    ) -> Result<Ast, ExprError> {
        let first = inner(self)?;
        let mut span = first.span;
        let mut parts = vec![first];
        while self.keyword(word) {
            self.next += 1;
            let part = inner(self)?;
            span = span.to(part.span);
            parts.push(part);
        }
        Ok(match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => {
                parts.extend(last);
                let depths: Vec<usize> = parts.iter().map(|part| part.depth).collect();
                self.above(join(parts), span, &depths)?
            }
        })
    }

    fn or(&mut self) -> Result<Ast, ExprError> {
        self.chain("or", Self::and, Syntax::Or)
    }

    fn and(&mut self) -> Result<Ast, ExprError> {
        self.chain("and", Self::not, Syntax::And)
    }

    fn not(&mut self) -> Result<Ast, ExprError> {
        if !self.keyword("not") {
            return self.comparison();
        }
        let start = self.span();
        self.next += 1;
        let inner = self.deeper(Self::not)?;
        let span = start.to(inner.span);
        let depth = inner.depth;
        self.above(Syntax::Not(Box::new(inner)), span, &[depth])
    }

    fn comparison(&mut self) -> Result<Ast, ExprError> {
        let left = self.sum()?;
        if let Some(op @ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "=~" | "!~")) = self.mark() {
            let op_span = self.span();
            self.next += 1;
            let right = self.sum()?;
            if let Some("==" | "!=" | "<" | "<=" | ">" | ">=" | "=~" | "!~") = self.mark() {
                let error = ExprError::new(self.text, self.span(), "comparisons do not chain");
                return Err(error.hint("join two comparisons with `and`"));
            }
            let span = left.span.to(right.span);
            let depths = [left.depth, right.depth];
            let node = Syntax::Compare { op, op_span, left: Box::new(left), right: Box::new(right) };
            return self.above(node, span, &depths);
        }
        let negated = self.keyword("not");
        if negated {
            self.next += 1;
            if !self.keyword("in") {
                return Err(self.unexpected("`in` after `not`"));
            }
        }
        if self.keyword("in") {
            self.next += 1;
            return self.list(left, negated);
        }
        Ok(left)
    }

    fn list(&mut self, left: Ast, negated: bool) -> Result<Ast, ExprError> {
        let mut list = Vec::new();
        let end = if self.mark() == Some("(") {
            loop {
                self.next += 1;
                list.push(self.deeper(Self::sum)?);
                match self.mark() {
                    Some(",") => {}
                    Some(")") => break,
                    _ => return Err(self.unexpected("`,` or `)`")),
                }
            }
            let close = self.span();
            self.next += 1;
            close
        } else {
            let only = self.deeper(Self::unary)?;
            let span = only.span;
            list.push(only);
            span
        };
        let span = left.span.to(end);
        let depths = [left.depth, list.iter().map(|item| item.depth).max().unwrap_or(0)];
        self.above(Syntax::In { negated, left: Box::new(left), list }, span, &depths)
    }

    fn sum(&mut self) -> Result<Ast, ExprError> {
        let mut left = self.product()?;
        while let Some(op @ ("+" | "-")) = self.mark() {
            self.next += 1;
            let right = self.product()?;
            left = self.join(op, left, right)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Ast, ExprError> {
        let mut left = self.unary()?;
        while let Some(op @ ("*" | "/")) = self.mark() {
            self.next += 1;
            let right = self.unary()?;
            left = self.join(op, left, right)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Ast, ExprError> {
        if self.mark() != Some("-") {
            return self.primary();
        }
        let start = self.span();
        self.next += 1;
        let inner = self.deeper(Self::unary)?;
        let span = start.to(inner.span);
        let depth = inner.depth;
        self.above(Syntax::Negate(Box::new(inner)), span, &[depth])
    }

    fn primary(&mut self) -> Result<Ast, ExprError> {
        let Some((token, span)) = self.tokens.get(self.next).cloned() else {
            return Err(self.unexpected("a column or value"));
        };
        let node = match token {
            Token::Mark("(") => {
                self.next += 1;
                let mut inner = self.deeper(Self::or)?;
                let close = self.span();
                if self.mark() != Some(")") {
                    return Err(self.unexpected("`)`"));
                }
                self.next += 1;
                // a name or value is looked up by its own text, which has no brackets
                if !inner.node.is_leaf() {
                    inner.span = span.to(close);
                }
                return Ok(inner);
            }
            Token::Word if matches!(self.slice(span), "and" | "or" | "not" | "in") => {
                return Err(self.unexpected("a column or value"));
            }
            Token::Word => Syntax::Word,
            Token::Quantity => Syntax::Quantity,
            Token::Address => Syntax::Address,
            Token::Quoted(text) => Syntax::Quoted(text),
            Token::Mark(_) => return Err(self.unexpected("a column or value")),
        };
        self.next += 1;
        if matches!(node, Syntax::Word) && self.mark() == Some("(") {
            return self.call(span);
        }
        self.above(node, span, &[])
    }

    fn call(&mut self, name: Span) -> Result<Ast, ExprError> {
        self.next += 1;
        let argument = self.deeper(Self::or)?;
        let close = self.span();
        if self.mark() != Some(")") {
            return Err(self.unexpected("`)`"));
        }
        self.next += 1;
        let depth = argument.depth;
        self.above(Syntax::Call { name, argument: Box::new(argument) }, name.to(close), &[depth])
    }

    fn join(&self, op: &str, left: Ast, right: Ast) -> Result<Ast, ExprError> {
        let span = left.span.to(right.span);
        let op = op.chars().next().unwrap_or('+');
        let depths = [left.depth, right.depth];
        self.above(Syntax::Arith { op, left: Box::new(left), right: Box::new(right) }, span, &depths)
    }
}
