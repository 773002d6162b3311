//! What does a person read of an alert?
//!
//! Words with columns in braces. What a column says is made as everywhere else, from names that are safe to print. An alert is
//! shown to whoever may look: of what is secret it says no more than a reader without a name sees.

use crate::model::{Cell, Style, Table, Timestamp, Writing, unit};
use crate::store::expr::nearest;
use crate::store::rate::View;
use crate::wire::redact;

/// Bytes of a sentence at most.
const MOST: usize = 512;

/// Words that stand for no column.
const OWN: [(&str, Own); 5] = [
    ("value", Own::Value),
    ("limit", Own::Limit),
    ("count", Own::Count),
    ("was", Own::Was),
    ("instance", Own::Instance),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Value,
    Limit,
    Count,
    Was,
    Instance,
}

#[derive(Clone, Debug)]
enum Piece {
    Plain(Box<str>),
    Column(usize),
    Own(Own),
}

/// Words with columns in braces, checked against a table.
#[derive(Clone, Debug)]
pub(super) struct Words(Vec<Piece>);

/// What stands for the words that are no columns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) value: Option<&'a str>,
    pub(super) limit: Option<&'a str>,
    pub(super) count: u64,
    pub(super) was: Option<&'a str>,
    pub(super) instance: &'a str,
}

impl Words {
    /// Reads words for a table.
    ///
    /// # Errors
    /// What is wrong, and what may have been meant.
    pub(super) fn parse(text: &str, table: &Table) -> Result<Self, (String, Option<String>)> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((plain, behind)) = rest.split_once('{') {
            pieces.push(Piece::Plain(plain.into()));
            let Some((name, after)) = behind.split_once('}') else {
                return Err(("a brace that is not closed".to_owned(), None));
            };
            let own = OWN.iter().find(|(word, _)| *word == name).map(|(_, own)| Piece::Own(*own));
            // a column of that name says more
            let piece = table.position(name).map(Piece::Column).or(own).ok_or_else(|| {
                let known = table.columns.iter().map(|column| &*column.name).chain(OWN.map(|(word, _)| word));
                let hint = nearest(name, known).map(|near| format!("did you mean `{{{near}}}`?"));
                (format!("table `{}` has no column `{name}`", table.name), hint)
            })?;
            pieces.push(piece);
            rest = after;
        }
        pieces.push(Piece::Plain(rest.into()));
        Ok(Self(pieces))
    }

    /// The columns that it has.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Column(column) => Some(*column),
            Piece::Plain(_) | Piece::Own(_) => None,
        })
    }

    /// The words for a row; without one columns are `–`.
    pub(super) fn write(&self, view: Option<(&View, usize)>, said: Said<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(plain) => out.push_str(plain),
                Piece::Column(column) => {
                    out.push_str(view.and_then(|(view, row)| cell(view, row, *column)).as_deref().unwrap_or("–"));
                }
                Piece::Own(Own::Value) => out.push_str(said.value.unwrap_or("–")),
                Piece::Own(Own::Limit) => out.push_str(said.limit.unwrap_or("–")),
                Piece::Own(Own::Was) => out.push_str(said.was.unwrap_or("–")),
                Piece::Own(Own::Instance) => out.push_str(said.instance),
                Piece::Own(Own::Count) => out.push_str(&said.count.to_string()),
            }
        }
        cut(out)
    }
}

/// At most so many bytes, at the end of a letter.
fn cut(mut text: String) -> String {
    if text.len() > MOST {
        let end = (0..MOST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A cell as people read it; counters as rates.
pub(super) fn cell(view: &View, row: usize, column: usize) -> Option<String> {
    let about = view.table().columns.get(column)?;
    let writing = Writing { rate: true, style: Style::default(), now: view.sample().time, exact: 0 };
    about.words(&redact::shown(about, view.cell(row, column)), writing)
}

/// A number in the unit of a column, or as it is.
pub(super) fn number(value: f64, table: &Table, column: Option<usize>) -> String {
    match column.and_then(|column| table.columns.get(column)) {
        Some(about) => about.number(value, true, Style::default()),
        None => unit::scaled(value, 1000.0),
    }
}

/// A word of an Id that people tell rows by.
pub(super) fn id(view: &View, row: usize, column: usize) -> String {
    let Some(about) = view.table().columns.get(column) else { return String::new() };
    match redact::shown(about, view.raw().cell(row, column)) {
        Cell::Missing => String::new(),
        cell => {
            let writing = Writing { rate: false, style: Style::default(), now: Timestamp(0), exact: u64::MAX };
            about.words(&cell, writing).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::made::{SampleRow, row, sample};
    use crate::store::rate::Mode;

    #[test]
    fn columns_stand_in_braces_and_mistakes_are_named() {
        let view = View::new(&sample(0.0, vec![row()]), None, Mode::Rate);
        let table = SampleRow::TABLE;
        let said = Said { value: Some("81 %"), limit: Some("80 %"), count: 3, was: None, instance: "one" };
        let words = Words::parse("{name} at {value} of {limit}: {share}, {rss}, {count}, {was}", table).unwrap();
        assert_eq!(words.write(Some((&view, 0)), said), "qemu-kvm at 81 % of 80 %: 50.0%, –, 3, –");
        assert_eq!(words.write(None, said), "– at 81 % of 80 %: –, –, 3, –");
        let wrong = |text| Words::parse(text, table).unwrap_err();
        assert_eq!(wrong("{nam}").1.as_deref(), Some("did you mean `{name}`?"));
        assert_eq!(wrong("{name").0, "a brace that is not closed");
        let long = Words::parse(&"ü".repeat(MOST), table).unwrap().write(None, said);
        assert!(long.len() <= MOST + 3 && long.ends_with('…'));
    }
}
