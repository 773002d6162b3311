//! How is one of many hosts kept in sight?
//!
//! A task for each host: it connects when it is its turn, asks for what summarizes the host, and tells the fleet what it
//! hears. When that fails it waits, longer every time, and by chance not as long as the others. What it hears is bounded
//! and checked like everything that comes from a peer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::list::Entry;
use super::roll::House;
use super::rows::{AllAsked, Teller};
use super::summary;
use super::table::Link;
use crate::client::session::{self, ANSWER, jittered, trouble};
use crate::client::{Access, KeyError, Opened, Target, Trouble, TroubleKind};
use crate::model::{Text, Timestamp};
use crate::wire::mirror::Mirror;
use crate::wire::schema::{self, Schema};
use crate::wire::{WireError, bounded, proto};

/// Shortest and longest pause between two attempts.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// After so long a connection was a good one, and the next pause is short again.
const STEADY: Duration = Duration::from_secs(30);

/// A host that has said nothing for so many intervals and a while is stale.
const MISSED: u32 = 3;
const WHILE: Duration = Duration::from_secs(2);

/// Hosts whose files are read at once.
static READING: Semaphore = Semaphore::const_new(8);

/// What summaries are wanted.
pub(super) type Wanted = Arc<BTreeSet<usize>>;

/// One host and what its task needs.
pub(super) struct Seat {
    /// Its number, which nobody else ever has.
    pub(super) id: u64,
    pub(super) entry: Entry,
    pub(super) target: Target,
    pub(super) house: Arc<House>,
    pub(super) wanted: watch::Receiver<Wanted>,
    /// Whether somebody may have done something about hosts that refuse.
    pub(super) nudge: watch::Receiver<u64>,
    /// Which rows are wanted.
    pub(super) asked: watch::Receiver<AllAsked>,
    /// The connection for whoever opens the host.
    pub(super) line: watch::Sender<Option<Arc<Opened>>>,
}

