//! Which rows of a table does a panel show, in which order, and what does it say when there are none?
//!
//! The user's `[show]` decides which, then the worst come first, then the busiest, then names in natural order. How busy a
//! row is counts in powers of four, so that rows do not change places with every sample; shares, of which a whole is all that there
//! is, in half powers of two.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use super::{Block, Body, Cx, Line, Role, number};
use crate::model::{Cell, Connection, Level, State, Table, Unit, tell};
use crate::source::routing::daemon::Source;
use crate::store::rate::View;

/// A row to be shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picked {
    /// Position in the view.
    pub(super) row: usize,
    /// Name or alias.
    pub(super) name: String,
    /// Worst of the row.
    pub(super) level: Level,
    /// Sum of the columns that say how busy it is; `None` while unknown.
    pub(super) busy: Option<f64>,
    /// Whether that is a share of something.
    pub(super) is_share: bool,
    /// Whether it is about another router than this host.
    pub(super) is_far: bool,
}

impl Picked {
    /// How the name is written.
    pub(super) fn role(&self) -> Role {
        match self.level {
            Level::Ok if self.busy == Some(0.0) => Role::Muted,
            Level::Ok => Role::Plain,
            level => Role::Level(level),
        }
    }

    /// How busy it is, in powers of four, or of the root of two where it is a share.
    pub(super) fn step(&self) -> i32 {
        let steps = if self.is_share { 2.0 } else { 0.5 };
        self.busy.filter(|busy| *busy > 0.0).map_or(i32::MIN, |busy| (busy.log2() * steps).floor() as i32)
    }

    /// What needs somebody first, then what is here, then what is busy, then what may be worth a look while nothing happens on it.
    fn rank(&self) -> (Reverse<Level>, bool, Reverse<i32>, Reverse<Level>) {
        let bad = if self.level > Level::Careful { self.level } else { Level::Ok };
        (Reverse(bad), self.is_far, Reverse(self.step()), Reverse(self.level))
    }
}

/// Whether a row is what another router than this host tells of itself.
pub(super) fn is_far(view: &View, row: usize) -> bool {
    let source = view.table().columns.iter().position(|column| column.name == "source");
    source.is_some_and(|column| view.raw().cell(row, column) == Cell::Label(Source::Snmp.name()))
}

/// Rows to be shown with the view they are in.
pub(super) struct Pick {
    /// Paired samples.
    pub(super) view: Arc<View>,
    /// In the order shown.
    pub(super) rows: Vec<Picked>,
}

impl Pick {
    /// Whether a column tells rows apart, or that all are somewhere else.
    pub(super) fn tells(&self, column: usize) -> bool {
        tell(self.rows.iter().map(|row| self.view.raw().cell(row.row, column)))
    }
}

/// Picks the rows of a table. `busy` are the columns whose sum says how busy a row is.
///
/// # Errors
/// The body that says why there is nothing.
pub(super) fn pick(cx: &Cx<'_>, table: &Table, busy: &[usize]) -> Result<Pick, Body> {
    let view = cx.views.get(&table.name).filter(|view| !view.is_empty()).ok_or_else(|| why(cx, table, NONE))?;
    let label = table.label_column();
    let is_share =
        busy.iter().all(|column| table.columns.get(*column).is_some_and(|column| column.unit == Unit::Ratio));
    let mut rows = Vec::with_capacity(view.len());
    for row in 0..view.len() {
        let own = number::words(cx, &view, row, label).words;
        let Some(name) = cx.settings.name(&table.name, &own) else { continue };
        let name = match cx.names.of(&view, row, label) {
            Some(known) => format!("{name} {known}"),
            None => name.into_owned(),
        };
        let busy = busy.iter().map(|column| view.cell(row, *column).number()).fold(None, |sum, one| match (sum, one) {
            (Some(a), Some(b)) => Some(a + b),
            (one, None) | (None, one) => one,
        });
        rows.push(Picked {
            row,
            name,
            level: cx.levels.row_level(&view, row),
            busy,
            is_share,
            is_far: is_far(&view, row),
        });
    }
    if rows.is_empty() {
        let why = format!("all {} are hidden by [show.{}]", view.len(), table.name);
        return Err(Body::Empty { level: Level::Ok, why });
    }
    rows.sort_by(|a, b| a.rank().cmp(&b.rank()).then_with(|| natural(&a.name, &b.name)).then(a.row.cmp(&b.row)));
    Ok(Pick { view, rows })
}

