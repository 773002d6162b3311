//! How large are the kernel's tables of IPv4 routes, and how deep must it look?

use super::everywhere::{Everywhere, Portion, tell};
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::Error;
use crate::source::fib::{self, Trie};
use crate::source::file::{Kept, Root};
use crate::source::netns;
use crate::table;

table! {
    /// One table of IPv4 routes as the kernel keeps it: a trie, in which few nodes lie above a destination while it is well
    /// filled. What it was asked is missing where the kernel is built without `CONFIG_IP_FIB_TRIE_STATS`.
    ///
    /// Source: `/proc/net/fib_triestat`, `net/ipv4/fib_trie.c`.
    pub struct FibRow = "fib" { title: Some("Tables of IPv4 routes"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Name or number of the table.
        Id(None) table: Text { label: true },
        /// Routes in it.
        Gauge(None) prefixes: Option<u64> { top: true },
        /// Different destinations.
        Gauge(None) leaves: Option<u64>,
        /// Nodes above them.
        Gauge(None) nodes: Option<u64>,
        /// Places in these nodes.
        Gauge(None) pointers: Option<u64> { wide: true },
        /// Places that lead nowhere.
        Gauge(None) null_pointers: Option<u64> { wide: true },
        /// Mean of how many nodes lie above a destination.
        Gauge(None) mean_depth: Option<f64>,
        /// Most that do.
        Gauge(None) max_depth: Option<u64>,
        /// Memory that it takes, rounded up to 1024 bytes.
        Gauge(Bytes) size: Option<u64>,
        /// Searches for a route.
        Counter(Events) gets: Option<u64> { wide: true },
        /// Searches that had to go back.
        Counter(Events) backtracks: Option<u64> { wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "fib",
    tables: &[FibRow::TABLE],
    interval: EVERY_SECOND,
    // the kernel walks all routes for it
    blocks: true,
    needs: super::NO_CAPABILITY,
    make: || Box::<FibCollector>::default(),
};

/// Tables that become rows.
const MAX_TABLES: usize = 1 << 14;

#[derive(Default)]
struct FibCollector {
    files: Everywhere<Kept>,
}

/// Opens the file of the network namespace that this thread is in.
fn open() -> Result<Kept, Error> {
    Kept::open(&Root::new("/proc"), "thread-self/net/fib_triestat")
}

impl Collect for FibCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut portion = Portion::of(cx, MAX_TABLES);
        if portion.is_none() {
            return Ok(());
        }
        if !cx.roots.live {
            let file = Kept::open(&cx.roots.proc, "net/fib_triestat")?;
            out.push(rows(&netns::host(), &file)?);
            return Ok(());
        }
        let troubles =
            self.files.read(cx, open, |netns, file| Portion::add(&mut portion, || Ok((rows(netns, file)?, 0))))?;
        tell(portion, cx, out, &troubles, "the kernel is built without IPv4")
    }
}

fn rows(netns: &Text, file: &Kept) -> Result<Vec<FibRow>, Error> {
    let malformed = || Error::malformed(file.path(), "parts for tables are expected");
    Ok(fib::tries(&file.text()?).ok_or_else(malformed)?.iter().map(|trie| row(netns, trie)).collect())
}

fn row(netns: &Text, trie: &Trie) -> FibRow {
    FibRow {
        netns: netns.clone(),
        table: Text::from(trie.table.to_lowercase()),
        prefixes: trie.prefixes,
        leaves: trie.leaves,
        nodes: trie.nodes,
        pointers: trie.pointers,
        null_pointers: trie.null_pointers,
        mean_depth: trie.mean_depth,
        max_depth: trie.max_depth,
        size: trie.kilobytes.and_then(|kilobytes| kilobytes.checked_mul(1024)),
        gets: trie.gets,
        backtracks: trie.backtracks,
    }
}
