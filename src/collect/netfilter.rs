//! What do the small parts of the firewall do: queues, logs, named counters, timeout policies, the proxy for SYN packets?
//!
//! All of it while somebody looks. Queues, logs and the proxy are files that stay open, one set for each network namespace;
//! counters and policies are asked for over netlink. Each table says by itself why it has no rows: a kernel may lack any of
//! these parts. Which process listens to a queue is found by its socket, never guessed from the number of the port.

pub mod rows;

use self::rows::{CtTimeoutRow, NfLogRow, NfacctRow, NflogRow, NfqueueRow, Peers, SynproxyRow};
use super::everywhere::{Portion, tell};
use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::Error;
use crate::source::file::{Kept, Root};
use crate::source::netfilter::{acct, table, timeout};
use crate::source::netlink::Family;
use crate::source::netlink::common::Common;
use crate::source::netns::{self, Outgrown, Rooms};

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "netfilter",
    tables: &[
        NfqueueRow::TABLE,
        NflogRow::TABLE,
        NfacctRow::TABLE,
        CtTimeoutRow::TABLE,
        SynproxyRow::TABLE,
        NfLogRow::TABLE,
    ],
    interval: EVERY_SECOND,
    // whose a queue is is found among the descriptors of every process
    blocks: true,
    needs: Capabilities::NET_ADMIN.union(super::OTHERS_PROCESSES),
    make: || Box::<NetfilterCollector>::default(),
};

/// Counters and policies that become rows, of each.
const MAX_ROWS: usize = 1 << 14;

#[derive(Default)]
struct NetfilterCollector {
    /// Dropped after an error, so that the next sample starts with a fresh one. Files of the own namespace are opened when they
    /// are read.
    own: Option<Common>,
    others: Rooms<Room>,
}

/// Files of a network namespace: queues, logs, the proxy, who logs.
const FILES: [&str; 4] = [QUEUES, LOGS, SYNPROXY, LOGGERS];
const QUEUES: &str = "netfilter/nfnetlink_queue";
const LOGS: &str = "netfilter/nfnetlink_log";
const SYNPROXY: &str = "stat/synproxy";
const LOGGERS: &str = "netfilter/nf_log";
/// The sockets of netlink with their inodes.
const PORTS: &str = "netlink";

/// What is read from in another network namespace.
struct Room {
    /// Or why they are not.
    files: [Result<Kept, Error>; FILES.len()],
    /// Where somebody read a queue or a log when it was opened.
    ports: Option<Kept>,
    socket: Common,
}

impl Room {
    /// Opens the files of the network namespace that this thread is in.
    fn open() -> Result<Self, Error> {
        let proc = Root::new("/proc");
        let file = |name| Kept::open(&proc, &format!("{HERE}/{name}"));
        let files = FILES.map(file);
        let mut lists = FILES.iter().zip(&files).filter(|(name, _)| [QUEUES, LOGS].contains(name));
        let has_peers =
            lists.any(|(_, file)| file.as_ref().is_ok_and(|file| file.text().is_ok_and(|text| !text.is_empty())));
        let ports = if has_peers { Some(file(PORTS)?) } else { None };
        Ok(Self { files, ports, socket: Common::open(Family::Netfilter)? })
    }

    fn text(&self, name: &str) -> Result<String, Error> {
        if name == PORTS {
            return self.ports.as_ref().ok_or_else(|| Outgrown::error(PORTS))?.text();
        }
        let file = FILES.iter().zip(&self.files).find(|(known, _)| **known == name).map(|(_, file)| file.as_ref());
        let none = || Error::new("open", name, std::io::ErrorKind::NotFound);
        file.ok_or_else(none)?.map_err(Error::again)?.text()
    }
}

/// The directory of the network namespace that a thread has entered.
const HERE: &str = "thread-self/net";

/// Reads the text of a file of a network namespace by its name.
type Texts<'a> = &'a dyn Fn(&str) -> Result<String, Error>;

fn read<T>(texts: Texts<'_>, name: &str, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
    let malformed = || Error::malformed(format!("/proc/net/{name}"), "numbers in columns are expected");
    parse(&texts(name)?).ok_or_else(malformed)
}

/// One look at all network namespaces.
struct Look {
    queues: Option<Portion<NfqueueRow>>,
    logs: Option<Portion<NflogRow>>,
    accounts: Option<Portion<NfacctRow>>,
    timeouts: Option<Portion<CtTimeoutRow>>,
    synproxy: Option<Portion<SynproxyRow>>,
    loggers: Option<Portion<NfLogRow>>,
    peers: Peers,
}

