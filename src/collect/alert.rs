//! What deserves attention, what has changed of it, and who was told?
//!
//! The rules are evaluated by an agent and by the dashboard of this host; what comes of them is put up on a board
//! ([`crate::source::alarm`]), from which it becomes rows here, like those of any other table.

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, NO_CAPABILITY, Skip};
use crate::model::{Cell, Level, Rows, Text, Timestamp};
use crate::{col, label, table};

label! {
    /// How bad an alert is.
    pub enum Severity { Careful = "careful" => Careful, Warning = "warning" => Warning, Critical = "critical" => Critical }
}

impl Severity {
    /// That of a level; the mildest of none.
    pub fn of(level: Level) -> Self {
        match level {
            Level::Ok | Level::Careful => Self::Careful,
            Level::Warning => Self::Warning,
            Level::Critical => Self::Critical,
        }
    }

    /// As a level.
    pub fn level(self) -> Level {
        match self {
            Self::Careful => Level::Careful,
            Self::Warning => Level::Warning,
            Self::Critical => Level::Critical,
        }
    }
}

label! {
    /// How an alert fares.
    pub enum AlertState {
        Firing = "firing",
        Acknowledged = "acknowledged",
        Silenced = "silenced",
        Inhibited = "inhibited",
        Pending = "pending",
        Over = "over",
    }
}

label! {
    /// What has happened to an alert.
    pub enum What {
        Fired = "fired",
        Worse = "worse",
        Better = "better",
        Cleared = "cleared",
        Acknowledged = "acknowledged",
        Silenced = "silenced",
        Unmuted = "unmuted",
        Told = "told",
        Failed = "failed" => Warning,
    }
}

impl What {
    /// That of a word, as it was written down; what this version does not know has failed.
    pub fn of(word: &str) -> Self {
        word.parse().unwrap_or(Self::Failed)
    }
}

table! {
    /// One alert: a rule of `alerts.toml` that holds for a row, a group of rows or a whole table, by what is known now. One that
    /// is over stays for ten minutes. Evaluated by the agent, or by the dashboard where it is about its own host.
    ///
    /// Source: the rules of `alerts.toml` over the tables of this host.
    pub struct AlertRow = "alert" { title: Some("Alerts"), again: true } {
        /// Name of the rule.
        Id(None) rule: Text { label: true },
        /// The row or the group of rows that it is about; empty where it is about a whole table.
        Id(None) instance: Text,
        /// How bad it is; of one that is over, how bad it was at last.
        Text(None) severity: Severity,
        /// Whether people are told of it, and if not, why not.
        Text(None) state: AlertState,
        /// Since when what it is about has been so.
        Gauge(None) since: Timestamp { title: Some("lasts") },
        /// When people were told of it first, or would have been.
        Gauge(None) fired: Option<Timestamp> { wide: true },
        /// When it was over.
        Gauge(None) end: Option<Timestamp> { wide: true },
        /// The value that is compared, as people read it.
        Text(None) value: Option<Text>,
        /// The worst value since it began.
        Text(None) peak: Option<Text>,
        /// The value as a number, in the base unit of its column.
        Gauge(None) number: Option<f64> { wide: true },
        /// How often it was over for a short time and came back.
        Gauge(None) flaps: u64 { exact: true },
        /// The table that the rule is about.
        Text(None) table: Text { wide: true },
        /// Who was at the top when it fired: processes or guests.
        Text(None) top: Option<Text> { wide: true },
        /// Who has said that it is known, or made it silent.
        Text(None) user: Option<Text> { wide: true },
        /// Until when it is silent.
        Gauge(None) until: Option<Timestamp> { wide: true, until: true },
        /// What was said of it.
        Text(None) comment: Option<Text> { wide: true },
        /// What it is about, in a sentence.
        Text(None) text: Text { last: true },
    }
}

table! {
    /// One change of an alert. The newest 1,024 are kept, by an agent also when it is started again.
    ///
    /// Source: the rules of `alerts.toml` over the tables of this host.
    pub struct EventRow = "event" { title: Some("Events"), shape: Shape::Log, again: true } {
        /// Number of the change.
        Id(None) seq: u64 { top: true, wide: true },
        /// When it happened.
        Gauge(None) time: Timestamp,
        /// What has happened.
        Text(None) what: What,
        /// How bad the alert is then; of one that is over, how bad it was.
        Text(None) severity: Severity,
        /// Name of the rule.
        Text(None) rule: Text { label: true },
        /// The row or the group of rows that it is about.
        Text(None) instance: Text,
        /// The value that is compared, as people read it.
        Text(None) value: Option<Text>,
        /// How long it had lasted when it was over.
        Gauge(Seconds) duration: Option<f64> { wide: true },
        /// The table that the rule is about; missing if there is no such rule any more.
        Text(None) table: Option<Text> { wide: true },
        /// Whether people are told: it was as bad as its rule tells, and not known, silent or needless. Missing of what is no
        /// change of an alert.
        Text(None) told: Option<bool> { wide: true },
        /// What it is about, in a sentence; or who was told, or who has said what of it.
        Text(None) text: Text { last: true },
    }
}