impl Seat {
    /// Keeps the host in sight for ever.
    pub(super) async fn keep(mut self) {
        let house = Arc::clone(&self.house);
        let (mut pause, mut again) = (AGAIN.0, false);
        loop {
            let place = house.gate.enter(again).await;
            again = true;
            let begun = Instant::now();
            self.nudge.mark_unchanged();
            let Err(trouble) = self.session(place).await;
            self.line.send_replace(None);
            if begun.elapsed() >= STEADY {
                pause = AGAIN.0;
            }
            let refused = trouble.kind != TroubleKind::Unreachable;
            // a host that has refused somebody refuses him again, until somebody does something about it
            let rest = jittered(if refused { AGAIN.1 } else { pause });
            self.house.shared.lost(self.id, &trouble, Timestamp(Timestamp::now().0 + rest.as_nanos() as i64));
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                Ok(()) = self.nudge.changed(), if refused => {}
            }
            pause = (pause * 2).min(AGAIN.1);
        }
    }

    /// What the client knows and has for this host. The files are read on a thread of their own: a disk that does not answer
    /// keeps those hosts only that have files, too.
    async fn access(&self) -> Result<Access, Trouble> {
        let (speak, general) = (self.entry.speak.clone(), self.house.access.clone());
        if !speak.has_files() {
            return speak.access(&general);
        }
        let read = session::aside(&READING, move || Ok(speak.access(&general)));
        match tokio::time::timeout(ANSWER, read).await {
            Ok(read) => read.map_err(|cause| Text::from(cause.to_string()))?,
            Err(_) => Err(Text::from("the file of its token or certificate cannot be read yet").into()),
        }
    }

    /// One connection from its beginning to its end; the place is for its beginning.
    async fn session<T>(&mut self, place: T) -> Result<std::convert::Infallible, Trouble> {
        let access = self.access().await?;
        let opened = session::open(&self.target, &access).await.map_err(|trouble| self.explained(trouble))?;
        let opened = Arc::new(opened);
        let now = Timestamp::now();
        drop(place);
        let schema = adopted(&opened.describe)?;
        self.house.shared.met(self.id, &opened.describe, now);
        self.line.send_replace(Some(Arc::clone(&opened)));
        let rows = Teller {
            id: self.id,
            host: self.entry.name.clone(),
            interval: self.entry.interval,
            house: Arc::clone(&self.house),
            asked: self.asked.clone(),
        };
        tokio::select! {
            end = rows.run(&opened, &schema) => end,
            end = self.summaries(&opened, &schema) => end,
        }
    }

    /// Watches what summarizes the host, as long as the connection stands.
    async fn summaries(&mut self, opened: &Opened, schema: &Arc<Schema>) -> Result<std::convert::Infallible, Trouble> {
        let mut mirror = Mirror::new(Arc::clone(schema));
        let house = Arc::clone(&self.house);
        loop {
            let turn = house.asking.acquire().await;
            let wanted = Arc::clone(&self.wanted.borrow_and_update());
            let tables = summary::selections(&wanted, schema);
            let request = proto::WatchRequest {
                hash: opened.describe.hash.clone(),
                silent: tables.is_empty(),
                tables,
                interval: self.entry.interval.as_nanos() as u64,
                demands: Vec::new(),
            };
            let begun = session::watched(&mut opened.client.clone(), request).await?;
            mirror.resume();
            drop(turn);
            self.listen(begun.map_err(|status| trouble(&status))?, &mut mirror, &wanted).await?;
        }
    }

    /// What a person can do about a key that nobody has accepted.
    fn explained(&self, trouble: Trouble) -> Trouble {
        let Some(KeyError::Unknown(key)) = trouble.key else { return trouble };
        let why = format!("its key is not accepted yet: {key} (`netglance connect {}` accepts it)", self.target);
        Trouble { why: Text::from(why), ..trouble }
    }

    /// Takes what the host says until something else is wanted of it.
    async fn listen(
        &mut self,
        mut stream: tonic::Streaming<proto::WatchReply>,
        mirror: &mut Mirror,
        wanted: &BTreeSet<usize>,
    ) -> Result<(), Trouble> {
        let patience = self.entry.interval * MISSED + WHILE;
        loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout(patience, stream.message()) => frame,
                changed = self.wanted.changed() => {
                    return changed.map_err(|_| Text::from("nobody looks any more").into());
                }
            };
            let Ok(frame) = frame else {
                self.house.shared.silent(self.id);
                continue;
            };
            let frame = frame.map_err(|status| trouble(&status))?;
            let frame = frame.ok_or_else(|| Text::from("the agent has ended"))?;
            let damaged = |error: WireError| Text::from(error.to_string());
            let frame = bounded::frame(&frame.frame).map_err(damaged)?;
            mirror.apply(&frame).map_err(damaged)?;
            let place = |table: &proto::TableFrame| mirror.schema().layouts.get(table.table as usize);
            let told = frame.tables.iter().filter_map(place).map(|layout| &*layout.table.name).collect();
            self.house.shared.told(self.id, &mirror.snapshot(), &told, wanted);
        }
    }
}

/// The schema of an agent.
fn adopted(describe: &proto::DescribeReply) -> Result<Arc<Schema>, Trouble> {
    let Some(described) = &describe.schema else { return Ok(Arc::clone(schema::own())) };
    schema::adopt(described).map_err(|cause| {
        let version = Text::from(describe.version.as_str());
        // one of the own version has no excuse
        let other = version.as_str() != env!("CARGO_PKG_VERSION");
        let kind = if other { TroubleKind::Version } else { TroubleKind::Unreachable };
        Trouble { kind, why: Text::from(format!("agent {version}: {cause}")), key: None }
    })
}

/// The state that a trouble means.
pub(super) fn link(kind: TroubleKind) -> Link {
    match kind {
        TroubleKind::Unreachable | TroubleKind::Unkept => Link::Unreachable,
        TroubleKind::Protected | TroubleKind::Uncertified | TroubleKind::Plain | TroubleKind::Tls => Link::Protected,
        TroubleKind::KeyChanged => Link::KeyChanged,
        TroubleKind::Version => Link::Version,
    }
}
