//! What was done to this host through netglance, who wanted it, and what came of it?
//!
//! The host writes down each action when it is over ([`crate::source::deed`]); here the newest become rows.

use std::sync::Arc;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, NO_CAPABILITY, Skip};
use crate::model::{Rows, Text, Timestamp};
use crate::source::deed::Deed;
use crate::{label, table};

label! {
    /// What came of an action.
    pub enum Outcome { Done = "done", Refused = "refused" => Careful }
}

table! {
    /// One action on this host that somebody has asked this dashboard or this agent for since it runs: a signal, another nice
    /// value, connections that were deleted, or that somebody is known to have gone. The newest 1024 are kept.
    ///
    /// Source: netglance itself.
    pub struct ActionRow = "action" { title: Some("Actions"), shape: Shape::Log, demand: true } {
        /// Number of the action since this program runs.
        Id(None) seq: u64 { top: true, wide: true },
        /// When it was over.
        Gauge(None) time: Timestamp,
        /// Who asked for it: the user whose dashboard it is, or whom the agent knows.
        Text(None) user: Text,
        /// What was to be done.
        Text(None) action: Text { label: true },
        /// Number of the signal, or the nice value.
        Gauge(None) value: Option<i64> { exact: true },
        /// What it was for.
        Text(None) target: Text,
        /// What came of it.
        Text(None) outcome: Outcome,
        /// How many of several connections had ended already.
        Gauge(None) gone: Option<u64>,
        /// Why nothing came of it.
        Text(None) reason: Option<Text> { last: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "action",
    tables: &[ActionRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: NO_CAPABILITY,
    make: || Box::<ActionCollector>::default(),
};

#[derive(Default)]
struct ActionCollector {
    /// The rows of the last sample, and how many actions there had been.
    rows: Option<(u64, Arc<dyn Rows>)>,
}

impl Collect for ActionCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("nothing is done to a recorded host"));
        }
        let count = cx.roots.deeds.count();
        let rows = match self.rows.take() {
            Some((seen, rows)) if seen == count => rows,
            _ => Arc::new(cx.roots.deeds.newest().into_iter().map(row).collect::<Vec<ActionRow>>()),
        };
        self.rows = Some((count, Arc::clone(&rows)));
        out.push_again(ActionRow::TABLE, rows);
        Ok(())
    }
}

fn row(deed: Deed) -> ActionRow {
    let outcome = if deed.error.is_none() { Outcome::Done } else { Outcome::Refused };
    ActionRow {
        seq: deed.seq,
        time: deed.time,
        user: deed.user,
        action: deed.word.into(),
        value: deed.value,
        target: deed.target,
        outcome,
        gone: deed.gone.map(|gone| gone as u64),
        reason: deed.error,
    }
}