impl Look {
    fn new(cx: &Cx<'_>) -> Self {
        Self {
            queues: Portion::of(cx, MAX_ROWS),
            logs: Portion::of(cx, MAX_ROWS),
            accounts: Portion::of(cx, MAX_ROWS),
            timeouts: Portion::of(cx, MAX_ROWS),
            synproxy: Portion::of(cx, MAX_ROWS),
            loggers: Portion::of(cx, MAX_ROWS),
            peers: Peers::default(),
        }
    }

    fn take(&mut self, netns: &Text, texts: Texts<'_>, socket: Option<&Common>) -> Result<(), Error> {
        let peers = &mut self.peers;
        Portion::add(&mut self.queues, || {
            let queues = read(texts, QUEUES, table::queues)?;
            if !queues.is_empty() {
                peers.learn(netns, &read(texts, PORTS, table::ports)?, queues.iter().map(|queue| queue.port));
            }
            Ok((queues.iter().map(|queue| rows::queue(netns, queue)).collect(), 0))
        })?;
        Portion::add(&mut self.logs, || {
            let logs = read(texts, LOGS, table::logs)?;
            if !logs.is_empty() {
                peers.learn(netns, &read(texts, PORTS, table::ports)?, logs.iter().map(|log| log.port));
            }
            Ok((logs.iter().map(|log| rows::log(netns, log)).collect(), 0))
        })?;
        Portion::add(&mut self.synproxy, || {
            Ok((vec![rows::synproxy(netns, read(texts, SYNPROXY, table::synproxy)?)], 0))
        })?;
        Portion::add(&mut self.loggers, || {
            let loggers = read(texts, LOGGERS, table::loggers)?;
            Ok((loggers.iter().filter_map(|logger| rows::logger(netns, logger)).collect(), 0))
        })?;
        Portion::add(&mut self.accounts, || {
            let found = asked(socket)?.with(|socket| acct::accounts(socket, MAX_ROWS))?;
            Ok((found.kept().iter().map(|account| rows::account(netns, account)).collect(), found.left_out()))
        })?;
        Portion::add(&mut self.timeouts, || {
            let found = asked(socket)?.with(|socket| timeout::policies(socket, MAX_ROWS))?;
            Ok((found.kept().iter().flat_map(|policy| rows::timeouts(netns, policy)).collect(), found.left_out()))
        })
    }
}

/// The socket, which a recorded tree has not.
fn asked(socket: Option<&Common>) -> Result<&Common, Error> {
    let none = || Error::new("ask", "nfnetlink on a recorded tree", std::io::ErrorKind::NotFound);
    socket.ok_or_else(none)
}

impl Collect for NetfilterCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut look = Look::new(cx);
        if cx.roots.netns.has_host() {
            let net = if cx.roots.live { HERE } else { "net" };
            let texts = |name: &str| cx.roots.proc.text(format!("{net}/{name}"));
            let open = || if cx.roots.live { Common::open(Family::Netfilter).map(Some) } else { Ok(None) };
            let socket = self.own.take().map_or_else(open, |socket| Ok(Some(socket)))?;
            look.take(&netns::host(), &texts, socket.as_ref())?;
            self.own = socket;
        }
        let troubles = self.others.read(&cx.roots.netns, Room::open, |netns, room| {
            look.take(netns, &|name| room.text(name), Some(&room.socket))
        });
        let Look { mut queues, mut logs, accounts, timeouts, synproxy, loggers, peers } = look;
        let peers = peers.find(&cx.roots.proc)?;
        let rows = queues.iter_mut().flat_map(Portion::rows_mut);
        rows.for_each(|row| (row.pid, row.process) = peers.of(&row.netns, row.port));
        let rows = logs.iter_mut().flat_map(Portion::rows_mut);
        rows.for_each(|row| (row.pid, row.process) = peers.of(&row.netns, row.port));
        if let Some(error) = &peers.denied {
            let hint = "processes of other users: run as root, or grant CAP_SYS_PTRACE";
            let wanted = [(queues.is_some(), NfqueueRow::TABLE), (logs.is_some(), NflogRow::TABLE)];
            for (_, table) in wanted.into_iter().filter(|(is_wanted, _)| *is_wanted) {
                out.partly(table, &Skip::from(error.again()).hint(hint));
            }
        }
        tell(queues, cx, out, &troubles, "the kernel's module nfnetlink_queue is not loaded")?;
        tell(logs, cx, out, &troubles, "the kernel's module nfnetlink_log is not loaded")?;
        tell(accounts, cx, out, &troubles, "the kernel's module nfnetlink_acct is not loaded")?;
        tell(timeouts, cx, out, &troubles, "the kernel's module nfnetlink_cttimeout is not loaded")?;
        tell(synproxy, cx, out, &troubles, "the kernel's module nf_synproxy_core is not loaded")?;
        tell(loggers, cx, out, &troubles, "the kernel logs no packets")
    }
}
