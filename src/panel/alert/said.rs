//! Of which alert can somebody say that it is known, or that it may be silent?
//!
//! `tui/` names no column, so what its keys need of one is said here.

use crate::col;
use crate::collect::alert::{AlertRow, AlertState};
use crate::model::{Mute, Text, Timestamp};
use crate::store::rate::View;

/// An alert, and how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its rule.
    pub rule: Text,
    /// What it is about; empty where that is a whole table.
    pub instance: Text,
    /// What is so, in a sentence.
    pub text: Text,
    /// How it fares.
    pub fate: Fate,
}

/// How an alert fares, as far as that decides what can be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// People are told of it, or would be if others did not make it needless.
    Fires,
    /// Somebody has said that it is known.
    Known(Option<Text>),
    /// It is silent until then; who has said so, or nobody where the configuration does.
    Silent(Option<Text>, Option<Timestamp>),
    /// It does not fire yet.
    Waits,
    /// It does not fire any more.
    Over,
}

impl Said {
    /// Which alert it is.
    pub fn name(&self) -> String {
        if self.instance.is_empty() { self.rule.to_string() } else { format!("{} {}", self.rule, self.instance) }
    }

    /// Which alert it is, and what is so.
    pub fn words(&self) -> String {
        format!("{}: {}", self.rule, self.text)
    }

    /// What somebody says of it.
    pub fn mute(&self, until: Option<Timestamp>, comment: Option<Text>) -> Mute {
        Mute { rule: self.rule.clone(), instance: self.instance.clone(), until, comment, lift: false }
    }

    /// The same of all alerts of its rule.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.instance = Text::default();
        self
    }

    /// That what was said of it is taken back.
    pub fn lift(&self) -> Mute {
        Mute { lift: true, ..self.mute(None, None) }
    }
}

/// Whether something can be said of rows of a table.
pub fn speaks(table: &str) -> bool {
    table == AlertRow::TABLE.name
}

/// The alert that a row of a view means; `None` for other tables, those of many hosts, and rows that are gone.
pub fn said(view: &View, row: usize) -> Option<Said> {
    if !speaks(&view.table().name) || crate::browse::by(view.table()).is_some() {
        return None;
    }
    let word = |column: usize| view.raw().cell(row, column).text().map(Text::from);
    let user = word(col!(AlertRow, user));
    let until = view.raw().cell(row, col!(AlertRow, until)).instant();
    let state = word(col!(AlertRow, state))?;
    let is = |one: AlertState| state.as_str() == one.name();
    let fate = match () {
        () if is(AlertState::Acknowledged) => Fate::Known(user),
        () if is(AlertState::Silenced) => Fate::Silent(user, until),
        () if is(AlertState::Pending) => Fate::Waits,
        () if is(AlertState::Over) => Fate::Over,
        () => Fate::Fires,
    };
    Some(Said {
        rule: word(col!(AlertRow, rule))?,
        instance: word(col!(AlertRow, instance)).unwrap_or_default(),
        text: word(col!(AlertRow, text)).unwrap_or_default(),
        fate,
    })
}
