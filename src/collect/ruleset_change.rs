//! Who has changed the packet filter, and what did it say before?
//!
//! A thread waits for what the kernel tells of changes ([`watch`]) and asks at once who has made them, because `nft` is gone
//! a millisecond later. While nobody changes anything it costs nothing. The newest changes are kept; of what the kernel
//! could not deliver a row says that it was lost. If the configuration names a file ([`crate::source::trail`]), all of it is
//! written there too.

mod log;
mod watch;
mod written;

use std::sync::{Arc, Mutex};

use self::log::Log;
use self::watch::Watch;
use super::nftables::{NftFamily, told};
use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, Reason, Skip};
use crate::model::{Rows, Text, Timestamp, lock};
use crate::source::nftables::follow::{Action, Subject};
use crate::{label, table};

label! {
    /// A part of the packet filter.
    pub enum FilterPart {
        Table = "table",
        Chain = "chain",
        Rule = "rule",
        Set = "set",
        Map = "map",
        Element = "element",
        Counter = "counter",
        Quota = "quota",
        Limit = "limit",
        /// A named object of another kind.
        Object = "object",
        Flowtable = "flowtable",
    }
}

impl From<Subject> for FilterPart {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Table => Self::Table,
            Subject::Chain => Self::Chain,
            Subject::Rule => Self::Rule,
            Subject::Set => Self::Set,
            Subject::Map => Self::Map,
            Subject::Element => Self::Element,
            Subject::Object(1) => Self::Counter,
            Subject::Object(2) => Self::Quota,
            Subject::Object(4) => Self::Limit,
            Subject::Object(_) => Self::Object,
            Subject::Flowtable => Self::Flowtable,
        }
    }
}

label! {
    /// What became of a part of the packet filter.
    pub enum FilterChange {
        Added = "added",
        Deleted = "deleted",
        Replaced = "replaced",
        /// The kernel could not tell what was changed.
        Lost = "lost" => Warning,
    }
}

impl From<Action> for FilterChange {
    fn from(action: Action) -> Self {
        match action {
            Action::Added => Self::Added,
            Action::Deleted => Self::Deleted,
            Action::Replaced => Self::Replaced,
        }
    }
}

table! {
    /// One change of the packet filter. Who has made it is missing where the kernel does not tell; user and command line are
    /// missing when the process was gone before it was asked. Of changes that were lost there is one row for all. What was
    /// changed before the ruleset was read for the first time, which takes milliseconds, lacks what was written before.
    ///
    /// Source: nfnetlink group `NFNLGRP_NFTABLES`, `NFTA_GEN_*` of `include/uapi/linux/netfilter/nf_tables.h`;
    /// `Documentation/filesystems/proc.rst`, `/proc/PID/{comm,status,cmdline}`.
    pub struct RulesetChangeRow = "ruleset_change" { title: Some("Filter changes"), shape: Shape::Log } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Number of the change since this program watches.
        Id(None) seq: u64 { top: true, wide: true },
        /// When it was told.
        Gauge(None) time: Timestamp,
        /// Number of the ruleset that it made, together with all others of that number.
        Gauge(None) generation: Option<u64> { exact: true, wide: true },
        /// What became of it.
        Text(None) action: FilterChange,
        /// What was changed.
        Text(None) part: Option<FilterPart>,
        /// Address family of its table.
        Text(None) family: Option<NftFamily>,
        /// Table that it is in, or the table itself.
        Text(None) table: Option<Text>,
        /// Its name; the chain of a rule, the set of elements.
        Text(None) name: Option<Text> { label: true },
        /// Handle of a rule, which no other rule of the table has.
        Gauge(None) handle: Option<u64> { exact: true, wide: true },
        /// Process that made it, as the initial PID namespace counts.
        Gauge(None) pid: Option<u64> { exact: true },
        /// What that process calls itself, at most 15 bytes.
        Text(None) program: Option<Text>,
        /// Owner of that process.
        Text(None) user: Option<Text>,
        /// How that process was started.
        Text(None) command: Option<Text> { program: true, secret: true, wide: true },
        /// How it was written before.
        Text(None) before: Option<Text> { last: true },
        /// How it is written now.
        Text(None) after: Option<Text> { last: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "ruleset_change",
    tables: &[RulesetChangeRow::TABLE],
    interval: EVERY_SECOND,
    // it takes what its thread has found
    blocks: false,
    needs: Capabilities::NET_ADMIN,
    make: || Box::<RulesetChangeCollector>::default(),
};

#[derive(Default)]
struct RulesetChangeCollector {
    log: Arc<Mutex<Log>>,
    watch: Option<Watch>,
    /// The rows of the last sample, and how many changes there had been.
    rows: Option<(u64, Arc<dyn Rows>)>,
}

impl Collect for RulesetChangeCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("a recorded host tells no changes of rules"));
        }
        let watch = match self.watch.take() {
            Some(watch) => watch,
            None => Watch::start(cx.roots, &self.log).map_err(told)?,
        };
        // one that has failed is started anew the next time
        let troubles = watch.look(&cx.roots.netns, &cx.roots.trail).map_err(told)?;
        self.watch = Some(watch);
        if !troubles.is_empty() {
            out.partly(RulesetChangeRow::TABLE, &Skip::netns(&troubles));
        }
        if let Some(fault) = cx.roots.trail.fault() {
            let hint = Some("[trail] of the configuration names another file");
            out.partly(RulesetChangeRow::TABLE, &Skip::Failed(Reason { error: fault.into(), hint }));
        }
        let mut log = lock(&self.log);
        let rows = match self.rows.take() {
            Some((seen, rows)) if seen == log.count() => rows,
            _ => Arc::new(log.rows()),
        };
        self.rows = Some((log.count(), Arc::clone(&rows)));
        out.push_again(RulesetChangeRow::TABLE, rows);
        Ok(())
    }
}