table! {
    /// One way of telling people of alerts, from `[[action]]` of `alerts.toml`, and what came of it. Only an agent tells.
    ///
    /// Source: netglance itself.
    pub struct AlertActionRow = "alert_action" { title: Some("Alert actions"), history: History::Whole, again: true } {
        /// Name of the action.
        Id(None) name: Text { label: true },
        /// What it does.
        Text(None) kind: Text,
        /// Alerts that wait to be told.
        Gauge(None) waiting: u64,
        /// Messages that were delivered since the agent runs.
        Counter(Events) sent: u64 { total: true },
        /// Attempts that failed.
        Counter(Events) failed: u64 { total: true },
        /// Changes that were given up, for want of room or because they were refused.
        Counter(Events) dropped: u64 { total: true },
        /// When the last message was delivered.
        Gauge(None) last: Option<Timestamp>,
        /// When it is tried again; missing if the last attempt did not fail.
        Gauge(None) again: Option<Timestamp> { until: true },
        /// Why the last attempt failed; missing if it did not.
        Text(None) error: Option<Text> { last: true },
    }
}

impl AlertRow {
    /// A row of the table, wherever it comes from; `None` if it has not all that a row must have.
    pub fn of(rows: &dyn Rows, row: usize) -> Option<Self> {
        let cell = |column| rows.cell(row, column);
        Some(Self {
            rule: text(cell(col!(AlertRow, rule)))?,
            instance: text(cell(col!(AlertRow, instance)))?,
            severity: cell(col!(AlertRow, severity)).text()?.parse().ok()?,
            state: cell(col!(AlertRow, state)).text()?.parse().ok()?,
            since: cell(col!(AlertRow, since)).instant()?,
            fired: cell(col!(AlertRow, fired)).instant(),
            end: cell(col!(AlertRow, end)).instant(),
            value: text(cell(col!(AlertRow, value))),
            peak: text(cell(col!(AlertRow, peak))),
            number: cell(col!(AlertRow, number)).number(),
            flaps: cell(col!(AlertRow, flaps)).count()?,
            table: text(cell(col!(AlertRow, table)))?,
            top: text(cell(col!(AlertRow, top))),
            user: text(cell(col!(AlertRow, user))),
            until: cell(col!(AlertRow, until)).instant(),
            comment: text(cell(col!(AlertRow, comment))),
            text: text(cell(col!(AlertRow, text)))?,
        })
    }

    /// How bad it is now; ok when it is over.
    pub fn level(&self) -> Level {
        if self.state == AlertState::Over { Level::Ok } else { self.severity.level() }
    }
}

impl EventRow {
    /// A row of the table, wherever it comes from; `None` if it has not all that a row must have.
    pub fn of(rows: &dyn Rows, row: usize) -> Option<Self> {
        let cell = |column| rows.cell(row, column);
        Some(Self {
            seq: cell(col!(EventRow, seq)).count()?,
            time: cell(col!(EventRow, time)).instant()?,
            what: What::of(&text(cell(col!(EventRow, what)))?),
            severity: cell(col!(EventRow, severity)).text()?.parse().ok()?,
            rule: text(cell(col!(EventRow, rule)))?,
            instance: text(cell(col!(EventRow, instance)))?,
            value: text(cell(col!(EventRow, value))),
            duration: cell(col!(EventRow, duration)).number(),
            table: text(cell(col!(EventRow, table))),
            told: if let Cell::Bool(told) = cell(col!(EventRow, told)) { Some(told) } else { None },
            text: text(cell(col!(EventRow, text)))?,
        })
    }
}

fn text(cell: Cell<'_>) -> Option<Text> {
    cell.text().map(Text::from)
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "alert",
    tables: &[AlertRow::TABLE, EventRow::TABLE, AlertActionRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: NO_CAPABILITY,
    make: || Box::new(AlertCollector),
};

struct AlertCollector;

impl Collect for AlertCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let Some(up) = cx.roots.alarm.up() else {
            return Err(Skip::absent("alerts are evaluated by an agent, and by a dashboard for its own host"));
        };
        out.push_again(AlertRow::TABLE, up.alerts);
        out.push_again(EventRow::TABLE, up.events);
        out.push_again(AlertActionRow::TABLE, up.actions);
        Ok(())
    }

    fn is_cheap_to_find(&self) -> bool {
        true
    }
}