/// Compares names as people do: `vnet2` before `vnet10`.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else { return a.len().cmp(&b.len()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (left, right) = (digits(&mut a), digits(&mut b));
            match left.len().cmp(&right.len()).then_with(|| left.cmp(right)) {
                Ordering::Equal => {}
                other => return other,
            }
        } else if x == y {
            (a, b) = (a.get(x.len_utf8()..).unwrap_or(""), b.get(y.len_utf8()..).unwrap_or(""));
        } else {
            return x.cmp(&y);
        }
    }
}

/// Takes the digits at the front, without leading zeros.
fn digits<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    number.trim_start_matches('0')
}

/// What is said where there is no row and nothing wrong.
pub const NONE: &str = "none";

/// Why a table has no rows: state, reason and hint of its collector in one line, or `none` where nothing is wrong.
pub fn why(cx: &Cx<'_>, table: &Table, none: &str) -> Body {
    let Some(known) = cx.snapshot.get(&table.name) else {
        let there = cx.host.schema().iter().any(|one| one.name == table.name);
        let unknown = !there && matches!(cx.host.connection(), Connection::Live { .. } | Connection::Lost { .. });
        let why = if unknown { super::unknown(&table.name) } else { "waiting for the first sample".to_owned() };
        return Body::Empty { level: Level::Ok, why };
    };
    let status = &known.status;
    let level = match status.state {
        State::Ok | State::Absent => Level::Ok,
        State::Denied => Level::Careful,
        State::Failed | State::Stale => Level::Warning,
    };
    let why = match (status.state, &known.now) {
        (State::Ok, None) => "waiting for the first sample".to_owned(),
        (State::Ok, Some(_)) => none.to_owned(),
        (state, _) => {
            let mut why = state.name().to_owned();
            let reason = without_number(&status.reason);
            for (before, part, after) in [(": ", reason, ""), (" (", &*status.hint, ")")] {
                if !part.is_empty() {
                    why.extend([before, part, after]);
                }
            }
            why
        }
    };
    Body::Empty { level, why }
}

/// A reason without the number that the standard library puts behind the words of an errno.
fn without_number(reason: &str) -> &str {
    match reason.rsplit_once(" (os error ") {
        Some((words, number)) if number.strip_suffix(')').is_some_and(|number| number.parse::<u32>().is_ok()) => words,
        _ => reason,
    }
}

/// Age of a table whose collector no longer answers.
pub(super) fn stale(cx: &Cx<'_>, table: &Table) -> Option<f64> {
    let known = cx.snapshot.get(&table.name).filter(|known| known.status.state != State::Ok)?;
    known.now.as_ref().map(|sample| sample.time.age(cx.now).max(0.0))
}

/// A block that says why it is empty.
pub(super) fn empty(title: &'static str, body: Body) -> Block {
    Block { title: title.into(), note: Line::new(), hidden: 0, scrolled: 0, stale: None, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_numbers_are_in_the_order_of_the_numbers() {
        let mut names = ["vnet10", "vnet2", "eno1", "vnet", "vnet02", "a1b10", "a1b9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["a1b9", "a1b10", "eno1", "vnet", "vnet2", "vnet02", "vnet10"]);
        assert_eq!(natural("9999999999999999999999", "10000000000000000000000"), Ordering::Less);
    }

    #[test]
    fn a_row_keeps_its_place_while_it_is_about_as_busy() {
        let row = |busy| Picked { row: 0, name: String::new(), level: Level::Ok, busy, is_share: false, is_far: false };
        assert_eq!(row(Some(1000.0)).rank(), row(Some(300.0)).rank());
        assert!(row(Some(5000.0)).rank() < row(Some(300.0)).rank());
        assert!(row(Some(0.1)).rank() < row(None).rank());
        let worse = Picked { level: Level::Warning, ..row(None) };
        assert!(worse.rank() < row(Some(1e12)).rank());
        let far = |level, busy| Picked { level, is_far: true, ..row(busy) };
        assert!(row(None).rank() < far(Level::Ok, Some(1e12)).rank(), "what is here comes first");
        assert!(far(Level::Warning, None).rank() < row(Some(1e12)).rank());
        let careful = Picked { level: Level::Careful, ..row(Some(0.0)) };
        assert!(row(Some(1.0)).rank() < careful.rank() && careful.rank() < row(Some(0.0)).rank());
    }
}
